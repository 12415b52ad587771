// SPDX-License-Identifier: GPL-2.0
/*
 * In: an SA of the active, on a node that was active unheard, whose kernel does not
 * say at once what it drew.
 * Out: what the active is told of it, and in which order.
 * Host only; the kernel is in here, and fails where it is told to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon.h"
#include "lease.h"
#include "vector.h"

#define HANDLE 5
#define TAG 77
#define START 1000	/* where the active has this node stand */
#define DRAWN 1500	/* by this node, unheard */
#define SEEN 40		/* the highest number that it accepted */

static struct daemon d;
static struct buf context;

/* ---- the kernel ---- */

static struct record kernel;
static int get_fails, read_fails;	/* so many times */
static bool followed;
static int goes_after;			/* so many questions; 0: it stays */
static bool question;		/* what is in front is one, and goes when it is deleted */
static struct buf front;	/* what XFRM finds in place of the SA; empty: that one */
static uint64_t fenced;		/* the tag of the last one */
static int bind_fails;
static int sas_made, sas_deleted;	/* asked for, or deleted */
static bool for_charon;	/* an SA may be deleted */
static int made_ret;		/* what XFRM says of a new one */
static uint64_t restored_tag;	/* of the first one since it was 0 */

int __wrap_genl_get(struct genl *g, const struct sa_id *id, struct record *out);
int __wrap_genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
			const struct record *r, size_t n,
			struct genl_result *res);
int __wrap_xfrm_look_up_sa(struct xfrm *x, const struct sa_id *id, struct buf *out);
int __wrap_xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		       const struct record *live);

int __wrap_genl_get(struct genl *g, const struct sa_id *id, struct record *out)
{
	(void)g;
	(void)id;
	if (get_fails) {
		get_fails--;
		return -ENOBUFS;
	}
	if (!followed)
		return -ESRCH;
	*out = kernel;
	if (goes_after && !--goes_after)
		followed = false;
	return 0;
}

/* As kmod/restore.c: numbers do not go back, and what was drawn is kept. */
static uint32_t restore_one(const struct record *r)
{
	if (!restored_tag)
		restored_tag = r->tag;
	if (!followed)
		return XFRMSYNC_REASON_NO_SA;
	if (r->has_expect && r->expect_oseq != kernel.oseq)
		return XFRMSYNC_REASON_MOVED;
	if (r->oseq < kernel.oseq)
		return XFRMSYNC_REASON_BACKWARDS_OSEQ;
	if (!(kernel.flags & XFRMSYNC_RECORD_F_RESTORED)) {
		kernel.has_sent = true;
		kernel.sent = kernel.oseq;
	}
	kernel.oseq = r->oseq;
	kernel.seq = r->seq;
	kernel.flags |= XFRMSYNC_RECORD_F_RESTORED |
			XFRMSYNC_RECORD_F_WINDOW_RESTORED;
	return XFRMSYNC_REASON_OK;
}

int __wrap_genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
			const struct record *r, size_t n,
			struct genl_result *res)
{
	size_t i;

	(void)g;
	(void)epoch;
	(void)node;
	for (i = 0; i < n; i++)
		res[i].reason = restore_one(&r[i]);
	return 0;
}

int __wrap_xfrm_look_up_sa(struct xfrm *x, const struct sa_id *id, struct buf *out)
{
	(void)x;
	(void)id;
	if (read_fails) {
		read_fails--;
		return -ENOMEM;
	}
	if (front.len)
		buf_put(out, front.data, front.len);
	else
		buf_put(out, context.data, context.len);
	return 0;
}

int __wrap_genl_bind(struct genl *g, const struct record *r, size_t n,
		     struct genl_result *res);
int __wrap_xfrm_delete_sa(struct xfrm *x, const struct sa_id *id);

int __wrap_genl_bind(struct genl *g, const struct record *r, size_t n,
		     struct genl_result *res)
{
	(void)g;
	assert_int_equal(n, 1);
	assert_true(r->flags & XFRMSYNC_RECORD_F_FENCED);
	assert_int_equal(r->lease_end, 0);
	if (bind_fails)
		return bind_fails;
	res->reason = XFRMSYNC_REASON_OK;
	fenced = r->tag;
	return 0;
}

/* By that name XFRM has the one in front; or it makes room for charon's. */
int __wrap_xfrm_delete_sa(struct xfrm *x, const struct sa_id *id)
{
	(void)x;
	(void)id;
	assert_true(front.len > 0 || for_charon);
	if (question) {
		question = false;
		buf_free(&front);
	}
	if (front.len)
		return -EEXIST;
	sas_deleted++;
	followed = false;
	return 0;
}

int __wrap_xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		       const struct record *live)
{
	(void)p;
	(void)len;
	(void)live;
	/* Its kind is tried elsewhere. */
	if (x != &d.xfrm || question)
		return -EEXIST;
	sas_made++;
	return made_ret;
}

