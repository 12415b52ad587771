// SPDX-License-Identifier: GPL-2.0
/*
 * In: IKE SAs at a takeover; packets of their peers, and what charon says then.
 * Out: what the peers are sent, and which Child SAs charon is to delete.
 * Host only; the helper is this test's own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon.h"
#include "ike_message.h"
#include "ike_packet.h"
#include "ike_repair.h"
#include "privops.h"

#define GHOST 0xc0000002

static struct daemon d;
static struct ike_store store;
static struct ike_repair r;
static struct ike_sa *sa;
static struct ha_msg msg;

/* ---- the helper, and charon ---- */

static bool listens;
static struct buf heard;	/* the one packet that waits */
static struct buf sent;		/* the last message */
static struct ike_way sent_to;
static unsigned int n_sent, n_ended;
static uint32_t ended;

int __wrap_privops_listen(bool on);
int __wrap_privops_listen(bool on)
{
	listens = on;
	return 0;
}

int __wrap_privops_hear(uint8_t p[PRIVOPS_PACKET_MAX]);
int __wrap_privops_hear(uint8_t p[PRIVOPS_PACKET_MAX])
{
	int n = heard.len;

	if (!listens || !n)
		return -EAGAIN;
	memcpy(p, heard.data, n);
	buf_clear(&heard);
	return n;
}

int __wrap_privops_ike(const struct ike_way *way, const uint8_t *p, size_t len);
int __wrap_privops_ike(const struct ike_way *way, const uint8_t *p, size_t len)
{
	buf_clear(&sent);
	buf_put(&sent, p, len);
	sent_to = *way;
	n_sent++;
	return 0;
}

const struct ike_store *__wrap_ike_kept(const struct daemon *of);
const struct ike_store *__wrap_ike_kept(const struct daemon *of)
{
	assert_ptr_equal(of, &d);
	return &store;
}

void __wrap_ike_end_child(struct daemon *of, const struct ike_sa *parent, uint32_t in_spi);
void __wrap_ike_end_child(struct daemon *of, const struct ike_sa *parent, uint32_t in_spi)
{
	assert_ptr_equal(of, &d);
	assert_ptr_equal(parent, sa);
	ended = ntohl(in_spi);
	n_ended++;
}

/* ---- the kernel ---- */

static uint64_t packets;	/* that came by the ghost */
static int get_fails;

int __wrap_genl_get(struct genl *g, const struct sa_id *id, struct record *out);
int __wrap_genl_get(struct genl *g, const struct sa_id *id, struct record *out)
{
	assert_ptr_equal(g, &d.req);
	assert_int_equal(id->spi, htonl(GHOST));
	record_init(out);
	out->packets = packets;
	return get_fails;
}

/* ---- what there is ---- */

static const struct ike_way to_gateway = {
	.family = AF_INET, .src = { 192, 0, 2, 7 }, .dst = { 192, 0, 2, 1 },
	.sport = 1700, .dport = IKE_PORT_NAT,
};

static void take(void)
{
	assert_int_equal(ike_store_take(&store, &msg), IKE_STORE_CHANGED);
}

static void begin(uint8_t type)
{
	struct ha_ike_id id = { .version = 2, .spi_i = { 1 }, .spi_r = { 2 } };

	ha_begin(&msg, HA_VERSION, type);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
}

static void mid(uint8_t type, uint32_t v)
{
	begin(type);
	ha_put_u32(&msg, HA_ATTR_MID, v);
}

static struct ike_child *child(uint32_t spi)
{
	begin(HA_CHILD_ADD);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(spi));
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, htonl(spi + 0x1000));
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	take();
	return ike_store_find_child(&store, htonl(spi));
}

