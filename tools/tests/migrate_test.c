// SPDX-License-Identifier: GPL-2.0
/*
 * In: an SA that has to be made anew at another address, and a kernel that refuses that.
 * Out: what of it is left, whether that is used, and what is said.
 * Host only; the kernel is in here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "migrate.h"
#include "vector.h"

#define OSEQ 4711

/* ---- the kernel ---- */

static struct sa {
	struct buf ctx;
	struct record rec;
} sas[3];

static size_t n_sas;
static int add_fails;		/* so many times */
static uint64_t cookies;
static size_t most;		/* that were there at one time */
static bool drawn;		/* one that was fenced could be used */

int __wrap_genl_dump(struct genl *g, genl_record_cb cb, void *data);
int __wrap_genl_get(struct genl *g, const struct sa_id *id, struct record *out);
int __wrap_genl_bind(struct genl *g, const struct record *r, size_t n,
		     struct genl_result *res);
int __wrap_xfrm_get_sa(struct xfrm *x, const struct sa_id *id, struct buf *out);
int __wrap_xfrm_look_up_sa(struct xfrm *x, const struct sa_id *id,
			   struct buf *out);
int __wrap_xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		       const struct record *live);
int __wrap_xfrm_delete_sa(struct xfrm *x, const struct sa_id *id);
int __wrap_xfrm_dump_policies(struct xfrm *x, xfrm_context_cb cb, void *data);

static struct sa *find(const struct sa_id *id)
{
	size_t i;

	for (i = 0; i < n_sas; i++) {
		if (sa_id_equal(&sas[i].rec.id, id))
			return &sas[i];
	}
	return NULL;
}

int __wrap_genl_dump(struct genl *g, genl_record_cb cb, void *data)
{
	size_t i;
	int ret = 0;

	(void)g;
	for (i = 0; i < n_sas && !ret; i++)
		ret = cb(&sas[i].rec, data);
	return ret;
}

int __wrap_genl_get(struct genl *g, const struct sa_id *id, struct record *out)
{
	struct sa *sa = find(id);

	(void)g;
	if (!sa)
		return -ESRCH;
	*out = sa->rec;
	return 0;
}

int __wrap_genl_bind(struct genl *g, const struct record *r, size_t n,
		     struct genl_result *res)
{
	struct sa *sa;
	size_t i;

	(void)g;
	memset(res, 0, n * sizeof(*res));
	for (i = 0; i < n; i++) {
		sa = find(&r[i].id);
		if (!sa || sa->rec.cookie != r[i].cookie) {
			res[i].reason = XFRMSYNC_REASON_NO_SA;
			continue;
		}
		sa->rec.flags &= ~XFRMSYNC_RECORD_F_FENCED;
		sa->rec.flags |= r[i].flags & XFRMSYNC_RECORD_F_FENCED;
		if (r[i].tag)
			sa->rec.tag = r[i].tag;
	}
	return 0;
}

int __wrap_xfrm_look_up_sa(struct xfrm *x, const struct sa_id *id,
			   struct buf *out)
{
	struct sa *sa = find(id);

	(void)x;
	if (!sa)
		return -ESRCH;
	buf_put(out, sa->ctx.data, sa->ctx.len);
	return 0;
}

int __wrap_xfrm_get_sa(struct xfrm *x, const struct sa_id *id, struct buf *out)
{
	return __wrap_xfrm_look_up_sa(x, id, out);
}

int __wrap_xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		       const struct record *live)
{
	struct context_sa info;
	struct sa *sa = &sas[n_sas];

	assert_int_equal(context_sa_info(p, len, &info, NULL), 0);
	if (add_fails || find(&info.id)) {
		add_fails -= !!add_fails;
		snprintf(x->error, sizeof(x->error), "File exists");
		return -EEXIST;
	}
	assert_int_not_equal(n_sas, sizeof(sas) / sizeof(sas[0]));
	memset(sa, 0, sizeof(*sa));
	buf_put(&sa->ctx, p, len);
	sa->rec.id = info.id;
	memcpy(sa->rec.src, info.src, sizeof(info.src));
	sa->rec.oseq = live->oseq;
	sa->rec.cookie = ++cookies;
	/* Made, it can be used until it is bound. */
	drawn |= live->flags & XFRMSYNC_RECORD_F_FENCED;
	n_sas++;
	most = n_sas > most ? n_sas : most;
	return 0;
}

int __wrap_xfrm_delete_sa(struct xfrm *x, const struct sa_id *id)
{
	struct sa *sa = find(id);

	(void)x;
	if (!sa)
		return -ESRCH;
	buf_free(&sa->ctx);
	*sa = sas[--n_sas];
	memset(&sas[n_sas], 0, sizeof(sas[n_sas]));
	return 0;
}

int __wrap_xfrm_dump_policies(struct xfrm *x, xfrm_context_cb cb, void *data)
{
	(void)x;
	(void)cb;
	(void)data;
	return 0;
}

/* ---- an SA whose selector has its ends: XFRM_MSG_MIGRATE would not change that ---- */

