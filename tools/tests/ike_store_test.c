// SPDX-License-Identifier: GPL-2.0
/*
 * In: messages of charon's ha plugin, in the order of lives of IKE SAs.
 * Out: what the store plays for each, to a charon that has none of it.
 * Host only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ike_store.h"

static struct ha_msg msg, seen;

static struct ha_ike_id id_of(uint8_t n)
{
	struct ha_ike_id id = { .version = 2 };

	id.spi_i[7] = n;
	id.spi_r[0] = n;
	return id;
}

/* ---- messages ---- */

static void begin(uint8_t type, uint8_t n)
{
	struct ha_ike_id id = id_of(n);

	ha_begin(&msg, 3, type);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
}

static int take(struct ike_store *s)
{
	struct ha_msg parsed;
	struct buf b = {};
	int ret;

	assert_int_equal(ha_build(&msg, &b, NULL), 0);
	assert_int_equal(ha_parse(b.data, b.len, &parsed, NULL), 0);
	ret = ike_store_take(s, &parsed);
	buf_free(&b);
	return ret;
}

/* Its keys are told by its number, unless they are another's. */
static int ike_add(struct ike_store *s, uint8_t n, uint8_t rekeyed, uint8_t keys)
{
	struct ha_ike_id id = id_of(rekeyed);
	uint8_t secret[32] = { keys };

	begin(HA_IKE_ADD, n);
	if (rekeyed) {
		ha_put_ike_id(&msg, HA_ATTR_IKE_REKEY_ID, &id);
		ha_put_bytes(&msg, HA_ATTR_OLD_SKD, secret, sizeof(secret));
	}
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, 12);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, 5);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, secret, sizeof(secret));
	return take(s);
}

static int update(struct ike_store *s, uint8_t n, uint8_t addr)
{
	const struct ha_addr a = { .family = 2, .addr = { 192, 0, 2, addr } };

	begin(HA_IKE_UPDATE, n);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &a);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "site", 4);
	return take(s);
}

static int address(struct ike_store *s, uint8_t n, uint8_t addr)
{
	const struct ha_addr a = { .family = 2, .addr = { 192, 0, 2, addr } };

	begin(HA_IKE_UPDATE, n);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &a);
	return take(s);
}

static int vip(struct ike_store *s, uint8_t n, uint8_t addr)
{
	const struct ha_addr a = { .family = 2, .addr = { 10, 3, 0, addr } };

	begin(HA_IKE_UPDATE, n);
	ha_put_addr(&msg, HA_ATTR_REMOTE_VIP, &a);
	return take(s);
}

static int mid(struct ike_store *s, uint8_t n, bool initiator, uint32_t v)
{
	begin(initiator ? HA_IKE_MID_INITIATOR : HA_IKE_MID_RESPONDER, n);
	ha_put_u32(&msg, HA_ATTR_MID, v);
	return take(s);
}

static int iv(struct ike_store *s, uint8_t n, uint8_t v)
{
	begin(HA_IKE_IV, n);
	ha_put_bytes(&msg, HA_ATTR_IV, &v, 1);
	return take(s);
}

static int ike_delete(struct ike_store *s, uint8_t n)
{
	begin(HA_IKE_DELETE, n);
	return take(s);
}

static int child_add(struct ike_store *s, uint8_t n, uint32_t spi)
{
	begin(HA_CHILD_ADD, n);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(spi));
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, htonl(spi + 1000));
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	return take(s);
}

static int child_delete(struct ike_store *s, uint8_t n, uint32_t spi)
{
	begin(HA_CHILD_DELETE, n);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(spi));
	return take(s);
}

/* ---- what is played, in words ---- */

static char played[8192];

static void word(const char *format, ...)
{
	size_t len = strlen(played);
	va_list ap;

	va_start(ap, format);
	vsnprintf(played + len, sizeof(played) - len, format, ap);
	va_end(ap);
}

static uint8_t last_byte(uint8_t attr)
{
	return ha_find(&seen, attr)->addr.addr[3];
}

