// SPDX-License-Identifier: GPL-2.0
/*
 * What a packet costs that is sent in one network namespace and received in another, by the
 * clock. Where that counts instructions (kselftest.sh -i), it is that many.
 *
 * usage: packets [-ao] [-n PACKETS] [-r REPEATS] [-s ADDRESSES] [-p MS] FROM TO ADDRESS
 *   -n PACKETS    a repeat (4096), 100 bytes of UDP each
 *   -r REPEATS    (9), after one that does not count
 *   -s ADDRESSES  one packet to each in turn: ADDRESS, the one after it ... (1)
 *   -p MS         a pause before each repeat, for what others do then
 *   -a            XFRM's own aevents of both namespaces are read, as a follower would
 *   -o            others may have the processor meanwhile, and are counted
 *
 * Prints "MIN MEDIAN MAX", for each packet. Exit code 1: some packet did not arrive.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define PORT 9999
#define SIZE 100
#define RCVBUF (8 << 20)

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void enter(const char *ns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

static int udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), n = RCVBUF;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof(n)))
		die("socket");
	return fd;
}

static int receiver(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(PORT),
	};
	int fd = udp();

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
	return fd;
}

static int aevents(void)
{
	struct sockaddr_nl at = {
		.nl_family = AF_NETLINK, .nl_groups = XFRMGRP_SA,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_XFRM);
	int n = RCVBUF, group = XFRMNLGRP_AEVENTS;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof(n)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)))
		die("netlink");
	return fd;
}

static unsigned int drain(int fd)
{
	static char buf[8192];
	unsigned int n = 0;

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		n++;
	if (errno != EAGAIN)
		die("recv");
	return n;
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv)
{
	unsigned int packets = 4096, repeats = 9, addresses = 1, pause_ms = 0;
	int tx, rx, opt, events[2] = { -1, -1 };
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(PORT),
	};
	struct sched_param first = { .sched_priority = 10 };
	char data[SIZE] = "";
	bool listen = false, others = false;
	double *cost;
	in_addr_t base;

	while ((opt = getopt(argc, argv, "aon:r:s:p:")) != -1) {
		unsigned int n = optarg ? strtoul(optarg, NULL, 10) : 0;

		switch (opt) {
		case 'a':
			listen = true;
			break;
		case 'o':
			others = true;
			break;
		case 'n':
			packets = n;
			break;
		case 'r':
			repeats = n;
			break;
		case 's':
			addresses = n;
			break;
		case 'p':
			pause_ms = n;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 3 || !packets || !repeats || !addresses ||
	    inet_pton(AF_INET, argv[optind + 2], &to.sin_addr) != 1) {
		fprintf(stderr, "packets: see the comment in its source\n");
		return 2;
	}
	base = ntohl(to.sin_addr.s_addr);
	enter(argv[optind + 1]);
	rx = receiver();
	if (listen)
		events[0] = aevents();
	enter(argv[optind]);
	tx = udp();
	if (listen)
		events[1] = aevents();
	cost = calloc(repeats + 1, sizeof(*cost));
	if (!cost || (!others && sched_setscheduler(0, SCHED_FIFO, &first)))
		die("packets");

	for (unsigned int r = 0; r <= repeats; r++) {
		unsigned int came = 0;
		long long start;

		usleep(pause_ms * 1000);
		start = now();
		for (unsigned int i = 0; i < packets; i++) {
			to.sin_addr.s_addr = htonl(base + i % addresses);
			if (sendto(tx, data, sizeof(data), 0,
				   (struct sockaddr *)&to, sizeof(to)) < 0)
				die("sendto");
			if ((i + 1) % BATCH && i + 1 < packets)
				continue;
			came += drain(rx);
			for (int e = 0; listen && e < 2; e++)
				drain(events[e]);
		}
		cost[r] = (double)(now() - start) / packets;
		if (came != packets) {
			fprintf(stderr, "packets: %u of %u arrived\n", came, packets);
			return 1;
		}
	}
	qsort(cost + 1, repeats, sizeof(*cost), compare);
	printf("%.1f %.1f %.1f\n", cost[1], cost[1 + repeats / 2], cost[repeats]);
	return 0;
}
