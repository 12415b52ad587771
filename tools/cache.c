// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts and records, of this kernel (active) or of the active (standby).
 * Out: the newest of each, and what each peer has yet to hear.
 * One thread. Memory is bounded by the number of SAs; keys in it are wiped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/xfrmsync.h>
#include <sodium.h>

#include "cache.h"

#define BUCKETS 16384	/* at first */
#define POLICY_BUCKETS 4096
#define PATH_ROUNDS 2	/* the answer to what was sent last may be on its way in the first */

static void free_tables(struct cache *c)
{
	free(c->by_id);
	free(c->by_handle);
	free(c->by_key);
	memset(c, 0, sizeof(*c));
}

int cache_init(struct cache *c)
{
	memset(c, 0, sizeof(*c));
	c->buckets = BUCKETS;
	c->policy_buckets = POLICY_BUCKETS;
	c->n_marks = CONF_MAX_PEERS;
	c->by_id = calloc(c->buckets, sizeof(*c->by_id));
	c->by_handle = calloc(c->buckets, sizeof(*c->by_handle));
	c->by_key = calloc(c->policy_buckets, sizeof(*c->by_key));
	list_init(&c->entries);
	list_init(&c->policies);
	list_init(&c->unready);
	list_init(&c->unbound);
	list_init(&c->led);
	list_init(&c->path);
	if (c->by_id && c->by_handle && c->by_key)
		return 0;
	free_tables(c);
	return -ENOMEM;
}

void cache_exit(struct cache *c)
{
	struct cache_policy *p, *np;
	struct cache_entry *e, *n;

	cache_for_each_safe(c, e, n)
		cache_remove(c, e);
	cache_for_each_policy_safe(c, p, np)
		cache_policy_remove(c, p);
	free_tables(c);
}

static struct cache_entry **id_slot(struct cache *c, const struct sa_id *id)
{
	return &c->by_id[sa_id_hash(id) & (c->buckets - 1)];
}

static struct cache_entry **handle_slot(struct cache *c, uint32_t handle)
{
	return &c->by_handle[handle & (c->buckets - 1)];
}

struct cache_entry *cache_find(struct cache *c, const struct sa_id *id)
{
	struct cache_entry *e;

	for (e = *id_slot(c, id); e; e = e->next_id) {
		if (sa_id_equal(&e->id, id))
			return e;
	}
	return NULL;
}

static struct cache_entry *marked(struct cache_entry *e,
				  const struct sa_id *id)
{
	struct sa_id it;

	for (; e; e = e->next_id) {
		it = e->id;
		it.mark = id->mark;
		it.mark_mask = id->mark_mask;
		if (sa_id_equal(&it, id))
			break;
	}
	return e;
}

struct cache_entry *cache_first_marked(struct cache *c, const struct sa_id *id)
{
	return marked(*id_slot(c, id), id);
}

struct cache_entry *cache_next_marked(const struct cache_entry *e,
				      const struct sa_id *id)
{
	return marked(e->next_id, id);
}

struct cache_entry *cache_find_handle(struct cache *c, uint32_t handle)
{
	struct cache_entry *e;

	for (e = *handle_slot(c, handle); e; e = e->next_handle) {
		if (e->handle == handle)
			return e;
	}
	return NULL;
}

static void unlink_handle(struct cache *c, struct cache_entry *e)
{
	struct cache_entry **at = handle_slot(c, e->handle);

	while (e->handle && *at != e)
		at = &(*at)->next_handle;
	if (e->handle)
		*at = e->next_handle;
}

static void link_handle(struct cache *c, struct cache_entry *e, uint32_t handle)
{
	struct cache_entry **slot = handle_slot(c, handle);

	e->handle = handle;
	if (!handle)
		return;
	e->next_handle = *slot;
	*slot = e;
}

static uint32_t free_handle(struct cache *c)
{
	do {
		c->next_handle++;
	} while (!c->next_handle || cache_find_handle(c, c->next_handle));
	return c->next_handle;
}

void cache_forget_handles(struct cache *c)
{
	struct cache_entry *e;

	memset(c->by_handle, 0, c->buckets * sizeof(*c->by_handle));
	cache_for_each(c, e)
		e->handle = 0;
}

