// SPDX-License-Identifier: GPL-2.0
/*
 * In: numbers that this node, the active, has drawn; what peers acknowledged.
 * Out: leases: set in the module, offered to the peers, granted by all of them.
 * The daemon's loop.
 *
 * The first lease of an SA is in force in the module before anybody is offered
 * it. A later one is offered first, and in force only when each peer that was
 * ever offered one of this SA has raised its own counter to the end and said so.
 * So whoever takes over starts past all that was sent. An SA that went on past
 * the end of its lease, where the setting says so, is not safe ever after.
 */
#include <string.h>

#include "../kmod/lease.h"
#include "daemon.h"
#include "log.h"

#define NAMED 20	/* in the log, within a minute; status counts them all */
#define NAMED_MS 60000
#define LEASE_MIN_LOG2 4	/* conf.c's smallest, too */
#define REACH ((1ULL << 31) - 1 - XFRMSYNC_LEASE_HEADROOM)

static const char FENCED_HERE[] = "it is fenced on this node: rekey it, or takeover --force-unsafe";
static const char HOLE[] = "a node that was active unheard has lost the numbers that it used: rekey it";

/* True for an SA that has received and, as far as is known, never sent. */
static bool is_inbound(const struct cache_entry *e)
{
	return e->rec.dir == XFRMSYNC_DIR_IN ||
	       (e->rec.dir != XFRMSYNC_DIR_OUT && !e->sent && e->rec.seq);
}

static const struct conf_lease *settings(const struct daemon *d,
					 const struct cache_entry *e)
{
	const struct context_sa *i = &e->info;

	return conf_lease_of(&d->conf, i->id.family, i->src, i->id.dst,
			     i->reqid, i->if_id, i->id.mark, i->id.mark_mask);
}

/*
 * What a receiver can bridge is less than 2^31 from the last number that it saw
 * to the end of the last range. An SA that was taken over and has not sent since
 * is ahead by its jump: half of what is left stays for those who are next. With
 * several peers there are ranges of this offer and of the one before (room).
 */
static unsigned int size_log2(const struct daemon *d,
			      const struct cache_entry *e, uint64_t from)
{
	uint64_t ahead = from - e->sent;
	uint64_t need = d->conf.n_peers > 1 ? 4 : ahead ? 2 : 1;
	const struct conf_lease *l = settings(d, e);
	unsigned int log2;

	if (!e->info.esn)
		return l->log2;
	log2 = l->esn_log2;
	while (log2 > LEASE_MIN_LOG2 &&
	       ahead + need * ((1ULL << log2) + XFRMSYNC_LEASE_HEADROOM) > REACH)
		log2--;
	return log2;
}

/*
 * How far one peer may go on its own. A new offer must not overlap what another
 * peer was given with the last one, and has not given up yet: so it starts above
 * all that was given out. Leases move by half at least: with ranges that are
 * small enough, what is given out does not run away from them.
 */
static uint64_t range_size(uint64_t n, unsigned int log2)
{
	uint64_t size = 1ULL << log2;

	return (n > 1 ? size / (2 * n) + 1 : size) + XFRMSYNC_LEASE_HEADROOM;
}

/* Past n more numbers, of those that the SA has. */
static uint64_t past(const struct cache_entry *e, uint64_t number, uint64_t n)
{
	const uint64_t last = e->info.esn ? UINT64_MAX : UINT32_MAX;

	return number > last || last - number < n ? last : number + n;
}

/*
 * A range for each peer, behind the end of the lease that is offered or in force and
 * above all that was given out before, by whichever node. They stay where they are
 * as long as that end does: who is told twice is told the same. The module has to
 * know of them before anybody does: the next daemon goes on above them.
 */
static void lay_out(struct daemon *d, struct cache_entry *e)
{
	uint64_t n = d->conf.n_peers, end = e->offer ? e->offer : e->lease_end;
	uint64_t to;

	if (!d->leasing || !n || !end || e->given_for == end)
		return;
	e->given_for = end;
	e->given_from = end;
	/* A peer that was removed keeps what it was given. */
	if ((n > 1 || e->orphan || e->apart) && e->given > end)
		e->given_from = e->given;
	e->range = range_size(n, size_log2(d, e, n > 1 ? e->rec.oseq : end));
	to = past(e, e->given_from, n * e->range);
	if (to <= e->given)
		return;
	e->given = to;
	cache_unbind(&d->cache, e);
	d->bind_due = true;
}

