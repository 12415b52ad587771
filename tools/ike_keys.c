// SPDX-License-Identifier: GPL-2.0
/*
 * In: what an exchange of IKEv2 agreed on: secrets, nonces, SPIs, algorithms.
 * Out: the keys of the IKE SA, and of its Child SAs, as both its ends have them.
 * Pure; OpenSSL computes. All of it is secret: wipe it, log none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "ike_keys.h"

/* Of the special ones, whose key has one length (RFC 7296, 2.14). */
#define FIXED_NONCE 8		/* bytes of each nonce in that key */

static const struct prf_rule {
	const char *mac, *param, *value;
	uint8_t len;		/* of its key and of what it gives, bytes */
	bool fixed;
} prfs[] = {
	[IKE_PRF_HMAC_MD5] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "MD5", 16, false },
	[IKE_PRF_HMAC_SHA1] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA1", 20, false },
	[IKE_PRF_HMAC_SHA2_256] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA2-256", 32,
				    false },
	[IKE_PRF_HMAC_SHA2_384] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA2-384", 48,
				    false },
	[IKE_PRF_HMAC_SHA2_512] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA2-512", 64,
				    false },
	[IKE_PRF_AES128_CMAC] = { "CMAC", OSSL_MAC_PARAM_CIPHER, "AES-128-CBC", 16,
				  true },
};

#define N_PRFS (sizeof(prfs) / sizeof(prfs[0]))

static const struct prf_rule *prf_rule(uint16_t prf)
{
	return prf < N_PRFS && prfs[prf].mac ? &prfs[prf] : NULL;
}

/* ---- prf and prf+ ---- */

static int mac(const struct prf_rule *r, struct ike_part key,
	       const struct ike_part *parts, size_t n, struct ike_key *out)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(r->param, (char *)r->value, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *algorithm = EVP_MAC_fetch(NULL, r->mac, NULL);
	EVP_MAC_CTX *ctx = algorithm ? EVP_MAC_CTX_new(algorithm) : NULL;
	size_t i;
	bool ok;

	out->len = 0;
	/* NULL would mean: the key of before. */
	ok = ctx && EVP_MAC_init(ctx, key.len ? key.p : (const void *)"", key.len,
				 params);
	for (i = 0; ok && i < n; i++)
		ok = !parts[i].len || EVP_MAC_update(ctx, parts[i].p, parts[i].len);
	ok = ok && EVP_MAC_final(ctx, out->p, &out->len, sizeof(out->p));
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(algorithm);
	return ok && out->len == r->len ? 0 : -EIO;
}

int ike_prf(uint16_t prf, struct ike_part key, const struct ike_part *parts,
	    size_t n, struct ike_key *out)
{
	static const uint8_t zeros[16];
	const struct prf_rule *r = prf_rule(prf);
	struct ike_key made;
	int ret;

	if (!r)
		return -EOPNOTSUPP;
	if (!r->fixed || key.len == r->len)
		return mac(r, key, parts, n, out);
	/* RFC 4615: of a key of another length comes one of this. */
	ret = mac(r, (struct ike_part){ zeros, sizeof(zeros) }, &key, 1, &made);
	if (!ret)
		ret = mac(r, (struct ike_part){ made.p, made.len }, parts, n,
			  out);
	sodium_memzero(&made, sizeof(made));
	return ret;
}

#define PARTS_MAX 8

