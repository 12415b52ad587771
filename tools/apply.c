// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts and records of the active, decoded.
 * Out: the cache, and this kernel's SAs and policies, ready for a takeover.
 * The daemon's loop, while standby; asks the kernel, and waits for its answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "../kmod/lease.h"
#include "bindings.h"
#include "conflict.h"
#include "daemon.h"
#include "log.h"
#include "owned.h"

#define REPAIR_DELAY (1000 * LOOP_MS)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define REPAIR_SLOWER 6		/* doublings, while repairs fail */
#define REPAIR_TRIES 3		/* at a takeover */
#define RESTORE_TRIES 3
#define IKE_WAIT (3000 * LOOP_MS)	/* for charon to make what it was told of */

static const char *name_of(const struct cache_entry *e)
{
	static char name[128];

	return sa_id_str(&e->id, name, sizeof(name));
}

size_t apply_count(const struct daemon *d, enum cache_applied what)
{
	return what < CACHE_STATES ? d->applied[what] : 0;
}

/* Keeps the sums that status tells. */
static void set_applied(struct daemon *d, struct cache_entry *e,
			enum cache_applied what)
{
	d->applied[e->applied]--;
	e->applied = what;
	d->applied[what]++;
}

/* ---- records ---- */

/*
 * What this kernel's SA has to hold: the window at the last record, and the
 * outbound counter past everything that the active may have sent.
 */
static void ready_record(const struct daemon *d, struct cache_entry *e,
			 struct record *r)
{
	record_copy(r, &e->rec);
	lead_compose(e, r);
	r->tag = e->tag;
	r->cookie = 0;
	/* How far this node may go, if it takes over. */
	r->lease_end = e->range_end;
	r->given_end = e->given;
	if (e->info.dir != XFRMSYNC_DIR_IN) {
		if (r->oseq < e->lease_end)
			r->oseq = e->lease_end;
		if (r->oseq < e->floor)
			r->oseq = e->floor;
		/* After a planned takeover less is used up: nobody drew the rest. */
		r->has_expect = e->wrote && r->oseq < e->wrote;
		r->expect_oseq = e->wrote;
	}
	e->base = r->oseq;
	/* So that it outlives this daemon. */
	r->has_sent = true;
	r->sent = e->sent > e->drawn ? e->sent : e->drawn;
	r->restore_flags = XFRMSYNC_RESTORE_F_BIND |
			   XFRMSYNC_RESTORE_F_NO_PARK |
			   (e->unsafe ? XFRMSYNC_RESTORE_F_FENCED : 0) |
			   (lease_goes_on(d, e) ? XFRMSYNC_RESTORE_F_GO_ON : 0);
	/* It may go back: what was accepted here is merged in already. */
	if (e->info.window && !e->strays)
		r->restore_flags |= XFRMSYNC_RESTORE_F_WINDOW_EXACT;
	e->strays = false;
}

static void repair_soon(struct daemon *d)
{
	if (!d->repair_timer.at_ns)
		loop_timer_set(&d->loop, &d->repair_timer,
			       REPAIR_DELAY << d->repair_slower);
}

/* What could not be kept has to come once more, all of it. */
static void no_memory(struct daemon *d)
{
	log_err("out of memory: asking for all of it once more");
	d->want_resync = true;
	repair_soon(d);
}

/*
 * The parts of a record that the wire leaves to the context. What is stored never
 * goes back: another active may not have had it.
 */
static void take_record(struct daemon *d, struct cache_entry *e,
			const struct record *rec)
{
	uint32_t words = e->info.large ? e->info.bmp_words : 1;
	struct record *r = &e->rec;

	if (rec->seq < r->seq && !lead_keep(e, r))
		no_memory(d);
	record_copy(r, rec);
	r->id = e->id;
	memcpy(r->src, e->info.src, sizeof(r->src));
	r->mode = e->info.mode;
	r->dir = e->info.dir;
	r->if_id = e->info.if_id;
	r->reqid = e->info.reqid;
	r->tag = e->tag;
	r->lease_end = e->lease_end;
	r->window = e->info.window;
	r->flags |= (e->info.esn ? XFRMSYNC_RECORD_F_ESN : 0) |
		    (e->info.large ? XFRMSYNC_RECORD_F_BMP : 0);
	if (r->bmp_words != words) {
		memset(r->bmp, 0, sizeof(r->bmp));
		r->bmp_words = words;
	}
	lead_drop_covered(e);
}

static void flush_records(struct daemon *d);
static void make_queued(struct daemon *d);

static void queue(struct daemon *d, struct cache_entry *e)
{
	if (e->queued)
		return;
	if (d->n_batch == DAEMON_BATCH)
		flush_records(d);
	e->queued = true;
	d->batch_entry[d->n_batch++] = e;
}

static void unqueue(struct daemon *d, struct cache_entry *e)
{
	size_t i;

	for (i = 0; e->queued && i < d->n_batch; i++) {
		if (d->batch_entry[i] != e)
			continue;
		d->batch_entry[i] = d->batch_entry[--d->n_batch];
		e->queued = false;
	}
}

static void repair_later(struct daemon *d, struct cache_entry *e)
{
	if (e->applied == CACHE_REFUSED || e->applied == CACHE_UNSUPPORTED)
		return;		/* there is nothing to repair it with */
	cache_set_repair(&d->cache, e, true);
	repair_soon(d);
}

/* The highest number that this node drew itself, as its kernel knows it. */
static uint64_t drawn_by(const struct cache_entry *e, const struct record *k)
{
	if (k->flags & XFRMSYNC_RECORD_F_RESTORED)
		return k->has_sent ? k->sent : 0;
	/* Without its tag yet: it was made with that number. */
	return !k->tag && k->oseq == e->made ? 0 : k->oseq;
}

/* What another active has to leave out, and nobody else could tell it. */
static void learn(struct cache_entry *e, const struct record *k)
{
	uint64_t drawn = drawn_by(e, k);

	if (drawn > e->drawn)
		e->drawn = drawn;
	if (k->given_end > e->given)
		e->given = k->given_end;
}

/* Its own counter is ahead already, of a time when this node was active. */
static bool raise_floor(struct daemon *d, struct cache_entry *e)
{
	struct record k;

	if (genl_get(&d->req, &e->id, &k) || k.oseq <= e->floor)
		return false;
	learn(e, &k);
	e->floor = k.oseq;
	return true;
}

static void refused(struct daemon *d, struct cache_entry *e, uint32_t reason)
{
	switch (reason) {
	case XFRMSYNC_REASON_BACKWARDS_SEQ:
		/* Packets came to this node, and the fence held them. The window
		 * cannot go back, but nobody else has to know.
		 */
		e->strays = true;
		queue(d, e);
		return;
	case XFRMSYNC_REASON_BACKWARDS_OSEQ:
	case XFRMSYNC_REASON_MOVED:
		e->wrote = 0;
		if (raise_floor(d, e))
			queue(d, e);
		return;
	case XFRMSYNC_REASON_NO_SA:
	case XFRMSYNC_REASON_PARKED:
	case XFRMSYNC_REASON_TAG:
	case XFRMSYNC_REASON_STATE:
		/* Deleted or replaced behind our back: look at it again. */
		repair_later(d, e);
		return;
	default:
		d->restore_refused++;
		if (e->applied == CACHE_APPLIED)
			log_warn("%s: its record is refused: %s", name_of(e),
				 genl_reason_str(reason));
		set_applied(d, e, CACHE_FAILED);
		repair_later(d, e);
	}
}

