/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: -
 * Out: struct daemon, what the parts of `xfrmsync run` share.
 * One thread, one loop.
 *
 * source (active: kernel -> cache) -> peer (cache <-> wire) -> apply (standby:
 * cache -> kernel); role decides which of them runs.
 */
#ifndef XFRMSYNC_TOOLS_DAEMON_H
#define XFRMSYNC_TOOLS_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "cache.h"
#include "conf.h"
#include "genl.h"
#include "ike.h"
#include "kind.h"
#include "link.h"
#include "log.h"
#include "loop.h"
#include "omitted.h"
#include "owned.h"
#include "pmtu.h"
#include "state.h"
#include "wire.h"
#include "xfrm.h"

#define PEER_LACKING 32		/* kinds that are kept of what a peer's kernel lacks */
#define DAEMON_BATCH 224	/* records in one restore: 32 KB of most of them */
/* Soft expiries at once, and then a pause, as the module does after a takeover:
 * thousands at once would drown an IKE daemon.
 */
#define EXPIRE_AT_ONCE 64
#define EXPIRE_PAUSE (100 * LOOP_MS)

struct daemon;

/* A configured peer. Its link is the one that passed HELLO, or NULL. */
struct peer {
	struct daemon *d;
	int index;			/* of the marks in the cache */
	char name[64];
	struct conf_peer conf;
	struct link *link;		/* in use */
	struct link *attempt;		/* outgoing, not in use yet */
	struct loop_timer retry;
	unsigned int failures;
	uint64_t refusal_logged_ns;
	char refusal[160];		/* last one logged, so that each is said once */
	struct log_budget asks, says;	/* snapshots; complaints */
	/* As the peer's HELLO said. */
	uint32_t node_id;
	uint64_t instance, last_instance;
	uint32_t role;
	uint64_t epoch;
	uint32_t epoch_node;
	struct spi_range spi_range;
	uint64_t own;			/* epoch in which it became active last; 0 never */
	uint64_t lost;			/* of these, the last one of which that is lost */
	bool sees;			/* it was connected with the active of that epoch */
	bool knows_exposed;		/* it understands that word of a record */
	bool takes_ike;			/* it keeps IKE SAs, for a charon of its own */
	struct chain chain;
	bool spi_overlap;		/* with ours, and that was said */
	/* What goes to it (we are active). */
	bool sending;			/* it takes our stream */
	bool snapshot_end_due;
	size_t snapshot_left;
	uint64_t snapshot_frame;	/* its last one */
	struct list dirty, flight;	/* marks */
	uint64_t lost_ns;		/* without a link since then; 0: it has one */
	bool left;			/* the sync set, and that was said */
	size_t soft_expired;		/* SAs, since it left */
	uint64_t lag_ns;		/* from a record to its acknowledgement, of late */
	struct buf deletes;		/* frames, before all else */
	size_t n_deletes;
	uint64_t frames_sent, frames_acked;
	uint32_t peer_sas, peer_conflicts;
	char *lacking[PEER_LACKING];	/* what its kernel passes over, for people */
	size_t n_lacking;
	/* What comes from it (it is active). */
	bool in_snapshot;
	bool joined;			/* the map made two of its SAs, or policies, one: refused */
	uint64_t frames_taken, frames_ack_sent;
	bool first_hello;		/* of this link: it may be of before */
	uint64_t snapshots_in, snapshots_out, records_in, records_out;
};

/* An SA that has another SPI here than on the active: renumber.c. */
struct renumbered {
	struct context_sa from;
	uint64_t tag;
	uint32_t spi;
};

/* Of pmtu_follow.c. */
struct pmtu_follow {
	struct pmtu known;
	bool open_failed;		/* and that was said */
	struct loop_timer timer;
	struct list round;		/* entries of the cache that are to be looked at in it */
	/* Of the active before this node, and not told to this kernel yet. */
	struct pmtu_due {
		struct context_sa sa;
		uint32_t mtu;
		unsigned int tries;
	} *due;
	size_t n_due, at;
	uint64_t until_ns;		/* no longer for what is not here: address, route */
	size_t applied, not_needed, failed;
	int why;			/* one of them failed: pmtu_why() */
};

