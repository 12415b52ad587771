// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs that differ in one thing each; what a kernel and a helper answer.
 * Out: whether they are of one kind, which the kernel is asked for once; what is
 *      learned by the answer.
 * Host only.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/xfrm.h>
#include <sodium.h>

#include "context.h"
#include "kind.h"
#include "privops.h"
#include "scratch.h"
#include "vector.h"

static int added;		/* what adding an SA ends in */
static int refused;		/* ... and asking for a receive buffer; 0: as it is */

int __wrap_xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		       const struct record *live);
int __wrap_privops_rcvbuf(const struct mnl_socket *nl, int size);
int __real_privops_rcvbuf(const struct mnl_socket *nl, int size);

int __wrap_xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		       const struct record *live)
{
	(void)p;
	(void)len;
	(void)live;
	snprintf(x->error, sizeof(x->error), "%s", strerror(-added));
	return added;
}

int __wrap_privops_rcvbuf(const struct mnl_socket *nl, int size)
{
	return refused ? refused : __real_privops_rcvbuf(nl, size);
}

static uint8_t *value_of(struct buf *b, uint16_t type)
{
	struct rd r = { .p = b->data, .left = b->len };
	struct field_error why;
	uint16_t last = 0;
	struct field f;

	while (field_next(&r, &last, &f, &why) > 0) {
		if (f.type == type)
			return b->data + (f.value.p - b->data);
	}
	fail_msg("no field %#x", type);
	return NULL;
}

/* Two of one kind, where byte @at of a field is another one. */
static bool same_kind(const char *name, uint16_t type, size_t at)
{
	struct buf b = vector_read(name);
	uint8_t one[KIND_HASH], two[KIND_HASH];
	uint8_t shape[KIND_SHAPE], other[KIND_SHAPE];
	size_t len, other_len;

	assert_int_equal(kind_hash(b.data, b.len, one), 0);
	len = kind_shape(b.data, b.len, shape);
	value_of(&b, type)[at] ^= 1;
	assert_int_equal(kind_hash(b.data, b.len, two), 0);
	other_len = kind_shape(b.data, b.len, other);
	assert_true(len && other_len);
	assert_int_equal(len == other_len && !memcmp(shape, other, len),
			 !memcmp(one, two, KIND_HASH));
	buf_free(&b);
	return !memcmp(one, two, KIND_HASH);
}

static void test_same(void **state)
{
	(void)state;
	/* SPI, reqid, destination, source; addresses; limits; the key's last byte */
	assert_true(same_kind("sa-gcm-esn", CONTEXT_SA_ID, 7));
	assert_true(same_kind("sa-gcm-esn", CONTEXT_SA_ID, 11));
	assert_true(same_kind("sa-gcm-esn", CONTEXT_SA_ID, 12));
	assert_true(same_kind("sa-gcm-esn", CONTEXT_SA_ID, 30));
	assert_true(same_kind("sa-gcm-esn", CONTEXT_SELECTOR, 10));
	assert_true(same_kind("sa-gcm-esn", CONTEXT_LIFETIME, 3));
	assert_true(same_kind("sa-gcm-esn", CONTEXT_AEAD, 9 + 17 + 19));
	assert_true(same_kind("sa-udp", CONTEXT_ENCAP, 3));
	assert_true(same_kind("sa-all", CONTEXT_MARK, 0));
	assert_true(same_kind("sa-all", CONTEXT_IF_ID, 3));
}

static void test_other(void **state)
{
	(void)state;
	/* protocol, mode; flags; window; key length, ICV, algorithm; encapsulation */
	assert_false(same_kind("sa-gcm-esn", CONTEXT_SA_ID, 2));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_SA_ID, 3));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_SA_FLAGS, 3));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_SA_FLAGS, 7));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_REPLAY, 7));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_AEAD, 3));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_AEAD, 7));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_AEAD, 9));
	assert_false(same_kind("sa-gcm-esn", CONTEXT_DIR, 3));
	assert_false(same_kind("sa-udp", CONTEXT_ENCAP, 1));
	assert_false(same_kind("sa-all", CONTEXT_SEC_CTX, 2));
}

