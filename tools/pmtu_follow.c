// SPDX-License-Identifier: GPL-2.0
/*
 * In: the paths of SAs: what this kernel has learned of them (active), what the
 *     active before this node had (a takeover).
 * Out: the SAs' contexts, told anew where it changed; the latter told to this kernel.
 * The daemon's loop; asks the kernel, some paths at a time, each once in a round.
 *
 * No event tells of a path's MTU: the kernel notes it beside the route. So it is
 * asked for, by and by, of the SAs that something was sent by since, or whose path
 * has one that is known: where nothing is sent, nothing is asked. After a takeover
 * those that are known are told to this kernel first, and only then it is asked, as
 * it would not know of them yet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

#define ROUND (5000 * LOOP_MS)		/* from the end of one to the next */
#define LOOK_PAUSE (100 * LOOP_MS)
#define QUESTIONS 64			/* and then a pause */
#define ENTRIES 4096			/* likewise: most have a path that was asked for */
#define TELL_PAUSE (20 * LOOP_MS)
#define TELL_AT_ONCE 64
#define WAIT (250 * LOOP_MS)		/* for an address, a route, or that it is taken */
#define PATIENCE (60000 * LOOP_MS)	/* who moves the address may come later */
#define TRIES 10

static bool is_open(struct daemon *d)
{
	struct pmtu_follow *f = &d->pmtu;
	int ret;

	if (f->known.paths)
		return true;
	ret = pmtu_open(&f->known);
	if (ret && !f->open_failed)
		log_warn("cannot ask for routes (%s): path MTUs are not carried",
			 strerror(-ret));
	f->open_failed = ret;
	return !ret;
}

/* ---- the active ---- */

static unsigned int look_at(struct daemon *d, struct cache_entry *e)
{
	uint32_t mtu = e->pmtu;
	unsigned int asked;

	asked = pmtu_look(&d->pmtu.known, &e->info, &mtu);
	if (mtu != e->pmtu) {
		e->pmtu = mtu;
		peer_mark_entry(d, e, true);
	}
	return asked;
}

/* False: the round is at its end. */
static bool look_at_some(struct daemon *d)
{
	struct pmtu_follow *f = &d->pmtu;
	unsigned int asked = 0, n = 0;
	struct cache_entry *e;

	if (list_empty(&f->round)) {
		list_move_all(&d->cache.path, &f->round);
		pmtu_begin(&f->known);
	}
	while (!list_empty(&f->round) && asked < QUESTIONS && n < ENTRIES) {
		e = container(f->round.next, struct cache_entry, path);
		list_del(&e->path);
		asked += look_at(d, e);
		n++;
		if (e->path_rounds)
			e->path_rounds--;
		if (e->path_rounds || e->pmtu)
			list_add_tail(&e->path, &d->cache.path);
	}
	peer_kick(d);
	if (!list_empty(&f->round))
		return true;
	pmtu_end(&f->known);
	return false;
}

/* The round ends before it is through. */
static void give_back(struct daemon *d)
{
	if (d->pmtu.round.next)
		list_move_all(&d->pmtu.round, &d->cache.path);
}

/* ---- after a takeover ---- */

static void report(const struct pmtu_follow *f)
{
	if (f->applied || f->not_needed)
		log_info("path MTUs of the active before: %zu are in use here, %zu paths have a smaller one or the same here",
			 f->applied, f->not_needed);
	if (f->failed)
		log_warn("path MTUs of the active before: %zu are not in use here (%s): what is too big for these paths is lost until a router says so",
			 f->failed, pmtu_why(f->why));
}

static void forget_due(struct pmtu_follow *f)
{
	free(f->due);
	f->due = NULL;
	f->n_due = 0;
	f->at = 0;
	f->applied = 0;
	f->not_needed = 0;
	f->failed = 0;
}

