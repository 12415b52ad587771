#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: captures of one point of the wire, and the keys of the SAs.
Out: for each SA which 64-bit sequence numbers were sent, by whom, and which twice.
Runs on the host, after the fact; it believes nothing but the packets.

Only the low half of an extended sequence number (ESN) is sent, but the high half goes
into the integrity check (RFC 4303 2.2.1, RFC 4106 5, RFC 4302 2.5.1). So each packet's
ICV is computed with candidate high halves until one fits: that is its number. A number
is taken twice when it stands twice under one key, whatever the SPI, the sender and the
direction are.

A wire must be captured at one point: the same frame seen at two points is, to the
judge, a number sent twice. On a bus that gives a sender its own frames back, capture
what comes in (tcpdump -Q in).

usage: judge.py --keys FILE [--keys FILE ...] [options] CAPTURE...

  --keys FILE       JSON as below, or the text of `ip xfrm state`; repeatable, an SA that
                    stands in several files is one
  --name MAC=NAME   calls a sender by name in the report
  --attacker MAC    frames of this sender are checked and counted apart: what an attacker
                    repeats was not numbered twice by a gateway; repeatable
  --from T, --to T  only packets of this time (seconds since the epoch, as captured)
  --max-high N      highest high half that is tried for an SA's first packet (16)
  --packets FILE    writes a line for each packet: time_ns,sender,sa,number,verdict,plain
                    (plain: payload of an inner UDP packet, hex, its first 32 bytes)
  --report-only     exit 0 whatever was found

Prints JSON: {"packets", "duplicates", "icv_failures", "unknown_spi", "malformed",
"attacker_packets", "sas": [{"name", "spi", "src", "dst", "packets", "min", "max",
"duplicates", "duplicate_numbers" (the first 20), "icv_failures", "backward", "first",
"last", "senders": {NAME: {"packets", "min", "max", "first", "last"}}}]}. Times are
nanoseconds since the epoch, or null.

Exit: 0 all is well; 1 a number was sent twice, an ICV fits no candidate, or a packet is
malformed or of an unknown SPI; 2 wrong call or unreadable input.

