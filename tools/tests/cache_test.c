// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs that come, change handle, draw numbers, and go.
 * Out: they are found by what they have now, and by nothing else.
 * Host only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <linux/xfrmsync.h>

#include "cache.h"

#define MANY 20000

static struct context_sa info_of(uint32_t spi)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50, .spi = spi },
	};

	return info;
}

static struct cache_entry *add(struct cache *c, uint32_t spi, uint32_t handle)
{
	struct context_sa info = info_of(spi);

	return cache_add(c, &info, (void *)"key", 3, handle);
}

static struct cache_entry *find(struct cache *c, uint32_t spi)
{
	struct context_sa info = info_of(spi);

	return cache_find(c, &info.id);
}

static void test_many(void **state)
{
	struct cache_entry *e, *n;
	struct cache c;
	uint32_t i;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	for (i = 1; i <= MANY; i++)
		assert_non_null(add(&c, i, 0));
	assert_int_equal(c.n_entries, MANY);
	/* Where there are more, no look-up takes longer. */
	assert_true(c.buckets >= MANY && !(c.buckets & (c.buckets - 1)));
	for (i = 1; i <= MANY; i++) {
		e = find(&c, i);
		assert_non_null(e);
		assert_ptr_equal(cache_find_handle(&c, e->handle), e);
	}
	cache_for_each_safe(&c, e, n) {
		if (e->id.spi % 2)
			cache_remove(&c, e);
	}
	assert_int_equal(c.n_entries, MANY / 2);
	assert_null(find(&c, 1));
	assert_non_null(find(&c, 2));
	cache_exit(&c);
}

static void test_handles(void **state)
{
	struct cache_entry *a, *b;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	a = add(&c, 1, 100);
	b = add(&c, 2, 100 + 16384);	/* the same bucket */
	assert_ptr_equal(cache_find_handle(&c, 100), a);
	cache_set_handle(&c, b, 7);
	assert_ptr_equal(cache_find_handle(&c, 7), b);
	assert_null(cache_find_handle(&c, 100 + 16384));
	cache_forget_handles(&c);
	assert_null(cache_find_handle(&c, 7));
	cache_remove(&c, a);		/* without a handle */
	cache_renumber(&c);
	assert_true(b->handle != 0);
	assert_ptr_equal(cache_find_handle(&c, b->handle), b);
	cache_exit(&c);
}

/* Who looks for those that are to be bound finds them, and each of them once. */
static void test_unbound(void **state)
{
	struct cache_entry *e, *n, *a, *b;
	unsigned int found = 0;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	a = add(&c, 1, 0);
	b = add(&c, 2, 0);
	cache_unbind(&c, b);
	cache_for_each_on(&c, unbound, e, n) {
		assert_ptr_equal(e, found++ ? b : a);
		list_del(&e->unbound);
	}
	assert_int_equal(found, 2);
	assert_true(list_empty(&c.unbound));
	a->bound = true;
	cache_unbind(&c, a);
	assert_false(a->bound);
	assert_false(list_empty(&c.unbound));
	cache_lead(&c, a);
	cache_ask_path(&c, a);
	cache_remove(&c, a);
	assert_true(list_empty(&c.unbound) && list_empty(&c.led) && list_empty(&c.path));
	cache_exit(&c);
}

/* A counter that was only raised is not a number that was sent. */
/* Found by the SPI that it has now. */
static void test_spi(void **state)
{
	struct context_sa other = info_of(3), one = info_of(1);
	struct cache_entry *e;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	e = add(&c, 1, 7);
	add(&c, 2, 8);
	cache_set_spi(&c, e, 3);
	assert_ptr_equal(cache_find(&c, &other.id), e);
	assert_null(cache_find(&c, &one.id));
	assert_ptr_equal(cache_find_handle(&c, 7), e);
	assert_int_equal(e->info.id.spi, 3);
	cache_set_way(e, &one);
	cache_set_way(e, &other);
	assert_int_equal(e->way->id.spi, 3);
	cache_remove(&c, e);
	assert_null(cache_find(&c, &other.id));
	cache_exit(&c);
}

static void test_sent(void **state)
{
	struct record rec = { .oseq = 1 << 30, .add_time = 1 };
	struct cache_entry *e;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	e = add(&c, 1, 0);
	rec.flags = XFRMSYNC_RECORD_F_RESTORED;
	cache_note_record(e, &rec);
	assert_int_equal(e->sent, 0);
	/* Used, but the other way round: a packet came in. */
	rec.flags = 0;
	cache_note_record(e, &rec);
	assert_int_equal(e->sent, 0);
	rec.oseq++;
	cache_note_record(e, &rec);
	assert_int_equal(e->sent, rec.oseq);
	cache_exit(&c);
}

