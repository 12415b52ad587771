/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: packets of a peer, and the same ones again from an attacker; takeovers, faults.
 * Out: numbers delivered by the gateways, none of them twice.
 * N gateways, one SA: record, guard, epochs, crash and planned takeover.
 *
 * The window has no lower edge here: what was not seen is accepted however old it is. So
 * whatever a real window would drop, this one takes.
 */
#ifndef N
#define N	2
#endif
#include "common.pml"

#ifndef LAST
#define LAST	5	/* the peer sends 1 to LAST, in any order, with any gap */
#endif
#ifndef FIRST
#define FIRST	0	/* who is active at the start; the higher id wins a tie of epochs */
#endif

/* Budgets. */
#ifndef TAKEOVERS
#define TAKEOVERS 2	/* while another node is active; without one they cost nothing */
#endif
#ifndef RESTARTS
#define RESTARTS 1	/* crash and reboot of a machine */
#endif
#ifndef DISKS
#define DISKS	1	/* of these, without the disk */
#endif
#ifndef BUMPS
#define BUMPS	0	/* an active takes a new epoch (a hand-over was refused) */
#endif
#ifndef HANDOVERS
#define HANDOVERS 0
#endif
#ifndef GUARDS
#define GUARDS	1	/* changes of the guard */
#endif
#ifndef CAP
#if N == 2
#define CAP	1	/* records on their way, in each direction */
#else
#define CAP	0
#endif
#endif

/* On disk. */
byte own[N];		/* last epoch in which this node was active itself */
byte hole[N];		/* of these, the last one whose window a reboot has lost */

/* In the kernel. What epoch says is on disk, too. */
bool is_active[N];	/* role */
bool fence[N];		/* nothing is delivered */
byte epoch[N];		/* highest epoch known */
byte sa[N];		/* NONE, UNSAFE, SAFE, DEAD: as in outbound.pml */
short seen[N];		/* bit n: number n was accepted here, or is marked so */
byte top[N];		/* the highest of them */
byte limit[N];		/* active: acknowledged record + guard; strict: what is above waits */
byte stored[N];		/* standby: the record, never backwards */
byte guard[N];		/* standby: how far the window is moved past the record */
byte base[N];		/* whatever was accepted in an epoch up to this one is in the window */
bool opening[N];	/* takeover: the new epoch is written, the role is not changed */

/* In the daemon. */
byte serial[N];		/* active: of the record that it announced last; GONE: rekeyed */
byte said_top[N];	/* active: its number */
byte said_guard[N];	/* active: its guard */
byte told[N];		/* standby: serial applied in this epoch, and acknowledged */
bool hand[N];		/* active: a hand-over is on its way */
short final[N];		/* active: the window that it sent for it */
bool inset[N * N];	/* [i, j]: j must acknowledge what i announces */
bool conn[N * N];	/* [i, j]: i is active, j has said hello, messages flow */
byte acked[N * N];	/* [i, j]: serial that j has acknowledged to i */

short got;		/* bit n: number n was delivered */
short exposed;		/* bit n: ... above the limit, by an active that said so */

#define NONE	0
#define UNSAFE	1
#define SAFE	2
#define DEAD	3

#define NOLIMIT	255	/* limit: no standby was ever offered the SA */
#define UNKNOWN	255	/* hole: the disk is lost, too */
#define GONE	254	/* serial */

#if CAP > 0
chan record[N * N] = [CAP] of { byte, byte, byte, byte, byte };
			/* epoch, serial, number, guard, base */
#endif

byte takeovers = TAKEOVERS, restarts = RESTARTS, disks = DISKS, bumps = BUMPS;
byte handovers = HANDOVERS, guards = GUARDS;

hidden byte m_epoch, m_serial, m_top, m_guard, m_base, x;

#define AT(i, j)	((i) * N + (j))
#define LIVE(i)		(is_active[i] && !fence[i])
#define PASSIVE(i)	(!is_active[i] && !opening[i])
#define UP_TO(n)	((2 << (n)) - 1)

#if N == 2
#define EACH(p)		p(0) && p(1)
#define PEERS(i, p)	p(i, 1 - i)
#else
#define EACH(p)		p(0) && p(1) && p(2)
#define PEERS(i, p)	p(i, (i + 1) % 3) && p(i, (i + 2) % 3)
#endif

#define IDLE(i)		!(LIVE(i) || opening[i])
#define NOBODY		(EACH(IDLE))
#define HAS_ACKED(i, j)	(!inset[AT(i, j)] || acked[AT(i, j)] == serial[i])
#define ALL_ACKED(i)	(PEERS(i, HAS_ACKED))

/* --- packets --------------------------------------------------------------------- */

