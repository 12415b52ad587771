/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what one node tells another.
 * Out: frames, as Documentation/wire.rst says byte by byte, and back.
 * Pure; frames may hold keys: wipe them.
 */
#ifndef XFRMSYNC_TOOLS_WIRE_H
#define XFRMSYNC_TOOLS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "chain.h"
#include "record.h"
#include "spi.h"

#define WIRE_MAGIC 0x5853		/* "XS" */
#define WIRE_VERSION 1
#define WIRE_HEADER 20			/* bytes */
#define WIRE_MAX_EPOCH	(UINT64_MAX >> 2)	/* a takeover takes the next one */
#define WIRE_MAX_PAYLOAD (128 * 1024)	/* bytes */
#define WIRE_NAME_MAX 63
#define WIRE_TAG_KEY 32

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_ERROR = 2,
	WIRE_PING = 3,
	WIRE_PONG = 4,
	WIRE_SNAPSHOT_BEGIN = 16,
	WIRE_SNAPSHOT_END = 17,
	WIRE_CONTEXT = 18,
	WIRE_DELETE = 19,
	WIRE_RECORDS = 20,
	WIRE_POLICY = 21,
	WIRE_POLICY_DELETE = 22,
	WIRE_ACK = 23,
	WIRE_RESYNC = 24,
	WIRE_LEASE_ACK = 25,
	WIRE_MERGE = 26,
	WIRE_USED = 27,
	WIRE_GIVEN = 28,
	WIRE_FILL = 29,
	WIRE_REFUSED = 30,
	WIRE_LACKING = 31,
	WIRE_HANDOVER_REQUEST = 32,
	WIRE_HANDOVER = 33,
	WIRE_FINAL = 34,
	WIRE_IKE = 35,
};

/* What a HANDOVER frame says. */
enum wire_handover {
	WIRE_HANDOVER_DONE = 0,		/* all was sent: the receiver is the owner */
	WIRE_HANDOVER_COMING = 1,	/* the last records follow */
	WIRE_HANDOVER_REFUSED = 2,	/* to the active: nobody took over */
};

enum wire_error {
	WIRE_ERROR_VERSION = 1,
	WIRE_ERROR_NAME = 2,
	WIRE_ERROR_MALFORMED = 3,
	WIRE_ERROR_DUPLICATE = 4,
	WIRE_ERROR_GOING = 5,		/* the daemon stops, in order */
};

struct wire_header {
	uint8_t version, type;
	uint32_t length;		/* of the payload, bytes */
	uint64_t epoch;			/* in force at the sender */
	uint32_t node;			/* that made this epoch */
};

/*
 * wire_header_parse - look at the first bytes of what came
 * Return: 1, *h is filled; 0, more bytes are needed; -EPROTO (no such
 * protocol); -EPROTONOSUPPORT (h->version is not ours); -EMSGSIZE (too long).
 */
int wire_header_parse(const uint8_t *p, size_t len, struct wire_header *h);

/* Append a header; the length is filled in by wire_end. Returns its place. */
size_t wire_begin(struct buf *b, uint8_t type, uint64_t epoch, uint32_t node);
void wire_end(struct buf *b, size_t at);

struct wire_hello {
	uint32_t node_id;		/* of the sender */
	uint8_t role;			/* enum xfrmsync_role */
	bool has_tag_key;
	uint64_t instance;		/* random, of this run of the daemon */
	char name[WIRE_NAME_MAX + 1];
	uint8_t tag_key[WIRE_TAG_KEY];	/* of the active; wipe */
	struct spi_range spi_range;	/* of the sender, if it has one */
	uint64_t own;			/* epoch in which it became active last; 0 never */
	uint64_t lost;			/* of these, the last one of which it has lost that; 0 */
	bool sees;			/* it is connected with the active that it follows */
	bool knows_exposed;		/* ... what that bit of a record is */
	bool takes_ike;			/* it has a charon to keep IKE SAs for */
	struct chain chain;		/* what is accounted for in what it has */
};

void wire_put_hello(struct buf *b, const struct wire_hello *h);
int wire_get_hello(struct rd *r, struct wire_hello *h);	/* 0, -EBADMSG */

#define WIRE_RECORD_MAX 700	/* bytes of one record with the largest window */
#define WIRE_SA_UNSAFE 1	/* flags: no lease was possible, or it went past one: rekey it */

/* An SA as a CONTEXT frame tells it. */
struct wire_sa {
	uint32_t handle;	/* names the SA in RECORDS and DELETE; not 0 */
	uint32_t flags;		/* WIRE_SA_* */
	uint64_t tag;
	uint64_t lease_end;	/* where the receiver starts, 0 for no lease */
	uint64_t range_end;	/* how far it may go then */
	uint64_t given_end;	/* up to where others may have ranges */
	uint64_t sent;
	struct record rec;	/* counters, window, lifetimes */
	const uint8_t *context;	/* in place */
	size_t context_len;
};

/* now: wall clock of this node, seconds; the wire carries ages. */
void wire_put_sa(struct buf *b, const struct wire_sa *sa, uint64_t now);
int wire_get_sa(struct rd *r, struct wire_sa *sa, uint64_t now);

/*
 * wire_put_record - the moving part of an SA
 * Only what is not zero takes room. sent equal to oseq takes none. exposed is for
 * those only who know it (HELLO): for others the record is not canonical then.
 */
void wire_put_record(struct buf *b, uint32_t handle, const struct record *rec,
		     uint64_t sent, uint64_t now);
/* rec is zeroed first. 0 or -EBADMSG (cut, or not the canonical form). */
int wire_get_record(struct rd *r, uint32_t *handle, struct record *rec,
		    uint64_t *sent, uint64_t now);

