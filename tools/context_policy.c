// SPDX-License-Identifier: GPL-2.0
/*
 * In: policies as XFRM netlink tells them, or their contexts.
 * Out: their contexts; messages that make, update or name them.
 * Pure but for interface names.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sodium.h>

#include "context.h"
#include "context_fields.h"

static int put_templates(struct buf *b, const struct xfrm_attrs *a)
{
	const struct xfrm_user_tmpl *t;
	size_t at, n, i;

	t = xfrm_attr_data(a, XFRMA_TMPL, sizeof(*t));
	if (!t)
		return 0;
	n = xfrm_attr_len(a, XFRMA_TMPL) / sizeof(*t);
	if (n > TEMPLATES_MAX)
		return -EBADMSG;
	at = field_begin(b, CONTEXT_TEMPLATES, FIELD_MANDATORY);
	for (i = 0; i < n; i++, t++) {
		buf_u16(b, t->family);
		buf_u8(b, t->id.proto);
		buf_u8(b, t->mode);
		buf_u8(b, t->share);
		buf_u8(b, t->optional);
		buf_u16(b, 0);
		buf_put(b, &t->id.spi, 4);
		buf_u32(b, t->reqid);
		fields_put_addr(b, t->family, &t->id.daddr);
		fields_put_addr(b, t->family, &t->saddr);
		buf_u32(b, t->aalgos);
		buf_u32(b, t->ealgos);
		buf_u32(b, t->calgos);
	}
	field_end(b, at);
	return 0;
}

/* False: it is not canonical. */
static bool read_template(struct rd *r, struct xfrm_user_tmpl *t)
{
	uint16_t zero;

	memset(t, 0, sizeof(*t));
	t->family = rd_u16(r);
	t->id.proto = rd_u8(r);
	t->mode = rd_u8(r);
	t->share = rd_u8(r);
	t->optional = rd_u8(r);
	zero = rd_u16(r);
	rd_copy(r, &t->id.spi, 4);
	t->reqid = rd_u32(r);
	rd_copy(r, &t->id.daddr, 16);
	rd_copy(r, &t->saddr, 16);
	t->aalgos = rd_u32(r);
	t->ealgos = rd_u32(r);
	t->calgos = rd_u32(r);
	return !zero && fields_is_addr(t->family, &t->id.daddr) &&
	       fields_is_addr(t->family, &t->saddr);
}

int context_from_policy(const struct nlmsghdr *nlh, struct buf *out)
{
	const struct xfrm_userpolicy_info *pol = mnl_nlmsg_get_payload(nlh);
	const uint8_t *type;
	struct xfrm_attrs a;
	size_t at;
	int ret;

	ret = xfrm_attrs_parse(nlh, sizeof(*pol), &a);
	if (ret)
		return ret;
	/* Per-socket policies belong to a process of this node. */
	if (pol->dir > XFRM_POLICY_FWD)
		return -EOPNOTSUPP;
	type = xfrm_attr_data(&a, XFRMA_POLICY_TYPE, 1);
	fields_put_selector(out, &pol->sel);
	fields_put_lifetime(out, &pol->lft);
	fields_put_mark(out, &a);
	fields_put_attr_u32(out, &a, XFRMA_IF_ID, CONTEXT_IF_ID, FIELD_MANDATORY);
	fields_put_sec_ctx(out, &a);
	fields_put_offload(out, &a);
	at = field_begin(out, CONTEXT_POLICY, FIELD_MANDATORY);
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
	fields_put_vendor(out, &a);
	if (out->bad)
		return -ENOMEM;
	return out->len > CONTEXT_MAX ? -EBADMSG : 0;
}

static int get_policy(const struct fields *fs, struct xfrm_userpolicy_info *pol,
		      uint32_t *type)
{
	struct rd r = fs->known[CONTEXT_POLICY].value;

	pol->priority = rd_u32(&r);
	pol->dir = rd_u8(&r);
	pol->action = rd_u8(&r);
	pol->flags = rd_u8(&r);
	pol->share = rd_u8(&r);
	*type = rd_u32(&r);
	if (pol->dir > XFRM_POLICY_FWD)
		return fields_bad(fs, CONTEXT_POLICY, "has an unknown direction");
	if (*type > 255)
		return fields_bad(fs, CONTEXT_POLICY, "has an unknown type");
	return 0;
}