/* The new active has to know what this node has accepted: on the next ACK's way. */
static void put_merge(struct daemon *d, struct cache_entry *e)
{
	size_t at = wire_begin(&d->merges, WIRE_MERGE, d->st.epoch, d->st.node);

	lead_put_own(e, &d->merges);
	wire_end(&d->merges, at);
	e->own_told = true;
}

/* And which numbers it has drawn, that the active does not know of. */
static void put_used(struct daemon *d, struct cache_entry *e)
{
	const struct wire_number used = {
		.handle = e->handle, .tag = e->tag, .number = e->drawn,
	};
	size_t at = wire_begin(&d->merges, WIRE_USED, d->st.epoch, d->st.node);

	wire_put_number(&d->merges, &used);
	wire_end(&d->merges, at);
	e->used_told = e->drawn;
}

/*
 * Now that it is, the active may be told. What was found out since its context came
 * (a repair, a number that was drawn behind the look) goes before: the lease could
 * have it.
 */
static void raised(struct daemon *d, struct cache_entry *e)
{
	const struct wire_lease_ack ack = {
		.handle = e->handle, .number = e->lease_end,
	};

	if (!e->handle)
		return;
	if (e->own && !e->own_told)
		put_merge(d, e);
	if (e->drawn > e->sent && e->drawn > e->used_told)
		put_used(d, e);
	if (e->lease_end <= e->lease_told)
		return;
	e->lease_told = e->lease_end;
	wire_put_lease_ack(&d->lease_acks, &ack);
}

static int flush_once(struct daemon *d)
{
	static struct cache_entry *entry[DAEMON_BATCH];
	static struct genl_result res[DAEMON_BATCH];

	size_t n = d->n_batch, i;
	int ret;

	for (i = 0; i < n; i++) {
		entry[i] = d->batch_entry[i];
		entry[i]->queued = false;
		ready_record(d, entry[i], &d->batch[i]);
	}
	d->n_batch = 0;
	ret = genl_restore(&d->req, d->st.epoch, d->st.node, d->batch, n, res);
	if (ret) {
		log_err("the module refuses the records: %s; trying again",
			d->req.error);
		for (i = 0; i < n; i++) {
			set_applied(d, entry[i], CACHE_FAILED);
			repair_later(d, entry[i]);
		}
		return ret;
	}
	for (i = 0; i < n; i++) {
		if (res[i].reason) {
			refused(d, entry[i], res[i].reason);
			continue;
		}
		entry[i]->wrote = d->batch[i].oseq;
		entry[i]->written = true;
		raised(d, entry[i]);
	}
	return 0;
}

static void flush_records(struct daemon *d)
{
	int tries = RESTORE_TRIES;

	while (d->n_batch && tries-- && !flush_once(d))
		;
}

void apply_flush(struct daemon *d)
{
	make_queued(d);
	flush_records(d);
}

/* ---- SAs ---- */

/* The active shall know, and say so, before it has to be taken over. */
static void tell(struct daemon *d, struct cache_entry *e, uint8_t why,
		 const char *text)
{
	struct wire_refused f = {
		.handle = e->handle, .tag = e->tag, .why = why,
	};
	size_t at;

	if (!e->handle || e->told_refused == why)
		return;
	e->told_refused = why;
	snprintf(f.text, sizeof(f.text), "%s", text);
	at = wire_begin(&d->merges, WIRE_REFUSED, d->st.epoch, d->st.node);
	wire_put_refused(&d->merges, &f);
	wire_end(&d->merges, at);
}

/* So of what SAs are used without here: once for each kind, not for each SA. */
static void tell_lacking(struct daemon *d)
{
	const char *text;
	size_t at;

	while ((text = kinds_next_lacking(&d->kinds))) {
		at = wire_begin(&d->merges, WIRE_LACKING, d->st.epoch, d->st.node);
		wire_put_lacking(&d->merges, text);
		wire_end(&d->merges, at);
	}
}

static void unsupported(struct daemon *d, struct cache_entry *e, const char *why)
{
	if (e->applied != CACHE_UNSUPPORTED)
		log_warn("%s: this node does not support it: %s: it is not protected on this node",
			 name_of(e), why);
	set_applied(d, e, CACHE_UNSUPPORTED);
	tell(d, e, WIRE_REFUSED_UNSUPPORTED, why);
}

static void failed(struct daemon *d, struct cache_entry *e, const char *what,
		   const char *why)
{
	tell(d, e, WIRE_REFUSED_FAILED, why);
	if (e->applied != CACHE_FAILED)
		log_warn("%s: cannot %s it: %s: it is not protected on this node",
			 name_of(e), what, why);
	set_applied(d, e, CACHE_FAILED);
	repair_later(d, e);
}

/* This node may have used it, and cannot tell. */
static void unread(struct daemon *d, struct cache_entry *e, const char *what,
		   const char *why)
{
	e->unread = true;
	failed(d, e, what, why);
}

static void done(struct daemon *d, struct cache_entry *e)
{
	cache_set_way(e, NULL);
	tell(d, e, WIRE_REFUSED_NOT, "");
	set_applied(d, e, CACHE_APPLIED);
	/* The record gives the SA its tag, which makes it ours. */
	queue(d, e);
}

static void existing(struct daemon *d, struct cache_entry *e,
		     const struct record *k);

/* What it is made with; false: this kernel does not do its kind. */
static bool may_create(struct daemon *d, struct cache_entry *e,
		       struct record *live)
{
	const char *why = kinds_why_not(&d->kinds, e->context, e->context_len);

	e->wrote = 0;
	tell_lacking(d);
	if (why)
		unsupported(d, e, why);
	else
		ready_record(d, e, live);
	return !why;
}

static void create(struct daemon *d, struct cache_entry *e)
{
	static const struct record unknown;

	struct record live;
	int ret;

	if (!may_create(d, e, &live))
		return;
	ret = xfrm_add_sa(&d->xfrm, e->context, e->context_len, &live);
	if (ret == -EEXIST && !e->existed) {
		/* The module does not follow it (yet), or it came just now. */
		e->existed = true;
		existing(d, e, &unknown);
		return;
	}
	if (ret) {
		failed(d, e, "create", d->xfrm.error);
		return;
	}
	e->made = live.oseq;
	done(d, e);
}

static void recreate(struct daemon *d, struct cache_entry *e)
{
	int ret = xfrm_delete_sa(&d->xfrm, &e->id);

	if (ret && ret != -ESRCH)
		failed(d, e, "replace", d->xfrm.error);
	else
		create(d, e);
}

static void install(struct daemon *d, struct cache_entry *e);
static void install_policy(struct daemon *d, struct cache_policy *p,
			   bool replace);

/* The policies whose templates name the SPI that it had. */
static void policies_follow(struct daemon *d, const struct context_sa *from,
			    uint32_t spi)
{
	struct cache_policy *p, *n;
	struct context_policy info;

	cache_for_each_policy_safe(&d->cache, p, n) {
		if (p->refused ||
		    !context_policy_set_spi(p->context, p->context_len, from, spi))
			continue;
		context_policy_info(p->context, p->context_len, &info, NULL);
		cache_policy_set_info(&d->cache, p, &info);
		install_policy(d, p, owned_has(&d->owned, info.key, info.key_len));
	}
}

/* True: the setting has it installed by another SPI. */
static bool install_elsewhere(struct daemon *d, struct cache_entry *e)
{
	const struct context_sa from = e->info;

	if (d->conf.on_conflict != CONF_CONFLICT_NEW_SPI ||
	    !renumber_entry(d, e))
		return false;
	cache_set_way(e, NULL);
	policies_follow(d, &from, e->id.spi);
	install(d, e);
	return true;
}

