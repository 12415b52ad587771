#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What a running daemon and its helper may still do, what becomes of one without the other, what
# a local user gets of them, which key files it takes, and that no core of it is ever written.
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 202

here=$(dirname "$0")
need_daemon
setup_ns A B
setup_veth "$A" "$B"
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
make_psk shared
head -c 32 /dev/urandom >"$TMP/seal"
chmod 600 "$TMP/seal"
sed -i "s|^\[tls\]|[cluster]\nkey_file = $TMP/seal\n\n&|" "$TMP/a.conf"
tunnel "$A" "$B"
umask 022

# --- the process --------------------------------------------------------------------

proc() { sed -n "s/^$1:[[:space:]]*//p" "/proc/${pid[$2]}/status"; } # LINE NAME
mode() { stat -c %a "$TMP/$1"; }                                      # FILE
daemons=0000000000004400	# CAP_NET_BIND_SERVICE, IPC_LOCK
helpers=0000000000003000	# CAP_NET_ADMIN, NET_RAW
units=0000000000007400		# both: what a bounding set stays at that the unit has shrunk

# As root's limits may be, and from nobody's place.
ulimit -c unlimited
umask 0
# b as its unit starts it, with no more than four from the beginning on
start_bounded() { # NAME
	nsenter --net="/run/netns/${node_ns[$1]}" setpriv --no-new-privs --inh-caps -all \
		--bounding-set -all,+net_admin,+net_raw,+net_bind_service,+ipc_lock \
		"$XFRMSYNC" run -c "$TMP/$1.conf" 2>>"$TMP/$1.log" &
	pid[$1]=$!
	lib_pids+=("${pid[$1]}")
}
start_two() {
	start a
	start_bounded b
	busywait 20000 status a "s['peers'][0]['role'] == 'standby'" && ask a takeover && wait_step a b
}
check "two nodes are in step" start_two
umask 022
helper_of() { # NAME: its only child
	pid[$1-helper]=$(pgrep -P "${pid[$1]}") && [ "$(proc Name "$1-helper")" = xfrmsync-helper ]
}
for n in a b; do
	check "$n: it has a helper, and no other child" helper_of $n
done
declare -A has=([a]=$daemons [b]=$daemons [a-helper]=$helpers [b-helper]=$helpers)
for n in a b a-helper b-helper; do
	for line in CapEff CapPrm; do
		check_equal "$n: two capabilities are left: $line" "${has[$n]}" "$(proc $line $n)"
	done
	[ "${n%-helper}" = a ] && bound=${has[$n]} || bound=$units
	check_equal "$n: a program would have no more: CapBnd" "$bound" "$(proc CapBnd $n)"
	check_equal "$n: none is passed on" 0000000000000000 "$(proc CapInh $n)"
	check_equal "$n: nor by execve()" 0000000000000000 "$(proc CapAmb $n)"
	check_equal "$n: no program gives others" 1 "$(proc NoNewPrivs $n)"
	check_equal "$n: system calls are filtered" 2 "$(proc Seccomp $n)"
	check_equal "$n: one thread" 1 "$(proc Threads $n)"
	check_equal "$n: no core" "0 0" \
		"$(awk '/^Max core file size/ { print $5, $6 }' "/proc/${pid[$n]}/limits")"
done
all_locked() { # NAME: but for what can be read again from its files, nothing is not
	local locked size

	read -r locked _ <<<"$(proc VmLck "$1")"
	read -r size _ <<<"$(proc VmData "$1")"
	echo "locked $locked, data $size"
	[ "$size" -gt 0 ] && [ "$locked" -ge "$size" ]
}
says_no_less() { # what it could not do would be in its log
	cat "$TMP/a.log" "$TMP/b.log"
	[ -s "$TMP/b.log" ] && ! grep -q "cannot [dl]\|no namespace\|no seccomp" "$TMP/a.log" "$TMP/b.log"
}
check "neither lacks anything" says_no_less
check "its data is locked in memory" all_locked a
buffer_locked() { # NAME: what keys pass through, 128 KiB
	local locked

	read -r locked _ <<<"$(proc VmLck "$1")"
	echo "locked $locked"
	[ "$locked" -ge 128 ]
}
check "and its helper's buffer" buffer_locked a-helper

# umask 0 would have left these open.
check_equal "the state's folder is root's alone" 700 "$(mode a.state)"
check_equal "the state" 600 "$(mode a.state/state)"
check_equal "its lock" 600 "$(mode a.state/lock)"
check_equal "the policies' list" 600 "$(mode b.run/policies)"
check_equal "the socket" 600 "$(mode a.run/sock)"

# --- it can do all that it has to, without the rest -----------------------------------

