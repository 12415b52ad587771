/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: signs of life of the daemon, and how long to wait for the next one.
 * Out: an active whose daemon is silent for too long is fenced, a standby.
 * Process context under role_mutex.
 */
#ifndef XFRMSYNC_WATCHDOG_H
#define XFRMSYNC_WATCHDOG_H

#include "pernet.h"

void xfrmsync_watchdog_net_init(struct xfrmsync_net *ns);
void xfrmsync_watchdog_net_exit(struct xfrmsync_net *ns);
void xfrmsync_watchdog_set(struct xfrmsync_net *ns, u32 ms);
void xfrmsync_watchdog_role(struct xfrmsync_net *ns);

#endif
