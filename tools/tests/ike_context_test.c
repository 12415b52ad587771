// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts of IKE SAs, byte by byte (vectors/); the same as charon tells them.
 * Out: one from the other, both ways, the same on every machine.
 * Host only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "context_print.h"
#include "ike_context.h"
#include "vector.h"

static struct ha_msg msg;
static struct ike_store store;
static struct ike_context ctx;
static struct buf circle;	/* ctx is in it */

static int set_up(void **state)
{
	(void)state;
	memset(&ctx, 0, sizeof(ctx));
	return ike_store_init(&store);
}

static int tear_down(void **state)
{
	(void)state;
	ike_context_exit(&ctx);
	ike_store_exit(&store);
	buf_free(&circle);
	return 0;
}

/* ---- the vectors ---- */

static const char *const good[] = {
	"ike-dh", "ike-seed", "ike-keys", "ike-rekeyed", "ike-unknown",
};

static void test_vectors(void **state)
{
	struct buf want, got = {};
	struct field_error why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		want = vector_read(good[i]);
		assert_int_equal(ike_context_decode(want.data, want.len, &ctx, &why),
				 0);
		buf_clear(&got);
		assert_int_equal(ike_context_encode(&ctx, &got), 0);
		vector_equal(good[i], &want, got.data, got.len);
		ike_context_exit(&ctx);
		buf_free(&want);
	}
	buf_free(&got);
}

static void test_values(void **state)
{
	struct buf b = vector_read("ike-dh");
	const uint32_t spi = htonl(0xc0000002);
	struct field_error why;

	(void)state;
	assert_int_equal(ike_context_decode(b.data, b.len, &ctx, &why), 0);
	assert_int_equal(ctx.id.version, 2);
	assert_int_equal(ctx.id.spi_r[7], 0xcd);
	assert_int_equal(ctx.remote.port, 1024);
	assert_int_equal(ctx.mid_r, 5);
	assert_int_equal(ctx.algs.encr_bits, 128);
	assert_int_equal(ctx.keys_case, IKE_CONTEXT_DH);
	assert_int_equal(ctx.exchanges, 1);
	assert_int_equal(ctx.exchange[0].secret.len, 128);
	assert_int_equal(ctx.remote_id.type, 3);
	assert_int_equal(ctx.remote_vips, 2);
	assert_int_equal(ctx.remote_vip[1].family, 10);
	assert_int_equal(ctx.rekey, 14400);
	assert_int_equal(ctx.vendor_ids, 1);
	assert_memory_equal(ctx.children.data + 8, &spi, 4);
	buf_free(&b);
}

/* The second of them comes of the first, the third of either. */
static void test_derive(void **state)
{
	static const struct {
		const char *from, *to;
		enum ike_context_case to_case;
	} way[] = {
		{ "ike-dh", "ike-seed", IKE_CONTEXT_SEED },
		{ "ike-dh", "ike-keys", IKE_CONTEXT_KEYS },
		{ "ike-seed", "ike-keys", IKE_CONTEXT_KEYS },
	};
	struct buf b, want, got = {};
	struct field_error why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		b = vector_read(way[i].from);
		want = vector_read(way[i].to);
		assert_int_equal(ike_context_decode(b.data, b.len, &ctx, &why), 0);
		assert_int_equal(ike_context_derive(&ctx, way[i].to_case), 0);
		assert_int_equal(ike_context_derive(&ctx, IKE_CONTEXT_DH), -EINVAL);
		buf_clear(&got);
		assert_int_equal(ike_context_encode(&ctx, &got), 0);
		vector_equal(way[i].to, &want, got.data, got.len);
		ike_context_exit(&ctx);
		buf_free(&b);
		buf_free(&want);
	}
	buf_free(&got);
}

static void test_bad(void **state)
{
	static const struct {
		const char *vector;
		int ret;
		const char *why;
	} bad[] = {
		{ "bad-ike-unknown", -EOPNOTSUPP,
		  "field 0x0300 is mandatory, and this version does not know it" },
		{ "bad-ike-missing", -EBADMSG, "field 0x0202 (HOSTS) is missing" },
		{ "bad-ike-length", -EBADMSG,
		  "field 0x0215 (CHILD_SAS) has a wrong length" },
		{ "bad-ike-keys", -EBADMSG,
		  "has none of the three kinds of keys, or more" },
		{ "bad-ike-nonces", -EBADMSG,
		  "field 0x0206 (NONCES) goes with DH secrets or SKEYSEED" },
		{ "bad-ike-address", -EBADMSG,
		  "field 0x0202 (HOSTS) has no address" },
	};
	struct field_error why;
	char text[160];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		b = vector_read(bad[i].vector);
		assert_int_equal(ike_context_decode(b.data, b.len, &ctx, &why),
				 bad[i].ret);
		assert_string_equal(ike_context_error_str(&why, text, sizeof(text)),
				    bad[i].why);
		ike_context_exit(&ctx);
		buf_free(&b);
	}
}

