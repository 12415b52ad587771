// SPDX-License-Identifier: GPL-2.0
/*
 * In: what this node's charon says to its ha plugin's remote; what the active's said.
 * Out: the store of IKE SAs (ike_store.c), the peers' frames, and what this charon is told.
 * The daemon's loop; waits for charon only where a takeover does.
 *
 * An active listens to its charon, and tells the peers. A standby keeps what it is
 * told, and plays it to its own charon once that one has the connections: what comes
 * before them it throws away, IKE SA and all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "daemon.h"
#include "ike.h"
#include "ike_repair.h"
#include "log.h"
#include "vici.h"

#define LOOK_PAUSE (300 * LOOP_MS)	/* for charon, and for its connections */
#define ANSWER_WAIT (60000 * LOOP_MS)	/* a busy charon takes seconds */
#define PACE_PAUSE (2 * LOOP_MS)
/* charon's queue has room for 200 and more of them, of their usual length; unless
 * net.core.rmem_default is less than the kernel's own.
 */
#define BURST 16
#define RCVBUF (4 << 20)		/* bytes, as far as net.core.rmem_max goes */
#define READ_MAX 256			/* messages in one round of the loop */
#define FINISH_MS 2000
#define STEP_DOWN_MS 50			/* for its last words */
#define QUEUE_MAX (256UL << 20)		/* bytes that charon does not read */
#define QUEUE_READ (1UL << 20)		/* ... and that it has read: they go */
#define SEGMENT 1			/* the only one there is */

/* How new an answer is, on this node's clock. */
struct freshness {
	uint64_t epoch;			/* 0: it did not say */
	uint32_t node;
	int64_t at_ms;
};

struct ike {
	struct daemon *d;
	struct ike_store one, other;
	struct ike_store *store, *coming;	/* these two, in turn */
	bool filling;			/* all of it comes, into coming ... */
	const struct peer *from;	/* ... from that one */
	bool unknown;			/* this active does not know what charon had told */
	bool found;			/* ... and coming is all of a standby's answer, */
	struct freshness fresh;		/* ... which is that new */
	struct {
		struct freshness fresh;
		bool done;
	} answer[CONF_MAX_PEERS];
	struct loop_timer recall;	/* it waits for no more of them */
	/* A standby's store is all that an active of that epoch had, at that time. */
	bool whole;
	const struct peer *of;		/* who still tells it; NULL: nobody */
	uint64_t of_epoch;
	uint32_t of_node;
	uint64_t whole_ns;
	struct loop_fd ha, vici;
	struct buf vici_in;
	struct loop_timer look, pace;
	bool asked;			/* for its connections, */
	uint64_t asked_ns;		/* ... at that time */
	struct buf conns;		/* as charon told them last */
	struct vici_words conn;		/* ... their names, in there */
	bool ready;			/* it has told them: it is up */
	bool deaf;			/* it has no ha plugin, and that was said */
	bool lost;			/* the active's has ended; what it had is marked */
	bool restarted;			/* ... and is there again: what it had is gone */
	bool left_out;			/* before a takeover it did not hear all of it */
	bool stranger;			/* who is not charon was heard, and that was said */
	struct buf queue;		/* for charon: u16 length, message, ... */
	size_t at;			/* up to where it went */
	unsigned int burst;		/* so many at once */
	bool unread;			/* it may not have read the last of them */
	bool again;			/* it had no room for some of them */
	unsigned int drops, our_drops;	/* of its socket, of ours, that are known */
	uint64_t heard, refused, played, dropped, missed;
	struct log_budget complaints;
	struct ike_repair repair;
};

static const char *const state_names[] = { "absent", "starting", "ready" };

/* ---- what charon is told ---- */

bool ike_socket_of(struct in_addr local, struct ike_socket *s)
{
	FILE *f = fopen("/proc/net/udp", "re");
	unsigned int addr, port;
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, " %*d: %8X:%4X %*8X:%*4X %*2X %*8X:%8lX %*2X:%*8X %*8X %u %*d %*u %*d %*s %u",
			       &addr, &port, &s->waits, &s->uid, &s->drops) == 5 &&
			addr == local.s_addr && port == HA_PORT;
	if (f)
		fclose(f);
	return found;
}

static bool charon_reads(const struct ike *k)
{
	struct ike_socket s;

	return !ike_socket_of(k->d->conf.ike_local, &s) || !s.waits;
}

/* While there is no charon, anybody may have its port. */
static bool is_charons(const struct ike *k)
{
	struct ike_socket s;

	return ike_socket_of(k->d->conf.ike_local, &s) && s.uid == geteuid();
}

static void queue_drop(struct ike *k)
{
	buf_clear(&k->queue);
	k->at = 0;
	k->unread = false;
	loop_timer_stop(&k->pace);
}

/* The newest that was said of where it is. */
static bool get_addresses(const struct ike_sa *sa, struct ha_addr *local,
			  struct ha_addr *remote)
{
	const struct ha_attr *l, *r;
	struct ha_msg msg;

	if (!ike_store_parse(&sa->other, &msg) && !ike_store_parse(&sa->update, &msg))
		return false;
	l = ha_find(&msg, HA_ATTR_LOCAL_ADDR);
	r = ha_find(&msg, HA_ATTR_REMOTE_ADDR);
	if (!l || !r || l->addr.family != r->addr.family)
		return false;
	*local = l->addr;
	*remote = r->addr;
	return true;
}

static void put_addresses(const struct ike_sa *sa, struct apply_child *c)
{
	struct ha_addr local, remote;

	if (!get_addresses(sa, &local, &remote))
		return;
	c->family = local.family;
	memcpy(c->local, local.addr, sizeof(c->local));
	memcpy(c->remote, remote.addr, sizeof(c->remote));
}

/* charon makes a Child SA's SAs itself: ours of that name make room. False: they do not,
 * and charon would fail, and delete what stands there.
 */
