// SPDX-License-Identifier: GPL-2.0
/*
 * In: IKE SAs of the store.
 * Out: what a client of the control socket is told: no key where none is asked for,
 *      each line of the key log where it is; entries of a file, and back.
 * Host only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "ike_keylog.h"
#include "ike_keys.h"
#include "ike_saved.h"
#include "ike_show.h"
#include "vector.h"

#define SECRET "a secret of 32 bytes, as it seems"

static struct ike_store store;
static struct ha_msg msg;

static int set_up(void **state)
{
	(void)state;
	return ike_store_init(&store);
}

static int tear_down(void **state)
{
	(void)state;
	ike_store_exit(&store);
	return 0;
}

static struct ha_ike_id id_of(uint8_t n)
{
	return (struct ha_ike_id){ .version = 2, .spi_i = { n, 0xab }, .spi_r = { n } };
}

static void take(void)
{
	assert_int_equal(ike_store_take(&store, &msg), IKE_STORE_CHANGED);
}

static void begin(uint8_t type, uint8_t n)
{
	struct ha_ike_id id = id_of(n);

	ha_begin(&msg, 3, type);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
}

static void put_nonces(void)
{
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "nonce of i", 10);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nonce of r", 10);
}

static void take_add(uint8_t n, uint16_t encr, uint8_t old)
{
	const struct ha_addr remote = { .port = 500, .family = 2, .addr = { 192, 0, 2, 9 } };
	struct ha_ike_id parent = id_of(old), id = id_of(n);

	ha_begin(&msg, 3, HA_IKE_ADD);
	ha_put_u8(&msg, HA_ATTR_IKE_VERSION, 2);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	if (old) {
		ha_put_ike_id(&msg, HA_ATTR_IKE_REKEY_ID, &parent);
		ha_put_u16(&msg, HA_ATTR_ALG_OLD_PRF, IKE_PRF_HMAC_SHA2_256);
		ha_put_bytes(&msg, HA_ATTR_OLD_SKD, SECRET, 32);
	}
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, encr);
	if (encr == IKE_ENCR_AES_CBC)
		ha_put_u16(&msg, HA_ATTR_ALG_ENCR_LEN, 128);
	ha_put_u16(&msg, HA_ATTR_ALG_INTEG, IKE_INTEG_HMAC_SHA2_256_128);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, IKE_PRF_HMAC_SHA2_256);
	ha_put_u16(&msg, HA_ATTR_ALG_DH, 31);
	put_nonces();
	ha_put_bytes(&msg, HA_ATTR_SECRET, SECRET, 32);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &remote);
	take();
}

static void take_update(uint8_t n)
{
	const struct ha_addr local = { .port = 500, .family = 2, .addr = { 192, 0, 2, 1 } };
	const struct ha_addr remote = { .port = 500, .family = 2, .addr = { 192, 0, 2, 9 } };

	begin(HA_IKE_UPDATE, n);
	ha_put_id(&msg, HA_ATTR_LOCAL_ID, 2, "gw", 2);
	ha_put_id(&msg, HA_ATTR_REMOTE_ID, 2, "peer", 4);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &local);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &remote);
	ha_put_u32(&msg, HA_ATTR_CONDITIONS, 5);
	ha_put_u32(&msg, HA_ATTR_EXTENSIONS, 6);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "site", 4);
	take();
}

static void take_child_of(uint8_t n, uint32_t in, uint32_t out, uint16_t encr)
{
	begin(HA_CHILD_ADD, n);
	ha_put_u8(&msg, HA_ATTR_INITIATOR, 1);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(in));
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, htonl(out));
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, encr);
	if (encr == IKE_ENCR_AES_GCM_16)
		ha_put_u16(&msg, HA_ATTR_ALG_ENCR_LEN, 128);
	put_nonces();
	take();
}

static void take_child(uint8_t n, uint32_t spi, uint16_t encr)
{
	take_child_of(n, spi, spi + 1, encr);
}

static const struct ike_sa *sa_of(uint8_t n)
{
	struct ha_ike_id id = id_of(n);
	const struct ike_sa *sa = ike_store_find(&store, &id);

	assert_non_null(sa);
	return sa;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* None of these bytes, raw or in hex. */