static int policies_made, policies_deleted;
static struct buf own;		/* the policy of that name that is here; empty: none */
static struct xfrm_made waiting[XFRM_BATCH];	/* for a flush, and what becomes of each */
static unsigned int n_waiting;

int __wrap_xfrm_queue_sa(struct xfrm *x, const uint8_t *p, size_t len,
			 const struct record *live);
int __wrap_xfrm_queue_policy(struct xfrm *x, const uint8_t *p, size_t len);
unsigned int __wrap_xfrm_flush(struct xfrm *x, struct xfrm_made *made);

int __wrap_xfrm_queue_sa(struct xfrm *x, const uint8_t *p, size_t len,
			 const struct record *live)
{
	if (n_waiting == XFRM_BATCH)
		return -ENOSPC;
	waiting[n_waiting++].ret = __wrap_xfrm_add_sa(x, p, len, live);
	return 0;
}

unsigned int __wrap_xfrm_flush(struct xfrm *x, struct xfrm_made *made)
{
	unsigned int n = n_waiting;

	(void)x;
	memcpy(made, waiting, n * sizeof(*made));
	n_waiting = 0;
	return n;
}

int __wrap_xfrm_add_policy(struct xfrm *x, const uint8_t *p, size_t len,
			   bool replace);
int __wrap_xfrm_delete_policy(struct xfrm *x, const uint8_t *p, size_t len);

/* One that is refused never comes this far. */
static void check_policy(const uint8_t *p, size_t len)
{
	assert_int_equal(context_policy_info(p, len, &(struct context_policy){},
					     NULL), 0);
}

int __wrap_xfrm_add_policy(struct xfrm *x, const uint8_t *p, size_t len,
			   bool replace)
{
	(void)x;
	(void)replace;
	check_policy(p, len);
	if (own.len)
		return -EEXIST;
	policies_made++;
	return 0;
}

int __wrap_xfrm_queue_policy(struct xfrm *x, const uint8_t *p, size_t len)
{
	if (n_waiting == XFRM_BATCH)
		return -ENOSPC;
	waiting[n_waiting++].ret = __wrap_xfrm_add_policy(x, p, len, false);
	return 0;
}

int __wrap_xfrm_get_policy(struct xfrm *x, const uint8_t *p, size_t len,
			   xfrm_context_cb cb, void *data);
int __wrap_xfrm_get_policy(struct xfrm *x, const uint8_t *p, size_t len,
			   xfrm_context_cb cb, void *data)
{
	(void)x;
	check_policy(p, len);
	return own.len ? cb(own.data, own.len, data) : -ENOENT;
}

int __wrap_xfrm_delete_policy(struct xfrm *x, const uint8_t *p, size_t len)
{
	(void)x;
	check_policy(p, len);
	policies_deleted++;
	return 0;
}

int __wrap_genl_dump(struct genl *g, genl_record_cb cb, void *data);
int __wrap_xfrm_dump_policies(struct xfrm *x, xfrm_context_cb cb, void *data);

/* Nothing in the kernel that the active does not have. */
int __wrap_genl_dump(struct genl *g, genl_record_cb cb, void *data)
{
	(void)g;
	(void)cb;
	(void)data;
	return 0;
}

int __wrap_xfrm_dump_policies(struct xfrm *x, xfrm_context_cb cb, void *data)
{
	(void)x;
	(void)cb;
	(void)data;
	return 0;
}

/* ---- a standby, and what waits to be told ---- */

static int setup(void **state)
{
	(void)state;
	memset(&d, 0, sizeof(d));
	memset(&kernel, 0, sizeof(kernel));
	get_fails = 0;
	read_fails = 0;
	policies_made = 0;
	policies_deleted = 0;
	sas_made = 0;
	sas_deleted = 0;
	n_waiting = 0;
	made_ret = -EEXIST;
	for_charon = false;
	question = false;
	followed = true;
	fenced = 0;
	if (loop_init(&d.loop) || cache_init(&d.cache))
		return -1;
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	strcpy(d.conf.socket, "/dev/null/none");	/* keep no file */
	apply_init(&d);
	context = vector_read("sa-gcm-esn");
	kernel.tag = TAG;
	kernel.oseq = DRAWN;
	kernel.seq = SEEN;
	kernel.window = 128;
	kernel.bmp_words = 4;
	kernel.bmp[1] = 1 << (SEEN - 32);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	apply_exit(&d);
	cache_exit(&d.cache);
	loop_exit(&d.loop);
	buf_free(&context);
	buf_free(&front);
	return 0;
}

static void comes(void)
{
	struct wire_sa sa = {
		.handle = HANDLE, .tag = TAG, .lease_end = START, .sent = 10,
		.rec = { .oseq = 10 },
		.context = context.data, .context_len = context.len,
	};

	apply_sa(&d, &sa);
	apply_flush(&d);
}

