// SPDX-License-Identifier: GPL-2.0
/*
 * In: counters at every border that a lease has.
 * Out: ends that keep the rules of RFC 4303 (3.3.3, appendix A2).
 * Host only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lease.h"

#define ROOM XFRMSYNC_LEASE_HEADROOM
#define TOP32 (0xffffffffULL - XFRMSYNC_LEASE_HEADROOM)
#define REACH ((1ULL << 31) - 1 - XFRMSYNC_LEASE_HEADROOM)

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(xfrmsync_lease_first(0, 0, true, 30), (1ULL << 30) + ROOM);
	assert_int_equal(xfrmsync_lease_first(7, 7, true, 4), 23 + ROOM);
	assert_int_equal(xfrmsync_lease_first(0, 0, false, 24), (1ULL << 24) + ROOM);
	assert_int_equal(xfrmsync_lease_first(5ULL << 32, 5ULL << 32, true, 30),
			 (5ULL << 32) + (1ULL << 30) + ROOM);
}

/* Without ESN the counter must never wrap, whatever the size. */
static void test_no_wrap(void **state)
{
	unsigned int size;
	uint64_t oseq;

	(void)state;
	for (size = 0; size < 64; size++)
		for (oseq = 0; oseq < TOP32; oseq += TOP32 / 97 + 1) {
			uint64_t end = xfrmsync_lease_first(oseq, oseq, false,
							    size);

			assert_true(!end || (end > oseq + ROOM && end <= TOP32));
			assert_true(end || oseq + ROOM >= TOP32);
		}
	assert_int_equal(xfrmsync_lease_first(TOP32 - ROOM - 1, 0, false, 24), TOP32);
	assert_int_equal(xfrmsync_lease_first(TOP32 - ROOM, 0, false, 24), 0);
	assert_int_equal(xfrmsync_lease_first(TOP32, 0, false, 24), 0);
	assert_int_equal(xfrmsync_lease_first(0xffffffff, 0, false, 24), 0);
}

/* Jumps over an idle SA add up: the receiver would take the last for an old
 * number, so it is refused.
 */
static void test_distance(void **state)
{
	uint64_t oseq = 0, end;
	int takeovers = 0;

	(void)state;
	while ((end = xfrmsync_lease_first(oseq, 0, true, 30))) {
		assert_true(end > oseq);
		assert_true(end < 1ULL << 31);
		oseq = end;
		assert_true(++takeovers < 10);
	}
	assert_true(oseq > REACH - ROOM - 1);
	assert_true(takeovers >= 2);
	/* It goes on as soon as something is known to have been sent. */
	assert_int_equal(xfrmsync_lease_first(oseq, oseq, true, 30),
			 oseq + (1ULL << 30) + ROOM);
}

static void test_nonsense(void **state)
{
	(void)state;
	assert_int_equal(xfrmsync_lease_first(5, 6, true, 30), 0);
	assert_int_equal(xfrmsync_lease_first(0, 0, true, 64), 0);
	assert_int_equal(xfrmsync_lease_first(~0ULL, ~0ULL, true, 30), 0);
}

/* What one packet may draw, and the end of all numbers, where a sum wraps. */
static void test_near(void **state)
{
	const uint64_t most = 1 << 16, end = UINT64_MAX;

	(void)state;
	assert_false(xfrmsync_lease_is_near(0, most + 1));
	assert_true(xfrmsync_lease_is_near(0, most));
	assert_true(xfrmsync_lease_is_near(1, most + 1));
	assert_true(xfrmsync_lease_is_near(10, 5));
	assert_false(xfrmsync_lease_is_near((1ULL << 32) - 1, (1ULL << 32) + most));
	assert_false(xfrmsync_lease_is_near(end - most - 1, end));
	assert_true(xfrmsync_lease_is_near(end - most, end));
	assert_true(xfrmsync_lease_is_near(end - most + 1, end));
	assert_true(xfrmsync_lease_is_near(end, end));
	assert_true(xfrmsync_lease_is_near(end - 1, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_wrap),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_near),
	};

	return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
