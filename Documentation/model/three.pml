/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: packets to send, planned hand-overs, takeovers at any moment, links and nodes that die.
 * Out: sequence numbers on the wire, none of them twice; in the end one active, and followers.
 * Three nodes, one incarnation of one SA: tools/handover.c, with the ranges of ranges.pml.
 *
 * Who asks (REQUEST) gets the exact number (FINAL) and the word that all was sent (DONE), in
 * this order, on one connection. Who gives fences itself, and raises its own counter past all
 * that was given out, before anything leaves; it goes on only when it is refused (REFUSED), or
 * when the other one is back on a new connection in the old epoch. The third node may follow,
 * ask as well, take over, be out of reach or die, at any moment.
 *
 * A step is what a daemon does without a look at its links: it has one thread.
 */
#define N	3
#define DISKS	0
#include "common.pml"

#ifndef LEASE
#define LEASE	1
#endif
#ifndef RANGE
#define RANGE	1	/* tools/lease.c, range_size() */
#endif
#ifndef LAST
#define LAST	20	/* nothing is offered or given above */
#endif
#ifndef FIRST
#define FIRST	0	/* who is active at the start; the higher id wins a tie of epochs */
#endif

/* Budgets. */
#ifndef HANDOVERS
#define HANDOVERS 1	/* requests */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1	/* while another node is active; without one they cost nothing */
#endif
#ifndef RESTARTS
#define RESTARTS 0	/* crash and reboot of a machine; its disk stays */
#endif
#ifndef LINKS
#define LINKS	1	/* connections that end while a hand-over is under way on them */
#endif
#ifndef RENEWALS
#define RENEWALS 1	/* by each active, in its time */
#endif

#define NOBODY		255
#define NOTHING		255	/* no number */
#define AT(i, j)	((i) * N + (j))
#define PLACE(i, j)	((j) - ((j) > (i)))
#define WAY(i, j)	((i) * (N - 1) + PLACE(i, j))
#define LEFT(i)		(((i) + 1) % N)
#define RIGHT(i)	(((i) + 2) % N)
#define MAKER(e)	((e) % IDS)	/* the node that made the epoch */

/* On disk; what of it is in force is in the kernel, too. */
byte epoch[N];
byte handed[N];		/* the peer that it gave all, and that has not said more */
#ifdef M_NOT_ON_DISK
byte disk[N];		/* mutant: what of epoch is there already */
#endif
bool requested[N];	/* the active of this epoch was asked to hand over */
byte own[N];		/* epoch in which this node became active last */
byte lost[N];		/* of these, the last one of which it lost what it drew */
byte chain[N * N];	/* [i, j]: last epoch of j whose numbers are accounted for at i */

/* In the kernel. */
bool is_active[N];	/* role; all others are fenced */
bool alive[N];		/* its counters are those of its last time as an active */
bool safe[N];		/* a takeover may use the SA; an active may send on it */
byte oseq[N];
byte drawn[N];		/* the last number that this node drew itself */
byte sent[N];		/* standby: the last number that its active is known to have drawn */
byte lease_end[N];	/* an active's lease; what a standby may use if it takes over */
byte given[N];		/* numbers up to this one are somebody's, as far as is known here */

/* In the daemon of an active. */
byte offer[N];		/* end of the lease on offer, 0: none */
byte laid_for[N];	/* the end behind which the ranges lie */
byte laid_from[N];	/* where they begin */
byte left[N];		/* renewals */
bool hole[N];		/* another one used the SA, and has lost how far: renewed no more */
bool offered[N * N];	/* [i, j]: j may have been told of a lease, and has to acknowledge */
byte acked[N * N];	/* [i, j]: end of the lease that j has acknowledged */
bool conn[N * N];	/* [i, j]: i fills j */
bool stale[N * N];	/* [i, j]: what j was told is not so any more */

/* In the daemon of a standby. */
byte asks[N];		/* the active that it has asked, and waits for */
byte final[N];		/* what that one said */
byte final_lease[N];
byte known[N];		/* what an active before this one may have given out */
byte by[N];		/* who filled it last */
byte says[N];		/* end that it acknowledges, 0: nothing is on its way */
byte says_used[N], says_given[N];

/* ... of one that gave: handed[] says to whom. */
byte gave[N];		/* its last number; NOTHING: it is not given exactly */
byte gave_lease[N];
bool cut[N];		/* the connection on which it gave has ended */

