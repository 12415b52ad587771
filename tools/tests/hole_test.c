// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs that go, of which somebody else may have what this node drew; HELLOs.
 * Out: the epoch whose numbers count as lost, on disk, or not; what is news of it.
 * Host only, in a folder of its own; the kernel is not asked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon.h"

static char dir[] = "/tmp/xfrmsync-hole-XXXXXX";
static struct daemon d;
static struct cache_entry *e;

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

static int setup(void **state)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50, .spi = 1 },
	};

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/xfrmsync-hole-XXXXXX");
	memset(&d, 0, sizeof(d));
	if (!mkdtemp(dir) || cache_init(&d.cache))
		return -1;
	snprintf(d.conf.state_dir, sizeof(d.conf.state_dir), "%s", dir);
	d.conf.n_peers = 2;
	d.n_peers = 2;
	d.st = (struct state){
		.epoch = 7, .node = 2, .own = 6, .role = XFRMSYNC_ROLE_ACTIVE,
	};
	e = cache_add(&d.cache, &info, (void *)"key", 3, 0);
	if (!e)
		return -1;
	e->cookie = 9;
	e->shared = true;
	return 0;
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	cache_exit(&d.cache);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void fill(size_t i)
{
	d.peer[i].sending = true;
	d.peer[i].snapshot_frame = d.peer[i].frames_acked = 5;
}

/* In memory and on disk. */
static uint64_t lost(void)
{
	struct state s;

	if (state_load(dir, &s))
		memset(&s, 0, sizeof(s));
	assert_int_equal(s.lost, d.st.lost);
	return s.lost;
}

static void test_gone(void **state)
{
	(void)state;
	fill(0);
	hole_gone(&d, e);
	assert_int_equal(lost(), 6);		/* the other one may have it */
	d.st.own = 8;
	hole_gone(&d, e);
	assert_int_equal(lost(), 8);
}

/* A snapshot that is not acknowledged yet is none. */
static void test_not_filled_yet(void **state)
{
	(void)state;
	fill(0);
	fill(1);
	d.peer[1].frames_acked = 4;
	hole_gone(&d, e);
	assert_int_equal(lost(), 6);
}

static void test_all_know(void **state)
{
	(void)state;
	fill(0);
	fill(1);
	hole_gone(&d, e);
	assert_int_equal(lost(), 0);
	/* But for one that was removed. */
	e->orphan = true;
	hole_gone(&d, e);
	assert_int_equal(lost(), 6);
}

static void test_nobody_has_it(void **state)
{
	(void)state;
	e->shared = false;
	hole_gone(&d, e);
	assert_int_equal(lost(), 0);
	/* It was not in this kernel. */
	e->shared = true;
	e->cookie = 0;
	hole_gone(&d, e);
	assert_int_equal(lost(), 0);
	/* This node never was active. */
	e->cookie = 9;
	d.st.own = 0;
	hole_gone(&d, e);
	assert_int_equal(lost(), 0);
}

/* A standby deletes what its active tells it to: a third node may not know. */
static void test_drawn(void **state)
{
	(void)state;
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	hole_drawn_gone(&d, e);
	assert_int_equal(lost(), 0);
	e->drawn = 1;
	d.n_peers = 1;
	hole_drawn_gone(&d, e);
	assert_int_equal(lost(), 0);
	d.n_peers = 2;
	hole_drawn_gone(&d, e);
	assert_int_equal(lost(), 6);
}

/* Who has accounted for the lost epoch need not look; a newer one says nothing. */
static void test_news(void **state)
{
	struct peer *p = &d.peer[0];

	(void)state;
	p->node_id = 1;
	p->own = 7;
	assert_false(hole_is_news(&d, p));
	p->lost = 6;
	assert_true(hole_is_news(&d, p));
	chain_add(&d.st.chain, 5, 1);
	chain_add(&d.st.chain, 9, 2);
	assert_true(hole_is_news(&d, p));
	chain_add(&d.st.chain, 6, 1);
	assert_false(hole_is_news(&d, p));
	p->lost = 7;
	assert_true(hole_is_news(&d, p));
	/* It has said what it drew since. */
	hole_filled(&d, p);
	assert_true(chain_has(&d.st.chain, 7, 1));
}

/* Who was filled before would look for what is found, if it took over. */
static void test_others_hear(void **state)
{
	struct peer *p = &d.peer[0];

	(void)state;
	p->node_id = 1;
	hole_filled(&d, p);			/* it never was active */
	assert_false(d.hole_untold);
	p->own = 7;
	hole_filled(&d, p);
	assert_true(d.hole_untold);
	assert_true(d.hole_timer.at_ns);
	d.hole_untold = false;
	hole_filled(&d, p);
	assert_false(d.hole_untold);
}

/* --force-unsafe: what is used does not count as lost a moment later. */
static void test_use(void **state)
{
	struct state next = d.st;
	struct peer *p = &d.peer[1];

	(void)state;
	next.holes = 9;
	p->node_id = 3;
	hole_use(&d, &next);
	assert_int_equal(next.holes, 0);
	assert_int_equal(next.chain.n, 0);
	p->lost = 4;
	assert_true(hole_is_news(&d, p));
	hole_use(&d, &next);
	d.st = next;
	assert_false(hole_is_news(&d, p));
	p->lost = 5;
	assert_true(hole_is_news(&d, p));
}

/* What there was no room for is asked again; what XFRM refuses is not. */
static void test_no_room(void **state)
{
	struct record rec = { .cookie = 9, .flags = XFRMSYNC_RECORD_F_SHARED };

	(void)state;
	d.st.holes = 9;
	hole_entry(&d, e, &rec);
	assert_true(e->hole && d.hole_timer.at_ns);
	expiries = 0;
	expire_fails = -ENOBUFS;
	d.hole_timer.at_ns = 0;
	d.hole_timer.cb(&d.hole_timer);
	assert_int_equal(expiries, 1);
	assert_true(d.hole_timer.at_ns);
	expire_fails = -EINVAL;
	d.hole_timer.at_ns = 0;
	d.hole_timer.cb(&d.hole_timer);
	assert_int_equal(expiries, 2);
	assert_false(d.hole_timer.at_ns);
	d.hole_timer.cb(&d.hole_timer);
	assert_int_equal(expiries, 2);
}

/* Active once more, before anybody asked for it: it is asked for now. */
static void test_asked_later(void **state)
{
	struct record rec = { .cookie = 9, .flags = XFRMSYNC_RECORD_F_SHARED };

	(void)state;
	d.st.holes = 9;
	hole_entry(&d, e, &rec);
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	expiries = 0;
	expire_fails = 0;
	d.hole_timer.at_ns = 0;
	d.hole_timer.cb(&d.hole_timer);
	assert_int_equal(expiries, 0);
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	hole_entry(&d, e, &rec);
	assert_true(d.hole_timer.at_ns);
	d.hole_timer.at_ns = 0;
	d.hole_timer.cb(&d.hole_timer);
	assert_int_equal(expiries, 1);
	hole_entry(&d, e, &rec);
	assert_false(d.hole_timer.at_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_filled_yet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_know, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drawn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_news, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_hear, setup, teardown),
		cmocka_unit_test_setup_teardown(test_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_later, setup, teardown),
	};

	return cmocka_run_group_tests_name("hole", tests, NULL, NULL);
}
