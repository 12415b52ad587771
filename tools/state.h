/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the role and the epoch that this node last decided for, to whom it gave, and
 * who else may have ranges.
 * Out: the same, from disk, after any crash.
 * Runs at start and at each change of role; blocks on the disk.
 */
#ifndef XFRMSYNC_TOOLS_STATE_H
#define XFRMSYNC_TOOLS_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain.h"
#include "conf.h"

struct state {
	uint64_t epoch;		/* counter of the epoch */
	uint32_t node;		/* id of the node that made the epoch */
	uint32_t role;		/* enum xfrmsync_role */
	char boot_id[40];	/* in which this node was active last; "": never */
	uint64_t life;		/* of the module, when this was stored; 0 not known */
	char handed[64];	/* the peer that it gave all, and that has not said more */
	bool requested;		/* the active of this epoch was asked to hand over */
	bool outdated;		/* another was active since this node was filled */
	bool strict;		/* an active whose peers were told within limits only */
	char member[CONF_MAX_PEERS][64];	/* peers that it may have offered ranges, active */
	size_t n_members;
	uint64_t orphans;	/* cookie up to which others had SAs that are peers no more */
	uint64_t holes;		/* ... a peer may have used SAs, and has lost how far */
	uint64_t own;		/* epoch in which this node became active last; 0 never */
	uint64_t lost;		/* of these, the last one of which it lost what it drew */
	struct chain chain;	/* whose numbers are accounted for in what it has */
};

/* Order of epochs, (counter, node id): <0, 0 or >0 as (a) is below (b). */
int state_epoch_cmp(uint64_t epoch_a, uint32_t node_a, uint64_t epoch_b,
		    uint32_t node_b);

/* A takeover adds few: one so far ahead was made up, and would use them all up. Who
 * knows none yet (0) believes any.
 */
#define STATE_EPOCH_LEAP (1ULL << 32)
bool state_epoch_is_near(uint64_t own, uint64_t other);

/*
 * state_catch_up - the kernel's epoch, where it is the newer one
 * @node_id: this node's own
 *
 * A standby takes a newer epoch in the kernel first. Where only the kernel has it,
 * the daemon died before it was on disk, and whoever made it has used numbers since:
 * what is here is outdated.
 *
 * Return: true where it was newer.
 */
bool state_catch_up(struct state *s, uint64_t epoch, uint32_t node,
		    uint32_t node_id);

/*
 * state_live_on - what was stored holds in this life of the module, or no more
 *
 * Where the module was loaded anew, or had no role meanwhile, SAs were used without
 * limits, and what was set for them is gone: boot_id is cleared, so this node's
 * own counters are not taken for the newest. SAs have other cookies, and members
 * ranges of none that is safe. What this node drew is lost. So it is where the file,
 * or the module, does not say which life it was.
 *
 * Return: false where it does not hold.
 */
bool state_live_on(struct state *s, uint64_t life);

/*
 * state_is_unfinished - a takeover was stored, and never came into force
 * @role, @epoch, @node: what is in force in the kernel
 *
 * Whoever stored it died in the middle, where counters are lowered and SAs fenced.
 * What it says of them is not so yet: not that this node's are the newest, either.
 */
bool state_is_unfinished(const struct state *s, uint32_t role, uint64_t epoch,
			 uint32_t node);

/*
 * state_count_in - it becomes active in s->epoch
 * @again: and was it last anyway
 *
 * Its own numbers are accounted for here, from now on. Who was active last anyway
 * goes on in leases that all have acknowledged who were told of them: where the
 * epoch is known in which it became so, these are accounted for, too.
 */
void state_count_in(struct state *s, bool again);

/* The kernel's boot id into buf; empty where it cannot be read. */
void state_boot_id(char *buf, size_t len);

/*
 * state_lock - the node's role is decided by whoever holds this
 *
 * The daemon holds it as long as it runs; a command that finds it taken asks
 * the daemon, also one that is only starting. The lock goes with the descriptor.
 *
 * Return: a descriptor; -EBUSY (somebody holds it); -errno. The directory is
 * made, 0700, where it is missing.
 */
int state_lock(const char *dir);

/*
 * state_load - read the state file of a directory
 * Return: 0; -ENOENT (never stored: *s is zero); -EINVAL (the file is damaged:
 * *s is zero, its owner has to look); -errno.
 */
int state_load(const char *dir, struct state *s);

/* The file says that role and that epoch. */
bool state_is_stored(const char *dir, const struct state *s);

/*
 * state_store - write it, so that it stands after a power cut
 *
 * Temporary file, fsync, rename, fsync of the directory (made, 0700, where it
 * is missing). s->boot_id is the boot in which this node was active last: filled
 * in for an active, else kept. For the default state directory the module's
 * options are rewritten too, so that the role is in force from the
 * moment the module loads; always as standby, because the counters of an
 * active are gone after a reboot.
 *
 * Return: 0 or -errno; on failure the old state stands.
 */
int state_store(const char *dir, struct state *s);

#endif
