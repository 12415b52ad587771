// SPDX-License-Identifier: GPL-2.0
/*
 * In: strongswan.conf, with the files that it includes.
 * Out: the range that charon takes its SPIs from.
 * Reads files; of all settings the two that it wants, and no others.
 *
 * NAME { ... } nests, NAME = VALUE and "include PATTERN" end with the line, # begins
 * a comment; what stands later counts (strongswan.conf(5)).
 */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "strongswan.h"

#define INCLUDES 8		/* files in files */
#define FILE_MAX_BYTES (1 << 20)
#define CHARON_MIN 0xc0000000
#define CHARON_MAX 0xcfffffff

struct parser {
	struct spi_range *range;
	bool has_min, has_max;
	unsigned int depth;	/* of braces */
	bool in_charon;		/* opened at depth 0 */
};

static int parse_file(struct parser *p, const char *file, int level);

static void take_value(struct parser *p, const char *name, char *value)
{
	char *end = value + strlen(value);
	unsigned long v;

	while (end > value && strchr(" \t\r\"", end[-1]))
		*--end = '\0';
	value += strspn(value, " \t\"");
	if (!p->in_charon || p->depth != 1 || !isdigit((unsigned char)*value))
		return;
	errno = 0;
	v = strtoul(value, &end, 0);
	if (*end || errno || v > UINT32_MAX)
		return;
	if (!strcmp(name, "spi_min")) {
		p->range->min = v;
		p->has_min = true;
	} else if (!strcmp(name, "spi_max")) {
		p->range->max = v;
		p->has_max = true;
	}
}

/* Relative to the file that it stands in. */
static void take_include(struct parser *p, const char *file, char *pattern,
			 int level)
{
	const char *slash = strrchr(file, '/');
	char path[PATH_MAX];
	glob_t found = {};
	size_t i;

	pattern[strcspn(pattern, " \t\r")] = '\0';
	if (*pattern == '/' || !slash)
		snprintf(path, sizeof(path), "%s", pattern);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - file),
			 file, pattern);
	if (!glob(path, 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			parse_file(p, found.gl_pathv[i], level + 1);
	}
	globfree(&found);
}

static void open_section(struct parser *p, const char *name)
{
	if (!p->depth++)
		p->in_charon = !strcmp(name, "charon");
}

static void close_section(struct parser *p)
{
	if (p->depth && !--p->depth)
		p->in_charon = false;
}

/* Up to the line's end, a comment or a brace; what follows is in after. */
static char *rest_of_line(char *at, char **after, bool *closes)
{
	char *start = at + strspn(at, " \t"), *end;

	end = start + strcspn(start, "\n#}");
	*closes = *end == '}';
	*after = *end == '#' ? end + strcspn(end, "\n") : end + !!*end;
	*end = '\0';
	return start;
}

/* A name, and what makes it a section, a value or an include. Returns what follows. */
static char *take_name(struct parser *p, const char *file, char *at, int level)
{
	char name[64], *end = at + strcspn(at, " \t\r\n{}=#"), *value, *after;
	bool is_include, closes;

	snprintf(name, sizeof(name), "%.*s", (int)(end - at), at);
	is_include = !strcmp(name, "include");
	at = end + strspn(end, is_include ? " \t" : " \t\r\n");
	if (*at == '{') {
		open_section(p, name);
		return at + 1;
	}
	if (!is_include && *at != '=')
		return at;
	value = rest_of_line(at + (*at == '='), &after, &closes);
	if (is_include)
		take_include(p, file, value, level);
	else
		take_value(p, name, value);
	if (closes)
		close_section(p);
	return after;
}

static void parse(struct parser *p, const char *file, char *at, int level)
{
	while (*at) {
		if (*at == '#')
			at += strcspn(at, "\n");
		else if (isspace((unsigned char)*at) || *at == '=' || *at == '{')
			at++;
		else if (*at == '}') {
			close_section(p);
			at++;
		} else {
			at = take_name(p, file, at, level);
		}
	}
}

static int parse_file(struct parser *p, const char *file, int level)
{
	size_t len;
	char *text;
	FILE *f;

	if (level > INCLUDES)
		return -ELOOP;
	f = fopen(file, "re");
	if (!f)
		return -errno;
	text = malloc(FILE_MAX_BYTES + 1);
	if (!text) {
		fclose(f);
		return -ENOMEM;
	}
	len = fread(text, 1, FILE_MAX_BYTES, f);
	text[len] = '\0';
	fclose(f);
	parse(p, file, text, level);
	free(text);
	return 0;
}

int strongswan_spi_range(const char *file, struct spi_range *r)
{
	struct parser p = { .range = r };
	int ret;

	*r = (struct spi_range){ CHARON_MIN, CHARON_MAX };
	if (!file)
		file = getenv("STRONGSWAN_CONF");
	ret = parse_file(&p, file && *file ? file : STRONGSWAN_CONF, 0);
	return ret ? ret : p.has_min + p.has_max;
}
