// SPDX-License-Identifier: GPL-2.0
/*
 * In: commands of root on the control socket, a JSON object a line.
 * Out: what the daemon knows, as control.h says; monitors hear each record.
 * The daemon's loop; a client that does not read loses records, not us.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "conflict.h"
#include "daemon.h"
#include "ike_show.h"
#include "json_memory.h"
#include "log.h"
#include "migrate.h"
#include "plan.h"

#define CLIENTS 32
#define LINE_MAX_BYTES 65536
#define MONITOR_MAX (1 << 20)	/* bytes that wait for a slow monitor */

struct client {
	struct loop_fd io;
	struct daemon *d;
	struct buf in, out;
	bool used, monitor, waits_takeover, closing;
	uint64_t lost;
};

static struct client clients[CLIENTS];
static struct loop_fd listen_io = { .fd = -1 };
static size_t n_monitors;

static void client_end(struct client *c)
{
	int fd = c->io.fd;

	loop_del(&c->d->loop, &c->io);
	if (fd >= 0)
		close(fd);
	n_monitors -= c->monitor;
	buf_free(&c->in);
	buf_free(&c->out);
	c->used = false;
	c->monitor = false;
	c->waits_takeover = false;
}

static void client_write(struct client *c)
{
	ssize_t n;

	if (c->out.bad) {
		client_end(c);
		return;
	}
	while (c->out.len) {
		n = send(c->io.fd, c->out.data, c->out.len,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			client_end(c);
			return;
		}
		buf_take(&c->out, n);
	}
	loop_mod(&c->d->loop, &c->io, EPOLLIN | (c->out.len ? EPOLLOUT : 0));
}

/* Takes the reference. */
static void say(struct client *c, json_t *obj)
{
	static const char none[] =
		"{\"done\":true,\"error\":\"out of memory\",\"exit\":1}";
	char *text = json_dumps(obj, JSON_COMPACT);
	/* Half an answer would be taken for all of it. */
	const char *line = json_memory_lost() || !text ? none : text;

	json_decref(obj);
	/* It may have gone while it was told of its takeover. */
	if (c->used) {
		buf_put(&c->out, line, strlen(line));
		buf_put(&c->out, "\n", 1);
	}
	free(text);
}

static void say_done(struct client *c, int code, const char *text)
{
	json_t *obj = json_pack("{s:b}", "done", 1);

	if (code) {
		json_object_set_new(obj, "error", json_string(text));
		json_object_set_new(obj, "exit", json_integer(code));
	} else if (text) {
		json_object_set_new(obj, "text", json_string(text));
	}
	say(c, obj);
}

/* ---- status ---- */

static json_t *peer_lacking_json(const struct peer *p)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < p->n_lacking; i++)
		json_array_append_new(list, json_string(p->lacking[i]));
	return list;
}

static json_t *peer_json(const struct peer *p, const struct daemon *d)
{
	const char *state = "connected";
	uint64_t packets = 0, ms = 0;
	size_t held = 0;

	if (leave_has_left(d, p, loop_now_ns()))
		state = "left";
	else if (!p->link)
		state = p->attempt ? "connecting" : "disconnected";
	else if (p->in_snapshot || p->snapshot_end_due)
		state = "syncing";
	else if (p->sending || d->source == p)
		state = "synced";
	if (role_is_active(d)) {
		peer_lag(p, d, &packets, &ms);
		held = lease_held(d, p);
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:o}",
			 "name", p->name, "state", state,
			 "role", p->link ? genl_role_str(p->role) : "unknown",
			 "address", p->link ? p->link->addr : p->conf.address,
			 "node", p->node_id,
			 "lag_packets", (json_int_t)packets,
			 "lag_ms", (json_int_t)ms,
			 "sas", (json_int_t)p->peer_sas,
			 "conflicts", (json_int_t)p->peer_conflicts,
			 "records_in", (json_int_t)p->records_in,
			 "records_out", (json_int_t)p->records_out,
			 "snapshots", (json_int_t)p->snapshots_in +
						   (json_int_t)p->snapshots_out,
			 "last_failure", p->refusal,
			 "leases_waiting", (json_int_t)lease_waiting(d, p),
			 "leases_held", (json_int_t)held,
			 "soft_expired", (json_int_t)p->soft_expired,
			 "holds", (json_int_t)inbound_count_waiting(d, p),
			 "lacking", peer_lacking_json(p));
}