/* Of the frames that wait, those of that type. */
static int count(uint8_t type)
{
	const uint8_t *p = d.merges.data;
	size_t left = d.merges.len;
	struct wire_header h;
	int n = 0;

	while (left && wire_header_parse(p, left, &h) == 1) {
		n += h.type == type;
		p += WIRE_HEADER + h.length;
		left -= WIRE_HEADER + h.length;
	}
	assert_int_equal(left, 0);
	return n;
}

static uint64_t number_of(uint8_t type)
{
	const uint8_t *p = d.merges.data;
	size_t left = d.merges.len;
	struct wire_header h;
	struct rd r;

	while (left && wire_header_parse(p, left, &h) == 1) {
		r = (struct rd){ .p = p + WIRE_HEADER, .left = h.length };
		if (h.type == type && rd_u32(&r) == HANDLE &&
		    rd_u64(&r) == TAG)
			return rd_u64(&r);
		p += WIRE_HEADER + h.length;
		left -= WIRE_HEADER + h.length;
	}
	return 0;
}

/* All of it, once; and the lease is acknowledged. */
static void assert_told(void)
{
	assert_int_equal(count(WIRE_USED), 1);
	assert_int_equal(number_of(WIRE_USED), DRAWN);
	assert_int_equal(count(WIRE_MERGE), 1);
	assert_int_equal(d.lease_acks.len, 12);
	assert_int_equal(d.applied[CACHE_APPLIED], 1);
}

static void assert_nothing_acknowledged(void)
{
	assert_int_equal(d.lease_acks.len, 0);
	assert_int_equal(count(WIRE_USED), 0);
	assert_int_equal(d.cache.n_repair, 1);
}

static void repairs(void)
{
	d.repair_timer.cb(&d.repair_timer);
}

static void test_at_once(void **state)
{
	(void)state;
	comes();
	assert_told();
}

/* ENOBUFS of the module, ENOMEM of XFRM: a second later it works. */
static void test_not_looked_at(void **state)
{
	(void)state;
	get_fails = 1;
	comes();
	assert_nothing_acknowledged();
	repairs();
	assert_told();
}

static void test_not_read(void **state)
{
	(void)state;
	read_fails = 2;
	comes();
	assert_nothing_acknowledged();
	repairs();
	assert_nothing_acknowledged();
	repairs();
	assert_told();
}

/* XFRM has it, the module does not know it yet. */
static void test_not_followed(void **state)
{
	(void)state;
	followed = false;
	comes();
	assert_nothing_acknowledged();
	followed = true;
	repairs();
	assert_told();
}

/* It follows it just then: after it was asked, before it was written. */
static void test_followed_late(void **state)
{
	struct wire_sa sa = {
		.handle = HANDLE, .tag = TAG, .lease_end = START, .sent = 10,
		.context = context.data, .context_len = context.len,
	};

	(void)state;
	followed = false;
	apply_sa(&d, &sa);
	followed = true;
	apply_flush(&d);
	if (d.cache.n_repair)
		repairs();
	assert_told();
}

static struct wire_sa told(uint32_t handle, uint64_t tag)
{
	return (struct wire_sa){
		.handle = handle, .tag = tag, .lease_end = START, .sent = 10,
		.context = context.data, .context_len = context.len,
	};
}

/* Nothing is asked of one that is new, and it is told as it was when it came. */
static void test_many(void **state)
{
	struct wire_sa sa = told(HANDLE, TAG);
	uint32_t i;

	(void)state;
	followed = false;
	made_ret = 0;
	kernel.oseq = 0;
	get_fails = 1;		/* nobody asks: it stays */
	for (i = 0; i < 3; i++) {
		sa.handle = HANDLE + i;
		context_set_spi(context.data, context.len, htonl(0x1000 + i));
		apply_sa(&d, &sa);
	}
	assert_int_equal(n_waiting, 3);
	assert_int_equal(d.applied[CACHE_APPLIED], 0);
	assert_int_equal(d.lease_acks.len, 0);
	followed = true;
	apply_flush(&d);
	assert_int_equal(sas_made, 3);
	assert_int_equal(get_fails, 1);
	assert_int_equal(d.applied[CACHE_APPLIED], 3);
	assert_int_equal(d.lease_acks.len, 3 * 12);
}

/* What comes of one before it is made waits until it is, and has its tag. */
static void test_many_again(void **state)
{
	struct wire_sa sa = told(HANDLE, TAG);

	(void)state;
	made_ret = 0;
	for_charon = true;	/* it may be deleted: a tag is one life's */
	kernel.oseq = 0;
	apply_sa(&d, &sa);
	assert_int_equal(n_waiting, 1);
	sa.tag = TAG + 1;
	restored_tag = 0;
	apply_sa(&d, &sa);
	assert_int_equal(n_waiting, 0);
	assert_int_equal(restored_tag, TAG);
}

