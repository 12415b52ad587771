# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# A lab of IKE: gateways and peers, each a network namespace with a charon of its own, which
# is Debian's, unmodified. Its sockets, its FIFO and its logs stand in folders of the test.
#
#   P, Q ... ===== IKE, ESP ===== 192.0.3.1, 2001:db8:3::1: A or B, A --- TLS --- B
#
# A test has it after daemon.sh. What a charon has in /run is its own: the path of the HA
# plugin's FIFO is compiled in.

charon_bin=/usr/sbin/charon-systemd
declare -A charon_ns charon_pid

need_charon() { # skips the test where there is none
	{ [ -x $charon_bin ] && [ -e /usr/lib/ipsec/plugins/libstrongswan-ha.so ]; } ||
		skip_all "charon-systemd, or its ha plugin, is not installed"
	command -v tshark >/dev/null || skip_all "tshark is not installed"
	[ "$SLOW" -eq 1 ] || skip_all "four charons take too long here"
	modprobe -aq esp4 esp6 xfrm_user
}

charon_ha() { # ha: as Documentation/strongswan.rst has it
	[ "$1" = ha ] || return 0
	cat <<-END
		ha {
			local = 127.0.0.1
			remote = 127.0.0.2
			segment_count = 1
			monitor = no
			resync = yes
			fifo_interface = yes
			pools {
				inner = 10.3.0.0/24
			}
		}
	END
}

# charon_conf NAME NS [ha]: with the ha plugin, where it is a gateway.
charon_conf() {
	local dir=$TMP/$1.charon plugins="random nonce openssl kdf pem pkcs1 x509 pubkey \
		constraints kernel-netlink socket-default vici attr eap-identity eap-md5"

	charon_ns[$1]=$2
	mkdir -p "$dir/run" "$dir/swanctl/conf.d"
	chmod 700 "$dir/run"
	echo 'include conf.d/*.conf' >"$dir/swanctl/swanctl.conf"
	[ "${3-}" != ha ] || plugins+=" ha"
	cat >"$dir/strongswan.conf" <<-END
		charon-systemd {
			load = $plugins
			install_routes = no
			install_virtual_ip = yes
			retransmit_timeout = 2
			delete_rekeyed_delay = 1
			filelog {
				log {
					path = $TMP/$1.charon.log
					flush_line = yes
					default = 1
					net = 0
					cfg = 1
					ike = 2
				}
			}
			plugins {
				vici {
					socket = unix://$dir/run/charon.vici
				}
				$(charon_ha "${3-}")
			}
		}
		swanctl {
			load = random openssl pem pkcs1 x509 pubkey
		}
	END
}

charon_start() { # NAME: charon_pid[NAME] is its own
	local dir=$TMP/$1.charon

	# shellcheck disable=SC2016 # the inner shell's
	STRONGSWAN_CONF=$dir/strongswan.conf nsenter --net="/run/netns/${charon_ns[$1]}" \
		unshare --mount --propagation private sh -c 'mount --bind "$1" /run && exec "$2"' \
		_ "$dir/run" $charon_bin >>"$TMP/$1.charon.out.log" 2>&1 &
	charon_pid[$1]=$!
	lib_pids+=("$!")
	busywait 60000 charon_answers "$1" >/dev/null || {
		tail -n 20 "$TMP/$1".charon*.log
		bail "charon $1 does not start"
	}
}

# What a charon is told by a file is told it by swanctl, as an operator does; all else by vici.py.
swan() { # NAME COMMAND...
	local dir=$TMP/$1.charon

	STRONGSWAN_CONF=$dir/strongswan.conf SWANCTL_DIR=$dir/swanctl \
		swanctl "${@:2}" --uri "unix://$dir/run/charon.vici"
}

vici() { py vici "$TMP/$1.charon/run/charon.vici" "${@:2}"; } # NAME WORD...

charon_answers() { vici "$1" version; }

charon_load() { swan "$1" --load-all --noprompt; }

charon_kill() { # NAME [SIGNAL]
	kill "-${2:-KILL}" "${charon_pid[$1]}" 2>/dev/null
	wait "${charon_pid[$1]}" 2>/dev/null
	rm -f "$TMP/$1.charon/run/charon.vici"
}