struct named_range {
	const char *name;
	const struct spi_range *range;
};

/* Of this node and its peers, each two. */
static json_t *spi_overlaps_json(const struct daemon *d)
{
	struct named_range all[CONF_MAX_PEERS + 1];
	json_t *list = json_array();
	char text[400], a[32], b[32];
	size_t n = 0, i, k;

	all[n++] = (struct named_range){ d->conf.node_name, &d->conf.spi_range };
	for (i = 0; i < d->n_peers; i++)
		all[n++] = (struct named_range){ d->peer[i].name,
						 &d->peer[i].spi_range };
	for (i = 0; i < n; i++) {
		for (k = i + 1; k < n; k++) {
			if (!spi_range_overlap(all[i].range, all[k].range))
				continue;
			snprintf(text, sizeof(text), "%s of %s and %s of %s overlap",
				 spi_range_str(all[i].range, a, sizeof(a)), all[i].name,
				 spi_range_str(all[k].range, b, sizeof(b)), all[k].name);
			json_array_append_new(list, json_string(text));
		}
	}
	return list;
}

static void set_spi_range(json_t *o, const struct spi_range *r)
{
	char text[32];

	if (spi_range_is_set(r))
		json_object_set_new(o, "spi_range",
			json_string(spi_range_str(r, text, sizeof(text))));
}

static void reason(json_t *list, size_t n, const char *what)
{
	char text[160];

	if (n)
		snprintf(text, sizeof(text), "%zu %s", n, what);
	else
		snprintf(text, sizeof(text), "%s", what);
	json_array_append_new(list, json_string(text));
}

/* SAs that a takeover would not use, by name; the first of very many in a list, or
 * a line each to a client.
 */
struct unsafe {
	const struct daemon *d;
	struct client *all;
	json_t *list;
	size_t n;
};

#define UNSAFE_NAMED 100

static void add_unsafe(struct unsafe *u, const struct sa_id *id, const char *why)
{
	char name[128];
	json_t *o;

	if (u->n++ >= UNSAFE_NAMED && !u->all)
		return;
	o = json_pack("{s:s, s:s}", "sa", sa_id_str(id, name, sizeof(name)),
		      "why", why);
	if (u->all)
		say(u->all, o);
	else
		json_array_append_new(u->list, o);
}

static int count_unsafe(const struct record *k, struct cache_entry *e,
			const char *why, void *data)
{
	(void)e;
	if (why)
		add_unsafe(data, &k->id, why);
	return 0;
}

/* What the cache does not tell. */
static int count_untold(const struct record *k, struct cache_entry *e,
			const char *why, void *data)
{
	struct unsafe *u = data;

	if (why && k->flags & XFRMSYNC_RECORD_F_UNTOLD &&
	    !(e && ready_why_entry(u->d, e)))
		add_unsafe(u, &k->id, why);
	return 0;
}

/* Not by all peers, and which of them. */
static void add_refused(struct daemon *d, struct unsafe *u,
			const struct cache_entry *e)
{
	char text[400];
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (!e->mark[i].refused)
			continue;
		snprintf(text, sizeof(text), "peer %s cannot install it: %s",
			 d->peer[i].name, e->mark[i].refused);
		add_unsafe(u, &e->id, text);
		return;
	}
}

/* What peers are not told, or not as it is. */
static void add_omitted(struct daemon *d, struct unsafe *u)
{
	const struct omitted_sa *sa = omitted_first(&d->omitted);
	char text[400];

	for (; sa; sa = omitted_after(&d->omitted, sa)) {
		snprintf(text, sizeof(text), "%s: %s", sa->told ?
			 "what has changed of it is not told to the peers" :
			 "it is not told to the peers",
			 sa->why ? sa->why : "it cannot be read");
		add_unsafe(u, &sa->id, text);
	}
}

