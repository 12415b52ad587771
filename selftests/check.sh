#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make check`: builds for both of Debian's kernels and for one full of checks, boots them
# and runs the kselftests there: all of them on Debian's (many on one of the two only), a
# part on the slow one, where that was built before (it is skipped where not: `make
# debug-kernel`); beside that what runs on the host. Ends with one line that sums all of it,
# "N passed, N failed, N skipped", and exits 1 if anything failed.
#
# usage: check.sh [long]    long: all kselftests on every kernel, the data race detector's too
#
# The logs stay in results/check/. A step that is no test (a build, the spec) is one
# result; a step that prints TAP counts as what its TAP says.
set -uo pipefail

# On the debug kernel, by what they reach of the module in what time: two VMs, as long as
# each other, and a third one for the detectors themselves. Each run has other allocations that
# fail, by its seed; all of them, and more rounds, are make abuse's.
PART=(restore genl-fuzz kfaults) PART2=(smoke reader churn)
part=(-e XFRMSYNC_FAULTS=4 -e XFRMSYNC_ROUNDS=1)

tree=$(dirname "$(readlink -f "$0")")/..
cd "$tree" || exit
logs=$PWD/results/check
long=${1:-}
rm -rf "$logs"
mkdir -p "$logs"

passed=0 failed=0 skipped=0 broken=()
# What is in none of these runs on both of Debian's kernels. Most take long, or ask the daemon
# more than the kernel: one of the kernels is enough for each commit. Three VMs, as long as
# each other; the second one of 6.12 has those that wait most, and one processor.
on_6_1=(campaign-strict three-lease three-ranges matrix-file lifetimes-file lease lease-distance
	lease-gso reload save conflict map sync flood verbs watchdog keys privileges policies exposed hidden
	fence-late abuse reader records restore lifecycle campaign)
on_6_12=(campaign-sharp ready matrix split lifetimes lease-settings leave unsupported fence-paths pmtu
	genl-fuzz ynl wishes load many service switchover three peers fence-hooks)
on_6_12_2=(helper guard hostile ike ike-both ike-flight ike-lab ike-many takeover migrate)
# What has to come about within a tenth of a second has a VM that is not beside two others.
alone=(async)
# On the debug kernel only: for it asks nothing that differs, or of what only that one has.
on_debug=(churn kfaults)
not_on_6_1=() not_on_6_12=()
for name in "${on_6_12[@]}" "${on_6_12_2[@]}" "${on_debug[@]}" "${alone[@]}"; do not_on_6_1+=(-x "$name"); done
for name in "${on_6_1[@]}" "${on_6_12_2[@]}" "${on_debug[@]}" "${alone[@]}"; do not_on_6_12+=(-x "$name"); done
if [ "${1-}" = long ]; then
	not_on_6_1=(-e XFRMSYNC_SPLIT=all) not_on_6_12=(-e XFRMSYNC_SPLIT=all)
fi
make=(make --no-print-directory)

count() { # NAME PASSED FAILED SKIPPED
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
	[ "$3" -eq 0 ] || broken+=("$1")
}

section() { printf '\n=== %s\n' "$*"; }

# What hangs fails, in a time that no slow machine needs.
limited=(timeout -k 10)

step() { # NAME CMD...: one result
	section "$1"
	if "${@:2}" 2>&1 | tee "$logs/$1.log"; then
		echo "ok - $1"
		count "$1" 1 0 0
	else
		echo "not ok - $1"
		count "$1" 0 1 0
		return 1
	fi
}

tap_step() { # NAME CMD...: as many as its TAP has
	local rc p f s

	section "$1"
	"${@:2}" 2>&1 | tee "$logs/$1.log"
	rc=$?
	read -r p f s < <(awk -f selftests/tap-count.awk "$logs/$1.log")
	if [ $rc -ne 0 ] && [ "$f" -eq 0 ]; then
		echo "not ok - $1: exit code $rc"
		f=1
	fi
	echo "# $1: $p passed, $f failed, $s skipped"
	count "$1" "$p" "$f" "$s"
}

