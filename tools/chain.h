/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: epochs in which nodes became active.
 * Out: those whose numbers are accounted for in what a node has.
 * Pure.
 *
 * A node that becomes active goes on from what it has: so what was accounted for
 * there stays so. One epoch of each node is enough, the newest: what it drew before
 * that it knew itself when it became active, or an active found it lost, and made
 * the SAs of then unsafe.
 */
#ifndef XFRMSYNC_TOOLS_CHAIN_H
#define XFRMSYNC_TOOLS_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_MAX 32	/* nodes; more than peers, as ids change when disks are lost */

struct chain {
	struct chain_link {
		uint64_t epoch;		/* not 0 */
		uint32_t node;
	} at[CHAIN_MAX];		/* by ascending node */
	size_t n;
};

/* True where all that the node drew, up to that epoch, is accounted for. */
bool chain_has(const struct chain *c, uint64_t epoch, uint32_t node);

/* Nothing goes back; where there is no room the oldest epoch is forgotten. */
void chain_add(struct chain *c, uint64_t epoch, uint32_t node);

/* What both have is left. */
void chain_common(struct chain *c, const struct chain *other);

bool chain_is_same(const struct chain *a, const struct chain *b);

#endif
