// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs as XFRM netlink tells them, or their contexts.
 * Out: their contexts; messages that make or update them.
 * Pure but for interface names; the bytes hold keys: wipe them, log none.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/xfrmsync.h>
#include <sodium.h>

#include "context.h"
#include "context_fields.h"

/* RFC 791, RFC 8200; and what fits into a packet's length. */
#define PMTU_MIN4 68
#define PMTU_MIN6 1280
#define PMTU_MAX 65535

/* ---- from the kernel ---- */

/* @param: ICV or truncation, bits; @room: bytes that the attribute has for the key */
static int put_alg(struct buf *b, uint16_t type, const char *name,
		   uint32_t key_bits, uint32_t param, const char *key,
		   size_t room)
{
	size_t bytes = ((size_t)key_bits + 7) / 8;
	size_t name_len = strnlen(name, ALG_NAME_MAX + 1);
	size_t at;

	if (bytes > room || bytes > ALG_KEY_MAX || name_len > ALG_NAME_MAX)
		return -EBADMSG;
	/* A kernel in confidentiality lockdown gives zeros for keys. */
	if (bytes && sodium_is_zero((const unsigned char *)key, bytes))
		return -EOPNOTSUPP;
	at = field_begin(b, type, FIELD_MANDATORY);
	buf_u32(b, key_bits);
	buf_u32(b, param);
	buf_u8(b, name_len);
	buf_put(b, name, name_len);
	buf_put(b, key, bytes);
	field_end(b, at);
	return 0;
}

static int put_algs(struct buf *b, const struct xfrm_attrs *a)
{
	const struct xfrm_algo_aead *aead;
	const struct xfrm_algo_auth *auth;
	const struct xfrm_algo *alg;
	int ret = 0;

	aead = xfrm_attr_data(a, XFRMA_ALG_AEAD, sizeof(*aead));
	if (aead)
		ret = put_alg(b, CONTEXT_AEAD, aead->alg_name, aead->alg_key_len,
			      aead->alg_icv_len, aead->alg_key,
			      xfrm_attr_len(a, XFRMA_ALG_AEAD) -
			      sizeof(*aead));
	auth = xfrm_attr_data(a, XFRMA_ALG_AUTH_TRUNC, sizeof(*auth));
	alg = xfrm_attr_data(a, XFRMA_ALG_AUTH, sizeof(*alg));
	if (auth && !ret)
		ret = put_alg(b, CONTEXT_AUTH, auth->alg_name, auth->alg_key_len,
			      auth->alg_trunc_len, auth->alg_key,
			      xfrm_attr_len(a, XFRMA_ALG_AUTH_TRUNC) -
			      sizeof(*auth));
	else if (alg && !ret)
		ret = put_alg(b, CONTEXT_AUTH, alg->alg_name, alg->alg_key_len,
			      0, alg->alg_key,
			      xfrm_attr_len(a, XFRMA_ALG_AUTH) -
			      sizeof(*alg));
	alg = xfrm_attr_data(a, XFRMA_ALG_CRYPT, sizeof(*alg));
	if (alg && !ret)
		ret = put_alg(b, CONTEXT_CRYPT, alg->alg_name, alg->alg_key_len,
			      0, alg->alg_key,
			      xfrm_attr_len(a, XFRMA_ALG_CRYPT) -
			      sizeof(*alg));
	/* The kernel tells IPComp without its (unused) key. */
	alg = xfrm_attr_data(a, XFRMA_ALG_COMP, sizeof(*alg));
	if (alg && !ret)
		ret = put_alg(b, CONTEXT_COMP, alg->alg_name, 0, 0, NULL, 0);
	return ret;
}

static void put_set_mark(struct buf *b, const struct xfrm_attrs *a)
{
	size_t at;

	if (!a->tb[XFRMA_SET_MARK])
		return;
	at = field_begin(b, CONTEXT_SET_MARK, FIELD_MANDATORY);
	buf_u32(b, xfrm_attr_u32(a, XFRMA_SET_MARK));
	buf_u32(b, a->tb[XFRMA_SET_MARK_MASK] ?
		xfrm_attr_u32(a, XFRMA_SET_MARK_MASK) : UINT32_MAX);
	field_end(b, at);
}

