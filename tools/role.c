// SPDX-License-Identifier: GPL-2.0
/*
 * In: the stored role, the kernel's, what peers say, the operator's commands.
 * Out: the role of this node: on disk first, then in the kernel, then told.
 * The daemon's loop; blocks on the disk and the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

bool role_is_active(const struct daemon *d)
{
	return d->st.role == XFRMSYNC_ROLE_ACTIVE;
}

static int store(struct daemon *d, struct state *next)
{
	int ret;

	members_note(next, &d->conf);
	ret = state_store(d->conf.state_dir, next);
	if (ret)
		log_err("cannot store the role in %s: %s", d->conf.state_dir,
			strerror(-ret));
	return ret;
}

/* As it is on disk, or as it was. */
static int change(struct daemon *d, struct state *next)
{
	int ret = store(d, next);

	if (!ret)
		d->st = *next;
	return ret;
}

static int enforce(struct daemon *d, const struct state *next, uint32_t drain_ms)
{
	int ret = genl_role_set(&d->req, next->role, next->epoch, next->node,
				drain_ms, NULL);

	/* Without it the other one would wait in vain, and take over as after a crash. */
	if (ret == -EINVAL && drain_ms) {
		log_warn("the module does not take drain_ms (%s): going without; is it older than this daemon, load it anew",
			 d->req.error);
		ret = genl_role_set(&d->req, next->role, next->epoch,
				    next->node, 0, NULL);
	}
	if (ret)
		log_err("the module refuses the role %s of epoch %llu: %s",
			genl_role_str(next->role),
			(unsigned long long)next->epoch, d->req.error);
	return ret;
}

/* Down: the fence first, whatever the disk says; a start takes this node for
 * active only where kernel and disk agree.
 */
static int set_role(struct daemon *d, uint32_t role, uint64_t epoch,
		    uint32_t node, uint32_t drain_ms)
{
	struct state next = d->st;
	int ret;

	next.role = role;
	next.epoch = epoch;
	next.node = node;
	/* Somebody has taken it, whoever. */
	if (state_epoch_cmp(epoch, node, d->st.epoch, d->st.node)) {
		next.handed[0] = '\0';
		next.requested = false;
	}
	ret = enforce(d, &next, drain_ms);
	if (ret)
		return ret;
	store(d, &next);
	d->st = next;
	return 0;
}

static void load_state(struct daemon *d)
{
	char boot_id[40];
	int ret;

	ret = state_load(d->conf.state_dir, &d->st);
	if (ret == -EINVAL)
		log_err("%s/state is damaged: starting as standby",
			d->conf.state_dir);
	else if (ret && ret != -ENOENT)
		log_err("%s/state: %s: starting as standby", d->conf.state_dir,
			strerror(-ret));
	/* That there was something is known: no SA that stands here is safe by itself. */
	if (ret && ret != -ENOENT) {
		d->st.epoch = 1;
		d->st.outdated = true;
	}
	if (ret)
		return;
	state_boot_id(boot_id, sizeof(boot_id));
	d->same_boot = !strcmp(boot_id, d->st.boot_id);
	if (d->st.role == XFRMSYNC_ROLE_ACTIVE && !d->same_boot) {
		log_info("was active before the reboot, its counters are gone: starting as standby");
		d->st.role = XFRMSYNC_ROLE_STANDBY;
	}
}

/*
 * The module was loaded anew, or had no role for a time: nothing stopped SAs at
 * the ends of their leases, and who has what range is forgotten. Their counters
 * are still this node's newest, but the standbys may stand behind them, so the
 * next lease would not be safe either. As after a reboot, then; on disk, so that
 * the next daemon knows it, too. False: this is so.
 */
static bool lives_on(struct daemon *d, const struct genl_status *st)
{
	bool was_owner = role_is_owner(d);

	if (state_live_on(&d->st, st->life))
		return true;
	if (was_owner)
		log_warn("the module was loaded anew, or had no role, since this node was active: no SA is safe until an active has filled this node, or it is rekeyed");
	d->same_boot = false;
	return false;
}

/*
 * What this node drew is in its kernel, or nowhere: it cannot tell an active. Not so
 * where a takeover was not finished, of which no boot is known either.
 */
