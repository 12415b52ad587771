// SPDX-License-Identifier: GPL-2.0
/*
 * In: an IKE SA of the store, or its context as a peer sent it.
 * Out: the context's values, its canonical form (Documentation/wire.rst), and back.
 * Pure; the bytes hold keys: wipe them, log none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "context_fields.h"
#include "ike_context.h"

#define BASE IKE_CONTEXT_IKE_SA
#define N_FIELDS (IKE_CONTEXT_FIELD_END - BASE)
#define ANY UINT16_MAX

static const struct rule {
	const char *name;
	uint8_t class;
	bool need;
	uint16_t min, max;	/* bytes of the value */
} rules[N_FIELDS] = {
#define RULE(field, ...) [IKE_CONTEXT_##field - BASE] = { #field, __VA_ARGS__ }
	RULE(IKE_SA, 'M', true, 20, 20),
	RULE(HOSTS, 'M', true, 40, 40),
	RULE(MESSAGE_IDS, 'M', true, 8, 8),
	RULE(PROPOSAL, 'M', true, 10, 10),
	RULE(ADDITIONAL_KES, 'M', false, 2, 2 * IKE_CONTEXT_ADD_KES),
	RULE(NONCES, 'M', false, 6, 4 + 2 * IKE_CONTEXT_NONCE_MAX),
	RULE(DH_SECRETS, 'M', false, 5, ANY),
	RULE(REKEYED, 'M', false, 25, 24 + IKE_KEY_MAX),
	RULE(SKEYSEED, 'M', false, 1, IKE_KEY_MAX),
	RULE(SK, 'M', false, 17, 14 + 7 * IKE_CHILD_KEY_MAX),
	RULE(IDENTITIES, 'M', true, 8, 8 + 2 * UINT8_MAX),
	RULE(EAP_IDENTITY, 'O', false, 1, 1 + UINT8_MAX),
	RULE(CREDENTIALS, 'M', true, 1, UINT8_MAX),
	RULE(CONDITIONS, 'M', false, 4, 8),
	RULE(EXTENSIONS, 'M', false, 4, 8),
	RULE(VIRTUAL_IPS, 'M', false, 20, 2 * 20 * IKE_CONTEXT_VIPS),
	RULE(PEER_ADDRESSES, 'O', false, 20, 20 * IKE_CONTEXT_PEER_ADDRS),
	RULE(WINDOW, 'O', false, 4, 4),
	RULE(LIFETIME, 'O', false, 12, 12),
	RULE(VENDOR_ID_LIST, 'O', false, 3, ANY),
	RULE(CHILD_SAS, 'O', false, 8, ANY - 7),
#undef RULE
};

static bool known(uint16_t type)
{
	return type >= BASE && type < IKE_CONTEXT_FIELD_END;
}

const char *ike_context_error_str(const struct field_error *e, char *to,
				  size_t size)
{
	if (!e->type)
		snprintf(to, size, "%s", e->what);
	else if (known(e->type))
		snprintf(to, size, "field 0x%04x (%s) %s", e->type,
			 rules[e->type - BASE].name, e->what);
	else
		snprintf(to, size, "field 0x%04x %s", e->type, e->what);
	return to;
}

void ike_context_exit(struct ike_context *ctx)
{
	buf_free(&ctx->children);
	sodium_memzero(ctx, sizeof(*ctx));
}

/* ---- to bytes ---- */

/* What is not known stands between, where its type belongs. */
struct writer {
	struct buf *b;
	struct rd extra;
	uint16_t last;
	struct field next;
	bool more;
};

static void next_extra(struct writer *w)
{
	struct field_error why;

	do {
		w->more = field_next(&w->extra, &w->last, &w->next, &why) > 0;
	} while (w->more && known(w->next.type));
}

static void flush_extra(struct writer *w, uint32_t below)
{
	size_t at;

	while (w->more && w->next.type < below) {
		at = field_begin(w->b, w->next.type, w->next.class);
		buf_put(w->b, w->next.value.p, w->next.value.left);
		field_end(w->b, at);
		next_extra(w);
	}
}

static size_t begin(struct writer *w, uint16_t type)
{
	flush_extra(w, type);
	return field_begin(w->b, type, rules[type - BASE].class);
}

static void put_part(struct buf *b, const struct ike_part *p)
{
	buf_u16(b, p->len);
	buf_put(b, p->p, p->len);
}

