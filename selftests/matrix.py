# SPDX-License-Identifier: GPL-2.0
"""The matrix: every kind of SA is made on A, used, carried to B, compared, and used there.

In: the namespaces and configurations that matrix.sh made; matrix_cases.py's table.
Out: a result for each line of the table. What a kernel has is asked by `ip xfrm` and XFRM netlink.

All cases live in one world at once: one takeover carries all of them.
"""

import argparse
import collections
import difflib
import errno
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import time

import nl
from campaign_judge import IN, OUT
from campaign_world import FAMILY, Kernel, Node, PORT
from kt import SEED, check, ip, key, run, say, skip, until
from matrix_cases import COMP, address, cases

GATEWAY, PEER = {4: "192.0.3.1", 6: "2001:db8:3::1"}, {4: "192.0.3.2", 6: "2001:db8:3::2"}
MAC = {"a": "02:00:00:00:00:0a", "b": "02:00:00:00:00:0b", "p": "02:00:00:00:00:0c",
       "nobody": "02:00:00:00:00:99"}
BEFORE, AFTER = 7, 6        # packets each way; LOST of them on their way to the gateway
LOST = 3
OLD = 40                    # more that are lost where the window is small: what is behind it comes late
SMALL = 32
SIZES = (40, 700)           # the second is worth compressing
HEAD = struct.Struct("!IIHBB")
MAGIC = 0x6d617478
SO_MARK, UDP_ENCAP, UDP_ENCAP_ESPINUDP = 36, 100, 2
IP_XFRM_POLICY, IPV6_XFRM_POLICY = 17, 35
ETH_P_ALL, ETH_P_IP, PACKET_OUTGOING = 3, 0x800, 4
NEWSA, GETSA, DUMP, CREATE = 0x10, 0x12, 0x300, 0x600
REPLAY_VAL, LASTUSED, MARK, REPLAY_ESN_VAL = 10, 15, 21, 23

