/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: -
 * Out: what an input of peer_fuzz.c consists of, for who reads it and who writes it.
 *
 * A byte of the node's settings, and then steps: a byte that says what happens and to
 * whom (what | whom << 5), and what belongs to it.
 */
#ifndef XFRMSYNC_TOOLS_FUZZ_PEER_FUZZ_H
#define XFRMSYNC_TOOLS_FUZZ_PEER_FUZZ_H

/* The settings. */
#define NODE_ACTIVE 1U
#define NODE_STRICT 2U
#define NODE_NEW_SPI 4U		/* on_conflict */
#define NODE_RENEGOTIATE 8U
#define NODE_MAPS 16U		/* the first peer's addresses */
#define NODE_TWO_PEERS 32U
#define NODE_HAS_OWN 64U	/* SAs and policies that no peer told */
#define NODE_GOES_ON 128U	/* past the end of a lease */

enum step {
	STEP_FRAME,		/* u8 type, u8 enum step_epoch, u16 length, payload */
	STEP_IDLE,		/* all that had come was read */
	STEP_TIME,		/* u8: hundredths of a second */
	STEP_CONNECT,		/* and its HELLO is to come */
	STEP_LOSE,		/* its link */
	STEP_TAKEOVER,		/* whom: with force */
	STEP_STANDBY,
	STEP_TRAFFIC,		/* whom: which SA; u16 packets */
	STEP_DELETE,		/* whom: which SA, by somebody else */
	STEP_OWN,		/* whom: which of those that somebody adds */
	STEP_FAIL,		/* u8 when, u8 how often; whom: which errno */
	STEP_RESYNC,		/* the module dropped changes */
	STEP_FENCED,		/* by the module */
	STEPS
};

/* Of a frame's header. */
enum step_epoch {
	EPOCH_OURS,		/* as the node has it */
	EPOCH_THEIRS,		/* one further, made by the peer */
	EPOCH_OLD,
	EPOCH_NONE,
	EPOCH_FAR,		/* as far as is believed */
	EPOCH_TOO_FAR,
	EPOCH_LAST,		/* WIRE_MAX_EPOCH */
	EPOCHS
};

#endif
