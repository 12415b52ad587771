# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the kselftests share: TAP, waiting, namespaces, a tunnel, packets.
#
# A test begins with
#	. "$(dirname "$0")/lib.sh"
#	plan 3
# and runs as root, in a VM (vm/kselftest.sh gives KVER, MODULE, XFRMSYNC, BUILD).
# Whatever it makes through these functions goes away when it ends, however it ends.
# Never sleep: busywait.

set -u

# The kernel's own codes (tools/testing/selftests/kselftest.h).
# shellcheck disable=SC2034
KSFT_PASS=0 KSFT_FAIL=1 KSFT_XFAIL=2 KSFT_SKIP=4

# --- TAP --------------------------------------------------------------------------

# check hides what a command prints; a result is never hidden.
exec {tap_fd}>&1
tap_say() { echo "$*" >&"$tap_fd"; }

lib_out=$(mktemp)
tap_planned='' tap_done=0 tap_failed=0 tap_skipped=0

plan() { # N: how many results will follow
	tap_planned=$1
	tap_say "TAP version 13"
	tap_say "1..$1"
}

tap_ok() { # NAME
	tap_say "ok $((++tap_done)) - $1"
}

tap_fail() { # NAME [WHY]
	tap_say "not ok $((++tap_done)) - $1"
	tap_failed=$((tap_failed + 1))
	[ $# -lt 2 ] || tap_say "# ${2//$'\n'/$'\n'# }"
	return 1
}

tap_skip() { # NAME WHY
	tap_say "ok $((++tap_done)) - $1 # SKIP $2"
	tap_skipped=$((tap_skipped + 1))
}

# check NAME CMD...: ok if CMD succeeds; what it printed is shown if it does not.
check() {
	local name=$1 rc

	shift
	# Not in a subshell: CMD may be a function that sets variables.
	"$@" >"$lib_out" 2>&1
	rc=$?
	if [ $rc -eq 0 ]; then
		tap_ok "$name"
	else
		tap_fail "$name" "$(echo "$* -> $rc"; cat "$lib_out")"
	fi
}

# check_fails NAME CMD...: ok if CMD refuses.
check_fails() {
	local name=$1

	shift
	if "$@" >"$lib_out" 2>&1; then
		tap_fail "$name" "$(echo "$* succeeded"; cat "$lib_out")"
	else
		tap_ok "$name"
	fi
}

# check_equal NAME WANT HAVE
check_equal() {
	if [ "$2" = "$3" ]; then
		tap_ok "$1"
	else
		tap_fail "$1" "want '$2', have '$3'"
	fi
}

# results CMD...: CMD prints a result on a line, as kt.py does (ok, not ok or skip, a tab,
# NAME, a tab, WHY); all else is a comment. It fails once more if CMD does.
results() {
	local kind name why rc

	print_seed
	while IFS=$'\t' read -r kind name why; do
		case $kind in
		ok) tap_ok "$name" ;;
		"not ok") tap_fail "$name" "$why" ;;
		skip) tap_skip "$name" "$why" ;;
		exit) rc=$name ;;
		*) tap_say "# $kind" ;;
		esac
	done < <(XFRMSYNC_SEED=$SEED "$@" 2>&1; printf 'exit\t%s\n' $?)
	[ "${rc:-1}" -eq 0 ] || tap_fail "$(basename "$2"): exit code ${rc:-none}"
}

skip_all() { # WHY: what has no result yet is skipped, and the test ends
	[ -n "$tap_planned" ] || tap_say "TAP version 13"
	if [ -z "$tap_planned" ]; then
		tap_say "1..0 # SKIP $1"
	else
		while [ "$tap_done" -lt "$tap_planned" ]; do tap_skip "not run" "$1"; done
	fi
	[ $tap_failed -eq 0 ] || exit $KSFT_FAIL
	exit $KSFT_SKIP
}

bail() { # WHY: nothing that follows would mean anything
	tap_say "Bail out! $1"
	exit $KSFT_FAIL
}

# --- waiting ----------------------------------------------------------------------

now_ms() { echo $(("${EPOCHREALTIME/[.,]/}" / 1000)); }

# A kernel that is full of checks is many times slower: kselftest.sh -s.
SLOW=${XFRMSYNC_SLOW:-1}

# Nothing ever comes out of it.
lib_never_make() {
	local dir

	dir=$(mktemp -d)
	mkfifo "$dir/never"
	exec {lib_never}<>"$dir/never"
	rm -r "$dir"
}
lib_never_make

