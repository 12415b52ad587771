// SPDX-License-Identifier: GPL-2.0
/*
 * In: records of this kernel whose flags, limits or windows shall be others.
 * Out: the module's word on each; one line for each that it refuses.
 * Blocks on the kernel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../kmod/window.h"
#include "bindings.h"
#include "log.h"

int bindings_add(struct bindings *b, const struct record *rec)
{
	size_t room = b->room ? 2 * b->room : 64;
	struct record *more;

	if (b->n == b->room) {
		more = reallocarray(b->rec, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		b->rec = more;
		b->room = room;
	}
	b->rec[b->n] = *rec;
	/* Who binds gives what he asks for, and no more: with a lease comes what is
	 * done at its end, and it may be a longer one by now.
	 */
	b->rec[b->n].lease_end = 0;
	b->rec[b->n].given_end = 0;
	b->rec[b->n++].flags &= ~XFRMSYNC_RECORD_F_SHARED;
	return 0;
}

int bindings_fence(struct bindings *b, const struct record *rec, bool fenced)
{
	struct record other = *rec;

	other.flags &= ~XFRMSYNC_RECORD_F_FENCED;
	other.flags |= fenced ? XFRMSYNC_RECORD_F_FENCED : 0;
	return bindings_add(b, &other);
}

/* What is gone, or another SA by now, or has ended, needs it no more. */
static bool is_void(uint32_t reason)
{
	return reason == XFRMSYNC_REASON_NO_SA ||
	       reason == XFRMSYNC_REASON_COOKIE ||
	       reason == XFRMSYNC_REASON_TAG || reason == XFRMSYNC_REASON_STATE;
}

static int report(const struct bindings *b, const struct genl_result *res,
		  const char *what)
{
	char name[128];
	int ret = 0;
	size_t i;

	for (i = 0; i < b->n; i++) {
		if (!res[i].reason || is_void(res[i].reason))
			continue;
		log_err("%s: %s: %s",
			sa_id_str(&b->rec[i].id, name, sizeof(name)), what,
			genl_reason_str(res[i].reason));
		ret = -EINVAL;
	}
	return ret;
}

int bindings_put(struct genl *g, struct bindings *b, const char *what)
{
	struct genl_result *res;
	int ret;

	if (!b->n)
		return 0;
	res = calloc(b->n, sizeof(*res));
	if (!res)
		return -ENOMEM;
	ret = genl_bind(g, b->rec, b->n, res) ?: report(b, res, what);
	free(res);
	return ret;
}

int bindings_fill(struct bindings *b, const struct record *rec)
{
	struct record r = *rec;
	struct xfrmsync_window w = {
		.seq = r.seq, .size = r.window, .bmp = r.bmp,
		.ring = r.flags & XFRMSYNC_RECORD_F_BMP,
	};

	if (!r.window || !r.seq || !r.tag || r.dir == XFRMSYNC_DIR_OUT)
		return 0;
	xfrmsync_window_fill(&w, r.seq);
	r.cookie = 0;
	r.restore_flags = XFRMSYNC_RESTORE_F_MERGE;
	return bindings_add(b, &r);
}

int bindings_merge(struct genl *g, uint64_t epoch, uint32_t node,
		   const struct bindings *b)
{
	struct genl_result *res;
	int ret;

	if (!b->n)
		return 0;
	res = calloc(b->n, sizeof(*res));
	if (!res)
		return -ENOMEM;
	ret = genl_restore(g, epoch, node, b->rec, b->n, res) ?:
	      report(b, res, "its window cannot be filled");
	free(res);
	return ret;
}

void bindings_free(struct bindings *b)
{
	free(b->rec);
	memset(b, 0, sizeof(*b));
}
