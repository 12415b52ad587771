// SPDX-License-Identifier: GPL-2.0
/*
 * In: an IKEv2 message and the keys of its IKE SA; what a short one is to say.
 * Out: whether the one that has these keys made it; the bytes of that short one.
 * Pure, but for the IV, which is random; OpenSSL computes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "ike_message.h"

#define SK_HEADER 4		/* bytes: next, flags, length */
#define AAD_LEN (IKE_HEADER_LEN + SK_HEADER)
#define SALT 4			/* bytes, at the end of the key */
#define AEAD_IV 8
#define NOTIFY_LEN 8
#define BLOCK 16
#define ICV_MAX 32
#define MESSAGE_MAX 65535

/* How SK of an IKE SA is made. */
struct suite {
	const char *cipher, *digest;	/* digest: NULL with AEAD */
	const struct ike_key *encr, *integ;
	size_t iv, icv;
};

/* ---- algorithms ---- */

static const char *aes(uint16_t bits, const char *mode, char name[16])
{
	snprintf(name, 16, "AES-%u-%s", bits, mode);
	return name;
}

static bool set_integ(uint16_t integ, struct suite *s)
{
	switch (integ) {
	case IKE_INTEG_HMAC_SHA1_96:
		s->digest = "SHA1";
		s->icv = 12;
		return true;
	case IKE_INTEG_HMAC_SHA2_256_128:
		s->digest = "SHA2-256";
		s->icv = 16;
		return true;
	case IKE_INTEG_HMAC_SHA2_384_192:
		s->digest = "SHA2-384";
		s->icv = 24;
		return true;
	case IKE_INTEG_HMAC_SHA2_512_256:
		s->digest = "SHA2-512";
		s->icv = 32;
		return true;
	default:
		return false;
	}
}

/* @name: where the cipher's may stand */
static bool set_suite(const struct ike_algs *a, const struct ike_keys *keys,
		      uint8_t flags, struct suite *s, char name[16])
{
	bool by_initiator = flags & IKE_FLAG_INITIATOR;

	*s = (struct suite){ .iv = AEAD_IV, .icv = 16 };
	s->encr = by_initiator ? &keys->ei : &keys->er;
	s->integ = by_initiator ? &keys->ai : &keys->ar;
	switch (a->encr) {
	case IKE_ENCR_AES_GCM_8:
		s->icv = 8;
		break;
	case IKE_ENCR_AES_GCM_12:
		s->icv = 12;
		break;
	case IKE_ENCR_AES_GCM_16:
		break;
	case IKE_ENCR_CHACHA20_POLY1305:
		s->cipher = "ChaCha20-Poly1305";
		return true;
	case IKE_ENCR_AES_CBC:
		s->cipher = aes(a->encr_bits, "CBC", name);
		s->iv = BLOCK;
		return set_integ(a->integ, s);
	default:
		return false;
	}
	s->cipher = aes(a->encr_bits, "GCM", name);
	return true;
}

/* ---- OpenSSL ---- */

static int hmac(const struct suite *s, const uint8_t *p, size_t len,
		uint8_t icv[ICV_MAX])
{
	uint8_t all[EVP_MAX_MD_SIZE];
	size_t n = 0;
	int ret = -EIO;

	if (EVP_Q_mac(NULL, "HMAC", NULL, s->digest, NULL, s->integ->p, s->integ->len, p,
		      len, all, sizeof(all), &n) && n >= s->icv) {
		memcpy(icv, all, s->icv);
		ret = 0;
	}
	sodium_memzero(all, sizeof(all));
	return ret;
}

static bool begin(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const struct suite *s,
		  const uint8_t *iv, int encrypt)
{
	uint8_t nonce[SALT + AEAD_IV];

	if (s->digest)
		return EVP_CipherInit_ex2(ctx, cipher, s->encr->p, iv, encrypt, NULL) &&
		       EVP_CIPHER_CTX_set_padding(ctx, 0);
	memcpy(nonce, s->encr->p + s->encr->len - SALT, SALT);
	memcpy(nonce + SALT, iv, AEAD_IV);
	return EVP_CipherInit_ex2(ctx, cipher, s->encr->p, nonce, encrypt, NULL);
}

/* In place. AEAD: with the message's beginning, and the ICV that it makes, or has to be. */
static bool run(EVP_CIPHER_CTX *ctx, const struct suite *s, const uint8_t *message,
		uint8_t *text, size_t len, uint8_t *icv, bool encrypt)
{
	int n;

	if (s->digest)
		return EVP_CipherUpdate(ctx, text, &n, text, len) &&
		       EVP_CipherFinal_ex(ctx, text + n, &n);
	if (!EVP_CipherUpdate(ctx, NULL, &n, message, AAD_LEN) ||
	    !EVP_CipherUpdate(ctx, text, &n, text, len))
		return false;
	if (!encrypt && !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, s->icv, icv))
		return false;
	if (!EVP_CipherFinal_ex(ctx, text + n, &n))
		return false;
	return !encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, s->icv, icv);
}

