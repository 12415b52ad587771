// SPDX-License-Identifier: GPL-2.0
/*
 * In: the end of an SA's lease, from userspace; numbers as they are drawn.
 * Out: no number past the end: the SA stops before it, until there is more.
 * The packet path, x->lock held; granting in process context.
 *
 * The packet that is looked at cannot be stopped any more, so the SA is stopped
 * behind the one that draws the last number that may be. A packet of many
 * segments draws as many: the last one may overshoot by less than the headroom,
 * which the end of a lease has beyond what may be used.
 */
#include <net/xfrm.h>

#include "dirty.h"
#include "expire.h"
#include "lease.h"
#include "limit.h"
#include "stop.h"

static u64 last_usable(const struct xfrmsync_sa *sa)
{
	return sa->lease_end - XFRMSYNC_LEASE_HEADROOM;
}

/* x->lock held. */
static void end_lease(struct xfrmsync_sa *sa)
{
	if (xfrmsync_stop(sa, XFRMSYNC_SA_STOPPED))
		xfrmsync_stats_inc(sa->ns, LEASES_ENDED);
}

/**
 * xfrmsync_limit_reached() - a packet is about to draw a number that matters
 * @sa: the SA
 * @number: the last number that the packet draws
 *
 * Context: the packet path, x->lock held.
 */
void xfrmsync_limit_reached(struct xfrmsync_sa *sa, u64 number)
{
	if (number >= sa->soft) {
		sa->soft = XFRMSYNC_NEVER;
		xfrmsync_expire_later(sa, XFRMSYNC_SA_LOW);
	}
	if (number >= last_usable(sa)) {
		if (test_bit(XFRMSYNC_SA_GOES_ON, &sa->flags))
			set_bit(XFRMSYNC_SA_OVERRUN, &sa->flags);
		else
			end_lease(sa);
		xfrmsync_limit_watch(sa, XFRMSYNC_NEVER);
	} else {
		xfrmsync_limit_watch(sa, min(sa->soft, last_usable(sa)));
	}
	xfrmsync_dirty_mark(sa);
}

/* The counter was raised, maybe past the lease: no packet has to find that out.
 * x->lock held.
 */
void xfrmsync_limit_leapt(struct xfrmsync_sa *sa)
{
	u64 oseq = xfrmsync_oseq(sa->x);

	lockdep_assert_held(&sa->x->lock);
	if (sa->lease_end && oseq >= last_usable(sa))
		xfrmsync_limit_reached(sa, oseq);
}

/**
 * xfrmsync_limit_set() - let an SA draw numbers up to a lease's end
 * @sa: the SA
 * @end: last number that may be drawn, the headroom included
 * @go_on: at the end, mark the SA instead of stopping it
 *
 * A lease is never taken back. An SA that stopped at the last one goes on.
 *
 * Context: x->lock held.
 * Return: XFRMSYNC_REASON_OK; XFRMSYNC_REASON_LEASE (the end is behind the one
 *	in force, or the counter has passed what it would let be used).
 */
u32 xfrmsync_limit_set(struct xfrmsync_sa *sa, u64 end, bool go_on)
{
	u64 oseq = xfrmsync_oseq(sa->x), usable;

	if (end < sa->lease_end)
		return XFRMSYNC_REASON_LEASE;
	if (end == sa->lease_end) {
		assign_bit(XFRMSYNC_SA_GOES_ON, &sa->flags, go_on);
		xfrmsync_limit_watch(sa, end ? min(sa->soft, last_usable(sa)) : XFRMSYNC_NEVER);
		/* It stopped there, and shall not any more. */
		if (go_on)
			xfrmsync_go_on(sa, XFRMSYNC_SA_STOPPED);
		return XFRMSYNC_REASON_OK;
	}
	if (end < XFRMSYNC_LEASE_HEADROOM ||
	    end - XFRMSYNC_LEASE_HEADROOM <= oseq)
		return XFRMSYNC_REASON_LEASE;

	assign_bit(XFRMSYNC_SA_GOES_ON, &sa->flags, go_on);
	sa->lease_end = end;
	usable = last_usable(sa) - oseq;
	sa->soft = oseq + usable - usable / 4;
	xfrmsync_limit_watch(sa, min(sa->soft, last_usable(sa)));
	xfrmsync_go_on(sa, XFRMSYNC_SA_STOPPED);
	return XFRMSYNC_REASON_OK;
}

/* No limit any more. x->lock held. */
void xfrmsync_limit_clear(struct xfrmsync_sa *sa)
{
	sa->lease_end = 0;
	xfrmsync_limit_watch(sa, XFRMSYNC_NEVER);
	sa->soft = XFRMSYNC_NEVER;
	xfrmsync_go_on(sa, XFRMSYNC_SA_STOPPED);
}

/**
 * xfrmsync_limit_lift() - let all SAs of a namespace be used as they are
 * @ns: the namespace, which has no role any more, or goes
 *
 * Context: process; takes x->lock.
 */
void xfrmsync_limit_lift(struct xfrmsync_net *ns)
{
	struct xfrmsync_sa *sa;
	unsigned long index;

	xa_for_each(&ns->sas, index, sa) {
		rcu_read_lock();
		sa = xa_load(&ns->sas, index);
		if (sa && !test_bit(XFRMSYNC_SA_GONE, &sa->flags)) {
			spin_lock_bh(&sa->x->lock);
			xfrmsync_limit_clear(sa);
			xfrmsync_go_on(sa, XFRMSYNC_SA_FENCED);
			xfrmsync_go_on(sa, XFRMSYNC_SA_BARRED);
			spin_unlock_bh(&sa->x->lock);
		}
		rcu_read_unlock();
		cond_resched();
	}
}