vm_count() { # NAME
	local p=0 f=1 s=0

	[ ! -s "$logs/vm-$1/total.count" ] || read -r p f s <"$logs/vm-$1/total.count"
	count "kselftest $1" "$p" "$f" "$s"
}

# What was compiled before is not compiled again, in whatever folder it stands.
export PATH=/usr/lib/ccache:$PATH CCACHE_DIR=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/ccache
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=2G

# Asked once for all VMs.
read -r _ _ vmlinuz _ initrd < <(selftests/vm/kernels.sh get 6.12)
XFRMSYNC_ACCEL=$(selftests/vm/accel.sh "$vmlinuz" "$initrd") || exit 1
export XFRMSYNC_ACCEL
echo "VMs run on $XFRMSYNC_ACCEL"

declare -A pids=()
trap '[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null' EXIT

background() { # NAME CMD...
	"${@:2}" >"$logs/$1.run" 2>&1 &
	pids[$1]=$!
}

ended() { # NAME
	local rc

	wait "${pids[$1]}"
	rc=$?
	unset "pids[$1]"
	return $rc
}

finished() { # NAME: as many results as its TAP has
	ended "$1"
	# shellcheck disable=SC2016 # the inner shell's arguments
	tap_step "$1" sh -c 'cat "$1"; exit "$2"' _ "$logs/$1.run" $?
}

# What hangs in a kernel ends no test, and has to leave time to tell of it.
most=(-l 3600)
[ "$long" != long ] || most=()

vm() { # NAME SERIES [TEST...]
	selftests/vm/kselftest.sh "${most[@]}" -k "$2" -o "$logs/vm-$1" "${@:3}" 2>&1
}

# Emulated, a VM is one thread, which waits for time to pass at times: three of them fill two
# cores. One is shown as it runs, the others (vm_background NAME ...) after it.
vm_shown() { # NAME SERIES [TEST...]
	section "kselftest $1"
	vm "$@" | tee "$logs/vm-$1.log"
	vm_count "$1"
}

vm_background() { background "vm-$1" vm "$@"; }

vm_finished() { # NAME
	section "kselftest $1"
	ended "vm-$1"
	cat "$logs/vm-$1.run"
	vm_count "$1"
}

