# SPDX-License-Identifier: GPL-2.0
"""One end of the link, where the other one is a daemon: what a standby refuses, and what an active hears
of it; what a standby takes for the wish that it be active once more, and what it asks for itself.

usage: refusal.py NETNS ADDRESS CA CERT KEY active CASE...     sends the SAs and policies of the cases
       refusal.py NETNS ADDRESS CA CERT KEY standby SPI        refuses the SA of that SPI, lacks something
       refusal.py NETNS ADDRESS CA CERT KEY wishes             asks a standby that was active last
       refusal.py NETNS ADDRESS CA CERT KEY successor          was active since, and is not any more
Out: a line for each REFUSED that came: SPI, why, text; for each LACKING; "sent" when the daemon has all; then the
     link stands until the standard input ends. Wishes: each, and the daemon's role then. Successor:
     what comes that is no HELLO, by its type, and the epochs in which the daemon is active.
"""

import select
import socket
import ssl
import struct
import sys

from nl import SLOW, netns

PORT, MAGIC, VERSION = 4797, 0x5853, 1
HELLO, PING, PONG = 1, 3, 4
SNAPSHOT_BEGIN, SNAPSHOT_END, CONTEXT, POLICY, ACK, RESYNC, FILL = 16, 17, 18, 21, 23, 24, 29
REFUSED, LACKING, UNKNOWN = 30, 31, 99
ACTIVE, STANDBY = 1, 2
EPOCH, NODE = 7, 1
ESP, TUNNEL, ROUTE_OPTIMIZATION = 50, 1, 2
OUT, IN = ("192.0.3.1", "192.0.3.2"), ("192.0.3.2", "192.0.3.1")
OUT6 = "2001:db8:3::1", "2001:db8:3::2"

# SPI, addresses, algorithm, bits of its key, more fields, mode.
CASES = {
    "good": (0x5000, OUT, b"rfc4106(gcm(aes))", 160, b""),
    "algorithm": (0x5001, IN, b"rfc4106(gcm(none))", 160, b""),
    "again": (0x5002, IN, b"rfc4106(gcm(none))", 160, b""),
    "key": (0x5003, IN, b"rfc4106(gcm(aes))", 168, b""),
    "field": (0x5004, IN, b"rfc4106(gcm(aes))", 160, struct.pack("!HcBI", 0x100, b"M", 0, 0)),
    "apart": (0x5006, ("192.0.3.1", "192.0.3.8"), b"rfc4106(gcm(aes))", 160, b""),
    "good6": (0x5010, OUT6, b"rfc4106(gcm(aes))", 160, b""),
    "apart6": (0x5016, ("2001:db8:3::1", "2001:db8:3::8"), b"rfc4106(gcm(aes))", 160, b""),
    "taken": (0x5005, IN, b"rfc4106(gcm(aes))", 160, b""),
    "mode": (0x5007, IN, b"rfc4106(gcm(aes))", 160, b"", ROUTE_OPTIMIZATION),
    "attribute": (0x5008, IN, b"rfc4106(gcm(aes))", 160, struct.pack("!HcBI", 0x8000 | 200, b"V", 0, 5)
                  + bytes([1 if sys.byteorder == "little" else 2]) + bytes(4)),
}


# The ends that they ask for, and what stands behind their fields.
POLICIES = {
    "policy": (OUT, b""),
    "policy-field": (OUT, struct.pack("!HcBI", 0x100, b"M", 0, 0)),
    "policy-cut": (OUT, b"\1"),
    "policy6": (OUT6, b""),
    "policy6-field": (OUT6, struct.pack("!HcBI", 0x100, b"M", 0, 0)),
    "policy6-cut": (OUT6, b"\1"),
}


def frame(kind, payload, node=NODE, epoch=EPOCH):
    return struct.pack("!HBBIQI", MAGIC, VERSION, kind, len(payload), epoch, node) + payload