static void has_no_key(const char *text, const struct ike_key *k)
{
	char hex[2 * IKE_CHILD_KEY_MAX + 1];

	sodium_bin2hex(hex, sizeof(hex), k->p, k->len);
	assert_true(k->len);
	assert_null(strstr(text, hex));
}

static void test_json(void **state)
{
	struct ike_keys keys;
	struct ike_algs a;
	char *text;
	json_t *o;

	(void)state;
	take_add(1, IKE_ENCR_AES_CBC, 0);
	assert_false(ike_show_is_whole(sa_of(1)));
	take_update(1);
	assert_true(ike_show_is_whole(sa_of(1)));
	take_child(1, 0xc0000001, IKE_ENCR_AES_GCM_16);
	o = ike_show_json(sa_of(1));
	assert_non_null(o);
	assert_string_equal(text_of(o, "name"), "IKE SA 01ab0000000000000100000000000000");
	assert_null(json_object_get(o, "error"));
	assert_true(json_is_false(json_object_get(o, "in_charon")));
	assert_null(json_object_get(o, "incomplete"));
	assert_string_equal(text_of(o, "credentials"), "site");
	assert_int_equal(json_array_size(json_object_get(o, "child_sas")), 1);
	text = json_dumps(o, 0);
	assert_int_equal(ike_keys_of_sa(sa_of(1), &a, &keys), 0);
	has_no_key(text, &keys.d);
	has_no_key(text, &keys.ei);
	has_no_key(text, &keys.seed);
	has_no_key(text, &(struct ike_key){ SECRET, 32 });
	assert_null(strstr(text, SECRET));
	free(text);
	json_decref(o);
}

static void test_json_state(void **state)
{
	struct ike_sa *sa;
	json_t *o;

	(void)state;
	take_add(1, IKE_ENCR_AES_CBC, 0);
	take_update(1);
	sa = (struct ike_sa *)sa_of(1);
	sa->played = true;
	sa->incomplete = "no room";
	o = ike_show_json(sa);
	assert_true(json_is_true(json_object_get(o, "in_charon")));
	assert_string_equal(text_of(o, "incomplete"), "no room");
	json_decref(o);
	sa->id.version = 1;
	o = ike_show_json(sa);
	assert_string_equal(text_of(o, "error"), "it is of IKEv1");
	assert_string_equal(text_of(o, "name"), "IKE SA 01ab0000000000000100000000000000");
	json_decref(o);
	sa->id.version = 2;
	take_child(1, 0xc0000001, IKE_ENCR_AES_GCM_16);
	take_add(2, IKE_ENCR_AES_CBC, 1);
	take_update(2);
	begin(HA_IKE_DELETE, 1);
	take();
	/* It is here for its Child SA alone, which is the heir's. */
	assert_false(ike_show_is_whole(sa_of(1)));
	o = ike_show_json(sa_of(2));
	assert_int_equal(json_array_size(json_object_get(o, "child_sas")), 1);
	json_decref(o);
}

/* Line for line what the log has. */
static void test_keys(void **state)
{
	struct buf out = {}, want = {};
	char *line, *save = NULL;
	unsigned int n = 0;
	json_t *o;

	(void)state;
	take_add(1, IKE_ENCR_AES_CBC, 0);
	take_update(1);
	take_child(1, 0xc0000001, IKE_ENCR_AES_GCM_16);
	ike_show_keys(sa_of(1), &out);
	assert_false(out.bad);
	assert_int_equal(ike_keylog_sa(&want, sa_of(1)), 0);
	assert_int_equal(ike_keylog_child(&want, ike_store_find_child(&store,
						 htonl(0xc0000001))), 0);
	buf_u8(&out, 0);
	buf_u8(&want, 0);
	for (line = strtok_r((char *)want.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save), n++) {
		char *end = memchr(out.data, '\n', out.len);

		assert_non_null(end);
		o = json_loadb((char *)out.data, end - (char *)out.data, 0, NULL);
		assert_non_null(o);
		assert_string_equal(text_of(o, "line"), line);
		assert_string_equal(text_of(o, "table"),
				    n ? "esp_sa" : "ikev2_decryption_table");
		json_decref(o);
		buf_take(&out, end + 1 - (char *)out.data);
	}
	assert_int_equal(n, 3);
	assert_int_equal(out.len, 1);
	buf_free(&out);
	buf_free(&want);
}

