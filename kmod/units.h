/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the head of a plain record.
 * Out: how long it has to be.
 * Pure; builds in the kernel and in userspace.
 */
#ifndef XFRMSYNC_UNITS_H
#define XFRMSYNC_UNITS_H

#include <linux/xfrmsync.h>
#ifdef __KERNEL__
#include <linux/bitops.h>
#else
/* __builtin_popcount() is a call where no instruction is asked for. */
static inline unsigned int hweight16(unsigned int w)
{
	w -= (w >> 1) & 0x5555;
	w = (w & 0x3333) + ((w >> 2) & 0x3333);
	w = (w + (w >> 4)) & 0x0f0f;
	return (w + (w >> 8)) & 0x1f;
}
#endif

#define XFRMSYNC_PLAIN_UNIT 8	/* bytes */
/* All of it, with the largest window. */
#define XFRMSYNC_PLAIN_MAX (8 * (28 + XFRMSYNC_MAX_WINDOW / 64))

/* In units: the head and two IPv4 addresses; one for each bit of has that has something;
 * what is more than one; and the words, two in each.
 */
static inline unsigned int xfrmsync_plain_units(__u16 has, unsigned int words)
{
	return sizeof(struct xfrmsync_plain) / XFRMSYNC_PLAIN_UNIT + 1 +
	       hweight16(has & (XFRMSYNC_PLAIN_F_FLAGS - 1)) +
	       (has & XFRMSYNC_PLAIN_F_IPV6 ? 2 : 0) +
	       (has & XFRMSYNC_PLAIN_F_COUNTED ? 1 : 0) +
	       (has & XFRMSYNC_PLAIN_F_TIMES ? 2 : 0) +
	       (has & XFRMSYNC_PLAIN_F_NAME ? 1 : 0) +
	       (has & XFRMSYNC_PLAIN_F_ERRORS ? 1 : 0) + (words + 1) / 2;
}

#endif
