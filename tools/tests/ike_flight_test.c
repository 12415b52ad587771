// SPDX-License-Identifier: GPL-2.0
/*
 * In: an IKE SA of a takeover, its peer and this node's charon, both as in RFC 7296 with a
 *     window of one; an exchange of either side, cut at each of its points.
 * Out: after what is done for charon, each side's next request is answered by the other.
 * Host only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ike_flight.h"
#include "ike_message.h"

#define S IKE_FLIGHT_PAUSE_NS

static struct ike_flight f;

/* ---- what the peer asks ---- */

static void test_asked(void **state)
{
	unsigned int i;

	(void)state;
	ike_flight_begin(&f, 5, 8);
	assert_int_equal(ike_flight_asked(&f, 7, IKE_INFORMATIONAL), IKE_FLIGHT_EMPTY);
	assert_int_equal(ike_flight_asked(&f, 7, IKE_CREATE_CHILD_SA), IKE_FLIGHT_LATER);
	/* charon has these itself, or nobody wants them any more. */
	assert_int_equal(ike_flight_asked(&f, 8, IKE_INFORMATIONAL), IKE_FLIGHT_NOTHING);
	assert_int_equal(ike_flight_asked(&f, 6, IKE_INFORMATIONAL), IKE_FLIGHT_NOTHING);
	assert_int_equal(ike_flight_asked(&f, 4, IKE_INFORMATIONAL), IKE_FLIGHT_NOTHING);
	/* An IKE_AUTH has an answer that nobody here can make. */
	assert_int_equal(ike_flight_asked(&f, 7, 35), IKE_FLIGHT_NOTHING);
	for (i = 2; i < IKE_FLIGHT_ANSWERS; i++)
		assert_int_equal(ike_flight_asked(&f, 7, IKE_INFORMATIONAL),
				 IKE_FLIGHT_EMPTY);
	assert_int_equal(ike_flight_asked(&f, 7, IKE_INFORMATIONAL), IKE_FLIGHT_NOTHING);
}

/* In an IKE SA that came of a rekey the first id is 0. */
static void test_asked_first(void **state)
{
	(void)state;
	ike_flight_begin(&f, 0, 1);
	assert_int_equal(ike_flight_asked(&f, 0, IKE_INFORMATIONAL), IKE_FLIGHT_EMPTY);
	ike_flight_begin(&f, 1, 0);
	assert_int_equal(ike_flight_asked(&f, 0, IKE_INFORMATIONAL), IKE_FLIGHT_NOTHING);
	assert_int_equal(ike_flight_asked(&f, UINT32_MAX, IKE_INFORMATIONAL),
			 IKE_FLIGHT_NOTHING);
}

/* What charon has heard itself it answers itself. */
static void test_asked_since(void **state)
{
	(void)state;
	ike_flight_begin(&f, 5, 8);
	ike_flight_said(&f, true, 6, S);
	assert_int_equal(ike_flight_asked(&f, 7, IKE_INFORMATIONAL), IKE_FLIGHT_EMPTY);
	ike_flight_said(&f, false, 9, S);
	assert_int_equal(ike_flight_asked(&f, 7, IKE_INFORMATIONAL), IKE_FLIGHT_NOTHING);
	assert_int_equal(ike_flight_asked(&f, 8, IKE_INFORMATIONAL), IKE_FLIGHT_NOTHING);
}

/* ---- what we ask ---- */

static void fills(uint64_t now, uint32_t id)
{
	uint32_t got = 0;

	assert_true(ike_flight_fill(&f, now, &got));
	assert_int_equal(got, id);
}

static void fills_nothing(uint64_t now)
{
	uint32_t id;

	assert_false(ike_flight_fill(&f, now, &id));
}

