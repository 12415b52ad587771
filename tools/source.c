// SPDX-License-Identifier: GPL-2.0
/*
 * In: the module's stream of records, and contexts by XFRM netlink (active).
 * Out: the cache, tags and leases in the module, marks for each peer.
 * The daemon's loop; asks the kernel, and waits for its answer.
 */
#include <errno.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <sodium.h>

#include "daemon.h"
#include "log.h"

#define POLICY_DELAY (20 * LOOP_MS)
#define LOST_RETRY (1000 * LOOP_MS)
#define BIND_TRIES 3
#define OMITTED_TRIES 64	/* SAs, at each heartbeat */

bool source_manages(const struct daemon *d, const struct context_sa *info)
{
	return conf_filter_match(&d->conf.filter, info->id.family, info->src,
				 info->id.dst, info->reqid, info->if_id,
				 info->id.mark, info->id.mark_mask);
}

bool source_manages_policy(const struct daemon *d,
			   const struct context_policy *info)
{
	/* Without a template it protects nothing: each node has its own. */
	if (!info->templates)
		return false;
	return conf_filter_match(&d->conf.filter, info->family, info->src,
				 info->dst, info->reqid, info->if_id,
				 info->mark, info->mark_mask);
}

static void drop_entry(struct daemon *d, struct cache_entry *e)
{
	peer_gone_entry(d, e);
	cache_remove(&d->cache, e);
}

/* Gone from the kernel, with all that was drawn on it. */
static void entry_gone(struct daemon *d, struct cache_entry *e)
{
	hole_gone(d, e);
	drop_entry(d, e);
}

static void take_deleted(struct daemon *d, const struct record *rec)
{
	struct cache_entry *e = cache_find(&d->cache, &rec->id);

	omitted_gone(&d->omitted, &rec->id);
	/* Of another life: the SA was created anew meanwhile. */
	if (!e || (e->cookie && rec->cookie && e->cookie != rec->cookie))
		return;
	entry_gone(d, e);
}

/* What the module knows of an SA is what we would bind it to. */
static void check_bound(struct daemon *d, struct cache_entry *e,
			const struct record *rec)
{
	/* Set before: by the daemon before this one, or by a restore. */
	if (rec->lease_end > e->lease_end)
		e->lease_end = rec->lease_end;
	if (rec->given_end > e->given)
		e->given = rec->given_end;
	e->bound = rec->tag == e->tag && rec->lease_end == e->lease_end &&
		   rec->given_end == e->given &&
		   (!e->lease_end || lease_goes_on(d, e) ==
		    !!(rec->flags & XFRMSYNC_RECORD_F_GOES_ON)) &&
		   (!e->shared || rec->flags & XFRMSYNC_RECORD_F_SHARED);
	if (e->bound)
		return;
	cache_unbind(&d->cache, e);
	d->bind_due = true;
}

static int read_sa(struct daemon *d, const struct sa_id *id,
		   struct context_sa *info, struct buf *ctx)
{
	struct field_error why;
	int ret;

	ret = xfrm_get_sa(&d->xfrm, id, ctx);
	if (ret)
		return ret;
	ret = context_sa_info(ctx->data, ctx->len, info, &why);
	if (ret)
		context_error_str(&why, d->xfrm.error, sizeof(d->xfrm.error));
	return ret;
}

/* What peers know of this life of it; NULL: nothing. */
static struct cache_entry *not_read(struct daemon *d, struct cache_entry *e,
				    const struct record *rec, const char *why)
{
	if (e && e->cookie && e->cookie != rec->cookie) {
		entry_gone(d, e);
		e = NULL;
	}
	omitted_note(&d->omitted, &rec->id, e, why);
	return e;
}

/* What its record says, and whether its context is news. */
static void follow(struct daemon *d, struct cache_entry *e,
		   const struct record *rec, bool told_anew)
{
	e->seen = true;
	cache_note_record(e, rec);
	if (e->pmtu || pmtu_was_used(&e->info, &e->rec, e->sent))
		cache_ask_path(&d->cache, e);
	lease_follow(d, e);
	inbound_follow(d, e);
	peer_mark_entry(d, e, told_anew);
}

