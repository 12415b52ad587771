/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: two addresses, and the mark that packets between them have.
 * Out: what this kernel's routing says of the way: its MTU, and where that is from.
 * Asks the kernel by rtnetlink, and waits for its answer; needs no rights.
 */
#ifndef XFRMSYNC_TOOLS_ROUTE_H
#define XFRMSYNC_TOOLS_ROUTE_H

#include <stdbool.h>
#include <stdint.h>
#include <libmnl/libmnl.h>

struct route {
	struct mnl_socket *nl;	/* NULL: not open */
	uint32_t seq;
};

/* Without gaps: compared as bytes. */
struct route_way {
	uint32_t family;	/* AF_INET, AF_INET6 */
	uint8_t src[16], dst[16];	/* network order; IPv4 first, rest 0 */
	uint32_t mark;
};

struct route_mtu {
	uint32_t mtu;		/* bytes; 0: nobody says */
	bool learned;		/* by a router's word, until it expires */
};

int route_open(struct route *r);	/* 0 or -errno */
void route_close(struct route *r);

/* True: an address of this node: none that several have, and not the unspecified one. */
bool route_is_here(struct route *r, uint16_t family, const uint8_t *addr);

/*
 * route_ask - the MTU of the way
 * mtu is 1 less than what the kernel uses where it knows that the path has less
 * than its least (net.ipv4.route.min_pmtu).
 * Return: 0; -EHOSTUNREACH (it does not lead out of this node); -errno of the
 * kernel: no such way, and with IPv4 also where the source is no address of
 * this node.
 */
int route_ask(struct route *r, const struct route_way *way,
	      struct route_mtu *mtu);

#endif
