/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: SAs and policies as XFRM netlink tells them, or as a peer sent them.
 * Out: contexts, their canonical form (Documentation/wire.rst), and back.
 * Pure but for interface names; the bytes hold keys: wipe them, log none.
 *
 * A context is a list of fields (field.h). What moves with each packet
 * (counters, window, lifetime used) is not in it, so that two contexts are
 * equal when their parameters are. context_sa.c has what is of SAs,
 * context_policy.c what is of policies, context_same.c compares.
 */
#ifndef XFRMSYNC_TOOLS_CONTEXT_H
#define XFRMSYNC_TOOLS_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/netlink.h>

#include "buf.h"
#include "field.h"
#include "record.h"

#define CONTEXT_MAX 65536	/* bytes of one context */
#define CONTEXT_KEY_MAX 128	/* bytes of a policy's key */

enum context_field {
	CONTEXT_SA_ID = 0x0001,
	CONTEXT_SELECTOR = 0x0002,
	CONTEXT_SEL_DEVICE = 0x0003,
	CONTEXT_LIFETIME = 0x0004,
	CONTEXT_SA_FLAGS = 0x0005,
	CONTEXT_REPLAY = 0x0006,
	CONTEXT_AEAD = 0x0007,
	CONTEXT_AUTH = 0x0008,
	CONTEXT_CRYPT = 0x0009,
	CONTEXT_COMP = 0x000a,
	CONTEXT_ENCAP = 0x000b,
	CONTEXT_COADDR = 0x000c,
	CONTEXT_MARK = 0x000d,
	CONTEXT_SET_MARK = 0x000e,
	CONTEXT_IF_ID = 0x000f,
	CONTEXT_TFC_PAD = 0x0010,
	CONTEXT_SEC_CTX = 0x0011,
	CONTEXT_MTIMER = 0x0012,
	CONTEXT_OFFLOAD = 0x0013,
	CONTEXT_DIR = 0x0014,
	CONTEXT_KEEPALIVE = 0x0015,
	CONTEXT_PCPU = 0x0016,
	CONTEXT_PMTU = 0x0017,
	CONTEXT_POLICY = 0x0040,
	CONTEXT_TEMPLATES = 0x0041,
	CONTEXT_VENDOR_BASE = 0x8000,	/* | number of the XFRM attribute */
};

/* What of an SA's context is of use without its keys. */
struct context_sa {
	struct sa_id id;
	uint8_t src[16];	/* network order */
	uint8_t mode;
	uint8_t dir;		/* enum xfrmsync_dir */
	uint32_t reqid, if_id;
	bool large;		/* replay_esn state */
	bool esn;
	uint32_t window;	/* packets */
	uint32_t bmp_words;	/* of the large state */
	bool packet_offload;	/* a NIC counts, unseen by the kernel */
	uint32_t out_mark;	/* by which its outer packets are routed */
	uint32_t pmtu;		/* of their path, bytes; 0: nothing is known */
	uint16_t encap_sport;	/* in UDP, of its sender; network order; 0: it is not */
};

#define CONTEXT_TEMPLATES_MAX 6	/* XFRM_MAX_DEPTH */

/* What a policy asks of an SA. */
struct context_template {
	uint16_t family;
	uint8_t proto, mode;
	uint32_t spi;		/* network order; 0: any */
	uint32_t reqid;		/* 0: any */
	bool optional;		/* level use */
	bool has_dst, has_src;	/* else the packet's own, or any */
	uint8_t dst[16], src[16];
};

/* What of a policy's context is of use. */
struct context_policy {
	uint8_t key[CONTEXT_KEY_MAX];	/* dir, type, selector, mark, if_id */
	size_t key_len;
	uint8_t dir;
	uint32_t if_id, mark, mark_mask;
	unsigned int templates;
	uint16_t family;	/* of the first template */
	uint8_t src[16], dst[16];	/* its end points, or the selector's */
	uint32_t reqid;
	bool optional;		/* an ESP or AH template is: plaintext may pass */
	struct context_template template[CONTEXT_TEMPLATES_MAX];
	uint16_t sel_family;
	uint8_t sel_src[16], sel_dst[16];
	uint8_t sel_src_len, sel_dst_len;	/* bits */
	bool unreadable;	/* refused, and any SA may be what it is for */
	bool named;		/* its selector could be read */
};

/* What is wrong with a context, in words that name the field. Returns to. */
const char *context_error_str(const struct field_error *e, char *to, size_t size);

/* True if it says that it is an SA's; it may be malformed. */
bool context_is_sa(const uint8_t *p, size_t len);

/*
 * context_from_sa - a context from XFRM_MSG_NEWSA or _UPDSA
 * @nlh: the message, of the kernel
 * @out: empty; the caller wipes it
 * Return: 0; -EBADMSG (the message is cut); -EOPNOTSUPP (keys withheld by
 * lockdown, or a state that has none yet); -ENOMEM.
 */
int context_from_sa(const struct nlmsghdr *nlh, struct buf *out);

