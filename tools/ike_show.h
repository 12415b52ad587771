/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: IKE SAs, of the store.
 * Out: what a client of the control socket is told of them: their contexts for people, the
 *      lines that Wireshark decrypts with, entries of a file.
 * Whoever calls has asked who may: of the three only the first has no keys.
 */
#ifndef XFRMSYNC_TOOLS_IKE_SHOW_H
#define XFRMSYNC_TOOLS_IKE_SHOW_H

#include <jansson.h>

#include "buf.h"
#include "ike_store.h"

/* True for one that lasts: it is established, and charon has not deleted it. */
bool ike_show_is_whole(const struct ike_sa *sa);

/*
 * ike_show_json - its context, without secrets, and how it stands here
 * Where there is no context of it, name and "error". New reference; NULL: no memory.
 */
json_t *ike_show_json(const struct ike_sa *sa);

/*
 * ike_show_keys - its lines for Wireshark and those of its Child SAs, appended
 * A JSON object a line: table and line, or sa and error where there is none.
 */
void ike_show_keys(const struct ike_sa *sa, struct buf *out);

/*
 * ike_show_entry - its entry of a file (ike_saved.h), appended
 * A JSON object on a line: entry, in base64, and ended (it is there for its Child SAs
 * alone), or sa and error. Nothing of one that was only begun.
 */
void ike_show_entry(const struct ike_sa *sa, struct buf *out);

#endif