/*
 * Up to where numbers may have been given out when a peer that is told this takes
 * over: with this offer; with the next one, which the others may have had first; and
 * by a hand-over that failed, to this node itself.
 */
static uint64_t may_be_given(const struct daemon *d,
			     const struct cache_entry *e)
{
	unsigned int log2 = size_log2(d, e, e->sent);
	uint64_t n = d->conf.n_peers;

	if (n < 2)
		return e->given;
	return past(e, e->given, (1ULL << log2) + XFRMSYNC_LEASE_HEADROOM +
				 n * range_size(n, log2));
}

/* Numbers that may still be used. */
static uint64_t left(const struct cache_entry *e)
{
	uint64_t end = e->lease_end - XFRMSYNC_LEASE_HEADROOM;

	return e->lease_end && end > e->rec.oseq ? end - e->rec.oseq : 0;
}

bool lease_goes_on(const struct daemon *d, const struct cache_entry *e)
{
	return settings(d, e)->exhausted == CONF_EXHAUSTED_CONTINUE;
}

static void set_unsafe(struct daemon *d, struct cache_entry *e, const char *why)
{
	char name[128];

	if (e->unsafe)
		return;
	cache_set_unsafe(&d->cache, e, why);
	/* What they have in common was said once, for all of them. */
	if (why != FENCED_HERE && why != HOLE)
		log_warn("%s: %s; a takeover will not use it",
			 sa_id_str(&e->id, name, sizeof(name)), why);
	peer_mark_entry(d, e, true);
}

static bool stands(const struct cache_entry *e)
{
	return e->rec.flags & XFRMSYNC_RECORD_F_STOPPED;
}

/* One line for all that are more than a log can bear: they may be very many. */
static bool may_name(struct daemon *d)
{
	uint64_t now = loop_now_ns();

	if (!d->ends_ns || now - d->ends_ns >= NAMED_MS * LOOP_MS) {
		d->ends_ns = now;
		d->ends_named = 0;
	}
	if (d->ends_named == NAMED)
		log_warn("... and more SAs stop at the end of their lease, or go on: see status");
	return d->ends_named++ < NAMED;
}

/* What an SA does at its lease's end the module decides, and the stream tells. */
static void note_end(struct daemon *d, struct cache_entry *e)
{
	char name[128];

	if (e->stopped == stands(e))
		return;
	e->stopped = stands(e);
	if (!may_name(d))
		return;
	sa_id_str(&e->id, name, sizeof(name));
	if (e->stopped)
		log_warn("%s: stopped at the end of its lease, until another one is acknowledged, or it is rekeyed", name);
	else
		log_info("%s: goes on, after it had stopped at the end of its lease", name);
}

size_t lease_count_stopped(const struct daemon *d)
{
	const struct cache_entry *e;
	size_t n = 0;

	if (!role_is_active(d))
		return 0;
	cache_for_each(&d->cache, e)
		n += stands(e);
	return n;
}

/* To the module, which refuses what the counter has passed meanwhile. */
static void put_in_force(struct daemon *d, struct cache_entry *e, uint64_t end)
{
	/* Those who were offered it know it already. */
	if (!e->offer || e->unsafe)
		peer_mark_entry(d, e, true);
	e->lease_end = end;
	e->offer = 0;
	cache_set_unsafe(&d->cache, e, NULL);
	e->shared = true;
	cache_unbind(&d->cache, e);
	d->bind_due = true;
}

static bool all_raised(const struct daemon *d, const struct cache_entry *e)
{
	size_t i;

	for (i = 0; i < d->conf.n_peers; i++) {
		if (e->mark[i].lease.offered &&
		    e->mark[i].lease.acked_end < e->offer)
			return false;
	}
	return !e->orphan;
}

bool lease_was_offered(const struct daemon *d, const struct cache_entry *e)
{
	size_t i;

	for (i = 0; i < d->conf.n_peers; i++) {
		if (e->mark[i].lease.offered)
			return true;
	}
	return e->orphan;
}

