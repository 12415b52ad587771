// SPDX-License-Identifier: GPL-2.0
/*
 * In: what kind of node is asked (a byte), how (a byte), and what a client of the
 *     control socket sends, up to its end.
 * Out: an answer to each line, as control.h says; the same in whatever pieces they
 *      come and go; what monitors hear, and nothing else.
 * libFuzzer's harness: the control socket's server (control_server.c), and what it
 * asks of the cache. The kernel, and what changes it, is in here: the Makefile has
 * the linker take that.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>

static ssize_t client_recv(int fd, void *p, size_t len, int flags);
static ssize_t client_send(int fd, const void *p, size_t len, int flags);

/* A socket that no time is lost with. */
#define recv client_recv
#define send client_send
#include "../control_server.c"
#undef recv
#undef send

#include "fuzz.h"
#include "ike_keys.h"

#define SAS 5
#define NOW_NS (100000 * LOOP_MS)
#define WHOLE LINE_MAX_BYTES
#define MOST 250	/* bytes, of some requests: status takes its time */

/* The first byte. */
enum {
	ACTIVE		= 1 << 0,
	CONNECTED	= 1 << 1,	/* with one of its two peers */
	SYNCED		= 1 << 2,
	KERNEL_FAILS	= 1 << 3,
	TAKES_LONG	= 1 << 4,	/* a takeover is answered later */
	UNTOLD		= 1 << 5,	/* an SA came that no active told */
	STRICT		= 1 << 6,	/* guard; and keys are told */
	IKE		= 1 << 7,	/* it carries IKE SAs, one of them with what is in no context */
};

/* The second byte: how the client goes about it, and the size of pieces. */
enum how { AT_ONCE, IN_PIECES, LEAVES, HOWS };

static uint8_t node;
static struct daemon d;
static struct record kernel[SAS];

/* ---- the client's end ---- */

static struct {
	const uint8_t *p;
	size_t left, piece;
	size_t most;		/* bytes that it takes before it leaves */
	bool ended;		/* it says no more */
	bool slow, full;
	struct buf heard;
} far;

static ssize_t client_recv(int fd, void *p, size_t len, int flags)
{
	size_t n = far.left < far.piece ? far.left : far.piece;

	(void)fd;
	(void)flags;
	if (!far.left && far.ended)
		return 0;
	if (!far.left) {
		errno = EAGAIN;
		return -1;
	}
	n = n < len ? n : len;
	memcpy(p, far.p, n);
	far.p += n;
	far.left -= n;
	return n;
}

/* To one that is slow in pieces, too; each second time there is no room. */
static ssize_t client_send(int fd, const void *p, size_t len, int flags)
{
	size_t n = far.slow ? far.piece * 64 : len;

	(void)fd;
	(void)flags;
	if (far.heard.len >= far.most) {
		errno = EPIPE;
		return -1;
	}
	far.full = !far.full && far.slow;
	if (far.full) {
		errno = EAGAIN;
		return -1;
	}
	n = n < len ? n : len;
	if (n > far.most - far.heard.len)
		n = far.most - far.heard.len;
	buf_put(&far.heard, p, n);
	return n;
}

/* ---- the kernel, and what changes it ---- */

uint64_t __wrap_loop_now_ns(void);
void __wrap_log_line(int priority, const char *fmt, ...);
int __wrap_genl_dump(struct genl *g, genl_record_cb cb, void *data);
int __wrap_genl_status_get(struct genl *g, struct genl_status *st);
int __wrap_genl_stats_get(struct genl *g, struct genl_stats *stats);
int __wrap_migrate_run(struct migrate *m);
int __wrap_role_standby(struct daemon *daemon, const char *why);
void __wrap_role_takeover(struct daemon *daemon, bool force,
			  void (*done)(struct daemon *d, int code,
				       const char *text));
const struct ike_store *__wrap_ike_kept(const struct daemon *daemon);

static struct {
	void (*done)(struct daemon *d, int code, const char *text);
	size_t asked, answered;
} taking;

uint64_t __wrap_loop_now_ns(void)
{
	return NOW_NS;
}

void __wrap_log_line(int priority, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	(void)priority;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
}

