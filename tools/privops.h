/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: requests to the kernel that want CAP_NET_ADMIN or CAP_NET_RAW.
 * Out: the same, made by a process that does nothing else: the helper.
 * Blocking, one request at a time; where no helper runs, made by the caller itself.
 *
 * Who parses what peers say has none of these rights, and so neither has who takes it
 * over by that: the helper makes what the daemon asks for, of a fixed list, and reads
 * of a message its header alone. To share a socket would not be enough: the kernel
 * asks for the rights of who sends on it. It gives its answers on the socket, to the
 * daemon. The verbs of the tool have no helper. What is asked for stands in memory that both
 * share; of that the helper takes a copy before it looks.
 */
#ifndef XFRMSYNC_TOOLS_PRIVOPS_H
#define XFRMSYNC_TOOLS_PRIVOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <libmnl/libmnl.h>

#include "ike_packet.h"
#include "route.h"

#define PRIVOPS_MAX (128 * 1024)	/* bytes of a request to netlink */
#define PRIVOPS_PACKET_MAX 8192		/* ... of a packet that was heard */

/*
 * privops_start - forks the helper
 * @family: the module's, of generic netlink; 0: it is not loaded
 * @why: on failure: for people, without a name before it
 * Before anything is read that the helper shall not have, and with all rights that it
 * shall have; it waits until the helper has dropped the others. The soft RLIMIT_NOFILE
 * of both is the hard one from here on (ETOOMANYREFS).
 * Return: 0; -EPIPE (it has ended at once); -ENOPROTOOPT (the kernel does not say which
 * namespace a socket is of); -errno.
 */
int privops_start(uint16_t family, char *why, size_t len);
/* What is to be asked of another network namespace than the helper's own has been, once
 * (scratch.c): no other one from here on. 0 or -errno.
 */
int privops_seal(void);
/* Ends it, and waits until it has. */
void privops_stop(void);
/* Readable when the helper has ended, which privops_end_str() then says how; -1: none. */
int privops_fd(void);
void privops_end_str(char *s, size_t len);

/*
 * privops_send - mnl_socket_sendto()
 * Return: len; -1 with errno: EACCES (not on the list, or of another namespace: logged),
 * EPIPE (the helper has ended: before it was made or after, which nobody can say any
 * more), EMSGSIZE (more than PRIVOPS_MAX), ENOBUFS, ENOMEM (no room, here or there: it
 * was not sent), ETOOMANYREFS (as these: processes of this user have more descriptors on
 * their way to others than RLIMIT_NOFILE), or of sendto().
 */
ssize_t privops_send(const struct mnl_socket *nl, const void *msg, size_t len);
/* SO_RCVBUFFORCE for a netlink socket: bytes. 0; -EACCES: more than 16 MiB, or as above;
 * -EPERM: neither has the right to; -errno as above.
 */
int privops_rcvbuf(const struct mnl_socket *nl, int size);
/* too_big_send(), which the helper makes for an address of this node alone: it asks the
 * kernel's routing itself, and else answers -EADDRNOTAVAIL.
 */
int privops_too_big(const struct route_way *way, uint32_t mtu);
/* The helper hears IKE messages (ike_packet_listen()) of both families, or none any more.
 * 0; -EPERM: it has no packet sockets, or there is no helper; -errno.
 */
int privops_listen(bool on);
/* The next packet that they heard: its length; 0: one that is too long; -EAGAIN: none. */
int privops_hear(uint8_t p[PRIVOPS_PACKET_MAX]);
/* ike_packet_send(), likewise for an address of this node alone. */
int privops_ike(const struct ike_way *way, const uint8_t *msg, size_t len);

/*
 * privops_allows - the list: what the daemon may send, whole messages and nothing else
 * Of XFRM as many as there are, behind each other, each of them on the list; else one.
 * @protocol: of the socket, NETLINK_*
 * @family: as above
 */
bool privops_allows(int protocol, uint16_t family, const void *msg, size_t len);

#endif
