/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a process with root's rights, which has opened what only they can open.
 * Out: the same process, with what it goes on to need.
 * The daemon, once, before it hears its first peer; nothing of it can be undone.
 */
#ifndef XFRMSYNC_TOOLS_PRIVILEGES_H
#define XFRMSYNC_TOOLS_PRIVILEGES_H

/*
 * privileges_drop - keeps CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE and
 * CAP_IPC_LOCK, as far as they are there; no exec brings another one back
 * Return: 0; -errno: it has more than that still.
 */
int privileges_drop(void);

/*
 * privileges_filter - from here on only the system calls that the daemon makes
 *
 * Any other one fails with ENOSYS, and is in the kernel's log (audit, type 1326);
 * those that run another program, or reach for another process, a namespace, a
 * mount or the kernel's code, kill the process. No thread but the caller's.
 * Return: 0; -EOPNOTSUPP: the kernel has no seccomp filters, or this is a build
 * under a sanitizer, which makes calls of its own; -errno.
 */
int privileges_filter(void);

#endif