/* Its peer is at 7 and 8: that one's last request had id 7, the gateway's 4. */
static int set_up(void **state)
{
	struct ha_addr gateway = { .family = AF_INET, .port = IKE_PORT_NAT,
				   .addr = { 192, 0, 2, 1 } };
	struct ha_addr peer = { .family = AF_INET, .port = 1700, .addr = { 192, 0, 2, 7 } };

	(void)state;
	memset(&d, 0, sizeof(d));
	n_sent = n_ended = 0;
	packets = 0;
	get_fails = 0;
	assert_int_equal(cache_init(&d.cache), 0);
	assert_int_equal(loop_init(&d.loop), 0);
	assert_int_equal(ike_store_init(&store), 0);
	begin(HA_IKE_ADD);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, IKE_ENCR_AES_CBC);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR_LEN, 128);
	ha_put_u16(&msg, HA_ATTR_ALG_INTEG, IKE_INTEG_HMAC_SHA2_256_128);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, IKE_PRF_HMAC_SHA2_256);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, "key", 3);
	take();
	begin(HA_IKE_UPDATE);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &gateway);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &peer);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "site", 4);
	take();
	mid(HA_IKE_MID_INITIATOR, 5);
	take();
	mid(HA_IKE_MID_RESPONDER, 8);
	take();
	sa = ike_store_find(&store, ha_ike_id(&msg));
	sa->played = true;
	child(GHOST - 1)->of_mid = 7;
	child(GHOST)->of_mid = 8;
	child(GHOST + 1)->of_mid = 0;
	ike_repair_init(&r, &d);
	ike_repair_begin(&r, &store);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ike_repair_exit(&r);
	assert_false(listens);
	ike_store_exit(&store);
	cache_exit(&d.cache);
	loop_exit(&d.loop);
	buf_free(&heard);
	buf_free(&sent);
	return 0;
}

/* ---- the peer ---- */

static struct ike_header header(uint8_t exchange, uint32_t id)
{
	return (struct ike_header){
		.spi_i = { 1 }, .spi_r = { 2 }, .exchange = exchange,
		.flags = IKE_FLAG_INITIATOR, .id = id,
	};
}

static struct buf made(const struct ike_header *h)
{
	struct ike_keys keys;
	struct ike_algs a;
	struct buf b = {};

	assert_int_equal(ike_keys_of_sa(sa, &a, &keys), 0);
	assert_int_equal(ike_message_build(&a, &keys, h, 0, &b), 0);
	ike_keys_wipe(&keys);
	return b;
}

static void says(struct buf b)
{
	size_t len = 20 + 8 + 4 + b.len;

	buf_u32(&heard, 0x45000000 | len);
	buf_u32(&heard, 0);
	buf_u32(&heard, 0x40110000);
	buf_put(&heard, to_gateway.src, 4);
	buf_put(&heard, to_gateway.dst, 4);
	buf_u16(&heard, to_gateway.sport);
	buf_u16(&heard, to_gateway.dport);
	buf_u16(&heard, len - 20);
	buf_u16(&heard, 0);
	buf_u32(&heard, 0);
	buf_put(&heard, b.data, b.len);
	buf_free(&b);
	r.hear.cb(&r.hear);
	assert_int_equal(heard.len, 0);
}

static void asks(uint8_t exchange, uint32_t id)
{
	struct ike_header h = header(exchange, id);

	says(made(&h));
}

/* The last message is the gateway's, to the peer, and is what its keys say. */
static void is_sent(uint8_t exchange, uint8_t flags, uint32_t id, uint8_t payload)
{
	struct ike_header h;
	struct ike_keys keys;
	struct ike_algs a;

	assert_true(ike_message_header(sent.data, sent.len, &h));
	assert_int_equal(h.exchange, exchange);
	assert_int_equal(h.flags, flags);
	assert_int_equal(h.id, id);
	assert_int_equal(sent.data[IKE_HEADER_LEN], payload);
	assert_int_equal(ike_keys_of_sa(sa, &a, &keys), 0);
	assert_int_equal(ike_message_check(&a, &keys, sent.data, sent.len), 0);
	assert_memory_equal(sent_to.src, to_gateway.dst, 16);
	assert_memory_equal(sent_to.dst, to_gateway.src, 16);
	assert_int_equal(sent_to.sport, to_gateway.dport);
	assert_int_equal(sent_to.dport, to_gateway.sport);
}