static int fence_one(struct daemon *d, const struct record *k, bool fenced)
{
	struct bindings one = {};
	int ret;

	ret = bindings_fence(&one, k, fenced);
	if (!ret)
		ret = bindings_put(&d->req, &one, fenced ? "cannot be fenced" :
							   "cannot be let go");
	bindings_free(&one);
	return ret;
}

/*
 * Of the cluster, and nobody follows it here, nor can delete it: by its name XFRM finds
 * another one. No other life of it is fenced. Where that fails it comes once more: a
 * snapshot ends with a look at all that should not be here.
 */
static void fence_hidden(struct daemon *d, const struct sa_id *id, uint64_t tag)
{
	const struct record k = { .id = *id, .tag = tag };

	if (tag && fence_one(d, &k, true)) {
		d->want_resync = true;
		repair_soon(d);
	}
}

static void conflict(struct daemon *d, struct cache_entry *e,
		     const struct buf *other)
{
	struct context_sa way;
	char by[320] = "its SPI is in use there", name[280];

	if (!context_sa_info(other->data, other->len, &way, NULL)) {
		cache_set_way(e, &way);
		snprintf(by, sizeof(by), "its SPI is in use by %s",
			 conflict_sa_str(&way, name, sizeof(name)));
	}
	if (install_elsewhere(d, e))
		return;
	if (e->applied != CACHE_CONFLICT)
		log_warn("%s: this node has another SA of this name, with other keys: %s: left alone; delete it, or keep it out by a filter",
			 name_of(e), by);
	set_applied(d, e, CACHE_CONFLICT);
	tell(d, e, WIRE_REFUSED_CONFLICT, by);
	d->conflicts++;
}

/* XFRM updates none that is stopped. The node's own fence is up meanwhile; and it
 * is the record, if it fits, that makes the SA safe: this does not.
 */
static int update_sa(struct daemon *d, struct cache_entry *e,
		     const struct record *k)
{
	bool fenced = k->flags & XFRMSYNC_RECORD_F_FENCED;
	int ret;

	if (fenced)
		fence_one(d, k, false);
	ret = xfrm_update_sa(&d->xfrm, e->context, e->context_len);
	if (fenced)
		fence_one(d, k, true);
	return ret;
}

/* The same SA, perhaps with other parameters. */
static void update(struct daemon *d, struct cache_entry *e,
		   const struct record *k, struct buf *ctx)
{
	int ret;

	if (context_same_parameters(ctx->data, ctx->len, e->context,
				    e->context_len)) {
		done(d, e);
		return;
	}
	ret = update_sa(d, e, k);
	buf_clear(ctx);
	if (!ret)
		ret = xfrm_look_up_sa(&d->xfrm, &e->id, ctx);
	if (!ret && context_same_parameters(ctx->data, ctx->len, e->context,
					    e->context_len)) {
		done(d, e);
		return;
	}
	/* XFRM_MSG_UPDSA leaves some alone (mode, reqid, flags); and charon's policies are
	 * for its own reqids.
	 */
	if (e->by_ike) {
		done(d, e);
		return;
	}
	if (k->tag) {
		recreate(d, e);
		return;
	}
	log_warn("%s: an SA of this node has its keys but other parameters: used as it is",
		 name_of(e));
	done(d, e);
}

/*
 * While charon makes an SA anew, a packet of this node's own may ask for it: XFRM keeps
 * the question as an SA of that name, without keys. It is nobody's.
 */
static bool is_question(const struct daemon *d, const struct cache_entry *e,
			const struct buf *ctx)
{
	return d->ike && e->id.proto != IPPROTO_COMP &&
	       !context_has_keys(ctx->data, ctx->len);
}

static void existing(struct daemon *d, struct cache_entry *e,
		     const struct record *k)
{
	struct buf ctx = {};
	bool same, behind;
	int ret;

	ret = xfrm_look_up_sa(&d->xfrm, &e->id, &ctx);
	if (ret == -ESRCH) {
		create(d, e);
		goto out;
	}
	if (ret) {
		unread(d, e, "read", d->xfrm.error);
		goto out;
	}
	/* What XFRM finds by its name has another mark: nothing is asked of it by that. */
	behind = !xfrm_is_named(&ctx, &e->id);
	/* The module finds it, and knows by the tag whether it is this life of it. */
	same = behind ? k->tag && k->tag == e->tag :
			context_same_keys(ctx.data, ctx.len, e->context,
					  e->context_len);
	/* Its numbers may be this node's, and its record would cover them up. */
	if (same && e->existed) {
		unread(d, e, "look at", "the module does not follow it");
		goto out;
	}
	if (same)
		learn(e, k);
	if (e->floor < e->drawn)
		e->floor = e->drawn;
	/* What stands there by our own restore, nobody has drawn. */
	if (same && k->oseq > e->floor &&
	    !(k->flags & XFRMSYNC_RECORD_F_RESTORED && k->oseq == e->wrote))
		e->floor = k->oseq;
	/* Of a time before this daemon: this node may have been active. */
	if (same && !e->written &&
	    !(k->flags & XFRMSYNC_RECORD_F_WINDOW_RESTORED) && !lead_keep(e, k))
		no_memory(d);
	if (behind && !same)
		fence_hidden(d, &e->id, k->tag);
	if (same && k->tag && k->tag != e->tag)
		recreate(d, e);		/* a tag stays for an SA's life */
	else if (same && behind)
		done(d, e);
	else if (same)
		update(d, e, k, &ctx);
	else if (k->tag && !behind)
		recreate(d, e);		/* ours, of before a rekey */
	else if (!behind && is_question(d, e, &ctx))
		recreate(d, e);
	else
		conflict(d, e, &ctx);
out:
	buf_free(&ctx);
}

static bool waits_for_ike(const struct cache_entry *e)
{
	return e->ike_until_ns > loop_now_ns();
}

/* charon was told of it before this node was: it is making it. */
static uint64_t told_until(const struct daemon *d, const struct cache_entry *e)
{
	uint64_t now = loop_now_ns();
	size_t i;

	for (i = 0; d->ike && i < ARRAY_SIZE(d->ike_told); i++) {
		if (d->ike_told[i].spi == e->id.spi &&
		    d->ike_told[i].until_ns > now && e->id.proto == IPPROTO_ESP)
			return d->ike_told[i].until_ns;
	}
	return 0;
}

static void note_told(struct daemon *d, uint32_t spi)
{
	unsigned int i = d->n_ike_told++ % ARRAY_SIZE(d->ike_told);

	d->ike_told[i].spi = spi;
	d->ike_told[i].until_ns = loop_now_ns() + IKE_WAIT;
}

/* A policy that charon made for it, and that came before it, was taken for another one. */
static void note_by_ike(struct daemon *d, struct cache_entry *e, bool by_ike)
{
	if (by_ike && !e->by_ike && apply_policies_unready(d))
		apply_policies_gone(d);
	e->by_ike = by_ike;
}

/* Is it here, and whose? */
static void look(struct daemon *d, struct cache_entry *e)
{
	struct record k;
	int ret;

	ret = genl_get(&d->req, &e->id, &k);
	if (!e->ike_until_ns)
		e->ike_until_ns = told_until(d, e);
	if ((ret == -ESRCH || ret == -ENOENT) && waits_for_ike(e)) {
		repair_later(d, e);
		return;
	}
	/* What has no tag was not made by this node's daemon, nor followed by it. */
	note_by_ike(d, e, !ret && (e->by_ike || e->ike_until_ns || (d->ike && !k.tag)));
	e->ike_until_ns = 0;
	if (ret == -ESRCH || ret == -ENOENT)
		create(d, e);
	else if (ret)
		unread(d, e, "look at", d->req.error);
	else
		existing(d, e, &k);
}

