// SPDX-License-Identifier: GPL-2.0
/*
 * In: requests of the verbs and of the daemon.
 * Out: the module's genetlink family, one call a command.
 * Blocking, one socket each; not shared between threads.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <linux/genetlink.h>

#include "genl.h"
#include "privops.h"

/* A netlink dump fills at most 32 KB at a time. */
#define BUF_SIZE 65536
/* Requests stay below: so the kernel keeps one in 32 KB, with what it puts beside it, and
 * not in 64, all of which it clears.
 */
#define BATCH_BYTES 32400
#define RCVBUF (4 << 20)

static int fail(struct genl *g, int err)
{
	snprintf(g->error, sizeof(g->error), "%s", strerror(-err));
	return err;
}

/* What the kernel said beside the errno: NLMSGERR_ATTR_MSG. */
static void keep_extack(struct genl *g, const struct nlmsghdr *nlh,
			const struct nlmsgerr *e)
{
	const struct nlattr *attr;
	size_t skip = sizeof(*e);

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	mnl_attr_for_each(attr, nlh, MNL_ALIGN(skip))
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
			snprintf(g->error, sizeof(g->error), "%.*s",
				 mnl_attr_get_payload_len(attr),
				 (const char *)mnl_attr_get_payload(attr));
}

/* 0 for an acknowledgement, or the errno that the kernel answered. */
static int error_of(struct genl *g, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*e)))
		return fail(g, -EBADMSG);
	if (e->error) {
		fail(g, e->error);
		keep_extack(g, nlh, e);
	}
	return e->error;
}

/* The end of a dump carries an errno too, and extack behind it. */
static int done_of(struct genl *g, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr;
	int err;

	if (nlh->nlmsg_len < mnl_nlmsg_size(sizeof(int)))
		return 0;
	err = *(const int *)mnl_nlmsg_get_payload(nlh);
	if (err >= 0)
		return 0;
	fail(g, err);
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_for_each(attr, nlh, MNL_ALIGN(sizeof(int)))
			if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
				snprintf(g->error, sizeof(g->error), "%.*s",
					 mnl_attr_get_payload_len(attr),
					 (const char *)mnl_attr_get_payload(attr));
	return err;
}

typedef int (*answer_cb)(const struct nlmsghdr *nlh, void *data);

/* An unsolicited message: kept until genl_read_events() asks. */
static void keep_event(struct genl *g, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (nlh->nlmsg_type != g->family ||
	    nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*genl)))
		return;
	if (genl->cmd == XFRMSYNC_CMD_ROLE_NTF)
		g->role_changed = true;
	if (genl->cmd != XFRMSYNC_CMD_DIRTY_NTF)
		return;
	g->dirty = true;
	mnl_attr_for_each(a, nlh, sizeof(*genl))
		if (mnl_attr_get_type(a) == XFRMSYNC_A_READER_RESYNC)
			g->resync = true;
}

/* One buffer of answers. 1: more to come, 0: done, < 0: -errno. */
static int take_answers(struct genl *g, char *buf, ssize_t n, answer_cb cb,
			void *data)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	int len = n, err;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_seq != g->seq) {
			keep_event(g, nlh);
			continue;
		}
		if (nlh->nlmsg_type == NLMSG_ERROR)
			return error_of(g, nlh);
		if (nlh->nlmsg_type == NLMSG_DONE)
			return done_of(g, nlh);
		if (nlh->nlmsg_type < NLMSG_MIN_TYPE || !cb)
			continue;
		err = cb(nlh, data);
		if (err < 0)
			return fail(g, err);
	}
	return 1;
}

/* Send a request and take its answers until the acknowledgement or the end. */
static int talk(struct genl *g, struct nlmsghdr *nlh, answer_cb cb, void *data)
{
	ssize_t n;
	int ret;

	nlh->nlmsg_seq = ++g->seq;
	if (privops_send(g->nl, nlh, nlh->nlmsg_len) < 0)
		return fail(g, -errno);
	do {
		n = mnl_socket_recvfrom(g->nl, g->answers, BUF_SIZE);
		if (n < 0 && (errno == ENOBUFS || errno == EINTR)) {
			ret = 1;	/* a wake-up did not fit; answers do */
			continue;
		}
		ret = n < 0 ? fail(g, -errno) :
			      take_answers(g, g->answers, n, cb, data);
	} while (ret == 1);
	return ret;
}

