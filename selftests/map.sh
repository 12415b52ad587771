#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Gateways that have an outer address each: contexts of a file, and those of a peer, get this
# node's. Tunnel and transport, both families; three nodes, there and back.
#
#   P 192.0.3.2, 2001:db8:1::2 --- bridge --- ::1 .1 A, ::11 .11 B, ::12 .12 C (TLS between them)
# timeout: 420

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 82

need_daemon
setup_ns A B C P
tmpdir
modprobe -aq esp4 esp6 xfrm_user bridge

gateway() { # NS HOST: its own outer address; inside, all are 10.1.0.1
	ip -n "$1" link add out type veth peer name "to-$2" netns "$P"
	ip -n "$P" link set "to-$2" master br0 up
	ip -n "$1" -batch - <<-END
		link set out up
		address add 192.0.3.$2/24 dev out
		address add 2001:db8:1::$2/64 dev out nodad
		address add 10.1.0.1/32 dev lo
		route add 10.2.0.0/16 via 192.0.3.2 src 10.1.0.1
	END
}
ip -n "$P" -batch - <<-END
	link add br0 type bridge
	link set br0 up
	address add 192.0.3.2/24 dev br0
	address add 2001:db8:1::2/64 dev br0 nodad
	address add 10.2.0.1/32 dev lo
	route add 10.1.0.0/16 via 192.0.3.1 src 10.2.0.1
END
gateway "$A" 1
gateway "$B" 11
gateway "$C" 12

head -c 32 /dev/urandom >"$TMP/key"
chmod 600 "$TMP/key"
K=(--key "$TMP/key")
tool() { # NS VERB...
	local ns=$1

	shift
	in_ns "$ns" "$XFRMSYNC" "$@" 2>"$TMP/err"
}
says() { grep -q -- "$1" "$TMP/err" || { cat "$TMP/err"; return 1; }; } # TEXT
flush() { ip -n "$1" xfrm state flush && ip -n "$1" xfrm policy flush; } # NS
has_policy() { ip -n "$1" xfrm policy | grep -A9 "$2" | grep -q "$3"; }  # NS SELECTOR TEMPLATE
replays() { ip -n "$1" -s xfrm state | awk '/replay-window/ && !/anti/ { n += $4 + 0 } END { print n + 0 }'; }

# What MOBIKE, or an operator, does on the other side.
peer_moves() { # OLD NEW: the gateway has another address
	tool "$P" save --stop "${K[@]}" "$TMP/p" && flush "$P" &&
		tool "$P" load "${K[@]}" --map "$1=$2" "$TMP/p"
}
start_sink "$P" "$TMP/sink-p"
for n in "$A" "$B" "$C"; do start_sink "$n" "$TMP/sink-$n"; done
both_ways() { # NS ITS-ADDRESS P-ADDRESS
	send_and_count "$1" "$3" 20 "$TMP/sink-p" && send_and_count "$P" "$2" 20 "$TMP/sink-$1"
}

# --- a file, transport mode, IPv6 ------------------------------------------------------

tunnel "$A" "$P" family=6 mode=transport link=1 spi=0x3000 window=128
check "transport through A" both_ways "$A" "$A_OUT" "$B_OUT"
check "held and saved" tool "$A" save --stop "${K[@]}" "$TMP/file"
seq=$(sa_oseq "$A" "$B_OUT" "$A_SPI")
new=2001:db8:1::11
check_fails "a map of both families is refused" tool "$B" load "${K[@]}" --map "$A_OUT=192.0.3.11" "$TMP/file"
check "which is said" says "one of them is IPv4, the other one IPv6"
check_fails "both ends are not one" tool "$B" load "${K[@]}" --map "$A_OUT=$B_OUT" "$TMP/file"
check "which is said by name" says "esp $B_OUT spi $A_SPI: not loaded: the map takes both its ends for one address"
check "nothing was loaded" sas_are "$B" 0
check "nor a policy" policies_are "$B" 0
check "loaded on B, that has another address" tool "$B" load "${K[@]}" --map "$A_OUT=$new" "$TMP/file"
check "the SA in is to B" sa_seq "$B" "$new" "$B_SPI"
check "the SA out goes on at its number" oseq_is "$B" "$B_OUT" "$A_SPI" "$seq"
check "the policy out names B" has_policy "$B" "src $new/128 dst $B_OUT/128" "dir out"
check "no policy names A" test -z "$(ip -n "$B" xfrm policy | grep -w -- "$A_OUT")"
check "the other side follows" peer_moves "$A_OUT" "$new"
check "transport through B" both_ways "$B" "$new" "$B_OUT"
check_equal "nothing refused as a replay" 0 "$(($(replays "$B") + $(replays "$P")))"
for n in "$A" "$B" "$P"; do flush "$n"; done

