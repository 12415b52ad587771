/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs out of this node.
 * Out: the MTU that this kernel has learned of the path of each, which is asked for
 *      once for each path; one that another node has learned, told to this kernel.
 * Asks the kernel, and waits for its answer; telling needs CAP_NET_RAW.
 */
#ifndef XFRMSYNC_TOOLS_PMTU_H
#define XFRMSYNC_TOOLS_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "context.h"
#include "route.h"

struct pmtu_path;

/* Zeroed: nothing is known. */
struct pmtu {
	struct route route;
	struct pmtu_path **paths;	/* hash */
	uint32_t round;			/* each path is asked for once in it */
};

/* Without rtnetlink nothing is known. 0 or -errno. */
int pmtu_open(struct pmtu *p);
void pmtu_close(struct pmtu *p);

/*
 * pmtu_was_used - something was sent by an SA; by what never was, nothing is learned
 * @sent: its highest number; IPComp draws none, and an SA of it counts packets both ways
 */
bool pmtu_was_used(const struct context_sa *sa, const struct record *rec,
		   uint64_t sent);

/* From here on each path is asked for again. */
void pmtu_begin(struct pmtu *p);
/* Paths of no SA that was looked at in this round are forgotten. */
void pmtu_end(struct pmtu *p);

/*
 * pmtu_look - the MTU that this kernel has learned for the path of an SA
 * @mtu: bytes, 0 for none; stays where there is no answer, because the source is
 *       not here (any more), say
 * Return: how many questions that took.
 */
unsigned int pmtu_look(struct pmtu *p, const struct context_sa *sa,
		       uint32_t *mtu);
/* As when it was looked at last, by whichever SA; 0: never, or none. */
uint32_t pmtu_known(const struct pmtu *p, const struct context_sa *sa);
/* True for the first SA of each path in this round; mtu is what is known of it. */
bool pmtu_is_first(struct pmtu *p, const struct context_sa *sa, uint32_t mtu);

/* An SA's context in ctx gets what is known. */
void pmtu_put(struct pmtu *p, const struct context_sa *sa, struct buf *ctx);

enum pmtu_told {
	PMTU_APPLIED = 1,	/* it has it */
	PMTU_NOT_NEEDED,	/* what it uses is not larger */
	PMTU_NOT_YET,		/* it was told: ask again */
};

/*
 * pmtu_tell - this kernel shall use an MTU for the path of an SA
 * Return: enum pmtu_told; -EADDRNOTAVAIL: the source is not here; -EOPNOTSUPP, -EPERM as
 * too_big_send(); -errno: it has no such way.
 */
int pmtu_tell(struct pmtu *p, const struct context_sa *sa, uint32_t mtu);
/* Why it is not in use, for people: of what pmtu_tell() returned. */
const char *pmtu_why(int ret);

#endif
