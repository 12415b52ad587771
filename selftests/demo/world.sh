#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# In the third VM: everything that is not a gateway. The remote peers (a network
# namespace each, with the client behind it), the servers of the inside (a namespace),
# the attacker, and the capture of the outside wire.
#
# usage: world.sh DIR     DIR is shared with the host: what is to do, and what came out
#
#   peer01 .. peer20      outside wire (eth0)      inside wire (eth1)     server
#   10.2.N.1 --- .101 ------+--- 198.51.100.1 gateway 10.1.0.1 ---+--- 10.1.0.10
#                           +--- attacker, capture
set -euo pipefail

dir=$1
bin=$dir/bin
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/demo/lib.sh
. "$here/lib.sh"

EVE=52:54:00:00:00:ee
GATEWAY=198.51.100.1
WARM=200	# packets each way in each tunnel before the crash
AFTER=8		# seconds of traffic after the attack's end

modprobe -a macvlan esp4 xfrm_user
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
ip link set eth0 up
ip -batch "$dir/world.batch"
while read -r netns kind; do
	ip -n "$netns" -batch "$dir/$netns.batch"
	if [ "$kind" = udp ]; then
		ip netns exec "$netns" "$bin/natt" &
	fi
done <"$dir/peers"

ip netns add server
ip link set eth1 netns server
ip -n server -batch - <<-END
	link set lo up
	link set eth1 up
	address add 10.1.0.10/24 dev eth1
	address add fd00:1::10/64 dev eth1 nodad
	route add default via 10.1.0.1
	route add default via fd00:1::1
END
touch "$dir/world.up"

peer_stats() { # how often each kind of drop happened, all peers together
	ip -all netns exec cat /proc/net/xfrm_stat |
		awk '/^Xfrm/ { n[$1] += $2 } END { for (k in n) print k, n[k] }' | sort
}

# On the bus a guest gets its own frames back: what comes in is all of the wire, once.
tcpdump -i eth0 -Q in -s 0 -B 16384 --time-stamp-precision=nano -U -w /tmp/outside.pcap \
	2>"$dir/tcpdump.log" &
tcpdump=$!
wait_for 60 "the capture" grep -q 'listening on' "$dir/tcpdump.log"
wait_for 240 "both gateways" both_exist "$dir/gw-a.active" "$dir/gw-b.ready"

"$bin/attack" -i eth0 -g $GATEWAY -m $EVE -t 150 >"$dir/attack.json" 2>"$dir/attack.log" &
attack=$!
"$bin/traffic" -f "$dir/tunnels" -n server -o /tmp/traffic.csv -w $WARM -W /tmp/warm \
	2>"$dir/traffic.log" &
traffic=$!
wait_for 60 "traffic in every tunnel, both ways" test -e /tmp/warm
touch "$dir/warm"
peer_stats >"$dir/peers.before"

# The peers' side of a rekey, as IKE's is: they receive with the new SAs before the gateway has
# them, and send with them after it has; if it died before it could say so, never.
peers_rekey() { # STEP
	local netns kind

	while read -r netns kind; do
		[ ! -e "$dir/$netns.$1" ] || ip -n "$netns" -batch "$dir/$netns.$1"
	done <"$dir/peers"
}
rekeyed_or_dead() { [ -e "$dir/rekeyed" ] || [ -e "$dir/gw-b.active" ]; }
rekey=
if [ -e "$dir/plan.rekey" ]; then
	peers_rekey rekey
	{
		wait_for 120 "a rekey, or a takeover" rekeyed_or_dead
		[ ! -e "$dir/rekeyed" ] || peers_rekey rekeyed
	} &
	rekey=$!
fi
touch "$dir/world.noted"

attacked=0
wait $attack || attacked=$?
wait_time $AFTER
[ -z "$rekey" ] || wait $rekey
kill $traffic
wait $traffic
peer_stats >"$dir/peers.after"
kill $tcpdump
wait $tcpdump || true
cp /tmp/outside.pcap /tmp/traffic.csv "$dir/"
touch "$dir/world.done"
[ "$attacked" -eq 0 ] || die "the attacker saw no takeover: $(cat "$dir/attack.log")"
