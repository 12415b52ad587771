// SPDX-License-Identifier: GPL-2.0
/*
 * In: tests/vectors/ (from the tool's folder), and a folder that is there.
 * Out: in it the seeds of peer_fuzz.c: a few lives of a node, by good peers' frames.
 * Host only: none of it is committed.
 */
#include <assert.h>
#include <linux/xfrmsync.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "context.h"
#include "peer_fuzz.h"
#include "wire.h"

#define NOW (1ULL << 40)
#define TAG 0x0102030405060708

static const char *folder;
static struct buf seed;

static struct buf vector(const char *name)
{
	uint8_t bytes[256];
	struct buf b = {};
	char line[512];
	size_t len;
	FILE *f;

	snprintf(line, sizeof(line), "tests/vectors/%s.hex", name);
	f = fopen(line, "re");
	assert(f);
	while (fgets(line, sizeof(line), f)) {
		assert(!sodium_hex2bin(bytes, sizeof(bytes), line,
				       strcspn(line, "#\n"), " \t", &len, NULL));
		buf_put(&b, bytes, len);
	}
	fclose(f);
	return b;
}

static void begin(uint8_t node)
{
	buf_clear(&seed);
	buf_u8(&seed, node);
}

static void end(const char *name)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert(f && fwrite(seed.data, 1, seed.len, f) == seed.len);
	assert(!fclose(f));
}

/* ---- steps ---- */

static void step(enum step what, int whom)
{
	buf_u8(&seed, what | whom << 5);
}

static void pass(int tens_of_ms)
{
	step(STEP_TIME, 0);
	buf_u8(&seed, tens_of_ms);
}

static void traffic(int which, uint16_t packets)
{
	step(STEP_TRAFFIC, which);
	buf_u16(&seed, packets);
}

static void fail(int when, int count, int err)
{
	step(STEP_FAIL, err);
	buf_u8(&seed, when);
	buf_u8(&seed, count);
}

/* Takes the payload. */
static void say(int whom, enum wire_type type, enum step_epoch epoch,
		struct buf *payload)
{
	step(STEP_FRAME, whom);
	buf_u8(&seed, type);
	buf_u8(&seed, epoch);
	buf_u16(&seed, payload->len);
	buf_put(&seed, payload->data, payload->len);
	buf_free(payload);
}

static void say_nothing(int whom, enum wire_type type, enum step_epoch epoch)
{
	struct buf none = {};

	say(whom, type, epoch, &none);
}

static void hello(int whom, enum xfrmsync_role role, enum step_epoch epoch)
{
	struct wire_hello h = {
		.node_id = whom ? 3 : 1, .role = role, .instance = 1 + whom,
		.has_tag_key = role == XFRMSYNC_ROLE_ACTIVE,
		.own = role == XFRMSYNC_ROLE_ACTIVE,
		.spi_range = { 0xc0000000, 0xc000ffff },
	};
	struct buf b = {};

	snprintf(h.name, sizeof(h.name), "%s", whom ? "gw-c" : "gw-a");
	wire_put_hello(&b, &h);
	say(whom, WIRE_HELLO, epoch, &b);
}

/* Twice, as each node does when a link stands. */
static void connect_as(int whom, enum xfrmsync_role role, enum step_epoch epoch)
{
	step(STEP_CONNECT, whom);
	hello(whom, role, epoch);
	hello(whom, role, EPOCH_OURS);
	step(STEP_IDLE, whom);
}

static void snapshot_begin(void)
{
	struct wire_snapshot s = { .sas = 2, .policies = 1 };
	struct buf b = {};

	wire_put_snapshot(&b, &s);
	say(0, WIRE_SNAPSHOT_BEGIN, EPOCH_OURS, &b);
}

static void record_of(const char *name, uint64_t oseq, uint64_t seq, struct record *rec)
{
	struct buf context = vector(name);
	struct context_sa info;

	memset(rec, 0, sizeof(*rec));
	if (!context_sa_info(context.data, context.len, &info, NULL)) {
		rec->window = info.window;
		rec->bmp_words = info.large ? info.bmp_words : 1;
		rec->bmp[0] = 0x80000001;
	}
	rec->oseq = oseq;
	rec->seq = seq;
	rec->guard = 64;
	rec->bytes = 1000;
	rec->packets = 10;
	rec->add_time = NOW - 100;
	buf_free(&context);
}

static void sa(const char *name, uint32_t handle, uint64_t oseq, uint64_t seq)
{
	struct buf context = vector(name), b = {};
	struct wire_sa s = {
		.handle = handle, .tag = TAG + handle, .sent = oseq,
		.lease_end = 1 << 24, .range_end = 2 << 24, .given_end = 3 << 24,
		.context = context.data, .context_len = context.len,
	};

	record_of(name, oseq, seq, &s.rec);
	wire_put_sa(&b, &s, NOW);
	say(0, WIRE_CONTEXT, EPOCH_OURS, &b);
	buf_free(&context);
}

