// SPDX-License-Identifier: GPL-2.0
/*
 * In: a gateway's old outer address, and its new one.
 * Out: its SAs and policies under the new one; what was not moved, and why.
 * The daemon's loop, or a verb where no daemon runs; asks the kernel, and waits.
 *
 * Whatever cannot be moved is found before anything is touched. Then all of them
 * are stopped, which XFRM_MSG_MIGRATE does not do: it clones the counters, and
 * packets that the old SA protects until it is deleted have the numbers that the
 * clone uses next. Policies follow last, when the new SAs have their limits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/xfrm.h>

#include "bindings.h"
#include "context_fields.h"
#include "migrate.h"

#define FOLLOW_TRIES 5000	/* until the module follows a clone */
#define BACK_TRIES 5
#define SA_ID_LEN (FIELD_HEADER + 44)	/* the first field of an SA */

struct move {
	struct record rec;	/* before; stopped: at its last number */
	struct buf was, is;	/* contexts, with keys */
	struct context_sa info, next;
	bool made;		/* it stands, and is not bound yet */
	bool back;		/* under its old name, made anew */
};

struct moves {
	struct migrate *m;
	struct bindings list;
	struct move *move;
	size_t n;
};

static const char *name_of(const struct sa_id *id)
{
	static char name[128];

	return sa_id_str(id, name, sizeof(name));
}

static void failed(struct migrate *m, const char *name, const char *why)
{
	json_array_append_new(m->failed, json_pack("{s:s, s:s}", "name", name,
						   "error", why));
}

static int nothing(struct migrate *m, const char *why)
{
	snprintf(m->error, sizeof(m->error), "%s: nothing was moved", why);
	return -1;
}

/* ---- which, and whether they can be ---- */

/* With all its flags, and what was given out, which a binding has not. */
static int keep_all(struct bindings *b, const struct record *r)
{
	int ret = bindings_add(b, r);

	if (!ret)
		b->rec[b->n - 1] = *r;
	return ret;
}

static int keep(const struct record *r, void *data)
{
	struct moves *l = data;

	if (r->flags & XFRMSYNC_RECORD_F_LARVAL ||
	    !map_has(&l->m->map, r->id.family, r->src, r->id.dst))
		return 0;
	return keep_all(&l->list, r);
}

/* Those that name more XFRM moves first: what is not named, is any. */
static int order(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (!x->reqid != !y->reqid)
		return x->reqid ? -1 : 1;
	return x->if_id < y->if_id ? 1 : x->if_id > y->if_id ? -1 : 0;
}

/* An SA that is moved too makes room for it. */
static bool is_taken(struct moves *l, const struct move *one)
{
	struct buf other = {};
	bool taken;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (&l->move[i] != one &&
		    sa_id_equal(&l->move[i].next.id, &one->next.id))
			return true;
	}
	if (sa_id_equal(&one->info.id, &one->next.id))
		return false;
	taken = !xfrm_look_up_sa(l->m->x, &one->next.id, &other);
	buf_free(&other);
	return taken;
}

static int look_at(struct migrate *m, struct move *one)
{
	struct field_error why = {};
	const struct sa_id *id = &one->rec.id;
	char text[160];

	if (xfrm_get_sa(m->x, id, &one->was)) {
		failed(m, name_of(id), m->x->error);
		return -1;
	}
	buf_put(&one->is, one->was.data, one->was.len);
	if (one->is.bad) {
		failed(m, name_of(id), "out of memory");
		return -1;
	}
	map_context(&m->map, one->is.data, one->is.len);
	if (context_sa_info(one->was.data, one->was.len, &one->info, &why) ||
	    context_sa_info(one->is.data, one->is.len, &one->next, &why)) {
		failed(m, name_of(id), context_error_str(&why, text, sizeof(text)));
		return -1;
	}
	if (map_joins(&m->map, id->family, one->info.src, id->dst)) {
		failed(m, name_of(id), "both its ends would have one address");
		return -1;
	}
	return 0;
}

/* ---- which policies ---- */

/* A policy of the kernel, and the name that it has behind the map. */
struct policy_name {
	uint8_t key[CONTEXT_KEY_MAX];
	size_t len;
	size_t at;		/* its context in the list; or */
#define STAYS SIZE_MAX
};

struct policies {
	struct migrate *m;
	struct buf list;	/* u32 length, context, ...: those that move */
	struct policy_name *name;	/* of all */
	size_t n, room;
};

