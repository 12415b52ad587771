// SPDX-License-Identifier: GPL-2.0
/*
 * In: messages of charon's ha plugin (ha.h), in their order.
 * Out: the newest of what each IKE SA and its Child SAs need; the messages that
 *      make them in a charon that has none of them.
 * One thread. Memory is bounded; keys in it are wiped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "ike_store.h"

#define BUCKETS 16384

/* ---- bytes ---- */

static void wipe(struct ike_sa *sa, struct ike_bytes *b)
{
	if (b->p)
		sodium_memzero(b->p, b->len);
	free(b->p);
	sa->bytes -= b->len;
	b->p = NULL;
	b->len = 0;
}

/* The message as charon would send it, in place of the one that stands there. */
static int keep(struct ike_store *s, struct ike_sa *sa, struct ike_bytes *to,
		const struct ha_msg *msg)
{
	struct ike_bytes b = {};
	struct buf out = {};
	int ret;

	ret = ha_build(msg, &out, NULL);
	if (!ret && sa->bytes - to->len + out.len > s->max_bytes)
		ret = -ENOSPC;
	if (!ret) {
		b.p = malloc(out.len);
		ret = b.p ? 0 : -ENOMEM;
	}
	if (!ret) {
		memcpy(b.p, out.data, out.len);
		b.len = out.len;
		wipe(sa, to);
		*to = b;
		sa->bytes += b.len;
	}
	buf_free(&out);
	return ret;
}

bool ike_store_parse(const struct ike_bytes *b, struct ha_msg *msg)
{
	return b->p && !ha_parse(b->p, b->len, msg, NULL);
}

static bool same_bytes(const struct ike_bytes *b, const struct ha_msg *msg)
{
	struct buf out = {};
	bool same;

	same = !ha_build(msg, &out, NULL) && b->p && b->len == out.len &&
	       !memcmp(b->p, out.data, out.len);
	buf_free(&out);
	return same;
}

/* ---- the tables ---- */

static size_t id_hash(const struct ha_ike_id *id)
{
	uint64_t i, r;

	memcpy(&i, id->spi_i, 8);
	memcpy(&r, id->spi_r, 8);
	i = (i ^ r * 3) * 0x9e3779b97f4a7c15ULL;
	return i >> 32;
}

static struct ike_sa **id_slot(const struct ike_store *s,
			       const struct ha_ike_id *id)
{
	return &s->by_id[id_hash(id) & (s->buckets - 1)];
}

static struct ike_child **spi_slot(const struct ike_store *s, uint32_t spi)
{
	return &s->by_spi[(spi * 2654435761u >> 16) & (s->buckets - 1)];
}

struct ike_sa *ike_store_find(const struct ike_store *s,
			      const struct ha_ike_id *id)
{
	struct ike_sa *sa;

	for (sa = *id_slot(s, id); sa; sa = sa->next_id) {
		if (ha_ike_id_equal(&sa->id, id))
			return sa;
	}
	return NULL;
}

struct ike_child *ike_store_find_child(const struct ike_store *s, uint32_t spi)
{
	struct ike_child *c;

	for (c = *spi_slot(s, spi); c; c = c->next_spi) {
		if (c->in_spi == spi)
			return c;
	}
	return NULL;
}

/* Of the scratch no byte is a key: a message points to those. */
static void free_tables(struct ike_store *s)
{
	free(s->by_id);
	free(s->by_spi);
	free(s->scratch);
	memset(s, 0, sizeof(*s));
}

int ike_store_init(struct ike_store *s)
{
	memset(s, 0, sizeof(*s));
	s->buckets = BUCKETS;
	s->max = IKE_STORE_SAS;
	s->max_half = IKE_STORE_HALF;
	s->max_bytes = IKE_STORE_SA_BYTES;
	list_init(&s->all);
	list_init(&s->half);
	s->by_id = calloc(s->buckets, sizeof(*s->by_id));
	s->by_spi = calloc(s->buckets, sizeof(*s->by_spi));
	s->scratch = calloc(1, sizeof(*s->scratch));
	if (s->by_id && s->by_spi && s->scratch)
		return 0;
	free_tables(s);
	return -ENOMEM;
}

void ike_store_exit(struct ike_store *s)
{
	if (s->by_id)
		ike_store_clear(s);
	free_tables(s);
}

/* ---- Child SAs ---- */

