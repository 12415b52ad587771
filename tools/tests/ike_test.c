// SPDX-License-Identifier: GPL-2.0
/*
 * In: a charon of this test's own, by its two sockets; an active's frames.
 * Out: what charon is told, and when; what is kept, and told to peers.
 * Host only; on addresses of the loopback net that are this process's.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/xfrmsync.h>

#include "daemon.h"
#include "rounds.h"
#include "vici.h"

static struct daemon *d;
static struct peer *active;
static struct link its_link;	/* not up: what is sent stays there */
static uint64_t epoch;		/* of its frames */
static int charon, listener, vici = -1;
static char dir[] = "/tmp/ike_test.XXXXXX";
static struct ha_msg msg;

/* ---- memory ---- */

static size_t too_much = SIZE_MAX;	/* bytes at once */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return size < too_much ? __real_malloc(size) : NULL;
}

/* ---- the clock ---- */

static uint64_t later_ns;	/* than it is, for ike.c */

uint64_t __real_loop_now_ns(void);
uint64_t __wrap_loop_now_ns(void);
uint64_t __wrap_loop_now_ns(void)
{
	return __real_loop_now_ns() + later_ns;
}

/* ---- charon ---- */

static struct in_addr loopback(unsigned int last)
{
	struct in_addr a;

	a.s_addr = htonl(INADDR_LOOPBACK & 0xff000000) |
		   htonl((getpid() & 0xffff) << 8 | last);
	return a;
}

static void charon_binds(void)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(HA_PORT),
		.sin_addr = d->conf.ike_local,
	};

	charon = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(charon, (void *)&sin, sizeof(sin)), 0);
	sin.sin_addr = d->conf.ike_remote;
	assert_int_equal(connect(charon, (void *)&sin, sizeof(sin)), 0);
}

static void charon_listens(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/vici", dir);
	unlink(sun.sun_path);
	memcpy(d->conf.vici, sun.sun_path, sizeof(d->conf.vici));
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listener, (void *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listener, 1), 0);
}

static void asks_for_conns(void)
{
	char request[64];
	int i;

	for (i = 0; i < ROUNDS; i++) {
		one_round(&d->loop);
		if (vici < 0)
			vici = accept(listener, NULL, NULL);
		if (vici >= 0 && recv(vici, request, sizeof(request), MSG_DONTWAIT) > 0)
			return;
	}
	fail();
}

/* get-conns has come, and is answered by that one; or by nothing. */
static void charon_has(const char *conn)
{
	struct buf b = {};

	asks_for_conns();
	buf_u32(&b, conn ? 1 + 7 + 3 + strlen(conn) + 1 : 1 + 7 + 1);
	buf_u8(&b, VICI_CMD_RESPONSE);
	buf_put(&b, "\4\5conns", 7);
	if (conn) {
		buf_u8(&b, VICI_LIST_ITEM);
		buf_u16(&b, strlen(conn));
		buf_put(&b, conn, strlen(conn));
	}
	buf_u8(&b, VICI_LIST_END);
	assert_int_equal(send(vici, b.data, b.len, 0), b.len);
	buf_free(&b);
}

/* What it was told up to now, by types: "5 1 2 6 ". */
static char told[512];

static void hear(void)
{
	uint8_t some[HA_MESSAGE_MAX];
	size_t len;

	while (recv(charon, some, sizeof(some), MSG_DONTWAIT) > 0) {
		len = strlen(told);
		snprintf(told + len, sizeof(told) - len, "%u ", some[1]);
	}
}

static void is_told(const char *what)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		one_round(&d->loop);
		hear();
		if (!strcmp(told, what))
			break;
	}
	assert_string_equal(told, what);
	told[0] = '\0';
}

/* As long as nothing is certain, and no longer. */
static void is_told_nothing(void)
{
	int i;

	for (i = 0; i < 50; i++)
		one_round(&d->loop);
	hear();
	assert_string_equal(told, "");
}

/* A standby in step; its charon has that connection, and hears that the segment is not its own. */
static void is_synced(const char *conn)
{
	d->synced = true;
	charon_has(conn);
	is_told("9 ");
}

/* ---- messages ---- */

static void begin(uint8_t type, uint8_t n)
{
	struct ha_ike_id id = { .version = 2, .spi_i = { n }, .spi_r = { n } };

	ha_begin(&msg, 3, type);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
}

static void ike_add(uint8_t n)
{
	begin(HA_IKE_ADD, n);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, 12);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, 5);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, "key", 3);
}

/* It comes of that one. */
static void ike_rekey(uint8_t n, uint8_t of)
{
	const struct ha_ike_id id = { .version = 2, .spi_i = { of }, .spi_r = { of } };

	begin(HA_IKE_ADD, n);
	ha_put_ike_id(&msg, HA_ATTR_IKE_REKEY_ID, &id);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, 5);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, "key", 3);
}

