// SPDX-License-Identifier: GPL-2.0
/*
 * In: /etc/xfrmsync/xfrmsync.conf (INI), and the modes of the files it names.
 * Out: struct conf, checked; or one line with file, line and reason.
 * Runs at start and at SIGHUP; a refused file leaves the caller's conf alone.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ini.h>
#include <linux/xfrmsync.h>

#include "conf.h"
#include "ha.h"
#include "secret.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_KEYS 56
#define GUARD_MIN_STRICT 32
#define MAX_LEAVE (30U * 86400 * 1000)	/* ms */
#define LEAVE_AS_SYNC UINT32_MAX	/* the section does not say */
/* inih cuts longer names of sections off without a word. */
#define MAX_SECTION 49

enum section { NONE, NODE, LISTEN, TLS, CLUSTER, PEER, FILTER, SYNC, LEASE, IKE,
	       N_SECTIONS };

static const char *const section_names[N_SECTIONS] = {
	[NODE] = "node", [LISTEN] = "listen", [TLS] = "tls",
	[CLUSTER] = "cluster", [PEER] = "peer",
	[FILTER] = "filter", [SYNC] = "sync", [LEASE] = "lease",
	[IKE] = "ike",
};

struct parser {
	FILE *in;
	struct conf conf;
	unsigned int line;
	enum section section;
	unsigned int section_line[N_SECTIONS];	/* 0: not there */
	unsigned int peer_line[CONF_MAX_PEERS];
	unsigned int lease_line[CONF_MAX_LEASES];
	unsigned int key_line[MAX_KEYS];	/* 0: not given */
	char *buf;
	size_t bufsize;
	bool failed;
	char *err;
	size_t errlen;
};

/* The first refusal stands. Always -1. */
__attribute__((format(printf, 3, 4)))
static int refuse(struct parser *p, unsigned int line, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (p->failed)
		return -1;
	p->failed = true;
	n = snprintf(p->err, p->errlen, "%s:%u: ", p->conf.file, line);
	if (n < 0 || (size_t)n >= p->errlen)
		return -1;
	va_start(ap, fmt);
	vsnprintf(p->err + n, p->errlen - n, fmt, ap);
	va_end(ap);
	return -1;
}

struct key {
	enum section section;
	const char *name;
	int (*set)(struct parser *p, const struct key *k, char *base,
		   const char *value);
	size_t offset;		/* in struct conf, conf_peer or conf_lease_section */
	size_t size;		/* of a string's buffer */
	uint32_t min, max;	/* of a number */
	bool list;		/* may be given several times */
};

/* Decimal, or 0x...; strtoul alone takes signs, blanks and octal. */
static bool number(const char *s, uint32_t *v)
{
	int base = !strncasecmp(s, "0x", 2) ? 16 : 10;
	unsigned long long n;
	char *end;

	if (base == 16)
		s += 2;
	if (!isxdigit((unsigned char)*s))
		return false;
	errno = 0;
	n = strtoull(s, &end, base);
	if (errno || *end || n > UINT32_MAX)
		return false;
	*v = n;
	return true;
}

static int want_number(struct parser *p, const struct key *k, const char *value,
		       uint32_t *v)
{
	if (!number(value, v) || *v < k->min || *v > k->max)
		return refuse(p, p->line, "%s = %s: a number from %u to %u is wanted",
			      k->name, value, k->min, k->max);
	return 0;
}

static int set_u32(struct parser *p, const struct key *k, char *base,
		   const char *value)
{
	return want_number(p, k, value, (uint32_t *)(base + k->offset));
}

static int set_u16(struct parser *p, const struct key *k, char *base,
		   const char *value)
{
	uint32_t v;

	if (want_number(p, k, value, &v))
		return -1;
	*(uint16_t *)(base + k->offset) = v;
	return 0;
}

static int set_u8(struct parser *p, const struct key *k, char *base,
		  const char *value)
{
	uint32_t v;

	if (want_number(p, k, value, &v))
		return -1;
	*(uint8_t *)(base + k->offset) = v;
	return 0;
}

/* Milliseconds with up to three decimals, kept as microseconds. */
static int set_ms(struct parser *p, const struct key *k, char *base,
		  const char *value)
{
	const char *dot = strchr(value, '.');
	char whole[16] = "", frac[8] = "000";
	uint32_t ms, us, n;

	n = dot ? (size_t)(dot - value) : strlen(value);
	if (!n || n >= sizeof(whole) || strspn(value, "0123456789") != n)
		goto refused;
	memcpy(whole, value, n);
	if (dot) {
		n = strlen(dot + 1);
		if (!n || n > 3 || strspn(dot + 1, "0123456789") != n)
			goto refused;
		memcpy(frac, dot + 1, n);
	}
	if (!number(whole, &ms) || !number(frac, &us) || ms > k->max ||
	    ms * 1000 + us < k->min || ms * 1000 + us > k->max * 1000)
		goto refused;
	*(uint32_t *)(base + k->offset) = ms * 1000 + us;
	return 0;
refused:
	return refuse(p, p->line, "%s = %s: milliseconds from %g to %u are wanted",
		      k->name, value, k->min / 1000.0, k->max);
}

