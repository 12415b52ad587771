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

/* Its counter was raised by another node's word, and it was not used since. */
static bool is_raised(const struct record *k)
{
	if (k->flags & XFRMSYNC_RECORD_F_FENCED)
		return false;
	/* With a range of its own, past all that was sent; or never sent on. */
	return k->flags & XFRMSYNC_RECORD_F_RESTORED &&
	       (k->lease_end > k->oseq || !k->oseq);
}

const char READY_OPTIONAL[] = "its policy's template is optional (level use): while it is stopped, its traffic leaves in clear";
const char READY_PACKET_OFFLOAD[] = "packet offload: its NIC alone knows its numbers";
const char READY_NO_HOOK[] = "no packet hook: nothing stops it at a lease's end, and what it accepts is told late";

static const char UNTOLD[] = "it came to this node while another one was active, which did not tell it: that one may have sent with it";
static const char FENCED[] = "it is fenced here: it was not safe before";
static const char BEHIND[] = "its counters here may be behind what another node used";

const char *ready_why_not_raised(const struct record *k, bool outdated)
{
	if (k->flags & XFRMSYNC_RECORD_F_UNTOLD)
		return UNTOLD;
	if (k->flags & XFRMSYNC_RECORD_F_FENCED)
		return FENCED;
	return !outdated && is_raised(k) ? NULL : BEHIND;
}

bool ready_is_managed(const struct conf_filter *f, const struct record *k)
{
	return !(k->flags & (XFRMSYNC_RECORD_F_LARVAL |
			     XFRMSYNC_RECORD_F_UNMANAGED)) &&
	       conf_filter_match(f, k->id.family, k->src, k->id.dst, k->reqid,
				 k->if_id, k->id.mark, k->id.mark_mask);
}

/* This node follows no active, and was not filled since another was one. */
static const char *why_alone(const struct daemon *d, const struct record *k)
{
	const char *why = ready_why_not_raised(k, d->st.outdated);

	if (why == BEHIND && !d->st.outdated && k->tag &&
	    k->dir == XFRMSYNC_DIR_IN)
		return NULL;
	return why;
}

static const char *why_policy(const struct daemon *d,
			      const struct cache_entry *e)
{
	const struct cache_policy *p = cache_lacks_policy(&d->cache, &e->info);

	if (!p)
		return NULL;
	if (p->joined)
		return "the map makes one of two policies of which one uses it: see the log";
	return p->refused ? "the context of a policy that uses it, or may use it, is not understood here: see the log" :
	       "a policy that uses it could not be created here, or differs from this node's own";
}

const char *ready_why_entry(const struct daemon *d, const struct cache_entry *e)
{
	const char *why;

	if (e->unsafe)
		return e->unsafe;
	if (cache_lets_plaintext(&d->cache, &e->info))
		return READY_OPTIONAL;
	why = role_is_active(d) ? NULL : why_policy(d, e);
	if (why)
		return why;
	if (e->applied == CACHE_FAILED && !role_is_active(d))
		return "it could not be created or restored here";
	if (e->applied == CACHE_UNSUPPORTED && !role_is_active(d))
		return "this node's kernel does not support its kind: see the log";
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
	const char *why = NULL;

	if (!ready_is_managed(&d->conf.filter, k) || role_is_active(d) || role_is_owner(d) ||
	    !d->st.epoch)
		return NULL;
	if (!d->synced)
		return why_alone(d, k);
	e = cache_find((struct cache *)&d->cache, &k->id);
	/* Else it was this node's own before there was an active: another SA, or
	 * one that the active does not know.
	 */
	if (e && e->applied == CACHE_CONFLICT)
		e = NULL;
	if (e)
		why = ready_why_entry(d, e);
	if (!why && k->flags & XFRMSYNC_RECORD_F_UNTOLD)
		return UNTOLD;
	/* Nobody tells it, so nothing has let it go (apply.c, fence_hidden()). */
	return !why && !e && k->flags & XFRMSYNC_RECORD_F_FENCED ? FENCED : why;
}

struct walk {
	struct daemon *d;
	ready_fn *fn;
	void *data;
};

static int look(const struct record *k, void *data)
{
	struct walk *w = data;

	if (!ready_is_managed(&w->d->conf.filter, k))
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

struct sorted {
	struct bindings list;
	size_t unsafe;
};

/* What came to this node while nobody was active after it, is its own. */
static int keep_unsafe(const struct record *k, struct cache_entry *e,
		       const char *why, void *data)
{
	struct sorted *s = data;
	char name[128];

	(void)e;
	if (!why)
		return k->flags & XFRMSYNC_RECORD_F_UNTOLD ?
		       bindings_fence(&s->list, k, false) : 0;
	if (s->unsafe < NAMED)
		log_warn("%s: %s: fenced until it is rekeyed",
			 sa_id_str(&k->id, name, sizeof(name)), why);
	else if (s->unsafe == NAMED)
		log_warn("... and more SAs: see status");
	s->unsafe++;
	return bindings_fence(&s->list, k, true);
}

/* Nothing to look for where this node is in step and nothing stands out. */
static bool all_safe(const struct daemon *d)
{
	return role_is_owner(d) || !d->st.epoch ||
	       (d->synced && !d->cache.n_unsafe && !d->cache.n_optional &&
		!d->cache.n_unready && !d->applied[CACHE_FAILED] &&
		!d->applied[CACHE_REFUSED]);
}

bool ready_untold(struct daemon *d)
{
	struct genl_status st;

	return genl_status_get(&d->req, &st) || st.untold;
}

int ready_fence(struct daemon *d, size_t *n)
{
	struct sorted s = {};
	int ret;

	*n = 0;
	if (all_safe(d) && !ready_untold(d))
		return 0;
	ret = ready_each(d, keep_unsafe, &s);
	if (!ret)
		ret = bindings_put(&d->req, &s.list, "cannot be fenced");
	*n = s.unsafe;
	bindings_free(&s.list);
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
	return bindings_fence(list, k, false);
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

static int keep_untold(const struct record *k, struct cache_entry *e,
		       const char *why, void *data)
{
	(void)e;
	(void)why;
	return k->flags & XFRMSYNC_RECORD_F_UNTOLD ?
	       bindings_fence(data, k, false) : 0;
}

int ready_own(struct daemon *d)
{
	struct bindings list = {};
	int ret;

	if (!ready_untold(d))
		return 0;
	ret = ready_each(d, keep_untold, &list);
	if (!ret)
		ret = bindings_put(&d->req, &list, "cannot be let go");
	bindings_free(&list);
	return ret;
}
