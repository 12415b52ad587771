# SPDX-License-Identifier: GPL-2.0
"""Lifetimes go on at the new node: soft and hard limits of bytes, packets and time fire at the
total at which they would have fired without a takeover, or in one place all the time.

usage: lifetimes.py daemon|file FOLDER A B P
In: the namespaces and configurations that lifetimes.sh made.
Out: a result for each limit. What is right is asked of a kernel that was never taken over.
"""

import socket
import struct
import sys
import time

import nl
from campaign_judge import IN, OUT
from kt import check, equal, until
from matrix import ByDaemon, ByFile, World
from matrix_cases import Case

GROUP_EXPIRE, EXPIRE = 2, 0x18
SOFT, HARD = 20 * nl.SLOW, 30 * nl.SLOW     # s
USED = 9                                    # packets before the takeover
NAME = {OUT: "outbound", IN: "inbound"}


class Expiries:
    """What a kernel tells key managers: (SPI, hard) -> when."""

    def __init__(self, ns):
        with nl.netns(ns):
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_XFRM)
        self.sock.bind((0, GROUP_EXPIRE))
        self.sock.setblocking(False)
        self.seen = {}

    def look(self):
        try:
            while True:
                data = self.sock.recv(1 << 16)
                if struct.unpack_from("IH", data)[1] == EXPIRE:
                    spi, = struct.unpack_from(">I", data, 16 + 72)
                    self.seen.setdefault((spi, bool(data[16 + 224])), time.time())
        except BlockingIOError:
            return self.seen


def lifetime(state, sa):
    """(bytes, packets, add time) or None."""
    for data in state.look().raw.get((sa.dst, sa.spi), ()):
        # struct xfrm_lifetime_cur behind the selector, the SA's name and the configuration
        return struct.unpack_from("3Q", data, 160)
    return None


def sa_of(case, way):
    return next(sa for sa in case.sas if sa.way == way)


def use_up(world, expiries, case, way, node, used):
    """One packet after another until the SA is gone: totals of (soft expiry, hard expiry, delivered)."""
    sa, out, total = sa_of(case, way), {}, used
    flow = case.lanes[0], way, "p" if way == OUT else node

    def gone_or_come():
        world.drain(0.05)
        return (sa.spi, True) in expiries.look() or used + world.got[flow] == total

    world.got.clear()
    while total < 100 and True not in out:
        world.send([case], way, node, 1)
        total += 1
        until(gone_or_come, 2)
        for hard in (False, True):
            if (sa.spi, hard) in expiries.look():
                out.setdefault(hard, total)
    return out.get(False), out.get(True), used + world.got[flow]


def limited(kind, soft, hard):
    return f"limit {kind}-soft {soft} limit {kind}-hard {hard}"


def counted(world):
    """Cases of packets and bytes, in pairs: one that is taken over, one that is not."""
    state, size, lane, out = world.state["a"], {}, 1, []
    for outer in (4, 6):
        probe = Case("probe", outer=outer)
        lane = probe.place(lane)
        world.install(probe, None)
        for way in (OUT, IN):
            world.send([probe], way, "a", 1)
            size[way, outer] = until(lambda case=probe, way=way: lifetime(state, sa_of(case, way))[0])
    for kind, first in (("packet", 4), ("byte", 6)):
        for way, outer in ((OUT, first), (IN, 10 - first)):
            limits = 14, 20
            if kind == "byte":      # not at a packet's end
                limits = 14 * size[way, outer] - 5, 20 * size[way, outer] - 5
            pair = [Case(f"{kind}s, {NAME[way]}, IPv{outer}", outer=outer, at_gateway=limited(kind, *limits))
                    for _ in "12"]
            for case in pair:
                lane = case.place(lane)
                world.install(case, None)
            out.append((way, *pair))
    timed = []
    for kind, outer in (("time", 4), ("time-use", 6)):
        case = Case(kind, outer=outer, at_gateway=limited(kind, SOFT, HARD))
        lane = case.place(lane)
        timed.append(case)
    return out, timed


def lanes_of(count):
    """For the world's addresses."""
    cases, lane = [], 1
    for _ in range(count):
        cases.append(Case("any"))
        lane = cases[-1].place(lane)
    return cases


def begin_late(world, carrier, timed):
    """A is in use; B comes when a third of the time is over."""
    for case in timed:
        world.install(case, None)
    world.send(timed, OUT, "a", 1)
    start = time.time()
    if isinstance(carrier, ByFile):
        until(lambda: time.time() > start + HARD / 3, HARD)
        return time.time()
    for node in (carrier.a, carrier.b):
        node.configure((30, 24))
    carrier.a.start()
    until(carrier.a.status)
    proc = carrier.a.tool("takeover")
    check("A is in use", proc.wait() == 0, proc.stdout.read())
    until(lambda: time.time() > start + HARD / 3, HARD)
    carrier.b.start()
    return time.time()


def times(expiries, timed, started):
    """Whoever counts from B's start fires later than that; nobody fires before its time."""
    until(lambda: all((sa_of(case, OUT).spi, True) in expiries.look() for case in timed), 2 * HARD)
    for case in timed:
        sa = sa_of(case, OUT)
        for hard, limit in ((False, SOFT), (True, HARD)):
            when = expiries.seen.get((sa.spi, hard))
            text = f"{case.name}: the {'hard' if hard else 'soft'} limit"
            if check(f"{text} fires at B", when):
                # Whole seconds.
                check("and not before its time", when > case.added + limit - 1.5, when - case.added)
                check("nor as if it were new", when < started + limit, when - started)
            else:
                check("and not before its time", False, "not at all")
                check("nor as if it were new", False, "not at all")


def main(by, folder, a, b, p):
    world = World(a, b, p)
    world.lay(lanes_of(13))
    pairs, timed = counted(world)
    at_a, at_b = Expiries(a), Expiries(b)

    want = {case.name: use_up(world, at_a, reference, way, "a", 0) for way, case, reference in pairs}
    for way, case, _ in pairs:
        for _ in range(USED):       # all of one size
            world.send([case], way, "a", 1)
    carrier = (ByFile if by == "file" else ByDaemon)(world, folder)
    started = begin_late(world, carrier, timed)
    for case in timed:
        case.added = lifetime(world.state["a"], sa_of(case, OUT))[2]
    until(carrier.settled, 30)
    said = carrier.carry()
    check("B has them", not said, said)
    world.point("b")
    for way, case, _ in pairs:
        have = lifetime(world.state["b"], sa_of(case, way))
        equal(f"{case.name}: what was used goes on", lifetime(world.state["a"], sa_of(case, way))[:2],
              have and have[:2])
        have = use_up(world, at_b, case, way, "b", USED)
        check(f"{case.name}: soft, hard, delivered as on one node",
              have == want[case.name] and None not in have, f"want {want[case.name]}, have {have}")
    times(at_b, timed, started)
    said = carrier.end()
    check("the daemon ended cleanly", not said, said)


if __name__ == "__main__":
    main(*sys.argv[1:])