/*
 * context_sa_info - check a whole SA context, and read its outline
 * @info: its id is there on failure, too, if the field could be read
 * @why: NULL, or gets what is wrong with which field
 * Return: 0; -EBADMSG (malformed, not canonical, or fields missing);
 * -EOPNOTSUPP (an unknown mandatory field); -ENODEV (its selector is for an
 * interface that is gone: nobody is told of it, but all of info is there).
 */
int context_sa_info(const uint8_t *p, size_t len, struct context_sa *info,
		    struct field_error *why);

/*
 * context_to_sa - the body and attributes of XFRM_MSG_NEWSA or _UPDSA
 * @live: counters, window, lifetimes (times of this node's clock) that the SA
 *        is born with; NULL leaves them out (update). For an SA with a
 *        direction the other direction's counter is left 0: 6.12 insists.
 * @nlh: header in place, body appended; at most buflen bytes in all
 * Return: 0; -EBADMSG, -EOPNOTSUPP as above; -ENODEV (the selector names an
 * interface that is not here); -EMSGSIZE.
 */
int context_to_sa(const uint8_t *p, size_t len, const struct record *live,
		  struct nlmsghdr *nlh, size_t buflen, struct field_error *why);

/* Another SPI in its place; p is a valid SA's. */
void context_set_spi(uint8_t *p, size_t len, uint32_t spi);

/*
 * context_with_pmtu - a copy that says the path MTU
 * @pmtu: bytes; 0, or where there is no room for it: the copy says nothing of it
 * @out: empty, the caller wipes it; out->bad where there is no memory
 */
void context_with_pmtu(const uint8_t *p, size_t len, uint32_t pmtu,
		       struct buf *out);

/* True when there is a key in one of its algorithms. */
bool context_has_keys(const uint8_t *p, size_t len);

/* Incarnation: BLAKE2b-64 with a key of 32 bytes over identity and keys; not 0. */
uint64_t context_tag(const uint8_t *p, size_t len, const uint8_t key[32]);

/* True when both, valid, have the same identity and the same key material; of IPComp,
 * which has none, the same source, mode, reqid and interface id.
 */
bool context_same_keys(const uint8_t *a, size_t alen, const uint8_t *b,
		       size_t blen);

/* True when all that is mandatory is the same; both valid. */
bool context_same_parameters(const uint8_t *a, size_t alen, const uint8_t *b,
			     size_t blen);

/*
 * context_keep_unknown - what this version, or this kernel, does not know stays
 * @old: the context as it was told; valid
 * @ctx: what the kernel tells now; gets the fields of O and V that it has not, where
 *       all that is mandatory is the same in both: else it was changed here
 * Return: 0 or -ENOMEM; ctx is as it was then.
 */
int context_keep_unknown(const uint8_t *old, size_t len, struct buf *ctx);

/*
 * context_lost - O and V fields that a kernel was given, and does not tell
 * @p: what it was given; valid
 * @now: what it tells
 * @all: those as well that no kernel is given, as this version does not know them
 * @buf: their names, as many as there is room for; "" where there are none
 * Return: how many. What is told to a node alone (PMTU, OFFLOAD) does not count.
 */
size_t context_lost(const uint8_t *p, size_t len, const uint8_t *now,
		    size_t now_len, bool all, char *buf, size_t size);

/* The same for policies: XFRM_MSG_NEWPOLICY or _UPDPOLICY. */
int context_from_policy(const struct nlmsghdr *nlh, struct buf *out);
/*
 * On failure, too, info has the policy's name and templates, as far as they can be
 * told, so that nobody uses an SA that has to have it; else it is unreadable. Its
 * key is then of these bytes.
 */
int context_policy_info(const uint8_t *p, size_t len,
			struct context_policy *info, struct field_error *why);
/* For people; good until the next call. */
const char *context_policy_name(const struct context_policy *info);
/* An order of policies' names; 0: it is the same name, in the kernel as well. */
int context_key_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen);
int context_to_policy(const uint8_t *p, size_t len, struct nlmsghdr *nlh,
		      size_t buflen, struct field_error *why);
/*
 * True when the first one, whose interface is gone (context_policy_info said -ENODEV),
 * may be the other one: they are the same but for that.
 */
bool context_policy_was_for(const struct context_policy *gone,
			    const struct context_policy *pol);
/* True when one of its templates asks for an SA like that (xfrm_state_look_at). */
bool context_policy_uses(const struct context_policy *pol,
			 const struct context_sa *sa);
/* True when one of those is optional: without the SA, its traffic passes in clear. */
bool context_policy_spares(const struct context_policy *pol,
			   const struct context_sa *sa);
/* Which of two SAs (struct context_sa) is first, by reqid and destination; for qsort. */
int context_sa_order(const void *a, const void *b);
/* One of n SAs, which are in that order, is used by it. */
bool context_policy_uses_any(const struct context_policy *pol,
			     const struct context_sa *sa, size_t n);
/* Its templates that name that SA by its SPI get another one; p is valid. True: one did. */
bool context_policy_set_spi(uint8_t *p, size_t len, const struct context_sa *sa,
			    uint32_t spi);
/* XFRM_MSG_DELPOLICY's body, from the policy's own context. */
int context_to_policy_id(const uint8_t *p, size_t len, struct nlmsghdr *nlh,
			 size_t buflen, struct field_error *why);

#endif
