// SPDX-License-Identifier: GPL-2.0
/*
 * In: records of the module's netlink family, or of the wire.
 * Out: struct record, the live state of one SA, and its printed forms.
 * Runs in any process of the tool; holds no keys.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/xfrm.h>

#include <linux/xfrmsync.h>

#include "record.h"

#define A(name) XFRMSYNC_A_RECORD_##name

static size_t addr_len(uint16_t family)
{
	return family == AF_INET6 ? 16 : 4;
}

bool sa_id_equal(const struct sa_id *a, const struct sa_id *b)
{
	return a->spi == b->spi && a->proto == b->proto &&
	       a->family == b->family && a->mark == b->mark &&
	       a->mark_mask == b->mark_mask &&
	       !memcmp(a->dst, b->dst, sizeof(a->dst));
}

/* FNV-1a over the fields, not the struct: it has padding. */
static uint32_t fnv(uint32_t h, const void *p, size_t len)
{
	const uint8_t *b = p;

	while (len--)
		h = (h ^ *b++) * 16777619;
	return h;
}

/* Without the mark, as in XFRM: those that hide each other are found together. */
uint32_t sa_id_hash(const struct sa_id *id)
{
	uint32_t h = 2166136261;

	h = fnv(h, &id->spi, sizeof(id->spi));
	h = fnv(h, id->dst, addr_len(id->family));
	return fnv(h, &id->proto, sizeof(id->proto));
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

/* Sizes that fixed attributes must have; 0 for those that vary. */
static const uint8_t sizes[XFRMSYNC_A_RECORD_MAX + 1] = {
	[A(FAMILY)] = 2, [A(SPI)] = 4, [A(PROTO)] = 1, [A(MODE)] = 1,
	[A(DIR)] = 1, [A(MARK)] = 4, [A(MARK_MASK)] = 4, [A(IF_ID)] = 4,
	[A(REQID)] = 4, [A(FLAGS)] = 4, [A(TAG)] = 8, [A(COOKIE)] = 8,
	[A(OSEQ)] = 8, [A(SEQ)] = 8, [A(WINDOW)] = 4, [A(BYTES)] = 8,
	[A(PACKETS)] = 8, [A(ADD_TIME)] = 8, [A(USE_TIME)] = 8,
	[A(LAST_USED)] = 8, [A(REPLAY_WINDOW_ERRORS)] = 4,
	[A(REPLAY_ERRORS)] = 4, [A(INTEGRITY_ERRORS)] = 4, [A(AGE_NS)] = 8,
	[A(LEASE_END)] = 8, [A(RESTORE_FLAGS)] = 4, [A(EXPECT_OSEQ)] = 8, [A(SENT)] = 8,
	[A(GUARD_END)] = 8, [A(GIVEN_END)] = 8,
};

/* Collect the attributes; what a newer module adds is passed over. */
static int collect(const void *attr, size_t len, const struct nlattr **tb)
{
	const struct nlattr *a = attr;
	uint16_t type, size;

	while (len >= sizeof(*a)) {
		type = mnl_attr_get_type(a);
		if (a->nla_len < sizeof(*a) || a->nla_len > len)
			return -EINVAL;
		size = mnl_attr_get_payload_len(a);
		if (type <= XFRMSYNC_A_RECORD_MAX) {
			if (sizes[type] && size != sizes[type])
				return -EINVAL;
			tb[type] = a;
		}
		if ((size_t)MNL_ALIGN(a->nla_len) >= len)
			return 0;
		len -= MNL_ALIGN(a->nla_len);
		a = (const void *)((const char *)a + MNL_ALIGN(a->nla_len));
	}
	return len ? -EINVAL : 0;
}

static uint64_t get64(const struct nlattr **tb, int type)
{
	uint64_t v = 0;

	if (tb[type])
		memcpy(&v, mnl_attr_get_payload(tb[type]), sizeof(v));
	return v;
}

static uint32_t get32(const struct nlattr **tb, int type)
{
	return tb[type] ? mnl_attr_get_u32(tb[type]) : 0;
}

static uint8_t get8(const struct nlattr **tb, int type)
{
	return tb[type] ? mnl_attr_get_u8(tb[type]) : 0;
}

static int parse_addr(const struct nlattr *a, uint16_t family, uint8_t *addr)
{
	if (mnl_attr_get_payload_len(a) != addr_len(family))
		return -EINVAL;
	memcpy(addr, mnl_attr_get_payload(a), addr_len(family));
	return 0;
}

static int parse_id(const struct nlattr **tb, struct record *r)
{
	if (!tb[A(FAMILY)] || !tb[A(DST)] || !tb[A(SPI)] || !tb[A(PROTO)])
		return -EINVAL;
	r->id.family = mnl_attr_get_u16(tb[A(FAMILY)]);
	if (r->id.family != AF_INET && r->id.family != AF_INET6)
		return -EINVAL;
	r->id.spi = get32(tb, A(SPI));
	r->id.proto = get8(tb, A(PROTO));
	r->id.mark = get32(tb, A(MARK));
	r->id.mark_mask = get32(tb, A(MARK_MASK));
	if (parse_addr(tb[A(DST)], r->id.family, r->id.dst))
		return -EINVAL;
	return tb[A(SRC)] ? parse_addr(tb[A(SRC)], r->id.family, r->src) : 0;
}

static int parse_bitmap(const struct nlattr *a, struct record *r)
{
	size_t len = mnl_attr_get_payload_len(a);

	if (len % sizeof(uint32_t) || len > sizeof(r->bmp))
		return -EINVAL;
	r->bmp_words = len / sizeof(uint32_t);
	memcpy(r->bmp, mnl_attr_get_payload(a), len);
	return 0;
}

int record_parse(const void *attr, size_t len, struct record *r)
{
	const struct nlattr *tb[XFRMSYNC_A_RECORD_MAX + 1] = { NULL };

	memset(r, 0, sizeof(*r));
	if (collect(attr, len, tb) || parse_id(tb, r))
		return -EINVAL;
	if (tb[A(BITMAP)] && parse_bitmap(tb[A(BITMAP)], r))
		return -EINVAL;
	r->mode = get8(tb, A(MODE));
	r->dir = get8(tb, A(DIR));
	r->if_id = get32(tb, A(IF_ID));
	r->reqid = get32(tb, A(REQID));
	r->flags = get32(tb, A(FLAGS));
	r->tag = get64(tb, A(TAG));
	r->cookie = get64(tb, A(COOKIE));
	r->oseq = get64(tb, A(OSEQ));
	r->seq = get64(tb, A(SEQ));
	r->window = get32(tb, A(WINDOW));
	r->bytes = get64(tb, A(BYTES));
	r->packets = get64(tb, A(PACKETS));
	r->add_time = get64(tb, A(ADD_TIME));
	r->use_time = get64(tb, A(USE_TIME));
	r->last_used = get64(tb, A(LAST_USED));
	r->replay_window_errors = get32(tb, A(REPLAY_WINDOW_ERRORS));
	r->replay_errors = get32(tb, A(REPLAY_ERRORS));
	r->integrity_errors = get32(tb, A(INTEGRITY_ERRORS));
	r->age_ns = get64(tb, A(AGE_NS));
	r->lease_end = get64(tb, A(LEASE_END));
	r->has_sent = tb[A(SENT)];
	r->sent = get64(tb, A(SENT));
	r->restore_flags = get32(tb, A(RESTORE_FLAGS));
	r->guard_end = get64(tb, A(GUARD_END));
	r->given_end = get64(tb, A(GIVEN_END));
	return 0;
}

/* Put and remember whether all of it fitted. */
struct putter {
	struct nlmsghdr *nlh;
	size_t buflen;
	bool full;
};

static void put(struct putter *p, uint16_t type, size_t len, const void *data)
{
	p->full |= !mnl_attr_put_check(p->nlh, p->buflen, type, len, data);
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
	struct putter p = { .nlh = nlh, .buflen = buflen };

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
