// SPDX-License-Identifier: GPL-2.0
/*
 * In: the kernel's XFRM, in namespaces of the test's own; a daemon and its helper.
 * Out: what each may ask of it, and what becomes of the one without the other.
 * Host only; as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <linux/xfrmsync.h>

#include <cmocka.h>

#include "privileges.h"
#include "privops.h"
#include "too_big.h"
#include "vector.h"
#include "xfrm.h"

#define FAMILY 40		/* the module's, as far as the list knows */
#define NO_NAMESPACE 77		/* exit codes of a child */
#define NO_HELPER 78
#define NO_FILTER 79

/* ---- the list ---- */

struct request {
	struct nlmsghdr nlh;
	struct genlmsghdr genl;
	char more[64];
};

static struct request of_type(uint16_t type, uint8_t cmd)
{
	return (struct request){
		.nlh = { .nlmsg_len = 20, .nlmsg_type = type,
			 .nlmsg_flags = NLM_F_REQUEST },
		.genl = { .cmd = cmd },
	};
}

static bool allows(int protocol, uint16_t type, uint8_t cmd)
{
	struct request r = of_type(type, cmd);

	return privops_allows(protocol, FAMILY, &r, 20);
}

static void test_xfrm(void **state)
{
	static const uint16_t sent[] = {
		XFRM_MSG_NEWSA, XFRM_MSG_UPDSA, XFRM_MSG_DELSA, XFRM_MSG_GETSA,
		XFRM_MSG_NEWPOLICY, XFRM_MSG_UPDPOLICY, XFRM_MSG_DELPOLICY,
		XFRM_MSG_GETPOLICY, XFRM_MSG_EXPIRE, XFRM_MSG_MIGRATE,
	};
	unsigned int type, n = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
		assert_true(allows(NETLINK_XFRM, sent[i], 0));
	for (type = 0; type <= UINT16_MAX; type++)
		n += allows(NETLINK_XFRM, type, 0);
	assert_int_equal(n, i);
	assert_false(allows(NETLINK_XFRM, XFRM_MSG_FLUSHSA, 0));
}

static void test_generic(void **state)
{
	unsigned int type, cmd, n = 0;
	struct request r;

	(void)state;
	for (type = 0; type <= UINT16_MAX; type++) {
		for (cmd = 0; cmd <= UINT8_MAX; cmd++)
			n += allows(NETLINK_GENERIC, type, cmd);
	}
	/* The module's without its two events, and how to find the module. */
	assert_int_equal(n, XFRMSYNC_CMD_MAX - 2 + 1);
	assert_true(allows(NETLINK_GENERIC, GENL_ID_CTRL, CTRL_CMD_GETFAMILY));
	assert_true(allows(NETLINK_GENERIC, FAMILY, XFRMSYNC_CMD_RESTORE));
	assert_false(allows(NETLINK_GENERIC, FAMILY + 1, XFRMSYNC_CMD_RESTORE));
	assert_false(allows(NETLINK_GENERIC, FAMILY, XFRMSYNC_CMD_ROLE_NTF));

	/* It was not there: type 0 would be anything. */
	r = of_type(0, XFRMSYNC_CMD_GET);
	assert_false(privops_allows(NETLINK_GENERIC, 0, &r, 20));
	/* Too short to have a command. */
	r = of_type(FAMILY, XFRMSYNC_CMD_GET);
	r.nlh.nlmsg_len = 16;
	assert_false(privops_allows(NETLINK_GENERIC, FAMILY, &r, 16));
}

/* RTM_NEWLINK has the number of XFRM_MSG_NEWSA: it is the socket that says what it is. */
static void test_other_protocols(void **state)
{
	int protocol;

	(void)state;
	assert_int_equal(RTM_NEWLINK, XFRM_MSG_NEWSA);
	for (protocol = -1; protocol < MAX_LINKS; protocol++) {
		if (protocol != NETLINK_XFRM && protocol != NETLINK_GENERIC)
			assert_false(allows(protocol, XFRM_MSG_NEWSA, 0));
	}
}

