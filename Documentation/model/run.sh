#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Checks the models of this folder with spin, and that each mutant fails.
#
# usage: [LONG=1] run.sh [-k] [WORD]
#
# WORD: only results whose name contains it. -k keeps the last build.
#
# LONG=1: also what has more states than each run has time for (long, below).
#
# Prints TAP, the plan last. "# states: N, depth: N" stands before each search that had to
# be exhaustive: all states themselves (no hashes), within the depth and the memory it had.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
memory=2000 # MB, of one search
long=${LONG-}
keep=
if [ "${1-}" = -k ]; then keep=y; shift; fi
only=${1-}

for tool in spin gcc; do
	if ! command -v $tool >/dev/null; then
		echo "Bail out! no $tool: selftests/install-deps.sh check installs it"
		exit 1
	fi
done
tmp=$(mktemp -d) || exit 1
cleanup() { if [ -n "$keep" ]; then echo "# kept: $tmp"; else rm -rf "$tmp"; fi; }
trap cleanup EXIT
cd "$tmp" || exit 1

done=0 failed=0

wanted() { [[ $1 == *"$only"* ]]; }

result() { # RC NAME
	done=$((done + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $done - $2"
	else
		echo "not ok $done - $2"
		sed 's/^/# /' out
		failed=$((failed + 1))
	fi
}

# A search that ends at the first error is shorter than an optimizing compiler. Of more
# than half a million states it is not: quick=$deep mutant ...
quick="-O0 -DSAFETY"
deep="-O1 -DSAFETY"

# build MODEL "CC FLAGS" SPIN-FLAG...
build() {
	local cc

	read -ra cc <<<"$2"
	rm -f ./*
	cp "$here"/*.pml . &&
		spin "${@:3}" -a "$1.pml" >out 2>&1 &&
		gcc "${cc[@]}" -w -DMEMLIM=$memory -o pan pan.c >>out 2>&1
}

# search PAN-FLAG...; -n: no list of what was not reached, it does not look into d_step
search() { nice ./pan -n -m20000 "$@" >out 2>&1; }

# Nothing was left out, and nothing was found.
exhausted() {
	grep -q '^Full statespace search' out && grep -q 'errors: 0$' out &&
		! grep -qiE 'search depth too small|out of memory|not completed|bit ?state|hash-compact' out
}

say_states() {
	awk '/depth reached/ { sub(/.*depth reached /, ""); depth = $1 + 0 }
	     /states, stored/ { states = $1 }
	     END { printf "# states: %d, depth: %d\n", states, depth }' out
}

# full NAME MODEL FLAG...: in no state a property is violated
full() {
	wanted "$1" || return 0
	build "$2" "-O2 -DSAFETY" "${@:3}" && search -w22 && say_states && exhausted
	result $? "$1"
}

# long NAME MODEL FLAG...: the same, of so many states that they have to be packed
long() {
	[ -n "$long" ] || return 0
	wanted "$1" || return 0
	build "$2" "-O2 -DSAFETY -DCOLLAPSE" "${@:3}" && search -w24 && say_states && exhausted
	result $? "$1"
}

# ends NAME MODEL FLAG...: no cycle without a fault; so every run ends, where full looks (rest)
ends() {
	wanted "$1" || return 0
	build "$2" "-O1 -DNP" -DNO_REST -DLIVENESS "${@:3}" && search -w22 -l && say_states && exhausted
	result $? "$1"
}

# mutant PROPERTY NAME MODEL FLAG...: the search finds a violation of that property
mutant() {
	local name="mutant: $2" text rest=-DNO_REST

	wanted "$name" || return 0
	case $1 in # what the verifier prints is the assertion
	1) text='wire>>' ;;
	2) text='got>>' ;;
	3) text='is_active' rest=-DREST ;;
	esac
	build "$3" "$quick" $rest "${@:4}" && search -w18
	grep '^pan:1: assertion violated' out | grep -qF "$text"
	result $? "$name: violates property $1"
}

# reached N NAME MODEL FLAG...: the place that is marked REACHED(N) is
reached() {
	local name="reached: $2"

	wanted "$name" || return 0
	build "$3" "$quick" -DNO_REST "-DWITNESS=$1" "${@:4}" && search -w18
	grep '^pan:1: assertion violated' out | grep -qF "$1!=$1"
	result $? "$name"
}

echo "TAP version 13"

# Three nodes, small: a lease is one number, and so is a range.
three=(-DN=3 -DH=0 -DLEASE=1 -DFREE=1)

# --- outbound ----------------------------------------------------------------------------

m=outbound
full "outbound: crash takeovers, a restart with or without disk" $m \
	-DTAKEOVERS=2 -DRESTARTS=1 -DDISKS=1
full "outbound: two restarts" $m -DTAKEOVERS=1 -DRESTARTS=2 -DDISKS=1
full "outbound: removal, restart of a daemon, join during a renewal" $m \
	-DTAKEOVERS=2 -DRESTARTS=0 -DREMOVALS=1 -DDAEMONS=1
full "outbound: an active takes a new epoch, and wins a tie" $m \
	-DTAKEOVERS=1 -DRESTARTS=1 -DBUMPS=1 -DFIRST=1
full "outbound: an active takes a new epoch, and loses a tie" $m \
	-DTAKEOVERS=2 -DRESTARTS=0 -DBUMPS=1
full "outbound: an active takes a new epoch, the other one reboots with its disk" $m \
	-DTAKEOVERS=1 -DRESTARTS=1 -DDISKS=0 -DBUMPS=1
full "outbound: ... and takes over once more, before a second new epoch" $m \
	-DTAKEOVERS=2 -DRESTARTS=1 -DDISKS=0 -DBUMPS=2 -DFIRST=1 -DLAST=5
long "outbound: ... and takes over once more, before a second new epoch, 6 numbers" $m \
	-DTAKEOVERS=2 -DRESTARTS=1 -DDISKS=0 -DBUMPS=2 -DFIRST=1 -DLAST=6
full "outbound: late, reordered and repeated messages" $m -DTAKEOVERS=1 -DRESTARTS=0 -DCAP=2
full "outbound: longer leases, larger packets" $m \
	-DTAKEOVERS=2 -DRESTARTS=0 -DLEASE=3 -DH=2 -DFREE=4 -DLAST=18
full "outbound, three nodes: two takeovers" $m "${three[@]}" -DTAKEOVERS=2 -DRESTARTS=0 -DLAST=12
full "outbound, three nodes: two takeovers, a restart with disk" $m "${three[@]}" \
	-DTAKEOVERS=2 -DRESTARTS=1 -DDISKS=0 -DLAST=5
long "outbound, three nodes: two takeovers, a restart with disk, 6 numbers" $m "${three[@]}" \
	-DTAKEOVERS=2 -DRESTARTS=1 -DDISKS=0 -DLAST=6
full "outbound, three nodes: a takeover, a restart with or without disk" $m "${three[@]}" \
	-DTAKEOVERS=1 -DRESTARTS=1 -DDISKS=1 -DLAST=8
full "outbound, three nodes: removal, restart of a daemon" $m "${three[@]}" \
	-DTAKEOVERS=1 -DRESTARTS=0 -DREMOVALS=1 -DDAEMONS=1 -DLAST=8
full "outbound, three nodes: an active takes a new epoch" $m "${three[@]}" \
	-DTAKEOVERS=1 -DRESTARTS=0 -DBUMPS=1 -DFIRST=2 -DLAST=8
ends "outbound: every run ends" $m -DTAKEOVERS=1 -DRESTARTS=1
ends "outbound: every run ends, repeated messages" $m -DTAKEOVERS=1 -DRESTARTS=0 -DCAP=2 -DLAST=7
ends "outbound, three nodes: every run ends" $m "${three[@]}" -DTAKEOVERS=1 -DRESTARTS=0 -DLAST=8

mutant 1 "acknowledge before raising" $m -DM_ACK_FIRST
quick=$deep mutant 1 "snapshot before the member joins" $m -DM_SNAPSHOT_FIRST
mutant 1 "offer before the limit is set" $m -DM_OFFER_FIRST
mutant 1 "no headroom" $m -DM_NO_HEADROOM
mutant 1 "epoch not on disk before use" $m -DM_NOT_ON_DISK
mutant 1 "fence after the flip" $m -DM_FENCE_LATE
mutant 1 "counter lowered" $m -DM_LOWER -DCAP=2 -DRESTARTS=0
mutant 3 "equal epochs" $m -DM_EQUAL_EPOCHS
mutant 1 "restore of an older epoch" $m -DM_OLD_EPOCH
mutant 1 "restore onto an active" $m -DM_ONTO_ACTIVE -DRESTARTS=0
mutant 3 "an active that hears of a higher epoch stays active" $m \
	-DM_STAYS_ACTIVE -DTAKEOVERS=1 -DRESTARTS=0
mutant 1 "an SA that is not safe is used" $m -DM_UNSAFE_USED -DRESTARTS=0
mutant 1 "grant before all acknowledged" $m -DM_GRANT_EARLY
mutant 1 "grant before all acknowledged, three nodes" $m "${three[@]}" \
	-DM_GRANT_EARLY -DRESTARTS=0 -DLAST=12
mutant 1 "a member is removed, renewals go on" $m -DM_REMOVED_RENEWS -DREMOVALS=1 -DRESTARTS=0
mutant 1 "ranges of standbys not disjoint" $m "${three[@]}" -DM_RANGES -DRESTARTS=0 -DLAST=12
# Beyond DESIGN.md: what the model asked for (README.rst, Findings).
mutant 1 "ranges laid out from each offer" $m "${three[@]}" \
	-DM_RANGES_BY_OFFER -DRESTARTS=0 -DLAST=12
quick=$deep mutant 1 "ranges laid out from each offer, leases longer than all ranges" $m \
	-DN=3 -DH=0 -DFREE=1 -DLEASE=3 -DRANGE=1 -DM_RANGES_BY_OFFER -DTAKEOVERS=3 -DRESTARTS=0 -DLAST=9
mutant 1 "a new active waits only for whom it has heard" $m "${three[@]}" \
	-DM_SET_HEARD -DRESTARTS=0 -DLAST=12
mutant 1 "what a member sent itself is ignored" $m \
	-DM_USED_IGNORED -DBUMPS=1 -DFIRST=1 -DRESTARTS=0
mutant 1 "what a member sent itself is ignored, three nodes" $m "${three[@]}" \
	-DM_USED_IGNORED -DRESTARTS=0 -DLAST=12
mutant 1 "what a node sent is forgotten with the SA" $m \
	-DM_USED_FORGOTTEN -DBUMPS=1 -DFIRST=1 -DRESTARTS=0
mutant 1 "a member without memory is trusted" $m -DM_HOLE_IGNORED
mutant 1 "a member without memory is trusted, with disk, an active takes a new epoch" $m \
	-DM_HOLE_IGNORED -DTAKEOVERS=1 -DRESTARTS=1 -DDISKS=0 -DBUMPS=1 -DFIRST=1
mutant 1 "a member without memory is trusted, three nodes, with disk" $m "${three[@]}" \
	-DM_HOLE_IGNORED -DDISKS=0 -DLAST=12
mutant 1 "a takeover forgets what a reboot has lost" $m \
	-DM_HOLE_CLEARED -DTAKEOVERS=2 -DDISKS=0 -DBUMPS=2 -DFIRST=1 -DLAST=5
mutant 1 "a lease is granted that what a member sent itself has passed" $m \
	-DM_GRANT_PASSED -DTAKEOVERS=2 -DDISKS=0 -DBUMPS=2 -DFIRST=1 -DLAST=5
quick=$deep mutant 1 "a standby takes its active's epoch for the base" $m "${three[@]}" \
	-DM_BASE_EPOCH -DDISKS=0 -DLAST=5
quick=$deep mutant 3 "a node without its disk keeps its id" $m "${three[@]}" \
	-DM_SAME_ID -DTAKEOVERS=1 -DLAST=8
mutant 1 "a restarted daemon forgets the set" $m -DM_SET_FORGOTTEN -DDAEMONS=1 -DRESTARTS=0
mutant 1 "messages outlive their connection" $m -DM_OLD_CONNECTION

reached 1 "a stopped SA goes on when a grant arrives" $m -DRESTARTS=0
reached 2 "an active skips what a member sent itself" $m -DBUMPS=1 -DFIRST=1 -DRESTARTS=0
reached 3 "a takeover keeps the SA" $m
reached 8 "an offer is passed by what a member sent itself, and made anew" $m -DBUMPS=2 -DFIRST=1
reached 4 "a member joins during a renewal" $m -DDAEMONS=1
reached 5 "a member without memory costs the SA" $m
reached 6 "an offer of an older epoch is refused" $m
reached 7 "an SA that cannot be renewed is rekeyed" $m

# --- ranges ------------------------------------------------------------------------------

m=ranges
full "ranges: two takeovers" $m -DTAKEOVERS=2 -DRENEWALS=1
full "ranges: an active takes a newer epoch" $m -DTAKEOVERS=1 -DRENEWALS=2 -DBUMPS=1
full "ranges: restart of a daemon" $m -DTAKEOVERS=1 -DRENEWALS=1 -DDAEMONS=1
full "ranges: two takeovers, restart of a daemon" $m \
	-DTAKEOVERS=2 -DRENEWALS=2 -DDAEMONS=1 -DLAST=11

quick=$deep mutant 1 "ranges as if none had been given out" $m \
	-DM_GIVEN_FORGOTTEN -DTAKEOVERS=3 -DRENEWALS=1
quick=$deep mutant 1 "a peer is told of what is given out so far, and no more" $m \
	-DM_GIVEN_EXACT -DTAKEOVERS=3 -DRENEWALS=1
quick=$deep mutant 1 "what was given out is in a daemon's memory" $m \
	-DM_GIVEN_IN_MEMORY -DTAKEOVERS=2 -DRENEWALS=2 -DDAEMONS=1 -DLAST=11
quick=$deep mutant 1 "who knows of more takes a range all the same" $m \
	-DM_GIVEN_IGNORED -DTAKEOVERS=3 -DRENEWALS=1 -DDAEMONS=1 -DLAST=13
mutant 1 "ranges: what a member sent itself is ignored" $m \
	-DM_USED_IGNORED -DTAKEOVERS=1 -DRENEWALS=1 -DBUMPS=1

reached 1 "ranges: a takeover in a range of its own" $m
reached 2 "ranges: a peer knows of more than it is told" $m -DRENEWALS=2 -DBUMPS=1
reached 3 "ranges: an active skips what a member sent itself" $m -DRENEWALS=2 -DBUMPS=1
reached 4 "ranges: they are laid out anew for it" $m -DRENEWALS=2 -DBUMPS=1

# --- handover ----------------------------------------------------------------------------

m=handover
full "handover: one, a crash" $m -DHANDOVERS=1 -DTAKEOVERS=1 -DRESTARTS=1 -DSLOW=0 -DOUTCOME
full "handover: one, stragglers" $m -DHANDOVERS=1 -DTAKEOVERS=1 -DRESTARTS=0 -DFIRST=1
full "handover: one, stragglers, a crash" $m -DHANDOVERS=1 -DTAKEOVERS=0 -DRESTARTS=1
full "handover: two, repeated messages" $m \
	-DHANDOVERS=2 -DTAKEOVERS=1 -DRESTARTS=0 -DSLOW=0 -DCAP=2 -DFIRST=1 -DLAST=6
ends "handover: every run ends" $m -DHANDOVERS=1 -DTAKEOVERS=1 -DRESTARTS=1 -DSLOW=0 -DLAST=4

mutant 1 "fence only after the transform" $m \
	-DM_FENCE_AFTER_TRANSFORM -DHANDOVERS=0 -DTAKEOVERS=2 -DRESTARTS=0
mutant 1 "no drain before final counters" $m -DM_NO_DRAIN -DHANDOVERS=1 -DRESTARTS=0
mutant 1 "no fence before final counters" $m -DM_FINAL_UNFENCED -DRESTARTS=0 -DSLOW=0
mutant 1 "exact counter though the standby's has changed" $m \
	-DM_EXACT_CHANGED -DRESTARTS=0 -DFIRST=1 -DSLOW=0
mutant 1 "the old active resumes on a timeout" $m -DM_RESUME_ON_TIMEOUT -DRESTARTS=0 -DSLOW=0
mutant 1 "a refusal is forgotten" $m \
	-DM_REFUSAL_FORGOTTEN -DHANDOVERS=1 -DRESTARTS=0 -DSLOW=0 -DCAP=2
mutant 1 "a refusal of a node without memory counts" $m \
	-DM_REFUSAL_NO_MEMORY -DHANDOVERS=1 -DSLOW=0

reached 1 "a hand-over uses the exact counter" $m -DRESTARTS=0
reached 2 "a hand-over starts at the lease's end" $m -DRESTARTS=0 -DFIRST=1 -DSLOW=0
reached 3 "a refused hand-over is resumed" $m -DRESTARTS=0
reached 4 "a refusal of a node without memory costs the SA" $m \
	-DHANDOVERS=1 -DSLOW=0
reached 5 "a straggler is dropped by the second fence" $m -DRESTARTS=0

# --- three: a hand-over of three nodes ----------------------------------------------------

m=three
full "three: a hand-over, a takeover" $m -DHANDOVERS=1 -DTAKEOVERS=1 -DLINKS=0 -DRENEWALS=1
full "three: a hand-over, a takeover, a connection ends" $m \
	-DHANDOVERS=1 -DTAKEOVERS=1 -DLINKS=1 -DRENEWALS=0 -DFIRST=2
full "three: two hand-overs" $m -DHANDOVERS=2 -DTAKEOVERS=0 -DLINKS=0 -DRENEWALS=0
full "three: a hand-over, a crash" $m \
	-DHANDOVERS=1 -DTAKEOVERS=0 -DLINKS=0 -DRENEWALS=1 -DRESTARTS=1 -DFIRST=1
long "three: two hand-overs, a connection ends" $m \
	-DHANDOVERS=2 -DTAKEOVERS=0 -DLINKS=1 -DRENEWALS=0
ends "three: every run ends" $m -DHANDOVERS=1 -DTAKEOVERS=0 -DLINKS=1 -DRENEWALS=1

mutant 1 "three: the giver resumes on a timeout" $m \
	-DM_RESUME_ON_TIMEOUT -DTAKEOVERS=0 -DLINKS=0 -DRENEWALS=0
mutant 1 "three: the giver resumes, and what it gave is on its way yet" $m \
	-DM_SAME_CONNECTION -DTAKEOVERS=0 -DLINKS=0 -DRENEWALS=0
mutant 1 "three: an exact number of a hand-over before is taken" $m \
	-DM_OLD_FINAL -DTAKEOVERS=0 -DLINKS=1 -DRENEWALS=0
mutant 1 "three: exact numbers are taken before the epoch is on disk" $m \
	-DM_NOT_ON_DISK -DTAKEOVERS=0 -DLINKS=0 -DRENEWALS=0 -DRESTARTS=1
quick=$deep mutant 1 "three: the giver keeps a range of its own" $m \
	-DM_GIVER_RANGE -DTAKEOVERS=1 -DLINKS=0 -DRENEWALS=1
quick=$deep mutant 1 "three: the giver ignores a third node's newer epoch" $m \
	-DM_THIRD_IGNORED -DTAKEOVERS=1 -DLINKS=0 -DRENEWALS=1
mutant 1 "three: exact numbers are taken though a third node was active since" $m \
	-DM_OUTDATED -DTAKEOVERS=1 -DLINKS=0 -DRENEWALS=1
mutant 1 "three: a member without memory is trusted" $m \
	-DM_HOLE_IGNORED -DTAKEOVERS=0 -DLINKS=0 -DRENEWALS=1 -DRESTARTS=1 -DFIRST=1
mutant 3 "three: equal epochs" $m -DM_EQUAL_EPOCHS -DTAKEOVERS=1 -DLINKS=0 -DRENEWALS=0

reached 1 "three: a hand-over uses the exact number" $m
reached 2 "three: a hand-over that was given is resumed" $m
reached 3 "three: two ask one active" $m -DHANDOVERS=2 -DTAKEOVERS=0 -DLINKS=0 -DRENEWALS=0
reached 4 "three: who gave takes over" $m
reached 5 "three: who is not filled gets no exact number" $m
reached 6 "three: a member without memory costs the SA" $m -DRESTARTS=1
reached 7 "three: at its lease's end an SA has no exact number to give" $m

# --- inbound -----------------------------------------------------------------------------

m=inbound
full "inbound, strict: crash takeovers, restarts" $m -DTAKEOVERS=2 -DRESTARTS=1 -DLAST=5
full "inbound, strict: an active takes a new epoch" $m \
	-DTAKEOVERS=2 -DRESTARTS=0 -DBUMPS=1 -DFIRST=1 -DLAST=4
full "inbound, strict: late, reordered and repeated messages" $m \
	-DTAKEOVERS=1 -DRESTARTS=0 -DGUARDS=2 -DCAP=2 -DLAST=3
full "inbound, strict: planned takeover" $m -DTAKEOVERS=1 -DRESTARTS=1 -DHANDOVERS=1 -DLAST=4
full "inbound, strict, three nodes" $m -DN=3 -DTAKEOVERS=2 -DRESTARTS=0 -DLAST=4
full "inbound, available" $m -DAVAILABLE -DTAKEOVERS=2 -DRESTARTS=1 -DLAST=4
ends "inbound: every run ends" $m -DTAKEOVERS=1 -DRESTARTS=1 -DLAST=3

mutant 2 "no guard" $m -DM_NO_GUARD -DRESTARTS=0 -DLAST=4
mutant 2 "strict: no limit" $m -DM_NO_LIMIT -DRESTARTS=0 -DLAST=4
mutant 2 "a standby delivers what its window lets in" $m -DM_STANDBY_DELIVERS -DRESTARTS=0 -DLAST=4
mutant 2 "inbound: an SA that is not safe is used" $m -DM_UNSAFE_USED -DRESTARTS=0 -DLAST=4
mutant 2 "inbound: restore onto an active" $m -DM_ONTO_ACTIVE -DTAKEOVERS=1 -DLAST=4
mutant 2 "inbound not fenced before the final window" $m \
	-DM_FINAL_UNFENCED -DHANDOVERS=1 -DRESTARTS=0 -DLAST=4
mutant 2 "windows are not merged" $m -DM_NOT_MERGED -DBUMPS=1 -DFIRST=1 -DRESTARTS=0 -DLAST=4
mutant 2 "inbound: a member without memory is trusted" $m -DM_HOLE_IGNORED -DLAST=4
mutant 2 "a late guard replaces a newer one" $m -DM_LATE_GUARD -DRESTARTS=0 -DCAP=2 -DLAST=4
mutant 2 "a smaller guard leaves before the limit shrinks" $m \
	-DM_GUARD_SHRINKS -DRESTARTS=0 -DGUARDS=2 -DLAST=4
mutant 2 "two new actives both accept, three nodes" $m -DN=3 -DM_BOTH_ACCEPT -DRESTARTS=0 -DLAST=4

reached 1 "a passive window goes down" $m -DGUARDS=2 -DLAST=4
reached 2 "a hello brings numbers that the active did not know" $m -DBUMPS=1 -DFIRST=1 -DLAST=4
reached 3 "an SA is exposed" $m -DAVAILABLE -DLAST=4
reached 4 "a planned takeover uses the exact window" $m -DHANDOVERS=1 -DLAST=4

echo "1..$done"
[ $failed -eq 0 ]
