// SPDX-License-Identifier: GPL-2.0
/*
 * In: the fields of a context, and the values that SAs and policies both have.
 * Out: each checked by its rule; from and to XFRM netlink's form.
 * Pure but for interface names; the bytes may hold keys.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sodium.h>

#include "context_fields.h"

#if __BYTE_ORDER == __LITTLE_ENDIAN
#define OUR_ORDER 1
#else
#define OUR_ORDER 2
#endif

/* ---- the rules ---- */

#define IN_SA 1
#define NEED_SA 3
#define IN_POLICY 4
#define NEED_POLICY 12
#define IN_BOTH (IN_SA | IN_POLICY)
#define NEED_BOTH (NEED_SA | NEED_POLICY)

static const struct rule {
	const char *name;
	uint8_t use, class;
	uint16_t min, max;	/* length of the value, bytes */
} rules[] = {
	[CONTEXT_SA_ID] = { "SA_ID", NEED_SA, 'M', 44, 44 },
	[CONTEXT_SELECTOR] = { "SELECTOR", NEED_BOTH, 'M', 52, 52 },
	[CONTEXT_SEL_DEVICE] = { "SEL_DEVICE", IN_BOTH, 'M', 0, IF_NAMESIZE - 1 },
	[CONTEXT_LIFETIME] = { "LIFETIME", NEED_BOTH, 'M', 64, 64 },
	[CONTEXT_SA_FLAGS] = { "SA_FLAGS", NEED_SA, 'M', 8, 8 },
	[CONTEXT_REPLAY] = { "REPLAY", NEED_SA, 'M', 12, 12 },
#define ALG_RULE(name) { name, IN_SA, 'M', 10, 9 + ALG_NAME_MAX + ALG_KEY_MAX }
	[CONTEXT_AEAD] = ALG_RULE("AEAD"),
	[CONTEXT_AUTH] = ALG_RULE("AUTH"),
	[CONTEXT_CRYPT] = ALG_RULE("CRYPT"),
	[CONTEXT_COMP] = ALG_RULE("COMP"),
	[CONTEXT_ENCAP] = { "ENCAP", IN_SA, 'M', 24, 24 },
	[CONTEXT_COADDR] = { "COADDR", IN_SA, 'M', 16, 16 },
	[CONTEXT_MARK] = { "MARK", IN_BOTH, 'M', 8, 8 },
	[CONTEXT_SET_MARK] = { "SET_MARK", IN_SA, 'M', 8, 8 },
	[CONTEXT_IF_ID] = { "IF_ID", IN_BOTH, 'M', 4, 4 },
	[CONTEXT_TFC_PAD] = { "TFC_PAD", IN_SA, 'O', 4, 4 },
	[CONTEXT_SEC_CTX] = { "SEC_CTX", IN_BOTH, 'M', 2, 4096 },
	[CONTEXT_MTIMER] = { "MTIMER", IN_SA, 'O', 4, 4 },
	[CONTEXT_OFFLOAD] = { "OFFLOAD", IN_BOTH, 'O', 2, IF_NAMESIZE },
	[CONTEXT_DIR] = { "DIR", IN_SA, 'O', 4, 4 },
	[CONTEXT_KEEPALIVE] = { "KEEPALIVE", IN_SA, 'O', 4, 4 },
	[CONTEXT_PCPU] = { "PCPU", IN_SA, 'O', 4, 4 },
	[CONTEXT_PMTU] = { "PMTU", IN_SA, 'O', 4, 4 },
	[CONTEXT_POLICY] = { "POLICY", NEED_POLICY, 'M', 12, 12 },
	[CONTEXT_TEMPLATES] = { "TEMPLATES", IN_POLICY, 'M', TEMPLATE_LEN,
				TEMPLATES_MAX * TEMPLATE_LEN },
};

static const struct rule *rule_of(uint16_t type)
{
	if (type > CONTEXT_TEMPLATES || !rules[type].name)
		return NULL;
	return &rules[type];
}

const char *fields_name(uint16_t type)
{
	const struct rule *rule = rule_of(type);

	return rule ? rule->name : NULL;
}

