// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs and policies as XFRM netlink tells them, or as a peer sent them.
 * Out: contexts, their canonical form (Documentation/wire.rst), and back.
 * Pure but for interface names; the bytes hold keys: wipe them, log none.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <linux/xfrmsync.h>
#include <sodium.h>

#include "context.h"

/* Newer than Debian 12's headers; the numbers are the kernel's ABI. */
#define ATTR_SA_DIR 33
#define ATTR_NAT_KEEPALIVE 34
#define ATTR_SA_PCPU 35
#define ATTR_MAX 255

#define ALG_NAME_MAX 63
#define ALG_KEY_MAX 4096	/* bytes */
#define TEMPLATES_MAX 6		/* XFRM_MAX_DEPTH */
#define TEMPLATE_LEN 60
#define FIELD_HEADER 8

#if __BYTE_ORDER == __LITTLE_ENDIAN
#define OUR_ORDER 1
#else
#define OUR_ORDER 2
#endif

/* ---- writing ---- */

static size_t field_begin(struct buf *b, uint16_t type, uint8_t class)
{
	buf_u16(b, type);
	buf_u8(b, class);
	buf_u8(b, 0);
	buf_u32(b, 0);
	return b->len;
}

static void field_end(struct buf *b, size_t start)
{
	buf_set_u32(b, start - 4, b->len - start);
}

static void field_u32(struct buf *b, uint16_t type, uint8_t class, uint32_t v)
{
	size_t at = field_begin(b, type, class);

	buf_u32(b, v);
	field_end(b, at);
}

struct attrs {
	const struct nlattr *tb[ATTR_MAX + 1];
};

static int attrs_parse(const struct nlmsghdr *nlh, size_t body, struct attrs *a)
{
	const struct nlattr *attr;

	memset(a, 0, sizeof(*a));
	if (mnl_nlmsg_get_payload_len(nlh) < body)
		return -EBADMSG;
	mnl_attr_for_each(attr, nlh, body) {
		if (mnl_attr_get_type(attr) <= ATTR_MAX)
			a->tb[mnl_attr_get_type(attr)] = attr;
	}
	return 0;
}

/* The attribute's payload, when it has at least len bytes. */
static const void *attr_data(const struct attrs *a, int type, size_t len)
{
	const struct nlattr *attr = a->tb[type];

	if (!attr || mnl_attr_get_payload_len(attr) < len)
		return NULL;
	return mnl_attr_get_payload(attr);
}

