// SPDX-License-Identifier: GPL-2.0
/*
 * In: packets of charon 5.9.8's vici socket, recorded, cut and changed.
 * Out: what vici.h promises of each.
 * Host only.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vici.h"

/* What get-conns answers: conns = [ site ]. */
static const uint8_t conns[] = {
	0, 0, 0, 16, 1, 4, 5, 'c', 'o', 'n', 'n', 's',
	5, 0, 4, 's', 'i', 't', 'e', 6,
};

/* daemon = charon-systemd, version = 5.9.8, as a part of what version answers. */
static const uint8_t version[] = {
	0, 0, 0, 41, 1,
	3, 6, 'd', 'a', 'e', 'm', 'o', 'n', 0, 14,
	'c', 'h', 'a', 'r', 'o', 'n', '-', 's', 'y', 's', 't', 'e', 'm', 'd',
	3, 7, 'v', 'e', 'r', 's', 'i', 'o', 'n', 0, 0,
	1, 1, 'x', 2, 2,
};

static const uint8_t unknown[] = { 0, 0, 0, 1, 2 };

/* In memory of its own, for the sanitizer to watch. */
static int get(const uint8_t *data, size_t len, struct vici_packet *p, uint8_t **copy)
{
	*copy = malloc(len ? len : 1);
	assert_non_null(*copy);
	memcpy(*copy, data, len);
	return vici_get_packet(*copy, len, p);
}

static void test_request(void **state)
{
	static const uint8_t want[] = {
		0, 0, 0, 11, 0, 9, 'g', 'e', 't', '-', 'c', 'o', 'n', 'n', 's',
	};
	struct vici_packet p;
	struct buf b = {};

	(void)state;
	vici_put_request(&b, VICI_CMD_REQUEST, "get-conns");
	assert_int_equal(b.len, sizeof(want));
	assert_memory_equal(b.data, want, sizeof(want));
	assert_int_equal(vici_get_packet(b.data, b.len, &p), 1);
	assert_int_equal(p.type, VICI_CMD_REQUEST);
	assert_string_equal(p.name, "get-conns");
	assert_int_equal(p.message.left, 0);
	assert_int_equal(p.len, b.len);
	buf_free(&b);
}

static void test_packet(void **state)
{
	struct vici_packet p;
	uint8_t *copy;
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(conns); len++) {
		assert_int_equal(get(conns, len, &p, &copy), 0);
		free(copy);
	}
	assert_int_equal(get(conns, len, &p, &copy), 1);
	assert_int_equal(p.type, VICI_CMD_RESPONSE);
	assert_string_equal(p.name, "");
	assert_int_equal(p.len, sizeof(conns));
	free(copy);
	assert_int_equal(get(unknown, sizeof(unknown), &p, &copy), 1);
	assert_int_equal(p.type, VICI_CMD_UNKNOWN);
	free(copy);
}

static void test_packet_bad(void **state)
{
	static const uint8_t empty[] = { 0, 0, 0, 0 };
	static const uint8_t large[] = { 0, 8, 0, 1 };
	static const uint8_t type[] = { 0, 0, 0, 1, 8 };
	static const uint8_t name[] = { 0, 0, 0, 3, 7, 2, 'x' };
	static const uint8_t nul[] = { 0, 0, 0, 4, 7, 2, 'x', 0 };
	struct vici_packet p;

	(void)state;
	assert_int_equal(vici_get_packet(empty, sizeof(empty), &p), -EBADMSG);
	assert_int_equal(vici_get_packet(large, sizeof(large), &p), -EMSGSIZE);
	assert_int_equal(vici_get_packet(type, sizeof(type), &p), -EBADMSG);
	assert_int_equal(vici_get_packet(name, sizeof(name), &p), -EBADMSG);
	assert_int_equal(vici_get_packet(nul, sizeof(nul), &p), -EBADMSG);
}

static int list_has(struct rd message, const char *list, const char *word)
{
	struct vici_words w;
	int ret = vici_get_words(message, list, &w);

	if (!ret)
		ret = vici_has_word(&w, word, strlen(word));
	free(w.word);
	return ret;
}

static void test_list(void **state)
{
	struct vici_packet p;

	(void)state;
	assert_int_equal(vici_get_packet(conns, sizeof(conns), &p), 1);
	assert_int_equal(list_has(p.message, "conns", "site"), 1);
	assert_int_equal(list_has(p.message, "conns", "sit"), 0);
	assert_int_equal(list_has(p.message, "conns", "site2"), 0);
	assert_int_equal(list_has(p.message, "conn", "site"), 0);
}

