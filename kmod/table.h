/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs as the SAD holds them.
 * Out: struct xfrmsync_sa, what is known of an SA, found by its xfrm_state.
 * Lookup in any context under RCU; changes with BH off.
 */
#ifndef XFRMSYNC_TABLE_H
#define XFRMSYNC_TABLE_H

#include <linux/bitops.h>
#include <linux/hash.h>
#include <linux/llist.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <net/xfrm.h>

struct xfrmsync_net;

#define XFRMSYNC_NEVER U64_MAX		/* no number is that high */

/* Bits of xfrmsync_sa.flags. */
enum {
	XFRMSYNC_SA_QUEUED,	/* on the dirty set or the fifo */
	XFRMSYNC_SA_RESTORED,	/* counters written by a restore, not used since */
	XFRMSYNC_SA_SHARED,	/* another node has it, may have it, or had it */
	XFRMSYNC_SA_UNMANAGED,	/* not of the cluster: the fence lets it pass */
	XFRMSYNC_SA_STOPPED,	/* in XFRM_STATE_ERROR, by us: its lease has ended */
	XFRMSYNC_SA_GOES_ON,	/* at the end of its lease it is marked, not stopped */
	XFRMSYNC_SA_OVERRUN,	/* it went on past the end of its lease */
	XFRMSYNC_SA_FENCED,	/* in XFRM_STATE_ERROR, by us: not safe to use */
	XFRMSYNC_SA_BARRED,	/* in XFRM_STATE_ERROR, by us: in place of the fence's hooks */
	XFRMSYNC_SA_UNTOLD,	/* FENCED, because it came to a standby and no active told it */
	XFRMSYNC_SA_FOUND,	/* taken up, and not looked at under x->lock yet */
	XFRMSYNC_SA_EXPIRING,	/* waits for its soft expiry */
	XFRMSYNC_SA_LOW,	/* ... because its lease is nearly used up */
	XFRMSYNC_SA_UNSAFE,	/* ... because it is not safe to use */
	XFRMSYNC_SA_MISSED,	/* ... because it came while the node was passive */
	XFRMSYNC_SA_GONE,	/* out of the table, @x must not be touched */
	XFRMSYNC_SA_NEW,	/* not told to the reader yet */
	XFRMSYNC_SA_CHANGED,	/* parameters updated, not told yet */
	XFRMSYNC_SA_EXPIRED,	/* gone by its hard limit */
	XFRMSYNC_SA_DEADCOUNT,	/* counted in xfrmsync_net.gone */
};

/**
 * struct xfrmsync_sa_id - what names an SA, kept beyond its xfrm_state
 * @daddr: destination, network order
 * @spi: network order
 * @family: AF_INET or AF_INET6
 * @proto: IPPROTO_ESP, _AH or _COMP; up to here it stands in a packet
 * @mark: mark and mask
 */
struct xfrmsync_sa_id {
	xfrm_address_t daddr;
	__be32 spi;
	u16 family;
	u8 proto;
	struct xfrm_mark mark;
};

/**
 * struct xfrmsync_sa - one SA that is followed
 * @next: of its bucket in the hash table; one for the table in use, one for the table
 *	that a resize builds; under the table's lock
 * @x: the SA; a reference is held until GONE. Readers hold RCU and look at
 *	GONE first: an xfrm_state is freed after a grace period
 * @flags: XFRMSYNC_SA_*, atomic
 * @ns: its namespace
 * @dirty: link in the dirty set, owned by who set QUEUED
 * @refs: one for the table, one while QUEUED
 * @index: its place in xfrmsync_net.sas
 * @marked_ns: when QUEUED was set, monotonic ns
 * @tag: incarnation, 0 for none; under x->lock
 * @cookie: this life of the SA, never used twice
 * @sent: highest outbound number known to be sent, while RESTORED; under x->lock
 * @lease_end: last outbound number that may be drawn, headroom included; 0 for no
 *	limit; under x->lock
 * @given_end: end of all ranges of outbound numbers given out to other nodes, 0 for
 *	none; only rises; under x->lock
 * @watch: outbound number from which the packet path has more to do; under x->lock
 * @soft: outbound number from which a rekey is asked for; under x->lock
 * @guard_end: while the highest inbound number is above it, nothing is delivered; 0
 *	for no limit; written under x->lock
 * @restored_seq: inbound number that a restore wrote; under x->lock
 * @restored_packets: packets at that time; both as they still are: nothing was
 *	accepted since; under x->lock
 * @expiring: link in the list of SAs to be soft-expired, owned by who set EXPIRING
 * @seen_oseq: outbound number at the last scan or restore
 * @seen_packets: packets at the last scan or restore; both for the scan only
 * @id: its name
 * @named: link among those by what a packet says of them
 * @rcu: for freeing: who is on the dirty set has a reference
 *
 * What the packet path looks at comes first, so that it lies in two lines of the cache
 * at most: there is one for each SA, and they are not aligned to lines, which would take a
 * quarter more memory.
 */
