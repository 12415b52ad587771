// SPDX-License-Identifier: GPL-2.0
/*
 * In: bytes of all lengths, sealed; the same changed, cut, mixed up.
 * Out: the same again, or nothing.
 * Host only.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "seal.h"

static const struct secret key = { .key = { 1 }, .len = 32 };
static const uint8_t head[] = "head";

static void sealed(struct buf *out, size_t len)
{
	uint8_t *plain = malloc(len + 1);

	memset(plain, 0x42, len);
	seal_put(out, &key, "a test", head, sizeof(head), plain, len);
	free(plain);
}

static int unseal(const struct buf *b, size_t from, size_t len)
{
	struct buf out = {};
	int ret;

	ret = seal_get(&out, &key, "a test", head, sizeof(head), b->data + from, len);
	assert_true(!ret || !out.len);
	buf_free(&out);
	return ret;
}

static void test_lengths(void **state)
{
	static const size_t lengths[] = {
		0, 1, SEAL_CHUNK - 1, SEAL_CHUNK, SEAL_CHUNK + 1, 3 * SEAL_CHUNK,
	};
	struct buf b = {}, out = {};
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		buf_clear(&b);
		buf_clear(&out);
		sealed(&b, lengths[i]);
		assert_int_equal(seal_get(&out, &key, "a test", head,
					  sizeof(head), b.data, b.len), 0);
		assert_int_equal(out.len, lengths[i]);
		for (j = 0; j < out.len; j++)
			assert_int_equal(out.data[j], 0x42);
	}
	buf_free(&b);
	buf_free(&out);
}

/* Nothing of it comes out, whatever was done to it. */
static void test_changed(void **state)
{
	struct buf b = {};
	size_t i;

	(void)state;
	sealed(&b, 100);
	for (i = 0; i < b.len; i++) {
		assert_int_equal(unseal(&b, 0, i), -EBADMSG);
		b.data[i] ^= 0x10;
		assert_int_equal(unseal(&b, 0, b.len), -EBADMSG);
		b.data[i] ^= 0x10;
	}
	assert_int_equal(unseal(&b, 0, b.len), 0);
	buf_u8(&b, 0);
	assert_int_equal(unseal(&b, 0, b.len), -EBADMSG);
	buf_free(&b);
}

/* A chunk that is left out, at the end too, or that changed its place. */
static void test_chunks(void **state)
{
	const size_t chunk = SEAL_CHUNK + crypto_secretstream_xchacha20poly1305_ABYTES;
	const size_t at = crypto_secretstream_xchacha20poly1305_HEADERBYTES;
	struct buf b = {}, other = {};

	(void)state;
	sealed(&b, 3 * SEAL_CHUNK);
	assert_int_equal(b.len, at + 3 * chunk);
	assert_int_equal(unseal(&b, 0, at + 2 * chunk), -EBADMSG);
	buf_put(&other, b.data, at);
	buf_put(&other, b.data + at + chunk, chunk);
	buf_put(&other, b.data + at, chunk);
	buf_put(&other, b.data + at + 2 * chunk, chunk);
	assert_int_equal(unseal(&other, 0, other.len), -EBADMSG);
	buf_free(&b);
	buf_free(&other);
}

static void test_others(void **state)
{
	const struct secret longer = { .key = { 1 }, .len = 64 };
	const struct secret foreign = { .key = { 2 }, .len = 32 };
	struct buf b = {}, out = {};

	(void)state;
	sealed(&b, 100);
	assert_int_equal(seal_get(&out, &foreign, "a test", head, sizeof(head),
				  b.data, b.len), -EBADMSG);
	assert_int_equal(seal_get(&out, &longer, "a test", head, sizeof(head),
				  b.data, b.len), -EBADMSG);
	assert_int_equal(seal_get(&out, &key, "another", head, sizeof(head),
				  b.data, b.len), -EBADMSG);
	assert_int_equal(seal_get(&out, &key, "a test", (uint8_t *)"Head",
				  sizeof(head), b.data, b.len), -EBADMSG);
	assert_int_equal(out.len, 0);
	buf_free(&b);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
