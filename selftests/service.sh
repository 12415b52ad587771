#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The unit, installed as the README says, under a real systemd: PID 1 of a container whose
# network is A's. It starts the module and the daemon, in its sandbox the daemon does all that it
# does outside, and systemd hears when it is ready, starts it again when it dies, and ends it.
#
#   A (systemd, xfrmsync.service) 192.0.2.1 --- TLS --- 192.0.2.2 B (a daemon of the test)
# timeout: 420

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 43

here=$(cd "$(dirname "$0")/.." && pwd)
[ -x /lib/systemd/systemd ] || skip_all "no systemd on this machine"
need_daemon
unload_module	# the unit's own ExecStartPre has it
setup_ns A B
setup_veth "$A" "$B"
tmpdir
pair_confs "$A" "$B"
tunnel "$A" "$B"
ip -n "$B" xfrm state flush
ip -n "$B" xfrm policy flush

# --- it is installed -------------------------------------------------------------------

# depmod takes minutes with all of a machine's modules, here: this one has a folder of its own.
kver=$(uname -r)
installs() {
	make --no-print-directory -C "$here" -o tool install-tool &&
		make --no-print-directory -C "$here" install-module DESTDIR="$TMP" KDIR="/usr/src/linux-headers-$kver" &&
		depmod -b "$TMP" "$kver"
}
check "it is installed" installs
check "modprobe finds the module" modprobe -n -d "$TMP" xfrmsync
etc=/etc/xfrmsync
mkdir -p $etc/tls /etc/modprobe.d
install -m 644 "$TMP/ca.crt" "$TMP/a.crt" $etc/tls
install -m 600 "$TMP/a.key" $etc/tls
settled() { # the example's lines, with this test's names
	sed -e "s|^name = .*|name = a|; s|^cert = .*|cert = $etc/tls/a.crt|; s|^key = .*|key = $etc/tls/a.key|" \
		-e "s|^\[peer gw-b\]|[peer b]|" "$here/tools/xfrmsync.conf.example"
}
check "the example's configuration" settled
(umask 077 && settled >"$TMP/settled")

# --- systemd -------------------------------------------------------------------------------

# Of the machine's units only what any service stands on: others are not this test's.
units=$TMP/units
mkdir "$units"
for u in basic.target sysinit.target local-fs.target sockets.target paths.target slices.target timers.target \
	multi-user.target network.target network-online.target shutdown.target umount.target final.target \
	exit.target systemd-exit.service systemd-journald.service systemd-journald.socket \
	systemd-journald-dev-log.socket xfrmsync.service; do
	cp "/lib/systemd/system/$u" "$units" || bail "no unit $u"
done
mkdir "$units/sysinit.target.wants"
ln -s ../systemd-journald.service "$units/sysinit.target.wants"

cat >"$TMP/init" <<END
#!/bin/sh
set -e
mount --make-rprivate /
for d in /run /etc/systemd/system /lib/systemd/system-generators /usr/lib/tmpfiles.d; do mount -t tmpfs -o mode=755 none \$d; done
mount --bind $units /lib/systemd/system
mount --bind $TMP/lib/modules/$kver /lib/modules/$kver
mount -t cgroup2 none /sys/fs/cgroup
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test \\
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=journal
END
group=/sys/fs/cgroup/xfrmsync-$$
for c in memory pids; do echo +$c >/sys/fs/cgroup/cgroup.subtree_control; done
mkdir $group
# shellcheck disable=SC2317 # later calls it
end_systemd() {
	echo 1 >$group/cgroup.kill
	busywait 20000 no_process
	find $group -depth -type d -exec rmdir {} +
}
no_process() { grep -q '^populated 0' $group/cgroup.events; }
later end_systemd
# shellcheck disable=SC2016 # the inner shell's
background sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' _ $group \
	ip netns exec "$A" unshare --mount --pid --ipc --uts --cgroup --fork --mount-proc --kill-child \
	sh "$TMP/init"
outer=$BG_PID
init=''
find_init() { init=$(pgrep -P "$outer") && [ "$(cat "/proc/$init/comm")" = systemd ]; }
in_it() { nsenter -t "$init" -m -p -n -i -u -C -- "$@"; }
ctl() { in_it systemctl --no-pager "$@"; }
is_up() { find_init && [ "$(ctl is-system-running)" = running ]; }
check "systemd runs" busywait 60000 is_up
find_init || exit

