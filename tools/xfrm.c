// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts to install; questions about SAs and policies.
 * Out: XFRM netlink, one call an operation; contexts with their keys.
 * Blocking but for events; one socket each; buffers that held keys are wiped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <sodium.h>

#include "context.h"
#include "privops.h"
#include "xfrm.h"

#define RCVBUF (16 * 1024 * 1024)
#define EVENT_ROUNDS 256	/* messages, or bundles of them, in one call */
#define BATCH_BYTES (48 * 1024)	/* a request with more is full */

const char XFRM_HIDDEN[] = "another SA, whose mark takes in its own, hides it";

static int prepare(struct mnl_socket *nl, unsigned int groups)
{
	int one = 1;

	if (mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID))
		return -errno;
	mnl_socket_setsockopt(nl, NETLINK_EXT_ACK, &one, sizeof(one));
	/* What is refused does not come back, and its keys with it. */
	mnl_socket_setsockopt(nl, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

static struct mnl_socket *socket_open(unsigned int groups)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC);

	if (nl && prepare(nl, groups)) {
		mnl_socket_close(nl);
		return NULL;
	}
	/* Events are lost sooner without, which is noticed. */
	if (nl)
		privops_rcvbuf(nl, RCVBUF);
	return nl;
}

/*
 * What it queued itself it need not hear of: of a full sync that would be two events an SA,
 * and more than a receive buffer holds. Where that fails they are heard, and mean nothing.
 */
static void pass_over_own(struct xfrm *x)
{
	struct sockaddr_nl self = {};
	socklen_t len = sizeof(self);
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(XFRM_MSG_NEWSA), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(XFRM_MSG_NEWPOLICY), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog filter = {
		.len = sizeof(program) / sizeof(program[0]), .filter = program,
	};

	if (getsockname(mnl_socket_get_fd(x->nl), (void *)&self, &len) ||
	    self.nl_family != AF_NETLINK)
		return;
	program[1].k = htonl(self.nl_pid);
	if (!setsockopt(mnl_socket_get_fd(x->events), SOL_SOCKET,
			SO_ATTACH_FILTER, &filter, sizeof(filter)))
		x->port = self.nl_pid;
}

int xfrm_open(struct xfrm *x)
{
	int fd, ret;

	memset(x, 0, sizeof(*x));
	x->buf = malloc(XFRM_BUF);
	x->nl = socket_open(0);
	x->events = socket_open(XFRMGRP_SA | XFRMGRP_POLICY | XFRMGRP_EXPIRE);
	if (!x->buf || !x->nl || !x->events) {
		ret = errno ? -errno : -ENOMEM;
		xfrm_close(x);
		return ret;
	}
	pass_over_own(x);
	fd = mnl_socket_get_fd(x->events);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return 0;
}

int xfrm_open_fd(struct xfrm *x, int fd)
{
	int ret;

	memset(x, 0, sizeof(*x));
	x->nl = mnl_socket_fdopen(fd);
	if (!x->nl) {
		close(fd);
		return -ENOMEM;
	}
	x->buf = malloc(XFRM_BUF);
	ret = x->buf ? prepare(x->nl, 0) : -ENOMEM;
	/* By this the helper hears of its namespace: unheard of, all would be refused. That
	 * it got no larger (in a user namespace) is no such thing.
	 */
	if (!ret)
		ret = privops_rcvbuf(x->nl, RCVBUF);
	if (ret == -EPERM)
		ret = 0;
	if (ret)
		xfrm_close(x);
	return ret;
}

void xfrm_close(struct xfrm *x)
{
	if (x->nl)
		mnl_socket_close(x->nl);
	if (x->events)
		mnl_socket_close(x->events);
	if (x->buf)
		sodium_memzero(x->buf, XFRM_BUF);
	if (x->batch)
		sodium_memzero(x->batch, XFRM_BUF);
	free(x->buf);
	free(x->batch);
	memset(x, 0, sizeof(*x));
}

int xfrm_event_fd(const struct xfrm *x)
{
	return mnl_socket_get_fd(x->events);
}

