#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The reader: second one refused, stalled, killed, replaced; nothing is lost.
#
#   A 192.0.2.1 ===== tunnels, UDP ===== 192.0.2.2 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 45

# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
modprobe -aq esp4 esp6 xfrm_user
setup_ns A B
setup_veth "$A" "$B"
results /usr/bin/python3 "$(dirname "$0")/reader.py" "$A" "$B"
check "the module unloads with a reader attached" unload_module