unit() { [ "$(ctl show xfrmsync -p "$1" --value)" = "$2" ]; } # PROPERTY VALUE
unit_says() { ctl show xfrmsync -p "$1" --value; }            # PROPERTY
the_journal() { in_it journalctl -u xfrmsync -o cat --no-pager; }
journal() { the_journal | tee "$TMP/journal" | grep -q -- "$1" || ! cat "$TMP/journal"; } # TEXT
says() { # PYTHON: over s, its status
	local said

	said=$(in_it /usr/sbin/xfrmsync status --json)	# its code tells whether all is well
	py is "$1" "$said"
}
step() { says "s['role'] == '$1' and s['peers'][0]['state'] == 'synced' and s['peers'][0]['lag_packets'] == 0"; }

# --- it is started ----------------------------------------------------------------------------

check "without a configuration" ctl enable --now xfrmsync
check "it is not started, and that is no failure" unit ConditionResult no
check "nor is the module" test ! -d /sys/module/xfrmsync
install -m 600 "$TMP/settled" $etc/xfrmsync.conf
sed -i '/^\[listen\]/a port = none' $etc/xfrmsync.conf
check_fails "a configuration with an error" ctl start xfrmsync
check "the journal has the line" busywait 20000 journal "port"
sed -i '/^port = none/d' $etc/xfrmsync.conf
start b
check "it starts, and is ready when systemd says so" ctl start xfrmsync
check "it is active" unit ActiveState active
check "the module is there" test -d /sys/module/xfrmsync
check "it answers at once" in_it /usr/sbin/xfrmsync status
check "takeover" in_it /usr/sbin/xfrmsync takeover
check "the other node has it" busywait 20000 step active
check "the SAs are on B" busywait 20000 sas_are "$B" 2
check "nothing in its sandbox is in the way" \
	is_without "cannot" < <(the_journal)
check "the policies, too" policies_are "$B" 3
caps() { in_it sed -n 's/^CapPrm:[[:space:]]*//p' "/proc/$1/status"; } # PID
helper() { in_it pgrep -P "$(unit_says MainPID)" -x xfrmsync-helper; }
check_equal "by a daemon that has no CAP_NET_ADMIN" 0000000000004400 "$(caps "$(unit_says MainPID)")"
check_equal "but its helper" 0000000000003000 "$(caps "$(helper)")"

# --- it dies ----------------------------------------------------------------------------------

first=$(unit_says MainPID) restarts=$(unit_says NRestarts)
another() { [ "$(unit_says MainPID)" -gt 0 ] && ! unit MainPID "$1"; } # PID
# Its number in A's is another one than in the container's.
check "it is killed" in_it kill -KILL "$first"
check "systemd starts it again" busywait 60000 another "$first"
check "it is the active, as before" busywait 30000 step active
check_equal "once" $((restarts + 1)) "$(unit_says NRestarts)"
first=$(unit_says MainPID)
check "its helper is killed" in_it kill -KILL "$(helper)"
check "the journal says so" busywait 20000 journal "the helper, .* was ended by signal 9"
check "systemd starts both again" busywait 60000 another "$first"
check "it is the active, as before" busywait 30000 step active

# --- it is told ---------------------------------------------------------------------------------

second=$(unit_says MainPID)
sed -i 's/^\[sync\]/&\nheartbeat_ms = 250/' $etc/xfrmsync.conf
grep -q heartbeat_ms $etc/xfrmsync.conf || printf '[sync]\nheartbeat_ms = 250\n' >>$etc/xfrmsync.conf
check "reload" ctl reload xfrmsync
check "the configuration is read again" busywait 20000 journal "configuration read again"
check "by the same daemon" unit MainPID "$second"
check "keepalived's script, BACKUP" in_it /usr/lib/xfrmsync/xfrmsync-keepalived-notify INSTANCE vi BACKUP
check "it is a standby" busywait 20000 says "s['role'] == 'standby'"
check "MASTER" in_it /usr/lib/xfrmsync/xfrmsync-keepalived-notify INSTANCE vi MASTER
check "it is the active" busywait 20000 step active
check "the next boot begins with the fence up" grep -q "role=standby epoch=" /etc/modprobe.d/xfrmsync-role.conf

# --- it is stopped ------------------------------------------------------------------------------

check "stop" ctl stop xfrmsync
check "it ended by itself" unit Result success
check "the kernel keeps the role" [ "$(nl "$A" status | grep -o '"role": "[a-z]*"')" = '"role": "active"' ]
stop b
role_gone() { nl "$A" role-set none && nl "$B" role-set none; }
check "which is told to go, and B's" role_gone
check "it unloads" unload_module
check "every daemon ended cleanly" ended_cleanly