#ifdef AVAILABLE
#define MAY(i, n)	true
#define AGAIN(n)	((exposed >> (n)) & 1)
#else
#ifdef M_NO_LIMIT
#define MAY(i, n)	true
#else
#define MAY(i, n)	((n) <= limit[i])
#endif
#define AGAIN(n)	false
#endif

#ifdef M_STANDBY_DELIVERS	/* mutant: what the window that leads lets in */
#define DELIVERS(i, n)	(LIVE(i) && MAY(i, n) || PASSIVE(i) && (n) > stored[i] + guard[i])
#else
#define DELIVERS(i, n)	(LIVE(i) && MAY(i, n))
#endif

inline accept(i, n)
{
	d_step {
		DELIVERS(i, n) && sa[i] == SAFE && !((seen[i] >> (n)) & 1) ->
#ifdef AVAILABLE
		if
		:: n > limit[i] -> exposed = exposed | (1 << n); REACHED(3)
		:: else
		fi;
#endif
		/* Property 2: no number is delivered twice. */
		assert(!((got >> n) & 1) || AGAIN(n));
		got = got | (1 << n);
		seen[i] = seen[i] | (1 << n);
		top[i] = MAX(top[i], n)
	}
}

/* --- roles and epochs: as in outbound.pml ---------------------------------------- */

inline retire(i)
{
	sa[i] = NONE;
	serial[i] = GONE;
	limit[i] = 0
}

inline standby(i)
{
	is_active[i] = false;
	fence[i] = true;
	hand[i] = false;
	final[i] = 0;
	if
	:: sa[i] != NONE -> sa[i] = UNSAFE
	:: else
	fi;
	stored[i] = top[i];
	guard[i] = 0;
	limit[i] = 0;
	base[i] = 0;
	serial[i] = 0;
	said_top[i] = 0;
	said_guard[i] = 0;
	told[i] = 0;
	x = 0;
	do
	:: x < N ->
		inset[AT(i, x)] = false;
		conn[AT(i, x)] = false;
		acked[AT(i, x)] = 0;
		x++
	:: else -> break
	od;
	x = 0
}

inline write_epoch(i)
{
	epoch[i] = NEXT_EPOCH(epoch[i], i);
	own[i] = epoch[i];
	told[i] = 0
}

inline take_over(i)
{
	d_step {
		(!is_active[i] || hand[i]) && !opening[i] && (takeovers > 0 || NOBODY) ->
		if
		:: NOBODY -> skip
		:: else -> takeovers--
		fi;
		if
		:: is_active[i] -> standby(i)
		:: else
		fi;
		write_epoch(i);
		opening[i] = true
	}
}

/* The new active cannot know what a second standby, taking over as well, lets in. */
#if N == 2 || defined(M_BOTH_ACCEPT)
#define FIRST_LIMIT(i)	NOLIMIT
#else
#define FIRST_LIMIT(i)	top[i]
#endif

inline activate(i)
{
	is_active[i] = true;
	fence[i] = false;
	opening[i] = false;
	stored[i] = 0;
	guard[i] = 0;
	if
	:: sa[i] == SAFE ->
		limit[i] = FIRST_LIMIT(i);
		serial[i] = 0;
		said_top[i] = 0
	:: else -> retire(i)
	fi;
	x = 0;
	do
	:: x < N ->
		inset[AT(i, x)] = (i != x);
		conn[AT(i, x)] = false;
		acked[AT(i, x)] = 0;
		x++
	:: else -> break
	od;
	x = 0
}

/* Crash: the window is the stored record moved ahead by the guard. */
inline open(i)
{
	d_step {
		opening[i] ->
#ifdef M_UNSAFE_USED	/* mutant: this node's own window is taken for the newest */
		if
		:: sa[i] == UNSAFE -> sa[i] = SAFE
		:: else
		fi;
#endif
		if
		:: sa[i] == SAFE ->
			top[i] = MIN(stored[i] + guard[i], LAST);
			seen[i] = seen[i] | UP_TO(top[i])
		:: else
		fi;
		activate(i)
	}
}

inline bump(i)
{
	d_step {
		LIVE(i) && bumps > 0 ->
		bumps--;
		write_epoch(i);
		x = 0;
		do
		:: x < N ->
			conn[AT(i, x)] = false;
			acked[AT(i, x)] = 0;
			x++
		:: else -> break
		od;
		x = 0
	}
}

inline hear(i, j)
{
	d_step {
		NEWER(epoch[j], epoch[i]) ->
		epoch[i] = epoch[j];
		told[i] = 0;
		opening[i] = false;
		if
		:: sa[i] == DEAD -> sa[i] = NONE
		:: else
		fi;
		if
		:: is_active[i] -> standby(i)
		:: else
		fi
	}
}

/* --- record and guard ------------------------------------------------------------ */

