/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: packets to send, planned hand-overs, the operator's takeovers, faults.
 * Out: sequence numbers on the wire, none of them twice; one owner, written on both sides.
 * Two gateways, one SA. How leases are agreed is outbound.pml's: here it is one step.
 *
 * The active fences itself, drains, reads its exact counter and sends it (FINAL). The
 * standby writes a new epoch to disk - that is the commit - and goes on from that counter;
 * or it refuses, for ever. The old active resumes only on a refusal, in a new epoch.
 */
#define N	2
#include "common.pml"

#ifndef LEASE
#define LEASE	2	/* numbers in a lease, and those of a takeover on its own */
#endif
#ifndef LAST
#define LAST	8	/* the SA's number space: no lease ends above */
#endif
#ifndef FIRST
#define FIRST	0	/* who is active at the start; the higher id wins a tie of epochs */
#endif

/* Budgets. */
#ifndef HANDOVERS
#define HANDOVERS 2
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1	/* while another node is active; without one they cost nothing */
#endif
#ifndef RESTARTS
#define RESTARTS 1	/* crash and reboot of a machine */
#endif
#ifndef DISKS
#define DISKS	1	/* of these, without the disk */
#endif
#ifndef SLOW
#define SLOW	1	/* packets that take their time */
#endif
#ifndef CAP
#define CAP	1	/* FINALs on their way, in each direction */
#endif

/* On disk. */
byte own[N];		/* last epoch in which this node was active itself, or meant to be */
byte hole[N];		/* of these, the last one whose counters a reboot has lost */

/* In the kernel. What epoch says is on disk, too. */
bool is_active[N];	/* role */
bool fence[N];		/* no packet passes */
byte epoch[N];		/* highest epoch known */
byte sa[N];		/* NONE, UNSAFE, SAFE (at an active: it may send on it) */
byte oseq[N];		/* last number drawn, or raised to */
byte wrote[N];		/* standby: the value of oseq that a restore left */
byte lease_end[N];	/* last number that may ever be drawn */
byte used[N];		/* highest number drawn here in a role that ended */
byte base[N];		/* whatever was sent in an epoch up to this one lies below oseq */
byte packet[N];		/* one that takes its time: ON_ITS_WAY, or the number that it drew */

/* In the daemon. */
byte told[N];		/* standby: end of the lease it has acknowledged in this epoch */
byte opening[N];	/* the new epoch is written, the role is not changed: how */
byte exact[N];		/* opening PLANNED: the old active's last number */
byte hand[N];		/* active: where its hand-over stands */
byte refused[N];	/* standby: the epoch whose hand-over it has refused */

#define NONE		0
#define UNSAFE		1
#define SAFE		2
#define DEAD		3	/* told that it is gone, in this epoch */

#define CRASH		1	/* opening */
#define PLANNED		2

#define FENCED		1	/* hand */
#define SENT		2

#define UNKNOWN		255	/* hole: the disk is lost, too */
#define ON_ITS_WAY	255	/* packet: past the fence, no number drawn yet */
#define GONE		254	/* told: the SA was rekeyed */

chan final[N] = [CAP] of { byte, byte };	/* from node: epoch, last number drawn */
chan refusal[N] = [1] of { byte, byte };	/* from node: epoch, it remembers everything */

int wire;		/* bit n: number n was sent */
byte resumed;		/* epoch in which an active resumed what it had handed over */
byte committed;		/* epoch in which a hand-over was taken */

byte slow = SLOW, handovers = HANDOVERS, takeovers = TAKEOVERS, restarts = RESTARTS, disks = DISKS;

hidden byte m_epoch, m_number;
hidden byte m_remembers;

#define OTHER(i)	(1 - (i))
#define LIVE(i)		(is_active[i] && !fence[i])
#define PASSIVE(i)	(!is_active[i] && !opening[i])
#define NOBODY		!(LIVE(0) || LIVE(1) || opening[0] || opening[1])
#define HAS_SA(i)	(sa[i] == SAFE || sa[i] == UNSAFE)
/* A standby has no lease: what keeps it from drawing is the fence alone. */
#define WITHIN(i)	(!is_active[i] || oseq[i] < lease_end[i])

