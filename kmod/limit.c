// SPDX-License-Identifier: GPL-2.0
/*
 * In: the end of an SA's lease, from userspace; numbers as they are drawn.
 * Out: no number past the end: the SA stops before it, until there is more.
 * The packet path, x->lock held; granting and the soft expiry in process context.
 *
 * The packet that is looked at cannot be stopped any more, so the SA is stopped
 * behind the one that draws the last number that may be. A packet of many
 * segments draws as many: the last one may overshoot by less than the headroom,
 * which the end of a lease has beyond what may be used.
 */
#include <linux/irq_work.h>
#include <net/xfrm.h>

#include "dirty.h"
#include "lease.h"
#include "limit.h"
#include "trace.h"

static u64 last_usable(const struct xfrmsync_sa *sa)
{
	return sa->lease_end - XFRMSYNC_LEASE_HEADROOM;
}

/* x->lock held. */
static void stop(struct xfrmsync_sa *sa)
{
	struct xfrm_state *x = sa->x;

	if (x->km.state != XFRM_STATE_VALID)
		return;
	x->km.state = XFRM_STATE_ERROR;
	set_bit(XFRMSYNC_SA_STOPPED, &sa->flags);
	xfrmsync_stats_inc(sa->ns, LEASES_ENDED);
}

/* Only from ERROR, only if it was us. x->lock held. */
static void resume(struct xfrmsync_sa *sa)
{
	if (!test_and_clear_bit(XFRMSYNC_SA_STOPPED, &sa->flags))
		return;
	if (sa->x->km.state == XFRM_STATE_ERROR)
		sa->x->km.state = XFRM_STATE_VALID;
}

/* An expiry is told in process context; each SA waits for it once. */
static void expire_later(struct xfrmsync_sa *sa)
{
	if (test_and_set_bit(XFRMSYNC_SA_EXPIRING, &sa->flags))
		return;
	if (!refcount_inc_not_zero(&sa->refs))
		return;		/* being freed: the bit does not matter any more */
	if (llist_add(&sa->expiring, &sa->ns->expiring))
		irq_work_queue(&sa->ns->expire_irq);
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
		expire_later(sa);
	}
	if (number >= last_usable(sa)) {
		if (test_bit(XFRMSYNC_SA_GOES_ON, &sa->flags))
			set_bit(XFRMSYNC_SA_OVERRUN, &sa->flags);
		else
			stop(sa);
		sa->watch = XFRMSYNC_NEVER;
	} else {
		sa->watch = min(sa->soft, last_usable(sa));
	}
	xfrmsync_dirty_mark(sa);
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
	assign_bit(XFRMSYNC_SA_GOES_ON, &sa->flags, go_on);
	if (end == sa->lease_end) {
		sa->watch = end ? min(sa->soft, last_usable(sa)) : XFRMSYNC_NEVER;
		return XFRMSYNC_REASON_OK;
	}
	if (end < XFRMSYNC_LEASE_HEADROOM ||
	    end - XFRMSYNC_LEASE_HEADROOM <= oseq)
		return XFRMSYNC_REASON_LEASE;

	sa->lease_end = end;
	usable = last_usable(sa) - oseq;
	sa->soft = oseq + usable - usable / 4;
	sa->watch = min(sa->soft, last_usable(sa));
	resume(sa);
	return XFRMSYNC_REASON_OK;
}

/* No limit any more. x->lock held. */
void xfrmsync_limit_clear(struct xfrmsync_sa *sa)
{
	sa->lease_end = 0;
	sa->watch = XFRMSYNC_NEVER;
	sa->soft = XFRMSYNC_NEVER;
	resume(sa);
}

/**
 * xfrmsync_limit_lift() - let all SAs of a namespace draw what they want
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
			spin_unlock_bh(&sa->x->lock);
		}
		rcu_read_unlock();
		cond_resched();
	}
}

static void expire_from_irq(struct irq_work *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       expire_irq);

	schedule_work(&ns->expire_work);
}

/* Three quarters are used and nothing was granted: IKE shall rekey it. */
static void expire(struct xfrmsync_sa *sa)
{
	struct xfrm_state *x;

	rcu_read_lock();
	if (test_bit(XFRMSYNC_SA_GONE, &sa->flags))
		goto unlock;
	x = sa->x;
	spin_lock_bh(&x->lock);
	/* Unless it was granted more meanwhile. */
	if (sa->soft == XFRMSYNC_NEVER && !x->km.dying &&
	    (x->km.state == XFRM_STATE_VALID ||
	     x->km.state == XFRM_STATE_ERROR)) {
		x->km.dying = 1;
		km_state_expired(x, 0, 0);
		xfrmsync_stats_inc(sa->ns, LEASES_LOW);
	}
	spin_unlock_bh(&x->lock);
unlock:
	rcu_read_unlock();
}

static void expire_due(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       expire_work);
	struct llist_node *list = llist_reverse_order(llist_del_all(&ns->expiring));
	struct xfrmsync_sa *sa, *next;

	llist_for_each_entry_safe(sa, next, list, expiring) {
		/* full barrier: next was read before the node may be used again */
		test_and_clear_bit(XFRMSYNC_SA_EXPIRING, &sa->flags);
		expire(sa);
		xfrmsync_sa_put(sa);
		cond_resched();
	}
}

void xfrmsync_limit_net_init(struct xfrmsync_net *ns)
{
	init_llist_head(&ns->expiring);
	init_irq_work(&ns->expire_irq, expire_from_irq);
	INIT_WORK(&ns->expire_work, expire_due);
}

/* After no SA of the namespace is followed any more. */
void xfrmsync_limit_net_exit(struct xfrmsync_net *ns)
{
	irq_work_sync(&ns->expire_irq);
	cancel_work_sync(&ns->expire_work);
	expire_due(&ns->expire_work);
}
