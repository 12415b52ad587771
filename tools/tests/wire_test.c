// SPDX-License-Identifier: GPL-2.0
/*
 * In: frames and records, whole, cut, and made by another version.
 * Out: what wire.h promises of each.
 * Host only.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/xfrmsync.h>

#include "wire.h"

#define NOW 1800000000ULL

static struct buf frame(uint8_t type, uint32_t bytes)
{
	struct buf b = {};
	size_t at = wire_begin(&b, type, 0x0102030405060708ULL, 0x0a0b0c0d);

	while (bytes--)
		buf_u8(&b, 0x55);
	wire_end(&b, at);
	return b;
}

static void test_header_golden(void **state)
{
	static const uint8_t want[] = {
		0x58, 0x53, 0x01, 0x03, 0x00, 0x00, 0x00, 0x02,
		0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
		0x0a, 0x0b, 0x0c, 0x0d, 0x55, 0x55,
	};
	struct buf b = frame(WIRE_PING, 2);
	struct wire_header h;

	(void)state;
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	assert_int_equal(wire_header_parse(b.data, b.len, &h), 1);
	assert_int_equal(h.type, WIRE_PING);
	assert_int_equal(h.length, 2);
	assert_int_equal(h.epoch, 0x0102030405060708ULL);
	assert_int_equal(h.node, 0x0a0b0c0d);
	buf_free(&b);
}

static void test_header_cut(void **state)
{
	struct buf b = frame(WIRE_PING, 0);
	struct wire_header h;
	size_t len;

	(void)state;
	for (len = 0; len < WIRE_HEADER; len++)
		assert_int_equal(wire_header_parse(b.data, len, &h), 0);
	buf_free(&b);
}

static void test_header_refused(void **state)
{
	struct buf b = frame(WIRE_PING, 0);
	struct wire_header h;

	(void)state;
	b.data[2] = WIRE_VERSION + 1;
	assert_int_equal(wire_header_parse(b.data, 3, &h), -EPROTONOSUPPORT);
	assert_int_equal(h.version, WIRE_VERSION + 1);
	b.data[2] = WIRE_VERSION;
	buf_set_u32(&b, 4, WIRE_MAX_PAYLOAD + 1);
	assert_int_equal(wire_header_parse(b.data, b.len, &h), -EMSGSIZE);
	assert_int_equal(wire_header_parse((void *)"GET / HTTP/1.1", 14, &h),
			 -EPROTO);
	buf_free(&b);
}

static void test_hello(void **state)
{
	struct wire_hello h = {
		.node_id = 7, .role = XFRMSYNC_ROLE_ACTIVE,
		.has_tag_key = true, .instance = 99, .name = "gw-a",
	};
	struct wire_hello got;
	struct buf b = {};
	size_t len;
	struct rd r;

	(void)state;
	memset(h.tag_key, 0xab, sizeof(h.tag_key));
	wire_put_hello(&b, &h);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_hello(&r, &got), 0);
	assert_memory_equal(&h, &got, sizeof(h));
	for (len = 0; len < b.len; len++) {
		r = (struct rd){ .p = b.data, .left = len };
		assert_int_equal(wire_get_hello(&r, &got), -EBADMSG);
	}
	/* A flag, and nothing else of it. */
	len = b.len;
	h.knows_exposed = true;
	h.takes_ike = true;
	buf_clear(&b);
	wire_put_hello(&b, &h);
	assert_int_equal(b.len, len);
	assert_int_equal(b.data[5], 1 | 16 | 32);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_hello(&r, &got), 0);
	assert_memory_equal(&h, &got, sizeof(h));
	h.spi_range = (struct spi_range){ SPI_MIN, UINT32_MAX };
	buf_clear(&b);
	wire_put_hello(&b, &h);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_hello(&r, &got), 0);
	assert_memory_equal(&h, &got, sizeof(h));
	assert_true(rd_done(&r));
	for (len = 0; len < b.len; len++) {
		r = (struct rd){ .p = b.data, .left = len };
		assert_int_equal(wire_get_hello(&r, &got), -EBADMSG);
	}
	/* No range, or of SPIs that are none; behind it stand 9 bytes. */
	buf_set_u32(&b, b.len - 17, SPI_MIN - 1);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_hello(&r, &got), -EBADMSG);
	buf_set_u32(&b, b.len - 17, 0x2000);
	buf_set_u32(&b, b.len - 13, 0x1fff);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_hello(&r, &got), -EBADMSG);
	buf_set_u32(&b, b.len - 13, 0x2000);
	/* What a later revision appends does not hurt. */
	buf_u32(&b, 1);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_hello(&r, &got), 0);
	buf_free(&b);
}

