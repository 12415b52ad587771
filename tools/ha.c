// SPDX-License-Identifier: GPL-2.0
/*
 * In: datagrams of strongSwan's ha plugin; lists of typed attributes.
 * Out: the one from the other, byte by byte the same.
 * Pure; the bytes hold keys: wipe them, log none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "ha.h"

#define TS_IPV4 7
#define TS_IPV6 8

#define MAY_REPEAT 1
#define MAY_REPEAT_5 2		/* from version 5 on: charon's own bits come apart */
#define IS_SECRET 4

/* The numbers of version 3, and those of 4 and 5 (the index); 0: it has not got it. */
static const struct attr_rule {
	const char *name;
	uint8_t v3, kind, flags;
} attrs[HA_ATTRS] = {
	[HA_ATTR_IKE_ID] = { "IKE_ID", 1, HA_KIND_IKE_ID, 0 },
	[HA_ATTR_IKE_REKEY_ID] = { "IKE_REKEY_ID", 2, HA_KIND_IKE_ID, 0 },
	[HA_ATTR_LOCAL_ID] = { "LOCAL_ID", 3, HA_KIND_ID, 0 },
	[HA_ATTR_REMOTE_ID] = { "REMOTE_ID", 4, HA_KIND_ID, 0 },
	[HA_ATTR_REMOTE_EAP_ID] = { "REMOTE_EAP_ID", 5, HA_KIND_ID, 0 },
	[HA_ATTR_LOCAL_ADDR] = { "LOCAL_ADDR", 6, HA_KIND_ADDR, 0 },
	[HA_ATTR_REMOTE_ADDR] = { "REMOTE_ADDR", 7, HA_KIND_ADDR, 0 },
	[HA_ATTR_CONFIG_NAME] = { "CONFIG_NAME", 8, HA_KIND_STRING, 0 },
	[HA_ATTR_CONDITIONS] = { "CONDITIONS", 9, HA_KIND_U32, MAY_REPEAT_5 },
	[HA_ATTR_EXTENSIONS] = { "EXTENSIONS", 10, HA_KIND_U32, MAY_REPEAT_5 },
	[HA_ATTR_LOCAL_VIP] = { "LOCAL_VIP", 11, HA_KIND_ADDR, MAY_REPEAT },
	[HA_ATTR_REMOTE_VIP] = { "REMOTE_VIP", 12, HA_KIND_ADDR, MAY_REPEAT },
	[HA_ATTR_PEER_ADDR] = { "PEER_ADDR", 13, HA_KIND_ADDR, MAY_REPEAT },
	[HA_ATTR_INITIATOR] = { "INITIATOR", 14, HA_KIND_U8, 0 },
	[HA_ATTR_NONCE_I] = { "NONCE_I", 15, HA_KIND_BLOB, 0 },
	[HA_ATTR_NONCE_R] = { "NONCE_R", 16, HA_KIND_BLOB, 0 },
	[HA_ATTR_SECRET] = { "SECRET", 17, HA_KIND_BLOB, IS_SECRET },
	[HA_ATTR_ADD_SECRET] = { "ADD_SECRET", 0, HA_KIND_BLOB, IS_SECRET },
	[HA_ATTR_OLD_SKD] = { "OLD_SKD", 18, HA_KIND_BLOB, IS_SECRET },
	[HA_ATTR_ALG_PRF] = { "ALG_PRF", 19, HA_KIND_U16, 0 },
	[HA_ATTR_ALG_OLD_PRF] = { "ALG_OLD_PRF", 20, HA_KIND_U16, 0 },
	[HA_ATTR_ALG_ENCR] = { "ALG_ENCR", 21, HA_KIND_U16, 0 },
	[HA_ATTR_ALG_ENCR_LEN] = { "ALG_ENCR_LEN", 22, HA_KIND_U16, 0 },
	[HA_ATTR_ALG_INTEG] = { "ALG_INTEG", 23, HA_KIND_U16, 0 },
	[HA_ATTR_ALG_DH] = { "ALG_DH", 24, HA_KIND_U16, 0 },
	[HA_ATTR_ALG_ADD_KES] = { "ALG_ADD_KES", 0, HA_KIND_BLOB, 0 },
	[HA_ATTR_IPSEC_MODE] = { "IPSEC_MODE", 25, HA_KIND_U8, 0 },
	[HA_ATTR_IPCOMP] = { "IPCOMP", 26, HA_KIND_U8, 0 },
	[HA_ATTR_INBOUND_SPI] = { "INBOUND_SPI", 27, HA_KIND_SPI, 0 },
	[HA_ATTR_OUTBOUND_SPI] = { "OUTBOUND_SPI", 28, HA_KIND_SPI, 0 },
	[HA_ATTR_INBOUND_CPI] = { "INBOUND_CPI", 29, HA_KIND_CPI, 0 },
	[HA_ATTR_OUTBOUND_CPI] = { "OUTBOUND_CPI", 30, HA_KIND_CPI, 0 },
	[HA_ATTR_LOCAL_TS] = { "LOCAL_TS", 31, HA_KIND_TS, MAY_REPEAT },
	[HA_ATTR_REMOTE_TS] = { "REMOTE_TS", 32, HA_KIND_TS, MAY_REPEAT },
	[HA_ATTR_MID] = { "MID", 33, HA_KIND_U32, 0 },
	[HA_ATTR_SEGMENT] = { "SEGMENT", 34, HA_KIND_U16, MAY_REPEAT },
	[HA_ATTR_ESN] = { "ESN", 35, HA_KIND_U16, 0 },
	[HA_ATTR_IKE_VERSION] = { "IKE_VERSION", 36, HA_KIND_U8, 0 },
	[HA_ATTR_LOCAL_DH] = { "LOCAL_DH", 37, HA_KIND_BLOB, 0 },
	[HA_ATTR_REMOTE_DH] = { "REMOTE_DH", 38, HA_KIND_BLOB, 0 },
	[HA_ATTR_PSK] = { "PSK", 39, HA_KIND_BLOB, IS_SECRET },
	[HA_ATTR_IV] = { "IV", 40, HA_KIND_BLOB, 0 },
	[HA_ATTR_AUTH_METHOD] = { "AUTH_METHOD", 41, HA_KIND_U16, 0 },
};

