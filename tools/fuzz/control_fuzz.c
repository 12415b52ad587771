// SPDX-License-Identifier: GPL-2.0
/*
 * In: what stands on the control socket, up to its end.
 * Out: objects, one a line; those that are records, printed as show and monitor do.
 * libFuzzer's harness: the control socket's reader.
 */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "fuzz.h"
#include "print.h"

#define MOST 65536	/* fits into the socket: nobody reads while it is filled */

static FILE *nowhere;

static void show(const json_t *o)
{
	struct print p = { .out = nowhere, .colour = true, .now = 1700000000 };
	struct timespec at = { .tv_sec = 1700000000 };
	struct record r;

	if (record_from_json(o, &r))
		return;
	print_table(&p, &r, 1);
	print_details(&p, &r);
	print_line(&p, &r, &at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *o;
	int fd[2];

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	if (size > MOST)
		return 0;
	assert(nowhere && !socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	assert(send(fd[1], data, size, MSG_DONTWAIT) == (ssize_t)size);
	close(fd[1]);
	do {
		o = control_recv(fd[0], 1000);
		if (o)
			show(o);
		json_decref(o);
	} while (o || errno == EBADMSG);
	assert(errno == ENODATA);
	close(fd[0]);
	return 0;
}
