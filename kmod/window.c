// SPDX-License-Identifier: GPL-2.0
/*
 * In: inbound replay windows of one SA, as XFRM keeps them.
 * Out: windows moved, or merged with another node's.
 * Pure arithmetic; builds in the kernel and in userspace.
 */
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif
#include "window.h"

/* The large state computes positions from the low half of the number alone
 * (net/xfrm/xfrm_replay.c), which matters where the size does not divide 2^32.
 */
static __u32 position(const struct xfrmsync_window *w, __u64 n)
{
	if (!w->ring)
		return w->seq - n;
	return ((__u32)w->seq - 1) % w->size;
}

static void put_bit(struct xfrmsync_window *w, __u32 bit, bool value)
{
	if (value)
		w->bmp[bit / 32] |= 1U << (bit % 32);
	else
		w->bmp[bit / 32] &= ~(1U << (bit % 32));
}

/* Give @count bits from @from the value; whole words at a time where it can. */
static void put_range(struct xfrmsync_window *w, __u32 from, __u32 count,
		      bool value)
{
	while (count) {
		if (from % 32 == 0 && count >= 32) {
			w->bmp[from / 32] = value ? ~0U : 0;
			from += 32;
			count -= 32;
		} else {
			put_bit(w, from++, value);
			count--;
		}
	}
}

static bool get_bit(const struct xfrmsync_window *w, __u32 bit)
{
	return w->bmp[bit / 32] >> (bit % 32) & 1;
}

static void reverse(struct xfrmsync_window *w, __u32 from, __u32 to)
{
	bool bit;

	for (; from + 1 < to; from++) {
		to--;
		bit = get_bit(w, from);
		put_bit(w, from, get_bit(w, to));
		put_bit(w, to, bit);
	}
}

/* Turns the ring: bit n becomes bit n + by. */
static void turn(struct xfrmsync_window *w, __u32 by)
{
	if (!by)
		return;
	reverse(w, 0, w->size);
	reverse(w, 0, by);
	reverse(w, by, w->size);
}

void xfrmsync_window_advance(struct xfrmsync_window *w, __u64 seq, bool seen)
{
	__u64 diff = seq - w->seq;
	__u32 from, first, last;

	if (!w->size || seq <= w->seq)
		return;

	if (diff >= w->size) {
		w->seq = seq;
		put_range(w, 0, w->ring ? w->size : 32, seen);
		return;
	}

	if (!w->ring) {
		w->bmp[0] <<= diff;
		if (seen)
			w->bmp[0] |= (1U << diff) - 1;
		w->seq = seq;
		return;
	}

	from = (position(w, w->seq) + 1) % w->size;
	first = w->size - from;
	w->seq = seq;
	if (diff <= first) {
		put_range(w, from, diff, seen);
	} else {
		put_range(w, from, first, seen);
		put_range(w, 0, diff - first, seen);
	}
	/* Where the size does not divide 2^32, positions jump at each border. */
	last = (from + (__u32)diff + w->size - 1) % w->size;
	turn(w, (position(w, seq) + w->size - last) % w->size);
}

void xfrmsync_window_merge(struct xfrmsync_window *w,
			   struct xfrmsync_window *other)
{
	__u32 i;

	if (!w->size || w->size != other->size || w->ring != other->ring)
		return;
	xfrmsync_window_advance(w, other->seq, false);
	xfrmsync_window_advance(other, w->seq, false);
	for (i = 0; i < xfrmsync_window_words(w->size); i++)
		w->bmp[i] |= other->bmp[i];
}

#ifndef __KERNEL__
/* Bit of a number that lies in the window. */
static __u32 bit_of(const struct xfrmsync_window *w, __u64 n)
{
	__u32 pos = position(w, n);
	__u32 diff = w->seq - n;

	if (!w->ring)
		return pos;
	return pos >= diff ? pos - diff : w->size - (diff - pos);
}

bool xfrmsync_window_seen(const struct xfrmsync_window *w, __u64 n)
{
	__u32 bit;

	if (!w->size)
		return false;
	if (!n)
		return true;
	if (n > w->seq)
		return false;
	if (w->seq - n >= w->size)
		return true;
	bit = bit_of(w, n);
	return w->bmp[bit / 32] & (1U << (bit % 32));
}

void xfrmsync_window_mark(struct xfrmsync_window *w, __u64 n)
{
	if (!w->size || !n)
		return;
	if (n > w->seq)
		xfrmsync_window_advance(w, n, false);
	else if (w->seq - n >= w->size)
		return;
	put_bit(w, bit_of(w, n), true);
}

void xfrmsync_window_fill(struct xfrmsync_window *w, __u64 seq)
{
	__u64 n;

	if (!w->size)
		return;
	if (w->seq <= seq) {
		w->seq = seq;
		put_range(w, 0, w->ring ? w->size : 32, true);
		return;
	}
	for (n = seq; n && w->seq - n < w->size; n--)
		put_bit(w, bit_of(w, n), true);
}
#endif
