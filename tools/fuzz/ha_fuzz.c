// SPDX-License-Identifier: GPL-2.0
/*
 * In: a datagram that may be of charon's ha plugin.
 * Out: what is taken is the same when it is built again; what is not has a reason.
 * libFuzzer's harness: the parser of charon's messages.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "ha.h"

static struct ha_msg msg, again;

static void check_refusal(int ret, const struct ha_error *why)
{
	char text[160];

	assert(ret == -EBADMSG || ret == -EOPNOTSUPP);
	assert(why->what);
	assert(ha_error_str(why, text, sizeof(text))[0]);
}

static void check_attrs(void)
{
	uint16_t i;

	assert(msg.n <= HA_ATTRS_MAX);
	for (i = 0; i < msg.n; i++) {
		assert(ha_attr_kind(msg.attr[i].type));
		assert(strcmp(ha_attr_str(msg.attr[i].type), "?"));
		assert(ha_find(&msg, msg.attr[i].type) <= &msg.attr[i]);
	}
	assert(strcmp(ha_type_str(msg.type), "?"));
	if (ha_ike_id(&msg))
		assert(ha_ike_id_equal(ha_ike_id(&msg), ha_ike_id(&msg)));
}

/* In another version: refused, or the same attributes. */
static void check_version(uint8_t version)
{
	struct ha_error why = {};
	struct buf b = {};
	int ret;

	msg.version = version;
	ret = ha_build(&msg, &b, &why);
	assert(!ret || ret == -EOPNOTSUPP);
	if (ret)
		assert(why.what);
	else if (!ha_parse(b.data, b.len, &again, NULL))
		assert(again.n == msg.n);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ha_error why = {};
	struct buf b = {};
	uint8_t version;
	int ret;

	ret = ha_parse(data, size, &msg, &why);
	if (ret) {
		check_refusal(ret, &why);
		return 0;
	}
	check_attrs();
	assert(!ha_build(&msg, &b, &why));
	assert(b.len == size && !memcmp(b.data, data, size));
	buf_free(&b);
	for (version = HA_VERSION_MIN; version <= HA_VERSION_MAX; version++)
		check_version(version);
	return 0;
}