static const char *const guards[] = {
	[CONF_GUARD_OFF] = "off",
	[CONF_GUARD_AVAILABLE] = "available",
	[CONF_GUARD_STRICT] = "strict",
};

const char *conf_guard_str(enum conf_guard guard)
{
	return guards[guard];
}

static int set_guard(struct parser *p, const struct key *k, char *base,
		     const char *value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(guards); i++) {
		if (!strcmp(value, guards[i])) {
			*(enum conf_guard *)(base + k->offset) = i;
			return 0;
		}
	}
	return refuse(p, p->line, "%s = %s: off, available or strict is wanted",
		      k->name, value);
}

static const char *const guard_rekeys[] = {
	[CONF_GUARD_REKEY_EXPOSED] = "exposed",
	[CONF_GUARD_REKEY_ALL] = "all",
	[CONF_GUARD_REKEY_NO] = "no",
};

static int set_guard_rekey(struct parser *p, const struct key *k, char *base,
			   const char *value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(guard_rekeys); i++) {
		if (!strcmp(value, guard_rekeys[i])) {
			*(enum conf_guard_rekey *)(base + k->offset) = i;
			return 0;
		}
	}
	return refuse(p, p->line, "%s = %s: exposed, all or no is wanted",
		      k->name, value);
}

static const char *const on_conflicts[] = {
	[CONF_CONFLICT_DENY] = "deny",
	[CONF_CONFLICT_RENEGOTIATE] = "renegotiate",
	[CONF_CONFLICT_NEW_SPI] = "new-spi",
};

const char *conf_on_conflict_str(enum conf_on_conflict what)
{
	return on_conflicts[what];
}

bool conf_on_conflict_parse(const char *word, enum conf_on_conflict *what)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(on_conflicts); i++) {
		if (!strcmp(word, on_conflicts[i])) {
			*what = i;
			return true;
		}
	}
	return false;
}

static int set_on_conflict(struct parser *p, const struct key *k, char *base,
			   const char *value)
{
	if (conf_on_conflict_parse(value, (void *)(base + k->offset)))
		return 0;
	return refuse(p, p->line, "%s = %s: deny, renegotiate or new-spi is wanted",
		      k->name, value);
}

static int set_unsupported(struct parser *p, const struct key *k, char *base,
			   const char *value)
{
	enum conf_unsupported *to = (void *)(base + k->offset);

	if (!strcmp(value, "refuse"))
		*to = CONF_UNSUPPORTED_REFUSE;
	else if (!strcmp(value, "renegotiate"))
		*to = CONF_UNSUPPORTED_RENEGOTIATE;
	else
		return refuse(p, p->line, "%s = %s: refuse or renegotiate is wanted",
			      k->name, value);
	return 0;
}

static int set_spi_range(struct parser *p, const struct key *k, char *base,
			 const char *value)
{
	if (spi_range_parse(value, (void *)(base + k->offset)))
		return 0;
	return refuse(p, p->line, "%s = %s: MIN-MAX is wanted, of SPIs from 0x100 on",
		      k->name, value);
}

/* Of this machine: nobody else may hear it. */
static int set_loopback(struct parser *p, const struct key *k, char *base,
			const char *value)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, value, &addr) != 1 ||
	    ntohl(addr.s_addr) >> 24 != IN_LOOPBACKNET)
		return refuse(p, p->line, "%s = %s: an address of 127.0.0.0/8 is wanted: what is said there holds keys",
			      k->name, value);
	memcpy(base + k->offset, &addr, sizeof(addr));
	return 0;
}

static int set_yes(struct parser *p, const struct key *k, char *base,
		   const char *value)
{
	bool yes = !strcmp(value, "yes");

	if (!yes && strcmp(value, "no"))
		return refuse(p, p->line, "%s = %s: yes or no is wanted", k->name,
			      value);
	memcpy(base + k->offset, &yes, sizeof(yes));
	return 0;
}

static int set_string(struct parser *p, const struct key *k, char *base,
		      const char *value)
{
	if (!*value)
		return refuse(p, p->line, "%s is empty", k->name);
	if (strlen(value) >= k->size)
		return refuse(p, p->line, "%s is longer than %zu bytes",
			      k->name, k->size - 1);
	strcpy(base + k->offset, value);
	return 0;
}

static bool is_word(const char *s)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._-:%", *s))
			return false;
	return true;
}

static int set_exhausted(struct parser *p, const struct key *k, char *base,
			 const char *value)
{
	uint8_t *exhausted = (uint8_t *)base + k->offset;

	if (!strcmp(value, "stop"))
		*exhausted = CONF_EXHAUSTED_STOP;
	else if (!strcmp(value, "continue"))
		*exhausted = CONF_EXHAUSTED_CONTINUE;
	else
		return refuse(p, p->line, "%s = %s: stop or continue is wanted",
			      k->name, value);
	return 0;
}