static struct nlmsghdr *request(struct genl *g, void *buf, uint8_t cmd,
				uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;

	nlh->nlmsg_type = g->family;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = XFRMSYNC_VERSION;
	return nlh;
}

static void find_group(struct genl *g, const struct nlattr *groups)
{
	const struct nlattr *group, *a;
	const char *name;
	uint32_t id;

	mnl_attr_for_each_nested(group, groups) {
		name = "";
		id = 0;
		mnl_attr_for_each_nested(a, group) {
			if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_NAME)
				name = mnl_attr_get_str(a);
			if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GRP_ID)
				id = mnl_attr_get_u32(a);
		}
		if (!strcmp(name, XFRMSYNC_MCGRP_EVENTS))
			g->events_group = id;
	}
}

static int family_cb(const struct nlmsghdr *nlh, void *data)
{
	struct genl *g = data;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
			g->family = mnl_attr_get_u16(a);
		if (mnl_attr_get_type(a) == CTRL_ATTR_MCAST_GROUPS)
			find_group(g, a);
	}
	return 0;
}

static int resolve(struct genl *g)
{
	char buf[256];
	struct nlmsghdr *nlh;
	int err;

	g->family = GENL_ID_CTRL;
	nlh = request(g, buf, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, XFRMSYNC_FAMILY_NAME);
	err = talk(g, nlh, family_cb, g);
	if (err == -ENOENT)
		snprintf(g->error, sizeof(g->error),
			 "the kernel module is not loaded; load it with \"modprobe xfrmsync\"");
	return err;
}

int genl_open(struct genl *g)
{
	int one = 1, size = RCVBUF, err;

	memset(g, 0, sizeof(*g));
	g->seq = time(NULL);
	g->nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!g->nl)
		return fail(g, -errno);
	mnl_socket_setsockopt(g->nl, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(g->nl, NETLINK_CAP_ACK, &one, sizeof(one));
	if (privops_rcvbuf(g->nl, size))
		setsockopt(genl_fd(g), SOL_SOCKET, SO_RCVBUF, &size,
			   sizeof(size));
	g->answers = malloc(BUF_SIZE);
	g->batch = malloc(BUF_SIZE);
	if (!g->answers || !g->batch)
		err = fail(g, -ENOMEM);
	else if (mnl_socket_bind(g->nl, 0, MNL_SOCKET_AUTOPID))
		err = fail(g, -errno);
	else
		err = resolve(g);
	if (err)
		genl_close(g);
	return err;
}

void genl_close(struct genl *g)
{
	if (g->nl)
		mnl_socket_close(g->nl);
	g->nl = NULL;
	free(g->answers);
	free(g->batch);
	g->answers = g->batch = NULL;
}

int genl_fd(const struct genl *g)
{
	return mnl_socket_get_fd(g->nl);
}

struct record_sink {
	genl_record_cb cb;
	void *data;
};

static int plain_cb(const struct nlattr *a, const struct record_sink *sink)
{
	const uint8_t *p = mnl_attr_get_payload(a);
	size_t left = mnl_attr_get_payload_len(a), n;
	struct record r;
	int ret;

	for (; left; p += n, left -= n) {
		n = record_parse_plain(p, left, &r);
		if (!n)
			return -EBADMSG;
		ret = sink->cb(&r, sink->data);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int record_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *first =
		mnl_nlmsg_get_payload_offset(nlh, sizeof(struct genlmsghdr));
	const struct record_sink *sink = data;
	struct record r;

	if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct genlmsghdr) + NLA_HDRLEN &&
	    mnl_attr_get_type(first) == XFRMSYNC_A_RECORD_PLAIN &&
	    mnl_attr_ok(first, mnl_nlmsg_get_payload_len(nlh) -
			       (int)sizeof(struct genlmsghdr)))
		return plain_cb(first, sink);
	if (record_parse(mnl_nlmsg_get_payload_offset(nlh,
						      sizeof(struct genlmsghdr)),
			 mnl_nlmsg_get_payload_len(nlh) -
			 sizeof(struct genlmsghdr), &r))
		return -EBADMSG;
	return sink->cb(&r, sink->data);
}

