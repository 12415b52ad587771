/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what an exchange of IKEv2 agreed on: secrets, nonces, SPIs, algorithms.
 * Out: the keys of the IKE SA, and of its Child SAs, as both its ends have them.
 * Pure; OpenSSL computes. All of it is secret: wipe it, log none.
 *
 * RFC 7296, 2.13, 2.14, 2.17, 2.18; RFC 9370 for further key exchanges. Numbers of
 * algorithms are IANA's ('Internet Key Exchange Version 2 (IKEv2) Parameters').
 */
#ifndef XFRMSYNC_TOOLS_IKE_KEYS_H
#define XFRMSYNC_TOOLS_IKE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike_store.h"

#define IKE_KEY_MAX 64		/* bytes of one key */
#define IKE_CHILD_KEY_MAX 128	/* ... of a Child SA: with its salt */
#define IKE_PRF_PLUS_MAX (255 * IKE_KEY_MAX)

enum ike_encr {
	IKE_ENCR_3DES = 3,
	IKE_ENCR_NULL = 11,
	IKE_ENCR_AES_CBC = 12,
	IKE_ENCR_AES_CTR = 13,
	IKE_ENCR_AES_CCM_8 = 14,
	IKE_ENCR_AES_CCM_12 = 15,
	IKE_ENCR_AES_CCM_16 = 16,
	IKE_ENCR_AES_GCM_8 = 18,
	IKE_ENCR_AES_GCM_12 = 19,
	IKE_ENCR_AES_GCM_16 = 20,
	IKE_ENCR_NULL_AES_GMAC = 21,
	IKE_ENCR_CAMELLIA_CBC = 23,
	IKE_ENCR_CHACHA20_POLY1305 = 28,
};

enum ike_prf {
	IKE_PRF_HMAC_MD5 = 1,
	IKE_PRF_HMAC_SHA1 = 2,
	IKE_PRF_AES128_XCBC = 4,	/* OpenSSL has it not */
	IKE_PRF_HMAC_SHA2_256 = 5,
	IKE_PRF_HMAC_SHA2_384 = 6,
	IKE_PRF_HMAC_SHA2_512 = 7,
	IKE_PRF_AES128_CMAC = 8,
};

enum ike_integ {
	IKE_INTEG_NONE = 0,
	IKE_INTEG_HMAC_MD5_96 = 1,
	IKE_INTEG_HMAC_SHA1_96 = 2,
	IKE_INTEG_AES_XCBC_96 = 5,
	IKE_INTEG_HMAC_SHA1_160 = 7,
	IKE_INTEG_AES_CMAC_96 = 8,
	IKE_INTEG_HMAC_SHA2_256_128 = 12,
	IKE_INTEG_HMAC_SHA2_384_192 = 13,
	IKE_INTEG_HMAC_SHA2_512_256 = 14,
};

struct ike_algs {
	uint16_t encr, encr_bits;	/* bits: 0 where it has one length only */
	uint16_t integ;			/* 0: none */
	uint16_t prf, dh;
	uint16_t esn;			/* Child SAs: 1, it has them */
};

struct ike_key {
	uint8_t p[IKE_CHILD_KEY_MAX];
	size_t len;
};

struct ike_keys {
	struct ike_key seed;		/* SKEYSEED */
	struct ike_key d, ai, ar, ei, er, pi, pr;
};

/* Of the initiator and the responder of the exchange that made the Child SA. */
struct ike_child_keys {
	struct ike_key ei, ai, er, ar;
};

struct ike_part {
	const void *p;
	size_t len;
};

/* What of an exchange the keys come of. Missing parts have length 0. */
struct ike_exchange {
	struct ike_part secret;		/* g^ir */
	struct ike_part more;		/* SK(1) | SK(2) ... (RFC 9370), after the nonces */
	struct ike_part ni, nr;
	uint8_t spi_i[8], spi_r[8];
	struct ike_part old_skd;	/* of a rekey */
	uint16_t old_prf;
};

/*
 * ike_prf - prf(key, parts)
 * Return: 0; -EOPNOTSUPP: an algorithm that is not known here; -EIO: OpenSSL failed.
 */
int ike_prf(uint16_t prf, struct ike_part key, const struct ike_part *parts,
	    size_t n, struct ike_key *out);
/* prf+(key, parts): len bytes. -EINVAL: more than it gives. */
int ike_prf_plus(uint16_t prf, struct ike_part key, const struct ike_part *parts,
		 size_t n, uint8_t *out, size_t len);

/* Bytes of a key; -EOPNOTSUPP. The salt that encryption has counts, as for the kernel. */
int ike_prf_len(uint16_t prf);
int ike_encr_len(uint16_t encr, uint16_t bits);
int ike_integ_len(uint16_t integ);
/* It authenticates, too: no key for integrity. */
bool ike_encr_is_aead(uint16_t encr);

/* SKEYSEED, of a new IKE SA or (old_skd) of a rekeyed one. */
int ike_keys_seed(const struct ike_algs *a, const struct ike_exchange *x,
		  struct ike_key *seed);
/* All SK_*; keys->seed is there. */
int ike_keys_expand(const struct ike_algs *a, const struct ike_exchange *x,
		    struct ike_keys *keys);
/* KEYMAT of a Child SA: x->secret and more of its own exchange, if it had one. */
int ike_keys_child(uint16_t prf, const struct ike_key *skd,
		   const struct ike_algs *a, const struct ike_exchange *x,
		   struct ike_child_keys *keys);
void ike_keys_wipe(struct ike_keys *keys);
void ike_child_keys_wipe(struct ike_child_keys *keys);

/* ---- of what charon told ---- */

/* Those that a message names. */
void ike_algs_of(const struct ha_msg *msg, struct ike_algs *a);
/* Its exchange, in place. */
void ike_exchange_of(const struct ha_msg *msg, struct ike_exchange *x);
/*
 * ike_keys_of_sa - of all its key exchanges
 * Return: 0; -ENOENT: its IKE_ADD is not here; -EOPNOTSUPP: an algorithm that is not
 * known here, or IKEv1; -EIO; -ENOMEM. keys are wiped then.
 */
int ike_keys_of_sa(const struct ike_sa *sa, struct ike_algs *a,
		   struct ike_keys *keys);
/* Of a Child SA, with the SK_d of the generation that it was born in. */
int ike_keys_of_child(const struct ike_child *c, struct ike_algs *a,
		      struct ike_child_keys *keys);

#endif