/* An SA whose context is new, or may be another. */
static void refresh(struct daemon *d, const struct record *rec)
{
	struct cache_entry *e = cache_find(&d->cache, &rec->id);
	const char *lost = strerror(ENOMEM);
	struct context_sa info;
	struct buf ctx = {};
	bool told_anew = true;
	int ret;

	d->xfrm.error[0] = '\0';
	ret = read_sa(d, &rec->id, &info, &ctx);
	if (ret == -ESRCH) {
		lost = NULL;
		goto out;
	}
	if (ret) {
		lost = d->xfrm.error[0] ? d->xfrm.error : strerror(-ret);
		goto out;
	}
	/* Another life, or other keys, is another SA. */
	if (e && ((e->cookie && e->cookie != rec->cookie) ||
		  !context_same_keys(e->context, e->context_len, ctx.data,
				     ctx.len))) {
		entry_gone(d, e);
		e = NULL;
	}
	if (e && context_keep_unknown(e->context, e->context_len, &ctx))
		goto out;
	if (!e) {
		e = cache_add(&d->cache, &info, ctx.data, ctx.len, 0);
		if (!e)
			goto out;
		e->pmtu = pmtu_known(&d->pmtu.known, &info);
		lease_unknown(d, e, rec);
		inbound_unknown(d, e, rec);
		/* One of them may be told now. */
		if (d->policies_untied)
			source_policies_changed(d);
	} else if (e->context_len == ctx.len &&
		   !sodium_memcmp(e->context, ctx.data, ctx.len)) {
		told_anew = false;
	} else if (cache_set_context(e, &info, ctx.data, ctx.len)) {
		goto out;
	}
	lost = NULL;
	omitted_gone(&d->omitted, &rec->id);
	e->cookie = rec->cookie;
	e->tag = rec->tag ? rec->tag :
		 context_tag(e->context, e->context_len, d->tag_key);
	check_bound(d, e, rec);
	follow(d, e, rec, told_anew);
	if (told_anew)
		ike_sa_seen(d, &e->info);
out:
	if (lost) {
		e = not_read(d, e, rec, lost);
		/* The life that peers know: its numbers go on. */
		if (e && e->cookie)
			follow(d, e, rec, false);
	}
	buf_free(&ctx);
}

static int take_record(const struct record *rec, void *data)
{
	struct daemon *d = data;
	struct cache_entry *e;
	bool read_context;

	watchdog_alive(d);
	if (rec->flags & XFRMSYNC_RECORD_F_DELETED) {
		take_deleted(d, rec);
		control_server_record(d, rec);
		return 0;
	}
	/* Keys first; the module tells it again when they come. */
	if (rec->flags & XFRMSYNC_RECORD_F_LARVAL)
		return 0;
	if (!conf_filter_match(&d->conf.filter, rec->id.family, rec->src,
			       rec->id.dst, rec->reqid, rec->if_id,
			       rec->id.mark, rec->id.mark_mask)) {
		exempt_record(d, rec);
		return 0;
	}
	control_server_record(d, rec);
	e = cache_find(&d->cache, &rec->id);
	read_context = !e || rec->flags & XFRMSYNC_RECORD_F_CHANGED ||
		       (e->cookie && e->cookie != rec->cookie) ||
		       (rec->tag && e->tag != rec->tag) ||
		       (!e->cookie && e->tag != rec->tag);
	if (read_context) {
		refresh(d, rec);
		return 0;
	}
	if (!e->cookie) {
		/* Ours since it came from the active before us. */
		e->cookie = rec->cookie;
		e->orphan |= members_were_more(d, rec);
		hole_entry(d, e, rec);
		check_bound(d, e, rec);
	}
	follow(d, e, rec, false);
	return 0;
}