static bool may_add_child(struct ike *k, const uint8_t *p, size_t len)
{
	const struct ha_attr *in, *out;
	struct apply_child c = {};
	struct ike_sa *sa;
	struct ha_msg msg;

	if (role_is_active(k->d) || ha_parse(p, len, &msg, NULL))
		return true;
	in = ha_find(&msg, HA_ATTR_INBOUND_SPI);
	out = ha_find(&msg, HA_ATTR_OUTBOUND_SPI);
	if (!in || !out)
		return true;
	c.in_spi = in->spi;
	c.out_spi = out->spi;
	sa = ike_store_find(k->store, ha_ike_id(&msg));
	if (sa)
		put_addresses(sa, &c);
	return apply_make_room(k->d, &c);
}

/* False: not now. */
static bool send_one(const struct ike *k, const uint8_t *p, size_t len)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	ssize_t n = send(k->ha.fd, p, len, flags);

	/* That was of one before it, which nobody was there to hear. */
	if (n < 0 && errno == ECONNREFUSED)
		n = send(k->ha.fd, p, len, flags);
	return n >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

static void send_some(struct ike *k)
{
	const uint8_t *p;
	unsigned int n;
	size_t len;

	for (n = 0; k->at < k->queue.len && n < k->burst; n++) {
		p = k->queue.data + k->at;
		len = (size_t)p[0] << 8 | p[1];
		if (p[3] == HA_CHILD_ADD && !may_add_child(k, p + 2, len)) {
			k->at += 2 + len;
			continue;
		}
		if (!send_one(k, p + 2, len))
			return;
		k->played++;
		k->unread = true;
		k->at += 2 + len;
	}
	if (k->at == k->queue.len) {
		buf_clear(&k->queue);
		k->at = 0;
	} else if (k->at > QUEUE_READ && k->at > k->queue.len / 2) {
		buf_take(&k->queue, k->at);
		k->at = 0;
	}
}

/* What its socket had no room for, nobody tells it but by this. */
static void look_at_drops(struct ike *k, unsigned int drops)
{
	if (drops == k->drops)
		return;
	k->dropped += drops - k->drops;
	k->drops = drops;
	k->burst = k->burst > 1 ? k->burst / 2 : 1;
	k->again = true;
	if (log_is_within(&k->complaints))
		log_warn("charon's socket had no room for all that it was told (net.core.rmem_default): it is told once more, %u messages at a time",
			 k->burst);
}

/* True: there is more, and charon has to read first. */
static bool pump(struct ike *k)
{
	struct ike_socket s;

	if (ike_socket_of(k->d->conf.ike_local, &s)) {
		if (s.waits)
			return k->queue.len || k->unread;
		look_at_drops(k, s.drops);
	}
	k->unread = false;
	send_some(k);
	return k->queue.len || k->unread;
}

static void tell_again(struct ike *k);

static void pace_due(struct loop_timer *t)
{
	struct ike *k = t->data;
	bool more = pump(k);

	if (k->again)
		tell_again(k);
	else if (more)
		loop_timer_set(&k->d->loop, t, PACE_PAUSE);
}

static void forget_played(struct ike *k)
{
	struct ike_sa *sa;

	ike_store_for_each(k->store, sa)
		sa->played = false;
}

/* It is told all once more when it answers again. */
static void give_up(struct ike *k, const char *why)
{
	log_err("%s: charon is told of IKE SAs once more", why);
	queue_drop(k);
	buf_free(&k->queue);
	forget_played(k);
	k->ready = false;
}

/* False: what it was told before this, it is told once more. */
static bool say(struct ike *k, const uint8_t *msg, size_t len)
{
	buf_u16(&k->queue, len);
	buf_put(&k->queue, msg, len);
	if (k->queue.bad)
		give_up(k, "out of memory");
	else if (k->queue.len > QUEUE_MAX)
		give_up(k, "charon does not read what it is told");
	else if (!k->pace.at_ns)
		loop_timer_set(&k->d->loop, &k->pace, 0);
	return k->queue.len;
}

static int say_one(void *arg, const struct ike_sa *sa, const uint8_t *msg,
		   size_t len)
{
	struct ike *k = arg;
	struct ike_sa *ours = ike_store_find(k->store, &sa->id);
	bool half = ike_store_is_half(sa);

	/* One that comes to nothing ends without a word: it would stay there for ever. */
	if (half && !(msg[1] == HA_IKE_DELETE && ours && ours->played))
		return 0;
	if (ours)
		ours->played = !half;
	return say(k, msg, len) ? 0 : -1;
}

static void say_buf(struct ike *k, struct buf *b)
{
	if (!b->bad)
		say(k, b->data, b->len);
	buf_free(b);
}

static void say_end(struct ike *k, const struct ike_sa *sa)
{
	struct buf b = {};

	if (ike_store_delete_msg(sa, &b))
		b.bad = true;
	say_buf(k, &b);
}

/* By its word that it has no segment any more the other one takes it, and so on. */
static void say_segment(struct ike *k, bool take)
{
	struct ha_msg msg;
	struct buf b = {};

	if (!k->d->conf.ike_control)
		return;
	ha_begin(&msg, k->d->conf.ike_version, take ? HA_SEGMENT_DROP : HA_SEGMENT_TAKE);
	ha_put_u16(&msg, HA_ATTR_SEGMENT, SEGMENT);
	if (ha_build(&msg, &b, NULL))
		b.bad = true;
	say_buf(k, &b);
}

/* charon tells that it did: so the store hears of it, and the peers. */
void ike_end_child(struct daemon *d, const struct ike_sa *sa, uint32_t in_spi)
{
	struct buf b = {};

	if (ike_store_child_delete_msg(sa, in_spi, &b))
		b.bad = true;
	say_buf(d->ike, &b);
}

/* ---- what of the store charon has ---- */

