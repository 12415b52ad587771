// SPDX-License-Identifier: GPL-2.0
/*
 * In: records of the module's netlink family, or of the wire.
 * Out: struct record, the live state of one SA, and its printed forms.
 * Runs in any process of the tool; holds no keys.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <linux/xfrm.h>

#include <linux/xfrmsync.h>

#include "../kmod/units.h"
#include "record.h"

#define A(name) XFRMSYNC_A_RECORD_##name

static size_t addr_len(uint16_t family)
{
	return family == AF_INET6 ? 16 : 4;
}

void record_init(struct record *r)
{
	memset(r, 0, offsetof(struct record, bmp));
}

void record_copy(struct record *to, const struct record *from)
{
	memcpy(to, from, offsetof(struct record, bmp) +
			 from->bmp_words * sizeof(from->bmp[0]));
}

bool sa_id_equal(const struct sa_id *a, const struct sa_id *b)
{
	return a->spi == b->spi && a->proto == b->proto &&
	       a->family == b->family && a->mark == b->mark &&
	       a->mark_mask == b->mark_mask &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst));
}

int sa_id_order(const void *a, const void *b)
{
	const struct sa_id *x = a, *y = b;
	int ret = memcmp(x->dst, y->dst, sizeof(x->dst));

	if (!ret)
		ret = memcmp(&x->spi, &y->spi, sizeof(x->spi));
	if (!ret)
		ret = x->proto - y->proto;
	if (!ret)
		ret = x->family - y->family;
	if (!ret && x->mark != y->mark)
		ret = x->mark < y->mark ? -1 : 1;
	if (!ret && x->mark_mask != y->mark_mask)
		ret = x->mark_mask < y->mark_mask ? -1 : 1;
	return ret;
}

/* Without the mark, as in XFRM: those that hide each other are found together. */
uint32_t sa_id_hash(const struct sa_id *id)
{
	uint64_t word[2], h = (uint64_t)id->spi << 8 | id->proto;
	int i;

	memcpy(word, id->dst, sizeof(word));	/* of IPv4, the rest is 0 */
	for (i = 0; i < 2; i++) {
		h = (h ^ word[i]) * 0x9e3779b97f4a7c15;
		h ^= h >> 32;
	}
	return h;
}

const char *record_proto_str(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_ESP:
		return "esp";
	case IPPROTO_AH:
		return "ah";
	case IPPROTO_COMP:
		return "comp";
	}
	return "proto?";
}

const char *sa_id_str(const struct sa_id *id, char *buf, size_t len)
{
	char dst[INET6_ADDRSTRLEN] = "?";
	int n;

	inet_ntop(id->family, id->dst, dst, sizeof(dst));
	n = snprintf(buf, len, "%s %s spi 0x%08x", record_proto_str(id->proto), dst,
		     ntohl(id->spi));
	if ((id->mark || id->mark_mask) && n > 0 && (size_t)n < len)
		snprintf(buf + n, len - n, " mark 0x%x/0x%x", id->mark,
			 id->mark_mask);
	return buf;
}

/* Where the value of an attribute goes, and the length that it must have, with its header:
 * 0 for those that vary.
 */
struct place {
	uint16_t len, at;
};

#define PLACE(size, member) { NLA_HDRLEN + (size), offsetof(struct record, member) }