mtype = { REQUEST, FINAL, DONE, REFUSED };
chan to[N * (N - 1)] = [2] of { mtype, byte, byte };

int wire;
#ifdef M_NOT_ON_DISK
hidden byte exactly;
#endif
byte handovers = HANDOVERS, takeovers = TAKEOVERS, restarts = RESTARTS, links = LINKS;
hidden byte x, y, before, start, resumes;

#define END(i)		(offer[i] -> offer[i] : lease_end[i])
#define ACKED(i, j)	(!offered[AT(i, j)] || acked[AT(i, j)] >= offer[i])
#define IDLE		!(is_active[0] || is_active[1] || is_active[2])
/* Nobody is active, nor will be before he is told to. */
#define ALONE		(IDLE && asks[0] == NOBODY && asks[1] == NOBODY && asks[2] == NOBODY)
#define FILLED(i, j)	(conn[AT(i, j)] && !stale[AT(i, j)] && !says[j])

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

/* --- leases and ranges: as in ranges.pml --------------------------------------------- */

inline lay_out(i)
{
	if
	:: laid_for[i] != END(i) ->
		laid_for[i] = END(i);
		laid_from[i] = MAX(END(i), given[i]);
		given[i] = MAX(given[i], laid_from[i] + 2 * RANGE);
		stale[AT(i, LEFT(i))] = true;
		stale[AT(i, RIGHT(i))] = true
	:: else
	fi
}

inline renew(i)
{
	d_step {
		is_active[i] && safe[i] && !hole[i] && !offer[i] && oseq[i] == lease_end[i] &&
		left[i] > 0 && MAX(oseq[i] + LEASE, given[i]) + 2 * RANGE <= LAST ->
		left[i] = left[i] - 1;
		offer[i] = oseq[i] + LEASE;
		lay_out(i);
		put_in_force(i)
	}
}

inline put_in_force(i)
{
	if
	:: offer[i] && ACKED(i, LEFT(i)) && ACKED(i, RIGHT(i)) ->
		lease_end[i] = offer[i];
		offer[i] = 0
	:: else
	fi
}

/* A snapshot begins; who was active, and has lost what it drew, costs the SA (tools/hole.c). */
inline connect(i, j)
{
	conn[AT(i, j)] = true;
	says[j] = 0; says_used[j] = 0; says_given[j] = 0;
#if RESTARTS > 0 && !defined(M_HOLE_IGNORED)
	if
	:: lost[j] > chain[AT(i, j)] ->
		chain[AT(i, j)] = lost[j];
		if
		:: !hole[i] ->
			hole[i] = true;
			offer[i] = 0;
			stale[AT(i, LEFT(i))] = true;
			stale[AT(i, RIGHT(i))] = true;
			REACHED(6)
		:: else
		fi
	:: else
	fi;
#endif
	if
	:: by[j] != i -> known[j] = given[j]
	:: else
	fi;
	by[j] = i
}

/* j takes what it is told, raises, and answers. It has now what i has (role.c, adopt). */
inline tell(i, j)
{
	d_step {
		is_active[i] && !is_active[j] && epoch[i] == epoch[j] &&
		(!conn[AT(i, j)] || stale[AT(i, j)] && !says[j]) ->
		if
		:: !conn[AT(i, j)] -> connect(i, j)
		:: else
		fi;
		stale[AT(i, j)] = false;
#if RESTARTS > 0
		chain[AT(j, 0)] = chain[AT(i, 0)];
		chain[AT(j, 1)] = chain[AT(i, 1)];
		chain[AT(j, 2)] = chain[AT(i, 2)];
		hole[j] = false;
#endif
		sent[j] = oseq[i];
		says_used[j] = drawn[j];
		if
		:: !safe[i] || hole[i] -> safe[j] = false; says[j] = 1
		:: else ->
			offered[AT(i, j)] = true;
			start = laid_from[i] + PLACE(i, j) * RANGE;
			if
			:: start < known[j] ->
				if
				:: lease_end[j] <= start -> lease_end[j] = 0
				:: else
				fi;
				says_given[j] = known[j]
			:: else ->
				lease_end[j] = MAX(lease_end[j], start + RANGE);
				given[j] = MAX(given[j], given[i] + LEASE + 2 * RANGE)
			fi;
			oseq[j] = MAX(oseq[j], start);
			safe[j] = true;
			says[j] = END(i);
			start = 0
		fi
	}
}

