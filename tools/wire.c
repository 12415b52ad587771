// SPDX-License-Identifier: GPL-2.0
/*
 * In: what one node tells another.
 * Out: frames, as Documentation/wire.rst says byte by byte, and back.
 * Pure; frames may hold keys: wipe them.
 */
#include <errno.h>
#include <string.h>

#include <linux/xfrmsync.h>

#include "wire.h"

#define HELLO_TAG_KEY 1
#define HELLO_SPI_RANGE 2
#define HELLO_LOST 4
#define HELLO_SEES 8
#define HELLO_KNOWS_EXPOSED 16
#define HELLO_TAKES_IKE 32

int wire_header_parse(const uint8_t *p, size_t len, struct wire_header *h)
{
	struct rd r = { .p = p, .left = len };

	/* Refuse a foreign protocol by its first bytes, not by a time-out. */
	if (len >= 2 && rd_u16(&r) != WIRE_MAGIC)
		return -EPROTO;
	if (len >= 3) {
		h->version = rd_u8(&r);
		if (h->version != WIRE_VERSION)
			return -EPROTONOSUPPORT;
	}
	if (len < WIRE_HEADER)
		return 0;
	h->type = rd_u8(&r);
	h->length = rd_u32(&r);
	h->epoch = rd_u64(&r);
	h->node = rd_u32(&r);
	if (h->epoch > WIRE_MAX_EPOCH)
		return -ERANGE;
	return h->length > WIRE_MAX_PAYLOAD ? -EMSGSIZE : 1;
}

size_t wire_begin(struct buf *b, uint8_t type, uint64_t epoch, uint32_t node)
{
	size_t at = b->len;

	buf_u16(b, WIRE_MAGIC);
	buf_u8(b, WIRE_VERSION);
	buf_u8(b, type);
	buf_u32(b, 0);
	buf_u64(b, epoch);
	buf_u32(b, node);
	return at;
}

void wire_end(struct buf *b, size_t at)
{
	buf_set_u32(b, at + 4, b->len - at - WIRE_HEADER);
}

static void put_chain(struct buf *b, const struct chain *c)
{
	size_t i;

	buf_u8(b, c->n);
	for (i = 0; i < c->n; i++) {
		buf_u32(b, c->at[i].node);
		buf_u64(b, c->at[i].epoch);
	}
}

/* Ascending, each node once: anything else is another form of it. */
static int get_chain(struct rd *r, struct chain *c)
{
	uint8_t i, n = rd_u8(r);
	uint64_t epoch;
	uint32_t node;

	if (n > CHAIN_MAX)
		return -EBADMSG;
	for (i = 0; i < n; i++) {
		node = rd_u32(r);
		epoch = rd_u64(r);
		if (!epoch || (i && node <= c->at[i - 1].node))
			return -EBADMSG;
		chain_add(c, epoch, node);
	}
	return 0;
}

void wire_put_hello(struct buf *b, const struct wire_hello *h)
{
	size_t name_len = strnlen(h->name, WIRE_NAME_MAX);

	buf_u32(b, h->node_id);
	buf_u8(b, h->role);
	buf_u8(b, (h->has_tag_key ? HELLO_TAG_KEY : 0) |
		  (spi_range_is_set(&h->spi_range) ? HELLO_SPI_RANGE : 0) |
		  (h->lost ? HELLO_LOST : 0) |
		  (h->sees ? HELLO_SEES : 0) |
		  (h->knows_exposed ? HELLO_KNOWS_EXPOSED : 0) |
		  (h->takes_ike ? HELLO_TAKES_IKE : 0));
	buf_u64(b, h->instance);
	buf_u8(b, name_len);
	buf_put(b, h->name, name_len);
	if (h->has_tag_key)
		buf_put(b, h->tag_key, WIRE_TAG_KEY);
	if (spi_range_is_set(&h->spi_range)) {
		buf_u32(b, h->spi_range.min);
		buf_u32(b, h->spi_range.max);
	}
	buf_u64(b, h->own);
	put_chain(b, &h->chain);
	if (h->lost)
		buf_u64(b, h->lost);
}