struct daemon {
	struct loop loop;
	struct conf conf;
	struct state st;
	struct genl req;		/* requests */
	struct genl reader;		/* subscribed while active */
	struct genl events;		/* role changes */
	bool reading;
	bool policies_untied;		/* some use no SA that is told */
	size_t policies_gone;		/* that are for an interface that is, said so */
	struct omitted omitted;		/* SAs that peers are not told of */
	bool bind_due;			/* an entry is not bound */
	bool no_hook;			/* capture is a scan */
	bool bind_failed;		/* peers were told so: tell them again */
	bool leasing;			/* a peer is told SAs: new ones get a limit */
	uint64_t ends_ns;		/* since when SAs that stop are named */
	size_t ends_named;		/* ... so many */
	struct loop_fd reader_io, xfrm_io, module_io;
	struct loop_timer pull_timer, policy_timer, resync_timer, heartbeat;
	struct loop_timer guard_timer, leave_timer, hole_timer, exposed_timer;
	struct pmtu_follow pmtu;
	struct ike *ike;		/* NULL: not configured */
	struct {
		uint32_t spi;
		uint64_t until_ns;
	} ike_told[128];		/* it makes them, and no active has told them yet */
	unsigned int n_ike_told;
	bool hole_untold;		/* found, and those that are filled do not know */
	struct xfrm xfrm;
	struct cache cache;
	struct link_tls *tls;
	struct loop_fd listen_io;
	int lock_fd;			/* while it is held, we decide the role */
	int spare_fd;			/* given up when there is no other */
	struct peer peer[CONF_MAX_PEERS];
	size_t n_peers;
	struct link *guest[32];		/* incoming, before their HELLO */
	uint64_t instance;
	uint8_t tag_key[WIRE_TAG_KEY];	/* wiped at exit */

	/* standby */
	struct peer *source;		/* the active that fills us */
	bool synced;			/* a snapshot was complete */
	uint32_t given_by;		/* the node whose ranges are told, 0 for none yet */
	struct chain coming;		/* what is accounted for in the snapshot that runs */
	struct making {
		struct cache_entry *entry;
		struct cache_policy *policy;	/* or this */
	} making[XFRM_BATCH];		/* as they were queued (xfrm.h) */
	size_t n_making;
	bool look_first;		/* what comes may be here: since one was, in this snapshot */
	struct record batch[DAEMON_BATCH];
	struct cache_entry *batch_entry[DAEMON_BATCH];
	size_t n_batch;
	struct buf lease_acks;		/* struct wire_lease_ack, ... */
	struct buf merges;		/* frames for the active */
	struct loop_timer repair_timer;
	bool repair_policies, want_resync, exempt_due;
	unsigned int repair_slower;	/* doublings of its delay */
	uint64_t watchdog_fired;	/* by the module's count, as far as we know */
	uint64_t alive_ns;		/* our last sign of life */
	bool alive_failed;		/* and that was said */
	bool want_active;		/* take over again, once filled */
	bool asked;			/* ... and a peer may be active by that */
	bool unseen;			/* who was active after this node is out of sight */
	bool sees;			/* an active is connected, as far as peers were told */
	struct owned owned;		/* policies that we created */
	struct kinds kinds;		/* what this kernel supports */
	struct renumbered *renumbered;
	size_t n_renumbered;
	size_t applied[CACHE_STATES];	/* entries of the cache, each kind */