static int take_hello(const struct buf *b, size_t len, struct wire_hello *got)
{
	struct rd r = { .p = b->data, .left = len };

	return wire_get_hello(&r, got);
}

/* What it was active in, and what is accounted for: as many as there may be. */
static void test_hello_chain(void **state)
{
	struct wire_hello h = {
		.node_id = 7, .role = XFRMSYNC_ROLE_STANDBY, .instance = 99,
		.name = "gw-a", .own = UINT64_MAX,
	};
	struct wire_hello got;
	struct buf b = {};
	size_t len, last;
	uint32_t i;

	(void)state;
	for (i = 0; i < CHAIN_MAX; i++)
		chain_add(&h.chain, UINT64_MAX - i, UINT32_MAX - i);
	wire_put_hello(&b, &h);
	assert_int_equal(take_hello(&b, b.len, &got), 0);
	assert_memory_equal(&h, &got, sizeof(h));
	for (len = 0; len < b.len; len++)
		assert_int_equal(take_hello(&b, len, &got), -EBADMSG);
	/* The same node twice, or behind a higher one. */
	last = b.len - 12;
	buf_set_u32(&b, last, UINT32_MAX - 1);
	assert_int_equal(take_hello(&b, b.len, &got), -EBADMSG);
	buf_set_u32(&b, last, 1);
	assert_int_equal(take_hello(&b, b.len, &got), -EBADMSG);
	buf_set_u32(&b, last, UINT32_MAX);
	assert_int_equal(take_hello(&b, b.len, &got), 0);
	/* In no epoch; one too many. */
	memset(b.data + last + 4, 0, 8);
	assert_int_equal(take_hello(&b, b.len, &got), -EBADMSG);
	b.data[b.len - 1] = 1;
	b.data[b.len - 1 - 12 * CHAIN_MAX]++;
	buf_u32(&b, UINT32_MAX);
	buf_u64(&b, 1);
	assert_int_equal(take_hello(&b, b.len, &got), -EBADMSG);
	buf_free(&b);
}

/* It was active once more since it lost what it drew; both epochs are said. */
static void test_hello_lost(void **state)
{
	struct wire_hello h = {
		.node_id = 7, .role = XFRMSYNC_ROLE_STANDBY, .instance = 99,
		.name = "gw-a", .own = UINT64_MAX, .lost = UINT64_MAX - 1,
	};
	struct wire_hello got;
	struct buf b = {};
	size_t len;

	(void)state;
	chain_add(&h.chain, 9, 7);
	wire_put_hello(&b, &h);
	assert_int_equal(take_hello(&b, b.len, &got), 0);
	assert_memory_equal(&h, &got, sizeof(h));
	for (len = 0; len < b.len; len++)
		assert_int_equal(take_hello(&b, len, &got), -EBADMSG);
	/* It cannot have lost what it never had; nor nothing. */
	h.own = UINT64_MAX - 2;
	buf_clear(&b);
	wire_put_hello(&b, &h);
	assert_int_equal(take_hello(&b, b.len, &got), -EBADMSG);
	memset(b.data + b.len - 8, 0, 8);
	assert_int_equal(take_hello(&b, b.len, &got), -EBADMSG);
	buf_free(&b);
}

