/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs of the kernel, or a file that save wrote.
 * Out: their contexts and the policies that use them, printed without keys.
 * Asks the kernel; the daemon need not run.
 */
#ifndef XFRMSYNC_TOOLS_SHOW_CONTEXT_H
#define XFRMSYNC_TOOLS_SHOW_CONTEXT_H

#include "cmd.h"
#include "sa_select.h"

/* file: NULL for the kernel's SAs; key_file: NULL for the configuration's. An exit code. */
int cmd_show_context(const struct cmd_common *common,
		     const struct sa_select *select, const char *file,
		     const char *key_file);
/* The IKE SAs of a file, and nothing else of it. */
int cmd_show_ike_file(const struct cmd_common *common, const char *file,
		      const char *key_file);

#endif
