// SPDX-License-Identifier: GPL-2.0
/*
 * In: strongswan.conf as people and packages write it, with files in it.
 * Out: the range of charon's SPIs, of charon's section and of no other.
 * Host only; in a folder of its own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "strongswan.h"

static char dir[] = "/tmp/xfrmsync-strongswan-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int range_of(const char *text, struct spi_range *r)
{
	char path[128];

	write_file("strongswan.conf", text);
	snprintf(path, sizeof(path), "%s/strongswan.conf", dir);
	return strongswan_spi_range(path, "charon", r);
}

static int setup(void **state)
{
	char path[128];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/strongswan.d", dir);
	return mkdir(path, 0700);
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

struct line {
	const char *text;
	int found;
	uint32_t min, max;
};

#define MIN 0xc0000000
#define MAX 0xcfffffff

static const struct line lines[] = {
	{ "", 0, MIN, MAX },
	{ "# charon { spi_min = 1 }\n", 0, MIN, MAX },
	{ "charon {\n\tspi_min = 0xc1000000\n\tspi_max = 0xc1ffffff\n}\n", 2,
	  0xc1000000, 0xc1ffffff },
	{ "charon { spi_min = 4096 # a comment }\n spi_max=8191 }", 2, 4096, 8191 },
	{ "charon\n{\nspi_min = \"0x1000\"   }\n", 1, 0x1000, MAX },
	{ "charon{spi_max=0x1000}", 1, MIN, 0x1000 },
	/* Other sections' are others. */
	{ "spi_min = 1\n", 0, MIN, MAX },
	{ "starter { spi_min = 1 }\n", 0, MIN, MAX },
	{ "charon { plugins { x { spi_min = 1 } } spi_max = 0x2000 }\n", 1, MIN, 0x2000 },
	{ "libtls { charon { spi_min = 1 } }\n", 0, MIN, MAX },
	{ "charon { a = b }\nspi_min = 1\n", 0, MIN, MAX },
	/* What stands later counts. */
	{ "charon { spi_min = 0x1000 }\ncharon { spi_min = 0x2000 }\n", 1, 0x2000, MAX },
	/* What is no number is none. */
	{ "charon { spi_min = many }\n", 0, MIN, MAX },
	{ "charon { spi_min = 0x1ffffffff }\n", 0, MIN, MAX },
	{ "charon { spi_min = -1 }\n", 0, MIN, MAX },
	/* Broken ones end. */
	{ "charon {", 0, MIN, MAX },
	{ "}}}} charon { spi_min =", 0, MIN, MAX },
	{ "charon { spi_min = 0x1000", 1, 0x1000, MAX },
	{ "= { = } include", 0, MIN, MAX },
};

static void test_lines(void **state)
{
	struct spi_range r;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		ret = range_of(lines[i].text, &r);
		if (ret != lines[i].found || r.min != lines[i].min ||
		    r.max != lines[i].max)
			fail_msg("\"%s\": %d, %#x-%#x", lines[i].text, ret,
				 r.min, r.max);
	}
}

/* As Debian has it. */
static void test_include(void **state)
{
	struct spi_range r;

	(void)state;
	write_file("strongswan.d/charon.conf",
		   "# Options for charon\ncharon {\n    # spi_min = 0x1\n\n"
		   "    spi_min = 0xc2000000\n    dos_protection = no\n}\n");
	write_file("strongswan.d/local.conf", "spi_max = 0xc2ffffff\n");
	assert_int_equal(range_of("charon {\n\tload_modular = yes\n\tplugins {\n"
				  "\t\tinclude strongswan.d/none/*.conf\n\t}\n"
				  "\tinclude strongswan.d/local.conf\n}\n"
				  "include strongswan.d/*.conf\n", &r), 2);
	assert_int_equal(r.min, 0xc2000000);
	assert_int_equal(r.max, 0xc2ffffff);
	/* One that has itself in it ends. */
	assert_int_equal(range_of("include strongswan.conf\ncharon { spi_min = 0x100 }",
				  &r), 1);
	assert_int_equal(r.min, 0x100);
}

/* Debian's unit is charon-systemd: what its section does not say, charon's does. */
static void test_systemd(void **state)
{
	struct spi_range r;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/strongswan.conf", dir);
	assert_int_equal(range_of("charon-systemd { spi_min = 0x2000 }\n"
				  "charon { spi_min = 0x1000\nspi_max = 0x3000 }\n",
				  &r), 2);
	assert_int_equal(r.min, 0x1000);
	assert_int_equal(strongswan_spi_range(path, "charon-systemd", &r), 2);
	assert_int_equal(r.min, 0x2000);
	assert_int_equal(r.max, 0x3000);
	range_of("charon-systemd { plugins { x { spi_min = 1 } } }\n", &r);
	assert_int_equal(strongswan_spi_range(path, "charon-systemd", &r), 0);
	assert_int_equal(r.min, MIN);
}

static void test_missing(void **state)
{
	struct spi_range r;

	(void)state;
	assert_int_equal(strongswan_spi_range("/nonexistent/strongswan.conf",
					      "charon", &r), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_systemd),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests_name("strongswan", tests, setup, teardown);
}
