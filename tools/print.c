// SPDX-License-Identifier: GPL-2.0
/*
 * In: records, numbers.
 * Out: text that people read: a table, a block, or a line for each record.
 * show and monitor share these printers, so that they cannot differ.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/xfrmsync.h>

#include "print.h"

#define F(name) XFRMSYNC_RECORD_F_##name

void print_init(struct print *p)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	p->out = stdout;
	p->colour = isatty(STDOUT_FILENO) && !(no && *no) &&
		    !(term && !strcmp(term, "dumb"));
	p->now = time(NULL);
}

void print_begin(const struct print *p, enum print_colour c)
{
	static const char *const codes[] = {
		[PRINT_BOLD] = "1", [PRINT_DIM] = "2", [PRINT_GREEN] = "32",
		[PRINT_YELLOW] = "33", [PRINT_RED] = "31",
	};

	if (p->colour && c != PRINT_PLAIN)
		fprintf(p->out, "\033[%sm", codes[c]);
}

void print_end(const struct print *p, enum print_colour c)
{
	if (p->colour && c != PRINT_PLAIN)
		fputs("\033[0m", p->out);
}

const char *print_bytes(uint64_t n, char *buf, size_t len)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB",
					     "EiB" };
	double v = n / 1024.0;
	size_t u;

	if (n < 1024) {
		snprintf(buf, len, "%u B", (unsigned int)n);
		return buf;
	}
	for (u = 0; v >= 1023.95 && u < 5; u++)
		v /= 1024;
	snprintf(buf, len, "%.1f %s", v, units[u]);
	return buf;
}

const char *print_count(uint64_t n, char *buf, size_t len)
{
	static const char units[] = "kMGTPE";
	double v = n / 1000.0;
	size_t u;

	if (n < 10000) {
		snprintf(buf, len, "%u", (unsigned int)n);
		return buf;
	}
	for (u = 0; v >= 999.5 && u < 5; u++)
		v /= 1000;
	snprintf(buf, len, v < 9.995 ? "%.2f %c" : v < 99.95 ? "%.1f %c" : "%.0f %c",
		 v, units[u]);
	return buf;
}

const char *print_duration(uint64_t ns, char *buf, size_t len)
{
	if (ns < 1000000)
		snprintf(buf, len, "%.0f us", ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, len, "%.1f ms", ns / 1e6);
	else
		snprintf(buf, len, "%.1f s", ns / 1e9);
	return buf;
}

const char *print_age(const struct print *p, uint64_t when, char *buf,
		      size_t len)
{
	uint64_t s = (uint64_t)p->now > when ? p->now - when : 0;

	if (!when)
		snprintf(buf, len, "never");
	else if (s < 120)
		snprintf(buf, len, "%" PRIu64 " s", s);
	else if (s < 120 * 60)
		snprintf(buf, len, "%" PRIu64 " min", s / 60);
	else if (s < 48 * 3600)
		snprintf(buf, len, "%" PRIu64 " h", s / 3600);
	else
		snprintf(buf, len, "%" PRIu64 " d", s / 86400);
	return buf;
}

/* Terminal columns; cells are ASCII. */
static size_t width_of(char *const *cells, size_t n_rows, size_t n_cols,
		       size_t col)
{
	size_t width = strlen(cells[col]), row, n;
	bool empty = true;

	for (row = 1; row < n_rows; row++) {
		const char *cell = cells[row * n_cols + col];

		n = strlen(cell);
		empty &= !n || !strcmp(cell, "-");
		if (n > width)
			width = n;
	}
	return empty ? 0 : width;
}

/* No blanks at the end of a line: the padding waits for a cell that needs it. */
static void print_row(const struct print *p, char *const *row, size_t last,
		      const size_t *widths, const bool *right)
{
	int pad = 0, len;
	size_t c;

	for (c = 0; c <= last; c++) {
		if (!widths[c])
			continue;
		len = strlen(row[c]);
		if (right[c])
			pad += (int)widths[c] - len;
		if (len)
			fprintf(p->out, "%*s%s", pad, "", row[c]);
		pad = (len ? 0 : pad) + 2 + (right[c] ? 0 : (int)widths[c] - len);
	}
}

