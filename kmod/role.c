// SPDX-License-Identifier: GPL-2.0
/*
 * In: role and epoch, from the module's parameters or from userspace.
 * Out: the role in force in a namespace; while there is one, the module stays.
 * Process context under role_mutex.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/xfrmsync.h>

#include "expire.h"
#include "fence.h"
#include "guard.h"
#include "limit.h"
#include "role.h"
#include "watchdog.h"

/* A stored role is in force from the moment the module loads, before an IKE
 * daemon installs SAs: the tool writes these into modprobe's configuration.
 */
static char *role_param = "none";
module_param_named(role, role_param, charp, 0444);
MODULE_PARM_DESC(role, "role of the initial network namespace from load on: none, active or standby");

static unsigned long long epoch_param;
module_param_named(epoch, epoch_param, ullong, 0444);
MODULE_PARM_DESC(epoch, "epoch that goes with role=");

static unsigned int node_param;
module_param_named(node, node_param, uint, 0444);
MODULE_PARM_DESC(node, "node id that goes with epoch=");

static const char * const names[] = {
	[XFRMSYNC_ROLE_NONE] = "none",
	[XFRMSYNC_ROLE_ACTIVE] = "active",
	[XFRMSYNC_ROLE_STANDBY] = "standby",
};

static int stored_role(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], role_param))
			return i;
	return -EINVAL;
}

/* -EINVAL where role= is none of the roles. */
int xfrmsync_role_check_params(void)
{
	if (stored_role() >= 0)
		return 0;
	pr_err("parameter role: none, active or standby, not \"%s\"\n",
	       role_param);
	return -EINVAL;
}

/* < 0, 0, > 0 as the epoch is older than, equal to, newer than ours. */
static int compare(const struct xfrmsync_net *ns, u64 epoch, u32 node)
{
	if (epoch != ns->epoch)
		return epoch < ns->epoch ? -1 : 1;
	if (node != ns->node)
		return node < ns->node ? -1 : 1;
	return 0;
}

/* The role pins the module, each namespace's once; false where it goes. A
 * standby is fenced before it is one, and an active only after it was.
 */
static bool change(struct xfrmsync_net *ns, u32 role,
		   struct netlink_ext_ack *extack)
{
	if (ns->role == XFRMSYNC_ROLE_NONE && role != XFRMSYNC_ROLE_NONE &&
	    !try_module_get(THIS_MODULE))
		return false;
	xfrmsync_fence_set(ns, role == XFRMSYNC_ROLE_STANDBY, extack);
	if (ns->role != XFRMSYNC_ROLE_NONE && role == XFRMSYNC_ROLE_NONE)
		module_put(THIS_MODULE);
	WRITE_ONCE(ns->role, role);
	return true;
}

static int refuse_change(struct xfrmsync_net *ns, u32 role, int order,
			 struct netlink_ext_ack *extack)
{
	if (order < 0) {
		xfrmsync_stats_inc(ns, STALE_EPOCH);
		NL_SET_ERR_MSG(extack, "the epoch is older than the one in force");
		return -ESTALE;
	}
	if (role == XFRMSYNC_ROLE_ACTIVE && ns->role != role && order == 0 &&
	    ns->role != XFRMSYNC_ROLE_NONE) {
		NL_SET_ERR_MSG(extack, "becoming active takes a higher epoch");
		return -ESTALE;
	}
	return 0;
}

/**
 * xfrmsync_role_set() - change the role
 * @ns: the namespace
 * @role: enum xfrmsync_role
 * @epoch: counter of the new epoch; ignored for role none
 * @node: node id of the new epoch; ignored for role none
 * @drain_ms: of an active that becomes standby: xfrmsync_fence_drain(); 0: not
 * @extack: says why not; also, that the fence had to stop SAs one by one
 *
 * Role none forgets the epoch, so that a namespace can start over: another life,
 * by which userspace knows that limits were lifted.
 *
 * Context: process, role_mutex held; may sleep.
 * Return: 0; -ESTALE (the epoch is older than the one in force, or equal and
 *	the node would become active); -EBUSY (the module is being unloaded).
 */