void cache_renumber(struct cache *c)
{
	struct cache_entry *e;

	cache_forget_handles(c);
	cache_for_each(c, e)
		link_handle(c, e, free_handle(c));
}

/* NULL: no memory. */
static struct mark *marks_new(size_t n, void *owner, bool is_policy)
{
	struct mark *mark = calloc(n, sizeof(*mark));
	size_t i;

	for (i = 0; mark && i < n; i++) {
		list_init(&mark[i].dirty);
		list_init(&mark[i].flight);
		mark[i].owner = owner;
		mark[i].is_policy = is_policy;
	}
	return mark;
}

static void marks_free(const struct cache *c, struct mark *mark)
{
	size_t i;

	for (i = 0; i < c->n_marks; i++) {
		list_del(&mark[i].dirty);
		list_del(&mark[i].flight);
	}
	free(mark);
}

/* More of them, the first ones as they were. */
static int marks_more(struct mark **mark, size_t was, size_t n, void *owner,
		      bool is_policy)
{
	struct mark *more = marks_new(n, owner, is_policy);
	size_t i;

	if (!more)
		return -ENOMEM;
	for (i = 0; i < was; i++) {
		more[i] = (*mark)[i];
		list_init(&more[i].dirty);
		list_init(&more[i].flight);
	}
	free(*mark);
	*mark = more;
	return 0;
}

int cache_set_marks(struct cache *c, size_t n)
{
	struct cache_policy *p, *np;
	struct cache_entry *e;
	int ret = 0;

	if (n <= c->n_marks && (c->n_entries || c->n_policies))
		return 0;
	cache_for_each(c, e) {
		ret = marks_more(&e->mark, c->n_marks, n, e, false);
		if (ret)
			return ret;
	}
	cache_for_each_policy_safe(c, p, np) {
		ret = marks_more(&p->mark, c->n_marks, n, p, true);
		if (ret)
			return ret;
	}
	c->n_marks = n;
	return 0;
}

static void wipe_free(uint8_t *p, size_t len)
{
	if (p)
		sodium_memzero(p, len);
	free(p);
}

static int set_bytes(uint8_t **to, size_t *to_len, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, p, len);
	wipe_free(*to, *to_len);
	*to = copy;
	*to_len = len;
	return 0;
}

static void unlink_id(struct cache *c, struct cache_entry *e)
{
	struct cache_entry **at = id_slot(c, &e->id);

	while (*at != e)
		at = &(*at)->next_id;
	*at = e->next_id;
}

static void link_id(struct cache *c, struct cache_entry *e)
{
	struct cache_entry **slot = id_slot(c, &e->id);

	e->next_id = *slot;
	*slot = e;
}

/* As many buckets as entries, at least; without memory for that the chains are longer. */
static void grow(struct cache *c)
{
	size_t n = 2 * c->buckets;
	struct cache_entry **by_id = calloc(n, sizeof(*by_id));
	struct cache_entry **by_handle = calloc(n, sizeof(*by_handle));
	struct cache_entry *e;

	if (!by_id || !by_handle) {
		free(by_id);
		free(by_handle);
		return;
	}
	free(c->by_id);
	free(c->by_handle);
	c->by_id = by_id;
	c->by_handle = by_handle;
	c->buckets = n;
	cache_for_each(c, e) {
		link_id(c, e);
		link_handle(c, e, e->handle);
	}
}

struct cache_entry *cache_add(struct cache *c, const struct context_sa *info,
			      const uint8_t *context, size_t len,
			      uint32_t handle)
{
	struct cache_entry *e = calloc(1, sizeof(*e));

	if (e)
		e->mark = marks_new(c->n_marks, e, false);
	if (!e || !e->mark || cache_set_context(e, info, context, len)) {
		if (e)
			free(e->mark);
		free(e);
		return NULL;
	}
	if (c->n_entries >= c->buckets)
		grow(c);
	e->id = info->id;
	link_id(c, e);
	link_handle(c, e, handle ? handle : free_handle(c));
	list_add_tail(&e->all, &c->entries);
	list_add_tail(&e->unbound, &c->unbound);
	list_init(&e->led);
	list_init(&e->path);
	c->n_entries++;
	return e;
}