static uint32_t attr_u32(const struct attrs *a, int type)
{
	const void *p = attr_data(a, type, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

static void put_addr(struct buf *b, uint16_t family, const xfrm_address_t *addr)
{
	static const uint8_t zero[12];

	if (family == AF_INET) {
		buf_put(b, addr, 4);
		buf_put(b, zero, sizeof(zero));
	} else {
		buf_put(b, addr, 16);
	}
}

static void put_selector(struct buf *b, const struct xfrm_selector *sel)
{
	size_t at = field_begin(b, CONTEXT_SELECTOR, CONTEXT_MANDATORY);
	char ifname[IF_NAMESIZE];

	buf_u16(b, sel->family);
	buf_u8(b, sel->proto);
	buf_u8(b, sel->prefixlen_d);
	buf_u8(b, sel->prefixlen_s);
	buf_u8(b, 0);
	buf_u16(b, 0);
	buf_put(b, &sel->daddr, 16);
	buf_put(b, &sel->saddr, 16);
	buf_put(b, &sel->dport, 2);
	buf_put(b, &sel->dport_mask, 2);
	buf_put(b, &sel->sport, 2);
	buf_put(b, &sel->sport_mask, 2);
	buf_u32(b, sel->user);
	field_end(b, at);

	/* Interface numbers are each node's own, names are configured. */
	if (sel->ifindex && if_indextoname(sel->ifindex, ifname)) {
		at = field_begin(b, CONTEXT_SEL_DEVICE, CONTEXT_MANDATORY);
		buf_put(b, ifname, strlen(ifname));
		field_end(b, at);
	}
}

static void put_lifetime(struct buf *b, const struct xfrm_lifetime_cfg *lft)
{
	size_t at = field_begin(b, CONTEXT_LIFETIME, CONTEXT_MANDATORY);

	buf_u64(b, lft->soft_byte_limit);
	buf_u64(b, lft->hard_byte_limit);
	buf_u64(b, lft->soft_packet_limit);
	buf_u64(b, lft->hard_packet_limit);
	buf_u64(b, lft->soft_add_expires_seconds);
	buf_u64(b, lft->hard_add_expires_seconds);
	buf_u64(b, lft->soft_use_expires_seconds);
	buf_u64(b, lft->hard_use_expires_seconds);
	field_end(b, at);
}

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
	at = field_begin(b, type, CONTEXT_MANDATORY);
	buf_u32(b, key_bits);
	buf_u32(b, param);
	buf_u8(b, name_len);
	buf_put(b, name, name_len);
	buf_put(b, key, bytes);
	field_end(b, at);
	return 0;
}

static int put_algs(struct buf *b, const struct attrs *a)
{
	const struct xfrm_algo_aead *aead;
	const struct xfrm_algo_auth *auth;
	const struct xfrm_algo *alg;
	int ret = 0;

	aead = attr_data(a, XFRMA_ALG_AEAD, sizeof(*aead));
	if (aead)
		ret = put_alg(b, CONTEXT_AEAD, aead->alg_name, aead->alg_key_len,
			      aead->alg_icv_len, aead->alg_key,
			      mnl_attr_get_payload_len(a->tb[XFRMA_ALG_AEAD]) -
			      sizeof(*aead));
	auth = attr_data(a, XFRMA_ALG_AUTH_TRUNC, sizeof(*auth));
	alg = attr_data(a, XFRMA_ALG_AUTH, sizeof(*alg));
	if (auth && !ret)
		ret = put_alg(b, CONTEXT_AUTH, auth->alg_name, auth->alg_key_len,
			      auth->alg_trunc_len, auth->alg_key,
			      mnl_attr_get_payload_len(a->tb[XFRMA_ALG_AUTH_TRUNC]) -
			      sizeof(*auth));
	else if (alg && !ret)
		ret = put_alg(b, CONTEXT_AUTH, alg->alg_name, alg->alg_key_len,
			      0, alg->alg_key,
			      mnl_attr_get_payload_len(a->tb[XFRMA_ALG_AUTH]) -
			      sizeof(*alg));
	alg = attr_data(a, XFRMA_ALG_CRYPT, sizeof(*alg));
	if (alg && !ret)
		ret = put_alg(b, CONTEXT_CRYPT, alg->alg_name, alg->alg_key_len,
			      0, alg->alg_key,
			      mnl_attr_get_payload_len(a->tb[XFRMA_ALG_CRYPT]) -
			      sizeof(*alg));
	/* The kernel tells IPComp without its (unused) key. */
	alg = attr_data(a, XFRMA_ALG_COMP, sizeof(*alg));
	if (alg && !ret)
		ret = put_alg(b, CONTEXT_COMP, alg->alg_name, 0, 0, NULL, 0);
	return ret;
}

static void put_sec_ctx(struct buf *b, const struct attrs *a)
{
	const struct xfrm_user_sec_ctx *sec;
	size_t at, room;

	sec = attr_data(a, XFRMA_SEC_CTX, sizeof(*sec));
	if (!sec)
		return;
	room = mnl_attr_get_payload_len(a->tb[XFRMA_SEC_CTX]) - sizeof(*sec);
	if (sec->ctx_len > room)
		return;
	at = field_begin(b, CONTEXT_SEC_CTX, CONTEXT_MANDATORY);
	buf_u8(b, sec->ctx_doi);
	buf_u8(b, sec->ctx_alg);
	buf_put(b, sec + 1, sec->ctx_len);
	field_end(b, at);
}

static void put_mark(struct buf *b, const struct attrs *a)
{
	const struct xfrm_mark *mark = attr_data(a, XFRMA_MARK, sizeof(*mark));
	size_t at;

	if (!mark)
		return;
	at = field_begin(b, CONTEXT_MARK, CONTEXT_MANDATORY);
	buf_u32(b, mark->v);
	buf_u32(b, mark->m);
	field_end(b, at);
}

static void put_set_mark(struct buf *b, const struct attrs *a)
{
	size_t at;

	if (!a->tb[XFRMA_SET_MARK])
		return;
	at = field_begin(b, CONTEXT_SET_MARK, CONTEXT_MANDATORY);
	buf_u32(b, attr_u32(a, XFRMA_SET_MARK));
	buf_u32(b, a->tb[XFRMA_SET_MARK_MASK] ?
		attr_u32(a, XFRMA_SET_MARK_MASK) : UINT32_MAX);
	field_end(b, at);
}

static void put_offload(struct buf *b, const struct attrs *a)
{
	const struct xfrm_user_offload *off;
	char ifname[IF_NAMESIZE];
	size_t at;

	off = attr_data(a, XFRMA_OFFLOAD_DEV, sizeof(*off));
	if (!off || !if_indextoname(off->ifindex, ifname))
		return;
	at = field_begin(b, CONTEXT_OFFLOAD, CONTEXT_OPTIONAL);
	buf_u8(b, off->flags);
	buf_put(b, ifname, strlen(ifname));
	field_end(b, at);
}

static void put_encap(struct buf *b, const struct attrs *a, uint16_t family)
{
	const struct xfrm_encap_tmpl *encap;
	size_t at;

	encap = attr_data(a, XFRMA_ENCAP, sizeof(*encap));
	if (!encap)
		return;
	at = field_begin(b, CONTEXT_ENCAP, CONTEXT_MANDATORY);
	buf_u16(b, encap->encap_type);
	buf_put(b, &encap->encap_sport, 2);
	buf_put(b, &encap->encap_dport, 2);
	buf_u16(b, 0);
	put_addr(b, family, &encap->encap_oa);
	field_end(b, at);
}

static bool attr_is_known(int type)
{
	switch (type) {
	case XFRMA_ALG_AUTH ... XFRMA_ENCAP:
	case XFRMA_TMPL:
	case XFRMA_SA:
	case XFRMA_POLICY:
	case XFRMA_SEC_CTX ... XFRMA_ETIMER_THRESH:
	case XFRMA_SRCADDR:
	case XFRMA_COADDR:
	case XFRMA_LASTUSED:
	case XFRMA_POLICY_TYPE:
	case XFRMA_ALG_AEAD:
	case XFRMA_ALG_AUTH_TRUNC:
	case XFRMA_MARK:
	case XFRMA_TFCPAD:
	case XFRMA_REPLAY_ESN_VAL:
	case XFRMA_SA_EXTRA_FLAGS:
	case XFRMA_PAD:
	case XFRMA_OFFLOAD_DEV ... XFRMA_MTIMER_THRESH:
	case ATTR_SA_DIR:
	case ATTR_NAT_KEEPALIVE:
	case ATTR_SA_PCPU:
		return true;
	default:
		return false;
	}
}

/* Attributes of newer kernels go along as they are: host order of the origin. */
static void put_vendor(struct buf *b, const struct attrs *a)
{
	size_t at;
	int type;

	for (type = 1; type <= ATTR_MAX; type++) {
		if (!a->tb[type] || attr_is_known(type))
			continue;
		at = field_begin(b, CONTEXT_VENDOR_BASE | type, CONTEXT_VENDOR);
		buf_u8(b, OUR_ORDER);
		buf_put(b, mnl_attr_get_payload(a->tb[type]),
			mnl_attr_get_payload_len(a->tb[type]));
		field_end(b, at);
	}
}

static void put_sa_head(struct buf *b, const struct xfrm_usersa_info *sa,
			const struct attrs *a)
{
	const struct xfrm_replay_state_esn *esn;
	size_t at;

	at = field_begin(b, CONTEXT_SA_ID, CONTEXT_MANDATORY);
	buf_u16(b, sa->family);
	buf_u8(b, sa->id.proto);
	buf_u8(b, sa->mode);
	buf_put(b, &sa->id.spi, 4);
	buf_u32(b, sa->reqid);
	put_addr(b, sa->family, &sa->id.daddr);
	put_addr(b, sa->family, &sa->saddr);
	field_end(b, at);
	put_selector(b, &sa->sel);
	put_lifetime(b, &sa->lft);

	at = field_begin(b, CONTEXT_SA_FLAGS, CONTEXT_MANDATORY);
	buf_u32(b, sa->flags);
	buf_u32(b, attr_u32(a, XFRMA_SA_EXTRA_FLAGS));
	field_end(b, at);

	esn = attr_data(a, XFRMA_REPLAY_ESN_VAL, sizeof(*esn));
	at = field_begin(b, CONTEXT_REPLAY, CONTEXT_MANDATORY);
	buf_u32(b, esn ? 1 : 0);
	buf_u32(b, esn ? esn->replay_window : sa->replay_window);
	buf_u32(b, esn ? esn->bmp_len : 0);
	field_end(b, at);
}

static void put_opt_u32(struct buf *b, const struct attrs *a, int attr,
			uint16_t type, uint8_t class)
{
	if (attr_data(a, attr, 4))
		field_u32(b, type, class, attr_u32(a, attr));
}

static void put_sa_tail(struct buf *b, const struct xfrm_usersa_info *sa,
			const struct attrs *a)
{
	const xfrm_address_t *coaddr = attr_data(a, XFRMA_COADDR, 16);
	const uint8_t *dir = attr_data(a, ATTR_SA_DIR, 1);
	size_t at;

	put_encap(b, a, sa->family);
	if (coaddr) {
		at = field_begin(b, CONTEXT_COADDR, CONTEXT_MANDATORY);
		put_addr(b, sa->family, coaddr);
		field_end(b, at);
	}
	put_mark(b, a);
	put_set_mark(b, a);
	put_opt_u32(b, a, XFRMA_IF_ID, CONTEXT_IF_ID, CONTEXT_MANDATORY);
	put_opt_u32(b, a, XFRMA_TFCPAD, CONTEXT_TFC_PAD, CONTEXT_OPTIONAL);
	put_sec_ctx(b, a);
	put_opt_u32(b, a, XFRMA_MTIMER_THRESH, CONTEXT_MTIMER, CONTEXT_OPTIONAL);
	put_offload(b, a);
	/* Optional: a kernel without SA directions does well without. */
	if (dir)
		field_u32(b, CONTEXT_DIR, CONTEXT_OPTIONAL, *dir);
	put_opt_u32(b, a, ATTR_NAT_KEEPALIVE, CONTEXT_KEEPALIVE, CONTEXT_OPTIONAL);
	put_opt_u32(b, a, ATTR_SA_PCPU, CONTEXT_PCPU, CONTEXT_OPTIONAL);
	put_vendor(b, a);
}

int context_from_sa(const struct nlmsghdr *nlh, struct buf *out)
{
	const struct xfrm_usersa_info *sa = mnl_nlmsg_get_payload(nlh);
	struct attrs a;
	int ret;

	ret = attrs_parse(nlh, sizeof(*sa), &a);
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

/* ---- reading ---- */

struct field {
	uint16_t type;
	uint8_t class;
	struct rd value;
};

/* All the fields of a context; those of V and unknown O stay unread in it. */
struct fields {
	struct field known[CONTEXT_TEMPLATES + 1];
	bool has[CONTEXT_TEMPLATES + 1];
	const uint8_t *start;
	size_t len;
};

/* Return: 1 a field, 0 the end, -EBADMSG. */
static int field_next(struct rd *r, int *last, struct field *f)
{
	uint32_t len;

	if (!r->left)
		return 0;
	f->type = rd_u16(r);
	f->class = rd_u8(r);
	if (rd_u8(r))
		return -EBADMSG;
	len = rd_u32(r);
	f->value.left = len;
	f->value.bad = false;
	f->value.p = rd_bytes(r, len);
	/* Strictly ascending: one form for one context, and no doubles. */
	if (r->bad || f->type <= *last)
		return -EBADMSG;
	if (f->class != CONTEXT_MANDATORY && f->class != CONTEXT_OPTIONAL &&
	    f->class != CONTEXT_VENDOR)
		return -EBADMSG;
	*last = f->type;
	return 1;
}

static bool field_is_known(uint16_t type)
{
	return (type >= CONTEXT_SA_ID && type <= CONTEXT_PCPU) ||
	       type == CONTEXT_POLICY || type == CONTEXT_TEMPLATES;
}

static int fields_read(const uint8_t *p, size_t len, struct fields *fs)
{
	struct rd r = { .p = p, .left = len };
	struct field f;
	int last = 0;
	int ret;

	memset(fs, 0, sizeof(*fs));
	fs->start = p;
	fs->len = len;
	if (len > CONTEXT_MAX)
		return -EBADMSG;
	while ((ret = field_next(&r, &last, &f)) > 0) {
		if (field_is_known(f.type)) {
			fs->known[f.type] = f;
			fs->has[f.type] = true;
		} else if (f.class == CONTEXT_MANDATORY) {
			ret = -EOPNOTSUPP;
			break;
		} else if (f.class == CONTEXT_VENDOR && !f.value.left) {
			ret = -EBADMSG;
			break;
		}
	}
	return ret;
}

struct alg {
	char name[ALG_NAME_MAX + 1];
	uint32_t key_bits, param;
	const uint8_t *key;	/* in place */
	size_t key_len;
};

static int read_alg(struct rd r, struct alg *alg)
{
	uint8_t name_len;

	memset(alg, 0, sizeof(*alg));
	alg->key_bits = rd_u32(&r);
	alg->param = rd_u32(&r);
	name_len = rd_u8(&r);
	if (!name_len || name_len > ALG_NAME_MAX)
		return -EBADMSG;
	rd_copy(&r, alg->name, name_len);
	if (memchr(alg->name, 0, name_len) ||
	    alg->key_bits > ALG_KEY_MAX * 8)
		return -EBADMSG;
	alg->key_len = (alg->key_bits + 7) / 8;
	alg->key = rd_bytes(&r, alg->key_len);
	return rd_done(&r) ? 0 : -EBADMSG;
}

static int read_selector(struct rd r, struct xfrm_selector *sel)
{
	memset(sel, 0, sizeof(*sel));
	sel->family = rd_u16(&r);
	sel->proto = rd_u8(&r);
	sel->prefixlen_d = rd_u8(&r);
	sel->prefixlen_s = rd_u8(&r);
	rd_u8(&r);
	rd_u16(&r);
	rd_copy(&r, &sel->daddr, 16);
	rd_copy(&r, &sel->saddr, 16);
	rd_copy(&r, &sel->dport, 2);
	rd_copy(&r, &sel->dport_mask, 2);
	rd_copy(&r, &sel->sport, 2);
	rd_copy(&r, &sel->sport_mask, 2);
	sel->user = rd_u32(&r);
	return rd_done(&r) ? 0 : -EBADMSG;
}

static int read_ifname(struct rd r, char name[IF_NAMESIZE])
{
	memset(name, 0, IF_NAMESIZE);
	if (!r.left || r.left >= IF_NAMESIZE || memchr(r.p, 0, r.left))
		return -EBADMSG;
	rd_copy(&r, name, r.left);
	return 0;
}

static int read_lifetime(struct rd r, struct xfrm_lifetime_cfg *lft)
{
	lft->soft_byte_limit = rd_u64(&r);
	lft->hard_byte_limit = rd_u64(&r);
	lft->soft_packet_limit = rd_u64(&r);
	lft->hard_packet_limit = rd_u64(&r);
	lft->soft_add_expires_seconds = rd_u64(&r);
	lft->hard_add_expires_seconds = rd_u64(&r);
	lft->soft_use_expires_seconds = rd_u64(&r);
	lft->hard_use_expires_seconds = rd_u64(&r);
	return rd_done(&r) ? 0 : -EBADMSG;
}

static int read_mark(struct rd r, uint32_t *v, uint32_t *m)
{
	*v = rd_u32(&r);
	*m = rd_u32(&r);
	return rd_done(&r) ? 0 : -EBADMSG;
}

/* A field of one u32; *v stays where the field is missing. */
static int read_u32(const struct fields *fs, uint16_t type, uint32_t *v)
{
	struct rd r;

	if (!fs->has[type])
		return 0;
	r = fs->known[type].value;
	*v = rd_u32(&r);
	return rd_done(&r) ? 0 : -EBADMSG;
}

static int read_encap(struct rd r, struct xfrm_encap_tmpl *encap)
{
	memset(encap, 0, sizeof(*encap));
	encap->encap_type = rd_u16(&r);
	rd_copy(&r, &encap->encap_sport, 2);
	rd_copy(&r, &encap->encap_dport, 2);
	rd_u16(&r);
	rd_copy(&r, &encap->encap_oa, 16);
	return rd_done(&r) ? 0 : -EBADMSG;
}

static int read_sa_id(struct rd r, struct context_sa *info)
{
	info->id.family = rd_u16(&r);
	info->id.proto = rd_u8(&r);
	info->mode = rd_u8(&r);
	rd_copy(&r, &info->id.spi, 4);
	info->reqid = rd_u32(&r);
	rd_copy(&r, info->id.dst, 16);
	rd_copy(&r, info->src, 16);
	if (!rd_done(&r))
		return -EBADMSG;
	if (info->id.family != AF_INET && info->id.family != AF_INET6)
		return -EBADMSG;
	return 0;
}

static int read_replay(struct rd r, struct context_sa *info)
{
	uint32_t kind = rd_u32(&r);

	info->window = rd_u32(&r);
	info->bmp_words = rd_u32(&r);
	info->large = kind == 1;
	if (!rd_done(&r) || kind > 1)
		return -EBADMSG;
	if (!info->large)
		return info->bmp_words || info->window > 255 ? -EBADMSG : 0;
	if (info->bmp_words > RECORD_BMP_WORDS ||
	    info->window > info->bmp_words * 32)
		return -EBADMSG;
	return 0;
}

static int read_flags(struct rd r, uint32_t *flags, uint32_t *extra)
{
	*flags = rd_u32(&r);
	*extra = rd_u32(&r);
	return rd_done(&r) && *flags <= 255 ? 0 : -EBADMSG;
}

/* Checks all fields of an SA that have a fixed form. */
static int sa_outline(const struct fields *fs, struct context_sa *info)
{
	uint32_t flags = 0, extra, dir = 0, v = 0, m;
	struct xfrm_lifetime_cfg lft;
	struct xfrm_encap_tmpl encap;
	char ifname[IF_NAMESIZE];
	struct xfrm_selector sel;
	struct alg alg;
	int i, bad;

	memset(info, 0, sizeof(*info));
	for (i = CONTEXT_SA_ID; i <= CONTEXT_REPLAY; i++) {
		if (i != CONTEXT_SEL_DEVICE && !fs->has[i])
			return -EBADMSG;
	}
	if (fs->has[CONTEXT_POLICY] || fs->has[CONTEXT_TEMPLATES])
		return -EBADMSG;
	bad = read_sa_id(fs->known[CONTEXT_SA_ID].value, info);
	bad |= read_selector(fs->known[CONTEXT_SELECTOR].value, &sel);
	bad |= read_lifetime(fs->known[CONTEXT_LIFETIME].value, &lft);
	bad |= read_flags(fs->known[CONTEXT_SA_FLAGS].value, &flags, &extra);
	bad |= read_replay(fs->known[CONTEXT_REPLAY].value, info);
	for (i = CONTEXT_AEAD; i <= CONTEXT_COMP; i++) {
		if (fs->has[i])
			bad |= read_alg(fs->known[i].value, &alg);
	}
	sodium_memzero(&alg, sizeof(alg));
	if (fs->has[CONTEXT_SEL_DEVICE])
		bad |= read_ifname(fs->known[CONTEXT_SEL_DEVICE].value, ifname);
	if (fs->has[CONTEXT_ENCAP])
		bad |= read_encap(fs->known[CONTEXT_ENCAP].value, &encap);
	if (fs->has[CONTEXT_COADDR])
		bad |= fs->known[CONTEXT_COADDR].value.left != 16;
	if (fs->has[CONTEXT_OFFLOAD] && fs->known[CONTEXT_OFFLOAD].value.left)
		info->packet_offload = fs->known[CONTEXT_OFFLOAD].value.p[0] &
				       XFRM_OFFLOAD_PACKET;
	if (fs->has[CONTEXT_MARK])
		bad |= read_mark(fs->known[CONTEXT_MARK].value, &info->id.mark,
				 &info->id.mark_mask);
	if (fs->has[CONTEXT_SET_MARK])
		bad |= read_mark(fs->known[CONTEXT_SET_MARK].value, &v, &m);
	if (fs->has[CONTEXT_SEC_CTX])
		bad |= fs->known[CONTEXT_SEC_CTX].value.left < 2 ||
		       fs->known[CONTEXT_SEC_CTX].value.left > 4096;
	bad |= read_u32(fs, CONTEXT_IF_ID, &info->if_id);
	bad |= read_u32(fs, CONTEXT_TFC_PAD, &v);
	bad |= read_u32(fs, CONTEXT_MTIMER, &v);
	bad |= read_u32(fs, CONTEXT_KEEPALIVE, &v);
	bad |= read_u32(fs, CONTEXT_PCPU, &v);
	bad |= read_u32(fs, CONTEXT_DIR, &dir);
	info->esn = flags & XFRM_STATE_ESN;
	if (dir == XFRMSYNC_DIR_IN || dir == XFRMSYNC_DIR_OUT)
		info->dir = dir;
	if (info->esn && !info->large)
		return -EBADMSG;
	return bad ? -EBADMSG : 0;
}

int context_sa_info(const uint8_t *p, size_t len, struct context_sa *info)
{
	struct fields fs;
	int ret;

	ret = fields_read(p, len, &fs);
	return ret ? ret : sa_outline(&fs, info);
}

/* ---- to netlink ---- */

struct out {
	struct nlmsghdr *nlh;
	size_t buflen;
	bool full;
};

static void *out_attr(struct out *o, uint16_t type, size_t len)
{
	struct nlattr *attr = mnl_nlmsg_get_payload_tail(o->nlh);
	size_t need = MNL_ALIGN(MNL_ATTR_HDRLEN + len);

	if (o->full || MNL_ALIGN(o->nlh->nlmsg_len) + need > o->buflen) {
		o->full = true;
		return NULL;
	}
	memset(attr, 0, need);
	attr->nla_type = type;
	attr->nla_len = MNL_ATTR_HDRLEN + len;
	o->nlh->nlmsg_len = MNL_ALIGN(o->nlh->nlmsg_len) + need;
	return mnl_attr_get_payload(attr);
}

static void out_put(struct out *o, uint16_t type, const void *p, size_t len)
{
	void *to = out_attr(o, type, len);

	if (to)
		memcpy(to, p, len);
}

static void out_u32(struct out *o, uint16_t type, uint32_t v)
{
	out_put(o, type, &v, sizeof(v));
}

static void *out_body(struct out *o, size_t len)
{
	if (o->nlh->nlmsg_len + MNL_ALIGN(len) > o->buflen) {
		o->full = true;
		return NULL;
	}
	return mnl_nlmsg_put_extra_header(o->nlh, len);
}

static void out_alg(struct out *o, const struct fields *fs, uint16_t field)
{
	struct xfrm_algo_auth *auth;	/* the aead's has the same form */
	struct xfrm_algo *plain;
	uint16_t attr;
	struct alg alg;

	_Static_assert(sizeof(struct xfrm_algo_auth) ==
		       sizeof(struct xfrm_algo_aead), "one form for both");
	if (!fs->has[field] || read_alg(fs->known[field].value, &alg))
		return;
	if (field == CONTEXT_AEAD || field == CONTEXT_AUTH) {
		attr = field == CONTEXT_AEAD ? XFRMA_ALG_AEAD :
					       XFRMA_ALG_AUTH_TRUNC;
		auth = out_attr(o, attr, sizeof(*auth) + alg.key_len);
		if (!auth)
			return;
		memcpy(auth->alg_name, alg.name, sizeof(alg.name));
		auth->alg_key_len = alg.key_bits;
		auth->alg_trunc_len = alg.param;
		memcpy(auth->alg_key, alg.key, alg.key_len);
		return;
	}
	attr = field == CONTEXT_CRYPT ? XFRMA_ALG_CRYPT : XFRMA_ALG_COMP;
	plain = out_attr(o, attr, sizeof(*plain) + alg.key_len);
	if (!plain)
		return;
	memcpy(plain->alg_name, alg.name, sizeof(alg.name));
	plain->alg_key_len = alg.key_bits;
	memcpy(plain->alg_key, alg.key, alg.key_len);
}

static void out_replay(struct out *o, const struct context_sa *info,
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
		out_put(o, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy));
		return;
	}
	esn = out_attr(o, XFRMA_REPLAY_ESN_VAL,
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

static void out_lifetime_cur(struct out *o, const struct record *live)
{
	struct xfrm_lifetime_cur cur = {
		.bytes = live->bytes,
		.packets = live->packets,
		.add_time = live->add_time,
		.use_time = live->use_time,
	};

	out_put(o, XFRMA_LTIME_VAL, &cur, sizeof(cur));
}

static void out_sec_ctx(struct out *o, const struct fields *fs)
{
	struct xfrm_user_sec_ctx *sec;
	struct rd r;
	size_t len;

	if (!fs->has[CONTEXT_SEC_CTX])
		return;
	r = fs->known[CONTEXT_SEC_CTX].value;
	len = r.left - 2;
	sec = out_attr(o, XFRMA_SEC_CTX, sizeof(*sec) + len);
	if (!sec)
		return;
	sec->len = sizeof(*sec) + len;
	sec->exttype = XFRMA_SEC_CTX;
	sec->ctx_doi = rd_u8(&r);
	sec->ctx_alg = rd_u8(&r);
	sec->ctx_len = len;
	rd_copy(&r, sec + 1, len);
}

static void out_mark(struct out *o, const struct fields *fs)
{
	struct xfrm_mark mark;

	if (!fs->has[CONTEXT_MARK] ||
	    read_mark(fs->known[CONTEXT_MARK].value, &mark.v, &mark.m))
		return;
	out_put(o, XFRMA_MARK, &mark, sizeof(mark));
}

static void out_opt_u32(struct out *o, const struct fields *fs, uint16_t field,
			uint16_t attr)
{
	uint32_t v = 0;

	if (fs->has[field] && !read_u32(fs, field, &v))
		out_u32(o, attr, v);
}

/* Only of a node with our byte order: nobody here knows what to swap. */
static void out_vendor(struct out *o, const struct fields *fs)
{
	struct rd r = { .p = fs->start, .left = fs->len };
	struct field f;
	int last = 0;

	while (field_next(&r, &last, &f) > 0) {
		uint16_t attr = f.type & ~CONTEXT_VENDOR_BASE;

		if (f.class != CONTEXT_VENDOR ||
		    !(f.type & CONTEXT_VENDOR_BASE) || attr > ATTR_MAX ||
		    attr_is_known(attr) || rd_u8(&f.value) != OUR_ORDER)
			continue;
		out_put(o, attr, f.value.p, f.value.left);
	}
}

static int selector_to_kernel(const struct fields *fs, struct xfrm_selector *sel)
{
	char ifname[IF_NAMESIZE];
	int ret;

	ret = read_selector(fs->known[CONTEXT_SELECTOR].value, sel);
	if (ret || !fs->has[CONTEXT_SEL_DEVICE])
		return ret;
	ret = read_ifname(fs->known[CONTEXT_SEL_DEVICE].value, ifname);
	if (ret)
		return ret;
	sel->ifindex = if_nametoindex(ifname);
	return sel->ifindex ? 0 : -ENODEV;
}

static void out_sa_attrs(struct out *o, const struct fields *fs,
			 const struct context_sa *info, uint32_t extra)
{
	struct xfrm_encap_tmpl encap;
	uint32_t v, m;
	uint8_t dir;
	int i;

	for (i = CONTEXT_AEAD; i <= CONTEXT_COMP; i++)
		out_alg(o, fs, i);
	if (fs->has[CONTEXT_ENCAP] &&
	    !read_encap(fs->known[CONTEXT_ENCAP].value, &encap))
		out_put(o, XFRMA_ENCAP, &encap, sizeof(encap));
	if (fs->has[CONTEXT_COADDR])
		out_put(o, XFRMA_COADDR, fs->known[CONTEXT_COADDR].value.p, 16);
	out_mark(o, fs);
	if (fs->has[CONTEXT_SET_MARK] &&
	    !read_mark(fs->known[CONTEXT_SET_MARK].value, &v, &m)) {
		out_u32(o, XFRMA_SET_MARK, v);
		out_u32(o, XFRMA_SET_MARK_MASK, m);
	}
	out_opt_u32(o, fs, CONTEXT_IF_ID, XFRMA_IF_ID);
	out_opt_u32(o, fs, CONTEXT_TFC_PAD, XFRMA_TFCPAD);
	out_opt_u32(o, fs, CONTEXT_MTIMER, XFRMA_MTIMER_THRESH);
	out_opt_u32(o, fs, CONTEXT_KEEPALIVE, ATTR_NAT_KEEPALIVE);
	out_opt_u32(o, fs, CONTEXT_PCPU, ATTR_SA_PCPU);
	if (extra)
		out_u32(o, XFRMA_SA_EXTRA_FLAGS, extra);
	if (info->dir) {
		dir = info->dir;
		out_put(o, ATTR_SA_DIR, &dir, 1);
	}
	/* CONTEXT_OFFLOAD is not applied: this node's NIC is another one. */
	out_sec_ctx(o, fs);
	out_vendor(o, fs);
}

int context_to_sa(const uint8_t *p, size_t len, const struct record *live,
		  struct nlmsghdr *nlh, size_t buflen)
{
	struct out o = { .nlh = nlh, .buflen = buflen };
	struct xfrm_usersa_info *sa;
	uint32_t flags, extra;
	struct context_sa info;
	struct fields fs;
	int ret;

	ret = fields_read(p, len, &fs);
	if (!ret)
		ret = sa_outline(&fs, &info);
	if (ret)
		return ret;
	sa = out_body(&o, sizeof(*sa));
	if (!sa)
		return -EMSGSIZE;
	memset(sa, 0, sizeof(*sa));
	ret = selector_to_kernel(&fs, &sa->sel);
	if (ret)
		return ret;
	read_flags(fs.known[CONTEXT_SA_FLAGS].value, &flags, &extra);
	read_lifetime(fs.known[CONTEXT_LIFETIME].value, &sa->lft);
	memcpy(&sa->id.daddr, info.id.dst, 16);
	memcpy(&sa->saddr, info.src, 16);
	sa->id.spi = info.id.spi;
	sa->id.proto = info.id.proto;
	sa->family = info.id.family;
	sa->mode = info.mode;
	sa->reqid = info.reqid;
	sa->flags = flags;
	sa->replay_window = info.large ? 0 : info.window;
	out_replay(&o, &info, live);
	if (live)
		out_lifetime_cur(&o, live);
	out_sa_attrs(&o, &fs, &info, extra);
	return o.full ? -EMSGSIZE : 0;
}

/* ---- identity ---- */

static const uint16_t key_fields[] = {
	CONTEXT_AEAD, CONTEXT_AUTH, CONTEXT_CRYPT, CONTEXT_COMP,
};

#define N_KEY_FIELDS (sizeof(key_fields) / sizeof(key_fields[0]))

uint64_t context_tag(const uint8_t *p, size_t len, const uint8_t key[32])
{
	crypto_generichash_state h;
	struct context_sa info;
	struct fields fs;
	uint64_t tag = 0;
	uint32_t word;
	uint8_t out[16];
	size_t i;

	if (fields_read(p, len, &fs) || sa_outline(&fs, &info))
		return 0;
	crypto_generichash_init(&h, key, 32, sizeof(out));
	word = htobe32((uint32_t)info.id.family << 16 | info.id.proto);
	crypto_generichash_update(&h, (void *)&word, 4);
	crypto_generichash_update(&h, (void *)&info.id.spi, 4);
	crypto_generichash_update(&h, info.id.dst, 16);
	word = htobe32(info.id.mark);
	crypto_generichash_update(&h, (void *)&word, 4);
	word = htobe32(info.id.mark_mask);
	crypto_generichash_update(&h, (void *)&word, 4);
	for (i = 0; i < N_KEY_FIELDS; i++) {
		const struct field *f = &fs.known[key_fields[i]];

		if (!fs.has[key_fields[i]])
			continue;
		/* With the field's header, so that no two lists run together. */
		crypto_generichash_update(&h, f->value.p - FIELD_HEADER,
					  f->value.left + FIELD_HEADER);
	}
	crypto_generichash_final(&h, out, sizeof(out));
	memcpy(&tag, out, sizeof(tag));
	sodium_memzero(&h, sizeof(h));
	tag = be64toh(tag);
	return tag ? tag : 1;
}

bool context_same_keys(const uint8_t *a, size_t alen, const uint8_t *b,
		       size_t blen)
{
	struct context_sa ia, ib;
	struct fields fa, fb;
	size_t i;

	if (fields_read(a, alen, &fa) || fields_read(b, blen, &fb) ||
	    sa_outline(&fa, &ia) || sa_outline(&fb, &ib) ||
	    !sa_id_equal(&ia.id, &ib.id))
		return false;
	for (i = 0; i < N_KEY_FIELDS; i++) {
		uint16_t type = key_fields[i];
		const struct rd *ra = &fa.known[type].value;
		const struct rd *rb = &fb.known[type].value;

		if (fa.has[type] != fb.has[type] || ra->left != rb->left)
			return false;
		if (fa.has[type] && sodium_memcmp(ra->p, rb->p, ra->left))
			return false;
	}
	return true;
}

/* The next mandatory field; false at the end. */
static bool next_mandatory(struct rd *r, int *last, struct field *f)
{
	while (field_next(r, last, f) > 0) {
		if (f->class == CONTEXT_MANDATORY)
			return true;
	}
	return false;
}

bool context_same_parameters(const uint8_t *a, size_t alen, const uint8_t *b,
			     size_t blen)
{
	struct rd ra = { .p = a, .left = alen }, rb = { .p = b, .left = blen };
	int last_a = 0, last_b = 0;
	struct field fa, fb;

	for (;;) {
		bool more = next_mandatory(&ra, &last_a, &fa);

		if (more != next_mandatory(&rb, &last_b, &fb))
			return false;
		if (!more)
			return true;
		if (fa.type != fb.type || fa.value.left != fb.value.left ||
		    sodium_memcmp(fa.value.p, fb.value.p, fa.value.left))
			return false;
	}
}

/* ---- policies ---- */

static int put_templates(struct buf *b, const struct attrs *a)
{
	const struct xfrm_user_tmpl *t;
	size_t at, n, i;

	t = attr_data(a, XFRMA_TMPL, sizeof(*t));
	if (!t)
		return 0;
	n = mnl_attr_get_payload_len(a->tb[XFRMA_TMPL]) / sizeof(*t);
	if (n > TEMPLATES_MAX)
		return -EBADMSG;
	at = field_begin(b, CONTEXT_TEMPLATES, CONTEXT_MANDATORY);
	for (i = 0; i < n; i++, t++) {
		buf_u16(b, t->family);
		buf_u8(b, t->id.proto);
		buf_u8(b, t->mode);
		buf_u8(b, t->share);
		buf_u8(b, t->optional);
		buf_u16(b, 0);
		buf_put(b, &t->id.spi, 4);
		buf_u32(b, t->reqid);
		put_addr(b, t->family, &t->id.daddr);
		put_addr(b, t->family, &t->saddr);
		buf_u32(b, t->aalgos);
		buf_u32(b, t->ealgos);
		buf_u32(b, t->calgos);
	}
	field_end(b, at);
	return 0;
}

static void read_template(struct rd *r, struct xfrm_user_tmpl *t)
{
	memset(t, 0, sizeof(*t));
	t->family = rd_u16(r);
	t->id.proto = rd_u8(r);
	t->mode = rd_u8(r);
	t->share = rd_u8(r);
	t->optional = rd_u8(r);
	rd_u16(r);
	rd_copy(r, &t->id.spi, 4);
	t->reqid = rd_u32(r);
	rd_copy(r, &t->id.daddr, 16);
	rd_copy(r, &t->saddr, 16);
	t->aalgos = rd_u32(r);
	t->ealgos = rd_u32(r);
	t->calgos = rd_u32(r);
}

int context_from_policy(const struct nlmsghdr *nlh, struct buf *out)
{
	const struct xfrm_userpolicy_info *pol = mnl_nlmsg_get_payload(nlh);
	const uint8_t *type;
	struct attrs a;
	size_t at;
	int ret;

	ret = attrs_parse(nlh, sizeof(*pol), &a);
	if (ret)
		return ret;
	/* Per-socket policies belong to a process of this node. */
	if (pol->dir > XFRM_POLICY_FWD)
		return -EOPNOTSUPP;
	type = attr_data(&a, XFRMA_POLICY_TYPE, 1);
	put_selector(out, &pol->sel);
	put_lifetime(out, &pol->lft);
	put_mark(out, &a);
	put_opt_u32(out, &a, XFRMA_IF_ID, CONTEXT_IF_ID, CONTEXT_MANDATORY);
	put_sec_ctx(out, &a);
	put_offload(out, &a);
	at = field_begin(out, CONTEXT_POLICY, CONTEXT_MANDATORY);
	buf_u32(out, pol->priority);
	buf_u8(out, pol->dir);
	buf_u8(out, pol->action);
	buf_u8(out, pol->flags);
	buf_u8(out, pol->share);
	buf_u32(out, type ? *type : XFRM_POLICY_TYPE_MAIN);
	field_end(out, at);
	ret = put_templates(out, &a);
	if (ret)
		return ret;
	put_vendor(out, &a);
	if (out->bad)
		return -ENOMEM;
	return out->len > CONTEXT_MAX ? -EBADMSG : 0;
}

static int read_policy(struct rd r, struct xfrm_userpolicy_info *pol,
		       uint32_t *type)
{
	pol->priority = rd_u32(&r);
	pol->dir = rd_u8(&r);
	pol->action = rd_u8(&r);
	pol->flags = rd_u8(&r);
	pol->share = rd_u8(&r);
	*type = rd_u32(&r);
	if (!rd_done(&r) || pol->dir > XFRM_POLICY_FWD || *type > 255)
		return -EBADMSG;
	return 0;
}

static bool addr_is_zero(const void *addr)
{
	return sodium_is_zero(addr, 16);
}

static void policy_end_points(const struct fields *fs,
			      const struct xfrm_selector *sel,
			      struct context_policy *info)
{
	struct xfrm_user_tmpl t, first;
	unsigned int i;
	struct rd r;

	info->family = sel->family;
	memcpy(info->src, &sel->saddr, 16);
	memcpy(info->dst, &sel->daddr, 16);
	if (!info->templates)
		return;
	r = fs->known[CONTEXT_TEMPLATES].value;
	read_template(&r, &t);
	first = t;
	info->reqid = t.reqid;
	for (i = 0; i < info->templates; i++) {
		/* IPComp that does not compress is left out: no harm. */
		info->optional |= t.optional && t.id.proto != IPPROTO_COMP;
		if (i + 1 < info->templates)
			read_template(&r, &t);
	}
	t = first;
	/* Transport mode templates stand for the packet's own addresses. */
	if (addr_is_zero(&t.id.daddr) && addr_is_zero(&t.saddr))
		return;
	info->family = t.family;
	memcpy(info->src, &t.saddr, 16);
	memcpy(info->dst, &t.id.daddr, 16);
}

static void policy_name(const struct xfrm_selector *sel,
			struct context_policy *info)
{
	static const char *const dirs[] = { "in", "out", "fwd" };
	char src[INET6_ADDRSTRLEN] = "any", dst[INET6_ADDRSTRLEN] = "any";

	inet_ntop(sel->family, &sel->saddr, src, sizeof(src));
	inet_ntop(sel->family, &sel->daddr, dst, sizeof(dst));
	snprintf(info->name, sizeof(info->name), "policy %s %s/%u -> %s/%u",
		 dirs[info->dir], src, sel->prefixlen_s, dst,
		 sel->prefixlen_d);
}

static void policy_key(const struct fields *fs, uint32_t type,
		       struct context_policy *info)
{
	struct buf b = {};
	const struct rd *sel = &fs->known[CONTEXT_SELECTOR].value;
	const struct rd *dev = &fs->known[CONTEXT_SEL_DEVICE].value;

	buf_u8(&b, info->dir);
	buf_u8(&b, type);
	buf_u32(&b, info->mark);
	buf_u32(&b, info->mark_mask);
	buf_u32(&b, info->if_id);
	buf_put(&b, sel->p, sel->left);
	if (fs->has[CONTEXT_SEL_DEVICE])
		buf_put(&b, dev->p, dev->left);
	info->key_len = b.len < CONTEXT_KEY_MAX ? b.len : CONTEXT_KEY_MAX;
	if (b.data)
		memcpy(info->key, b.data, info->key_len);
	buf_free(&b);
}

static int policy_outline(const struct fields *fs, struct context_policy *info)
{
	struct xfrm_userpolicy_info pol;
	struct xfrm_lifetime_cfg lft;
	char ifname[IF_NAMESIZE];
	uint32_t type = 0;
	size_t len;
	int bad;

	memset(info, 0, sizeof(*info));
	if (!fs->has[CONTEXT_SELECTOR] || !fs->has[CONTEXT_LIFETIME] ||
	    !fs->has[CONTEXT_POLICY] || fs->has[CONTEXT_SA_ID])
		return -EBADMSG;
	bad = read_selector(fs->known[CONTEXT_SELECTOR].value, &pol.sel);
	bad |= read_lifetime(fs->known[CONTEXT_LIFETIME].value, &lft);
	bad |= read_policy(fs->known[CONTEXT_POLICY].value, &pol, &type);
	if (fs->has[CONTEXT_MARK])
		bad |= read_mark(fs->known[CONTEXT_MARK].value, &info->mark,
				 &info->mark_mask);
	bad |= read_u32(fs, CONTEXT_IF_ID, &info->if_id);
	if (fs->has[CONTEXT_SEL_DEVICE])
		bad |= read_ifname(fs->known[CONTEXT_SEL_DEVICE].value, ifname);
	if (fs->has[CONTEXT_SEC_CTX])
		bad |= fs->known[CONTEXT_SEC_CTX].value.left < 2 ||
		       fs->known[CONTEXT_SEC_CTX].value.left > 4096;
	len = fs->has[CONTEXT_TEMPLATES] ?
	      fs->known[CONTEXT_TEMPLATES].value.left : 0;
	if (bad || len % TEMPLATE_LEN || len > TEMPLATES_MAX * TEMPLATE_LEN)
		return -EBADMSG;
	info->templates = len / TEMPLATE_LEN;
	info->dir = pol.dir;
	policy_end_points(fs, &pol.sel, info);
	policy_key(fs, type, info);
	policy_name(&pol.sel, info);
	return 0;
}

int context_policy_info(const uint8_t *p, size_t len,
			struct context_policy *info)
{
	struct fields fs;
	int ret;

	ret = fields_read(p, len, &fs);
	return ret ? ret : policy_outline(&fs, info);
}

static void out_policy_common(struct out *o, const struct fields *fs,
			      uint32_t type)
{
	struct xfrm_userpolicy_type t = { .type = type };

	out_mark(o, fs);
	out_opt_u32(o, fs, CONTEXT_IF_ID, XFRMA_IF_ID);
	if (type != XFRM_POLICY_TYPE_MAIN)
		out_put(o, XFRMA_POLICY_TYPE, &t, sizeof(t));
	out_sec_ctx(o, fs);
}

int context_to_policy(const uint8_t *p, size_t len, struct nlmsghdr *nlh,
		      size_t buflen)
{
	struct out o = { .nlh = nlh, .buflen = buflen };
	struct xfrm_userpolicy_info *pol;
	struct context_policy info;
	struct xfrm_user_tmpl *t;
	struct fields fs;
	uint32_t type;
	struct rd r;
	size_t i;
	int ret;

	ret = fields_read(p, len, &fs);
	if (!ret)
		ret = policy_outline(&fs, &info);
	if (ret)
		return ret;
	pol = out_body(&o, sizeof(*pol));
	if (!pol)
		return -EMSGSIZE;
	memset(pol, 0, sizeof(*pol));
	ret = selector_to_kernel(&fs, &pol->sel);
	if (ret)
		return ret;
	read_policy(fs.known[CONTEXT_POLICY].value, pol, &type);
	read_lifetime(fs.known[CONTEXT_LIFETIME].value, &pol->lft);
	out_policy_common(&o, &fs, type);
	if (info.templates) {
		t = out_attr(&o, XFRMA_TMPL, info.templates * sizeof(*t));
		r = fs.known[CONTEXT_TEMPLATES].value;
		for (i = 0; t && i < info.templates; i++)
			read_template(&r, t + i);
	}
	out_vendor(&o, &fs);
	return o.full ? -EMSGSIZE : 0;
}

int context_to_policy_id(const uint8_t *p, size_t len, struct nlmsghdr *nlh,
			 size_t buflen)
{
	struct out o = { .nlh = nlh, .buflen = buflen };
	struct xfrm_userpolicy_info pol;
	struct xfrm_userpolicy_id *id;
	struct context_policy info;
	struct fields fs;
	uint32_t type;
	int ret;

	ret = fields_read(p, len, &fs);
	if (!ret)
		ret = policy_outline(&fs, &info);
	if (ret)
		return ret;
	id = out_body(&o, sizeof(*id));
	if (!id)
		return -EMSGSIZE;
	memset(id, 0, sizeof(*id));
	ret = selector_to_kernel(&fs, &id->sel);
	if (ret)
		return ret;
	read_policy(fs.known[CONTEXT_POLICY].value, &pol, &type);
	id->dir = pol.dir;
	out_policy_common(&o, &fs, type);
	return o.full ? -EMSGSIZE : 0;
}
