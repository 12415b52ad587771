// SPDX-License-Identifier: GPL-2.0
/*
 * In: messages that were built, with each algorithm that is known; the same, changed.
 * Out: they are as RFC 7296 has them, and only those that nobody changed are taken.
 * Host only.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "ike_message.h"

static const struct ike_algs known[] = {
	{ .encr = IKE_ENCR_AES_CBC, .encr_bits = 128, .integ = IKE_INTEG_HMAC_SHA2_256_128 },
	{ .encr = IKE_ENCR_AES_CBC, .encr_bits = 192, .integ = IKE_INTEG_HMAC_SHA1_96 },
	{ .encr = IKE_ENCR_AES_CBC, .encr_bits = 256, .integ = IKE_INTEG_HMAC_SHA2_384_192 },
	{ .encr = IKE_ENCR_AES_CBC, .encr_bits = 256, .integ = IKE_INTEG_HMAC_SHA2_512_256 },
	{ .encr = IKE_ENCR_AES_GCM_8, .encr_bits = 128 },
	{ .encr = IKE_ENCR_AES_GCM_12, .encr_bits = 192 },
	{ .encr = IKE_ENCR_AES_GCM_16, .encr_bits = 256 },
	{ .encr = IKE_ENCR_CHACHA20_POLY1305 },
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

static struct ike_keys keys;
static struct buf b;

static void random_key(struct ike_key *k, int len)
{
	assert_true(len >= 0);
	k->len = len;
	randombytes_buf(k->p, k->len);
}

static void random_keys(const struct ike_algs *a)
{
	int e = ike_encr_len(a->encr, a->encr_bits);
	int i = ike_encr_is_aead(a->encr) ? 0 : ike_integ_len(a->integ);

	random_key(&keys.ei, e);
	random_key(&keys.er, e);
	random_key(&keys.ai, i);
	random_key(&keys.ar, i);
}

static struct ike_header header(uint8_t flags)
{
	return (struct ike_header){
		.spi_i = { 1, 2, 3, 4, 5, 6, 7, 8 }, .spi_r = { 9, 10, 11, 12, 13, 14, 15, 16 },
		.exchange = IKE_INFORMATIONAL, .flags = flags, .id = 0x01020304,
	};
}

static void build(const struct ike_algs *a, uint8_t flags, uint16_t notify)
{
	struct ike_header h = header(flags);

	buf_clear(&b);
	assert_int_equal(ike_message_build(a, &keys, &h, notify, &b), 0);
}

static int check(const struct ike_algs *a)
{
	return ike_message_check(a, &keys, b.data, b.len);
}

static void test_built(void **state)
{
	static const uint8_t flags[] = {
		0, IKE_FLAG_INITIATOR, IKE_FLAG_RESPONSE,
		IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE,
	};
	struct ike_header h, want;
	size_t i, j;

	(void)state;
	for (i = 0; i < KNOWN; i++) {
		random_keys(&known[i]);
		for (j = 0; j < sizeof(flags); j++) {
			build(&known[i], flags[j], j & 1 ? IKE_TEMPORARY_FAILURE : 0);
			assert_int_equal(check(&known[i]), 0);
			assert_true(ike_message_header(b.data, b.len, &h));
			want = header(flags[j]);
			assert_memory_equal(h.spi_i, want.spi_i, 8);
			assert_memory_equal(h.spi_r, want.spi_r, 8);
			assert_int_equal(h.next, IKE_PAYLOAD_SK);
			assert_int_equal(h.exchange, want.exchange);
			assert_int_equal(h.flags, want.flags);
			assert_int_equal(h.id, want.id);
		}
	}
}

/* Any bit that somebody turns on the way; any byte that is missing, or one too many. */
static void test_changed(void **state)
{
	size_t i, at;

	(void)state;
	for (i = 0; i < KNOWN; i++) {
		random_keys(&known[i]);
		build(&known[i], IKE_FLAG_INITIATOR, IKE_TEMPORARY_FAILURE);
		for (at = 0; at < 8 * b.len; at++) {
			b.data[at / 8] ^= 1 << at % 8;
			assert_int_not_equal(check(&known[i]), 0);
			b.data[at / 8] ^= 1 << at % 8;
		}
		for (at = 0; at < b.len; at++)
			assert_int_not_equal(ike_message_check(&known[i], &keys, b.data, at), 0);
		buf_u8(&b, 0);
		assert_int_equal(check(&known[i]), -EBADMSG);
	}
}

