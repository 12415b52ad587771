// SPDX-License-Identifier: GPL-2.0
/*
 * In: the dirty set of a namespace.
 * Out: batches of records for its one reader, who pulls them.
 * Process context.
 */
#include <linux/ktime.h>
#include <net/genetlink.h>

#include "dirty.h"
#include "netlink.h"
#include "plain.h"
#include "record.h"
#include "stream.h"
#include "trace.h"

static void mark_all(struct xfrmsync_net *ns)
{
	struct xfrmsync_sa *sa;
	unsigned long index;

	rcu_read_lock();
	xa_for_each(&ns->sas, index, sa) {
		set_bit(XFRMSYNC_SA_NEW, &sa->flags);
		xfrmsync_dirty_mark(sa);
	}
	rcu_read_unlock();
}

/**
 * xfrmsync_stream_subscribe() - become the reader
 * @ns: the namespace
 * @portid: netlink port of the reader
 * @extack: says why not
 *
 * All SAs become dirty, so that the next pulls give a full snapshot; what
 * happened before is forgotten. SAs that no event told are looked for first.
 * The answer stands for the first wake-up: the reader pulls, and wake-ups come
 * once that has emptied the set.
 *
 * Context: process, may sleep.
 * Return: 0; -EBUSY (another reader is there).
 */
int xfrmsync_stream_subscribe(struct xfrmsync_net *ns, u32 portid,
			      struct netlink_ext_ack *extack)
{
	schedule_work(&ns->reconcile);
	flush_work(&ns->reconcile);

	mutex_lock(&ns->pull_mutex);
	if (ns->reader && ns->reader != portid) {
		mutex_unlock(&ns->pull_mutex);
		NL_SET_ERR_MSG(extack, "this namespace has a reader already; end it first");
		return -EBUSY;
	}
	xfrmsync_dirty_drop(ns, true);
	ns->resync = false;
	set_bit(0, &ns->woken);		/* the answer is the first wake-up */
	WRITE_ONCE(ns->reader, portid);
	smp_mb();	/* pairs with take_up(): one of the two marks a newborn */
	mark_all(ns);
	mutex_unlock(&ns->pull_mutex);
	return 0;
}

/* The reader ends, by its word or with its socket. */
void xfrmsync_stream_release(struct xfrmsync_net *ns, u32 portid)
{
	mutex_lock(&ns->pull_mutex);
	if (ns->reader == portid) {
		WRITE_ONCE(ns->reader, 0);
		xfrmsync_dirty_drop(ns, true);
	}
	mutex_unlock(&ns->pull_mutex);
}

int xfrmsync_stream_unsubscribe(struct xfrmsync_net *ns, u32 portid,
				struct netlink_ext_ack *extack)
{
	if (READ_ONCE(ns->reader) != portid) {
		NL_SET_ERR_MSG(extack, "this socket is not the reader");
		return -EPERM;
	}
	xfrmsync_stream_release(ns, portid);
	return 0;
}

