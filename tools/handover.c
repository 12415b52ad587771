// SPDX-License-Identifier: GPL-2.0
/*
 * In: a planned takeover: the operator's wish on one node, the active's consent.
 * Out: the exact last numbers go over, and one of the two is the owner.
 * The daemon's loop; asks the kernel, and waits for its answer.
 *
 * The active fences itself both ways, waits until nothing is on its way to draw a
 * number any more, and reads the last records. It raises its own counters past all
 * that the other node could use, whatever becomes of this. Then it gives each SA
 * away: FINAL says the last number that it drew, and its lease. The other node
 * stores the new epoch, which decides it, takes the exact numbers, and is active.
 *
 * Who gave is a standby from the moment it fenced itself. It becomes active again
 * by itself only when the other node refuses, or comes back on a new link in the
 * old epoch, and knew of it before: whatever was on its way then is void. Silence
 * proves nothing.
 */
#include <stdio.h>
#include <string.h>

#include "../kmod/lease.h"
#include "daemon.h"
#include "log.h"

/* Of silence, after an active said that its last records come. */
#define DATA_MS 3000
#define RESUME_RETRY (1000 * LOOP_MS)
#define TRIES 4			/* a straggler may draw one number more */

static const char *name_of(const struct cache_entry *e)
{
	static char name[128];

	return sa_id_str(&e->id, name, sizeof(name));
}

static void forget_finals(struct daemon *d)
{
	struct cache_entry *e;

	cache_for_each(&d->cache, e)
		e->has_final = false;
}

/* ---- records with an expectation, in batches ---- */

struct exact {
	struct daemon *d;
	struct record rec[DAEMON_BATCH];
	struct cache_entry *entry[DAEMON_BATCH];
	size_t n;
	/* of what became of one; reason: enum xfrmsync_reason */
	void (*done)(struct exact *x, struct cache_entry *e,
		     const struct record *r, uint32_t reason);
	size_t failed, again;
};

static void exact_flush(struct exact *x)
{
	static struct genl_result res[DAEMON_BATCH];

	size_t i, n = x->n;
	int ret;

	x->n = 0;
	if (!n)
		return;
	ret = genl_restore(&x->d->req, x->d->st.epoch, x->d->st.node, x->rec, n,
			   res);
	if (ret)
		log_err("the module refuses exact numbers: %s", x->d->req.error);
	for (i = 0; i < n; i++)
		x->done(x, x->entry[i], &x->rec[i],
			ret ? XFRMSYNC_REASON_STATE : res[i].reason);
}

/* The window and the lifetime of the entry's record, and these numbers. */
static void exact_put(struct exact *x, struct cache_entry *e, uint64_t expect,
		      uint64_t oseq, uint64_t lease_end)
{
	struct record *r = &x->rec[x->n];

	*r = e->rec;
	r->tag = e->tag;
	r->cookie = 0;
	r->oseq = oseq;
	r->lease_end = lease_end;
	r->restore_flags = XFRMSYNC_RESTORE_F_BIND | XFRMSYNC_RESTORE_F_NO_PARK |
			   (e->rec.flags & XFRMSYNC_RECORD_F_FENCED ?
			    XFRMSYNC_RESTORE_F_FENCED : 0) |
			   (lease_goes_on(x->d, e) ? XFRMSYNC_RESTORE_F_GO_ON : 0);
	r->has_sent = true;
	r->sent = e->sent;
	r->has_expect = true;
	r->expect_oseq = expect;
	x->entry[x->n++] = e;
	if (x->n == DAEMON_BATCH)
		exact_flush(x);
}

/* ---- the active, which gives ---- */

static void given_away(struct exact *x, struct cache_entry *e,
		       const struct record *r, uint32_t reason)
{
	struct record k;

	if (reason == XFRMSYNC_REASON_OK) {
		e->wrote = r->oseq;
		e->floor = r->expect_oseq;
		e->final = r->expect_oseq;
		e->final_lease = e->rec.lease_end;
		/* Only what this node is past itself now may be another's. */
		e->has_final = e->final_lease > e->final + XFRMSYNC_LEASE_HEADROOM &&
			       r->oseq > r->expect_oseq;
		e->give = false;
		return;
	}
	if (reason != XFRMSYNC_REASON_MOVED ||
	    genl_get(&x->d->req, &e->id, &k) || k.tag != e->tag) {
		e->give = false;
		x->failed += reason != XFRMSYNC_REASON_NO_SA;
		return;
	}
	/* A packet that had passed the fence drew a number: that is the last. */
	cache_note_record(e, &k);
	peer_mark_entry(x->d, e, false);
	x->again++;
}

