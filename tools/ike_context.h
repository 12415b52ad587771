/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: an IKE SA of the store, or its context as a peer sent it.
 * Out: the context's values, its canonical form (Documentation/wire.rst), and back;
 *      messages that make it in a charon; what is in it, for people, without secrets.
 * Pure; the bytes hold keys: wipe them, log none.
 *
 * After draft-plmrs-ipsecme-ipsec-ikev2-context-definition-01, section 6. IKEv2 only.
 * ike_context.c has the bytes, ike_context_sa.c what is of the store and of charon,
 * ike_context_print.c what is for people.
 */
#ifndef XFRMSYNC_TOOLS_IKE_CONTEXT_H
#define XFRMSYNC_TOOLS_IKE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include "field.h"
#include "ike_keys.h"
#include "ike_store.h"

#define IKE_CONTEXT_MAX 65536	/* bytes */
#define IKE_CONTEXT_VIPS 16
#define IKE_CONTEXT_PEER_ADDRS 64
#define IKE_CONTEXT_VENDOR_IDS 32
#define IKE_CONTEXT_NONCE_MAX 256	/* bytes (RFC 7296, 3.9) */
#define IKE_CONTEXT_SECRET_MAX 2048
#define IKE_CONTEXT_ADD_KES 7	/* RFC 9370 */

enum ike_context_field {
	IKE_CONTEXT_IKE_SA = 0x0201,
	IKE_CONTEXT_HOSTS = 0x0202,
	IKE_CONTEXT_MESSAGE_IDS = 0x0203,
	IKE_CONTEXT_PROPOSAL = 0x0204,
	IKE_CONTEXT_ADDITIONAL_KES = 0x0205,
	IKE_CONTEXT_NONCES = 0x0206,
	IKE_CONTEXT_DH_SECRETS = 0x0207,
	IKE_CONTEXT_REKEYED = 0x0208,
	IKE_CONTEXT_SKEYSEED = 0x0209,
	IKE_CONTEXT_SK = 0x020a,
	IKE_CONTEXT_IDENTITIES = 0x020b,
	IKE_CONTEXT_EAP_IDENTITY = 0x020c,
	IKE_CONTEXT_CREDENTIALS = 0x020d,
	IKE_CONTEXT_CONDITIONS = 0x020e,
	IKE_CONTEXT_EXTENSIONS = 0x020f,
	IKE_CONTEXT_VIRTUAL_IPS = 0x0210,
	IKE_CONTEXT_PEER_ADDRESSES = 0x0211,
	IKE_CONTEXT_WINDOW = 0x0212,
	IKE_CONTEXT_LIFETIME = 0x0213,
	IKE_CONTEXT_VENDOR_ID_LIST = 0x0214,
	IKE_CONTEXT_CHILD_SAS = 0x0215,
	IKE_CONTEXT_FIELD_END,
};

/* Which keys are in it; each can be made of the one before. */
enum ike_context_case {
	IKE_CONTEXT_DH = 1,	/* DH secrets and nonces: what charon takes */
	IKE_CONTEXT_SEED = 2,	/* SKEYSEED and nonces */
	IKE_CONTEXT_KEYS = 3,	/* SK_* */
};

struct ike_identity {
	uint8_t type;		/* RFC 7296, 3.5 */
	struct ike_part id;
};

/* Parts stand in the bytes that it was read from, or in the store's SA. */
struct ike_context {
	struct ha_ike_id id;
	struct ha_addr local, remote;
	uint32_t mid_i, mid_r;	/* next request of ours, of the peer; 0: none yet */
	struct ike_algs algs;
	struct ike_part add_kes;	/* u16, network order, each */
	enum ike_context_case keys_case;
	struct ike_part ni, nr;
	struct {
		struct ike_part secret, more;
	} exchange[IKE_STORE_ADDS];
	unsigned int exchanges;
	bool rekeyed;		/* case 1: it came of another one */
	struct ha_ike_id old;
	uint16_t old_prf;
	struct ike_part old_skd;
	struct ike_keys keys;	/* case 2: seed alone; case 3: all but it */
	struct ike_identity local_id, remote_id;
	bool has_eap_id;
	struct ike_identity eap_id;
	struct ike_part config;	/* the connection that has its credentials */
	uint32_t conditions[2], extensions[2];
	unsigned int n_conditions, n_extensions;
	struct ha_addr local_vip[IKE_CONTEXT_VIPS], remote_vip[IKE_CONTEXT_VIPS];
	unsigned int local_vips, remote_vips;
	struct ha_addr peer_addr[IKE_CONTEXT_PEER_ADDRS];
	unsigned int peer_addrs;
	uint32_t window;	/* requests; 0: not told */
	bool has_lifetime;
	uint32_t age, rekey, reauth;	/* seconds; until then, 0: never */
	struct ike_part vendor_id[IKE_CONTEXT_VENDOR_IDS];
	unsigned int vendor_ids;
	struct buf children;	/* {u32 inbound, u32 outbound SPI}, network order */
	struct ike_part extra;	/* bytes with fields that are not known, passed on */
};

/*
 * ike_context_of_sa - the context of an IKE SA, in place
 * What charon does not tell (window, lifetime, vendor ids) is left out: the caller
 * may know. ctx is ready for ike_context_exit on failure, too.
 * Return: 0; -ENOENT: it is not established; -EOPNOTSUPP: IKEv1, or (cases 2 and 3)
 * an algorithm that is not known here; -EMSGSIZE: more of something than fits;
 * -EIO; -ENOMEM.
 */
int ike_context_of_sa(const struct ike_sa *sa, enum ike_context_case keys_case,
		      struct ike_context *ctx);

/* The canonical bytes, appended. 0; -EINVAL: not a context; -EMSGSIZE; -ENOMEM. */
int ike_context_encode(const struct ike_context *ctx, struct buf *out);

/*
 * ike_context_decode - check a whole context and read it, in place
 * Return: 0; -EBADMSG: malformed, not canonical, or fields missing; -EOPNOTSUPP: an
 * unknown mandatory field; -ENOMEM. ctx is ready for ike_context_exit always.
 */
int ike_context_decode(const uint8_t *p, size_t len, struct ike_context *ctx,
		       struct field_error *why);
const char *ike_context_error_str(const struct field_error *e, char *to,
				  size_t size);
/* Wipes what is its own. */
void ike_context_exit(struct ike_context *ctx);

/* Gets one message. Not 0: no more of them; ike_context_play returns it. */
typedef int ike_context_fn(void *arg, const struct ha_msg *msg);

/*
 * ike_context_play - the messages that make it in a charon that has not got it
 * @version: of charon's HA protocol
 * Return: 0; -EOPNOTSUPP: charon takes DH secrets only (case 1); -ENOMEM.
 */
int ike_context_play(const struct ike_context *ctx, uint8_t version,
		     ike_context_fn *fn, void *arg);

/* Case 1 to 2, or either of them to 3. 0; -EOPNOTSUPP; -EINVAL: there is no way; -EIO. */
int ike_context_derive(struct ike_context *ctx, enum ike_context_case to);

/* For people and machines; keys are told by their length. New; NULL: no memory. */
json_t *ike_context_json(const struct ike_context *ctx);

#endif