/* False: it names a connection that charon has not got (yet). */
static bool msg_conn_known(const struct ike *k, const struct ha_msg *msg)
{
	const struct ha_attr *a = ha_find(msg, HA_ATTR_CONFIG_NAME);

	/* A Child SA's is of a child of it. */
	return msg->type != HA_IKE_UPDATE || !a ||
	       vici_has_word(&k->conn, a->bytes.p, a->bytes.len);
}

static bool may_play(const struct ike *k)
{
	return k->ready && k->d->synced && !role_is_active(k->d) && !k->filling;
}

/* It is known here, and not yet there. */
static bool is_due(const struct ike *k, const struct ike_sa *sa)
{
	struct ha_msg msg;

	return !sa->played && !sa->gone && sa->established &&
	       ike_store_parse(&sa->update, &msg) &&
	       msg.version == k->d->conf.ike_version && msg_conn_known(k, &msg);
}

static void play(struct ike *k)
{
	struct ike_sa *sa;
	size_t n = 0;

	if (!may_play(k))
		return;
	ike_store_for_each(k->store, sa) {
		if (!is_due(k, sa))
			continue;
		if (ike_store_play_sa(sa, say_one, k))
			return;
		n++;
	}
	if (n)
		log_info("charon is told of %zu IKE SAs", n);
}

/* It may have missed any of it. */
static void tell_again(struct ike *k)
{
	k->again = false;
	queue_drop(k);
	say_segment(k, role_is_active(k->d));
	if (role_is_active(k->d))
		return;		/* all the rest is of its own */
	forget_played(k);
	play(k);
}

size_t ike_waiting(const struct daemon *d)
{
	const struct ike_sa *sa;
	size_t n = 0;

	if (!d->ike)
		return 0;
	ike_store_for_each(d->ike->store, sa)
		n += !sa->played && !sa->gone && sa->established;
	return n;
}

/* ---- charon comes and goes ---- */

static void close_fd(struct ike *k, struct loop_fd *f)
{
	int fd = f->fd;

	if (fd < 0)
		return;
	loop_del(&k->d->loop, f);
	close(fd);
}

static void charon_up(struct ike *k)
{
	struct ike_socket s;
	struct ike_sa *sa;

	k->ready = true;
	k->again = false;
	if (ike_socket_of(k->d->conf.ike_local, &s))
		k->drops = s.drops;
	log_info("charon is there");
	/* Whatever it has by now is its own. */
	if (role_is_active(k->d)) {
		ike_store_for_each(k->store, sa)
			sa->played = !sa->old;
	}
	say_segment(k, role_is_active(k->d));
}

/* What there is by now, a charon that is started anew has not got. */
static void mark_old(struct ike *k)
{
	struct ike_sa *sa;

	ike_store_for_each(k->store, sa)
		sa->old = true;
}

static void charon_gone(struct ike *k, const char *why)
{
	if (k->ready)
		log_warn("charon is gone: %s", why);
	if (k->ready && role_is_active(k->d)) {
		mark_old(k);
		k->lost = true;
	}
	close_fd(k, &k->vici);
	buf_clear(&k->vici_in);
	k->asked = false;
	k->ready = false;
	queue_drop(k);
	forget_played(k);
}

static void ask_conns(struct ike *k)
{
	struct buf b = {};

	vici_put_request(&b, VICI_CMD_REQUEST, "get-conns");
	if (b.bad || send(k->vici.fd, b.data, b.len, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)b.len)
		charon_gone(k, "its vici socket takes no request");
	else
		k->asked = true;
	k->asked_ns = loop_now_ns();
	buf_free(&b);
}

/* By vici alone it may be without the plugin: what it is told then nobody gets. */
static bool hears_us(struct ike *k)
{
	bool hears = k->ha.fd >= 0 && is_charons(k);

	if (!hears && !k->deaf && k->ha.fd >= 0)
		log_warn("charon is there, but not at %s port %d: is its ha plugin loaded, with that as its local?",
			 inet_ntoa(k->d->conf.ike_local), HA_PORT);
	k->deaf = !hears;
	return hears;
}

/* What cannot be read names none. */
static void take_conns(struct ike *k, const struct rd *message)
{
	free(k->conn.word);
	k->conn = (struct vici_words){};
	buf_clear(&k->conns);
	buf_put(&k->conns, message->p, message->left);
	if (!k->conns.bad &&
	    vici_get_words((struct rd){ .p = k->conns.data, .left = k->conns.len },
			   "conns", &k->conn))
		k->conn.n = 0;
}

static void take_packet(struct ike *k, const struct vici_packet *p)
{
	if (p->type != VICI_CMD_RESPONSE)
		return;
	k->asked = false;
	take_conns(k, &p->message);
	if (!k->ready && !hears_us(k))
		return;
	if (!k->ready)
		charon_up(k);
	play(k);
}

static void vici_event(struct loop_fd *f, uint32_t events)
{
	struct ike *k = f->data;
	struct vici_packet p;
	uint8_t some[4096];
	ssize_t n;
	int ret;

	(void)events;
	n = recv(f->fd, some, sizeof(some), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		charon_gone(k, n ? strerror(errno) : "its vici socket was closed");
		return;
	}
	buf_put(&k->vici_in, some, n);
	while ((ret = vici_get_packet(k->vici_in.data, k->vici_in.len, &p)) == 1) {
		take_packet(k, &p);
		buf_take(&k->vici_in, p.len);
	}
	if (ret < 0)
		charon_gone(k, "what it says by vici is malformed");
	else if (k->vici_in.bad)
		charon_gone(k, "there is no memory for what it says by vici");
}

static void open_vici(struct ike *k)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	memcpy(sun.sun_path, k->d->conf.vici, sizeof(sun.sun_path));
	sun.sun_path[sizeof(sun.sun_path) - 1] = '\0';
	if (connect(fd, (void *)&sun, sizeof(sun)) ||
	    loop_add(&k->d->loop, &k->vici, fd, EPOLLIN)) {
		close(fd);
		k->vici.fd = -1;
	}
}

