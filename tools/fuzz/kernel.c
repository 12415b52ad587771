// SPDX-License-Identifier: GPL-2.0
/*
 * In: netlink of the daemon, at libmnl's functions for sockets (ld's --wrap).
 * Out: what the module and XFRM would answer; an abort where no kernel would be asked that.
 * Fuzzers only: a few SAs and policies, in one thread.
 *
 * Contexts are what is kept of an SA or a policy, so the encoders and decoders of both
 * directions run. The rules of restore and bind are those of kmod/restore.c, as far as an
 * answer of the daemon's depends on them.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <linux/genetlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include "../kmod/window.h"
#include "context.h"
#include "genl.h"
#include "kernel.h"
#include "scratch.h"
#include "xfrm.h"

#define SAS 24
#define POLICIES 24
#define FAMILY 31

/* libmnl's is opaque. */
struct mnl_socket {
	int bus;
	bool events, scratch;
	struct buf answers;	/* u32 length, a datagram, ... */
};

struct ksa {
	struct buf context;
	struct record rec;
	bool dirty, own;
	uint64_t accepted;	/* the highest number by its own packets */
};

struct kpolicy {
	struct buf context, id;	/* and XFRM_MSG_DELPOLICY's body of it */
	bool own;
};

static struct {
	struct ksa sa[SAS];
	struct kpolicy policy[POLICIES];
	size_t sas, policies;
	uint64_t cookie, epoch;
	uint32_t role, node, watchdog_ms;
	struct mnl_socket *listener;	/* of XFRM's events */
	unsigned int fail_in, fail_count;
	int fail_err;
} k;

static union {
	uint8_t bytes[XFRM_BUF];
	struct nlmsghdr nlh;
} out __attribute__((aligned(8)));

/* ---- answers ---- */

static void send_to(struct mnl_socket *nl, const struct nlmsghdr *nlh)
{
	uint32_t len = nlh->nlmsg_len;

	buf_put(&nl->answers, &len, sizeof(len));
	buf_put(&nl->answers, nlh, len);
}

static struct nlmsghdr *begin(const struct nlmsghdr *to, uint16_t type)
{
	struct nlmsghdr *nlh;

	memset(&out.nlh, 0, NLMSG_HDRLEN);
	nlh = mnl_nlmsg_put_header(out.bytes);
	nlh->nlmsg_type = type;
	nlh->nlmsg_seq = to ? to->nlmsg_seq : 0;
	return nlh;
}

static void acknowledge(struct mnl_socket *nl, const struct nlmsghdr *req, int err)
{
	static const char why[] = "the fuzzer's kernel says no";
	struct nlmsghdr *nlh = begin(req, NLMSG_ERROR);
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));

	e->error = err;
	e->msg = *req;
	if (err) {
		nlh->nlmsg_flags = NLM_F_ACK_TLVS | NLM_F_CAPPED;
		mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, why);
	}
	send_to(nl, nlh);
}

static void finish_dump(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	struct nlmsghdr *nlh = begin(req, NLMSG_DONE);

	*(int *)mnl_nlmsg_put_extra_header(nlh, sizeof(int)) = 0;
	send_to(nl, nlh);
}

/* ---- what there is ---- */

static struct ksa *find_sa(const struct sa_id *id)
{
	struct sa_id other;
	size_t i;

	/* As XFRM: the newest one whose mark takes in the other. */
	for (i = k.sas; i--; ) {
		other = k.sa[i].rec.id;
		if ((id->mark & id->mark_mask & other.mark_mask) != other.mark)
			continue;
		other.mark = id->mark;
		other.mark_mask = id->mark_mask;
		if (sa_id_equal(&other, id))
			return &k.sa[i];
	}
	return NULL;
}

/* The module's: that one, and no other. */
static struct ksa *find_exact(const struct sa_id *id)
{
	struct ksa *sa = find_sa(id);

	return sa && sa_id_equal(&sa->rec.id, id) ? sa : NULL;
}

static void drop_sa(struct ksa *sa)
{
	buf_free(&sa->context);
	*sa = k.sa[--k.sas];
	memset(&k.sa[k.sas], 0, sizeof(k.sa[0]));
}

static void drop_policy(struct kpolicy *p)
{
	buf_free(&p->context);
	buf_free(&p->id);
	*p = k.policy[--k.policies];
	memset(&k.policy[k.policies], 0, sizeof(k.policy[0]));
}

/* ---- XFRM ---- */

static void tell_deleted(const struct ksa *sa)
{
	struct xfrm_mark mark = { .v = sa->rec.id.mark, .m = sa->rec.id.mark_mask };
	struct nlmsghdr *nlh = begin(NULL, XFRM_MSG_DELSA);
	struct xfrm_usersa_id *id = mnl_nlmsg_put_extra_header(nlh, sizeof(*id));

	if (!k.listener)
		return;
	memcpy(&id->daddr, sa->rec.id.dst, 16);
	id->spi = sa->rec.id.spi;
	id->family = sa->rec.id.family;
	id->proto = sa->rec.id.proto;
	if (mark.m)
		mnl_attr_put(nlh, XFRMA_MARK, sizeof(mark), &mark);
	send_to(k.listener, nlh);
}