/* A hello brings the standby's own window: the two are merged. */
inline connect(i, j)
{
	d_step {
		LIVE(i) && PASSIVE(j) && epoch[i] == epoch[j] && !conn[AT(i, j)] ->
		conn[AT(i, j)] = true;
		inset[AT(i, j)] = true;
		acked[AT(i, j)] = 0;
		if
		:: seen[i] != (seen[i] | seen[j]) -> REACHED(2)
		:: else
		fi;
#ifndef M_NOT_MERGED
		seen[i] = seen[i] | seen[j];
		top[i] = MAX(top[i], top[j]);
#endif
		if
		:: sa[i] == NONE -> serial[i] = GONE
		:: sa[i] != NONE && hole[j] > base[i] -> retire(i)
		:: sa[i] != NONE && hole[j] <= base[i] ->
			if
			:: serial[i] == 0 -> say(i, 1)
			:: else
			fi
		fi
	}
}

/* What is announced is the limit, at once if it is lower; a higher one is acknowledged first. */
inline say(i, g)
{
	serial[i] = serial[i] + 1;
	said_top[i] = top[i];
	said_guard[i] = g;
#ifdef M_GUARD_SHRINKS
	limit[i] = (limit[i] == NOLIMIT -> top[i] + g : limit[i])
#else
	limit[i] = MIN(limit[i], top[i] + g)
#endif
}

inline announce(i, g)
{
	d_step {
		LIVE(i) && sa[i] == SAFE && serial[i] &&
		(top[i] != said_top[i] || g != said_guard[i]) &&
		(g == said_guard[i] || guards > 0) ->
		if
		:: g != said_guard[i] -> guards--
		:: else
		fi;
		say(i, g)
	}
}

#if CAP > 0
inline send_record(i, j)
{
	d_step {
		LIVE(i) && conn[AT(i, j)] && acked[AT(i, j)] != serial[i] &&
		!(told[j] == serial[i] && epoch[j] == epoch[i]) &&
		nfull(record[AT(i, j)]) &&
		!record[AT(i, j)]??[eval(epoch[i]), eval(serial[i]), _, _, _] ->
		record[AT(i, j)]!epoch[i], serial[i], said_top[i], said_guard[i], base[i]
	}
}

#define ARRIVED(i, j)	nempty(record[AT(i, j)])
#else
/* As in outbound.pml: not a message, but a step taken late. */
#define ARRIVED(i, j)	(LIVE(i) && conn[AT(i, j)] && epoch[i] == epoch[j] && \
			 told[j] != serial[i])
#endif

#ifdef M_LATE_GUARD
#define FRESH(j)	true
#else
#define FRESH(j)	(m_serial > told[j])
#endif

#ifdef M_ONTO_ACTIVE	/* mutant: its daemon asks in its own epoch, which is in force */
#define REFUSED(j)	(PASSIVE(j) && NEWER(epoch[j], m_epoch))
#else
#define REFUSED(j)	(!PASSIVE(j) || NEWER(epoch[j], m_epoch))
#endif

inline apply(i, j)
{
	d_step {
		ARRIVED(i, j) ->
#if CAP > 0
		record[AT(i, j)]?m_epoch, m_serial, m_top, m_guard, m_base;
#else
		m_epoch = epoch[i];
		m_serial = serial[i];
		m_top = said_top[i];
		m_guard = said_guard[i];
		m_base = base[i];
#endif
		if
		:: REFUSED(j) -> conn[AT(i, j)] = false
		:: else ->
			if
			:: m_serial == GONE -> sa[j] = DEAD; told[j] = GONE
			:: m_serial != GONE && sa[j] != DEAD && FRESH(j) ->
				if
				:: m_top + m_guard < stored[j] + guard[j] -> REACHED(1)
				:: else
				fi;
				sa[j] = SAFE;
				stored[j] = MAX(stored[j], MAX(m_top, top[j]));
#ifdef M_NO_GUARD
				guard[j] = 0;
#else
				guard[j] = m_guard;
#endif
				base[j] = m_base;
				told[j] = m_serial
			:: else
			fi
		fi;
		m_epoch = 0;
		m_serial = 0;
		m_top = 0;
		m_guard = 0;
		m_base = 0
	}
}

inline take_ack(i, j)
{
	d_step {
		LIVE(i) && conn[AT(i, j)] && epoch[i] == epoch[j] && PASSIVE(j) &&
		told[j] && told[j] != acked[AT(i, j)] ->
		acked[AT(i, j)] = told[j];
		if
		:: sa[i] == SAFE && ALL_ACKED(i) ->
			limit[i] = said_top[i] + said_guard[i];
			base[i] = epoch[i]
		:: else
		fi
	}
}

/* --- planned: the exact window, without a guard. handover.pml has the messages. --- */

inline begin(i, j)
{
	d_step {
		LIVE(i) && sa[i] == SAFE && conn[AT(i, j)] && acked[AT(i, j)] == serial[i] &&
		handovers > 0 && !hand[i] ->
		handovers--;
#ifndef M_FINAL_UNFENCED
		fence[i] = true;
#endif
		hand[i] = true;
		final[i] = seen[i]
	}
}

