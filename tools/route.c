// SPDX-License-Identifier: GPL-2.0
/*
 * In: two addresses, and the mark that packets between them have.
 * Out: what this kernel's routing says of the way: its MTU, and where that is from.
 * Asks the kernel by rtnetlink, and waits for its answer; needs no rights.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/rtnetlink.h>

#include "route.h"

#define BUF 8192

int route_open(struct route *r)
{
	int ret;

	memset(r, 0, sizeof(*r));
	r->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!r->nl)
		return -errno;
	if (!mnl_socket_bind(r->nl, 0, MNL_SOCKET_AUTOPID))
		return 0;
	ret = -errno;
	route_close(r);
	return ret;
}

void route_close(struct route *r)
{
	if (r->nl)
		mnl_socket_close(r->nl);
	r->nl = NULL;
}

/* What of an answer is of use. */
struct answer {
	unsigned char type;	/* RTN_UNICAST ... */
	unsigned int flags;
	uint32_t oif, mtu, lock, expires;
};

static int take_metric(const struct nlattr *attr, void *data)
{
	struct answer *a = data;

	if (mnl_attr_get_payload_len(attr) < sizeof(uint32_t))
		return MNL_CB_OK;
	if (mnl_attr_get_type(attr) == RTAX_MTU)
		a->mtu = mnl_attr_get_u32(attr);
	if (mnl_attr_get_type(attr) == RTAX_LOCK)
		a->lock = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int take_attr(const struct nlattr *attr, void *data)
{
	struct rta_cacheinfo ci;
	struct answer *a = data;

	switch (mnl_attr_get_type(attr)) {
	case RTA_OIF:
		if (!mnl_attr_validate(attr, MNL_TYPE_U32))
			a->oif = mnl_attr_get_u32(attr);
		break;
	case RTA_METRICS:
		mnl_attr_parse_nested(attr, take_metric, a);
		break;
	case RTA_CACHEINFO:
		if (mnl_attr_get_payload_len(attr) < sizeof(ci))
			break;
		memcpy(&ci, mnl_attr_get_payload(attr), sizeof(ci));
		a->expires = ci.rta_expires;
		break;
	}
	return MNL_CB_OK;
}

static int take_answer(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct answer *a = data;

	if (nlh->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm))
		return MNL_CB_OK;
	a->type = rtm->rtm_type;
	a->flags = rtm->rtm_flags;
	mnl_attr_parse(nlh, sizeof(*rtm), take_attr, a);
	return MNL_CB_STOP;
}

/* @src: NULL: any */
static int ask(struct route *r, uint16_t family, const uint8_t *dst,
	       const uint8_t *src, uint32_t mark, struct answer *a)
{
	size_t len = family == AF_INET ? 4 : 16;
	char buf[BUF] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rtm;
	ssize_t n;

	memset(a, 0, sizeof(*a));
	if (!r->nl)
		return -ENOTCONN;
	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = ++r->seq;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = family;
	rtm->rtm_dst_len = len * 8;
	mnl_attr_put(nlh, RTA_DST, len, dst);
	if (src) {
		rtm->rtm_src_len = len * 8;
		mnl_attr_put(nlh, RTA_SRC, len, src);
	}
	if (mark)
		mnl_attr_put_u32(nlh, RTA_MARK, mark);
	if (mnl_socket_sendto(r->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(r->nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		n = mnl_cb_run(buf, n, r->seq, 0, take_answer, a);
		/* Of a question before, to which nobody waited. */
	} while (n < 0 && errno == EPROTO);
	return n < 0 ? -errno : 0;
}

/* The kernel takes the unspecified one, as a destination, for loopback. */
static bool is_unicast(uint16_t family, const uint8_t *addr)
{
	static const uint8_t none[16], all[4] = { 255, 255, 255, 255 };

	if (family != AF_INET)
		return addr[0] != 0xff && memcmp(addr, none, 16) != 0;
	return (addr[0] & 0xf0) != 0xe0 && memcmp(addr, none, 4) != 0 &&
	       memcmp(addr, all, 4) != 0;
}

bool route_is_here(struct route *r, uint16_t family, const uint8_t *addr)
{
	struct answer a;

	return is_unicast(family, addr) &&
	       !ask(r, family, addr, NULL, 0, &a) && a.type == RTN_LOCAL;
}

/* IPv6 has a setting of its own, which a router's advertisement can lower. */
static uint32_t device_mtu(uint16_t family, uint32_t index)
{
	char path[64 + IF_NAMESIZE];
	struct ifreq req = {};
	unsigned int mtu = 0;
	FILE *f;
	int fd;

	if (!if_indextoname(index, req.ifr_name))
		return 0;
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/mtu",
		 req.ifr_name);
	f = family == AF_INET6 ? fopen(path, "re") : NULL;
	if (f && fscanf(f, "%u", &mtu) != 1)
		mtu = 0;
	if (f)
		fclose(f);
	if (mtu)
		return mtu;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (!ioctl(fd, SIOCGIFMTU, &req))
		mtu = req.ifr_mtu;
	close(fd);
	return mtu;
}

int route_ask(struct route *r, const struct route_way *way,
	      struct route_mtu *mtu)
{
	struct answer a;
	int ret;

	memset(mtu, 0, sizeof(*mtu));
	ret = ask(r, way->family, way->dst, way->src, way->mark, &a);
	if (ret)
		return ret;
	if (a.type != RTN_UNICAST)
		return -EHOSTUNREACH;
	/* Routes of IPv6 expire, too; an exception is a clone of one. */
	mtu->learned = a.mtu && a.expires && a.flags & RTM_F_CLONED;
	mtu->mtu = a.mtu ? a.mtu : device_mtu(way->family, a.oif);
	if (mtu->learned && a.lock & 1U << RTAX_MTU)
		mtu->mtu--;
	return 0;
}