/* Who moves the role moves these, too, sooner or later. */
static bool may_come(int ret)
{
	return ret == -EADDRNOTAVAIL || ret == -ENETUNREACH ||
	       ret == -EHOSTUNREACH;
}

/* True: it stays, for another time. */
static bool tell(struct daemon *d, struct pmtu_due *due)
{
	struct pmtu_follow *f = &d->pmtu;
	int ret = pmtu_tell(&f->known, &due->sa, due->mtu);

	if (may_come(ret) && loop_now_ns() < f->until_ns)
		return true;
	if (ret == PMTU_NOT_YET && ++due->tries < TRIES)
		return true;
	if (ret == PMTU_APPLIED) {
		f->applied++;
	} else if (ret == PMTU_NOT_NEEDED) {
		f->not_needed++;
	} else {
		f->failed++;
		f->why = ret;
	}
	return false;
}

/* When to go on. */
static uint64_t tell_some(struct daemon *d)
{
	struct pmtu_follow *f = &d->pmtu;
	size_t n = f->n_due < TELL_AT_ONCE ? f->n_due : TELL_AT_ONCE;
	bool moved = false;

	while (n--) {
		if (f->at >= f->n_due)
			f->at = 0;
		if (tell(d, &f->due[f->at])) {
			f->at++;
			continue;
		}
		f->due[f->at] = f->due[--f->n_due];
		moved = true;
	}
	if (f->n_due)
		return moved ? TELL_PAUSE : WAIT;
	report(f);
	forget_due(f);
	return TELL_PAUSE;
}

/* One SA of each path stands for all. */
static size_t collect(struct daemon *d, struct pmtu_due *due)
{
	struct pmtu_follow *f = &d->pmtu;
	struct cache_entry *e;
	size_t n = 0;

	pmtu_begin(&f->known);
	cache_for_each(&d->cache, e) {
		if (!e->pmtu || !pmtu_is_first(&f->known, &e->info, e->pmtu))
			continue;
		due[n++] = (struct pmtu_due){ .sa = e->info, .mtu = e->pmtu };
	}
	return n;
}

void pmtu_taken_over(struct daemon *d)
{
	struct pmtu_follow *f = &d->pmtu;
	struct cache_entry *e;
	size_t n = 0;

	forget_due(f);
	give_back(d);
	cache_for_each(&d->cache, e)
		n += !!e->pmtu;
	if (!n || !is_open(d))
		return;
	f->due = calloc(n, sizeof(*f->due));
	if (!f->due) {
		log_err("out of memory: path MTUs are not carried");
		return;
	}
	f->n_due = collect(d, f->due);
	f->until_ns = loop_now_ns() + PATIENCE;
}

/* ---- both ---- */

static void due(struct loop_timer *t)
{
	struct daemon *d = t->data;
	struct pmtu_follow *f = &d->pmtu;
	uint64_t next = ROUND;

	if (!role_is_active(d))
		return;
	if (is_open(d)) {
		if (f->n_due)
			next = tell_some(d);
		else if (look_at_some(d))
			next = LOOK_PAUSE;
	}
	loop_timer_set(&d->loop, t, next);
}

void pmtu_follow_start(struct daemon *d)
{
	struct pmtu_follow *f = &d->pmtu;

	if (!f->round.next)
		list_init(&f->round);
	f->timer.cb = due;
	f->timer.data = d;
	loop_timer_set(&d->loop, &f->timer, 0);
}

void pmtu_follow_stop(struct daemon *d)
{
	struct pmtu_follow *f = &d->pmtu;

	loop_timer_stop(&f->timer);
	pmtu_close(&f->known);
	give_back(d);
	if (!role_is_active(d))
		forget_due(f);
}

size_t pmtu_follow_count(const struct daemon *d)
{
	const struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e)
		n += !!e->pmtu;
	return n;
}

void pmtu_follow_exit(struct daemon *d)
{
	pmtu_follow_stop(d);
	forget_due(&d->pmtu);
}