/* ---- many at once ---- */

static void sa_made(struct daemon *d, struct cache_entry *e, int ret)
{
	if (ret == -EEXIST) {
		d->look_first = true;
		look(d, e);
	} else if (ret) {
		failed(d, e, "create", d->xfrm.error);
	} else {
		done(d, e);
	}
}

static void policy_made(struct daemon *d, struct cache_policy *p, int ret);

/* What is found out of one may ask the kernel, and queue others. */
static void make_queued(struct daemon *d)
{
	struct making making[XFRM_BATCH];
	struct xfrm_made made[XFRM_BATCH];
	size_t n = d->n_making, i;

	if (!n)
		return;
	memcpy(making, d->making, n * sizeof(*making));
	d->n_making = 0;
	xfrm_flush(&d->xfrm, made);
	for (i = 0; i < n; i++) {
		if (making[i].entry)
			making[i].entry->making = false;
		else
			making[i].policy->making = false;
	}
	for (i = 0; i < n; i++) {
		if (made[i].ret)
			snprintf(d->xfrm.error, sizeof(d->xfrm.error), "%s",
				 made[i].why ? made[i].why : strerror(-made[i].ret));
		free(made[i].why);
		if (making[i].entry)
			sa_made(d, making[i].entry, made[i].ret);
		else
			policy_made(d, making[i].policy, made[i].ret);
	}
	owned_write(&d->owned);
}

static void note_making(struct daemon *d, struct cache_entry *e,
			struct cache_policy *p)
{
	d->making[d->n_making++] = (struct making){ .entry = e, .policy = p };
	if (e)
		e->making = true;
	else
		p->making = true;
}

/*
 * XFRM says so where there is one of that name, and nothing is asked before: for most
 * there is none.
 */
static void create_later(struct daemon *d, struct cache_entry *e)
{
	struct record live;
	int ret;

	if (!may_create(d, e, &live))
		return;
	ret = xfrm_queue_sa(&d->xfrm, e->context, e->context_len, &live);
	if (ret == -ENOSPC) {
		make_queued(d);
		ret = xfrm_queue_sa(&d->xfrm, e->context, e->context_len, &live);
	}
	if (ret) {
		failed(d, e, "create", d->xfrm.error);
		return;
	}
	e->made = live.oseq;
	note_making(d, e, NULL);
}

/* Where charon makes SAs, too, it may be about to. */
static bool is_new(const struct daemon *d, const struct cache_entry *e)
{
	return e->fresh && !d->look_first && !d->ike;
}

static void install(struct daemon *d, struct cache_entry *e)
{
	/* One that was made a moment ago gets its tag first. */
	if (e->making || e->queued)
		apply_flush(d);
	cache_set_repair(&d->cache, e, false);
	e->existed = false;
	e->unread = false;
	if (is_new(d, e)) {
		e->fresh = false;
		create_later(d, e);
	} else {
		e->fresh = false;
		look(d, e);
	}
}

bool apply_is_untold(const struct daemon *d, const struct peer *p)
{
	const struct cache_entry *e;

	/* It never was active, or that is accounted for. */
	if (!d->cache.n_repair || !d->st.own ||
	    chain_has(&p->chain, d->st.own, d->conf.node_id))
		return false;
	cache_for_each(&d->cache, e) {
		if (e->repair && e->unread)
			return true;
	}
	return false;
}

/* Nor up to where numbers were given out, by this node or by one before. */
static void put_given(struct daemon *d, const struct cache_entry *e)
{
	const struct wire_number given = {
		.handle = e->handle, .tag = e->tag, .number = e->known,
	};
	size_t at = wire_begin(&d->merges, WIRE_GIVEN, d->st.epoch, d->st.node);

	wire_put_number(&d->merges, &given);
	wire_end(&d->merges, at);
}

/* What was told of it, and what stands in the kernel by that. */
static void forget_numbers(struct cache_entry *e)
{
	e->floor = 0;
	e->wrote = 0;
	e->range_end = 0;
	e->lease_told = 0;
	e->used_told = 0;
	e->own_told = false;
}

/* The active's name for it from here on, and of nothing else. */
static void name_it(struct daemon *d, struct cache_entry *e, uint32_t handle)
{
	struct cache_entry *other = cache_find_handle(&d->cache, handle);

	if (other && other != e)
		cache_set_handle(&d->cache, other, 0);
	cache_set_handle(&d->cache, e, handle);
}

/* NULL: no memory. */
static struct cache_entry *add(struct daemon *d, const struct wire_sa *sa,
			       const struct context_sa *info)
{
	struct cache_entry *e = cache_find_handle(&d->cache, sa->handle);

	/* While both have it, the new one alone is found by it, and named. */
	if (e)
		cache_set_handle(&d->cache, e, 0);
	e = cache_add(&d->cache, info, sa->context, sa->context_len, sa->handle);
	if (!e) {
		no_memory(d);
		return NULL;
	}
	e->fresh = true;
	d->applied[CACHE_NOT_APPLIED]++;
	return e;
}

/*
 * The active has that SA, so what stands here is not removed; but nothing goes
 * into it, and a takeover fences it.
 */
void apply_refuse(struct daemon *d, const struct wire_sa *sa,
		  const struct context_sa *info, const struct field_error *why)
{
	char text[160], name[128];
	struct cache_entry *e;

	d->context_refused++;
	context_error_str(why, text, sizeof(text));
	if (!info->id.family) {
		log_warn("an SA's context is refused: %s", text);
		return;
	}
	log_warn("%s: its context is refused: %s: it is not protected on this node",
		 sa_id_str(&info->id, name, sizeof(name)), text);
	e = cache_find(&d->cache, &info->id);
	if (!e) {
		e = add(d, sa, info);
		if (!e)
			return;
	}
	if (e->making)
		apply_flush(d);
	/* Of two that have one name here (peer.c), neither is ready. */
	if (e->seen && e->handle != sa->handle)
		tell(d, e, WIRE_REFUSED_CONTEXT, text);
	name_it(d, e, sa->handle);
	if (e->tag != sa->tag)
		e->told_refused = WIRE_REFUSED_NOT;
	e->tag = sa->tag;
	e->seen = true;
	unqueue(d, e);
	cache_set_repair(&d->cache, e, false);
	set_applied(d, e, CACHE_REFUSED);
	tell(d, e, WIRE_REFUSED_CONTEXT, text);
}

/*
 * True where the active offers what one before it may have given to somebody else,
 * of which it has not heard.
 */
static bool gives_again(const struct cache_entry *e, const struct wire_sa *sa)
{
	return sa->lease_end && sa->lease_end < e->known;
}

static void take_range(struct cache_entry *e, const struct wire_sa *sa)
{
	if (gives_again(e, sa)) {
		/* Raised it is all the same; the range that it had stays its own. */
		if (e->lease_end < sa->lease_end)
			e->lease_end = sa->lease_end;
		if (e->range_end <= e->lease_end + XFRMSYNC_LEASE_HEADROOM)
			e->range_end = 0;
		return;
	}
	e->lease_end = sa->lease_end;
	if (e->range_end < sa->range_end)
		e->range_end = sa->range_end;
	if (e->given < sa->given_end)
		e->given = sa->given_end;
}

/* What the active has yet to hear, before it counts on this node. */
static void answer(struct daemon *d, struct cache_entry *e,
		   const struct wire_sa *sa)
{
	if (e->own)
		put_merge(d, e);
	if (e->drawn > sa->sent)
		put_used(d, e);
	if (gives_again(e, sa))
		put_given(d, e);
}