/* Names and addresses: what a certificate or a resolver can hold. */
static int set_word(struct parser *p, const struct key *k, char *base,
		    const char *value)
{
	if (!is_word(value))
		return refuse(p, p->line, "%s = %s: only letters, digits and . _ - : %% may stand there",
			      k->name, value);
	return set_string(p, k, base, value);
}

static int set_path(struct parser *p, const struct key *k, char *base,
		    const char *value)
{
	if (*value && *value != '/')
		return refuse(p, p->line, "%s = %s: an absolute path is wanted",
			      k->name, value);
	return set_string(p, k, base, value);
}

typedef int (*item_cb)(struct parser *p, const struct key *k, const char *item);

/* Items that commas or blanks separate. */
static int each_item(struct parser *p, const struct key *k, const char *value,
		     item_cb cb)
{
	char *copy = strdup(value), *save = NULL, *item;
	int err = 0, n = 0;

	if (!copy)
		return refuse(p, p->line, "out of memory");
	for (item = strtok_r(copy, ", \t", &save); item && !err;
	     item = strtok_r(NULL, ", \t", &save), n++)
		err = cb(p, k, item);
	free(copy);
	return n ? err : refuse(p, p->line, "%s is empty", k->name);
}

/* The lists that the section's keys add to. */
static struct conf_filter *filter_of(struct parser *p)
{
	if (p->section == LEASE)
		return &p->conf.leases[p->conf.n_leases - 1].filter;
	return &p->conf.filter;
}

static int add_number(struct parser *p, const struct key *k, const char *item)
{
	struct conf_filter *f = filter_of(p);
	bool reqid = !strcmp(k->name, "reqid");
	size_t *n = reqid ? &f->n_reqid : &f->n_if_id;
	uint32_t *list = reqid ? f->reqid : f->if_id;

	if (*n == CONF_MAX_FILTER)
		return refuse(p, p->line, "%s: more than %d", k->name, CONF_MAX_FILTER);
	if (want_number(p, k, item, &list[*n]))
		return -1;
	++*n;
	return 0;
}

static int set_numbers(struct parser *p, const struct key *k, char *base,
		       const char *value)
{
	(void)base;
	return each_item(p, k, value, add_number);
}

static int add_mark(struct parser *p, const struct key *k, const char *item)
{
	struct conf_filter *f = filter_of(p);
	struct conf_mark m = { 0, UINT32_MAX };
	char text[32], *slash;

	if (f->n_mark == CONF_MAX_FILTER)
		return refuse(p, p->line, "%s: more than %d", k->name, CONF_MAX_FILTER);
	snprintf(text, sizeof(text), "%s", item);
	slash = strchr(text, '/');
	if (slash)
		*slash++ = '\0';
	if (strlen(item) >= sizeof(text) || !number(text, &m.value) ||
	    (slash && !number(slash, &m.mask)))
		return refuse(p, p->line, "%s = %s: VALUE or VALUE/MASK is wanted",
			      k->name, item);
	if (m.value & ~m.mask)
		return refuse(p, p->line, "%s = %s: the value has bits outside of its mask, so nothing can match",
			      k->name, item);
	f->mark[f->n_mark++] = m;
	return 0;
}

static int set_marks(struct parser *p, const struct key *k, char *base,
		     const char *value)
{
	(void)base;
	return each_item(p, k, value, add_mark);
}

static int add_pair(struct parser *p, const struct key *k, const char *item)
{
	const char *bad = map_add(&p->conf.peer[p->conf.n_peers - 1].map, item);

	return bad ? refuse(p, p->line, "%s = %s: %s", k->name, item, bad) : 0;
}

static int set_pairs(struct parser *p, const struct key *k, char *base,
		     const char *value)
{
	(void)base;
	return each_item(p, k, value, add_pair);
}

/* Clear the bits behind the prefix; true when there were none. */
static bool mask_address(uint8_t *addr, uint8_t len)
{
	bool clean = true;
	size_t i;

	for (i = 0; i < 16; i++) {
		uint8_t keep = len >= 8 * (i + 1) ? 0xff :
			       len <= 8 * i ? 0 : 0xff << (8 - len % 8);

		clean &= !(addr[i] & ~keep);
		addr[i] &= keep;
	}
	return clean;
}

static int add_prefix(struct parser *p, const struct key *k, const char *item)
{
	struct conf_filter *f = filter_of(p);
	char text[INET6_ADDRSTRLEN + 8], *slash;
	struct conf_prefix x = { 0 };
	uint32_t len, max;

	if (f->n_address == CONF_MAX_FILTER)
		return refuse(p, p->line, "%s: more than %d", k->name, CONF_MAX_FILTER);
	snprintf(text, sizeof(text), "%s", item);
	slash = strchr(text, '/');
	if (slash)
		*slash++ = '\0';
	x.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	len = max = x.family == AF_INET6 ? 128 : 32;
	if (strlen(item) >= sizeof(text) ||
	    inet_pton(x.family, text, x.addr) != 1 ||
	    (slash && (!number(slash, &len) || len > max)))
		return refuse(p, p->line, "%s = %s: ADDRESS or ADDRESS/LENGTH is wanted",
			      k->name, item);
	x.len = len;
	if (!mask_address(x.addr, x.len)) {
		inet_ntop(x.family, x.addr, text, sizeof(text));
		return refuse(p, p->line, "%s = %s: bits are set behind the prefix; write %s/%u",
			      k->name, item, text, len);
	}
	f->address[f->n_address++] = x;
	return 0;
}

