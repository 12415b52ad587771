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
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/udp.h>
#include <linux/workqueue.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/xfrm.h>

#include "fence.h"
#include "guard.h"
#include "table.h"

/* Fences and guards of namespaces: while there is none, a packet costs this look. */
static atomic_t fences __read_mostly = ATOMIC_INIT(0);
static DEFINE_MUTEX(fences_mutex);	/* of all namespaces, inside role_mutex */

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
static bool outer_spi(struct sk_buff *skb, int offset, u8 proto, u8 *type,
		      __be32 *spi)
{
	struct {
		struct udphdr udp;
		__be32 spi;
	} __packed encap;
	const void *p;

	*type = proto;
	switch (proto) {
	case IPPROTO_ESP:
		p = skb_header_pointer(skb, offset, sizeof(*spi), spi);
		break;
	case IPPROTO_AH:
		p = skb_header_pointer(skb, offset + 4, sizeof(*spi), spi);
		break;
	case IPPROTO_UDP:
		*type = IPPROTO_ESP;
		p = skb_header_pointer(skb, offset, sizeof(encap), &encap);
		if (p)
			memcpy(spi, p + sizeof(struct udphdr), sizeof(*spi));
		return p && *spi;
	default:
		return false;
	}
	if (p && p != spi)
		memcpy(spi, p, sizeof(*spi));
	return p;
}

static bool is_late(struct net *net, struct sk_buff *skb, int offset, u8 proto,
		    const xfrm_address_t *daddr, u16 family)
{
	struct xfrm_state *x;
	bool late = false;
	__be32 spi;
	u8 type;

	if (!outer_spi(skb, offset, proto, &type, &spi))
		return false;
	x = xfrm_state_lookup(net, skb->mark, daddr, spi, type, family);
	if (!x)
		return false;
	late = is_fenced(x);
	xfrm_state_put(x);
	return late;
}

static unsigned int drop(struct net *net, struct xfrm_state *x,
			 unsigned int stat)
{
	struct xfrmsync_net *ns = xfrmsync_net(x ? xs_net(x) : net);

	atomic64_inc(&ns->stats.value[stat]);
	return NF_DROP;
}

static unsigned int out4(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	struct xfrm_state *x;
	const struct iphdr *iph;

	if (likely(!atomic_read(&fences)))
		return NF_ACCEPT;
	x = fenced_bundle(skb_dst(skb));
	if (x)
		return drop(state->net, x, XFRMSYNC_A_STATS_FENCED_OUT);
	if (!(IPCB(skb)->flags & IPSKB_XFRM_TRANSFORMED))
		return NF_ACCEPT;
	iph = ip_hdr(skb);
	if (is_late(state->net, skb, skb_network_offset(skb) + iph->ihl * 4,
		    iph->protocol, (const xfrm_address_t *)&iph->daddr, AF_INET))
		return drop(state->net, NULL, XFRMSYNC_A_STATS_FENCED_LATE);
	return NF_ACCEPT;
}

static unsigned int out6(void *priv, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	struct xfrm_state *x;
	int offset = 0, proto;

	if (likely(!atomic_read(&fences)))
		return NF_ACCEPT;
	x = fenced_bundle(skb_dst(skb));
	if (x)
		return drop(state->net, x, XFRMSYNC_A_STATS_FENCED_OUT);
	if (!(IP6CB(skb)->flags & IP6SKB_XFRM_TRANSFORMED))
		return NF_ACCEPT;
	proto = ipv6_find_hdr(skb, &offset, -1, NULL, NULL);
	if (proto > 0 &&
	    is_late(state->net, skb, offset, proto,
		    (const xfrm_address_t *)&ipv6_hdr(skb)->daddr, AF_INET6))
		return drop(state->net, NULL, XFRMSYNC_A_STATS_FENCED_LATE);
	return NF_ACCEPT;
}

/* The packet's secpath names the SAs that took its protection off. */
static struct xfrm_state *fenced_path(const struct sk_buff *skb)
{
	const struct sec_path *sp = skb_sec_path(skb);
	int i;

	for (i = 0; sp && i < sp->len; i++)
		if (is_fenced(sp->xvec[i]))
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
		return drop(state->net, x, XFRMSYNC_A_STATS_FENCED_IN);
	x = held_path(skb);
	return x ? drop(state->net, x, XFRMSYNC_A_STATS_GUARD_HELD) : NF_ACCEPT;
}

