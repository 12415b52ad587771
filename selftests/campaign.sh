#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A campaign of crash takeovers: seeded rounds of traffic, rekeys, deletes, restarts and a bad
# sync link, then a crash, a takeover, an attacker who repeats all that he captured, and the
# old active that comes back when it likes. The wires are the judge.
#
#   H 10.1.K.1 --[W: ia]-- A --[W: oa]--+
#              --[W: ib]-- B --[W: ob]--+--[W: op]-- P 10.2.K.1
#                          A --[W: sa, netem]-- TLS --[W: sb, netem]-- B
#
# A and B have the same outside address; P's neighbour entry says whose turn it is. H sends
# through either. W has all wires, so that it can cut and capture them.
#
# XFRMSYNC_CAMPAIGN="n=3 from=0 guard=available out=FILE" and XFRMSYNC_SEED choose the rounds; see
# `make campaign`.
# timeout: 600

# The short one that is part of all tests has the same rounds each time; `make campaign` draws.
[ -n "${XFRMSYNC_CAMPAIGN-}" ] || export XFRMSYNC_SEED="${XFRMSYNC_SEED:-20261121}"

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 19

here=$(dirname "$0")
TUNNELS=12

need_tool
check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
setup_ns A B P H W
tmpdir
modprobe -aq esp4 esp6 xfrm_user bridge sch_netem

# --- the wires --------------------------------------------------------------------------

cable() { # NS DEV MAC PORT BRIDGE: from there to a port of W
	ip -n "$W" link add "$4" type veth peer name "$2" address "$3" netns "$1" &&
		ip -n "$W" link set "$4" master "$5" up && ip -n "$1" link set "$2" up
}

wires() {
	local n br

	for br in bo bs ba bb; do
		ip -n "$W" link add $br type bridge forward_delay 0 mcast_snooping 0 || return
		ip -n "$W" link set $br up
	done
	for n in a:"$A" b:"$B"; do
		cable "${n#*:}" out "02:00:00:00:01:0${n%%:*}" "o${n%%:*}" bo &&
			cable "${n#*:}" sync "02:00:00:00:02:0${n%%:*}" "s${n%%:*}" bs &&
			cable "${n#*:}" in "02:00:00:00:03:0${n%%:*}" "i${n%%:*}" "b${n%%:*}" &&
			cable "$H" "h${n%%:*}" "02:00:00:00:04:0${n%%:*}" "h${n%%:*}" "b${n%%:*}" || return
	done
	cable "$P" out 02:00:00:00:01:0c op bo
}

# Neighbours are fixed: what a bridge floods, or a cut link forgets, is not the matter here.
gateway() { # NS N LETTER
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.all.send_redirects=0
	ip -n "$1" -batch - <<-END
		address add 192.0.2.$2/24 dev sync
		address add 198.51.100.10/24 dev out
		address add 2001:db8:1::10/64 dev out nodad
		address add 10.9.$2.1/24 dev in
		address add fd00:9:$2::1/64 dev in nodad
		neighbour replace 198.51.100.2 lladdr 02:00:00:00:01:0c dev out nud permanent
		neighbour replace 2001:db8:1::2 lladdr 02:00:00:00:01:0c dev out nud permanent
		neighbour replace 10.9.$2.2 lladdr 02:00:00:00:04:0$3 dev in nud permanent
		neighbour replace fd00:9:$2::2 lladdr 02:00:00:00:04:0$3 dev in nud permanent
		neighbour replace 192.0.2.$((3 - $2)) lladdr 02:00:00:00:02:0$4 dev sync nud permanent
		route add 10.1.0.0/16 via 10.9.$2.2
		route add fd00:1::/32 via fd00:9:$2::2
		route add 10.2.0.0/16 via 198.51.100.2
		route add fd00:2::/32 via 2001:db8:1::2
	END
}

inside() { # N LETTER
	ip -n "$H" -batch - <<-END
		address add 10.9.$1.2/24 dev h$2
		address add fd00:9:$1::2/64 dev h$2 nodad
		neighbour replace 10.9.$1.1 lladdr 02:00:00:00:03:0$2 dev h$2 nud permanent
		neighbour replace fd00:9:$1::1 lladdr 02:00:00:00:03:0$2 dev h$2 nud permanent
		route add 10.2.0.0/16 via 10.9.$1.1 dev h$2 metric $1
		route add fd00:2::/32 via fd00:9:$1::1 dev h$2 metric $1
	END
}

outside() {
	ip -n "$P" -batch - <<-END
		address add 198.51.100.2/24 dev out
		address add 2001:db8:1::2/64 dev out nodad
		route add 10.1.0.0/16 via 198.51.100.10
		route add fd00:1::/32 via 2001:db8:1::10
	END
}

hosts() { # NS N: an address for each tunnel
	local k

	for ((k = 1; k <= TUNNELS; k++)); do
		echo "address add 10.$2.$k.1/32 dev lo"
		printf 'address add fd00:%d::%x/128 dev lo nodad\n' "$2" $k
	done | ip -n "$1" -batch -
}

all_inside() { inside 1 a && inside 2 b && hosts "$H" 1; }
all_outside() { outside && hosts "$P" 2; }

check "the wires are laid" wires
check "gateway A" gateway "$A" 1 a b
check "gateway B" gateway "$B" 2 b a
check "the network inside" all_inside
check "the network outside" all_outside
in_ns "$H" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.ha.rp_filter=0 \
	net.ipv4.conf.hb.rp_filter=0

make_ca ca
make_cert ca a a
make_cert ca b b
make_conf a "$A" 1 192.0.2.1 b 192.0.2.2
make_conf b "$B" 2 192.0.2.2 a 192.0.2.1

results /usr/bin/python3 "$here/campaign.py" "$TMP" "$A" "$B" "$P" "$H" "$W"
