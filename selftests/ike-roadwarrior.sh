#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Remote access: peers behind a NAT, by EAP, with a virtual address each; R with MOBIKE, S without.
# They notice neither a takeover, nor the next one, nor that the NAT has given them other ports.
#
#   R 172.16.0.11 (10.3.0.x) --+
#                              +-- NAT 192.0.3.2 ===== 192.0.3.1, of A or B; A 192.0.2.1 - TLS - 192.0.2.2 B
#   S 172.16.0.12 (10.3.0.y) --+
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/ike_lab.sh
. "$(dirname "$0")/ike_lab.sh"
plan 102

need_charon
need_daemon
modprobe -aq nft_masq nft_chain_nat nf_conntrack
setup_ns A B N R S
tmpdir
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$N"
pair_confs "$A" "$B"
make_cert ca gw gw

# --- the NAT, and who is behind it --------------------------------------------------------

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
behind "$R" 11
behind "$S" 12
nat_ports() { # RANGE: what has a mapping loses it when the link goes down
	in_ns "$N" nft -f - <<-END || return
		table ip nat
		delete table ip nat
		table ip nat {
			chain out {
				type nat hook postrouting priority 100
				oifname br0 meta l4proto udp masquerade to :$1
			}
		}
	END
	ip -n "$N" link set br0 down
	ip -n "$N" link set br0 up
}
nat_works() { in_ns "$N" ping -qc 1 -W 1 192.0.3.1; }
inside_route() { ip -n "$1" route replace 10.3.0.0/24 via 192.0.3.2 src 10.1.0.1; } # NS: what XFRM takes
hold() { # NS: it has the address
	carry "$1"
	inside_route "$1"
}
check "a NAT" nat_ports 10000-19999
hold "$A"

# --- connections -------------------------------------------------------------------------

rw_gateway() { # NODE PEER REQID DPD
	cat >"$TMP/$1.charon/swanctl/conf.d/$2.conf" <<-END
		connections {
			$2 {
				version = 2
				local_addrs = 192.0.3.1
				proposals = aes128-sha256-x25519
				pools = inner
				rekey_time = 0
				dpd_delay = $4
				local {
					auth = pubkey
					certs = gw.crt
					id = CN=gw
				}
				remote {
					auth = eap-md5
					id = $2
				}
				children {
					$2 {
						local_ts = 10.1.0.0/16
						reqid = $3
						esp_proposals = aes128gcm16-x25519
						rekey_time = 0
						replay_window = 64
					}
				}
			}
		}
		secrets {
			eap-$2 {
				id = $2
				secret = "$(key 16 "$2")"
			}
		}
	END
}
rw_peer() { # NAME DPD MOBIKE
	local dir=$TMP/$1.charon/swanctl

	mkdir -p "$dir/x509ca"
	cp "$TMP/ca.crt" "$dir/x509ca/"
	cat >"$dir/conf.d/$1.conf" <<-END
		connections {
			$1 {
				version = 2
				remote_addrs = 192.0.3.1
				proposals = aes128-sha256-x25519
				vips = 0.0.0.0
				mobike = $3
				rekey_time = 0
				dpd_delay = $2
				local {
					auth = eap-md5
					id = $1
				}
				remote {
					auth = pubkey
					id = CN=gw
				}
				children {
					$1 {
						remote_ts = 10.1.0.0/16
						esp_proposals = aes128gcm16-x25519
						rekey_time = 0
						replay_window = 64
					}
				}
			}
		}
		secrets {
			eap-$1 {
				id = $1
				secret = "$(key 16 "$1")"
			}
		}
	END
}
for n in a b; do
	ike_conf $n
	charon_conf $n "${node_ns[$n]}" ha
	mkdir -p "$TMP/$n.charon/swanctl/"{x509,ecdsa}
	cp "$TMP/gw.crt" "$TMP/$n.charon/swanctl/x509/"
	openssl pkey -in "$TMP/gw.key" -traditional -out "$TMP/$n.charon/swanctl/ecdsa/gw.key"
	# The gateway asks R; and S asks it.
	rw_gateway $n r 1 4
	rw_gateway $n s 2 0
