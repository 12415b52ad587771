// SPDX-License-Identifier: GPL-2.0
/*
 * In: packets before and after protection, and after it was taken off.
 * Out: none of a managed SA, while this node is not the active; none that its guard holds.
 * Netfilter's hooks: softirq or process context, under RCU.
 *
 * Outbound, XFRM runs POST_ROUTING twice: first with the SAs in the packet's
 * dst and no number drawn, then with what came of it. Whoever passed the first
 * just before the fence went up is caught at the second. What is past that (a
 * qdisc, a neighbour's queue) leaves; the lease covers its number.
 *
 * Netfilter has the hooks only while there is something to drop: being called for
 * nothing, four times for a packet, costs more than all else that is done for it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hrtimer.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/xfrm.h>

#include "fence.h"
#include "guard.h"
#include "netlink.h"
#include "stop.h"
#include "table.h"

/* Fences and guards of namespaces: while there is none, a packet costs this look. */
static atomic_t fences __read_mostly = ATOMIC_INIT(0);

/* An SA that is not followed (yet) is not prepared either. Under RCU. */
static bool is_fenced(struct xfrm_state *x)
{
	struct xfrmsync_net *ns = xfrmsync_net(xs_net(x));
	const struct xfrmsync_sa *sa;

	if (!READ_ONCE(ns->fenced))
		return false;
	sa = xfrmsync_table_find(x);
	return !sa || !test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags);
}

/* Transforms that follow without a tunnel between run in one go. */
static struct xfrm_state *fenced_bundle(const struct dst_entry *dst)
{
	for (; dst && dst->xfrm; dst = xfrm_dst_child(dst))
		if (is_fenced(dst->xfrm))
			return dst->xfrm;
	return NULL;
}

/* What this node protected carries its SPI; false for all else. */
static bool outer_spi(struct sk_buff *skb, int offset,
		      struct xfrmsync_sa_id *id)
{
	bool in_udp = id->proto == IPPROTO_UDP;
	const void *p;
	__be32 buf;

	switch (id->proto) {
	case IPPROTO_ESP:
		break;
	case IPPROTO_AH:
		offset += offsetof(struct ip_auth_hdr, spi);
		break;
	case IPPROTO_UDP:
		id->proto = IPPROTO_ESP;
		offset += sizeof(struct udphdr);
		break;
	default:
		return false;
	}
	p = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	if (!p)
		return false;
	memcpy(&id->spi, p, sizeof(id->spi));
	/* RFC 3948 section 2.2: zero there is IKE. */
	return !in_udp || id->spi;
}

static bool is_late(struct net *net, struct sk_buff *skb, int offset,
		    struct xfrmsync_sa_id *id)
{
	struct xfrmsync_net *ns = xfrmsync_net(net);
	struct xfrm_state *x;
	bool late;

	if (!READ_ONCE(ns->fenced) || !outer_spi(skb, offset, id))
		return false;
	x = xfrm_state_lookup(net, skb->mark, &id->daddr, id->spi, id->proto,
			      id->family);
	/* The SA's mark was the flow's: a vti's packet, or one of an SA that
	 * sets a mark, has another one now.
	 */
	if (!x)
		return xfrmsync_table_has_managed(ns, id);
	late = is_fenced(x);
	xfrm_state_put(x);
	return late;
}

/* Apart: what they have on the stack shall not cost the other packets. */
static noinline bool is_late4(struct net *net, struct sk_buff *skb)
{
	const struct iphdr *iph = ip_hdr(skb);
	struct xfrmsync_sa_id id;

	/* The whole name is hashed; an initializer of a4 leaves the rest of the
	 * union as it was (C23, and GCC 15 in all modes).
	 */
	memset(&id, 0, sizeof(id));
	id.daddr.a4 = iph->daddr;
	id.family = AF_INET;
	id.proto = iph->protocol;
	return is_late(net, skb, skb_network_offset(skb) + iph->ihl * 4, &id);
}

