// SPDX-License-Identifier: GPL-2.0
/*
 * In: a network namespace, or the call that makes one.
 * Out: follow.py has it, before anything else happens in there.
 * Linked with a test, instead of its unshare(); or by itself: follow VERB PATH.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int __real_unshare(int flags);
int __wrap_unshare(int flags);

/* 0 where nobody asked for it, too. */
static int say(const char *verb, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *where = getenv("FOLLOW");
	char text[300], answer[3] = "";
	int fd;

	if (!where || !where[0])
		return 0;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", where);
	snprintf(text, sizeof(text), "%s %s", verb, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (void *)&sun, sizeof(sun)) ||
	    send(fd, text, strlen(text), 0) < 0 ||
	    recv(fd, answer, 2, 0) != 2 || strcmp(answer, "ok")) {
		fprintf(stderr, "follow: %s: not done\n", text);
		return 1;
	}
	close(fd);
	return 0;
}

#ifdef MAIN
int main(int argc, char **argv)
{
	return argc == 3 ? say(argv[1], argv[2]) : 2;
}
#else
int __wrap_unshare(int flags)
{
	int ret = __real_unshare(flags);
	char path[64];

	if (ret || !(flags & CLONE_NEWNET))
		return ret;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", getpid());
	if (say("follow", path))
		exit(1);
	return 0;
}
#endif