done
charon_conf r "$R"
rw_peer r 0 yes
charon_conf s "$S"
rw_peer s 2 no

declare -A space=([r]=$R [s]=$S) vip
vip_of() { ip -n "${space[$1]}" -br address show dev eth0 | grep -o '10\.3\.0\.[0-9]*'; } # PEER
has_vip() { # PEER: and the way in by it
	vip[$1]=$(vip_of "$1") && [ -n "${vip[$1]}" ] &&
		ip -n "${space[$1]}" route replace 10.1.0.0/16 via 172.16.0.1 src "${vip[$1]}"
}
# Its charon has given that peer that address.
knows_vip() { swan "$1" --list-sas --ike "$2" --raw | grep -q "remote-vips=\[${vip[$2]}\]"; } # NODE PEER
knows_port() { swan "$1" --list-sas --ike "$2" --raw | grep -qE "remote-port=$3 "; } # NODE PEER PORT
traffic() { # NODE PEER...: both ways
	local peer

	for peer in "${@:2}"; do
		check "traffic from $peer" send_and_count "${space[$peer]}" 10.1.0.1 20 "$TMP/$1.sink"
		check "traffic from $1 to $peer" send_and_count "${node_ns[$1]}" "${vip[$peer]}" 20 "$TMP/$peer.sink"
	done
}
rekeyed() { # NODE PEER BEFORE: it has another Child SA with it
	local now

	now=$(child_spis "$1" "$2")
	[ "$(wc -l <<<"$now")" -eq 1 ] && [ -n "$now" ] && [ "$now" != "$3" ]
}
ike_rekeyed() { [ "$(ike_spis "$1" "$2")" != "$3" ] && ike_same "$1" "$2" "$2"; } # NODE PEER BEFORE
rekeys() { # NODE PEER: each of both kinds, by each side
	local by was

	for by in "$2" "$1"; do
		was=$(child_spis "$1" "$2")
		check "Child rekey by $by" swan "$by" --rekey --child "$2"
		check "succeeds" busywait 20000 rekeyed "$1" "$2" "$was"
		was=$(ike_spis "$1" "$2")
		check "IKE rekey by $by" swan "$by" --rekey --ike "$2"
		check "succeeds" busywait 20000 ike_rekeyed "$1" "$2" "$was"
	done
}
same_on() { # NODE PEER...: what the peers have
	local peer

	for peer in "${@:2}"; do
		ike_same "$1" "$peer" "$peer" &&
			[ "$(child_spis "$1" "$peer" | awk '{ print $3, $2 }')" = "$(child_spis "$peer" | awk '{ print $2, $3 }')" ] || return
	done
}
# What a crash's guard covers is not accepted, so long as it leads.
no_guard() {
	local said

	said=$(ask "$1" show --json) && py is "s and all(not x.get('guard') for x in s)" "$said"
}
crash() { # NODE NS
	charon_kill "$1"
	stop "$1" KILL
	ip -n "$2" link set xs0 down
	ip -n "$2" link set out down
}
p_asks() { # NAME: of wire_count; a DPD more, within its time
	local n

	n=$(wire_count "$TMP/wire.pcap" "$1")
	busywait 30000 wire_more "$TMP/wire.pcap" "$1" "$n"
}
shakes() { echo "$(wire_count "$TMP/wire.pcap" init) $(wire_count "$TMP/wire.pcap" auth)"; }

for n in a b r s; do
	charon_start $n
	check "connections of $n" charon_load $n
done
check "a pair" both_start a b
check "A's charon is there" busywait 20000 has_ike a charon "'ready'"
check "B's, too" busywait 20000 has_ike b charon "'ready'"
start_sink "$R" "$TMP/r.sink"
start_sink "$S" "$TMP/s.sink"
start_sink "$A" "$TMP/a.sink"
start_sink "$B" "$TMP/b.sink"
ike_capture "$N" br0 "$TMP/wire.pcap"

