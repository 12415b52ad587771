/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: a record's attributes, unchecked.
 * Out: the record, where they are as the daemon sends them; all others are for the policy.
 * Process context; pure.
 */
#ifndef XFRMSYNC_PLAIN_H
#define XFRMSYNC_PLAIN_H

#include "restore.h"

bool xfrmsync_plain_parse(const struct nlattr *record,
			  struct xfrmsync_restore *r);

#endif
