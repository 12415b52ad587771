// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs that send, are granted leases, and are taken over at random; daemons that
 *	start anew.
 * Out: no lease, and no range of a peer, breaks a rule of RFC 4303 or meets another.
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
#include <linux/xfrmsync.h>

#include "../../kmod/lease.h"
#include "cache.h"
#include "daemon.h"
#include "wire.h"

#define ROOM XFRMSYNC_LEASE_HEADROOM
#define LAST32 0xffffffffULL
#define HALF (1ULL << 31)

static uint64_t first_seed, seed;
static unsigned long leases, takeovers, ranges;

static uint64_t rnd64(void)
{
	uint64_t high;

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	high = seed >> 32;
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return high << 32 | seed >> 32;
}

static uint64_t rnd(uint64_t below)
{
	return rnd64() % below;
}

#define must(what) do {							\
	if (!(what))							\
		fail_msg("XFRMSYNC_SEED=%llu: not true: %s",		\
			 (unsigned long long)first_seed, #what);	\
} while (0)

/* Counters near every border that a lease has, or anywhere. */
static uint64_t edge(bool esn)
{
	const uint64_t bases[] = { 0, ROOM, LAST32 - 2 * ROOM, LAST32 - ROOM,
				   HALF, LAST32, 7 * (LAST32 + 1), ~0ULL - 2 * ROOM,
				   ~0ULL - ROOM };
	uint64_t n = rnd(4) ? bases[rnd(9)] + rnd(2 * ROOM) - ROOM : rnd64();

	if (rnd(3) == 0)
		n = rnd(10);
	return esn ? n : n & LAST32;
}

/* What any lease must keep to. */
static void sound(uint64_t oseq, uint64_t sent, bool esn, uint64_t end)
{
	leases++;
	must(end > oseq);
	must(end - oseq > ROOM);
	must(!esn || end - sent < HALF);
	must(esn || end <= LAST32 - ROOM);
	must(end <= ~0ULL - ROOM);
}

static void test_any_lease(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 300000; i++) {
		bool esn = rnd(2);
		uint64_t oseq = edge(esn), sent = rnd(2) ? oseq : edge(esn);
		unsigned int log2 = rnd(70);
		uint64_t end = xfrmsync_lease_first(oseq, sent, esn, log2);

		if (!end)
			continue;
		must(sent <= oseq && log2 < 64);
		sound(oseq, sent, esn, end);
		/* No more than was asked for; and less only at a border. */
		must(end - oseq - ROOM <= 1ULL << log2);
		must(end - oseq - ROOM == 1ULL << log2 ||
		     end == (esn ? ~0ULL : LAST32) - ROOM ||
		     (esn && end - sent == HALF - 1 - ROOM));
	}
}

/* A refusal has a reason: the border is really there. */
static void test_any_refusal(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 300000; i++) {
		bool esn = rnd(2);
		uint64_t oseq = edge(esn), sent = oseq - rnd(rnd(2) ? HALF : 9);

		if (sent > oseq || xfrmsync_lease_first(oseq, sent, esn, rnd(31)))
			continue;
		must(oseq + 2 * ROOM >= (esn ? ~0ULL : LAST32) ||
		     oseq + 2 * ROOM < oseq ||
		     (esn && oseq - sent + 2 * ROOM >= HALF - 1));
	}
}

/* The active draws numbers, the last ones perhaps for the segments of a GSO packet. */
static uint64_t draw(uint64_t oseq, uint64_t end)
{
	const uint64_t stops = end - ROOM;

	if (oseq >= stops)
		return oseq;
	oseq += rnd(4) ? rnd(stops - oseq + 1) : stops - oseq;
	return rnd(4) ? oseq : oseq + rnd(ROOM);
}

/* One term of an active: what it sent last is *sent, its lease's end comes back. */
static uint64_t term(uint64_t oseq, uint64_t *sent, bool esn, unsigned int log2)
{
	uint64_t end = 0, more;
	int i, renewals = rnd(3), idle = rnd(3);

	for (i = 0; i <= renewals; i++) {
		more = xfrmsync_lease_first(oseq, *sent, esn, log2);
		if (!more)
			break;		/* goes on in the one it has, or is rekeyed */
		sound(oseq, *sent, esn, more);
		if (more > end)
			end = more;
		if (!idle)
			continue;
		more = draw(oseq, end);
		must(more <= end);
		must(more >= oseq);
		if (more > oseq)
			*sent = more;
		oseq = more;
	}
	return end;
}

