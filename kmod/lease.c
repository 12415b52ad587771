// SPDX-License-Identifier: GPL-2.0
/*
 * In: outbound sequence numbers of one SA (64 bits, host order).
 * Out: the last number that the node which sends may draw.
 * Pure arithmetic; builds in the kernel and in userspace.
 */
#include "lease.h"

__u64 xfrmsync_lease_first(__u64 oseq, __u64 sent, bool esn,
			   unsigned int size_log2)
{
	const __u64 max = esn ? ~0ULL : 0xffffffffULL;
	const __u64 top = max - XFRMSYNC_LEASE_HEADROOM;
	__u64 size, end;

	if (size_log2 > 63 || sent > oseq || oseq >= top)
		return 0;

	/* What may be used, and the headroom that is drawn by nobody. */
	size = 1ULL << size_log2;
	end = top - oseq;
	if (end > XFRMSYNC_LEASE_HEADROOM && size < end - XFRMSYNC_LEASE_HEADROOM)
		end = size + XFRMSYNC_LEASE_HEADROOM;
	end += oseq;
	if (esn) {
		const __u64 reach = (1ULL << 31) - 1 - XFRMSYNC_LEASE_HEADROOM;

		if (oseq - sent >= reach)
			return 0;
		if (end - sent > reach)
			end = sent + reach;
	}
	return end - oseq > XFRMSYNC_LEASE_HEADROOM ? end : 0;
}
