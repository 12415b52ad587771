#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The path to the peer is narrow, and no router says so any more: what the dead node had
# learned of it has to come along with its SAs.
#
#   P 192.0.4.2.. ---1400--- R 192.0.3.254 ===== bridge ===== 192.0.3.1 A or B, or C by a file
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 88

need_daemon
setup_ns A B C P R
tmpdir
modprobe -aq esp4 esp6 ah4 ah6 ipcomp ipcomp6 deflate xfrm_user bridge

# --- the network ------------------------------------------------------------------------

ip -n "$A" link add xs0 type veth peer name xs0 netns "$B" || bail "no veth"
ip -n "$A" -batch - <<-END
	link set xs0 up
	address add 192.0.2.1/24 dev xs0
END
ip -n "$B" -batch - <<-END
	link set xs0 up
	address add 192.0.2.2/24 dev xs0
END
ip -n "$R" link add br0 type bridge
host=10
for ns in "$A" "$B" "$C"; do
	host=$((host + 1))
	ip -n "$ns" link add out type veth peer name "to-${ns##*-}" netns "$R" || bail "no veth"
	ip -n "$R" link set "to-${ns##*-}" master br0 up
	ip -n "$ns" -batch - <<-END
		link set out up
		address add 192.0.3.$host/24 dev out
		address add 2001:db8:3::$host/64 dev out nodad
		address add 10.1.0.1/32 dev lo
		address add fd00:1::1/128 dev lo nodad
	END
done
ip -n "$R" link add narrow type veth peer name narrow netns "$P"
in_ns "$R" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -n "$R" -batch - <<-END
	link set br0 up
	link set narrow mtu 1400 up
	address add 192.0.3.254/24 dev br0
	address add 2001:db8:3::fe/64 dev br0 nodad
	address add 192.0.4.1/24 dev narrow
	address add 2001:db8:4::1/64 dev narrow nodad
END
ip -n "$P" -batch - <<-END
	link set narrow mtu 1400 up
	route add 10.1.0.0/16 dev narrow via 192.0.4.1 onlink
	route add 192.0.3.0/24 dev narrow via 192.0.4.1 onlink
	route add fd00:1::/32 dev narrow via 2001:db8:4::1 onlink
	route add 2001:db8:3::/64 dev narrow via 2001:db8:4::1 onlink
END

no_paths() { # NS
	ip -n "$1" route flush 192.0.4.0/24
	ip -n "$1" -6 route flush 2001:db8:4::/64
}
# paths NS [WORDS...]: the routes out of there, without what was learned of them.
paths() {
	no_paths "$1"
	ip -n "$1" -batch - <<-END
		route add 192.0.4.0/24 dev out via 192.0.3.254 onlink ${@:2}
		route add 2001:db8:4::/64 dev out via 2001:db8:3::fe onlink ${@:2}
	END
}

# What the tunnels are for leaves by it, whatever the MTU of a path is.
for ns in "$A" "$B" "$C"; do
	paths "$ns"
	ip -n "$ns" -batch - <<-END
		route add 10.2.0.0/16 dev out via 192.0.3.254 onlink src 10.1.0.1
		route add fd00:2::/32 dev out via 2001:db8:3::fe onlink src fd00:1::1
	END
done

has_address() { # NS: it has the outer ones now, wherever they were
	local ns

	for ns in "$A" "$B" "$C"; do
		[ "$ns" != "$1" ] || continue
		ip -n "$ns" address delete 192.0.3.1/24 dev out
		ip -n "$ns" address delete 2001:db8:3::1/64 dev out
	done 2>/dev/null
	ip -n "$1" address replace 192.0.3.1/24 dev out
	ip -n "$1" address replace 2001:db8:3::1/64 dev out nodad
	ip -n "$R" neigh flush dev br0
}

# R makes no ICMP: what is too big is lost without a word.
mute() {
	ip -n "$R" rule add pref 1 dev lo ipproto icmp blackhole
	ip -n "$R" -6 rule add pref 1 dev lo ipproto ipv6-icmp blackhole
}
unmute() {
	ip -n "$R" rule delete pref 1
	ip -n "$R" -6 rule delete pref 1
}