/* What Wireshark has no name for is named. */
static void test_no_keys(void **state)
{
	struct buf out = {};

	(void)state;
	take_add(1, IKE_ENCR_CHACHA20_POLY1305, 0);
	take_update(1);
	take_child(1, 0xc0000001, IKE_ENCR_CHACHA20_POLY1305);
	ike_show_keys(sa_of(1), &out);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.data,
		"{\"sa\":\"IKE SA 01ab0000000000000100000000000000\",\"error\":"
		"\"Wireshark has no name for an algorithm of it, or it is not known here\"}\n"
		"{\"sa\":\"Child SA 0xc0000001\",\"error\":"
		"\"Wireshark has no name for an algorithm of it, or it is not known here\"}\n");
	buf_free(&out);
}

/* ---- entries of a file ---- */

static struct buf decoded(const json_t *o)
{
	const char *text = text_of(o, "entry");
	struct buf b = {};
	uint8_t p[4096];
	size_t len;

	assert_int_equal(sodium_base642bin(p, sizeof(p), text, strlen(text), NULL, &len,
					   NULL, sodium_base64_VARIANT_ORIGINAL), 0);
	buf_put(&b, p, len);
	return b;
}

static int take_played(void *arg, const struct ha_msg *m)
{
	return ike_store_take(arg, m) < 0 ? -1 : 0;
}

/* What a file has of it, into a store. */
static void take_entry(struct ike_store *s, const struct buf *b, bool ended)
{
	struct field_error why;
	struct ike_saved saved;
	struct ha_msg m;
	size_t len;

	assert_int_equal(ike_saved_get(b->data, b->len, &saved, &why), 0);
	assert_int_equal(ike_context_play(&saved.ctx, 3, take_played, s), 0);
	while (saved.children.left) {
		len = rd_u16(&saved.children);
		assert_int_equal(ha_parse(rd_bytes(&saved.children, len), len, &m, NULL), 0);
		assert_int_equal(ike_store_take(s, &m), IKE_STORE_CHANGED);
	}
	if (ended)
		ike_store_find(s, &saved.ctx.id)->gone = true;
	ike_saved_exit(&saved);
}

static int add_msg(void *arg, const struct ike_sa *sa, const uint8_t *m, size_t len)
{
	(void)sa;
	buf_u16(arg, len);
	buf_put(arg, m, len);
	return 0;
}

