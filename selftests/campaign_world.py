# SPDX-License-Identifier: GPL-2.0
"""The world of a test on wires.sh: nodes with their daemons, SAs, senders and receivers, wires.

In: the namespaces that wires.sh laid, and what a test wants of them.
Out: the same, changed; frames and payloads. What a kernel has is asked by XFRM netlink, not of
    what is under test.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time

import nl
from campaign_judge import IN, OUT, Window
from kt import key

GATEWAY = {4: "198.51.100.10", 6: "2001:db8:1::10"}
PEER = {4: "198.51.100.2", 6: "2001:db8:1::2"}
MAX_TUNNELS = 12
PORT = 9
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
ETH_P_ALL, UDP_SEGMENT = 3, 103
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
DELSA, GETSA, GETPOLICY, NLM_F_DUMP = 0x11, 0x12, 0x15, 0x300
REPLAY_VAL, REPLAY_ESN_VAL, TMPL = 10, 23, 5
POLICY_OUT = 1


def host(n, tunnel, family):
    return f"10.{n}.{tunnel}.1" if family == 4 else f"fd00:{n}::{tunnel:x}"


# ---- SAs ---------------------------------------------------------------------------

class Sa:
    """One SA, as an IKE daemon would install it at both ends."""
    count = 0x1000

    def __init__(self, way, family, shape):
        Sa.count += 1
        self.spi, self.way, self.shape = Sa.count, way, shape
        self.src, self.dst = (GATEWAY[family], PEER[family])[::1 if way == OUT else -1]

    def name(self):
        return f"dst {self.dst} proto esp spi {self.spi:#x}"

    def add(self, sends, start=None):
        """Words of ip xfrm; sends: at the end that sends on it."""
        esn, window, algo, first = self.shape
        first = first if start is None else start
        words = (f"xfrm state add src {self.src} {self.name()} reqid 1 mode tunnel "
                 f"{'flag esn ' if esn else ''}replay-window {window} ")
        if first:
            which = "oseq" if sends else "seq"
            words += f"replay-{which} {first & 0xffffffff:#x} "
            if esn:
                words += f"replay-{which}-hi {first >> 32:#x} "
        if algo == "gcm":
            return words + f"aead rfc4106(gcm(aes)) {key(20, self.spi)} 128"
        return words + (f"enc cbc(aes) {key(16, f'e{self.spi}')} "
                        f"auth-trunc hmac(sha256) {key(32, f'a{self.spi}')} 128")

    def delete(self):
        return "xfrm state delete " + self.name()

    def judged(self):
        out = {"name": f"{'out' if self.way == OUT else 'in'} {self.spi:#x}", "spi": self.spi,
               "src": self.src, "dst": self.dst, "esn": self.shape[0], "icv_bits": 128}
        if self.shape[2] == "gcm":
            return dict(out, aead="rfc4106(gcm(aes))", key=key(20, self.spi))
        return dict(out, auth="hmac(sha256)", auth_key=key(32, f"a{self.spi}"),
                    enc="cbc(aes)", enc_key=key(16, f"e{self.spi}"))


class Tunnel:
    """Two SAs and the policies that use them."""

    def __init__(self, number, family):
        self.number, self.family = number, family
        self.inside, self.outside = host(1, number, family), host(2, number, family)
        self.sas, self.old = {}, []     # way -> Sa; those that a rekey left
        self.fresh = False              # changed since the standby was in step
        self.pointed = False            # its policies alone

    def policies(self, gateway):
        """The policies of the gateway, or of the peer."""
        here, there = GATEWAY[self.family], PEER[self.family]
        src, dst, way = self.inside, self.outside, OUT
        if not gateway:
            here, there, src, dst, way = there, here, dst, src, IN
        yield (f"xfrm policy update src {src} dst {dst} dir out tmpl src {here} "
               f"{self.sas[way].name()} reqid 1 mode tunnel")
        for way in ("in", "fwd"):
            yield (f"xfrm policy update src {dst} dst {src} dir {way} tmpl src {there} dst {here} "
                   "proto esp reqid 1 mode tunnel")


# ---- what ip(8) and tc(8) do ---------------------------------------------------------

CALLS = 200     # of one ip: it keeps something of each command


class Batch:
    """ip -batch or tc -batch in a namespace, for as long as the campaign lasts: where processes
    are slow to begin, one costs as much as a dozen SAs."""

    def __init__(self, program, ns):
        self.program, self.ns, self.proc, self.count = program, ns, None, 0

    def start(self):
        with nl.netns(self.ns):
            self.proc = subprocess.Popen([self.program, "-force", "-batch", "-"], text=True, bufsize=1 << 16,
                                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE)

    def __call__(self, text):
        """Lines, and waits until they are done; one that fails ends it."""
        if not text:
            return
        if self.proc and self.count % CALLS == 0:
            self.proc.stdin.close()
            self.proc.wait()
            self.proc = None
        if self.proc is None:
            self.start()
        self.count += 1
        end = f"end-{self.count}"       # no object of theirs: an error says that all is done
        self.proc.stdin.write(f"{text}\n{end}\n")
        self.proc.stdin.flush()
        said = self.proc.stderr.readline()
        if f'"{end}"' not in said:
            said += self.proc.stderr.read()
            self.proc.wait()
            self.proc = None
            raise RuntimeError(f"{self.program} in {self.ns}: {said.strip()[-300:]}")
        self.proc.stderr.readline()


# ---- what a kernel has ---------------------------------------------------------------

class Kernel(nl.Xfrm):
    """SAs and policies of a namespace."""

    def sas(self):
        """SPI -> Window."""
        out = {}
        for data in self.talk(GETSA, NLM_F_DUMP, b""):
            spi, = struct.unpack_from(">I", data, 72)
            window = None
            for kind, value, _ in nl.nlas(data[224:]):
                if kind == REPLAY_ESN_VAL:
                    words, _, low, _, high, size = struct.unpack_from("6I", value)
                    window = Window(high << 32 | low, size,
                                    struct.unpack_from(f"{words}I", value, 24), True)
                elif kind == REPLAY_VAL and window is None:
                    _, seq, bits = struct.unpack_from("3I", value)
                    window = Window(seq, data[215] or 32, (bits,), False)
            out[spi] = window
        return out

    def names(self):
        """(SPI, destination) of each."""
        for data in self.talk(GETSA, NLM_F_DUMP, b""):
            family, = struct.unpack_from("H", data, 212)
            size = 4 if family == socket.AF_INET else 16
            yield struct.unpack_from(">I", data, 72)[0], socket.inet_ntop(family, data[56:56 + size])

    def remove(self, sas):
        """SAs by (SPI, destination); whether they were there does not matter."""
        for spi, dst in sas:
            family, address = nl.address(dst)
            try:
                self.ask(DELSA, struct.pack(">16sI", address, spi) +
                         struct.pack("HBx", family, socket.IPPROTO_ESP))
            except nl.NlError as error:
                if error.errno != errno.ESRCH:
                    raise

    def policy_spis(self):
        """Which SA each tunnel's outbound policy points at: source address -> SPI."""
        out = {}
        for data in self.talk(GETPOLICY, NLM_F_DUMP, b""):
            if data[160] != POLICY_OUT:
                continue
            family, = struct.unpack_from("H", data, 40)
            source = socket.inet_ntop(family, data[16:20 if family == socket.AF_INET else 32])
            for kind, value, _ in nl.nlas(data[168:]):
                if kind == TMPL:
                    out[source], = struct.unpack_from(">I", value, 16)
        return out


