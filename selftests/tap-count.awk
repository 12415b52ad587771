# SPDX-License-Identifier: GPL-2.0
# Prints "PASSED FAILED SKIPPED" of TAP on standard input. The plans' sum (a stream may
# hold several) must be what ran; with no plan, or with less or more, one more has failed.
# -v optional=1: output without any TAP is 0 0 0 (the caller judges the exit code).
{ sub(/\r$/, "") }
/^[ \t]*1\.\.[0-9]+/ {
	sub(/^[ \t]*/, "")
	n = substr($1, 4) + 0
	planned += n
	plans++
	if (n == 0) skipped++
}
# cmocka says "not ok N # SKIP" where others say "ok N # SKIP".
/^(not )?ok( |$)/ {
	ran++
	if (toupper($0) ~ /# *SKIP/) skipped++
	else if ($1 == "not") failed++
	else passed++
}
END {
	if (plans ? planned != ran : !(optional && !ran)) failed++
	print passed + 0, failed + 0, skipped + 0
}
