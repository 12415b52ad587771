// SPDX-License-Identifier: GPL-2.0
/*
 * In: an IKE SA of the store; a context.
 * Out: its context; the messages that make it in a charon.
 * Pure; the bytes hold keys.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "ike_context.h"

/* ---- of an IKE SA ---- */

static struct ike_part part_of(const struct ha_attr *a)
{
	return a ? (struct ike_part){ a->bytes.p, a->bytes.len } :
		   (struct ike_part){ NULL, 0 };
}

static void take_add(struct ike_context *c, const struct ha_msg *msg)
{
	const struct ha_attr *old = ha_find(msg, HA_ATTR_IKE_REKEY_ID);
	struct ike_exchange x;

	ike_exchange_of(msg, &x);
	c->exchange[c->exchanges].secret = x.secret;
	c->exchange[c->exchanges].more = x.more;
	if (c->exchanges++)
		return;
	ike_algs_of(msg, &c->algs);
	c->add_kes = part_of(ha_find(msg, HA_ATTR_ALG_ADD_KES));
	c->ni = x.ni;
	c->nr = x.nr;
	if (!old || !x.old_skd.len)
		return;
	c->rekeyed = true;
	c->old = old->ike;
	c->old_prf = x.old_prf;
	c->old_skd = x.old_skd;
}

static int take_adds(struct ike_context *c, const struct ike_sa *sa,
		     struct ha_msg *msg)
{
	unsigned int i;

	for (i = 0; i < sa->adds; i++) {
		if (!ike_store_parse(&sa->add[i], msg))
			return -ENOENT;
		take_add(c, msg);
	}
	return sa->adds ? 0 : -ENOENT;
}

static bool put_addr(struct ha_addr *list, unsigned int *n, unsigned int max,
		     const struct ha_attr *a)
{
	if (*n == max)
		return false;
	list[(*n)++] = a->addr;
	return true;
}

static bool put_bits(uint32_t v[2], unsigned int *n, const struct ha_attr *a)
{
	if (*n == 2)
		return false;
	v[(*n)++] = a->u32;
	return true;
}

static bool take_attr(struct ike_context *c, const struct ha_attr *a)
{
	switch (a->type) {
	case HA_ATTR_LOCAL_ID:
		c->local_id = (struct ike_identity){ a->id_type, part_of(a) };
		return true;
	case HA_ATTR_REMOTE_ID:
		c->remote_id = (struct ike_identity){ a->id_type, part_of(a) };
		return true;
	case HA_ATTR_REMOTE_EAP_ID:
		c->has_eap_id = true;
		c->eap_id = (struct ike_identity){ a->id_type, part_of(a) };
		return true;
	case HA_ATTR_LOCAL_ADDR:
		c->local = a->addr;
		return true;
	case HA_ATTR_REMOTE_ADDR:
		c->remote = a->addr;
		return true;
	case HA_ATTR_CONFIG_NAME:
		c->config = part_of(a);
		return true;
	case HA_ATTR_CONDITIONS:
		return put_bits(c->conditions, &c->n_conditions, a);
	case HA_ATTR_EXTENSIONS:
		return put_bits(c->extensions, &c->n_extensions, a);
	case HA_ATTR_LOCAL_VIP:
		return put_addr(c->local_vip, &c->local_vips, IKE_CONTEXT_VIPS, a);
	case HA_ATTR_REMOTE_VIP:
		return put_addr(c->remote_vip, &c->remote_vips, IKE_CONTEXT_VIPS, a);
	case HA_ATTR_PEER_ADDR:
		return put_addr(c->peer_addr, &c->peer_addrs,
				IKE_CONTEXT_PEER_ADDRS, a);
	default:
		return true;
	}
}

/* As charon takes it: what it names is replaced, lists as a whole. */
static bool take_update(struct ike_context *c, const struct ike_bytes *b,
			struct ha_msg *msg)
{
	uint16_t i;

	if (!ike_store_parse(b, msg))
		return true;
	if (ha_find(msg, HA_ATTR_CONDITIONS))
		c->n_conditions = 0;
	if (ha_find(msg, HA_ATTR_EXTENSIONS))
		c->n_extensions = 0;
	if (ha_find(msg, HA_ATTR_LOCAL_VIP))
		c->local_vips = 0;
	if (ha_find(msg, HA_ATTR_REMOTE_VIP))
		c->remote_vips = 0;
	if (ha_find(msg, HA_ATTR_PEER_ADDR))
		c->peer_addrs = 0;
	for (i = 0; i < msg->n; i++) {
		if (!take_attr(c, &msg->attr[i]))
			return false;
	}
	return true;
}

/* Its own, and those of the ancestors whose heir it is. */
static void take_family(struct ike_context *c, const struct ike_sa *sa)
{
	const struct ike_child *child;

	do {
		ike_sa_for_each_child(sa, child) {
			buf_put(&c->children, &child->in_spi, 4);
			buf_put(&c->children, &child->out_spi, 4);
		}
		sa = sa->parent;
	} while (sa && sa->gone);
}