inline answer(i, j)
{
	d_step {
		is_active[i] && conn[AT(i, j)] && epoch[i] == epoch[j] && says[j] ->
		if
		:: says_used[j] > oseq[i] -> oseq[i] = says_used[j]
		:: else
		fi;
		if
		:: safe[i] && !hole[i] && laid_for[i] &&
		   says_given[j] > laid_from[i] + PLACE(i, j) * RANGE ->
			given[i] = MAX(given[i], says_given[j]);
			laid_for[i] = 0;
			if
			:: MAX(END(i), given[i]) + 2 * RANGE <= LAST -> lay_out(i)
			:: else -> laid_for[i] = END(i)
			fi
		:: else
		fi;
#if RESTARTS > 0
		if
		:: own[j] > chain[AT(i, j)] ->
			chain[AT(i, j)] = own[j];
			stale[AT(i, LEFT(i))] = true;
			stale[AT(i, RIGHT(i))] = true
		:: else
		fi;
#endif
		acked[AT(i, j)] = MAX(acked[AT(i, j)], says[j]);
		says[j] = 0; says_used[j] = 0; says_given[j] = 0;
		put_in_force(i)
	}
}

/* --- roles ----------------------------------------------------------------------------- */

inline forget_links(i)
{
	conn[AT(i, 0)] = false; conn[AT(i, 1)] = false; conn[AT(i, 2)] = false;
	conn[AT(0, i)] = false; conn[AT(1, i)] = false; conn[AT(2, i)] = false;
	says[i] = 0; says_used[i] = 0; says_given[i] = 0
}

/* What only an active has. */
inline stand_by(i)
{
	is_active[i] = false;
	offer[i] = 0;
	laid_for[i] = 0;
	laid_from[i] = 0;
	left[i] = 0;
	by[i] = NOBODY;
	offered[AT(i, 0)] = false; offered[AT(i, 1)] = false; offered[AT(i, 2)] = false;
	acked[AT(i, 0)] = 0; acked[AT(i, 1)] = 0; acked[AT(i, 2)] = 0;
	stale[AT(i, 0)] = false; stale[AT(i, 1)] = false; stale[AT(i, 2)] = false;
	forget_links(i)
}

#define OWNER(i)	(alive[i] && MAKER(epoch[i]) == (i) && handed[i] == NOBODY)
/* Whom it asked may have a range of its own now. */
#define BEFORE(i)	(requested[i] -> NOBODY : MAKER(epoch[i]))

/* On disk, and in force. What it may use was decided before: safe, oseq, lease_end. */
inline flip(i)
{
	before = BEFORE(i);
	x = OWNER(i);
	if
	/* Whom it gave all to may have taken the next one, and died. */
	:: handed[i] != NOBODY && !resumes -> epoch[i] = NEXT_EPOCH(epoch[i], i)
	:: else
	fi;
	epoch[i] = NEXT_EPOCH(epoch[i], i);
#ifdef M_NOT_ON_DISK
	if
	:: !exactly -> disk[i] = epoch[i]
	:: else
	fi;
	exactly = false;
#endif
	/* Never two that are not fenced in one epoch. */
	assert(!(is_active[LEFT(i)] && epoch[LEFT(i)] == epoch[i]) &&
	       !(is_active[RIGHT(i)] && epoch[RIGHT(i)] == epoch[i]));
#if RESTARTS > 0
	if
	:: !x -> own[i] = epoch[i]
	:: else
	fi;
	chain[AT(i, i)] = own[i];
#endif
	handed[i] = NOBODY;
	cut[i] = false;
	gave[i] = NOTHING;
	gave_lease[i] = 0;
	requested[i] = false;
	asks[i] = NOBODY;
	final[i] = NOTHING;
	final_lease[i] = 0;
	alive[i] = true;
	forget_links(i);
	offer[i] = 0;
	laid_for[i] = 0;
	left[i] = RENEWALS;
	offered[AT(i, LEFT(i))] = (LEFT(i) != before);
	offered[AT(i, RIGHT(i))] = (RIGHT(i) != before);
	acked[AT(i, LEFT(i))] = 0;
	acked[AT(i, RIGHT(i))] = 0;
	if
	:: safe[i] && MAX(lease_end[i], given[i]) + 2 * RANGE <= LAST -> lay_out(i)
	:: else -> safe[i] = false
	fi;
	if
	:: safe[i] -> sent[i] = 0; known[i] = 0
	:: else -> lease_end[i] = 0; sent[i] = 0; known[i] = 0
	fi;
	is_active[i] = true;
	before = 0;
	x = 0;
	resumes = 0
}

