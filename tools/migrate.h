/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a gateway's old outer address, and its new one.
 * Out: its SAs and policies under the new one; what was not moved, and why.
 * The daemon's loop, or a verb where no daemon runs; asks the kernel, and waits.
 */
#ifndef XFRMSYNC_TOOLS_MIGRATE_H
#define XFRMSYNC_TOOLS_MIGRATE_H

#include <jansson.h>

#include "genl.h"
#include "map.h"
#include "xfrm.h"

struct migrate {
	struct map map;
	struct genl *g;
	struct xfrm *x;
	size_t moved, policies;
	json_t *failed;		/* array of {name, error} */
	char error[400];	/* of the whole: nothing was moved */
};

/*
 * migrate_run - all SAs that have an old address, and the policies
 * Not on a standby, whose SAs follow the active's. A daemon that runs has to do it
 * itself: it would take a clone that has no tag yet for an SA of its own.
 * Return: 0, and m->failed names what went wrong; -1: nothing was moved.
 */
int migrate_run(struct migrate *m);

#endif
