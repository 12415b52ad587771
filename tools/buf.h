/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: integers and bytes.
 * Out: the same in network order, and back, never past an end.
 * Pure; the memory may hold keys and is wiped when it is given back.
 */
#ifndef XFRMSYNC_TOOLS_BUF_H
#define XFRMSYNC_TOOLS_BUF_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A writer that grows. After a failure (no memory) bad is set and stays. */
struct buf {
	uint8_t *data;
	size_t len, cap;
	bool bad;
};

void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_put(struct buf *b, const void *p, size_t len);
/* Room for len bytes behind what is there, for who adds to b->len what it put; or NULL. */
uint8_t *buf_more(struct buf *b, size_t len);
void buf_set_u32(struct buf *b, size_t at, uint32_t v);	/* at: written before */
void buf_take(struct buf *b, size_t len);	/* drop bytes at the front, wiped */
void buf_clear(struct buf *b);			/* empty and wiped, memory kept */
void buf_free(struct buf *b);			/* wiped and freed */

/* For tables; not for anything that needs secrecy. */
uint32_t buf_hash(const void *p, size_t len);

/* A reader of memory of others. Past the end bad is set, and zeros come. */
struct rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

/* The next len bytes, in place; NULL past the end. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

/* Each value of each context and record comes by here: no call for one. */
static inline void rd_copy(struct rd *r, void *to, size_t len)
{
	const uint8_t *p = rd_bytes(r, len);

	if (p && len)
		memcpy(to, p, len);
	else
		memset(to, 0, len);
}

static inline uint8_t rd_u8(struct rd *r)
{
	uint8_t v;

	rd_copy(r, &v, sizeof(v));
	return v;
}

static inline uint16_t rd_u16(struct rd *r)
{
	uint16_t v;

	rd_copy(r, &v, sizeof(v));
	return be16toh(v);
}

static inline uint32_t rd_u32(struct rd *r)
{
	uint32_t v;

	rd_copy(r, &v, sizeof(v));
	return be32toh(v);
}

static inline uint64_t rd_u64(struct rd *r)
{
	uint64_t v;

	rd_copy(r, &v, sizeof(v));
	return be64toh(v);
}

/* True when all was read and nothing was missing. */
bool rd_done(const struct rd *r);

#endif
