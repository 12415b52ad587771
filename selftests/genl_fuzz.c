// SPDX-License-Identifier: GPL-2.0
/*
 * In: on standard input a table, which genl_fuzz.py makes of the netlink specification; the seed.
 * Out: messages to the family, good, mutated and hostile, from processes beside each other, and
 * between them whatever else the table has to be sent; what was wrong with the answers, and counts.
 *
 * usage: genl_fuzz MESSAGES PROCESSES SEED SECONDS
 *   SECONDS   that an answer may take
 *
 * The table, a line each, NS a namespace's number; sets and operations by their numbers:
 *   family TYPE VERSION
 *   namespace PATH
 *   errno NUMBER SILENT             that a refusal may have; SILENT: without a word
 *   attr SET ID KIND WIDTH NESTED MULTI COUNT FLAGS MOST NEAR PLUS LIKELY NAMES NAME
 *     KIND     i (a number of WIDTH bytes), b (bytes), f (flag), n (nest of set NESTED), p (pad),
 *              r (plain records; empty where they are asked for)
 *     COUNT    entries of its enum, FLAGS: which are bits; MOST: smaller than that
 *     NEAR     the attribute of the same record that its values are near to; PLUS: so far off
 *     LIKELY   what is changed first; NAMES: says what a record is of: 1, 2: if it is there
 *     NAME     the same for attributes, of all sets, that have one name
 *   op ID SET DO DUMP WEIGHT ATTRIBUTE...
 *   asks OP ATTRIBUTE...            that a request for a dump may have
 *   plain SET HEAD IPV6             records of attributes of SET: bytes of a head; has's bit for
 *                                   addresses of 16 bytes
 *   head NAME OFFSET WIDTH ATTRIBUTE  in there; 0: of no attribute
 *   tail BIT WIDTH ATTRIBUTE COUNT  behind it, in this order, where has's BIT is set; COUNT: bits
 *                                   that it may have, if they are flags
 *   applied SET ATTRIBUTE           of an answer: how many records were
 *   socket NS DOMAIN TYPE PROTOCOL  of items, numbered in their order
 *   item SOCKET WEIGHT ADDRESS DATA   in hex; ADDRESS may be -
 *
 * It prints:  wrong FLAGS WHAT MESSAGE | taken OP TIMES | sum TAKEN REFUSED LOST SENT
 *             plain OP TIMES RECORDS    taken with plain records, or as plain; applied, or told
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "genl_plain.h"

#define SETS 16
#define ATTRS 64
#define NAMES 256
#define SPACES 8
#define RECORDS 48
#define VALUES 16
#define ERRNOS 134
#define LONGEST 60000			/* bytes of a message, its header not counted */
#define RCVBUF (4 << 20)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct value {
	uint16_t len;
	uint8_t data[64];
};

struct attr {
	char kind;			/* 0: there is none */
	unsigned int width, nested, multi, count, flags, most, near, likely, names;
	unsigned int name;
	uint64_t plus;
};

/* What answers brought for a name, the last ones of each namespace. */
struct memory {
	struct value values[SPACES][VALUES];
	unsigned int learned[SPACES];
};

/* What an answer said of one thing that has a name, as it came. */
struct record {
	unsigned int len;
	uint8_t data[1400];
};

struct set {
	struct attr attrs[ATTRS];
	bool named, nests, plain;
	struct record records[SPACES][RECORDS];
	unsigned int learned[SPACES];
};

struct op {
	unsigned int id, set, can_do, can_dump;
	bool takes[ATTRS], asks[ATTRS];
	unsigned long taken, plain_taken, plain_records;
};

struct item {
	int fd;
	unsigned int address_len, len;
	struct sockaddr_storage address;
	uint8_t *data;
};

struct client {
	int fd;
	uint32_t seq;
};

struct msg {
	size_t len;
	uint8_t data[LONGEST + 4096] __attribute__((aligned(4)));
};

static struct set sets[SETS];
static struct memory memories[NAMES];
/* What answers brought, as it came; of each namespace. */
static struct {
	struct record records[RECORDS];
	unsigned int learned;
} plains[SPACES];

static struct op ops[256];		/* by id */
static unsigned int op_ids[256], n_op_ids;	/* as often as their weight says */
static unsigned int family, version, n_ops, n_sets, applied_set, applied_id;
static int spaces[SPACES], socks[64];
static unsigned int n_spaces, n_socks;
static struct item items[4096];	/* as often as their weight says */
static unsigned int n_items;
static bool may_be[ERRNOS], silent[ERRNOS];
static int patience;			/* ms */

