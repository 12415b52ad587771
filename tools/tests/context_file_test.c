// SPDX-License-Identifier: GPL-2.0
/*
 * In: files of contexts, sealed and plain, and what may happen to them.
 * Out: the same entries again; a line that says why not.
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "context_file.h"
#include "durable.h"

#define NOW 1000000

static const struct secret key = { .key = { 1 }, .len = 32 };
static const struct secret foreign = { .key = { 2 }, .len = 32 };
static char dir[] = "/tmp/xfrmsync-file.XXXXXX";
static char path[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void write_file(const struct secret *with)
{
	struct context_file f = { .saved_at = NOW, .node = "gw-a" };
	struct record rec = {
		.oseq = 0x123456789aULL, .seq = 7, .bmp_words = 1, .bmp = { 9 },
		.bytes = 5, .add_time = NOW - 60,
	};

	context_file_begin(&f);
	context_file_put_sa(&f, &rec, rec.oseq, CONTEXT_ENTRY_STOPPED,
			    (const uint8_t *)"context", 7);
	rec.oseq = 2;
	context_file_put_sa(&f, &rec, 1, 0, (const uint8_t *)"other", 5);
	context_file_put_policy(&f, (const uint8_t *)"policy", 6);
	assert_int_equal(context_file_write(&f, path, with), 0);
	context_file_free(&f);
}

static void read_back(const struct secret *with, uint64_t now, uint64_t added)
{
	struct context_entry e;
	struct context_file f;
	struct rd r = {};
	char err[200];

	assert_int_equal(context_file_read(&f, path, with, true, err, sizeof(err)), 0);
	assert_string_equal(f.node, "gw-a");
	assert_int_equal(f.saved_at, NOW);
	assert_int_equal(f.sas, 2);
	assert_int_equal(f.policies, 1);
	assert_int_equal(context_file_next(&f, &r, now, &e), 1);
	assert_int_equal(e.kind, CONTEXT_ENTRY_SA);
	assert_int_equal(e.flags, CONTEXT_ENTRY_STOPPED);
	assert_int_equal(e.rec.oseq, 0x123456789aULL);
	assert_int_equal(e.rec.bmp[0], 9);
	assert_int_equal(e.rec.add_time, added);
	assert_int_equal(e.context_len, 7);
	assert_memory_equal(e.context, "context", 7);
	assert_int_equal(context_file_next(&f, &r, now, &e), 1);
	assert_int_equal(e.flags, 0);
	assert_int_equal(context_file_next(&f, &r, now, &e), 1);
	assert_int_equal(e.kind, CONTEXT_ENTRY_POLICY);
	assert_memory_equal(e.context, "policy", 6);
	assert_int_equal(context_file_next(&f, &r, now, &e), 0);
	context_file_free(&f);
}

static void test_round_trip(void **state)
{
	struct stat st;

	(void)state;
	write_file(&key);
	/* Its age grew with the time it lay there; clocks that differ are no reason. */
	read_back(&key, NOW + 500, NOW - 60);
	read_back(&key, NOW - 500, NOW - 560);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	write_file(NULL);
	read_back(NULL, NOW, NOW - 60);
	read_back(&key, NOW, NOW - 60);
}

static void refused(const struct secret *with, const char *why)
{
	struct context_file f;
	char err[200], want[200];

	assert_int_equal(context_file_read(&f, path, with, true, err, sizeof(err)), -1);
	snprintf(want, sizeof(want), "%s: %s", path, why);
	assert_string_equal(err, want);
}

static uint8_t raw[4096];
static size_t raw_len;

static void slurp(void)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	raw_len = fread(raw, 1, sizeof(raw), f);
	fclose(f);
}

static void spill(size_t len)
{
	assert_int_equal(durable_write(path, raw, len, 0600), 0);
}

/* Whatever byte is changed or missing, nothing of it is used. */
static void damage(const struct secret *with)
{
	struct context_file f;
	char err[200];
	size_t i;

	write_file(with);
	slurp();
	for (i = 0; i < raw_len; i++) {
		spill(i);
		assert_int_equal(context_file_read(&f, path, with, true, err,
						   sizeof(err)), -1);
		raw[i] ^= 4;
		spill(raw_len);
		assert_int_equal(context_file_read(&f, path, with, true, err,
						   sizeof(err)), -1);
		raw[i] ^= 4;
	}
}

static void test_refused(void **state)
{
	(void)state;
	write_file(&key);
	refused(NULL, "it is sealed: the cluster's key is needed (key_file, or --key)");
	refused(&foreign, "it is cut, was changed, or is sealed with another key");
	slurp();
	/* Not for keys in clear: the form cannot be changed without the seal. */
	raw[10] = 0;
	spill(raw_len);
	refused(&key, "it is cut, or was changed");
	raw[10] = 1;
	raw[9] = 2;
	spill(raw_len);
	refused(&key, "it is of another version of xfrmsync");
	raw[0] = 'x';
	spill(raw_len);
	refused(&key, "it is no file of contexts");
	unlink(path);
	refused(&key, "No such file or directory");
	damage(&key);
	damage(NULL);
}

