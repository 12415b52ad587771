#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Runs the libFuzzer harnesses of tools/fuzz/ under ASan and UBSan, one after the other,
# each from its committed corpus, or what its NAME_seeds makes. Prints TAP; a finding stays
# in results/fuzz*/NAME/.
#
# usage: fuzz.sh [NAME...]    context, frame, file, ...; default: all of them
#
#   SEED=1     of libFuzzer's random numbers
#   TIME=20    seconds for each harness
#   RUNS=N     executions of each harness, however long they take; a tenth of it of peer,
#              whose executions are lives of a daemon
#   ARCH=s390x on a big-endian machine, by qemu-user, where ASan does not run
#   KEEP=1     what is new in coverage goes into tools/fuzz/corpus/NAME, in few files
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/.." || exit
# shellcheck source=selftests/s390x.sh
. selftests/s390x.sh
# Of what was freed ASan keeps no more than the processor's cache holds: with the 256 MB that it keeps
# as a rule most harnesses take twice as long, and 16 MB is many executions, too. Nor does it note who
# asked for memory further than the caller: a finding's file, run by itself, tells.
export ASAN_OPTIONS=quarantine_size_mb=16:malloc_context_size=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}
seed=${SEED:-1} time=${TIME:-20} runs=${RUNS-} keep=${KEEP-} arch=${ARCH-}
build=build/fuzz${arch:+-$arch} results=results/fuzz${arch:+-$arch}
run=()

if [ $# -eq 0 ]; then
	for f in tools/fuzz/*_fuzz.c; do
		f=$(basename "$f")
		set -- "$@" "${f%_fuzz.c}"
	done
fi

final() { sed -n "s/^stat::$2: *//p" "$1" | tail -n 1; }

runs_of() { # NAME
	if [ "$1" = peer ]; then echo $((runs / 10 + 1)); else echo "$runs"; fi
}

# A leak is a finding, too: the daemon runs for years.
fuzz() { # NAME
	local from=(tools/fuzz/corpus/"$1") out=$results/$1 rc
	local limit=(-max_total_time="$time")

	[ -z "$runs" ] || limit=(-runs="$(runs_of "$1")")
	rm -rf "$out"
	mkdir -p "$out/new" "${from[0]}"
	if [ -x "$build/$1_seeds" ]; then
		mkdir "$out/seeds"
		(cd tools && "${run[@]}" "../$build/$1_seeds" "../$out/seeds") || return
		from+=("$out/seeds")
	fi
	"${run[@]}" "$build/$1_fuzz" -seed="$seed" "${limit[@]}" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$out/" "$out/new" "${from[@]}" >"$out/log" 2>&1
	rc=$?
	if [ $rc -ne 0 ]; then
		grep -aE 'ERROR|Assertion|runtime error|SUMMARY|Test unit written' "$out/log" | sed 's/^/# /'
		return 1
	fi
	echo "# $1: $(final "$out/log" number_of_executed_units) executions, seed $seed," \
		"$(final "$out/log" average_exec_per_sec) a second"
	[ -z "$keep" ] || merge "$1"
}

merge() { # NAME
	local corpus=tools/fuzz/corpus/$1 out=$results/$1

	mkdir "$out/merged"
	"$build/$1_fuzz" -use_counters=0 -merge=1 "$out/merged" "$corpus" "$out/new" >>"$out/log" 2>&1 || return
	rm -rf "$corpus"
	mv "$out/merged" "$corpus"
}

make_fuzzers() {
	if [ -z "$arch" ]; then
		make --no-print-directory -s -j2 -C tools fuzzers
		return
	fi
	run=(s390x_run)
	s390x_get && s390x_make fuzzers FUZZ_BUILD="../$build" FUZZ_CC="$s390x_clang" \
		SANITIZE=undefined FUZZ_CFLAGS="$s390x_cflags" FUZZ_LDFLAGS="$s390x_ldflags"
}

make_fuzzers || { echo "Bail out! fuzz: no harness"; exit 1; }
echo "1..$#"
n=0 failed=0
for name; do
	n=$((n + 1))
	if fuzz "$name"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		failed=1
	fi
done
exit $failed
