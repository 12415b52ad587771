/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: netlink of the daemon, at libmnl's functions for sockets (ld's --wrap).
 * Out: what the module and XFRM would answer; an abort where no kernel would be asked that.
 * Fuzzers only: a few SAs and policies, in one thread.
 */
#ifndef XFRMSYNC_TOOLS_FUZZ_KERNEL_H
#define XFRMSYNC_TOOLS_FUZZ_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

void kernel_start(void);
void kernel_end(void);
/* One of a few SAs, and its policy, that nobody told: no standby's daemon may touch them. */
void kernel_add_own(unsigned int which);
/* Somebody deletes one of the SAs that there are. */
void kernel_delete(unsigned int which);
/* Packets pass, so many in each direction. */
void kernel_traffic(unsigned int which, uint32_t packets);
/* So many requests from now, so many fail, with that errno. */
void kernel_fails(unsigned int when, unsigned int count, int err);
/* The module's watchdog, or another tool, fenced this node. */
void kernel_fence(void);

#endif
