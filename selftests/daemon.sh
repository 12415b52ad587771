# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What tests of the daemon share: credentials, configurations, starting, asking, ending.
#
# A test has it after the library of all tests, and calls tmpdir before it makes something:
#	. "$(dirname "$0")/daemon.sh"
# and says at its end, when it has stopped all daemons:
#	check "every daemon ended cleanly" ended_cleanly

# --- credentials and configurations -------------------------------------------------

ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

# Made once in the life of a machine: in an emulated one that takes seconds.
made=/run/xfrmsync-selftests

make_ca() { # NAME
	local ca=$made/$1

	if [ ! -f "$ca.crt" ]; then
		mkdir -p "$made"
		openssl req -x509 "${ec[@]}" -keyout "$ca.key" -out "$ca.crt" -subj "/CN=$1" -days 90 2>/dev/null
	fi
	cp "$ca.crt" "$ca.key" "$TMP"
}

make_cert() { # CA NAME CN [DAYS]
	local cert=$made/$1-$2-$3-${4:-90}

	if [ ! -f "$cert.crt" ]; then
		openssl req -new "${ec[@]}" -keyout "$cert.key" -out "$cert.csr" -subj "/CN=$3" 2>/dev/null &&
			openssl x509 -req -in "$cert.csr" -CA "$made/$1.crt" -CAkey "$made/$1.key" \
				-CAcreateserial -days "${4:-90}" -out "$cert.crt" 2>/dev/null
		chmod 600 "$cert.key"
	fi
	cp -p "$cert.crt" "$TMP/$2.crt"
	cp -p "$cert.key" "$TMP/$2.key"
}

make_psk() { # NAME
	(umask 077 && openssl rand -hex 32 >"$TMP/$1.psk")
}

declare -A node_ns pid

# make_conf NAME NS ID ADDRESS PEER PEER_ADDRESS [name=value...]
#	name=N (NAME)          the node's name
#	cert=N (NAME)          its certificate, of make_cert
#	psk=N                  a key of make_psk, in place of the certificate
#	also="PEER ADDRESS"    a second peer
make_conf() {
	local conf=$1 name=$1 cert=$1 psk='' also='' arg

	for arg in "${@:7}"; do
		case ${arg%%=*} in
		name | cert | psk | also) local "$arg" ;;
		*) bail "make_conf: what is $arg?" ;;
		esac
	done
	node_ns[$conf]=$2
	mkdir -p "$TMP/$conf.run"
	chmod 700 "$TMP/$conf.run"
	cat >"$TMP/$conf.conf" <<-END
		[node]
		id = $3
		name = $name
		state_dir = $TMP/$conf.state
		socket = $TMP/$conf.run/sock

		[listen]
		address = $4

		[tls]
		$(conf_tls)

		[peer $5]
		address = $6
		$(conf_also)
		[filter]
		reqid = 1, 7

		[sync]
		heartbeat_ms = 300
		dead_ms = 3000
	END
	chmod 600 "$TMP/$conf.conf"
}

# Both read make_conf's settings.
conf_also() {
	[ -z "$also" ] || printf '\n[peer %s]\naddress = %s\n' "${also% *}" "${also#* }"
}

conf_tls() {
	if [ -n "$psk" ]; then
		echo "psk_file = $TMP/$psk.psk"
	else
		printf '%s\n' "ca = $TMP/ca.crt" "cert = $TMP/$cert.crt" "key = $TMP/$cert.key"
	fi
}

# pair_confs A B: credentials, and two nodes that are each other's peer, a and b.
pair_confs() {
	make_ca ca
	make_cert ca a a
	make_cert ca b b
	make_conf a "$1" 1 192.0.2.1 b 192.0.2.2
	make_conf b "$2" 2 192.0.2.2 a 192.0.2.1
}

# three_nodes A B C P: a, b and c, of which each has the others; their sync links meet in P.
declare -A space
three_nodes() {
	local n host=0

	space=([a]=$1 [b]=$2 [c]=$3)
	make_ca ca
	ip -n "$4" link add sync type bridge
	ip -n "$4" link set sync up
	for n in a b c; do
		host=$((host + 1))
		ip -n "${space[$n]}" link add xs0 type veth peer name "sync-$n" netns "$4"
		ip -n "$4" link set "sync-$n" master sync up
		ip -n "${space[$n]}" -batch - <<-END
			link set lo up
			link set xs0 up
			address add 192.0.2.$host/24 dev xs0
		END
		make_cert ca $n $n
	done
	make_conf a "$1" 1 192.0.2.1 b 192.0.2.2 also="c 192.0.2.3"
	make_conf b "$2" 2 192.0.2.2 a 192.0.2.1 also="c 192.0.2.3"
	make_conf c "$3" 3 192.0.2.3 a 192.0.2.1 also="b 192.0.2.2"
}

