// SPDX-License-Identifier: GPL-2.0
/*
 * In: marks on what changed in the cache; frames of the peers.
 * Out: frames, read from the cache when there is room; calls of apply and role.
 * The daemon's loop; never waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "daemon.h"
#include "log.h"

#define RETRY_MIN (100 * LOOP_MS)
#define RETRY_MAX (5000 * LOOP_MS)
#define RECORDS_FRAME 16384	/* bytes after which a batch is closed */
#define DELETES_MAX (1 << 20)	/* bytes; a peer that is further behind resyncs */
#define GUESTS (sizeof(((struct daemon *)0)->guest) / sizeof(struct link *))
#define N_PEERS(d) ((int)(d)->n_peers)

static const struct link_ops ops;

static uint64_t wall_now(void)
{
	return time(NULL);
}

static const char *role_name(uint32_t role)
{
	return genl_role_str(role);
}

/* ---- marks ---- */

static bool mark_is_dirty(const struct mark *m)
{
	return !list_empty(&m->dirty);
}

static void mark_set(struct peer *p, struct mark *m, bool context)
{
	m->need_context |= context || !m->told;
	if (mark_is_dirty(m))
		return;
	m->since_ns = loop_now_ns();
	list_add_tail(&m->dirty, &p->dirty);
}

static void mark_clear(struct peer *p, struct mark *m)
{
	list_del(&m->dirty);
	list_del(&m->flight);
	guard_mark_lost(&m->guard);
	m->exposed = false;
	if (m->snapshot)
		p->snapshot_left--;
	m->snapshot = false;
	m->need_context = false;
	m->told = false;
}

void peer_level(struct daemon *d)
{
	struct cache_entry *e;
	size_t i;

	cache_for_each(&d->cache, e) {
		for (i = 0; i < d->n_peers; i++) {
			e->mark[i].acked_oseq = e->rec.oseq;
			e->mark[i].acked_seq = e->rec.seq;
		}
	}
	for (i = 0; i < d->n_peers; i++) {
		if (!d->peer[i].link)
			d->peer[i].lost_ns = loop_now_ns();
	}
}

void peer_mark_entry(struct daemon *d, struct cache_entry *e, bool context)
{
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		if (d->peer[i].sending)
			mark_set(&d->peer[i], &e->mark[i], context);
	}
}

void peer_mark_policy(struct daemon *d, struct cache_policy *pol)
{
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		if (d->peer[i].sending)
			mark_set(&d->peer[i], &pol->mark[i], true);
	}
}

static size_t begin(struct peer *p, struct buf *b, uint8_t type)
{
	return wire_begin(b, type, p->d->st.epoch, p->d->st.node);
}

void peer_gone_entry(struct daemon *d, struct cache_entry *e)
{
	const struct wire_delete gone = { .handle = e->handle, .tag = e->tag };
	struct peer *p;
	size_t at;
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		p = &d->peer[i];
		if (p->sending && e->mark[i].told) {
			at = begin(p, &p->deletes, WIRE_DELETE);
			wire_put_delete(&p->deletes, &gone);
			wire_end(&p->deletes, at);
			p->n_deletes++;
		}
		if (p->sending)
			mark_clear(p, &e->mark[i]);
	}
}

void peer_gone_policy(struct daemon *d, struct cache_policy *pol)
{
	struct peer *p;
	size_t at;
	int i;

	owned_del(&d->owned, pol->info.key, pol->info.key_len);
	for (i = 0; i < N_PEERS(d); i++) {
		p = &d->peer[i];
		if (p->sending && pol->mark[i].told) {
			at = begin(p, &p->deletes, WIRE_POLICY_DELETE);
			buf_put(&p->deletes, pol->context, pol->context_len);
			wire_end(&p->deletes, at);
			p->n_deletes++;
		}
		if (p->sending)
			mark_clear(p, &pol->mark[i]);
	}
}

static void forget_lacking(struct peer *p)
{
	while (p->n_lacking)
		free(p->lacking[--p->n_lacking]);
}

static void stop_sending(struct peer *p)
{
	struct daemon *d = p->d;
	struct cache_policy *pol, *np;
	struct cache_entry *e;

	cache_for_each(&d->cache, e) {
		mark_clear(p, &e->mark[p->index]);
		cache_set_refused(&d->cache, &e->mark[p->index], NULL);
	}
	cache_for_each_policy_safe(&d->cache, pol, np)
		mark_clear(p, &pol->mark[p->index]);
	forget_lacking(p);
	p->sending = false;
	p->snapshot_end_due = false;
	p->snapshot_left = 0;
	buf_clear(&p->deletes);
	p->n_deletes = 0;
	lease_stop(d);
}

static void start_sending(struct peer *p)
{
	struct daemon *d = p->d;
	struct wire_snapshot snapshot;
	struct cache_policy *pol, *np;
	struct cache_entry *e;
	struct mark *m;
	size_t at;

	stop_sending(p);
	if (!hole_look(d, p))
		return;
	p->sending = true;
	d->leasing = true;
	inbound_start(d);
	lease_start(d);
	p->snapshots_out++;
	at = begin(p, &p->link->out, WIRE_SNAPSHOT_BEGIN);
	snapshot.sas = d->cache.n_entries;
	snapshot.policies = d->cache.n_policies;
	wire_put_snapshot(&p->link->out, &snapshot);
	wire_end(&p->link->out, at);
	ike_send_all(p);
	/* SAs first: a policy without its SA would ask IKE for one. */
	cache_for_each(&d->cache, e) {
		m = &e->mark[p->index];
		mark_set(p, m, true);
		m->snapshot = true;
		p->snapshot_left++;
	}
	cache_for_each_policy_safe(&d->cache, pol, np) {
		m = &pol->mark[p->index];
		mark_set(p, m, true);
		m->snapshot = true;
		p->snapshot_left++;
	}
	p->snapshot_end_due = true;
	if (log_is_within(&p->asks))
		log_info("peer %s: sending it a snapshot of %zu SAs and %zu policies",
			 p->name, d->cache.n_entries, d->cache.n_policies);
	link_kick(p->link);
}

