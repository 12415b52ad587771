# SPDX-License-Identifier: GPL-2.0
"""Three nodes: one is active, two are its standbys.

In: the folder with the nodes' configurations, the namespaces of wires.sh.
Out: results.
"""

import os
import re
import signal
import sys

from actives import GUARD, HEADROOM, KINDS, LEASE_LOG2, Actives
from campaign_judge import OUT
from campaign_world import World
from kt import ip, main


class Three(Actives):
    """Parts of one story: each begins where the one before it ended, in step."""

    def part(self, name):
        self.name, self.story = name, []
        for node in self.nodes:
            self.note(f"{node.name} is {'up' if node.name in self.up else 'dead'}"
                      f"{', active' if node is self.active else ''}")

    def others(self, *but):
        return [n for n in self.nodes if n.name in self.up and n is not self.active and n not in but]

    def stand_still(self, node, still=True):
        os.kill(node.proc.pid, signal.SIGSTOP if still else signal.SIGCONT)
        self.note(f"{node.name}'s daemon {'stands still' if still else 'goes on'}")

    def dies(self, node):
        self.note(f"{node.name} dies")
        node.end(signal.SIGKILL)
        self.set_up(node, False)

    def returns(self, node):
        self.set_up(node, True)
        self.burst(3, node)     # its kernel is as it was, and believes to be active
        node.start()

    def takes_over(self, node, planned=False):
        code, text = self.told(node, "takeover")
        self.ok(f"{node.name} takes over{', planned' if planned else ''}",
                code == 0 and "not safe" not in text and ("handed over" in text) == planned, text)
        self.active = node
        self.world.move(node)

    def pair(self, one, other, on):
        """These two hear each other, or not."""
        for here, there in (one, other), (other, one):
            mac = f"02:00:00:00:02:{'0' + there.name if on else 'ff'}"
            ip(here.ns, f"neighbour replace 192.0.2.{self.nodes.index(there) + 1} lladdr {mac} dev sync "
                        "nud permanent")
        self.note(f"{one.name} and {other.name} {'hear each other' if on else 'are apart'}")

    # ---- ranges --------------------------------------------------------------------------

    def ends(self, node):
        records = self.records(node)
        return {sa.spi: records[sa.spi].get("lease-end", 0) for sa in self.sas(OUT)}

    def overlaps(self):
        """Where the active's lease and the ranges of its standbys are not disjoint."""
        mine, bad = self.ends(self.active), []      # first: what stands behind it only rises
        tables = [self.records(node) for node in self.others()]
        for spi, end in mine.items():
            parts = sorted((t[spi]["oseq"], t[spi].get("lease-end", 0)) for t in tables)
            edges = [end, *(edge for part in parts for edge in part)]
            if edges != sorted(edges) or any(a >= b - HEADROOM for a, b in parts):
                bad.append((hex(spi), end, parts))
        return bad

    def exhaust(self, *nodes):
        """More than a lease has."""
        for _ in range(9):
            self.burst(10, *nodes)

    def sends_on(self, node, alone=False):
        """More than a lease has, renewed on the way; ranges behind it, where others follow it."""
        self.drain()
        before = {sa.spi: len(self.ledger.numbers[node.name, sa.spi]) for sa in self.sas(OUT)}
        bad = []
        for _ in range(9):
            good = self.until(lambda: self.has_room(node, 12), 20, 0.01)
            self.burst(10, node)
            bad += [] if alone else self.overlaps()
        sent = {sa.spi: len(self.ledger.numbers[node.name, sa.spi]) - before[sa.spi] for sa in self.sas(OUT)}
        self.ok(f"{node.name} sends on and on", good and set(sent.values()) == {90}, sent)
        if not alone:
            self.ok("ranges are disjoint all the time", not bad, bad[:3])

    def stops_at(self, node, ends, what):
        self.ok(what, self.until(lambda: self.stopped(node, ends), 5, 0.02),
                (ends, {spi: (r["oseq"], r["flags"]) for spi, r in self.records(node).items()}))

    # ---- parts ---------------------------------------------------------------------------

    def who_acknowledges(self):
        self.part("who acknowledges")
        if not self.renew():
            return
        a, (b, c) = self.active, self.others()
        self.ok("ranges are disjoint", not self.overlaps(), self.overlaps())
        self.sends_on(a)
        for still, other in ((c, b), (b, c)):
            self.stand_still(still)
            self.exhaust(a)
            self.stops_at(a, self.ends(a), f"{still.name} says nothing: nothing is renewed")
            waiting = {p["name"]: p["leases_waiting"] for p in a.status()["peers"]}
            self.ok(f"{other.name} has said so", waiting == {still.name: len(KINDS), other.name: 0}, waiting)
            self.ok("both are ahead of it", not self.overlaps(), self.overlaps())
            self.stand_still(still, False)
            self.in_step()
        self.sends_on(a)
        self.judged()

    def crashes(self):
        """A, then B: C follows the one and takes over from the other."""
        self.part("two crashes")
        if not self.renew():
            return
        a, (b, c) = self.active, self.others()
        self.inbound(20, a)
        self.in_step()
        self.stand_still(c)
        own = self.ends(b)
        self.dies(a)
        self.takes_over(b)
        self.ok("what was delivered before is not again", self.again(b) == 0)
        self.exhaust(b)
        self.stops_at(b, own, "it stays in its range, until the third one has said so")
        self.stand_still(c, False)
        self.in_step()
        self.sends_on(b)
        self.inbound(40, b)
        self.carries("traffic goes on")
        self.in_step()
        own = self.ends(c)
        self.dies(b)
        self.takes_over(c)
        self.ok("what was delivered before is not again", self.again(c) == 0)
        self.inbound(40, c)
        self.exhaust(c)
        self.stops_at(c, own, "it stays in its range, too")
        for node in (a, b):
            self.returns(node)
            self.in_step()
            self.sends_on(c)
        self.carries("traffic goes on")
        self.ok("what was delivered before is not again", self.again() == 0)
        self.judged()

    def planned(self):
        """Round and round."""
        self.part("planned")
        if not self.renew():
            return
        for to in self.others():
            self.inbound(20, self.active)
            self.burst(10, self.active)
            self.in_step()
            last = self.used()
            self.takes_over(to, planned=True)
            self.ok("nothing is delivered again", self.again() == 0)
            self.burst(5, to)
            first = {sa.spi: self.ledger.numbers[to.name, sa.spi][:1] for sa in self.sas(OUT)}
            self.ok("no number is left out", first == {spi: [n + 1] for spi, n in last.items()}, (last, first))
            self.carries("traffic goes on")
            self.in_step()
            self.sends_on(to)
        self.judged()

    def sent_by(self, node):
        return sum(len(self.ledger.numbers[node.name, sa.spi]) for sa in self.sas(OUT))

    def unheard(self):
        """What was given to one that nobody hears of again, may be that one's; and the third node does
        not know that it was given."""
        self.part("given")
        if not self.renew():
            return
        bases = {node: node.base for node in self.nodes}
        for node in self.nodes:     # they stand still, and are not dead
            node.base = re.sub(r"dead_ms = \d+", "dead_ms = 60000", node.base)
            self.reload(node, "")
        self.in_step()
        one, (two, three) = self.active, self.others()
        self.burst(5, one)
        self.stand_still(one)
        asked = two.words().count("to hand over")
        tool = two.tool("takeover")
        self.ok("it is asked", self.until(lambda: two.words().count("to hand over") > asked, 20, 0.02))
        for _ in range(2):      # it has written what it said it would
            two.status()
        self.stand_still(two)
        self.stand_still(one, False)
        self.ok("it gives", self.until(lambda: one.control.status()["role"] == "standby", 20, 0.02))
        self.until(lambda: three.status()["peers"][0]["role"] == "standby", 20, 0.02)
        self.pair(one, three, False)
        self.dies(two)
        tool.communicate(timeout=60)
        code, text = self.told(one, "takeover")
        self.ok("it is told to go on: what it gave is not safe there",
                code == 0 and f"{2 * len(KINDS)} are not safe" in text, text)
        code, text = self.told(three, "takeover")
        self.ok("so is the third one, which has its own range", code == 0 and "not safe" not in text, text)
        sent = self.sent_by(one)
        self.exhaust(one, three)
        self.ok("what is not safe is not used", (self.sent_by(one), self.sent_by(three) > 0) == (sent, True))
        for node, base in bases.items():
            node.base = base
            if node is not two:
                self.reload(node, "")
        self.pair(one, three, True)
        self.returns(two)
        self.active = one
        self.world.move(one)
        self.until(lambda: three.control.status()["role"] == "standby", 20, 0.05)
        if self.renew():
            self.sends_on(one)
        self.judged()

    def strict(self):
        """All three are active, and see all."""
        self.part("strict, three actives")
        for node in self.nodes:
            self.reload(node, f"guard = strict\nguard_min = {GUARD}\n")
        if not self.renew():
            return
        one, (two, three) = self.active, self.others()
        ends = {node: self.ends(node) for node in self.nodes}
        for node in self.nodes:
            self.link(node, False)
        for node in (two, three):
            self.takes_over(node)
        self.exhaust(*self.nodes)
        for node in self.nodes:
            self.stops_at(node, ends[node], f"{node.name} stays in its range")
        self.inbound(40, one, two, three)
        captures = self.ledger.to_gateways[self.cut_at:]
        have = [len(self.delivered(node, captures)) for node in (one, two, three)]
        self.ok("delivered up to the guard by the old active, by the new ones not before the other has said so",
                have == [GUARD * len(KINDS), 0, 0], have)
        self.ok("nothing is delivered again", self.again() == 0)
        for node in self.nodes:
            self.link(node, True)
        self.active = self.nodes[max(self.nodes.index(node) for node in (two, three))]
        self.in_step()
        self.world.move(self.active)
        self.ok("nothing is delivered afterwards, either", self.again() == 0)
        used, records = self.used(), self.records(self.active)
        self.ok("the winner is past what the others drew", all(
            records[spi]["oseq"] >= n for spi, n in used.items()), used)
        self.sends_on(self.active)
        self.carries("traffic goes on")
        self.judged()

    def hearsay(self):
        """The new active does not reach the old one; but both reach the third."""
        self.part("hearsay")
        if not self.renew():
            return
        one, (two, three) = self.active, self.others()
        self.pair(one, three, False)
        self.takes_over(three)
        self.ok("the old active hears of it by the other standby, and steps down",
                self.until(lambda: one.control.status()["role"] == "standby", 20, 0.05), one.status())
        self.ok("which follows the new one", self.until(
            lambda: two.status()["ready"] and two.status()["epoch"] == three.status()["epoch"], 20, 0.05))
        self.exhaust(one)
        self.carries("traffic goes on")
        self.pair(one, three, True)
        self.in_step()
        self.sends_on(three)
        self.judged()

    def nobody(self):
        """The new active does not reach the old one, and dies. Nobody else is told to be active: the old
        one was it all along, as far as whoever says so knows."""
        self.part("nobody is left")
        if not self.renew():
            return
        one, (two, three) = self.active, self.others()
        self.inbound(20, one)
        self.in_step()
        self.pair(one, three, False)
        self.takes_over(three)
        self.ok("the old active hears of it, and steps down", self.until(
            lambda: one.control.status()["role"] == "standby", 20, 0.05), one.status())
        self.ok("the third one follows the new one", self.until(
            lambda: two.status()["ready"] and two.status()["epoch"] == three.status()["epoch"], 20, 0.05))
        self.burst(10, three)
        self.inbound(20, three)
        # Longer than it waits, once nobody sees the new one.
        self.ok("it stays standby, as the third one sees it", not self.until(
            lambda: one.control.status()["role"] == "active", 5, 0.1), self.story)
        self.dies(three)
        self.ok("when that one is dead, the old one is active again", self.until(
            lambda: one.status()["role"] == "active" and two.status()["ready"], 30, 0.05),
            (one.status(), two.status()))
        self.active = one
        self.ok("all is safe: the third one filled it", "taking over, for it" in two.words() and
                not one.status()["unsafe_total"], one.status())
        self.world.move(one)
        self.ok("what was delivered before is not again", self.again(one) == 0)
        self.carries("traffic goes on")
        ends = self.ends(one)
        self.exhaust(one)
        self.stops_at(one, ends, "nothing is renewed without the one that is gone")
        self.pair(one, three, True)
        self.returns(three)
        self.in_step()
        self.sends_on(one)
        self.judged()

    def removed(self):
        """The operator takes a standby out of the active's configuration; it is not as dead as they
        believed."""
        self.part("a standby is removed")
        if not self.renew():
            return
        one, (two, three) = self.active, self.others()
        base, ends = one.base, self.ends(one)
        one.base = re.sub(rf"\[peer {three.name}\]\n[^[]*", "", base)
        self.reload(one, "")
        self.ok("the log says what that means", "leases that a removed peer was offered" in one.words())
        self.until(lambda: one.status()["peers"][0]["state"] == "synced", 20, 0.05)
        self.exhaust(one)
        self.stops_at(one, ends, "what it was offered is not renewed")
        self.until(lambda: not one.status()["peers"][0]["leases_waiting"], 20, 0.05)
        self.ok("so it stays ahead, and apart from the other one", not self.overlaps(), self.overlaps())
        one.end(signal.SIGTERM)
        one.start()
        self.until(lambda: self.connected(one) and one.status()["peers"][0]["state"] == "synced", 20, 0.05)
        self.exhaust(one)
        self.stops_at(one, ends, "nor by the next daemon")
        self.until(lambda: not one.status()["peers"][0]["leases_waiting"], 20, 0.05)
        self.ok("which keeps its range apart, too", not self.overlaps(), self.overlaps())
        self.takes_over(three)
        self.ok("the one that stayed follows it", self.until(lambda: two.status()["ready"], 20, 0.05),
                (two.status(), two.words()[-3000:]))
        self.sends_on(three, alone=True)
        self.ok("the remover steps down", self.until(
            lambda: one.control.status()["role"] == "standby", 20, 0.05))
        one.base = base
        self.reload(one, "")
        self.in_step()
        self.carries("it is in the configuration again: all follow it")
        self.judged()
        self.part("a standby is removed, and all is rekeyed")
        if not self.renew():
            return
        one, three = self.active, self.others()[-1]
        one.base = re.sub(rf"\[peer {three.name}\]\n[^[]*", "", one.base)
        self.reload(one, "")
        self.dies(three)
        if self.renew():
            self.sends_on(one)
        self.judged()


def test(folder, *namespaces):
    three = Three(World(folder, *namespaces))
    for node in three.nodes:
        node.configure((LEASE_LOG2, LEASE_LOG2))
        node.start()
    three.until(lambda: all(map(three.connected, three.nodes)), 30, 0.1)
    three.told(three.active, "takeover")
    three.world.move(three.active)
    for part in (three.who_acknowledges, three.crashes, three.planned, three.unheard, three.hearsay,
                 three.nobody, three.strict, three.removed):
        part()
    three.finish()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main(test)