static int dump(struct genl *g, uint8_t cmd, genl_record_cb cb, void *data)
{
	struct record_sink sink = { cb, data };
	struct nlmsghdr *nlh;
	char buf[64];

	nlh = request(g, buf, cmd, NLM_F_DUMP);
	mnl_attr_put(nlh, XFRMSYNC_A_RECORD_PLAIN, 0, NULL);
	return talk(g, nlh, record_cb, &sink);
}

int genl_dump(struct genl *g, genl_record_cb cb, void *data)
{
	return dump(g, XFRMSYNC_CMD_GET, cb, data);
}

int genl_pull(struct genl *g, genl_record_cb cb, void *data)
{
	return dump(g, XFRMSYNC_CMD_PULL, cb, data);
}

static int copy_record(const struct record *r, void *data)
{
	*(struct record *)data = *r;
	return 0;
}

int genl_get(struct genl *g, const struct sa_id *id, struct record *out)
{
	/* cppcheck-suppress ctuuninitvar ; it is written there */
	struct record_sink sink = { copy_record, out };
	struct nlmsghdr *nlh;
	char buf[256];

	nlh = request(g, buf, XFRMSYNC_CMD_GET, NLM_F_ACK);
	mnl_attr_put_u16(nlh, XFRMSYNC_A_RECORD_FAMILY, id->family);
	mnl_attr_put(nlh, XFRMSYNC_A_RECORD_DST,
		     id->family == AF_INET6 ? 16 : 4, id->dst);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_RECORD_SPI, id->spi);
	mnl_attr_put_u8(nlh, XFRMSYNC_A_RECORD_PROTO, id->proto);
	if (id->mark || id->mark_mask) {
		mnl_attr_put_u32(nlh, XFRMSYNC_A_RECORD_MARK, id->mark);
		mnl_attr_put_u32(nlh, XFRMSYNC_A_RECORD_MARK_MASK,
				 id->mark_mask);
	}
	return talk(g, nlh, record_cb, &sink);
}

static int dirty_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == XFRMSYNC_A_READER_DIRTY)
			*(uint32_t *)data = mnl_attr_get_u32(a);
	return 0;
}

int genl_subscribe(struct genl *g, uint32_t *dirty)
{
	uint32_t n = 0;
	char buf[64];
	int err;

	err = talk(g, request(g, buf, XFRMSYNC_CMD_SUBSCRIBE, NLM_F_ACK),
		   dirty_cb, &n);
	if (dirty)
		*dirty = n;
	return err;
}

int genl_unsubscribe(struct genl *g)
{
	char buf[64];

	return talk(g, request(g, buf, XFRMSYNC_CMD_UNSUBSCRIBE, NLM_F_ACK),
		    NULL, NULL);
}

struct result_sink {
	struct genl_result *results;
	size_t n;
};

static void take_result(const struct nlattr *nest, struct result_sink *sink)
{
	struct genl_result res = { 0 };
	const struct nlattr *a;
	uint32_t index = UINT32_MAX;

	mnl_attr_for_each_nested(a, nest) {
		switch (mnl_attr_get_type(a)) {
		case XFRMSYNC_A_RESULT_INDEX:
			index = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_RESULT_REASON:
			res.reason = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_RESULT_ERRNO:
			res.err = (int32_t)mnl_attr_get_u32(a);
			break;
		}
	}
	if (index < sink->n)
		sink->results[index] = res;
}

static int results_cb(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == XFRMSYNC_A_BATCH_RESULT)
			take_result(a, data);
	return 0;
}

static bool is_merge(const struct record *r)
{
	return r->restore_flags & XFRMSYNC_RESTORE_F_MERGE;
}

