/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what this node's charon says to its ha plugin's remote; what the active's said.
 * Out: the store of IKE SAs, the peers' frames, and what this charon is told.
 * The daemon's loop. Without [ike] nothing of it does anything.
 */
#ifndef XFRMSYNC_TOOLS_IKE_H
#define XFRMSYNC_TOOLS_IKE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <jansson.h>

#include "buf.h"
#include "ike_store.h"
#include "wire.h"

struct context_sa;
struct daemon;
struct peer;

/* The socket that charon's ha plugin has, by the kernel's list. */
struct ike_socket {
	unsigned int uid;	/* whose it is */
	unsigned long waits;	/* bytes that it has to read */
	unsigned int drops;	/* datagrams that it had no room for, ever */
};

/* False: nobody has that address, of this network namespace. */
bool ike_socket_of(struct in_addr local, struct ike_socket *s);

int ike_init(struct daemon *d);		/* 0 or -errno; logged */
void ike_exit(struct daemon *d);
/* That peer begins to follow: it gets all that is known. */
void ike_send_all(struct peer *p);
/* An IKE frame of that peer; false: malformed. */
bool ike_frame(struct daemon *d, struct peer *p, const struct wire_header *h,
	       struct rd *r);
/* A snapshot of SAs is complete: what charon makes of what it is told is theirs. */
void ike_synced(struct daemon *d);
/* Before a takeover: charon hears what it should know, and makes it. Bounded. */
void ike_finish(struct daemon *d);
void ike_taken_over(struct daemon *d);	/* after it: charon's segment is active */
/* ... of another one's SAs: exchanges that were in flight there are settled. */
void ike_took_over(struct daemon *d);
/* First of all: it is not. in_order: nobody else is active, and its last words count. */
void ike_stepping_down(struct daemon *d, bool in_order);
void ike_stepped_down(struct daemon *d);
/* An active's SA is new, or another one now: its peer may have moved. */
void ike_sa_seen(struct daemon *d, const struct context_sa *sa);
void ike_peer_down(struct daemon *d, const struct peer *p);
/* charon deletes that Child SA of its own, and tells its peer nothing. Network order. */
void ike_end_child(struct daemon *d, const struct ike_sa *sa, uint32_t in_spi);
size_t ike_waiting(const struct daemon *d);	/* IKE SAs that charon has not got */
json_t *ike_json(const struct daemon *d);	/* for status; only with [ike] */
/* All that is kept; NULL without [ike]. */
const struct ike_store *ike_kept(const struct daemon *d);

#endif
