/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: an IKEv2 message and the keys of its IKE SA; what a short one is to say.
 * Out: whether the one that has these keys made it; the bytes of that short one.
 * Pure, but for the IV, which is random; OpenSSL computes.
 *
 * RFC 7296, 3.1 and 3.14; RFC 5282 and 7634 for what encrypts and authenticates at once.
 * A message that came in fragments (RFC 7383) is none of these.
 */
#ifndef XFRMSYNC_TOOLS_IKE_MESSAGE_H
#define XFRMSYNC_TOOLS_IKE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "ike_keys.h"

#define IKE_HEADER_LEN 28
#define IKE_VERSION_2 0x20

#define IKE_CREATE_CHILD_SA 36
#define IKE_INFORMATIONAL 37

#define IKE_FLAG_INITIATOR 0x08		/* its sender began the IKE SA */
#define IKE_FLAG_RESPONSE 0x20

#define IKE_PAYLOAD_NOTIFY 41
#define IKE_PAYLOAD_SK 46

#define IKE_TEMPORARY_FAILURE 43	/* of Notify: try again later (RFC 7296, 2.25) */

struct ike_header {
	uint8_t spi_i[8], spi_r[8];	/* as in the packet */
	uint8_t next;			/* the first payload's type */
	uint8_t exchange, flags;
	uint32_t id;			/* host order */
};

/* The header of an IKEv2 message that is all of p; false: it is none. */
bool ike_message_header(const uint8_t *p, size_t len, struct ike_header *h);

/*
 * ike_message_check - by its checksum: who has the keys made it, and nobody since
 * Return: 0; -EBADMSG: not so; -EOPNOTSUPP: its one payload is not SK, or an algorithm is
 * not known here (3DES, CTR, CCM, XCBC, CMAC); -EIO: OpenSSL failed.
 */
int ike_message_check(const struct ike_algs *a, const struct ike_keys *keys,
		      const uint8_t *p, size_t len);

/*
 * ike_message_build - a message with that notification, or with nothing in it, appended
 * @h: but for next
 * @notify: its type; 0: none
 * Return: 0; -EOPNOTSUPP as above; -EIO; -ENOMEM.
 */
int ike_message_build(const struct ike_algs *a, const struct ike_keys *keys,
		      const struct ike_header *h, uint16_t notify, struct buf *out);

#endif