int wire_get_hello(struct rd *r, struct wire_hello *h)
{
	uint8_t flags, name_len;

	memset(h, 0, sizeof(*h));
	h->node_id = rd_u32(r);
	h->role = rd_u8(r);
	flags = rd_u8(r);
	h->instance = rd_u64(r);
	name_len = rd_u8(r);
	if (!name_len || name_len > WIRE_NAME_MAX ||
	    h->role > XFRMSYNC_ROLE_STANDBY)
		return -EBADMSG;
	rd_copy(r, h->name, name_len);
	h->has_tag_key = flags & HELLO_TAG_KEY;
	if (h->has_tag_key)
		rd_copy(r, h->tag_key, WIRE_TAG_KEY);
	if (flags & HELLO_SPI_RANGE) {
		h->spi_range.min = rd_u32(r);
		h->spi_range.max = rd_u32(r);
		if (h->spi_range.min < SPI_MIN ||
		    h->spi_range.max < h->spi_range.min)
			return -EBADMSG;
	}
	h->own = rd_u64(r);
	h->sees = flags & HELLO_SEES;
	h->knows_exposed = flags & HELLO_KNOWS_EXPOSED;
	h->takes_ike = flags & HELLO_TAKES_IKE;
	if (get_chain(r, &h->chain))
		return -EBADMSG;
	if (flags & HELLO_LOST) {
		h->lost = rd_u64(r);
		if (!h->lost || h->lost > h->own)
			return -EBADMSG;
	}
	/* More may follow: a later minor revision's. */
	return r->bad || memchr(h->name, 0, name_len) ? -EBADMSG : 0;
}

void wire_put_sa(struct buf *b, const struct wire_sa *sa, uint64_t now)
{
	buf_u32(b, sa->flags);
	buf_u64(b, sa->tag);
	buf_u64(b, sa->lease_end);
	buf_u64(b, sa->range_end);
	buf_u64(b, sa->given_end);
	wire_put_record(b, sa->handle, &sa->rec, sa->sent, now);
	buf_put(b, sa->context, sa->context_len);
}

int wire_get_sa(struct rd *r, struct wire_sa *sa, uint64_t now)
{
	int ret;

	sa->flags = rd_u32(r);
	sa->tag = rd_u64(r);
	sa->lease_end = rd_u64(r);
	sa->range_end = rd_u64(r);
	sa->given_end = rd_u64(r);
	ret = wire_get_record(r, &sa->handle, &sa->rec, &sa->sent, now);
	if (ret)
		return ret;
	sa->context_len = r->left;
	sa->context = rd_bytes(r, r->left);
	sa->rec.tag = sa->tag;
	sa->rec.lease_end = sa->lease_end;
	if (sa->range_end < sa->lease_end || sa->given_end < sa->range_end)
		return -EBADMSG;
	return r->bad || !sa->tag || !sa->handle ? -EBADMSG : 0;
}

void wire_put_refused(struct buf *b, const struct wire_refused *f)
{
	buf_u32(b, f->handle);
	buf_u64(b, f->tag);
	buf_u8(b, f->why);
	buf_put(b, f->text, strnlen(f->text, WIRE_REFUSED_TEXT));
}

/*
 * It goes into a log, to a terminal, and into JSON, which has no room for what
 * is no UTF-8, or is cut within a character.
 */
static void get_text(struct rd *r, char *to, size_t len)
{
	size_t i;

	rd_copy(r, to, len);
	for (i = 0; i < len; i++) {
		if (to[i] < ' ' || to[i] > '~')
			to[i] = '?';
	}
}

int wire_get_refused(struct rd *r, struct wire_refused *f)
{
	size_t len;

	memset(f, 0, sizeof(*f));
	f->handle = rd_u32(r);
	f->tag = rd_u64(r);
	f->why = rd_u8(r);
	len = r->left;
	if (r->bad || !f->handle || !f->tag || len > WIRE_REFUSED_TEXT)
		return -EBADMSG;
	get_text(r, f->text, len);
	return 0;
}

void wire_put_lacking(struct buf *b, const char *text)
{
	buf_put(b, text, strnlen(text, WIRE_LACKING_TEXT));
}

int wire_get_lacking(struct rd *r, char text[WIRE_LACKING_TEXT + 1])
{
	size_t len = r->left;

	memset(text, 0, WIRE_LACKING_TEXT + 1);
	if (!len || len > WIRE_LACKING_TEXT)
		return -EBADMSG;
	get_text(r, text, len);
	return 0;
}
