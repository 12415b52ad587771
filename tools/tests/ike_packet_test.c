// SPDX-License-Identifier: GPL-2.0
/*
 * In: IP packets, whole and cut, of IKE and of others; messages to send.
 * Out: the IKE message in them; the same, by way of this kernel.
 * Host only. What needs a right runs in a network namespace of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike_message.h"
#include "ike_packet.h"
#include "xfrm_bypass.h"

#define LEN 32			/* of the message */

static uint8_t message[LEN] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
	IKE_PAYLOAD_SK, IKE_VERSION_2, IKE_INFORMATIONAL, IKE_FLAG_INITIATOR, 0, 0, 0, 7,
	0, 0, 0, LEN, 0, 0, 0, 4,
};

static struct ike_way way_of(uint32_t family, uint16_t port)
{
	struct ike_way way = {
		.family = family, .src = { 127, 0, 0, 1 }, .dst = { 127, 0, 0, 1 },
		.sport = port, .dport = port,
	};

	if (family == AF_INET6) {
		memset(way.src, 0, 16);
		memset(way.dst, 0, 16);
		way.src[15] = way.dst[15] = 1;
	}
	return way;
}

static size_t put_udp(uint8_t *p, uint16_t port, size_t marker)
{
	uint16_t head[4] = { htons(port), htons(port), htons(8 + marker + LEN), 0 };

	memcpy(p, head, 8);
	memset(p + 8, 0, marker);
	memcpy(p + 8 + marker, message, LEN);
	return 8 + marker + LEN;
}

static size_t packet4(uint8_t *p, uint16_t port)
{
	size_t n = put_udp(p + 20, port, port == IKE_PORT_NAT ? 4 : 0);
	const uint8_t head[20] = {
		0x45, 0, 0, 20 + n, 0, 0, 0x40, 0, 64, IPPROTO_UDP, 0, 0,
		127, 0, 0, 1, 127, 0, 0, 1,
	};

	memcpy(p, head, 20);
	return 20 + n;
}

static size_t packet6(uint8_t *p, uint16_t port)
{
	size_t n = put_udp(p + 40, port, port == IKE_PORT_NAT ? 4 : 0);
	const uint8_t head[40] = {
		0x60, 0, 0, 0, 0, n, IPPROTO_UDP, 64, [23] = 1, [39] = 1,
	};

	memcpy(p, head, 40);
	return 40 + n;
}

static bool reads(const uint8_t *p, size_t len)
{
	struct ike_way way;
	const uint8_t *msg;
	size_t n;

	return ike_packet_read(p, len, &way, &msg, &n);
}

/* Behind it comes what Ethernet pads. */
static void is_read(const uint8_t *p, size_t len, uint32_t family, uint16_t port)
{
	struct ike_way way, want = way_of(family, port);
	const uint8_t *msg;
	size_t n, i;

	assert_true(ike_packet_read(p, len + 6, &way, &msg, &n));
	assert_memory_equal(&way, &want, sizeof(way));
	assert_int_equal(n, LEN);
	assert_memory_equal(msg, message, LEN);
	for (i = 0; i < len; i++)
		assert_false(reads(p, i));
}

static void test_read(void **state)
{
	uint8_t p[128] = {};

	(void)state;
	is_read(p, packet4(p, IKE_PORT), AF_INET, IKE_PORT);
	is_read(p, packet4(p, IKE_PORT_NAT), AF_INET, IKE_PORT_NAT);
	is_read(p, packet6(p, IKE_PORT), AF_INET6, IKE_PORT);
	is_read(p, packet6(p, IKE_PORT_NAT), AF_INET6, IKE_PORT_NAT);
}

/* A packet with that byte is none. */
static void not_with(uint8_t *p, size_t len, size_t at, uint8_t v)
{
	uint8_t was = p[at];

	assert_true(reads(p, len));
	p[at] = v;
	assert_false(reads(p, len));
	p[at] = was;
}

static void test_others(void **state)
{
	uint8_t p[128] = {};
	size_t len;

	(void)state;
	len = packet4(p, IKE_PORT_NAT);
	not_with(p, len, 0, 0x44);		/* a shorter header than there is */
	not_with(p, len, 0, 0x55);
	not_with(p, len, 0, 0x4f);
	not_with(p, len, 3, len - 1);
	not_with(p, len, 6, 0x20);		/* parts of packets */
	not_with(p, len, 7, 1);
	not_with(p, len, 9, IPPROTO_TCP);
	not_with(p, len, 22, 0);		/* another port */
	not_with(p, len, 25, 8 + LEN);		/* UDP's length */
	not_with(p, len, 31, 1);		/* ESP */
	len = packet6(p, IKE_PORT_NAT);
	not_with(p, len, 5, len - 41);
	not_with(p, len, 6, 44);
	not_with(p, len, 42, 0);
	not_with(p, len, 51, 1);
	/* An answer goes to the port that a NAT gave. */
	len = packet4(p, IKE_PORT);
	p[21] = 7;
	assert_true(reads(p, len));
}

