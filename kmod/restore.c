// SPDX-License-Identifier: GPL-2.0
/*
 * In: records of another node, and the tags of SAs.
 * Out: counters written onto the SAs of this one, or the reason why not.
 * Process context under role_mutex; SAs that appear, in XFRM's callbacks.
 */
#include <net/netlink.h>

#include "dirty.h"
#include "expire.h"
#include "fence.h"
#include "guard.h"
#include "lease.h"
#include "limit.h"
#include "park.h"
#include "restore.h"
#include "stop.h"
#include "trace.h"

#define A(name) XFRMSYNC_A_RECORD_##name

static u64 get_u64(struct nlattr **tb, int attr)
{
	return tb[attr] ? nla_get_u64(tb[attr]) : 0;
}

static u32 get_u32(struct nlattr **tb, int attr)
{
	return tb[attr] ? nla_get_u32(tb[attr]) : 0;
}

/**
 * xfrmsync_restore_parse_id() - read which SA is meant
 * @tb: attributes up to XFRMSYNC_A_RECORD_MARK_MASK, checked against the policy
 * @id: filled in
 *
 * Context: any.
 * Return: false where one is missing, or the address has another length.
 */
bool xfrmsync_restore_parse_id(struct nlattr **tb, struct xfrmsync_sa_id *id)
{
	size_t len;

	if (!tb[A(FAMILY)] || !tb[A(DST)] || !tb[A(SPI)] || !tb[A(PROTO)])
		return false;
	memset(id, 0, sizeof(*id));
	id->family = nla_get_u16(tb[A(FAMILY)]);
	len = id->family == AF_INET ? sizeof(struct in_addr) :
				      sizeof(struct in6_addr);
	if ((id->family != AF_INET && id->family != AF_INET6) ||
	    nla_len(tb[A(DST)]) != len)
		return false;
	memcpy(&id->daddr, nla_data(tb[A(DST)]), len);
	id->spi = nla_get_be32(tb[A(SPI)]);
	id->proto = nla_get_u8(tb[A(PROTO)]);
	id->mark.v = get_u32(tb, A(MARK));
	id->mark.m = get_u32(tb, A(MARK_MASK));
	return true;
}

/* A window is its number, its size and its words, or not there at all. */
static bool parse_window(struct nlattr **tb, struct xfrmsync_restore *r)
{
	if (!tb[A(SEQ)] && !tb[A(BITMAP)])
		return true;
	if (!tb[A(SEQ)] || !tb[A(WINDOW)])
		return false;
	r->has |= XFRMSYNC_HAS_WINDOW;
	r->seq = nla_get_u64(tb[A(SEQ)]);
	r->window = nla_get_u32(tb[A(WINDOW)]);
	if (tb[A(BITMAP)]) {
		if (nla_len(tb[A(BITMAP)]) % sizeof(u32))
			return false;
		r->words = nla_len(tb[A(BITMAP)]) / sizeof(u32);
		memcpy(r->bmp, nla_data(tb[A(BITMAP)]), nla_len(tb[A(BITMAP)]));
	}
	return r->words >= xfrmsync_window_words(r->window);
}

/* A merge is of a window, or of numbers, and of nothing else. */
static bool parse_merge(struct xfrmsync_restore *r)
{
	if (!(r->restore_flags & XFRMSYNC_RESTORE_F_MERGE))
		return true;
	if (!(r->has & (XFRMSYNC_HAS_WINDOW | XFRMSYNC_HAS_OSEQ)) ||
	    r->restore_flags & (XFRMSYNC_RESTORE_F_BIND |
				XFRMSYNC_RESTORE_F_WINDOW_EXACT))
		return false;
	r->has &= XFRMSYNC_HAS_WINDOW | XFRMSYNC_HAS_OSEQ;
	r->restore_flags |= XFRMSYNC_RESTORE_F_NO_PARK;
	return true;
}

/**
 * xfrmsync_restore_parse() - read a record or a binding
 * @tb: its attributes, checked against the policy
 * @r: filled in
 *
 * Context: any.
 * Return: XFRMSYNC_REASON_OK or XFRMSYNC_REASON_ATTRIBUTE.
 */
