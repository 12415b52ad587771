// SPDX-License-Identifier: GPL-2.0
/*
 * In: what peers say to a daemon, and what happens to it meanwhile (peer_fuzz.h).
 * Out: -; each sum of the cache is what it sums, all that it says can be read, and what
 *      is this node's own is left alone.
 * libFuzzer's harness: what comes behind the parsers (peer.c, apply.c, lead.c, lease.c,
 * inbound.c, handover.c, role.c, ...). The kernel is fuzz/kernel.c, the clock in here.
 */
#include <assert.h>
#include <stdarg.h>

/* For its frame(), and the others of its ops: TLS in front would keep every fuzzer out. */
#include "../peer.c"

#include "fuzz.h"
#include "kernel.h"
#include "peer_fuzz.h"

#define MOST 16384		/* bytes of an input */
#define OUT_MOST (4 << 20)
#define PEERS 2

static struct daemon d;
static struct link *links[PEERS];
static uint64_t now_ns;
static struct state stored;
static bool is_stored;
static bool kernel_failed;

/* ---- what is not the daemon's own ---- */

uint64_t __wrap_loop_now_ns(void);
void __real_loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t in_ns);
void __wrap_loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t in_ns);
time_t __wrap_time(time_t *t);
void __wrap_log_line(int priority, const char *fmt, ...);
int __wrap_state_store(const char *dir, struct state *s);
int __wrap_state_load(const char *dir, struct state *s);
bool __wrap_state_is_stored(const char *dir, const struct state *s);
void __wrap_state_boot_id(char *buf, size_t len);
void __wrap_link_kick(struct link *l);
void __wrap_link_close(struct link *l);
struct link *__wrap_link_new(struct loop *loop, struct link_tls *t,
			     const struct conf *conf, int fd, bool outgoing,
			     const char *addr, const struct link_ops *o, void *data);

uint64_t __wrap_loop_now_ns(void)
{
	return now_ns;
}

/* By that clock, too: loop.c's own calls of it are not wrapped. */
void __wrap_loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t in_ns)
{
	__real_loop_timer_set(l, t, in_ns);
	t->at_ns = now_ns + in_ns;
}

time_t __wrap_time(time_t *t)
{
	(void)t;
	return 1000000 + now_ns / 1000000000ULL;
}

void __wrap_log_line(int priority, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	(void)priority;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (getenv("PEER_FUZZ_LOG"))
		fprintf(stderr, "%s\n", line);
}

int __wrap_state_store(const char *dir, struct state *s)
{
	(void)dir;
	if (s->role == XFRMSYNC_ROLE_ACTIVE)
		snprintf(s->boot_id, sizeof(s->boot_id), "boot");
	stored = *s;
	is_stored = true;
	return 0;
}

int __wrap_state_load(const char *dir, struct state *s)
{
	(void)dir;
	*s = stored;
	return is_stored ? 0 : -ENOENT;
}

bool __wrap_state_is_stored(const char *dir, const struct state *s)
{
	(void)dir;
	return is_stored && stored.role == s->role && stored.epoch == s->epoch;
}

void __wrap_state_boot_id(char *buf, size_t len)
{
	snprintf(buf, len, "boot");
}

void __wrap_link_kick(struct link *l)
{
	assert(!l->gone);
}

void __wrap_link_close(struct link *l)
{
	int i;

	if (l->gone)
		return;
	l->gone = true;
	for (i = 0; i < PEERS; i++) {
		if (links[i] == l)
			links[i] = NULL;
	}
	buf_free(&l->in);
	buf_free(&l->out);
	loop_free_later(l->loop, l);
}

struct link *__wrap_link_new(struct loop *loop, struct link_tls *t,
			     const struct conf *conf, int fd, bool outgoing,
			     const char *addr, const struct link_ops *o, void *data)
{
	(void)loop;
	(void)t;
	(void)conf;
	(void)fd;
	(void)outgoing;
	(void)addr;
	(void)o;
	(void)data;
	return NULL;
}

