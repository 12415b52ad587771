// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs as the SAD holds them.
 * Out: struct xfrmsync_sa, what is known of an SA, found by its xfrm_state or by its name.
 * Lookup in any context under RCU; changes with BH off.
 */
#include <linux/jhash.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "pernet.h"
#include "limit.h"
#include "table.h"

#define TABLE_BITS_MIN 8
#define TABLE_BITS_MAX 20

struct xfrmsync_table __rcu *xfrmsync_table __read_mostly;
static DEFINE_SPINLOCK(table_lock);	/* the table's links, table_used */
static unsigned int table_used;
static struct kmem_cache *sa_cache;
static atomic64_t last_cookie;

static struct rhltable names;

/* A peer chooses the SPI of what goes to it: it is all in the hash, which has a seed. */
static u32 name_hash(const void *key, u32 len, u32 seed)
{
	const struct xfrmsync_sa_id *id = key;
	u32 addr = (__force u32)id->daddr.a4;

	if (id->family == AF_INET6)
		addr ^= (__force u32)(id->daddr.a6[1] ^ id->daddr.a6[2] ^
				      id->daddr.a6[3]);
	return jhash_2words((__force u32)id->spi, addr ^ id->proto, seed);
}

static int name_differs(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct xfrmsync_sa_id *id = &((const struct xfrmsync_sa *)obj)->id;
	const struct xfrmsync_sa_id *key = arg->key;

	return id->spi != key->spi || id->proto != key->proto ||
	       id->family != key->family ||
	       !xfrm_addr_equal(&id->daddr, &key->daddr, key->family);
}

static const struct rhashtable_params names_params = {
	.key_offset = offsetof(struct xfrmsync_sa, id),
	.key_len = offsetofend(struct xfrmsync_sa_id, proto),
	.head_offset = offsetof(struct xfrmsync_sa, named),
	.hashfn = name_hash,
	.obj_cmpfn = name_differs,
	.automatic_shrinking = true,
};

static void table_grow(struct work_struct *work);
static DECLARE_WORK(grow_work, table_grow);

static struct xfrmsync_table *table_alloc(unsigned int bits, unsigned int slot)
{
	struct xfrmsync_table *t;

	/* Whoever asks can do without: no reason to fill the log. */
	t = kvzalloc(struct_size(t, bucket, 1UL << bits),
		     GFP_KERNEL | __GFP_NOWARN);
	if (!t)
		return NULL;
	t->shift = BITS_PER_LONG - bits;
	t->slot = slot;
	return t;
}

static unsigned int bits_of(const struct xfrmsync_table *t)
{
	return BITS_PER_LONG - t->shift;
}

/* Its only writer is who holds table_lock, or nobody can but the caller. */
static struct xfrmsync_table *table_own(void)
{
	return rcu_dereference_protected(xfrmsync_table,
					 lockdep_is_held(&table_lock));
}

static void table_link(struct xfrmsync_table *t, struct xfrmsync_sa *sa)
{
	struct xfrmsync_sa __rcu **bucket = xfrmsync_table_bucket(t, sa->x);

	lockdep_assert_held(&table_lock);
	RCU_INIT_POINTER(sa->next[t->slot],
			 rcu_dereference_protected(*bucket, true));
	rcu_assign_pointer(*bucket, sa);
}

/* It keeps its own link, for those who stand there. */
static void table_unlink(struct xfrmsync_table *t, struct xfrmsync_sa *sa)
{
	struct xfrmsync_sa __rcu **p = xfrmsync_table_bucket(t, sa->x);
	struct xfrmsync_sa *at;

	lockdep_assert_held(&table_lock);
	while ((at = rcu_dereference_protected(*p, true)) != sa)
		p = &at->next[t->slot];
	rcu_assign_pointer(*p, rcu_dereference_protected(sa->next[t->slot], true));
}

/* Lookups that run through the old table while it is filled into the new one
 * use the other link, so they miss nothing.
 */