	/* planned takeover */
	struct loop_timer handover_timer, give_timer;
	struct loop_timer reload_timer;	/* asked for, and a hand-over is under way */
	bool handover_wait;
	bool takeover_force;
	bool same_boot;			/* st was written in this boot */
	bool again;			/* active, and nobody else was since it last was */
	bool taken_exact;		/* active by a planned takeover */
	bool taken_crash;		/* ... after another one that did not hand over */
	bool taken_here;		/* active by a takeover in this daemon's time */
	uint64_t taken_ns;		/* ... which was then; 0: none */
	struct loop_timer fill_timer;	/* want_active, and nobody fills us */
	struct loop_timer resume_timer;	/* handed_to refused, and it could not be stored */
	struct loop_timer look_timer;	/* the module's role was not told, for lack of memory */
	bool unfinished;		/* a takeover, by the daemon before this one */
	bool was_unfinished;		/* ... whatever became of it since */
	bool final_lost;		/* our last records could not be read */
	struct peer *before;		/* the active before this node, if a peer */
	struct peer *handover_from;	/* we wait for it */
	struct peer *asked_by;		/* it shall be handed over to, by give_timer */
	uint64_t asked_epoch;		/* ... as this node is active in that epoch */
	struct peer *handover_to;	/* it waits for us */
	struct peer *handed_to;		/* st.handed, and it may hand back */
	uint32_t handed_id;		/* ... its node id, and */
	uint64_t handed_own;		/* ... epoch in which it was active last, then */
	bool handed_lost;		/* ... and the link it went by is gone */
	bool handed_low;		/* ... and it was taken back, in vain: not past it */
	bool handed_forgotten;		/* ... and it came back without its memory */
	bool handover_coming;		/* the active said so */
	uint64_t handover_frames;	/* taken from it at the last look */
	void (*takeover_done)(struct daemon *d, int exit_code,
			      const char *text);

	/* what happened, for status */
	uint64_t conflicts, context_refused, restore_refused, stale_frames;
	uint64_t resyncs, events_lost, handshakes_refused, repaired, merged;
	int exit_code;
};

/* ---- source.c: the active's kernel -> cache ---- */
/* 0, -EBUSY, -errno: logged, and tried again while this node is active */
int source_start(struct daemon *d);
void source_stop(struct daemon *d);
int source_pull(struct daemon *d);		/* all that is dirty; 0 or -errno */
void source_pull_soon(struct daemon *d);
void source_heartbeat(struct daemon *d);	/* some that could not be read, again */
void source_filter(struct daemon *d);		/* forget what the filters leave out */
void source_policies_changed(struct daemon *d);
void source_sa_event(struct daemon *d, int type, const struct sa_id *id);
/* True when the SA, or the policy, is ours to look after. */
bool source_manages(const struct daemon *d, const struct context_sa *info);
bool source_manages_policy(const struct daemon *d,
			   const struct context_policy *info);
void source_bind(struct daemon *d);		/* tags and leases to the module */

/* ---- lease.c: how far the active may go ---- */
void lease_start(struct daemon *d);		/* before a peer is told anything */
void lease_stop(struct daemon *d);		/* a peer is told no more */
/* This node became active; before: the active before it, or NULL. */
void lease_taken_over(struct daemon *d, const struct peer *before);
/* An SA whose history is not known: the daemon has just started. */
void lease_unknown(struct daemon *d, struct cache_entry *e,
		   const struct record *rec);
void lease_follow(struct daemon *d, struct cache_entry *e);	/* after a record */
/* By the module: the counter has passed it. */
void lease_refused(struct daemon *d, struct cache_entry *e);
/* A peer knows of ranges up to that number. */
void lease_given(struct daemon *d, const struct peer *p, uint32_t handle,
		 uint64_t tag, uint64_t number);
/* Past the end of its lease, rather than stop there: a setting. */
bool lease_goes_on(const struct daemon *d, const struct cache_entry *e);
/* What a peer is told: where it starts and ends, if it takes over. False: it must not. */
bool lease_offer(struct daemon *d, struct cache_entry *e, struct peer *p,
		 struct wire_sa *sa);
/* A peer's counter stands at that number, or past it. */
void lease_acked(struct daemon *d, struct peer *p, uint32_t handle,
		 uint64_t end);
/* A peer drew numbers that this node did not know of: ours leaves them out. */
void lease_used(struct daemon *d, const struct peer *p, uint32_t handle,
		uint64_t tag, uint64_t number);
