/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: role and epoch, from the module's parameters or from userspace.
 * Out: the role in force in a namespace; while there is one, the module stays.
 * Process context under role_mutex.
 */
#ifndef XFRMSYNC_ROLE_H
#define XFRMSYNC_ROLE_H

#include <linux/netlink.h>

#include "pernet.h"

int xfrmsync_role_check_params(void);
void xfrmsync_role_net_init(struct xfrmsync_net *ns);
void xfrmsync_role_apply_stored(void);
void xfrmsync_role_net_exit(struct xfrmsync_net *ns);
int xfrmsync_role_set(struct xfrmsync_net *ns, u32 role, u64 epoch, u32 node,
		      u32 drain_ms, struct netlink_ext_ack *extack);
int xfrmsync_role_admit(struct xfrmsync_net *ns, u64 epoch, u32 node,
			bool merge, struct netlink_ext_ack *extack);

#endif