# What systemd does before it ends charon, by each line of the drop-in; with this node's paths,
# and with a systemctl that keeps what it is asked for.
drop_in=$(dirname "${BASH_SOURCE[0]}")/../tools/systemd/strongswan-xfrmsync.conf
charon_stops() { # NAME
	local bin=$TMP/$1.bin line n=0

	mkdir -p "$bin"
	printf '#!/bin/sh\nexec "%s" "$@" -c "%s"\n' "$XFRMSYNC" "$TMP/$1.conf" >"$bin/xfrmsync"
	printf '#!/bin/sh\necho "$@" >>"%s"\n' "$TMP/$1.systemctl" >"$bin/systemctl"
	chmod +x "$bin"/*
	: >"$TMP/$1.systemctl"
	while read -r line; do
		in_ns "${charon_ns[$1]}" sh -c "$line" || { echo "$line: $?"; return 1; }
		n=$((n + 1))
	done < <(sed -n "s|^ExecStop=-||; T; s|/usr/sbin/xfrmsync|$bin/xfrmsync|
		s|/usr/bin/systemctl|$bin/systemctl|; s|/run/charon.ha|$TMP/$1.charon&|; p" "$drop_in")
	[ $n -gt 0 ]
}
elects() { grep -qx -- '--no-block try-restart keepalived.service' "$TMP/$1.systemctl"; } # NAME

# A connection, as a gateway and its peer have it. SECRET is of both.
# charon_conn NAME CONN LOCAL REMOTE LOCAL_ID REMOTE_ID LOCAL_TS REMOTE_TS [LINES]
charon_conn() {
	cat >"$TMP/$1.charon/swanctl/conf.d/$2.conf" <<-END
		connections {
			$2 {
				version = 2
				local_addrs = $3
				remote_addrs = $4
				proposals = aes128-sha256-x25519
				rekey_time = 0
				dpd_delay = 0
				local {
					auth = psk
					id = $5
				}
				remote {
					auth = psk
					id = $6
				}
				children {
					$2 {
						local_ts = $7
						remote_ts = $8
						esp_proposals = aes128gcm16${9-}-x25519
						rekey_time = 0
						replay_window = 64
					}
				}
			}
		}
		secrets {
			ike-$2 {
				id-1 = $5
				id-2 = $6
				secret = "$(key 16 "$2")"
			}
		}
	END
}

# A gateway's connection for peers from anywhere, by its certificate; its child has the connection's name.
# remote_access NAME CONN LINES REMOTE_LINES CHILD_LINES [ADDRESS NET]
remote_access() {
	cat >"$TMP/$1.charon/swanctl/conf.d/$2.conf" <<-END
		connections {
			$2 {
				version = 2
				local_addrs = ${6-192.0.3.1}
				proposals = aes128-sha256-x25519
				rekey_time = 0
				dpd_delay = 2
				$3
				local {
					auth = pubkey
					certs = gw.crt
					id = CN=gw
				}
				remote {
					$4
				}
				children {
					$2 {
						local_ts = ${7-10.1.0.0/16}
						$5
						rekey_time = 0
						replay_window = 64
					}
				}
			}
		}
	END
}
# The peer's, of its name; LOCAL is how it shows who it is.
# road_warrior PEER MOBIKE LOCAL LINES PROPOSALS [ADDRESS NET]
road_warrior() {
	local dir=$TMP/$1.charon/swanctl

	mkdir -p "$dir/x509ca"
	cp "$TMP/ca.crt" "$dir/x509ca/"
	cat >"$dir/conf.d/$1.conf" <<-END
		connections {
			$1 {
				version = 2
				remote_addrs = ${6-192.0.3.1}
				proposals = aes128-sha256-x25519
				mobike = $2
				rekey_time = 0
				dpd_delay = 0
				$4
				local {
					$3
				}
				remote {
					auth = pubkey
					id = CN=gw
				}
				children {
					$1 {
						remote_ts = ${7-10.1.0.0/16}
						esp_proposals = $5
						rekey_time = 0
						replay_window = 64
					}
				}
			}
		}
	END
}

has_cert() { # NAME CERT
	mkdir -p "$TMP/$1.charon/swanctl/"{x509,x509ca,ecdsa}
	cp "$TMP/ca.crt" "$TMP/$1.charon/swanctl/x509ca/"
	cp "$TMP/$2.crt" "$TMP/$1.charon/swanctl/x509/"
	openssl pkey -in "$TMP/$2.key" -traditional -out "$TMP/$1.charon/swanctl/ecdsa/$2.key"
}

ike_sas() { vici "$1" ike; } # NAME: "CONN STATE SPIi SPIr" a line, sorted

ike_sa_is() { # NAME CONN STATE
	ike_sas "$1" | grep -q "^$2 $3 "
}

# "CONN SPIi SPIr" of its IKE SAs, sorted: the same on who has the same.
ike_spis() { # NAME [CONN]
	ike_sas "$1" | awk -v conn="${2-}" 'conn == "" || $1 == conn { print $1, $3, $4 }'
}

ike_same() { # NAME NAME [CONN]: there are some, and both have them
	local a

	a=$(ike_spis "$1" "${3-}")
	[ -n "$a" ] && [ "$a" = "$(ike_spis "$2" "${3-}")" ]
}

# "CHILD IN OUT" of its Child SAs, sorted; of what is being deleted nothing.
child_spis() { # NAME [CHILD]
	vici "$1" child | awk -v child="${2-}" 'child == "" || $1 == child'
}

# --- outside --------------------------------------------------------------------------------

# ike_outside A B P Q: as setup_outside, and Q 2001:db8:3::3 behind the same bridge, inside
# fd00:4::1; the gateway's address is 2001:db8:3::1, and inside it is fd00:1::1.
ike_outside() {
	local ns

	setup_outside "$1" "$2" "$3"
	outside_6=$4
	ip -n "$4" link add out type veth peer name to-q netns "$3"
	ip -n "$3" link set to-q master br0 up
	ip -n "$4" -batch - <<-END
		link set out up
		address add 2001:db8:3::3/64 dev out nodad
		address add fd00:4::1/128 dev lo nodad
		route add fd00:1::/32 via 2001:db8:3::1 src fd00:4::1
	END
	for ns in "$1" "$2"; do
		ip -n "$ns" address replace fd00:1::1/128 dev lo nodad
	done
}

# joins X NS DEV ADDRESS...: the net behind the bridge of X
joins() {
	ip -n "$2" link add "$3" type veth peer name "x${2##*-}" netns "$1"
	ip -n "$1" link set "x${2##*-}" master br0 up
	{
		echo "link set $3 up"
		[ $# -lt 4 ] || printf "address add %s dev $3\n" "${@:4}"
	} | ip -n "$2" -batch -
}

# Without the active's last word what the guard covers is not accepted, and it goes by how fast
# packets came a moment ago: who counts all of what comes after a crash waits for this before it.
no_guard() { # NAME
	local said

	said=$(ask "$1" show --json) && py is "s and all(not x.get('guard') for x in s)" "$said"
}

ike_carry() { # NS: it has both addresses now
	local ns

	carry "$1"
	# shellcheck disable=SC2154 # of daemon.sh
	for ns in "${outside[@]:0:2}"; do
		[ "$ns" = "$1" ] || ip -n "$ns" address delete 2001:db8:3::1/64 dev out
	done 2>/dev/null
	ip -n "$1" -batch - <<-END
		address replace 2001:db8:3::1/64 dev out nodad
		route replace fd00:4::/32 via 2001:db8:3::3 src fd00:1::1
	END
	ip -n "$outside_6" neigh flush dev out
}

# --- what the wire says -----------------------------------------------------------------

ike_capture() { # NS DEV FILE
	background ip netns exec "$1" tcpdump -i "$2" -U --immediate-mode -w "$3" \
		'udp port 500 or udp port 4500 or udp port 7000 or esp' >/dev/null 2>&1
	busywait 20000 test -s "$3" >/dev/null || bail "no capture in $1"
}

# wire_count FILE NAME: of ike_pcap.py
wire_count() {
	local said

	said=$(py wire "$1" 192.0.3.1 2001:db8:3::1)
	sed -n "s/.*\b$2=\([0-9]*\).*/\1/p" <<<"$said"
}

