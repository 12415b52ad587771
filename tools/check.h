/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: this machine, its kernel, the configuration.
 * Out: findings: what would keep a takeover from working, and what to do.
 * Looks only; changes nothing.
 */
#ifndef XFRMSYNC_TOOLS_CHECK_H
#define XFRMSYNC_TOOLS_CHECK_H

#include <jansson.h>

#include "conf.h"
#include "genl.h"

enum check_result { CHECK_OK, CHECK_WARN, CHECK_FAIL };

struct check {
	json_t *list;		/* of objects: check, result, text, hint */
	unsigned int failed, warned;
};

/*
 * A finding about @what: a text, and after a newline in it what to do.
 * CHECK_FAIL is for what keeps a takeover from working.
 */
void check_say(struct check *c, enum check_result result, const char *what,
	       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* check_kernel.c */
void check_kernel_config(struct check *c);
void check_kernel_capture(struct check *c, const struct genl_status *st);
void check_kernel_algorithms(struct check *c);
void check_kernel_xfrm(struct check *c);

/* check_tls.c */
void check_tls(struct check *c, const struct conf *conf);

/* check_spi.c */
void check_spi(struct check *c, const struct conf *conf);
/* status: the daemon's */
void check_spi_peers(struct check *c, const struct conf *conf,
		     const json_t *status);

/* check_peer.c */
void check_peers(struct check *c, const struct conf *conf);

#endif