/* A standby in step, or the active for its peers, knows without the kernel, but
 * for what nobody told it.
 */
static void find_unsafe(struct daemon *d, struct unsafe *u)
{
	const struct cache_entry *e;
	const char *why;

	u->d = d;
	u->list = u->all ? NULL : json_array();
	u->n = 0;
	if (!role_is_active(d) && !d->synced) {
		ready_each(d, count_unsafe, u);
		return;
	}
	cache_for_each(&d->cache, e) {
		why = ready_why_entry(d, e);
		if (why)
			add_unsafe(u, &e->id, why);
		else if (role_is_active(d) && d->cache.n_refused)
			add_refused(d, u, e);
	}
	if (role_is_active(d))
		add_omitted(d, u);
	else if (ready_untold(d))
		ready_each(d, count_untold, u);
}

/* What SAs have, and this node's kernel passes over. */
static json_t *lacking_json(const struct daemon *d)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < d->kinds.n; i++) {
		if (*d->kinds.kind[i].lacking)
			json_array_append_new(list,
				json_string(d->kinds.kind[i].lacking));
	}
	return list;
}

/* What would keep this node from carrying the tunnels on. */
static json_t *reasons(struct daemon *d, const struct unsafe *u)
{
	json_t *list = json_array();

	if (!role_is_active(d) && !d->synced)
		reason(list, 0, "no snapshot of an active was complete yet");
	if (d->applied[CACHE_CONFLICT] && !role_is_active(d))
		reason(list, d->applied[CACHE_CONFLICT],
		       "SAs are in conflict with this node's own");
	if (d->applied[CACHE_FAILED] && !role_is_active(d))
		reason(list, d->applied[CACHE_FAILED],
		       "SAs could not be created or restored");
	if (d->applied[CACHE_UNSUPPORTED] && !role_is_active(d))
		reason(list, d->applied[CACHE_UNSUPPORTED],
		       "SAs are of kinds that this node's kernel does not support");
	if (d->applied[CACHE_REFUSED] && !role_is_active(d))
		reason(list, d->applied[CACHE_REFUSED],
		       "SAs have contexts that this version does not understand");
	if (!role_is_active(d) && apply_policies_unready(d))
		reason(list, apply_policies_unready(d),
		       "policies could not be created, or differ from this node's own");
	if (!role_is_active(d) && d->cache.n_refused_policies)
		reason(list, d->cache.n_refused_policies,
		       "policies have contexts that this version does not understand");
	if (!role_is_active(d) && d->ike && d->applied[CACHE_NOT_APPLIED])
		reason(list, d->applied[CACHE_NOT_APPLIED],
		       "SAs are being made by charon");
	if (!role_is_active(d) && ike_waiting(d))
		reason(list, ike_waiting(d),
		       "IKE SAs are not in this node's charon: it is not there, or has not loaded their connections");
	if (role_is_active(d) && !d->reading)
		reason(list, 0, "the SAs cannot be followed: the peers get nothing");
	if (u->n)
		reason(list, u->n, role_is_active(d) ?
		       "SAs cannot be taken over by a peer" :
		       "SAs are not safe: a takeover would fence them");
	return list;
}

/* SAs of the active that another one of this node keeps out; the first of very many. */
static json_t *conflicts_json(struct daemon *d)
{
	json_t *list = json_array(), *o;
	struct cache_entry *e;

	if (!d->applied[CACHE_CONFLICT] || role_is_active(d))
		return list;
	cache_for_each(&d->cache, e) {
		if (e->applied != CACHE_CONFLICT)
			continue;
		if (json_array_size(list) == UNSAFE_NAMED)
			break;
		o = conflict_sa_json(&e->info);
		if (e->way)
			json_object_set_new(o, "in_the_way",
					    conflict_sa_json(e->way));
		json_array_append_new(list, o);
	}
	return list;
}