static const struct place places[XFRMSYNC_A_RECORD_MAX + 1] = {
	[A(FAMILY)] = PLACE(2, id.family), [A(SPI)] = PLACE(4, id.spi),
	[A(PROTO)] = PLACE(1, id.proto), [A(MODE)] = PLACE(1, mode),
	[A(DIR)] = PLACE(1, dir), [A(MARK)] = PLACE(4, id.mark),
	[A(MARK_MASK)] = PLACE(4, id.mark_mask), [A(IF_ID)] = PLACE(4, if_id),
	[A(REQID)] = PLACE(4, reqid), [A(FLAGS)] = PLACE(4, flags),
	[A(TAG)] = PLACE(8, tag), [A(COOKIE)] = PLACE(8, cookie),
	[A(OSEQ)] = PLACE(8, oseq), [A(SEQ)] = PLACE(8, seq),
	[A(WINDOW)] = PLACE(4, window), [A(BYTES)] = PLACE(8, bytes),
	[A(PACKETS)] = PLACE(8, packets), [A(ADD_TIME)] = PLACE(8, add_time),
	[A(USE_TIME)] = PLACE(8, use_time), [A(LAST_USED)] = PLACE(8, last_used),
	[A(REPLAY_WINDOW_ERRORS)] = PLACE(4, replay_window_errors),
	[A(REPLAY_ERRORS)] = PLACE(4, replay_errors),
	[A(INTEGRITY_ERRORS)] = PLACE(4, integrity_errors),
	[A(AGE_NS)] = PLACE(8, age_ns), [A(LEASE_END)] = PLACE(8, lease_end),
	[A(RESTORE_FLAGS)] = PLACE(4, restore_flags),
	[A(EXPECT_OSEQ)] = PLACE(8, expect_oseq), [A(SENT)] = PLACE(8, sent),
	[A(GUARD_END)] = PLACE(8, guard_end), [A(GIVEN_END)] = PLACE(8, given_end),
};

/* Those that vary, and which there were. */
struct found {
	const struct nlattr *src, *dst, *bitmap;
	uint64_t types;
};

_Static_assert(XFRMSYNC_A_RECORD_MAX < 64, "a bit for each attribute");

static bool has(const struct found *f, int type)
{
	return f->types >> type & 1;
}

/* Collect the attributes; what a newer module adds is passed over. */
static int collect(const void *attr, size_t left, struct record *r, struct found *f)
{
	const struct nlattr *a = attr;
	unsigned int step, type;
	struct place place;
	size_t len;

	while (left >= NLA_HDRLEN) {
		len = a->nla_len;
		step = MNL_ALIGN(len);
		if (len < NLA_HDRLEN || len > left)
			return -EINVAL;
		type = a->nla_type & NLA_TYPE_MASK;
		if (type <= XFRMSYNC_A_RECORD_MAX) {
			place = places[type];
			f->types |= 1ULL << type;
			if (len == place.len)
				memcpy((char *)r + place.at, a + 1, len - NLA_HDRLEN);
			else if (place.len)
				return -EINVAL;
			else if (type == A(DST))
				f->dst = a;
			else if (type == A(SRC))
				f->src = a;
			else if (type == A(BITMAP))
				f->bitmap = a;
		}
		/* The last one may not be filled up. */
		left -= step < left ? step : left;
		a = (const void *)((const char *)a + step);
	}
	return left ? -EINVAL : 0;
}

static int parse_addr(const struct nlattr *a, uint16_t family, uint8_t *addr)
{
	if (a->nla_len - sizeof(*a) != addr_len(family))
		return -EINVAL;
	if (family == AF_INET6)
		memcpy(addr, a + 1, 16);
	else
		memcpy(addr, a + 1, 4);
	return 0;
}

static int parse_id(const struct found *f, struct record *r)
{
	if (!has(f, A(FAMILY)) || !f->dst || !has(f, A(SPI)) || !has(f, A(PROTO)))
		return -EINVAL;
	if (r->id.family != AF_INET && r->id.family != AF_INET6)
		return -EINVAL;
	if (parse_addr(f->dst, r->id.family, r->id.dst))
		return -EINVAL;
	return f->src ? parse_addr(f->src, r->id.family, r->src) : 0;
}

static int parse_bitmap(const struct nlattr *a, struct record *r)
{
	size_t len = a->nla_len - sizeof(*a);

	if (len % sizeof(uint32_t) || len > sizeof(r->bmp))
		return -EINVAL;
	r->bmp_words = len / sizeof(uint32_t);
	memcpy(r->bmp, a + 1, len);
	return 0;
}

