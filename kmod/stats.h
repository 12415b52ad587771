/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what the module does, one event a call.
 * Out: counters for an operator, by their netlink attribute.
 * Any context; none of them is touched for a packet of an SA already dirty.
 */
#ifndef XFRMSYNC_STATS_H
#define XFRMSYNC_STATS_H

#include <linux/atomic.h>
#include <linux/xfrmsync.h>

struct xfrmsync_stats {
	atomic64_t value[XFRMSYNC_A_STATS_MAX + 1];
};

#define xfrmsync_stats_add(ns, name, n) \
	atomic64_add(n, &(ns)->stats.value[XFRMSYNC_A_STATS_##name])
#define xfrmsync_stats_inc(ns, name) xfrmsync_stats_add(ns, name, 1)

#endif
