#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Runs benches in VMs whose clock counts instructions, one boot a kernel, and tells what came
# of it: a table, results/bench.json, plots of what growth measured.
#
# usage: run.sh [-g | -r] [-k KERNEL]... [BENCH...]
#   -k KERNEL   as in run.sh of the VMs, repeatable (6.12 and 6.1)
#   -g          gate: fails where a figure is more than 2 % above selftests/bench/baseline.json
#   -r          record: what was measured is the baseline of these kernels from now on
#   BENCH       records, packets, takeover, growth, lag (all of them); not for -g and -r
#
# Both -g and -r run a short form of records: 300 SAs, three repeats, without the kernel's own
# means. What it measures differs from the long form's (what is once for all is shared by fewer),
# so it has figures of its own; they go to results/bench-gate/.
#
# Modules, tool and programs are built before (make bench). Exit code: 0 if no bench failed,
# and no figure for the gate. A limit that is not met is marked in the table, and no failure.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$here/../..")
baseline=$here/baseline.json
out=$tree/results/bench

usage() { sed -n '6,10p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }

kernels=() judge=() environment=()
while getopts gk:r opt; do
	case $opt in
	g | r) judge=("-$opt" "$baseline") ;;
	k) kernels+=("$OPTARG") ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ ${#kernels[@]} -gt 0 ] || kernels=(6.12 6.1)
benches=("$@")
if [ ${#judge[@]} -gt 0 ]; then
	[ $# -eq 0 ] || usage
	benches=(records)
	out+=-gate
	environment=(-e BENCH_SHORT=1 -e BENCH_N=300 -e BENCH_MANY=1000 -e BENCH_REPEATS=3)
else
	[ $# -gt 0 ] || benches=(records packets takeover growth lag)
	for name in ${!BENCH_*}; do environment+=(-e "$name=${!name}"); done
fi

tests=("${benches[@]/#/$here/}")
tests=("${tests[@]/%/.sh}")
mkdir -p "$out"
rm -f "$out"/*/*.figures	# of a run before
failed=0
for kernel in "${kernels[@]}"; do
	found=$("$tree/selftests/vm/kernels.sh" get "$kernel") || exit 1
	read -r _ version _ <<<"$found"
	"$tree/selftests/vm/kselftest.sh" -k "$kernel" -o "$out/$version" -i \
		${BENCH_MB:+-m "$BENCH_MB"} "${environment[@]}" "${tests[@]}" || failed=1
done
"$here/report.py" "${judge[@]}" -o "$out.json" "$out" || failed=1
if compgen -G "$out/*/growth.figures" >/dev/null; then
	"$here/plot.py" "$out.json" "$out" || failed=1
fi
exit $failed