check "reload: configuration and keys are read again" reload a
check "the nodes are in step again" wait_step a b
check "a planned takeover" ask b takeover
check "the state is written, the roles are the other way round" wait_step b a
check "and back" ask a takeover
check "in step" wait_step a b

# --- a local user ---------------------------------------------------------------------

ask a save "$TMP/sealed" >/dev/null
chmod 755 "$TMP" "$TMP/a.state" "$TMP/a.run"
results nsenter --net="/run/netns/$A" /usr/bin/python3 "$here/privileges.py" "${pid[a]}" "$TMP/a.run/sock" \
	"$TMP/a.state/state" "$TMP/a.state/lock" "$TMP/a.conf" "$TMP/a.key" "$TMP/seal" "$TMP/shared.psk" "$TMP/sealed"
check "who was not heard is named in the log" logged a "refused user 65534"
# The daemon, in somebody else's hands, is uid 0 with no capability that would help.
results nsenter --net="/run/netns/$A" /usr/bin/python3 "$here/privileges.py" "${pid[a-helper]}"

user() { # VERB...
	in_ns "$A" setpriv --reuid nobody --regid nogroup --clear-groups "$XFRMSYNC" "$@" -c "$TMP/user.conf"
}
refused_user() { # TEXT VERB...: exit code 1, and one line
	local text=$1 rc

	shift
	user "$@" >/dev/null 2>"$TMP/err"
	rc=$?
	cat "$TMP/err"
	[ $rc -eq 1 ] && [ "$(wc -l <"$TMP/err")" -eq 1 ] && grep -q -- "$text" "$TMP/err"
}
# What anybody may write down: where the daemon is
printf '[node]\nid = 1\nsocket = %s\nstate_dir = %s\n' "$TMP/a.run/sock" "$TMP/a.state" >"$TMP/user.conf"
chmod 644 "$TMP/user.conf"
check "a user's show: refused in one line" refused_user "Operation not permitted" show
for verb in takeover standby; do
	check "a user's $verb: refused in one line" refused_user "Permission denied: it hears root alone" $verb
done
role_stays() { role_is a active && role_is b standby; }
check "none of it did anything" role_stays

# --- one without the other ------------------------------------------------------------------

kill -KILL "${pid[b-helper]}"
check "a daemon ends when its helper has" exits b
check "and says so" logged b "the helper, which makes requests to the kernel, was ended by signal 9: stopping"
start_bounded b
check "it starts again" busywait 20000 status b "s['role'] == 'standby'"
check "in step" wait_step a b
kill -KILL "${pid[a]}"
wait "${pid[a]}" 2>/dev/null
gone() { [ ! -d "/proc/${pid[$1]}" ]; } # NAME
check "a helper ends when its daemon has" busywait 20000 gone a-helper
start a
check "which starts again, the active as before" busywait 20000 status a "s['role'] == 'active'"
check "with another helper" helper_of a
check "in step" wait_step a b
stop a
check "by the end of a daemon in order, its helper is gone" gone a-helper
stop b

# --- key files --------------------------------------------------------------------------

# refuses VERB WORDS: the daemon does not start; one line names file and remedy
run_refuses() { # FILE TEXT
	local rc

	timeout $((20 * SLOW)) nsenter --net="/run/netns/$A" "$XFRMSYNC" run -c "$TMP/k.conf" >"$TMP/err" 2>&1
	rc=$?
	cat "$TMP/err"
	[ $rc -eq 1 ] && [ "$(wc -l <"$TMP/err")" -eq 1 ] && grep -qF -- "$1" "$TMP/err" && grep -qF -- "$2" "$TMP/err"
}
tool_refuses() { # FILE TEXT
	local rc

	in_ns "$A" "$XFRMSYNC" save --key "$1" "$TMP/never" >"$TMP/err" 2>&1
	rc=$?
	cat "$TMP/err"
	[ $rc -eq 1 ] && [ ! -e "$TMP/never" ] && [ "$(wc -l <"$TMP/err")" -eq 1 ] &&
		grep -qF -- "$1" "$TMP/err" && grep -qF -- "$2" "$TMP/err"
}
key_of() { # KIND: the configuration k.conf with the file it is about, which it prints
	cp "$TMP/a.conf" "$TMP/k.conf"
	case $1 in
	key)      cp -p "$TMP/a.key" "$TMP/k" && sed -i "s|^key = .*|key = $TMP/k|" "$TMP/k.conf" ;;
	key_file) cp -p "$TMP/seal" "$TMP/k" && sed -i "s|^key_file = .*|key_file = $TMP/k|" "$TMP/k.conf" ;;
	psk_file) cp -p "$TMP/shared.psk" "$TMP/k" &&
		sed -i "/^ca = \|^cert = /d; s|^key = .*|psk_file = $TMP/k|" "$TMP/k.conf" ;;
	esac
}
for kind in key key_file psk_file; do
	refuses=(run_refuses "$TMP/k")
	key_of $kind
	chmod 604 "$TMP/k"
	check "$kind that all may read: refused" "${refuses[@]}" "chmod 600"
	chmod 640 "$TMP/k"
	check "$kind that a group may read: refused" "${refuses[@]}" "chmod 600"
	chmod 602 "$TMP/k"
	check "$kind that others may write: refused" "${refuses[@]}" "chmod 600"
	chmod 600 "$TMP/k"
	chown nobody "$TMP/k"
	check "$kind of another user: refused" "${refuses[@]}" "chown root"
	chown root "$TMP/k"
	mv "$TMP/k" "$TMP/real"
	ln -s "$TMP/real" "$TMP/k"
	check "$kind by a symbolic link: refused" "${refuses[@]}" "is a symbolic link: name the file"
	rm "$TMP/k"
	check "$kind that is not there: refused" "${refuses[@]}" "No such file"
	mkfifo -m 600 "$TMP/k"
	check "$kind that is a pipe: refused, without waiting" "${refuses[@]}" "not a regular file"
	rm "$TMP/k"
