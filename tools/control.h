/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: one JSON object a line on the daemon's Unix socket ({"cmd": "status"}).
 * Out: JSON objects, a line each; the last of a reply has "done": true, and
 *      "error": "text" and "exit": N where the command failed.
 * Only root (SO_PEERCRED) is heard. Commands: status, unsafe (an object for
 * each SA that a takeover would not use: sa, why), show, monitor, takeover (force_unsafe,
 * dry_run), standby, event (an object for all who monitor), ike (an object for each
 * IKE SA), ike_keys (with key_log: table and line for Wireshark each, or sa and error),
 * ike_entries (of a file: entry, in base64, and ended, or sa and error).
 */
#ifndef XFRMSYNC_TOOLS_CONTROL_H
#define XFRMSYNC_TOOLS_CONTROL_H

#include <jansson.h>

/* Client side. Return: a connected fd, or -errno (-ENOENT, -ECONNREFUSED: no daemon). */
int control_connect(const char *path);
/* Send a request; 0 or -errno. Does not take the reference. */
int control_send(int fd, const json_t *req);
/*
 * Next object of the reply, a new reference; NULL with errno ENODATA at the end
 * of file, ETIMEDOUT, EINTR (only with timeout_ms < 0, which waits for ever),
 * EBADMSG (not a JSON object), or another.
 */
json_t *control_recv(int fd, int timeout_ms);

#endif
