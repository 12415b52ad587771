// SPDX-License-Identifier: GPL-2.0
/*
 * In: the message ids that an IKE SA had when this node took over; what its peer asks,
 *     and what charon says of its own requests, since then.
 * Out: what charon cannot do itself, and has to be done for it.
 * Pure.
 */
#include "ike_flight.h"
#include "ike_message.h"

void ike_flight_begin(struct ike_flight *f, uint32_t mid_i, uint32_t mid_r)
{
	*f = (struct ike_flight){ .mid_i = mid_i, .mid_r = mid_r };
}

enum ike_flight_act ike_flight_asked(struct ike_flight *f, uint32_t id,
				     uint8_t exchange)
{
	if (!f->mid_r || id != f->mid_r - 1 || f->answers >= IKE_FLIGHT_ANSWERS)
		return IKE_FLIGHT_NOTHING;
	if (exchange != IKE_INFORMATIONAL && exchange != IKE_CREATE_CHILD_SA)
		return IKE_FLIGHT_NOTHING;
	f->answers++;
	return exchange == IKE_INFORMATIONAL ? IKE_FLIGHT_EMPTY : IKE_FLIGHT_LATER;
}

/*
 * Whatever charon has heard of the peer since, that one was done with what was before; and
 * for what charon hears itself it has an answer. Its own second request it makes when the
 * first one was answered.
 */
void ike_flight_said(struct ike_flight *f, bool initiator, uint32_t mid,
		     uint64_t now_ns)
{
	if (!initiator) {
		f->mid_r = 0;
		return;
	}
	if (!f->mid_i || mid != f->mid_i + 1)
		f->mid_i = 0;
	else if (!f->fills)
		f->fill_at_ns = now_ns;
}

/* It was looked at, so nothing is missing before it. */
void ike_flight_answered(struct ike_flight *f, uint32_t id)
{
	if (id == f->mid_i)
		f->mid_i = 0;
}

bool ike_flight_fill(struct ike_flight *f, uint64_t now_ns, uint32_t *id)
{
	if (!f->mid_i || !f->fill_at_ns || f->fill_at_ns > now_ns)
		return false;
	*id = f->mid_i - 1;
	f->fill_at_ns = now_ns + (IKE_FLIGHT_PAUSE_NS << f->fills);
	if (++f->fills == IKE_FLIGHT_FILLS)
		f->fill_at_ns = 0;
	return true;
}