static void put_key(struct buf *b, const struct ike_key *k)
{
	buf_u16(b, k->len);
	buf_put(b, k->p, k->len);
}

static void put_id(struct buf *b, const struct ha_ike_id *id)
{
	buf_u8(b, id->version);
	buf_u8(b, id->initiator);
	buf_u16(b, 0);
	buf_put(b, id->spi_i, 8);
	buf_put(b, id->spi_r, 8);
}

static void put_host(struct buf *b, const struct ha_addr *a)
{
	buf_u16(b, a->family);
	buf_u16(b, a->port);
	buf_put(b, a->addr, 16);
}

static void put_vip(struct buf *b, const struct ha_addr *a, uint8_t whose)
{
	buf_u16(b, a->family);
	buf_u8(b, whose);
	buf_u8(b, 0);
	buf_put(b, a->addr, 16);
}

static void put_head(struct writer *w, const struct ike_context *c)
{
	size_t at = begin(w, IKE_CONTEXT_IKE_SA);

	put_id(w->b, &c->id);
	field_end(w->b, at);
	at = begin(w, IKE_CONTEXT_HOSTS);
	put_host(w->b, &c->local);
	put_host(w->b, &c->remote);
	field_end(w->b, at);
	at = begin(w, IKE_CONTEXT_MESSAGE_IDS);
	buf_u32(w->b, c->mid_i);
	buf_u32(w->b, c->mid_r);
	field_end(w->b, at);
	at = begin(w, IKE_CONTEXT_PROPOSAL);
	buf_u16(w->b, c->algs.encr);
	buf_u16(w->b, c->algs.encr_bits);
	buf_u16(w->b, c->algs.integ);
	buf_u16(w->b, c->algs.prf);
	buf_u16(w->b, c->algs.dh);
	field_end(w->b, at);
}

static void put_bytes(struct writer *w, uint16_t type, const struct ike_part *p)
{
	size_t at;

	if (!p->len)
		return;
	at = begin(w, type);
	buf_put(w->b, p->p, p->len);
	field_end(w->b, at);
}

static void put_nonces(struct writer *w, const struct ike_context *c)
{
	size_t at = begin(w, IKE_CONTEXT_NONCES);

	put_part(w->b, &c->ni);
	put_part(w->b, &c->nr);
	field_end(w->b, at);
}

static void put_secrets(struct writer *w, const struct ike_context *c)
{
	size_t at = begin(w, IKE_CONTEXT_DH_SECRETS);
	unsigned int i;

	for (i = 0; i < c->exchanges; i++) {
		put_part(w->b, &c->exchange[i].secret);
		put_part(w->b, &c->exchange[i].more);
	}
	field_end(w->b, at);
	if (!c->rekeyed)
		return;
	at = begin(w, IKE_CONTEXT_REKEYED);
	put_id(w->b, &c->old);
	buf_u16(w->b, c->old_prf);
	buf_u16(w->b, 0);
	buf_put(w->b, c->old_skd.p, c->old_skd.len);
	field_end(w->b, at);
}

static void put_sk(struct writer *w, const struct ike_keys *k)
{
	size_t at = begin(w, IKE_CONTEXT_SK);

	put_key(w->b, &k->d);
	put_key(w->b, &k->ai);
	put_key(w->b, &k->ar);
	put_key(w->b, &k->ei);
	put_key(w->b, &k->er);
	put_key(w->b, &k->pi);
	put_key(w->b, &k->pr);
	field_end(w->b, at);
}

static void put_keys(struct writer *w, const struct ike_context *c)
{
	if (c->keys_case != IKE_CONTEXT_KEYS)
		put_nonces(w, c);
	if (c->keys_case == IKE_CONTEXT_DH)
		put_secrets(w, c);
	else if (c->keys_case == IKE_CONTEXT_SEED)
		put_bytes(w, IKE_CONTEXT_SKEYSEED,
			  &(struct ike_part){ c->keys.seed.p, c->keys.seed.len });
	else
		put_sk(w, &c->keys);
}