static void test_lengths(void **state)
{
	struct request r = of_type(XFRM_MSG_GETSA, 0);
	size_t len;

	(void)state;
	/* One behind it, half of it, less than a header. */
	for (len = 0; len < sizeof(r); len++)
		assert_int_equal(privops_allows(NETLINK_XFRM, 0, &r, len), len == 20);
	r.nlh.nlmsg_len = 0;
	assert_false(privops_allows(NETLINK_XFRM, 0, &r, 0));
	r.nlh.nlmsg_len = 8;
	assert_false(privops_allows(NETLINK_XFRM, 0, &r, 8));
	r.nlh.nlmsg_len = UINT32_MAX;
	assert_false(privops_allows(NETLINK_XFRM, 0, &r, 20));
}

/* Behind each other, as XFRM reads them: each has to be on the list. */
static void test_many(void **state)
{
	struct {
		struct request r[3];
	} many = { {
		of_type(XFRM_MSG_NEWSA, 0), of_type(XFRM_MSG_NEWPOLICY, 0),
		of_type(XFRM_MSG_NEWSA, 0),
	} };
	const size_t one = sizeof(many.r[0]);
	size_t len, i;

	(void)state;
	for (i = 0; i < 3; i++)
		many.r[i].nlh.nlmsg_len = one;
	for (len = 0; len <= sizeof(many); len++)
		assert_int_equal(privops_allows(NETLINK_XFRM, 0, &many, len),
				 len && len % one == 0);
	assert_false(privops_allows(NETLINK_GENERIC, FAMILY, &many, sizeof(many)));
	for (i = 0; i < 3; i++) {
		many.r[i].nlh.nlmsg_type = XFRM_MSG_FLUSHSA;
		assert_false(privops_allows(NETLINK_XFRM, 0, &many, sizeof(many)));
		many.r[i].nlh.nlmsg_type = XFRM_MSG_NEWSA;
	}
	/* The next one begins where the kernel goes on, not where this one ends. */
	many.r[0].nlh.nlmsg_len = one - 3;
	assert_true(privops_allows(NETLINK_XFRM, 0, &many, sizeof(many)));
	many.r[0].nlh.nlmsg_len = one - 4;
	assert_false(privops_allows(NETLINK_XFRM, 0, &many, sizeof(many)));
	many.r[0].nlh.nlmsg_len = 0;
	assert_false(privops_allows(NETLINK_XFRM, 0, &many, sizeof(many)));
}

/* ---- a daemon and its helper ---- */

static pid_t helper;
static struct mnl_socket *old;		/* opened with all rights */
static struct mnl_socket *scratch, *foreign;	/* of other namespaces */

static pid_t only_child(void)
{
	char path[60], text[40] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = '\0';
		fclose(f);
	}
	return atoi(text);
}

static int lo_up(void)
{
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &req);

	close(fd);
	return ret;
}

/* As on a gateway whose addresses come and go: it has not to have one to be bound to it. */
static int may_bind_to_any(void)
{
	static const char *const set[] = {
		"/proc/sys/net/ipv4/ip_nonlocal_bind",
		"/proc/sys/net/ipv6/ip_nonlocal_bind",
	};
	size_t i;
	FILE *f;
	int ret = 0;

	for (i = 0; i < 2 && !ret; i++) {
		f = fopen(set[i], "we");
		if (!f || fputs("1", f) < 0)
			ret = -1;
		if (f && fclose(f))
			ret = -1;
	}
	return ret;
}

static struct mnl_socket *xfrm_socket(int bus)
{
	struct mnl_socket *nl = mnl_socket_open2(bus, SOCK_CLOEXEC);

	return nl && !mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ? nl : NULL;
}

static int set_files(rlim_t soft)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return -1;
	files.rlim_cur = soft;
	return setrlimit(RLIMIT_NOFILE, &files);
}

/* The daemon's half of it, in a namespace that nobody else has. */
static void become_daemon(void)
{
	struct mnl_socket **each[] = { &scratch, &foreign, &old };
	char why[80];
	size_t i;

	for (i = 0; i < 3; i++) {
		if (unshare(CLONE_NEWNET))
			_exit(NO_NAMESPACE);
		*each[i] = xfrm_socket(NETLINK_XFRM);
		if (!*each[i])
			_exit(NO_NAMESPACE);
	}
	if (lo_up() || may_bind_to_any() || set_files(64) ||
	    privops_start(FAMILY, why, sizeof(why)))
		_exit(NO_HELPER);
	helper = only_child();
	if (privops_rcvbuf(scratch, 1 << 20) || privops_seal())
		_exit(NO_HELPER);
	if (privileges_drop(PRIVILEGES_DAEMON))
		_exit(NO_HELPER);
}