/* --- packets --------------------------------------------------------------------- */

inline send(number)
{
	/* Property 1: no number stands on the wire twice. */
	assert(!((wire >> (number)) & 1));
	wire = wire | (1 << (number))
}

inline draw(i)
{
	d_step {
		sa[i] == SAFE && LIVE(i) && WITHIN(i) ->
		oseq[i] = oseq[i] + 1;
		send(oseq[i])
	}
}

/* The same in three steps. The first fence stands before the transform, so that no number is
 * drawn behind it; the second one is for what had passed the first.
 */
inline pass(i)
{
	d_step {
#ifdef M_FENCE_AFTER_TRANSFORM
		HAS_SA(i) && !packet[i] && !packet[OTHER(i)] && slow > 0 ->
#else
		HAS_SA(i) && !packet[i] && !packet[OTHER(i)] && slow > 0 && !fence[i] ->
#endif
		slow--;
		packet[i] = ON_ITS_WAY
	}
}

inline number(i)
{
	d_step {
		packet[i] == ON_ITS_WAY ->
		if
		:: HAS_SA(i) && WITHIN(i) -> oseq[i] = oseq[i] + 1; packet[i] = oseq[i]
		:: else -> packet[i] = 0
		fi
	}
}

inline leave(i)
{
	d_step {
		packet[i] && packet[i] != ON_ITS_WAY ->
		if
		:: !fence[i] -> send(packet[i])
		:: else -> REACHED(5)
		fi;
		packet[i] = 0
	}
}

#ifdef M_NO_DRAIN
#define DRAINED(i)	true
#define QUIET(i)	true
#else
#define DRAINED(i)	!packet[i]
/* What has drawn a number may wait for its cipher: it is its own for ever. */
#define QUIET(i)	(packet[i] != ON_ITS_WAY)
#endif

/* --- roles, epochs, leases: as in outbound.pml, in fewer steps ------------------- */

inline retire(i)
{
	if
	:: is_active[i] && sa[i] == SAFE -> used[i] = MAX(used[i], oseq[i])
	:: else
	fi;
	sa[i] = NONE;
	oseq[i] = used[i];
	lease_end[i] = GONE
}

inline standby(i)
{
	is_active[i] = false;
	fence[i] = true;
	hand[i] = 0;
	if
	:: HAS_SA(i) ->
		sa[i] = UNSAFE;
		used[i] = MAX(used[i], oseq[i])
	:: else
	fi;
	lease_end[i] = 0;
	base[i] = 0;
	told[i] = 0
}

inline write_epoch(i)
{
	epoch[i] = NEXT_EPOCH(epoch[i], i);
	own[i] = epoch[i];
	told[i] = 0
}

/*
 * By the operator, or what watches for him, who is right when no node is active. An active
 * that waits for the answer to its FINAL may take over, too, but not with this SA.
 */
inline take_over(i)
{
	d_step {
		(!is_active[i] || hand[i] == SENT) && !opening[i] &&
		(takeovers > 0 || NOBODY) ->
		if
		:: NOBODY -> skip
		:: else -> takeovers--
		fi;
		if
		:: is_active[i] -> standby(i)
		:: else
		fi;
		write_epoch(i);
		opening[i] = CRASH
	}
}

#ifdef M_EXACT_CHANGED
#define UNCHANGED(i)	true
#else
#define UNCHANGED(i)	(oseq[i] == wrote[i])
#endif

inline open(i)
{
	d_step {
		opening[i] && QUIET(i) ->
		if
		:: sa[i] != SAFE -> retire(i)	/* it stays fenced until IKE has replaced it */
		:: sa[i] == SAFE && opening[i] == PLANNED && UNCHANGED(i) ->
			oseq[i] = exact[i];
			lease_end[i] = wrote[i];	/* the lease goes over with it */
			REACHED(1)
		:: sa[i] == SAFE && opening[i] == PLANNED && !(UNCHANGED(i)) ->
			lease_end[i] = oseq[i] + LEASE;
			REACHED(2)
		:: else -> lease_end[i] = oseq[i] + LEASE
		fi;
		is_active[i] = true;
		fence[i] = false;
		opening[i] = 0;
		exact[i] = 0;
		wrote[i] = 0
	}
}

