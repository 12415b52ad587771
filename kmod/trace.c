// SPDX-License-Identifier: GPL-2.0
/*
 * In: what happens to SAs and records.
 * Out: tracepoints (events/xfrmsync), free while nobody looks.
 * Any context.
 */
#include <linux/types.h>
#include "pernet.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