# --- tunnels of all kinds ---------------------------------------------------------------

# A name is what it is, and the family. Each has a peer address of its own; size is a
# payload that fits into 1500 bytes, and not into 1400, when it is protected.
declare -A outer inner from size protected
kinds=() n=1
add_kind() { # NAME FAMILY SETTINGS...
	local name=$1 family=$2 proto=esp mode=tunnel esn=1 window=64 encap='' cipher=gcm own spi own_in
	local arg

	for arg in "${@:3}"; do local "$arg"; done
	n=$((n + 1))
	kinds+=("$name")
	if [ "$family" = 4 ]; then
		own=192.0.3.1 own_in=10.1.0.1 outer[$name]=192.0.4.$n inner[$name]=10.2.0.$n size[$name]=1380
		ip -n "$P" address add "192.0.4.$n/24" dev narrow
		ip -n "$P" address add "10.2.0.$n/32" dev lo
	else
		own=2001:db8:3::1 own_in=fd00:1::1 outer[$name]=2001:db8:4::$n inner[$name]=fd00:2::$n size[$name]=1340
		ip -n "$P" address add "2001:db8:4::$n/64" dev narrow nodad
		ip -n "$P" address add "fd00:2::$n/128" dev lo nodad
	fi
	if [ "$mode" = transport ]; then
		inner[$name]=${outer[$name]}
		own_in=$own
	fi
	from[$name]=$own_in
	spi=$((0x1000 + 16 * n))
	protected[$name]="$proto $spi"
	for ns in "$A" "$P"; do
		lib_sa "$ns" $own "${outer[$name]}" $spi
		lib_sa "$ns" "${outer[$name]}" $own $((spi + 1))
		[ -z "$encap" ] || lib_encap_socket "$ns" "$encap"
	done
	lib_policies "$A" $own_in "${inner[$name]}" $own "${outer[$name]}"
	lib_policies "$P" "${inner[$name]}" $own_in "${outer[$name]}" $own
}

print_seed
has_address "$A"
add_kind tunnel4 4
add_kind transport4 4 mode=transport
add_kind udp4 4 encap=4500
add_kind ah4 4 proto=ah
add_kind ahtransport4 4 proto=ah mode=transport
add_kind tunnel6 6
add_kind transport6 6 mode=transport
add_kind udp6 6 encap=4501
# No tunnel of AH: what a router quotes of one, the kernel looks up as what is inside, and so
# learns nothing of it (icmpv6_notify()). A transport's it finds by the socket.
add_kind ahtransport6 6 proto=ah mode=transport

start_sink "$P" "$TMP/p"
has() { [ "$(delivered "$TMP/p")" -ge "$1" ]; } # BYTES
host() { case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac; }

datagram() { # NS KIND BYTES
	head -c "$3" /dev/zero |
		in_ns "$1" socat -u -b 4096 STDIN "UDP:$(host "${inner[$2]}"):9,bind=$(host "${from[$2]}")"
}
big() { datagram "$1" "$2" "${size[$2]}"; } # NS KIND
big_arrives() { # NS KIND
	local want=$(($(delivered "$TMP/p") + ${size[$2]}))

	big "$1" "$2" && busywait 10000 has $want
}
drawn() { # NS KIND: numbers, of the SA out
	local TUNNEL_PROTO=${protected[$2]% *}

	sa_oseq "$1" "${outer[$2]}" "${protected[$2]#* }"
}
is_protected() { # NS KIND
	local before

	before=$(drawn "$1" "$2") && datagram "$1" "$2" 1 && [ "$(drawn "$1" "$2")" -eq $((before + 1)) ]
}
# Both leave, each in one packet. The small one arrives, and the big one before it does not.
big_is_lost() { # NS KIND
	local before numbers

	before=$(delivered "$TMP/p")
	numbers=$(drawn "$1" "$2") || return
	big "$1" "$2" && datagram "$1" "$2" 1 && busywait 10000 has $((before + 1)) &&
		delivered_is "$TMP/p" $((before + 1)) && [ "$(drawn "$1" "$2")" -eq $((numbers + 2)) ]
}

