// SPDX-License-Identifier: GPL-2.0
/*
 * In: one SA that is followed.
 * Out: its live state as netlink attributes, or plain, consistent at one moment.
 * Process context under RCU; takes x->lock.
 */
#include <net/netlink.h>
#include <linux/xfrmsync.h>

#include "plain.h"
#include "record.h"
#include "restore.h"
#include "units.h"

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

/**
 * xfrmsync_record_size() - how much a record takes at most
 * @sa: the SA
 * @gone: it has no window any more, as it was GONE before. Who puts a live record
 *	says false, and does not ask again: the SA may go at any time, and what was
 *	begun with its window ends with it.
 *
 * Context: under RCU.
 * Return: bytes
 */
size_t xfrmsync_record_size(const struct xfrmsync_sa *sa, bool gone)
{
	size_t size = 2 * nla_total_size(sizeof(xfrm_address_t)) +
		      18 * nla_total_size(sizeof(u32)) +
		      15 * nla_total_size_64bit(sizeof(u64));

	if (!gone)
		size += nla_total_size(bmp_words(sa->x) * sizeof(u32));
	return size;
}

/* Where the next attribute goes. There is room: who begins has made sure. */
struct put {
	char *at;
};

static void *put_attr(struct put *p, u16 type, u16 len)
{
	struct nlattr *attr = (struct nlattr *)p->at;

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	p->at += NLA_HDRLEN + NLA_ALIGN(len);
	return nla_data(attr);
}

static void put_u32(struct put *p, u16 type, u32 value)
{
	*(u32 *)put_attr(p, type, sizeof(value)) = value;
}

/* With zeroes behind them. */
static void put_u16(struct put *p, u16 type, u16 value)
{
	u16 *to = put_attr(p, type, sizeof(value));

	to[0] = value;
	to[1] = 0;
}

static void put_u8(struct put *p, u16 type, u8 value)
{
	u8 *to = put_attr(p, type, sizeof(value));

	to[0] = value;
	memset(to + 1, 0, 3);
}

/* As nla_align_64bit(): where it matters, it stands where it can be read. */
static void put_u64(struct put *p, u16 type, u64 value)
{
	if (!IS_ENABLED(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) &&
	    IS_ALIGNED((unsigned long)p->at, sizeof(value)))
		put_attr(p, XFRMSYNC_A_RECORD_PAD, 0);
	memcpy(put_attr(p, type, sizeof(value)), &value, sizeof(value));
}

static void put_addr(struct put *p, u16 type, u16 family,
		     const xfrm_address_t *addr)
{
	if (family == AF_INET6)
		memcpy(put_attr(p, type, sizeof(addr->in6)), &addr->in6,
		       sizeof(addr->in6));
	else
		put_u32(p, type, (__force u32)addr->a4);
}

