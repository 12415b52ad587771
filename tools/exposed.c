// SPDX-License-Identifier: GPL-2.0
/*
 * In: what the active said last of each SA, and a takeover that it did not hand over.
 * Out: a soft expiry for each SA of which packets may be accepted once more.
 * The daemon's loop.
 *
 * The active says of an SA that it is exposed: it has accepted more than this node was
 * known to cover. The record that says so covers that; but a guard that was too small a
 * moment ago may be so again, and what came after the last word nobody tells. So a
 * takeover after a crash has these rekeyed: the old SA's packets, replayed, are
 * worth nothing once it is gone. A few at a time, as what else is asked for.
 */
#include "daemon.h"
#include "log.h"

static const char SAID[] = "the active said last that it had accepted more than this node covered";
static const char ALL[] = "the active may have accepted more than it told (guard_rekey = all)";

/* Without a window nothing is known as a replay, before a rekey and after. */
static bool is_inbound(const struct cache_entry *e)
{
	return e->info.window && e->rec.dir != XFRMSYNC_DIR_OUT;
}

/* Strict: nothing was delivered beyond what a standby covers. */
static bool has_all_rekeyed(const struct daemon *d)
{
	return d->conf.guard_rekey == CONF_GUARD_REKEY_ALL &&
	       d->conf.guard != CONF_GUARD_STRICT;
}

bool exposed_is_crash(const struct daemon *d, bool exact)
{
	return !exact && d->st.epoch && !role_is_owner(d);
}

const char *exposed_why(const struct daemon *d, const struct cache_entry *e)
{
	if (d->conf.guard_rekey == CONF_GUARD_REKEY_NO ||
	    e->applied != CACHE_APPLIED || !is_inbound(e))
		return NULL;
	if (e->rec.exposed)
		return SAID;
	return has_all_rekeyed(d) && e->rec.seq ? ALL : NULL;
}

size_t exposed_count(const struct daemon *d)
{
	const struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e)
		n += e->rec.exposed;
	return n;
}

void exposed_taken_over(struct daemon *d)
{
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		e->rekey_due = d->taken_crash && exposed_why(d, e);
		e->rec.exposed = false;
	}
}

/* A daemon that was not filled knows of none: its kernel has the last records. */
static void mark_unfilled(struct daemon *d)
{
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		if (e->shared && is_inbound(e) && e->rec.seq && e->rec.packets)
			e->rekey_due = true;
	}
}

size_t exposed_due(struct daemon *d, struct cache_entry **list, size_t max)
{
	struct cache_entry *e;
	size_t n = 0;

	cache_for_each(&d->cache, e) {
		if (n == max)
			break;
		if (!e->rekey_due)
			continue;
		e->rekey_due = false;
		list[n++] = e;
	}
	return n;
}

static void ask(struct loop_timer *t)
{
	struct cache_entry *list[EXPIRE_AT_ONCE];
	struct daemon *d = t->data;
	bool again = false;
	size_t i, n;

	if (!role_is_active(d))
		return;
	n = exposed_due(d, list, EXPIRE_AT_ONCE);
	/* XFRM refuses for one that is fenced: the module has that one rekeyed. */
	for (i = 0; i < n; i++) {
		list[i]->rekey_due =
			xfrm_is_unasked(xfrm_expire_sa(&d->xfrm, &list[i]->id));
		again |= list[i]->rekey_due;
	}
	if (n == EXPIRE_AT_ONCE || again)
		loop_timer_set(&d->loop, t, EXPIRE_PAUSE);
}

void exposed_start(struct daemon *d)
{
	const struct cache_entry *e;
	size_t n = 0;

	if (d->taken_crash && !d->synced && has_all_rekeyed(d))
		mark_unfilled(d);
	cache_for_each(&d->cache, e)
		n += e->rekey_due;
	loop_timer_stop(&d->exposed_timer);
	if (!n)
		return;
	log_warn("%zu SAs can have accepted packets that nobody told this node of, and would accept them again: a rekey is asked for; rekey those that no IKE daemon rekeys",
		 n);
	ask(&d->exposed_timer);
}

void exposed_init(struct daemon *d)
{
	d->exposed_timer.cb = ask;
	d->exposed_timer.data = d;
}