struct xfrmsync_sa {
	struct xfrmsync_sa __rcu *next[2];
	struct xfrm_state *x;
	unsigned long flags;
	u64 watch;
	u64 guard_end;
	struct xfrmsync_net *ns;
	refcount_t refs;
	u32 index;
	union {
		struct {
			struct llist_node dirty;
			u64 marked_ns;
		};
		struct rcu_head rcu;
	};
	u64 tag;
	u64 cookie;
	u64 sent;
	u64 lease_end;
	u64 given_end;
	u64 soft;
	u64 restored_seq;
	u64 restored_packets;
	struct llist_node expiring;
	u32 seen_oseq;
	u32 seen_packets;
	struct xfrmsync_sa_id id;
	struct rhlist_head named;
};

/* A number that no life of an SA, or of a namespace, had before in this boot, also
 * of a module that was loaded before this one. Any context.
 */
u64 xfrmsync_cookie_new(void);

int xfrmsync_table_init(void);
void xfrmsync_table_exit(void);

/**
 * struct xfrmsync_table - SAs by their xfrm_state
 * @shift: of a hash, so that what is left of it is a bucket
 * @slot: which of the links of an SA are its, so that a resize can build the next
 *	table while lookups run through this one
 * @bucket: the last one that was added is the first
 */
struct xfrmsync_table {
	unsigned int shift;
	unsigned int slot;
	struct xfrmsync_sa __rcu *bucket[];
};

extern struct xfrmsync_table __rcu *xfrmsync_table;

/* RCU for whoever looks: softirqs and BH off count. */
#define xfrmsync_table_dereference(p) \
	rcu_dereference_check(p, in_softirq() || rcu_read_lock_held())

static __always_inline struct xfrmsync_sa __rcu **
xfrmsync_table_bucket(struct xfrmsync_table *t, const struct xfrm_state *x)
{
	return &t->bucket[(unsigned long)x * GOLDEN_RATIO_PRIME >> t->shift];
}

/* The first of the SA's bucket, which is the SA's own most of the time; or NULL. For the
 * packet path: find looks at all of them.
 */
static __always_inline struct xfrmsync_sa *
xfrmsync_table_first(const struct xfrm_state *x)
{
	struct xfrmsync_table *t = xfrmsync_table_dereference(xfrmsync_table);

	return xfrmsync_table_dereference(*xfrmsync_table_bucket(t, x));
}

struct xfrmsync_sa *xfrmsync_table_find(const struct xfrm_state *x);
struct xfrmsync_sa *xfrmsync_table_add(struct xfrmsync_net *ns,
				       struct xfrm_state *x);
bool xfrmsync_table_del(struct xfrmsync_sa *sa);
void xfrmsync_sa_put(struct xfrmsync_sa *sa);

/* Any managed SA of that name, whatever its mark, under RCU. */
bool xfrmsync_table_has_managed(struct xfrmsync_net *ns,
				const struct xfrmsync_sa_id *id);

/* The SA by its name, under RCU; NULL where it is not there or not followed. XFRM
 * finds the first one that the mark fits, with whatever mark; this one is found
 * behind others, too.
 */
struct xfrmsync_sa *xfrmsync_table_lookup(struct xfrmsync_net *ns,
					  const struct xfrmsync_sa_id *id);

#endif