int record_parse(const void *attr, size_t len, struct record *r)
{
	struct found f = { 0 };

	record_init(r);
	if (collect(attr, len, r, &f) || parse_id(&f, r))
		return -EINVAL;
	r->has_sent = has(&f, A(SENT));
	return f.bitmap ? parse_bitmap(f.bitmap, r) : 0;
}

/* ---- plain ---- */

#define F(name) XFRMSYNC_PLAIN_F_##name

static inline uint64_t next64(const uint8_t **p)
{
	uint64_t v;

	memcpy(&v, *p, sizeof(v));
	*p += sizeof(v);
	return v;
}

static inline void next32(const uint8_t **p, uint32_t *to)
{
	memcpy(to, *p, sizeof(*to));
	*p += sizeof(*to);
}

/* What follows the head, its addresses and the bitmap; there is as much as has says. */
static inline const uint8_t *parse_values(const uint8_t *p, uint16_t has,
					  struct record *r)
{
	uint32_t zero;

	if (has & F(OSEQ))
		r->oseq = next64(&p);
	if (has & F(SEQ))
		r->seq = next64(&p);
	if (has & F(COUNTED)) {
		r->bytes = next64(&p);
		r->packets = next64(&p);
	}
	if (has & F(TIMES)) {
		r->add_time = next64(&p);
		r->use_time = next64(&p);
		r->last_used = next64(&p);
	}
	if (has & F(TAG))
		r->tag = next64(&p);
	if (has & F(LEASE_END))
		r->lease_end = next64(&p);
	if (has & F(GIVEN_END))
		r->given_end = next64(&p);
	if (has & F(GUARD_END))
		r->guard_end = next64(&p);
	r->has_sent = has & F(SENT);
	if (has & F(SENT))
		r->sent = next64(&p);
	if (has & F(NAME)) {
		next32(&p, &r->id.mark);
		next32(&p, &r->id.mark_mask);
		next32(&p, &r->if_id);
		next32(&p, &zero);
	}
	if (has & F(ERRORS)) {
		next32(&p, &r->replay_window_errors);
		next32(&p, &r->replay_errors);
		next32(&p, &r->integrity_errors);
		next32(&p, &zero);
	}
	if (has & F(AGE_NS))
		r->age_ns = next64(&p);
	if (has & F(RESTORE)) {
		next32(&p, &r->restore_flags);
		next32(&p, &zero);
	}
	r->has_expect = has & F(EXPECT_OSEQ);
	if (has & F(EXPECT_OSEQ))
		r->expect_oseq = next64(&p);
	return p;
}

static inline const uint8_t *parse_addrs(const uint8_t *p, uint16_t has,
					 struct record *r)
{
	if (has & F(IPV6)) {
		r->id.family = AF_INET6;
		memcpy(r->id.dst, p, 16);
		memcpy(r->src, p + 16, 16);
		return p + 32;
	}
	r->id.family = AF_INET;
	memcpy(r->id.dst, p, 4);
	memcpy(r->src, p + 4, 4);
	return p + 8;
}

size_t record_parse_plain(const void *p, size_t len, struct record *r)
{
	const uint8_t *at = p;
	struct xfrmsync_plain head;

	if (len < sizeof(head))
		return 0;
	memcpy(&head, at, sizeof(head));
	if (head.units * XFRMSYNC_PLAIN_UNIT > len ||
	    head.words > RECORD_BMP_WORDS)
		return 0;
	/* Else there is as much as any has, and what it took says whether it fits. */
	if (len < XFRMSYNC_PLAIN_MAX &&
	    head.units != xfrmsync_plain_units(head.has, head.words))
		return 0;
	record_init(r);
	at += sizeof(head);
	at = parse_addrs(at, head.has, r);
	r->id.proto = head.proto;
	r->id.spi = head.spi;
	r->mode = head.mode;
	r->dir = head.dir;
	r->reqid = head.reqid;
	r->flags = head.flags;
	r->cookie = head.cookie;
	r->window = head.window;
	r->bmp_words = head.words;
	if (head.words == 4)	/* most of them: no call */
		memcpy(r->bmp, at, 4 * sizeof(r->bmp[0]));
	else
		memcpy(r->bmp, at, head.words * sizeof(r->bmp[0]));
	at = parse_values(at + (head.words + 1) / 2 * XFRMSYNC_PLAIN_UNIT,
			  head.has, r);
	len = at - (const uint8_t *)p;
	return len == head.units * XFRMSYNC_PLAIN_UNIT ? len : 0;
}

