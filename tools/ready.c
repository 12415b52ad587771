// SPDX-License-Identifier: GPL-2.0
/*
 * In: what this node knows of an SA, and what its kernel says of it.
 * Out: whether it may be used after a takeover, and if not, why.
 * The daemon's loop; asks the kernel, and waits for its answer.
 *
 * A takeover uses the safe ones. The others are fenced one by one in the module,
 * which asks their key manager for a rekey as soon as the node is active. They
 * stay so until they are replaced, or until the operator forces their use.
 */
#include "bindings.h"
#include "daemon.h"
#include "log.h"

bool ready_is_raised(const struct record *k)
{
	if (k->flags & XFRMSYNC_RECORD_F_FENCED)
		return false;
	/* With a range of its own, past all that was sent; or never sent on. */
	return k->flags & XFRMSYNC_RECORD_F_RESTORED &&
	       (k->lease_end > k->oseq || !k->oseq);
}

static bool is_managed(const struct daemon *d, const struct record *k)
{
	return !(k->flags & (XFRMSYNC_RECORD_F_LARVAL |
			     XFRMSYNC_RECORD_F_UNMANAGED)) &&
	       conf_filter_match(&d->conf.filter, k->id.family, k->src,
				 k->id.dst, k->reqid, k->if_id, k->id.mark,
				 k->id.mark_mask);
}

/* This node follows no active, and was not filled since another was one. */
static const char *why_alone(const struct daemon *d, const struct record *k)
{
	if (k->flags & XFRMSYNC_RECORD_F_FENCED)
		return "it is fenced here: it was not safe before";
	if (!d->st.outdated && (ready_is_raised(k) ||
			     (k->tag && k->dir == XFRMSYNC_DIR_IN)))
		return NULL;
	return "its counters here may be behind what another node used";
}

const char *ready_why_entry(const struct daemon *d, const struct cache_entry *e)
{
	if (e->unsafe)
		return e->unsafe;
	if (cache_lets_plaintext(&d->cache, &e->info))
		return "its policy's template is optional (level use): while it is stopped, its traffic leaves in clear";
	if (e->applied == CACHE_FAILED && !role_is_active(d))
		return "it could not be created or restored here";
	if (e->applied == CACHE_REFUSED && !role_is_active(d))
		return "its context is not understood here: see the log";
	return NULL;
}

/*
 * Where nobody was active after this node, in this boot, its own counters are
 * the newest. A standby in step stands past all that was sent, but for what it
 * could not raise. In between each SA is looked at: what a boot script or an IKE
 * daemon installed anew may have the keys of one that another node used.
 */
const char *ready_why(const struct daemon *d, const struct record *k)
{
	const struct cache_entry *e;

	if (!is_managed(d, k) || role_is_active(d) || role_is_owner(d) ||
	    !d->st.epoch)
		return NULL;
	if (!d->synced)
		return why_alone(d, k);
	e = cache_find((struct cache *)&d->cache, &k->id);
	/* This node's own: another SA, or one that the active does not know. */
	if (!e || e->applied == CACHE_CONFLICT)
		return NULL;
	return ready_why_entry(d, e);
}

struct walk {
	struct daemon *d;
	ready_fn *fn;
	void *data;
};

static int look(const struct record *k, void *data)
{
	struct walk *w = data;

	if (!is_managed(w->d, k))
		return 0;
	return w->fn(k, cache_find(&w->d->cache, &k->id), ready_why(w->d, k),
		     w->data);
}

int ready_each(struct daemon *d, ready_fn *fn, void *data)
{
	struct walk w = { .d = d, .fn = fn, .data = data };

	return genl_dump(&d->req, look, &w);
}

/* ---- one by one, fenced or let go ---- */

#define NAMED 20	/* in the log; status names more */

static int keep(const struct record *k, bool fenced, struct bindings *list)
{
	struct record other = *k;

	other.flags &= ~XFRMSYNC_RECORD_F_FENCED;
	other.flags |= fenced ? XFRMSYNC_RECORD_F_FENCED : 0;
	return bindings_add(list, &other);
}

static int keep_unsafe(const struct record *k, struct cache_entry *e,
		       const char *why, void *data)
{
	struct bindings *list = data;
	char name[128];

	(void)e;
	if (!why)
		return 0;
	if (list->n < NAMED)
		log_warn("%s: %s: fenced until it is rekeyed",
			 sa_id_str(&k->id, name, sizeof(name)), why);
	else if (list->n == NAMED)
		log_warn("... and more SAs: see status");
	return keep(k, true, list);
}

/* Nothing to look for where this node is in step and nothing stands out. */
static bool all_safe(const struct daemon *d)
{
	return role_is_owner(d) || !d->st.epoch ||
	       (d->synced && !d->cache.n_unsafe && !d->cache.n_optional &&
		!d->applied[CACHE_FAILED] && !d->applied[CACHE_REFUSED]);
}

int ready_fence(struct daemon *d, size_t *n)
{
	struct bindings list = {};
	int ret;

	*n = 0;
	if (all_safe(d))
		return 0;
	ret = ready_each(d, keep_unsafe, &list);
	if (!ret)
		ret = bindings_put(&d->req, &list, "cannot be fenced");
	*n = list.n;
	bindings_free(&list);
	return ret;
}

static int keep_fenced(const struct record *k, struct cache_entry *e,
		       const char *why, void *data)
{
	struct bindings *list = data;

	(void)why;
	if (!(k->flags & XFRMSYNC_RECORD_F_FENCED))
		return 0;
	if (e)
		e->rec.flags &= ~XFRMSYNC_RECORD_F_FENCED;
	return keep(k, false, list);
}

int ready_release(struct daemon *d, size_t *n)
{
	struct bindings list = {};
	int ret = ready_each(d, keep_fenced, &list);

	if (!ret)
		ret = bindings_put(&d->req, &list, "cannot be let go");
	*n = list.n;
	bindings_free(&list);
	return ret;
}