static void table_grow(struct work_struct *work)
{
	struct xfrmsync_table *old, *t;
	struct xfrmsync_sa *sa;
	unsigned int i;

	/* only writer: this work */
	old = rcu_dereference_protected(xfrmsync_table, true);
	if (bits_of(old) >= TABLE_BITS_MAX ||
	    READ_ONCE(table_used) <= 1U << bits_of(old))
		return;
	t = table_alloc(min(bits_of(old) + 2, (unsigned int)TABLE_BITS_MAX),
			!old->slot);
	if (!t)
		return;		/* longer chains, and another try at the next SA */

	spin_lock_bh(&table_lock);
	for (i = 0; i < 1U << bits_of(old); i++)
		for (sa = rcu_dereference_protected(old->bucket[i], true); sa;
		     sa = rcu_dereference_protected(sa->next[old->slot], true))
			table_link(t, sa);
	rcu_assign_pointer(xfrmsync_table, t);
	spin_unlock_bh(&table_lock);

	synchronize_rcu();
	kvfree(old);
}

/**
 * xfrmsync_table_find() - what is known of an SA
 * @x: the SA
 *
 * Context: any, including the packet path with @x->lock held. The caller is
 *	in an RCU read-side section (BH off counts as one), which also bounds
 *	the use of the result.
 * Return: the entry, or NULL where the SA is not followed.
 */
struct xfrmsync_sa *xfrmsync_table_find(const struct xfrm_state *x)
{
	struct xfrmsync_table *t = xfrmsync_table_dereference(xfrmsync_table);
	struct xfrmsync_sa *sa;

	sa = xfrmsync_table_dereference(*xfrmsync_table_bucket(t, x));
	while (sa && sa->x != x)
		sa = xfrmsync_table_dereference(sa->next[t->slot]);
	return sa;
}

u64 xfrmsync_cookie_new(void)
{
	return atomic64_inc_return(&last_cookie);
}

static void sa_init(struct xfrmsync_sa *sa, struct xfrmsync_net *ns,
		    struct xfrm_state *x)
{
	sa->x = x;
	xfrmsync_limit_watch(sa, XFRMSYNC_NEVER);
	sa->soft = XFRMSYNC_NEVER;
	sa->ns = ns;
	sa->flags = BIT(XFRMSYNC_SA_NEW) | BIT(XFRMSYNC_SA_FOUND);
	refcount_set(&sa->refs, 1);
	sa->cookie = xfrmsync_cookie_new();
	/* What follows an IPv4 address may be anything there. */
	if (x->props.family == AF_INET)
		sa->id.daddr.a4 = x->id.daddr.a4;
	else
		sa->id.daddr = x->id.daddr;
	sa->id.spi = x->id.spi;
	sa->id.proto = x->id.proto;
	sa->id.family = x->props.family;
	sa->id.mark = x->mark;
}

static int sa_link(struct xfrmsync_net *ns, struct xfrmsync_sa *sa)
{
	struct xfrmsync_table *t;
	int err;

	/* Both at once: who finds it in one may take it out of both. */
	xa_lock_bh(&ns->sas);
	err = ns->exiting ? -ENODEV :
	      __xa_alloc_cyclic(&ns->sas, &sa->index, NULL, xa_limit_32b,
				&ns->next_index, GFP_ATOMIC);
	if (err < 0)
		goto unlock;
	spin_lock(&table_lock);
	t = table_own();
	table_link(t, sa);
	if (++table_used > 1U << bits_of(t) && bits_of(t) < TABLE_BITS_MAX)
		schedule_work(&grow_work);
	spin_unlock(&table_lock);
	/* the slot was reserved above, so this allocates nothing */
	__xa_store(&ns->sas, sa->index, sa, GFP_ATOMIC);
	ns->count++;
	err = 0;
unlock:
	xa_unlock_bh(&ns->sas);
	return err;
}

/**
 * xfrmsync_table_add() - follow an SA
 * @ns: its namespace
 * @x: the SA; a reference is taken
 *
 * Two adders of one SA (the walk and an event) are told apart by the SAD's
 * lock or by the event's order; a second add of the same SA returns -EEXIST.
 *
 * Context: atomic; takes the table's lock and the xarray's, BH off.
 * Return: the entry, valid under the caller's RCU section, or ERR_PTR:
 *	-EEXIST (followed already), -ENOMEM, -ENODEV (the namespace goes).
 */
struct xfrmsync_sa *xfrmsync_table_add(struct xfrmsync_net *ns,
				       struct xfrm_state *x)
{
	static DEFINE_SPINLOCK(add_lock);
	struct xfrmsync_sa *sa;
	int err;

	sa = kmem_cache_zalloc(sa_cache, GFP_ATOMIC);
	if (!sa)
		return ERR_PTR(-ENOMEM);
	sa_init(sa, ns, x);

