// SPDX-License-Identifier: GPL-2.0
/*
 * In: lives of a few IKE SAs, three bytes a message: what, of which, and its value.
 * Out: the store counts right, keeps its limits, and plays what makes the same store.
 * libFuzzer's harness: the store of what charon told.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "ike_store.h"

#define SAS 8
#define MAX 6
#define MAX_HALF 3
#define MAX_BYTES 700

static struct ha_msg msg, parsed;

static struct ha_ike_id id_of(uint8_t n)
{
	struct ha_ike_id id = { .version = 2 };

	id.spi_i[0] = n % SAS + 1;
	id.spi_r[7] = n % SAS + 1;
	return id;
}

static void put_ike_add(uint8_t v)
{
	static const uint8_t secrets[8][4] = { { 1 }, { 2 }, { 3 }, { 4 } };
	struct ha_ike_id old = id_of(v >> 2);

	if (v & 0x80)
		ha_put_ike_id(&msg, HA_ATTR_IKE_REKEY_ID, &old);
	if (v & 0x40)
		ha_put_u16(&msg, HA_ATTR_ALG_PRF, 5);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, secrets[v & 3], 4);
}

static void put_update(uint8_t v)
{
	struct ha_addr a = { .family = 2, .addr = { 10, v >> 2 } };

	if (v & 1)
		ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "site", 4);
	ha_put_addr(&msg, v & 2 ? HA_ATTR_REMOTE_VIP : HA_ATTR_REMOTE_ADDR, &a);
}

static void put_child_add(uint8_t v)
{
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, v % 32);
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, v);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
}

static int take(struct ike_store *s, uint8_t type, uint8_t n, uint8_t v)
{
	struct ha_ike_id id = id_of(n);
	struct buf b = {};
	int ret;

	ha_begin(&msg, 3, type);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	if (type == HA_IKE_ADD)
		put_ike_add(v);
	else if (type == HA_IKE_UPDATE)
		put_update(v);
	else if (type == HA_IKE_MID_INITIATOR || type == HA_IKE_MID_RESPONDER)
		ha_put_u32(&msg, HA_ATTR_MID, v);
	else if (type == HA_CHILD_ADD)
		put_child_add(v);
	else if (type == HA_CHILD_DELETE)
		ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, v % 32);
	else if (type == HA_IKE_IV)
		ha_put_bytes(&msg, HA_ATTR_IV, &v, 1);
	assert(!ha_build(&msg, &b, NULL));
	assert(!ha_parse(b.data, b.len, &parsed, NULL));
	ret = ike_store_take(s, &parsed);
	buf_free(&b);
	return ret;
}

static size_t bytes_of(const struct ike_sa *sa)
{
	size_t sum = sa->update.len + sa->other.len + sa->vips.len + sa->iv.len;
	const struct ike_child *c;
	unsigned int i, n = 0;

	for (i = 0; i < sa->adds; i++)
		sum += sa->add[i].len;
	ike_sa_for_each_child(sa, c) {
		assert(c->sa == sa);
		sum += c->add.len;
		n++;
	}
	assert(n == sa->n_children);
	return sum;
}

static void check(const struct ike_store *s)
{
	size_t n = 0, half = 0, children = 0;
	const struct ike_sa *sa, *at;
	unsigned int depth;

	ike_store_for_each(s, sa) {
		assert(ike_store_find(s, &sa->id) == sa);
		assert(sa->adds >= 1 && sa->bytes == bytes_of(sa));
		assert(sa->bytes <= s->max_bytes);
		if (sa->gone)
			assert(!list_empty(&sa->heirs) && sa->n_children);
		for (at = sa, depth = 0; at->parent; at = at->parent)
			assert(depth++ < s->n);
		n++;
		half += !sa->established && !sa->gone;
		children += sa->n_children;
	}
	assert(n == s->n && n <= s->max);
	assert(half == s->n_half && half <= s->max_half);
	assert(children == s->n_children);
}

/* Its tables are large: they are made once. */
static void limit(struct ike_store *s)
{
	if (!s->by_id)
		assert(!ike_store_init(s));
	s->max = MAX;
	s->max_half = MAX_HALF;
	s->max_bytes = MAX_BYTES;
}

static int hear(void *to, const struct ike_sa *sa, const uint8_t *p, size_t len)
{
	assert(sa);
	assert(!ha_parse(p, len, &parsed, NULL));
	assert(ike_store_take(to, &parsed) != -EBADMSG);
	return 0;
}

static bool same(const struct ike_bytes *a, const struct ike_bytes *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->p, b->p, a->len));
}

static void check_same(const struct ike_sa *a, const struct ike_sa *b)
{
	const struct ike_child *c, *d;
	unsigned int i;

	assert(b && a->established == b->established && a->gone == b->gone);
	assert(a->adds == b->adds && a->n_children == b->n_children);
	for (i = 0; i < a->adds; i++)
		assert(same(&a->add[i], &b->add[i]));
	assert(same(&a->update, &b->update) && same(&a->other, &b->other));
	assert(same(&a->vips, &b->vips) && same(&a->iv, &b->iv));
	assert(a->mid_i == b->mid_i && a->mid_r == b->mid_r);
	d = container(b->children.next, struct ike_child, of_sa);
	ike_sa_for_each_child(a, c) {
		assert(c->in_spi == d->in_spi && same(&c->add, &d->add));
		d = container(d->of_sa.next, struct ike_child, of_sa);
	}
}

/* Whoever takes what is played has the same. */
static void check_played(const struct ike_store *s)
{
	static struct ike_store copy;
	const struct ike_sa *sa;

	limit(&copy);
	copy.max_half = MAX;
	assert(!ike_store_play(s, hear, &copy));
	assert(copy.n == s->n);
	ike_store_for_each(s, sa)
		check_same(sa, ike_store_find(&copy, &sa->id));
	ike_store_clear(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t types[] = {
		HA_IKE_ADD, HA_IKE_UPDATE, HA_IKE_MID_INITIATOR, HA_IKE_MID_RESPONDER,
		HA_IKE_DELETE, HA_CHILD_ADD, HA_CHILD_DELETE, HA_IKE_IV,
	};
	static struct ike_store s;

	limit(&s);
	for (; size >= 3; data += 3, size -= 3) {
		take(&s, types[data[0] % sizeof(types)], data[1], data[2]);
		check(&s);
	}
	check_played(&s);
	ike_store_clear(&s);
	return 0;
}
