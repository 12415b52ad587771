/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the end of an SA's lease, from userspace; numbers as they are drawn.
 * Out: no number past the end: the SA stops before it, until there is more.
 * The packet path, x->lock held; granting in process context.
 */
#ifndef XFRMSYNC_LIMIT_H
#define XFRMSYNC_LIMIT_H

#include <linux/skbuff.h>

#include "pernet.h"

void xfrmsync_limit_clear(struct xfrmsync_sa *sa);
void xfrmsync_limit_lift(struct xfrmsync_net *ns);
u32 xfrmsync_limit_set(struct xfrmsync_sa *sa, u64 end, bool go_on);
void xfrmsync_limit_leapt(struct xfrmsync_sa *sa);
void xfrmsync_limit_reached(struct xfrmsync_sa *sa, u64 number);

/* The last outbound number drawn. x->lock held, or one that may be torn. */
static inline u64 xfrmsync_oseq(const struct xfrm_state *x)
{
	if (!x->replay_esn)
		return x->replay.oseq;
	return (u64)x->replay_esn->oseq_hi << 32 | x->replay_esn->oseq;
}

/* x->lock held, or before anybody knows the SA. */
static inline void xfrmsync_limit_watch(struct xfrmsync_sa *sa, u64 number)
{
	sa->watch = number;
}

/* Before a packet draws its numbers: one, or one for each segment. */
static __always_inline void xfrmsync_limit_check(struct xfrmsync_sa *sa,
						 const struct sk_buff *skb)
{
	u64 number = xfrmsync_oseq(sa->x) + 1;

	if (skb_is_gso(skb))
		number += skb_shinfo(skb)->gso_segs - 1;
	if (unlikely(number >= sa->watch))
		xfrmsync_limit_reached(sa, number);
}

#endif