static void test_fill(void **state)
{
	(void)state;
	ike_flight_begin(&f, 5, 8);
	fills_nothing(100 * S);
	/* Its first request since has id 5; that before it may not have come. */
	ike_flight_said(&f, true, 6, 100 * S);
	fills(100 * S, 4);
	fills_nothing(101 * S - 1);
	fills(101 * S, 4);
	fills_nothing(103 * S - 1);
	fills(103 * S, 4);
	fills(107 * S, 4);
	fills_nothing(1000 * S);
	/* The same is said again, of a repeated request. */
	ike_flight_said(&f, true, 6, 1000 * S);
	fills_nothing(1000 * S);
}

/* The second one is sent when the first one was answered: all is well. */
static void test_fill_ends(void **state)
{
	(void)state;
	ike_flight_begin(&f, 5, 8);
	ike_flight_said(&f, true, 6, S);
	fills(S, 4);
	ike_flight_said(&f, true, 7, 2 * S);
	fills_nothing(100 * S);
	ike_flight_said(&f, true, 6, 200 * S);
	fills_nothing(300 * S);
}

/* Nor when that is heard. */
static void test_fill_answered(void **state)
{
	(void)state;
	ike_flight_begin(&f, 5, 8);
	ike_flight_said(&f, true, 6, S);
	fills(S, 4);
	ike_flight_answered(&f, 4);
	fills(2 * S, 4);
	ike_flight_answered(&f, 5);
	fills_nothing(100 * S);
	ike_flight_said(&f, true, 7, 200 * S);
	fills_nothing(300 * S);
}

static void test_fill_first(void **state)
{
	(void)state;
	ike_flight_begin(&f, 1, 0);
	ike_flight_said(&f, true, 2, S);
	fills(S, 0);
	/* There was none before it. */
	ike_flight_begin(&f, 0, 8);
	ike_flight_said(&f, true, 1, S);
	fills_nothing(100 * S);
	/* Of the peer's. */
	ike_flight_begin(&f, 5, 8);
	ike_flight_said(&f, false, 6, S);
	fills_nothing(100 * S);
}

/* ---- both, against a peer ---- */

/* A side of an IKE SA: it looks at a request with this id alone, or repeats its answer. */
struct side {
	uint32_t expects, next;
};

static bool hears(struct side *s, uint32_t id)
{
	if (id != s->expects)
		return false;
	s->expects++;
	return true;
}

/* @came: the active's last request came to the peer; else it was lost on the way. */
static void own_request(bool came)
{
	struct side peer = { .expects = 4 }, charon = { .next = 5 };
	uint32_t id;

	ike_flight_begin(&f, charon.next, 0);
	if (came)
		hears(&peer, 4);
	assert_int_equal(hears(&peer, charon.next), came);
	ike_flight_said(&f, true, charon.next + 1, S);
	assert_true(ike_flight_fill(&f, S, &id));
	assert_int_equal(hears(&peer, id), !came);
	/* charon repeats it; or had its answer already. */
	if (!came)
		assert_true(hears(&peer, charon.next));
	assert_int_equal(peer.expects, charon.next + 1);
}

/* @told: the active's charon had it, whatever became of the answer; else it was lost. */
static void peers_request(bool told)
{
	struct side peer = { .next = 7 }, charon = { .expects = 7 };

	if (told)
		hears(&charon, peer.next);
	ike_flight_begin(&f, 0, charon.expects);
	/* It repeats it: one of the two answers, and not both. */
	assert_int_equal(hears(&charon, peer.next), !told);
	assert_int_equal(!!ike_flight_asked(&f, peer.next, IKE_INFORMATIONAL), told);
	peer.next++;
	assert_true(hears(&charon, peer.next));
}

static void test_points(void **state)
{
	(void)state;
	own_request(false);
	own_request(true);
	peers_request(false);
	peers_request(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_asked_first),
		cmocka_unit_test(test_asked_since),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_fill_ends),
		cmocka_unit_test(test_fill_answered),
		cmocka_unit_test(test_fill_first),
		cmocka_unit_test(test_points),
	};

	return cmocka_run_group_tests_name("ike_flight", tests, NULL, NULL);
}
