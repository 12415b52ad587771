// SPDX-License-Identifier: GPL-2.0
/*
 * In: sessions of the tool that need no module; the calls of libc that fail in them.
 * Out: TAP, a result for each session and kind of failure, each one by one.
 * Built with ASan, UBSan and LeakSanitizer; runs as root, in a folder of its own.
 *
 * A session ends as it would have (exit code, output, files), or with exit code 1 and a
 * line that says why; the files are then as they were before it, or as they should be
 * after it. No crash, no leak.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <sanitizer/lsan_interface.h>
#include <sodium.h>

#include "buf.h"
#include "cmd.h"
#include "conf.h"
#include "context_file.h"
#include "inject.h"
#include "json_memory.h"
#include "link.h"
#include "owned.h"
#include "record.h"
#include "secret.h"
#include "state.h"
#include <linux/xfrmsync.h>

#define SESSION_SECONDS 30
#define EXIT_LEAK 98
#define EXIT_OPEN 96
#define SAS 4

/* Where a session stands; what another time may come out of it is not asked for. */
#define NEEDS_MEMORY (1 << INJECT_MEMORY)
#define NEEDS_DISK (1 << INJECT_DISK)
#define STREAMS (1 << INJECT_SHORT | 1 << INJECT_EINTR)
#define SOCKETS (1 << INJECT_FULL)

static const struct secret key = { .key = { 1, 2, 3 }, .len = 32 };

static int say(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, strerror(err < 0 ? -err : err));
	return 1;
}

/* ---- sessions ---- */

static struct buf vector(const char *hex)
{
	uint8_t bytes[256];
	struct buf b = {};
	char line[512];
	size_t len;
	FILE *f = fopen(hex, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!sodium_hex2bin(bytes, sizeof(bytes), line, strcspn(line, "#\n"),
				    " \t", &len, NULL))
			buf_put(&b, bytes, len);
	if (!f || b.bad)
		exit(3);
	fclose(f);
	return b;
}

static struct buf sa, policy;

static int save_file(const char *path, uint64_t number)
{
	struct context_file f = { .saved_at = 1000000, .node = "gw-a" };
	struct record rec = { .oseq = number, .seq = 7, .bmp_words = 1, .bmp = { 9 } };
	int ret, i;

	context_file_begin(&f);
	for (i = 0; i < SAS; i++)
		context_file_put_sa(&f, &rec, number, CONTEXT_ENTRY_STOPPED, sa.data, sa.len);
	context_file_put_policy(&f, policy.data, policy.len);
	ret = context_file_write(&f, path, &key);
	context_file_free(&f);
	return ret;
}

static int session_save(void)
{
	int ret = save_file("sas", 2);

	return ret ? say("sas", ret) : 0;
}

static struct state state_of(uint64_t epoch)
{
	struct state s = {
		.epoch = epoch, .node = 1, .role = XFRMSYNC_ROLE_STANDBY, .life = 5,
		.handed = "gw-b", .outdated = true, .n_members = 3, .orphans = 77,
	};
	int i;

	for (i = 0; i < 3; i++)
		memset(s.member[i], 'a' + i, 60);
	return s;
}

static int session_state(void)
{
	struct state s = state_of(2);
	int ret = state_store("state", &s);

	return ret ? say("state", ret) : 0;
}

static int session_state_load(void)
{
	struct state s;
	int ret = state_load("state", &s);

	if (ret)
		return say("state", ret);
	printf("%llu %s %zu\n", (unsigned long long)s.epoch, s.handed, s.n_members);
	return 0;
}

/* Only what is said makes up for what is not noted; it logs that, and goes on. */
static int session_owned(void)
{
	struct owned o;

	owned_load(&o, "run/control");
	owned_add(&o, (const uint8_t *)"c", 1);
	owned_del(&o, (const uint8_t *)"a", 1);
	owned_add(&o, (const uint8_t *)"d", 1);
	owned_write(&o);
	printf("%d\n", owned_has(&o, (const uint8_t *)"c", 1));
	owned_free(&o);
	return 0;
}

static int session_conf(void)
{
	static struct conf c;
	char err[512];
	int ret = conf_load(&c, "conf", err, sizeof(err));

	if (ret)
		fprintf(stderr, "%s\n", err);
	else
		printf("%s %u %zu %s\n", c.node_name, c.listen_port, c.n_peers,
		       c.peer[0].name);
	return ret ? 1 : 0;
}

