/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: packets to send, the operator's takeovers, faults.
 * Out: sequence numbers on the wire, none of them twice.
 * N gateways, one incarnation of one SA: leases, epochs, crash takeover.
 *
 * A step (an inline whose body is one d_step or atomic) is what happens under one lock,
 * or between two points at which a crash makes a difference. A node that is switched
 * off, a dead daemon and a cut link are all steps that are not taken for a while.
 */
#ifndef N
#define N	2
#endif
#include "common.pml"

#ifndef LEASE
#define LEASE	2	/* numbers in a lease */
#endif
#ifndef H
#define H	1	/* headroom: a GSO packet draws up to H + 1 numbers */
#endif
#ifndef FREE
#define FREE	2	/* what is sent at most while no standby was ever offered the SA */
#endif
#ifndef LAST
#define LAST	11	/* the SA's number space: no lease ends above */
#endif
#ifndef RANGE
#define RANGE	(LEASE + H)	/* numbers that a takeover may use on its own */
#endif
#ifndef FIRST
#define FIRST	0	/* who is active at the start; the higher id wins a tie of epochs */
#endif

/* Budgets: what may happen how often, and at the worst moment. */
#ifndef TAKEOVERS
#define TAKEOVERS 2	/* while another node is active; without one they cost nothing */
#endif
#ifndef RESTARTS
#define RESTARTS 1	/* crash and reboot of a machine */
#endif
#ifndef DISKS
#define DISKS	1	/* of these, without the disk */
#endif
#ifndef DAEMONS
#define DAEMONS	0	/* crash and restart of a daemon; its kernel goes on */
#endif
#ifndef REMOVALS
#define REMOVALS 0
#endif
#ifndef BUMPS
#define BUMPS	0	/* an active takes a new epoch (a hand-over was refused) */
#endif
#ifndef CAP
#if N == 2
#define CAP	1	/* offers on their way, in each direction */
#else
#define CAP	0
#endif
#endif

/* --- a node -------------------------------------------------------------------- */

/* On disk. */
byte disk[N];		/* highest epoch known */
byte own[N];		/* last epoch in which this node was active itself */
byte hole[N];		/* of these, the last one whose counters a reboot has lost */

/* In the kernel. */
bool is_active[N];		/* role */
bool fence[N];		/* no number is drawn */
byte epoch[N];		/* highest epoch known */
byte sa[N];		/* NONE, UNSAFE, SAFE (at an active: it may send on it), DEAD */
byte oseq[N];		/* last number drawn, or raised to */
byte lease_end[N];		/* last number that may ever be drawn */
byte used[N];		/* highest number drawn here in a role that ended */
byte told[N];		/* standby: target last applied in this epoch, and acknowledged */
byte base[N];		/* whatever was sent in an epoch up to this one lies below oseq */
bool opening[N];	/* takeover: the new epoch is written, the role is not changed */

/* In the daemon of an active; the set itself, and that it was cut, outlive the daemon. */
byte target[N];		/* end of the lease on offer, or GONE: the SA was rekeyed */
byte from[N];		/* the highest number that a member says it sent */
bool cut[N];		/* a member was removed: what exists is never renewed */
bool inset[N * N];	/* [i, j]: j must acknowledge what i offers */
bool conn[N * N];	/* [i, j]: i is active, j has said hello, messages flow */
byte acked[N * N];	/* [i, j]: end that j has acknowledged to i */

#ifdef M_ACK_FIRST
byte late[N];		/* mutant: acknowledged, and still to be raised to */
#endif

#define UNKNOWN	255	/* hole: the disk is lost, too */

#define NONE	0
#define UNSAFE	1
#define SAFE	2
#define DEAD	3	/* told that it is gone, in this epoch: a late offer revives nothing */

#define NOLIMIT	255	/* end: no standby was ever offered the SA */
#define GONE	254	/* target: there is nothing to protect any more */

#define AT(i, j) ((i) * N + (j))

