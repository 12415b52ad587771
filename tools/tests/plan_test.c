// SPDX-License-Identifier: GPL-2.0
/*
 * In: what is known of SAs before a takeover.
 * Out: a plan whose sum has what is known, and counts what is not.
 * Host only; the kernel is not asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/xfrmsync.h>

#include "plan.h"

static const struct sa_id id = {
	.family = AF_INET, .proto = 50, .dst = { 192, 0, 2, 1 },
};

static json_int_t sum(const json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return json_integer_value(json_object_get(o, key));
}

/* One of each kind: used, fenced, held, with a guard that is not known, exposed. */
static json_t *five(bool force)
{
	static const struct plan_sa sas[] = {
		{ .jump = 1000, .guard = 40 },
		{ .why = "it is not safe", .guard = 7 },
		{ .guard = 32, .held = true },
		{ .guard_unknown = true, .rekey = true },
		{ .guard = 2, .rekey_why = "it was exposed" },
	};
	json_t *o = json_object();
	struct plan p;
	size_t i;

	plan_init(&p, force);
	for (i = 0; i < 5; i++)
		plan_add(&p, &id, &sas[i]);
	plan_put(&p, o);
	plan_free(&p);
	return o;
}

static const json_t *field(const json_t *o, size_t i, const char *key)
{
	return json_object_get(json_array_get(json_object_get(o, "sas"), i), key);
}

static void test_sum(void **state)
{
	json_t *o = five(false);

	(void)state;
	assert_int_equal(sum(o, "safe"), 4);
	assert_int_equal(sum(o, "unsafe"), 1);
	assert_int_equal(sum(o, "rekeyed"), 3);
	assert_int_equal(sum(o, "exposed"), 1);
	assert_int_equal(sum(o, "held"), 1);
	assert_int_equal(sum(o, "predicted_loss"), 42);
	assert_int_equal(sum(o, "unpredicted"), 3);
	assert_int_equal(json_integer_value(field(o, 0, "jump")), 1000);
	assert_int_equal(json_integer_value(field(o, 0, "predicted_loss")), 40);
	assert_string_equal(json_string_value(field(o, 0, "action")), "use");
	assert_true(json_is_false(field(o, 0, "rekey")));
	assert_string_equal(json_string_value(field(o, 1, "action")),
			    "fence, and ask for a rekey");
	assert_true(json_is_true(field(o, 1, "rekey")));
	assert_true(json_is_null(field(o, 1, "predicted_loss")));
	assert_int_equal(json_integer_value(field(o, 1, "guard")), 7);
	assert_true(json_is_true(field(o, 2, "held")));
	assert_true(json_is_null(field(o, 2, "predicted_loss")));
	assert_true(json_is_null(field(o, 3, "guard")));
	assert_string_equal(json_string_value(field(o, 3, "action")),
			    "use, and ask for a rekey");
	assert_null(field(o, 3, "rekey_why"));
	assert_string_equal(json_string_value(field(o, 4, "action")),
			    "use, and ask for a rekey");
	assert_true(json_is_true(field(o, 4, "rekey")));
	assert_string_equal(json_string_value(field(o, 4, "rekey_why")),
			    "it was exposed");
	assert_true(json_is_true(field(o, 4, "safe")));
	json_decref(o);
}

/* By force it is used, loses its guard, and is named all the same. */
static void test_force(void **state)
{
	json_t *o = five(true);

	(void)state;
	assert_int_equal(sum(o, "unsafe"), 1);
	assert_int_equal(sum(o, "rekeyed"), 2);
	assert_int_equal(sum(o, "predicted_loss"), 49);
	assert_int_equal(sum(o, "unpredicted"), 2);
	assert_string_equal(json_string_value(field(o, 1, "action")), "use");
	json_decref(o);
}

static void test_print(void **state)
{
	static const char want[] =
		"  esp 192.0.2.1 spi 0x00000000: use, jump 1000, guard 40, predicted loss 40\n"
		"  esp 192.0.2.1 spi 0x00000000: fence, and ask for a rekey because it is not safe, jump 0, guard 7, predicted loss not known\n"
		"  esp 192.0.2.1 spi 0x00000000: use, held until the other nodes cover what it accepts, jump 0, guard 32, predicted loss not known\n"
		"  esp 192.0.2.1 spi 0x00000000: use, and ask for a rekey, jump 0, guard not known, predicted loss not known\n"
		"  esp 192.0.2.1 spi 0x00000000: use, and ask for a rekey because it was exposed, jump 0, guard 2, predicted loss 2\n"
		"  in sum: 4 SAs are safe, 1 not; 3 to be rekeyed (1 for what the active may have accepted last), 1 held; predicted loss 42 packets of the peers at most, that of 3 SAs not known\n"
		"  not known: much\n";
	json_t *o = five(false);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	json_object_set_new(o, "not_known", json_pack("[s]", "much"));
	assert_non_null(f);
	plan_print(f, o);
	fclose(f);
	assert_string_equal(text, want);
	free(text);
	json_decref(o);
}

static void test_jump(void **state)
{
	struct record k = { .oseq = 1000, .has_sent = true, .sent = 10 };

	(void)state;
	assert_int_equal(plan_jump(&k), 990);
	k.dir = XFRMSYNC_DIR_IN;
	assert_int_equal(plan_jump(&k), 0);
	k.dir = XFRMSYNC_DIR_OUT;
	assert_int_equal(plan_jump(&k), 990);
	k.has_sent = false;		/* it has sent up to there */
	assert_int_equal(plan_jump(&k), 0);
}

static void test_led(void **state)
{
	struct record k = {
		.tag = 1, .seq = 40, .window = 64, .bmp_words = 2,
		.flags = XFRMSYNC_RECORD_F_BMP, .bmp = { ~0U, ~0U },
	};

	(void)state;
	assert_false(plan_is_not_led(&k));
	k.bmp[0] &= ~(1U << 9);		/* 10 */
	assert_true(plan_is_not_led(&k));
	k.bmp[0] = ~0U;
	k.bmp[1] &= ~(1U << 8);		/* 41 has not come yet, in any case */
	assert_false(plan_is_not_led(&k));
	k.dir = XFRMSYNC_DIR_OUT;
	assert_true(plan_is_not_led(&k));
	k.dir = 0;
	k.tag = 0;			/* no node told it */
	assert_true(plan_is_not_led(&k));
	k.tag = 1;
	k.seq = 0;
	assert_true(plan_is_not_led(&k));
	/* The old state: bit 0 is the newest. */
	k = (struct record){ .tag = 1, .seq = 40, .window = 32, .bmp_words = 1,
			     .bmp = { ~0U } };
	assert_false(plan_is_not_led(&k));
	k.bmp[0] = ~2U;
	assert_true(plan_is_not_led(&k));
	k.window = 0;
	k.bmp_words = 0;
	assert_true(plan_is_not_led(&k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_force),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_jump),
		cmocka_unit_test(test_led),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