static void update(uint8_t n, const char *conn)
{
	const struct ha_addr a = { .family = 2, .addr = { 192, 0, 2, n } };

	begin(HA_IKE_UPDATE, n);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &a);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, conn, strlen(conn));
}

static void mid(uint8_t n, uint32_t v)
{
	begin(HA_IKE_MID_RESPONDER, n);
	ha_put_u32(&msg, HA_ATTR_MID, v);
}

static void child_add(uint8_t n, uint32_t spi)
{
	begin(HA_CHILD_ADD, n);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(spi));
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, htonl(spi + 1));
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
}

static void resync(void)
{
	ha_begin(&msg, 3, HA_RESYNC);
	ha_put_u16(&msg, HA_ATTR_SEGMENT, 1);
}

static struct buf built(void)
{
	struct buf b = {};

	assert_int_equal(ha_build(&msg, &b, NULL), 0);
	return b;
}

static void charon_says(void)
{
	struct buf b = built();

	assert_int_equal(send(charon, b.data, b.len, 0), b.len);
	buf_free(&b);
}

static bool frame(uint8_t what, const struct buf *b)
{
	const struct wire_ike ike = {
		.what = what, .msg = b ? b->data : NULL, .len = b ? b->len : 0,
	};
	const struct wire_header h = { .epoch = epoch };
	struct buf payload = {};
	struct rd r;
	bool ok;

	wire_put_ike(&payload, &ike);
	r = (struct rd){ .p = payload.data, .left = payload.len };
	ok = ike_frame(d, active, &h, &r);
	buf_free(&payload);
	return ok;
}

/* What was made last comes from the active. */
static void from_active(void)
{
	struct buf b = built();

	assert_true(frame(WIRE_IKE_MESSAGE, &b));
	buf_free(&b);
}

/* An IKE SA with a Child SA. */
static void whole(uint8_t n, const char *conn)
{
	ike_add(n);
	from_active();
	update(n, conn);
	from_active();
	mid(n, 2);
	from_active();
	child_add(n, 0xc0000000 + n);
	from_active();
}

static json_int_t count(const char *what)
{
	json_t *o = ike_json(d);
	json_int_t n = json_integer_value(json_object_get(o, what));

	json_decref(o);
	return n;
}

/* Messages among the frames for that peer, which are forgotten then. */
static unsigned int ike_frames(void)
{
	const struct buf *b = &its_link.out;
	struct wire_header h;
	struct wire_ike ike;
	unsigned int n = 0;
	struct rd r;
	size_t at;

	for (at = 0; at < b->len; at += WIRE_HEADER + h.length) {
		assert_int_equal(wire_header_parse(b->data + at, b->len - at, &h), 1);
		assert_int_equal(h.type, WIRE_IKE);
		r = (struct rd){ .p = b->data + at + WIRE_HEADER, .left = h.length };
		assert_int_equal(wire_get_ike(&r, &ike), 0);
		n += ike.what == WIRE_IKE_MESSAGE;
	}
	buf_free(&its_link.out);
	return n;
}

/* ---- tests ---- */

/* All of an IKE SA: deleted first (5), in case it is there. */
static const char ALL[] = "5 1 2 4 6 ";

