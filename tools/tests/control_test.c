// SPDX-License-Identifier: GPL-2.0
/*
 * In: bytes on a socket: whole lines, pieces, several at once, nonsense.
 * Out: one object a call, in order; or NULL with the reason in errno.
 * Host only; a socket pair stands for the daemon.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"

static int ours, theirs;

static int setup(void **state)
{
	int fd[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		return -1;
	ours = fd[0];
	theirs = fd[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(ours);
	if (theirs >= 0)
		close(theirs);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(send(theirs, text, strlen(text), MSG_NOSIGNAL),
			 (ssize_t)strlen(text));
}

static void assert_next(int want)
{
	json_t *o = control_recv(ours, 1000);

	assert_non_null(o);
	assert_int_equal(json_integer_value(json_object_get(o, "n")), want);
	json_decref(o);
}

static void assert_none(int timeout_ms, int want_errno)
{
	errno = 0;
	assert_null(control_recv(ours, timeout_ms));
	assert_int_equal(errno, want_errno);
}

static void test_lines(void **state)
{
	(void)state;
	say("{\"n\":1}\n{\"n\":2}\n{\"n\":");
	assert_next(1);
	assert_next(2);
	assert_none(20, ETIMEDOUT);
}

static void test_end(void **state)
{
	(void)state;
	say("{\"n\":1}\n{\"n\":2}");
	close(theirs);
	theirs = -1;
	assert_next(1);
	assert_none(1000, ENODATA);
}

static void test_nonsense(void **state)
{
	static const char *const bad[] = {
		"\n", "x\n", "[]\n", "{\"n\":1,\"n\":2}\n", "{} {}\n", "\"a\"\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(bad[i]);
		assert_none(1000, EBADMSG);
	}
	say("{\"n\":3}\n");
	assert_next(3);
}

/* A line of many chunks, in pieces, from another process: a plan of 20,000 SAs. */
static void test_long(void **state)
{
	size_t len = 5000000, i;
	json_t *o;
	char *text;
	pid_t pid;

	(void)state;
	text = malloc(len + 1);
	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		say("{\"n\":7,\"text\":\"");
		for (i = 0; i < len; i += 1000)
			if (send(theirs, text + i, 1000, 0) != 1000)
				_exit(1);
		say("\"}\n{\"n\":8}\n");
		_exit(0);
	}
	o = control_recv(ours, 10000);
	assert_non_null(o);
	assert_int_equal(json_string_length(json_object_get(o, "text")), len);
	json_decref(o);
	assert_next(8);
	waitpid(pid, NULL, 0);
	free(text);
}

static void test_send(void **state)
{
	json_t *o = json_pack("{s:s, s:b}", "cmd", "takeover", "dry_run", 1);
	static const char want[] = "{\"cmd\":\"takeover\",\"dry_run\":true}\n";
	char buf[128];

	(void)state;
	assert_int_equal(control_send(ours, o), 0);
	assert_int_equal(recv(theirs, buf, sizeof(buf), 0), sizeof(want) - 1);
	assert_memory_equal(buf, want, sizeof(want) - 1);
	close(theirs);
	theirs = -1;
	assert_int_equal(control_send(ours, o), -EPIPE);
	json_decref(o);
}

static void test_connect(void **state)
{
	char path[300];

	(void)state;
	assert_int_equal(control_connect("/nonexistent/socket"), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(control_connect(path), -ENAMETOOLONG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_end),
		TEST(test_nonsense),
		TEST(test_long),
		TEST(test_send),
		TEST(test_connect),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
