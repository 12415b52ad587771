// SPDX-License-Identifier: GPL-2.0
/*
 * In: requests to the kernel that want CAP_NET_ADMIN or CAP_NET_RAW.
 * Out: the same, made by a process that does nothing else: the helper.
 * Blocking, one request at a time; where no helper runs, made by the caller itself.
 *
 * A request comes with the socket that it is for, which the helper closes after it: so
 * none lives longer than the daemon's own, and what is made later is as good as what
 * was open at the start.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <linux/xfrmsync.h>
#include <sodium.h>

#include "ike_packet.h"
#include "log.h"
#include "privileges.h"
#include "privops.h"
#include "too_big.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RCVBUF_MAX (16 * 1024 * 1024)
#define SNDBUF (2 * PRIVOPS_MAX)

enum op { OP_SEND = 1, OP_RCVBUF, OP_TOO_BIG, OP_SEAL, OP_IKE, OP_LISTEN, OP_HEAR };

/* Behind it: the message, an int, a struct too_big, nothing, a struct ike with its message,
 * an int (on or off), nothing.
 */
struct head {
	uint32_t op;
	uint32_t shared;	/* bytes of a message that stands in the memory of both; or 0 */
};

struct too_big {
	struct route_way way;
	uint32_t mtu;
};

struct ike {
	struct ike_way way;
	uint8_t msg[IKE_PACKET_SEND_MAX];	/* as much of it as there is */
};

/* ---- the list ---- */

/* What xfrm.c sends: no flush, no state of others, no settings. */
static const uint16_t xfrm_types[] = {
	XFRM_MSG_NEWSA, XFRM_MSG_UPDSA, XFRM_MSG_DELSA, XFRM_MSG_GETSA,
	XFRM_MSG_NEWPOLICY, XFRM_MSG_UPDPOLICY, XFRM_MSG_DELPOLICY,
	XFRM_MSG_GETPOLICY, XFRM_MSG_EXPIRE, XFRM_MSG_MIGRATE,
};

/* ... and genl.c */
static const uint8_t commands[] = {
	XFRMSYNC_CMD_GET, XFRMSYNC_CMD_SUBSCRIBE, XFRMSYNC_CMD_UNSUBSCRIBE,
	XFRMSYNC_CMD_PULL, XFRMSYNC_CMD_RESTORE, XFRMSYNC_CMD_BIND,
	XFRMSYNC_CMD_STATUS_GET, XFRMSYNC_CMD_ROLE_SET, XFRMSYNC_CMD_STATS_GET,
	XFRMSYNC_CMD_WATCHDOG_SET,
};

static bool allows_xfrm(uint16_t type)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(xfrm_types); i++) {
		if (xfrm_types[i] == type)
			return true;
	}
	return false;
}

static bool allows_genl(uint16_t family, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	size_t i;

	if (nlh->nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN)
		return false;
	if (nlh->nlmsg_type == GENL_ID_CTRL)
		return genl->cmd == CTRL_CMD_GETFAMILY;
	if (!family || nlh->nlmsg_type != family)
		return false;
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i] == genl->cmd)
			return true;
	}
	return false;
}

static bool allows_all_xfrm(const struct nlmsghdr *nlh, size_t len)
{
	size_t step;

	/* As the kernel goes from one to the next. */
	do {
		if (len < NLMSG_HDRLEN || nlh->nlmsg_len < NLMSG_HDRLEN ||
		    nlh->nlmsg_len > len || !allows_xfrm(nlh->nlmsg_type))
			return false;
		step = NLMSG_ALIGN(nlh->nlmsg_len);
		len -= step < len ? step : len;
		nlh = (const void *)((const char *)nlh + step);
	} while (len);
	return true;
}

bool privops_allows(int protocol, uint16_t family, const void *msg, size_t len)
{
	const struct nlmsghdr *nlh = msg;

	switch (protocol) {
	case NETLINK_XFRM:
		return allows_all_xfrm(nlh, len);
	case NETLINK_GENERIC:
		/* The kernel would take what is behind it for the next one. */
		return len >= NLMSG_HDRLEN && nlh->nlmsg_len == len &&
		       allows_genl(family, nlh);
	default:
		return false;
	}
}