static void put_identities(struct writer *w, const struct ike_context *c)
{
	const struct ike_identity *ids[] = { &c->local_id, &c->remote_id };
	size_t at = begin(w, IKE_CONTEXT_IDENTITIES), i;

	for (i = 0; i < 2; i++) {
		buf_u8(w->b, ids[i]->type);
		buf_u8(w->b, 0);
		put_part(w->b, &ids[i]->id);
	}
	field_end(w->b, at);
	if (c->has_eap_id) {
		at = begin(w, IKE_CONTEXT_EAP_IDENTITY);
		buf_u8(w->b, c->eap_id.type);
		buf_put(w->b, c->eap_id.id.p, c->eap_id.id.len);
		field_end(w->b, at);
	}
	put_bytes(w, IKE_CONTEXT_CREDENTIALS, &c->config);
}

static void put_bits(struct writer *w, uint16_t type, const uint32_t *v,
		     unsigned int n)
{
	unsigned int i;
	size_t at;

	if (!n)
		return;
	at = begin(w, type);
	for (i = 0; i < n; i++)
		buf_u32(w->b, v[i]);
	field_end(w->b, at);
}

static void put_addresses(struct writer *w, const struct ike_context *c)
{
	unsigned int i;
	size_t at;

	if (c->local_vips + c->remote_vips) {
		at = begin(w, IKE_CONTEXT_VIRTUAL_IPS);
		for (i = 0; i < c->local_vips; i++)
			put_vip(w->b, &c->local_vip[i], 0);
		for (i = 0; i < c->remote_vips; i++)
			put_vip(w->b, &c->remote_vip[i], 1);
		field_end(w->b, at);
	}
	if (c->peer_addrs) {
		at = begin(w, IKE_CONTEXT_PEER_ADDRESSES);
		for (i = 0; i < c->peer_addrs; i++)
			put_host(w->b, &c->peer_addr[i]);
		field_end(w->b, at);
	}
}

static void put_rest(struct writer *w, const struct ike_context *c)
{
	const uint32_t life[] = { c->age, c->rekey, c->reauth };
	unsigned int i;
	size_t at;

	put_bits(w, IKE_CONTEXT_WINDOW, &c->window, !!c->window);
	put_bits(w, IKE_CONTEXT_LIFETIME, life, c->has_lifetime ? 3 : 0);
	if (c->vendor_ids) {
		at = begin(w, IKE_CONTEXT_VENDOR_ID_LIST);
		for (i = 0; i < c->vendor_ids; i++)
			put_part(w->b, &c->vendor_id[i]);
		field_end(w->b, at);
	}
	put_bytes(w, IKE_CONTEXT_CHILD_SAS,
		  &(struct ike_part){ c->children.data, c->children.len });
}

static void put_all(const struct ike_context *c, struct buf *out)
{
	struct writer w = {
		.b = out, .extra = { .p = c->extra.p, .left = c->extra.len },
	};

	next_extra(&w);
	put_head(&w, c);
	put_bytes(&w, IKE_CONTEXT_ADDITIONAL_KES, &c->add_kes);
	put_keys(&w, c);
	put_identities(&w, c);
	put_bits(&w, IKE_CONTEXT_CONDITIONS, c->conditions, c->n_conditions);
	put_bits(&w, IKE_CONTEXT_EXTENSIONS, c->extensions, c->n_extensions);
	put_addresses(&w, c);
	put_rest(&w, c);
	flush_extra(&w, UINT32_MAX);
}

/* What is written has to be what a receiver takes. */
int ike_context_encode(const struct ike_context *ctx, struct buf *out)
{
	struct ike_context *again = calloc(1, sizeof(*again));
	size_t start = out->len;
	struct field_error why;
	int ret = -ENOMEM;

	put_all(ctx, out);
	if (again && !out->bad) {
		ret = out->len - start > IKE_CONTEXT_MAX ? -EMSGSIZE :
		      ike_context_decode(out->data + start, out->len - start,
					 again, &why);
		ike_context_exit(again);
	}
	free(again);
	return ret == -EBADMSG || ret == -EOPNOTSUPP ? -EINVAL : ret;
}

/* ---- from bytes ---- */

struct reader {
	struct ike_context *c;
	struct rd r;		/* the value */
	bool seen[N_FIELDS];
};

static bool get_part(struct rd *r, struct ike_part *p, size_t min, size_t max)
{
	p->len = rd_u16(r);
	p->p = rd_bytes(r, p->len);
	return !r->bad && p->len >= min && p->len <= max;
}