static void remove_child(struct ike_store *s, struct ike_child *c)
{
	struct ike_child **at = spi_slot(s, c->in_spi);

	while (*at != c)
		at = &(*at)->next_spi;
	*at = c->next_spi;
	list_del(&c->of_sa);
	wipe(c->sa, &c->add);
	c->sa->n_children--;
	s->n_children--;
	free(c);
}

static void remove_children(struct ike_store *s, struct ike_sa *sa)
{
	while (!list_empty(&sa->children))
		remove_child(s, container(sa->children.next, struct ike_child,
					  of_sa));
}

static struct ike_child *child_of(const struct ike_sa *sa, uint32_t spi)
{
	struct ike_child *c;

	ike_sa_for_each_child(sa, c) {
		if (c->in_spi == spi)
			return c;
	}
	return NULL;
}

static int add_child(struct ike_store *s, struct ike_sa *sa, uint32_t in_spi,
		     const struct ha_msg *msg)
{
	struct ike_child *c = calloc(1, sizeof(*c)), **slot;
	int ret;

	if (!c)
		return -ENOMEM;
	ret = keep(s, sa, &c->add, msg);
	if (ret) {
		free(c);
		return ret;
	}
	c->sa = sa;
	c->in_spi = in_spi;
	c->out_spi = ha_find(msg, HA_ATTR_OUTBOUND_SPI)->spi;
	slot = spi_slot(s, in_spi);
	c->next_spi = *slot;
	*slot = c;
	list_add_tail(&c->of_sa, &sa->children);
	sa->n_children++;
	s->n_children++;
	return 0;
}

/* ---- IKE SAs ---- */

static void set_half(struct ike_store *s, struct ike_sa *sa, bool half)
{
	bool was = !list_empty(&sa->half);

	if (half && !was)
		list_add_tail(&sa->half, &s->half);
	else if (was && !half)
		list_del(&sa->half);
	s->n_half += half - was;
}

static void free_messages(struct ike_store *s, struct ike_sa *sa)
{
	unsigned int i;

	remove_children(s, sa);
	for (i = 0; i < sa->adds; i++)
		wipe(sa, &sa->add[i]);
	sa->adds = 0;
	wipe(sa, &sa->update);
	wipe(sa, &sa->other);
	wipe(sa, &sa->vips);
	wipe(sa, &sa->iv);
	sa->mid_i = 0;
	sa->mid_r = 0;
}

static void unlink_sa(struct ike_store *s, struct ike_sa *sa)
{
	struct ike_sa **at = id_slot(s, &sa->id);

	while (*at != sa)
		at = &(*at)->next_id;
	*at = sa->next_id;
	list_del(&sa->all);
	set_half(s, sa, false);
	s->n--;
	free_messages(s, sa);
	free(sa);
}

/* Its message again, naming another IKE SA there. Without memory it stays as it was. */
static void rename_in(struct ike_store *s, struct ike_sa *sa,
		      struct ike_bytes *from, struct ike_bytes *to, uint8_t attr,
		      const struct ha_ike_id *id)
{
	struct ha_msg *msg = s->scratch;
	uint16_t i;

	if (!ike_store_parse(from, msg))
		return;
	for (i = 0; i < msg->n; i++) {
		if (msg->attr[i].type == attr)
			msg->attr[i].ike = *id;
	}
	if (keep(s, sa, to, msg) && !sa->incomplete)
		sa->incomplete = "no room for what it has of the one that it rekeyed";
}

static void set_parent(struct ike_sa *sa, struct ike_sa *parent)
{
	list_del(&sa->of_parent);
	sa->parent = parent;
	if (parent)
		list_add_tail(&sa->of_parent, &parent->heirs);
}

static struct ike_sa *first_heir(const struct ike_sa *sa)
{
	return list_empty(&sa->heirs) ? NULL :
	       container(sa->heirs.next, struct ike_sa, of_parent);
}

/* Of a family, ancestors first; NULL after the last one. */
static struct ike_sa *next_of(const struct ike_sa *root, const struct ike_sa *at)
{
	if (!list_empty(&at->heirs))
		return first_heir(at);
	while (at != root) {
		if (at->of_parent.next != &at->parent->heirs)
			return container(at->of_parent.next, struct ike_sa,
					 of_parent);
		at = at->parent;
	}
	return NULL;
}

/*
 * charon tells virtual addresses once, of the first IKE SA; each later one has them
 * of the one before.
 */