bool peer_is_filled(const struct peer *p)
{
	return p->sending && !p->snapshot_end_due &&
	       p->frames_acked >= p->snapshot_frame;
}

/* The stream goes from the active to each peer that is not. */
static void sync_peer(struct peer *p)
{
	bool want = p->link && role_is_active(p->d) &&
		    p->role != XFRMSYNC_ROLE_ACTIVE;

	if (want && !p->sending)
		start_sending(p);
	else if (!want && p->sending)
		stop_sending(p);
}

/* ---- out ---- */

static void note_sent(struct peer *p, struct mark *m, struct cache_entry *e,
		      uint64_t frame)
{
	const struct record *rec = &e->rec;

	inbound_sent(e, m, frame);
	m->last_frame = frame;
	m->last_oseq = rec->oseq;
	m->last_seq = rec->seq;
	if (list_empty(&m->flight)) {
		m->flight_frame = frame;
		m->flight_oseq = rec->oseq;
		m->flight_seq = rec->seq;
		m->flight_since_ns = m->since_ns;
		list_add_tail(&m->flight, &p->flight);
	}
}

static void put_context(struct peer *p, struct buf *b,
			struct cache_entry *e)
{
	struct wire_sa sa = {
		.handle = e->handle,
		.tag = e->tag,
		.sent = e->sent,
		.rec = e->rec,
		.context = e->context,
		.context_len = e->context_len,
	};
	size_t at = begin(p, b, WIRE_CONTEXT);
	struct buf copy = {};

	/* The kernel's context has none; that of an active before may have another. */
	if (e->pmtu != e->info.pmtu) {
		context_with_pmtu(e->context, e->context_len, e->pmtu, &copy);
		if (!copy.bad) {
			sa.context = copy.data;
			sa.context_len = copy.len;
		}
	}
	if (!lease_offer(p->d, e, p, &sa))
		sa.flags = WIRE_SA_UNSAFE;
	wire_put_sa(b, &sa, wall_now());
	wire_end(b, at);
	buf_free(&copy);
	p->frames_sent++;
}

static void put_policy(struct peer *p, struct buf *b,
		       const struct cache_policy *pol)
{
	size_t at = begin(p, b, WIRE_POLICY);

	buf_put(b, pol->context, pol->context_len);
	wire_end(b, at);
	p->frames_sent++;
	/* From now on it is the cluster's, whoever is active. */
	owned_add(&p->d->owned, pol->info.key, pol->info.key_len);
}

/* A batch of records that is open in the buffer. */
struct batch {
	size_t at;
	bool open;
};

static void batch_close(struct peer *p, struct buf *b, struct batch *batch)
{
	if (!batch->open)
		return;
	wire_end(b, batch->at);
	p->frames_sent++;
	batch->open = false;
}

static void put_mark(struct peer *p, struct buf *b, struct mark *m,
		     struct batch *batch)
{
	struct cache_entry *e = m->owner;

	if (!m->is_policy) {
		e->rec.guard = e->guard;
		e->rec.exposed = p->knows_exposed &&
				 inbound_exposed_to(p->d, e, p);
		m->exposed = e->rec.exposed;
	}
	if (m->need_context) {
		batch_close(p, b, batch);
		if (m->is_policy)
			put_policy(p, b, m->owner);
		else
			put_context(p, b, e);
	} else {
		if (batch->open && b->len - batch->at > RECORDS_FRAME)
			batch_close(p, b, batch);
		if (!batch->open) {
			batch->at = begin(p, b, WIRE_RECORDS);
			batch->open = true;
		}
		wire_put_record(b, e->handle, &e->rec, e->sent, wall_now());
		p->records_out++;
	}
	if (!m->is_policy) {
		note_sent(p, m, e, p->frames_sent + batch->open);
		/* Of the wire, not of this node's window. */
		e->rec.guard = 0;
		e->rec.exposed = false;
	}
	list_del(&m->dirty);
	m->need_context = false;
	m->told = true;
	if (m->snapshot)
		p->snapshot_left--;
	m->snapshot = false;
}

static void put_hello(struct daemon *d, struct buf *b)
{
	struct wire_hello h = {
		.node_id = d->conf.node_id,
		.role = d->st.role,
		.instance = d->instance,
		.has_tag_key = d->st.role == XFRMSYNC_ROLE_ACTIVE,
		.spi_range = d->conf.spi_range,
		.own = d->st.own,
		.lost = d->st.lost,
		.chain = d->st.chain,
		.sees = !role_is_active(d) && peer_active(d),
		.knows_exposed = true,
		.takes_ike = d->ike,
	};
	size_t at;

	snprintf(h.name, sizeof(h.name), "%s", d->conf.node_name);
	if (h.has_tag_key)
		memcpy(h.tag_key, d->tag_key, sizeof(h.tag_key));
	at = wire_begin(b, WIRE_HELLO, d->st.epoch, d->st.node);
	wire_put_hello(b, &h);
	wire_end(b, at);
	sodium_memzero(&h, sizeof(h));
}

/* What a planned takeover has come to. */
void peer_handover_say(struct peer *p, uint32_t result)
{
	size_t at;

	if (!p->link)
		return;
	at = begin(p, &p->link->out, WIRE_HANDOVER);
	wire_put_handover(&p->link->out, result);
	wire_end(&p->link->out, at);
	link_kick(p->link);
}

/* All of the last records went before it: the other side may start. */
static void put_handover(struct peer *p, struct buf *b)
{
	struct daemon *d = p->d;

	if (!d->final_lost) {
		inbound_given(d, p);
		handover_put_final(p, b);
		peer_handover_say(p, WIRE_HANDOVER_DONE);
	}
	d->handover_to = NULL;
	stop_sending(p);
	put_hello(d, b);
}