# busywait MS CMD...: until CMD succeeds, at most MS (times SLOW); prints CMD's last output.
busywait() {
	local began deadline now pause out

	began=$((${EPOCHREALTIME/[.,]/} / 1000))
	deadline=$((began + $1 * SLOW))
	shift
	until out=$("$@" 2>&1); do
		now=$((${EPOCHREALTIME/[.,]/} / 1000))
		if [ "$now" -ge $deadline ]; then
			echo "$out"
			return 1
		fi
		# What is waited for wants the processor, too; the more, the longer it takes.
		pause=$(((now - began) / 8))
		printf -v pause 0.%03d $((pause < 20 ? 20 : pause > 100 ? 100 : pause))
		read -r -t "$pause" -u "$lib_never"
	done
	[ -z "$out" ] || echo "$out"
}

# --- cleaning up ------------------------------------------------------------------

lib_pids=() lib_netns=() lib_loaded='' lib_tmp=''

# later CMD...: runs at the end, last one first, before what this library made goes.
lib_later=()
later() { lib_later=("$(printf '%q ' "$@")" "${lib_later[@]}"); }

# shellcheck disable=SC2317 # the trap calls it
lib_cleanup() {
	local rc=$? cmd ns pid

	trap - EXIT
	for cmd in "${lib_later[@]}"; do eval "$cmd"; done
	# One that a test has stopped, too.
	for pid in "${lib_pids[@]}"; do kill "$pid" && kill -CONT "$pid" && wait "$pid"; done 2>/dev/null
	# A role holds the module, and a connection that has something left to say its namespace.
	if [ -n "$lib_loaded" ] && kill -0 "$lib_py_pid"; then
		for ns in "${lib_netns[@]}"; do (nl "$ns" role-set none); done
	fi &>/dev/null
	[ -z "$lib_py_pid" ] || { kill "$lib_py_pid" && wait "$lib_py_pid"; } 2>/dev/null
	for ns in "${lib_netns[@]}"; do ip netns delete "$ns"; done 2>/dev/null
	[ -z "$lib_loaded" ] || unload_module || rc=1
	rm -rf "$lib_out" "$lib_tmp"

	if [ $rc -eq 0 ] && [ $tap_failed -gt 0 ]; then
		rc=$KSFT_FAIL
	elif [ $rc -eq 0 ] && [ -n "$tap_planned" ] && [ "$tap_done" -ne "$tap_planned" ]; then
		tap_say "# planned $tap_planned results, there were $tap_done"
		rc=$KSFT_FAIL
	elif [ $rc -eq 0 ] && [ "$tap_done" -gt 0 ] && [ "$tap_skipped" -eq "$tap_done" ]; then
		rc=$KSFT_SKIP
	fi
	exit $rc
}
trap lib_cleanup EXIT
trap 'exit 130' INT TERM

tmpdir() { # sets TMP, a folder of this test's own
	lib_tmp=$(mktemp -d)
	# shellcheck disable=SC2034 # the test uses it
	TMP=$lib_tmp
}

# background CMD...: sets BG_PID; the process ends with the test. Not for functions.
background() {
	"$@" &
	BG_PID=$!
	lib_pids+=("$BG_PID")
}

# --- the module -------------------------------------------------------------------

module_loaded() { [ -d /sys/module/xfrmsync ]; }

# load_module [PARAM=VALUE...]: skips the test where it was not built.
load_module() {
	local dep

	[ -f "${MODULE:-}" ] || skip_all "the module is not built for $(uname -r)"
	lib_py_start
	if module_loaded; then unload_module || return; fi
	# insmod, unlike modprobe, loads no dependencies.
	for dep in $(modinfo -F depends "$MODULE" | tr ',' ' '); do modprobe "$dep"; done
	insmod "$MODULE" "$@" || return
	lib_loaded=1
}

# Work that the module deferred (RCU, a namespace's exit) may hold it for a moment.
unload_module() {
	lib_loaded=
	module_loaded || return 0
	# In a trap a bare return has the status of before the trap.
	busywait 10000 rmmod xfrmsync && return 0
	lib_who_holds_it
	return 1
}

