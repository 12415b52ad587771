// SPDX-License-Identifier: GPL-2.0
/*
 * In: random and all edge-case histories of one SA's packets, guards and merges.
 * Out: window.c says what a receiver says that only knows RFC 4303 and sets.
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

#include "lease.h"
#include "window.h"

#define BORDER (1ULL << 32)
#define SLOTS (1U << 15)
#define RANGES 256

/* --- the receiver of RFC 4303, 3.4.3 and appendix A ------------------------------- */

/* Numbers it has accepted, one by one, and runs that it was told to take for seen. */
struct receiver {
	uint64_t top;		/* T, highest authenticated */
	uint64_t size;		/* W */
	uint64_t limit;		/* last number that the sender has */
	size_t n_ranges;
	struct range {
		uint64_t from, to;
	} range[RANGES];
	uint32_t used;
	uint64_t slot[SLOTS];	/* 0 is free: no sender uses number 0 */
};

static uint64_t *find(struct receiver *r, uint64_t n)
{
	uint32_t i = (n * 0x9e3779b97f4a7c15ULL) >> 49;

	while (r->slot[i] && r->slot[i] != n)
		i = (i + 1) % SLOTS;
	return &r->slot[i];
}

static bool was_seen(struct receiver *r, uint64_t n)
{
	size_t i;

	for (i = 0; i < r->n_ranges; i++)
		if (n >= r->range[i].from && n <= r->range[i].to)
			return true;
	return *find(r, n) == n;
}

static void put_range(struct receiver *r, uint64_t from, uint64_t to)
{
	assert_true(r->n_ranges < RANGES);
	r->range[r->n_ranges++] = (struct range){ from, to };
}

/* 3.4.3: left of the window, or in it and a duplicate; 2.2: the first is 1. */
static bool refuses(struct receiver *r, uint64_t n)
{
	if (!r->size)
		return false;
	if (!n)
		return true;
	if (n > r->top)
		return false;
	return r->top - n >= r->size || was_seen(r, n);
}

static void accepts(struct receiver *r, uint64_t n)
{
	if (!r->size)
		return;
	if (!was_seen(r, n)) {
		assert_true(r->used < SLOTS / 2);
		*find(r, n) = n;
		r->used++;
	}
	if (n > r->top)
		r->top = n;
}

static void moves(struct receiver *r, uint64_t top, bool seen)
{
	if (!r->size || top <= r->top)
		return;
	if (seen)
		put_range(r, r->top + 1, top);
	r->top = top;
}

/* --- what is compared ------------------------------------------------------------- */

struct pair {
	struct xfrmsync_window w;
	uint32_t bmp[XFRMSYNC_WINDOW_WORDS + 1];
	struct receiver r;
	bool esn;
};

#define CANARY 0xdeadbeef

static uint64_t first_seed, seed;
static unsigned long compared;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 32) % below;
}

static uint64_t rnd64(void)
{
	uint64_t high = rnd(~0U);

	return high << 32 | rnd(~0U);
}