/* again: what was refused is laid out anew. */
static int bind_batch(struct daemon *d, struct cache_entry **entry, size_t n,
		      bool *again)
{
	static struct record rec[XFRMSYNC_MAX_BATCH];
	static struct genl_result res[XFRMSYNC_MAX_BATCH];

	char name[128];
	size_t i;
	int ret;

	watchdog_alive(d);
	for (i = 0; i < n; i++) {
		record_copy(&rec[i], &entry[i]->rec);
		rec[i].tag = entry[i]->tag;
		rec[i].cookie = entry[i]->cookie;
		rec[i].lease_end = entry[i]->lease_end;
		rec[i].given_end = entry[i]->given;
		rec[i].restore_flags = lease_goes_on(d, entry[i]) ?
				       XFRMSYNC_RESTORE_F_GO_ON : 0;
		rec[i].guard_end = entry[i]->guard_end;
		/* Behind the fence only what inbound_hold() means for the next time. */
		rec[i].set_guard = role_is_active(d);
		rec[i].flags &= XFRMSYNC_RECORD_F_FENCED;
		rec[i].flags |= entry[i]->shared ? XFRMSYNC_RECORD_F_SHARED : 0;
	}
	ret = genl_bind(&d->req, rec, n, res);
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		/* An SA that is gone comes in the stream. */
		entry[i]->bound = res[i].reason != XFRMSYNC_REASON_TAG &&
				  res[i].reason != XFRMSYNC_REASON_ATTRIBUTE;
		if (d->bind_failed)
			peer_mark_entry(d, entry[i], true);
		if (res[i].reason == XFRMSYNC_REASON_LEASE ||
		    res[i].reason == XFRMSYNC_REASON_BACKWARDS_GIVEN) {
			lease_refused(d, entry[i]);
			inbound_follow(d, entry[i]);
			*again |= !entry[i]->bound;
			continue;
		}
		if (!res[i].reason && rec[i].set_guard)
			inbound_bound(d, entry[i]);
		if (res[i].reason && res[i].reason != XFRMSYNC_REASON_NO_SA &&
		    res[i].reason != XFRMSYNC_REASON_COOKIE)
			log_warn("%s: the module refuses its tag: %s",
				 sa_id_str(&entry[i]->id, name, sizeof(name)),
				 genl_reason_str(res[i].reason));
	}
	return 0;
}

static int bind_all(struct daemon *d, bool *again)
{
	static struct cache_entry *entry[XFRMSYNC_MAX_BATCH];

	struct cache_entry *e, *next;
	size_t n = 0;
	int ret;

	/* Not all of them: while a peer is filled this comes for each of its answers. */
	cache_for_each_on(&d->cache, unbound, e, next) {
		if (e->bound)
			list_del(&e->unbound);
		if (e->bound || !e->cookie)
			continue;
		entry[n++] = e;
		if (n < XFRMSYNC_MAX_BATCH)
			continue;
		ret = bind_batch(d, entry, n, again);
		if (ret)
			return ret;
		n = 0;
	}
	return n ? bind_batch(d, entry, n, again) : 0;
}

/* Tags, leases and what was given out go to the module, where they outlive this
 * daemon.
 */
void source_bind(struct daemon *d)
{
	int tries = BIND_TRIES, ret;
	bool again;

	if (!d->bind_due)
		return;
	do {
		d->bind_due = false;
		again = false;
		ret = bind_all(d, &again);
	} while (!ret && again && --tries);
	d->bind_failed = ret;
	if (!ret)
		return;
	log_warn("cannot bind tags: %s; trying again", d->req.error);
	d->bind_due = true;
	if (!d->pull_timer.at_ns)
		loop_timer_set(&d->loop, &d->pull_timer, LOST_RETRY);
}

