// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs whose state changed, from the packet path and from events.
 * Out: the dirty set of a namespace, oldest first, and a wake-up of its reader.
 * Marking in any context; the rest in process context under pull_mutex.
 */
#include <linux/ktime.h>

#include "dirty.h"
#include "stream.h"
#include "trace.h"

/* Deletions kept for a reader that does not come, beside one for each SA. */
#define GONE_MIN 1024

static void wake(struct xfrmsync_net *ns)
{
	if (!test_and_set_bit(0, &ns->woken))
		irq_work_queue(&ns->wake_irq);
}

static void wake_from_irq(struct irq_work *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       wake_irq);

	schedule_delayed_work(&ns->wake_work, 0);
}

static void wake_reader(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       wake_work.work);

	if (!xfrmsync_stream_wake(ns))
		schedule_delayed_work(&ns->wake_work, HZ / 10);
}

/**
 * xfrmsync_dirty_mark() - the state of an SA changed
 * @sa: the SA; the caller holds RCU, or a reference
 *
 * The mark says only that there is something to tell; the record is made
 * when it is pulled. Without a reader nothing is kept: a reader starts with
 * all SAs.
 *
 * Context: any, the packet path with x->lock held included. No allocation, no
 *	lock; where the set was empty, an irq_work is raised for the wake-up.
 */
void xfrmsync_dirty_mark(struct xfrmsync_sa *sa)
{
	struct xfrmsync_net *ns = sa->ns;

	if (!READ_ONCE(ns->reader))
		return;
	if (test_and_set_bit(XFRMSYNC_SA_QUEUED, &sa->flags))
		return;
	if (!refcount_inc_not_zero(&sa->refs))
		return;		/* being freed: nobody will find it again */

	sa->marked_ns = ktime_get_mono_fast_ns();
	atomic_inc(&ns->dirty_count);
	xfrmsync_stats_inc(ns, MARKED);
	trace_xfrmsync_mark(sa);
	/* the second half is for a wake-up that was lost */
	if (llist_add(&sa->dirty, &ns->dirty) || !test_bit(0, &ns->woken))
		wake(ns);
}

static u32 gone_limit(const struct xfrmsync_net *ns)
{
	return max_t(u32, READ_ONCE(ns->count), GONE_MIN);
}

/**
 * xfrmsync_dirty_gone() - an SA is out of the table and waits to be told
 * @sa: the SA; the caller holds a reference
 *
 * Context: any.
 */
void xfrmsync_dirty_gone(struct xfrmsync_sa *sa)
{
	struct xfrmsync_net *ns = sa->ns;
	u32 limit = gone_limit(ns);

	if (!READ_ONCE(ns->reader)) {
		if (test_bit(XFRMSYNC_SA_QUEUED, &sa->flags))
			schedule_work(&ns->sweep);
		return;
	}
	set_bit(XFRMSYNC_SA_DEADCOUNT, &sa->flags);
	if (atomic_inc_return(&ns->gone) > limit)
		schedule_work(&ns->sweep);
	xfrmsync_dirty_mark(sa);
	/* the reader went meanwhile, and nobody will take it off the set */
	if (!test_bit(XFRMSYNC_SA_QUEUED, &sa->flags) &&
	    test_and_clear_bit(XFRMSYNC_SA_DEADCOUNT, &sa->flags))
		atomic_dec(&ns->gone);
}

/* The SA that waits longest, left where it is; NULL where none does. */
struct xfrmsync_sa *xfrmsync_dirty_peek(struct xfrmsync_net *ns)
{
	lockdep_assert_held(&ns->pull_mutex);

	if (!ns->fifo)
		ns->fifo = llist_reverse_order(llist_del_all(&ns->dirty));
	if (!ns->fifo)
		return NULL;
	return llist_entry(ns->fifo, struct xfrmsync_sa, dirty);
}

/*
 * Take the SA that peek gave off the set; its reference goes to the caller.
 * From here on a change marks it again, so the caller looks at its state, and
 * at GONE, afterwards.
 */