int __wrap_genl_dump(struct genl *g, genl_record_cb cb, void *data)
{
	int i, ret;

	for (i = 0; i < SAS; i++) {
		if (node & KERNEL_FAILS && i == SAS / 2) {
			snprintf(g->error, sizeof(g->error), "no more");
			return -ENOBUFS;
		}
		ret = cb(&kernel[i], data);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int __wrap_genl_status_get(struct genl *g, struct genl_status *st)
{
	(void)g;
	memset(st, 0, sizeof(*st));
	st->sas = SAS;
	st->untold = !!(node & UNTOLD);
	return node & KERNEL_FAILS ? -ENOENT : 0;
}

int __wrap_genl_stats_get(struct genl *g, struct genl_stats *stats)
{
	(void)g;
	memset(stats, 0xff, sizeof(*stats));
	return node & KERNEL_FAILS ? -ENOENT : 0;
}

/* What it asks of a map. */
int __wrap_migrate_run(struct migrate *m)
{
	struct sa_id id;
	int i;

	assert(m->map.n == 1 && m->g == &d.req);
	for (i = 0; i < SAS; i++) {
		id = kernel[i].id;
		if (!map_has(&m->map, id.family, kernel[i].src, id.dst))
			continue;
		map_id(&m->map, &id);
		m->moved++;
		if (map_joins(&m->map, id.family, kernel[i].src, kernel[i].id.dst))
			json_array_append_new(m->failed, json_pack("{s:s}", "error",
								   "joins"));
	}
	if (!(node & KERNEL_FAILS) && m->moved)
		return 0;
	snprintf(m->error, sizeof(m->error), "nothing was moved");
	return -1;
}

static void taken(int code, const char *text)
{
	void (*done)(struct daemon *d, int code, const char *text) = taking.done;

	taking.done = NULL;
	if (!done)
		return;
	taking.answered += clients[0].used && clients[0].waits_takeover;
	done(&d, code, text);
}

int __wrap_role_standby(struct daemon *daemon, const char *why)
{
	assert(daemon == &d && why);
	taken(1, "told to be standby meanwhile");
	if (node & KERNEL_FAILS && role_is_active(&d))
		return -EBUSY;
	d.st.role = XFRMSYNC_ROLE_STANDBY;
	return 0;
}

/* As role.c: who asks while one waits, waits for the same end. */
void __wrap_role_takeover(struct daemon *daemon, bool force,
			  void (*done)(struct daemon *d, int code,
				       const char *text))
{
	assert(daemon == &d);
	taking.asked++;
	if (taking.done)
		return;
	taking.done = done;
	if (node & TAKES_LONG && !role_is_active(&d))
		return;
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	taken(node & KERNEL_FAILS ? 1 : 0, force ? "active, by force" : "active");
}

static struct ike_store ike_sas;

const struct ike_store *__wrap_ike_kept(const struct daemon *daemon)
{
	assert(daemon == &d);
	return node & IKE ? &ike_sas : NULL;
}

/* ---- this node ---- */

static struct ha_msg *begin_msg(uint8_t type, uint8_t n)
{
	const struct ha_ike_id id = { .version = 2, .spi_i = { n }, .spi_r = { n } };
	static struct ha_msg msg;

	ha_begin(&msg, 3, type);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	return &msg;
}

static void take_msg(struct ha_msg *msg)
{
	assert(ike_store_take(&ike_sas, msg) == IKE_STORE_CHANGED);
}

static void put_nonces(struct ha_msg *msg)
{
	ha_put_bytes(msg, HA_ATTR_NONCE_I, "ni", 2);
	ha_put_bytes(msg, HA_ATTR_NONCE_R, "nr", 2);
}

/* The second one's names are for no terminal, the third one has only begun. */
static void add_ike_sa(uint8_t n)
{
	const struct ha_addr addr = { .family = AF_INET, .addr = { 192, 0, 2, n } };
	struct ha_msg *msg = begin_msg(HA_IKE_ADD, n);

	ha_put_u16(msg, HA_ATTR_ALG_ENCR, n == 1 ? IKE_ENCR_AES_CBC : 9);
	ha_put_u16(msg, HA_ATTR_ALG_ENCR_LEN, 128);
	ha_put_u16(msg, HA_ATTR_ALG_INTEG, IKE_INTEG_HMAC_SHA2_256_128);
	ha_put_u16(msg, HA_ATTR_ALG_PRF, IKE_PRF_HMAC_SHA2_256);
	put_nonces(msg);
	ha_put_bytes(msg, HA_ATTR_SECRET, "secret", 6);
	take_msg(msg);
	if (n == 3)
		return;
	msg = begin_msg(HA_IKE_UPDATE, n);
	ha_put_id(msg, HA_ATTR_LOCAL_ID, 2, "gw\xff\x1b\"", n == 1 ? 2 : 5);
	ha_put_id(msg, HA_ATTR_REMOTE_ID, n, "peer", 4);
	ha_put_addr(msg, HA_ATTR_LOCAL_ADDR, &addr);
	ha_put_addr(msg, HA_ATTR_REMOTE_ADDR, &addr);
	ha_put_bytes(msg, HA_ATTR_CONFIG_NAME, "si\"x", 4);
	take_msg(msg);
	msg = begin_msg(HA_CHILD_ADD, n);
	ha_put_spi(msg, HA_ATTR_INBOUND_SPI, htonl(0xc0000000 + n));
	ha_put_spi(msg, HA_ATTR_OUTBOUND_SPI, htonl(0xc0000100 + n));
	ha_put_bytes(msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_u16(msg, HA_ATTR_ALG_ENCR, IKE_ENCR_AES_GCM_16);
	ha_put_u16(msg, HA_ATTR_ALG_ENCR_LEN, 128);
	put_nonces(msg);
	take_msg(msg);
}

/* As a peer would tell it, which is no good one. */
static void refuse_at_peer(struct cache_entry *e)
{
	static const uint8_t said[] = "\0\0\0\1" "\0\0\0\0\0\0\0\1" "\4"
				      "no \xff\x1b such \xc3";
	struct rd r = { .p = said, .left = sizeof(said) - 1 };
	struct wire_refused refused;

	assert(!wire_get_refused(&r, &refused));
	cache_set_refused(&d.cache, &e->mark[1], refused.text);
}

static void add_sa(int i)
{
	struct context_sa info = {
		.id = { .family = i & 1 ? AF_INET6 : AF_INET, .proto = 50,
			.spi = htonl(0xc0000000 + i), .dst = { 192, 0, 2, i } },
		.src = { 192, 0, 2, 10 }, .mode = 1, .reqid = i,
		.esn = true, .large = true, .window = 128, .bmp_words = 4,
	};
	struct record *rec = &kernel[i];
	struct cache_entry *e;

	*rec = (struct record){
		.id = info.id, .src = { 192, 0, 2, 10 }, .reqid = i,
		.dir = i & 2 ? XFRMSYNC_DIR_IN : XFRMSYNC_DIR_OUT,
		.oseq = UINT64_MAX, .seq = 5, .bmp_words = 4, .window = 128,
		.tag = i ? 1ULL << 63 : 0, .lease_end = i * 1000, .guard = 64,
		.flags = i == 1 ? XFRMSYNC_RECORD_F_FENCED :
			 i == 2 ? XFRMSYNC_RECORD_F_UNTOLD :
				  XFRMSYNC_RECORD_F_RESTORED,
	};
	/* One that the kernel alone has. */
	if (i == 0)
		return;
	e = cache_add(&d.cache, &info, (void *)"key", 3, 0);
	assert(e);
	e->rec = *rec;
	e->tag = rec->tag;
	e->sent = 7;
	e->lease_end = rec->lease_end;
	e->pmtu = 1400;
	e->applied = i == 3 ? CACHE_FAILED : i == 4 ? CACHE_CONFLICT :
						      CACHE_APPLIED;
	d.applied[e->applied]++;
	if (i == 1)
		cache_set_unsafe(&d.cache, e, "of a reason");
	if (i == 2)
		refuse_at_peer(e);
	if (i == 4)
		cache_set_way(e, &info);
}

/* What it lacks, as a peer would tell it. */
static void lack_at_peer(struct peer *p)
{
	static const uint8_t said[] = "no \xff\x1b such \xc3";
	struct rd r = { .p = said, .left = sizeof(said) - 1 };
	char text[WIRE_LACKING_TEXT + 1];

	assert(!wire_get_lacking(&r, text));
	p->lacking[0] = strdup(text);
	assert(p->lacking[0]);
	p->n_lacking = 1;
}

static void set_up(void)
{
	struct peer *p;
	int i;

	assert(!cache_init(&d.cache));
	snprintf(d.conf.node_name, sizeof(d.conf.node_name), "gw-a");
	d.conf.spi_range = (struct spi_range){ 0xc0000000, 0xc0ffffff };
	d.n_peers = d.conf.n_peers = 2;
	for (i = 0; i < 2; i++) {
		p = &d.peer[i];
		p->d = &d;
		p->index = i;
		snprintf(p->name, sizeof(p->name), "gw-%c", 'b' + i);
		p->spi_range = d.conf.spi_range;
		p->conf.leave_ms = 1000 * i;
		p->lost_ns = 1;
		p->peer_sas = UINT32_MAX;
		list_init(&p->dirty);
		list_init(&p->flight);
	}
	for (i = 0; i < SAS; i++)
		add_sa(i);
	assert(!ike_store_init(&ike_sas));
	for (i = 1; i <= 3; i++)
		add_ike_sa(i);
	lack_at_peer(&d.peer[0]);
	omitted_note(&d.omitted, &kernel[0].id, false, "of a reason");
	omitted_note(&d.omitted, &kernel[3].id, true, "of another");
}

static void set_node(void)
{
	static struct link link = { .addr = "192.0.2.2 port 4797" };

	struct peer *p = &d.peer[0];

	d.st = (struct state){
		.epoch = 7, .node = 1, .own = 7,
		.role = node & ACTIVE ? XFRMSYNC_ROLE_ACTIVE :
					XFRMSYNC_ROLE_STANDBY,
	};
	d.synced = node & SYNCED;
	d.conf.guard = node & STRICT ? CONF_GUARD_STRICT : CONF_GUARD_AVAILABLE;
	d.conf.ike_key_log = node & STRICT;
	p->link = node & CONNECTED ? &link : NULL;
	p->role = node & ACTIVE ? XFRMSYNC_ROLE_STANDBY : XFRMSYNC_ROLE_ACTIVE;
	p->sending = node & ACTIVE && p->link;
	d.source = node & ACTIVE ? NULL : p;
	memset(&taking, 0, sizeof(taking));
}

/* ---- what was said ---- */

static void connect_client(struct client *c)
{
	memset(c, 0, sizeof(*c));
	c->used = true;
	c->d = &d;
	c->io.cb = client_io;
	c->io.data = c;
	c->io.fd = -1;
}

/* What the client heard, and what one that monitors all the while did. */
static void converse(const uint8_t *p, size_t len, size_t piece, size_t most,
		     struct buf *heard, struct buf *monitored)
{
	struct client *c = &clients[0], *m = &clients[1];

	set_node();
	connect_client(c);
	connect_client(m);
	m->monitor = true;
	n_monitors = 1;
	far.p = p;
	far.left = len;
	far.piece = piece;
	far.most = most;
	far.slow = piece != WHOLE && most == SIZE_MAX;
	far.ended = far.full = false;
	far.heard = (struct buf){};
	while (c->used && far.left)
		client_io(&c->io, EPOLLIN);
	taken(0, "active, at last");
	while (c->used && c->out.len)
		client_io(&c->io, EPOLLOUT);
	far.ended = true;
	if (c->used)
		client_io(&c->io, EPOLLIN);
	assert(!c->used && !c->waits_takeover && n_monitors == 1);
	*heard = far.heard;
	*monitored = m->out;
	m->out = (struct buf){};
	client_end(m);
	assert(!n_monitors);
	/* As the next one that comes finds it: what is left there is a leak. */
	connect_client(c);
	client_end(c);
}

struct expected {
	size_t done;		/* lines that end an answer */
	bool monitors;
	struct buf events;
};

static bool is_cmd(const json_t *req, const char *cmd)
{
	const char *is = json_string_value(json_object_get(req, "cmd"));

	return is && !strcmp(is, cmd);
}

static void expect(struct expected *x, const json_t *req)
{
	const json_t *event = json_object_get(req, "event");
	char *text;

	if (is_cmd(req, "monitor")) {
		x->monitors = true;
		return;
	}
	if (is_cmd(req, "takeover") &&
	    !json_is_true(json_object_get(req, "dry_run")))
		return;
	x->done++;
	if (!is_cmd(req, "event") || !json_is_object(event))
		return;
	text = json_dumps(event, JSON_COMPACT);
	assert(text);
	buf_put(&x->events, text, strlen(text));
	buf_put(&x->events, "\n", 1);
	free(text);
	x->done += x->monitors && json_is_true(json_object_get(event, "done"));
}

static void check_status(const json_t *o)
{
	json_t *unsafe = json_object_get(o, "unsafe");

	assert(json_array_size(json_object_get(o, "peers")) == 2);
	assert(json_array_size(unsafe) ==
	       (size_t)json_integer_value(json_object_get(o, "unsafe_total")));
	assert(json_is_array(json_object_get(o, "reasons")));
	assert(json_is_object(json_object_get(o, "losses")));
	assert(json_is_object(json_object_get(o, "kernel")));
}

static size_t check_line(const uint8_t *p, size_t len, bool monitors)
{
	json_t *o = json_loadb((const char *)p, len, JSON_REJECT_DUPLICATES, NULL);
	size_t done;

	assert(json_is_object(o));
	done = json_is_true(json_object_get(o, "done"));
	/* An event may be anything. */
	if (!monitors && done && json_object_get(o, "exit"))
		assert(json_string_length(json_object_get(o, "error")) > 0);
	if (!monitors && json_object_get(o, "table"))
		assert(d.conf.ike_key_log && json_object_get(o, "line"));
	if (!monitors && json_object_get(o, "unsafe_total"))
		check_status(o);
	json_decref(o);
	return done;
}

static void check_answers(const uint8_t *p, size_t len, const struct buf *heard,
			  const struct buf *monitored)
{
	const uint8_t *end, *at = heard->data;
	size_t left = heard->len, done = 0;
	struct expected x = {};
	json_t *req;

	for (; len && (end = memchr(p, '\n', len)); len -= end + 1 - p, p = end + 1) {
		req = json_loadb((const char *)p, end - p, 0, NULL);
		expect(&x, req);
		json_decref(req);
	}
	for (; left; left -= end + 1 - at, at = end + 1) {
		end = memchr(at, '\n', left);
		assert(end);
		done += check_line(at, end - at, x.monitors);
	}
	/* Who asks twice for a takeover that waits has one answer. */
	assert(done == x.done + taking.answered);
	assert(taking.answered <= taking.asked);
	assert(!taking.asked || taking.answered);
	assert(x.events.len == monitored->len);
	assert(!x.events.len ||
	       !memcmp(x.events.data, monitored->data, monitored->len));
	buf_free(&x.events);
}

static void check_same(const struct buf *whole, const struct buf *part,
		       size_t len)
{
	assert(part->len == len);
	assert(!len || !memcmp(whole->data, part->data, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf heard, monitored, heard2, monitored2;
	size_t piece, most;
	enum how how;

	if (!d.n_peers)
		set_up();
	if (size < 2 || size > MOST)
		return 0;
	node = data[0];
	how = data[1] % HOWS;
	piece = 1 + data[1] / HOWS;
	data += 2;
	size -= 2;
	converse(data, size, WHOLE, SIZE_MAX, &heard, &monitored);
	check_answers(data, size, &heard, &monitored);
	if (how != AT_ONCE) {
		/* It may leave in the middle of an answer. */
		most = how == LEAVES ? heard.len / 2 : SIZE_MAX;
		converse(data, size, piece, most, &heard2, &monitored2);
		check_same(&heard, &heard2, how == LEAVES ? most : heard.len);
		if (how != LEAVES)
			check_same(&monitored, &monitored2, monitored.len);
		buf_free(&heard2);
		buf_free(&monitored2);
	}
	buf_free(&heard);
	buf_free(&monitored);
	return 0;
}