static void update_word(uint8_t n)
{
	if (ha_find(&seen, HA_ATTR_CONFIG_NAME))
		word(" U%u@%u", n, last_byte(HA_ATTR_REMOTE_ADDR));
	else if (ha_find(&seen, HA_ATTR_REMOTE_VIP))
		word(" V%u@%u", n, last_byte(HA_ATTR_REMOTE_VIP));
	else
		word(" P%u@%u", n, last_byte(HA_ATTR_REMOTE_ADDR));
}

static int hear(void *arg, const struct ike_sa *sa, const uint8_t *p, size_t len)
{
	const struct ha_attr *a;
	uint8_t n;

	assert_int_equal(ha_parse(p, len, &seen, NULL), 0);
	assert_true(ha_ike_id_equal(ha_ike_id(&seen), &sa->id) ||
		    seen.type == HA_IKE_DELETE);
	n = ha_ike_id(&seen)->spi_i[7];
	switch (seen.type) {
	case HA_IKE_ADD:
		a = ha_find(&seen, HA_ATTR_IKE_REKEY_ID);
		word(a ? " A%u<%u" : " A%u", n, a ? a->ike.spi_i[7] : 0);
		break;
	case HA_IKE_UPDATE:
		update_word(n);
		break;
	case HA_IKE_MID_INITIATOR:
	case HA_IKE_MID_RESPONDER:
		word(" %c%u=%u", seen.type == HA_IKE_MID_INITIATOR ? 'I' : 'R', n,
		     ha_find(&seen, HA_ATTR_MID)->u32);
		break;
	case HA_IKE_IV:
		word(" X%u=%u", n, ha_find(&seen, HA_ATTR_IV)->bytes.p[0]);
		break;
	case HA_CHILD_ADD:
		word(" C%u:%u", n,
		     ntohl(ha_find(&seen, HA_ATTR_INBOUND_SPI)->spi));
		break;
	default:
		assert_int_equal(seen.type, HA_IKE_DELETE);
		word(" D%u", n);
	}
	return arg ? ike_store_take(arg, &seen) < -ENOENT : 0;
}

static void check_one(struct ike_store *s, const char *want)
{
	played[0] = 0;
	assert_int_equal(ike_store_play(s, hear, NULL), 0);
	assert_string_equal(played[0] ? played + 1 : "", want);
}

/* And another store, that takes what this one plays, plays the same. */
static void check(struct ike_store *s, const char *want)
{
	struct ike_store copy;

	check_one(s, want);
	assert_int_equal(ike_store_init(&copy), 0);
	played[0] = 0;
	assert_int_equal(ike_store_play(s, hear, &copy), 0);
	check_one(&copy, want);
	/* Twice, too: what it plays deletes first what it makes. */
	played[0] = 0;
	assert_int_equal(ike_store_play(s, hear, &copy), 0);
	check_one(&copy, want);
	assert_int_equal(copy.n_children, s->n_children);
	ike_store_exit(&copy);
}

/* ---- the tests ---- */

static struct ike_store store;

static int set_up(void **state)
{
	(void)state;
	return ike_store_init(&store);
}

static int tear_down(void **state)
{
	(void)state;
	ike_store_exit(&store);
	return 0;
}

static void established(uint8_t n)
{
	assert_int_equal(ike_add(&store, n, 0, n), IKE_STORE_CHANGED);
	assert_int_equal(mid(&store, n, false, 2), IKE_STORE_CHANGED);
	assert_int_equal(update(&store, n, 1), IKE_STORE_CHANGED);
}

static void test_life(void **state)
{
	(void)state;
	established(1);
	child_add(&store, 1, 10);
	check(&store, "D1 A1 U1@1 R1=2 C1:10");
	mid(&store, 1, true, 1);
	mid(&store, 1, true, 2);
	mid(&store, 1, false, 5);
	child_add(&store, 1, 11);
	assert_int_equal(child_delete(&store, 1, 10), IKE_STORE_CHANGED);
	check(&store, "D1 A1 U1@1 I1=2 R1=5 C1:11");
	assert_int_equal(store.n_children, 1);
	assert_int_equal(ike_delete(&store, 1), IKE_STORE_CHANGED);
	check(&store, "");
	assert_int_equal(store.n + store.n_children + store.n_half, 0);
}