static struct client clients[SPACES];
static unsigned int here;		/* the namespace that the message is for */
static unsigned long taken, refused, lost, sent, wrongs;
static uint64_t state;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

/* --- chance ------------------------------------------------------------------- */

/* xorshift64* */
static uint64_t random64(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static unsigned int below(unsigned int n)
{
	return n ? (random64() >> 32) % n : 0;
}

static bool percent(unsigned int n)
{
	return below(100) < n;
}

static void random_bytes(uint8_t *to, size_t len)
{
	while (len--)
		*to++ = random64() >> 56;
}

/* Mostly a little more. */
static uint64_t step(void)
{
	return percent(80) ? below(40) : -(uint64_t)below(70);
}

/* --- messages ------------------------------------------------------------------ */

static bool put(struct msg *m, unsigned int type, const void *data, size_t len)
{
	struct nlattr a = { .nla_len = NLA_HDRLEN + len, .nla_type = type };

	if (m->len + NLA_HDRLEN + NLA_ALIGN(len) > LONGEST)
		return false;
	memcpy(m->data + m->len, &a, sizeof(a));
	if (len)
		memcpy(m->data + m->len + NLA_HDRLEN, data, len);
	memset(m->data + m->len + NLA_HDRLEN + len, 0, NLA_ALIGN(len) - len);
	m->len += NLA_HDRLEN + NLA_ALIGN(len);
	return true;
}

static void begin(struct msg *m, unsigned int cmd, unsigned int ver)
{
	struct genlmsghdr h = { .cmd = cmd, .version = ver };

	memcpy(m->data, &h, sizeof(h));
	m->len = sizeof(h);
}

/* Goes through attributes as the kernel does. */
struct walk {
	const uint8_t *data;
	size_t len, at;
	/* of the one that was found */
	unsigned int type, size;
	const uint8_t *payload;
};

/* False at the end, or where it is broken. */
static bool next(struct walk *w)
{
	struct nlattr a;

	if (w->at + NLA_HDRLEN > w->len)
		return false;
	memcpy(&a, w->data + w->at, sizeof(a));
	if (a.nla_len < NLA_HDRLEN || a.nla_len > w->len - w->at)
		return false;
	w->payload = w->data + w->at + NLA_HDRLEN;
	w->at += NLA_ALIGN(a.nla_len);
	w->size = a.nla_len - NLA_HDRLEN;
	w->type = a.nla_type & NLA_TYPE_MASK;
	return true;
}

static struct attr *attr_of(unsigned int set, unsigned int id)
{
	return set < SETS && id < ATTRS && sets[set].attrs[id].kind ? &sets[set].attrs[id] : NULL;
}

static uint64_t number_of(const void *data, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, data, len < sizeof(v) ? len : sizeof(v));	/* little end first */
	return v;
}

/* What is not there is zero. */
static uint64_t number_in(const struct record *r, unsigned int id)
{
	struct walk w = { .data = r->data, .len = r->len };

	while (next(&w))
		if (w.type == id)
			return number_of(w.payload, w.size);
	return 0;
}

/* --- values -------------------------------------------------------------------- */

static const uint64_t edges[] = {
	0, 1, 2, 31, 32, 33, 127, 255, 256, 4095, 4096, 4097, 65535, 65536, INT32_MAX, 1ull << 31,
	UINT32_MAX - 1ull, UINT32_MAX, 1ull << 32, 1ull << 33, INT64_MAX, 1ull << 63,
	UINT64_MAX - 1, UINT64_MAX,
};

static unsigned int space(void)
{
	return percent(92) ? here : below(n_spaces);
}

/* Of the newer ones, more often. */
static const struct value *known(const struct attr *a)
{
	const struct memory *m = &memories[a->name];
	unsigned int ns = space(), n = m->learned[ns], most = n < VALUES ? n : VALUES;

	if (!n)
		return NULL;
	return &m->values[ns][(n - 1 - below(percent(75) ? 1 : most)) % VALUES];
}

/* Some of so many bits. */
static uint64_t bits(unsigned int n)
{
	return random64() & random64() & ((1ull << n) - 1);
}

