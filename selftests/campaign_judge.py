# SPDX-License-Identifier: GPL-2.0
"""The ledger of a campaign: what was sent, seen on the wires, delivered, and sent again.

In: SAs with their keys, frames of the wires, payloads that arrived, what the standby's windows
    cover.
Out: findings and totals. It believes the frames: each ICV is verified with the key
    (judge/judge.py), which tells the 64-bit number.
"""

import collections
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "judge"))
import judge

MAGIC = b"XSCMPGN\0"
PAYLOAD = struct.Struct(">8sQBB")       # magic, id, tunnel, way
IN, OUT = 0, 1                          # as the gateway's inside sees it
COUNTED = ("exposed", "split")          # kinds of findings that only a strict guard has to prevent


class Bench(judge.Judge):
    """The judge, for SAs that come and go; each packet's verdict goes to a callback."""

    def __init__(self, verdict):
        super().__init__([])
        self.verdict, self.seen = verdict, {}

    def add(self, sa):
        sa = judge.check_sa(sa, "campaign")
        who = judge.identity(sa)
        judged = judge.Judged(sa, self.seen.setdefault(who, set()))
        assert self.sas.setdefault((sa["spi"], sa["dst"], sa["proto"]), judged) is judged

    def drop(self, spis):
        """SAs that are gone everywhere; a packet of one is of an unknown SPI from here on."""
        for key in [key for key in self.sas if key[0] in spis]:
            self.seen.pop(judge.identity(self.sas.pop(key).sa), None)

    def line(self, p, sender, name, number, verdict, plain):
        self.verdict(p, sender, name, number, verdict, judge.inner_udp(plain))


def ip_of(frame):
    """(sender's MAC, what judge.py makes of an IP packet, or None)."""
    mac, etype, rest = judge.link_payload(judge.ETHERNET, frame)
    parse = {0x0800: judge.parse_ip4, 0x86dd: judge.parse_ip6}.get(etype)
    return mac, parse and parse(rest, judge.Fragments())


Capture = collections.namedtuple("Capture", "frame spi number ident")