static void test_updates(void **state)
{
	(void)state;
	established(1);
	vip(&store, 1, 7);
	iv(&store, 1, 3);
	address(&store, 1, 8);
	address(&store, 1, 9);
	iv(&store, 1, 4);
	check(&store, "D1 A1 U1@1 P1@9 V1@7 R1=2 X1=4");
	/* All of it once more: what was said of a part before is over. */
	update(&store, 1, 5);
	vip(&store, 1, 8);
	check(&store, "D1 A1 U1@5 V1@8 R1=2 X1=4");
}

static void test_repeated(void **state)
{
	uint64_t serial;

	(void)state;
	established(1);
	child_add(&store, 1, 10);
	vip(&store, 1, 7);
	iv(&store, 1, 3);
	serial = store.serial;
	assert_int_equal(ike_add(&store, 1, 0, 1), IKE_STORE_SAME);
	assert_int_equal(update(&store, 1, 1), IKE_STORE_SAME);
	assert_int_equal(vip(&store, 1, 7), IKE_STORE_SAME);
	assert_int_equal(iv(&store, 1, 3), IKE_STORE_SAME);
	assert_int_equal(mid(&store, 1, false, 2), IKE_STORE_SAME);
	assert_int_equal(mid(&store, 1, false, 0), IKE_STORE_SAME);
	assert_int_equal(child_add(&store, 1, 10), IKE_STORE_SAME);
	assert_int_equal(child_delete(&store, 1, 99), IKE_STORE_SAME);
	assert_int_equal(store.serial, serial);
	check(&store, "D1 A1 U1@1 V1@7 R1=2 X1=3 C1:10");
	/* Other keys: another IKE SA, and nothing of the old one. */
	assert_int_equal(ike_add(&store, 1, 0, 99), IKE_STORE_CHANGED);
	check(&store, "D1 A1");
	assert_int_equal(store.n_half, 1);
}

static void test_unknown(void **state)
{
	(void)state;
	assert_int_equal(update(&store, 1, 1), -ENOENT);
	assert_int_equal(mid(&store, 1, true, 2), -ENOENT);
	assert_int_equal(child_add(&store, 1, 10), -ENOENT);
	assert_int_equal(child_delete(&store, 1, 10), -ENOENT);
	assert_int_equal(ike_delete(&store, 1), -ENOENT);
	ha_begin(&msg, 3, HA_STATUS);
	ha_put_u16(&msg, HA_ATTR_SEGMENT, 1);
	assert_int_equal(take(&store), IKE_STORE_SAME);
	check(&store, "");
	assert_int_equal(ike_add(&store, 1, 1, 1), -EBADMSG);
}

/* As charon tells it: the new one, the end of the old one, what the new one is. */
static void rekey(uint8_t from, uint8_t to)
{
	assert_int_equal(ike_add(&store, to, from, to), IKE_STORE_CHANGED);
	assert_int_equal(ike_delete(&store, from), IKE_STORE_CHANGED);
	assert_int_equal(update(&store, to, 1), IKE_STORE_CHANGED);
}

static void test_rekey_without_children(void **state)
{
	(void)state;
	established(1);
	rekey(1, 2);
	check(&store, "D2 A2<1 U2@1");
	assert_int_equal(store.n, 1);
}

static void test_rekey(void **state)
{
	struct ha_ike_id id = id_of(2);

	(void)state;
	established(1);
	child_add(&store, 1, 10);
	rekey(1, 2);
	mid(&store, 2, true, 1);
	child_add(&store, 2, 11);
	check(&store, "D1 D2 A1 U1@1 R1=2 C1:10 A2<1 D1 U2@1 I2=1 C2:11");
	assert_ptr_equal(ike_store_holder(ike_store_find_child(&store,
							       htonl(10))),
			 ike_store_find(&store, &id));
	/* The new one deletes what the old one made. */
	assert_int_equal(child_delete(&store, 2, 10), IKE_STORE_CHANGED);
	check(&store, "D2 A2<1 U2@1 I2=1 C2:11");
	assert_int_equal(store.n, 1);
	assert_null(ike_store_find_child(&store, htonl(10)));
}