# --- two SAs of one name ------------------------------------------------------------------

twin() { # NS DST KEY
	ip -n "$1" xfrm state add src 192.0.3.2 dst "$2" proto esp spi 0x7000 reqid 7 mode tunnel \
		aead 'rfc4106(gcm(aes))' "$(key 20 "$3")" 128
}
twin "$A" 192.0.3.1 one
twin "$A" 192.0.3.11 two
check "two that differ in the address alone" tool "$A" save --stop "${K[@]}" "$TMP/twins"
check_fails "of one name behind the map" tool "$B" load "${K[@]}" --map 192.0.3.1=192.0.3.11 "$TMP/twins"
check "the one is refused" says "esp 192.0.3.1 spi 0x00007000: not loaded: another SA of the file gets the same name by the map"
check "and the other one" says "esp 192.0.3.11 spi 0x00007000: not loaded: another SA"
check "nothing was loaded" sas_are "$B" 0
check "one alone is" tool "$B" load "${K[@]}" --map 192.0.3.1=192.0.3.11 --dst 192.0.3.1 "$TMP/twins"
check "with its own key" grep -q "$(key 20 one)" <(ip -n "$B" xfrm state)
for n in "$A" "$B"; do flush "$n"; done

# --- two policies of one name ---------------------------------------------------------------

twin "$A" 192.0.3.1 one
for dst in 192.0.3.1 192.0.3.11; do
	ip -n "$A" xfrm policy add src 192.0.3.2 dst $dst dir in \
		tmpl src 192.0.3.2 dst 192.0.3.1 proto esp reqid 7 mode tunnel
done
check "two policies that differ in the address alone" tool "$A" save --stop "${K[@]}" "$TMP/twins"
check_fails "of one name behind the map" tool "$B" load "${K[@]}" --map 192.0.3.1=192.0.3.11 "$TMP/twins"
check "they are refused" says "policy in 192.0.3.2/32 -> 192.0.3.11/32: not loaded: another policy of the file gets the same name by the map"
check "and so is the SA that uses them" says "esp 192.0.3.1 spi 0x00007000: not loaded: policy in"
check "nothing was loaded" sas_are "$B" 0
check "nor a policy" policies_are "$B" 0
for n in "$A" "$B"; do flush "$n"; done

# --- an SPI that another SA has behind the map ---------------------------------------------

in_the_way() { # NS DST SPI
	ip -n "$1" xfrm state add src 192.0.3.7 dst "$2" proto esp spi "$3" reqid 9 \
		mode tunnel aead 'rfc4106(gcm(aes))' "$(key 20 other)" 128
}
# An SPI of the SAs to that address, but for those.
other_spi() { # NS DST SPI|...
	ip -n "$1" xfrm state | awk -v "dst=$2" -v "not=$3" '/^src/ { to = $4 }
		/proto esp spi/ && to == dst && $4 !~ not { print $4; exit }'
}
tunnel "$A" "$P" link=1 window=128
check "a tunnel through A" both_ways "$A" 10.1.0.1 10.2.0.1
check "held and saved" tool "$A" save --stop "${K[@]}" "$TMP/file"
in_the_way "$B" 192.0.3.11 "$B_SPI"
check_fails "its SPI is in use at B, at B's address" tool "$B" load "${K[@]}" --map 192.0.3.1=192.0.3.11 "$TMP/file"
check "said by the name behind the map" says "another SA has this SPI here (esp 192.0.3.11"
flush "$B"
in_the_way "$B" 192.0.3.11 "$B_SPI"
check "it gets another one" tool "$B" load "${K[@]}" --on-conflict new-spi --map 192.0.3.1=192.0.3.11 "$TMP/file"
check "at B's address" test -n "$(other_spi "$B" 192.0.3.11 "$B_SPI")"
check "the SA out is there" sa_oseq "$B" "$B_OUT" "$A_SPI"
check "and nothing else is" sas_are "$B" 3
for n in "$A" "$B" "$P"; do flush "$n"; done