wire_more() { [ "$(wire_count "$1" "$2")" -gt "$3" ]; } # FILE NAME N

# What tshark makes of a capture with the tables of keys in $TMP/keys.
dissect() { # FILE OPTION...
	WIRESHARK_CONFIG_DIR=$TMP/keys tshark -r "$1" -o esp.enable_encryption_decode:TRUE "${@:2}" 2>/dev/null
}

# "all of N IKE SAs", if each IKE message was decrypted, has the right check sum, and holds
# nothing that cannot be read; else counts.
opened() { # FILE
	dissect "$1" -Y isakmp -O isakmp | awk '
		/Exchange type: / { messages++ }
		/Initiator SPI: / { sas[$NF] = 1 }
		/Integrity Checksum Data: .*\[correct\]/ { correct++ }
		/Decrypted Data/ { opened++ }
		/too big|Malformed|incorrect/ { bad++ }
		END {
			if (messages && messages == correct && messages == opened && !bad)
				print "all of", length(sas), "IKE SAs"
			else
				print messages + 0, "messages", correct + 0, "correct", opened + 0, "opened", bad + 0, "bad"
		}'
}

# "all", if each ESP packet holds what send_packets sends; else counts.
opened_esp() { # FILE
	dissect "$1" -Y esp -T fields -e esp.spi -e udp.dstport | awk -F '\t' '
		{ packets++ }
		$2 == 9 { opened++ }
		END { print packets && packets == opened ? "all" : packets + 0 " packets, " opened + 0 " opened" }'
}

# --- the daemon beside it ---------------------------------------------------------------

# ike_conf NAME: make_conf's, with [ike]; and all SAs, whatever their reqid.
ike_conf() {
	sed -i '/^\[filter\]/,/^$/d' "$TMP/$1.conf"
	cat >>"$TMP/$1.conf" <<-END

		[ike]
		vici = $TMP/$1.charon/run/charon.vici
	END
}

has_ike() { status "$1" "s['ike']['$2'] == $3"; } # NAME WHAT N
