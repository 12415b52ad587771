// SPDX-License-Identifier: GPL-2.0
/*
 * In: files that hold keys.
 * Out: the keys; a process that keeps them to itself.
 * Any process of the tool.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "secret.h"

/* Hex, where all of it is hex; else the bytes as they stand. */
static int decode(const uint8_t *raw, size_t len, struct secret *s)
{
	const char *end = NULL;
	size_t n = len;

	while (n && isspace(raw[n - 1]))
		n--;
	if (n >= 2 * SECRET_MIN && n % 2 == 0 &&
	    !sodium_hex2bin(s->key, sizeof(s->key), (const char *)raw, n, NULL,
			    &s->len, &end) && end == (const char *)raw + n)
		return 0;
	if (len < SECRET_MIN || len > SECRET_MAX)
		return -1;
	memcpy(s->key, raw, len);
	s->len = len;
	return 0;
}

static const char *why_not(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	if (st.st_uid)
		return "does not belong to root: chown root";
	if (st.st_mode & 077)
		return "may be read by others than root: chmod 600";
	return NULL;
}

int secret_open(const char *file, char *err, size_t errlen)
{
	const char *why;
	int fd;

	fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		why = why_not(fd);
	else if (errno == ELOOP)
		why = SECRET_IS_LINK;
	else
		why = strerror(errno);
	if (!why)
		return fd;
	snprintf(err, errlen, "%s: %s", file, why);
	if (fd >= 0)
		close(fd);
	return -1;
}

ssize_t secret_read_all(int fd, uint8_t *p, size_t len)
{
	size_t got = 0;
	ssize_t n;

	while (got < len && (n = read(fd, p + got, len - got)) != 0) {
		if (n > 0)
			got += n;
		else if (errno != EINTR)
			return -1;
	}
	return got;
}

int secret_read(const char *file, struct secret *s, char *err, size_t errlen)
{
	uint8_t raw[4 * SECRET_MAX];
	const char *why = "not a key of 32 to 64 bytes, raw or in hex";
	ssize_t len;
	int fd, ret;

	memset(s, 0, sizeof(*s));
	fd = secret_open(file, err, errlen);
	if (fd < 0)
		return -1;
	len = secret_read_all(fd, raw, sizeof(raw));
	if (len < 0)
		why = strerror(errno);
	close(fd);
	ret = len < 0 ? -1 : decode(raw, len, s);
	sodium_memzero(raw, sizeof(raw));
	if (ret)
		snprintf(err, errlen, "%s: %s", file, why);
	return ret;
}

int secret_protect(void)
{
	struct rlimit none = {};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	umask(0077);
	return mlockall(MCL_CURRENT | MCL_FUTURE) ? -errno : 0;
}