/* What the peer has not been told, until so many bytes wait. */
static void put_changes(struct peer *p, struct buf *b, size_t room)
{
	struct batch batch = {};
	struct list held;
	struct mark *m;

	list_init(&held);
	if (p->deletes.len) {
		buf_put(b, p->deletes.data, p->deletes.len);
		buf_clear(&p->deletes);
		p->frames_sent += p->n_deletes;
		p->n_deletes = 0;
	}
	while (!list_empty(&p->dirty) && b->len < room) {
		m = container(p->dirty.next, struct mark, dirty);
		if (m->is_policy || inbound_may_tell(p->d, m->owner)) {
			put_mark(p, b, m, &batch);
			continue;
		}
		/* Its limit comes first. */
		list_del(&m->dirty);
		list_add_tail(&m->dirty, &held);
	}
	while (!list_empty(&held)) {
		m = container(held.prev, struct mark, dirty);
		list_del(&m->dirty);
		list_add_tail(&m->dirty, p->dirty.next);
	}
	batch_close(p, b, &batch);
	owned_write(&p->d->owned);
	if (p->snapshot_end_due && !p->snapshot_left) {
		wire_end(b, begin(p, b, WIRE_SNAPSHOT_END));
		p->snapshot_end_due = false;
		p->snapshot_frame = p->frames_sent;
	}
}

static void fill(struct link *l)
{
	struct daemon *d = l->data;
	struct peer *p;
	int i;

	for (i = 0; i < N_PEERS(d) && d->peer[i].link != l; i++)
		;
	if (i == N_PEERS(d))
		return;
	p = &d->peer[i];
	if (!p->sending)
		return;
	put_changes(p, &l->out, LINK_OUT_ROOM);
	if (d->handover_to == p && list_empty(&p->dirty))
		put_handover(p, &l->out);
}

void peer_kick(struct daemon *d)
{
	struct peer *p;
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		p = &d->peer[i];
		if (!p->link || !p->sending)
			continue;
		if (p->deletes.len > DELETES_MAX) {
			log_warn("peer %s: too far behind, it gets a new snapshot",
				 p->name);
			start_sending(p);
		} else if (!list_empty(&p->dirty) || p->deletes.len ||
			   p->snapshot_end_due || d->handover_to == p) {
			link_kick(p->link);
		}
	}
}

void peer_send_simple(struct peer *p, uint8_t type)
{
	if (!p->link)
		return;
	wire_end(&p->link->out, begin(p, &p->link->out, type));
	link_kick(p->link);
}

void peer_put_ike(struct peer *p, const struct wire_ike *ike)
{
	struct buf *b = &p->link->out;
	size_t at = begin(p, b, WIRE_IKE);

	wire_put_ike(b, ike);
	wire_end(b, at);
}

void peer_tell_ike(struct daemon *d, const struct wire_ike *ike)
{
	struct peer *p;
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		p = &d->peer[i];
		if (!p->sending || !p->takes_ike)
			continue;
		peer_put_ike(p, ike);
		link_kick(p->link);
	}
}

static int put_ike_message(void *arg, const struct ike_sa *sa, const uint8_t *msg,
			   size_t len)
{
	const struct wire_ike ike = {
		.what = WIRE_IKE_MESSAGE, .msg = msg, .len = len,
	};

	(void)sa;
	peer_put_ike(arg, &ike);
	return 0;
}

/* Bounded by the store. */
void peer_put_ike_store(struct peer *p, const struct ike_store *s)
{
	peer_put_ike(p, &(struct wire_ike){ .what = WIRE_IKE_BEGIN });
	ike_store_play(s, put_ike_message, p);
	peer_put_ike(p, &(struct wire_ike){ .what = WIRE_IKE_END });
	link_kick(p->link);
}

void peer_tell_ike_store(struct daemon *d, const struct ike_store *s)
{
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		if (d->peer[i].sending && d->peer[i].takes_ike)
			peer_put_ike_store(&d->peer[i], s);
	}
}

/* All that waits for a peer; bounded by the number of SAs. */
static void drain(struct peer *p)
{
	put_changes(p, &p->link->out, SIZE_MAX);
}

void peer_announce(struct daemon *d)
{
	struct peer *p;
	int i;

	d->sees = peer_active(d);
	for (i = 0; i < N_PEERS(d); i++) {
		p = &d->peer[i];
		/* It hears of the new role after the last record. */
		if (!p->link || d->handover_to == p)
			continue;
		/* What a node that steps down has left goes before the word. */
		if (p->sending && !role_is_active(d))
			drain(p);
		put_hello(d, &p->link->out);
		link_kick(p->link);
		sync_peer(p);
	}
}

void peer_refill(struct daemon *d)
{
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		if (d->peer[i].sending)
			start_sending(&d->peer[i]);
	}
}

void peer_heartbeat(struct daemon *d)
{
	int i;

	for (i = 0; i < N_PEERS(d); i++) {
		peer_send_simple(&d->peer[i], WIRE_PING);
		/* What kept it from being told anything may be over. */
		if (!d->peer[i].sending)
			sync_peer(&d->peer[i]);
	}
}

static void send_ack(struct peer *p)
{
	const struct wire_ack ack = {
		.frames = p->frames_taken,
		.sas = apply_count(p->d, CACHE_APPLIED),
		.conflicts = apply_count(p->d, CACHE_CONFLICT),
	};
	struct buf *b = &p->link->out;
	size_t at = begin(p, b, WIRE_ACK);

	wire_put_ack(b, &ack);
	wire_end(b, at);
	p->frames_ack_sent = p->frames_taken;
	link_kick(p->link);
}

