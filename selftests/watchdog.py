# SPDX-License-Identifier: GPL-2.0
"""The module's watchdog, without a daemon: when it fires, when not, and what is left of it.

In: a namespace with SAs, two without; MS, the time to set it to.
Out: results.
"""

import time

import nl
from kt import check, equal, main, until


def test(a_ns, b_ns, gone_ns, milliseconds):
    milliseconds = int(milliseconds)
    control, other, gone = nl.Client(a_ns), nl.Client(b_ns), nl.Client(gone_ns)
    listener = nl.Client(a_ns)
    listener.join("events")
    epoch = 0

    def active(client):
        nonlocal epoch
        epoch += 1
        return client.role("active", epoch, 1)

    def fired(client=control):
        return client.stats()["watchdog-fired"]

    def is_standby(client=control):
        return client.status()["role"] == "standby"

    def outlast():
        """Another namespace's, set now, fires: one that was set before had its time."""
        active(other)
        other.watchdog(milliseconds)
        return until(lambda: is_standby(other), 60)

    equal("off, unless it is set", 0, active(control)["watchdog-ms"])
    ours = epoch
    check("nothing happens then", outlast() and not fired() and not is_standby(), control.status())

    equal("the answer is the status", ("active", milliseconds),
          tuple(control.watchdog(milliseconds)[n] for n in ("role", "watchdog-ms")))
    deadline = time.monotonic() + 4 * milliseconds / 1000
    while time.monotonic() < deadline:
        control.watchdog(milliseconds)
    equal("signs of life keep it from firing", ("active", 0), (control.status()["role"], fired()))
    listener.late.clear()
    while listener.event(0):
        pass
    before = time.monotonic()
    control.watchdog(milliseconds)
    check("without one it fires", until(is_standby, 60), control.status())
    took = time.monotonic() - before
    check("not before its time", took >= milliseconds / 1000, took)
    equal("it is counted", 1, fired())
    event = listener.event(20 * nl.SLOW)
    check("it is told", event and event[0] == "role-ntf" and event[1]["role"] == "standby" and
          event[1]["epoch"] == ours, event)
    equal("in the same epoch", ours, control.status()["epoch"])
    control.watchdog(milliseconds)
    check("a standby's does not run", outlast() and fired() == 1, fired())

    active(control)
    equal("becoming active starts it anew", (True, 2), (until(is_standby, 60), fired()))
    active(control)
    control.watchdog(0)
    check("0 switches it off", outlast() and fired() == 2 and not is_standby(), control.status())
    control.watchdog(milliseconds)
    equal("role none forgets it", 0, control.role("none")["watchdog-ms"])
    active(control)
    check("for good", outlast() and fired() == 2 and not is_standby(), control.status())

    # The namespace that goes with it is the caller's to delete.
    active(gone)
    gone.watchdog(milliseconds)
    for client in (control, other):
        client.role("none")


main(test)