/* From its range, or where it was active last and gave nothing, from its own counters. */
inline take_alone(i)
{
	safe[i] = (safe[i] || OWNER(i)) && lease_end[i] > oseq[i];
	flip(i)
}

/* By the operator, or keepalived, of a node that does not reach the active; or there is none. */
inline take_over(i)
{
	d_step {
		!is_active[i] && asks[i] == NOBODY && (takeovers > 0 || ALONE) ->
		if
		:: ALONE -> skip
		:: else -> takeovers--
		fi;
		if
		:: handed[i] != NOBODY -> REACHED(4)
		:: else
		fi;
		take_alone(i)
	}
}

inline hear(i, j)
{
	d_step {
		NEWER(epoch[j], epoch[i]) && nfull(to[WAY(i, j)]) ->
		epoch[i] = epoch[j];
#ifdef M_NOT_ON_DISK
		disk[i] = epoch[i];
#endif
		if
		:: is_active[i] -> stand_by(i)
		:: else -> forget_links(i)
		fi;
		safe[i] = false;	/* outdated, until an active has filled it */
		lease_end[i] = 0;
#ifndef M_THIRD_IGNORED
		handed[i] = NOBODY;
		cut[i] = false;
		gave[i] = NOTHING;
		gave_lease[i] = 0;
#endif
		requested[i] = false;
		if
		:: asks[i] != NOBODY && is_active[j] && asks[i] != j ->
			/* Another one became active meanwhile. */
			asks[i] = NOBODY;
			final[i] = NOTHING;
			final_lease[i] = 0
		:: asks[i] == j && is_active[j] ->
#ifndef M_OLD_FINAL
			final[i] = NOTHING;
			final_lease[i] = 0;
#endif
			/* It has dropped what was from before its epoch. */
			requested[i] = true;
			to[WAY(i, j)]!REQUEST, epoch[i], 0
		:: else
		fi
	}
}

/* The one that asks[i] names was heard of by another node before; its word ends the wait. */
inline hear_active(i, j)
{
	d_step {
		asks[i] != NOBODY && asks[i] != j && is_active[j] && epoch[i] == epoch[j] ->
		asks[i] = NOBODY;
		final[i] = NOTHING;
		final_lease[i] = 0
	}
}

/* --- a planned takeover of i by j -------------------------------------------------------- */

inline ask(i, j)
{
	d_step {
		is_active[i] && !is_active[j] && asks[j] == NOBODY && epoch[i] == epoch[j] &&
		handovers > 0 && nfull(to[WAY(j, i)]) ->
		handovers--;
		if
		:: asks[LEFT(j)] == i || asks[RIGHT(j)] == i -> REACHED(3)
		:: else
		fi;
		asks[j] = i;
		requested[j] = true;
		final[j] = NOTHING;
		final_lease[j] = 0;
		to[WAY(j, i)]!REQUEST, epoch[j], 0
	}
}

/* Past all that was given out, to this peer and to others. */
#define PAST(i)		MAX(given[i], oseq[i])

#ifdef M_GIVER_RANGE	/* mutant: as if there were no third node */
#define GIVERS_OWN(i)	(PAST(i) + LEASE)
#else
#define GIVERS_OWN(i)	0
#endif

/* Fence, raise, give. Or without exact numbers, as to one that is not filled. */
inline give(i, j)
{
	d_step {
		to[WAY(j, i)]?[REQUEST, _, _] && epoch[i] >= epoch[j] &&
		(!is_active[i] || empty(to[WAY(i, j)]) && !(conn[AT(i, j)] && stale[AT(i, j)])) ->
		to[WAY(j, i)]?REQUEST, x, _;
		if
		:: is_active[i] && x == epoch[i] ->
			if
			:: FILLED(i, j) ->
				stand_by(i);
				handed[i] = j;
				cut[i] = false;
				gave[i] = oseq[i];
				gave_lease[i] = lease_end[i];
				if
				:: safe[i] && lease_end[i] > oseq[i] && PAST(i) > oseq[i] ->
					to[WAY(i, j)]!FINAL, gave[i], gave_lease[i]
				:: else -> gave_lease[i] = 0; REACHED(7)
				fi;
				/* The last record stands before it. */
				to[WAY(i, j)]!DONE, oseq[i], epoch[i];
				if
				:: gave_lease[i] ->
					oseq[i] = PAST(i);
					lease_end[i] = GIVERS_OWN(i)
				:: else ->
					gave[i] = NOTHING;
					oseq[i] = MAX(given[i], oseq[i]);
					lease_end[i] = 0
				fi
			:: else -> stand_by(i); REACHED(5)
			fi
		:: else	/* it says nothing */
		fi;
		x = 0
	}
}