static int status_of(int (*what)(void))
{
	struct rlimit none = {};
	int status;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		alarm(60);
		become_daemon();
		_exit(what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACE)
		skip();
	return status;
}

/* The number that is told is the one of the question that had a wrong answer. */
static void works(int (*what)(void))
{
	int status = status_of(what);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

typedef ssize_t (*send_fn)(const struct mnl_socket *nl, const void *msg, size_t len);

/* A dump of SAs, of which there are none: 0, or the errno of sending, or the kernel's. */
static int dump(struct mnl_socket *nl, send_fn send_it, uint16_t type)
{
	struct request r = {
		.nlh = { .nlmsg_len = 20, .nlmsg_type = type, .nlmsg_seq = 1,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
	};
	char buf[8192] __attribute__((aligned(8)));
	const struct nlmsghdr *nlh = (void *)buf;

	if (send_it(nl, &r, 20) < 0)
		return errno;
	if (recv(mnl_socket_get_fd(nl), buf, sizeof(buf), 0) < 16)
		return -1;
	if (nlh->nlmsg_type == NLMSG_DONE)
		return 0;
	return nlh->nlmsg_type == NLMSG_ERROR ?
	       -((struct nlmsgerr *)mnl_nlmsg_get_payload(nlh))->error : -2;
}

static int asks_xfrm(void)
{
	struct mnl_socket *nl = xfrm_socket(NETLINK_XFRM);

	/* Of its own making it is refused, by whichever socket. */
	if (!nl || dump(old, mnl_socket_sendto, XFRM_MSG_GETSA) != EPERM ||
	    dump(nl, mnl_socket_sendto, XFRM_MSG_GETSA) != EPERM ||
	    dump(old, mnl_socket_sendto, XFRM_MSG_FLUSHSA) != EPERM)
		return 1;
	/* By the helper it is made, and the answer comes here. */
	if (dump(old, privops_send, XFRM_MSG_GETSA) ||
	    dump(nl, privops_send, XFRM_MSG_GETSA))
		return 2;
	if (dump(nl, privops_send, XFRM_MSG_FLUSHSA) != EACCES ||
	    dump(nl, privops_send, XFRM_MSG_NEWSPDINFO) != EACCES)
		return 3;
	/* The kernel would read both of these. */
	if (privops_send(nl, (struct request[]){ of_type(XFRM_MSG_GETSA, 0) }, 40) >= 0 ||
	    errno != EACCES)
		return 4;
	return dump(nl, privops_send, XFRM_MSG_GETSA) ? 5 : 0;
}

/* The second field of a policy's selector: where it goes to. */
#define POLICY_DST (8 + 8)

/* In one request: of those that are there already it is said, and the others are made. */
static int makes_many(void)
{
	struct buf policy = vector_read("policy-out");
	struct xfrm_made made[XFRM_BATCH];
	unsigned int n = 0, i;
	struct xfrm x;

	if (xfrm_open_fd(&x, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
				    NETLINK_XFRM)))
		return 1;
	if (xfrm_flush(&x, made))
		return 2;
	for (i = 0; i < 3; i++) {
		if (i == 2)
			policy.data[POLICY_DST]++;
		if (xfrm_queue_policy(&x, policy.data, policy.len))
			return 3;
	}
	if (xfrm_flush(&x, made) != 3 || made[0].ret || made[0].why ||
	    made[1].ret != -EEXIST || !made[1].why || made[2].ret || made[2].why)
		return 4;
	while (!xfrm_queue_policy(&x, policy.data, policy.len))
		n++;
	if (n < 64 || n > XFRM_BATCH || xfrm_flush(&x, made) != n)
		return 5;
	for (i = 0; i < n; i++) {
		if (made[i].ret != -EEXIST)
			return 6;
	}
	/* One alone, and it is refused by what reads it. */
	if (xfrm_queue_policy(&x, policy.data, 3) >= 0 || xfrm_flush(&x, made))
		return 7;
	/* Both are there: whoever has none gets an error. */
	if (xfrm_delete_policy(&x, policy.data, policy.len))
		return 8;
	policy.data[POLICY_DST]--;
	return xfrm_delete_policy(&x, policy.data, policy.len) ? 9 : 0;
}

static void no_sa(int type, const struct sa_id *id, void *data)
{
	(void)type;
	(void)id;
	(void)data;
}

/* What was queued is no event; what anybody makes otherwise is one. */
static int hears_others(void)
{
	struct buf policy = vector_read("policy-out");
	struct xfrm_made made[XFRM_BATCH];
	unsigned int policies = 0;
	struct xfrm x;

	if (unshare(CLONE_NEWNET))
		return NO_NAMESPACE;
	if (xfrm_open(&x) || !x.port ||
	    xfrm_queue_policy(&x, policy.data, policy.len) ||
	    xfrm_flush(&x, made) != 1 || made[0].ret)
		return 1;
	if (xfrm_read_events(&x, no_sa, NULL, &policies) || policies)
		return 2;
	policy.data[POLICY_DST]++;
	if (xfrm_add_policy(&x, policy.data, policy.len, false) ||
	    xfrm_read_events(&x, no_sa, NULL, &policies) ||
	    policies != XFRM_POLICIES_CHANGED)
		return 3;
	policies = 0;
	if (xfrm_delete_policy(&x, policy.data, policy.len) ||
	    xfrm_read_events(&x, no_sa, NULL, &policies) ||
	    policies != (XFRM_POLICIES_CHANGED | XFRM_POLICIES_GONE))
		return 4;
	return 0;
}

static void test_events(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(hears_others());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_NAMESPACE)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int asks_others(void)
{
	struct mnl_socket *route = xfrm_socket(NETLINK_ROUTE);
	struct mnl_socket *generic = xfrm_socket(NETLINK_GENERIC);
	struct mnl_socket *filter = xfrm_socket(NETLINK_NETFILTER);
	struct request r = of_type(RTM_NEWLINK, 0);
	struct mnl_socket *udp;

	if (!route || privops_send(route, &r, 20) >= 0 || errno != EACCES)
		return 1;
	if (filter && (privops_send(filter, &r, 20) >= 0 || errno != EACCES))
		return 2;
	r = of_type(FAMILY + 1, 1);
	if (!generic || privops_send(generic, &r, 20) >= 0 || errno != EACCES)
		return 3;
	/* No netlink at all. */
	udp = mnl_socket_fdopen(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	r = of_type(XFRM_MSG_GETSA, 0);
	if (!udp || privops_send(udp, &r, 20) >= 0 || errno != EACCES)
		return 4;
	return privops_rcvbuf(udp, 1 << 20) == -EACCES ? 0 : 5;
}

static int asks_elsewhere(void)
{
	if (dump(scratch, privops_send, XFRM_MSG_GETSA))
		return 1;
	if (dump(foreign, privops_send, XFRM_MSG_GETSA) != EACCES)
		return 2;
	return privops_rcvbuf(foreign, 1 << 20) == -EACCES ? 0 : 3;
}

static int receive_buffer(struct mnl_socket *nl)
{
	socklen_t len = sizeof(int);
	int size = 0;

	getsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUF, &size, &len);
	return size;
}

static int asks_options(void)
{
	struct mnl_socket *nl = xfrm_socket(NETLINK_XFRM);
	int size = 16 << 20;

	if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &size,
		       sizeof(size)) != -1 || errno != EPERM)
		return 1;
	if (privops_rcvbuf(nl, size) || receive_buffer(nl) != 2 * size)
		return 2;
	if (privops_rcvbuf(nl, size + 1) != -EACCES ||
	    privops_rcvbuf(nl, -1) != -EACCES)
		return 3;
	return receive_buffer(nl) == 2 * size ? 0 : 4;
}

