#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The active dies within an exchange of IKE: at each point of it, of each kind, from either side.
#
#   P 192.0.3.2 ==== 17 IKE SAs ==== 192.0.3.1, of A or B; A 192.0.2.1 --- TLS --- 192.0.2.2 B
#
# Of each IKE SA one message is kept from where it goes, and then A dies with all of them. Its
# name is BY-WHAT-LOST: p begins or the gateway (g); an INFORMATIONAL that asks for life (dpd)
# or deletes a Child SA (del), or a CREATE_CHILD_SA for a Child SA or an IKE SA; the request is
# lost on its way, or the response, or that is never sent. Documentation/strongswan.rst has the
# table.
# timeout: 1200

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/ike_lab.sh
. "$(dirname "$0")/ike_lab.sh"

lives=(p-dpd-request p-dpd-unsent p-dpd-response p-del-response p-child-request p-child-unsent
	p-child-response p-ike-request g-dpd-request g-dpd-response g-del-request g-child-request
	g-child-response g-ike-request)
# The answer to a rekey of the IKE SA is of keys that died with A, or was sent by A alone.
anew=(p-ike-unsent p-ike-response g-ike-response)
all=("${lives[@]}" "${anew[@]}")
plan $((18 + 2 * ${#all[@]} + 12 * ${#lives[@]} + 2 * ${#anew[@]}))

need_charon
command -v nft >/dev/null || skip_all "nft is not installed"
need_daemon
setup_ns A B P
tmpdir
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
pair_confs "$A" "$B"
declare -A number
ike_of=(aes256gcm16-prfsha256 chacha20poly1305-prfsha384 aes128-sha256)

for n in a b; do
	ike_conf $n
	charon_conf $n "${node_ns[$n]}" ha
done
charon_conf p "$P"
# It gives up after 45 seconds; its last try is after 24.
sed -i 's/retransmit_timeout = 2/&\nretransmit_tries = 4/' "$TMP/p.charon/strongswan.conf"
i=0
for c in "${all[@]}"; do
	number[$c]=$((++i))
	for n in a b; do
		charon_conn $n "$c" 192.0.3.1 192.0.3.2 "gw-$c" "p-$c" 10.1.$i.0/24 10.2.$i.0/24 -esn
	done
	charon_conn p "$c" 192.0.3.2 192.0.3.1 "p-$c" "gw-$c" 10.2.$i.0/24 10.1.$i.0/24 -esn
	# What is said in charon's place is of each kind that it may be.
	sed -i "s/proposals = aes128-sha256-/proposals = ${ike_of[i % 3]}-/" "$TMP"/[abp].charon/swanctl/conf.d/"$c".conf
	# Every second one is not on port 4500.
	[ $((i % 2)) -eq 0 ] || sed -i 's/version = 2/&\nmobike = no/' "$TMP"/[abp].charon/swanctl/conf.d/"$c".conf
	# Each charon numbers them as they come; and what ends is made again by P alone.
	sed -i "s/replay_window = 64/&\nreqid = $i/" "$TMP"/[ab].charon/swanctl/conf.d/"$c".conf
	sed -i "s/replay_window = 64/&\ndpd_action = restart/" "$TMP/p.charon/swanctl/conf.d/$c.conf"
	ip -n "$P" -batch - <<-END
		address add 10.2.$i.1/32 dev lo
		route add 10.1.$i.0/24 via 192.0.3.1 src 10.2.$i.1
	END
done
sed -i 's/dpd_delay = 0/dpd_delay = 2/' "$TMP"/p.charon/swanctl/conf.d/{p-dpd-*,g-ike-response}.conf \
	"$TMP"/[ab].charon/swanctl/conf.d/g-dpd-*.conf

takes_all() { # NS: all addresses, and the routes
	local n

	carry "$1"
	for n in "${number[@]}"; do
		echo "address replace 10.1.$n.1/32 dev lo"
		echo "route replace 10.2.$n.0/24 via 192.0.3.2 src 10.1.$n.1"
	done | ip -n "$1" -batch -
}
all_are() { # NAME STATE: each IKE SA
	local said

	said=$(ike_sas "$1") && [ "$(grep -c " $2 " <<<"$said")" -eq ${#all[@]} ]
}
shown_same() { # NAME NAME: also the message ids
	local a b

	a=$(ask "$1" show --ike --json) && b=$(ask "$2" show --ike --json) && [ "$a" = "$b" ]
}

# --- what is lost -----------------------------------------------------------------------

# lose NS in|out CONN EXCHANGE request|response
lose() {
	local spi at=64 port=500 flag=0

	read -r _ spi _ <<<"${ike_before[$3]}"
	[ $((number[$3] % 2)) -eq 1 ] || { at=96 port=4500; }
	[ "$5" = request ] || flag=32
	rules[$1]+="add rule inet flight $2 udp dport $port @th,$at,64 0x$spi @th,$((at + 144)),8 $4 "
	rules[$1]+="@th,$((at + 152)),8 & 32 == $flag counter drop comment \"$3\""$'\n'
}
lost() { # NS CONN: one of it, at least
	in_ns "$1" nft list table inet flight | grep -qE "counter packets [1-9].*comment \"$2\""
}
point() { # CONN: loses what its name says
	local by what which exchange=37

	IFS=- read -r by what which <<<"$1"
	case $what in child | ike) exchange=36 ;; esac
	case $by-$which in
	p-request) where[$1]=$A; lose "$A" in "$1" $exchange request ;;
	p-unsent) where[$1]=$A; lose "$A" out "$1" $exchange response ;;
	p-response) where[$1]=$P; lose "$P" in "$1" $exchange response ;;
	g-request) where[$1]=$P; lose "$P" in "$1" $exchange request ;;
	g-response) where[$1]=$A; lose "$A" in "$1" $exchange response ;;
	esac
}
begin() { # CONN: the exchange; a charon asks for life by itself, and deletes after a rekey
	local by=${1%%-*}

	[ "$by" = p ] || by=a
	case $1 in
	*-dpd-*) ;;
	*-ike-*) vici "$by" rekey ike "$1" ;;
	*) vici "$by" rekey child "$1" ;;
	esac
}
declare -A where rules