int cache_set_context(struct cache_entry *e, const struct context_sa *info,
		      const uint8_t *context, size_t len)
{
	int ret = set_bytes(&e->context, &e->context_len, context, len);

	if (!ret)
		e->info = *info;
	return ret;
}

void cache_set_handle(struct cache *c, struct cache_entry *e, uint32_t handle)
{
	unlink_handle(c, e);
	link_handle(c, e, handle);
}

void cache_unbind(struct cache *c, struct cache_entry *e)
{
	e->bound = false;
	if (list_empty(&e->unbound))
		list_add_tail(&e->unbound, &c->unbound);
}

void cache_lead(struct cache *c, struct cache_entry *e)
{
	if (list_empty(&e->led))
		list_add_tail(&e->led, &c->led);
}

void cache_ask_path(struct cache *c, struct cache_entry *e)
{
	e->path_rounds = PATH_ROUNDS;
	if (list_empty(&e->path))
		list_add_tail(&e->path, &c->path);
}

void cache_set_unsafe(struct cache *c, struct cache_entry *e, const char *why)
{
	c->n_unsafe += !!why - !!e->unsafe;
	e->unsafe = why;
}

void cache_set_repair(struct cache *c, struct cache_entry *e, bool repair)
{
	c->n_repair += repair - e->repair;
	e->repair = repair;
}

bool cache_lets_plaintext(const struct cache *c, const struct context_sa *info)
{
	const struct cache_policy *p;
	const struct list *l;

	if (!c->n_optional)
		return false;
	for (l = c->policies.next; l != &c->policies; l = l->next) {
		p = container(l, struct cache_policy, all);
		if (context_policy_spares(&p->info, info))
			return true;
	}
	return false;
}

void cache_set_spi(struct cache *c, struct cache_entry *e, uint32_t spi)
{
	unlink_id(c, e);
	e->id.spi = spi;
	e->info.id.spi = spi;
	e->rec.id.spi = spi;
	context_set_spi(e->context, e->context_len, spi);
	link_id(c, e);
}

void cache_set_way(struct cache_entry *e, const struct context_sa *way)
{
	if (!way) {
		free(e->way);
		e->way = NULL;
		return;
	}
	if (!e->way)
		e->way = malloc(sizeof(*e->way));
	if (e->way)
		*e->way = *way;
}

void cache_set_refused(struct cache *c, struct mark *m, const char *why)
{
	char *copy = why ? strdup(why) : NULL;

	c->n_refused += !!copy - !!m->refused;
	free(m->refused);
	m->refused = copy;
}

void cache_remove(struct cache *c, struct cache_entry *e)
{
	size_t i;

	for (i = 0; i < c->n_marks; i++)
		cache_set_refused(c, &e->mark[i], NULL);
	cache_set_unsafe(c, e, NULL);
	cache_set_repair(c, e, false);
	cache_set_way(e, NULL);
	unlink_id(c, e);
	unlink_handle(c, e);
	list_del(&e->all);
	list_del(&e->unbound);
	list_del(&e->led);
	list_del(&e->path);
	marks_free(c, e->mark);
	c->n_entries--;
	wipe_free(e->context, e->context_len);
	free(e->own);
	free(e);
}

static struct cache_policy **key_slot(struct cache *c,
				      const struct context_policy *info)
{
	return &c->by_key[buf_hash(info->key, info->key_len) & (c->policy_buckets - 1)];
}

struct cache_policy *cache_policy_find(struct cache *c,
				       const struct context_policy *info)
{
	struct cache_policy *p;

	for (p = *key_slot(c, info); p; p = p->next_key) {
		if (!context_key_cmp(p->info.key, p->info.key_len, info->key,
				     info->key_len))
			return p;
	}
	return NULL;
}

static void link_key(struct cache *c, struct cache_policy *p)
{
	struct cache_policy **slot = key_slot(c, &p->info);

	p->next_key = *slot;
	*slot = p;
}

