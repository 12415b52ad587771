#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make check`: builds for both of Debian's kernels and for one full of checks, runs what
# runs on the host, boots the kernels and runs the kselftests there: all of them on Debian's
# (one that takes minutes on one of the two), a part on the slow one. Ends with one line that sums all of it, "N passed, N failed,
# N skipped", and exits 1 if anything failed.
#
# usage: check.sh [long]    long: all kselftests on every kernel, the data race detector's too
#
# The logs stay in results/check/. A step that is no test (a build, the spec) is one
# result; a step that prints TAP counts as what its TAP says.
set -uo pipefail

# On the debug kernel, by what they reach of the module in what time.
PART=(smoke lifecycle records)

tree=$(dirname "$(readlink -f "$0")")/..
cd "$tree" || exit
logs=$PWD/results/check
long=${1:-}
rm -rf "$logs"
mkdir -p "$logs"

passed=0 failed=0 skipped=0 broken=()
# Of the long ones, each kernel has its own.
not_on_6_1=(-x matrix -x split -x lifetimes) not_on_6_12=(-x matrix-file -x three)
if [ "${1-}" = long ]; then
	not_on_6_1=(-e XFRMSYNC_SPLIT=all) not_on_6_12=(-e XFRMSYNC_SPLIT=all)
fi
make=(make --no-print-directory)

count() { # NAME PASSED FAILED SKIPPED
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
	[ "$3" -eq 0 ] || broken+=("$1")
}

section() { printf '\n=== %s\n' "$*"; }

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

vm_count() { # SERIES
	local p=0 f=1 s=0

	[ ! -s "$logs/vm-$1/total.count" ] || read -r p f s <"$logs/vm-$1/total.count"
	count "kselftest $1" "$p" "$f" "$s"
}

# Asked once for all VMs.
read -r _ _ vmlinuz _ initrd < <(selftests/vm/kernels.sh get 6.12)
XFRMSYNC_ACCEL=$(selftests/vm/accel.sh "$vmlinuz" "$initrd") || exit 1
export XFRMSYNC_ACCEL
echo "VMs run on $XFRMSYNC_ACCEL"

other=''
trap '[ -z "$other" ] || kill $other 2>/dev/null' EXIT

background() { # NAME CMD...: one at a time
	"${@:2}" >"$logs/$1.run" 2>&1 &
	other=$!
}

finished() { # NAME: as many results as its TAP has
	wait "$other"
	# shellcheck disable=SC2016 # the inner shell's arguments
	tap_step "$1" sh -c 'cat "$1"; exit "$2"' _ "$logs/$1.run" $?
	other=''
}

vm() { # SERIES [TEST...]
	selftests/vm/kselftest.sh -k "$1" -o "$logs/vm-$1" "${@:2}" 2>&1
}

shown() { # SERIES [TEST...]
	section "kselftest $1"
	vm "$@" | tee "$logs/vm-$1.log"
	vm_count "$1"
}

# One thread, of minutes: beside the builds, which are another.
background model "${make[@]}" model

step spec "${make[@]}" spec
step build-6.1 "${make[@]}" module-6.1
step build-6.12 "${make[@]}" module-6.12
step debug-kernel "${make[@]}" debug-kernel
step build-debug "${make[@]}" module-debug
if [ "$long" = long ]; then
	step kcsan-kernel "${make[@]}" debug-kernel VARIANT=kcsan
	step build-kcsan "${make[@]}" module-kcsan
fi
step build-tool "${make[@]}" tool

tap_step lint "${make[@]}" lint
tap_step unit env CMOCKA_MESSAGE_OUTPUT=TAP "${make[@]}" -k -C tools check
tap_step big-endian "${make[@]}" check-be
tap_step fuzz "${make[@]}" fuzz RUNS=100000
if [ -f selftests/judge/judge_test.py ]; then
	tap_step judge /usr/bin/python3 selftests/judge/judge_test.py
fi

finished model

# Emulated, a VM is one busy thread: two of them fill two cores. One is shown as it runs,
# the other one after it.
background vm-6.1 vm 6.1 "${not_on_6_1[@]}"
shown 6.12 "${not_on_6_12[@]}"
section "kselftest 6.1"
wait "$other"
other=''
cat "$logs/vm-6.1.run"
vm_count 6.1

background detectors selftests/detectors/run.sh -o "$logs/vm-detectors"
if [ "$long" = long ]; then shown debug; else shown debug "${PART[@]}"; fi
finished detectors
if [ "$long" = long ]; then
	background detectors-kcsan selftests/detectors/run.sh -k kcsan -o "$logs/vm-detectors-kcsan"
	shown kcsan
	finished detectors-kcsan
fi

section "all ($((SECONDS / 60)) min $((SECONDS % 60)) s)"
[ ${#broken[@]} -eq 0 ] || printf 'failed in: %s\n' "${broken[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