static void inherit(struct ike_store *s, struct ike_sa *heir, struct ike_sa *from)
{
	set_parent(heir, from->parent);
	/* It comes of that one then: its keys are of OLD_SKD, in it. */
	if (heir->parent)
		rename_in(s, heir, &heir->add[0], &heir->add[0],
			  HA_ATTR_IKE_REKEY_ID, &heir->parent->id);
	if (from->vips.p && !heir->vips.p)
		rename_in(s, heir, &from->vips, &heir->vips, HA_ATTR_IKE_ID,
			  &heir->id);
}

static void remove_sa(struct ike_store *s, struct ike_sa *sa);

/* A deleted one goes when there are no heirs for its Child SAs, or none of those. */
static void prune(struct ike_store *s, struct ike_sa *sa)
{
	if (sa && sa->gone && (list_empty(&sa->heirs) || !sa->n_children))
		remove_sa(s, sa);
}

static void remove_sa(struct ike_store *s, struct ike_sa *sa)
{
	struct ike_sa *parent = sa->parent, *heir;

	while ((heir = first_heir(sa)))
		inherit(s, heir, sa);
	set_parent(sa, NULL);
	unlink_sa(s, sa);
	prune(s, parent);
}

static void drop_untold(struct ike_store *s, struct ike_sa *sa)
{
	if (s->dropped)
		s->dropped(s->arg, sa);
	ike_store_drop(s, sa);
}

/* Those that were begun and never came to anything: charon does not tell their end. */
static bool evict(struct ike_store *s)
{
	struct ike_sa *sa;
	struct list *l;

	for (l = s->half.next; l != &s->half; l = l->next) {
		sa = container(l, struct ike_sa, half);
		if (!list_empty(&sa->heirs))
			continue;
		s->evicted++;
		drop_untold(s, sa);
		return true;
	}
	return false;
}

static struct ike_sa *new_sa(struct ike_store *s, const struct ha_ike_id *id,
			     const struct ha_attr *rekeyed)
{
	struct ike_sa *sa = calloc(1, sizeof(*sa)), **slot;

	if (!sa)
		return NULL;
	sa->id = *id;
	list_init(&sa->half);
	list_init(&sa->children);
	list_init(&sa->heirs);
	list_init(&sa->of_parent);
	set_parent(sa, rekeyed ? ike_store_find(s, &rekeyed->ike) : NULL);
	slot = id_slot(s, id);
	sa->next_id = *slot;
	*slot = sa;
	list_add_tail(&sa->all, &s->all);
	s->n++;
	set_half(s, sa, true);
	return sa;
}

static bool has_other(const struct ike_sa *root, const struct ike_sa *sa)
{
	const struct ike_sa *at;

	for (at = root; at; at = next_of(root, at)) {
		if (at != sa && at->established && !at->gone)
			return true;
	}
	return false;
}

/* Of its ancestors' Child SAs it was the holder, and they end with it. */
static void end_inherited(struct ike_store *s, const struct ike_sa *sa)
{
	struct ike_sa *at = sa->parent;

	while (at && at->gone && !has_other(at, sa)) {
		remove_children(s, at);
		at = at->parent;
	}
}

void ike_store_drop(struct ike_store *s, struct ike_sa *sa)
{
	sa->gone = true;
	set_half(s, sa, false);
	if (sa->established && list_empty(&sa->heirs))
		end_inherited(s, sa);
	prune(s, sa);
}

void ike_store_clear(struct ike_store *s)
{
	while (!list_empty(&s->all))
		unlink_sa(s, container(s->all.next, struct ike_sa, all));
}

size_t ike_store_bytes(const struct ike_store *s)
{
	size_t n = s->n * sizeof(struct ike_sa) + s->n_children * sizeof(struct ike_child);
	const struct ike_sa *sa;

	ike_store_for_each(s, sa)
		n += sa->bytes;
	return n;
}

/* ---- messages ---- */

static bool same_blob(const struct ha_msg *a, const struct ha_msg *b, uint8_t type)
{
	const struct ha_attr *x = ha_find(a, type), *y = ha_find(b, type);

	return x && y && x->bytes.len == y->bytes.len &&
	       !sodium_memcmp(x->bytes.p, y->bytes.p, x->bytes.len);
}

/* One of its key exchanges is this one. */
static bool has_exchange(struct ike_store *s, const struct ike_sa *sa,
			 const struct ha_msg *msg)
{
	struct ha_msg *old = s->scratch;
	bool same = false;
	unsigned int i;

	for (i = 0; i < sa->adds && !same; i++)
		same = ike_store_parse(&sa->add[i], old) &&
		       same_blob(old, msg, HA_ATTR_NONCE_I) &&
		       same_blob(old, msg, HA_ATTR_NONCE_R) &&
		       same_blob(old, msg, HA_ATTR_SECRET);
	return same;
}