# --- daemons ------------------------------------------------------------------------

# The first result of most tests.
need_daemon() {
	need_tool
	check "the module loads" load_module
	module_loaded || skip_all "the module is not loaded"
}

# shellcheck disable=SC2317 # later calls it
show_logs() { # what the daemons said, where something failed
	local f

	# shellcheck disable=SC2154 # of lib.sh
	[ "$tap_failed" -eq 0 ] || for f in "$TMP"/*.log; do sed "s|^|# ${f##*/}: |" "$f"; done
}
later show_logs

start() { # NAME [CONF]: pid[NAME] is the daemon's own
	local conf=${2:-$1}

	nsenter --net="/run/netns/${node_ns[$conf]}" "$XFRMSYNC" run -c "$TMP/$conf.conf" 2>>"$TMP/$1.log" &
	pid[$1]=$!
	lib_pids+=("${pid[$1]}")
}

# tail takes its time to look again, unless told.
ends() { timeout $((20 * SLOW)) tail --pid="$1" -s 0.05 -f /dev/null; } # PID

exits() { # NAME: within some time, with a failure
	ends "${pid[$1]}" && ! wait "${pid[$1]}"
}

unclean=()

# What starts it, and what it is until main(), dies of a signal. One that has ended waits for none.
hears_signals() { # PID
	local key value state=Z blocked=0

	while IFS=$' \t:' read -r key value; do
		case $key in
		State) state=${value%% *} ;;
		SigBlk) blocked=$value ;;
		esac
	done <"/proc/$1/status"
	[ "$state" = Z ] || { [[ $(readlink "/proc/$1/exe") = */xfrmsync* ]] && ((0x$blocked & 1 << 14)); }
}

# stop NAME [SIGNAL]: what SIGTERM ends has to exit with 0; ended_cleanly tells.
stop() {
	local signal=${2:-TERM} rc

	if [ "$signal" = TERM ] && [ -d "/proc/${pid[$1]}" ]; then
		busywait 20000 hears_signals "${pid[$1]}" || unclean+=("$1 does not wait for signals")
	fi
	kill "-$signal" "${pid[$1]}" 2>/dev/null || unclean+=("$1 was gone already")
	if [ "$signal" != KILL ] && ! ends "${pid[$1]}"; then
		unclean+=("$1 did not end: $(cat "/proc/${pid[$1]}"/{status,stack})")
		kill -KILL "${pid[$1]}"
	fi
	wait "${pid[$1]}" 2>/dev/null
	rc=$?
	[ "$signal" = KILL ] || [ $rc -eq 0 ] || unclean+=("$1 ended with $rc")
}

