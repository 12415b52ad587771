/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: contexts of SAs that shall be installed here.
 * Out: whether this kernel supports their kind: algorithms, mode; attributes that it lacks.
 * The daemon's loop; asks the kernel, in a namespace of its own, once for each kind.
 */
#ifndef XFRMSYNC_TOOLS_KIND_H
#define XFRMSYNC_TOOLS_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xfrm.h"

#define KIND_HASH 32
#define KIND_WHY 200
#define KIND_SHAPE 256

struct kind {
	uint8_t hash[KIND_HASH];	/* of all that makes the kind */
	bool supported;
	char why[KIND_WHY];
	char lacking[KIND_WHY];	/* what the kernel passes over, and of what kind; or "" */
	bool told;		/* the active was, of that */
};

/* Zeroed: empty. */
struct kinds {
	struct xfrm scratch;		/* in the namespace, that goes with it */
	bool opened;
	struct kind *kind;
	size_t n;
	uint8_t last_shape[KIND_SHAPE];	/* of the one that was asked for last */
	size_t last_len;		/* 0: of none */
	size_t last;
	size_t untold;			/* that lack something */
};

/* The namespace: once, where one may be made. Without it nothing is known of kinds. */
void kinds_open(struct kinds *k);
/*
 * kinds_why_not - the kernel's word on SAs like that
 * Return: NULL: it takes them, or it could not be asked; else why not, of @k.
 */
const char *kinds_why_not(struct kinds *k, const uint8_t *p, size_t len);
/* Those that were not supported are asked for again: a module may be there now. */
void kinds_ask_again(struct kinds *k);
/* What is lacking, and was not told yet; NULL: it was. From here on it is. */
const char *kinds_next_lacking(struct kinds *k);
void kinds_tell_again(struct kinds *k);
void kinds_free(struct kinds *k);

/* All that makes the kind, byte by byte; 0: it has no room, or is malformed. */
size_t kind_shape(const uint8_t *p, size_t len, uint8_t shape[KIND_SHAPE]);
/* What makes the kind, and nothing that tells two SAs of it apart. 0 or -EBADMSG. */
int kind_hash(const uint8_t *p, size_t len, uint8_t hash[KIND_HASH]);

#endif
