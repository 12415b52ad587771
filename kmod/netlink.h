/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: requests of the generic netlink family "xfrmsync".
 * Out: calls of the parts that do them, and their answers.
 * Process context.
 */
#ifndef XFRMSYNC_NETLINK_H
#define XFRMSYNC_NETLINK_H

#include <net/genetlink.h>

struct xfrmsync_net;

extern struct genl_family xfrmsync_netlink_family;

int xfrmsync_netlink_init(void);
void xfrmsync_netlink_exit(void);
void xfrmsync_netlink_notify_role(struct xfrmsync_net *ns);

#endif