#define BIT(attr) (1ULL << HA_ATTR_##attr)

/* What charon cannot do without. It reads an update only behind its IKE_ID. */
static const struct type_rule {
	const char *name;
	uint64_t need;
	bool id_first;
} types[HA_TYPES] = {
	[HA_IKE_ADD] = { "IKE_ADD", BIT(IKE_ID) | BIT(NONCE_I) | BIT(NONCE_R) |
			 BIT(SECRET), false },
	[HA_IKE_UPDATE] = { "IKE_UPDATE", BIT(IKE_ID), true },
	[HA_IKE_MID_INITIATOR] = { "IKE_MID_INITIATOR",
				   BIT(IKE_ID) | BIT(MID), false },
	[HA_IKE_MID_RESPONDER] = { "IKE_MID_RESPONDER",
				   BIT(IKE_ID) | BIT(MID), false },
	[HA_IKE_DELETE] = { "IKE_DELETE", BIT(IKE_ID), false },
	[HA_CHILD_ADD] = { "CHILD_ADD", BIT(IKE_ID) | BIT(INBOUND_SPI) |
			   BIT(OUTBOUND_SPI) | BIT(CONFIG_NAME) |
			   BIT(NONCE_I) | BIT(NONCE_R), false },
	[HA_CHILD_DELETE] = { "CHILD_DELETE", BIT(IKE_ID) | BIT(INBOUND_SPI),
			      false },
	[HA_SEGMENT_DROP] = { "SEGMENT_DROP", 0, false },
	[HA_SEGMENT_TAKE] = { "SEGMENT_TAKE", 0, false },
	[HA_STATUS] = { "STATUS", 0, false },
	[HA_RESYNC] = { "RESYNC", 0, false },
	[HA_IKE_IV] = { "IKE_IV", BIT(IKE_ID) | BIT(IV), false },
};

/* ---- names ---- */

static bool known_attr(uint8_t type)
{
	return type < HA_ATTRS && attrs[type].name;
}

const char *ha_attr_str(uint8_t type)
{
	return known_attr(type) ? attrs[type].name : "?";
}

const char *ha_type_str(uint8_t type)
{
	return type < HA_TYPES && types[type].name ? types[type].name : "?";
}

enum ha_kind ha_attr_kind(uint8_t type)
{
	return known_attr(type) ? attrs[type].kind : 0;
}

bool ha_attr_is_secret(uint8_t type)
{
	return known_attr(type) && attrs[type].flags & IS_SECRET;
}