route_to() { ip -n "$1" route get "${outer[$2]}" | tr '\n' ' '; }        # NS KIND
knows() { route_to "$1" "$2" | grep -q "expires [0-9]*sec mtu $3 "; } # NS KIND MTU
is_unlearned() { route_to "$1" "$2" | is_without expires; }           # NS KIND
learns() { big "$1" "$2"; knows "$1" "$2" 1400; }                       # NS KIND

all() { # CMD NS WORDS...: CMD NS KIND WORDS, for each kind
	local kind

	for kind in "${kinds[@]}"; do
		echo "$kind: $(route_to "$2" "$kind")"
		"$1" "$2" "$kind" "${@:3}" || return
	done
}
each() { # NAME CMD NS WORDS...: a result for each kind
	local kind

	for kind in "${kinds[@]}"; do
		check "$1: $kind" "$2" "$3" "$kind" "${@:4}"
	done
}
told() { status "$1" "s['path_mtus'] == $2"; } # NODE SAS

# --- learned, and told ------------------------------------------------------------------

pair_confs "$A" "$B"
check "a pair" both_start a b
check "a path whose MTU is not known: nothing is told" told b 0
for kind in "${kinds[@]}"; do
	check "$kind: the router says how much the path takes" busywait 20000 learns "$A" "$kind"
