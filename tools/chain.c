// SPDX-License-Identifier: GPL-2.0
/*
 * In: epochs in which nodes became active.
 * Out: those whose numbers are accounted for in what a node has.
 * Pure.
 */
#include <string.h>

#include "chain.h"

/* Where that node stands, or would. */
static size_t place(const struct chain *c, uint32_t node)
{
	size_t i;

	for (i = 0; i < c->n && c->at[i].node < node; i++)
		;
	return i;
}

static bool stands_at(const struct chain *c, size_t i, uint32_t node)
{
	return i < c->n && c->at[i].node == node;
}

bool chain_has(const struct chain *c, uint64_t epoch, uint32_t node)
{
	size_t i = place(c, node);

	return stands_at(c, i, node) && epoch <= c->at[i].epoch;
}

static void take_out(struct chain *c, size_t i)
{
	c->n--;
	memmove(&c->at[i], &c->at[i + 1], (c->n - i) * sizeof(c->at[0]));
	memset(&c->at[c->n], 0, sizeof(c->at[0]));
}

static void forget_oldest(struct chain *c)
{
	size_t i, oldest = 0;

	for (i = 1; i < c->n; i++) {
		if (c->at[i].epoch < c->at[oldest].epoch)
			oldest = i;
	}
	take_out(c, oldest);
}

void chain_add(struct chain *c, uint64_t epoch, uint32_t node)
{
	size_t i = place(c, node);

	if (!epoch)
		return;
	if (stands_at(c, i, node)) {
		if (epoch > c->at[i].epoch)
			c->at[i].epoch = epoch;
		return;
	}
	if (c->n == CHAIN_MAX) {
		forget_oldest(c);
		i = place(c, node);
	}
	memmove(&c->at[i + 1], &c->at[i], (c->n - i) * sizeof(c->at[0]));
	c->at[i].epoch = epoch;
	c->at[i].node = node;
	c->n++;
}

void chain_common(struct chain *c, const struct chain *other)
{
	size_t i = 0, j;

	while (i < c->n) {
		j = place(other, c->at[i].node);
		if (!stands_at(other, j, c->at[i].node)) {
			take_out(c, i);
			continue;
		}
		if (other->at[j].epoch < c->at[i].epoch)
			c->at[i].epoch = other->at[j].epoch;
		i++;
	}
}

bool chain_is_same(const struct chain *a, const struct chain *b)
{
	size_t i;

	for (i = 0; i < a->n && i < b->n; i++) {
		if (a->at[i].epoch != b->at[i].epoch ||
		    a->at[i].node != b->at[i].node)
			return false;
	}
	return a->n == b->n;
}