/* T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n) (RFC 7296, 2.13). */
int ike_prf_plus(uint16_t prf, struct ike_part key, const struct ike_part *parts,
		 size_t n, uint8_t *out, size_t len)
{
	struct ike_part all[PARTS_MAX + 2] = {};
	struct ike_key t = {}, next = {};
	uint8_t count = 0;
	size_t now;
	int ret = 0;

	if (n > PARTS_MAX || ike_prf_len(prf) < 0)
		return n > PARTS_MAX ? -EINVAL : -EOPNOTSUPP;
	if (len > 255 * (size_t)ike_prf_len(prf))
		return -EINVAL;
	memcpy(all + 1, parts, n * sizeof(*parts));
	all[n + 1] = (struct ike_part){ &count, 1 };
	while (!ret && len) {
		count++;
		all[0] = (struct ike_part){ t.p, t.len };
		ret = ike_prf(prf, key, all, n + 2, &next);
		t = next;
		now = len < t.len ? len : t.len;
		memcpy(out, t.p, now);
		out += now;
		len -= now;
	}
	sodium_memzero(&t, sizeof(t));
	sodium_memzero(&next, sizeof(next));
	return ret;
}

/* ---- lengths ---- */

int ike_prf_len(uint16_t prf)
{
	const struct prf_rule *r = prf_rule(prf);

	return r ? r->len : -EOPNOTSUPP;
}