static int set_prefixes(struct parser *p, const struct key *k, char *base,
			const char *value)
{
	(void)base;
	return each_item(p, k, value, add_prefix);
}

#define STR(field) offsetof(struct conf, field), sizeof(((struct conf *)0)->field), 0, 0, false
#define NUM(field, min, max) offsetof(struct conf, field), 0, min, max, false
#define LEASE_NUM(field, min, max) \
	offsetof(struct conf_lease_section, lease.field), 0, min, max, false

static const struct key keys[] = {
	{ NODE, "id", set_u32, NUM(node_id, 1, UINT32_MAX) },
	{ NODE, "name", set_word, STR(node_name) },
	{ NODE, "state_dir", set_path, STR(state_dir) },
	{ NODE, "socket", set_path, STR(socket) },
	{ NODE, "spi_range", set_spi_range, NUM(spi_range, 0, 0) },
	{ LISTEN, "address", set_word, STR(listen_address) },
	{ LISTEN, "port", set_u16, NUM(listen_port, 1, 65535) },
	{ TLS, "ca", set_path, STR(tls_ca) },
	{ TLS, "cert", set_path, STR(tls_cert) },
	{ TLS, "key", set_path, STR(tls_key) },
	{ TLS, "psk_file", set_path, STR(tls_psk_file) },
	{ TLS, "psk_identity", set_word, STR(tls_psk_identity) },
	{ CLUSTER, "key_file", set_path, STR(key_file) },
	{ PEER, "address", set_word, offsetof(struct conf_peer, address),
	  sizeof(((struct conf_peer *)0)->address), 0, 0, false },
	{ PEER, "port", set_u16, offsetof(struct conf_peer, port), 0, 1, 65535, false },
	{ PEER, "leave_after_ms", set_u32, offsetof(struct conf_peer, leave_ms), 0,
	  0, MAX_LEAVE, false },
	{ PEER, "map", set_pairs, 0, 0, 0, 0, true },
	{ FILTER, "reqid", set_numbers, 0, 0, 0, UINT32_MAX, true },
	{ FILTER, "if_id", set_numbers, 0, 0, 0, UINT32_MAX, true },
	{ FILTER, "mark", set_marks, 0, 0, 0, 0, true },
	{ FILTER, "address", set_prefixes, 0, 0, 0, 0, true },
	/* 100 us is about what a pull of one record costs. */
	{ SYNC, "interval_ms", set_ms, NUM(interval_us, 100, 10000) },
	{ SYNC, "heartbeat_ms", set_u32, NUM(heartbeat_ms, 10, 60000) },
	{ SYNC, "dead_ms", set_u32, NUM(dead_ms, 20, 600000) },
	{ SYNC, "answer_ms", set_u32, NUM(answer_ms, 10, 600000) },
	{ SYNC, "leave_after_ms", set_u32, NUM(leave_ms, 0, MAX_LEAVE) },
	{ SYNC, "drain_ms", set_u32, NUM(drain_ms, 0, 100) },
	{ SYNC, "watchdog_ms", set_u32, NUM(watchdog_ms, 0, XFRMSYNC_MAX_WATCHDOG) },
	/* Above the headroom for GSO, below what a receiver can infer (2^31). */
	{ SYNC, "lease_esn_log2", set_u8, NUM(lease.esn_log2, 4, 30) },
	{ SYNC, "lease_log2", set_u8, NUM(lease.log2, 4, 30) },
	{ SYNC, "lease_exhausted", set_exhausted, NUM(lease.exhausted, 0, 0) },
	{ LEASE, "esn_log2", set_u8, LEASE_NUM(esn_log2, 4, 30) },
	{ LEASE, "log2", set_u8, LEASE_NUM(log2, 4, 30) },
	{ LEASE, "exhausted", set_exhausted, LEASE_NUM(exhausted, 0, 0) },
	{ LEASE, "reqid", set_numbers, 0, 0, 0, UINT32_MAX, true },
	{ LEASE, "if_id", set_numbers, 0, 0, 0, UINT32_MAX, true },
	{ LEASE, "mark", set_marks, 0, 0, 0, 0, true },
	{ LEASE, "address", set_prefixes, 0, 0, 0, 0, true },
	{ SYNC, "on_conflict", set_on_conflict, NUM(on_conflict, 0, 0) },
	{ SYNC, "unsupported", set_unsupported, NUM(unsupported, 0, 0) },
	{ SYNC, "guard", set_guard, NUM(guard, 0, 0) },
	{ SYNC, "guard_min", set_u32, NUM(guard_min, 0, 65536) },
	{ SYNC, "guard_max", set_u32, NUM(guard_max, 1, 1048576) },
	{ SYNC, "guard_max_rate", set_u32, NUM(guard_max_rate, 0, UINT32_MAX) },
	{ SYNC, "guard_rekey", set_guard_rekey, NUM(guard_rekey, 0, 0) },
	{ IKE, "ha_local", set_loopback, NUM(ike_local, 0, 0) },
	{ IKE, "ha_remote", set_loopback, NUM(ike_remote, 0, 0) },
	{ IKE, "ha_version", set_u8, NUM(ike_version, HA_VERSION_MIN, HA_VERSION_MAX) },
	{ IKE, "control", set_yes, NUM(ike_control, 0, 0) },
	{ IKE, "key_log", set_yes, NUM(ike_key_log, 0, 0) },
	{ IKE, "vici", set_path, STR(vici) },
};