# ---- nodes ---------------------------------------------------------------------------

class Node:
    """A gateway with its daemon."""

    def __init__(self, name, ns, folder, extra):
        self.name, self.ns, self.folder, self.ip = name, ns, folder, Batch("ip", ns)
        self.mac = bytes.fromhex(f"02000000010{name}")
        self.conf, self.path = f"{folder}/{name}.conf", f"{folder}/{name}.run/sock"
        with open(self.conf, encoding="utf-8") as file:
            self.base = re.sub(r"\[filter\]\n[^[]*", "", file.read()) + extra
        self.kernel, self.control, self.proc = Kernel(ns), nl.Client(ns), None
        # Of the current round: the campaign empties it.
        self.log = open(f"{folder}/{name}.log", "a+", encoding="utf-8")
        self.said = 0           # bytes in there when it began

    def configure(self, leases, more=""):
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(self.base + f"lease_esn_log2 = {leases[0]}\nlease_log2 = {leases[1]}\n" + more)

    def start(self):
        with nl.netns(self.ns):
            self.said = os.fstat(self.log.fileno()).st_size
            self.proc = subprocess.Popen([os.environ["XFRMSYNC"], "run", "-c", self.conf],
                                         stderr=self.log, stdin=subprocess.DEVNULL)

    def end(self, sig, patience=20 * nl.SLOW):
        """What is wrong with how it ended, or None."""
        if self.proc is None:
            return None
        proc, self.proc = self.proc, None
        gone = proc.poll()
        if gone is not None:
            return f"{self.name}'s daemon was gone already, {gone}"
        proc.send_signal(sig)
        try:
            code = proc.wait(patience)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()
            return f"{self.name}'s daemon did not end"
        # A process that has not come to its first line yet dies of it, and nothing is lost.
        if code == -sig and os.fstat(self.log.fileno()).st_size <= self.said:
            return None
        if sig == signal.SIGTERM and code:
            return f"{self.name}'s daemon ended with {code}"
        return None

    def reload(self):
        if self.proc:
            self.proc.send_signal(signal.SIGHUP)

    def tool(self, *words):
        """A process of the tool."""
        with nl.netns(self.ns):
            return subprocess.Popen([os.environ["XFRMSYNC"], *words, "-c", self.conf], text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def words(self):
        """What it said in this round."""
        self.log.seek(0)
        return self.log.read()

    def ask(self, command):
        """What the daemon answers, line by line; nothing where there is none."""
        lines = []
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(5 * nl.SLOW)
                sock.connect(self.path)
                sock.sendall(json.dumps({"cmd": command}).encode() + b"\n")
                for line in sock.makefile():
                    lines.append(json.loads(line))
                    if "done" in lines[-1]:
                        break
        except OSError:
            return []
        return lines if lines and lines[-1].keys() - {"done"} else lines[:-1]

    def status(self):
        """What the daemon says, or None."""
        return next(iter(self.ask("status")), None)

    def reset(self):
        """As if it had never been."""
        self.control.role("none")
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{self.folder}/{self.name}.state/state")


# ---- wires ---------------------------------------------------------------------------

class Wire:
    """What comes in at a port of W; and a way to send out there."""

    def __init__(self, ns, port, sender):
        self.sender = sender
        with nl.netns(ns):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setblocking(False)
        self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, nl.SO_RCVBUFFORCE, 16 << 20)
        if port[0] == "s":      # not the daemons' own packets
            tcp = [(0x28, 0, 0, 12), (0x15, 0, 2, 0x0800), (0x30, 0, 0, 23), (0x15, 1, 0, 6),
                   (6, 0, 0, 0x40000), (6, 0, 0, 0)]
            code = b"".join(struct.pack("HBBI", *line) for line in tcp)
            buffer = (nl.ctypes.c_char * len(code)).from_buffer_copy(code)
            program = struct.pack("HxxxxxxP", len(tcp), nl.ctypes.addressof(buffer))
            self.sock.setsockopt(socket.SOL_SOCKET, 26, program)
        self.sock.bind((port, ETH_P_ALL))

    def drain(self):
        while True:
            try:
                yield self.sock.recv(4096)
            except BlockingIOError:
                return
            except OSError as error:    # told once, before what was captured
                if error.errno != errno.ENETDOWN:
                    raise

    def drops(self):
        return struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]


