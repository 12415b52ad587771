#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Shows a failover: two gateways and the world around them, in three VMs; the active
# gateway loses its power under traffic, and the other one carries the tunnels on.
#
# usage: [SYNC=on|off] [K=6.12|6.1] run.sh
#   SYNC=on    with xfrmsync (default)
#   SYNC=off   the same crash without it: gw-b has the same SAs, but not their state
#
#   DEMO_PLAN  for campaign-vm: "seed=N guard=WORD first=address|role [rekey=S] [restart=S] kill=S
#              move=S": no keepalived; when what happens to gw-a, and when gw-b takes the address
#              and the role, and which of them first, in seconds after all tunnels carry.
#   DEMO_RESULT  in place of demo, then
#
# Prints a story with a table. Writes results/demo.json, demo.svg, demo.png and demo/
# (captures and logs, no keys); with SYNC=off results/demo-off.*.
# Exit: 0 all that is required was seen; 1 something failed.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$here/../..")
# shellcheck source=selftests/demo/lib.sh
. "$here/lib.sh"

sync=${SYNC:-on} kernel=${K:-6.12}
case $sync in on | off) ;; *) die "SYNC is on or off, not '$sync'" ;; esac
XFRMSYNC_CACHE=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}
export XFRMSYNC_CACHE

export DEMO_START=${DEMO_START:-$EPOCHSECONDS}
# Once more in a network of its own: no frame of the demo leaves, and none comes in.
if [ -z "${DEMO_INSIDE:-}" ]; then
	[ "$(id -u)" -eq 0 ] || die "root is needed (a network namespace of its own)"
	"$tree/selftests/install-deps.sh" demo
	"$tree/selftests/vm/kernels.sh" get "$kernel" >/dev/null
	[ "$sync" = off ] || env -u MAKEFLAGS -u MAKELEVEL make -s -j2 -C "$tree" "module-$kernel" tool >/dev/null
	DEMO_INSIDE=1 exec unshare -n -- "$0"
fi
ip link set lo up multicast on
ip route replace 224.0.0.0/4 dev lo

read -r _ kver vmlinuz _ initrd < <("$tree/selftests/vm/kernels.sh" get "$kernel")
XFRMSYNC_ACCEL=$("$tree/selftests/vm/accel.sh" "$vmlinuz" "$initrd")
export XFRMSYNC_ACCEL

suffix='' && [ "$sync" = on ] || suffix=-off
results=$tree/results
result=$results/${DEMO_RESULT:-demo$suffix}
failed=$result-failed
plan=${DEMO_PLAN-}
planned() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" <<<"$plan"; } # WHAT
module=$tree/build/$kver/xfrmsync.ko
xfrmsync=$tree/tools/xfrmsync

