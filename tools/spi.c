// SPDX-License-Identifier: GPL-2.0
/*
 * In: a range of SPIs, and a protocol.
 * Out: SPIs of it to try, none twice; whether two ranges overlap.
 * Pure.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "spi.h"

#define CPI_MAX 0xffff

bool spi_range_overlap(const struct spi_range *a, const struct spi_range *b)
{
	return spi_range_is_set(a) && spi_range_is_set(b) &&
	       a->min <= b->max && b->min <= a->max;
}

bool spi_range_within(const struct spi_range *in, const struct spi_range *out)
{
	return in->min >= out->min && in->max <= out->max;
}

const char *spi_range_str(const struct spi_range *r, char *buf, size_t size)
{
	if (spi_range_is_set(r))
		snprintf(buf, size, "0x%08x-0x%08x", r->min, r->max);
	else
		snprintf(buf, size, "none");
	return buf;
}

/* Up to end; strtoul alone takes signs, blanks and octal. */
static bool number(const char *text, const char **end, uint32_t *v)
{
	int base = !strncasecmp(text, "0x", 2) ? 16 : 10;
	unsigned long long n;
	char *rest;

	if (base == 16)
		text += 2;
	if (!isxdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &rest, base);
	*end = rest;
	*v = n;
	return !errno && n <= UINT32_MAX;
}

bool spi_range_parse(const char *text, struct spi_range *r)
{
	if (!number(text, &text, &r->min) || *text++ != '-' ||
	    !number(text, &text, &r->max))
		return false;
	return !*text && r->min >= SPI_MIN && r->max >= r->min;
}

void spi_search_begin(struct spi_search *s, const struct spi_range *r,
		      uint8_t proto)
{
	uint32_t max = proto == IPPROTO_COMP ? CPI_MAX : UINT32_MAX, n;

	s->range = (struct spi_range){ SPI_MIN, max };
	/* A range that has no CPI in it is of the others. */
	if (spi_range_is_set(r) && r->min <= max) {
		s->range.min = r->min;
		s->range.max = r->max < max ? r->max : max;
	}
	n = s->range.max - s->range.min + 1;
	s->left = n < SPI_TRIES ? n : SPI_TRIES;
	s->at = s->range.min + randombytes_uniform(n);
}

bool spi_search_next(struct spi_search *s, uint32_t *spi)
{
	if (!s->left)
		return false;
	s->left--;
	*spi = htonl(s->at);
	s->at = s->at == s->range.max ? s->range.min : s->at + 1;
	return true;
}
