/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: messages of charon's ha plugin (ha.h), in their order.
 * Out: the newest of what each IKE SA and its Child SAs need; the messages that
 *      make them in a charon that has none of them.
 * One thread. Memory is bounded; keys in it are wiped, and locked in memory by
 * secret_protect as all of this process.
 *
 * An IKE SA that was rekeyed stays as long as a Child SA lives that was born in it
 * (its keys come of that one's SK_d) and an IKE SA that came of it: its heir. Of several
 * generations those without Child SAs are left out: the heir's IKE_ADD names the one
 * before them then, which charon (5.9.8, tried) takes, as the key is in that message; the
 * Child SAs get to it all the same. IKEv1's Child SAs outlive their IKE SA by themselves:
 * those are not kept.
 */
#ifndef XFRMSYNC_TOOLS_IKE_STORE_H
#define XFRMSYNC_TOOLS_IKE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"	/* struct list */
#include "ha.h"
#include "ike_flight.h"

#define IKE_STORE_SAS 65536		/* IKE SAs, ancestors included */
#define IKE_STORE_HALF 4096		/* ... that were never established */
#define IKE_STORE_SA_BYTES 65536	/* messages of one, its Child SAs' included */
#define IKE_STORE_ADDS 8		/* key exchanges of one (RFC 9370: 1 + 7) */

/* A datagram of charon, as ha_build makes it. */
struct ike_bytes {
	uint8_t *p;		/* keys; wiped */
	size_t len;
};

struct ike_child {
	struct list of_sa;		/* in their order */
	struct ike_child *next_spi;	/* hash chain */
	struct ike_sa *sa;		/* in whose generation it was born */
	uint32_t in_spi, out_spi;	/* network order */
	struct ike_bytes add;		/* CHILD_ADD */
	uint32_t of_mid;		/* the user's: mid_r then, if the peer asked for it; or 0 */
};

struct ike_sa {
	struct list all;		/* in their order */
	struct list half;		/* while it is not established */
	struct ike_sa *next_id;		/* hash chain */
	struct ha_ike_id id;
	struct ike_sa *parent;		/* whom it rekeyed, if that is still here */
	struct list heirs;		/* those whose parent this is, in their order */
	struct list of_parent;
	bool established;		/* an IKE_UPDATE has said what it is */
	bool gone;			/* deleted; here for its Child SAs, that heirs have */
	const char *incomplete;		/* what there was no room for; NULL: all is here */
	struct ike_bytes add[IKE_STORE_ADDS];	/* IKE_ADD */
	unsigned int adds;
	struct ike_bytes update;	/* IKE_UPDATE with all it is */
	struct ike_bytes other;		/* ... with some of it, newer than that */
	struct ike_bytes vips;		/* ... with virtual addresses */
	struct ike_bytes iv;		/* IKE_IV */
	uint32_t mid_i, mid_r;		/* next requests' ids: ours, the peer's; 0: none yet */
	struct list children;		/* born in this one */
	unsigned int n_children;
	size_t bytes;
	uint64_t changed;		/* the store's serial when it changed last */
	bool played;			/* the user's: this node's charon has it */
	bool old;			/* ... or the one that ended had it, this one has not */
	struct ike_flight flight;	/* ... since it took over */
};

struct ike_store {
	struct ike_sa **by_id;
	struct ike_child **by_spi;
	size_t buckets;			/* power of two */
	struct list all, half;
	size_t n, n_half, n_children;
	size_t max, max_half, max_bytes;	/* may be set before the first message */
	uint64_t evicted;		/* half-open ones, for lack of room */
	uint64_t serial;		/* messages that changed something */
	/* The user's, may be set: no message says that it ends, and it goes. */
	void (*dropped)(void *arg, struct ike_sa *sa);
	void *arg;
	struct ha_msg *scratch;		/* so that nothing is lost for lack of memory */
};

enum ike_store_took {
	IKE_STORE_SAME = 0,	/* nothing came of it: known already, or no concern of ours */
	IKE_STORE_CHANGED = 1,
};

int ike_store_init(struct ike_store *s);	/* 0 or -ENOMEM */
void ike_store_exit(struct ike_store *s);	/* all is wiped */

/*
 * ike_store_take - the next message, of the active's charon or from its store
 * @msg: of ha_parse
 * An IKE_ADD that repeats the one that is known changes nothing.
 * Return: enum ike_store_took; -ENOENT: of an IKE SA that is not known, or deleted;
 * -ENOSPC: no room (the SA, if it is known, is incomplete then); -EBADMSG: an IKE_ADD
 * that rekeys itself, or that makes one anew which has heirs; -ENOMEM.
 */
int ike_store_take(struct ike_store *s, const struct ha_msg *msg);

/* Gets one datagram. Not 0: no more of them; ike_store_play returns it. */
typedef int ike_store_fn(void *arg, const struct ike_sa *sa, const uint8_t *msg,
			 size_t len);

/*
 * ike_store_play - what makes all of it in a charon, whatever of it that has now
 * Each family, an IKE SA with its heirs, is deleted first: a second IKE_ADD would make
 * a second one. Ancestors come before heirs, each with its Child SAs; what is not
 * established comes last. The messages, taken by a store, make it the same.
 */
int ike_store_play(const struct ike_store *s, ike_store_fn *fn, void *arg);
/* The same of the family that one IKE SA is of. */
int ike_store_play_sa(const struct ike_sa *sa, ike_store_fn *fn, void *arg);

struct ike_sa *ike_store_find(const struct ike_store *s,
			      const struct ha_ike_id *id);
/* By its inbound SPI, network order. */
struct ike_child *ike_store_find_child(const struct ike_store *s, uint32_t spi);
/* The IKE SA that has a Child SA now: the youngest established heir of its generation's. */
struct ike_sa *ike_store_holder(const struct ike_child *c);
/* It is begun, and neither established nor rekeyed: it may come to nothing. */
bool ike_store_is_half(const struct ike_sa *sa);
/* As an IKE_DELETE of it. */
void ike_store_drop(struct ike_store *s, struct ike_sa *sa);
/* What is kept takes so much memory, without the tables. */
size_t ike_store_bytes(const struct ike_store *s);
/* All of it goes. */
void ike_store_clear(struct ike_store *s);
/* After a repair: the next request's id of ours (initiator) or of the peer; 0: unknown. */
void ike_store_set_mid(struct ike_sa *sa, bool initiator, uint32_t mid);
/*
 * One IKE_MID_INITIATOR or _RESPONDER, IKE_DELETE or CHILD_DELETE for this SA, in the
 * version that its messages have. 0 or -ENOMEM.
 */
int ike_store_mid_msg(const struct ike_sa *sa, bool initiator, uint32_t mid,
		      struct buf *out);
int ike_store_delete_msg(const struct ike_sa *sa, struct buf *out);
int ike_store_child_delete_msg(const struct ike_sa *sa, uint32_t in_spi,
			       struct buf *out);
/* Its last message of a type, parsed; false: there is none. */
bool ike_store_parse(const struct ike_bytes *b, struct ha_msg *msg);

#define ike_store_for_each(s, sa) \
	for (sa = container((s)->all.next, struct ike_sa, all); \
	     &sa->all != &(s)->all; \
	     sa = container(sa->all.next, struct ike_sa, all))
/* The one that it stands at, and those before it, may go. */
#define ike_store_for_each_safe(s, sa, next) \
	for (sa = container((s)->all.next, struct ike_sa, all), \
	     next = container(sa->all.next, struct ike_sa, all); \
	     &sa->all != &(s)->all; \
	     sa = next, next = container(sa->all.next, struct ike_sa, all))
#define ike_sa_for_each_child(sa, c) \
	for (c = container((sa)->children.next, struct ike_child, of_sa); \
	     &c->of_sa != &(sa)->children; \
	     c = container(c->of_sa.next, struct ike_child, of_sa))

#endif