for n in a b p; do
	charon_start $n
	check "connections of $n" charon_load $n
done
takes_all "$A"
check "a pair" both_start a b
check "A's charon is there" busywait 20000 has_ike a charon "'ready'"
check "B's, too" busywait 20000 has_ike b charon "'ready'"
start_sink "$P" "$TMP/p.sink"
start_sink "$B" "$TMP/b.sink"
for c in "${all[@]}"; do
	check "$c comes up" vici p initiate "$c"
done
check "they come along" busywait 60000 all_are b PASSIVE
check "B is in step" wait_step a b
ike_capture "$P" br0 "$TMP/wire.pcap"
for n in "$A" "$P"; do
	in_ns "$n" nft -f - <<-END
		table inet flight {
			chain in { type filter hook input priority 0; }
			chain out { type filter hook output priority 0; }
		}
	END
done
declare -A ike_before
look() { # what P and B have of all, at once
	ike_p=$(ike_spis p) ike_b=$(ike_spis b)
	child_p=$(child_spis p) child_b=$(child_spis b)
}
of() { # LISTING CONN
	local line

	while read -r line; do [[ $line != "$2 "* ]] || echo "$line"; done <<<"$1"
}
look
for c in "${all[@]}"; do
	ike_before[$c]=$(of "$ike_p" "$c")
	point "$c"
done
for n in "$A" "$P"; do in_ns "$n" nft -f - <<<"${rules[$n]}"; done
for c in "${all[@]}"; do begin "$c"; done >/dev/null
for c in "${all[@]}"; do
	check "$c: lost" busywait 20000 lost "${where[$c]}" "$c"
done
check "B knows what A does" busywait 20000 shown_same a b

# --- A dies -----------------------------------------------------------------------------

charon_kill a
stop a KILL
ip -n "$A" link set xs0 down
ip -n "$A" link set out down
in_ns "$P" nft delete table inet flight
check "the takeover" ask b takeover
takes_all "$B"