static bool addr_is_zero(const void *addr)
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, sizeof(zero));
}

/* IPComp that does not compress is left out: no harm. */
static bool is_spared(uint8_t proto, bool optional)
{
	return optional && proto != IPPROTO_COMP;
}

static void take_template(struct context_policy *info, unsigned int i,
			  const struct xfrm_user_tmpl *t)
{
	info->template[i] = (struct context_template){
		.family = t->family, .proto = t->id.proto, .mode = t->mode,
		.spi = t->id.spi, .reqid = t->reqid, .optional = t->optional,
		.has_dst = !addr_is_zero(&t->id.daddr),
		.has_src = !addr_is_zero(&t->saddr),
	};
	memcpy(info->template[i].dst, &t->id.daddr, 16);
	memcpy(info->template[i].src, &t->saddr, 16);
	info->optional |= is_spared(t->id.proto, t->optional);
}

static int policy_end_points(const struct fields *fs,
			     const struct xfrm_selector *sel,
			     struct context_policy *info)
{
	const struct context_template *first = &info->template[0];
	struct rd r = fs->known[CONTEXT_TEMPLATES].value;
	struct xfrm_user_tmpl t;
	unsigned int i;

	info->family = sel->family;
	info->sel_family = sel->family;
	info->sel_src_len = sel->prefixlen_s;
	info->sel_dst_len = sel->prefixlen_d;
	memcpy(info->sel_src, &sel->saddr, 16);
	memcpy(info->sel_dst, &sel->daddr, 16);
	memcpy(info->src, &sel->saddr, 16);
	memcpy(info->dst, &sel->daddr, 16);
	for (i = 0; i < info->templates; i++) {
		if (!read_template(&r, &t))
			return fields_bad(fs, CONTEXT_TEMPLATES,
					  "is not canonical");
		take_template(info, i, &t);
	}
	info->reqid = first->reqid;
	/* Transport mode templates stand for the packet's own addresses. */
	if (!info->templates || (!first->has_dst && !first->has_src))
		return 0;
	info->family = first->family;
	memcpy(info->src, first->src, 16);
	memcpy(info->dst, first->dst, 16);
	return 0;
}

const char *context_policy_name(const struct context_policy *info)
{
	static const char *const dirs[] = { "in", "out", "fwd" };
	char src[INET6_ADDRSTRLEN] = "any", dst[INET6_ADDRSTRLEN] = "any";
	static char name[160];

	if (!info->named)
		return "a policy";
	inet_ntop(info->sel_family, info->sel_src, src, sizeof(src));
	inet_ntop(info->sel_family, info->sel_dst, dst, sizeof(dst));
	snprintf(name, sizeof(name), "policy %s %s/%u -> %s/%u", dirs[info->dir],
		 src, info->sel_src_len, dst, info->sel_dst_len);
	return name;
}

struct key {
	uint8_t *at, *end;
};

static void key_put(struct key *k, const void *p, size_t len)
{
	size_t room = k->end - k->at;

	if (len > room)
		len = room;
	if (len)
		memcpy(k->at, p, len);
	k->at += len;
}

static void key_u8(struct key *k, uint8_t v)
{
	key_put(k, &v, sizeof(v));
}

static void key_u32(struct key *k, uint32_t v)
{
	v = htobe32(v);
	key_put(k, &v, sizeof(v));
}

static void policy_key(const struct fields *fs, uint32_t type,
		       struct context_policy *info)
{
	struct key k = { info->key, info->key + CONTEXT_KEY_MAX };
	const struct rd *sel = &fs->known[CONTEXT_SELECTOR].value;
	const struct rd *dev = &fs->known[CONTEXT_SEL_DEVICE].value;

	key_u8(&k, info->dir);
	key_u8(&k, type);
	key_u32(&k, info->mark);
	key_u32(&k, info->mark_mask);
	key_u32(&k, info->if_id);
	key_put(&k, sel->p, sel->left);
	if (fs->has[CONTEXT_SEL_DEVICE])
		key_put(&k, dev->p, dev->left);
	/* Of one that is gone: no name, and not none. */
	if (fs->has[CONTEXT_SEL_DEVICE] && !dev->left)
		key_u8(&k, 0);
	info->key_len = k.at - info->key;
}

