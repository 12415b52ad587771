// SPDX-License-Identifier: GPL-2.0
/*
 * In: records, the moving part of SAs.
 * Out: their form on the wire: a handle, a bit for each value that is not
 *      zero, those values. Ages stand for times: clocks differ.
 * Pure; holds no keys.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <linux/xfrmsync.h>

#include "wire.h"

enum {
	HAS_OSEQ	= 1 << 0,	/* u64 */
	HAS_SEQ		= 1 << 1,	/* u64 */
	HAS_BITMAP	= 1 << 2,	/* u8 words, words */
	HAS_BYTES	= 1 << 3,	/* u64 */
	HAS_PACKETS	= 1 << 4,	/* u64 */
	HAS_ADD		= 1 << 5,	/* u32 age, seconds */
	HAS_USE		= 1 << 6,	/* u32 age, seconds */
	HAS_LAST	= 1 << 7,	/* u32 age, seconds */
	HAS_ERRORS	= 1 << 8,	/* 3 * u32 */
	HAS_SENT	= 1 << 9,	/* u64; else sent is oseq */
	HAS_DYING	= 1 << 10,	/* nothing */
	HAS_GUARD	= 1 << 11,	/* u32 */
	HAS_EXPOSED	= 1 << 12,	/* nothing */
	HAS_ALL		= (1 << 13) - 1,
};

static uint32_t age(uint64_t then, uint64_t now)
{
	if (then >= now)
		return 0;
	return now - then > UINT32_MAX ? UINT32_MAX : now - then;
}

static uint64_t time_of(uint32_t age, uint64_t now)
{
	/* 0 means never, so the oldest time there is is 1. */
	return age >= now ? 1 : now - age;
}

/* The longest record: handle, bits, values. */
#define RECORD_MAX (4 + 2 + 4 * 8 + 1 + 4 * RECORD_BMP_WORDS + 3 * 4 + 3 * 4 + 8 + 4)

/* A record of each SA goes through here, so: no call for each of its values, and where
 * there is room for the longest one, no look at the room that is left.
 */
#define INLINE static inline __attribute__((always_inline))

INLINE uint8_t *put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

INLINE uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

INLINE uint8_t *put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

/* What is 0 takes no room. */
INLINE uint8_t *put64_if(uint8_t *p, uint16_t *has, uint16_t bit, uint64_t v)
{
	if (!v)
		return p;
	*has |= bit;
	return put64(p, v);
}

INLINE uint8_t *put_age(uint8_t *p, uint16_t *has, uint16_t bit, uint64_t then,
			uint64_t now)
{
	if (!then)
		return p;
	*has |= bit;
	return put32(p, age(then, now));
}

static uint8_t *put_bitmap(uint8_t *p, const struct record *rec)
{
	uint32_t i;

	*p++ = rec->bmp_words;
	for (i = 0; i < rec->bmp_words; i++)
		p = put32(p, rec->bmp[i]);
	return p;
}

/* In the order of their bits. */
INLINE uint8_t *put_values(uint8_t *p, uint16_t *has, const struct record *rec,
			   uint64_t sent, uint64_t now)
{
	p = put64_if(p, has, HAS_OSEQ, rec->oseq);
	p = put64_if(p, has, HAS_SEQ, rec->seq);
	if (rec->bmp_words) {
		*has |= HAS_BITMAP;
		p = put_bitmap(p, rec);
	}
	p = put64_if(p, has, HAS_BYTES, rec->bytes);
	p = put64_if(p, has, HAS_PACKETS, rec->packets);
	p = put_age(p, has, HAS_ADD, rec->add_time, now);
	p = put_age(p, has, HAS_USE, rec->use_time, now);
	p = put_age(p, has, HAS_LAST, rec->last_used, now);
	if (rec->replay_window_errors | rec->replay_errors | rec->integrity_errors) {
		*has |= HAS_ERRORS;
		p = put32(p, rec->replay_window_errors);
		p = put32(p, rec->replay_errors);
		p = put32(p, rec->integrity_errors);
	}
	if (sent != rec->oseq) {
		*has |= HAS_SENT;
		p = put64(p, sent);
	}
	if (rec->guard) {
		*has |= HAS_GUARD;
		p = put32(p, rec->guard);
	}
	return p;
}

void wire_put_record(struct buf *b, uint32_t handle, const struct record *rec,
		     uint64_t sent, uint64_t now)
{
	uint8_t *start = buf_more(b, RECORD_MAX), *p;
	uint16_t has = 0;

	if (!start)
		return;
	p = put_values(start + 4 + 2, &has, rec, sent, now);
	if (rec->flags & XFRMSYNC_RECORD_F_DYING)
		has |= HAS_DYING;
	if (rec->exposed)
		has |= HAS_EXPOSED;
	put16(put32(start, handle), has);
	b->len = p - b->data;
}

