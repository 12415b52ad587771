// SPDX-License-Identifier: GPL-2.0
/*
 * In: bytes with keys in them, and the cluster's key.
 * Out: the same sealed: confidential, whole, and of nobody without the key.
 * Pure; libsodium's secretstream (XChaCha20-Poly1305).
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "seal.h"

#define OVERHEAD crypto_secretstream_xchacha20poly1305_ABYTES
#define HEADER crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define KEY crypto_secretstream_xchacha20poly1305_KEYBYTES
#define FINAL crypto_secretstream_xchacha20poly1305_TAG_FINAL

static void derive(uint8_t out[KEY], const struct secret *key, const char *purpose)
{
	crypto_generichash(out, KEY, (const uint8_t *)purpose, strlen(purpose),
			   key->key, key->len);
}

void seal_put(struct buf *out, const struct secret *key, const char *purpose,
	      const uint8_t *head, size_t head_len, const uint8_t *p, size_t len)
{
	uint8_t k[KEY], header[HEADER], chunk[SEAL_CHUNK + OVERHEAD];
	crypto_secretstream_xchacha20poly1305_state st;
	bool last;
	size_t n;

	derive(k, key, purpose);
	crypto_secretstream_xchacha20poly1305_init_push(&st, header, k);
	buf_put(out, header, sizeof(header));
	do {
		last = len <= SEAL_CHUNK;
		n = last ? len : SEAL_CHUNK;
		crypto_secretstream_xchacha20poly1305_push(&st, chunk, NULL, p,
							   n, head, head_len,
							   last ? FINAL : 0);
		buf_put(out, chunk, n + OVERHEAD);
		p += n;
		len -= n;
	} while (!last);
	sodium_memzero(k, sizeof(k));
	sodium_memzero(&st, sizeof(st));
}

int seal_get(struct buf *out, const struct secret *key, const char *purpose,
	     const uint8_t *head, size_t head_len, const uint8_t *p, size_t len)
{
	crypto_secretstream_xchacha20poly1305_state st;
	uint8_t k[KEY], chunk[SEAL_CHUNK], tag = 0;
	size_t n, had = out->len;
	int ret = -EBADMSG;

	if (len < HEADER + OVERHEAD)
		return ret;
	derive(k, key, purpose);
	crypto_secretstream_xchacha20poly1305_init_pull(&st, p, k);
	p += HEADER;
	len -= HEADER;
	while (len >= OVERHEAD && tag != FINAL) {
		n = len < SEAL_CHUNK + OVERHEAD ? len : SEAL_CHUNK + OVERHEAD;
		if (crypto_secretstream_xchacha20poly1305_pull(&st, chunk, NULL,
							       &tag, p, n, head,
							       head_len))
			goto out;
		buf_put(out, chunk, n - OVERHEAD);
		p += n;
		len -= n;
	}
	if (tag == FINAL && !len)
		ret = 0;
out:
	if (ret && out->len > had) {
		sodium_memzero(out->data + had, out->len - had);
		out->len = had;
	}
	sodium_memzero(k, sizeof(k));
	sodium_memzero(chunk, sizeof(chunk));
	sodium_memzero(&st, sizeof(st));
	return ret;
}