/* ---- the input ---- */

/* As rd_u8(), but an end is none. */
static unsigned int take(struct rd *r, int bytes)
{
	unsigned int v = 0;

	while (bytes-- && r->left)
		v = v << 8 | rd_u8(r);
	return v;
}

/* ---- what it says ---- */

static void check_records(struct rd *r)
{
	struct record rec;
	uint32_t handle;
	uint64_t sent;

	while (r->left)
		assert(!wire_get_record(r, &handle, &rec, &sent, wall_now()));
}

static void check_numbers(struct rd *r, uint8_t type)
{
	struct wire_lease_ack ack;
	struct wire_final final;

	while (r->left && type == WIRE_LEASE_ACK)
		assert(!wire_get_lease_ack(r, &ack));
	while (r->left && type == WIRE_FINAL)
		assert(!wire_get_final(r, &final));
}

/* Each as the peer would read it. */
static void check_said(const struct wire_header *h, struct rd *r)
{
	static union {
		struct wire_hello hello;
		struct wire_sa sa;
		struct wire_ack ack;
		struct wire_number number;
		struct wire_refused refused;
		struct wire_delete del;
		struct wire_snapshot snapshot;
		struct record rec;
	} u;
	struct context_sa info;
	uint32_t handle;
	uint64_t tag;

	switch (h->type) {
	case WIRE_HELLO:
		assert(!wire_get_hello(r, &u.hello));
		break;
	case WIRE_CONTEXT:
		assert(!wire_get_sa(r, &u.sa, wall_now()));
		assert(u.sa.handle);
		/* Where the kernel does not say, what was refused may be there. */
		assert(kernel_failed ||
		       !context_sa_info(u.sa.context, u.sa.context_len, &info, NULL));
		break;
	case WIRE_RECORDS:
		check_records(r);
		break;
	case WIRE_ACK:
		assert(!wire_get_ack(r, &u.ack));
		break;
	case WIRE_USED:
	case WIRE_GIVEN:
		assert(!wire_get_number(r, &u.number) && u.number.handle);
		break;
	case WIRE_REFUSED:
		assert(!wire_get_refused(r, &u.refused));
		break;
	case WIRE_DELETE:
		assert(!wire_get_delete(r, &u.del) && u.del.handle);
		break;
	case WIRE_SNAPSHOT_BEGIN:
		assert(!wire_get_snapshot(r, &u.snapshot));
		break;
	case WIRE_MERGE:
		assert(!wire_get_merge(r, &handle, &tag, &u.rec));
		break;
	default:
		check_numbers(r, h->type);
	}
}

static void check_out(struct link *l)
{
	struct wire_header h;
	size_t at = 0;
	struct rd r;

	assert(!l->out.bad && l->out.len <= OUT_MOST);
	while (at < l->out.len) {
		assert(wire_header_parse(l->out.data + at, l->out.len - at, &h) == 1);
		r = (struct rd){
			.p = l->out.data + at + WIRE_HEADER, .left = h.length,
		};
		assert(h.length <= l->out.len - at - WIRE_HEADER);
		check_said(&h, &r);
		at += WIRE_HEADER + h.length;
	}
	buf_clear(&l->out);
}

/* A round of the loop's: what waits is sent, what ended is freed. */
static void settle_round(void)
{
	int i, tries;

	for (i = 0; i < PEERS; i++) {
		for (tries = 0; links[i] && tries < 4; tries++) {
			fill(links[i]);
			check_out(links[i]);
		}
	}
	while (d.loop.n_dead)
		free(d.loop.dead[--d.loop.n_dead]);
}

/* ---- what has to be, always ---- */

