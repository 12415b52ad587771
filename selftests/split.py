# SPDX-License-Identifier: GPL-2.0
"""Split brain: both nodes are active, both see all traffic; each combination of settings.

In: the folder with the nodes' configurations, the namespaces of wires.sh; the tables of
    Documentation/safety.rst, section "Split brain".
Out: results; without arguments: how many. XFRMSYNC_SPLIT=all: each combination, else a part.

A round begins in step, with new SAs. The sync link is cut, the standby takes over, and the old
active is told to be active as well; the one that shall win later, whichever the round wants, is told
last. Hosts send through both; what the peer sends reaches both. Then the link is back. In the last
round the one that loses is rebooted before it can say what it used.
"""

import os
import re
import signal
import sys

from actives import GUARD, HEADROOM, KINDS, Actives
from campaign_judge import IN, OUT
from campaign_world import World
from kt import equal, ip, main

DOCUMENT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../Documentation/safety.rst")
# (guard, at a lease's end, does the old active win, is it asked to hand over): any three of these
# in each combination; so each cell of both tables is checked with either winner.
GUARDS, ENDS = ("off", "available", "strict"), ("stop", "continue")
ALL = [(guard, exhausted, old_wins, (i + j + old_wins) % 2 == 1)
       for i, guard in enumerate(GUARDS) for j, exhausted in enumerate(ENDS)
       for old_wins in (False, True)]
# Each cell once, with one of the two: as few as there are ends, asked or not.
SOME = [("off", "continue", False, True), ("available", "stop", True, False),
        ("available", "continue", False, False), ("strict", "stop", True, True)]
CHOSEN = ALL if os.environ.get("XFRMSYNC_SPLIT") == "all" else SOME
OUTBOUND = 80           # packets of each SA through each node: more than a lease has
INBOUND = 30            # more than a guard has


def table(first):
    """The simple table of the document whose header begins with that word: first cell -> others."""
    rows, marks = [], None
    with open(DOCUMENT, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if len(words) > 1 and set("".join(words)) == {"="}:
                marks = [i for i, c in enumerate(line) if c == "=" and (i == 0 or line[i - 1] == " ")]
            elif not words:
                marks = None
            elif marks:
                cells = [line[a:b].strip() for a, b in zip(marks, marks[1:] + [None])]
                if cells[0] == first or rows and cells[0]:
                    rows.append(cells)
                elif rows:
                    rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells)]
            if rows and not marks:
                break
    return {cells[0]: cells[1:] for cells in rows[1:]}