/* The one between has no Child SAs: the last one comes of the first then. */
static void test_generations(void **state)
{
	(void)state;
	established(1);
	child_add(&store, 1, 10);
	rekey(1, 2);
	rekey(2, 3);
	check(&store, "D1 D3 A1 U1@1 R1=2 C1:10 A3<1 D1 U3@1");
	child_add(&store, 3, 11);
	rekey(3, 4);
	check(&store, "D1 D3 D4 A1 U1@1 R1=2 C1:10 A3<1 D1 U3@1 C3:11 A4<3 D3 U4@1");
	child_delete(&store, 4, 11);
	check(&store, "D1 D4 A1 U1@1 R1=2 C1:10 A4<1 D1 U4@1");
	/* Told again by charon, as it was: it is known. */
	assert_int_equal(ike_add(&store, 4, 3, 4), IKE_STORE_SAME);
	child_delete(&store, 4, 10);
	check(&store, "D4 A4<1 U4@1");
	ike_delete(&store, 4);
	assert_int_equal(store.n, 0);
}

static void test_end_of_heirs(void **state)
{
	(void)state;
	established(1);
	child_add(&store, 1, 10);
	rekey(1, 2);
	child_add(&store, 2, 11);
	rekey(2, 3);
	assert_int_equal(store.n, 3);
	ike_delete(&store, 3);
	assert_int_equal(store.n, 0);
	assert_int_equal(store.n_children, 0);
}

/* charon tells it of the first one alone. */
static void test_vip_is_inherited(void **state)
{
	(void)state;
	established(1);
	vip(&store, 1, 7);
	child_add(&store, 1, 10);
	rekey(1, 2);
	check(&store, "D1 D2 A1 U1@1 V1@7 R1=2 C1:10 A2<1 D1 U2@1");
	child_add(&store, 2, 11);
	child_delete(&store, 2, 10);
	check(&store, "D2 A2<1 U2@1 V2@7 C2:11");
	rekey(2, 3);
	child_delete(&store, 3, 11);
	check(&store, "D3 A3<2 U3@1 V3@7");
}

/* Both sides rekey at once: one of the two new ones comes to nothing. */
static void test_collision(void **state)
{
	struct ha_ike_id id = id_of(2);

	(void)state;
	established(1);
	child_add(&store, 1, 10);
	ike_add(&store, 2, 1, 2);
	check(&store, "D1 D2 A1 U1@1 R1=2 C1:10 A2<1");
	ike_add(&store, 3, 1, 3);
	ike_delete(&store, 1);
	/* Nobody knows whose the Child SAs are: of the first, it may be. */
	check_one(&store, "D1 D2 D3 A1 U1@1 R1=2 C1:10 A2<1 D1 A3<1 D1");
	update(&store, 3, 1);
	check_one(&store, "D1 D2 D3 A1 U1@1 R1=2 C1:10 A3<1 D1 U3@1 A2<1");
	played[0] = 0;
	assert_int_equal(ike_store_play_sa(ike_store_find(&store, &id), hear, NULL), 0);
	assert_string_equal(played, " D1 D2 D3 A1 U1@1 R1=2 C1:10 A3<1 D1 U3@1 A2<1");
	ike_delete(&store, 2);
	check(&store, "D1 D3 A1 U1@1 R1=2 C1:10 A3<1 D1 U3@1");
}

/* The Child SAs were those of the one that came to be, and end with it. */
static void test_winner_ends(void **state)
{
	(void)state;
	established(1);
	child_add(&store, 1, 10);
	ike_add(&store, 2, 1, 2);
	ike_add(&store, 3, 1, 3);
	ike_delete(&store, 1);
	update(&store, 3, 1);
	ike_delete(&store, 3);
	assert_int_equal(store.n_children, 0);
	check(&store, "D2 A2<1");
}