static int set_up(void **state)
{
	(void)state;
	d = calloc(1, sizeof(*d));
	assert_non_null(d);
	assert_int_equal(loop_init(&d->loop), 0);
	assert_int_equal(cache_init(&d->cache), 0);
	d->st.role = XFRMSYNC_ROLE_STANDBY;
	d->st.epoch = epoch = 5;
	d->conf.ike = true;
	d->conf.ike_local = loopback(1);
	d->conf.ike_remote = loopback(2);
	d->conf.ike_version = HA_VERSION;
	d->conf.ike_control = true;
	active = &d->peer[0];
	active->d = d;
	active->role = XFRMSYNC_ROLE_ACTIVE;
	active->link = &its_link;
	vici = -1;
	told[0] = '\0';
	charon_binds();
	charon_listens();
	assert_int_equal(ike_init(d), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ike_exit(d);
	cache_exit(&d->cache);
	loop_exit(&d->loop);
	close(charon);
	close(listener);
	if (vici >= 0)
		close(vici);
	buf_free(&its_link.out);
	free(d);
	return 0;
}

static void test_play(void **state)
{
	(void)state;
	charon_has(NULL);
	is_told("9 ");
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(count("ike_sas"), 1);
	assert_int_equal(count("child_sas"), 1);
	/* Neither are the active's SAs here, nor has charon its connection. */
	charon_has("site");
	is_told_nothing();
	d->synced = true;
	ike_synced(d);
	is_told(ALL);
	assert_int_equal(count("waiting"), 0);
	/* What comes after it follows at once. */
	mid(1, 3);
	from_active();
	is_told("4 ");
	/* The same again is no news. */
	from_active();
	is_told_nothing();
}

static void test_connections(void **state)
{
	(void)state;
	is_synced("other");
	whole(1, "site");
	/* An IKE SA of no known name would end: it is not begun. */
	is_told_nothing();
	assert_int_equal(count("waiting"), 1);
	whole(2, "other");
	is_told(ALL);
	charon_has("other");
	is_told_nothing();
	charon_has("site");
	is_told(ALL);
	assert_int_equal(count("waiting"), 0);
}

static void test_restart(void **state)
{
	(void)state;
	is_synced("site");
	whole(1, "site");
	is_told(ALL);
	resync();
	charon_says();
	/* At first it has no connections. */
	charon_has(NULL);
	is_told("9 ");
	charon_has("site");
	is_told(ALL);
	/* It dies, and is back. */
	close(vici);
	vici = -1;
	charon_has("site");
	is_told("9 5 1 2 4 6 ");
}

/* Who has sent a packet or two: charon has no word of its end, and is not told that it began. */
static void test_begun(void **state)
{
	(void)state;
	is_synced("site");
	ike_add(1);
	from_active();
	mid(1, 2);
	from_active();
	is_told_nothing();
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	ike_add(1);
	from_active();
	assert_true(frame(WIRE_IKE_END, NULL));
	is_told_nothing();
	update(1, "site");
	from_active();
	is_told("5 1 2 ");
	/* Another one with its SPIs, which may come to nothing: charon's ends. */
	begin(HA_IKE_ADD, 1);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, 5);
	ha_put_bytes(&msg, HA_ATTR_NONCE_I, "other", 5);
	ha_put_bytes(&msg, HA_ATTR_NONCE_R, "nr", 2);
	ha_put_bytes(&msg, HA_ATTR_SECRET, "key", 3);
	from_active();
	is_told("5 ");
	assert_int_equal(count("waiting"), 0);
}

/* Of two rekeys at once it has the first one only; that may be the one that comes to nothing. */
static void test_rekeys_at_once(void **state)
{
	(void)state;
	is_synced("site");
	whole(1, "site");
	is_told(ALL);
	ike_rekey(2, 1);
	from_active();
	is_told("1 ");
	ike_rekey(3, 1);
	from_active();
	is_told_nothing();
	begin(HA_IKE_DELETE, 1);
	from_active();
	update(3, "site");
	from_active();
	/* Itself; then all three, the one that they come of with its Child SA, and its heir. */
	is_told("5 5 5 5 1 2 4 6 1 5 2 ");
	assert_int_equal(count("waiting"), 0);
}

/* There is no room for all that are begun. */
static void test_evicted(void **state)
{
	struct ike_store *s = (struct ike_store *)ike_kept(d);

	(void)state;
	s->max_half = 1;
	is_synced("site");
	whole(1, "site");
	is_told(ALL);
	ike_rekey(2, 1);
	from_active();
	is_told("1 ");
	ike_add(3);
	from_active();
	assert_int_equal(s->evicted, 1);
	/* With it went what it had of the one that it was to replace: that is told again. */
	is_told("5 ");
	assert_int_equal(count("waiting"), 1);
	charon_has("site");
	is_told(ALL);
	ike_add(4);
	from_active();
	assert_int_equal(s->evicted, 2);
	is_told_nothing();
}

/* Who does not answer for so long is asked anew, on another connection. */
static void test_hangs(void **state)
{
	char some[64];
	int i;

	(void)state;
	asks_for_conns();
	later_ns = 59000 * LOOP_MS;
	is_told_nothing();
	assert_int_equal(recv(vici, some, sizeof(some), MSG_DONTWAIT), -1);
	later_ns = 70000 * LOOP_MS;
	for (i = 0; i < ROUNDS && recv(vici, some, sizeof(some), MSG_DONTWAIT); i++)
		one_round(&d->loop);
	later_ns = 0;
	assert_true(i < ROUNDS);
	close(vici);
	vici = -1;
	charon_has("site");
	is_told("9 ");
}

/* There is no room for its answer: the rest of that would be taken for another one. */
static void test_no_room_for_answer(void **state)
{
	char conn[300] = "", some[64];
	int i;

	(void)state;
	memset(conn, 'x', sizeof(conn) - 1);
	charon_has(conn);
	too_much = 512;
	for (i = 0; i < ROUNDS && recv(vici, some, sizeof(some), MSG_DONTWAIT); i++)
		one_round(&d->loop);
	too_much = SIZE_MAX;
	assert_true(i < ROUNDS);
	close(vici);
	vici = -1;
	charon_has("site");
	is_told("9 ");
}