static struct nlmsghdr *request(struct xfrm *x, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(x->buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++x->seq;
	return nlh;
}

static void keep_error(struct xfrm *x, const struct nlmsghdr *nlh, int err)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	size_t skip = sizeof(*e);

	snprintf(x->error, sizeof(x->error), "%s", strerror(-err));
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	mnl_attr_for_each(attr, nlh, skip) {
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
			snprintf(x->error, sizeof(x->error), "%s",
				 mnl_attr_get_str(attr));
	}
}

typedef int (*reply_cb)(const struct nlmsghdr *nlh, void *data);

/* One datagram: 1 = more to come, 0 = done, or -errno. */
static int read_reply(struct xfrm *x, size_t len, reply_cb cb, void *data)
{
	struct nlmsghdr *nlh = (void *)x->buf;
	bool interrupted = false;
	int n = len, ret;

	for (; mnl_nlmsg_ok(nlh, n); nlh = mnl_nlmsg_next(nlh, &n)) {
		if (nlh->nlmsg_seq != x->seq)
			continue;
		interrupted |= nlh->nlmsg_flags & NLM_F_DUMP_INTR;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			ret = ((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
			if (ret)
				keep_error(x, nlh, ret);
			return ret;
		}
		if (nlh->nlmsg_type == NLMSG_DONE)
			return interrupted ? -EINTR : 0;
		ret = cb ? cb(nlh, data) : 0;
		if (ret == -EOPNOTSUPP)
			snprintf(x->error, sizeof(x->error),
				 "the kernel withholds its keys");
		else if (ret < 0)
			snprintf(x->error, sizeof(x->error), "%s", strerror(-ret));
		if (ret < 0)
			return ret;
		if (!(nlh->nlmsg_flags & NLM_F_MULTI) && cb)
			return 0;
	}
	return 1;
}

static int fail(struct xfrm *x, int err)
{
	snprintf(x->error, sizeof(x->error), "%s", strerror(-err));
	return err;
}

static int talk(struct xfrm *x, struct nlmsghdr *nlh, reply_cb cb, void *data)
{
	ssize_t len;
	int ret;

	len = privops_send(x->nl, nlh, nlh->nlmsg_len);
	ret = len < 0 ? fail(x, -errno) : 0;
	sodium_memzero(x->buf, nlh->nlmsg_len);
	if (ret)
		return ret;
	do {
		len = mnl_socket_recvfrom(x->nl, x->buf, XFRM_BUF);
		if (len < 0) {
			ret = fail(x, -errno);
			break;
		}
		ret = read_reply(x, len, cb, data);
		sodium_memzero(x->buf, len);
	} while (ret > 0);
	return ret;
}

static void put_sa_id(struct nlmsghdr *nlh, const struct sa_id *id)
{
	struct xfrm_usersa_id *p = mnl_nlmsg_put_extra_header(nlh, sizeof(*p));
	struct xfrm_mark mark = { .v = id->mark, .m = id->mark_mask };

	memcpy(&p->daddr, id->dst, 16);
	p->spi = id->spi;
	p->family = id->family;
	p->proto = id->proto;
	if (mark.v || mark.m)
		mnl_attr_put(nlh, XFRMA_MARK, sizeof(mark), &mark);
}

/* Why a context did not become a message. */
static int refused(struct xfrm *x, int ret, const struct field_error *why)
{
	if (why->what)
		context_error_str(why, x->error, sizeof(x->error));
	else
		snprintf(x->error, sizeof(x->error), "%s", strerror(-ret));
	return ret;
}

static int got_sa(const struct nlmsghdr *nlh, void *data)
{
	if (nlh->nlmsg_type != XFRM_MSG_NEWSA)
		return 0;
	return context_from_sa(nlh, data);
}

int xfrm_look_up_sa(struct xfrm *x, const struct sa_id *id, struct buf *out)
{
	struct nlmsghdr *nlh = request(x, XFRM_MSG_GETSA, 0);

	put_sa_id(nlh, id);
	return talk(x, nlh, got_sa, out);
}

bool xfrm_is_named(const struct buf *found, const struct sa_id *id)
{
	struct context_sa info;
	int ret = context_sa_info(found->data, found->len, &info, NULL);

	/* An interface of its selector that is gone changes no name. */
	return (ret && ret != -ENODEV) || sa_id_equal(&info.id, id);
}

int xfrm_get_sa(struct xfrm *x, const struct sa_id *id, struct buf *out)
{
	int ret = xfrm_look_up_sa(x, id, out);

	if (ret || xfrm_is_named(out, id))
		return ret;
	buf_clear(out);
	snprintf(x->error, sizeof(x->error), "%s", XFRM_HIDDEN);
	return -EEXIST;
}

struct dump {
	xfrm_context_cb cb;
	void *data;
};

static int got_each_sa(const struct nlmsghdr *nlh, void *data)
{
	struct dump *d = data;
	struct buf b = {};
	int ret;

	ret = got_sa(nlh, &b);
	if (!ret && b.len)
		ret = d->cb(b.data, b.len, d->data);
	else if (ret == -EOPNOTSUPP)
		ret = 0;
	buf_free(&b);
	return ret;
}

int xfrm_dump_sas(struct xfrm *x, xfrm_context_cb cb, void *data)
{
	struct nlmsghdr *nlh = request(x, XFRM_MSG_GETSA, NLM_F_DUMP);
	struct dump d = { .cb = cb, .data = data };

	return talk(x, nlh, got_each_sa, &d);
}

static int got_policy(const struct nlmsghdr *nlh, void *data)
{
	struct dump *d = data;
	struct buf b = {};
	int ret;

	if (nlh->nlmsg_type != XFRM_MSG_NEWPOLICY)
		return 0;
	ret = context_from_policy(nlh, &b);
	if (!ret)
		ret = d->cb(b.data, b.len, d->data);
	else if (ret == -EOPNOTSUPP)
		ret = 0;
	buf_free(&b);
	return ret;
}

int xfrm_dump_policies(struct xfrm *x, xfrm_context_cb cb, void *data)
{
	struct nlmsghdr *nlh = request(x, XFRM_MSG_GETPOLICY, NLM_F_DUMP);
	struct dump d = { .cb = cb, .data = data };

	return talk(x, nlh, got_policy, &d);
}

int xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		const struct record *live)
{
	struct field_error why = {};
	struct nlmsghdr *nlh;
	int ret;

	nlh = request(x, XFRM_MSG_NEWSA, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	ret = context_to_sa(p, len, live, nlh, XFRM_BUF, &why);
	return ret ? refused(x, ret, &why) : talk(x, nlh, NULL, NULL);
}

int xfrm_update_sa(struct xfrm *x, const uint8_t *p, size_t len)
{
	struct field_error why = {};
	struct nlmsghdr *nlh;
	int ret;

	nlh = request(x, XFRM_MSG_UPDSA, NLM_F_ACK | NLM_F_REPLACE);
	ret = context_to_sa(p, len, NULL, nlh, XFRM_BUF, &why);
	return ret ? refused(x, ret, &why) : talk(x, nlh, NULL, NULL);
}

int xfrm_delete_sa(struct xfrm *x, const struct sa_id *id)
{
	struct nlmsghdr *nlh;
	struct buf ctx = {};
	int ret;

	/* Unseen it may be another one, which hides it. */
	ret = xfrm_get_sa(x, id, &ctx);
	buf_free(&ctx);
	if (ret)
		return ret;
	nlh = request(x, XFRM_MSG_DELSA, NLM_F_ACK);
	put_sa_id(nlh, id);
	return talk(x, nlh, NULL, NULL);
}

int xfrm_expire_sa(struct xfrm *x, const struct sa_id *id)
{
	struct xfrm_mark mark = { .v = id->mark, .m = id->mark_mask };
	struct xfrm_user_expire *e;
	struct nlmsghdr *nlh;
	struct buf ctx = {};
	int ret;

	ret = xfrm_get_sa(x, id, &ctx);
	buf_free(&ctx);
	if (ret == -EEXIST)
		return ret;
	nlh = request(x, XFRM_MSG_EXPIRE, NLM_F_ACK);
	e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));
	memcpy(&e->state.id.daddr, id->dst, 16);
	e->state.id.spi = id->spi;
	e->state.id.proto = id->proto;
	e->state.family = id->family;
	if (mark.v || mark.m)
		mnl_attr_put(nlh, XFRMA_MARK, sizeof(mark), &mark);
	return talk(x, nlh, NULL, NULL);
}