static void record(const char *name, uint32_t handle, uint64_t oseq, uint64_t seq)
{
	struct buf b = {};
	struct record rec;

	record_of(name, oseq, seq, &rec);
	wire_put_record(&b, handle, &rec, oseq, NOW);
	say(0, WIRE_RECORDS, EPOCH_OURS, &b);
}

static void policy(const char *name, enum wire_type type)
{
	struct buf b = vector(name);

	say(0, type, EPOCH_OURS, &b);
}

static void number(enum wire_type type, uint32_t handle, uint64_t tag, uint64_t n)
{
	struct wire_number num = { .handle = handle, .tag = tag, .number = n };
	struct buf b = {};

	wire_put_number(&b, &num);
	say(0, type, EPOCH_OURS, &b);
}

static void lease_ack(int whom, uint32_t handle, uint64_t n)
{
	struct wire_lease_ack ack = { .handle = handle, .number = n };
	struct buf b = {};

	wire_put_lease_ack(&b, &ack);
	say(whom, WIRE_LEASE_ACK, EPOCH_OURS, &b);
}

static void ack(int whom, uint64_t frames)
{
	struct wire_ack a = { .frames = frames, .sas = 2 };
	struct buf b = {};

	wire_put_ack(&b, &a);
	say(whom, WIRE_ACK, EPOCH_OURS, &b);
}

static void delete(uint32_t handle)
{
	struct wire_delete del = { .handle = handle, .tag = TAG + handle };
	struct buf b = {};

	wire_put_delete(&b, &del);
	say(0, WIRE_DELETE, EPOCH_OURS, &b);
}

static void handover(int whom, enum wire_handover what)
{
	struct buf b = {};

	wire_put_handover(&b, what);
	say(whom, WIRE_HANDOVER, EPOCH_OURS, &b);
}

static void final(uint32_t handle, uint64_t last)
{
	struct wire_final f = { .handle = handle, .last = last, .lease_end = 1 << 25 };
	struct buf b = {};

	wire_put_final(&b, &f);
	say(0, WIRE_FINAL, EPOCH_OURS, &b);
}

/* ---- lives ---- */

static void filled(const char *name)
{
	connect_as(0, XFRMSYNC_ROLE_ACTIVE, EPOCH_THEIRS);
	snapshot_begin();
	sa(name, 1, 100, 200);
	policy("policy-out", WIRE_POLICY);
	say_nothing(0, WIRE_SNAPSHOT_END, EPOCH_OURS);
	step(STEP_IDLE, 0);
}

/* One life for each kind of SA: filled, followed, deleted. */
static void standby(const char *name, uint8_t node)
{
	char to[64];

	begin(node);
	filled(name);
	record(name, 1, 150, 260);
	step(STEP_IDLE, 0);
	/* What a restarted active says is behind what it said. */
	record(name, 1, 150, 190);
	record(name, 1, 151, 180);
	step(STEP_IDLE, 0);
	pass(150);
	snapshot_begin();
	sa(name, 7, 160, 300);
	say_nothing(0, WIRE_SNAPSHOT_END, EPOCH_OURS);
	step(STEP_IDLE, 0);
	policy("policy-out", WIRE_POLICY_DELETE);
	delete(7);
	step(STEP_IDLE, 0);
	snprintf(to, sizeof(to), "standby-%s-%02x", name, node);
	end(to);
}

static void taken_over(uint8_t node)
{
	char to[64];

	begin(node);
	filled("sa-gcm-esn");
	step(STEP_LOSE, 0);
	step(STEP_TAKEOVER, 0);
	traffic(0, 500);
	connect_as(0, XFRMSYNC_ROLE_STANDBY, EPOCH_OURS);
	ack(0, 2);
	lease_ack(0, 1, 2 << 24);
	number(WIRE_USED, 1, TAG + 1, 120);
	traffic(0, 500);
	pass(10);
	ack(0, 3);
	/* The other one was active, too. */
	hello(0, XFRMSYNC_ROLE_ACTIVE, EPOCH_FAR);
	step(STEP_IDLE, 0);
	filled("sa-gcm-esn");
	pass(200);
	snprintf(to, sizeof(to), "takeover-%02x", node);
	end(to);
}

