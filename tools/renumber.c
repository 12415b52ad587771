// SPDX-License-Identifier: GPL-2.0
/*
 * In: an inbound SA of the active whose SPI another SA of this node has.
 * Out: the same SA by a free SPI, on this node alone; what names it follows.
 * The daemon's loop, while standby; asks the kernel, and waits for its answer.
 *
 * What comes of the active is renamed before it is looked at, so that nothing
 * else has to know. The SA's handle and tag stay.
 */
#include <stdlib.h>
#include <string.h>

#include "conflict.h"
#include "daemon.h"
#include "log.h"

static struct renumbered *find(struct daemon *d, const struct sa_id *from,
			       uint64_t tag)
{
	size_t i;

	for (i = 0; i < d->n_renumbered; i++) {
		if (d->renumbered[i].tag == tag &&
		    sa_id_equal(&d->renumbered[i].from.id, from))
			return &d->renumbered[i];
	}
	return NULL;
}

bool renumber_has(struct daemon *d, const struct sa_id *from, uint64_t tag)
{
	return find(d, from, tag);
}

bool renumber_sa(struct daemon *d, const struct wire_sa *sa, struct buf *copy)
{
	const struct renumbered *r;
	struct context_sa info;

	if (!d->n_renumbered ||
	    context_sa_info(sa->context, sa->context_len, &info, NULL))
		return false;
	r = find(d, &info.id, sa->tag);
	if (!r)
		return false;
	buf_put(copy, sa->context, sa->context_len);
	if (!copy->bad)
		context_set_spi(copy->data, copy->len, r->spi);
	return !copy->bad;
}

bool renumber_policy(struct daemon *d, const uint8_t *ctx, size_t len,
		     struct buf *copy)
{
	size_t i;

	if (!d->n_renumbered || context_policy_info(ctx, len, &(struct context_policy){}, NULL))
		return false;
	buf_put(copy, ctx, len);
	for (i = 0; i < d->n_renumbered && !copy->bad; i++)
		context_policy_set_spi(copy->data, copy->len,
				       &d->renumbered[i].from,
				       d->renumbered[i].spi);
	return !copy->bad;
}

/* By the daemon before this one; its tag tells. */
struct twin {
	const struct cache_entry *e;
	uint32_t spi;
};

static int find_twin(const struct record *k, void *data)
{
	struct twin *t = data;

	if (k->tag == t->e->tag && k->id.proto == t->e->id.proto &&
	    !memcmp(k->id.dst, t->e->id.dst, 16))
		t->spi = k->id.spi;
	return 0;
}

/* Of an SA that the active has told, or will tell. */
static bool is_known(struct daemon *d, const struct sa_id *id, uint32_t spi)
{
	struct sa_id other = *id;

	other.spi = spi;
	return cache_find(&d->cache, &other);
}

static bool has_twin(struct daemon *d, const struct cache_entry *e, uint32_t *spi)
{
	struct twin t = { .e = e };

	if (genl_dump(&d->req, find_twin, &t))
		return false;
	*spi = t.spi;
	return t.spi;
}

static bool choose(struct daemon *d, const struct cache_entry *e, uint32_t *spi)
{
	struct spi_search s;

	spi_search_begin(&s, &d->conf.spi_range, e->id.proto);
	while (conflict_free_spi(&d->xfrm, &e->info, &s, spi)) {
		if (!is_known(d, &e->id, *spi))
			return true;
	}
	return false;
}

static bool is_inbound(struct daemon *d, const struct cache_entry *e)
{
	struct conflict_uses uses = {};
	struct cache_policy *p, *n;

	cache_for_each_policy_safe(&d->cache, p, n)
		conflict_note_policy(&uses, &p->info, &e->info);
	return conflict_is_inbound(&e->info, &uses);
}

/* An SA that is gone: on an active nobody says so. */
static bool is_over(const struct daemon *d, const struct renumbered *r)
{
	struct sa_id id = r->from.id;
	const struct cache_entry *e;

	id.spi = r->spi;
	e = cache_find((struct cache *)&d->cache, &id);
	return !e || e->tag != r->tag;
}

static void drop_over(struct daemon *d)
{
	size_t i = 0;

	while (i < d->n_renumbered) {
		if (is_over(d, &d->renumbered[i]))
			d->renumbered[i] = d->renumbered[--d->n_renumbered];
		else
			i++;
	}
}

bool renumber_entry(struct daemon *d, struct cache_entry *e)
{
	const struct context_sa from = e->info;
	struct renumbered *more;
	char name[160];
	uint32_t spi;

	if (e->renumbered)
		return false;
	/* Its policies, by which it is known to be inbound, may not be here yet. */
	if (!has_twin(d, e, &spi) && (!is_inbound(d, e) || !choose(d, e, &spi)))
		return false;
	drop_over(d);
	more = reallocarray(d->renumbered, d->n_renumbered + 1, sizeof(*more));
	if (!more)
		return false;
	d->renumbered = more;
	more[d->n_renumbered++] = (struct renumbered){
		.from = from, .tag = e->tag, .spi = spi,
	};
	cache_set_spi(&d->cache, e, spi);
	e->renumbered = true;
	log_warn("%s: this node has another SA of this name: it has spi 0x%08x here, which its peer has to be told",
		 sa_id_str(&from.id, name, sizeof(name)), ntohl(spi));
	control_server_event(d, conflict_new_spi_json(&from, &e->info));
	return true;
}

void renumber_forget(struct daemon *d, const struct cache_entry *e)
{
	size_t i;

	for (i = 0; e->renumbered && i < d->n_renumbered; i++) {
		if (d->renumbered[i].tag != e->tag ||
		    d->renumbered[i].spi != e->id.spi)
			continue;
		d->renumbered[i] = d->renumbered[--d->n_renumbered];
		return;
	}
}

json_t *renumber_json(const struct daemon *d)
{
	json_t *list = json_array();
	struct context_sa here;
	size_t i;

	for (i = 0; i < d->n_renumbered; i++) {
		if (is_over(d, &d->renumbered[i]))
			continue;
		here = d->renumbered[i].from;
		here.id.spi = d->renumbered[i].spi;
		json_array_append_new(list,
			conflict_new_spi_json(&d->renumbered[i].from, &here));
	}
	return list;
}