/* ---- many at once ---- */

/* NULL: it is full. It is made where its structs are aligned, not behind the one before. */
static struct nlmsghdr *queue(struct xfrm *x, uint16_t type, int *ret)
{
	if (!x->batch)
		x->batch = malloc(XFRM_BUF);
	*ret = x->batch ? -ENOSPC : -ENOMEM;
	if (!x->batch || x->n_batch == XFRM_BATCH || x->batch_len > BATCH_BYTES)
		return NULL;
	return request(x, type, NLM_F_CREATE | NLM_F_EXCL);
}

static int queued(struct xfrm *x, const struct nlmsghdr *nlh, int ret,
		  const struct field_error *why)
{
	size_t len = NLMSG_ALIGN(nlh->nlmsg_len);

	if (ret) {
		ret = refused(x, ret, why);
	} else {
		memcpy(x->batch + x->batch_len, nlh, len);
		x->batch_last = x->batch_len;
		x->batch_len += len;
		x->n_batch++;
	}
	sodium_memzero(x->buf, len);
	return ret;
}

/* What is full, a message of any size fits behind. */
#define ROOM (XFRM_BUF - BATCH_BYTES - 4096)

int xfrm_queue_sa(struct xfrm *x, const uint8_t *p, size_t len,
		  const struct record *live)
{
	struct field_error why = {};
	struct nlmsghdr *nlh;
	int ret;

	nlh = queue(x, XFRM_MSG_NEWSA, &ret);
	if (!nlh)
		return ret;
	ret = context_to_sa(p, len, live, nlh, ROOM, &why);
	return queued(x, nlh, ret, &why);
}

