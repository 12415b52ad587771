// SPDX-License-Identifier: GPL-2.0
/*
 * In: since when this node, the active, has no link to a peer; the setting.
 * Out: who has left the sync set, said once; soft expiries, a few at a time.
 * The daemon's loop; asks the kernel, and waits for its answer.
 *
 * It makes nothing less strict. What such a peer was offered a range of is not
 * renewed without it, as ever (lease.c), because it may still take over; what comes
 * after it is not offered to it. But IKE is asked to replace the former now, and not
 * at three quarters of their leases. Who is back is told all of them again, and has
 * to acknowledge.
 */
#include "daemon.h"
#include "log.h"

bool leave_has_left(const struct daemon *d, const struct peer *p, uint64_t now_ns)
{
	uint64_t after = p->conf.leave_ms * LOOP_MS;

	return after && role_is_active(d) && !p->link &&
	       now_ns - p->lost_ns >= after;
}

static bool is_due(const struct daemon *d, const struct cache_entry *e,
		   const struct peer *p, uint64_t now_ns)
{
	return !e->mark[p->index].lease.asked && lease_is_held(e, p) &&
	       leave_has_left(d, p, now_ns);
}

size_t leave_due(struct daemon *d, uint64_t now_ns, struct cache_entry **list,
		 size_t max)
{
	struct cache_entry *e;
	size_t i, n = 0;

	cache_for_each(&d->cache, e) {
		for (i = 0; i < d->n_peers; i++) {
			if (is_due(d, e, &d->peer[i], now_ns))
				break;
		}
		if (i == d->n_peers)
			continue;
		if (n == max)
			break;
		list[n++] = e;
	}
	return n;
}

void leave_asked(struct daemon *d, uint64_t now_ns, struct cache_entry *e,
		 bool done)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (!is_due(d, e, &d->peer[i], now_ns))
			continue;
		e->mark[i].lease.asked = true;
		d->peer[i].soft_expired += done;
	}
}

static void ask(struct loop_timer *t)
{
	struct cache_entry *list[EXPIRE_AT_ONCE];
	uint64_t now = loop_now_ns();
	struct daemon *d = t->data;
	bool again = false;
	size_t i, n;
	int ret;

	n = leave_due(d, now, list, EXPIRE_AT_ONCE);
	/* XFRM refuses for one that has stopped: that was told at three quarters. */
	for (i = 0; i < n; i++) {
		ret = xfrm_expire_sa(&d->xfrm, &list[i]->id);
		again |= xfrm_is_unasked(ret);
		if (!xfrm_is_unasked(ret))
			leave_asked(d, now, list[i], !ret);
	}
	if (n == EXPIRE_AT_ONCE || again)
		loop_timer_set(&d->loop, t, EXPIRE_PAUSE);
}

static void say(const struct daemon *d, const struct peer *p)
{
	unsigned long long ms = (loop_now_ns() - p->lost_ns) / LOOP_MS;
	size_t held = lease_held(d, p);

	if (p->left && held)
		log_warn("peer %s: no link to it for %llu ms: it has left the sync set; %zu SAs are not renewed without it, and soft-expired: bring it back, or rekey those that no IKE daemon rekeys",
			 p->name, ms, held);
	else if (p->left)
		log_warn("peer %s: no link to it for %llu ms: it has left the sync set; no SA waits for it",
			 p->name, ms);
	else if (p->link && role_is_active(d))
		log_info("peer %s: it is back in the sync set", p->name);
}

void leave_look(struct daemon *d)
{
	uint64_t now = loop_now_ns();
	struct peer *p;
	bool left;
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		p = &d->peer[i];
		left = leave_has_left(d, p, now);
		if (left == p->left)
			continue;
		p->left = left;
		p->soft_expired = 0;
		say(d, p);
		/* Once: what comes later is not offered to it. */
		if (left)
			loop_timer_set(&d->loop, &d->leave_timer, EXPIRE_PAUSE);
	}
}

void leave_init(struct daemon *d)
{
	d->leave_timer.cb = ask;
	d->leave_timer.data = d;
}