passes() { # NS ADDRESS SINK: one packet, soon
	local want=$(($(delivered "$3") + 1))

	send_packets "$1" "$2" 1 && busywait 1000 delivered_is "$3" "$want"
}
both_ways() { # CONN
	passes "$B" "10.2.${number[$1]}.1" "$TMP/p.sink" && passes "$P" "10.1.${number[$1]}.1" "$TMP/b.sink"
}
same_ike() { # CONN: P and B have the same, and it is one
	local have

	have=$(of "$ike_b" "$1")
	[ -n "$have" ] && [[ $have != *$'\n'* ]] && [ "$have" = "$(of "$ike_p" "$1")" ]
}
kept() { # CONN: but for the one whose rekey P asks B for
	[ "$1" = p-ike-request ] || [ "$(of "$ike_p" "$1")" = "${ike_before[$1]}" ] && same_ike "$1"
}
is_new() { # NOW BEFORE: one that is not among them
	[ -n "$1" ] && grep -qvxF "$2" <<<"$1"
}
child_is_new() { is_new "$(of "${!child_by}" "$1")" "${was[$1]}"; } # CONN
same_children() { # CONN: P and B have the same ones
	local of_b

	of_b=$(of "$child_b" "$1" | awk '{ print $1, $3, $2 }' | sort)
	[ -n "$of_b" ] && [ "$of_b" = "$(of "$child_p" "$1")" ]
}
ike_is_new() { same_ike "$1" && [ "$(of "$ike_b" "$1")" != "${was[$1]}" ]; } # CONN

# Each of these asks two charons of all that they have: so of all IKE SAs at once, first.
hold() { # TEST CONN...
	local c

	look
	for c in "${@:2}"; do "$1" "$c" || return; done
}
check_each() { # TEXT TEST CONN...: waits until it holds for all; a result for each
	local c

	busywait 60000 hold "${@:2}" >/dev/null
	look
	for c in "${@:3}"; do
		# One of them may be rekeyed just now.
		if "$2" "$c"; then tap_ok "$c: $1"; else check "$c: $1" busywait 10000 hold "$2" "$c"; fi
	done
}

# Each kind of rekey by each side, of all at once: of some charon has to try more than once.
declare -A was
rekey_all() { # NAME child|ike
	local c

	child_by=child_$1
	look
	for c in "${lives[@]}"; do
		case $2 in
		child) was[$c]=$(of "${!child_by}" "$c") ;;
		ike) was[$c]=$(of "$ike_b" "$c") ;;
		esac
		check "$c: $2 rekey by $1" vici "$1" rekey "$2" "$c"
	done
	check_each succeeds "$2_is_new" "${lives[@]}"
}

for c in "${lives[@]}"; do
	check "$c: traffic, both ways" busywait 60000 both_ways "$c"
done
check_each "the IKE SA of before" kept "${lives[@]}"
# What A made of them, and P never heard of.
check_each "no Child SA but P's" same_children p-child-unsent p-child-response
rekey_all p child
rekey_all b child
rekey_all p ike
rekey_all b ike
for c in "${lives[@]}"; do
	check "$c: traffic" busywait 60000 both_ways "$c"
done
check_each "and one IKE SA" same_ike "${lives[@]}"

check "B answered in charon's place" status b "s['ike']['answered'] >= 5"
check "and asked in its place" status b "s['ike']['filled'] >= 4"

# --- what cannot be carried on ----------------------------------------------------------

for c in "${anew[@]}"; do
	was[$c]=${ike_before[$c]}
	check "$c: P makes a new one" busywait 200000 hold ike_is_new "$c"
	check "$c: traffic, both ways" busywait 60000 both_ways "$c"
done
check_equal "so many, and no more" ${#anew[@]} "$(wire_count "$TMP/wire.pcap" made)"
check_equal "no number twice" 0 "$(wire_count "$TMP/wire.pcap" twice)"
stop b
for n in b p; do charon_kill $n TERM; done
check "every daemon ended cleanly" ended_cleanly