/* In the middle of what it is told: it gets all of it later, and not the end of it now. */
static void test_no_memory(void **state)
{
	uint32_t spi;

	(void)state;
	charon_has("site");
	is_told("9 ");
	whole(1, "site");
	for (spi = 1; spi < 4; spi++) {
		child_add(1, spi);
		from_active();
	}
	d->synced = true;
	too_much = 512;
	ike_synced(d);
	too_much = SIZE_MAX;
	assert_int_equal(count("waiting"), 1);
	is_told_nothing();
	charon_has("site");
	is_told("9 5 1 2 4 6 6 6 6 ");
	assert_int_equal(count("waiting"), 0);
}

/* Which Child SAs the peer's last request made: not for a snapshot to say. */
static uint32_t of_mid(uint32_t spi)
{
	return ike_store_find_child(ike_kept(d), htonl(spi))->of_mid;
}

static void test_of_request(void **state)
{
	uint32_t spi = 0xc0001000;
	uint8_t ours;

	(void)state;
	whole(1, "site");
	mid(1, 9);
	from_active();
	for (ours = 0; ours < 2; ours++) {
		child_add(1, spi + ours);
		ha_put_u8(&msg, HA_ATTR_INITIATOR, ours);
		from_active();
	}
	assert_int_equal(of_mid(0xc0000001), 0);
	assert_int_equal(of_mid(spi), 9);
	assert_int_equal(of_mid(spi + 1), 0);
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	child_add(1, spi);
	ha_put_u8(&msg, HA_ATTR_INITIATOR, 0);
	from_active();
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(of_mid(spi), 0);
}

/* A connection between the nodes was lost: what is the same is not made anew. */
static void test_filled_again(void **state)
{
	(void)state;
	is_synced("site");
	whole(1, "site");
	whole(2, "site");
	whole(3, "site");
	is_told("5 1 2 4 6 5 1 2 4 6 5 1 2 4 6 ");
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	whole(2, "site");
	mid(2, 5);
	from_active();
	assert_true(frame(WIRE_IKE_END, NULL));
	/* The ids of one have gone on; one is gone. */
	is_told("4 5 ");
	assert_int_equal(count("ike_sas"), 2);
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	whole(2, "site");
	mid(2, 5);
	from_active();
	child_add(2, 0xc0001000);
	from_active();
	assert_true(frame(WIRE_IKE_END, NULL));
	is_told("5 1 2 4 6 6 ");
}

static void test_takeover(void **state)
{
	(void)state;
	is_synced("site");
	whole(1, "site");
	is_told(ALL);
	ike_finish(d);
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	ike_taken_over(d);
	/* Then the other node drops its segment. */
	is_told("8 ");
	/* From now on it is charon that says what is. */
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(count("ike_sas"), 1);
	ike_add(2);
	charon_says();
	update(2, "site");
	charon_says();
	is_told_nothing();
	assert_int_equal(count("ike_sas"), 2);
	/* Its last words count. */
	child_add(2, 0xc0002000);
	charon_says();
	ike_stepping_down(d, true);
	assert_int_equal(count("child_sas"), 2);
	d->st.role = XFRMSYNC_ROLE_STANDBY;
	ike_stepped_down(d);
	is_told("9 ");
	/* A standby's says nothing new. */
	ike_add(3);
	charon_says();
	update(3, "site");
	charon_says();
	is_told_nothing();
	assert_int_equal(count("ike_sas"), 2);
}

/* A takeover does not wait for it for ever; one that fails leaves a standby's. */
static void test_takeover_fails(void **state)
{
	int i;

	(void)state;
	is_synced("site");
	whole(1, "site");
	for (i = 0; i < ROUNDS && count("queued"); i++)
		one_round(&d->loop);
	/* It has that, and does not read: the next one is not sent. */
	mid(1, 3);
	from_active();
	ike_finish(d);
	assert_int_equal(count("queued"), 0);
	is_told(ALL);
	charon_has("site");
	is_told("9 5 1 2 4 6 ");
	assert_int_equal(count("waiting"), 0);
}

/* Who was the active before, and has not heard of the next one. */
static void test_stale(void **state)
{
	(void)state;
	is_synced("site");
	epoch--;
	whole(1, "site");
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_true(frame(WIRE_IKE_WANT, NULL));
	assert_int_equal(its_link.out.len, 0);
	assert_int_equal(d->stale_frames, 7);
	is_told_nothing();
	assert_int_equal(count("ike_sas"), 0);
	epoch++;
	whole(1, "site");
	is_told(ALL);
}

