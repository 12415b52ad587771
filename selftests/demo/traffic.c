// SPDX-License-Identifier: GPL-2.0
/*
 * In: a list of tunnels; network namespaces with a client behind each, and one of servers.
 * Out: numbered UDP packets both ways through all of them, and a log of each that was
 *      sent and of each that arrived. One process, so one clock.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_TUNNELS 255
#define MAGIC 0x78667273u
#define PAYLOAD 160
#define NSEC 1000000000ull
#define DRAIN_MS 700
#define MAX_LATE 64	/* ticks made up for after a stall; more are left out */

/* Directions as the gateway's inside sees them. */
enum { IN, OUT, DIRS };
static const char *const dir_name[DIRS] = { "in", "out" };

/* What a packet carries; big-endian. */
struct payload {
	uint32_t magic;
	uint8_t dir, tunnel;
	uint16_t zero;
	uint64_t number, sent_ns;
	uint8_t fill[PAYLOAD - 24];
};

/* One direction of one tunnel; fd is the socket that sends it. */
struct flow {
	int fd;
	uint64_t sent, arrived;
};

static struct flow flows[MAX_TUNNELS][DIRS];
static size_t n_tunnels;
static FILE *log_file;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NSEC + t.tv_nsec;
}

static void enter_netns(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "namespace %s", name);
	close(fd);
}

static socklen_t parse_addr(const char *text, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_in *in = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return sizeof(*in6);
	}
	errx(2, "%s: not an address", text);
}

/* A connected socket of the namespace that the process is in. */
static int open_socket(const char *from, const char *to, uint16_t port)
{
	struct sockaddr_storage src, dst;
	int buffer = 1 << 20, one = 1, fd;
	socklen_t len;

	len = parse_addr(from, port, &src);
	if (parse_addr(to, port, &dst) != len)
		errx(2, "%s and %s: two families", from, to);
	fd = socket(src.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(1, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))
		err(1, "socket options");
	if (bind(fd, (struct sockaddr *)&src, len) || connect(fd, (struct sockaddr *)&dst, len))
		err(1, "%s to %s", from, to);
	return fd;
}

/* Lines of "CLIENT-NETNS CLIENT-ADDRESS SERVER-ADDRESS". */
static void read_tunnels(const char *file, const char *server_netns)
{
	char netns[64], client[64], server[64];
	FILE *f = fopen(file, "re");

	if (!f)
		err(1, "%s", file);
	while (fscanf(f, "%63s %63s %63s", netns, client, server) == 3) {
		uint16_t port = 7000 + n_tunnels;

		if (n_tunnels == MAX_TUNNELS)
			errx(2, "%s: more than %d tunnels", file, MAX_TUNNELS);
		enter_netns(netns);
		flows[n_tunnels][IN].fd = open_socket(client, server, port);
		enter_netns(server_netns);
		flows[n_tunnels][OUT].fd = open_socket(server, client, port);
		n_tunnels++;
	}
	fclose(f);
	if (!n_tunnels)
		errx(2, "%s: no tunnel", file);
}

static void send_one(size_t tunnel, int dir)
{
	struct flow *f = &flows[tunnel][dir];
	struct payload p = {
		.magic = htobe32(MAGIC),
		.dir = dir,
		.tunnel = tunnel,
		.number = htobe64(++f->sent),
	};
	uint64_t t = now_ns();
	ssize_t n;

	p.sent_ns = htobe64(t);
	n = send(f->fd, &p, sizeof(p), MSG_DONTWAIT);
	/* An error of an earlier packet (ICMP) is told here, and costs this one nothing. */
	if (n < 0)
		n = send(f->fd, &p, sizeof(p), MSG_DONTWAIT);
	fprintf(log_file, "sent,%s,%zu,%" PRIu64 ",%" PRIu64 ",%d\n", dir_name[dir],
		tunnel + 1, f->sent, t, n < 0 ? errno : 0);
}

static uint64_t arrival_ns(struct msghdr *msg)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec t;

			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return t.tv_sec * NSEC + t.tv_nsec;
		}
	}
	return now_ns();
}