static int asks_mtu(void)
{
	struct route_way v4 = {
		.family = AF_INET, .src = { 127, 0, 0, 1 }, .dst = { 192, 0, 2, 1 },
		.mark = 7,
	};
	struct route_way v6 = {
		.family = AF_INET6, .src = { [15] = 1 }, .dst = { 0x20, 1, [15] = 1 },
	};

	if (too_big_send(&v4, 1300) != -EPERM || too_big_send(&v6, 1300) != -EPERM)
		return 1;
	if (privops_too_big(&v4, 1300))
		return 2;
	if (privops_too_big(&v6, 1300))
		return 3;
	v4.family = AF_PACKET;
	return privops_too_big(&v4, 1300) == -EACCES ? 0 : 4;
}

/* To none of these may it send, though the kernel would let it be bound to each. */
static int asks_mtu_elsewhere(void)
{
	static const uint8_t v4[][4] = {
		{ 198, 51, 100, 1 }, { 0, 0, 0, 0 }, { 224, 0, 0, 1 }, { 239, 1, 2, 3 },
		{ 255, 255, 255, 255 }, { 127, 255, 255, 255 },
	};
	static const uint8_t v6[][16] = {
		{ 0x20, 1, 0xd, 0xb8, [15] = 2 }, { 0 }, { 0xff, 2, [15] = 1 },
		{ 0xff, 1, [15] = 1 }, { [10] = 0xff, 0xff, 127, 0, 0, 1 },
	};
	struct route_way way = { .family = AF_INET, .dst = { 192, 0, 2, 1 } };
	size_t i;

	for (i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
		memcpy(way.src, v4[i], 4);
		if (privops_too_big(&way, 1300) != -EADDRNOTAVAIL)
			return 1 + i;
	}
	way = (struct route_way){ .family = AF_INET6, .dst = { 0x20, 1, [15] = 1 } };
	for (i = 0; i < sizeof(v6) / sizeof(v6[0]); i++) {
		memcpy(way.src, v6[i], 16);
		if (privops_too_big(&way, 1300) != -EADDRNOTAVAIL)
			return 11 + i;
	}
	return 0;
}