inline take_final(i, j)
{
	d_step {
		to[WAY(i, j)]?[FINAL, _, _] ->
		to[WAY(i, j)]?FINAL, x, y;
		if
		:: asks[j] == i && x >= drawn[j] -> final[j] = x; final_lease[j] = y
		:: else
		fi;
		x = 0;
		y = 0
	}
}

#ifdef M_OLD_FINAL	/* mutant: nor does the kernel know what was sent since */
#define UNSENT(j)	true
#else
#define UNSENT(j)	(final[j] >= sent[j])
#endif

#ifdef M_OUTDATED	/* mutant: whatever it has heard meanwhile */
#define TRUSTED(j)	true
#else
#define TRUSTED(j)	safe[j]
#endif

/* The new epoch on disk decides it; then the exact number is taken. */
inline take_done(i, j)
{
	d_step {
		to[WAY(i, j)]?[DONE, _, _] && asks[j] == i ->
		to[WAY(i, j)]?DONE, x, y;
		if
		:: y == epoch[j] -> sent[j] = MAX(sent[j], x)
		:: else
		fi;
		x = 0;
		y = 0;
		if
		:: TRUSTED(j) && final[j] != NOTHING && UNSENT(j) ->
			oseq[j] = final[j];
			safe[j] = true;
			lease_end[j] = final_lease[j];
			REACHED(1)
		:: safe[j] && final[j] != NOTHING && !(UNSENT(j)) -> safe[j] = false
		:: else -> safe[j] = safe[j] && lease_end[j] > oseq[j]
		fi;
#ifdef M_NOT_ON_DISK
		exactly = true;
#endif
		flip(j)
	}
}

/* Nobody waits for it any more, or the epoch cannot be stored: it must not wait, either. */
inline refuse(i, j)
{
	d_step {
		to[WAY(i, j)]?[DONE, _, _] && nfull(to[WAY(j, i)]) ->
		to[WAY(i, j)]?DONE, _, _;
		if
		:: asks[j] == i -> asks[j] = NOBODY
		:: else
		fi;
		if
		:: !is_active[j] -> to[WAY(j, i)]!REFUSED, 0, 0
		:: else
		fi
	}
}

/* The end of the wait: it takes over without, as after a crash. */
inline late(j)
{
	d_step { asks[j] != NOBODY -> take_alone(j) }
}

inline cancel(j)
{
	d_step { asks[j] != NOBODY -> asks[j] = NOBODY }
}

/* Its own numbers again, exactly, in an epoch of its own. */
inline resume(i)
{
	if
	:: gave[i] != NOTHING ->
		oseq[i] = gave[i];
		lease_end[i] = gave_lease[i];
		safe[i] = true
	:: else -> safe[i] = false
	fi;
	resumes = 1;
	REACHED(2);
	flip(i)
}

inline take_refusal(i, j)
{
	d_step {
		to[WAY(j, i)]?[REFUSED, _, _] ->
		to[WAY(j, i)]?REFUSED, _, _;
		if
		:: handed[i] == j && !is_active[i] && alive[i] -> resume(i)
		:: else
		fi
	}
}

#ifdef M_SAME_CONNECTION	/* mutant: what was on its way is so yet */
#define CUT(i)		true
#else
#define CUT(i)		cut[i]
#endif

/* Back on a new connection, standby, in the old epoch: what was on its way is void. */
inline come_back(i, j)
{
	d_step {
		handed[i] == j && CUT(i) && alive[i] && !is_active[i] && !is_active[j] &&
		epoch[i] == epoch[j] -> resume(i)
	}
}

#ifdef M_RESUME_ON_TIMEOUT
inline time_out(i)
{
	d_step { handed[i] != NOBODY && alive[i] && !is_active[i] -> resume(i) }
}
#endif