# --- nodes that have an address each ------------------------------------------------------

make_ca ca
for n in a b c; do make_cert ca $n $n; done
make_conf a "$A" 1 192.0.3.1 b 192.0.3.11 also="c 192.0.3.12"
make_conf b "$B" 2 192.0.3.11 a 192.0.3.1 also="c 192.0.3.12"
make_conf c "$C" 3 192.0.3.12 a 192.0.3.1 also="b 192.0.3.11"
# Of a smaller size, so that takeovers of an SA that hardly sends do not use up what is below 2^31.
for n in a b c; do echo "lease_esn_log2 = 20" >>"$TMP/$n.conf"; done
maps() { sed -i "/^\[peer $2\]/a map = $3=$4" "$TMP/$1.conf"; } # NODE PEER ITS-ADDRESS HERE
maps a b 192.0.3.11 192.0.3.1
maps a c 192.0.3.12 192.0.3.1
maps b a 192.0.3.1 192.0.3.11
maps b c 192.0.3.12 192.0.3.11
maps c a 192.0.3.1 192.0.3.12
maps c b 192.0.3.11 192.0.3.12

tunnel "$A" "$P" link=1 window=128
all_step() { # ACTIVE STANDBY...
	local n

	status "$1" "s['role'] == 'active' and sum(p['state'] == 'synced' and p['lag_packets'] == 0
		for p in s['peers']) == $(($# - 1))" || return
	for n in "${@:2}"; do status "$n" "s['role'] == 'standby' and s['ready']" || return; done
}
wait_all() { busywait 30000 all_step "$@"; }
named() { # NODE NS ADDRESS: SAs and policies name that one, and no other of the gateways
	ask "$1" show --json | grep -q "\"dst\": *\"$3\"" || return
	! { ip -n "$2" xfrm state; ip -n "$2" xfrm policy; } |
		grep -E '192\.0\.3\.(1|11|12)( |$)' | grep -vwF -- "$3"
}
for n in a b c; do start $n; done
connected() { status a "all(p['role'] == 'standby' for p in s['peers'])"; }
check "three daemons" busywait 30000 connected
check "A is active" ask a takeover
check "all in step" wait_all a b c
check "traffic through A" both_ways "$A" 10.1.0.1 10.2.0.1
check "A has its names" named a "$A" 192.0.3.1
check "B its own" named b "$B" 192.0.3.11
check "C its own" named c "$C" 192.0.3.12
check "both SAs" sas_are "$B" 2
check "their policies" policies_are "$B" 3
tag() { nl "$1" dump | grep "\"spi\": $((A_SPI))," | grep -o '"tag": [^,]*'; }
check_equal "the incarnation is one" "$(tag "$A")" "$(tag "$B")"
check "save at B has B's names" ask b save "${K[@]}" "$TMP/of-b"
peers_file() { ask a show --context --file "$TMP/of-b" "${K[@]}" | grep -q "dst 192.0.3.11\|192.0.3.11"; }
check "as it says" peers_file

raised() { [ "$(sa_oseq "$1" "$B_OUT" "$A_SPI")" -gt $((1 << 20)) ]; }
check "B stands past a lease" busywait 20000 raised "$B"
# Just after traffic the guard is ahead of it, and what falls into it is lost.
no_guard() {
	local said

	said=$(ask a show --json --spi "$B_SPI") && py is "s[0]['guard'] == 0" "$said"
}
check "an idle SA has no guard" busywait 20000 no_guard
check "all in step, still" wait_all a b c
stop a KILL
ip -n "$A" link set out down
check "A crashed: B takes over" ask b takeover
check "the other side follows B" peer_moves 192.0.3.1 192.0.3.11
check "traffic through B" both_ways "$B" 10.1.0.1 10.2.0.1
check "past all that A may have sent" raised "$B"
filled() { status c "s['ready']" && status b "sum(p['state'] == 'synced' for p in s['peers']) == 1"; }
check "C follows B" busywait 30000 filled
check "with its own names, still" named c "$C" 192.0.3.12

seq=$(sa_oseq "$B" "$B_OUT" "$A_SPI")
check "planned, to C" ask c takeover
check "at the exact number" oseq_is "$C" "$B_OUT" "$A_SPI" "$seq"
check "the other side follows C" peer_moves 192.0.3.11 192.0.3.12
check "traffic through C" both_ways "$C" 10.1.0.1 10.2.0.1

ip -n "$A" link set out up
ip -n "$A" route replace 10.2.0.0/16 via 192.0.3.2 src 10.1.0.1
start a
check "A returns, and is filled" wait_all c a b
check "with its own names" named a "$A" 192.0.3.1
check "both SAs" sas_are "$A" 2
seq=$(sa_oseq "$C" "$B_OUT" "$A_SPI")
check "fail-back, planned" ask a takeover
check "at the exact number" oseq_is "$A" "$B_OUT" "$A_SPI" "$seq"
check "the other side follows A" peer_moves 192.0.3.12 192.0.3.1
check "traffic through A" both_ways "$A" 10.1.0.1 10.2.0.1
check_equal "nothing refused as a replay" 0 \
	"$(($(replays "$A") + $(replays "$B") + $(replays "$C") + $(replays "$P")))"
check "all in step" wait_all a b c

# --- two SAs of one name, told by a peer -----------------------------------------------------

twin "$A" 192.0.3.1 one
check "a third SA" busywait 20000 sas_are "$B" 3
twin "$A" 192.0.3.11 two
check "one more that would be the same at B: refused there" busywait 20000 \
	logged b "gets the name of another SA of this peer by the map"
check "B is not ready" busywait 10000 status b "not s['ready']"
both_told() {
	logged a "cannot take over esp 192.0.3.1 spi 0x00007000" &&
		logged a "cannot take over esp 192.0.3.11 spi 0x00007000"
}
check "A knows, of both" busywait 10000 both_told
ip -n "$A" xfrm state delete dst 192.0.3.11 proto esp spi 0x7000
check "it is gone: the other one is ready again" wait_all a b c
ip -n "$A" xfrm policy delete src 10.1.0.1 dst 10.2.0.1 dir out
ip -n "$A" xfrm state delete dst 192.0.3.1 proto esp spi 0x7000
gone() { sas_are "$1" 2 && policies_are "$1" 2; }
check "what goes at A goes at B" busywait 20000 gone "$B"

# --- an SPI that another SA of a node has -----------------------------------------------------

stop b
sed -i '/^\[sync\]/a on_conflict = new-spi' "$TMP/b.conf"
in_the_way "$B" 192.0.3.11 0x7000
start b
check "B again" wait_all a b c
ip -n "$A" xfrm policy add src 10.2.0.7 dst 10.1.0.1 dir in \
	tmpl src 192.0.3.2 dst 192.0.3.1 proto esp reqid 7 mode tunnel
twin "$A" 192.0.3.1 one
check "the SPI is taken at B, at B's address: another one" busywait 20000 \
	status b "s['ready'] and [n['dst'] for n in s['new_spi']] == ['192.0.3.11']"
check "which the SA has" test -n "$(other_spi "$B" 192.0.3.11 "$B_SPI|0x00007000")"
for n in a b c; do stop $n; done
check "every daemon ended cleanly" ended_cleanly
