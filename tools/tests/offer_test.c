// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs of the active, with leases and without.
 * Out: what peers are offered of them: nothing that the kernel does not hold to; what
 * an operator hears of those that stop at its end.
 * Host only; the kernel is not asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../kmod/lease.h"
#include "daemon.h"

#define ROOM XFRMSYNC_LEASE_HEADROOM

static struct daemon d;
static struct cache_entry *e;

static int setup(void **state)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50, .spi = 1 },
		.esn = true, .large = true, .window = 128, .bmp_words = 4,
	};

	(void)state;
	memset(&d, 0, sizeof(d));
	if (cache_init(&d.cache))
		return -1;
	strcpy(d.conf.peer[0].name, "b");
	d.conf.n_peers = 1;
	d.conf.lease = (struct conf_lease){ .esn_log2 = 8, .log2 = 8 };
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	d.leasing = true;
	e = cache_add(&d.cache, &info, (void *)"key", 3, 0);
	if (!e)
		return -1;
	e->rec.dir = XFRMSYNC_DIR_OUT;
	e->rec.oseq = 10;
	e->sent = 10;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	cache_exit(&d.cache);
	return 0;
}

static bool is_offered(struct wire_sa *sa)
{
	memset(sa, 0, sizeof(*sa));
	return lease_offer(&d, e, &d.peer[0], sa);
}

/* Its end may be past what the active would stop at. */
static void test_limit_first(void **state)
{
	struct wire_sa sa;

	(void)state;
	lease_follow(&d, e);
	assert_int_equal(e->lease_end, 10 + 256 + ROOM);
	assert_false(e->bound);
	assert_true(d.bind_due);
	assert_false(is_offered(&sa));
	assert_int_equal(sa.lease_end, 0);
	assert_false(e->mark[0].lease.offered);
	e->bound = true;
	assert_true(is_offered(&sa));
	assert_int_equal(sa.lease_end, e->lease_end);
	assert_true(e->mark[0].lease.offered);
}

/* What has no lease is told, too: that it is, the kernel knows before. */
static void test_shared_first(void **state)
{
	static const struct {
		uint8_t dir;
		uint32_t flags;
	} no_lease[] = {
		{ XFRMSYNC_DIR_IN, 0 },
		{ XFRMSYNC_DIR_OUT, XFRMSYNC_RECORD_F_FENCED },
		{ XFRMSYNC_DIR_OUT, XFRMSYNC_RECORD_F_OVERRUN },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		e->rec.dir = no_lease[i].dir;
		e->rec.flags = no_lease[i].flags;
		e->shared = false;
		e->bound = true;
		d.bind_due = false;
		d.leasing = false;
		lease_follow(&d, e);
		assert_false(e->shared);
		assert_true(e->bound);
		d.leasing = true;
		lease_follow(&d, e);
		assert_true(e->shared);
		assert_false(e->bound);
		assert_true(d.bind_due);
		assert_int_equal(e->lease_end, 0);
		/* Once. */
		e->bound = true;
		lease_follow(&d, e);
		assert_true(e->bound);
	}
}

/* Its numbers are the NIC's own affair. */
static void test_packet_offload(void **state)
{
	struct wire_sa sa;

	(void)state;
	e->info.packet_offload = true;
	lease_follow(&d, e);
	assert_non_null(e->unsafe);
	assert_int_equal(e->lease_end, 0);
	e->lease_end = 1000 + ROOM;
	e->bound = true;
	assert_false(is_offered(&sa));
}

#define MANY 3000

/* Lines of the log while all of them are followed. */
static size_t lines_of(struct cache *c, uint32_t flags)
{
	int before = dup(STDERR_FILENO), ch;
	FILE *log = tmpfile();
	struct cache_entry *one;
	size_t n = 0;

	assert_non_null(log);
	assert_true(before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
	cache_for_each(c, one) {
		one->rec.flags = flags;
		lease_follow(&d, one);
	}
	fflush(stderr);
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(log);
	while ((ch = getc(log)) != EOF)
		n += ch == '\n';
	fclose(log);
	return n;
}

/* Each is counted, and named once; a log names no more than it can bear. */
static void test_stopped(void **state)
{
	struct context_sa info = e->info;
	uint32_t i;

	(void)state;
	assert_int_equal(lease_count_stopped(&d), 0);
	assert_int_equal(lines_of(&d.cache, XFRMSYNC_RECORD_F_STOPPED), 1);
	assert_int_equal(lease_count_stopped(&d), 1);
	assert_int_equal(lines_of(&d.cache, XFRMSYNC_RECORD_F_STOPPED), 0);
	assert_int_equal(lines_of(&d.cache, 0), 1);
	assert_int_equal(lines_of(&d.cache, 0), 0);
	assert_int_equal(lease_count_stopped(&d), 0);

	for (i = 2; i <= MANY; i++) {
		info.id.spi = i;
		assert_non_null(cache_add(&d.cache, &info, (void *)"key", 3, 0));
	}
	/* Of a minute: 2 above, 18 more, and one line for the rest. */
	assert_int_equal(lines_of(&d.cache, XFRMSYNC_RECORD_F_STOPPED), 19);
	assert_int_equal(lease_count_stopped(&d), MANY);
	assert_int_equal(lines_of(&d.cache, 0), 0);
	d.ends_ns -= 61000 * LOOP_MS;
	assert_int_equal(lines_of(&d.cache, XFRMSYNC_RECORD_F_STOPPED), 21);
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	assert_int_equal(lease_count_stopped(&d), 0);
}

/* A peer may have used it, and has lost how far: whatever it was offered before. */
static void test_hole(void **state)
{
	struct wire_sa sa;
	uint64_t end;

	(void)state;
	lease_follow(&d, e);
	end = e->lease_end;
	e->bound = true;
	assert_true(is_offered(&sa));
	e->hole = true;
	e->rec.oseq = 200;
	lease_follow(&d, e);
	assert_non_null(e->unsafe);
	assert_false(is_offered(&sa));
	assert_true(!e->offer && e->lease_end == end);
	/* Nor does what waits for an acknowledgement come into force. */
	e->hole = false;
	lease_follow(&d, e);
	assert_null(e->unsafe);
	assert_true(e->offer > end);
	e->hole = true;
	lease_follow(&d, e);
	e->mark[0].lease.acked_end = UINT64_MAX;
	lease_acked(&d, &d.peer[0], e->handle, UINT64_MAX);
	assert_true(!e->offer && e->lease_end == end);
	e->rec.dir = XFRMSYNC_DIR_IN;
	cache_set_unsafe(&d.cache, e, NULL);
	lease_follow(&d, e);
	assert_non_null(e->unsafe);
	assert_false(is_offered(&sa));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limit_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packet_offload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hole, setup, teardown),
	};

	return cmocka_run_group_tests_name("offer", tests, NULL, NULL);
}