static int transform(const struct suite *s, const uint8_t *message, uint8_t *text,
		     size_t len, uint8_t *icv, bool encrypt)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, s->cipher, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int ret = -EIO;

	if (cipher && ctx && begin(ctx, cipher, s, message + AAD_LEN, encrypt))
		ret = run(ctx, s, message, text, len, icv, encrypt) ? 0 :
		      encrypt ? -EIO : -EBADMSG;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return ret;
}

/* ---- one that came ---- */

bool ike_message_header(const uint8_t *p, size_t len, struct ike_header *h)
{
	struct rd r = { .p = p, .left = len };
	uint8_t version;

	rd_copy(&r, h->spi_i, 8);
	rd_copy(&r, h->spi_r, 8);
	h->next = rd_u8(&r);
	version = rd_u8(&r);
	h->exchange = rd_u8(&r);
	h->flags = rd_u8(&r);
	h->id = rd_u32(&r);
	return rd_u32(&r) == len && !r.bad && version == IKE_VERSION_2;
}

/* Only one that is whole has it as long as this. */
static bool is_all_sk(const uint8_t *p, size_t len, const struct ike_header *h)
{
	return h->next == IKE_PAYLOAD_SK && len >= AAD_LEN &&
	       ((size_t)p[IKE_HEADER_LEN + 2] << 8 | p[IKE_HEADER_LEN + 3]) ==
	       len - IKE_HEADER_LEN;
}

static int check_aead(const struct suite *s, const uint8_t *p, size_t len)
{
	size_t at = AAD_LEN + s->iv, n = len - at - s->icv;
	uint8_t icv[ICV_MAX];
	struct buf text = {};
	int ret = -ENOMEM;

	buf_put(&text, p + at, n);
	memcpy(icv, p + at + n, s->icv);
	if (!text.bad)
		ret = transform(s, p, text.data, n, icv, false);
	buf_free(&text);
	return ret;
}

int ike_message_check(const struct ike_algs *a, const struct ike_keys *keys,
		      const uint8_t *p, size_t len)
{
	uint8_t icv[ICV_MAX];
	struct ike_header h;
	struct suite s;
	char name[16];
	int ret;

	if (!ike_message_header(p, len, &h) || len > MESSAGE_MAX)
		return -EBADMSG;
	if (!is_all_sk(p, len, &h) || !set_suite(a, keys, h.flags, &s, name))
		return -EOPNOTSUPP;
	/* The length of the padding is always there. */
	if (len < AAD_LEN + s.iv + 1 + s.icv)
		return -EBADMSG;
	if (!s.digest)
		return check_aead(&s, p, len);
	ret = hmac(&s, p, len - s.icv, icv);
	if (!ret && sodium_memcmp(icv, p + len - s.icv, s.icv))
		ret = -EBADMSG;
	return ret;
}

/* ---- one to send ---- */

static void put_head(struct buf *out, const struct ike_header *h, uint16_t notify,
		     size_t len)
{
	buf_put(out, h->spi_i, 8);
	buf_put(out, h->spi_r, 8);
	buf_u8(out, IKE_PAYLOAD_SK);
	buf_u8(out, IKE_VERSION_2);
	buf_u8(out, h->exchange);
	buf_u8(out, h->flags);
	buf_u32(out, h->id);
	buf_u32(out, len);
	buf_u8(out, notify ? IKE_PAYLOAD_NOTIFY : 0);
	buf_u8(out, 0);
	buf_u16(out, len - IKE_HEADER_LEN);
}

/* Of no SPI, without data; padded. */
static void put_text(struct buf *out, uint16_t notify, size_t len)
{
	size_t at = 1;

	if (notify) {
		buf_u8(out, 0);
		buf_u8(out, 0);
		buf_u16(out, NOTIFY_LEN);
		buf_u16(out, 0);
		buf_u16(out, notify);
		at += NOTIFY_LEN;
	}
	for (; at < len; at++)
		buf_u8(out, 0);
	buf_u8(out, len - 1 - (notify ? NOTIFY_LEN : 0));
}

int ike_message_build(const struct ike_algs *a, const struct ike_keys *keys,
		      const struct ike_header *h, uint16_t notify, struct buf *out)
{
	size_t start = out->len, at, len, text = (notify ? NOTIFY_LEN : 0) + 1;
	uint8_t iv[BLOCK], icv[ICV_MAX] = {};
	struct suite s;
	char name[16];
	int ret;

	if (!set_suite(a, keys, h->flags, &s, name))
		return -EOPNOTSUPP;
	if (s.digest)
		text = BLOCK;
	len = AAD_LEN + s.iv + text + s.icv;
	put_head(out, h, notify, len);
	randombytes_buf(iv, s.iv);
	buf_put(out, iv, s.iv);
	at = out->len;
	put_text(out, notify, text);
	if (out->bad)
		return -ENOMEM;
	ret = transform(&s, out->data + start, out->data + at, text, icv, true);
	if (!ret && s.digest)
		ret = hmac(&s, out->data + start, out->len - start, icv);
	buf_put(out, icv, s.icv);
	return ret ? ret : out->bad ? -ENOMEM : 0;
}