/* vici answers, and there is no ha plugin: nobody hears what is told. */
static void test_no_plugin(void **state)
{
	(void)state;
	d->synced = true;
	close(charon);
	whole(1, "site");
	charon_has("site");
	charon_has("site");
	is_told_nothing();
	assert_int_equal(count("waiting"), 1);
	assert_int_equal(count("played"), 0);
	charon_binds();
	charon_has("site");
	is_told("9 5 1 2 4 6 ");
	assert_int_equal(count("waiting"), 0);
}

static void charon_makes(uint8_t n)
{
	ike_add(n);
	charon_says();
	update(n, "site");
	charon_says();
	is_told_nothing();
}

/* What it had counts until it has made one of its own. */
static void test_active_restarts(void **state)
{
	(void)state;
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	charon_has("site");
	is_told("8 ");
	charon_makes(1);
	child_add(1, 0xc0000001);
	charon_says();
	resync();
	charon_says();
	is_told_nothing();
	assert_int_equal(count("ike_sas"), 1);
	/* Somebody's first packet makes none. */
	ike_add(2);
	charon_says();
	is_told_nothing();
	assert_int_equal(count("child_sas"), 1);
	update(2, "site");
	charon_says();
	is_told_nothing();
	assert_int_equal(count("ike_sas"), 1);
	assert_int_equal(count("child_sas"), 0);
}

/* What it makes before it asks what there is, is its own as well. */
static void test_active_is_quick(void **state)
{
	(void)state;
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	charon_has("site");
	is_told("8 ");
	charon_makes(1);
	close(vici);
	vici = -1;
	charon_has("site");
	is_told("8 ");
	charon_makes(2);
	resync();
	charon_says();
	is_told_nothing();
	assert_int_equal(count("ike_sas"), 2);
	assert_int_equal(count("waiting"), 1);
	charon_makes(3);
	assert_int_equal(count("ike_sas"), 2);
	assert_int_equal(count("waiting"), 0);
}

/* A takeover with a charon that has nothing of it: what is known counts likewise. */
static void test_takeover_without(void **state)
{
	(void)state;
	d->synced = true;
	whole(1, "site");
	ike_finish(d);
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	ike_taken_over(d);
	charon_has("site");
	is_told("8 8 ");
	assert_int_equal(count("ike_sas"), 1);
	assert_int_equal(count("waiting"), 1);
	ike_stepping_down(d, true);
	d->st.role = XFRMSYNC_ROLE_STANDBY;
	ike_stepped_down(d);
	is_told("9 ");
	/* It has not got it, though it was this node's all along. */
	charon_has("site");
	is_told(ALL);
}

/* The connection to the active was lost: what comes with the snapshot comes later. */
static void test_amid_snapshot(void **state)
{
	(void)state;
	is_synced("site");
	whole(1, "site");
	whole(2, "site");
	is_told("5 1 2 4 6 5 1 2 4 6 ");
	d->synced = false;
	mid(1, 3);
	from_active();
	is_told("4 ");
	child_add(1, 0xc0001000);
	from_active();
	begin(HA_IKE_DELETE, 2);
	from_active();
	is_told("5 ");
	assert_int_equal(count("waiting"), 1);
	d->synced = true;
	ike_synced(d);
	is_told("5 1 2 4 6 6 ");
}

/* It would not hear what is said in another version. */
static void test_version(void **state)
{
	(void)state;
	d->synced = true;
	d->conf.ike_version = 4;
	charon_has("site");
	is_told("9 ");
	whole(1, "site");
	charon_has("site");
	is_told_nothing();
	assert_int_equal(count("waiting"), 1);
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	ike_add(2);
	charon_says();
	is_told_nothing();
	assert_int_equal(count("refused"), 1);
}

/* This node's daemon is a new one, and there are two standbys. */
static struct peer *asks_two(void)
{
	struct peer *other = &d->peer[1];

	active->node_id = 2;
	active->role = XFRMSYNC_ROLE_STANDBY;
	active->sending = active->takes_ike = true;
	*other = *active;
	other->index = 1;
	other->node_id = 3;
	ike_exit(d);
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	d->conf.dead_ms = 600000;
	d->n_peers = 2;
	assert_int_equal(ike_init(d), 0);
	return other;
}

static void says_age(uint64_t of, uint64_t ms)
{
	const struct wire_ike_age age = { .epoch = of, .node = 1, .ms = ms };
	struct buf b = {};

	wire_put_ike_age(&b, &age);
	assert_true(frame(WIRE_IKE_AGE, &b));
	buf_free(&b);
}