static bool get_id(struct rd *r, struct ha_ike_id *id)
{
	uint16_t zero;

	id->version = rd_u8(r);
	id->initiator = rd_u8(r);
	zero = rd_u16(r);
	rd_copy(r, id->spi_i, 8);
	rd_copy(r, id->spi_r, 8);
	return id->version == 2 && id->initiator <= 1 && !zero;
}

static bool get_addr(struct rd *r, struct ha_addr *a, uint16_t family)
{
	a->family = family;
	rd_copy(r, a->addr, 16);
	return (family == AF_INET || family == AF_INET6) &&
	       fields_is_addr(family, a->addr);
}

static bool get_host(struct rd *r, struct ha_addr *a)
{
	uint16_t family = rd_u16(r);

	a->port = rd_u16(r);
	return get_addr(r, a, family);
}

static const char *read_head(struct reader *rd, uint16_t type)
{
	struct ike_context *c = rd->c;

	switch (type) {
	case IKE_CONTEXT_IKE_SA:
		return get_id(&rd->r, &c->id) ? NULL : "is not of an IKEv2 SA";
	case IKE_CONTEXT_HOSTS:
		return get_host(&rd->r, &c->local) && get_host(&rd->r, &c->remote) ?
		       NULL : "has no address";
	case IKE_CONTEXT_MESSAGE_IDS:
		c->mid_i = rd_u32(&rd->r);
		c->mid_r = rd_u32(&rd->r);
		return NULL;
	default:
		c->algs.encr = rd_u16(&rd->r);
		c->algs.encr_bits = rd_u16(&rd->r);
		c->algs.integ = rd_u16(&rd->r);
		c->algs.prf = rd_u16(&rd->r);
		c->algs.dh = rd_u16(&rd->r);
		return NULL;
	}
}

static const char *read_secrets(struct reader *rd)
{
	struct ike_context *c = rd->c;
	unsigned int n;

	for (n = 0; rd->r.left; n++) {
		if (n == IKE_STORE_ADDS)
			return "has too many key exchanges";
		if (!get_part(&rd->r, &c->exchange[n].secret, 1,
			      IKE_CONTEXT_SECRET_MAX) ||
		    !get_part(&rd->r, &c->exchange[n].more, 0,
			      IKE_CONTEXT_SECRET_MAX))
			return "has a secret of a wrong length";
	}
	c->exchanges = n;
	return NULL;
}

static const char *read_rekeyed(struct reader *rd)
{
	struct ike_context *c = rd->c;
	uint16_t zero;

	c->rekeyed = get_id(&rd->r, &c->old);
	c->old_prf = rd_u16(&rd->r);
	zero = rd_u16(&rd->r);
	c->old_skd.len = rd->r.left;
	c->old_skd.p = rd_bytes(&rd->r, rd->r.left);
	return c->rekeyed && !zero ? NULL : "is not of an IKEv2 SA";
}

static bool get_key(struct rd *r, struct ike_key *k, size_t min, size_t max)
{
	struct ike_part p;

	if (!get_part(r, &p, min, max))
		return false;
	k->len = p.len;
	memcpy(k->p, p.p, p.len);
	return true;
}

static const char *read_sk(struct reader *rd)
{
	struct ike_keys *k = &rd->c->keys;

	if (get_key(&rd->r, &k->d, 1, IKE_KEY_MAX) &&
	    get_key(&rd->r, &k->ai, 0, IKE_KEY_MAX) &&
	    get_key(&rd->r, &k->ar, 0, IKE_KEY_MAX) &&
	    get_key(&rd->r, &k->ei, 0, IKE_CHILD_KEY_MAX) &&
	    get_key(&rd->r, &k->er, 0, IKE_CHILD_KEY_MAX) &&
	    get_key(&rd->r, &k->pi, 1, IKE_KEY_MAX) &&
	    get_key(&rd->r, &k->pr, 1, IKE_KEY_MAX) && rd_done(&rd->r))
		return NULL;
	return "has a key of a wrong length";
}