int source_pull(struct daemon *d)
{
	int ret = genl_pull(&d->reader, take_record, d);

	/* A wake-up that came between the answers left nothing to poll for. */
	if (genl_pending(&d->reader))
		loop_timer_set(&d->loop, &d->pull_timer,
			       d->conf.interval_us * 1000ULL);
	source_bind(d);
	peer_kick(d);
	return ret;
}

/* After a full pull: what was not in it is gone, unless the kernel knows it. */
static void sweep(struct daemon *d)
{
	struct cache_entry *e, *n;
	struct record rec;

	cache_for_each_safe(&d->cache, e, n) {
		if (!e->seen && genl_get(&d->req, &e->id, &rec) == -ESRCH)
			entry_gone(d, e);
	}
}

static int full_pull(struct daemon *d)
{
	struct cache_entry *e;
	uint32_t dirty = 0;
	int ret;

	cache_for_each(&d->cache, e)
		e->seen = false;
	omitted_walk_begin(&d->omitted);
	ret = genl_subscribe(&d->reader, &dirty);
	if (!ret)
		ret = source_pull(d);
	if (!ret) {
		sweep(d);
		omitted_walk_end(&d->omitted);
	}
	return ret;
}

static void resync(struct daemon *d, const char *why)
{
	int ret;

	d->resyncs++;
	log_warn("%s: reading all SAs again", why);
	ret = full_pull(d);
	if (ret) {
		log_err("cannot read the SAs: %s; trying again",
			d->reader.error);
		loop_timer_set(&d->loop, &d->resync_timer, LOST_RETRY);
	}
}

static void module_gone(struct daemon *d)
{
	log_err("the module is gone or was loaded anew: stopping, start me again");
	d->exit_code = 1;
	d->loop.stop = true;
}

static void pull_due(struct loop_timer *t)
{
	bool dirty = false, lost = false, role = false;
	struct daemon *d = t->data;
	int ret;

	if (!d->reading)
		return;
	/* Events kept from a call: a resync among them must not be lost. */
	genl_read_events(&d->reader, &dirty, &lost, &role);
	if (lost) {
		resync(d, "the module dropped changes");
		return;
	}
	ret = source_pull(d);
	if (ret == -ENOENT || ret == -ENODEV || ret == -EOPNOTSUPP)
		module_gone(d);
	else if (ret)
		resync(d, d->reader.error);
}

/* What kept them from being read may be over, and no record come. */
void source_heartbeat(struct daemon *d)
{
	size_t tries = d->omitted.n < OMITTED_TRIES ? d->omitted.n : OMITTED_TRIES;
	struct record rec;
	struct sa_id id;

	if (!d->reading || !tries)
		return;
	while (tries-- && omitted_next(&d->omitted, &id)) {
		if (!genl_get(&d->req, &id, &rec))
			refresh(d, &rec);
	}
	source_bind(d);
	peer_kick(d);
}

void source_pull_soon(struct daemon *d)
{
	if (d->reading && !d->pull_timer.at_ns)
		loop_timer_set(&d->loop, &d->pull_timer,
			       d->conf.interval_us * 1000ULL);
}

static void reader_event(struct loop_fd *f, uint32_t events)
{
	bool dirty = false, lost = false, role = false;
	struct daemon *d = f->data;
	int ret;

	(void)events;
	ret = genl_read_events(&d->reader, &dirty, &lost, &role);
	if (ret == -ENOBUFS)
		dirty = true;
	else if (ret && ret != -EAGAIN)
		lost = true;
	if (lost)
		resync(d, "the module dropped changes");
	else if (dirty)
		source_pull_soon(d);
}

struct look {
	struct daemon *d;
	struct context_sa *sa;		/* that are told, in order */
	size_t n, gone;
};

static int look_begin(struct look *l, struct daemon *d)
{
	struct cache_entry *e;

	*l = (struct look){ .d = d };
	l->sa = calloc(d->cache.n_entries + 1, sizeof(*l->sa));
	if (!l->sa)
		return -ENOMEM;
	cache_for_each(&d->cache, e)
		l->sa[l->n++] = e->info;
	qsort(l->sa, l->n, sizeof(*l->sa), context_sa_order);
	return 0;
}

