// SPDX-License-Identifier: GPL-2.0
/*
 * In: what a daemon that was taken over sends to its helper: requests, descriptors, and what
 *     stands in the memory of both.
 * Out: none of it makes the helper do what is not on its list: to the kernel goes what may,
 *      of a socket that may; each descriptor is closed; no key stays, and an answer has nothing
 *      but what was asked for.
 * libFuzzer's harness: the helper. What it asks the kernel for ends here.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <linux/xfrmsync.h>

#include "fuzz.h"

/* What stands in the input before each request. */
struct step {
	uint8_t control;	/* enum control_kind */
	uint8_t flags;		/* of recvmsg(): bit 0 truncated, bit 1 the control part */
	uint8_t domain, protocol, space;	/* of the socket that comes with it */
	uint8_t say;		/* what the kernel says to it: bit 0 refuses; bit 1: not here */
	uint16_t len, shared;	/* bytes that follow: of the request; in the memory of both */
};

enum control_kind { NONE, RIGHTS, OTHER_LEVEL, OTHER_TYPE, SHORT, KINDS };

#define DAEMON 100		/* file descriptors */
#define PASSED 101
#define EAR 102

static const uint8_t *at;
static size_t left;
static struct step now;
static size_t request;		/* its bytes */
static size_t by_memory;	/* those of a message that was sent, and stood in there */
static bool is_open, sent, may_have_keys, is_sealed;
static uint64_t first_space, second_space;

static ssize_t fake_recvmsg(int fd, struct msghdr *m, int flags);
static ssize_t fake_sendmsg(int fd, const struct msghdr *m, int flags);
static ssize_t fake_sendto(int fd, const void *p, size_t len, int flags,
			   const struct sockaddr *to, socklen_t size);
static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
static int fake_close(int fd);

#define recvmsg fake_recvmsg
#define sendmsg fake_sendmsg
#define sendto fake_sendto
#define getsockopt fake_getsockopt
#define setsockopt fake_setsockopt
#define close fake_close
#define too_big_send fake_too_big_send
#define ike_packet_send fake_ike_packet_send
#define ike_packet_listen fake_ike_packet_listen
#define route_is_here fake_route_is_here
#include "../privops.c"
#undef recvmsg
#undef sendmsg
#undef sendto
#undef getsockopt
#undef setsockopt
#undef close

#define FAMILY 40

/* ---- the kernel ---- */

static size_t take(void *to, size_t len)
{
	if (len > left)
		len = left;
	memcpy(to, at, len);
	at += len;
	left -= len;
	return len;
}

static void put_control(struct msghdr *m)
{
	struct cmsghdr c = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS };
	int fd = PASSED;

	if (now.control == OTHER_LEVEL)
		c.cmsg_level = SOL_NETLINK;
	if (now.control == OTHER_TYPE)
		c.cmsg_type = SCM_CREDENTIALS;
	if (now.control == SHORT)
		c.cmsg_len = CMSG_LEN(0);
	/* What is no descriptor is none that has to be closed. */
	is_open = now.control == RIGHTS;
	assert(m->msg_controllen == CMSG_LEN(sizeof(int)));
	memcpy(m->msg_control, &c, sizeof(c));
	memcpy((char *)m->msg_control + CMSG_LEN(0), &fd, sizeof(fd));
	m->msg_controllen = c.cmsg_len;
}

static ssize_t from_ear(struct msghdr *m)
{
	size_t len = left % (PRIVOPS_PACKET_MAX + 50);

	if (now.say & 1) {
		errno = EAGAIN;
		return -1;
	}
	m->msg_flags = len > m->msg_iov->iov_len ? MSG_TRUNC : 0;
	len = len < m->msg_iov->iov_len ? len : m->msg_iov->iov_len;
	memset(m->msg_iov->iov_base, 'p', len);
	return len;
}

