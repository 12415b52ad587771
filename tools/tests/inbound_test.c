// SPDX-License-Identifier: GPL-2.0
/*
 * In: what peers were told and acknowledged, of an SA; peers that go, and takeovers.
 * Out: a limit that none of those who may take over is behind.
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

#include "../../kmod/window.h"
#include "daemon.h"

static struct daemon d;
static struct cache_entry *e;
static struct record restored;
static size_t restores;

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

int __wrap_genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
			const struct record *r, size_t n,
			struct genl_result *res);

int __wrap_genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
			const struct record *r, size_t n,
			struct genl_result *res)
{
	(void)g;
	(void)epoch;
	(void)node;
	(void)res;
	assert_int_equal(n, 1);
	restored = *r;
	restores++;
	return 0;
}

static void peers(struct conf *c, size_t n, const char *const *names)
{
	size_t i;

	for (i = 0; i < n; i++)
		snprintf(c->peer[i].name, sizeof(c->peer[i].name), "%s", names[i]);
	c->n_peers = n;
}

static int setup(void **state)
{
	static const char *const names[] = { "b", "c" };
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50, .spi = 1 },
		.esn = true, .large = true, .window = 128, .bmp_words = 4,
	};

	(void)state;
	memset(&d, 0, sizeof(d));
	if (cache_init(&d.cache))
		return -1;
	peers(&d.conf, 2, names);
	d.conf.guard = CONF_GUARD_AVAILABLE;
	d.peer[0].index = 0;
	d.peer[1].index = 1;
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	e = cache_add(&d.cache, &info, (void *)"key", 3, 0);
	if (!e)
		return -1;
	e->rec.seq = 100;
	e->guard = 20;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cache_exit(&d.cache);
	return 0;
}

static void test_limit(void **state)
{
	(void)state;
	assert_true(inbound_limit(&d, e) == GUARD_NO_LIMIT);
	assert_false(inbound_exposed(&d, e));
	inbound_sent(e, &e->mark[0], 1);
	inbound_acked(&d, e, &e->mark[0], 1);
	assert_int_equal(inbound_limit(&d, e), 120);
	e->rec.seq = 110;
	inbound_sent(e, &e->mark[1], 1);
	assert_int_equal(inbound_limit(&d, e), 120);	/* the least of all */
	e->rec.seq = 120;
	assert_false(inbound_exposed(&d, e));
	e->rec.seq = 121;
	assert_true(inbound_exposed(&d, e));
	assert_int_equal(inbound_count_exposed(&d), 1);
	inbound_sent(e, &e->mark[0], 2);
	assert_true(inbound_exposed(&d, e));		/* not before it is there */
	inbound_acked(&d, e, &e->mark[0], 2);
	assert_int_equal(inbound_limit(&d, e), 130);
	assert_false(inbound_exposed(&d, e));
	d.conf.guard = CONF_GUARD_OFF;
	e->rec.seq = 1000;
	assert_false(inbound_exposed(&d, e));
}

/* What a peer is told of itself: another one that is away makes no difference. */
static void test_exposed_to(void **state)
{
	(void)state;
	assert_false(inbound_exposed_to(&d, e, &d.peer[0]));	/* nothing was told */
	inbound_sent(e, &e->mark[0], 1);
	inbound_sent(e, &e->mark[1], 1);
	inbound_acked(&d, e, &e->mark[0], 1);
	inbound_acked(&d, e, &e->mark[1], 1);
	e->rec.seq = 120;
	assert_false(inbound_exposed_to(&d, e, &d.peer[0]));
	e->rec.seq = 121;
	assert_true(inbound_exposed_to(&d, e, &d.peer[0]));
	assert_true(inbound_exposed_to(&d, e, &d.peer[1]));
	inbound_sent(e, &e->mark[0], 2);
	assert_true(inbound_exposed_to(&d, e, &d.peer[0]));
	inbound_acked(&d, e, &e->mark[0], 2);
	assert_false(inbound_exposed_to(&d, e, &d.peer[0]));
	assert_true(inbound_exposed_to(&d, e, &d.peer[1]));
	assert_true(inbound_exposed(&d, e));
	d.conf.guard = CONF_GUARD_STRICT;	/* not delivered */
	assert_false(inbound_exposed_to(&d, e, &d.peer[1]));
	d.conf.guard = CONF_GUARD_AVAILABLE;
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	assert_false(inbound_exposed_to(&d, e, &d.peer[1]));
}