/* fd receives the direction that its tunnel's other socket sends. */
static void receive(int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(struct timespec))];
		struct cmsghdr align;
	} control;
	struct payload p;
	struct iovec iov = { .iov_base = &p, .iov_len = sizeof(p) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	for (;;) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		n = recvmsg(fd, &msg, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			continue;	/* an ICMP error, taken by asking */
		if (n != sizeof(p) || be32toh(p.magic) != MAGIC || p.dir >= DIRS ||
		    p.tunnel >= n_tunnels || flows[p.tunnel][!p.dir].fd != fd) {
			fprintf(log_file, "strange,,,,,\n");
			continue;
		}
		flows[p.tunnel][p.dir].arrived++;
		fprintf(log_file, "arrived,%s,%d,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n",
			dir_name[p.dir], p.tunnel + 1, be64toh(p.number), be64toh(p.sent_ns),
			arrival_ns(&msg));
	}
}

static bool all_arrived(uint64_t least)
{
	for (size_t i = 0; i < n_tunnels; i++)
		if (flows[i][IN].arrived < least || flows[i][OUT].arrived < least)
			return false;
	return true;
}

static int tick_timer(unsigned int rate)
{
	uint64_t period = NSEC / rate / n_tunnels;
	struct itimerspec its = {
		.it_interval = { period / NSEC, period % NSEC },
		.it_value = { period / NSEC, period % NSEC },
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &its, NULL))
		err(1, "timer");
	return fd;
}

static int stop_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

static void watch(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		err(1, "epoll");
}

static void on_tick(int timer)
{
	static size_t turn;
	uint64_t times;

	if (read(timer, &times, sizeof(times)) != sizeof(times))
		return;
	for (times = times > MAX_LATE ? MAX_LATE : times; times; times--) {
		send_one(turn, IN);
		send_one(turn, OUT);
		turn = (turn + 1) % n_tunnels;
	}
}

/* Sends until a signal comes, then only listens until nothing more is under way. */
static void run(unsigned int rate, uint64_t warm, const char *warm_file)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), timer = tick_timer(rate), stop = stop_signals();
	struct epoll_event ev[64];
	bool sending = true;
	int n;

	for (size_t i = 0; i < n_tunnels; i++) {
		watch(ep, flows[i][IN].fd);
		watch(ep, flows[i][OUT].fd);
	}
	watch(ep, timer);
	watch(ep, stop);
	for (;;) {
		n = epoll_wait(ep, ev, 64, sending ? -1 : DRAIN_MS);
		if (n < 0 && errno != EINTR)
			err(1, "epoll_wait");
		if (!n)
			return;
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == stop) {
				sending = false;
				epoll_ctl(ep, EPOLL_CTL_DEL, stop, NULL);
				epoll_ctl(ep, EPOLL_CTL_DEL, timer, NULL);
			} else if (ev[i].data.fd != timer) {
				receive(ev[i].data.fd);
			} else if (sending) {
				on_tick(timer);
			}
		}
		if (warm_file && all_arrived(warm)) {
			fclose(fopen(warm_file, "we") ?: stderr);
			warm_file = NULL;
		}
	}
}

static void usage(void)
{
	fputs("usage: traffic -f TUNNELS -n SERVER-NETNS -o LOG [-r RATE] [-w COUNT -W FILE]\n"
	      "  -r  packets a second each way in each tunnel (20)\n"
	      "  -w  makes FILE once COUNT packets have arrived of each direction and tunnel\n"
	      "Ends on SIGTERM, after what is under way. TUNNELS: lines of client's namespace,\n"
	      "client's address, server's address. LOG: sent,DIR,TUNNEL,NUMBER,NS,ERRNO and\n"
	      "arrived,DIR,TUNNEL,NUMBER,SENT-NS,ARRIVED-NS; DIR is in or out of the inside.\n",
	      stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	const char *tunnels = NULL, *netns = NULL, *log_path = NULL, *warm_file = NULL;
	unsigned long rate = 20, warm = 0;
	int c;

	while ((c = getopt(argc, argv, "f:n:o:r:w:W:")) != -1) {
		switch (c) {
		case 'f': tunnels = optarg; break;
		case 'n': netns = optarg; break;
		case 'o': log_path = optarg; break;
		case 'r': rate = strtoul(optarg, NULL, 10); break;
		case 'w': warm = strtoul(optarg, NULL, 10); break;
		case 'W': warm_file = optarg; break;
		default: usage();
		}
	}
	if (!tunnels || !netns || !log_path || !rate || rate > 10000 || optind != argc)
		usage();
	log_file = fopen(log_path, "we");
	if (!log_file)
		err(1, "%s", log_path);
	read_tunnels(tunnels, netns);
	run(rate, warm, warm_file);
	if (fclose(log_file))
		err(1, "%s", log_path);
	return 0;
}
