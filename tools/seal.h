/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: bytes with keys in them, and the cluster's key.
 * Out: the same sealed: confidential, whole, and of nobody without the key.
 * Pure; libsodium's secretstream (XChaCha20-Poly1305).
 */
#ifndef XFRMSYNC_TOOLS_SEAL_H
#define XFRMSYNC_TOOLS_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "secret.h"

#define SEAL_CHUNK 65536	/* bytes of the plain text */

/*
 * seal_put - append p, sealed, to out
 * @purpose: what a key is derived for; one that was sealed for another purpose
 *	     does not open
 * @head: bytes that stand before it in clear, and must not be changed either
 */
void seal_put(struct buf *out, const struct secret *key, const char *purpose,
	      const uint8_t *head, size_t head_len, const uint8_t *p, size_t len);

/*
 * seal_get - the plain text, appended to out, which the caller wipes
 * Return: 0; -EBADMSG: another key, or cut, or changed; out holds nothing of it.
 */
int seal_get(struct buf *out, const struct secret *key, const char *purpose,
	     const uint8_t *head, size_t head_len, const uint8_t *p, size_t len);

#endif