/* All that status names the first of. */
static void say_unsafe(struct client *c)
{
	struct unsafe u = { .all = c };
	struct daemon *d = c->d;
	struct cache_entry *e;
	char name[128], text[200];

	find_unsafe(d, &u);
	if (!d->applied[CACHE_CONFLICT] || role_is_active(d))
		return;
	cache_for_each(&d->cache, e) {
		if (e->applied != CACHE_CONFLICT)
			continue;
		snprintf(text, sizeof(text), "in conflict with this node's own: %s is in the way",
			 e->way ? sa_id_str(&e->way->id, name, sizeof(name)) :
				  "another SA");
		add_unsafe(&u, &e->id, text);
	}
}

static json_t *counters_json(struct daemon *d)
{
	struct genl_stats stats;
	json_t *obj = json_object();
	int i;

	if (genl_stats_get(&d->req, &stats))
		return obj;
	for (i = 1; i <= XFRMSYNC_A_STATS_MAX; i++) {
		if (genl_stats_names[i])
			json_object_set_new(obj, genl_stats_names[i],
					    json_integer(stats.value[i]));
	}
	return obj;
}

static json_t *losses_json(const struct daemon *d)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "resyncs", (json_int_t)d->resyncs,
			 "events_lost", (json_int_t)d->events_lost,
			 "contexts_refused", (json_int_t)d->context_refused,
			 "records_refused", (json_int_t)d->restore_refused,
			 "stale_frames", (json_int_t)d->stale_frames,
			 "connections_refused",
			 (json_int_t)d->handshakes_refused,
			 "repaired", (json_int_t)d->repaired,
			 "merged", (json_int_t)d->merged);
}

static json_t *status_json(struct daemon *d)
{
	json_t *obj, *why, *peers = json_array();
	struct genl_status st = {};
	struct unsafe u = {};
	size_t i;

	find_unsafe(d, &u);
	why = reasons(d, &u);
	genl_status_get(&d->req, &st);
	for (i = 0; i < d->n_peers; i++) {
		json_array_append_new(peers, peer_json(&d->peer[i], d));
		set_spi_range(json_array_get(peers, i), &d->peer[i].spi_range);
	}
	obj = json_pack("{s:s, s:I, s:i, s:s, s:i, s:b, s:o, s:s, s:I, s:I, s:I, s:o}",
			"role", genl_role_str(d->st.role),
			"epoch", (json_int_t)d->st.epoch,
			"epoch_node", d->st.node,
			"node", d->conf.node_name, "node_id", d->conf.node_id,
			"ready", json_array_size(why) == 0, "reasons", why,
			"capture", genl_capture_str(st.capture),
			"sas", (json_int_t)st.sas,
			"managed", (json_int_t)d->cache.n_entries,
			"policies", (json_int_t)d->cache.n_policies,
			"peers", peers);
	json_object_set_new(obj, "watchdog_ms", json_integer(st.watchdog_ms));
	if (d->ike)
		json_object_set_new(obj, "ike", ike_json(d));
	json_object_set_new(obj, "conflicts",
			    json_integer(d->applied[CACHE_CONFLICT]));
	set_spi_range(obj, &d->conf.spi_range);
	json_object_set_new(obj, "spi_overlaps", spi_overlaps_json(d));
	json_object_set_new(obj, "on_conflict",
		json_string(conf_on_conflict_str(d->conf.on_conflict)));
	json_object_set_new(obj, "conflict", conflicts_json(d));
	json_object_set_new(obj, "new_spi", renumber_json(d));
	json_object_set_new(obj, "lacking", lacking_json(d));
	json_object_set_new(obj, "losses", losses_json(d));
	json_object_set_new(obj, "guard",
			    json_string(conf_guard_str(d->conf.guard)));
	json_object_set_new(obj, "exposed",
			    json_integer(role_is_active(d) ?
					 inbound_count_exposed(d) :
					 exposed_count(d)));
	json_object_set_new(obj, "stopped",
			    json_integer(lease_count_stopped(d)));
	json_object_set_new(obj, "path_mtus",
			    json_integer(pmtu_follow_count(d)));
	json_object_set_new(obj, "unsafe", u.list);
	json_object_set_new(obj, "unsafe_total", json_integer(u.n));
	json_object_set_new(obj, "kernel", counters_json(d));
	return obj;
}