/* Only what stands in the kernel is in there. */
static void send_lease_acks(struct peer *p)
{
	size_t at;

	if (!p->d->lease_acks.len)
		return;
	at = begin(p, &p->link->out, WIRE_LEASE_ACK);
	buf_put(&p->link->out, p->d->lease_acks.data, p->d->lease_acks.len);
	wire_end(&p->link->out, at);
	buf_clear(&p->d->lease_acks);
	link_kick(p->link);
}

/* Before the ACK: a limit must not grow over what is not merged yet. */
static void send_merges(struct peer *p)
{
	if (!p->d->merges.len)
		return;
	buf_put(&p->link->out, p->d->merges.data, p->d->merges.len);
	buf_clear(&p->d->merges);
	link_kick(p->link);
}

/* ---- in ---- */

static void note_lag(struct peer *p, uint64_t lag)
{
	p->lag_ns -= p->lag_ns / 8;
	if (lag > p->lag_ns)
		p->lag_ns = lag;
}

/* At once: its last word may stay so for hours, and be what a takeover goes by. */
static bool exposed_no_more(struct peer *p, struct mark *m)
{
	if (!m->exposed || inbound_exposed_to(p->d, m->owner, p))
		return false;
	mark_set(p, m, false);
	return true;
}

static void note_acked(struct peer *p, uint64_t frames)
{
	uint64_t now = loop_now_ns(), lag = 0;
	bool tell = false;
	struct mark *m;

	p->frames_acked = frames;
	while (!list_empty(&p->flight)) {
		m = container(p->flight.next, struct mark, flight);
		if (m->flight_frame > frames)
			break;
		list_del(&m->flight);
		if (now - m->flight_since_ns > lag)
			lag = now - m->flight_since_ns;
		if (!m->is_policy) {
			inbound_acked(p->d, m->owner, m, frames);
			tell |= exposed_no_more(p, m);
		}
		m->acked_oseq = m->flight_oseq;
		m->acked_seq = m->flight_seq;
		if (m->last_frame == m->flight_frame)
			continue;
		m->flight_frame = m->last_frame;
		m->flight_oseq = m->last_oseq;
		m->flight_seq = m->last_seq;
		m->flight_since_ns = loop_now_ns();
		list_add_tail(&m->flight, &p->flight);
	}
	note_lag(p, lag);
	if (tell)
		link_kick(p->link);
	if (p->d->bind_due && p->d->conf.guard == CONF_GUARD_STRICT) {
		/* Packets are lost meanwhile. */
		source_bind(p->d);
		peer_kick(p->d);
	} else if (p->d->bind_due) {
		source_pull_soon(p->d);
	}
}

uint64_t peer_lag_of(const struct cache_entry *e, const struct peer *p)
{
	const struct mark *m = &e->mark[p->index];
	/* What the counter was raised to by a restore, nobody sent. */
	uint64_t out = e->base > m->acked_oseq ? e->base : m->acked_oseq;
	uint64_t n = 0;

	if (e->rec.oseq > out)
		n += e->rec.oseq - out;
	if (e->rec.seq > m->acked_seq)
		n += e->rec.seq - m->acked_seq;
	return n;
}

void peer_lag(const struct peer *p, const struct daemon *d, uint64_t *packets,
	      uint64_t *ms)
{
	uint64_t now = loop_now_ns(), oldest = now;
	const struct cache_entry *e;
	const struct mark *m;

	*packets = 0;
	cache_for_each(&d->cache, e)
		*packets += peer_lag_of(e, p);
	if (!list_empty(&p->dirty)) {
		m = container(p->dirty.next, struct mark, dirty);
		oldest = m->since_ns;
	}
	if (!list_empty(&p->flight)) {
		m = container(p->flight.next, struct mark, flight);
		oldest = m->flight_since_ns < oldest ? m->flight_since_ns :
						       oldest;
	}
	if (!p->link && p->lost_ns)
		oldest = p->lost_ns;
	*ms = (now - oldest) / LOOP_MS;
}

static bool take_records(struct daemon *d, struct peer *p, struct rd *r)
{
	struct record rec;
	uint32_t handle;
	uint64_t sent;

	while (r->left) {
		if (wire_get_record(r, &handle, &rec, &sent, wall_now()))
			return false;
		p->records_in++;
		apply_record(d, handle, &rec, sent);
	}
	return true;
}

/*
 * The one place where a peer's names become this node's: contexts alone have
 * names, all else of the stream has handles. Each node sends its own, and whoever
 * receives maps them, so that nothing is mapped on the way out. In the frame
 * itself, which is read once.
 */
static void map_frame(struct peer *p, const uint8_t *context, size_t len)
{
	uint8_t *in = p->link->in.data;

	map_context(&p->conf.map, in + (context - in), len);
}

/* Why the map makes no SA of this node's out of it, or NULL. */
static const char *map_fails(struct peer *p, const struct wire_sa *sa,
			     const struct context_sa *info)
{
	struct sa_id id = info->id;
	const struct cache_entry *e;

	if (map_joins(&p->conf.map, id.family, info->src, id.dst))
		return "gets one address for both its ends by the map";
	map_id(&p->conf.map, &id);
	e = cache_find(&p->d->cache, &id);
	/* A handle is of one SA until the next snapshot. */
	if (!e || !e->seen || !e->handle || e->handle == sa->handle)
		return NULL;
	/* One of the two has another SPI here. */
	if (e->renumbered || renumber_has(p->d, &id, sa->tag))
		return NULL;
	p->joined = true;
	return "gets the name of another SA of this peer by the map";
}

static void take_sa(struct daemon *d, struct peer *p, const struct wire_sa *sa)
{
	struct field_error why = {};
	struct context_sa info;

	if (!p->conf.map.n ||
	    context_sa_info(sa->context, sa->context_len, &info, NULL)) {
		/* What is refused keeps the place that it has by its name here. */
		map_frame(p, sa->context, sa->context_len);
		apply_sa(d, sa);
		return;
	}
	why.what = map_fails(p, sa, &info);
	map_frame(p, sa->context, sa->context_len);
	if (!why.what) {
		apply_sa(d, sa);
		return;
	}
	map_id(&p->conf.map, &info.id);
	apply_refuse(d, sa, &info, &why);
}