static ssize_t fake_recvmsg(int fd, struct msghdr *m, int flags)
{
	size_t len;

	(void)flags;
	if (fd == EAR)
		return from_ear(m);
	assert(fd == DAEMON && !is_open);
	if (take(&now, sizeof(now)) < sizeof(now))
		return 0;
	sent = false;
	now.control %= KINDS;
	len = now.shared % (PRIVOPS_MAX + 1);
	take(shared, len);
	assert(m->msg_iovlen == 1);
	/* A request has a head at least, mostly, and no more than there is room for. */
	request = take(m->msg_iov->iov_base, now.len < m->msg_iov->iov_len ? now.len :
		       m->msg_iov->iov_len);
	m->msg_flags = (now.flags & 1 ? MSG_TRUNC : 0) | (now.flags & 2 ? MSG_CTRUNC : 0);
	if (now.control && !(now.flags & 2))
		put_control(m);
	else
		m->msg_controllen = 0;
	may_have_keys = true;
	by_memory = 0;
	return request;
}

static int fake_close(int fd)
{
	assert(fd == PASSED && is_open);
	is_open = false;
	return 0;
}

static const int domains[] = { AF_NETLINK, AF_NETLINK, AF_NETLINK, AF_INET, AF_UNIX };
static const int protocols[] = { NETLINK_XFRM, NETLINK_GENERIC, NETLINK_ROUTE, IPPROTO_TCP };

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	uint64_t space = now.space % 4;

	assert(level == SOL_SOCKET && (fd == -1 || (fd == PASSED && is_open)));
	if (fd < 0 || now.say & 4)
		return -1;
	switch (name) {
	case SO_DOMAIN:
		memcpy(value, &domains[now.domain % ARRAY_SIZE(domains)], sizeof(int));
		break;
	case SO_PROTOCOL:
		memcpy(value, &protocols[now.protocol % ARRAY_SIZE(protocols)], sizeof(int));
		break;
	case SO_NETNS_COOKIE:
		assert(*len == sizeof(space));
		/* The one more is the first that it hears of, before it is sealed. */
		if (space != first_space && second_space == UINT64_MAX && !is_sealed)
			second_space = space;
		memcpy(value, &space, sizeof(space));
		break;
	default:
		abort();
	}
	return 0;
}

/* ---- what may be done ---- */

/* By a socket of netlink, of the helper's own namespace or of one more. */
static void may_use(int fd)
{
	uint64_t space = now.space % 4;

	assert(fd == PASSED && is_open);
	assert(!(now.say & 4) && domains[now.domain % ARRAY_SIZE(domains)] == AF_NETLINK);
	assert(space == first_space || space == second_space);
}

static bool may_go_to_xfrm(uint16_t type)
{
	switch (type) {
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
	case XFRM_MSG_DELSA:
	case XFRM_MSG_GETSA:
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
	case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_GETPOLICY:
	case XFRM_MSG_EXPIRE:
	case XFRM_MSG_MIGRATE:
		return true;
	default:
		return false;
	}
}

static bool may_go_to_genl(const struct nlmsghdr *nlh)
{
	uint8_t cmd = ((const uint8_t *)nlh)[NLMSG_HDRLEN];

	return nlh->nlmsg_type == GENL_ID_CTRL ? cmd == CTRL_CMD_GETFAMILY :
	       nlh->nlmsg_type == FAMILY && cmd <= XFRMSYNC_CMD_MAX;
}

/* Each message of it that the kernel would look at, as netlink_rcv_skb() goes. */
static void may_go(int protocol, const uint8_t *p, size_t len)
{
	struct nlmsghdr nlh;
	size_t step;

	assert(protocol == NETLINK_XFRM || protocol == NETLINK_GENERIC);
	for (; len >= NLMSG_HDRLEN; p += step, len -= step) {
		memcpy(&nlh, p, sizeof(nlh));
		if (nlh.nlmsg_len < NLMSG_HDRLEN || nlh.nlmsg_len > len)
			return;
		step = NLMSG_ALIGN(nlh.nlmsg_len);
		step = step < len ? step : len;
		if (protocol == NETLINK_XFRM)
			assert(may_go_to_xfrm(nlh.nlmsg_type));
		else
			assert(step >= NLMSG_HDRLEN + GENL_HDRLEN && step == len &&
			       may_go_to_genl((const void *)p));
	}
}

