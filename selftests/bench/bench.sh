# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the benches of records share: figures, tunnels, a pair of daemons.
#
# A bench has it after the library of all tests and the daemon's, makes its namespaces, A and B
# among them, and calls bench_begin.

bench=$BUILD/../bench
# What a test waits for is done by a machine whose clock counts instructions.
# shellcheck disable=SC2034 # lib.sh reads it
SLOW=60
for program in packets own records; do
	[ -x "$bench/$program" ] || skip_all "not built: $bench/$program"
done
need_tool

# Its cipher is loaded, and has tested itself, by the first SA of that kind: which fails where time
# has gone by meanwhile, as it does in one leap while nothing runs and the host reads a module.
has_cipher() {
	ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.2 proto esp spi 0x100 mode tunnel \
		aead 'rfc4106(gcm(aes))' 0x0000000000000000000000000000000000000001 128
}
# bench_begin NAME: what all of them have; their figures go to figures
bench_begin() {
	# shellcheck disable=SC2153 # the bench has them
	setup_veth "$A" "$B"
	tmpdir
	figures=/run/vm/$1.figures
	modprobe -aq aesni_intel esp4 xfrm_user
	busywait 20000 has_cipher || bail "no cipher"
	ip -n "$A" xfrm state flush
	# 6.1 leaves packets to it once it was woken, and who counts has the processor.
	chrt -f -p 20 "$(pgrep '^ksoftirqd/0$')"
	: >"$figures"
}

# --- figures --------------------------------------------------------------------------

# figure NAME: of the line "WORD: MIN MEDIAN MAX" that comes
figure() { sed -n "s/^\([a-z0-9]*: \)\{0,1\}\([0-9.-]*\) \([0-9.-]*\) \([0-9.-]*\)$/$1\t\2\t\3\t\4/p" | tee -a "$figures"; }
# takes NAME PROGRAM ARG...
takes() {
	local said

	said=$("$bench/$2" "${@:3}" 2>&1) || { echo "$said"; return 1; }
	[ -n "$(figure "$1" <<<"$said")" ] || { echo "$said"; return 1; }
}

# --- SAs ------------------------------------------------------------------------------

flush() { # NS...
	local ns

	for ns in "$@"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
}
# tunnels N [WINDOW]: half of them out of A, half into it, a policy for each, in $TMP/a.batch; P has
# the other ends.
tunnels() {
	awk -v n=$(($1 / 2)) -v window="${2:-128}" -v a="$TMP/a.batch" -v p="$TMP/p.batch" '
	function sa(to, src, dst, spi, reqid) {
		printf "xfrm state add src %s dst %s proto esp spi 0x%x reqid %d mode tunnel flag esn replay-window %d aead rfc4106(gcm(aes)) 0x%040x 128\n",
			src, dst, spi, reqid, window, spi >to
	}
	function policy(to, dir, src, dst, tmpl_src, tmpl_dst, reqid) {
		printf "xfrm policy add src %s dst %s dir %s tmpl src %s dst %s proto esp reqid %d mode tunnel\n",
			src, dst, dir, tmpl_src, tmpl_dst, reqid >to
	}
	function host(net, i) { return "10." net "." int(i / 256) "." i % 256 }
	BEGIN {
		here = "192.0.3.1"
		there = "192.0.3.2"
		for (i = 1; i <= n; i++) {
			sa(a, here, there, 65536 + i, i)
			sa(a, there, here, 131072 + i, i)
			policy(a, "out", "10.1.0.1", host(2, i), here, there, i)
			policy(a, "in", "10.2.0.1", host(1, i), there, here, i)
			sa(p, there, here, 131072 + i, i)
			policy(p, "out", "10.2.0.1", host(1, i), there, here, i)
		}
	}' || return
	# shellcheck disable=SC2153 # the bench has them
	ip -n "$A" -batch "$TMP/a.batch" && ip -n "$P" -batch "$TMP/p.batch"
}
follows() { nl "$1" status | grep -q "\"sas\": $2[,}]"; } # NS N
# P is behind A, and takes all that comes for 10.2.0.0/16, as A does for 10.1.0.0/16.
meet_outside() {
	setup_outside "$A" "$B" "$P"
	carry "$A"
	ip -n "$A" route add local 10.1.0.0/16 dev lo
	ip -n "$P" route add local 10.2.0.0/16 dev lo
}

# --- daemons --------------------------------------------------------------------------

# bench_confs HEARTBEAT_MS: a and b, which have all SAs
bench_confs() {
	pair_confs "$A" "$B"
	sed -i "/^reqid = /d; s/^dead_ms = .*/dead_ms = 60000/; s/^heartbeat_ms = .*/heartbeat_ms = $1/" \
		"$TMP"/[ab].conf
}
active() { ask a takeover && busywait 20000 status a "s['role'] == 'active'"; }
standby() { busywait 20000 status b "s['role'] == 'standby'"; }
# Where it goes, roughly: by the clock's ticks.
in_user_and_kernel() { # WHAT
	local n

	for n in a b; do
		# shellcheck disable=SC2154 # of the libraries
		awk -v what="$1, $n" '{ print "# " what ": ticks in user mode " $14 ", in the kernel " $15 }' \
			"/proc/${pid[$n]}/stat" >&"$tap_fd"
	done
}
# of_daemons [-SUFFIX] RECORDS_ARG... -- NAME...: those of its lines, by NAME and SUFFIX
of_daemons() {
	local args=() what suffix=''

	case $1 in
	-,*) suffix=${1#-}; shift ;;
	esac
	while [ "$1" != -- ]; do args+=("$1"); shift; done
	shift
	in_user_and_kernel "before ${args[*]}"
	"$bench/records" "${args[@]}" "${pid[a]}" "${pid[b]}" >"$TMP/said" 2>&1 ||
		{ cat "$TMP/said"; return 1; }
	in_user_and_kernel "after ${args[*]}"
	cat "$TMP/said"
	for what; do grep "^$what:" "$TMP/said" | figure "$what$suffix"; done
}