static const char *read_keys(struct reader *rd, uint16_t type)
{
	struct ike_context *c = rd->c;

	switch (type) {
	case IKE_CONTEXT_ADDITIONAL_KES:
		c->add_kes.len = rd->r.left;
		c->add_kes.p = rd_bytes(&rd->r, rd->r.left);
		return c->add_kes.len % 2 ? "has a wrong length" : NULL;
	case IKE_CONTEXT_NONCES:
		return get_part(&rd->r, &c->ni, 1, IKE_CONTEXT_NONCE_MAX) &&
		       get_part(&rd->r, &c->nr, 1, IKE_CONTEXT_NONCE_MAX) ?
		       NULL : "has a nonce of a wrong length";
	case IKE_CONTEXT_DH_SECRETS:
		c->keys_case = IKE_CONTEXT_DH;
		return read_secrets(rd);
	case IKE_CONTEXT_REKEYED:
		return read_rekeyed(rd);
	case IKE_CONTEXT_SKEYSEED:
		c->keys_case = IKE_CONTEXT_SEED;
		c->keys.seed.len = rd->r.left;
		rd_copy(&rd->r, c->keys.seed.p, rd->r.left);
		return NULL;
	default:
		c->keys_case = IKE_CONTEXT_KEYS;
		return read_sk(rd);
	}
}

static bool get_identity(struct rd *r, struct ike_identity *id)
{
	uint8_t zero;

	id->type = rd_u8(r);
	zero = rd_u8(r);
	return get_part(r, &id->id, 0, UINT8_MAX) && !zero;
}

static const char *read_identities(struct reader *rd, uint16_t type)
{
	struct ike_context *c = rd->c;

	switch (type) {
	case IKE_CONTEXT_IDENTITIES:
		return get_identity(&rd->r, &c->local_id) &&
		       get_identity(&rd->r, &c->remote_id) ?
		       NULL : "has an identity of a wrong length";
	case IKE_CONTEXT_EAP_IDENTITY:
		c->has_eap_id = true;
		c->eap_id.type = rd_u8(&rd->r);
		c->eap_id.id.len = rd->r.left;
		c->eap_id.id.p = rd_bytes(&rd->r, rd->r.left);
		return NULL;
	default:
		c->config.len = rd->r.left;
		c->config.p = rd_bytes(&rd->r, rd->r.left);
		return memchr(c->config.p, 0, c->config.len) ? "has a NUL" : NULL;
	}
}

static const char *read_bits(struct reader *rd, uint32_t v[2], unsigned int *n)
{
	for (*n = 0; rd->r.left >= 4; (*n)++)
		v[*n] = rd_u32(&rd->r);
	return NULL;
}

static const char *read_vips(struct reader *rd)
{
	struct ike_context *c = rd->c;
	struct ha_addr a = {};
	uint16_t family;
	uint8_t whose, zero;

	while (rd->r.left) {
		family = rd_u16(&rd->r);
		whose = rd_u8(&rd->r);
		zero = rd_u8(&rd->r);
		if (!get_addr(&rd->r, &a, family) || rd->r.bad || zero || whose > 1)
			return "has no address";
		if (!whose && c->remote_vips)
			return "is out of order";
		if (c->local_vips + !whose > IKE_CONTEXT_VIPS ||
		    c->remote_vips + whose > IKE_CONTEXT_VIPS)
			return "has too many addresses";
		if (whose)
			c->remote_vip[c->remote_vips++] = a;
		else
			c->local_vip[c->local_vips++] = a;
	}
	return NULL;
}

static const char *read_peer_addrs(struct reader *rd)
{
	struct ike_context *c = rd->c;

	while (rd->r.left && c->peer_addrs < IKE_CONTEXT_PEER_ADDRS) {
		if (!get_host(&rd->r, &c->peer_addr[c->peer_addrs++]))
			return "has no address";
	}
	return NULL;
}

static const char *read_lifetime(struct reader *rd)
{
	rd->c->has_lifetime = true;
	rd->c->age = rd_u32(&rd->r);
	rd->c->rekey = rd_u32(&rd->r);
	rd->c->reauth = rd_u32(&rd->r);
	return NULL;
}

static const char *read_vendor_ids(struct reader *rd)
{
	struct ike_context *c = rd->c;

	while (rd->r.left) {
		if (c->vendor_ids == IKE_CONTEXT_VENDOR_IDS)
			return "has too many of them";
		if (!get_part(&rd->r, &c->vendor_id[c->vendor_ids++], 1,
			      IKE_CONTEXT_SECRET_MAX))
			return "has one of a wrong length";
	}
	return NULL;
}

static const char *read_children(struct reader *rd)
{
	if (rd->r.left % 8)
		return "has a wrong length";
	buf_put(&rd->c->children, rd->r.p, rd->r.left);
	rd_bytes(&rd->r, rd->r.left);
	return NULL;
}

