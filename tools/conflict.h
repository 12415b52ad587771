/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: an SA that another one of this kernel keeps out: it has its SPI.
 * Out: both by name; the SA of the other direction; a free SPI.
 * Any process of the tool; asks the kernel for the SPI only.
 */
#ifndef XFRMSYNC_TOOLS_CONFLICT_H
#define XFRMSYNC_TOOLS_CONFLICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <jansson.h>

#include "context.h"
#include "spi.h"
#include "xfrm.h"

/* "esp 192.0.2.1 spi 0x00001000 from 192.0.2.2, reqid 1, tunnel"; returns buf. */
const char *conflict_sa_str(const struct context_sa *sa, char *buf, size_t size);
/* {"sa": its name, "proto", "src", "dst", "spi", "reqid", "mode", ...} */
json_t *conflict_sa_json(const struct context_sa *sa);

/* The same of an SA that has another SPI here, with "event" and "new_spi". */
json_t *conflict_new_spi_json(const struct context_sa *from,
			      const struct context_sa *sa);
/* Of one of these objects: a line. */
void conflict_print(FILE *out, const json_t *o);

/* The other direction of the same tunnel: rekeying it rekeys both. */
bool conflict_is_other_way(const struct context_sa *a,
			   const struct context_sa *b);

/* What is known of an SA's direction by the policies that use it. */
struct conflict_uses {
	bool in, out;
};

void conflict_note_policy(struct conflict_uses *u,
			  const struct context_policy *pol,
			  const struct context_sa *sa);
/* Known to be inbound: by itself, or by its policies. */
bool conflict_is_inbound(const struct context_sa *sa,
			 const struct conflict_uses *u);

/* The next SPI of the walk that no SA of this kernel has, as that one would. */
bool conflict_free_spi(struct xfrm *x, const struct context_sa *sa,
		       struct spi_search *s, uint32_t *spi);

#endif