/* Its name is not known any more: what was told of it stays so. */
static void keep_told(struct look *l, const struct context_policy *info)
{
	struct cache_policy *p, *n;
	struct daemon *d = l->d;
	bool told = false;

	if (!source_manages_policy(d, info))
		return;
	cache_for_each_policy_safe(&d->cache, p, n) {
		if (!context_policy_was_for(info, &p->info))
			continue;
		p->seen = true;
		told = true;
	}
	if (!told && !context_policy_uses_any(info, l->sa, l->n))
		return;
	if (++l->gone > d->policies_gone)
		log_warn("%s is for an interface that is gone: the peers are told no more of it",
			 context_policy_name(info));
}

/* What the peers were told of it, and this kernel does not tell, goes on with it. */
static int set_policy(struct daemon *d, struct cache_policy *p,
		      const uint8_t *ctx, size_t len)
{
	struct buf now = {};
	int ret;

	buf_put(&now, ctx, len);
	ret = now.bad ? -ENOMEM :
			context_keep_unknown(p->context, p->context_len, &now);
	if (!ret && p->context_len == now.len &&
	    !memcmp(p->context, now.data, now.len)) {
		buf_free(&now);
		return 0;
	}
	ret = ret ?: cache_policy_set(p, now.data, now.len);
	buf_free(&now);
	if (!ret)
		peer_mark_policy(d, p);
	return ret;
}

static int take_policy(const uint8_t *ctx, size_t len, void *data)
{
	struct look *l = data;
	struct daemon *d = l->d;
	struct context_policy info;
	struct cache_policy *p;
	int ret;

	watchdog_alive(d);
	ret = context_policy_info(ctx, len, &info, NULL);
	if (ret == -ENODEV)
		keep_told(l, &info);
	if (ret || !source_manages_policy(d, &info))
		return 0;
	p = cache_policy_find(&d->cache, &info);
	if (p && p->context_len == len && !memcmp(p->context, ctx, len)) {
		p->seen = true;
		return 0;
	}
	/* Static, or its tunnel is down: it is each node's own until an SA is told
	 * that it uses. From then on it is the cluster's, and told, also between two
	 * of them, and by the next daemon, and the next active.
	 */
	if (!p && !owned_has(&d->owned, info.key, info.key_len) &&
	    !context_policy_uses_any(&info, l->sa, l->n)) {
		d->policies_untied = true;
		return 0;
	}
	if (p) {
		ret = set_policy(d, p, ctx, len);
	} else {
		p = cache_policy_add(&d->cache, &info, ctx, len);
		if (!p)
			return -ENOMEM;
		peer_mark_policy(d, p);
	}
	cache_policy_set_info(&d->cache, p, &info);
	p->seen = true;
	return ret;
}

static void read_policies(struct daemon *d)
{
	struct cache_policy *p, *n;
	int ret, tries = 5;
	struct look l;

	cache_for_each_policy_safe(&d->cache, p, n)
		p->seen = false;
	d->policies_untied = false;
	ret = look_begin(&l, d);
	if (!ret) {
		do {
			l.gone = 0;
			ret = xfrm_dump_policies(&d->xfrm, take_policy, &l);
		} while (ret == -EINTR && --tries);
		d->policies_gone = l.gone;
	}
	free(l.sa);
	if (ret) {
		log_warn("cannot read the policies (%s): trying again",
			 strerror(-ret));
		loop_timer_set(&d->loop, &d->policy_timer, LOST_RETRY);
		return;
	}
	cache_for_each_policy_safe(&d->cache, p, n) {
		if (p->seen)
			continue;
		peer_gone_policy(d, p);
		cache_policy_remove(&d->cache, p);
	}
	peer_kick(d);
}

static void policies_due(struct loop_timer *t)
{
	struct daemon *d = t->data;

	if (d->reading)
		read_policies(d);
}

