/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the dirty set of a namespace.
 * Out: batches of records for its one reader, who pulls them.
 * Process context.
 */
#ifndef XFRMSYNC_STREAM_H
#define XFRMSYNC_STREAM_H

#include <linux/netlink.h>

#include "pernet.h"

int xfrmsync_stream_subscribe(struct xfrmsync_net *ns, u32 portid,
			      struct netlink_ext_ack *extack);
int xfrmsync_stream_unsubscribe(struct xfrmsync_net *ns, u32 portid,
				struct netlink_ext_ack *extack);
void xfrmsync_stream_release(struct xfrmsync_net *ns, u32 portid);
int xfrmsync_stream_pull(struct sk_buff *skb, struct netlink_callback *cb);
bool xfrmsync_stream_wake(struct xfrmsync_net *ns);

#endif