static bool was_rebooted(const struct daemon *d)
{
	return !d->same_boot && d->st.boot_id[0] && strcmp(d->st.boot_id, "-");
}

int role_init(struct daemon *d)
{
	uint32_t role = XFRMSYNC_ROLE_STANDBY;
	struct genl_status st;
	bool lived, forgot;
	int ret;

	load_state(d);
	ret = genl_status_get(&d->req, &st);
	if (ret) {
		log_err("cannot ask the module: %s", d->req.error);
		return ret;
	}
	d->no_hook = st.capture == XFRMSYNC_CAPTURE_SCAN;
	forgot = was_rebooted(d);
	lived = lives_on(d, &st);
	/* Of before that was kept. */
	if (!d->st.own && d->st.node == d->conf.node_id)
		d->st.own = d->st.epoch;
	if (forgot || !lived)
		d->st.lost = d->st.own;
	/* Only where both say so are the counters in this kernel the newest. */
	if (d->st.role == XFRMSYNC_ROLE_ACTIVE &&
	    st.role == XFRMSYNC_ROLE_ACTIVE && lived)
		role = XFRMSYNC_ROLE_ACTIVE;
	else if (state_is_unfinished(&d->st, st.role, st.epoch, st.node))
		d->unfinished = true;
	else if (d->st.role == XFRMSYNC_ROLE_ACTIVE &&
		 st.role == XFRMSYNC_ROLE_STANDBY && lived)
		log_warn("was active, but the module is standby (its watchdog, or another tool): starting as standby; a takeover is up to keepalived or to you");
	else if (d->st.role == XFRMSYNC_ROLE_ACTIVE)
		log_warn("was active, but the module does not know of it: starting as standby");
	if (st.role != XFRMSYNC_ROLE_NONE)
		state_catch_up(&d->st, st.epoch, st.node, d->conf.node_id);
	if (d->unfinished) {
		d->was_unfinished = true;
		d->same_boot = false;
		d->st.boot_id[0] = '\0';
	}
	/* What has no limit in the module, no peer was told: as if this daemon had
	 * taken over.
	 */
	d->st.strict &= role == XFRMSYNC_ROLE_ACTIVE &&
			d->conf.guard == CONF_GUARD_STRICT;
	d->taken_here = d->st.strict;
	d->st.role = role;
	ret = members_follow(d, &d->conf);
	/* Once the kernel has the epoch, the disk alone says that it was no more. */
	if (!ret && d->unfinished)
		ret = store(d, &d->st);
	if (!ret)
		ret = set_role(d, role, d->st.epoch, d->st.node, 0);
	if (ret)
		return ret;
	log_info("node %s (id %u) is %s, epoch %llu of node %u",
		 d->conf.node_name, d->conf.node_id, genl_role_str(role),
		 (unsigned long long)d->st.epoch, d->st.node);
	/* What fails is tried again: this node carries traffic either way. */
	if (role == XFRMSYNC_ROLE_ACTIVE)
		source_start(d);
	return 0;
}

/* Fence first; then nothing is drawn any more, and the last records are final. */
int role_step_down(struct daemon *d, uint64_t epoch, uint32_t node,
		   uint32_t drain_ms)
{
	int ret;

	/* Before anything else of this node goes: a standby's closes none. */
	ike_stepping_down(d, epoch == d->st.epoch && node == d->st.node);
	ret = set_role(d, XFRMSYNC_ROLE_STANDBY, epoch, node, drain_ms);
	if (ret) {
		ike_taken_over(d);
		return ret;
	}
	ike_stepped_down(d);
	if (watchdog_has_fired(d))
		log_warn("the module had no sign of life of this daemon for %u ms, and fenced this node: standby now; a takeover is up to keepalived or to you",
			 d->conf.watchdog_ms);
	d->final_lost = !d->reading || source_pull(d);
	if (d->final_lost)
		log_warn("the last records could not be read: %s",
			 d->reader.error);
	source_stop(d);
	apply_reset(d);
	apply_stepped_down(d);
	d->synced = false;
	return 0;
}

