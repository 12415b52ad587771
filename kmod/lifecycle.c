// SPDX-License-Identifier: GPL-2.0
/*
 * In: what XFRM tells its key managers, and walks of the SAD.
 * Out: SAs taken up, marked and let go.
 * Callbacks run under RCU and must not sleep; the walk in process context.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <net/net_namespace.h>
#include <net/xfrm.h>

#include "dirty.h"
#include "expire.h"
#include "lifecycle.h"
#include "limit.h"
#include "restore.h"
#include "stop.h"
#include "trace.h"

/* SAs looked at in one hold of xfrm_state_lock. */
#define WALK_CHUNK 256

/* x->lock held or not; under RCU. */
static void let_go(struct xfrmsync_sa *sa, bool expired)
{
	struct xfrmsync_net *ns = sa->ns;

	if (expired)
		set_bit(XFRMSYNC_SA_EXPIRED, &sa->flags);
	if (!xfrmsync_table_del(sa))
		return;
	xfrmsync_stop_was_untold(sa);
	xfrmsync_stats_inc(ns, UNTRACKED);
	trace_xfrmsync_untrack(sa);
	xfrmsync_dirty_gone(sa);
	xfrmsync_sa_put(sa);
}

/*
 * An SA can die between its birth and our event: XFRM sets DEAD before it
 * tells of a deletion, so who adds looks once more, and one of the two sees
 * the other.
 */
static struct xfrmsync_sa *take_up(struct xfrmsync_net *ns,
				   struct xfrm_state *x)
{
	struct xfrmsync_sa *sa = xfrmsync_table_add(ns, x);

	if (IS_ERR(sa)) {
		if (PTR_ERR(sa) == -ENOMEM)
			xfrmsync_stats_inc(ns, TRACK_FAILED);
		return sa;
	}
	xfrmsync_stats_inc(ns, TRACKED);
	trace_xfrmsync_track(sa);
	smp_mb();	/* the entry is visible before km.state is read */
	if (READ_ONCE(x->km.state) == XFRM_STATE_DEAD) {
		let_go(sa, false);
		return ERR_PTR(-ESRCH);
	}
	xfrmsync_dirty_mark(sa);
	return sa;
}

static void event_new(struct xfrmsync_net *ns, struct xfrm_state *x)
{
	struct xfrmsync_sa *sa = take_up(ns, x);

	/* a walk was faster; it cannot take x->lock, so the rest is left to us */
	if (PTR_ERR_OR_ZERO(sa) == -EEXIST)
		sa = xfrmsync_table_find(x) ?: ERR_PTR(-ESRCH);
	if (!IS_ERR(sa))
		xfrmsync_restore_born(ns, sa);
	else if (PTR_ERR(sa) == -ENOMEM)
		schedule_work(&ns->reconcile);
}

/* What comes with an update is a copy, dead already, unless it replaced a
 * larval SA: find the one that lives.
 */
static void event_update(struct xfrmsync_net *ns, struct xfrm_state *update)
{
	struct xfrmsync_sa *sa;
	struct xfrm_state *x;

	x = xfrm_state_lookup(ns->net, update->mark.v, &update->id.daddr,
			      update->id.spi, update->id.proto,
			      update->props.family);
	if (!x)
		return;
	sa = xfrmsync_table_find(x);
	if (sa && x != update) {
		set_bit(XFRMSYNC_SA_CHANGED, &sa->flags);
		xfrmsync_dirty_mark(sa);
	} else {
		event_new(ns, x);
		/* the larval SA in its place went without a word */
		schedule_work(&ns->reconcile);
	}
	xfrm_state_put(x);
}

static void reconcile_later(struct xfrmsync_net *ns)
{
	schedule_delayed_work(&ns->again, HZ / 10);
}

/* The timer kills the SA first; an expiry by netlink does so only after it
 * told, silently, and a walk between would take the SA up again.
 */
