// SPDX-License-Identifier: GPL-2.0
/*
 * In: records as netlink attributes, whole, truncated and hostile; as JSON.
 * Out: the same record again, or a refusal; never a read past the end.
 * Host only. Each buffer ends where the attributes do, so that ASAN sees more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/genetlink.h>
#include <linux/xfrm.h>
#include <linux/xfrmsync.h>

#include "record.h"

#define A(name) XFRMSYNC_A_RECORD_##name
#define HDR MNL_ALIGN(sizeof(struct nlmsghdr))

static void fill(struct record *r, uint16_t family)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	r->id.family = family;
	r->id.proto = IPPROTO_ESP;
	r->id.spi = htonl(0xc0000001);
	for (i = 0; i < (family == AF_INET6 ? 16 : 4); i++)
		r->id.dst[i] = 0x20 + i;
	r->id.mark = 0x12;
	r->id.mark_mask = 0xff;
	r->flags = XFRMSYNC_RECORD_F_ESN | XFRMSYNC_RECORD_F_BMP;
	r->tag = 0xfedcba9876543210;
	r->cookie = 77;
	r->oseq = 0x100000005;
	r->seq = 0xffffffff;
	r->window = 128;
	r->bmp_words = 4;
	for (i = 0; i < 4; i++)
		r->bmp[i] = 0x80000001 << i;
	r->bytes = 123456789012;
	r->packets = 4711;
	r->add_time = 1700000000;
	r->use_time = 1700000001;
	r->last_used = 1700000002;
	r->replay_window_errors = 1;
	r->replay_errors = 2;
	r->integrity_errors = 3;
	r->lease_end = 0x140000000;
	r->given_end = 0x200000005;
	r->guard_end = 0x100000005;
	r->set_guard = true;
	r->restore_flags = XFRMSYNC_RESTORE_F_BIND;
}

static void assert_same(const struct record *a, const struct record *b)
{
	assert_true(sa_id_equal(&a->id, &b->id));
	assert_int_equal(a->flags, b->flags);
	assert_true(a->tag == b->tag);
	assert_true(a->cookie == b->cookie);
	assert_true(a->oseq == b->oseq);
	assert_true(a->seq == b->seq);
	assert_int_equal(a->window, b->window);
	assert_int_equal(a->bmp_words, b->bmp_words);
	assert_memory_equal(a->bmp, b->bmp, a->bmp_words * sizeof(a->bmp[0]));
	assert_true(a->bytes == b->bytes);
	assert_true(a->packets == b->packets);
	assert_true(a->add_time == b->add_time);
	assert_true(a->use_time == b->use_time);
	assert_true(a->last_used == b->last_used);
	assert_int_equal(a->replay_window_errors, b->replay_window_errors);
	assert_int_equal(a->replay_errors, b->replay_errors);
	assert_int_equal(a->integrity_errors, b->integrity_errors);
	assert_true(a->lease_end == b->lease_end);
	assert_true(a->given_end == b->given_end);
	assert_true(a->guard_end == b->guard_end);
}

/* The attributes of a record in memory of exactly their size. */
static uint8_t *put(const struct record *r, size_t *len)
{
	char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint8_t *copy;

	assert_int_equal(record_put(nlh, sizeof(buf), r), 0);
	*len = nlh->nlmsg_len - HDR;
	copy = malloc(*len);
	assert_non_null(copy);
	memcpy(copy, buf + HDR, *len);
	return copy;
}

static void test_round_trip(void **state)
{
	static const uint16_t families[] = { AF_INET, AF_INET6 };
	struct record r, got;
	uint8_t *attrs;
	size_t i, len;

	(void)state;
	for (i = 0; i < 2; i++) {
		fill(&r, families[i]);
		attrs = put(&r, &len);
		assert_int_equal(record_parse(attrs, len, &got), 0);
		assert_same(&r, &got);
		assert_int_equal(got.restore_flags, r.restore_flags);
		free(attrs);
	}
}

static void fill_answer(struct record *r, uint16_t family)
{
	fill(r, family);
	r->mode = 1;
	r->dir = 2;
	r->if_id = 9;
	r->reqid = 42;
	r->age_ns = 123;
	r->has_sent = true;
	r->sent = 0x100000004;
	r->src[0] = 0x99;
	r->restore_flags = 0;
	r->set_guard = false;
}

/* In memory of exactly its size; and what it takes is what it says. */
static uint8_t *put_plain(void *(*put_it)(void *p, const void *end, const struct record *r),
			  const struct record *r, size_t *len)
{
	uint8_t buf[1024], *end, *copy;
	size_t room;

	end = put_it(buf, buf + sizeof(buf), r);
	assert_non_null(end);
	*len = end - buf;
	for (room = 0; room < *len; room++)
		assert_null(put_it(buf, buf + room, r));
	copy = malloc(*len);
	assert_non_null(copy);
	memcpy(copy, buf, *len);
	return copy;
}