void lease_refused(struct daemon *d, struct cache_entry *e)
{
	struct record rec;

	/* The counter passed it meanwhile, and may stand still now: look. Nothing of
	 * what came with it is in the module, either.
	 */
	cache_unbind(&d->cache, e);
	e->lease_end = e->rec.lease_end;
	if (genl_get(&d->req, &e->id, &rec) || rec.cookie != e->cookie)
		return;
	cache_note_record(e, &rec);
	e->lease_end = rec.lease_end;
	if (rec.given_end > e->given) {
		e->given = rec.given_end;
		e->given_for = 0;
	}
	d->bind_due = true;
	lease_follow(d, e);
	source_pull_soon(d);
}

/* False where no lease keeps to its end: there is nothing to renew. */
static bool may_lease(struct daemon *d, struct cache_entry *e)
{
	if (e->info.packet_offload) {
		set_unsafe(d, e, READY_PACKET_OFFLOAD);
		return false;
	}
	if (e->rec.flags & XFRMSYNC_RECORD_F_FENCED) {
		set_unsafe(d, e, FENCED_HERE);
		return false;
	}
	if (e->unsafe == FENCED_HERE || (e->unsafe == HOLE && !e->hole)) {
		cache_set_unsafe(&d->cache, e, NULL);
		peer_mark_entry(d, e, true);
	}
	if (e->hole) {
		e->offer = 0;
		set_unsafe(d, e, HOLE);
		return false;
	}
	if (e->rec.dir == XFRMSYNC_DIR_IN) {
		if (d->no_hook)
			set_unsafe(d, e, READY_NO_HOOK);
		return false;
	}
	if (e->rec.lease_end > e->lease_end)
		e->lease_end = e->rec.lease_end;
	if (e->rec.given_end > e->given)
		e->given = e->rec.given_end;
	/* What the peers were offered, it may have used. A rekey alone heals it. */
	if (e->rec.flags & XFRMSYNC_RECORD_F_OVERRUN) {
		e->offer = 0;
		set_unsafe(d, e, "it went on past the end of its lease, rekey it");
		return false;
	}
	if (d->no_hook)
		set_unsafe(d, e, READY_NO_HOOK);
	return !d->no_hook;
}

static void renew(struct daemon *d, struct cache_entry *e)
{
	unsigned int log2;
	uint64_t end;

	/* One that nobody was ever offered has no limit. */
	if ((!e->lease_end && !d->leasing) || e->offer)
		return;
	log2 = size_log2(d, e, e->rec.oseq);
	if (left(e) > 1ULL << (log2 - 1))
		return;
	end = xfrmsync_lease_first(e->rec.oseq, e->sent, e->info.esn, log2);
	if (!end && !is_inbound(e) && !left(e))
		set_unsafe(d, e, "no lease is possible at this number, rekey it");
	/* Near the end of all numbers there is little to gain: not each time. */
	if (!end || (left(e) && end <= e->lease_end + (1ULL << (log2 - 2))))
		return;
	if (!e->lease_end && !lease_was_offered(d, e)) {
		put_in_force(d, e, end);
		return;
	}
	e->offer = end;
	peer_mark_entry(d, e, true);
	if (all_raised(d, e))
		put_in_force(d, e, end);
}

/*
 * Peers are told all there is, with a lease or without; and what one was told it may
 * use, acknowledged or not, and delete. So it is the cluster's from before its first
 * frame on, and the module remembers that beyond this daemon: else it would stay
 * here when the one that used it has no such SA any more, and be used again.
 */
static void note_shared(struct daemon *d, struct cache_entry *e)
{
	if (!d->leasing || e->shared)
		return;
	e->shared = true;
	cache_unbind(&d->cache, e);
	d->bind_due = true;
}

void lease_follow(struct daemon *d, struct cache_entry *e)
{
	note_end(d, e);
	note_shared(d, e);
	if (!may_lease(d, e))
		return;
	renew(d, e);
	lay_out(d, e);
}

