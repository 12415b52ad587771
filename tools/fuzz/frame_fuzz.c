// SPDX-License-Identifier: GPL-2.0
/*
 * In: into how many pieces a connection cuts its bytes (the first byte), and the bytes.
 * Out: the same frames in whatever pieces they come; each that is taken is, encoded
 *      again, what it was.
 * libFuzzer's harness: the channel's framing (link.c, behind TLS) and the decoders of
 * frames (wire.c, wire_record.c, wire_frame.c).
 */
#include <assert.h>

#include <linux/xfrmsync.h>

/* For its parse_frames: TLS in front of it would keep every fuzzer out. */
#include "../link.c"

#include "check_context.h"
#include "fuzz.h"

#define NOW (1ULL << 40)	/* later than any age */
#define PIECES 8

struct heard {
	unsigned int frames;
	uint64_t hash;
	char why[100];
};

static void check_bytes(const uint8_t *p, size_t len, struct buf *again)
{
	assert(again->len == len);
	assert(!len || !memcmp(again->data, p, len));
	buf_free(again);
}

static bool take_hello(struct rd *r)
{
	const uint8_t *p = r->p;
	struct wire_hello hello;
	struct buf again = {};

	if (wire_get_hello(r, &hello))
		return false;
	wire_put_hello(&again, &hello);
	/* Flags of a later version are read over. */
	if (p[5] <= 15)
		check_bytes(p, r->p - p, &again);
	buf_free(&again);
	return true;
}

static bool take_sa(struct rd *r)
{
	struct rd all = *r;
	struct buf again = {};
	struct wire_sa sa;

	if (wire_get_sa(r, &sa, NOW))
		return false;
	wire_put_sa(&again, &sa, NOW);
	check_bytes(all.p, all.left, &again);
	check_context(sa.context, sa.context_len);
	return true;
}

static bool take_records(struct rd *r)
{
	struct buf again = {};
	struct record rec;
	const uint8_t *p;
	uint32_t handle;
	uint64_t sent;

	while (r->left) {
		p = r->p;
		if (wire_get_record(r, &handle, &rec, &sent, NOW))
			return false;
		wire_put_record(&again, handle, &rec, sent, NOW);
		check_bytes(p, r->p - p, &again);
	}
	return true;
}

static bool take_merge(struct rd *r)
{
	struct rd all = *r;
	struct buf again = {};
	struct record rec;
	uint32_t handle;
	uint64_t tag;

	if (wire_get_merge(r, &handle, &tag, &rec))
		return false;
	wire_put_merge(&again, handle, tag, &rec);
	check_bytes(all.p, all.left, &again);
	return true;
}

static bool take_refused(struct rd *r)
{
	struct rd all = *r;
	struct wire_refused refused;
	struct buf again = {};
	size_t i;

	if (wire_get_refused(r, &refused))
		return false;
	wire_put_refused(&again, &refused);
	for (i = 13; i < all.left; i++)
		assert(refused.text[i - 13] >= ' ' &&
		       refused.text[i - 13] <= '~');
	/* What is not printable is another byte. */
	assert(again.len == all.left && !memcmp(again.data, all.p, 13));
	buf_free(&again);
	return true;
}

static bool take_lacking(struct rd *r)
{
	char text[WIRE_LACKING_TEXT + 1];
	struct rd all = *r;
	struct buf again = {};
	size_t i;

	if (wire_get_lacking(r, text))
		return false;
	wire_put_lacking(&again, text);
	for (i = 0; i < again.len; i++)
		assert(text[i] >= ' ' && text[i] <= '~');
	assert(again.len == all.left);
	buf_free(&again);
	return true;
}

/* ---- of a few numbers; where more may follow, it is left ---- */

static bool take_error(struct rd *r)
{
	static char text[WIRE_MAX_PAYLOAD];

	struct rd all = *r;
	struct buf again = {};
	uint16_t code;

	if (wire_get_error(r, &code, text, sizeof(text)))
		return false;
	wire_put_error(&again, code, text);
	/* A NUL ends it. */
	assert(again.len >= 2 && again.len <= all.left);
	assert(again.len == all.left || !all.p[again.len]);
	check_bytes(all.p, again.len, &again);
	return true;
}

static bool take_snapshot(struct rd *r)
{
	const uint8_t *p = r->p;
	struct wire_snapshot snapshot;
	struct buf again = {};

	if (wire_get_snapshot(r, &snapshot))
		return false;
	wire_put_snapshot(&again, &snapshot);
	check_bytes(p, r->p - p, &again);
	return true;
}

static bool take_delete(struct rd *r)
{
	struct rd all = *r;
	struct wire_delete del;
	struct buf again = {};

	if (wire_get_delete(r, &del))
		return false;
	wire_put_delete(&again, &del);
	check_bytes(all.p, all.left, &again);
	return true;
}

