// SPDX-License-Identifier: GPL-2.0
/*
 * In: a socket.
 * Out: the same, whose packets no policy of IPsec protects.
 * Needs CAP_NET_ADMIN.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/xfrm.h>

#include "xfrm_bypass.h"

#ifndef IP_XFRM_POLICY
#define IP_XFRM_POLICY 17
#endif
#ifndef IPV6_XFRM_POLICY
#define IPV6_XFRM_POLICY 35
#endif

int xfrm_bypass(int fd, bool v4)
{
	struct xfrm_userpolicy_info pol = {
		.sel.family = v4 ? AF_INET : AF_INET6,
		.action = XFRM_POLICY_ALLOW, .dir = XFRM_POLICY_OUT,
		.lft = {
			.soft_byte_limit = XFRM_INF, .hard_byte_limit = XFRM_INF,
			.soft_packet_limit = XFRM_INF,
			.hard_packet_limit = XFRM_INF,
		},
	};
	int ret;

	ret = v4 ? setsockopt(fd, IPPROTO_IP, IP_XFRM_POLICY, &pol, sizeof(pol)) :
		   setsockopt(fd, IPPROTO_IPV6, IPV6_XFRM_POLICY, &pol, sizeof(pol));
	return ret ? -errno : 0;
}
