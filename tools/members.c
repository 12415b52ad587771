// SPDX-License-Identifier: GPL-2.0
/*
 * In: the peers of the configuration; those that this node, active, had before.
 * Out: the SAs of which somebody has a range who is a peer no more.
 * At start and before another configuration; asks the kernel, blocks on the disk.
 *
 * An active may offer a range of each SA to each peer that is configured, so the
 * peers are on disk before the first offer is made. Who is not among them any
 * more may take over all the same, now or later: what existed when this is found
 * is never renewed again. Cookies rise, so one number on disk tells what it was.
 */
#include <string.h>

#include "daemon.h"
#include "log.h"

static int highest(const struct record *rec, void *data)
{
	uint64_t *cookie = data;

	if (rec->cookie > *cookie)
		*cookie = rec->cookie;
	return 0;
}

/* Those who are peers no more go from the list; n of them. */
static size_t drop(struct state *s, const struct conf *c)
{
	size_t i, left = 0, n;

	for (i = 0; i < s->n_members; i++) {
		if (conf_peer_place(c, s->member[i]) >= 0)
			memmove(s->member[left++], s->member[i],
				sizeof(s->member[0]));
		else
			log_warn("peer %s: is removed from the configuration",
				 s->member[i]);
	}
	n = s->n_members - left;
	memset(s->member[left], 0, n * sizeof(s->member[0]));
	s->n_members = left;
	return n;
}

void members_note(struct state *s, const struct conf *c)
{
	size_t i;

	if (s->role != XFRMSYNC_ROLE_ACTIVE)
		return;
	memset(s->member, 0, sizeof(s->member));
	for (i = 0; i < c->n_peers; i++)
		memcpy(s->member[i], c->peer[i].name, sizeof(s->member[i]));
	s->n_members = c->n_peers;
}

int members_highest(struct daemon *d, uint64_t *cookie)
{
	return genl_dump(&d->req, highest, cookie);
}

/* All SAs that there are: the next daemon cannot tell who was offered which. */
static int orphan_all(struct daemon *d, struct state *s)
{
	int ret = members_highest(d, &s->orphans);

	if (ret)
		log_err("cannot list the SAs that a removed peer may have ranges of: %s",
			d->req.error);
	else if (!d->reading)
		log_warn("the SAs that there are have leases that a removed peer may have been offered: they are not renewed any more, rekey them");
	return ret;
}

int members_follow(struct daemon *d, const struct conf *c)
{
	struct state next = d->st;
	int ret;

	/* While it is active it knows whom it offered nothing. */
	if (drop(&next, c) && (!d->reading || lease_has_removed(d, c))) {
		ret = orphan_all(d, &next);
		if (ret)
			return ret;
	}
	members_note(&next, c);
	if (next.orphans == d->st.orphans && next.n_members == d->st.n_members &&
	    !memcmp(next.member, d->st.member, sizeof(next.member)))
		return 0;
	ret = state_store(d->conf.state_dir, &next);
	if (ret) {
		log_err("cannot store the peers in %s: %s", d->conf.state_dir,
			strerror(-ret));
		return ret;
	}
	d->st = next;
	return 0;
}

bool members_were_more(const struct daemon *d, const struct record *rec)
{
	return (rec->flags & XFRMSYNC_RECORD_F_SHARED || rec->lease_end) &&
	       d->st.orphans && rec->cookie <= d->st.orphans;
}