/* What it is born with; false: XFRM would not take it. */
static bool read_replay(const struct nlmsghdr *nlh, struct record *r)
{
	const struct xfrm_replay_state_esn *esn;
	const struct xfrm_replay_state *legacy;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct xfrm_usersa_info)) {
		esn = mnl_attr_get_payload(a);
		legacy = mnl_attr_get_payload(a);
		if (mnl_attr_get_type(a) == XFRMA_REPLAY_VAL) {
			assert(mnl_attr_get_payload_len(a) == sizeof(*legacy));
			r->oseq = legacy->oseq;
			r->seq = legacy->seq;
			r->bmp[0] = legacy->bitmap;
		}
		if (mnl_attr_get_type(a) != XFRMA_REPLAY_ESN_VAL)
			continue;
		assert(mnl_attr_get_payload_len(a) ==
		       sizeof(*esn) + 4 * esn->bmp_len);
		assert(esn->bmp_len <= XFRMA_REPLAY_ESN_MAX / 4 / 8);
		if (esn->replay_window > 32 * esn->bmp_len)
			return false;
		r->oseq = (uint64_t)esn->oseq_hi << 32 | esn->oseq;
		r->seq = (uint64_t)esn->seq_hi << 32 | esn->seq;
		memcpy(r->bmp, esn->bmp, 4 * esn->bmp_len);
	}
	return true;
}

static void outline(struct ksa *sa, const struct context_sa *info)
{
	struct record *r = &sa->rec;

	r->id = info->id;
	memcpy(r->src, info->src, 16);
	r->mode = info->mode;
	r->dir = info->dir;
	r->reqid = info->reqid;
	r->if_id = info->if_id;
	r->window = info->window;
	r->bmp_words = info->large ? info->bmp_words : 1;
	r->flags |= (info->esn ? XFRMSYNC_RECORD_F_ESN : 0) |
		    (info->large ? XFRMSYNC_RECORD_F_BMP : 0);
}

static int new_sa(const struct nlmsghdr *nlh, bool scratch)
{
	struct ksa sa = { .dirty = true };
	struct context_sa info;
	struct ksa *other;
	int ret;

	ret = context_from_sa(nlh, &sa.context);
	/* Without keys; or with an algorithm that nobody has. */
	if (!ret)
		ret = context_sa_info(sa.context.data, sa.context.len, &info, NULL);
	/* IPsec has no mode above BEET (4), and 2 and 3 are Mobile IPv6's. */
	if (ret || info.mode > 4 || !read_replay(nlh, &sa.rec))
		ret = -EINVAL;
	other = ret || scratch ? NULL : find_sa(&info.id);
	if (other && sa_id_equal(&other->rec.id, &info.id))
		ret = -EEXIST;
	if (!ret && !scratch && k.sas == SAS)
		ret = -ENOBUFS;
	if (ret || scratch) {
		buf_free(&sa.context);
		return ret;
	}
	outline(&sa, &info);
	sa.rec.cookie = ++k.cookie;
	if (k.role == XFRMSYNC_ROLE_STANDBY)
		sa.rec.flags |= XFRMSYNC_RECORD_F_UNTOLD | XFRMSYNC_RECORD_F_FENCED;
	k.sa[k.sas++] = sa;
	return 0;
}

static int update_sa(const struct nlmsghdr *nlh)
{
	struct buf context = {};
	struct context_sa info;
	struct ksa *sa = NULL;
	int ret;

	ret = context_from_sa(nlh, &context);
	if (!ret)
		ret = context_sa_info(context.data, context.len, &info, NULL);
	if (!ret)
		sa = find_sa(&info.id);
	if (!sa || sa->rec.flags & XFRMSYNC_RECORD_F_FENCED) {
		buf_free(&context);
		return ret ?: sa ? -EINVAL : -ESRCH;
	}
	/* Of another's keys it is another's. */
	assert(!sa->own || sa->rec.tag ||
	       context_same_keys(context.data, context.len, sa->context.data,
				 sa->context.len));
	buf_free(&context);
	sa->dirty = true;
	sa->rec.flags |= XFRMSYNC_RECORD_F_CHANGED;
	return 0;
}

static struct sa_id id_of(const struct nlmsghdr *nlh)
{
	const struct xfrm_usersa_id *p = mnl_nlmsg_get_payload(nlh);
	struct sa_id id = { .family = p->family, .proto = p->proto, .spi = p->spi };
	const struct xfrm_mark *mark;
	const struct nlattr *a;

	memcpy(id.dst, &p->daddr, id.family == AF_INET6 ? 16 : 4);
	mnl_attr_for_each(a, nlh, sizeof(*p)) {
		if (mnl_attr_get_type(a) != XFRMA_MARK)
			continue;
		mark = mnl_attr_get_payload(a);
		id.mark = mark->v;
		id.mark_mask = mark->m;
	}
	return id;
}

static int get_sa(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	struct sa_id id = id_of(req);
	struct ksa *sa = find_sa(&id);
	struct nlmsghdr *nlh;
	int ret;

	if (!sa)
		return -ESRCH;
	nlh = begin(req, XFRM_MSG_NEWSA);
	ret = context_to_sa(sa->context.data, sa->context.len, &sa->rec, nlh,
			    XFRM_BUF, NULL);
	assert(!ret || ret == -ENODEV);
	if (ret)
		return -ESRCH;
	send_to(nl, nlh);
	return 1;
}

