// SPDX-License-Identifier: GPL-2.0
/*
 * In: requests of the generic netlink family "xfrmsync".
 * Out: calls of the parts that do them, and their answers.
 * Process context.
 */
#include <linux/module.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <linux/xfrmsync.h>

#include "fence.h"
#include "hook.h"
#include "netlink.h"
#include "plain.h"
#include "record.h"
#include "restore.h"
#include "role.h"
#include "stream.h"
#include "units.h"
#include "watchdog.h"

static const struct nla_policy record_policy[XFRMSYNC_A_RECORD_MAX + 1] = {
	[XFRMSYNC_A_RECORD_FAMILY]	= { .type = NLA_U16 },
	[XFRMSYNC_A_RECORD_DST]		= NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
	[XFRMSYNC_A_RECORD_SRC]		= NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
	[XFRMSYNC_A_RECORD_SPI]		= { .type = NLA_BE32 },
	[XFRMSYNC_A_RECORD_PROTO]	= { .type = NLA_U8 },
	[XFRMSYNC_A_RECORD_MODE]	= { .type = NLA_U8 },
	[XFRMSYNC_A_RECORD_DIR]		= NLA_POLICY_MAX(NLA_U8, XFRMSYNC_DIR_OUT),
	[XFRMSYNC_A_RECORD_MARK]	= { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_MARK_MASK]	= { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_IF_ID]	= { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_REQID]	= { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_FLAGS]	= { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_TAG]		= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_COOKIE]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_OSEQ]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_SEQ]		= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_WINDOW]	= NLA_POLICY_MAX(NLA_U32, XFRMSYNC_MAX_WINDOW),
	[XFRMSYNC_A_RECORD_BITMAP]	= NLA_POLICY_RANGE(NLA_BINARY, 4, XFRMSYNC_MAX_WINDOW / 8),
	[XFRMSYNC_A_RECORD_BYTES]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_PACKETS]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_ADD_TIME]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_USE_TIME]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_LAST_USED]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_REPLAY_WINDOW_ERRORS] = { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_REPLAY_ERRORS] = { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_INTEGRITY_ERRORS] = { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_AGE_NS]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_LEASE_END]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_RESTORE_FLAGS] =
		NLA_POLICY_MASK(NLA_U32, XFRMSYNC_RESTORE_F_BIND |
					 XFRMSYNC_RESTORE_F_NO_PARK |
					 XFRMSYNC_RESTORE_F_WINDOW_EXACT |
					 XFRMSYNC_RESTORE_F_GO_ON |
					 XFRMSYNC_RESTORE_F_FENCED |
					 XFRMSYNC_RESTORE_F_MERGE),
	[XFRMSYNC_A_RECORD_SENT]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_EXPECT_OSEQ]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_GUARD_END]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_GIVEN_END]	= { .type = NLA_U64 },
	[XFRMSYNC_A_RECORD_PAD]		= { .type = NLA_UNSPEC },
};

/* And how a dump shall be. */
static const struct nla_policy id_policy[XFRMSYNC_A_RECORD_PLAIN + 1] = {
	[XFRMSYNC_A_RECORD_FAMILY]	= { .type = NLA_U16 },
	[XFRMSYNC_A_RECORD_DST]		= NLA_POLICY_RANGE(NLA_BINARY, 4, 16),
	[XFRMSYNC_A_RECORD_SPI]		= { .type = NLA_BE32 },
	[XFRMSYNC_A_RECORD_PROTO]	= { .type = NLA_U8 },
	[XFRMSYNC_A_RECORD_MARK]	= { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_MARK_MASK]	= { .type = NLA_U32 },
	[XFRMSYNC_A_RECORD_PLAIN]	= { .type = NLA_FLAG },
};

static const struct nla_policy pull_policy[XFRMSYNC_A_RECORD_PLAIN + 1] = {
	[XFRMSYNC_A_RECORD_PLAIN]	= { .type = NLA_FLAG },
};