#if CAP > 0
chan offer[N * N] = [CAP] of { byte, byte, byte };	/* epoch, target, base */
#endif

int wire;		/* bit n: number n was sent */

byte takeovers = TAKEOVERS, restarts = RESTARTS, disks = DISKS, daemons = DAEMONS;
byte removals = REMOVALS, bumps = BUMPS;

hidden byte m_epoch, m_target, m_base, k, x;

#define LIVE(i)	(is_active[i] && !fence[i])
#define STOPPED(i) (oseq[i] + H >= lease_end[i])

#if N == 2
#define EACH(p)		p(0) && p(1)
#define PEERS(i, p)	p(i, 1 - i)
#define START(i, n)	(n)
#else
#define EACH(p)		p(0) && p(1) && p(2)
#define PEERS(i, p)	p(i, (i + 1) % 3) && p(i, (i + 2) % 3)
/* Stripes: after a takeover node i uses only ((i + 3k) * RANGE, (i + 3k + 1) * RANGE]. */
#define PERIOD		(N * RANGE)
#define START(i, n)	((n) + ((i) * RANGE + 64 * PERIOD - (n)) % PERIOD)
#endif

#define IDLE(i)		!(LIVE(i) || opening[i])
#define NOBODY		(EACH(IDLE))
#define HAS_ACKED(i, j)	(!inset[AT(i, j)] || acked[AT(i, j)] >= target[i])
#define ALL_ACKED(i)	(PEERS(i, HAS_ACKED))
#define GRANTABLE(i)	(LIVE(i) && sa[i] != NONE && !cut[i] && lease_end[i] != NOLIMIT && \
			 target[i] != lease_end[i])

inline flush(c)
{
#if CAP > 0
	do
	:: nempty(offer[c]) -> offer[c]?_, _, _
	:: empty(offer[c]) -> break
	od
#else
	skip
#endif
}

inline disconnect(c)
{
	conn[c] = false;
	flush(c)
}

/* The SA goes, what was sent under it stays known: a peer may offer it again. */
inline retire(i)
{
#ifndef M_USED_FORGOTTEN
	if
	:: is_active[i] && sa[i] == SAFE -> used[i] = MAX(used[i], oseq[i])
	:: else
	fi;
#endif
	sa[i] = NONE;
	oseq[i] = used[i];
	lease_end[i] = 0;
	target[i] = GONE;
	cut[i] = false
}

/* --- the kernel ------------------------------------------------------------------ */

#ifdef M_NO_HEADROOM
#define WITHIN(i)	(oseq[i] < lease_end[i])
#else
#define WITHIN(i)	(oseq[i] + H < lease_end[i])
#endif

/* A packet of n segments: the limit is looked at before the first number is drawn. */
inline draw(i, n)
{
	d_step {
		(sa[i] == SAFE || sa[i] == UNSAFE) && !fence[i] &&
		(lease_end[i] == NOLIMIT -> oseq[i] + n <= FREE : WITHIN(i)) ->
		k = 0;
		do
		:: k < n ->
			k++;
			oseq[i] = oseq[i] + 1;
			/* Property 1: no number stands on the wire twice. */
			assert(!((wire >> oseq[i]) & 1));
			wire = wire | (1 << oseq[i])
		:: else -> break
		od;
		k = 0
	}
}

/* Outbound counters are never lowered. */
inline raise(j, i, number)
{
#ifdef M_LOWER
	oseq[j] = number;
#else
	oseq[j] = MAX(oseq[j], number);
#endif
#if defined(M_RANGES)
	skip;		/* mutant: all standbys start at the end of the lease */
#elif defined(M_RANGES_BY_OFFER)
	/* mutant: ranges are laid out from the end of each offer */
	oseq[j] = MAX(oseq[j], number + (j > i -> j - 1 : j) * RANGE);
#else
	oseq[j] = START(j, oseq[j]);
#endif
	sa[j] = SAFE
}

/* --- roles and epochs ------------------------------------------------------------ */