void xfrmsync_dirty_pop(struct xfrmsync_net *ns, struct xfrmsync_sa *sa)
{
	lockdep_assert_held(&ns->pull_mutex);

	ns->fifo = sa->dirty.next;
	atomic_dec(&ns->dirty_count);
	test_and_clear_bit(XFRMSYNC_SA_QUEUED, &sa->flags); /* full barrier */
	if (test_and_clear_bit(XFRMSYNC_SA_DEADCOUNT, &sa->flags))
		atomic_dec(&ns->gone);
}

/* A pull ends: whatever has come meanwhile gets a wake-up of its own. */
void xfrmsync_dirty_rest(struct xfrmsync_net *ns)
{
	lockdep_assert_held(&ns->pull_mutex);

	clear_bit(0, &ns->woken);
	smp_mb__after_atomic();		/* pairs with llist_add() before wake() */
	if (ns->fifo || !llist_empty(&ns->dirty) || ns->resync)
		wake(ns);
}

/*
 * Take SAs off the set untold: all of them (the reader is gone), or the
 * deleted ones (it does not come, and they must not pile up).
 */
void xfrmsync_dirty_drop(struct xfrmsync_net *ns, bool all)
{
	struct llist_node **keep, *rest, *next;
	struct xfrmsync_sa *sa;

	lockdep_assert_held(&ns->pull_mutex);

	for (keep = &ns->fifo; *keep; )
		keep = &(*keep)->next;
	*keep = llist_reverse_order(llist_del_all(&ns->dirty));

	rest = ns->fifo;
	ns->fifo = NULL;
	keep = &ns->fifo;
	for (; rest; rest = next) {
		next = rest->next;
		sa = llist_entry(rest, struct xfrmsync_sa, dirty);
		if (!all && !test_bit(XFRMSYNC_SA_GONE, &sa->flags)) {
			*keep = rest;
			keep = &rest->next;
			continue;
		}
		atomic_dec(&ns->dirty_count);
		test_and_clear_bit(XFRMSYNC_SA_QUEUED, &sa->flags);
		if (test_and_clear_bit(XFRMSYNC_SA_DEADCOUNT, &sa->flags)) {
			atomic_dec(&ns->gone);
			xfrmsync_stats_inc(ns, TOMBSTONES_DROPPED);
		}
		xfrmsync_sa_put(sa);
	}
	*keep = NULL;
}

static void sweep(struct work_struct *work)
{
	struct xfrmsync_net *ns = container_of(work, struct xfrmsync_net,
					       sweep);

	mutex_lock(&ns->pull_mutex);
	if (!ns->reader) {
		xfrmsync_dirty_drop(ns, true);
	} else if (atomic_read(&ns->gone) > gone_limit(ns)) {
		xfrmsync_dirty_drop(ns, false);
		ns->resync = true;
		schedule_delayed_work(&ns->wake_work, 0);
	}
	mutex_unlock(&ns->pull_mutex);
}

void xfrmsync_dirty_init(struct xfrmsync_net *ns)
{
	init_llist_head(&ns->dirty);
	atomic_set(&ns->dirty_count, 0);
	atomic_set(&ns->gone, 0);
	mutex_init(&ns->pull_mutex);
	init_irq_work(&ns->wake_irq, wake_from_irq);
	INIT_DELAYED_WORK(&ns->wake_work, wake_reader);
	INIT_WORK(&ns->sweep, sweep);
}

/* The namespace, or the module, goes: from here on nothing is kept or told. */
void xfrmsync_dirty_stop(struct xfrmsync_net *ns)
{
	mutex_lock(&ns->pull_mutex);
	WRITE_ONCE(ns->reader, 0);
	mutex_unlock(&ns->pull_mutex);
}

/*
 * No SA of the namespace is in the table any more, so nothing marks. The
 * order is that of who queues whom: sweep and irq_work both queue wake_work,
 * which queues itself only for a reader.
 */
void xfrmsync_dirty_exit(struct xfrmsync_net *ns)
{
	synchronize_rcu();	/* callbacks that had begun have queued sweep */
	cancel_work_sync(&ns->sweep);
	irq_work_sync(&ns->wake_irq);
	cancel_delayed_work_sync(&ns->wake_work);
	mutex_lock(&ns->pull_mutex);
	xfrmsync_dirty_drop(ns, true);
	mutex_unlock(&ns->pull_mutex);
}