/* Where the second one is half of the way, and the first generation has Child SAs. */
static void test_amid_second_rekey(void **state)
{
	(void)state;
	established(1);
	child_add(&store, 1, 10);
	rekey(1, 2);
	ike_add(&store, 3, 2, 3);
	check(&store, "D1 D2 D3 A1 U1@1 R1=2 C1:10 A2<1 D1 U2@1 A3<2");
	ike_delete(&store, 2);
	check(&store, "D1 D3 A1 U1@1 R1=2 C1:10 A3<1 D1");
	update(&store, 3, 1);
	check(&store, "D1 D3 A1 U1@1 R1=2 C1:10 A3<1 D1 U3@1");
}

static void test_order(void **state)
{
	(void)state;
	ike_add(&store, 9, 0, 9);
	established(1);
	child_add(&store, 1, 10);
	established(2);
	child_add(&store, 2, 20);
	rekey(1, 3);
	check(&store, "D1 D3 A1 U1@1 R1=2 C1:10 A3<1 D1 U3@1 "
		      "D2 A2 U2@1 R2=2 C2:20 D9 A9");
}

static int stop_at_third(void *arg, const struct ike_sa *sa, const uint8_t *p,
			 size_t len)
{
	(void)sa;
	(void)p;
	(void)len;
	return ++*(int *)arg == 3 ? -EAGAIN : 0;
}

static void test_stop(void **state)
{
	int n = 0;

	(void)state;
	established(1);
	established(2);
	assert_int_equal(ike_store_play(&store, stop_at_third, &n), -EAGAIN);
	assert_int_equal(n, 3);
}

static void test_half_open(void **state)
{
	struct ha_ike_id id = id_of(1);
	uint8_t i;

	(void)state;
	store.max_half = 4;
	established(100);
	for (i = 1; i <= 10; i++)
		assert_int_equal(ike_add(&store, i, 0, i), IKE_STORE_CHANGED);
	assert_int_equal(store.n_half, 4);
	assert_int_equal(store.evicted, 6);
	assert_null(ike_store_find(&store, &id));
	check(&store, "D100 A100 U100@1 R100=2 D7 A7 D8 A8 D9 A9 D10 A10");
}

static void test_full(void **state)
{
	(void)state;
	store.max = 3;
	established(1);
	established(2);
	ike_add(&store, 3, 0, 3);
	/* One that never came to be makes room; nothing else does. */
	assert_int_equal(ike_add(&store, 4, 0, 4), IKE_STORE_CHANGED);
	update(&store, 4, 1);
	assert_int_equal(ike_add(&store, 5, 0, 5), -ENOSPC);
	assert_int_equal(store.n, 3);
	check(&store, "D1 A1 U1@1 R1=2 D2 A2 U2@1 R2=2 D4 A4 U4@1");
}

static void test_bytes(void **state)
{
	struct ha_ike_id id = id_of(1);
	struct ike_sa *sa;
	uint32_t spi;

	(void)state;
	store.max_bytes = 512;
	established(1);
	sa = ike_store_find(&store, &id);
	for (spi = 10; !child_add(&store, 1, spi) || !sa->incomplete; spi++)
		assert_true(spi < 100);
	assert_string_equal(sa->incomplete, "no room for a Child SA");
	assert_true(sa->bytes <= 512);
	assert_int_equal(sa->n_children, spi - 10);
	while (spi-- > 10)
		assert_int_equal(child_delete(&store, 1, spi), IKE_STORE_CHANGED);
	assert_int_equal(child_add(&store, 1, 10), IKE_STORE_CHANGED);
}

