#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# In a gateway's VM: addresses, keepalived and, with SYNC=on, xfrmsync.
#
# usage: gateway.sh DIR gw-a|gw-b on|off XFRMSYNC MODULE MOVES
#   DIR   is shared with the host: what is to do, and what came out
#   on    gw-a has the static SAs, gw-b none: it gets all from xfrmsync
#   off   gw-b has the same SAs, installed beforehand, and nothing tells it their state
#   MOVES  who moves the address: keepalived, which takes over after three and a bit of so many
#          seconds; or this script when it is told to: "address", "role", by what it does first
#
#   eth0 outside 198.51.100.0/24   eth1 inside 10.1.0.0/24, fd00:1::/64   eth2 sync 10.3.0.0/24
#   .1 is the address that moves; gw-a is .2 and gw-b .3
set -euo pipefail

dir=$1 name=$2 sync=$3 xfrmsync=$4 module=$5 moves=$6
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/demo/lib.sh
. "$here/lib.sh"

case $name in
gw-a) host=2 other=gw-b other_host=3 priority=200 batch=gateway.batch ;;
gw-b) host=3 other=gw-a other_host=2 priority=100 batch=spare.batch ;;
*) die "$name: gw-a or gw-b" ;;
esac

modprobe -a esp4 xfrm_user
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 \
	net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip -batch - <<-END
	link set eth0 up
	link set eth1 up
	link set eth2 up
	address add 198.51.100.$host/24 dev eth0
	address add 10.1.0.$host/24 dev eth1
	address add fd00:1::$host/64 dev eth1 nodad
	address add 10.3.0.$host/24 dev eth2
	route add 10.2.0.0/16 dev eth0
	route add fd00:2::/32 dev eth0
END
"$dir/bin/natt" &

if [ "$sync" = on ]; then
	insmod "$module"
	mkdir -p /etc/xfrmsync/tls
	install -m 600 "$dir/tls/$name.key" /etc/xfrmsync/tls/node.key
	install -m 644 "$dir/tls/$name.crt" /etc/xfrmsync/tls/node.crt
	install -m 644 "$dir/tls/ca.crt" /etc/xfrmsync/tls/ca.crt
	cat >/etc/xfrmsync/xfrmsync.conf <<-END
		[node]
		id = $((host - 1))
		name = $name
		[listen]
		address = 10.3.0.$host
		[tls]
		ca = /etc/xfrmsync/tls/ca.crt
		cert = /etc/xfrmsync/tls/node.crt
		key = /etc/xfrmsync/tls/node.key
		[peer $other]
		address = 10.3.0.$other_host
		# A dead peer is noticed about as fast as keepalived does.
		[sync]
		heartbeat_ms = 200
		dead_ms = 2000
	END
	chmod 600 /etc/xfrmsync/xfrmsync.conf
	[ ! -e "$dir/guard" ] || echo "guard = $(cat "$dir/guard")" >>/etc/xfrmsync/xfrmsync.conf
	"$xfrmsync" run >"$dir/$name.daemon.log" 2>&1 &
	daemon=$!
	wait_for 60 "the daemon" test -S /run/xfrmsync/xfrmsync.sock
fi
if [ "$name" = gw-a ] || [ "$sync" = off ]; then
	ip -batch "$dir/$batch"
fi

# keepalived runs no script that others than root could have written.
install -m 755 "$here/notify.sh" "$here/../../tools/systemd/xfrmsync-keepalived-notify" /run/
ln -sf "$xfrmsync" /usr/sbin/xfrmsync
cat >/run/keepalived.conf <<END
global_defs {
	router_id $name
	vrrp_version 3
	vrrp_garp_master_delay 1
	script_user root
	enable_script_security
}
vrrp_sync_group gateway {
	group {
		outside
		inside
	}
	notify "/run/notify.sh $dir $sync"
}
vrrp_instance outside {
	state BACKUP
	nopreempt
	interface eth0
	virtual_router_id 51
	# Another node thought for a moment that this one was gone, and stepped back again:
	# this one never ceased to be the master here, and so would not be told.
	notify_master_rx_lower_pri "/run/notify.sh $dir $sync INSTANCE outside MASTER"
	priority $priority
	advert_int $moves
	virtual_ipaddress {
		198.51.100.1/24
	}
}
vrrp_instance inside {
	state BACKUP
	nopreempt
	interface eth1
	virtual_router_id 52
	priority $priority
	advert_int $moves
	virtual_ipaddress {
		10.1.0.1/24
	}
	virtual_ipaddress_excluded {
		fd00:1::1/64
	}
}
END

