// SPDX-License-Identifier: GPL-2.0
/*
 * In: one SA that is followed.
 * Out: its live state as netlink attributes, consistent at one moment.
 * Process context under RCU; takes x->lock.
 */
#include <net/netlink.h>
#include <linux/xfrmsync.h>

#include "record.h"
#include "restore.h"

/* What a packet changes, copied under x->lock. */
struct live {
	u64 oseq;
	u64 seq;
	u64 bytes;
	u64 packets;
	u64 add_time;
	u64 use_time;
	u64 last_used;
	u64 tag;
	u64 lease_end;
	u64 given_end;
	u64 sent;
	bool restored;
	u64 guard_end;
	u32 window;
	u32 dying;
	bool window_restored;
	struct xfrm_stats stats;
};

static u32 bmp_words(const struct xfrm_state *x)
{
	return x->replay_esn ? x->replay_esn->bmp_len : 1;
}

/* Upper bound for a record of this SA. */
size_t xfrmsync_record_size(const struct xfrmsync_sa *sa)
{
	size_t size = 2 * nla_total_size(sizeof(xfrm_address_t)) +
		      18 * nla_total_size(sizeof(u32)) +
		      15 * nla_total_size_64bit(sizeof(u64));

	if (!test_bit(XFRMSYNC_SA_GONE, &sa->flags))
		size += nla_total_size(bmp_words(sa->x) * sizeof(u32));
	return size;
}

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, XFRMSYNC_A_RECORD_PAD);
}

static size_t addr_len(const struct xfrmsync_sa *sa)
{
	return sa->id.family == AF_INET6 ? sizeof(struct in6_addr) :
					   sizeof(struct in_addr);
}

static int put_id(struct sk_buff *skb, const struct xfrmsync_sa *sa)
{
	const struct xfrmsync_sa_id *id = &sa->id;

	if (nla_put_u16(skb, XFRMSYNC_A_RECORD_FAMILY, id->family) ||
	    nla_put(skb, XFRMSYNC_A_RECORD_DST, addr_len(sa), &id->daddr) ||
	    nla_put_be32(skb, XFRMSYNC_A_RECORD_SPI, id->spi) ||
	    nla_put_u8(skb, XFRMSYNC_A_RECORD_PROTO, id->proto))
		return -EMSGSIZE;
	if ((id->mark.v || id->mark.m) &&
	    (nla_put_u32(skb, XFRMSYNC_A_RECORD_MARK, id->mark.v) ||
	     nla_put_u32(skb, XFRMSYNC_A_RECORD_MARK_MASK, id->mark.m)))
		return -EMSGSIZE;
	return 0;
}

static u8 direction(const struct xfrm_state *x)
{
	switch (xfrmsync_compat_dir(x)) {
	case 1:
		return XFRMSYNC_DIR_IN;
	case 2:
		return XFRMSYNC_DIR_OUT;
	}
	return XFRMSYNC_DIR_UNKNOWN;
}

static int put_fixed(struct sk_buff *skb, const struct xfrmsync_sa *sa)
{
	const struct xfrm_state *x = sa->x;

	if (nla_put(skb, XFRMSYNC_A_RECORD_SRC, addr_len(sa), &x->props.saddr) ||
	    nla_put_u8(skb, XFRMSYNC_A_RECORD_MODE, x->props.mode) ||
	    nla_put_u8(skb, XFRMSYNC_A_RECORD_DIR, direction(x)))
		return -EMSGSIZE;
	if (x->if_id && nla_put_u32(skb, XFRMSYNC_A_RECORD_IF_ID, x->if_id))
		return -EMSGSIZE;
	if (x->props.reqid &&
	    nla_put_u32(skb, XFRMSYNC_A_RECORD_REQID, x->props.reqid))
		return -EMSGSIZE;
	return put_u64(skb, XFRMSYNC_A_RECORD_COOKIE, sa->cookie);
}

static u64 join(u32 hi, u32 lo)
{
	return (u64)hi << 32 | lo;
}

