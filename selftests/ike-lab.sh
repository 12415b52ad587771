#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Everybody at once: two gateways with charon and keepalived, by the example's configuration and
# the notify script, and peers of eight kinds, with traffic both ways all the time. A crash, a
# planned move, other ports of the NAT, a charon that dies or is restarted, a node that is back, both.
#
#   p1, p2, p5 .. p8 --------+
#   p3 --+                   +== br0 === 192.0.3.1, 2001:db8:3::1: A (.11) or B (.12); A --- TLS --- B
#        +-- NAT 192.0.3.3 --+
#   p4 --+
#
# XFRMSYNC_PEERS: how many (8); of more the kinds come again. 50 need a VM of 4 GB.
# timeout: 1800

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/ike_lab.sh
. "$(dirname "$0")/ike_lab.sh"

PEERS=${XFRMSYNC_PEERS:-8}
plan 168

command -v keepalived >/dev/null || skip_all "keepalived is not installed"
need_charon
need_daemon
[ "$PEERS" -ge 8 ] || bail "no fewer than 8"
SLOW=$((SLOW * (1 + PEERS / 20)))
modprobe -aq nft_masq nft_chain_nat nf_conntrack
setup_ns A B X N
tmpdir
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$X"
pair_confs "$A" "$B"
make_cert ca gw gw
ip -n "$X" address add 2001:db8:3::2/64 dev br0 nodad

# --- the NAT ------------------------------------------------------------------------------

joins "$X" "$N" wan 192.0.3.3/24
ip -n "$N" link add inside type bridge
ip -n "$N" link set inside up
ip -n "$N" address add 172.16.0.1/24 dev inside
in_ns "$N" sysctl -qw net.ipv4.ip_forward=1
behind() { # NS HOST
	ip -n "$1" link add eth0 type veth peer name "to-${1##*-}" netns "$N"
	ip -n "$N" link set "to-${1##*-}" master inside up
	ip -n "$1" -batch - <<-END
		link set eth0 up
		address add 172.16.0.$2/24 dev eth0
		route add default via 172.16.0.1
	END
}
nat_ports() { # RANGE: what has a mapping loses it when the link goes down
	in_ns "$N" nft -f - <<-END || return
		table ip nat
		delete table ip nat
		table ip nat {
			chain out {
				type nat hook postrouting priority 100
				oifname wan meta l4proto udp masquerade to :$1
			}
		}
	END
	ip -n "$N" link set wan down
	ip -n "$N" link set wan up
}
nat_works() { in_ns "$N" ping -qc 1 -W 1 192.0.3.1; }
check "a NAT" nat_ports 10000-19999

# --- who has which connection -----------------------------------------------------------------

# Each of a kind of its own: for the eighth after it the same again.
#	1  IPv4, ESN, a shared key, no MOBIKE           5  IPv4, a certificate, any peer's connection
#	2  IPv6, a shared key, MOBIKE                   6  likewise, another one
#	3  NAT, EAP, a virtual address, MOBIKE          7  IPv4, a shared key, MOBIKE
#	4  NAT, EAP, a virtual address, ESN, no MOBIKE  8  IPv6, ESN, a shared key, no MOBIKE
# 1, 4 and 8 ask whether the gateway lives, and it asks the others. 5 and 6 are strongSwan's own
# scenario of an active and a passive gateway (its testing/tests/ha/active-passive).
declare -A space inner gateway kind
peers=() nated=() asking=() conns=(rw)
kind_is() { [[ " ${*:2} " == *" ${kind[$1]} "* ]]; } # PEER KIND...

