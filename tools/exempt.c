// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs outside of the filters, which are not the cluster's.
 * Out: the module's word that its fence lets them pass.
 * The daemon's loop; asks the kernel, and waits for its answer.
 */
#include <errno.h>

#include "bindings.h"
#include "daemon.h"
#include "log.h"

struct found {
	struct daemon *d;
	struct bindings list;
	size_t leased;		/* that a peer may take over with */
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

static int collect(const struct record *rec, void *data)
{
	struct found *f = data;
	struct record other;

	if (!is_wrong(f->d, rec))
		return 0;
	other = *rec;
	other.flags ^= XFRMSYNC_RECORD_F_UNMANAGED;
	f->leased += other.flags & XFRMSYNC_RECORD_F_UNMANAGED && rec->lease_end &&
		     rec->flags & XFRMSYNC_RECORD_F_SHARED;
	/* No active will tell it. */
	if (other.flags & XFRMSYNC_RECORD_F_UNMANAGED &&
	    other.flags & XFRMSYNC_RECORD_F_UNTOLD)
		other.flags &= ~XFRMSYNC_RECORD_F_FENCED;
	return bindings_add(&f->list, &other);
}

static void tell(struct found *f)
{
	int ret = bindings_put(&f->d->req, &f->list,
			       "cannot be let through the fence, or held by it");

	if (ret && ret != -EINVAL)
		log_warn("cannot tell the module which SAs are not the cluster's: %s",
			 f->d->req.error);
	if (f->leased)
		log_warn("%zu SAs that peers were told of are not the cluster's any more: they stop at the ends of their leases, where a peer may go on, until they are rekeyed or made anew",
			 f->leased);
	bindings_free(&f->list);
}

void exempt_record(struct daemon *d, const struct record *rec)
{
	struct found f = { .d = d };

	if (!collect(rec, &f))
		tell(&f);
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

void exempt_all(struct daemon *d)
{
	struct found f = { .d = d };

	d->exempt_due = false;
	if (genl_dump(&d->req, collect, &f))
		log_warn("cannot list the SAs: %s", d->req.error);
	tell(&f);
}
