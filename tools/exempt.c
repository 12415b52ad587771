// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs outside of the filters, which are not the cluster's.
 * Out: the module's word that its fence lets them pass.
 * The daemon's loop; asks the kernel, and waits for its answer.
 */
#include <stdlib.h>

#include "daemon.h"
#include "log.h"

struct found {
	struct daemon *d;
	struct record *rec;
	size_t n, room;
};

static bool is_wrong(const struct daemon *d, const struct record *rec)
{
	bool managed = conf_filter_match(&d->conf.filter, rec->id.family,
					 rec->src, rec->id.dst, rec->reqid,
					 rec->if_id, rec->id.mark,
					 rec->id.mark_mask);

	return managed == !!(rec->flags & XFRMSYNC_RECORD_F_UNMANAGED) &&
	       !(rec->flags & XFRMSYNC_RECORD_F_LARVAL);
}

static void tell(struct daemon *d, struct record *rec, size_t n)
{
	static struct genl_result res[XFRMSYNC_MAX_BATCH];

	char name[128];
	size_t i;

	/* Its tag and its lease stay as they are. */
	for (i = 0; i < n; i++) {
		rec[i].flags ^= XFRMSYNC_RECORD_F_UNMANAGED;
		rec[i].flags &= ~XFRMSYNC_RECORD_F_SHARED;
	}
	if (genl_bind(&d->req, rec, n, res)) {
		log_warn("cannot tell the module which SAs are not the cluster's: %s",
			 d->req.error);
		return;
	}
	for (i = 0; i < n; i++) {
		if (res[i].reason && res[i].reason != XFRMSYNC_REASON_NO_SA &&
		    res[i].reason != XFRMSYNC_REASON_COOKIE)
			log_warn("%s: cannot be let through the fence: %s",
				 sa_id_str(&rec[i].id, name, sizeof(name)),
				 genl_reason_str(res[i].reason));
	}
}

void exempt_record(struct daemon *d, const struct record *rec)
{
	static struct record one;

	if (!is_wrong(d, rec))
		return;
	one = *rec;
	tell(d, &one, 1);
}

void exempt_event(struct daemon *d, const struct sa_id *id)
{
	static struct record rec;

	if (cache_find(&d->cache, id))
		return;
	/* XFRM tells us before it tells the module, maybe. */
	if (genl_get(&d->req, id, &rec))
		apply_exempt_later(d);
	else
		exempt_record(d, &rec);
}

static int collect(const struct record *rec, void *data)
{
	struct found *f = data;
	struct record *more;

	if (!is_wrong(f->d, rec))
		return 0;
	if (f->n == f->room) {
		more = reallocarray(f->rec, f->room + XFRMSYNC_MAX_BATCH,
				    sizeof(*more));
		if (!more)
			return -1;
		f->rec = more;
		f->room += XFRMSYNC_MAX_BATCH;
	}
	f->rec[f->n++] = *rec;
	return 0;
}

void exempt_all(struct daemon *d)
{
	struct found f = { .d = d };
	size_t i, n;

	d->exempt_due = false;
	if (genl_dump(&d->req, collect, &f))
		log_warn("cannot list the SAs: %s", d->req.error);
	for (i = 0; i < f.n; i += n) {
		n = f.n - i < XFRMSYNC_MAX_BATCH ? f.n - i : XFRMSYNC_MAX_BATCH;
		tell(d, f.rec + i, n);
	}
	free(f.rec);
}
