/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit: made from Documentation/netlink/specs/xfrmsync.yaml by `make spec` */

#ifndef _UAPI_LINUX_XFRMSYNC_H
#define _UAPI_LINUX_XFRMSYNC_H

#include <linux/types.h>

#define XFRMSYNC_FAMILY_NAME	"xfrmsync"

#define XFRMSYNC_VERSION	1

/* Records, or bindings, that one request may carry. */
#define XFRMSYNC_MAX_BATCH	512

/* Largest replay window, packets. */
#define XFRMSYNC_MAX_WINDOW	4096

/* Longest time that the watchdog can be set to, ms. */
#define XFRMSYNC_MAX_WATCHDOG	3600000

/* Longest time that a step down waits for crypto to be silent, ms. */
#define XFRMSYNC_MAX_DRAIN	60000

/* What this network namespace is in its sync group. */
enum xfrmsync_role {
	/* No role; the module may be unloaded at any moment. */
	XFRMSYNC_ROLE_NONE,
	/* Its SAs carry traffic; records go out, restore is refused. */
	XFRMSYNC_ROLE_ACTIVE,
	/* Its SAs wait; records of the active come in. */
	XFRMSYNC_ROLE_STANDBY,
};

/* How changes of an SA are noticed. */
enum xfrmsync_capture {
	/* Nothing notices them. */
	XFRMSYNC_CAPTURE_NONE,
	/* A permanent ftrace_ops on the replay functions. */
	XFRMSYNC_CAPTURE_FTRACE,
	/* Kprobes on the replay functions. */
	XFRMSYNC_CAPTURE_KPROBE,
	/* A periodic look at each SA; needs no hook, sees changes late. */
	XFRMSYNC_CAPTURE_SCAN,
};

/* What keeps packets of managed SAs back. */
enum xfrmsync_fence {
	/* Nothing; the node is no standby. */
	XFRMSYNC_FENCE_DOWN,
	/* Netfilter's hooks, and XFRM's on the way in. */
	XFRMSYNC_FENCE_HOOKS,
	/*
	 * Netfilter has no room for the hooks. Each SA is stopped by itself,
	 * until it has; it is tried again every ten seconds at least.
	 */
	XFRMSYNC_FENCE_SAS,
};

enum xfrmsync_dir {
	XFRMSYNC_DIR_UNKNOWN,
	XFRMSYNC_DIR_IN,
	XFRMSYNC_DIR_OUT,
};

enum xfrmsync_record_flags {
	/* The SA uses extended sequence numbers (RFC 4303, 2.2.1). */
	XFRMSYNC_RECORD_F_ESN = 1,
	/* The window is kept in the large (replay_esn) state. */
	XFRMSYNC_RECORD_F_BMP = 2,
	/* First record of this SA since the reader subscribed. */
	XFRMSYNC_RECORD_F_NEW = 4,
	/* Parameters of the SA were updated; read its context again. */
	XFRMSYNC_RECORD_F_CHANGED = 8,
	/* The SA is gone; only its identity, tag and cookie stand here. */
	XFRMSYNC_RECORD_F_DELETED = 16,
	/* With deleted; it died by its hard limit. */
	XFRMSYNC_RECORD_F_EXPIRED = 32,
	/* Its soft limit has passed. */
	XFRMSYNC_RECORD_F_DYING = 64,
	/* Its counters were written by a restore and not used since. */
	XFRMSYNC_RECORD_F_RESTORED = 128,
	/* An SPI without keys yet. */
	XFRMSYNC_RECORD_F_LARVAL = 256,
	/*
	 * Another node has, or had, this SA: it was written by a restore, or
	 * bound with this flag.
	 */
	XFRMSYNC_RECORD_F_SHARED = 512,
	/*
	 * Not an SA of the cluster: the fence lets it pass. Bind gives and takes
	 * this.
	 */
	XFRMSYNC_RECORD_F_UNMANAGED = 1024,
	/* Its lease has ended; it goes on when it is granted more. */
	XFRMSYNC_RECORD_F_STOPPED = 2048,
	/* It went on past the end of its lease, and must not be taken over. */
	XFRMSYNC_RECORD_F_OVERRUN = 4096,
	/*
	 * Not safe to use on this node: it neither sends nor receives, and its
	 * key manager is asked for a rekey while the node is active. Bind gives
	 * and takes this.
	 */
	XFRMSYNC_RECORD_F_FENCED = 8192,
	/* At the end of its lease it is marked (overrun) instead of stopped. */
	XFRMSYNC_RECORD_F_GOES_ON = 16384,
	/*
	 * Its replay window is what a restore wrote, and nothing that was
	 * accepted here is in it.
	 */
	XFRMSYNC_RECORD_F_WINDOW_RESTORED = 32768,
	/*
	 * It came to a standby and nothing was restored onto it, or bound to it,
	 * since: an active may have sent with it. Fenced until then.
	 */
	XFRMSYNC_RECORD_F_UNTOLD = 65536,
};