/* ---- commands ---- */

struct show {
	struct client *c;
	struct daemon *d;
};

static json_t *waits_for(const struct daemon *d, const struct cache_entry *e)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (inbound_waits_for(d, e, &d->peer[i]))
			json_array_append_new(list,
					      json_string(d->peer[i].name));
	}
	return list;
}

static void add_guard(json_t *obj, const struct daemon *d,
		      const struct cache_entry *e)
{
	uint64_t limit = inbound_limit(d, e);

	json_object_set_new(obj, "guard",
			    json_integer(role_is_active(d) ? e->guard :
							     e->rec.guard));
	json_object_set_new(obj, "exposed",
			    json_boolean(role_is_active(d) ?
					 inbound_exposed(d, e) :
					 e->rec.exposed));
	if (!role_is_active(d))
		return;
	if (limit != GUARD_NO_LIMIT)
		json_object_set_new(obj, "guard_limit", json_integer(limit));
	json_object_set_new(obj, "held", json_boolean(inbound_held(d, e)));
	json_object_set_new(obj, "waits_for", waits_for(d, e));
}

static int show_one(const struct record *rec, void *data)
{
	struct show *s = data;
	struct cache_entry *e = cache_find(&s->d->cache, &rec->id);
	json_t *obj = record_json(rec), *lag = json_object();
	size_t i;

	if (e && e->tag) {
		json_object_set_new(obj, "lease_end",
				    json_integer(e->lease_end));
		json_object_set_new(obj, "sent", json_integer(e->sent));
	}
	if (e)
		add_guard(obj, s->d, e);
	for (i = 0; e && role_is_active(s->d) && i < s->d->n_peers; i++) {
		json_object_set_new(lag, s->d->peer[i].name,
				    json_integer(peer_lag_of(e,
							     &s->d->peer[i])));
	}
	json_object_set_new(obj, "managed", json_boolean(e));
	json_object_set_new(obj, "lag", lag);
	say(s->c, obj);
	return 0;
}

static void takeover_done(struct daemon *d, int code, const char *text)
{
	int i;

	(void)d;
	for (i = 0; i < CLIENTS; i++) {
		if (!clients[i].used || !clients[i].waits_takeover)
			continue;
		clients[i].waits_takeover = false;
		say_done(&clients[i], code, text);
		client_write(&clients[i]);
	}
}

/* Of a dry run. */
struct rehearsal {
	const struct daemon *d;
	struct plan plan;
	bool planned, again, crash;
	const struct cache_entry **lost;	/* their other direction is rekeyed */
	size_t n_lost;
};

/* By what the active told: one that has sent, and never received. */
static bool is_outbound(const struct cache_entry *e)
{
	return e->rec.dir == XFRMSYNC_DIR_OUT ||
	       (e->rec.dir != XFRMSYNC_DIR_IN && e->sent && !e->rec.seq);
}

static bool is_renegotiated(const struct rehearsal *r,
			    const struct cache_entry *e)
{
	size_t i;

	for (i = 0; i < r->n_lost && e->applied == CACHE_APPLIED; i++) {
		if (conflict_is_other_way(&e->info, &r->lost[i]->info))
			return true;
	}
	return false;
}

static int plan_one(const struct record *k, struct cache_entry *e,
		    const char *why, void *data)
{
	struct rehearsal *r = data;
	const struct daemon *d = r->d;
	struct plan_sa sa = { .why = why };

	/* What the active knows of goes on exactly, if it hands over. */
	if (!e || !r->planned)
		sa.jump = plan_jump(k);
	if (e && !r->planned && !is_outbound(e))
		sa.guard = e->rec.guard;
	/* This daemon was not told, if another one was. */
	sa.guard_unknown = !e && !d->synced && !role_is_owner(d) &&
			   !plan_is_not_led(k);
	sa.held = e && !is_outbound(e) &&
		  inbound_would_hold(d, e, r->again, r->planned);
	sa.rekey = e && is_renegotiated(r, e);
	if (e && r->crash)
		sa.rekey_why = exposed_why(d, e);
	plan_add(&r->plan, &k->id, &sa);
	return 0;
}