static const struct ike_bytes *vips_of(const struct ike_sa *sa)
{
	while (!sa->vips.p && sa->parent)
		sa = sa->parent;
	return &sa->vips;
}

static int fill(struct ike_context *c, const struct ike_sa *sa,
		struct ha_msg *msg)
{
	int ret = take_adds(c, sa, msg);

	if (ret)
		return ret;
	if (!take_update(c, vips_of(sa), msg) || !take_update(c, &sa->update, msg) ||
	    !take_update(c, &sa->other, msg))
		return -EMSGSIZE;
	c->mid_i = sa->mid_i;
	c->mid_r = sa->mid_r;
	take_family(c, sa);
	return c->children.bad ? -ENOMEM : 0;
}

int ike_context_of_sa(const struct ike_sa *sa, enum ike_context_case keys_case,
		      struct ike_context *ctx)
{
	struct ha_msg *msg;
	int ret;

	memset(ctx, 0, sizeof(*ctx));
	if (!sa->established)
		return -ENOENT;
	if (sa->id.version != 2)
		return -EOPNOTSUPP;
	msg = calloc(1, sizeof(*msg));
	if (!msg)
		return -ENOMEM;
	ctx->id = sa->id;
	ctx->keys_case = IKE_CONTEXT_DH;
	ret = fill(ctx, sa, msg);
	free(msg);
	return ret ? ret : ike_context_derive(ctx, keys_case);
}

/* ---- keys of keys ---- */

static void exchange(const struct ike_context *c, unsigned int i,
		     struct ike_exchange *x)
{
	memset(x, 0, sizeof(*x));
	x->secret = c->exchange[i].secret;
	x->more = c->exchange[i].more;
	x->ni = c->ni;
	x->nr = c->nr;
	memcpy(x->spi_i, c->id.spi_i, 8);
	memcpy(x->spi_r, c->id.spi_r, 8);
}

static int derive_seed(struct ike_context *c)
{
	struct ike_exchange x;
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < c->exchanges; i++) {
		exchange(c, i, &x);
		if (i) {
			x.old_skd = (struct ike_part){ c->keys.d.p, c->keys.d.len };
			x.old_prf = c->algs.prf;
		} else if (c->rekeyed) {
			x.old_skd = c->old_skd;
			x.old_prf = c->old_prf;
		}
		ret = ike_keys_seed(&c->algs, &x, &c->keys.seed);
		/* For the SK_d that the next one comes of. */
		if (!ret && i + 1 < c->exchanges)
			ret = ike_keys_expand(&c->algs, &x, &c->keys);
	}
	return ret;
}

int ike_context_derive(struct ike_context *ctx, enum ike_context_case to)
{
	struct ike_exchange x;
	struct ike_key seed;
	int ret = 0;

	if (to < ctx->keys_case || to > IKE_CONTEXT_KEYS)
		return -EINVAL;
	if (to == ctx->keys_case)
		return 0;
	if (ctx->keys_case == IKE_CONTEXT_DH)
		ret = derive_seed(ctx);
	seed = ctx->keys.seed;
	if (!ret && to == IKE_CONTEXT_KEYS) {
		exchange(ctx, 0, &x);
		ret = ike_keys_expand(&ctx->algs, &x, &ctx->keys);
	} else {
		ike_keys_wipe(&ctx->keys);
		ctx->keys.seed = seed;
	}
	sodium_memzero(&seed, sizeof(seed));
	if (ret) {
		ike_keys_wipe(&ctx->keys);
		return ret;
	}
	ctx->keys_case = to;
	ctx->rekeyed = false;
	ctx->exchanges = 0;
	if (to == IKE_CONTEXT_KEYS)
		sodium_memzero(&ctx->keys.seed, sizeof(ctx->keys.seed));
	return 0;
}

/* ---- to a charon ---- */

static void put_part(struct ha_msg *msg, uint8_t type, const struct ike_part *p)
{
	if (p->len)
		ha_put_bytes(msg, type, p->p, p->len);
}

static void put_u16(struct ha_msg *msg, uint8_t type, uint16_t v)
{
	if (v)
		ha_put_u16(msg, type, v);
}

static void begin(struct ha_msg *msg, const struct ike_context *c,
		  uint8_t version, uint8_t type)
{
	ha_begin(msg, version, type);
	if (type == HA_IKE_ADD)
		ha_put_u8(msg, HA_ATTR_IKE_VERSION, c->id.version);
	ha_put_ike_id(msg, HA_ATTR_IKE_ID, &c->id);
}