/* near: what its record has for the attribute that it is near to, if it has one */
static uint64_t number(const struct attr *a, const uint64_t *near)
{
	const struct value *seen;

	if (a->most)
		return below(a->most);
	if (a->count && percent(85))
		return a->flags ? bits(a->count) : below(a->count + percent(10));
	if (near && a->near && percent(75))
		return *near + a->plus + step();
	seen = known(a);
	if (seen && percent(80))
		return number_of(seen->data, seen->len) + (percent(75) ? 0 : step());
	if (percent(30))
		return 1 + below(4);
	return percent(70) ? edges[below(COUNT(edges))] : random64();
}

/* Most are 1, some are a few. */
static unsigned int times(void)
{
	unsigned int n = below(1000);

	if (n < 600)
		return 1;
	if (n < 960)
		return 2 + below(5);
	return n < 997 ? 7 + below(30) : 600;
}

/* --- plain records --------------------------------------------------------------- */

static void change(struct plain *p, const struct plain_field *f)
{
	const struct attr *a = &sets[plain_set].attrs[f->id];

	if (f->bit >= 0)
		p->has |= 1ull << f->bit;
	if (f->count && percent(97))	/* with others all of the message is malformed */
		p->value[f->id] = bits(f->count);
	else
		p->value[f->id] = number(a, &p->value[a->near]);
}

/* As it was told, with a few changes, and not all of it. */
static void vary(struct plain *p, bool brief)
{
	unsigned int all = brief ? 0 : percent(65) ? 100 : 30, n;
	unsigned int changes = brief ? 0 : below(5), n_fields = 0;
	uint64_t before = p->has, names = 0;
	const struct plain_field *f;

	for (n = 0; (f = plain_field(n)); n++) {
		if (f->bit >= 0 && sets[plain_set].attrs[f->id].names)
			names |= 1ull << f->bit;
		if (f->bit >= 0 && !percent(all))
			p->has &= ~(1ull << f->bit);
		n_fields++;
	}
	p->has |= before & names;
	if (brief || percent(100 - all))
		p->words = 0;
	while (changes) {
		f = plain_field(below(n_fields));
		if (f->id && percent(sets[plain_set].attrs[f->id].names ? 3 :
				     sets[plain_set].attrs[f->id].likely ? 100 : 15)) {
			change(p, f);
			changes--;
		}
	}
	if (!brief && percent(10) && p->words)
		p->bitmap[below(p->words)] = random64();
	if (percent(1))
		p->addrs[below(sizeof(p->addrs))] ^= 1 << below(8);
}

/* Records in the layout of those that were told; random bytes where none was. */
static void put_plain(struct msg *m, unsigned int type)
{
	unsigned int ns = space(), learned = plains[ns].learned, n = times();
	bool brief = n > 40;
	static uint8_t buf[LONGEST];
	const struct record *r;
	struct plain p;
	size_t len = 0;

	while (learned && n-- && m->len + len + PLAIN_MOST < LONGEST) {
		r = &plains[ns].records[below(learned < RECORDS ? learned : RECORDS)];
		plain_decode(&p, r->data, r->len);
		vary(&p, brief);
		len += plain_encode(&p, buf + len);
	}
	if (!learned || percent(1)) {
		len = 8 * below(30);
		random_bytes(buf, len);
	}
	if (len && percent(4))
		buf[below(len)] ^= 1 << below(8);
	if (len && percent(2))
		len -= 1 + below(len);
	put(m, type, buf, len);
}

/* False where it is not as it should be. */
static bool learn_plain(const uint8_t *data, size_t len)
{
	unsigned int *n = &plains[here].learned;
	struct record *r;
	struct plain p;
	size_t one;

	for (; len; data += one, len -= one) {
		one = plain_decode(&p, data, len);
		if (!one)
			return false;
		r = &plains[here].records[*n % RECORDS];
		if (one > sizeof(r->data))
			continue;
		memcpy(r->data, data, one);
		r->len = one;
		++*n;
	}
	return true;
}

/* --- attributes ------------------------------------------------------------------ */

static void fill(struct msg *m, unsigned int set, const bool *takes, bool brief);

static void put_nest(struct msg *m, unsigned int type, const struct attr *a, bool brief)
{
	size_t at = m->len;
	struct nlattr h;

	if (!put(m, type | NLA_F_NESTED, NULL, 0))
		return;
	fill(m, a->nested, NULL, brief);
	h.nla_len = m->len - at;
	h.nla_type = type | NLA_F_NESTED;
	memcpy(m->data + at, &h, sizeof(h));
}

