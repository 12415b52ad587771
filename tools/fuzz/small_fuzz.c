// SPDX-License-Identifier: GPL-2.0
/*
 * In: of which kind it is (the first byte), and a small file: the state, the policies that are
 *     ours, a key, strongswan.conf, /proc/net/udp.
 * Out: a value that keeps its own rules, or that it is none. Of the policies: what is written
 *      anew has the same ones.
 * libFuzzer's harness: what is read at the start, and when somebody asks.
 */
#include <assert.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "durable.h"
#include "fuzz.h"
#include "ike.h"
#include "owned.h"
#include "secret.h"
#include "state.h"
#include "strongswan.h"
#include <linux/xfrmsync.h>

static const uint8_t *text;
static size_t text_len;
static int opens;			/* of files in files */
static char dir[64];

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found);
int __wrap_durable_write(const char *path, const void *p, size_t len, mode_t mode);
void __wrap_log_line(int priority, const char *fmt, ...);

/* Any file that is read is this one. */
FILE *__wrap_fopen(const char *path, const char *mode)
{
	if (!text)
		return __real_fopen(path, mode);
	if (opens++ > 3)
		return NULL;
	return fmemopen((void *)text, text_len, "r");
}

/* What is included is itself, again. */
int __wrap_glob(const char *pattern, int flags, int (*failed)(const char *, int), glob_t *found)
{
	static char *itself[] = { "/again", NULL };

	(void)flags;
	(void)failed;
	assert(pattern);
	found->gl_pathc = 1;
	found->gl_pathv = itself;
	return 0;
}

/* So that a step beyond the file's end is seen, not a step beyond the most that it may have. */
#define STRONGSWANS_MOST ((1 << 20) + 1)

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return __real_malloc(size == STRONGSWANS_MOST ? text_len + 1 : size);
}

void __wrap_globfree(glob_t *found);
void __wrap_globfree(glob_t *found)
{
	(void)found;
}

void __wrap_log_line(int priority, const char *fmt, ...)
{
	(void)priority;
	(void)fmt;
}

static void state(void)
{
	struct state s;
	size_t i;

	if (state_load("/nowhere", &s)) {
		assert(!s.epoch && !s.n_members);
		return;
	}
	assert(s.role <= XFRMSYNC_ROLE_STANDBY && s.lost <= s.own);
	assert(s.n_members <= CONF_MAX_PEERS);
	assert(memchr(s.handed, 0, sizeof(s.handed)) && memchr(s.boot_id, 0, sizeof(s.boot_id)));
	for (i = 0; i < s.n_members; i++)
		assert(memchr(s.member[i], 0, sizeof(s.member[i])));
}

/* What was written anew; kept by the one who asked for it. */
static uint8_t *anew;
static size_t anew_len;

int __wrap_durable_write(const char *path, const void *p, size_t len, mode_t mode)
{
	(void)path;
	assert(mode == 0600);
	free(anew);
	anew = malloc(len + 1);
	assert(anew);
	if (len)
		memcpy(anew, p, len);
	anew_len = len;
	return 0;
}

static struct owned first;

static bool is_in_first(const uint8_t *key, size_t len, void *n)
{
	++*(int *)n;
	return owned_has(&first, key, len);
}

static bool count(const uint8_t *key, size_t len, void *n)
{
	(void)key;
	(void)len;
	++*(int *)n;
	return true;
}

static void owned(void)
{
	static struct owned second;
	int of_first = 0, of_second = 0;
	char control[80];

	snprintf(control, sizeof(control), "%s/control", dir);
	owned_load(&first, control);
	text = anew;
	text_len = anew_len;
	if (text_len)
		owned_load(&second, control);
	assert(owned_all(&first, count, &of_first));
	if (text_len) {
		assert(owned_all(&second, is_in_first, &of_second));
		owned_free(&second);
	}
	assert(of_first == of_second);
	owned_free(&first);
}

static void secret(void)
{
	char path[80], err[200] = "";
	struct secret s;
	int fd;

	snprintf(path, sizeof(path), "%s/key", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert(fd >= 0 && !ftruncate(fd, 0) && write(fd, text, text_len) == (ssize_t)text_len);
	close(fd);
	if (secret_read(path, &s, err, sizeof(err)))
		assert(err[0]);
	else
		assert(s.len >= SECRET_MIN && s.len <= SECRET_MAX);
}

static void strongswan(void)
{
	struct spi_range r;
	int ret = strongswan_spi_range("/etc/strongswan.conf", "charon-systemd", &r);

	assert(ret <= 2);
}

static void udp(void)
{
	struct in_addr local = { .s_addr = htonl(0x0a000001) };
	struct ike_socket s = {};

	if (!ike_socket_of(local, &s))
		assert(text_len < 1 << 20);
}

static void clean_up(void)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/key", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/policies", dir);
	unlink(path);
	rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(void) = { state, owned, secret, strongswan, udp };

	if (!dir[0]) {
		snprintf(dir, sizeof(dir), "/dev/shm/xfrmsync-fuzz-%d", getpid());
		assert(!mkdir(dir, 0700));
		atexit(clean_up);
	}
	/* fmemopen() has no file of no bytes. */
	if (size < 2)
		return 0;
	text = data + 1;
	text_len = size - 1;
	opens = 0;
	kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))]();
	text = NULL;
	return 0;
}