static int open_ha(struct ike *k)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(HA_PORT),
		.sin_addr = k->d->conf.ike_remote,
	};
	int fd, ret;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* charon does not wait for who reads it. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ RCVBUF }, sizeof(int));
	k->our_drops = 0;
	ret = bind(fd, (void *)&sin, sizeof(sin));
	sin.sin_addr = k->d->conf.ike_local;
	if (!ret)
		ret = connect(fd, (void *)&sin, sizeof(sin));
	ret = ret ? -errno : loop_add(&k->d->loop, &k->ha, fd, EPOLLIN);
	if (ret) {
		close(fd);
		k->ha.fd = -1;
	}
	return ret;
}

/* Nor does it say it twice: it tells all of it to nobody but by making all of it anew. */
static void look_at_missed(struct ike *k)
{
	struct ike_socket s;
	unsigned int n;

	if (k->ha.fd < 0 || !ike_socket_of(k->d->conf.ike_remote, &s))
		return;
	n = s.drops - k->our_drops;
	k->our_drops = s.drops;
	k->missed += n;
	if (n && role_is_active(k->d))
		log_err("%u messages of charon were lost, as they came faster than they are read (net.core.rmem_max): what they said of IKE SAs a standby's charon does not know until these are rekeyed",
			n);
}

static void look(struct loop_timer *t)
{
	struct ike *k = t->data;

	/* The takeover failed. */
	if (k->left_out && !role_is_active(k->d)) {
		k->left_out = false;
		forget_played(k);
		k->ready = false;
	}
	look_at_missed(k);
	if (k->ha.fd < 0)
		open_ha(k);
	if (k->asked && loop_now_ns() - k->asked_ns > ANSWER_WAIT)
		charon_gone(k, "it does not answer by vici");
	if (k->vici.fd < 0)
		open_vici(k);
	if (k->vici.fd >= 0 && !k->asked &&
	    (!k->ready || (!role_is_active(k->d) && ike_waiting(k->d))))
		ask_conns(k);
	loop_timer_set(&k->d->loop, t, LOOK_PAUSE);
}

/* ---- what charon says ---- */

static void tell_peers(struct ike *k, uint8_t what, const uint8_t *msg, size_t len)
{
	struct wire_ike ike = { .what = what, .msg = msg, .len = len };

	peer_tell_ike(k->d, &ike);
}

static void complain(struct ike *k, const char *of, const struct ha_error *why)
{
	char text[120];

	k->refused++;
	if (log_is_within(&k->complaints))
		log_warn("%s: a message is not understood: %s", of,
			 ha_error_str(why, text, sizeof(text)));
}

static int keep(struct ike *k, struct ike_store *s, const struct ha_msg *msg)
{
	int ret = ike_store_take(s, msg);

	if (ret < 0 && ret != -ENOENT) {
		k->refused++;
		if (log_is_within(&k->complaints))
			log_warn("an IKE SA is not kept as it is: %s",
				 ret == -ENOSPC ? "there is no room for more" :
						  strerror(-ret));
	}
	return ret;
}

/*
 * It was started anew, and asks for what it has to know. A standby's is told again.
 * The active's is not: the kernel has its Child SAs in use, and it would fail at
 * making them. What was known of it counts until it has made something itself: a
 * standby may take over with it.
 */
static void asks_again(struct ike *k)
{
	if (role_is_active(k->d)) {
		/* What it has made before it asked is its own, unless that was not seen. */
		if (!k->lost)
			mark_old(k);
		k->lost = false;
		if (k->store->n && !k->restarted)
			log_warn("charon was started anew while this node is active: what it had of %zu IKE SAs is gone: take over on a standby, or its peers make new ones",
				 k->store->n);
		k->restarted = true;
		return;
	}
	queue_drop(k);
	forget_played(k);
	k->ready = false;
	if (k->vici.fd >= 0 && !k->asked)
		ask_conns(k);
}

/* A peer has come to it, with whom it says: nobody takes over with what was before. */
static void drop_old(struct ike *k)
{
	struct ike_sa *sa, *next;

	k->restarted = false;
	/* What goes with one are its ancestors, which stand before it. */
	ike_store_for_each_safe(k->store, sa, next) {
		if (sa->old && !sa->gone)
			ike_store_drop(k->store, sa);
	}
	peer_tell_ike_store(k->d, k->store);
}

/* It is established, and not only begun by whoever has sent a packet. */
static bool is_news(const struct ike *k, const struct ha_msg *msg)
{
	const struct ike_sa *sa = ike_store_find(k->store, ha_ike_id(msg));

	return k->restarted && msg->type == HA_IKE_UPDATE && sa && !sa->old &&
	       ha_find(msg, HA_ATTR_CONFIG_NAME);
}

static void charon_says(struct ike *k, const uint8_t *p, size_t len)
{
	struct ha_error why;
	struct ike_sa *sa;
	struct ha_msg msg;
	int ret;

	k->heard++;
	if (ha_parse(p, len, &msg, &why)) {
		complain(k, "charon", &why);
		return;
	}
	if (msg.type == HA_RESYNC) {
		asks_again(k);
		return;
	}
	/* A standby's repeats what it was told, if anything. */
	if (!role_is_active(k->d) || !ha_ike_id(&msg))
		return;
	if (msg.version != k->d->conf.ike_version) {
		k->refused++;
		if (log_is_within(&k->complaints))
			log_warn("charon speaks version %u of its protocol, and ha_version is %u: no IKE SA comes along",
				 msg.version, k->d->conf.ike_version);
		return;
	}
	ret = keep(k, k->store, &msg);
	/* It may be one that was told to a daemon before this one: a peer knows. */
	if (ret != IKE_STORE_CHANGED && !(ret == -ENOENT && k->unknown))
		return;
	sa = ike_store_find(k->store, ha_ike_id(&msg));
	if (sa) {
		sa->played = true;
		sa->old = false;
		if (msg.type == HA_IKE_MID_INITIATOR || msg.type == HA_IKE_MID_RESPONDER)
			ike_repair_said(&k->repair, sa, &msg);
	}
	tell_peers(k, WIRE_IKE_MESSAGE, p, len);
	if (is_news(k, &msg))
		drop_old(k);
}