/*
 * vti and, across namespaces, xfrm interfaces take the secpath off before the
 * packet comes to netfilter: while there is a fence, or a guard, XFRM asks here
 * first.
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
	struct xfrm_state *x = err || !atomic_read(&fences) ? NULL : fenced_path(skb);

	if (x) {
		xfrmsync_stats_inc(xfrmsync_net(xs_net(x)), FENCED_IN);
		return -EPERM;
	}
	x = err ? NULL : held_path(skb);
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

/* They fail for a priority that is taken, and then somebody else is asked
 * first: the hooks see what they can.
 */
static void ask_first(bool on)
{
	static bool registered4[ARRAY_SIZE(protocols)];
	static bool registered6[ARRAY_SIZE(protocols)];
	static bool asked;

	unsigned int i;

	lockdep_assert_held(&fences_mutex);
	if (asked == on)
		return;
	asked = on;
	for (i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (registered4[i])
			xfrm4_protocol_deregister(&protocol4[i], protocols[i]);
		if (registered6[i])
			xfrm6_protocol_deregister(&protocol6[i], protocols[i]);
		registered4[i] = on && !xfrm4_protocol_register(&protocol4[i],
								protocols[i]);
		registered6[i] = on && !xfrm6_protocol_register(&protocol6[i],
								protocols[i]);
		if (on && (!registered4[i] || !registered6[i]))
			pr_warn("protocol %u: another module is asked first: vti is not fenced\n",
				protocols[i]);
	}
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

/* Taking a handler away waits for packets, six times: not in a takeover. */
static void stop_asking(struct work_struct *work)
{
	mutex_lock(&fences_mutex);
	if (!atomic_read(&fences))
		ask_first(false);
	mutex_unlock(&fences_mutex);
}

static DECLARE_DELAYED_WORK(stop_work, stop_asking);

/* fences_mutex held. */
static void look_at_packets(bool on)
{
	if (on && atomic_inc_return(&fences) == 1)
		ask_first(true);
	else if (!on && atomic_dec_and_test(&fences))
		schedule_delayed_work(&stop_work, HZ);
}

/**
 * xfrmsync_fence_set() - put the fence up, or take it down
 * @ns: the namespace
 * @up: up: no packet of a managed SA is protected or delivered
 *
 * After it was put up, no packet that saw it down is still on its way to the
 * first hook's end.
 *
 * Context: process, role_mutex held; may sleep.
 */
void xfrmsync_fence_set(struct xfrmsync_net *ns, bool up)
{
	if (ns->fenced == up)
		return;
	mutex_lock(&fences_mutex);
	if (up) {
		WRITE_ONCE(ns->fenced, true);
		look_at_packets(true);
		synchronize_net();
	} else {
		WRITE_ONCE(ns->fenced, false);
		look_at_packets(false);
	}
	mutex_unlock(&fences_mutex);
}

/**
 * xfrmsync_fence_guard() - look at what SAs deliver, or do not any more
 * @ns: the namespace
 * @on: on: before the first SA of it has a limit
 *
 * A packet that is past the look already has drawn its number before whoever
 * takes the SA's x->lock next: the record shows it.
 *
 * Context: process, role_mutex held; may sleep.
 */
void xfrmsync_fence_guard(struct xfrmsync_net *ns, bool on)
{
	if (ns->guarded == on)
		return;
	mutex_lock(&fences_mutex);
	WRITE_ONCE(ns->guarded, on);
	look_at_packets(on);
	mutex_unlock(&fences_mutex);
}

/* Registering sleeps and may fail: so the hooks are there from the first. */
int xfrmsync_fence_net_init(struct xfrmsync_net *ns)
{
	return nf_register_net_hooks(ns->net, hooks, ARRAY_SIZE(hooks));
}

void xfrmsync_fence_net_exit(struct xfrmsync_net *ns)
{
	nf_unregister_net_hooks(ns->net, hooks, ARRAY_SIZE(hooks));
}

/* After the last namespace. */
void xfrmsync_fence_exit(void)
{
	cancel_delayed_work_sync(&stop_work);
	stop_asking(NULL);
}
