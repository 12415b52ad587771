// SPDX-License-Identifier: GPL-2.0
/*
 * In: the last inbound number of an SA that standbys are known to take for seen.
 * Out: nothing delivered while the SA has accepted a higher one (strict guard).
 * Setting in process context, x->lock held; asked for each packet, under RCU.
 *
 * A packet that is delivered has drawn its number before, under x->lock, and so
 * has set the SA's highest one to it or above. That one is compared: the packet
 * itself does not carry its 64 bits any more. So one that was allowed is held
 * back, too, where a later one came past the end between; never the other way.
 */
#include <net/xfrm.h>

#include "fence.h"
#include "guard.h"
#include "table.h"

/**
 * xfrmsync_guard_set() - let an SA deliver up to a number
 * @sa: the SA
 * @end: the number; 0 for no limit
 *
 * It may go down: the record that is read afterwards tells what was delivered.
 *
 * Context: x->lock held; xfrmsync_fence_guard() was called where @end is not 0.
 */
void xfrmsync_guard_set(struct xfrmsync_sa *sa, u64 end)
{
	lockdep_assert_held(&sa->x->lock);
	WRITE_ONCE(sa->guard_end, end);
}

/**
 * xfrmsync_guard_lift() - let all SAs of a namespace deliver what they accept
 * @ns: the namespace, which is fenced now, or has no role any more
 *
 * Context: process, role_mutex held; takes x->lock, may sleep.
 */
void xfrmsync_guard_lift(struct xfrmsync_net *ns)
{
	struct xfrmsync_sa *sa;
	unsigned long index;

	if (!ns->guarded)
		return;
	xa_for_each(&ns->sas, index, sa) {
		rcu_read_lock();
		sa = xa_load(&ns->sas, index);
		if (sa && !test_bit(XFRMSYNC_SA_GONE, &sa->flags)) {
			spin_lock_bh(&sa->x->lock);
			xfrmsync_guard_set(sa, 0);
			spin_unlock_bh(&sa->x->lock);
		}
		rcu_read_unlock();
		cond_resched();
	}
	xfrmsync_fence_guard(ns, false);
}

/*
 * The two halves of an ESN are stored one after the other, and so are those of
 * the end on 32-bit machines. A torn number is off by about 2^32, so what is
 * less than 2^31 below the end is so for sure.
 */
static bool is_surely_below(u64 seq, u64 end)
{
	return IS_ENABLED(CONFIG_64BIT) && seq <= end && end - seq < 1U << 31;
}

/**
 * xfrmsync_guard_holds() - is a packet that this SA took off not to be delivered?
 * @x: the SA, of the packet's secpath
 *
 * Context: softirq or BH off, under RCU; takes x->lock where it looks as if.
 * Return: true where the packet is beyond what a standby would know.
 */
bool xfrmsync_guard_holds(struct xfrm_state *x)
{
	struct xfrmsync_net *ns = xfrmsync_net(xs_net(x));
	struct xfrmsync_sa *sa;
	bool holds;
	u64 end;

	if (!READ_ONCE(ns->guarded))
		return false;
	sa = xfrmsync_table_find(x);
	if (!sa)
		return false;
	end = READ_ONCE(sa->guard_end);
	if (IS_ENABLED(CONFIG_64BIT) && !end)
		return false;
	if (is_surely_below(xfrmsync_seq(x), end))
		return false;
	spin_lock_bh(&x->lock);
	holds = sa->guard_end && xfrmsync_seq(x) > sa->guard_end;
	spin_unlock_bh(&x->lock);
	return holds;
}