static void test_plain(void **state)
{
	static const uint16_t families[] = { AF_INET, AF_INET6 };
	struct record r, got;
	uint8_t *plain;
	size_t i, len, n;

	(void)state;
	for (i = 0; i < 4; i++) {
		fill_answer(&r, families[i % 2]);
		/* An odd number of words, and nothing that can be left out. */
		if (i >= 2) {
			r = (struct record){ .id = r.id, .window = 32, .bmp_words = 1 };
			r.id.mark = r.id.mark_mask = 0;
		}
		plain = put_plain(record_put_plain_answer, &r, &len);
		assert_int_equal(record_parse_plain(plain, len, &got), len);
		assert_same(&r, &got);
		assert_int_equal(got.mode, r.mode);
		assert_int_equal(got.dir, r.dir);
		assert_int_equal(got.if_id, r.if_id);
		assert_int_equal(got.reqid, r.reqid);
		assert_int_equal(got.has_sent, r.has_sent);
		assert_true(got.sent == r.sent && got.age_ns == r.age_ns);
		assert_memory_equal(got.src, r.src, sizeof(r.src));
		for (n = 0; n < len; n++)
			assert_int_equal(record_parse_plain(plain, n, &got), 0);
		/* Of another length than what it has. */
		plain[2]--;
		assert_int_equal(record_parse_plain(plain, len, &got), 0);
		plain[2]++;
		plain[3] = RECORD_BMP_WORDS + 1;
		assert_int_equal(record_parse_plain(plain, len, &got), 0);
		free(plain);
	}
}

static void test_plain_request(void **state)
{
	struct record r, got;
	uint8_t *plain;
	size_t len;

	(void)state;
	fill(&r, AF_INET6);
	r.has_expect = true;
	r.expect_oseq = 0x100000001;
	plain = put_plain(record_put_plain, &r, &len);
	assert_int_equal(record_parse_plain(plain, len, &got), len);
	assert_same(&r, &got);
	assert_int_equal(got.restore_flags, r.restore_flags);
	assert_true(got.has_expect && got.expect_oseq == r.expect_oseq);
	assert_false(got.has_sent);
	free(plain);
	/* What is not meant is not there: no window without its bits, no limit. */
	r.bmp_words = 0;
	r.set_guard = false;
	r.has_expect = false;
	r.keep_flags = true;
	plain = put_plain(record_put_plain, &r, &len);
	assert_int_equal(((struct xfrmsync_plain *)plain)->has,
			 XFRMSYNC_PLAIN_F_IPV6 | XFRMSYNC_PLAIN_F_OSEQ |
			 XFRMSYNC_PLAIN_F_COUNTED | XFRMSYNC_PLAIN_F_TIMES |
			 XFRMSYNC_PLAIN_F_TAG | XFRMSYNC_PLAIN_F_LEASE_END |
			 XFRMSYNC_PLAIN_F_GIVEN_END | XFRMSYNC_PLAIN_F_NAME |
			 XFRMSYNC_PLAIN_F_ERRORS | XFRMSYNC_PLAIN_F_RESTORE);
	free(plain);
}

static void test_largest_window(void **state)
{
	struct record r, got;
	uint8_t *attrs;
	size_t len;

	(void)state;
	fill(&r, AF_INET6);
	r.window = XFRMSYNC_MAX_WINDOW;
	r.bmp_words = RECORD_BMP_WORDS;
	memset(r.bmp, 0xa5, sizeof(r.bmp));
	attrs = put(&r, &len);
	assert_int_equal(record_parse(attrs, len, &got), 0);
	assert_same(&r, &got);
	free(attrs);
}

static void test_no_room(void **state)
{
	struct record r;
	char buf[4096];
	size_t whole, room;

	(void)state;
	fill(&r, AF_INET);
	free(put(&r, &whole));
	for (room = HDR; room < HDR + whole; room++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

		assert_int_equal(record_put(nlh, room, &r), -EMSGSIZE);
		assert_true(nlh->nlmsg_len <= room);
	}
}

/* Any cut either falls between attributes or is refused. */
static void test_truncated(void **state)
{
	struct record r, got;
	uint8_t *attrs, *cut;
	size_t len, n, accepted = 0;

	(void)state;
	fill(&r, AF_INET6);
	attrs = put(&r, &len);
	for (n = 0; n < len; n++) {
		cut = malloc(n ? n : 1);
		assert_non_null(cut);
		memcpy(cut, attrs, n);
		if (!record_parse(cut, n, &got)) {
			accepted++;
			assert_int_equal(got.id.spi, r.id.spi);
			assert_memory_equal(got.id.dst, r.id.dst, 16);
		}
		free(cut);
	}
	/* Identity comes first; each accepted cut is one more attribute. */
	assert_in_range(accepted, 1, 64);
	free(attrs);
}