static void put_value(struct msg *m, unsigned int set, unsigned int id,
		      const struct record *r, bool brief)
{
	static const unsigned int lengths[] = { 0, 1, 4, 4, 8, 16, 16, 64, 512, 513 };
	const struct attr *a = &sets[set].attrs[id];
	const struct value *seen;
	uint8_t bytes[513];
	unsigned int len;
	uint64_t v, near;

	switch (a->kind) {
	case 'r':
		put_plain(m, id);
		break;
	case 'n':
		put_nest(m, id, a, brief);
		break;
	case 'i':
		near = r && a->near ? number_in(r, a->near) : 0;
		v = number(a, r ? &near : NULL);
		put(m, id, &v, a->width);
		break;
	case 'f':
		put(m, id, NULL, 0);
		break;
	case 'b':
		seen = known(a);
		if (seen && percent(80)) {
			put(m, id, seen->data, seen->len);
			break;
		}
		len = lengths[below(COUNT(lengths))];
		random_bytes(bytes, len);
		put(m, id, bytes, len);
	}
}

static bool takes_it(const bool *takes, unsigned int set, unsigned int id)
{
	const struct attr *a = attr_of(set, id);

	return a && a->kind != 'p' && (!takes || takes[id]);
}

/* What is said of a thing that there is, or was: as it was told, with a few changes. */
static void fill_named(struct msg *m, unsigned int set, const bool *takes,
		       const struct record *r, bool brief)
{
	unsigned int all = percent(65) ? 100 : 30, id;
	unsigned int changes = brief ? 0 : below(all == 100 ? 4 : 6);
	struct walk w = { .data = r->data, .len = r->len };
	bool changed[ATTRS] = {};

	while (changes) {
		id = below(ATTRS);
		if (!takes_it(takes, set, id) || (!sets[set].attrs[id].likely && percent(85)))
			changes -= percent(3);	/* there may be none */
		else if (!sets[set].attrs[id].names || percent(5))
			changed[id] = changes--;
	}
	while (next(&w))
		if (takes_it(takes, set, w.type) && !changed[w.type] &&
		    (sets[set].attrs[w.type].names || (!brief && percent(all))))
			put(m, w.type, w.payload, w.size);
	for (id = 0; id < ATTRS; id++)
		if (changed[id])
			put_value(m, set, id, r, brief);
}

/* Where a set has records by attributes and plain ones, a request has these or those. */
static char left_out(const struct set *s)
{
	unsigned int n = below(100);

	if (!s->nests || !s->plain || n < 4)
		return 0;
	return n < 52 ? 'n' : 'r';
}

/* Attributes of a set: those that are taken, most of them. */
static void fill(struct msg *m, unsigned int set, const bool *takes, bool brief)
{
	unsigned int ns = space(), n = sets[set].learned[ns], id, i, many;
	const struct record *all = sets[set].records[ns];
	char without = left_out(&sets[set]), kind;

	if (sets[set].named && n && percent(96)) {
		fill_named(m, set, takes, &all[below(n < RECORDS ? n : RECORDS)], brief);
		return;
	}
	for (id = 0; id < ATTRS; id++) {
		if (!takes_it(takes, set, id))
			continue;
		kind = sets[set].attrs[id].kind;
		if (kind == without || !percent(kind == 'n' || kind == 'r' ? 97 : 85))
			continue;
		many = sets[set].attrs[id].multi ? times() : 1;
		for (i = 0; i < many; i++)
			put_value(m, set, id, NULL, many > 40);
	}
}

/* --- kinds of messages --------------------------------------------------------- */

/* How a dump shall be: plain ones twice as often as others. */
static void ask(struct msg *m, const struct op *op)
{
	unsigned int id;

	for (id = 0; id < ATTRS; id++) {
		if (!op->asks[id] || percent(33))
			continue;
		if (sets[op->set].attrs[id].kind == 'r')
			put(m, id, NULL, 0);
		else
			put_value(m, op->set, id, NULL, false);
	}
}

static unsigned int good(struct msg *m)
{
	const struct op *op = &ops[op_ids[below(n_op_ids)]];
	bool dump = op->can_dump && (!op->can_do || percent(30));

	begin(m, op->id, version);
	if (dump)
		ask(m, op);
	if (!dump || percent(2))
		fill(m, op->set, op->takes, false);
	return dump ? NLM_F_DUMP : NLM_F_ACK;
}

static void insert(struct msg *m, size_t at, const void *from, size_t len)
{
	if (at > m->len || m->len + len > LONGEST)
		return;
	memmove(m->data + at + len, m->data + at, m->len - at);
	memcpy(m->data + at, from, len);
	m->len += len;
}