/* Why a standby has not installed an SA. */
enum wire_refusal {
	WIRE_REFUSED_NOT = 0,		/* it has it now */
	WIRE_REFUSED_UNSUPPORTED = 1,	/* its kernel does not do this kind */
	WIRE_REFUSED_CONFLICT = 2,	/* another SA has the SPI there */
	WIRE_REFUSED_CONTEXT = 3,	/* it does not understand it */
	WIRE_REFUSED_FAILED = 4,	/* its kernel refused it; it tries again */
};

#define WIRE_REFUSED_TEXT 255	/* bytes */

struct wire_refused {
	uint32_t handle;
	uint64_t tag;
	uint8_t why;		/* enum wire_refusal, or of a later version */
	char text[WIRE_REFUSED_TEXT + 1];	/* for people */
};

/* What is longer is cut. */
void wire_put_refused(struct buf *b, const struct wire_refused *f);
/* 0 or -EBADMSG. What is not printable ASCII is replaced. */
int wire_get_refused(struct rd *r, struct wire_refused *f);

#define WIRE_LACKING_TEXT WIRE_REFUSED_TEXT

/*
 * What SAs of a kind have and the standby's kernel passes over, for people; not
 * empty. What is longer is cut.
 */
void wire_put_lacking(struct buf *b, const char *text);
/* 0 or -EBADMSG. What is not printable ASCII is replaced. */
int wire_get_lacking(struct rd *r, char text[WIRE_LACKING_TEXT + 1]);

/* The window of a node's own time: of rec, seq and the bitmap. */
void wire_put_merge(struct buf *b, uint32_t handle, uint64_t tag,
		    const struct record *rec);
int wire_get_merge(struct rd *r, uint32_t *handle, uint64_t *tag,
		   struct record *rec);	/* 0 or -EBADMSG */

/*
 * wire_frame.c: the payloads of the other frames. All wire_get_ return 0, or
 * -EBADMSG for what is too short; of DELETE, USED and GIVEN for what is too long,
 * too. LEASE_ACK and FINAL are as many of theirs as stand there.
 */

/* ERROR, for people. What does not fit into size bytes with its NUL is cut. */
void wire_put_error(struct buf *b, uint16_t code, const char *text);
int wire_get_error(struct rd *r, uint16_t *code, char *text, size_t size);

/* SNAPSHOT_BEGIN: how many follow, about. */
struct wire_snapshot {
	uint32_t sas, policies;
};

void wire_put_snapshot(struct buf *b, const struct wire_snapshot *s);
int wire_get_snapshot(struct rd *r, struct wire_snapshot *s);

struct wire_delete {
	uint32_t handle;
	uint64_t tag;
};

void wire_put_delete(struct buf *b, const struct wire_delete *del);
int wire_get_delete(struct rd *r, struct wire_delete *del);

struct wire_ack {
	uint64_t frames;		/* of state, on this connection */
	uint32_t sas, conflicts;	/* ready at the standby; not so, by its own */
};

void wire_put_ack(struct buf *b, const struct wire_ack *ack);
int wire_get_ack(struct rd *r, struct wire_ack *ack);

/* LEASE_ACK: a counter that was raised, in the kernel. */
struct wire_lease_ack {
	uint32_t handle;
	uint64_t number;
};

void wire_put_lease_ack(struct buf *b, const struct wire_lease_ack *ack);
int wire_get_lease_ack(struct rd *r, struct wire_lease_ack *ack);

/* USED: the highest that the standby drew itself. GIVEN: how far ranges go. */
struct wire_number {
	uint32_t handle;
	uint64_t tag;
	uint64_t number;
};

void wire_put_number(struct buf *b, const struct wire_number *n);
int wire_get_number(struct rd *r, struct wire_number *n);

/* enum wire_handover, or of a later version */
void wire_put_handover(struct buf *b, uint32_t result);
int wire_get_handover(struct rd *r, uint32_t *result);

#define WIRE_FINAL_BYTES 20	/* of one */

/* FINAL: where the active's own counter stands, and the end of its lease. */
struct wire_final {
	uint32_t handle;
	uint64_t last;
	uint64_t lease_end;
};

void wire_put_final(struct buf *b, const struct wire_final *f);
int wire_get_final(struct rd *r, struct wire_final *f);

enum wire_ike_what {
	WIRE_IKE_BEGIN = 1,	/* all that the active has follows */
	WIRE_IKE_MESSAGE = 2,
	WIRE_IKE_END = 3,
	WIRE_IKE_WANT = 4,	/* of an active: all that the standby was told */
	WIRE_IKE_AGE = 5,	/* of a standby, before its answer; a version before passes it over */
};

#define WIRE_IKE_MAX 2048	/* bytes of a message: as charon has it */

/* How old the answer is: which active told it, and for how long nothing was heard of that. */
struct wire_ike_age {
	uint64_t epoch;
	uint32_t node;
	uint64_t ms;
};

void wire_put_ike_age(struct buf *b, const struct wire_ike_age *age);
/* 0 or -EBADMSG; a later version may say more behind it. */
int wire_get_ike_age(struct rd r, struct wire_ike_age *age);

/* IKE: a datagram of the active's charon (ha.h); wipe. */
struct wire_ike {
	uint8_t what;		/* enum wire_ike_what, or of a later version */
	const uint8_t *msg;	/* in place */
	size_t len;		/* 0, but for a message */
};

void wire_put_ike(struct buf *b, const struct wire_ike *ike);
int wire_get_ike(struct rd *r, struct wire_ike *ike);

#endif