static void answers(struct peer *p, uint64_t of, uint64_t ms, uint8_t n)
{
	active = p;
	if (of)
		says_age(of, ms);
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(n, "site");
	assert_true(frame(WIRE_IKE_END, NULL));
	active = &d->peer[0];
}

static bool has(uint8_t n)
{
	return count("ike_sas") == 1 && ike_store_find_child(ike_kept(d), htonl(0xc0000000 + n));
}

/* Two that answer, one of which is gone in the middle. */
static void test_two_answer(void **state)
{
	struct peer *other = asks_two();

	(void)state;
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	/* It is no newer, by what it says. */
	answers(other, 0, 0, 2);
	assert_int_equal(count("ike_sas"), 0);
	buf_free(&its_link.out);
	ike_peer_down(d, active);
	/* The other one is asked once more. */
	assert_true(its_link.out.len > 0);
	assert_int_equal(ike_frames(), 0);
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(count("ike_sas"), 0);
	answers(other, 0, 0, 2);
	assert_true(has(2));
}

/* Who was cut off for an hour has what there was then. */
static void test_fresher(void **state)
{
	struct peer *other = asks_two();

	(void)state;
	answers(active, 5, 3600000, 1);
	/* Nobody knows yet what the other one says. */
	assert_int_equal(count("ike_sas"), 0);
	answers(other, 5, 400, 2);
	assert_true(has(2));
	answers(active, 6, 0, 1);
	assert_true(has(2));
	/* Whoever is first. */
	asks_two();
	answers(other, 5, 400, 2);
	answers(active, 5, 3600000, 1);
	assert_true(has(2));
	/* The epoch counts before all: it was told by one who was no active any more. */
	asks_two();
	answers(other, 5, 400, 2);
	answers(active, 6, 3600000, 1);
	assert_true(has(1));
	/* Who does not say is the last to be believed. */
	asks_two();
	answers(other, 0, 0, 2);
	answers(active, 5, 3600000, 1);
	assert_true(has(1));
}

/* In step, with none: that is what there is. */
static void test_none_left(void **state)
{
	struct peer *other = asks_two();

	(void)state;
	answers(active, 5, 3600000, 1);
	active = other;
	says_age(5, 400);
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	assert_true(frame(WIRE_IKE_END, NULL));
	active = &d->peer[0];
	assert_int_equal(count("ike_sas"), 0);
	answers(active, 6, 0, 1);
	assert_int_equal(count("ike_sas"), 0);
}

/* One that is not there has its time, and no more. */
static void test_one_answers(void **state)
{
	struct peer *other = asks_two();
	int i;

	(void)state;
	other->link = NULL;
	other->sending = false;
	d->conf.dead_ms = 1;
	answers(active, 5, 400, 1);
	assert_int_equal(count("ike_sas"), 0);
	for (i = 0; i < ROUNDS && !count("ike_sas"); i++)
		one_round(&d->loop);
	assert_true(has(1));
}

/* What a standby says of its own store; false: nothing. */
static bool asked_for_age(struct wire_ike_age *age)
{
	struct wire_header h;
	struct wire_ike ike;
	struct rd r;
	bool says;

	assert_true(frame(WIRE_IKE_WANT, NULL));
	assert_int_equal(wire_header_parse(its_link.out.data, its_link.out.len, &h), 1);
	r = (struct rd){ .p = its_link.out.data + WIRE_HEADER, .left = h.length };
	assert_int_equal(wire_get_ike(&r, &ike), 0);
	says = ike.what == WIRE_IKE_AGE;
	if (says)
		assert_int_equal(wire_get_ike_age((struct rd){ .p = ike.msg, .left = ike.len }, age), 0);
	else
		assert_int_equal(ike.what, WIRE_IKE_BEGIN);
	buf_free(&its_link.out);
	return says;
}

static void test_age(void **state)
{
	static const uint64_t hour_ms = 3600000;
	struct wire_ike_age age;

	(void)state;
	assert_false(asked_for_age(&age));
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	assert_false(asked_for_age(&age));
	assert_true(frame(WIRE_IKE_END, NULL));
	/* While they are connected it is of now, whatever comes. */
	later_ns = hour_ms * LOOP_MS;
	assert_true(asked_for_age(&age));
	assert_int_equal(age.ms, 0);
	/* Of the epoch in which it was told. */
	epoch = d->st.epoch = 9;
	ike_peer_down(d, active);
	later_ns *= 2;
	assert_true(asked_for_age(&age));
	assert_int_equal(age.epoch, 5);
	assert_true(age.ms >= hour_ms && age.ms < 2 * hour_ms);
	/* It is filled anew, and that is cut: what it keeps is of before. */
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	later_ns += hour_ms * LOOP_MS;
	ike_peer_down(d, active);
	assert_true(asked_for_age(&age));
	assert_int_equal(age.epoch, 9);
	assert_true(age.ms >= hour_ms && age.ms < 2 * hour_ms);
	later_ns = 0;
	assert_false(frame(WIRE_IKE_AGE, NULL));
}

