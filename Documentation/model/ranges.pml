/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: packets to send, takeovers at any moment, daemons that start anew.
 * Out: sequence numbers on the wire, none of them twice.
 * Three nodes, one incarnation of one SA: the ranges that tools/lease.c gives its peers, and
 * what tools/apply.c makes of them; no headroom. Leases and epochs themselves: outbound.pml.
 *
 * An active gives each peer a range above all that was ever given out, as far as it knows
 * (given). A peer is told, too, how far that may go (LEASE + ranges further), and who is
 * told less by the next active says so (GIVEN), before it acknowledges.
 */
#define N	3
#define DISKS	0
#include "common.pml"

#ifndef LEASE
#define LEASE	1
#endif
#ifndef RANGE
#define RANGE	1	/* tools/lease.c, range_size(): LEASE / 4 + 1 */
#endif
#ifndef LAST
#define LAST	20	/* nothing is offered or given above */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 2
#endif
#ifndef DAEMONS
#define DAEMONS	0
#endif
#ifndef BUMPS
#define BUMPS	0	/* an active takes a newer epoch: it is told to take over, out of sight */
#endif
#ifndef RENEWALS
#define RENEWALS 2	/* by each active, in its time */
#endif

#define NOBODY	255
#define AT(i, j)	((i) * N + (j))
#define PLACE(i, j)	((j) > (i) -> (j) - 1 : (j))
#define LEFT(i)		(((i) + 1) % N)
#define RIGHT(i)	(((i) + 2) % N)

/* On disk and in the kernel. */
bool is_active[N];
byte epoch[N];
bool safe[N];		/* a takeover may use the SA; an active may send on it */
byte oseq[N];
byte drawn[N];		/* the last number that this node drew itself */
byte lease_end[N];	/* an active's lease; what a standby may use if it takes over */
byte given[N];		/* numbers up to this one are somebody's, as far as is known here */

/* In the daemon of an active. */
byte offer[N];		/* end of the lease on offer, 0: none */
byte laid_for[N];	/* the end behind which the ranges lie */
byte laid_from[N];	/* where they begin */
byte left[N];		/* renewals */
bool offered[N * N];	/* [i, j]: j may have been told of a lease, and has to acknowledge */
byte acked[N * N];	/* [i, j]: end of the lease that j has acknowledged */
bool conn[N * N];	/* [i, j]: i fills j */
bool stale[N * N];	/* [i, j]: what j was told of the ranges is not so any more */

/* In the daemon of a standby. */
byte known[N];		/* what an active before this one may have given out */
byte by[N];		/* who filled it last */
/* Its answer, on the way: nothing overtakes another thing on one connection. */
byte says[N];		/* end that it acknowledges, 0: nothing is on its way */
byte says_used[N], says_given[N];

int wire;
byte takeovers = TAKEOVERS, daemons = DAEMONS, bumps = BUMPS;
hidden byte x, start;

#define END(i)		(offer[i] -> offer[i] : lease_end[i])
#define ACKED(i, j)	(!offered[AT(i, j)] || acked[AT(i, j)] >= offer[i])

inline draw(i)
{
	d_step {
		is_active[i] && safe[i] && oseq[i] < lease_end[i] ->
		oseq[i] = oseq[i] + 1;
		drawn[i] = oseq[i];
		/* Property 1: no number stands on the wire twice. */
		assert(!((wire >> oseq[i]) & 1));
		wire = wire | (1 << oseq[i])
	}
}

/* Behind the end of what is offered or in force, and above all that was given out. */
inline lay_out(i)
{
	if
	:: laid_for[i] != END(i) ->
		laid_for[i] = END(i);
#ifdef M_GIVEN_FORGOTTEN
		laid_from[i] = END(i);	/* mutant: whoever was given what */
#else
		laid_from[i] = MAX(END(i), given[i]);
#endif
		given[i] = MAX(given[i], laid_from[i] + 2 * RANGE);
		stale[AT(i, LEFT(i))] = true;
		stale[AT(i, RIGHT(i))] = true
	:: else
	fi
}

