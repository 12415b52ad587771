/* SPDX-License-Identifier: GPL-2.0 */
#ifndef XFRMSYNC_COMPAT_NET_XFRM_H
#define XFRMSYNC_COMPAT_NET_XFRM_H

#include_next <net/xfrm.h>
#include <linux/version.h>

/* 6.10 brought the direction of an SA (XFRM_SA_DIR_IN 1, _OUT 2, 0 unset). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define xfrmsync_compat_dir(x) 0
#else
#define xfrmsync_compat_dir(x) ((x)->dir)
#endif

#endif
