# SPDX-License-Identifier: GPL-2.0
"""Records agree with `ip -s -d xfrm state`, field by field, on both sides of real traffic.

In: two namespaces joined by setup_veth; the module; XFRMSYNC, the tool, if it is built.
Out: a result for each kind of SA, from the records and from `xfrmsync show --json`.

Each kind has a pair of transport SAs, chosen by the UDP port that its packets go to.
"""

import os

import nl
from kt import (Udp, check, differences, equal, find, ip, kernel_sas, main, sa_add, sa_id, sa_text, skip,
                tool_sas, until)

# name, ESN, windows: XFRM refuses ESN without a window, and keeps up to 32 in the legacy state
MODES = [("legacy", False, (0, 32)), ("large", False, (128, 1024, 4096)),
         ("ESN", True, (32, 128, 1024, 4096))]
ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}


class Kind:
    """One kind of SA, and its pair."""

    def __init__(self, number, proto, family, mode, esn, window):
        self.name = f"{proto.upper()} IPv{family} {mode} window {window}"
        self.proto, self.family, self.esn, self.window = proto, family, esn, window
        self.port, self.spis = 2000 + number, (0x1000 + 2 * number, 0x1001 + 2 * number)

    def commands(self, side):
        ends = ENDS[self.family]
        out = []
        for spi, src, dst in zip(self.spis, ends, reversed(ends)):
            text = sa_text(src, dst, spi, self.proto, self.esn, self.window)
            out.append("xfrm state add " + text.replace("reqid 1 ", f"reqid {self.port} "))
        me, other = ends[side], ends[1 - side]
        out.append(f"xfrm policy add src {me} dst {other} proto udp dport {self.port} dir out "
                   f"tmpl src {me} dst {other} proto {self.proto} reqid {self.port} mode transport")
        return out


def kinds():
    return [Kind(i, *k) for i, k in enumerate(
        (proto, family, mode, esn, window) for proto in ("esp", "ah") for family in (4, 6)
        for mode, esn, windows in MODES for window in windows)]


def traffic(udps, every, count):
    for kind in every:
        for side in (0, 1):
            udps[side][kind.family].send(ENDS[kind.family][1 - side], count, 20, kind.port)


def settled(spaces, clients, every):
    """The receivers have counted what the senders sent."""
    def same():
        sent, got = ({sa["spi"]: sa for sa in clients[i].dump()} for i in (0, 1))
        return all(sent[k.spis[0]]["packets"] == got[k.spis[0]]["packets"] and
                   sent[k.spis[1]]["packets"] == got[k.spis[1]]["packets"] for k in every)
    return until(same)


def disagreements(kind, kernel, records):
    out = []
    for spi in kind.spis:
        want = next(sa for (_, s), sa in kernel.items() if s == spi)
        have = find(records, spi)
        out += differences(want, have[0]) if len(have) == 1 else [f"{len(have)} records of {spi:#x}"]
    return out


def compare(name, every, spaces, clients):
    """A result for each kind, over both sides, from the dump."""
    kernel = [kernel_sas(ns) for ns in spaces]
    records = [client.dump() for client in clients]
    for kind in every:
        found = [d for i in (0, 1) for d in disagreements(kind, kernel[i], records[i])]
        check(f"{name}: {kind.name}", not found, found)