/* Two names of the peer's may be one here. */
static void take_policy(struct daemon *d, struct peer *p, struct rd *r)
{
	uint8_t hash[crypto_generichash_BYTES];
	struct context_policy info;
	uint64_t name = 0;

	/* Without a map they are as many here as there. */
	if (p->conf.map.n) {
		context_policy_info(r->p, r->left, &info, NULL);
		crypto_generichash(hash, sizeof(hash), info.key, info.key_len,
				   NULL, 0);
		memcpy(&name, hash, sizeof(name));
		map_frame(p, r->p, r->left);
	}
	p->joined |= apply_policy(d, r->p, r->left, name);
}

/* One of two that had one name here: what is left may be used now. */
static void resync_joined(struct peer *p)
{
	if (!p->joined)
		return;
	p->joined = false;
	peer_send_simple(p, WIRE_RESYNC);
}

/* Frames of the active's stream. False: malformed. */
static bool take_state(struct daemon *d, struct peer *p, uint8_t type,
		       struct rd *r)
{
	struct wire_snapshot snapshot;
	struct wire_delete del;
	struct wire_sa sa;

	switch (type) {
	case WIRE_SNAPSHOT_BEGIN:
		if (wire_get_snapshot(r, &snapshot))
			return false;
		p->joined = false;
		apply_snapshot_begin(d, p);
		return true;
	case WIRE_SNAPSHOT_END:
		apply_snapshot_end(d, p);
		return true;
	case WIRE_CONTEXT:
		if (wire_get_sa(r, &sa, wall_now()))
			return false;
		take_sa(d, p, &sa);
		return true;
	case WIRE_DELETE:
		if (wire_get_delete(r, &del))
			return false;
		apply_delete(d, del.handle, del.tag);
		resync_joined(p);
		return true;
	case WIRE_RECORDS:
		return take_records(d, p, r);
	case WIRE_POLICY:
		take_policy(d, p, r);
		return true;
	default:
		map_frame(p, r->p, r->left);
		apply_policy_delete(d, r->p, r->left);
		resync_joined(p);
		return true;
	}
}

static bool state_frame(struct daemon *d, struct peer *p,
			const struct wire_header *h, struct rd *r)
{
	if (h->type != WIRE_SNAPSHOT_BEGIN && h->type != WIRE_SNAPSHOT_END)
		p->frames_taken++;
	/* Of an epoch that is over, or not of the active that we follow. */
	if (role_is_active(d) || p->role != XFRMSYNC_ROLE_ACTIVE ||
	    state_epoch_cmp(h->epoch, h->node, d->st.epoch, d->st.node) < 0) {
		d->stale_frames++;
		return true;
	}
	return take_state(d, p, h->type, r);
}

/* Two nodes of one range may hand out the same SPI: a takeover has room for one SA. */
static void take_spi_range(struct peer *p, const struct spi_range *r)
{
	const struct spi_range *own = &p->d->conf.spi_range;
	bool overlap = spi_range_overlap(own, r);
	char a[32], b[32];

	if (overlap && !p->spi_overlap)
		log_warn("peer %s: its spi_range %s and ours, %s, overlap: another one on each node",
			 p->name, spi_range_str(r, a, sizeof(a)),
			 spi_range_str(own, b, sizeof(b)));
	p->spi_overlap = overlap;
	p->spi_range = *r;
}

static void hello_to_peer(struct peer *p, const struct wire_header *h,
			  const struct wire_hello *hello)
{
	p->node_id = hello->node_id;
	p->role = hello->role;
	p->epoch = h->epoch;
	p->epoch_node = h->node;
	p->instance = hello->instance;
	p->own = hello->own;
	p->lost = hello->lost;
	p->sees = hello->sees;
	p->knows_exposed = hello->knows_exposed;
	p->takes_ike = hello->takes_ike;
	p->chain = hello->chain;
	take_spi_range(p, &hello->spi_range);
	/* Whoever is active decides; a standby keeps the key for its own time. */
	if (hello->has_tag_key && hello->role == XFRMSYNC_ROLE_ACTIVE &&
	    !role_is_active(p->d))
		memcpy(p->d->tag_key, hello->tag_key, WIRE_TAG_KEY);
	role_heard(p->d, p);
	if (p->sending && role_is_active(p->d) && hole_is_news(p->d, p))
		stop_sending(p);	/* what it is offered may be used */
	if (p->link)
		sync_peer(p);
}

/* Of two links between the same two, the one that the lower id opened stays. */
static bool is_preferred(const struct daemon *d, const struct link *l,
			 uint32_t peer_id)
{
	return l->outgoing == (d->conf.node_id < peer_id);
}

static void refuse(struct daemon *d, struct link *l, const char *why);

static void forget_pending(struct daemon *d, struct link *l)
{
	size_t i;

	for (i = 0; i < GUESTS; i++) {
		if (d->guest[i] == l)
			d->guest[i] = NULL;
	}
	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].attempt == l)
			d->peer[i].attempt = NULL;
	}
}

static struct peer *peer_named(struct daemon *d, const char *name)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (!strcmp(d->peer[i].name, name))
			return &d->peer[i];
	}
	return NULL;
}

static void detach(struct peer *p)
{
	/* What came whole is made. */
	if (p->d->source == p)
		apply_flush(p->d);
	if (p->sending)
		stop_sending(p);
	p->link = NULL;
	p->frames_sent = 0;
	p->frames_acked = 0;
	p->frames_taken = 0;
	p->frames_ack_sent = 0;
	p->in_snapshot = false;
}

