// SPDX-License-Identifier: GPL-2.0
/*
 * In: what one node tells another in a few numbers: acknowledgements, numbers of
 *     an SA, how far a hand-over is; and what charons say.
 * Out: the payloads of those frames, as Documentation/wire.rst says, and back.
 * Pure; holds no keys, but for what charons say.
 *
 * What is too short is malformed. What follows is so, too, where a frame is of one
 * SA; else it may be of a later version, and is left to the caller.
 */
#include <errno.h>
#include <string.h>

#include "wire.h"

static int whole(const struct rd *r)
{
	return rd_done(r) ? 0 : -EBADMSG;
}

static int enough(const struct rd *r)
{
	return r->bad ? -EBADMSG : 0;
}

void wire_put_error(struct buf *b, uint16_t code, const char *text)
{
	buf_u16(b, code);
	buf_put(b, text, strlen(text));
}

int wire_get_error(struct rd *r, uint16_t *code, char *text, size_t size)
{
	size_t len;

	*code = rd_u16(r);
	len = r->bad ? 0 : r->left;
	if (len > size - 1)
		len = size - 1;
	rd_copy(r, text, len);
	text[len] = '\0';
	return enough(r);
}

void wire_put_snapshot(struct buf *b, const struct wire_snapshot *s)
{
	buf_u32(b, s->sas);
	buf_u32(b, s->policies);
}

int wire_get_snapshot(struct rd *r, struct wire_snapshot *s)
{
	s->sas = rd_u32(r);
	s->policies = rd_u32(r);
	return enough(r);
}

void wire_put_delete(struct buf *b, const struct wire_delete *del)
{
	buf_u32(b, del->handle);
	buf_u64(b, del->tag);
}

int wire_get_delete(struct rd *r, struct wire_delete *del)
{
	del->handle = rd_u32(r);
	del->tag = rd_u64(r);
	return whole(r);
}

void wire_put_ack(struct buf *b, const struct wire_ack *ack)
{
	buf_u64(b, ack->frames);
	buf_u32(b, ack->sas);
	buf_u32(b, ack->conflicts);
}

int wire_get_ack(struct rd *r, struct wire_ack *ack)
{
	ack->frames = rd_u64(r);
	ack->sas = rd_u32(r);
	ack->conflicts = rd_u32(r);
	return enough(r);
}

void wire_put_lease_ack(struct buf *b, const struct wire_lease_ack *ack)
{
	buf_u32(b, ack->handle);
	buf_u64(b, ack->number);
}

int wire_get_lease_ack(struct rd *r, struct wire_lease_ack *ack)
{
	ack->handle = rd_u32(r);
	ack->number = rd_u64(r);
	return enough(r);
}

void wire_put_number(struct buf *b, const struct wire_number *n)
{
	buf_u32(b, n->handle);
	buf_u64(b, n->tag);
	buf_u64(b, n->number);
}

int wire_get_number(struct rd *r, struct wire_number *n)
{
	n->handle = rd_u32(r);
	n->tag = rd_u64(r);
	n->number = rd_u64(r);
	return whole(r);
}

void wire_put_handover(struct buf *b, uint32_t result)
{
	buf_u32(b, result);
}

int wire_get_handover(struct rd *r, uint32_t *result)
{
	*result = rd_u32(r);
	return enough(r);
}

void wire_put_final(struct buf *b, const struct wire_final *f)
{
	buf_u32(b, f->handle);
	buf_u64(b, f->last);
	buf_u64(b, f->lease_end);
}

int wire_get_final(struct rd *r, struct wire_final *f)
{
	f->handle = rd_u32(r);
	f->last = rd_u64(r);
	f->lease_end = rd_u64(r);
	return enough(r);
}

void wire_put_ike(struct buf *b, const struct wire_ike *ike)
{
	buf_u8(b, ike->what);
	buf_put(b, ike->msg, ike->len);
}

/* What a later version says otherwise may be of any length. */
int wire_get_ike(struct rd *r, struct wire_ike *ike)
{
	ike->what = rd_u8(r);
	ike->len = r->left;
	ike->msg = rd_bytes(r, r->left);
	if (r->bad || !ike->what)
		return -EBADMSG;
	if (ike->what == WIRE_IKE_MESSAGE)
		return ike->len && ike->len <= WIRE_IKE_MAX ? 0 : -EBADMSG;
	return ike->what <= WIRE_IKE_WANT && ike->len ? -EBADMSG : 0;
}

void wire_put_ike_age(struct buf *b, const struct wire_ike_age *age)
{
	buf_u64(b, age->epoch);
	buf_u32(b, age->node);
	buf_u64(b, age->ms);
}

int wire_get_ike_age(struct rd r, struct wire_ike_age *age)
{
	age->epoch = rd_u64(&r);
	age->node = rd_u32(&r);
	age->ms = rd_u64(&r);
	return r.bad ? -EBADMSG : 0;
}
