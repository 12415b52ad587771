/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: pairs of addresses; contexts with the names that another node has.
 * Out: the same contexts with this node's names.
 * Pure.
 *
 * What names a gateway follows: an SA's end points, original and care-of
 * address, a policy's templates, and selectors of that address alone. A prefix
 * that has the address in it is a network, and stays.
 */
#ifndef XFRMSYNC_TOOLS_MAP_H
#define XFRMSYNC_TOOLS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "context.h"

#define MAP_MAX 16		/* pairs */

struct map_pair {
	uint16_t family;
	uint8_t from[16], to[16];	/* network order; IPv4 in the first four */
};

/* Zeroed: every address is its own. */
struct map {
	struct map_pair pair[MAP_MAX];
	size_t n;
};

/*
 * map_add - one more pair
 * @text: OLD=NEW
 * Return: NULL, or what is wrong with it: static, to be read behind the text.
 */
const char *map_add(struct map *m, const char *text);

/* Rewrites the addresses of a context in place; what is malformed is left to
 * whoever decodes it.
 */
void map_context(const struct map *m, uint8_t *p, size_t len);

/* True where it takes two ends of an SA, or of a template, for one address. */
bool map_joins(const struct map *m, uint16_t family, const uint8_t *src,
	       const uint8_t *dst);

/* True where it changes one of the two. */
bool map_has(const struct map *m, uint16_t family, const uint8_t *src,
	     const uint8_t *dst);

/* The name that an SA has behind the map. */
void map_id(const struct map *m, struct sa_id *id);

#endif