eap_secret() { # NAME PEER
	cat >>"$TMP/$1.charon/swanctl/conf.d/$2.conf" <<-END
		secrets {
			eap-$2 {
				id = $2
				secret = "$(key 16 "$2")"
			}
		}
	END
}
site() { # PEER I FAMILY ESN MOBIKE
	local me=192.0.3.$((20 + $2)) gw=192.0.3.1 net=10.2.$2.0/24 all=10.1.0.0/16 n=24 host=32 node

	inner[$1]=10.2.$2.1 gateway[$1]=10.1.0.1
	if [ "$3" -eq 6 ]; then
		me=2001:db8:3::$((100 + $2)) gw=2001:db8:3::1 net=fd00:4:$2::/48 all=fd00:1::/32 n=64 host=128
		inner[$1]=fd00:4:$2::1 gateway[$1]=fd00:1::1
	fi
	joins "$X" "${space[$1]}" wan "$me/$n"
	ip -n "${space[$1]}" -batch - <<-END
		address add ${inner[$1]}/$host dev lo nodad
		route add $all via $gw src ${inner[$1]}
	END
	for node in a b; do
		charon_conn $node "$1" $gw "$me" gw "$1" $all "$net" "$4"
		sed -i "s/replay_window = 64/&\nreqid = $((100 + $2))/" "$TMP/$node.charon/swanctl/conf.d/$1.conf"
	done
	charon_conn "$1" "$1" "$me" $gw "$1" gw "$net" $all "$4"
	sed -i "s/version = 2/&\nmobike = $5/" "$TMP"/{a,b,"$1"}.charon/swanctl/conf.d/"$1.conf"
}
nat_peer() { # PEER I ESN MOBIKE
	local proposals="aes128gcm16$3-x25519" node

	behind "${space[$1]}" $((10 + $2))
	for node in a b; do
		remote_access $node "$1" "pools = inner" "auth = eap-md5
			id = $1" "reqid = $((100 + $2))
			esp_proposals = $proposals"
		eap_secret $node "$1"
	done
	road_warrior "$1" "$4" "auth = eap-md5
		id = $1" "vips = 0.0.0.0" "$proposals"
	eap_secret "$1" "$1"
	nated+=("$1") gateway[$1]=10.1.0.1
}
cert_peer() { # PEER I: what it has outside is inside, too
	joins "$X" "${space[$1]}" wan 192.0.3.$((20 + $2))/24
	ip -n "${space[$1]}" route add 10.1.0.0/16 via 192.0.3.1 src 192.0.3.$((20 + $2))
	inner[$1]=192.0.3.$((20 + $2)) gateway[$1]=10.1.0.1
	make_cert ca "$1" "$1"
	has_cert "$1" "$1"
	road_warrior "$1" yes "auth = pubkey
		certs = $1.crt
		id = CN=$1" "" aes128gcm16-x25519
}
for n in a b; do
	ike_conf $n
	charon_conf $n "${node_ns[$n]}" ha
	has_cert $n gw
	remote_access $n rw "" "auth = pubkey" "esp_proposals = aes128gcm16-x25519"
done
for ((i = 1; i <= PEERS; i++)); do
	p=p$i
	setup_ns "P$i"
	n=P$i
	space[$p]=${!n} kind[$p]=$(((i - 1) % 8 + 1))
	peers+=("$p")
	charon_conf $p "${space[$p]}"
	# It finds out that nobody is there before long.
	sed -i 's/retransmit_timeout = 2/&\nretransmit_tries = 3/' "$TMP/$p.charon/strongswan.conf"
	case ${kind[$p]} in
	1) site $p $i 4 -esn no ;;
	2) site $p $i 6 "" yes ;;
	3) nat_peer $p $i "" yes ;;
	4) nat_peer $p $i -esn no ;;
	5 | 6) cert_peer $p $i ;;
	7) site $p $i 4 "" yes ;;
	8) site $p $i 6 -esn no ;;
	esac
	kind_is $p 5 6 || conns+=("$p")
	if kind_is $p 1 4 8; then
		asking+=("$p")
		sed -i 's/dpd_delay = .*/dpd_delay = 2/; s/replay_window = 64/&\ndpd_action = restart/' \
			"$TMP/$p.charon/swanctl/conf.d/$p.conf"
		sed -i 's/dpd_delay = .*/dpd_delay = 0/' "$TMP"/[ab].charon/swanctl/conf.d/"$p.conf"
	elif ! kind_is $p 5 6; then
		sed -i 's/dpd_delay = .*/dpd_delay = 2/' "$TMP"/[ab].charon/swanctl/conf.d/"$p.conf"
	fi
done