class Switch:
    """Ports up and down."""

    def __init__(self, ns):
        self.down = set()
        with nl.netns(ns):
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def set(self, ports, on):
        (self.down.difference_update if on else self.down.update)(ports)
        for port in ports:
            request = struct.pack("16sH14x", port.encode(), 0)
            flags, = struct.unpack_from("H", fcntl.ioctl(self.sock, SIOCGIFFLAGS, request), 16)
            flags = flags | IFF_UP if on else flags & ~IFF_UP
            fcntl.ioctl(self.sock, SIOCSIFFLAGS, struct.pack("16sH14x", port.encode(), flags))


# ---- senders and receivers -------------------------------------------------------------

class Hosts:
    """The networks inside (H) and outside (P)."""

    def __init__(self, inside, outside, names):
        self.ns = {IN: outside, OUT: inside}    # who sends
        self.senders, self.sinks = {}, {}
        for way in (IN, OUT):
            with nl.netns(self.ns[1 - way]):
                sink = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sink.setsockopt(socket.SOL_SOCKET, nl.SO_RCVBUFFORCE, 16 << 20)
            sink.setblocking(False)
            sink.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            sink.bind(("::", PORT))
            self.sinks[way] = sink
        with nl.netns(inside):
            self.devices = {socket.if_nametoindex("h" + name): name for name in names}

    def sender(self, tunnel, way, device):
        """A socket of that tunnel, through one gateway's device if H sends."""
        who = tunnel.number, tunnel.family, way, device
        if who not in self.senders:
            src, dst = tunnel.inside, tunnel.outside
            if way == IN:
                src, dst = dst, src
            with nl.netns(self.ns[way]):
                sock = socket.socket(FAMILY[tunnel.family], socket.SOCK_DGRAM)
            if device:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            sock.setblocking(False)
            sock.bind((src, 0))
            self.senders[who] = sock, (dst, PORT)
        return self.senders[who]

    def send(self, tunnel, way, device, payload, segment=0):
        """Whether the kernel took it; an ICMP error of an earlier one is not its matter.
        With a segment's size: as one packet that is cut behind the cipher."""
        sock, to = self.sender(tunnel, way, device)
        extra = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", segment))] if segment else []
        for _ in range(3):
            try:
                sock.sendmsg([payload], extra, 0, to)
                return True
            except OSError as error:
                if error.errno in (errno.EPERM, errno.EAGAIN):
                    return False
        return False

    def received(self, timeout=0):
        """Yields (way, payload, through which gateway, or None outside)."""
        ready = select.select(list(self.sinks.values()), [], [], timeout)[0]
        for way, sink in self.sinks.items():
            if sink not in ready:
                continue
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, info, _, _ = sink.recvmsg(2048, 64)
                    index, = struct.unpack_from("I", info[0][2], 16)
                    yield way, data, self.devices.get(index) if way == IN else None


