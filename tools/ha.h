/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: datagrams of strongSwan's ha plugin; lists of typed attributes.
 * Out: the one from the other, byte by byte the same.
 * Pure; the bytes hold keys: wipe them, log none.
 *
 * A message is {u8 version, u8 type}, then {u8 id, value}: a value's length comes
 * of its id alone, so nothing can be skipped. The numbers of the attributes differ
 * between versions, and are data (ha.c); here an attribute is enum ha_attr_type.
 */
#ifndef XFRMSYNC_TOOLS_HA_H
#define XFRMSYNC_TOOLS_HA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define HA_PORT 4510
#define HA_VERSION 3		/* 5.9.0 to 6.0.0; 4: 6.0.1, 5: 6.0.3 and later */
#define HA_VERSION_MIN 3
#define HA_VERSION_MAX 5
#define HA_MESSAGE_MAX 2048	/* bytes; charon discards what is longer */
#define HA_ATTRS_MAX 256

enum ha_type {
	HA_IKE_ADD = 1,
	HA_IKE_UPDATE = 2,
	HA_IKE_MID_INITIATOR = 3,
	HA_IKE_MID_RESPONDER = 4,
	HA_IKE_DELETE = 5,
	HA_CHILD_ADD = 6,
	HA_CHILD_DELETE = 7,
	HA_SEGMENT_DROP = 8,
	HA_SEGMENT_TAKE = 9,
	HA_STATUS = 10,
	HA_RESYNC = 11,
	HA_IKE_IV = 12,
	HA_TYPES,
};

/* The numbers of versions 4 and 5. */
enum ha_attr_type {
	HA_ATTR_IKE_ID = 1,
	HA_ATTR_IKE_REKEY_ID,
	HA_ATTR_LOCAL_ID,
	HA_ATTR_REMOTE_ID,
	HA_ATTR_REMOTE_EAP_ID,
	HA_ATTR_LOCAL_ADDR,
	HA_ATTR_REMOTE_ADDR,
	HA_ATTR_CONFIG_NAME,
	HA_ATTR_CONDITIONS,
	HA_ATTR_EXTENSIONS,
	HA_ATTR_LOCAL_VIP,
	HA_ATTR_REMOTE_VIP,
	HA_ATTR_PEER_ADDR,
	HA_ATTR_INITIATOR,
	HA_ATTR_NONCE_I,
	HA_ATTR_NONCE_R,
	HA_ATTR_SECRET,
	HA_ATTR_ADD_SECRET,
	HA_ATTR_OLD_SKD,
	HA_ATTR_ALG_PRF,
	HA_ATTR_ALG_OLD_PRF,
	HA_ATTR_ALG_ENCR,
	HA_ATTR_ALG_ENCR_LEN,
	HA_ATTR_ALG_INTEG,
	HA_ATTR_ALG_DH,
	HA_ATTR_ALG_ADD_KES,
	HA_ATTR_IPSEC_MODE,
	HA_ATTR_IPCOMP,
	HA_ATTR_INBOUND_SPI,
	HA_ATTR_OUTBOUND_SPI,
	HA_ATTR_INBOUND_CPI,
	HA_ATTR_OUTBOUND_CPI,
	HA_ATTR_LOCAL_TS,
	HA_ATTR_REMOTE_TS,
	HA_ATTR_MID,
	HA_ATTR_SEGMENT,
	HA_ATTR_ESN,
	HA_ATTR_IKE_VERSION,
	HA_ATTR_LOCAL_DH,
	HA_ATTR_REMOTE_DH,
	HA_ATTR_PSK,
	HA_ATTR_IV,
	HA_ATTR_AUTH_METHOD,
	HA_ATTRS,
};

/* How a value stands on the wire. */
enum ha_kind {
	HA_KIND_IKE_ID = 1,
	HA_KIND_ID,
	HA_KIND_ADDR,
	HA_KIND_STRING,
	HA_KIND_U8,
	HA_KIND_U16,
	HA_KIND_U32,
	HA_KIND_SPI,
	HA_KIND_CPI,
	HA_KIND_BLOB,
	HA_KIND_TS,
};

/* Names an IKE SA. SPIs as in its packets: network order in memory. */
struct ha_ike_id {
	uint8_t version;	/* 1 IKEv1, 2 IKEv2 */
	uint8_t initiator;	/* 1: this node opened the exchange that made it */
	uint8_t spi_i[8], spi_r[8];
};