static int keep_name(struct policies *l, const uint8_t *p, size_t len, size_t at)
{
	size_t room = l->room ? 2 * l->room : 64;
	struct context_policy info;
	struct policy_name *more;

	/* What this cannot read, it does not move either. */
	if (context_policy_info(p, len, &info, NULL))
		return 0;
	if (l->n == l->room) {
		more = reallocarray(l->name, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->name = more;
		l->room = room;
	}
	l->name[l->n].len = info.key_len;
	memcpy(l->name[l->n].key, info.key, sizeof(info.key));
	l->name[l->n++].at = at;
	return 0;
}

static int keep_policy(const uint8_t *p, size_t len, void *data)
{
	struct policies *l = data;
	struct context_policy info;
	size_t at = l->list.len;
	struct buf is = {};
	int ret;

	buf_put(&is, p, len);
	if (is.bad)
		return -ENOMEM;
	map_context(&l->m->map, is.data, is.len);
	/* Without a template it protects nothing: whose it is, nobody knows. */
	if (memcmp(is.data, p, len) &&
	    !context_policy_info(p, len, &info, NULL) && info.templates) {
		buf_u32(&l->list, len);
		buf_put(&l->list, p, len);
		ret = keep_name(l, is.data, is.len, at);
	} else {
		ret = keep_name(l, p, len, STAYS);
	}
	buf_free(&is);
	return ret ? ret : l->list.bad ? -ENOMEM : 0;
}

static void free_policies(struct policies *l)
{
	buf_free(&l->list);
	free(l->name);
}

static int list_policies(struct policies *l)
{
	int ret;

	do {
		buf_clear(&l->list);
		l->n = 0;
		ret = xfrm_dump_policies(l->m->x, keep_policy, l);
	} while (ret == -EINTR);
	if (ret)
		failed(l->m, "policies", l->m->x->error);
	return ret;
}

static int by_key(const void *a, const void *b)
{
	const struct policy_name *x = a, *y = b;

	return context_key_cmp(x->key, x->len, y->key, y->len);
}

/* One that moves, and another one with the name that it would get. */
static void has_another(struct policies *l, const struct policy_name *one)
{
	struct rd r = { .p = l->list.data, .left = l->list.len };
	struct context_policy info;
	uint32_t len;
	const uint8_t *p;

	if (one->at == STAYS)
		return;
	rd_bytes(&r, one->at);
	len = rd_u32(&r);
	p = rd_bytes(&r, len);
	if (p && !context_policy_info(p, len, &info, NULL))
		failed(l->m, context_policy_name(&info),
		       "another policy has the name that it would get");
}

/* The kernel has room for one of a name: SAs that moved would be left without. */
static void look_at_policies(struct migrate *m)
{
	struct policies l = { .m = m };
	size_t i;

	if (!list_policies(&l) && l.n) {
		qsort(l.name, l.n, sizeof(*l.name), by_key);
		for (i = 0; i < l.n; i++) {
			if ((i && !by_key(&l.name[i - 1], &l.name[i])) ||
			    (i + 1 < l.n && !by_key(&l.name[i], &l.name[i + 1])))
				has_another(&l, &l.name[i]);
		}
	}
	free_policies(&l);
}

static int look_at_all(struct moves *l)
{
	struct migrate *m = l->m;
	size_t i;

	l->n = l->list.n;
	l->move = calloc(l->n + 1, sizeof(*l->move));
	if (!l->move)
		return nothing(m, "out of memory");
	if (l->n)
		qsort(l->list.rec, l->n, sizeof(*l->list.rec), order);
	for (i = 0; i < l->n; i++) {
		l->move[i].rec = l->list.rec[i];
		look_at(m, &l->move[i]);
	}
	for (i = 0; i < l->n && !json_array_size(m->failed); i++) {
		if (is_taken(l, &l->move[i]))
			failed(m, name_of(&l->move[i].info.id),
			       "another SA has the name that it would get");
	}
	look_at_policies(m);
	return json_array_size(m->failed) ?
	       nothing(m, "some cannot be moved") : 0;
}

/* ---- stopped ---- */

/* Those that this stops; what was stopped before stays so, moved or not. */
static int fence(struct moves *l, bool fenced)
{
	struct bindings list = {};
	size_t i;
	int ret = 0;

	for (i = 0; i < l->n && !ret; i++) {
		if (!l->move[i].made &&
		    !(l->move[i].rec.flags & XFRMSYNC_RECORD_F_FENCED))
			ret = bindings_fence(&list, &l->move[i].rec, fenced);
	}
	if (!ret)
		ret = bindings_put(l->m->g, &list, fenced ? "cannot be stopped" :
				   "cannot be let go");
	bindings_free(&list);
	return ret;
}

static int stop_all(struct moves *l)
{
	struct record k;
	size_t i;

	if (fence(l, true))
		return nothing(l->m, "the SAs cannot be stopped");
	for (i = 0; i < l->n; i++) {
		struct record *r = &l->move[i].rec;
		uint32_t was = r->flags & XFRMSYNC_RECORD_F_FENCED;

		if (genl_get(l->m->g, &r->id, &k) || k.cookie != r->cookie)
			return nothing(l->m, "an SA was replaced meanwhile");
		*r = k;
		r->flags = (k.flags & ~XFRMSYNC_RECORD_F_FENCED) | was;
	}
	return 0;
}

/* Those that still have their old name. */
static void let_go(struct moves *l)
{
	if (fence(l, false))
		failed(l->m, "SAs", "they stay stopped: takeover --force-unsafe lets them go");
}

/* ---- moved ---- */

/*
 * XFRM_MSG_MIGRATE changes end points alone. And it makes a clone before that has the
 * new ones: for an IPComp tunnel it so finds, or makes, the inner SA (IPIP) of the old
 * ones, and what comes uncompressed from the new ones has none.
 */
static bool has_more(const struct move *one)
{
	if (one->info.id.proto == IPPROTO_COMP &&
	    one->info.mode == XFRM_MODE_TUNNEL)
		return true;
	return one->was.len != one->is.len ||
	       memcmp(one->was.data + SA_ID_LEN, one->is.data + SA_ID_LEN,
		      one->is.len - SA_ID_LEN);
}

static int make(struct migrate *m, struct move *one)
{
	int ret = xfrm_add_sa(m->x, one->is.data, one->is.len, &one->rec);

	one->made = !ret;
	if (ret)
		failed(m, name_of(&one->info.id), m->x->error);
	return ret;
}

/* Both are there for a moment, and the old one is stopped. */
static void make_beside(struct migrate *m, struct move *one)
{
	if (make(m, one))
		return;
	if (xfrm_delete_sa(m->x, &one->info.id))
		failed(m, name_of(&one->info.id),
		       "its old one cannot be deleted, and stays stopped");
}

/*
 * XFRM has room for one of a name: of an SA to the peer, of which our address is the
 * source, the old one goes first. Nobody draws a number, and nothing is accepted, between
 * the two; whoever kills this there, kills the SA, and IKE makes another one.
 */
static void make_in_place(struct migrate *m, struct move *one)
{
	int tries = BACK_TRIES;

	if (xfrm_delete_sa(m->x, &one->info.id)) {
		failed(m, name_of(&one->info.id), m->x->error);
		return;
	}
	if (!make(m, one))
		return;
	/* Back, rather than not at all: what keeps it out may be memory. */
	one->next = one->info;
	one->back = true;
	while (!one->made && tries--)
		one->made = !xfrm_add_sa(m->x, one->was.data, one->was.len,
					 &one->rec);
	if (!one->made)
		failed(m, name_of(&one->info.id),
		       "nor can it be made as it was: it is gone, rekey it");
}

/*
 * It can be used from here on, until it is bound: its policies follow later, but a
 * packet in needs none, nor one out by a template without addresses. A lease ends
 * behind more numbers (XFRMSYNC_LEASE_HEADROOM) than are drawn until then, so one that
 * stood at its end is bound in time, or stopped again past it. One that is fenced for
 * itself may not draw any.
 */
static void make_anew(struct migrate *m, struct move *one)
{
	if (one->rec.flags & XFRMSYNC_RECORD_F_FENCED)
		failed(m, name_of(&one->info.id),
		       "it is fenced, and would be used for a moment: rekey it");
	else if (sa_id_equal(&one->info.id, &one->next.id))
		make_in_place(m, one);
	else
		make_beside(m, one);
}

static void migrate_one(struct migrate *m, struct move *one)
{
	int ret = xfrm_migrate_sa(m->x, &one->info, &one->next);

	if (ret == -ENOPROTOOPT)
		failed(m, name_of(&one->info.id),
		       "this kernel cannot (CONFIG_XFRM_MIGRATE is not set)");
	else if (ret)
		failed(m, name_of(&one->info.id), m->x->error);
	one->made = !ret;
}

/* The module hears of clones by a walk, a moment later. */
static int follow(struct migrate *m, const struct sa_id *id, uint64_t cookie,
		  struct record *k)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	int tries = FOLLOW_TRIES, ret;

	while (((ret = genl_get(m->g, id, k)) || k->cookie == cookie) && --tries)
		nanosleep(&pause, NULL);
	return ret || k->cookie == cookie ? -ESRCH : 0;
}