void print_cells(const struct print *p, char *const *cells, size_t n_rows,
		 size_t n_cols, const bool *right, const enum print_colour *row)
{
	size_t widths[32], last = 0, r, c;

	for (c = 0; c < n_cols && c < 32; c++) {
		widths[c] = width_of(cells, n_rows, n_cols, c);
		if (widths[c])
			last = c;
	}
	for (r = 0; r < n_rows; r++) {
		print_begin(p, r ? row[r] : PRINT_BOLD);
		print_row(p, cells + r * n_cols, last, widths, right);
		print_end(p, r ? row[r] : PRINT_BOLD);
		fputc('\n', p->out);
	}
}

static enum print_colour colour_of(const struct record *r)
{
	if (r->flags & (F(DELETED) | F(EXPIRED)))
		return PRINT_RED;
	if (r->flags & F(DYING))
		return PRINT_YELLOW;
	if (r->flags & F(LARVAL))
		return PRINT_DIM;
	return r->flags & F(NEW) ? PRINT_GREEN : PRINT_PLAIN;
}

enum { COL_DIR, COL_PROTO, COL_SPI, COL_SRC, COL_DST, COL_MARK, COL_REQID,
	COL_IF_ID, COL_OSEQ, COL_SEQ, COL_LEASE, COL_PACKETS, COL_BYTES,
	COL_USED, COL_LAG, COL_FLAGS, N_COLS };

static const char *const headings[N_COLS] = {
	[COL_DIR] = "DIR", [COL_PROTO] = "PROTO", [COL_SPI] = "SPI",
	[COL_SRC] = "SOURCE", [COL_DST] = "DESTINATION", [COL_MARK] = "MARK",
	[COL_REQID] = "REQID", [COL_IF_ID] = "IF_ID", [COL_OSEQ] = "SENT",
	[COL_SEQ] = "RECEIVED", [COL_LEASE] = "LEASE LEFT",
	[COL_PACKETS] = "PACKETS", [COL_BYTES] = "BYTES", [COL_USED] = "USED",
	[COL_LAG] = "UNTOLD", [COL_FLAGS] = "FLAGS",
};

static const bool on_right[N_COLS] = {
	[COL_REQID] = true, [COL_IF_ID] = true, [COL_OSEQ] = true,
	[COL_SEQ] = true, [COL_LEASE] = true, [COL_PACKETS] = true,
	[COL_BYTES] = true, [COL_USED] = true, [COL_LAG] = true,
};

static void put_number(uint64_t n, char *buf, size_t len)
{
	if (n)
		snprintf(buf, len, "%" PRIu64, n);
	else
		snprintf(buf, len, "-");
}

static const char *lease_left(const struct record *r, char *buf, size_t len)
{
	if (!r->lease_end)
		snprintf(buf, len, "-");
	else if (r->oseq >= r->lease_end)
		snprintf(buf, len, "none");
	else
		print_count(r->lease_end - r->oseq, buf, len);
	return buf;
}

static void put_address(uint16_t family, const uint8_t *addr, char *buf,
			size_t len)
{
	if (!inet_ntop(family, addr, buf, len))
		snprintf(buf, len, "?");
}

/* What stands in the cells that name the SA. */
static void cell_identity(const struct record *r, int col, char *buf, size_t len)
{
	switch (col) {
	case COL_DIR:
		if (r->dir)
			snprintf(buf, len, "%s", record_dir_str(r->dir));
		break;
	case COL_PROTO:
		snprintf(buf, len, "%s", record_proto_str(r->id.proto));
		break;
	case COL_SPI:
		snprintf(buf, len, "0x%08x", ntohl(r->id.spi));
		break;
	case COL_SRC:
		put_address(r->id.family, r->src, buf, len);
		break;
	case COL_DST:
		put_address(r->id.family, r->id.dst, buf, len);
		break;
	case COL_MARK:
		if (r->id.mark || r->id.mark_mask)
			snprintf(buf, len, "0x%x/0x%x", r->id.mark, r->id.mark_mask);
		break;
	case COL_REQID:
		put_number(r->reqid, buf, len);
		break;
	case COL_IF_ID:
		put_number(r->if_id, buf, len);
		break;
	}
}