/* As grow(). */
static void grow_policies(struct cache *c)
{
	struct cache_policy **by_key = calloc(2 * c->policy_buckets, sizeof(*by_key));
	struct cache_policy *p, *n;

	if (!by_key)
		return;
	free(c->by_key);
	c->by_key = by_key;
	c->policy_buckets *= 2;
	cache_for_each_policy_safe(c, p, n)
		link_key(c, p);
}

struct cache_policy *cache_policy_add(struct cache *c,
				      const struct context_policy *info,
				      const uint8_t *context, size_t len)
{
	struct cache_policy *p = calloc(1, sizeof(*p));

	if (p)
		p->mark = marks_new(c->n_marks, p, true);
	if (!p || !p->mark || cache_policy_set(p, context, len)) {
		if (p)
			free(p->mark);
		free(p);
		return NULL;
	}
	if (c->n_policies >= c->policy_buckets)
		grow_policies(c);
	p->info = *info;
	link_key(c, p);
	list_add_tail(&p->all, &c->policies);
	list_init(&p->unready);
	c->n_policies++;
	c->n_optional += info->optional;
	return p;
}

void cache_policy_set_info(struct cache *c, struct cache_policy *p,
			   const struct context_policy *info)
{
	c->n_optional += info->optional - p->info.optional;
	p->info = *info;
}

int cache_policy_set(struct cache_policy *p, const uint8_t *context, size_t len)
{
	return set_bytes(&p->context, &p->context_len, context, len);
}

static void list_unready(struct cache *c, struct cache_policy *p)
{
	bool before = !list_empty(&p->unready);
	bool now = p->failed || p->conflict || p->refused;

	if (now && !before)
		list_add_tail(&p->unready, &c->unready);
	else if (before && !now)
		list_del(&p->unready);
	c->n_unready += now - before;
}

void cache_policy_set_unready(struct cache *c, struct cache_policy *p,
			      bool failed, bool conflict)
{
	p->failed = failed;
	p->conflict = conflict;
	list_unready(c, p);
}

void cache_policy_set_refused(struct cache *c, struct cache_policy *p,
			      bool refused)
{
	c->n_refused_policies += refused - p->refused;
	p->refused = refused;
	list_unready(c, p);
}

const struct cache_policy *cache_lacks_policy(const struct cache *c,
					      const struct context_sa *info)
{
	const struct cache_policy *p;
	const struct list *l;

	for (l = c->unready.next; c->n_unready && l != &c->unready; l = l->next) {
		p = container(l, struct cache_policy, unready);
		if (p->info.unreadable || context_policy_uses(&p->info, info))
			return p;
	}
	return NULL;
}

void cache_policy_remove(struct cache *c, struct cache_policy *p)
{
	struct cache_policy **at = key_slot(c, &p->info);

	cache_policy_set_unready(c, p, false, false);
	cache_policy_set_refused(c, p, false);
	while (*at != p)
		at = &(*at)->next_key;
	*at = p->next_key;
	list_del(&p->all);
	marks_free(c, p->mark);
	c->n_policies--;
	c->n_optional -= p->info.optional;
	wipe_free(p->context, p->context_len);
	free(p);
}

void cache_note_record(struct cache_entry *e, const struct record *rec)
{
	if (rec->flags & XFRMSYNC_RECORD_F_RESTORED) {
		/* Nothing was sent from here: the counter was only raised. */
		e->base = rec->oseq;
		/* Who loaded it from a file says so just after it was made. */
		if (rec->has_sent && rec->cookie &&
		    rec->cookie == e->rec.cookie && rec->oseq == e->rec.oseq &&
		    !(e->rec.flags & XFRMSYNC_RECORD_F_RESTORED))
			e->sent = rec->sent;
		if (rec->has_sent && rec->sent > e->sent)
			e->sent = rec->sent;
	} else if (rec->oseq > e->base) {
		e->sent = rec->oseq;
	}
	if (rec->flags & XFRMSYNC_RECORD_F_SHARED)
		e->shared = true;
	record_copy(&e->rec, rec);
	if (e->sent > rec->oseq)
		e->sent = rec->oseq;
}