inline grant(i)
{
	lease_end[i] = offer[i];
	offer[i] = 0
}

inline renew(i)
{
	d_step {
		is_active[i] && safe[i] && !offer[i] && oseq[i] == lease_end[i] && left[i] > 0 &&
		MAX(oseq[i] + LEASE, given[i]) + 2 * RANGE <= LAST ->
		left[i] = left[i] - 1;
		offer[i] = oseq[i] + LEASE;
		lay_out(i)
	}
}

/* A peer that is told of nothing has nothing to acknowledge: only whom it connects to. */
inline put_in_force(i)
{
	d_step {
		is_active[i] && offer[i] && ACKED(i, LEFT(i)) && ACKED(i, RIGHT(i)) -> grant(i)
	}
}

/* --- roles --------------------------------------------------------------------------- */

inline take_over(i)
{
	d_step {
		!is_active[i] && takeovers > 0 ->
		takeovers--;
		x = epoch[i] % IDS;	/* who was active before, as far as is known here */
		epoch[i] = NEXT_EPOCH(epoch[i], i);
		is_active[i] = true;
		safe[i] = safe[i] && lease_end[i] > oseq[i];
		says[i] = 0; says_used[i] = 0; says_given[i] = 0;
		offer[i] = 0;
		laid_for[i] = 0;
		left[i] = RENEWALS;
		/* That one has no range of its own beyond its lease. */
		offered[AT(i, LEFT(i))] = (LEFT(i) != x);
		offered[AT(i, RIGHT(i))] = (RIGHT(i) != x);
		acked[AT(i, LEFT(i))] = 0;
		acked[AT(i, RIGHT(i))] = 0;
		if
		:: safe[i] && MAX(lease_end[i], given[i]) + 2 * RANGE <= LAST -> lay_out(i); REACHED(1)
		:: else -> safe[i] = false
		fi;
		x = 0
	}
}

/* Past the epoch of one that took over unheard. */
inline bump(i)
{
	d_step {
		is_active[i] && bumps > 0 ->
		bumps--;
		epoch[i] = NEXT_EPOCH(NEXT_EPOCH(epoch[i], i), i);
		conn[AT(i, LEFT(i))] = false;
		conn[AT(i, RIGHT(i))] = false
	}
}

inline hear(i, j)
{
	d_step {
		NEWER(epoch[j], epoch[i]) ->
		epoch[i] = epoch[j];
		is_active[i] = false;
		safe[i] = false;	/* outdated, until an active has filled it */
		conn[AT(i, 0)] = false; conn[AT(i, 1)] = false; conn[AT(i, 2)] = false;
		conn[AT(0, i)] = false; conn[AT(1, i)] = false; conn[AT(2, i)] = false;
		says[i] = 0; says_used[i] = 0; says_given[i] = 0;
		lease_end[i] = 0;
		offer[i] = 0
	}
}

/* --- an active i and a standby j ------------------------------------------------------- */

inline connect(i, j)
{
	d_step {
		is_active[i] && safe[i] && !is_active[j] && epoch[i] == epoch[j] && !conn[AT(i, j)] ->
		conn[AT(i, j)] = true;
		stale[AT(i, j)] = true;
		says[j] = 0; says_used[j] = 0; says_given[j] = 0;
		if
		:: by[j] != i -> known[j] = given[j]
		:: else
		fi;
		by[j] = i
	}
}

#ifdef M_GIVEN_IGNORED	/* mutant: it takes the range, and says nothing */
#define KNOWS_MORE(j)	false
#else
#define KNOWS_MORE(j)	(start < known[j])
#endif