static void check_sums(void)
{
	size_t applied[CACHE_STATES] = {}, n = 0, repair = 0, unsafe = 0;
	struct cache_policy *p, *np;
	struct cache_entry *e;
	int i;

	cache_for_each(&d.cache, e) {
		n++;
		applied[e->applied]++;
		repair += e->repair;
		unsafe += !!e->unsafe;
		assert(cache_find(&d.cache, &e->id) == e);
		assert(!e->handle || cache_find_handle(&d.cache, e->handle) == e);
		assert(e->rec.bmp_words <= RECORD_BMP_WORDS);
		assert(e->rec.window <= 32 * e->rec.bmp_words);
		assert(sa_id_equal(&e->id, &e->info.id));
	}
	assert(n == d.cache.n_entries && repair == d.cache.n_repair);
	assert(unsafe == d.cache.n_unsafe);
	for (i = 0; i < CACHE_STATES && !role_is_active(&d); i++)
		assert(applied[i] == d.applied[i]);
	n = 0;
	cache_for_each_policy_safe(&d.cache, p, np) {
		n++;
		assert(cache_policy_find(&d.cache, &p->info) == p);
	}
	assert(n == d.cache.n_policies);
	assert(d.n_batch <= DAEMON_BATCH);
	assert(d.st.epoch <= WIRE_MAX_EPOCH + 4);
	/* What is stored is never behind what is in force. */
	assert(!is_stored || state_epoch_cmp(stored.epoch, stored.node, d.st.epoch,
					     d.st.node) >= 0);
}

/* ---- steps ---- */

static void lose(int whom, const char *why)
{
	struct link *l = links[whom];

	if (!l)
		return;
	down(l, why);
	link_close(l);
}

/* As accept_one(), or a connection of this node's, of which TLS stands. */
static void connect_peer(int whom)
{
	struct link *l;
	size_t i;

	for (i = 0; i < GUESTS && d.guest[i]; i++)
		;
	if (whom >= N_PEERS(&d) || i == GUESTS || d.loop.n_dead > 32)
		return;
	l = calloc(1, sizeof(*l));
	assert(l);
	l->loop = &d.loop;
	l->ops = &ops;
	l->data = &d;
	l->io.fd = -1;
	l->up = true;
	l->last_heard_ns = now_ns;
	snprintf(l->addr, sizeof(l->addr), "192.0.2.%d port 4797", whom + 1);
	snprintf(l->name, sizeof(l->name), "%s", d.peer[whom].name);
	/* One that did not say who it is yet goes: a harness has no dead timer. */
	if (links[whom] && !peer_of(&d, links[whom]))
		lose(whom, "it did not say who it is");
	d.guest[i] = l;
	links[whom] = l;
	ops.up(l);
}

static void set_epoch(struct wire_header *h, unsigned int which, int whom)
{
	h->epoch = d.st.epoch;
	h->node = d.st.node;
	switch (which % EPOCHS) {
	case EPOCH_OURS:
		return;
	case EPOCH_THEIRS:
		h->epoch++;
		break;
	case EPOCH_OLD:
		h->epoch -= h->epoch > 0;
		break;
	case EPOCH_NONE:
		h->epoch = 0;
		break;
	case EPOCH_FAR:
		h->epoch += STATE_EPOCH_LEAP - 1;
		break;
	case EPOCH_TOO_FAR:
		h->epoch += STATE_EPOCH_LEAP + 1;
		break;
	case EPOCH_LAST:
		h->epoch = WIRE_MAX_EPOCH;
		break;
	}
	if (h->epoch > WIRE_MAX_EPOCH)
		h->epoch = WIRE_MAX_EPOCH;
	h->node = whom == 0 ? 1 : 3;
}

/* In memory of its own size, so that a step beyond it is seen. */
static void hear(struct rd *in, int whom)
{
	struct wire_header h = { .version = WIRE_VERSION };
	struct link *l = links[whom];
	struct rd r = {};
	uint8_t *p;

	h.type = take(in, 1);
	set_epoch(&h, take(in, 1), whom);
	h.length = take(in, 2);
	if (h.length > in->left)
		h.length = in->left;
	if (!l) {
		rd_bytes(in, h.length);
		return;
	}
	l->last_heard_ns = now_ns;
	p = malloc(WIRE_HEADER + h.length);
	assert(p);
	memset(p, 0, WIRE_HEADER);
	rd_copy(in, p + WIRE_HEADER, h.length);
	l->in = (struct buf){
		.data = p, .len = WIRE_HEADER + h.length,
		.cap = WIRE_HEADER + h.length,
	};
	r.p = p + WIRE_HEADER;
	r.left = h.length;
	if (!ops.frame(l, &h, &r) && !l->gone) {
		down(l, "it sent a malformed frame");
		link_close(l);
	}
	if (!l->gone)
		buf_free(&l->in);
}