/* Before the configuration is replaced: peers may have other places, or be gone. */
void lease_peers_changed(struct daemon *d, const struct conf *next);
/* An SA has a range, or a guard, of a peer that is not in there any more. */
bool lease_has_removed(const struct daemon *d, const struct conf *next);
/* A lease that begins there, for this node itself; 0 for none. */
uint64_t lease_after(const struct daemon *d, const struct cache_entry *e,
		     uint64_t from);
size_t lease_waiting(const struct daemon *d, const struct peer *p);
/* A peer, or one that was removed, has a range of it. */
bool lease_was_offered(const struct daemon *d, const struct cache_entry *e);
/* It is not renewed without that peer, which may take over with a range of its own. */
bool lease_is_held(const struct cache_entry *e, const struct peer *p);
size_t lease_held(const struct daemon *d, const struct peer *p);
/* SAs of this active that stand still at the end of their lease. */
size_t lease_count_stopped(const struct daemon *d);

/* ---- leave.c: a peer that is away for too long ---- */
void leave_init(struct daemon *d);
void leave_look(struct daemon *d);		/* each heartbeat */
bool leave_has_left(const struct daemon *d, const struct peer *p, uint64_t now_ns);
/* The SAs to soft-expire next for those who have left, max of them at most. */
size_t leave_due(struct daemon *d, uint64_t now_ns, struct cache_entry **list,
		 size_t max);
/* That was done, or is not possible: each once for an absence. */
void leave_asked(struct daemon *d, uint64_t now_ns, struct cache_entry *e,
		 bool done);

/* ---- inbound.c: how far standbys lead the windows; what they cover ---- */
void inbound_init(struct daemon *d);
void inbound_start(struct daemon *d);		/* before a peer is told anything */
/* Before the flip: limits that stand from the first packet on (strict). 0 or -errno */
int inbound_hold(struct daemon *d);
/* The same moment, and strict: in the windows nothing counts as missing. 0 or -errno */
int inbound_fill(struct daemon *d);
/* Before that peer is told that its records are the last: it goes without guards. */
void inbound_given(struct daemon *d, const struct peer *p);
/* By a takeover now (flip's again, exact) that SA would deliver nothing at first. */
bool inbound_would_hold(const struct daemon *d, const struct cache_entry *e,
			bool again, bool exact);
/* This node became active; before: the active before it, or NULL. */
void inbound_taken_over(struct daemon *d, const struct peer *before);
void inbound_unknown(struct daemon *d, struct cache_entry *e,
		     const struct record *rec);
void inbound_follow(struct daemon *d, struct cache_entry *e);	/* after a record */
void inbound_limit_again(struct daemon *d, struct cache_entry *e);	/* another cap */
void inbound_bound(struct daemon *d, struct cache_entry *e);	/* by the module */
bool inbound_may_tell(const struct daemon *d, const struct cache_entry *e);
void inbound_sent(struct cache_entry *e, struct mark *m, uint64_t frame);
void inbound_acked(struct daemon *d, struct cache_entry *e, struct mark *m,
		   uint64_t frames);
/* What a node that was active, too, has accepted. */
void inbound_merge(struct daemon *d, uint32_t handle, uint64_t tag,
		   const struct record *theirs);
void inbound_peers_changed(struct daemon *d, const struct conf *next);
/* The last number that all who may take over count as seen; GUARD_NO_LIMIT. */
uint64_t inbound_limit(const struct daemon *d, const struct cache_entry *e);
bool inbound_exposed(const struct daemon *d, const struct cache_entry *e);
size_t inbound_count_exposed(const struct daemon *d);
/* Available: beyond what that peer, which may take over, is known to cover. */
bool inbound_exposed_to(const struct daemon *d, const struct cache_entry *e,
			const struct peer *p);
