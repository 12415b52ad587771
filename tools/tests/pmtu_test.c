// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts with and without a path MTU; ways, and their MTUs.
 * Out: the one from the other; a router's message, byte by byte.
 * Host only; the kernel is not asked.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "context.h"
#include "pmtu.h"
#include "too_big.h"
#include "vector.h"

/* ---- which ---- */

static void test_used(void **state)
{
	struct context_sa sa = { .id = { .proto = IPPROTO_ESP } };
	struct record rec = { .packets = 3 };

	(void)state;
	/* Inbound, they came. */
	assert_false(pmtu_was_used(&sa, &rec, 0));
	assert_true(pmtu_was_used(&sa, &rec, 1));
	/* It draws no numbers. */
	sa.id.proto = IPPROTO_COMP;
	assert_true(pmtu_was_used(&sa, &rec, 0));
	rec.packets = 0;
	assert_false(pmtu_was_used(&sa, &rec, 0));
}

/* ---- contexts ---- */

static void same(const struct buf *a, const struct buf *b)
{
	assert_false(a->bad || b->bad);
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

static uint32_t pmtu_of(const struct buf *b)
{
	struct context_sa info;

	assert_int_equal(context_sa_info(b->data, b->len, &info, NULL), 0);
	return info.pmtu;
}

/* Put in, replaced, taken out: in its place, whatever stands behind it. */
static void test_with(void **state)
{
	static const char *const names[] = {
		"sa-gcm-esn", "sa-ah6", "sa-all", "sa-unknown",
	};
	struct buf b, one, two, none;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		b = vector_read(names[i]);
		one = (struct buf){};
		two = (struct buf){};
		none = (struct buf){};
		assert_int_equal(pmtu_of(&b), 0);
		context_with_pmtu(b.data, b.len, 1400, &one);
		assert_int_equal(one.len, b.len + FIELD_HEADER + 4);
		assert_int_equal(pmtu_of(&one), 1400);
		context_with_pmtu(one.data, one.len, 1300, &two);
		assert_int_equal(two.len, one.len);
		assert_int_equal(pmtu_of(&two), 1300);
		context_with_pmtu(two.data, two.len, 0, &none);
		same(&none, &b);
		assert_true(context_same_parameters(b.data, b.len, two.data,
						    two.len));
		buf_free(&b);
		buf_free(&one);
		buf_free(&two);
		buf_free(&none);
	}
}

/* What no path has is as if nothing was told. */
static void test_limits(void **state)
{
	static const struct {
		const char *name;
		uint32_t told, want;
	} all[] = {
		{ "sa-gcm-esn", 67, 0 },
		{ "sa-gcm-esn", 68, 68 },
		{ "sa-gcm-esn", 65535, 65535 },
		{ "sa-gcm-esn", 65536, 0 },
		{ "sa-gcm-esn", UINT32_MAX, 0 },
		{ "sa-ah6", 1279, 0 },
		{ "sa-ah6", 1280, 1280 },
	};
	struct buf b, with;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		b = vector_read(all[i].name);
		with = (struct buf){};
		context_with_pmtu(b.data, b.len, all[i].told, &with);
		assert_int_equal(pmtu_of(&with), all[i].want);
		buf_free(&b);
		buf_free(&with);
	}
}

/* The mark by which the kernel chooses the route: without what it masks. */
static void test_mark(void **state)
{
	struct buf b = vector_read("sa-all");
	struct context_sa info;

	(void)state;
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), 0);
	assert_int_equal(info.out_mark, 7 & 15);
	buf_free(&b);
}

/* ---- paths ---- */

static struct context_sa sa_to(const char *dst, uint32_t spi, uint32_t mark)
{
	struct context_sa sa = {
		.id = { .family = AF_INET, .proto = 50, .spi = spi },
		.out_mark = mark,
	};

	inet_pton(AF_INET, "127.0.0.1", sa.src);
	inet_pton(AF_INET, dst, sa.id.dst);
	return sa;
}

