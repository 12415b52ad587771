// SPDX-License-Identifier: GPL-2.0
/*
 * In: the memory that jansson asks for.
 * Out: the same; whether there was none.
 * Once in each process, before the first object.
 *
 * An object lacks what there was no memory for, without a word: json_pack() and
 * json_object_set_new() are seldom asked. So it is asked here, once, before it is told.
 */
#include <malloc.h>
#include <stdlib.h>

#include <jansson.h>
#include <sodium.h>

#include "json_memory.h"

static bool lost, wipes;

static void *take(size_t size)
{
	void *p = malloc(size);

	if (!p)
		lost = true;
	return p;
}

static void give(void *p)
{
	if (p && wipes)
		sodium_memzero(p, malloc_usable_size(p));
	free(p);
}

void json_memory_init(void)
{
	json_set_alloc_funcs(take, give);
}

void json_memory_wipe(void)
{
	wipes = true;
}

bool json_memory_lost(void)
{
	bool ret = lost;

	lost = false;
	return ret;
}