u32 xfrmsync_restore_parse(struct nlattr **tb, struct xfrmsync_restore *r)
{
	memset(r, 0, offsetof(struct xfrmsync_restore, bmp));
	if (!xfrmsync_restore_parse_id(tb, &r->id) || !parse_window(tb, r))
		return XFRMSYNC_REASON_ATTRIBUTE;

	if (tb[A(FLAGS)])
		r->has |= XFRMSYNC_HAS_FLAGS;
	r->flags = get_u32(tb, A(FLAGS));
	r->restore_flags = get_u32(tb, A(RESTORE_FLAGS));
	r->tag = get_u64(tb, A(TAG));
	if (tb[A(OSEQ)])
		r->has |= XFRMSYNC_HAS_OSEQ;
	r->oseq = get_u64(tb, A(OSEQ));
	if (tb[A(BYTES)] || tb[A(PACKETS)] || tb[A(ADD_TIME)])
		r->has |= XFRMSYNC_HAS_LIFETIME;
	r->bytes = get_u64(tb, A(BYTES));
	r->packets = get_u64(tb, A(PACKETS));
	r->add_time = get_u64(tb, A(ADD_TIME));
	r->use_time = get_u64(tb, A(USE_TIME));
	r->last_used = get_u64(tb, A(LAST_USED));
	if (tb[A(LEASE_END)])
		r->has |= XFRMSYNC_HAS_LEASE;
	r->lease_end = get_u64(tb, A(LEASE_END));
	if (tb[A(SENT)])
		r->has |= XFRMSYNC_HAS_SENT;
	r->sent = get_u64(tb, A(SENT));
	if (tb[A(EXPECT_OSEQ)])
		r->has |= XFRMSYNC_HAS_EXPECT;
	r->expect_oseq = get_u64(tb, A(EXPECT_OSEQ));
	if (tb[A(GUARD_END)])
		r->has |= XFRMSYNC_HAS_GUARD;
	r->guard_end = get_u64(tb, A(GUARD_END));
	if (tb[A(GIVEN_END)])
		r->has |= XFRMSYNC_HAS_GIVEN;
	r->given_end = get_u64(tb, A(GIVEN_END));
	if (tb[A(COOKIE)])
		r->has |= XFRMSYNC_HAS_COOKIE;
	r->cookie = get_u64(tb, A(COOKIE));
	r->stats.replay_window = get_u32(tb, A(REPLAY_WINDOW_ERRORS));
	r->stats.replay = get_u32(tb, A(REPLAY_ERRORS));
	r->stats.integrity_failed = get_u32(tb, A(INTEGRITY_ERRORS));
	return parse_merge(r) ? XFRMSYNC_REASON_OK : XFRMSYNC_REASON_ATTRIBUTE;
}

/* Nothing was accepted since a restore wrote the window, or ever. x->lock held. */
bool xfrmsync_restore_untouched(const struct xfrmsync_sa *sa)
{
	return xfrmsync_seq(sa->x) == sa->restored_seq &&
	       (!sa->restored_seq ||
		sa->x->curlft.packets == sa->restored_packets);
}

static bool is_esn(const struct xfrm_state *x)
{
	return x->props.flags & XFRM_STATE_ESN;
}

static u32 check_mode(const struct xfrm_state *x,
		      const struct xfrmsync_restore *r)
{
	if (!!(r->flags & XFRMSYNC_RECORD_F_BMP) != !!x->replay_esn ||
	    !!(r->flags & XFRMSYNC_RECORD_F_ESN) != is_esn(x))
		return XFRMSYNC_REASON_MODE;
	if (!is_esn(x) && (r->oseq > U32_MAX || r->seq > U32_MAX ||
			   r->given_end > U32_MAX))
		return XFRMSYNC_REASON_RANGE;
	return XFRMSYNC_REASON_OK;
}

