// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's own netlink for SAs costs, for each SA, by a clock that counts
 * instructions: what a tool without the module would use.
 *
 * usage: own [-r REPEATS] VERB NS [NS]
 *   getsa NS      a dump of all SAs
 *   newae NS      the counters of each SA written, one request each, acknowledged
 *   newae64 NS    the same, 64 requests at a time, not acknowledged
 *   copy FROM TO  all SAs and policies of one namespace into another one, where there are
 *                 none: dumped, and made one by one, acknowledged
 *
 * Prints "VERB: MIN MEDIAN MAX". The first repeat does not count.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

#include "measure.h"

#define BUF_SIZE 65536
#define KEPT (64 << 20)
#define BATCH 64

/* Messages as a dump gave them. */
struct kept {
	char *data;
	size_t len;
	unsigned int n;
};

static unsigned int repeats = 6;

static struct mnl_socket *xfrm(const char *ns)
{
	struct mnl_socket *nl;
	int size = 8 << 20;

	measure_enter(ns);
	nl = mnl_socket_open(NETLINK_XFRM);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ||
	    setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &size,
		       sizeof(size)))
		measure_die("netlink");
	return nl;
}

/* NULL: what comes is not kept. Returns how many there were. */
static unsigned int dump(struct mnl_socket *nl, uint16_t type, struct kept *to)
{
	static char buf[BUF_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	unsigned int n = 0;
	bool more = true;
	ssize_t got;
	int len;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		measure_die("dump");
	while (more) {
		got = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (got < 0)
			measure_die("dump");
		len = got;
		nlh = (struct nlmsghdr *)buf;
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
			if (nlh->nlmsg_type == NLMSG_DONE) {
				more = false;
				break;
			}
			n++;
			if (!to)
				continue;
			if (to->len + MNL_ALIGN(nlh->nlmsg_len) > KEPT)
				exit(2);
			memcpy(to->data + to->len, nlh, nlh->nlmsg_len);
			to->len += MNL_ALIGN(nlh->nlmsg_len);
			to->n++;
		}
	}
	return n;
}

static void acknowledged(struct mnl_socket *nl, const char *what)
{
	char buf[8192];
	ssize_t got = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	const struct nlmsghdr *nlh = (void *)buf;
	const struct nlmsgerr *e;

	if (got < 0 || nlh->nlmsg_type != NLMSG_ERROR)
		measure_die(what);
	e = mnl_nlmsg_get_payload(nlh);
	if (e->error) {
		errno = -e->error;
		measure_die(what);
	}
}

static void request(struct mnl_socket *nl, struct nlmsghdr *nlh,
		    const char *what)
{
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		measure_die(what);
	acknowledged(nl, what);
}

static void kept_init(struct kept *k)
{
	if (!k->data)
		k->data = malloc(KEPT);
	if (!k->data)
		measure_die("malloc");
	k->len = k->n = 0;
}

static int getsa(const char *ns)
{
	struct mnl_socket *nl = xfrm(ns);
	struct measure m = { 0 };

	for (unsigned int r = 0; r < repeats; r++) {
		uint64_t start = measure_now();
		unsigned int n = dump(nl, XFRM_MSG_GETSA, NULL);

		measure_add(&m, (double)(measure_now() - start) / (n ? n : 1));
	}
	measure_print(&m, "getsa");
	return 0;
}

static const struct nlattr *attr_of(const struct nlmsghdr *nlh, size_t skip,
				    uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, skip)
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

/* A request that says the SA's counters, as it has them. */
static struct nlmsghdr *newae_of(char *to, const struct nlmsghdr *sa)
{
	const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(sa);
	const struct nlattr *esn = attr_of(sa, sizeof(*info),
					   XFRMA_REPLAY_ESN_VAL);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(to);
	struct xfrm_aevent_id *id;

	nlh->nlmsg_type = XFRM_MSG_NEWAE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_REPLACE;
	id = mnl_nlmsg_put_extra_header(nlh, sizeof(*id));
	id->sa_id.daddr = info->id.daddr;
	id->sa_id.spi = info->id.spi;
	id->sa_id.family = info->family;
	id->sa_id.proto = info->id.proto;
	id->saddr = info->saddr;
	id->reqid = info->reqid;
	if (esn)
		mnl_attr_put(nlh, XFRMA_REPLAY_ESN_VAL,
			     mnl_attr_get_payload_len(esn),
			     mnl_attr_get_payload(esn));
	mnl_attr_put(nlh, XFRMA_LTIME_VAL, sizeof(info->curlft), &info->curlft);
	return nlh;
}