/* RFC 9370: further exchanges of an IKE SA come without a proposal (charon 6). */
static bool is_further(const struct ha_msg *msg)
{
	return !ha_find(msg, HA_ATTR_ALG_PRF) && !ha_find(msg, HA_ATTR_ALG_ENCR) &&
	       !ha_find(msg, HA_ATTR_IKE_REKEY_ID);
}

static int no_room(struct ike_sa *sa, const char *what, int ret)
{
	if (ret == -ENOSPC)
		sa->incomplete = what;
	return ret;
}

static int take_ike_add(struct ike_store *s, const struct ha_msg *msg)
{
	const struct ha_attr *rekeyed = ha_find(msg, HA_ATTR_IKE_REKEY_ID);
	const struct ha_ike_id *id = ha_ike_id(msg);
	struct ike_sa *sa = ike_store_find(s, id);
	int ret;

	if (sa && has_exchange(s, sa, msg))
		return IKE_STORE_SAME;
	if (sa && is_further(msg)) {
		ret = sa->adds == IKE_STORE_ADDS ? -ENOSPC :
		      keep(s, sa, &sa->add[sa->adds], msg);
		if (ret)
			return no_room(sa, "no room for a key exchange", ret);
		sa->adds++;
		return IKE_STORE_CHANGED;
	}
	if (rekeyed && ha_ike_id_equal(&rekeyed->ike, id))
		return -EBADMSG;
	/* Another one with the same SPIs: nothing of the old one holds for it. */
	if (sa && !list_empty(&sa->heirs))
		return -EBADMSG;
	if (sa)
		drop_untold(s, sa);
	if ((s->n >= s->max || s->n_half >= s->max_half) && !evict(s))
		return -ENOSPC;
	sa = new_sa(s, id, rekeyed);
	if (!sa)
		return -ENOMEM;
	ret = keep(s, sa, &sa->add[0], msg);
	if (ret) {
		remove_sa(s, sa);
		return ret;
	}
	sa->adds = 1;
	return IKE_STORE_CHANGED;
}

static struct ike_bytes *update_slot(struct ike_sa *sa, const struct ha_msg *msg)
{
	uint16_t i;

	if (ha_find(msg, HA_ATTR_CONFIG_NAME))
		return &sa->update;
	for (i = 0; i < msg->n; i++) {
		if (msg->attr[i].type != HA_ATTR_IKE_ID &&
		    msg->attr[i].type != HA_ATTR_LOCAL_VIP &&
		    msg->attr[i].type != HA_ATTR_REMOTE_VIP)
			return &sa->other;
	}
	return &sa->vips;
}

static int take_update(struct ike_store *s, struct ike_sa *sa,
		       const struct ha_msg *msg)
{
	struct ike_bytes *to = update_slot(sa, msg);
	int ret;

	if (same_bytes(to, msg))
		return IKE_STORE_SAME;
	ret = keep(s, sa, to, msg);
	if (ret)
		return no_room(sa, "no room for an update", ret);
	if (to == &sa->update) {
		wipe(sa, &sa->other);
		sa->established = true;
		set_half(s, sa, false);
	}
	return IKE_STORE_CHANGED;
}

static int take_mid(uint32_t *to, const struct ha_msg *msg)
{
	uint32_t mid = ha_find(msg, HA_ATTR_MID)->u32;

	/* charon passes over 0, too. */
	if (!mid || mid == *to)
		return IKE_STORE_SAME;
	*to = mid;
	return IKE_STORE_CHANGED;
}

static int take_iv(struct ike_store *s, struct ike_sa *sa,
		   const struct ha_msg *msg)
{
	int ret;

	if (same_bytes(&sa->iv, msg))
		return IKE_STORE_SAME;
	ret = keep(s, sa, &sa->iv, msg);
	return ret ? no_room(sa, "no room for its IV", ret) : IKE_STORE_CHANGED;
}

/* Where that is not possible the old one stays: it is what others know. */
static int replace_child(struct ike_store *s, struct ike_child *c, const struct ha_msg *msg)
{
	int ret = keep(s, c->sa, &c->add, msg);

	if (ret)
		return ret;
	c->out_spi = ha_find(msg, HA_ATTR_OUTBOUND_SPI)->spi;
	c->of_mid = 0;
	list_del(&c->of_sa);
	list_add_tail(&c->of_sa, &c->sa->children);
	return 0;
}

