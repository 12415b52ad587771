/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs whose state changed, from the packet path and from events.
 * Out: the dirty set of a namespace, oldest first, and a wake-up of its reader.
 * Marking in any context; the rest in process context under pull_mutex.
 */
#ifndef XFRMSYNC_DIRTY_H
#define XFRMSYNC_DIRTY_H

#include "pernet.h"

void xfrmsync_dirty_init(struct xfrmsync_net *ns);
void xfrmsync_dirty_stop(struct xfrmsync_net *ns);
void xfrmsync_dirty_exit(struct xfrmsync_net *ns);

void xfrmsync_dirty_mark(struct xfrmsync_sa *sa);
void xfrmsync_dirty_gone(struct xfrmsync_sa *sa);
struct xfrmsync_sa *xfrmsync_dirty_peek(struct xfrmsync_net *ns);
void xfrmsync_dirty_pop(struct xfrmsync_net *ns, struct xfrmsync_sa *sa);
void xfrmsync_dirty_rest(struct xfrmsync_net *ns);
void xfrmsync_dirty_drop(struct xfrmsync_net *ns, bool all);

#endif