static void put_id(struct put *p, const struct xfrmsync_sa *sa)
{
	const struct xfrmsync_sa_id *id = &sa->id;

	put_u16(p, XFRMSYNC_A_RECORD_FAMILY, id->family);
	put_addr(p, XFRMSYNC_A_RECORD_DST, id->family, &id->daddr);
	put_u32(p, XFRMSYNC_A_RECORD_SPI, (__force u32)id->spi);
	put_u8(p, XFRMSYNC_A_RECORD_PROTO, id->proto);
	if (!id->mark.v && !id->mark.m)
		return;
	put_u32(p, XFRMSYNC_A_RECORD_MARK, id->mark.v);
	put_u32(p, XFRMSYNC_A_RECORD_MARK_MASK, id->mark.m);
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

static void put_fixed(struct put *p, const struct xfrmsync_sa *sa)
{
	const struct xfrm_state *x = sa->x;

	put_addr(p, XFRMSYNC_A_RECORD_SRC, sa->id.family, &x->props.saddr);
	put_u8(p, XFRMSYNC_A_RECORD_MODE, x->props.mode);
	put_u8(p, XFRMSYNC_A_RECORD_DIR, direction(x));
	if (x->if_id)
		put_u32(p, XFRMSYNC_A_RECORD_IF_ID, x->if_id);
	if (x->props.reqid)
		put_u32(p, XFRMSYNC_A_RECORD_REQID, x->props.reqid);
	put_u64(p, XFRMSYNC_A_RECORD_COOKIE, sa->cookie);
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
		xfrmsync_words_copy(bmp, esn->bmp, esn->bmp_len);
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

/* Zero is left out. */
static void put_u64_if(struct put *p, u16 type, u64 value)
{
	if (value)
		put_u64(p, type, value);
}

static void put_u32_if(struct put *p, u16 type, u32 value)
{
	if (value)
		put_u32(p, type, value);
}

static void put_live(struct put *p, const struct live *l)
{
	put_u64(p, XFRMSYNC_A_RECORD_OSEQ, l->oseq);
	put_u64(p, XFRMSYNC_A_RECORD_SEQ, l->seq);
	put_u32(p, XFRMSYNC_A_RECORD_WINDOW, l->window);
	put_u64(p, XFRMSYNC_A_RECORD_BYTES, l->bytes);
	put_u64(p, XFRMSYNC_A_RECORD_PACKETS, l->packets);
	put_u64_if(p, XFRMSYNC_A_RECORD_TAG, l->tag);
	put_u64_if(p, XFRMSYNC_A_RECORD_LEASE_END, l->lease_end);
	put_u64_if(p, XFRMSYNC_A_RECORD_GIVEN_END, l->given_end);
	if (l->restored)
		put_u64(p, XFRMSYNC_A_RECORD_SENT, l->sent);
	put_u64_if(p, XFRMSYNC_A_RECORD_GUARD_END, l->guard_end);
	put_u64(p, XFRMSYNC_A_RECORD_ADD_TIME, l->add_time);
	put_u64_if(p, XFRMSYNC_A_RECORD_USE_TIME, l->use_time);
	put_u64_if(p, XFRMSYNC_A_RECORD_LAST_USED, l->last_used);
	put_u32_if(p, XFRMSYNC_A_RECORD_REPLAY_WINDOW_ERRORS,
		   l->stats.replay_window);
	put_u32_if(p, XFRMSYNC_A_RECORD_REPLAY_ERRORS, l->stats.replay);
	put_u32_if(p, XFRMSYNC_A_RECORD_INTEGRITY_ERRORS,
		   l->stats.integrity_failed);
}

/* False where a record of that SA may not fit. */
static bool put_begin(struct put *p, const struct sk_buff *skb,
		      const struct xfrmsync_sa *sa, bool gone)
{
	p->at = (char *)skb_tail_pointer(skb);
	return skb_tailroom(skb) >= xfrmsync_record_size(sa, gone);
}

static void put_end(const struct put *p, struct sk_buff *skb)
{
	skb_put(skb, p->at - (char *)skb_tail_pointer(skb));
}

/* Those that few SAs have. */
#define RARE (BIT(XFRMSYNC_SA_RESTORED) | BIT(XFRMSYNC_SA_STOPPED) |	\
	      BIT(XFRMSYNC_SA_OVERRUN) | BIT(XFRMSYNC_SA_GOES_ON) |	\
	      BIT(XFRMSYNC_SA_UNMANAGED) | BIT(XFRMSYNC_SA_FENCED) |	\
	      BIT(XFRMSYNC_SA_UNTOLD))

static u32 rare_flags(unsigned long is)
{
	u32 flags = 0;

	if (is & BIT(XFRMSYNC_SA_RESTORED))
		flags |= XFRMSYNC_RECORD_F_RESTORED;
	if (is & BIT(XFRMSYNC_SA_STOPPED))
		flags |= XFRMSYNC_RECORD_F_STOPPED;
	if (is & BIT(XFRMSYNC_SA_OVERRUN))
		flags |= XFRMSYNC_RECORD_F_OVERRUN;
	if (is & BIT(XFRMSYNC_SA_GOES_ON))
		flags |= XFRMSYNC_RECORD_F_GOES_ON;
	if (is & BIT(XFRMSYNC_SA_UNMANAGED))
		flags |= XFRMSYNC_RECORD_F_UNMANAGED;
	if (is & BIT(XFRMSYNC_SA_FENCED))
		flags |= XFRMSYNC_RECORD_F_FENCED;
	if (is & BIT(XFRMSYNC_SA_UNTOLD))
		flags |= XFRMSYNC_RECORD_F_UNTOLD;
	return flags;
}

/* XFRMSYNC_RECORD_F_* that follow from the entry and from fixed properties. */
u32 xfrmsync_record_flags(const struct xfrmsync_sa *sa)
{
	const struct xfrm_state *x = sa->x;
	unsigned long is = READ_ONCE(sa->flags);
	u32 flags = 0;

	if (x->props.flags & XFRM_STATE_ESN)
		flags |= XFRMSYNC_RECORD_F_ESN;
	if (x->replay_esn)
		flags |= XFRMSYNC_RECORD_F_BMP;
	if (READ_ONCE(x->km.state) == XFRM_STATE_ACQ)
		flags |= XFRMSYNC_RECORD_F_LARVAL;
	if (is & BIT(XFRMSYNC_SA_SHARED))
		flags |= XFRMSYNC_RECORD_F_SHARED;
	return is & RARE ? flags | rare_flags(is) : flags;
}

/**
 * xfrmsync_record_fill() - put a record
 * @skb: message, with xfrmsync_record_size() bytes of room
 * @sa: the SA, not GONE when the RCU section began
 * @flags: XFRMSYNC_RECORD_F_* beside those of xfrmsync_record_flags()
 * @age_ns: age of the oldest change told, ns; 0 for none
 *
 * Context: under RCU; takes x->lock, BH off.
 * Return: 0, or -EMSGSIZE (there is less room; nothing was put).
 */
int xfrmsync_record_fill(struct sk_buff *skb, struct xfrmsync_sa *sa, u32 flags,
			 u64 age_ns)
{
	struct live live;
	struct put p;

	if (!put_begin(&p, skb, sa, false))
		return -EMSGSIZE;
	put_id(&p, sa);
	put_fixed(&p, sa);
	copy_live(sa, &live, put_attr(&p, XFRMSYNC_A_RECORD_BITMAP,
				      bmp_words(sa->x) * sizeof(u32)));

	flags |= xfrmsync_record_flags(sa);
	if (live.dying)
		flags |= XFRMSYNC_RECORD_F_DYING;
	if (live.window_restored)
		flags |= XFRMSYNC_RECORD_F_WINDOW_RESTORED;
	put_live(&p, &live);
	put_u32(&p, XFRMSYNC_A_RECORD_FLAGS, flags);
	put_u64_if(&p, XFRMSYNC_A_RECORD_AGE_NS, age_ns);
	put_end(&p, skb);
	return 0;
}

/* ---- plain ---- */

/* Upper bound, as above. */
static size_t plain_size(const struct xfrmsync_sa *sa, bool gone)
{
	size_t words = gone ? 0 : bmp_words(sa->x);

	return XFRMSYNC_PLAIN_UNIT *
	       xfrmsync_plain_units(U16_MAX & ~XFRMSYNC_PLAIN_F_RESTORE &
				    ~XFRMSYNC_PLAIN_F_EXPECT_OSEQ, words);
}

/* False where one of that SA may not fit. @gone: as of xfrmsync_record_size(). */
bool xfrmsync_record_fits_plain(const struct xfrmsync_plain_msg *m,
				const struct xfrmsync_sa *sa, bool gone)
{
	size_t room = m->end - m->at;

	return room >= XFRMSYNC_PLAIN_MAX || room >= plain_size(sa, gone);
}

static __always_inline char *plain_u64(char *p, u64 value)
{
	memcpy(p, &value, sizeof(value));
	return p + sizeof(value);
}

static __always_inline char *plain_u32s(char *p, u32 a, u32 b)
{
	u32 *to = (u32 *)p;

	to[0] = a;
	to[1] = b;
	return p + 2 * sizeof(u32);
}

/* What is 0 is left out. */
static __always_inline char *plain_if(char *p, u16 *has, u16 flag, u64 value)
{
	if (!value)
		return p;
	*has |= flag;
	return plain_u64(p, value);
}

static __always_inline char *plain_addrs(char *p, const struct xfrmsync_sa *sa,
					 const xfrm_address_t *src, u16 *has)
{
	if (sa->id.family == AF_INET)
		return plain_u32s(p, (__force u32)sa->id.daddr.a4,
				  (__force u32)src->a4);
	memcpy(p, &sa->id.daddr, 16);
	memcpy(p + 16, src, 16);
	*has |= XFRMSYNC_PLAIN_F_IPV6;
	return p + 32;
}

/* The bitmap and both numbers. x->lock held. */
static __always_inline char *plain_window(char *p, struct xfrmsync_plain *head,
					  const struct xfrm_state *x, u16 *has)
{
	const struct xfrm_replay_state_esn *esn = x->replay_esn;
	u32 *bmp = (u32 *)p, words = 1;
	u64 oseq, seq;

	if (esn) {
		words = esn->bmp_len;
		xfrmsync_words_copy(bmp, esn->bmp, words);
		oseq = join(esn->oseq_hi, esn->oseq);
		seq = join(esn->seq_hi, esn->seq);
		head->window = esn->replay_window;
	} else {
		bmp[0] = x->replay.bitmap;
		oseq = x->replay.oseq;
		seq = x->replay.seq;
		head->window = x->props.replay_window;
	}
	if (words & 1)
		bmp[words] = 0;
	head->words = words;
	p += ALIGN(words, 2) * sizeof(u32);
	p = plain_if(p, has, XFRMSYNC_PLAIN_F_OSEQ, oseq);
	p = plain_if(p, has, XFRMSYNC_PLAIN_F_SEQ, seq);
	return p;
}

/* x->lock held. */
static __always_inline char *plain_lifetime(char *p, const struct xfrm_state *x,
					    u16 *has)
{
	u64 bytes = x->curlft.bytes, packets = x->curlft.packets;

	if (bytes | packets) {
		p = plain_u64(plain_u64(p, bytes), packets);
		*has |= XFRMSYNC_PLAIN_F_COUNTED;
	}
	*has |= XFRMSYNC_PLAIN_F_TIMES;
	p = plain_u64(p, x->curlft.add_time);
	p = plain_u64(p, READ_ONCE(x->curlft.use_time));
	return plain_u64(p, READ_ONCE(x->lastused));
}

/* What is ours. x->lock held. */
static __always_inline char *plain_own(char *p, const struct xfrmsync_sa *sa,
				       u16 *has)
{
	p = plain_if(p, has, XFRMSYNC_PLAIN_F_TAG, sa->tag);
	p = plain_if(p, has, XFRMSYNC_PLAIN_F_LEASE_END, sa->lease_end);
	p = plain_if(p, has, XFRMSYNC_PLAIN_F_GIVEN_END, sa->given_end);
	p = plain_if(p, has, XFRMSYNC_PLAIN_F_GUARD_END, sa->guard_end);
	if (!test_bit(XFRMSYNC_SA_RESTORED, &sa->flags))
		return p;
	*has |= XFRMSYNC_PLAIN_F_SENT;
	return plain_u64(p, sa->sent);
}

static __always_inline char *plain_name(char *p, const struct xfrmsync_sa *sa,
					u32 if_id, u16 *has)
{
	const struct xfrm_mark *mark = &sa->id.mark;

	if (!(mark->v | mark->m | if_id))
		return p;
	*has |= XFRMSYNC_PLAIN_F_NAME;
	return plain_u32s(plain_u32s(p, mark->v, mark->m), if_id, 0);
}

static __always_inline char *plain_errors(char *p, const struct xfrm_stats *s,
					  u16 *has)
{
	if (!(s->replay_window | s->replay | s->integrity_failed))
		return p;
	*has |= XFRMSYNC_PLAIN_F_ERRORS;
	return plain_u32s(plain_u32s(p, s->replay_window, s->replay),
			  s->integrity_failed, 0);
}

static __always_inline void plain_head(struct xfrmsync_plain *head,
				       const struct xfrmsync_sa *sa)
{
	/* Attributes are aligned to four bytes. */
	memcpy((char *)head + offsetof(struct xfrmsync_plain, cookie),
	       &sa->cookie, sizeof(sa->cookie));
	head->spi = sa->id.spi;
	head->proto = sa->id.proto;
	head->zero = 0;
}

static __always_inline void plain_end(struct xfrmsync_plain_msg *m, char *p,
				      struct xfrmsync_plain *head, u16 has,
				      u32 flags)
{
	head->has = has | XFRMSYNC_PLAIN_F_FLAGS;
	head->units = (p - m->at) / XFRMSYNC_PLAIN_UNIT;
	head->flags = flags;
	m->at = p;
}

/**
 * xfrmsync_record_fill_plain() - the same, plain
 * @m: the message, in which it fits
 * @sa: as for xfrmsync_record_fill()
 * @flags: likewise
 * @age_ns: likewise
 *
 * What a packet changes goes to where it stays, with no copy between: the lock is
 * held for some tens of instructions more than the values take alone.
 *
 * Context: under RCU; takes x->lock, BH off.
 */
void xfrmsync_record_fill_plain(struct xfrmsync_plain_msg *m,
				struct xfrmsync_sa *sa, u32 flags, u64 age_ns)
{
	struct xfrmsync_plain *head = (struct xfrmsync_plain *)m->at;
	struct xfrm_state *x = sa->x;
	u16 has = 0;
	char *p;

	flags |= xfrmsync_record_flags(sa);
	plain_head(head, sa);
	head->reqid = x->props.reqid;
	head->mode = x->props.mode;
	head->dir = direction(x);
	p = plain_addrs((char *)(head + 1), sa, &x->props.saddr, &has);

	spin_lock_bh(&x->lock);
	p = plain_window(p, head, x, &has);
	p = plain_lifetime(p, x, &has);
	p = plain_own(p, sa, &has);
	p = plain_name(p, sa, x->if_id, &has);
	p = plain_errors(p, &x->stats, &has);
	if (x->km.dying)
		flags |= XFRMSYNC_RECORD_F_DYING;
	if (sa->restored_seq && xfrmsync_restore_untouched(sa))
		flags |= XFRMSYNC_RECORD_F_WINDOW_RESTORED;
	spin_unlock_bh(&x->lock);

	p = plain_if(p, &has, XFRMSYNC_PLAIN_F_AGE_NS, age_ns);
	plain_end(m, p, head, has, flags);
}

static u32 gone_flags(const struct xfrmsync_sa *sa)
{
	return XFRMSYNC_RECORD_F_DELETED |
	       (test_bit(XFRMSYNC_SA_EXPIRED, &sa->flags) ?
		XFRMSYNC_RECORD_F_EXPIRED : 0);
}

/* The same of xfrmsync_record_fill_gone(). */
void xfrmsync_record_fill_plain_gone(struct xfrmsync_plain_msg *m,
				     struct xfrmsync_sa *sa)
{
	struct xfrmsync_plain *head = (struct xfrmsync_plain *)m->at;
	static const xfrm_address_t unknown;
	u16 has = 0;
	char *p;

	memset(head, 0, sizeof(*head));
	plain_head(head, sa);
	p = plain_addrs((char *)(head + 1), sa, &unknown, &has);
	p = plain_if(p, &has, XFRMSYNC_PLAIN_F_TAG, sa->tag);
	p = plain_name(p, sa, 0, &has);
	plain_end(m, p, head, has, gone_flags(sa));
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
	struct put p;

	if (!put_begin(&p, skb, sa, true))
		return -EMSGSIZE;
	put_id(&p, sa);
	put_u64(&p, XFRMSYNC_A_RECORD_COOKIE, sa->cookie);
	put_u32(&p, XFRMSYNC_A_RECORD_FLAGS, gone_flags(sa));
	put_u64_if(&p, XFRMSYNC_A_RECORD_TAG, sa->tag);
	put_end(&p, skb);
	return 0;
}