/* Strict: whose acknowledgement is missing; one that knows as much is not waited for. */
static void test_held(void **state)
{
	(void)state;
	inbound_sent(e, &e->mark[0], 1);
	inbound_sent(e, &e->mark[1], 1);
	inbound_acked(&d, e, &e->mark[0], 1);
	inbound_acked(&d, e, &e->mark[1], 1);
	e->rec.seq = 121;
	assert_true(inbound_exposed(&d, e));
	assert_false(inbound_held(&d, e));		/* available: it goes on */
	d.conf.guard = CONF_GUARD_STRICT;
	assert_true(inbound_held(&d, e));
	assert_true(inbound_waits_for(&d, e, &d.peer[0]));
	assert_true(inbound_waits_for(&d, e, &d.peer[1]));
	inbound_sent(e, &e->mark[1], 2);
	inbound_acked(&d, e, &e->mark[1], 2);
	assert_true(inbound_held(&d, e));
	assert_false(inbound_waits_for(&d, e, &d.peer[1]));
	assert_int_equal(inbound_count_waiting(&d, &d.peer[0]), 1);
	assert_int_equal(inbound_count_waiting(&d, &d.peer[1]), 0);
	inbound_sent(e, &e->mark[0], 2);
	inbound_acked(&d, e, &e->mark[0], 2);
	assert_false(inbound_held(&d, e));
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	e->rec.seq = 1000;
	assert_false(inbound_held(&d, e));
}

/* Of a dry run: what inbound_hold() gives a limit at which nothing new passes. */
static void test_would_hold(void **state)
{
	(void)state;
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	assert_false(inbound_would_hold(&d, e, true, true));	/* available */
	d.conf.guard = CONF_GUARD_STRICT;
	assert_true(inbound_would_hold(&d, e, false, false));	/* two peers */
	d.conf.n_peers = 1;
	assert_false(inbound_would_hold(&d, e, false, false));
	assert_true(inbound_would_hold(&d, e, false, true));	/* handed over */
	/* It goes on after it was active: as far as the other one covers it. */
	assert_false(inbound_would_hold(&d, e, true, false));	/* nobody was told */
	inbound_sent(e, &e->mark[0], 1);
	inbound_acked(&d, e, &e->mark[0], 1);
	assert_false(inbound_would_hold(&d, e, true, false));
	e->rec.seq = 120;
	assert_true(inbound_would_hold(&d, e, true, false));
	e->rec.dir = XFRMSYNC_DIR_OUT;
	assert_false(inbound_would_hold(&d, e, true, false));
	e->rec.dir = XFRMSYNC_DIR_IN;
	e->applied = CACHE_CONFLICT;
	assert_false(inbound_would_hold(&d, e, true, false));
}

/* The last records of a planned takeover come without guards. */
static void test_given(void **state)
{
	(void)state;
	inbound_sent(e, &e->mark[0], 1);
	inbound_acked(&d, e, &e->mark[0], 1);
	inbound_sent(e, &e->mark[0], 2);
	inbound_given(&d, &d.peer[0]);
	assert_int_equal(inbound_limit(&d, e), 100);
	inbound_acked(&d, e, &e->mark[0], 2);	/* of a frame before it */
	assert_int_equal(inbound_limit(&d, e), 100);
	inbound_sent(e, &e->mark[0], 3);
	inbound_acked(&d, e, &e->mark[0], 3);
	assert_int_equal(inbound_limit(&d, e), 120);
}

/* A peer has lost what it accepted: its word, of before or since, covers none of that. */
static void test_hole(void **state)
{
	(void)state;
	inbound_sent(e, &e->mark[0], 1);
	inbound_acked(&d, e, &e->mark[0], 1);
	e->hole = true;
	e->hole_cap = 110;
	assert_int_equal(inbound_limit(&d, e), 110);
	e->rec.seq = 105;
	inbound_sent(e, &e->mark[0], 2);
	inbound_acked(&d, e, &e->mark[0], 2);
	assert_int_equal(inbound_limit(&d, e), 110);
	e->rec.seq = 111;
	d.conf.guard = CONF_GUARD_STRICT;
	assert_true(inbound_held(&d, e));
	inbound_limit_again(&d, e);
	assert_int_equal(e->guard_end, 110);
	assert_false(e->bound);
	/* It is not what keeps another one's limit from being the lower one. */
	e->hole_cap = 200;
	assert_int_equal(inbound_limit(&d, e), 125);
	e->hole_cap = 110;
	e->hole = false;
	assert_int_equal(inbound_limit(&d, e), 125);
	inbound_limit_again(&d, e);
	assert_int_equal(e->guard_end, 125);
}

static void test_removed(void **state)
{
	static const char *const names[] = { "c", "new" };
	static struct conf next;

	(void)state;
	inbound_sent(e, &e->mark[0], 1);
	inbound_acked(&d, e, &e->mark[0], 1);
	e->rec.seq = 150;
	inbound_sent(e, &e->mark[1], 1);
	inbound_acked(&d, e, &e->mark[1], 1);
	next = d.conf;
	peers(&next, 2, names);
	inbound_peers_changed(&d, &next);
	d.conf = next;
	assert_int_equal(e->mark[0].guard.limit, 170);	/* c has moved */
	assert_false(e->mark[1].guard.told);
	assert_int_equal(inbound_limit(&d, e), 120);	/* b may take over still */
	inbound_sent(e, &e->mark[0], 2);
	inbound_acked(&d, e, &e->mark[0], 2);
	assert_int_equal(inbound_limit(&d, e), 120);
}