static void establish(struct peer *p, struct link *l,
		      const struct wire_header *h,
		      const struct wire_hello *hello)
{
	struct daemon *d = p->d;
	bool restarted = p->last_instance && p->last_instance != hello->instance;
	struct link *old = p->link;

	forget_pending(d, l);
	if (old) {
		detach(p);
		link_close(old);
		handover_link_replaced(d, p);
		/* What waits for it has names of the old link's snapshot. */
		if (d->source == p)
			d->source = NULL;
	}
	p->first_hello = true;
	p->link = l;
	p->lost_ns = 0;
	p->failures = 0;
	p->refusal[0] = '\0';
	p->last_instance = hello->instance;
	loop_timer_stop(&p->retry);
	log_info("peer %s: connected (%s, %s%s, epoch %llu of node %u)", p->name,
		 l->addr, role_name(hello->role),
		 restarted ? ", restarted" : "", (unsigned long long)h->epoch,
		 h->node);
	/* What this link's first HELLO said may be over. */
	put_hello(d, &l->out);
	link_kick(l);
	hello_to_peer(p, h, hello);
}

/* The first frame of a link. False: malformed. */
static bool first_hello(struct daemon *d, struct link *l,
			const struct wire_header *h, struct rd *r)
{
	struct wire_hello hello;
	struct peer *p;
	bool ok = true;

	if (h->type != WIRE_HELLO || wire_get_hello(r, &hello))
		return false;
	p = peer_named(d, hello.name);
	if (!p)
		refuse(d, l, "it is not a configured peer by its node name");
	else if (l->name[0] && strcmp(l->name, hello.name))
		refuse(d, l, "its node name is not the one of its certificate");
	else if (l->outgoing && p->attempt != l)
		refuse(d, l, "another peer answers at this address");
	else if (hello.node_id == d->conf.node_id)
		refuse(d, l, "it has our own node id: give each node another");
	else if (p->link && p->instance == hello.instance &&
		 is_preferred(d, p->link, hello.node_id) &&
		 !is_preferred(d, l, hello.node_id)) {
		forget_pending(d, l);
		link_close(l);
	} else {
		establish(p, l, h, &hello);
	}
	sodium_memzero(&hello, sizeof(hello));
	return ok;
}

static bool later_hello(struct peer *p, const struct wire_header *h,
			struct rd *r)
{
	struct wire_hello hello;

	if (wire_get_hello(r, &hello))
		return false;
	if (hello.role != p->role)
		log_info("peer %s: is now %s (epoch %llu of node %u)", p->name,
			 role_name(hello.role), (unsigned long long)h->epoch,
			 h->node);
	p->first_hello = false;
	hello_to_peer(p, h, &hello);
	sodium_memzero(&hello, sizeof(hello));
	return true;
}

static bool take_lease_acks(struct peer *p, struct rd *r)
{
	struct wire_lease_ack ack;
	bool ok = true;

	while (ok && r->left) {
		ok = !wire_get_lease_ack(r, &ack);
		if (ok && p->sending)
			lease_acked(p->d, p, ack.handle, ack.number);
	}
	/* At once: what is not in force cannot be offered. */
	source_bind(p->d);
	return ok;
}

static bool take_merge(struct peer *p, struct rd *r)
{
	struct record rec;
	uint32_t handle;
	uint64_t tag;

	if (wire_get_merge(r, &handle, &tag, &rec))
		return false;
	if (p->sending)
		inbound_merge(p->d, handle, tag, &rec);
	return true;
}

static bool take_used(struct peer *p, struct rd *r)
{
	struct wire_number used;

	if (wire_get_number(r, &used))
		return false;
	if (p->sending)
		lease_used(p->d, p, used.handle, used.tag, used.number);
	return true;
}

static bool take_given(struct peer *p, struct rd *r)
{
	struct wire_number given;

	if (wire_get_number(r, &given))
		return false;
	if (!p->sending)
		return true;
	lease_given(p->d, p, given.handle, given.tag, given.number);
	source_bind(p->d);
	peer_kick(p->d);
	return true;
}

/* It could not take it over: who looks after the cluster knows before it has to. */
static bool take_refused(struct peer *p, struct rd *r)
{
	struct wire_refused f;
	struct cache_entry *e;
	char name[128];
	bool before;

	if (wire_get_refused(r, &f))
		return false;
	e = p->sending ? cache_find_handle(&p->d->cache, f.handle) : NULL;
	if (!e || e->tag != f.tag)
		return true;	/* another one by now */
	before = e->mark[p->index].refused;
	cache_set_refused(&p->d->cache, &e->mark[p->index],
			  f.why == WIRE_REFUSED_NOT ? NULL : f.text);
	sa_id_str(&e->id, name, sizeof(name));
	if (!log_is_within(&p->says))
		return true;
	if (f.why != WIRE_REFUSED_NOT)
		log_warn("peer %s: it cannot take over %s: %s", p->name, name,
			 f.text);
	else if (before)
		log_info("peer %s: it has %s now", p->name, name);
	return true;
}

/* It takes them over, and they are not all that they are here. */
static bool take_lacking(struct peer *p, struct rd *r)
{
	char text[WIRE_LACKING_TEXT + 1];
	size_t i;

	if (wire_get_lacking(r, text))
		return false;
	if (!p->sending || p->n_lacking == PEER_LACKING)
		return true;
	for (i = 0; i < p->n_lacking; i++) {
		if (!strcmp(p->lacking[i], text))
			return true;
	}
	p->lacking[i] = strdup(text);
	if (!p->lacking[i])
		return true;
	p->n_lacking++;
	if (log_is_within(&p->says))
		log_warn("peer %s: its kernel does not know what SAs of a kind have: %s: it uses them without",
			 p->name, text);
	return true;
}

static bool take_ack(struct peer *p, struct rd *r)
{
	struct wire_ack ack;

	if (wire_get_ack(r, &ack) || ack.frames > p->frames_sent)
		return false;
	p->peer_sas = ack.sas;
	p->peer_conflicts = ack.conflicts;
	note_acked(p, ack.frames);
	if (peer_is_filled(p))
		hole_filled(p->d, p);
	return true;
}