static const struct family {
	const char *vector, *name, *moved, *ours, *theirs;
} families[] = {
	{ "sa-gcm-esn", "esp 192.0.2.2 spi 0xc0000001",
	  "esp 192.0.2.12 spi 0xc0000001", "192.0.2.1=192.0.2.11",
	  "192.0.2.2=192.0.2.12" },
	{ "sa-ah6", "ah 2001:db8::2 spi 0x12345678",
	  "ah 2001:db8::12 spi 0x12345678", "2001:db8::1=2001:db8::11",
	  "2001:db8::2=2001:db8::12" },
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

static struct genl g;
static struct xfrm x;
static struct migrate m;

static struct rd selector_of(struct buf *b)
{
	struct rd r = { .p = b->data, .left = b->len };
	struct field_error why;
	uint16_t last = 0;
	struct field f;

	while (field_next(&r, &last, &f, &why) > 0) {
		if (f.type == CONTEXT_SELECTOR)
			return f.value;
	}
	fail();
	return (struct rd){};
}

static void begin(const struct family *f, const char *map)
{
	static const struct record live = { .oseq = OSEQ };

	struct buf b = vector_read(f->vector);
	struct context_sa info;
	uint8_t *sel = b.data + (selector_of(&b).p - b.data);

	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), 0);
	if (info.id.family == AF_INET) {
		sel[3] = 32;
		sel[4] = 32;
		memcpy(sel + 8, info.id.dst, 4);
		memcpy(sel + 24, info.src, 4);
	}
	while (n_sas)
		__wrap_xfrm_delete_sa(&x, &sas[0].rec.id);
	add_fails = 0;
	assert_int_equal(__wrap_xfrm_add_sa(&x, b.data, b.len, &live), 0);
	sas[0].rec.tag = 7;
	most = 0;
	drawn = false;
	buf_free(&b);
	m = (struct migrate){ .g = &g, .x = &x, .failed = json_array() };
	assert_null(map_add(&m.map, map));
}

static bool said(const char *name, const char *text)
{
	const json_t *o;
	size_t i;

	json_array_foreach(m.failed, i, o) {
		if (!strcmp(json_string_value(json_object_get(o, "name")), name) &&
		    strstr(json_string_value(json_object_get(o, "error")), text))
			return true;
	}
	return false;
}

/* It is the only one, at its number, with its tag, and is used or not. */
static void expect(const char *name, bool fenced)
{
	char text[128];

	assert_int_equal(n_sas, 1);
	assert_string_equal(sa_id_str(&sas[0].rec.id, text, sizeof(text)), name);
	assert_int_equal(sas[0].rec.oseq, OSEQ);
	assert_int_equal(sas[0].rec.tag, 7);
	assert_int_equal(!!(sas[0].rec.flags & XFRMSYNC_RECORD_F_FENCED), fenced);
	assert_false(drawn);
	json_decref(m.failed);
}

static void test_moves(void **state)
{
	const struct family *f;

	(void)state;
	for (f = families; f < families + FAMILIES; f++) {
		begin(f, f->ours);
		assert_int_equal(migrate_run(&m), 0);
		assert_int_equal(m.moved, 1);
		assert_int_equal(json_array_size(m.failed), 0);
		expect(f->name, false);
		begin(f, f->theirs);
		assert_int_equal(migrate_run(&m), 0);
		assert_int_equal(m.moved, 1);
		assert_int_equal(most, 2);
		expect(f->moved, false);
	}
}

/* Of another name: the old one has not gone yet, and goes on. */
static void test_beside_fails(void **state)
{
	const struct family *f;

	(void)state;
	for (f = families; f < families + FAMILIES; f++) {
		begin(f, f->theirs);
		add_fails = 100;
		assert_int_equal(migrate_run(&m), 0);
		assert_int_equal(m.moved, 0);
		assert_int_equal(json_array_size(m.failed), 1);
		assert_true(said(f->name, "File exists"));
		expect(f->name, false);
	}
}

/* Of the same name it has: it is made once more as it was, after some tries. */
static void test_in_place_fails(void **state)
{
	const struct family *f;
	int fails;

	(void)state;
	for (f = families; f < families + FAMILIES; f++) {
		for (fails = 1; fails <= 5; fails++) {
			begin(f, f->ours);
			add_fails = fails;
			assert_int_equal(migrate_run(&m), 0);
			assert_int_equal(m.moved, 0);
			assert_int_equal(json_array_size(m.failed), 1);
			assert_true(said(f->name, "File exists"));
			expect(f->name, false);
		}
	}
}

static void test_gone(void **state)
{
	const struct family *f;

	(void)state;
	for (f = families; f < families + FAMILIES; f++) {
		begin(f, f->ours);
		add_fails = 100;
		assert_int_equal(migrate_run(&m), 0);
		assert_int_equal(n_sas, 0);
		assert_true(said(f->name, "it is gone, rekey it"));
		json_decref(m.failed);
	}
}

/* Its numbers are not known: it must not be used, not even until it is fenced again. */
static void test_fenced(void **state)
{
	const struct family *f;

	(void)state;
	for (f = families; f < families + FAMILIES; f++) {
		begin(f, f->ours);
		sas[0].rec.flags |= XFRMSYNC_RECORD_F_FENCED;
		assert_int_equal(migrate_run(&m), 0);
		assert_int_equal(m.moved, 0);
		assert_true(said(f->name, "it is fenced, and would be used for a moment"));
		expect(f->name, true);
		begin(f, f->theirs);
		sas[0].rec.flags |= XFRMSYNC_RECORD_F_FENCED;
		assert_int_equal(migrate_run(&m), 0);
		expect(f->name, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_beside_fails),
		cmocka_unit_test(test_in_place_fails),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_fenced),
	};
	int ret = cmocka_run_group_tests_name("migrate", tests, NULL, NULL);

	while (n_sas)
		__wrap_xfrm_delete_sa(&x, &sas[0].rec.id);
	return ret;
}