/* Each one, cut anywhere, or with any of its bytes another: never more than refused. */
static void test_damage(void **state)
{
	struct buf b, again = {};
	struct field_error why;
	size_t i, at;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		b = vector_read(good[i]);
		for (at = 0; at < b.len; at++) {
			ike_context_decode(b.data, at, &ctx, &why);
			ike_context_exit(&ctx);
			b.data[at] ^= 0x11;
			if (!ike_context_decode(b.data, b.len, &ctx, &why)) {
				buf_clear(&again);
				assert_int_equal(ike_context_encode(&ctx, &again), 0);
				vector_equal(good[i], &b, again.data, again.len);
			}
			ike_context_exit(&ctx);
			b.data[at] ^= 0x11;
		}
		buf_free(&b);
	}
	buf_free(&again);
}

/* ---- of the store, and to a charon ---- */

static int take_played(void *arg, const struct ha_msg *m)
{
	struct ha_msg parsed;
	struct buf b = {};
	int ret;

	assert_int_equal(ha_build(m, &b, NULL), 0);
	assert_int_equal(ha_parse(b.data, b.len, &parsed, NULL), 0);
	ret = ike_store_take(arg, &parsed);
	buf_free(&b);
	return ret < 0 ? ret : 0;
}

static void put_child(uint32_t in, uint32_t out)
{
	ha_begin(&msg, 5, HA_CHILD_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &ctx.id);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(in));
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, htonl(out));
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	assert_int_equal(take_played(&store, &msg), 0);
}

/* What charon does not tell; whoever asks it by another way puts it in. */
static void put_untold(struct ike_context *c, const struct ike_context *told)
{
	c->window = told->window;
	c->has_lifetime = told->has_lifetime;
	c->age = told->age;
	c->rekey = told->rekey;
	c->reauth = told->reauth;
	c->vendor_ids = told->vendor_ids;
	memcpy(c->vendor_id, told->vendor_id, sizeof(c->vendor_id));
}

/* The context, as messages, in a store; and the context of what stands there. */
static void full_circle(const char *vector, uint8_t version, bool children)
{
	struct ike_context again;
	struct field_error why;
	struct buf got = {};

	circle = vector_read(vector);
	assert_int_equal(ike_context_decode(circle.data, circle.len, &ctx, &why), 0);
	assert_int_equal(ike_context_play(&ctx, version, take_played, &store), 0);
	if (children) {
		put_child(0xc0000001, 0xc1000001);
		put_child(0xc0000002, 0xc1000002);
	}
	assert_int_equal(ike_context_of_sa(ike_store_find(&store, &ctx.id),
					   IKE_CONTEXT_DH, &again), 0);
	put_untold(&again, &ctx);
	assert_int_equal(ike_context_encode(&again, &got), 0);
	vector_equal(vector, &circle, got.data, got.len);
	ike_context_exit(&again);
	buf_free(&got);
}

static void test_full_circle(void **state)
{
	(void)state;
	full_circle("ike-dh", 3, true);
}

static void test_full_circle_rekeyed(void **state)
{
	(void)state;
	full_circle("ike-rekeyed", 5, false);
}

static void test_of_sa_cases(void **state)
{
	struct buf want = vector_read("ike-keys"), got = {};
	struct ike_context again;

	(void)state;
	full_circle("ike-dh", 4, true);
	assert_int_equal(ike_context_of_sa(ike_store_find(&store, &ctx.id),
					   IKE_CONTEXT_KEYS, &again), 0);
	put_untold(&again, &ctx);
	assert_int_equal(ike_context_encode(&again, &got), 0);
	vector_equal("ike-keys", &want, got.data, got.len);
	ike_context_exit(&again);
	buf_free(&got);
	buf_free(&want);
}

static void test_not_for_charon(void **state)
{
	struct buf b = vector_read("ike-seed");
	struct field_error why;

	(void)state;
	assert_int_equal(ike_context_decode(b.data, b.len, &ctx, &why), 0);
	assert_int_equal(ike_context_play(&ctx, 3, take_played, &store), -EOPNOTSUPP);
	buf_free(&b);
}