static int rehearse(struct daemon *d, struct rehearsal *r, bool force)
{
	size_t max = d->applied[CACHE_CONFLICT] + d->applied[CACHE_UNSUPPORTED];
	int ret;

	plan_init(&r->plan, force);
	if (role_is_active(d))
		return 0;
	r->lost = max ? calloc(max, sizeof(*r->lost)) : NULL;
	r->n_lost = apply_renegotiated(d, r->lost, r->lost ? max : 0);
	ret = max && !r->lost ? -ENOMEM : ready_each(d, plan_one, r);
	free(r->lost);
	if (ret)
		plan_free(&r->plan);
	return ret;
}

static void dry_run(struct client *c, bool force)
{
	struct daemon *d = c->d;
	struct peer *p = peer_active(d);
	struct rehearsal r = {
		/* One that is not filled is given no exact numbers. */
		.d = d, .planned = p && d->synced, .again = role_would_be_again(d),
		.crash = exposed_is_crash(d, p && d->synced),
	};
	struct unsafe u = {};
	json_t *obj, *why;
	int ret;

	ret = rehearse(d, &r, force);
	if (ret) {
		say_done(c, 1, ret == -ENOMEM ? strerror(ENOMEM) : d->req.error);
		return;
	}
	find_unsafe(d, &u);
	json_decref(u.list);
	why = reasons(d, &u);
	obj = json_pack("{s:s, s:b, s:o, s:b}", "would",
			role_is_active(d) && role_out_of_sight(d) ?
			    "stay active, in a new epoch: a peer is out of sight" :
			role_is_active(d) ? "change nothing: already active" :
			p ? "ask the active to hand over" :
			    "take over without an active",
			"ready", json_array_size(why) == 0, "reasons", why,
			"done", 1);
	plan_put(&r.plan, obj);
	plan_free(&r.plan);
	if (p)
		json_object_set_new(obj, "active", json_string(p->name));
	say(c, obj);
}

static void takeover(struct client *c, json_t *req)
{
	bool force = json_is_true(json_object_get(req, "force_unsafe"));

	if (json_is_true(json_object_get(req, "dry_run"))) {
		dry_run(c, force);
		return;
	}
	c->waits_takeover = true;
	role_takeover(c->d, force, takeover_done);
}

/* ---- IKE SAs ---- */

static const struct ike_store *need_ike(struct client *c)
{
	const struct ike_store *s = ike_kept(c->d);

	if (!s)
		say_done(c, 1, "this node carries no IKE SAs: its configuration has no [ike]");
	return s;
}

static void say_ike(struct client *c)
{
	const struct ike_store *s = need_ike(c);
	const struct ike_sa *sa;

	if (!s)
		return;
	ike_store_for_each(s, sa) {
		if (ike_show_is_whole(sa))
			say(c, ike_show_json(sa));
	}
	say_done(c, 0, NULL);
}

/* A gateway in production has no such setting; who has it is told what it is. */
static void say_ike_keys(struct client *c)
{
	const struct ike_store *s = need_ike(c);
	const struct ike_sa *sa;

	if (!s)
		return;
	if (!c->d->conf.ike_key_log) {
		say_done(c, 1, "keys are not told by a node in production: for debugging, key_log = yes in [ike] of its configuration, and reload it");
		return;
	}
	log_warn("the keys of %zu IKE SAs and %zu Child SAs are told to root, who asked for them: key_log = no ends that",
		 s->n, s->n_children);
	/* Those that are deleted, or only begun, as well: of such are packets, too. */
	ike_store_for_each(s, sa)
		ike_show_keys(sa, &c->out);
	say_done(c, 0, NULL);
}

