// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs that could not be read, are read after all, or go.
 * Out: which of them are named, with which reason, in the log once; the order of the tries.
 * Host only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "omitted.h"

static struct omitted o;
static size_t lines;		/* in the log */

void __wrap_log_line(int priority, const char *fmt, ...);

void __wrap_log_line(int priority, const char *fmt, ...)
{
	(void)priority;
	(void)fmt;
	lines++;
}

static struct sa_id sa(uint32_t spi, uint32_t mark)
{
	struct sa_id id = {
		.family = AF_INET, .proto = IPPROTO_ESP, .spi = htonl(spi),
		.mark = mark, .mark_mask = mark ? 255 : 0,
	};

	return id;
}

static void note(uint32_t spi, uint32_t mark, const char *why)
{
	struct sa_id id = sa(spi, mark);

	omitted_note(&o, &id, false, why);
}

static void gone(uint32_t spi, uint32_t mark)
{
	struct sa_id id = sa(spi, mark);

	omitted_gone(&o, &id);
}

static const struct omitted_sa *find(uint32_t spi, uint32_t mark)
{
	struct sa_id id = sa(spi, mark);
	const struct omitted_sa *x;

	for (x = omitted_first(&o); x; x = omitted_after(&o, x)) {
		if (sa_id_equal(&x->id, &id))
			return x;
	}
	return NULL;
}

static int teardown(void **state)
{
	(void)state;
	lines = 0;
	omitted_clear(&o);
	return o.n || o.by_id || omitted_first(&o);
}

/* Nothing is asked of one that has never been used. */
static void test_empty(void **state)
{
	struct sa_id id;

	(void)state;
	assert_null(omitted_first(&o));
	assert_false(omitted_next(&o, &id));
	omitted_walk_begin(&o);
	omitted_walk_end(&o);
	gone(1, 0);
	assert_int_equal(o.n, 0);
}

static void test_once(void **state)
{
	(void)state;
	note(1, 0, "one");
	note(1, 5, "two");
	note(1, 0, "one");
	assert_int_equal(lines, 2);
	note(1, 0, "three");
	assert_int_equal(lines, 3);
	assert_int_equal(o.n, 2);
	assert_string_equal(find(1, 0)->why, "three");
	assert_string_equal(find(1, 5)->why, "two");
	gone(1, 0);
	assert_null(find(1, 0));
	assert_non_null(find(1, 5));
	gone(1, 0);
	assert_int_equal(o.n, 1);
}

/* What a walk did not come by is not there any more. */
static void test_walk(void **state)
{
	(void)state;
	note(1, 0, "why");
	note(2, 0, "why");
	note(3, 0, "why");
	omitted_walk_begin(&o);
	note(2, 0, "why");
	note(4, 0, "why");
	omitted_walk_end(&o);
	assert_int_equal(o.n, 2);
	assert_non_null(find(2, 0));
	assert_non_null(find(4, 0));
	/* One that comes is not of the walk before. */
	omitted_walk_begin(&o);
	omitted_walk_end(&o);
	assert_int_equal(o.n, 0);
}

/* All in turn, with as many tries as there are, and what comes meanwhile, too. */
static void test_turns(void **state)
{
	static const uint32_t want[] = { 1, 2, 3, 1, 3, 1, 4 };

	struct sa_id id;
	size_t i;

	(void)state;
	note(1, 0, "why");
	note(2, 0, "why");
	note(3, 0, "why");
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		if (i == 4) {
			gone(2, 0);
			note(4, 0, "why");
		}
		assert_true(omitted_next(&o, &id));
		assert_int_equal(ntohl(id.spi), want[i]);
	}
}

#define MANY 20000

static void test_many(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 1; i <= MANY; i++)
		note(i, i % 3, "why");
	for (i = 1; i <= MANY; i++)
		note(i, i % 3, "why");
	assert_int_equal(o.n, MANY);
	for (i = 1; i <= MANY; i += 2)
		gone(i, i % 3);
	assert_int_equal(o.n, MANY / 2);
	assert_null(find(9, 0));
	assert_non_null(find(10, 1));
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty),
		TEST(test_once),
		TEST(test_walk),
		TEST(test_turns),
		TEST(test_many),
	};

	return cmocka_run_group_tests_name("omitted", tests, NULL, NULL);
}