static ssize_t fake_sendto(int fd, const void *p, size_t len, int flags,
			   const struct sockaddr *to, socklen_t size)
{
	const struct sockaddr_nl *kernel = (const void *)to;
	int protocol = protocols[now.protocol % ARRAY_SIZE(protocols)];

	(void)flags;
	may_use(fd);
	assert(len <= PRIVOPS_MAX && size == sizeof(*kernel));
	assert(!kernel->nl_pid && !kernel->nl_groups);
	/* Nobody else can write to what is looked at. */
	assert((const uint8_t *)p < shared || (const uint8_t *)p >= shared + PRIVOPS_MAX);
	may_go(protocol, p, len);
	may_have_keys = protocol != NETLINK_GENERIC;
	by_memory = request == sizeof(order.head) ? len : 0;
	if (now.say & 1)
		errno = ENOBUFS;
	return now.say & 1 ? -1 : (ssize_t)len;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int size;

	may_use(fd);
	assert(level == SOL_SOCKET && name == SO_RCVBUFFORCE && len == sizeof(size));
	memcpy(&size, value, sizeof(size));
	assert(size >= 0 && size <= 16 << 20);
	return now.say & 1 ? -1 : 0;
}

bool route_is_here(struct route *r, uint16_t family, const uint8_t *addr)
{
	(void)r;
	assert((family == AF_INET || family == AF_INET6) && addr);
	return !(now.say & 2);
}

int too_big_send(const struct route_way *way, uint32_t mtu)
{
	(void)mtu;
	assert((way->family == AF_INET || way->family == AF_INET6) && !(now.say & 2));
	return 0;
}

int ike_packet_send(const struct ike_way *way, const uint8_t *msg, size_t len)
{
	uint8_t copy[IKE_PACKET_SEND_MAX] = {};

	assert((way->family == AF_INET || way->family == AF_INET6) && !(now.say & 2));
	assert(len <= IKE_PACKET_SEND_MAX);
	memcpy(copy, msg, len);
	return copy[0] == now.say ? -EPERM : 0;
}

int ike_packet_listen(int fd, uint32_t family, bool on)
{
	(void)on;
	assert(fd == EAR && (family == AF_INET || family == AF_INET6));
	return now.say & 1 ? -EPERM : 0;
}

/* ---- the answer ---- */

static bool is_zero(const uint8_t *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

static bool is_a_packet(const uint8_t *p, size_t len, size_t asked)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != (i < asked ? 0 : 'p'))
			return false;
	return true;
}

static ssize_t fake_sendmsg(int fd, const struct msghdr *m, int flags)
{
	size_t len = m->msg_iov[0].iov_len + m->msg_iov[1].iov_len;
	int ret;

	(void)flags;
	assert(fd == DAEMON && !sent && !is_open && m->msg_iovlen == 2 && !m->msg_controllen);
	assert(m->msg_iov[0].iov_len == sizeof(ret));
	memcpy(&ret, m->msg_iov[0].iov_base, sizeof(ret));
	sent = true;
	if (len > sizeof(ret)) {
		/* A packet that was heard; where more was asked with, nothing stands. */
		assert(ret == (int)m->msg_iov[1].iov_len && ret <= PRIVOPS_PACKET_MAX);
		assert(is_a_packet(m->msg_iov[1].iov_base, ret, request - sizeof(order.head)));
	} else if (may_have_keys && request > sizeof(order.head)) {
		assert(is_zero(order.body, request - sizeof(order.head)));
	}
	if (may_have_keys)
		assert(is_zero(order.body, by_memory) && is_zero(shared, by_memory));
	is_sealed = spaces.sealed;
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!shared)
		assert(!shared_open());
	at = data;
	left = size;
	memset(&spaces, 0, sizeof(spaces));
	is_sealed = false;
	first_space = 0;
	second_space = UINT64_MAX;
	spaces.cookie[spaces.n++] = first_space;
	ears[0] = ears[1] = size % 3 ? EAR : -1;
	is_open = false;
	serve(DAEMON, size % 7 ? FAMILY : 0);
	/* No bytes are the end: of the socket, and of the helper with all that it has open. */
	assert(!is_open || !request);
	return 0;
}
