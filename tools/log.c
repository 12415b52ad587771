// SPDX-License-Identifier: GPL-2.0
/*
 * In: what happened, to which SA or peer, and what to do about it.
 * Out: one line on stderr, with systemd's priority prefix unless a terminal.
 * Runs anywhere in the daemon. Never give it a key.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"

void log_line(int priority, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	char *p;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* A peer's bytes must not begin a line of their own. */
	for (p = line; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "xfrmsync: %s\n", line);
	else
		fprintf(stderr, "<%d>%s\n", priority, line);
}
