#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Records, and `xfrmsync show --json`, agree with `ip -s -d xfrm state`: ESP and AH, IPv4
# and IPv6, legacy, large and ESN state, windows 0 to 4096, with traffic both ways.
#
#   A 192.0.2.1, 2001:db8::1 ===== 36 pairs of SAs ===== 192.0.2.2, 2001:db8::2 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 115

# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
modprobe -aq esp4 esp6 ah4 ah6 xfrm_user
setup_ns A B
setup_veth "$A" "$B"
results /usr/bin/python3 "$(dirname "$0")/records.py" "$A" "$B"