/* Records are held against record_policy by validate_record(), or are plain. */
static const struct nla_policy batch_policy[XFRMSYNC_A_BATCH_PLAIN + 1] = {
	[XFRMSYNC_A_BATCH_EPOCH]	= { .type = NLA_U64 },
	[XFRMSYNC_A_BATCH_NODE]		= { .type = NLA_U32 },
	[XFRMSYNC_A_BATCH_RECORD]	= { .type = NLA_NESTED },
	[XFRMSYNC_A_BATCH_PLAIN]	= { .type = NLA_BINARY },
};

/* Others' generic netlink may wait as long as a request does, ten times this: with a
 * network namespace of their own, anybody may send one.
 */
#define ANYBODYS_DRAIN 100

/* Not const, these two: 6.1's policies do not take that. */
static struct netlink_range_validation drain_range = {
	.max = XFRMSYNC_MAX_DRAIN,
};

static const struct nla_policy role_policy[XFRMSYNC_A_STATUS_DRAIN_MS + 1] = {
	[XFRMSYNC_A_STATUS_ROLE]	= NLA_POLICY_MAX(NLA_U32, XFRMSYNC_ROLE_STANDBY),
	[XFRMSYNC_A_STATUS_EPOCH]	= { .type = NLA_U64 },
	[XFRMSYNC_A_STATUS_NODE]	= { .type = NLA_U32 },
	[XFRMSYNC_A_STATUS_DRAIN_MS]	= NLA_POLICY_FULL_RANGE(NLA_U32, &drain_range),
};

static struct netlink_range_validation watchdog_range = {
	.max = XFRMSYNC_MAX_WATCHDOG,
};

static const struct nla_policy watchdog_policy[XFRMSYNC_A_STATUS_WATCHDOG_MS + 1] = {
	[XFRMSYNC_A_STATUS_WATCHDOG_MS]	= NLA_POLICY_FULL_RANGE(NLA_U32, &watchdog_range),
};

/* For commands that take nothing: what is sent all the same is refused. */
static const struct nla_policy nothing_policy[] = {
	[1] = { .type = NLA_REJECT },
};

static struct xfrmsync_net *ns_of(struct genl_info *info)
{
	return xfrmsync_net(genl_info_net(info));
}

/* A message for an answer to a command. */
static struct sk_buff *answer_new(struct genl_info *info, size_t size,
				  void **hdr)
{
	struct sk_buff *skb = genlmsg_new(size, GFP_KERNEL);

	if (!skb)
		return NULL;
	*hdr = genlmsg_put_reply(skb, info, &xfrmsync_netlink_family, 0,
				 info->genlhdr->cmd);
	if (!*hdr) {
		nlmsg_free(skb);
		return NULL;
	}
	return skb;
}

/* Made before anything is done: who gets an error knows that nothing was. With
 * an error that came later there is none.
 */
static int answer_send(struct genl_info *info, struct sk_buff *msg, void *hdr,
		       int err)
{
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

/* Refuses a request that lacks an attribute, naming it. */
#define REQUIRE(info, attr, text)					\
	(GENL_REQ_ATTR_CHECK(info, attr) ?				\
	 ({ NL_SET_ERR_MSG((info)->extack, text); false; }) : true)

static int get_id(struct genl_info *info, struct xfrmsync_sa_id *id)
{
	if (!REQUIRE(info, XFRMSYNC_A_RECORD_FAMILY, "family is missing") ||
	    !REQUIRE(info, XFRMSYNC_A_RECORD_DST, "dst is missing") ||
	    !REQUIRE(info, XFRMSYNC_A_RECORD_SPI, "spi is missing") ||
	    !REQUIRE(info, XFRMSYNC_A_RECORD_PROTO, "proto is missing"))
		return -EINVAL;
	/* not all of a record: attrs ends where id_policy does */
	if (!xfrmsync_restore_parse_id(info->attrs, id)) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[XFRMSYNC_A_RECORD_DST],
				    "family and length of dst do not fit");
		return -EINVAL;
	}
	return 0;
}