/* Strict: it delivers nothing new; until that peer has acknowledged, among others. */
bool inbound_held(const struct daemon *d, const struct cache_entry *e);
bool inbound_waits_for(const struct daemon *d, const struct cache_entry *e,
		       const struct peer *p);
/* Those that a rekey is to be asked of, each once a takeover: held for a peer that was
 * gone then, and is.
 */
size_t inbound_stuck(struct daemon *d, uint64_t now, struct cache_entry **list,
		     size_t max);
size_t inbound_count_waiting(const struct daemon *d, const struct peer *p);

/* ---- exposed.c: what a crash takeover has rekeyed, as it can be replayed ---- */
void exposed_init(struct daemon *d);
/* A takeover now is from another node, active after this one, that did not hand over
 * (exact: it did): what it accepted last may be known to nobody.
 */
bool exposed_is_crash(const struct daemon *d, bool exact);
/* Why the rekey of an SA, as a standby knows it, would be asked for then; or NULL. */
const char *exposed_why(const struct daemon *d, const struct cache_entry *e);
/* This node became active: the SAs for which it is, by what the standby knew. */
void exposed_taken_over(struct daemon *d);
/* ... and by what its kernel has; the first of them are asked for now. */
void exposed_start(struct daemon *d);
/* The next ones, max of them at most, each once. */
size_t exposed_due(struct daemon *d, struct cache_entry **list, size_t max);
/* Of a standby: said to be so by the active's last word. */
size_t exposed_count(const struct daemon *d);

/* ---- peer.c: cache <-> wire ---- */
int peer_init(struct daemon *d);		/* listen, connect; 0 or -errno; logged */
void peer_exit(struct daemon *d);
void peer_announce(struct daemon *d);		/* HELLO to all: role or epoch changed */
void peer_refill(struct daemon *d);		/* a snapshot to each that is filled */
void peer_heartbeat(struct daemon *d);
void peer_mark_entry(struct daemon *d, struct cache_entry *e, bool context);
void peer_mark_policy(struct daemon *d, struct cache_policy *p);
/* Before it leaves the cache: the peers that know it are told. */
void peer_gone_entry(struct daemon *d, struct cache_entry *e);
void peer_gone_policy(struct daemon *d, struct cache_policy *p);
void peer_handover_say(struct peer *p, uint32_t result);
void peer_kick(struct daemon *d);		/* something waits to be sent */
void peer_send_simple(struct peer *p, uint8_t type);
/* To all that follow and take it; to one, all that there is. */
void peer_tell_ike(struct daemon *d, const struct wire_ike *ike);
void peer_tell_ike_store(struct daemon *d, const struct ike_store *s);
void peer_put_ike(struct peer *p, const struct wire_ike *ike);
void peer_put_ike_store(struct peer *p, const struct ike_store *s);
/* It has acknowledged the whole snapshot, and said before that what it used itself. */
bool peer_is_filled(const struct peer *p);
/* A new active: from here on a peer falls behind, if it does. */
void peer_level(struct daemon *d);
void peer_lag(const struct peer *p, const struct daemon *d,
	      uint64_t *packets, uint64_t *ms);
/* Numbers of this SA, both ways, that the peer has not acknowledged. */
uint64_t peer_lag_of(const struct cache_entry *e, const struct peer *p);
struct peer *peer_active(struct daemon *d);	/* connected and active, or NULL */

/* ---- apply.c: the active's stream -> cache -> the standby's kernel ---- */
void apply_init(struct daemon *d);
void apply_exit(struct daemon *d);
void apply_reset(struct daemon *d);		/* the role changed */
void apply_snapshot_begin(struct daemon *d, struct peer *p);
void apply_snapshot_end(struct daemon *d, struct peer *p);
void apply_sa(struct daemon *d, const struct wire_sa *sa);
void apply_refuse(struct daemon *d, const struct wire_sa *sa,
		  const struct context_sa *info, const struct field_error *why);
void apply_record(struct daemon *d, uint32_t handle, const struct record *rec,
		  uint64_t sent);
