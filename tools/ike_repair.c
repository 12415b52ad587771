// SPDX-License-Identifier: GPL-2.0
/*
 * In: the packets that peers send to IKE's ports after a takeover; what charon says then.
 * Out: answers and requests that charon cannot make itself (ike_flight.h), to the peers.
 * The daemon's loop; ike.c calls it.
 *
 * Only what the IKE SA's own keys prove to be the peer's is answered, and what is sent is
 * made with them. charon's state is left as it is, but for a Child SA of which the peer
 * knows nothing.
 */
#include <errno.h>
#include <string.h>

#include "daemon.h"
#include "ike_message.h"
#include "ike_packet.h"
#include "ike_repair.h"
#include "log.h"
#include "privops.h"

/* Peers give a request up after some minutes; charon after 165 seconds. */
#define HEAR_NS (600 * 1000 * LOOP_MS)
#define HEAR_PAUSE (100 * LOOP_MS)	/* a peer's next try is seconds away */
#define READ_MAX 64			/* packets in one round of the loop */

/* ---- to send ---- */

static bool make(const struct ike_sa *sa, const struct ike_header *h, uint16_t notify,
		 struct buf *out)
{
	struct ike_keys keys;
	struct ike_algs a;
	int ret;

	ret = ike_keys_of_sa(sa, &a, &keys);
	if (!ret)
		ret = ike_message_build(&a, &keys, h, notify, out);
	ike_keys_wipe(&keys);
	return !ret;
}

/* False: it was not sent; the peer repeats its own, or the next one of ours is due. */
static bool say(const struct ike_sa *sa, const struct ike_way *way,
		const struct ike_header *h, uint16_t notify)
{
	struct buf b = {};
	bool ok;

	ok = make(sa, h, notify, &b) && !privops_ike(way, b.data, b.len);
	buf_free(&b);
	return ok;
}

/* ---- what the peer asks ---- */

static struct ike_sa *find(const struct ike_store *s, const struct ike_header *h)
{
	/* Its initiator is who does not say so here: it is the peer that speaks. */
	struct ha_ike_id id = {
		.version = 2, .initiator = !(h->flags & IKE_FLAG_INITIATOR),
	};

	memcpy(id.spi_i, h->spi_i, 8);
	memcpy(id.spi_r, h->spi_r, 8);
	return ike_store_find(s, &id);
}

static bool is_peers(const struct ike_sa *sa, const uint8_t *msg, size_t len)
{
	struct ike_keys keys;
	struct ike_algs a;
	int ret;

	ret = ike_keys_of_sa(sa, &a, &keys);
	if (!ret)
		ret = ike_message_check(&a, &keys, msg, len);
	ike_keys_wipe(&keys);
	return !ret;
}

/* Packets have come by it, ever, or nobody can say: to where the peer sends IKE. */
static bool is_used(struct daemon *d, const struct ike_child *c, const struct ike_way *from)
{
	struct sa_id id = {
		.family = from->family, .proto = IPPROTO_ESP, .spi = c->in_spi,
	};
	const struct cache_entry *e;
	struct record rec;
	int ret;

	memcpy(id.dst, from->dst, sizeof(id.dst));
	cache_for_each_marked(&d->cache, &id, e) {
		ret = genl_get(&d->req, &e->id, &rec);
		if (ret ? ret != -ESRCH && ret != -ENOENT : rec.packets > 0)
			return true;
	}
	return false;
}

/* The peer has not got the answer that made them: it knows nothing of them. But what comes
 * again may be sent by anybody who kept it. So not where the active before was done with it,
 * nor where the peer uses what it is said not to know.
 */
static void undo(struct ike_repair *r, const struct ike_sa *sa, const struct ike_way *from)
{
	struct ike_child *c;

	if (r->d->taken_exact)
		return;
	ike_sa_for_each_child(sa, c) {
		if (c->of_mid == sa->flight.mid_r && !is_used(r->d, c, from))
			ike_end_child(r->d, sa, c->in_spi);
	}
}

static void answer(struct ike_repair *r, struct ike_sa *sa, const struct ike_way *from,
		   const struct ike_header *asked)
{
	struct ike_way way = {
		.family = from->family, .sport = from->dport, .dport = from->sport,
	};
	struct ike_header h = *asked;
	enum ike_flight_act act;

	act = ike_flight_asked(&sa->flight, asked->id, asked->exchange);
	if (!act)
		return;
	memcpy(way.src, from->dst, 16);
	memcpy(way.dst, from->src, 16);
	h.flags = (sa->id.initiator ? IKE_FLAG_INITIATOR : 0) | IKE_FLAG_RESPONSE;
	if (act == IKE_FLIGHT_LATER)
		undo(r, sa, from);
	if (!say(sa, &way, &h, act == IKE_FLIGHT_LATER ? IKE_TEMPORARY_FAILURE : 0))
		return;
	r->answered++;
	log_info("an IKE request of the takeover's time, message id %u, came again, and is answered",
		 asked->id);
}

static bool is_awaited(const struct ike_flight *f, const struct ike_header *h)
{
	return h->flags & IKE_FLAG_RESPONSE ? f->mid_i && h->id == f->mid_i :
					      f->mid_r && h->id == f->mid_r - 1;
}