#define INLINE static inline __attribute__((always_inline))

INLINE uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

INLINE uint8_t *put_u32s(uint8_t *p, uint32_t a, uint32_t b)
{
	memcpy(p, &a, sizeof(a));
	memcpy(p + sizeof(a), &b, sizeof(b));
	return p + sizeof(a) + sizeof(b);
}

INLINE uint8_t *put_if(uint8_t *p, uint16_t *has, uint16_t flag, bool is, uint64_t v)
{
	if (!is)
		return p;
	*has |= flag;
	return put_u64(p, v);
}

INLINE uint8_t *put_addrs(uint8_t *p, const struct record *r, uint16_t *has)
{
	if (r->id.family == AF_INET6) {
		*has |= F(IPV6);
		memcpy(p, r->id.dst, 16);
		memcpy(p + 16, r->src, 16);
		return p + 32;
	}
	memcpy(p, r->id.dst, 4);
	memcpy(p + 4, r->src, 4);
	return p + 8;
}

INLINE uint8_t *put_bitmap(uint8_t *p, const struct record *r)
{
	uint32_t words = r->bmp_words;

	if (words == 4) {	/* most of them: no call */
		memcpy(p, r->bmp, 4 * sizeof(r->bmp[0]));
		return p + 4 * sizeof(r->bmp[0]);
	}
	memcpy(p, r->bmp, words * sizeof(r->bmp[0]));
	p += words * sizeof(r->bmp[0]);
	if (words % 2) {
		memset(p, 0, sizeof(r->bmp[0]));
		p += sizeof(r->bmp[0]);
	}
	return p;
}

/* Up to SENT. Of an answer, what is 0 is left out; of a request, what is not meant. */
INLINE uint8_t *put_counters(uint8_t *p, const struct record *r, bool answer, uint16_t *has)
{
	p = put_if(p, has, F(OSEQ), !answer || r->oseq, r->oseq);
	p = put_if(p, has, F(SEQ), answer ? r->seq : r->bmp_words || !r->window, r->seq);
	if (!answer || r->bytes || r->packets) {
		*has |= F(COUNTED);
		p = put_u64(put_u64(p, r->bytes), r->packets);
	}
	if (answer || r->add_time || r->use_time || r->last_used) {
		*has |= F(TIMES);
		p = put_u64(put_u64(put_u64(p, r->add_time), r->use_time),
			    r->last_used);
	}
	p = put_if(p, has, F(TAG), r->tag, r->tag);
	p = put_if(p, has, F(LEASE_END), r->lease_end, r->lease_end);
	p = put_if(p, has, F(GIVEN_END), r->given_end, r->given_end);
	p = put_if(p, has, F(GUARD_END), answer ? r->guard_end : r->set_guard,
		   r->guard_end);
	return put_if(p, has, F(SENT), r->has_sent, r->sent);
}