done
key_of key
openssl pkey -in "$TMP/a.key" -aes256 -passout pass:none -out "$TMP/k" 2>/dev/null
check "key that wants a passphrase: refused, nobody is asked" run_refuses "$TMP/k" "store it without one"
: >"$TMP/k"
check "key that is none: refused" run_refuses "$TMP/k" "no private key in PEM"
cp -p "$TMP/seal" "$TMP/k"
chmod 644 "$TMP/k"
check "save --key: that all may read: refused, nothing is written" tool_refuses "$TMP/k" "chmod 600"
rm "$TMP/k"
ln -s "$TMP/seal" "$TMP/k"
check "save --key: a symbolic link" tool_refuses "$TMP/k" "is a symbolic link: name the file"
rm "$TMP/k"

# A daemon that runs keeps what it has.
answers() { py status "$TMP/a.run/sock" "s['role'] in ('standby', 'active')"; } # not the tool for it
start a
check "it starts with what is in order" busywait 20000 answers
chmod 644 "$TMP/a.key"
kill -HUP "${pid[a]}"
check "a key that was opened to all meanwhile is refused at a reload" \
	busywait 20000 logged a "a.key may be read by others than root: chmod 600: the old configuration stays"
check "and the daemon goes on" answers
chmod 600 "$TMP/a.key"

# --- no core --------------------------------------------------------------------------

# Into a pipe, a limit of 0 would not hold it back, and with 2 the kernel dumps what is "root's".
cat >"$TMP/catch" <<-END
	#!/bin/sh
	exec cat >"$TMP/core.\$1.\$2"
END
chmod 755 "$TMP/catch"
old_pattern=$(cat /proc/sys/kernel/core_pattern) old_suid=$(cat /proc/sys/fs/suid_dumpable)
later eval "echo '$old_pattern' >/proc/sys/kernel/core_pattern; echo $old_suid >/proc/sys/fs/suid_dumpable"
cored() { [ -s "$TMP/core.$1.$2" ]; } # NAME PID

crash() { # NAME: the same for the daemon and for a process that is none
	local p

	background tail -f /dev/null
	p=$BG_PID
	# Before that it is this shell, which would clean up.
	busywait 20000 grep -qx tail "/proc/$p/comm" || bail "no other process"
	kill -ABRT "$p"
	wait "$p" 2>/dev/null
	check "$1: a core of another process is written" busywait 20000 cored tail "$p"
	p=${pid[a]}
	kill -ABRT "$p"
	wait "$p" 2>/dev/null
	check_equal "$1: the daemon dies of SIGABRT" 134 $?
	check_equal "$1: there is no core of it" "" "$(find "$TMP" /var/tmp -name "core.*$p*" 2>/dev/null)"
}
echo 0 >/proc/sys/fs/suid_dumpable
echo "$TMP/core.%e.%p" >/proc/sys/kernel/core_pattern
crash "into a file"
start a
busywait 20000 answers >/dev/null || bail "the daemon does not start again"
echo "|$TMP/catch %e %p" >/proc/sys/kernel/core_pattern
echo 2 >/proc/sys/fs/suid_dumpable
crash "into a pipe"
start a
busywait 20000 answers >/dev/null || bail "the daemon does not start again"
helper_of a
kill -ABRT "${pid[a-helper]}"
check "a helper that crashes ends its daemon" exits a
check "which says how" logged a "was ended by signal 6"
check_equal "there is no core of either" "" "$(find "$TMP" /var/tmp -name "core.xfrmsync*" 2>/dev/null)"

check "every daemon ended cleanly" ended_cleanly