/* Lengths that agree, of too little. */
static void test_short(void **state)
{
	size_t i, len;

	(void)state;
	for (i = 0; i < KNOWN; i++) {
		random_keys(&known[i]);
		build(&known[i], 0, 0);
		for (len = IKE_HEADER_LEN + 4; len < b.len; len++) {
			buf_set_u32(&b, 24, len);
			b.data[30] = 0;
			b.data[31] = len - IKE_HEADER_LEN;
			assert_int_not_equal(ike_message_check(&known[i], &keys, b.data, len), 0);
		}
	}
}

/* Each direction has its own keys. */
static void test_others_keys(void **state)
{
	struct ike_keys ours;
	size_t i;

	(void)state;
	for (i = 0; i < KNOWN; i++) {
		random_keys(&known[i]);
		ours = keys;
		build(&known[i], 0, 0);
		keys.ei = ours.er;
		keys.ai = ours.ar;
		keys.er = ours.ei;
		keys.ar = ours.ai;
		assert_int_equal(check(&known[i]), -EBADMSG);
	}
}

static void test_no_iv_twice(void **state)
{
	uint8_t iv[8];

	(void)state;
	random_keys(&known[0]);
	build(&known[0], 0, 0);
	memcpy(iv, b.data + 32, sizeof(iv));
	build(&known[0], 0, 0);
	assert_memory_not_equal(iv, b.data + 32, sizeof(iv));
}

/* As whoever reads it does: RFC 7296, 3.10 and 3.14. */
static void test_inside(void **state)
{
	static const uint8_t want[16] = { 0, 0, 0, 8, 0, 0, 0, IKE_TEMPORARY_FAILURE, [15] = 7 };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t text[32], mac[EVP_MAX_MD_SIZE];
	size_t mac_len;
	int n;

	(void)state;
	random_keys(&known[0]);
	build(&known[0], IKE_FLAG_INITIATOR, IKE_TEMPORARY_FAILURE);
	assert_int_equal(b.len, 28 + 4 + 16 + 16 + 16);
	assert_int_equal(b.data[28], IKE_PAYLOAD_NOTIFY);
	assert_true(EVP_DecryptInit_ex(ctx, EVP_aes_128_cbc(), NULL, keys.ei.p, b.data + 32));
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_true(EVP_DecryptUpdate(ctx, text, &n, b.data + 48, 16));
	assert_int_equal(n, 16);
	assert_memory_equal(text, want, 16);
	EVP_CIPHER_CTX_free(ctx);
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, keys.ai.p, keys.ai.len,
				  b.data, b.len - 16, mac, sizeof(mac), &mac_len));
	assert_memory_equal(mac, b.data + b.len - 16, 16);
	build(&known[0], IKE_FLAG_INITIATOR, 0);
	assert_int_equal(b.data[28], 0);
}

static void test_unknown(void **state)
{
	static const struct ike_algs others[] = {
		{ .encr = IKE_ENCR_3DES, .integ = IKE_INTEG_HMAC_SHA1_96 },
		{ .encr = IKE_ENCR_AES_CTR, .encr_bits = 128,
		  .integ = IKE_INTEG_HMAC_SHA2_256_128 },
		{ .encr = IKE_ENCR_AES_CCM_16, .encr_bits = 128 },
		{ .encr = IKE_ENCR_AES_CBC, .encr_bits = 128, .integ = IKE_INTEG_AES_XCBC_96 },
		{ .encr = IKE_ENCR_AES_CBC, .encr_bits = 128 },
	};
	struct ike_header h = header(0);
	struct buf none = {};
	size_t i;

	(void)state;
	random_keys(&known[0]);
	build(&known[0], 0, 0);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(check(&others[i]), -EOPNOTSUPP);
		assert_int_equal(ike_message_build(&others[i], &keys, &h, 0, &none),
				 -EOPNOTSUPP);
	}
	/* A fragment: its check sum says nothing of the rest. */
	b.data[16] = 53;
	assert_int_equal(check(&known[0]), -EOPNOTSUPP);
	/* IKEv1 */
	b.data[17] = 0x10;
	assert_int_equal(check(&known[0]), -EBADMSG);
	buf_free(&none);
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&b);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_built),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_others_keys),
		cmocka_unit_test(test_no_iv_twice),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests_name("ike_message", tests, NULL, tear_down);
}