/* It is made, so that it can be deleted: what was not there would stay. */
static void test_many_deleted(void **state)
{
	struct wire_sa sa = told(HANDLE, TAG);

	(void)state;
	made_ret = 0;
	for_charon = true;	/* it may be deleted */
	kernel.oseq = 0;
	apply_sa(&d, &sa);
	assert_int_equal(n_waiting, 1);
	apply_delete(&d, HANDLE, TAG);
	assert_int_equal(n_waiting, 0);
	assert_int_equal(sas_deleted, 1);
	assert_int_equal(d.cache.n_entries, 0);
	apply_flush(&d);
}

/* One that is there is looked at, and so are all after it, before they are made. */
static void test_many_there(void **state)
{
	struct wire_sa sa = told(HANDLE, TAG);

	(void)state;
	apply_sa(&d, &sa);
	apply_flush(&d);
	assert_told();
	assert_int_equal(sas_made, 1);
	sa.handle++;
	context_set_spi(context.data, context.len, htonl(0x1000));
	apply_sa(&d, &sa);
	assert_int_equal(n_waiting, 0);
	assert_int_equal(sas_made, 1);
}

/* What passed the fence before it went up draws a number after the look. */
static void test_straggler(void **state)
{
	struct wire_sa sa = {
		.handle = HANDLE, .tag = TAG, .lease_end = START, .sent = 10,
		.context = context.data, .context_len = context.len,
	};

	(void)state;
	kernel.oseq = 0;
	apply_sa(&d, &sa);
	kernel.oseq = DRAWN;
	apply_flush(&d);
	assert_told();
}

/* The next context says it once more: the active's own word may be of before. */
static void test_again(void **state)
{
	(void)state;
	get_fails = 1;
	comes();
	repairs();
	assert_told();
	comes();
	assert_int_equal(count(WIRE_USED), 2);
	assert_int_equal(d.lease_acks.len, 12);
}

/* The frame's acknowledgement would say that all was told: a guard grows by it. */
static void test_frame(void **state)
{
	struct peer p = {};

	(void)state;
	d.conf.node_id = 2;
	d.st.own = 6;
	comes();
	assert_false(apply_is_untold(&d, &p));
	get_fails = 1;
	comes();
	assert_true(apply_is_untold(&d, &p));
	/* What the active has accounted for, it has heard. */
	chain_add(&p.chain, 6, 2);
	assert_false(apply_is_untold(&d, &p));
	chain_add(&p.chain, 7, 1);
	d.st.own = 7;
	assert_true(apply_is_untold(&d, &p));
	repairs();
	assert_false(apply_is_untold(&d, &p));
	/* This node never drew a number. */
	d.st.own = 0;
	get_fails = 1;
	comes();
	assert_false(apply_is_untold(&d, &p));
}

static struct cache_entry *offered(uint64_t end)
{
	const struct wire_sa sa = {
		.handle = HANDLE, .tag = TAG, .lease_end = end, .sent = DRAWN,
		.range_end = end + 2 * XFRMSYNC_LEASE_HEADROOM,
		.given_end = end + 5 * XFRMSYNC_LEASE_HEADROOM,
		.context = context.data, .context_len = context.len,
	};

	apply_sa(&d, &sa);
	apply_flush(&d);
	return cache_find_handle(&d.cache, HANDLE);
}

/* The active before had given out more than the one that offers a range knows of. */
static void test_given_before(void **state)
{
	const uint64_t room = XFRMSYNC_LEASE_HEADROOM;
	struct cache_entry *e;

	(void)state;
	e = offered(2 * room);
	assert_int_equal(e->range_end, 4 * room);
	assert_int_equal(e->given, 7 * room);
	assert_int_equal(count(WIRE_GIVEN), 0);
	e->known = e->given;
	offered(6 * room);
	assert_int_equal(e->lease_end, 6 * room);
	assert_int_equal(e->range_end, 0);
	assert_int_equal(e->given, 7 * room);
	assert_int_equal(count(WIRE_GIVEN), 1);
	assert_int_equal(number_of(WIRE_GIVEN), 7 * room);
	/* It has heard. */
	offered(7 * room);
	assert_int_equal(e->range_end, 9 * room);
	assert_int_equal(e->given, 12 * room);
	assert_int_equal(count(WIRE_GIVEN), 1);
}

/* What is refused has no records: of what size its window is, nobody knows. */
static void test_record_refused(void **state)
{
	static const uint8_t replay[] = { 0, 6, 'M', 0, 0, 0, 0, 12, 0, 0, 0, 1 };
	struct record rec = { .seq = 500 };
	struct cache_entry *e;
	uint8_t *words;

	(void)state;
	words = memmem(context.data, context.len, replay, sizeof(replay));
	assert_non_null(words);
	/* Words of the bitmap: more than there is room for. */
	words[sizeof(replay) + 4] = 1;
	comes();
	e = cache_find_handle(&d.cache, HANDLE);
	assert_non_null(e);
	assert_int_equal(e->applied, CACHE_REFUSED);
	assert_int_equal(e->info.window, 0);
	assert_int_equal(e->info.bmp_words, 0);
	apply_record(&d, HANDLE, &rec, 0);
	/* That was kept of the one before, and merged with the one before that. */
	rec.seq = 400;
	apply_record(&d, HANDLE, &rec, 0);
	rec.seq = 300;
	apply_record(&d, HANDLE, &rec, 0);
	assert_int_equal(e->rec.seq, 0);
	assert_true(e->rec.bmp_words <= RECORD_BMP_WORDS);
	assert_null(e->own);
}

