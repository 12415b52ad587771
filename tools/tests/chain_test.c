// SPDX-License-Identifier: GPL-2.0
/*
 * In: epochs in which nodes became active.
 * Out: which of them chain.h says are accounted for.
 * Host only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chain.h"

static void test_has(void **state)
{
	struct chain c = {};

	(void)state;
	assert_false(chain_has(&c, 1, 1));
	chain_add(&c, 5, 2);
	assert_true(chain_has(&c, 5, 2));
	assert_true(chain_has(&c, 4, 2));
	assert_false(chain_has(&c, 6, 2));
	assert_false(chain_has(&c, 5, 1));
	assert_false(chain_has(&c, 5, 3));
	/* Nothing goes back. */
	chain_add(&c, 3, 2);
	assert_true(chain_has(&c, 5, 2));
	chain_add(&c, 0, 9);
	assert_int_equal(c.n, 1);
	chain_add(&c, 7, 2);
	assert_true(chain_has(&c, 7, 2));
	assert_int_equal(c.n, 1);
}

static void test_order(void **state)
{
	static const uint32_t node[] = { 9, 1, UINT32_MAX, 0, 5 };
	struct chain a = {}, b = {};
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		chain_add(&a, i + 1, node[i]);
		chain_add(&b, 5 - i, node[4 - i]);
	}
	assert_true(chain_is_same(&a, &b));
	assert_memory_equal(&a, &b, sizeof(a));
	for (i = 1; i < a.n; i++)
		assert_true(a.at[i - 1].node < a.at[i].node);
	chain_add(&b, 6, 5);
	assert_false(chain_is_same(&a, &b));
	chain_add(&a, 6, 5);
	chain_add(&a, 1, 6);
	assert_false(chain_is_same(&a, &b));
}

/* What there is no room for counts as not accounted for. */
static void test_full(void **state)
{
	struct chain c = {};
	uint32_t i;

	(void)state;
	for (i = 0; i < CHAIN_MAX; i++)
		chain_add(&c, 100 + i, 1000 - i);
	for (i = 0; i < CHAIN_MAX; i++)
		assert_true(chain_has(&c, 100 + i, 1000 - i));
	chain_add(&c, 200, 1);
	assert_int_equal(c.n, CHAIN_MAX);
	assert_false(chain_has(&c, 100, 1000));
	assert_true(chain_has(&c, 101, 999));
	assert_true(chain_has(&c, 200, 1));
	/* Of a node that stands there, no other one is forgotten. */
	chain_add(&c, 201, 1);
	assert_true(chain_has(&c, 101, 999));
	/* Nor does an old one keep out what is added now. */
	chain_add(&c, 1, UINT32_MAX);
	assert_true(chain_has(&c, 1, UINT32_MAX));
	assert_int_equal(c.n, CHAIN_MAX);
}

static void test_common(void **state)
{
	struct chain a = {}, b = {}, none = {};

	(void)state;
	chain_add(&a, 5, 1);
	chain_add(&a, 6, 2);
	chain_add(&a, 7, 3);
	chain_add(&b, 9, 1);
	chain_add(&b, 4, 3);
	chain_add(&b, 4, 4);
	chain_common(&a, &b);
	assert_int_equal(a.n, 2);
	assert_true(chain_has(&a, 5, 1) && !chain_has(&a, 6, 1));
	assert_true(chain_has(&a, 4, 3) && !chain_has(&a, 5, 3));
	assert_false(chain_has(&a, 1, 2));
	chain_common(&a, &none);
	assert_memory_equal(&a, &none, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_has),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_common),
	};

	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
