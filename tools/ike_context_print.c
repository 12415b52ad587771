// SPDX-License-Identifier: GPL-2.0
/*
 * In: the context of an IKE SA.
 * Out: what stands in it, for people and machines; never a key.
 * Any process of the tool.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ike_context.h"

#define ID_IPV4 1
#define ID_FQDN 2
#define ID_RFC822 3
#define ID_IPV6 5

static json_t *hex_json(const char *before, const uint8_t *p, size_t len)
{
	char text[2 * UINT8_MAX + 40];
	size_t at = snprintf(text, sizeof(text), "%s", before), i;

	for (i = 0; i < len && at + 3 < sizeof(text); i++)
		at += snprintf(text + at, sizeof(text) - at, "%02x", p[i]);
	return json_string(text);
}

/* Names that somebody else chose: nothing in them moves a terminal. */
static json_t *text_json(const struct ike_part *p)
{
	const uint8_t *b = p->p;
	char text[UINT8_MAX + 1];
	size_t i;

	for (i = 0; i < p->len && i < sizeof(text) - 1; i++)
		text[i] = b[i] >= 0x20 && b[i] < 0x7f ? b[i] : '?';
	text[i] = 0;
	return json_string(text);
}

static json_t *identity_json(const struct ike_identity *id)
{
	char text[INET6_ADDRSTRLEN];

	if (id->type == ID_IPV4 && id->id.len == 4)
		return json_string(inet_ntop(AF_INET, id->id.p, text, sizeof(text)));
	if (id->type == ID_IPV6 && id->id.len == 16)
		return json_string(inet_ntop(AF_INET6, id->id.p, text, sizeof(text)));
	if (id->type == ID_FQDN || id->type == ID_RFC822)
		return text_json(&id->id);
	snprintf(text, sizeof(text), "type %u: 0x", id->type);
	return hex_json(text, id->id.p, id->id.len);
}

static json_t *address_json(const struct ha_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	return json_string(inet_ntop(a->family, a->addr, text, sizeof(text)));
}

static json_t *host_json(const struct ha_addr *a)
{
	return json_pack("{s:o, s:i}", "address", address_json(a), "port", a->port);
}

static json_t *hosts_json(const struct ha_addr *a, unsigned int n, bool ports)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < n; i++)
		json_array_append_new(list, ports ? host_json(&a[i]) :
						    address_json(&a[i]));
	return list;
}

static json_t *bits_json(const uint32_t *v, unsigned int n)
{
	json_t *list = json_array();
	unsigned int i;
	char text[16];

	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "0x%08" PRIx32, v[i]);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *proposal_json(const struct ike_algs *a)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:i}", "encr", a->encr, "encr_bits",
			 a->encr_bits, "integ", a->integ, "prf", a->prf, "dh",
			 a->dh);
}

static json_t *add_kes_json(const struct ike_part *p)
{
	struct rd r = { .p = p->p, .left = p->len };
	json_t *list = json_array();

	while (r.left)
		json_array_append_new(list, json_integer(rd_u16(&r)));
	return list;
}

static json_t *spis_json(const struct ha_ike_id *id)
{
	uint8_t spis[16];

	memcpy(spis, id->spi_i, 8);
	memcpy(spis + 8, id->spi_r, 8);
	return json_pack("{s:o, s:o}", "initiator", hex_json("", spis, 8),
			 "responder", hex_json("", spis + 8, 8));
}

/* A heading, as context_print wants one. */
static json_t *name_json(const struct ha_ike_id *id)
{
	uint8_t spis[16];

	memcpy(spis, id->spi_i, 8);
	memcpy(spis + 8, id->spi_r, 8);
	return hex_json("IKE SA ", spis, 16);
}

/* Bytes of each; the nonces went over the network, but are of no use to anybody. */
static json_t *keys_json(const struct ike_context *c)
{
	json_t *o = json_pack("{s:i}", "case", c->keys_case);

	if (c->keys_case != IKE_CONTEXT_KEYS)
		json_object_set_new(o, "nonces", json_pack("[I, I]",
			(json_int_t)c->ni.len, (json_int_t)c->nr.len));
	if (c->keys_case == IKE_CONTEXT_DH)
		json_object_set_new(o, "exchanges", json_integer(c->exchanges));
	else if (c->keys_case == IKE_CONTEXT_SEED)
		json_object_set_new(o, "skeyseed", json_integer(c->keys.seed.len));
	else
		json_object_set_new(o, "sk_d", json_integer(c->keys.d.len));
	return o;
}

static json_t *children_json(const struct ike_context *c)
{
	struct rd r = { .p = c->children.data, .left = c->children.len };
	json_t *list = json_array();
	char in[16], out[16];

	while (r.left >= 8) {
		snprintf(in, sizeof(in), "0x%08" PRIx32, rd_u32(&r));
		snprintf(out, sizeof(out), "0x%08" PRIx32, rd_u32(&r));
		json_array_append_new(list, json_pack("{s:s, s:s}", "in", in, "out",
						      out));
	}
	return list;
}

static json_t *vendor_ids_json(const struct ike_context *c)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < c->vendor_ids; i++)
		json_array_append_new(list, hex_json("", c->vendor_id[i].p,
						     c->vendor_id[i].len));
	return list;
}

static void put_optional(json_t *o, const struct ike_context *c)
{
	if (c->add_kes.len)
		json_object_set_new(o, "additional_kes", add_kes_json(&c->add_kes));
	if (c->rekeyed)
		json_object_set_new(o, "rekeyed", spis_json(&c->old));
	if (c->has_eap_id)
		json_object_set_new(o, "eap_identity", identity_json(&c->eap_id));
	if (c->local_vips + c->remote_vips)
		json_object_set_new(o, "virtual_ips", json_pack("{s:o, s:o}",
			"local", hosts_json(c->local_vip, c->local_vips, false),
			"remote", hosts_json(c->remote_vip, c->remote_vips, false)));
	if (c->peer_addrs)
		json_object_set_new(o, "peer_addresses",
				    hosts_json(c->peer_addr, c->peer_addrs, true));
	if (c->window)
		json_object_set_new(o, "window", json_integer(c->window));
	if (c->has_lifetime)
		json_object_set_new(o, "lifetime", json_pack("{s:I, s:I, s:I}",
			"age", (json_int_t)c->age, "rekey", (json_int_t)c->rekey,
			"reauth", (json_int_t)c->reauth));
	if (c->vendor_ids)
		json_object_set_new(o, "vendor_ids", vendor_ids_json(c));
	json_object_set_new(o, "child_sas", children_json(c));
}

json_t *ike_context_json(const struct ike_context *c)
{
	json_t *o;

	o = json_pack("{s:o, s:i, s:b, s:o, s:o, s:o, s:{s:I, s:I}, s:o, s:o, s:{s:o, s:o}, s:o}",
		      "name", name_json(&c->id),
		      "version", c->id.version, "initiator", c->id.initiator,
		      "spis", spis_json(&c->id), "local", host_json(&c->local),
		      "remote", host_json(&c->remote),
		      "message_ids", "own", (json_int_t)c->mid_i,
		      "peer", (json_int_t)c->mid_r,
		      "proposal", proposal_json(&c->algs), "keys", keys_json(c),
		      "identities", "local", identity_json(&c->local_id),
		      "remote", identity_json(&c->remote_id),
		      "credentials", text_json(&c->config));
	if (!o)
		return NULL;
	json_object_set_new(o, "conditions",
			    bits_json(c->conditions, c->n_conditions));
	json_object_set_new(o, "extensions",
			    bits_json(c->extensions, c->n_extensions));
	put_optional(o, c);
	return o;
}