/* On the wire of that version; 0: it has not got it. */
static uint8_t to_wire(uint8_t version, uint8_t type)
{
	if (!known_attr(type))
		return 0;
	return version == 3 ? attrs[type].v3 : type;
}

static uint8_t from_wire(uint8_t version, uint8_t id)
{
	uint8_t type;

	for (type = 1; id && type < HA_ATTRS; type++) {
		if (to_wire(version, type) == id)
			return type;
	}
	return 0;
}

static int fail(struct ha_error *why, uint8_t type, uint8_t id, const char *what,
		int ret)
{
	if (!why)
		return ret;
	why->name = known_attr(type) ? attrs[type].name : NULL;
	why->id = id;
	why->what = what;
	return ret;
}

const char *ha_error_str(const struct ha_error *e, char *to, size_t size)
{
	if (e->name)
		snprintf(to, size, "attribute %u (%s) %s", e->id, e->name, e->what);
	else if (e->id)
		snprintf(to, size, "attribute %u %s", e->id, e->what);
	else
		snprintf(to, size, "%s", e->what);
	return to;
}

/* ---- bytes to values ---- */

static void read_ike_id(struct rd *r, struct ha_ike_id *id)
{
	id->version = rd_u8(r);
	rd_copy(r, id->spi_i, 8);
	rd_copy(r, id->spi_r, 8);
	id->initiator = rd_u8(r);
}