static noinline bool is_late6(struct net *net, struct sk_buff *skb)
{
	struct xfrmsync_sa_id id = {
		.daddr.in6 = ipv6_hdr(skb)->daddr,
		.family = AF_INET6,
	};
	int offset = 0, flags = IP6_FH_F_AUTH;	/* AH is not skipped */
	int proto = ipv6_find_hdr(skb, &offset, -1, NULL, &flags);

	if (proto <= 0)
		return false;
	id.proto = proto;
	return is_late(net, skb, offset, &id);
}

/* It has its number; while the fence rises by steps, it may leave. */
static unsigned int late(struct net *net)
{
	struct xfrmsync_net *ns = xfrmsync_net(net);

	if (!READ_ONCE(ns->draining)) {
		xfrmsync_stats_inc(ns, FENCED_LATE);
		return NF_DROP;
	}
	xfrmsync_stats_inc(ns, DRAINED);
	return NF_ACCEPT;
}

static unsigned int drop(struct xfrm_state *x, unsigned int stat)
{
	atomic64_inc(&xfrmsync_net(xs_net(x))->stats.value[stat]);
	return NF_DROP;
}

static unsigned int out4(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	struct xfrm_state *x;

	if (likely(!atomic_read(&fences)))
		return NF_ACCEPT;
	x = fenced_bundle(skb_dst(skb));
	if (x)
		return drop(x, XFRMSYNC_A_STATS_FENCED_OUT);
	if ((IPCB(skb)->flags & IPSKB_XFRM_TRANSFORMED) &&
	    is_late4(state->net, skb))
		return late(state->net);
	return NF_ACCEPT;
}

static unsigned int out6(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	struct xfrm_state *x;

	if (likely(!atomic_read(&fences)))
		return NF_ACCEPT;
	x = fenced_bundle(skb_dst(skb));
	if (x)
		return drop(x, XFRMSYNC_A_STATS_FENCED_OUT);
	if ((IP6CB(skb)->flags & IP6SKB_XFRM_TRANSFORMED) &&
	    is_late6(state->net, skb))
		return late(state->net);
	return NF_ACCEPT;
}

/* The packet's secpath names the SAs that took its protection off. */
static struct xfrm_state *fenced_path(const struct sk_buff *skb)
{
	const struct sec_path *sp = skb_sec_path(skb);
	int i;

	for (i = 0; sp && i < sp->len; i++)
		if (is_fenced(sp->xvec[i]) &&
		    !READ_ONCE(xfrmsync_net(xs_net(sp->xvec[i]))->draining))
			return sp->xvec[i];
	return NULL;
}

static struct xfrm_state *held_path(const struct sk_buff *skb)
{
	const struct sec_path *sp = skb_sec_path(skb);
	int i;

	for (i = 0; sp && i < sp->len; i++)
		if (xfrmsync_guard_holds(sp->xvec[i]))
			return sp->xvec[i];
	return NULL;
}

static unsigned int in(void *priv, struct sk_buff *skb,
		       const struct nf_hook_state *state)
{
	struct xfrm_state *x;

	if (likely(!atomic_read(&fences)))
		return NF_ACCEPT;
	x = fenced_path(skb);
	if (x)
		return drop(x, XFRMSYNC_A_STATS_FENCED_IN);
	x = held_path(skb);
	return x ? drop(x, XFRMSYNC_A_STATS_GUARD_HELD) : NF_ACCEPT;
}

/*
 * vti and, across namespaces, xfrm interfaces take the secpath off before the
 * packet comes to netfilter: XFRM asks here first.
 */
static int pass(struct sk_buff *skb)
{
	return -EINVAL;
}

static int pass_encap(struct sk_buff *skb, int nexthdr, __be32 spi,
		      int encap_type)
{
	return -EINVAL;
}

static int pass_error4(struct sk_buff *skb, u32 info)
{
	return -ENOENT;
}

static int pass_error6(struct sk_buff *skb, struct inet6_skb_parm *opt, u8 type,
		       u8 code, int offset, __be32 info)
{
	return -ENOENT;
}