static void take_sa(struct daemon *d, const struct wire_sa *sa)
{
	struct field_error why;
	struct cache_entry *e;
	struct context_sa info;

	if (context_sa_info(sa->context, sa->context_len, &info, &why)) {
		apply_refuse(d, sa, &info, &why);
		return;
	}
	if (!source_manages(d, &info)) {
		d->context_refused++;
		return;		/* the filters of the nodes differ */
	}
	e = cache_find(&d->cache, &info.id);
	/* What it was told of before is made first, and has its tag. */
	if (e && e->making)
		apply_flush(d);
	if (e && e->tag != sa->tag) {
		forget_numbers(e);
		hole_drawn_gone(d, e);
		e->drawn = 0;
		e->given = 0;
		e->known = 0;
		e->told_refused = WIRE_REFUSED_NOT;
	}
	/* Another SA of that name: nothing that is known is of it. */
	if (e && !context_same_keys(e->context, e->context_len, sa->context,
				    sa->context_len)) {
		lead_drop(e);
		e->rec.seq = 0;
	}
	if (!e) {
		e = add(d, sa, &info);
		if (!e)
			return;
	} else if (cache_set_context(e, &info, sa->context, sa->context_len)) {
		no_memory(d);
		return;
	}
	name_it(d, e, sa->handle);
	e->tag = sa->tag;
	e->pmtu = info.pmtu;
	take_range(e, sa);
	e->sent = sa->sent;
	cache_set_unsafe(&d->cache, e, sa->flags & WIRE_SA_UNSAFE ?
			 "the active could not make it safe, and says why" :
			 NULL);
	e->seen = true;
	e->shared = true;
	take_record(d, e, &sa->rec);
	install(d, e);
	answer(d, e, sa);
}

void apply_sa(struct daemon *d, const struct wire_sa *sa)
{
	struct wire_sa here = *sa;
	struct buf copy = {};

	if (renumber_sa(d, sa, &copy))
		here.context = copy.data;
	take_sa(d, &here);
	buf_free(&copy);
}

void apply_record(struct daemon *d, uint32_t handle, const struct record *rec,
		  uint64_t sent)
{
	struct cache_entry *e = cache_find_handle(&d->cache, handle);

	/* It was deleted meanwhile; or what kind of SA it is for is not known. */
	if (!e || !handle || e->applied == CACHE_REFUSED)
		return;
	take_record(d, e, rec);
	e->sent = sent;
	control_server_record(d, &e->rec);
	if (e->applied == CACHE_APPLIED)
		queue(d, e);
}

static void forget(struct daemon *d, struct cache_entry *e)
{
	unqueue(d, e);
	renumber_forget(d, e);
	hole_drawn_gone(d, e);
	d->applied[e->applied]--;
	cache_remove(&d->cache, e);
}

/* Only the life of the SA that the active meant: it may be another one now. */
static void uninstall(struct daemon *d, struct cache_entry *e)
{
	struct record k;
	int ret = 0;

	/* One that was created a moment ago gets its tag first. */
	if (e->making || e->queued)
		apply_flush(d);
	if (!genl_get(&d->req, &e->id, &k) && k.tag == e->tag)
		ret = xfrm_delete_sa(&d->xfrm, &e->id);
	if (ret && ret != -ESRCH) {
		log_warn("%s: cannot delete it: %s: fenced", name_of(e),
			 d->xfrm.error);
		fence_hidden(d, &e->id, e->tag);
	}
	forget(d, e);
}

void apply_delete(struct daemon *d, uint32_t handle, uint64_t tag)
{
	struct cache_entry *e = cache_find_handle(&d->cache, handle);

	if (e && handle && e->tag == tag)
		uninstall(d, e);
}

/* What was in the way of one with another mark. */
static void look_behind(struct daemon *d, const struct sa_id *id)
{
	struct cache_entry *e;

	cache_for_each_marked(&d->cache, id, e) {
		if (e->applied == CACHE_CONFLICT && e->way &&
		    sa_id_equal(&e->way->id, id))
			repair_later(d, e);
	}
}

/* What stands here under its name may have been used, and is known by now. */
static bool is_learned(struct daemon *d, struct cache_entry *e)
{
	struct record k;

	/* Or charon has made it anew, and its event has not come yet. */
	if (e->queued || e->applied != CACHE_APPLIED ||
	    genl_get(&d->req, &e->id, &k) || k.tag != e->tag) {
		install(d, e);
		apply_flush(d);
	}
	if (e->applied != CACHE_APPLIED || genl_get(&d->req, &e->id, &k) ||
	    k.tag != e->tag)
		return false;
	learn(e, &k);
	if (k.oseq > e->floor &&
	    !(k.flags & XFRMSYNC_RECORD_F_RESTORED && k.oseq == e->wrote))
		e->floor = k.oseq;
	return true;
}

static bool is_there(struct daemon *d, const struct cache_entry *e)
{
	struct record k;
	int ret = genl_get(&d->req, &e->id, &k);

	return (ret != -ESRCH && ret != -ENOENT) || e->existed || e->unread;
}

static bool make_room(struct daemon *d, struct cache_entry *e)
{
	int ret;

	if (e->making)
		apply_flush(d);
	if (!is_there(d, e)) {
		/* nothing to learn of it */
	} else if (is_learned(d, e)) {
		ret = xfrm_delete_sa(&d->xfrm, &e->id);
		if (ret && ret != -ESRCH) {
			log_warn("%s: charon cannot make it: what stands here cannot be deleted: %s",
				 name_of(e), d->xfrm.error);
			return false;
		}
	} else if (is_there(d, e)) {
		/* Else charon has deleted its own just now, to make it anew. */
		log_warn("%s: charon cannot make it: what stands here may have been used, and cannot be read",
			 name_of(e));
		return false;
	}
	unqueue(d, e);
	e->wrote = 0;
	e->ike_until_ns = loop_now_ns() + IKE_WAIT;
	set_applied(d, e, CACHE_NOT_APPLIED);
	repair_later(d, e);
	return true;
}

static bool make_room_of(struct daemon *d, struct cache_entry *e)
{
	return e->applied == CACHE_REFUSED || e->applied == CACHE_UNSUPPORTED ||
	       make_room(d, e);
}

/* By its SPI alone it may be another peer's. */
static bool make_room_for(struct daemon *d, const struct apply_child *c,
			  uint32_t spi, const uint8_t dst[16])
{
	struct sa_id id = {
		.family = c->family, .proto = IPPROTO_ESP, .spi = spi,
	};
	struct cache_entry *e;
	bool any = false, ok = true;

	memcpy(id.dst, dst, sizeof(id.dst));
	if (c->family) {
		cache_for_each_marked(&d->cache, &id, e) {
			any = true;
			ok &= make_room_of(d, e);
		}
	} else {
		cache_for_each(&d->cache, e) {
			if (e->id.proto != IPPROTO_ESP || e->id.spi != spi)
				continue;
			any = true;
			ok &= make_room_of(d, e);
		}
	}
	if (!any)
		note_told(d, spi);
	return ok;
}

bool apply_make_room(struct daemon *d, const struct apply_child *c)
{
	bool in = make_room_for(d, c, c->in_spi, c->local);

	return make_room_for(d, c, c->out_spi, c->remote) && in;
}

bool apply_waits_for_ike(const struct daemon *d)
{
	const struct cache_entry *e;

	if (!d->applied[CACHE_NOT_APPLIED])
		return false;
	cache_for_each(&d->cache, e) {
		if (e->applied == CACHE_NOT_APPLIED && waits_for_ike(e))
			return true;
	}
	return false;
}