/* From IKE's own port, which another process may have; not from an address elsewhere. */
static int asks_ike(void)
{
	static const uint8_t msg[28] = { [17] = 0x20, 37, [27] = 28 };
	struct ike_way way = {
		.family = AF_INET, .src = { 127, 0, 0, 1 }, .dst = { 127, 0, 0, 1 },
		.sport = IKE_PORT,
	};
	struct timeval ten = { .tv_sec = 10 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	uint8_t got[64];

	if (bind(fd, (void *)&a, len) || getsockname(fd, (void *)&a, &len) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof(ten)))
		return 1;
	way.dport = ntohs(a.sin_port);
	if (ike_packet_send(&way, msg, sizeof(msg)) != -EPERM)
		return 2;
	if (privops_ike(&way, msg, sizeof(msg)))
		return 3;
	if (recvfrom(fd, got, sizeof(got), 0, (void *)&a, &len) != sizeof(msg) ||
	    memcmp(got, msg, sizeof(msg)) || a.sin_port != htons(IKE_PORT))
		return 4;
	way.src[3] = 0;
	way.src[0] = 198;
	if (privops_ike(&way, msg, sizeof(msg)) != -EADDRNOTAVAIL)
		return 5;
	way.family = AF_PACKET;
	if (privops_ike(&way, msg, sizeof(msg)) != -EACCES)
		return 6;
	way = (struct ike_way){ .family = AF_INET, .src = { 127, 0, 0, 1 }, .sport = 53 };
	return privops_ike(&way, msg, sizeof(msg)) == -EACCES && !close(fd) ? 0 : 7;
}

/* The helper hears for the daemon, as long as it is to. */
static int hears_ike(void)
{
	static const uint8_t msg[28] = { [17] = 0x20, 37, [27] = 28 };
	const struct ike_way way = {
		.family = AF_INET, .src = { 127, 0, 0, 1 }, .dst = { 127, 0, 0, 1 },
		.sport = IKE_PORT, .dport = IKE_PORT,
	};
	uint8_t got[PRIVOPS_PACKET_MAX];
	int n, tries = 1000;

	if (ike_packet_open() != -EPERM)
		return 1;
	if (privops_hear(got) != -EAGAIN || privops_listen(true))
		return 2;
	if (privops_ike(&way, msg, sizeof(msg)))
		return 3;
	while ((n = privops_hear(got)) == -EAGAIN && tries--)
		usleep(1000);
	if (n != 20 + 8 + (int)sizeof(msg) || memcmp(got + 28, msg, sizeof(msg)))
		return 4;
	if (privops_hear(got) != -EAGAIN || privops_listen(false) ||
	    privops_ike(&way, msg, sizeof(msg)))
		return 5;
	return privops_hear(got) == -EAGAIN ? 0 : 6;
}

