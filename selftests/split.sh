#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Split brain: the sync link is cut, both nodes are told to be active, and both see all traffic.
# Each combination of settings, judged by the wires and by the tables of Documentation/safety.rst.
#
# The wires are in wires.sh.
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/wires.sh
. "$(dirname "$0")/wires.sh"
plan "$(/usr/bin/python3 "$(dirname "$0")/split.py")"

need_daemon
setup_ns A B P H W
tmpdir
check "the wires are laid" lay_wires "$A" "$B"
gateway_confs
sed -i 's/^dead_ms = .*/dead_ms = 1500/' "$TMP"/?.conf

results /usr/bin/python3 "$(dirname "$0")/split.py" "$TMP" "$A" "$B" "$P" "$H" "$W"