bool role_follow(struct daemon *d, const struct genl_status *st)
{
	if (!d->conf.watchdog_ms || !role_is_active(d) ||
	    st->role != XFRMSYNC_ROLE_STANDBY || st->epoch != d->st.epoch ||
	    st->node != d->st.node)
		return false;
	if (role_step_down(d, d->st.epoch, d->st.node, 0))
		return false;
	peer_announce(d);
	return true;
}

#define LOOK_PAUSE (100 * LOOP_MS)

static void look_again(struct loop_timer *t)
{
	role_look(t->data);
}

/* Role changes that others make (another tool) are undone by nobody: say so. */
void role_look(struct daemon *d)
{
	struct genl_status st;
	int ret = genl_status_get(&d->req, &st);

	if (xfrm_is_unasked(ret)) {
		d->look_timer.cb = look_again;
		d->look_timer.data = d;
		loop_timer_set(&d->loop, &d->look_timer, LOOK_PAUSE);
		return;
	}
	loop_timer_stop(&d->look_timer);
	if (ret) {
		log_err("the module does not answer (%s): stopping, start me again",
			d->req.error);
	} else if (role_follow(d, &st) || (st.role == d->st.role && st.epoch == d->st.epoch)) {
		return;
	} else {
		log_err("the module's role is now %s, epoch %llu, and was not changed by this daemon: stopping, start me again",
			genl_role_str(st.role), (unsigned long long)st.epoch);
	}
	d->exit_code = 1;
	d->loop.stop = true;
}

static void taken_back(struct daemon *d, int code, const char *text)
{
	(void)d;
	if (code)
		log_err("cannot take over again: %s", text);
}

/* It cannot fill us: it was rebooted, say. Somebody has to be active. */
static void not_filled(struct loop_timer *t)
{
	struct daemon *d = t->data;

	if (!d->want_active || role_is_active(d) || peer_active(d))
		return;
	log_warn("nobody fills this node: taking over again with the SAs that are safe");
	d->want_active = false;
	role_takeover(d, false, taken_back);
}

static void finish_takeover(struct loop_timer *t)
{
	struct daemon *d = t->data;

	if (!d->unfinished || role_is_active(d) || peer_active(d))
		return;
	d->unfinished = false;
	role_takeover(d, false, taken_back);
}

/* Where nobody is active, and none can be that was not heard of. */
static void finish_if_alone(struct daemon *d)
{
	const struct peer *p;
	size_t i;

	for (i = 0; d->unfinished && i < d->n_peers; i++) {
		p = &d->peer[i];
		if (!p->link || p->first_hello || p->role != XFRMSYNC_ROLE_STANDBY)
			return;
	}
	finish_takeover(&d->fill_timer);
}

void role_carry_on(struct daemon *d)
{
	if (!d->unfinished)
		return;
	log_warn("was about to become active in epoch %llu: going on with it, unless a peer is active",
		 (unsigned long long)d->st.epoch);
	d->fill_timer.cb = finish_takeover;
	d->fill_timer.data = d;
	loop_timer_set(&d->loop, &d->fill_timer, 2 * d->conf.dead_ms * LOOP_MS);
}

/* From here on it may be active, in the next epoch, at any time. */
static void ask_to_fill(struct daemon *d, struct peer *p)
{
	d->asked = true;
	peer_send_simple(p, WIRE_FILL);
}

static void set_fill_timer(struct daemon *d, void (*cb)(struct loop_timer *t))
{
	d->fill_timer.cb = cb;
	d->fill_timer.data = d;
	loop_timer_set(&d->loop, &d->fill_timer, 2 * d->conf.dead_ms * LOOP_MS);
}

/*
 * The peer was active after this node (the sync link was cut), and is not any
 * more: nobody is. Its counters are the newest, so it becomes active once more,
 * fills this node, and hands over to it.
 */
static void take_back(struct daemon *d, struct peer *p)
{
	log_info("peer %s: asking it to fill this node, which takes over again then",
		 p->name);
	d->unseen = false;
	d->want_active = true;
	set_fill_timer(d, not_filled);
	ask_to_fill(d, p);
}

/* Of this node's epoch; if it made it, its counters are the newest. */
static bool has_epoch(const struct daemon *d, const struct peer *p)
{
	return !state_epoch_cmp(p->epoch, p->epoch_node, d->st.epoch,
				d->st.node);
}