static int delete_sa(const struct nlmsghdr *req)
{
	struct sa_id id = id_of(req);
	struct ksa *sa = find_sa(&id);

	if (!sa)
		return -ESRCH;
	/* Nobody else's. */
	assert(!sa->own || sa->rec.tag);
	tell_deleted(sa);
	drop_sa(sa);
	return 0;
}

/* The name of a policy, as XFRM_MSG_DELPOLICY has it. */
static void policy_id(const struct buf *context, struct buf *id)
{
	struct nlmsghdr *nlh = begin(NULL, XFRM_MSG_DELPOLICY);
	int ret = context_to_policy_id(context->data, context->len, nlh,
				       XFRM_BUF, NULL);

	assert(!ret || ret == -ENODEV);
	buf_put(id, mnl_nlmsg_get_payload(nlh), mnl_nlmsg_get_payload_len(nlh));
}

static struct kpolicy *find_policy(const void *id, size_t len)
{
	size_t i;

	for (i = 0; i < k.policies; i++) {
		if (k.policy[i].id.len == len &&
		    !memcmp(k.policy[i].id.data, id, len))
			return &k.policy[i];
	}
	return NULL;
}

static int put_policy(const struct nlmsghdr *nlh, bool own)
{
	struct kpolicy p = { .own = own }, *old;
	int ret;

	ret = context_from_policy(nlh, &p.context);
	if (ret) {
		buf_free(&p.context);
		return -EINVAL;
	}
	policy_id(&p.context, &p.id);
	old = find_policy(p.id.data, p.id.len);
	if (nlh->nlmsg_type == XFRM_MSG_UPDPOLICY && old) {
		assert(!old->own);
		drop_policy(old);
		old = NULL;
	}
	if (old || k.policies == POLICIES) {
		buf_free(&p.context);
		buf_free(&p.id);
		return old ? -EEXIST : -ENOBUFS;
	}
	k.policy[k.policies++] = p;
	return 0;
}

static int tell_policy(struct mnl_socket *nl, const struct nlmsghdr *req,
		       const struct kpolicy *p)
{
	struct nlmsghdr *nlh;
	int ret;

	if (!p)
		return -ENOENT;
	nlh = begin(req, XFRM_MSG_NEWPOLICY);
	ret = context_to_policy(p->context.data, p->context.len, nlh, XFRM_BUF,
				NULL);
	assert(!ret || ret == -ENODEV);
	if (ret)
		return -ENOENT;
	send_to(nl, nlh);
	return 1;
}

static int delete_policy(const struct nlmsghdr *req)
{
	struct kpolicy *p = find_policy(mnl_nlmsg_get_payload(req),
					mnl_nlmsg_get_payload_len(req));

	if (!p)
		return -ENOENT;
	assert(!p->own);
	drop_policy(p);
	return 0;
}

static int expire_sa(const struct nlmsghdr *req)
{
	const struct xfrm_user_expire *e = mnl_nlmsg_get_payload(req);

	assert(mnl_nlmsg_get_payload_len(req) >= sizeof(*e));
	return k.role == XFRMSYNC_ROLE_STANDBY ? -EINVAL : 0;
}

/* Answers; 1: there was one instead of an acknowledgement. */
static int take_xfrm(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	size_t i;

	switch (req->nlmsg_type) {
	case XFRM_MSG_NEWSA:
		return new_sa(req, nl->scratch);
	case XFRM_MSG_UPDSA:
		return update_sa(req);
	case XFRM_MSG_GETSA:
		assert(!(req->nlmsg_flags & NLM_F_DUMP));
		return nl->scratch ? -ESRCH : get_sa(nl, req);
	case XFRM_MSG_DELSA:
		return nl->scratch ? 0 : delete_sa(req);
	case XFRM_MSG_EXPIRE:
		return expire_sa(req);
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		return put_policy(req, false);
	case XFRM_MSG_DELPOLICY:
		return delete_policy(req);
	case XFRM_MSG_GETPOLICY:
		if (!(req->nlmsg_flags & NLM_F_DUMP))
			return tell_policy(nl, req, find_policy(
				mnl_nlmsg_get_payload(req),
				mnl_nlmsg_get_payload_len(req)));
		for (i = 0; i < k.policies; i++)
			tell_policy(nl, req, &k.policy[i]);
		finish_dump(nl, req);
		return 1;
	}
	abort();
}

/* ---- the module ---- */

static struct nlmsghdr *begin_genl(const struct nlmsghdr *req, uint8_t cmd)
{
	struct nlmsghdr *nlh = begin(req, FAMILY);
	struct genlmsghdr *genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));

	genl->cmd = cmd;
	genl->version = XFRMSYNC_VERSION;
	return nlh;
}

