// SPDX-License-Identifier: GPL-2.0
/*
 * In: two ends of a socket, with credentials that fit, or do not.
 * Out: frames where they fit; one reason, and no frame, where they do not.
 * Host only; makes its certificates by the openssl command.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "link.h"

#define TIME_LIMIT (20000 * LOOP_MS)

static char dir[] = "/tmp/xfrmsync-link-XXXXXX";

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *fmt, ...)
{
	char cmd[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	assert_int_equal(system(cmd), 0);
}

static void make_ca(const char *ca)
{
	run("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key -out %s.crt -subj /CN=%s -days 30 2>/dev/null",
	    dir, ca, ca, ca);
}

static void make_cert(const char *ca, const char *file, const char *cn)
{
	run("cd %s && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key -out %s.csr -subj /CN=%s 2>/dev/null && openssl x509 -req -in %s.csr -CA %s.crt -CAkey %s.key -CAcreateserial -days 30 -out %s.crt 2>/dev/null",
	    dir, file, file, cn, file, ca, ca, file);
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);	/* as the daemon does */
	if (!mkdtemp(dir))
		return -1;
	make_ca("ca");
	make_ca("other-ca");
	make_cert("ca", "a", "gw-a");
	make_cert("ca", "b", "gw-b");
	make_cert("ca", "stranger", "gw-x");
	make_cert("other-ca", "forged", "gw-b");
	run("cd %s && printf %%064d 1 >psk1 && printf %%064d 2 >psk2 && chmod 600 psk1 psk2", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	run("rm -rf %s", dir);
	return 0;
}

/* One end. */
struct end {
	struct loop *loop;
	struct link *link;
	struct link_tls tls;
	struct conf conf;
	bool up, down;
	int frames;
	uint8_t last_type;
	char why[200];
};

static void end_up(struct link *l)
{
	struct end *e = l->data;
	size_t at = wire_begin(&l->out, WIRE_PING, 1, 1);

	e->up = true;
	wire_end(&l->out, at);
}

static bool end_frame(struct link *l, const struct wire_header *h, struct rd *r)
{
	struct end *e = l->data;

	(void)r;
	e->frames++;
	e->last_type = h->type;
	return true;
}

static void end_nothing(struct link *l)
{
	(void)l;
}

static void end_down(struct link *l, const char *why)
{
	struct end *e = l->data;

	e->down = true;
	e->link = NULL;
	snprintf(e->why, sizeof(e->why), "%s", why);
}

static const struct link_ops ops = {
	.up = end_up, .frame = end_frame, .fill = end_nothing,
	.idle = end_nothing, .down = end_down,
};

static void credentials(struct end *e, const char *ca, const char *cert,
			const char *psk)
{
	char err[300];

	memset(e, 0, sizeof(*e));
	e->conf.dead_ms = 1500;
	e->conf.n_peers = 2;
	strcpy(e->conf.peer[0].name, "gw-a");
	strcpy(e->conf.peer[1].name, "gw-b");
	if (psk) {
		snprintf(e->conf.tls_psk_file, 256, "%s/%s", dir, psk);
	} else {
		snprintf(e->conf.tls_ca, 256, "%s/%s.crt", dir, ca);
		snprintf(e->conf.tls_cert, 256, "%s/%s.crt", dir, cert);
		snprintf(e->conf.tls_key, 256, "%s/%s.key", dir, cert);
	}
	assert_int_equal(link_tls_init(&e->tls, &e->conf, err, sizeof(err)), 0);
}