int xfrm_queue_policy(struct xfrm *x, const uint8_t *p, size_t len)
{
	struct field_error why = {};
	struct nlmsghdr *nlh;
	int ret;

	nlh = queue(x, XFRM_MSG_NEWPOLICY, &ret);
	if (!nlh)
		return ret;
	ret = context_to_policy(p, len, nlh, ROOM, &why);
	return queued(x, nlh, ret, &why);
}

/* What fails is answered, and the last one in any case. */
static int send_batch(struct xfrm *x)
{
	struct nlmsghdr *nlh = (void *)x->batch;
	int left = x->batch_len;
	ssize_t len;

	((struct nlmsghdr *)(x->batch + x->batch_last))->nlmsg_flags |= NLM_F_ACK;
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		nlh->nlmsg_seq = ++x->seq;
		nlh->nlmsg_pid = x->port;
	}
	len = privops_send(x->nl, x->batch, x->batch_len);
	len = len < 0 ? -errno : 0;
	sodium_memzero(x->batch, x->batch_len);
	x->batch_len = 0;
	x->n_batch = 0;
	return len;
}

/* One datagram; true: the last one is answered. */
static bool take_made(struct xfrm *x, size_t len, struct xfrm_made *made,
		      unsigned int n)
{
	const struct nlmsghdr *nlh = (void *)x->buf;
	bool done = false;
	int left = len;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		uint32_t i = nlh->nlmsg_seq - (x->seq - n + 1);

		if (i >= n || nlh->nlmsg_type != NLMSG_ERROR)
			continue;
		made[i].ret = ((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error;
		if (made[i].ret && !made[i].why) {
			keep_error(x, nlh, made[i].ret);
			made[i].why = strdup(x->error);
		}
		done |= i == n - 1;
	}
	return done;
}

unsigned int xfrm_flush(struct xfrm *x, struct xfrm_made made[XFRM_BATCH])
{
	unsigned int n = x->n_batch, i;
	bool done = false;
	ssize_t len;
	int ret;

	if (!n)
		return 0;
	memset(made, 0, n * sizeof(*made));
	ret = send_batch(x);
	while (!ret && !done) {
		len = mnl_socket_recvfrom(x->nl, x->buf, XFRM_BUF);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0) {
			ret = -errno;	/* of those that are not answered, nobody knows */
			break;
		}
		done = take_made(x, len, made, n);
		sodium_memzero(x->buf, len);
	}
	for (i = 0; ret && i < n; i++)
		made[i].ret = made[i].ret ? made[i].ret : ret;
	return n;
}

/* ---- migration ---- */

#define NO_PROTO 255		/* of no packet */

