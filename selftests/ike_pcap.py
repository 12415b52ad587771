#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: a capture (pcap, Ethernet) of what passed outside.
Out: a line of NAME=N: IKE messages of each exchange, requests of INFORMATIONAL by who has
     sent them, IKE SAs that IKE_SA_INIT began, ESP packets, and numbers that one key was
     seen with twice.
usage: ike_pcap.py FILE GATEWAY... ; a request of one of these addresses is the gateway's
"""

import collections
import ipaddress
import struct
import sys

EXCHANGES = {34: "init", 35: "auth", 36: "child", 37: "info"}
RESPONSE = 0x20


def frames(data):
    magic, = struct.unpack_from("<I", data)
    order = "<" if magic in (0xa1b2c3d4, 0xa1b23c4d) else ">"
    at = 24
    while at + 16 <= len(data):
        length, = struct.unpack_from(order + "I", data, at + 8)
        if at + 16 + length > len(data):
            return      # tcpdump is not done with it
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def packets(frame):
    """(source, protocol, payload) of an IP packet that is no fragment."""
    kind, = struct.unpack_from(">H", frame, 12)
    if kind == 0x0800:
        head = (frame[14] & 15) * 4
        total, = struct.unpack_from(">H", frame, 16)
        if struct.unpack_from(">H", frame, 20)[0] & 0x3fff == 0:
            yield ipaddress.ip_address(frame[26:30]), frame[23], frame[14 + head:14 + total]
    elif kind == 0x86dd:
        total, = struct.unpack_from(">H", frame, 18)
        yield ipaddress.ip_address(frame[22:38]), frame[20], frame[54:54 + total]


def counts(path, *addresses):
    gateways = {ipaddress.ip_address(a) for a in addresses}
    count = collections.Counter({n: 0 for n in EXCHANGES.values()})
    count.update({"esp": 0, "twice": 0, "dpd_gateway": 0, "dpd_peer": 0})
    seen = set()
    made = set()

    def ike(source, p):
        if len(p) < 28:
            return
        exchange, flags = p[18], p[19]
        if exchange not in EXCHANGES:
            return
        count[EXCHANGES[exchange]] += 1
        if exchange == 34:
            made.add(p[:8])
        if exchange == 37 and not flags & RESPONSE:
            count["dpd_gateway" if source in gateways else "dpd_peer"] += 1

    def esp(p):
        spi, number = struct.unpack_from(">II", p)
        count["esp"] += 1
        count["twice"] += (spi, number) in seen
        seen.add((spi, number))

    with open(path, "rb") as f:
        data = f.read()
    for frame in frames(data):
        for source, proto, p in packets(frame):
            if proto == 50:
                esp(p)
            elif proto == 17 and len(p) >= 8:
                ports = struct.unpack_from(">HH", p)
                if 4500 in ports and p[8:12] == bytes(4):
                    ike(source, p[12:])
                elif 4500 in ports and len(p) > 16:
                    esp(p[8:])
                elif 500 in ports:
                    ike(source, p[8:])
    count["made"] = len(made)
    return " ".join(f"{k}={v}" for k, v in sorted(count.items()))


if __name__ == "__main__":
    print(counts(*sys.argv[1:]))
