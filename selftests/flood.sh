#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Stray and flooded packets at the standby: thousands of good ones, fresh and repeated, over both
# families. None is delivered, each is counted, records still go in, and the takeover that follows
# costs what the guard says.
#
# The wires are in wires.sh.
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/wires.sh
. "$(dirname "$0")/wires.sh"
plan "$(/usr/bin/python3 "$(dirname "$0")/flood.py")"

need_daemon
setup_ns A B P H W
tmpdir
check "the wires are laid" lay_wires "$A" "$B"
gateway_confs

results /usr/bin/python3 "$(dirname "$0")/flood.py" "$TMP" "$A" "$B" "$P" "$H" "$W"