/* Tag, lease, guard, and what is known to be sent: as the old one had them. */
static void bind_one(struct migrate *m, struct move *one)
{
	struct genl_result res = {};
	struct record k, rec = one->rec;
	const char *why = NULL;

	if (follow(m, &one->next.id, one->rec.cookie, &k))
		why = "the module does not follow it";
	rec.id = one->next.id;
	memcpy(rec.src, one->next.src, sizeof(rec.src));
	rec.cookie = k.cookie;
	rec.flags &= XFRMSYNC_RECORD_F_FENCED | XFRMSYNC_RECORD_F_SHARED |
		     XFRMSYNC_RECORD_F_UNMANAGED | XFRMSYNC_RECORD_F_ESN |
		     XFRMSYNC_RECORD_F_BMP;
	rec.restore_flags = one->rec.flags & XFRMSYNC_RECORD_F_GOES_ON ?
			    XFRMSYNC_RESTORE_F_GO_ON : 0;
	rec.set_guard = true;
	if (!why && genl_bind(m->g, &rec, 1, &res))
		why = m->g->error;
	if (!why && res.reason == XFRMSYNC_REASON_LEASE) {
		/* Past its lease: it stops, as the old one did. */
		rec.lease_end = 0;
		rec.flags |= XFRMSYNC_RECORD_F_FENCED;
		if (genl_bind(m->g, &rec, 1, &res))
			why = m->g->error;
	}
	if (!why && res.reason)
		why = genl_reason_str(res.reason);
	if (why)
		failed(m, name_of(&one->next.id), why);
	else if (!one->back)
		m->moved++;
}