/* An IKE daemon changes several at once: look once, a little later. */
void source_policies_changed(struct daemon *d)
{
	if (!d->policy_timer.at_ns)
		loop_timer_set(&d->loop, &d->policy_timer, POLICY_DELAY);
}

void source_sa_event(struct daemon *d, int type, const struct sa_id *id)
{
	struct cache_entry *e;
	struct record rec;

	/* New and deleted ones come in the module's stream, with their cookie. */
	if (type != XFRM_MSG_UPDSA || !id)
		return;
	e = cache_find(&d->cache, id);
	if (e && !genl_get(&d->req, id, &rec) && rec.cookie == e->cookie) {
		refresh(d, &rec);
		source_bind(d);
		peer_kick(d);
	}
}

static int start(struct daemon *d)
{
	int ret;

	ret = genl_open(&d->reader);
	if (ret) {
		log_err("cannot reach the module: %s", d->reader.error);
		return ret;
	}
	ret = full_pull(d);
	if (ret == -EBUSY)
		log_err("another reader follows this namespace's SAs: is a second daemon running?");
	else if (ret)
		log_err("cannot follow the SAs: %s", d->reader.error);
	if (!ret)
		ret = loop_add(&d->loop, &d->reader_io, genl_fd(&d->reader),
			       EPOLLIN);
	if (ret) {
		genl_close(&d->reader);
		return ret;
	}
	d->reading = true;
	read_policies(d);
	/* The wake-up may have come before the loop listened. */
	loop_timer_set(&d->loop, &d->pull_timer, d->conf.interval_us * 1000ULL);
	return 0;
}

static void resync_due(struct loop_timer *t)
{
	struct daemon *d = t->data;

	if (d->reading)
		resync(d, "after a failure");
	else if (start(d))
		loop_timer_set(&d->loop, t, LOST_RETRY);
	else
		log_info("follows the SAs again: %zu", d->cache.n_entries);
}

int source_start(struct daemon *d)
{
	struct cache_entry *e;
	int ret;

	if (d->reading)
		return 0;
	pmtu_follow_start(d);
	/* Leases of the active before us end where our own numbers start. */
	cache_renumber(&d->cache);
	cache_for_each(&d->cache, e) {
		e->cookie = 0;
		cache_unbind(&d->cache, e);
		if (e->pmtu || pmtu_was_used(&e->info, &e->rec, e->sent))
			cache_ask_path(&d->cache, e);
	}
	d->pull_timer.cb = pull_due;
	d->pull_timer.data = d;
	d->policy_timer.cb = policies_due;
	d->policy_timer.data = d;
	d->resync_timer.cb = resync_due;
	d->resync_timer.data = d;
	d->reader_io.cb = reader_event;
	d->reader_io.data = d;
	ret = start(d);
	/* An active without its stream leaves the standbys behind. */
	if (ret)
		loop_timer_set(&d->loop, &d->resync_timer, LOST_RETRY);
	return ret;
}

void source_filter(struct daemon *d)
{
	struct cache_policy *p, *np;
	struct cache_entry *e, *n;

	cache_for_each_safe(&d->cache, e, n) {
		if (!source_manages(d, &e->info))
			drop_entry(d, e);
	}
	cache_for_each_policy_safe(&d->cache, p, np) {
		if (source_manages_policy(d, &p->info))
			continue;
		peer_gone_policy(d, p);
		cache_policy_remove(&d->cache, p);
	}
}

void source_stop(struct daemon *d)
{
	pmtu_follow_stop(d);
	omitted_clear(&d->omitted);
	loop_timer_stop(&d->resync_timer);
	if (!d->reading)
		return;
	d->reading = false;
	loop_del(&d->loop, &d->reader_io);
	loop_timer_stop(&d->pull_timer);
	loop_timer_stop(&d->policy_timer);
	genl_unsubscribe(&d->reader);
	genl_close(&d->reader);
}