/*
 * Past all that was given out, to this peer and to others: this node may have to
 * take over from it the next moment. What is still to be told is laid out, too.
 */
static uint64_t past(const struct cache_entry *e)
{
	return e->given > e->rec.oseq ? e->given : e->rec.oseq;
}

/* After the fence went up and the last records were read. */
static void give(struct daemon *d, struct peer *p)
{
	static struct exact x;

	/* A third node would not know of a range of this node's own, and could go on
	 * into it. Without one, what is not taken back exactly is not safe here.
	 */
	bool own = d->conf.n_peers < 2;
	struct cache_entry *e;
	int tries = TRIES;
	uint64_t to;

	x = (struct exact){ .d = d, .done = given_away };
	cache_for_each(&d->cache, e) {
		e->give = e->cookie && e->tag;
		e->has_final = false;
	}
	do {
		x.again = 0;
		cache_for_each(&d->cache, e) {
			if (!e->give)
				continue;
			to = past(e);
			exact_put(&x, e, e->rec.oseq, to,
				  to == e->rec.oseq || !own ? 0 :
				  lease_after(d, e, to));
		}
		exact_flush(&x);
	} while (x.again && --tries);
	if (x.failed + x.again)
		log_warn("peer %s: %zu SAs go to it without their exact numbers",
			 p->name, x.failed + x.again);
}

static void hand_over(struct loop_timer *t);

void handover_request(struct daemon *d, struct peer *p, uint64_t epoch,
		      uint32_t node)
{
	if (!role_is_active(d) || d->handover_to || d->asked_by) {
		if (log_is_within(&p->says))
			log_warn("peer %s: asks for a handover, but this node is not the active",
				 p->name);
		return;
	}
	/* From before somebody said that this node shall be it. Who asked waits no
	 * more, or hears of the epoch first, and may ask once more.
	 */
	if (state_epoch_cmp(epoch, node, d->st.epoch, d->st.node) < 0) {
		if (log_is_within(&p->says))
			log_warn("peer %s: asked for a handover before it heard of epoch %llu: this node stays active",
				 p->name, (unsigned long long)d->st.epoch);
		return;
	}
	log_info("peer %s: asks to become active: handing over", p->name);
	peer_handover_say(p, WIRE_HANDOVER_COMING);
	d->asked_by = p;
	d->asked_epoch = d->st.epoch;
	d->give_timer.cb = hand_over;
	d->give_timer.data = d;
	loop_timer_set(&d->loop, &d->give_timer, 0);
}

/* That it comes is on its way: what follows takes its time (drain_ms, the disk). */
static void hand_over(struct loop_timer *t)
{
	struct daemon *d = t->data;
	struct peer *p = d->asked_by;
	bool filled;

	d->asked_by = NULL;
	if (!p || !role_is_active(d))
		return;
	/* Told meanwhile to be it: who was told last stays. */
	if (d->st.epoch != d->asked_epoch) {
		log_warn("peer %s: asked for a handover before this node was told to be the active, in epoch %llu: it stays active",
			 p->name, (unsigned long long)d->st.epoch);
		return;
	}
	d->handover_to = p;
	filled = peer_is_filled(p);
	if (role_step_down(d, d->st.epoch, d->st.node, d->conf.drain_ms)) {
		d->handover_to = NULL;
		return;
	}
	/* Without them the other node takes over as after a crash. What it used
	 * when it was active, too, is not known before it is filled.
	 */
	if (!filled)
		log_info("peer %s: is not filled yet: exact numbers are not given",
			 p->name);
	if (!d->final_lost && (!filled || role_given(d, p)))
		d->final_lost = true;
	if (!d->final_lost) {
		give(d, p);
		d->handed_to = p;
		d->handed_id = p->node_id;
		d->handed_own = p->own;
		d->handed_lost = false;
		d->handed_low = false;
		loop_timer_stop(&d->resume_timer);
		d->handed_forgotten = false;
	}
	peer_announce(d);
	peer_kick(d);
}

