// SPDX-License-Identifier: GPL-2.0
/*
 * In: integers and bytes.
 * Out: the same in network order, and back, never past an end.
 * Pure; the memory may hold keys and is wiped when it is given back.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "buf.h"

static bool buf_room(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 256;
	uint8_t *data;

	if (b->bad)
		return false;
	if (b->cap - b->len >= len)
		return true;
	while (cap - b->len < len)
		cap *= 2;
	/* No realloc: it would leave the old bytes behind. */
	data = malloc(cap);
	if (!data) {
		b->bad = true;
		return false;
	}
	if (b->len)
		memcpy(data, b->data, b->len);
	if (b->data)
		sodium_memzero(b->data, b->cap);
	free(b->data);
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *buf_more(struct buf *b, size_t len)
{
	return buf_room(b, len) ? b->data + b->len : NULL;
}

void buf_put(struct buf *b, const void *p, size_t len)
{
	if (!len || !buf_room(b, len))
		return;
	memcpy(b->data + b->len, p, len);
	b->len += len;
}

void buf_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, sizeof(v));
}

void buf_u16(struct buf *b, uint16_t v)
{
	v = htobe16(v);
	buf_put(b, &v, sizeof(v));
}

void buf_u32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_put(b, &v, sizeof(v));
}

void buf_u64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_put(b, &v, sizeof(v));
}

void buf_set_u32(struct buf *b, size_t at, uint32_t v)
{
	v = htobe32(v);
	if (!b->bad && at + sizeof(v) <= b->len)
		memcpy(b->data + at, &v, sizeof(v));
}

void buf_take(struct buf *b, size_t len)
{
	if (!len)
		return;		/* of one that never had anything, too */
	memmove(b->data, b->data + len, b->len - len);
	sodium_memzero(b->data + b->len - len, len);
	b->len -= len;
}

void buf_clear(struct buf *b)
{
	if (b->data)
		sodium_memzero(b->data, b->len);
	b->len = 0;
	b->bad = false;
}

void buf_free(struct buf *b)
{
	buf_clear(b);
	free(b->data);
	memset(b, 0, sizeof(*b));
}

/* As FNV-1a, eight bytes at a time; what a high bit did is brought down. */
uint32_t buf_hash(const void *p, size_t len)
{
	uint64_t h = 14695981039346656037u, word;
	const uint8_t *at = p;

	for (; len >= sizeof(word); len -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		h = (h ^ word) * 1099511628211u;
		h ^= h >> 32;
	}
	for (; len; len--)
		h = (h ^ *at++) * 1099511628211u;
	return h ^ h >> 32 ^ h >> 15;
}

bool rd_done(const struct rd *r)
{
	return !r->bad && !r->left;
}