/*
 * One SA over many takeovers: whoever is next starts at the end of the lease. Sent by
 * the last one is what it says, or what is known from the one before.
 */
static void test_takeovers(void **state)
{
	uint64_t start, end, sent, known, truth;
	unsigned int log2;
	int i, j;
	bool esn;

	(void)state;
	for (i = 0; i < 4000; i++) {
		esn = rnd(2);
		log2 = 4 + rnd(27);
		start = edge(esn);
		known = start;
		truth = start;
		for (j = 0; j < 200; j++) {
			sent = known;
			end = term(start, &sent, esn, log2);
			if (!end)
				break;
			takeovers++;
			/* It drew none that was drawn before, nor one past its lease. */
			must(sent == known || sent > start);
			must(start >= truth && end >= sent && end > start);
			if (sent > truth)
				truth = sent;
			must(!esn || end - truth < HALF);
			if (rnd(2))
				known = sent;
			start = end;
		}
	}
}

/* --- ranges by rank: what the daemon gives its peers ------------------------------- */

struct held {
	uint64_t start, end;
	uint64_t given;		/* as far as that peer was told */
};

static unsigned long restarts;

/* No two may start at the same number, nor where the active still draws. */
static void disjoint(const struct held *held, size_t n, uint64_t in_force)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		if (!held[i].end)
			continue;
		must(held[i].start >= in_force);
		must(held[i].end > held[i].start);
		for (j = 0; j < i; j++)
			must(!held[j].end || held[j].end <= held[i].start ||
			     held[i].end <= held[j].start);
	}
}

static void send_some(struct cache_entry *e)
{
	uint64_t may = e->lease_end > ROOM ? e->lease_end - ROOM : 0;

	if (may <= e->rec.oseq)
		return;
	e->rec.oseq += rnd(3) ? rnd(may - e->rec.oseq + 1) : may - e->rec.oseq;
	e->sent = e->rec.oseq;
}

/* What the module keeps of it: written before anything is told. */
static void bind_to(struct record *kernel, struct cache_entry *e)
{
	must(e->given >= kernel->given_end);
	must(e->lease_end >= kernel->lease_end);
	kernel->given_end = e->given;
	kernel->lease_end = e->lease_end;
	kernel->flags |= XFRMSYNC_RECORD_F_SHARED;
	kernel->oseq = e->rec.oseq;
	e->bound = true;
}

/* Another daemon of this node: it has the module's word, and no other. */
static struct cache_entry *start_anew(struct daemon *d, struct cache_entry *e,
				      const struct record *kernel)
{
	struct context_sa info = e->info;
	uint64_t oseq = e->rec.oseq;

	restarts++;
	cache_remove(&d->cache, e);
	e = cache_add(&d->cache, &info, (void *)"key", 3, 0);
	assert_non_null(e);
	e->rec = *kernel;
	e->rec.oseq = oseq;
	e->sent = oseq;
	lease_unknown(d, e, kernel);
	return e;
}

/* One peer is told its range; the message, or its answer, may be lost. */
static void tell(struct daemon *d, struct cache_entry *e, int i, struct held *held)
{
	struct wire_sa sa = { 0 };

	if (!lease_offer(d, e, &d->peer[i], &sa) || !sa.lease_end)
		return;
	ranges++;
	must(sa.range_end <= e->given && e->given <= sa.given_end);
	must(!e->info.esn || sa.range_end - e->sent < HALF);
	must(e->info.esn || sa.range_end <= LAST32 - ROOM);
	if (rnd(4) == 0) {
		/* What it says then is about the one before. */
		if (held[i].end)
			lease_acked(d, &d->peer[i], e->handle, held[i].start);
		return;
	}
	held[i] = (struct held){ sa.lease_end, sa.range_end, sa.given_end };
	disjoint(held, d->conf.n_peers, e->lease_end);
	if (rnd(4))
		lease_acked(d, &d->peer[i], e->handle, sa.lease_end);
}