static void put_encap(struct buf *b, const struct xfrm_attrs *a, uint16_t family)
{
	const struct xfrm_encap_tmpl *encap;
	size_t at;

	encap = xfrm_attr_data(a, XFRMA_ENCAP, sizeof(*encap));
	if (!encap)
		return;
	at = field_begin(b, CONTEXT_ENCAP, FIELD_MANDATORY);
	buf_u16(b, encap->encap_type);
	buf_put(b, &encap->encap_sport, 2);
	buf_put(b, &encap->encap_dport, 2);
	buf_u16(b, 0);
	fields_put_addr(b, family, &encap->encap_oa);
	field_end(b, at);
}

static void put_sa_head(struct buf *b, const struct xfrm_usersa_info *sa,
			const struct xfrm_attrs *a)
{
	const struct xfrm_replay_state_esn *esn;
	size_t at;

	at = field_begin(b, CONTEXT_SA_ID, FIELD_MANDATORY);
	buf_u16(b, sa->family);
	buf_u8(b, sa->id.proto);
	buf_u8(b, sa->mode);
	buf_put(b, &sa->id.spi, 4);
	buf_u32(b, sa->reqid);
	fields_put_addr(b, sa->family, &sa->id.daddr);
	fields_put_addr(b, sa->family, &sa->saddr);
	field_end(b, at);
	fields_put_selector(b, &sa->sel);
	fields_put_lifetime(b, &sa->lft);

	at = field_begin(b, CONTEXT_SA_FLAGS, FIELD_MANDATORY);
	buf_u32(b, sa->flags);
	buf_u32(b, xfrm_attr_u32(a, XFRMA_SA_EXTRA_FLAGS));
	field_end(b, at);

	esn = xfrm_attr_data(a, XFRMA_REPLAY_ESN_VAL, sizeof(*esn));
	at = field_begin(b, CONTEXT_REPLAY, FIELD_MANDATORY);
	buf_u32(b, esn ? 1 : 0);
	buf_u32(b, esn ? esn->replay_window : sa->replay_window);
	buf_u32(b, esn ? esn->bmp_len : 0);
	field_end(b, at);
}

static void put_sa_tail(struct buf *b, const struct xfrm_usersa_info *sa,
			const struct xfrm_attrs *a)
{
	const xfrm_address_t *coaddr = xfrm_attr_data(a, XFRMA_COADDR, 16);
	const uint8_t *dir = xfrm_attr_data(a, XFRM_ATTR_SA_DIR, 1);
	size_t at;

	put_encap(b, a, sa->family);
	if (coaddr) {
		at = field_begin(b, CONTEXT_COADDR, FIELD_MANDATORY);
		fields_put_addr(b, sa->family, coaddr);
		field_end(b, at);
	}
	fields_put_mark(b, a);
	put_set_mark(b, a);
	fields_put_attr_u32(b, a, XFRMA_IF_ID, CONTEXT_IF_ID, FIELD_MANDATORY);
	fields_put_attr_u32(b, a, XFRMA_TFCPAD, CONTEXT_TFC_PAD, FIELD_OPTIONAL);
	fields_put_sec_ctx(b, a);
	fields_put_attr_u32(b, a, XFRMA_MTIMER_THRESH, CONTEXT_MTIMER, FIELD_OPTIONAL);
	fields_put_offload(b, a);
	/* Optional: a kernel without SA directions does well without. */
	if (dir)
		field_put_u32(b, CONTEXT_DIR, FIELD_OPTIONAL, *dir);
	fields_put_attr_u32(b, a, XFRM_ATTR_NAT_KEEPALIVE, CONTEXT_KEEPALIVE, FIELD_OPTIONAL);
	fields_put_attr_u32(b, a, XFRM_ATTR_SA_PCPU, CONTEXT_PCPU, FIELD_OPTIONAL);
	fields_put_vendor(b, a);
}

