// SPDX-License-Identifier: GPL-2.0
/*
 * In: inbound numbers that this node, the active, has accepted; what peers acknowledged.
 * Out: how far each SA's window is led on the standbys; limits in the module (strict).
 * The daemon's loop.
 *
 * A standby takes all numbers up to record + guard for seen. What the active may
 * deliver without being replayed after a takeover is what every peer that was ever
 * told the SA is known to cover: the limit. Beyond it the SA is exposed: counted
 * where it goes on (available), stopped in the module until it is acknowledged
 * (strict). In the module the limit stands before a frame leaves that makes it
 * lower, and rises when the acknowledgement is there.
 */
#include <errno.h>
#include <string.h>

#include "../kmod/window.h"
#include "bindings.h"
#include "daemon.h"
#include "log.h"

#define TICK (1000 * LOOP_MS)

static bool is_strict(const struct daemon *d)
{
	return d->conf.guard == CONF_GUARD_STRICT;
}

/* Without a window XFRM checks no replays and counts nothing. */
static bool has_guard(const struct daemon *d, const struct cache_entry *e)
{
	return d->conf.guard != CONF_GUARD_OFF && e->info.window &&
	       e->rec.dir != XFRMSYNC_DIR_OUT;
}

static uint64_t slot(const struct daemon *d)
{
	uint64_t lag = 0;
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].lag_ns > lag)
			lag = d->peer[i].lag_ns;
	}
	return guard_slot(lag, d->conf.interval_us * 1000ULL);
}

static uint32_t choose(const struct daemon *d, const struct cache_entry *e,
		       uint64_t now)
{
	const struct guard_bounds b = {
		.min = d->conf.guard_min,
		.max = d->conf.guard_max,
		.max_rate = d->conf.guard_max_rate,
	};

	return guard_choose(&e->guard_rate, now, slot(d), &b);
}

static uint64_t end_of(const struct cache_entry *e)
{
	return guard_end(e->rec.seq, e->guard, e->info.esn);
}

uint64_t inbound_limit(const struct daemon *d, const struct cache_entry *e)
{
	uint64_t limit = e->guard_capped ? e->guard_cap : GUARD_NO_LIMIT;
	size_t i;

	for (i = 0; i < d->conf.n_peers; i++) {
		if (e->mark[i].guard.told && e->mark[i].guard.limit < limit)
			limit = e->mark[i].guard.limit;
	}
	/* Who has forgotten what it delivered covers none of it, whatever it is told. */
	return e->hole && e->hole_cap < limit ? e->hole_cap : limit;
}

bool inbound_exposed(const struct daemon *d, const struct cache_entry *e)
{
	return role_is_active(d) && has_guard(d, e) &&
	       e->rec.seq > inbound_limit(d, e);
}

bool inbound_exposed_to(const struct daemon *d, const struct cache_entry *e,
			const struct peer *p)
{
	const struct guard_mark *m = &e->mark[p->index].guard;

	return inbound_exposed(d, e) && !is_strict(d) && m->told &&
	       e->rec.seq > m->limit;
}

bool inbound_held(const struct daemon *d, const struct cache_entry *e)
{
	return is_strict(d) && inbound_exposed(d, e);
}

bool inbound_waits_for(const struct daemon *d, const struct cache_entry *e,
		       const struct peer *p)
{
	const struct guard_mark *m = &e->mark[p->index].guard;

	return inbound_held(d, e) && m->told && e->rec.seq > m->limit;
}

size_t inbound_count_waiting(const struct daemon *d, const struct peer *p)
{
	const struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e)
		n += inbound_waits_for(d, e, p);
	return n;
}

size_t inbound_count_exposed(const struct daemon *d)
{
	const struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e)
		n += inbound_exposed(d, e);
	return n;
}

/* What the module has to hold; 0 in there is no limit, so none is 0 here. */
static uint64_t wanted(const struct daemon *d, const struct cache_entry *e)
{
	uint64_t limit = inbound_limit(d, e);

	if (!is_strict(d) || !has_guard(d, e))
		return 0;
	/* It is about to be told for the first time. */
	if (limit == GUARD_NO_LIMIT && !d->leasing)
		return 0;
	/* The next frame may say less than the last. */
	if (limit > end_of(e))
		limit = end_of(e);
	return limit ? limit : 1;
}

/* Lower than before: what was delivered until it stood there, is not in the
 * record that we have.
 */
static void set_limit(struct daemon *d, struct cache_entry *e, uint64_t end)
{
	if (end && (!e->guard_end || end < e->guard_end))
		e->guard_read = true;
	e->guard_end = end;
	if (e->guard_end != e->guard_in_force || e->guard_read) {
		cache_unbind(&d->cache, e);
		d->bind_due = true;
	}
}

