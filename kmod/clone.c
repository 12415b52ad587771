// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs as XFRM_MSG_MIGRATE clones them.
 * Out: no packet by a clone, until it has what its SA had: numbers, limits, fences.
 * The hook in process context, preemption off; settling in the reconciling work.
 *
 * XFRM copies the counters first and deletes the old SA last, so that both would
 * send the same numbers between; and the clone is in use whatever state the old
 * one was in. So packets of a clone are dropped like those of any SA that is not
 * prepared (fence.c), from before it can be found until its SA is dead and what
 * that one had last is carried over.
 */
#include <linux/list.h>
#include <linux/slab.h>
#include <net/xfrm.h>

#include "clone.h"
#include "fence.h"
#include "restore.h"

/**
 * struct clone - a clone that does not have all yet
 * @list: in xfrmsync_net.clones
 * @x: the clone; no reference, to be compared only; NULL: none any more
 * @old: what it was cloned from; a reference is held
 * @old_x: the same; a reference is held
 * @dead: it was dead before the walk
 * @scratch: for what is carried over
 */
struct clone {
	struct list_head list;
	const struct xfrm_state *x;
	struct xfrmsync_sa *old;
	struct xfrm_state *old_x;
	bool dead;
	struct xfrmsync_restore scratch;
};

/* What is left of it is freed by the caller, outside of the lock. */
static void take_out(struct xfrmsync_net *ns, struct clone *c,
		     struct list_head *done)
{
	lockdep_assert_held(&ns->clones_lock);
	list_move(&c->list, done);
	if (list_empty(&ns->clones))
		xfrmsync_fence_clones(ns, false);
}

static void free_all(struct list_head *done)
{
	struct clone *c, *next;

	list_for_each_entry_safe(c, next, done, list) {
		xfrm_state_put(c->old_x);
		xfrmsync_sa_put(c->old);
		kfree(c);
	}
}

/* Of an address that was used before, or of an SA whose migration failed. */
static void forget(struct xfrmsync_net *ns, const struct xfrm_state *x,
		   const struct xfrmsync_sa *old)
{
	struct clone *c;

	list_for_each_entry(c, &ns->clones, list) {
		if (c->x == x || c->old == old)
			c->x = NULL;
	}
}

/* At this moment it still has the old one's name, but maybe the new family. */
static struct xfrmsync_sa *find_old(struct xfrmsync_net *ns,
				    const struct xfrm_state *x)
{
	struct xfrmsync_sa_id id = {
		.daddr = x->id.daddr, .mark = x->mark, .spi = x->id.spi,
		.family = AF_INET, .proto = x->id.proto,
	};
	struct xfrmsync_sa *sa = xfrmsync_table_lookup(ns, &id);

	if (sa && sa->x != x)
		return sa;
	id.family = AF_INET6;
	sa = xfrmsync_table_lookup(ns, &id);
	return sa && sa->x != x ? sa : NULL;
}

static struct clone *clone_new(struct xfrmsync_sa *old,
			       const struct xfrm_state *x)
{
	struct clone *c = kzalloc(sizeof(*c), GFP_ATOMIC);

	if (!c)
		return NULL;
	if (!refcount_inc_not_zero(&old->refs)) {
		kfree(c);
		return NULL;
	}
	xfrm_state_hold(old->x);
	c->x = x;
	c->old = old;
	c->old_x = old->x;
	return c;
}

/**
 * xfrmsync_clone_made() - XFRM initializes the replay state of an SA
 * @x: the SA, which nobody can find yet
 *
 * A new SA has no state then; a clone has that of the old one.
 *
 * Context: process, under RCU, preemption off; interrupts, too, with kprobes.
 */
void xfrmsync_clone_made(struct xfrm_state *x)
{
	struct xfrmsync_net *ns = xfrmsync_net(xs_net(x));
	struct xfrmsync_sa *old = NULL;
	struct clone *c = NULL;
	unsigned long irq;

	if (x->km.state == XFRM_STATE_VALID || x->km.state == XFRM_STATE_ERROR)
		old = find_old(ns, x);
	if (!old && !READ_ONCE(ns->cloning))
		return;
	if (old)
		c = clone_new(old, x);
	spin_lock_irqsave(&ns->clones_lock, irq);
	forget(ns, x, old);
	if (c) {
		xfrmsync_fence_clones(ns, true);
		list_add_tail(&c->list, &ns->clones);
	}
	spin_unlock_irqrestore(&ns->clones_lock, irq);
}

/**
 * xfrmsync_clone_waits() - are an SA's packets to be dropped for now?
 * @ns: the namespace
 * @sa: the SA
 *
 * Context: process, under RCU.
 */
bool xfrmsync_clone_waits(struct xfrmsync_net *ns, const struct xfrmsync_sa *sa)
{
	const struct clone *c;
	bool waits = false;

	if (!test_bit(XFRMSYNC_SA_FOUND, &sa->flags))
		return false;
	spin_lock_irq(&ns->clones_lock);
	list_for_each_entry(c, &ns->clones, list)
		waits |= c->x == sa->x;
	spin_unlock_irq(&ns->clones_lock);
	return waits;
}

/* Before the walk: who is dead now has a clone that the walk finds, or none. */
void xfrmsync_clone_look(struct xfrmsync_net *ns)
{
	struct clone *c;

	spin_lock_irq(&ns->clones_lock);
	list_for_each_entry(c, &ns->clones, list)
		c->dead = READ_ONCE(c->old_x->km.state) == XFRM_STATE_DEAD;
	spin_unlock_irq(&ns->clones_lock);
}

/* After the walk. The work's own; it may sleep. */
void xfrmsync_clone_settle(struct xfrmsync_net *ns)
{
	struct xfrmsync_sa *sa;
	struct clone *c, *next;
	LIST_HEAD(done);

	rcu_read_lock();
	spin_lock_irq(&ns->clones_lock);
	list_for_each_entry_safe(c, next, &ns->clones, list) {
		if (c->x && !c->dead)
			continue;
		sa = !c->x ? NULL : xfrmsync_table_find(c->x);
		if (sa)
			xfrmsync_restore_carry(sa, c->old, c->old_x,
					       &c->scratch);
		take_out(ns, c, &done);
	}
	spin_unlock_irq(&ns->clones_lock);
	rcu_read_unlock();
	free_all(&done);
}

void xfrmsync_clone_net_init(struct xfrmsync_net *ns)
{
	spin_lock_init(&ns->clones_lock);
	INIT_LIST_HEAD(&ns->clones);
}

/* No hook runs in this namespace any more. */
void xfrmsync_clone_net_exit(struct xfrmsync_net *ns)
{
	struct clone *c, *next;
	LIST_HEAD(done);

	spin_lock_irq(&ns->clones_lock);
	list_for_each_entry_safe(c, next, &ns->clones, list)
		take_out(ns, c, &done);
	spin_unlock_irq(&ns->clones_lock);
	free_all(&done);
}