	xfrm_state_hold(x);
	spin_lock_bh(&add_lock);
	err = -EEXIST;
	if (xfrmsync_table_find(x))
		goto put;
	/* Whatever it says (-EBUSY amid a resize that lacked memory), it passes. */
	err = -ENOMEM;
	if (rhltable_insert(&names, &sa->named, names_params))
		goto put;
	err = sa_link(ns, sa);
	if (err)
		goto unname;
	spin_unlock_bh(&add_lock);
	return sa;

unname:
	rhltable_remove(&names, &sa->named, names_params);
put:
	spin_unlock_bh(&add_lock);
	xfrm_state_put(x);
	xfrmsync_sa_put(sa);
	return ERR_PTR(err);
}

/**
 * xfrmsync_table_del() - follow an SA no longer
 * @sa: the entry; the table's reference goes over to the caller
 *
 * Drops the reference to the xfrm_state: afterwards only the entry's name,
 * tag and cookie are there.
 *
 * Context: atomic, x->lock held or not; under RCU.
 * Return: true for the one caller that took it out.
 */
bool xfrmsync_table_del(struct xfrmsync_sa *sa)
{
	if (test_and_set_bit(XFRMSYNC_SA_GONE, &sa->flags))
		return false;

	xa_lock_bh(&sa->ns->sas);
	__xa_erase(&sa->ns->sas, sa->index);
	sa->ns->count--;
	spin_lock(&table_lock);
	table_unlink(table_own(), sa);
	table_used--;
	spin_unlock(&table_lock);
	xa_unlock_bh(&sa->ns->sas);
	rhltable_remove(&names, &sa->named, names_params);

	xfrm_state_put(sa->x);
	return true;
}

static void sa_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(sa_cache, container_of(rcu, struct xfrmsync_sa, rcu));
}

/* Any context. */
void xfrmsync_sa_put(struct xfrmsync_sa *sa)
{
	if (refcount_dec_and_test(&sa->refs))
		call_rcu(&sa->rcu, sa_free_rcu);
}

/* XFRM's own look-up takes two references, and finds the first one that the mark fits,
 * with whatever mark. One that dies is out of the SAD before it is out of the names.
 */
struct xfrmsync_sa *xfrmsync_table_lookup(struct xfrmsync_net *ns,
					  const struct xfrmsync_sa_id *id)
{
	struct rhlist_head *list, *pos;
	struct xfrmsync_sa *sa;

	list = rhltable_lookup(&names, id, names_params);
	rhl_for_each_entry_rcu(sa, pos, list, named)
		if (sa->ns == ns && sa->id.mark.v == id->mark.v &&
		    sa->id.mark.m == id->mark.m &&
		    READ_ONCE(sa->x->km.state) != XFRM_STATE_DEAD &&
		    !test_bit(XFRMSYNC_SA_GONE, &sa->flags))
			return sa;
	return NULL;
}

bool xfrmsync_table_has_managed(struct xfrmsync_net *ns,
				const struct xfrmsync_sa_id *id)
{
	struct rhlist_head *list, *pos;
	struct xfrmsync_sa *sa;

	list = rhltable_lookup(&names, id, names_params);
	rhl_for_each_entry_rcu(sa, pos, list, named)
		if (sa->ns == ns && !test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags))
			return true;
	return false;
}

int xfrmsync_table_init(void)
{
	struct xfrmsync_table *t;
	int err;

	sa_cache = KMEM_CACHE(xfrmsync_sa, 0);
	if (!sa_cache)
		return -ENOMEM;
	err = rhltable_init(&names, &names_params);
	if (err)
		goto destroy_cache;
	t = table_alloc(TABLE_BITS_MIN, 0);
	if (!t) {
		err = -ENOMEM;
		goto destroy_names;
	}
	RCU_INIT_POINTER(xfrmsync_table, t);
	/* not the numbers of the module's life before this one */
	atomic64_set(&last_cookie, ktime_get_boottime_ns());
	return 0;

destroy_names:
	rhltable_destroy(&names);
destroy_cache:
	kmem_cache_destroy(sa_cache);
	return err;
}

/* All namespaces are gone, so nothing adds any more. */
void xfrmsync_table_exit(void)
{
	cancel_work_sync(&grow_work);
	rhltable_destroy(&names);
	rcu_barrier();		/* sa_free_rcu() is code of this module */
	kvfree(rcu_dereference_protected(xfrmsync_table, true));
	kmem_cache_destroy(sa_cache);
}