static void nonblock(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

struct watchdog {
	struct loop *loop;
	struct end *a, *b;
	uint64_t until;
};

/* Ends the loop when both got a frame, or both are down, or time is up. */
static void look(struct loop_timer *t)
{
	struct watchdog *w = t->data;
	bool done_a = !w->a || w->a->down || w->a->frames;
	bool done_b = !w->b || w->b->down || w->b->frames;

	if ((done_a && done_b) || loop_now_ns() > w->until) {
		w->loop->stop = true;
		return;
	}
	loop_timer_set(w->loop, t, LOOP_MS);
}

static void drive(struct loop *loop, struct end *a, struct end *b)
{
	struct watchdog w = {
		.loop = loop, .a = a, .b = b,
		.until = loop_now_ns() + TIME_LIMIT,
	};
	struct loop_timer t = { .cb = look, .data = &w };

	loop->stop = false;
	loop_timer_set(loop, &t, LOOP_MS);
	assert_int_equal(loop_run(loop), 0);
	loop_timer_forget(loop, &t);
}

static void meet(struct end *a, struct end *b)
{
	struct loop loop;
	int fd[2];

	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	nonblock(fd[0]);
	nonblock(fd[1]);
	a->link = link_new(&loop, &a->tls, &a->conf, fd[0], true, "a", &ops, a);
	b->link = link_new(&loop, &b->tls, &b->conf, fd[1], false, "b", &ops, b);
	drive(&loop, a, b);
	/* After the frames, what TLS 1.3 tells late: the client was refused. */
	if (!a->down && b->down)
		drive(&loop, a, NULL);
	if (a->link)
		link_close(a->link);
	if (b->link)
		link_close(b->link);
	loop_exit(&loop);
	link_tls_exit(&a->tls);
	link_tls_exit(&b->tls);
}

static void test_certificates(void **state)
{
	struct end a, b;

	(void)state;
	credentials(&a, "ca", "a", NULL);
	credentials(&b, "ca", "b", NULL);
	meet(&a, &b);
	assert_true(a.up && b.up && !a.down && !b.down);
	assert_int_equal(a.frames, 1);
	assert_int_equal(b.frames, 1);
	assert_int_equal(b.last_type, WIRE_PING);
}

static void test_wrong_ca(void **state)
{
	struct end a, b;

	(void)state;
	credentials(&a, "ca", "a", NULL);
	credentials(&b, "other-ca", "forged", NULL);
	meet(&a, &b);
	assert_true(a.down && b.down);
	assert_int_equal(a.frames + b.frames, 0);
	assert_non_null(strstr(a.why, "certificate is refused"));
}

static void test_forged_client(void **state)
{
	struct end a, b;

	(void)state;
	/* It trusts our CA, but its own certificate is of another. */
	credentials(&a, "ca", "forged", NULL);
	credentials(&b, "ca", "b", NULL);
	meet(&a, &b);
	assert_true(b.down);
	assert_int_equal(b.frames, 0);
	assert_non_null(strstr(b.why, "certificate is refused"));
}

static void test_wrong_name(void **state)
{
	struct end a, b;

	(void)state;
	credentials(&a, "ca", "a", NULL);
	credentials(&b, "ca", "stranger", NULL);
	meet(&a, &b);
	assert_true(a.down);
	assert_int_equal(a.frames, 0);
	assert_non_null(strstr(a.why, "names no configured peer"));
}

static void test_psk(void **state)
{
	struct end a, b;

	(void)state;
	credentials(&a, NULL, NULL, "psk1");
	credentials(&b, NULL, NULL, "psk1");
	meet(&a, &b);
	assert_true(a.up && b.up && !a.down && !b.down);
	assert_int_equal(a.frames, 1);
	assert_int_equal(b.frames, 1);
}

static void test_wrong_psk(void **state)
{
	struct end a, b;

	(void)state;
	credentials(&a, NULL, NULL, "psk1");
	credentials(&b, NULL, NULL, "psk2");
	meet(&a, &b);
	assert_true(a.down && b.down);
	assert_false(a.up || b.up);
	assert_int_equal(a.frames + b.frames, 0);
}

/* A server with any certificate must not satisfy a client that has a PSK. */
static void test_psk_against_certificate(void **state)
{
	struct end a, b;

	(void)state;
	credentials(&a, NULL, NULL, "psk1");
	credentials(&b, "ca", "b", NULL);
	meet(&a, &b);
	assert_true(a.down && b.down);
	assert_int_equal(a.frames + b.frames, 0);
}

static void test_plain_tcp(void **state)
{
	static const char hello[] = "GET / HTTP/1.0\r\n\r\n";
	struct loop loop;
	struct end b;
	int fd[2];

	(void)state;
	credentials(&b, "ca", "b", NULL);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	nonblock(fd[1]);
	b.link = link_new(&loop, &b.tls, &b.conf, fd[1], false, "b", &ops, &b);
	assert_int_equal(write(fd[0], hello, sizeof(hello)), sizeof(hello));
	drive(&loop, NULL, &b);
	assert_true(b.down && !b.up);
	assert_non_null(strstr(b.why, "does not speak TLS"));
	close(fd[0]);
	loop_exit(&loop);
	link_tls_exit(&b.tls);
}

static void test_silent(void **state)
{
	struct loop loop;
	struct end b;
	int fd[2];

	(void)state;
	credentials(&b, "ca", "b", NULL);
	b.conf.dead_ms = 50;
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	nonblock(fd[1]);
	b.link = link_new(&loop, &b.tls, &b.conf, fd[1], false, "b", &ops, &b);
	drive(&loop, NULL, &b);
	assert_true(b.down);
	assert_non_null(strstr(b.why, "in time"));
	close(fd[0]);
	loop_exit(&loop);
	link_tls_exit(&b.tls);
}

static void up_other_version(struct link *l)
{
	size_t at = wire_begin(&l->out, WIRE_HELLO, 1, 1);

	wire_end(&l->out, at);
	l->out.data[at + 2] = WIRE_VERSION + 1;
}

static const struct link_ops other_version = {
	.up = up_other_version, .frame = end_frame, .fill = end_nothing,
	.idle = end_nothing, .down = end_down,
};

static void test_version(void **state)
{
	struct loop loop;
	struct end a, b;
	int fd[2];

	(void)state;
	credentials(&a, "ca", "a", NULL);
	credentials(&b, "ca", "b", NULL);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	nonblock(fd[0]);
	nonblock(fd[1]);
	a.link = link_new(&loop, &a.tls, &a.conf, fd[0], true, "a",
			  &other_version, &a);
	b.link = link_new(&loop, &b.tls, &b.conf, fd[1], false, "b", &ops, &b);
	drive(&loop, &a, &b);
	assert_true(b.down);
	assert_int_equal(b.frames, 0);
	assert_non_null(strstr(b.why, "protocol version 2, we speak 1"));
	if (a.link)
		link_close(a.link);
	loop_exit(&loop);
	link_tls_exit(&a.tls);
	link_tls_exit(&b.tls);
}

/* A frame that is never whole, byte by byte, for as long as it is listened to. */
static void drip_due(struct loop_timer *t)
{
	static uint8_t byte;

	struct end *a = t->data;

	if (!a->link)
		return;
	if (a->up) {
		buf_put(&a->link->out, &byte, 1);
		link_kick(a->link);
	}
	loop_timer_set(a->loop, t, 20 * LOOP_MS);
}

static void up_half(struct link *l)
{
	struct end *e = l->data;
	size_t at = wire_begin(&l->out, WIRE_HELLO, 1, 1);

	e->up = true;
	buf_set_u32(&l->out, at + 4, WIRE_MAX_PAYLOAD);
}

static const struct link_ops half = {
	.up = up_half, .frame = end_frame, .fill = end_nothing,
	.idle = end_nothing, .down = end_down,
};

static void test_never_whole(void **state)
{
	struct loop_timer drip = { .cb = drip_due };
	uint64_t start = loop_now_ns();
	struct loop loop;
	struct end a, b;
	int fd[2];

	(void)state;
	credentials(&a, "ca", "a", NULL);
	credentials(&b, "ca", "b", NULL);
	a.conf.dead_ms = 60000;
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	nonblock(fd[0]);
	nonblock(fd[1]);
	a.loop = &loop;
	a.link = link_new(&loop, &a.tls, &a.conf, fd[0], true, "a", &half, &a);
	b.link = link_new(&loop, &b.tls, &b.conf, fd[1], false, "b", &ops, &b);
	drip.data = &a;
	loop_timer_set(&loop, &drip, LOOP_MS);
	drive(&loop, &a, &b);
	assert_true(a.up && b.up && b.down);
	assert_int_equal(b.frames, 0);
	assert_non_null(strstr(b.why, "silent for too long"));
	assert_true(loop_now_ns() - start < TIME_LIMIT);
	if (a.link)
		link_close(a.link);
	loop_timer_forget(&loop, &drip);
	loop_exit(&loop);
	link_tls_exit(&a.tls);
	link_tls_exit(&b.tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_wrong_ca),
		cmocka_unit_test(test_forged_client),
		cmocka_unit_test(test_wrong_name),
		cmocka_unit_test(test_psk),
		cmocka_unit_test(test_wrong_psk),
		cmocka_unit_test(test_psk_against_certificate),
		cmocka_unit_test(test_plain_tcp),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_never_whole),
	};

	return cmocka_run_group_tests_name("link", tests, setup, teardown);
}
