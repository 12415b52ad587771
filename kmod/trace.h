/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what happens to SAs and records.
 * Out: tracepoints (events/xfrmsync), free while nobody looks.
 * Any context.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM xfrmsync

#if !defined(XFRMSYNC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define XFRMSYNC_TRACE_H

#include <linux/tracepoint.h>
#include <net/net_namespace.h>

#include "pernet.h"

DECLARE_EVENT_CLASS(xfrmsync_sa,
	TP_PROTO(const struct xfrmsync_sa *sa),
	TP_ARGS(sa),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(u32, spi)
		__field(u8, proto)
		__field(u16, family)
		__field(u64, cookie)
	),
	TP_fast_assign(
		__entry->netns = sa->ns->net->ns.inum;
		__entry->spi = be32_to_cpu(sa->id.spi);
		__entry->proto = sa->id.proto;
		__entry->family = sa->id.family;
		__entry->cookie = sa->cookie;
	),
	TP_printk("netns=%u family=%u proto=%u spi=0x%08x cookie=%llu",
		  __entry->netns, __entry->family, __entry->proto,
		  __entry->spi, __entry->cookie)
);

/* Lifecycle. */
DEFINE_EVENT(xfrmsync_sa, xfrmsync_track,
	TP_PROTO(const struct xfrmsync_sa *sa), TP_ARGS(sa));
DEFINE_EVENT(xfrmsync_sa, xfrmsync_untrack,
	TP_PROTO(const struct xfrmsync_sa *sa), TP_ARGS(sa));

/* Capture: the packet that makes an SA dirty, one of all until the next pull. */
DEFINE_EVENT(xfrmsync_sa, xfrmsync_mark,
	TP_PROTO(const struct xfrmsync_sa *sa), TP_ARGS(sa));

TRACE_EVENT(xfrmsync_pull,
	TP_PROTO(const struct net *net, u32 records, int more),
	TP_ARGS(net, records, more),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(u32, records)
		__field(int, more)
	),
	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->records = records;
		__entry->more = more;
	),
	TP_printk("netns=%u records=%u more=%d", __entry->netns,
		  __entry->records, __entry->more)
);

TRACE_EVENT(xfrmsync_restore,
	TP_PROTO(const struct net *net, u32 spi, u8 proto, u64 oseq, u64 seq,
		 u32 reason),
	TP_ARGS(net, spi, proto, oseq, seq, reason),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(u32, spi)
		__field(u8, proto)
		__field(u64, oseq)
		__field(u64, seq)
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->spi = spi;
		__entry->proto = proto;
		__entry->oseq = oseq;
		__entry->seq = seq;
		__entry->reason = reason;
	),
	TP_printk("netns=%u proto=%u spi=0x%08x oseq=%llu seq=%llu reason=%u",
		  __entry->netns, __entry->proto, __entry->spi, __entry->oseq,
		  __entry->seq, __entry->reason)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
