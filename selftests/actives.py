# SPDX-License-Identifier: GPL-2.0
"""What split.py and three.py share: gateways of which several may be active, told what to do.

In: the namespaces of wires.sh; verbs.
Out: traffic, who sent which numbers, who delivered what, how far each may go.
"""

import collections
import json
import random

from campaign import Campaign
from campaign_judge import IN, OUT, PAYLOAD, Ledger
from campaign_world import Tunnel
from kt import SEED, check

HEADROOM = 1 << 16      # kmod/lease.h
LEASE_LOG2 = 6
GUARD = 16
# Family, and (ESN, window, algorithm, first number).
KINDS = ((4, (True, 128, "gcm", 0)), (4, (False, 32, "gcm", 0)),
         (6, (True, 64, "cbc", (1 << 32) - 60)), (6, (False, 128, "gcm", 1000)))


class Book(Ledger):
    """Also which gateway delivered what, and who sent which numbers."""

    def __init__(self, find):
        super().__init__(find)
        self.got = collections.Counter()                # (ident, node)
        self.numbers = collections.defaultdict(list)    # (sender, SPI)

    def deliver(self, way, data, by):
        known = super().deliver(way, data, by)
        if known and way == IN:
            self.got[PAYLOAD.unpack(data)[1], by] += 1
        return known

    def verdict(self, p, sender, name, number, verdict, inner):
        self.numbers[sender, p.spi].append(number)
        before = len(self.to_gateways)
        super().verdict(p, sender, name, number, verdict, inner)
        # It may reach several gateways, and be delivered by each.
        self.repeated.update((c.ident, c) for c in self.to_gateways[before:])


