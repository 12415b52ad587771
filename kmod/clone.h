/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs as XFRM_MSG_MIGRATE clones them.
 * Out: no packet by a clone, until it has what its SA had: numbers, limits, fences.
 * The hook in process context, preemption off; settling in the reconciling work.
 */
#ifndef XFRMSYNC_CLONE_H
#define XFRMSYNC_CLONE_H

#include "pernet.h"

void xfrmsync_clone_net_init(struct xfrmsync_net *ns);
void xfrmsync_clone_net_exit(struct xfrmsync_net *ns);

void xfrmsync_clone_made(struct xfrm_state *x);
void xfrmsync_clone_look(struct xfrmsync_net *ns);
void xfrmsync_clone_settle(struct xfrmsync_net *ns);
bool xfrmsync_clone_waits(struct xfrmsync_net *ns, const struct xfrmsync_sa *sa);

#endif
