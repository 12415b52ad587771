/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: network namespaces as they come and go.
 * Out: struct xfrmsync_net, all that the module knows of one of them.
 * Process context, under pernet_ops_rwsem.
 */
#ifndef XFRMSYNC_PERNET_H
#define XFRMSYNC_PERNET_H

#include <linux/atomic.h>
#include <linux/irq_work.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/netns/generic.h>

#include "park.h"
#include "stats.h"
#include "table.h"

/**
 * struct xfrmsync_net - one network namespace
 * @net: the namespace; not refcounted, pernet exit ends all use
 * @sas: its SAs by index, oldest first; xa_lock (BH) for changes, RCU for reads
 * @next_index: where the next index is looked for; under the xa_lock
 * @count: SAs in @sas; under the xa_lock
 * @exiting: pernet exit has begun, nothing is taken up any more
 * @reconcile: walks the SAD for what no event told
 * @again: reconciles once more, later
 * @role_mutex: serializes restore, bind and role change
 * @role: enum xfrmsync_role; written under @role_mutex
 * @epoch: counter of the epoch in force; under @role_mutex
 * @node: node id of the epoch in force; under @role_mutex
 * @life: number of the time since there was no role last; under @role_mutex
 * @fenced: no packet of a managed SA passes; written under @role_mutex
 * @draining: fenced, but what has its number may leave, and what comes is delivered;
 *	written under @role_mutex
 * @watchdog_ms: so long may the daemon of an active be silent, 0 for ever; under @role_mutex
 * @watchdog_at: jiffies at which it was silent for too long; under @role_mutex
 * @watchdog: looks then
 * @guarded: an SA has, or had, a limit to what it delivers; written under @role_mutex
 * @hooked: Netfilter has the fence's hooks; under @role_mutex
 * @barred: it has no room for them, the fence stops SAs one by one; written under
 *	@role_mutex
 * @hooks_work: tries again to register the hooks, or takes those away that nobody needs
 * @hooks_wait: jiffies until the next try; under @role_mutex
 * @dirty: SAs marked and not yet seen by a pull; lock-free
 * @dirty_count: SAs marked and not yet pulled
 * @wake_irq: leaves the packet path on the way to the reader
 * @wake_work: sends the wake-up message; again where there is no memory for it
 * @woken: bit 0: the reader has been told and has not emptied the set since
 * @pull_mutex: one pull at a time; protects @fifo
 * @fifo: SAs taken off @dirty, oldest first, not yet in a batch
 * @reader: port id of the reader, 0 for none; written under @pull_mutex
 * @untold: SAs that came to a standby, and no active told
 * @gone: SAs that are deleted and still wait to be told; sizes the sweep
 * @resync: deletions were dropped, the reader must start again
 * @sweep: frees deletions that nobody waits for
 * @expiring: SAs to be soft-expired
 * @expire_irq: leaves the packet path on the way to the soft expiry
 * @expire_work: tells it
 * @expire_left: what an earlier run of it has left; the work's own
 * @park: records of SAs that are not there yet
 * @stats: counters
 */
struct xfrmsync_net {
	struct net *net;

	struct xarray sas;
	u32 next_index;
	u32 count;
	bool exiting;
	struct work_struct reconcile;
	struct delayed_work again;

	struct mutex role_mutex;
	u32 role;
	u64 epoch;
	u32 node;
	u64 life;
	bool fenced;
	bool draining;
	u32 watchdog_ms;
	unsigned long watchdog_at;
	struct delayed_work watchdog;
	bool guarded;
	bool hooked;
	bool barred;
	struct delayed_work hooks_work;
	unsigned long hooks_wait;

	struct llist_head dirty;
	atomic_t dirty_count;
	struct irq_work wake_irq;
	struct delayed_work wake_work;
	unsigned long woken;

	struct mutex pull_mutex;
	struct llist_node *fifo;
	u32 reader;
	atomic_t untold;
	atomic_t gone;
	bool resync;
	struct work_struct sweep;

	struct llist_head expiring;
	struct irq_work expire_irq;
	struct delayed_work expire_work;
	struct llist_node *expire_left;

	struct xfrmsync_park park;
	struct xfrmsync_stats stats;
};

extern unsigned int xfrmsync_net_id;

static inline struct xfrmsync_net *xfrmsync_net(const struct net *net)
{
	return net_generic(net, xfrmsync_net_id);
}

int xfrmsync_pernet_init(void);
void xfrmsync_pernet_exit(void);

#endif