int context_from_sa(const struct nlmsghdr *nlh, struct buf *out)
{
	const struct xfrm_usersa_info *sa = mnl_nlmsg_get_payload(nlh);
	struct xfrm_attrs a;
	int ret;

	ret = xfrm_attrs_parse(nlh, sizeof(*sa), &a);
	if (ret)
		return ret;
	if (sa->family != AF_INET && sa->family != AF_INET6)
		return -EOPNOTSUPP;
	put_sa_head(out, sa, &a);
	ret = put_algs(out, &a);
	if (ret)
		return ret;
	put_sa_tail(out, sa, &a);
	if (out->bad)
		return -ENOMEM;
	return out->len > CONTEXT_MAX ? -EBADMSG : 0;
}

/* ---- the outline ---- */

static int get_encap(const struct fields *fs, uint16_t family,
		     struct xfrm_encap_tmpl *encap)
{
	struct rd r = fs->known[CONTEXT_ENCAP].value;
	uint16_t zero;

	memset(encap, 0, sizeof(*encap));
	encap->encap_type = rd_u16(&r);
	rd_copy(&r, &encap->encap_sport, 2);
	rd_copy(&r, &encap->encap_dport, 2);
	zero = rd_u16(&r);
	rd_copy(&r, &encap->encap_oa, 16);
	return zero || !fields_is_addr(family, &encap->encap_oa) ?
	       fields_bad(fs, CONTEXT_ENCAP, "is not canonical") : 0;
}

static int get_sa_id(const struct fields *fs, struct context_sa *info)
{
	struct rd r = fs->known[CONTEXT_SA_ID].value;
	const char *why;

	info->id.family = rd_u16(&r);
	info->id.proto = rd_u8(&r);
	info->mode = rd_u8(&r);
	rd_copy(&r, &info->id.spi, 4);
	info->reqid = rd_u32(&r);
	rd_copy(&r, info->id.dst, 16);
	rd_copy(&r, info->src, 16);
	if ((info->id.family == AF_INET || info->id.family == AF_INET6) &&
	    fields_is_addr(info->id.family, info->id.dst) &&
	    fields_is_addr(info->id.family, info->src))
		return 0;
	why = info->id.family == AF_INET || info->id.family == AF_INET6 ?
	      "is not canonical" : "has an unknown family";
	/* No kernel's name: who keeps it would ask for another SA by it, or for none. */
	memset(&info->id, 0, sizeof(info->id));
	return fields_bad(fs, CONTEXT_SA_ID, why);
}

static int get_replay(const struct fields *fs, struct context_sa *info)
{
	struct rd r = fs->known[CONTEXT_REPLAY].value;
	uint32_t kind = rd_u32(&r);
	bool good;

	info->window = rd_u32(&r);
	info->bmp_words = rd_u32(&r);
	info->large = kind == 1;
	if (info->large)
		good = info->bmp_words <= RECORD_BMP_WORDS &&
		       info->window <= info->bmp_words * 32;
	else	/* one word of a bitmap: the kernel takes no more */
		good = !kind && !info->bmp_words && info->window <= 32;
	if (good)
		return 0;
	/* What is refused is kept by its outline. */
	info->window = 0;
	info->bmp_words = 0;
	info->large = false;
	return fields_bad(fs, CONTEXT_REPLAY, "has a window that no kernel has");
}

static int get_flags(const struct fields *fs, uint32_t *flags, uint32_t *extra)
{
	struct rd r = fs->known[CONTEXT_SA_FLAGS].value;

	*flags = rd_u32(&r);
	*extra = rd_u32(&r);
	return *flags <= 255 ? 0 : fields_bad(fs, CONTEXT_SA_FLAGS,
					      "has unknown flags");
}

static int check_algs(const struct fields *fs)
{
	struct alg alg;
	uint16_t type;
	int ret = 0;

	for (type = CONTEXT_AEAD; type <= CONTEXT_COMP && !ret; type++) {
		if (fs->has[type])
			ret = fields_get_alg(fs, type, &alg);
	}
	return ret;
}

