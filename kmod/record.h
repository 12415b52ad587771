/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: one SA that is followed.
 * Out: its live state as netlink attributes, or plain, consistent at one moment.
 * Process context under RCU; takes x->lock.
 */
#ifndef XFRMSYNC_RECORD_H
#define XFRMSYNC_RECORD_H

#include <linux/skbuff.h>

#include "table.h"

struct xfrmsync_plain_msg;

size_t xfrmsync_record_size(const struct xfrmsync_sa *sa, bool gone);
int xfrmsync_record_fill(struct sk_buff *skb, struct xfrmsync_sa *sa, u32 flags,
			 u64 age_ns);
int xfrmsync_record_fill_gone(struct sk_buff *skb, struct xfrmsync_sa *sa);
bool xfrmsync_record_fits_plain(const struct xfrmsync_plain_msg *m,
				const struct xfrmsync_sa *sa, bool gone);
void xfrmsync_record_fill_plain(struct xfrmsync_plain_msg *m,
				struct xfrmsync_sa *sa, u32 flags, u64 age_ns);
void xfrmsync_record_fill_plain_gone(struct xfrmsync_plain_msg *m,
				     struct xfrmsync_sa *sa);
u32 xfrmsync_record_flags(const struct xfrmsync_sa *sa);

#endif
