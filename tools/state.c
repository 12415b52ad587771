// SPDX-License-Identifier: GPL-2.0
/*
 * In: the role and the epoch that this node last decided for, to whom it gave, and
 * who else may have ranges.
 * Out: the same, from disk, after any crash.
 * Runs at start and at each change of role; blocks on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/xfrmsync.h>

#include "conf.h"
#include "durable.h"
#include "log.h"
#include "state.h"

#define STATE_FILE "state"
#define MODPROBE_DIR "/etc/modprobe.d"
#define MODPROBE_FILE "xfrmsync-role.conf"

int state_epoch_cmp(uint64_t epoch_a, uint32_t node_a, uint64_t epoch_b,
		    uint32_t node_b)
{
	if (epoch_a != epoch_b)
		return epoch_a < epoch_b ? -1 : 1;
	if (node_a != node_b)
		return node_a < node_b ? -1 : 1;
	return 0;
}

bool state_epoch_is_near(uint64_t own, uint64_t other)
{
	return !own || other <= own || other - own <= STATE_EPOCH_LEAP;
}

bool state_catch_up(struct state *s, uint64_t epoch, uint32_t node,
		    uint32_t node_id)
{
	if (state_epoch_cmp(s->epoch, s->node, epoch, node) >= 0)
		return false;
	s->epoch = epoch;
	s->node = node;
	s->handed[0] = '\0';
	s->requested = false;
	s->outdated |= node != node_id;
	return true;
}

bool state_live_on(struct state *s, uint64_t life)
{
	bool same = life && s->life == life;

	s->life = life;
	if (same)
		return true;
	s->boot_id[0] = '\0';
	memset(s->member, 0, sizeof(s->member));
	s->n_members = 0;
	s->orphans = 0;
	s->holes = 0;
	s->lost = s->own;
	return false;
}

bool state_is_unfinished(const struct state *s, uint32_t role, uint64_t epoch,
			 uint32_t node)
{
	return s->role == XFRMSYNC_ROLE_ACTIVE &&
	       role == XFRMSYNC_ROLE_STANDBY &&
	       state_epoch_cmp(epoch, node, s->epoch, s->node) < 0;
}

void state_count_in(struct state *s, bool again)
{
	if (!again)
		s->own = s->epoch;
	chain_add(&s->chain, s->own, s->node);
}

void state_boot_id(char *buf, size_t len)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	buf[0] = '\0';
	if (!f)
		return;
	if (!fgets(buf, len, f))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	fclose(f);
}

static const char *role_word(uint32_t role)
{
	switch (role) {
	case XFRMSYNC_ROLE_ACTIVE:
		return "active";
	case XFRMSYNC_ROLE_STANDBY:
		return "standby";
	default:
		return "none";
	}
}

static int role_of_word(const char *word, uint32_t *role)
{
	uint32_t r;

	for (r = XFRMSYNC_ROLE_NONE; r <= XFRMSYNC_ROLE_STANDBY; r++) {
		if (!strcmp(word, role_word(r))) {
			*role = r;
			return 0;
		}
	}
	return -EINVAL;
}

static bool read_chain(FILE *f, struct chain *c)
{
	uint64_t epoch;
	uint32_t node;

	if (fscanf(f, "%" SCNu32 " %" SCNu64, &node, &epoch) != 2)
		return false;
	chain_add(c, epoch, node);
	return true;
}

/* The value of a word that may be there, if it has one. */
static bool read_word(FILE *f, const char *word, struct state *s)
{
	if (!strcmp(word, "requested"))
		return s->requested = true;
	if (!strcmp(word, "outdated"))
		return s->outdated = true;
	if (!strcmp(word, "strict"))
		return s->strict = true;
	if (!strcmp(word, "life"))
		return fscanf(f, "%" SCNu64, &s->life) == 1;
	if (!strcmp(word, "handed"))
		return fscanf(f, "%63s", s->handed) == 1;
	if (!strcmp(word, "orphans"))
		return fscanf(f, "%" SCNu64, &s->orphans) == 1;
	if (!strcmp(word, "holes"))
		return fscanf(f, "%" SCNu64, &s->holes) == 1;
	if (!strcmp(word, "own"))
		return fscanf(f, "%" SCNu64, &s->own) == 1;
	if (!strcmp(word, "lost"))
		return fscanf(f, "%" SCNu64, &s->lost) == 1;
	if (!strcmp(word, "chain"))
		return read_chain(f, &s->chain);
	if (strcmp(word, "member") || s->n_members == CONF_MAX_PEERS)
		return false;
	return fscanf(f, "%63s", s->member[s->n_members++]) == 1;
}

