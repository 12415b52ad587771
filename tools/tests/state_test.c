// SPDX-License-Identifier: GPL-2.0
/*
 * In: states stored, cut short, damaged.
 * Out: the last whole one, or none.
 * Host only; in a folder of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/xfrmsync.h>

#include "state.h"

static char dir[] = "/tmp/xfrmsync-state-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* What the file says is replaced by the test, in place. */
static void write_state(const char *text)
{
	char path[100];
	FILE *f;

	snprintf(path, sizeof(path), "%s/state", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_missing(void **state)
{
	struct state s = { .epoch = 5 };

	(void)state;
	assert_int_equal(state_load(dir, &s), -ENOENT);
	assert_int_equal(s.epoch, 0);
}

static void test_round_trip(void **state)
{
	struct state s = {
		.epoch = UINT64_MAX, .node = UINT32_MAX,
		.role = XFRMSYNC_ROLE_ACTIVE,
	};
	struct state got;
	struct stat st;
	char path[100];

	(void)state;
	assert_int_equal(state_store(dir, &s), 0);
	assert_true(s.boot_id[0]);
	assert_int_equal(state_load(dir, &got), 0);
	assert_memory_equal(&s, &got, sizeof(s));
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* As many as there may be; all of them, or none. */
static void test_members(void **state)
{
	struct state s = {
		.epoch = 7, .node = 1, .role = XFRMSYNC_ROLE_ACTIVE,
		.life = UINT64_MAX, .orphans = UINT64_MAX - 1,
		.handed = "member", .n_members = CONF_MAX_PEERS,
	};
	struct state got;
	char path[100];
	struct stat st;
	off_t len;
	size_t i;

	(void)state;
	for (i = 0; i < s.n_members; i++)
		memset(s.member[i], 'a' + i, sizeof(s.member[i]) - 1);
	snprintf(s.member[3], sizeof(s.member[3]), "end");
	memset(s.member[3] + 3, 0, sizeof(s.member[3]) - 3);
	assert_int_equal(state_store(dir, &s), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_memory_equal(&s, &got, sizeof(s));
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(stat(path, &st), 0);
	for (len = st.st_size - 2; len >= 0; len--) {
		assert_int_equal(truncate(path, len), 0);
		assert_int_equal(state_load(dir, &got), -EINVAL);
		assert_int_equal(got.n_members, 0);
	}
}

/* It comes back as it was; nothing of a file that was cut, wherever. */
static void all_or_nothing(struct state *s)
{
	struct state got;
	char path[100];
	struct stat st;
	off_t len;

	assert_int_equal(state_store(dir, s), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_memory_equal(s, &got, sizeof(*s));
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(stat(path, &st), 0);
	for (len = st.st_size - 2; len >= 0; len--) {
		assert_int_equal(truncate(path, len), 0);
		assert_int_equal(state_load(dir, &got), -EINVAL);
		assert_int_equal(got.handed[0], 0);
		assert_false(got.outdated || got.strict);
		assert_true(!got.own && !got.lost && !got.chain.n);
	}
}

/* What is accounted for: as much as there may be. */
static void test_chain(void **state)
{
	struct state s = {
		.epoch = 7, .node = 2, .role = XFRMSYNC_ROLE_STANDBY,
		.boot_id = "of-long-ago", .holes = UINT64_MAX,
		.own = UINT64_MAX, .lost = UINT64_MAX - 1, .n_members = CONF_MAX_PEERS,
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < CHAIN_MAX; i++)
		chain_add(&s.chain, UINT64_MAX - i, UINT32_MAX - i);
	for (i = 0; i < s.n_members; i++)
		memset(s.member[i], 'a' + i, sizeof(s.member[i]) - 1);
	memset(s.handed, 'n', sizeof(s.handed) - 1);
	all_or_nothing(&s);
	/* In another life SAs have other cookies; all else is as it was. */
	assert_false(state_live_on(&s, 6));
	assert_int_equal(s.holes, 0);
	assert_true(s.own && s.lost == s.own && s.chain.n == CHAIN_MAX);
}

/* Who becomes active; what it lost before stays so, and that it was active then. */
static void test_count_in(void **state)
{
	struct state s = { .epoch = 7, .node = 2, .own = 6, .life = 5 };

	(void)state;
	state_count_in(&s, true);
	assert_true(s.own == 6 && chain_has(&s.chain, 6, 2) &&
		    !chain_has(&s.chain, 7, 2));
	assert_true(state_live_on(&s, 5));
	assert_true(!s.lost);
	assert_false(state_live_on(&s, 9));
	assert_int_equal(s.lost, 6);
	state_count_in(&s, false);
	assert_true(s.own == 7 && s.lost == 6 && chain_has(&s.chain, 7, 2));
	assert_true(state_live_on(&s, 9));
	assert_int_equal(s.lost, 6);
}

/* Active on disk, and not in force: only of a kernel that is behind. */
static void test_unfinished(void **state)
{
	const struct state s = {
		.epoch = 7, .node = 2, .role = XFRMSYNC_ROLE_ACTIVE,
	};
	const struct state down = {
		.epoch = 7, .node = 2, .role = XFRMSYNC_ROLE_STANDBY,
	};

	(void)state;
	assert_true(state_is_unfinished(&s, XFRMSYNC_ROLE_STANDBY, 6, 9));
	assert_true(state_is_unfinished(&s, XFRMSYNC_ROLE_STANDBY, 7, 1));
	/* It was in force; by the watchdog, say, it is not any more. */
	assert_false(state_is_unfinished(&s, XFRMSYNC_ROLE_STANDBY, 7, 2));
	assert_false(state_is_unfinished(&s, XFRMSYNC_ROLE_STANDBY, 8, 1));
	assert_false(state_is_unfinished(&s, XFRMSYNC_ROLE_ACTIVE, 6, 9));
	assert_false(state_is_unfinished(&s, XFRMSYNC_ROLE_NONE, 0, 0));
	assert_false(state_is_unfinished(&down, XFRMSYNC_ROLE_STANDBY, 6, 9));
}

/* A file of before it was kept. */
static void test_no_chain(void **state)
{
	struct state got;

	(void)state;
	write_state("xfrmsync-state 1\nepoch 7\nnode 1\nrole active\nboot_id x\n"
		    "life 5\nmember b\nend\n");
	assert_int_equal(state_load(dir, &got), 0);
	assert_int_equal(got.n_members, 1);
	assert_true(!got.own && !got.lost && !got.chain.n && !got.holes);
	/* What it never drew it cannot have lost. */
	write_state("xfrmsync-state 1\nepoch 7\nnode 1\nrole active\nboot_id x\n"
		    "own 5\nlost 6\nend\n");
	assert_int_equal(state_load(dir, &got), -EINVAL);
	assert_true(!got.own && !got.lost);
	write_state("xfrmsync-state 1\nepoch 7\nnode 1\nrole active\nboot_id x\n"
		    "chain 1\nend\n");
	assert_int_equal(state_load(dir, &got), -EINVAL);
}

/* What another node made while this one did not look; and what this one made. */
static void test_catch_up(void **state)
{
	struct state s = { .epoch = 7, .node = 2, .handed = "b" };

	(void)state;
	assert_false(state_catch_up(&s, 7, 2, 1));
	assert_false(state_catch_up(&s, 6, 3, 1));
	assert_false(s.outdated);
	assert_string_equal(s.handed, "b");
	assert_true(state_catch_up(&s, 8, 1, 1));
	assert_false(s.outdated);
	assert_string_equal(s.handed, "");
	assert_true(state_catch_up(&s, 8, 3, 1));
	assert_true(s.outdated);
	assert_true(state_catch_up(&s, 9, 1, 1));
	assert_true(s.outdated);
	assert_int_equal(s.epoch, 9);
	assert_int_equal(s.node, 1);
}

/* In another life of the module nobody owns anything; nor where it is not known. */
static void test_life(void **state)
{
	const struct state stored = {
		.epoch = 7, .node = 1, .role = XFRMSYNC_ROLE_STANDBY,
		.boot_id = "of-now", .handed = "b", .member = { "b", "c" },
		.n_members = 2, .orphans = 9, .life = 5,
	};
	struct state s = stored, none = {};

	(void)state;
	assert_false(state_live_on(&none, 5));
	assert_int_equal(none.life, 5);
	assert_true(state_live_on(&s, 5));
	assert_string_equal(s.boot_id, "of-now");
	assert_int_equal(s.n_members, 2);
	assert_false(state_live_on(&s, 6));
	assert_string_equal(s.boot_id, "");
	assert_string_equal(s.member[0], "");
	assert_int_equal(s.n_members, 0);
	assert_int_equal(s.orphans, 0);
	assert_string_equal(s.handed, "b");
	assert_true(state_live_on(&s, 6));
	assert_false(state_live_on(&s, 0));
	s = stored;
	s.life = 0;
	assert_false(state_live_on(&s, 5));
	assert_string_equal(s.boot_id, "");
}

/* Nobody, or a peer; a cut file is none of both. */
static void test_handed(void **state)
{
	struct state s = {
		.epoch = 7, .node = 1, .role = XFRMSYNC_ROLE_STANDBY,
		.boot_id = "of-now", .handed = "end", .outdated = true, .strict = true,
		.requested = true,
	};
	struct state got;

	(void)state;
	memset(s.handed, 'n', sizeof(s.handed) - 1);
	all_or_nothing(&s);
	snprintf(s.handed, sizeof(s.handed), "end");
	assert_int_equal(state_store(dir, &s), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_string_equal(got.handed, "end");
	s.handed[0] = '\0';
	assert_int_equal(state_store(dir, &s), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_string_equal(got.handed, "");
	assert_true(got.outdated && got.strict && got.requested);
	s.outdated = false;
	s.strict = false;
	assert_int_equal(state_store(dir, &s), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_false(got.outdated || got.strict);
}

/* Of a standby it stays the boot in which this node was active last. */
static void test_boot(void **state)
{
	struct state s = {
		.epoch = 7, .node = 1, .role = XFRMSYNC_ROLE_STANDBY,
		.boot_id = "of-long-ago",
	};
	struct state got;

	(void)state;
	assert_int_equal(state_store(dir, &s), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_string_equal(got.boot_id, "of-long-ago");
	assert_int_equal(state_store(dir, &got), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_string_equal(got.boot_id, "of-long-ago");
	got.role = XFRMSYNC_ROLE_ACTIVE;
	assert_int_equal(state_store(dir, &got), 0);
	assert_string_not_equal(got.boot_id, "of-long-ago");
}

/* Whatever is missing at the end, it is not half a state. */
static void test_cut(void **state)
{
	struct state s = { .epoch = 123456, .node = 12, .role = 2 }, got;
	char path[100];
	struct stat st;
	off_t len;

	(void)state;
	assert_int_equal(state_store(dir, &s), 0);
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(stat(path, &st), 0);
	for (len = st.st_size - 2; len >= 0; len--) {
		assert_int_equal(truncate(path, len), 0);
		assert_int_equal(state_load(dir, &got), -EINVAL);
		assert_int_equal(got.epoch, 0);
	}
}

/* A crash before the rename: the old state stands. */
static void test_crash(void **state)
{
	struct state s = { .epoch = 1, .node = 1, .role = 1 }, got;
	char path[100];
	int fd;

	(void)state;
	assert_int_equal(state_store(dir, &s), 0);
	snprintf(path, sizeof(path), "%s/.state.tmp", dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "xfrmsync-st", 11), 11);
	close(fd);
	assert_int_equal(state_load(dir, &got), 0);
	assert_int_equal(got.epoch, 1);
	s.epoch = 2;
	assert_int_equal(state_store(dir, &s), 0);
	assert_int_equal(state_load(dir, &got), 0);
	assert_int_equal(got.epoch, 2);
}

static void test_order(void **state)
{
	(void)state;
	assert_true(state_epoch_cmp(1, 9, 2, 1) < 0);
	assert_true(state_epoch_cmp(2, 1, 1, 9) > 0);
	assert_true(state_epoch_cmp(2, 1, 2, 2) < 0);
	assert_int_equal(state_epoch_cmp(2, 2, 2, 2), 0);
}

static void test_epoch_is_near(void **state)
{
	(void)state;
	assert_true(state_epoch_is_near(5, 4));
	assert_true(state_epoch_is_near(5, 5 + STATE_EPOCH_LEAP));
	assert_false(state_epoch_is_near(5, 6 + STATE_EPOCH_LEAP));
	assert_false(state_epoch_is_near(5, UINT64_MAX));
	/* Who comes new to a cluster. */
	assert_true(state_epoch_is_near(0, 6 + STATE_EPOCH_LEAP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_epoch_is_near),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_count_in),
		cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_no_chain),
		cmocka_unit_test(test_catch_up),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_handed),
		cmocka_unit_test(test_boot),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests_name("state", tests, setup, teardown);
}