_Static_assert(ARRAY_SIZE(keys) <= MAX_KEYS, "MAX_KEYS is too small");

static unsigned int line_of(const struct parser *p, enum section section,
			    const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].section == section && !strcmp(keys[i].name, name))
			return p->key_line[i];
	return 0;
}

/* One that may stand several times, each time with the same keys. */
static int end_named(struct parser *p)
{
	const struct conf_peer *peer;
	size_t i;

	if (p->section != PEER && p->section != LEASE)
		return 0;
	peer = p->section == PEER ? &p->conf.peer[p->conf.n_peers - 1] : NULL;
	if (peer && !peer->address[0])
		return refuse(p, p->section_line[PEER], "[peer %s] has no address",
			      peer->name);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].section == p->section)
			p->key_line[i] = 0;
	return 0;
}

/* What stands behind the word in [peer NAME] and [lease NAME]. */
static int take_name(struct parser *p, const char *what, const char **name)
{
	while (isblank((unsigned char)**name))
		++*name;
	if (!**name)
		return refuse(p, p->line, "[%s] needs a name: [%s NAME]", what, what);
	if (!is_word(*name))
		return refuse(p, p->line, "%s %s: only letters, digits and . _ - : %% may stand in a name",
			      what, *name);
	return 0;
}

int conf_peer_place(const struct conf *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_peers; i++) {
		if (!strcmp(c->peer[i].name, name))
			return i;
	}
	return -1;
}

static int begin_peer(struct parser *p, const char *name)
{
	struct conf *c = &p->conf;
	struct conf_peer *peer;
	int first;

	if (take_name(p, "peer", &name))
		return -1;
	first = conf_peer_place(c, name);
	if (first >= 0)
		return refuse(p, p->line, "[peer %s] stands twice, first in line %u",
			      name, p->peer_line[first]);
	if (c->n_peers == CONF_MAX_PEERS)
		return refuse(p, p->line, "more than %d peers", CONF_MAX_PEERS);
	p->peer_line[c->n_peers] = p->line;
	peer = &c->peer[c->n_peers++];
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	peer->port = CONF_DEFAULT_PORT;
	peer->leave_ms = LEAVE_AS_SYNC;
	p->section_line[PEER] = p->line;
	p->section = PEER;
	return 0;
}

static int begin_lease(struct parser *p, const char *name)
{
	struct conf *c = &p->conf;
	size_t i;

	if (take_name(p, "lease", &name))
		return -1;
	for (i = 0; i < c->n_leases; i++)
		if (!strcmp(c->leases[i].name, name))
			return refuse(p, p->line, "[lease %s] stands twice, first in line %u",
				      name, p->lease_line[i]);
	if (c->n_leases == CONF_MAX_LEASES)
		return refuse(p, p->line, "more than %d [lease] sections",
			      CONF_MAX_LEASES);
	p->lease_line[c->n_leases] = p->line;
	snprintf(c->leases[c->n_leases].name, sizeof(c->leases[0].name), "%s",
		 name);
	c->n_leases++;
	p->section = LEASE;
	return 0;
}

/* [WORD] or [WORD NAME]. */
static bool is_named(const char *name, enum section s)
{
	size_t len = strlen(section_names[s]);

	return !strncmp(name, section_names[s], len) &&
	       (!name[len] || isblank((unsigned char)name[len]));
}

/* inih tells of keys only, so that an empty or unknown section would pass. */
static int begin_section(struct parser *p, const char *name)
{
	enum section s;

	if (end_named(p))
		return -1;
	if (is_named(name, PEER))
		return begin_peer(p, name + strlen(section_names[PEER]));
	if (is_named(name, LEASE))
		return begin_lease(p, name + strlen(section_names[LEASE]));
	for (s = NODE; s < N_SECTIONS; s++)
		if (s != PEER && s != LEASE && !strcmp(name, section_names[s]))
			break;
	if (s == N_SECTIONS)
		return refuse(p, p->line, "unknown section [%s]", name);
	if (p->section_line[s])
		return refuse(p, p->line, "section [%s] stands twice, first in line %u",
			      name, p->section_line[s]);
	p->section_line[s] = p->line;
	p->section = s;
	return 0;
}