def hello(name, node, role):
    key = bytes(range(32)) if role == ACTIVE else b""
    return struct.pack("!IBBQB", node, role, bool(key), 0x1122334455667788, len(name)) + name + key + bytes(9)


def field(kind, value):
    return struct.pack("!HcBI", kind, b"M", 0, len(value)) + value


def family(ends):
    return socket.AF_INET6 if ":" in ends[0] else socket.AF_INET


def address(text):
    return socket.inet_pton(family([text]), text).ljust(16, b"\0")


def limits():
    inf = 2**64 - 1
    return field(4, struct.pack("!8Q", inf, inf, inf, inf, 0, 0, 0, 0))


def policy(ends, more):
    src, dst = (address(end) for end in ends)
    inside, bits = ("10.2.0.1", "10.1.0.1"), 32
    if family(ends) == socket.AF_INET6:
        inside, bits = ("fd00:2::1", "fd00:1::1"), 128
    sel = struct.pack("!HBBBBH", family(ends), 0, bits, bits, 0, 0) + b"".join(address(end) for end in inside)
    out = field(2, sel + bytes(12)) + limits() + field(0x40, struct.pack("!I4BI", 9, 1, 0, 0, 0, 0))
    every = 2**32 - 1
    out += field(0x41, struct.pack("!HBBBBHII", family(ends), ESP, TUNNEL, 0, 0, 0, 0, 1) + dst + src
                 + struct.pack("!3I", every, every, every))
    return out + more


