/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: inbound replay windows of one SA, as XFRM keeps them.
 * Out: windows moved, or merged with another node's.
 * Pure arithmetic; builds in the kernel and in userspace.
 */
#ifndef XFRMSYNC_WINDOW_H
#define XFRMSYNC_WINDOW_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <stdbool.h>
#include <string.h>
#endif

/* Words of the largest window, 4096 packets. */
#define XFRMSYNC_WINDOW_WORDS 128

/**
 * struct xfrmsync_window - a replay window (RFC 4303, 3.4.3)
 * @seq: highest number authenticated, 64 bits, host order; 0 for none
 * @size: window, packets; 0 where replays are not checked
 * @bmp: the words, owned by the caller
 * @ring: true for XFRM's large state, where number n has bit (n - 1) % @size
 *        computed on the low 32 bits; false for its legacy word, where number
 *        n has bit @seq - n
 */
struct xfrmsync_window {
	__u64 seq;
	__u32 size;
	__u32 *bmp;
	bool ring;
};

/* Words that a window of so many packets fills. */
static inline __u32 xfrmsync_window_words(__u32 size)
{
	return (size + 31) / 32;
}

/* Most windows have 128 packets, and are no more than two moves so, and no call. */
static inline void xfrmsync_words_copy(__u32 *to, const __u32 *from, __u32 words)
{
	if (words == 4)
		memcpy(to, from, 4 * sizeof(*to));
	else
		memcpy(to, from, words * sizeof(*to));
}

/**
 * xfrmsync_window_advance() - move a window ahead
 * @w: the window
 * @seq: its new highest number; ignored where it is not ahead
 * @seen: whether the numbers that come into the window count as seen
 */
void xfrmsync_window_advance(struct xfrmsync_window *w, __u64 seq, bool seen);

/**
 * xfrmsync_window_merge() - what two nodes have seen, together
 * @w: the result, and one of the windows
 * @other: the other one, of the same size and kind; moved ahead to the
 *         larger number as a side effect
 *
 * The larger number, and the OR of the windows.
 */
void xfrmsync_window_merge(struct xfrmsync_window *w,
			   struct xfrmsync_window *other);

/* The daemon's alone: the module merges windows, and no more. */
#ifndef __KERNEL__
/**
 * xfrmsync_window_seen() - would a receiver take this number for a replay?
 * @w: the window
 * @n: sequence number, 64 bits, host order
 *
 * Return: true for a number that is marked, or left of the window, or 0.
 */
bool xfrmsync_window_seen(const struct xfrmsync_window *w, __u64 n);

/**
 * xfrmsync_window_mark() - authenticate one number, as xfrm_replay_advance()
 * @w: the window, moved where @n is ahead of it
 * @n: sequence number; ignored where it is 0 or left of the window
 */
void xfrmsync_window_mark(struct xfrmsync_window *w, __u64 n);

/**
 * xfrmsync_window_fill() - take all numbers up to one for seen
 * @w: the window, moved ahead to @seq where it is behind it
 * @seq: the number
 *
 * Those that lie in the window already, too: a guard covers what came late.
 * What lies above @seq stays as it is.
 */
void xfrmsync_window_fill(struct xfrmsync_window *w, __u64 seq);
#endif

#endif