/* Each is asked for once in a round, however many SAs take it. */
static void test_once(void **state)
{
	struct context_sa a = sa_to("127.0.0.1", 1, 0), b = a;
	struct context_sa marked = sa_to("127.0.0.1", 1, 5);
	uint32_t mtu = 1400;
	struct pmtu p;

	(void)state;
	if (pmtu_open(&p))
		skip();		/* where there is no rtnetlink */
	b.id.spi = 2;
	assert_int_equal(pmtu_look(&p, &a, &mtu), 1);
	/* It leads to this node itself: no answer, and what was known stays. */
	assert_int_equal(mtu, 1400);
	assert_int_equal(pmtu_look(&p, &b, &mtu), 0);
	assert_int_equal(pmtu_look(&p, &marked, &mtu), 1);
	pmtu_begin(&p);
	assert_int_equal(pmtu_look(&p, &b, &mtu), 1);
	assert_int_equal(pmtu_known(&p, &a), 1400);
	assert_int_equal(pmtu_known(&p, &marked), 1400);
	pmtu_end(&p);
	/* No SA takes it any more. */
	assert_int_equal(pmtu_known(&p, &marked), 0);
	assert_int_equal(pmtu_known(&p, &a), 1400);
	assert_false(pmtu_is_first(&p, &a, 1300));
	pmtu_begin(&p);
	assert_true(pmtu_is_first(&p, &a, 1300));
	assert_false(pmtu_is_first(&p, &b, 1300));
	assert_int_equal(pmtu_known(&p, &b), 1300);
	pmtu_close(&p);
	assert_int_equal(pmtu_known(&p, &a), 0);
	assert_int_equal(pmtu_look(&p, &a, &mtu), 0);
}

/* ---- the message ---- */

static uint32_t sum(const uint8_t *p, size_t len)
{
	uint32_t s = 0;
	size_t i;

	for (i = 0; i < len; i += 2)
		s += p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s >> 16) + (s & 0xffff);
	return s;
}

static void test_message4(void **state)
{
	static const uint8_t want[] = {
		3, 4, 0, 0, 0, 0, 0x05, 0x78,		/* fragmentation needed, 1400 */
		0x45, 0, 0, 28, 0, 0, 0x40, 0,		/* UDP, don't fragment */
		64, 17, 0, 0,
		192, 0, 2, 1, 198, 51, 100, 9,
		0xc0, 0x01, 0, 9, 0, 8, 0, 0,		/* ports, length */
	};
	struct route_way way = { .family = AF_INET };
	uint8_t got[TOO_BIG_MAX];

	(void)state;
	inet_pton(AF_INET, "192.0.2.1", way.src);
	inet_pton(AF_INET, "198.51.100.9", way.dst);
	assert_int_equal(too_big_build(&way, 0xc001, 1400, got), sizeof(want));
	assert_int_equal(sum(got, sizeof(want)), 0xffff);
	assert_int_equal(sum(got + 8, 20), 0xffff);
	memset(got + 2, 0, 2);
	memset(got + 8 + 10, 0, 2);
	assert_memory_equal(got, want, sizeof(want));
}

static void test_message6(void **state)
{
	static const uint8_t want[] = {
		2, 0, 0, 0, 0, 0, 0x05, 0x00,		/* packet too big, 1280 */
		0x60, 0, 0, 0, 0, 8, 17, 64,		/* UDP */
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
		0xc0, 0x01, 0, 9, 0, 8, 0, 0,
	};
	struct route_way way = { .family = AF_INET6 };
	uint8_t got[TOO_BIG_MAX];

	(void)state;
	inet_pton(AF_INET6, "2001:db8::1", way.src);
	inet_pton(AF_INET6, "2001:db8::2", way.dst);
	assert_int_equal(too_big_build(&way, 0xc001, 1280, got), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_used),
		cmocka_unit_test(test_with),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_message4),
		cmocka_unit_test(test_message6),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("path MTU", tests, NULL, NULL);
}
