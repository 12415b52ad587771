#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# keepalived says who is active, by the example's configuration and the notify script, where charon
# is, too: a crash, a planned move, a charon that dies, a node that is back, both at once.
#
#   P 192.0.3.2 ===== IKE, ESP ==== 192.0.3.1, of A (.11) or B (.12); A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/ike_lab.sh
. "$(dirname "$0")/ike_lab.sh"
plan 70

command -v keepalived >/dev/null || skip_all "keepalived is not installed"
need_charon
need_daemon
setup_ns A B P
tmpdir
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
pair_confs "$A" "$B"
for n in a b; do
	ike_conf $n
	charon_conf $n "${node_ns[$n]}" ha
	charon_conn $n site 192.0.3.1 192.0.3.2 gw p 10.1.0.0/16 10.2.0.0/16 -esn
done
charon_conf p "$P"
charon_conn p site 192.0.3.2 192.0.3.1 p gw 10.2.0.0/16 10.1.0.0/16 -esn
# It finds out that nobody is there by itself, and begins anew then.
sed -i 's/dpd_delay = 0/dpd_delay = 2/; s/replay_window = 64/&\ndpd_action = restart/' \
	"$TMP/p.charon/swanctl/conf.d/site.conf"
sed -i 's/retransmit_timeout = 2/&\nretransmit_tries = 3/' "$TMP/p.charon/strongswan.conf"

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
	sed -e "s|/usr/sbin/swanctl|$scripts/charon-$1|; s|advert_int 1|advert_int 3|; s|/usr/lib/xfrmsync/xfrmsync-keepalived-notify|$scripts/notify-$1|" \
		-e "s|interface eth0|interface out|; s|router_id gw-a|router_id $1|; s|priority 200|priority $3|" \
		"$here/../tools/keepalived.conf.example" >"$TMP/$1.keepalived.conf"
	chmod 644 "$TMP/$1.keepalived.conf"
	address[$1]=$2
}
declare -A address keepalived
keepalived_conf a 192.0.3.11 200
keepalived_conf b 192.0.3.12 100
net_up() { # NODE: what a boot gives it
	ip -n "${node_ns[$1]}" -batch - <<-END
		link set out up
		address replace ${address[$1]}/24 dev out
		route replace 10.2.0.0/16 via 192.0.3.2 src 10.1.0.1
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
has_address() { ip -n "${node_ns[$1]}" -br address show dev out | grep -qF ' 192.0.3.1/24'; } # NODE
is_master() { has_address "$1" && role_is "$1" active; }
is_backup() { ! has_address "$1" && role_is "$1" standby; }
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
same_on() { # NODE: what P has
	ike_same "$1" p && [ "$(child_spis "$1" | awk '{ print $2, $3 }')" = "$(child_spis p | awk '{ print $3, $2 }')" ]
}
traffic() { # NODE: both ways
	check "traffic from $1" send_and_count "${node_ns[$1]}" 10.2.0.1 20 "$TMP/p.sink"
	check "traffic from P" send_and_count "$P" 10.1.0.1 20 "$TMP/$1.sink"
}
# What a crash's guard covers is not accepted, so long as it leads.
no_guard() {
	local said

	said=$(ask "$1" show --json) && py is "s and all(not x.get('guard') for x in s)" "$said"
}
p_lives() { # of P's IKE SA, by its own DPD
	local n

	n=$(wire_count "$TMP/wire.pcap" dpd_peer)
	check "P asks whether it lives" busywait 30000 wire_more "$TMP/wire.pcap" dpd_peer "$n"
	check_equal "and stays with it" "$before $children" "$(ike_spis p) $(child_spis p)"
}

# --- both start --------------------------------------------------------------------------

for n in a b; do
	net_up $n
	start $n
	charon_start $n
	check "connections of $n" charon_load $n
done
charon_start p
check "connections of p" charon_load p
start_sink "$P" "$TMP/p.sink"
start_sink "$A" "$TMP/a.sink"
start_sink "$B" "$TMP/b.sink"
check "the charons are there" busywait 20000 has_ike a charon "'ready'"
check "both" busywait 20000 has_ike b charon "'ready'"
keepalived_start a
check "A becomes the master, and active" busywait 60000 is_master a
check "as it was told" busywait 20000 told a MASTER
keepalived_start b
check "B is in step" wait_step a b
check "and has not got the address" is_backup b
ike_capture "$P" br0 "$TMP/wire.pcap"
check "P's tunnel comes up" swan p --initiate --child site
check "B's charon has it, passive" busywait 20000 ike_sa_is b site PASSIVE
check "with its Child SA" busywait 20000 same_on b
check "B is in step" wait_step a b
traffic a
before=$(ike_spis p) children=$(child_spis p) inits=$(wire_count "$TMP/wire.pcap" init)

# --- the master crashes -----------------------------------------------------------------

check "no window is led" busywait 20000 no_guard b
node_dies a
check "B becomes the master, and active" busywait 60000 is_master b
check "as it was told" busywait 20000 told b MASTER
check "its IKE SA is established" busywait 20000 ike_sa_is b site ESTABLISHED
check "P's" same_on b
traffic b
p_lives

# --- it is back --------------------------------------------------------------------------

check "A boots" node_boots a
check "it is told all" busywait 60000 ike_sa_is a site PASSIVE
check "B is the master, A in step" wait_step b a
check "A's charon has P's" busywait 20000 same_on a
check "keepalived says that it is the backup" busywait 30000 told a BACKUP
check "it has not got the address" is_backup a
check "and B has not lost it" is_master b

# --- it moves as planned: first the role, then the address ------------------------------------

check "A takes over" ask a takeover
check "B's IKE SA is passive" busywait 20000 ike_sa_is b site PASSIVE
check "B's keepalived is stopped" keepalived_stop b
keepalived_start b
check "A becomes the master" busywait 60000 is_master a
check "its IKE SA is established" busywait 20000 ike_sa_is a site ESTABLISHED
check "B is the backup" busywait 60000 is_backup b
check "in step" wait_step a b
traffic a
p_lives

# --- its charon dies ------------------------------------------------------------------------

check "no window is led" busywait 20000 no_guard b
: >"$TMP/a.notified"
charon_kill a
check "A's keepalived finds that" busywait 30000 told a FAULT
check "B becomes the master, and active" busywait 60000 is_master b
check "its IKE SA is established" busywait 20000 ike_sa_is b site ESTABLISHED
check "A is a standby" busywait 20000 is_backup a
traffic b
charon_start a
check "A's charon is back" charon_load a
check "it is told all" busywait 60000 ike_sa_is a site PASSIVE
check "A is in step" wait_step b a
check "keepalived says that it is the backup" busywait 30000 told a BACKUP
p_lives
check_equal "up to here no IKE_SA_INIT" "$inits" "$(wire_count "$TMP/wire.pcap" init)"

# --- both die ---------------------------------------------------------------------------------

node_dies a
node_dies b
check "A boots" node_boots a
check "B boots" node_boots b
one_master() { { is_master a && is_backup b; } || { is_master b && is_backup a; }; }
check "one of them becomes the master" busywait 60000 one_master
master=a other=b
! is_master b || master=b other=a
check "the other one is in step" wait_step $master $other
# Nobody has P's IKE SA any more: it finds out, and makes another one.
made_anew() { same_on "$master" && [ "$(ike_spis p)" != "$before" ]; }
check "P makes another tunnel" busywait 90000 made_anew
check "which the other one has, too" busywait 20000 same_on $other
check "passive" ike_sa_is $other site PASSIVE
traffic $master
check_equal "no number twice" 0 "$(wire_count "$TMP/wire.pcap" twice)"

for n in a b; do
	check "keepalived of $n ends" keepalived_stop $n
	stop $n
done
for n in a b p; do charon_kill $n TERM; done
check "every daemon ended cleanly" ended_cleanly