/*
 * The plugin does not tell that a peer has moved, or its NAT to another port. charon tells the
 * kernel, whose SAs say so to us, and we to the others' charons: with an update as charon
 * itself would make it.
 */
void ike_sa_seen(struct daemon *d, const struct context_sa *sa)
{
	const struct ike_child *c;
	struct ha_addr local, remote, now;
	const struct ike_sa *holder;
	struct ike *k = d->ike;
	struct buf b = {};
	struct ha_msg msg;

	if (!k || !role_is_active(d) || sa->id.proto != IPPROTO_ESP)
		return;
	c = ike_store_find_child(k->store, sa->id.spi);
	holder = c ? ike_store_holder(c) : NULL;
	if (!holder || holder->gone || !get_addresses(holder, &local, &remote) ||
	    sa->id.family != local.family ||
	    memcmp(sa->id.dst, local.addr, sizeof(local.addr)))
		return;		/* or it is the other direction's */
	now = remote;
	memcpy(now.addr, sa->src, sizeof(now.addr));
	if (sa->encap_sport)
		now.port = ntohs(sa->encap_sport);
	if (now.port == remote.port && !memcmp(now.addr, remote.addr, sizeof(now.addr)))
		return;
	ha_begin(&msg, holder->add[0].p[0], HA_IKE_UPDATE);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &holder->id);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &local);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &now);
	if (!ha_build(&msg, &b, NULL) && keep(k, k->store, &msg) == IKE_STORE_CHANGED)
		tell_peers(k, WIRE_IKE_MESSAGE, b.data, b.len);
	buf_free(&b);
}

static void is_refused(struct ike *k)
{
	k->refused++;
	if (!k->stranger)
		log_warn("what is said from %s port %d is not of root's: it is not taken for charon's",
			 inet_ntoa(k->d->conf.ike_local), HA_PORT);
	k->stranger = true;
}

static void ha_event(struct loop_fd *f, uint32_t events)
{
	uint8_t msg[HA_MESSAGE_MAX + 1];
	struct ike *k = f->data;
	bool ours = is_charons(k);
	int i;

	(void)events;
	for (i = 0; i < READ_MAX; i++) {
		ssize_t n = recv(f->fd, msg, sizeof(msg), MSG_DONTWAIT);

		/* charon was not there to hear: vici tells when it is. */
		if (n < 0 && errno == ECONNREFUSED)
			continue;
		if (n < 0)
			break;
		if (ours)
			charon_says(k, msg, n);
		else
			is_refused(k);
		sodium_memzero(msg, n);
	}
}

/* ---- what the active's charon said ---- */

static void want(struct ike *k, struct peer *p)
{
	memset(&k->answer[p->index], 0, sizeof(k->answer[0]));
	peer_put_ike(p, &(struct wire_ike){ .what = WIRE_IKE_WANT });
}

void ike_send_all(struct peer *p)
{
	struct ike *k = p->d->ike;

	if (!k || !p->takes_ike)
		return;
	if (k->unknown)
		want(k, p);
	else
		peer_put_ike_store(p, k->store);
}

static struct ha_ike_id no_id;

static struct ike_sa *sa_of(struct ike *k, const struct ha_msg *msg)
{
	const struct ha_ike_id *id = ha_ike_id(msg);

	return ike_store_find(k->store, id ? id : &no_id);
}

/* charon's Child SAs went to it at once: who comes to nothing has taken them from the next. */
static bool is_first_heir(const struct ike_sa *sa)
{
	const struct ike_sa *heir;
	const struct list *l;

	if (!sa->parent || !sa->parent->played || sa->parent->gone)
		return false;
	for (l = sa->parent->heirs.next; l != &sa->parent->heirs; l = l->next) {
		heir = container(l, struct ike_sa, of_parent);
		if (heir != sa && heir->played)
			return false;
	}
	return true;
}

/* Nobody says that it ends, and charon may have it. */
static void sa_dropped(void *arg, struct ike_sa *sa)
{
	struct ike *k = arg;

	if (role_is_active(k->d) || !k->ready || ike_store_find(k->store, &sa->id) != sa ||
	    !(sa->played || sa->established))
		return;
	say_end(k, sa);
	/* ... with the Child SAs that it had of that one. */
	if (sa->parent && !sa->parent->gone)
		sa->parent->played = false;
}

/* What came just now is in the store. */
static void follow(struct ike *k, const struct ha_msg *msg, const uint8_t *p,
		   size_t len)
{
	struct ike_sa *sa = sa_of(k, msg);

	if (!k->ready || msg->version != k->d->conf.ike_version)
		return;
	if (msg->type == HA_IKE_DELETE) {
		say(k, p, len);
		return;
	}
	if (!sa)
		return;
	/* The SAs that it makes are not known yet: later, with all of it. */
	if (msg->type == HA_CHILD_ADD && !k->d->synced) {
		sa->played = false;
		return;
	}
	/* Of an IKE SA that is there it is not begun by just anybody: whose it rekeys. */
	if (msg->type == HA_IKE_ADD && is_first_heir(sa))
		sa->played = true;
	if (!sa->played) {
		if (msg->type == HA_IKE_UPDATE && may_play(k) && is_due(k, sa))
			ike_store_play_sa(sa, say_one, k);
		return;
	}
	if (msg_conn_known(k, msg)) {
		say(k, p, len);
		return;
	}
	/* With a name that charon does not know it would end: later, then. */
	sa->played = false;
	say_end(k, sa);
}

