// SPDX-License-Identifier: GPL-2.0
/*
 * In: what a charon told by its ha plugin, as it was recorded (vectors/charon-*.txt).
 * Out: every message is understood, and built again; charon's own keys are derived; the
 *      store has what a cold charon needs.
 * Host only; run from the tool's folder, as make does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "ike_context.h"

#define RECORDED "tests/vectors/charon-5.9.8.txt"

static struct ha_msg msg;
static struct ike_store store;
static struct ike_context ctx;
static unsigned int messages, late, rekeys;

/* charon tells the SK_d of the one that it rekeys: here it has to come out, too. */
static void check_skd(void)
{
	const struct ha_attr *old = ha_find(&msg, HA_ATTR_IKE_REKEY_ID);
	const struct ha_attr *skd = ha_find(&msg, HA_ATTR_OLD_SKD);
	struct ike_keys keys;
	struct ike_algs a;
	struct ike_sa *sa;

	if (!skd)
		return;
	sa = ike_store_find(&store, &old->ike);
	assert_non_null(sa);
	assert_int_equal(ike_keys_of_sa(sa, &a, &keys), 0);
	assert_int_equal(keys.d.len, skd->bytes.len);
	assert_memory_equal(keys.d.p, skd->bytes.p, keys.d.len);
	assert_int_equal(ha_find(&msg, HA_ATTR_ALG_OLD_PRF)->u16, a.prf);
	rekeys++;
}

static void check_message(const uint8_t *p, size_t len)
{
	struct buf again = {};
	int ret;

	assert_int_equal(ha_parse(p, len, &msg, NULL), 0);
	assert_int_equal(ha_build(&msg, &again, NULL), 0);
	assert_int_equal(again.len, len);
	assert_memory_equal(again.data, p, len);
	buf_free(&again);
	check_skd();
	ret = ike_store_take(&store, &msg);
	/* The last exchange of an IKE SA is told when its end was told already. */
	assert_true(ret >= 0 || ret == -ENOENT);
	messages++;
	late += ret == -ENOENT;
}

/* So many of them. */
static void hear(unsigned int n)
{
	uint8_t bytes[HA_MESSAGE_MAX];
	char line[2 * HA_MESSAGE_MAX];
	FILE *f = fopen(RECORDED, "re");
	size_t len;

	assert_non_null(f);
	while (n && fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			continue;
		assert_int_equal(sodium_hex2bin(bytes, sizeof(bytes), line,
						strcspn(line, "\n"), NULL, &len,
						NULL), 0);
		check_message(bytes, len);
		n--;
	}
	fclose(f);
}

static int set_up(void **state)
{
	(void)state;
	messages = late = rekeys = 0;
	return ike_store_init(&store);
}

static int tear_down(void **state)
{
	(void)state;
	ike_context_exit(&ctx);
	ike_store_exit(&store);
	return 0;
}

static void test_all(void **state)
{
	(void)state;
	hear(UINT32_MAX);
	assert_int_equal(messages, 21);
	assert_int_equal(late, 2);
	assert_int_equal(rekeys, 2);
	assert_int_equal(store.n, 0);
	assert_int_equal(store.n_children, 0);
}

static int type_of(void *arg, const struct ike_sa *sa, const uint8_t *p, size_t len)
{
	char *words = arg;

	(void)sa;
	(void)len;
	strcat(words, ha_type_str(p[1]));
	strcat(words, " ");
	return 0;
}

/* Before the end: the Child SA is of the first generation, the second has none. */
static void test_living(void **state)
{
	char words[512] = "";
	struct buf b = {};
	struct ike_sa *sa, *living = NULL;

	(void)state;
	hear(20);
	assert_int_equal(store.n, 2);
	assert_int_equal(store.n_children, 1);
	assert_int_equal(ike_store_play(&store, type_of, words), 0);
	assert_string_equal(words, "IKE_DELETE IKE_DELETE IKE_ADD IKE_UPDATE "
		"IKE_MID_RESPONDER CHILD_ADD IKE_ADD IKE_DELETE IKE_UPDATE "
		"IKE_MID_INITIATOR ");
	ike_store_for_each(&store, sa)
		living = sa->gone ? living : sa;
	assert_non_null(living);
	assert_int_equal(ike_context_of_sa(living, IKE_CONTEXT_KEYS, &ctx), 0);
	assert_int_equal(ctx.children.len, 8);
	assert_int_equal(ctx.local.port, 4500);
	assert_memory_equal(ctx.config.p, "site", 4);
	assert_int_equal(ctx.keys.ei.len, 16);
	assert_int_equal(ike_context_encode(&ctx, &b), 0);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_living, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("charon", tests, NULL, NULL);
}
