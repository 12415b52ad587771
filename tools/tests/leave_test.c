// SPDX-License-Identifier: GPL-2.0
/*
 * In: an active, peers that were offered ranges, and links that are gone.
 * Out: who has left the sync set; which SAs are soft-expired for it, how many at once.
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
#define LOST (1000 * LOOP_MS)
#define LATE (LOST + 50 * LOOP_MS)

static struct daemon d;
static struct cache_entry *sa[N_SAS];
static struct link up;

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

static void add_entry(size_t i)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50, .spi = i + 1 },
		.esn = true, .large = true, .window = 128, .bmp_words = 4,
	};

	sa[i] = cache_add(&d.cache, &info, (void *)"key", 3, 0);
	assert_non_null(sa[i]);
	sa[i]->tag = 77;
}

/* b, for 50 ms, and c, for ever; b is away, and knows all SAs but the last. */
static int setup(void **state)
{
	static const char *const names[] = { "b", "c" };
	size_t i;

	(void)state;
	memset(&d, 0, sizeof(d));
	if (cache_init(&d.cache))
		return -1;
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	d.conf.n_peers = 2;
	d.n_peers = 2;
	for (i = 0; i < 2; i++) {
		d.peer[i].d = &d;
		d.peer[i].index = i;
		d.peer[i].lost_ns = LOST;
		snprintf(d.conf.peer[i].name, sizeof(d.conf.peer[i].name), "%s",
			 names[i]);
	}
	d.peer[0].conf.leave_ms = 50;
	for (i = 0; i < N_SAS; i++) {
		add_entry(i);
		sa[i]->mark[0].lease.offered = i < N_SAS - 1;
	}
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
	struct cache_entry *list[N_SAS + 1];

	return leave_due(&d, LATE, list, max);
}

static void ask(size_t i)
{
	leave_asked(&d, LATE, sa[i], true);
}

static void test_who(void **state)
{
	(void)state;
	assert_false(leave_has_left(&d, &d.peer[0], LATE - 1));
	assert_true(leave_has_left(&d, &d.peer[0], LATE));
	assert_false(leave_has_left(&d, &d.peer[1], LATE * 1000));	/* never */
	d.peer[0].link = &up;
	assert_false(leave_has_left(&d, &d.peer[0], LATE * 1000));
	d.peer[0].link = NULL;
	d.peer[0].lost_ns = LATE;
	assert_false(leave_has_left(&d, &d.peer[0], LATE + 1));
	d.peer[0].lost_ns = LOST;
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	assert_false(leave_has_left(&d, &d.peer[0], LATE * 1000));
	assert_int_equal(due(N_SAS), 0);
}

/* Those that it may take over, and that send. */
static void test_which(void **state)
{
	struct cache_entry *list[N_SAS];
	size_t i, n;

	(void)state;
	assert_int_equal(leave_due(&d, LATE - 1, list, N_SAS), 0);
	n = leave_due(&d, LATE, list, N_SAS);
	assert_int_equal(n, N_SAS - 1);
	for (i = 0; i < n; i++)
		assert_ptr_equal(list[i], sa[i]);
	assert_int_equal(lease_held(&d, &d.peer[0]), N_SAS - 1);
	sa[1]->rec.dir = XFRMSYNC_DIR_IN;
	sa[2]->rec.seq = 5;	/* it has received, and not sent */
	sa[3]->rec.seq = 5;
	sa[3]->sent = 1;
	assert_int_equal(due(N_SAS), N_SAS - 3);
	assert_int_equal(lease_held(&d, &d.peer[0]), N_SAS - 3);
}

/* A few at a time, each once; it stays so when it is back and was told nothing yet. */
static void test_paced(void **state)
{
	struct cache_entry *list[4];
	size_t i, n, all = 0;

	(void)state;
	while ((n = leave_due(&d, LATE, list, 4))) {
		assert_true(n == 4 || all + n == N_SAS - 1);
		for (i = 0; i < n; i++)
			leave_asked(&d, LATE, list[i], list[i] != sa[5]);
		all += n;
	}
	assert_int_equal(all, N_SAS - 1);
	assert_int_equal(d.peer[0].soft_expired, N_SAS - 2);	/* XFRM refused one */
	assert_int_equal(d.peer[1].soft_expired, 0);
	d.peer[0].link = &up;
	assert_int_equal(due(N_SAS), 0);
	d.peer[0].link = NULL;
	assert_int_equal(due(N_SAS), 0);
}