void apply_wait_no_more(struct daemon *d)
{
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		if (waits_for_ike(e))
			e->ike_until_ns = 1;
	}
	memset(d->ike_told, 0, sizeof(d->ike_told));
}

/* Somebody else deleted an SA that the active still has: it comes back. */
void apply_sa_event(struct daemon *d, int type, const struct sa_id *id)
{
	struct cache_entry *e;

	if (type == XFRM_MSG_FLUSHSA) {
		cache_for_each(&d->cache, e)
			repair_later(d, e);
		return;
	}
	if ((type == XFRM_MSG_NEWSA || type == XFRM_MSG_UPDSA) && id)
		exempt_event(d, id);
	if (type == XFRM_MSG_NEWSA && id && (e = cache_find(&d->cache, id)) &&
	    (e->ike_until_ns || (d->ike && e->repair))) {
		/* The IKE daemon of this node made it: before it is used. */
		install(d, e);
		apply_flush(d);
		return;
	}
	/* A soft expiry as well: the look finds it in place. */
	if ((type != XFRM_MSG_DELSA && type != XFRM_MSG_EXPIRE) || !id)
		return;
	e = cache_find(&d->cache, id);
	/* Or what was in its way is gone. */
	if (e && (e->applied == CACHE_APPLIED || e->applied == CACHE_CONFLICT))
		repair_later(d, e);
	/* One that reached its hard lifetime is told by that alone. */
	look_behind(d, id);
}

/* ---- policies ---- */

static int same_policy(const uint8_t *ctx, size_t len, void *data)
{
	const struct cache_policy *p = data;

	/* As load has it: what is not mandatory does not make it another one. */
	return context_same_parameters(p->context, p->context_len, ctx, len) ?
	       0 : -EEXIST;
}

/*
 * charon has made the SAs that it is for, with reqids that it counts itself: what it
 * has made of the policy fits them, and the active's may not.
 */
static bool is_of_ike(const struct daemon *d, const struct context_policy *pol)
{
	const struct cache_entry *e;

	if (!d->ike)
		return false;
	cache_for_each(&d->cache, e) {
		if (e->by_ike && context_policy_uses(pol, &e->info))
			return true;
	}
	return false;
}

/* This node has a policy of that name: the same one, or what is meant otherwise? */
static void compare_policy(struct daemon *d, struct cache_policy *p)
{
	bool before = p->conflict, conflict;

	conflict = xfrm_get_policy(&d->xfrm, p->context, p->context_len,
				      same_policy, p) == -EEXIST &&
		      !owned_has(&d->owned, p->info.key, p->info.key_len) &&
		      !is_of_ike(d, &p->info);
	cache_policy_set_unready(&d->cache, p, false, conflict);
	if (conflict && !before)
		log_warn("%s: this node has another policy of this name: left alone; delete it, or keep it out by a filter",
			 context_policy_name(&p->info));
}

static void policy_made(struct daemon *d, struct cache_policy *p, int ret)
{
	if (ret && ret != -EEXIST) {
		if (!p->failed)
			log_warn("%s: cannot create it: %s; trying again",
				 context_policy_name(&p->info), d->xfrm.error[0] ?
				 d->xfrm.error : strerror(-ret));
		cache_policy_set_unready(&d->cache, p, true, p->conflict);
		apply_policies_gone(d);
		return;
	}
	/* One that is there already is another owner's: left alone. */
	cache_policy_set_unready(&d->cache, p, false, ret && p->conflict);
	if (!ret && !owned_has(&d->owned, p->info.key, p->info.key_len))
		owned_add(&d->owned, p->info.key, p->info.key_len);
	else if (ret)
		compare_policy(d, p);
}

static void install_policy(struct daemon *d, struct cache_policy *p,
			   bool replace)
{
	int ret;

	if (p->making)
		apply_flush(d);
	if (replace) {
		policy_made(d, p, xfrm_add_policy(&d->xfrm, p->context,
						  p->context_len, true));
		owned_write(&d->owned);
		return;
	}
	ret = xfrm_queue_policy(&d->xfrm, p->context, p->context_len);
	if (ret == -ENOSPC) {
		make_queued(d);
		ret = xfrm_queue_policy(&d->xfrm, p->context, p->context_len);
	}
	if (ret)
		policy_made(d, p, ret);
	else
		note_making(d, NULL, p);
}

void apply_policies_gone(struct daemon *d)
{
	d->repair_policies = true;
	repair_soon(d);
}

void apply_exempt_later(struct daemon *d)
{
	d->exempt_due = true;
	repair_soon(d);
}

size_t apply_policies_unready(struct daemon *d)
{
	return d->cache.n_unready - d->cache.n_refused_policies;
}

/* Whether it is inbound is known by its policies, which come later. */
static void look_at_conflicts(struct daemon *d, const struct context_policy *pol)
{
	struct cache_entry *e;

	if (!d->applied[CACHE_CONFLICT] ||
	    d->conf.on_conflict != CONF_CONFLICT_NEW_SPI)
		return;
	cache_for_each(&d->cache, e) {
		if (e->applied == CACHE_CONFLICT &&
		    context_policy_uses(pol, &e->info))
			repair_later(d, e);
	}
}

/* What has this name here already is another one of the peer's. */
static bool is_another(const struct cache_policy *p, uint64_t peers_name)
{
	return p->seen && (p->joined || p->peers_name != peers_name);
}

/*
 * Two of the peer's have one name here, and this kernel has room for one: SAs that
 * either of them uses are not used, until the next snapshot says otherwise.
 */
static void join_policy(struct daemon *d, struct cache_policy *p,
			const struct context_policy *info)
{
	struct context_policy both = p->info;
	unsigned int i;

	if (!p->joined)
		log_warn("%s: two policies of the peer get this name by the map: SAs that they use are not protected on this node",
			 context_policy_name(info));
	for (i = 0; i < info->templates; i++) {
		if (both.templates == CONTEXT_TEMPLATES_MAX) {
			both.unreadable = true;
			break;
		}
		both.template[both.templates++] = info->template[i];
	}
	cache_policy_set_info(&d->cache, p, &both);
	cache_policy_set_refused(&d->cache, p, true);
	p->joined = true;
	p->seen = true;
}

/*
 * The active has it, so what stands here is not removed, and nothing made of it; but
 * an SA that it uses, or may use, is not used without: that would leave in clear.
 * True: it is one of two of that name.
 */
static bool refuse_policy(struct daemon *d, const uint8_t *ctx, size_t len,
			  const struct context_policy *info,
			  const struct field_error *why, uint64_t peers_name)
{
	struct cache_policy *p;
	char text[160];

	d->context_refused++;
	if (!info->unreadable && !source_manages_policy(d, info))
		return false;	/* the filters of the nodes differ */
	log_warn("%s: its context is refused: %s: %s not protected on this node",
		 context_policy_name(info), context_error_str(why, text, sizeof(text)),
		 info->unreadable ? "for whatever SA it is, all are" :
				    "SAs that it uses are");
	p = cache_policy_find(&d->cache, info);
	if (p && p->making)
		apply_flush(d);
	if (p && is_another(p, peers_name)) {
		join_policy(d, p, info);
		return true;
	}
	if (!p)
		p = cache_policy_add(&d->cache, info, ctx, len);
	if (!p) {
		no_memory(d);
		return false;
	}
	/* Its context stays as it was: what stands here is of that. */
	cache_policy_set_info(&d->cache, p, info);
	cache_policy_set_unready(&d->cache, p, false, false);
	cache_policy_set_refused(&d->cache, p, true);
	p->peers_name = peers_name;
	p->joined = false;
	p->seen = true;
	return false;
}

