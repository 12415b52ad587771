/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: requests of the verbs and of the daemon.
 * Out: the module's genetlink family, one call a command.
 * Blocking, one socket each; not shared between threads.
 */
#ifndef XFRMSYNC_TOOLS_GENL_H
#define XFRMSYNC_TOOLS_GENL_H

#include <stdint.h>
#include <stddef.h>
#include <libmnl/libmnl.h>
#include <linux/xfrmsync.h>

#include "record.h"

struct genl {
	struct mnl_socket *nl;
	uint16_t family;
	uint32_t events_group;	/* id of the multicast group "events" */
	uint32_t seq;
	bool dirty, resync, role_changed;	/* events met during a call */
	char *answers, *batch;	/* kept: so are their pages */
	char error[256];	/* what the kernel said last (extack), or strerror */
};

struct genl_status {
	uint32_t version, role, node, capture, sas, dirty, parked, reader;
	uint32_t watchdog_ms, untold, fence;
	uint64_t epoch;
	uint64_t life;		/* of the module, here; 0 where it does not say */
};

/* Indexed by XFRMSYNC_A_STATS_*. */
struct genl_stats {
	uint64_t value[XFRMSYNC_A_STATS_MAX + 1];
};

struct genl_result {
	uint32_t reason;	/* enum xfrmsync_reason, 0 = applied */
	int32_t err;		/* negative errno or 0 */
};

/* 0; -ENOENT when the module is not loaded; -errno. g->error says more. */
int genl_open(struct genl *g);
void genl_close(struct genl *g);
int genl_fd(const struct genl *g);

typedef int (*genl_record_cb)(const struct record *r, void *data);

/* Calls cb for every record; a negative return of cb ends it. 0 or -errno. */
int genl_dump(struct genl *g, genl_record_cb cb, void *data);	/* get, all */
int genl_pull(struct genl *g, genl_record_cb cb, void *data);	/* reader only */
int genl_get(struct genl *g, const struct sa_id *id, struct record *out);
int genl_subscribe(struct genl *g, uint32_t *dirty);
int genl_unsubscribe(struct genl *g);

/*
 * Up to XFRMSYNC_MAX_BATCH records; larger n is split. results has n entries,
 * filled in. 0 when the kernel took the request (some may be refused), or
 * -errno of the whole (-ESTALE: epoch too old; -EBUSY: this node is active).
 */
int genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
		 const struct record *r, size_t n, struct genl_result *results);
int genl_bind(struct genl *g, const struct record *r, size_t n,
	      struct genl_result *results);
int genl_status_get(struct genl *g, struct genl_status *st);
/* drain_ms: of an active that becomes standby, how long nothing may have come out of
 * crypto before it is fenced whole; up to ten times as long in all. 0: at once.
 */
int genl_role_set(struct genl *g, uint32_t role, uint64_t epoch, uint32_t node,
		  uint32_t drain_ms, struct genl_status *st);
/* A sign of life, and how long the next one may take; 0: it need not come. */
int genl_watchdog_set(struct genl *g, uint32_t ms, struct genl_status *st);
int genl_stats_get(struct genl *g, struct genl_stats *stats);

/*
 * For event loops: a non-blocking read of unsolicited messages (dirty-ntf on
 * the reader's socket; role-ntf after genl_join_events). Sets *dirty, *resync
 * and *role_changed. 0, -EAGAIN, -ENOBUFS (wake-ups lost: pull anyway), -errno.
 *
 * Events that came between the answers of a call are kept for the next read,
 * but leave nothing on the socket to wake poll: after each call on such a
 * socket ask genl_pending(), and read events where it says so.
 */
bool genl_pending(const struct genl *g);
int genl_join_events(struct genl *g);
int genl_read_events(struct genl *g, bool *dirty, bool *resync, bool *role_changed);

const char *genl_role_str(uint32_t role);
const char *genl_capture_str(uint32_t capture);
const char *genl_fence_str(uint32_t fence);
const char *genl_reason_str(uint32_t reason);	/* a phrase for people */
extern const char *const genl_stats_names[XFRMSYNC_A_STATS_MAX + 1];

#endif