# --- R, with MOBIKE ------------------------------------------------------------------------

check "R's tunnel comes up" swan r --initiate --child r
check "it has a virtual address" has_vip r
check "it is behind a NAT" grep -q "local host is behind NAT" "$TMP/r.charon.log"
check "B's charon has it, passive" busywait 20000 ike_sa_is b r PASSIVE
check "with the virtual address" busywait 20000 knows_vip b r
check "with its Child SA" busywait 20000 same_on b r
check "B is in step" wait_step a b
traffic a r
before=$(shakes)

# --- A dies ----------------------------------------------------------------------------------

check "no window is led" busywait 20000 no_guard b
crash a "$A"
check "B takes over" ask b takeover
hold "$B"
check "its IKE SA is established" busywait 20000 ike_sa_is b r ESTABLISHED
check "it is R's" same_on b r
traffic b r
check "B asks whether R lives" p_asks dpd_gateway
check "R has what it had" same_on b r
rekeys b r
traffic b r
check_equal "no IKE_SA_INIT, no IKE_AUTH" "$before" "$(shakes)"

# --- S comes, without MOBIKE, and A is back -------------------------------------------------

check "S's tunnel comes up" swan s --initiate --child s
check "it has a virtual address" has_vip s
other_vip() { [ "${vip[r]}" != "${vip[s]}" ]; }
check "another one than R's, which was reserved" other_vip
traffic b s
nl "$A" role-set none >/dev/null
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
sed -i 's/^boot_id .*/boot_id another/' "$TMP/a.state/state"
ip -n "$A" link set xs0 up
start a
charon_start a
check "A has its connections again" charon_load a
check "it is told of R" busywait 30000 ike_sa_is a r PASSIVE
check "and of S" busywait 20000 ike_sa_is a s PASSIVE
check "it has both as they are" busywait 20000 same_on a r s
check "with R's virtual address" busywait 20000 knows_vip a r
check "and S's" busywait 20000 knows_vip a s
check "A is in step" wait_step b a
before=$(shakes)

# --- the NAT gives them other ports ------------------------------------------------------------

# Just before, so that nobody asks just now, by a port that is gone, whether who is there lives.
traffic b r s
check "other ports" nat_ports 20000-29999
check "the NAT is there again" busywait 20000 nat_works
maps() { # NODE PORTS: by a regular expression, where both peers' Child SAs go to
	[ "$(ip -n "${node_ns[$1]}" xfrm state | grep -cE "encap type espinudp sport 4500 dport $2 ")" -eq 2 ]
}
# charon makes the SAs anew for it: what comes meanwhile is lost.
for peer in r s; do
	check "$peer sends by them" send_packets "${space[$peer]}" 10.1.0.1 5
done
check "B sends to these ports then" busywait 20000 maps b "2[0-9]{4}"
traffic b r s
check "S asks whether B lives" p_asks dpd_peer
check "they have what they had" same_on b r s
check "A is in step" wait_step b a
check "it would send there, too" busywait 20000 maps a "2[0-9]{4}"
for peer in r s; do
	check "its charon knows where $peer is" busywait 20000 knows_port a "$peer" "2[0-9]{4}"
done

# --- B dies --------------------------------------------------------------------------------

check "no window is led" busywait 20000 no_guard a
crash b "$B"
check "A takes over" ask a takeover
ip -n "$A" link set out up
hold "$A"
check "R's IKE SA is established" busywait 20000 ike_sa_is a r ESTABLISHED
check "and S's" ike_sa_is a s ESTABLISHED
traffic a r s
check "S asks whether A lives" p_asks dpd_peer
check "A asks whether R lives" p_asks dpd_gateway
check "they have what they had" same_on a r s
rekeys a r
rekeys a s
traffic a r s
check_equal "no IKE_SA_INIT, no IKE_AUTH" "$before" "$(shakes)"
check_equal "no number twice" 0 "$(wire_count "$TMP/wire.pcap" twice)"
stop a
for n in a r s; do charon_kill $n TERM; done
check "every daemon ended cleanly" ended_cleanly
