/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: IKE SAs and Child SAs, of the store.
 * Out: their keys, as lines of the tables that Wireshark and tshark decrypt with.
 * A debugging aid: whoever calls it has asked who may.
 */
#ifndef XFRMSYNC_TOOLS_IKE_KEYLOG_H
#define XFRMSYNC_TOOLS_IKE_KEYLOG_H

#include "buf.h"
#include "ike_store.h"

/* In Wireshark's folder of the user's configuration. */
#define IKE_KEYLOG_IKE_FILE "ikev2_decryption_table"
#define IKE_KEYLOG_ESP_FILE "esp_sa"

/*
 * ike_keylog_sa - the line of an IKE SA for ikev2_decryption_table, appended
 * Return: 0; -EOPNOTSUPP: Wireshark has no name for its algorithms, or it is of IKEv1;
 * what ike_keys_of_sa returns. Nothing is written then.
 */
int ike_keylog_sa(struct buf *out, const struct ike_sa *sa);

/*
 * ike_keylog_child - two lines of a Child SA for esp_sa, one for each direction
 * With the addresses that its IKE SA has now. Return: as above; -ENOENT: it is not
 * known which those are.
 */
int ike_keylog_child(struct buf *out, const struct ike_child *c);

#endif