static void copy_live(struct xfrmsync_sa *sa, struct live *l, void *bmp)
{
	const struct xfrm_replay_state_esn *esn;
	struct xfrm_state *x = sa->x;

	spin_lock_bh(&x->lock);
	esn = x->replay_esn;
	if (esn) {
		l->oseq = join(esn->oseq_hi, esn->oseq);
		l->seq = join(esn->seq_hi, esn->seq);
		l->window = esn->replay_window;
		memcpy(bmp, esn->bmp, esn->bmp_len * sizeof(u32));
	} else {
		l->oseq = x->replay.oseq;
		l->seq = x->replay.seq;
		l->window = x->props.replay_window;
		memcpy(bmp, &x->replay.bitmap, sizeof(u32));
	}
	l->bytes = x->curlft.bytes;
	l->packets = x->curlft.packets;
	l->add_time = x->curlft.add_time;
	l->use_time = READ_ONCE(x->curlft.use_time);
	l->last_used = READ_ONCE(x->lastused);
	l->stats = x->stats;
	l->dying = x->km.dying;
	l->tag = sa->tag;
	l->lease_end = sa->lease_end;
	l->given_end = sa->given_end;
	l->restored = test_bit(XFRMSYNC_SA_RESTORED, &sa->flags);
	l->sent = sa->sent;
	l->guard_end = sa->guard_end;
	l->window_restored = sa->restored_seq &&
			     xfrmsync_restore_untouched(sa);
	spin_unlock_bh(&x->lock);
}

static int put_times(struct sk_buff *skb, const struct live *l)
{
	if (put_u64(skb, XFRMSYNC_A_RECORD_ADD_TIME, l->add_time))
		return -EMSGSIZE;
	if (l->use_time &&
	    put_u64(skb, XFRMSYNC_A_RECORD_USE_TIME, l->use_time))
		return -EMSGSIZE;
	if (l->last_used &&
	    put_u64(skb, XFRMSYNC_A_RECORD_LAST_USED, l->last_used))
		return -EMSGSIZE;
	return 0;
}

static int put_errors(struct sk_buff *skb, const struct xfrm_stats *s)
{
	if (s->replay_window &&
	    nla_put_u32(skb, XFRMSYNC_A_RECORD_REPLAY_WINDOW_ERRORS,
			s->replay_window))
		return -EMSGSIZE;
	if (s->replay &&
	    nla_put_u32(skb, XFRMSYNC_A_RECORD_REPLAY_ERRORS, s->replay))
		return -EMSGSIZE;
	if (s->integrity_failed &&
	    nla_put_u32(skb, XFRMSYNC_A_RECORD_INTEGRITY_ERRORS,
			s->integrity_failed))
		return -EMSGSIZE;
	return 0;
}

static int put_live(struct sk_buff *skb, const struct live *l)
{
	if (put_u64(skb, XFRMSYNC_A_RECORD_OSEQ, l->oseq) ||
	    put_u64(skb, XFRMSYNC_A_RECORD_SEQ, l->seq) ||
	    nla_put_u32(skb, XFRMSYNC_A_RECORD_WINDOW, l->window) ||
	    put_u64(skb, XFRMSYNC_A_RECORD_BYTES, l->bytes) ||
	    put_u64(skb, XFRMSYNC_A_RECORD_PACKETS, l->packets))
		return -EMSGSIZE;
	if (l->tag && put_u64(skb, XFRMSYNC_A_RECORD_TAG, l->tag))
		return -EMSGSIZE;
	if (l->lease_end &&
	    put_u64(skb, XFRMSYNC_A_RECORD_LEASE_END, l->lease_end))
		return -EMSGSIZE;
	if (l->given_end &&
	    put_u64(skb, XFRMSYNC_A_RECORD_GIVEN_END, l->given_end))
		return -EMSGSIZE;
	if (l->restored && put_u64(skb, XFRMSYNC_A_RECORD_SENT, l->sent))
		return -EMSGSIZE;
	if (l->guard_end &&
	    put_u64(skb, XFRMSYNC_A_RECORD_GUARD_END, l->guard_end))
		return -EMSGSIZE;
	return put_times(skb, l) ?: put_errors(skb, &l->stats);
}

