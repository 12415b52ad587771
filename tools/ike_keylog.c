// SPDX-License-Identifier: GPL-2.0
/*
 * In: IKE SAs and Child SAs, of the store.
 * Out: their keys, as lines of the tables that Wireshark and tshark decrypt with.
 * A debugging aid: whoever calls it has asked who may.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike_keylog.h"
#include "ike_keys.h"

/*
 * Wireshark's names (packet-isakmp.c, packet-ipsec.c), as 4.0 has them, of Debian 12: a
 * table with one that it does not know it refuses as a whole. So no ChaCha20.
 */
struct name {
	uint16_t id, bits;	/* bits: 0 for any */
	const char *name;
};

static const struct name ike_encr[] = {
	{ IKE_ENCR_3DES, 0, "3DES [RFC2451]" },
	{ IKE_ENCR_NULL, 0, "NULL [RFC2410]" },
	{ IKE_ENCR_AES_CBC, 128, "AES-CBC-128 [RFC3602]" },
	{ IKE_ENCR_AES_CBC, 192, "AES-CBC-192 [RFC3602]" },
	{ IKE_ENCR_AES_CBC, 256, "AES-CBC-256 [RFC3602]" },
	{ IKE_ENCR_AES_CTR, 128, "AES-CTR-128 [RFC5930]" },
	{ IKE_ENCR_AES_CTR, 192, "AES-CTR-192 [RFC5930]" },
	{ IKE_ENCR_AES_CTR, 256, "AES-CTR-256 [RFC5930]" },
	{ IKE_ENCR_AES_CCM_8, 128, "AES-CCM-128 with 8 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_8, 192, "AES-CCM-192 with 8 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_8, 256, "AES-CCM-256 with 8 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_12, 128, "AES-CCM-128 with 12 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_12, 192, "AES-CCM-192 with 12 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_12, 256, "AES-CCM-256 with 12 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_16, 128, "AES-CCM-128 with 16 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_16, 192, "AES-CCM-192 with 16 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_CCM_16, 256, "AES-CCM-256 with 16 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_8, 128, "AES-GCM-128 with 8 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_8, 192, "AES-GCM-192 with 8 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_8, 256, "AES-GCM-256 with 8 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_12, 128, "AES-GCM-128 with 12 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_12, 192, "AES-GCM-192 with 12 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_12, 256, "AES-GCM-256 with 12 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_16, 128, "AES-GCM-128 with 16 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_16, 192, "AES-GCM-192 with 16 octet ICV [RFC5282]" },
	{ IKE_ENCR_AES_GCM_16, 256, "AES-GCM-256 with 16 octet ICV [RFC5282]" },
	{}
};

static const struct name ike_integ[] = {
	{ IKE_INTEG_NONE, 0, "NONE [RFC4306]" },
	{ IKE_INTEG_HMAC_MD5_96, 0, "HMAC_MD5_96 [RFC2403]" },
	{ IKE_INTEG_HMAC_SHA1_96, 0, "HMAC_SHA1_96 [RFC2404]" },
	{ IKE_INTEG_HMAC_SHA1_160, 0, "HMAC_SHA1_160 [RFC4595]" },
	{ IKE_INTEG_HMAC_SHA2_256_128, 0, "HMAC_SHA2_256_128 [RFC4868]" },
	{ IKE_INTEG_HMAC_SHA2_384_192, 0, "HMAC_SHA2_384_192 [RFC4868]" },
	{ IKE_INTEG_HMAC_SHA2_512_256, 0, "HMAC_SHA2_512_256 [RFC4868]" },
	{}
};

static const struct name esp_encr[] = {
	{ IKE_ENCR_NULL, 0, "NULL" },
	{ IKE_ENCR_3DES, 0, "TripleDES-CBC [RFC2451]" },
	{ IKE_ENCR_AES_CBC, 0, "AES-CBC [RFC3602]" },
	{ IKE_ENCR_AES_CTR, 0, "AES-CTR [RFC3686]" },
	{ IKE_ENCR_AES_GCM_8, 0, "AES-GCM with 8 octet ICV [RFC4106]" },
	{ IKE_ENCR_AES_GCM_12, 0, "AES-GCM with 12 octet ICV [RFC4106]" },
	{ IKE_ENCR_AES_GCM_16, 0, "AES-GCM with 16 octet ICV [RFC4106]" },
	{}
};

static const struct name esp_integ[] = {
	{ IKE_INTEG_NONE, 0, "NULL" },
	{ IKE_INTEG_HMAC_MD5_96, 0, "HMAC-MD5-96 [RFC2403]" },
	{ IKE_INTEG_HMAC_SHA1_96, 0, "HMAC-SHA-1-96 [RFC2404]" },
	{ IKE_INTEG_HMAC_SHA2_256_128, 0, "HMAC-SHA-256-128 [RFC4868]" },
	{ IKE_INTEG_HMAC_SHA2_384_192, 0, "HMAC-SHA-384-192 [RFC4868]" },
	{ IKE_INTEG_HMAC_SHA2_512_256, 0, "HMAC-SHA-512-256 [RFC4868]" },
	{ IKE_INTEG_AES_XCBC_96, 0, "ANY 96 bit authentication [no checking]" },
	{ IKE_INTEG_AES_CMAC_96, 0, "ANY 96 bit authentication [no checking]" },
	{}
};