int xfrmsync_role_set(struct xfrmsync_net *ns, u32 role, u64 epoch, u32 node,
		      u32 drain_ms, struct netlink_ext_ack *extack)
{
	bool changes = role != ns->role;
	int err;

	lockdep_assert_held(&ns->role_mutex);

	if (role == XFRMSYNC_ROLE_NONE) {
		epoch = 0;
		node = 0;
	} else {
		err = refuse_change(ns, role, compare(ns, epoch, node), extack);
		if (err)
			return err;
	}

	if (changes)
		xfrmsync_park_purge(ns);
	if (role == XFRMSYNC_ROLE_NONE) {
		xfrmsync_limit_lift(ns);
		xfrmsync_guard_lift(ns);
		ns->life = xfrmsync_cookie_new();
	}
	if (drain_ms && ns->role == XFRMSYNC_ROLE_ACTIVE &&
	    role == XFRMSYNC_ROLE_STANDBY)
		xfrmsync_fence_drain(ns, drain_ms, extack);
	if (!change(ns, role, extack)) {
		NL_SET_ERR_MSG(extack, "the module is being unloaded");
		return -EBUSY;
	}
	/* Behind the fence. What is set from here on is for its next active time. */
	if (changes && role == XFRMSYNC_ROLE_STANDBY)
		xfrmsync_guard_lift(ns);
	ns->epoch = epoch;
	ns->node = node;
	if (role == XFRMSYNC_ROLE_ACTIVE) {
		xfrmsync_expire_now_active(ns);
		smp_mb();	/* the role is visible before SAs are looked for */
		if (atomic_read(&ns->untold))
			schedule_work(&ns->reconcile);
	}
	xfrmsync_watchdog_role(ns);
	return 0;
}

/**
 * xfrmsync_role_admit() - may records of that epoch be written here?
 * @ns: the namespace
 * @epoch: counter of the epoch they come from
 * @node: node id of the epoch they come from
 * @merge: they only add to what counts as seen (XFRMSYNC_RESTORE_F_MERGE)
 * @extack: says why not
 *
 * A newer epoch is taken over, so that an older one is refused from then on.
 *
 * Context: process, role_mutex held.
 * Return: 0; -EBUSY (this node is active); -ESTALE (an older epoch).
 */
int xfrmsync_role_admit(struct xfrmsync_net *ns, u64 epoch, u32 node,
			bool merge, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&ns->role_mutex);

	if (ns->role == XFRMSYNC_ROLE_ACTIVE &&
	    !(merge && !compare(ns, epoch, node))) {
		NL_SET_ERR_MSG(extack, "this node is active: nothing is restored onto SAs in use");
		return -EBUSY;
	}
	if (compare(ns, epoch, node) < 0) {
		xfrmsync_stats_inc(ns, STALE_EPOCH);
		NL_SET_ERR_MSG(extack, "the records' epoch is older than the one in force");
		return -ESTALE;
	}
	ns->epoch = epoch;
	ns->node = node;
	return 0;
}

void xfrmsync_role_net_init(struct xfrmsync_net *ns)
{
	mutex_init(&ns->role_mutex);
	ns->life = xfrmsync_cookie_new();
	xfrmsync_watchdog_net_init(ns);
}

/* The initial namespace's, when there is nothing any more that may fail before
 * the fence is of use. Process context.
 */
void xfrmsync_role_apply_stored(void)
{
	struct xfrmsync_net *ns = xfrmsync_net(&init_net);

	mutex_lock(&ns->role_mutex);
	change(ns, stored_role(), NULL);
	if (ns->role != XFRMSYNC_ROLE_NONE) {
		ns->epoch = epoch_param;
		ns->node = node_param;
	}
	mutex_unlock(&ns->role_mutex);
}

/* The namespace goes, and its role with it. */
void xfrmsync_role_net_exit(struct xfrmsync_net *ns)
{
	mutex_lock(&ns->role_mutex);
	xfrmsync_fence_guard(ns, false);
	change(ns, XFRMSYNC_ROLE_NONE, NULL);
	mutex_unlock(&ns->role_mutex);
	xfrmsync_watchdog_net_exit(ns);
}
