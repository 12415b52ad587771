// SPDX-License-Identifier: GPL-2.0
/*
 * In: packets, as XFRM draws or accepts a sequence number for them.
 * Out: marks on the SAs that they use.
 * The packet path: x->lock held, BH off; or a periodic look (scan).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/moduleparam.h>
#include <linux/rtnetlink.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/xfrm.h>
#include <linux/xfrmsync.h>

#include "dirty.h"
#include "hook.h"
#include "lease.h"
#include "limit.h"

static unsigned int scan_interval_ms = 100;
module_param(scan_interval_ms, uint, 0644);
MODULE_PARM_DESC(scan_interval_ms, "time between two looks where capture is a scan, ms");

static u32 method = XFRMSYNC_CAPTURE_NONE;

/* Both are called with x->lock held, before the counters change; who makes
 * the record takes x->lock too and so sees them changed.
 */
static const char * const targets[] = {
	"xfrm_replay_overflow",		/* outbound */
	"xfrm_replay_advance",		/* inbound, authenticated */
};

static noinline void notrace look_outbound(struct xfrm_state *x,
					   const struct sk_buff *skb)
{
	struct xfrmsync_sa *sa = xfrmsync_table_find(x);

	if (!sa)
		return;
	xfrmsync_limit_check(sa, skb);
	/* From here on the counter is what was sent, not what was restored. */
	if (test_bit(XFRMSYNC_SA_RESTORED, &sa->flags))
		clear_bit(XFRMSYNC_SA_RESTORED, &sa->flags);
	if (!test_bit(XFRMSYNC_SA_QUEUED, &sa->flags))
		xfrmsync_dirty_mark(sa);
}

static noinline void notrace look_inbound(struct xfrm_state *x)
{
	struct xfrmsync_sa *sa = xfrmsync_table_find(x);

	if (sa && !test_bit(XFRMSYNC_SA_QUEUED, &sa->flags))
		xfrmsync_dirty_mark(sa);
}

/* BH off counts as an RCU read-side section. A packet of an SA that is queued
 * already, far from any limit, is through after some 25 instructions; what is rare is
 * left to a function, so that nothing has to be saved for it.
 */
static __always_inline void outbound(unsigned long arg, unsigned long skb)
{
	struct xfrm_state *x = (struct xfrm_state *)arg;
	const unsigned long seen = BIT(XFRMSYNC_SA_QUEUED);
	const unsigned long mask = seen | BIT(XFRMSYNC_SA_RESTORED);
	struct xfrmsync_sa *sa = xfrmsync_table_first(x);

	if (unlikely(!sa || sa->x != x ||
		     (READ_ONCE(sa->flags) & mask) != seen ||
		     xfrmsync_lease_is_near(xfrmsync_oseq(x), sa->watch)))
		look_outbound(x, (const struct sk_buff *)skb);
}

static __always_inline void inbound(unsigned long arg)
{
	struct xfrm_state *x = (struct xfrm_state *)arg;
	struct xfrmsync_sa *sa = xfrmsync_table_first(x);

	if (unlikely(!sa || sa->x != x ||
		     !test_bit(XFRMSYNC_SA_QUEUED, &sa->flags)))
		look_inbound(x);
}

#if defined(XFRMSYNC_HAVE_FTRACE_ARGS) || defined(CONFIG_KPROBES_ON_FTRACE)
/*
 * ftrace_set_filter() takes it for success when it had no memory for the one
 * entry; and who has no filter is called by each function of the kernel. A
 * filter with nothing in it is the same object for all.
 */
static int ftrace_only(struct ftrace_ops *o, const char *name)
{
	static struct ftrace_ops all;
	int err;

	err = ftrace_set_filter(&all, NULL, 0, true);
	if (!err)
		err = ftrace_set_filter(o, (unsigned char *)name, strlen(name),
					true);
	if (!err && rcu_access_pointer(o->func_hash->filter_hash) ==
		    rcu_access_pointer(all.func_hash->filter_hash))
		err = -ENOMEM;
	return err;
}
#endif

#ifdef XFRMSYNC_HAVE_FTRACE_ARGS
static void notrace ftrace_outbound(unsigned long ip, unsigned long parent,
				    struct ftrace_ops *ops,
				    struct ftrace_regs *fregs)
{
	outbound(ftrace_regs_get_argument(fregs, 0),
		 ftrace_regs_get_argument(fregs, 1));
}

static void notrace ftrace_inbound(unsigned long ip, unsigned long parent,
				   struct ftrace_ops *ops,
				   struct ftrace_regs *fregs)
{
	inbound(ftrace_regs_get_argument(fregs, 0));
}

/* PERMANENT: sysctl kernel.ftrace_enabled=0 gets EBUSY instead of silently
 * turning the capture off.
 */
static struct ftrace_ops ops[] = {
	{ .func = ftrace_outbound, .flags = FTRACE_OPS_FL_PERMANENT },
	{ .func = ftrace_inbound, .flags = FTRACE_OPS_FL_PERMANENT },
};

static void ftrace_stop_some(unsigned int n)
{
	while (n--) {
		unregister_ftrace_function(&ops[n]);
		ftrace_free_filter(&ops[n]);
	}
}

static int ftrace_start(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		err = ftrace_only(&ops[i], targets[i]);
		if (!err)
			err = register_ftrace_function(&ops[i]);
		if (!err)
			continue;
		ftrace_free_filter(&ops[i]);
		ftrace_stop_some(i);
		return err;
	}
	return 0;
}

static void ftrace_stop(void)
{
	ftrace_stop_some(ARRAY_SIZE(ops));
}
#else
static int ftrace_start(void)
{
	return -EOPNOTSUPP;
}

static void ftrace_stop(void)
{
}
#endif

