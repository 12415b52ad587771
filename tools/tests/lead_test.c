// SPDX-License-Identifier: GPL-2.0
/*
 * In: records and guards of an active, windows of this node's own time.
 * Out: windows that take all for seen that either node may have let in, no more.
 * Host only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/xfrmsync.h>

#include "../../kmod/window.h"
#include "daemon.h"

#define SIZE 128

static struct cache_entry entry(void)
{
	return (struct cache_entry){
		.info = { .window = SIZE, .large = true, .esn = true,
			  .bmp_words = SIZE / 32 },
	};
}

static struct xfrmsync_window view(struct record *r)
{
	return (struct xfrmsync_window){
		.seq = r->seq, .size = SIZE, .bmp = r->bmp, .ring = true,
	};
}

static bool seen(struct record *r, uint64_t n)
{
	struct xfrmsync_window w = view(r);

	return xfrmsync_window_seen(&w, n);
}

/* All from first to last, but those that skip divides. */
static struct record window(uint64_t first, uint64_t last, unsigned int skip)
{
	struct record r = { .window = SIZE, .bmp_words = SIZE / 32 };
	struct xfrmsync_window w = view(&r);
	uint64_t n;

	for (n = first; n <= last; n++)
		if (n % skip)
			xfrmsync_window_mark(&w, n);
	r.seq = w.seq;
	return r;
}

static void test_guard(void **state)
{
	struct cache_entry e = entry();
	struct record r = window(1, 200, 7);
	uint64_t n;

	(void)state;
	lead_compose(&e, &r);
	assert_int_equal(r.seq, 200);
	assert_false(seen(&r, 196));		/* exact, without a guard */
	e.rec.guard = 30;
	lead_compose(&e, &r);
	assert_int_equal(r.seq, 230);
	for (n = 1; n <= 230; n++)
		assert_true(seen(&r, n));
	assert_false(seen(&r, 231));
}

/* A split: this node was ahead, or behind, or beside. */
static void test_own(void **state)
{
	static const struct { uint64_t own, theirs; uint32_t guard; } at[] = {
		{ 300, 250, 0 }, { 300, 250, 20 }, { 250, 300, 0 },
		{ 250, 300, 60 }, { 260, 250, 30 }, { 900, 100, 40 },
	};
	struct record own, theirs, r;
	struct cache_entry e;
	uint64_t n, top;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		e = entry();
		own = window(1, at[i].own, 3);
		theirs = window(1, at[i].theirs, 5);
		assert_true(lead_keep(&e, &own));
		e.rec = theirs;
		e.rec.guard = at[i].guard;
		r = e.rec;
		lead_compose(&e, &r);
		top = own.seq > theirs.seq + at[i].guard ? own.seq :
							   theirs.seq + at[i].guard;
		assert_int_equal(r.seq, top);
		for (n = 1; n < top + 9; n++) {
			bool want = n + SIZE <= top || seen(&own, n) ||
				    seen(&theirs, n) ||
				    (at[i].guard && n <= theirs.seq + at[i].guard);

			assert_int_equal(seen(&r, n), want);
		}
		lead_drop(&e);
		assert_null(e.own);
	}
}

/* It is kept until the active's record has all of it, and not longer. */
static void test_covered(void **state)
{
	struct record own = window(1, 200, 3), more = window(205, 210, 1000);
	struct cache_entry e = entry();

	(void)state;
	assert_true(lead_keep(&e, &own));
	e.rec = window(1, 250, 5);
	lead_drop_covered(&e);
	assert_non_null(e.own);
	e.rec = window(1, 190, 1000);		/* all of it but the end */
	lead_drop_covered(&e);
	assert_non_null(e.own);
	assert_true(lead_keep(&e, &more));	/* added to what was kept */
	e.rec = window(1, 200, 1000);
	e.rec.seq = 200;
	lead_drop_covered(&e);
	assert_non_null(e.own);
	e.rec = window(1, 220, 1000);
	lead_drop_covered(&e);
	assert_null(e.own);
	assert_true(lead_keep(&e, &own));
	e.rec = window(1, 200 + SIZE, 5);	/* a whole window ahead */
	lead_drop_covered(&e);
	assert_null(e.own);
}

/* What was accepted by a window of another size counts as seen, all of it; what
 * does not fit is left alone, and no window is none.
 */