/* For a file, which save seals. Whoever asks here is root, and has the key of that, too; so
 * nothing is refused, but it is not told unseen.
 */
static void say_ike_entries(struct client *c)
{
	const struct ike_store *s = need_ike(c);
	const struct ike_sa *sa;

	if (!s)
		return;
	log_info("%zu IKE SAs and %zu Child SAs, with their secrets, are told to root, who asked for them (save --ike)",
		 s->n, s->n_children);
	ike_store_for_each(s, sa)
		ike_show_entry(sa, &c->out);
	say_done(c, 0, NULL);
}

/* In this thread: a clone has its tag before its record is read. */
static void migrate(struct client *c, json_t *req)
{
	const char *text = json_string_value(json_object_get(req, "map"));
	struct migrate m = { .g = &c->d->req, .x = &c->d->xfrm };
	const char *bad = text ? map_add(&m.map, text) : "OLD=NEW is wanted";

	if (!bad && !role_is_active(c->d) && c->d->st.epoch)
		bad = "this node is standby: its SAs follow the active's, by map of [peer]";
	m.failed = json_array();
	if (!bad && migrate_run(&m))
		bad = m.error;
	if (!bad)
		log_info("migrated %s: %zu SAs, %zu policies, %zu failed", text,
			 m.moved, m.policies, json_array_size(m.failed));
	say(c, json_pack("{s:I, s:I, s:o, s:s*, s:b}", "moved",
			 (json_int_t)m.moved, "policies", (json_int_t)m.policies,
			 "failed", m.failed, "error", bad, "done", 1));
}

static void command(struct client *c, json_t *req)
{
	const char *cmd = json_string_value(json_object_get(req, "cmd"));
	struct show show = { .c = c, .d = c->d };
	json_t *obj;
	int ret;

	if (!cmd) {
		say_done(c, 2, "no \"cmd\" in the request");
	} else if (!strcmp(cmd, "status")) {
		obj = status_json(c->d);
		json_object_set_new(obj, "done", json_true());
		say(c, obj);
	} else if (!strcmp(cmd, "unsafe")) {
		say_unsafe(c);
		say_done(c, 0, NULL);
	} else if (!strcmp(cmd, "show")) {
		ret = genl_dump(&c->d->req, show_one, &show);
		say_done(c, ret ? 1 : 0, ret ? c->d->req.error : NULL);
	} else if (!strcmp(cmd, "ike")) {
		say_ike(c);
	} else if (!strcmp(cmd, "ike_keys")) {
		say_ike_keys(c);
	} else if (!strcmp(cmd, "ike_entries")) {
		say_ike_entries(c);
	} else if (!strcmp(cmd, "monitor")) {
		n_monitors += !c->monitor;
		c->monitor = true;
	} else if (!strcmp(cmd, "event") &&
		   json_is_object(json_object_get(req, "event"))) {
		control_server_event(c->d, json_incref(json_object_get(req, "event")));
		say_done(c, 0, NULL);
	} else if (!strcmp(cmd, "takeover")) {
		takeover(c, req);
	} else if (!strcmp(cmd, "migrate")) {
		migrate(c, req);
	} else if (!strcmp(cmd, "standby")) {
		ret = role_standby(c->d, "asked to");
		say_done(c, ret ? 1 : 0, ret ? strerror(-ret) : "standby");
	} else {
		say_done(c, 2, "unknown command");
	}
}

static void client_lines(struct client *c)
{
	uint8_t *end;
	json_t *req;

	while (c->used && c->in.len &&
	       (end = memchr(c->in.data, '\n', c->in.len))) {
		size_t len = end - c->in.data;

		req = json_loadb((char *)c->in.data, len, 0, NULL);
		buf_take(&c->in, len + 1);
		if (req)
			command(c, req);
		else
			say_done(c, 2, "the request is not JSON");
		json_decref(req);
	}
	if (c->used && c->in.len > LINE_MAX_BYTES)
		client_end(c);
}