/* It was made with that number, and then its maker says what was sent of it. */
static void test_sent_told_late(void **state)
{
	struct record rec = { .oseq = 1 << 30, .cookie = 7 };
	struct cache_entry *e;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	e = add(&c, 1, 0);
	cache_note_record(e, &rec);
	assert_int_equal(e->sent, 1 << 30);
	rec.flags = XFRMSYNC_RECORD_F_RESTORED;
	rec.has_sent = true;
	rec.sent = 20;
	cache_note_record(e, &rec);
	assert_int_equal(e->sent, 20);
	/* What another node had sent, this one's kernel does not know. */
	e->sent = 25;
	cache_note_record(e, &rec);
	assert_int_equal(e->sent, 25);
	/* Another life of it: what was drawn on this one stands. */
	rec.flags = 0;
	rec.oseq++;
	cache_note_record(e, &rec);
	rec.flags = XFRMSYNC_RECORD_F_RESTORED;
	rec.cookie = 8;
	cache_note_record(e, &rec);
	assert_int_equal(e->sent, (1 << 30) + 1);
	cache_exit(&c);
}

static void test_many_policies(void **state)
{
	struct context_policy info = { .key_len = sizeof(uint32_t) };
	struct cache_policy *p, *n;
	struct cache c;
	uint32_t i;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	for (i = 0; i < MANY; i++) {
		memcpy(info.key, &i, sizeof(i));
		assert_non_null(cache_policy_add(&c, &info, (void *)"x", 1));
	}
	assert_true(c.policy_buckets >= MANY);
	for (i = 0; i < MANY; i++) {
		memcpy(info.key, &i, sizeof(i));
		p = cache_policy_find(&c, &info);
		assert_non_null(p);
		assert_memory_equal(p->info.key, &i, sizeof(i));
	}
	cache_for_each_policy_safe(&c, p, n)
		cache_policy_remove(&c, p);
	assert_null(cache_policy_find(&c, &info));
	cache_exit(&c);
}

static void test_policies(void **state)
{
	struct context_policy info = { .key = "abc", .key_len = 3 };
	struct cache_policy *p;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	p = cache_policy_add(&c, &info, (void *)"x", 1);
	assert_ptr_equal(cache_policy_find(&c, &info), p);
	assert_int_equal(cache_policy_set(p, (void *)"yy", 2), 0);
	assert_int_equal(p->context_len, 2);
	info.key[0] = 'z';
	assert_null(cache_policy_find(&c, &info));
	cache_policy_remove(&c, p);
	assert_int_equal(c.n_policies, 0);
	cache_exit(&c);
}

/* An SA lacks a policy while one that uses it is not what it should be. */
static void test_unready(void **state)
{
	struct context_policy uses = {
		.key = "abc", .key_len = 3, .templates = 1,
		.template = { { .family = AF_INET, .proto = 50, .reqid = 7,
				.has_dst = true } },
	};
	struct context_sa sa = info_of(1), other = info_of(2);
	struct cache_policy *p;
	struct cache c;

	(void)state;
	sa.reqid = 7;
	assert_int_equal(cache_init(&c), 0);
	p = cache_policy_add(&c, &uses, (void *)"x", 1);
	assert_false(cache_lacks_policy(&c, &sa));
	cache_policy_set_unready(&c, p, true, false);
	assert_true(cache_lacks_policy(&c, &sa));
	assert_false(cache_lacks_policy(&c, &other));
	cache_policy_set_unready(&c, p, false, true);
	assert_true(cache_lacks_policy(&c, &sa));
	assert_int_equal(c.n_unready, 1);
	cache_policy_set_unready(&c, p, false, false);
	assert_false(cache_lacks_policy(&c, &sa));
	cache_policy_set_refused(&c, p, true);
	assert_true(cache_lacks_policy(&c, &sa));
	assert_false(cache_lacks_policy(&c, &other));
	assert_int_equal(c.n_unready, 1);
	assert_int_equal(c.n_refused_policies, 1);
	/* Of which nobody knows for whom it is: for any. */
	uses.unreadable = true;
	cache_policy_set_info(&c, p, &uses);
	assert_true(cache_lacks_policy(&c, &other));
	cache_policy_set_unready(&c, p, true, true);
	assert_int_equal(c.n_unready, 1);
	cache_policy_remove(&c, p);
	assert_int_equal(c.n_refused_policies, 0);
	assert_false(cache_lacks_policy(&c, &sa));
	assert_int_equal(c.n_unready, 0);
	cache_exit(&c);
}