/* The fields are there, and each is as long as it should be. */
static int take_fields(struct fields *fs, struct context_policy *info)
{
	struct xfrm_userpolicy_info pol;
	uint32_t type = 0;
	size_t templates;
	int ret, gone;

	memset(info, 0, sizeof(*info));
	gone = fields_get_selector(fs, &pol.sel);
	if (gone && gone != -ENODEV)
		return gone;
	ret = get_policy(fs, &pol, &type);
	if (ret)
		return ret;
	templates = fs->has[CONTEXT_TEMPLATES] ?
		    fs->known[CONTEXT_TEMPLATES].value.left : 0;
	if (templates % TEMPLATE_LEN)
		return fields_bad(fs, CONTEXT_TEMPLATES, "has a wrong length");
	fields_get_mark(fs, CONTEXT_MARK, &info->mark, &info->mark_mask);
	fields_get_u32(fs, CONTEXT_IF_ID, &info->if_id);
	info->templates = templates / TEMPLATE_LEN;
	info->dir = pol.dir;
	info->named = true;
	ret = policy_end_points(fs, &pol.sel, info);
	if (ret)
		return ret;
	policy_key(fs, type, info);
	return gone;
}

static int outline(const uint8_t *p, size_t len, struct fields *fs,
		   struct context_policy *info, struct field_error *why)
{
	int ret;

	memset(info, 0, sizeof(*info));
	ret = fields_read(p, len, CONTEXT_IS_POLICY, fs, why);
	return ret ? ret : take_fields(fs, info);
}

/* Of a policy that is refused, what says for which SAs it is. */
static bool salvage(const uint8_t *p, size_t len, struct fields *fs,
		    struct context_policy *info)
{
	struct field_error unheard;

	memset(info, 0, sizeof(*info));
	if (!fields_salvage(p, len, CONTEXT_IS_POLICY, fs, &unheard) ||
	    !fs->has[CONTEXT_SELECTOR] || !fs->has[CONTEXT_POLICY] ||
	    (take_fields(fs, info) && !info->key_len))
		return false;
	/* None is sent without templates: they may stand elsewhere. */
	return info->templates && !fs->bad[CONTEXT_MARK] &&
	       !fs->bad[CONTEXT_IF_ID];
}

/* No other policy has it, so that none is taken for this one. */
static void key_of_bytes(const uint8_t *p, size_t len,
			 struct context_policy *info)
{
	info->key[0] = 0xff;	/* no direction */
	crypto_generichash(info->key + 1, 32, p, len, NULL, 0);
	info->key_len = 33;
}

int context_policy_info(const uint8_t *p, size_t len,
			struct context_policy *info, struct field_error *why)
{
	struct field_error unheard;
	struct fields fs;
	int ret;

	ret = outline(p, len, &fs, info, why ? why : &unheard);
	if (!ret || ret == -ENODEV)
		return ret;
	info->unreadable = !salvage(p, len, &fs, info);
	if (info->unreadable) {
		info->templates = 0;
		info->optional = false;
	}
	if (info->unreadable || fs.bad[CONTEXT_SEL_DEVICE])
		key_of_bytes(p, len, info);
	return ret;
}

int context_key_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	int ret = memcmp(a, b, alen < blen ? alen : blen);

	return ret ? ret : alen < blen ? -1 : alen > blen;
}

static bool has_prefix(const uint8_t *addr, const uint8_t *prefix, uint8_t bits)
{
	uint8_t mask = 0xff << (8 - bits % 8);

	if (bits > 128 || memcmp(addr, prefix, bits / 8))
		return false;
	return !(bits % 8) || !((addr[bits / 8] ^ prefix[bits / 8]) & mask);
}

static bool has_ends(const struct context_template *t)
{
	return t->has_dst || t->has_src;
}

static bool is_tunnel(const struct context_template *t)
{
	return t->mode == XFRM_MODE_TUNNEL || t->mode == XFRM_MODE_BEET;
}