/* Under RCU. 1: the next handler is asked; negative: XFRM drops the packet. */
static int taken_off(struct sk_buff *skb, int err)
{
	struct xfrm_state *x;

	if (err || likely(!atomic_read(&fences)))
		return 1;
	x = fenced_path(skb);
	if (x) {
		xfrmsync_stats_inc(xfrmsync_net(xs_net(x)), FENCED_IN);
		return -EPERM;
	}
	x = held_path(skb);
	if (x) {
		xfrmsync_stats_inc(xfrmsync_net(xs_net(x)), GUARD_HELD);
		return -EPERM;
	}
	return 1;
}

#define ASKED_FIRST 200		/* vti: 100 */

static struct xfrm4_protocol protocol4[] = {
	[0 ... 2] = {
		.handler = pass,
		.input_handler = pass_encap,
		.cb_handler = taken_off,
		.err_handler = pass_error4,
		.priority = ASKED_FIRST,
	},
};

static struct xfrm6_protocol protocol6[] = {
	[0 ... 2] = {
		.handler = pass,
		.input_handler = pass_encap,
		.cb_handler = taken_off,
		.err_handler = pass_error6,
		.priority = ASKED_FIRST,
	},
};

static const u8 protocols[] = { IPPROTO_ESP, IPPROTO_AH, IPPROTO_COMP };

static int ask_first(unsigned int n)
{
	return n % 2 ? xfrm6_protocol_register(&protocol6[n / 2], protocols[n / 2]) :
		       xfrm4_protocol_register(&protocol4[n / 2], protocols[n / 2]);
}

/* The first n of them. Each waits for packets. */
static void stop_asking(unsigned int n)
{
	while (n--)
		if (n % 2)
			xfrm6_protocol_deregister(&protocol6[n / 2], protocols[n / 2]);
		else
			xfrm4_protocol_deregister(&protocol4[n / 2], protocols[n / 2]);
}

/**
 * xfrmsync_fence_init() - have XFRM ask here first
 *
 * At load and for good: another module could have that place when a fence rises.
 *
 * Context: process; may sleep. The namespaces are there.
 * Return: 0; -EEXIST where another module has that place; -EAGAIN where one has
 *	the protocol, past XFRM.
 */
int xfrmsync_fence_init(void)
{
	unsigned int n;
	int err;

	for (n = 0; n < 2 * ARRAY_SIZE(protocols); n++) {
		err = ask_first(n);
		if (!err)
			continue;
		pr_err("IPv%u, protocol %u: another module has the handler of priority %u: vti could not be fenced\n",
		       n % 2 ? 6 : 4, protocols[n / 2], ASKED_FIRST);
		/* XFRM keeps one that it could not hook up. */
		stop_asking(err == -EAGAIN ? n + 1 : n);
		return err;
	}
	return 0;
}

/* No packet asks here any more. */
void xfrmsync_fence_exit(void)
{
	stop_asking(2 * ARRAY_SIZE(protocols));
}

/* Last on the way out: SNAT may attach the SAs inside POST_ROUTING. First on
 * the way in: nobody else shall see what was taken off here.
 */
static const struct nf_hook_ops hooks[] = {
	{
		.hook = out4,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP_PRI_LAST,
	},
	{
		.hook = out6,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_POST_ROUTING,
		.priority = NF_IP6_PRI_LAST,
	},
	{
		.hook = in,
		.pf = NFPROTO_IPV4,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP_PRI_FIRST,
	},
	{
		.hook = in,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP6_PRI_FIRST,
	},
};

/* Jiffies: a node whose role goes back and forth keeps its hooks; and between two tries
 * to register them, at first, and at last.
 */
#define HOOKS_IDLE (2 * HZ)
#define HOOKS_RETRY_MIN (HZ / 10)
#define HOOKS_RETRY_MAX (10 * HZ)

/* Each SA as barred says. Process context, role_mutex held; takes x->lock. */
static void bar(struct xfrmsync_net *ns, bool on)
{
	struct xfrmsync_sa *sa;
	unsigned long index;

	if (ns->barred == on)
		return;
	WRITE_ONCE(ns->barred, on);
	smp_mb();	/* whoever adds an SA that is not found here sees it */
	xa_for_each(&ns->sas, index, sa) {
		rcu_read_lock();
		sa = xa_load(&ns->sas, index);
		if (sa && !test_bit(XFRMSYNC_SA_GONE, &sa->flags)) {
			spin_lock_bh(&sa->x->lock);
			xfrmsync_stop_barred(sa);
			spin_unlock_bh(&sa->x->lock);
		}
		rcu_read_unlock();
		cond_resched();
	}
}