# Keys live here only.
tmp=$(mktemp -d)
share=$tmp/share
declare -A vms=()
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	local rc=$? pid name

	# A machine that failed is explained by what it said; no keys stand in these.
	if [ "$rc" -ne 0 ] && [ ${#vms[@]} -gt 0 ]; then
		mkdir -p "$failed"
		find "$share" -maxdepth 1 \( -name '*.log' -o -name '*.events' \) \
			-exec cp -t "$failed" {} +
		for name in gw-a gw-b world; do
			cp "$tmp/$name.log" "$failed/$name.vm.log" || true
			cp "$tmp/$name/console.log" "$failed/$name.console.log" || true
		done 2>/dev/null
		tail -n 8 "$failed"/*.log >&2
		echo "demo: all logs: ${failed#"$tree"/}" >&2
	fi
	for pid in "${vms[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	wait
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT

say() { printf '%4d s  %s\n' $((EPOCHSECONDS - DEMO_START)) "$*"; }

# ---- what the machines need ----
mkdir -p "$share/bin" "$share/tls" "$result"
for p in traffic attack natt; do
	gcc -std=gnu11 -O2 -Wall -Wextra -o "$share/bin/$p" "$here/$p.c"
done
seed=$(planned seed)
/usr/bin/python3 "$here/tunnels.py" "$share" ${seed:+"$seed"}
planned guard >"$share/guard"
[ -s "$share/guard" ] || rm "$share/guard"
[ -z "$(planned rekey)" ] || touch "$share/plan.rekey"
if [ "$sync" = on ]; then
	if [ ! -e "$module" ] || [ ! -x "$xfrmsync" ]; then die "no module or tool: make first"; fi
	"$here/certificates.sh" "$share/tls" gw-a gw-b
fi

# ---- the machines ----
outside=mcast=230.0.0.1:10001 inside=mcast=230.0.0.1:10002 lan=mcast=230.0.0.1:10003
start_vm() { # NAME MEMORY "NET..." CMD...
	local name=$1 mem=$2 nets=() net clock=

	for net in $3; do
		nets+=(--net "$net")
	done
	shift 3
	# On a busy machine an emulated kernel gauges its TSC wrongly, and its clock runs several
	# times too fast; QEMU's HPET keeps time.
	[ "$XFRMSYNC_ACCEL" = kvm ] || clock=clocksource=hpet
	# Before what else this machine does: keepalived takes a slow gateway for a dead one.
	nice -n -5 "$tree/selftests/vm/run.sh" -k "$kernel" -m "$mem" -t 600 -a "$clock" -o "$tmp/$name" --name "$name" \
		--share "$share:/run/demo" --pidfile "$tmp/$name.pid" "${nets[@]}" -- "$@" \
		>"$tmp/$name.log" 2>&1 &
	vms[$name]=$!
}

mac=52:54:00:00:0
# keepalived's interval; without keepalived, what comes first.
moves=0.5 && [ -z "${DEMO_AGAIN:-}" ] || moves=1.5
[ -z "$plan" ] || moves=$(planned first)
say "three machines boot ($kver, $XFRMSYNC_ACCEL): gw-a, gw-b, world"
for g in a b; do
	start_vm gw-$g 512 "$outside,mac=${mac}0:0$g $inside,mac=${mac}2:0$g $lan,mac=${mac}3:0$g" \
		"$here/gateway.sh" /run/demo gw-$g "$sync" "$xfrmsync" "$module" "$moves"
done
start_vm world 1024 "$outside,mac=${mac}0:01 $inside,mac=${mac}2:01" \
	"$here/world.sh" /run/demo

# Waits for a file that a machine makes; if that ends before, there is no hope.
seen() { # FILE MACHINE
	local alive=0

	kill -0 "${vms[$2]:-0}" 2>/dev/null || alive=$?
	[ ! -e "$share/$1" ] || return 0
	[ "$alive" -eq 0 ] || die "$2 ended too early"
	return 1
}

wait_for 180 "gw-a to become the active one" seen gw-a.active gw-a
say "gw-a is active: 20 tunnels"
wait_for 120 "gw-b to stand by" seen gw-b.ready gw-b
say "gw-b stands by; traffic starts, both ways in each tunnel"
wait_for 90 "traffic" seen warm world
say "packets come through in all tunnels; what each machine knows is noted"
wait_for 60 "what the peers know" seen world.noted world
wait_for 60 "what gw-a knows" seen gw-a.noted gw-a
wait_for 60 "what gw-b knows" seen gw-b.noted gw-b

# On a machine that is too busy a gateway may be silent for so long that keepalived moves
# the address by itself: another story than the one that is told here.
if [ -e "$share/gw-b.active" ]; then
	[ -z "${DEMO_AGAIN:-}" ] || die "keepalived moved the address before the crash, twice"
	say "this machine was too busy: keepalived moved the address before the crash; once more"
	for name in "${!vms[@]}"; do
		kill "${vms[$name]}"
		wait "${vms[$name]}" || true
		unset "vms[$name]"
	done
	rm -rf "$tmp"
	trap - EXIT
	DEMO_AGAIN=1 exec "$0"
fi

# ---- the crash ----
start=${EPOCHREALTIME/./}
wait_until() { # SECONDS after the start
	local at

	at=$(printf '%.0f' "$1e6")
	while [ $((${EPOCHREALTIME/./} - start)) -lt "$at" ]; do sleep 0.01; done
}
while read -r at what; do
	wait_until "$at"
	touch "$share/gw-a.$what"
	heard=${EPOCHREALTIME/./}
	wait_for 30 "gw-a to hear of it" seen "gw-a.$what.heard" gw-a
	# How long that takes is no part of the plan.
	start=$((start + ${EPOCHREALTIME/./} - heard))
	say "gw-a: $what"
done < <(tr ' ' '\n' <<<"$plan" | sed -n 's/^\(rekey\|restart\)=\(.*\)/\2 \1/p' | sort -n)
[ -z "$plan" ] || wait_until "$(planned kill)"
kill -9 "$(cat "$tmp/gw-a.pid")"
say "gw-a loses its power"
if [ -n "$plan" ]; then
	wait_until "$(planned move)"
	touch "$share/gw-b.move"
fi
wait "${vms[gw-a]}" || true
unset 'vms[gw-a]'
wait_for 60 "gw-b to take over" seen gw-b.active gw-b
say "gw-b has the address; an attacker repeats 1000 packets from before the crash"
wait_for 90 "the world" seen world.done world
wait_for 60 "gw-b's state" seen gw-b.done gw-b
for name in world gw-b; do
	wait "${vms[$name]}" || die "$name failed"
	unset "vms[$name]"
done

# ---- what was seen ----
say "the judge opens every captured packet"
rm -rf "$result" "$failed"
mkdir "$result"
cp "$share"/{outside.pcap,traffic.csv,attack.json} "$share"/*.{log,events,before,after} \
	"$result/"
/usr/bin/python3 "$here/report.py" --sync "$sync" --kernel "$kver" \
	--gateway ${mac}0:0a=gw-a --gateway ${mac}0:0b=gw-b --attacker ${mac}0:ee \
	${DEMO_PLAN:+--plan "$DEMO_PLAN"} "$share" "$result"
