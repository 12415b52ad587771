/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs that have to be rekeyed.
 * Out: XFRM's soft expiry, so that IKE replaces them; on an active node only.
 * Marked in any context, told in process context, a few at a time.
 */
#ifndef XFRMSYNC_EXPIRE_H
#define XFRMSYNC_EXPIRE_H

#include "pernet.h"

void xfrmsync_expire_net_init(struct xfrmsync_net *ns);
void xfrmsync_expire_net_exit(struct xfrmsync_net *ns);
void xfrmsync_expire_later(struct xfrmsync_sa *sa, int why);
void xfrmsync_expire_now_active(struct xfrmsync_net *ns);

#endif
