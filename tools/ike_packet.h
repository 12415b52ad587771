/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: IP packets that came; an IKE message for a peer.
 * Out: the IKE messages in them, and whom they are from; that message, sent.
 * Reading is pure. Sending needs CAP_NET_RAW, and CAP_NET_ADMIN.
 *
 * charon has ports 500 and 4500: what is said in its place goes from there by a raw
 * socket, and what it hears is heard by a packet socket.
 */
#ifndef XFRMSYNC_TOOLS_IKE_PACKET_H
#define XFRMSYNC_TOOLS_IKE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IKE_PORT 500
#define IKE_PORT_NAT 4500	/* IKE messages have four zero bytes before them there */
#define IKE_PACKET_SEND_MAX 256	/* bytes of a message */

/* Without gaps: compared as bytes. */
struct ike_way {
	uint32_t family;		/* AF_INET, AF_INET6 */
	uint8_t src[16], dst[16];	/* network order; IPv4 first, rest 0 */
	uint16_t sport, dport;		/* host order */
};

/*
 * ike_packet_read - the IKE message of an IP packet
 * @p: from its IP header on
 * False: it is not a whole UDP packet to one of the two ports, or no IKE message.
 */
bool ike_packet_read(const uint8_t *p, size_t len, struct ike_way *way,
		     const uint8_t **msg, size_t *msg_len);

/*
 * A packet socket that hears nothing, and costs nothing, yet; it does not block. Whoever
 * has it can send anything by it. -errno; needs CAP_NET_RAW.
 */
int ike_packet_open(void);
/* From now on it hears IKE messages to this node of that family, as IP packets; or none. */
int ike_packet_listen(int fd, uint32_t family, bool on);	/* 0 or -errno */

/*
 * ike_packet_send - from an address of this node, and one of the two ports
 * @msg: INFORMATIONAL or CREATE_CHILD_SA of IKEv2
 * Return: 0; -EACCES: another message, another port, or longer; -errno.
 */
int ike_packet_send(const struct ike_way *way, const uint8_t *msg, size_t len);

#endif
