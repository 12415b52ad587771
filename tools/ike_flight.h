/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the message ids that an IKE SA had when this node took over; what its peer asks,
 *     and what charon says of its own requests, since then.
 * Out: what charon cannot do itself, and has to be done for it.
 * Pure.
 *
 * charon's ha plugin tells an id when a request is sent or has come, never when it is
 * answered. So of the last request of either side nobody here knows whether the other
 * side is done with it. Nobody has to: each is settled so that both ends agree,
 * whichever it was.
 *
 * - The peer's last one, id M, is done for charon (it expects M + 1), which has no answer
 *   to it. Where the answer was lost, or never made, the peer sends it again; where it
 *   was not, never. So whoever sends it again is answered: nothing more was wanted of an
 *   INFORMATIONAL; a CREATE_CHILD_SA is to be tried again, later, with another id.
 * - Our own last one, id M, is done for charon, too: its first one since is M + 1. Where M
 *   never came to the peer, that one is not looked at there. An empty INFORMATIONAL with id
 *   M is, and then both are at M + 1; where M had come, it is not, and both are already.
 */
#ifndef XFRMSYNC_TOOLS_IKE_FLIGHT_H
#define XFRMSYNC_TOOLS_IKE_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

/* More than charon repeats a request, or a peer that means well. */
#define IKE_FLIGHT_ANSWERS 16
/* A packet of ours may be lost, too; this many, each time waiting longer. */
#define IKE_FLIGHT_FILLS 4
#define IKE_FLIGHT_PAUSE_NS 1000000000ULL

struct ike_flight {
	uint32_t mid_i, mid_r;	/* next ids then: ours, the peer's; 0: none, or that is over */
	unsigned int answers;
	unsigned int fills;
	uint64_t fill_at_ns;	/* when the next one is due; 0: never */
};

enum ike_flight_act {
	IKE_FLIGHT_NOTHING = 0,	/* charon knows what to do */
	IKE_FLIGHT_EMPTY,	/* answer that it is done */
	IKE_FLIGHT_LATER,	/* answer that it is to be tried again; undo what came of it */
};

/* This node takes over, with these next ids (0: none yet). */
void ike_flight_begin(struct ike_flight *f, uint32_t mid_i, uint32_t mid_r);
/* A request of the peer, which is the peer's own beyond doubt. */
enum ike_flight_act ike_flight_asked(struct ike_flight *f, uint32_t id,
				     uint8_t exchange);
/* charon says: the next request of ours, or of the peer, has this id. */
void ike_flight_said(struct ike_flight *f, bool initiator, uint32_t mid,
		     uint64_t now_ns);
/* The peer has answered the request of ours with this id, beyond doubt. */
void ike_flight_answered(struct ike_flight *f, uint32_t id);
/* True: an empty request with that id is to be sent now. It counts as sent. */
bool ike_flight_fill(struct ike_flight *f, uint64_t now_ns, uint32_t *id);

#endif
