/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: contexts with their records; a file of them.
 * Out: the file, sealed or plain (Documentation/wire.rst); what is in it.
 * Reads and writes the whole file at once. Bodies hold keys and are wiped.
 */
#ifndef XFRMSYNC_TOOLS_CONTEXT_FILE_H
#define XFRMSYNC_TOOLS_CONTEXT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "record.h"
#include "secret.h"

enum context_entry_kind {
	CONTEXT_ENTRY_SA = 1,
	CONTEXT_ENTRY_POLICY = 2,
	CONTEXT_ENTRY_IKE = 3,	/* in sealed files alone */
};

#define CONTEXT_ENTRY_STOPPED 1	/* nothing moved it after its record was read */
#define CONTEXT_ENTRY_ENDED 2	/* an IKE SA that is there for its Child SAs alone */

struct context_entry {
	uint8_t kind;			/* enum context_entry_kind, or unknown */
	uint8_t flags;			/* CONTEXT_ENTRY_* */
	struct record rec;		/* of an SA; times are of this node's clock */
	uint64_t sent;			/* highest number known to be sent */
	const uint8_t *context;		/* in place; keys; of an IKE SA as ike_saved.h */
	size_t context_len;
};

/* Zeroed: empty. */
struct context_file {
	struct buf body;
	size_t first;			/* where the entries begin */
	uint64_t saved_at;		/* seconds, of the clock of the node */
	char node[64];			/* that saved it */
	uint32_t sas, policies;
	uint32_t ike_sas, ike_ended;	/* of CONTEXT_ENTRY_IKE: without and with _ENDED */
};

/* Before the first entry; f->saved_at and f->node are set. */
void context_file_begin(struct context_file *f);
/* sent: the highest number known to be sent, at most rec->oseq */
void context_file_put_sa(struct context_file *f, const struct record *rec,
			 uint64_t sent, uint8_t flags, const uint8_t *context,
			 size_t len);
void context_file_put_policy(struct context_file *f, const uint8_t *context,
			     size_t len);
/* entry: of ike_saved_put */
void context_file_put_ike(struct context_file *f, uint8_t flags,
			  const uint8_t *entry, size_t len);
/*
 * context_file_write - the file, of mode 0600, whole or not at all
 * @key: NULL: in clear
 * Return: 0 or -errno (-ENOMEM, and of the disk; -EPERM: IKE SAs in clear).
 */
int context_file_write(const struct context_file *f, const char *path,
		       const struct secret *key);

/*
 * context_file_read - check a whole file, and what it says of itself
 * @key: NULL where there is none; a sealed file is refused then
 * @plain: take one that is not sealed
 * Return: 0, or -1 with a line in err (no such file, of another kind, cut,
 * changed, sealed with another key).
 */
int context_file_read(struct context_file *f, const char *path,
		      const struct secret *key, bool plain, char *err,
		      size_t errlen);

/*
 * context_file_next - the next entry
 * @r: zeroed before the first
 * @now: wall clock of this node, seconds
 * Return: 1; 0 at the end; -EBADMSG: this one is malformed, the next is behind. Its
 * kind is there then, and its context, or NULL where that cannot be told from the rest.
 */
int context_file_next(const struct context_file *f, struct rd *r, uint64_t now,
		      struct context_entry *e);

void context_file_free(struct context_file *f);	/* wiped */

#endif
