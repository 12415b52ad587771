// SPDX-License-Identifier: GPL-2.0
/*
 * In: keys (identities, nothing secret) of policies that this node created.
 * Out: the same after a restart of the daemon, but not after a reboot.
 * A file beside the control socket, appended to as it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "durable.h"
#include "log.h"
#include "owned.h"

#define KEY_MAX 255

/* In the file: '+' or '-', u8 length, the key. */
struct owned_key {
	struct owned_key *next;
	uint8_t len;
	uint8_t key[];
};

static unsigned int slot(const uint8_t *key, size_t len)
{
	return buf_hash(key, len) % OWNED_BUCKETS;
}

static struct owned_key **find(struct owned *o, const uint8_t *key, size_t len)
{
	struct owned_key **at = &o->bucket[slot(key, len)];

	while (*at && ((*at)->len != len || memcmp((*at)->key, key, len)))
		at = &(*at)->next;
	return at;
}

bool owned_has(const struct owned *o, const uint8_t *key, size_t len)
{
	return *find((struct owned *)o, key, len);
}

bool owned_all(const struct owned *o, owned_fn fn, void *data)
{
	const struct owned_key *k;
	int i;

	for (i = 0; i < OWNED_BUCKETS; i++) {
		for (k = o->bucket[i]; k; k = k->next) {
			if (!fn(k->key, k->len, data))
				return false;
		}
	}
	return true;
}

/* 1, or 0 where it was there; -ENOMEM. */
static int put(struct owned *o, const uint8_t *key, size_t len)
{
	struct owned_key **at = find(o, key, len), *k;

	if (*at || len > KEY_MAX)
		return 0;
	k = malloc(sizeof(*k) + len);
	if (!k)
		return -ENOMEM;
	k->next = NULL;
	k->len = len;
	memcpy(k->key, key, len);
	*at = k;
	return 1;
}

static bool drop(struct owned *o, const uint8_t *key, size_t len)
{
	struct owned_key **at = find(o, key, len), *k = *at;

	if (!k)
		return false;
	*at = k->next;
	free(k);
	return true;
}

/* All of it or nothing: what follows a part would not be read. */
static int append(int fd, const uint8_t *line, size_t len)
{
	off_t end = lseek(fd, 0, SEEK_END);
	size_t done = 0;
	ssize_t n;
	int ret;

	while (done < len) {
		n = write(fd, line + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += n;
	}
	if (done == len)
		return 0;
	ret = -errno;
	return done && ftruncate(fd, end) ? -errno : ret;
}

static void cannot_note(int err)
{
	log_warn("cannot note a policy as ours (%s): after a restart it would be left alone",
		 strerror(-err));
}

static void note(struct owned *o, char what, const uint8_t *key, size_t len)
{
	buf_u8(&o->unwritten, what);
	buf_u8(&o->unwritten, len);
	buf_put(&o->unwritten, key, len);
}

void owned_write(struct owned *o)
{
	int ret = o->unwritten.bad ? -ENOMEM : 0;

	if (!ret && !o->unwritten.len)
		return;
	if (!ret && o->fd >= 0)
		ret = append(o->fd, o->unwritten.data, o->unwritten.len);
	if (ret)
		cannot_note(ret);
	buf_clear(&o->unwritten);
}

void owned_add(struct owned *o, const uint8_t *key, size_t len)
{
	int ret = put(o, key, len);

	if (ret < 0)
		cannot_note(ret);
	else if (ret)
		note(o, '+', key, len);
}

void owned_del(struct owned *o, const uint8_t *key, size_t len)
{
	if (!drop(o, key, len))
		return;
	note(o, '-', key, len);
	owned_write(o);
}

/* What breaks off is read up to there. */
static int read_file(struct owned *o, FILE *f)
{
	uint8_t key[KEY_MAX];
	int what, len, ret = 0;

	while (ret >= 0 && (what = getc(f)) != EOF && (len = getc(f)) != EOF &&
	       fread(key, 1, len, f) == (size_t)len) {
		if (what == '+')
			ret = put(o, key, len);
		else if (what == '-')
			drop(o, key, len);
		else
			break;
	}
	return ret < 0 ? ret : ferror(f) ? -EIO : 0;
}

/* Written anew at each start, so that it does not grow for ever. */
static int rewrite(struct owned *o, const char *path)
{
	struct owned_key *k;
	struct buf b = {};
	int i, ret;

	for (i = 0; i < OWNED_BUCKETS; i++) {
		for (k = o->bucket[i]; k; k = k->next) {
			buf_u8(&b, '+');
			buf_u8(&b, k->len);
			buf_put(&b, k->key, k->len);
		}
	}
	ret = b.bad ? -ENOMEM : durable_write(path, b.data, b.len, 0600);
	buf_free(&b);
	return ret;
}

void owned_load(struct owned *o, const char *socket_path)
{
	const char *slash = strrchr(socket_path, '/');
	char path[140];
	FILE *f;
	int ret;

	memset(o, 0, sizeof(*o));
	snprintf(path, sizeof(path), "%.*s/policies",
		 (int)(slash ? slash - socket_path : 1),
		 slash ? socket_path : ".");
	f = fopen(path, "re");
	ret = f ? read_file(o, f) : errno == ENOENT ? 0 : -errno;
	if (f)
		fclose(f);
	/* Where not all of it could be read it stays; what comes is appended. */
	if (!ret)
		ret = rewrite(o, path);
	o->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		     0600);
	if (o->fd < 0)
		ret = -errno;
	if (ret)
		log_warn("%s: %s: policies that this node creates may be left alone after a restart",
			 path, strerror(-ret));
}

void owned_free(struct owned *o)
{
	struct owned_key *k;
	int i;

	owned_write(o);
	buf_free(&o->unwritten);
	for (i = 0; i < OWNED_BUCKETS; i++) {
		while ((k = o->bucket[i])) {
			o->bucket[i] = k->next;
			free(k);
		}
	}
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}
