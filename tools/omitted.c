// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs of this active that could not be read, or kept.
 * Out: their names and the reasons, for status; which to try next.
 * The daemon's loop.
 *
 * Each is one record of the stream away from being told, and an idle one has none: so
 * they are tried again by and by. Memory is bounded by the number of SAs.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "omitted.h"

static int by_id(const void *a, const void *b)
{
	const struct omitted_sa *x = a, *y = b;
	uint32_t hx = sa_id_hash(&x->id), hy = sa_id_hash(&y->id);
	int ret;

	if (sa_id_equal(&x->id, &y->id))
		return 0;
	if (hx != hy)
		return hx < hy ? -1 : 1;
	/* Two of one hash: in any order that is always the same. */
	ret = memcmp(x->id.dst, y->id.dst, sizeof(x->id.dst));
	if (!ret)
		ret = memcmp(&x->id.spi, &y->id.spi, sizeof(x->id.spi));
	if (!ret)
		ret = memcmp(&x->id.mark, &y->id.mark, sizeof(x->id.mark));
	if (!ret)
		ret = memcmp(&x->id.mark_mask, &y->id.mark_mask,
			     sizeof(x->id.mark_mask));
	if (!ret)
		ret = x->id.proto - y->id.proto;
	return ret ? ret : x->id.family - y->id.family;
}

static struct omitted_sa *find(struct omitted *o, const struct sa_id *id)
{
	const struct omitted_sa key = { .id = *id };
	struct omitted_sa **found = tfind(&key, &o->by_id, by_id);

	return found ? *found : NULL;
}

static void drop(struct omitted *o, struct omitted_sa *sa)
{
	tdelete(sa, &o->by_id, by_id);
	list_del(&sa->all);
	o->n--;
	free(sa->why);
	free(sa);
}

static struct omitted_sa *add(struct omitted *o, const struct sa_id *id)
{
	struct omitted_sa *sa = calloc(1, sizeof(*sa));

	if (!sa)
		return NULL;
	sa->id = *id;
	if (!tsearch(sa, &o->by_id, by_id)) {
		free(sa);
		return NULL;
	}
	if (!o->n++)
		list_init(&o->list);
	list_add_tail(&sa->all, &o->list);
	return sa;
}

struct omitted_sa *omitted_first(const struct omitted *o)
{
	return o->n ? container(o->list.next, struct omitted_sa, all) : NULL;
}

struct omitted_sa *omitted_after(const struct omitted *o,
				 const struct omitted_sa *sa)
{
	return sa->all.next == &o->list ? NULL :
	       container(sa->all.next, struct omitted_sa, all);
}

void omitted_note(struct omitted *o, const struct sa_id *id, bool told,
		  const char *why)
{
	struct omitted_sa *sa = find(o, id);
	char name[128], *text;

	/* The same again and again is said once. */
	if (!sa || !sa->why || strcmp(sa->why, why))
		log_warn("%s: cannot read it (%s): %s",
			 sa_id_str(id, name, sizeof(name)), why,
			 told ? "peers have it as it was" : "it is not protected");
	if (!sa)
		sa = add(o, id);
	if (!sa) {
		log_err("out of memory: status does not name it");
		return;
	}
	sa->seen = true;
	sa->told = told;
	if (sa->why && !strcmp(sa->why, why))
		return;
	text = strdup(why);
	if (!text)
		return;
	free(sa->why);
	sa->why = text;
}

void omitted_gone(struct omitted *o, const struct sa_id *id)
{
	struct omitted_sa *sa = o->n ? find(o, id) : NULL;

	if (sa)
		drop(o, sa);
}

void omitted_walk_begin(struct omitted *o)
{
	struct omitted_sa *sa;

	for (sa = omitted_first(o); sa; sa = omitted_after(o, sa))
		sa->seen = false;
}

void omitted_walk_end(struct omitted *o)
{
	struct omitted_sa *sa = omitted_first(o), *next;

	for (; sa; sa = next) {
		next = omitted_after(o, sa);
		if (!sa->seen)
			drop(o, sa);
	}
}

bool omitted_next(struct omitted *o, struct sa_id *id)
{
	struct omitted_sa *sa;

	if (!o->n)
		return false;
	sa = container(o->list.next, struct omitted_sa, all);
	list_del(&sa->all);
	list_add_tail(&sa->all, &o->list);
	*id = sa->id;
	return true;
}

void omitted_clear(struct omitted *o)
{
	while (o->n)
		drop(o, container(o->list.next, struct omitted_sa, all));
}
