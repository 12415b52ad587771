/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: packets before and after protection, and after it was taken off.
 * Out: none of a managed SA, while this node is not the active; none that its guard holds.
 * Netfilter's hooks: softirq or process context, under RCU.
 */
#ifndef XFRMSYNC_FENCE_H
#define XFRMSYNC_FENCE_H

#include "pernet.h"

int xfrmsync_fence_init(void);
void xfrmsync_fence_exit(void);
void xfrmsync_fence_net_init(struct xfrmsync_net *ns);
void xfrmsync_fence_net_exit(struct xfrmsync_net *ns);
void xfrmsync_fence_drain(struct xfrmsync_net *ns, u32 quiet_ms,
			  struct netlink_ext_ack *extack);
void xfrmsync_fence_set(struct xfrmsync_net *ns, bool up,
			struct netlink_ext_ack *extack);
u32 xfrmsync_fence_state(const struct xfrmsync_net *ns);
void xfrmsync_fence_guard(struct xfrmsync_net *ns, bool on);

#endif
