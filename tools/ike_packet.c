// SPDX-License-Identifier: GPL-2.0
/*
 * In: IP packets that came; an IKE message for a peer.
 * Out: the IKE messages in them, and whom they are from; that message, sent.
 * Reading is pure. Sending needs CAP_NET_RAW, and CAP_NET_ADMIN.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_packet.h>

#include "buf.h"
#include "ike_message.h"
#include "ike_packet.h"
#include "xfrm_bypass.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MARKER 4		/* zero bytes */
#define IP6_HEADER 40

/* ---- to read ---- */

static bool read_ip4(struct rd *r, struct ike_way *way)
{
	size_t head = (r->p[0] & 15) * 4, total;
	const uint8_t *p = r->p;

	if (head < 20 || r->left < head)
		return false;
	total = (size_t)p[2] << 8 | p[3];
	/* Of a packet in parts none is read. */
	if (total < head || total > r->left || ((p[6] & 0x3f) | p[7]) || p[9] != IPPROTO_UDP)
		return false;
	way->family = AF_INET;
	memcpy(way->src, p + 12, 4);
	memcpy(way->dst, p + 16, 4);
	r->left = total;
	rd_bytes(r, head);
	return true;
}

/* UDP behind an extension header is not looked for. */
static bool read_ip6(struct rd *r, struct ike_way *way)
{
	const uint8_t *p = r->p;
	size_t payload;

	if (r->left < IP6_HEADER || p[6] != IPPROTO_UDP)
		return false;
	payload = (size_t)p[4] << 8 | p[5];
	if (payload > r->left - IP6_HEADER)
		return false;
	way->family = AF_INET6;
	memcpy(way->src, p + 8, 16);
	memcpy(way->dst, p + 24, 16);
	r->left = IP6_HEADER + payload;
	rd_bytes(r, IP6_HEADER);
	return true;
}

bool ike_packet_read(const uint8_t *p, size_t len, struct ike_way *way,
		     const uint8_t **msg, size_t *msg_len)
{
	struct rd r = { .p = p, .left = len };
	size_t udp_len;

	memset(way, 0, sizeof(*way));
	if (len < 20)
		return false;
	if (!(p[0] >> 4 == 4 ? read_ip4(&r, way) : p[0] >> 4 == 6 && read_ip6(&r, way)))
		return false;
	way->sport = rd_u16(&r);
	way->dport = rd_u16(&r);
	udp_len = rd_u16(&r);
	rd_u16(&r);
	if (r.bad || udp_len != r.left + sizeof(struct udphdr))
		return false;
	/* Other than zero it is ESP's SPI. */
	if (way->dport == IKE_PORT_NAT && rd_u32(&r))
		return false;
	*msg = r.p;
	*msg_len = r.left;
	return !r.bad && (way->dport == IKE_PORT || way->dport == IKE_PORT_NAT);
}

/* ---- to listen ---- */

/*
 * As above, but for what needs no haste. A gateway's other packets cost these steps, and
 * nothing else: they are not copied.
 */
static struct sock_filter ike4[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 9),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 7, 0),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IKE_PORT, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IKE_PORT_NAT, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_IND, 8),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0xffff),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static struct sock_filter ike6[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP6_HEADER + 2),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IKE_PORT, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IKE_PORT_NAT, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP6_HEADER + 8),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0xffff),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static struct sock_filter none[] = { BPF_STMT(BPF_RET | BPF_K, 0) };

int ike_packet_open(void)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Without a protocol it is not asked at all; it cannot be without one again. */
int ike_packet_listen(int fd, uint32_t family, bool on)
{
	struct sock_fprog prog = { ARRAY_SIZE(none), none };
	struct sockaddr_ll ll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(family == AF_INET ? ETHERTYPE_IP : ETHERTYPE_IPV6),
	};

	if (on && family == AF_INET)
		prog = (struct sock_fprog){ ARRAY_SIZE(ike4), ike4 };
	else if (on)
		prog = (struct sock_fprog){ ARRAY_SIZE(ike6), ike6 };
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		return -errno;
	return on && bind(fd, (void *)&ll, sizeof(ll)) ? -errno : 0;
}

/* ---- to send ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t address(const struct ike_way *way, const uint8_t *ip, union address *a)
{
	memset(a, 0, sizeof(*a));
	a->any.sa_family = way->family;
	if (way->family == AF_INET) {
		memcpy(&a->v4.sin_addr, ip, 4);
		return sizeof(a->v4);
	}
	memcpy(&a->v6.sin6_addr, ip, 16);
	return sizeof(a->v6);
}

/* RFC 768: of the addresses, too. IPv6's the kernel computes. */
static uint16_t checksum4(const struct ike_way *way, const uint8_t *p, size_t len)
{
	uint32_t sum = IPPROTO_UDP + len;
	size_t i;

	for (i = 0; i < 4; i++)
		sum += ((uint32_t)way->src[i] + way->dst[i]) << (i & 1 ? 0 : 8);
	for (i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	sum = ~sum & 0xffff;
	return sum ? sum : 0xffff;
}

static bool may_send(const struct ike_way *way, const uint8_t *msg, size_t len)
{
	struct ike_header h;

	return (way->family == AF_INET || way->family == AF_INET6) &&
	       (way->sport == IKE_PORT || way->sport == IKE_PORT_NAT) &&
	       len <= IKE_PACKET_SEND_MAX && ike_message_header(msg, len, &h) &&
	       (h.exchange == IKE_INFORMATIONAL || h.exchange == IKE_CREATE_CHILD_SA);
}

static size_t build(const struct ike_way *way, const uint8_t *msg, size_t len, uint8_t *to)
{
	size_t marker = way->sport == IKE_PORT_NAT ? MARKER : 0;
	size_t total = sizeof(struct udphdr) + marker + len;
	struct udphdr udp = {
		.uh_sport = htons(way->sport), .uh_dport = htons(way->dport),
		.uh_ulen = htons(total),
	};

	memcpy(to, &udp, sizeof(udp));
	memset(to + sizeof(udp), 0, marker);
	memcpy(to + sizeof(udp) + marker, msg, len);
	if (way->family == AF_INET) {
		udp.uh_sum = htons(checksum4(way, to, total));
		memcpy(to, &udp, sizeof(udp));
	}
	return total;
}

int ike_packet_send(const struct ike_way *way, const uint8_t *msg, size_t len)
{
	uint8_t packet[sizeof(struct udphdr) + MARKER + IKE_PACKET_SEND_MAX];
	int at = offsetof(struct udphdr, uh_sum), fd, ret;
	bool v4 = way->family == AF_INET;
	union address a;
	socklen_t alen;

	if (!may_send(way, msg, len))
		return -EACCES;
	fd = socket(way->family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	if (fd < 0)
		return -errno;
	ret = xfrm_bypass(fd, v4);
	alen = address(way, way->src, &a);
	if (!ret && ((!v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &at, sizeof(at))) ||
		     bind(fd, &a.any, alen)))
		ret = -errno;
	len = build(way, msg, len, packet);
	alen = address(way, way->dst, &a);
	if (!ret && sendto(fd, packet, len, 0, &a.any, alen) < 0)
		ret = -errno;
	close(fd);
	return ret;
}
