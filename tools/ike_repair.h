/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the packets that peers send to IKE's ports after a takeover; what charon says then.
 * Out: answers and requests that charon cannot make itself (ike_flight.h), to the peers.
 * The daemon's loop; ike.c calls it.
 */
#ifndef XFRMSYNC_TOOLS_IKE_REPAIR_H
#define XFRMSYNC_TOOLS_IKE_REPAIR_H

#include <stdint.h>

#include "ike_store.h"
#include "loop.h"

struct daemon;

struct ike_repair {
	struct daemon *d;
	struct loop_timer hear;		/* after a takeover only */
	uint64_t hear_until_ns;
	struct loop_timer fills;
	uint64_t answered, filled;	/* messages that were sent */
};

void ike_repair_init(struct ike_repair *r, struct daemon *d);
void ike_repair_exit(struct ike_repair *r);
/* This node has taken over these. */
void ike_repair_begin(struct ike_repair *r, struct ike_store *s);
/* It has stepped down. */
void ike_repair_end(struct ike_repair *r, struct ike_store *s);
/* The active's charon has said that of a message id. */
void ike_repair_said(struct ike_repair *r, struct ike_sa *sa, const struct ha_msg *msg);

#endif