static int fill_found(struct sk_buff *skb, struct xfrmsync_net *ns,
		      const struct xfrmsync_sa_id *id)
{
	struct xfrmsync_sa *sa;
	int err = -ESRCH;

	rcu_read_lock();
	sa = xfrmsync_table_lookup(ns, id);
	if (sa)
		err = xfrmsync_record_fill(skb, sa, 0, 0);
	rcu_read_unlock();
	return err;
}

static int do_get(struct sk_buff *skb, struct genl_info *info)
{
	struct xfrmsync_net *ns = ns_of(info);
	struct xfrmsync_sa_id id;
	struct sk_buff *msg;
	void *hdr;
	int err;

	if (info->attrs[XFRMSYNC_A_RECORD_PLAIN]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[XFRMSYNC_A_RECORD_PLAIN],
				    "plain records come with a dump");
		return -EINVAL;
	}
	err = get_id(info, &id);
	if (err)
		return err;
	msg = answer_new(info, NLMSG_GOODSIZE, &hdr);
	if (!msg)
		return -ENOMEM;
	err = fill_found(msg, ns, &id);
	if (err) {
		nlmsg_free(msg);
		if (err == -ESRCH)
			NL_SET_ERR_MSG(info->extack, "no such SA is followed here");
		return err;
	}
	genlmsg_end(msg, hdr);
	xfrmsync_stats_inc(ns, DUMPED);
	return genlmsg_reply(msg, info);
}

/* False when the batch is full. */
static bool dump_one(struct sk_buff *skb, struct netlink_callback *cb,
		     struct xfrmsync_sa *sa)
{
	void *hdr;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &xfrmsync_netlink_family, NLM_F_MULTI,
			  XFRMSYNC_CMD_GET);
	if (!hdr)
		return false;
	if (xfrmsync_record_fill(skb, sa, 0, 0)) {
		genlmsg_cancel(skb, hdr);
		return false;
	}
	genlmsg_end(skb, hdr);
	return true;
}

static bool dump_one_plain(struct xfrmsync_plain_msg *m, struct xfrmsync_sa *sa)
{
	if (!xfrmsync_record_fits_plain(m, sa, false))
		return false;
	xfrmsync_record_fill_plain(m, sa, 0, 0);
	return true;
}

static int dump_get(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct xfrmsync_net *ns = xfrmsync_net(sock_net(skb->sk));
	unsigned long *next = (unsigned long *)cb->ctx;
	bool plain = xfrmsync_plain_wanted(cb);
	XA_STATE(xas, &ns->sas, *next);
	struct xfrmsync_plain_msg msg;
	struct xfrmsync_sa *sa;
	unsigned int n = 0;

	if (nlmsg_attrlen(cb->nlh, GENL_HDRLEN) !=
	    (plain ? nla_total_size(0) : 0)) {
		NL_SET_ERR_MSG(cb->extack, "a dump takes no attributes but plain: it gives all SAs");
		return -EINVAL;
	}
	if (plain && !xfrmsync_plain_begin(skb, cb, XFRMSYNC_CMD_GET, &msg))
		return -EMSGSIZE;

	rcu_read_lock();
	/* As xa_for_each_start(), which looks for each one from the root. */
	xas_for_each(&xas, sa, ULONG_MAX) {
		if (xas_retry(&xas, sa))
			continue;
		if (test_bit(XFRMSYNC_SA_GONE, &sa->flags))
			continue;
		if (!(plain ? dump_one_plain(&msg, sa) : dump_one(skb, cb, sa)))
			break;
		n++;
	}
	rcu_read_unlock();
	*next = sa ? xas.xa_index : ULONG_MAX;
	if (plain)
		xfrmsync_plain_end(skb, &msg);
	xfrmsync_stats_add(ns, DUMPED, n);
	/* 0 at the end: else a buffer is made, and cleared, for the word that it is. */
	return sa ? skb->len : 0;
}

static int do_subscribe(struct sk_buff *skb, struct genl_info *info)
{
	struct xfrmsync_net *ns = ns_of(info);
	struct sk_buff *msg;
	void *hdr;
	int err;

	msg = answer_new(info, nla_total_size(sizeof(u32)), &hdr);
	if (!msg)
		return -ENOMEM;
	err = xfrmsync_stream_subscribe(ns, info->snd_portid, info->extack) ?:
	      nla_put_u32(msg, XFRMSYNC_A_READER_DIRTY,
			  atomic_read(&ns->dirty_count));
	return answer_send(info, msg, hdr, err);
}