/* A daemon after the one that charon told: a standby knows. */
static void test_active_forgot(void **state)
{
	(void)state;
	ike_exit(d);
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	active->role = XFRMSYNC_ROLE_STANDBY;
	assert_int_equal(ike_init(d), 0);
	charon_has("site");
	is_told("8 ");
	ike_add(2);
	charon_says();
	update(2, "site");
	charon_says();
	is_told_nothing();
	assert_int_equal(count("ike_sas"), 1);
	/* Of what it does not know a peer may know. */
	d->n_peers = 1;
	active->sending = active->takes_ike = true;
	mid(1, 3);
	charon_says();
	is_told_nothing();
	assert_int_equal(ike_frames(), 1);
	d->n_peers = 0;
	/* One that knows nothing either is told what there is. */
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	assert_int_equal(its_link.out.len, 0);
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(ike_frames(), 3);
	/* Who is an active as well does not answer. */
	active->role = XFRMSYNC_ROLE_ACTIVE;
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(count("ike_sas"), 1);
	active->role = XFRMSYNC_ROLE_STANDBY;
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(1, "site");
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(count("ike_sas"), 2);
	assert_int_equal(count("child_sas"), 1);
	/* Once it knows, it is told no more. */
	assert_true(frame(WIRE_IKE_BEGIN, NULL));
	whole(3, "site");
	assert_true(frame(WIRE_IKE_END, NULL));
	assert_int_equal(count("ike_sas"), 2);
	/* charon has it all. */
	is_told_nothing();
}

/* Ours, somebody has: all else goes on, and this when it is free. */
static void test_port_taken(void **state)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(HA_PORT),
		.sin_addr = d->conf.ike_remote,
	};
	int taken = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	ike_exit(d);
	assert_int_equal(bind(taken, (void *)&sin, sizeof(sin)), 0);
	assert_int_equal(ike_init(d), 0);
	d->synced = true;
	whole(1, "site");
	charon_has("site");
	is_told_nothing();
	assert_int_equal(count("waiting"), 1);
	close(taken);
	is_told_nothing();
	charon_has("site");
	is_told("9 5 1 2 4 6 ");
}

/* While there is no charon, somebody else has its port. */
static void test_stranger(void **state)
{
	struct buf b;
	pid_t pid;
	int i;

	(void)state;
	if (geteuid())
		skip();
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	close(charon);
	ike_add(1);
	b = built();
	pid = fork();
	if (!pid) {
		if (setuid(65534))
			_exit(1);
		charon_binds();
		if (send(charon, b.data, b.len, 0) > 0)
			pause();
		_exit(1);
	}
	for (i = 0; i < ROUNDS && !count("refused"); i++)
		one_round(&d->loop);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(count("refused"), 1);
	assert_int_equal(count("heard"), 0);
	charon_binds();
	charon_says();
	for (i = 0; i < ROUNDS && !count("heard"); i++)
		one_round(&d->loop);
	assert_int_equal(count("heard"), 1);
	buf_free(&b);
}

static struct context_sa seen(uint8_t last, uint16_t port)
{
	struct context_sa sa = {
		.id = { .family = AF_INET, .proto = IPPROTO_ESP, .spi = htonl(0xc0000001),
			.dst = { 192, 0, 2, 100 } },
		.src = { 192, 0, 2, last }, .encap_sport = htons(port),
	};

	return sa;
}

static void addresses(uint8_t n, uint8_t last, uint16_t port)
{
	const struct ha_addr local = { .family = AF_INET, .addr = { 192, 0, 2, 100 }, .port = 4500 };
	const struct ha_addr remote = { .family = AF_INET, .addr = { 192, 0, 2, last }, .port = port };

	begin(HA_IKE_UPDATE, n);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &local);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &remote);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "site", 4);
}