/* Words that may be there, up to the last one, which tells a whole file from a
 * cut one.
 */
static bool read_rest(FILE *f, struct state *s)
{
	char word[16];

	while (fscanf(f, "%15s", word) == 1) {
		if (!strcmp(word, "end"))
			return true;
		if (!read_word(f, word, s))
			return false;
	}
	return false;
}

int state_load(const char *dir, struct state *s)
{
	char path[320], role[16];
	bool whole;
	FILE *f;

	memset(s, 0, sizeof(*s));
	snprintf(path, sizeof(path), "%s/" STATE_FILE, dir);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	whole = fscanf(f,
		       "xfrmsync-state 1\nepoch %" SCNu64 "\nnode %" SCNu32
		       "\nrole %15s\nboot_id %39s\n",
		       &s->epoch, &s->node, role, s->boot_id) == 4 &&
		!role_of_word(role, &s->role) && read_rest(f, s);
	fclose(f);
	/* What it never drew it cannot have lost. */
	if (!whole || s->lost > s->own) {
		memset(s, 0, sizeof(*s));
		return -EINVAL;
	}
	return 0;
}

bool state_is_stored(const char *dir, const struct state *s)
{
	struct state on_disk;

	return !state_load(dir, &on_disk) && on_disk.role == s->role &&
	       !state_epoch_cmp(on_disk.epoch, on_disk.node, s->epoch, s->node);
}

static int modprobe_store(const struct state *s)
{
	char text[256];

	if (s->role == XFRMSYNC_ROLE_NONE) {
		if (unlink(MODPROBE_DIR "/" MODPROBE_FILE) && errno != ENOENT)
			return -errno;
		return 0;
	}
	if (mkdir(MODPROBE_DIR, 0755) && errno != EEXIST)
		return -errno;
	snprintf(text, sizeof(text),
		 "# Written by xfrmsync at each change of role.\n"
		 "options xfrmsync role=standby epoch=%" PRIu64 " node=%" PRIu32
		 "\n",
		 s->epoch, s->node);
	return durable_write(MODPROBE_DIR "/" MODPROBE_FILE, text, strlen(text),
			     0644);
}

int state_lock(const char *dir)
{
	char path[320];
	int fd, ret;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int put(const char *path, const struct state *s)
{
	/* On the stack: what grows while it is written may end in the middle. */
	char text[1024 + CONF_MAX_PEERS * 80 + CHAIN_MAX * 40];
	FILE *f = fmemopen(text, sizeof(text), "w");
	size_t i;

	if (!f)
		return -ENOMEM;
	fprintf(f, "xfrmsync-state 1\nepoch %" PRIu64 "\nnode %" PRIu32
		"\nrole %s\nboot_id %s\nlife %" PRIu64 "\n",
		s->epoch, s->node, role_word(s->role),
		s->boot_id[0] ? s->boot_id : "-", s->life);
	if (s->handed[0])
		fprintf(f, "handed %s\n", s->handed);
	for (i = 0; i < s->n_members; i++)
		fprintf(f, "member %s\n", s->member[i]);
	if (s->requested)
		fprintf(f, "requested\n");
	if (s->outdated)
		fprintf(f, "outdated\n");
	if (s->strict)
		fprintf(f, "strict\n");
	if (s->orphans)
		fprintf(f, "orphans %" PRIu64 "\n", s->orphans);
	if (s->holes)
		fprintf(f, "holes %" PRIu64 "\n", s->holes);
	if (s->own)
		fprintf(f, "own %" PRIu64 "\n", s->own);
	if (s->lost)
		fprintf(f, "lost %" PRIu64 "\n", s->lost);
	for (i = 0; i < s->chain.n; i++)
		fprintf(f, "chain %" PRIu32 " %" PRIu64 "\n",
			s->chain.at[i].node, s->chain.at[i].epoch);
	fprintf(f, "end\n");
	return fclose(f) ? -ENOMEM : durable_write(path, text, strlen(text), 0600);
}

int state_store(const char *dir, struct state *s)
{
	char path[320];
	int ret;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	if (s->role == XFRMSYNC_ROLE_ACTIVE)
		state_boot_id(s->boot_id, sizeof(s->boot_id));
	snprintf(path, sizeof(path), "%s/" STATE_FILE, dir);
	ret = put(path, s);
	/* A node may always become active: the state itself is what counts. */
	if (!ret && !strcmp(dir, CONF_DEFAULT_STATE_DIR) && modprobe_store(s))
		log_warn("cannot write modprobe's configuration: the role is not in force from load of the module on");
	return ret;
}