static void tell_record(struct mnl_socket *nl, const struct nlmsghdr *req,
			const struct record *r)
{
	struct nlmsghdr *nlh = begin_genl(req, XFRMSYNC_CMD_GET);
	size_t addr = r->id.family == AF_INET6 ? 16 : 4;

	assert(!record_put(nlh, XFRM_BUF, r));
	mnl_attr_put(nlh, XFRMSYNC_A_RECORD_SRC, addr, r->src);
	mnl_attr_put_u8(nlh, XFRMSYNC_A_RECORD_MODE, r->mode);
	mnl_attr_put_u8(nlh, XFRMSYNC_A_RECORD_DIR, r->dir);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_RECORD_IF_ID, r->if_id);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_RECORD_REQID, r->reqid);
	send_to(nl, nlh);
}

/* All of them in one message, as they are asked for. */
static void read_records(struct mnl_socket *nl, const struct nlmsghdr *req,
			 bool dirty)
{
	const struct nlattr *wanted = mnl_nlmsg_get_payload_offset(req, sizeof(struct genlmsghdr));
	struct nlmsghdr *nlh = begin_genl(req, XFRMSYNC_CMD_GET);
	struct nlattr *a = mnl_attr_nest_start(nlh, XFRMSYNC_A_RECORD_PLAIN);
	uint8_t *p = mnl_attr_get_payload(a);
	const uint8_t *end = (uint8_t *)nlh + XFRM_BUF;
	struct ksa *sa;

	assert(mnl_nlmsg_get_payload_len(req) == sizeof(struct genlmsghdr) + NLA_HDRLEN &&
	       mnl_attr_get_type(wanted) == XFRMSYNC_A_RECORD_PLAIN);
	for (sa = k.sa; sa < k.sa + k.sas; sa++) {
		if (dirty && !sa->dirty)
			continue;
		p = record_put_plain_answer(p, end, &sa->rec);
		assert(p);
		if (dirty)
			sa->rec.flags &= ~XFRMSYNC_RECORD_F_CHANGED;
		sa->dirty &= !dirty;
	}
	a->nla_type = XFRMSYNC_A_RECORD_PLAIN;
	nlh->nlmsg_len = p - (uint8_t *)nlh;
	mnl_attr_nest_end(nlh, a);
	if (mnl_attr_get_payload_len(a))
		send_to(nl, nlh);
	finish_dump(nl, req);
}

static int get_record(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	struct record r;
	struct ksa *sa;

	/* What is refused may be of any family. */
	if (record_parse(mnl_nlmsg_get_payload_offset(req, sizeof(struct genlmsghdr)),
			 mnl_nlmsg_get_payload_len(req) - sizeof(struct genlmsghdr),
			 &r))
		return -EINVAL;
	sa = find_exact(&r.id);
	if (!sa)
		return -ESRCH;
	tell_record(nl, req, &sa->rec);
	return 0;
}

static bool counts_that_far(const struct record *r, const struct record *n)
{
	return r->flags & XFRMSYNC_RECORD_F_ESN ||
	       (n->oseq <= UINT32_MAX && n->seq <= UINT32_MAX);
}

/* kmod/restore.c's reasons; expect: NULL, or the number that has to stand there. */
static uint32_t why_not(const struct ksa *sa, const struct record *n,
			const uint64_t *expect)
{
	const struct record *r = &sa->rec;
	bool bind = n->restore_flags & XFRMSYNC_RESTORE_F_BIND;
	bool merge = n->restore_flags & XFRMSYNC_RESTORE_F_MERGE;

	if (r->tag ? r->tag != n->tag : n->tag && !bind)
		return XFRMSYNC_REASON_TAG;
	if (n->cookie && n->cookie != r->cookie)
		return XFRMSYNC_REASON_COOKIE;
	if (n->bmp_words && (n->window != r->window || n->bmp_words != r->bmp_words))
		return XFRMSYNC_REASON_WINDOW;
	if (!counts_that_far(r, n))
		return XFRMSYNC_REASON_RANGE;
	if (merge)
		return XFRMSYNC_REASON_OK;
	if (expect && *expect != r->oseq)
		return XFRMSYNC_REASON_MOVED;
	if (n->oseq < r->oseq && !(expect && r->flags & XFRMSYNC_RECORD_F_RESTORED))
		return XFRMSYNC_REASON_BACKWARDS_OSEQ;
	if (n->restore_flags & XFRMSYNC_RESTORE_F_WINDOW_EXACT &&
	    n->seq < r->seq && !(r->flags & XFRMSYNC_RECORD_F_WINDOW_RESTORED))
		return XFRMSYNC_REASON_BACKWARDS_SEQ;
	return XFRMSYNC_REASON_OK;
}

static void merge_window(struct record *r, const struct record *n)
{
	struct record other = *n;
	struct xfrmsync_window w = {
		.seq = r->seq, .size = r->window, .bmp = r->bmp,
		.ring = r->flags & XFRMSYNC_RECORD_F_BMP,
	};
	struct xfrmsync_window o = w;

	if (!r->window || !n->bmp_words)
		return;
	o.seq = other.seq;
	o.bmp = other.bmp;
	xfrmsync_window_merge(&w, &o);
	r->seq = w.seq;
}

