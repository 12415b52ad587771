// SPDX-License-Identifier: GPL-2.0
/*
 * In: ranges of SPIs, as people write them.
 * Out: what is in them, once each; where two have something in common.
 * Host only.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "spi.h"

static void test_parse(void **state)
{
	static const char *const wrong[] = {
		"", "-", "0x100", "0x100-", "-0x200", "0xff-0x200", "0-0", "0x200-0x1ff",
		"0x100-0x200 ", " 0x100-0x200", "0x100 - 0x200", "+256-512", "0x100-0x1ffffffff",
		"0x100--1", "0x-0x200", "256-512-1024", "c0000000-cfffffff",
	};
	struct spi_range r;
	char buf[32];
	size_t i;

	(void)state;
	assert_true(spi_range_parse("0xC0000000-0xcfffffff", &r));
	assert_int_equal(r.min, 0xc0000000);
	assert_int_equal(r.max, 0xcfffffff);
	assert_string_equal(spi_range_str(&r, buf, sizeof(buf)),
			    "0xc0000000-0xcfffffff");
	assert_true(spi_range_parse("256-256", &r));
	assert_true(spi_range_parse("0x100-0xffffffff", &r));
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (spi_range_parse(wrong[i], &r))
			fail_msg("\"%s\" is a range", wrong[i]);
	assert_string_equal(spi_range_str(&(struct spi_range){}, buf, sizeof(buf)),
			    "none");
}

static void test_overlap(void **state)
{
	const struct spi_range a = { 0x1000, 0x1fff }, b = { 0x2000, 0x2fff };
	const struct spi_range end = { 0x1fff, 0x2000 }, in = { 0x1100, 0x1100 };
	const struct spi_range none = {};

	(void)state;
	assert_false(spi_range_overlap(&a, &b));
	assert_false(spi_range_overlap(&b, &a));
	assert_true(spi_range_overlap(&a, &end));
	assert_true(spi_range_overlap(&end, &b));
	assert_true(spi_range_overlap(&in, &a));
	assert_true(spi_range_overlap(&a, &in));
	assert_false(spi_range_overlap(&a, &none));
	assert_false(spi_range_overlap(&none, &none));
	assert_true(spi_range_within(&in, &a));
	assert_true(spi_range_within(&a, &a));
	assert_false(spi_range_within(&a, &in));
	assert_false(spi_range_within(&end, &a));
}

/* Each once, wherever it begins. */
static void test_search(void **state)
{
	const struct spi_range r = { 0x1000, 0x100f };
	struct spi_search s;
	uint32_t spi, seen, i;

	(void)state;
	for (i = 0; i < 100; i++) {
		seen = 0;
		spi_search_begin(&s, &r, IPPROTO_ESP);
		while (spi_search_next(&s, &spi)) {
			assert_in_range(ntohl(spi), 0x1000, 0x100f);
			assert_false(seen & 1u << (ntohl(spi) & 15));
			seen |= 1u << (ntohl(spi) & 15);
		}
		assert_int_equal(seen, 0xffff);
	}
}

static void check_within(const struct spi_range *r, uint8_t proto, uint32_t min,
			 uint32_t max, size_t want)
{
	struct spi_search s;
	uint32_t spi;
	size_t n = 0;

	spi_search_begin(&s, r, proto);
	for (; spi_search_next(&s, &spi); n++)
		assert_in_range(ntohl(spi), min, max);
	assert_int_equal(n, want);
}

static void test_bounds(void **state)
{
	(void)state;
	check_within(&(struct spi_range){}, IPPROTO_ESP, 0x100, UINT32_MAX,
		     SPI_TRIES);
	check_within(&(struct spi_range){}, IPPROTO_COMP, 0x100, 0xffff,
		     SPI_TRIES);
	check_within(&(struct spi_range){ 0xffff0, UINT32_MAX }, IPPROTO_COMP,
		     0x100, 0xffff, SPI_TRIES);
	check_within(&(struct spi_range){ 0xfff0, UINT32_MAX }, IPPROTO_COMP,
		     0xfff0, 0xffff, 16);
	check_within(&(struct spi_range){ UINT32_MAX, UINT32_MAX }, IPPROTO_ESP,
		     UINT32_MAX, UINT32_MAX, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests_name("spi", tests, NULL, NULL);
}