# What may differ between A and B. Documentation/operation.rst ("What is the same on the other
# node") has the same list: what is not there is not here.
DIFFERS = {
    "state": [
        (r"\b(add|use|lastused) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"\1 TIME"),   # see times()
        (r"\boseq(-hi)? 0x[0-9a-f]+", r"oseq\1 NUMBER"),                        # see ahead()
    ],
    "policy": [
        (r"\bindex \d+", "index NUMBER"),
        (r"\b(add|use) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|-)", r"\1 TIME"),
    ],
}
TIMES = ["add", "use", "lastused"]
LIVE = {REPLAY_VAL, REPLAY_ESN_VAL, LASTUSED}   # told by the text


# ---- what stands in a kernel -----------------------------------------------------------

class State:
    """SAs and policies of a namespace, as ip and netlink tell them."""

    def __init__(self, ns):
        self.ns, self.kernel = ns, Kernel(ns)
        self.sas, self.policies, self.raw = {}, {}, {}

    def look(self):
        self.sas, self.policies, self.raw = {}, {}, {}
        for block in self.blocks("-s -d xfrm state"):
            dst, spi = re.match(r"src \S+ dst (\S+)\s+proto \S+ spi 0x(\w+)", block).groups()
            self.sas.setdefault((dst, int(spi, 16)), []).append(block)
        for block in self.blocks("-s -d xfrm policy"):
            self.policies.setdefault(block.split()[1].partition("/")[0], []).append(block)
        for data in self.dump():
            self.raw.setdefault(self.who(data), []).append(data)
        return self

    def dump(self):
        return list(self.kernel.talk(GETSA, DUMP, b""))

    def one(self, sa):
        return next(data for data in self.dump() if self.who(data) == (sa.dst, sa.spi))

    def blocks(self, words):
        text = ip(self.ns, words).strip()
        return re.split(r"\n(?=src )", text) if text else []

    @staticmethod
    def who(data):
        family, = struct.unpack_from("H", data, 212)
        size = 4 if family == socket.AF_INET else 16
        return socket.inet_ntop(family, data[56:56 + size]), struct.unpack_from(">I", data, 72)[0]

    def sas_of(self, case):
        return sorted(block for who in case.names() for block in self.sas.get(who, ()))

    def policies_of(self, case):
        return [block for end in case.inner_addresses() for block in self.policies.get(end, ())]

    def raw_of(self, case):
        """(SA, its attributes)."""
        for who in case.names():
            for data in self.raw.get(who, ()):
                found = {kind: value for kind, value, _ in nl.nlas(data[224:])}
                yield who + (found.get(MARK),), found

    def attributes(self, case):
        """(SA, attribute) -> bytes: also what this ip does not know."""
        return {who + (kind,): value for who, found in self.raw_of(case)
                for kind, value in found.items() if kind not in LIVE}

    def oseqs(self, case):
        out = {}
        for who, found in self.raw_of(case):
            out[who] = 0
            if REPLAY_ESN_VAL in found:
                _, low, _, high = struct.unpack_from("4I", found[REPLAY_ESN_VAL])
                out[who] = high << 32 | low
            elif REPLAY_VAL in found:
                out[who], = struct.unpack_from("I", found[REPLAY_VAL])
        return out


def masked(kind, blocks):
    out = []
    for block in blocks:
        for pattern, replacement in DIFFERS[kind]:
            block = re.sub(pattern, replacement, block)
        out.append(block)
    return sorted(out)


def first_difference(kind, ours, theirs):
    a, b = masked(kind, ours), masked(kind, theirs)
    if a == b:
        return []
    lines = difflib.unified_diff("\n".join(a).splitlines(), "\n".join(b).splitlines(), "A", "B",
                                 lineterm="", n=1)
    return [f"ip xfrm {kind}: " + " | ".join(line.strip() for line in list(lines)[2:12])]


def times(ours, theirs):
    """Ages go on: the same to what a record's way takes."""
    out = []
    pattern = rf"\b({'|'.join(TIMES)}) (\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d)"
    for a, b in zip(ours, theirs):
        for (name, x), (_, y) in zip(re.findall(pattern, a), re.findall(pattern, b)):
            x, y = (time.mktime(time.strptime(t, "%Y-%m-%d %H:%M:%S")) for t in (x, y))
            if abs(x - y) > 3 * nl.SLOW:
                out.append(f"{name} time {y - x:+.0f} s in {b.split(' reqid')[0]}")
    return out


def differences(case, a, b):
    """Where B has not what A has, in words."""
    ours, theirs = a.sas_of(case), b.sas_of(case)
    if len(ours) != len(case.sas):
        return [f"A has {len(ours)} SAs of {len(case.sas)}"]
    out = first_difference("state", ours, theirs)
    if not out:
        out += times(ours, theirs)
        have = b.attributes(case)
        out += [f"attribute {who}: {value.hex()} is {have.get(who, b'').hex() or 'not there'}"
                for who, value in a.attributes(case).items() if have.get(who) != value]
        out += [f"attribute {who} more" for who in have.keys() - a.attributes(case).keys()]
        numbers = b.oseqs(case)
        out += [f"oseq {numbers.get(who)} of {who} is behind {number}"
                for who, number in a.oseqs(case).items() if numbers.get(who, -1) < number]
    return out + first_difference("policy", a.policies_of(case), b.policies_of(case))


def replay_errors(state, case):
    """What was refused, of all that came: (window, replay, integrity) of each SA."""
    return [re.findall(r"replay-window (\d+) replay (\d+) failed (\d+)", block)[-1]
            for block in state.sas_of(case)]


def errors_of(state, sa):
    """The same of one SA."""
    block = next(block for block in state.sas[sa.dst, sa.spi] if block.startswith(f"src {sa.src} "))
    return tuple(map(int, re.findall(r"replay-window (\d+) replay (\d+) failed (\d+)", block)[-1]))


# ---- packets on the wire -------------------------------------------------------------------

class Frame:
    """One that P has sent; spi is None where it is no ESP and no AH."""

    def __init__(self, data):
        self.data = data
        four = struct.unpack_from("!H", data, 12)[0] == ETH_P_IP
        self.at, where = (14 + 4 * (data[14] & 15), (26, 30, 34)) if four else (54, (22, 38, 54))
        self.src, self.dst = (socket.inet_ntop(FAMILY[4 if four else 6], data[i:j])
                              for i, j in zip(where, where[1:]))
        self.four, proto = four, data[23 if four else 20]
        self.udp = proto == socket.IPPROTO_UDP
        at = {socket.IPPROTO_ESP: 0, socket.IPPROTO_AH: 4, socket.IPPROTO_UDP: 8}.get(proto)
        self.spi = None if at is None else struct.unpack_from("!I", data, self.at + at)[0]

    def damaged(self):
        """Its last byte is another one. A sum that IPv6 looks at before is right."""
        data = bytearray(self.data)
        data[-1] ^= 1
        if self.udp and not self.four:
            data[self.at + 6:self.at + 8] = b"\0\0"
            body = data[22:54] + struct.pack("!II", len(data) - self.at, socket.IPPROTO_UDP) + data[self.at:]
            words = struct.unpack(f"!{(len(body) + 1) // 2}H", bytes(body).ljust(len(body) + len(body) % 2, b"\0"))
            total = sum(words)
            while total >> 16:
                total = (total & 0xffff) + (total >> 16)
            struct.pack_into("!H", data, self.at + 6, 0xffff - total or 0xffff)
        return Frame(bytes(data))

    def to(self, whom):
        return bytes.fromhex(MAC[whom].replace(":", "")) + self.data[6:]


class Tap:
    """What P sends to the gateways, and what is put there beside it."""

    def __init__(self, ns):
        with nl.netns(ns):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, nl.SO_RCVBUFFORCE, 16 << 20)
        self.sock.bind(("br0", ETH_P_ALL))
        self.sock.setblocking(False)

    def frames(self):
        """(source, destination, SPI) -> those since the last call, in order."""
        out = {}
        try:
            while True:
                data, where = self.sock.recvfrom(2048)
                if where[2] == PACKET_OUTGOING and data[12:14] in (b"\x08\0", b"\x86\xdd"):
                    frame = Frame(data)
                    out.setdefault((frame.src, frame.dst, frame.spi), []).append(frame)
        except BlockingIOError:
            return out

    def put(self, frame):
        self.sock.send(frame.to("a"))


