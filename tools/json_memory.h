/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the memory that jansson asks for.
 * Out: the same; whether there was none.
 * Once in each process, before the first object.
 */
#ifndef XFRMSYNC_TOOLS_JSON_MEMORY_H
#define XFRMSYNC_TOOLS_JSON_MEMORY_H

#include <stdbool.h>

void json_memory_init(void);
/* Since it was asked last; an object that was made meanwhile may lack something. */
bool json_memory_lost(void);
/* From here on what is given back is wiped: the objects hold keys. */
void json_memory_wipe(void);

#endif