# --- what charons have ----------------------------------------------------------------------

socket_of() { # NAME...: as vici.py takes them
	local all

	all=$(printf ",$TMP/%s.charon/run/charon.vici" "$@")
	echo "${all#,}"
}
all_peers=$(socket_of "${peers[@]}")
ike_of() { vici "$1" ike | awk '{ print $3, $4 }'; }                   # NODE
peers_ike() { py vici "$all_peers" ike | awk '{ print $3, $4 }' | sort; }
child_of() { vici "$1" child | awk '{ print $2, $3 }' | sort; }        # NODE
peers_child() { py vici "$all_peers" child | awk '{ print $3, $2 }' | sort; }
same_on() { # NODE: what the peers have, of each one IKE SA and one Child SA
	local ike child

	ike=$(ike_of "$1" | sort) child=$(child_of "$1")
	[ "$(wc -l <<<"$ike")" -eq "$PEERS" ] && [ "$(wc -l <<<"$child")" -eq "$PEERS" ] &&
		diff <(echo "$ike") <(peers_ike) && diff <(echo "$child") <(peers_child)
}
all_are() { # NODE STATE
	local said

	said=$(ike_sas "$1") && [ "$(wc -l <<<"$said")" -eq "$PEERS" ] &&
		[ "$(grep -c " $2 " <<<"$said")" -eq "$PEERS" ]
}
everything() { echo "$(peers_ike) $(peers_child)"; }
every() { # TEST PEER...
	local p bad=()

	for p in "${@:2}"; do "$1" "$p" || bad+=("$p"); done
	[ ${#bad[@]} -eq 0 ] || { echo "not ${bad[*]}"; return 1; }
}
by_all() { local p; for p in "${peers[@]}"; do vici "$p" rekey "$1" "$p" || return; done; } # ike|child
by_node() { local c; for c in "${conns[@]}"; do vici "$1" rekey "$2" "$c" || return; done; } # NODE ike|child
# None is of those of before, and all is as it is with the peers.
renewed() { # NODE ike|child BEFORE
	! "$2_of" "$1" | grep -qxF "$3" && same_on "$1"
}
# With an SA that ends under traffic a packet may go: it was seen once in some hundred rekeys of
# stock charons, between two that both work, and not where.
rekeys() { # NODE: each of both kinds, by each side, of all at once
	local what was

	for what in child ike; do
		was=$("${what}_of" "$1")
		check "$what rekey by each peer" by_all $what
		check "all are others" busywait 60000 renewed "$1" $what "$was"
		was=$("${what}_of" "$1")
		check "$what rekey by $1" by_node "$1" $what
		check "all are others" busywait 60000 renewed "$1" $what "$was"
	done
}

# --- keepalived -------------------------------------------------------------------------

# It runs no script that others than root could have written, nor one in a folder of theirs.
here=$(dirname "$(readlink -f "$0")")
scripts=/run/xfrmsync-keepalived-$$
mkdir -m 755 "$scripts"
later rm -rf "$scripts"
install -m 755 "$here/../tools/systemd/xfrmsync-keepalived-notify" "$scripts/"
own_script() { # NAME: what it reads
	cat >"$scripts/$1" && chmod 755 "$scripts/$1"
}
keepalived_conf() { # NODE HOST PRIORITY: the example, with this test's names
	own_script "xfrmsync-$1" <<-END
		#!/bin/sh
		exec "$XFRMSYNC" "\$@" -c "$TMP/$1.conf"
	END
	own_script "notify-$1" <<-END
		#!/bin/sh
		XFRMSYNC=$scripts/xfrmsync-$1 "$scripts/xfrmsync-keepalived-notify" "\$@"
		rc=\$?
		echo "\$3 \$rc" >>"$TMP/$1.notified"
		exit \$rc
	END
	# In an emulated machine swanctl takes seconds. That it fails without charon, all tests show.
	own_script "charon-$1" <<-END
		#!/bin/sh
		exec /usr/bin/socat -u OPEN:/dev/null "UNIX-CONNECT:$TMP/$1.charon/run/charon.vici"
	END
	# With the IPv6 address that it has as a comment.
	sed -e "s|/usr/sbin/swanctl|$scripts/charon-$1|; s|advert_int 1|advert_int 3|; s|/usr/lib/xfrmsync/xfrmsync-keepalived-notify|$scripts/notify-$1|" \
		-e "s|interface eth0|interface out|; s|router_id gw-a|router_id $1|; s|priority 200|priority $3|" \
		-e '/#virtual_ipaddress_excluded/,/#}/s|#||' \
		"$here/../tools/keepalived.conf.example" >"$TMP/$1.keepalived.conf"
	chmod 644 "$TMP/$1.keepalived.conf"
	host[$1]=$2
}
declare -A host keepalived
keepalived_conf a 11 200
keepalived_conf b 12 100
net_up() { # NODE: what a boot gives it
	ip -n "${node_ns[$1]}" -batch - <<-END
		link set out up
		address replace fd00:1::1/128 dev lo nodad
		address replace 192.0.3.${host[$1]}/24 dev out
		address replace 2001:db8:3::${host[$1]}/64 dev out nodad
		route replace 10.2.0.0/16 via 192.0.3.2 src 10.1.0.1
		route replace 10.3.0.0/24 via 192.0.3.2 src 10.1.0.1
		route replace fd00:4::/32 via 2001:db8:3::2 src fd00:1::1
	END
}
keepalived_start() { # NODE
	nsenter --net="/run/netns/${node_ns[$1]}" keepalived --dont-fork --log-console --log-detail --vrrp \
		--use-file "$TMP/$1.keepalived.conf" --pid "$TMP/$1.pid" --vrrp_pid "$TMP/$1.vrrp.pid" \
		>>"$TMP/$1.keepalived.log" 2>&1 &
	keepalived[$1]=$!
	lib_pids+=("$!")
}
keepalived_stop() { # NODE: in order
	kill "${keepalived[$1]}" && ends "${keepalived[$1]}"
}
has_address() { # NODE: both
	local said

	said=$(ip -n "${node_ns[$1]}" -br address show dev out)
	[[ $said == *" 192.0.3.1/24"* && $said == *" 2001:db8:3::1/64"* ]]
}
has_none() { # NODE
	local said

	said=$(ip -n "${node_ns[$1]}" -br address show dev out)
	[[ $said != *" 192.0.3.1/24"* && $said != *" 2001:db8:3::1/64"* ]]
}
is_master() { has_address "$1" && role_is "$1" active; }
is_backup() { has_none "$1" && role_is "$1" standby; }
told() { grep -q "^$2 0\$" "$TMP/$1.notified"; } # NODE STATE

# All of it ends at once, and nobody hears of it: nor does it see its links go.
node_dies() { # NODE
	local ns=${node_ns[$1]} all

	all=("${keepalived[$1]}")
	# shellcheck disable=SC2207 # numbers
	all+=($(pgrep -P "${keepalived[$1]}"))
	kill -STOP "${all[@]}"
	ip -n "$ns" link set out down
	ip -n "$ns" link set xs0 down
	kill -KILL "${all[@]}"
	wait "${keepalived[$1]}" 2>/dev/null
	charon_kill "$1"
	stop "$1" KILL
}
node_boots() { # NODE
	local ns=${node_ns[$1]}

	nl "$ns" role-set none >/dev/null
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
	ip -n "$ns" address delete 192.0.3.1/24 dev out 2>/dev/null
	sed -i 's/^boot_id .*/boot_id another/' "$TMP/$1.state/state"
	: >"$TMP/$1.notified"
	ip -n "$ns" link set xs0 up
	net_up "$1"
	start "$1"
	charon_start "$1"
	keepalived_start "$1"
	charon_load "$1"
}

# --- traffic, the wire ------------------------------------------------------------------------

flows() { py flows "$@"; }
judge() { # TEXT whole|one|gap
	local said ns

	if said=$(flows judge "$2" 2>&1); then
		tap_ok "$1"
		tap_say "# $said"
	else
		tap_fail "$1" "$said"
		for ns in "${!space[@]}" a b; do
			# shellcheck disable=SC2016 # awk's
			in_ns "${space[$ns]:-${node_ns[$ns]-}}" awk -v ns="$ns" '$2 { print "# " ns ": " $0 }' /proc/net/xfrm_stat
		done
	fi
	flows mark
}
captures=0
new_wire() { # what is counted from here on
	[ $captures -eq 0 ] || { kill "$BG_PID" && wait "$BG_PID"; } 2>/dev/null
	wire=$TMP/wire$((++captures)).pcap
	ike_capture "$X" br0 "$wire"
}
wire_is() { [ "$(wire_count "$wire" "$1")" -ge "$2" ]; } # NAME N
# Nothing is asked while packets come.
alive() {
	flows pause
	check "the gateway answers each peer that asks" busywait 60000 wire_is lives_gateway ${#asking[@]}
	check "and each other one answers it" busywait 60000 wire_is lives_peer $((PEERS - ${#asking[@]}))
	flows go
}
# The first is of what everybody has sent up to here.
refused() { # NODE: packets, for whatever reason
	# shellcheck disable=SC2016 # awk's
	in_ns "${node_ns[$1]}" awk '/^XfrmIn|^XfrmFwdHdr/ { n += $2 } END { print n }' /proc/net/xfrm_stat
}
replayed() { # NODE FILE: none is taken
	local before sent

	before=$(refused "$1")
	sent=$(py again "$2" "$X" br0 "$(mac_of "${node_ns[$1]}" out)" 192.0.3.1 2001:db8:3::1) &&
		echo "$sent sent" && [ "$sent" -ge "$PEERS" ] &&
		busywait 20000 refused_is "$1" $((before + sent))
}
refused_is() { echo "refused $(refused "$1"), want $2"; [ "$(refused "$1")" -eq "$2" ]; } # NODE N
no_shakes() { # up to here, on this wire
	check_equal "no IKE_SA_INIT" 0 "$(wire_count "$wire" init)"
	check_equal "and no IKE_AUTH" 0 "$(wire_count "$wire" auth)"
}
nothing_bad() { # likewise
	no_shakes
	check_equal "no number twice" 0 "$(wire_count "$wire" twice)"
	check_equal "and nothing in clear" 0 "$(wire_count "$wire" clear)"
}
declare -A vip
has_vip() { # PEER: and the way in by it
	vip[$1]=$(ip -n "${space[$1]}" -br address show dev eth0 | grep -o '10\.3\.0\.[0-9]*') &&
		inner[$1]=${vip[$1]} &&
		ip -n "${space[$1]}" route replace 10.1.0.0/16 via 172.16.0.1 src "${vip[$1]}"
}
# Its charon has given each of them that address, and knows that port of it.
knows() { # NODE PORTS
	local said p

	said=$(vici "$1" remote)
	for p in "${nated[@]}"; do
		grep -qE "^$p 192\.0\.3\.3 $2 ${vip[$p]}\$" <<<"$said" || { echo "$p: $said"; return 1; }
	done
}
maps() { # NODE PORTS: where its kernel sends to them
	[ "$(ip -n "${node_ns[$1]}" xfrm state | grep -cE "encap type espinudp sport 4500 dport $2 ")" -eq ${#nated[@]} ]
}

# --- all start --------------------------------------------------------------------------------

for n in a b; do
	net_up $n
	start $n
	charon_start $n
	check "connections of $n" charon_load $n
done
for p in "${peers[@]}"; do charon_start "$p"; done
check "connections of the peers" every charon_load "${peers[@]}"
check "the charons are there" busywait 20000 has_ike a charon "'ready'"
check "both" busywait 20000 has_ike b charon "'ready'"
keepalived_start a
check "A becomes the master, and active" busywait 60000 is_master a
check "as it was told" busywait 20000 told a MASTER
keepalived_start b
check "B is in step" wait_step a b
check "and has not got the addresses" is_backup b
new_wire
comes_up() { vici "$1" initiate "$1"; } # PEER
check "the peers' tunnels come up" every comes_up "${peers[@]}"
check "A has all of them" busywait 20000 same_on a
check "who is behind the NAT has a virtual address" every has_vip "${nated[@]}"
each_another() { [ "$(printf '%s\n' "${vip[@]}" | sort -u | wc -l)" -eq ${#nated[@]} ]; }
check "each another one" each_another
is_nated() { grep -q "local host is behind NAT" "$TMP/$1.charon.log"; } # PEER
check "which it is" every is_nated "${nated[@]}"
check "B's charon has all, passive" busywait 60000 all_are b PASSIVE
check "with the Child SAs" busywait 20000 same_on b
check "with the virtual addresses" busywait 20000 knows b "1[0-9]{4}"
check "B is in step" wait_step a b
flow=()
for p in "${peers[@]}"; do flow+=("${space[$p]},${inner[$p]},${gateway[$p]}"); done
check "traffic, both ways with each" flows start $((10 * PEERS)) "$A,$B" "${flow[@]}"
check "it passes" busywait 60000 flows passing
flows mark
had=$(everything)

# --- the master crashes -------------------------------------------------------------------------

new_wire
check "B is in step" wait_step a b
judge "nothing was lost" whole
node_dies a
check "B becomes the master, and active" busywait 60000 is_master b
flows from 1
check "as it was told" busywait 20000 told b MASTER
check "its IKE SAs are established" busywait 20000 all_are b ESTABLISHED
check "all passes again" busywait 60000 flows passing
judge "what was lost lies in one outage, each way of each" gap
check "they are the peers', and what these had" same_on b
check_equal "with the same SPIs" "$had" "$(everything)"
alive
check_equal "they have what they had" "$had" "$(everything)"
nothing_bad
# What came to nobody while A was dead is no replay: a window further on it is none's.
check "64 packets later" busywait 120000 flows sent 64
flows pause
check "what was sent before is sent again: none is accepted" replayed b "$wire"
flows go
judge "nor delivered" whole
new_wire
rekeys b
judge "nothing was lost meanwhile, but for one packet" one
nothing_bad
# What the others have was reserved on B, too.
flows pause
check "p4 hangs up" vici p4 terminate p4
check "and comes again" vici p4 initiate p4
check "with a virtual address" has_vip p4
check "that no other one has" each_another
check "B has all of them" busywait 20000 same_on b
flows go
new_wire

# --- it is back ------------------------------------------------------------------------------------

had=$(everything)
check "A boots" node_boots a
check "it is told all" busywait 60000 all_are a PASSIVE
check "B is the master, A in step" wait_step b a
check "A's charon has the peers'" busywait 20000 same_on a
check "with the virtual addresses" busywait 20000 knows a "1[0-9]{4}"
check_equal "without one rekey" "$had" "$(everything)"
check_equal "it has as many SAs as B" "$(count_sas "$B")" "$(count_sas "$A")"
check "keepalived says that it is the backup" busywait 30000 told a BACKUP
check "it has not got the addresses" is_backup a
check "and B has not lost them" is_master b
judge "nothing was lost" whole
nothing_bad
new_wire

# --- it moves as planned: first the role, then the address ----------------------------------------

check "A takes over" ask a takeover
check "B's IKE SAs are passive" busywait 20000 all_are b PASSIVE
check "B's keepalived is stopped" keepalived_stop b
keepalived_start b
check "A becomes the master" busywait 60000 is_master a
flows from 0
check "its IKE SAs are established" busywait 20000 all_are a ESTABLISHED
check "B is the backup" busywait 60000 is_backup b
check "in step" wait_step a b
check "all passes again" busywait 60000 flows passing
judge "what was lost lies in one outage, each way of each" gap
alive
check_equal "they have what they had" "$had" "$(everything)"
rekeys a
judge "nothing was lost meanwhile, but for one packet" one
check "B is in step" wait_step a b
had=$(everything)

# --- the NAT gives them other ports ------------------------------------------------------------------

# charon makes the SAs anew for it: what comes meanwhile is lost.
flows pause
check "other ports" nat_ports 20000-29999
check "the NAT is there again" busywait 20000 nat_works
flows go
check "A sends to these ports then" busywait 20000 maps a "2[0-9]{4}"
check "all passes again" busywait 60000 flows passing
flows mark
check "B is in step" wait_step a b
check "it would send there, too" busywait 20000 maps b "2[0-9]{4}"
check "its charon knows where they are" busywait 20000 knows b "2[0-9]{4}"
check_equal "they have what they had" "$had" "$(everything)"

# --- its charon dies ------------------------------------------------------------------------------

nothing_bad
new_wire
judge "nothing was lost" whole
: >"$TMP/a.notified"
charon_kill a
check "A's keepalived finds that" busywait 30000 told a FAULT
check "B becomes the master, and active" busywait 60000 is_master b
flows from 1
check "its IKE SAs are established" busywait 20000 all_are b ESTABLISHED
check "A is a standby" busywait 20000 is_backup a
check "all passes again" busywait 60000 flows passing
judge "what was lost lies in one outage, each way of each" gap
check_equal "with the same SPIs" "$had" "$(everything)"
alive
rekeys b
judge "nothing was lost meanwhile, but for one packet" one
nothing_bad
had=$(everything)
charon_start a
check "A's charon is back" charon_load a
check "it is told all" busywait 60000 all_are a PASSIVE
check "A is in step" wait_step b a
check "its charon has the peers'" busywait 20000 same_on a
check_equal "without one rekey" "$had" "$(everything)"
check "keepalived says that it is the backup" busywait 30000 told a BACKUP

# --- strongswan is restarted on the master ------------------------------------------------------

# As fast as keepalived's script finds nothing, which it may here as well.
new_wire
judge "nothing was lost" whole
check "systemd stops B's, by the drop-in" charon_stops b
check "and has keepalived restarted" elects b
check "which ends" keepalived_stop b
keepalived_start b
charon_kill b TERM
charon_start b
check "A becomes the master, and active" busywait 60000 is_master a
flows from 0
check "its IKE SAs are established" busywait 20000 all_are a ESTABLISHED
check "B's charon is back" charon_load b
check "it is told all" busywait 60000 all_are b PASSIVE
check "all passes again" busywait 60000 flows passing
judge "what was lost lies in one outage, each way of each" gap
check "B is in step" wait_step a b
check "its charon has the peers'" busywait 20000 same_on b
check_equal "without one rekey" "$had" "$(everything)"
check "B is the backup" busywait 60000 is_backup b
alive
# A charon that ends in order takes its policies with it: what B sends itself by then is in clear.
no_shakes
check_equal "no number twice" 0 "$(wire_count "$wire" twice)"

# --- both die ---------------------------------------------------------------------------------

flows pause
node_dies a
node_dies b
check "A boots" node_boots a
check "B boots" node_boots b
one_master() { { is_master a && is_backup b; } || { is_master b && is_backup a; }; }
check "one of them becomes the master" busywait 60000 one_master
master=a other=b
! is_master b || master=b other=a
check "the other one is in step" wait_step $master $other
# Nobody has their IKE SAs any more: who asks finds out, and makes another one.
made_anew() {
	local p now

	now=$(ike_of $master)
	for p in "${asking[@]}"; do
		ike_sa_is "$p" "$p" ESTABLISHED && grep -qxF "$(ike_of "$p")" <<<"$now" || return
	done
}
check "who asks makes another tunnel" busywait 90000 made_anew
comes() { grep -q " PASSIVE " <<<"$(vici $other ike)" && [ "$(ike_of $other)" = "$(ike_of $master)" ]; }
check "which the other one has, too" busywait 20000 comes
start_sink "${space[p1]}" "$TMP/p1.sink"
start_sink "${node_ns[$master]}" "$TMP/master.sink"
check "traffic to one of them" send_and_count "${node_ns[$master]}" "${inner[p1]}" 20 "$TMP/p1.sink"
check "and from it" send_and_count "${space[p1]}" 10.1.0.1 20 "$TMP/master.sink"
check_equal "no number twice" 0 "$(wire_count "$wire" twice)"

for n in a b; do
	check "keepalived of $n ends" keepalived_stop $n
	stop $n
done
for n in a b "${peers[@]}"; do charon_kill "$n" TERM; done
check "every daemon ended cleanly" ended_cleanly