/* Another one comes, whose mark takes in this one's (here, to XFRM, by another SPI). */
static void hide(void)
{
	buf_put(&front, context.data, context.len);
	context_set_spi(front.data, front.len, htonl(0x7777));
}

/* It goes, told by a deletion or by the end of its lifetime: what it hid is looked at. */
static void assert_looked_at(struct cache_entry *e, int type)
{
	struct sa_id id = e->id;

	/* As XFRM has it: of this name, but for the mark. */
	id.mark = 1;
	id.mark_mask = 1;
	assert_non_null(e->way);
	e->way->id = id;
	id.mark = 3;
	apply_sa_event(&d, type, &id);
	assert_int_equal(d.cache.n_repair, 0);
	id.mark = 1;
	id.spi++;
	apply_sa_event(&d, type, &id);
	assert_int_equal(d.cache.n_repair, 0);
	id.spi--;
	apply_sa_event(&d, type, &id);
	assert_int_equal(d.cache.n_repair, 1);
}

/* The module finds it all the same, with the tag that it got: it is followed. */
static void test_behind(void **state)
{
	(void)state;
	hide();
	comes();
	assert_told();
	assert_int_equal(count(WIRE_REFUSED), 0);
	assert_int_equal(kernel.oseq, DRAWN);
	assert_int_equal(fenced, 0);
}

/* Another life of it cannot be replaced, nor used; until what hides it is gone. */
static void test_behind_another(void **state)
{
	struct cache_entry *e;

	(void)state;
	hide();
	kernel.tag = TAG + 1;
	comes();
	assert_int_equal(d.applied[CACHE_CONFLICT], 1);
	assert_int_equal(count(WIRE_REFUSED), 1);
	assert_int_equal(fenced, TAG + 1);
	assert_int_equal(d.cache.n_repair, 0);
	e = cache_find_handle(&d.cache, HANDLE);
	assert_non_null(e);
	assert_looked_at(e, XFRM_MSG_DELSA);
	cache_set_repair(&d.cache, e, false);
	assert_looked_at(e, XFRM_MSG_EXPIRE);
	buf_free(&front);
	kernel.tag = TAG;
	repairs();
	assert_int_equal(d.applied[CACHE_APPLIED], 1);
	assert_int_equal(count(WIRE_REFUSED), 2);
}

/* What this node made itself is its own affair. */
static void test_behind_own(void **state)
{
	(void)state;
	hide();
	kernel.tag = 0;
	comes();
	assert_int_equal(d.applied[CACHE_CONFLICT], 1);
	assert_int_equal(fenced, 0);
}

/* The active has it no more, and it cannot be deleted. */
static void test_behind_gone(void **state)
{
	(void)state;
	comes();
	assert_told();
	hide();
	apply_delete(&d, HANDLE, TAG);
	assert_int_equal(d.cache.n_entries, 0);
	assert_int_equal(fenced, TAG);
	assert_false(d.want_resync);
}

/* Nor fenced: a snapshot ends with another look at it. */
static void test_behind_unfenced(void **state)
{
	(void)state;
	comes();
	hide();
	bind_fails = -ENOBUFS;
	apply_delete(&d, HANDLE, TAG);
	bind_fails = 0;
	assert_int_equal(d.cache.n_entries, 0);
	assert_true(d.want_resync);
	assert_true(d.repair_timer.at_ns);
}

/* A handle is of the SA that had it last, and of no other when that one goes. */
static void test_handle_again(void **state)
{
	struct buf other = vector_read("sa-udp");
	struct wire_sa sa = {
		.handle = HANDLE, .tag = TAG + 1,
		.context = other.data, .context_len = other.len,
	};
	struct cache_entry *e;

	(void)state;
	comes();
	e = cache_find_handle(&d.cache, HANDLE);
	assert_non_null(e);
	followed = false;	/* the other one */
	apply_sa(&d, &sa);
	assert_ptr_not_equal(cache_find_handle(&d.cache, HANDLE), e);
	assert_int_equal(e->handle, 0);
	apply_delete(&d, HANDLE, TAG + 1);
	assert_null(cache_find_handle(&d.cache, HANDLE));
	assert_int_equal(d.cache.n_entries, 1);
	buf_free(&other);
}

/* Nor a place, where its name is none: asking for it, this kernel finds another, or none. */
static void test_no_name(void **state)
{
	(void)state;
	context.data[9] = 7;		/* the family */
	comes();
	assert_int_equal(d.context_refused, 1);
	assert_int_equal(d.cache.n_entries, 0);
	context.data[9] = 2;
	context.data[8 + 12 + 4] = 1;	/* IPv4, and more of an address */
	comes();
	assert_int_equal(d.context_refused, 2);
	assert_int_equal(d.cache.n_entries, 0);
	context.data[8 + 12 + 4] = 0;
	comes();
	assert_int_equal(d.cache.n_entries, 1);
}

