#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: what a charon says to its ha plugin's remote (version 3 of that protocol).
Out: the same for many IKE SAs, each with names, addresses and nonces of its own; said to a
     charon, as the remote, or to the remote, as charon.
Runs in the network namespace of the charon that it hears, or is.

usage: ike_many.py record FILE          hears charon until an IKE SA has a Child SA
       ike_many.py make FILE N SEED TO  N of what was recorded; prints a line for each IKE SA,
                                        SPIi SPIr IN OUT, the last two of its Child SA
       ike_many.py play charon|remote FILE   says it to that one, as fast as it is read
A FILE has a line of hex for each datagram. It holds keys of the test's own IKE SA.
"""

import ipaddress
import os
import random
import socket
import sys
import time

PORT = 4510
CHARON, REMOTE = "127.0.0.1", "127.0.0.2"
IKE_ADD, IKE_UPDATE, IKE_MID_RESPONDER, CHILD_ADD, SEGMENT_TAKE = 1, 2, 4, 6, 9
RECORDED = (IKE_ADD, IKE_UPDATE, IKE_MID_RESPONDER, CHILD_ADD)
BURST = 16
PATIENCE = 300      # seconds

# Attributes of version 3.
IKE_ID, REMOTE_ID, REMOTE_ADDR, PEER_ADDR = 1, 4, 7, 13
NONCE_I, NONCE_R, SECRET, IN_SPI, OUT_SPI, REMOTE_TS, SEGMENT = 15, 16, 17, 27, 28, 32, 34
IDS, ADDRESSES, STRINGS = (3, 4, 5), (6, 7, 11, 12, 13), (8,)
BLOBS = (15, 16, 17, 18, 37, 38, 39, 40)
SIZES = {1: 18, 2: 18, 9: 4, 10: 4, 14: 1, 19: 2, 20: 2, 21: 2, 22: 2, 23: 2, 24: 2, 25: 1,
         26: 1, 27: 4, 28: 4, 29: 2, 30: 2, 33: 4, 34: 2, 35: 2, 36: 1, 41: 2}


def size_of(kind, rest):
    """Bytes of the value that rest begins with."""
    if kind in SIZES:
        return SIZES[kind]
    if kind in IDS:
        return 2 + rest[1]
    if kind in ADDRESSES:
        return 3 + {2: 4, 10: 16}[rest[2]]
    if kind in STRINGS:
        return rest.index(0) + 1
    if kind in BLOBS:
        return 2 + int.from_bytes(rest[:2], "big")
    return 7 + 2 * {7: 4, 8: 16}[rest[0]]     # traffic selectors


def parse(datagram):
    if datagram[0] != 3:
        raise ValueError(f"version {datagram[0]}")
    attributes, at = [], 2
    while at < len(datagram):
        kind = datagram[at]
        n = size_of(kind, datagram[at + 1:])
        attributes.append((kind, datagram[at + 1:at + 1 + n]))
        at += 1 + n
    return datagram[1], attributes


def build(message, attributes):
    return bytes([3, message]) + b"".join(bytes([kind]) + value for kind, value in attributes)


def read(path):
    with open(path, encoding="ascii") as f:
        return [bytes.fromhex(line) for line in f]


def write(path, datagrams):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as f:
        f.writelines(d.hex() + "\n" for d in datagrams)


def bound(here, there):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((here, PORT))
    s.connect((there, PORT))
    s.settimeout(PATIENCE)
    return s


def record(path):
    s = bound(REMOTE, CHARON)
    heard = []
    while not heard or heard[-1][1] != CHILD_ADD:
        try:
            datagram = s.recv(2048)
        except ConnectionRefusedError:
            continue
        if datagram[1] in RECORDED:
            heard.append(datagram)
    write(path, heard)


class Another:
    """What one IKE SA has of its own."""

    def __init__(self, i, rng):
        self.spis = rng.randbytes(8), rng.randbytes(8)
        self.rng = rng
        self.name = f"peer-{i:05}".encode()
        self.address = ipaddress.ip_address("198.18.0.1") + i
        self.net = ipaddress.ip_address("10.64.0.0") + 64 * i
        # Twice turned around: as the memory of a little-endian machine has them.
        self.child = tuple((base + i).to_bytes(4, "little") for base in (0xc1000000, 0xc2000000))

    def value(self, kind, value):
        if kind == IKE_ID:
            return value[:1] + self.spis[0] + self.spis[1] + value[-1:]
        if kind == REMOTE_ID:
            return value[:1] + bytes([len(self.name)]) + self.name
        if kind in (REMOTE_ADDR, PEER_ADDR) and value[2] == 2:
            return value[:3] + self.address.packed
        if kind in (NONCE_I, NONCE_R, SECRET):
            return value[:2] + self.rng.randbytes(len(value) - 2)
        if kind in (IN_SPI, OUT_SPI):
            return self.child[kind == OUT_SPI]
        if kind == REMOTE_TS and value[0] == 7:
            return value[:7] + self.net.packed + (self.net + 63).packed
        return value

    def line(self):
        return " ".join([s.hex() for s in self.spis] + [c[::-1].hex() for c in self.child])


def make(path, n, seed, to):
    rng = random.Random(seed)
    recorded = [parse(d) for d in read(path)]
    made = []
    for i in range(int(n)):
        it = Another(i, rng)
        made += [build(m, [(k, it.value(k, v)) for k, v in a]) for m, a in recorded]
        print(it.line())
    write(to, made)


def unread(address):
    """Bytes that whoever has that address has to read, and datagrams that it had no room for."""
    want = f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}:{PORT:04X}"
    with open("/proc/net/udp", encoding="ascii") as f:
        for line in f:
            words = line.split()
            if words[1] == want:
                return int(words[4].split(":")[1], 16), int(words[-1])
    raise SystemExit(f"nobody has {address} port {PORT}")


def wait_read(address):
    end = time.monotonic() + PATIENCE
    while unread(address)[0]:
        if time.monotonic() > end:
            raise SystemExit(f"{address} does not read")
        time.sleep(0.001)


def play(to, path):
    here, there = (REMOTE, CHARON) if to == "charon" else (CHARON, REMOTE)
    s = bound(here, there)
    dropped = unread(there)[1]
    datagrams = read(path)
    if to == "charon":      # it is passive
        datagrams.insert(0, build(SEGMENT_TAKE, [(SEGMENT, b"\0\1")]))
    for i in range(0, len(datagrams), BURST):
        for d in datagrams[i:i + BURST]:
            s.send(d)
        wait_read(there)
    lost = unread(there)[1] - dropped
    print(f"{len(datagrams)} messages, {lost} lost")
    return lost != 0


def main():
    verbs = {"record": record, "make": make, "play": play}
    return verbs[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