static bool needs_hooks(const struct xfrmsync_net *ns)
{
	return ns->fenced || ns->guarded;
}

/* Memory is not waited for, with role_mutex: that there is none may be why the daemon is
 * silent.
 */
static int get_hooks(struct xfrmsync_net *ns)
{
	unsigned int flags;
	int err;

	if (ns->hooked)
		return 0;
	flags = memalloc_noreclaim_save();
	err = nf_register_net_hooks(ns->net, hooks, ARRAY_SIZE(hooks));
	memalloc_noreclaim_restore(flags);
	if (!err)
		ns->hooked = true;
	return err;
}

/* Unbound: a CPU that a task keeps for itself must not hold the worker with role_mutex, or
 * netfilter's.
 */
static void look_later(struct xfrmsync_net *ns, unsigned long delay)
{
	mod_delayed_work(system_unbound_wq, &ns->hooks_work, delay);
}

/*
 * With the flag up already. That it fails takes a thousand others on a hook, or no
 * memory. The fence holds all the same: inbound, XFRM asks here first in any case;
 * outbound, an SA that is stopped draws no number.
 */
static void want_hooks(struct xfrmsync_net *ns, struct netlink_ext_ack *extack)
{
	int err = get_hooks(ns);

	if (!err)
		return;
	if (ns->fenced) {
		NL_SET_ERR_MSG(extack, "netfilter has no room for the fence's hooks: SAs are stopped one by one");
		pr_warn_ratelimited("netfilter has no room for the fence's hooks (%d): SAs are stopped one by one\n",
				    err);
		bar(ns, true);
	} else {
		pr_warn_ratelimited("netfilter has no room for the guard's hooks (%d): packets that XFRM does not ask for are not held\n",
				    err);
	}
	ns->hooks_wait = HOOKS_RETRY_MIN;
	look_later(ns, ns->hooks_wait);
}

/* Nobody waits for that, a takeover least of all. */
static void let_hooks_go(struct xfrmsync_net *ns)
{
	if (!needs_hooks(ns))
		look_later(ns, HOOKS_IDLE);
}

/*
 * What is not needed any more goes without role_mutex: if the fence rises meanwhile,
 * the hooks are registered a second time, and one of the two is taken away.
 */
static void look_after_hooks(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       hooks_work.work);
	bool idle = false;

	mutex_lock(&ns->role_mutex);
	if (!needs_hooks(ns)) {
		idle = ns->hooked;
		ns->hooked = false;
	} else if (get_hooks(ns)) {
		ns->hooks_wait = min_t(unsigned long, 2 * ns->hooks_wait,
				       HOOKS_RETRY_MAX);
		look_later(ns, ns->hooks_wait);
	} else if (ns->barred) {
		synchronize_net();	/* who did not see the hooks meets a stopped SA */
		bar(ns, false);
		pr_info("netfilter has the fence's hooks\n");
		xfrmsync_netlink_notify_role(ns);
	}
	mutex_unlock(&ns->role_mutex);

	if (idle)
		nf_unregister_net_hooks(ns->net, hooks, ARRAY_SIZE(hooks));
}

/**
 * xfrmsync_fence_set() - put the fence up, or take it down
 * @ns: the namespace
 * @up: up: no packet of a managed SA is protected or delivered
 * @extack: says where SAs had to be stopped one by one; or NULL
 *
 * After it was put up, no packet that saw it down, or no hook, is still on its way to
 * the first hook's end.
 *
 * Context: process, role_mutex held; may sleep; takes x->lock where there is no
 *	room for hooks.
 */
void xfrmsync_fence_set(struct xfrmsync_net *ns, bool up,
			struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&ns->role_mutex);

	if (ns->fenced == up)
		return;
	WRITE_ONCE(ns->fenced, up);
	if (up) {
		atomic_inc(&fences);
		want_hooks(ns, extack);
		synchronize_net();
	} else {
		atomic_dec(&fences);
		bar(ns, false);
		let_hooks_go(ns);
	}
}