static void client_io(struct loop_fd *f, uint32_t events)
{
	struct client *c = f->data;
	char chunk[4096];
	ssize_t n;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = recv(f->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			client_end(c);
			return;
		}
		if (n > 0)
			buf_put(&c->in, chunk, n);
		/* What comes next would be taken for the rest of it. */
		if (c->in.bad) {
			client_end(c);
			return;
		}
		client_lines(c);
	}
	if (c->used)
		client_write(c);
}

static void accept_client(struct loop_fd *f, uint32_t events)
{
	struct daemon *d = f->data;
	struct ucred cred = {};
	socklen_t len = sizeof(cred);
	int fd, i;

	(void)events;
	fd = accept4(f->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ||
	    cred.uid != 0) {
		log_warn("control socket: refused user %u (process %d): only root is heard",
			 cred.uid, cred.pid);
		close(fd);
		return;
	}
	for (i = 0; i < CLIENTS && clients[i].used; i++)
		;
	if (i == CLIENTS) {
		close(fd);
		return;
	}
	memset(&clients[i], 0, sizeof(clients[i]));
	clients[i].used = true;
	clients[i].d = d;
	clients[i].io.cb = client_io;
	clients[i].io.data = &clients[i];
	clients[i].io.fd = -1;
	if (loop_add(&d->loop, &clients[i].io, fd, EPOLLIN)) {
		close(fd);
		clients[i].used = false;
	}
}

void control_server_event(struct daemon *d, json_t *event)
{
	struct client *c;

	(void)d;
	for (c = clients; c < clients + CLIENTS; c++) {
		if (!c->used || !c->monitor)
			continue;
		if (c->out.len > MONITOR_MAX) {
			c->lost++;
			continue;
		}
		if (c->lost)
			say(c, json_pack("{s:I}", "lost", (json_int_t)c->lost));
		c->lost = 0;
		say(c, json_incref(event));
		loop_mod(&c->d->loop, &c->io, EPOLLIN | EPOLLOUT);
	}
	json_decref(event);
}

void control_server_record(struct daemon *d, const struct record *rec)
{
	if (n_monitors)
		control_server_event(d, record_json(rec));
}

/* The directory is ours alone: nobody else gets as far as connect(). */
static int make_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[108];
	struct stat st;

	if (!slash || slash == path)
		return 0;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	if (stat(dir, &st) || st.st_uid != 0 || st.st_mode & 022) {
		log_err("%s: has to belong to root, and to be writable by root alone",
			dir);
		return -EPERM;
	}
	return 0;
}

/* A socket that somebody answers on belongs to another daemon. */
static bool is_alive(const struct sockaddr_un *sun)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive;

	if (fd < 0)
		return false;
	alive = !connect(fd, (const void *)sun, sizeof(*sun));
	close(fd);
	return alive;
}

int control_server_init(struct daemon *d)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, ret;
	mode_t old;

	ret = make_dir(d->conf.socket);
	if (ret)
		return ret;
	memcpy(sun.sun_path, d->conf.socket, sizeof(sun.sun_path) - 1);
	if (is_alive(&sun)) {
		log_err("%s: another daemon answers there: stop it first, or use another socket",
			d->conf.socket);
		return -EBUSY;
	}
	unlink(d->conf.socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	old = umask(0177);
	ret = bind(fd, (void *)&sun, sizeof(sun)) || listen(fd, 16) ? -errno : 0;
	umask(old);
	if (ret) {
		log_err("%s: %s", d->conf.socket, strerror(-ret));
		close(fd);
		return ret;
	}
	listen_io.cb = accept_client;
	listen_io.data = d;
	return loop_add(&d->loop, &listen_io, fd, EPOLLIN);
}

void control_server_exit(struct daemon *d)
{
	int fd = listen_io.fd, i;

	for (i = 0; i < CLIENTS; i++) {
		if (clients[i].used)
			client_end(&clients[i]);
	}
	if (fd < 0)
		return;
	loop_del(&d->loop, &listen_io);
	close(fd);
	unlink(d->conf.socket);
}
