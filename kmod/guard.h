/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the last inbound number of an SA that standbys are known to take for seen.
 * Out: nothing delivered while the SA has accepted a higher one (strict guard).
 * Setting in process context, x->lock held; asked for each packet, under RCU.
 */
#ifndef XFRMSYNC_GUARD_H
#define XFRMSYNC_GUARD_H

#include "pernet.h"

void xfrmsync_guard_set(struct xfrmsync_sa *sa, u64 end);
void xfrmsync_guard_lift(struct xfrmsync_net *ns);
bool xfrmsync_guard_holds(struct xfrm_state *x);

/* Highest inbound number accepted. x->lock held, or one that may be torn. */
static inline u64 xfrmsync_seq(const struct xfrm_state *x)
{
	if (!x->replay_esn)
		return READ_ONCE(x->replay.seq);
	return (u64)READ_ONCE(x->replay_esn->seq_hi) << 32 |
	       READ_ONCE(x->replay_esn->seq);
}

#endif