int ike_encr_len(uint16_t encr, uint16_t bits)
{
	bool aes = bits == 128 || bits == 192 || bits == 256;

	switch (encr) {
	case IKE_ENCR_3DES:
		return bits ? -EOPNOTSUPP : 24;
	case IKE_ENCR_NULL:
		return bits ? -EOPNOTSUPP : 0;
	case IKE_ENCR_AES_CBC:
	case IKE_ENCR_CAMELLIA_CBC:
		return aes ? bits / 8 : -EOPNOTSUPP;
	case IKE_ENCR_AES_CTR:
	case IKE_ENCR_AES_GCM_8:
	case IKE_ENCR_AES_GCM_12:
	case IKE_ENCR_AES_GCM_16:
	case IKE_ENCR_NULL_AES_GMAC:
		return aes ? bits / 8 + 4 : -EOPNOTSUPP;
	case IKE_ENCR_AES_CCM_8:
	case IKE_ENCR_AES_CCM_12:
	case IKE_ENCR_AES_CCM_16:
		return aes ? bits / 8 + 3 : -EOPNOTSUPP;
	case IKE_ENCR_CHACHA20_POLY1305:
		return !bits || bits == 256 ? 36 : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

bool ike_encr_is_aead(uint16_t encr)
{
	return (encr >= IKE_ENCR_AES_CCM_8 && encr <= IKE_ENCR_AES_CCM_16) ||
	       (encr >= IKE_ENCR_AES_GCM_8 && encr <= IKE_ENCR_NULL_AES_GMAC) ||
	       encr == IKE_ENCR_CHACHA20_POLY1305;
}

int ike_integ_len(uint16_t integ)
{
	switch (integ) {
	case IKE_INTEG_NONE:
		return 0;
	case IKE_INTEG_HMAC_MD5_96:
	case IKE_INTEG_AES_XCBC_96:
	case IKE_INTEG_AES_CMAC_96:
		return 16;
	case IKE_INTEG_HMAC_SHA1_96:
	case IKE_INTEG_HMAC_SHA1_160:
		return 20;
	case IKE_INTEG_HMAC_SHA2_256_128:
		return 32;
	case IKE_INTEG_HMAC_SHA2_384_192:
		return 48;
	case IKE_INTEG_HMAC_SHA2_512_256:
		return 64;
	default:
		return -EOPNOTSUPP;
	}
}

/* ---- the keys ---- */

static struct ike_part first(struct ike_part p, size_t len)
{
	if (p.len > len)
		p.len = len;
	return p;
}

/* prf(Ni | Nr, g^ir | SK(1)...), its key being both nonces. */
static int new_seed(const struct prf_rule *r, uint16_t prf,
		    const struct ike_exchange *x, struct ike_key *seed)
{
	const struct ike_part ni = r->fixed ? first(x->ni, FIXED_NONCE) : x->ni;
	const struct ike_part nr = r->fixed ? first(x->nr, FIXED_NONCE) : x->nr;
	const struct ike_part parts[] = { x->secret, x->more };
	struct buf key = {};
	int ret = -ENOMEM;

	buf_put(&key, ni.p, ni.len);
	buf_put(&key, nr.p, nr.len);
	if (!key.bad)
		ret = ike_prf(prf, (struct ike_part){ key.data, key.len }, parts, 2,
			      seed);
	buf_free(&key);
	return ret;
}

int ike_keys_seed(const struct ike_algs *a, const struct ike_exchange *x,
		  struct ike_key *seed)
{
	const struct ike_part rekey[] = { x->secret, x->ni, x->nr, x->more };
	const struct prf_rule *r = prf_rule(a->prf);

	if (x->old_skd.len)
		return ike_prf(x->old_prf, x->old_skd, rekey, 4, seed);
	return r ? new_seed(r, a->prf, x, seed) : -EOPNOTSUPP;
}

static void cut(struct ike_key *k, const uint8_t **from, int len)
{
	k->len = len;
	memcpy(k->p, *from, len);
	*from += len;
}

int ike_keys_expand(const struct ike_algs *a, const struct ike_exchange *x,
		    struct ike_keys *keys)
{
	const struct ike_part parts[] = {
		x->ni, x->nr, { x->spi_i, 8 }, { x->spi_r, 8 },
	};
	int d = ike_prf_len(a->prf), e = ike_encr_len(a->encr, a->encr_bits);
	int i = ike_encr_is_aead(a->encr) ? 0 : ike_integ_len(a->integ), ret;
	uint8_t bytes[7 * IKE_CHILD_KEY_MAX];
	const uint8_t *at = bytes;

	if (d < 0 || e < 0 || i < 0)
		return -EOPNOTSUPP;
	ret = ike_prf_plus(a->prf, (struct ike_part){ keys->seed.p, keys->seed.len },
			   parts, 4, bytes, 3 * d + 2 * i + 2 * e);
	if (!ret) {
		cut(&keys->d, &at, d);
		cut(&keys->ai, &at, i);
		cut(&keys->ar, &at, i);
		cut(&keys->ei, &at, e);
		cut(&keys->er, &at, e);
		cut(&keys->pi, &at, d);
		cut(&keys->pr, &at, d);
	}
	sodium_memzero(bytes, sizeof(bytes));
	return ret;
}

int ike_keys_child(uint16_t prf, const struct ike_key *skd,
		   const struct ike_algs *a, const struct ike_exchange *x,
		   struct ike_child_keys *keys)
{
	const struct ike_part parts[] = { x->secret, x->ni, x->nr, x->more };
	int e = ike_encr_len(a->encr, a->encr_bits);
	int i = ike_encr_is_aead(a->encr) ? 0 : ike_integ_len(a->integ), ret;
	uint8_t bytes[4 * IKE_CHILD_KEY_MAX];
	const uint8_t *at = bytes;

	if (e < 0 || i < 0)
		return -EOPNOTSUPP;
	ret = ike_prf_plus(prf, (struct ike_part){ skd->p, skd->len }, parts, 4,
			   bytes, 2 * (e + i));
	if (!ret) {
		cut(&keys->ei, &at, e);
		cut(&keys->ai, &at, i);
		cut(&keys->er, &at, e);
		cut(&keys->ar, &at, i);
	}
	sodium_memzero(bytes, sizeof(bytes));
	return ret;
}

void ike_keys_wipe(struct ike_keys *keys)
{
	sodium_memzero(keys, sizeof(*keys));
}

void ike_child_keys_wipe(struct ike_child_keys *keys)
{
	sodium_memzero(keys, sizeof(*keys));
}

/* ---- of what charon told ---- */

static uint16_t get_u16(const struct ha_msg *msg, uint8_t type)
{
	const struct ha_attr *a = ha_find(msg, type);

	return a ? a->u16 : 0;
}

void ike_algs_of(const struct ha_msg *msg, struct ike_algs *a)
{
	a->encr = get_u16(msg, HA_ATTR_ALG_ENCR);
	a->encr_bits = get_u16(msg, HA_ATTR_ALG_ENCR_LEN);
	a->integ = get_u16(msg, HA_ATTR_ALG_INTEG);
	a->prf = get_u16(msg, HA_ATTR_ALG_PRF);
	a->dh = get_u16(msg, HA_ATTR_ALG_DH);
	a->esn = get_u16(msg, HA_ATTR_ESN);
}

static struct ike_part get_part(const struct ha_msg *msg, uint8_t type)
{
	const struct ha_attr *a = ha_find(msg, type);

	return a ? (struct ike_part){ a->bytes.p, a->bytes.len } :
		   (struct ike_part){ NULL, 0 };
}

void ike_exchange_of(const struct ha_msg *msg, struct ike_exchange *x)
{
	const struct ha_ike_id *id = ha_ike_id(msg);

	memset(x, 0, sizeof(*x));
	x->secret = get_part(msg, HA_ATTR_SECRET);
	x->more = get_part(msg, HA_ATTR_ADD_SECRET);
	x->ni = get_part(msg, HA_ATTR_NONCE_I);
	x->nr = get_part(msg, HA_ATTR_NONCE_R);
	x->old_skd = get_part(msg, HA_ATTR_OLD_SKD);
	x->old_prf = get_u16(msg, HA_ATTR_ALG_OLD_PRF);
	if (!id)
		return;
	memcpy(x->spi_i, id->spi_i, 8);
	memcpy(x->spi_r, id->spi_r, 8);
}

/* A further exchange (RFC 9370, 2.2.2): of the SK_d of before, which it replaces. */
static int add_exchange(const struct ha_msg *msg, const struct ike_algs *a,
			bool further, struct ike_keys *keys)
{
	struct ike_key skd = keys->d;
	struct ike_exchange x;
	int ret;

	ike_exchange_of(msg, &x);
	if (further) {
		x.old_skd = (struct ike_part){ skd.p, skd.len };
		x.old_prf = a->prf;
	}
	ret = ike_keys_seed(a, &x, &keys->seed);
	if (!ret)
		ret = ike_keys_expand(a, &x, keys);
	sodium_memzero(&skd, sizeof(skd));
	return ret;
}

int ike_keys_of_sa(const struct ike_sa *sa, struct ike_algs *a,
		   struct ike_keys *keys)
{
	struct ha_msg *msg = calloc(1, sizeof(*msg));
	unsigned int i;
	int ret = 0;

	memset(keys, 0, sizeof(*keys));
	memset(a, 0, sizeof(*a));
	if (!msg)
		return -ENOMEM;
	if (!sa->adds)
		ret = -ENOENT;
	else if (sa->id.version != 2)
		ret = -EOPNOTSUPP;
	for (i = 0; !ret && i < sa->adds; i++) {
		if (!ike_store_parse(&sa->add[i], msg)) {
			ret = -ENOENT;
			break;
		}
		if (!i)
			ike_algs_of(msg, a);
		ret = add_exchange(msg, a, i, keys);
	}
	free(msg);
	if (ret)
		ike_keys_wipe(keys);
	return ret;
}

int ike_keys_of_child(const struct ike_child *c, struct ike_algs *a,
		      struct ike_child_keys *keys)
{
	struct ha_msg *msg = calloc(1, sizeof(*msg));
	struct ike_exchange x;
	struct ike_algs sa_algs;
	struct ike_keys sa;
	int ret;

	memset(keys, 0, sizeof(*keys));
	if (!msg)
		return -ENOMEM;
	ret = ike_keys_of_sa(c->sa, &sa_algs, &sa);
	if (!ret && !ike_store_parse(&c->add, msg))
		ret = -ENOENT;
	if (!ret) {
		ike_algs_of(msg, a);
		ike_exchange_of(msg, &x);
		ret = ike_keys_child(sa_algs.prf, &sa.d, a, &x, keys);
	}
	ike_keys_wipe(&sa);
	free(msg);
	if (ret)
		ike_child_keys_wipe(keys);
	return ret;
}