static int section_header(struct parser *p, const char *line)
{
	const char *end = strchr(line, ']'), *rest;
	char name[MAX_SECTION + 1];

	if (!end)
		return refuse(p, p->line, "a ']' is missing");
	if (end - line - 1 > MAX_SECTION)
		return refuse(p, p->line, "a section's name is longer than %d bytes",
			      MAX_SECTION);
	rest = end + 1 + strspn(end + 1, " \t\r\n");
	if (*rest && *rest != ';' && *rest != '#')
		return refuse(p, p->line, "text behind the section's ']'");
	snprintf(name, sizeof(name), "%.*s", (int)(end - line - 1), line + 1);
	return begin_section(p, name);
}

/*
 * inih's reader. Whole lines only, since inih would take the rest of a long one
 * for the next; and none that begins with a blank, since it would take that for
 * the continuation of the value above.
 */
static char *read_line(char *str, int num, void *stream)
{
	struct parser *p = stream;
	const char *text;
	ssize_t len;

	if (p->failed)
		return NULL;
	len = getline(&p->buf, &p->bufsize, p->in);
	if (len < 0)
		return NULL;
	p->line++;
	text = p->buf;
	if (strlen(text) != (size_t)len) {
		refuse(p, p->line, "a zero byte");
		return NULL;
	}
	text += strspn(text, " \t\r");
	if (strlen(text) >= (size_t)num) {
		refuse(p, p->line, "the line is longer than %d bytes", num - 2);
		return NULL;
	}
	if (*text == '[' && section_header(p, text))
		return NULL;
	strcpy(str, text);
	return str;
}

static int take_key(void *user, const char *section, const char *name,
		    const char *value)
{
	struct parser *p = user;
	char *base = (char *)&p->conf;
	const struct key *k;
	size_t i;

	(void)section;
	if (p->failed)
		return 0;
	if (p->section == NONE)
		return !refuse(p, p->line, "%s stands before any [section]", name);
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].section == p->section && !strcmp(keys[i].name, name))
			break;
	if (i == ARRAY_SIZE(keys))
		return !refuse(p, p->line, "unknown key %s in [%s]", name,
			       section_names[p->section]);
	k = &keys[i];
	if (p->key_line[i] && !k->list)
		return !refuse(p, p->line, "%s stands twice, first in line %u",
			       name, p->key_line[i]);
	p->key_line[i] = p->line;
	if (k->section == PEER)
		base = (char *)&p->conf.peer[p->conf.n_peers - 1];
	else if (k->section == LEASE)
		base = (char *)&p->conf.leases[p->conf.n_leases - 1];
	return !k->set(p, k, base, value);
}

static void set_defaults(struct conf *c)
{
	snprintf(c->state_dir, sizeof(c->state_dir), CONF_DEFAULT_STATE_DIR);
	snprintf(c->socket, sizeof(c->socket), CONF_DEFAULT_SOCKET);
	snprintf(c->tls_psk_identity, sizeof(c->tls_psk_identity), "xfrmsync");
	gethostname(c->node_name, sizeof(c->node_name) - 1);
	c->listen_port = CONF_DEFAULT_PORT;
	c->interval_us = 1000;
	c->heartbeat_ms = 1000;
	c->dead_ms = 5000;
	c->answer_ms = 500;
	c->drain_ms = 2;
	c->lease.esn_log2 = 30;
	c->lease.log2 = 24;
	c->lease.exhausted = CONF_EXHAUSTED_STOP;
	c->guard = CONF_GUARD_AVAILABLE;
	c->guard_max = 4096;
	c->guard_max_rate = 100000;
	c->guard_rekey = CONF_GUARD_REKEY_EXPOSED;
	c->ike_local.s_addr = htonl(INADDR_LOOPBACK);
	c->ike_remote.s_addr = htonl(INADDR_LOOPBACK + 1);
	c->ike_version = HA_VERSION;
	c->ike_control = true;
	snprintf(c->vici, sizeof(c->vici), CONF_DEFAULT_VICI);
}

/* A file whose content decides whom we trust, or which is a secret. */
static int check_file(struct parser *p, enum section s, const char *key,
		      const char *path, bool secret)
{
	unsigned int line = line_of(p, s, key);
	struct stat st;
	int fd;

	if (!path[0])
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (secret ? O_NOFOLLOW : 0));
	if (fd < 0)
		return refuse(p, line, "%s: %s: %s", key, path,
			      errno == ELOOP ? SECRET_IS_LINK : strerror(errno));
	if (fstat(fd, &st))
		memset(&st, 0, sizeof(st));
	close(fd);
	if (!S_ISREG(st.st_mode))
		return refuse(p, line, "%s: %s is not a regular file", key, path);
	if (st.st_uid != 0)
		return refuse(p, line, "%s: %s does not belong to root: chown root",
			      key, path);
	if (secret && (st.st_mode & 077))
		return refuse(p, line, "%s: %s may be read by others than root: chmod 600",
			      key, path);
	if (st.st_mode & 022)
		return refuse(p, line, "%s: %s may be written by others than root: chmod go-w",
			      key, path);
	return 0;
}