/* Those are attributes still: there are few. How many, or -EMSGSIZE. */
static ssize_t put_merges(struct nlmsghdr *nlh, const struct record *r, size_t n)
{
	struct nlattr *nest;
	size_t i;

	for (i = 0; i < n && is_merge(&r[i]) && nlh->nlmsg_len < BATCH_BYTES; i++) {
		nest = mnl_attr_nest_start(nlh, XFRMSYNC_A_BATCH_RECORD);
		if (record_put(nlh, BUF_SIZE, &r[i]))
			return -EMSGSIZE;
		mnl_attr_nest_end(nlh, nest);
	}
	return i;
}

static size_t put_plain(struct nlmsghdr *nlh, const struct record *r, size_t n)
{
	struct nlattr *attr = mnl_attr_nest_start(nlh, XFRMSYNC_A_BATCH_PLAIN);
	uint8_t *at = mnl_attr_get_payload(attr), *p;
	const uint8_t *end = (uint8_t *)nlh + BATCH_BYTES;
	size_t i;

	for (i = 0; i < n && !is_merge(&r[i]); i++) {
		p = record_put_plain(at, end, &r[i]);
		if (!p)
			break;
		at = p;
	}
	attr->nla_type = XFRMSYNC_A_BATCH_PLAIN;
	nlh->nlmsg_len = at - (uint8_t *)nlh;
	mnl_attr_nest_end(nlh, attr);
	return i;
}

/* As many records as one request takes; how many those are in *taken. */
static int batch(struct genl *g, struct nlmsghdr *nlh, const struct record *r,
		 size_t n, struct genl_result *results, size_t *taken)
{
	struct result_sink sink = { results, 0 };
	ssize_t i;

	if (n > XFRMSYNC_MAX_BATCH)
		n = XFRMSYNC_MAX_BATCH;
	i = is_merge(r) ? put_merges(nlh, r, n) : (ssize_t)put_plain(nlh, r, n);
	if (i <= 0)
		return fail(g, -EMSGSIZE);
	*taken = sink.n = i;
	memset(results, 0, i * sizeof(*results));
	return talk(g, nlh, results_cb, &sink);
}

int genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
		 const struct record *r, size_t n, struct genl_result *results)
{
	struct nlmsghdr *nlh;
	size_t taken = 0;
	int err = 0;

	for (; n && !err; r += taken, results += taken, n -= taken) {
		nlh = request(g, g->batch, XFRMSYNC_CMD_RESTORE, NLM_F_ACK);
		mnl_attr_put_u64(nlh, XFRMSYNC_A_BATCH_EPOCH, epoch);
		mnl_attr_put_u32(nlh, XFRMSYNC_A_BATCH_NODE, node);
		err = batch(g, nlh, r, n, results, &taken);
	}
	return err;
}

int genl_bind(struct genl *g, const struct record *r, size_t n,
	      struct genl_result *results)
{
	size_t taken = 0;
	int err = 0;

	for (; n && !err; r += taken, results += taken, n -= taken)
		err = batch(g, request(g, g->batch, XFRMSYNC_CMD_BIND, NLM_F_ACK), r,
			    n, results, &taken);
	return err;
}

static int status_cb(const struct nlmsghdr *nlh, void *data)
{
	struct genl_status *st = data;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(a)) {
		case XFRMSYNC_A_STATUS_VERSION:
			st->version = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_ROLE:
			st->role = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_EPOCH:
			st->epoch = mnl_attr_get_u64(a);
			break;
		case XFRMSYNC_A_STATUS_NODE:
			st->node = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_CAPTURE:
			st->capture = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_SAS:
			st->sas = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_DIRTY:
			st->dirty = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_PARKED:
			st->parked = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_READER:
			st->reader = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_WATCHDOG_MS:
			st->watchdog_ms = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_LIFE:
			st->life = mnl_attr_get_u64(a);
			break;
		case XFRMSYNC_A_STATUS_UNTOLD:
			st->untold = mnl_attr_get_u32(a);
			break;
		case XFRMSYNC_A_STATUS_FENCE:
			st->fence = mnl_attr_get_u32(a);
			break;
		}
	}
	return 0;
}

int genl_status_get(struct genl *g, struct genl_status *st)
{
	char buf[64];

	memset(st, 0, sizeof(*st));
	return talk(g, request(g, buf, XFRMSYNC_CMD_STATUS_GET, NLM_F_ACK),
		    status_cb, st);
}

