#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Which lines of the module tests reach, on the debug kernel, by gcov: the module is built once
# more, with counters, and each of the tests runs with that one.
#
# usage: run.sh [-m MESSAGES] [-o DIR] [TEST...]
#   -m MESSAGES  of genl-fuzz (50000)
#   -o DIR       logs, *.gcda, and the report (results/coverage)
#   TEST         as kselftest.sh has them (genl-fuzz reader kfaults)
#
#   SEED=1 FAULTS=all  of kfaults; empty: its short form
#
# Exit code: 0 if no test failed and the report (report.py) is content.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$here/../..")
messages=50000 out=$tree/results/coverage
while getopts m:o: opt; do
	case $opt in
	m) messages=$OPTARG ;;
	o) out=$OPTARG ;;
	*) sed -n '6,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- genl-fuzz reader kfaults

kdir=$("$tree/selftests/vm/kernels.sh" kdir debug)
kver=$(<"$kdir/include/config/kernel.release")
objects=$tree/build/coverage/$kver
# What is inlined before the counters are set has its gotos counted with the lines before them.
make --no-print-directory -s -C "$tree" module KDIR="$kdir" KOUT=build/coverage GCOV_PROFILE=y \
	KCFLAGS=-fno-early-inlining
make --no-print-directory -s -C "$tree" build/genl_fuzz
mkdir -p "$out"
rm -f "$out"/*.gcda
rc=0
"$tree/selftests/vm/kselftest.sh" -k debug -o "$out" -e "MODULE=$objects/xfrmsync.ko" \
	-e "XFRMSYNC_SEED=${SEED:-1}" -e "XFRMSYNC_MESSAGES=$messages" \
	-e "XFRMSYNC_FAULTS=${FAULTS-all}" "$@" "$here/collect.sh" || rc=1
/usr/bin/python3 "$here/report.py" "$objects" "$out" "$tree" | tee "$out/report" || rc=1
exit $rc
