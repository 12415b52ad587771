/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a way out of this node, and its MTU.
 * Out: the message of a router on that way, to this node's own kernel.
 * Sends one packet to an address of this node; needs CAP_NET_RAW, and CAP_NET_ADMIN.
 *
 * There is no request that sets the MTU of a path. This is what the kernel takes
 * it from; it is never made larger by it, and forgotten in time, as any other that
 * it has learned. The packet that is quoted is of a UDP socket of ours: so its
 * mark, which SAs can have for the routing, counts, and AH counts with IPv6, where
 * the kernel looks for what is behind AH instead.
 */
#ifndef XFRMSYNC_TOOLS_TOO_BIG_H
#define XFRMSYNC_TOOLS_TOO_BIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "route.h"

#define TOO_BIG_MAX 56	/* bytes: ICMPv6's header, and the quoted IPv6's and UDP's */

/*
 * too_big_build - the message, RFC 792 with RFC 1191, or RFC 4443
 * @port: of the source, host order
 * ICMPv6's checksum is left to the kernel. Its length, in bytes.
 */
size_t too_big_build(const struct route_way *way, uint16_t port, uint32_t mtu,
		     uint8_t to[TOO_BIG_MAX]);

/* False: the kernel is set to believe no router (net.ipv4.ip_no_pmtu_disc). */
bool too_big_is_believed(uint32_t family);

/*
 * too_big_send - tell the kernel
 * @way: its source has to be an address of this node
 * Return: 0: it was told, not that it took it; -EADDRNOTAVAIL: the source is not
 * here; -EPERM: without those rights; -errno.
 */
int too_big_send(const struct route_way *way, uint32_t mtu);

#endif