static void write_record(struct ksa *sa, const struct record *n)
{
	struct record *r = &sa->rec;
	bool exact = n->restore_flags & XFRMSYNC_RESTORE_F_WINDOW_EXACT;

	if (n->restore_flags & XFRMSYNC_RESTORE_F_MERGE) {
		merge_window(r, n);
		r->oseq = n->oseq > r->oseq ? n->oseq : r->oseq;
		return;
	}
	if (!(r->flags & XFRMSYNC_RECORD_F_RESTORED)) {
		r->has_sent = true;
		r->sent = r->oseq;
	}
	if (n->has_sent && n->sent > r->sent)
		r->sent = n->sent;
	r->oseq = n->oseq;
	if (exact && n->bmp_words) {
		r->seq = n->seq;
		memcpy(r->bmp, n->bmp, sizeof(r->bmp));
	} else {
		merge_window(r, n);
	}
	r->tag = n->tag;
	r->lease_end = n->lease_end;
	if (n->given_end > r->given_end)
		r->given_end = n->given_end;
	r->flags &= ~(XFRMSYNC_RECORD_F_UNTOLD | XFRMSYNC_RECORD_F_FENCED);
	r->flags |= XFRMSYNC_RECORD_F_RESTORED | XFRMSYNC_RECORD_F_SHARED |
		    (n->restore_flags & XFRMSYNC_RESTORE_F_FENCED ?
		     XFRMSYNC_RECORD_F_FENCED : 0);
	if (!sa->accepted)
		r->flags |= XFRMSYNC_RECORD_F_WINDOW_RESTORED;
}

static uint32_t bind_record(struct ksa *sa, const struct record *n, bool guard)
{
	const uint32_t theirs = XFRMSYNC_RECORD_F_FENCED |
				XFRMSYNC_RECORD_F_UNMANAGED;
	struct record *r = &sa->rec;

	if (n->cookie && n->cookie != r->cookie)
		return XFRMSYNC_REASON_COOKIE;
	if (r->tag && n->tag && r->tag != n->tag)
		return XFRMSYNC_REASON_TAG;
	if (n->lease_end && (n->lease_end < r->lease_end || n->lease_end < r->oseq))
		return XFRMSYNC_REASON_LEASE;
	if (n->given_end && n->given_end < r->given_end)
		return XFRMSYNC_REASON_BACKWARDS_GIVEN;
	r->tag = n->tag ? n->tag : r->tag;
	r->lease_end = n->lease_end ? n->lease_end : r->lease_end;
	r->given_end = n->given_end ? n->given_end : r->given_end;
	r->guard_end = guard ? n->guard_end : r->guard_end;
	r->flags = (r->flags & ~theirs) | (n->flags & theirs) |
		   (n->flags & XFRMSYNC_RECORD_F_SHARED);
	if (n->restore_flags & XFRMSYNC_RESTORE_F_GO_ON)
		r->flags |= XFRMSYNC_RECORD_F_GOES_ON;
	return XFRMSYNC_REASON_OK;
}

static uint32_t take_one(const struct record *n, bool guard,
			 const uint64_t *expect, bool restore)
{
	struct ksa *sa = find_exact(&n->id);
	uint32_t why;

	if (!sa)
		return XFRMSYNC_REASON_NO_SA;
	if (!restore)
		return bind_record(sa, n, guard);
	why = why_not(sa, n, expect);
	if (!why)
		write_record(sa, n);
	return why;
}

/* Those are for merges alone. */
static uint32_t take_record(const struct nlattr *nest, bool restore)
{
	struct record n;

	assert(!record_parse(mnl_attr_get_payload(nest),
			     mnl_attr_get_payload_len(nest), &n));
	assert(restore && n.restore_flags & XFRMSYNC_RESTORE_F_MERGE);
	return take_one(&n, false, NULL, restore);
}

static void tell_result(struct nlmsghdr *nlh, uint32_t index, uint32_t why)
{
	struct nlattr *nest;

	assert(index < XFRMSYNC_MAX_BATCH);
	if (!why)
		return;
	nest = mnl_attr_nest_start(nlh, XFRMSYNC_A_BATCH_RESULT);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_RESULT_INDEX, index);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_RESULT_REASON, why);
	mnl_attr_nest_end(nlh, nest);
}

static void take_plain(struct nlmsghdr *nlh, const struct nlattr *attr, bool restore)
{
	const uint8_t *p = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr), n;
	uint32_t index = 0;
	struct record r;
	uint16_t has;

	for (; left; p += n, left -= n) {
		memcpy(&has, p, sizeof(has));
		n = record_parse_plain(p, left, &r);
		assert(n && !(r.restore_flags & XFRMSYNC_RESTORE_F_MERGE));
		tell_result(nlh, index++,
			    take_one(&r, has & XFRMSYNC_PLAIN_F_GUARD_END,
				     r.has_expect ? &r.expect_oseq : NULL, restore));
	}
	assert(index);
}