static bool take_ack(struct rd *r)
{
	const uint8_t *p = r->p;
	struct buf again = {};
	struct wire_ack ack;

	if (wire_get_ack(r, &ack))
		return false;
	wire_put_ack(&again, &ack);
	check_bytes(p, r->p - p, &again);
	return true;
}

static bool take_lease_acks(struct rd *r)
{
	struct rd all = *r;
	struct buf again = {};
	struct wire_lease_ack ack;

	while (r->left) {
		if (wire_get_lease_ack(r, &ack)) {
			buf_free(&again);
			return false;
		}
		wire_put_lease_ack(&again, &ack);
	}
	check_bytes(all.p, all.left, &again);
	return true;
}

static bool take_number(struct rd *r)
{
	struct rd all = *r;
	struct wire_number number;
	struct buf again = {};

	if (wire_get_number(r, &number))
		return false;
	wire_put_number(&again, &number);
	check_bytes(all.p, all.left, &again);
	return true;
}

static bool take_handover(struct rd *r)
{
	const uint8_t *p = r->p;
	struct buf again = {};
	uint32_t result;

	if (wire_get_handover(r, &result))
		return false;
	wire_put_handover(&again, result);
	check_bytes(p, r->p - p, &again);
	return true;
}

static bool take_final(struct rd *r)
{
	struct rd all = *r;
	struct buf again = {};
	struct wire_final final;

	while (r->left) {
		if (wire_get_final(r, &final)) {
			buf_free(&again);
			return false;
		}
		wire_put_final(&again, &final);
	}
	assert(again.len % WIRE_FINAL_BYTES == 0);
	check_bytes(all.p, all.left, &again);
	return true;
}

static bool take_ike(struct rd *r)
{
	struct rd all = *r;
	struct buf again = {};
	struct wire_ike ike;

	if (wire_get_ike(r, &ike))
		return false;
	assert(ike.len <= WIRE_IKE_MAX);
	wire_put_ike(&again, &ike);
	check_bytes(all.p, all.left, &again);
	return true;
}

/* The compiler asks for each type that there is. */
static bool take_type(enum wire_type type, struct rd *r)
{
	switch (type) {
	case WIRE_HELLO:
		return take_hello(r);
	case WIRE_ERROR:
		return take_error(r);
	case WIRE_SNAPSHOT_BEGIN:
		return take_snapshot(r);
	case WIRE_CONTEXT:
		return take_sa(r);
	case WIRE_DELETE:
		return take_delete(r);
	case WIRE_RECORDS:
		return take_records(r);
	case WIRE_POLICY:
	case WIRE_POLICY_DELETE:
		check_context(r->p, r->left);
		return true;
	case WIRE_ACK:
		return take_ack(r);
	case WIRE_LEASE_ACK:
		return take_lease_acks(r);
	case WIRE_MERGE:
		return take_merge(r);
	case WIRE_USED:
	case WIRE_GIVEN:
		return take_number(r);
	case WIRE_REFUSED:
		return take_refused(r);
	case WIRE_LACKING:
		return take_lacking(r);
	case WIRE_HANDOVER:
		return take_handover(r);
	case WIRE_FINAL:
		return take_final(r);
	case WIRE_IKE:
		return take_ike(r);
	case WIRE_PING:
	case WIRE_PONG:
	case WIRE_SNAPSHOT_END:
	case WIRE_RESYNC:
	case WIRE_FILL:
	case WIRE_HANDOVER_REQUEST:
		return true;
	}
	return true;
}

static bool take(struct link *l, const struct wire_header *h, struct rd *r)
{
	struct heard *heard = l->data;

	assert(r->left == h->length && h->length <= WIRE_MAX_PAYLOAD);
	heard->frames++;
	heard->hash = heard->hash * 31 + h->type + h->length + h->epoch + h->node;
	return take_type(h->type, r);
}

static void down(struct link *l, const char *why)
{
	struct heard *heard = l->data;

	snprintf(heard->why, sizeof(heard->why), "%s", why);
}

static const struct link_ops ops = { .frame = take, .down = down };

static void hear(const uint8_t *p, size_t len, size_t piece, struct heard *heard)
{
	static struct loop loop;
	struct link *l = calloc(1, sizeof(*l));
	size_t n;

	assert(l);
	*heard = (struct heard){};
	l->loop = &loop;
	l->ops = &ops;
	l->data = heard;
	l->io.fd = -1;
	for (; len; p += n, len -= n) {
		n = len < piece ? len : piece;
		buf_put(&l->in, p, n);
		if (!parse_frames(l))
			break;
	}
	link_close(l);
	while (loop.n_dead)
		free(loop.dead[--loop.n_dead]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole, pieces;

	if (!size)
		return 0;
	hear(data + 1, size - 1, size, &whole);
	hear(data + 1, size - 1, size / (1 + data[0] % PIECES) + 1, &pieces);
	assert(!memcmp(&whole, &pieces, sizeof(whole)));
	return 0;
}
