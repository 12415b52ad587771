/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: files that hold keys.
 * Out: the keys; a process that keeps them to itself.
 * Any process of the tool.
 */
#ifndef XFRMSYNC_TOOLS_SECRET_H
#define XFRMSYNC_TOOLS_SECRET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SECRET_MIN 32		/* bytes */
#define SECRET_MAX 64
#define SECRET_IS_LINK "is a symbolic link: name the file that it leads to"

struct secret {
	uint8_t key[SECRET_MAX];	/* wipe */
	size_t len;
};

/*
 * secret_open - a file that holds a key, to be read from the start
 * Return: a descriptor of the caller's, or -1 with a line in err: no regular file
 * of root's, a symbolic link, or open to others.
 */
int secret_open(const char *file, char *err, size_t errlen);

/*
 * secret_read - a key of 32 to 64 bytes, raw or in hex
 * Return: 0, or -1 with a line in err: no regular file of root's, a symbolic
 * link, readable by others, or no such key.
 */
int secret_read(const char *file, struct secret *s, char *err, size_t errlen);

/* Up to len bytes; fewer where the file ends. -1: errno. The caller wipes them. */
ssize_t secret_read_all(int fd, uint8_t *p, size_t len);

/*
 * secret_protect - no core, no ptrace, no swap; new files are root's alone
 * Return: 0; -errno: the memory cannot be locked, the rest is done.
 */
int secret_protect(void);

#endif
