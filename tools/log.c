// SPDX-License-Identifier: GPL-2.0
/*
 * In: what happened, to which SA or peer, and what to do about it.
 * Out: one line on stderr, with systemd's priority prefix unless a terminal.
 * Runs anywhere in the daemon. Never give it a key.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "log.h"
#include "loop.h"

#define LINES 50
#define WINDOW (10000 * LOOP_MS)

static bool as_json;

void log_as_json(void)
{
	as_json = true;
}

static void log_json(int priority, const char *line)
{
	json_t *o = json_pack("{s:i, s:s%}", "priority", priority, "text",
			      line, strlen(line));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	/* Not UTF-8, or no memory: better plain than not at all. */
	fprintf(stderr, "%s\n", text ? text : line);
	free(text);
	json_decref(o);
}

bool log_is_within(struct log_budget *b)
{
	uint64_t now = loop_now_ns();

	if (now - b->since_ns > WINDOW) {
		b->since_ns = now;
		b->lines = 0;
	}
	return b->lines++ < LINES;
}

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
	if (as_json)
		log_json(priority, line);
	else if (isatty(STDERR_FILENO))
		fprintf(stderr, "xfrmsync: %s\n", line);
	else
		fprintf(stderr, "<%d>%s\n", priority, line);
}