/* ---- by way of the kernel ---- */

static int lo_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return ioctl(fd, SIOCSIFFLAGS, &r) || close(fd);
}

/* 0: it is heard, once, as it was sent. */
static int heard(int fd, const struct ike_way *want)
{
	uint8_t p[256];
	struct ike_way way;
	const uint8_t *msg;
	ssize_t n = recv(fd, p, sizeof(p), MSG_DONTWAIT);
	size_t len;

	if (n < 0)
		return 1;
	if (!ike_packet_read(p, n, &way, &msg, &len) || memcmp(&way, want, sizeof(way)))
		return 2;
	if (len != LEN || memcmp(msg, message, LEN))
		return 3;
	return recv(fd, p, sizeof(p), MSG_DONTWAIT) < 0 ? 0 : 4;
}

static int udp_socket(const struct ike_way *way)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6, .sin6_port = htons(way->dport),
	};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return bind(fd, (void *)&any, sizeof(any)) ? -1 : fd;
}

/* Until UDP has it, which takes none with a wrong check sum; packet sockets had it before. */
static int sent(const struct ike_way *way, int udp)
{
	size_t marker = way->dport == IKE_PORT_NAT ? 4 : 0;
	struct pollfd f = { .fd = udp, .events = POLLIN };
	uint8_t p[256];

	if (ike_packet_send(way, message, LEN) || poll(&f, 1, 10000) != 1)
		return 1;
	return recv(udp, p, sizeof(p), MSG_DONTWAIT) != (ssize_t)(marker + LEN) ||
	       memcmp(p + marker, message, LEN);
}

/* Another one, with which the socket has nothing to do. */
static int sent_other(int udp)
{
	struct sockaddr_in6 self = {};
	struct pollfd f = { .fd = udp, .events = POLLIN };
	socklen_t len = sizeof(self);
	char c;

	getsockname(udp, (void *)&self, &len);
	self.sin6_addr = in6addr_loopback;
	return sendto(udp, "x", 1, 0, (void *)&self, len) != 1 || poll(&f, 1, 10000) != 1 ||
	       recv(udp, &c, 1, MSG_DONTWAIT) != 1;
}

static int goes(const struct ike_way *way)
{
	struct ike_way elsewhere = { .dport = 0 };
	int udp = udp_socket(way), other = udp_socket(&elsewhere);
	int fd = ike_packet_open(), ret;

	if (udp < 0 || other < 0 || fd < 0)
		return 10;
	/* It hears nothing before, and nothing after. */
	if (sent(way, udp) || heard(fd, way) != 1)
		return 20;
	if (ike_packet_listen(fd, way->family, true) || sent(way, udp))
		return 30;
	ret = heard(fd, way);
	if (ret)
		return 40 + ret;
	if (sent_other(other) || heard(fd, way) != 1)
		return 50;
	if (ike_packet_listen(fd, way->family, false) || sent(way, udp) ||
	    heard(fd, way) != 1)
		return 60;
	return close(fd) || close(udp) || close(other);
}

#define NO_XFRM 98

/* qemu-user knows nothing of that option. */
static bool has_xfrm(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int ret = xfrm_bypass(fd, true);

	close(fd);
	return ret != -ENOPROTOOPT && ret != -EOPNOTSUPP;
}

static int all_go(void)
{
	static const uint32_t families[] = { AF_INET, AF_INET6 };
	static const uint16_t ports[] = { IKE_PORT, IKE_PORT_NAT };
	struct ike_way way;
	int i, ret;

	for (i = 0; i < 4; i++) {
		way = way_of(families[i / 2], ports[i % 2]);
		ret = goes(&way);
		if (ret)
			return ret + i;
	}
	return 0;
}

static void test_kernel(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid())
		skip();
	pid = fork();
	if (!pid)
		_exit(unshare(CLONE_NEWNET) || lo_up() ? 99 : has_xfrm() ? all_go() : NO_XFRM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_XFRM)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Whoever asks for it: nothing but IKE's, and nothing long. */
static void test_refused(void **state)
{
	struct ike_way way = way_of(AF_INET, IKE_PORT);
	uint8_t other[LEN], big[IKE_PACKET_SEND_MAX + 1] = {};

	(void)state;
	memcpy(other, message, LEN);
	other[18] = 34;
	assert_int_equal(ike_packet_send(&way, other, LEN), -EACCES);
	assert_int_equal(ike_packet_send(&way, message, LEN - 1), -EACCES);
	memcpy(big, message, LEN);
	big[26] = sizeof(big) >> 8;
	big[27] = sizeof(big) & 255;
	assert_int_equal(ike_packet_send(&way, big, sizeof(big)), -EACCES);
	way.sport = 4501;
	assert_int_equal(ike_packet_send(&way, message, LEN), -EACCES);
	way = way_of(AF_UNIX, IKE_PORT);
	assert_int_equal(ike_packet_send(&way, message, LEN), -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("ike_packet", tests, NULL, NULL);
}