static void test_taken_over(void **state)
{
	(void)state;
	e->rec.guard = 30;
	inbound_sent(e, &e->mark[0], 1);
	inbound_taken_over(&d, &d.peer[0]);
	/* b was the active; c may take over, too, from the record that we had. */
	assert_int_equal(e->rec.seq, 130);
	assert_false(e->mark[0].guard.told);
	assert_true(e->mark[1].guard.told);
	assert_int_equal(inbound_limit(&d, e), 130);
	d.conf.n_peers = 1;
	inbound_taken_over(&d, NULL);
	assert_true(inbound_limit(&d, e) == GUARD_NO_LIMIT);
	/* Who has handed over may take over from what it handed over. */
	d.taken_exact = true;
	e->rec.guard = 0;
	inbound_taken_over(&d, NULL);
	assert_int_equal(e->rec.seq, 160);
	assert_int_equal(inbound_limit(&d, e), 160);
}

/* Nobody else was active since: what we told counts. */
static void test_again(void **state)
{
	(void)state;
	inbound_sent(e, &e->mark[0], 1);
	e->rec.seq = 110;
	d.again = true;
	inbound_taken_over(&d, NULL);
	assert_int_equal(inbound_limit(&d, e), 120);
}

/* Of a daemon before this one only the kernel's limit is known. */
static void test_unknown(void **state)
{
	struct record rec = { .seq = 500, .guard_end = 77 };

	(void)state;
	inbound_unknown(&d, e, &rec);
	assert_true(inbound_limit(&d, e) == GUARD_NO_LIMIT);
	rec.flags = XFRMSYNC_RECORD_F_SHARED;
	inbound_unknown(&d, e, &rec);
	assert_int_equal(inbound_limit(&d, e), 77);
}

/* Strict: the kernel has a limit before a frame leaves, and a lower one, too. */
static void test_strict(void **state)
{
	(void)state;
	d.conf.guard = CONF_GUARD_STRICT;
	d.conf.guard_min = 20;
	d.conf.guard_max = 4096;
	e->bound = true;
	inbound_unknown(&d, e, &e->rec);
	inbound_follow(&d, e);
	assert_int_equal(e->guard_end, 0);	/* told to nobody */
	assert_false(inbound_may_tell(&d, e));
	d.leasing = true;
	inbound_start(&d);
	assert_int_equal(e->guard_end, 120);
	assert_true(e->guard_read && !e->bound && d.bind_due);
	assert_false(inbound_may_tell(&d, e));
	/* What was delivered until it stood there, is read. */
	e->guard_read = false;
	e->rec.guard_end = 120;
	inbound_follow(&d, e);
	assert_true(inbound_may_tell(&d, e));
	inbound_sent(e, &e->mark[0], 1);
	e->rec.seq = 115;
	inbound_follow(&d, e);
	assert_int_equal(e->guard_end, 120);
	inbound_acked(&d, e, &e->mark[0], 1);
	assert_int_equal(e->guard_end, 120);
	inbound_sent(e, &e->mark[0], 2);
	inbound_acked(&d, e, &e->mark[0], 2);
	assert_true(e->guard_end > 120 && !e->guard_read);
	e->rec.guard_end = e->guard_end;
	e->bound = true;
	inbound_follow(&d, e);
	assert_true(e->bound && inbound_may_tell(&d, e));
	/* A smaller guard: not before the kernel has it. */
	e->guard = 1;
	d.conf.guard_min = 1;
	memset(&e->guard_rate, 0, sizeof(e->guard_rate));
	e->guard_rate.seq = e->rec.seq;
	inbound_follow(&d, e);
	assert_int_equal(e->guard_end, 116);
	assert_true(e->guard_read && !e->bound);
	assert_false(inbound_may_tell(&d, e));
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	assert_true(inbound_may_tell(&d, e));	/* fenced */
}

