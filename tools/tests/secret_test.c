// SPDX-License-Identifier: GPL-2.0
/*
 * In: files that may hold a key; a process that holds one.
 * Out: the key, or why not; nothing of the process on disk.
 * Host only; as root, who owns key files.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "secret.h"

static char dir[] = "/tmp/xfrmsync-secret-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return geteuid() || !mkdtemp(dir) || chdir(dir);
}

static int tear_down(void **state)
{
	(void)state;
	return chdir("/") || rmdir(dir);
}

static void key_file(mode_t mode)
{
	static const char raw[32] = { 1, 2, 3 };
	int fd = open("key", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, raw, sizeof(raw)), sizeof(raw));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void refused(const char *file, const char *why)
{
	struct secret s;
	char err[300];

	assert_int_equal(secret_read(file, &s, err, sizeof(err)), -1);
	assert_non_null(strstr(err, why));
	assert_int_equal(s.len, 0);
}

static void test_files(void **state)
{
	struct secret s;
	char err[300];

	(void)state;
	key_file(0600);
	assert_int_equal(secret_read("key", &s, err, sizeof(err)), 0);
	assert_int_equal(s.len, 32);
	assert_int_equal(symlink("key", "link"), 0);
	refused("link", "symbolic link");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	refused("fifo", "not a regular file");
	refused(".", "not a regular file");
	refused("none", "No such file");
	key_file(0640);
	refused("key", "chmod 600");
	key_file(0604);
	refused("key", "chmod 600");
	key_file(0600);
	assert_int_equal(chown("key", 1, 0), 0);
	refused("key", "chown root");
	unlink("key");
	unlink("link");
	unlink("fifo");
}

/* Runs in a child of its own; the exit status is what is not as it shall be. */
static void protected(void)
{
	struct rlimit core = { .rlim_cur = 1, .rlim_max = 1 };
	unsigned long locked = 0;
	char line[200];
	FILE *f;

	secret_protect();
	if (prctl(PR_GET_DUMPABLE))
		_exit(1);
	if (getrlimit(RLIMIT_CORE, &core) || core.rlim_cur || core.rlim_max)
		_exit(2);
	f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %lu", &locked) == 1)
			break;
	/* ASan keeps mlockall() from the kernel: its shadow is larger than any memory. */
#ifndef __SANITIZE_ADDRESS__
	if (!f || !locked)
		_exit(3);
#endif
	/* The kernel asks both before it writes a core. */
	abort();
}

static void test_no_core(void **state)
{
	/* As if somebody had allowed it. */
	struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &core);
		prctl(PR_SET_DUMPABLE, 1);
		protected();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_core),
	};

	return cmocka_run_group_tests_name("secret", tests, set_up, tear_down);
}