# shellcheck disable=SC2317 # in the background
model() { # the same files have the same states
	local found

	found=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/model-$({
		spin -V
		gcc --version
		cat Documentation/model/*
	} | sha256sum | cut -c1-32)
	if [ -z "$long" ] && [ -s "$found" ]; then
		echo "# of these files, as they were found before:"
		cat "$found"
		return
	fi
	renice -n 19 $BASHPID >/dev/null
	"${make[@]}" model LONG="${long:+1}" >"$logs/model.new" || { cat "$logs/model.new"; return 1; }
	cat "$logs/model.new"
	[ -n "$long" ] || cp "$logs/model.new" "$found"
}
# One thread, of minutes: beside the builds, which are another.
background model model

step spec "${make[@]}" spec
step build-6.1 "${make[@]}" module-6.1 offload-6.1
step build-6.12 "${make[@]}" module-6.12 offload-6.12
step build-tool "${make[@]}" tool build/genl_fuzz build/bench/packets build/bench/records build/bench/own
# Of campaign-sharp, for the kernels that run it.
step build-sharp "${make[@]}" sharp HEADROOM=2 K=6.12
[ "$long" != long ] || step build-sharp-6.1 "${make[@]}" sharp HEADROOM=2 K=6.1
# Minutes of both cores, where it is not in the cache.
debug='' kcsan=''
if [ "$long" != long ] && ! selftests/vm/debug-kernel.sh -q >/dev/null; then
	section debug-kernel
	echo "ok - debug-kernel # SKIP it was not built here yet: make debug-kernel"
	count debug-kernel 0 0 1
	step build-bugs selftests/detectors/run.sh -b 6.12
elif step debug-kernel "${make[@]}" debug-kernel && step build-debug "${make[@]}" module-debug offload-debug; then
	debug=1
fi
if [ "$long" = long ] && step kcsan-kernel "${make[@]}" debug-kernel VARIANT=kcsan &&
	step build-kcsan "${make[@]}" module-kcsan offload-kcsan; then
	kcsan=1
fi

# What needs no VM has what these leave of the processors, and is shown after them.
calls=40
[ "$long" != long ] || calls=0
apart() { # NAME CMD...
	"${@:2}" >"$logs/$1.run" 2>&1
	echo $? >"$logs/$1.rc"
}
# shellcheck disable=SC2317 # in the background
apart_all() {
	renice -n 19 $BASHPID >/dev/null
	apart lint "${make[@]}" lint
	apart unit "${limited[@]}" 1800 env CMOCKA_MESSAGE_OUTPUT=TAP "${make[@]}" -k -C tools check
	apart big-endian "${limited[@]}" 3600 "${make[@]}" check-be
	apart fuzz "${limited[@]}" 3600 "${make[@]}" fuzz RUNS=100000
	apart faults "${limited[@]}" 3600 env MOST="$calls" selftests/faults/run.sh
	apart judge "${limited[@]}" 3600 /usr/bin/python3 selftests/judge/judge_test.py
	apart campaign-judge "${limited[@]}" 1800 /usr/bin/python3 selftests/judge/campaign_test.py
}
background apart apart_all

vm_background 6.1 6.1 "${not_on_6_1[@]}"
[ -n "$long" ] || vm_background 6.12-2 6.12 -c 1 "${on_6_12_2[@]}"
vm_shown 6.12 6.12 "${not_on_6_12[@]}"
vm_finished 6.1
[ -n "$long" ] || vm_finished 6.12-2
finished model
# Labels of SAs are SELinux's; it is there where it is asked for, and AppArmor is not then.
selinux=(-a security=selinux -e "XFRMSYNC_MATRIX=security context" matrix matrix-file)
vm_background takeover-cost 6.12 -i -e "BENCH_SAS=100 500" selftests/bench/takeover.sh
# Instructions are as many on a busy machine.
background bench-gate "${limited[@]}" 1800 selftests/bench/run.sh -g -k 6.12
vm_shown selinux-6.1 6.1 "${selinux[@]}"
vm_shown selinux-6.12 6.12 "${selinux[@]}"
vm_finished takeover-cost
finished bench-gate
[ -n "$long" ] || vm_shown alone 6.12 "${alone[@]}"
# As many of them as the documents have.
if [ "$long" = long ]; then
	vm_shown ike-peers 6.12 -m 4096 -T 3000 -e XFRMSYNC_PEERS=50 ike-lab
	vm_shown ike-sas 6.12 -m 4096 -T 3000 -e XFRMSYNC_IKE_SAS=2000 ike-many
fi

[ "$long" != long ] || ! step upstream-tests selftests/upstream/get.sh ||
	vm_shown upstream 6.12 "$PWD/selftests/upstream/upstream.sh"

[ -z "$debug" ] || background detectors selftests/detectors/run.sh -o "$logs/vm-detectors"
[ -z "$kcsan" ] || vm_background kcsan kcsan
if [ "$debug$long" = 1 ]; then
	vm_background debug-2 debug "${part[@]}" "${PART2[@]}"
	vm_shown debug debug "${part[@]}" "${PART[@]}"
	vm_finished debug-2
elif [ -n "$debug" ]; then
	vm_shown debug debug -e XFRMSYNC_FAULTS=all
fi
[ -z "$debug" ] || finished detectors
if [ -n "$kcsan" ]; then
	vm_finished kcsan
	tap_step detectors-kcsan selftests/detectors/run.sh -k kcsan -o "$logs/vm-detectors-kcsan"
fi

section "without a VM"
ended apart
for name in lint unit big-endian fuzz faults judge campaign-judge; do
	# shellcheck disable=SC2016 # the inner shell's arguments
	tap_step "$name" sh -c 'cat "$1.run"; exit "$(cat "$1.rc")"' _ "$logs/$name"
done

section "all ($((SECONDS / 60)) min $((SECONDS % 60)) s)"
[ ${#broken[@]} -eq 0 ] || printf 'failed in: %s\n' "${broken[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