static int say(struct field_error *why, int ret, uint16_t type, const char *what)
{
	why->type = type;
	why->what = what;
	return ret;
}

const char *context_error_str(const struct field_error *e, char *to, size_t size)
{
	const struct rule *rule = rule_of(e->type);

	if (!e->what)
		snprintf(to, size, "nothing is wrong with it");
	else if (!e->type)
		snprintf(to, size, "it %s", e->what);
	else if (rule)
		snprintf(to, size, "field 0x%04x (%s) %s", e->type, rule->name,
			 e->what);
	else
		snprintf(to, size, "field 0x%04x %s", e->type, e->what);
	return to;
}

int fields_bad(const struct fields *fs, uint16_t type, const char *what)
{
	return say(fs->why, -EBADMSG, type, what);
}

static int field_check(const struct field *f, enum context_kind kind,
		       struct field_error *why)
{
	const struct rule *rule = rule_of(f->type);

	if (!rule && f->class == FIELD_MANDATORY)
		return say(why, -EOPNOTSUPP, f->type,
			   "is mandatory, and this version does not know it");
	if (!rule && f->class == FIELD_VENDOR && !f->value.left)
		return say(why, -EBADMSG, f->type, "has no byte order");
	if (!rule)
		return 0;
	if (!(rule->use & (kind == CONTEXT_IS_SA ? IN_SA : IN_POLICY)))
		return say(why, -EBADMSG, f->type, kind == CONTEXT_IS_SA ?
			   "does not belong to an SA" :
			   "does not belong to a policy");
	if (f->class != rule->class)
		return say(why, -EBADMSG, f->type, "has a wrong class");
	if (f->value.left < rule->min || f->value.left > rule->max)
		return say(why, -EBADMSG, f->type, "has a wrong length");
	return 0;
}

/* Of SAs and of both are these; of policies those from CONTEXT_POLICY on. */
#define LAST_SHARED CONTEXT_PMTU

static int fields_missing(const struct fields *fs, enum context_kind kind)
{
	uint8_t need = kind == CONTEXT_IS_SA ? NEED_SA : NEED_POLICY;
	uint16_t type;

	for (type = 1; type <= CONTEXT_TEMPLATES; type++) {
		if (type == LAST_SHARED + 1)
			type = CONTEXT_POLICY;
		if ((rules[type].use & need) == need && !fs->has[type])
			return fields_bad(fs, type, "is missing");
	}
	return 0;
}

/* Between the two there are none, and nothing is cleared. */
static void begin(const uint8_t *p, size_t len, struct fields *fs,
		  struct field_error *why)
{
	memset(fs->known, 0, (LAST_SHARED + 1) * sizeof(fs->known[0]));
	memset(fs->known + CONTEXT_POLICY, 0,
	       (CONTEXT_TEMPLATES + 1 - CONTEXT_POLICY) * sizeof(fs->known[0]));
	memset(fs->has, 0, sizeof(fs->has));
	memset(fs->bad, 0, sizeof(fs->bad));
	memset(why, 0, sizeof(*why));
	fs->others = false;
	fs->whole = false;
	fs->start = p;
	fs->len = len;
	fs->why = why;
}

int fields_read(const uint8_t *p, size_t len, enum context_kind kind,
		struct fields *fs, struct field_error *why)
{
	struct rd r = { .p = p, .left = len };
	uint16_t last = 0;
	struct field f;
	int ret;

	begin(p, len, fs, why);
	if (len > CONTEXT_MAX)
		return fields_bad(fs, 0, "is too long");
	while ((ret = field_next(&r, &last, &f, why)) > 0) {
		ret = field_check(&f, kind, why);
		if (ret)
			return ret;
		if (rule_of(f.type)) {
			fs->known[f.type] = f;
			fs->has[f.type] = true;
		} else {
			fs->others = true;
		}
	}
	if (ret)
		return ret;
	fs->whole = true;
	return fields_missing(fs, kind);
}

bool fields_salvage(const uint8_t *p, size_t len, enum context_kind kind,
		    struct fields *fs, struct field_error *why)
{
	struct rd r = { .p = p, .left = len };
	uint16_t last = 0;
	struct field f;
	int ret;