static void test_refused(void **state)
{
	struct wire_refused f = {
		.handle = 7, .tag = 8, .why = WIRE_REFUSED_CONFLICT, .text = "why",
	};
	struct wire_refused got;
	struct buf b = {};
	struct rd r;
	size_t len;

	(void)state;
	wire_put_refused(&b, &f);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_refused(&r, &got), 0);
	assert_memory_equal(&got, &f, sizeof(f));
	for (len = 0; len < 13; len++) {
		r = (struct rd){ .p = b.data, .left = len };
		assert_int_equal(wire_get_refused(&r, &got), -EBADMSG);
	}
	/* What a terminal would obey. */
	b.data[b.len - 3] = 0x1b;
	b.data[b.len - 2] = 0;
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_refused(&r, &got), 0);
	assert_string_equal(got.text, "??y");
	/* No UTF-8: it would not go into JSON. */
	b.data[b.len - 3] = 0xff;
	b.data[b.len - 2] = 0x7f;
	b.data[b.len - 1] = 0xc3;
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_refused(&r, &got), 0);
	assert_string_equal(got.text, "???");
	/* As long as it may be, and longer. */
	buf_clear(&b);
	memset(f.text, 'x', WIRE_REFUSED_TEXT);
	wire_put_refused(&b, &f);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_refused(&r, &got), 0);
	assert_int_equal(strlen(got.text), WIRE_REFUSED_TEXT);
	buf_u8(&b, 'x');
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_refused(&r, &got), -EBADMSG);
	/* Names no SA. */
	buf_set_u32(&b, 0, 0);
	r = (struct rd){ .p = b.data, .left = 13 };
	assert_int_equal(wire_get_refused(&r, &got), -EBADMSG);
	buf_free(&b);
}

static void test_lacking(void **state)
{
	char want[WIRE_LACKING_TEXT + 2], got[WIRE_LACKING_TEXT + 1];
	struct buf b = {};
	struct rd r;

	(void)state;
	wire_put_lacking(&b, "attribute 200 (esp)");
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_lacking(&r, got), 0);
	assert_string_equal(got, "attribute 200 (esp)");
	/* What a terminal would obey, and JSON would not. */
	b.data[0] = 0x1b;
	b.data[1] = 0;
	b.data[2] = 0xc3;
	r = (struct rd){ .p = b.data, .left = 4 };
	assert_int_equal(wire_get_lacking(&r, got), 0);
	assert_string_equal(got, "???r");
	r = (struct rd){ .p = b.data };
	assert_int_equal(wire_get_lacking(&r, got), -EBADMSG);
	/* As long as it may be, and longer. */
	memset(want, 'x', sizeof(want) - 1);
	want[sizeof(want) - 1] = '\0';
	buf_clear(&b);
	wire_put_lacking(&b, want);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_lacking(&r, got), 0);
	assert_int_equal(strlen(got), WIRE_LACKING_TEXT);
	buf_u8(&b, 'x');
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_lacking(&r, got), -EBADMSG);
	buf_free(&b);
}

static struct record sample(void)
{
	struct record rec = {
		.seq = 0x100000005ULL, .window = 128, .bmp_words = 4,
		.bmp = { 1, 2, 3, 0x80000000 },
		.bytes = 1000, .packets = 10,
		.use_time = NOW - 60, .last_used = NOW - 1,
	};

	return rec;
}

static void test_record_is_small(void **state)
{
	struct record rec = sample();
	struct buf b = {};

	(void)state;
	wire_put_record(&b, 1, &rec, 0, NOW);
	assert_true(b.len <= 64);
	buf_clear(&b);
	rec.oseq = rec.seq;
	rec.seq = 0;
	wire_put_record(&b, 1, &rec, rec.oseq, NOW);
	assert_true(b.len <= 64);
	buf_free(&b);
}