static int take_child_add(struct ike_store *s, struct ike_sa *sa,
			  const struct ha_msg *msg)
{
	uint32_t spi = ha_find(msg, HA_ATTR_INBOUND_SPI)->spi;
	struct ike_child *old = child_of(sa, spi);
	int ret;

	if (old && same_bytes(&old->add, msg))
		return IKE_STORE_SAME;
	ret = old ? replace_child(s, old, msg) : add_child(s, sa, spi, msg);
	return ret ? no_room(sa, "no room for a Child SA", ret) : IKE_STORE_CHANGED;
}

/* The IKE SA that deletes it may have it of one before. */
static int take_child_delete(struct ike_store *s, struct ike_sa *sa,
			     const struct ha_msg *msg)
{
	uint32_t spi = ha_find(msg, HA_ATTR_INBOUND_SPI)->spi;
	struct ike_child *c = NULL;

	while (sa && !(c = child_of(sa, spi)))
		sa = sa->parent;
	if (!c)
		return IKE_STORE_SAME;
	remove_child(s, c);
	prune(s, sa);
	return IKE_STORE_CHANGED;
}

static int take_of_sa(struct ike_store *s, struct ike_sa *sa,
		      const struct ha_msg *msg)
{
	switch (msg->type) {
	case HA_IKE_UPDATE:
		return take_update(s, sa, msg);
	case HA_IKE_MID_INITIATOR:
		return take_mid(&sa->mid_i, msg);
	case HA_IKE_MID_RESPONDER:
		return take_mid(&sa->mid_r, msg);
	case HA_IKE_IV:
		return take_iv(s, sa, msg);
	case HA_CHILD_ADD:
		return take_child_add(s, sa, msg);
	default:
		return IKE_STORE_SAME;
	}
}

static int take(struct ike_store *s, const struct ha_msg *msg)
{
	const struct ha_ike_id *id = ha_ike_id(msg);
	struct ike_sa *sa;

	if (msg->type == HA_IKE_ADD)
		return take_ike_add(s, msg);
	if (!id)
		return IKE_STORE_SAME;	/* of segments */
	sa = ike_store_find(s, id);
	if (!sa)
		return -ENOENT;
	if (msg->type == HA_CHILD_DELETE)
		return take_child_delete(s, sa, msg);
	if (sa->gone)
		return -ENOENT;
	if (msg->type != HA_IKE_DELETE)
		return take_of_sa(s, sa, msg);
	ike_store_drop(s, sa);
	return IKE_STORE_CHANGED;
}

int ike_store_take(struct ike_store *s, const struct ha_msg *msg)
{
	int ret = take(s, msg);
	struct ike_sa *sa;

	if (ret != IKE_STORE_CHANGED)
		return ret;
	s->serial++;
	sa = ike_store_find(s, ha_ike_id(msg));
	if (sa)
		sa->changed = s->serial;
	return ret;
}

struct ike_sa *ike_store_holder(const struct ike_child *c)
{
	struct ike_sa *sa, *holder = c->sa;

	for (sa = c->sa; sa; sa = next_of(c->sa, sa)) {
		if (sa->established)
			holder = sa;
	}
	return holder;
}

void ike_store_set_mid(struct ike_sa *sa, bool initiator, uint32_t mid)
{
	*(initiator ? &sa->mid_i : &sa->mid_r) = mid;
}

/* ---- made here ---- */

static uint8_t version_of(const struct ike_sa *sa)
{
	return sa->add[0].p ? sa->add[0].p[0] : HA_VERSION;
}

static struct ha_msg *begin(const struct ike_sa *sa, uint8_t type)
{
	struct ha_msg *msg = calloc(1, sizeof(*msg));

	if (!msg)
		return NULL;
	ha_begin(msg, version_of(sa), type);
	ha_put_ike_id(msg, HA_ATTR_IKE_ID, &sa->id);
	return msg;
}

static int finish(struct ha_msg *msg, struct buf *out)
{
	int ret = ha_build(msg, out, NULL);

	free(msg);
	return ret;
}

int ike_store_mid_msg(const struct ike_sa *sa, bool initiator, uint32_t mid,
		      struct buf *out)
{
	struct ha_msg *msg = begin(sa, initiator ? HA_IKE_MID_INITIATOR :
						   HA_IKE_MID_RESPONDER);

	if (!msg)
		return -ENOMEM;
	ha_put_u32(msg, HA_ATTR_MID, mid);
	return finish(msg, out);
}