	begin(p, len, fs, why);
	while ((ret = field_next(&r, &last, &f, why)) > 0) {
		if (!rule_of(f.type)) {
			fs->others = true;
			continue;
		}
		fs->known[f.type] = f;
		fs->bad[f.type] = field_check(&f, kind, why);
		fs->has[f.type] = !fs->bad[f.type];
	}
	fs->whole = !ret;
	return fs->whole;
}

/* ---- values ---- */

void fields_get_u32(const struct fields *fs, uint16_t type, uint32_t *v)
{
	struct rd r = fs->known[type].value;

	if (fs->has[type])
		*v = rd_u32(&r);
}

bool fields_get_mark(const struct fields *fs, uint16_t type, uint32_t *v,
		     uint32_t *m)
{
	struct rd r = fs->known[type].value;

	if (!fs->has[type])
		return false;
	*v = rd_u32(&r);
	*m = rd_u32(&r);
	return true;
}

/* The name of an interface; it has no zeros in it. */
static int get_ifname(const struct fields *fs, char name[IF_NAMESIZE])
{
	struct rd r = fs->known[CONTEXT_SEL_DEVICE].value;

	memset(name, 0, IF_NAMESIZE);
	if (!r.left)
		return say(fs->why, -ENODEV, CONTEXT_SEL_DEVICE,
			   "names an interface that is gone");
	if (memchr(r.p, 0, r.left))
		return fields_bad(fs, CONTEXT_SEL_DEVICE, "is no name");
	rd_copy(&r, name, r.left);
	return 0;
}

int fields_get_selector(const struct fields *fs, struct xfrm_selector *sel)
{
	struct rd r = fs->known[CONTEXT_SELECTOR].value;
	char ifname[IF_NAMESIZE];
	uint32_t padding;
	uint8_t bits;

	memset(sel, 0, sizeof(*sel));
	sel->family = rd_u16(&r);
	sel->proto = rd_u8(&r);
	sel->prefixlen_d = rd_u8(&r);
	sel->prefixlen_s = rd_u8(&r);
	padding = rd_u8(&r);
	padding |= rd_u16(&r);
	rd_copy(&r, &sel->daddr, 16);
	rd_copy(&r, &sel->saddr, 16);
	rd_copy(&r, &sel->dport, 2);
	rd_copy(&r, &sel->dport_mask, 2);
	rd_copy(&r, &sel->sport, 2);
	rd_copy(&r, &sel->sport_mask, 2);
	sel->user = rd_u32(&r);
	bits = sel->family == AF_INET ? 32 : 128;
	if (padding)
		return fields_bad(fs, CONTEXT_SELECTOR, "is not canonical");
	if (sel->family && sel->family != AF_INET && sel->family != AF_INET6)
		return fields_bad(fs, CONTEXT_SELECTOR, "has an unknown family");
	if (sel->prefixlen_d > bits || sel->prefixlen_s > bits)
		return fields_bad(fs, CONTEXT_SELECTOR, "has too long a prefix");
	return fs->has[CONTEXT_SEL_DEVICE] ? get_ifname(fs, ifname) : 0;
}

int fields_selector_here(const struct fields *fs, struct xfrm_selector *sel)
{
	char ifname[IF_NAMESIZE];
	int ret;

	ret = fields_get_selector(fs, sel);
	if (ret || !fs->has[CONTEXT_SEL_DEVICE])
		return ret;
	get_ifname(fs, ifname);
	sel->ifindex = if_nametoindex(ifname);
	return sel->ifindex ? 0 : say(fs->why, -ENODEV, CONTEXT_SEL_DEVICE,
				      "names an interface that is not here");
}

void fields_get_lifetime(const struct fields *fs, struct xfrm_lifetime_cfg *lft)
{
	struct rd r = fs->known[CONTEXT_LIFETIME].value;

	lft->soft_byte_limit = rd_u64(&r);
	lft->hard_byte_limit = rd_u64(&r);
	lft->soft_packet_limit = rd_u64(&r);
	lft->hard_packet_limit = rd_u64(&r);
	lft->soft_add_expires_seconds = rd_u64(&r);
	lft->hard_add_expires_seconds = rd_u64(&r);
	lft->soft_use_expires_seconds = rd_u64(&r);
	lft->hard_use_expires_seconds = rd_u64(&r);
}