/* What comes is read where RECORD_MAX bytes are, and counted afterwards. */
INLINE uint16_t get16(const uint8_t **p)
{
	uint16_t v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return be16toh(v);
}

INLINE uint32_t get32(const uint8_t **p)
{
	uint32_t v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return be32toh(v);
}

INLINE uint64_t get64(const uint8_t **p)
{
	uint64_t v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return be64toh(v);
}

static bool get_bitmap(const uint8_t **p, struct record *rec)
{
	uint32_t i;

	rec->bmp_words = *(*p)++;
	if (!rec->bmp_words || rec->bmp_words > RECORD_BMP_WORDS)
		return false;
	for (i = 0; i < rec->bmp_words; i++)
		rec->bmp[i] = get32(p);
	return true;
}

/* What is said is not what goes without saying. */
INLINE uint64_t said64(const uint8_t **p, bool *good)
{
	uint64_t v = get64(p);

	*good &= v != 0;
	return v;
}

static void get_errors(const uint8_t **p, struct record *rec, bool *good)
{
	rec->replay_window_errors = get32(p);
	rec->replay_errors = get32(p);
	rec->integrity_errors = get32(p);
	*good &= rec->replay_window_errors || rec->replay_errors ||
		 rec->integrity_errors;
}

INLINE bool get_values(const uint8_t **p, uint16_t has, struct record *rec,
		       uint64_t *sent, uint64_t now)
{
	bool good = true;

	if (has & HAS_OSEQ)
		rec->oseq = said64(p, &good);
	if (has & HAS_SEQ)
		rec->seq = said64(p, &good);
	if (has & HAS_BITMAP && !get_bitmap(p, rec))
		return false;
	if (has & HAS_BYTES)
		rec->bytes = said64(p, &good);
	if (has & HAS_PACKETS)
		rec->packets = said64(p, &good);
	if (has & HAS_ADD)
		rec->add_time = time_of(get32(p), now);
	if (has & HAS_USE)
		rec->use_time = time_of(get32(p), now);
	if (has & HAS_LAST)
		rec->last_used = time_of(get32(p), now);
	if (has & HAS_ERRORS)
		get_errors(p, rec, &good);
	*sent = rec->oseq;
	if (has & HAS_SENT) {
		*sent = get64(p);
		/* Nothing was sent beyond the counter; and of as much nothing is said. */
		good &= *sent < rec->oseq;
	}
	if (has & HAS_GUARD) {
		rec->guard = get32(p);
		good &= rec->guard != 0;
	}
	return good;
}

int wire_get_record(struct rd *r, uint32_t *handle, struct record *rec,
		    uint64_t *sent, uint64_t now)
{
	uint8_t last[RECORD_MAX];
	const uint8_t *p = r->p, *start;
	uint16_t has;
	bool good;

	/* Of the last ones there is less: behind them are zeros, which do not count. */
	if (r->left < RECORD_MAX) {
		memset(last, 0, sizeof(last));
		if (r->left)
			memcpy(last, r->p, r->left);
		p = last;
	}
	start = p;
	record_init(rec);
	*handle = get32(&p);
	has = get16(&p);
	good = !(has & ~HAS_ALL) && get_values(&p, has, rec, sent, now);
	/* What stands behind one that is not good can be read all the same. */
	if (!rd_bytes(r, p - start) || !good)
		return -EBADMSG;
	if (has & HAS_DYING)
		rec->flags |= XFRMSYNC_RECORD_F_DYING;
	rec->exposed = has & HAS_EXPOSED;
	return 0;
}

void wire_put_merge(struct buf *b, uint32_t handle, uint64_t tag,
		    const struct record *rec)
{
	struct record window = { .seq = rec->seq, .bmp_words = rec->bmp_words };

	memcpy(window.bmp, rec->bmp, rec->bmp_words * sizeof(rec->bmp[0]));
	buf_u64(b, tag);
	wire_put_record(b, handle, &window, 0, 0);
}

/* And nothing else. */
static bool is_window(const struct record *rec)
{
	return rec->seq && rec->bmp_words && !rec->oseq && !rec->bytes &&
	       !rec->packets && !rec->add_time && !rec->use_time &&
	       !rec->last_used && !rec->replay_window_errors &&
	       !rec->replay_errors && !rec->integrity_errors && !rec->flags &&
	       !rec->guard && !rec->exposed;
}

int wire_get_merge(struct rd *r, uint32_t *handle, uint64_t *tag,
		   struct record *rec)
{
	uint64_t sent;
	int ret;

	*tag = rd_u64(r);
	ret = wire_get_record(r, handle, rec, &sent, 0);
	if (ret)
		return ret;
	return rd_done(r) && is_window(rec) ? 0 : -EBADMSG;
}