static u32 check_window(const struct xfrmsync_sa *sa,
			const struct xfrmsync_restore *r)
{
	const struct xfrm_state *x = sa->x;
	u32 words = x->replay_esn ? x->replay_esn->bmp_len : 1;
	u32 size = x->replay_esn ? x->replay_esn->replay_window :
				   x->props.replay_window;

	if (!(r->has & XFRMSYNC_HAS_WINDOW))
		return XFRMSYNC_REASON_OK;
	if (r->window != size || (r->words && r->words != words))
		return XFRMSYNC_REASON_WINDOW;
	if ((r->restore_flags & XFRMSYNC_RESTORE_F_WINDOW_EXACT) &&
	    r->seq < xfrmsync_seq(x) && !xfrmsync_restore_untouched(sa))
		return XFRMSYNC_REASON_BACKWARDS_SEQ;
	return XFRMSYNC_REASON_OK;
}

static u32 check_tag(const struct xfrmsync_sa *sa,
		     const struct xfrmsync_restore *r)
{
	if (sa->tag == r->tag)
		return XFRMSYNC_REASON_OK;
	if (!sa->tag && (r->restore_flags & XFRMSYNC_RESTORE_F_BIND))
		return XFRMSYNC_REASON_OK;
	return XFRMSYNC_REASON_TAG;
}

/* Numbers never go back, but for those that nobody has drawn: a restore wrote
 * them, and no packet came since. Who knows the number that stands there says so.
 */
static u32 check_oseq(const struct xfrmsync_sa *sa,
		      const struct xfrmsync_restore *r)
{
	u64 oseq = xfrmsync_oseq(sa->x);

	if ((r->has & XFRMSYNC_HAS_EXPECT) && r->expect_oseq != oseq)
		return XFRMSYNC_REASON_MOVED;
	if (!(r->has & XFRMSYNC_HAS_OSEQ) || r->oseq >= oseq)
		return XFRMSYNC_REASON_OK;
	if ((r->has & XFRMSYNC_HAS_EXPECT) &&
	    test_bit(XFRMSYNC_SA_RESTORED, &sa->flags) && r->oseq >= sa->sent)
		return XFRMSYNC_REASON_OK;
	return XFRMSYNC_REASON_BACKWARDS_OSEQ;
}

/* What was given before stays where it is longer; too little is refused. */
static u32 check_range(const struct xfrmsync_sa *sa,
		       const struct xfrmsync_restore *r)
{
	u64 oseq = r->has & XFRMSYNC_HAS_OSEQ ? r->oseq : xfrmsync_oseq(sa->x);

	if (!(r->has & XFRMSYNC_HAS_LEASE))
		return XFRMSYNC_REASON_OK;
	if (!(r->has & XFRMSYNC_HAS_EXPECT) && r->lease_end <= sa->lease_end)
		return XFRMSYNC_REASON_OK;
	if (r->lease_end < XFRMSYNC_LEASE_HEADROOM ||
	    r->lease_end - XFRMSYNC_LEASE_HEADROOM <= oseq)
		return XFRMSYNC_REASON_LEASE;
	return XFRMSYNC_REASON_OK;
}

/* x->lock held. */
static u32 check(const struct xfrmsync_sa *sa, const struct xfrmsync_restore *r)
{
	const struct xfrm_state *x = sa->x;
	u32 reason;

	if (x->km.state == XFRM_STATE_ACQ)
		return XFRMSYNC_REASON_NO_SA;
	/* One that we stopped lives, and may be made safe again. */
	if (x->km.state != XFRM_STATE_VALID &&
	    !(x->km.state == XFRM_STATE_ERROR && xfrmsync_is_stopped(sa)))
		return XFRMSYNC_REASON_STATE;
	reason = check_tag(sa, r) ?: check_mode(x, r) ?: check_window(sa, r);
	if (reason || (r->restore_flags & XFRMSYNC_RESTORE_F_MERGE))
		return reason;
	return check_oseq(sa, r) ?: check_range(sa, r);
}

/* What a restore wrote is not use: the scan compares with it. x->lock held. */
static void note_restored(struct xfrmsync_sa *sa)
{
	sa->seen_oseq = lower_32_bits(xfrmsync_oseq(sa->x));
	sa->seen_packets = (u32)sa->x->curlft.packets;
	set_bit(XFRMSYNC_SA_RESTORED, &sa->flags);
	set_bit(XFRMSYNC_SA_SHARED, &sa->flags);
}

