#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What keepalived calls when this gateway's role changes; it appends TYPE NAME STATE
# PRIORITY to the arguments. Times the command, by this machine's clock.
#
# usage: notify.sh DIR XFRMSYNC TYPE NAME MASTER|BACKUP|FAULT|STOP [PRIORITY]
#   XFRMSYNC   the tool, or - to change nothing
set -uo pipefail

dir=$1 xfrmsync=$2 state=$5
case $state in
MASTER) verb=takeover ;;
BACKUP | FAULT) verb=standby ;;
*) exit 0 ;;
esac

start=$EPOCHREALTIME rc=0 said=''
[ "$xfrmsync" = - ] || said=$("$xfrmsync" $verb 2>&1) || rc=$?
end=$EPOCHREALTIME
us=$((${end/./} - ${start/./}))

# One line, so that a reader never sees half an event.
printf '%s %s %s rc=%d us=%d %s\n' "$start" "$HOSTNAME" "$verb" "$rc" "$us" "${said//$'\n'/; }" \
	>>"$dir/$HOSTNAME.events"
if [ "$rc" -eq 0 ] && [ "$state" = MASTER ]; then
	touch "$dir/$HOSTNAME.active"
fi
exit "$rc"
