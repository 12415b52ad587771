/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: options that name SAs, the same for every verb that takes them.
 * Out: which records are meant.
 * One verb a process.
 */
#ifndef XFRMSYNC_TOOLS_SA_SELECT_H
#define XFRMSYNC_TOOLS_SA_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd.h"
#include "record.h"

struct sa_address {
	uint16_t family;	/* 0: not asked for */
	uint8_t addr[16];	/* network order */
};

/* Zeroed: all SAs. */
struct sa_select {
	uint16_t family;	/* 0: any */
	uint8_t proto;		/* 0: any */
	struct sa_address src, dst;
	bool has_spi, has_reqid;
	uint32_t spi;		/* network order */
	uint32_t reqid;
};

/* A verb's own options begin behind these. */
enum { SA_OPT_FAMILY = CMD_OWN, SA_OPT_PROTO, SA_OPT_SRC, SA_OPT_DST,
       SA_OPT_SPI, SA_OPT_REQID, SA_OPT_OWN };

#define SA_SELECT_LONG \
	{ "family", required_argument, NULL, SA_OPT_FAMILY }, \
	{ "proto", required_argument, NULL, SA_OPT_PROTO }, \
	{ "src", required_argument, NULL, SA_OPT_SRC }, \
	{ "dst", required_argument, NULL, SA_OPT_DST }, \
	{ "spi", required_argument, NULL, SA_OPT_SPI }, \
	{ "reqid", required_argument, NULL, SA_OPT_REQID }

#define SA_SELECT_HELP \
	"      --family F     only inet, or only inet6\n" \
	"      --proto P      only esp, ah or comp\n" \
	"      --src ADDRESS  only from there\n" \
	"      --dst ADDRESS  only to there\n" \
	"      --spi SPI      only this SPI (0x... or decimal)\n" \
	"      --reqid N      only this reqid\n"

/* One of the options above, with its value. False: the value makes no sense. */
bool sa_select_option(struct sa_select *s, int option, const char *value);

/* Nothing was asked for: all SAs are meant. */
bool sa_select_is_all(const struct sa_select *s);
bool sa_select_match(const struct sa_select *s, const struct record *r);

#endif