static void charon_says(uint8_t type, uint32_t v)
{
	mid(type, v);
	take();
	ike_repair_said(&r, sa, &msg);
}

/* ---- tests ---- */

static void test_answers(void **state)
{
	(void)state;
	assert_true(listens);
	asks(IKE_INFORMATIONAL, 7);
	assert_int_equal(n_sent, 1);
	is_sent(IKE_INFORMATIONAL, IKE_FLAG_RESPONSE, 7, 0);
	assert_int_equal(n_ended, 0);
	assert_int_equal(r.answered, 1);
	/* It was lost, too. */
	asks(IKE_INFORMATIONAL, 7);
	assert_int_equal(n_sent, 2);
}

/* A Child SA that the peer knows nothing of, and no other. */
static void test_later(void **state)
{
	(void)state;
	asks(IKE_CREATE_CHILD_SA, 7);
	assert_int_equal(n_sent, 1);
	is_sent(IKE_CREATE_CHILD_SA, IKE_FLAG_RESPONSE, 7, IKE_PAYLOAD_NOTIFY);
	assert_int_equal(n_ended, 1);
	assert_int_equal(ended, GHOST);
}

/* Nor is one deleted by which the peer has sent: it knows of that one. Whoever kept the
 * request could send it again.
 */
static void test_used(void **state)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = IPPROTO_ESP, .spi = htonl(GHOST),
			.dst = { 192, 0, 2, 1 }, .mark = 1 },
	};

	(void)state;
	assert_non_null(cache_add(&d.cache, &info, (void *)"key", 3, 0));
	packets = 1;
	asks(IKE_CREATE_CHILD_SA, 7);
	packets = 0;
	get_fails = -ENOBUFS;
	asks(IKE_CREATE_CHILD_SA, 7);
	assert_int_equal(n_sent, 2);
	assert_int_equal(n_ended, 0);
	get_fails = -ESRCH;
	asks(IKE_CREATE_CHILD_SA, 7);
	get_fails = 0;
	asks(IKE_CREATE_CHILD_SA, 7);
	assert_int_equal(n_ended, 2);
}

/* The one before handed over, when it was done with what it had been asked. */
static void test_planned(void **state)
{
	(void)state;
	d.taken_exact = true;
	asks(IKE_CREATE_CHILD_SA, 7);
	assert_int_equal(n_sent, 1);
	assert_int_equal(n_ended, 0);
}

static void test_charons(void **state)
{
	struct ike_header h = header(IKE_INFORMATIONAL, 7);

	(void)state;
	asks(IKE_INFORMATIONAL, 8);
	asks(IKE_INFORMATIONAL, 6);
	asks(35, 7);
	/* An answer to ours. */
	h.flags |= IKE_FLAG_RESPONSE;
	says(made(&h));
	/* The gateway itself, by the way of its packet. */
	h.flags = 0;
	says(made(&h));
	h.flags = IKE_FLAG_INITIATOR;
	h.spi_r[7] = 1;
	says(made(&h));
	charon_says(HA_IKE_MID_RESPONDER, 9);
	asks(IKE_INFORMATIONAL, 7);
	assert_int_equal(n_sent, 0);
	assert_int_equal(n_ended, 0);
}

/* Whoever sees a packet knows SPIs and ids: that is not enough. */
static void test_forged(void **state)
{
	struct ike_header h = header(IKE_CREATE_CHILD_SA, 7);
	struct buf b = made(&h);

	(void)state;
	b.data[b.len - 1] ^= 1;
	says(b);
	assert_int_equal(n_sent, 0);
	assert_int_equal(n_ended, 0);
	assert_int_equal(sa->flight.answers, 0);
}