/* Whether its path is known, and how wide it is, makes no other kind. */
static void test_path(void **state)
{
	struct buf a = vector_read("sa-gcm-esn"), b = vector_read("sa-pmtu");
	uint8_t shape[KIND_SHAPE], other[KIND_SHAPE];
	uint8_t one[KIND_HASH], two[KIND_HASH];

	(void)state;
	assert_int_equal(kind_hash(a.data, a.len, one), 0);
	assert_int_equal(kind_hash(b.data, b.len, two), 0);
	assert_memory_equal(one, two, KIND_HASH);
	assert_int_equal(kind_shape(a.data, a.len, shape), kind_shape(b.data, b.len, other));
	assert_memory_equal(shape, other, kind_shape(a.data, a.len, shape));
	buf_free(&a);
	buf_free(&b);
}

/* Of its own: nothing is in it, and who asked is where he was. */
static void test_scratch(void **state)
{
	char before[64] = "", after[64] = "";
	struct sa_id id = { .family = 2, .proto = 50, .spi = 1 };
	struct xfrm x;
	struct buf b = {};

	(void)state;
	if (scratch_open(&x))
		skip();		/* where no namespaces may be made */
	assert_true(readlink("/proc/self/ns/net", before, sizeof(before) - 1) > 0);
	assert_int_equal(xfrm_get_sa(&x, &id, &b), -3);	/* ESRCH */
	xfrm_close(&x);
	assert_int_equal(scratch_open(&x), 0);
	xfrm_close(&x);
	assert_true(readlink("/proc/self/ns/net", after, sizeof(after) - 1) > 0);
	assert_string_equal(before, after);
	buf_free(&b);
}

/* What the helper could not be asked for is no answer, and the next one is asked again. */
static void test_passing(void **state)
{
	static const int passing[] = {
		EPIPE, EACCES, ETOOMANYREFS, EMSGSIZE, ENOBUFS, ENOMEM, EPERM, EINTR,
	};
	struct buf b = vector_read("sa-gcm-esn");
	struct kinds k = { .opened = true };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		added = -passing[i];
		assert_null(kinds_why_not(&k, b.data, b.len));
		assert_int_equal(k.n, 0);
	}
	added = -EPROTONOSUPPORT;
	assert_non_null(kinds_why_not(&k, b.data, b.len));
	assert_int_equal(k.n, 1);
	kinds_free(&k);
	buf_free(&b);
}

/* A helper that has not heard of the namespace would refuse all that is tried in it. */
static void test_no_helper(void **state)
{
	struct kinds k = {};
	struct xfrm x;

	(void)state;
	if (scratch_open(&x))
		skip();
	xfrm_close(&x);
	refused = -ETOOMANYREFS;
	assert_int_equal(scratch_open(&x), -ETOOMANYREFS);
	kinds_open(&k);
	assert_false(k.opened);
	kinds_free(&k);
	/* It was heard of, and that is all. */
	refused = -EPERM;
	kinds_open(&k);
	assert_true(k.opened);
	kinds_free(&k);
	refused = 0;
}

/* What is lacking is told once, and all of it again to the next who asks. */
static void test_lacking(void **state)
{
	struct kind kind[] = {
		{ .supported = true, .lacking = "one" },
		{ .supported = true },
		{ .supported = true, .lacking = "two" },
	};
	struct kinds k = { .kind = kind, .n = 3 };

	(void)state;
	assert_null(kinds_next_lacking(&k));
	kinds_tell_again(&k);
	assert_string_equal(kinds_next_lacking(&k), "one");
	assert_string_equal(kinds_next_lacking(&k), "two");
	assert_null(kinds_next_lacking(&k));
	kinds_tell_again(&k);
	assert_string_equal(kinds_next_lacking(&k), "one");
	kinds_tell_again(&k);
	assert_string_equal(kinds_next_lacking(&k), "one");
	assert_string_equal(kinds_next_lacking(&k), "two");
	assert_null(kinds_next_lacking(&k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_passing),
		cmocka_unit_test(test_no_helper),
		cmocka_unit_test(test_lacking),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("kind", tests, NULL, NULL);
}