/* Before the number is written over: what this node drew itself was sent. An SA
 * without a tag was made with the number that it has.
 */
static void note_sent(struct xfrmsync_sa *sa, const struct xfrmsync_restore *r)
{
	if (sa->tag && !test_bit(XFRMSYNC_SA_RESTORED, &sa->flags))
		sa->sent = max(sa->sent, xfrmsync_oseq(sa->x));
	if (r->has & XFRMSYNC_HAS_SENT)
		sa->sent = max(sa->sent, r->sent);
}

static void write_oseq(struct xfrm_state *x, u64 oseq)
{
	if (x->replay_esn) {
		x->replay_esn->oseq = lower_32_bits(oseq);
		x->replay_esn->oseq_hi = upper_32_bits(oseq);
	} else {
		x->replay.oseq = oseq;
	}
}

static u64 merge_window(struct xfrm_state *x, struct xfrmsync_restore *r)
{
	struct xfrmsync_window theirs = {
		.seq = r->seq, .size = r->window, .bmp = r->bmp,
		.ring = x->replay_esn,
	};
	struct xfrmsync_window ours = {
		.seq = xfrmsync_seq(x), .size = r->window,
		.bmp = x->replay_esn ? x->replay_esn->bmp : &x->replay.bitmap,
		.ring = x->replay_esn,
	};

	if (!r->window)
		return max(ours.seq, r->seq);
	xfrmsync_window_merge(&ours, &theirs);
	return ours.seq;
}

/* Most of them are exact, and large. */
static void write_window(struct xfrm_state *x, struct xfrmsync_restore *r)
{
	struct xfrm_replay_state_esn *esn = x->replay_esn;
	u64 seq = r->seq;

	if (r->restore_flags & XFRMSYNC_RESTORE_F_WINDOW_EXACT)
		xfrmsync_words_copy(esn ? esn->bmp : &x->replay.bitmap, r->bmp,
				    r->words);
	else
		seq = merge_window(x, r);

	if (esn) {
		esn->seq = lower_32_bits(seq);
		esn->seq_hi = upper_32_bits(seq);
	} else {
		x->replay.seq = seq;
	}
}

/* Aevents tell differences to what was told last: without this the next one
 * would tell a leap.
 */
static void write_previous(struct xfrm_state *x)
{
	if (x->replay_esn && x->preplay_esn) {
		*x->preplay_esn = *x->replay_esn;
		xfrmsync_words_copy(x->preplay_esn->bmp, x->replay_esn->bmp,
				    x->replay_esn->bmp_len);
	} else if (!x->replay_esn) {
		x->preplay = x->replay;
	}
}

