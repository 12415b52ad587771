// SPDX-License-Identifier: GPL-2.0
/*
 * In: -
 * Out: XFRM netlink of a network namespace that nobody else has.
 * Forks, for a moment.
 *
 * A socket stays in the namespace that it was made in, and keeps it. A child goes
 * there, and hands one over; so the daemon itself is always where it was.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "scratch.h"

union control {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static struct msghdr message(struct iovec *iov, union control *c)
{
	return (struct msghdr){
		.msg_iov = iov, .msg_iovlen = 1,
		.msg_control = c->buf, .msg_controllen = sizeof(c->buf),
	};
}

static int send_fd(int to, int fd)
{
	union control c = {};
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = message(&iov, &c);
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	return sendmsg(to, &m, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* A file descriptor, or -EPERM: the child had none to give. */
static int receive_fd(int from)
{
	union control c = {};
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = message(&iov, &c);
	struct cmsghdr *cm;
	int fd;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1)
		return -EPERM;
	cm = CMSG_FIRSTHDR(&m);
	if (!cm || cm->cmsg_type != SCM_RIGHTS)
		return -EPERM;
	memcpy(&fd, CMSG_DATA(cm), sizeof(int));
	return fd;
}

/* Without CAP_SYS_ADMIN (systemd's unit has it not): in a user namespace of its own. */
static void child(int to)
{
	int fd;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		_exit(1);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
	_exit(fd < 0 || send_fd(to, fd));
}

int scratch_open(struct xfrm *x)
{
	int pair[2], fd, ret;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid)
		child(pair[1]);
	ret = pid < 0 ? -errno : 0;
	close(pair[1]);
	fd = ret ? ret : receive_fd(pair[0]);
	close(pair[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return fd < 0 ? fd : xfrm_open_fd(x, fd);
}