/* True: it is one of two. */
static bool take_policy(struct daemon *d, const uint8_t *ctx, size_t len,
			uint64_t peers_name)
{
	struct context_policy info;
	struct field_error why;
	struct cache_policy *p;

	if (context_policy_info(ctx, len, &info, &why))
		return refuse_policy(d, ctx, len, &info, &why, peers_name);
	if (!source_manages_policy(d, &info))
		return false;	/* the filters of the nodes differ */
	p = cache_policy_find(&d->cache, &info);
	if (p && p->making)
		apply_flush(d);
	if (p && is_another(p, peers_name)) {
		join_policy(d, p, &info);
		return true;
	}
	if (!p)
		p = cache_policy_add(&d->cache, &info, ctx, len);
	else if (cache_policy_set(p, ctx, len))
		p = NULL;
	if (!p) {
		no_memory(d);
		return false;
	}
	cache_policy_set_info(&d->cache, p, &info);
	cache_policy_set_refused(&d->cache, p, false);
	p->joined = false;
	p->peers_name = peers_name;
	p->seen = true;
	install_policy(d, p, owned_has(&d->owned, info.key, info.key_len) &&
			     !is_of_ike(d, &info));
	look_at_conflicts(d, &info);
	return false;
}

bool apply_policy(struct daemon *d, const uint8_t *ctx, size_t len,
		  uint64_t peers_name)
{
	struct buf copy = {};
	bool other = renumber_policy(d, ctx, len, &copy), joined;

	joined = take_policy(d, other ? copy.data : ctx, len, peers_name);
	buf_free(&copy);
	return joined;
}

static void delete_policy(struct daemon *d, const struct context_policy *info,
			  const uint8_t *ctx, size_t len)
{
	int ret;

	if (!owned_has(&d->owned, info->key, info->key_len))
		return;
	ret = xfrm_delete_policy(&d->xfrm, ctx, len);
	if (ret && ret != -ENOENT && ret != -ESRCH) {
		log_warn("%s: cannot delete it: %s", context_policy_name(info),
			 d->xfrm.error);
		return;
	}
	owned_del(&d->owned, info->key, info->key_len);
}

void apply_policy_delete(struct daemon *d, const uint8_t *ctx, size_t len)
{
	struct context_policy info;
	struct cache_policy *p;

	/* Of one that is refused, too: it has the name that it came by. */
	context_policy_info(ctx, len, &info, NULL);
	p = cache_policy_find(&d->cache, &info);
	/* Which of two stands here, the next snapshot tells. */
	if (p && p->joined)
		return;
	if (p && p->making)
		apply_flush(d);
	/* By the context that it was made of, where there is one. */
	delete_policy(d, &info, p ? p->context : ctx, p ? p->context_len : len);
	if (p)
		cache_policy_remove(&d->cache, p);
}

/* ---- snapshots ---- */

void apply_snapshot_begin(struct daemon *d, struct peer *p)
{
	struct cache_policy *pol, *np;
	struct cache_entry *e;

	apply_flush(d);
	d->look_first = false;
	/* Handles of another active, or of its last run, mean nothing now. */
	cache_forget_handles(&d->cache);
	cache_for_each(&d->cache, e) {
		e->seen = false;
		e->lease_told = 0;
		e->used_told = 0;
		e->own_told = false;
		e->told_refused = WIRE_REFUSED_NOT;
		if (d->given_by != d->st.node && d->conf.n_peers > 1)
			e->known = e->given;
	}
	d->given_by = d->st.node;
	kinds_ask_again(&d->kinds);
	kinds_tell_again(&d->kinds);
	buf_clear(&d->lease_acks);
	buf_clear(&d->merges);
	tell_lacking(d);
	cache_for_each_policy_safe(&d->cache, pol, np)
		pol->seen = false;
	d->want_resync = false;
	role_filling(d, p);
	p->in_snapshot = true;
	p->snapshots_in++;
	d->source = p;
	d->synced = false;
	log_info("peer %s: it sends a snapshot", p->name);
}

struct strays {
	struct daemon *d;
	struct stray {
		struct sa_id id;
		uint64_t tag;
	} *sa;
	size_t n;
};

/* Ours by its tag, but the active has no such SA (any more). */
static int find_stray(const struct record *rec, void *data)
{
	struct strays *s = data;
	struct stray *sa;

	if (!rec->tag || !(rec->flags & XFRMSYNC_RECORD_F_SHARED) ||
	    cache_find(&s->d->cache, &rec->id) ||
	    !conf_filter_match(&s->d->conf.filter, rec->id.family, rec->src,
			       rec->id.dst, rec->reqid, rec->if_id,
			       rec->id.mark, rec->id.mark_mask))
		return 0;
	sa = reallocarray(s->sa, s->n + 1, sizeof(*sa));
	if (!sa)
		return -ENOMEM;
	s->sa = sa;
	s->sa[s->n++] = (struct stray){ rec->id, rec->tag };
	return 0;
}

static size_t delete_strays(struct daemon *d)
{
	struct strays s = { .d = d };
	size_t i, gone = 0;
	char name[128];
	struct record k;
	int ret;

	if (genl_dump(&d->req, find_stray, &s))
		log_warn("cannot list the SAs: %s", d->req.error);
	for (i = 0; i < s.n; i++) {
		ret = genl_get(&d->req, &s.sa[i].id, &k) ? 0 :
			xfrm_delete_sa(&d->xfrm, &s.sa[i].id);
		if (!ret || ret == -ESRCH) {
			gone++;
			continue;
		}
		log_warn("%s: cannot delete it: %s: fenced",
			 sa_id_str(&s.sa[i].id, name, sizeof(name)),
			 d->xfrm.error);
		fence_hidden(d, &s.sa[i].id, s.sa[i].tag);
	}
	free(s.sa);
	return gone;
}

struct stray_policies {
	struct daemon *d;
	struct buf list;	/* u32 length, context, ... */
};

static int find_stray_policy(const uint8_t *ctx, size_t len, void *data)
{
	struct stray_policies *s = data;
	struct context_policy info;

	if (context_policy_info(ctx, len, &info, NULL) ||
	    !owned_has(&s->d->owned, info.key, info.key_len) ||
	    cache_policy_find(&s->d->cache, &info))
		return 0;
	buf_u32(&s->list, len);
	buf_put(&s->list, ctx, len);
	return 0;
}

static bool is_cached(const uint8_t *key, size_t len, void *data)
{
	struct daemon *d = data;
	struct context_policy info;

	if (len > sizeof(info.key))
		return false;
	memcpy(info.key, key, len);
	info.key_len = len;
	return cache_policy_find(&d->cache, &info);
}

static void delete_stray_policies(struct daemon *d)
{
	struct stray_policies s = { .d = d };
	struct context_policy info;
	const uint8_t *ctx;
	uint32_t len;
	struct rd r;

	/* Of all that are ours the active has one. */
	if (owned_all(&d->owned, is_cached, d))
		return;
	if (xfrm_dump_policies(&d->xfrm, find_stray_policy, &s))
		log_warn("cannot list the policies: %s", d->xfrm.error);
	r = (struct rd){ .p = s.list.data, .left = s.list.len };
	while (r.left) {
		len = rd_u32(&r);
		ctx = rd_bytes(&r, len);
		if (ctx && !context_policy_info(ctx, len, &info, NULL))
			delete_policy(d, &info, ctx, len);
	}
	buf_free(&s.list);
}

/* Gone on the active means gone here only for what a node had from another:
 * an SA that only this node ever had is its own affair.
 */
