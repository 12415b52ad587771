// SPDX-License-Identifier: GPL-2.0
/*
 * In: replay windows of all kinds, moved, marked and merged at random.
 * Out: the same seen by a model that remembers every number (RFC 4303, 3.4.3).
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

#include "window.h"

/* Numbers that the model remembers, around a base. */
#define SPAN 20000

struct model {
	uint64_t base, top;
	uint32_t size;
	unsigned char seen[SPAN];
};

struct pair {
	struct xfrmsync_window w;
	uint32_t bmp[XFRMSYNC_WINDOW_WORDS];
	struct model m;
};

static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

static void pair_init(struct pair *p, uint32_t size, bool ring, uint64_t base)
{
	memset(p, 0, sizeof(*p));
	p->w.size = p->m.size = size;
	p->w.ring = ring;
	p->w.bmp = p->bmp;
	p->w.seq = p->m.top = p->m.base = base;
}

static bool model_seen(const struct model *m, uint64_t n)
{
	if (!m->size)
		return false;
	if (!n || n + m->size <= m->top)
		return true;
	return n > m->base ? m->seen[n - m->base] : false;
}

static void model_mark(struct model *m, uint64_t n)
{
	if (!n || n <= m->base || n + m->size <= m->top)
		return;
	m->seen[n - m->base] = 1;
	if (n > m->top)
		m->top = n;
}

static void model_advance(struct model *m, uint64_t seq, bool seen)
{
	for (; m->top < seq; m->top++)
		m->seen[m->top + 1 - m->base] = seen;
}

static void assert_same(const struct pair *p)
{
	uint64_t from = p->m.top > p->m.base + p->m.size ?
			p->m.top - p->m.size - 3 : p->m.base + 1;
	uint64_t n;

	assert_int_equal(p->w.seq, p->m.top);
	for (n = from; n < p->m.top + 3; n++)
		if (xfrmsync_window_seen(&p->w, n) != model_seen(&p->m, n))
			fail_msg("size %u ring %d top %llu: number %llu differs",
				 p->w.size, p->w.ring,
				 (unsigned long long)p->w.seq,
				 (unsigned long long)n);
}

/* One packet, or a jump; the number that was used. */
static void step(struct pair *p)
{
	uint64_t n = p->m.top + 1;
	uint32_t kind = rnd(10), back = rnd(p->m.size + 2);
	bool seen;

	if (kind < 5)
		n = p->m.top + 1 + rnd(3);
	else if (kind < 8)
		n = back < p->m.top - p->m.base ? p->m.top - back : n;
	else
		n = p->m.top + 1 + rnd(p->m.size * 2 + 2);
	if (kind == 9 && n > p->m.top) {
		seen = rnd(2);
		xfrmsync_window_advance(&p->w, n, seen);
		model_advance(&p->m, n, seen);
		return;
	}
	if (n > p->m.top)
		model_advance(&p->m, n, false);
	xfrmsync_window_mark(&p->w, n);
	model_mark(&p->m, n);
}

static const struct {
	uint32_t size;
	bool ring;
} kinds[] = {
	{ 1, false }, { 8, false }, { 31, false }, { 32, false },
	{ 32, true }, { 64, true }, { 128, true }, { 1024, true },
	{ 2048, true }, { 4096, true },
};

/* The low half crosses 2^32 in the third. */
static const uint64_t bases[] = { 0, 1000000, (1ULL << 32) - 300,
				  (5ULL << 32) + 77 };

static void test_moves(void **state)
{
	static struct pair p;
	size_t k, b;
	int i;

	(void)state;
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
			if (!kinds[k].ring && bases[b] >> 32)
				continue;
			pair_init(&p, kinds[k].size, kinds[k].ring, bases[b]);
			for (i = 0; i < 400 && p.m.top - p.m.base + 2 * p.m.size + 8 < SPAN; i++) {
				step(&p);
				assert_same(&p);
			}
		}
}

/* A guard takes the gaps before it for seen, and nothing behind it. */
static void test_fill(void **state)
{
	static struct pair p, before;
	uint64_t n, to;
	size_t k;
	int i, round;

	(void)state;
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (round = 0; round < 20; round++) {
			pair_init(&p, kinds[k].size, kinds[k].ring, 0);
			for (i = 0; i < 30 && p.m.top + 3 * p.m.size < SPAN; i++)
				step(&p);
			before = p;
			before.w.bmp = before.bmp;
			to = p.w.seq + rnd(20);
			to = to > 10 ? to - 10 : 0;
			xfrmsync_window_fill(&p.w, to);
			assert_int_equal(p.w.seq, to > before.w.seq ? to :
								      before.w.seq);
			for (n = 1; n < to + 13; n++)
				assert_int_equal(xfrmsync_window_seen(&p.w, n),
						 n <= to || xfrmsync_window_seen(&before.w, n));
		}
}

/* What either of two nodes has seen, neither accepts after the merge. */
static void test_merge(void **state)
{
	static struct pair a, b, before_a, before_b;
	uint64_t n, top;
	size_t k;
	int i, round;

	(void)state;
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (round = 0; round < 20; round++) {
			pair_init(&a, kinds[k].size, kinds[k].ring, 0);
			pair_init(&b, kinds[k].size, kinds[k].ring, 0);
			for (i = 0; i < 30 && a.m.top + 3 * a.m.size < SPAN; i++)
				step(&a);
			for (i = 0; i < 30 && b.m.top + 3 * b.m.size < SPAN; i++)
				step(&b);
			before_a = a;
			before_a.w.bmp = before_a.bmp;
			before_b = b;
			before_b.w.bmp = before_b.bmp;
			xfrmsync_window_merge(&a.w, &b.w);

			top = before_a.w.seq > before_b.w.seq ? before_a.w.seq :
								before_b.w.seq;
			assert_int_equal(a.w.seq, top);
			for (n = 1; n < top + 3; n++) {
				bool was = xfrmsync_window_seen(&before_a.w, n) ||
					   xfrmsync_window_seen(&before_b.w, n);
				bool left = n + a.w.size <= top;

				assert_int_equal(xfrmsync_window_seen(&a.w, n),
						 was || left);
			}
		}
}

static void test_refuses(void **state)
{
	uint32_t bmp[4] = { 0 }, other_bmp[4] = { ~0U, ~0U, ~0U, ~0U };
	struct xfrmsync_window w = { .seq = 200, .size = 128, .bmp = bmp,
				     .ring = true };
	struct xfrmsync_window other = { .seq = 400, .size = 64,
					 .bmp = other_bmp, .ring = true };

	(void)state;
	xfrmsync_window_mark(&w, 0);
	xfrmsync_window_mark(&w, 72);	/* left of the window */
	xfrmsync_window_advance(&w, 200, true);
	xfrmsync_window_advance(&w, 100, true);
	xfrmsync_window_merge(&w, &other);	/* another size */
	assert_int_equal(w.seq, 200);
	assert_int_equal(bmp[0] | bmp[1] | bmp[2] | bmp[3], 0);
	w.size = 0;
	assert_false(xfrmsync_window_seen(&w, 1));	/* no check, no replay */
	xfrmsync_window_mark(&w, 500);
	assert_int_equal(w.seq, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_refuses),
	};
	const char *env = getenv("XFRMSYNC_SEED");

	seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	printf("# XFRMSYNC_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