static void mutate_once(struct msg *m)
{
	size_t at = below(m->len + 1), n;
	uint8_t bytes[64];
	uint16_t len;

	switch (below(6)) {
	case 0:
		if (at < m->len)
			m->data[at] ^= 1 << below(8);
		break;
	case 1:
		n = 1 + below(11);
		n = n < m->len - at ? n : m->len - at;
		memmove(m->data + at, m->data + at + n, m->len - at - n);
		m->len -= n;
		break;
	case 2:
		n = 1 + below(39);
		random_bytes(bytes, n);
		insert(m, at, bytes, n);
		break;
	case 3:		/* an attribute twice, or out of place */
		n = 4 + below(60);
		n = n < m->len - (at & ~3ul) ? n : m->len - (at & ~3ul);
		memcpy(bytes, m->data + (at & ~3ul), n);
		insert(m, at, bytes, n);
		break;
	case 4:		/* a length */
		at = at > 4 && at + 4 < m->len ? at & ~3ul : 4;
		len = percent(50) ? below(9) : random64();
		if (m->len >= 8)
			memcpy(m->data + at, &len, sizeof(len));
		break;
	case 5:
		fill(m, below(n_sets), NULL, false);
	}
}

static unsigned int mutated(struct msg *m)
{
	unsigned int flags = good(m), n = 1 + below(7);

	while (n--)
		mutate_once(m);
	if (percent(50))
		return flags;
	return percent(50) ? NLM_F_ACK : NLM_F_DUMP;
}

/* Nests in nests, and as much as a message takes. */
static void nested(struct msg *m)
{
	unsigned int n = 1 + below(59), more = percent(30) ? 30 : 0;
	uint8_t bytes[4];
	struct nlattr a;
	size_t len;

	begin(m, 1 + below(n_ops), version);
	while (n--) {
		random_bytes(bytes, sizeof(bytes));
		insert(m, m->len, bytes, sizeof(bytes));
		a.nla_len = m->len - GENL_HDRLEN + NLA_HDRLEN;
		a.nla_type = (1 + below(7)) | NLA_F_NESTED;
		insert(m, GENL_HDRLEN, &a, sizeof(a));
	}
	for (len = m->len; more-- && m->len + len <= LONGEST;)
		insert(m, m->len, m->data, len);
}

/* No message of ours; an unknown command, or any set's attributes for any. */
static unsigned int hostile(struct msg *m)
{
	switch (below(4)) {
	case 0:
		m->len = below(300);
		random_bytes(m->data, m->len);
		break;
	case 1:
		begin(m, below(256), below(3));
		break;
	case 2:
		begin(m, below(n_ops + 1), version);
		fill(m, below(n_sets), NULL, false);
		break;
	case 3:
		nested(m);
	}
	return percent(50) ? NLM_F_ACK : NLM_F_DUMP;
}

/* What would only wait: shorter. Who has no time is the fuzzer. */
static void without_waits(struct msg *m)
{
	struct walk w = { .data = m->data, .len = m->len, .at = GENL_HDRLEN };
	const struct attr *of;
	uint32_t v;

	while (next(&w)) {
		of = attr_of(ops[m->data[0]].set, w.type);
		if (of && of->most && w.size >= sizeof(v)) {
			v = below(of->most);
			memcpy(m->data + (w.payload - m->data), &v, sizeof(v));
		}
	}
}

static unsigned int make(struct msg *m)
{
	unsigned int n = below(100), flags;

	flags = n < 60 ? good(m) : n < 88 ? mutated(m) : hostile(m);
	without_waits(m);
	return flags;
}

/* --- answers ------------------------------------------------------------------- */

static void wrong(const struct msg *m, unsigned int flags, const char *what, long number)
{
	size_t i;

	if (wrongs++ >= 5)
		return;
	printf("wrong %#x %s:%ld %zu:", flags, what, number, m->len);
	for (i = 0; i < m->len && i < 200; i++)
		printf("%02x", m->data[i]);
	putchar('\n');
}

static void learn(const struct attr *a, const uint8_t *data, size_t len)
{
	struct memory *m = &memories[a->name];
	struct value *v = &m->values[here][m->learned[here] % VALUES];

	if (len > sizeof(v->data))
		return;
	v->len = len;
	memcpy(v->data, data, len);
	m->learned[here]++;
}

