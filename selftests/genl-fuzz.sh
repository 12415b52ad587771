#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Messages made from the netlink specification, good, mutated and hostile, in three namespaces,
# by processes beside each other, which read the stream as well; SAs come and go, there is traffic.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
#
# XFRMSYNC_MESSAGES: how many (3000).
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 11

here=$(dirname "$0")
fuzzer=$here/../build/genl_fuzz
[ -x "$fuzzer" ] || bail "not built: make build/genl_fuzz"
# Where its own limits are small they are reached.
load_module park_max=64 || bail "the module does not load"
modprobe -aq esp4 esp6 ah4 ah6 xfrm_user
setup_ns A B C
setup_veth "$A" "$B"
tunnel "$A" "$B" window=128
tunnel "$A" "$B" spi=0x2000 family=6 encap=4500 window=0 esn=0
tunnel "$A" "$B" spi=0x3000 proto=ah mode=transport esn=0 window=32
results /usr/bin/python3 "$here/genl_fuzz.py" "$fuzzer" "$A" "$B" "$C"
for ns in "$A" "$B" "$C"; do
	ip -n "$ns" xfrm state flush
	nl "$ns" role-set none >/dev/null
done
check "nothing is left" unload_module
check "it loads again" load_module
check "and goes" unload_module