# A dump that nobody reads (its socket's column), or a namespace with a role, in which
# somebody is, or waits in the kernel.
lib_who_holds_it() {
	local pid of

	cat /sys/module/xfrmsync/refcnt /proc/net/netlink
	ip netns list
	for pid in /proc/[1-9]*; do
		of=$(readlink "$pid/ns/net") || continue
		[ -s "$pid/cmdline" ] || continue	# a thread of the kernel
		grep -q '^State:.D' "$pid/status" || [ "$of" != "$(readlink /proc/1/ns/net)" ] || continue
		echo "$pid $of $(tr '\0' ' ' <"$pid/cmdline") $(sed -n 's/^State:.//p' "$pid/status")"
		cat "$pid/stack"
	done 2>/dev/null
}

need_tool() { # skips the test where the tool was not built
	[ -x "${XFRMSYNC:-}" ] || skip_all "the tool is not built: ${XFRMSYNC:-}"
}

# --- Python that is there already -----------------------------------------------------

# In an emulated machine it takes a second to start, so what is asked often is asked of one
# process. It starts in the background, with the first namespace or the module.
lib_py_in='' lib_py_out='' lib_py_pid=''

lib_py_start() {
	local dir

	[ -z "$lib_py_in" ] || return 0
	dir=$(mktemp -d)
	mkfifo "$dir/in" "$dir/out"
	exec {lib_py_in}<>"$dir/in" {lib_py_out}<>"$dir/out"
	/usr/bin/python3 "$(dirname "${BASH_SOURCE[0]}")/answer.py" <&"$lib_py_in" >&"$lib_py_out" &
	lib_py_pid=$!
	rm -r "$dir"
}

# py WORD...: see answer.py. One at a time: not from two processes of a test at once.
py() {
	local code text

	printf '%s\0' $# "$@" >&"$lib_py_in"
	if ! IFS= read -r -d '' -t $((60 * SLOW)) code <&"$lib_py_out" ||
		! IFS= read -r -d '' text <&"$lib_py_out"; then
		bail "nobody answers: $*"
	fi
	if [ "$code" -ne 0 ]; then
		echo "$text" >&2
	elif [ -n "$text" ]; then
		echo "$text"
	fi
	return "$code"
}

# What nl.py says of that namespace. What waits is none of py's: call nl.py.
nl() { # NS COMMAND...
	py nl -n "$@"
}

# --- namespaces -------------------------------------------------------------------