int genl_role_set(struct genl *g, uint32_t role, uint64_t epoch, uint32_t node,
		  uint32_t drain_ms, struct genl_status *st)
{
	struct genl_status unused;
	struct nlmsghdr *nlh;
	char buf[128];

	nlh = request(g, buf, XFRMSYNC_CMD_ROLE_SET, NLM_F_ACK);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_ROLE, role);
	mnl_attr_put_u64(nlh, XFRMSYNC_A_STATUS_EPOCH, epoch);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_NODE, node);
	if (drain_ms)
		mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_DRAIN_MS, drain_ms);
	return talk(g, nlh, status_cb, st ? st : &unused);
}

int genl_watchdog_set(struct genl *g, uint32_t ms, struct genl_status *st)
{
	struct nlmsghdr *nlh;
	char buf[64];

	memset(st, 0, sizeof(*st));
	nlh = request(g, buf, XFRMSYNC_CMD_WATCHDOG_SET, NLM_F_ACK);
	mnl_attr_put_u32(nlh, XFRMSYNC_A_STATUS_WATCHDOG_MS, ms);
	return talk(g, nlh, status_cb, st);
}

static int stats_cb(const struct nlmsghdr *nlh, void *data)
{
	struct genl_stats *stats = data;
	const struct nlattr *a;
	uint16_t type;

	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr)) {
		type = mnl_attr_get_type(a);
		if (type <= XFRMSYNC_A_STATS_MAX &&
		    mnl_attr_get_payload_len(a) == sizeof(uint64_t))
			stats->value[type] = mnl_attr_get_u64(a);
	}
	return 0;
}

int genl_stats_get(struct genl *g, struct genl_stats *stats)
{
	char buf[64];

	memset(stats, 0, sizeof(*stats));
	return talk(g, request(g, buf, XFRMSYNC_CMD_STATS_GET, NLM_F_ACK),
		    stats_cb, stats);
}

int genl_join_events(struct genl *g)
{
	if (mnl_socket_setsockopt(g->nl, NETLINK_ADD_MEMBERSHIP,
				  &g->events_group, sizeof(g->events_group)))
		return fail(g, -errno);
	return 0;
}

bool genl_pending(const struct genl *g)
{
	return g->dirty || g->resync || g->role_changed;
}