static void make_add(struct ha_msg *msg, const struct ike_context *c,
		     uint8_t version, unsigned int i)
{
	begin(msg, c, version, HA_IKE_ADD);
	if (!i && c->rekeyed) {
		ha_put_ike_id(msg, HA_ATTR_IKE_REKEY_ID, &c->old);
		ha_put_u16(msg, HA_ATTR_ALG_OLD_PRF, c->old_prf);
		put_part(msg, HA_ATTR_OLD_SKD, &c->old_skd);
	}
	if (!i) {
		put_u16(msg, HA_ATTR_ALG_ENCR, c->algs.encr);
		put_u16(msg, HA_ATTR_ALG_ENCR_LEN, c->algs.encr_bits);
		put_u16(msg, HA_ATTR_ALG_INTEG, c->algs.integ);
		put_u16(msg, HA_ATTR_ALG_PRF, c->algs.prf);
		put_u16(msg, HA_ATTR_ALG_DH, c->algs.dh);
		put_part(msg, HA_ATTR_ALG_ADD_KES, &c->add_kes);
	}
	put_part(msg, HA_ATTR_NONCE_I, &c->ni);
	put_part(msg, HA_ATTR_NONCE_R, &c->nr);
	put_part(msg, HA_ATTR_SECRET, &c->exchange[i].secret);
	put_part(msg, HA_ATTR_ADD_SECRET, &c->exchange[i].more);
	ha_put_addr(msg, HA_ATTR_REMOTE_ADDR, &c->remote);
}

static void put_identity(struct ha_msg *msg, uint8_t type,
			 const struct ike_identity *id)
{
	ha_put_id(msg, type, id->type, id->id.p, id->id.len);
}

static void make_update(struct ha_msg *msg, const struct ike_context *c,
			uint8_t version)
{
	unsigned int bits = version < 5 ? 1 : 2, i;

	begin(msg, c, version, HA_IKE_UPDATE);
	put_identity(msg, HA_ATTR_LOCAL_ID, &c->local_id);
	put_identity(msg, HA_ATTR_REMOTE_ID, &c->remote_id);
	if (c->has_eap_id)
		put_identity(msg, HA_ATTR_REMOTE_EAP_ID, &c->eap_id);
	ha_put_addr(msg, HA_ATTR_LOCAL_ADDR, &c->local);
	ha_put_addr(msg, HA_ATTR_REMOTE_ADDR, &c->remote);
	for (i = 0; i < c->n_conditions && i < bits; i++)
		ha_put_u32(msg, HA_ATTR_CONDITIONS, c->conditions[i]);
	for (i = 0; i < c->n_extensions && i < bits; i++)
		ha_put_u32(msg, HA_ATTR_EXTENSIONS, c->extensions[i]);
	put_part(msg, HA_ATTR_CONFIG_NAME, &c->config);
	for (i = 0; i < c->peer_addrs; i++)
		ha_put_addr(msg, HA_ATTR_PEER_ADDR, &c->peer_addr[i]);
}

static void make_vips(struct ha_msg *msg, const struct ike_context *c,
		      uint8_t version)
{
	unsigned int i;

	begin(msg, c, version, HA_IKE_UPDATE);
	for (i = 0; i < c->local_vips; i++)
		ha_put_addr(msg, HA_ATTR_LOCAL_VIP, &c->local_vip[i]);
	for (i = 0; i < c->remote_vips; i++)
		ha_put_addr(msg, HA_ATTR_REMOTE_VIP, &c->remote_vip[i]);
}

static int play_mid(const struct ike_context *c, struct ha_msg *msg,
		    uint8_t version, uint8_t type, uint32_t mid,
		    ike_context_fn *fn, void *arg)
{
	if (!mid)
		return 0;
	begin(msg, c, version, type);
	ha_put_u32(msg, HA_ATTR_MID, mid);
	return fn(arg, msg);
}

static int play(const struct ike_context *c, struct ha_msg *msg, uint8_t version,
		ike_context_fn *fn, void *arg)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < c->exchanges; i++) {
		make_add(msg, c, version, i);
		ret = fn(arg, msg);
	}
	if (!ret) {
		make_update(msg, c, version);
		ret = fn(arg, msg);
	}
	if (!ret && c->local_vips + c->remote_vips) {
		make_vips(msg, c, version);
		ret = fn(arg, msg);
	}
	if (!ret)
		ret = play_mid(c, msg, version, HA_IKE_MID_INITIATOR, c->mid_i, fn,
			       arg);
	if (!ret)
		ret = play_mid(c, msg, version, HA_IKE_MID_RESPONDER, c->mid_r, fn,
			       arg);
	return ret;
}

int ike_context_play(const struct ike_context *ctx, uint8_t version,
		     ike_context_fn *fn, void *arg)
{
	struct ha_msg *msg;
	int ret;

	if (ctx->keys_case != IKE_CONTEXT_DH)
		return -EOPNOTSUPP;
	msg = calloc(1, sizeof(*msg));
	if (!msg)
		return -ENOMEM;
	ret = play(ctx, msg, version, fn, arg);
	free(msg);
	return ret;
}
