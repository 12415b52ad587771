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
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ key[i]) * 16777619u;
	return (h ^ h >> 16) % OWNED_BUCKETS;
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

static bool put(struct owned *o, const uint8_t *key, size_t len)
{
	struct owned_key **at = find(o, key, len), *k;

	if (*at || len > KEY_MAX)
		return false;
	k = malloc(sizeof(*k) + len);
	if (!k)
		return false;
	k->next = NULL;
	k->len = len;
	memcpy(k->key, key, len);
	*at = k;
	return true;
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

static void note(struct owned *o, char what, const uint8_t *key, size_t len)
{
	uint8_t line[2 + KEY_MAX] = { what, len };

	memcpy(line + 2, key, len);
	if (o->fd >= 0 && write(o->fd, line, len + 2) < 0)
		log_warn("cannot note a policy as ours (%s): after a restart it would be left alone",
			 strerror(errno));
}

void owned_add(struct owned *o, const uint8_t *key, size_t len)
{
	if (put(o, key, len))
		note(o, '+', key, len);
}

void owned_del(struct owned *o, const uint8_t *key, size_t len)
{
	if (drop(o, key, len))
		note(o, '-', key, len);
}

static void read_file(struct owned *o, FILE *f)
{
	uint8_t key[KEY_MAX];
	int what, len;

	while ((what = getc(f)) != EOF && (len = getc(f)) != EOF &&
	       fread(key, 1, len, f) == (size_t)len) {
		if (what == '+')
			put(o, key, len);
		else if (what == '-')
			drop(o, key, len);
		else
			break;
	}
}

/* Written anew at each start, so that it does not grow for ever. */
static int rewrite(struct owned *o, const char *path)
{
	struct owned_key *k;
	char tmp[160];
	int i;

	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	o->fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC |
			  O_NOFOLLOW, 0600);
	if (o->fd < 0)
		return -errno;
	for (i = 0; i < OWNED_BUCKETS; i++) {
		for (k = o->bucket[i]; k; k = k->next)
			note(o, '+', k->key, k->len);
	}
	return rename(tmp, path) ? -errno : 0;
}

void owned_load(struct owned *o, const char *socket_path)
{
	const char *slash = strrchr(socket_path, '/');
	char path[140];
	FILE *f;
	int ret;

	memset(o, 0, sizeof(*o));
	o->fd = -1;
	snprintf(path, sizeof(path), "%.*s/policies",
		 (int)(slash ? slash - socket_path : 1),
		 slash ? socket_path : ".");
	f = fopen(path, "re");
	if (f) {
		read_file(o, f);
		fclose(f);
	}
	ret = rewrite(o, path);
	if (ret)
		log_warn("%s: %s: policies that this node creates would be left alone after a restart",
			 path, strerror(-ret));
}

void owned_free(struct owned *o)
{
	struct owned_key *k;
	int i;

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
