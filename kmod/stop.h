/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a reason why one SA must not be used.
 * Out: XFRM neither sends nor receives by it, until the last reason is gone.
 * Any context, x->lock held.
 */
#ifndef XFRMSYNC_STOP_H
#define XFRMSYNC_STOP_H

#include "table.h"

/* The reasons are bits of xfrmsync_sa.flags: STOPPED (its lease has ended),
 * FENCED (it is not safe to use here) and BARRED (no hook would drop its packets).
 */
static inline bool xfrmsync_is_stopped(const struct xfrmsync_sa *sa)
{
	return READ_ONCE(sa->flags) & (BIT(XFRMSYNC_SA_STOPPED) |
				       BIT(XFRMSYNC_SA_FENCED) |
				       BIT(XFRMSYNC_SA_BARRED));
}

bool xfrmsync_stop(struct xfrmsync_sa *sa, int reason);
bool xfrmsync_go_on(struct xfrmsync_sa *sa, int reason);
void xfrmsync_stop_barred(struct xfrmsync_sa *sa);
void xfrmsync_stop_untold(struct xfrmsync_sa *sa);
bool xfrmsync_stop_was_untold(struct xfrmsync_sa *sa);

#endif
