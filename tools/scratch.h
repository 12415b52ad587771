/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: -
 * Out: XFRM netlink of a network namespace that nobody else has.
 * Forks, for a moment.
 */
#ifndef XFRMSYNC_TOOLS_SCRATCH_H
#define XFRMSYNC_TOOLS_SCRATCH_H

#include "xfrm.h"

/*
 * scratch_open - an empty namespace, which ends with xfrm_close()
 * Return: 0; -EPERM (neither network nor user namespaces may be made); -errno.
 */
int scratch_open(struct xfrm *x);

#endif