/* The operator, or what watches for him, is right when no node is active. */
inline take_over(i)
{
	d_step {
		!is_active[i] && !opening[i] && (takeovers > 0 || NOBODY) ->
		if
		:: NOBODY -> skip
		:: else -> takeovers--
		fi;
		epoch[i] = NEXT_EPOCH(epoch[i], i);
		told[i] = 0;
#ifndef M_NOT_ON_DISK
		disk[i] = epoch[i];
		own[i] = epoch[i];
#endif
		opening[i] = true
	}
}

#ifdef M_UNSAFE_USED	/* mutant: this node's own counter is taken for the newest */
#define USABLE(i)	(sa[i] == SAFE || sa[i] == UNSAFE)
#else
#define USABLE(i)	(sa[i] == SAFE)
#endif

inline open(i)
{
	d_step {
		opening[i] ->
		opening[i] = false;
		is_active[i] = true;
		fence[i] = false;
		cut[i] = false;
		from[i] = used[i];
#ifdef M_HOLE_CLEARED
		hole[i] = 0;	/* mutant: as if it were the last epoch's numbers alone */
#endif
		if
		:: USABLE(i) ->
			lease_end[i] = oseq[i] + RANGE;
			target[i] = lease_end[i];
			REACHED(3)
		:: else -> retire(i)	/* an unsafe SA stays fenced until IKE has replaced it */
		fi;
		/* Any other node may hold the SA: whom the old active had offered it is not known. */
		x = 0;
		do
		:: x < N ->
#ifdef M_SET_HEARD
			inset[AT(i, x)] = false;	/* mutant: only who comes and says hello */
#else
			inset[AT(i, x)] = (i != x);
#endif
			conn[AT(i, x)] = false;
			acked[AT(i, x)] = 0;
			x++
		:: else -> break
		od;
		x = 0
	}
}

#ifdef M_NOT_ON_DISK
inline write_late(i)
{
	d_step {
		is_active[i] && epoch[i] > disk[i] -> disk[i] = epoch[i]; own[i] = epoch[i]
	}
}
#endif