# ---- the world ---------------------------------------------------------------------------

class World:
    """A and B have the same addresses; P's neighbour entries say who is meant."""

    def __init__(self, a, b, p):
        self.ns = {"a": a, "b": b, "p": p}
        self.state = {name: State(ns) for name, ns in self.ns.items()}
        self.socks, self.sinks, self.holding = {}, {}, []
        self.got = collections.Counter()
        self.errors = {}        # SA -> what A shall have counted

    def lay(self, all_cases):
        run("modprobe", "-aq", "esp4", "esp6", "ah4", "ah6", "ipcomp", "ipcomp6", "xfrm_user",
            "xfrm_interface", "ip_vti", "ip6_vti", "sch_ingress", "cls_flower", "act_skbedit", ok=False)
        a, b, p = self.ns["a"], self.ns["b"], self.ns["p"]
        # Not the same interface numbers on both.
        ip(b, "link add other type dummy")
        ip(a, f"link add sync type veth peer name sync netns {b}")
        ip(p, "link add br0 type bridge mcast_snooping 0")
        ip(p, f"link set br0 address {MAC['p']} up")
        for name, ns, n in (("a", a, 1), ("b", b, 2)):
            ip(ns, f"link add out address {MAC[name]} type veth peer name to-{name} netns {p}")
            ip(p, f"link set to-{name} master br0 up")
            ip(ns, "\n".join(["link set sync up", "link set out up",
                              f"address add 192.0.2.{n}/24 dev sync",
                              f"address add {GATEWAY[4]}/24 dev out",
                              f"address add {GATEWAY[6]}/64 dev out nodad",
                              *self.neighbours("out", PEER, "p"),
                              *self.routes("out", (2, 4), PEER)]) + "\n")
        ip(p, "\n".join([f"address add {PEER[4]}/24 dev br0", f"address add {PEER[6]}/64 dev br0 nodad",
                         *self.neighbours("br0", GATEWAY, "a"), *self.routes("br0", (1, 3), GATEWAY)])
           + "\n")
        for name, ns in self.ns.items():
            nets = (2, 4) if name == "p" else (1, 3)
            ip(ns, "\n".join(f"address add {address(net, lane, family)}/{32 if family == 4 else 128} dev lo"
                             for case in all_cases for lane in case.lanes for net in nets
                             for family in (4, 6)) + "\n")
            self.tc(ns, "qdisc add dev {} clsact".format("br0" if name == "p" else "out"))
        self.open_sinks()

    @staticmethod
    def neighbours(dev, whom, mac):
        return [f"neighbour replace {whom[f]} lladdr {MAC[mac]} dev {dev} nud permanent" for f in (4, 6)]

    @staticmethod
    def routes(dev, nets, via):
        for net in nets:
            yield f"route add 10.{net}.0.0/16 via {via[4]} dev {dev}"
            yield f"route add fd00:{net}::/32 via {via[6]} dev {dev}"

    @staticmethod
    def tc(ns, words):
        run("tc", "-n", ns, *words.split())

    def point(self, whom):
        """P's packets go to that node, or to nobody."""
        ip(self.ns["p"], "\n".join(self.neighbours("br0", GATEWAY, whom)) + "\n")

    def cut(self, name):
        for dev in ("out", "sync"):
            ip(self.ns[name], f"link set {dev} down")

    # ---- packets ----

    def open_sinks(self):
        for name, ns in self.ns.items():
            with nl.netns(ns):
                sink = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sink.setsockopt(socket.SOL_SOCKET, nl.SO_RCVBUFFORCE, 16 << 20)
            sink.setblocking(False)
            sink.bind(("::", PORT))
            self.sinks[name] = sink

    def sender(self, case, lane, way, node):
        who = node, lane, way
        if who not in self.socks:
            src, dst = case.inside(lane, way)
            with nl.netns(self.ns[node]):
                sock = socket.socket(FAMILY[6 if ":" in src else 4], socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind((src, 0))
            mark = case.mark_of(lane)
            if mark and not case.device and (way == OUT or len(case.lanes) > 1):
                sock.setsockopt(socket.SOL_SOCKET, SO_MARK, mark[0])
            self.socks[who] = sock, (dst, PORT)
        return self.socks[who]

    def send(self, some, way, node, count):
        """Of each lane as many; a packet that the kernel refuses is one that does not come."""
        for i in range(count):
            for case in some:
                for lane in case.lanes:
                    sock, to = self.sender(case, lane, way, "p" if way == IN else node)
                    for _ in range(2):      # an ICMP error of before is told once
                        try:
                            sock.sendto(HEAD.pack(MAGIC, 0, lane, way, i).ljust(SIZES[i % 2], b"\0"), to)
                            break
                        except OSError as error:
                            if error.errno in (errno.EPERM, errno.EAGAIN):
                                break
            self.drain()

    def drain(self, timeout=0):
        ready = select.select(list(self.sinks.values()), [], [], timeout)[0]
        for name, sink in self.sinks.items():
            if sink not in ready:
                continue
            try:
                while True:
                    data = sink.recv(2048)
                    if len(data) in SIZES and HEAD.unpack_from(data)[0] == MAGIC:
                        _, _, lane, way, _ = HEAD.unpack_from(data)
                        self.got[lane, way, name] += 1
            except BlockingIOError:
                pass
        return bool(ready)

    def attack(self, some, node, holes):
        """Some are lost; and two come that must not be taken: one of the lost, that was changed,
        and one that was there before, late where the window is small."""
        tap = Tap(self.ns["p"])
        came = self.seen_by(tap, some, 1)
        self.point("nobody")
        lost = self.seen_by(tap, some, holes)
        self.point(node)
        attacked = {sa: case for case in some for sa in case.sas
                    if sa.way == IN and (sa.src, sa.dst, sa.spi) in came and (sa.src, sa.dst, sa.spi) in lost}
        for sa in attacked:
            tap.put(lost[sa.src, sa.dst, sa.spi][-1].damaged())
        self.point("nobody")
        self.send([case for case in some if is_small(case)], IN, node, OLD)
        self.point(node)
        self.send(some, IN, node, 1)
        for sa, case in attacked.items():
            # Without a window, whatever comes twice is taken twice.
            if case.window:
                tap.put(came[sa.src, sa.dst, sa.spi][-1])
            self.errors[sa] = (0, 0, 1) if not case.window else (1, 0, 1) if is_small(case) else (0, 1, 1)
        tap.sock.close()

    def seen_by(self, tap, some, count):
        self.send(some, IN, None, count)
        until(lambda: not self.drain(0.3), 60)
        return tap.frames()

    def exchange(self, some, node, count, what, holes=0):
        """Both ways; what did not come goes to the case's faults."""
        self.got.clear()
        self.send(some, OUT, node, count)
        self.send(some, IN, node, count - count // 2)
        if holes:
            self.attack(some, node, holes)
        # What is counted is told with the next packet.
        self.send(some, IN, node, count // 2 - (2 if holes else 0))
        until(lambda: not self.drain(0.3), 60)
        for case in some:
            for lane in case.lanes:
                for way, name, text in ((OUT, "p", "out"), (IN, node, "in")):
                    want = 0 if case.fenced and way == OUT and what == "after" else count
                    if self.got[lane, way, name] != want:
                        case.faults.append(f"{what} it: {self.got[lane, way, name]} of {want} "
                                           f"packets came, {text}")

    # ---- SAs ----

    def install(self, case, context):
        """The case at A and P; what it needs of devices also at B. A reason to skip it, or None."""
        for name in ("a", "b"):
            self.devices(case, name)
        try:
            ip(self.ns["a"], "\n".join(case.sa_lines(True, context)) + "\n")
            ip(self.ns["p"], "\n".join([*case.sa_lines(False), *case.policy_lines(False)]) + "\n")
        except RuntimeError:
            if case.optional:
                self.remove(case)
                return case.optional
            raise
        reason = self.say_raw(case)
        if reason:
            self.remove(case)
            return reason
        ip(self.ns["a"], "\n".join(case.policy_lines(True, context)) + "\n")
        return None

    def remove(self, case):
        for sa in case.sas:
            for name in ("a", "p"):
                ip(self.ns[name], f"xfrm state delete {sa.id()}", ok=False)

    def devices(self, case, name):
        ns, dev = self.ns[name], f"x{case.lanes[0]}"
        for lane in case.lanes:
            if case.marks and not case.device:
                src = case.ends(lane, IN)[0]
                self.mark(ns, "out", src, case.mark_of(lane)[0])
                if len(case.lanes) > 1 and name == "a":
                    self.mark(self.ns["p"], "br0", case.ends(lane, OUT)[0], case.mark_of(lane)[0])
        if not case.device:
            return
        if case.device == "xfrm":
            ip(ns, f"link add {dev} type xfrm dev out if_id {case.lanes[0]:#x}")
        else:
            here, there = case.ends(case.lanes[0], OUT)
            ip(ns, f"link add {dev} type {case.device} local {here} remote {there} "
                   f"key {case.mark_of(case.lanes[0])[0]}")
        dst = case.inside(case.lanes[0], OUT)[1]
        ip(ns, f"link set {dev} up\nroute add {dst}/{128 if ':' in dst else 32} dev {dev}\n")

    def mark(self, ns, dev, src, value):
        self.tc(ns, f"filter add dev {dev} ingress protocol {'ipv6' if ':' in src else 'ip'} flower "
                    f"src_ip {src} action skbedit mark {value}")

    def say_raw(self, case):
        """What ip cannot say: the SA is read, deleted, and made once more with it."""
        state = self.state["a"]
        for sa in case.sas:
            more = case.raw.get(sa.way)
            if not more:
                continue
            data = state.one(sa)
            ip(self.ns["a"], f"xfrm state delete {sa.id()}")
            state.kernel.ask(NEWSA, one_way(data, sa.way) + b"".join(nl.nla(k, v) for k, v in more.items()),
                             CREATE)
            have = {kind: value for kind, value, _ in nl.nlas(state.one(sa)[224:])}
            for kind, value in more.items():
                if have.get(kind) != value:
                    return f"this kernel has no XFRM attribute {kind}"
        return None

    def encap_sockets(self, all_cases):
        ports = {port for case in all_cases if case.encap for port in (*case.encap, case.new_port) if port}
        for ns in self.ns.values():
            for port in ports:
                with nl.netns(ns):
                    for family, any_address in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
                        sock = socket.socket(family, socket.SOCK_DGRAM)
                        if family == socket.AF_INET6:
                            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
                        bypass(sock, family)
                        sock.bind((any_address, port))
                        self.holding.append(sock)

    def change_ports(self, some):
        for case in some:
            if case.new_port:
                for name in ("a", "p"):
                    ip(self.ns[name], "\n".join(case.sa_lines(name == "a", verb="update")) + "\n")


def is_small(case):
    return not case.esn and 0 < case.window <= SMALL


def bypass(sock, family):
    """As an IKE daemon's: what comes in UDP is looked at when it is out of it."""
    policy = bytearray(168)     # struct xfrm_userpolicy_info
    struct.pack_into("H", policy, 40, family)
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_XFRM_POLICY, bytes(policy))
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_XFRM_POLICY, bytes(policy))


def one_way(data, way):
    """An SA as it was told, for XFRM_MSG_NEWSA with a direction: one that sends has no window."""
    head, rest = bytearray(data[:224]), b""
    if way == OUT:
        head[215] = 0
    for kind, value, _ in nl.nlas(data[224:]):
        if kind == REPLAY_ESN_VAL and way == OUT:
            value = struct.pack("6I", 0, *struct.unpack_from("4I", value, 4), 0)
        if kind not in (LASTUSED, REPLAY_VAL):
            rest += nl.nla(kind, value)
    return bytes(head) + rest


# ---- how it comes to B -------------------------------------------------------------------

class ByDaemon:
    """Two daemons; A dies without a word, and B takes over."""

    def __init__(self, world, folder):
        self.world = world
        self.a, self.b = (Node(name, world.ns[name], folder, "") for name in ("a", "b"))

    def begin(self):
        """A is in use, and B follows it."""
        for node in (self.a, self.b):
            node.configure((30, 24))
            node.start()
        if not until(lambda: all(s and s["peers"][0]["role"] == "standby" for s in
                                 (self.a.status(), self.b.status())), 30):
            return "the daemons do not find each other"
        proc = self.a.tool("takeover")
        said = proc.communicate()[0].strip()
        return f"takeover: {said}" if proc.returncode else None

    def settled(self):
        """Nothing is on its way to B any more."""
        a, b = self.a.status(), self.b.status()
        return bool(a and b and a["peers"][0]["state"] == "synced" and not a["peers"][0]["lag_packets"]
                    and b["role"] == "standby")

    def carry(self):
        """From now on A is dead, and B has all."""
        self.a.end(signal.SIGKILL)
        self.world.cut("a")
        proc = self.b.tool("takeover")
        said = proc.communicate()[0].strip()
        return f"takeover: {said}" if proc.returncode else None

    def end(self):
        return self.b.end(signal.SIGTERM)

    def fenced(self):
        return {(r["dst"], r["spi"]) for r in self.b.control.dump() if "fenced" in r["flags"]}


class ByFile:
    """No daemon; A's SAs are held and saved, and loaded on B."""

    def __init__(self, world, folder):
        self.world = world
        self.key, self.file = f"{folder}/key", f"{folder}/contexts"
        with open(os.open(self.key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(random.Random(SEED).randbytes(32))
        # Where nothing died, the number is the last one.
        DIFFERS["state"] = [one for one in DIFFERS["state"] if "oseq" not in one[0]]
        # XFRM takes it from nobody, and a file goes past the module.
        DIFFERS["state"].append((r"\n[ \t]*lastused TIME", ""))
        # What was refused is told by no attribute of a new SA either: see errors().
        DIFFERS["state"].append((r"(?<=replay-window )\d+ replay \d+ failed \d+", "ERRORS"))
        TIMES.remove("lastused")

    def begin(self):
        return None

    def settled(self):
        return True

    def tool(self, name, *words):
        with nl.netns(self.world.ns[name]):
            done = subprocess.run([os.environ["XFRMSYNC"], *words, "--key", self.key, self.file], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return f"{words[0]}: {done.stdout.strip()[-600:]}" if done.returncode else None

    def carry(self):
        said = self.tool("a", "save", "--stop")
        self.world.cut("a")
        return said or self.tool("b", "load")

    def end(self):
        return None

    def fenced(self):
        control = nl.Client(self.world.ns["b"])
        return {(r["dst"], r["spi"]) for r in control.dump() if "fenced" in r["flags"]}


# ---- the cases -----------------------------------------------------------------------------

def security_context(ns):
    """A label that packets have here: (label, None), or (None, why there is none)."""
    path = "/sys/kernel/security"
    if not os.path.exists(f"{path}/lsm"):
        run("mount", "-t", "securityfs", "none", path, ok=False)
    with open(f"{path}/lsm", encoding="ascii") as file:
        modules = file.read()
    if "selinux" not in modules:
        return None, f"no SELinux here, but {modules} (boot with security=selinux)"
    with open("/proc/self/attr/current", encoding="ascii") as file:
        label = file.read().strip("\0\n")
    # Without a policy, newer kernels have "init" and say "kernel".
    sa = "src 192.0.2.8 dst 192.0.2.9 proto esp spi 0x8000"
    more = f"mode tunnel aead rfc4106(gcm(aes)) {key(20, 'label')} 128"
    if label == "kernel" and not ip(ns, f"xfrm state add {sa} {more} ctx init", ok=False):
        label = "init"
        ip(ns, f"xfrm state delete {sa}")
    return label, None


def install(world, all_cases):
    """Those that stand."""
    context, without = security_context(world.ns["a"])
    standing = []
    for case in all_cases:
        case.faults = []
        if case.context and without:
            skip(case.name, without)
            continue
        try:
            reason = world.install(case, context)
        except (OSError, RuntimeError) as error:
            say("not ok", case.name, f"cannot be made: {error}")
            continue
        if reason:
            skip(case.name, reason)
        else:
            standing.append(case)
    return standing


def compared(world, some):
    """Faults of each case."""
    a, b = world.state["a"].look(), world.state["b"].look()
    return {case: differences(case, a, b) for case in some}


def errors(world, carrier, case):
    """What A counted, and what B has of it, where it should be another number."""
    a, b = world.state["a"], world.state["b"]
    attacked = [sa for sa in case.sas if sa in world.errors]
    if not attacked and set(case.chain) != {COMP} and case.encap_kind != "espintcp":
        return ["no packet of it was seen that could be sent again"]
    out = []
    for sa in attacked:
        want = world.errors[sa]
        if errors_of(a, sa) != want:
            out.append(f"A counts {errors_of(a, sa)} of {sa.id()}, not {want}")
        if isinstance(carrier, ByFile):
            want = 0, 0, 0
        if errors_of(b, sa) != want:
            out.append(f"B counts {errors_of(b, sa)} of {sa.id()}, not {want}")
    return out


def wait_for_it(world, carrier, some):
    """Until B follows A in all; what it never does, shows later."""
    if isinstance(carrier, ByFile):
        return
    until(lambda: carrier.settled() and not any(compared(world, some).values()), 30)


def judge(world, carrier, some, before):
    fenced = carrier.fenced()
    now = {name: world.state[name].look() for name in ("b", "p")}
    for case in some:
        for sa in case.sas:
            want, have = case.fenced and sa.way == OUT, (sa.dst, sa.spi) in fenced
            if want != have:
                case.faults.append(f"{sa.id()} is {'fenced' if have else 'not fenced'}")
        for name in ("b", "p"):
            have, had = replay_errors(now[name], case), before[name][case]
            if have != had:
                case.faults.append(f"refused by {name} after it: {have}, before {had}")
        check(case.name, not case.faults, "; ".join(case.faults))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", choices=("daemon", "file"), default="daemon")
    parser.add_argument("what", nargs="*")
    args = parser.parse_args()
    words = args.what
    pattern = os.environ.get("XFRMSYNC_MATRIX", "")
    all_cases = [case for case in cases() if re.search(pattern, case.name)]
    if not words:
        print(len(all_cases) + 5)
        return
    folder, a, b, p = words
    world = World(a, b, p)
    world.lay(all_cases)
    world.encap_sockets(all_cases)
    some = install(world, all_cases)
    carrier = (ByFile if args.by == "file" else ByDaemon)(world, folder)
    for case in some:
        # A file has the exact number: nothing leaps, and all goes on.
        case.fenced &= args.by == "daemon"

    said = carrier.begin()
    check("A is in use, and B follows it", not said, said)
    world.exchange(some, "a", 2, "before")
    world.change_ports(some)
    world.exchange(some, "a", BEFORE, "before", LOST)
    wait_for_it(world, carrier, some)
    said = carrier.carry()
    check("B has it all", not said, said)
    for case, faults in compared(world, some).items():
        case.faults += faults or errors(world, carrier, case)
    seen = {name: world.state[name].look() for name in "bp"}
    before = {name: {case: replay_errors(state, case) for case in some} for name, state in seen.items()}
    world.point("b")
    world.exchange(some, "b", AFTER, "after")
    judge(world, carrier, some, before)
    said = carrier.end()
    check("the daemon ended cleanly", not said, said)


if __name__ == "__main__":
    main()