static void beat(struct loop_timer *t)
{
	watchdog_beat(&d);
	peer_heartbeat(&d);
	leave_look(&d);
	loop_timer_set(&d.loop, t, d.conf.heartbeat_ms * LOOP_MS);
}

static void run_timers_due(void)
{
	struct loop_timer *t;
	int most = 1000;

again:
	for (t = d.loop.timers; t; t = t->next) {
		if (!t->at_ns || t->at_ns > now_ns)
			continue;
		/* One that is due at once, again and again, is a loop. */
		assert(most--);
		t->at_ns = 0;
		t->cb(t);
		goto again;
	}
}

static void no_connection(struct loop_timer *t)
{
	(void)t;
}

static void took(struct daemon *daemon, int code, const char *text)
{
	(void)code;
	assert(daemon == &d && text[0]);
}

static void do_step(struct rd *in)
{
	static const int errnos[] = {
		ENOBUFS, ENOMEM, EINVAL, EPERM, ESRCH, EBUSY, ESTALE, EEXIST
	};
	unsigned int op = take(in, 1), whom = op >> 5, when;

	switch (op % 32 % STEPS) {
	case STEP_FRAME:
		hear(in, whom % PEERS);
		break;
	case STEP_IDLE:
		if (links[whom % PEERS])
			ops.idle(links[whom % PEERS]);
		break;
	case STEP_TIME:
		now_ns += take(in, 1) * 10 * LOOP_MS;
		run_timers_due();
		break;
	case STEP_CONNECT:
		connect_peer(whom % PEERS);
		break;
	case STEP_LOSE:
		lose(whom % PEERS, "it closed the connection");
		break;
	case STEP_TAKEOVER:
		role_takeover(&d, whom & 1, took);
		break;
	case STEP_STANDBY:
		role_standby(&d, "told to");
		break;
	case STEP_TRAFFIC:
		kernel_traffic(whom, take(in, 2));
		if (d.reading)
			source_pull(&d);
		break;
	case STEP_DELETE:
		kernel_delete(whom);
		run_xfrm_events(&d);
		break;
	case STEP_OWN:
		kernel_add_own(whom);
		run_xfrm_events(&d);
		break;
	case STEP_FAIL:
		when = take(in, 1);
		kernel_failed = true;
		kernel_fails(when, take(in, 1) % 8, errnos[whom]);
		break;
	case STEP_RESYNC:
		d.reader.resync = d.reading;
		source_pull_soon(&d);
		break;
	case STEP_FENCED:
		kernel_fence();
		watchdog_look(&d);
		break;
	}
	settle_round();
	check_sums();
}

/* ---- the node ---- */

static const char *const names[PEERS] = { "gw-a", "gw-c" };

