// SPDX-License-Identifier: GPL-2.0
/*
 * In: strongswan.conf, with the files that it includes.
 * Out: the range that charon, or charon-systemd, takes its SPIs from.
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

struct setting {
	bool is_set;
	uint32_t v;
};

struct section {
	const char *name;
	struct setting min, max;
};

struct parser {
	struct section charon, own;	/* its own go before charon's */
	unsigned int depth;		/* of braces */
	struct section *in;		/* opened at depth 0, or NULL */
};

static int parse_file(struct parser *p, const char *file, int level);

static void take_value(struct parser *p, const char *name, char *value)
{
	char *end = value + strlen(value);
	unsigned long v;

	while (end > value && strchr(" \t\r\"", end[-1]))
		*--end = '\0';
	value += strspn(value, " \t\"");
	if (!p->in || p->depth != 1 || !isdigit((unsigned char)*value))
		return;
	errno = 0;
	v = strtoul(value, &end, 0);
	if (*end || errno || v > UINT32_MAX)
		return;
	if (!strcmp(name, "spi_min"))
		p->in->min = (struct setting){ true, v };
	else if (!strcmp(name, "spi_max"))
		p->in->max = (struct setting){ true, v };
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
	if (p->depth++)
		return;
	p->in = !strcmp(name, p->own.name) ? &p->own :
		!strcmp(name, p->charon.name) ? &p->charon : NULL;
}

static void close_section(struct parser *p)
{
	if (p->depth && !--p->depth)
		p->in = NULL;
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

static const struct setting *in_force(const struct setting *own,
				      const struct setting *charons)
{
	return own->is_set ? own : charons;
}

int strongswan_spi_range(const char *file, const char *daemon,
			 struct spi_range *r)
{
	struct parser p = { .charon.name = "charon", .own.name = daemon };
	const struct setting *min, *max;
	int ret;

	*r = (struct spi_range){ CHARON_MIN, CHARON_MAX };
	if (!file)
		file = getenv("STRONGSWAN_CONF");
	ret = parse_file(&p, file && *file ? file : STRONGSWAN_CONF, 0);
	min = in_force(&p.own.min, &p.charon.min);
	max = in_force(&p.own.max, &p.charon.max);
	if (min->is_set)
		r->min = min->v;
	if (max->is_set)
		r->max = max->v;
	return ret ? ret : min->is_set + max->is_set;
}