/* ... and in those that packets change. */
static void cell_live(const struct print *p, const struct record *r, int col,
		      char *buf, size_t len)
{
	switch (col) {
	case COL_OSEQ:
		put_number(r->oseq, buf, len);
		break;
	case COL_SEQ:
		put_number(r->seq, buf, len);
		break;
	case COL_LEASE:
		lease_left(r, buf, len);
		break;
	case COL_PACKETS:
		put_number(r->packets, buf, len);
		break;
	case COL_BYTES:
		snprintf(buf, len, "-");
		if (r->bytes)
			print_bytes(r->bytes, buf, len);
		break;
	case COL_USED:
		print_age(p, r->last_used ? r->last_used : r->use_time, buf, len);
		break;
	case COL_LAG:
		if (r->age_ns)
			print_duration(r->age_ns, buf, len);
		break;
	case COL_FLAGS:
		record_flags_str(r->flags, buf, len);
		break;
	}
}

static void cell(const struct print *p, const struct record *r, int col,
		 char *buf, size_t len)
{
	buf[0] = '\0';
	if (col < COL_OSEQ)
		cell_identity(r, col, buf, len);
	else
		cell_live(p, r, col, buf, len);
}

static int fill(const struct print *p, const struct record *r, size_t n,
		char **cells, enum print_colour *colours)
{
	size_t row, col;
	char buf[128];

	for (row = 0; row <= n; row++) {
		if (row)
			colours[row] = colour_of(&r[row - 1]);
		for (col = 0; col < N_COLS; col++) {
			if (row)
				cell(p, &r[row - 1], col, buf, sizeof(buf));
			cells[row * N_COLS + col] = strdup(row ? buf : headings[col]);
			if (!cells[row * N_COLS + col])
				return -ENOMEM;
		}
	}
	return 0;
}

int print_table(const struct print *p, const struct record *r, size_t n)
{
	enum print_colour *colours = calloc(n + 1, sizeof(*colours));
	char **cells = calloc((n + 1) * N_COLS, sizeof(*cells));
	int err = -ENOMEM;
	size_t i;

	if (cells && colours)
		err = fill(p, r, n, cells, colours);
	if (!err)
		print_cells(p, cells, n + 1, N_COLS, on_right, colours);
	for (i = 0; cells && i < (n + 1) * N_COLS; i++)
		free(cells[i]);
	free(cells);
	free(colours);
	return err;
}