/* XFRMSYNC_RECORD_F_* that follow from the entry and from fixed properties. */
u32 xfrmsync_record_flags(const struct xfrmsync_sa *sa)
{
	const struct xfrm_state *x = sa->x;
	u32 flags = 0;

	if (x->props.flags & XFRM_STATE_ESN)
		flags |= XFRMSYNC_RECORD_F_ESN;
	if (x->replay_esn)
		flags |= XFRMSYNC_RECORD_F_BMP;
	if (READ_ONCE(x->km.state) == XFRM_STATE_ACQ)
		flags |= XFRMSYNC_RECORD_F_LARVAL;
	if (test_bit(XFRMSYNC_SA_RESTORED, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_RESTORED;
	if (test_bit(XFRMSYNC_SA_SHARED, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_SHARED;
	if (test_bit(XFRMSYNC_SA_STOPPED, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_STOPPED;
	if (test_bit(XFRMSYNC_SA_OVERRUN, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_OVERRUN;
	if (test_bit(XFRMSYNC_SA_GOES_ON, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_GOES_ON;
	if (test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_UNMANAGED;
	if (test_bit(XFRMSYNC_SA_FENCED, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_FENCED;
	if (test_bit(XFRMSYNC_SA_UNTOLD, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_UNTOLD;
	return flags;
}

/**
 * xfrmsync_record_fill() - put a record
 * @skb: message, with xfrmsync_record_size() bytes of room
 * @sa: the SA, not GONE when the RCU section began
 * @flags: XFRMSYNC_RECORD_F_* beside those of xfrmsync_record_flags()
 * @age_ns: age of the oldest change told, ns; 0 for none
 *
 * Context: under RCU; takes x->lock, BH off.
 * Return: 0, or -EMSGSIZE (the message is then partly filled).
 */
int xfrmsync_record_fill(struct sk_buff *skb, struct xfrmsync_sa *sa, u32 flags,
			 u64 age_ns)
{
	struct nlattr *bmp;
	struct live live;

	if (put_id(skb, sa) || put_fixed(skb, sa))
		return -EMSGSIZE;
	bmp = nla_reserve(skb, XFRMSYNC_A_RECORD_BITMAP,
			  bmp_words(sa->x) * sizeof(u32));
	if (!bmp)
		return -EMSGSIZE;

	copy_live(sa, &live, nla_data(bmp));

	flags |= xfrmsync_record_flags(sa);
	if (live.dying)
		flags |= XFRMSYNC_RECORD_F_DYING;
	if (live.window_restored)
		flags |= XFRMSYNC_RECORD_F_WINDOW_RESTORED;
	if (put_live(skb, &live) ||
	    nla_put_u32(skb, XFRMSYNC_A_RECORD_FLAGS, flags))
		return -EMSGSIZE;
	if (age_ns && put_u64(skb, XFRMSYNC_A_RECORD_AGE_NS, age_ns))
		return -EMSGSIZE;
	return 0;
}

/**
 * xfrmsync_record_fill_gone() - put the record of an SA that is no more
 * @skb: message, with xfrmsync_record_size() bytes of room
 * @sa: the SA, GONE
 *
 * Context: any; the caller holds a reference to @sa.
 * Return: 0, or -EMSGSIZE.
 */
int xfrmsync_record_fill_gone(struct sk_buff *skb, struct xfrmsync_sa *sa)
{
	u32 flags = XFRMSYNC_RECORD_F_DELETED;

	if (test_bit(XFRMSYNC_SA_EXPIRED, &sa->flags))
		flags |= XFRMSYNC_RECORD_F_EXPIRED;
	if (put_id(skb, sa) ||
	    put_u64(skb, XFRMSYNC_A_RECORD_COOKIE, sa->cookie) ||
	    nla_put_u32(skb, XFRMSYNC_A_RECORD_FLAGS, flags))
		return -EMSGSIZE;
	if (sa->tag && put_u64(skb, XFRMSYNC_A_RECORD_TAG, sa->tag))
		return -EMSGSIZE;
	return 0;
}
