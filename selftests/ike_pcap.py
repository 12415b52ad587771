#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: a capture (pcap, Ethernet) of what passed outside.
Out: a line of NAME=N: IKE messages of each exchange, requests of INFORMATIONAL by who has
     sent them, IKE SAs in which the gateway, or the peer, has answered one, IKE SAs that
     IKE_SA_INIT began, ESP packets, what flows.py sends where that is in clear, and
     numbers that one key was seen with twice.
     again() sends the ESP packets to the gateway once more, from a namespace's device.
usage: ike_pcap.py FILE GATEWAY... ; a request of one of these addresses is the gateway's
"""

import collections
import ipaddress
import socket
import struct
import sys
import time

EXCHANGES = {34: "init", 35: "auth", 36: "child", 37: "info"}
RESPONSE = 0x20
BURST = 64


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
    count.update({"esp": 0, "clear": 0, "twice": 0, "dpd_gateway": 0, "dpd_peer": 0})
    seen = set()
    made = set()
    lives = {"lives_gateway": set(), "lives_peer": set()}

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
        if exchange == 37 and flags & RESPONSE:
            lives["lives_gateway" if source in gateways else "lives_peer"].add(p[:16])

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
                elif 7000 in ports:
                    count["clear"] += 1
    count["made"] = len(made)
    count.update({name: len(sas) for name, sas in lives.items()})
    return " ".join(f"{k}={v}" for k, v in sorted(count.items()))


def is_esp(proto, p):
    return proto == 50 or proto == 17 and 4500 in struct.unpack_from(">HH", p) and \
        len(p) > 16 and p[8:12] != bytes(4)


def again(path, namespace, dev, mac, *addresses):
    """How many were sent: of the peers' packets each, to that MAC address."""
    from nl import netns

    gateways = {ipaddress.ip_address(a) for a in addresses}
    with open(path, "rb") as f:
        data = f.read()
    with netns(namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((dev, 0))
    sent = 0
    for frame in frames(data):
        if any(is_esp(proto, p) and source not in gateways for source, proto, p in packets(frame)):
            sock.send(bytes.fromhex(mac.replace(":", "")) + frame[6:])
            sent += 1
            if sent % BURST == 0:
                time.sleep(0.01)    # a kernel takes so many at once
    sock.close()
    return sent


if __name__ == "__main__":
    print(counts(*sys.argv[1:]))