bool fields_is_addr(uint16_t family, const void *addr)
{
	static const uint8_t zero[12];

	return family != AF_INET ||
	       !memcmp((const uint8_t *)addr + 4, zero, sizeof(zero));
}

int fields_get_alg(const struct fields *fs, uint16_t type, struct alg *alg)
{
	struct rd r = fs->known[type].value;
	uint8_t name_len;

	memset(alg, 0, sizeof(*alg));
	alg->key_bits = rd_u32(&r);
	alg->param = rd_u32(&r);
	name_len = rd_u8(&r);
	if (!name_len || name_len > ALG_NAME_MAX || name_len > r.left ||
	    memchr(r.p, 0, name_len))
		return fields_bad(fs, type, "names no algorithm");
	rd_copy(&r, alg->name, name_len);
	/* What its kernel does not tell, nobody can know. */
	if ((alg->param && (type == CONTEXT_CRYPT || type == CONTEXT_COMP)) ||
	    (alg->key_bits && type == CONTEXT_COMP))
		return fields_bad(fs, type, "is not canonical");
	if (alg->key_bits > ALG_KEY_MAX * 8)
		return fields_bad(fs, type, "has too long a key");
	alg->key_len = (alg->key_bits + 7) / 8;
	alg->key = rd_bytes(&r, alg->key_len);
	return rd_done(&r) ? 0 : fields_bad(fs, type, "has a wrong length");
}

/* ---- from the kernel ---- */

void fields_put_addr(struct buf *b, uint16_t family, const xfrm_address_t *addr)
{
	static const uint8_t zero[12];

	if (family == AF_INET) {
		buf_put(b, addr, 4);
		buf_put(b, zero, sizeof(zero));
	} else {
		buf_put(b, addr, 16);
	}
}

void fields_put_selector(struct buf *b, const struct xfrm_selector *sel)
{
	size_t at = field_begin(b, CONTEXT_SELECTOR, FIELD_MANDATORY);
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

	/*
	 * Interface numbers are each node's own, names are configured. One that is
	 * gone has none, and nobody takes the context: without the field it would be
	 * for all interfaces.
	 */
	if (!sel->ifindex)
		return;
	at = field_begin(b, CONTEXT_SEL_DEVICE, FIELD_MANDATORY);
	if (if_indextoname(sel->ifindex, ifname))
		buf_put(b, ifname, strlen(ifname));
	field_end(b, at);
}