static const char *find(const struct name *list, uint16_t id, uint16_t bits)
{
	for (; list->name; list++) {
		if (list->id == id && (!list->bits || list->bits == bits))
			return list->name;
	}
	return NULL;
}

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

static void put_hex(struct buf *out, const void *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < len; i++) {
		buf_put(out, &digits[b[i] >> 4], 1);
		buf_put(out, &digits[b[i] & 15], 1);
	}
}

static void put_keys(struct buf *out, const struct ike_key *one, const struct ike_key *two,
		     const char *name)
{
	put_hex(out, one->p, one->len);
	put_text(out, ",");
	put_hex(out, two->p, two->len);
	put_text(out, ",\"");
	put_text(out, name);
	put_text(out, "\"");
}

int ike_keylog_sa(struct buf *out, const struct ike_sa *sa)
{
	const char *encr, *integ;
	struct ike_keys keys;
	struct ike_algs a;
	int ret;

	ret = ike_keys_of_sa(sa, &a, &keys);
	if (ret)
		return ret;
	encr = find(ike_encr, a.encr, a.encr_bits);
	integ = find(ike_integ, ike_encr_is_aead(a.encr) ? 0 : a.integ, 0);
	if (encr && integ) {
		put_hex(out, sa->id.spi_i, 8);
		put_text(out, ",");
		put_hex(out, sa->id.spi_r, 8);
		put_text(out, ",");
		put_keys(out, &keys.ei, &keys.er, encr);
		put_text(out, ",");
		put_keys(out, &keys.ai, &keys.ar, integ);
		put_text(out, "\n");
	} else {
		ret = -EOPNOTSUPP;
	}
	ike_keys_wipe(&keys);
	return out->bad ? -ENOMEM : ret;
}

/* ---- Child SAs ---- */

struct direction {
	const struct ha_addr *src, *dst;
	uint32_t spi;		/* network order */
	const struct ike_key *encr, *integ;
};

static void put_direction(struct buf *out, const struct direction *d, const char *encr,
			  const char *integ)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN], text[256];

	inet_ntop(d->src->family, d->src->addr, src, sizeof(src));
	inet_ntop(d->dst->family, d->dst->addr, dst, sizeof(dst));
	snprintf(text, sizeof(text), "\"%s\",\"%s\",\"%s\",\"0x%08" PRIx32 "\",\"%s\",\"",
		 d->src->family == AF_INET ? "IPv4" : "IPv6", src, dst,
		 ntohl(d->spi), encr);
	put_text(out, text);
	put_text(out, d->encr->len ? "0x" : "");
	put_hex(out, d->encr->p, d->encr->len);
	put_text(out, "\",\"");
	put_text(out, integ);
	put_text(out, d->integ->len ? "\",\"0x" : "\",\"");
	put_hex(out, d->integ->p, d->integ->len);
	put_text(out, "\"\n");
}

/* What its IKE SA said of them last. */
static bool get_addr(const struct ike_sa *sa, uint8_t type, struct ha_msg *msg,
		     struct ha_addr *addr)
{
	const struct ha_attr *a = NULL;

	if (ike_store_parse(&sa->other, msg))
		a = ha_find(msg, type);
	if (!a && ike_store_parse(&sa->update, msg))
		a = ha_find(msg, type);
	if (a)
		*addr = a->addr;
	return a;
}

static int log_child(struct buf *out, const struct ike_child *c, struct ha_msg *msg,
		     const struct ike_algs *a, const struct ike_child_keys *k)
{
	const char *encr = find(esp_encr, a->encr, a->encr_bits);
	const char *integ = find(esp_integ, ike_encr_is_aead(a->encr) ? 0 :
				 a->integ, 0);
	const struct ike_sa *sa = ike_store_holder(c);
	const struct ha_attr *initiator;
	struct ha_addr local, remote;
	bool ours;

	if (!encr || !integ)
		return -EOPNOTSUPP;
	if (!get_addr(sa, HA_ATTR_LOCAL_ADDR, msg, &local) ||
	    !get_addr(sa, HA_ATTR_REMOTE_ADDR, msg, &remote) ||
	    !ike_store_parse(&c->add, msg))
		return -ENOENT;
	initiator = ha_find(msg, HA_ATTR_INITIATOR);
	ours = initiator && initiator->u8;
	put_direction(out, &(struct direction){ &local, &remote, c->out_spi,
			ours ? &k->ei : &k->er, ours ? &k->ai : &k->ar },
		      encr, integ);
	put_direction(out, &(struct direction){ &remote, &local, c->in_spi,
			ours ? &k->er : &k->ei, ours ? &k->ar : &k->ai },
		      encr, integ);
	return 0;
}

int ike_keylog_child(struct buf *out, const struct ike_child *c)
{
	struct ha_msg *msg = calloc(1, sizeof(*msg));
	struct ike_child_keys keys;
	struct ike_algs a;
	int ret = -ENOMEM;

	if (msg)
		ret = ike_keys_of_child(c, &a, &keys);
	if (!ret) {
		ret = log_child(out, c, msg, &a, &keys);
		ike_child_keys_wipe(&keys);
	}
	free(msg);
	return out->bad ? -ENOMEM : ret;
}