#ifdef CONFIG_KPROBES_ON_FTRACE
static void notrace keep_on(unsigned long ip, unsigned long parent,
			    struct ftrace_ops *ops, struct ftrace_regs *fregs)
{
}

/*
 * Probes at the entries of functions sit on ftrace, and fall silent when it is
 * switched off; or never fire, where it was off before. One permanent user of
 * it, of a function that nobody calls for packets, keeps it on.
 */
static struct ftrace_ops keep_on_ops = {
	.func = keep_on,
	.flags = FTRACE_OPS_FL_PERMANENT,
};

static int ftrace_keep_on(void)
{
	static const char cold[] = "xfrm_state_flush";
	int err;

	err = ftrace_only(&keep_on_ops, cold);
	if (!err)
		err = register_ftrace_function(&keep_on_ops);
	if (err)
		ftrace_free_filter(&keep_on_ops);
	return err;
}

static void ftrace_let_go(void)
{
	unregister_ftrace_function(&keep_on_ops);
	ftrace_free_filter(&keep_on_ops);
}
#else
static int ftrace_keep_on(void)
{
	return 0;
}

static void ftrace_let_go(void)
{
}
#endif

#ifdef CONFIG_KPROBES
static int kprobe_outbound(struct kprobe *p, struct pt_regs *regs)
{
	outbound(regs_get_kernel_argument(regs, 0),
		 regs_get_kernel_argument(regs, 1));
	return 0;
}

static int kprobe_inbound(struct kprobe *p, struct pt_regs *regs)
{
	inbound(regs_get_kernel_argument(regs, 0));
	return 0;
}

static struct kprobe probes[] = {
	{ .pre_handler = kprobe_outbound },
	{ .pre_handler = kprobe_inbound },
};

static int kprobe_start(void)
{
	unsigned int i;
	int err;

	err = ftrace_keep_on();
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		probes[i].symbol_name = targets[i];
		err = register_kprobe(&probes[i]);
		if (err)
			goto unregister;
	}
	return 0;
unregister:
	while (i--)
		unregister_kprobe(&probes[i]);
	ftrace_let_go();
	return err;
}

static void kprobe_stop(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(targets); i++)
		unregister_kprobe(&probes[i]);
	ftrace_let_go();
}
#else
static int kprobe_start(void)
{
	return -EOPNOTSUPP;
}

static void kprobe_stop(void)
{
}
#endif

static void scan(struct work_struct *work);
static DECLARE_DELAYED_WORK(scan_work, scan);

/* Without x->lock: a torn look only makes a mark too many, or one look late. */
static void scan_net(struct xfrmsync_net *ns)
{
	const struct xfrm_state *x;
	struct xfrmsync_sa *sa;
	unsigned long index;
	u32 oseq, packets;

	rcu_read_lock();
	xa_for_each(&ns->sas, index, sa) {
		if (test_bit(XFRMSYNC_SA_GONE, &sa->flags))
			continue;
		x = sa->x;
		oseq = x->replay_esn ? READ_ONCE(x->replay_esn->oseq) :
				       READ_ONCE(x->replay.oseq);
		packets = (u32)READ_ONCE(x->curlft.packets);
		if (oseq == sa->seen_oseq && packets == sa->seen_packets)
			continue;
		if (oseq != sa->seen_oseq)
			clear_bit(XFRMSYNC_SA_RESTORED, &sa->flags);
		sa->seen_oseq = oseq;
		sa->seen_packets = packets;
		xfrmsync_dirty_mark(sa);
	}
	rcu_read_unlock();
}

static void scan(struct work_struct *work)
{
	struct net *net;

	down_read(&net_rwsem);
	for_each_net(net)
		scan_net(xfrmsync_net(net));
	up_read(&net_rwsem);
	schedule_delayed_work(&scan_work,
			      msecs_to_jiffies(max(scan_interval_ms, 1U)));
}

static int scan_start(void)
{
	schedule_delayed_work(&scan_work, 0);
	return 0;
}

static void scan_stop(void)
{
	cancel_delayed_work_sync(&scan_work);
}

static const struct {
	const char *name;
	int (*start)(void);
	void (*stop)(void);
} methods[] = {
	[XFRMSYNC_CAPTURE_FTRACE] = { "ftrace", ftrace_start, ftrace_stop },
	[XFRMSYNC_CAPTURE_KPROBE] = { "kprobe", kprobe_start, kprobe_stop },
	[XFRMSYNC_CAPTURE_SCAN] = { "scan", scan_start, scan_stop },
};

/**
 * xfrmsync_hook_init() - start to notice changes
 * @name: "auto" for the best that works, or the one method to use
 *
 * Context: process, may sleep.
 * Return: 0; -EINVAL (no such method); -ENOMEM; what the method said where it
 *	was asked for by name.
 */
int xfrmsync_hook_init(const char *name)
{
	bool any = !strcmp(name, "auto");
	int err = -EINVAL;
	u32 m;

	for (m = XFRMSYNC_CAPTURE_FTRACE; m < ARRAY_SIZE(methods); m++) {
		if (!any && strcmp(name, methods[m].name))
			continue;
		err = methods[m].start();
		if (!err) {
			method = m;
			pr_info("capture: %s\n", methods[m].name);
			return 0;
		}
		pr_info("capture: %s does not work here (%d)\n",
			methods[m].name, err);
		/* It works, when there is memory: no reason to settle for less. */
		if (!any || err == -ENOMEM)
			break;
	}
	return err;
}

/* Waits until no hook of ours runs any more. Process context, may sleep. */
void xfrmsync_hook_exit(void)
{
	methods[method].stop();
}

u32 xfrmsync_hook_method(void)
{
	return method;
}