static u64 abs_diff_s(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

/* Ages come in whole seconds and jitter by one: that is no change, and must
 * not put off the timer again and again.
 */
static void write_lifetime(struct xfrm_state *x,
			   const struct xfrmsync_restore *r)
{
	bool rearm = false;

	x->curlft.bytes = max(x->curlft.bytes, r->bytes);
	x->curlft.packets = max(x->curlft.packets, r->packets);
	if (r->use_time && !x->curlft.use_time) {
		WRITE_ONCE(x->curlft.use_time, r->use_time);
		rearm = true;
	}
	if (r->last_used)
		WRITE_ONCE(x->lastused, max_t(time64_t, x->lastused,
					      r->last_used));
	if (r->add_time && abs_diff_s(r->add_time, x->curlft.add_time) > 1) {
		x->curlft.add_time = r->add_time;
		rearm = true;
	}
	if (rearm)
		hrtimer_start(&x->mtimer, ktime_set(1, 0),
			      HRTIMER_MODE_REL_SOFT);
	x->stats.replay_window = max(x->stats.replay_window,
				     r->stats.replay_window);
	x->stats.replay = max(x->stats.replay, r->stats.replay);
	x->stats.integrity_failed = max(x->stats.integrity_failed,
					r->stats.integrity_failed);
}

/* x->lock held. */
static void fence_one(struct xfrmsync_sa *sa, bool fence)
{
	if (fence && (xfrmsync_stop(sa, XFRMSYNC_SA_FENCED) ||
		      xfrmsync_stop_was_untold(sa)))
		xfrmsync_expire_later(sa, XFRMSYNC_SA_UNSAFE);
	else if (!fence && test_bit(XFRMSYNC_SA_FENCED, &sa->flags) &&
		 xfrmsync_go_on(sa, XFRMSYNC_SA_FENCED))
		clear_bit(XFRMSYNC_SA_UNSAFE, &sa->flags);	/* no rekey */
}

/* x->lock held, and checked. */
static void write(struct xfrmsync_sa *sa, struct xfrmsync_restore *r)
{
	bool untouched = xfrmsync_restore_untouched(sa) ||
			 r->restore_flags & XFRMSYNC_RESTORE_F_WINDOW_EXACT;
	struct xfrm_state *x = sa->x;

	note_sent(sa, r);
	if (r->has & XFRMSYNC_HAS_OSEQ)
		write_oseq(x, r->oseq);
	if (r->has & XFRMSYNC_HAS_WINDOW)
		write_window(x, r);
	write_previous(x);
	if (r->has & XFRMSYNC_HAS_LIFETIME)
		write_lifetime(x, r);
	if ((r->has & XFRMSYNC_HAS_WINDOW) && untouched) {
		sa->restored_seq = xfrmsync_seq(x);
		sa->restored_packets = x->curlft.packets;
	}
	/* Checked; a range that is shorter than the one it has changes nothing,
	 * unless numbers are given back with it.
	 */
	if ((r->has & XFRMSYNC_HAS_LEASE) && (r->has & XFRMSYNC_HAS_EXPECT))
		sa->lease_end = 0;
	if (r->has & XFRMSYNC_HAS_LEASE)
		xfrmsync_limit_set(sa, r->lease_end,
				   r->restore_flags & XFRMSYNC_RESTORE_F_GO_ON);
	/* This node may have given more, when it was active. */
	sa->given_end = max(sa->given_end, r->given_end);
	if (r->tag)
		sa->tag = r->tag;
	/* What was not safe here is now what the active has, unless it says so. */
	if (r->restore_flags & XFRMSYNC_RESTORE_F_FENCED)
		fence_one(sa, true);
	else if ((r->has & XFRMSYNC_HAS_OSEQ) && (r->has & XFRMSYNC_HAS_WINDOW))
		fence_one(sa, false);
	note_restored(sa);
}

/* What another node has accepted counts as seen, and the numbers that it drew
 * are left out; the readers hear of it.
 */
static void merge(struct xfrmsync_sa *sa, struct xfrmsync_restore *r)
{
	if (r->has & XFRMSYNC_HAS_WINDOW)
		write_window(sa->x, r);
	if ((r->has & XFRMSYNC_HAS_OSEQ) && r->oseq > xfrmsync_oseq(sa->x)) {
		write_oseq(sa->x, r->oseq);
		xfrmsync_limit_leapt(sa);
	}
	write_previous(sa->x);
	xfrmsync_dirty_mark(sa);
}

/* Under RCU, x->lock not held. */
static u32 apply(struct xfrmsync_net *ns, struct xfrmsync_sa *sa,
		 struct xfrmsync_restore *r)
{
	struct xfrm_state *x = sa->x;
	u32 reason;

	spin_lock_bh(&x->lock);
	reason = check(sa, r);
	if (!reason && (r->restore_flags & XFRMSYNC_RESTORE_F_MERGE))
		merge(sa, r);
	else if (!reason)
		write(sa, r);
	spin_unlock_bh(&x->lock);

	trace_xfrmsync_restore(ns->net, be32_to_cpu(r->id.spi), r->id.proto,
			       r->oseq, r->seq, reason);
	return reason;
}

/* The SA under RCU, or NULL. */
static u32 find_and_apply(struct xfrmsync_net *ns, struct xfrmsync_restore *r)
{
	struct xfrmsync_sa *sa;
	u32 reason = XFRMSYNC_REASON_NO_SA;

	rcu_read_lock();
	sa = xfrmsync_table_lookup(ns, &r->id);
	if (sa)
		reason = apply(ns, sa, r);
	rcu_read_unlock();
	return reason;
}

/**
 * xfrmsync_restore_record() - write one record
 * @ns: the namespace
 * @r: the record; its bitmap is used as scratch space
 *
 * A record for an SA that is not there is parked, unless it says otherwise.
 * Nothing of a refused record is written. Outbound numbers never go back;
 * inbound windows are merged, so that neither do they.
 *
 * Context: process, role_mutex held; takes x->lock.
 * Return: XFRMSYNC_REASON_*.
 */
u32 xfrmsync_restore_record(struct xfrmsync_net *ns, struct xfrmsync_restore *r)
{
	u32 reason;

	lockdep_assert_held(&ns->role_mutex);

	reason = find_and_apply(ns, r);
	if (reason == XFRMSYNC_REASON_OK && xfrmsync_park_drop(ns, &r->id))
		xfrmsync_stats_inc(ns, PARKED_DROPPED);
	if (reason != XFRMSYNC_REASON_NO_SA ||
	    (r->restore_flags & XFRMSYNC_RESTORE_F_NO_PARK))
		return reason;

	reason = xfrmsync_park_put(ns, r);
	if (reason != XFRMSYNC_REASON_PARKED)
		return reason;
	/* It may have appeared just before the record was parked. */
	reason = find_and_apply(ns, r);
	if (reason == XFRMSYNC_REASON_NO_SA)
		return XFRMSYNC_REASON_PARKED;
	xfrmsync_park_drop(ns, &r->id);
	return reason;
}

/* Now that the SA's incarnation is known, its parked record fits or goes. */
static void bind_parked(struct xfrmsync_net *ns, struct xfrmsync_sa *sa,
			struct xfrmsync_restore *scratch)
{
	u32 reason;

	if (!xfrmsync_park_get(ns, &sa->id, scratch))
		return;
	reason = apply(ns, sa, scratch);
	if (reason == XFRMSYNC_REASON_BACKWARDS_OSEQ) {
		/* raised at birth, and used since: the window still counts */
		scratch->has &= ~XFRMSYNC_HAS_OSEQ;
		reason = apply(ns, sa, scratch);
	}
	if (reason == XFRMSYNC_REASON_NO_SA || reason == XFRMSYNC_REASON_STATE)
		return;		/* larval: it waits for the keys */
	if (reason == XFRMSYNC_REASON_OK)
		xfrmsync_stats_inc(ns, PARKED_APPLIED);
	else
		xfrmsync_stats_inc(ns, PARKED_DROPPED);
	xfrmsync_park_drop(ns, &sa->id);
}

/* A standby's SA that no active told may be one that the active sends with. An
 * SA that an active created on this node is not looked at any more when it is a
 * standby. x->lock held.
 */
static void fence_untold(struct xfrmsync_sa *sa)
{
	lockdep_assert_held(&sa->x->lock);
	if (READ_ONCE(sa->ns->role) == XFRMSYNC_ROLE_STANDBY && !sa->tag &&
	    !test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags))
		xfrmsync_stop_untold(sa);
}