static void event_expired(struct xfrmsync_net *ns, struct xfrmsync_sa *sa,
			  const struct xfrm_state *x)
{
	if (x->km.state == XFRM_STATE_DEAD) {
		let_go(sa, true);
	} else {
		set_bit(XFRMSYNC_SA_EXPIRED, &sa->flags);
		reconcile_later(ns);
	}
}

/* On a standby nobody rekeys: it is told again when it is active. */
static void event_soft(struct xfrmsync_net *ns, struct xfrmsync_sa *sa)
{
	if (READ_ONCE(ns->role) == XFRMSYNC_ROLE_STANDBY &&
	    !test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags))
		xfrmsync_expire_later(sa, XFRMSYNC_SA_MISSED);
	xfrmsync_dirty_mark(sa);
}

static void event_flush(struct xfrmsync_net *ns)
{
	schedule_work(&ns->reconcile);
}

static int notify(struct xfrm_state *x, const struct km_event *c)
{
	struct xfrmsync_net *ns = xfrmsync_net(x ? xs_net(x) : c->net);
	struct xfrmsync_sa *sa = x ? xfrmsync_table_find(x) : NULL;

	switch (c->event) {
	case XFRM_MSG_NEWSA:
		event_new(ns, x);
		break;
	case XFRM_MSG_UPDSA:
		event_update(ns, x);
		break;
	case XFRM_MSG_DELSA:
		if (sa)
			let_go(sa, false);
		break;
	case XFRM_MSG_EXPIRE:
		if (sa && c->data.hard)
			event_expired(ns, sa, x);
		else if (sa)
			event_soft(ns, sa);
		break;
	case XFRM_MSG_NEWAE:
		if (sa)
			xfrmsync_dirty_mark(sa);
		break;
	case XFRM_MSG_FLUSHSA:
		event_flush(ns);
		break;
	}
	return 0;
}

/* Declining: a 0 would make XFRM keep a larval SA for an acquire of ours. */
static int decline_acquire(struct xfrm_state *x, struct xfrm_tmpl *t,
			   struct xfrm_policy *xp)
{
	return -ESRCH;
}

static struct xfrm_policy *decline_policy(struct sock *sk, int opt, u8 *data,
					  int len, int *dir)
{
	return NULL;
}

/* New states of a migration come without an event. */
static int migrated(const struct xfrm_selector *sel, u8 dir, u8 type,
		    const struct xfrm_migrate *m, int num_bundles,
		    const struct xfrm_kmaddress *k, struct net *net,
		    const struct xfrm_encap_tmpl *encap)
{
	schedule_work(&xfrmsync_net(net)->reconcile);
	return -ESRCH;
}

static struct xfrm_mgr manager = {
	.notify		= notify,
	.acquire	= decline_acquire,
	.compile_policy	= decline_policy,
	.migrate	= migrated,
};

struct walk {
	struct xfrmsync_net *ns;
	unsigned int left;
	int err;
};

/* Under xfrm_state_lock: no x->lock here (ABBA), only references. */
static int walk_one(struct xfrm_state *x, int count, void *data)
{
	struct walk *w = data;
	struct xfrmsync_sa *sa;

	if (!w->left)
		return -EAGAIN;		/* parks the cursor at this SA */
	w->left--;
	if (!x->id.spi || xfrmsync_table_find(x))
		return 0;
	sa = take_up(w->ns, x);
	if (IS_ERR(sa) && PTR_ERR(sa) == -ENOMEM)
		w->err = -ENOMEM;
	return 0;
}

static int walk_sad(struct xfrmsync_net *ns)
{
	struct walk w = { .ns = ns };
	struct xfrm_state_walk cursor;
	int err;

	xfrm_state_walk_init(&cursor, IPSEC_PROTO_ANY, NULL);
	do {
		w.left = WALK_CHUNK;
		err = xfrm_state_walk(ns->net, &cursor, walk_one, &w);
		cond_resched();
	} while (err == -EAGAIN && !READ_ONCE(ns->exiting));
	xfrm_state_walk_done(&cursor, ns->net);
	return w.err;
}

