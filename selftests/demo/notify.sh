#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What keepalived calls in the demo when this gateway's role changes; it appends TYPE NAME
# STATE PRIORITY to the arguments. Calls xfrmsync's own script for keepalived, and times
# it by this machine's clock.
#
# usage: notify.sh DIR on|off TYPE NAME MASTER|BACKUP|FAULT|STOP [PRIORITY]
#   off   xfrmsync is not there: only the event is noted
set -uo pipefail

dir=$1 sync=$2 state=$5
shift 2

start=$EPOCHREALTIME rc=0
[ "$sync" = off ] || /run/xfrmsync-keepalived-notify "$@" || rc=$?
end=$EPOCHREALTIME

printf '%s %s %s rc=%d us=%d\n' "$start" "$HOSTNAME" "$state" "$rc" \
	"$((${end/./} - ${start/./}))" >>"$dir/$HOSTNAME.events"
if [ "$rc" -eq 0 ] && [ "$state" = MASTER ]; then
	touch "$dir/$HOSTNAME.active"
fi
exit "$rc"
