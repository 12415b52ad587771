// SPDX-License-Identifier: GPL-2.0
/*
 * In: the layout of plain records, as the specification says it; records as bytes.
 * Out: their values by the attributes of these names, and bytes again.
 * Little-endian machines: a value stands as its bytes do, filled up.
 */
#include <stdio.h>
#include <string.h>

#include "genl_plain.h"

#define UNIT 8
#define FIELDS 64

unsigned int plain_set;

static unsigned int head_size, ipv6_bit;
/* Of the head, by their use. */
static struct place {
	unsigned int offset, width;
} has_at, units_at, words_at;
static struct plain_field fields[FIELDS];	/* the head's first */
static unsigned int offsets[FIELDS], n_fields;

bool plain_read(const char *text)
{
	return sscanf(text, "%u %u %u", &plain_set, &head_size, &ipv6_bit) == 3;
}

static bool add(struct plain_field f, unsigned int offset)
{
	if (n_fields == FIELDS || f.width > sizeof(uint64_t) || f.id >= PLAIN_IDS)
		return false;
	offsets[n_fields] = offset;
	fields[n_fields++] = f;
	return true;
}

bool plain_read_head(const char *text)
{
	struct plain_field f = { .bit = -1 };
	struct place at;
	char name[32];

	if (sscanf(text, "%31s %u %u %u", name, &at.offset, &at.width, &f.id) != 4 ||
	    at.offset + at.width > head_size)
		return false;
	f.width = at.width;
	if (!strcmp(name, "has"))
		has_at = at;
	else if (!strcmp(name, "units"))
		units_at = at;
	else if (!strcmp(name, "words"))
		words_at = at;
	else if (f.id)
		return add(f, at.offset);
	return true;
}

bool plain_read_tail(const char *text)
{
	struct plain_field f = {};

	return sscanf(text, "%d %u %u %u", &f.bit, &f.width, &f.id, &f.count) == 4 &&
	       f.bit >= 0 && f.bit < 64 && add(f, 0);
}

const struct plain_field *plain_field(unsigned int n)
{
	return n < n_fields ? &fields[n] : NULL;
}

static uint64_t get(const uint8_t *from, size_t width)
{
	uint64_t v = 0;

	memcpy(&v, from, width);
	return v;
}

static size_t addr_size(uint64_t has)
{
	return has >> ipv6_bit & 1 ? 16 : 4;
}

static bool is_there(const struct plain_field *f, uint64_t has)
{
	return f->bit >= 0 && has >> f->bit & 1;
}

static size_t length(const struct plain *p)
{
	size_t len = head_size + 2 * addr_size(p->has) + (p->words + 1) / 2 * UNIT;
	unsigned int i;

	for (i = 0; i < n_fields; i++)
		if (is_there(&fields[i], p->has))
			len += fields[i].width;
	return len;
}

size_t plain_decode(struct plain *p, const uint8_t *data, size_t len)
{
	const uint8_t *at = data + head_size;
	unsigned int i;

	if (!n_fields || len < head_size)
		return 0;
	memset(p, 0, sizeof(*p));
	p->has = get(data + has_at.offset, has_at.width);
	p->words = get(data + words_at.offset, words_at.width);
	if (p->words > PLAIN_WORDS || length(p) > len ||
	    length(p) != UNIT * get(data + units_at.offset, units_at.width))
		return 0;
	memcpy(p->addrs, at, 2 * addr_size(p->has));
	at += 2 * addr_size(p->has);
	memcpy(p->bitmap, at, p->words * sizeof(*p->bitmap));
	at += (p->words + 1) / 2 * UNIT;
	for (i = 0; i < n_fields; i++) {
		if (fields[i].bit < 0)
			p->value[fields[i].id] = get(data + offsets[i], fields[i].width);
		if (!is_there(&fields[i], p->has))
			continue;
		p->value[fields[i].id] = get(at, fields[i].width);
		at += fields[i].width;
	}
	return length(p);
}

size_t plain_encode(const struct plain *p, uint8_t *to)
{
	uint8_t *at = to + head_size;
	size_t len = length(p);
	uint64_t units = len / UNIT, words = p->words;
	unsigned int i;

	memset(to, 0, len);
	memcpy(to + has_at.offset, &p->has, has_at.width);
	memcpy(to + units_at.offset, &units, units_at.width);
	memcpy(to + words_at.offset, &words, words_at.width);
	memcpy(at, p->addrs, 2 * addr_size(p->has));
	at += 2 * addr_size(p->has);
	memcpy(at, p->bitmap, p->words * sizeof(*p->bitmap));
	at += (p->words + 1) / 2 * UNIT;
	for (i = 0; i < n_fields; i++) {
		if (fields[i].bit < 0)
			memcpy(to + offsets[i], &p->value[fields[i].id], fields[i].width);
		if (!is_there(&fields[i], p->has))
			continue;
		/* of no attribute: zero */
		if (fields[i].id)
			memcpy(at, &p->value[fields[i].id], fields[i].width);
		at += fields[i].width;
	}
	return len;
}