/* An active takes a new epoch: the other side refused a planned hand-over. */
inline bump(i)
{
	d_step {
		LIVE(i) && bumps > 0 ->
		bumps--;
		epoch[i] = NEXT_EPOCH(epoch[i], i);
		disk[i] = epoch[i];
		own[i] = epoch[i];
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

/* Node i hears j's hello, late as it may be: an active steps down, fence first. */
#ifdef M_STAYS_ACTIVE	/* mutant: it goes on, on its lease */
#define HEARS(i)	!is_active[i]
#else
#define HEARS(i)	true
#endif

inline hear(i, j)
{
	d_step {
		NEWER(epoch[j], epoch[i]) && HEARS(i) ->
		epoch[i] = epoch[j];
		told[i] = 0;
		disk[i] = epoch[j];
		opening[i] = false;
		if
		:: sa[i] == DEAD -> sa[i] = NONE
		:: else
		fi;
#ifdef M_FENCE_LATE
		if
		:: is_active[i] ->
			standby(i);
			lease_end[i] = LAST + H + 1	/* a standby has no lease: only the fence */
		:: else
		fi
#else
		fence[i] = true;
		if
		:: is_active[i] -> standby(i)
		:: else
		fi
#endif
	}
}

inline standby(i)
{
	is_active[i] = false;
	if
	:: sa[i] != NONE ->
		sa[i] = UNSAFE;
		used[i] = MAX(used[i], oseq[i])
	:: else
	fi;
	lease_end[i] = 0;
	base[i] = 0;
	target[i] = 0;
	from[i] = 0;
	cut[i] = false;
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

#ifdef M_FENCE_LATE
inline fence_late(i)
{
	d_step { !is_active[i] && !fence[i] -> fence[i] = true }
}
#endif

/* --- the lease: the daemon of active i, and its member j ------------------------- */

/*
 * j joins the set before its snapshot is taken, and the limit is in force before it
 * leaves. A hello tells what j has sent itself, and whether it knows.
 */
inline connect(i, j)
{
	d_step {
		LIVE(i) && !is_active[j] && !opening[j] && epoch[i] == epoch[j] &&
		!conn[AT(i, j)] ->
		if
		:: sa[i] != NONE && target[i] && target[i] != lease_end[i] -> REACHED(4)
		:: else
		fi;
		conn[AT(i, j)] = true;
		inset[AT(i, j)] = true;
		acked[AT(i, j)] = 0;
#ifndef M_USED_IGNORED
		from[i] = MAX(from[i], used[j]);
#endif
		if
		:: sa[i] == NONE -> target[i] = GONE
		:: sa[i] != NONE && lease_end[i] == NOLIMIT ->
			target[i] = oseq[i] + LEASE + H;
#ifndef M_OFFER_FIRST
			lease_end[i] = target[i]
#endif
#ifndef M_HOLE_IGNORED
		:: sa[i] != NONE && lease_end[i] != NOLIMIT && hole[j] > base[i] ->
			retire(i);
			REACHED(5)
#endif
		:: else
		fi
	}
}

#ifdef M_OFFER_FIRST
inline limit_late(i)
{
	d_step { LIVE(i) && target[i] && lease_end[i] == NOLIMIT ->
		lease_end[i] = oseq[i] + LEASE + H
	}
}
#endif

#ifdef M_SNAPSHOT_FIRST
inline snapshot(i, j)
{
	d_step {
		LIVE(i) && sa[i] != NONE && epoch[i] == epoch[j] && !inset[AT(i, j)] &&
		empty(offer[AT(i, j)]) ->
		offer[AT(i, j)]!epoch[i],
			(lease_end[i] == NOLIMIT -> oseq[i] + LEASE + H : target[i]), base[i]
	}
}
#endif

#if CAP > 0
inline send_offer(i, j)
{
	d_step {
		LIVE(i) && conn[AT(i, j)] && acked[AT(i, j)] != target[i] &&
		!(told[j] == target[i] && epoch[j] == epoch[i]) &&
		nfull(offer[AT(i, j)]) && !offer[AT(i, j)]??[eval(epoch[i]), eval(target[i]), _] ->
		offer[AT(i, j)]!epoch[i], target[i], base[i]
	}
}

#define ARRIVED(i, j)	nempty(offer[AT(i, j)])
#else
/*
 * An offer that arrives late does what it did in time, unless the member has another
 * epoch by then, and is refused: with CAP 0 it is not a message but this step, taken late.
 */
#define ARRIVED(i, j)	(LIVE(i) && conn[AT(i, j)] && epoch[i] == epoch[j] && \
			 told[j] != target[i])
#endif

#if defined(M_OLD_EPOCH)
#define REFUSED(j)	(is_active[j] || opening[j])
#elif defined(M_ONTO_ACTIVE)	/* mutant: its daemon asks in its own epoch, which is in force */
#define REFUSED(j)	(!is_active[j] && !opening[j] && NEWER(epoch[j], m_epoch))
#else
#define REFUSED(j)	(is_active[j] || opening[j] || NEWER(epoch[j], m_epoch))
#endif

/* Raise, then acknowledge; a crash between the two is a lost acknowledgement. */
inline apply(i, j)
{
	d_step {
		ARRIVED(i, j) ->
#if CAP > 0
		offer[AT(i, j)]?m_epoch, m_target, m_base;
#else
		m_epoch = epoch[i];
		m_target = target[i];
		m_base = base[i];
#endif
		if
		:: REFUSED(j) -> conn[AT(i, j)] = false; REACHED(6)
		:: else ->
			if
			:: m_target == GONE -> sa[j] = DEAD; oseq[j] = used[j]
			:: m_target != GONE && sa[j] == DEAD -> skip
			:: else ->
#ifdef M_BASE_EPOCH
				base[j] = m_epoch;	/* mutant: as if all had acknowledged */
#else
				base[j] = m_base;
#endif
#ifdef M_ACK_FIRST
				late[j] = m_target;
				sa[j] = SAFE
#else
				raise(j, i, m_target)
#endif
			fi;
			told[j] = m_target
		fi;
		m_epoch = 0;
		m_target = 0;
		m_base = 0
	}
}

#ifdef M_ACK_FIRST
inline raise_late(j, i)
{
	d_step { late[j] && !is_active[j] && !opening[j] -> raise(j, i, late[j]); late[j] = 0 }
}
#endif

/*
 * j's acknowledgement arrives. It is not a message of its own: lost, late and repeated
 * ones are this step not taken, taken late, taken again. The last one grants the lease.
 */
inline take_ack(i, j)
{
	d_step {
		LIVE(i) && conn[AT(i, j)] && epoch[i] == epoch[j] && !is_active[j] &&
		!opening[j] && told[j] && told[j] != acked[AT(i, j)] ->
		acked[AT(i, j)] = told[j];
		if
		:: GRANTABLE(i) && ALL_ACKED(i) -> grant(i)
		:: else
		fi
	}
}

inline grant(i)
{
	if
	:: STOPPED(i) -> REACHED(1)
	:: else
	fi;
	if
	:: from[i] > oseq[i] -> REACHED(2)
	:: else
	fi;
	oseq[i] = MAX(oseq[i], from[i]);
	if
#ifndef M_GRANT_PASSED
	/* The counter has passed it: another one, or none is possible. */
	:: from[i] > target[i] ->
		if
		:: from[i] + LEASE <= LAST -> target[i] = from[i] + LEASE; REACHED(8)
		:: else -> cut[i] = true
		fi
#endif
	:: else ->
		lease_end[i] = target[i];
		base[i] = epoch[i]
	fi
}

/* At half: a new end is offered. It counts when every member has acknowledged it. */
inline renew(i)
{
	d_step {
		LIVE(i) && sa[i] != NONE && !cut[i] && target[i] == lease_end[i] &&
		oseq[i] + H + LEASE / 2 >= lease_end[i] && MAX(lease_end[i], from[i]) + LEASE <= LAST ->
		target[i] = MAX(lease_end[i], from[i]) + LEASE;
		if
		:: ALL_ACKED(i) -> grant(i)	/* a set without members */
		:: else
		fi
	}
}

#ifdef M_GRANT_EARLY
inline grant_early(i)
{
	d_step { GRANTABLE(i) -> grant(i) }
}
#endif

/* Soft-expired, because it cannot be renewed: IKE replaces the SA. */
inline rekey(i)
{
	d_step {
		LIVE(i) && sa[i] != NONE && lease_end[i] != NOLIMIT &&
		(cut[i] || STOPPED(i) && !(ALL_ACKED(i))) ->
		retire(i);
		REACHED(7)
	}
}

/* --- faults ---------------------------------------------------------------------- */

inline lose_connections(i)
{
	x = 0;
	do
	:: x < N ->
		conn[AT(i, x)] = false;
		conn[AT(x, i)] = false;
#ifndef M_OLD_CONNECTION
		flush(AT(i, x));
		flush(AT(x, i));
#endif
		x++
	:: else -> break
	od;
	x = 0
}

inline lose_daemon(i)
{
	lose_connections(i);
	opening[i] = false;
	from[i] = 0;
	x = 0;
	do
	:: x < N ->
		acked[AT(i, x)] = 0;
#ifdef M_SET_FORGOTTEN
		inset[AT(i, x)] = false;
#endif
		x++
	:: else -> break
	od;
	x = 0
}

/* Whatever the kernel knew is gone; the node is a standby without an SA. */
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
			hole[i] = UNKNOWN;
			own[i] = 0;
			disk[i] = 0
		fi;
		lose_daemon(i);
		standby(i);
		epoch[i] = disk[i];
		fence[i] = true;
		sa[i] = NONE;
		oseq[i] = 0;
		used[i] = 0;
		told[i] = 0;
#ifdef M_ACK_FIRST
		late[i] = 0
#endif
	}
}

