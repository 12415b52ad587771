# SPDX-License-Identifier: GPL-2.0
"""Asynchronous crypto: what async.sh needs that a shell cannot.

async.py parallel                    makes pcrypt the cipher of the SAs to come; prints its driver
async.py queued                      makes cryptd their HMAC-SHA-256, which waits for its CPU; the same
async.py drop DRIVER                 it is gone, when no SA has it any more
async.py spin NS ADDRESS N           sends, and keeps its CPU
async.py traffic A B P FILE PAUSE    sends both ways until SIGTERM, after each PAUSE (seconds);
                                     counts go to FILE, as JSON
async.py judge PACKETS LATE TERMS    results, of what judge.py --packets wrote: LATE numbers were
                                     drawn and then dropped, TERMS is how often the active changed
"""

import json
import signal
import socket
import struct
import sys
import time

import nl
from kt import Udp, check, equal

CIPHER = "rfc4106(gcm(aes))"
HMAC = "hmac(sha256)"
NETLINK_CRYPTO = 21
PORT = 9


def crypto():
    """/proc/crypto as dictionaries."""
    with open("/proc/crypto", encoding="ascii") as file:
        for block in file.read().strip().split("\n\n"):
            yield {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in block.splitlines())}


def instantiate(name, kind=b"aead"):
    """AF_ALG makes an instance of a template by its name, and leaves it there."""
    address = struct.pack("H14sII", socket.AF_ALG, kind, 0, 0) + name.encode() + b"\0"
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as sock:
        # Python's own bind has a place for 63 letters.
        if nl.libc.bind(sock.fileno(), address, len(address)):
            raise OSError(nl.ctypes.get_errno(), name)


def parallel():
    instantiate(CIPHER)
    best = max((c for c in crypto() if c["name"] == CIPHER and "pcrypt" not in c["driver"]),
               key=lambda c: int(c["priority"]))
    # XFRM asks for seqiv(CIPHER), which may stand there without pcrypt.
    for name in (f"pcrypt({best['driver']})", f"seqiv(pcrypt({best['driver']}))"):
        instantiate(name)
    print(name)


def queued():
    instantiate(HMAC, b"hash")
    best = max((c for c in crypto() if c["name"] == HMAC and c["type"] == "shash"),
               key=lambda c: int(c["priority"]))
    name = f"cryptd({best['driver']})"
    instantiate(name, b"hash")
    print(name)


def drop(driver):
    """CRYPTO_MSG_DELALG, struct crypto_user_alg."""
    request = struct.pack("64s64s64s4I", HMAC.encode(), driver.encode(), b"", 0, 0, 0, 0)
    header = struct.pack("IHHII", 16 + len(request), 0x11, nl.NLM_F_REQUEST | nl.NLM_F_ACK, 1, 0)
    deadline = time.monotonic() + 10 * nl.SLOW
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_CRYPTO) as sock:
        while True:
            sock.send(header + request)
            error = struct.unpack_from("i", sock.recv(4096), 16)[0]
            if not error or time.monotonic() > deadline:
                sys.exit(f"{driver}: {error}" if error else 0)
            time.sleep(0.05)    # an SA's goes some time after it


def spin(ns, address, count):
    sock = Udp(ns, 6 if ":" in address else 4).sock
    sock.connect((address, 9))
    for _ in range(int(count)):
        sock.send(b"x")
    while True:
        pass


class Sink:
    """Counts the bytes that arrive at a port: one each packet."""

    def __init__(self, ns):
        self.sock, self.count = Udp(ns).sock, 0
        self.sock.setsockopt(socket.SOL_SOCKET, nl.SO_RCVBUFFORCE, 16 << 20)
        self.sock.bind(("", PORT + 1))
        self.sock.setblocking(False)

    def take(self):
        try:
            while True:
                self.count += len(self.sock.recv(10))
        except BlockingIOError:
            return


def traffic(a_ns, b_ns, p_ns, path, pause):
    """A packet each way, again and again; a fenced node's are refused."""
    over = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    sinks = {name: Sink(ns) for name, ns in (("a", a_ns), ("b", b_ns), ("p", p_ns))}
    senders = [(Udp(ns).sock, to) for ns, to in
               ((a_ns, "10.2.0.1"), (b_ns, "10.2.0.1"), (p_ns, "10.1.0.1"))]
    print("ready", flush=True)
    while not over:
        for sock, to in senders:
            try:
                sock.sendto(b"x", (to, PORT + 1))
            except OSError:
                pass
        for sink in sinks.values():
            sink.take()
        time.sleep(float(pause))    # a rate, and no waiting
    quiet, last = time.monotonic(), None
    while time.monotonic() - quiet < 1 * nl.SLOW:
        for sink in sinks.values():
            sink.take()
        now = [sink.count for sink in sinks.values()]
        if now != last:
            quiet, last = time.monotonic(), now
    with open(path, "w", encoding="ascii") as file:
        json.dump({name: sink.count for name, sink in sinks.items()}, file)


def judged(path, late, terms):
    """Numbers of the one outbound SA, in the order of their size, say whose turn it was."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split(",") for line in file]
    sent = sorted((int(row[3]), row[1]) for row in rows if row[4] == "ok")
    equal("the wire: every packet is one of the gateways', and none repeats", len(rows), len(sent))
    turns = [name for i, (_, name) in enumerate(sent) if not i or sent[i - 1][1] != name]
    check("the wire: what each one sent lies below what came after it",
          len(sent) > 100 and len(turns) <= int(terms) + 1, (len(sent), turns))
    equal("the wire: whatever was drawn is there, or was dropped behind the fence",
          sent[-1][0] - len(sent), int(late))


if __name__ == "__main__":
    {"parallel": parallel, "queued": queued, "drop": drop, "spin": spin, "traffic": traffic,
     "judge": judged}[sys.argv[1]](*sys.argv[2:])
