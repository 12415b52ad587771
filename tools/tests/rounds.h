/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the loop of what is tested.
 * Out: it ran for a moment: what was there to be done is done.
 * Host only; a test waits for something by rounds, ROUNDS of them at most.
 */
#ifndef XFRMSYNC_TOOLS_TESTS_ROUNDS_H
#define XFRMSYNC_TOOLS_TESTS_ROUNDS_H

#include "loop.h"

#define ROUND (10 * LOOP_MS)
#define ROUNDS 500	/* a busy machine */

static void round_ends(struct loop_timer *t)
{
	struct loop *loop = t->data;

	loop->stop = true;
}

/* Fails the test where the loop does. */
static void one_round(struct loop *loop)
{
	struct loop_timer t = { .cb = round_ends, .data = loop };

	loop_timer_set(loop, &t, ROUND);
	assert_int_equal(loop_run(loop), 0);
	loop_timer_forget(loop, &t);
	loop->stop = false;
}

#endif