/* --- faults ------------------------------------------------------------------------------ */

inline flush(c)
{
	do
	:: nempty(to[c]) -> to[c]?_, _, _
	:: empty(to[c]) -> break
	od
}

/* A new connection takes the place of the old one; who waits, waits on (late() ends it). */
inline lose(i, j)
{
	flush(WAY(i, j));
	flush(WAY(j, i));
	if
	:: conn[AT(i, j)] -> conn[AT(i, j)] = false; says[j] = 0; says_used[j] = 0; says_given[j] = 0
	:: else
	fi;
	if
	:: conn[AT(j, i)] -> conn[AT(j, i)] = false; says[i] = 0; says_used[i] = 0; says_given[i] = 0
	:: else
	fi;
	if
	:: handed[i] == j -> cut[i] = true
	:: else
	fi;
	if
	:: handed[j] == i -> cut[j] = true
	:: else
	fi
}

inline reconnect(i, j)
{
	d_step {
		links > 0 && (asks[j] == i || handed[i] == j) ->
		links--;
		lose(i, j)
	}
}

inline restart(i)
{
	d_step {
		restarts > 0 ->
		restarts--;
		lose(i, LEFT(i));
		lose(i, RIGHT(i));
		stand_by(i);
		lost[i] = own[i];
#ifdef M_NOT_ON_DISK
		epoch[i] = disk[i];
#endif
		alive[i] = false;
		safe[i] = false;
		oseq[i] = 0;
		drawn[i] = 0;
		sent[i] = 0;
		lease_end[i] = 0;
		given[i] = 0;
		known[i] = 0;
		hole[i] = false;
		asks[i] = NOBODY;
		final[i] = NOTHING;
		final_lease[i] = 0;
		gave[i] = NOTHING;
		gave_lease[i] = 0;
		cut[i] = false
	}
}

/* --- processes ----------------------------------------------------------------------------- */

proctype node(byte i)
{
end_node:
	do
	:: draw(i)
	:: renew(i)
	:: take_over(i)
	:: late(i)
	:: cancel(i)
#ifdef M_RESUME_ON_TIMEOUT
	:: time_out(i)
#endif
#if RESTARTS > 0
	:: restart(i)
#endif
	od
}

proctype link(byte i, j)
{
end_link:
	do
	:: hear(i, j)
	:: hear_active(i, j)
	:: tell(i, j)
	:: answer(i, j)
	:: ask(i, j)
	:: give(i, j)
	:: take_final(i, j)
	:: take_done(i, j)
	:: refuse(i, j)
	:: take_refusal(i, j)
	:: come_back(i, j)
#if LINKS > 0
	:: reconnect(i, j)
#endif
	od
}

/* Property 3: when nothing more happens, one is active, and the others follow it. */
#define FOLLOWS(i, j)	(!is_active[j] && epoch[i] == epoch[j] && FILLED(i, j) && \
			 asks[j] == NOBODY && empty(to[WAY(i, j)]) && empty(to[WAY(j, i)]))
#define RULES(i)	(is_active[i] && FOLLOWS(i, LEFT(i)) && FOLLOWS(i, RIGHT(i)))

proctype rest()
{
	timeout -> assert(RULES(0) || RULES(1) || RULES(2))
}

init {
	atomic {
		x = 0;
		do
		:: x < N ->
			by[x] = NOBODY; handed[x] = NOBODY; asks[x] = NOBODY;
			final[x] = NOTHING; gave[x] = NOTHING;
			epoch[x] = EPOCH(1, FIRST);
#ifdef M_NOT_ON_DISK
			disk[x] = EPOCH(1, FIRST);
#endif
			chain[AT(x, FIRST)] = EPOCH(1, FIRST);
			x++
		:: else -> break
		od;
		x = 0;
		is_active[FIRST] = true;
		alive[FIRST] = true;
		own[FIRST] = EPOCH(1, FIRST);
		safe[FIRST] = true;
		lease_end[FIRST] = LEASE;
		left[FIRST] = RENEWALS;
		lay_out(FIRST);
		run node(0); run node(1); run node(2);
		run link(0, 1); run link(1, 0); run link(0, 2); run link(2, 0); run link(1, 2); run link(2, 1);
#ifndef NO_REST
		run rest();
#endif
		skip
	}
}