# setup_ns VAR...: makes a namespace for each and sets VAR to its (unique) name.
setup_ns() {
	local var name

	lib_py_start
	for var in "$@"; do
		name=xs-$$-${#lib_netns[@]}-${var,,}
		ip netns add "$name" || bail "no namespace $name"
		lib_netns+=("$name")
		# Without duplicate address detection an address can be used at once.
		in_ns "$name" sysctl -qw net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_dad=0
		ip -n "$name" link set lo up
		printf -v "$var" %s "$name"
	done
}

# Less work than ip's, which mounts a /sys: what is seen there is not the namespace's.
in_ns() { # NS CMD...
	nsenter --net="/run/netns/$1" "${@:2}"
}

# xfrm_monitor NS FILE [EVENT]: what `ip xfrm monitor EVENT` hears there, from here on.
xfrm_monitor() {
	background ip -n "$1" xfrm monitor "${@:3}" >"$2" 2>&1
	busywait 20000 lib_listens "$1" $BG_PID >/dev/null || bail "nobody listens in $1"
}

# shellcheck disable=SC2016,SC2317 # awk's; busywait calls it
lib_listens() { # NS PID: to a group of XFRM's
	in_ns "$1" awk -v pid="$2" '$2 == 6 && $3 == pid && $4 !~ /^0*$/ { n++ } END { exit !n }' \
		/proc/net/netlink
}

mac_of() { ip -n "$1" -br link show "$2" | awk '{ print $3 }'; } # NS DEV

# setup_veth NS_A NS_B [N]: link N (0) between them, xsN on both sides, A's addresses
# 192.0.2+N.1 and 2001:db8:N::1, B's .2 and ::2, and inside ones on lo: A's 10.1.0.1 and
# fd00:1::1, B's 10.2.0.1 and fd00:2::1, each routed to the other.
setup_veth() {
	local a=$1 b=$2 n=${3:-0} net4=192.0.$((2 + ${3:-0})) net6=2001:db8:${3:-0}:

	ip -n "$a" link add "xs$n" type veth peer name "xs$n" netns "$b" || bail "no veth"
	lib_side "$a" "xs$n" 1 2 "$net4" "$net6"
	lib_side "$b" "xs$n" 2 1 "$net4" "$net6"
}

lib_side() { # NS DEV ME OTHER NET4 NET6
	ip -n "$1" -batch - <<-END
		link set $2 up
		address add $5.$3/24 dev $2
		address add $6:$3/64 dev $2 nodad
		address replace 10.$3.0.1/32 dev lo
		address replace fd00:$3::1/128 dev lo nodad
		route replace 10.$4.0.0/16 via $5.$4 src 10.$3.0.1
		route replace fd00:$4::/32 via $6:$4 src fd00:$3::1
	END
}

# --- keys: made when the test runs, the same again for the same seed ---------------

SEED=${XFRMSYNC_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
lib_seed_told=''

print_seed() { # once
	[ -n "$lib_seed_told" ] || tap_say "# XFRMSYNC_SEED=$SEED"
	lib_seed_told=1
}

# key BYTES LABEL: 0x and that many bytes in hex (at most 64), from the seed.
key() { py key "$SEED/$2" "$1"; }

# --- a tunnel ---------------------------------------------------------------------

# tunnel NS_A NS_B [name=value...]: SAs and policies both ways over the veth.
#	family=4|6 (4)         outer and inner addresses
#	proto=esp|ah (esp)     esp is AES-GCM, ah is HMAC-SHA-256
#	cipher=gcm|cbc (gcm)   cbc is AES-CBC with HMAC-SHA-256
#	mode=tunnel|transport (tunnel)
#	esn=0|1 (1)  window=N (64)    window 0 means no replay protection
#	encap=PORT             ESP in UDP; the sockets that take it live in both, if no other
#	                       has that port
#	spi=N (0x1000)         SPI of A to B; B to A has N + 1. One tunnel for each N
#	link=N (0)             of setup_veth
#	policy=0|1 (1)         SAs alone, where 0
# Sets A_SPI, B_SPI (outbound of A, of B), A_OUT, B_OUT (outer addresses), A_IN, B_IN
# (what to send to: inner ones, or the outer in transport mode), TUNNEL_PROTO.
tunnel() {
	local a=$1 b=$2 arg n
	local family=4 proto=esp mode=tunnel esn=1 window=64 encap='' spi=0x1000 link=0 policy=1 cipher=gcm

	shift 2
	for arg in "$@"; do
		case ${arg%%=*} in
		family | proto | mode | esn | window | encap | spi | link | policy | cipher)
			local "$arg" ;;
		*) bail "tunnel: what is $arg?" ;;
		esac
	done

	print_seed
	modprobe -aq "$proto$family" xfrm_user
	if [ "$family" = 4 ]; then
		n=192.0.$((2 + link))
		A_OUT=$n.1 B_OUT=$n.2 A_IN=10.1.0.1 B_IN=10.2.0.1
	else
		n=2001:db8:$link:
		A_OUT=$n:1 B_OUT=$n:2 A_IN=fd00:1::1 B_IN=fd00:2::1
	fi
	[ "$mode" = tunnel ] || { A_IN=$A_OUT; B_IN=$B_OUT; }
	A_SPI=$(printf 0x%08x $((spi))) B_SPI=$(printf 0x%08x $((spi + 1)))
	TUNNEL_PROTO=$proto

	for n in "$a" "$b"; do
		lib_sa "$n" "$A_OUT" "$B_OUT" "$A_SPI"
		lib_sa "$n" "$B_OUT" "$A_OUT" "$B_SPI"
		[ -z "$encap" ] || lib_encap_socket "$n" "$encap"
	done
	[ "$policy" = 1 ] || return 0
	lib_policies "$a" "$A_IN" "$B_IN" "$A_OUT" "$B_OUT"
	lib_policies "$b" "$B_IN" "$A_IN" "$B_OUT" "$A_OUT"
}

