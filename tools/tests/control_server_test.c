// SPDX-License-Identifier: GPL-2.0
/*
 * In: bytes of a client on the control socket, and memory that ends.
 * Out: what it is answered, or that it is not heard any more.
 * Host only; root's, as the socket is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"
#include "rounds.h"

static struct daemon *d;
static char dir[] = "/tmp/control_server_test.XXXXXX";
static int client;

static size_t too_much = SIZE_MAX;	/* bytes at once */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return size < too_much ? __real_malloc(size) : NULL;
}

static void says(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Bytes; 0: it is not heard any more. */
static ssize_t answer(char *text, size_t room)
{
	ssize_t n = -1;
	int i;

	for (i = 0; i < ROUNDS && n < 0; i++) {
		one_round(&d->loop);
		n = recv(client, text, room - 1, MSG_DONTWAIT);
	}
	assert_true(n >= 0);
	text[n] = '\0';
	return n;
}

static int set_up(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	(void)state;
	d = calloc(1, sizeof(*d));
	assert_non_null(d);
	assert_int_equal(loop_init(&d->loop), 0);
	snprintf(d->conf.socket, sizeof(d->conf.socket), "%s/sock", dir);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/sock", dir);
	assert_int_equal(control_server_init(d), 0);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (void *)&sun, sizeof(sun)), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	control_server_exit(d);
	loop_exit(&d->loop);
	close(client);
	free(d);
	return 0;
}

static void test_answers(void **state)
{
	char text[256];

	(void)state;
	says("{\"cmd\":");
	says("\"none\"}\n");
	assert_true(answer(text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "unknown command"));
	says("{\"cmd\":\"ike_entries\"}\n");
	assert_true(answer(text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "no [ike]"));
}

/* The rest of it would be taken for another one. */
static void test_no_memory(void **state)
{
	char text[256], spaces[1000];

	(void)state;
	memset(spaces, ' ', sizeof(spaces) - 1);
	spaces[sizeof(spaces) - 1] = '\0';
	too_much = 512;
	says(spaces);
	assert_int_equal(answer(text, sizeof(text)), 0);
	too_much = SIZE_MAX;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
	};
	int ret;

	if (geteuid()) {
		printf("control_server: skipped: not root\n");
		return 0;
	}
	if (!mkdtemp(dir))
		return 1;
	ret = cmocka_run_group_tests_name("control_server", tests, NULL, NULL);
	rmdir(dir);
	return ret;
}