/* What few have, and what is of one of both directions. */
INLINE uint8_t *put_rest(uint8_t *p, const struct record *r, bool answer, uint16_t *has)
{
	if (r->id.mark || r->id.mark_mask || (answer && r->if_id)) {
		*has |= F(NAME);
		p = put_u32s(put_u32s(p, r->id.mark, r->id.mark_mask), r->if_id, 0);
	}
	if (r->replay_window_errors | r->replay_errors | r->integrity_errors) {
		*has |= F(ERRORS);
		p = put_u32s(put_u32s(p, r->replay_window_errors, r->replay_errors),
			     r->integrity_errors, 0);
	}
	if (answer)
		return put_if(p, has, F(AGE_NS), r->age_ns, r->age_ns);
	if (r->restore_flags) {
		*has |= F(RESTORE);
		p = put_u32s(p, r->restore_flags, 0);
	}
	return put_if(p, has, F(EXPECT_OSEQ), r->has_expect, r->expect_oseq);
}

/* There is room for the largest one. */
INLINE uint8_t *put_all(uint8_t *start, const struct record *r, bool answer)
{
	struct xfrmsync_plain head = {
		.words = r->bmp_words, .flags = r->flags, .cookie = r->cookie,
		.spi = r->id.spi, .window = r->window, .reqid = r->reqid,
		.proto = r->id.proto, .mode = r->mode, .dir = r->dir,
	};
	uint16_t has = answer || !r->keep_flags ? F(FLAGS) : 0;
	uint8_t *p = start + sizeof(head);

	p = put_bitmap(put_addrs(p, r, &has), r);
	p = put_rest(put_counters(p, r, answer, &has), r, answer, &has);
	head.has = has;
	head.units = (p - start) / XFRMSYNC_PLAIN_UNIT;
	memcpy(start, &head, sizeof(head));
	return p;
}

INLINE void *put_plain(uint8_t *p, const uint8_t *end, const struct record *r, bool answer)
{
	uint8_t one[XFRMSYNC_PLAIN_MAX];
	ptrdiff_t len;

	if (end - p >= XFRMSYNC_PLAIN_MAX)
		return put_all(p, r, answer);
	len = put_all(one, r, answer) - one;
	if (end - p < len)
		return NULL;
	memcpy(p, one, len);
	return p + len;
}

void *record_put_plain(void *p, const void *end, const struct record *r)
{
	return put_plain(p, end, r, false);
}

void *record_put_plain_answer(void *p, const void *end, const struct record *r)
{
	return put_plain(p, end, r, true);
}

/* ---- attributes, of requests ---- */

/* Put and remember whether all of it fitted. */
struct putter {
	char *at, *end;
	bool full;
};

/* What fills an attribute up is zero. */
static inline __attribute__((always_inline)) void
put(struct putter *p, uint16_t type, size_t len, const void *data)
{
	size_t total = MNL_ALIGN(sizeof(struct nlattr) + len);
	struct nlattr *a = (struct nlattr *)p->at;

	if ((size_t)(p->end - p->at) < total) {
		p->full = true;
		return;
	}
	a->nla_type = type;
	a->nla_len = sizeof(*a) + len;
	if (len % MNL_ALIGNTO)
		memset(p->at + total - MNL_ALIGNTO, 0, MNL_ALIGNTO);
	memcpy(a + 1, data, len);
	p->at += total;
}

static void put32(struct putter *p, uint16_t type, uint32_t v)
{
	put(p, type, sizeof(v), &v);
}

static void put64(struct putter *p, uint16_t type, uint64_t v)
{
	put(p, type, sizeof(v), &v);
}

static void put_id(struct putter *p, const struct record *r)
{
	put(p, A(FAMILY), sizeof(r->id.family), &r->id.family);
	put(p, A(DST), addr_len(r->id.family), r->id.dst);
	put32(p, A(SPI), r->id.spi);
	put(p, A(PROTO), 1, &r->id.proto);
	if (r->id.mark || r->id.mark_mask) {
		put32(p, A(MARK), r->id.mark);
		put32(p, A(MARK_MASK), r->id.mark_mask);
	}
}