/* What a node was given it may use for ever: so who forgets a range gives it twice.
 * x->lock held.
 */
static u32 check_given(const struct xfrmsync_sa *sa,
		       const struct xfrmsync_restore *r)
{
	if (!(r->has & XFRMSYNC_HAS_GIVEN))
		return XFRMSYNC_REASON_OK;
	if (r->given_end < sa->given_end)
		return XFRMSYNC_REASON_BACKWARDS_GIVEN;
	if (!is_esn(sa->x) && r->given_end > U32_MAX)
		return XFRMSYNC_REASON_RANGE;
	return XFRMSYNC_REASON_OK;
}

/* A clone of an SA (XFRM_MSG_MIGRATE), or one that is loaded from a file, stands where a
 * restore had put the old one, and what is behind was sent by nobody. A reader that was
 * told of it before took it for sent. x->lock held.
 */
static void bind_sent(struct xfrmsync_sa *sa, const struct xfrmsync_restore *r)
{
	if (!(r->has & XFRMSYNC_HAS_SENT) || !(r->has & XFRMSYNC_HAS_OSEQ) ||
	    r->sent >= r->oseq || r->oseq != xfrmsync_oseq(sa->x) ||
	    test_bit(XFRMSYNC_SA_RESTORED, &sa->flags))
		return;
	sa->sent = r->sent;
	note_restored(sa);
	xfrmsync_dirty_mark(sa);
}