static void detail_time(const struct print *p, const char *what, uint64_t when)
{
	time_t t = when;
	char age[32], text[32] = "never";
	struct tm tm;

	if (when && localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%F %T", &tm);
	fprintf(p->out, "%s %s", what, text);
	if (when)
		fprintf(p->out, " (%s ago)", print_age(p, when, age, sizeof(age)));
}

/*
 * The window as a picture: 64 numbers a line, the newest first, a dot for one
 * that has not arrived.
 */
static void detail_window(const struct print *p, const struct record *r)
{
	uint64_t missing = 0, i, span;

	if (!r->window || !r->bmp_words)
		return;
	span = r->window < r->bmp_words * 32 ? r->window : r->bmp_words * 32;
	span = r->seq < span ? r->seq : span;
	for (i = 0; i < span; i++)
		missing += !record_has_seen(r, r->seq - i);
	fprintf(p->out, "  window    %u packets, %" PRIu64 " of the last %" PRIu64 " missing\n",
		r->window, missing, span);
	for (i = 0; i < span; i++) {
		if (i % 64 == 0)
			fprintf(p->out, "%s            ", i ? "\n" : "");
		fputc(record_has_seen(r, r->seq - i) ? '#' : '.', p->out);
	}
	if (span)
		fputc('\n', p->out);
}

static void detail_identity(const struct print *p, const struct record *r)
{
	enum print_colour colour = colour_of(r);
	char buf[128], dst[INET6_ADDRSTRLEN], src[INET6_ADDRSTRLEN];

	put_address(r->id.family, r->src, src, sizeof(src));
	put_address(r->id.family, r->id.dst, dst, sizeof(dst));
	colour = colour == PRINT_PLAIN ? PRINT_BOLD : colour;
	print_begin(p, colour);
	fprintf(p->out, "%s 0x%08x  %s > %s", record_proto_str(r->id.proto),
		ntohl(r->id.spi), src, dst);
	print_end(p, colour);
	fprintf(p->out, "  %s%s%s", record_mode_str(r->mode), r->dir ? ", " : "",
		r->dir ? record_dir_str(r->dir) : "");
	cell(p, r, COL_MARK, buf, sizeof(buf));
	if (buf[0])
		fprintf(p->out, ", mark %s", buf);
	if (r->reqid)
		fprintf(p->out, ", reqid %u", r->reqid);
	if (r->if_id)
		fprintf(p->out, ", if_id %u", r->if_id);
	fputc('\n', p->out);
}

void print_details(const struct print *p, const struct record *r)
{
	char buf[128];

	detail_identity(p, r);
	fprintf(p->out, "  numbers   sent %" PRIu64 ", received %" PRIu64 "%s\n",
		r->oseq, r->seq, r->flags & F(ESN) ? " (ESN)" : "");
	if (r->lease_end)
		fprintf(p->out, "  lease     to %" PRIu64 ", %s left\n",
			r->lease_end, lease_left(r, buf, sizeof(buf)));
	detail_window(p, r);
	fprintf(p->out, "  traffic   %" PRIu64 " packets, %s", r->packets,
		print_bytes(r->bytes, buf, sizeof(buf)));
	if (r->age_ns)
		fprintf(p->out, ", last change untold for %s",
			print_duration(r->age_ns, buf, sizeof(buf)));
	fputs("\n  times     ", p->out);
	detail_time(p, "added", r->add_time);
	detail_time(p, ", first used", r->use_time);
	detail_time(p, ", last used", r->last_used);
	fprintf(p->out, "\n  errors    %u left of the window, %u replayed, %u not authentic\n",
		r->replay_window_errors, r->replay_errors, r->integrity_errors);
	fprintf(p->out, "  identity  tag %016" PRIx64 ", cookie %" PRIu64,
		r->tag, r->cookie);
	if (record_flags_str(r->flags, buf, sizeof(buf))[0])
		fprintf(p->out, ", flags %s", buf);
	fputc('\n', p->out);
}

void print_line(const struct print *p, const struct record *r,
		const struct timespec *at)
{
	enum print_colour colour = colour_of(r);
	char buf[128], dst[INET6_ADDRSTRLEN];
	struct tm tm = { 0 };

	localtime_r(&at->tv_sec, &tm);
	strftime(buf, sizeof(buf), "%T", &tm);
	print_begin(p, PRINT_DIM);
	fprintf(p->out, "%s.%03ld", buf, at->tv_nsec / 1000000);
	print_end(p, PRINT_DIM);
	put_address(r->id.family, r->id.dst, dst, sizeof(dst));
	print_begin(p, colour);
	fprintf(p->out, "  %-3s %s 0x%08x > %s", r->dir ? record_dir_str(r->dir) : "",
		record_proto_str(r->id.proto), ntohl(r->id.spi), dst);
	cell(p, r, COL_MARK, buf, sizeof(buf));
	if (buf[0])
		fprintf(p->out, " mark %s", buf);
	if (!(r->flags & F(DELETED)))
		fprintf(p->out, "  sent %" PRIu64 "  received %" PRIu64 "  packets %" PRIu64 "  %s",
			r->oseq, r->seq, r->packets,
			print_bytes(r->bytes, buf, sizeof(buf)));
	if (record_flags_str(r->flags, buf, sizeof(buf))[0])
		fprintf(p->out, "  %s", buf);
	print_end(p, colour);
	fputc('\n', p->out);
}