enum xfrmsync_restore_flags {
	/* Give the SA the record's tag if it has none yet. */
	XFRMSYNC_RESTORE_F_BIND = 1,
	/* Refuse a record whose SA is not there, instead of parking it. */
	XFRMSYNC_RESTORE_F_NO_PARK = 2,
	/*
	 * Replace the replay window by the record's, instead of merging both
	 * (larger number, OR of the windows). It may go back only where it is
	 * what a restore wrote.
	 */
	XFRMSYNC_RESTORE_F_WINDOW_EXACT = 4,
	/* At the end of its lease the SA is marked instead of stopped. */
	XFRMSYNC_RESTORE_F_GO_ON = 8,
	/*
	 * The SA is not safe to use, although it is prepared as well as can be:
	 * fence it, as bind does.
	 */
	XFRMSYNC_RESTORE_F_FENCED = 16,
	/*
	 * Merge the record's window into the SA's, raise the outbound number to
	 * the record's where that is higher, and write nothing else of it; the
	 * one thing that is restored onto an active node. The tag has to fit,
	 * and nothing is parked.
	 */
	XFRMSYNC_RESTORE_F_MERGE = 32,
};

/*
 * What a plain record has behind its addresses and its bitmap, in this
 * order: what the attributes of that name are. A request's has what it
 * means, an answer's what is not 0.
 */
enum xfrmsync_plain_flags {
	/* Its addresses have 16 bytes each, instead of 4. */
	XFRMSYNC_PLAIN_F_IPV6 = 1,
	/* u64 */
	XFRMSYNC_PLAIN_F_OSEQ = 2,
	/* u64; in a request window and bitmap are meant, too. */
	XFRMSYNC_PLAIN_F_SEQ = 4,
	/* u64 bytes, u64 packets. */
	XFRMSYNC_PLAIN_F_COUNTED = 8,
	/* u64 add-time, u64 use-time, u64 last-used. */
	XFRMSYNC_PLAIN_F_TIMES = 16,
	/* u64 */
	XFRMSYNC_PLAIN_F_TAG = 32,
	/* u64 */
	XFRMSYNC_PLAIN_F_LEASE_END = 64,
	/* u64 */
	XFRMSYNC_PLAIN_F_GIVEN_END = 128,
	/* u64 */
	XFRMSYNC_PLAIN_F_GUARD_END = 256,
	/* u64 */
	XFRMSYNC_PLAIN_F_SENT = 512,
	/* u32 mark, u32 mark-mask, u32 if-id, u32 0. */
	XFRMSYNC_PLAIN_F_NAME = 1024,
	/* u32 replay-window-errors, replay-errors, integrity-errors, u32 0. */
	XFRMSYNC_PLAIN_F_ERRORS = 2048,
	/* u64; of a request, passed over. */
	XFRMSYNC_PLAIN_F_AGE_NS = 4096,
	/* u32 restore-flags (not merge), u32 0; restore only. */
	XFRMSYNC_PLAIN_F_RESTORE = 8192,
	/* u64; restore only. */
	XFRMSYNC_PLAIN_F_EXPECT_OSEQ = 16384,
	/* Nothing; the head's flags are meant. */
	XFRMSYNC_PLAIN_F_FLAGS = 32768,
};

/*
 * The head of a plain record. Behind it come dst and src, the words of
 * the bitmap, filled up to 8 bytes, and what has says. Such a record
 * takes half of what its attributes do, and one binary attribute has as
 * many as there is room for, one behind the other.
 */
struct xfrmsync_plain {
	/* plain-flags */
	__u16 has;
	/* Length of all of it, in 8 bytes. */
	__u8 units;
	/* Of the bitmap, 32 bits each. */
	__u8 words;
	/* record-flags */
	__u32 flags;
	/* 0 in a request for whatever life there is. */
	__u64 cookie;
	__be32 spi;
	__u32 window;
	__u32 reqid;
	__u8 proto;
	__u8 mode;
	__u8 dir;
	__u8 zero;
};