static int newae(const char *ns, unsigned int batch)
{
	struct mnl_socket *nl = xfrm(ns);
	static char buf[BUF_SIZE];
	struct measure m = { 0 };
	struct kept sas = { 0 };

	kept_init(&sas);
	dump(nl, XFRM_MSG_GETSA, &sas);
	for (unsigned int r = 0; r < repeats; r++) {
		uint64_t start = measure_now();
		const struct nlmsghdr *sa = (void *)sas.data;
		unsigned int pending = 0;
		size_t len = 0;

		for (unsigned int i = 0; i < sas.n; i++) {
			struct nlmsghdr *nlh = newae_of(buf + len, sa);

			sa = (const void *)((const char *)sa +
					    MNL_ALIGN(sa->nlmsg_len));
			len += MNL_ALIGN(nlh->nlmsg_len);
			if (batch == 1) {
				nlh->nlmsg_flags |= NLM_F_ACK;
				request(nl, nlh, "newae");
				len = 0;
			} else if (++pending == batch || i + 1 == sas.n) {
				if (mnl_socket_sendto(nl, buf, len) < 0)
					measure_die("newae");
				pending = len = 0;
			}
		}
		measure_add(&m, (double)(measure_now() - start) / sas.n);
	}
	measure_print(&m, batch == 1 ? "newae" : "newae64");
	return 0;
}

static void flush(struct mnl_socket *nl)
{
	struct xfrm_usersa_flush *f;
	struct nlmsghdr *nlh;
	char buf[128];

	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = XFRM_MSG_FLUSHSA;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	f = mnl_nlmsg_put_extra_header(nlh, sizeof(*f));
	f->proto = 255;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		measure_die("flush");
	mnl_socket_recvfrom(nl, buf, sizeof(buf));
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = XFRM_MSG_FLUSHPOLICY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		measure_die("flush");
	mnl_socket_recvfrom(nl, buf, sizeof(buf));
}

static unsigned int copy_all(struct mnl_socket *from, struct mnl_socket *to,
			     uint16_t get, uint16_t make)
{
	static struct kept k;
	struct nlmsghdr *nlh;

	kept_init(&k);
	dump(from, get, &k);
	nlh = (struct nlmsghdr *)k.data;
	for (unsigned int i = 0; i < k.n; i++) {
		size_t len = MNL_ALIGN(nlh->nlmsg_len);

		nlh->nlmsg_type = make;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
		nlh->nlmsg_pid = 0;
		request(to, nlh, "copy");
		nlh = (void *)((char *)nlh + len);
	}
	return k.n;
}

static int copy(const char *from_ns, const char *to_ns)
{
	struct mnl_socket *from = xfrm(from_ns), *to = xfrm(to_ns);
	struct measure m = { 0 };

	for (unsigned int r = 0; r < repeats; r++) {
		uint64_t start;
		unsigned int n;

		flush(to);
		start = measure_cpu(0);
		n = copy_all(from, to, XFRM_MSG_GETSA, XFRM_MSG_NEWSA);
		copy_all(from, to, XFRM_MSG_GETPOLICY, XFRM_MSG_NEWPOLICY);
		measure_add(&m, (double)(measure_cpu(0) - start) / (n ? n : 1));
	}
	measure_print(&m, "copy");
	return 0;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "r:")) != -1) {
		if (opt != 'r')
			return 2;
		repeats = strtoul(optarg, NULL, 10);
	}
	argc -= optind;
	argv += optind;
	if (argc < 2 || !repeats)
		goto usage;
	/* What XFRM does meanwhile in workers is not of this process. */
	if (!strcmp(argv[0], "copy") && argc == 3)
		return copy(argv[1], argv[2]);
	measure_first();
	if (!strcmp(argv[0], "getsa"))
		return getsa(argv[1]);
	if (!strcmp(argv[0], "newae"))
		return newae(argv[1], 1);
	if (!strcmp(argv[0], "newae64"))
		return newae(argv[1], BATCH);
usage:
	fprintf(stderr, "own: see the comment in its source\n");
	return 2;
}