/* More than a piece of the seal, and than the memory that was taken at first. */
static void test_large(void **state)
{
	struct context_file f = { .saved_at = NOW };
	struct record rec = { .oseq = 5 };
	struct context_entry e;
	struct rd r = {};
	char err[200];
	size_t i;

	(void)state;
	context_file_begin(&f);
	for (i = 0; i < 5000; i++)
		context_file_put_sa(&f, &rec, 5, 0, (const uint8_t *)"a context", 9);
	assert_int_equal(context_file_write(&f, path, &key), 0);
	context_file_free(&f);
	assert_int_equal(context_file_read(&f, path, &key, true, err, sizeof(err)), 0);
	for (i = 0; i < 5000; i++)
		assert_int_equal(context_file_next(&f, &r, NOW, &e), 1);
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 0);
	context_file_free(&f);
}

/* Counts that add up only where they wrap around. */
static void test_counts(void **state)
{
	struct context_file f = { .saved_at = NOW };

	(void)state;
	context_file_begin(&f);
	context_file_put_policy(&f, (const uint8_t *)"policy", 6);
	context_file_put_policy(&f, (const uint8_t *)"policy", 6);
	f.sas = 3;
	f.policies = UINT32_MAX;
	assert_int_equal(context_file_write(&f, path, NULL), 0);
	context_file_free(&f);
	refused(NULL, "it is malformed");
}

/* As in HELLO: what is behind a zero, nobody would see. */
static void test_name(void **state)
{
	struct context_file f = { .saved_at = NOW, .node = "gw-a" };

	(void)state;
	context_file_begin(&f);
	f.body.data[9 + 2] = 0;
	assert_int_equal(context_file_write(&f, path, NULL), 0);
	context_file_free(&f);
	refused(NULL, "it is malformed");
}

/* Whoever replaces a sealed file by one of his own has no key for it. */
static void test_plain(void **state)
{
	struct context_file f;
	char err[200];

	(void)state;
	write_file(NULL);
	assert_int_equal(context_file_read(&f, path, &key, false, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "it is not sealed: --plain"));
}

/* One entry that is malformed does not hide the next. */
static void test_bad_entry(void **state)
{
	struct context_file f = { .saved_at = NOW };
	struct record rec = { .oseq = 5 };
	struct context_entry e;
	struct rd r = {};
	size_t at;

	(void)state;
	context_file_begin(&f);
	context_file_put_sa(&f, &rec, 5, 0, (const uint8_t *)"one", 3);
	/* A value that stands there though it is zero. */
	f.body.data[f.first + 8 + 13] = 0;
	context_file_put_sa(&f, &rec, 5, 0, (const uint8_t *)"two", 3);
	at = f.body.len;
	context_file_put_policy(&f, (const uint8_t *)"pol", 3);
	f.body.data[at + 3] = 1;
	assert_int_equal(context_file_next(&f, &r, NOW, &e), -EBADMSG);
	/* What it is of can be told all the same. */
	assert_int_equal(e.kind, CONTEXT_ENTRY_SA);
	assert_int_equal(e.context_len, 3);
	assert_memory_equal(e.context, "one", 3);
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 1);
	assert_memory_equal(e.context, "two", 3);
	assert_int_equal(context_file_next(&f, &r, NOW, &e), -EBADMSG);
	assert_int_equal(e.kind, CONTEXT_ENTRY_POLICY);
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 0);
	context_file_free(&f);
}

/* IKE SAs are read of what the cluster's key vouches for, and written nowhere else. */
static void test_ike(void **state)
{
	struct context_file f = { .saved_at = NOW, .node = "gw-a" }, plain;
	struct context_entry e;
	struct rd r = {};
	char err[200];

	(void)state;
	context_file_begin(&f);
	plain = f;
	context_file_put_ike(&f, CONTEXT_ENTRY_ENDED, (const uint8_t *)"ike", 3);
	assert_int_equal(context_file_write(&f, path, NULL), -EPERM);
	assert_int_equal(context_file_write(&f, path, &key), 0);
	/* As somebody else would write it. */
	f.ike_ended = 0;
	assert_int_equal(context_file_read(&plain, path, &key, false, err, sizeof(err)), 0);
	assert_int_equal(plain.ike_ended, 1);
	assert_int_equal(plain.sas + plain.policies + plain.ike_sas, 0);
	assert_int_equal(context_file_next(&plain, &r, NOW, &e), 1);
	assert_int_equal(e.kind, CONTEXT_ENTRY_IKE);
	assert_int_equal(e.flags, CONTEXT_ENTRY_ENDED);
	assert_int_equal(e.context_len, 3);
	assert_memory_equal(e.context, "ike", 3);
	assert_int_equal(context_file_next(&plain, &r, NOW, &e), 0);
	context_file_free(&plain);
	assert_int_equal(context_file_write(&f, path, NULL), 0);
	refused(&key, "it has IKE SAs, and is not sealed: nobody vouches for them");
	context_file_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_ike),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_bad_entry),
	};

	return cmocka_run_group_tests_name("context file", tests, set_up, tear_down);
}