static const struct kind {
	uint32_t size;
	bool ring, esn;
} kinds[] = {
	{ 1, false, false }, { 7, false, false },
	{ 31, false, false }, { 32, false, false },
	{ 64, true, false }, { 128, true, false },
	{ 4096, true, false },
	{ 1, true, true }, { 2, true, true },
	{ 32, true, true }, { 64, true, true },
	{ 128, true, true }, { 1024, true, true },
	{ 2048, true, true }, { 4096, true, true },
	/* XFRM computes positions from the low half of T - 1, so where the size
	 * does not divide 2^32 they jump there; its own windows forget, ours must not.
	 */
	{ 33, true, false }, { 100, true, false },
	{ 4064, true, false },
	{ 3, true, true }, { 33, true, true },
	{ 96, true, true }, { 1000, true, true },
	{ 4064, true, true }, { 4095, true, true },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Where number n, which is in the window, stands: as uapi/linux/xfrmsync.h says. */
static uint32_t place(const struct xfrmsync_window *w, uint64_t n)
{
	int64_t back = w->seq - n;
	int64_t top = ((uint32_t)w->seq - 1U) % w->size;

	if (!w->ring)
		return back;
	return (top - back + 2 * (int64_t)w->size) % w->size;
}

static bool raw_bit(const struct xfrmsync_window *w, uint64_t n)
{
	uint32_t at = place(w, n);

	return w->bmp[at / 32] >> (at % 32) & 1;
}

static void say(const struct pair *p, uint64_t n, const char *what)
{
	fail_msg("XFRMSYNC_SEED=%llu: size %u%s%s, top %#llx: number %#llx %s",
		 (unsigned long long)first_seed, p->w.size,
		 p->w.ring ? ", ring" : "", p->esn ? ", ESN" : "",
		 (unsigned long long)p->w.seq, (unsigned long long)n, what);
}

static void same_number(struct pair *p, uint64_t n)
{
	compared++;
	if (xfrmsync_window_seen(&p->w, n) != refuses(&p->r, n))
		say(p, n, refuses(&p->r, n) ? "should be refused" :
					      "should be accepted");
}

/* Numbers around the edges, and some in the middle. */
static void same_edges(struct pair *p)
{
	uint64_t top = p->r.top, left = top - p->r.size;
	uint64_t border = top & ~(BORDER - 1);
	int i;

	assert_int_equal(p->w.seq, top);
	for (i = -3; i <= 3; i++) {
		same_number(p, top + i);
		same_number(p, left + i);
		same_number(p, border + i);
		same_number(p, i + 3);
	}
	for (i = 0; i < 8; i++)
		same_number(p, top - rnd(p->r.size + 2));
}

static void same_all(struct pair *p)
{
	uint64_t back, n;

	same_edges(p);
	for (back = 0; back < p->r.size && back < p->r.top; back++) {
		n = p->r.top - back;
		same_number(p, n);
		if (raw_bit(&p->w, n) != was_seen(&p->r, n))
			say(p, n, "has its bit elsewhere");
	}
	assert_int_equal(p->bmp[xfrmsync_window_words(p->w.size)], CANARY);
}

/* --- states ------------------------------------------------------------------------ */

static uint64_t limit_of(const struct kind *k)
{
	return k->esn ? ~0ULL : BORDER - 1;
}

static uint64_t within(const struct kind *k, uint64_t top)
{
	return k->esn ? top : top & (BORDER - 1);
}

/* The edges that a window's highest number can be at. */
static uint64_t edge(const struct kind *k)
{
	uint32_t size = k->size, off = rnd(2 * size + 8);
	uint64_t high = (uint64_t)(rnd(2) ? 1 + rnd(5) : 1 + rnd(~0U - 1)) << 32;

	switch (rnd(10)) {
	case 0:
		return 0;
	case 1:
		return rnd(4);
	case 2:
		return size - 1 + rnd(4);
	case 3:
		return off;
	case 4:
		return within(k, high - 3 + rnd(6));
	case 5:
		return within(k, high - size - 4 + off);
	case 6:
		return within(k, high + size - 3 + rnd(5));
	case 7:
		return k->esn ? ~0ULL - off : BORDER - 1 - off;
	case 8:
		return within(k, high + (1ULL << 31) - 3 + rnd(6));
	}
	return within(k, rnd64());
}

/* Any state that a receiver can be in: some numbers of its window were accepted. */
static void start(struct pair *p, const struct kind *k, uint64_t top)
{
	uint32_t share = rnd(3) ? rnd(101) : rnd(2) * 100;
	uint64_t back, n;

	memset(p, 0, sizeof(*p));
	p->esn = k->esn;
	p->w = (struct xfrmsync_window){ .seq = top, .size = k->size,
					 .bmp = p->bmp, .ring = k->ring };
	p->bmp[xfrmsync_window_words(k->size)] = CANARY;
	p->r.size = k->size;
	p->r.top = top;
	p->r.limit = limit_of(k);
	for (back = 0; back < k->size && back < top; back++) {
		n = top - back;
		if (back && rnd(100) >= share)
			continue;
		accepts(&p->r, n);
		p->bmp[place(&p->w, n) / 32] |= 1U << place(&p->w, n) % 32;
	}
}

static uint64_t at_most(const struct pair *p, uint64_t from, uint64_t step)
{
	return p->r.limit - from < step ? p->r.limit : from + step;
}

/* How far a window jumps: every relation to its size and to 2^32. */
static uint64_t leap(const struct pair *p)
{
	uint64_t size = p->r.size, to_border = BORDER - p->r.top % BORDER;

	switch (rnd(10)) {
	case 0:
		return size - 1 + rnd(3);
	case 1:
		return 2 * size - 1 + rnd(3);
	case 2:
		return to_border - 2 + rnd(5);
	case 3:
		return to_border + rnd(2 * size + 1);
	case 4:
		return BORDER - size - 1 + rnd(3);
	case 5:
		return BORDER - 1 + rnd(3);
	case 6:
		return rnd(2) ? ~0ULL : rnd64() >> rnd(64);
	case 7:
		return (1ULL << 31) - 1 + rnd(3);
	}
	return 1 + rnd(2 * size);
}

static void copy(struct pair *to, const struct pair *from)
{
	*to = *from;
	to->w.bmp = to->bmp;
}

/* --- histories --------------------------------------------------------------------- */

static void packet(struct pair *p, uint64_t n)
{
	uint32_t before[XFRMSYNC_WINDOW_WORDS + 1];

	same_number(p, n);
	if (refuses(&p->r, n)) {
		memcpy(before, p->bmp, sizeof(before));
		xfrmsync_window_mark(&p->w, n);
		assert_memory_equal(before, p->bmp, sizeof(before));
		return;
	}
	xfrmsync_window_mark(&p->w, n);
	accepts(&p->r, n);
}

static uint64_t next_number(const struct pair *p)
{
	uint64_t top = p->r.top;
	uint64_t border = (top & ~(BORDER - 1)) - 2 + rnd(5);

	switch (rnd(8)) {
	case 0:
		return top - rnd(p->r.size + 3);
	case 1:
		return top - p->r.size - 1 + rnd(4);
	case 2:
		return border > p->r.limit ? top : border;
	case 3:
		return at_most(p, top, leap(p));
	case 4:
		return top;
	}
	return at_most(p, top, 1 + rnd(3));
}

static void advance(struct pair *p)
{
	uint64_t to = at_most(p, p->r.top, leap(p));
	bool seen = rnd(2);

	if (!rnd(8))
		to = p->r.top - rnd(3);		/* not ahead: nothing happens */
	xfrmsync_window_advance(&p->w, to, seen);
	moves(&p->r, to, seen);
}

static void merge(struct pair *p, const struct kind *k)
{
	static struct pair other;
	uint64_t top = rnd(2) ? p->r.top - rnd(2 * k->size + 2) :
				at_most(p, p->r.top, leap(p));
	size_t i;

	/* Both are records of one SA: at least the direction must make sense. */
	if (top > p->r.limit)
		top = p->r.top;
	start(&other, k, top);
	xfrmsync_window_merge(&p->w, &other.w);
	assert_int_equal(p->w.seq, other.w.seq);
	for (i = 0; i < SLOTS; i++)
		if (other.r.slot[i] && !was_seen(&p->r, other.r.slot[i]))
			accepts(&p->r, other.r.slot[i]);
	moves(&p->r, top, false);
}

static void history(struct pair *p, const struct kind *k)
{
	int steps = 20 + rnd(60), i;

	for (i = 0; i < steps; i++) {
		uint32_t what = rnd(20);

		if (what == 0 && p->r.used < SLOTS / 4)
			merge(p, k);
		else if (what <= 2)
			advance(p);
		else
			packet(p, next_number(p));
		if (k->size <= 128)
			same_all(p);
		else
			same_edges(p);
	}
	same_all(p);
}

/* What is said at every step is what a receiver says that remembers all. */
static void test_histories(void **state)
{
	static struct pair p;
	size_t k;
	int i;

	(void)state;
	for (k = 0; k < N_KINDS; k++)
		for (i = 0; i < 80; i++) {
			start(&p, &kinds[k], edge(&kinds[k]));
			same_all(&p);
			history(&p, &kinds[k]);
		}
}

/* Every number around every edge, for every kind: nothing is left to chance. */
static void test_edges(void **state)
{
	static struct pair before, p;
	uint64_t top, n;
	size_t k;
	int b, d;

	(void)state;
	for (k = 0; k < N_KINDS; k++) {
		const uint64_t size = kinds[k].size;
		const uint64_t base[] = { 0, size, BORDER - size, BORDER,
					  BORDER + size, 7 * BORDER,
					  BORDER * BORDER - 1 };

		for (b = 0; b < 7; b++)
			for (d = -2; d <= 2; d++) {
				top = within(&kinds[k], base[b] + d);
				start(&before, &kinds[k], top);
				same_all(&before);
				for (n = top - 2; n != top + 3; n++) {
					copy(&p, &before);
					if (n <= p.r.limit && n + 8 > top)
						packet(&p, n);
					same_all(&p);
				}
			}
	}
}

/* --- advance ----------------------------------------------------------------------- */

static void test_advance_adds_up(void **state)
{
	static struct pair once, twice;
	uint64_t a, b;
	size_t k;
	int i;

	(void)state;
	for (k = 0; k < N_KINDS; k++)
		for (i = 0; i < 60; i++) {
			bool seen = rnd(2);

			start(&once, &kinds[k], edge(&kinds[k]));
			copy(&twice, &once);
			a = at_most(&once, once.r.top, leap(&once));
			b = at_most(&once, a, leap(&once));
			xfrmsync_window_advance(&once.w, b, seen);
			xfrmsync_window_advance(&twice.w, a, seen);
			xfrmsync_window_advance(&twice.w, b, seen);
			moves(&once.r, b, seen);
			moves(&twice.r, b, seen);
			same_all(&once);
			same_all(&twice);
			assert_int_equal(once.w.seq, twice.w.seq);
			if (kinds[k].ring)
				assert_memory_equal(once.bmp, twice.bmp,
						    sizeof(once.bmp));
		}
}

/* What was refused stays refused, however it moves or merges. */
static void test_never_unmarks(void **state)
{
	static struct pair before, p;
	uint64_t back, n;
	size_t k;
	int i;

	(void)state;
	for (k = 0; k < N_KINDS; k++)
		for (i = 0; i < 60; i++) {
			start(&before, &kinds[k], edge(&kinds[k]));
			copy(&p, &before);
			switch (rnd(3)) {
			case 0:
				advance(&p);
				break;
			case 1:
				merge(&p, &kinds[k]);
				break;
			default:
				packet(&p, next_number(&p));
			}
			for (back = 0; back < 2ULL * kinds[k].size + 2 &&
			     back <= before.r.top; back++) {
				n = before.r.top - back;
				if (xfrmsync_window_seen(&before.w, n) &&
				    !xfrmsync_window_seen(&p.w, n))
					say(&p, n, "was refused before");
			}
		}
}

/* A window does not go past the last number that there is. */
static void test_last_number(void **state)
{
	static struct pair p;
	size_t k;
	int i;

	(void)state;
	for (k = 0; k < N_KINDS; k++) {
		const uint64_t last = kinds[k].esn ? ~0ULL : BORDER - 1;

		for (i = 0; i < 20; i++) {
			start(&p, &kinds[k], last - rnd(2 * kinds[k].size));
			xfrmsync_window_advance(&p.w, last, i & 1);
			moves(&p.r, last, i & 1);
			same_all(&p);
			xfrmsync_window_mark(&p.w, last);
			assert_true(xfrmsync_window_seen(&p.w, last));
			xfrmsync_window_advance(&p.w, last, true);
			assert_int_equal(p.w.seq, last);
		}
	}
}

/* --- the guard --------------------------------------------------------------------- */

/*
 * Up to where a guard has it: ahead of the record, over any border. Sometimes below,
 * as fill() says what it does there, too.
 */
static uint64_t fill_end(const struct pair *p)
{
	uint64_t top = p->r.top, back = rnd(2 * p->r.size + 2);
	uint64_t end = at_most(p, top, leap(p));

	if (!rnd(4))
		return back < top ? top - back : 0;
	return end - top > BORDER ? top + BORDER : end;
}

/*
 * The active goes on after its record: new numbers up to T + G, and late ones in the
 * holes. Whoever takes over accepts none of them again, and nothing else differs from
 * a receiver that saw all up to T + G. To mark the numbers that come in would not do:
 * what is not marked at or below the record, the active may have accepted since.
 */
static void test_guard(void **state)
{
	static struct pair standby, active;
	uint64_t limit, n;
	size_t k;
	int i, j;

	(void)state;
	for (k = 0; k < N_KINDS; k++)
		for (i = 0; i < 80; i++) {
			start(&standby, &kinds[k], edge(&kinds[k]));
			copy(&active, &standby);
			limit = fill_end(&standby);
			xfrmsync_window_fill(&standby.w, limit);
			put_range(&standby.r, 1, limit);
			moves(&standby.r, limit, false);
			same_all(&standby);
			for (j = 0; j < 200; j++) {
				n = rnd(2) ? active.r.top - rnd(active.r.size) :
					     active.r.top + 1 + rnd(8);
				if (!n || n > limit || refuses(&active.r, n))
					continue;
				accepts(&active.r, n);
				if (!xfrmsync_window_seen(&standby.w, n))
					say(&standby, n, "was delivered by the active");
			}
			for (n = limit; n > 0 && limit - n < 2 * standby.r.size; n--)
				if (!xfrmsync_window_seen(&standby.w, n))
					say(&standby, n, "is not past the guard");
			history(&standby, &kinds[k]);
		}
}

/* --- leases, and who infers -------------------------------------------------------- */

/* RFC 4303, A2.2, as it is written there; false where it would be -1 or 2^32. */
static bool appendix(uint64_t top, uint32_t w, uint32_t seql, uint64_t *n)
{
	uint32_t th = top >> 32, tl = top, bl = tl - w + 1;
	int64_t seqh;

	if (tl >= w - 1)
		seqh = seql >= bl ? (int64_t)th : (int64_t)th + 1;
	else
		seqh = seql >= bl ? (int64_t)th - 1 : (int64_t)th;
	*n = (uint64_t)seqh << 32 | seql;
	return seqh >= 0 && seqh <= 0xffffffff;
}

/* Whoever starts at the end of a lease is understood by whoever saw @sent last. */
static void test_lease_is_inferred(void **state)
{
	static struct pair p;
	uint64_t end, n, have = 0;
	size_t k;
	int i, j;

	(void)state;
	for (k = 0; k < N_KINDS; k++) {
		if (!kinds[k].esn)
			continue;
		for (i = 0; i < 200; i++) {
			uint64_t sent = edge(&kinds[k]);
			uint64_t oseq = sent + (rnd(2) ? 0 : rnd(1U << 31));

			p.r.top = sent;
			p.r.size = kinds[k].size;
			end = oseq < sent ? 0 :
			      xfrmsync_lease_first(oseq, sent, true, rnd(33));
			for (j = 0; end && j < 8; j++) {
				n = j ? sent + 1 + rnd64() % (end - sent) : end;
				compared++;
				assert_true(appendix(sent, p.r.size, n, &have));
				assert_int_equal(have, n);
				assert_false(refuses(&p.r, n));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_advance_adds_up),
		cmocka_unit_test(test_never_unmarks),
		cmocka_unit_test(test_last_number),
		cmocka_unit_test(test_guard),
		cmocka_unit_test(test_lease_is_inferred),
	};
	const char *env = getenv("XFRMSYNC_SEED");
	int failed;

	seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	first_seed = seed;
	printf("# XFRMSYNC_SEED=%llu\n", (unsigned long long)seed);
	failed = cmocka_run_group_tests_name("window, properties", tests, NULL, NULL);
	printf("# %lu numbers were compared\n", compared);
	return failed;
}