/* What no path has is as if it were not told. */
static void get_pmtu(const struct fields *fs, struct context_sa *info)
{
	uint32_t least = info->id.family == AF_INET ? PMTU_MIN4 : PMTU_MIN6;

	fields_get_u32(fs, CONTEXT_PMTU, &info->pmtu);
	if (info->pmtu < least || info->pmtu > PMTU_MAX)
		info->pmtu = 0;
}

static void get_rest(const struct fields *fs, struct context_sa *info)
{
	struct rd r = fs->known[CONTEXT_OFFLOAD].value;
	uint32_t dir = 0, mask = 0;

	if (fields_get_mark(fs, CONTEXT_SET_MARK, &info->out_mark, &mask))
		info->out_mark &= mask;
	get_pmtu(fs, info);
	if (fs->has[CONTEXT_OFFLOAD])
		info->packet_offload = rd_u8(&r) & XFRM_OFFLOAD_PACKET;
	fields_get_u32(fs, CONTEXT_DIR, &dir);
	if (dir == XFRMSYNC_DIR_IN || dir == XFRMSYNC_DIR_OUT)
		info->dir = dir;
}

/* Checks all fields that have a fixed form. */
static int outline(const uint8_t *p, size_t len, struct fields *fs,
		   struct context_sa *info, struct field_error *why)
{
	struct xfrm_encap_tmpl encap;
	uint32_t flags = 0, extra;
	struct xfrm_selector sel;
	int ret, bad = 0;
	bool gone;

	memset(info, 0, sizeof(*info));
	ret = fields_read(p, len, CONTEXT_IS_SA, fs, why);
	/* Its name helps who reads why it was refused. The mark is part of it. */
	if (fs->has[CONTEXT_SA_ID] &&
	    (fs->whole || why->type > CONTEXT_MARK || fs->has[CONTEXT_MARK]))
		bad = get_sa_id(fs, info);
	fields_get_mark(fs, CONTEXT_MARK, &info->id.mark, &info->id.mark_mask);
	fields_get_u32(fs, CONTEXT_IF_ID, &info->if_id);
	if (!ret)
		ret = bad;
	if (!ret)
		ret = fields_get_selector(fs, &sel);
	/* All of it can be told that is no selector. */
	gone = ret == -ENODEV;
	if (gone)
		ret = 0;
	if (!ret)
		ret = get_flags(fs, &flags, &extra);
	if (!ret)
		ret = get_replay(fs, info);
	if (!ret)
		ret = check_algs(fs);
	if (!ret && fs->has[CONTEXT_ENCAP])
		ret = get_encap(fs, info->id.family, &encap);
	if (!ret && fs->has[CONTEXT_ENCAP])
		info->encap_sport = encap.encap_sport;
	if (!ret && fs->has[CONTEXT_COADDR] &&
	    !fields_is_addr(info->id.family, fs->known[CONTEXT_COADDR].value.p))
		ret = fields_bad(fs, CONTEXT_COADDR, "is not canonical");
	if (ret)
		return ret;
	get_rest(fs, info);
	info->esn = flags & XFRM_STATE_ESN;
	if (info->esn && !info->large)
		return fields_bad(fs, CONTEXT_REPLAY,
				  "has no window for an SA with ESN");
	return gone ? -ENODEV : 0;
}

int context_sa_info(const uint8_t *p, size_t len, struct context_sa *info,
		    struct field_error *why)
{
	struct field_error unheard;
	struct fields fs;

	return outline(p, len, &fs, info, why ? why : &unheard);
}

bool context_is_sa(const uint8_t *p, size_t len)
{
	struct rd r = { .p = p, .left = len };

	return rd_u16(&r) == CONTEXT_SA_ID && !r.bad;
}

void context_set_spi(uint8_t *p, size_t len, uint32_t spi)
{
	/* SA_ID is the first field: family, protocol, mode, SPI. */
	if (context_is_sa(p, len) && len >= FIELD_HEADER + 8)
		memcpy(p + FIELD_HEADER + 4, &spi, sizeof(spi));
}