void inbound_follow(struct daemon *d, struct cache_entry *e)
{
	uint64_t now = loop_now_ns();
	uint32_t guard;

	e->guard_in_force = e->rec.guard_end;
	if (!has_guard(d, e)) {
		e->guard = 0;
	} else {
		guard_rate_note(&e->guard_rate, e->rec.seq, now, slot(d));
		guard = choose(d, e, now);
		if (guard > e->guard)
			e->guard = guard;
		if (e->guard > d->conf.guard_min)
			cache_lead(&d->cache, e);
	}
	set_limit(d, e, wanted(d, e));
}

void inbound_limit_again(struct daemon *d, struct cache_entry *e)
{
	set_limit(d, e, wanted(d, e));
}

void inbound_start(struct daemon *d)
{
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		if (has_guard(d, e) && e->guard < d->conf.guard_min)
			e->guard = d->conf.guard_min;
		set_limit(d, e, wanted(d, e));
	}
}

void inbound_bound(struct daemon *d, struct cache_entry *e)
{
	struct record rec;

	e->guard_in_force = e->guard_end;
	if (!e->guard_read)
		return;
	if (genl_get(&d->req, &e->id, &rec) || rec.cookie != e->cookie)
		return;		/* it is gone, and the stream says so */
	e->guard_read = false;
	cache_note_record(e, &rec);
	guard_rate_note(&e->guard_rate, rec.seq, loop_now_ns(), slot(d));
	peer_mark_entry(d, e, false);
}

bool inbound_may_tell(const struct daemon *d, const struct cache_entry *e)
{
	/* One that is fenced delivers nothing. */
	if (!is_strict(d) || !has_guard(d, e) || !role_is_active(d))
		return true;
	return !e->guard_read && e->guard_in_force &&
	       e->guard_in_force <= end_of(e);
}

void inbound_sent(struct cache_entry *e, struct mark *m, uint64_t frame)
{
	guard_mark_sent(&m->guard, frame, end_of(e));
}

void inbound_acked(struct daemon *d, struct cache_entry *e, struct mark *m,
		   uint64_t frames)
{
	if (guard_mark_acked(&m->guard, frames))
		set_limit(d, e, wanted(d, e));
}

/* Smaller ones cost a frame, so only where it matters: half, or none at all. */
static bool shrink(struct daemon *d, struct cache_entry *e, uint64_t now)
{
	uint32_t guard;

	/* None is smaller. */
	if (!e->guard || (has_guard(d, e) && e->guard <= d->conf.guard_min)) {
		list_del(&e->led);
		return false;
	}
	guard = has_guard(d, e) ? choose(d, e, now) : 0;
	if (guard >= e->guard ||
	    (guard > e->guard / 2 && guard > d->conf.guard_min))
		return false;
	e->guard = guard;
	set_limit(d, e, wanted(d, e));
	peer_mark_entry(d, e, false);
	return true;
}

/* It was not there when this node took over, or went with that, and is not back. */
static bool is_missing(const struct daemon *d, const struct peer *p, uint64_t now)
{
	uint64_t while_ns = d->conf.dead_ms * LOOP_MS;

	return !p->link && now - d->taken_ns > while_ns &&
	       p->lost_ns < d->taken_ns + 2 * while_ns;
}

size_t inbound_stuck(struct daemon *d, uint64_t now, struct cache_entry **list,
		     size_t max)
{
	struct cache_entry *e;
	size_t i, n = 0;

	for (i = 0; d->taken_ns && i < d->n_peers; i++) {
		if (!is_missing(d, &d->peer[i], now))
			continue;
		cache_for_each(&d->cache, e) {
			if (n == max || e->stuck_asked ||
			    !inbound_waits_for(d, e, &d->peer[i]))
				continue;
			e->stuck_asked = true;
			list[n++] = e;
		}
	}
	return n;
}

/*
 * Taken over with what a dead node may deliver again: nothing new is let in before
 * it says where it stands, if it ever does. A new SA it does not have.
 */
static void ask_for_new(struct daemon *d, uint64_t now)
{
	struct cache_entry *list[EXPIRE_AT_ONCE];
	size_t i, n = inbound_stuck(d, now, list, EXPIRE_AT_ONCE), asked = n;

	/* The next time, where there was no room. */
	for (i = 0; i < n; i++) {
		if (!xfrm_is_unasked(xfrm_expire_sa(&d->xfrm, &list[i]->id)))
			continue;
		list[i]->stuck_asked = false;
		asked--;
	}
	if (asked)
		log_warn("%zu SAs let nothing new in until a peer that is not connected has acknowledged: a rekey is asked for; bring it back, or rekey those that no IKE daemon rekeys",
			 asked);
}