/* What its heirs have: Child SAs of before, virtual addresses told once. */
static void test_of_heir(void **state)
{
	struct ha_ike_id old, id = { .version = 2, .spi_i = { 9 } };
	struct ike_context heir;

	(void)state;
	full_circle("ike-dh", 3, true);
	old = ctx.id;
	ha_begin(&msg, 3, HA_IKE_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_ike_id(&msg, HA_ATTR_IKE_REKEY_ID, &old);
	ha_put_u16(&msg, HA_ATTR_ALG_OLD_PRF, 2);
	ha_put_bytes(&msg, HA_ATTR_OLD_SKD, "skd", 3);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, 12);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR_LEN, 128);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, "s", 1);
	assert_int_equal(take_played(&store, &msg), 0);
	assert_int_equal(ike_context_of_sa(ike_store_find(&store, &id),
					   IKE_CONTEXT_DH, &heir), -ENOENT);
	ha_begin(&msg, 3, HA_IKE_DELETE);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &old);
	assert_int_equal(take_played(&store, &msg), 0);
	ha_begin(&msg, 3, HA_IKE_UPDATE);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &ctx.local);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &ctx.remote);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "remote-access", 13);
	assert_int_equal(take_played(&store, &msg), 0);
	assert_int_equal(ike_context_of_sa(ike_store_find(&store, &id),
					   IKE_CONTEXT_DH, &heir), 0);
	assert_true(heir.rekeyed);
	assert_int_equal(heir.remote_vips, 2);
	assert_int_equal(heir.children.len, 16);
	ike_context_exit(&heir);
}

/* ---- for people ---- */

static void no_secret(const char *text, const struct ike_part *p)
{
	char hex[9];
	const uint8_t *b = p->p;

	snprintf(hex, sizeof(hex), "%02x%02x%02x%02x", b[0], b[1], b[2], b[3]);
	if (strstr(text, hex))
		fail_msg("a secret is printed: %s", text);
}

static void test_json(void **state)
{
	struct buf b = vector_read("ike-dh");
	struct field_error why;
	char *text, *lines;
	size_t len;
	json_t *o;
	FILE *f;

	(void)state;
	assert_int_equal(ike_context_decode(b.data, b.len, &ctx, &why), 0);
	o = ike_context_json(&ctx);
	assert_non_null(o);
	text = json_dumps(o, JSON_COMPACT);
	assert_non_null(strstr(text, "\"credentials\":\"remote-access\""));
	assert_non_null(strstr(text, "\"remote\":\"carol@example.org\""));
	assert_non_null(strstr(text, "\"in\":\"0xc0000001\""));
	assert_non_null(strstr(text, "\"remote\":[\"10.3.0.1\",\"2001:db8:3::1\"]"));
	assert_non_null(strstr(text, "\"keys\":{\"case\":1,\"nonces\":[8,8],\"exchanges\":1}"));
	no_secret(text, &ctx.exchange[0].secret);
	no_secret(text, &ctx.ni);
	f = open_memstream(&lines, &len);
	context_print(f, o);
	fclose(f);
	assert_ptr_equal(strstr(lines, "IKE SA 8e5c3ae507221684b1f201bb155c3acd\n"),
			 lines);
	free(lines);
	free(text);
	json_decref(o);
	buf_free(&b);
}

static void test_json_keys(void **state)
{
	static const char *const vectors[] = { "ike-seed", "ike-keys", "ike-rekeyed" };
	struct ike_part secret;
	struct field_error why;
	struct buf b;
	char *text;
	size_t i;
	json_t *o;

	(void)state;
	for (i = 0; i < 3; i++) {
		b = vector_read(vectors[i]);
		assert_int_equal(ike_context_decode(b.data, b.len, &ctx, &why), 0);
		o = ike_context_json(&ctx);
		text = json_dumps(o, 0);
		secret = (struct ike_part){ ctx.keys.seed.p, 20 };
		if (i == 1)
			secret.p = ctx.keys.ei.p;
		if (i == 2)
			secret = ctx.old_skd;
		no_secret(text, &secret);
		free(text);
		json_decref(o);
		ike_context_exit(&ctx);
		buf_free(&b);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_vectors),
		TEST(test_values),
		TEST(test_derive),
		TEST(test_bad),
		TEST(test_damage),
		TEST(test_full_circle),
		TEST(test_full_circle_rekeyed),
		TEST(test_of_sa_cases),
		TEST(test_not_for_charon),
		TEST(test_of_heir),
		TEST(test_json),
		TEST(test_json_keys),
	};

	return cmocka_run_group_tests_name("ike_context", tests, NULL, NULL);
}
