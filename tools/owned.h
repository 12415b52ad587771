/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: keys (identities, nothing secret) of policies that this node created.
 * Out: the same after a restart of the daemon, but not after a reboot.
 * A file beside the control socket, appended to as it goes.
 */
#ifndef XFRMSYNC_TOOLS_OWNED_H
#define XFRMSYNC_TOOLS_OWNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define OWNED_BUCKETS 4096

struct owned_key;

struct owned {
	struct owned_key *bucket[OWNED_BUCKETS];
	int fd;			/* of the file, -1 for none */
	struct buf unwritten;
};

void owned_load(struct owned *o, const char *socket_path);	/* logs failures */
void owned_free(struct owned *o);
typedef bool (*owned_fn)(const uint8_t *key, size_t len, void *data);
/* True where fn says so of each of them. */
bool owned_all(const struct owned *o, owned_fn fn, void *data);
bool owned_has(const struct owned *o, const uint8_t *key, size_t len);
/* In the file with owned_write(): as soon as those that come together are added. */
void owned_add(struct owned *o, const uint8_t *key, size_t len);
void owned_write(struct owned *o);
void owned_del(struct owned *o, const uint8_t *key, size_t len);

#endif