static void move_all(struct moves *l)
{
	struct move *one;

	for (one = l->move; one < l->move + l->n; one++) {
		if (!has_more(one))
			continue;
		make_anew(l->m, one);
		if (one->made)
			bind_one(l->m, one);
	}
	/* Which one XFRM chooses is known when all were moved. */
	for (one = l->move; one < l->move + l->n; one++) {
		if (!has_more(one))
			migrate_one(l->m, one);
	}
	for (one = l->move; one < l->move + l->n; one++) {
		if (!has_more(one) && one->made)
			bind_one(l->m, one);
	}
}

/* ---- policies ---- */

static void move_policy(struct migrate *m, const uint8_t *p, size_t len)
{
	struct context_policy was, next;
	struct buf is = {};
	bool same;
	int ret;

	buf_put(&is, p, len);
	if (is.bad)
		return;
	map_context(&m->map, is.data, is.len);
	if (context_policy_info(p, len, &was, NULL) ||
	    context_policy_info(is.data, is.len, &next, NULL))
		goto out;
	same = was.key_len == next.key_len &&
	       !memcmp(was.key, next.key, was.key_len);
	ret = xfrm_add_policy(m->x, is.data, is.len, same);
	if (!ret && !same)
		ret = xfrm_delete_policy(m->x, p, len);
	if (ret)
		failed(m, context_policy_name(&was), m->x->error);
	else
		m->policies++;
out:
	buf_free(&is);
}

static void move_policies(struct migrate *m)
{
	struct policies l = { .m = m };
	const uint8_t *p;
	uint32_t len;
	struct rd r;
	int ret;

	ret = list_policies(&l);
	r = (struct rd){ .p = l.list.data, .left = l.list.len };
	while (!ret && r.left) {
		len = rd_u32(&r);
		p = rd_bytes(&r, len);
		if (!p)
			break;
		move_policy(m, p, len);
	}
	free_policies(&l);
}

int migrate_run(struct migrate *m)
{
	struct moves l = { .m = m };
	size_t i;
	int ret;

	ret = genl_dump(m->g, keep, &l);
	ret = ret ? nothing(m, m->g->error) : look_at_all(&l);
	/* What is stopped goes on, under one name or the other. */
	if (!ret) {
		ret = stop_all(&l);
		if (!ret) {
			move_all(&l);
			move_policies(m);
		}
		let_go(&l);
	}
	for (i = 0; l.move && i < l.n; i++) {
		buf_free(&l.move[i].was);
		buf_free(&l.move[i].is);
	}
	free(l.move);
	bindings_free(&l.list);
	return ret;
}
