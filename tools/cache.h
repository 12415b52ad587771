/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: contexts and records, of this kernel (active) or of the active (standby).
 * Out: the newest of each, and what each peer has yet to hear.
 * One thread. Memory is bounded by the number of SAs; keys in it are wiped.
 */
#ifndef XFRMSYNC_TOOLS_CACHE_H
#define XFRMSYNC_TOOLS_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "context.h"
#include "guard.h"
#include "record.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_del(struct list *l)
{
	l->next->prev = l->prev;
	l->prev->next = l->next;
	list_init(l);
}

static inline void list_add_tail(struct list *l, struct list *head)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* All of from behind what is in to. */
static inline void list_move_all(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define container(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/*
 * What one peer has yet to hear of one SA or policy. While dirty it is on the
 * peer's dirty list, oldest first; while a sent record waits for its
 * acknowledgement, on the peer's flight list.
 */
struct mark {
	struct list dirty, flight;
	void *owner;			/* the entry, or the policy */
	bool is_policy;
	bool need_context;		/* else the record alone */
	bool told;			/* the peer knows this context */
	bool snapshot;			/* part of the snapshot that runs */
	uint64_t since_ns;		/* when it became dirty */
	uint64_t flight_since_ns, flight_frame, flight_oseq, flight_seq;
	uint64_t last_frame, last_oseq, last_seq;	/* newest sent */
	uint64_t acked_oseq, acked_seq;
	/* Stays when the link goes: the peer may take over all the same. */
	struct lease_mark {
		bool offered;		/* it has a range for this SA */
		uint64_t offered_start;	/* where that begins */
		uint64_t offered_end;	/* the lease that it comes after */
		uint64_t acked_end;	/* the last one that it has raised for */
		bool asked;		/* soft-expired since, as it left the set */
	} lease;
	struct guard_mark guard;
	bool exposed;			/* as the peer was told last */
	char *refused;			/* why the peer has not installed it; NULL: it has */
};

enum cache_applied {
	CACHE_NOT_APPLIED,
	CACHE_APPLIED,
	CACHE_CONFLICT,		/* another SA with this identity; left alone */
	CACHE_FAILED,
	CACHE_UNSUPPORTED,	/* this kernel does not do its kind */
	CACHE_REFUSED,		/* its context is not understood; left alone */
	CACHE_STATES,
};

struct cache_entry {
	struct cache_entry *next_id, *next_handle;	/* hash chains */
	struct list all;
	struct sa_id id;
	struct context_sa info;
	uint8_t *context;		/* keys; wiped by cache_remove */
	size_t context_len;
	uint32_t handle;		/* on the wire */
	uint64_t tag;
	uint64_t cookie;		/* life in this kernel, 0 unknown */
	struct record rec;
	uint64_t base;			/* counter as restored, not sent up to */
	uint64_t sent;			/* highest number known to be sent */
	uint64_t lease_end;		/* active: in force, 0 for none; standby: our start */
	uint64_t given;			/* ranges were given out up to here, by whichever node */
	uint64_t known;			/* standby: ... by others than the active that it follows */
	/* Active: those of this lease's end: from where, each so many numbers. */
	uint64_t given_for, given_from, range;
	uint64_t offer;			/* active: the next one, not granted by all yet */
	uint64_t range_end;		/* standby: how far we may go, if we take over */
	uint64_t lease_told;		/* standby: the start that we acknowledged */
	const char *unsafe;		/* why it must not be taken over; NULL: it may */
	bool stopped;			/* active: at its lease's end, and that was said */
	uint32_t pmtu;			/* as peers are told, or as the active told; 0: nothing */
	struct list path;		/* active: among those whose path's is asked for ... */
	unsigned int path_rounds;	/* ... so often still, where none is known */
	bool orphan;			/* a peer that was removed has a range */
	bool apart;			/* others than the peers may have ranges */
	bool hole;			/* a peer may have used it, and has lost how far */
	uint64_t hole_cap;		/* ... what it can have accepted, inbound, begins above */
	bool rekey_asked;		/* ... and its key manager was asked */
	bool seen;			/* in the walk or snapshot that runs */
	bool bound;			/* the kernel knows tag and lease */
	struct list unbound;		/* among those that are not, or were not lately */
	bool shared;			/* another node may have it, or had it */
	bool fresh;			/* standby: nothing was asked, or made, of it yet */
	bool making;			/* standby: it waits to be made (apply.c) */
	bool queued;			/* its record waits for a restore */
	bool repair;			/* look at the kernel's SA again */
	bool existed;			/* in the kernel, unknown to the module */
	uint64_t floor;			/* outbound number that this node may have used */
	uint64_t drawn;			/* standby: highest number that our kernel knows sent */
	uint64_t used_told, made;	/* ... that the active was told; that we made the SA with */
	uint64_t wrote;			/* standby: what our kernel has by our restore */
	/* Planned takeover: the last number drawn, the lease it was drawn in. */
	uint64_t final, final_lease;
	bool has_final;
	bool give;			/* not given away yet */
	bool raising;			/* apply_raise: it shall be at base */
	/* Active: inbound.c. What is announced; limits; what a removed peer covers. */
	struct guard_rate guard_rate;
	uint32_t guard;
	struct list led;		/* among those whose guard may shrink */
	bool stuck_asked;		/* held for a peer that is gone: it shall be rekeyed */
	bool rekey_due;			/* exposed.c: so shall this one, and was not asked for yet */
	uint64_t guard_end;		/* that the module shall have, 0 for none */
	uint64_t guard_in_force;	/* that it has */
	bool guard_read;		/* what it let through before is not known yet */
	bool guard_capped;
	uint64_t guard_cap;
	struct lead_window *own;	/* standby: lead.c */
	bool own_told;			/* ... and the active was told of it */
	bool unread;			/* standby: what our kernel knows of it we could not see */
	bool written;			/* standby: the kernel has had our window */
	bool strays;			/* standby: it has accepted more by itself */
	struct context_sa *way;		/* standby: of a conflict, the one that is here */
	uint8_t told_refused;		/* standby: what the active knows, enum wire_refusal */
	bool renumbered;		/* standby: by an SPI of this node's own */
	uint64_t ike_until_ns;		/* standby: charon makes it, up to then; 0: it is not asked */
	bool by_ike;			/* standby: it did */
	enum cache_applied applied;	/* standby */
	struct mark *mark;		/* cache.n_marks of them */
};

struct cache_policy {
	struct cache_policy *next_key;	/* hash chain */
	struct list all, unready;
	struct context_policy info;
	uint8_t *context;
	size_t context_len;
	bool seen;
	bool making;			/* standby: it waits to be made (apply.c) */
	bool failed;			/* standby: the kernel refuses it */
	bool conflict;			/* standby: this node has another */
	bool refused;			/* standby: its context is not understood; or */
	bool joined;			/* it is two of the peer's, which the map makes one */
	uint64_t peers_name;		/* a hash of the key that the peer has for it */
	struct mark *mark;		/* likewise */
};

struct cache {
	struct cache_entry **by_id, **by_handle;
	size_t buckets;			/* power of two */
	struct list entries;
	size_t n_entries;
	struct list unbound, led;	/* entries: all that are, and some that are no more */
	struct list path;		/* entries, likewise: pmtu_follow.c takes them from here */
	size_t n_unsafe, n_repair;	/* entries with these set */
	size_t n_refused;		/* marks */
	struct list policies;
	struct cache_policy **by_key;
	size_t policy_buckets;		/* power of two */
	size_t n_policies;
	struct list unready;		/* policies: failed, in conflict, or refused */
	size_t n_unready;
	size_t n_refused_policies;
	size_t n_optional;		/* with an optional template */
	size_t n_marks;			/* of each entry and policy: peers */
	uint32_t next_handle;
};

int cache_init(struct cache *c);	/* 0 or -ENOMEM; marks for CONF_MAX_PEERS */
/*
 * cache_set_marks - room for so many peers' marks, as long as none is on a list
 * It is more than half of what an entry takes. Those of peers that were there stay. Less
 * than before only where nothing is cached.
 * Return: 0; -ENOMEM: it is as before.
 */
int cache_set_marks(struct cache *c, size_t n);
void cache_exit(struct cache *c);

struct cache_entry *cache_find(struct cache *c, const struct sa_id *id);
struct cache_entry *cache_find_handle(struct cache *c, uint32_t handle);
/* Those of that address, protocol and SPI, with whatever marks. */
struct cache_entry *cache_first_marked(struct cache *c, const struct sa_id *id);
struct cache_entry *cache_next_marked(const struct cache_entry *e,
				      const struct sa_id *id);
#define cache_for_each_marked(c, id, e)					\
	for ((e) = cache_first_marked(c, id); (e);			\
	     (e) = cache_next_marked(e, id))
/* A new entry; the context is copied. handle 0: the next free one. NULL: no memory. */
struct cache_entry *cache_add(struct cache *c, const struct context_sa *info,
			      const uint8_t *context, size_t len,
			      uint32_t handle);
/* Another context for the same SA. 0 or -ENOMEM (the old one stays). */
int cache_set_context(struct cache_entry *e, const struct context_sa *info,
		      const uint8_t *context, size_t len);
/* why is kept, not copied; NULL: safe. */
void cache_set_unsafe(struct cache *c, struct cache_entry *e, const char *why);
void cache_set_repair(struct cache *c, struct cache_entry *e, bool repair);
/* A policy lets the traffic of that SA pass where the SA is stopped. */
bool cache_lets_plaintext(const struct cache *c, const struct context_sa *info);
void cache_set_handle(struct cache *c, struct cache_entry *e, uint32_t handle);
/* It has another SPI on this node. */
void cache_set_spi(struct cache *c, struct cache_entry *e, uint32_t spi);
/* The SA that is in its way; NULL: none. */
void cache_set_way(struct cache_entry *e, const struct context_sa *way);
/* By that peer; NULL: it is not. */
void cache_set_refused(struct cache *c, struct mark *m, const char *why);
/* No entry has a handle any more; cache_set_handle gives new ones. */
void cache_forget_handles(struct cache *c);
/* Each entry gets one of ours. */
void cache_renumber(struct cache *c);
void cache_remove(struct cache *c, struct cache_entry *e);

struct cache_policy *cache_policy_find(struct cache *c,
				       const struct context_policy *info);
struct cache_policy *cache_policy_add(struct cache *c,
				      const struct context_policy *info,
				      const uint8_t *context, size_t len);
void cache_policy_set_info(struct cache *c, struct cache_policy *p,
			   const struct context_policy *info);
/* In this kernel it is not what it should be; false, false: it is. */
void cache_policy_set_unready(struct cache *c, struct cache_policy *p,
			      bool failed, bool conflict);
/* Nor is it what its context says, as nobody here knows what that is. */
void cache_policy_set_refused(struct cache *c, struct cache_policy *p,
			      bool refused);
/* Of those, one that uses the SA, or may: it is not used without. NULL: none. */
const struct cache_policy *cache_lacks_policy(const struct cache *c,
					      const struct context_sa *info);
int cache_policy_set(struct cache_policy *p, const uint8_t *context, size_t len);
void cache_policy_remove(struct cache *c, struct cache_policy *p);

#define cache_for_each(c, e) \
	for (e = container((c)->entries.next, struct cache_entry, all); \
	     &e->all != &(c)->entries; \
	     e = container(e->all.next, struct cache_entry, all))
/* Stands removal of the current one. */
#define cache_for_each_safe(c, e, n) \
	for (e = container((c)->entries.next, struct cache_entry, all), \
	     n = container(e->all.next, struct cache_entry, all); \
	     &e->all != &(c)->entries; \
	     e = n, n = container(e->all.next, struct cache_entry, all))
/* Of those lists; the one that it is at may leave its list. */
#define cache_for_each_on(c, list, e, n) \
	for (e = container((c)->list.next, struct cache_entry, list), \
	     n = container(e->list.next, struct cache_entry, list); \
	     &e->list != &(c)->list; \
	     e = n, n = container(e->list.next, struct cache_entry, list))
#define cache_for_each_policy_safe(c, p, n) \
	for (p = container((c)->policies.next, struct cache_policy, all), \
	     n = container(p->all.next, struct cache_policy, all); \
	     &p->all != &(c)->policies; \
	     p = n, n = container(p->all.next, struct cache_policy, all))

/* The kernel has to be told its tag and lease: whoever does it need not look for it. */
void cache_unbind(struct cache *c, struct cache_entry *e);
/* Its guard may shrink again. */
void cache_lead(struct cache *c, struct cache_entry *e);
/* Something was sent by it: what this kernel learns of its path comes now, or never. */
void cache_ask_path(struct cache *c, struct cache_entry *e);
/* Note a number that the active drew; keeps sent and base (see the fields). */
void cache_note_record(struct cache_entry *e, const struct record *rec);

#endif
