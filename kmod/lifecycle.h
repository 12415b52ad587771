/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what XFRM tells its key managers, and walks of the SAD.
 * Out: SAs taken up, marked and let go.
 * Callbacks run under RCU and must not sleep; the walk in process context.
 */
#ifndef XFRMSYNC_LIFECYCLE_H
#define XFRMSYNC_LIFECYCLE_H

#include "pernet.h"

int xfrmsync_lifecycle_init(void);
void xfrmsync_lifecycle_exit(void);
void xfrmsync_lifecycle_net_init(struct xfrmsync_net *ns);
void xfrmsync_lifecycle_net_exit(struct xfrmsync_net *ns);

#endif