/* Of more than any table has room for at first, each is found, and nothing between them. */
static void test_long_list(void **state)
{
	struct vici_words w;
	struct buf b = {};
	char word[16];
	int i, n;

	(void)state;
	buf_put(&b, "\4\1l", 3);
	for (i = 999; i >= 0; i--) {
		n = snprintf(word, sizeof(word), "c%d", 2 * i);
		buf_u8(&b, VICI_LIST_ITEM);
		buf_u16(&b, n);
		buf_put(&b, word, n);
	}
	buf_put(&b, "\5\0\0\6", 4);	/* one without a letter */
	assert_int_equal(vici_get_words((struct rd){ .p = b.data, .left = b.len }, "l", &w), 0);
	assert_int_equal(w.n, 1001);
	for (i = 0; i < 2000; i++) {
		n = snprintf(word, sizeof(word), "c%d", i);
		assert_int_equal(vici_has_word(&w, word, n), i % 2 == 0);
	}
	assert_true(vici_has_word(&w, "", 0));
	free(w.word);
	buf_free(&b);
}

static void test_elements(void **state)
{
	struct vici_packet p;
	struct vici_reader v;
	struct vici_item item;

	(void)state;
	assert_int_equal(vici_get_packet(version, sizeof(version) - 1, &p), 0);
	assert_int_equal(vici_get_packet(version, sizeof(version), &p), 1);
	v = (struct vici_reader){ .r = p.message };
	assert_int_equal(vici_next(&v, &item), 1);
	assert_int_equal(item.what, VICI_KEY_VALUE);
	assert_string_equal(item.name, "daemon");
	assert_int_equal(item.value_len, 14);
	assert_memory_equal(item.value, "charon-systemd", 14);
	assert_int_equal(vici_next(&v, &item), 1);
	assert_string_equal(item.name, "version");
	assert_int_equal(item.value_len, 0);
	assert_int_equal(vici_next(&v, &item), 1);
	assert_int_equal(item.what, VICI_SECTION_START);
	assert_int_equal(v.depth, 1);
	assert_int_equal(vici_next(&v, &item), 1);
	assert_int_equal(item.what, VICI_SECTION_END);
	/* One section is closed twice. */
	assert_int_equal(vici_next(&v, &item), -EBADMSG);
}

static int walk(const uint8_t *message, size_t len)
{
	struct vici_reader v = { .r = { .p = message, .left = len } };
	struct vici_item item;
	int ret;

	while ((ret = vici_next(&v, &item)) == 1)
		;
	return ret;
}

static void test_nesting(void **state)
{
	static const uint8_t in_list[] = { 4, 1, 'l', 1, 1, 's', 2, 6 };
	static const uint8_t no_list[] = { 5, 0, 0 };
	static const uint8_t open_list[] = { 4, 1, 'l' };
	static const uint8_t open_section[] = { 1, 1, 's' };
	static const uint8_t no_such[] = { 7 };
	static const uint8_t cut_value[] = { 3, 1, 'k', 0, 2, 'v' };
	uint8_t deep[3 * (VICI_MAX_DEPTH + 1)];
	size_t i;

	(void)state;
	assert_int_equal(walk(NULL, 0), 0);
	assert_int_equal(walk(in_list, sizeof(in_list)), -EBADMSG);
	assert_int_equal(walk(no_list, sizeof(no_list)), -EBADMSG);
	assert_int_equal(walk(open_list, sizeof(open_list)), -EBADMSG);
	assert_int_equal(walk(open_section, sizeof(open_section)), -EBADMSG);
	assert_int_equal(walk(no_such, sizeof(no_such)), -EBADMSG);
	assert_int_equal(walk(cut_value, sizeof(cut_value)), -EBADMSG);
	for (i = 0; i < sizeof(deep); i += 3)
		memcpy(deep + i, open_section, 3);
	assert_int_equal(walk(deep, sizeof(deep)), -EBADMSG);
	/* A list within a section is another one than that outside. */
	assert_int_equal(list_has((struct rd){ .p = deep, .left = 3 }, "s", "x"), -EBADMSG);
}

static void test_list_in_section(void **state)
{
	static const uint8_t message[] = {
		1, 1, 's', 4, 1, 'l', 5, 0, 1, 'x', 6, 2,
	};
	const struct rd r = { .p = message, .left = sizeof(message) };

	(void)state;
	assert_int_equal(walk(message, sizeof(message)), 0);
	assert_int_equal(list_has(r, "l", "x"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_packet),
		cmocka_unit_test(test_packet_bad),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_list_in_section),
	};

	return cmocka_run_group_tests_name("vici", tests, NULL, NULL);
}