/* Another process of this user has as many sockets on their way to nobody. */
static int has_many_on_their_way(void)
{
	union {
		char buf[CMSG_SPACE(50 * sizeof(int))];
		struct cmsghdr align;
	} c = {};
	struct iovec iov = { "x", 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = c.buf, .msg_controllen = sizeof(c.buf),
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
	int pair[2], fd[50], i;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur != files.rlim_max ||
	    files.rlim_max <= 64)
		return 1;
	for (i = 0; i < 50; i++)
		fd[i] = mnl_socket_get_fd(old);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cm), fd, sizeof(fd));
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) ||
	    sendmsg(pair[0], &m, 0) != 1)
		return 2;
	if (set_files(40) || dump(old, privops_send, XFRM_MSG_GETSA) != ETOOMANYREFS ||
	    privops_rcvbuf(old, 1 << 20) != -ETOOMANYREFS || !xfrm_is_unasked(-ETOOMANYREFS))
		return 3;
	if (set_files(files.rlim_max) || dump(old, privops_send, XFRM_MSG_GETSA))
		return 4;
	return 0;
}

static void test_asks(void **state)
{
	(void)state;
	works(asks_xfrm);
	works(makes_many);
	works(asks_others);
	works(asks_elsewhere);
	works(asks_options);
	works(asks_mtu);
	works(asks_mtu_elsewhere);
	works(asks_ike);
	works(hears_ike);
	works(has_many_on_their_way);
}

/* ---- by somebody who has the daemon's end ---- */

/* 0, or the errno that the helper answers; n descriptors go with it. */
static int raw(const void *p, size_t len, size_t n)
{
	union {
		char buf[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} c = {};
	struct iovec iov = { (void *)p, len };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = n ? c.buf : NULL,
		.msg_controllen = n ? CMSG_LEN(n * sizeof(int)) : 0,
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
	int fd[2] = { mnl_socket_get_fd(old), mnl_socket_get_fd(old) }, ret;

	if (cm) {
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cm), fd, n * sizeof(int));
	}
	if (sendmsg(privops_fd(), &m, MSG_NOSIGNAL) < 0)
		return errno;
	if (recv(privops_fd(), &ret, sizeof(ret), 0) != sizeof(ret))
		return -1;
	return -ret;
}

static int gets_nonsense(void)
{
	static char large[PRIVOPS_MAX + 9];
	struct {
		uint32_t op, shared;
		struct request r;
	} get = { 1, 0, of_type(XFRM_MSG_GETSA, 0) };
	static const uint32_t far[] = { 1, PRIVOPS_MAX + 1 }, other[] = { 2, 4 };
	uint32_t op[3] = { [2] = UINT32_MAX };
	int i;

	for (i = 0; i < 4; i++) {
		op[0] = i;
		if (raw(op, 8, 0) != EACCES || raw(op, 12, 1) != EACCES)
			return 1;
	}
	if (raw(op, 4, 0) != EACCES || raw(large, sizeof(large), 1) != EMSGSIZE)
		return 2;
	/* For no socket; and a second one is left behind. */
	if (raw(&get, 28, 0) != EACCES || raw(&get, 28, 2))
		return 3;
	/* More than there is in the memory of both; and what never is there; and both. */
	get.shared = 20;
	if (raw(far, sizeof(far), 1) != EACCES ||
	    raw(other, sizeof(other), 1) != EACCES || raw(&get, 28, 1) != EACCES)
		return 5;
	return dump(old, privops_send, XFRM_MSG_FLUSHSA) == EACCES ? 0 : 4;
}

/* The memory of both, the only one of its kind here: nothing of a request is in it. */
static bool is_wiped(void)
{
	static const uint8_t clean[PRIVOPS_MAX];
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t from, to;
	bool found = false;
	char line[256];

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, " rw-s ") && strstr(line, "/dev/zero") &&
			sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2;
	if (maps)
		fclose(maps);
	return found && to - from >= sizeof(clean) && !memcmp((void *)from, clean, sizeof(clean));
}

/* There was a socket, and the helper has no room for it: it says so, and lives. */
static int has_no_room(void)
{
	struct rlimit none = { 0, 50 }, some = { 50, 50 };

	if (prlimit(helper, RLIMIT_NOFILE, &none, NULL) ||
	    dump(old, privops_send, XFRM_MSG_GETSA) != ENOBUFS)
		return 1;
	if (!is_wiped())
		return 3;
	if (prlimit(helper, RLIMIT_NOFILE, &some, NULL) ||
	    dump(old, privops_send, XFRM_MSG_GETSA))
		return 2;
	return is_wiped() ? 0 : 4;
}