static void put_lifetime(struct putter *p, const struct record *r)
{
	put64(p, A(BYTES), r->bytes);
	put64(p, A(PACKETS), r->packets);
	if (r->add_time)
		put64(p, A(ADD_TIME), r->add_time);
	if (r->use_time)
		put64(p, A(USE_TIME), r->use_time);
	if (r->last_used)
		put64(p, A(LAST_USED), r->last_used);
	if (r->replay_window_errors)
		put32(p, A(REPLAY_WINDOW_ERRORS), r->replay_window_errors);
	if (r->replay_errors)
		put32(p, A(REPLAY_ERRORS), r->replay_errors);
	if (r->integrity_errors)
		put32(p, A(INTEGRITY_ERRORS), r->integrity_errors);
}

int record_put(struct nlmsghdr *nlh, size_t buflen, const struct record *r)
{
	struct putter p = {
		.at = mnl_nlmsg_get_payload_tail(nlh), .end = (char *)nlh + buflen,
	};

	put_id(&p, r);
	if (!r->keep_flags)
		put32(&p, A(FLAGS), r->flags);
	if (r->tag)
		put64(&p, A(TAG), r->tag);
	if (r->cookie)
		put64(&p, A(COOKIE), r->cookie);
	put64(&p, A(OSEQ), r->oseq);
	if (r->bmp_words || !r->window) {
		put64(&p, A(SEQ), r->seq);
		put32(&p, A(WINDOW), r->window);
	}
	if (r->bmp_words)
		put(&p, A(BITMAP), r->bmp_words * sizeof(uint32_t), r->bmp);
	put_lifetime(&p, r);
	if (r->lease_end)
		put64(&p, A(LEASE_END), r->lease_end);
	if (r->has_sent)
		put64(&p, A(SENT), r->sent);
	if (r->restore_flags)
		put32(&p, A(RESTORE_FLAGS), r->restore_flags);
	if (r->has_expect)
		put64(&p, A(EXPECT_OSEQ), r->expect_oseq);
	if (r->set_guard)
		put64(&p, A(GUARD_END), r->guard_end);
	if (r->given_end)
		put64(&p, A(GIVEN_END), r->given_end);
	nlh->nlmsg_len = p.at - (char *)nlh;
	return p.full ? -EMSGSIZE : 0;
}

bool record_has_seen(const struct record *r, uint64_t n)
{
	uint32_t bit;

	if (r->flags & XFRMSYNC_RECORD_F_BMP)
		bit = ((uint32_t)n - 1) % r->window;
	else
		bit = r->seq - n;
	return bit / 32 < r->bmp_words && (r->bmp[bit / 32] >> bit % 32) & 1;
}

static json_t *spi_json(uint32_t spi)
{
	char buf[16];

	snprintf(buf, sizeof(buf), "0x%08x", ntohl(spi));
	return json_string(buf);
}

static json_t *addr_json(uint16_t family, const uint8_t *addr)
{
	char buf[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, addr, buf, sizeof(buf));
	return json_string(buf);
}

/* Words in the kernel's order, each as eight digits: as `ip -d xfrm` prints. */
static json_t *bitmap_json(const struct record *r)
{
	char buf[RECORD_BMP_WORDS * 8 + 1] = "";
	uint32_t i;

	for (i = 0; i < r->bmp_words && i < RECORD_BMP_WORDS; i++)
		snprintf(buf + i * 8, 9, "%08x", r->bmp[i]);
	return json_string(buf);
}

const char *record_mode_str(uint8_t mode)
{
	static const char *const names[] = {
		[XFRM_MODE_TRANSPORT] = "transport",
		[XFRM_MODE_TUNNEL] = "tunnel",
		[XFRM_MODE_ROUTEOPTIMIZATION] = "ro",
		[XFRM_MODE_IN_TRIGGER] = "in_trigger",
		[XFRM_MODE_BEET] = "beet",
	};

	return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "mode?";
}

const char *record_dir_str(uint8_t dir)
{
	return dir == XFRMSYNC_DIR_IN ? "in" :
	       dir == XFRMSYNC_DIR_OUT ? "out" : "unknown";
}

