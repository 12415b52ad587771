// SPDX-License-Identifier: GPL-2.0
/*
 * In: traffic of all rates; frames that arrive, or not, at any moment.
 * Out: guards as large as needed and no larger; no limit above what a standby covers.
 * Seeded: XFRMSYNC_SEED, printed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "guard.h"

#define MS 1000000ULL
#define SEC (1000 * MS)
#define SLOT (20 * MS)

static const struct guard_bounds bounds = { .min = 0, .max = 4096, .max_rate = 100000 };
static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static uint32_t chosen(const struct guard_rate *r, uint64_t now)
{
	return guard_choose(r, now, SLOT, &bounds);
}

static void test_slot(void **state)
{
	(void)state;
	assert_int_equal(guard_slot(0, MS), 5 * MS);
	assert_int_equal(guard_slot(10 * MS, MS), 21 * MS);
	assert_int_equal(guard_slot(200 * MS, MS), 250 * MS);
	assert_int_equal(guard_slot(UINT64_MAX, MS), 250 * MS);
	assert_int_equal(guard_slot(0, UINT64_MAX), 250 * MS);
}

/* A constant sender loses what it sends in twice the lag, whatever its rate. */
static void test_constant(void **state)
{
	static const uint32_t pps[] = { 1, 10, 1000, 40000 };
	struct guard_rate r;
	uint64_t now, seq;
	uint32_t most;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pps) / sizeof(pps[0]); i++) {
		guard_rate_reset(&r, 0);
		for (now = SEC, seq = 0; now < 5 * SEC; now += SEC / pps[i])
			guard_rate_note(&r, ++seq, now, SLOT);
		most = 2 * (pps[i] * SLOT / SEC + 1);
		assert_in_range(chosen(&r, now), most - 2, most);
	}
}

static void test_burst_and_idle(void **state)
{
	struct guard_rate r;
	uint64_t now = 7 * SEC;

	(void)state;
	guard_rate_reset(&r, 1000);
	assert_int_equal(chosen(&r, now), 0);
	guard_rate_note(&r, 1300, now, SLOT);
	assert_int_equal(chosen(&r, now), 600);
	assert_int_equal(chosen(&r, now + SEC), 600);
	/* Slower for a second: the peak of the second before still counts. */
	guard_rate_note(&r, 1301, now + SEC + 1, SLOT);
	assert_int_equal(chosen(&r, now + SEC + 2), 600);
	guard_rate_note(&r, 1302, now + 2 * SEC + 1, SLOT);
	assert_int_equal(chosen(&r, now + 2 * SEC + 2), 2);
	assert_int_equal(chosen(&r, now + 5 * SEC), 0);
}

static void test_bounds(void **state)
{
	struct guard_bounds b = { .min = 32, .max = 100, .max_rate = 1000 };
	struct guard_rate r;

	(void)state;
	guard_rate_reset(&r, 0);
	assert_int_equal(guard_choose(&r, SEC, SLOT, &b), 32);
	/* Its sender was taken over: it leapt by a lease. */
	guard_rate_note(&r, 1ULL << 40, SEC, SLOT);
	assert_int_equal(guard_choose(&r, SEC, SLOT, &b), 42);
	b.max_rate = 0;
	assert_int_equal(guard_choose(&r, SEC, SLOT, &b), 100);
	guard_rate_note(&r, 5, SEC + 1, SLOT);		/* never counted backwards */
	assert_int_equal(guard_choose(&r, SEC + 1, SLOT, &b), 100);
}

static void test_end(void **state)
{
	(void)state;
	assert_int_equal(guard_end(0, 0, false), 0);
	assert_int_equal(guard_end(10, 5, false), 15);
	assert_int_equal(guard_end(0xfffffffe, 5, false), 0xffffffff);
	assert_int_equal(guard_end(0xfffffffe, 5, true), 0x100000003);
	assert_int_equal(guard_end(UINT64_MAX - 3, 5, true), UINT64_MAX - 1);
}

static void test_mark(void **state)
{
	struct guard_mark m = {};

	(void)state;
	assert_false(guard_mark_acked(&m, 9));
	guard_mark_sent(&m, 1, 100);
	assert_int_equal(m.limit, 100);
	assert_true(m.told);
	guard_mark_sent(&m, 2, 120);
	assert_int_equal(m.limit, 100);
	assert_false(guard_mark_acked(&m, 1));
	assert_true(guard_mark_acked(&m, 2));
	assert_int_equal(m.limit, 120);
	/* A smaller one counts before it leaves, and until a larger one is there. */
	guard_mark_sent(&m, 3, 90);
	assert_int_equal(m.limit, 90);
	guard_mark_sent(&m, 4, 200);
	guard_mark_sent(&m, 5, 300);
	assert_false(guard_mark_acked(&m, 2));
	assert_int_equal(m.limit, 90);
	assert_true(guard_mark_acked(&m, 5));
	assert_int_equal(m.limit, 300);
	/* What was on its way when the link went may be there, or not. */
	guard_mark_sent(&m, 6, 250);
	guard_mark_lost(&m);
	assert_false(guard_mark_acked(&m, 100));
	assert_int_equal(m.limit, 250);
	guard_mark_sent(&m, 1, 400);
	assert_int_equal(m.limit, 250);
	assert_true(guard_mark_acked(&m, 1));
	assert_int_equal(m.limit, 400);
}

/*
 * One standby: frames in order, none after its connection, acknowledgements late. At
 * no moment does the limit exceed what the standby covers, should it take over now.
 */
static void test_never_above(void **state)
{
	enum { FRAMES = 64 };
	uint64_t end[FRAMES + 1], covers, rec, raised = 0, lowered = 0;
	uint32_t sent, arrived, acked, i, round;
	struct guard_mark m;
	bool told;

	(void)state;
	for (round = 0; round < 2000; round++) {
		memset(&m, 0, sizeof(m));
		covers = 0;
		told = false;
		rec = sent = arrived = acked = 0;
		for (i = 0; i < 200; i++) {
			switch (rnd(8)) {
			case 0 ... 2:
				if (sent == FRAMES)
					break;
				rec += rnd(10);
				end[++sent] = rec + rnd(50);
				lowered += m.told && end[sent] < m.limit;
				guard_mark_sent(&m, sent, end[sent]);
				break;
			case 3 ... 4:
				if (arrived == sent)
					break;
				covers = end[++arrived];
				told = true;
				break;
			case 5 ... 6:
				if (acked == arrived)
					break;
				acked += 1 + rnd(arrived - acked);
				raised += guard_mark_acked(&m, acked);
				break;
			default:
				if (rnd(8))
					break;
				guard_mark_lost(&m);
				sent = arrived = acked = 0;
			}
			if (told)
				assert_true(m.told && m.limit <= covers);
			/* Nor is it lower for ever: with all told it is the last one. */
			if (sent && acked == sent)
				assert_int_equal(m.limit, end[sent]);
		}
	}
	assert_true(raised > 1000 && lowered > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot),
		cmocka_unit_test(test_constant),
		cmocka_unit_test(test_burst_and_idle),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_never_above),
	};
	const char *env = getenv("XFRMSYNC_SEED");

	seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	printf("# XFRMSYNC_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
