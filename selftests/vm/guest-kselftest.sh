#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: runs tests one after another, prints their TAP, and writes for each
# RESULTS/NAME.tap and RESULTS/NAME.count ("PASSED FAILED SKIPPED"). A test also fails
# when its TAP is not as planned, when it dies or takes too long, when the kernel
# complains beside it, when the module cannot be unloaded after it, and when memory leaked.
#
# usage: guest-kselftest.sh RESULTS TIMEOUT TEST...
# The test's environment: KVER, MODULE, XFRMSYNC, BUILD, XFRMSYNC_SLOW (set by
# kselftest.sh). A test that needs more time than TIMEOUT says so in a line "# timeout: SECONDS";
# XFRMSYNC_LIMIT, if it is not empty, is above both.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
results=$1 default_limit=$2
shift 2

dmesg_since() { dmesg | sed -n "\|$1|,\$p"; }

# What one test leaves must not be held against the next.
unload_leftover() {
	[ -d /sys/module/xfrmsync ] || return 0
	echo "# left the module loaded"
	rmmod xfrmsync
}

run_test() { # NAME FILE
	local tap=$results/$1.tap pipe=/run/kselftest.$1 mark="kselftest-start $1 $RANDOM" start=$SECONDS
	local limit reader rc splats leaks p f s c complaints=()

	limit=$(sed -n 's/^# timeout: \([0-9]*\)$/\1/p' "$2")
	limit=${XFRMSYNC_LIMIT:-${limit:-$default_limit}}
	limit=$((limit * ${XFRMSYNC_SLOW:-1}))
	echo "# --- $1"
	echo "$mark" >/dev/kmsg
	mkfifo "$pipe"
	tee "$tap" <"$pipe" &
	reader=$!
	timeout -k 10 "$limit" "$2" </dev/null >"$pipe" 2>&1
	rc=$?
	# What the test left in the background may hold the pipe: no need to wait for that.
	timeout 2 tail --pid=$reader -s 0.1 -f /dev/null
	rm "$pipe"

	case $rc in
	0 | 1 | 2 | 4) ;; # pass, fail, xfail, skip: the TAP says which
	124 | 137) complaints+=("took more than $limit s") ;;
	*) complaints+=("died with exit code $rc") ;;
	esac
	unload_leftover || complaints+=("the module cannot be unloaded")
	if splats=$(dmesg_since "$mark" | "$here/splats.sh"); then
		echo "# ${splats//$'\n'/$'\n'# }"
		complaints+=("the kernel complained")
	fi
	if leaks=$("$here/kmemleak.sh"); then
		echo "# ${leaks//$'\n'/$'\n'# }"
		complaints+=("memory leaked, or nobody can tell")
	fi
	read -r p f s < <(awk -f "$here/../tap-count.awk" "$tap")
	[ $rc -ne 1 ] || [ "$f" -gt 0 ] || complaints+=("exit code 1, but no result failed")
	# Counted here, not from the TAP: these are results beyond its plan.
	for c in "${complaints[@]}"; do
		echo "not ok - $1: $c" | tee -a "$tap"
		f=$((f + 1))
	done
	echo "# $1: $p passed, $f failed, $s skipped, $((SECONDS - start)) s"
	echo "$p $f $s" >"$results/$1.count"
	[ "$f" -eq 0 ]
}

failed=0
for test in "$@"; do
	run_test "$(basename "$test" .sh)" "$test" || failed=1
done
exit $failed
