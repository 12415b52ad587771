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
	/* of objects: check, result, text; hint, sas (of sa and why), policies */
	json_t *list;
	unsigned int failed, warned;
};

/*
 * A finding about @what: a text, and after a newline in it what to do.
 * CHECK_FAIL is for what keeps a takeover from working.
 */
void check_say(struct check *c, enum check_result result, const char *what,
	       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * An SA, or a policy, that the last finding is about; why: of its own, or NULL.
 * The first are printed, all of them are in JSON.
 */
void check_name_sa(struct check *c, const char *sa, const char *why);
void check_name_policy(struct check *c, const char *policy);

/* check_kernel.c: of SAs, those that the filter takes for the cluster's */
void check_kernel_config(struct check *c);
void check_kernel_capture(struct check *c, struct genl *g,
			  const struct genl_status *st,
			  const struct conf_filter *filter);
void check_kernel_algorithms(struct check *c);
void check_kernel_xfrm(struct check *c, const struct conf_filter *filter);

/* check_tls.c */
void check_tls(struct check *c, const struct conf *conf);

/* check_spi.c */
void check_spi(struct check *c, const struct conf *conf);
/* status: the daemon's */
void check_spi_peers(struct check *c, const struct conf *conf,
		     const json_t *status);

/* check_ike.c: of SAs, those of the configuration's filter */
void check_ike(struct check *c, const struct conf *conf);

/* check_peer.c */
void check_peers(struct check *c, const struct conf *conf);

#endif
