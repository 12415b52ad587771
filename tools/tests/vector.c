// SPDX-License-Identifier: GPL-2.0
/*
 * In: tests/vectors/NAME.hex, hex digits with comments.
 * Out: the bytes.
 * Host only; run from the tool's folder, as make does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "vector.h"

#define LINE 512

static void take_line(struct buf *b, const char *line)
{
	uint8_t bytes[LINE / 2];
	const char *end;
	size_t len;

	assert_int_equal(sodium_hex2bin(bytes, sizeof(bytes), line,
					strcspn(line, "#\n"), " \t", &len, &end), 0);
	assert_true(*end == '#' || *end == '\n');
	buf_put(b, bytes, len);
}

struct buf vector_read(const char *name)
{
	struct buf b = {};
	char line[LINE];
	FILE *f;

	snprintf(line, sizeof(line), "tests/vectors/%s.hex", name);
	f = fopen(line, "re");
	if (!f)
		fail_msg("%s: no such vector", line);
	while (fgets(line, sizeof(line), f))
		take_line(&b, line);
	fclose(f);
	assert_false(b.bad);
	assert_true(b.len > 0);
	return b;
}

void vector_equal(const char *name, const struct buf *vector, const void *p,
		  size_t len)
{
	const uint8_t *bytes = p;
	size_t i;

	for (i = 0; i < len && i < vector->len; i++) {
		if (bytes[i] != vector->data[i])
			fail_msg("%s: byte %zu is %02x, not %02x", name, i,
				 bytes[i], vector->data[i]);
	}
	if (len != vector->len)
		fail_msg("%s: %zu bytes, not %zu", name, len, vector->len);
}
