// SPDX-License-Identifier: GPL-2.0
/*
 * In: signs of life of the daemon, and how long to wait for the next one.
 * Out: an active whose daemon is silent for too long is fenced, a standby.
 * Process context under role_mutex.
 *
 * The daemon holds the leases and tells the standbys; without it the node is an
 * active that nobody can ask to step down. An SA stops at the end of its lease
 * at last; with a watchdog it stops when somebody else may be thought active.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/xfrmsync.h>

#include "netlink.h"
#include "role.h"
#include "watchdog.h"

/* A sign of life that came while this one waited for the mutex has put off
 * watchdog_at, and queued the work again.
 */
static bool is_due(const struct xfrmsync_net *ns)
{
	return ns->role == XFRMSYNC_ROLE_ACTIVE && ns->watchdog_ms &&
	       time_after_eq(jiffies, ns->watchdog_at);
}

static void expired(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       watchdog.work);

	mutex_lock(&ns->role_mutex);
	if (!is_due(ns))
		goto unlock;
	/* In the same epoch: nobody was active after it. The role pins the
	 * module already, so this is not refused.
	 */
	if (xfrmsync_role_set(ns, XFRMSYNC_ROLE_STANDBY, ns->epoch, ns->node, 0,
			      NULL))
		goto unlock;
	xfrmsync_stats_inc(ns, WATCHDOG_FIRED);
	pr_warn_ratelimited("no sign of life of the daemon for %u ms: fenced, standby now\n",
			    ns->watchdog_ms);
	xfrmsync_netlink_notify_role(ns);
unlock:
	mutex_unlock(&ns->role_mutex);
}

static void start(struct xfrmsync_net *ns)
{
	unsigned long wait = msecs_to_jiffies(ns->watchdog_ms);

	if (ns->role != XFRMSYNC_ROLE_ACTIVE || !ns->watchdog_ms) {
		cancel_delayed_work(&ns->watchdog);
		return;
	}
	ns->watchdog_at = jiffies + wait;
	mod_delayed_work(system_highpri_wq, &ns->watchdog, wait);
}

/**
 * xfrmsync_watchdog_set() - a sign of life of the daemon
 * @ns: the namespace
 * @ms: how long the next one may take, ms; 0: it need not come
 *
 * Context: process, role_mutex held.
 */
void xfrmsync_watchdog_set(struct xfrmsync_net *ns, u32 ms)
{
	lockdep_assert_held(&ns->role_mutex);

	ns->watchdog_ms = ms;
	start(ns);
}

/**
 * xfrmsync_watchdog_role() - the role was set
 * @ns: the namespace
 *
 * Who sets it lives. Role none forgets the time, as it does the epoch.
 *
 * Context: process, role_mutex held.
 */
void xfrmsync_watchdog_role(struct xfrmsync_net *ns)
{
	lockdep_assert_held(&ns->role_mutex);

	if (ns->role == XFRMSYNC_ROLE_NONE)
		ns->watchdog_ms = 0;
	start(ns);
}

void xfrmsync_watchdog_net_init(struct xfrmsync_net *ns)
{
	INIT_DELAYED_WORK(&ns->watchdog, expired);
}

/* There is no role any more, so it finds nothing due and is not queued again. */
void xfrmsync_watchdog_net_exit(struct xfrmsync_net *ns)
{
	cancel_delayed_work_sync(&ns->watchdog);
}