void context_with_pmtu(const uint8_t *p, size_t len, uint32_t pmtu,
		       struct buf *out)
{
	struct rd r = { .p = p, .left = len };
	struct field_error why;
	uint16_t last = 0;
	struct field f;

	if (len > CONTEXT_MAX - FIELD_HEADER - 4)
		pmtu = 0;
	while (field_next(&r, &last, &f, &why) > 0) {
		if (f.type > CONTEXT_PMTU && pmtu) {
			field_put_u32(out, CONTEXT_PMTU, FIELD_OPTIONAL, pmtu);
			pmtu = 0;
		}
		if (f.type != CONTEXT_PMTU)
			buf_put(out, f.value.p - FIELD_HEADER,
				f.value.left + FIELD_HEADER);
	}
	if (pmtu)
		field_put_u32(out, CONTEXT_PMTU, FIELD_OPTIONAL, pmtu);
}

bool context_has_keys(const uint8_t *p, size_t len)
{
	struct context_sa info;
	struct field_error why;
	struct fields fs;
	struct alg alg;
	uint16_t type;

	if (outline(p, len, &fs, &info, &why))
		return false;
	for (type = CONTEXT_AEAD; type <= CONTEXT_COMP; type++) {
		if (fs.has[type] && !fields_get_alg(&fs, type, &alg) && alg.key_len)
			return true;
	}
	return false;
}

/* ---- to the kernel ---- */

static void to_alg(struct xfrm_msg *m, const struct fields *fs, uint16_t field)
{
	struct xfrm_algo_auth *auth;	/* the aead's has the same form */
	struct xfrm_algo *plain;
	uint16_t attr;
	struct alg alg;

	_Static_assert(sizeof(struct xfrm_algo_auth) ==
		       sizeof(struct xfrm_algo_aead), "one form for both");
	if (!fs->has[field] || fields_get_alg(fs, field, &alg))
		return;
	if (field == CONTEXT_AEAD || field == CONTEXT_AUTH) {
		attr = field == CONTEXT_AEAD ? XFRMA_ALG_AEAD :
					       XFRMA_ALG_AUTH_TRUNC;
		auth = xfrm_msg_attr(m, attr, sizeof(*auth) + alg.key_len);
		if (!auth)
			return;
		memcpy(auth->alg_name, alg.name, sizeof(alg.name));
		auth->alg_key_len = alg.key_bits;
		auth->alg_trunc_len = alg.param;
		memcpy(auth->alg_key, alg.key, alg.key_len);
		return;
	}
	attr = field == CONTEXT_CRYPT ? XFRMA_ALG_CRYPT : XFRMA_ALG_COMP;
	plain = xfrm_msg_attr(m, attr, sizeof(*plain) + alg.key_len);
	if (!plain)
		return;
	memcpy(plain->alg_name, alg.name, sizeof(alg.name));
	plain->alg_key_len = alg.key_bits;
	memcpy(plain->alg_key, alg.key, alg.key_len);
}

static void to_replay(struct xfrm_msg *m, const struct context_sa *info,
		       const struct record *live)
{
	struct xfrm_replay_state_esn *esn;
	struct xfrm_replay_state legacy;
	uint64_t oseq = live ? live->oseq : 0;
	uint64_t seq = live ? live->seq : 0;

	/* 6.12 refuses the other direction's counter. */
	if (info->dir == XFRMSYNC_DIR_IN)
		oseq = 0;
	if (info->dir == XFRMSYNC_DIR_OUT)
		seq = 0;
	if (!info->large) {
		if (!live)
			return;
		legacy.oseq = oseq;
		legacy.seq = seq;
		legacy.bitmap = live->bmp_words ? live->bmp[0] : 0;
		xfrm_msg_put(m, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy));
		return;
	}
	esn = xfrm_msg_attr(m, XFRMA_REPLAY_ESN_VAL,
		       sizeof(*esn) + info->bmp_words * 4);
	if (!esn)
		return;
	esn->bmp_len = info->bmp_words;
	esn->replay_window = info->window;
	esn->oseq = oseq;
	esn->oseq_hi = oseq >> 32;
	esn->seq = seq;
	esn->seq_hi = seq >> 32;
	if (live && live->bmp_words == info->bmp_words)
		memcpy(esn->bmp, live->bmp, info->bmp_words * 4);
}

