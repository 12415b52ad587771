/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: which kind of call fails, and which one of them.
 * Out: that one fails; how many there were.
 * Only in the program that tests what happens then.
 */
#ifndef XFRMSYNC_INJECT_H
#define XFRMSYNC_INJECT_H

enum inject {
	INJECT_NOTHING,
	INJECT_MEMORY,		/* malloc, calloc, realloc, strdup, strndup: none left */
	INJECT_DISK,		/* write (or its rest), fsync, rename, close of a file: ENOSPC */
	INJECT_SHORT,		/* read, write, recv, send: one byte */
	INJECT_EINTR,		/* those, poll and epoll_wait: a signal came */
	INJECT_FULL,		/* recv, send, read and write of a socket: EAGAIN */
	INJECT_KINDS,
};

extern const char *const inject_name[INJECT_KINDS];

/* From now on the nth one, from 1 on, fails; 0: none, they are counted. */
void inject_start(enum inject kind, unsigned long nth);
/* How many there were since; no more fail. */
unsigned long inject_stop(void);

#endif