static int take_batch(struct mnl_socket *nl, const struct nlmsghdr *req,
		      bool restore)
{
	struct nlmsghdr *nlh = begin_genl(req, XFRMSYNC_CMD_RESTORE);
	uint32_t index = 0, node = k.node;
	const struct nlattr *a;
	uint64_t epoch = k.epoch;

	mnl_attr_for_each(a, req, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == XFRMSYNC_A_BATCH_EPOCH)
			epoch = mnl_attr_get_u64(a);
		if (mnl_attr_get_type(a) == XFRMSYNC_A_BATCH_NODE)
			node = mnl_attr_get_u32(a);
	}
	if (restore && (epoch < k.epoch || (epoch == k.epoch && node < k.node)))
		return -ESTALE;
	mnl_attr_for_each(a, req, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == XFRMSYNC_A_BATCH_PLAIN)
			take_plain(nlh, a, restore);
		if (mnl_attr_get_type(a) == XFRMSYNC_A_BATCH_RECORD)
			tell_result(nlh, index++, take_record(a, restore));
	}
	send_to(nl, nlh);
	return 0;
}

static void tell_status(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	struct nlmsghdr *nlh = begin_genl(req, XFRMSYNC_CMD_STATUS_GET);
	uint32_t untold = 0;
	size_t i;

	for (i = 0; i < k.sas; i++)
		untold += !!(k.sa[i].rec.flags & XFRMSYNC_RECORD_F_UNTOLD);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_VERSION, XFRMSYNC_VERSION);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_ROLE, k.role);
	mnl_attr_put_u64(nlh, XFRMSYNC_A_STATUS_EPOCH, k.epoch);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_NODE, k.node);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_CAPTURE, XFRMSYNC_CAPTURE_FTRACE);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_SAS, k.sas);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_WATCHDOG_MS, k.watchdog_ms);
	mnl_attr_put_u64(nlh, XFRMSYNC_A_STATUS_LIFE, 1);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_UNTOLD, untold);
	send_to(nl, nlh);
}

static int set_role(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	uint32_t role = k.role, node = k.node;
	const struct nlattr *a;
	uint64_t epoch = k.epoch;
	size_t i;

	mnl_attr_for_each(a, req, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == XFRMSYNC_A_STATUS_ROLE)
			role = mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) == XFRMSYNC_A_STATUS_EPOCH)
			epoch = mnl_attr_get_u64(a);
		if (mnl_attr_get_type(a) == XFRMSYNC_A_STATUS_NODE)
			node = mnl_attr_get_u32(a);
	}
	if (epoch < k.epoch || (epoch == k.epoch && node < k.node))
		return -ESTALE;
	k.role = role;
	k.epoch = epoch;
	k.node = node;
	/* What an active has is the cluster's from here on. */
	for (i = 0; role == XFRMSYNC_ROLE_ACTIVE && i < k.sas; i++)
		k.sa[i].own = false;
	for (i = 0; role == XFRMSYNC_ROLE_ACTIVE && i < k.policies; i++)
		k.policy[i].own = false;
	tell_status(nl, req);
	return 0;
}

static int subscribe(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	struct nlmsghdr *nlh = begin_genl(req, XFRMSYNC_CMD_SUBSCRIBE);
	size_t i;

	for (i = 0; i < k.sas; i++)
		k.sa[i].dirty = true;
	mnl_attr_put_u32(nlh, XFRMSYNC_A_READER_DIRTY, k.sas);
	send_to(nl, nlh);
	return 0;
}

static int set_watchdog(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, req, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == XFRMSYNC_A_STATUS_WATCHDOG_MS)
			k.watchdog_ms = mnl_attr_get_u32(a);
	tell_status(nl, req);
	return 0;
}

static int resolve(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	struct nlmsghdr *nlh = begin(req, GENL_ID_CTRL);

	mnl_nlmsg_put_extra_header(nlh, sizeof(struct genlmsghdr));
	mnl_attr_put_u16(nlh, CTRL_ATTR_FAMILY_ID, FAMILY);
	send_to(nl, nlh);
	return 0;
}

static int take_genl(struct mnl_socket *nl, const struct nlmsghdr *req)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(req);

	if (req->nlmsg_type == GENL_ID_CTRL)
		return resolve(nl, req);
	assert(req->nlmsg_type == FAMILY);
	switch (genl->cmd) {
	case XFRMSYNC_CMD_GET:
		if (!(req->nlmsg_flags & NLM_F_DUMP))
			return get_record(nl, req);
		read_records(nl, req, false);
		return 1;
	case XFRMSYNC_CMD_PULL:
		read_records(nl, req, true);
		return 1;
	case XFRMSYNC_CMD_SUBSCRIBE:
		return subscribe(nl, req);
	case XFRMSYNC_CMD_UNSUBSCRIBE:
		return 0;
	case XFRMSYNC_CMD_RESTORE:
		return take_batch(nl, req, true);
	case XFRMSYNC_CMD_BIND:
		return take_batch(nl, req, false);
	case XFRMSYNC_CMD_STATUS_GET:
		tell_status(nl, req);
		return 0;
	case XFRMSYNC_CMD_ROLE_SET:
		return set_role(nl, req);
	case XFRMSYNC_CMD_WATCHDOG_SET:
		return set_watchdog(nl, req);
	case XFRMSYNC_CMD_STATS_GET:
		return 0;
	}
	abort();
}

/* ---- the seam ---- */

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags);
int __wrap_mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid);
int __wrap_mnl_socket_setsockopt(const struct mnl_socket *nl, int type, void *buf,
				 socklen_t len);
