// SPDX-License-Identifier: GPL-2.0
/*
 * In: records.
 * Out: exactly the text that people see.
 * Host only; in UTC, at a fixed second.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/xfrm.h>
#include <linux/xfrmsync.h>

#include "print.h"

#define NOW 1700000100

static struct print p = { .now = NOW };
static char *text;
static size_t text_len;

static void begin(bool colour)
{
	p.colour = colour;
	p.out = open_memstream(&text, &text_len);
	assert_non_null(p.out);
}

static void assert_printed(const char *want)
{
	fclose(p.out);
	assert_string_equal(text, want);
	free(text);
}

static struct record outbound(void)
{
	struct record r = {
		.id = { .family = AF_INET, .proto = IPPROTO_ESP,
			.spi = htonl(0xc0000001), .dst = { 198, 51, 100, 100 } },
		.src = { 198, 51, 100, 2 },
		.mode = XFRM_MODE_TUNNEL,
		.dir = XFRMSYNC_DIR_OUT,
		.reqid = 1,
		.flags = XFRMSYNC_RECORD_F_ESN | XFRMSYNC_RECORD_F_BMP,
		.tag = 0x0123456789abcdef,
		.cookie = 5,
		.oseq = 123456,
		.bytes = 1300000,
		.packets = 123456,
		.add_time = NOW - 7300,
		.use_time = NOW - 7200,
		.last_used = NOW - 3,
		.age_ns = 1200000,
		.lease_end = 1073741824,
	};

	return r;
}

static struct record inbound(void)
{
	struct record r = {
		.id = { .family = AF_INET6, .proto = IPPROTO_AH,
			.spi = htonl(0x300), .mark = 5, .mark_mask = 0xff,
			.dst = { 0xfd, [15] = 2 } },
		.src = { 0xfd, [15] = 1 },
		.mode = XFRM_MODE_TRANSPORT,
		.dir = XFRMSYNC_DIR_IN,
		.flags = XFRMSYNC_RECORD_F_DYING,
		.seq = 40,
		.window = 32,
		.bmp_words = 1,
		.bmp = { 0xfffffffd },
		.packets = 39,
		.bytes = 1000,
		.replay_window_errors = 1,
		.replay_errors = 2,
		.integrity_errors = 3,
	};

	return r;
}

static void test_table(void **state)
{
	struct record r[] = { outbound(), inbound() };

	(void)state;
	begin(false);
	assert_int_equal(print_table(&p, r, 2), 0);
	assert_printed(
"DIR  PROTO  SPI         SOURCE        DESTINATION     MARK      REQID    SENT  RECEIVED  LEASE LEFT  PACKETS    BYTES   USED  UNTOLD  FLAGS\n"
"out  esp    0xc0000001  198.51.100.2  198.51.100.100                1  123456         -      1.07 G   123456  1.2 MiB    3 s  1.2 ms  esn bmp\n"
"in   ah     0x00000300  fd00::1       fd00::2         0x5/0xff      -       -        40           -       39   1000 B  never          dying\n");
}

/* What nobody has does not take a column; nothing stands behind the last word. */
static void test_table_small(void **state)
{
	struct record r[2];

	(void)state;
	r[0] = outbound();
	r[0].lease_end = 0;
	r[0].dir = XFRMSYNC_DIR_UNKNOWN;
	r[0].age_ns = 0;
	r[0].reqid = 0;
	r[1] = r[0];
	r[1].flags = 0;
	begin(false);
	assert_int_equal(print_table(&p, r, 2), 0);
	assert_printed(
"PROTO  SPI         SOURCE        DESTINATION       SENT  PACKETS    BYTES  USED  FLAGS\n"
"esp    0xc0000001  198.51.100.2  198.51.100.100  123456   123456  1.2 MiB   3 s  esn bmp\n"
"esp    0xc0000001  198.51.100.2  198.51.100.100  123456   123456  1.2 MiB   3 s\n");
}

static void test_details(void **state)
{
	struct record out = outbound(), in = inbound();

	(void)state;
	begin(false);
	print_details(&p, &out);
	assert_printed(
"esp 0xc0000001  198.51.100.2 > 198.51.100.100  tunnel, out, reqid 1\n"
"  numbers   sent 123456, received 0 (ESN)\n"
"  lease     to 1073741824, 1.07 G left\n"
"  traffic   123456 packets, 1.2 MiB, last change untold for 1.2 ms\n"
"  times     added 2023-11-14 20:13:20 (2 h ago), first used 2023-11-14 20:15:00 (2 h ago), last used 2023-11-14 22:14:57 (3 s ago)\n"
"  errors    0 left of the window, 0 replayed, 0 not authentic\n"
"  identity  tag 0123456789abcdef, cookie 5, flags esn bmp\n");
	begin(false);
	print_details(&p, &in);
	assert_printed(
"ah 0x00000300  fd00::1 > fd00::2  transport, in, mark 0x5/0xff\n"
"  numbers   sent 0, received 40\n"
"  window    32 packets, 1 of the last 32 missing\n"
"            #.##############################\n"
"  traffic   39 packets, 1000 B\n"
"  times     added never, first used never, last used never\n"
"  errors    1 left of the window, 2 replayed, 3 not authentic\n"
"  identity  tag 0000000000000000, cookie 0, flags dying\n");
}

