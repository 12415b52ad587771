// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs that have to be rekeyed.
 * Out: XFRM's soft expiry, so that IKE replaces them; on an active node only.
 * Marked in any context, told in process context, a few at a time.
 *
 * A standby's IKE daemon cannot rekey, so there the list waits: what expired
 * softly while the node was passive, and what a takeover found not safe, is told
 * when it is active. Thousands of rekeys at once would drown the daemon.
 */
#include <linux/irq_work.h>
#include <net/xfrm.h>

#include "expire.h"

#define AT_ONCE 64
#define PAUSE (HZ / 10)

static void start_telling(struct irq_work *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       expire_irq);

	schedule_delayed_work(&ns->expire_work, 0);
}

/**
 * xfrmsync_expire_later() - ask for a rekey, once
 * @sa: the SA
 * @why: XFRMSYNC_SA_LOW, _UNSAFE or _MISSED
 *
 * Context: any; the packet path, too.
 */
void xfrmsync_expire_later(struct xfrmsync_sa *sa, int why)
{
	set_bit(why, &sa->flags);
	if (test_and_set_bit(XFRMSYNC_SA_EXPIRING, &sa->flags))
		return;
	if (!refcount_inc_not_zero(&sa->refs))
		return;		/* being freed: the bit does not matter any more */
	if (llist_add(&sa->expiring, &sa->ns->expiring))
		irq_work_queue(&sa->ns->expire_irq);
}

/* What waited while the node was passive. Process context, role_mutex held. */
void xfrmsync_expire_now_active(struct xfrmsync_net *ns)
{
	lockdep_assert_held(&ns->role_mutex);
	if (!llist_empty(&ns->expiring) || READ_ONCE(ns->expire_left))
		schedule_delayed_work(&ns->expire_work, 0);
}

/* x->lock held. An SA that was told by XFRM itself meanwhile is not told twice,
 * but for one whose telling nobody could use.
 */
static bool is_due(struct xfrmsync_sa *sa)
{
	const struct xfrm_state *x = sa->x;
	bool low = test_and_clear_bit(XFRMSYNC_SA_LOW, &sa->flags);
	bool again = test_and_clear_bit(XFRMSYNC_SA_UNSAFE, &sa->flags);

	again |= test_and_clear_bit(XFRMSYNC_SA_MISSED, &sa->flags);
	if (x->km.state != XFRM_STATE_VALID && x->km.state != XFRM_STATE_ERROR)
		return false;
	if (low && sa->soft == XFRMSYNC_NEVER && !x->km.dying) {
		xfrmsync_stats_inc(sa->ns, LEASES_LOW);
		return true;
	}
	return again;
}

static void tell(struct xfrmsync_sa *sa)
{
	struct xfrm_state *x;

	rcu_read_lock();
	if (test_bit(XFRMSYNC_SA_GONE, &sa->flags))
		goto unlock;
	x = sa->x;
	spin_lock_bh(&x->lock);
	if (is_due(sa)) {
		x->km.dying = 1;
		km_state_expired(x, 0, 0);
	}
	spin_unlock_bh(&x->lock);
unlock:
	rcu_read_unlock();
}

/* The oldest first; @ns->expire_left is what an earlier run has left. */
static void tell_some(struct xfrmsync_net *ns, unsigned int n)
{
	struct llist_node *next;
	struct xfrmsync_sa *sa;

	while (n--) {
		if (!ns->expire_left)
			ns->expire_left =
				llist_reverse_order(llist_del_all(&ns->expiring));
		if (!ns->expire_left)
			return;
		sa = llist_entry(ns->expire_left, struct xfrmsync_sa, expiring);
		next = ns->expire_left->next;
		/* full barrier: next was read before the node may be used again */
		test_and_clear_bit(XFRMSYNC_SA_EXPIRING, &sa->flags);
		ns->expire_left = next;
		tell(sa);
		xfrmsync_sa_put(sa);
		cond_resched();
	}
}

static void tell_due(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(to_delayed_work(work),
					       struct xfrmsync_net, expire_work);

	if (READ_ONCE(ns->role) == XFRMSYNC_ROLE_STANDBY)
		return;
	tell_some(ns, AT_ONCE);
	if (ns->expire_left || !llist_empty(&ns->expiring))
		schedule_delayed_work(&ns->expire_work, PAUSE);
}

void xfrmsync_expire_net_init(struct xfrmsync_net *ns)
{
	init_llist_head(&ns->expiring);
	init_irq_work(&ns->expire_irq, start_telling);
	INIT_DELAYED_WORK(&ns->expire_work, tell_due);
}

/* After no SA of the namespace is followed any more: drops what waits. */
void xfrmsync_expire_net_exit(struct xfrmsync_net *ns)
{
	irq_work_sync(&ns->expire_irq);
	cancel_delayed_work_sync(&ns->expire_work);
	tell_some(ns, UINT_MAX);
}