/* An end that is not said is any, as a node's own often is. */
static bool is_of_ends(const struct context_template *t,
		       const struct context_sa *sa)
{
	return t->family == sa->id.family &&
	       (!t->has_dst || !memcmp(t->dst, sa->id.dst, 16)) &&
	       (!t->has_src || !memcmp(t->src, sa->src, 16));
}

/*
 * As xfrm_tmpl_resolve_one: what is not a tunnel is looked for by the packet's own
 * addresses, which are a tunnel's ends behind it. They begin anew with each policy,
 * also where a sub policy has a tunnel and the main one has not.
 */
static bool is_between(const struct context_policy *pol, unsigned int i,
		       const struct context_sa *sa)
{
	const struct context_template *t = &pol->template[i];

	if (is_tunnel(t) && (has_ends(t) || pol->dir != XFRM_POLICY_OUT))
		return is_of_ends(t, sa);
	if (has_ends(t) && is_of_ends(t, sa))
		return true;
	while (i--) {
		t = &pol->template[i];
		if (!is_tunnel(t))
			continue;
		if (is_of_ends(t, sa))
			return true;
		/* One that is optional may not have been there. */
		if (!t->optional)
			return false;
	}
	return pol->sel_family == sa->id.family &&
	       has_prefix(sa->id.dst, pol->sel_dst, pol->sel_dst_len) &&
	       has_prefix(sa->src, pol->sel_src, pol->sel_src_len);
}

/*
 * Outbound, XFRM looks for an SA of the policy's mark and interface. Inbound, it has
 * the SA, and looks for a policy by the packet, whose mark may be another one by then
 * and which no xfrm interface may have taken (xfrm_state_ok).
 */
static bool is_open_to(const struct context_policy *pol,
		       const struct context_sa *sa)
{
	if (pol->dir != XFRM_POLICY_OUT)
		return !pol->if_id || pol->if_id == sa->if_id;
	return pol->if_id == sa->if_id &&
	       (pol->mark & pol->mark_mask & sa->id.mark_mask) == sa->id.mark;
}

static bool template_asks(const struct context_policy *pol, unsigned int i,
			  const struct context_sa *sa)
{
	const struct context_template *t = &pol->template[i];

	return t->proto == sa->id.proto && t->mode == sa->mode &&
	       (!t->reqid || t->reqid == sa->reqid) &&
	       (!t->spi || t->spi == sa->id.spi) && is_between(pol, i, sa);
}

bool context_policy_uses(const struct context_policy *pol,
			 const struct context_sa *sa)
{
	unsigned int i;

	if (!is_open_to(pol, sa))
		return false;
	for (i = 0; i < pol->templates; i++) {
		if (template_asks(pol, i, sa))
			return true;
	}
	return false;
}

bool context_policy_spares(const struct context_policy *pol,
			   const struct context_sa *sa)
{
	const struct context_template *t;
	unsigned int i;

	if (!pol->optional || !is_open_to(pol, sa))
		return false;
	for (i = 0; i < pol->templates; i++) {
		t = &pol->template[i];
		/* Outbound a template without a reqid has no SA with one. */
		if (is_spared(t->proto, t->optional) && template_asks(pol, i, sa) &&
		    (pol->dir != XFRM_POLICY_OUT || t->reqid == sa->reqid))
			return true;
	}
	return false;
}

bool context_policy_set_spi(uint8_t *p, size_t len, const struct context_sa *sa,
			    uint32_t spi)
{
	struct context_policy pol;
	struct field_error why;
	struct fields fs;
	bool found = false;
	unsigned int i;
	size_t at;

	if (outline(p, len, &fs, &pol, &why) || !pol.templates ||
	    !is_open_to(&pol, sa))
		return false;
	at = fs.known[CONTEXT_TEMPLATES].value.p - p;
	for (i = 0; i < pol.templates; i++, at += TEMPLATE_LEN) {
		if (!pol.template[i].spi ||
		    !template_asks(&pol, i, sa))
			continue;
		/* Behind family, protocol, mode, share, optional and a zero. */
		memcpy(p + at + 8, &spi, sizeof(spi));
		found = true;
	}
	return found;
}

static int order(uint32_t reqid, const uint8_t *dst, const struct context_sa *sa)
{
	if (reqid != sa->reqid)
		return reqid < sa->reqid ? -1 : 1;
	return dst ? memcmp(dst, sa->id.dst, sizeof(sa->id.dst)) : 0;
}