int __wrap_mnl_socket_close(struct mnl_socket *nl);
int __wrap_mnl_socket_get_fd(const struct mnl_socket *nl);
ssize_t __wrap_mnl_socket_sendto(struct mnl_socket *nl, const void *req, size_t len);
ssize_t __wrap_mnl_socket_recvfrom(struct mnl_socket *nl, void *buf, size_t size);
int __wrap_scratch_open(struct xfrm *x);

struct mnl_socket *__wrap_mnl_socket_open2(int bus, int flags)
{
	struct mnl_socket *nl;

	(void)flags;
	errno = EPROTONOSUPPORT;
	if (bus != NETLINK_XFRM && bus != NETLINK_GENERIC)
		return NULL;
	nl = calloc(1, sizeof(*nl));
	assert(nl);
	nl->bus = bus;
	return nl;
}

int __wrap_mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid)
{
	(void)pid;
	nl->events = groups;
	if (groups)
		k.listener = nl;
	return 0;
}

int __wrap_mnl_socket_setsockopt(const struct mnl_socket *nl, int type, void *buf,
				 socklen_t len)
{
	(void)nl;
	(void)type;
	(void)buf;
	(void)len;
	return 0;
}

int __wrap_mnl_socket_close(struct mnl_socket *nl)
{
	if (nl == k.listener)
		k.listener = NULL;
	buf_free(&nl->answers);
	free(nl);
	return 0;
}

/* Nothing ever comes out of it: the harness calls what is waited for. */
int __wrap_mnl_socket_get_fd(const struct mnl_socket *nl)
{
	static int fd = -1;

	(void)nl;
	if (fd < 0)
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd;
}

/* All that it holds lies within it. */
static void check_message(const struct nlmsghdr *nlh, size_t len, size_t header)
{
	const struct nlattr *a;
	const char *end;

	assert(nlh->nlmsg_len == len && len >= NLMSG_HDRLEN + header);
	assert(nlh->nlmsg_flags & NLM_F_REQUEST);
	end = (const char *)nlh + len;
	for (a = mnl_nlmsg_get_payload_offset(nlh, header);
	     mnl_attr_ok(a, end - (const char *)a); a = mnl_attr_next(a))
		;
	assert((const char *)a == end);
}

static size_t xfrm_header(uint16_t type)
{
	switch (type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
		return sizeof(struct xfrm_usersa_info);
	case XFRM_MSG_DELSA:
	case XFRM_MSG_GETSA:
		return sizeof(struct xfrm_usersa_id);
	case XFRM_MSG_EXPIRE:
		return sizeof(struct xfrm_user_expire);
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		return sizeof(struct xfrm_userpolicy_info);
	default:
		return sizeof(struct xfrm_userpolicy_id);
	}
}

static void take_message(struct mnl_socket *nl, const struct nlmsghdr *nlh,
			 size_t len)
{
	bool is_xfrm = nl->bus == NETLINK_XFRM;
	bool dump = nlh->nlmsg_flags & NLM_F_DUMP &&
		    (nlh->nlmsg_type == FAMILY || nlh->nlmsg_type == XFRM_MSG_GETPOLICY);
	int ret;

	if (!is_xfrm || !dump)
		check_message(nlh, len, is_xfrm ? xfrm_header(nlh->nlmsg_type) :
						  sizeof(struct genlmsghdr));
	if (k.fail_count && !k.fail_in) {
		k.fail_count--;
		acknowledge(nl, nlh, -k.fail_err);
		return;
	}
	if (k.fail_in)
		k.fail_in--;
	ret = is_xfrm ? take_xfrm(nl, nlh) : take_genl(nl, nlh);
	if (ret < 0 || (!ret && nlh->nlmsg_flags & NLM_F_ACK))
		acknowledge(nl, nlh, ret);
}

ssize_t __wrap_mnl_socket_sendto(struct mnl_socket *nl, const void *req, size_t len)
{
	static union {
		uint8_t bytes[XFRM_BUF];
		struct nlmsghdr nlh;
	} one __attribute__((aligned(8)));
	const struct nlmsghdr *nlh = req;
	size_t left = len, step;

	/* What nobody asked any more is gone. */
	buf_clear(&nl->answers);
	for (; left; nlh = (const void *)((const char *)nlh + step)) {
		assert(left >= NLMSG_HDRLEN && nlh->nlmsg_len <= left);
		step = NLMSG_ALIGN(nlh->nlmsg_len);
		memcpy(one.bytes, nlh, nlh->nlmsg_len);
		take_message(nl, &one.nlh, nlh->nlmsg_len);
		left -= step < left ? step : left;
	}
	return len;
}

ssize_t __wrap_mnl_socket_recvfrom(struct mnl_socket *nl, void *buf, size_t size)
{
	uint32_t len;

	if (!nl->answers.len) {
		/* A request has an answer. */
		assert(nl->events);
		errno = EAGAIN;
		return -1;
	}
	memcpy(&len, nl->answers.data, sizeof(len));
	assert(len <= size);
	memcpy(buf, nl->answers.data + sizeof(len), len);
	buf_take(&nl->answers, sizeof(len) + len);
	return len;
}

int __wrap_scratch_open(struct xfrm *x)
{
	memset(x, 0, sizeof(*x));
	x->nl = __wrap_mnl_socket_open2(NETLINK_XFRM, 0);
	x->nl->scratch = true;
	x->buf = malloc(XFRM_BUF);
	assert(x->buf);
	return 0;
}