void handover_put_final(struct peer *p, struct buf *b)
{
	struct cache_entry *e;
	size_t at = 0, frame = 0;
	struct wire_final f;

	cache_for_each(&p->d->cache, e) {
		if (!e->has_final)
			continue;
		if (!frame)
			at = wire_begin(b, WIRE_FINAL, p->d->st.epoch,
					p->d->st.node);
		f.handle = e->handle;
		f.last = e->final;
		f.lease_end = e->final_lease;
		wire_put_final(b, &f);
		frame += WIRE_FINAL_BYTES;
		if (frame + WIRE_FINAL_BYTES > WIRE_MAX_PAYLOAD / 2) {
			wire_end(b, at);
			frame = 0;
		}
	}
	if (frame)
		wire_end(b, at);
}

static void try_again(struct loop_timer *t);

/* Nobody else can be active now: a disk that is full does not end that. */
static void take_back(struct daemon *d)
{
	if (!role_resume(d))
		return;
	d->handed_low = true;
	d->resume_timer.cb = try_again;
	d->resume_timer.data = d;
	loop_timer_set(&d->loop, &d->resume_timer, RESUME_RETRY);
}

static void try_again(struct loop_timer *t)
{
	struct daemon *d = t->data;

	/* Unless somebody else was active meanwhile, or this node is. */
	if (d->handed_to && !role_is_active(d))
		take_back(d);
}

/* It did not happen: what was given is taken back, in an epoch of its own. */
static void resume(struct daemon *d, const char *why)
{
	log_warn("peer %s: %s: this node is active again", d->handed_to->name,
		 why);
	take_back(d);
}

void handover_heard(struct daemon *d, struct peer *p, int order)
{
	if (d->handed_to != p)
		return;
	/* What it took and used, it does not know any more; or it is another node, of
	 * that name, and may have heard of the epoch from others. (A daemon that was
	 * started since does not know which one that was.)
	 */
	if ((order < 0 && p->first_hello) ||
	    (d->handed_id && p->node_id != d->handed_id) ||
	    p->own < d->handed_own)
		d->handed_forgotten = true;
	if (order > 0) {
		log_info("peer %s: has taken over: the hand-over is complete",
			 p->name);
		d->handed_to = NULL;
	} else if (d->handed_lost && !d->handed_forgotten && order == 0 &&
		   !p->first_hello && p->role == XFRMSYNC_ROLE_STANDBY) {
		resume(d, "came back without having taken over");
	}
}

/* ---- the standby, which takes ---- */

static void taken(struct exact *x, struct cache_entry *e,
		  const struct record *r, uint32_t reason)
{
	e->has_final = false;
	if (reason == XFRMSYNC_REASON_OK) {
		e->wrote = r->oseq;
		return;
	}
	log_warn("%s: cannot go on at its exact number: %s", name_of(e),
		 genl_reason_str(reason));
	cache_set_unsafe(&x->d->cache, e,
			 "it was in use here, and could not be handed over exactly");
	x->failed++;
}

void handover_take_exact(struct daemon *d)
{
	static struct exact x;

	struct cache_entry *e;

	x = (struct exact){ .d = d, .done = taken };
	cache_for_each(&d->cache, e) {
		/* One that is fenced stays as it is. */
		if (!e->has_final || e->unsafe)
			continue;
		exact_put(&x, e, e->wrote, e->final, e->final_lease);
	}
	exact_flush(&x);
}

bool handover_final(struct daemon *d, struct peer *p, struct rd *r)
{
	struct cache_entry *e;
	struct wire_final f;

	while (r->left) {
		if (wire_get_final(r, &f))
			return false;
		if (!d->handover_wait || d->handover_from != p)
			continue;
		e = cache_find_handle(&d->cache, f.handle);
		/* Only with the record that goes with it, and where we prepared it;
		 * and not below what this node drew, when it was active, too.
		 */
		if (!e || !f.handle || e->applied != CACHE_APPLIED || !e->wrote ||
		    e->rec.oseq != f.last || f.last < e->drawn)
			continue;
		e->final = f.last;
		e->final_lease = f.lease_end;
		e->has_final = true;
	}
	return true;
}

