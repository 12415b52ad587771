#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: nothing but randomness, or a seed.
Out: twenty tunnels, new keys each time: batches for ip(8), a list for traffic, and the
     keys for the judge. With a seed also SAs to which some of the tunnels can be rekeyed.
Runs on the host before the machines boot, into a folder that is removed at the end.

usage: tunnels.py DIR [SEED]

The tunnels differ as those of a real gateway do: by what is inside (IPv4; every third
IPv6), outside (ESP; every fourth in UDP), and by age, which is where their counters are.
"""

import ipaddress
import json
import os
import random
import sys

COUNT = 20
GATEWAY = "198.51.100.1"
INSIDE4, INSIDE6 = "10.1.0.0/24", "fd00:1::/64"
REKEYED = 6
SERVER4, SERVER6 = "10.1.0.10", "fd00:1::10"
# Packets before the crash are some two hundred: the second kind wraps on the way.
rng = random.SystemRandom() if len(sys.argv) < 3 else random.Random(sys.argv[2])
AGES = ((8, "new", lambda: 0),
        (6, "about to wrap", lambda: (1 << 32) - 60 - rng.randrange(60)),
        (6, "old", lambda: ((1 + rng.randrange(6)) << 32) + rng.getrandbits(31)))


class Tunnel:
    """One tunnel: a peer outside, its network inside, an SA each way."""

    def __init__(self, i, age, start):
        self.i, self.age, self.start = i, age, start
        self.netns = f"peer{i:02d}"
        self.peer = f"198.51.100.{100 + i}"
        self.mac = f"52:54:00:00:01:{i:02x}"
        self.ipv6, self.udp = i % 3 == 0, i % 4 == 0
        self.remote = f"fd00:2:{i:x}::/64" if self.ipv6 else f"10.2.{i}.0/24"
        self.client = str(ipaddress.ip_network(self.remote)[1])
        self.inside = INSIDE6 if self.ipv6 else INSIDE4
        self.server = SERVER6 if self.ipv6 else SERVER4
        # What the gateway receives, and what it sends.
        self.sa_in, self.sa_out = self.sa("in"), self.sa("out")
        self.new_in, self.new_out = self.sa("in", " new"), self.sa("out", " new")

    def sa(self, way, more=""):
        ends = (self.peer, GATEWAY) if way == "in" else (GATEWAY, self.peer)
        return {"name": f"t{self.i:02d} {way}{more}", "tunnel": self.i, "dir": way,
                "spi": f"0x{0x1000 + rng.randrange(0xefffffff):08x}",
                "src": ends[0], "dst": ends[1], "proto": "esp", "esn": True,
                "encap": "udp" if self.udp else None, "aead": "rfc4106(gcm(aes))",
                "key": rng.randbytes(20).hex(), "icv_bits": 128}

    def state(self, sa, sender, start):
        """A line for ip(8) that makes an SA whose number was start, at one of its ends."""
        high, low = start >> 32, start & 0xffffffff
        way = "o" if sender else ""
        line = (f"xfrm state add src {sa['src']} dst {sa['dst']} proto esp spi {sa['spi']} "
                f"reqid {self.i} mode tunnel flag af-unspec flag esn replay-window 128 "
                f"replay-{way}seq {low} replay-{way}seq-hi {high} ")
        if self.udp:
            line += "encap espinudp 4500 4500 0.0.0.0 "
        return line + f"aead {sa['aead']} 0x{sa['key']} 128"

    def policies(self, sa, src, dst, ways):
        return [f"xfrm policy add src {src} dst {dst} dir {way} tmpl src {sa['src']} "
                f"dst {sa['dst']} proto esp reqid {self.i} mode tunnel" for way in ways]

    def gateway(self, start):
        return ([self.state(self.sa_in, False, start), self.state(self.sa_out, True, start)]
                + self.policies(self.sa_in, self.remote, self.inside, ("in", "fwd"))
                + self.policies(self.sa_out, self.inside, self.remote, ("out",)))

    def peer_batch(self):
        nodad, src = (" nodad", "") if self.ipv6 else ("", f" src {self.client}")
        return (["link set lo up", f"address add {self.client} dev lo{nodad}",
                 f"link set out{self.i:02d} up",
                 f"address add {self.peer}/24 dev out{self.i:02d}",
                 f"route add {self.inside} dev out{self.i:02d}{src}",
                 self.state(self.sa_in, True, self.start),
                 self.state(self.sa_out, False, self.start)]
                + self.policies(self.sa_in, self.remote, self.inside, ("out",))
                + self.policies(self.sa_out, self.inside, self.remote, ("in",)))

    # The new SAs; the policies, which name no SPI, take the newest.
    def rekey(self):
        return [self.state(self.new_in, False, 0), self.state(self.new_out, True, 0)]

    def peer_rekey(self):
        """Two steps: it can receive, and sends."""
        return [self.state(self.new_out, False, 0)], [self.state(self.new_in, True, 0)]

    def world(self):
        name = f"out{self.i:02d}"
        return [f"netns add {self.netns}",
                f"link add link eth0 name {name} address {self.mac} type macvlan mode bridge",
                f"link set {name} netns {self.netns}"]


def write(folder, name, lines):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write("".join(line + "\n" for line in lines))


def main(folder):
    ages = [(age, start) for n, age, start in AGES for _ in range(n)]
    tunnels = [Tunnel(i, age, start()) for i, (age, start) in enumerate(ages, 1)]
    write(folder, "gateway.batch", [line for t in tunnels for line in t.gateway(t.start)])
    # What an operator could install on a spare beforehand: the same SAs, never used.
    write(folder, "spare.batch", [line for t in tunnels for line in t.gateway(0)])
    write(folder, "world.batch", [line for t in tunnels for line in t.world()])
    for t in tunnels:
        write(folder, f"{t.netns}.batch", t.peer_batch())
    rekeyed = rng.sample(tunnels, REKEYED) if len(sys.argv) > 2 else []
    for t in rekeyed:
        for step, lines in zip(("rekey", "rekeyed"), t.peer_rekey()):
            write(folder, f"{t.netns}.{step}", lines)
    write(folder, "gateway.rekey", [line for t in rekeyed for line in t.rekey()])
    write(folder, "tunnels", [f"{t.netns} {t.client} {t.server}" for t in tunnels])
    write(folder, "peers", [f"{t.netns} {'udp' if t.udp else 'esp'}" for t in tunnels])
    with open(os.path.join(folder, "keys.json"), "w", encoding="utf-8") as f:
        json.dump({"sas": [sa for t in tunnels for sa in (t.sa_in, t.sa_out)] +
                          [sa for t in rekeyed for sa in (t.new_in, t.new_out)],
                   "rekeyed": [t.i for t in rekeyed],
                   "tunnels": [{"tunnel": t.i, "age": t.age, "start": t.start, "mac": t.mac,
                                "inside": "IPv6" if t.ipv6 else "IPv4",
                                "outside": "UDP" if t.udp else "ESP"} for t in tunnels]},
                  f, indent=1)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        print("usage: tunnels.py DIR [SEED]", file=sys.stderr)
        sys.exit(2)
    main(sys.argv[1])