def context(spi, ends, name, bits, more, mode=TUNNEL):
    src, dst = (address(end) for end in ends)
    out = field(1, struct.pack("!HBBII", family(ends), ESP, mode, spi, 1) + dst + src)
    out += field(2, struct.pack("!HBBBBH", family(ends), 0, 0, 0, 0, 0) + bytes(44)) + limits()
    out += field(5, struct.pack("!II", 128, 0))
    out += field(6, struct.pack("!III", 1, 64, 2))
    key = bytes((spi + i) & 255 for i in range(bits // 8))
    out += field(7, struct.pack("!IIB", bits, 128, len(name)) + name + key)
    return out + more


def sa(handle, case):
    record = struct.pack("!IH", handle, 0)
    return struct.pack("!IQQQQ", 0, 0xABC0 + handle, 1 << 20, 1 << 21, 1 << 21) + record + context(*CASES[case])


class Link:
    def __init__(self, ns, where, ca, cert, key):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.load_verify_locations(ca)
        tls.load_cert_chain(cert, key)
        with netns(ns):
            plain = socket.socket()
        plain.settimeout(20 * SLOW)
        plain.connect((where, PORT))
        self.sock = tls.wrap_socket(plain)
        self.data = b""

    def send(self, kind, payload=b"", **header):
        self.sock.sendall(frame(kind, payload, **header))

    def frame(self):
        """The next frame: type, payload, epoch, node. A heartbeat is answered."""
        while len(self.data) < 20 or len(self.data) < 20 + struct.unpack_from("!I", self.data, 4)[0]:
            piece = self.sock.recv(65536)
            if not piece:
                raise EOFError("the daemon ended the link")
            self.data += piece
        _, _, kind, size, epoch, node = struct.unpack_from("!HBBIQI", self.data)
        payload, self.data = self.data[20:20 + size], self.data[20 + size:]
        if kind == PING:
            self.send(PONG, epoch=epoch, node=node)
        return kind, payload, epoch, node

    def receive(self):
        """The next one that is no heartbeat."""
        while True:
            got = self.frame()
            if got[0] != PING:
                return got

    def stay(self):
        """Until whoever started this says something, or ends its input."""
        while True:
            ready = select.select([self.sock, sys.stdin], [], [])[0]
            if sys.stdin in ready:
                sys.stdin.readline()
                return
            if self.sock in ready:
                show(*self.frame()[:2])


def show(kind, payload, spis=()):
    if kind == LACKING:
        print("lacking", payload.decode(), flush=True)
    if kind != REFUSED:
        return 0
    handle, _, why = struct.unpack_from("!IQB", payload)
    spi = spis[handle - 1] if handle <= len(spis) else 0
    print(f"{spi:#x} {why} {payload[13:].decode()}", flush=True)
    return 1


def active(link, *cases):
    link.send(HELLO, hello(b"a", NODE, ACTIVE))
    sas = [case for case in cases if case in CASES]
    link.send(SNAPSHOT_BEGIN, struct.pack("!II", len(sas), len(cases) - len(sas)))
    for handle, case in enumerate(sas, 1):
        link.send(CONTEXT, sa(handle, case))
    for case in cases:
        if case in POLICIES:
            link.send(POLICY, policy(*POLICIES[case]))
    link.send(SNAPSHOT_END)
    spis = [CASES[case][0] for case in sas]
    taken = 0
    while taken < len(cases):
        kind, payload = link.receive()[:2]
        show(kind, payload, spis)
        if kind == ACK:
            taken = struct.unpack_from("!Q", payload)[0]


def standby(link, spi):
    """Refuses it, and at the next line of input has it."""
    link.send(HELLO, hello(b"b", 2, STANDBY), epoch=0, node=0)
    wanted, found = int(spi, 0), None
    while True:
        kind, payload, epoch, node = link.receive()
        if kind == CONTEXT:
            handle = struct.unpack_from("!I", payload, 36)[0]
            # SA_ID is the first field, wherever the record ends.
            start = payload.index(struct.pack("!HcBI", 1, b"M", 0, 44), 42) + 8
            if struct.unpack_from("!I", payload, start + 4)[0] == wanted:
                found = struct.pack("!IQ", handle, struct.unpack_from("!Q", payload, 4)[0])
        if kind == SNAPSHOT_END:
            break
    link.send(REFUSED, found + b"\x01" + b"no \x1b[31mcolours here", epoch=epoch, node=node)
    # What names another life of it changes nothing.
    link.send(REFUSED, found[:4] + bytes(7) + b"\x01" + b"\x00", epoch=epoch, node=node)
    for text in (b"KEEPALIVE \x1b[31m(esp, tunnel)", b"attribute 200 (esp)", b"attribute 200 (esp)"):
        link.send(LACKING, text, epoch=epoch, node=node)
    # What a later version has to say is skipped.
    link.send(UNKNOWN, b"whatever", epoch=epoch, node=node)
    print("sent", flush=True)
    link.stay()
    link.send(REFUSED, found + b"\x00", epoch=epoch, node=node)
    link.stay()


def role_then(link):
    """The daemon's, when it has taken all that was sent."""
    link.send(PING)
    role = None
    while True:
        kind, payload = link.receive()[:2]
        if kind == HELLO:
            role = payload[4]
        if kind == PONG:
            return {ACTIVE: "active", STANDBY: "standby", None: "as before"}[role]


def wishes(link):
    epoch, node = link.receive()[2:]
    link.send(HELLO, hello(b"a", NODE, STANDBY), epoch=epoch, node=node)
    print("hello", role_then(link), flush=True)
    for name, kind, at in (("resync", RESYNC, epoch), ("of before", FILL, epoch - 1), ("fill", FILL, epoch)):
        link.send(kind, epoch=at, node=node)
        print(name, role_then(link), flush=True)


def successor(link):
    epoch = link.receive()[2] + 1
    link.send(HELLO, hello(b"a", NODE, STANDBY), epoch=epoch, node=NODE)
    while True:
        kind, payload, now, node = link.receive()
        if kind != HELLO:
            print(f"type {kind}", flush=True)
        elif payload[4] == ACTIVE and node != NODE and now > epoch - 1:
            print(f"active {now - epoch} later", flush=True)


def main(ns, where, ca, cert, key, what, *args):
    link = Link(ns, where, ca, cert, key)
    {"active": active, "standby": standby, "wishes": wishes, "successor": successor}[what](link, *args)
    if what == "active":
        print("sent", flush=True)
    link.stay()


main(*sys.argv[1:])
