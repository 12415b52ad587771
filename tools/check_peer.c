// SPDX-License-Identifier: GPL-2.0
/*
 * In: the configured peers.
 * Out: findings: does something answer there.
 * Opens a TCP connection to each, all at the same time, and says nothing on it.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define TIMEOUT_MS 2000

struct attempt {
	struct pollfd poll;	/* fd -1: over */
	char error[128];	/* "" while it runs, and where it connected */
};

static void begin(const struct conf_peer *peer, struct attempt *a)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai;
	char port[8];
	int err;

	a->poll = (struct pollfd){ .fd = -1, .events = POLLOUT };
	a->error[0] = '\0';
	snprintf(port, sizeof(port), "%u", peer->port);
	err = getaddrinfo(peer->address, port, &hints, &ai);
	if (err) {
		snprintf(a->error, sizeof(a->error), "%s", gai_strerror(err));
		return;
	}
	a->poll.fd = socket(ai->ai_family,
			    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->poll.fd < 0 || (connect(a->poll.fd, ai->ai_addr, ai->ai_addrlen) &&
			       errno != EINPROGRESS))
		snprintf(a->error, sizeof(a->error), "%s", strerror(errno));
	freeaddrinfo(ai);
}

static void end(struct attempt *a)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (a->poll.fd < 0)
		return;
	if (!a->error[0]) {
		if (!(a->poll.revents & (POLLOUT | POLLERR | POLLHUP)))
			err = ETIMEDOUT;
		else
			getsockopt(a->poll.fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err)
			snprintf(a->error, sizeof(a->error), "%s", strerror(err));
	}
	close(a->poll.fd);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Until each has connected or failed, or the time is over. */
static void wait_all(struct attempt *a, size_t n)
{
	long long deadline = now_ms() + TIMEOUT_MS, left;
	struct pollfd fds[CONF_MAX_PEERS];
	size_t i, open = n;

	while (open && (left = deadline - now_ms()) > 0) {
		for (i = 0; i < n; i++) {
			fds[i] = a[i].poll;
			if (a[i].poll.revents || a[i].error[0])
				fds[i].fd = -1;
		}
		poll(fds, n, left);
		for (i = 0, open = 0; i < n; i++) {
			if (fds[i].fd >= 0)
				a[i].poll.revents = fds[i].revents;
			open += !a[i].poll.revents && !a[i].error[0];
		}
	}
}

void check_peers(struct check *c, const struct conf *conf)
{
	struct attempt a[CONF_MAX_PEERS];
	const struct conf_peer *peer;
	size_t i;

	if (!conf->n_peers) {
		check_say(c, CHECK_FAIL, "peers", "none in the configuration\nadd [peer NAME]");
		return;
	}
	for (i = 0; i < conf->n_peers; i++)
		begin(&conf->peer[i], &a[i]);
	wait_all(a, conf->n_peers);
	for (i = 0; i < conf->n_peers; i++) {
		peer = &conf->peer[i];
		end(&a[i]);
		if (a[i].error[0])
			check_say(c, CHECK_WARN, "peers", "%s at %s port %u: %s\nlook at its daemon, the route, and the packet filter",
				  peer->name, peer->address, peer->port, a[i].error);
		else
			check_say(c, CHECK_OK, "peers", "%s answers at %s port %u",
				  peer->name, peer->address, peer->port);
	}
}
