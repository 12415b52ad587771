// SPDX-License-Identifier: GPL-2.0
/*
 * In: calls of libc, of the tool and of its libraries.
 * Out: the same, but for the one that shall fail.
 * Stands before libc and the sanitizer's own in the program that is linked with it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject.h"

const char *const inject_name[INJECT_KINDS] = {
	[INJECT_MEMORY] = "no memory",
	[INJECT_DISK] = "disk full",
	[INJECT_SHORT] = "short reads and writes",
	[INJECT_EINTR] = "signals",
	[INJECT_FULL] = "full sockets",
};

static enum inject kind;
static unsigned long nth, count;

void inject_start(enum inject what, unsigned long n)
{
	nth = n;
	count = 0;
	kind = what;
}

unsigned long inject_stop(void)
{
	kind = INJECT_NOTHING;
	return count;
}

/* OpenSSL's and the sanitizer's own memory is not what is tested. */
static bool is_others(const void *caller)
{
	static const char *const others[] = {
		"/libcrypto.", "/libssl.", "/libasan.", "/libubsan.", "/ld-linux",
	};
	enum inject before = kind;
	Dl_info info;
	size_t i;

	kind = INJECT_NOTHING;
	if (!dladdr(caller, &info) || !info.dli_fname)
		info.dli_fname = "";
	kind = before;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strstr(info.dli_fname, others[i]))
			return true;
	return false;
}

static bool fails(enum inject what)
{
	return kind == what && ++count == nth;
}

static bool no_memory(const void *caller)
{
	if (kind != INJECT_MEMORY || is_others(caller) || !fails(INJECT_MEMORY))
		return false;
	errno = ENOMEM;
	return true;
}

static bool is_kind(int fd, mode_t type)
{
	int err = errno;
	struct stat st;
	bool ret = !fstat(fd, &st) && (st.st_mode & S_IFMT) == type;

	errno = err;
	return ret;
}

/* At once, or, as another failure, after a part: more than a half of it, so that this is
 * not just what stands first in there.
 */
static bool is_full(size_t *len)
{
	static bool full_now;

	if (full_now || fails(INJECT_DISK)) {
		full_now = false;
		return (errno = ENOSPC);
	}
	if (*len > 1 && fails(INJECT_DISK)) {
		full_now = true;
		*len = *len / 2 + (*len > 2);
	}
	return false;
}

static bool refuses(int fd, size_t *len)
{
	if (kind == INJECT_DISK && is_kind(fd, S_IFREG) && is_full(len))
		return true;
	if (fails(INJECT_EINTR))
		return (errno = EINTR);
	if (kind == INJECT_FULL && is_kind(fd, S_IFSOCK) && fails(INJECT_FULL))
		return (errno = EAGAIN);
	if (kind == INJECT_SHORT && *len > 1 && fails(INJECT_SHORT))
		*len = 1;
	return false;
}

/* What is reached before it is known where libc's is: dlsym() itself allocates. */
#define REAL(name, ...)							\
	static __typeof__(name) *real;					\
	if (!real) {							\
		*(void **)&real = dlsym(RTLD_NEXT, #name);		\
		if (!real)						\
			abort();					\
	}								\
	return real(__VA_ARGS__)

void *malloc(size_t size)
{
	if (no_memory(__builtin_return_address(0)))
		return NULL;
	REAL(malloc, size);
}

void *calloc(size_t n, size_t size)
{
	static char early[4096];
	static size_t used;
	static bool within;
	static __typeof__(calloc) *real;
	void *p = NULL;

	if (no_memory(__builtin_return_address(0)))
		return NULL;
	if (!real && !within) {
		within = true;
		*(void **)&real = dlsym(RTLD_NEXT, "calloc");
		within = false;
	}
	if (real)
		return real(n, size);
	size = (n * size + 15) & ~15UL;
	if (size <= sizeof(early) - used) {
		p = early + used;
		used += size;
	}
	return p;
}

void *realloc(void *p, size_t size)
{
	if (no_memory(__builtin_return_address(0)))
		return NULL;
	REAL(realloc, p, size);
}

char *strdup(const char *s)
{
	if (no_memory(__builtin_return_address(0)))
		return NULL;
	REAL(strdup, s);
}

char *strndup(const char *s, size_t n)
{
	if (no_memory(__builtin_return_address(0)))
		return NULL;
	REAL(strndup, s, n);
}

ssize_t read(int fd, void *p, size_t len)
{
	if (kind != INJECT_DISK && refuses(fd, &len))
		return -1;
	REAL(read, fd, p, len);
}

ssize_t write(int fd, const void *p, size_t len)
{
	if (refuses(fd, &len))
		return -1;
	REAL(write, fd, p, len);
}

ssize_t recv(int fd, void *p, size_t len, int flags)
{
	if (refuses(fd, &len))
		return -1;
	REAL(recv, fd, p, len, flags);
}

ssize_t send(int fd, const void *p, size_t len, int flags)
{
	if (refuses(fd, &len))
		return -1;
	REAL(send, fd, p, len, flags);
}

int fsync(int fd)
{
	if (fails(INJECT_DISK)) {
		errno = ENOSPC;
		return -1;
	}
	REAL(fsync, fd);
}

int rename(const char *from, const char *to)
{
	if (fails(INJECT_DISK)) {
		errno = ENOSPC;
		return -1;
	}
	REAL(rename, from, to);
}

int renameat(int fd, const char *from, int fd2, const char *to)
{
	if (fails(INJECT_DISK)) {
		errno = ENOSPC;
		return -1;
	}
	REAL(renameat, fd, from, fd2, to);
}

/* A file's last bytes may fail to be written as late as here; it is closed all the same. */
int close(int fd)
{
	static __typeof__(close) *real;
	bool full = kind == INJECT_DISK && is_kind(fd, S_IFREG) && fails(INJECT_DISK);
	int ret;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "close");
	ret = real(fd);
	if (!ret && full) {
		errno = ENOSPC;
		return -1;
	}
	return ret;
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	if (fails(INJECT_EINTR)) {
		errno = EINTR;
		return -1;
	}
	REAL(poll, fds, n, timeout);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	if (fails(INJECT_EINTR)) {
		errno = EINTR;
		return -1;
	}
	REAL(epoll_wait, fd, events, max, timeout);
}
