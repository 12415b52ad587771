// SPDX-License-Identifier: GPL-2.0
/*
 * In: command lines, as a table.
 * Out: the tool's exit code, and what it says on which stream.
 * Host only: runs the program that $XFRMSYNC names, where no daemon is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_ARGS 12

struct run {
	char out[16384], err[4096];
	int code;
};

static void read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	close(fd);
}

/* Output is short enough for a pipe, so that one after the other will do. */
static void run(struct run *r, const char *line)
{
	char copy[512], *argv[MAX_ARGS + 2], *save = NULL;
	int out[2], err[2], n = 0, status;
	pid_t pid;

	argv[n++] = getenv("XFRMSYNC");
	assert_non_null(argv[0]);
	snprintf(copy, sizeof(copy), "%s", line);
	for (argv[n] = strtok_r(copy, " ", &save); argv[n] && n < MAX_ARGS;)
		argv[++n] = strtok_r(NULL, " ", &save);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(err), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		close(out[0]);
		close(err[0]);
		execv(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	read_all(out[0], r->out, sizeof(r->out));
	read_all(err[0], r->err, sizeof(r->err));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	r->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static const struct {
	const char *line;
	int code;
	const char *out, *err;	/* part of it; NULL: nothing is said there */
} table[] = {
	{ "", 2, NULL, "Usage: xfrmsync VERB" },
	{ "--help", 0, "Usage: xfrmsync VERB", NULL },
	{ "-h", 0, "takeover", NULL },
	{ "help", 0, "monitor", NULL },
	{ "--version", 0, "xfrmsync ", NULL },
	{ "-V", 0, "xfrmsync ", NULL },
	{ "nosuch", 2, NULL, "nosuch is not a verb" },
	{ "--nosuch", 2, NULL, "--nosuch is not a verb" },

	{ "show --help", 0, "Usage: xfrmsync show", NULL },
	{ "show -h --nosuch", 0, "--details", NULL },
	{ "show --nosuch", 2, NULL, "xfrmsync show: --nosuch is not an option" },
	{ "show -x", 2, NULL, "-x is not an option" },
	{ "show too much", 2, NULL, "too is too much" },
	{ "show --json=x", 2, NULL, "takes no value" },
	{ "show --spi", 2, NULL, "--spi needs a value" },
	{ "show -c", 2, NULL, "-c needs a value" },
	{ "show --spi 0x100000000", 2, NULL, "0x100000000 is no value for --spi" },
	{ "show --spi -1", 2, NULL, "no value for --spi" },
	{ "show --spi=x", 2, NULL, "show: x is no value for --spi\n" },
	{ "show --spi=", 2, NULL, "show:  is no value for --spi\n" },
	{ "save --spi=zz file", 2, NULL, "save: zz is no value for --spi\n" },
	{ "load --spi=zz file", 2, NULL, "load: zz is no value for --spi\n" },
	{ "load --on-conflict=x file", 2, NULL, "load: x is no value for --on-conflict\n" },
	{ "show --spi 0x", 2, NULL, "no value for --spi" },
	{ "show --reqid x", 2, NULL, "no value for --reqid" },
	{ "show --dst 1.2.3", 2, NULL, "no value for --dst" },
	{ "show --dst 1.2.3.4/32", 2, NULL, "no value for --dst" },
	{ "show --src ::g", 2, NULL, "no value for --src" },
	{ "show --proto tcp", 2, NULL, "no value for --proto" },
	{ "show --family ipx", 2, NULL, "no value for --family" },

	{ "show --ike --keys extra", 2, NULL, "extra is too much" },
	{ "show --keys", 2, NULL, "--keys goes with --ike" },
	{ "show --keys=/tmp", 2, NULL, "--keys goes with --ike" },
	{ "show --ike --details", 2, NULL, "--ike goes with --keys, or" },
	{ "show --ike --context", 2, NULL, "--ike goes with --keys, or" },
	{ "show --ike --spi 5", 2, NULL, "--ike goes with --keys, or" },
	{ "show --ike --key /k", 2, NULL, "--key goes with --file" },
	{ "show --ike --keys --file /f", 2, NULL, "--keys are the daemon's" },
	{ "show --file /f", 2, NULL, "go with --context, or --ike" },
	{ "show --ike --file /nonexistent", 1, NULL, "/nonexistent: No such file" },
	{ "save --ike --plain file", 2, NULL,
	  "save: --plain beside --ike: IKE SAs are in sealed files alone, with --force as well\n" },
	{ "save --ike --plain --force file", 2, NULL, "in sealed files alone" },
	{ "save --ike --spi 5 file", 2, NULL, "--ike beside a selector" },
	{ "show --ike --socket /nonexistent", 1, NULL,
	  "xfrmsync show: no daemon runs: IKE SAs are in its memory alone\n" },
	{ "show --ike --json --socket /nonexistent", 1, "[]", "no daemon runs" },
	{ "show --ike --keys --socket /nonexistent", 1, NULL, "no daemon runs" },
	{ "show --ike --keys=/tmp --socket /nonexistent", 1, NULL, "no daemon runs" },

	{ "monitor --help", 0, "Usage: xfrmsync monitor", NULL },
	{ "monitor --count 0", 2, NULL, "--count wants a number above 0" },
	{ "monitor --count x", 2, NULL, "not x" },
	{ "monitor -n -1", 2, NULL, "not -1" },
	{ "monitor -n", 2, NULL, "-n needs a value" },
	{ "monitor x", 2, NULL, "x is too much" },

	{ "status --help", 0, "Usage: xfrmsync status", NULL },
	{ "status x", 2, NULL, "x is too much" },
	{ "status --socket", 2, NULL, "--socket needs a value" },

	{ "run --help", 0, "Usage: xfrmsync run", NULL },
	{ "run --nosuch", 2, NULL, "" },
	{ "run x", 2, NULL, "" },
	{ "run -c /nonexistent", 1, NULL, "/nonexistent: No such file" },

	{ "load --map 192.0.2.1 x", 2, NULL, "--map 192.0.2.1: OLD=NEW is wanted" },
	{ "load --map 192.0.2.1=fd00::1 x", 2, NULL, "one of them is IPv4, the other one IPv6" },
	{ "load --map 192.0.2.1=192.0.2.2 --map 192.0.2.1=192.0.2.3 x", 2, NULL,
	  "the old address has a new one already" },

	{ "takeover --help", 0, "Usage: xfrmsync takeover", NULL },
	{ "takeover --timeout 0", 2, NULL, "--timeout wants seconds" },
	{ "takeover --timeout 3601", 2, NULL, "--timeout wants seconds" },
	{ "takeover x", 2, NULL, "x is too much" },
	{ "takeover -c /nonexistent", 1, NULL,
	  "xfrmsync takeover: /nonexistent: No such file" },

	{ "load --help", 0, "--on-conflict WHAT", NULL },
	{ "load --on-conflict never file", 2, NULL, "never is no value for --on-conflict" },
	{ "load --on-conflict new-spi", 2, NULL, "" },

	{ "standby --help", 0, "Usage: xfrmsync standby", NULL },
	{ "standby --force-unsafe", 2, NULL, "--force-unsafe is not an option" },
	{ "standby -c /nonexistent", 1, NULL,
	  "xfrmsync standby: /nonexistent: No such file" },

	{ "check --help", 0, "Usage: xfrmsync check", NULL },
	{ "check x", 2, NULL, "x is too much" },
	{ "check -c /nonexistent --socket /nonexistent", 1,
	  "fail  configuration   /nonexistent: No such file", NULL },
	{ "check -c /nonexistent --socket /nonexistent --json", 1,
	  "\"ok\": false", NULL },
};

static bool said(const char *text, const char *want)
{
	return want ? text[0] && strstr(text, want) : !text[0];
}

static void test_table(void **state)
{
	static struct run r;
	size_t i, lines;
	const char *p;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		run(&r, table[i].line);
		if (r.code != table[i].code || !said(r.out, table[i].out) ||
		    !said(r.err, table[i].err))
			fail_msg("xfrmsync %s: exit code %d, out \"%s\", err \"%s\"",
				 table[i].line, r.code, r.out, r.err);
		/* A refusal is one line. */
		for (p = r.err, lines = 0; (p = strchr(p, '\n')); p++)
			lines++;
		if (r.code == 1 && r.err[0])
			assert_int_equal(lines, 1);
	}
}

/* Every verb is in the list, and has all the common options. */
static void test_verbs(void **state)
{
	static const char *const verbs[] = {
		"show", "monitor", "status", "run", "takeover", "standby", "check",
	};
	static struct run r;
	char line[64];
	size_t i;

	(void)state;
	run(&r, "--help");
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		snprintf(line, sizeof(line), "  %s ", verbs[i]);
		assert_non_null(strstr(r.out, line));
	}
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		snprintf(line, sizeof(line), "%s --help", verbs[i]);
		run(&r, line);
		assert_int_equal(r.code, 0);
		assert_non_null(strstr(r.out, "-c, --conf"));
		assert_non_null(strstr(r.out, "-j, --json"));
		if (!strcmp(verbs[i], "run"))
			continue;
		assert_non_null(strstr(r.out, "--socket PATH"));
	}
}