/* More of them than the helper can have at once. */
static int keeps_none(void)
{
	struct rlimit few = { 50, 50 };
	struct {
		uint32_t op, unused;
		struct request r;
	} flush = { 1, 0, of_type(XFRM_MSG_FLUSHSA, 0) };
	int i;

	if (prlimit(helper, RLIMIT_NOFILE, &few, NULL))
		return 1;
	for (i = 0; i < 200; i++) {
		if (raw(&flush, 28, 2) != EACCES)
			return 2;
	}
	for (i = 0; i < 200; i++) {
		if (dump(old, privops_send, XFRM_MSG_GETSA))
			return 3;
	}
	return 0;
}

static void test_nonsense(void **state)
{
	(void)state;
	works(gets_nonsense);
	works(has_no_room);
	works(keeps_none);
}

/* ---- one without the other ---- */

static int sees_its_end(void)
{
	struct pollfd p = { .fd = privops_fd(), .events = POLLIN };
	struct sa_id id = { .family = AF_INET, .proto = IPPROTO_ESP, .spi = 1 };
	static uint8_t answer[XFRM_BUF];
	struct xfrm x = { .nl = old, .buf = answer };
	struct buf found = {};
	char how[40];

	if (poll(&p, 1, 0) || kill(helper, SIGKILL))
		return 1;
	if (poll(&p, 1, 20000) != 1)
		return 2;
	privops_end_str(how, sizeof(how));
	if (strcmp(how, "was ended by signal 9"))
		return 3;
	if (dump(old, privops_send, XFRM_MSG_GETSA) != EPIPE ||
	    privops_rcvbuf(old, 1 << 20) != -EPIPE || !is_wiped())
		return 4;
	/* Why is said where it is asked for. */
	if (xfrm_get_sa(&x, &id, &found) != -EPIPE ||
	    strcmp(x.error, strerror(EPIPE)))
		return 5;
	privops_stop();
	return kill(helper, 0) && errno == ESRCH ? 0 : 6;
}

static int ends_it(void)
{
	privops_stop();
	if (kill(helper, 0) != -1 || errno != ESRCH || privops_fd() != -1)
		return 1;
	/* Without one it is the caller that asks, and it may not. */
	return dump(old, privops_send, XFRM_MSG_GETSA) == EPERM ? 0 : 2;
}

/* Its helper cannot see for itself that it is. */
static int is_killed(void)
{
	return kill(helper, SIGSTOP) || kill(getpid(), SIGKILL);
}

/* A pipe ends when the last one has let go of it. */
static void test_ends(void **state)
{
	int pair[2], status;
	char c;

	(void)state;
	works(sees_its_end);
	works(ends_it);
	assert_int_equal(pipe(pair), 0);
	status = status_of(is_killed);
	assert_true(WIFSIGNALED(status));
	close(pair[1]);
	assert_int_equal(poll(&(struct pollfd){ .fd = pair[0], .events = POLLIN }, 1, 20000),
			 1);
	assert_int_equal(read(pair[0], &c, 1), 0);
	close(pair[0]);
}

/* It hears none of the signals that the daemon has blocked, as a terminal or systemd
 * sends them to both.
 */
static int is_told_to_end(void)
{
	if (kill(helper, SIGTERM) || kill(helper, SIGINT) || kill(helper, SIGHUP))
		return 1;
	return dump(old, privops_send, XFRM_MSG_GETSA) ? 2 : 0;
}

static void test_signals(void **state)
{
	sigset_t set, before;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &before);
	works(is_told_to_end);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- what it keeps ---- */

static bool says(pid_t pid, const char *file, const char *line)
{
	char path[60], text[300];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	f = fopen(path, "re");
	while (f && !found && fgets(text, sizeof(text), f))
		found = !strncmp(text, line, strlen(line));
	if (f)
		fclose(f);
	return found;
}

static int is_small(void)
{
	char line[60];

	if (!says(helper, "status", "Name:\txfrmsync-helper"))
		return 1;
	snprintf(line, sizeof(line), "CapPrm:\t%016x", 1 << 12 | 1 << 13);
	if (!says(helper, "status", line))
		return 2;
	memcpy(line, "CapEff", 6);
	if (!says(helper, "status", line))
		return 3;
	memcpy(line, "CapBnd", 6);
	if (!says(helper, "status", line) || !says(helper, "status", "NoNewPrivs:\t1"))
		return 4;
	/* Its one buffer, of 128 KiB, is locked; ASan makes nothing of mlock(). */
#ifndef __SANITIZE_ADDRESS__
	if (says(helper, "status", "VmLck:\t       0 kB"))
		return 5;
#endif
	return says(helper, "maps", "") ? 6 : 0;	/* not to be read */
}

