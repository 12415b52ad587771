#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make lint`: shellcheck, checkpatch, sparse and W=1, man pages, machine paths. Prints
# what they find, and "ok - NAME" or "not ok - NAME" for each; exits 1 if one found something.
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/.." || exit
failed=0 tried=0

try() { # NAME CMD...: a linter that exits non-zero, or prints a warning, has found something
	local out rc

	out=$("${@:2}" 2>&1)
	rc=$?
	tried=$((tried + 1))
	if [ $rc -eq 0 ] && ! grep -qE 'warning:|error:' <<<"$out"; then
		echo "ok - $1"
	else
		echo "$out"
		echo "not ok - $1"
		failed=1
	fi
}

files() { git ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null; }

mapfile -t scripts < <(files '*.sh'; files .ci tools selftests | xargs -r grep -lE '^#!.*\b(ba)?sh\b')
mapfile -t scripts < <(printf '%s\n' "${scripts[@]}" | sort -u)
try shellcheck shellcheck -x -- "${scripts[@]}"

# shellcheck disable=SC2317 # try calls it
checkpatch() { # TYPES-TO-IGNORE FILE...
	perl "$(selftests/vm/ksource.sh)/scripts/checkpatch.pl" --no-tree --no-summary --terse -q \
		--max-line-length=120 --ignore "FILE_PATH_CHANGES,SPDX_LICENSE_TAG$1" -f "${@:2}"
}
mapfile -t kernel < <(files 'kmod/*.[ch]' 'uapi/*.h' ':!kmod/compat')
mapfile -t compat < <(files kmod/compat)
try checkpatch checkpatch '' "${kernel[@]}"
# There, comparing versions and macros that swallow an argument are the point.
try "checkpatch, compat" checkpatch \
	,LINUX_VERSION_CODE,CONSTANT_COMPARISON,MACRO_ARG_UNUSED "${compat[@]}"

# In a build of its own, from nothing: all must be looked at, and the tests' build stays.
rm -rf build/lint
for series in 6.1 6.12; do
	try "sparse, W=1: $series" make --no-print-directory "module-$series" \
		KOUT=build/lint W=1 C=2 CF=-D__CHECK_ENDIAN__
done

# shellcheck disable=SC2317 # try calls it
page() { groff -man -Tutf8 -ww -z "$1" 2>&1 | sed 's/^/warning: /'; }
mapfile -t pages < <(files 'tools/man/*.[1-8]')
if command -v groff >/dev/null; then
	for p in "${pages[@]}"; do try "$p" page "$p"; done
fi

echo "1..$tried"
exit $failed
