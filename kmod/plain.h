/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: plain records, unchecked.
 * Out: the same as those by attributes are.
 * Process context; pure.
 */
#ifndef XFRMSYNC_PLAIN_H
#define XFRMSYNC_PLAIN_H

#include "restore.h"

struct netlink_callback;
struct sk_buff;

/* Where one of several is, and what is left from there. */
struct xfrmsync_plain_at {
	const void *p;
	unsigned int left;
};

/* False: it is malformed, or there is none (left is 0 then). */
bool xfrmsync_plain_check(const struct xfrmsync_plain_at *at);
/* It was checked. Goes on to the next one. XFRMSYNC_REASON_OK or _ATTRIBUTE. */
u32 xfrmsync_plain_parse(struct xfrmsync_plain_at *at,
			 struct xfrmsync_restore *r);

/**
 * struct xfrmsync_plain_msg - a message of a dump that has plain records
 * @hdr: its own header
 * @attr: has all of them
 * @at: where the next one goes
 * @end: so far may it go
 */
struct xfrmsync_plain_msg {
	void *hdr;
	struct nlattr *attr;
	char *at, *end;
};

/* Does who dumps want them? */
bool xfrmsync_plain_wanted(const struct netlink_callback *cb);
bool xfrmsync_plain_begin(struct sk_buff *skb, struct netlink_callback *cb,
			  u8 cmd, struct xfrmsync_plain_msg *m);
/* With none in it there is no message. */
void xfrmsync_plain_end(struct sk_buff *skb, struct xfrmsync_plain_msg *m);

#endif