/* Why a record, or a binding, was refused. */
enum xfrmsync_reason {
	XFRMSYNC_REASON_OK,
	/* No such SA yet; kept and applied when it appears. */
	XFRMSYNC_REASON_PARKED,
	/* No such SA, and parking was not wanted. */
	XFRMSYNC_REASON_NO_SA,
	/* No such SA, and the parking space is full. */
	XFRMSYNC_REASON_PARK_FULL,
	/* The SA there is another incarnation. */
	XFRMSYNC_REASON_TAG,
	/* The replay mode (ESN, large or legacy state) differs. */
	XFRMSYNC_REASON_MODE,
	/* The window size differs, or the bitmap has another length. */
	XFRMSYNC_REASON_WINDOW,
	/* The outbound sequence number would go backwards. */
	XFRMSYNC_REASON_BACKWARDS_OSEQ,
	/* The inbound sequence number would go backwards. */
	XFRMSYNC_REASON_BACKWARDS_SEQ,
	/* The SA is not valid (being deleted, expired or stopped). */
	XFRMSYNC_REASON_STATE,
	/* An attribute is missing or malformed. */
	XFRMSYNC_REASON_ATTRIBUTE,
	/* Out of memory. */
	XFRMSYNC_REASON_MEMORY,
	/* The SA there is not the one that the cookie names. */
	XFRMSYNC_REASON_COOKIE,
	/* A sequence number is outside of what the SA can count. */
	XFRMSYNC_REASON_RANGE,
	/* The lease's end is behind the one in force, or behind the counter. */
	XFRMSYNC_REASON_LEASE,
	/* The outbound number is not the one that expect-oseq says. */
	XFRMSYNC_REASON_MOVED,
	/* The end of what was given out would go backwards. */
	XFRMSYNC_REASON_BACKWARDS_GIVEN,
};