void fields_put_lifetime(struct buf *b, const struct xfrm_lifetime_cfg *lft)
{
	size_t at = field_begin(b, CONTEXT_LIFETIME, FIELD_MANDATORY);

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

void fields_put_mark(struct buf *b, const struct xfrm_attrs *a)
{
	const struct xfrm_mark *mark = xfrm_attr_data(a, XFRMA_MARK, sizeof(*mark));
	size_t at;

	if (!mark)
		return;
	at = field_begin(b, CONTEXT_MARK, FIELD_MANDATORY);
	buf_u32(b, mark->v);
	buf_u32(b, mark->m);
	field_end(b, at);
}

void fields_put_sec_ctx(struct buf *b, const struct xfrm_attrs *a)
{
	const struct xfrm_user_sec_ctx *sec;
	size_t at, len;

	sec = xfrm_attr_data(a, XFRMA_SEC_CTX, sizeof(*sec));
	if (!sec || sec->ctx_len > xfrm_attr_len(a, XFRMA_SEC_CTX) - sizeof(*sec))
		return;
	len = sec->ctx_len;
	/* SELinux appends a NUL to what it is given, and tells it with it. */
	if (len && !((const char *)(sec + 1))[len - 1])
		len--;
	at = field_begin(b, CONTEXT_SEC_CTX, FIELD_MANDATORY);
	buf_u8(b, sec->ctx_doi);
	buf_u8(b, sec->ctx_alg);
	buf_put(b, sec + 1, len);
	field_end(b, at);
}

void fields_put_offload(struct buf *b, const struct xfrm_attrs *a)
{
	const struct xfrm_user_offload *off;
	char ifname[IF_NAMESIZE];
	size_t at;

	off = xfrm_attr_data(a, XFRMA_OFFLOAD_DEV, sizeof(*off));
	if (!off || !if_indextoname(off->ifindex, ifname))
		return;
	at = field_begin(b, CONTEXT_OFFLOAD, FIELD_OPTIONAL);
	buf_u8(b, off->flags);
	buf_put(b, ifname, strlen(ifname));
	field_end(b, at);
}

void fields_put_attr_u32(struct buf *b, const struct xfrm_attrs *a, int attr,
			 uint16_t type, enum field_class class)
{
	if (xfrm_attr_data(a, attr, 4))
		field_put_u32(b, type, class, xfrm_attr_u32(a, attr));
}

/* Attributes of newer kernels go along as they are: host order of the origin. */
void fields_put_vendor(struct buf *b, const struct xfrm_attrs *a)
{
	size_t at;
	int type;

	for (type = 1; type <= XFRM_ATTR_MAX; type++) {
		if (!a->tb[type] || xfrm_attr_is_known(type))
			continue;
		at = field_begin(b, CONTEXT_VENDOR_BASE | type, FIELD_VENDOR);
		buf_u8(b, OUR_ORDER);
		buf_put(b, mnl_attr_get_payload(a->tb[type]),
			xfrm_attr_len(a, type));
		field_end(b, at);
	}
}

/* ---- to the kernel ---- */

void fields_to_mark(struct xfrm_msg *m, const struct fields *fs)
{
	struct xfrm_mark mark;

	if (fields_get_mark(fs, CONTEXT_MARK, &mark.v, &mark.m))
		xfrm_msg_put(m, XFRMA_MARK, &mark, sizeof(mark));
}

void fields_to_sec_ctx(struct xfrm_msg *m, const struct fields *fs)
{
	struct xfrm_user_sec_ctx *sec;
	struct rd r;
	size_t len;

	if (!fs->has[CONTEXT_SEC_CTX])
		return;
	r = fs->known[CONTEXT_SEC_CTX].value;
	len = r.left - 2;
	sec = xfrm_msg_attr(m, XFRMA_SEC_CTX, sizeof(*sec) + len);
	if (!sec)
		return;
	sec->len = sizeof(*sec) + len;
	sec->exttype = XFRMA_SEC_CTX;
	sec->ctx_doi = rd_u8(&r);
	sec->ctx_alg = rd_u8(&r);
	sec->ctx_len = len;
	rd_copy(&r, sec + 1, len);
}

void fields_to_u32(struct xfrm_msg *m, const struct fields *fs, uint16_t field,
		   uint16_t attr)
{
	uint32_t v = 0;

	fields_get_u32(fs, field, &v);
	if (fs->has[field])
		xfrm_msg_u32(m, attr, v);
}

/*
 * Only of a node with our byte order: nobody here knows what to swap. Nor is one taken
 * that this version knows, of a sender that did not: what such a node had is told by a
 * field of its own or not at all, and of all that are known some are counters and keys,
 * which stand in the message once already; XFRM takes the last one. An option that is
 * left out so is lacking, and named (context_lost()); no number depends on one.
 */
void fields_to_vendor(struct xfrm_msg *m, const struct fields *fs)
{
	struct rd r = { .p = fs->start, .left = fs->len };
	struct field_error why;
	uint16_t last = 0;
	struct field f;

	while (fs->others && field_next(&r, &last, &f, &why) > 0) {
		uint16_t attr = f.type & ~CONTEXT_VENDOR_BASE;

		if (f.class == FIELD_VENDOR && (f.type & CONTEXT_VENDOR_BASE) &&
		    attr <= XFRM_ATTR_MAX && !xfrm_attr_is_known(attr) &&
		    rd_u8(&f.value) == OUR_ORDER)
			xfrm_msg_put(m, attr, f.value.p, f.value.left);
	}
}