static int session_key(void)
{
	struct secret s;
	char err[512];
	size_t i;

	if (secret_read("key", &s, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	for (i = 0; i < s.len; i++)
		printf("%02x", s.key[i]);
	puts("");
	return 0;
}

static int verb(int (*main)(int argc, char **argv), ...)
{
	char *argv[10] = {};
	va_list ap;
	int argc = 0, ret;

	va_start(ap, main);
	while (argc < 9 && (argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	optind = 0;
	ret = main(argc, argv);
	return cmd_finish(ret);
}

static int session_show(void)
{
	return verb(cmd_show_main, "show", "-c", "conf", "--context", "--file", "sas", NULL);
}

static int session_show_json(void)
{
	return verb(cmd_show_main, "show", "-j", "-c", "conf", "--context", "--file", "sas", NULL);
}

static int session_run(void)
{
	return verb(cmd_run_main, "run", "-c", "conf", NULL);
}

static int session_status(void)
{
	return verb(cmd_status_main, "status", "-c", "conf", NULL);
}

static int session_status_json(void)
{
	return verb(cmd_status_main, "status", "-j", "-c", "conf", NULL);
}

/* ---- a link ---- */

struct end {
	struct loop *loop;
	struct link *link;
	size_t sent, got;
	bool down;
	char why[200];
};

#define FRAMES 40

static void end_fill(struct link *l)
{
	static const uint8_t zeros[3000];
	struct end *e = l->data;
	size_t at;

	if (e->sent == FRAMES || l->out.len)
		return;
	at = wire_begin(&l->out, WIRE_PING, 1, 1);
	buf_put(&l->out, zeros, sizeof(zeros));
	wire_end(&l->out, at);
	e->sent++;
}

static void end_up(struct link *l)
{
	link_kick(l);
}

static bool end_frame(struct link *l, const struct wire_header *h, struct rd *r)
{
	struct end *e = l->data;

	(void)h;
	(void)r;
	e->got++;
	return true;
}

static void end_idle(struct link *l)
{
	link_kick(l);
}

static void end_down(struct link *l, const char *why)
{
	struct end *e = l->data;

	e->down = true;
	e->link = NULL;
	snprintf(e->why, sizeof(e->why), "%s", why);
}

static const struct link_ops ops = {
	.up = end_up, .frame = end_frame, .fill = end_fill, .idle = end_idle,
	.down = end_down,
};

struct watch {
	struct loop *loop;
	struct end *a, *b;
};

static void look(struct loop_timer *t)
{
	struct watch *w = t->data;
	bool done = w->a->got == FRAMES && w->b->got == FRAMES;

	if (done || w->a->down || w->b->down)
		w->loop->stop = true;
	else
		loop_timer_set(w->loop, t, LOOP_MS);
}

static int meet(struct loop *loop, struct link_tls *tls, const struct conf *c)
{
	struct end a = {}, b = {};
	struct watch w = { loop, &a, &b };
	struct loop_timer t = { .cb = look, .data = &w };
	int fd[2], ret = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd))
		return say("socketpair", errno);
	a.link = link_new(loop, tls, c, fd[0], true, "a", &ops, &a);
	b.link = link_new(loop, tls, c, fd[1], false, "b", &ops, &b);
	if (a.link && b.link) {
		loop_timer_set(loop, &t, LOOP_MS);
		ret = loop_run(loop);
		loop_timer_forget(loop, &t);
	}
	if (a.link)
		link_close(a.link);
	if (b.link)
		link_close(b.link);
	if (ret)
		return say("loop", ret);
	if (a.got == FRAMES && b.got == FRAMES)
		return 0;
	fprintf(stderr, "link: %s%s\n", a.why, b.why);
	return 1;
}

static int session_link(void)
{
	static struct conf c = { .dead_ms = 20000, .tls_psk_file = "key" };
	struct link_tls tls;
	struct loop loop;
	char err[400];
	int ret;

	ret = loop_init(&loop);
	if (ret)
		return say("loop", ret);
	if (link_tls_init(&tls, &c, err, sizeof(err))) {
		fprintf(stderr, "%s\n", err);
		ret = 1;
	} else {
		ret = meet(&loop, &tls, &c);
		link_tls_exit(&tls);
	}
	loop_exit(&loop);
	return ret;
}

/* ---- what stands on disk ---- */

static bool same_state(uint64_t epoch)
{
	struct state s, is = state_of(epoch);

	return !state_load("state", &s) && !memcmp(s.member, is.member, sizeof(s.member)) &&
	       s.epoch == epoch && s.n_members == is.n_members && s.outdated &&
	       s.orphans == is.orphans && !strcmp(s.handed, is.handed);
}

static bool sas_of(uint64_t number)
{
	struct context_entry e;
	struct context_file f;
	struct rd r = {};
	char err[300];
	bool same;

	if (context_file_read(&f, "sas", &key, false, err, sizeof(err)))
		return false;
	same = f.sas == SAS && f.policies == 1 && context_file_next(&f, &r, 0, &e) == 1 &&
	       e.rec.oseq == number;
	context_file_free(&f);
	return same;
}

static bool has(const char *what)
{
	struct owned o;
	bool ret = true;

	owned_load(&o, "run/control");
	for (; *what && ret; what += 2)
		ret = owned_has(&o, (const uint8_t *)what + 1, 1) == (*what == '+');
	owned_free(&o);
	return ret;
}

static void before(void)
{
	struct state s = state_of(1);
	struct owned o;

	if (save_file("sas", 1) || state_store("state", &s))
		exit(3);
	unlink("run/policies");
	owned_load(&o, "run/control");
	owned_add(&o, (const uint8_t *)"a", 1);
	owned_add(&o, (const uint8_t *)"b", 1);
	owned_free(&o);
}

/* What is noted together with one that fails may be gone with it, no more. */
static bool has_all_but_one_note(void)
{
	return has("-a+b+c-d") || has("-a+b-c+d") || has("+a+b+c+d") || has("+a+b-c+d");
}

/* NULL, or what is wrong. ok: the session said that it did it. */
static const char *after(int (*session)(void), bool ok, bool said)
{
	if (session == session_save ? !sas_of(2) && (ok || !sas_of(1)) : !sas_of(1))
		return "the file of SAs is damaged";
	if (session == session_state ? !same_state(2) && (ok || !same_state(1)) : !same_state(1))
		return "the state is damaged";
	if (session != session_owned && !has("+a+b-c"))
		return "the policies' list is damaged";
	if (session == session_owned && !has("-a+b+c+d") && !(said && has_all_but_one_note()))
		return "the policies' list is damaged, or lacks one and nobody said so";
	return NULL;
}

/* ---- one by one ---- */

static const struct session {
	const char *name;
	int (*fn)(void);
	unsigned int kinds;
	int exit_code;
	bool changes;			/* the files */
} sessions[] = {
	{ "configuration", session_conf, NEEDS_MEMORY, 0, false },
	{ "key file", session_key, STREAMS, 0, false },
	{ "save", session_save, NEEDS_MEMORY | NEEDS_DISK | STREAMS, 0, true },
	{ "store the state", session_state, NEEDS_MEMORY | NEEDS_DISK | STREAMS, 0, true },
	{ "load the state", session_state_load, NEEDS_MEMORY, 0, false },
	{ "note policies", session_owned, NEEDS_MEMORY | NEEDS_DISK | STREAMS, 0, true },
	{ "show a file", session_show, NEEDS_MEMORY | STREAMS, 0, false },
	{ "show a file, --json", session_show_json, NEEDS_MEMORY | STREAMS, 0, false },
	{ "status", session_status, NEEDS_MEMORY | STREAMS, 0, false },
	{ "status --json", session_status_json, NEEDS_MEMORY | STREAMS, 0, false },
	{ "link", session_link, NEEDS_MEMORY | STREAMS | SOCKETS, 0, false },
	{ "run, without the module", session_run, NEEDS_MEMORY | NEEDS_DISK | STREAMS, 1, true },
};

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "exitcode=97:detect_leaks=1:leak_check_at_exit=0:allocator_may_return_null=1";
}

static size_t slurp(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = 0;
	return n;
}

static size_t n_open(void)
{
	size_t n = 0;
	int fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The child's exit status; how many calls there were. */
static int run(const struct session *s, enum inject kind, unsigned long nth,
	       unsigned long *count)
{
	int fd[2], status, ret;
	size_t open;
	pid_t pid;

	if (s->changes || nth <= 1)
		before();
	fflush(stdout);
	if (pipe2(fd, O_CLOEXEC))
		exit(3);
	pid = fork();
	if (!pid) {
		alarm(SESSION_SECONDS);
		if (!freopen("out", "we", stdout) || !freopen("err", "we", stderr))
			_exit(3);
		setvbuf(stderr, NULL, _IONBF, 0);
		open = n_open();
		inject_start(kind, nth);
		ret = s->fn();
		*count = inject_stop();
		if (n_open() > open)
			_exit(EXIT_OPEN);
		fflush(stdout);
		if (write(fd[1], count, sizeof(*count)) < 0)
			_exit(3);
		if (__lsan_do_recoverable_leak_check())
			_exit(EXIT_LEAK);
		_exit(ret);
	}
	close(fd[1]);
	if (read(fd[0], count, sizeof(*count)) != sizeof(*count))
		*count = 0;
	close(fd[0]);
	waitpid(pid, &status, 0);
	return status;
}

/* A short read, a signal or a full socket are no failure: all is as if they were not. */
static bool may_fail(enum inject kind)
{
	return kind == INJECT_MEMORY || kind == INJECT_DISK;
}

static const char *judge(const struct session *s, enum inject kind, int status,
			 const char *expected)
{
	static char text[1 << 20], err[1 << 16];
	bool said;

	said = slurp("err", err, sizeof(err)) > 1;
	slurp("out", text, sizeof(text));
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGALRM ? "hangs" : "is killed";
	if (WEXITSTATUS(status) == EXIT_LEAK)
		return "leaks";
	if (WEXITSTATUS(status) == EXIT_OPEN)
		return "leaves a file open";
	if (WEXITSTATUS(status) > 1)
		return "crashes";
	if (WEXITSTATUS(status) && !said)
		return "fails without a word";
	if (!WEXITSTATUS(status) && s->exit_code)
		return "works, where it cannot";
	if (WEXITSTATUS(status) != s->exit_code && !may_fail(kind))
		return "fails";
	if (!WEXITSTATUS(status) && strcmp(text, expected) && !(said && may_fail(kind)))
		return "prints something else";
	return after(s->fn, !WEXITSTATUS(status), said);
}

static void tell(const char *file)
{
	static char text[4000];
	char *line;

	slurp(file, text, sizeof(text));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		printf("#   %.150s\n", line);
}

static bool all(const struct session *s, enum inject kind, unsigned long most)
{
	static char expected[1 << 20];
	unsigned long total, n, tried = 0, step, none;
	int status = run(s, kind, 0, &total), bad = 0;
	const char *why;

	slurp("out", expected, sizeof(expected));
	why = judge(s, INJECT_SHORT, status, expected);
	if (why) {
		printf("# %s, nothing fails: %s\n", s->name, why);
		tell("err");
		return false;
	}
	step = most && total > most ? (total + most - 1) / most : 1;
	for (n = 1; n <= total; n += step, tried++) {
		status = run(s, kind, n, &none);
		why = judge(s, kind, status, expected);
		if (!why)
			continue;
		if (++bad <= 5) {
			printf("# %s, %s, call %lu of %lu: %s\n", s->name,
			       inject_name[kind], n, total, why);
			tell("err");
		}
	}
	printf("# %s, %s: %lu of %lu calls, %d bad\n", s->name, inject_name[kind], tried,
	       total, bad);
	return !bad;
}

/* A daemon's place: one question, one answer, again and again. */
static pid_t serve(void)
{
	static const char answer[] =
		"{\"done\":true,\"role\":\"active\",\"epoch\":3,\"ready\":false,\"capture\":\"ftrace\","
		"\"sas\":2,\"node\":\"gw-a\",\"reasons\":[\"no snapshot of an active was complete yet\"],"
		"\"peers\":[{\"name\":\"gw-b\",\"state\":\"synced\",\"role\":\"standby\",\"address\":\"192.0.2.2\","
		"\"lag_packets\":0,\"lag_ms\":1}],\"losses\":{\"overruns\":1}}\n";
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "run/control" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), one;
	char line[1000];
	pid_t pid;

	if (fd < 0 || bind(fd, (void *)&sun, sizeof(sun)) || listen(fd, 5))
		exit(3);
	pid = fork();
	if (pid) {
		close(fd);
		return pid;
	}
	while ((one = accept(fd, NULL, NULL)) >= 0) {
		ssize_t n;

		do
			n = recv(one, line, sizeof(line), 0);
		while (n > 0 && !memchr(line, '\n', n));
		if (n > 0)
			send(one, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
		close(one);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	unsigned long most = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	const char *only = argc > 4 ? argv[4] : "";
	size_t i, results = 0;
	bool failed = false;
	pid_t server;
	int kind;

	if (argc < 4 || sodium_init() < 0) {
		fprintf(stderr, "usage: faults SA.hex POLICY.hex MOST [SESSION], in an empty folder\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	json_memory_init();
	sa = vector(argv[1]);
	policy = vector(argv[2]);
	server = serve();
	for (i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
		for (kind = 1; kind < INJECT_KINDS; kind++) {
			if (!(sessions[i].kinds & 1 << kind) ||
			    strncmp(sessions[i].name, only, strlen(only)))
				continue;
			if (!all(&sessions[i], kind, most)) {
				failed = true;
				printf("not ");
			}
			printf("ok %zu - %s: %s\n", ++results, sessions[i].name,
			       inject_name[kind]);
			fflush(stdout);
		}
	}
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	buf_free(&sa);
	buf_free(&policy);
	printf("1..%zu\n", results);
	return failed;
}
