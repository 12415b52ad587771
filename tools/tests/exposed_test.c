// SPDX-License-Identifier: GPL-2.0
/*
 * In: what a standby was told of its SAs, settings, and takeovers.
 * Out: which SAs are rekeyed, and how many at once.
 * Host only; the kernel is not asked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon.h"

#define N_SAS 10

static struct daemon d;
static struct cache_entry *sa[N_SAS];

static size_t expiries;
static int expire_fails;

int __wrap_xfrm_expire_sa(struct xfrm *x, const struct sa_id *id);

int __wrap_xfrm_expire_sa(struct xfrm *x, const struct sa_id *id)
{
	(void)x;
	(void)id;
	expiries++;
	return expire_fails;
}

/* All have accepted something; the first is exposed. */
static int setup(void **state)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50 },
		.esn = true, .large = true, .window = 128, .bmp_words = 4,
	};
	size_t i;

	(void)state;
	memset(&d, 0, sizeof(d));
	if (cache_init(&d.cache))
		return -1;
	d.conf.node_id = 1;
	d.conf.guard = CONF_GUARD_AVAILABLE;
	d.conf.guard_rekey = CONF_GUARD_REKEY_EXPOSED;
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	d.st.epoch = 5;
	d.st.node = 2;
	d.synced = true;
	for (i = 0; i < N_SAS; i++) {
		info.id.spi = i + 1;
		sa[i] = cache_add(&d.cache, &info, (void *)"key", 3, 0);
		if (!sa[i])
			return -1;
		sa[i]->applied = CACHE_APPLIED;
		sa[i]->rec.seq = 100;
	}
	sa[0]->rec.exposed = true;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cache_exit(&d.cache);
	return 0;
}

static size_t due(size_t max)
{
	struct cache_entry *list[N_SAS];

	return exposed_due(&d, list, max);
}

static size_t taken(bool crash)
{
	d.taken_crash = crash;
	exposed_taken_over(&d);
	return due(N_SAS);
}

static void test_crash(void **state)
{
	(void)state;
	assert_true(exposed_is_crash(&d, false));
	assert_false(exposed_is_crash(&d, true));	/* it handed over */
	d.st.epoch = 0;
	assert_false(exposed_is_crash(&d, false));	/* nobody was before */
	d.st.epoch = 5;
	d.st.node = 1;
	assert_true(exposed_is_crash(&d, false));	/* in another boot */
	d.same_boot = true;
	assert_false(exposed_is_crash(&d, false));	/* nobody was since */
	snprintf(d.st.handed, sizeof(d.st.handed), "b");
	assert_true(exposed_is_crash(&d, false));	/* who got it, unheard */
}

static void test_exposed(void **state)
{
	struct cache_entry *list[N_SAS];

	(void)state;
	assert_non_null(exposed_why(&d, sa[0]));
	assert_null(exposed_why(&d, sa[1]));
	assert_int_equal(exposed_count(&d), 1);
	d.taken_crash = true;
	exposed_taken_over(&d);
	assert_int_equal(exposed_due(&d, list, N_SAS), 1);
	assert_ptr_equal(list[0], sa[0]);
	assert_int_equal(due(N_SAS), 0);		/* once */
	assert_int_equal(exposed_count(&d), 0);
	assert_int_equal(taken(true), 0);		/* of a time before */
}

static void test_planned(void **state)
{
	(void)state;
	d.conf.guard_rekey = CONF_GUARD_REKEY_ALL;
	assert_int_equal(taken(false), 0);
	assert_int_equal(exposed_count(&d), 0);
}

/* Those that have a window, and something in it, in this node's kernel. */
static void test_all(void **state)
{
	(void)state;
	d.conf.guard_rekey = CONF_GUARD_REKEY_ALL;
	sa[1]->rec.seq = 0;
	sa[2]->rec.dir = XFRMSYNC_DIR_OUT;
	sa[3]->info.window = 0;
	sa[4]->applied = CACHE_CONFLICT;
	assert_int_equal(taken(true), N_SAS - 4);
	sa[0]->rec.exposed = true;
	d.conf.guard = CONF_GUARD_OFF;
	assert_int_equal(taken(true), N_SAS - 4);
	/* Nothing was delivered that this node does not cover; but what is said, is. */
	d.conf.guard = CONF_GUARD_STRICT;
	assert_int_equal(taken(true), 0);
	sa[0]->rec.exposed = true;
	assert_int_equal(taken(true), 1);
}

static void test_no(void **state)
{
	(void)state;
	d.conf.guard_rekey = CONF_GUARD_REKEY_NO;
	assert_null(exposed_why(&d, sa[0]));
	assert_int_equal(taken(true), 0);
}

static void test_paced(void **state)
{
	(void)state;
	d.conf.guard_rekey = CONF_GUARD_REKEY_ALL;
	d.taken_crash = true;
	exposed_taken_over(&d);
	assert_int_equal(due(4), 4);
	assert_int_equal(due(4), 4);
	assert_int_equal(due(4), N_SAS - 8);
	assert_int_equal(due(4), 0);
}

/* What there was no room for is asked again; what XFRM refuses is not. */
static void test_no_room(void **state)
{
	(void)state;
	exposed_init(&d);
	d.taken_crash = true;
	exposed_taken_over(&d);
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	expiries = 0;
	expire_fails = -ENOBUFS;
	exposed_start(&d);
	assert_int_equal(expiries, 1);
	assert_true(d.exposed_timer.at_ns);
	expire_fails = -EINVAL;
	d.exposed_timer.cb(&d.exposed_timer);
	assert_int_equal(expiries, 2);
	d.exposed_timer.cb(&d.exposed_timer);
	assert_int_equal(expiries, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exposed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_planned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