Keys, JSON: {"sas": [{"name", "spi": "0x...", "src", "dst", "proto": "esp"|"ah",
"esn": true, "encap": "udp" or null, "aead": NAME, "key": HEX (with the salt),
"icv_bits": 128} or, instead of aead and key, {"auth": NAME, "auth_key": HEX,
"icv_bits": N, "enc": NAME, "enc_key": HEX}]}; the names are those of the kernel, as
rfc4106(gcm(aes)), rfc7539esp(chacha20,poly1305), hmac(sha256), cbc(aes).
"""

import argparse
import hashlib
import hmac
import ipaddress
import json
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

ESP, AH, UDP, NATT_PORT = 50, 51, 17, 4500
NATT_PORTS = {NATT_PORT}


class InputError(Exception):
    """A capture or a key file that cannot be used."""


# ---- captures ----------------------------------------------------------------------

ETHERNET, COOKED, COOKED2 = 1, 113, 276


def read_pcap(path):
    """Yields (time in ns, link type, frame) of a classic pcap file of either byte order."""
    with open(path, "rb") as f:
        head = f.read(24)
        magics = {b"\xd4\xc3\xb2\xa1": ("<", 1000), b"\x4d\x3c\xb2\xa1": ("<", 1),
                  b"\xa1\xb2\xc3\xd4": (">", 1000), b"\xa1\xb2\x3c\x4d": (">", 1)}
        if len(head) < 24 or head[:4] not in magics:
            raise InputError(f"{path}: not a classic pcap file")
        order, unit = magics[head[:4]]
        link = struct.unpack(order + "I", head[20:24])[0] & 0x0fffffff
        if link not in (ETHERNET, COOKED, COOKED2):
            raise InputError(f"{path}: link type {link} is neither Ethernet nor cooked")
        record = struct.Struct(order + "IIII")
        while True:
            head = f.read(16)
            if len(head) < 16:
                return
            sec, frac, caplen, wirelen = record.unpack(head)
            frame = f.read(caplen)
            if len(frame) < caplen:
                return  # the capture was cut off, as by a crash
            if caplen < wirelen:
                raise InputError(f"{path}: packets are cut at {caplen} bytes: "
                                 "capture whole packets (tcpdump -s 0)")
            yield sec * 10**9 + frac * unit, link, frame


def link_payload(link, frame):
    """Returns (sender's MAC, ethertype, rest); the MAC is of the layer's own header."""
    if link == ETHERNET:
        mac, etype, at = frame[6:12], frame[12:14], 14
    elif link == COOKED:
        mac, etype, at = frame[6:12], frame[14:16], 16
    else:
        mac, etype, at = frame[12:18], frame[0:2], 20
    etype = int.from_bytes(etype, "big")
    while etype in (0x8100, 0x88a8) and len(frame) >= at + 4:
        etype = int.from_bytes(frame[at + 2:at + 4], "big")
        at += 4
    return mac.hex(":"), etype, frame[at:]


class Fragments:
    """Puts IP packets together again; what stays incomplete is dropped."""

    def __init__(self):
        self.parts = {}

    def add(self, key, offset, more, data):
        got = self.parts.setdefault(key, {"data": {}, "end": None})
        got["data"][offset] = data
        if not more:
            got["end"] = offset + len(data)
        whole = b""
        while len(whole) in got["data"] and got["data"][len(whole)]:
            whole += got["data"][len(whole)]
        if got["end"] is None or len(whole) < got["end"]:
            return None
        del self.parts[key]
        return whole


def parse_ip4(pkt, frags):
    """Returns (src, dst, protocol, header, payload), or None."""
    if len(pkt) < 20 or pkt[0] >> 4 != 4:
        return None
    hlen, total = (pkt[0] & 15) * 4, int.from_bytes(pkt[2:4], "big")
    if hlen < 20 or total < hlen or total > len(pkt):
        return None
    header, payload = pkt[:hlen], pkt[hlen:total]
    frag = int.from_bytes(pkt[6:8], "big")
    if frag & 0x3fff:
        payload = frags.add((pkt[12:20], pkt[9], pkt[4:6]), (frag & 0x1fff) * 8,
                            frag & 0x2000, payload)
        if payload is None:
            return None
    return pkt[12:16], pkt[16:20], pkt[9], header, payload


def parse_ip6(pkt, frags):
    if len(pkt) < 40 or pkt[0] >> 4 != 6:
        return None
    total = 40 + int.from_bytes(pkt[4:6], "big")
    if total > len(pkt):
        return None
    src, dst, proto, at, end = pkt[8:24], pkt[24:40], pkt[6], 40, total
    while proto in (0, 43, 44, 60):  # hop-by-hop, routing, fragment, destination options
        if end < at + 8:
            return None
        step = 8 if proto == 44 else (pkt[at + 1] + 1) * 8
        if proto == 44:
            frag = int.from_bytes(pkt[at + 2:at + 4], "big")
            payload = frags.add((src + dst, pkt[at], pkt[at + 4:at + 8]), frag & 0xfff8,
                                frag & 1, pkt[at + 8:end])
            if payload is None:
                return None
            # As it was before it was cut: AH covers the header, too.
            whole = pkt[:4] + len(payload).to_bytes(2, "big") + pkt[at:at + 1] + pkt[7:40]
            return src, dst, pkt[at], whole if at == 40 else b"", payload
        proto, at = pkt[at], at + step
    return src, dst, proto, pkt[:at], pkt[at:end]


class Packet:
    """One ESP or AH packet of the wire."""
    __slots__ = ("time", "sender", "src", "dst", "header", "proto", "spi", "low", "data")


def ipsec_of(time, sender, ip):
    """Makes a Packet of (src, dst, protocol, header, payload); None if it is another."""
    src, dst, proto, header, data = ip
    if proto == UDP:
        if len(data) < 8:
            return None
        sport, dport = struct.unpack(">HH", data[:4])
        end = struct.unpack(">H", data[4:6])[0]
        # A keepalive is one byte ff; IKE has a marker of four zero bytes (RFC 3948 2).
        if not {sport, dport} & NATT_PORTS or end < 17 or data[8:12] == bytes(4):
            return None
        proto, data = ESP, data[8:end]
    elif proto not in (ESP, AH):
        return None
    p = Packet()
    p.time, p.sender, p.src, p.dst, p.header = time, sender, src, dst, header
    p.proto, p.data = proto, data
    at = 4 if proto == AH else 0
    if len(data) < at + 8:
        p.spi = p.low = None
    else:
        p.spi, p.low = struct.unpack(">II", data[at:at + 8])
    return p


def packets_of(paths):
    for path in paths:
        frags = Fragments()
        for time, link, frame in read_pcap(path):
            sender, etype, rest = link_payload(link, frame)
            if etype == 0x0800:
                ip = parse_ip4(rest, frags)
            elif etype == 0x86dd:
                ip = parse_ip6(rest, frags)
            else:
                continue
            p = ip and ipsec_of(time, sender, ip)
            if p:
                yield p


# ---- integrity: each class says whether a packet fits a high half ------------------

class Gcm:
    """AES-GCM (RFC 4106) and, without encryption, AES-GMAC (RFC 4543)."""

    def __init__(self, sa):
        self.key, self.salt = sa["key"][:-4], sa["key"][-4:]
        self.tag = sa["icv_bits"] // 8
        self.gmac = sa["aead"] == "rfc4543(gcm(aes))"
        self.esn = sa["esn"]

    def open(self, p, high):
        """Returns the plaintext (with the ESP trailer), or None."""
        body = p.data
        if len(body) < 16 + self.tag:
            return None
        aad = body[:4] + high.to_bytes(4, "big") + body[4:8] if self.esn else body[:8]
        iv, text, tag = body[8:16], body[16:-self.tag], body[-self.tag:]
        dec = Cipher(algorithms.AES(self.key), modes.GCM(
            self.salt + iv, tag, min_tag_length=self.tag)).decryptor()
        dec.authenticate_additional_data(aad + iv + text if self.gmac else aad)
        try:
            plain = b"" if self.gmac else dec.update(text)
            plain += dec.finalize()
        except InvalidTag:
            return None
        return text if self.gmac else plain


class ChaCha:
    """ChaCha20-Poly1305 (RFC 7634)."""

    def __init__(self, sa):
        self.aead, self.salt = ChaCha20Poly1305(sa["key"][:-4]), sa["key"][-4:]
        self.esn = sa["esn"]

    def open(self, p, high):
        body = p.data
        if len(body) < 32:
            return None
        aad = body[:4] + high.to_bytes(4, "big") + body[4:8] if self.esn else body[:8]
        try:
            return self.aead.decrypt(self.salt + body[8:16], body[16:], aad)
        except InvalidTag:
            return None


class Hmac:
    """HMAC of ESP (RFC 4303 3.4.4.1) and of AH (RFC 4302 3.4.4): the high half is last."""

    def __init__(self, sa):
        self.hash = sa["auth"][5:-1].replace("-", "")
        if not sa["auth"].startswith("hmac(") or self.hash not in hashlib.algorithms_available:
            raise InputError(f"{sa['name']}: the judge does not know {sa['auth']}")
        self.key, self.tag, self.esn = sa["auth_key"], sa["icv_bits"] // 8, sa["esn"]
        self.enc, self.enc_key = sa.get("enc"), sa.get("enc_key")

    def fits(self, data, icv, high):
        if self.esn:
            data += high.to_bytes(4, "big")
        want = hmac.digest(self.key, data, self.hash)[:self.tag]
        return hmac.compare_digest(want, icv)

    def open(self, p, high):
        if p.proto == AH:
            return self.open_ah(p, high)
        body, icv = p.data[:-self.tag], p.data[-self.tag:]
        if len(body) < 8 or not self.fits(body, icv, high):
            return None
        return self.decrypt(body[8:])

    def decrypt(self, text):
        if self.enc == "ecb(cipher_null)":
            return text
        if self.enc == "cbc(aes)" and len(text) >= 32 and len(text) % 16 == 0:
            dec = Cipher(algorithms.AES(self.enc_key), modes.CBC(text[:16])).decryptor()
            return dec.update(text[16:]) + dec.finalize()
        return b""  # the number is known; what it says is not

    def open_ah(self, p, high):
        if len(p.data) < 12 + self.tag:
            return None
        size = (p.data[1] + 2) * 4
        if size < 12 + self.tag or size > len(p.data):
            return None
        ip = bytearray(p.header)
        if not ip:
            return None
        if ip[0] >> 4 == 4:  # mutable: TOS, flags, TTL, checksum; options are refused
            if len(ip) != 20:
                return None
            for i in (1, 6, 7, 8, 10, 11):
                ip[i] = 0
            ip[2:4] = (20 + len(p.data)).to_bytes(2, "big")  # may have been in fragments
        else:
            if len(ip) != 40:
                return None
            ip[0], ip[1], ip[2], ip[3], ip[7] = 0x60, 0, 0, 0, 0
        zeroed = p.data[:12] + bytes(self.tag) + p.data[12 + self.tag:]
        if not self.fits(bytes(ip) + zeroed, p.data[12:12 + self.tag], high):
            return None
        return p.data[size:]


def cipher_of(sa):
    if sa.get("aead") in ("rfc4106(gcm(aes))", "rfc4543(gcm(aes))"):
        return Gcm(sa)
    if sa.get("aead") == "rfc7539esp(chacha20,poly1305)":
        return ChaCha(sa)
    if sa.get("auth"):
        return Hmac(sa)
    raise InputError(f"{sa['name']}: the judge does not know {sa.get('aead')}")


# ---- keys --------------------------------------------------------------------------

def check_sa(sa, where):
    """Brings an SA of a key file into the form that the rest uses."""
    try:
        sa["spi"] = int(sa["spi"], 0) if isinstance(sa["spi"], str) else int(sa["spi"])
        for end in ("src", "dst"):
            sa[end] = ipaddress.ip_address(sa[end]).packed
        for key in ("key", "auth_key", "enc_key"):
            if isinstance(sa.get(key), str):
                sa[key] = bytes.fromhex(sa[key].removeprefix("0x"))
        sa["proto"] = {"esp": ESP, "ah": AH}[sa.get("proto", "esp")]
        sa["esn"] = bool(sa.get("esn"))
        sa["icv_bits"] = int(sa.get("icv_bits", 128))
        sa["name"] = str(sa.get("name") or f"0x{sa['spi']:08x}")
    except (KeyError, ValueError, TypeError) as e:
        raise InputError(f"{where}: an SA lacks or spoils {e}") from e
    return sa


def parse_ip_xfrm(text):
    """Reads what `ip xfrm state` prints: an SA starts at the left margin."""
    sas = []
    for line in text.splitlines():
        w = line.split()
        if not w:
            continue
        if not line[0].isspace():
            if len(w) < 4 or w[0] != "src" or w[2] != "dst":
                raise InputError(f"not a line of ip xfrm state: {line!r}")
            sas.append({"src": w[1], "dst": w[3], "esn": False})
            continue
        if not sas:
            continue
        sa = sas[-1]
        if w[0] == "proto":
            sa["proto"] = w[1]
            spi = w[w.index("spi") + 1]
            sa["spi"] = spi.split("(")[0]
        elif w[0] == "replay-window" and "flag" in w:
            sa["esn"] = "esn" in w[w.index("flag"):]
        elif w[0] == "aead":
            sa["aead"], sa["key"], sa["icv_bits"] = w[1], w[2], int(w[3])
        elif w[0] in ("auth-trunc", "auth"):
            sa["auth"] = w[1]
            sa["auth_key"] = w[2] if len(w) > 2 else ""
            sa["icv_bits"] = int(w[3]) if w[0] == "auth-trunc" else 96
        elif w[0] == "enc":
            sa["enc"], sa["enc_key"] = w[1], w[2] if len(w) > 2 and w[2] != '""' else ""
        elif w[0] == "encap":
            sa["encap"] = "udp"
            NATT_PORTS.add(int(w[w.index("sport") + 1]))
    # Compression and the like draw no sequence numbers.
    return [sa for sa in sas if sa.get("proto") in ("esp", "ah")]


def read_keys(path):
    try:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        if text.lstrip().startswith(("{", "[")):
            doc = json.loads(text)
            sas = doc["sas"] if isinstance(doc, dict) else doc
        else:
            sas = parse_ip_xfrm(text)
        return [check_sa(dict(sa), path) for sa in sas]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError,
            IndexError, ValueError) as e:
        raise InputError(f"{path}: {e}") from e


def identity(sa):
    """What a number must be unique under: the key, however many SAs use it."""
    parts = (sa.get("aead"), sa.get("key"), sa.get("auth"), sa.get("auth_key"),
             sa.get("enc"), sa.get("enc_key"))
    return hashlib.sha256(repr(parts).encode()).digest()


# ---- judging -----------------------------------------------------------------------

class Tally:
    """Numbers of one SA, or of one sender within it."""

    def __init__(self):
        self.packets, self.low, self.high, self.first, self.last = 0, None, None, None, None

    def add(self, number, time):
        self.packets += 1
        self.low = number if self.low is None else min(self.low, number)
        self.high = number if self.high is None else max(self.high, number)
        self.first = time if self.first is None else self.first
        self.last = time

    def report(self):
        return {"packets": self.packets, "min": self.low, "max": self.high,
                "first": self.first, "last": self.last}


class Judged:
    """One SA under trial."""

    def __init__(self, sa, seen):
        self.sa, self.cipher = sa, cipher_of(sa)
        self.seen = seen  # numbers under this key, shared by all SAs that use it
        self.all, self.senders = Tally(), {}
        self.duplicates, self.failures, self.backward = [], 0, 0
        self.top, self.highs = None, set()

    def candidates(self, low, max_high):
        """High halves to try, the likeliest first, each once: those near the highest number,
        near all numbers before, and the small ones. As many as the SA has seen, not as large."""
        if not self.sa["esn"]:
            return [0]
        if self.top is None:
            return range(max_high + 1)
        high, top_low = self.top >> 32, self.top & 0xffffffff
        # A counter that wraps, and a packet that comes late, differ by one at most.
        if low < top_low and top_low - low > 1 << 31:
            order = [high + 1, high, high - 1]
        elif low > top_low and low - top_low > 1 << 31:
            order = [high - 1, high, high + 1]
        else:
            order = [high, high + 1, high - 1]
        order.append(high + 2)
        for before in sorted(self.highs, reverse=True):
            order += [before, before + 1, before - 1]
        order += range(max_high + 1)
        return [h for h in dict.fromkeys(order) if 0 <= h < 1 << 32]

    def number(self, p, max_high):
        """Returns (64-bit number, plaintext), or (None, None): no candidate fits."""
        for high in self.candidates(p.low, max_high):
            plain = self.cipher.open(p, high)
            if plain is not None:
                return high << 32 | p.low, plain
        return None, None

    def add(self, p, number, sender):
        """Takes a verified packet; returns whether its number was sent before."""
        again = number in self.seen
        if again:
            self.duplicates.append(number)
        self.seen.add(number)
        self.highs.add(number >> 32)
        if self.top is not None and number < self.top:
            self.backward += 1
        self.top = number if self.top is None else max(self.top, number)
        self.all.add(number, p.time)
        self.senders.setdefault(sender, Tally()).add(number, p.time)
        return again

    def report(self):
        sa = self.sa
        return {"name": sa["name"], "spi": f"0x{sa['spi']:08x}",
                "src": str(ipaddress.ip_address(sa["src"])),
                "dst": str(ipaddress.ip_address(sa["dst"])), **self.all.report(),
                "duplicates": len(self.duplicates),
                "duplicate_numbers": self.duplicates[:20],
                "icv_failures": self.failures, "backward": self.backward,
                "senders": {n: t.report() for n, t in sorted(self.senders.items())}}


def inner_udp(plain):
    """Payload of the UDP packet that an ESP tunnel-mode plaintext carries, or b''."""
    version = plain[0] >> 4 if plain else 0
    if version == 4 and len(plain) >= 28 and plain[9] == UDP:
        at, total = (plain[0] & 15) * 4 + 8, int.from_bytes(plain[2:4], "big")
    elif version == 6 and len(plain) >= 48 and plain[6] == UDP:
        at, total = 48, 40 + int.from_bytes(plain[4:6], "big")
    else:
        return b""
    return plain[at:total]


class Judge:
    def __init__(self, sas, names=None, attackers=(), max_high=16, log=None):
        self.names, self.attackers = names or {}, set(attackers)
        self.max_high, self.log = max_high, log
        self.unknown = self.malformed = self.attacks = self.total = 0
        self.sas, seen, by_key = {}, {}, {}
        for sa in sas:
            key = (sa["spi"], sa["dst"], sa["proto"])
            who = identity(sa)
            if key in by_key:
                if by_key[key] != who:
                    raise InputError(f"{sa['name']}: two keys for SPI 0x{sa['spi']:08x}")
                continue
            by_key[key] = who
            self.sas[key] = Judged(sa, seen.setdefault(who, set()))

    def take(self, p):
        self.total += 1
        if p.spi is None:
            self.malformed += 1
            return
        sender = self.names.get(p.sender, p.sender)
        sa = self.sas.get((p.spi, p.dst, p.proto))
        if sa is None:
            self.unknown += 1
            self.line(p, sender, f"0x{p.spi:08x}", None, "unknown", b"")
            return
        number, plain = sa.number(p, self.max_high)
        if p.sender in self.attackers:
            self.attacks += 1
            verdict = "attack" if number is not None else "forged"
        elif number is None:
            sa.failures += 1
            verdict = "icv"
        else:
            verdict = "duplicate" if sa.add(p, number, sender) else "ok"
        self.line(p, sender, sa.sa["name"], number, verdict, plain or b"")

    def line(self, p, sender, name, number, verdict, plain):
        if self.log:
            self.log.write(f"{p.time},{sender},{name},{'' if number is None else number},"
                           f"{verdict},{inner_udp(plain)[:32].hex()}\n")

    def report(self):
        sas = [s.report() for s in self.sas.values()]
        return {"packets": self.total, "duplicates": sum(s["duplicates"] for s in sas),
                "icv_failures": sum(s["icv_failures"] for s in sas),
                "unknown_spi": self.unknown, "malformed": self.malformed,
                "attacker_packets": self.attacks, "sas": sas}


def arguments(argv):
    ap = argparse.ArgumentParser(
        usage=__doc__.split("usage: ", 1)[1].split("\n", 1)[0],
        description=__doc__.split("usage: ", 1)[1].split("\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    quiet = {"help": argparse.SUPPRESS}
    ap.add_argument("--keys", action="append", required=True, **quiet)
    ap.add_argument("--name", action="append", default=[], **quiet)
    ap.add_argument("--attacker", action="append", default=[], **quiet)
    ap.add_argument("--from", dest="since", type=float, **quiet)
    ap.add_argument("--to", dest="until", type=float, **quiet)
    ap.add_argument("--max-high", type=int, default=16, **quiet)
    ap.add_argument("--packets", **quiet)
    ap.add_argument("--report-only", action="store_true", **quiet)
    ap.add_argument("captures", nargs="+", **quiet)
    args = ap.parse_args(argv)
    for pair in args.name:
        if "=" not in pair:
            ap.error(f"--name {pair}: MAC=NAME is wanted")
    return args


def judge_files(args, log):
    sas = [sa for path in args.keys for sa in read_keys(path)]
    names = {mac.lower(): name for mac, name in (n.split("=", 1) for n in args.name)}
    judge = Judge(sas, names, [m.lower() for m in args.attacker], args.max_high, log)
    for p in packets_of(args.captures):
        if args.since is not None and p.time < args.since * 1e9:
            continue
        if args.until is not None and p.time > args.until * 1e9:
            continue
        judge.take(p)
    return judge.report()


def main(argv):
    args = arguments(argv)
    try:
        if args.packets:
            with open(args.packets, "w", encoding="utf-8") as log:
                report = judge_files(args, log)
        else:
            report = judge_files(args, None)
    except (InputError, OSError) as e:
        print(f"judge: {e}", file=sys.stderr)
        return 2
    json.dump(report, sys.stdout, indent=1)
    print()
    bad = ("duplicates", "icv_failures", "unknown_spi", "malformed")
    return 1 if any(report[k] for k in bad) and not args.report_only else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
