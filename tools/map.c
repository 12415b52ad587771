// SPDX-License-Identifier: GPL-2.0
/*
 * In: pairs of addresses; contexts with the names that another node has.
 * Out: the same contexts with this node's names.
 * Pure.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "context_fields.h"
#include "map.h"

/* Where the addresses stand (Documentation/wire.rst), bytes. */
#define SA_ID_DST 12
#define SA_ID_SRC 28
#define SELECTOR_DST 8
#define SELECTOR_SRC 24
#define ENCAP_OA 8
#define TEMPLATE_DST 16
#define TEMPLATE_SRC 32

static bool read_address(const char *text, uint16_t *family, uint8_t addr[16])
{
	*family = strchr(text, ':') ? AF_INET6 : AF_INET;
	memset(addr, 0, 16);
	return inet_pton(*family, text, addr) == 1;
}

const char *map_add(struct map *m, const char *text)
{
	struct map_pair x = {};
	char old[2 * INET6_ADDRSTRLEN], *new;
	uint16_t family;
	size_t i;

	if (strlen(text) >= sizeof(old))
		return "OLD=NEW is wanted, two addresses";
	strcpy(old, text);
	new = strchr(old, '=');
	if (!new)
		return "OLD=NEW is wanted, two addresses";
	*new++ = '\0';
	if (!read_address(old, &x.family, x.from) ||
	    !read_address(new, &family, x.to))
		return "OLD=NEW is wanted, two addresses";
	if (x.family != family)
		return "one of them is IPv4, the other one IPv6";
	if (!memcmp(x.from, x.to, 16))
		return "both are the same";
	for (i = 0; i < m->n; i++) {
		if (m->pair[i].family == family &&
		    !memcmp(m->pair[i].from, x.from, 16))
			return "the old address has a new one already";
	}
	if (m->n == MAP_MAX)
		return "these are too many: 16 at most";
	m->pair[m->n++] = x;
	return NULL;
}

/* Each address once: a map may swap two. */
static void map_addr(const struct map *m, uint16_t family, uint8_t *addr)
{
	size_t len = family == AF_INET ? 4 : 16, i;

	for (i = 0; i < m->n; i++) {
		if (m->pair[i].family == family &&
		    !memcmp(m->pair[i].from, addr, len)) {
			memcpy(addr, m->pair[i].to, len);
			return;
		}
	}
}

void map_id(const struct map *m, struct sa_id *id)
{
	map_addr(m, id->family, id->dst);
}

bool map_joins(const struct map *m, uint16_t family, const uint8_t *src,
	       const uint8_t *dst)
{
	uint8_t from[16], to[16];

	memcpy(from, src, 16);
	memcpy(to, dst, 16);
	if (!memcmp(from, to, 16))
		return false;
	map_addr(m, family, from);
	map_addr(m, family, to);
	return !memcmp(from, to, 16);
}

bool map_has(const struct map *m, uint16_t family, const uint8_t *src,
	     const uint8_t *dst)
{
	uint8_t from[16], to[16];

	memcpy(from, src, 16);
	memcpy(to, dst, 16);
	map_addr(m, family, from);
	map_addr(m, family, to);
	return memcmp(from, src, 16) || memcmp(to, dst, 16);
}

static uint16_t get_u16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static void map_selector(const struct map *m, uint8_t *sel)
{
	uint16_t family = get_u16(sel);
	uint8_t whole = family == AF_INET ? 32 : 128;

	if (sel[3] == whole)
		map_addr(m, family, sel + SELECTOR_DST);
	if (sel[4] == whole)
		map_addr(m, family, sel + SELECTOR_SRC);
}

/* @family: of the SA, once its first field is read */
static void map_field(const struct map *m, uint16_t type, uint8_t *value,
		      size_t len, uint16_t *family)
{
	size_t i;

	if (type == CONTEXT_SA_ID && len == 44) {
		*family = get_u16(value);
		map_addr(m, *family, value + SA_ID_DST);
		map_addr(m, *family, value + SA_ID_SRC);
	} else if (type == CONTEXT_SELECTOR && len == 52) {
		map_selector(m, value);
	} else if (type == CONTEXT_ENCAP && len == 24) {
		map_addr(m, *family, value + ENCAP_OA);
	} else if (type == CONTEXT_COADDR && len == 16) {
		map_addr(m, *family, value);
	} else if (type == CONTEXT_TEMPLATES) {
		for (i = 0; i + TEMPLATE_LEN <= len; i += TEMPLATE_LEN) {
			map_addr(m, get_u16(value + i), value + i + TEMPLATE_DST);
			map_addr(m, get_u16(value + i), value + i + TEMPLATE_SRC);
		}
	}
}

void map_context(const struct map *m, uint8_t *p, size_t len)
{
	struct rd r = { .p = p, .left = len };
	uint16_t last = 0, family = 0;
	struct field_error why;
	struct field f;

	if (!m->n)
		return;
	while (field_next(&r, &last, &f, &why) > 0)
		map_field(m, f.type, p + (f.value.p - p), f.value.left, &family);
}