static int do_unsubscribe(struct sk_buff *skb, struct genl_info *info)
{
	return xfrmsync_stream_unsubscribe(ns_of(info), info->snd_portid,
					   info->extack);
}

static int put_result(struct sk_buff *msg, u32 index, u32 reason)
{
	struct nlattr *nest = nla_nest_start(msg, XFRMSYNC_A_BATCH_RESULT);

	if (!nest ||
	    nla_put_u32(msg, XFRMSYNC_A_RESULT_INDEX, index) ||
	    nla_put_u32(msg, XFRMSYNC_A_RESULT_REASON, reason) ||
	    nla_put_s32(msg, XFRMSYNC_A_RESULT_ERRNO,
			xfrmsync_restore_errno(reason)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* Who looks for one attribute, and who collects all, has the same: there are no two of a kind. */
static int refuse_twice(const struct nlattr *record, struct netlink_ext_ack *extack)
{
	DECLARE_BITMAP(seen, XFRMSYNC_A_RECORD_MAX + 1) = {};
	const struct nlattr *attr;
	int rem;

	nla_for_each_nested(attr, record, rem) {
		if (!__test_and_set_bit(nla_type(attr), seen) ||
		    nla_type(attr) == XFRMSYNC_A_RECORD_PAD)
			continue;
		NL_SET_ERR_MSG_ATTR(extack, attr, "a record has this attribute twice");
		return -EINVAL;
	}
	return 0;
}

/* As the policy of a nested attribute is: one that it refuses, refuses all of them. */
static int validate_record(const struct nlattr *record,
			   struct netlink_ext_ack *extack)
{
	return __nla_validate(nla_data(record), nla_len(record),
			      XFRMSYNC_A_RECORD_MAX, record_policy,
			      NL_VALIDATE_STRICT, extack) ?:
	       refuse_twice(record, extack);
}

static struct xfrmsync_plain_at plain_of(struct genl_info *info)
{
	struct nlattr *attr = info->attrs[XFRMSYNC_A_BATCH_PLAIN];

	return (struct xfrmsync_plain_at){
		.p = nla_data(attr), .left = nla_len(attr),
	};
}

/* As count_records(). */
static int count_plain(struct genl_info *info)
{
	struct xfrmsync_plain_at at = plain_of(info);
	const struct xfrmsync_plain *head;
	int n = 0;

	if (info->attrs[XFRMSYNC_A_BATCH_RECORD]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[XFRMSYNC_A_BATCH_PLAIN],
				    "records are plain or not, all of them");
		return -EINVAL;
	}
	for (; xfrmsync_plain_check(&at); n++) {
		head = at.p;
		at.left -= head->units * XFRMSYNC_PLAIN_UNIT;
		at.p += head->units * XFRMSYNC_PLAIN_UNIT;
	}
	if (!at.left && n)
		return n;
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[XFRMSYNC_A_BATCH_PLAIN],
			    "a plain record is malformed");
	return -EINVAL;
}

/* How many there are, each of them as it has to be; or -errno. */
static int count_records(struct genl_info *info)
{
	struct nlattr *attr;
	int n = 0, rem, err;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != XFRMSYNC_A_BATCH_RECORD)
			continue;
		err = validate_record(attr, info->extack);
		if (err)
			return err;
		n++;
	}
	return n;
}

/* It was validated. */
static void collect(struct nlattr *record, struct nlattr **tb)
{
	struct nlattr *attr;
	int rem;

	memset(tb, 0, (XFRMSYNC_A_RECORD_MAX + 1) * sizeof(*tb));
	nla_for_each_nested(attr, record, rem)
		tb[nla_type(attr)] = attr;
}

typedef u32 (*batch_fn)(struct xfrmsync_net *ns, struct xfrmsync_restore *r);

