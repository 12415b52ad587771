/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what the daemon says of the IKE SAs that it keeps.
 * Out: their contexts, printed without keys; or their keys, for Wireshark.
 * Asks the daemon.
 */
#ifndef XFRMSYNC_TOOLS_SHOW_IKE_H
#define XFRMSYNC_TOOLS_SHOW_IKE_H

#include "cmd.h"

int cmd_show_ike(const struct cmd_common *common);	/* exit code */
/*
 * Lines of ikev2_decryption_table and esp_sa. dir: files of these names, replaced, mode
 * 0600; NULL: to stdout, as tshark's -o has them. Return: exit code.
 */
int cmd_show_ike_keys(const struct cmd_common *common, const char *dir);

#endif
