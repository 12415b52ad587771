#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make abuse`: the long form of all that is there to break the module and the tool, hours of it,
# and its record: the commit, the command, the kernel, seeds, counts, time, findings. Each part
# can be run by itself, on another day; the record has the last run of each.
#
# usage: run.sh [PART...]    all of them, if none; in this order:
#   genl       messages to the family, made from its specification, on the debug kernel
#   coverage   which lines of the module those and failing allocations reach
#   kfaults    allocations that fail in the kernel: every one
#   churn      namespaces, module, SAs and readers come and go, on the debug kernel
#   detectors, detectors-kcsan   each detector sees the module
#   many       100,000 SAs
#   upstream   the kernel's own tests
#   faults     calls of libc that fail: every one
#   fuzz       each of libFuzzer's harnesses
#
#   SEED=1 MESSAGES=1000000 (genl) RUNS=10000000 (fuzz) ROUNDS=40 (churn) TUNNELS=50000 (many)
#
# results/abuse/: record, and for each part PART.log, PART.record. Exit code: 0 if nothing of what
# was run has failed.
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit
out=results/abuse
seed=${SEED:-1}
all=(genl coverage kfaults churn detectors detectors-kcsan many upstream faults fuzz)

make=(make --no-print-directory)

build() { "${make[@]}" -s "$@" >"$out/build.log" 2>&1 || { tail -n 20 "$out/build.log"; return 1; }; }

run() { # CMD...: what counts, as it stands in the record
	echo "+ $*"
	"$@"
}

vm() { # KERNEL TEST [OPTION...]
	build "module-$1" "offload-$1" tool build/genl_fuzz &&
		run selftests/vm/kselftest.sh -k "$1" -o "$out/vm-$part" -e "XFRMSYNC_SEED=$seed" "${@:3}" "$2"
}

# -T: for an emulated machine, times what the debug kernel is slower (kernels.sh).
one() {
	case $part in
	genl) vm debug genl-fuzz -T 2000 -e "XFRMSYNC_MESSAGES=${MESSAGES:-1000000}" ;;
	coverage) run selftests/coverage/run.sh -o "$out/coverage" ;;
	kfaults) vm debug kfaults -T 1200 -e XFRMSYNC_FAULTS=all ;;
	churn) vm debug churn -T 1200 -e "XFRMSYNC_ROUNDS=${ROUNDS:-40}" ;;
	detectors) run selftests/detectors/run.sh -o "$out/vm-$part" ;;
	detectors-kcsan) run selftests/detectors/run.sh -k kcsan -o "$out/vm-$part" ;;
	many) vm 6.12 many -m 4096 -T 3000 -e "XFRMSYNC_TUNNELS=${TUNNELS:-50000}" ;;
	upstream) run "${make[@]}" upstream ;;
	faults) run "${make[@]}" faults MOST=0 ;;
	fuzz) run "${make[@]}" fuzz "RUNS=${RUNS:-10000000}" "SEED=$seed" ;;
	esac
}

# Lines of the log that are figures: how many there were of something.
figures() {
	local of='messages in|plain, taken|SAs made|gave up|allocations, |failed in|executions, seed|of [0-9]+ calls|XFRMSYNC_SEED'

	grep -aE "^# .*($of|KiB: |results\$|SAs told)" "$1" || true
	grep -aE '^(all +[0-9]+ of |error labels not reached)' "$1" || true
}

kernel() {
	local of=debug

	case $part in
	detectors-kcsan) of=kcsan ;;
	many | upstream) of=6.12 ;;
	faults | fuzz) echo "$(uname -r), no VM"; return ;;
	esac
	sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
		"$(selftests/vm/kernels.sh kdir $of)/include/generated/utsrelease.h"
}

commit() {
	echo "$(git log -1 --format='%h (%s)')$(git diff --quiet HEAD || echo ', changed')"
}

record() { # RC SECONDS WHEN: of $part, from its log
	local log=$out/$part.log p f s

	read -r p f s < <(awk -f selftests/tap-count.awk "$log")
	[ "$1" -eq 0 ] || [ "$f" -gt 0 ] || f=1
	printf '%s: %s passed, %s failed, %s skipped\n' "$part" "$p" "$f" "$s"
	printf '  commit   %s\n' "$(commit)"
	printf '  command  %s\n' "$(sed -n 's/^+ //p' "$log")"
	printf '  kernel   %s\n' "$(kernel)"
	printf '  begun    %s, %d min %d s\n' "$3" $(($2 / 60)) $(($2 % 60))
	figures "$log" | sed 's/^\(# \)\?/  /'
	grep -aE '^not ok' "$log" | sed 's/^/  finding  /' || echo '  finding  none'
}

[ $# -gt 0 ] || set -- "${all[@]}"
for part; do
	[[ " ${all[*]} " == *" $part "* ]] || { echo "abuse: no part $part: ${all[*]}" >&2; exit 2; }
done
mkdir -p "$out"
failed=0
for part; do
	echo "=== $part"
	begun=$(date '+%F %H:%M') SECONDS=0
	one 2>&1 | tee "$out/$part.log"
	rc=${PIPESTATUS[0]}
	record "$rc" $SECONDS "$begun" >"$out/$part.record"
	[ "$rc" -eq 0 ] || failed=1
done
for part in "${all[@]}"; do
	cat "$out/$part.record" 2>/dev/null || printf '%s: not run\n' "$part"
done | tee "$out/record"
exit $failed
