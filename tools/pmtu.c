// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs out of this node.
 * Out: the MTU that this kernel has learned of the path of each, which is asked for
 *      once for each path; one that another node has learned, told to this kernel.
 * Asks the kernel, and waits for its answer; telling needs CAP_NET_RAW.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "pmtu.h"
#include "privops.h"
#include "too_big.h"

#define BUCKETS 4096

struct pmtu_path {
	struct pmtu_path *next;
	struct route_way way;
	uint32_t mtu;		/* bytes; 0: none was learned */
	uint32_t round;		/* in which it was asked for */
	bool answered;		/* in that round */
};

int pmtu_open(struct pmtu *p)
{
	int ret;

	memset(p, 0, sizeof(*p));
	p->paths = calloc(BUCKETS, sizeof(struct pmtu_path *));
	if (!p->paths)
		return -ENOMEM;
	p->round = 1;
	ret = route_open(&p->route);
	if (ret)
		pmtu_close(p);
	return ret;
}

static void sweep(struct pmtu *p, bool all)
{
	struct pmtu_path **at, *path;
	size_t i;

	for (i = 0; p->paths && i < BUCKETS; i++) {
		at = &p->paths[i];
		while ((path = *at)) {
			if (!all && path->round == p->round) {
				at = &path->next;
				continue;
			}
			*at = path->next;
			free(path);
		}
	}
}

void pmtu_close(struct pmtu *p)
{
	sweep(p, true);
	free(p->paths);
	route_close(&p->route);
	memset(p, 0, sizeof(*p));
}

bool pmtu_was_used(const struct context_sa *sa, const struct record *rec,
		   uint64_t sent)
{
	return sa->id.proto == IPPROTO_COMP ? rec->packets : sent;
}

void pmtu_begin(struct pmtu *p)
{
	p->round++;
}

void pmtu_end(struct pmtu *p)
{
	sweep(p, false);
}

static void way_of(const struct context_sa *sa, struct route_way *way)
{
	memset(way, 0, sizeof(*way));
	way->family = sa->id.family;
	way->mark = sa->out_mark;
	memcpy(way->src, sa->src, sizeof(way->src));
	memcpy(way->dst, sa->id.dst, sizeof(way->dst));
}

/* Peers choose their addresses: the key is this process's own. */
static size_t hash(const struct route_way *way)
{
	static uint8_t key[crypto_shorthash_KEYBYTES];
	static bool has_key;
	union {
		uint8_t bytes[crypto_shorthash_BYTES];
		uint64_t n;
	} h;

	if (!has_key)
		randombytes_buf(key, sizeof(key));
	has_key = true;
	crypto_shorthash(h.bytes, (const uint8_t *)way, sizeof(*way), key);
	return h.n % BUCKETS;
}

static struct pmtu_path *find(const struct pmtu *p, const struct route_way *way)
{
	struct pmtu_path *path;

	if (!p->paths)
		return NULL;
	for (path = p->paths[hash(way)]; path; path = path->next) {
		if (!memcmp(&path->way, way, sizeof(*way)))
			return path;
	}
	return NULL;
}

/* NULL: no memory, or not open. */
static struct pmtu_path *find_or_add(struct pmtu *p, const struct route_way *way)
{
	struct pmtu_path *path = find(p, way), **slot;

	if (path || !p->paths)
		return path;
	path = calloc(1, sizeof(*path));
	if (!path)
		return NULL;
	path->way = *way;
	slot = &p->paths[hash(way)];
	path->next = *slot;
	*slot = path;
	return path;
}

/* How many questions; the answer stays in path. */
static unsigned int look(struct pmtu *p, struct pmtu_path *path)
{
	unsigned int asked = 1;
	struct route_mtu now;

	path->round = p->round;
	path->answered = !route_ask(&p->route, &path->way, &now);
	if (!path->answered)
		return asked;
	/* Where the address was taken away, nothing is learned, and nothing lost:
	 * who has it now shall hear what was.
	 */
	if (!now.learned && path->mtu) {
		path->answered = route_is_here(&p->route, path->way.family,
					       path->way.src);
		asked++;
	}
	if (path->answered)
		path->mtu = now.learned ? now.mtu : 0;
	return asked;
}

unsigned int pmtu_look(struct pmtu *p, const struct context_sa *sa, uint32_t *mtu)
{
	struct pmtu_path *path;
	unsigned int asked = 0;
	struct route_way way;

	way_of(sa, &way);
	path = find_or_add(p, &way);
	if (!path)
		return 0;
	if (path->round != p->round) {
		/* Of the active before this node, or of a daemon before. */
		if (!path->round)
			path->mtu = *mtu;
		asked = look(p, path);
	}
	if (path->answered)
		*mtu = path->mtu;
	return asked;
}

uint32_t pmtu_known(const struct pmtu *p, const struct context_sa *sa)
{
	struct route_way way;
	struct pmtu_path *path;

	way_of(sa, &way);
	path = find(p, &way);
	return path ? path->mtu : 0;
}

bool pmtu_is_first(struct pmtu *p, const struct context_sa *sa, uint32_t mtu)
{
	struct pmtu_path *path;
	struct route_way way;

	way_of(sa, &way);
	path = find_or_add(p, &way);
	if (!path || path->round == p->round)
		return false;
	path->round = p->round;
	path->answered = false;
	path->mtu = mtu;
	return true;
}

void pmtu_put(struct pmtu *p, const struct context_sa *sa, struct buf *ctx)
{
	struct buf copy = {};
	uint32_t mtu = 0;

	pmtu_look(p, sa, &mtu);
	if (!mtu)
		return;
	context_with_pmtu(ctx->data, ctx->len, mtu, &copy);
	if (copy.bad) {
		buf_free(&copy);
		return;
	}
	buf_free(ctx);
	*ctx = copy;
}

/* What this kernel uses is small enough; PMTU_NOT_YET: it is not. */
static int compare(struct pmtu *p, const struct route_way *way, uint32_t mtu)
{
	struct route_mtu now;
	int ret;

	ret = route_ask(&p->route, way, &now);
	if (ret)
		return ret;
	if (!now.mtu || now.mtu > mtu)
		return PMTU_NOT_YET;
	return now.learned && now.mtu == mtu ? PMTU_APPLIED : PMTU_NOT_NEEDED;
}

int pmtu_tell(struct pmtu *p, const struct context_sa *sa, uint32_t mtu)
{
	struct route_way way;
	int ret;

	way_of(sa, &way);
	/* The message must not leave this node. */
	if (!route_is_here(&p->route, way.family, way.src))
		return -EADDRNOTAVAIL;
	ret = compare(p, &way, mtu);
	if (ret != PMTU_NOT_YET)
		return ret;
	if (!too_big_is_believed(way.family))
		return -EOPNOTSUPP;
	ret = privops_too_big(&way, mtu);
	return ret ? ret : compare(p, &way, mtu);
}

const char *pmtu_why(int ret)
{
	switch (ret) {
	case -EADDRNOTAVAIL:
		return "the SAs' own addresses are not on this node (yet)";
	case -EOPNOTSUPP:
		return "net.ipv4.ip_no_pmtu_disc is set";
	case PMTU_NOT_YET:
		return "the kernel did not take them: a firewall, or a policy, on lo?";
	default:
		return strerror(-ret);
	}
}
