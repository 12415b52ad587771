/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: an IKE SA of the store; the value of an entry of a file.
 * Out: the one of the other (Documentation/wire.rst, Files).
 * Pure; the bytes hold keys: wipe them, log none.
 *
 * An entry is its context with DH secrets, which charon can be told, and behind it what
 * charon said of each Child SA that was born in it: their keys come of its SK_d. One
 * that is deleted is there for these; those that it was rekeyed to come later.
 */
#ifndef XFRMSYNC_TOOLS_IKE_SAVED_H
#define XFRMSYNC_TOOLS_IKE_SAVED_H

#include "buf.h"
#include "ike_context.h"
#include "ike_store.h"

/* Zeroed, or of ike_saved_get. */
struct ike_saved {
	struct ike_context ctx;
	struct rd children;	/* u16 length, CHILD_ADD each; all are well-formed */
};

/*
 * ike_saved_put - the value of its entry, appended
 * Return: 0; -ENOENT: it is not established; -EOPNOTSUPP: IKEv1; -EINVAL: what charon
 * told makes no context; -EMSGSIZE; -ENOMEM.
 */
int ike_saved_put(const struct ike_sa *sa, struct buf *out);

/*
 * ike_saved_get - check the whole value of an entry, and read it in place
 * Return: 0; -EBADMSG; -EOPNOTSUPP: an unknown mandatory field; -ENOMEM. s is ready
 * for ike_saved_exit always.
 */
int ike_saved_get(const uint8_t *p, size_t len, struct ike_saved *s,
		  struct field_error *why);
void ike_saved_exit(struct ike_saved *s);	/* wipes what is its own */

#endif