done
each "what is too big arrives" big_arrives "$A"
check "protected" all is_protected "$A"
check "the other node hears of all of them" busywait 20000 told b ${#kinds[@]}
check "and is in step" wait_step a b
check "its own kernel knows nothing of it" all is_unlearned "$B"

# IPComp draws no numbers. 200 different bytes, so that it compresses, and only a little.
comp_data() { # BYTES
	/usr/bin/python3 -c 'import random, sys
sys.stdout.buffer.write(bytes(random.randrange(200) for i in range(int(sys.argv[1]))))' "$1"
}
outer[comp4]=192.0.4.99 inner[comp4]=10.2.0.99 from[comp4]=10.1.0.1 size[comp4]=1432
outer[comp6]=2001:db8:4::99 inner[comp6]=fd00:2::99 from[comp6]=fd00:1::1 size[comp6]=1390
comp_learns() { # KIND
	comp_data "${size[$1]}" | in_ns "$A" socat -u -b 4096 STDIN "UDP:$(host "${inner[$1]}"):9,bind=$(host "${from[$1]}")"
	knows "$A" "$1" 1400
}
n=0
for kind in comp4 comp6; do
	own=192.0.3.1
	[ $kind = comp4 ] || own=2001:db8:3::1
	n=$((n + 1))
	ip -n "$A" xfrm state add src $own dst "${outer[$kind]}" proto comp spi 0x99 reqid 1 mode tunnel comp deflate
	ip -n "$A" xfrm policy add src "${from[$kind]}" dst "${inner[$kind]}" dir out \
		tmpl src $own dst "${outer[$kind]}" proto comp reqid 1 mode tunnel
	check "$kind: the router says how much the path takes" busywait 20000 comp_learns $kind
	check "the other node hears of it as well" busywait 20000 told b $((${#kinds[@]} + n))
done
for kind in comp4 comp6; do
	ip -n "$A" xfrm policy delete src "${from[$kind]}" dst "${inner[$kind]}" dir out
	ip -n "$A" xfrm state delete dst "${outer[$kind]}" proto comp spi 0x99
done
check "it goes" busywait 20000 told b ${#kinds[@]}
check "in step" wait_step a b

# --- a planned takeover, address and routes come later --------------------------------------

mute
no_paths "$B"
check "the other node takes over" ask b takeover
check "it waits for the address" status b "s['role'] == 'active' and s['path_mtus'] == ${#kinds[@]}"
has_address "$B"
paths "$B"
check "its kernel is told" busywait 30000 all knows "$B" 1400
check "which the log says" busywait 10000 logged b "${#kinds[@]} are in use here, 0 paths"
each "no black hole" big_arrives "$B"

head -c 200000 /dev/urandom >"$TMP/data"
background ip netns exec "$P" socat -u TCP6-LISTEN:5001,fork,reuseaddr,ipv6only=0 "OPEN:$TMP/tcp,creat,append"
listens() { in_ns "$P" ss -Hltn 'sport = :5001' | grep -q .; }
busywait 20000 listens >/dev/null || bail "nobody listens"
tcp() { # NS KIND
	: >"$TMP/tcp"
	in_ns "$1" timeout $((20 * SLOW)) socat -u "OPEN:$TMP/data" "TCP:$(host "${inner[$2]}"):5001" &&
		busywait 10000 cmp "$TMP/data" "$TMP/tcp"
}
check "nor for TCP, IPv4" tcp "$B" tunnel4
check "nor for TCP, IPv6" tcp "$B" tunnel6
check "in step" wait_step b a

# --- where the own path is narrower ---------------------------------------------------------

check "this one is told as well" busywait 20000 told a ${#kinds[@]}
paths "$A" mtu 1350
check "back again: a node whose routes are narrower" ask a takeover
has_address "$A"
check "leaves them alone, and says so" busywait 30000 logged a "0 are in use here, ${#kinds[@]} paths"
check "nothing was told to its kernel" all is_unlearned "$A"
check "what is too big for them arrives" big_arrives "$A" tunnel4
check "in IPv6, too" big_arrives "$A" tunnel6

# --- what it is like without ------------------------------------------------------------------

paths "$A"
check "nothing is known of the paths any more" all is_unlearned "$A"
each "a black hole without it" big_is_lost "$A"
check "the other node does not keep what is over" busywait 20000 told b 0

# --- a crash, the address is there before ------------------------------------------------------

unmute
for kind in tunnel4 tunnel6; do
	check "learned anew: $kind" busywait 20000 learns "$A" $kind
done
check "told" busywait 20000 told b 2
mute
stop a KILL
paths "$B"
has_address "$B"
check "the other node takes over" ask b takeover
for kind in tunnel4 tunnel6; do
	check "its kernel is told: $kind" busywait 30000 knows "$B" $kind 1400
	check "no black hole: $kind" big_arrives "$B" $kind
	check "TCP: $kind" tcp "$B" $kind
done

# --- by a file -----------------------------------------------------------------------------------

tool() { # NS VERB...
	in_ns "$1" "$XFRMSYNC" "${@:2}" 2>"$TMP/err"
}
head -c 32 /dev/urandom >"$TMP/key"
chmod 600 "$TMP/key"
K=(--key "$TMP/key")
shown() { tool "$@" | grep -cE '^ *pmtu +1400$'; }
check_equal "show --context says it" 2 "$(shown "$B" show --context)"
check "saved and held" tool "$B" save --stop "${K[@]}" "$TMP/file"
check_equal "the file says it" 2 "$(shown "$C" show --context --file "$TMP/file" "${K[@]}")"
stop b
check "loaded, where the address is not yet" tool "$C" load "${K[@]}" "$TMP/file"
check "which is said" grep -q "2 path MTUs are not in use here: the SAs' own addresses" "$TMP/err"
has_address "$C"
in_ns "$C" sysctl -qw net.ipv4.ip_no_pmtu_disc=1
check "loaded where the kernel believes no router" tool "$C" load "${K[@]}" "$TMP/file"
check "which is said" grep -q "1 path MTUs are not in use here: net.ipv4.ip_no_pmtu_disc" "$TMP/err"
check "it is left as it was" is_unlearned "$C" tunnel4
in_ns "$C" sysctl -qw net.ipv4.ip_no_pmtu_disc=0
check "loaded again" tool "$C" load "${K[@]}" "$TMP/file"
for kind in tunnel4 tunnel6; do
	check "its kernel knows: $kind" knows "$C" $kind 1400
	check "no black hole by the file: $kind" big_arrives "$C" $kind
done
check "every daemon ended cleanly" ended_cleanly