ended_cleanly() {
	printf '%s\n' "${unclean[@]}"
	[ ${#unclean[@]} -eq 0 ]
}

reloads() { grep -c "configuration read again" "$TMP/$1.log"; }
reloads_are_more() { [ "$(reloads "$1")" -gt "$2" ]; }

reload() { # NAME
	local before

	before=$(reloads "$1")
	kill -HUP "${pid[$1]}" && busywait 20000 reloads_are_more "$1" "$before"
}

logged() { grep -q -- "$2" "$TMP/$1.log"; } # NAME TEXT

# --- what the daemon says -----------------------------------------------------------

ask() { # NAME VERB...
	local name=$1

	shift
	in_ns "${node_ns[$name]}" "$XFRMSYNC" "$@" -c "$TMP/$name.conf"
}

# status NAME PYTHON: an expression over s, the status, is true.
status() {
	local said rc=9

	# The daemon itself, without a process; what it does not tell, the tool does.
	if [ -S "$TMP/$1.run/sock" ]; then
		py status "$TMP/$1.run/sock" "$2"
		rc=$?
	fi
	[ $rc -eq 9 ] || return $rc
	said=$(ask "$1" status --json) && py is "$2" "$said"
}

# plan_says NAME PYTHON: over p, the plan of a takeover, and s, a function from SPI to its SA
plan_says() {
	local said of="lambda spi: next(sa for sa in s['sas'] if spi in sa['sa'])"

	said=$(ask "$1" takeover --dry-run --json)	# whose code tells whether all is well
	py is "(lambda p, s: $2)(s, $of)" "$said"
}

# finds NAME CHECK PYTHON: over c, a finding of check about that
finds() {
	local said

	said=$(ask "$1" check --json)	# likewise
	py is "any($3 for c in ({'sas': [], 'policies': [], **f} for f in s['checks'])
		if c['check'] == '$2')" "$said"
}

role_is() { status "$1" "s['role'] == '$2'"; } # NAME ROLE

in_step() { # ACTIVE STANDBY: connected, nothing left to tell
	status "$1" "s['role'] == 'active' and s['peers'][0]['state'] == 'synced' and
		s['peers'][0]['lag_packets'] == 0" &&
		status "$2" "s['role'] == 'standby' and s['ready']"
}

wait_step() { busywait 20000 in_step "$@"; }

# both_start A B: two daemons, A active.
both_start() {
	start "$1"
	start "$2"
	busywait 20000 status "$2" "s['peers'][0]['state'] != 'disconnected' and
		s['peers'][0]['role'] == 'standby'" && ask "$1" takeover && wait_step "$1" "$2"
}

# --- gateways of one address, and their peer -----------------------------------------

# setup_outside A B P: P 192.0.3.2 behind a bridge with both gateways, of which the one that
# carry names has 192.0.3.1; inside, they are 10.1.0.1, and P is 10.2.0.1. The addresses are
# the ones of tunnel P... with link=1, seen from the gateway.
setup_outside() {
	local ns

	ip -n "$3" link add br0 type bridge
	for ns in "$1" "$2"; do
		ip -n "$ns" link add out type veth peer name "to-${ns##*-}" netns "$3"
		ip -n "$3" link set "to-${ns##*-}" master br0 up
		ip -n "$ns" -batch - <<-END
			link set out up
			address replace 10.1.0.1/32 dev lo
			address delete 10.2.0.1/32 dev lo
		END
	done 2>/dev/null
	ip -n "$3" -batch - <<-END
		link set br0 up
		address add 192.0.3.2/24 dev br0
		address add 10.2.0.1/32 dev lo
		route add 10.1.0.0/16 via 192.0.3.1 src 10.2.0.1
	END
	outside=("$1" "$2" "$3")
}

carry() { # NS: it has the address now, wherever that was
	local ns

	for ns in "${outside[@]:0:2}"; do
		[ "$ns" = "$1" ] || ip -n "$ns" address delete 192.0.3.1/24 dev out
	done 2>/dev/null
	ip -n "$1" -batch - <<-END
		link set out up
		address replace 192.0.3.1/24 dev out
		route replace 10.2.0.0/16 via 192.0.3.2 src 10.1.0.1
	END
	ip -n "${outside[2]}" neigh flush dev br0
}

# --- what stands in a kernel --------------------------------------------------------

count_sas() { ip -n "$1" xfrm state count | awk '{ print $NF }'; } # NS
sas_are() { [ "$(count_sas "$1")" -eq "$2" ]; }                    # NS N
policies_are() { [ "$(ip -n "$1" -o xfrm policy | grep -c ^src)" -eq "$2" ]; } # NS N

# What names an SA, its keys and parameters, without what moves.
static_part() { # NS DST PROTO SPI
	ip -n "$1" xfrm state get dst "$2" proto "$3" spi "$4" 2>/dev/null |
		grep -Ev 'anti-replay|seq-hi|replay_window|^[[:space:]]*[0-9a-f ]+$'
}

# What the module says of that SA; it fails where it follows none of that name.
sa_record() { nl "$1" dump | grep "\"spi\": $(($3))," | grep "\"dst\": \"$2\""; } # NS DST SPI

# The module keeps that SA from being used; or it follows it, and does not.
is_fenced() { sa_record "$@" | grep -q '"fenced"'; } # NS DST SPI
not_fenced() { sa_record "$@" | is_without '"fenced"'; }  # NS DST SPI

# Of ESP, IPv4, from A to B of the last tunnel. A question without an answer is no "no".
record() { nl "$1" get family=2 dst="$B_OUT" spi="$A_SPI" proto=50; } # NS
flag() { record "$1" | grep -q "\"$2\""; }                             # NS FLAG
no_flag() { record "$1" | is_without "\"$2\""; }                            # NS FLAG

is_without() { # TEXT: there is something to read, and TEXT is not in it
	local said

	said=$(cat)
	[ -n "$said" ] && ! grep -qF -- "$1" <<<"$said"
}

oseq_is() { [ "$(sa_oseq "$1" "$2" "$3")" = "$4" ]; } # NS DST SPI N

# Somebody reads that namespace's stream.
kernel_reader() { nl "$1" status | grep -q '"reader": [1-9]'; } # NS