static u32 batch_one(struct xfrmsync_net *ns, struct nlattr *attr,
		     struct xfrmsync_restore *r, batch_fn fn)
{
	struct nlattr *tb[XFRMSYNC_A_RECORD_MAX + 1];
	u32 reason;

	collect(attr, tb);
	reason = xfrmsync_restore_parse(tb, r);
	return reason ?: fn(ns, r);
}

struct tally {
	u32 applied;
	u32 parked;
	u32 refused;
};

static int count_one(struct tally *t, struct sk_buff *msg, u32 i, u32 reason)
{
	if (likely(!reason)) {
		t->applied++;
		return 0;
	}
	if (reason == XFRMSYNC_REASON_PARKED)
		t->parked++;
	else
		t->refused++;
	return put_result(msg, i, reason);
}

static int batch_plain(struct xfrmsync_net *ns, struct genl_info *info,
		       struct sk_buff *msg, struct xfrmsync_restore *r,
		       batch_fn fn, struct tally *t)
{
	struct xfrmsync_plain_at at = plain_of(info);
	int err = 0, ret;
	u32 i = 0;

	while (at.left) {
		ret = count_one(t, msg, i++,
				xfrmsync_plain_parse(&at, r) ?: fn(ns, r));
		err = err ?: ret;
	}
	return err;
}

static int batch_all(struct xfrmsync_net *ns, struct genl_info *info,
		     struct sk_buff *msg, struct xfrmsync_restore *r,
		     batch_fn fn, struct tally *t)
{
	struct nlattr *attr;
	int rem, err = 0, ret;
	u32 i = 0;

	if (info->attrs[XFRMSYNC_A_BATCH_PLAIN])
		return batch_plain(ns, info, msg, r, fn, t);
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != XFRMSYNC_A_BATCH_RECORD)
			continue;
		ret = count_one(t, msg, i++, batch_one(ns, attr, r, fn));
		err = err ?: ret;
	}
	return err;
}

static int put_tally(struct sk_buff *msg, const struct tally *t)
{
	if (nla_put_u32(msg, XFRMSYNC_A_BATCH_APPLIED, t->applied) ||
	    nla_put_u32(msg, XFRMSYNC_A_BATCH_PARKED, t->parked) ||
	    nla_put_u32(msg, XFRMSYNC_A_BATCH_REFUSED, t->refused))
		return -EMSGSIZE;
	return 0;
}

/* How many records there are, or -errno. */
static int check_batch(struct genl_info *info)
{
	struct nlattr *plain = info->attrs[XFRMSYNC_A_BATCH_PLAIN];
	int n = plain ? count_plain(info) : count_records(info);

	if (n < 0)
		return n;
	if (!plain && !REQUIRE(info, XFRMSYNC_A_BATCH_RECORD, "record is missing"))
		return -EINVAL;
	if (n > XFRMSYNC_MAX_BATCH) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    plain ?: info->attrs[XFRMSYNC_A_BATCH_RECORD],
				    "more records than max-batch");
		return -E2BIG;
	}
	return n;
}

/* Room for a result of each record, so that no answer is cut short. */
static struct sk_buff *batch_answer(struct genl_info *info, unsigned int n,
				    void **hdr)
{
	size_t result = nla_total_size(3 * nla_total_size(sizeof(u32)));

	return answer_new(info, n * result + 3 * nla_total_size(sizeof(u32)),
			  hdr);
}

static int fill_status(struct sk_buff *skb, struct xfrmsync_net *ns)
{
	lockdep_assert_held(&ns->role_mutex);

	if (nla_put_u32(skb, XFRMSYNC_A_STATUS_VERSION, XFRMSYNC_VERSION) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_ROLE, ns->role) ||
	    nla_put_u64_64bit(skb, XFRMSYNC_A_STATUS_EPOCH, ns->epoch,
			      XFRMSYNC_A_STATUS_PAD) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_NODE, ns->node) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_CAPTURE,
			xfrmsync_hook_method()) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_SAS, READ_ONCE(ns->count)) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_DIRTY,
			atomic_read(&ns->dirty_count)) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_PARKED,
			atomic_read(&ns->park.count)) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_READER, READ_ONCE(ns->reader)) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_WATCHDOG_MS, ns->watchdog_ms) ||
	    nla_put_u64_64bit(skb, XFRMSYNC_A_STATUS_LIFE, ns->life,
			      XFRMSYNC_A_STATUS_PAD) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_UNTOLD, atomic_read(&ns->untold)) ||
	    nla_put_u32(skb, XFRMSYNC_A_STATUS_FENCE, xfrmsync_fence_state(ns)))
		return -EMSGSIZE;
	return 0;
}