static u32 bind(struct xfrmsync_sa *sa, const struct xfrmsync_restore *r)
{
	bool unmanaged = test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags);
	u32 reason = XFRMSYNC_REASON_OK;

	spin_lock_bh(&sa->x->lock);
	if ((r->has & XFRMSYNC_HAS_COOKIE) && r->cookie != sa->cookie)
		reason = XFRMSYNC_REASON_COOKIE;
	else if (r->tag && sa->tag && sa->tag != r->tag)
		reason = XFRMSYNC_REASON_TAG;
	reason = reason ?: check_given(sa, r);
	if (!reason && (r->has & XFRMSYNC_HAS_LEASE))
		reason = xfrmsync_limit_set(sa, r->lease_end,
					    r->restore_flags & XFRMSYNC_RESTORE_F_GO_ON);
	if (!reason && (r->has & XFRMSYNC_HAS_GIVEN))
		sa->given_end = r->given_end;
	if (!reason && r->tag)
		sa->tag = r->tag;
	if (!reason && (r->flags & XFRMSYNC_RECORD_F_SHARED))
		set_bit(XFRMSYNC_SA_SHARED, &sa->flags);
	if (!reason)
		bind_sent(sa, r);
	if (!reason && (r->has & XFRMSYNC_HAS_FLAGS)) {
		assign_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags,
			   r->flags & XFRMSYNC_RECORD_F_UNMANAGED);
		fence_one(sa, r->flags & XFRMSYNC_RECORD_F_FENCED);
		/* As if it appeared now. */
		if (unmanaged && !(r->flags & XFRMSYNC_RECORD_F_UNMANAGED))
			fence_untold(sa);
		xfrmsync_stop_barred(sa);
	}
	if (!reason && (r->has & XFRMSYNC_HAS_GUARD))
		xfrmsync_guard_set(sa, r->guard_end);
	/* Nobody renews the lease of such an SA, nor raises its guard. But who was told
	 * of it may go on at its end.
	 */
	if (!reason && test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags)) {
		if (!test_bit(XFRMSYNC_SA_SHARED, &sa->flags))
			xfrmsync_limit_clear(sa);
		xfrmsync_guard_set(sa, 0);
	}
	spin_unlock_bh(&sa->x->lock);
	return reason;
}

/**
 * xfrmsync_restore_bind() - give an SA its tag, its lease and its limit
 * @ns: the namespace
 * @r: identity, tag, and optionally cookie, lease_end, guard_end, given_end, sent
 *	with oseq (the number that stands there), and flags of which SHARED,
 *	UNMANAGED and FENCED count; used as scratch space afterwards
 *
 * A tag stays for the life of an SA.
 *
 * Context: process, role_mutex held; takes x->lock.
 * Return: XFRMSYNC_REASON_*.
 */
u32 xfrmsync_restore_bind(struct xfrmsync_net *ns, struct xfrmsync_restore *r)
{
	u32 reason = XFRMSYNC_REASON_NO_SA;
	struct xfrmsync_sa *sa;

	lockdep_assert_held(&ns->role_mutex);

	if (r->guard_end)
		xfrmsync_fence_guard(ns, true);
	rcu_read_lock();
	sa = xfrmsync_table_lookup(ns, &r->id);
	if (sa) {
		reason = bind(sa, r);
		if (!reason && r->tag)
			bind_parked(ns, sa, r);
	}
	rcu_read_unlock();
	return reason;
}