class Split(Actives):
    """Rounds with two actives."""

    def __init__(self, world):
        super().__init__(world)
        self.guards, self.leases_end = table("guard"), table("lease_exhausted")
        self.old, self.new = None, None
        self.exhausted, self.limits, self.covered = "", {}, {}

    def prepare(self, guard, exhausted):
        """New SAs, in step."""
        self.exhausted = exhausted
        for node in self.nodes:
            self.reload(node, f"guard = {guard}\nguard_min = {0 if guard == 'off' else GUARD}\n"
                              f"lease_exhausted = {exhausted}\n")
        if not self.renew():
            return False
        self.old, self.new = self.active, self.standby
        self.limits = {spi: r.get("guard_limit") for spi, r in self.shown(self.old).items()}
        return True

    # ---- two actives ----------------------------------------------------------------------

    def epoch(self, node):
        state = node.control.status()
        return state["epoch"], state["node"]

    def last_word(self, winner):
        """Both are told, that one at last; an equal counter, where the node id decides, if it may."""
        other = self.new if winner is self.old else self.old
        if self.nodes.index(winner) > self.nodes.index(other):
            self.told(self.old, "standby")
        self.told(self.old, "takeover")
        self.until(lambda: self.epoch(winner) > self.epoch(other) or self.told(winner, "takeover")[0], 20)
        self.ok("the one told last has the higher epoch", self.epoch(winner) > self.epoch(other),
                (self.epoch(winner), self.epoch(other)))

    def both_active(self, winner, asks):
        """The new one asks the old one to hand over, in vain; or it knows that the link is gone."""
        self.link(self.old, False)
        if not asks:
            self.until(lambda: self.new.status()["peers"][0]["state"] == "disconnected", 20, 0.05)
        code, text = self.told(self.new, "takeover")
        self.ok("the other one takes over", code == 0 and "not safe" not in text and
                ("did not answer" in text) == asks, text)
        self.covered = self.new.kernel.sas()
        self.last_word(winner)
        roles = [node.control.status()["role"] for node in self.nodes]
        self.ok("both are active", roles == ["active", "active"], roles)

    def ends(self, node):
        """The last number that it may use, by SPI."""
        return {spi: r["lease-end"] - HEADROOM for spi, r in self.records(node).items() if r.get("lease-end")}

    def outbound(self, column):
        """Through both, in turns; what they do at the end of lease and range is in that column."""
        renewed = self.leases_end["stop"][column] == "is renewed"
        ends = [self.ends(node) for node in (self.old, self.new)]
        for _ in range(OUTBOUND // 10):
            self.burst(10, self.old, self.new)
            self.until(lambda: not renewed or self.has_room(self.new, 20), 3, 0.01)
        self.until(lambda: self.drain() or not renewed or all(
            len(self.ledger.numbers[self.new.name, sa.spi]) >= OUTBOUND for sa in self.sas(OUT)), 10, 0.02)
        for node, end, want in zip((self.old, self.new), ends,
                                   (self.leases_end[self.exhausted][c] for c in (0, column))):
            records = self.records(node)
            have = {self.end_of(node, records[sa.spi], end[sa.spi]) for sa in self.sas(OUT)}
            self.ok(f"{node.name}, at the end of its {'lease' if node is self.old else 'range'}: {want}",
                    have == {want}, have)
        first = {sa.spi: min(self.ledger.numbers[self.new.name, sa.spi]) for sa in self.sas(OUT)}
        self.ok("which begins behind that lease", all(
            number == ends[0][spi] + HEADROOM + 1 for spi, number in first.items()), first)
        return "overrun" in {flag for r in self.records(self.active).values() for flag in r["flags"]}

    def end_of(self, node, record, end):
        """What became of an SA at the end of what that node might use, in the document's words."""
        numbers = self.ledger.numbers[node.name, record["spi"]]
        flags = {"stopped", "overrun"} & set(record["flags"])
        words = {("stopped",): "stops", ("overrun",): "goes on, and is marked", (): "is renewed"}
        good = record["oseq"] == max(numbers) and (
            max(numbers) == end if "stopped" in flags else max(numbers) > end and len(numbers) == OUTBOUND)
        return words.get(tuple(flags), str(flags)) if good else f"{len(numbers)} to {max(numbers)}, {end}, {record}"

    def covers_guard(self, guard, beyond):
        """The new one's windows stand where the old one was told that they do."""
        count = INBOUND if guard == "off" else INBOUND - GUARD
        have = [(self.covered[sa.spi].seq, self.limits[sa.spi]) for sa in self.sas(IN)]
        self.ok("the guard is what was announced", len(beyond) == count * len(KINDS) and
                (guard == "off" or all(a == b for a, b in have)), (len(beyond), have))

    def deliveries(self, guard):
        """Who delivered what of it, in the document's words."""
        captures = self.ledger.to_gateways[self.cut_at:]
        everything = {c.ident for c in captures}
        beyond = {c.ident for c in captures if not self.covered[c.spi].covers(c.number)}
        self.covers_guard(guard, beyond)
        words = {frozenset(everything - beyond): "all within the guard",
                 frozenset(beyond): "all beyond the guard", frozenset(): "none",
                 frozenset(everything): "all"}
        sets = [self.delivered(node, captures) for node in (self.old, self.new)]
        for name, have, want in zip((self.old.name, self.new.name, "both"), (*sets, sets[0] & sets[1]),
                                    self.guards[guard]):
            word = words.get(frozenset(have), f"{len(have)} of {len(everything)}")
            self.ok(f"delivered by {name}: {want}", word == want, word)
        exposed = self.until(lambda: self.old.status()["exposed"], 0 if guard == "off" else 5)
        word = {0: "not counted", len(KINDS): "counted"}.get(exposed, exposed)
        self.ok(f"exposed SAs: {self.guards[guard][3]}",
                word == self.guards[guard][3] and not self.new.status()["exposed"], word)

    # ---- one again -----------------------------------------------------------------------------

    def heal(self, winner):
        self.link(self.old, True)
        self.active = winner
        self.standby = self.new if winner is self.old else self.old
        self.in_step()
        self.world.move(winner)
        self.ok("nothing is delivered again", self.again() == 0)
        windows, records = winner.kernel.sas(), self.records(winner)
        lacks = [c[1:] for c in self.ledger.to_gateways[self.cut_at:] if not windows[c.spi].covers(c.number)]
        self.ok("the winner's windows have what either accepted", not lacks, lacks[:5])
        used = self.used()
        self.ok("and its counters are past what either drew", all(
            records[spi]["oseq"] >= number for spi, number in used.items()), used)
        self.carries("traffic goes on")

    def hand_over(self, marked):
        """The loser takes over, planned."""
        to = self.standby
        self.in_step()
        code, text = self.told(to, "takeover")
        unsafe = f"{len(KINDS)} are not safe" in text if marked else "not safe" not in text
        self.ok(f"the other one may take over {'all but those marked' if marked else 'all'}",
                code == 0 and "handed over" in text and unsafe, text)
        self.active, self.standby = self.standby, self.active
        self.world.move(to)
        self.ok("nothing is delivered again by it, either", self.again() == 0)
        self.carries("traffic through it", (IN,) if marked else (IN, OUT))
        if marked:
            records = self.records(to)
            self.ok("those are fenced", all("fenced" in records[sa.spi]["flags"] for sa in self.sas(OUT)))

    def once(self, guard, exhausted, old_wins, asks):
        self.name = (f"{guard}, {exhausted}, {'asked in vain' if asks else 'not connected'}, "
                     f"the {'old' if old_wins else 'new'} one wins")
        self.story = []
        if not self.prepare(guard, exhausted):
            return
        winner = self.old if old_wins else self.new
        self.both_active(winner, asks)
        self.active = winner
        marked = self.outbound(2 if asks else 1)
        order = (self.old, self.new) if self.rng.random() < 0.5 else (self.new, self.old)
        self.inbound(INBOUND, *order)
        self.deliveries(guard)
        self.ok("each once by each", self.again() == 0)
        # What only one of them sees, the other one has to hear of.
        self.inbound(5, self.old)
        self.inbound(5, self.new)
        self.heal(winner)
        self.hand_over(marked)
        self.judged()

    def beyond(self):
        """What `continue` costs, where the headroom is used up: the judge has to see it, too."""
        self.name, self.story = "continue, past the headroom", []
        if not self.prepare("available", "continue"):
            return
        self.both_active(self.new, asks=False)
        self.burst(5, self.new)
        state, records = self.old.control.status(), self.records(self.old)
        for sa in self.sas(OUT):
            rec = records[sa.spi]
            self.old.control.restore(
                {k: rec[k] for k in ("family", "dst", "spi", "proto", "tag", "seq", "window", "bitmap")} |
                {"flags": [f for f in rec["flags"] if f in ("esn", "bmp")], "oseq": rec["lease-end"] - 2,
                 "restore-flags": ["merge"]}, epoch=state["epoch"], node=state["node"])
        self.burst(5, self.old)
        self.ok("numbers of the other one are drawn again", self.findings["repeat"] == 3 * len(KINDS),
                self.findings)
        self.findings.clear()
        self.link(self.old, True)
        self.active, self.standby = self.new, self.old
        self.in_step()
        self.judged()


    def reboot(self, node):
        """Its kernel has no SAs any more, and its daemon knows by its disk that it is another boot."""
        node.end(signal.SIGKILL)
        node.control.role("none")
        ip(node.ns, "xfrm state flush")
        path = f"{node.folder}/{node.name}.state/state"
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub("(?m)^boot_id .*", "boot_id another", text))
        node.start()
        self.note(f"{node.name} is rebooted")

    def forgets(self):
        """What the one that loses has used, nobody knows any more; then it takes over once more."""
        self.name, self.story = "rebooted before it was heard", []
        if not self.prepare("available", "stop"):
            return
        self.both_active(self.old, asks=False)
        self.burst(20, self.new)
        self.ok("the one that loses has sent", all(
            len(self.ledger.numbers[self.new.name, sa.spi]) == 20 for sa in self.sas(OUT)))
        self.reboot(self.new)
        self.link(self.old, True)
        self.active, self.standby = self.old, self.new
        self.in_step()
        self.ok("the winner says what is lost", "has lost the numbers" in self.old.words())
        self.burst(10, self.old)
        self.link(self.old, False)
        self.until(lambda: self.new.status()["peers"][0]["state"] == "disconnected", 20, 0.05)
        _, text = self.told(self.new, "takeover")
        self.burst(20, self.new)
        self.ok("that one uses none of them", f"{2 * len(KINDS)} are not safe" in text, text)
        self.link(self.old, True)
        self.active, self.standby = self.new, self.old
        self.in_step()
        self.world.move(self.new)
        self.judged()
        if self.renew():
            self.carries("rekeyed, they are as before")
        self.judged()


def test(folder, *namespaces):
    split = Split(World(folder, *namespaces))
    equal("the document has a row for each setting", (set(GUARDS), set(ENDS)),
          (set(split.guards), set(split.leases_end)))
    # Of the outbound table: a row, and the column of the new one.
    cells = set(GUARDS), {(end, asks) for end in ENDS for asks in (False, True)}
    equal("a round checks each cell", cells, ({c[0] for c in CHOSEN}, {(c[1], c[3]) for c in CHOSEN}))
    for node in split.nodes:
        node.start()
    split.until(lambda: all(map(split.connected, split.nodes)), 30, 0.1)
    split.told(split.active, "takeover")
    split.world.move(split.active)
    for combination in CHOSEN:
        split.once(*combination)
    split.beyond()
    split.forgets()
    split.finish()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    if len(sys.argv) > 1:
        main(test)
    else:
        # Where the winner has gone on past its end, the hand-over has one more.
        print(25 + sum(23 + (end == "continue" and (old_wins or asks)) for _, end, old_wins, asks in CHOSEN))