/* ---- policies ---- */

/* One that a newer version's active has more to say of. */
static struct buf policy(bool refused)
{
	struct buf b = vector_read("policy-out");

	if (refused)
		field_put_u32(&b, 0x0100, FIELD_MANDATORY, 7);
	return b;
}

static const char *why(void)
{
	struct cache_entry *e = cache_find_handle(&d.cache, HANDLE);

	assert_non_null(e);
	return ready_why_entry(&d, e);
}

/* An SA is not used without its policy, which would be in clear. */
static void test_policy_refused(void **state)
{
	struct buf good = policy(false), bad = policy(true);

	(void)state;
	comes();
	apply_policy(&d, good.data, good.len, 1);
	assert_null(why());
	assert_int_equal(policies_made, 1);
	apply_policy(&d, bad.data, bad.len, 1);
	assert_int_equal(policies_made, 1);
	assert_int_equal(d.context_refused, 1);
	assert_int_equal(d.cache.n_policies, 1);
	assert_non_null(strstr(why(), "is not understood here"));
	/* Nor is it looked after as one of those that are. */
	apply_policies_gone(&d);
	repairs();
	assert_int_equal(policies_made, 1);
	/* What stands here goes with it, by its own context. */
	apply_policy_delete(&d, bad.data, bad.len);
	assert_int_equal(policies_deleted, 1);
	assert_null(why());
	/* The first that comes may be the one. */
	apply_policy(&d, bad.data, bad.len, 1);
	assert_non_null(why());
	apply_policy(&d, good.data, good.len, 1);
	assert_null(why());
	assert_int_equal(policies_made, 2);
	assert_int_equal(d.cache.n_unready, 0);
	buf_free(&good);
	buf_free(&bad);
}

/* Two of the peer's that the map makes one: whoever comes first. */
static void test_policies_joined(void **state)
{
	struct buf one = policy(false), other = policy(false);
	struct peer p = {};
	uint8_t *templates;

	(void)state;
	/* Of another reqid: it uses other SAs. */
	templates = memmem(other.data, other.len, "\0\x41M\0", 4);
	assert_non_null(templates);
	templates[8 + 15] ^= 1;
	comes();
	assert_false(apply_policy(&d, one.data, one.len, 1));
	assert_false(apply_policy(&d, one.data, one.len, 1));
	assert_null(why());
	assert_true(apply_policy(&d, other.data, other.len, 2));
	assert_non_null(strstr(why(), "the map makes one of two policies"));
	assert_int_equal(policies_made, 2);
	/* Nobody knows which of them stands here. */
	apply_policy_delete(&d, other.data, other.len);
	assert_int_equal(policies_deleted, 0);
	assert_non_null(why());
	apply_snapshot_begin(&d, &p);
	comes();
	assert_false(apply_policy(&d, other.data, other.len, 2));
	assert_null(why());
	assert_true(apply_policy(&d, one.data, one.len, 1));
	assert_non_null(why());
	apply_snapshot_end(&d, &p);
	assert_non_null(why());
	apply_snapshot_begin(&d, &p);
	comes();
	assert_false(apply_policy(&d, one.data, one.len, 1));
	apply_snapshot_end(&d, &p);
	assert_null(why());
	assert_int_equal(d.cache.n_unready, 0);
	buf_free(&one);
	buf_free(&other);
}

/* This node has it already: the same one, though not byte by byte. */
static void test_policy_here(void **state)
{
	struct buf b = policy(false);
	uint8_t *priority;

	(void)state;
	comes();
	buf_put(&own, b.data, b.len);
	/* A field that a newer kernel's tool adds, or that is told and not applied. */
	field_put_u32(&own, 0x0100, FIELD_OPTIONAL, 7);
	apply_policy(&d, b.data, b.len, 1);
	assert_null(why());
	field_put_u32(&b, 0x0101, FIELD_OPTIONAL, 9);
	apply_policy(&d, b.data, b.len, 1);
	assert_null(why());
	/* What it does is another matter. */
	priority = memmem(own.data, own.len, "\0\x40M\0\0\0\0\x0c", 8);
	assert_non_null(priority);
	priority[8 + 3] ^= 1;
	apply_policy(&d, b.data, b.len, 1);
	assert_non_null(strstr(why(), "differs from this node's own"));
	assert_int_equal(policies_made, 0);
	buf_free(&own);
	buf_free(&b);
}

