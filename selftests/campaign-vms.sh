#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make campaign`: the rounds of a seed, shared by several VMs that run at once.
#
# usage: K=6.12 N=100 JOBS=1 SEED= GUARD= CAMPAIGN="from=0" CPUS=2 campaign-vms.sh
#   N rounds, JOBS VMs; SHARP: the folder of another build (make campaign HEADROOM=); a seed is drawn if none is given. CAMPAIGN: more words of campaign.py
#
# Prints the VMs' TAP (each line with the number of its VM, if there are several) and ends with
# a line of JSON: seed, command, kernel, and the totals of all. results/campaign/ has the same line
# in `total`, and a folder for each VM: the TAP, and `rounds`. Exit code: 0 if nothing failed
# anywhere, and all rounds came to their end.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
out=$here/../results/campaign
K=${K:-6.12} N=${N:-100} JOBS=${JOBS:-1} GUARD=${GUARD:-available} CAMPAIGN=${CAMPAIGN-} CPUS=${CPUS:-2}
SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
began=$SECONDS

from=0
for word in $CAMPAIGN; do
	case $word in
	from=*) from=${word#from=} ;;
	n=* | guard=* | out=*) echo "campaign: $word: say N= or GUARD=" >&2; exit 2 ;;
	esac
done
[ "$JOBS" -le "$N" ] || JOBS=$N
command="make campaign N=$N SEED=$SEED GUARD=$GUARD K=$K"
[ "$JOBS" -eq 1 ] || command+=" JOBS=$JOBS"
[ "$from" -eq 0 ] || command+=" CAMPAIGN=from=$from"
read -r _ kver _ < <("$here/vm/kernels.sh" get "$K") || exit 1

build=()
[ -z "${SHARP-}" ] || build=(-e MODULE="$PWD/$SHARP/$kver/xfrmsync.ko" -e XFRMSYNC="$PWD/$SHARP/tools/xfrmsync")

share() { # NUMBER FROM ROUNDS: in a VM; what it prints gets its number
	"$here/vm/kselftest.sh" -k "$K" -c "$CPUS" -o "$out/$1" -T $((300 + 30 * $3)) -e XFRMSYNC_SEED="$SEED" "${build[@]}" \
		-e XFRMSYNC_CAMPAIGN="$CAMPAIGN n=$3 from=$2 guard=$GUARD out=/run/vm/rounds" campaign 2>&1 |
		if [ "$JOBS" -eq 1 ]; then cat; else sed -u "s/^/$1: /"; fi
}

rm -rf "$out"
mkdir -p "$out"
echo "# $command: $JOBS at once"
pids=()
# Each in a process group, so that it can be ended with all that it started.
set -m
trap 'for pid in "${pids[@]}"; do kill -- "-$pid"; done 2>/dev/null; wait; exit 143' TERM INT HUP
for ((j = 0; j < JOBS; j++)); do
	first=$((N * j / JOBS))
	share $((j + 1)) $((from + first)) $((N * (j + 1) / JOBS - first)) &
	pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do
	wait "$pid" || failed=1
done

/usr/bin/python3 - "$out" "$JOBS" "$N" $((SECONDS - began)) "$SEED" "$command" "$kver" <<'END' || failed=1
import collections, json, sys

out, jobs, n, seconds, seed, command, kernel = sys.argv[1:]
sums, found, missing = collections.Counter(), collections.Counter(), int(n)
for job in range(1, int(jobs) + 1):
    try:
        with open(f"{out}/{job}/rounds", encoding="utf-8") as file:
            last = json.loads([line for line in file if line.startswith("{")][-1])
    except (OSError, IndexError):
        last = {}
    if "rounds" not in last:    # the line of a round: the VM did not get to its end
        print(f"not ok - campaign: VM {job} has no totals")
        continue
    missing -= last["rounds"]
    found.update(last.pop("found"))
    sums.update({k: v for k, v in last.items() if k not in ("seed", "rounds", "seconds")})
line = json.dumps({"seed": int(seed), "command": command, "kernel": kernel, "rounds": int(n) - missing,
                   "seconds": int(seconds), **sums, "found": found})
with open(f"{out}/total", "w", encoding="utf-8") as file:
    print(line, file=file)
print(line)
sys.exit(missing > 0)
END
[ $failed -eq 0 ]