struct ha_addr {
	uint16_t port;		/* host order */
	uint8_t family;		/* AF_INET or AF_INET6 */
	uint8_t addr[16];	/* network order; IPv4: the rest is 0 */
};

struct ha_ts {
	uint8_t type;		/* 7 IPv4 range, 8 IPv6 range (RFC 7296, 3.13.1) */
	uint8_t protocol;
	uint16_t from_port, to_port;	/* host order */
	uint8_t dynamic;	/* the peer's own address, or its virtual one */
	uint8_t from[16], to[16];	/* network order; IPv4: the rest is 0 */
};

struct ha_attr {
	uint8_t type;		/* enum ha_attr_type */
	uint8_t id_type;	/* HA_KIND_ID: of the identity (RFC 7296, 3.5) */
	union {
		uint8_t u8;
		uint16_t u16;	/* host order */
		uint32_t u32;	/* host order */
		uint32_t spi;	/* network order */
		uint16_t cpi;	/* network order */
		struct ha_ike_id ike;
		struct ha_addr addr;
		struct ha_ts ts;
		/* Identities, blobs, and strings without their NUL; in place. */
		struct {
			const uint8_t *p;
			size_t len;
		} bytes;
	};
};

struct ha_msg {
	uint8_t version;	/* HA_VERSION_MIN to _MAX */
	uint8_t type;		/* enum ha_type */
	uint16_t n;
	struct ha_attr attr[HA_ATTRS_MAX];	/* in their order */
};

struct ha_error {
	const char *name;	/* of the attribute; NULL: of none */
	uint8_t id;		/* its number on the wire; 0: of none */
	const char *what;	/* static */
};

/*
 * ha_parse - a datagram of charon
 * @buf: has to stay as long as msg is used
 * @why: NULL, or gets what is wrong with which attribute
 * An attribute is there once, but for those that charon repeats (addresses, traffic
 * selectors, segments; conditions and extensions from version 5 on), and what a type
 * cannot do without is there.
 * Return: 0; -EBADMSG; -EOPNOTSUPP: another version, an unknown type or attribute.
 */
int ha_parse(const uint8_t *buf, size_t len, struct ha_msg *msg,
	     struct ha_error *why);

/*
 * ha_build - the datagram of a message, appended
 * Return: 0; -EOPNOTSUPP: the version has not got one of its attributes; -EMSGSIZE:
 * charon would not take it; -EINVAL: a value that has no form; -ENOMEM.
 */
int ha_build(const struct ha_msg *msg, struct buf *out, struct ha_error *why);

/* 'attribute 17 (SECRET) is cut'. Returns to. */
const char *ha_error_str(const struct ha_error *e, char *to, size_t size);

/* ---- to read a message ---- */

/* The first attribute of a type; NULL: none. */
const struct ha_attr *ha_find(const struct ha_msg *msg, uint8_t type);
/* Which IKE SA it is of; NULL: it names none. */
const struct ha_ike_id *ha_ike_id(const struct ha_msg *msg);
bool ha_ike_id_equal(const struct ha_ike_id *a, const struct ha_ike_id *b);
enum ha_kind ha_attr_kind(uint8_t type);
/* 'IKE_ADD', 'SECRET'; '?' where there is none. */
const char *ha_type_str(uint8_t type);
const char *ha_attr_str(uint8_t type);
/* True if its value is a secret: it is not for people. */
bool ha_attr_is_secret(uint8_t type);

/* ---- to write one; what does not fit makes ha_build fail ---- */

void ha_begin(struct ha_msg *msg, uint8_t version, uint8_t type);
void ha_put_u8(struct ha_msg *msg, uint8_t type, uint8_t v);
void ha_put_u16(struct ha_msg *msg, uint8_t type, uint16_t v);
void ha_put_u32(struct ha_msg *msg, uint8_t type, uint32_t v);
void ha_put_spi(struct ha_msg *msg, uint8_t type, uint32_t spi);
void ha_put_cpi(struct ha_msg *msg, uint8_t type, uint16_t cpi);
void ha_put_ike_id(struct ha_msg *msg, uint8_t type,
		   const struct ha_ike_id *id);
void ha_put_addr(struct ha_msg *msg, uint8_t type, const struct ha_addr *addr);
void ha_put_ts(struct ha_msg *msg, uint8_t type, const struct ha_ts *ts);
/* Blobs and strings; p has to stay until ha_build. */
void ha_put_bytes(struct ha_msg *msg, uint8_t type, const void *p, size_t len);
void ha_put_id(struct ha_msg *msg, uint8_t type, uint8_t id_type, const void *p,
	       size_t len);

#endif
