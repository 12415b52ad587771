/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: inbound sequence numbers of one SA and when they came; what a peer was told.
 * Out: how far standbys shall move its window ahead; up to where they are known to.
 * Pure arithmetic.
 */
#ifndef XFRMSYNC_TOOLS_GUARD_H
#define XFRMSYNC_TOOLS_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#define GUARD_NO_LIMIT UINT64_MAX

/* Numbers of the last one to two seconds, counted by slots of about the lag. */
struct guard_rate {
	uint64_t seq;			/* at the last look */
	uint64_t slot_ns, second_ns;	/* when they began, monotonic; 0: never */
	uint32_t in_slot;		/* numbers since */
	uint32_t peak, peak_before;	/* fullest slot of this second, and the one before */
};

struct guard_bounds {
	uint32_t min, max;		/* packets */
	uint32_t max_rate;		/* packets per second, 0: any */
};

/* A new life, or a leap that is no traffic: what comes counts from here. */
void guard_rate_reset(struct guard_rate *r, uint64_t seq);
/* A record was read. slot_ns: as guard_slot. */
void guard_rate_note(struct guard_rate *r, uint64_t seq, uint64_t now_ns,
		     uint64_t slot_ns);
/*
 * guard_slot - the time that a guard has to cover, ns
 * From a packet's arrival to the acknowledgement of the record that tells of it:
 * twice what was measured, and the coalescing interval; from 5 to 250 ms.
 */
uint64_t guard_slot(uint64_t lag_ns, uint64_t interval_ns);
/*
 * guard_choose - how many numbers
 * Two slots as full as the fullest: numbers of one may come while the record of
 * the one before is on its way. None, or the smallest, after two idle seconds.
 */
uint32_t guard_choose(const struct guard_rate *r, uint64_t now_ns,
		      uint64_t slot_ns, const struct guard_bounds *b);
/* Where a standby's window stands: @seq + @guard, if the SA can count so far. */
uint64_t guard_end(uint64_t seq, uint32_t guard, bool esn);

/*
 * What one peer is known to take for seen. Frames arrive in the order in which
 * they were sent, or not at all, and nothing of one connection after the next
 * one has begun: so the place of a frame is the guard's serial number.
 */
struct guard_mark {
	bool told;			/* it may take over with what it was told */
	bool waits;			/* a frame is not acknowledged yet */
	uint64_t limit;			/* whatever of it has arrived, it covers this */
	uint64_t flight_frame, flight_end;	/* the oldest that waits */
	uint64_t last_frame, last_end;		/* the newest sent */
	uint64_t lowest_end;		/* of those after the oldest that waits */
};

/* Before the frame leaves: from here on @limit may be lower. */
void guard_mark_sent(struct guard_mark *m, uint64_t frame, uint64_t end);
/* Frames up to that one stand in its kernel. True: @limit rose. */
bool guard_mark_acked(struct guard_mark *m, uint64_t frames);
/* The connection ended: what is on its way arrives now, or never. */
void guard_mark_lost(struct guard_mark *m);

#endif