static const struct {
	uint32_t bit;
	const char *name;
} flag_names[] = {
	{ XFRMSYNC_RECORD_F_ESN, "esn" },
	{ XFRMSYNC_RECORD_F_BMP, "bmp" },
	{ XFRMSYNC_RECORD_F_NEW, "new" },
	{ XFRMSYNC_RECORD_F_CHANGED, "changed" },
	{ XFRMSYNC_RECORD_F_DELETED, "deleted" },
	{ XFRMSYNC_RECORD_F_EXPIRED, "expired" },
	{ XFRMSYNC_RECORD_F_DYING, "dying" },
	{ XFRMSYNC_RECORD_F_RESTORED, "restored" },
	{ XFRMSYNC_RECORD_F_LARVAL, "larval" },
	{ XFRMSYNC_RECORD_F_SHARED, "shared" },
	{ XFRMSYNC_RECORD_F_UNMANAGED, "unmanaged" },
	{ XFRMSYNC_RECORD_F_STOPPED, "stopped" },
	{ XFRMSYNC_RECORD_F_OVERRUN, "overrun" },
	{ XFRMSYNC_RECORD_F_FENCED, "fenced" },
	{ XFRMSYNC_RECORD_F_GOES_ON, "goes_on" },
	{ XFRMSYNC_RECORD_F_WINDOW_RESTORED, "window-restored" },
	{ XFRMSYNC_RECORD_F_UNTOLD, "untold" },
};

#define N_FLAGS (sizeof(flag_names) / sizeof(flag_names[0]))

const char *record_flags_str(uint32_t flags, char *buf, size_t len)
{
	size_t i, n = 0;

	buf[0] = '\0';
	for (i = 0; i < N_FLAGS; i++)
		if ((flags & flag_names[i].bit) && n < len)
			n += snprintf(buf + n, len - n, "%s%s", n ? " " : "",
				      flag_names[i].name);
	return buf;
}

static json_t *flags_json(uint32_t flags)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < N_FLAGS; i++)
		if (flags & flag_names[i].bit)
			json_array_append_new(list,
					      json_string(flag_names[i].name));
	return list;
}

static void set_int(json_t *o, const char *name, uint64_t v)
{
	json_object_set_new(o, name, json_integer((json_int_t)v));
}

static void json_id(json_t *o, const struct record *r)
{
	json_object_set_new(o, "family", json_string(r->id.family == AF_INET6 ?
						     "inet6" : "inet"));
	json_object_set_new(o, "src", addr_json(r->id.family, r->src));
	json_object_set_new(o, "dst", addr_json(r->id.family, r->id.dst));
	json_object_set_new(o, "proto", json_string(record_proto_str(r->id.proto)));
	json_object_set_new(o, "spi", spi_json(r->id.spi));
	set_int(o, "mark", r->id.mark);
	set_int(o, "mark_mask", r->id.mark_mask);
}

json_t *record_json(const struct record *r)
{
	json_t *o = json_object();
	char tag[17];

	json_id(o, r);
	set_int(o, "if_id", r->if_id);
	set_int(o, "reqid", r->reqid);
	json_object_set_new(o, "mode", json_string(record_mode_str(r->mode)));
	json_object_set_new(o, "dir", json_string(record_dir_str(r->dir)));
	json_object_set_new(o, "esn", json_boolean(r->flags & XFRMSYNC_RECORD_F_ESN));
	json_object_set_new(o, "flags", flags_json(r->flags));
	snprintf(tag, sizeof(tag), "%016llx", (unsigned long long)r->tag);
	json_object_set_new(o, "tag", json_string(tag));
	set_int(o, "cookie", r->cookie);
	set_int(o, "oseq", r->oseq);
	set_int(o, "seq", r->seq);
	set_int(o, "window", r->window);
	json_object_set_new(o, "bitmap", bitmap_json(r));
	set_int(o, "bytes", r->bytes);
	set_int(o, "packets", r->packets);
	set_int(o, "add_time", r->add_time);
	set_int(o, "use_time", r->use_time);
	set_int(o, "last_used", r->last_used);
	set_int(o, "replay_window_errors", r->replay_window_errors);
	set_int(o, "replay_errors", r->replay_errors);
	set_int(o, "integrity_errors", r->integrity_errors);
	set_int(o, "age_ns", r->age_ns);
	set_int(o, "lease_end", r->lease_end);
	set_int(o, "guard_end", r->guard_end);
	set_int(o, "given_end", r->given_end);
	return o;
}