static bool is_idle(const struct daemon *d, const struct peer *p)
{
	return p->link && p->role == XFRMSYNC_ROLE_STANDBY && has_epoch(d, p);
}

/* Who is nearest to the one that was active last: itself, or one that followed it. */
static struct peer *heir(struct daemon *d)
{
	struct peer *found = NULL;
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (!is_idle(d, &d->peer[i]))
			continue;
		if (d->peer[i].node_id == d->st.node)
			return &d->peer[i];
		if (!found)
			found = &d->peer[i];
	}
	return found;
}

/* By a peer, as it said last: it may be out of sight itself by now. */
static bool is_seen(const struct daemon *d)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].sees && has_epoch(d, &d->peer[i]))
			return true;
	}
	return false;
}

static void nobody_sees(struct loop_timer *t)
{
	struct daemon *d = t->data;
	struct peer *p = heir(d);

	if (!d->unseen || role_is_active(d) || peer_active(d) || is_seen(d))
		return;
	log_warn("node %u, which became active after this one, is seen by nobody any more",
		 d->st.node);
	if (p) {
		take_back(d, p);
		return;
	}
	d->unseen = false;
	d->want_active = true;
	not_filled(t);
}

/*
 * This node was the active, and stepped down for one that it does not reach. While a
 * peer sees that one, it lives. When none does any more, nobody is active; and it may
 * be that nobody is told to be, as keepalived had this node for it all along. Not at
 * once: first it is up to keepalived.
 */
static void look_for_active(struct daemon *d)
{
	struct peer *p;

	if (!d->unseen)
		return;
	p = heir(d);
	if (role_is_active(d) || peer_active(d)) {
		d->unseen = false;
		loop_timer_stop(&d->fill_timer);
	} else if (is_seen(d)) {
		loop_timer_stop(&d->fill_timer);
	} else if (p && p->node_id == d->st.node) {
		take_back(d, p);
	} else if (!d->fill_timer.at_ns) {
		set_fill_timer(d, nobody_sees);
	}
}

/* Others go by it, who do not reach the active themselves. */
static void tell_sight(struct daemon *d)
{
	if (d->sees != !!peer_active(d) && !role_is_active(d))
		peer_announce(d);
}

/* Between the two, what is here is partly of the one and partly of the other. */
void role_filling(struct daemon *d, const struct peer *p)
{
	struct state next = d->st;

	d->coming = p->chain;
	chain_common(&next.chain, &p->chain);
	if (chain_is_same(&next.chain, &d->st.chain))
		return;
	store(d, &next);
	d->st = next;
}

/* What is here is as the active has it: what is accounted for, and what is safe. */
static void adopt(struct daemon *d)
{
	struct state next = d->st;

	next.outdated = false;
	next.holes = 0;
	next.chain = d->coming;
	if (d->st.outdated || d->st.holes ||
	    !chain_is_same(&next.chain, &d->st.chain))
		store(d, &next);
	d->st = next;
	hole_forget(d);
}

void role_filled(struct daemon *d)
{
	if (d->synced) {
		adopt(d);
	} else if (!d->st.outdated) {
		d->st.outdated = true;
		store(d, &d->st);
	}
	if (!d->want_active || !d->synced)
		return;
	d->want_active = false;
	role_takeover(d, false, taken_back);
}

/*
 * A standby hears of a newer epoch. The peer's numbers are not covered by what
 * is here, unless it has just taken what we gave it (given): this node stands
 * past all of those. What the peer has delivered since can be replayed here, is it
 * the active still or not: too much for a strict guard.
 */