/* Who is back is offered it again, and may leave again. */
static void test_again(void **state)
{
	struct wire_sa told;

	(void)state;
	ask(0);
	assert_int_equal(due(N_SAS), N_SAS - 2);
	d.conf.lease.esn_log2 = 4;
	d.leasing = true;
	sa[0]->rec.dir = XFRMSYNC_DIR_OUT;
	lease_follow(&d, sa[0]);
	sa[0]->bound = true;
	assert_true(lease_offer(&d, sa[0], &d.peer[0], &told));
	assert_true(told.lease_end);
	assert_int_equal(due(N_SAS), N_SAS - 1);
}

/* Two that are away: once is enough for both; who leaves later asks again. */
static void test_two(void **state)
{
	(void)state;
	d.peer[1].conf.leave_ms = 50;
	sa[0]->mark[1].lease.offered = true;
	sa[1]->mark[1].lease.offered = true;
	d.peer[1].link = &up;
	ask(0);
	d.peer[1].link = NULL;
	ask(1);
	assert_int_equal(d.peer[0].soft_expired, 2);
	assert_int_equal(d.peer[1].soft_expired, 1);
	assert_int_equal(due(N_SAS), N_SAS - 2);
	ask(0);
	assert_int_equal(d.peer[0].soft_expired, 2);
	assert_int_equal(d.peer[1].soft_expired, 2);
	assert_int_equal(due(N_SAS), N_SAS - 3);
}

/* Another active was there meanwhile: it may have offered all of them. */
static void test_role(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < N_SAS - 1; i++)
		ask(i);
	assert_int_equal(due(N_SAS), 0);
	lease_taken_over(&d, &d.peer[1]);
	assert_int_equal(due(N_SAS), N_SAS);
	lease_taken_over(&d, &d.peer[0]);
	assert_int_equal(due(N_SAS), 0);	/* it has no range of its own */
}

/* Leaving makes nothing less strict, and what is made since does not wait for it. */
static void test_waits(void **state)
{
	(void)state;
	d.conf.lease.esn_log2 = 4;
	d.leasing = true;
	sa[0]->rec.lease_end = 16 + 65536;
	sa[0]->rec.oseq = 16;
	lease_follow(&d, sa[0]);
	assert_true(sa[0]->offer);
	assert_int_equal(sa[0]->lease_end, 16 + 65536);
	assert_int_equal(lease_waiting(&d, &d.peer[0]), 1);
	sa[N_SAS - 1]->rec.lease_end = 16 + 65536;
	sa[N_SAS - 1]->rec.oseq = 16;
	lease_follow(&d, sa[N_SAS - 1]);
	assert_false(sa[N_SAS - 1]->offer);
	assert_true(sa[N_SAS - 1]->lease_end > 16 + 65536);
	assert_int_equal(lease_waiting(&d, &d.peer[0]), 1);
}

/* Strict: the same inbound. */
static void test_inbound(void **state)
{
	struct cache_entry *old = sa[0], *young = sa[N_SAS - 1];

	(void)state;
	d.conf.guard = CONF_GUARD_STRICT;
	old->guard = 20;
	young->guard = 20;
	inbound_sent(old, &old->mark[0], 1);
	inbound_acked(&d, old, &old->mark[0], 1);
	old->rec.seq = 100;
	young->rec.seq = 100;
	assert_true(inbound_held(&d, old));
	assert_true(inbound_waits_for(&d, old, &d.peer[0]));
	assert_false(inbound_held(&d, young));
	assert_int_equal(inbound_count_waiting(&d, &d.peer[0]), 1);
}

/* What there was no room for is asked again; what XFRM refuses is not. */
static void test_no_room(void **state)
{
	(void)state;
	leave_init(&d);
	d.peer[0].lost_ns = 1;
	expiries = 0;
	expire_fails = -ENOBUFS;
	d.leave_timer.cb(&d.leave_timer);
	assert_int_equal(expiries, N_SAS - 1);
	assert_true(d.leave_timer.at_ns);
	expire_fails = -EINVAL;
	d.leave_timer.cb(&d.leave_timer);
	assert_int_equal(expiries, 2 * (N_SAS - 1));
	d.leave_timer.cb(&d.leave_timer);
	assert_int_equal(expiries, 2 * (N_SAS - 1));
	assert_int_equal(d.peer[0].soft_expired, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who, setup, teardown),
		cmocka_unit_test_setup_teardown(test_which, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two, setup, teardown),
		cmocka_unit_test_setup_teardown(test_role, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inbound, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