/* The live state of one SA. */
enum {
	/* u16: AF_INET or AF_INET6. */
	XFRMSYNC_A_RECORD_FAMILY = 1,
	/* binary: Destination address, 4 or 16 bytes. */
	XFRMSYNC_A_RECORD_DST,
	/* binary: Source address, 4 or 16 bytes. */
	XFRMSYNC_A_RECORD_SRC,
	/* u32 */
	XFRMSYNC_A_RECORD_SPI,
	/* u8: IPPROTO_ESP, IPPROTO_AH or IPPROTO_COMP. */
	XFRMSYNC_A_RECORD_PROTO,
	/* u8: XFRM_MODE_*. */
	XFRMSYNC_A_RECORD_MODE,
	/* u8 */
	XFRMSYNC_A_RECORD_DIR,
	/* u32 */
	XFRMSYNC_A_RECORD_MARK,
	/* u32 */
	XFRMSYNC_A_RECORD_MARK_MASK,
	/* u32 */
	XFRMSYNC_A_RECORD_IF_ID,
	/* u32 */
	XFRMSYNC_A_RECORD_REQID,
	/* u32 */
	XFRMSYNC_A_RECORD_FLAGS,
	/* u64: Incarnation, given by userspace; 0 while it has none. */
	XFRMSYNC_A_RECORD_TAG,
	/* u64: Number of this SA's life in this kernel, never used twice. */
	XFRMSYNC_A_RECORD_COOKIE,
	/* u64: Last outbound sequence number drawn. */
	XFRMSYNC_A_RECORD_OSEQ,
	/* u64: Highest inbound sequence number authenticated. */
	XFRMSYNC_A_RECORD_SEQ,
	/* u32: Replay window, packets. */
	XFRMSYNC_A_RECORD_WINDOW,
	/*
	 * binary: Replay bitmap as 32-bit words in the kernel's own order: the
	 * one word of the legacy state (bit n is seq - n), or the ring of the
	 * large state (bit (seq - 1) mod window is seq).
	 */
	XFRMSYNC_A_RECORD_BITMAP,
	/* u64 */
	XFRMSYNC_A_RECORD_BYTES,
	/* u64 */
	XFRMSYNC_A_RECORD_PACKETS,
	/* u64: Wall-clock second of this node at which the SA was added. */
	XFRMSYNC_A_RECORD_ADD_TIME,
	/* u64: Wall-clock second of the first use, 0 for never. */
	XFRMSYNC_A_RECORD_USE_TIME,
	/* u64: Wall-clock second of the last use, 0 for never. */
	XFRMSYNC_A_RECORD_LAST_USED,
	/* u32: Packets left of the window. */
	XFRMSYNC_A_RECORD_REPLAY_WINDOW_ERRORS,
	/* u32: Packets seen already. */
	XFRMSYNC_A_RECORD_REPLAY_ERRORS,
	/* u32 */
	XFRMSYNC_A_RECORD_INTEGRITY_ERRORS,
	/* u64: Time since the oldest change that this record tells, ns. */
	XFRMSYNC_A_RECORD_AGE_NS,
	/* u64: Last outbound number that may be used, 0 for no limit known. */
	XFRMSYNC_A_RECORD_LEASE_END,
	/* u32: Restore only. */
	XFRMSYNC_A_RECORD_RESTORE_FLAGS,
	/*
	 * u64: Highest outbound number that is known to have been sent, while
	 * oseq is what a restore wrote; absent where oseq itself is.
	 */
	XFRMSYNC_A_RECORD_SENT,
	/*
	 * u64: Restore only. The outbound number must be this one. Then oseq may
	 * be lower, where a restore wrote the number and the SA was not used
	 * since; and lease-end replaces the one in force, also by a shorter one.
	 * For the exact numbers of a planned takeover.
	 */
	XFRMSYNC_A_RECORD_EXPECT_OSEQ,
	/*
	 * u64: While the highest inbound number is above it, nothing is
	 * delivered (strict guard); 0 for no limit. Bind gives, raises, lowers
	 * and takes it; becoming standby, or none, takes it.
	 */
	XFRMSYNC_A_RECORD_GUARD_END,
	/*
	 * u64: End of all ranges of outbound numbers that were ever given out to
	 * nodes that may take over, as far as this node was told; 0 or absent
	 * for none. Bind raises it, before a range is offered, and refuses a
	 * lower one; restore raises it, and leaves it where it is higher. It
	 * stays for the life of the SA, whatever becomes of role and lease.
	 */
	XFRMSYNC_A_RECORD_GIVEN_END,
	/* pad */
	XFRMSYNC_A_RECORD_PAD,
	/*
	 * binary: In a request for a dump, empty: the records come plain. In its
	 * messages: all their records (struct plain, ...).
	 */
	XFRMSYNC_A_RECORD_PLAIN,

	__XFRMSYNC_A_RECORD_MAX,
	XFRMSYNC_A_RECORD_MAX = (__XFRMSYNC_A_RECORD_MAX - 1)
};

enum {
	/* u32: Which record of the request, from 0. */
	XFRMSYNC_A_RESULT_INDEX = 1,
	/* u32 */
	XFRMSYNC_A_RESULT_REASON,
	/* s32: 0 or a negative errno that fits the reason. */
	XFRMSYNC_A_RESULT_ERRNO,

	__XFRMSYNC_A_RESULT_MAX,
	XFRMSYNC_A_RESULT_MAX = (__XFRMSYNC_A_RESULT_MAX - 1)
};

enum {
	/* u64: Epoch of the node that the records come from. */
	XFRMSYNC_A_BATCH_EPOCH = 1,
	/* u32: Node id that breaks a tie between equal epochs. */
	XFRMSYNC_A_BATCH_NODE,
	/* nest: Each attribute in it once. */
	XFRMSYNC_A_BATCH_RECORD,
	/* nest: One for each record that was not applied. */
	XFRMSYNC_A_BATCH_RESULT,
	/* u32 */
	XFRMSYNC_A_BATCH_APPLIED,
	/* u32 */
	XFRMSYNC_A_BATCH_PARKED,
	/* u32 */
	XFRMSYNC_A_BATCH_REFUSED,
	/* pad */
	XFRMSYNC_A_BATCH_PAD,
	/*
	 * binary: Records (struct plain, ...) in place of those by attributes: a
	 * request has the ones or the others.
	 */
	XFRMSYNC_A_BATCH_PLAIN,

	__XFRMSYNC_A_BATCH_MAX,
	XFRMSYNC_A_BATCH_MAX = (__XFRMSYNC_A_BATCH_MAX - 1)
};