/* ---- what happens to it ---- */

void kernel_start(void)
{
	k.role = XFRMSYNC_ROLE_NONE;
}

void kernel_end(void)
{
	while (k.sas)
		drop_sa(k.sa);
	while (k.policies)
		drop_policy(k.policy);
	memset(&k, 0, sizeof(k));
}

static struct nlmsghdr *own_sa(uint8_t *msg, unsigned int which)
{
	static const char key[] = "nobody else has this";

	uint8_t bytes[sizeof(struct xfrm_algo_aead) + 20];
	struct xfrm_algo_aead alg = { "rfc4106(gcm(aes))", 160, 128 };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(msg);
	struct xfrm_usersa_info *sa = mnl_nlmsg_put_extra_header(nlh, sizeof(*sa));

	nlh->nlmsg_type = XFRM_MSG_NEWSA;
	sa->family = AF_INET;
	sa->id.proto = IPPROTO_ESP;
	sa->id.spi = htonl(0xcafe0001 + which / 2);
	sa->id.daddr.a4 = htonl(which % 2 ? 0xc0000201 : 0xc0000202);
	sa->saddr.a4 = htonl(which % 2 ? 0xc0000202 : 0xc0000201);
	sa->mode = XFRM_MODE_TUNNEL;
	sa->reqid = 1;
	sa->replay_window = 32;
	memset(&sa->lft, 255, 4 * sizeof(uint64_t));
	memcpy(bytes, &alg, sizeof(alg));
	memcpy(bytes + sizeof(alg), key, 20);
	mnl_attr_put(nlh, XFRMA_ALG_AEAD, sizeof(bytes), bytes);
	return nlh;
}

static struct nlmsghdr *own_policy(uint8_t *msg, unsigned int which)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(msg);
	struct xfrm_userpolicy_info *pol =
		mnl_nlmsg_put_extra_header(nlh, sizeof(*pol));
	struct xfrm_user_tmpl t = {
		.id = { .proto = IPPROTO_ESP, .daddr.a4 = htonl(0xc0000202) },
		.saddr.a4 = htonl(0xc0000201), .family = AF_INET,
		.mode = XFRM_MODE_TUNNEL, .reqid = 1,
		.aalgos = UINT32_MAX, .ealgos = UINT32_MAX, .calgos = UINT32_MAX,
	};

	nlh->nlmsg_type = XFRM_MSG_NEWPOLICY;
	pol->sel.family = AF_INET;
	pol->sel.daddr.a4 = htonl(0x0a020000);
	pol->sel.prefixlen_d = 16;
	pol->dir = which % 3;
	memset(&pol->lft, 255, 4 * sizeof(uint64_t));
	mnl_attr_put(nlh, XFRMA_TMPL, sizeof(t), &t);
	return nlh;
}

void kernel_add_own(unsigned int which)
{
	static uint8_t msg[4096] __attribute__((aligned(8)));

	const struct nlmsghdr *nlh;
	bool own = k.role != XFRMSYNC_ROLE_ACTIVE;

	put_policy(own_policy(msg, which), own);
	nlh = own_sa(msg, which);
	if (new_sa(nlh, false))
		return;
	k.sa[k.sas - 1].own = own;
	if (k.listener)
		send_to(k.listener, nlh);
}

void kernel_delete(unsigned int which)
{
	struct ksa *sa;

	if (!k.sas)
		return;
	sa = &k.sa[which % k.sas];
	tell_deleted(sa);
	drop_sa(sa);
}

void kernel_traffic(unsigned int which, uint32_t packets)
{
	struct xfrmsync_window w;
	struct record *r;
	struct ksa *sa;

	if (!k.sas)
		return;
	sa = &k.sa[which % k.sas];
	r = &sa->rec;
	if (r->flags & XFRMSYNC_RECORD_F_FENCED || k.role != XFRMSYNC_ROLE_ACTIVE)
		return;
	if (!(r->flags & XFRMSYNC_RECORD_F_ESN) && r->seq + packets > UINT32_MAX)
		return;
	if (!r->lease_end || r->oseq + packets <= r->lease_end) {
		r->oseq += packets;
		r->has_sent = false;
		r->flags &= ~XFRMSYNC_RECORD_F_RESTORED;
	}
	w = (struct xfrmsync_window){
		.seq = r->seq, .size = r->window, .bmp = r->bmp,
		.ring = r->flags & XFRMSYNC_RECORD_F_BMP,
	};
	if (r->window && r->seq + packets > r->seq) {
		xfrmsync_window_mark(&w, r->seq + packets);
		r->seq = w.seq;
		sa->accepted = r->seq;
		r->flags &= ~XFRMSYNC_RECORD_F_WINDOW_RESTORED;
	}
	sa->dirty = true;
}

void kernel_fails(unsigned int when, unsigned int count, int err)
{
	k.fail_in = when;
	k.fail_count = count;
	k.fail_err = err;
}

void kernel_fence(void)
{
	if (k.role == XFRMSYNC_ROLE_ACTIVE)
		k.role = XFRMSYNC_ROLE_STANDBY;
}

