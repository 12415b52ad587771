/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: records of this kernel whose flags, limits or windows shall be others.
 * Out: the module's word on each; one line for each that it refuses.
 * Blocks on the kernel.
 */
#ifndef XFRMSYNC_TOOLS_BINDINGS_H
#define XFRMSYNC_TOOLS_BINDINGS_H

#include "genl.h"
#include "record.h"

/* Zeroed: empty. */
struct bindings {
	struct record *rec;
	size_t n, room;
};

int bindings_add(struct bindings *b, const struct record *rec);	/* 0 or -ENOMEM */
/* As it is, but fenced for itself, or not. 0 or -ENOMEM. */
int bindings_fence(struct bindings *b, const struct record *rec, bool fenced);

/*
 * bindings_put - give each SA its flags, or its limit; tag and lease stay as they are
 * @what: what cannot be done, for the log: "cannot be fenced"
 * An SA that is gone, or another one by now, is passed over.
 * Return: 0; -EINVAL (some were refused, and said so); -errno of the whole.
 */
int bindings_put(struct genl *g, struct bindings *b, const char *what);

/* As it is, but with nothing open in its window; one without a window is passed over,
 * and an outbound one. 0 or -ENOMEM.
 */
int bindings_fill(struct bindings *b, const struct record *rec);

/*
 * bindings_merge - join their windows with what stands in the kernel
 * @epoch, @node: in force, or newer
 * An SA that is gone is passed over, and one that has ended.
 * Return: 0; -EINVAL (some were refused, and said so); -errno of the whole.
 */
int bindings_merge(struct genl *g, uint64_t epoch, uint32_t node,
		   const struct bindings *b);

void bindings_free(struct bindings *b);

#endif
