# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the host's and the guests' scripts of the demo share: waiting and giving up.

die() { echo "demo: $*" >&2; exit 1; }

# Polls CMD until it succeeds; gives up, and says for what it waited, after SECONDS.
wait_for() { # SECONDS WHAT CMD...
	local end=$((SECONDS + $1)) what=$2

	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || die "waited in vain for $what"
		sleep 0.1
	done
}

# Lets time pass where time itself is what is wanted: traffic that goes on.
wait_time() { # SECONDS
	local end=$((SECONDS + $1))

	until [ "$SECONDS" -ge "$end" ]; do
		sleep 0.1
	done
}

both_exist() { [ -e "$1" ] && [ -e "$2" ]; }
