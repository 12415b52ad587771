// SPDX-License-Identifier: GPL-2.0
/*
 * In: messages of charon's ha plugin, byte by byte, of each version.
 * Out: their attributes; the same bytes again; why the others are refused.
 * Host only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "ha.h"

static struct ha_msg msg;	/* too large for a stack that is fuzzed, too */

#define IKE_ID "01 02 1111111111111111 2222222222222222 00"

static struct buf hex(const char *text)
{
	uint8_t bytes[HA_MESSAGE_MAX];
	struct buf b = {};
	size_t len;

	assert_int_equal(sodium_hex2bin(bytes, sizeof(bytes), text, strlen(text),
					" ", &len, NULL), 0);
	buf_put(&b, bytes, len);
	return b;
}

static void round_trip(const char *text)
{
	struct buf b = hex(text), again = {};
	struct ha_error why;

	assert_int_equal(ha_parse(b.data, b.len, &msg, &why), 0);
	assert_int_equal(ha_build(&msg, &again, &why), 0);
	assert_int_equal(again.len, b.len);
	assert_memory_equal(again.data, b.data, b.len);
	buf_free(&again);
	buf_free(&b);
}

static const char *const good[] = {
	/* IKE_ADD of a rekey: version, id, whom it rekeys, algorithms, keys, address */
	"03 01 24 02 " IKE_ID
	"02 02 3333333333333333 4444444444444444 01 14 0005 12 0004 a0a1a2a3"
	"15 000c 16 0100 17 000c 13 0005 18 0013 0f 0004 01020304 10 0004 05060708"
	"11 0003 090a0b 07 01f4 02 c0000201",
	/* the same, version 5, with a second key exchange */
	"05 01 26 02 " IKE_ID
	"02 02 3333333333333333 4444444444444444 01 15 0005 13 0004 a0a1a2a3"
	"16 000c 17 0100 18 000c 14 0005 19 001f 1a 0002 0024 0f 0004 01020304"
	"10 0004 05060708 11 0003 090a0b 12 0002 0c0d 07 01f4 02 c0000201",
	/* IKE_UPDATE: identities, addresses, conditions, extensions, name, addresses */
	"03 02 " IKE_ID "03 02 04 67772d61 04 02 00 06 01f4 02 c0000201"
	"07 1194 0a 20010db8000000000000000000000001 09 00000007 0a 00000009"
	"08 7369746500 0d 01f4 02 c0000202 0d 01f4 02 c0000203",
	/* ... of version 5, with charon's private bits apart */
	"05 02 " IKE_ID "09 00000007 09 80000001 0a 00000009 0a 80000002",
	"03 02 " IKE_ID "0c 0000 02 0a030001 0c 0000 02 0a030002",
	"03 03 " IKE_ID "21 00000002",
	"04 04 " IKE_ID "23 00000002",
	"03 05 " IKE_ID,
	/* CHILD_ADD */
	"03 06 " IKE_ID "0e 01 1b 010000c0 1c 020000c0 1d 0000 1e 0000 19 02 1a 00"
	"08 6e657400 15 0014 16 0080 23 0001 0f 0001 01 10 0001 02"
	"1f 07 00 0000 ffff 00 0a010000 0a01ffff"
	"20 08 06 0050 0050 01 20010db8000000000000000000000001"
	"20010db8000000000000000000000001",
	"03 07 " IKE_ID "1b 010000c0",
	"03 08 22 0001",
	"03 09 22 0001 22 0002",
	"03 0a",
	"03 0b 22 0001",
	"03 0c " IKE_ID "28 0008 0001020304050607",
};

static void test_round_trip(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		round_trip(good[i]);
}

static void test_values(void **state)
{
	struct buf b = hex(good[0]);
	const struct ha_attr *a;

	(void)state;
	assert_int_equal(ha_parse(b.data, b.len, &msg, NULL), 0);
	assert_int_equal(msg.version, 3);
	assert_int_equal(msg.type, HA_IKE_ADD);
	assert_int_equal(msg.n, 14);
	assert_int_equal(msg.attr[0].type, HA_ATTR_IKE_VERSION);
	assert_int_equal(ha_ike_id(&msg)->version, 2);
	assert_int_equal(ha_ike_id(&msg)->spi_i[7], 0x11);
	assert_int_equal(ha_ike_id(&msg)->spi_r[0], 0x22);
	assert_int_equal(ha_ike_id(&msg)->initiator, 0);
	a = ha_find(&msg, HA_ATTR_IKE_REKEY_ID);
	assert_int_equal(a->ike.initiator, 1);
	assert_false(ha_ike_id_equal(&a->ike, ha_ike_id(&msg)));
	a = ha_find(&msg, HA_ATTR_SECRET);
	assert_int_equal(a->bytes.len, 3);
	assert_int_equal(a->bytes.p[2], 0x0b);
	assert_int_equal(ha_find(&msg, HA_ATTR_ALG_ENCR_LEN)->u16, 256);
	a = ha_find(&msg, HA_ATTR_REMOTE_ADDR);
	assert_int_equal(a->addr.port, 500);
	assert_int_equal(a->addr.addr[0], 192);
	assert_null(ha_find(&msg, HA_ATTR_ADD_SECRET));
	buf_free(&b);
}

