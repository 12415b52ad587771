// SPDX-License-Identifier: GPL-2.0
/*
 * In: the IKE daemons of this network namespace, [ike], the kernel's SAs.
 * Out: findings: whose IKE SAs do not come along, and until when their ESP goes on.
 * Looks only.
 *
 * Times are absolute, of this node's clock: what is said once is said again.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "context_fields.h"
#include "ike.h"
#include "xfrm.h"

/* ---- who is there ---- */

/* By the name of the process, 15 bytes at most. */
static const struct ike_daemon {
	const char *comm, *name;
	bool charon;
} daemons[] = {
	{ "charon-systemd", "charon-systemd", true },
	{ "charon", "charon", true },
	{ "pluto", "libreswan's pluto", false },
	{ "iked", "iked", false },
	{ "racoon", "racoon", false },
};

#define N_DAEMONS (sizeof(daemons) / sizeof(daemons[0]))

static bool read_word(const char *path, char *word, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(word, size, f);

	if (f)
		fclose(f);
	if (ok)
		word[strcspn(word, "\n")] = '\0';
	return ok;
}

/* "net:[N]" of a process. */
static bool read_netns(const char *pid, char *name, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.16s/ns/net", pid);
	n = readlink(path, name, size - 1);
	name[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

static void look_at(const char *pid, const char *here, bool runs[N_DAEMONS])
{
	char path[64], comm[32], there[64];
	size_t i;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	if (!read_word(path, comm, sizeof(comm)))
		return;
	for (i = 0; i < N_DAEMONS; i++) {
		if (!strcmp(comm, daemons[i].comm) &&
		    read_netns(pid, there, sizeof(there)) && !strcmp(here, there))
			runs[i] = true;
	}
}

/* Those of other namespaces are other gateways'. */
static void find_daemons(bool runs[N_DAEMONS])
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	char here[64];

	memset(runs, 0, N_DAEMONS * sizeof(*runs));
	if (d && read_netns("self", here, sizeof(here))) {
		while ((e = readdir(d))) {
			if (strspn(e->d_name, "0123456789") == strlen(e->d_name))
				look_at(e->d_name, here, runs);
		}
	}
	if (d)
		closedir(d);
}

/* ---- how long ESP goes on ---- */

struct life {
	const struct conf_filter *filter;
	struct record *rec;		/* of the SAs that count; by name */
	size_t n, room;
	uint64_t ends;			/* the first of them, seconds since 1970; 0: none */
	struct sa_id first;
};

static int keep(const struct record *r, void *data)
{
	struct life *l = data;
	struct record *more;
	size_t room = l->room ? 2 * l->room : 64;

	if (r->flags & XFRMSYNC_RECORD_F_LARVAL ||
	    !conf_filter_match(l->filter, r->id.family, r->src, r->id.dst, r->reqid,
			       r->if_id, r->id.mark, r->id.mark_mask))
		return 0;
	if (l->n == l->room) {
		more = reallocarray(l->rec, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->rec = more;
		l->room = room;
	}
	l->rec[l->n++] = *r;
	return 0;
}

static void note_end(struct life *l, const struct record *r, uint64_t since,
		     uint64_t seconds)
{
	/* From its first use on, and it was not used. */
	if (!since || !seconds || seconds > UINT32_MAX)
		return;
	if (l->ends && since + seconds >= l->ends)
		return;
	l->ends = since + seconds;
	l->first = r->id;
}

static int look_at_life(const uint8_t *p, size_t len, void *data)
{
	struct xfrm_lifetime_cfg lft;
	struct life *l = data;
	struct record key = {}, *r;
	struct field_error why;
	struct context_sa sa;
	struct fields fs;

	if (context_sa_info(p, len, &sa, NULL))
		return 0;
	key.id = sa.id;
	r = bsearch(&key, l->rec, l->n, sizeof(key), sa_id_order);
	if (!r || fields_read(p, len, CONTEXT_IS_SA, &fs, &why))
		return 0;
	fields_get_lifetime(&fs, &lft);
	note_end(l, r, r->add_time, lft.hard_add_expires_seconds);
	note_end(l, r, r->use_time, lft.hard_use_expires_seconds);
	return 0;
}

/* False: not to be had. The module has their times, XFRM their limits. */
static bool look_at_sas(struct life *l)
{
	struct xfrm x;
	struct genl g;
	bool ok;

	if (genl_open(&g))
		return false;
	ok = !genl_dump(&g, keep, l);
	genl_close(&g);
	if (!ok || !l->n || xfrm_open(&x))
		return ok && !l->n;
	qsort(l->rec, l->n, sizeof(*l->rec), sa_id_order);
	ok = !xfrm_dump_sas(&x, look_at_life, l);
	xfrm_close(&x);
	return ok;
}

static const char *how_long(const struct life *l, bool known, char *to, size_t size)
{
	time_t at = l->ends;
	char when[64], name[128];
	struct tm tm;

	if (!known)
		snprintf(to, size, "until the hard lifetime at the latest");
	else if (!l->n)
		snprintf(to, size, "until the hard lifetime at the latest (there is no SA now)");
	else if (!l->ends || !gmtime_r(&at, &tm) ||
		 !strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(to, size, "until the sequence numbers end: no SA has a hard lifetime in seconds");
	else
		snprintf(to, size, "until %s at the latest for the first SA (%s, its hard lifetime)",
			 when, sa_id_str(&l->first, name, sizeof(name)));
	return to;
}

/* ---- findings ---- */

static void say_charon(struct check *c, const struct conf *conf, const char *name,
		       const char *ends)
{
	struct ike_socket s = {};
	bool plugin = ike_socket_of(conf->ike_local, &s) && !s.uid;
	char at[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &conf->ike_local, at, sizeof(at));
	if (!conf->ike)
		check_say(c, CHECK_WARN, "IKE", "%s runs%s, and there is no [ike]: its IKE SAs do not come along; after a takeover ESP goes on until its peer rekeys or finds it dead, %s\n[ike] in the configuration of all nodes, and the ha plugin in charon's: Documentation/strongswan.rst",
			  name, plugin ? "" : " without the ha plugin", ends);
	else if (!plugin)
		check_say(c, CHECK_FAIL, "IKE", "%s runs without the ha plugin, or that is not at %s port %d: no IKE SA comes along; after a takeover ESP goes on until its peer rekeys or finds it dead, %s\nha { load = yes, local = %s } in charon's configuration, as Documentation/strongswan.rst has it",
			  name, at, HA_PORT, ends, at);
	else
		check_say(c, CHECK_OK, "IKE", "%s, with its ha plugin: IKE SAs come along",
			  name);
}

static void say_others(struct check *c, const bool runs[N_DAEMONS], const char *ends)
{
	size_t i;

	for (i = 0; i < N_DAEMONS; i++) {
		if (runs[i] && !daemons[i].charon)
			check_say(c, CHECK_WARN, "IKE", "%s runs: its IKE SAs do not come along, only strongSwan's do; after a takeover ESP goes on until its peer rekeys or finds it dead, %s\nlet the peers make new IKE SAs soon: their dead peer detection, and what they do then",
				  daemons[i].name, ends);
	}
}

static void say_none(struct check *c, const struct conf *conf, const struct life *l,
		     bool known, const char *ends)
{
	if (conf->ike)
		check_say(c, CHECK_WARN, "IKE", "there is [ike], and no charon runs in this network namespace: IKE SAs wait for it\nsystemctl start strongswan");
	else if (l->n)
		check_say(c, CHECK_WARN, "IKE", "%zu SAs, and no IKE daemon runs in this network namespace: with static keys nobody replaces them; after a takeover they go on %s\nreplace them on all nodes and peers before that, or use IKE",
			  l->n, ends);
	else
		check_say(c, CHECK_OK, "IKE", "no IKE daemon runs in this network namespace%s",
			  known ? ", and there is no SA" : "");
}

void check_ike(struct check *c, const struct conf *conf)
{
	struct life l = { .filter = &conf->filter };
	bool runs[N_DAEMONS], any = false, known = look_at_sas(&l);
	char ends[256];
	size_t i;

	how_long(&l, known, ends, sizeof(ends));
	find_daemons(runs);
	for (i = 0; i < N_DAEMONS; i++) {
		any |= runs[i];
		if (runs[i] && daemons[i].charon)
			say_charon(c, conf, daemons[i].name, ends);
	}
	say_others(c, runs, ends);
	if (!any)
		say_none(c, conf, &l, known, ends);
	if (conf->ike && conf->ike_key_log)
		check_say(c, CHECK_WARN, "key_log", "is on: root is told the keys of IKE SAs (show --ike --keys), as it is not to be in production\nkey_log = no in [ike]");
	free(l.rec);
}