static void late(struct loop_timer *t)
{
	struct daemon *d = t->data;
	struct peer *p = d->handover_from;

	if (!d->handover_wait)
		return;
	/* Very many records: as long as they come, it lives. */
	if (d->handover_coming && p->frames_taken != d->handover_frames) {
		d->handover_frames = p->frames_taken;
		loop_timer_set(&d->loop, t, DATA_MS * LOOP_MS);
		return;
	}
	log_warn("the active does not hand over in time: taking over without it");
	handover_end(d);
	role_finish(d, "the active did not answer", false);
}

void handover_ask(struct daemon *d, struct peer *p)
{
	log_info("taking over: asking %s to hand over", p->name);
	d->handover_wait = true;
	d->handover_coming = false;
	d->handover_from = p;
	d->handover_timer.cb = late;
	d->handover_timer.data = d;
	loop_timer_set(&d->loop, &d->handover_timer,
		       d->conf.answer_ms * LOOP_MS);
	handover_ask_again(d, p);
}

void handover_ask_again(struct daemon *d, struct peer *p)
{
	int ret = role_requested(d);
	char text[640];

	/* Of a hand-over whose end never came: that one went on since. */
	forget_finals(d);
	if (!ret) {
		peer_send_simple(p, WIRE_HANDOVER_REQUEST);
		return;
	}
	handover_end(d);
	snprintf(text, sizeof(text), "takeover failed: the role cannot be stored in %s: %s: make room there, and try again",
		 d->conf.state_dir, strerror(-ret));
	d->takeover_done(d, 1, text);
}

void handover_end(struct daemon *d)
{
	d->handover_wait = false;
	loop_timer_stop(&d->handover_timer);
}

void handover_answer(struct daemon *d, struct peer *p, uint32_t result)
{
	if (result == WIRE_HANDOVER_REFUSED) {
		if (d->handed_to == p && !role_is_active(d))
			resume(d, "refuses to take over");
		return;
	}
	if (!d->handover_wait || d->handover_from != p) {
		/* Nobody waits for it any more: it must not wait for us. */
		if (result == WIRE_HANDOVER_DONE && !role_is_active(d))
			peer_handover_say(p, WIRE_HANDOVER_REFUSED);
		return;
	}
	if (result == WIRE_HANDOVER_COMING) {
		d->handover_coming = true;
		d->handover_frames = p->frames_taken;
		loop_timer_set(&d->loop, &d->handover_timer, DATA_MS * LOOP_MS);
		return;
	}
	if (result != WIRE_HANDOVER_DONE)
		return;
	log_info("peer %s: handed over", p->name);
	handover_end(d);
	role_finish(d, "handed over", true);
}

bool handover_not_exact(struct daemon *d, struct peer *p, int order)
{
	if (!d->handover_wait || d->handover_from != p ||
	    !d->handover_coming || order ||
	    p->role != XFRMSYNC_ROLE_STANDBY)
		return false;
	log_info("peer %s: stepped down without exact numbers", p->name);
	handover_end(d);
	forget_finals(d);
	role_finish(d, "the active stepped down", false);
	return true;
}

void handover_give_back(struct daemon *d)
{
	if (d->handover_from)
		peer_handover_say(d->handover_from, WIRE_HANDOVER_REFUSED);
}

/* ---- a link that goes ---- */

void handover_peer_down(struct daemon *d, struct peer *p)
{
	if (d->asked_by == p)
		d->asked_by = NULL;
	if (d->handover_to == p)
		d->handover_to = NULL;
	if (d->handed_to == p)
		d->handed_lost = true;
	if (!d->handover_wait || d->handover_from != p)
		return;
	handover_end(d);
	forget_finals(d);
	role_finish(d, "the active died", false);
}

/* Another link took its place; what was on its way is void all the same. */
void handover_link_replaced(struct daemon *d, struct peer *p)
{
	if (d->asked_by == p)
		d->asked_by = NULL;
	if (d->handover_to == p)
		d->handover_to = NULL;
	if (d->handed_to == p)
		d->handed_lost = true;
}

/*
 * After a start, or the configuration was read again: peers may have other
 * places. In another boot this node's counters are gone, so nothing comes back.
 */
void handover_peers_changed(struct daemon *d)
{
	size_t i;

	d->handed_to = NULL;
	for (i = 0; d->same_boot && d->st.handed[0] && i < d->n_peers; i++) {
		if (!strcmp(d->peer[i].name, d->st.handed))
			d->handed_to = &d->peer[i];
	}
	d->handed_lost = true;
	d->asked_by = NULL;
	loop_timer_stop(&d->resume_timer);
}
