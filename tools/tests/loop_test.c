// SPDX-License-Identifier: GPL-2.0
/*
 * In: descriptors and points in time that are due in one round, and one that stops it.
 * Out: which of them are called: none after that.
 * Host only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop.h"

static struct loop loop;
static int calls;

static void stop_by_fd(struct loop_fd *f, uint32_t events)
{
	(void)f;
	(void)events;
	calls++;
	loop.stop = true;
}

static void stop_by_timer(struct loop_timer *t)
{
	(void)t;
	calls++;
	loop.stop = true;
}

static int setup(void **state)
{
	(void)state;
	calls = 0;
	return loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	loop_exit(&loop);
	return 0;
}

/* What comes in the same round may be of a state that is no more. */
static void test_fd_stops(void **state)
{
	struct loop_timer t = { .cb = stop_by_timer };
	struct loop_fd f[2] = {
		{ .cb = stop_by_fd }, { .cb = stop_by_fd },
	};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++)
		assert_int_equal(loop_add(&loop, &f[i], eventfd(1, EFD_CLOEXEC),
					  EPOLLIN), 0);
	loop_timer_set(&loop, &t, 0);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(calls, 1);
	/* Neither is forgotten: who goes on would come to it. */
	assert_true(t.at_ns);
	for (i = 0; i < 2; i++)
		close(f[i].fd);
}

static void test_timer_stops(void **state)
{
	struct loop_timer t[2] = {
		{ .cb = stop_by_timer }, { .cb = stop_by_timer },
	};

	(void)state;
	loop_timer_set(&loop, &t[0], 0);
	loop_timer_set(&loop, &t[1], 0);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(calls, 1);
	assert_true(t[0].at_ns || t[1].at_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fd_stops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer_stops, setup, teardown),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
