/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what a takeover would do with each SA, and what is known of it.
 * Out: the answer of a dry run: each SA and the sum, as JSON and for people.
 * Pure; with the daemon and without it.
 */
#ifndef XFRMSYNC_TOOLS_PLAN_H
#define XFRMSYNC_TOOLS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "record.h"

struct plan_sa {
	const char *why;	/* it is not safe; NULL: it is */
	uint64_t jump;		/* numbers that nobody sends: the receiver leaps over them */
	uint64_t guard;		/* packets of the peer that are refused as seen, at most */
	bool guard_unknown;	/* ... that is not known here */
	bool held;		/* it delivers nothing until other nodes have followed */
	bool rekey;		/* asked for, though it is used */
	const char *rekey_why;	/* the same, for that reason; NULL: not for one */
};

struct plan {
	json_t *sas;
	bool force;		/* what is not safe is used all the same */
	size_t safe, unsafe, rekeyed, held;
	size_t exposed;		/* of those rekeyed: used, and for a reason of their own */
	size_t unpredicted;	/* of these the loss is not known */
	uint64_t loss;		/* packets of the peers, of the others */
};

void plan_init(struct plan *p, bool force);
void plan_free(struct plan *p);
void plan_add(struct plan *p, const struct sa_id *id, const struct plan_sa *sa);
/* All of it, into the answer. */
void plan_put(const struct plan *p, json_t *answer);
/* That answer's SAs, a line each, and the sum. */
void plan_print(FILE *out, const json_t *answer);

/* After a crash, by the module's record of a standby's SA. */
uint64_t plan_jump(const struct record *k);
/* No other node's guard leads its window, whatever the daemon knew. */
bool plan_is_not_led(const struct record *k);

#endif
