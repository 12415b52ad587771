/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: records of SAs that are not there yet.
 * Out: the same, when their SA appears.
 * Changes under role_mutex; looked at in XFRM's callbacks, under RCU.
 */
#ifndef XFRMSYNC_PARK_H
#define XFRMSYNC_PARK_H

#include <linux/atomic.h>
#include <linux/rhashtable-types.h>

struct xfrmsync_net;
struct xfrmsync_restore;
struct xfrmsync_sa_id;

/**
 * struct xfrmsync_park - the parked records of a namespace
 * @table: by SA; changes under role_mutex, lookups under RCU
 * @count: records in it
 */
struct xfrmsync_park {
	struct rhashtable table;
	atomic_t count;
};

int xfrmsync_park_init(struct xfrmsync_net *ns);
void xfrmsync_park_exit(struct xfrmsync_net *ns);

u32 xfrmsync_park_put(struct xfrmsync_net *ns, const struct xfrmsync_restore *r);
bool xfrmsync_park_peek(struct xfrmsync_net *ns,
			const struct xfrmsync_sa_id *id, u64 *oseq, u32 *flags);
bool xfrmsync_park_get(struct xfrmsync_net *ns, const struct xfrmsync_sa_id *id,
		       struct xfrmsync_restore *r);
bool xfrmsync_park_drop(struct xfrmsync_net *ns,
			const struct xfrmsync_sa_id *id);
void xfrmsync_park_purge(struct xfrmsync_net *ns);

#endif