enum {
	/* u32 */
	XFRMSYNC_A_STATUS_VERSION = 1,
	/* u32 */
	XFRMSYNC_A_STATUS_ROLE,
	/* u64 */
	XFRMSYNC_A_STATUS_EPOCH,
	/* u32 */
	XFRMSYNC_A_STATUS_NODE,
	/* u32 */
	XFRMSYNC_A_STATUS_CAPTURE,
	/* u32: SAs followed in this namespace. */
	XFRMSYNC_A_STATUS_SAS,
	/* u32: SAs whose change waits for the reader. */
	XFRMSYNC_A_STATUS_DIRTY,
	/* u32: Records that wait for their SA. */
	XFRMSYNC_A_STATUS_PARKED,
	/* u32: Port id of the reader, 0 for none. */
	XFRMSYNC_A_STATUS_READER,
	/* u32: So long may the daemon of an active be silent, ms; 0 for ever. */
	XFRMSYNC_A_STATUS_WATCHDOG_MS,
	/* pad */
	XFRMSYNC_A_STATUS_PAD,
	/*
	 * u64: Number of the time since the module was loaded, and this
	 * namespace had no role last; never used twice in a boot. What was set
	 * before is gone.
	 */
	XFRMSYNC_A_STATUS_LIFE,
	/* u32: SAs that came to a standby, and nothing was restored onto since. */
	XFRMSYNC_A_STATUS_UNTOLD,
	/*
	 * u32: As an active becomes standby: packets that have their number
	 * leave, and packets that come are delivered, until none left for so
	 * long, ms; ten times as long, and a minute, at most. More than 100
	 * takes CAP_NET_ADMIN outside of user namespaces. Only in a request.
	 */
	XFRMSYNC_A_STATUS_DRAIN_MS,
	/* u32: What keeps packets of managed SAs back now. Only in an answer. */
	XFRMSYNC_A_STATUS_FENCE,

	__XFRMSYNC_A_STATUS_MAX,
	XFRMSYNC_A_STATUS_MAX = (__XFRMSYNC_A_STATUS_MAX - 1)
};

/* Counters of this namespace since the module was loaded. */
enum {
	/* u64: SAs that were taken up. */
	XFRMSYNC_A_STATS_TRACKED = 1,
	/* u64: SAs that went. */
	XFRMSYNC_A_STATS_UNTRACKED,
	/* u64: SAs not taken up for lack of memory; a reconciling walk retries. */
	XFRMSYNC_A_STATS_TRACK_FAILED,
	/* u64: Reconciling walks. */
	XFRMSYNC_A_STATS_RECONCILED,
	/* u64: Times an SA became dirty. */
	XFRMSYNC_A_STATS_MARKED,
	/* u64: Wake-up messages sent to the reader. */
	XFRMSYNC_A_STATS_WAKEUPS,
	/* u64: Wake-ups that did not fit into the reader's buffer. */
	XFRMSYNC_A_STATS_WAKEUPS_LOST,
	/* u64: Records handed to the reader. */
	XFRMSYNC_A_STATS_PULLED,
	/* u64: Records given by dumps and get. */
	XFRMSYNC_A_STATS_DUMPED,
	/* u64: Deletions handed to the reader. */
	XFRMSYNC_A_STATS_TOMBSTONES,
	/* u64: Deletions that a stalled reader was spared; it must resync. */
	XFRMSYNC_A_STATS_TOMBSTONES_DROPPED,
	/* u64: Records restored. */
	XFRMSYNC_A_STATS_APPLIED,
	/* u64: Records refused. */
	XFRMSYNC_A_STATS_REFUSED,
	/* u64: Records parked. */
	XFRMSYNC_A_STATS_PARKED,
	/* u64: Parked records applied when their SA appeared. */
	XFRMSYNC_A_STATS_PARKED_APPLIED,
	/*
	 * u64: Parked records dropped (replaced, of another incarnation, or no
	 * room).
	 */
	XFRMSYNC_A_STATS_PARKED_DROPPED,
	/* u64: Requests refused for an epoch older than the one in force. */
	XFRMSYNC_A_STATS_STALE_EPOCH,
	/* u64: Packets not protected, because this node is not the active. */
	XFRMSYNC_A_STATS_FENCED_OUT,
	/* u64: Packets protected while the fence went up, and not sent. */
	XFRMSYNC_A_STATS_FENCED_LATE,
	/* u64: Packets not delivered, because this node is not the active. */
	XFRMSYNC_A_STATS_FENCED_IN,
	/*
	 * u64: SAs of which a rekey was asked, at three quarters of their lease.
	 */
	XFRMSYNC_A_STATS_LEASES_LOW,
	/* u64: Times an SA stopped at the end of its lease. */
	XFRMSYNC_A_STATS_LEASES_ENDED,
	/* u64: Times an active became standby, because its daemon was silent. */
	XFRMSYNC_A_STATS_WATCHDOG_FIRED,
	/*
	 * u64: Packets not delivered, because no standby has acknowledged a
	 * guard that covers them.
	 */
	XFRMSYNC_A_STATS_GUARD_HELD,
	/* u64: Packets that left while this node stepped down (drain-ms). */
	XFRMSYNC_A_STATS_DRAINED,
	/* pad */
	XFRMSYNC_A_STATS_PAD,