/**
 * xfrmsync_netlink_notify_role() - tell whoever listens of role and epoch
 * @ns: the namespace
 *
 * Who missed it gets ENOBUFS, and asks for the status.
 *
 * Context: process, role_mutex held.
 */
void xfrmsync_netlink_notify_role(struct xfrmsync_net *ns)
{
	struct sk_buff *msg;
	void *hdr;

	msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		goto missed;
	hdr = genlmsg_put(msg, 0, 0, &xfrmsync_netlink_family, 0,
			  XFRMSYNC_CMD_ROLE_NTF);
	if (!hdr || fill_status(msg, ns)) {
		nlmsg_free(msg);
		goto missed;
	}
	genlmsg_end(msg, hdr);
	genlmsg_multicast_netns(&xfrmsync_netlink_family, ns->net, msg, 0, 0,
				GFP_KERNEL);
	return;
missed:
	genl_set_err(&xfrmsync_netlink_family, ns->net, 0, 0, -ENOBUFS);
}

/* All that a request brings is windows to be merged. */
static bool is_merge(struct genl_info *info)
{
	struct nlattr *attr, *flags;
	int rem;

	if (info->attrs[XFRMSYNC_A_BATCH_PLAIN])
		return false;
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != XFRMSYNC_A_BATCH_RECORD)
			continue;
		flags = nla_find_nested(attr, XFRMSYNC_A_RECORD_RESTORE_FLAGS);
		if (!flags || !(nla_get_u32(flags) & XFRMSYNC_RESTORE_F_MERGE))
			return false;
	}
	return true;
}

static int admit_batch(struct xfrmsync_net *ns, struct genl_info *info)
{
	struct nlattr *epoch = info->attrs[XFRMSYNC_A_BATCH_EPOCH];
	struct nlattr *node = info->attrs[XFRMSYNC_A_BATCH_NODE];

	return xfrmsync_role_admit(ns, epoch ? nla_get_u64(epoch) : 0,
				   node ? nla_get_u32(node) : 0,
				   is_merge(info), info->extack);
}

/* Under role_mutex, so that a role cannot change inside of a batch. */
static int do_batch(struct genl_info *info, bool admit, batch_fn fn)
{
	struct xfrmsync_net *ns = ns_of(info);
	struct xfrmsync_restore *r;
	struct tally t = {};
	struct sk_buff *msg;
	void *hdr;
	u64 epoch;
	u32 node;
	int n, err = 0;

	r = kmalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	n = check_batch(info);
	msg = n < 0 ? NULL : batch_answer(info, n, &hdr);
	if (!msg) {
		kfree(r);
		return n < 0 ? n : -ENOMEM;
	}

	mutex_lock(&ns->role_mutex);
	epoch = ns->epoch;
	node = ns->node;
	if (admit)
		err = admit_batch(ns, info);
	if (!err)
		err = batch_all(ns, info, msg, r, fn, &t);
	if (ns->epoch != epoch || ns->node != node)
		xfrmsync_netlink_notify_role(ns);
	mutex_unlock(&ns->role_mutex);
	kfree(r);

	if (admit) {
		xfrmsync_stats_add(ns, APPLIED, t.applied);
		xfrmsync_stats_add(ns, PARKED, t.parked);
		xfrmsync_stats_add(ns, REFUSED, t.refused);
	}
	return answer_send(info, msg, hdr, err ?: put_tally(msg, &t));
}

static int do_restore(struct sk_buff *skb, struct genl_info *info)
{
	return do_batch(info, true, xfrmsync_restore_record);
}