static int check_tls(struct parser *p)
{
	const struct conf *c = &p->conf;
	int certs = !!c->tls_ca[0] + !!c->tls_cert[0] + !!c->tls_key[0];
	unsigned int line = p->section_line[TLS];

	if (certs && c->tls_psk_file[0])
		return refuse(p, line_of(p, TLS, "psk_file"),
			      "psk_file beside ca, cert, key: one of both");
	if (certs % 3)
		return refuse(p, line, "[tls] needs all of ca, cert and key");
	if (line_of(p, TLS, "psk_identity") && !c->tls_psk_file[0])
		return refuse(p, line_of(p, TLS, "psk_identity"),
			      "psk_identity without psk_file");
	if (c->n_peers && !certs && !c->tls_psk_file[0])
		return refuse(p, line ? line : p->peer_line[0],
			      "peers need [tls]: ca, cert and key, or psk_file");
	if (check_file(p, TLS, "ca", c->tls_ca, false) ||
	    check_file(p, TLS, "cert", c->tls_cert, false) ||
	    check_file(p, TLS, "key", c->tls_key, true) ||
	    check_file(p, CLUSTER, "key_file", c->key_file, true))
		return -1;
	return check_file(p, TLS, "psk_file", c->tls_psk_file, true);
}

/* [sync] may stand behind them. */
static void complete(struct conf *c)
{
	struct conf_lease *l;
	size_t i;

	for (i = 0; i < c->n_peers; i++) {
		if (c->peer[i].leave_ms == LEAVE_AS_SYNC)
			c->peer[i].leave_ms = c->leave_ms;
	}
	for (i = 0; i < c->n_leases; i++) {
		l = &c->leases[i].lease;
		l->esn_log2 = l->esn_log2 ? l->esn_log2 : c->lease.esn_log2;
		l->log2 = l->log2 ? l->log2 : c->lease.log2;
		l->exhausted = l->exhausted ? l->exhausted : c->lease.exhausted;
	}
}

/* Strict with no guard at all would let nothing in, ever. */
static int check_guard(struct parser *p)
{
	struct conf *c = &p->conf;
	unsigned int line = line_of(p, SYNC, "guard_min");

	if (!line && c->guard == CONF_GUARD_STRICT)
		c->guard_min = c->guard_max < GUARD_MIN_STRICT ? c->guard_max :
								 GUARD_MIN_STRICT;
	if (c->guard == CONF_GUARD_STRICT && !c->guard_min)
		return refuse(p, line, "guard_min = 0 with guard = strict: nothing would be delivered");
	if (c->guard_min > c->guard_max)
		return refuse(p, line, "guard_min (%u) is larger than guard_max (%u)",
			      c->guard_min, c->guard_max);
	return 0;
}

static bool leaves_out(const struct conf_filter *f)
{
	return f->n_reqid || f->n_if_id || f->n_mark || f->n_address;
}

/* charon says addresses, and its messages are not read for them on the way. */
static int check_ike(struct parser *p)
{
	struct conf *c = &p->conf;
	size_t i;

	c->ike = p->section_line[IKE];
	if (c->ike && c->ike_local.s_addr == c->ike_remote.s_addr)
		return refuse(p, p->section_line[IKE],
			      "ha_local and ha_remote are the same: the one is charon's, the other ours");
	if (c->ike && leaves_out(&c->filter))
		return refuse(p, p->section_line[FILTER],
			      "[filter] and [ike]: a standby's charon makes what the filter leaves out, too, and nothing would raise its numbers");
	if (c->ike && c->on_conflict == CONF_CONFLICT_NEW_SPI)
		return refuse(p, p->section_line[SYNC],
			      "on_conflict = %s and [ike]: charon knows an SA by its SPI",
			      conf_on_conflict_str(c->on_conflict));
	for (i = 0; c->ike && i < c->n_peers; i++)
		if (c->peer[i].map.n)
			return refuse(p, p->peer_line[i],
				      "[peer %s] has a map, and there is [ike]: IKE SAs keep their addresses",
				      c->peer[i].name);
	return 0;
}

