/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a socket.
 * Out: the same, whose packets no policy of IPsec protects.
 * Needs CAP_NET_ADMIN.
 */
#ifndef XFRMSYNC_TOOLS_XFRM_BYPASS_H
#define XFRMSYNC_TOOLS_XFRM_BYPASS_H

#include <stdbool.h>

int xfrm_bypass(int fd, bool v4);	/* 0 or -errno */

#endif