static bool is_ours(struct daemon *d, struct cache_entry *e)
{
	struct record k;

	if (e->shared)
		return true;
	return !genl_get(&d->req, &e->id, &k) &&
	       (k.flags & XFRMSYNC_RECORD_F_SHARED);
}

void apply_snapshot_end(struct daemon *d, struct peer *p)
{
	struct cache_policy *pol, *np;
	struct cache_entry *e, *n;
	size_t gone = 0, left = 0;

	if (!p->in_snapshot)
		return;
	apply_flush(d);
	cache_for_each_policy_safe(&d->cache, pol, np) {
		if (!pol->seen)
			cache_policy_remove(&d->cache, pol);
	}
	delete_stray_policies(d);
	cache_for_each_safe(&d->cache, e, n) {
		if (e->seen)
			continue;
		if (is_ours(d, e)) {
			uninstall(d, e);
			gone++;
		} else {
			forget(d, e);
			left++;
		}
	}
	apply_flush(d);
	gone += delete_strays(d);
	p->in_snapshot = false;
	d->synced = !d->want_resync;
	if (left)
		log_warn("peer %s: does not know %zu SAs that this node had alone: left alone",
			 p->name, left);
	log_info("peer %s: in step with it: %zu SAs ready, %zu in conflict, %zu failed, %zu policies; %zu old SAs removed",
		 p->name, d->applied[CACHE_APPLIED], d->applied[CACHE_CONFLICT],
		 d->applied[CACHE_FAILED], d->cache.n_policies, gone);
	role_filled(d);
	ike_synced(d);
}

/* ---- repairs ---- */

/* False: something could not be repaired. */
static bool repair(struct daemon *d)
{
	struct cache_policy *p, *np;
	struct cache_entry *e;
	bool ok = true;
	size_t n = 0;

	cache_for_each(&d->cache, e) {
		if (!e->repair)
			continue;
		n++;
		install(d, e);
	}
	if (d->repair_policies) {
		d->repair_policies = false;
		/* Those that are still there say so. */
		cache_for_each_policy_safe(&d->cache, p, np) {
			if (!p->refused)
				install_policy(d, p, false);
		}
	}
	apply_flush(d);
	ok = !d->repair_policies;
	d->repaired += n;
	/* What charon makes is no failure to wait longer after. */
	cache_for_each(&d->cache, e)
		ok = ok && (!e->repair || waits_for_ike(e));
	return ok;
}

bool apply_raise(struct daemon *d)
{
	struct cache_entry *e;
	bool all = true;

	apply_flush(d);
	cache_for_each(&d->cache, e) {
		e->raising = e->applied == CACHE_APPLIED;
		if (e->raising)
			queue(d, e);
	}
	apply_flush(d);
	/* One that failed is not APPLIED any more, and stands where it did. */
	cache_for_each(&d->cache, e)
		all &= !e->raising ||
		       (e->applied == CACHE_APPLIED && e->wrote == e->base);
	return all;
}

void apply_finish(struct daemon *d)
{
	struct cache_entry *e;
	int tries = REPAIR_TRIES;

	apply_flush(d);
	if (!d->cache.n_repair && !d->repair_policies)
		return;
	while (!repair(d) && --tries)
		;
	/* What is not known to be right is not safe. */
	cache_for_each(&d->cache, e) {
		if (e->repair && e->applied == CACHE_APPLIED)
			set_applied(d, e, CACHE_FAILED);
	}
}

static void repair_due(struct loop_timer *t)
{
	struct daemon *d = t->data;

	if (role_is_active(d))
		return;
	if (d->exempt_due)
		exempt_all(d);
	if (repair(d))
		d->repair_slower = 0;
	else if (d->repair_slower < REPAIR_SLOWER)
		d->repair_slower++;
	/* One that is no active (any more) has nothing to send. */
	if (d->want_resync && d->source &&
	    d->source->role == XFRMSYNC_ROLE_ACTIVE) {
		d->want_resync = false;
		peer_send_simple(d->source, WIRE_RESYNC);
	}
	if (d->repair_timer.at_ns)
		loop_timer_set(&d->loop, t, REPAIR_DELAY << d->repair_slower);
}

/* What of the same tunnel is in place, is soft-expired: its key manager rekeys both. */
static void rekey_other_way(struct daemon *d, const struct cache_entry *e)
{
	struct cache_entry *other;
	bool asked = false;
	char name[160];

	cache_for_each(&d->cache, other) {
		if (other->applied == CACHE_APPLIED &&
		    conflict_is_other_way(&other->info, &e->info))
			asked |= !xfrm_expire_sa(&d->xfrm, &other->id);
	}
	log_warn("%s: it is not in place: %s",
		 sa_id_str(&e->id, name, sizeof(name)),
		 asked ? "the other direction is soft-expired, to rekey both" :
			 "to be renegotiated, and nothing of it is here to ask by");
}

static bool is_renegotiated(const struct daemon *d, const struct cache_entry *e)
{
	return (e->applied == CACHE_CONFLICT &&
		d->conf.on_conflict == CONF_CONFLICT_RENEGOTIATE) ||
	       (e->applied == CACHE_UNSUPPORTED &&
		d->conf.unsupported == CONF_UNSUPPORTED_RENEGOTIATE);
}

size_t apply_renegotiated(const struct daemon *d, const struct cache_entry **list,
			  size_t max)
{
	const struct cache_entry *e;
	size_t n = 0;

	if (!max)
		return 0;
	cache_for_each(&d->cache, e) {
		if (n < max && is_renegotiated(d, e))
			list[n++] = e;
	}
	return n;
}

void apply_renegotiate(struct daemon *d)
{
	struct cache_entry *e;

	if (!d->applied[CACHE_CONFLICT] && !d->applied[CACHE_UNSUPPORTED])
		return;
	cache_for_each(&d->cache, e) {
		if (is_renegotiated(d, e))
			rekey_other_way(d, e);
	}
}

void apply_reset(struct daemon *d)
{
	struct cache_entry *e;

	make_queued(d);
	memset(d->applied, 0, sizeof(d->applied));
	d->n_batch = 0;
	d->given_by = 0;
	cache_for_each(&d->cache, e) {
		cache_set_way(e, NULL);
		e->applied = CACHE_NOT_APPLIED;
		e->queued = false;
		cache_set_repair(&d->cache, e, false);
		forget_numbers(e);
		e->written = false;
		d->applied[CACHE_NOT_APPLIED]++;
	}
	buf_clear(&d->lease_acks);
	buf_clear(&d->merges);
	d->repair_policies = false;
	d->repair_slower = 0;
	d->want_resync = false;
}

void apply_stepped_down(struct daemon *d)
{
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		if (!lead_keep(e, &e->rec))
			log_err("out of memory: a packet may be accepted that was accepted on this node");
		/* The SA may go before anybody is told. */
		if (e->cookie)
			learn(e, &e->rec);
	}
}

void apply_final(struct daemon *d)
{
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		if (!e->rec.guard)
			continue;
		e->rec.guard = 0;
		if (e->applied == CACHE_APPLIED)
			queue(d, e);
	}
}

void apply_init(struct daemon *d)
{
	d->repair_timer.cb = repair_due;
	d->repair_timer.data = d;
	/* Now: the daemon gives up what it takes to make a namespace. */
	kinds_open(&d->kinds);
	owned_load(&d->owned, d->conf.socket);
}

void apply_exit(struct daemon *d)
{
	owned_free(&d->owned);
	free(d->renumbered);
	kinds_free(&d->kinds);
	buf_free(&d->lease_acks);
	buf_free(&d->merges);
}
