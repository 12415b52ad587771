/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: records of another node, and the tags of SAs.
 * Out: counters written onto the SAs of this one, or the reason why not.
 * Process context under role_mutex; SAs that appear, in XFRM's callbacks.
 */
#ifndef XFRMSYNC_RESTORE_H
#define XFRMSYNC_RESTORE_H

#include <linux/xfrmsync.h>

#include "pernet.h"
#include "window.h"

struct nlattr;

/* Which parts a record brings: the bits by which a plain one says so. */
enum {
	XFRMSYNC_HAS_OSEQ	= XFRMSYNC_PLAIN_F_OSEQ,
	XFRMSYNC_HAS_WINDOW	= XFRMSYNC_PLAIN_F_SEQ,
	XFRMSYNC_HAS_LIFETIME	= XFRMSYNC_PLAIN_F_COUNTED | XFRMSYNC_PLAIN_F_TIMES,
	XFRMSYNC_HAS_LEASE	= XFRMSYNC_PLAIN_F_LEASE_END,
	XFRMSYNC_HAS_GIVEN	= XFRMSYNC_PLAIN_F_GIVEN_END,
	XFRMSYNC_HAS_GUARD	= XFRMSYNC_PLAIN_F_GUARD_END,
	XFRMSYNC_HAS_SENT	= XFRMSYNC_PLAIN_F_SENT,
	XFRMSYNC_HAS_EXPECT	= XFRMSYNC_PLAIN_F_EXPECT_OSEQ,
	XFRMSYNC_HAS_FLAGS	= XFRMSYNC_PLAIN_F_FLAGS,
	XFRMSYNC_HAS_COOKIE	= 1 << 16,
};

/**
 * struct xfrmsync_restore - a record to be written onto an SA
 * @id: which SA
 * @has: XFRMSYNC_HAS_*
 * @flags: XFRMSYNC_RECORD_F_ESN and _BMP
 * @restore_flags: XFRMSYNC_RESTORE_F_*
 * @tag: incarnation, 0 for an SA that has none
 * @cookie: life of the SA in this kernel (bind only)
 * @oseq: outbound number
 * @seq: inbound number
 * @bytes: lifetime, bytes
 * @packets: lifetime, packets
 * @add_time: wall-clock second of this node, 0 to leave
 * @use_time: wall-clock second of this node, 0 to leave
 * @last_used: wall-clock second of this node, 0 to leave
 * @lease_end: last outbound number that may be used
 * @sent: highest outbound number known to be sent
 * @expect_oseq: outbound number that the SA must have
 * @guard_end: last inbound number that may be delivered, 0 for no limit (bind only)
 * @given_end: end of all ranges that were given out, so far
 * @stats: error counters
 * @window: packets
 * @words: of @bmp
 * @bmp: the window, as the kernel keeps it
 */
struct xfrmsync_restore {
	struct xfrmsync_sa_id id;
	u32 has;
	u32 flags;
	u32 restore_flags;
	u64 tag;
	u64 cookie;
	u64 oseq;
	u64 seq;
	u64 bytes;
	u64 packets;
	u64 add_time;
	u64 use_time;
	u64 last_used;
	u64 lease_end;
	u64 sent;
	u64 expect_oseq;
	u64 guard_end;
	u64 given_end;
	struct xfrm_stats stats;
	u32 window;
	u32 words;
	u32 bmp[XFRMSYNC_WINDOW_WORDS];
};

bool xfrmsync_restore_parse_id(struct nlattr **tb, struct xfrmsync_sa_id *id);
u32 xfrmsync_restore_parse(struct nlattr **tb, struct xfrmsync_restore *r);
u32 xfrmsync_restore_record(struct xfrmsync_net *ns, struct xfrmsync_restore *r);
u32 xfrmsync_restore_bind(struct xfrmsync_net *ns, struct xfrmsync_restore *r);
void xfrmsync_restore_born(struct xfrmsync_net *ns, struct xfrmsync_sa *sa);
bool xfrmsync_restore_untouched(const struct xfrmsync_sa *sa);
int xfrmsync_restore_errno(u32 reason);

#endif