static void tick(struct loop_timer *t)
{
	struct daemon *d = t->data;
	uint64_t now = loop_now_ns();
	struct cache_entry *e, *n;
	bool any = false;

	loop_timer_set(&d->loop, t, TICK);
	if (!role_is_active(d) || !d->reading)
		return;
	ask_for_new(d, now);
	/* Not all of them: most have as little as any has. */
	cache_for_each_on(&d->cache, led, e, n)
		any |= shrink(d, e, now);
	if (!any)
		return;
	source_bind(d);
	peer_kick(d);
}

void inbound_init(struct daemon *d)
{
	d->guard_timer.cb = tick;
	d->guard_timer.data = d;
	loop_timer_set(&d->loop, &d->guard_timer, TICK);
}

/*
 * A peer that may take over from a record that is behind what this node, which
 * took over, has: of two nodes, the other one's limit lay below this one's window.
 */
static bool is_behind(const struct daemon *d, const struct peer *p,
		      const struct peer *before)
{
	return (d->conf.n_peers > 1 || d->taken_exact) && p != before;
}

/* This daemon took over before it was filled, or began as the active's. */
void inbound_unknown(struct daemon *d, struct cache_entry *e,
		     const struct record *rec)
{
	bool taken = d->taken_here && !d->again && !rec->guard_end;
	bool shared = rec->flags & XFRMSYNC_RECORD_F_SHARED;
	struct guard_mark *m;
	size_t i;

	guard_rate_reset(&e->guard_rate, rec->seq);
	/* Who was told what, this daemon does not know; only what the module let. */
	for (i = 0; i < d->conf.n_peers; i++) {
		m = &e->mark[i].guard;
		m->told = shared && (!taken ||
				     is_behind(d, &d->peer[i], d->before));
		m->limit = taken ? rec->seq : rec->guard_end;
	}
	if (e->orphan) {
		e->guard_capped = true;
		e->guard_cap = taken ? rec->seq : rec->guard_end;
	}
	e->guard_end = rec->guard_end;
}

/* Where those who may take over stand, with what they hold of a time before. */
static uint64_t held(const struct daemon *d, const struct cache_entry *e)
{
	if (d->again)
		return inbound_limit(d, e);
	return guard_end(e->rec.seq, e->rec.guard, e->info.esn);
}

static int hold_some(struct daemon *d, struct bindings *list)
{
	int ret = bindings_put(&d->req, list, "cannot be given a limit");

	list->n = 0;
	return ret;
}

/* Of two nodes, the other one's limit lies below this one's window; but one that has
 * handed over stands where this one does.
 */
static bool holds_any(const struct daemon *d, bool again, bool exact)
{
	return is_strict(d) && (again || exact || d->conf.n_peers > 1);
}

bool inbound_would_hold(const struct daemon *d, const struct cache_entry *e,
			bool again, bool exact)
{
	if (!holds_any(d, again, exact) || !has_guard(d, e) ||
	    e->applied == CACHE_CONFLICT)
		return false;
	/* Where its window stands; or where the others do since this node was active,
	 * and it goes on up to there.
	 */
	return !again || inbound_limit(d, e) <= e->rec.seq;
}

int inbound_hold(struct daemon *d)
{
	struct bindings list = {};
	struct cache_entry *e;
	int ret = 0;

	if (!holds_any(d, d->again, d->taken_exact))
		return 0;
	cache_for_each(&d->cache, e) {
		struct record rec = {
			.id = e->id, .tag = e->tag, .keep_flags = true,
			.set_guard = true, .guard_end = held(d, e),
		};

		/* In conflict: another SA of that name, and not the cluster's. */
		if (!has_guard(d, e) || rec.guard_end == GUARD_NO_LIMIT ||
		    e->applied == CACHE_CONFLICT)
			continue;
		if (!rec.guard_end)
			rec.guard_end = 1;	/* 0 is no limit */
		ret = bindings_add(&list, &rec);
		if (!ret && list.n == XFRMSYNC_MAX_BATCH)
			ret = hold_some(d, &list);
		if (ret)
			break;
	}
	if (!ret)
		ret = hold_some(d, &list);
	bindings_free(&list);
	return ret;
}

static int fill_one(const struct record *k, struct cache_entry *e,
		    const char *why, void *data)
{
	(void)e;
	(void)why;
	return bindings_fill(data, k);
}

