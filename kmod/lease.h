/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: outbound sequence numbers of one SA (64 bits, host order).
 * Out: the last number that the node which sends may draw.
 * Pure arithmetic; builds in the kernel and in userspace.
 */
#ifndef XFRMSYNC_LEASE_H
#define XFRMSYNC_LEASE_H

#include <linux/types.h>
#ifndef __KERNEL__
#include <stdbool.h>
#endif

/* Numbers kept free below a limit: more than the segments of any GSO packet,
 * each of which draws one (net/ipv4/esp4_offload.c). Smaller only in a campaign
 * that shall notice one number too many (Documentation/campaign.rst); the same
 * on all nodes.
 */
#ifndef XFRMSYNC_LEASE_HEADROOM
#define XFRMSYNC_LEASE_HEADROOM (1U << 16)
#endif

/* More than a packet has segments (skb_shared_info.gso_segs). */
#define XFRMSYNC_LEASE_SEGMENTS (1U << 16)

/**
 * xfrmsync_lease_is_near() - may the next packet draw a number that somebody waits for
 * @oseq: last outbound number drawn
 * @watch: that number
 *
 * Whatever the packet, it draws no more than XFRMSYNC_LEASE_SEGMENTS. At the end
 * of all numbers their sum has none; that is near.
 *
 * Context: any; in the packet path.
 * Return: false where nobody has to look.
 */
static inline bool xfrmsync_lease_is_near(__u64 oseq, __u64 watch)
{
	__u64 last;

	return __builtin_add_overflow(oseq, (__u64)XFRMSYNC_LEASE_SEGMENTS, &last) ||
	       last >= watch;
}

/**
 * xfrmsync_lease_first() - end of a lease of an SA
 * @oseq: last outbound number drawn
 * @sent: highest number known to have been sent, by whichever node
 * @esn: the SA uses extended sequence numbers
 * @size_log2: size of a lease, as a power of two (0..63)
 *
 * A receiver infers the high half of an ESN from the low one and takes a
 * number that is 2^31 or more ahead for an old one (RFC 4303, appendix A2),
 * so the end stays below @sent + 2^31. Without ESN the counter must not wrap
 * (RFC 4303, 3.3.3), so it stays below 2^32 - 1.
 *
 * Context: any.
 * Return: the last number that may be drawn: what may be used, @oseq plus the
 * size, and the headroom; 0 where no lease is possible and the SA has to be
 * rekeyed.
 */
__u64 xfrmsync_lease_first(__u64 oseq, __u64 sent, bool esn,
			   unsigned int size_log2);

#endif