static void follow(struct daemon *d, struct peer *p, bool given)
{
	d->synced = false;
	d->st.outdated |= !given || d->conf.guard == CONF_GUARD_STRICT;
	log_info("peer %s: %s, epoch %llu of node %u", p->name,
		 p->role == XFRMSYNC_ROLE_ACTIVE ? "is the active" :
		 "knows of a newer epoch; what is here is outdated",
		 (unsigned long long)p->epoch, p->epoch_node);
	set_role(d, XFRMSYNC_ROLE_STANDBY, p->epoch, p->epoch_node, 0);
	d->asked = false;
	/* Whoever it was given to: it is over, and others have the numbers. */
	d->handed_to = NULL;
	if (!d->handover_wait)
		d->handover_from = NULL;
	/* It did not wait for what we were giving it. */
	if (d->handover_to == p)
		d->handover_to = NULL;
	/* An active that does not reach it must not stay one. */
	peer_announce(d);
	/* What it was asked before its epoch was known here, is void. */
	if (d->handover_wait && p->role == XFRMSYNC_ROLE_ACTIVE)
		handover_ask_again(d, p);
}

static void heard(struct daemon *d, struct peer *p)
{
	bool given;
	int order = state_epoch_cmp(p->epoch, p->epoch_node, d->st.epoch,
				    d->st.node);

	if (role_is_active(d)) {
		if (order <= 0)
			return;
		/* Somebody was active after us, even if it is not any more. */
		log_warn("peer %s: is %s with the newer epoch %llu of node %u: stepping down",
			 p->name, genl_role_str(p->role),
			 (unsigned long long)p->epoch, p->epoch_node);
		/* That one's numbers are not covered by what is here. */
		d->st.outdated = true;
		if (role_step_down(d, p->epoch, p->epoch_node, 0))
			return;
		peer_announce(d);
		if (p->role == XFRMSYNC_ROLE_ACTIVE)
			return;
		if (p->epoch_node == p->node_id) {
			take_back(d, p);
			return;
		}
		log_warn("node %u became active after this one, and is not connected: waiting for it, as long as others see it",
			 p->epoch_node);
		d->unseen = true;
		return;
	}
	/* Not where it was taken back, and failed: that is at the exact numbers. */
	given = d->handed_to == p && p->epoch_node == p->node_id &&
		p->epoch == d->st.epoch + 1 && !d->handed_low;
	handover_heard(d, p, order);
	if (role_is_active(d))
		return;
	/* Somebody has decided later than the daemon before this one. */
	if (order > 0)
		d->unfinished = d->was_unfinished = false;
	else if (d->unfinished)
		finish_if_alone(d);
	if (role_is_active(d) || handover_not_exact(d, p, order))
		return;
	/* The link that was asked on may be gone again. */
	if (d->want_active && p == heir(d))
		ask_to_fill(d, p);
	if (order <= 0 && p->role != XFRMSYNC_ROLE_ACTIVE)
		return;
	if (order < 0)
		return;
	if (d->handover_wait && d->handover_from != p &&
	    p->role == XFRMSYNC_ROLE_ACTIVE) {
		handover_end(d);
		d->takeover_done(d, 1, "another node became active meanwhile");
	}
	if (order > 0)
		follow(d, p, given);
}

void role_heard(struct daemon *d, struct peer *p)
{
	heard(d, p);
	look_for_active(d);
	tell_sight(d);
}

void role_guard_changed(struct daemon *d)
{
	if (!d->st.strict || d->conf.guard == CONF_GUARD_STRICT)
		return;
	d->st.strict = false;
	store(d, &d->st);
}

/* Who was active last, if it is a peer that was ever seen. */
static struct peer *active_before(struct daemon *d)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].node_id && d->peer[i].node_id == d->st.node)
			return &d->peer[i];
	}
	return NULL;
}

/* Before it gives: a daemon after this one has to know as well. */
int role_given(struct daemon *d, const struct peer *p)
{
	struct state next = d->st;

	memcpy(next.handed, p->name, sizeof(next.handed));
	return change(d, &next);
}

/* Before it asks: a daemon after this one may take over without the answer. */
int role_requested(struct daemon *d)
{
	struct state next = d->st;

	if (d->st.requested)
		return 0;
	next.requested = true;
	return change(d, &next);
}

/* What becomes of the SAs that are not safe. */
enum unsafe_ones { FENCE_THEM, USE_THEM, AS_THEY_ARE };

