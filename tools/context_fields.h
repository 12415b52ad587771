/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the fields of a context, and the values that SAs and policies both have.
 * Out: each checked by its rule; from and to XFRM netlink's form.
 * Pure but for interface names; the bytes may hold keys.
 */
#ifndef XFRMSYNC_TOOLS_CONTEXT_FIELDS_H
#define XFRMSYNC_TOOLS_CONTEXT_FIELDS_H

#include <net/if.h>
#include <stdbool.h>
#include <linux/xfrm.h>

#include "buf.h"
#include "context.h"
#include "field.h"
#include "xfrm_attr.h"

#define ALG_NAME_MAX 63
#define ALG_KEY_MAX 4096	/* bytes */
#define TEMPLATES_MAX CONTEXT_TEMPLATES_MAX
#define TEMPLATE_LEN 60

enum context_kind { CONTEXT_IS_SA, CONTEXT_IS_POLICY };

/* All the fields of a context; those of V and unknown O stay unread in it. */
struct fields {
	struct field known[CONTEXT_TEMPLATES + 1];
	bool has[CONTEXT_TEMPLATES + 1];
	bool bad[CONTEXT_TEMPLATES + 1];	/* fields_salvage: there, but wrong */
	bool others;		/* there are some that are not known */
	const uint8_t *start;
	size_t len;
	bool whole;		/* all of the list was read */
	struct field_error *why;
};

/*
 * fields_read - check a list of fields against the rules of its kind
 * @why: gets what is wrong; kept in fs
 * Every known field that is there has a right length then, and none is missing.
 * Return: 0; -EBADMSG; -EOPNOTSUPP (an unknown mandatory field).
 */
int fields_read(const uint8_t *p, size_t len, enum context_kind kind,
		struct fields *fs, struct field_error *why);
/*
 * fields_salvage - what can be read of a list that is refused
 * Known fields that are as they should be are there then; those that are not are
 * bad, and unknown ones left out. False: the list itself is broken.
 */
bool fields_salvage(const uint8_t *p, size_t len, enum context_kind kind,
		    struct fields *fs, struct field_error *why);
/* A value that is not what it should be: says so, and returns -EBADMSG. */
int fields_bad(const struct fields *fs, uint16_t type, const char *what);

/* A field of one u32; *v stays where the field is missing. */
void fields_get_u32(const struct fields *fs, uint16_t type, uint32_t *v);
bool fields_get_mark(const struct fields *fs, uint16_t type, uint32_t *v,
		     uint32_t *m);
/* 0; -EBADMSG; -ENODEV: whole, but the interface was gone where it was read. */
int fields_get_selector(const struct fields *fs, struct xfrm_selector *sel);
/* The same with the interface's number here; -ENODEV: it is not here. */
int fields_selector_here(const struct fields *fs, struct xfrm_selector *sel);
void fields_get_lifetime(const struct fields *fs, struct xfrm_lifetime_cfg *lft);

struct alg {
	char name[ALG_NAME_MAX + 1];
	uint32_t key_bits, param;
	const uint8_t *key;	/* in place */
	size_t key_len;
};

/* Of AEAD, AUTH, CRYPT or COMP, which is there. 0 or -EBADMSG. */
int fields_get_alg(const struct fields *fs, uint16_t type, struct alg *alg);
/* An address has one form: IPv4 stands in the first four bytes, zeros follow. */
bool fields_is_addr(uint16_t family, const void *addr);
/* Its name in the documents; NULL: not known. */
const char *fields_name(uint16_t type);

/* From the kernel's message; what it does not have is left out. */
void fields_put_addr(struct buf *b, uint16_t family, const xfrm_address_t *addr);
void fields_put_selector(struct buf *b, const struct xfrm_selector *sel);
void fields_put_lifetime(struct buf *b, const struct xfrm_lifetime_cfg *lft);
void fields_put_mark(struct buf *b, const struct xfrm_attrs *a);
void fields_put_sec_ctx(struct buf *b, const struct xfrm_attrs *a);
void fields_put_offload(struct buf *b, const struct xfrm_attrs *a);
void fields_put_attr_u32(struct buf *b, const struct xfrm_attrs *a, int attr,
			 uint16_t type, enum field_class class);
void fields_put_vendor(struct buf *b, const struct xfrm_attrs *a);

/* To the kernel's message; what is not in the context is left out. */
void fields_to_mark(struct xfrm_msg *m, const struct fields *fs);
void fields_to_sec_ctx(struct xfrm_msg *m, const struct fields *fs);
void fields_to_u32(struct xfrm_msg *m, const struct fields *fs, uint16_t field,
		   uint16_t attr);
void fields_to_vendor(struct xfrm_msg *m, const struct fields *fs);

#endif