	__XFRMSYNC_A_STATS_MAX,
	XFRMSYNC_A_STATS_MAX = (__XFRMSYNC_A_STATS_MAX - 1)
};

enum {
	/* flag: Changes were lost; take a full snapshot (subscribe again). */
	XFRMSYNC_A_READER_RESYNC = 1,
	/* u32: SAs that wait, when the message was made. */
	XFRMSYNC_A_READER_DIRTY,

	__XFRMSYNC_A_READER_MAX,
	XFRMSYNC_A_READER_MAX = (__XFRMSYNC_A_READER_MAX - 1)
};

enum {
	/* One SA by family, dst, spi, proto and mark, or a dump of all. */
	XFRMSYNC_CMD_GET = 1,
	/*
	 * Become the one reader of this namespace: all SAs are marked dirty, so
	 * that the pulls that follow give a full snapshot. EBUSY while there is
	 * another reader. The answer is the first wake-up: pull at once; dirty-
	 * ntf comes after a pull has emptied the set. Repeating it starts a new
	 * snapshot. The socket's end, or unsubscribe, ends it.
	 */
	XFRMSYNC_CMD_SUBSCRIBE,
	/* Stop being the reader. */
	XFRMSYNC_CMD_UNSUBSCRIBE,
	/* Records of the dirty SAs, longest waiting first (reader only). */
	XFRMSYNC_CMD_PULL,
	/*
	 * Sent to the reader alone, once, when the set of dirty SAs stops being
	 * empty; after a pull has emptied it, again.
	 */
	XFRMSYNC_CMD_DIRTY_NTF,
	/*
	 * Write records of another node onto the SAs of this one. Records stand
	 * for themselves: a refused one does not stop the others.
	 */
	XFRMSYNC_CMD_RESTORE,
	/*
	 * Give SAs their tags (incarnation), leases and limits. Each record
	 * names an SA by its identity and carries tag, cookie and, optionally,
	 * lease-end, guard-end and given-end. With sent and the oseq that stands
	 * there, above it, what is between counts as sent by nobody: of an SA
	 * that was migrated.
	 */
	XFRMSYNC_CMD_BIND,
	/* Role, epoch, capture method and sizes. */
	XFRMSYNC_CMD_STATUS_GET,
	/*
	 * Change the role. The epoch must not be lower than the one in force; to
	 * become active from another role it must be higher. Role none resets
	 * it, and switches the watchdog off. With drain-ms, an active that
	 * becomes standby draws no number any more, but is fenced only when what
	 * has one is out of crypto; of any other change it is ignored.
	 */
	XFRMSYNC_CMD_ROLE_SET,
	/* The role or the epoch changed. */
	XFRMSYNC_CMD_ROLE_NTF,
	/* Counters. */
	XFRMSYNC_CMD_STATS_GET,
	/*
	 * How long the daemon of an active may be silent, and a sign of its
	 * life: each one starts the time anew. When it is up the fence goes up
	 * and the active becomes standby, in the same epoch; role-ntf tells.
	 * While the role is another one nothing runs; becoming active starts it.
	 * 0, the default, switches it off.
	 */
	XFRMSYNC_CMD_WATCHDOG_SET,

	__XFRMSYNC_CMD_MAX,
	XFRMSYNC_CMD_MAX = (__XFRMSYNC_CMD_MAX - 1)
};

#define XFRMSYNC_MCGRP_EVENTS	"events"

#endif /* _UAPI_LINUX_XFRMSYNC_H */