static size_t family_len(uint8_t family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static const char *read_addr(struct rd *r, struct ha_addr *a)
{
	size_t len;

	a->port = rd_u16(r);
	a->family = rd_u8(r);
	len = family_len(a->family);
	if (!len)
		return r->bad ? NULL : "has an unknown address family";
	rd_copy(r, a->addr, len);
	return NULL;
}

static size_t ts_len(uint8_t type)
{
	return type == TS_IPV4 ? 4 : type == TS_IPV6 ? 16 : 0;
}

static const char *read_ts(struct rd *r, struct ha_ts *ts)
{
	size_t len;

	ts->type = rd_u8(r);
	ts->protocol = rd_u8(r);
	ts->from_port = rd_u16(r);
	ts->to_port = rd_u16(r);
	ts->dynamic = rd_u8(r);
	len = ts_len(ts->type);
	if (!len)
		return r->bad ? NULL : "has an unknown type of traffic selector";
	rd_copy(r, ts->from, len);
	rd_copy(r, ts->to, len);
	return NULL;
}

static void read_string(struct rd *r, struct ha_attr *a)
{
	size_t len = strnlen((const char *)r->p, r->left);

	a->bytes.len = len;
	a->bytes.p = rd_bytes(r, len);
	rd_u8(r);
}

static void read_bytes(struct rd *r, struct ha_attr *a, size_t len)
{
	a->bytes.len = len;
	a->bytes.p = rd_bytes(r, len);
}

/*
 * charon keeps SPIs and CPIs in network order, and turns them around once more: they
 * stand on the wire as in the memory of a machine of the other byte order.
 */
static const char *read_value(struct rd *r, struct ha_attr *a)
{
	switch (attrs[a->type].kind) {
	case HA_KIND_IKE_ID:
		read_ike_id(r, &a->ike);
		return NULL;
	case HA_KIND_ID:
		a->id_type = rd_u8(r);
		read_bytes(r, a, rd_u8(r));
		return NULL;
	case HA_KIND_ADDR:
		return read_addr(r, &a->addr);
	case HA_KIND_STRING:
		read_string(r, a);
		return NULL;
	case HA_KIND_U8:
		a->u8 = rd_u8(r);
		return NULL;
	case HA_KIND_U16:
	case HA_KIND_CPI:
		a->u16 = rd_u16(r);
		return NULL;
	case HA_KIND_U32:
	case HA_KIND_SPI:
		a->u32 = rd_u32(r);
		return NULL;
	case HA_KIND_BLOB:
		read_bytes(r, a, rd_u16(r));
		return NULL;
	default:
		return read_ts(r, &a->ts);
	}
}

static bool may_repeat(const struct ha_msg *msg, uint8_t type)
{
	return attrs[type].flags & MAY_REPEAT ||
	       (attrs[type].flags & MAY_REPEAT_5 && msg->version >= 5);
}

static int parse_attr(struct rd *r, struct ha_msg *msg, uint64_t *seen,
		      struct ha_error *why)
{
	uint8_t id = rd_u8(r), type = from_wire(msg->version, id);
	struct ha_attr *a = &msg->attr[msg->n];
	const char *wrong;

	if (!type)
		return fail(why, 0, id, id ? "is not known" : "has an attribute 0",
			    -EOPNOTSUPP);
	if (msg->n == HA_ATTRS_MAX)
		return fail(why, type, id, "is one too many", -EBADMSG);
	if (types[msg->type].id_first && !msg->n && type != HA_ATTR_IKE_ID)
		return fail(why, type, id, "stands before IKE_ID", -EBADMSG);
	if (*seen & 1ULL << type && !may_repeat(msg, type))
		return fail(why, type, id, "stands twice", -EBADMSG);
	memset(a, 0, sizeof(*a));
	a->type = type;
	wrong = read_value(r, a);
	if (r->bad)
		wrong = "is cut";
	if (wrong)
		return fail(why, type, id, wrong, -EBADMSG);
	*seen |= 1ULL << type;
	msg->n++;
	return 0;
}

static int check_need(const struct ha_msg *msg, uint64_t seen,
		      struct ha_error *why)
{
	uint64_t lacks = types[msg->type].need & ~seen;
	uint8_t type;

	if (!lacks)
		return 0;
	type = __builtin_ctzll(lacks);
	return fail(why, type, to_wire(msg->version, type), "is missing", -EBADMSG);
}

int ha_parse(const uint8_t *buf, size_t len, struct ha_msg *msg,
	     struct ha_error *why)
{
	struct rd r = { .p = buf, .left = len };
	uint64_t seen = 0;
	int ret;

	msg->version = rd_u8(&r);
	msg->type = rd_u8(&r);
	msg->n = 0;
	if (r.bad)
		return fail(why, 0, 0, "ends within its header", -EBADMSG);
	if (len > HA_MESSAGE_MAX)
		return fail(why, 0, 0, "is too long", -EBADMSG);
	if (msg->version < HA_VERSION_MIN || msg->version > HA_VERSION_MAX)
		return fail(why, 0, 0, "has another version", -EOPNOTSUPP);
	if (msg->type >= HA_TYPES || !types[msg->type].name)
		return fail(why, 0, 0, "has an unknown type", -EOPNOTSUPP);
	while (r.left) {
		ret = parse_attr(&r, msg, &seen, why);
		if (ret)
			return ret;
	}
	return check_need(msg, seen, why);
}

/* ---- values to bytes ---- */

static void write_ike_id(struct buf *b, const struct ha_ike_id *id)
{
	buf_u8(b, id->version);
	buf_put(b, id->spi_i, 8);
	buf_put(b, id->spi_r, 8);
	buf_u8(b, id->initiator);
}

static bool write_addr(struct buf *b, const struct ha_addr *a)
{
	size_t len = family_len(a->family);

	buf_u16(b, a->port);
	buf_u8(b, a->family);
	buf_put(b, a->addr, len);
	return len;
}

static bool write_ts(struct buf *b, const struct ha_ts *ts)
{
	size_t len = ts_len(ts->type);

	buf_u8(b, ts->type);
	buf_u8(b, ts->protocol);
	buf_u16(b, ts->from_port);
	buf_u16(b, ts->to_port);
	buf_u8(b, ts->dynamic);
	buf_put(b, ts->from, len);
	buf_put(b, ts->to, len);
	return len;
}

static bool write_string(struct buf *b, const struct ha_attr *a)
{
	buf_put(b, a->bytes.p, a->bytes.len);
	buf_u8(b, 0);
	return !a->bytes.len || !memchr(a->bytes.p, 0, a->bytes.len);
}

/* False: the value has no form. */
static bool write_value(struct buf *b, const struct ha_attr *a)
{
	switch (attrs[a->type].kind) {
	case HA_KIND_IKE_ID:
		write_ike_id(b, &a->ike);
		return true;
	case HA_KIND_ID:
		buf_u8(b, a->id_type);
		buf_u8(b, a->bytes.len);
		buf_put(b, a->bytes.p, a->bytes.len);
		return a->bytes.len <= UINT8_MAX;
	case HA_KIND_ADDR:
		return write_addr(b, &a->addr);
	case HA_KIND_STRING:
		return write_string(b, a);
	case HA_KIND_U8:
		buf_u8(b, a->u8);
		return true;
	case HA_KIND_U16:
	case HA_KIND_CPI:
		buf_u16(b, a->u16);
		return true;
	case HA_KIND_U32:
	case HA_KIND_SPI:
		buf_u32(b, a->u32);
		return true;
	case HA_KIND_BLOB:
		buf_u16(b, a->bytes.len);
		buf_put(b, a->bytes.p, a->bytes.len);
		return a->bytes.len <= UINT16_MAX;
	default:
		return write_ts(b, &a->ts);
	}
}

int ha_build(const struct ha_msg *msg, struct buf *out, struct ha_error *why)
{
	size_t start = out->len;
	uint8_t id, type;
	uint16_t i;

	if (msg->n > HA_ATTRS_MAX)
		return fail(why, 0, 0, "has too many attributes", -EMSGSIZE);
	buf_u8(out, msg->version);
	buf_u8(out, msg->type);
	for (i = 0; i < msg->n; i++) {
		type = msg->attr[i].type;
		id = to_wire(msg->version, type);
		if (!id)
			return fail(why, type, id, "is not of this version",
				    -EOPNOTSUPP);
		buf_u8(out, id);
		if (!write_value(out, &msg->attr[i]))
			return fail(why, type, id, "has no form", -EINVAL);
	}
	if (out->bad)
		return fail(why, 0, 0, "no memory", -ENOMEM);
	if (out->len - start > HA_MESSAGE_MAX)
		return fail(why, 0, 0, "is too long", -EMSGSIZE);
	return 0;
}

/* ---- to read one ---- */

const struct ha_attr *ha_find(const struct ha_msg *msg, uint8_t type)
{
	uint16_t i;

	for (i = 0; i < msg->n; i++) {
		if (msg->attr[i].type == type)
			return &msg->attr[i];
	}
	return NULL;
}

const struct ha_ike_id *ha_ike_id(const struct ha_msg *msg)
{
	const struct ha_attr *a = ha_find(msg, HA_ATTR_IKE_ID);

	return a ? &a->ike : NULL;
}

bool ha_ike_id_equal(const struct ha_ike_id *a, const struct ha_ike_id *b)
{
	return a->version == b->version && a->initiator == b->initiator &&
	       !memcmp(a->spi_i, b->spi_i, 8) && !memcmp(a->spi_r, b->spi_r, 8);
}

/* ---- to write one ---- */

void ha_begin(struct ha_msg *msg, uint8_t version, uint8_t type)
{
	msg->version = version;
	msg->type = type;
	msg->n = 0;
}

/* One too many is counted, so that ha_build says so, and stands nowhere. */
static struct ha_attr *put(struct ha_msg *msg, uint8_t type)
{
	static struct ha_attr nowhere;
	struct ha_attr *a = &nowhere;

	if (msg->n < HA_ATTRS_MAX)
		a = &msg->attr[msg->n];
	if (msg->n <= HA_ATTRS_MAX)
		msg->n++;
	memset(a, 0, sizeof(*a));
	a->type = type;
	return a;
}

void ha_put_u8(struct ha_msg *msg, uint8_t type, uint8_t v)
{
	put(msg, type)->u8 = v;
}

void ha_put_u16(struct ha_msg *msg, uint8_t type, uint16_t v)
{
	put(msg, type)->u16 = v;
}

void ha_put_u32(struct ha_msg *msg, uint8_t type, uint32_t v)
{
	put(msg, type)->u32 = v;
}

void ha_put_spi(struct ha_msg *msg, uint8_t type, uint32_t spi)
{
	put(msg, type)->spi = spi;
}

void ha_put_cpi(struct ha_msg *msg, uint8_t type, uint16_t cpi)
{
	put(msg, type)->cpi = cpi;
}

void ha_put_ike_id(struct ha_msg *msg, uint8_t type, const struct ha_ike_id *id)
{
	put(msg, type)->ike = *id;
}

void ha_put_addr(struct ha_msg *msg, uint8_t type, const struct ha_addr *addr)
{
	put(msg, type)->addr = *addr;
}

void ha_put_ts(struct ha_msg *msg, uint8_t type, const struct ha_ts *ts)
{
	put(msg, type)->ts = *ts;
}

void ha_put_bytes(struct ha_msg *msg, uint8_t type, const void *p, size_t len)
{
	struct ha_attr *a = put(msg, type);

	a->bytes.p = p;
	a->bytes.len = len;
}

void ha_put_id(struct ha_msg *msg, uint8_t type, uint8_t id_type, const void *p,
	       size_t len)
{
	struct ha_attr *a = put(msg, type);

	a->id_type = id_type;
	a->bytes.p = p;
	a->bytes.len = len;
}