/* ---- both sides ---- */

/*
 * What the daemon asks for goes by here: by the socket the kernel would copy each byte of it
 * twice, and clear the room for it first. The helper looks at a copy of its own, which nobody
 * else can write to. The daemon has locked it for both.
 */
static uint8_t *shared;

static int shared_open(void)
{
	void *p = mmap(NULL, PRIVOPS_MAX, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	shared = p;
	return 0;
}

static void shared_close(void)
{
	if (shared)
		munmap(shared, PRIVOPS_MAX);
	shared = NULL;
}

union control {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* Room for one descriptor: CMSG_SPACE() would have it for two. */
static struct msghdr message(struct iovec *iov, size_t n, union control *c)
{
	return (struct msghdr){
		.msg_iov = iov, .msg_iovlen = n, .msg_control = c ? c->buf : NULL,
		.msg_controllen = c ? CMSG_LEN(sizeof(int)) : 0,
	};
}

static ssize_t get(int from, struct msghdr *m)
{
	ssize_t n;

	do
		n = recvmsg(from, m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t put(int to, const struct msghdr *m)
{
	ssize_t n;

	do
		n = sendmsg(to, m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

/* @p: what comes with it; len 0: nothing */
static int answer_with(int to, int ret, const void *p, size_t len)
{
	struct iovec iov[] = { { &ret, sizeof(ret) }, { (void *)p, len } };
	struct msghdr m = message(iov, 2, NULL);
	ssize_t n;

	/* What was done must not look as if it were not. */
	do
		n = put(to, &m);
	while (n < 0 && (errno == ENOBUFS || errno == ENOMEM));
	return n == (ssize_t)(sizeof(ret) + len) ? 0 : -EPIPE;
}

static int answer(int to, int ret)
{
	return answer_with(to, ret, NULL, 0);
}

static int receive_answer(int from)
{
	int ret = -EPIPE;
	struct iovec iov = { &ret, sizeof(ret) };
	struct msghdr m = message(&iov, 1, NULL);

	return get(from, &m) == sizeof(ret) ? ret : -EPIPE;
}

/* ---- the helper ---- */

static struct {
	struct head head;
	uint8_t body[PRIVOPS_MAX];	/* keys pass through it */
} order __attribute__((aligned(8)));

/* What it was asked for may have some: all but the module's messages may. */
static bool has_keys;

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

/* The network namespaces that it may be about: its own, and one more. */
static struct {
	uint64_t cookie[2];
	size_t n;
	bool sealed;
} spaces;

/* With CAP_NET_ADMIN of the initial user namespace it would be all that there are. */
static bool is_of_ours(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	size_t i;

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		return false;
	for (i = 0; i < spaces.n; i++) {
		if (spaces.cookie[i] == cookie)
			return true;
	}
	if (spaces.sealed || spaces.n == ARRAY_SIZE(spaces.cookie))
		return false;
	spaces.cookie[spaces.n++] = cookie;
	return true;
}

static bool is_netlink(int fd)
{
	return option(fd, SO_DOMAIN) == AF_NETLINK && is_of_ours(fd);
}

/*
 * To the kernel, by an address: so it asks for the rights of who sends alone, and a
 * socket that was made without them does as well.
 */
static int make_send(int fd, uint16_t family, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int protocol = option(fd, SO_PROTOCOL);

	if (!is_netlink(fd) ||
	    !privops_allows(protocol, family, order.body, len))
		return -EACCES;
	has_keys = protocol != NETLINK_GENERIC;
	return sendto(fd, order.body, len, MSG_NOSIGNAL, (void *)&kernel,
		      sizeof(kernel)) < 0 ? -errno : 0;
}

static int make_rcvbuf(int fd, size_t len)
{
	int size;

	if (len != sizeof(size) || !is_netlink(fd))
		return -EACCES;
	memcpy(&size, order.body, sizeof(size));
	if (size < 0 || size > RCVBUF_MAX)
		return -EACCES;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ?
	       -errno : 0;
}

/* What addresses this node has; opened before the filter, with no use of its rights. */
static struct route here;

/*
 * The message must not leave this node, whoever asks for it: a source that is not local
 * would be another host's, or many hosts', and with net.ipv4.ip_nonlocal_bind it is no
 * hindrance to be bound to.
 */
static int make_too_big(size_t len)
{
	struct too_big t;

	if (len != sizeof(t))
		return -EACCES;
	memcpy(&t, order.body, sizeof(t));
	if (t.way.family != AF_INET && t.way.family != AF_INET6)
		return -EACCES;
	if (!route_is_here(&here, t.way.family, t.way.src))
		return -EADDRNOTAVAIL;
	return too_big_send(&t.way, t.mtu);
}

/* With a source that is not local it would speak for others. */
static int make_ike(size_t len)
{
	const size_t head = offsetof(struct ike, msg);
	struct ike ike;

	if (len < head || len > sizeof(ike))
		return -EACCES;
	memcpy(&ike, order.body, len);
	if (ike.way.family != AF_INET && ike.way.family != AF_INET6)
		return -EACCES;
	if (!route_is_here(&here, ike.way.family, ike.way.src))
		return -EADDRNOTAVAIL;
	return ike_packet_send(&ike.way, ike.msg, len - head);
}

/* Packet sockets, IPv4's and IPv6's, open before the filter; -1: not. They are not the
 * daemon's to have: who has one can hear all, and send anything.
 */
static int ears[2] = { -1, -1 };

static void open_ears(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ears); i++)
		ears[i] = ike_packet_open();
}

static int listen_ike(bool on)
{
	int v4 = ears[0] < 0 ? -EPERM : ike_packet_listen(ears[0], AF_INET, on);
	int v6 = ears[1] < 0 ? -EPERM : ike_packet_listen(ears[1], AF_INET6, on);

	return v4 ? v4 : v6;
}

/* The next packet's length, or -EAGAIN. */
static int hear(uint8_t *p, size_t size)
{
	struct iovec iov = { p, size };
	struct msghdr m = message(&iov, 1, NULL);
	ssize_t n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ears); i++) {
		/* Packet sockets take no MSG_CMSG_CLOEXEC. */
		n = ears[i] < 0 ? -1 : recvmsg(ears[i], &m, 0);
		/* A longer one is none of those that are looked for. */
		if (n >= 0)
			return m.msg_flags & MSG_TRUNC ? 0 : n;
	}
	return -EAGAIN;
}

static int make_listen(size_t len)
{
	int on;

	if (len != sizeof(on))
		return -EACCES;
	memcpy(&on, order.body, sizeof(on));
	return listen_ike(on);
}

/* @fd: -1: none came with it */
static int make(int fd, uint16_t family, size_t len)
{
	switch (order.head.op) {
	case OP_SEND:
		return make_send(fd, family, len);
	case OP_RCVBUF:
		return make_rcvbuf(fd, len);
	case OP_TOO_BIG:
		return make_too_big(len);
	case OP_IKE:
		return make_ike(len);
	case OP_LISTEN:
		return make_listen(len);
	case OP_HEAR:
		return hear(order.body, PRIVOPS_PACKET_MAX);
	case OP_SEAL:
		spaces.sealed = true;
		return 0;
	default:
		return -EACCES;
	}
}

static int fd_of(struct msghdr *m)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(m);
	int fd;

	if (!cm || cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS ||
	    cm->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(cm), sizeof(int));
	return fd;
}

/* n bytes came by the socket. @len: of a message that stood in the memory of both. */
static int obey(ssize_t n, int fd, uint16_t family, size_t *len)
{
	size_t head = sizeof(order.head);

	if (n < (ssize_t)head)
		return -EACCES;
	if (!order.head.shared)
		return make(fd, family, n - head);
	if (n != (ssize_t)head || order.head.op != OP_SEND ||
	    order.head.shared > PRIVOPS_MAX)
		return -EACCES;
	*len = order.head.shared;
	memcpy(order.body, shared, *len);
	return make(fd, family, *len);
}

static void wipe(size_t n, size_t len)
{
	if (!has_keys)
		return;
	sodium_memzero(&order, n);
	sodium_memzero(order.body, len);
	sodium_memzero(shared, len);
}

static void serve(int from, uint16_t family)
{
	union control c;
	struct iovec iov = { &order, sizeof(order) };
	struct msghdr m;
	ssize_t n;
	size_t with, len;
	int fd, ret;

	do {
		m = message(&iov, 1, &c);
		n = get(from, &m);
		if (n <= 0)
			return;
		fd = fd_of(&m);
		has_keys = true;
		len = 0;
		if (m.msg_flags & MSG_TRUNC)
			ret = -EMSGSIZE;
		else if (fd < 0 && m.msg_flags & MSG_CTRUNC)
			ret = -ENOBUFS;	/* there was one */
		else
			ret = obey(n, fd, family, &len);
		with = order.head.op == OP_HEAR && ret > 0 ? ret : 0;
		/* A packet stands behind the request, which has nothing there. */
		wipe(n, len);
		if (fd >= 0)
			close(fd);
	} while (!answer_with(from, ret, order.body, with));
}

/* Signals that end the daemon it does not hear: it ends when the daemon has. */
static int settle(pid_t parent)
{
	int ret;

	prctl(PR_SET_NAME, "xfrmsync-helper");
	/* Locks do not come along with fork(). */
	if (mlock(&order, sizeof(order)))
		log_warn("cannot lock the helper's memory (%s): keys may reach the swap",
			 strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	if (getppid() != parent)
		return -EPIPE;
	open_ears();
	ret = route_open(&here);
	if (!ret)
		ret = privileges_drop(PRIVILEGES_HELPER);
	if (!ret)
		ret = privileges_filter(PRIVILEGES_HELPER);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

static void helper(int from, pid_t parent, uint16_t family)
{
	int ret = settle(parent);

	/* The first one that it hears of. */
	if (!ret && !is_of_ours(from))
		ret = -ENOPROTOOPT;
	if (!answer(from, ret) && !ret)
		serve(from, family);
	_exit(0);
}

/* ---- the daemon ---- */

static int to_helper = -1;
static pid_t helper_pid;

/*
 * The kernel counts the descriptors that all processes of uid 0 have on their way, a
 * container's among them, and refuses to send one more where that is above the sender's
 * own limit: the larger it is, the more somebody has to hold there to stop the daemon.
 */
static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static void hang_up(void)
{
	if (to_helper >= 0)
		close(to_helper);
	to_helper = -1;
}

/* Of one that has not answered it is how it ended that says something. */
static void say_why(int err, char *why, size_t len)
{
	char how[40];

	if (err != -EPIPE) {
		snprintf(why, len, "%s", strerror(-err));
		return;
	}
	privops_end_str(how, sizeof(how));
	snprintf(why, len, "it %s", how);
}

int privops_start(uint16_t family, char *why, size_t len)
{
	pid_t self = getpid();
	int pair[2], size = SNDBUF, ret;

	ret = shared_open();
	if (!ret && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		ret = -errno;
	if (ret) {
		shared_close();
		say_why(ret, why, len);
		return ret;
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	raise_limit();
	helper_pid = fork();
	if (!helper_pid) {
		close(pair[0]);
		helper(pair[1], self, family);
	}
	ret = helper_pid < 0 ? -errno : 0;
	close(pair[1]);
	to_helper = pair[0];
	if (!ret)
		ret = receive_answer(to_helper);
	if (ret) {
		hang_up();
		say_why(ret, why, len);
		privops_stop();
	}
	return ret;
}

void privops_stop(void)
{
	hang_up();
	if (helper_pid > 0)
		waitpid(helper_pid, NULL, 0);
	helper_pid = 0;
	shared_close();
}

int privops_fd(void)
{
	return to_helper;
}

void privops_end_str(char *s, size_t len)
{
	int status = 0;

	if (helper_pid <= 0 || waitpid(helper_pid, &status, 0) != helper_pid)
		snprintf(s, len, "is gone");
	else if (WIFSIGNALED(status))
		snprintf(s, len, "was ended by signal %d", WTERMSIG(status));
	else
		snprintf(s, len, "has ended with %d", WEXITSTATUS(status));
	helper_pid = 0;
}

static int ask_with(struct head head, const void *p, size_t len, int fd)
{
	struct iovec iov[] = { { &head, sizeof(head) }, { (void *)p, len } };
	union control c = {};
	struct msghdr m = message(iov, 2, fd < 0 ? NULL : &c);
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

	if (cm) {
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	return put(to_helper, &m) < 0 ? -errno : receive_answer(to_helper);
}

static int ask(enum op op, const void *p, size_t len, int fd)
{
	return ask_with((struct head){ .op = op }, p, len, fd);
}

static int ask_to_send(const void *msg, size_t len, int fd)
{
	int ret;

	if (len > PRIVOPS_MAX)
		return -EMSGSIZE;
	memcpy(shared, msg, len);
	ret = ask_with((struct head){ .op = OP_SEND, .shared = len }, NULL, 0, fd);
	/* A helper that did not come to the message, or is gone, has not wiped it. */
	if (ret < 0)
		sodium_memzero(shared, len);
	return ret;
}

int privops_seal(void)
{
	return to_helper < 0 ? 0 : ask(OP_SEAL, NULL, 0, -1);
}

ssize_t privops_send(const struct mnl_socket *nl, const void *msg, size_t len)
{
	int ret;

	if (to_helper < 0)
		return mnl_socket_sendto(nl, msg, len);
	ret = ask_to_send(msg, len, mnl_socket_get_fd(nl));
	if (!ret)
		return len;
	if (ret == -EACCES)
		log_err("the helper refuses a request of type %u to the kernel: it is not on its list, or of another network namespace",
			((const struct nlmsghdr *)msg)->nlmsg_type);
	errno = -ret;
	return -1;
}

int privops_rcvbuf(const struct mnl_socket *nl, int size)
{
	int fd = mnl_socket_get_fd(nl);

	if (to_helper >= 0)
		return ask(OP_RCVBUF, &size, sizeof(size), fd);
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ?
	       -errno : 0;
}

int privops_too_big(const struct route_way *way, uint32_t mtu)
{
	struct too_big t = { *way, mtu };

	return to_helper < 0 ? too_big_send(way, mtu) :
			       ask(OP_TOO_BIG, &t, sizeof(t), -1);
}

int privops_ike(const struct ike_way *way, const uint8_t *msg, size_t len)
{
	struct ike ike = { .way = *way };

	if (len > sizeof(ike.msg))
		return -EACCES;
	memcpy(ike.msg, msg, len);
	return to_helper < 0 ? ike_packet_send(way, msg, len) :
	       ask(OP_IKE, &ike, offsetof(struct ike, msg) + len, -1);
}

int privops_listen(bool on)
{
	int v = on;

	return to_helper < 0 ? listen_ike(on) : ask(OP_LISTEN, &v, sizeof(v), -1);
}

int privops_hear(uint8_t p[PRIVOPS_PACKET_MAX])
{
	struct head head = { .op = OP_HEAR };
	struct iovec out = { &head, sizeof(head) };
	struct msghdr m = message(&out, 1, NULL);
	int ret = -EPIPE;
	struct iovec in[] = { { &ret, sizeof(ret) }, { p, PRIVOPS_PACKET_MAX } };
	ssize_t n;

	if (to_helper < 0)
		return hear(p, PRIVOPS_PACKET_MAX);
	if (put(to_helper, &m) < 0)
		return -errno;
	m = message(in, 2, NULL);
	n = get(to_helper, &m);
	if (n < (ssize_t)sizeof(ret) || (ret > 0 && n != (ssize_t)sizeof(ret) + ret))
		return -EPIPE;
	return ret;
}