static void round_trip(const struct record *rec, uint64_t sent)
{
	struct record got;
	struct buf b = {};
	uint64_t got_sent;
	uint32_t handle;
	struct rd r;
	size_t len;

	wire_put_record(&b, 0x12345678, rec, sent, NOW);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_record(&r, &handle, &got, &got_sent, NOW), 0);
	assert_true(rd_done(&r));
	assert_int_equal(handle, 0x12345678);
	assert_int_equal(got_sent, sent);
	assert_int_equal(got.oseq, rec->oseq);
	assert_int_equal(got.seq, rec->seq);
	assert_int_equal(got.bmp_words, rec->bmp_words);
	assert_memory_equal(got.bmp, rec->bmp, rec->bmp_words * sizeof(got.bmp[0]));
	assert_int_equal(got.bytes, rec->bytes);
	assert_int_equal(got.packets, rec->packets);
	assert_int_equal(got.add_time, rec->add_time);
	assert_int_equal(got.use_time, rec->use_time);
	assert_int_equal(got.last_used, rec->last_used);
	assert_int_equal(got.replay_errors, rec->replay_errors);
	assert_int_equal(got.guard, rec->guard);
	assert_int_equal(got.exposed, rec->exposed);
	for (len = 0; len < b.len; len++) {
		r = (struct rd){ .p = b.data, .left = len };
		assert_int_equal(wire_get_record(&r, &handle, &got, &got_sent,
						 NOW), -EBADMSG);
	}
	buf_free(&b);
}

static int take_merge(const struct buf *b, uint32_t *handle, uint64_t *tag,
		      struct record *rec)
{
	struct rd r = { .p = b->data, .left = b->len };

	return wire_get_merge(&r, handle, tag, rec);
}

/* Of a record the window alone goes, and nothing else is taken. */
static void test_merge(void **state)
{
	struct record rec = sample(), got;
	struct buf b = {};
	uint32_t handle;
	uint64_t tag;

	(void)state;
	rec.guard = 7;
	rec.exposed = true;
	wire_put_merge(&b, 5, 0x1122334455667788ULL, &rec);
	assert_int_equal(take_merge(&b, &handle, &tag, &got), 0);
	assert_int_equal(handle, 5);
	assert_int_equal(tag, 0x1122334455667788ULL);
	assert_int_equal(got.seq, rec.seq);
	assert_memory_equal(got.bmp, rec.bmp, rec.bmp_words * sizeof(got.bmp[0]));
	assert_int_equal(got.bytes | got.guard | got.use_time, 0);
	assert_false(got.exposed);
	for (b.len--; b.len; b.len--)
		assert_int_equal(take_merge(&b, &handle, &tag, &got), -EBADMSG);
	buf_u64(&b, 1);
	wire_put_record(&b, 5, &rec, 0, NOW);
	assert_int_equal(take_merge(&b, &handle, &tag, &got), -EBADMSG);
	buf_clear(&b);
	wire_put_merge(&b, 5, 1, &rec);
	buf_u8(&b, 0);
	assert_int_equal(take_merge(&b, &handle, &tag, &got), -EBADMSG);
	buf_free(&b);
}

static void test_record_round_trip(void **state)
{
	struct record rec = sample();
	struct record empty = {};

	(void)state;
	round_trip(&empty, 0);
	round_trip(&rec, 0);
	rec.oseq = 1ULL << 40;
	round_trip(&rec, rec.oseq);
	round_trip(&rec, 5);
	rec.replay_errors = 3;
	rec.add_time = NOW - 100000;
	rec.bmp_words = RECORD_BMP_WORDS;
	rec.bmp[RECORD_BMP_WORDS - 1] = ~0U;
	round_trip(&rec, 0);
	rec.guard = 4096;
	round_trip(&rec, 0);
	rec.exposed = true;
	round_trip(&rec, 0);
	empty.exposed = true;
	round_trip(&empty, 0);
}