/* Held for a node that was gone when this one took over: rekeyed, once. */
static void test_stuck(void **state)
{
	struct cache_entry *list[2];
	uint64_t ms = LOOP_MS, now;
	static struct link up;

	(void)state;
	d.conf.guard = CONF_GUARD_STRICT;
	d.conf.dead_ms = 1000;
	d.n_peers = 1;
	d.again = true;
	e->mark[0].guard = (struct guard_mark){ .told = true, .limit = 100 };
	inbound_taken_over(&d, NULL);
	now = d.taken_ns;
	d.peer[0].lost_ns = now - 1;
	e->rec.seq = 110;
	assert_true(inbound_held(&d, e));
	assert_int_equal(inbound_stuck(&d, now + 999 * ms, list, 2), 0);
	/* It is back. */
	d.peer[0].link = &up;
	assert_int_equal(inbound_stuck(&d, now + 1001 * ms, list, 2), 0);
	/* It went later: leave_after_ms is for that. */
	d.peer[0].link = NULL;
	d.peer[0].lost_ns = now + 2001 * ms;
	assert_int_equal(inbound_stuck(&d, now + 9000 * ms, list, 2), 0);
	d.peer[0].lost_ns = now - 1;
	assert_int_equal(inbound_stuck(&d, now + 1001 * ms, list, 2), 1);
	assert_ptr_equal(list[0], e);
	assert_int_equal(inbound_stuck(&d, now + 1001 * ms, list, 2), 0);
	/* Not with a guard that lets it in. */
	inbound_taken_over(&d, NULL);
	e->rec.seq = 110;
	d.conf.guard = CONF_GUARD_AVAILABLE;
	assert_int_equal(inbound_stuck(&d, d.taken_ns + 1001 * ms, list, 2), 0);
}

/* What another node accepted goes in, whatever size its window had there. */
static void test_merge(void **state)
{
	struct record theirs = { .seq = 200, .bmp_words = 4, .bmp = { 5, 6, 7, 8 } };
	struct xfrmsync_window w = { .size = 128, .bmp = restored.bmp, .ring = true };
	uint64_t n;

	(void)state;
	cache_set_handle(&d.cache, e, 3);
	e->tag = 9;
	restores = 0;
	inbound_merge(&d, 3, 8, &theirs);	/* another life of it */
	assert_int_equal(restores, 0);
	inbound_merge(&d, 3, 9, &theirs);
	assert_int_equal(restores, 1);
	assert_true(restored.restore_flags & XFRMSYNC_RESTORE_F_MERGE);
	assert_memory_equal(restored.bmp, theirs.bmp, sizeof(theirs.bmp));
	theirs.bmp_words = 2;
	inbound_merge(&d, 3, 9, &theirs);
	assert_int_equal(restores, 2);
	assert_int_equal(restored.bmp_words, 4);
	assert_int_equal(restored.window, 128);
	assert_int_equal(restored.seq, 200);
	w.seq = restored.seq;
	for (n = 1; n <= 200; n++)
		assert_true(xfrmsync_window_seen(&w, n));
	assert_int_equal(d.merged, 2);
	/* Without a window nothing is known as a replay, before and after. */
	e->info.window = 0;
	inbound_merge(&d, 3, 9, &theirs);
	assert_int_equal(restores, 2);
}

/* What there was no room for is asked again; what XFRM refuses is not. */
static void test_no_room(void **state)
{
	(void)state;
	inbound_init(&d);
	d.conf.guard = CONF_GUARD_STRICT;
	d.reading = true;
	d.n_peers = 1;
	e->mark[0].guard = (struct guard_mark){ .told = true, .limit = 100 };
	e->rec.seq = 110;
	d.taken_ns = 1;
	expiries = 0;
	expire_fails = -ENOBUFS;
	d.guard_timer.cb(&d.guard_timer);
	assert_int_equal(expiries, 1);
	expire_fails = -EINVAL;
	d.guard_timer.cb(&d.guard_timer);
	assert_int_equal(expiries, 2);
	d.guard_timer.cb(&d.guard_timer);
	assert_int_equal(expiries, 2);
}

/* Only what was raised is looked at each second; and all of it by another configuration. */
static void test_shrinks(void **state)
{
	(void)state;
	inbound_init(&d);
	d.reading = true;
	d.conf.guard_min = 5;
	d.conf.guard_max = 1000;
	guard_rate_reset(&e->guard_rate, 100);
	e->rec.seq = 100100;
	inbound_follow(&d, e);
	assert_int_equal(e->guard, 1000);
	d.guard_timer.cb(&d.guard_timer);
	assert_int_equal(e->guard, 1000);
	guard_rate_reset(&e->guard_rate, e->rec.seq);	/* it is idle */
	d.guard_timer.cb(&d.guard_timer);
	assert_int_equal(e->guard, 5);
	d.guard_timer.cb(&d.guard_timer);
	assert_true(list_empty(&d.cache.led));

	inbound_peers_changed(&d, &d.conf);
	d.conf.guard = CONF_GUARD_OFF;
	d.guard_timer.cb(&d.guard_timer);
	assert_int_equal(e->guard, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stuck, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shrinks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exposed_to, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_would_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strict, setup, teardown),
	};

	return cmocka_run_group_tests_name("inbound", tests, NULL, NULL);
}
