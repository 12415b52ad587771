// SPDX-License-Identifier: GPL-2.0
/*
 * In: what stands on charon's vici socket.
 * Out: no packet, or one that is walked to its end, or to where it is bad.
 * libFuzzer's harness: the client of vici.
 */
#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"
#include "vici.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vici_reader v = {};
	struct vici_packet p;
	struct vici_item item;
	struct vici_words w;
	size_t left, i;
	int ret;

	if (vici_get_packet(data, size, &p) != 1)
		return 0;
	assert(p.len <= size && p.message.left < p.len);
	v.r = p.message;
	do {
		left = v.r.left;
		ret = vici_next(&v, &item);
		assert(ret != 1 || v.r.left < left);
	} while (ret == 1);
	assert((vici_get_words(p.message, "conns", &w) < 0) == (ret < 0));
	for (i = 0; i < w.n; i++)
		assert(vici_has_word(&w, w.word[i].p, w.word[i].len));
	free(w.word);
	return 0;
}