static int do_bind(struct sk_buff *skb, struct genl_info *info)
{
	return do_batch(info, false, xfrmsync_restore_bind);
}

static int do_status_get(struct sk_buff *skb, struct genl_info *info)
{
	struct xfrmsync_net *ns = ns_of(info);
	struct sk_buff *msg;
	void *hdr;
	int err;

	msg = answer_new(info, NLMSG_DEFAULT_SIZE, &hdr);
	if (!msg)
		return -ENOMEM;
	mutex_lock(&ns->role_mutex);
	err = answer_send(info, msg, hdr, fill_status(msg, ns));
	mutex_unlock(&ns->role_mutex);
	return err;
}

static int do_role_set(struct sk_buff *skb, struct genl_info *info)
{
	struct xfrmsync_net *ns = ns_of(info);
	u32 role, node = 0, drain_ms = 0;
	struct sk_buff *msg;
	u64 epoch = 0;
	void *hdr;
	int err;

	if (!REQUIRE(info, XFRMSYNC_A_STATUS_ROLE, "role is missing"))
		return -EINVAL;
	role = nla_get_u32(info->attrs[XFRMSYNC_A_STATUS_ROLE]);
	if (role != XFRMSYNC_ROLE_NONE &&
	    (!REQUIRE(info, XFRMSYNC_A_STATUS_EPOCH, "a role needs an epoch") ||
	     !REQUIRE(info, XFRMSYNC_A_STATUS_NODE, "a role needs a node")))
		return -EINVAL;
	if (role != XFRMSYNC_ROLE_NONE) {
		epoch = nla_get_u64(info->attrs[XFRMSYNC_A_STATUS_EPOCH]);
		node = nla_get_u32(info->attrs[XFRMSYNC_A_STATUS_NODE]);
	}
	if (info->attrs[XFRMSYNC_A_STATUS_DRAIN_MS])
		drain_ms = nla_get_u32(info->attrs[XFRMSYNC_A_STATUS_DRAIN_MS]);
	if (drain_ms > ANYBODYS_DRAIN && !netlink_capable(skb, CAP_NET_ADMIN)) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[XFRMSYNC_A_STATUS_DRAIN_MS],
				    "so long may nobody drain in a user namespace");
		return -EPERM;
	}

	msg = answer_new(info, NLMSG_DEFAULT_SIZE, &hdr);
	if (!msg)
		return -ENOMEM;
	mutex_lock(&ns->role_mutex);
	err = xfrmsync_role_set(ns, role, epoch, node, drain_ms, info->extack);
	if (!err) {
		xfrmsync_netlink_notify_role(ns);
		err = fill_status(msg, ns);
	}
	err = answer_send(info, msg, hdr, err);
	mutex_unlock(&ns->role_mutex);
	return err;
}

static int do_watchdog_set(struct sk_buff *skb, struct genl_info *info)
{
	struct xfrmsync_net *ns = ns_of(info);
	struct sk_buff *msg;
	void *hdr;
	int err;

	if (!REQUIRE(info, XFRMSYNC_A_STATUS_WATCHDOG_MS,
		     "watchdog-ms is missing"))
		return -EINVAL;

	msg = answer_new(info, NLMSG_DEFAULT_SIZE, &hdr);
	if (!msg)
		return -ENOMEM;
	mutex_lock(&ns->role_mutex);
	xfrmsync_watchdog_set(ns, nla_get_u32(info->attrs[XFRMSYNC_A_STATUS_WATCHDOG_MS]));
	err = answer_send(info, msg, hdr, fill_status(msg, ns));
	mutex_unlock(&ns->role_mutex);
	return err;
}

