/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: contexts to install; questions about SAs and policies.
 * Out: XFRM netlink, one call an operation; contexts with their keys.
 * Blocking but for events; one socket each; buffers that held keys are wiped.
 */
#ifndef XFRMSYNC_TOOLS_XFRM_H
#define XFRMSYNC_TOOLS_XFRM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>

#include "buf.h"
#include "context.h"
#include "record.h"

#define XFRM_BUF (128 * 1024)

#define XFRM_POLICIES_CHANGED 1U
#define XFRM_POLICIES_GONE 2U

#define XFRM_BATCH 256		/* messages in one request */

struct xfrm {
	struct mnl_socket *nl;		/* requests */
	struct mnl_socket *events;	/* non-blocking, groups SA and POLICY */
	uint32_t seq;
	uint8_t *buf;			/* XFRM_BUF, wiped after each use */
	uint8_t *batch;			/* likewise; NULL: nothing was queued yet */
	size_t batch_len, batch_last;	/* bytes; where the last message begins */
	uint32_t port;			/* of nl: the kernel repeats it in what it tells of a batch */
	unsigned int n_batch;
	char error[256];		/* what the kernel said last */
};

int xfrm_open(struct xfrm *x);		/* 0 or -errno */
/*
 * xfrm_open_fd - requests by that netlink socket, which is taken over (closed on failure)
 * No events. With a helper (privops.h) before privops_seal(): it shall serve its namespace.
 * Return: 0; -errno of that, -EPERM but: then its receive buffer is small, and no more.
 */
int xfrm_open_fd(struct xfrm *x, int fd);
void xfrm_close(struct xfrm *x);
int xfrm_event_fd(const struct xfrm *x);

/*
 * xfrm_get_sa - the kernel's context of an SA into out (empty, the caller wipes)
 * XFRM finds the first one that the mark fits: with a wider mark, or without one,
 * another SA hides it.
 * Return: 0; -ESRCH; -EEXIST: hidden; -errno.
 */
extern const char XFRM_HIDDEN[];
int xfrm_get_sa(struct xfrm *x, const struct sa_id *id, struct buf *out);
/* The same of whichever XFRM finds: it stands in the way of a new one of that name. */
int xfrm_look_up_sa(struct xfrm *x, const struct sa_id *id, struct buf *out);

typedef int (*xfrm_context_cb)(const uint8_t *p, size_t len, void *data);

/* Calls cb for each SA that has keys. 0 or -errno; -EINTR: as below. */
int xfrm_dump_sas(struct xfrm *x, xfrm_context_cb cb, void *data);

/* Calls cb for each policy that can be told to another node. 0 or -errno;
 * -EINTR: the dump was inconsistent, ask again.
 */
int xfrm_dump_policies(struct xfrm *x, xfrm_context_cb cb, void *data);

/* live: what the SA is born with. 0; -EEXIST; -errno of context_to_sa or kernel. */
int xfrm_add_sa(struct xfrm *x, const uint8_t *p, size_t len,
		const struct record *live);
int xfrm_update_sa(struct xfrm *x, const uint8_t *p, size_t len);
/* 0; -ESRCH; -EEXIST: another SA hides it (xfrm_get_sa), which would go in its place;
 * -errno.
 */
int xfrm_delete_sa(struct xfrm *x, const struct sa_id *id);
/*
 * What xfrm_look_up_sa() found has the mark of id, too; else it hides the one that is
 * meant. True where found cannot be read.
 */
bool xfrm_is_named(const struct buf *found, const struct sa_id *id);
/*
 * Its soft lifetime is over: its key manager rekeys it. -EINVAL: it is not in use;
 * -EEXIST: another SA hides it (xfrm_get_sa), which would be asked in its place.
 */
int xfrm_expire_sa(struct xfrm *x, const struct sa_id *id);
/* By what that says, it was not asked for at all: there was no room. Ask again. */
static inline bool xfrm_is_unasked(int ret)
{
	return ret == -ENOBUFS || ret == -ENOMEM || ret == -ETOOMANYREFS;
}
/*
 * xfrm_migrate_sa - an SA moves to other end points (XFRM_MSG_MIGRATE)
 * @from: the outline of an SA as it is
 * @to: as it shall be: only its addresses count
 * Of several SAs between the same end points with one protocol, mode, reqid and
 * interface id (0: any of them) XFRM chooses one: move them all, and stop all
 * before. The policies that use them stay. Return: 0; -ENOPROTOOPT (the kernel has no
 * CONFIG_XFRM_MIGRATE); -ENODATA (the clone is refused); -errno.
 */
int xfrm_migrate_sa(struct xfrm *x, const struct context_sa *from,
		    const struct context_sa *to);
/* replace: update the one that is there. */
int xfrm_add_policy(struct xfrm *x, const uint8_t *p, size_t len, bool replace);
/*
 * xfrm_queue_sa, xfrm_queue_policy - the same for one that is not there yet, with the next flush
 * Many in one request: of those that the kernel makes it says nothing then, nor are they
 * among the events.
 * Return: 0; -ENOSPC: there is no room for it before a flush; -errno, none of the kernel's.
 */
int xfrm_queue_sa(struct xfrm *x, const uint8_t *p, size_t len,
		  const struct record *live);
int xfrm_queue_policy(struct xfrm *x, const uint8_t *p, size_t len);

struct xfrm_made {
	int ret;		/* 0; -EEXIST; -errno: of the kernel, or it is not known */
	char *why;		/* of the kernel, the caller frees it; or NULL */
};

/* They are made, in that order; of each what became of it. Returns how many those were. */
unsigned int xfrm_flush(struct xfrm *x, struct xfrm_made made[XFRM_BATCH]);
int xfrm_delete_policy(struct xfrm *x, const uint8_t *p, size_t len);
/* Calls cb for the kernel's policy of that name. 0; -ENOENT; -errno. */
int xfrm_get_policy(struct xfrm *x, const uint8_t *p, size_t len,
		    xfrm_context_cb cb, void *data);

/*
 * xfrm_read_events - what the kernel told unasked
 * sa is called with the message type (XFRM_MSG_NEWSA, _UPDSA, _DELSA,
 * _FLUSHSA: id is then NULL) for SAs. *policies gets XFRM_POLICIES_ flags.
 * Return: 0, maybe with more to come; -ENOBUFS (events were lost: look at everything); -errno.
 */
typedef void (*xfrm_sa_event_cb)(int type, const struct sa_id *id, void *data);
int xfrm_read_events(struct xfrm *x, xfrm_sa_event_cb sa, void *data,
		     unsigned int *policies);

#endif