static uint64_t int_of(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static uint32_t flags_of(const json_t *list)
{
	uint32_t flags = 0;
	const json_t *name;
	size_t i, n;

	json_array_foreach(list, n, name)
		for (i = 0; i < N_FLAGS; i++)
			if (json_is_string(name) &&
			    !strcmp(json_string_value(name), flag_names[i].name))
				flags |= flag_names[i].bit;
	return flags;
}

/* The value whose word it is; 0 where there is none. */
static uint8_t word_of(const char *(*str)(uint8_t), const char *word)
{
	unsigned int v;

	for (v = 0; v <= UINT8_MAX; v++)
		if (!strcmp(str(v), word))
			return v;
	return 0;
}

static int bitmap_of(const char *hex_words, struct record *r)
{
	size_t len = strlen(hex_words), i;

	if (len % 8 || len > RECORD_BMP_WORDS * 8 ||
	    strspn(hex_words, "0123456789abcdef") != len)
		return -EINVAL;
	r->bmp_words = len / 8;
	for (i = 0; i < r->bmp_words; i++)
		if (sscanf(hex_words + i * 8, "%8x", &r->bmp[i]) != 1)
			return -EINVAL;
	return 0;
}

static int id_of(const json_t *o, struct record *r)
{
	const char *family = text_of(o, "family");
	unsigned int spi;

	r->id.family = !strcmp(family, "inet6") ? AF_INET6 : AF_INET;
	if ((r->id.family == AF_INET && strcmp(family, "inet")) ||
	    inet_pton(r->id.family, text_of(o, "dst"), r->id.dst) != 1 ||
	    inet_pton(r->id.family, text_of(o, "src"), r->src) != 1 ||
	    sscanf(text_of(o, "spi"), "0x%8x", &spi) != 1)
		return -EINVAL;
	r->id.spi = htonl(spi);
	r->id.proto = word_of(record_proto_str, text_of(o, "proto"));
	r->id.mark = int_of(o, "mark");
	r->id.mark_mask = int_of(o, "mark_mask");
	return 0;
}

int record_from_json(const json_t *o, struct record *r)
{
	memset(r, 0, sizeof(*r));
	if (id_of(o, r) || bitmap_of(text_of(o, "bitmap"), r))
		return -EINVAL;
	r->mode = word_of(record_mode_str, text_of(o, "mode"));
	r->dir = word_of(record_dir_str, text_of(o, "dir"));
	r->if_id = int_of(o, "if_id");
	r->reqid = int_of(o, "reqid");
	r->flags = flags_of(json_object_get(o, "flags"));
	r->tag = strtoull(text_of(o, "tag"), NULL, 16);
	r->cookie = int_of(o, "cookie");
	r->oseq = int_of(o, "oseq");
	r->seq = int_of(o, "seq");
	r->window = int_of(o, "window");
	r->bytes = int_of(o, "bytes");
	r->packets = int_of(o, "packets");
	r->add_time = int_of(o, "add_time");
	r->use_time = int_of(o, "use_time");
	r->last_used = int_of(o, "last_used");
	r->replay_window_errors = int_of(o, "replay_window_errors");
	r->replay_errors = int_of(o, "replay_errors");
	r->integrity_errors = int_of(o, "integrity_errors");
	r->age_ns = int_of(o, "age_ns");
	r->lease_end = int_of(o, "lease_end");
	r->guard_end = int_of(o, "guard_end");
	r->given_end = int_of(o, "given_end");
	return 0;
}
