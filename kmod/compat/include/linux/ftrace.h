/* SPDX-License-Identifier: GPL-2.0 */
#ifndef XFRMSYNC_COMPAT_LINUX_FTRACE_H
#define XFRMSYNC_COMPAT_LINUX_FTRACE_H

#include_next <linux/ftrace.h>
#include <linux/version.h>

/* 6.2 brought ftrace_regs_get_argument(); before, only architectures that
 * save the arguments for every ftrace_ops have them in ftrace_regs.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#if defined(CONFIG_X86_64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#define ftrace_regs_get_argument(fregs, n) \
	regs_get_kernel_argument(&(fregs)->regs, n)
#define XFRMSYNC_HAVE_FTRACE_ARGS 1
#endif
#elif defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#define XFRMSYNC_HAVE_FTRACE_ARGS 1
#endif

#endif