/* But for the message ids, which go on all the time. */
static int add_lasting(void *arg, const struct ike_sa *sa, const uint8_t *msg,
		       size_t len)
{
	(void)sa;
	if (msg[1] == HA_IKE_MID_INITIATOR || msg[1] == HA_IKE_MID_RESPONDER)
		return 0;
	buf_u16(arg, len);
	buf_put(arg, msg, len);
	return 0;
}

static bool is_same(const struct ike_sa *old, const struct ike_sa *new)
{
	struct buf a = {}, b = {};
	bool same;

	ike_store_play_sa(old, add_lasting, &a);
	ike_store_play_sa(new, add_lasting, &b);
	same = !a.bad && !b.bad && a.len == b.len && !memcmp(a.data, b.data, a.len);
	buf_free(&a);
	buf_free(&b);
	return same;
}

static void say_mid(struct ike *k, const struct ike_sa *sa, bool initiator,
		    uint32_t mid)
{
	struct buf b = {};

	if (ike_store_mid_msg(sa, initiator, mid, &b))
		b.bad = true;
	say_buf(k, &b);
}

/* charon has the old one, and is told what of it is other now. */
static void carry_over(struct ike *k, struct ike_sa *old, struct ike_sa *new)
{
	if (!old->played || !is_same(old, new))
		return;
	new->played = true;
	if (new->mid_i && new->mid_i != old->mid_i)
		say_mid(k, new, true, new->mid_i);
	if (new->mid_r && new->mid_r != old->mid_r)
		say_mid(k, new, false, new->mid_r);
}

/* It is all that there is, up to now. */
static void is_whole(struct ike *k, const struct peer *of, uint64_t epoch, uint32_t node)
{
	k->whole = true;
	k->of = of;
	k->of_epoch = epoch;
	k->of_node = node;
	k->whole_ns = loop_now_ns();
}

/* All of it has come: what it has not got, the active has no more. */
static void filled(struct ike *k)
{
	struct ike_store *s = k->store;
	struct ike_sa *sa, *found;

	ike_store_for_each(k->store, sa) {
		found = ike_store_find(k->coming, &sa->id);
		if (found)
			carry_over(k, sa, found);
		/* Or it is another one with its SPIs, which may come to nothing. */
		if (sa->played && !sa->gone && k->ready &&
		    (!found || (!found->played && ike_store_is_half(found))))
			say_end(k, sa);
	}
	k->store = k->coming;
	k->coming = s;
	ike_store_clear(k->coming);
	k->filling = false;
	log_info("%zu IKE SAs with %zu Child SAs are kept", k->store->n,
		 k->store->n_children);
	play(k);
}

static void begin_filling(struct ike *k, const struct peer *p)
{
	ike_store_clear(k->coming);
	k->filling = true;
	k->from = p;
}

/* What the peer's last request made: a snapshot has it in another order. */
static void note_request(struct ike *k, const struct ha_msg *msg)
{
	const struct ha_attr *ours = ha_find(msg, HA_ATTR_INITIATOR);
	struct ike_child *c = NULL;

	if (msg->type == HA_CHILD_ADD && ours && !ours->u8)
		c = ike_store_find_child(k->store, ha_find(msg, HA_ATTR_INBOUND_SPI)->spi);
	if (c)
		c->of_mid = c->sa->mid_r;
}

static void take_message(struct ike *k, const struct peer *p,
			 const struct wire_ike *ike)
{
	struct ha_error why;
	struct ha_msg msg;

	if (ha_parse(ike->msg, ike->len, &msg, &why))
		complain(k, p->name, &why);
	else if (k->filling && k->from == p)
		keep(k, k->coming, &msg);
	else if (keep(k, k->store, &msg) == IKE_STORE_CHANGED) {
		note_request(k, &msg);
		follow(k, &msg, ike->msg, ike->len);
	}
}

static int take_own(void *arg, const struct ike_sa *sa, const uint8_t *msg,
		    size_t len)
{
	struct ha_msg parsed;
	struct ike *k = arg;

	(void)sa;
	if (!ha_parse(msg, len, &parsed, NULL))
		keep(k, k->coming, &parsed);
	return 0;
}

/* What a daemon before this one was told, and what charon has said since. */
static void recalled(struct ike *k)
{
	struct ike_store *s = k->store;
	struct ike_sa *sa;

	k->filling = false;
	/* Of a charon that was started anew meanwhile it is what the one before had. */
	if (k->restarted) {
		ike_store_for_each(k->coming, sa)
			sa->old = true;
	}
	ike_store_play(k->store, take_own, k);
	k->store = k->coming;
	k->coming = s;
	ike_store_clear(k->coming);
	k->unknown = k->found = false;
	loop_timer_stop(&k->recall);
	ike_store_for_each(k->store, sa)
		sa->played = !sa->old;
	log_info("%zu IKE SAs with %zu Child SAs are known from a peer",
		 k->store->n, k->store->n_children);
	peer_tell_ike_store(k->d, k->store);
}

static void recall_due(struct loop_timer *t)
{
	struct ike *k = t->data;

	if (k->unknown && k->found)
		recalled(k);
}

/* Whoever may know something newer has said so, or had time to. */
static void recall(struct ike *k)
{
	const struct peer *p;
	bool waits = false;
	size_t i;

	if (!k->found)
		return;
	for (i = 0; i < k->d->n_peers; i++) {
		p = &k->d->peer[i];
		waits |= !k->answer[i].done && !(p->link && p->node_id && !p->takes_ike);
	}
	if (!waits)
		recalled(k);
	else if (!k->recall.at_ns)
		loop_timer_set(&k->d->loop, &k->recall, 2 * k->d->conf.dead_ms * LOOP_MS);
}

static bool is_fresher(const struct freshness *a, const struct freshness *than)
{
	int order = state_epoch_cmp(a->epoch, a->node, than->epoch, than->node);

	return order ? order > 0 : a->at_ms > than->at_ms;
}

