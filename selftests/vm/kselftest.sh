#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Runs kselftests in one boot of a VM and prints their TAP.
#
# usage: kselftest.sh -k KERNEL [-t SECONDS] [-T SECONDS] [-s FACTOR] [-o DIR] [-a APPEND]
#                     [-l SECONDS] [-m MB] [-c CPUS] [-i] [-e NAME=VALUE] [-x NAME] [TEST...]
#   -k KERNEL   as in run.sh
#   -t SECONDS  time for each test that does not say how much it needs (120)
#   -T SECONDS  time for each test, whatever it says
#   -l SECONDS  time for all of it (the sum of the tests')
#   -s FACTOR   the kernel is that many times slower (see kernels.sh): more time, fewer SAs
#   -o DIR      results: NAME.tap and NAME.count for each test, total.count, the VM's logs
#               (build/KVER/results); the tests see it as /run/vm
#   -m, -c      as in run.sh
#   -i          count instructions: the guest's clock goes a nanosecond each
#   -e NAME=VALUE   goes into the tests' environment, repeatable
#   -x NAME     without that test, repeatable
#   TEST        a name (smoke) or a file; all in selftests/ that use lib.sh, if none
#
# total.count holds "PASSED FAILED SKIPPED", for whoever sums over kernels. A test that
# did not get to its end, or never began because the VM died, is one failure; so is a
# kernel that complained outside of any test. Exit code: 0 if nothing failed.
#
# Nothing is loaded here. The tests find in their environment: KVER; MODULE, the
# xfrmsync.ko built for it; XFRMSYNC, the tool; BUILD, the build folder of that kernel.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$here/../..")

usage() { sed -n '5,17s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# Unmerged, a cache of the module's own shows what is left in it at rmmod.
kernel='' limit=120 fixed='' most='' slow='' out='' without='' append=slab_nomerge vm=() environment=()
while getopts k:t:T:l:s:o:a:m:c:e:x:i opt; do
	case $opt in
	k) kernel=$OPTARG ;;
	t) limit=$OPTARG ;;
	T) fixed=$OPTARG ;;
	l) most=$OPTARG ;;
	s) slow=$OPTARG ;;
	o) out=$OPTARG ;;
	a) append+=" $OPTARG" ;;
	m | c) vm+=("-$opt" "$OPTARG") ;;
	i) vm+=(--icount 1) ;;
	e) environment+=("$OPTARG") ;;
	x) without+=" $OPTARG " ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ -n "$kernel" ] || usage

found=$("$here/kernels.sh" get "$kernel") || exit 1
read -r _ KVER _ <<<"$found"
read -r _ factor _ < <("$here/kernels.sh" needs "$KVER")
slow=${slow:-$factor}
BUILD=$tree/build/$KVER
MODULE=$BUILD/xfrmsync.ko
XFRMSYNC=$tree/tools/xfrmsync
export KVER BUILD MODULE XFRMSYNC
out=${out:-$BUILD/results}

tests=()
if [ $# -eq 0 ]; then
	while read -r t; do
		[[ $without == *" $(basename "$t" .sh) "* ]] || tests+=("$t")
	done < <(grep -lE '^\. .*/(lib|matrix|lifetimes|campaign)\.sh' "$tree"/selftests/*.sh)
fi
for t in "$@"; do
	case $t in
	*/*) tests+=("$(readlink -f "$t")") ;;
	*)   tests+=("$tree/selftests/${t%.sh}.sh") ;;
	esac
done
[ ${#tests[@]} -gt 0 ] || { echo "kselftest.sh: no tests" >&2; exit 2; }

mkdir -p "$out"
out=$(readlink -f "$out")
rm -f "$out"/*.count "$out"/*.tap

total=$((60 * slow))
for t in "${tests[@]}"; do
	own=$(sed -n 's/^# timeout: \([0-9]*\)$/\1/p' "$t")
	total=$((total + ${fixed:-${own:-$limit}} * slow))
done
[ -z "$most" ] || [ "$total" -lt "$most" ] || total=$most
"$here/run.sh" -k "$kernel" -o "$out" -t "$total" -a "$append" "${vm[@]}" -- \
	env KVER="$KVER" BUILD="$BUILD" MODULE="$MODULE" XFRMSYNC="$XFRMSYNC" \
	XFRMSYNC_SLOW="$slow" XFRMSYNC_LIMIT="$fixed" "${environment[@]}" \
	"$here/guest-kselftest.sh" /run/vm "$limit" "${tests[@]}"
rc=$?

passed=0 failed=0 skipped=0
for t in "${tests[@]}"; do
	name=$(basename "$t" .sh)
	if ! read -r p f s 2>/dev/null <"$out/$name.count"; then
		echo "not ok - $name: did not get to its end"
		p=0 f=1 s=0
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
if [ $rc -ne 0 ] && [ $failed -eq 0 ]; then
	echo "not ok - the VM: exit code $rc"
	failed=1
fi
echo "# $KVER: $passed passed, $failed failed, $skipped skipped"
echo "$passed $failed $skipped" >"$out/total.count"
[ $failed -eq 0 ]