/* A peer's NAT has another port, or it is elsewhere: charon tells the kernel, and no plugin. */
static void test_moved(void **state)
{
	struct context_sa sa = seen(1, 4500);

	(void)state;
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	charon_has("site");
	is_told("8 ");
	ike_add(1);
	charon_says();
	addresses(1, 1, 4500);
	charon_says();
	child_add(1, 0xc0000001);
	charon_says();
	is_told_nothing();
	d->n_peers = 1;
	active->sending = active->takes_ike = true;
	ike_sa_seen(d, &sa);
	assert_int_equal(ike_frames(), 0);
	sa = seen(1, 20000);
	ike_sa_seen(d, &sa);
	assert_int_equal(ike_frames(), 1);
	/* Once. */
	ike_sa_seen(d, &sa);
	assert_int_equal(ike_frames(), 0);
	/* Not in UDP it has no port of its own. */
	sa = seen(7, 0);
	ike_sa_seen(d, &sa);
	assert_int_equal(ike_frames(), 1);
	assert_true(ike_store_parse(&ike_store_find_child(ike_kept(d), htonl(0xc0000001))->sa->other, &msg));
	assert_int_equal(ha_find(&msg, HA_ATTR_REMOTE_ADDR)->addr.port, 20000);
	assert_int_equal(ha_find(&msg, HA_ATTR_REMOTE_ADDR)->addr.addr[3], 7);
	assert_int_equal(ha_find(&msg, HA_ATTR_LOCAL_ADDR)->addr.addr[3], 100);
	/* Another's SA of that SPI, the way out, says nothing of it. */
	sa = seen(8, 0);
	sa.id.dst[3] = 9;
	ike_sa_seen(d, &sa);
	assert_int_equal(ike_frames(), 0);
	d->n_peers = 0;
	/* A standby's are made by what it is told. */
	d->st.role = XFRMSYNC_ROLE_STANDBY;
	sa = seen(9, 0);
	ike_sa_seen(d, &sa);
	is_told_nothing();
}

/* Its socket has no room for sixteen of them: what was lost comes again, fewer at once. */
static void test_no_room(void **state)
{
	const int size = 1;	/* the least that there is */
	static const char all[] = "5 1 2 4 6 5 1 2 4 6 5 1 2 4 6 5 1 2 4 6 ";
	unsigned int n;
	size_t len;
	int i;

	(void)state;
	assert_int_equal(setsockopt(charon, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	charon_has("site");
	is_told("9 ");
	for (n = 1; n <= 4; n++)
		whole(n, "site");
	d->synced = true;
	ike_synced(d);
	for (i = 0; i < ROUNDS; i++) {
		one_round(&d->loop);
		hear();
		len = strlen(told);
		if (len > sizeof(all) && !strcmp(told + len - sizeof(all) + 1, all))
			break;
		/* It had more of it than there is room for, here. */
		if (len > sizeof(told) / 2)
			memmove(told, told + len / 2, len - len / 2 + 1);
	}
	assert_true(i < ROUNDS);
	assert_true(count("lost") > 0);
	told[0] = '\0';
	is_told_nothing();
}

/* An active's charon does not wait for this daemon: what was lost so is counted. */
static void test_missed(void **state)
{
	char text[600];
	int i, room, n = 0;

	(void)state;
	d->st.role = XFRMSYNC_ROLE_ACTIVE;
	charon_has("site");
	is_told("8 ");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	update(1, text);
	/* More than any room for it. */
	for (room = 20000; room; room--) {
		charon_says();
		n++;
	}
	for (i = 0; i < ROUNDS && !count("missed"); i++)
		one_round(&d->loop);
	for (i = 0; i < ROUNDS && count("heard") + count("missed") < n; i++)
		one_round(&d->loop);
	assert_true(count("missed") > 0);
	assert_int_equal(count("heard") + count("missed"), n);
}

static void test_malformed(void **state)
{
	struct buf b = {};
	int i;

	(void)state;
	assert_int_equal(send(charon, "\3\377x", 3, 0), 3);
	is_told_nothing();
	assert_int_equal(count("refused"), 1);
	buf_put(&b, "\3\377x", 3);
	assert_true(frame(WIRE_IKE_MESSAGE, &b));
	assert_int_equal(count("refused"), 2);
	assert_false(frame(WIRE_IKE_MESSAGE, NULL));
	assert_false(frame(WIRE_IKE_BEGIN, &b));
	assert_true(frame(WIRE_IKE_AGE + 1, &b));
	for (i = 0; i < WIRE_IKE_MAX; i++)
		buf_u8(&b, 0);
	assert_false(frame(WIRE_IKE_MESSAGE, &b));
	assert_true(frame(WIRE_IKE_AGE + 1, &b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_play, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_connections, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_begun, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rekeys_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_evicted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hangs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room_for_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_of_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_filled_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_takeover, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_takeover_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stale, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_plugin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_active_restarts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_active_is_quick, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_takeover_without, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_amid_snapshot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fresher, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_none_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_age, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_active_forgot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_port_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stranger, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
	};
	char path[64];
	int ret;

	if (!mkdtemp(dir))
		return 1;
	ret = cmocka_run_group_tests_name("ike", tests, NULL, NULL);
	snprintf(path, sizeof(path), "%s/vici", dir);
	unlink(path);
	rmdir(dir);
	return ret;
}
