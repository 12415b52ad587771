/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the layout of plain records, as the specification says it; records as bytes.
 * Out: their values by the attributes of these names, and bytes again.
 */
#ifndef XFRMSYNC_GENL_PLAIN_H
#define XFRMSYNC_GENL_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAIN_IDS 64
#define PLAIN_WORDS 256
#define PLAIN_MOST (255 * 8 + 1024)	/* what says that it is longer is cut off */

struct plain {
	uint64_t has;
	unsigned int words;
	uint8_t addrs[32];			/* dst, src: of 4 or 16 bytes */
	uint32_t bitmap[PLAIN_WORDS];
	uint64_t value[PLAIN_IDS];		/* by the attribute; in the order of its bytes */
};

/* What may be changed: of the head (bit -1), or there if a bit says so. */
struct plain_field {
	int bit;
	unsigned int width, id, count;
};

/* Lines of the table (genl_fuzz.c); false where they cannot be read. */
bool plain_read(const char *text);
bool plain_read_head(const char *text);
bool plain_read_tail(const char *text);

extern unsigned int plain_set;		/* of the attributes; 0 fields: nothing is plain */
const struct plain_field *plain_field(unsigned int n);	/* NULL: no more */

/* Its length, or 0 where it is none. */
size_t plain_decode(struct plain *p, const uint8_t *data, size_t len);
size_t plain_encode(const struct plain *p, uint8_t *to);

#endif
