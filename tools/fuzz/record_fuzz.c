// SPDX-License-Identifier: GPL-2.0
/*
 * In: the attributes of a record, as the module's netlink family tells them.
 * Out: what is taken is, put into a message or into JSON and read again, the same.
 * libFuzzer's harness: the record parser.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "record.h"

#define HDR MNL_ALIGN(sizeof(struct nlmsghdr))

static void check_message(const struct record *r)
{
	static char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct record got;

	assert(!record_put(nlh, sizeof(buf), r));
	assert(!record_parse(buf + HDR, nlh->nlmsg_len - HDR, &got));
	assert(sa_id_equal(&r->id, &got.id));
	assert(got.oseq == r->oseq && got.tag == r->tag);
	assert(got.bytes == r->bytes && got.packets == r->packets);
	assert(got.bmp_words == r->bmp_words);
	assert(!memcmp(got.bmp, r->bmp, r->bmp_words * sizeof(r->bmp[0])));
}

static void check_json(const struct record *r)
{
	json_t *o = record_json(r);
	struct record got;

	assert(o);
	assert(!record_from_json(o, &got));
	json_decref(o);
	assert(got.id.spi == r->id.spi && got.id.family == r->id.family);
	assert(!memcmp(got.id.dst, r->id.dst, 16));
	assert(got.oseq == r->oseq && got.seq == r->seq && got.tag == r->tag);
	assert(got.bmp_words == r->bmp_words);
	assert(!memcmp(got.bmp, r->bmp, r->bmp_words * sizeof(r->bmp[0])));
}

/* What it says, as a dump would have it: the same. */
static void check_plain(const struct record *r)
{
	static uint8_t buf[1024];
	const uint8_t *end = record_put_plain_answer(buf, buf + sizeof(buf), r);
	struct record got;

	assert(end);
	assert(record_parse_plain(buf, end - buf, &got) == (size_t)(end - buf));
	assert(sa_id_equal(&r->id, &got.id));
	assert(got.oseq == r->oseq && got.seq == r->seq && got.tag == r->tag);
	assert(got.sent == r->sent && got.has_sent == r->has_sent);
	assert(got.bmp_words == r->bmp_words);
	assert(!memcmp(got.bmp, r->bmp, r->bmp_words * sizeof(r->bmp[0])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record r;

	if (record_parse_plain(data, size, &r)) {
		check_plain(&r);
		check_json(&r);
	}
	if (record_parse(data, size, &r))
		return 0;
	check_message(&r);
	check_plain(&r);
	check_json(&r);
	return 0;
}