/* A daemon that answers each with the same, whatever is asked; it wants that command. */
static pid_t fake_daemon(const char *path, const char *cmd, const char *answer)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), c;
	char request[256] = "";
	pid_t pid;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (void *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		c = accept(fd, NULL, NULL);
		if (read(c, request, sizeof(request) - 1) <= 0 || !strstr(request, cmd))
			answer = "{\"done\":true,\"error\":\"another command\",\"exit\":1}\n";
		_exit(write(c, answer, strlen(answer)) < 0);
	}
	close(fd);
	return pid;
}

static const char two_ike_sas[] =
	"{\"name\":\"IKE SA 01\",\"spis\":{\"initiator\":\"01\"},\"in_charon\":true}\n"
	"{\"name\":\"IKE SA 02\",\"error\":\"it is of IKEv1\",\"in_charon\":false}\n"
	"{\"done\":true}\n";
static const char key_log[] =
	"{\"table\":\"ikev2_decryption_table\",\"line\":\"01,02,\\\"A\\\"\"}\n"
	"{\"table\":\"esp_sa\",\"line\":\"\\\"IPv4\\\"\"}\n"
	"{\"table\":\"esp_sa\",\"line\":\"\\\"IPv6\\\"\"}\n"
	"{\"done\":true}\n";
