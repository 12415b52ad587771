/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: -
 * Out: epochs, and what else the models of this folder share.
 * A pair (counter, node id) is one number: counter * IDS + id.
 *
 * A node that has lost its disk gets an id that nobody had: it may have taken over with an
 * epoch that it has forgotten, and would choose the same one again.
 */
#define IDS			(N * (DISKS + 1))
#ifdef M_SAME_ID
#define ID(i)			(i)
#else
#define ID(i)			((i) + N * life[i])
#endif
#define EPOCH(counter, id)	((counter) * IDS + (id))
#define NEXT_EPOCH(e, i)	EPOCH((e) / IDS + 1, ID(i))

#ifdef M_EQUAL_EPOCHS
#define NEWER(a, b)	((a) / IDS > (b) / IDS)	/* mutant: no order by node id */
#else
#define NEWER(a, b)	((a) > (b))
#endif

byte life[N];		/* disks that the node has lost */

#define MAX(a, b)	((a) > (b) -> (a) : (b))
#define MIN(a, b)	((a) < (b) -> (a) : (b))

/*
 * With LIVENESS a fault of the network is progress: a cycle without progress is then a way
 * to go on for ever without one. There is none, so that every run ends in a state of rest.
 */
#ifdef LIVENESS
#define FAULT	; goto progress_fault
#else
#define FAULT
#endif

/* -DWITNESS=n shows that the place marked n is reached: there the run must fail. */
#ifndef WITNESS
#define WITNESS	0
#endif
#define REACHED(n)	assert(WITNESS != n)
