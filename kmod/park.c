// SPDX-License-Identifier: GPL-2.0
/*
 * In: records of SAs that are not there yet.
 * Out: the same, when their SA appears.
 * Changes under role_mutex; looked at in XFRM's callbacks, under RCU.
 */
#include <linux/moduleparam.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "pernet.h"
#include "restore.h"

static unsigned int park_max = 131072;
module_param(park_max, uint, 0644);
MODULE_PARM_DESC(park_max, "records parked for SAs that are not there yet, in each namespace");

/* Allocated with as many words as the record has. */
struct parked {
	struct rhash_head node;
	struct rcu_head rcu;
	struct xfrmsync_restore r;	/* last: bmp is cut to its words */
};

static const struct rhashtable_params params = {
	.key_len = sizeof(struct xfrmsync_sa_id),
	.key_offset = offsetof(struct parked, r.id),
	.head_offset = offsetof(struct parked, node),
	.automatic_shrinking = true,
};

/* Names are compared as bytes: the padding has to be zero. */
static_assert(sizeof(struct xfrmsync_sa_id) == 32);

static void key_of(struct xfrmsync_sa_id *key, const struct xfrmsync_sa_id *id)
{
	memset(key, 0, sizeof(*key));
	key->daddr = id->daddr;
	key->mark = id->mark;
	key->spi = id->spi;
	key->family = id->family;
	key->proto = id->proto;
}

static struct parked *find(struct xfrmsync_net *ns,
			   const struct xfrmsync_sa_id *id)
{
	struct xfrmsync_sa_id key;

	if (!atomic_read(&ns->park.count))
		return NULL;
	key_of(&key, id);
	return rhashtable_lookup_fast(&ns->park.table, &key, params);
}

static struct parked *copy(const struct xfrmsync_restore *r)
{
	size_t size = offsetof(struct xfrmsync_restore, bmp) +
		      r->words * sizeof(u32);
	struct parked *p;

	p = kzalloc(offsetof(struct parked, r) + size, GFP_KERNEL_ACCOUNT);
	if (!p)
		return NULL;
	unsafe_memcpy(&p->r, r, size, "allocated to this size just above");
	key_of(&p->r.id, &r->id);
	return p;
}

/* Of one incarnation the newer record stays: numbers only grow. */
static bool is_late(struct xfrmsync_net *ns, const struct xfrmsync_restore *r)
{
	const struct parked *p = find(ns, &r->id);

	return p && p->r.tag == r->tag && p->r.oseq >= r->oseq &&
	       p->r.seq >= r->seq && (p->r.oseq > r->oseq || p->r.seq > r->seq);
}

/* The old one goes only when the new one stands in its place. */
static bool put(struct xfrmsync_net *ns, struct parked *p, struct parked *old)
{
	if (old) {
		if (rhashtable_replace_fast(&ns->park.table, &old->node,
					    &p->node, params))
			return false;
		xfrmsync_stats_inc(ns, PARKED_DROPPED);
		kfree_rcu(old, rcu);
		return true;
	}
	atomic_inc(&ns->park.count);
	if (!rhashtable_insert_fast(&ns->park.table, &p->node, params))
		return true;
	atomic_dec(&ns->park.count);
	return false;
}

/**
 * xfrmsync_park_put() - park a record, in place of one for the same SA
 * @ns: the namespace
 * @r: the record, copied
 *
 * Where it is refused, one that was parked before stays.
 *
 * Context: process, role_mutex held.
 * Return: XFRMSYNC_REASON_PARKED, _PARK_FULL or _MEMORY.
 */
u32 xfrmsync_park_put(struct xfrmsync_net *ns, const struct xfrmsync_restore *r)
{
	struct parked *p, *old;

	lockdep_assert_held(&ns->role_mutex);

	if (is_late(ns, r))
		return XFRMSYNC_REASON_PARKED;
	old = find(ns, &r->id);
	if (!old && atomic_read(&ns->park.count) >= READ_ONCE(park_max)) {
		xfrmsync_stats_inc(ns, PARKED_DROPPED);
		return XFRMSYNC_REASON_PARK_FULL;
	}
	p = copy(r);
	if (!p)
		return XFRMSYNC_REASON_MEMORY;
	/* the record is found by its NEWSA callback from here on */
	if (!put(ns, p, old)) {
		kfree(p);
		return XFRMSYNC_REASON_MEMORY;
	}
	return XFRMSYNC_REASON_PARKED;
}

/**
 * xfrmsync_park_peek() - what a parked record says of the outbound number
 * @ns: the namespace
 * @id: the SA
 * @oseq: set to the number
 * @flags: set to XFRMSYNC_RECORD_F_*
 *
 * Context: any, under RCU.
 * Return: false where there is none, or it does not speak of the number.
 */
bool xfrmsync_park_peek(struct xfrmsync_net *ns,
			const struct xfrmsync_sa_id *id, u64 *oseq, u32 *flags)
{
	const struct parked *p = find(ns, id);

	if (!p || !(p->r.has & XFRMSYNC_HAS_OSEQ))
		return false;
	*oseq = p->r.oseq;
	*flags = p->r.flags;
	return true;
}

/* Copy the parked record of an SA into r; false where there is none. */
bool xfrmsync_park_get(struct xfrmsync_net *ns, const struct xfrmsync_sa_id *id,
		       struct xfrmsync_restore *r)
{
	const struct parked *p;

	lockdep_assert_held(&ns->role_mutex);

	p = find(ns, id);
	if (!p)
		return false;
	unsafe_memcpy(r, &p->r, offsetof(struct xfrmsync_restore, bmp) +
				p->r.words * sizeof(u32),
		      "as many words as were allocated, at most all of r's");
	return true;
}

/* Forget the parked record of an SA; false where there is none. */
bool xfrmsync_park_drop(struct xfrmsync_net *ns,
			const struct xfrmsync_sa_id *id)
{
	struct parked *p;

	lockdep_assert_held(&ns->role_mutex);

	/* Whoever adds one holds the mutex: none is none. */
	if (!atomic_read(&ns->park.count))
		return false;
	p = find(ns, id);
	if (!p || rhashtable_remove_fast(&ns->park.table, &p->node, params))
		return false;
	atomic_dec(&ns->park.count);
	kfree_rcu(p, rcu);
	return true;
}

static void free_parked(void *ptr, void *unused)
{
	kfree(ptr);
}

/* Forget all of them: the role changed. */
void xfrmsync_park_purge(struct xfrmsync_net *ns)
{
	struct rhashtable_iter iter;
	struct parked *p;

	lockdep_assert_held(&ns->role_mutex);

	rhashtable_walk_enter(&ns->park.table, &iter);
	rhashtable_walk_start(&iter);
	while ((p = rhashtable_walk_next(&iter))) {
		if (IS_ERR(p))
			continue;	/* a resize; entries may come again */
		if (rhashtable_remove_fast(&ns->park.table, &p->node, params))
			continue;
		atomic_dec(&ns->park.count);
		xfrmsync_stats_inc(ns, PARKED_DROPPED);
		kfree_rcu(p, rcu);
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}

int xfrmsync_park_init(struct xfrmsync_net *ns)
{
	atomic_set(&ns->park.count, 0);
	return rhashtable_init(&ns->park.table, &params);
}

void xfrmsync_park_exit(struct xfrmsync_net *ns)
{
	rhashtable_free_and_destroy(&ns->park.table, free_parked, NULL);
}