def jump(clients, every):
    """Gaps in the windows; and the ESN pairs cross 2^32."""
    for kind in every:
        for number, (out, come) in enumerate((clients, reversed(clients))):
            spi, dst = kind.spis[number], ENDS[kind.family][1 - number]
            proto = 50 if kind.proto == "esp" else 51
            record = out.get(**sa_id(dst, spi, proto))
            base = dict(sa_id(dst, spi, proto), flags=[f for f in record["flags"] if f in ("esn", "bmp")])
            oseq = record["oseq"] + 5
            if kind.esn:
                oseq = (1 << 32) - 9
                answer = come.restore(dict(base, seq=oseq - 3, window=kind.window,
                                           bitmap=[1] * (kind.window // 32)))
                assert answer["applied"] == 1, answer
            answer = out.restore(dict(base, oseq=oseq))
            assert answer["applied"] == 1, answer


def plain_differences(client):
    """What is 0 may be left out of either."""
    def named(records):
        return {(r["dst"], r["spi"], r.get("mark", 0)): {n: v for n, v in r.items() if v} for r in records}
    by_attributes, plain = named(client.dump()), named(client.dump_plain())
    out = [f"{len(plain)} of {len(by_attributes)}"] if plain.keys() != by_attributes.keys() else []
    return out + [f"{key}: {by_attributes[key]} {plain[key]}" for key in by_attributes.keys() & plain.keys()
                  if by_attributes[key] != plain[key]]


def compare_tool(every, spaces):
    shared = ("family", "src", "dst", "proto", "spi", "mode", "mark", "if-id", "oseq", "seq",
              "window", "bitmap", "bytes", "packets")
    kernel = [kernel_sas(ns) for ns in spaces]
    shown = [tool_sas(ns) for ns in spaces]
    for kind in every:
        found = []
        for i in (0, 1):
            few = {key: {n: sa[n] for n in shared} for key, sa in kernel[i].items()}
            found += disagreements(kind, few, shown[i])
            found += [f"no {n}" for sa in shown[i] for n in shared + ("dir", "lease-end") if n not in sa]
        check(f"xfrmsync show: {kind.name}", not found, found[:8])


def test(*spaces):
    every = kinds()
    for side, ns in enumerate(spaces):
        ip(ns, "\n".join(c for kind in every for c in kind.commands(side)) + "\n")
        sa_add(ns, "192.0.2.1", "192.0.2.99", 0x999, more="mark 0x20 mask 0xf0 if_id 7")
    clients = [nl.Client(ns) for ns in spaces]
    udps = [{f: Udp(ns, f) for f in (4, 6)} for ns in spaces]
    compare("unused", every, spaces, clients)

    readers = [nl.Client(ns) for ns in spaces]
    for reader in readers:
        reader.subscribe()
        reader.pull()
    traffic(udps, every, 40)
    jump(clients, every)
    traffic(udps, every, 40)
    check("the receivers have it all", settled(spaces, clients, every))
    compare("after traffic", every, spaces, clients)
    crossed = [r["seq"] >> 32 for r in clients[1].dump() if "esn" in r["flags"] and r["seq"]]
    equal("the ESN pairs crossed 2^32", [1] * 16, crossed)

    equal("mark, mask, interface and owner", {"mark": 0x20, "mark-mask": 0xF0, "if-id": 7, "reqid": 1},
          {n: v for n, v in clients[0].get(**sa_id("192.0.2.99", 0x999, mark=0x20)
                                           | {"mark-mask": 0xF0}).items()
           if n in ("mark", "mark-mask", "if-id", "reqid")})
    found = [d for client in clients for d in plain_differences(client)]
    check("a plain dump says the same", not found, found[:8])
    kernel = [kernel_sas(ns) for ns in spaces]
    streamed = [reader.pull() for reader in readers]
    found = [d for i in (0, 1) for kind in every for d in disagreements(kind, kernel[i], streamed[i])]
    check("the stream's records agree as well", not found, found[:8])
    traffic(udps, every, 3)
    kernel = [kernel_sas(ns) for ns in spaces]
    streamed = [reader.dump_plain("pull") for reader in readers]
    found = [d for i in (0, 1) for kind in every for d in disagreements(kind, kernel[i], streamed[i])]
    check("and so do plain ones", not found, found[:8])
    got = [[client.get(**{n: sa[n] for n in ("family", "dst", "spi", "proto")})
            for sa in kernel[i].values() if not sa["mark"]]
           for i, client in enumerate(clients)]
    found = [d for i in (0, 1) for kind in every for d in disagreements(kind, kernel[i], got[i])]
    check("and what get answers", not found, found[:8])

    if os.access(os.environ.get("XFRMSYNC", ""), os.X_OK):
        compare_tool(every, spaces)
    else:
        for kind in every:
            skip(f"xfrmsync show: {kind.name}", "the tool is not built")


main(test)
