# SPDX-License-Identifier: GPL-2.0
"""A flood at the standby: thousands of good ESP packets of its SAs, fresh ones and repeated ones.

In: the folder with the nodes' configurations, the namespaces of wires.sh.
Out: results; without arguments: how many.

The peer believes for a while that the standby has the address, or everything reaches both nodes.
The SAs are those of KINDS: IPv4 and IPv6, with ESN and without, each kind of window.
"""

import signal
import sys

from actives import GUARD, KINDS, Actives
from campaign_judge import IN, OUT
from campaign_world import World
from kt import main

RESULTS = 25
FLOOD, CHUNK = 1000, 100        # packets of each SA; of these in one go
LEAST = 4 * GUARD               # a guard that is not of the flood any more


class Flood(Actives):
    """One story."""

    def fenced_in(self):
        return self.standby.control.stats()["fenced-in"]

    def tops(self, node):
        """Where its windows stand, by SPI."""
        windows = node.kernel.sas()
        return {sa.spi: windows[sa.spi].seq for sa in self.sas(IN)}

    def last(self):
        """The peer's last number, by SPI."""
        out = {}
        for c in self.ledger.to_gateways[self.cut_at:]:
            out[c.spi] = max(out.get(c.spi, 0), c.number)
        return out

    def ahead(self):
        """By how much the standby's windows lead the peer, by SPI."""
        tops, last = self.tops(self.standby), self.last()
        return {spi: tops[spi] - last[spi] for spi in tops}

    def to_it(self, count):
        """The peer sends so many in each tunnel, to whoever has the address: what was captured."""
        since = len(self.ledger.to_gateways)
        for tunnel in self.tunnels.values():
            for _ in range(count):
                self.send(tunnel, IN, None)
        want = since + count * len(KINDS)
        self.until(lambda: self.drain() or len(self.ledger.to_gateways) >= want, 10, 0.01)
        self.listen(0.02)
        return self.ledger.to_gateways[since:]

    def got(self, captures):
        """How many were delivered by the active, and by the standby."""
        return [len(self.delivered(node, captures)) for node in (self.active, self.standby)]

    def told_of(self):
        """How often each outbound SA was used, as both nodes have it."""
        tables = [self.records(node) for node in (self.active, self.standby)]
        return [{sa.spi: table[sa.spi]["packets"] for sa in self.sas(OUT)} for table in tables]

    def limits(self):
        """Up to where the standby covers, as the active was told: record and guard."""
        return {sa.spi: self.shown(self.active)[sa.spi].get("guard_limit") for sa in self.sas(IN)}

    def repeat(self, what):
        """All of it again, at the standby."""
        fenced, tops = self.fenced_in(), self.tops(self.standby)
        self.ok(f"{what}, again: nothing is delivered", self.again(self.standby) == 0)
        have = self.fenced_in()
        self.ok(f"{what}, again: its window knows each, and the fence is not asked", have == fenced,
                (fenced, have))
        have = self.tops(self.standby)
        self.ok(f"{what}, again: no window moves", have == tops, (tops, have))

    def in_order(self, what):
        """After a record that is not behind what the standby saw."""
        self.in_step()
        good = self.until(lambda: self.tops(self.standby) == self.limits(), 20, 0.1)
        self.ok(f"{what}: record and guard are what stands in its windows", good,
                (self.tops(self.standby), self.limits()))

    def alone(self):
        """The peer's packets reach the standby, and nobody else; the active sends meanwhile."""
        self.name = "flood of the standby"
        # What was sent before makes the guard larger, for two seconds.
        self.until(lambda: set(self.ahead().values()) == {GUARD}, 20, 0.1)
        self.ok("its windows lead by the least guard", set(self.ahead().values()) == {GUARD},
                self.ahead())
        tops, fenced, captures = self.tops(self.standby), self.fenced_in(), []
        self.world.move(self.standby)
        for _ in range(FLOOD // CHUNK):
            captures += self.to_it(CHUNK)
            self.burst(2, self.active)
        self.ok("so many on the wire", len(captures) == FLOOD * len(KINDS), len(captures))
        self.ok("none is delivered", self.got(captures) == [0, 0], self.got(captures))
        want = sum(c.number > tops[c.spi] for c in captures)
        self.until(lambda: self.fenced_in() - fenced >= want, 10, 0.05)
        have = self.fenced_in() - fenced
        self.ok("each is counted, but for those that the guard covers",
                have == want == (FLOOD - GUARD) * len(KINDS), (have, want))
        self.in_step()
        self.until(lambda: self.told_of()[0] == self.told_of()[1], 10, 0.1)
        mine, theirs = self.told_of()
        self.ok("the active's records go in all the same", mine == theirs and
                all(n >= 2 * FLOOD // CHUNK for n in mine.values()), (mine, theirs))
        # It cannot go back; but no further than the peer has sent.
        self.ok("its windows stand where the peer does", self.tops(self.standby) == self.last(),
                (self.tops(self.standby), self.last()))
        self.repeat("the flood")

    def both(self):
        """Everything reaches both."""
        self.name = "flood of both"
        since = len(self.ledger.to_gateways)
        self.inbound(CHUNK, self.active, self.standby)
        captures = self.ledger.to_gateways[since:]
        self.listen(0.1)
        self.ok("the active delivers each, the standby none",
                self.got(captures) == [CHUNK * len(KINDS), 0], self.got(captures))
        self.in_order("after it")
        self.repeat("all of it")

    def takes_over(self):
        """The flood costs it nothing: the guard takes what it says, and fresh packets pass."""
        self.name = "takeover after it"
        self.until(lambda: max(self.ahead().values()) <= LEAST, 20, 0.1)
        guards = {sa.spi: self.shown(self.active)[sa.spi]["guard"] for sa in self.sas(IN)}
        gaps = self.ahead()
        self.ok("its windows lead by the guard, no more",
                all(0 < gaps[spi] <= min(guards[spi], LEAST) for spi in gaps), (gaps, guards))
        self.note(f"{self.active.name} dies")
        self.active.end(signal.SIGKILL)
        self.set_up(self.active, False)
        code, text = self.told(self.standby, "takeover")
        self.ok("all SAs are safe", code == 0 and "not safe" not in text, text)
        self.active, self.standby = self.standby, self.active
        self.world.move(self.active)
        self.ok("nothing of the flood is delivered now", self.again(self.active) == 0)
        tops, captures = self.tops(self.active), self.to_it(LEAST + 5)
        fresh = {c.ident for c in captures if c.number > tops[c.spi]}
        have = self.until(lambda: self.delivered(self.active, captures) == fresh, 10, 0.05)
        few = len(captures) - len(fresh)
        self.ok("the guard refuses those that it covers, all others are delivered",
                have and few == sum(gaps.values()) and len(fresh) >= 5 * len(KINDS),
                (self.got(captures), len(fresh), few, gaps))
        self.carries("both ways")
        self.judged()


def test(folder, *namespaces):
    flood = Flood(World(folder, *namespaces))
    for node in flood.nodes:
        node.start()
    flood.until(lambda: all(map(flood.connected, flood.nodes)), 30, 0.1)
    flood.told(flood.active, "takeover")
    flood.world.move(flood.active)
    flood.name = "before it"
    for node in flood.nodes:
        flood.reload(node, f"guard = available\nguard_min = {GUARD}\n")
    if flood.renew():
        flood.inbound(20, flood.active)
        flood.in_step()
        flood.alone()
        flood.both()
        flood.takes_over()
    flood.finish()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    if len(sys.argv) > 1:
        main(test)
    else:
        print(2 + RESULTS)