/* Where there is no room for another one of that SPI, the one that peers know stays. */
static void test_no_room_for_another(void **state)
{
	struct ha_ike_id id = id_of(1);
	char name[100] = "";
	struct ike_sa *sa;
	size_t bytes;

	(void)state;
	established(1);
	assert_int_equal(child_add(&store, 1, 10), IKE_STORE_CHANGED);
	assert_int_equal(child_add(&store, 1, 11), IKE_STORE_CHANGED);
	sa = ike_store_find(&store, &id);
	bytes = store.max_bytes = sa->bytes;
	memset(name, 'x', sizeof(name) - 1);
	begin(HA_CHILD_ADD, 1);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(10));
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, htonl(12));
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, name, strlen(name));
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	assert_int_equal(take(&store), -ENOSPC);
	assert_string_equal(sa->incomplete, "no room for a Child SA");
	assert_int_equal(sa->n_children, 2);
	assert_int_equal(sa->bytes, bytes);
	store.max_bytes = 2 * bytes;
	assert_int_equal(take(&store), IKE_STORE_CHANGED);
	assert_int_equal(sa->n_children, 2);
	assert_int_equal(ike_store_find_child(&store, htonl(10))->out_spi, htonl(12));
	/* It is the last one now. */
	assert_ptr_equal(sa->children.prev, &ike_store_find_child(&store, htonl(10))->of_sa);
}

/* charon 6: IKE_INTERMEDIATE's key exchanges come one by one, without a proposal. */
static void test_further_exchanges(void **state)
{
	int i;

	(void)state;
	established(1);
	for (i = 0; i < IKE_STORE_ADDS; i++) {
		begin(HA_IKE_ADD, 1);
		ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
		ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
		ha_put_bytes(&msg, HA_ATTR_SECRET, "0123456789" + i, 2);
		assert_int_equal(take(&store), i < IKE_STORE_ADDS - 1 ?
				 IKE_STORE_CHANGED : -ENOSPC);
		if (i < IKE_STORE_ADDS - 1)
			assert_int_equal(take(&store), IKE_STORE_SAME);
	}
	check_one(&store, "D1 A1 A1 A1 A1 A1 A1 A1 A1 U1@1 R1=2");
}

static void test_repair(void **state)
{
	struct ha_ike_id id = id_of(1);
	struct ike_sa *sa;
	struct buf b = {};

	(void)state;
	established(1);
	sa = ike_store_find(&store, &id);
	ike_store_set_mid(sa, true, 4);
	ike_store_set_mid(sa, false, 0);
	check(&store, "D1 A1 U1@1 I1=4");
	assert_int_equal(ike_store_child_delete_msg(sa, htonl(10), &b), 0);
	assert_int_equal(ha_parse(b.data, b.len, &msg, NULL), 0);
	assert_int_equal(msg.type, HA_CHILD_DELETE);
	assert_int_equal(ha_find(&msg, HA_ATTR_INBOUND_SPI)->spi, htonl(10));
	buf_free(&b);
}

/* Of many: each is found, and none is left. */
static void test_many(void **state)
{
	const int n = 5000;
	struct ha_ike_id id;
	struct ike_sa *sa;
	int i;

	(void)state;
	store.max_half = n;
	for (i = 0; i < n; i++) {
		begin(HA_IKE_ADD, 1);
		msg.attr[0].ike.spi_i[0] = i >> 8;
		msg.attr[0].ike.spi_i[1] = i;
		ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
		ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
		ha_put_bytes(&msg, HA_ATTR_SECRET, "s", 1);
		id = msg.attr[0].ike;
		assert_int_equal(take(&store), IKE_STORE_CHANGED);
		assert_non_null(ike_store_find(&store, &id));
	}
	assert_int_equal(store.n, n);
	ike_store_for_each(&store, sa)
		i--;
	assert_int_equal(i, 0);
	ike_store_clear(&store);
	assert_int_equal(store.n, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_life),
		TEST(test_updates),
		TEST(test_repeated),
		TEST(test_unknown),
		TEST(test_rekey_without_children),
		TEST(test_rekey),
		TEST(test_generations),
		TEST(test_end_of_heirs),
		TEST(test_vip_is_inherited),
		TEST(test_collision),
		TEST(test_winner_ends),
		TEST(test_amid_second_rekey),
		TEST(test_order),
		TEST(test_stop),
		TEST(test_half_open),
		TEST(test_full),
		TEST(test_bytes),
		TEST(test_no_room_for_another),
		TEST(test_further_exchanges),
		TEST(test_repair),
		TEST(test_many),
	};

	return cmocka_run_group_tests_name("ike_store", tests, NULL, NULL);
}
