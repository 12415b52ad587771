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

static uint16_t presence(const struct record *rec, uint64_t sent)
{
	uint16_t has = 0;

	has |= rec->oseq ? HAS_OSEQ : 0;
	has |= rec->seq ? HAS_SEQ : 0;
	has |= rec->bmp_words ? HAS_BITMAP : 0;
	has |= rec->bytes ? HAS_BYTES : 0;
	has |= rec->packets ? HAS_PACKETS : 0;
	has |= rec->add_time ? HAS_ADD : 0;
	has |= rec->use_time ? HAS_USE : 0;
	has |= rec->last_used ? HAS_LAST : 0;
	has |= rec->replay_window_errors || rec->replay_errors ||
	       rec->integrity_errors ? HAS_ERRORS : 0;
	has |= sent != rec->oseq ? HAS_SENT : 0;
	has |= rec->flags & XFRMSYNC_RECORD_F_DYING ? HAS_DYING : 0;
	has |= rec->guard ? HAS_GUARD : 0;
	has |= rec->exposed ? HAS_EXPOSED : 0;
	return has;
}

/* The longest record: handle, bits, values. */
#define RECORD_MAX (4 + 2 + 4 * 8 + 1 + 4 * RECORD_BMP_WORDS + 3 * 4 + 3 * 4 + 8 + 4)

/* A record of each SA goes through here, so: no call for each of its values. */
static inline uint8_t *put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline uint8_t *put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *put_bitmap(uint8_t *p, const struct record *rec)
{
	uint32_t i;

	*p++ = rec->bmp_words;
	for (i = 0; i < rec->bmp_words; i++)
		p = put32(p, rec->bmp[i]);
	return p;
}

void wire_put_record(struct buf *b, uint32_t handle, const struct record *rec,
		     uint64_t sent, uint64_t now)
{
	uint16_t has = presence(rec, sent);
	uint8_t *p = buf_more(b, RECORD_MAX);

	if (!p)
		return;
	p = put32(p, handle);
	p = put16(p, has);
	if (has & HAS_OSEQ)
		p = put64(p, rec->oseq);
	if (has & HAS_SEQ)
		p = put64(p, rec->seq);
	if (has & HAS_BITMAP)
		p = put_bitmap(p, rec);
	if (has & HAS_BYTES)
		p = put64(p, rec->bytes);
	if (has & HAS_PACKETS)
		p = put64(p, rec->packets);
	if (has & HAS_ADD)
		p = put32(p, age(rec->add_time, now));
	if (has & HAS_USE)
		p = put32(p, age(rec->use_time, now));
	if (has & HAS_LAST)
		p = put32(p, age(rec->last_used, now));
	if (has & HAS_ERRORS) {
		p = put32(p, rec->replay_window_errors);
		p = put32(p, rec->replay_errors);
		p = put32(p, rec->integrity_errors);
	}
	if (has & HAS_SENT)
		p = put64(p, sent);
	if (has & HAS_GUARD)
		p = put32(p, rec->guard);
	b->len = p - b->data;
}

static int get_bitmap(struct rd *r, struct record *rec)
{
	uint32_t i;

	rec->bmp_words = rd_u8(r);
	if (!rec->bmp_words || rec->bmp_words > RECORD_BMP_WORDS)
		return -EBADMSG;
	for (i = 0; i < rec->bmp_words; i++)
		rec->bmp[i] = rd_u32(r);
	return 0;
}

/* What is said is not what goes without saying. */
static inline uint64_t said64(struct rd *r, bool *good)
{
	uint64_t v = rd_u64(r);

	*good &= v != 0;
	return v;
}

static inline uint32_t said32(struct rd *r, bool *good)
{
	uint32_t v = rd_u32(r);

	*good &= v != 0;
	return v;
}

static void get_errors(struct rd *r, struct record *rec, bool *good)
{
	rec->replay_window_errors = rd_u32(r);
	rec->replay_errors = rd_u32(r);
	rec->integrity_errors = rd_u32(r);
	*good &= rec->replay_window_errors || rec->replay_errors ||
		 rec->integrity_errors;
}

static void get_sent(struct rd *r, const struct record *rec, uint64_t *sent,
		     bool *good)
{
	*sent = rd_u64(r);
	/* Nothing was sent beyond the counter; and of as much nothing is said. */
	*good &= *sent < rec->oseq;
}

int wire_get_record(struct rd *r, uint32_t *handle, struct record *rec,
		    uint64_t *sent, uint64_t now)
{
	bool good = true;
	uint16_t has;

	record_init(rec);
	*handle = rd_u32(r);
	has = rd_u16(r);
	if (has & ~HAS_ALL)
		return -EBADMSG;
	if (has & HAS_OSEQ)
		rec->oseq = said64(r, &good);
	if (has & HAS_SEQ)
		rec->seq = said64(r, &good);
	if (has & HAS_BITMAP && get_bitmap(r, rec))
		return -EBADMSG;
	if (has & HAS_BYTES)
		rec->bytes = said64(r, &good);
	if (has & HAS_PACKETS)
		rec->packets = said64(r, &good);
	if (has & HAS_ADD)
		rec->add_time = time_of(rd_u32(r), now);
	if (has & HAS_USE)
		rec->use_time = time_of(rd_u32(r), now);
	if (has & HAS_LAST)
		rec->last_used = time_of(rd_u32(r), now);
	if (has & HAS_ERRORS)
		get_errors(r, rec, &good);
	*sent = rec->oseq;
	if (has & HAS_SENT)
		get_sent(r, rec, sent, &good);
	if (has & HAS_DYING)
		rec->flags |= XFRMSYNC_RECORD_F_DYING;
	if (has & HAS_GUARD)
		rec->guard = said32(r, &good);
	rec->exposed = has & HAS_EXPOSED;
	return r->bad || !good ? -EBADMSG : 0;
}

void wire_put_merge(struct buf *b, uint32_t handle, uint64_t tag,
		    const struct record *rec)
{
	struct record window = { .seq = rec->seq, .bmp_words = rec->bmp_words };

	memcpy(window.bmp, rec->bmp, rec->bmp_words * sizeof(rec->bmp[0]));
	buf_u64(b, tag);
	wire_put_record(b, handle, &window, 0, 0);
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
	return rd_done(r) && presence(rec, 0) == (HAS_SEQ | HAS_BITMAP) ?
	       0 : -EBADMSG;
}