/* charon has its heir, and not it: an answer would have the peer go on with it. */
static void test_rekeyed(void **state)
{
	struct ha_ike_id id = { .version = 2, .spi_i = { 3 }, .spi_r = { 4 } };
	struct ha_ike_id old = sa->id;

	(void)state;
	ha_begin(&msg, HA_VERSION, HA_IKE_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_ike_id(&msg, HA_ATTR_IKE_REKEY_ID, &old);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, "key", 3);
	take();
	begin(HA_IKE_DELETE);
	take();
	assert_ptr_equal(ike_store_find(&store, &old), sa);
	assert_true(sa->gone);
	ike_repair_begin(&r, &store);
	asks(IKE_CREATE_CHILD_SA, 7);
	asks(IKE_INFORMATIONAL, 7);
	assert_int_equal(n_sent, 0);
	assert_int_equal(n_ended, 0);
}

/* It was not told of it: whoever asks for it is to find out. */
static void test_not_in_charon(void **state)
{
	(void)state;
	sa->played = false;
	ike_repair_begin(&r, &store);
	asks(IKE_INFORMATIONAL, 7);
	asks(IKE_CREATE_CHILD_SA, 7);
	assert_int_equal(n_sent, 0);
	assert_int_equal(n_ended, 0);
}

static void test_fills(void **state)
{
	(void)state;
	r.fills.cb(&r.fills);
	assert_int_equal(n_sent, 0);
	charon_says(HA_IKE_MID_INITIATOR, 6);
	assert_int_not_equal(r.fills.at_ns, 0);
	r.fills.cb(&r.fills);
	assert_int_equal(n_sent, 1);
	is_sent(IKE_INFORMATIONAL, 0, 4, 0);
	assert_int_equal(r.filled, 1);
	/* Not at once again. */
	r.fills.cb(&r.fills);
	assert_int_equal(n_sent, 1);
	sa->flight.fill_at_ns = 1;
	r.fills.cb(&r.fills);
	assert_int_equal(n_sent, 2);
	/* Not at all when charon has an answer: it asks for something else then. */
	charon_says(HA_IKE_MID_INITIATOR, 7);
	sa->flight.fill_at_ns = 1;
	r.fills.cb(&r.fills);
	assert_int_equal(n_sent, 2);
}

/* ... or that answer is heard, and is the peer's. */
static void test_fills_until(void **state)
{
	struct ike_header h = header(IKE_INFORMATIONAL, 5);
	struct buf b;

	(void)state;
	charon_says(HA_IKE_MID_INITIATOR, 6);
	r.fills.cb(&r.fills);
	h.flags |= IKE_FLAG_RESPONSE;
	b = made(&h);
	b.data[b.len - 1] ^= 1;
	says(b);
	h.id = 4;
	says(made(&h));
	sa->flight.fill_at_ns = 1;
	r.fills.cb(&r.fills);
	assert_int_equal(n_sent, 2);
	h.id = 5;
	says(made(&h));
	sa->flight.fill_at_ns = 1;
	r.fills.cb(&r.fills);
	assert_int_equal(n_sent, 2);
}

static void test_step_down(void **state)
{
	(void)state;
	ike_repair_end(&r, &store);
	assert_false(listens);
	/* Even if it did. */
	listens = true;
	asks(IKE_INFORMATIONAL, 7);
	charon_says(HA_IKE_MID_INITIATOR, 6);
	assert_int_equal(r.fills.at_ns, 0);
	assert_int_equal(n_sent, 0);
}

static void test_ends(void **state)
{
	(void)state;
	assert_int_not_equal(r.hear.at_ns, 0);
	r.hear_until_ns = 1;
	loop_timer_stop(&r.hear);
	r.hear.cb(&r.hear);
	assert_int_equal(r.hear.at_ns, 0);
	assert_false(listens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_used, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_planned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_charons, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rekeyed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_in_charon, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fills, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fills_until, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_step_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("ike_repair", tests, NULL, NULL);
}