/* Attributes of an answer: as the specification says, and remembered. */
static bool is_as_said(unsigned int set, const uint8_t *data, size_t len)
{
	bool has[ATTRS] = {}, named = sets[set].named;
	struct walk w = { .data = data, .len = len };
	const struct attr *of;
	struct record *r;
	int id;

	while (next(&w)) {
		of = attr_of(set, w.type);
		if (!of || (of->kind == 'i' && w.size != of->width) ||
		    (of->kind == 'f' && w.size) ||
		    (of->kind == 'r' && !learn_plain(w.payload, w.size)) ||
		    (of->kind == 'n' && !is_as_said(of->nested, w.payload, w.size)))
			return false;
		has[w.type] = true;
		if (of->kind == 'i' || of->kind == 'b')
			learn(of, w.payload, w.size);
	}
	for (id = 0; named && id < ATTRS; id++)
		named = sets[set].attrs[id].names != 1 || has[id];
	r = &sets[set].records[here][sets[set].learned[here] % RECORDS];
	if (named && len <= sizeof(r->data)) {
		memcpy(r->data, data, len);
		r->len = len;
		sets[set].learned[here]++;
	}
	return w.at >= len;
}

static bool has_text(const uint8_t *tlvs, size_t len)
{
	struct walk w = { .data = tlvs, .len = len };

	while (next(&w))
		if (w.type == NLMSGERR_ATTR_MSG && w.size > 1)
			return true;
	return false;
}

static bool has_plain(const struct msg *m)
{
	struct walk w = { .data = m->data, .len = m->len, .at = GENL_HDRLEN };
	const struct attr *of;

	while (m->len && next(&w)) {
		of = attr_of(ops[m->data[0]].set, w.type);
		if (of && of->kind == 'r')
			return true;
	}
	return false;
}

/* Records of an answer: those that it tells plain, or those that were applied. */
static void count_plain(struct op *op, const uint8_t *data, size_t len)
{
	struct walk w = { .data = data, .len = len }, at;
	const struct attr *of;
	struct plain p;
	size_t one;

	while (next(&w)) {
		of = attr_of(op->set, w.type);
		at = w;
		while (of && of->kind == 'r' && (one = plain_decode(&p, at.payload, at.size))) {
			op->plain_records++;
			at.payload += one;
			at.size -= one;
		}
		if (op->set == applied_set && w.type == applied_id)
			op->plain_records += number_of(w.payload, w.size);
	}
}

static void judge_end(const struct msg *m, unsigned int flags, const struct nlmsghdr *h)
{
	const uint8_t *data = NLMSG_DATA(h);
	size_t skip = h->nlmsg_type == NLMSG_ERROR ? sizeof(struct nlmsgerr) : sizeof(int);
	size_t len = h->nlmsg_len - NLMSG_HDRLEN;
	int code;

	if (len < skip) {
		wrong(m, flags, "a short end", len);
		return;
	}
	memcpy(&code, data, sizeof(code));
	if (!code) {
		taken++;
		ops[m->data[0]].taken += m->len != 0;
		ops[m->data[0]].plain_taken += has_plain(m);
		return;
	}
	refused++;
	code = -code;
	if (code < 0 || code >= ERRNOS || !may_be[code])
		wrong(m, flags, "errno", code);
	/* less than a header: netlink has refused it */
	else if (m->len >= GENL_HDRLEN && !silent[code] &&
		 (!(h->nlmsg_flags & NLM_F_ACK_TLVS) || !has_text(data + skip, len - skip)))
		wrong(m, flags, "no word, errno", code);
}

/* True where that was the end of the answer. */
static bool judge_one(const struct client *c, const struct msg *m, unsigned int flags,
		      const struct nlmsghdr *h)
{
	const struct genlmsghdr *g = NLMSG_DATA(h);
	size_t len = h->nlmsg_len - NLMSG_HDRLEN;

	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
		if (h->nlmsg_seq != c->seq)
			return false;	/* of one that came too late */
		judge_end(m, flags, h);
		return true;
	}
	if (h->nlmsg_type != family || len < GENL_HDRLEN || !ops[g->cmd].id ||
	    !is_as_said(ops[g->cmd].set, (uint8_t *)g + GENL_HDRLEN, len - GENL_HDRLEN))
		wrong(m, flags, "not as specified", h->nlmsg_type);
	else if (m->len && g->cmd == m->data[0] && has_plain(m))
		count_plain(&ops[g->cmd], (uint8_t *)g + GENL_HDRLEN, len - GENL_HDRLEN);
	return false;
}

