#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make check`: builds for both of Debian's kernels and for one full of checks, runs what
# runs on the host, boots the kernels and runs the kselftests there: all of them on Debian's
# (many on one of the two only), a part on the slow one, where that was
# built before (it is skipped where not: `make debug-kernel`). Ends with one line that sums
# all of it, "N passed, N failed, N skipped", and exits 1 if anything failed.
#
# usage: check.sh [long]    long: all kselftests on every kernel, the data race detector's too
#
# The logs stay in results/check/. A step that is no test (a build, the spec) is one
# result; a step that prints TAP counts as what its TAP says.
set -uo pipefail

# On the debug kernel, by what they reach of the module in what time: two VMs, as long as
# each other.
PART=(lifecycle restore abuse reader) PART2=(records churn)

tree=$(dirname "$(readlink -f "$0")")/..
cd "$tree" || exit
logs=$PWD/results/check
long=${1:-}
rm -rf "$logs"
mkdir -p "$logs"

passed=0 failed=0 skipped=0 broken=()
# Each kernel has its own of those that take long, or that ask the daemon more than the kernel.
on_6_1=(campaign-strict switchover three three-lease three-ranges matrix-file lifetimes-file lease lease-distance
	lease-gso reload save conflict map sync peers flood verbs watchdog keys privileges policies exposed hidden)
on_6_12=(campaign-sharp guard ready matrix split lifetimes async lease-settings leave unsupported migrate
	fence-paths pmtu genl-fuzz takeover churn ynl wishes hostile load service)
not_on_6_1=() not_on_6_12=()
for name in "${on_6_12[@]}"; do not_on_6_1+=(-x "$name"); done
for name in "${on_6_1[@]}"; do not_on_6_12+=(-x "$name"); done
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
most=(-l 2700)
[ "$long" != long ] || most=()

vm() { # NAME SERIES [TEST...]
	selftests/vm/kselftest.sh "${most[@]}" -k "$2" -o "$logs/vm-$1" "${@:3}" 2>&1
}

# Emulated, a VM is one busy thread: two of them fill two cores. One is shown as it runs,
# the other one (vm_background NAME ...) after it.
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

# One thread, of minutes: beside the builds, which are another.
background model "${make[@]}" model LONG="${long:+1}"

step spec "${make[@]}" spec
step build-6.1 "${make[@]}" module-6.1 offload-6.1
step build-6.12 "${make[@]}" module-6.12 offload-6.12
step build-tool "${make[@]}" tool
# Of campaign-sharp, for the kernels that run it.
step build-sharp "${make[@]}" sharp HEADROOM=2 K=6.12
[ "$long" != long ] || step build-sharp-6.1 "${make[@]}" sharp HEADROOM=2 K=6.1
# Minutes of both cores, where it is not in the cache.
debug='' kcsan=''
if [ "$long" != long ] && ! selftests/vm/debug-kernel.sh -q >/dev/null; then
	section debug-kernel
	echo "ok - debug-kernel # SKIP it was not built here yet: make debug-kernel"
	count debug-kernel 0 0 1
elif step debug-kernel "${make[@]}" debug-kernel && step build-debug "${make[@]}" module-debug offload-debug; then
	debug=1
	background detectors selftests/detectors/run.sh -o "$logs/vm-detectors"
fi
if [ "$long" = long ] && step kcsan-kernel "${make[@]}" debug-kernel VARIANT=kcsan &&
	step build-kcsan "${make[@]}" module-kcsan offload-kcsan; then
	kcsan=1
fi

tap_step lint "${make[@]}" lint
tap_step unit "${limited[@]}" 600 env CMOCKA_MESSAGE_OUTPUT=TAP "${make[@]}" -k -C tools check
tap_step big-endian "${limited[@]}" 1200 "${make[@]}" check-be
tap_step fuzz "${limited[@]}" 1200 "${make[@]}" fuzz RUNS=100000
calls=40
[ "$long" != long ] || calls=0
tap_step faults "${limited[@]}" 1800 env MOST="$calls" selftests/faults/run.sh
if [ -f selftests/judge/judge_test.py ]; then
	tap_step judge "${limited[@]}" 1200 /usr/bin/python3 selftests/judge/judge_test.py
	tap_step campaign-judge "${limited[@]}" 600 /usr/bin/python3 selftests/judge/campaign_test.py
fi

[ -z "$debug" ] || finished detectors
vm_background 6.1 6.1 "${not_on_6_1[@]}"
finished model
vm_shown 6.12 6.12 "${not_on_6_12[@]}"
vm_finished 6.1
# Labels of SAs are SELinux's; it is there where it is asked for, and AppArmor is not then.
selinux=(-a security=selinux -e "XFRMSYNC_MATRIX=security context" matrix matrix-file)
vm_background takeover-cost 6.12 -i -e "BENCH_SAS=100 1000" selftests/bench/takeover.sh
vm_shown selinux-6.1 6.1 "${selinux[@]}"
vm_shown selinux-6.12 6.12 "${selinux[@]}"
vm_finished takeover-cost

[ "$long" != long ] || ! step upstream-tests selftests/upstream/get.sh ||
	vm_shown upstream 6.12 "$PWD/selftests/upstream/upstream.sh"

[ -z "$kcsan" ] || vm_background kcsan kcsan
if [ "$debug$long" = 1 ]; then
	vm_background debug-2 debug "${PART2[@]}"
	vm_shown debug debug "${PART[@]}"
	vm_finished debug-2
elif [ -n "$debug" ]; then
	vm_shown debug debug
fi
if [ -n "$kcsan" ]; then
	vm_finished kcsan
	tap_step detectors-kcsan selftests/detectors/run.sh -k kcsan -o "$logs/vm-detectors-kcsan"
fi

section "all ($((SECONDS / 60)) min $((SECONDS % 60)) s)"
[ ${#broken[@]} -eq 0 ] || printf 'failed in: %s\n' "${broken[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