/* The numbers are others in version 4, the attributes the same. */
static void test_versions(void **state)
{
	struct buf b = hex(good[1]);
	struct ha_error why;
	struct buf out = {};

	(void)state;
	assert_int_equal(ha_parse(b.data, b.len, &msg, NULL), 0);
	assert_int_equal(ha_find(&msg, HA_ATTR_ALG_DH)->u16, 31);
	assert_int_equal(ha_find(&msg, HA_ATTR_ADD_SECRET)->bytes.len, 2);
	assert_int_equal(ha_find(&msg, HA_ATTR_ALG_ADD_KES)->bytes.p[1], 0x24);
	msg.version = 4;
	assert_int_equal(ha_build(&msg, &out, &why), 0);
	assert_memory_equal(out.data + 1, b.data + 1, b.len - 1);
	buf_clear(&out);
	msg.version = 3;
	assert_int_equal(ha_build(&msg, &out, &why), -EOPNOTSUPP);
	assert_string_equal(why.name, "ALG_ADD_KES");
	buf_free(&out);
	buf_free(&b);
}

/* charon on this machine turns them around on x86, and not on s390x. */
static void test_spi(void **state)
{
	const uint32_t spi = htonl(0xc0000001), swapped = htonl(spi);
	const struct ha_ike_id id = { .version = 2 };
	struct buf b = {};

	(void)state;
	ha_begin(&msg, 3, HA_CHILD_DELETE);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, spi);
	assert_int_equal(ha_build(&msg, &b, NULL), 0);
	assert_int_equal(b.len, 2 + 1 + 18 + 1 + 4);
	assert_memory_equal(b.data + b.len - 4, &swapped, 4);
	assert_int_equal(ha_parse(b.data, b.len, &msg, NULL), 0);
	assert_int_equal(ha_find(&msg, HA_ATTR_INBOUND_SPI)->spi, spi);
	buf_free(&b);
}

static void test_writers(void **state)
{
	const struct ha_ike_id id = { .version = 2, .initiator = 1 };
	const struct ha_addr addr = { .port = 500, .family = 2, .addr = { 10 } };
	const struct ha_ts ts = { .type = 7, .to_port = 65535 };
	struct buf b = {}, again = {};

	(void)state;
	ha_begin(&msg, 5, HA_CHILD_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_u8(&msg, HA_ATTR_INITIATOR, 1);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, 20);
	ha_put_u32(&msg, HA_ATTR_CONDITIONS, 7);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, 1);
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, 2);
	ha_put_cpi(&msg, HA_ATTR_INBOUND_CPI, 3);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "n", 1);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "m", 1);
	ha_put_id(&msg, HA_ATTR_LOCAL_ID, 2, "gw", 2);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &addr);
	ha_put_ts(&msg, HA_ATTR_LOCAL_TS, &ts);
	assert_int_equal(ha_build(&msg, &b, NULL), 0);
	assert_int_equal(ha_parse(b.data, b.len, &msg, NULL), 0);
	assert_int_equal(msg.n, 13);
	assert_int_equal(ha_find(&msg, HA_ATTR_LOCAL_ID)->id_type, 2);
	assert_int_equal(ha_find(&msg, HA_ATTR_CONFIG_NAME)->bytes.len, 3);
	assert_int_equal(ha_build(&msg, &again, NULL), 0);
	assert_memory_equal(b.data, again.data, b.len);
	buf_free(&again);
	buf_free(&b);
}

static void test_no_form(void **state)
{
	const struct ha_addr addr = { .family = 1 };
	const struct ha_ts ts = { .type = 9 };
	static uint8_t large[HA_MESSAGE_MAX];
	struct buf b = {};
	int i;

	(void)state;
	ha_begin(&msg, 3, HA_IKE_UPDATE);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &addr);
	assert_int_equal(ha_build(&msg, &b, NULL), -EINVAL);
	ha_begin(&msg, 3, HA_CHILD_ADD);
	ha_put_ts(&msg, HA_ATTR_LOCAL_TS, &ts);
	assert_int_equal(ha_build(&msg, &b, NULL), -EINVAL);
	ha_begin(&msg, 3, HA_IKE_UPDATE);
	ha_put_id(&msg, HA_ATTR_LOCAL_ID, 2, large, 256);
	assert_int_equal(ha_build(&msg, &b, NULL), -EINVAL);
	ha_begin(&msg, 3, HA_IKE_UPDATE);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "a\0b", 3);
	assert_int_equal(ha_build(&msg, &b, NULL), -EINVAL);
	buf_clear(&b);
	ha_begin(&msg, 3, HA_IKE_ADD);
	ha_put_bytes(&msg, HA_ATTR_SECRET, large, sizeof(large));
	assert_int_equal(ha_build(&msg, &b, NULL), -EMSGSIZE);
	ha_begin(&msg, 3, HA_STATUS);
	for (i = 0; i < HA_ATTRS_MAX + 3; i++)
		ha_put_u16(&msg, HA_ATTR_SEGMENT, 1);
	assert_int_equal(ha_build(&msg, &b, NULL), -EMSGSIZE);
	buf_free(&b);
}