static void await(struct client *c, const struct msg *m, unsigned int flags)
{
	static uint8_t buf[1 << 18] __attribute__((aligned(4)));
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	const struct nlmsghdr *h;
	bool end = false;
	ssize_t n;

	while (!end) {
		if (poll(&p, 1, patience) == 0) {
			wrong(m, flags, "no answer", 0);
			return;
		}
		n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS) {	/* maybe the answer */
			lost++;
			return;
		}
		for (h = (void *)buf; n > 0 && NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
			end |= judge_one(c, m, flags, h);
	}
}

/* --- sockets ------------------------------------------------------------------- */

static int open_in(unsigned int ns, int domain, int type, int protocol)
{
	int fd, size = RCVBUF;

	if (setns(spaces[ns], CLONE_NEWNET))
		die("setns");
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

static void open_client(unsigned int ns)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK };
	int fd = open_in(ns, AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), on = 1;

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)))
		die("netlink");
	clients[ns].fd = fd;
}

static void talk(const struct msg *m, unsigned int flags)
{
	struct client *c = &clients[here];
	struct nlmsghdr h = {
		.nlmsg_len = NLMSG_HDRLEN + m->len, .nlmsg_type = family,
		.nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = ++c->seq,
	};
	struct iovec iov[] = { { &h, sizeof(h) }, { (void *)m->data, m->len } };
	struct msghdr to = { .msg_iov = iov, .msg_iovlen = 2 };

	sent++;
	if (sendmsg(c->fd, &to, 0) < 0)
		wrong(m, flags, "not sent", errno);
	else
		await(c, m, flags);
}

