// SPDX-License-Identifier: GPL-2.0
/*
 * In: plain records, unchecked.
 * Out: the same as those by attributes are.
 * Process context; pure.
 *
 * The daemon takes and gives one record for each SA that had a packet. By attributes each
 * value of it is held against a policy, and has a head of its own, which is copied with it.
 */
#include <net/genetlink.h>

#include "netlink.h"
#include "plain.h"
#include "units.h"

#define F(name) XFRMSYNC_PLAIN_F_##name
#define RESTORE_FLAGS (XFRMSYNC_RESTORE_F_BIND | XFRMSYNC_RESTORE_F_NO_PARK | \
		       XFRMSYNC_RESTORE_F_WINDOW_EXACT | \
		       XFRMSYNC_RESTORE_F_GO_ON | XFRMSYNC_RESTORE_F_FENCED)

static unsigned int length(const struct xfrmsync_plain *head)
{
	return head->units * XFRMSYNC_PLAIN_UNIT;
}

/* Up to where the values begin. */
static const void *values(const struct xfrmsync_plain *head)
{
	return (const char *)(head + 1) + (head->has & F(IPV6) ? 32 : 8) +
	       (head->words + 1) / 2 * sizeof(u64);
}

/* As the policies of attributes are: one that is malformed, and all are refused. */
bool xfrmsync_plain_check(const struct xfrmsync_plain_at *at)
{
	const struct xfrmsync_plain *head = at->p;
	u32 flags;

	BUILD_BUG_ON(sizeof(*head) != 32);
	if (at->left < sizeof(*head) || length(head) > at->left ||
	    head->words > XFRMSYNC_WINDOW_WORDS ||
	    head->units != xfrmsync_plain_units(head->has, head->words) ||
	    head->window > XFRMSYNC_MAX_WINDOW || head->zero)
		return false;
	if (!(head->has & F(RESTORE)))
		return true;
	flags = *(const u32 *)((const char *)head + length(head) -
			       (head->has & F(EXPECT_OSEQ) ? 16 : 8));
	return !(flags & ~RESTORE_FLAGS);
}

static __always_inline u64 next(const void **p)
{
	u64 value;

	memcpy(&value, *p, sizeof(value));
	*p += sizeof(value);
	return value;
}

static __always_inline u64 next_if(const void **p, bool has)
{
	return has ? next(p) : 0;
}

static void parse_id(const struct xfrmsync_plain *head, struct xfrmsync_sa_id *id)
{
	bool ipv6 = head->has & F(IPV6);

	id->family = ipv6 ? AF_INET6 : AF_INET;
	if (ipv6)
		memcpy(&id->daddr, head + 1, sizeof(id->daddr.in6));
	else
		id->daddr = (xfrm_address_t){ .a4 = *(const __be32 *)(head + 1) };
	id->spi = head->spi;
	id->proto = head->proto;
	id->mark = (struct xfrm_mark){};
}

/* Attributes are aligned to four bytes. */
static u64 cookie_of(const struct xfrmsync_plain *head)
{
	u64 cookie;

	memcpy(&cookie, (const char *)head + offsetof(typeof(*head), cookie),
	       sizeof(cookie));
	return cookie;
}

static void parse_errors(const void **p, struct xfrmsync_restore *r)
{
	u64 pair = next(p);

	memcpy(&r->stats.replay_window, &pair, sizeof(u32));
	memcpy(&r->stats.replay, (char *)&pair + sizeof(u32), sizeof(u32));
	pair = next(p);
	memcpy(&r->stats.integrity_failed, &pair, sizeof(u32));
}

static void parse_name(const void **p, struct xfrmsync_restore *r)
{
	u64 pair = next(p);

	memcpy(&r->id.mark.v, &pair, sizeof(u32));
	memcpy(&r->id.mark.m, (char *)&pair + sizeof(u32), sizeof(u32));
	next(p);	/* an SA's name has no interface id */
}

u32 xfrmsync_plain_parse(struct xfrmsync_plain_at *at,
			 struct xfrmsync_restore *r)
{
	const struct xfrmsync_plain *head = at->p;
	const void *p = values(head);
	u16 has = head->has;
	u64 pair;

	parse_id(head, &r->id);
	r->cookie = cookie_of(head);
	r->has = has | (r->cookie ? XFRMSYNC_HAS_COOKIE : 0);
	r->flags = has & F(FLAGS) ? head->flags : 0;
	r->window = has & F(SEQ) ? head->window : 0;
	r->words = has & F(SEQ) ? head->words : 0;
	if (r->words)
		xfrmsync_words_copy(r->bmp, p - (head->words + 1) / 2 * sizeof(u64),
				    r->words);
	r->oseq = next_if(&p, has & F(OSEQ));
	r->seq = next_if(&p, has & F(SEQ));
	r->bytes = next_if(&p, has & F(COUNTED));
	r->packets = next_if(&p, has & F(COUNTED));
	r->add_time = next_if(&p, has & F(TIMES));
	r->use_time = next_if(&p, has & F(TIMES));
	r->last_used = next_if(&p, has & F(TIMES));
	r->tag = next_if(&p, has & F(TAG));
	r->lease_end = next_if(&p, has & F(LEASE_END));
	r->given_end = next_if(&p, has & F(GIVEN_END));
	r->guard_end = next_if(&p, has & F(GUARD_END));
	r->sent = next_if(&p, has & F(SENT));
	if (has & F(NAME))
		parse_name(&p, r);
	r->stats = (struct xfrm_stats){};
	if (has & F(ERRORS))
		parse_errors(&p, r);
	next_if(&p, has & F(AGE_NS));
	pair = next_if(&p, has & F(RESTORE));
	memcpy(&r->restore_flags, &pair, sizeof(u32));
	r->expect_oseq = next_if(&p, has & F(EXPECT_OSEQ));
	at->left -= length(head);
	at->p += length(head);
	return r->words < xfrmsync_window_words(r->window) ?
	       XFRMSYNC_REASON_ATTRIBUTE : XFRMSYNC_REASON_OK;
}

bool xfrmsync_plain_wanted(const struct netlink_callback *cb)
{
	return nlmsg_find_attr(cb->nlh, GENL_HDRLEN, XFRMSYNC_A_RECORD_PLAIN);
}

bool xfrmsync_plain_begin(struct sk_buff *skb, struct netlink_callback *cb,
			  u8 cmd, struct xfrmsync_plain_msg *m)
{
	m->hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			     &xfrmsync_netlink_family, NLM_F_MULTI, cmd);
	if (!m->hdr)
		return false;
	m->attr = nla_reserve(skb, XFRMSYNC_A_RECORD_PLAIN, 0);
	if (!m->attr) {
		genlmsg_cancel(skb, m->hdr);
		return false;
	}
	m->at = (char *)skb_tail_pointer(skb);
	m->end = m->at + skb_tailroom(skb);
	return true;
}

void xfrmsync_plain_end(struct sk_buff *skb, struct xfrmsync_plain_msg *m)
{
	skb_put(skb, m->at - (char *)skb_tail_pointer(skb));
	m->attr->nla_len = m->at - (char *)m->attr;
	if (nla_len(m->attr))
		genlmsg_end(skb, m->hdr);
	else
		genlmsg_cancel(skb, m->hdr);
}