class World:
    """All of it."""

    def __init__(self, folder, *namespaces, extra=""):
        *gateways, p, h, w = namespaces
        self.nodes = [Node(name, ns, folder, extra) for name, ns in zip("abc", gateways)]
        self.peer, self.peer_ip, self.tc = Kernel(p), Batch("ip", p), Batch("tc", w)
        self.owner = None
        names = [node.name for node in self.nodes]
        self.hosts, self.switch = Hosts(h, p, names), Switch(w)
        self.wires = {port: Wire(w, port, port[1]) for port in
                      ["o" + n for n in names] + ["op"] + ["s" + n for n in names]}

    def move(self, node):
        """P's packets go to that node."""
        if self.owner is node:
            return
        self.owner = node
        mac = node.mac.hex(":")
        self.peer_ip("\n".join(f"neighbour replace {GATEWAY[f]} lladdr {mac} dev out nud permanent"
                               for f in (4, 6)))

    def impair(self, words):
        """What the sync link does to frames, both ways; words of netem."""
        self.tc("\n".join(f"qdisc replace dev {port} root netem limit 10000 {words}" if words else
                          f"qdisc replace dev {port} root pfifo"
                          for port in ("s" + node.name for node in self.nodes)))

    def slow(self, node, words):
        """The same, of what is sent to that node only."""
        self.tc(f"qdisc replace dev s{node.name} root netem limit 10000 {words}")

    def inject(self, node, frames):
        """What an attacker sends to that node."""
        sock = self.wires["o" + node.name].sock
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)     # that it was down is known
        for i, frame in enumerate(frames):
            packet = node.mac + b"\x02\0\0\0\x01\xee" + frame[12:]
            for _ in range(1000):
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    sock.send(packet)
                    break
                time.sleep(0.001)
            if i % 64 == 63:
                yield
        yield

    def drops(self):
        return sum(wire.drops() for wire in self.wires.values())