static void answer_begins(struct ike *k, const struct peer *p)
{
	const struct freshness *fresh = &k->answer[p->index].fresh;

	/* Of one that was cut off there may be a store of long ago. */
	if ((k->filling || k->found) && !is_fresher(fresh, &k->fresh))
		return;
	begin_filling(k, p);
	k->found = false;
	k->fresh = *fresh;
}

static void answer_ends(struct ike *k, struct peer *p)
{
	k->answer[p->index].done = true;
	if (k->filling && k->from == p) {
		k->filling = false;
		/* One that is in step, and has none: there are none. */
		k->found = k->coming->n || k->fresh.epoch;
	}
	recall(k);
	/* Who knows nothing has not got what came since, either. */
	if (k->unknown && !k->found)
		peer_put_ike_store(p, k->store);
}

static void take_age(struct ike *k, const struct peer *p, const struct wire_ike_age *age)
{
	k->answer[p->index].fresh = (struct freshness){
		.epoch = age->epoch, .node = age->node,
		.at_ms = loop_now_ns() / LOOP_MS - (int64_t)(age->ms & (INT64_MAX >> 1)),
	};
}

/* To an active that does not know, a standby tells. */
static void take_answer(struct ike *k, struct peer *p, const struct wire_ike *ike)
{
	struct ha_error why;
	struct ha_msg msg;

	/* Another active's is no answer. */
	if (!k->unknown || p->role == XFRMSYNC_ROLE_ACTIVE)
		return;
	if (ike->what == WIRE_IKE_BEGIN)
		answer_begins(k, p);
	else if (ike->what == WIRE_IKE_END)
		answer_ends(k, p);
	else if (ike->what != WIRE_IKE_MESSAGE || !k->filling || k->from != p)
		return;
	else if (ha_parse(ike->msg, ike->len, &msg, &why))
		complain(k, p->name, &why);
	else
		keep(k, k->coming, &msg);
}

/* What this standby was told by an active that lives, or by one before it. */
static void answer(struct ike *k, struct peer *p)
{
	struct wire_ike_age age = {
		.epoch = k->of_epoch, .node = k->of_node,
		/* Of its daemon before this one it is, and no link was lost. */
		.ms = k->of == p ? 0 : (loop_now_ns() - k->whole_ns) / LOOP_MS,
	};
	struct buf b = {};

	if (k->whole) {
		wire_put_ike_age(&b, &age);
		peer_put_ike(p, &(struct wire_ike){ .what = WIRE_IKE_AGE, .msg = b.data,
						    .len = b.len });
		buf_free(&b);
	}
	peer_put_ike_store(p, k->store);
}

bool ike_frame(struct daemon *d, struct peer *p, const struct wire_header *h,
	       struct rd *r)
{
	struct ike *k = d->ike;
	struct wire_ike_age age;
	struct wire_ike ike;

	if (wire_get_ike(r, &ike) ||
	    (ike.what == WIRE_IKE_AGE &&
	     wire_get_ike_age((struct rd){ .p = ike.msg, .left = ike.len }, &age)))
		return false;
	if (!k)
		return true;
	if (role_is_active(d)) {
		if (ike.what == WIRE_IKE_AGE)
			take_age(k, p, &age);
		else
			take_answer(k, p, &ike);
		return true;
	}
	/* Of an epoch that is over, or not of the active that we follow. */
	if (p->role != XFRMSYNC_ROLE_ACTIVE ||
	    state_epoch_cmp(h->epoch, h->node, d->st.epoch, d->st.node) < 0) {
		d->stale_frames++;
		return true;
	}
	if (ike.what == WIRE_IKE_WANT) {
		answer(k, p);
		return true;
	}
	if (ike.what == WIRE_IKE_BEGIN) {
		/* What comes from here on is not in the store that is kept until then. */
		if (k->of)
			is_whole(k, NULL, k->of_epoch, k->of_node);
		begin_filling(k, p);
	} else if (ike.what == WIRE_IKE_MESSAGE) {
		take_message(k, p, &ike);
	} else if (ike.what == WIRE_IKE_END && k->filling && k->from == p) {
		filled(k);
		is_whole(k, p, h->epoch, h->node);
	}
	return true;
}

/* What was better than the others' went with it: they tell once more. */
static void ask_others(struct ike *k)
{
	struct peer *p;
	size_t i;

	for (i = 0; i < k->d->n_peers; i++) {
		p = &k->d->peer[i];
		if (p->link && p->sending && p->takes_ike && k->answer[i].done) {
			want(k, p);
			link_kick(p->link);
		}
	}
}

void ike_peer_down(struct daemon *d, const struct peer *p)
{
	struct ike *k = d->ike;
	bool half;

	if (!k)
		return;
	half = k->unknown && k->filling && k->from == p;
	if (k->from == p) {
		k->filling = false;
		k->from = NULL;
	}
	/* Up to now it was told all. */
	if (k->of == p)
		is_whole(k, NULL, k->of_epoch, k->of_node);
	if (half)
		ask_others(k);
}

void ike_synced(struct daemon *d)
{
	if (d->ike)
		play(d->ike);
}

/* ---- roles ---- */

void ike_finish(struct daemon *d)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t until = loop_now_ns() + FINISH_MS * LOOP_MS;
	struct ike *k = d->ike;

	if (!k || role_is_active(d))
		return;
	k->filling = false;
	while ((k->queue.len || !charon_reads(k)) && loop_now_ns() < until) {
		pump(k);
		nanosleep(&pause, NULL);
		watchdog_alive(d);
	}
	if (k->queue.len || !charon_reads(k)) {
		log_warn("charon does not read: %zu bytes that it should know are left out, and what it reads of the others later fails",
			 k->queue.len - k->at);
		k->left_out = true;
	}
	/* What it had no room for now comes too late. */
	k->left_out |= k->again;
	k->again = false;
	queue_drop(k);
	/* It has read the last of them by then, and makes what it says. */
	until = loop_now_ns() + FINISH_MS / 4 * LOOP_MS;
	while (apply_waits_for_ike(d) && loop_now_ns() < until) {
		nanosleep(&pause, NULL);
		run_xfrm_events(d);
		watchdog_alive(d);
	}
	/* An active's are its own: what charon made now would begin at number 1 again. */
	apply_wait_no_more(d);
}