static void to_lifetime_cur(struct xfrm_msg *m, const struct record *live)
{
	struct xfrm_lifetime_cur cur = {
		.bytes = live->bytes,
		.packets = live->packets,
		.add_time = live->add_time,
		.use_time = live->use_time,
	};

	xfrm_msg_put(m, XFRMA_LTIME_VAL, &cur, sizeof(cur));
}

static void to_set_mark(struct xfrm_msg *m, const struct fields *fs)
{
	uint32_t v, mask;

	if (!fields_get_mark(fs, CONTEXT_SET_MARK, &v, &mask))
		return;
	xfrm_msg_u32(m, XFRMA_SET_MARK, v);
	xfrm_msg_u32(m, XFRMA_SET_MARK_MASK, mask);
}

static void to_attrs(struct xfrm_msg *m, const struct fields *fs,
		     const struct context_sa *info)
{
	struct xfrm_encap_tmpl encap;
	uint16_t type;

	for (type = CONTEXT_AEAD; type <= CONTEXT_COMP; type++)
		to_alg(m, fs, type);
	if (fs->has[CONTEXT_ENCAP] && !get_encap(fs, info->id.family, &encap))
		xfrm_msg_put(m, XFRMA_ENCAP, &encap, sizeof(encap));
	if (fs->has[CONTEXT_COADDR])
		xfrm_msg_put(m, XFRMA_COADDR, fs->known[CONTEXT_COADDR].value.p, 16);
	fields_to_mark(m, fs);
	to_set_mark(m, fs);
	fields_to_u32(m, fs, CONTEXT_IF_ID, XFRMA_IF_ID);
	fields_to_u32(m, fs, CONTEXT_TFC_PAD, XFRMA_TFCPAD);
	fields_to_u32(m, fs, CONTEXT_MTIMER, XFRMA_MTIMER_THRESH);
	fields_to_u32(m, fs, CONTEXT_KEEPALIVE, XFRM_ATTR_NAT_KEEPALIVE);
	fields_to_u32(m, fs, CONTEXT_PCPU, XFRM_ATTR_SA_PCPU);
	if (info->dir)
		xfrm_msg_put(m, XFRM_ATTR_SA_DIR, &info->dir, 1);
	/* CONTEXT_OFFLOAD is not applied: this node's NIC is another one. */
	fields_to_sec_ctx(m, fs);
	fields_to_vendor(m, fs);
}

int context_to_sa(const uint8_t *p, size_t len, const struct record *live,
		  struct nlmsghdr *nlh, size_t buflen, struct field_error *why)
{
	struct xfrm_msg m = { .nlh = nlh, .room = buflen };
	struct field_error unheard;
	struct xfrm_usersa_info *sa;
	uint32_t flags, extra;
	struct context_sa info;
	struct fields fs;
	int ret;

	ret = outline(p, len, &fs, &info, why ? why : &unheard);
	if (ret)
		return ret;
	sa = xfrm_msg_body(&m, sizeof(*sa));
	if (!sa)
		return -EMSGSIZE;
	ret = fields_selector_here(&fs, &sa->sel);
	if (ret)
		return ret;
	get_flags(&fs, &flags, &extra);
	fields_get_lifetime(&fs, &sa->lft);
	memcpy(&sa->id.daddr, info.id.dst, 16);
	memcpy(&sa->saddr, info.src, 16);
	sa->id.spi = info.id.spi;
	sa->id.proto = info.id.proto;
	sa->family = info.id.family;
	sa->mode = info.mode;
	sa->reqid = info.reqid;
	sa->flags = flags;
	sa->replay_window = info.large ? 0 : info.window;
	to_replay(&m, &info, live);
	if (live)
		to_lifetime_cur(&m, live);
	if (extra)
		xfrm_msg_u32(&m, XFRMA_SA_EXTRA_FLAGS, extra);
	to_attrs(&m, &fs, &info);
	return m.full ? -EMSGSIZE : 0;
}