void apply_delete(struct daemon *d, uint32_t handle, uint64_t tag);
/* peers_name: a hash of the key that the peer has for it; another one for the same
 * key here is another policy, and neither is used. True: so it is.
 */
bool apply_policy(struct daemon *d, const uint8_t *p, size_t len,
		  uint64_t peers_name);
void apply_policy_delete(struct daemon *d, const uint8_t *p, size_t len);
void apply_flush(struct daemon *d);		/* restore what waits in the batch */
void apply_sa_event(struct daemon *d, int type, const struct sa_id *id);
void apply_policies_gone(struct daemon *d);
/* What the IKE daemon of this node makes now. */
struct apply_child {
	uint32_t in_spi, out_spi;	/* network order */
	uint16_t family;		/* of the addresses; 0: not known */
	uint8_t local[16], remote[16];	/* outer ones, network order */
};

/* What stands here of that name goes, and what comes is adopted; or made once more if
 * nothing comes. False: it cannot make them.
 */
bool apply_make_room(struct daemon *d, const struct apply_child *c);
bool apply_waits_for_ike(const struct daemon *d);
/* What it has not made by now the next repair makes; where it comes later, it fails. */
void apply_wait_no_more(struct daemon *d);
void apply_exempt_later(struct daemon *d);
/* A takeover failed: counters stand where a standby's have to. False: not all do. */
bool apply_raise(struct daemon *d);
void apply_stepped_down(struct daemon *d);	/* what was accepted here stays seen */
void apply_final(struct daemon *d);		/* the records are the last ones: no guards */
/* Before a takeover: all that waits; what cannot be confirmed counts as failed. */
void apply_finish(struct daemon *d);
size_t apply_policies_unready(struct daemon *d);	/* failed, or in conflict */
/* An SA may have been used here, and that active cannot be told: it waits. */
bool apply_is_untold(const struct daemon *d, const struct peer *p);
size_t apply_count(const struct daemon *d, enum cache_applied what);

/* Before the next role: what is in conflict is rekeyed by its other direction. */
void apply_renegotiate(struct daemon *d);
/* For which it would do so, max of them at most; how many. */
size_t apply_renegotiated(const struct daemon *d, const struct cache_entry **list,
			  size_t max);

/* ---- renumber.c: inbound SAs whose SPI is in use here ---- */
/* What the active told, by the SPI that it has here, in copy; false: it is the same. */
/* An SA of that name and tag, as the active told it, has another SPI here. */
bool renumber_has(struct daemon *d, const struct sa_id *from, uint64_t tag);
bool renumber_sa(struct daemon *d, const struct wire_sa *sa, struct buf *copy);
bool renumber_policy(struct daemon *d, const uint8_t *ctx, size_t len,
		     struct buf *copy);
/* It gets a free SPI, and is to be installed; false: it cannot have one. */
bool renumber_entry(struct daemon *d, struct cache_entry *e);
void renumber_forget(struct daemon *d, const struct cache_entry *e);
json_t *renumber_json(const struct daemon *d);

/* ---- lead.c: the window of a standby's SA ---- */
/* A copy of the entry's record, moved ahead by its guard, with our own merged in. */
void lead_compose(const struct cache_entry *e, struct record *rec);
/* What that record has was accepted here: false where there is no memory. */
bool lead_keep(struct cache_entry *e, const struct record *rec);
void lead_drop(struct cache_entry *e);
void lead_drop_covered(struct cache_entry *e);	/* if the active has it all */
void lead_put_own(const struct cache_entry *e, struct buf *b);

/* ---- exempt.c: the fence lets pass what is not the cluster's ---- */
void exempt_record(struct daemon *d, const struct record *rec);
void exempt_event(struct daemon *d, const struct sa_id *id);
void exempt_all(struct daemon *d);

/* ---- ready.c: which SAs a takeover may use ---- */
/* A record of this kernel, ours to look after; e and why may be NULL. */
typedef int ready_fn(const struct record *k, struct cache_entry *e,
		     const char *why, void *data);
