// SPDX-License-Identifier: GPL-2.0
/*
 * In: an IP packet that may be IKE's; what stands in it, as an IKE message.
 * Out: the message is within the packet; nobody has made it who has not got the keys.
 * libFuzzer's harness: what is heard after a takeover.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "ike_message.h"
#include "ike_packet.h"

static const struct ike_algs algs[] = {
	{ .encr = IKE_ENCR_AES_CBC, .encr_bits = 128, .integ = IKE_INTEG_HMAC_SHA2_256_128 },
	{ .encr = IKE_ENCR_AES_GCM_16, .encr_bits = 128 },
	{ .encr = IKE_ENCR_CHACHA20_POLY1305 },
	{ .encr = IKE_ENCR_3DES },
};

/* 128 bits of a check sum are not found by chance. */
static void check(const uint8_t *p, size_t len)
{
	struct ike_keys keys = {
		.ei = { .len = 20 }, .er = { .len = 20 }, .ai = { .len = 32 }, .ar = { .len = 32 },
	};
	struct ike_header h;
	size_t i;
	int ret;

	memset(keys.ai.p, 1, sizeof(keys.ai.p));
	memset(keys.ar.p, 2, sizeof(keys.ar.p));
	memset(keys.ei.p, 3, sizeof(keys.ei.p));
	memset(keys.er.p, 4, sizeof(keys.er.p));
	for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		keys.ei.len = keys.er.len = i == 2 ? 36 : 20;
		ret = ike_message_check(&algs[i], &keys, p, len);
		assert(ret == -EBADMSG || ret == -EOPNOTSUPP);
		if (!ike_message_header(p, len, &h))
			assert(ret == -EBADMSG);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *msg;
	struct ike_way way;
	size_t len;

	check(data, size);
	if (!ike_packet_read(data, size, &way, &msg, &len))
		return 0;
	assert(msg > data && msg <= data + size && len <= size - (msg - data));
	assert(way.dport == IKE_PORT || way.dport == IKE_PORT_NAT);
	check(msg, len);
	return 0;
}