/* Whoever has a range knows of all others, and of those that it has not heard of. */
static void all_know(const struct cache_entry *e, const struct held *held, size_t n)
{
	size_t i;

	for (i = 0; i < n && n > 1; i++)
		must(!held[i].end || held[i].given >= e->given);
}

static struct cache_entry *walk_start(struct daemon *d)
{
	struct context_sa info = { .id = { .family = AF_INET, .proto = 50,
					   .spi = 256 } };
	struct cache_entry *e;
	size_t i;

	memset(d, 0, sizeof(*d));
	d->conf.n_peers = 1 + rnd(CONF_MAX_PEERS);
	d->n_peers = d->conf.n_peers;
	d->conf.lease.esn_log2 = 4 + rnd(27);
	d->conf.lease.log2 = 4 + rnd(21);
	d->leasing = true;
	for (i = 0; i < d->n_peers; i++) {
		d->peer[i].d = d;
		d->peer[i].index = i;
	}
	info.esn = rnd(2);
	assert_int_equal(cache_init(&d->cache), 0);
	e = cache_add(&d->cache, &info, (void *)"key", 3, 0);
	assert_non_null(e);
	e->rec.dir = XFRMSYNC_DIR_OUT;
	e->rec.oseq = rnd(2) ? 0 : edge(info.esn) >> 1;
	e->sent = e->rec.oseq;
	return e;
}

/* Daemons that start anew, each more often than leases are renewed, or none. */
static void walk(bool anew)
{
	static struct daemon d;

	struct cache_entry *e = walk_start(&d);
	struct record kernel = e->rec;
	struct held held[CONF_MAX_PEERS] = { { 0, 0, 0 } };
	int step;

	for (step = 0; step < 300 && !e->unsafe; step++) {
		lease_follow(&d, e);
		disjoint(held, d.conf.n_peers, e->lease_end);
		if (!e->bound)
			bind_to(&kernel, e);
		tell(&d, e, rnd(d.n_peers), held);
		if (!e->bound)
			bind_to(&kernel, e);
		send_some(e);
		disjoint(held, d.conf.n_peers, e->lease_end);
		if (anew && !rnd(3))
			e = start_anew(&d, e, &kernel);
		else if (!anew)
			all_know(e, held, d.conf.n_peers);
	}
	cache_exit(&d.cache);
}

static void test_ranges(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 400; i++)
		walk(false);
}

static void test_ranges_anew(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 400; i++)
		walk(true);
}

/* Nothing stops one at its end, or tells in time what it accepted. */
static void test_no_hook(void **state)
{
	static const uint8_t dirs[] = { XFRMSYNC_DIR_UNKNOWN, XFRMSYNC_DIR_IN,
					XFRMSYNC_DIR_OUT };
	static struct daemon d;
	struct cache_entry *e;
	size_t i;

	(void)state;
	memset(&d, 0, sizeof(d));
	d.no_hook = true;
	d.leasing = true;
	d.conf.lease.esn_log2 = 30;
	d.conf.lease.log2 = 24;
	assert_int_equal(cache_init(&d.cache), 0);
	for (i = 0; i < 3; i++) {
		struct context_sa info = { .id = { .family = AF_INET, .proto = 50,
						   .spi = 256 + i } };

		e = cache_add(&d.cache, &info, (void *)"key", 3, 0);
		assert_non_null(e);
		e->rec.dir = dirs[i];
		lease_follow(&d, e);
		assert_non_null(e->unsafe);
		assert_int_equal(e->offer, 0);
	}
	cache_exit(&d.cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_lease),
		cmocka_unit_test(test_any_refusal),
		cmocka_unit_test(test_takeovers),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_ranges_anew),
		cmocka_unit_test(test_no_hook),
	};
	const char *env = getenv("XFRMSYNC_SEED");
	int failed;

	seed = env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	first_seed = seed;
	printf("# XFRMSYNC_SEED=%llu\n", (unsigned long long)seed);
	failed = cmocka_run_group_tests_name("lease, properties", tests, NULL, NULL);
	printf("# %lu leases, %lu takeovers, %lu ranges, %lu daemons\n", leases, takeovers,
	       ranges, restarts);
	return failed;
}
