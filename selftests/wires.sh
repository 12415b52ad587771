# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Gateways of one outside address, their peer, the hosts behind both, and every wire between.
#
#   H 10.1.K.1 --[W: ia]-- A --[W: oa]--+
#              --[W: ib]-- B --[W: ob]--+--[W: op]-- P 10.2.K.1
#                          A --[W: sa]-- TLS --[W: sb]-- B; and C, if there is one
#
# The gateways have the same outside address; P's neighbour entry says whose turn it is. H sends
# through any of them. W has all wires, so that it can cut and capture them. A test has it after
# the libraries of all tests and of the daemon, makes the namespaces (A B [C] P H W), and calls
# tmpdir before it makes something:
#	. "$(dirname "$0")/wires.sh"

TUNNELS=12
LETTERS=(a b c)
gateways=()		# their namespaces

cable() { # NS DEV MAC PORT BRIDGE: from there to a port of W
	ip -n "$W" link add "$4" type veth peer name "$2" address "$3" netns "$1" &&
		ip -n "$W" link set "$4" master "$5" up && ip -n "$1" link set "$2" up
}

bridge() { # NAME
	ip -n "$W" link add "$1" type bridge forward_delay 0 mcast_snooping 0 &&
		ip -n "$W" link set "$1" up
}

wires() {
	local i n

	bridge bo && bridge bs && cable "$P" out 02:00:00:00:01:0f op bo || return
	for i in "${!gateways[@]}"; do
		n=${LETTERS[i]}
		bridge "b$n" && cable "${gateways[i]}" out "02:00:00:00:01:0$n" "o$n" bo &&
			cable "${gateways[i]}" sync "02:00:00:00:02:0$n" "s$n" bs &&
			cable "${gateways[i]}" in "02:00:00:00:03:0$n" "i$n" "b$n" &&
			cable "$H" "h$n" "02:00:00:00:04:0$n" "h$n" "b$n" || return
	done
}

# Neighbours are fixed: what a bridge floods, or a cut link forgets, is not the matter here.
gateway() { # NS N LETTER
	local i

	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.all.send_redirects=0
	for i in "${!gateways[@]}"; do
		echo "neighbour replace 192.0.2.$((i + 1)) lladdr 02:00:00:00:02:0${LETTERS[i]}" \
			"dev sync nud permanent"
	done | ip -n "$1" -batch - || return
	ip -n "$1" -batch - <<-END
		address add 192.0.2.$2/24 dev sync
		address add 198.51.100.10/24 dev out
		address add 2001:db8:1::10/64 dev out nodad
		address add 10.9.$2.1/24 dev in
		address add fd00:9:$2::1/64 dev in nodad
		neighbour replace 198.51.100.2 lladdr 02:00:00:00:01:0f dev out nud permanent
		neighbour replace 2001:db8:1::2 lladdr 02:00:00:00:01:0f dev out nud permanent
		neighbour replace 10.9.$2.2 lladdr 02:00:00:00:04:0$3 dev in nud permanent
		neighbour replace fd00:9:$2::2 lladdr 02:00:00:00:04:0$3 dev in nud permanent
		route add 10.1.0.0/16 via 10.9.$2.2
		route add fd00:1::/32 via fd00:9:$2::2
		route add 10.2.0.0/16 via 198.51.100.2
		route add fd00:2::/32 via 2001:db8:1::2
	END
}

inside() { # N LETTER
	in_ns "$H" sysctl -qw net.ipv4.conf.all.rp_filter=0 "net.ipv4.conf.h$2.rp_filter=0"
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

# lay_wires NS...: all of it, for these gateways.
lay_wires() {
	local i

	gateways=("$@")
	modprobe -aq esp4 esp6 xfrm_user bridge sch_netem
	wires && outside && hosts "$H" 1 && hosts "$P" 2 || return
	for i in "${!gateways[@]}"; do
		gateway "${gateways[i]}" $((i + 1)) "${LETTERS[i]}" &&
			inside $((i + 1)) "${LETTERS[i]}" || return
	done
}

# Credentials and a configuration for each, with all others as its peers.
gateway_confs() {
	local i j n others

	make_ca ca
	for i in "${!gateways[@]}"; do
		n=${LETTERS[i]} others=()
		make_cert ca "$n" "$n"
		for j in "${!gateways[@]}"; do
			[ "$i" = "$j" ] || others+=("${LETTERS[j]}" "192.0.2.$((j + 1))")
		done
		make_conf "$n" "${gateways[i]}" $((i + 1)) "192.0.2.$((i + 1))" "${others[@]:0:2}" \
			${others[2]:+"also=${others[*]:2:2}"}
	done
}
