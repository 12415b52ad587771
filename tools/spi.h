/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a range of SPIs, and a protocol.
 * Out: SPIs of it to try, none twice; whether two ranges overlap.
 * Pure.
 */
#ifndef XFRMSYNC_TOOLS_SPI_H
#define XFRMSYNC_TOOLS_SPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPI_MIN 0x100		/* RFC 4303, 2.1: those below are reserved */
#define SPI_TRIES 4096

/* Both ends belong to it, host order; all zero: there is none. */
struct spi_range {
	uint32_t min, max;
};

static inline bool spi_range_is_set(const struct spi_range *r)
{
	return r->max;
}

bool spi_range_overlap(const struct spi_range *a, const struct spi_range *b);
bool spi_range_within(const struct spi_range *in, const struct spi_range *out);
/* "0xMIN-0xMAX", "none" into buf; returns buf. */
const char *spi_range_str(const struct spi_range *r, char *buf, size_t size);
/* The inverse, of decimal numbers or 0x...; false: it is no range of SPIs. */
bool spi_range_parse(const char *text, struct spi_range *r);

/* A walk through a range from a random place on. */
struct spi_search {
	struct spi_range range;
	uint32_t at, left;
};

/* Without a range: all that there are. A CPI (IPComp) has 16 bits. */
void spi_search_begin(struct spi_search *s, const struct spi_range *r,
		      uint8_t proto);
/* False: all of them were tried, or SPI_TRIES. @spi: network order */
bool spi_search_next(struct spi_search *s, uint32_t *spi);

#endif