class Actives(Campaign):
    """The tunnels of KINDS; no round draws anything."""

    def __init__(self, world):
        super().__init__(world, {"guard": ""})
        self.ledger = Book(self.find)
        self.rng = self.noise = random.Random(SEED)
        self.tunnels = {n: Tunnel(n, family) for n, (family, _) in enumerate(KINDS, 1)}
        self.up = {node.name for node in self.nodes}
        self.name, self.cut_at = "", 0

    def shape(self, tunnel):
        return KINDS[tunnel.number - 1][1]

    def sas(self, way):
        return [tunnel.sas[way] for tunnel in self.tunnels.values()]

    def ok(self, name, good, why=""):
        story = "" if good else f"{why} | {' | '.join(self.story[-15:])}"
        return check(f"{self.name}: {name}", good, story)

    # ---- nodes ---------------------------------------------------------------------------

    def told(self, node, verb):
        """The verb's exit code and words; no traffic meanwhile."""
        proc = node.tool(verb)
        text = proc.communicate(timeout=60)[0].strip()
        self.note(f"{verb} on {node.name}: {proc.returncode} {text}")
        return proc.returncode, text

    def reload(self, node, more):
        """It reads its configuration again, with these words in [sync]."""
        before = node.words().count("configuration read again")
        node.configure((LEASE_LOG2, LEASE_LOG2), more)
        node.reload()
        self.until(lambda: node.words().count("configuration read again") > before, 20, 0.02)

    def link(self, node, on):
        self.world.switch.set(["s" + node.name], on)
        self.note(f"sync link of {node.name} {'mended' if on else 'cut'}")

    @staticmethod
    def shown(node):
        """What show says of each SA, by SPI."""
        text, _ = node.tool("show", "--json").communicate(timeout=60)
        return {int(r["spi"], 16): r for r in json.loads(text)}

    @staticmethod
    def records(node):
        return {r["spi"]: r for r in node.control.dump()}

    def why_not(self):
        """What the other nodes lack; that SAs are not safe, which a test may want, does not count."""
        others = [node for node in self.nodes if node is not self.active and node.name in self.up]
        states = [node.status() for node in (self.active, *others)]
        if not all(states):
            return "no answer"
        reasons = [r for s in states[1:] for r in s["reasons"] if "not safe" not in r]
        if [s["role"] for s in states] != ["active"] + ["standby"] * len(others) or reasons:
            return f"{[s['role'] for s in states]} {reasons}"
        for peer in states[0]["peers"]:
            if peer["name"] in self.up and (
                    peer["state"] != "synced" or peer["lag_packets"] or peer["leases_waiting"]):
                return f"{peer['name']}: {peer['state']}, lag {peer['lag_packets']}, " \
                       f"waiting {peer['leases_waiting']}"
        have = [node.kernel.sas().keys() for node in (self.active, *others)]
        return f"SAs differ: {have}" if any(keys != have[0] for keys in have) else ""

    def in_step(self):
        self.until(lambda: not self.why_not(), 40, 0.05)
        return self.ok("in step", not (why := self.why_not()), why)

    def renew(self):
        """New SAs in all tunnels, a few packets, in step."""
        self.install(self.tunnels.values())
        self.pump(1)
        self.drop_old(self.tunnels.values())
        if not self.in_step():
            return False
        self.listen()
        self.drain()
        self.cut_at = len(self.ledger.to_gateways)
        for counters in self.ledger.numbers, self.ledger.got:
            counters.clear()
        return True

    # ---- outbound --------------------------------------------------------------------------

    def has_room(self, node, count):
        """The leases of that node have so many numbers left."""
        records = self.records(node)
        return all(r["lease-end"] - HEADROOM - r["oseq"] >= count
                   for sa in self.sas(OUT) for r in [records[sa.spi]])

    def burst(self, count, *nodes):
        """So many in each tunnel, through these nodes in turns."""
        for tunnel in self.tunnels.values():
            for node in nodes * count:
                self.send(tunnel, OUT, node)
        self.listen(0.02)
        self.drain()

    def stopped(self, node, ends):
        """Each SA of that node stands at the end of what it may use."""
        records = self.records(node)
        return all(records[sa.spi]["oseq"] == ends[sa.spi] - HEADROOM and
                   "stopped" in records[sa.spi]["flags"] for sa in self.sas(OUT))

    def used(self):
        """The highest number that any gateway has drawn, by SPI."""
        return {sa.spi: max((n for node in self.nodes for n in self.ledger.numbers[node.name, sa.spi]),
                            default=0) for sa in self.sas(OUT)}

    # ---- inbound ---------------------------------------------------------------------------

    def inbound(self, count, first, *others):
        """The peer sends to the first; and all of it to the others, as well."""
        self.world.move(first)
        for _ in range(max(1, count // 10)):
            since = len(self.ledger.to_gateways)
            for tunnel in self.tunnels.values():
                for _ in range(min(count, 10)):
                    self.send(tunnel, IN, None)
            want = since + min(count, 10) * len(self.tunnels)
            self.until(lambda w=want: self.drain() or len(self.ledger.to_gateways) >= w, 10, 0.01)
            for node in others:
                self.inject(node, self.ledger.to_gateways[since:])
        for node in (first, *others):
            self.until(lambda n=node: self.accepted(n), 10, 0.02)
        self.until(lambda: False, 0.05, 0.01)

    def inject(self, node, captures):
        for _ in self.world.inject(node, [c.frame for c in captures]):
            self.listen()

    def accepted(self, node):
        windows = node.kernel.sas()
        last = {c.spi: c.number for c in self.ledger.to_gateways[self.cut_at:]}
        return all(windows[spi].covers(number) for spi, number in last.items())

    def delivered(self, node, captures):
        return {c.ident for c in captures if self.ledger.got[c.ident, node.name]}

    def again(self, *nodes):
        """All that the peer sent since the SAs are there, once more; how many were delivered."""
        before = sum(self.ledger.got.values())
        for node in nodes or self.nodes:
            self.inject(node, self.ledger.to_gateways[self.cut_at:])
        self.until(lambda: False, 0.05, 0.01)
        return sum(self.ledger.got.values()) - before

    # ---- both ways -----------------------------------------------------------------------------

    def carries(self, what, ways=(IN, OUT)):
        silent = self.flows([(t, way) for t in self.tunnels.values() for way in ways], 20)
        self.ok(what, not silent, [(t.number, way) for t, way in silent])

    def judged(self):
        """Ends a part."""
        self.end_round()
        bad = {k: n for k, n in self.findings.items() if k != "exposed"}
        self.ok("no number twice, nothing strange on any wire", not bad, bad)
        self.findings.clear()

    def finish(self):
        for node in self.nodes:
            if bad := node.end(15):
                self.find("daemon", bad)
            node.reset()
        check("every daemon lived, and ended cleanly", not self.findings["daemon"])
