// SPDX-License-Identifier: GPL-2.0
/*
 * In: a peer that was active, and has lost the numbers that it drew then; SAs that go.
 * Out: SAs that are not safe any more, and that IKE is asked to rekey; what is lost here.
 * The daemon's loop; asks the kernel, blocks on the disk.
 *
 * A peer that was active says what it drew before it acknowledges a lease (USED), so
 * that nobody draws it again. One that was rebooted cannot. Where this node's own
 * counters do not account for that peer's time (chain.h), nobody knows which numbers
 * were used: what existed when this is found, and had been told to anybody, is offered
 * to nobody any more. Cookies rise, so one number on disk tells what it was.
 *
 * What was drawn on an SA goes with it, too. A peer that is filled knows that it goes,
 * and stands past all that was drawn anyway. One that is not may have it, and be the
 * next active: as if this node had been rebooted, then, and said so by the same word.
 */
#include <string.h>

#include "daemon.h"
#include "log.h"

static bool is_in(const struct daemon *d, const struct record *rec)
{
	return (rec->flags & XFRMSYNC_RECORD_F_SHARED || rec->lease_end) &&
	       d->st.holes && rec->cookie <= d->st.holes;
}

static void ask_some(struct daemon *d)
{
	struct cache_entry *e;
	bool again = false;
	size_t n = 0;

	cache_for_each(&d->cache, e) {
		if (!e->hole || e->rekey_asked)
			continue;
		again |= n++ == EXPIRE_AT_ONCE;
		if (n > EXPIRE_AT_ONCE)
			break;
		/* One that is stopped, or fenced, was asked for by the module. */
		e->rekey_asked =
			!xfrm_is_unasked(xfrm_expire_sa(&d->xfrm, &e->id));
		again |= !e->rekey_asked;
	}
	if (again)
		loop_timer_set(&d->loop, &d->hole_timer, EXPIRE_PAUSE);
}

static void due(struct loop_timer *t)
{
	struct daemon *d = t->data;
	bool untold = d->hole_untold;

	d->hole_untold = false;
	if (!role_is_active(d))
		return;
	/* Others do not know yet what is accounted for now. */
	if (untold && d->n_peers > 1) {
		peer_announce(d);
		peer_refill(d);
	}
	ask_some(d);
}

static void ask_soon(struct daemon *d)
{
	d->hole_timer.cb = due;
	d->hole_timer.data = d;
	if (!d->hole_timer.at_ns)
		loop_timer_set(&d->loop, &d->hole_timer, LOOP_MS);
}

static void mark(struct cache_entry *e, uint64_t cap)
{
	e->hole = true;
	e->hole_cap = cap;
	e->rekey_asked = false;
}

void hole_entry(struct daemon *d, struct cache_entry *e,
		const struct record *rec)
{
	/* Asked for while it was no active, or in vain. */
	if (e->hole && !e->rekey_asked)
		ask_soon(d);
	if (e->hole || !is_in(d, rec))
		return;
	/* Found by the daemon before this one: the module has its limit. */
	mark(e, rec->guard_end);
	ask_soon(d);
}

static bool was_told(const struct daemon *d, const struct cache_entry *e)
{
	return lease_was_offered(d, e) || e->shared || e->lease_end ||
	       e->rec.flags & XFRMSYNC_RECORD_F_SHARED;
}

/* Up to where that peer, too, counted all as seen when it was heard of last. */
static uint64_t covered(const struct daemon *d, const struct cache_entry *e)
{
	uint64_t limit = inbound_limit(d, e);

	return limit == GUARD_NO_LIMIT ? e->rec.seq : limit;
}

/* Of what is read already; the others are looked at when they are. */
static size_t mark_all(struct daemon *d)
{
	struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e) {
		if (!e->cookie || e->cookie > d->st.holes || !was_told(d, e))
			continue;
		n++;
		mark(e, covered(d, e));
		lease_follow(d, e);
		inbound_limit_again(d, e);
	}
	return n;
}

/* Where it cannot be stored the next daemon finds it once more. */
static void keep(struct daemon *d, struct state *next)
{
	int ret = state_store(d->conf.state_dir, next);

	if (ret)
		log_err("cannot store in %s what is accounted for: %s",
			d->conf.state_dir, strerror(-ret));
	d->st = *next;
}

bool hole_is_news(const struct daemon *d, const struct peer *p)
{
	return p->lost && !chain_has(&d->st.chain, p->lost, p->node_id);
}

bool hole_look(struct daemon *d, const struct peer *p)
{
	struct state next = d->st;
	size_t n;

	if (!hole_is_news(d, p))
		return true;
	if (members_highest(d, &next.holes)) {
		log_err("peer %s: cannot list the SAs that it may have used: %s; it is told nothing before",
			p->name, d->req.error);
		return false;
	}
	chain_add(&next.chain, p->lost, p->node_id);
	keep(d, &next);
	n = mark_all(d);
	log_warn("peer %s: was active in epoch %llu, and has lost the numbers that it used: %zu SAs are not safe, and renewed no more, until they are rekeyed",
		 p->name, (unsigned long long)p->lost, n);
	d->hole_untold = true;
	ask_soon(d);
	return true;
}

void hole_filled(struct daemon *d, const struct peer *p)
{
	struct state next = d->st;

	/* What it has lost of before was looked at when this snapshot began. */
	if (!p->own || chain_has(&d->st.chain, p->own, p->node_id))
		return;
	chain_add(&next.chain, p->own, p->node_id);
	keep(d, &next);
	/* Those who were filled before it would not know, if they took over. */
	d->hole_untold = true;
	ask_soon(d);
}

void hole_use(const struct daemon *d, struct state *next)
{
	size_t i;

	next->holes = 0;
	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].lost)
			chain_add(&next->chain, d->peer[i].lost,
				  d->peer[i].node_id);
	}
}

/* Once in an epoch: from then on all that it drew since counts as lost. */
static void lose(struct daemon *d, const struct cache_entry *e)
{
	struct state next = d->st;
	char name[128];

	if (!d->st.own || d->st.lost == d->st.own)
		return;
	next.lost = next.own;
	log_info("%s: gone, with what this node drew on it: a peer that was not filled since epoch %llu, and becomes active, has all its SAs rekeyed",
		 sa_id_str(&e->id, name, sizeof(name)),
		 (unsigned long long)next.own);
	keep(d, &next);
}

static bool all_filled(const struct daemon *d)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (!peer_is_filled(&d->peer[i]))
			return false;
	}
	return true;
}

void hole_gone(struct daemon *d, const struct cache_entry *e)
{
	/* Not of this kernel; or nobody else ever had it. */
	if (!e->cookie || !was_told(d, e))
		return;
	if (e->orphan || !all_filled(d))
		lose(d, e);
}

void hole_drawn_gone(struct daemon *d, const struct cache_entry *e)
{
	/* The active knows; a third node may not. */
	if (e->drawn && d->n_peers > 1)
		lose(d, e);
}

void hole_forget(struct daemon *d)
{
	struct cache_entry *e;

	d->st.holes = 0;
	cache_for_each(&d->cache, e) {
		if (!e->hole)
			continue;
		e->hole = false;
		if (!role_is_active(d))
			continue;
		lease_follow(d, e);
		inbound_limit_again(d, e);
	}
}