void lease_acked(struct daemon *d, struct peer *p, uint32_t handle,
		 uint64_t end)
{
	struct cache_entry *e = cache_find_handle(&d->cache, handle);
	struct mark *m;

	if (!e || !handle)
		return;
	m = &e->mark[p->index];
	/* It raised to the start of its own range, which its rank moves. */
	if (end < m->lease.offered_start || !m->lease.offered)
		return;
	if (m->lease.offered_end > m->lease.acked_end)
		m->lease.acked_end = m->lease.offered_end;
	if (!e->offer || !all_raised(d, e))
		return;
	put_in_force(d, e, e->offer);
}

/* It was active, too, while the link was cut. Before its LEASE_ACK comes: until
 * then ours is limited to what was never its.
 */
void lease_used(struct daemon *d, const struct peer *p, uint32_t handle,
		uint64_t tag, uint64_t number)
{
	struct cache_entry *e = cache_find_handle(&d->cache, handle);
	struct genl_result res = {};
	struct record rec = {};
	char name[128];

	if (!e || !handle || e->tag != tag || number <= e->rec.oseq)
		return;
	rec.id = e->id;
	rec.tag = tag;
	rec.oseq = number;
	rec.window = e->info.window;	/* whose place and bits stay */
	rec.flags = e->rec.flags & (XFRMSYNC_RECORD_F_ESN | XFRMSYNC_RECORD_F_BMP);
	rec.restore_flags = XFRMSYNC_RESTORE_F_MERGE;
	if (!genl_restore(&d->req, d->st.epoch, d->st.node, &rec, 1, &res) &&
	    (!res.reason || res.reason == XFRMSYNC_REASON_NO_SA)) {
		source_pull_soon(d);
		return;
	}
	e->orphan = true;
	log_warn("%s: peer %s has sent on it meanwhile, and the counter cannot be raised (%s): its lease is not renewed, rekey it",
		 sa_id_str(&e->id, name, sizeof(name)), p->name,
		 res.reason ? genl_reason_str(res.reason) : d->req.error);
}

/* An active before this node has given out more than this node was told. What it has
 * laid out here meets that, though it may end above.
 */
void lease_given(struct daemon *d, const struct peer *p, uint32_t handle,
		 uint64_t tag, uint64_t number)
{
	struct cache_entry *e = cache_find_handle(&d->cache, handle);

	if (!e || !handle || e->tag != tag || !e->given_for ||
	    number <= e->given_from + p->index * e->range ||
	    (!e->info.esn && number > UINT32_MAX))
		return;
	if (number > e->given)
		e->given = number;
	e->given_for = 0;
	e->apart = true;
	cache_unbind(&d->cache, e);
	d->bind_due = true;
	lay_out(d, e);
	peer_mark_entry(d, e, true);
}

bool lease_offer(struct daemon *d, struct cache_entry *e, struct peer *p,
		 struct wire_sa *sa)
{
	uint64_t end = e->offer ? e->offer : e->lease_end, start;
	struct mark *m = &e->mark[p->index];

	sa->lease_end = 0;
	sa->range_end = 0;
	sa->given_end = 0;
	if (e->info.packet_offload || e->rec.flags & XFRMSYNC_RECORD_F_FENCED)
		return false;
	/* What that peer accepted is lost, too: inbound ones as well. */
	if (e->hole)
		return false;
	if (!end || !e->bound || e->unsafe || e->given_for != end ||
	    e->rec.dir == XFRMSYNC_DIR_IN)
		return e->rec.dir == XFRMSYNC_DIR_IN || is_inbound(e);
	start = e->given_from + p->index * e->range;
	sa->range_end = xfrmsync_lease_first(start, e->sent, e->info.esn,
					     size_log2(d, e, d->conf.n_peers > 1 ?
						       e->rec.oseq : start));
	if (sa->range_end > start + e->range)
		sa->range_end = start + e->range;
	if (sa->range_end <= start + XFRMSYNC_LEASE_HEADROOM) {
		sa->range_end = 0;
		return false;
	}
	sa->lease_end = start;
	sa->given_end = may_be_given(d, e);
	m->lease.offered = true;
	m->lease.asked = false;		/* it is here */
	m->lease.offered_start = start;
	m->lease.offered_end = end;
	return true;
}

void lease_start(struct daemon *d)
{
	struct cache_entry *e;

	d->leasing = true;
	cache_for_each(&d->cache, e)
		lease_follow(d, e);
	source_bind(d);
}