sa_count() { # states and policies, as text
	ip xfrm state count | sed -n 's/.*SAD count \([0-9]*\).*/\1/p'
}

has_all_sas() {
	[ "$(sa_count)" -eq 40 ] || return 1
	[ "$sync" = off ] || [ "$("$xfrmsync" status --json |
		python3 -c 'import json, sys; print(json.load(sys.stdin)["ready"])')" = True ]
}

report() { # WHEN: what the kernel here says, without keys
	local out=/tmp/report

	# ip(8) writes line by line, which on the share is slow.
	mkdir $out
	ip -s -d xfrm state list nokeys >"$out/$name.state.$1"
	ip xfrm policy >"$out/$name.policy.$1"
	cat /proc/net/xfrm_stat >"$out/$name.stat.$1"
	if [ "$sync" = on ]; then
		"$xfrmsync" status --json >"$out/$name.status.$1" || true
		"$xfrmsync" show --json >"$out/$name.show.$1" || true
	fi
	mv "$out"/* "$dir/"
	rmdir $out
}

take_role() { /run/notify.sh "$dir" "$sync" GROUP gateway MASTER; }
take_address() {
	ip -batch - <<-END
		address add 198.51.100.1/24 dev eth0
		address add 10.1.0.1/24 dev eth1
		address add fd00:1::1/64 dev eth1
	END
	# The kernel tells everybody when an interface's MAC address is set, to what it was, too.
	sysctl -qw net.ipv4.conf.all.arp_notify=1 net.ipv6.conf.all.ndisc_notify=1
	for _ in 1 2 3 4 5; do
		for nic in eth0 eth1; do
			ip link set $nic address "$(cat /sys/class/net/$nic/address)"
		done
		sleep 0.3
	done &
}
become_master() {
	case $moves in
	address) take_address; take_role ;;
	role) take_role; take_address ;;
	esac
}

# The first to start becomes the master, and stays it (nopreempt).
[ "$name" = gw-a ] || wait_for 180 "gw-a" test -e "$dir/gw-a.active"
keepalived=
case $moves in
address | role)
	[ "$name" = gw-b ] || become_master
	;;
*)
	keepalived --dont-fork --log-console --log-detail --vrrp --use-file /run/keepalived.conf \
		>"$dir/$name.keepalived.log" 2>&1 &
	keepalived=$!
	;;
esac
if [ "$name" = gw-b ]; then
	wait_for 90 "all SAs at gw-b" has_all_sas
	touch "$dir/gw-b.ready"
fi

wait_for 300 "traffic" test -e "$dir/warm"
report before
touch "$dir/$name.noted"

# What the host may say, once each: an IKE daemon's rekey, a daemon that crashes, the other's death.
seen=
told() { # WHAT
	[ -e "$dir/$name.$1" ] && [[ " $seen" != *" $1 "* ]] && seen+="$1 " && touch "$dir/$name.$1.heard"
}
end=$((SECONDS + 300))
until [ -e "$dir/world.done" ]; do
	[ "$SECONDS" -lt $end ] || die "waited in vain for the end"
	if told rekey; then
		ip -batch "$dir/gateway.rekey"
		touch "$dir/rekeyed"
	fi
	if told restart; then
		kill -9 "$daemon"
		wait "$daemon" || true
		"$xfrmsync" run >>"$dir/$name.daemon.log" 2>&1 &
		daemon=$!
	fi
	if told move; then
		become_master
	fi
	sleep 0.05
done
report after
if [ -n "$keepalived" ]; then
	kill "$keepalived"
	wait "$keepalived" || true
fi
touch "$dir/$name.done"
