// SPDX-License-Identifier: GPL-2.0
/*
 * In: a record's attributes, unchecked.
 * Out: the record, where they are as the daemon sends them; all others are for the policy.
 * Process context; pure.
 *
 * The daemon always sends the same ones, in the same order, one record for each SA that
 * had a packet. To look for these saves holding each of them against the policy, and
 * sorting them. What is taken here the policy takes, too, and means the same.
 */
#include <net/netlink.h>

#include "plain.h"

#define A(name) XFRMSYNC_A_RECORD_##name
#define RESTORE_FLAGS (XFRMSYNC_RESTORE_F_BIND | XFRMSYNC_RESTORE_F_NO_PARK | \
		       XFRMSYNC_RESTORE_F_WINDOW_EXACT | \
		       XFRMSYNC_RESTORE_F_GO_ON | XFRMSYNC_RESTORE_F_FENCED)

struct at {
	const char *p;
	int left;
};

/* The value of the next attribute, if it is that one, of that length; or NULL. */
static __always_inline const void *next(struct at *at, u16 type, u16 len)
{
	const struct nlattr *attr = (const struct nlattr *)at->p;

	if (at->left < NLA_HDRLEN + NLA_ALIGN(len) ||
	    attr->nla_type != type || attr->nla_len != NLA_HDRLEN + len)
		return NULL;
	at->p += NLA_HDRLEN + NLA_ALIGN(len);
	at->left -= NLA_HDRLEN + NLA_ALIGN(len);
	return nla_data(attr);
}

/* True where it is there; else the value is 0. */
static __always_inline bool next_u32(struct at *at, u16 type, u32 *to)
{
	const u32 *value = next(at, type, sizeof(*to));

	*to = value ? *value : 0;
	return value;
}

static __always_inline bool next_u64(struct at *at, u16 type, u64 *to)
{
	const void *value = next(at, type, sizeof(*to));

	*to = 0;
	if (value)
		memcpy(to, value, sizeof(*to));
	return value;
}

static bool next_id(struct at *at, struct xfrmsync_sa_id *id)
{
	const u16 *family = next(at, A(FAMILY), sizeof(*family));
	const struct in6_addr *in6;
	const __be32 *in, *spi;
	const u8 *proto;

	if (!family)
		return false;
	*id = (struct xfrmsync_sa_id){ .family = *family };
	if (*family == AF_INET) {
		in = next(at, A(DST), sizeof(*in));
		if (!in)
			return false;
		id->daddr.a4 = *in;
	} else if (*family == AF_INET6) {
		in6 = next(at, A(DST), sizeof(*in6));
		if (!in6)
			return false;
		id->daddr.in6 = *in6;
	} else {
		return false;
	}
	spi = next(at, A(SPI), sizeof(*spi));
	if (!spi)
		return false;
	id->spi = *spi;
	proto = next(at, A(PROTO), sizeof(*proto));
	if (!proto)
		return false;
	id->proto = *proto;
	next_u32(at, A(MARK), &id->mark.v);
	next_u32(at, A(MARK_MASK), &id->mark.m);
	return true;
}

/* A window is its number, its size and its words, or not there at all. */
static bool next_window(struct at *at, struct xfrmsync_restore *r)
{
	const struct nlattr *bmp;
	int len;

	r->window = 0;
	r->words = 0;
	if (!next_u64(at, A(SEQ), &r->seq))
		return true;
	r->has |= XFRMSYNC_HAS_WINDOW;
	if (!next_u32(at, A(WINDOW), &r->window) ||
	    r->window > XFRMSYNC_MAX_WINDOW)
		return false;
	bmp = (const struct nlattr *)at->p;
	if (at->left >= NLA_HDRLEN && bmp->nla_type == A(BITMAP)) {
		len = nla_len(bmp);
		if (len <= 0 || len > sizeof(r->bmp) || len % sizeof(u32) ||
		    NLA_HDRLEN + len > at->left)
			return false;
		r->words = len / sizeof(u32);
		memcpy(r->bmp, nla_data(bmp), len);
		at->p += NLA_HDRLEN + len;
		at->left -= NLA_HDRLEN + len;
	}
	return r->words >= xfrmsync_window_words(r->window);
}

static void next_lifetime(struct at *at, struct xfrmsync_restore *r)
{
	bool has = next_u64(at, A(BYTES), &r->bytes);

	has |= next_u64(at, A(PACKETS), &r->packets);
	has |= next_u64(at, A(ADD_TIME), &r->add_time);
	next_u64(at, A(USE_TIME), &r->use_time);
	next_u64(at, A(LAST_USED), &r->last_used);
	next_u32(at, A(REPLAY_WINDOW_ERRORS), &r->stats.replay_window);
	next_u32(at, A(REPLAY_ERRORS), &r->stats.replay);
	next_u32(at, A(INTEGRITY_ERRORS), &r->stats.integrity_failed);
	r->has |= has ? XFRMSYNC_HAS_LIFETIME : 0;
}

/**
 * xfrmsync_plain_parse() - read a record as the daemon sends it
 * @record: the nest
 * @r: filled in; undefined where it is not of that kind
 *
 * Context: any.
 * Return: false where it is of another kind, good or bad.
 */
bool xfrmsync_plain_parse(const struct nlattr *record,
			  struct xfrmsync_restore *r)
{
	struct at at = { .p = nla_data(record), .left = nla_len(record) };

	r->has = 0;
	if (!next_id(&at, &r->id))
		return false;
	r->has |= next_u32(&at, A(FLAGS), &r->flags) ? XFRMSYNC_HAS_FLAGS : 0;
	next_u64(&at, A(TAG), &r->tag);
	r->has |= next_u64(&at, A(COOKIE), &r->cookie) ? XFRMSYNC_HAS_COOKIE : 0;
	r->has |= next_u64(&at, A(OSEQ), &r->oseq) ? XFRMSYNC_HAS_OSEQ : 0;
	if (!next_window(&at, r))
		return false;
	next_lifetime(&at, r);
	r->has |= next_u64(&at, A(LEASE_END), &r->lease_end) ? XFRMSYNC_HAS_LEASE : 0;
	r->has |= next_u64(&at, A(SENT), &r->sent) ? XFRMSYNC_HAS_SENT : 0;
	next_u32(&at, A(RESTORE_FLAGS), &r->restore_flags);
	r->has |= next_u64(&at, A(EXPECT_OSEQ), &r->expect_oseq) ? XFRMSYNC_HAS_EXPECT : 0;
	r->has |= next_u64(&at, A(GUARD_END), &r->guard_end) ? XFRMSYNC_HAS_GUARD : 0;
	r->has |= next_u64(&at, A(GIVEN_END), &r->given_end) ? XFRMSYNC_HAS_GIVEN : 0;
	return !at.left && !(r->restore_flags & ~RESTORE_FLAGS);
}
