// SPDX-License-Identifier: GPL-2.0
/*
 * In: a way out of this node, and its MTU.
 * Out: the message of a router on that way, to this node's own kernel.
 * Sends one packet to an address of this node; needs CAP_NET_RAW, and CAP_NET_ADMIN.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "too_big.h"
#include "xfrm_bypass.h"

#define NO_PMTU_DISC "/proc/sys/net/ipv4/ip_no_pmtu_disc"
#define PORT 9			/* discard: nothing goes there */

/* ---- the message ---- */

/* RFC 1071; len is even. */
static uint16_t checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;
	uint16_t word;
	size_t i;

	for (i = 0; i < len; i += 2) {
		memcpy(&word, p + i, 2);
		sum += word;
	}
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	return ~sum;
}

static size_t build4(const struct route_way *way, const struct udphdr *udp,
		     uint32_t mtu, uint8_t *to)
{
	struct icmphdr icmp = {
		.type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED,
		.un.frag.mtu = htons(mtu),
	};
	struct iphdr ip = {
		.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
		.tot_len = htons(sizeof(ip) + sizeof(*udp)),
		.frag_off = htons(IP_DF),
	};
	size_t len = sizeof(icmp) + sizeof(ip) + sizeof(*udp);

	memcpy(&ip.saddr, way->src, 4);
	memcpy(&ip.daddr, way->dst, 4);
	ip.check = checksum((uint8_t *)&ip, sizeof(ip));
	memcpy(to, &icmp, sizeof(icmp));
	memcpy(to + sizeof(icmp), &ip, sizeof(ip));
	memcpy(to + sizeof(icmp) + sizeof(ip), udp, sizeof(*udp));
	icmp.checksum = checksum(to, len);
	memcpy(to, &icmp, sizeof(icmp));
	return len;
}

static size_t build6(const struct route_way *way, const struct udphdr *udp,
		     uint32_t mtu, uint8_t *to)
{
	struct icmp6_hdr icmp = {
		.icmp6_type = ICMP6_PACKET_TOO_BIG, .icmp6_mtu = htonl(mtu),
	};
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6U << 28), .ip6_plen = htons(sizeof(*udp)),
		.ip6_nxt = IPPROTO_UDP, .ip6_hlim = 64,
	};

	memcpy(&ip.ip6_src, way->src, 16);
	memcpy(&ip.ip6_dst, way->dst, 16);
	memcpy(to, &icmp, sizeof(icmp));
	memcpy(to + sizeof(icmp), &ip, sizeof(ip));
	memcpy(to + sizeof(icmp) + sizeof(ip), udp, sizeof(*udp));
	return sizeof(icmp) + sizeof(ip) + sizeof(*udp);
}

size_t too_big_build(const struct route_way *way, uint16_t port, uint32_t mtu,
		     uint8_t to[TOO_BIG_MAX])
{
	struct udphdr udp = {
		.uh_sport = htons(port), .uh_dport = htons(PORT),
		.uh_ulen = htons(sizeof(udp)),
	};

	return way->family == AF_INET ? build4(way, &udp, mtu, to) :
					build6(way, &udp, mtu, to);
}

/* ---- on its way ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address(const struct route_way *way, union address *a)
{
	memset(a, 0, sizeof(*a));
	a->any.sa_family = way->family;
	if (way->family == AF_INET) {
		memcpy(&a->v4.sin_addr, way->src, 4);
		return sizeof(a->v4);
	}
	memcpy(&a->v6.sin6_addr, way->src, 16);
	return sizeof(a->v6);
}

/* The socket that the message is about, and its port. */
static int open_subject(const struct route_way *way, uint16_t *port)
{
	int fd = socket(way->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	union address a;
	socklen_t len = address(way, &a);
	int ret;

	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, SOL_SOCKET, SO_MARK, &way->mark, sizeof(way->mark)) &&
	    !bind(fd, &a.any, len) && !getsockname(fd, &a.any, &len)) {
		*port = ntohs(way->family == AF_INET ? a.v4.sin_port :
						       a.v6.sin6_port);
		return fd;
	}
	ret = -errno;
	close(fd);
	return ret;
}

/* No further than this node, whatever becomes of the address meanwhile. */
static int one_hop(int fd, bool v4)
{
	int one = 1;

	return v4 ? setsockopt(fd, IPPROTO_IP, IP_TTL, &one, sizeof(one)) :
		    setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &one, sizeof(one));
}

static int send_it(const struct route_way *way, const uint8_t *msg, size_t len)
{
	bool v4 = way->family == AF_INET;
	union address a;
	socklen_t alen = address(way, &a);
	int fd, ret;

	fd = socket(way->family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	if (fd < 0)
		return -errno;
	/* It is about packets that are protected, and is none of them. */
	ret = one_hop(fd, v4) ? -errno : xfrm_bypass(fd, v4);
	if (!ret && sendto(fd, msg, len, 0, &a.any, alen) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* What it would make of the message: nothing, or the least MTU that there is. */
bool too_big_is_believed(uint32_t family)
{
	char c = '0';
	int fd;

	if (family != AF_INET)
		return true;
	fd = open(NO_PMTU_DISC, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	if (read(fd, &c, 1) != 1)
		c = '0';
	close(fd);
	return c == '0';
}

int too_big_send(const struct route_way *way, uint32_t mtu)
{
	uint8_t msg[TOO_BIG_MAX];
	uint16_t port = 0;
	int fd, ret;

	fd = open_subject(way, &port);
	if (fd < 0)
		return fd;
	ret = send_it(way, msg, too_big_build(way, port, mtu, msg));
	close(fd);
	return ret;
}