/* Why an SA cannot be protected, whoever says so. */
extern const char READY_OPTIONAL[], READY_PACKET_OFFLOAD[], READY_NO_HOOK[];
/* NULL: safe. Of this kernel's SA; of an entry of the cache, without the kernel. */
const char *ready_why(const struct daemon *d, const struct record *k);
const char *ready_why_entry(const struct daemon *d, const struct cache_entry *e);
/* By the filter, and known to the module as the cluster's. */
bool ready_is_managed(const struct conf_filter *f, const struct record *k);
/* Why an SA is not used that no daemon knows more of; NULL where it is. */
const char *ready_why_not_raised(const struct record *k, bool outdated);
int ready_each(struct daemon *d, ready_fn *fn, void *data);	/* 0 or not, as fn */
bool ready_untold(struct daemon *d);	/* an SA came, and no active told it */
/* Before the flip: all that is not safe, n of them. 0, or not all are fenced. */
int ready_fence(struct daemon *d, size_t *n);
int ready_own(struct daemon *d);	/* those are this node's own */
int ready_release(struct daemon *d, size_t *n);	/* the operator's word: use them */

/* ---- members.c: peers that are removed, and have ranges all the same ---- */
/* Before that configuration is in use. 0, or -errno: it must not be; logged. */
int members_follow(struct daemon *d, const struct conf *c);
/* Raises it to the cookie of the newest SA that there is. 0 or -errno. */
int members_highest(struct daemon *d, uint64_t *cookie);
/* Into what is stored before this node is active. */
void members_note(struct state *s, const struct conf *c);
/* One that was removed may have a range of that SA. */
bool members_were_more(const struct daemon *d, const struct record *rec);

/* ---- hole.c: what a peer drew as an active, and has lost ---- */
/* Before that peer is told any SA. False: it must not be yet; try again. */
bool hole_look(struct daemon *d, const struct peer *p);
/* That peer has said what it drew. */
void hole_filled(struct daemon *d, const struct peer *p);
/* ... or says that it has lost more, and this node does not know it yet. */
bool hole_is_news(const struct daemon *d, const struct peer *p);
/* An SA is gone on this node, the active, or what it drew there (drawn) is forgotten. */
void hole_gone(struct daemon *d, const struct cache_entry *e);
void hole_drawn_gone(struct daemon *d, const struct cache_entry *e);
/* An SA that this daemon has not looked at before. */
void hole_entry(struct daemon *d, struct cache_entry *e,
		const struct record *rec);
/* The operator knows better; or another active is told what is safe. */
void hole_forget(struct daemon *d);
/* So he does of what peers say they have lost: into what is stored. */
void hole_use(const struct daemon *d, struct state *next);

/* ---- pmtu_follow.c: the MTUs of paths, for who takes over ---- */
void pmtu_follow_start(struct daemon *d);	/* this node is the active */
void pmtu_follow_stop(struct daemon *d);
void pmtu_taken_over(struct daemon *d);		/* what the active before had learned */
void pmtu_follow_exit(struct daemon *d);
size_t pmtu_follow_count(const struct daemon *d);	/* SAs whose path's is known */

/* ---- role.c ---- */
int role_init(struct daemon *d);		/* 0 or -errno; logged */
void role_carry_on(struct daemon *d);		/* with what the daemon before has begun */
/* A peer's HELLO, or a frame of an active, told this epoch. */
void role_heard(struct daemon *d, struct peer *p);
void role_peer_down(struct daemon *d, struct peer *p);
void role_filling(struct daemon *d, const struct peer *p);	/* a snapshot begins */
void role_filled(struct daemon *d);		/* it was complete */
void role_fill_request(struct daemon *d, struct peer *p, uint64_t epoch,
		       uint32_t node);
/* Nobody was active after this node, in this boot. */
bool role_is_owner(const struct daemon *d);
/* What this node told in its time before may be all that a peer takes over with. */
bool role_would_be_again(const struct daemon *d);
void role_cancel(struct daemon *d, const char *why);	/* a takeover that waits */
/* done is called once, maybe before this returns. */
void role_takeover(struct daemon *d, bool force,
		   void (*done)(struct daemon *d, int code, const char *text));