static const char *read_value(struct reader *rd, uint16_t type)
{
	struct ike_context *c = rd->c;

	switch (type) {
	case IKE_CONTEXT_IKE_SA ... IKE_CONTEXT_PROPOSAL:
		return read_head(rd, type);
	case IKE_CONTEXT_ADDITIONAL_KES ... IKE_CONTEXT_SK:
		return read_keys(rd, type);
	case IKE_CONTEXT_IDENTITIES ... IKE_CONTEXT_CREDENTIALS:
		return read_identities(rd, type);
	case IKE_CONTEXT_CONDITIONS:
		return read_bits(rd, c->conditions, &c->n_conditions);
	case IKE_CONTEXT_EXTENSIONS:
		return read_bits(rd, c->extensions, &c->n_extensions);
	case IKE_CONTEXT_VIRTUAL_IPS:
		return read_vips(rd);
	case IKE_CONTEXT_PEER_ADDRESSES:
		return read_peer_addrs(rd);
	case IKE_CONTEXT_WINDOW:
		c->window = rd_u32(&rd->r);
		return c->window ? NULL : "is 0";
	case IKE_CONTEXT_LIFETIME:
		return read_lifetime(rd);
	case IKE_CONTEXT_VENDOR_ID_LIST:
		return read_vendor_ids(rd);
	default:
		return read_children(rd);
	}
}

static int bad(struct field_error *why, uint16_t type, const char *what, int ret)
{
	why->type = type;
	why->what = what;
	return ret;
}

static int read_field(struct reader *rd, const struct field *f,
		      struct field_error *why)
{
	const struct rule *rule = &rules[f->type - BASE];
	const char *wrong;

	if (f->class != rule->class)
		return bad(why, f->type, "has a wrong class", -EBADMSG);
	if (f->value.left < rule->min || f->value.left > rule->max)
		return bad(why, f->type, "has a wrong length", -EBADMSG);
	rd->seen[f->type - BASE] = true;
	rd->r = f->value;
	wrong = read_value(rd, f->type);
	if (!wrong && !rd_done(&rd->r))
		wrong = "has a wrong length";
	return wrong ? bad(why, f->type, wrong, -EBADMSG) : 0;
}

#define SEEN(rd, field) ((rd)->seen[IKE_CONTEXT_##field - BASE])

static int check_whole(const struct reader *rd, struct field_error *why)
{
	bool dh = SEEN(rd, DH_SECRETS), seed = SEEN(rd, SKEYSEED);
	uint16_t i;

	for (i = 0; i < N_FIELDS; i++) {
		if (rules[i].need && !rd->seen[i])
			return bad(why, BASE + i, "is missing", -EBADMSG);
	}
	if (dh + seed + SEEN(rd, SK) != 1)
		return bad(why, 0, "has none of the three kinds of keys, or more",
			   -EBADMSG);
	if ((dh || seed) != SEEN(rd, NONCES))
		return bad(why, IKE_CONTEXT_NONCES,
			   "goes with DH secrets or SKEYSEED", -EBADMSG);
	if (SEEN(rd, REKEYED) && !dh)
		return bad(why, IKE_CONTEXT_REKEYED, "goes with DH secrets",
			   -EBADMSG);
	return 0;
}

int ike_context_decode(const uint8_t *p, size_t len, struct ike_context *ctx,
		       struct field_error *why)
{
	struct reader rd = { .c = ctx };
	struct rd list = { .p = p, .left = len };
	uint16_t last = 0;
	struct field f;
	int ret;

	memset(ctx, 0, sizeof(*ctx));
	ctx->extra = (struct ike_part){ p, len };
	if (len > IKE_CONTEXT_MAX)
		return bad(why, 0, "is too long", -EBADMSG);
	while ((ret = field_next(&list, &last, &f, why)) > 0) {
		if (known(f.type))
			ret = read_field(&rd, &f, why);
		else if (f.class == FIELD_MANDATORY)
			ret = bad(why, f.type, "is mandatory, and this version does not know it",
				  -EOPNOTSUPP);
		else
			ret = 0;
		if (ret)
			return ret;
	}
	if (!ret)
		ret = check_whole(&rd, why);
	if (!ret && ctx->children.bad)
		ret = bad(why, 0, "no memory", -ENOMEM);
	return ret;
}