/* All that a charon needs is in the entries, the generations included. */
static void test_entries(void **state)
{
	struct buf out = {}, was = {}, is = {}, b;
	struct ike_store other;
	const struct ike_sa *sa;
	unsigned int n = 0;
	uint8_t *end;
	json_t *o;

	(void)state;
	take_add(1, IKE_ENCR_AES_CBC, 0);
	take_update(1);
	begin(HA_IKE_MID_RESPONDER, 1);
	ha_put_u32(&msg, HA_ATTR_MID, 7);
	take();
	take_child(1, 0xc0000001, IKE_ENCR_AES_GCM_16);
	take_add(2, IKE_ENCR_AES_CBC, 1);
	take_update(2);
	begin(HA_IKE_DELETE, 1);
	take();
	take_child(2, 0xc0000011, IKE_ENCR_CHACHA20_POLY1305);
	ike_store_play(&store, add_msg, &was);
	/* Only begun: of no use to anybody later. */
	take_add(3, IKE_ENCR_AES_CBC, 0);
	assert_int_equal(ike_store_init(&other), 0);
	ike_store_for_each(&store, sa)
		ike_show_entry(sa, &out);
	for (; out.len; buf_take(&out, end + 1 - out.data), n++) {
		end = memchr(out.data, '\n', out.len);
		assert_non_null(end);
		o = json_loadb((char *)out.data, end - out.data, 0, NULL);
		assert_non_null(o);
		b = decoded(o);
		take_entry(&other, &b, json_is_true(json_object_get(o, "ended")));
		buf_free(&b);
		json_decref(o);
	}
	assert_int_equal(n, 2);
	ike_store_play(&other, add_msg, &is);
	assert_int_equal(is.len, was.len);
	assert_memory_equal(is.data, was.data, was.len);
	ike_store_exit(&other);
	buf_free(&out);
	buf_free(&was);
	buf_free(&is);
}

/* Byte by byte, and the same on every machine. */
static void test_vector(void **state)
{
	struct buf want = vector_read("ike-entry"), got = {};
	struct field_error why;
	struct ike_saved saved;

	(void)state;
	take_add(1, IKE_ENCR_AES_CBC, 0);
	take_update(1);
	begin(HA_IKE_MID_RESPONDER, 1);
	ha_put_u32(&msg, HA_ATTR_MID, 7);
	take();
	take_child_of(1, 0xc00000c0, 0xc11111c1, IKE_ENCR_AES_GCM_16);
	assert_int_equal(ike_saved_put(sa_of(1), &got), 0);
	vector_equal("ike-entry", &want, got.data, got.len);
	assert_int_equal(ike_saved_get(want.data, want.len, &saved, &why), 0);
	assert_int_equal(saved.ctx.mid_r, 7);
	assert_int_equal(saved.ctx.keys_case, IKE_CONTEXT_DH);
	assert_int_equal(saved.children.left, 2 + 70);
	ike_saved_exit(&saved);
	buf_free(&want);
	buf_free(&got);
}

/* Cut anywhere, or with what is not of it, nothing of it is read. */
static void test_bad_entries(void **state)
{
	struct buf b = {}, other = {};
	struct field_error why;
	struct ike_saved saved;
	size_t len, whole;

	(void)state;
	take_add(1, IKE_ENCR_AES_CBC, 0);
	assert_int_equal(ike_saved_put(sa_of(1), &b), -ENOENT);
	buf_clear(&b);
	take_update(1);
	take_child(1, 0xc0000001, IKE_ENCR_AES_GCM_16);
	buf_clear(&b);
	assert_int_equal(ike_saved_put(sa_of(1), &b), 0);
	whole = 4 + (b.data[2] << 8 | b.data[3]);
	for (len = 0; len < b.len; len++) {
		/* Without its Child SA it is whole, too. */
		assert_int_equal(ike_saved_get(b.data, len, &saved, &why),
				 len == whole ? 0 : -EBADMSG);
		ike_saved_exit(&saved);
	}
	take_add(2, IKE_ENCR_AES_CBC, 0);
	take_update(2);
	assert_int_equal(ike_saved_put(sa_of(2), &other), 0);
	/* The Child SA is of another one. */
	buf_put(&other, b.data + whole, b.len - whole);
	assert_int_equal(ike_saved_get(other.data, other.len, &saved, &why), -EBADMSG);
	assert_string_equal(why.what, "a Child SA's message is malformed");
	ike_saved_exit(&saved);
	buf_free(&b);
	buf_free(&other);
}

int main(void)
{
#define OF_STORE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		OF_STORE(test_json),
		OF_STORE(test_json_state),
		OF_STORE(test_keys),
		OF_STORE(test_no_keys),
		OF_STORE(test_entries),
		OF_STORE(test_vector),
		OF_STORE(test_bad_entries),
	};

	return cmocka_run_group_tests_name("ike_show", tests, NULL, NULL);
}
