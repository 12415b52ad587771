/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: records, numbers.
 * Out: text that people read: a table, a block, or a line for each record.
 * show and monitor share these printers, so that they cannot differ.
 */
#ifndef XFRMSYNC_TOOLS_PRINT_H
#define XFRMSYNC_TOOLS_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "record.h"

struct print {
	FILE *out;
	bool colour;
	time_t now;		/* ages are told from here */
};

enum print_colour { PRINT_PLAIN, PRINT_BOLD, PRINT_DIM, PRINT_GREEN,
		    PRINT_YELLOW, PRINT_RED };

/* To stdout, coloured on a terminal unless NO_COLOR is set, as of now. */
void print_init(struct print *p);
/* Switch a colour on, and off again; nothing without colours. */
void print_begin(const struct print *p, enum print_colour c);
void print_end(const struct print *p, enum print_colour c);

/* "1.2 MiB" */
const char *print_bytes(uint64_t n, char *buf, size_t len);
/* "1.07 G": a count, in powers of 1000 */
const char *print_count(uint64_t n, char *buf, size_t len);
/* "1.2 ms" of a time in ns */
const char *print_duration(uint64_t ns, char *buf, size_t len);
/* "3 s", "5 min", "2 h", "4 d" since a wall-clock second; "never" for 0 */
const char *print_age(const struct print *p, uint64_t when, char *buf,
		      size_t len);

/*
 * A table of cells, n_rows * n_cols of them, the first row being its heading.
 * A column stands on the right where right[] says so, and is left out where
 * nothing but "" and "-" stands under its heading.
 */
void print_cells(const struct print *p, char *const *cells, size_t n_rows,
		 size_t n_cols, const bool *right, const enum print_colour *row);

/* All records as one aligned table, and a line that sums them up. 0 or -ENOMEM. */
int print_table(const struct print *p, const struct record *r, size_t n);
/* All that is known of one SA, in a block. */
void print_details(const struct print *p, const struct record *r);
/* One record of the stream, in a line that begins with the time of day. */
void print_line(const struct print *p, const struct record *r,
		const struct timespec *at);

#endif