/* Where it is stopped, what of an SA passes in clear: by a policy of its own. */
static void test_plaintext(void **state)
{
	struct context_policy pol = {
		.key = "abc", .key_len = 3, .templates = 1, .optional = true,
		.template = { { .family = AF_INET, .proto = 50, .has_dst = true,
				.optional = true } },
	};
	struct context_sa sa = info_of(1);
	struct cache_policy *p;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	p = cache_policy_add(&c, &pol, (void *)"x", 1);
	assert_true(cache_lets_plaintext(&c, &sa));
	/* One of any reqid takes in what comes by it; out, there is none such. */
	sa.reqid = 7;
	assert_true(cache_lets_plaintext(&c, &sa));
	pol.dir = 1;
	cache_policy_set_info(&c, p, &pol);
	assert_false(cache_lets_plaintext(&c, &sa));
	pol.template[0].reqid = 7;
	cache_policy_set_info(&c, p, &pol);
	assert_true(cache_lets_plaintext(&c, &sa));
	/* Another tunnel's, though the reqid is the same. */
	sa.id.dst[0] = 9;
	assert_false(cache_lets_plaintext(&c, &sa));
	sa.id.dst[0] = 0;
	/* Behind the first template, too; and what is required drops. */
	pol.reqid = 8;
	pol.template[1] = pol.template[0];
	pol.template[0].reqid = 8;
	pol.template[0].optional = false;
	pol.templates = 2;
	cache_policy_set_info(&c, p, &pol);
	assert_true(cache_lets_plaintext(&c, &sa));
	sa.reqid = 8;
	assert_false(cache_lets_plaintext(&c, &sa));
	/* IPComp that does not compress is left out. */
	sa.reqid = 7;
	sa.id.proto = 108;
	pol.template[1].proto = 108;
	cache_policy_set_info(&c, p, &pol);
	assert_false(cache_lets_plaintext(&c, &sa));
	cache_exit(&c);
}

/* Marks leave their lists with the entry. */
static void test_marks(void **state)
{
	struct cache_entry *e;
	struct list dirty;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	list_init(&dirty);
	e = add(&c, 1, 0);
	list_add_tail(&e->mark[3].dirty, &dirty);
	assert_false(list_empty(&dirty));
	assert_ptr_equal(e->mark[3].owner, e);
	cache_remove(&c, e);
	assert_true(list_empty(&dirty));
	cache_exit(&c);
}

/* Who reads another configuration keeps what is known of the peers that stay. */
static void test_more_marks(void **state)
{
	struct context_policy pol = { .key = "k", .key_len = 1 };
	struct cache_policy *p;
	struct cache_entry *e;
	struct cache c;

	(void)state;
	assert_int_equal(cache_init(&c), 0);
	assert_int_equal(cache_set_marks(&c, 2), 0);
	assert_int_equal(c.n_marks, 2);
	e = add(&c, 1, 0);
	p = cache_policy_add(&c, &pol, (const uint8_t *)"p", 1);
	assert_non_null(p);
	e->mark[1].lease.offered_end = 7;
	cache_set_refused(&c, &e->mark[1], "why");
	/* They are not fewer while there are some. */
	assert_int_equal(cache_set_marks(&c, 1), 0);
	assert_int_equal(c.n_marks, 2);
	assert_int_equal(cache_set_marks(&c, CONF_MAX_PEERS), 0);
	assert_int_equal(c.n_marks, CONF_MAX_PEERS);
	assert_int_equal(e->mark[1].lease.offered_end, 7);
	assert_string_equal(e->mark[1].refused, "why");
	assert_int_equal(c.n_refused, 1);
	assert_ptr_equal(e->mark[CONF_MAX_PEERS - 1].owner, e);
	assert_ptr_equal(p->mark[CONF_MAX_PEERS - 1].owner, p);
	assert_true(p->mark[0].is_policy && !e->mark[0].is_policy);
	assert_true(list_empty(&e->mark[1].dirty) && list_empty(&p->mark[1].flight));
	cache_exit(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_spi),
		cmocka_unit_test(test_unbound),
		cmocka_unit_test(test_sent),
		cmocka_unit_test(test_sent_told_late),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_many_policies),
		cmocka_unit_test(test_unready),
		cmocka_unit_test(test_plaintext),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_more_marks),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