static bool take_error(struct peer *p, struct rd *r)
{
	char text[100];
	uint16_t code;

	if (wire_get_error(r, &code, text, sizeof(text)))
		return false;
	if (log_is_within(&p->says))
		log_warn("peer %s: it says: %s", p->name, text);
	return true;
}

static bool peer_frame(struct peer *p, const struct wire_header *h,
		       struct rd *r)
{
	struct daemon *d = p->d;
	uint32_t result;

	switch (h->type) {
	case WIRE_HELLO:
		return later_hello(p, h, r);
	case WIRE_PING:
		peer_send_simple(p, WIRE_PONG);
		return true;
	case WIRE_PONG:
		return true;
	case WIRE_ACK:
		return take_ack(p, r);
	case WIRE_LEASE_ACK:
		return take_lease_acks(p, r);
	case WIRE_MERGE:
		return take_merge(p, r);
	case WIRE_USED:
		return take_used(p, r);
	case WIRE_GIVEN:
		return take_given(p, r);
	case WIRE_REFUSED:
		return take_refused(p, r);
	case WIRE_LACKING:
		return take_lacking(p, r);
	case WIRE_RESYNC:
		/* Whoever sends nothing (any more) has nothing to do with it. */
		if (p->sending)
			start_sending(p);
		return true;
	case WIRE_FILL:
		role_fill_request(d, p, h->epoch, h->node);
		return true;
	case WIRE_HANDOVER_REQUEST:
		handover_request(d, p, h->epoch, h->node);
		return true;
	case WIRE_FINAL:
		apply_flush(d);
		return handover_final(d, p, r);
	case WIRE_HANDOVER:
		if (wire_get_handover(r, &result))
			return false;
		handover_answer(d, p, result);
		return true;
	case WIRE_SNAPSHOT_BEGIN ... WIRE_POLICY_DELETE:
		return state_frame(d, p, h, r);
	case WIRE_IKE:
		return ike_frame(d, p, h, r);
	case WIRE_ERROR:
		return take_error(p, r);
	default:
		/* Of a later minor revision: not for us. */
		return true;
	}
}

static struct peer *peer_of(struct daemon *d, const struct link *l)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].link == l)
			return &d->peer[i];
	}
	return NULL;
}

static bool frame(struct link *l, const struct wire_header *h, struct rd *r)
{
	struct daemon *d = l->data;
	struct peer *p = peer_of(d, l);

	/* Followed, it would leave nobody an epoch to take over in. */
	if (!state_epoch_is_near(d->st.epoch, h->epoch)) {
		log_warn("peer %s: says epoch %llu, and this node is at %llu: such a one cannot be",
			 p ? p->name : l->addr, (unsigned long long)h->epoch,
			 (unsigned long long)d->st.epoch);
		return false;
	}
	if (p)
		return peer_frame(p, h, r);
	return first_hello(d, l, h, r);
}

static void up(struct link *l)
{
	put_hello(l->data, &l->out);
}

static void idle(struct link *l)
{
	struct daemon *d = l->data;
	struct peer *p = peer_of(d, l);

	if (!p)
		return;
	apply_flush(d);
	if (d->source == p) {
		send_merges(p);
		send_lease_acks(p);
	}
	/* It says that what this node used and accepted itself was told before. */
	if (p->frames_taken != p->frames_ack_sent && !apply_is_untold(d, p))
		send_ack(p);
}

/* ---- links come and go ---- */

static uint64_t jitter(uint64_t ns)
{
	return ns / 2 + randombytes_uniform((uint32_t)(ns / 1000)) * 1000ULL;
}

static void retry_later(struct peer *p)
{
	uint64_t wait = RETRY_MIN << (p->failures < 6 ? p->failures : 6);

	if (wait > RETRY_MAX)
		wait = RETRY_MAX;
	/* The lower id's link is the one that stays: let it try first. */
	if (p->node_id && p->node_id < p->d->conf.node_id)
		wait += RETRY_MIN;
	p->failures++;
	loop_timer_set(&p->d->loop, &p->retry, jitter(wait));
}

/* A line for each refusal, but no flood by whoever knocks all the time. */
static bool may_log(void)
{
	static struct log_budget refusals;

	return log_is_within(&refusals);
}

static void attempt_failed(struct peer *p, const char *why)
{
	p->attempt = NULL;
	/* The same failure again and again is said once. */
	if (strcmp(p->refusal, why)) {
		snprintf(p->refusal, sizeof(p->refusal), "%.150s", why);
		if (!p->link)
			log_warn("peer %s: cannot connect to %s port %u: %s; trying again",
				 p->name, p->conf.address, p->conf.port, why);
	}
	if (!p->link)
		retry_later(p);
}

static void lost(struct daemon *d, struct peer *p, const char *why)
{
	log_warn("peer %s: link lost: %s; reconnecting", p->name, why);
	detach(p);
	p->lost_ns = loop_now_ns();
	retry_later(p);
	role_peer_down(d, p);
	ike_peer_down(d, p);
}

static void down(struct link *l, const char *why)
{
	struct daemon *d = l->data;
	struct peer *p = peer_of(d, l);
	size_t i;

	if (p) {
		lost(d, p, why);
		return;
	}
	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].attempt == l) {
			d->handshakes_refused += l->up || !l->connecting;
			attempt_failed(&d->peer[i], why);
			return;
		}
	}
	forget_pending(d, l);
	d->handshakes_refused++;
	if (may_log())
		log_warn("refused a connection from %s: %s", l->addr, why);
}

static void refuse(struct daemon *d, struct link *l, const char *why)
{
	size_t at = wire_begin(&l->out, WIRE_ERROR, d->st.epoch, d->st.node);

	wire_put_error(&l->out, WIRE_ERROR_NAME, why);
	wire_end(&l->out, at);
	down(l, why);
	link_close(l);
}

