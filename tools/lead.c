// SPDX-License-Identifier: GPL-2.0
/*
 * In: the active's record and guard of an SA; the window of this node's own time.
 * Out: the window that this kernel's SA has to have, should this node take over.
 * The daemon's loop, while standby.
 *
 * All numbers up to record + guard count as seen, the gaps in the record's window,
 * too: the active may deliver what comes late, and may die before it tells. What
 * this node accepted itself (it was active, too, after a split) stays in, and goes
 * to the active, until the active's record has it all.
 */
#include <stdlib.h>
#include <string.h>

#include "../kmod/window.h"
#include "daemon.h"

struct lead_window {
	uint64_t seq;
	uint32_t size, words;
	bool ring;
	uint32_t bmp[];
};

static struct xfrmsync_window window_of(const struct cache_entry *e,
					uint64_t seq, uint32_t *bmp)
{
	return (struct xfrmsync_window){
		.seq = seq, .size = e->info.window, .bmp = bmp,
		.ring = e->info.large,
	};
}

static uint32_t words_of(const struct cache_entry *e)
{
	return e->info.large ? e->info.bmp_words : 1;
}

/* A window of one word is laid out in one way or the other. */
static bool is_own_kind(const struct cache_entry *e)
{
	return e->own->size == e->info.window &&
	       e->own->words == words_of(e) && e->own->ring == e->info.large;
}

/* merge() moves what it merges. */
static void merge_own(const struct cache_entry *e, struct xfrmsync_window *w)
{
	uint32_t copy[RECORD_BMP_WORDS];
	struct xfrmsync_window own = window_of(e, e->own->seq, copy);

	/* Of before the SA's window was another one: all of it counts as seen. */
	if (!is_own_kind(e)) {
		xfrmsync_window_fill(w, e->own->seq);
		return;
	}
	memcpy(copy, e->own->bmp, e->own->words * sizeof(*copy));
	xfrmsync_window_merge(w, &own);
}

static bool same_kind(const struct cache_entry *e, const struct record *rec)
{
	return e->info.window && rec->window == e->info.window &&
	       rec->bmp_words == words_of(e) &&
	       rec->window <= 32 * rec->bmp_words;
}

void lead_compose(const struct cache_entry *e, struct record *rec)
{
	struct xfrmsync_window w = window_of(e, rec->seq, rec->bmp);

	if (!same_kind(e, rec))
		return;
	if (e->rec.guard)
		xfrmsync_window_fill(&w, guard_end(rec->seq, e->rec.guard,
						   e->info.esn));
	if (e->own)
		merge_own(e, &w);
	rec->seq = w.seq;
}

/* False: no memory. */
bool lead_keep(struct cache_entry *e, const struct record *rec)
{
	struct lead_window *own;
	struct xfrmsync_window w;

	uint32_t words = words_of(e);

	/* Nothing was accepted, or there is no window that would know it again. */
	if (!rec->seq || !rec->window || !e->info.window ||
	    e->info.window > 32 * words)
		return true;
	own = calloc(1, sizeof(*own) + words * sizeof(own->bmp[0]));
	if (!own)
		return false;
	own->seq = rec->seq;
	own->size = e->info.window;
	own->words = words;
	own->ring = e->info.large;
	w = window_of(e, own->seq, own->bmp);
	/* Of before the SA's window was another one: all of it counts as seen. */
	if (same_kind(e, rec))
		memcpy(own->bmp, rec->bmp, words * sizeof(own->bmp[0]));
	else
		xfrmsync_window_fill(&w, rec->seq);
	if (e->own) {
		merge_own(e, &w);
		own->seq = w.seq;
	}
	lead_drop(e);
	e->own = own;
	return true;
}

void lead_drop(struct cache_entry *e)
{
	free(e->own);
	e->own = NULL;
}

/* Nothing that this node accepted is missing in the active's record. */
void lead_drop_covered(struct cache_entry *e)
{
	struct record all;
	struct xfrmsync_window w;

	if (!e->own || e->rec.seq < e->own->seq || !same_kind(e, &e->rec))
		return;
	all = e->rec;
	w = window_of(e, all.seq, all.bmp);
	merge_own(e, &w);
	if (!memcmp(all.bmp, e->rec.bmp, all.bmp_words * sizeof(all.bmp[0])))
		lead_drop(e);
}

/*
 * As the active's SA has it: by its size alone a window's bits mean anything. One that
 * has none knows no replays, and passes it over.
 */
void lead_put_own(const struct cache_entry *e, struct buf *b)
{
	struct record rec = { .seq = e->own->seq, .bmp_words = e->own->words };
	struct xfrmsync_window w;

	memcpy(rec.bmp, e->own->bmp, rec.bmp_words * sizeof(rec.bmp[0]));
	if (e->info.window && !is_own_kind(e)) {
		rec.bmp_words = words_of(e);
		w = window_of(e, rec.seq, rec.bmp);
		xfrmsync_window_fill(&w, rec.seq);
	}
	wire_put_merge(b, e->handle, e->tag, &rec);
}
