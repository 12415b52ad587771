/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: packets, as XFRM draws or accepts a sequence number for them.
 * Out: marks on the SAs that they use.
 * The packet path: x->lock held, BH off; or a periodic look (scan).
 */
#ifndef XFRMSYNC_HOOK_H
#define XFRMSYNC_HOOK_H

#include <linux/types.h>

int xfrmsync_hook_init(const char *method);
void xfrmsync_hook_exit(void);
u32 xfrmsync_hook_method(void);

#endif