/* The ring: number n has bit (n - 1) % window. */
static void test_ring(void **state)
{
	struct record r = inbound();

	(void)state;
	r.flags = XFRMSYNC_RECORD_F_BMP;
	r.window = 64;
	r.bmp_words = 2;
	r.seq = 67;
	memset(r.bmp, 0, sizeof(r.bmp));
	r.bmp[0] = 0x4;		/* 67 */
	r.bmp[1] = 0x80000000;	/* 64 */
	begin(false);
	print_details(&p, &r);
	fclose(p.out);
	assert_non_null(strstr(text, "64 packets, 62 of the last 64 missing\n"));
	assert_non_null(strstr(text, "            #..#............................................................\n"));
	free(text);
}

/* A window that the bitmap does not hold must not be walked. */
static void test_hostile_window(void **state)
{
	struct record r = inbound();

	(void)state;
	r.window = UINT32_MAX;
	r.seq = UINT64_MAX;
	begin(false);
	print_details(&p, &r);
	fclose(p.out);
	assert_true(text_len < 1000);
	free(text);
}

static void test_line(void **state)
{
	struct record r = outbound();
	struct timespec at = { NOW, 7000000 };

	(void)state;
	begin(false);
	print_line(&p, &r, &at);
	assert_printed("22:15:00.007  out esp 0xc0000001 > 198.51.100.100  sent 123456  received 0  packets 123456  1.2 MiB  esn bmp\n");
	r = inbound();
	r.flags = XFRMSYNC_RECORD_F_DELETED | XFRMSYNC_RECORD_F_EXPIRED;
	begin(false);
	print_line(&p, &r, &at);
	assert_printed("22:15:00.007  in  ah 0x00000300 > fd00::2 mark 0x5/0xff  deleted expired\n");
}

static void test_colour(void **state)
{
	struct record r = inbound();
	struct timespec at = { NOW, 0 };

	(void)state;
	r.flags = XFRMSYNC_RECORD_F_DELETED;
	r.id.mark_mask = r.id.mark = 0;
	begin(true);
	print_line(&p, &r, &at);
	assert_printed("\033[2m22:15:00.000\033[0m\033[31m  in  ah 0x00000300 > fd00::2  deleted\033[0m\n");
}

static void test_units(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(print_bytes(0, buf, sizeof(buf)), "0 B");
	assert_string_equal(print_bytes(1023, buf, sizeof(buf)), "1023 B");
	assert_string_equal(print_bytes(1024, buf, sizeof(buf)), "1.0 KiB");
	assert_string_equal(print_bytes(1048575, buf, sizeof(buf)), "1.0 MiB");
	assert_string_equal(print_bytes(UINT64_MAX, buf, sizeof(buf)), "16.0 EiB");
	assert_string_equal(print_count(9999, buf, sizeof(buf)), "9999");
	assert_string_equal(print_count(10000, buf, sizeof(buf)), "10.0 k");
	assert_string_equal(print_count(999999, buf, sizeof(buf)), "1.00 M");
	assert_string_equal(print_count(1073741824, buf, sizeof(buf)), "1.07 G");
	assert_string_equal(print_count(UINT64_MAX, buf, sizeof(buf)), "18.4 E");
	assert_string_equal(print_duration(400, buf, sizeof(buf)), "0 us");
	assert_string_equal(print_duration(1500000, buf, sizeof(buf)), "1.5 ms");
	assert_string_equal(print_duration(61000000000, buf, sizeof(buf)), "61.0 s");
	assert_string_equal(print_age(&p, 0, buf, sizeof(buf)), "never");
	assert_string_equal(print_age(&p, NOW + 5, buf, sizeof(buf)), "0 s");
	assert_string_equal(print_age(&p, NOW - 119, buf, sizeof(buf)), "119 s");
	assert_string_equal(print_age(&p, NOW - 120, buf, sizeof(buf)), "2 min");
	assert_string_equal(print_age(&p, NOW - 7200, buf, sizeof(buf)), "2 h");
	assert_string_equal(print_age(&p, NOW - 200000, buf, sizeof(buf)), "2 d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_small),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_hostile_window),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_units),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
