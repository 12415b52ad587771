/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a process with root's rights, which has opened what only they can open.
 * Out: the same process, with what it goes on to need.
 * The daemon, once, before it hears its first peer, and its helper (privops.h) before
 * it makes its first request; nothing of it can be undone.
 */
#ifndef XFRMSYNC_TOOLS_PRIVILEGES_H
#define XFRMSYNC_TOOLS_PRIVILEGES_H

enum privileges_who {
	PRIVILEGES_DAEMON,	/* parses what peers say: no rights over the network */
	PRIVILEGES_HELPER,	/* has them, and parses nothing of a peer's */
};

/*
 * privileges_drop - the daemon keeps CAP_NET_BIND_SERVICE and CAP_IPC_LOCK, the helper
 * CAP_NET_ADMIN and CAP_NET_RAW, as far as they are there; no exec brings another back
 * Return: 0; -errno: it has more than that still.
 */
int privileges_drop(enum privileges_who who);

/*
 * privileges_filter - from here on only the system calls that it makes
 *
 * Any other one fails with ENOSYS, and is in the kernel's log (audit, type 1326);
 * those that run another program, or reach for another process, a namespace, a
 * mount or the kernel's code, kill the process. No thread but the caller's.
 * Return: 0; -EOPNOTSUPP: the kernel has no seccomp filters, or this is a build
 * under a sanitizer, which makes calls of its own; -errno.
 */
int privileges_filter(enum privileges_who who);

#endif