# Reads tunnel's settings; the same SA stands on both sides.
lib_sa() { # NS SRC DST SPI [WORDS...]
	local args=(src "$2" dst "$3" proto "$proto" spi "$4" reqid 1 mode "$mode")

	[ "$esn" = 0 ] || args+=(flag esn)
	args+=(replay-window "$window")
	case $proto-${cipher:-gcm} in
	esp-gcm) args+=(aead 'rfc4106(gcm(aes))' "$(key 20 "$4")" 128) ;;
	esp-cbc) args+=(enc 'cbc(aes)' "$(key 16 "$4")" auth-trunc 'hmac(sha256)' "$(key 32 "$4")" 128) ;;
	*)       args+=(auth-trunc 'hmac(sha256)' "$(key 32 "$4")" 128) ;;
	esac
	[ -z "$encap" ] || args+=(encap espinudp "$encap" "$encap" 0.0.0.0)
	ip -n "$1" xfrm state add "${args[@]}" "${@:5}" || bail "no SA $4 in $1"
}

lib_policies() { # NS ME OTHER ME_OUTER OTHER_OUTER
	local out="src $2 dst $3" in="src $3 dst $2" tmpl="proto $proto reqid 1 mode $mode"

	ip -n "$1" -batch - <<-END || bail "no policies in $1"
		xfrm policy update $out dir out tmpl src $4 dst $5 $tmpl
		xfrm policy update $in dir in tmpl src $5 dst $4 $tmpl
		xfrm policy update $in dir fwd tmpl src $5 dst $4 $tmpl
	END
}

# The kernel takes ESP out of UDP only for a socket that asked (UDP_ENCAP_ESPINUDP).
lib_encap_socket() { # NS PORT
	! lib_bound "$1" "$2" || return 0
	background ip netns exec "$1" /usr/bin/python3 -c '
import signal, socket, sys
s = socket.socket(socket.AF_INET6 if sys.argv[2] == "6" else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 100, 2)
s.bind(("", int(sys.argv[1])))
signal.pause()' "$2" "$family"
	busywait 20000 lib_bound "$1" "$2" >/dev/null || bail "no ESP-in-UDP socket in $1"
}

lib_bound() { in_ns "$1" ss -Hlun "sport = :$2" | grep -q .; }

# --- packets ----------------------------------------------------------------------

# start_sink NS FILE [PORT]: counts there what send_packets brings. One byte a packet, so
# the file's size is the number of packets that were delivered, each as often as it was.
start_sink() {
	: >"$2"
	# The kernel doubles that: 500 of the smallest in a burst, with the default half of it.
	background ip netns exec "$1" socat -u "UDP6-RECV:${3:-9},ipv6only=0,rcvbuf=212992" "OPEN:$2,append"
	busywait 20000 lib_bound "$1" "${3:-9}" >/dev/null || bail "no sink in $1"
}

delivered() { py size "$1"; } # FILE

delivered_is() { [ "$(delivered "$1")" -eq "$2" ]; } # FILE N

# send_packets NS ADDRESS N [PORT]: N UDP packets, one way: nothing answers them if there
# is a sink. Returns when all have been handed to the kernel.
send_packets() { lib_packets send "$1" "$2" "$3" "${4:-9}"; }

# The same, but one that cannot be sent (a drop on the way out is told: EPERM) stops no other.
try_packets() { lib_packets try "$1" "$2" "$3" "${4:-9}" 2>/dev/null; }

lib_packets() { # send|try NS ADDRESS N PORT
	# More of them at py's pace are too many for the sink.
	if [ "$4" -gt 50 ]; then packets_from_bash "$@"; else py "$@"; fi
}

# The same, for what is sent in the background, too.
packets_from_bash() { # send|try NS ADDRESS N PORT
	# shellcheck disable=SC2016 # the inner shell's arguments
	in_ns "$2" bash -c 'exec 3>"/dev/udp/$2/$4" || exit
		for ((i = 0; i < $3; i++)); do printf x >&3 || [ "$1" = try ] || exit; done' \
		_ "$1" "$3" "$4" "$5"
}

# send_and_count NS ADDRESS N FILE: sends, and waits until all of them have arrived.
send_and_count() {
	local want=$(($(delivered "$4") + $3))

	send_packets "$1" "$2" "$3" && py grown "$4" "$want" $((10000 * SLOW))
}

# --- what the kernel says of an SA, by XFRM's netlink, not by what is under test -----

# sa_field NS DST SPI seq|oseq: the 64-bit number, decimal. SA_MARK: of one that has a mark.
sa_field() { py sa "$1" "$2" "$TUNNEL_PROTO" "$3" "${SA_MARK-}" "$4"; }

sa_oseq() { sa_field "$1" "$2" "$3" oseq; } # NS DST SPI
sa_seq() { sa_field "$1" "$2" "$3" seq; }   # NS DST SPI
