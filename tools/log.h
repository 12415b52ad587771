/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what happened, to which SA or peer, and what to do about it.
 * Out: one line on stderr, with systemd's priority prefix unless a terminal.
 * Runs anywhere in the daemon. Never give it a key.
 */
#ifndef XFRMSYNC_TOOLS_LOG_H
#define XFRMSYNC_TOOLS_LOG_H

#include <stdbool.h>
#include <stdint.h>

void log_line(int priority, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Lines of a kind that others can cause without end: 50 in ten seconds. Zeroed: none yet. */
struct log_budget {
	uint64_t since_ns;
	int lines;
};

bool log_is_within(struct log_budget *b);

#define log_err(...) log_line(3, __VA_ARGS__)
#define log_warn(...) log_line(4, __VA_ARGS__)
#define log_info(...) log_line(6, __VA_ARGS__)

/* From here on each line is an object: {"priority": N, "text": "..."}. */
void log_as_json(void);

#endif
