# SPDX-License-Identifier: GPL-2.0
"""The guard: what the kernel does for it.

guard.py kernel A P           results; namespaces joined by setup_veth, A is active at the end
guard.py watch A B P SPI       results; strict, A active, B its standby, P their peer
"""

import errno
import sys
import time

import nl
from kt import Udp, check, equal, ip, refused, sa_add, sa_id, until

A_END, P_END = "192.0.2.1", "192.0.2.2"
A_END6, P_END6 = "2001:db8:0::1", "2001:db8:0::2"


def reason(answer):
    return answer["result"][0]["reason"] if "result" in answer else "ok"


class Sink:
    """Counts what arrives at a port."""

    def __init__(self, ns, family, port):
        self.sock = Udp(ns, family).sock
        self.sock.bind(("::" if family == 6 else "", port))
        self.sock.setblocking(False)
        self.count = 0

    def have(self):
        try:
            while True:
                self.sock.recv(100)
                self.count += 1
        except BlockingIOError:
            return self.count


class Flow:
    """One SA from P to A with its policy, a sender and a sink."""

    def __init__(self, a_ns, p_ns, spi, *, family=4, high=0, **kind):
        self.a, self.p = nl.Client(a_ns), nl.Client(p_ns)
        self.dst = A_END6 if family == 6 else A_END
        self.port, self.sent = spi, 0
        src, bits = (P_END6, 128) if family == 6 else (P_END, 32)
        proto = kind.get("proto", "esp")
        self.ident = sa_id(self.dst, spi, 51 if proto == "ah" else 50)
        for ns in (a_ns, p_ns):
            sa_add(ns, src, self.dst, spi, **kind)
        ip(p_ns, f"xfrm policy add src {src}/{bits} dst {self.dst}/{bits} proto udp dport {spi} dir out "
                 f"tmpl src {src} dst {self.dst} proto {proto} spi {spi:#x} reqid 1 mode transport")
        self.flags = self.a.get(**self.ident)["flags"]
        self.window = self.a.get(**self.ident)["window"]
        self.udp, self.sink = Udp(p_ns, family), Sink(a_ns, family, spi)
        if high:
            for client in (self.a, self.p):
                client.restore(self.record(high, oseq=high))

    def record(self, seq, bits=0, **more):
        words = [bits] * max(1, self.window // 32)
        return dict(self.ident, flags=[f for f in self.flags if f in ("esn", "bmp")], seq=seq,
                    window=self.window, bitmap=words, **{"restore-flags": ["window-exact"]}) | more

    def bind(self, end):
        return reason(self.a.bind(dict(self.ident, **{"guard-end": end})))

    def send(self, count, delivered):
        """Sends, and waits until A has accepted all, and delivered as many as it should."""
        want = self.a.get(**self.ident)["packets"] + count
        self.udp.send(self.dst, count, port=self.port)
        until(lambda: self.a.get(**self.ident)["packets"] == want and self.sink.have() >= delivered)
        return self.sink.have()


def limits(a_ns, p_ns):
    """Up to the limit packets are delivered, and not one more."""
    kinds = (("ESN", dict(esn=True, window=128)), ("legacy", dict(window=32)),
             ("IPv6", dict(family=6, esn=True, window=64)), ("AH, IPv6", dict(family=6, proto="ah", window=32)),
             ("over 2^32", dict(esn=True, window=128, high=(1 << 32) - 10)))
    a = nl.Client(a_ns)
    flows = [Flow(a_ns, p_ns, 0x100 + i, **kind) for i, (_, kind) in enumerate(kinds)]
    a.role("active", 1, 1)
    for flow, (name, kind) in zip(flows, kinds):
        base, held = kind.get("high", 0), a.stats()["guard-held"]
        equal(f"{name}: no limit", 3, flow.send(3, 3))
        equal(f"{name}: a limit", "ok", flow.bind(base + 15))
        equal(f"{name}: stands in the record", base + 15, a.get(**flow.ident).get("guard-end"))
        equal(f"{name}: up to there", 15, flow.send(30, 15))
        equal(f"{name}: the rest is counted", held + 18, a.stats()["guard-held"])
        equal(f"{name}: below what was accepted", "ok", flow.bind(base + 5))
        equal(f"{name}: nothing", 15, flow.send(2, 15))
        equal(f"{name}: raised", "ok", flow.bind(base + 40))
        equal(f"{name}: it goes on", 20, flow.send(9, 20))
        equal(f"{name}: taken back", "ok", flow.bind(0))
        equal(f"{name}: no limit any more", 27, flow.send(7, 27))
        flow.bind(base + 1)
    a.role("standby", 2, 1)
    a.role("active", 3, 1)
    equal("a time as standby takes limits back", [], [r["spi"] for r in a.dump() if "guard-end" in r])
    equal("and packets pass", 28, flow.send(1, 28))
    a.role("standby", 4, 1)
    equal("a limit while it is fenced", "ok", flow.bind(1))
    a.role("active", 5, 1)
    equal("stands when it is not any more", 28, flow.send(1, 28))
    flow.bind(0)


def back(a_ns, p_ns):
    """A window goes back only where nothing was accepted."""
    a = nl.Client(a_ns)
    a.role("none")
    flow = Flow(a_ns, p_ns, 0x200, esn=True, window=128)
    equal("a fresh SA is not restored", False, "window-restored" in a.get(**flow.ident)["flags"])
    equal("a window is restored", "ok", reason(a.restore(flow.record(1000))))
    equal("its record says so", True, "window-restored" in a.get(**flow.ident)["flags"])
    equal("it may go back", "ok", reason(a.restore(flow.record(500))))
    equal("and is there", 500, a.get(**flow.ident)["seq"])
    flow.p.restore(flow.record(0, oseq=499))
    flow.udp.send(flow.dst, 2, port=flow.port)
    equal("a packet is accepted", 501, until(lambda: a.get(**flow.ident)["seq"] == 501) and
          a.get(**flow.ident)["seq"])
    equal("its record says so", False, "window-restored" in a.get(**flow.ident)["flags"])
    equal("it does not go back any more", "backwards-seq", reason(a.restore(flow.record(500))))
    merged = flow.record(450)
    del merged["restore-flags"]
    equal("what is merged into it", "ok", reason(a.restore(merged)))
    equal("does not change that", "backwards-seq", reason(a.restore(flow.record(500))))
    equal("forward it may go", "ok", reason(a.restore(flow.record(600))))
    equal("and back from there", "ok", reason(a.restore(flow.record(550))))
    # Within the window: the number stays, and the packet counts all the same.
    flow.p.restore(flow.record(0, oseq=539))
    flow.udp.send(flow.dst, 1, port=flow.port)
    check("a late packet is accepted", until(lambda: "window-restored" not in a.get(**flow.ident)["flags"]),
          a.get(**flow.ident))
    equal("it counts, too", "backwards-seq", reason(a.restore(flow.record(549))))


def merge(a_ns, p_ns):
    """What another node accepted is merged on an active SA, and nothing else of it."""
    a = nl.Client(a_ns)
    flow = Flow(a_ns, p_ns, 0x300, esn=True, window=128)
    other = Flow(a_ns, p_ns, 0x301, window=0)
    a.bind(dict(flow.ident, tag=9))
    a.role("active", 9, 1)
    flow.send(5, 5)
    reader = nl.Client(a_ns)
    reader.subscribe()
    reader.pull()
    before = a.get(**flow.ident)
    bits = [0, 0, 0, 1 << 3]            # 100
    theirs = flow.record(101, tag=9, bytes=1 << 40, oseq=77) | {
        "bitmap": bits, "lease-end": 1 << 30, "sent": 1, "restore-flags": ["merge"]}
    refused("an active restores nothing", errno.EBUSY, a.restore, flow.record(9, tag=9), epoch=9, node=1)
    refused("nor beside a merge", errno.EBUSY, a.restore, theirs, flow.record(9, tag=9), epoch=9, node=1)
    refused("nor merges what is of another epoch", errno.EBUSY, a.restore, theirs, epoch=10, node=1)
    equal("a merge of another incarnation", "tag", reason(a.restore(dict(theirs, tag=8), epoch=9, node=1)))
    equal("a merge of no SA", "no-sa", reason(a.restore(dict(theirs, spi=0x3FF), epoch=9, node=1)))
    equal("a merge that is exact", "attribute", reason(
        a.restore(dict(theirs, **{"restore-flags": ["merge", "window-exact"]}), epoch=9, node=1)))
    nothing = {n: v for n, v in theirs.items() if n not in ("seq", "bitmap", "oseq")}
    equal("a merge of nothing", "attribute", reason(a.restore(nothing, epoch=9, node=1)))
    equal("a merge", "ok", reason(a.restore(theirs, epoch=9, node=1)))
    have = a.get(**flow.ident)
    want = [0x1F, 0, 0, 1 << 3]
    equal("the larger number, both windows", (101, want), (have["seq"], have["bitmap"]))
    same = all(before.get(n) == have.get(n)
               for n in ("bytes", "packets", "add-time", "tag", "lease-end", "flags"))
    check("nothing else, but the higher number", same and have["oseq"] == 77, (before, have))
    equal("its reader hears of it", [0x300], [r["spi"] for r in reader.pull()])
    sent = flow.sink.have()
    flow.p.restore(flow.record(0, oseq=98))
    flow.udp.send(flow.dst, 3, port=flow.port)      # 99, 100, 101
    check("what the other one accepted is a replay", until(lambda: flow.sink.have() == sent + 2),
          flow.sink.have())
    equal("without a window there is nothing to merge", "ok", reason(
        a.restore(dict(other.ident, seq=0, window=0, flags=[], **{"restore-flags": ["merge"]}), epoch=9, node=1)))
    reader.close()


def kernel(a_ns, p_ns):
    limits(a_ns, p_ns)
    back(a_ns, p_ns)
    merge(a_ns, p_ns)


def watch(a_ns, b_ns, p_ns, spi):
    """At no moment may the active deliver what the standby does not cover: bursts and silence."""
    a, b, udp = nl.Client(a_ns), nl.Client(b_ns), Udp(p_ns)
    ident = sa_id("192.0.3.1", int(spi, 16))
    seen, above, bursts = [], [], 0
    start = time.monotonic()
    while (now := time.monotonic() - start) < 15 * nl.SLOW:
        # Then long enough for the guard to become small again.
        if now > 5 * nl.SLOW * bursts:
            udp.send("10.1.0.1", 60)
            bursts += 1
        limit, covers = a.get(**ident).get("guard-end", 0), b.get(**ident)["seq"]
        if limit != a.get(**ident).get("guard-end", 0):
            continue            # it moved meanwhile
        seen.append(covers)
        if limit > covers:
            above.append((limit, covers))
    check("strict: the limit was never above what the standby covers", seen and not above, above[:5])
    check("strict: which went up and down", any(y < x for x, y in zip(seen, seen[1:])), sorted(set(seen)))


if __name__ == "__main__":
    {"kernel": kernel, "watch": watch}[sys.argv[1]](*sys.argv[2:])