static void take(struct ike_repair *r, const uint8_t *p, size_t len)
{
	const uint8_t *msg;
	struct ike_header h;
	struct ike_sa *sa;
	struct ike_way way;
	size_t msg_len;

	if (!ike_packet_read(p, len, &way, &msg, &msg_len) ||
	    !ike_message_header(msg, msg_len, &h))
		return;
	sa = find(ike_kept(r->d), &h);
	/* It looks at keys only where that may be of use. */
	if (!sa || !is_awaited(&sa->flight, &h) || !is_peers(sa, msg, msg_len))
		return;
	if (h.flags & IKE_FLAG_RESPONSE)
		ike_flight_answered(&sa->flight, h.id);
	else
		answer(r, sa, &way, &h);
}

/* The helper has the sockets, and their queue: so it is asked, now and then. */
static void hear_due(struct loop_timer *t)
{
	static uint8_t packet[PRIVOPS_PACKET_MAX];
	struct ike_repair *r = t->data;
	int n = 0, i;

	for (i = 0; i < READ_MAX && n >= 0; i++) {
		n = privops_hear(packet);
		if (n > 0)
			take(r, packet, n);
	}
	if (loop_now_ns() < r->hear_until_ns)
		loop_timer_set(&r->d->loop, t, HEAR_PAUSE);
	else
		privops_listen(false);
}

/* ---- what we ask ---- */

static const struct ha_attr *newest(const struct ike_sa *sa, uint8_t type,
				    struct ha_msg *msg)
{
	const struct ha_attr *a = NULL;

	if (ike_store_parse(&sa->other, msg))
		a = ha_find(msg, type);
	if (!a && ike_store_parse(&sa->update, msg))
		a = ha_find(msg, type);
	return a;
}

static bool way_of(const struct ike_sa *sa, struct ike_way *way)
{
	const struct ha_attr *a;
	struct ha_msg msg;

	memset(way, 0, sizeof(*way));
	a = newest(sa, HA_ATTR_LOCAL_ADDR, &msg);
	if (!a)
		return false;
	way->family = a->addr.family;
	way->sport = a->addr.port;
	memcpy(way->src, a->addr.addr, 16);
	a = newest(sa, HA_ATTR_REMOTE_ADDR, &msg);
	if (!a || a->addr.family != way->family)
		return false;
	way->dport = a->addr.port;
	memcpy(way->dst, a->addr.addr, 16);
	return true;
}

static void fill(struct ike_repair *r, const struct ike_sa *sa, uint32_t id)
{
	struct ike_header h = {
		.exchange = IKE_INFORMATIONAL, .id = id,
		.flags = sa->id.initiator ? IKE_FLAG_INITIATOR : 0,
	};
	struct ike_way way;

	memcpy(h.spi_i, sa->id.spi_i, 8);
	memcpy(h.spi_r, sa->id.spi_r, 8);
	if (way_of(sa, &way) && say(sa, &way, &h, 0))
		r->filled++;
}

static void fills_due(struct loop_timer *t)
{
	const struct ike_store *s;
	struct ike_repair *r = t->data;
	uint64_t now = loop_now_ns();
	struct ike_sa *sa;
	bool more = false;
	uint32_t id;

	s = ike_kept(r->d);
	ike_store_for_each(s, sa) {
		if (ike_flight_fill(&sa->flight, now, &id))
			fill(r, sa, id);
		more |= sa->flight.mid_i && sa->flight.fill_at_ns;
	}
	if (more)
		loop_timer_set(&r->d->loop, t, IKE_FLIGHT_PAUSE_NS / 2);
}

void ike_repair_said(struct ike_repair *r, struct ike_sa *sa, const struct ha_msg *msg)
{
	bool initiator = msg->type == HA_IKE_MID_INITIATOR;

	ike_flight_said(&sa->flight, initiator, ha_find(msg, HA_ATTR_MID)->u32,
			loop_now_ns());
	if (initiator && sa->flight.mid_i && sa->flight.fill_at_ns)
		loop_timer_set(&r->d->loop, &r->fills, 0);
}

/* ---- roles ---- */

void ike_repair_begin(struct ike_repair *r, struct ike_store *s)
{
	struct ike_sa *sa;
	int ret;

	/* With what charon has not got the peer is not to go on: it makes a new one. Of one
	 * that was rekeyed charon has the heir alone.
	 */
	ike_store_for_each(s, sa) {
		bool has = sa->played && !sa->gone;

		ike_flight_begin(&sa->flight, has ? sa->mid_i : 0, has ? sa->mid_r : 0);
	}
	ret = privops_listen(true);
	if (ret) {
		log_warn("cannot hear what peers ask once more (%s): where an answer was lost with the active, the IKE SA ends",
			 strerror(-ret));
		return;
	}
	r->hear_until_ns = loop_now_ns() + HEAR_NS;
	loop_timer_set(&r->d->loop, &r->hear, 0);
}

static void end(struct ike_repair *r)
{
	loop_timer_stop(&r->fills);
	if (r->hear.at_ns)
		privops_listen(false);
	loop_timer_stop(&r->hear);
}

void ike_repair_end(struct ike_repair *r, struct ike_store *s)
{
	struct ike_sa *sa;

	ike_store_for_each(s, sa)
		ike_flight_begin(&sa->flight, 0, 0);
	end(r);
}

void ike_repair_init(struct ike_repair *r, struct daemon *d)
{
	*r = (struct ike_repair){
		.d = d,
		.hear = { .cb = hear_due, .data = r },
		.fills = { .cb = fills_due, .data = r },
	};
}

void ike_repair_exit(struct ike_repair *r)
{
	end(r);
	loop_timer_forget(&r->d->loop, &r->hear);
	loop_timer_forget(&r->d->loop, &r->fills);
}
