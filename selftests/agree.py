# SPDX-License-Identifier: GPL-2.0
"""Two nodes in step agree: `xfrmsync show` and the daemon with `ip -s -d xfrm state` on each,
and the standby with the active.

In: the namespaces of the active, the standby and their peer P; both configurations and control
    sockets. SAs both ways between P and the active; nobody else sends.
Out: results.

P sends with a gap in its numbers, so that the windows are not all ones.
"""

import json
import socket

import nl
from kt import Udp, check, differences, from_tool, kernel_sas, main, sa_id, tool_sas, until

REQIDS = (1, 7)         # the filter of the daemons
SECONDS = 2             # ages cross in whole seconds, rounded down
# Outbound numbers of a standby stand at the lease's end; when an SA was last used is each
# node's own.
OWN = ("oseq", "last-used", "add-time", "use-time")


def ask_daemon(path, request):
    """The objects of the reply, but for the last, which ends it."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(json.dumps(request).encode() + b"\n")
        out = []
        for line in sock.makefile():
            out.append(json.loads(line))
            if out[-1].get("done"):
                break
    assert out[-1].get("done") and "error" not in out[-1], out[-1:]
    return out[:-1]


class Node:
    """A daemon's namespace."""

    def __init__(self, ns, conf, path):
        self.ns, self.conf, self.path = ns, conf, path

    def kernel(self):
        return kernel_sas(self.ns)

    def shown(self):
        return tool_sas(self.ns, "-c", self.conf)

    def told(self):
        return [from_tool(sa) for sa in ask_daemon(self.path, {"cmd": "show"})]


def against_kernel(node, which):
    """The fields in which the records disagree with the kernel; and SAs that only one has."""
    kernel = node.kernel()
    records = {(r["dst"], r["spi"]): r for r in getattr(node, which)()}
    out = [f"only one of both has {key}" for key in kernel.keys() ^ records.keys()]
    for key in kernel.keys() & records.keys():
        out += [f"{key}: {d}" for d in differences(kernel[key], records[key])]
    return out


def managed(node):
    return {key: sa for key, sa in node.kernel().items() if sa["reqid"] in REQIDS}


def against_active(active, standby):
    mine, theirs = managed(standby), managed(active)
    out = [f"only one of both has {key}" for key in mine.keys() ^ theirs.keys()]
    for key in mine.keys() & theirs.keys():
        have, want = mine[key], theirs[key]
        out += [f"{key}: {name}: active {want[name]!r}, standby {have[name]!r}"
                for name in want if name not in OWN and have[name] != want[name]]
        for name in ("add-time", "use-time"):
            near = abs(have[name] - want[name]) <= SECONDS and bool(have[name]) == bool(want[name])
            if not near:
                out.append(f"{key}: {name}: active {want[name]}, standby {have[name]}")
        if have["oseq"] < want["oseq"]:
            out.append(f"{key}: oseq: active {want['oseq']}, standby {have['oseq']}")
    return out


def at_lease_end(standby):
    """SAs whose outbound counter is not where the daemon says that the lease ends."""
    return [f"{r['spi']:#x}: oseq {r['oseq']}, lease's end {r['lease-end']}"
            for r in standby.told() if r["managed"] and not 0 < r["lease-end"] <= r["oseq"]]


def agree(name, func, *args):
    """Asked until it is so: that the nodes are in step is told a moment later than it is so, and
    a guard comes and goes with the traffic."""
    found = []

    def so():
        found[:] = func(*args)
        return not found

    until(so, 10)
    check(name, not found, found[:8])


def traffic(active, peer):
    """Both ways on all SAs, with a gap in what P sends."""
    out = [sa for sa in kernel_sas(peer).values() if sa["dst"] == "192.0.3.1"]
    udps = {ns: Udp(ns) for ns in (active, peer)}
    for gap in (3, 40):
        for there in ("10.1.0.1", "192.0.3.1"):
            udps[peer].send(there, 20)
        for there in ("10.2.0.1", "192.0.3.2"):
            udps[active].send(there, 7)
        with nl.Client(peer) as client:
            for sa in out:
                name = sa_id(sa["dst"], sa["spi"], sa["proto"])
                answer = client.restore(dict(name, flags=sa["flags"], oseq=client.get(**name)["oseq"] + gap))
                assert answer["applied"] == 1, answer
    for there in ("10.1.0.1", "192.0.3.1"):
        udps[peer].send(there, 5)


def kinds(node):
    """What stands there: protocol, ESN, has it received, has it sent. And windows with gaps."""
    sas = managed(node).values()
    gaps = [sa for sa in sas if any(0 < word < 0xFFFFFFFF for word in sa["bitmap"])]
    return {(sa["proto"], "esn" in sa["flags"], bool(sa["seq"]), bool(sa["oseq"])) for sa in sas}, gaps


def test(active_ns, standby_ns, peer_ns, *paths):
    active, standby = Node(active_ns, *paths[:2]), Node(standby_ns, *paths[2:])
    traffic(active_ns, peer_ns)
    found, gaps = kinds(active)
    wanted = {(50, True, True, False), (50, True, False, True),
              (51, False, True, False), (51, False, False, True)}
    check("ESP with ESN and AH without have carried packets, in and out", wanted <= found, found)
    check("two windows have gaps", len(gaps) == 2, gaps)
    for name, node in ("active", active), ("standby", standby):
        agree(f"xfrmsync show agrees with ip: {name}", against_kernel, node, "shown")
        agree(f"the daemon agrees with ip: {name}", against_kernel, node, "told")
    agree("the standby agrees with the active", against_active, active, standby)
    agree("and its outbound counters stand at the leases' ends", at_lease_end, standby)


main(test)