int inbound_fill(struct daemon *d)
{
	struct bindings list = {};
	int ret = 0;

	if (is_strict(d))
		ret = ready_each(d, fill_one, &list);
	ret = ret ?: bindings_merge(&d->req, d->st.epoch, d->st.node, &list);
	bindings_free(&list);
	return ret;
}

void inbound_given(struct daemon *d, const struct peer *p)
{
	struct guard_mark *m;
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		m = &e->mark[p->index].guard;
		guard_mark_lost(m);
		if (m->limit > e->rec.seq)
			m->limit = e->rec.seq;
	}
}

void inbound_taken_over(struct daemon *d, const struct peer *before)
{
	struct guard_mark *m;
	struct cache_entry *e;
	size_t i;

	d->taken_ns = loop_now_ns();
	cache_for_each(&d->cache, e) {
		e->stuck_asked = false;
		/* Where the kernel's window stands since this node was filled. */
		e->rec.seq = guard_end(e->rec.seq, e->rec.guard, e->info.esn);
		guard_rate_reset(&e->guard_rate, e->rec.seq);
		e->guard = 0;
		e->guard_end = 0;
		e->guard_in_force = 0;
		e->guard_read = false;
		e->guard_capped = false;
		/* What it told the others still counts. */
		for (i = 0; i < d->conf.n_peers && !d->again; i++) {
			m = &e->mark[i].guard;
			memset(m, 0, sizeof(*m));
			m->told = is_behind(d, &d->peer[i], before);
			m->limit = e->rec.seq;
		}
		lead_drop(e);
	}
}

/* As the leases do: who is removed may take over with what it was told. */
void inbound_peers_changed(struct daemon *d, const struct conf *next)
{
	struct guard_mark was[CONF_MAX_PEERS] = {};
	struct cache_entry *e;
	size_t i;
	int to;

	cache_for_each(&d->cache, e) {
		/* By other bounds. */
		if (e->guard)
			cache_lead(&d->cache, e);
		for (i = 0; i < d->cache.n_marks; i++) {
			was[i] = e->mark[i].guard;
			memset(&e->mark[i].guard, 0, sizeof(was[i]));
		}
		for (i = 0; i < d->conf.n_peers; i++) {
			to = conf_peer_place(next, d->conf.peer[i].name);
			if (to >= 0) {
				e->mark[to].guard = was[i];
				continue;
			}
			if (!was[i].told ||
			    (e->guard_capped && e->guard_cap <= was[i].limit))
				continue;
			e->guard_capped = true;
			e->guard_cap = was[i].limit;
		}
	}
}

static uint32_t words_of(const struct cache_entry *e)
{
	return e->info.large ? e->info.bmp_words : 1;
}

/* Of a window that is another one here its end alone means anything: up to there all
 * counts as seen.
 */
static void fill_other(const struct cache_entry *e, struct record *rec)
{
	struct xfrmsync_window w = {
		.seq = rec->seq, .size = e->info.window, .bmp = rec->bmp,
		.ring = e->info.large,
	};
	char name[128];

	if (rec->bmp_words == words_of(e))
		return;
	log_warn("%s: another node tells what it accepted by a window of another size: all up to number %llu counts as seen here, and what comes late is lost",
		 sa_id_str(&e->id, name, sizeof(name)),
		 (unsigned long long)rec->seq);
	rec->bmp_words = words_of(e);
	xfrmsync_window_fill(&w, rec->seq);
}

void inbound_merge(struct daemon *d, uint32_t handle, uint64_t tag,
		   const struct record *theirs)
{
	struct cache_entry *e = cache_find_handle(&d->cache, handle);
	struct genl_result res = {};
	struct record rec;
	char name[128];

	if (!e || !handle || e->tag != tag || !e->info.window)
		return;
	rec = *theirs;
	fill_other(e, &rec);
	rec.id = e->id;
	rec.tag = tag;
	rec.window = e->info.window;
	rec.flags = (e->info.esn ? XFRMSYNC_RECORD_F_ESN : 0) |
		    (e->info.large ? XFRMSYNC_RECORD_F_BMP : 0);
	rec.restore_flags = XFRMSYNC_RESTORE_F_MERGE;
	if (genl_restore(&d->req, d->st.epoch, d->st.node, &rec, 1, &res) ||
	    (res.reason && res.reason != XFRMSYNC_REASON_NO_SA))
		log_warn("%s: what another node accepted meanwhile cannot be merged (%s): it can be replayed, rekey it",
			 sa_id_str(&e->id, name, sizeof(name)),
			 res.reason ? genl_reason_str(res.reason) : d->req.error);
	else
		d->merged++;
	/* No traffic of ours, so no reason for a larger guard. */
	if (rec.seq > e->guard_rate.seq)
		e->guard_rate.seq = rec.seq;
}
