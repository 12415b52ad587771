// SPDX-License-Identifier: GPL-2.0
/*
 * In: inbound sequence numbers of one SA and when they came; what a peer was told.
 * Out: how far standbys shall move its window ahead; up to where they are known to.
 * Pure arithmetic.
 */
#include <string.h>

#include "guard.h"

#define NS_PER_SEC 1000000000ULL
#define NS_PER_MS 1000000ULL
#define SLOT_MIN (5 * NS_PER_MS)
#define SLOT_MAX (250 * NS_PER_MS)

static uint32_t cut(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : n;
}

void guard_rate_reset(struct guard_rate *r, uint64_t seq)
{
	memset(r, 0, sizeof(*r));
	r->seq = seq;
}

static void turn(struct guard_rate *r, uint64_t now_ns, uint64_t slot_ns)
{
	uint64_t passed = now_ns - r->second_ns;

	if (!r->second_ns || passed >= 2 * NS_PER_SEC) {
		r->peak = 0;
		r->peak_before = 0;
		r->second_ns = now_ns;
	} else if (passed >= NS_PER_SEC) {
		r->peak_before = r->peak;
		r->peak = 0;
		r->second_ns += NS_PER_SEC;
	}
	if (!r->slot_ns || now_ns - r->slot_ns >= slot_ns) {
		r->in_slot = 0;
		r->slot_ns = now_ns;
	}
}

void guard_rate_note(struct guard_rate *r, uint64_t seq, uint64_t now_ns,
		     uint64_t slot_ns)
{
	turn(r, now_ns, slot_ns);
	if (seq > r->seq)
		r->in_slot = cut(r->in_slot + (seq - r->seq));
	r->seq = seq;
	if (r->in_slot > r->peak)
		r->peak = r->in_slot;
}

uint64_t guard_slot(uint64_t lag_ns, uint64_t interval_ns)
{
	uint64_t slot;

	if (lag_ns > SLOT_MAX || interval_ns > SLOT_MAX)
		return SLOT_MAX;
	slot = 2 * lag_ns + interval_ns;
	if (slot < SLOT_MIN)
		return SLOT_MIN;
	return slot < SLOT_MAX ? slot : SLOT_MAX;
}

uint32_t guard_choose(const struct guard_rate *r, uint64_t now_ns,
		      uint64_t slot_ns, const struct guard_bounds *b)
{
	struct guard_rate now = *r;
	uint64_t most, n;

	turn(&now, now_ns, slot_ns);
	n = now.peak > now.peak_before ? now.peak : now.peak_before;
	/* A sender that leaps (one that was taken over itself) is no burst. */
	most = b->max_rate * slot_ns / NS_PER_SEC + 1;
	if (b->max_rate && n > most)
		n = most;
	n *= 2;
	if (n > b->max)
		n = b->max;
	return n < b->min ? b->min : n;
}

uint64_t guard_end(uint64_t seq, uint32_t guard, bool esn)
{
	uint64_t most = esn ? UINT64_MAX - 1 : UINT32_MAX;

	return seq > most || most - seq < guard ? most : seq + guard;
}

void guard_mark_sent(struct guard_mark *m, uint64_t frame, uint64_t end)
{
	/* One that was told nothing has nothing to take over with. */
	if (!m->told || end < m->limit)
		m->limit = end;
	m->told = true;
	m->last_frame = frame;
	m->last_end = end;
	if (!m->waits) {
		m->waits = true;
		m->flight_frame = frame;
		m->flight_end = end;
		m->lowest_end = GUARD_NO_LIMIT;
	} else if (end < m->lowest_end) {
		m->lowest_end = end;
	}
}

bool guard_mark_acked(struct guard_mark *m, uint64_t frames)
{
	uint64_t before = m->limit;

	if (!m->waits || m->flight_frame > frames)
		return false;
	/* Those behind it may have arrived, too; all, up to the last, or some. */
	m->limit = m->flight_end < m->lowest_end ? m->flight_end : m->lowest_end;
	m->waits = m->last_frame != m->flight_frame;
	m->flight_frame = m->last_frame;
	m->flight_end = m->last_end;
	m->lowest_end = GUARD_NO_LIMIT;
	if (m->waits && m->last_frame <= frames) {
		m->waits = false;
		m->limit = m->last_end;
	}
	return m->limit > before;
}

void guard_mark_lost(struct guard_mark *m)
{
	m->waits = false;
}