static void test_other_kind(void **state)
{
	struct cache_entry e = entry();
	struct record r = { .seq = 5, .window = 64, .bmp_words = 2 };
	struct record now = window(9, 9, 1000);
	uint64_t n;

	(void)state;
	e.rec.guard = 9;
	lead_compose(&e, &r);
	assert_int_equal(r.seq, 5);
	assert_true(lead_keep(&e, &r));
	e.rec.guard = 0;
	assert_false(seen(&now, 5));
	lead_compose(&e, &now);
	for (n = 1; n < 6; n++)
		assert_true(seen(&now, n));
	assert_false(seen(&now, 6));
	lead_drop(&e);
	r = (struct record){ .seq = 5, .window = 64, .bmp_words = 2 };
	e.info.window = 0;
	assert_true(lead_keep(&e, &r));
	assert_null(e.own);
	e.info.window = SIZE;
	r.window = 0;				/* it knew no replays */
	assert_true(lead_keep(&e, &r));
	assert_null(e.own);
	r = (struct record){ .window = SIZE, .bmp_words = SIZE / 32 };
	assert_true(lead_keep(&e, &r));		/* nothing was accepted */
	assert_null(e.own);
}

/* One word, and the same size: its bits stand for other numbers all the same. */
static void test_other_layout(void **state)
{
	struct record own = { .seq = 9, .window = 32, .bmp_words = 1, .bmp = { 1 } };
	struct record r = { .window = 32, .bmp_words = 1, .seq = 5 };
	struct cache_entry e = {
		.info = { .window = 32, .large = false, .bmp_words = 1 },
	};

	(void)state;
	assert_true(lead_keep(&e, &own));	/* 9 and no other */
	e.info.large = true;
	e.info.esn = true;
	lead_compose(&e, &r);
	assert_int_equal(r.seq, 9);
	assert_int_equal(r.bmp[0], UINT32_MAX);
	lead_drop(&e);
}

/* The SA's window is another one since: all that was kept counts as seen. */
static void test_other_size(void **state)
{
	struct record own = window(1, 200, 3), r = {
		.window = 32, .bmp_words = 1, .seq = 190,
	};
	struct cache_entry e = entry();

	(void)state;
	assert_true(lead_keep(&e, &own));
	e.info.window = 32;
	e.info.bmp_words = 1;
	lead_compose(&e, &r);
	assert_int_equal(r.seq, 200);
	assert_int_equal(r.bmp[0], UINT32_MAX);
	/* No kernel has one that is larger than its bitmap. */
	lead_drop(&e);
	e.info.large = false;
	e.info.window = 255;
	r = (struct record){ .window = 255, .bmp_words = 1, .seq = 100 };
	assert_true(lead_keep(&e, &r));
	assert_null(e.own);
}

/* What the active is told of it has the active's size, with one that is the same in
 * words, too: it would take each bit for another number.
 */
static void test_told_in_other_size(void **state)
{
	static const struct { uint32_t size, words; } at[] = {
		{ 32, 1 }, { SIZE - 1, SIZE / 32 }, { 256, 8 },
	};
	struct record own = window(1, 200, 3), r;
	struct cache_entry e;
	struct buf b = {};
	uint32_t handle;
	uint64_t tag, n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct xfrmsync_window w = { .size = at[i].size, .bmp = r.bmp, .ring = true };
		struct rd rd;

		e = entry();
		assert_true(lead_keep(&e, &own));
		e.info.window = at[i].size;
		e.info.bmp_words = at[i].words;
		buf_clear(&b);
		lead_put_own(&e, &b);
		rd = (struct rd){ .p = b.data, .left = b.len };
		assert_int_equal(wire_get_merge(&rd, &handle, &tag, &r), 0);
		assert_int_equal(r.seq, 200);
		assert_int_equal(r.bmp_words, at[i].words);
		w.seq = r.seq;
		for (n = 1; n <= 200; n++)
			assert_true(xfrmsync_window_seen(&w, n));
		lead_drop(&e);
	}
	/* The same size: as it was. */
	e = entry();
	assert_true(lead_keep(&e, &own));
	buf_clear(&b);
	lead_put_own(&e, &b);
	assert_int_equal(wire_get_merge(&(struct rd){ .p = b.data, .left = b.len },
					&handle, &tag, &r), 0);
	assert_memory_equal(r.bmp, own.bmp, own.bmp_words * sizeof(own.bmp[0]));
	lead_drop(&e);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_other_size),
		cmocka_unit_test(test_told_in_other_size),
		cmocka_unit_test(test_covered),
		cmocka_unit_test(test_other_kind),
		cmocka_unit_test(test_other_layout),
	};

	return cmocka_run_group_tests_name("lead", tests, NULL, NULL);
}
