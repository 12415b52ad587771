// SPDX-License-Identifier: GPL-2.0
/*
 * In: a reason why one SA must not be used.
 * Out: XFRM neither sends nor receives by it, until the last reason is gone.
 * Any context, x->lock held.
 *
 * In XFRM_STATE_ERROR an SA draws no number and takes no packet, and what its
 * policies want protected is dropped, not sent in clear.
 */
#include "dirty.h"
#include "pernet.h"
#include "stop.h"

/**
 * xfrmsync_stop() - stop an SA
 * @sa: the SA
 * @reason: XFRMSYNC_SA_STOPPED, _FENCED or _BARRED
 *
 * Context: x->lock held.
 * Return: true where this is a new reason; false where it is not, or where the
 *	SA is not in use (larval, dead, or in error by somebody else's doing).
 */
bool xfrmsync_stop(struct xfrmsync_sa *sa, int reason)
{
	struct xfrm_state *x = sa->x;

	lockdep_assert_held(&x->lock);

	if (x->km.state != XFRM_STATE_VALID && !xfrmsync_is_stopped(sa))
		return false;
	if (test_and_set_bit(reason, &sa->flags))
		return false;
	if (x->km.state == XFRM_STATE_VALID)
		x->km.state = XFRM_STATE_ERROR;
	xfrmsync_dirty_mark(sa);
	return true;
}

/**
 * xfrmsync_go_on() - a reason to stop an SA is gone
 * @sa: the SA
 * @reason: as for xfrmsync_stop()
 *
 * It is in use again where this was the last reason; only from ERROR, and only
 * if it was us.
 *
 * Context: x->lock held.
 * Return: true where there was that reason.
 */
bool xfrmsync_go_on(struct xfrmsync_sa *sa, int reason)
{
	lockdep_assert_held(&sa->x->lock);

	if (!test_and_clear_bit(reason, &sa->flags))
		return false;
	if (reason == XFRMSYNC_SA_FENCED)
		xfrmsync_stop_was_untold(sa);
	if (!xfrmsync_is_stopped(sa) && sa->x->km.state == XFRM_STATE_ERROR)
		sa->x->km.state = XFRM_STATE_VALID;
	xfrmsync_dirty_mark(sa);
	return true;
}

/**
 * xfrmsync_stop_barred() - stop an SA where the fence has no hooks, or let it go on
 * @sa: the SA
 *
 * What the fence would let pass is not stopped.
 *
 * Context: x->lock held.
 */
void xfrmsync_stop_barred(struct xfrmsync_sa *sa)
{
	lockdep_assert_held(&sa->x->lock);

	if (READ_ONCE(sa->ns->barred) &&
	    !test_bit(XFRMSYNC_SA_UNMANAGED, &sa->flags))
		xfrmsync_stop(sa, XFRMSYNC_SA_BARRED);
	else
		xfrmsync_go_on(sa, XFRMSYNC_SA_BARRED);
}

/**
 * xfrmsync_stop_untold() - fence an SA that came to a standby
 * @sa: the SA
 *
 * Whether the active has it too, and has sent with it, nobody knows yet. What is
 * restored onto it, or bound to it, says so and lifts this. Its rekey is asked for
 * when the node is active, and not before: most are told a moment later.
 *
 * Context: x->lock held.
 */
void xfrmsync_stop_untold(struct xfrmsync_sa *sa)
{
	lockdep_assert_held(&sa->x->lock);

	if (xfrmsync_stop(sa, XFRMSYNC_SA_FENCED) &&
	    !test_and_set_bit(XFRMSYNC_SA_UNTOLD, &sa->flags))
		atomic_inc(&sa->ns->untold);
}

/**
 * xfrmsync_stop_was_untold() - it is told now, or gone, or known not to be safe
 * @sa: the SA
 *
 * Context: any.
 * Return: true where it was not before.
 */
bool xfrmsync_stop_was_untold(struct xfrmsync_sa *sa)
{
	if (!test_and_clear_bit(XFRMSYNC_SA_UNTOLD, &sa->flags))
		return false;
	atomic_dec(&sa->ns->untold);
	return true;
}