/* The last step while fenced: what is not safe, and how far to deliver (strict). */
static int prepare(struct daemon *d, enum unsafe_ones what, size_t *unsafe)
{
	size_t released;
	int ret = 0;

	if (what == USE_THEM)
		ret = ready_release(d, &released);
	else if (what == FENCE_THEM)
		ret = ready_fence(d, unsafe);
	else
		ret = ready_own(d);
	if (ret) {
		log_err("SAs that are not safe cannot be fenced (%s): mend it, or takeover --force-unsafe",
			d->req.error);
		return ret;
	}
	/* What it was given to may have delivered what came late; or, given back to
	 * at once, stands without a guard there until it is filled.
	 */
	if (d->st.handed[0])
		ret = inbound_fill(d);
	ret = ret ?: inbound_hold(d);
	if (ret)
		log_err("SAs cannot be given the limits of a strict guard: %s",
			d->req.error);
	return ret;
}

static void in_force(struct daemon *d, const struct state *next)
{
	/* An active that was asked to hand over may have a range of its own now. */
	d->before = d->st.requested ? NULL : active_before(d);
	d->handover_from = NULL;
	d->st = *next;
	/* Not before: one that dies in between has still to fence what is unsafe, and
	 * to close what it gave.
	 */
	if (d->st.outdated || d->st.handed[0]) {
		d->st.outdated = false;
		d->st.handed[0] = '\0';
		store(d, &d->st);
	}
	d->same_boot = true;
	d->taken_here = true;
	d->want_active = false;
	d->unfinished = false;
	d->was_unfinished = false;
	d->source = NULL;
	d->handover_to = NULL;
	d->handed_to = NULL;
	d->handed_low = false;
}

/*
 * Exact numbers stand here that could not be raised past, and the disk says that they
 * are this node's: the next daemon goes on with that. This one says no more that it is
 * a standby of the epoch before: on a new link it would give them back by that.
 */
static void leave_it(struct daemon *d, const struct state *taken)
{
	log_err("what was handed over can neither be used nor given back: stopping, start me again: the next one goes on with epoch %llu",
		(unsigned long long)taken->epoch);
	d->st = *taken;
	d->st.role = XFRMSYNC_ROLE_STANDBY;
	/* Nor is a record restored by that epoch: the kernel would have it then, and
	 * what is not finished would be taken for what is.
	 */
	d->n_batch = 0;
	loop_timer_stop(&d->repair_timer);
	d->exit_code = 1;
	d->loop.stop = true;
}

/*
 * Up: on disk before it is in force, so that after a crash nobody believes in a
 * lower epoch. That decides it; numbers are taken exactly only after it.
 */
static int flip(struct daemon *d, uint64_t epoch, bool again, bool exact,
		enum unsafe_ones what, size_t *unsafe)
{
	struct state next = d->st;
	int ret;

	*unsafe = 0;
	d->again = again;
	d->taken_exact = exact;
	d->taken_crash = exposed_is_crash(d, exact);
	next.role = XFRMSYNC_ROLE_ACTIVE;
	next.epoch = epoch;
	next.node = d->conf.node_id;
	next.requested = false;
	/* What it told in its time before, is in the daemon's memory alone. */
	next.strict = !again && d->conf.guard == CONF_GUARD_STRICT;
	if (what == USE_THEM)
		hole_use(d, &next);
	state_count_in(&next, role_is_owner(d));
	ret = store(d, &next);
	if (ret) {
		/* It is decided by what the disk says, whatever failed. */
		if (state_is_stored(d->conf.state_dir, &d->st))
			handover_give_back(d);
		return ret;
	}
	if (exact) {
		apply_final(d);
		apply_flush(d);
		handover_take_exact(d);
	}
	ret = prepare(d, what, unsafe);
	if (!ret)
		ret = enforce(d, &next, 0);
	if (ret) {
		/* Who is given it back goes on at those numbers. Where they are not
		 * all raised, the next daemon here finishes this one.
		 */
		if (!apply_raise(d)) {
			if (exact)
				leave_it(d, &next);
		} else if (!store(d, &d->st)) {
			handover_give_back(d);
		}
		return ret;
	}
	if (what == USE_THEM)
		hole_forget(d);
	in_force(d, &next);
	return 0;
}

