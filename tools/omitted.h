/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs of this active that could not be read, or kept.
 * Out: their names and the reasons, for status; which to try next.
 * The daemon's loop.
 */
#ifndef XFRMSYNC_TOOLS_OMITTED_H
#define XFRMSYNC_TOOLS_OMITTED_H

#include <stdbool.h>
#include <stddef.h>

#include "cache.h"

struct omitted_sa {
	struct list all;
	struct sa_id id;
	bool told;		/* as it was before: peers have that */
	bool seen;		/* in the walk that runs */
	char *why;
};

/* Zeroed: empty. */
struct omitted {
	struct list list;	/* the next to try first */
	void *by_id;		/* tsearch(3) */
	size_t n;
};

/* Logged where that is news. told: peers know it, and what changed they do not. */
void omitted_note(struct omitted *o, const struct sa_id *id, bool told,
		  const char *why);
/* It was read after all, or is gone. */
void omitted_gone(struct omitted *o, const struct sa_id *id);
/* Of all SAs: those that were not noted in between are gone. */
void omitted_walk_begin(struct omitted *o);
void omitted_walk_end(struct omitted *o);
/* One after the other, over and over; false: there is none. */
bool omitted_next(struct omitted *o, struct sa_id *id);
struct omitted_sa *omitted_first(const struct omitted *o);	/* NULL: none */
struct omitted_sa *omitted_after(const struct omitted *o,
				 const struct omitted_sa *sa);
void omitted_clear(struct omitted *o);

#endif