static void test_bad(void **state)
{
	static const struct {
		const char *bytes;
		int ret;
		const char *why;
	} bad[] = {
		{ "03", -EBADMSG, "ends within its header" },
		{ "02 05 " IKE_ID, -EOPNOTSUPP, "has another version" },
		{ "06 05 " IKE_ID, -EOPNOTSUPP, "has another version" },
		{ "03 00", -EOPNOTSUPP, "has an unknown type" },
		{ "03 0d", -EOPNOTSUPP, "has an unknown type" },
		{ "03 05 2a", -EOPNOTSUPP, "attribute 42 is not known" },
		{ "05 05 2c", -EOPNOTSUPP, "attribute 44 is not known" },
		{ "03 05 00", -EOPNOTSUPP, "has an attribute 0" },
		{ "03 05 01 02 11", -EBADMSG, "attribute 1 (IKE_ID) is cut" },
		{ "03 05", -EBADMSG, "attribute 1 (IKE_ID) is missing" },
		{ "03 05 " IKE_ID IKE_ID, -EBADMSG,
		  "attribute 1 (IKE_ID) stands twice" },
		{ "03 03 " IKE_ID, -EBADMSG, "attribute 33 (MID) is missing" },
		{ "05 03 " IKE_ID, -EBADMSG, "attribute 35 (MID) is missing" },
		{ "03 03 " IKE_ID "21 000000", -EBADMSG,
		  "attribute 33 (MID) is cut" },
		{ "03 02 09 00000001 " IKE_ID, -EBADMSG,
		  "attribute 9 (CONDITIONS) stands before IKE_ID" },
		{ "03 02 " IKE_ID "09 00000001 09 80000001", -EBADMSG,
		  "attribute 9 (CONDITIONS) stands twice" },
		{ "03 02 " IKE_ID "06 01f4 01 c0000201", -EBADMSG,
		  "attribute 6 (LOCAL_ADDR) has an unknown address family" },
		{ "03 02 " IKE_ID "06 01f4 0a c0000201", -EBADMSG,
		  "attribute 6 (LOCAL_ADDR) is cut" },
		{ "03 02 " IKE_ID "08 73697465", -EBADMSG,
		  "attribute 8 (CONFIG_NAME) is cut" },
		{ "03 02 " IKE_ID "03 02 05 67772d61", -EBADMSG,
		  "attribute 3 (LOCAL_ID) is cut" },
		{ "03 0c " IKE_ID "28 0009 0001020304050607", -EBADMSG,
		  "attribute 40 (IV) is cut" },
		{ "03 06 " IKE_ID "1f 09 00 0000 ffff 00 0a010000 0a01ffff", -EBADMSG,
		  "attribute 31 (LOCAL_TS) has an unknown type of traffic selector" },
		{ "03 06 " IKE_ID "1f 07 00 0000 ffff 00 0a010000 0a01ff", -EBADMSG,
		  "attribute 31 (LOCAL_TS) is cut" },
	};
	struct ha_error why;
	char text[160];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		b = hex(bad[i].bytes);
		assert_int_equal(ha_parse(b.data, b.len, &msg, &why), bad[i].ret);
		assert_string_equal(ha_error_str(&why, text, sizeof(text)),
				    bad[i].why);
		buf_free(&b);
	}
}

/* Each message, cut anywhere: refused, or a message of fewer attributes. */
static void test_cut(void **state)
{
	struct buf b, again = {};
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		b = hex(good[i]);
		for (len = 0; len < b.len; len++) {
			if (ha_parse(b.data, len, &msg, NULL))
				continue;
			buf_clear(&again);
			assert_int_equal(ha_build(&msg, &again, NULL), 0);
			assert_int_equal(again.len, len);
		}
		buf_free(&b);
	}
	buf_free(&again);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(ha_type_str(HA_IKE_ADD), "IKE_ADD");
	assert_string_equal(ha_type_str(99), "?");
	assert_string_equal(ha_attr_str(HA_ATTR_PSK), "PSK");
	assert_string_equal(ha_attr_str(0), "?");
	assert_true(ha_attr_is_secret(HA_ATTR_SECRET));
	assert_true(ha_attr_is_secret(HA_ATTR_OLD_SKD));
	assert_false(ha_attr_is_secret(HA_ATTR_NONCE_I));
	assert_int_equal(ha_attr_kind(HA_ATTR_LOCAL_TS), HA_KIND_TS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_spi),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_no_form),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("ha", tests, NULL, NULL);
}