static const char no_key[] =
	"{\"sa\":\"Child SA 0x1\",\"error\":\"no name for it\"}\n{\"done\":true}\n";
static const char refusal[] =
	"{\"done\":true,\"error\":\"set key_log\",\"exit\":1}\n";

static void test_show_ike(void **state)
{
	static const struct {
		const char *args, *cmd, *answer;
		int code;
		const char *out, *err;
	} calls[] = {
		{ "", "\"ike\"", two_ike_sas, 1,
		  "IKE SA 01\n    spis       initiator 01\n    in_charon  yes\n\n"
		  "IKE SA 02: it is of IKEv1\n    in_charon  no\n", "" },
		{ "--json", "\"ike\"", two_ike_sas, 1,
		  "[\n {\"name\":\"IKE SA 01\",\"spis\":{\"initiator\":\"01\"},\"in_charon\":true},\n"
		  " {\"name\":\"IKE SA 02\",\"error\":\"it is of IKEv1\",\"in_charon\":false}\n]\n", "" },
		{ "", "\"ike\"", "{\"done\":true}\n", 0, "", "" },
		{ "--json", "\"ike\"", "{\"done\":true}\n", 0, "[]\n", "" },
		{ "", "\"ike\"", refusal, 1, "", "xfrmsync show: set key_log\n" },
		{ "", "\"ike\"", "", 1, "", "xfrmsync show: No data available\n" },
		{ "--keys", "\"ike_keys\"", key_log, 0,
		  "uat:ikev2_decryption_table:01,02,\"A\"\nuat:esp_sa:\"IPv4\"\nuat:esp_sa:\"IPv6\"\n", "" },
		{ "--keys", "\"ike_keys\"", refusal, 1, "", "xfrmsync show: set key_log\n" },
		{ "--keys", "\"ike_keys\"", no_key, 1, "",
		  "xfrmsync show: Child SA 0x1: no name for it\n" },
		{ "--keys=DIR --json", "\"ike_keys\"", key_log, 0,
		  "\"ikev2_decryption_table\": 1, \"esp_sa\": 2}\n", "" },
		{ "--keys=/nonexistent", "\"ike_keys\"", key_log, 1, "",
		  "xfrmsync show: /nonexistent/ikev2_decryption_table: No such file or directory\n" },
	};
	char dir[] = "/tmp/xfrmsync-show-XXXXXX", path[64], line[256], args[128];
	static const char *const tables[] = { "ikev2_decryption_table", "esp_sa" };
	static const char *const have[] = { "01,02,\"A\"\n", "\"IPv4\"\n\"IPv6\"\n" };
	static struct run r;
	const char *at;
	struct stat st;
	size_t i, len;
	pid_t pid;
	FILE *f;

	(void)state;
	if (geteuid())
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		at = strstr(calls[i].args, "DIR");
		if (at)
			snprintf(args, sizeof(args), "%.*s%s%s",
				 (int)(at - calls[i].args), calls[i].args, dir, at + 3);
		snprintf(line, sizeof(line), "show --ike %s --socket %s",
			 at ? args : calls[i].args, path);
		pid = fake_daemon(path, calls[i].cmd, calls[i].answer);
		run(&r, line);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		if (r.code != calls[i].code || strcmp(r.err, calls[i].err) ||
		    (at ? !strstr(r.out, calls[i].out) : strcmp(r.out, calls[i].out)))
			fail_msg("xfrmsync %s: exit code %d, out \"%s\", err \"%s\"",
				 line, r.code, r.out, r.err);
	}
	for (i = 0; i < 2; i++) {
		snprintf(line, sizeof(line), "%s/%s", dir, tables[i]);
		f = fopen(line, "r");
		assert_non_null(f);
		assert_int_equal(fstat(fileno(f), &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		len = fread(args, 1, sizeof(args) - 1, f);
		args[len] = '\0';
		assert_string_equal(args, have[i]);
		fclose(f);
		unlink(line);
	}
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

/* What could not be written is a failure. */
static void test_full(void **state)
{
	const char *tool = getenv("XFRMSYNC");
	char cmd[512];

	(void)state;
	assert_non_null(tool);
	snprintf(cmd, sizeof(cmd), "'%s' --help >/dev/full 2>/dev/null", tool);
	assert_int_equal(WEXITSTATUS(system(cmd)), 1);
}

/* The verb that keepalived's state stands for, and that its exit code is kept. */
static void test_notify(void **state)
{
	static const struct {
		const char *args;
		int code;	/* of the fake tool: 10 takeover, 11 standby */
	} calls[] = {
		{ "INSTANCE outside MASTER 100", 10 },
		{ "GROUP gateway MASTER", 10 },
		{ "INSTANCE outside MASTER_RX_LOWER_PRI", 10 },
		{ "GROUP gateway BACKUP 0", 11 },
		{ "INSTANCE outside FAULT 0", 11 },
		{ "INSTANCE outside STOP", 11 },
		{ "INSTANCE outside NONSENSE", 2 },
		{ "", 2 },
	};
	char fake[] = "/tmp/xfrmsync-fake-XXXXXX", cmd[512];
	static const char text[] =
		"#!/bin/sh\ncase $1 in takeover) exit 10;; standby) exit 11;; esac\n";
	int fd = mkstemp(fake);
	size_t i;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(fchmod(fd, 0700), 0);
	close(fd);
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		snprintf(cmd, sizeof(cmd), "XFRMSYNC=%s systemd/xfrmsync-keepalived-notify %s 2>/dev/null",
			 fake, calls[i].args);
		assert_int_equal(WEXITSTATUS(system(cmd)), calls[i].code);
	}
	unlink(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_show_ike),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_notify),
	};

	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