static void test_record_golden(void **state)
{
	static const uint8_t want[] = {
		0x00, 0x00, 0x00, 0x01,			/* handle */
		0x08, 0x47,				/* oseq, seq, bitmap, use, guard */
		0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x02,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03,
		0x01, 0x80, 0x00, 0x00, 0x01,
		0x00, 0x00, 0x00, 0x3c,
		0x00, 0x00, 0x10, 0x01,
	};
	struct record rec = {
		.oseq = 0x100000002ULL, .seq = 3, .bmp_words = 1,
		.bmp = { 0x80000001 }, .use_time = NOW - 60, .guard = 4097,
	};
	struct buf b = {};

	(void)state;
	wire_put_record(&b, 1, &rec, rec.oseq, NOW);
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	/* Exposed: a bit more, and no byte. */
	rec.exposed = true;
	buf_clear(&b);
	wire_put_record(&b, 1, &rec, rec.oseq, NOW);
	assert_int_equal(b.len, sizeof(want));
	assert_int_equal(b.data[4], 0x18);
	assert_memory_equal(b.data + 5, want + 5, sizeof(want) - 5);
	buf_free(&b);
}

static void refused_record(const uint8_t *p, size_t len)
{
	struct rd r = { .p = p, .left = len };
	struct record rec;
	uint32_t handle;
	uint64_t sent;

	assert_int_equal(wire_get_record(&r, &handle, &rec, &sent, NOW),
			 -EBADMSG);
}

static void test_record_refused(void **state)
{
	static const uint8_t unknown_bit[] = { 0, 0, 0, 1, 0x20, 0 };
	/* A value that stands there, but is zero: another form of nothing. */
	static const uint8_t zero[] = { 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0 };
	/* More was sent than was drawn. */
	static const uint8_t sent[] = { 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 9 };
	static const uint8_t words[] = { 0, 0, 0, 1, 0, 4, 129, 0, 0, 0, 0 };

	(void)state;
	refused_record(unknown_bit, sizeof(unknown_bit));
	refused_record(zero, sizeof(zero));
	refused_record(sent, sizeof(sent));
	refused_record(words, sizeof(words));
}

/* Another clock at the other end: the age stays. */
static void test_ages(void **state)
{
	struct record rec = { .add_time = NOW - 600 }, got;
	struct buf b = {};
	uint32_t handle;
	uint64_t sent;
	struct rd r;

	(void)state;
	wire_put_record(&b, 1, &rec, 0, NOW);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_record(&r, &handle, &got, &sent, 1000), 0);
	assert_int_equal(got.add_time, 400);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_record(&r, &handle, &got, &sent, 10), 0);
	assert_int_equal(got.add_time, 1);
	buf_free(&b);
}

static void test_sa(void **state)
{
	static const uint8_t context[] = { 1, 2, 3 };
	struct wire_sa sa = {
		.handle = 5, .flags = WIRE_SA_UNSAFE, .tag = 77,
		.lease_end = 1ULL << 30, .range_end = 3ULL << 29, .given_end = 1ULL << 31, .sent = 0, .rec = sample(),
		.context = context, .context_len = sizeof(context),
	};
	struct wire_sa got;
	struct buf b = {};
	struct rd r;

	(void)state;
	wire_put_sa(&b, &sa, NOW);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_sa(&r, &got, NOW), 0);
	assert_int_equal(got.handle, 5);
	assert_int_equal(got.flags, WIRE_SA_UNSAFE);
	assert_int_equal(got.tag, 77);
	assert_int_equal(got.lease_end, 1ULL << 30);
	assert_int_equal(got.given_end, 1ULL << 31);
	assert_int_equal(got.range_end, 3ULL << 29);
	assert_int_equal(got.context_len, sizeof(context));
	assert_memory_equal(got.context, context, sizeof(context));
	r = (struct rd){ .p = b.data, .left = 30 };
	assert_int_equal(wire_get_sa(&r, &got, NOW), -EBADMSG);
	/* An SA without an incarnation could be taken for another. */
	memset(b.data + 4, 0, 8);
	r = (struct rd){ .p = b.data, .left = b.len };
	assert_int_equal(wire_get_sa(&r, &got, NOW), -EBADMSG);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_golden),
		cmocka_unit_test(test_header_cut),
		cmocka_unit_test(test_header_refused),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_hello_chain),
		cmocka_unit_test(test_hello_lost),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lacking),
		cmocka_unit_test(test_record_is_small),
		cmocka_unit_test(test_record_round_trip),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_record_golden),
		cmocka_unit_test(test_record_refused),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_sa),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