static const struct link_ops ops = {
	.up = up,
	.frame = frame,
	.fill = fill,
	.idle = idle,
	.down = down,
};

static void addr_text(const struct sockaddr *sa, socklen_t len, char *buf,
		      size_t buflen)
{
	char host[INET6_ADDRSTRLEN + 20], port[8];

	if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(buf, buflen, "?");
	else
		/* IPv4 on the socket for both. */
		snprintf(buf, buflen, "%s port %s",
			 host + (strncmp(host, "::ffff:", 7) ? 0 : 7), port);
}

static void accept_one(struct loop_fd *f, uint32_t events)
{
	struct daemon *d = f->data;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char addr[80];
	int fd, one = 1;
	size_t i;

	(void)events;
	fd = accept(f->fd, (void *)&ss, &len);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		/* It would wait there, and wake us, for ever. */
		close(d->spare_fd);
		fd = accept(f->fd, (void *)&ss, &len);
		if (fd >= 0)
			close(fd);
		d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (may_log())
			log_warn("refused a connection: no file descriptor is left");
		return;
	}
	if (fd < 0)
		return;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	addr_text((void *)&ss, len, addr, sizeof(addr));
	for (i = 0; i < GUESTS && d->guest[i]; i++)
		;
	if (i == GUESTS) {
		/* The dead timer makes room again. */
		if (may_log())
			log_warn("refused a connection from %s: too many that did not say who they are",
				 addr);
		close(fd);
		return;
	}
	d->guest[i] = link_new(&d->loop, d->tls, &d->conf, fd, false, addr, &ops,
			       d);
}

static int connect_fd(struct peer *p, char *addr, size_t addrlen,
		      const char **why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai = NULL;
	int fd, ret, one = 1;
	char port[8];

	snprintf(port, sizeof(port), "%u", p->conf.port);
	ret = getaddrinfo(p->conf.address, port, &hints, &ai);
	if (ret) {
		*why = gai_strerror(ret);
		return -1;
	}
	addr_text(ai->ai_addr, ai->ai_addrlen, addr, addrlen);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || (connect(fd, ai->ai_addr, ai->ai_addrlen) &&
		       errno != EINPROGRESS)) {
		*why = strerror(errno);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	return fd;
}

static void connect_due(struct loop_timer *t)
{
	struct peer *p = t->data;
	const char *why = "out of memory";
	char addr[80];
	int fd;

	if (p->link || p->attempt)
		return;
	fd = connect_fd(p, addr, sizeof(addr), &why);
	if (fd >= 0)
		p->attempt = link_new(&p->d->loop, p->d->tls, &p->d->conf, fd,
				      true, addr, &ops, p->d);
	if (!p->attempt)
		attempt_failed(p, why);
}

static int listen_on(struct daemon *d)
{
	const char *host = d->conf.listen_address;
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE,
	};
	struct addrinfo *ai = NULL, *a;
	int fd = -1, ret, one = 1, zero = 0, err = EINVAL;
	char port[8];

	snprintf(port, sizeof(port), "%u", d->conf.listen_port);
	if (!host[0])
		hints.ai_family = AF_INET6;
	ret = getaddrinfo(host[0] ? host : NULL, port, &hints, &ai);
	if (ret) {
		log_err("cannot listen on %s: %s", host, gai_strerror(ret));
		return -EADDRNOTAVAIL;
	}
	for (a = ai; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family,
			    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0) {
			err = errno;
			continue;
		}
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		/* The address may be a virtual one that is elsewhere now. */
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
		if (a->ai_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero,
				   sizeof(zero));
		if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 16)) {
			err = errno;
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(ai);
	if (fd < 0) {
		log_err("cannot listen on %s port %s: %s",
			host[0] ? host : "any address", port, strerror(err));
		return -err;
	}
	d->listen_io.cb = accept_one;
	d->listen_io.data = d;
	return loop_add(&d->loop, &d->listen_io, fd, EPOLLIN);
}

int peer_init(struct daemon *d)
{
	struct peer *p;
	size_t i;

	d->n_peers = d->conf.n_peers;
	if (d->spare_fd < 0)
		d->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < d->n_peers; i++) {
		p = &d->peer[i];
		memset(p, 0, sizeof(*p));
		p->d = d;
		p->index = i;
		p->conf = d->conf.peer[i];
		p->lost_ns = loop_now_ns();
		memcpy(p->name, d->conf.peer[i].name, sizeof(p->name));
		list_init(&p->dirty);
		list_init(&p->flight);
		p->retry.cb = connect_due;
		p->retry.data = p;
		loop_timer_set(&d->loop, &p->retry,
			       randombytes_uniform(100) * LOOP_MS);
	}
	return listen_on(d);
}

void peer_exit(struct daemon *d)
{
	struct peer *p;
	size_t i;
	int fd;

	for (i = 0; i < d->n_peers; i++) {
		p = &d->peer[i];
		if (p->attempt)
			link_close(p->attempt);
		p->attempt = NULL;
		if (p->link) {
			struct link *l = p->link;

			detach(p);
			link_close(l);
		}
		loop_timer_forget(&d->loop, &p->retry);
		buf_free(&p->deletes);
	}
	for (i = 0; i < GUESTS; i++) {
		if (d->guest[i])
			link_close(d->guest[i]);
		d->guest[i] = NULL;
	}
	fd = d->listen_io.fd;
	loop_del(&d->loop, &d->listen_io);
	if (fd >= 0)
		close(fd);
	d->n_peers = 0;
	d->source = NULL;
	d->handover_to = NULL;
	d->handover_from = NULL;
	d->handed_to = NULL;
}

struct peer *peer_active(struct daemon *d)
{
	size_t i;

	for (i = 0; i < d->n_peers; i++) {
		if (d->peer[i].link && d->peer[i].role == XFRMSYNC_ROLE_ACTIVE)
			return &d->peer[i];
	}
	return NULL;
}
