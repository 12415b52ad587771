#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Lifetimes go on after a crash takeover: limits of packets, bytes and time fire at the same total as
# on a gateway that was never taken over.
#
#   P 192.0.3.2, 2001:db8:3::2 ===== bridge ===== 192.0.3.1, 2001:db8:3::1 A and B
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
#
# timeout: 500

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"

here=$(dirname "$0")
by=${by:-daemon}
if [ "$by" = file ]; then plan 24; else plan 25; fi

need_daemon
setup_ns A B P
tmpdir
for ns in "$A" "$B" "$P"; do
	in_ns "$ns" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
done
pair_confs "$A" "$B"

results /usr/bin/python3 "$here/lifetimes.py" "$by" "$TMP" "$A" "$B" "$P"

for ns in "$A" "$B" "$P"; do
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
	nl "$ns" role-set none >/dev/null
done
check "nothing is left" unload_module