/* Neither of them, nor another process of root's, by a descriptor's owner. */
static int signals_nobody(void)
{
	struct f_owner_ex owner = { .type = F_OWNER_PID, .pid = helper };
	int pair[2], fd;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		return 1;
	/* Without the filter it may. */
	if (fcntl(pair[0], F_SETOWN, helper) || fcntl(pair[0], F_SETOWN, 0))
		return 2;
	if (privileges_filter(PRIVILEGES_DAEMON))
		return NO_FILTER;
	if (fcntl(pair[0], F_SETOWN, helper) != -1 || errno != ENOSYS ||
	    fcntl(pair[0], F_SETOWN_EX, &owner) != -1 || errno != ENOSYS ||
	    fcntl(pair[0], F_SETSIG, SIGKILL) != -1 || errno != ENOSYS ||
	    ioctl(pair[0], FIOSETOWN, &helper) != -1 || errno != ENOSYS ||
	    ioctl(pair[0], SIOCSPGRP, &helper) != -1 || errno != ENOSYS)
		return 3;
	/* What the daemon and libraries do with descriptors. */
	fd = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_GETFD) != FD_CLOEXEC ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) ||
	    !(fcntl(fd, F_GETFL) & O_NONBLOCK))
		return 4;
	return dump(old, privops_send, XFRM_MSG_GETSA) ? 5 : 0;
}

static void test_small(void **state)
{
	int status;

	(void)state;
	works(is_small);
	status = status_of(signals_nobody);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_FILTER)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- what it does not start with ---- */

static int without(uint32_t action, int call, unsigned int arg, uint64_t value)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

	if (!f || seccomp_rule_add(f, action, call, 1,
				   SCMP_CMP64(arg, SCMP_CMP_EQ, value)) ||
	    seccomp_load(f))
		return -1;
	seccomp_release(f);
	return 0;
}

/* It would take all sockets for ones of its own namespace. */
static int knows_no_namespaces(void)
{
	char why[80];

	if (without(SCMP_ACT_ERRNO(ENOPROTOOPT), SCMP_SYS(getsockopt), 2, SO_NETNS_COOKIE))
		return NO_FILTER;
	if (privops_start(FAMILY, why, sizeof(why)) != -ENOPROTOOPT ||
	    strcmp(why, strerror(ENOPROTOOPT)))
		return 1;
	return privops_fd() == -1 && !only_child() ? 0 : 2;
}

static int dies_at_once(void)
{
	char why[80], wanted[80];

	if (without(SCMP_ACT_KILL_PROCESS, SCMP_SYS(prctl), 0, PR_SET_PDEATHSIG))
		return NO_FILTER;
	snprintf(wanted, sizeof(wanted), "it was ended by signal %d", SIGSYS);
	if (privops_start(FAMILY, why, sizeof(why)) != -EPIPE || strcmp(why, wanted))
		return 1;
	return privops_fd() == -1 && !only_child() ? 0 : 2;
}

#ifndef __SANITIZE_ADDRESS__
/* Told, as by the daemon; and it starts. */
static int locks_nothing(void)
{
	static const char warning[] = "<4>cannot lock the helper's memory (";
	char why[80], text[200] = "";
	int pair[2];

	if (pipe(pair) || dup2(pair[1], 2) != 2)
		return 1;
	/* Its buffer: the head of a request, and the request. */
	if (without(SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mlock), 1, PRIVOPS_MAX + 8))
		return NO_FILTER;
	if (privops_start(FAMILY, why, sizeof(why)))
		return 1;
	privops_stop();
	if (read(pair[0], text, sizeof(text) - 1) <= 0)
		return 2;
	return strncmp(text, warning, strlen(warning)) ? 3 : 0;
}
#endif

static void starts_or_says(int (*what)(void))
{
	struct rlimit none = {};
	int status;
	pid_t pid = fork();

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		alarm(60);
		_exit(what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_start(void **state)
{
	(void)state;
	starts_or_says(knows_no_namespaces);
	starts_or_says(dies_at_once);
#ifndef __SANITIZE_ADDRESS__
	starts_or_says(locks_nothing);
#endif
}

static int set_up(void **state)
{
	(void)state;
	return geteuid() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xfrm),
		cmocka_unit_test(test_generic),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_asks),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_start),
	};

	return cmocka_run_group_tests_name("privops", tests, set_up, NULL);
}