static void set_conf(struct conf *c, uint8_t node)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	c->node_id = 2;
	snprintf(c->node_name, sizeof(c->node_name), "gw-b");
	snprintf(c->state_dir, sizeof(c->state_dir), "/dev/null/none");
	snprintf(c->socket, sizeof(c->socket), "/dev/null/none");
	c->spi_range = (struct spi_range){ 0xd0000000, 0xd000ffff };
	c->n_peers = node & NODE_TWO_PEERS ? 2 : 1;
	for (i = 0; i < c->n_peers; i++) {
		snprintf(c->peer[i].name, sizeof(c->peer[i].name), "%s", names[i]);
		snprintf(c->peer[i].address, sizeof(c->peer[i].address), "192.0.2.1");
		c->peer[i].leave_ms = 60000 * i;
	}
	if (node & NODE_MAPS) {
		assert(!map_add(&c->peer[0].map, "192.0.2.1=203.0.113.1"));
		assert(!map_add(&c->peer[0].map, "192.0.2.7=192.0.2.2"));
	}
	c->interval_us = 1000;
	c->heartbeat_ms = 1000;
	c->answer_ms = 500;
	c->dead_ms = 5000;
	c->drain_ms = 2;
	c->watchdog_ms = 2000;
	c->lease = (struct conf_lease){
		30, 24, node & NODE_GOES_ON ? CONF_EXHAUSTED_CONTINUE :
					      CONF_EXHAUSTED_STOP,
	};
	c->guard = node & NODE_STRICT ? CONF_GUARD_STRICT : CONF_GUARD_AVAILABLE;
	c->guard_min = 32;
	c->guard_max = 4096;
	c->guard_max_rate = 100000;
	c->on_conflict = node & NODE_NEW_SPI ? CONF_CONFLICT_NEW_SPI :
			 node & NODE_RENEGOTIATE ? CONF_CONFLICT_RENEGOTIATE :
						   CONF_CONFLICT_DENY;
	c->unsupported = node & NODE_RENEGOTIATE ? CONF_UNSUPPORTED_RENEGOTIATE :
						   CONF_UNSUPPORTED_REFUSE;
}

/* peer_init() without its socket. */
static void init_peers(void)
{
	struct peer *p;
	size_t i;

	d.n_peers = d.conf.n_peers;
	for (i = 0; i < d.n_peers; i++) {
		p = &d.peer[i];
		p->d = &d;
		p->index = i;
		p->conf = d.conf.peer[i];
		p->lost_ns = now_ns;
		memcpy(p->name, d.conf.peer[i].name, sizeof(p->name));
		list_init(&p->dirty);
		list_init(&p->flight);
		p->retry.cb = no_connection;
		p->retry.data = p;
	}
}

/* cmd_run.c's start(). */
static void start(uint8_t node)
{
	static uint8_t key = 7;

	unsigned int i;

	memset(&d, 0, sizeof(d));
	memset(&stored, 0, sizeof(stored));
	is_stored = false;
	kernel_failed = false;
	now_ns = 1ULL << 40;
	set_conf(&d.conf, node);
	d.instance = 77;
	memset(d.tag_key, key, sizeof(d.tag_key));
	d.listen_io.fd = -1;
	d.spare_fd = -1;
	d.lock_fd = -1;
	d.reader_io.fd = -1;
	d.owned.fd = -1;
	kernel_start();
	assert(!loop_init(&d.loop) && !cache_init(&d.cache));
	assert(!genl_open(&d.req) && !xfrm_open(&d.xfrm));
	for (i = 0; node & NODE_HAS_OWN && i < 3; i++)
		kernel_add_own(i);
	apply_init(&d);
	inbound_init(&d);
	leave_init(&d);
	exempt_all(&d);
	assert(!watchdog_start(&d) && !role_init(&d));
	init_peers();
	handover_peers_changed(&d);
	role_carry_on(&d);
	d.heartbeat.cb = beat;
	loop_timer_set(&d.loop, &d.heartbeat, d.conf.heartbeat_ms * LOOP_MS);
	if (node & NODE_ACTIVE)
		role_takeover(&d, true, took);
}

static void stop(void)
{
	kernel_fails(0, 0, 0);
	peer_exit(&d);
	source_stop(&d);
	pmtu_follow_exit(&d);
	apply_exit(&d);
	xfrm_close(&d.xfrm);
	genl_close(&d.req);
	cache_exit(&d.cache);
	loop_exit(&d.loop);
	kernel_end();
	memset(links, 0, sizeof(links));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd in = { .p = data, .left = size };

	if (!size || size > MOST)
		return 0;
	start(take(&in, 1));
	check_sums();
	while (in.left)
		do_step(&in);
	stop();
	return 0;
}