/* x->lock held. */
static void raise_parked(struct xfrmsync_sa *sa, u64 oseq, u32 flags)
{
	struct xfrm_state *x = sa->x;

	lockdep_assert_held(&x->lock);
	if (!!(flags & XFRMSYNC_RECORD_F_ESN) != is_esn(x) ||
	    (!is_esn(x) && oseq > U32_MAX) ||
	    x->km.state != XFRM_STATE_VALID || oseq <= xfrmsync_oseq(x))
		return;
	sa->sent = xfrmsync_oseq(x);
	write_oseq(x, oseq);
	write_previous(x);
	note_restored(sa);
}

/* A takeover may come between the look at the role and the fence. Any context,
 * under RCU.
 */
static void ask_for_rekey(struct xfrmsync_sa *sa)
{
	smp_mb();	/* UNTOLD is visible before the role is read */
	if (test_bit(XFRMSYNC_SA_UNTOLD, &sa->flags) &&
	    READ_ONCE(sa->ns->role) == XFRMSYNC_ROLE_ACTIVE &&
	    xfrmsync_stop_was_untold(sa))
		xfrmsync_expire_later(sa, XFRMSYNC_SA_UNSAFE);
}

/* The fence may have lost its hooks, or found them, since the SA was looked at: a walk
 * can make it known by its name before who stops all of them finds it.
 */
static bool bar_is_due(const struct xfrmsync_sa *sa)
{
	return READ_ONCE(sa->ns->barred) !=
	       test_bit(XFRMSYNC_SA_BARRED, &sa->flags);
}

/**
 * xfrmsync_restore_born() - an SA appeared, a record may be waiting for it
 * @ns: the namespace
 * @sa: the SA, maybe one that was looked at before
 *
 * Which incarnation it is, userspace tells later (bind). Until then only its
 * outbound number is raised, which repeats no number of any incarnation. XFRM
 * calls this just after it made the SA visible: a packet on another CPU can
 * come between, but for a standby, whose fence is up. There the SA is fenced for
 * itself as well, until what an active told is restored onto it: so a takeover
 * has nothing to look for. Where the fence has no hooks, that packet on another CPU
 * may leave there, too (safety.rst).
 *
 * Context: XFRM's callback or process, under RCU; takes x->lock.
 */
void xfrmsync_restore_born(struct xfrmsync_net *ns, struct xfrmsync_sa *sa)
{
	u32 flags;
	u64 oseq;

	/* A walk asks for all of them: nothing is written where nothing is new. */
	if (test_bit(XFRMSYNC_SA_FOUND, &sa->flags) &&
	    test_and_clear_bit(XFRMSYNC_SA_FOUND, &sa->flags)) {
		bool parked = xfrmsync_park_peek(ns, &sa->id, &oseq, &flags);

		spin_lock_bh(&sa->x->lock);
		if (parked)
			raise_parked(sa, oseq, flags);
		fence_untold(sa);
		spin_unlock_bh(&sa->x->lock);
	}
	if (unlikely(bar_is_due(sa))) {
		spin_lock_bh(&sa->x->lock);
		xfrmsync_stop_barred(sa);
		spin_unlock_bh(&sa->x->lock);
	}
	ask_for_rekey(sa);
}

/* The errno that goes with a reason. */
int xfrmsync_restore_errno(u32 reason)
{
	switch (reason) {
	case XFRMSYNC_REASON_OK:
	case XFRMSYNC_REASON_PARKED:
		return 0;
	case XFRMSYNC_REASON_NO_SA:
		return -ESRCH;
	case XFRMSYNC_REASON_PARK_FULL:
		return -ENOBUFS;
	case XFRMSYNC_REASON_TAG:
	case XFRMSYNC_REASON_COOKIE:
		return -ESTALE;
	case XFRMSYNC_REASON_BACKWARDS_OSEQ:
	case XFRMSYNC_REASON_BACKWARDS_SEQ:
	case XFRMSYNC_REASON_BACKWARDS_GIVEN:
	case XFRMSYNC_REASON_RANGE:
		return -ERANGE;
	case XFRMSYNC_REASON_STATE:
		return -EBUSY;
	case XFRMSYNC_REASON_MEMORY:
		return -ENOMEM;
	}
	return -EINVAL;
}