void lease_stop(struct daemon *d)
{
	size_t i;

	d->leasing = false;
	for (i = 0; i < d->n_peers; i++)
		d->leasing |= d->peer[i].sending;
}

void lease_taken_over(struct daemon *d, const struct peer *before)
{
	struct cache_entry *e;
	size_t i;

	d->leasing = false;
	cache_for_each(&d->cache, e) {
		e->offer = 0;
		e->lease_end = 0;	/* the module's word follows */
		e->given_for = 0;
		e->stopped = false;
		/* The active before had no range of its own beyond its lease. */
		for (i = 0; i < d->conf.n_peers; i++) {
			e->mark[i].lease.offered = &d->peer[i] != before;
			e->mark[i].lease.acked_end = 0;
			e->mark[i].lease.asked = false;
		}
	}
}

void lease_unknown(struct daemon *d, struct cache_entry *e,
		   const struct record *rec)
{
	size_t i;

	e->lease_end = rec->lease_end;
	e->orphan = members_were_more(d, rec);
	hole_entry(d, e, rec);
	/* Who was offered it, this daemon does not know: so all have to say. */
	for (i = 0; i < d->conf.n_peers; i++)
		e->mark[i].lease.offered = rec->flags & XFRMSYNC_RECORD_F_SHARED;
}

/* True where a peer that is removed may take over with what it was offered. */
static bool move_marks(struct cache_entry *e, size_t marks, const struct conf *old,
		       const struct conf *next)
{
	struct lease_mark before[CONF_MAX_PEERS] = {};
	bool orphan = false;
	size_t i;
	int from;

	for (i = 0; i < marks; i++) {
		before[i] = e->mark[i].lease;
		memset(&e->mark[i].lease, 0, sizeof(e->mark[i].lease));
	}
	for (i = 0; i < next->n_peers; i++) {
		from = conf_peer_place(old, next->peer[i].name);
		if (from >= 0)
			e->mark[i].lease = before[from];
	}
	for (i = 0; i < old->n_peers; i++)
		orphan |= before[i].offered &&
			  conf_peer_place(next, old->peer[i].name) < 0;
	return orphan;
}

bool lease_has_removed(const struct daemon *d, const struct conf *next)
{
	const struct cache_entry *e;
	size_t i;

	for (i = 0; i < d->conf.n_peers; i++) {
		if (conf_peer_place(next, d->conf.peer[i].name) >= 0)
			continue;
		cache_for_each(&d->cache, e) {
			if (e->mark[i].lease.offered || e->mark[i].guard.told)
				return true;
		}
	}
	return false;
}

static bool same_places(const struct conf *a, const struct conf *b)
{
	size_t i;

	for (i = 0; i < a->n_peers && i < b->n_peers; i++) {
		if (strcmp(a->peer[i].name, b->peer[i].name))
			return false;
	}
	return a->n_peers == b->n_peers;
}

void lease_peers_changed(struct daemon *d, const struct conf *next)
{
	struct cache_entry *e;
	size_t orphans = 0;

	if (same_places(&d->conf, next))
		return;
	cache_for_each(&d->cache, e) {
		e->given_for = 0;	/* places changed: new ranges */
		if (!move_marks(e, d->cache.n_marks, &d->conf, next))
			continue;
		e->orphan = true;
		orphans++;
	}
	if (orphans)
		log_warn("%zu SAs have leases that a removed peer was offered: they are not renewed any more, rekey them",
			 orphans);
}

uint64_t lease_after(const struct daemon *d, const struct cache_entry *e,
		     uint64_t from)
{
	return xfrmsync_lease_first(from, e->sent, e->info.esn,
				    size_log2(d, e, from));
}

size_t lease_waiting(const struct daemon *d, const struct peer *p)
{
	const struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e)
		n += e->offer && e->mark[p->index].lease.offered &&
		     e->mark[p->index].lease.acked_end < e->offer;
	return n;
}

bool lease_is_held(const struct cache_entry *e, const struct peer *p)
{
	/* What does not send needs no lease. */
	return e->mark[p->index].lease.offered && !is_inbound(e);
}

size_t lease_held(const struct daemon *d, const struct peer *p)
{
	const struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e)
		n += lease_is_held(e, p);
	return n;
}