inline restart_daemon(i)
{
	d_step {
		daemons > 0 && (is_active[i] || opening[i]) ->
		daemons--;
		lose_daemon(i);
		if
		:: is_active[i] && sa[i] != NONE && lease_end[i] != NOLIMIT -> target[i] = lease_end[i]
		:: else
		fi
	}
}

/* The operator removes a member by force; it may come back, as a new one. */
inline remove(i, j)
{
	d_step {
		LIVE(i) && inset[AT(i, j)] && removals > 0 ->
		removals--;
		inset[AT(i, j)] = false;
		disconnect(AT(i, j));
		acked[AT(i, j)] = 0;
		if
		:: sa[i] != NONE && lease_end[i] != NOLIMIT ->
#ifndef M_REMOVED_RENEWS
			cut[i] = true;
#endif
			target[i] = lease_end[i]
		:: else
		fi
	}
}

/* --- processes ------------------------------------------------------------------- */

proctype node(byte i)
{
end_node:
	do
	:: draw(i, 1)
#if H > 0
	:: draw(i, H + 1)
#endif
	:: take_over(i)
	:: open(i)
	:: bump(i)
#ifdef M_FENCE_LATE
	:: fence_late(i)
#endif
	:: renew(i)
#ifdef M_GRANT_EARLY
	:: grant_early(i)
#endif
	:: rekey(i)
	:: restart(i, true)
	:: restart(i, false)
	:: restart_daemon(i)
#ifdef M_NOT_ON_DISK
	:: write_late(i)
#endif
#ifdef M_OFFER_FIRST
	:: limit_late(i)
#endif
	od
}