int context_sa_order(const void *a, const void *b)
{
	const struct context_sa *x = a;

	return order(x->reqid, x->id.dst, b);
}

/* The first SA that is not before it; dst may be NULL for any. */
static size_t first_of(const struct context_sa *sa, size_t n, uint32_t reqid,
		       const uint8_t *dst)
{
	size_t low = 0, high = n, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (order(reqid, dst, &sa[mid]) > 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool context_policy_uses_any(const struct context_policy *pol,
			     const struct context_sa *sa, size_t n)
{
	const struct context_template *t;
	const uint8_t *dst;
	unsigned int k;
	size_t i;

	for (k = 0; k < pol->templates; k++) {
		t = &pol->template[k];
		dst = t->has_dst && is_tunnel(t) ? t->dst : NULL;
		for (i = t->reqid ? first_of(sa, n, t->reqid, dst) : 0;
		     i < n && (!t->reqid || !order(t->reqid, dst, &sa[i])); i++) {
			if (context_policy_uses(pol, &sa[i]))
				return true;
		}
	}
	return false;
}

static void put_common(struct xfrm_msg *m, const struct fields *fs,
		       uint32_t type)
{
	struct xfrm_userpolicy_type t = { .type = type };

	fields_to_mark(m, fs);
	fields_to_u32(m, fs, CONTEXT_IF_ID, XFRMA_IF_ID);
	if (type != XFRM_POLICY_TYPE_MAIN)
		xfrm_msg_put(m, XFRMA_POLICY_TYPE, &t, sizeof(t));
	fields_to_sec_ctx(m, fs);
}

bool context_policy_was_for(const struct context_policy *gone,
			    const struct context_policy *pol)
{
	size_t same = gone->key_len - 1;

	return gone->key_len && !gone->key[same] && pol->key_len > same &&
	       pol->key[same] && !memcmp(gone->key, pol->key, same);
}

int context_to_policy(const uint8_t *p, size_t len, struct nlmsghdr *nlh,
		      size_t buflen, struct field_error *why)
{
	struct xfrm_msg m = { .nlh = nlh, .room = buflen };
	struct xfrm_userpolicy_info *pol;
	struct context_policy info;
	struct field_error unheard;
	struct xfrm_user_tmpl *t;
	struct fields fs;
	uint32_t type;
	struct rd r;
	size_t i;
	int ret;

	ret = outline(p, len, &fs, &info, why ? why : &unheard);
	if (ret)
		return ret;
	pol = xfrm_msg_body(&m, sizeof(*pol));
	if (!pol)
		return -EMSGSIZE;
	ret = fields_selector_here(&fs, &pol->sel);
	if (ret)
		return ret;
	get_policy(&fs, pol, &type);
	fields_get_lifetime(&fs, &pol->lft);
	put_common(&m, &fs, type);
	if (info.templates) {
		t = xfrm_msg_attr(&m, XFRMA_TMPL, info.templates * sizeof(*t));
		r = fs.known[CONTEXT_TEMPLATES].value;
		for (i = 0; t && i < info.templates; i++)
			read_template(&r, t + i);
	}
	fields_to_vendor(&m, &fs);
	return m.full ? -EMSGSIZE : 0;
}

int context_to_policy_id(const uint8_t *p, size_t len, struct nlmsghdr *nlh,
			 size_t buflen, struct field_error *why)
{
	struct xfrm_msg m = { .nlh = nlh, .room = buflen };
	struct xfrm_userpolicy_info pol;
	struct xfrm_userpolicy_id *id;
	struct context_policy info;
	struct field_error unheard;
	struct fields fs;
	uint32_t type;
	int ret;

	ret = outline(p, len, &fs, &info, why ? why : &unheard);
	if (ret)
		return ret;
	id = xfrm_msg_body(&m, sizeof(*id));
	if (!id)
		return -EMSGSIZE;
	ret = fields_selector_here(&fs, &id->sel);
	if (ret)
		return ret;
	get_policy(&fs, &pol, &type);
	id->dir = pol.dir;
	put_common(&m, &fs, type);
	return m.full ? -EMSGSIZE : 0;
}