inline commit(i, j)
{
	d_step {
		hand[i] && epoch[i] == epoch[j] && PASSIVE(j) && sa[j] == SAFE ->
		write_epoch(j);
		seen[j] = seen[j] | final[i];
		top[j] = MAX(top[j], top[i]);
		REACHED(4);
		activate(j)
	}
}

/* --- faults ---------------------------------------------------------------------- */

inline restart(i, with_disk)
{
	d_step {
		restarts > 0 && (with_disk || disks > 0) ->
		restarts--;
		if
		:: with_disk -> hole[i] = MAX(hole[i], own[i])
		:: else ->
			disks--;
			life[i] = life[i] + 1;
#ifndef M_HOLE_IGNORED
			hole[i] = UNKNOWN;
#endif
			own[i] = 0;
			epoch[i] = 0
		fi;
		standby(i);
		sa[i] = NONE;
		seen[i] = 0;
		top[i] = 0;
		stored[i] = 0;
		opening[i] = false;
		x = 0;
		do
		:: x < N ->
			conn[AT(x, i)] = false;
			flush(AT(x, i));
			flush(AT(i, x));
			x++
		:: else -> break
		od;
		x = 0
	}
}

inline flush(c)
{
#if CAP > 0
	do
	:: nempty(record[c]) -> record[c]?_, _, _, _, _
	:: empty(record[c]) -> break
	od
#else
	skip
#endif
}

/* --- processes ------------------------------------------------------------------- */

proctype node(byte i)
{
end_node:
	do
	:: accept(i, 1)
	:: accept(i, 2)
	:: accept(i, 3)
#if LAST > 3
	:: accept(i, 4)
#endif
#if LAST > 4
	:: accept(i, 5)
#endif
	:: announce(i, 1)
	:: announce(i, 2)
	:: take_over(i)
	:: open(i)
	:: bump(i)
	:: restart(i, true)
	:: restart(i, false)
	od
}

proctype link(byte i, j)
{
end_link:
	do
	:: hear(i, j)
	:: connect(i, j)
#if CAP > 0
	:: send_record(i, j)
#endif
	:: apply(i, j)
	:: take_ack(i, j)
	:: begin(i, j)
	:: commit(i, j)
	od
}

#if CAP > 0
/* Loses, delays (for as long as nothing else of this is taken), reorders, repeats. */
proctype network(byte c)
{
end_network:
	do
	:: d_step { nempty(record[c]) -> record[c]?_, _, _, _, _ } FAULT
#if CAP > 1
	:: d_step {
		nempty(record[c]) && nfull(record[c]) ->
		record[c]?<m_epoch, m_serial, m_top, m_guard, m_base>;
		record[c]!m_epoch, m_serial, m_top, m_guard, m_base;
		m_epoch = 0; m_serial = 0; m_top = 0; m_guard = 0; m_base = 0
	   } FAULT
	:: d_step {
		len(record[c]) > 1 ->
		record[c]?m_epoch, m_serial, m_top, m_guard, m_base;
		record[c]!m_epoch, m_serial, m_top, m_guard, m_base;
		m_epoch = 0; m_serial = 0; m_top = 0; m_guard = 0; m_base = 0
	   } FAULT
#endif
	od;
progress_fault:
	goto end_network
}
#endif

/* Property 3: when nothing more happens, one is active and the others are ready. */
#define READY(i, j)	(PASSIVE(j) && epoch[j] == epoch[i] && conn[AT(i, j)] && \
			 acked[AT(i, j)] == serial[i] && \
			 sa[j] == (sa[i] == NONE -> DEAD : SAFE))
#define RULES(i)	(LIVE(i) && PEERS(i, READY))

proctype rest()
{
	timeout -> assert(RULES(0) || RULES(1)
#if N == 3
		|| RULES(2)
#endif
		)
}

init {
	atomic {
		x = 0;
		do
		:: x < N -> fence[x] = true; x++
		:: else -> break
		od;
		x = 0;
		is_active[FIRST] = true;
		fence[FIRST] = false;
		epoch[FIRST] = EPOCH(1, FIRST);
		own[FIRST] = EPOCH(1, FIRST);
		base[FIRST] = EPOCH(1, FIRST);
		sa[FIRST] = SAFE;
		limit[FIRST] = NOLIMIT;
		run node(0); run node(1); run link(0, 1); run link(1, 0);
#if CAP > 0
		run network(AT(0, 1)); run network(AT(1, 0));
#endif
#if N == 3
		run node(2);
		run link(0, 2); run link(2, 0); run link(1, 2); run link(2, 1);
#endif
#ifndef NO_REST
		run rest();
#endif
		skip
	}
}