/* For any SA, where it cannot be told for which it is. */
static void test_policy_unreadable(void **state)
{
	struct buf b = policy(false);
	struct peer p = {};

	(void)state;
	comes();
	b.len -= 3;
	apply_policy(&d, b.data, b.len, 1);
	assert_non_null(strstr(why(), "may use it"));
	apply_policy(&d, b.data, b.len, 1);
	assert_int_equal(d.cache.n_policies, 1);
	apply_policy_delete(&d, b.data, b.len);
	assert_null(why());
	/* One that the next snapshot does not have is gone. */
	apply_policy(&d, b.data, b.len, 1);
	assert_non_null(why());
	apply_snapshot_begin(&d, &p);
	comes();
	apply_snapshot_end(&d, &p);
	assert_null(why());
	buf_free(&b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* Two names of the peer's are one here, and one of the two is refused. */
static void test_joined_refused(void **state)
{
	struct buf good = policy(false), bad = policy(true);

	(void)state;
	comes();
	assert_false(apply_policy(&d, good.data, good.len, 1));
	assert_true(apply_policy(&d, bad.data, bad.len, 2));
	assert_non_null(why());
	/* It is not the good one that goes with it. */
	apply_policy_delete(&d, bad.data, bad.len);
	assert_int_equal(policies_deleted, 0);
	assert_non_null(why());
	buf_free(&good);
	buf_free(&bad);
}

/* ---- SAs that this node's charon makes ---- */

static struct cache_entry *only(void)
{
	return container(d.cache.entries.next, struct cache_entry, all);
}

static bool make_room(void)
{
	const struct cache_entry *e = only();
	struct apply_child c = { .in_spi = htonl(1), .out_spi = htonl(2) };

	for_charon = true;
	assert_true(apply_make_room(&d, &c));
	assert_int_equal(sas_deleted, 0);
	c.out_spi = e->id.spi;
	/* Another peer has chosen the same one. */
	c.family = e->id.family;
	assert_true(apply_make_room(&d, &c));
	memcpy(c.local, e->id.dst, sizeof(c.local));
	assert_true(apply_make_room(&d, &c));
	assert_int_equal(sas_deleted, 0);
	memcpy(c.remote, e->id.dst, sizeof(c.remote));
	return apply_make_room(&d, &c);
}

/* A new one, with nothing of this module's. */
static void charon_makes_it(void)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.window = 128;
	kernel.bmp_words = 4;
	followed = true;
	apply_sa_event(&d, XFRM_MSG_NEWSA, &only()->id);
}

static void test_charon(void **state)
{
	(void)state;
	comes();
	sas_made = 0;
	assert_told();
	assert_true(make_room());
	assert_int_equal(sas_deleted, 1);
	assert_int_equal(d.applied[CACHE_NOT_APPLIED], 1);
	assert_true(apply_waits_for_ike(&d));
	/* Its end is an event, too; and it is not made here meanwhile. */
	apply_sa_event(&d, XFRM_MSG_DELSA, &only()->id);
	repairs();
	assert_int_equal(sas_made, 0);
	charon_makes_it();
	assert_int_equal(sas_made, 0);
	assert_int_equal(sas_deleted, 1);
	assert_int_equal(d.applied[CACHE_APPLIED], 1);
	assert_false(apply_waits_for_ike(&d));
	/* It stands past all that this node, or the active, may have drawn. */
	assert_true(kernel.oseq >= DRAWN && kernel.oseq >= START);
	assert_true(only()->by_ike);
}

/* What was drawn after the look, too. */
static void test_charon_straggler(void **state)
{
	(void)state;
	comes();
	kernel.oseq += 7;
	assert_true(make_room());
	charon_makes_it();
	assert_true(kernel.oseq >= DRAWN + 7);
}

static void test_charon_fails(void **state)
{
	(void)state;
	comes();
	sas_made = 0;
	assert_true(make_room());
	repairs();
	assert_int_equal(sas_made, 0);
	only()->ike_until_ns = 1;
	repairs();
	assert_true(sas_made);
	assert_false(only()->by_ike);
}

/* What charon says of it may come before the SA's context does. */
static void test_charon_first(void **state)
{
	struct apply_child c = { .in_spi = htonl(1) };
	int following;

	(void)state;
	comes();
	sas_made = 0;
	c.out_spi = only()->id.spi;
	apply_reset(&d);
	cache_exit(&d.cache);
	assert_int_equal(cache_init(&d.cache), 0);
	d.ike = (struct ike *)&following;	/* nothing looks into it */
	assert_true(apply_make_room(&d, &c));
	followed = false;
	comes();
	assert_int_equal(sas_made, 0);
	assert_true(apply_waits_for_ike(&d));
	charon_makes_it();
	assert_int_equal(sas_made, 0);
	assert_int_equal(d.applied[CACHE_APPLIED], 1);
	assert_true(only()->by_ike);
	/* Once more: another life of it has nothing to wait for. */
	apply_wait_no_more(&d);
	assert_false(apply_waits_for_ike(&d));
	d.ike = NULL;
}

/* Its keys are cut out. */
static void ask_for_it(void)
{
	static const uint8_t head[] = { 0, CONTEXT_AEAD, FIELD_MANDATORY, 0 };
	uint8_t *at, *end;
	uint32_t len;

	buf_put(&front, context.data, context.len);
	end = front.data + front.len;
	at = memmem(front.data, front.len, head, sizeof(head));
	assert_non_null(at);
	memcpy(&len, at + sizeof(head), sizeof(len));
	len = FIELD_HEADER + be32toh(len);
	memmove(at, at + len, end - (at + len));
	front.len -= len;
	question = true;
}

/* A packet on the standby asks for what charon has not made yet. */
static void test_charon_question(void **state)
{
	int following;

	(void)state;
	comes();
	sas_made = 0;
	d.ike = (struct ike *)&following;	/* nothing looks into it */
	assert_true(make_room());
	ask_for_it();
	only()->ike_until_ns = 1;
	repairs();
	d.ike = NULL;
	assert_false(question);
	assert_int_equal(sas_made, 1);
	assert_int_equal(d.applied[CACHE_CONFLICT], 0);
}

/* At a rekey the active's policy may come before charon has made the SA that it names. */
static void test_charon_policy(void **state)
{
	struct buf b = policy(false);
	uint8_t *priority;
	int following;

	(void)state;
	comes();
	buf_put(&own, b.data, b.len);
	priority = memmem(own.data, own.len, "\0\x40M\0\0\0\0\x0c", 8);
	assert_non_null(priority);
	priority[8 + 3] ^= 1;
	d.ike = (struct ike *)&following;	/* nothing looks into it */
	apply_policy(&d, b.data, b.len, 1);
	apply_flush(&d);
	assert_non_null(strstr(why(), "differs from this node's own"));
	assert_true(make_room());
	charon_makes_it();
	assert_true(only()->by_ike);
	repairs();
	assert_null(why());
	assert_int_equal(policies_made, 0);
	d.ike = NULL;
	buf_free(&own);
	buf_free(&b);
}

/* Before a takeover there is an end of it. */
static void test_charon_hangs(void **state)
{
	(void)state;
	comes();
	assert_true(make_room());
	apply_wait_no_more(&d);
	assert_false(apply_waits_for_ike(&d));
	apply_finish(&d);
	assert_true(sas_made);
	assert_false(only()->by_ike);
}

/* What was used here, and by how much, nobody could tell any more. */
static void test_charon_not_read(void **state)
{
	(void)state;
	read_fails = 2;
	comes();
	assert_false(make_room());
	assert_int_equal(sas_deleted, 0);
	repairs();
	assert_told();
	assert_true(make_room());
	assert_int_equal(sas_deleted, 1);
}

/* charon, asked once more, deletes its own first: between two looks of ours. */
static void test_charon_deletes(void **state)
{
	(void)state;
	comes();
	sas_made = 0;
	assert_true(make_room());
	assert_int_equal(d.applied[CACHE_NOT_APPLIED], 1);
	sas_deleted = 0;
	goes_after = 1;
	followed = true;
	assert_true(make_room());
	assert_int_equal(goes_after, 0);
	assert_int_equal(sas_deleted, 0);
	assert_int_equal(sas_made, 0);
	assert_true(apply_waits_for_ike(&d));
	charon_makes_it();
	assert_int_equal(d.applied[CACHE_APPLIED], 1);
}

/* Where no charon is followed, who makes what waits for a repair is nothing to hurry for. */
static void test_no_charon(void **state)
{
	int following;

	(void)state;
	comes();
	apply_sa_event(&d, XFRM_MSG_FLUSHSA, NULL);
	assert_true(only()->repair);
	charon_makes_it();
	assert_true(only()->repair);
	d.ike = (struct ike *)&following;	/* nothing looks into it */
	charon_makes_it();
	d.ike = NULL;
	assert_false(only()->repair);
	assert_true(kernel.oseq >= DRAWN && kernel.oseq >= START);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_at_once),
		TEST(test_not_looked_at),
		TEST(test_not_read),
		TEST(test_not_followed),
		TEST(test_followed_late),
		TEST(test_many),
		TEST(test_many_again),
		TEST(test_many_deleted),
		TEST(test_many_there),
		TEST(test_straggler),
		TEST(test_again),
		TEST(test_frame),
		TEST(test_given_before),
		TEST(test_record_refused),
		TEST(test_no_name),
		TEST(test_handle_again),
		TEST(test_behind),
		TEST(test_behind_another),
		TEST(test_behind_own),
		TEST(test_behind_gone),
		TEST(test_behind_unfenced),
		TEST(test_policy_refused),
		TEST(test_policies_joined),
		TEST(test_policy_here),
		TEST(test_policy_unreadable),
		TEST(test_joined_refused),
		TEST(test_charon),
		TEST(test_charon_straggler),
		TEST(test_charon_fails),
		TEST(test_charon_hangs),
		TEST(test_charon_first),
		TEST(test_charon_policy),
		TEST(test_charon_question),
		TEST(test_charon_not_read),
		TEST(test_charon_deletes),
		TEST(test_no_charon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