void ike_taken_over(struct daemon *d)
{
	size_t waiting = ike_waiting(d);
	struct ike_sa *sa;

	if (!d->ike)
		return;
	if (waiting)
		log_warn("%zu IKE SAs are not in this node's charon: their peers make new ones",
			 waiting);
	/* Those that it has not got count until it has made one itself. */
	ike_store_for_each(d->ike->store, sa)
		sa->old = !sa->played;
	d->ike->restarted = waiting;
	d->ike->lost = !d->ike->ready;
	d->ike->left_out = false;
	d->ike->unknown = false;
	loop_timer_stop(&d->ike->recall);
	d->ike->of_epoch = d->st.epoch;
	d->ike->of_node = d->st.node;
	queue_drop(d->ike);
	say_segment(d->ike, true);
	if (pump(d->ike))
		loop_timer_set(&d->loop, &d->ike->pace, PACE_PAUSE);
}

void ike_took_over(struct daemon *d)
{
	if (d->ike)
		ike_repair_begin(&d->ike->repair, d->ike->store);
}

void ike_stepping_down(struct daemon *d, bool in_order)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t until = loop_now_ns() + STEP_DOWN_MS * LOOP_MS;
	struct ike *k = d->ike;

	if (!k)
		return;
	k->filling = false;
	say_segment(k, false);
	pump(k);
	if (!in_order || !k->ready || k->ha.fd < 0)
		return;
	/* What it does before it reads that, the next active has to know. */
	while ((k->queue.len || !charon_reads(k)) && loop_now_ns() < until) {
		nanosleep(&pause, NULL);
		pump(k);
	}
	ha_event(&k->ha, 0);
}

void ike_stepped_down(struct daemon *d)
{
	struct ike_sa *sa;

	if (!d->ike)
		return;
	/* It was the one that knows, in its epoch. */
	d->ike->whole = false;
	if (!d->ike->unknown)
		is_whole(d->ike, NULL, d->ike->of_epoch, d->ike->of_node);
	d->ike->restarted = false;
	d->ike->lost = false;
	d->ike->unknown = false;
	loop_timer_stop(&d->ike->recall);
	ike_store_for_each(d->ike->store, sa)
		sa->old = false;
	ike_repair_end(&d->ike->repair, d->ike->store);
}

/* ---- the beginning and the end ---- */

int ike_init(struct daemon *d)
{
	struct ike *k;
	int ret;

	if (!d->conf.ike)
		return 0;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->d = d;
	k->store = &k->one;
	k->coming = &k->other;
	k->burst = BURST;
	k->ha = (struct loop_fd){ .fd = -1, .cb = ha_event, .data = k };
	k->vici = (struct loop_fd){ .fd = -1, .cb = vici_event, .data = k };
	k->look = (struct loop_timer){ .cb = look, .data = k };
	k->pace = (struct loop_timer){ .cb = pace_due, .data = k };
	k->recall = (struct loop_timer){ .cb = recall_due, .data = k };
	k->of_epoch = d->st.epoch;
	k->of_node = d->st.node;
	d->ike = k;
	/* charon may have told a daemon before this one. */
	k->unknown = role_is_active(d);
	ike_repair_init(&k->repair, d);
	ret = ike_store_init(k->store);
	if (!ret)
		ret = ike_store_init(k->coming);
	if (ret)
		return ret;
	k->one.dropped = k->other.dropped = sa_dropped;
	k->one.arg = k->other.arg = k;
	/* Whoever has that port keeps nothing else from its work. */
	ret = open_ha(k);
	if (ret)
		log_err("cannot be charon's remote on %s port %d: %s: no IKE SA comes along before that is free",
			inet_ntoa(d->conf.ike_remote), HA_PORT, strerror(-ret));
	loop_timer_set(&d->loop, &k->look, 0);
	if (d->conf.ike_key_log)
		log_warn("key_log is on: root is told the keys of IKE SAs (show --ike --keys), as it is not to be in production");
	return 0;
}

void ike_exit(struct daemon *d)
{
	struct ike *k = d->ike;

	if (!k)
		return;
	ike_repair_exit(&k->repair);
	close_fd(k, &k->ha);
	k->ready = false;
	charon_gone(k, "");
	loop_timer_forget(&d->loop, &k->look);
	loop_timer_forget(&d->loop, &k->pace);
	loop_timer_forget(&d->loop, &k->recall);
	if (k->one.by_id)
		ike_store_exit(&k->one);
	if (k->other.by_id)
		ike_store_exit(&k->other);
	buf_free(&k->vici_in);
	buf_free(&k->conns);
	free(k->conn.word);
	buf_free(&k->queue);
	free(k);
	d->ike = NULL;
}

json_t *ike_json(const struct daemon *d)
{
	const struct ike *k = d->ike;
	int state = k->ready ? 2 : k->vici.fd >= 0;

	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "charon", state_names[state],
			 "ike_sas", (json_int_t)(k->store->n - k->store->n_half),
			 "child_sas", (json_int_t)k->store->n_children,
			 "waiting", (json_int_t)ike_waiting(d),
			 "queued", (json_int_t)(k->queue.len - k->at),
			 "heard", (json_int_t)k->heard,
			 "refused", (json_int_t)k->refused,
			 "played", (json_int_t)k->played,
			 "lost", (json_int_t)k->dropped,
			 "missed", (json_int_t)k->missed,
			 "bytes", (json_int_t)ike_store_bytes(k->store),
			 "answered", (json_int_t)k->repair.answered,
			 "filled", (json_int_t)k->repair.filled);
}

const struct ike_store *ike_kept(const struct daemon *d)
{
	return d->ike ? d->ike->store : NULL;
}