/*
 * XFRM moves what a policy uses. One of our own, which no packet matches, moves one
 * SA and no more; the SA's own policies follow when it may be used.
 */
static void put_selector(struct xfrm_selector *sel, const struct context_sa *sa)
{
	sel->family = sa->id.family;
	sel->proto = NO_PROTO;
	sel->prefixlen_d = sa->id.family == AF_INET ? 32 : 128;
	sel->prefixlen_s = sel->prefixlen_d;
	memcpy(&sel->daddr, sa->id.dst, 16);
	memcpy(&sel->saddr, sa->id.dst, 16);
}

static int add_lever(struct xfrm *x, const struct context_sa *sa)
{
	struct nlmsghdr *nlh = request(x, XFRM_MSG_NEWPOLICY, NLM_F_ACK |
				       NLM_F_CREATE | NLM_F_EXCL);
	struct xfrm_userpolicy_info *pol =
		mnl_nlmsg_put_extra_header(nlh, sizeof(*pol));
	struct xfrm_user_tmpl t = {
		.id.proto = sa->id.proto, .family = sa->id.family,
		.reqid = sa->reqid, .mode = sa->mode,
		.aalgos = UINT32_MAX, .ealgos = UINT32_MAX, .calgos = UINT32_MAX,
	};

	put_selector(&pol->sel, sa);
	pol->dir = XFRM_POLICY_FWD;
	pol->lft.soft_byte_limit = XFRM_INF;
	pol->lft.hard_byte_limit = XFRM_INF;
	pol->lft.soft_packet_limit = XFRM_INF;
	pol->lft.hard_packet_limit = XFRM_INF;
	memcpy(&t.id.daddr, sa->id.dst, 16);
	memcpy(&t.saddr, sa->src, 16);
	mnl_attr_put(nlh, XFRMA_TMPL, sizeof(t), &t);
	if (sa->if_id)
		mnl_attr_put_u32(nlh, XFRMA_IF_ID, sa->if_id);
	return talk(x, nlh, NULL, NULL);
}

static struct nlmsghdr *lever(struct xfrm *x, uint16_t type,
			      const struct context_sa *sa)
{
	struct nlmsghdr *nlh = request(x, type, NLM_F_ACK);
	struct xfrm_userpolicy_id *id =
		mnl_nlmsg_put_extra_header(nlh, sizeof(*id));

	put_selector(&id->sel, sa);
	id->dir = XFRM_POLICY_FWD;
	if (sa->if_id)
		mnl_attr_put_u32(nlh, XFRMA_IF_ID, sa->if_id);
	return nlh;
}

int xfrm_migrate_sa(struct xfrm *x, const struct context_sa *from,
		    const struct context_sa *to)
{
	struct xfrm_user_migrate m = {
		.proto = from->id.proto, .mode = from->mode,
		.reqid = from->reqid, .old_family = from->id.family,
		.new_family = to->id.family,
	};
	char error[sizeof(x->error)];
	struct nlmsghdr *nlh;
	int ret;

	memcpy(&m.old_daddr, from->id.dst, 16);
	memcpy(&m.old_saddr, from->src, 16);
	memcpy(&m.new_daddr, to->id.dst, 16);
	memcpy(&m.new_saddr, to->src, 16);
	ret = add_lever(x, from);
	if (ret)
		return ret;
	nlh = lever(x, XFRM_MSG_MIGRATE, from);
	mnl_attr_put(nlh, XFRMA_MIGRATE, sizeof(m), &m);
	ret = talk(x, nlh, NULL, NULL);
	memcpy(error, x->error, sizeof(error));
	talk(x, lever(x, XFRM_MSG_DELPOLICY, from), NULL, NULL);
	memcpy(x->error, error, sizeof(error));
	return ret;
}

int xfrm_add_policy(struct xfrm *x, const uint8_t *p, size_t len, bool replace)
{
	struct field_error why = {};
	struct nlmsghdr *nlh;
	int ret;

	nlh = request(x, replace ? XFRM_MSG_UPDPOLICY : XFRM_MSG_NEWPOLICY,
		      NLM_F_ACK | (replace ? NLM_F_REPLACE :
					     NLM_F_CREATE | NLM_F_EXCL));
	ret = context_to_policy(p, len, nlh, XFRM_BUF, &why);
	return ret ? refused(x, ret, &why) : talk(x, nlh, NULL, NULL);
}