static u32 told_flags(struct xfrmsync_sa *sa)
{
	u32 flags = 0;

	/* Most of them are neither. Who sets one marks the SA afterwards. */
	if (!(READ_ONCE(sa->flags) &
	      (BIT(XFRMSYNC_SA_NEW) | BIT(XFRMSYNC_SA_CHANGED))))
		return 0;
	if (test_and_clear_bit(XFRMSYNC_SA_NEW, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_NEW;
	if (test_and_clear_bit(XFRMSYNC_SA_CHANGED, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_CHANGED;
	return flags;
}

static void put_popped_plain(struct xfrmsync_plain_msg *m, struct xfrmsync_net *ns,
			     struct xfrmsync_sa *sa, u64 age)
{
	if (test_bit(XFRMSYNC_SA_GONE, &sa->flags)) {
		xfrmsync_record_fill_plain_gone(m, sa);
		xfrmsync_stats_inc(ns, TOMBSTONES);
	} else {
		xfrmsync_record_fill_plain(m, sa, told_flags(sa), age);
		xfrmsync_stats_inc(ns, PULLED);
	}
}

/* Room was made sure of, so that a mark is taken only when its record stands
 * in the batch.
 */
static void put_popped(struct sk_buff *skb, struct netlink_callback *cb,
		       struct xfrmsync_net *ns, struct xfrmsync_sa *sa, u64 age)
{
	bool gone = test_bit(XFRMSYNC_SA_GONE, &sa->flags);
	void *hdr;
	int err;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &xfrmsync_netlink_family, NLM_F_MULTI,
			  XFRMSYNC_CMD_PULL);
	if (WARN_ON_ONCE(!hdr))
		return;
	if (gone) {
		err = xfrmsync_record_fill_gone(skb, sa);
		xfrmsync_stats_inc(ns, TOMBSTONES);
	} else {
		err = xfrmsync_record_fill(skb, sa, told_flags(sa), age);
		xfrmsync_stats_inc(ns, PULLED);
	}
	if (WARN_ON_ONCE(err)) {
		genlmsg_cancel(skb, hdr);
		return;
	}
	genlmsg_end(skb, hdr);
}

/* What one call of a dump fills. msg is there where it is plain. */
struct batch {
	struct sk_buff *skb;
	struct netlink_callback *cb;
	struct xfrmsync_plain_msg *msg;
	u64 now_ns;
};

/* It may go behind this: what it takes then is less. */
static bool fits(const struct batch *b, const struct xfrmsync_sa *sa)
{
	bool gone = test_bit(XFRMSYNC_SA_GONE, &sa->flags);

	if (b->msg)
		return xfrmsync_record_fits_plain(b->msg, sa, gone);
	return skb_tailroom(b->skb) >= NLMSG_HDRLEN + GENL_HDRLEN +
				       xfrmsync_record_size(sa, gone);
}

/* False when the batch is full; the SA then stays where it is. Under RCU. */
static bool put_next(struct batch *b, struct xfrmsync_net *ns, struct xfrmsync_sa *sa)
{
	u64 age;

	if (!fits(b, sa))
		return false;
	/* One that was marked since then waits for the first time. */
	age = max_t(s64, b->now_ns - sa->marked_ns, 1);
	xfrmsync_dirty_pop(ns, sa);
	if (b->msg)
		put_popped_plain(b->msg, ns, sa, age);
	else
		put_popped(b->skb, b->cb, ns, sa, age);
	xfrmsync_sa_put(sa);
	return true;
}

/* How many; no more than are left. Takes one that does not fit for the end of the batch. */
static u32 put_all(struct batch *b, struct xfrmsync_net *ns, long *left, bool *full)
{
	struct xfrmsync_sa *sa;
	u32 given = 0;

	lockdep_assert_held(&ns->pull_mutex);
	rcu_read_lock();
	for (; *left > 1; --*left, given++) {
		sa = xfrmsync_dirty_peek(ns);
		if (!sa)
			break;
		if (!put_next(b, ns, sa)) {
			*full = true;
			break;
		}
	}
	rcu_read_unlock();
	return given;
}

/**
 * xfrmsync_stream_pull() - dump the dirty set, longest waiting first
 * @skb: batch to fill
 * @cb: the dump; ctx holds how many records are still to be given
 *
 * A dump ends after as many records as were waiting when it began: what
 * becomes dirty meanwhile is the next pull's, told by a wake-up.
 *
 * Context: process, may sleep; takes pull_mutex.
 * Return: bytes in the batch while there is more, 0 at the end; -EPERM (not
 *	the reader); -EMSGSIZE (a record does not fit into an empty batch).
 */
int xfrmsync_stream_pull(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct xfrmsync_net *ns = xfrmsync_net(sock_net(skb->sk));
	struct xfrmsync_plain_msg msg;
	struct batch b = {
		.skb = skb, .cb = cb,
		.msg = xfrmsync_plain_wanted(cb) ? &msg : NULL,
		.now_ns = ktime_get_mono_fast_ns(),
	};
	long *left = (long *)cb->ctx;
	bool full = false;
	u32 given;
	int ret;

	mutex_lock(&ns->pull_mutex);
	if (ns->reader != NETLINK_CB(cb->skb).portid) {
		mutex_unlock(&ns->pull_mutex);
		NL_SET_ERR_MSG(cb->extack, "only the reader pulls; subscribe first");
		return -EPERM;
	}
	if (b.msg && !xfrmsync_plain_begin(skb, cb, XFRMSYNC_CMD_PULL, b.msg)) {
		mutex_unlock(&ns->pull_mutex);
		return -EMSGSIZE;
	}
	if (!*left)
		*left = atomic_read(&ns->dirty_count) + 1;
	given = put_all(&b, ns, left, &full);
	if (!full)
		xfrmsync_dirty_rest(ns);
	mutex_unlock(&ns->pull_mutex);
	if (b.msg)
		xfrmsync_plain_end(skb, b.msg);

	ret = !full ? 0 : given ? skb->len : -EMSGSIZE;
	trace_xfrmsync_pull(ns->net, given, ret);
	return ret;
}

/**
 * xfrmsync_stream_wake() - tell the reader that there is something to pull
 * @ns: the namespace
 *
 * A message that does not fit leaves ENOBUFS at the reader, which wakes it
 * just as well. One that could not be made leaves nothing, and there may be no
 * other change after this one.
 *
 * Context: process.
 * Return: false where there is no memory: ask again.
 */
bool xfrmsync_stream_wake(struct xfrmsync_net *ns)
{
	u32 portid = READ_ONCE(ns->reader);
	struct sk_buff *skb;
	void *hdr;

	if (!portid)
		return true;
	skb = genlmsg_new(nla_total_size(sizeof(u32)) + nla_total_size(0),
			  GFP_KERNEL);
	if (!skb)
		return false;
	hdr = genlmsg_put(skb, 0, 0, &xfrmsync_netlink_family, 0,
			  XFRMSYNC_CMD_DIRTY_NTF);
	if (!hdr ||
	    nla_put_u32(skb, XFRMSYNC_A_READER_DIRTY,
			atomic_read(&ns->dirty_count)) ||
	    (READ_ONCE(ns->resync) &&
	     nla_put_flag(skb, XFRMSYNC_A_READER_RESYNC))) {
		nlmsg_free(skb);
		goto lost;
	}
	genlmsg_end(skb, hdr);
	if (genlmsg_unicast(ns->net, skb, portid))
		goto lost;
	xfrmsync_stats_inc(ns, WAKEUPS);
	return true;
lost:
	xfrmsync_stats_inc(ns, WAKEUPS_LOST);
	clear_bit(0, &ns->woken);	/* the next mark tries again */
	return true;
}