int ike_store_delete_msg(const struct ike_sa *sa, struct buf *out)
{
	struct ha_msg *msg = begin(sa, HA_IKE_DELETE);

	return msg ? finish(msg, out) : -ENOMEM;
}

int ike_store_child_delete_msg(const struct ike_sa *sa, uint32_t in_spi,
			       struct buf *out)
{
	struct ha_msg *msg = begin(sa, HA_CHILD_DELETE);

	if (!msg)
		return -ENOMEM;
	ha_put_spi(msg, HA_ATTR_INBOUND_SPI, in_spi);
	return finish(msg, out);
}

/* ---- to play it ---- */

struct play {
	ike_store_fn *fn;
	void *arg;
};

static int play_bytes(const struct play *p, const struct ike_sa *sa,
		      const struct ike_bytes *b)
{
	return b->p ? p->fn(p->arg, sa, b->p, b->len) : 0;
}

static int play_made(const struct play *p, const struct ike_sa *sa, int made,
		     struct buf *b)
{
	int ret = made ? made : p->fn(p->arg, sa, b->data, b->len);

	buf_free(b);
	return ret;
}

static int play_delete(const struct play *p, const struct ike_sa *sa)
{
	struct buf b = {};

	return play_made(p, sa, ike_store_delete_msg(sa, &b), &b);
}

static int play_mid(const struct play *p, const struct ike_sa *sa,
		    bool initiator, uint32_t mid)
{
	struct buf b = {};

	if (!mid)
		return 0;
	return play_made(p, sa, ike_store_mid_msg(sa, initiator, mid, &b), &b);
}

/* What was rekeyed was more than begun, whatever was heard of it. */
bool ike_store_is_half(const struct ike_sa *sa)
{
	return !sa->established && !sa->gone && list_empty(&sa->heirs);
}

static int play_adds(const struct play *p, const struct ike_sa *sa)
{
	const struct ike_sa *parent = sa->parent;
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < sa->adds; i++)
		ret = play_bytes(p, sa, &sa->add[i]);
	/* As charon does it: its heir has all that it had. */
	if (!ret && parent && parent->gone &&
	    (!ike_store_is_half(sa) || !has_other(parent, sa)))
		ret = play_delete(p, parent);
	return ret;
}

static int play_children(const struct play *p, const struct ike_sa *sa)
{
	struct ike_child *c;
	int ret;

	ike_sa_for_each_child(sa, c) {
		ret = p->fn(p->arg, sa, c->add.p, c->add.len);
		if (ret)
			return ret;
	}
	return 0;
}

/* Addresses and the connection come before the Child SAs, which are made with them. */
static int play_one(const struct play *p, const struct ike_sa *sa)
{
	int ret = play_adds(p, sa);

	if (!ret)
		ret = play_bytes(p, sa, &sa->update);
	if (!ret)
		ret = play_bytes(p, sa, &sa->other);
	if (!ret)
		ret = play_bytes(p, sa, &sa->vips);
	if (!ret)
		ret = play_mid(p, sa, true, sa->mid_i);
	if (!ret)
		ret = play_mid(p, sa, false, sa->mid_r);
	if (!ret)
		ret = play_bytes(p, sa, &sa->iv);
	return ret ? ret : play_children(p, sa);
}

static int play_family(const struct play *p, const struct ike_sa *root)
{
	const struct ike_sa *sa;
	int half, ret = 0;

	for (sa = root; !ret && sa; sa = next_of(root, sa))
		ret = play_delete(p, sa);
	for (half = 0; half < 2; half++) {
		for (sa = root; !ret && sa; sa = next_of(root, sa)) {
			if (ike_store_is_half(sa) == half)
				ret = play_one(p, sa);
		}
	}
	return ret;
}

int ike_store_play_sa(const struct ike_sa *sa, ike_store_fn *fn, void *arg)
{
	const struct play p = { .fn = fn, .arg = arg };

	while (sa->parent)
		sa = sa->parent;
	return play_family(&p, sa);
}

int ike_store_play(const struct ike_store *s, ike_store_fn *fn, void *arg)
{
	const struct play p = { .fn = fn, .arg = arg };
	struct ike_sa *sa;
	int half, ret = 0;

	for (half = 0; half < 2; half++) {
		ike_store_for_each(s, sa) {
			if (!ret && !sa->parent && ike_store_is_half(sa) == half)
				ret = play_family(&p, sa);
		}
	}
	return ret;
}