/* j takes what it is told, raises, and answers. */
inline tell(i, j)
{
	d_step {
		is_active[i] && conn[AT(i, j)] && epoch[i] == epoch[j] && stale[AT(i, j)] && !says[j] ->
		stale[AT(i, j)] = false;
		offered[AT(i, j)] = true;
		start = laid_from[i] + PLACE(i, j) * RANGE;
		if
		:: KNOWS_MORE(j) ->
			/* It may be another's. What this node has stays, above what it is raised to. */
			if
			:: lease_end[j] <= start -> lease_end[j] = 0
			:: else
			fi;
			says_given[j] = known[j];
			REACHED(2)
		:: else ->
			lease_end[j] = MAX(lease_end[j], start + RANGE);
#ifdef M_GIVEN_EXACT
			given[j] = MAX(given[j], given[i])	/* mutant: as far as it is now */
#else
			given[j] = MAX(given[j], given[i] + LEASE + 2 * RANGE)
#endif
		fi;
#ifndef M_USED_IGNORED
		says_used[j] = drawn[j];
#endif
		oseq[j] = MAX(oseq[j], start);
		safe[j] = true;
		says[j] = END(i);
		start = 0
	}
}

/* USED, GIVEN, and the acknowledgement, in this order. */
inline answer(i, j)
{
	d_step {
		is_active[i] && conn[AT(i, j)] && epoch[i] == epoch[j] && says[j] ->
		if
		:: says_used[j] > oseq[i] -> oseq[i] = says_used[j]; REACHED(3)
		:: else
		fi;
		if
		:: says_given[j] > laid_from[i] + PLACE(i, j) * RANGE && laid_for[i] ->
			given[i] = MAX(given[i], says_given[j]);
			laid_for[i] = 0;
			if
			:: MAX(END(i), given[i]) + 2 * RANGE <= LAST -> lay_out(i)
			:: else -> laid_for[i] = END(i)	/* no numbers left: nobody is told of ranges */
			fi;
			REACHED(4)
		:: else
		fi;
		acked[AT(i, j)] = MAX(acked[AT(i, j)], says[j]);
		says[j] = 0; says_used[j] = 0; says_given[j] = 0
	}
}

/* The module keeps what was given out; who was told, the next daemon does not know. */
inline restart_daemon(i)
{
	d_step {
		daemons > 0 ->
		daemons--;
		conn[AT(i, 0)] = false; conn[AT(i, 1)] = false; conn[AT(i, 2)] = false;
		conn[AT(0, i)] = false; conn[AT(1, i)] = false; conn[AT(2, i)] = false;
		says[i] = 0; says_used[i] = 0; says_given[i] = 0;
		known[i] = 0;
		by[i] = NOBODY;
		offer[i] = 0;
		if
		:: is_active[i] ->
#ifdef M_GIVEN_IN_MEMORY
			given[i] = 0;	/* mutant: the module has it not */
#endif
			laid_for[i] = 0;
			offered[AT(i, LEFT(i))] = true;
			offered[AT(i, RIGHT(i))] = true;
			acked[AT(i, LEFT(i))] = 0;
			acked[AT(i, RIGHT(i))] = 0;
			if
			:: safe[i] && MAX(lease_end[i], given[i]) + 2 * RANGE <= LAST -> lay_out(i)
			:: else -> safe[i] = false
			fi
		:: else
		fi
	}
}

proctype node(byte i)
{
end_node:
	do
	:: draw(i)
	:: renew(i)
	:: put_in_force(i)
	:: take_over(i)
	:: bump(i)
	:: restart_daemon(i)
	od
}

proctype link(byte i, j)
{
end_link:
	do
	:: hear(i, j)
	:: connect(i, j)
	:: tell(i, j)
	:: answer(i, j)
	od
}

init {
	atomic {
		x = 0;
		do
		:: x < N -> by[x] = NOBODY; epoch[x] = EPOCH(1, 0); x++
		:: else -> break
		od;
		x = 0;
		is_active[0] = true;
		safe[0] = true;
		lease_end[0] = LEASE;
		left[0] = RENEWALS;
		lay_out(0);
		run node(0); run node(1); run node(2);
		run link(0, 1); run link(1, 0); run link(0, 2); run link(2, 0); run link(1, 2); run link(2, 1)
	}
}