/* SAs that went without an event: flush, migration, a device's flush. */
static void let_dead_go(struct xfrmsync_net *ns)
{
	struct xfrmsync_sa *sa;
	unsigned long index;

	xa_for_each(&ns->sas, index, sa) {
		rcu_read_lock();
		/* looked up again under RCU: it may have gone meanwhile */
		sa = xa_load(&ns->sas, index);
		if (sa && READ_ONCE(sa->x->km.state) == XFRM_STATE_DEAD)
			let_go(sa, false);
		rcu_read_unlock();
		cond_resched();
	}
}

/* What a walk took up, and what is to be rekeyed now that the node is active.
 * Process context, may sleep; an SA that goes meanwhile is kept by RCU.
 */
static void look_at_new(struct xfrmsync_net *ns)
{
	struct xfrmsync_sa *sa;
	unsigned long index;

	xa_for_each(&ns->sas, index, sa) {
		rcu_read_lock();
		sa = xa_load(&ns->sas, index);
		if (sa && !test_bit(XFRMSYNC_SA_GONE, &sa->flags))
			xfrmsync_restore_born(ns, sa);
		rcu_read_unlock();
		cond_resched();
	}
}

static void reconcile(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       reconcile);

	xfrmsync_stats_inc(ns, RECONCILED);
	let_dead_go(ns);
	if (walk_sad(ns)) {
		pr_warn_ratelimited("out of memory, some SAs are not followed yet; trying again\n");
		reconcile_later(ns);
	}
	look_at_new(ns);
}

static void reconcile_again(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       again.work);

	schedule_work(&ns->reconcile);
}

/* A device that goes takes the SAs that were offloaded to it, silently. */
static int device_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	if (event == NETDEV_DOWN || event == NETDEV_UNREGISTER)
		if (dev->features & NETIF_F_HW_ESP)
			schedule_work(&xfrmsync_net(dev_net(dev))->reconcile);
	return NOTIFY_DONE;
}

static struct notifier_block device_notifier = {
	.notifier_call = device_event,
	.priority = -1,		/* after XFRM's own */
};

void xfrmsync_lifecycle_net_init(struct xfrmsync_net *ns)
{
	xa_init_flags(&ns->sas, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_BH);
	INIT_WORK(&ns->reconcile, reconcile);
	INIT_DELAYED_WORK(&ns->again, reconcile_again);
}

/* The namespace, or the module, goes: afterwards no SA of it is followed. */
void xfrmsync_lifecycle_net_exit(struct xfrmsync_net *ns)
{
	struct xfrmsync_sa *sa;
	unsigned long index;

	xa_lock_bh(&ns->sas);
	ns->exiting = true;
	xa_unlock_bh(&ns->sas);
	/* Each may queue the other; exiting keeps the walk from adding. */
	cancel_delayed_work_sync(&ns->again);
	cancel_work_sync(&ns->reconcile);
	cancel_delayed_work_sync(&ns->again);
	cancel_work_sync(&ns->reconcile);

	/* What we stopped goes on without us. */
	xfrmsync_limit_lift(ns);
	xa_for_each(&ns->sas, index, sa) {
		rcu_read_lock();
		sa = xa_load(&ns->sas, index);
		if (sa)
			let_go(sa, false);
		rcu_read_unlock();
		cond_resched();
	}
	xa_destroy(&ns->sas);
}

/* SAs that are there already are taken up by a walk of each namespace, after
 * the manager is registered, so that none falls between the two.
 */
int xfrmsync_lifecycle_init(void)
{
	struct net *net;
	int err;

	err = register_netdevice_notifier(&device_notifier);
	if (err)
		return err;
	xfrm_register_km(&manager);

	down_read(&net_rwsem);
	for_each_net(net)
		schedule_work(&xfrmsync_net(net)->reconcile);
	for_each_net(net)
		flush_work(&xfrmsync_net(net)->reconcile);
	up_read(&net_rwsem);
	return 0;
}

void xfrmsync_lifecycle_exit(void)
{
	xfrm_unregister_km(&manager);
	unregister_netdevice_notifier(&device_notifier);
	synchronize_rcu();	/* no callback of ours runs any more */
}