/* SAs come and go, packets are sent: what comes of it is of no interest. */
static void play(void)
{
	const struct item *i = &items[below(n_items)];
	uint8_t buf[4096];

	sendto(i->fd, i->data, i->len, MSG_DONTWAIT,
	       i->address_len ? (struct sockaddr *)&i->address : NULL, i->address_len);
	while (recv(i->fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
		;
}

static void fuzz(unsigned long messages)
{
	static struct msg m;
	unsigned int i, flags;

	for (i = 0; i < n_spaces; i++)
		open_client(i);
	while (messages--) {
		if (n_items && percent(25))
			play();
		here = below(n_spaces);
		if (below(500) == 0) {	/* a reader goes, say, with all that it was told */
			close(clients[here].fd);
			open_client(here);
		}
		m.len = 0;
		flags = make(&m);
		talk(&m, flags);
	}
	for (i = 0; i < 256; i++) {
		if (ops[i].taken)
			printf("taken %u %lu\n", i, ops[i].taken);
		if (ops[i].plain_taken)
			printf("plain %u %lu %lu\n", i, ops[i].plain_taken, ops[i].plain_records);
	}
	printf("sum %lu %lu %lu %lu\n", taken, refused, lost, sent);
}

/* --- the table ----------------------------------------------------------------- */

static size_t unhex(const char *text, uint8_t *to, size_t most)
{
	static const char digits[] = "0123456789abcdef";
	const char *high, *low;
	size_t n;

	for (n = 0; n < most && text[2 * n] && text[2 * n + 1]; n++) {
		high = strchr(digits, text[2 * n]);
		low = strchr(digits, text[2 * n + 1]);
		if (!high || !low)
			break;
		to[n] = (high - digits) << 4 | (low - digits);
	}
	return n;
}

static void read_attr(const char *text)
{
	struct attr a = {};
	unsigned int set, id;

	if (sscanf(text, "%u %u %c %u %u %u %u %u %u %u %lu %u %u %u", &set, &id, &a.kind,
		   &a.width, &a.nested, &a.multi, &a.count, &a.flags, &a.most, &a.near, &a.plus,
		   &a.likely, &a.names, &a.name) != 14 ||
	    set >= SETS || id >= ATTRS || a.width > sizeof(uint64_t) || a.name >= NAMES)
		die(text);
	sets[set].attrs[id] = a;
	sets[set].named |= a.names;
	sets[set].nests |= a.kind == 'n' && a.multi;
	sets[set].plain |= a.kind == 'r';
	n_sets = n_sets > set ? n_sets : set + 1;
}

static void read_op(const char *text)
{
	unsigned int weight, attr;
	struct op op = {};
	int n;

	if (sscanf(text, "%u %u %u %u %u%n", &op.id, &op.set, &op.can_do, &op.can_dump,
		   &weight, &n) != 5 ||
	    op.id >= COUNT(ops) || n_op_ids + weight > COUNT(op_ids))
		die(text);
	for (text += n; sscanf(text, "%u%n", &attr, &n) == 1 && attr < ATTRS; text += n)
		op.takes[attr] = true;
	ops[op.id] = op;
	n_ops = n_ops > op.id ? n_ops : op.id;
	while (weight--)
		op_ids[n_op_ids++] = op.id;
}

static void read_asks(const char *text)
{
	unsigned int id, attr;
	int n;

	if (sscanf(text, "%u%n", &id, &n) != 1 || id >= COUNT(ops))
		die(text);
	for (text += n; sscanf(text, "%u%n", &attr, &n) == 1 && attr < ATTRS; text += n)
		ops[id].asks[attr] = true;
}

static void read_socket(const char *text)
{
	unsigned int ns;
	int domain, type, protocol;

	if (sscanf(text, "%u %d %d %d", &ns, &domain, &type, &protocol) != 4 || ns >= n_spaces ||
	    n_socks == COUNT(socks))
		die(text);
	socks[n_socks++] = open_in(ns, domain, type, protocol);
}

static void read_item(const char *text)
{
	unsigned int sock, weight;
	struct item i = {};
	char *address, *data;

	if (sscanf(text, "%u %u %ms %ms", &sock, &weight, &address, &data) != 4 ||
	    sock >= n_socks || n_items + weight > COUNT(items))
		die(text);
	i.fd = socks[sock];
	i.address_len = unhex(address, (uint8_t *)&i.address, sizeof(i.address));
	i.data = malloc(strlen(data) / 2 + 1);
	if (!i.data)
		die("item");
	i.len = unhex(data, i.data, strlen(data) / 2);
	while (weight--)
		items[n_items++] = i;
	free(address);
	free(data);
}

static void read_line(const char *line)
{
	char word[16], path[256];
	unsigned int a, b;
	int n;

	if (sscanf(line, "%15s%n", word, &n) != 1)
		return;
	if (!strcmp(word, "attr")) {
		read_attr(line + n);
	} else if (!strcmp(word, "op")) {
		read_op(line + n);
	} else if (!strcmp(word, "asks")) {
		read_asks(line + n);
	} else if ((!strcmp(word, "plain") && plain_read(line + n)) ||
		   (!strcmp(word, "head") && plain_read_head(line + n)) ||
		   (!strcmp(word, "tail") && plain_read_tail(line + n)) ||
		   (!strcmp(word, "applied") &&
		    sscanf(line + n, "%u %u", &applied_set, &applied_id) == 2)) {
		/* it is read */
	} else if (!strcmp(word, "socket")) {
		read_socket(line + n);
	} else if (!strcmp(word, "item")) {
		read_item(line + n);
	} else if (!strcmp(word, "namespace") && sscanf(line + n, "%255s", path) == 1 &&
		   n_spaces < SPACES) {
		spaces[n_spaces] = open(path, O_RDONLY | O_CLOEXEC);
		if (spaces[n_spaces++] < 0)
			die(path);
	} else if (!strcmp(word, "family") && sscanf(line + n, "%u %u", &a, &b) == 2) {
		family = a;
		version = b;
	} else if (!strcmp(word, "errno") && sscanf(line + n, "%u %u", &a, &b) == 2 && a < ERRNOS) {
		may_be[a] = true;
		silent[a] = b;
	} else {
		die(line);
	}
}

int main(int argc, char **argv)
{
	unsigned long messages, processes, seed, n;
	char *line = NULL;
	size_t size = 0;
	int rc = 0, how;

	if (argc != 5) {
		fprintf(stderr, "genl_fuzz MESSAGES PROCESSES SEED SECONDS\n");
		return 2;
	}
	messages = strtoul(argv[1], NULL, 0);
	processes = strtoul(argv[2], NULL, 0);
	seed = strtoul(argv[3], NULL, 0);
	patience = 1000 * atoi(argv[4]);
	while (getline(&line, &size, stdin) >= 0)
		read_line(line);
	free(line);
	for (n = 0; n < processes; n++) {
		if (fork() == 0) {
			state = (seed * 1000003 + n) * 0x9e3779b97f4a7c15ull | 1;
			fuzz(messages / processes + (n < messages % processes));
			exit(0);
		}
	}
	while (wait(&how) > 0)
		rc |= how;
	return rc != 0;
}