class Window:
    """An inbound window: what it has seen, or does not take any more."""

    def __init__(self, seq, size, bitmap, ring):
        self.seq, self.size, self.bitmap, self.ring = seq, size, bitmap, ring

    def covers(self, number):
        if number > self.seq:
            return False
        if self.seq - number >= self.size:
            return True
        bit = (number - 1) % self.size if self.ring else self.seq - number
        return bool(self.bitmap[bit // 32] >> bit % 32 & 1)


class Ledger:
    """The counts of one campaign."""

    def __init__(self, find):
        self.find, self.bench = find, Bench(self.verdict)
        self.totals = collections.Counter()
        self.next_id = 0
        self.ways = {}                  # id -> (tunnel, way, how)
        self.arrived = {IN: collections.Counter(), OUT: collections.Counter()}
        self.by = {}                    # id -> who delivered it, in turn
        self.settled = set()            # delivered inside, and told to the standby
        self.at_crash = set()           # delivered inside by the active that crashed
        self.to_gateways = []           # what an attacker has
        self.repeated = {}              # id -> Capture, while the attack goes on
        self.frame, self.sender = None, None

    def payload(self, tunnel, way, how):
        self.next_id += 1
        self.ways[self.next_id] = tunnel, way, how
        self.totals["sent"] += 1
        return PAYLOAD.pack(MAGIC, self.next_id, tunnel, way)

    # ---- the wires -------------------------------------------------------------------

    def take(self, sender, frame):
        """A frame as it came from a gateway or from the peer."""
        self.totals["captured"] += 1
        mac, ip = ip_of(frame)
        p = ip and judge.ipsec_of(0, sender, ip)
        if p:
            self.frame, self.sender = frame, sender
            self.bench.take(p)
        elif MAGIC in frame:
            self.totals["plaintext"] += 1
            self.find("plaintext", f"from {sender} ({mac}): {frame[14:].hex()}")

    def verdict(self, p, sender, name, number, verdict, inner):
        gateway = sender != "p"
        self.totals["judged"] += 1
        self.totals["judged_gateways"] += gateway
        if verdict == "duplicate":
            self.totals["repeats"] += gateway
            self.find("repeat", f"{name}: number {number} again, from {sender}")
        elif verdict != "ok":
            self.totals["bad_icv" if verdict == "icv" else "unknown_spi"] += 1
            self.find("wire", f"{name}: {verdict}, low half {p.low}, from {sender}")
        elif not gateway and inner[:8] == MAGIC:
            ident = PAYLOAD.unpack(inner[:PAYLOAD.size])[1]
            self.to_gateways.append(Capture(self.frame, p.spi, number, ident))

    # ---- what arrives ----------------------------------------------------------------

    def deliver(self, way, data, by):
        """A payload that arrived, through the gateway of that name if H received it."""
        try:
            magic, ident, tunnel, its_way = PAYLOAD.unpack(data)
        except struct.error:
            magic = None
        if magic != MAGIC or its_way != way:
            self.find("strange", f"delivered: {data.hex()}")
            return None
        again = self.arrived[way][ident]
        self.arrived[way][ident] += 1
        self.by.setdefault(ident, []).append(by)
        self.totals["delivered"] += not again
        if ident not in self.ways:
            self.find("strange", f"delivered long after it was sent: {ident}")
        elif way == OUT and again:
            self.totals["repeats_delivered_out"] += 1
            self.find("repeat", f"tunnel {tunnel}: packet {ident} delivered outside again")
        elif way == IN and again and ident not in self.repeated:
            self.find("strange", f"tunnel {tunnel}: packet {ident} delivered again, nobody repeated it")
        return tunnel, self.ways.get(ident)

    def settle(self, by):
        """All that this active has delivered until now is known to the standby. What another
        one delivered while two were active, is not: their windows are not merged."""
        self.settled.update(i for i in self.arrived[IN] if by in self.by[i])

    def crash(self):
        self.at_crash = set(self.arrived[IN])

    # ---- the attack ------------------------------------------------------------------

    def attack(self, since=0):
        """What to repeat: all that the peer sent until now; and what arrived of it."""
        captures = self.to_gateways[since:]
        self.repeated = {c.ident: c for c in captures}
        return [c.frame for c in captures], dict(self.arrived[IN])

    def attacked(self, before, windows, split):
        """Judges it: what had been delivered before, and was again. split: the takeover was no
        hand-over, so the one that crashed is an active, too, where it is back."""
        self.totals["replays"] += len(self.repeated)
        for ident, capture in self.repeated.items():
            if not before.get(ident):
                late = self.arrived[IN][ident]
                self.totals["late"] += bool(late)
                continue
            again = self.arrived[IN][ident] - before[ident]
            if ident not in self.at_crash:
                if again:
                    self.after_crash(ident, capture, before[ident], windows, split)
                continue
            self.totals["replays_of_delivered"] += 1
            window = windows.get(capture.spi)
            covered = ident in self.settled or bool(window and window.covers(capture.number))
            self.totals["exposed"] += not covered
            if not again:
                continue
            if covered:
                self.totals["replays_covered_delivered"] += again
                self.find("replay", f"SPI {capture.spi:#x}, number {capture.number}: packet {ident} "
                          f"delivered inside again; settled: {ident in self.settled}, window at "
                          f"{window and window.seq}")
            else:
                self.totals["replays_unacked_delivered"] += again
                self.find("exposed", f"SPI {capture.spi:#x}, number {capture.number}: packet {ident} "
                          f"delivered inside again, after the last record (window at "
                          f"{window and window.seq})")
        self.repeated = {}

    def after_crash(self, ident, capture, times, windows, split):
        """A packet that was delivered again, and first after the crash. Two actives explain it where
        each of them has delivered it, and the new one had not been told when it took over."""
        first, again = self.by[ident][:times], self.by[ident][times:]
        window = windows.get(capture.spi)
        told = bool(window and window.covers(capture.number))
        self.totals["replays_of_split_delivered"] += len(again)
        explained = split and not told and not set(first) & set(again)
        self.find("split" if explained else "replay",
                  f"SPI {capture.spi:#x}, number {capture.number}: packet {ident} delivered inside after "
                  f"the crash by {first}, and again by {again}; two actives: {split}, window at "
                  f"{window and window.seq}, which has it: {told}")

    def delivered_again(self, before):
        """Ends an attack whose packets are only counted."""
        again = [i for i in self.repeated if before.get(i) and self.arrived[IN][i] > before[i]]
        self.repeated = {}
        return len(again)

    def fenced(self, before):
        """Judges what was sent to a standby."""
        for ident in self.repeated:
            if self.arrived[IN][ident] > before.get(ident, 0):
                self.find("fence", f"packet {ident} delivered by the standby")
        self.repeated = {}

    def forget(self, alive, keep=1500):
        """Ends a round: what can still be repeated is kept."""
        gone = {key[0] for key in self.bench.sas} - alive
        self.to_gateways = [c for c in self.to_gateways if c.spi in alive][-keep:]
        idents = {c.ident for c in self.to_gateways}
        self.ways = {i: w for i, w in self.ways.items() if i in idents}
        for way in (IN, OUT):
            self.arrived[way] = collections.Counter(
                {i: n for i, n in self.arrived[way].items() if i in idents})
        self.by = {i: by for i, by in self.by.items() if i in idents}
        self.settled &= idents
        self.bench.drop(gone)