int role_standby(struct daemon *d, const char *why);	/* 0 or -errno */
/* A peer that may have taken over from this node, the active, unheard; or NULL. */
const struct peer *role_out_of_sight(const struct daemon *d);
bool role_is_active(const struct daemon *d);
/* The configuration was read again: is its guard less than strict now? */
void role_guard_changed(struct daemon *d);

/* For handover.c. Fence (drain_ms: genl_role_set), last records; 0 or -errno. */
int role_step_down(struct daemon *d, uint64_t epoch, uint32_t node,
		   uint32_t drain_ms);
/* Its own counters are not the newest from here on. 0 or -errno: nothing is given. */
int role_given(struct daemon *d, const struct peer *p);
/* An active may give from here on, and have a range of its own. 0 or -errno: ask nobody. */
int role_requested(struct daemon *d);
/* Active again, after a hand-over that failed. 0, or what keeps it from that. */
int role_resume(struct daemon *d);
/* The flip, and the answer to whoever asked; exact: with what FINAL said. */
void role_finish(struct daemon *d, const char *how, bool exact);

/* ---- handover.c: a planned takeover ---- */
void handover_ask(struct daemon *d, struct peer *p);	/* the active, to hand over */
void handover_ask_again(struct daemon *d, struct peer *p);	/* in a newer epoch */
void handover_end(struct daemon *d);			/* waits no more */
/* p wants to be active; epoch: the newest that it knew of then, and whose */
void handover_request(struct daemon *d, struct peer *p, uint64_t epoch,
		      uint32_t node);
void handover_answer(struct daemon *d, struct peer *p, uint32_t result);
/* p is a standby without having said DONE: it is taken over as after a crash. */
bool handover_not_exact(struct daemon *d, struct peer *p, int order);
/* A takeover that failed, and that the disk does not know of: who gave goes on. */
void handover_give_back(struct daemon *d);
/* A FINAL frame; false: malformed. And what goes into ours. */
bool handover_final(struct daemon *d, struct peer *p, struct rd *r);
void handover_put_final(struct peer *p, struct buf *b);
/* Between the disk and the kernel: counters go down to the exact numbers. */
void handover_take_exact(struct daemon *d);
/* A HELLO of a peer, its epoch against ours. */
void handover_heard(struct daemon *d, struct peer *p, int order);
void handover_peer_down(struct daemon *d, struct peer *p);
void handover_link_replaced(struct daemon *d, struct peer *p);
void handover_peers_changed(struct daemon *d);
/* Took a role of the module's as ours: its watchdog fenced this node. */
bool role_follow(struct daemon *d, const struct genl_status *st);
/*
 * The module told of a change: ours, or one to follow; the daemon ends at another. Where the
 * kernel has no memory to say which, it is asked again in a moment.
 */
void role_look(struct daemon *d);

/* ---- watchdog.c: the module waits for our signs of life ---- */
int watchdog_start(struct daemon *d);		/* 0 or -errno; logged */
void watchdog_changed(struct daemon *d);	/* in the configuration */
void watchdog_stop(struct daemon *d);		/* an end in order */
void watchdog_beat(struct daemon *d);		/* the loop goes round */
void watchdog_alive(struct daemon *d);		/* inside of long work */
void watchdog_look(struct daemon *d);		/* is our role the module's? */
bool watchdog_has_fired(struct daemon *d);	/* since this was asked last */

/* ---- cmd_run.c ---- */
void run_xfrm_events(struct daemon *d);		/* XFRM events that wait, now */

/* ---- control_server.c ---- */
int control_server_init(struct daemon *d);	/* 0 or -errno; logged */
void control_server_exit(struct daemon *d);
void control_server_record(struct daemon *d, const struct record *rec);
/* For the monitors; takes the reference. */
void control_server_event(struct daemon *d, json_t *event);

#endif