static void taken_exactly(void)
{
	begin(0);
	filled("sa-gcm-esn");
	step(STEP_TAKEOVER, 0);
	handover(0, WIRE_HANDOVER_COMING);
	record("sa-gcm-esn", 1, 170, 270);
	final(1, 170);
	handover(0, WIRE_HANDOVER_DONE);
	hello(0, XFRMSYNC_ROLE_STANDBY, EPOCH_OURS);
	ack(0, 1);
	traffic(0, 9);
	end("planned");
}

static void gives(uint8_t node)
{
	char to[64];

	begin(node | NODE_ACTIVE | NODE_HAS_OWN);
	traffic(0, 100);
	connect_as(0, XFRMSYNC_ROLE_STANDBY, EPOCH_NONE);
	ack(0, 4);
	lease_ack(0, 1, 1 << 24);
	lease_ack(0, 2, 1 << 24);
	number(WIRE_GIVEN, 1, 1, 1 << 25);
	traffic(1, 100);
	pass(20);
	ack(0, 5);
	say_nothing(0, WIRE_RESYNC, EPOCH_OURS);
	ack(0, 9);
	step(STEP_OWN, 3);
	step(STEP_DELETE, 0);
	step(STEP_RESYNC, 0);
	pass(20);
	say_nothing(0, WIRE_HANDOVER_REQUEST, EPOCH_OURS);
	pass(1);
	hello(0, XFRMSYNC_ROLE_ACTIVE, EPOCH_THEIRS);
	pass(100);
	snprintf(to, sizeof(to), "gives-%02x", node);
	end(to);
}

static void gets_it_back(void)
{
	begin(NODE_ACTIVE | NODE_HAS_OWN | NODE_TWO_PEERS);
	connect_as(0, XFRMSYNC_ROLE_STANDBY, EPOCH_NONE);
	connect_as(1, XFRMSYNC_ROLE_STANDBY, EPOCH_NONE);
	ack(0, 4);
	ack(1, 4);
	lease_ack(0, 1, 1 << 24);
	lease_ack(1, 1, 1 << 24);
	say_nothing(0, WIRE_HANDOVER_REQUEST, EPOCH_OURS);
	pass(1);
	handover(0, WIRE_HANDOVER_REFUSED);
	pass(100);
	step(STEP_LOSE, 0);
	step(STEP_STANDBY, 0);
	say_nothing(1, WIRE_FILL, EPOCH_OURS);
	pass(200);
	end("gets-back");
}

static void troubles(void)
{
	struct wire_refused f = { .handle = 1, .tag = 1, .why = WIRE_REFUSED_CONFLICT,
				  .text = "its SPI is in use there" };
	struct record rec = { .seq = 40, .bmp_words = 1, .bmp = { 7 } };
	struct buf b = {};

	begin(NODE_HAS_OWN | NODE_NEW_SPI | NODE_MAPS);
	fail(2, 3, 1);
	filled("sa-udp");
	fail(1, 1, 0);
	pass(150);
	pass(250);
	step(STEP_DELETE, 0);
	pass(150);
	step(STEP_LOSE, 0);
	step(STEP_TAKEOVER, 1);
	connect_as(0, XFRMSYNC_ROLE_STANDBY, EPOCH_OURS);
	wire_put_refused(&b, &f);
	say(0, WIRE_REFUSED, EPOCH_OURS, &b);
	wire_put_merge(&b, 1, 1, &rec);
	say(0, WIRE_MERGE, EPOCH_OURS, &b);
	wire_put_error(&b, WIRE_ERROR_GOING, "it stops");
	say(0, WIRE_ERROR, EPOCH_OURS, &b);
	say_nothing(0, WIRE_PING, EPOCH_OURS);
	step(STEP_FENCED, 0);
	hello(0, XFRMSYNC_ROLE_STANDBY, EPOCH_TOO_FAR);
	end("troubles");
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = {
		"sa-ah6", "sa-all", "sa-gcm-esn", "sa-ipcomp6", "sa-pmtu", "sa-udp",
		"sa-unknown", "sa-vendor-little", "bad-window", "bad-unknown", "bad-cut",
	};
	size_t i;

	if (argc != 2 || sodium_init() < 0)
		return 2;
	folder = argv[1];
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		standby(kinds[i], 0);
		standby(kinds[i], NODE_HAS_OWN | NODE_NEW_SPI | NODE_TWO_PEERS);
		standby(kinds[i], NODE_HAS_OWN | NODE_MAPS | NODE_STRICT);
	}
	taken_over(0);
	taken_over(NODE_STRICT | NODE_HAS_OWN | NODE_GOES_ON);
	taken_exactly();
	gives(0);
	gives(NODE_STRICT | NODE_GOES_ON);
	gives(NODE_TWO_PEERS | NODE_RENEGOTIATE);
	gets_it_back();
	troubles();
	buf_free(&seed);
	return 0;
}