/* The one who hears of a higher epoch is fenced, and drained before it is a standby. */
inline hear(i, j)
{
	d_step {
		NEWER(epoch[j], epoch[i]) ->
		epoch[i] = epoch[j];
		told[i] = 0;
		opening[i] = 0;
		exact[i] = 0;
		fence[i] = true;
		if
		:: sa[i] == DEAD -> sa[i] = NONE
		:: else
		fi
	}
}

inline step_down(i)
{
	d_step { is_active[i] && epoch[i] != own[i] && QUIET(i) -> standby(i) }
}

/* A standby gets the SA, and its counter is raised to the end of the lease in force. */
inline attach(i, j)
{
	d_step {
		LIVE(i) && PASSIVE(j) && epoch[i] == epoch[j] && told[j] != lease_end[i] ->
		if
		:: HAS_SA(i) && hole[j] > base[i] -> retire(i)
		:: else
		fi;
		told[j] = lease_end[i];
		if
		:: sa[i] == NONE -> sa[j] = DEAD; oseq[j] = used[j]
		:: else ->
			sa[j] = SAFE;
			oseq[j] = MAX(oseq[j], lease_end[i]);
			wrote[j] = lease_end[i];
			base[j] = base[i]
		fi
	}
}

/* A new lease: past what the standby has sent itself, raised there first, then granted. */
inline renew(i, j)
{
	d_step {
		LIVE(i) && HAS_SA(i) && PASSIVE(j) && epoch[i] == epoch[j] &&
		told[j] == lease_end[i] && oseq[i] + LEASE / 2 >= lease_end[i] &&
		MAX(lease_end[i], used[j]) + LEASE <= LAST ->
		oseq[i] = MAX(oseq[i], used[j]);
		lease_end[i] = MAX(lease_end[i], used[j]) + LEASE;
		base[i] = epoch[i];
		told[j] = lease_end[i];
		oseq[j] = lease_end[i];
		wrote[j] = lease_end[i];
		base[j] = base[i]
	}
}

/* --- a planned hand-over from i to j --------------------------------------------- */

inline begin(i, j)
{
	d_step {
		LIVE(i) && HAS_SA(i) && told[j] == lease_end[i] && epoch[i] == epoch[j] &&
		handovers > 0 ->
		handovers--;
#ifndef M_FINAL_UNFENCED
		fence[i] = true;
#endif
		hand[i] = FENCED
	}
}

/* As long as nothing was sent, it can be called off. */
inline call_off(i)
{
	d_step {
		hand[i] == FENCED && epoch[i] == own[i] -> hand[i] = 0; fence[i] = false
	}
}

inline send_final(i, j)
{
	d_step {
		is_active[i] && hand[i] && DRAINED(i) && epoch[i] == own[i] &&
		epoch[j] == epoch[i] && PASSIVE(j) &&
		nfull(final[i]) && !final[i]??[eval(epoch[i]), eval(oseq[i])] &&
		empty(refusal[j]) ->
		hand[i] = SENT;
		final[i]!epoch[i], oseq[i]
	}
}

#ifdef M_REFUSAL_FORGOTTEN
#define REFUSED(j)	false
#else
#define REFUSED(j)	(refused[j] == epoch[j])
#endif

/* The commit is the epoch on disk. What was refused once is refused, and said, again. */
inline take_final(i, j)
{
	d_step {
		final[i]?[eval(epoch[j]), _] && PASSIVE(j) && sa[j] == SAFE && !REFUSED(j) ->
		final[i]?m_epoch, m_number;
#ifdef OUTCOME
		/* Property 3: a hand-over has one outcome. */
		assert(resumed != m_epoch);
		committed = m_epoch;
#endif
		write_epoch(j);
		opening[j] = PLANNED;
		exact[j] = m_number;
		m_epoch = 0;
		m_number = 0
	}
}

/* For whatever reason; a standby without the SA, or without room for it, cannot else. */
inline refuse(i, j)
{
	d_step {
		nempty(final[i]) && nfull(refusal[j]) ->
		final[i]?m_epoch, m_number;
		if
		:: PASSIVE(j) && m_epoch == epoch[j] ->
			refused[j] = m_epoch;
			refusal[j]!m_epoch, (hole[j] != UNKNOWN)
		:: else
		fi;
		m_epoch = 0;
		m_number = 0
	}
}