/* Lengths inside of the attributes, one byte after the other, all values. */
static void test_hostile_bytes(void **state)
{
	struct record r, got;
	uint8_t *attrs;
	size_t len, i;
	int v;

	(void)state;
	fill(&r, AF_INET);
	attrs = put(&r, &len);
	for (i = 0; i < len; i++) {
		uint8_t old = attrs[i];

		for (v = 0; v < 256; v++) {
			attrs[i] = v;
			if (!record_parse(attrs, len, &got))
				assert_true(got.bmp_words <= RECORD_BMP_WORDS);
		}
		attrs[i] = old;
	}
	free(attrs);
}

/* One attribute, of a length that it must not have, in a whole record. */
static int parse_with(uint16_t type, size_t len)
{
	static const uint8_t zeros[2048];
	struct record r, got;
	char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	fill(&r, AF_INET);
	assert_int_equal(record_put(nlh, sizeof(buf), &r), 0);
	mnl_attr_put(nlh, type, len, zeros);
	return record_parse(buf + HDR, nlh->nlmsg_len - HDR, &got);
}

static void test_wrong_length(void **state)
{
	static const struct {
		uint16_t type;
		size_t right;
	} fixed[] = {
		{ A(FAMILY), 2 }, { A(SPI), 4 }, { A(PROTO), 1 }, { A(MODE), 1 },
		{ A(DIR), 1 }, { A(MARK), 4 }, { A(MARK_MASK), 4 },
		{ A(IF_ID), 4 }, { A(REQID), 4 }, { A(FLAGS), 4 }, { A(TAG), 8 },
		{ A(COOKIE), 8 }, { A(OSEQ), 8 }, { A(SEQ), 8 },
		{ A(WINDOW), 4 }, { A(BYTES), 8 }, { A(PACKETS), 8 },
		{ A(ADD_TIME), 8 }, { A(USE_TIME), 8 }, { A(LAST_USED), 8 },
		{ A(REPLAY_WINDOW_ERRORS), 4 }, { A(REPLAY_ERRORS), 4 },
		{ A(INTEGRITY_ERRORS), 4 }, { A(AGE_NS), 8 },
		{ A(LEASE_END), 8 }, { A(RESTORE_FLAGS), 4 }, { A(GIVEN_END), 8 },
	};
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		for (len = 0; len < 12; len++)
			if (len != fixed[i].right)
				assert_int_equal(parse_with(fixed[i].type, len), -EINVAL);
	assert_int_equal(parse_with(A(SRC), 16), -EINVAL);
	assert_int_equal(parse_with(A(DST), 16), -EINVAL);
	assert_int_equal(parse_with(A(SRC), 4), 0);
	assert_int_equal(parse_with(A(BITMAP), 3), -EINVAL);
	assert_int_equal(parse_with(A(BITMAP), 4 * RECORD_BMP_WORDS + 4), -EINVAL);
	assert_int_equal(parse_with(A(BITMAP), 4 * RECORD_BMP_WORDS), 0);
	/* Of a newer module. */
	assert_int_equal(parse_with(XFRMSYNC_A_RECORD_MAX + 1, 7), 0);
}

static void test_missing_identity(void **state)
{
	static const uint16_t needed[] = { A(FAMILY), A(DST), A(SPI), A(PROTO) };
	static const uint16_t family = AF_INET;
	static const uint8_t dst[4] = { 10, 0, 0, 1 }, spi[4] = { 1 }, proto = 50;
	static const void *const values[] = { &family, dst, spi, &proto };
	static const size_t sizes[] = { 2, 4, 4, 1 };
	struct record got;
	size_t skip, i;

	(void)state;
	for (skip = 0; skip <= 4; skip++) {
		char buf[256];
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

		for (i = 0; i < 4; i++)
			if (i != skip)
				mnl_attr_put(nlh, needed[i], sizes[i], values[i]);
		assert_int_equal(record_parse(buf + HDR, nlh->nlmsg_len - HDR, &got),
				 skip < 4 ? -EINVAL : 0);
	}
}

static void test_unknown_family(void **state)
{
	struct record r, got;
	uint8_t *attrs;
	size_t len;

	(void)state;
	fill(&r, AF_INET);
	r.id.family = AF_UNIX;
	attrs = put(&r, &len);
	assert_int_equal(record_parse(attrs, len, &got), -EINVAL);
	free(attrs);
}

