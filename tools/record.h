/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: records of the module's netlink family, or of the wire.
 * Out: struct record, the live state of one SA, and its printed forms.
 * Runs in any process of the tool; holds no keys.
 */
#ifndef XFRMSYNC_TOOLS_RECORD_H
#define XFRMSYNC_TOOLS_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <netinet/in.h>

#include <jansson.h>
#include <libmnl/libmnl.h>

#define RECORD_BMP_WORDS 128	/* 4096 packets */

/* What names an SA in the SAD (RFC 4301, 4.4.2; the mark is Linux's). */
struct sa_id {
	uint16_t family;	/* AF_INET, AF_INET6 */
	uint8_t proto;		/* IPPROTO_ESP, _AH, _COMP */
	uint32_t spi;		/* network order */
	uint8_t dst[16];	/* network order; IPv4 in the first four, rest 0 */
	uint32_t mark;		/* host order */
	uint32_t mark_mask;
};

/* Counters are host order; times are wall-clock seconds of the node that
 * holds the SA, 0 for never.
 */
struct record {
	struct sa_id id;
	uint8_t src[16];
	uint8_t mode;		/* XFRM_MODE_* */
	uint8_t dir;		/* enum xfrmsync_dir */
	uint32_t if_id;
	uint32_t reqid;
	uint32_t flags;		/* XFRMSYNC_RECORD_F_* */
	uint64_t tag;		/* incarnation, 0 for none */
	uint64_t cookie;	/* life of the SA in this kernel */
	uint64_t oseq;		/* last outbound number drawn */
	uint64_t seq;		/* highest inbound number */
	uint32_t window;	/* packets */
	uint32_t bmp_words;	/* words used in bmp */
	uint64_t bytes, packets;
	uint64_t add_time, use_time, last_used;
	uint32_t replay_window_errors, replay_errors, integrity_errors;
	uint64_t age_ns;	/* of the oldest change told */
	uint64_t lease_end;	/* 0: no limit known */
	uint64_t given_end;	/* ranges were given out up to here, 0 for none */
	bool has_sent;		/* oseq is what a restore wrote, and */
	uint64_t sent;		/* the highest number known to be sent is this */
	uint64_t guard_end;	/* 0: no limit */
	bool set_guard;		/* bind only: guard_end is meant */
	bool keep_flags;	/* bind only: flags are not */
	uint32_t guard;		/* of the wire: how far a standby leads the window */
	bool exposed;		/* of the wire: more was accepted than the receiver covered */
	uint32_t restore_flags;	/* XFRMSYNC_RESTORE_F_*, restore only */
	bool has_expect;	/* restore only: oseq that the SA must have */
	uint64_t expect_oseq;
	uint32_t bmp[RECORD_BMP_WORDS];		/* bmp_words of them mean something */
};

/* None of it, but for what bmp has, which no word of means anything. */
void record_init(struct record *r);
/* No more of bmp than means something. */
void record_copy(struct record *to, const struct record *from);

/* True when both name the same SA. */
bool sa_id_equal(const struct sa_id *a, const struct sa_id *b);
/* For qsort() and bsearch(): of struct sa_id, or of what begins with one. */
int sa_id_order(const void *a, const void *b);
/* A hash for tables; not for anything that needs secrecy. */
uint32_t sa_id_hash(const struct sa_id *id);
/* "esp 192.0.2.1 spi 0x00001000" [+ " mark 0x1/0xff"] into buf; returns buf. */
const char *sa_id_str(const struct sa_id *id, char *buf, size_t len);

/*
 * record_parse - read the attributes of one record
 * @attr: first attribute; @len: bytes of all of them
 * Return: 0, -EINVAL (an attribute has a wrong length, or identity is missing).
 */
int record_parse(const void *attr, size_t len, struct record *r);

/*
 * record_parse_plain - read the first one of several that are plain
 * Return: how many bytes it takes; 0: it is malformed.
 */
size_t record_parse_plain(const void *p, size_t len, struct record *r);
/* Likewise for restore or bind, which is no merge. NULL: it has no room before end. */
void *record_put_plain(void *p, const void *end, const struct record *r);
/* Of an answer, as the module puts it: for who stands for it. */
void *record_put_plain_answer(void *p, const void *end, const struct record *r);

/* record_put - write a record's attributes (identity, tag, counters, window,
 * lifetimes, restore flags) for restore or bind. Return: 0 or -EMSGSIZE.
 */
int record_put(struct nlmsghdr *nlh, size_t buflen, const struct record *r);

/* A number of the window, not above seq: by the kernel's own order of the bits. */
bool record_has_seen(const struct record *r, uint64_t n);

/* A JSON object as DESIGN's `show --json` says; caller owns the reference. */
json_t *record_json(const struct record *r);
/* The inverse, of an object that the daemon mirrors. Return: 0 or -EINVAL. */
int record_from_json(const json_t *o, struct record *r);

/* Words of the field, as the JSON form has them. */
const char *record_proto_str(uint8_t proto);
const char *record_mode_str(uint8_t mode);
const char *record_dir_str(uint8_t dir);
/* "esn bmp dying" into buf, "" for none; returns buf. */
const char *record_flags_str(uint32_t flags, char *buf, size_t len);

#endif