int xfrm_get_policy(struct xfrm *x, const uint8_t *p, size_t len,
		    xfrm_context_cb cb, void *data)
{
	struct nlmsghdr *nlh = request(x, XFRM_MSG_GETPOLICY, 0);
	struct dump d = { .cb = cb, .data = data };
	struct field_error why = {};
	int ret;

	ret = context_to_policy_id(p, len, nlh, XFRM_BUF, &why);
	return ret ? refused(x, ret, &why) : talk(x, nlh, got_policy, &d);
}

int xfrm_delete_policy(struct xfrm *x, const uint8_t *p, size_t len)
{
	struct nlmsghdr *nlh = request(x, XFRM_MSG_DELPOLICY, NLM_F_ACK);
	struct field_error why = {};
	int ret;

	ret = context_to_policy_id(p, len, nlh, XFRM_BUF, &why);
	return ret ? refused(x, ret, &why) : talk(x, nlh, NULL, NULL);
}

/* The SA that an event names; false where it names none. */
static bool event_id(const struct nlmsghdr *nlh, struct sa_id *id)
{
	const struct xfrm_usersa_info *sa = mnl_nlmsg_get_payload(nlh);
	const struct xfrm_usersa_id *del = mnl_nlmsg_get_payload(nlh);
	size_t body = nlh->nlmsg_type == XFRM_MSG_DELSA ? sizeof(*del) :
							   sizeof(*sa);
	const struct nlattr *attr;
	struct xfrm_mark mark;

	memset(id, 0, sizeof(*id));
	if (mnl_nlmsg_get_payload_len(nlh) < body)
		return false;
	id->family = body == sizeof(*sa) ? sa->family : del->family;
	id->spi = body == sizeof(*sa) ? sa->id.spi : del->spi;
	id->proto = body == sizeof(*sa) ? sa->id.proto : del->proto;
	memcpy(id->dst, body == sizeof(*sa) ? &sa->id.daddr : &del->daddr,
	       id->family == AF_INET6 ? 16 : 4);
	mnl_attr_for_each(attr, nlh, body) {
		if (mnl_attr_get_type(attr) != XFRMA_MARK ||
		    mnl_attr_get_payload_len(attr) < sizeof(mark))
			continue;
		memcpy(&mark, mnl_attr_get_payload(attr), sizeof(mark));
		id->mark = mark.v;
		id->mark_mask = mark.m;
	}
	return true;
}

static void read_event(const struct nlmsghdr *nlh, xfrm_sa_event_cb sa,
		       void *data, unsigned int *policies)
{
	struct sa_id id;

	switch (nlh->nlmsg_type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
	case XFRM_MSG_DELSA:
	case XFRM_MSG_EXPIRE:
		if (event_id(nlh, &id))
			sa(nlh->nlmsg_type, &id, data);
		break;
	case XFRM_MSG_FLUSHSA:
		sa(nlh->nlmsg_type, NULL, data);
		break;
	case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_FLUSHPOLICY:
	case XFRM_MSG_POLEXPIRE:
		*policies |= XFRM_POLICIES_GONE;
		/* fall through */
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
		*policies |= XFRM_POLICIES_CHANGED;
		break;
	}
}

int xfrm_read_events(struct xfrm *x, xfrm_sa_event_cb sa, void *data,
		     unsigned int *policies)
{
	/* Its own buffer: the callback may ask the kernel through x->buf. */
	static uint8_t buf[XFRM_BUF] __attribute__((aligned(8)));
	struct nlmsghdr *nlh;
	ssize_t len;
	int n, rounds = EVENT_ROUNDS;

	/* The rest comes with the loop's next turn: heartbeats go out between. */
	while (rounds--) {
		len = mnl_socket_recvfrom(x->events, buf, sizeof(buf));
		if (len < 0)
			return errno == EAGAIN ? 0 : -errno;
		n = len;
		nlh = (void *)buf;
		for (; mnl_nlmsg_ok(nlh, n); nlh = mnl_nlmsg_next(nlh, &n))
			read_event(nlh, sa, data, policies);
		sodium_memzero(buf, len);
	}
	return 0;
}