static void test_json_round_trip(void **state)
{
	struct record r, got;
	json_t *o;

	(void)state;
	fill(&r, AF_INET6);
	memcpy(r.src, r.id.dst, 16);
	r.src[15] = 9;
	r.mode = XFRM_MODE_TUNNEL;
	r.dir = XFRMSYNC_DIR_OUT;
	r.if_id = 5;
	r.reqid = 6;
	r.age_ns = 1500;
	r.restore_flags = 0;
	r.set_guard = false;		/* of a binding */
	o = record_json(&r);
	assert_int_equal(record_from_json(o, &got), 0);
	assert_memory_equal(&got, &r, sizeof(r));
	json_decref(o);
}

static void test_json_form(void **state)
{
	static const char *const want =
		"{\"family\":\"inet\",\"src\":\"0.0.0.0\",\"dst\":\"32.33.34.35\","
		"\"proto\":\"esp\",\"spi\":\"0xc0000001\",\"mark\":18,\"mark_mask\":255,"
		"\"if_id\":0,\"reqid\":0,\"mode\":\"transport\",\"dir\":\"unknown\","
		"\"esn\":true,\"flags\":[\"esn\",\"bmp\"],\"tag\":\"fedcba9876543210\","
		"\"cookie\":77,\"oseq\":4294967301,\"seq\":4294967295,\"window\":128,"
		"\"bitmap\":\"80000001000000020000000400000008\","
		"\"bytes\":123456789012,\"packets\":4711,\"add_time\":1700000000,"
		"\"use_time\":1700000001,\"last_used\":1700000002,"
		"\"replay_window_errors\":1,\"replay_errors\":2,\"integrity_errors\":3,"
		"\"age_ns\":0,\"lease_end\":5368709120,\"guard_end\":4294967301,\"given_end\":8589934597}";
	struct record r;
	char *text;
	json_t *o;

	(void)state;
	fill(&r, AF_INET);
	o = record_json(&r);
	text = json_dumps(o, JSON_COMPACT);
	assert_string_equal(text, want);
	free(text);
	json_decref(o);
}

static void test_json_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"family\":\"unix\",\"src\":\"1.2.3.4\",\"dst\":\"1.2.3.4\",\"spi\":\"0x1\"}",
		"{\"family\":\"inet\",\"src\":\"1.2.3.4\",\"dst\":\"::1\",\"spi\":\"0x1\"}",
		"{\"family\":\"inet\",\"src\":\"1.2.3.4\",\"dst\":\"1.2.3.4\",\"spi\":\"x\"}",
		"{\"family\":\"inet\",\"src\":\"1.2.3.4\",\"dst\":\"1.2.3.4\",\"spi\":\"0x1\",\"bitmap\":\"123\"}",
		"{\"family\":\"inet\",\"src\":\"1.2.3.4\",\"dst\":\"1.2.3.4\",\"spi\":\"0x1\",\"bitmap\":\"0000000g\"}",
		"{\"family\":5,\"src\":[],\"dst\":{},\"spi\":null,\"flags\":[1,{}]}",
	};
	struct record got;
	json_t *o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o = json_loads(bad[i], 0, NULL);
		assert_non_null(o);
		assert_int_equal(record_from_json(o, &got), -EINVAL);
		json_decref(o);
	}
}

static void test_id(void **state)
{
	struct record a, b;
	char buf[96];

	(void)state;
	fill(&a, AF_INET);
	fill(&b, AF_INET);
	assert_true(sa_id_equal(&a.id, &b.id));
	assert_int_equal(sa_id_hash(&a.id), sa_id_hash(&b.id));
	assert_string_equal(sa_id_str(&a.id, buf, sizeof(buf)),
			    "esp 32.33.34.35 spi 0xc0000001 mark 0x12/0xff");
	b.id.mark_mask = 0xf;
	assert_false(sa_id_equal(&a.id, &b.id));
	/* Those that hide each other are looked for together. */
	assert_int_equal(sa_id_hash(&a.id), sa_id_hash(&b.id));
	b = a;
	b.id.dst[3]++;
	assert_false(sa_id_equal(&a.id, &b.id));
	b = a;
	b.id.family = AF_INET6;
	assert_false(sa_id_equal(&a.id, &b.id));
	b = a;
	b.id.proto = IPPROTO_AH;
	assert_false(sa_id_equal(&a.id, &b.id));
	/* A short buffer is cut, not overrun. */
	sa_id_str(&a.id, buf, 8);
	assert_string_equal(buf, "esp 32.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_plain_request),
		cmocka_unit_test(test_largest_window),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_hostile_bytes),
		cmocka_unit_test(test_wrong_length),
		cmocka_unit_test(test_missing_identity),
		cmocka_unit_test(test_unknown_family),
		cmocka_unit_test(test_json_round_trip),
		cmocka_unit_test(test_json_form),
		cmocka_unit_test(test_json_refused),
		cmocka_unit_test(test_id),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