#ifdef M_REFUSAL_NO_MEMORY
#define PROOF		true
#else
#define PROOF		m_remembers
#endif

/* A refusal proves that no commit was and none will be, if the other has its disk yet. */
inline resume(i, j)
{
	d_step {
		nempty(refusal[j]) ->
		refusal[j]?m_epoch, m_remembers;
		if
		:: hand[i] == SENT && m_epoch == epoch[i] && epoch[i] == own[i] ->
			if
			:: PROOF ->
#ifdef OUTCOME
				assert(committed != m_epoch);
				resumed = m_epoch
#else
				skip
#endif
			:: else -> retire(i); REACHED(4)
			fi;
			REACHED(3);
			write_epoch(i);
			hand[i] = 0;
			fence[i] = false
		:: else
		fi;
		m_epoch = 0;
		m_remembers = 0
	}
}

#ifdef M_RESUME_ON_TIMEOUT
inline time_out(i)
{
	d_step {
		hand[i] == SENT && epoch[i] == own[i] ->
		write_epoch(i);
		hand[i] = 0;
		fence[i] = false
	}
}
#endif

/* --- faults ---------------------------------------------------------------------- */

inline flush(i)
{
	do
	:: nempty(final[i]) -> final[i]?_, _
	:: empty(final[i]) -> break
	od;
	do
	:: nempty(refusal[i]) -> refusal[i]?_, _
	:: empty(refusal[i]) -> break
	od
}

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
			epoch[i] = 0
		fi;
		flush(0);
		flush(1);
		standby(i);
		sa[i] = NONE;
		oseq[i] = 0;
		wrote[i] = 0;
		used[i] = 0;
		packet[i] = 0;
		opening[i] = 0;
		exact[i] = 0;
		refused[i] = 0
	}
}

/* --- processes ------------------------------------------------------------------- */

proctype node(byte i)
{
end_node:
	do
	:: draw(i)
	:: pass(i)
	:: number(i)
	:: leave(i)
	:: take_over(i)
	:: open(i)
	:: hear(i, OTHER(i))
	:: step_down(i)
	:: attach(i, OTHER(i))
	:: renew(i, OTHER(i))
	:: begin(i, OTHER(i))
	:: call_off(i)
	:: send_final(i, OTHER(i))
	:: take_final(i, OTHER(i))
	:: refuse(i, OTHER(i))
	:: resume(i, OTHER(i))
#ifdef M_RESUME_ON_TIMEOUT
	:: time_out(i)
#endif
	:: restart(i, true)
	:: restart(i, false)
	od
}

proctype network(byte i)
{
end_network:
	do
	:: d_step { nempty(final[i]) -> final[i]?_, _ } FAULT
	:: d_step { nempty(refusal[i]) -> refusal[i]?_, _ } FAULT
	/* Delivered, and yet to come again. */
#if CAP > 1
	:: d_step {
		len(final[i]) == 1 ->
		final[i]?<m_epoch, m_number>;
		final[i]!m_epoch, m_number;
		m_epoch = 0;
		m_number = 0
	   } FAULT
#endif
	od;
progress_fault:
	goto end_network
}

/* Property 3: when nothing more happens, one is active and the other one is ready. */
#define READY(i, j)	(LIVE(i) && PASSIVE(j) && fence[j] && epoch[i] == epoch[j] && \
			 told[j] == lease_end[i] && sa[j] == (sa[i] == NONE -> DEAD : SAFE))

proctype rest()
{
	timeout -> assert(READY(0, 1) || READY(1, 0))
}

init {
	atomic {
		is_active[FIRST] = true;
		fence[OTHER(FIRST)] = true;
		epoch[FIRST] = EPOCH(1, FIRST);
		own[FIRST] = EPOCH(1, FIRST);
		base[FIRST] = EPOCH(1, FIRST);
		sa[FIRST] = SAFE;
		lease_end[FIRST] = LEASE;
		run node(0); run node(1); run network(0); run network(1);
#ifndef NO_REST
		run rest();
#endif
		skip
	}
}
