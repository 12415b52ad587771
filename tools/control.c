// SPDX-License-Identifier: GPL-2.0
/*
 * In: a path, JSON objects to send; bytes from the other side.
 * Out: a connected socket; whole JSON objects, one a line.
 * Blocking, with a deadline; holds no state beside the socket, so a line that
 * came in together with the next one stays in the socket's queue.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "buf.h"
#include "control.h"

#define CHUNK 16384
/* The longest line is a dry run's, with some 250 bytes for each SA, or twice as
 * many where it is not safe. More than this is not ours.
 */
#define MAX_LINE (64 << 20)

int control_connect(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int send_all(int fd, const char *buf, size_t len)
{
	ssize_t n;

	while (len) {
		n = send(fd, buf, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= n;
	}
	return 0;
}

int control_send(int fd, const json_t *req)
{
	char *text = json_dumps(req, JSON_COMPACT);
	size_t len;
	int err;

	if (!text)
		return -ENOMEM;
	/* The terminating zero gives its place to the newline: one send. */
	len = strlen(text);
	text[len] = '\n';
	err = send_all(fd, text, len + 1);
	free(text);
	return err;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* 0 when there is something to read, or -errno. */
static int wait_readable(int fd, long long deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long long left = -1;
	int n;

	do {
		if (deadline >= 0) {
			left = deadline - now_ms();
			if (left < 0)
				return -ETIMEDOUT;
		}
		n = poll(&p, 1, left);
	} while (n < 0 && errno == EINTR && deadline >= 0);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/*
 * What stands in the queue, up to the end of the line. 1: the line is whole,
 * 0: go on, -errno. Looking first leaves the next line where it is.
 */
static int take(int fd, struct buf *line)
{
	char chunk[CHUNK], *end;
	ssize_t n;

	if (line->len > MAX_LINE)
		return -EMSGSIZE;
	n = recv(fd, chunk, CHUNK, MSG_PEEK);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (!n)
		return -ENODATA;
	end = memchr(chunk, '\n', n);
	if (end)
		n = end - chunk + 1;
	n = recv(fd, chunk, n, 0);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	buf_put(line, chunk, n);
	sodium_memzero(chunk, n);
	if (line->bad)
		return -ENOMEM;
	return line->len && line->data[line->len - 1] == '\n';
}

json_t *control_recv(int fd, int timeout_ms)
{
	long long deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	struct buf l = {};	/* there are keys in some: wiped */
	json_t *obj = NULL;
	int ret;

	do {
		ret = wait_readable(fd, deadline);
		if (!ret)
			ret = take(fd, &l);
	} while (!ret);
	if (ret > 0) {
		obj = json_loadb((char *)l.data, l.len, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(obj)) {
			json_decref(obj);
			obj = NULL;
			ret = -EBADMSG;
		}
	}
	buf_free(&l);
	if (!obj)
		errno = -ret;
	return obj;
}