/* What the next takeover needs. It may take its time: the leases hold. */
static void settle(struct daemon *d)
{
	d->asked = false;
	d->unseen = false;
	apply_renegotiate(d);
	/* It needs the ranges that this node was told. */
	lease_taken_over(d, d->before);
	pmtu_taken_over(d);
	/* It needs what stood in this kernel, and where. */
	exposed_taken_over(d);
	apply_reset(d);
	inbound_taken_over(d, d->before);
	peer_level(d);
	source_start(d);
	exposed_start(d);
	ike_taken_over(d);
	ike_took_over(d);
	peer_announce(d);
	log_info("is active now, epoch %llu, %zu SAs",
		 (unsigned long long)d->st.epoch, d->cache.n_entries);
}

bool role_is_owner(const struct daemon *d)
{
	return d->same_boot && d->st.node == d->conf.node_id &&
	       !d->st.handed[0];
}

/* What this node told in a time before is not known, or it stands there still,
 * whoever of its daemons and boots that was.
 */
bool role_would_be_again(const struct daemon *d)
{
	return d->st.node == d->conf.node_id || d->st.handed[0] ||
	       d->was_unfinished;
}

void role_finish(struct daemon *d, const char *how, bool exact)
{
	/* Whom it gave everything to may have taken the next epoch, and died; or
	 * not, and stand where it was told before. So may who was asked to fill this
	 * node: who is told now stays, whichever has the larger id.
	 */
	uint64_t epoch = d->st.epoch + 1 + (d->st.handed[0] || d->asked);
	bool again = role_would_be_again(d);
	char text[400];
	size_t unsafe;
	int ret;

	ike_finish(d);
	/* What was deleted here a moment ago comes back first. */
	run_xfrm_events(d);
	apply_finish(d);
	ret = flip(d, epoch, again, exact,
		   d->takeover_force ? USE_THEM : FENCE_THEM, &unsafe);
	if (ret) {
		snprintf(text, sizeof(text), "takeover failed, see the log: %s",
			 ret < 0 ? strerror(-ret) : "not all could be fenced");
		d->takeover_done(d, 1, text);
		return;
	}
	if (unsafe)
		snprintf(text, sizeof(text), "active, epoch %llu (%s), %zu SAs; %zu are not safe, and fenced until they are rekeyed: see show, or --force-unsafe to use them",
			 (unsigned long long)epoch, how, d->cache.n_entries,
			 unsafe);
	else
		snprintf(text, sizeof(text), "active, epoch %llu (%s), %zu SAs",
			 (unsigned long long)epoch, how, d->cache.n_entries);
	d->takeover_done(d, 0, text);
	settle(d);
}

int role_resume(struct daemon *d)
{
	size_t unsafe;
	int ret;

	/* Nobody used them meanwhile: its own counters are the newest again. With a
	 * third node some may have no range (give).
	 */
	ret = flip(d, d->st.epoch + 1, true, true,
		   d->conf.n_peers > 1 ? FENCE_THEM : AS_THEY_ARE, &unsafe);
	if (!ret)
		settle(d);
	return ret;
}

void role_cancel(struct daemon *d, const char *why)
{
	if (!d->handover_wait)
		return;
	handover_end(d);
	d->takeover_done(d, 1, why);
}

const struct peer *role_out_of_sight(const struct daemon *d)
{
	uint64_t silence = 2 * d->conf.heartbeat_ms * LOOP_MS;
	const struct peer *p;
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		p = &d->peer[i];
		if (!p->link || p->role != XFRMSYNC_ROLE_STANDBY ||
		    loop_now_ns() - p->link->last_heard_ns > silence)
			return p;
	}
	return NULL;
}

/*
 * A peer may have taken over unheard, one epoch further. Who was told last shall
 * stay: so its word counts for more than that, and not only for as much, where
 * the node id would decide.
 */
static int renew(struct daemon *d)
{
	struct state next = d->st;
	int ret;

	next.epoch += 2;
	ret = store(d, &next);
	if (ret)
		return ret;
	ret = enforce(d, &next, 0);
	if (ret) {
		store(d, &d->st);
		return ret;
	}
	d->st = next;
	peer_announce(d);
	peer_refill(d);
	return 0;
}

/* What a peer may have used, and has lost: renewed and offered again. */
static void use_lost(struct daemon *d)
{
	hole_forget(d);
	store(d, &d->st);
	source_bind(d);
	peer_kick(d);
}