/* What no line alone shows. */
static int check_whole(struct parser *p)
{
	const struct conf *c = &p->conf;
	size_t i;

	if (end_named(p) || check_guard(p) || check_ike(p))
		return -1;
	if (!c->node_id)
		return refuse(p, p->section_line[NODE] ? p->section_line[NODE] : p->line,
			      "[node] needs an id, another one on each node");
	for (i = 0; i < c->n_peers; i++)
		if (!strcmp(c->peer[i].name, c->node_name))
			return refuse(p, p->peer_line[i], "[peer %s] has this node's own name",
				      c->peer[i].name);
	if (c->dead_ms < 2 * c->heartbeat_ms)
		return refuse(p, line_of(p, SYNC, "dead_ms") ? line_of(p, SYNC, "dead_ms") :
			      line_of(p, SYNC, "heartbeat_ms"),
			      "dead_ms (%u) must be at least twice heartbeat_ms (%u)",
			      c->dead_ms, c->heartbeat_ms);
	/* It says nothing meanwhile. */
	if (10 * c->drain_ms > c->dead_ms)
		return refuse(p, line_of(p, SYNC, "drain_ms") ? line_of(p, SYNC, "drain_ms") :
			      line_of(p, SYNC, "dead_ms"),
			      "ten times drain_ms (%u) must not be more than dead_ms (%u)",
			      c->drain_ms, c->dead_ms);
	/* One sign of life may be late, or go to a kernel that is busy. */
	if (c->watchdog_ms && c->watchdog_ms <= 2 * c->heartbeat_ms)
		return refuse(p, line_of(p, SYNC, "watchdog_ms"),
			      "watchdog_ms (%u) must be 0 (off), or more than twice heartbeat_ms (%u)",
			      c->watchdog_ms, c->heartbeat_ms);
	return check_tls(p);
}

static int open_conf(struct parser *p, const char *file)
{
	struct stat st;

	if (strlen(file) >= sizeof(p->conf.file)) {
		snprintf(p->err, p->errlen, "%.40s...: the path is longer than %zu bytes",
			 file, sizeof(p->conf.file) - 1);
		return -1;
	}
	strcpy(p->conf.file, file);
	p->in = fopen(file, "re");
	if (!p->in) {
		snprintf(p->err, p->errlen, "%s: %s", file, strerror(errno));
		return -1;
	}
	if (fstat(fileno(p->in), &st) || !S_ISREG(st.st_mode))
		return refuse(p, 0, "not a regular file");
	if (st.st_uid != 0 || (st.st_mode & 022))
		return refuse(p, 0, "may be written by others than root: chown root, chmod go-w");
	return 0;
}

int conf_load(struct conf *c, const char *file, char *err, size_t errlen)
{
	struct parser *p = calloc(1, sizeof(*p));
	int ret = -1, line;

	if (!p) {
		snprintf(err, errlen, "%s: out of memory", file);
		return -1;
	}
	p->err = err;
	p->errlen = errlen;
	set_defaults(&p->conf);
	if (open_conf(p, file))
		goto out;
	line = ini_parse_stream(read_line, p, take_key, p);
	if (line && !p->failed)
		refuse(p, line > 0 ? line : 0, "neither [section] nor KEY = VALUE");
	if (!p->failed && !check_whole(p)) {
		complete(&p->conf);
		*c = p->conf;
		ret = 0;
	}
out:
	if (p->in)
		fclose(p->in);
	free(p->buf);
	free(p);
	return ret;
}

bool conf_ike_same(const struct conf *a, const struct conf *b)
{
	return a->ike == b->ike && a->ike_local.s_addr == b->ike_local.s_addr &&
	       a->ike_remote.s_addr == b->ike_remote.s_addr &&
	       a->ike_version == b->ike_version &&
	       a->ike_control == b->ike_control && !strcmp(a->vici, b->vici);
}

static bool in_list(const uint32_t *list, size_t n, uint32_t v)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i] == v)
			return true;
	return !n;
}

static bool in_prefix(const struct conf_prefix *x, const uint8_t *addr)
{
	uint8_t bits = x->len % 8, bytes = x->len / 8;

	if (memcmp(x->addr, addr, bytes))
		return false;
	return !bits || !((x->addr[bytes] ^ addr[bytes]) >> (8 - bits));
}

bool conf_filter_match(const struct conf_filter *f, uint16_t family,
		       const uint8_t *src, const uint8_t *dst, uint32_t reqid,
		       uint32_t if_id, uint32_t mark, uint32_t mark_mask)
{
	bool ok;
	size_t i;

	if (!in_list(f->reqid, f->n_reqid, reqid) ||
	    !in_list(f->if_id, f->n_if_id, if_id))
		return false;
	ok = !f->n_mark;
	for (i = 0; i < f->n_mark && !ok; i++)
		ok = (mark & mark_mask & f->mark[i].mask) == f->mark[i].value;
	if (!ok)
		return false;
	ok = !f->n_address;
	for (i = 0; i < f->n_address && !ok; i++)
		ok = f->address[i].family == family &&
		     (in_prefix(&f->address[i], src) || in_prefix(&f->address[i], dst));
	return ok;
}

const struct conf_lease *conf_lease_of(const struct conf *c, uint16_t family,
				       const uint8_t *src, const uint8_t *dst,
				       uint32_t reqid, uint32_t if_id,
				       uint32_t mark, uint32_t mark_mask)
{
	size_t i;

	for (i = 0; i < c->n_leases; i++)
		if (conf_filter_match(&c->leases[i].filter, family, src, dst,
				      reqid, if_id, mark, mark_mask))
			return &c->leases[i].lease;
	return &c->lease;
}
