#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's own tests of XFRM (tools/testing/selftests/net, see get.sh), without the module,
# and once more while it captures: each namespace active, with a reader. They say the same.
#
# What fails without the module is this kernel's matter, or the machine's: it is told, and
# has to fail with it in the same way. What is skipped, is skipped by the test itself.
#
# In the environment: XFRMSYNC_UPSTREAM="xfrm_policy ipsec" for some of them.
# timeout: 3600

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib.sh
. "$here/../lib.sh"
# Of pmtu.sh those that have SAs.
vti=(pmtu_vti{6,4}{,_udp,_udp_routed}_exception pmtu_vti{4,6}_{default,link_add}_mtu pmtu_vti6_link_change_mtu)
read -ra names <<<"${XFRMSYNC_UPSTREAM:-xfrm_policy xfrm_policy_add_speed rtnetlink rtnetlink-offload pmtu vrf-xfrm-tests l2tp ipsec}"
plan $((3 + 2 * ${#names[@]}))

[[ ${KVER:-} == 6.12.* && $KVER == *-amd64 ]] || skip_all "these are the tests of Debian's 6.12"
net=$("$here/get.sh") || bail "no tests"
bin=$(readlink -f "$here/../..")/build/upstream
tmpdir

run_one() { # NAME
	case $1 in
	rtnetlink) ./rtnetlink.sh -t kci_test_ipsec ;;
	rtnetlink-offload) ./rtnetlink.sh -t kci_test_ipsec_offload ;;
	pmtu) ./pmtu.sh "${vti[@]}" ;;
	# By itself it needs an hour: ten seconds for each of its algorithms, most of it pauses.
	# A line each, or those of its processes come in the middle of others.
	ipsec) stdbuf -oL "$bin/ipsec" 16 ;;
	*) "./$1.sh" ;;
	esac
}

# Its results, in an order of their own where it has none, without times.
results_of() { # FILE
	grep -aE 'PASS|FAIL|SKIP|\[ *OK *\]|^ok |^not ok |^Inserted|^exit code' "$1" |
		sed -E 's/ in [0-9]+ ms//; s/^(ok|not ok) [0-9]+/\1/' | sort
}

run_all() { # FOLDER
	local name

	mkdir "$1"
	for name in "${names[@]}"; do
		tap_say "# $name, $(basename "$1") the module, at $SECONDS s"
		(
			cd "$net" || exit
			export PATH=$here/bin:$bin:$PATH KSFT_MACHINE_SLOW=yes
			# A function, so not by timeout; it ends with the VM.
			run_one "$name"
			echo "exit code $?"
		) >"$1/$name.log" 2>&1 </dev/null
		results_of "$1/$name.log" >"$1/$name"
		cp "$1/$name.log" "/run/vm/$(basename "$1").$name.log"
	done
}

export FOLLOW_TOOL=$bin/follow FOLLOW=
run_all "$TMP/without"

# shellcheck disable=SC2119 # no parameters
check "the module loads" load_module
export FOLLOW=$TMP/follow
background env PYTHONPATH="$here/.." /usr/bin/python3 "$here/follow.py" "$FOLLOW" >"$TMP/follow.log" 2>&1
busywait 60000 test -S "$FOLLOW" || bail "nobody follows: $(cat "$TMP/follow.log")"
# rtnetlink.sh makes its SAs here.
check "this namespace is followed" "$FOLLOW_TOOL" follow /proc/self/ns/net
run_all "$TMP/with"

reason() { grep -a SKIP "$1" | sed 's/.*SKIP[: ]*//' | head -n 1; } # FILE
for name in "${names[@]}"; do
	without=$TMP/without/$name with=$TMP/with/$name
	tap_say "# $name: $(grep -avcE '^exit code' "$without") results"
	sed 's/^/#   /' "$without" >&"$tap_fd"
	case $(grep '^exit code' "$without") in
	"exit code 0") why='' ;;
	"exit code 4") why=$(reason "$without.log") ;;
	*) why="fails without the module: $(grep -acE 'FAIL|^not ok' "$without") results" ;;
	esac
	if [ -z "$why" ]; then tap_ok "$name: passes without the module"; else tap_skip "$name" "$why"; fi
	# One that is not run has nothing to compare; one that fails has.
	if grep -qaE 'PASS|FAIL|OK|^ok |^not ok |^Inserted' "$without"; then
		check "$name: the same with the module" diff -u "$without" "$with"
	else
		tap_skip "$name: the same with the module" "$why"
	fi
done

# It is no proof if nothing was captured.
sums() {
	/usr/bin/python3 - "$FOLLOW" <<-END
		import socket, sys
		with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
		    sock.connect(sys.argv[1])
		    sock.send(b"sum")
		    print(sock.recv(100).decode())
	END
}
said=$(sums)
read -r namespaces told used <<<"$said"
tap_say "# $namespaces namespaces were followed, $told SAs told, $used of them with numbers that were used"
check "SAs that protect packets were captured" test "${used:-0}" -gt 0
