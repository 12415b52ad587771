// SPDX-License-Identifier: GPL-2.0
/*
 * In: an active with two peers; what its module knows; what changes meanwhile.
 * Out: the ranges of numbers that the peers are told: no number in two of them.
 * Host only; the kernel is not asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../kmod/lease.h"
#include "daemon.h"
#include "wire.h"

#define ROOM XFRMSYNC_LEASE_HEADROOM

static struct daemon d;
static struct cache_entry *e;

static void peers(struct conf *c, size_t n, const char *const *names)
{
	size_t i;

	memset(c->peer, 0, sizeof(c->peer));
	for (i = 0; i < n; i++)
		snprintf(c->peer[i].name, sizeof(c->peer[i].name), "%s", names[i]);
	c->n_peers = n;
}

static void add_entry(void)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50, .spi = 1 },
		.esn = true, .large = true, .window = 128, .bmp_words = 4,
	};

	e = cache_add(&d.cache, &info, (void *)"key", 3, 0);
	assert_non_null(e);
	e->tag = 77;
	e->rec.dir = XFRMSYNC_DIR_OUT;
}

static int setup(void **state)
{
	static const char *const names[] = { "b", "c" };
	size_t i;

	(void)state;
	memset(&d, 0, sizeof(d));
	if (cache_init(&d.cache))
		return -1;
	peers(&d.conf, 2, names);
	d.n_peers = 2;
	d.conf.lease.esn_log2 = 4;
	d.conf.lease.log2 = 4;
	d.leasing = true;
	for (i = 0; i < 2; i++) {
		d.peer[i].d = &d;
		d.peer[i].index = i;
	}
	add_entry();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cache_exit(&d.cache);
	return 0;
}

/* As the module has it then. */
static void bound(void)
{
	e->bound = true;
	e->rec.lease_end = e->lease_end;
	e->rec.given_end = e->given;
	e->rec.flags |= XFRMSYNC_RECORD_F_SHARED;
}

static struct wire_sa told(size_t i)
{
	struct wire_sa sa = {};

	assert_true(lease_offer(&d, e, &d.peer[i], &sa));
	assert_true(sa.lease_end);
	assert_true(sa.range_end > sa.lease_end + ROOM);
	assert_true(sa.range_end <= e->given);
	return sa;
}

static void follow(void)
{
	lease_follow(&d, e);
	if (!e->bound)
		bound();
}

static void test_bound_first(void **state)
{
	struct wire_sa sa = {};
	uint64_t given;

	(void)state;
	lease_follow(&d, e);
	assert_int_equal(e->lease_end, 16 + ROOM);
	assert_false(e->bound);
	assert_true(d.bind_due);
	given = e->given;
	assert_true(given > e->lease_end);
	assert_false(lease_offer(&d, e, &d.peer[0], &sa));
	assert_true(!sa.lease_end && !sa.range_end && !sa.given_end);
	bound();
	assert_int_equal(told(0).lease_end, e->lease_end);
	assert_int_equal(told(1).lease_end, told(0).range_end);
	assert_int_equal(told(1).range_end, given);
	/* The next offer, too. */
	lease_acked(&d, &d.peer[0], e->handle, told(0).lease_end);
	lease_acked(&d, &d.peer[1], e->handle, told(1).lease_end);
	e->rec.oseq = 10;
	e->sent = 10;
	lease_follow(&d, e);
	assert_true(e->offer);
	assert_false(e->bound);
	assert_false(lease_offer(&d, e, &d.peer[0], &sa));
	bound();
	assert_int_equal(told(0).lease_end, given);
}

/* What has changed since, changes no range that may be in use. */
static void test_told_twice(void **state)
{
	struct wire_sa first, again;

	(void)state;
	d.conf.lease.esn_log2 = 30;
	e->rec.oseq = 1ULL << 30;	/* taken over: nothing was sent up to there */
	follow();
	first = told(0);
	e->rec.oseq++;
	e->sent = e->rec.oseq;
	d.conf.lease.esn_log2 = 20;
	follow();
	again = told(0);
	assert_int_equal(again.lease_end, first.lease_end);
	assert_true(again.range_end <= first.range_end);
	d.conf.lease.esn_log2 = 30;
	again = told(0);
	assert_true(again.range_end <= first.range_end);
	assert_true(told(1).lease_end >= first.range_end);
}

static void test_new_daemon(void **state)
{
	uint64_t given;
	struct record rec;

	(void)state;
	follow();
	given = e->given;
	rec = e->rec;
	cache_remove(&d.cache, e);
	add_entry();
	e->rec = rec;
	lease_unknown(&d, e, &rec);
	follow();
	assert_int_equal(told(0).lease_end, given);
	assert_true(e->given > given);
}

static void test_places(void **state)
{
	static const char *const same[] = { "b", "c" }, *const swapped[] = { "c", "b" };
	struct conf next = d.conf;
	struct wire_sa first;
	uint64_t given;

	(void)state;
	follow();
	first = told(1);
	given = e->given;
	peers(&next, 2, same);
	lease_peers_changed(&d, &next);
	d.conf = next;
	follow();
	assert_int_equal(told(1).lease_end, first.lease_end);
	assert_int_equal(e->given, given);
	peers(&next, 2, swapped);
	lease_peers_changed(&d, &next);
	d.conf = next;
	assert_false(lease_offer(&d, e, &d.peer[1], &first));
	follow();
	assert_int_equal(told(0).lease_end, given);
}

/* The active before this node had given out more than it told this node. */
static void test_given_before(void **state)
{
	uint64_t given, base;

	(void)state;
	follow();
	base = told(1).lease_end;
	given = e->given;
	lease_given(&d, &d.peer[1], e->handle, 77, base);
	lease_given(&d, &d.peer[1], e->handle, 78, given + 5);
	lease_given(&d, &d.peer[1], e->handle + 1, 77, given + 5);
	assert_true(e->bound);
	assert_int_equal(e->given, given);
	/* Within what is laid out here. */
	lease_given(&d, &d.peer[1], e->handle, 77, base + 1);
	assert_false(e->bound);
	bound();
	assert_int_equal(told(0).lease_end, given);
	given = e->given;
	lease_given(&d, &d.peer[0], e->handle, 77, given + 1000);
	assert_false(e->bound);
	bound();
	assert_int_equal(told(0).lease_end, given + 1000);
	assert_true(told(0).given_end >= e->given);
}

/* Who takes over was told enough, also of the offer that it has not heard of. */
static void test_taken_over(void **state)
{
	uint64_t may = 0;
	int i;

	(void)state;
	follow();
	for (i = 0; i < 50; i++) {
		lease_acked(&d, &d.peer[0], e->handle, told(0).lease_end);
		may = told(0).given_end;
		lease_acked(&d, &d.peer[1], e->handle, told(1).lease_end);
		follow();
		e->rec.oseq = e->lease_end - ROOM;
		e->sent = e->rec.oseq;
		follow();
		assert_true(e->offer);
		assert_true(told(1).range_end <= may);
	}
	e->given = may;
	lease_taken_over(&d, NULL);
	d.leasing = true;
	e->rec.lease_end = e->rec.oseq + 2 * ROOM;
	follow();
	assert_int_equal(told(0).lease_end, may);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bound_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_over, setup, teardown),
	};

	return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