static int read_socket(struct genl *g)
{
	struct nlmsghdr *nlh;
	char buf[8192];
	ssize_t n;
	int len;

	n = recv(genl_fd(g), buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return fail(g, -errno);
	nlh = (struct nlmsghdr *)buf;
	for (len = n; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
		keep_event(g, nlh);
	return 0;
}

int genl_read_events(struct genl *g, bool *dirty, bool *resync,
		     bool *role_changed)
{
	bool pending = genl_pending(g);
	int err = read_socket(g);

	*dirty |= g->dirty;
	*resync |= g->resync;
	*role_changed |= g->role_changed;
	g->dirty = g->resync = g->role_changed = false;
	return err == -EAGAIN && pending ? 0 : err;
}

const char *genl_role_str(uint32_t role)
{
	switch (role) {
	case XFRMSYNC_ROLE_NONE:
		return "none";
	case XFRMSYNC_ROLE_ACTIVE:
		return "active";
	case XFRMSYNC_ROLE_STANDBY:
		return "standby";
	}
	return "unknown";
}

const char *genl_fence_str(uint32_t fence)
{
	switch (fence) {
	case XFRMSYNC_FENCE_DOWN:
		return "down";
	case XFRMSYNC_FENCE_HOOKS:
		return "hooks";
	case XFRMSYNC_FENCE_SAS:
		return "sas";
	}
	return "unknown";
}

const char *genl_capture_str(uint32_t capture)
{
	switch (capture) {
	case XFRMSYNC_CAPTURE_NONE:
		return "none";
	case XFRMSYNC_CAPTURE_FTRACE:
		return "ftrace";
	case XFRMSYNC_CAPTURE_KPROBE:
		return "kprobe";
	case XFRMSYNC_CAPTURE_SCAN:
		return "scan";
	}
	return "unknown";
}

const char *genl_reason_str(uint32_t reason)
{
	static const char *const text[] = {
		[XFRMSYNC_REASON_OK] = "applied",
		[XFRMSYNC_REASON_PARKED] = "no such SA yet, kept for it",
		[XFRMSYNC_REASON_NO_SA] = "no such SA",
		[XFRMSYNC_REASON_PARK_FULL] = "no such SA, and no room to keep the record (module parameter park_max)",
		[XFRMSYNC_REASON_TAG] = "the SA there is another incarnation",
		[XFRMSYNC_REASON_MODE] = "the replay modes differ (ESN, large or legacy state)",
		[XFRMSYNC_REASON_WINDOW] = "the window sizes differ",
		[XFRMSYNC_REASON_BACKWARDS_OSEQ] = "the outbound sequence number would go backwards",
		[XFRMSYNC_REASON_BACKWARDS_SEQ] = "the inbound sequence number would go backwards",
		[XFRMSYNC_REASON_STATE] = "the SA is not valid any more",
		[XFRMSYNC_REASON_ATTRIBUTE] = "an attribute is missing or malformed",
		[XFRMSYNC_REASON_MEMORY] = "the kernel is out of memory",
		[XFRMSYNC_REASON_COOKIE] = "the SA there is not the one that was meant",
		[XFRMSYNC_REASON_RANGE] = "the SA cannot count that far",
		[XFRMSYNC_REASON_LEASE] = "the lease ends behind the one in force, or behind the counter",
		[XFRMSYNC_REASON_MOVED] = "the outbound sequence number is another",
		[XFRMSYNC_REASON_BACKWARDS_GIVEN] = "more numbers were given out than that",
	};

	if (reason < sizeof(text) / sizeof(text[0]) && text[reason])
		return text[reason];
	return "refused for a reason that this version does not know";
}

const char *const genl_stats_names[XFRMSYNC_A_STATS_MAX + 1] = {
	[XFRMSYNC_A_STATS_TRACKED] = "tracked",
	[XFRMSYNC_A_STATS_UNTRACKED] = "untracked",
	[XFRMSYNC_A_STATS_TRACK_FAILED] = "track_failed",
	[XFRMSYNC_A_STATS_RECONCILED] = "reconciled",
	[XFRMSYNC_A_STATS_MARKED] = "marked",
	[XFRMSYNC_A_STATS_WAKEUPS] = "wakeups",
	[XFRMSYNC_A_STATS_WAKEUPS_LOST] = "wakeups_lost",
	[XFRMSYNC_A_STATS_PULLED] = "pulled",
	[XFRMSYNC_A_STATS_DUMPED] = "dumped",
	[XFRMSYNC_A_STATS_TOMBSTONES] = "tombstones",
	[XFRMSYNC_A_STATS_TOMBSTONES_DROPPED] = "tombstones_dropped",
	[XFRMSYNC_A_STATS_APPLIED] = "applied",
	[XFRMSYNC_A_STATS_REFUSED] = "refused",
	[XFRMSYNC_A_STATS_PARKED] = "parked",
	[XFRMSYNC_A_STATS_PARKED_APPLIED] = "parked_applied",
	[XFRMSYNC_A_STATS_PARKED_DROPPED] = "parked_dropped",
	[XFRMSYNC_A_STATS_STALE_EPOCH] = "stale_epoch",
	[XFRMSYNC_A_STATS_FENCED_OUT] = "fenced_out",
	[XFRMSYNC_A_STATS_FENCED_LATE] = "fenced_late",
	[XFRMSYNC_A_STATS_FENCED_IN] = "fenced_in",
	[XFRMSYNC_A_STATS_LEASES_LOW] = "leases_low",
	[XFRMSYNC_A_STATS_LEASES_ENDED] = "leases_ended",
	[XFRMSYNC_A_STATS_WATCHDOG_FIRED] = "watchdog_fired",
	[XFRMSYNC_A_STATS_GUARD_HELD] = "guard_held",
	[XFRMSYNC_A_STATS_DRAINED] = "drained",
};
