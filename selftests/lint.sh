#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make lint`: what can be found without running anything, in scripts, the module, the tool,
# the man pages and the words. Prints what the linters find, and "ok - NAME" or "not ok - NAME"
# for each; exits 1 if one found something. As many run at once as there are processors.
#
# The kernel's side is built from nothing each time. A file of the tool that was found clean is
# looked at again when it, what it includes, or a linter has changed: the cache has a hash of
# each that was.
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/.." || exit
out=$PWD/build/lint/out
make=(make --no-print-directory)
ksource=$(selftests/vm/ksource.sh) || exit 1

rm -rf build/lint
mkdir -p "$out"
clean=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/lint
mkdir -p "$clean" || exit 1
key=$(cat selftests/lint.sh tools/.clang-tidy <(gcc --version) <(clang-14 --version) | sha256sum)

names=()
trap 'jobs -pr | xargs -r kill' EXIT

# In the order in which they are started; the longest first.
try() { # NAME CMD...: a linter that exits non-zero, or prints a warning, has found something
	local n=${#names[@]}

	names+=("$1")
	while [ "$(jobs -pr | wc -l)" -ge "$(nproc)" ]; do wait -n; done
	{
		"${@:2}" >"$out/$n" 2>&1
		echo $? >"$out/$n.rc"
	} &
}

report() {
	local n failed=0

	wait
	for n in "${!names[@]}"; do
		if [ "$(cat "$out/$n.rc")" = 0 ] && ! grep -qE 'warning:|error:' "$out/$n"; then
			echo "ok - ${names[n]}"
		else
			cat "$out/$n"
			echo "not ok - ${names[n]}"
			failed=1
		fi
	done
	echo "1..${#names[@]}"
	return $failed
}

files() { git ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null; }

declare -a cflags
eval "cflags=($("${make[@]}" -s -C tools cflags))"

# What a file is after the preprocessor, its comments too: some are for a linter.
# shellcheck disable=SC2317 # try calls them, here and below
each_file() { # COMPILER CMD...: CMD FILE, of the tool, unless it was found clean as it is
	local f hash said rc=0

	cd tools || return
	for f in *.c ../kmod/{window,lease}.c; do
		hash=$({ echo "$key $*"; "$1" "${cflags[@]}" -E -C "$f"; } | sha256sum | cut -d' ' -f1)
		[ ! -f "$clean/$hash" ] || { touch "$clean/$hash"; continue; }
		said=$("${@:2}" "$f" 2>&1) || rc=1
		if [ -n "$said" ]; then printf '%s\n' "$said"; else touch "$clean/$hash"; fi
	done
	find "$clean" -type f -mtime +30 -delete
	return $rc
}
# What it does not look for, and why: tools/.clang-tidy.
# shellcheck disable=SC2317
tidy() {
	clang-14 "${cflags[@]}" -fsyntax-only "$1" &&
		clang-tidy-14 --quiet "$1" -- "${cflags[@]}" 2>/dev/null
}
try clang-tidy each_file clang-14 tidy
# gcc 12 loses a pointer that is stored behind a pointer, and takes it for a leak. clang-tidy
# looks for leaks too, and so do the tests that run with LeakSanitizer.
# shellcheck disable=SC2317
analyzer() { gcc "${cflags[@]}" -fanalyzer -Wno-analyzer-malloc-leak -c -o /dev/null "$1"; }
try "gcc -fanalyzer" each_file gcc analyzer
for series in 6.1 6.12; do
	try "sparse, W=1: $series" "${make[@]}" "module-$series" \
		KOUT=build/lint/kernel/sparse W=1 C=2 CF=-D__CHECK_ENDIAN__
done

# shellcheck disable=SC2317
clang_module() {
	local tree

	tree=$(selftests/vm/clang-tree.sh) &&
		"${make[@]}" module KDIR="$tree" KOUT=build/lint/kernel/clang W=1 CC=clang-14
}
try "clang, W=1: 6.12" clang_module
try "gcc -fanalyzer: 6.12" "${make[@]}" module-6.12 KOUT=build/lint/kernel/gcc KCFLAGS=-fanalyzer

mapfile -t scripts < <(files '*.sh'; files .ci tools selftests | xargs -r grep -lE '^#!.*\b(ba)?sh\b')
mapfile -t scripts < <(printf '%s\n' "${scripts[@]}" | sort -u)
# With what it includes, and so on; each by its name, which is one of the scripts'.
# shellcheck disable=SC2317
with_sourced() { # FILE
	local seen=("$1") f s

	for ((f = 0; f < ${#seen[@]}; f++)); do
		while read -r s; do
			[[ " ${seen[*]} " == *" $s "* ]] || seen+=("$s")
		done < <(sed -nE 's/^[[:space:]]*# shellcheck source=//p' "${seen[f]}")
	done
	cat "${seen[@]}"
}
# shellcheck disable=SC2317
shellcheck_each() {
	local f hash version rc=0

	version=$(shellcheck --version)
	for f in "${scripts[@]}"; do
		hash=$({ echo "shellcheck $version $f"; with_sourced "$f"; } | sha256sum | cut -d' ' -f1)
		[ ! -f "$clean/$hash" ] || { touch "$clean/$hash"; continue; }
		if shellcheck -x -- "$f"; then touch "$clean/$hash"; else rc=1; fi
	done
	return $rc
}
try shellcheck shellcheck_each

# A name that nothing defines is found by nobody else before its line runs.
mapfile -t python < <({ files '*.py'; files | xargs -r grep -lsE '^#!.*\bpython3\b'; } | sort -u)
try pyflakes pyflakes3 "${python[@]}"

# shellcheck disable=SC2317
checkpatch() { # TYPES-TO-IGNORE FILE...
	perl "$ksource/scripts/checkpatch.pl" --strict --no-tree --no-summary --terse -q \
		--show-types --max-line-length=120 \
		--ignore "FILE_PATH_CHANGES,SPDX_LICENSE_TAG,$1" -f "${@:2}" |
		tee /dev/stderr | wc -l | grep -qx 0
}
mapfile -t kernel < <(files 'kmod/*.[ch]' 'uapi/*.h' ':!kmod/compat' ':!kmod/trace.h')
mapfile -t compat < <(files kmod/compat)
# A bit's number is not a count (2^16 segments); what an extack macro is given is a variable;
# a lock's comment is in the kernel-doc of its structure.
try "checkpatch --strict" checkpatch BIT_MACRO,MACRO_ARG_REUSE,UNCOMMENTED_DEFINITION "${kernel[@]}"
# TRACE_EVENT has a layout of its own.
try "checkpatch --strict, trace.h" checkpatch PARENTHESIS_ALIGNMENT,OPEN_ENDED_LINE kmod/trace.h
# There, comparing versions and macros that swallow an argument are the point.
try "checkpatch --strict, compat" checkpatch \
	LINUX_VERSION_CODE,CONSTANT_COMPARISON,MACRO_ARG_UNUSED "${compat[@]}"
try kernel-doc perl "$ksource/scripts/kernel-doc" -none -Wall "${kernel[@]}" kmod/trace.h

# Without the libraries' headers, so it has to be told what this one is.
# shellcheck disable=SC2317
cppcheck_tool() {
	cd tools && cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 \
		--enable=warning,performance,portability \
		-D_GNU_SOURCE -D__linux__ -DVERSION='"0"' -I. -I../uapi -I../kmod \
		-D'json_array_foreach(a,i,v)=while ((v = json_array_get(a, i = next_of(a))))' \
		./*.c ../kmod/window.c ../kmod/lease.c
}
try cppcheck cppcheck_tool

# Each safety rule's text is where the table of make rules has it.
try "safety rules" selftests/rules/run.py check

mapfile -t texts < <(files ':!tools/fuzz/corpus' ':!tools/tests/vectors')
try codespell codespell -- "${texts[@]}"

# shellcheck disable=SC2317
page() { groff -man -Tutf8 -ww -z "$1" 2>&1 | sed 's/^/warning: /'; }
mapfile -t pages < <(files 'tools/man/*.[1-8]')
for p in "${pages[@]}"; do try "$p" page "$p"; done

report