/* By what it holds: enum xfrmsync_fence. role_mutex held. */
u32 xfrmsync_fence_state(const struct xfrmsync_net *ns)
{
	lockdep_assert_held(&ns->role_mutex);

	if (!ns->fenced)
		return XFRMSYNC_FENCE_DOWN;
	return ns->barred ? XFRMSYNC_FENCE_SAS : XFRMSYNC_FENCE_HOOKS;
}

/* Nothing left for so long; or who asked is being killed. */
static bool is_dry(struct xfrmsync_net *ns, u32 quiet_ms)
{
	atomic64_t *drained = &ns->stats.value[XFRMSYNC_A_STATS_DRAINED];
	s64 before = atomic64_read(drained);
	ktime_t quiet = ms_to_ktime(quiet_ms);

	set_current_state(TASK_KILLABLE);
	schedule_hrtimeout(&quiet, HRTIMER_MODE_REL);
	return atomic64_read(drained) == before || fatal_signal_pending(current);
}

#define DRAIN_TRIES 10

/**
 * xfrmsync_fence_drain() - put the fence up by steps: what has its number may leave
 * @ns: the namespace
 * @quiet_ms: nothing came out of crypto for so long: that was all
 * @extack: as of xfrmsync_fence_set()
 *
 * An asynchronous cipher has packets that were numbered before: dropped behind the
 * fence they would be lost for no reason. (Those are that still have a tunnel's SA
 * before them: it would draw a number.) What comes is delivered meanwhile: it is in
 * the last records.
 *
 * Context: process, role_mutex held; sleeps for DRAIN_TRIES times @quiet_ms at
 *	most, and not for longer than XFRMSYNC_MAX_DRAIN; a fatal signal ends that.
 */
void xfrmsync_fence_drain(struct xfrmsync_net *ns, u32 quiet_ms,
			  struct netlink_ext_ack *extack)
{
	unsigned int left = min_t(u32, DRAIN_TRIES * quiet_ms, XFRMSYNC_MAX_DRAIN);

	lockdep_assert_held(&ns->role_mutex);

	/* Who sees the fence and not yet this drops a packet, no more. */
	WRITE_ONCE(ns->draining, true);
	xfrmsync_fence_set(ns, true, extack);
	do {
		left -= quiet_ms;
	} while (!is_dry(ns, quiet_ms) && left >= quiet_ms);
	WRITE_ONCE(ns->draining, false);
	synchronize_net();	/* what may leave, or be delivered, has done so */
}

/**
 * xfrmsync_fence_guard() - look at what SAs deliver, or do not any more
 * @ns: the namespace
 * @on: on: before the first SA of it has a limit
 *
 * A packet that is past the look already has drawn its number before whoever
 * takes the SA's x->lock next: the record shows it.
 *
 * XFRM asks here from now on; Netfilter's hook, which also sees what XFRM does not ask for,
 * may come later, where there is no room for it.
 *
 * Context: process, role_mutex held; may sleep.
 */
void xfrmsync_fence_guard(struct xfrmsync_net *ns, bool on)
{
	lockdep_assert_held(&ns->role_mutex);

	if (ns->guarded == on)
		return;
	WRITE_ONCE(ns->guarded, on);
	atomic_add(on ? 1 : -1, &fences);
	if (on)
		want_hooks(ns, NULL);
	else
		let_hooks_go(ns);
}

void xfrmsync_fence_net_init(struct xfrmsync_net *ns)
{
	INIT_DELAYED_WORK(&ns->hooks_work, look_after_hooks);
}

/* There is no role any more, and no guard: nobody needs the hooks, and nobody will. */
void xfrmsync_fence_net_exit(struct xfrmsync_net *ns)
{
	cancel_delayed_work_sync(&ns->hooks_work);
	if (!ns->hooked)
		return;
	nf_unregister_net_hooks(ns->net, hooks, ARRAY_SIZE(hooks));
	ns->hooked = false;
	synchronize_net();	/* they are code of this module */
}