proctype link(byte i, j)
{
end_link:
	do
	:: hear(i, j)
	:: connect(i, j)
#if CAP > 0
	:: send_offer(i, j)
#endif
	:: apply(i, j)
	:: take_ack(i, j)
	:: remove(i, j)
#ifdef M_SNAPSHOT_FIRST
	:: snapshot(i, j)
#endif
#ifdef M_ACK_FIRST
	:: raise_late(j, i)
#endif
	od
}

#if CAP > 0
/* Loses, delays (for as long as nothing else of this is taken), reorders, repeats. */
proctype network(byte c)
{
end_network:
	do
	:: d_step { nempty(offer[c]) -> offer[c]?_, _, _ } FAULT
#if CAP > 1
	:: d_step {
		len(offer[c]) > 1 ->
		offer[c]?m_epoch, m_target, m_base;
		offer[c]!m_epoch, m_target, m_base;
		m_epoch = 0; m_target = 0; m_base = 0
	   } FAULT
	:: d_step {
		len(offer[c]) == 1 ->
		offer[c]?<m_epoch, m_target, m_base>;
		offer[c]!m_epoch, m_target, m_base;
		m_epoch = 0; m_target = 0; m_base = 0
	   } FAULT
#endif
	od;
progress_fault:
	goto end_network
}
#endif

#define PASSIVE(i, j)	(!is_active[j] && !opening[j] && epoch[j] == epoch[i] && conn[AT(i, j)] && \
			 acked[AT(i, j)] == target[i] && \
			 sa[j] == (sa[i] == NONE -> DEAD : SAFE))
#define RULES(i)	(LIVE(i) && PEERS(i, PASSIVE))

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
		byte a = FIRST;
		x = 0;
		do
		:: x < N -> fence[x] = true; x++
		:: else -> break
		od;
		x = 0;
		is_active[a] = true;
		fence[a] = false;
		epoch[a] = EPOCH(1, a);
		disk[a] = EPOCH(1, a);
		own[a] = EPOCH(1, a);
		base[a] = EPOCH(1, a);
		sa[a] = SAFE;
		lease_end[a] = NOLIMIT;
		a = 0;
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