/* It stays so, in an epoch above all others that may be; and with force, what a
 * takeover fenced is used after all: the operator knows better.
 */
static void stay(struct daemon *d, bool force,
		 void (*done)(struct daemon *d, int code, const char *text))
{
	const struct peer *p = role_out_of_sight(d);
	int ret = 0, refused = p ? renew(d) : 0;
	char text[400], used[100] = "";
	size_t n = 0;

	if (force)
		ret = ready_release(d, &n);
	if (force && !ret && d->st.holes)
		use_lost(d);
	if (n && !ret)
		snprintf(used, sizeof(used), "; %zu SAs that were fenced are used now", n);
	if (ret)
		snprintf(text, sizeof(text), "the SAs that are fenced cannot be let go: %s",
			 d->req.error);
	else if (refused)
		snprintf(text, sizeof(text), "already active, but %s is out of sight, and no newer epoch is possible (see the log): if it took over, it stays active",
			 p->name);
	else if (p)
		snprintf(text, sizeof(text), "already active, now in epoch %llu: %s is out of sight, and steps down for it if it took over meanwhile%s",
			 (unsigned long long)d->st.epoch, p->name, used);
	else
		snprintf(text, sizeof(text), "already active, epoch %llu%s",
			 (unsigned long long)d->st.epoch, used);
	if (p && !refused)
		log_info("%s", text);
	done(d, ret || refused ? 1 : 0, text);
	source_pull_soon(d);
}

void role_takeover(struct daemon *d, bool force, void (*done)(struct daemon *d, int code,
						  const char *text))
{
	struct peer *p = peer_active(d);

	watchdog_look(d);
	if (d->handover_wait)
		return;		/* who asks again waits for the same end */
	if (role_is_active(d)) {
		stay(d, force, done);
		return;
	}
	d->takeover_done = done;
	d->takeover_force = force;
	if (!p) {
		log_info("taking over: no active is connected");
		role_finish(d, "no active was connected", false);
		return;
	}
	handover_ask(d, p);
}

/* It has all that the one had which is gone: it takes over from it as after a crash. */
static void stand_in(struct daemon *d, struct peer *p)
{
	if (!d->synced || d->st.outdated || d->handover_wait)
		return;
	log_info("peer %s: asks to be filled, and nobody is active: taking over, for it",
		 p->name);
	role_takeover(d, false, taken_back);
}

void role_fill_request(struct daemon *d, struct peer *p, uint64_t epoch,
		       uint32_t node)
{
	size_t unsafe;

	if (role_is_active(d) || d->handover_to || peer_active(d))
		return;
	/* From before somebody decided otherwise. */
	if (state_epoch_cmp(epoch, node, d->st.epoch, d->st.node))
		return;
	if (!role_is_owner(d)) {
		stand_in(d, p);
		return;
	}
	log_info("peer %s: asks to be filled, and nobody is active: being it once more",
		 p->name);
	apply_finish(d);
	if (!flip(d, d->st.epoch + 1, true, false, FENCE_THEM, &unsafe))
		settle(d);
}

void role_peer_down(struct daemon *d, struct peer *p)
{
	if (d->source == p)
		d->source = NULL;
	if (p->role == XFRMSYNC_ROLE_ACTIVE && !role_is_active(d))
		log_warn("peer %s: was the active; a takeover is up to keepalived or to you",
			 p->name);
	p->role = XFRMSYNC_ROLE_NONE;
	handover_peer_down(d, p);
	look_for_active(d);
	tell_sight(d);
}

int role_standby(struct daemon *d, const char *why)
{
	int ret;

	role_cancel(d, "told to be standby meanwhile");
	/* What it gave stays given: one that waits to go on itself, does not. */
	if (d->resume_timer.at_ns)
		d->handed_to = NULL;
	loop_timer_stop(&d->resume_timer);
	d->want_active = false;
	d->unseen = false;
	d->unfinished = false;
	if (!role_is_active(d))
		return 0;
	ret = role_step_down(d, d->st.epoch, d->st.node, 0);
	if (ret)
		return ret;
	log_info("is standby now: %s", why);
	peer_announce(d);
	return 0;
}