static int do_stats_get(struct sk_buff *skb, struct genl_info *info)
{
	struct xfrmsync_net *ns = ns_of(info);
	struct sk_buff *msg;
	void *hdr;
	int i;

	msg = answer_new(info, NLMSG_DEFAULT_SIZE, &hdr);
	if (!msg)
		return -ENOMEM;
	for (i = 1; i < XFRMSYNC_A_STATS_PAD; i++) {
		if (nla_put_u64_64bit(msg, i,
				      atomic64_read(&ns->stats.value[i]),
				      XFRMSYNC_A_STATS_PAD)) {
			nlmsg_free(msg);
			return -EMSGSIZE;
		}
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

static const struct genl_ops ops[] = {
	{
		.cmd		= XFRMSYNC_CMD_GET,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= id_policy,
		.maxattr	= ARRAY_SIZE(id_policy) - 1,
		.doit		= do_get,
		.dumpit		= dump_get,
	}, {
		.cmd		= XFRMSYNC_CMD_SUBSCRIBE,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= nothing_policy,
		.maxattr	= ARRAY_SIZE(nothing_policy) - 1,
		.doit		= do_subscribe,
	}, {
		.cmd		= XFRMSYNC_CMD_UNSUBSCRIBE,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= nothing_policy,
		.maxattr	= ARRAY_SIZE(nothing_policy) - 1,
		.doit		= do_unsubscribe,
	}, {
		.cmd		= XFRMSYNC_CMD_PULL,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= pull_policy,
		.maxattr	= ARRAY_SIZE(pull_policy) - 1,
		.dumpit		= xfrmsync_stream_pull,
	}, {
		.cmd		= XFRMSYNC_CMD_RESTORE,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= batch_policy,
		.maxattr	= ARRAY_SIZE(batch_policy) - 1,
		.doit		= do_restore,
	}, {
		.cmd		= XFRMSYNC_CMD_BIND,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= batch_policy,
		.maxattr	= ARRAY_SIZE(batch_policy) - 1,
		.doit		= do_bind,
	}, {
		.cmd		= XFRMSYNC_CMD_STATUS_GET,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= nothing_policy,
		.maxattr	= ARRAY_SIZE(nothing_policy) - 1,
		.doit		= do_status_get,
	}, {
		.cmd		= XFRMSYNC_CMD_ROLE_SET,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= role_policy,
		.maxattr	= ARRAY_SIZE(role_policy) - 1,
		.doit		= do_role_set,
	}, {
		.cmd		= XFRMSYNC_CMD_STATS_GET,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= nothing_policy,
		.maxattr	= ARRAY_SIZE(nothing_policy) - 1,
		.doit		= do_stats_get,
	}, {
		.cmd		= XFRMSYNC_CMD_WATCHDOG_SET,
		.flags		= GENL_UNS_ADMIN_PERM,
		.policy		= watchdog_policy,
		.maxattr	= ARRAY_SIZE(watchdog_policy) - 1,
		.doit		= do_watchdog_set,
	},
};

static const struct genl_multicast_group groups[] = {
	{ .name = XFRMSYNC_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN, },
};

struct genl_family xfrmsync_netlink_family __ro_after_init = {
	.name		= XFRMSYNC_FAMILY_NAME,
	.version	= XFRMSYNC_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.ops		= ops,
	.n_ops		= ARRAY_SIZE(ops),
	.resv_start_op	= 1,
	.mcgrps		= groups,
	.n_mcgrps	= ARRAY_SIZE(groups),
};

/* A reader's socket is closed, however it ends. */
static int socket_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct netlink_notify *n = ptr;
	struct xfrmsync_net *ns;

	if (event != NETLINK_URELEASE || n->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	ns = xfrmsync_net(n->net);
	if (READ_ONCE(ns->reader) == n->portid)
		xfrmsync_stream_release(ns, n->portid);
	return NOTIFY_DONE;
}

static struct notifier_block socket_notifier = {
	.notifier_call = socket_event,
};

int xfrmsync_netlink_init(void)
{
	int err;

	err = netlink_register_notifier(&socket_notifier);
	if (err)
		return err;
	err = genl_register_family(&xfrmsync_netlink_family);
	if (err)
		netlink_unregister_notifier(&socket_notifier);
	return err;
}

/* Afterwards no request runs any more, and none can begin. */
void xfrmsync_netlink_exit(void)
{
	genl_unregister_family(&xfrmsync_netlink_family);
	netlink_unregister_notifier(&socket_notifier);
}
