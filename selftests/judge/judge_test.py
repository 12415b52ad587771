#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: packets that this test makes itself, with keys of its own.
Out: TAP; exit 1 if the judge misjudges one.
Runs on the host, without privileges. Each case says which wrong judge it would catch.

After the cases the judge is broken in each of several ways, and the cases must notice.
"""

import hashlib
import hmac
import io
import ipaddress
import json
import os
import random
import re
import struct
import sys
import tempfile
import types
import unittest

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

HERE = os.path.dirname(os.path.abspath(__file__))
GW_A, GW_B, EVE = "52:54:00:00:00:0a", "52:54:00:00:00:0b", "52:54:00:00:00:ee"
V4 = ("192.0.2.1", "198.51.100.7")
V6 = ("2001:db8::1", "2001:db8::7")
PLAIN = (bytes.fromhex("45000024000000004011") + bytes(10)
         + struct.pack(">HHHH", 7000, 7000, 16, 0) + b"numbered" + bytes([1, 2, 2, 4]))


def load_judge(change=None):
    """Imports judge.py; change is (from, to), applied to its source."""
    with open(os.path.join(HERE, "judge.py"), encoding="utf-8") as f:
        source = f.read()
    if change:
        if source.count(change[0]) != 1:
            raise AssertionError(f"mutant does not apply: {change[0]!r}")
        source = source.replace(*change)
    module = types.ModuleType("judge")
    exec(compile(source, "judge.py", "exec"), module.__dict__)  # pylint: disable=exec-used
    return module


judge = load_judge()


def gcm_sa(spi, ends=V4, esn=True, icv=128, encap=None):
    return {"name": f"sa{spi:x}", "spi": hex(spi), "src": ends[0], "dst": ends[1],
            "esn": esn, "aead": "rfc4106(gcm(aes))", "icv_bits": icv, "encap": encap,
            "key": hashlib.sha256(b"%d" % spi).hexdigest()[:40]}


def aad(sa, number):
    spi = int(sa["spi"], 0)
    if sa["esn"]:
        return struct.pack(">III", spi, number >> 32, number & 0xffffffff)
    return struct.pack(">II", spi, number)


def esp_gcm(sa, number, plain=PLAIN):
    key = bytes.fromhex(sa["key"])
    iv = (number ^ 0x5a5a).to_bytes(8, "big")
    head = struct.pack(">II", int(sa["spi"], 0), number & 0xffffffff)
    enc = Cipher(algorithms.AES(key[:-4]), modes.GCM(key[-4:] + iv)).encryptor()
    enc.authenticate_additional_data(aad(sa, number))
    text = enc.update(plain) + enc.finalize()
    return head + iv + text + enc.tag[:sa["icv_bits"] // 8]


def ip4(ends, proto, payload, ident=0, frag=0):
    src, dst = (ipaddress.ip_address(e).packed for e in ends)
    return struct.pack(">BBHHHBBH", 0x45, 0x10, 20 + len(payload), ident, frag, 61,
                       proto, 0x1234) + src + dst + payload


def ip6(ends, proto, payload):
    src, dst = (ipaddress.ip_address(e).packed for e in ends)
    return struct.pack(">IHBB", 0x61234567, len(payload), proto, 61) + src + dst + payload


def packet(sa, number, plain=PLAIN):
    """The IP packet of an SA, as its ends and encapsulation want it."""
    data, proto = esp_gcm(sa, number, plain), 50
    if sa["encap"]:
        data, proto = struct.pack(">HHHH", 4500, 4500, 8 + len(data), 0) + data, 17
    ends = (sa["src"], sa["dst"])
    return ip6(ends, proto, data) if ":" in ends[0] else ip4(ends, proto, data)


def ethernet(ip, mac, vlan=False):
    etype = b"\x86\xdd" if ip[0] >> 4 == 6 else b"\x08\x00"
    tag = b"\x81\x00\x00\x07" if vlan else b""
    return bytes(6) + bytes.fromhex(mac.replace(":", "")) + tag + etype + ip


def cooked(ip, mac):
    etype = b"\x86\xdd" if ip[0] >> 4 == 6 else b"\x08\x00"
    return b"\0\0\0\1\0\6" + bytes.fromhex(mac.replace(":", "")) + b"\0\0" + etype + ip


def cooked2(ip, mac):
    etype = b"\x86\xdd" if ip[0] >> 4 == 6 else b"\x08\x00"
    return (etype + b"\0\0" + bytes(4) + b"\0\1\0\6" + bytes.fromhex(mac.replace(":", ""))
            + b"\0\0" + ip)


def pcap(frames, link=1, order="<", nano=False, snap=0):
    """A capture file's bytes; one frame a millisecond from second 1000 on."""
    magic, unit = (0xa1b23c4d, 10**6) if nano else (0xa1b2c3d4, 10**3)
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for i, f in enumerate(frames):
        out += struct.pack(order + "IIII", 1000 + i // 1000, i % 1000 * unit,
                           snap or len(f), len(f)) + f[:snap or len(f)]
    return out


class Case(unittest.TestCase):
    """Runs the judge's whole command on files."""

    def judged(self, keys, capture, *options, rc=0, text=None):
        with tempfile.TemporaryDirectory() as tmp:
            paths = [os.path.join(tmp, n) for n in ("keys", "pcap", "out")]
            with open(paths[0], "w", encoding="utf-8") as f:
                f.write(text or json.dumps({"sas": keys}))
            with open(paths[1], "wb") as f:
                f.write(capture)
            stdout, stderr = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
            try:
                got = judge.main(["--keys", paths[0], "--packets", paths[2], *options,
                                  paths[1]])
                printed, self.said = sys.stdout.getvalue(), sys.stderr.getvalue()
            finally:
                sys.stdout, sys.stderr = stdout, stderr
            self.assertEqual(got, rc, self.said or printed)
            if os.path.exists(paths[2]):
                with open(paths[2], encoding="utf-8") as f:
                    self.lines = f.read().splitlines()
            return json.loads(printed) if printed else None

    def one(self, sa, numbers, **kw):
        frames = [ethernet(packet(sa, n), GW_A) for n in numbers]
        return self.judged([sa], pcap(frames), **kw)["sas"][0]


class Numbers(Case):
    def test_plain_run(self):
        got = self.one(gcm_sa(1), range(1, 51))
        self.assertEqual((got["packets"], got["min"], got["max"]), (50, 1, 50))
        self.assertEqual((got["duplicates"], got["icv_failures"], got["backward"]), (0, 0, 0))

    def test_duplicate_is_found(self):
        got = self.one(gcm_sa(1), [1, 2, 3, 2, 4, 4, 4], rc=1)
        self.assertEqual((got["duplicates"], got["duplicate_numbers"]), (3, [2, 4, 4]))

    def test_duplicate_with_other_content(self):
        sa = gcm_sa(1)
        frames = [ethernet(packet(sa, 9, p), GW_A) for p in (PLAIN, PLAIN + bytes(4))]
        self.assertEqual(self.judged([sa], pcap(frames), rc=1)["duplicates"], 1)

    def test_duplicate_across_gateways(self):
        sa = gcm_sa(1)
        frames = [ethernet(packet(sa, n), GW_A) for n in (1, 2, 3)]
        frames += [ethernet(packet(sa, n), GW_B) for n in (3, 4)]
        got = self.judged([sa], pcap(frames), "--name", f"{GW_A}=a", "--name",
                          f"{GW_B.upper()}=b", rc=1)["sas"][0]
        self.assertEqual(got["duplicates"], 1)
        self.assertEqual(got["senders"]["a"]["max"], 3)
        self.assertEqual(got["senders"]["b"]["min"], 3)
        self.assertEqual(got["senders"]["b"]["first"], 1000_003_000_000)

    def test_duplicate_under_one_key_of_two_sas(self):
        a, b = gcm_sa(1), gcm_sa(2)
        b["key"] = a["key"]
        frames = [ethernet(packet(sa, 5), GW_A) for sa in (a, b)]
        self.assertEqual(self.judged([a, b], pcap(frames), rc=1)["duplicates"], 1)

    def test_same_number_under_two_keys_is_fine(self):
        sas = [gcm_sa(1), gcm_sa(2)]
        frames = [ethernet(packet(sa, 5), GW_A) for sa in sas]
        self.assertEqual(self.judged(sas, pcap(frames))["duplicates"], 0)

    def test_same_low_half_is_another_number(self):
        got = self.one(gcm_sa(1), [5, 0x1_0000_0005, 0x2_0000_0005])
        self.assertEqual((got["duplicates"], got["max"]), (0, 0x2_0000_0005))

    def test_first_packet_with_high_half(self):
        self.assertEqual(self.one(gcm_sa(1), [0x1_0000_0007])["min"], 0x1_0000_0007)

    def test_wrap_and_late_packet(self):
        got = self.one(gcm_sa(1), [0xfffffffe, 0x1_0000_0001, 0xffffffff, 0x1_0000_0002])
        self.assertEqual((got["min"], got["max"], got["backward"]),
                         (0xfffffffe, 0x1_0000_0002, 1))

    def test_jump_of_a_lease(self):
        got = self.one(gcm_sa(1), [0xe000_0000, 0xe000_0000 + (1 << 30), 0x3_0000_0000])
        self.assertEqual(got["max"], 0x3_0000_0000)

    def test_old_number_after_many_wraps(self):
        got = self.one(gcm_sa(1), [7, 0x5_0000_0000, 7], rc=1)
        self.assertEqual(got["duplicate_numbers"], [7])

    def test_without_esn(self):
        got = self.one(gcm_sa(1, esn=False), [1, 0xffffffff, 1], rc=1)
        self.assertEqual((got["max"], got["duplicates"]), (0xffffffff, 1))


class Integrity(Case):
    def test_corrupted_icv(self):
        sa = gcm_sa(1)
        bad = bytearray(packet(sa, 2))
        bad[-1] ^= 1
        frames = [ethernet(ip, GW_A) for ip in (packet(sa, 1), bytes(bad), packet(sa, 3))]
        got = self.judged([sa], pcap(frames), rc=1)
        self.assertEqual((got["icv_failures"], got["sas"][0]["packets"]), (1, 2))
        self.assertIn(",icv,", self.lines[1])

    def test_corrupted_text_and_number(self):
        sa = gcm_sa(1)
        frames = []
        for at in (20 + 7, 20 + 9, 20 + 17):  # number, IV, ciphertext
            bad = bytearray(packet(sa, 2))
            bad[at] ^= 1
            frames.append(ethernet(bytes(bad), GW_A))
        self.assertEqual(self.judged([sa], pcap(frames), rc=1)["icv_failures"], 3)

    def test_wrong_key(self):
        sa, other = gcm_sa(1), gcm_sa(2)
        other.update(spi=sa["spi"])
        got = self.judged([other], pcap([ethernet(packet(sa, 1), GW_A)]), rc=1)
        self.assertEqual(got["icv_failures"], 1)

    def test_unknown_spi_fails_and_is_told(self):
        got = self.judged([gcm_sa(2)], pcap([ethernet(packet(gcm_sa(1), 1), GW_A)]), rc=1)
        self.assertEqual((got["unknown_spi"], got["packets"]), (1, 1))

    def test_report_only(self):
        self.one_args = self.judged([gcm_sa(2)], pcap([ethernet(packet(gcm_sa(1), 1), GW_A)]),
                                    "--report-only")

    def test_icv_of_64_and_96_bits(self):
        for bits in (64, 96):
            self.assertEqual(self.one(gcm_sa(1, icv=bits), [1, 2])["packets"], 2)

    def test_chacha(self):
        key = bytes(range(36))
        sa = gcm_sa(1)
        sa.update(aead="rfc7539esp(chacha20,poly1305)", key=key.hex())
        iv = bytes(range(8))
        text = ChaCha20Poly1305(key[:32]).encrypt(key[32:] + iv, PLAIN, aad(sa, 0x1_0000_0003))
        ip = ip4(V4, 50, struct.pack(">II", 1, 3) + iv + text)
        got = self.judged([sa], pcap([ethernet(ip, GW_A)]))["sas"][0]
        self.assertEqual(got["min"], 0x1_0000_0003)

    def test_gmac(self):
        sa = gcm_sa(1)
        sa["aead"] = "rfc4543(gcm(aes))"
        key, iv = bytes.fromhex(sa["key"]), bytes(8)
        tag = AESGCM(key[:-4]).encrypt(key[-4:] + iv, b"", aad(sa, 4) + iv + PLAIN)
        ip = ip4(V4, 50, struct.pack(">II", 1, 4) + iv + PLAIN + tag)
        self.assertEqual(self.judged([sa], pcap([ethernet(ip, GW_A)]))["sas"][0]["min"], 4)

    def hmac_sa(self, proto, ends):
        return {"name": "h", "spi": "0x9", "src": ends[0], "dst": ends[1], "proto": proto,
                "esn": True, "auth": "hmac(sha256)", "auth_key": "11" * 32, "icv_bits": 128,
                "enc": "ecb(cipher_null)", "enc_key": ""}

    def test_esp_hmac(self):
        sa = self.hmac_sa("esp", V4)
        body = struct.pack(">II", 9, 6) + PLAIN
        icv = hmac.new(b"\x11" * 32, body + struct.pack(">I", 2), "sha256").digest()[:16]
        got = self.judged([sa], pcap([ethernet(ip4(V4, 50, body + icv), GW_A)]))["sas"][0]
        self.assertEqual(got["min"], 0x2_0000_0006)
        self.assertTrue(self.lines[0].endswith(b"numbered".hex()))

    def test_ah(self):
        for ends, make, zero in ((V4, ip4, (1, 6, 7, 8, 10, 11)), (V6, ip6, (1, 2, 3, 7))):
            sa = self.hmac_sa("ah", ends)
            head = struct.pack(">BBHII", 4, 5, 0, 9, 8)
            ip = bytearray(make(ends, 51, head + bytes(16) + PLAIN))
            for i in zero:
                ip[i] = 0
            ip[0] = ip[0] if make is ip4 else 0x60
            icv = hmac.new(b"\x11" * 32, bytes(ip) + struct.pack(">I", 1), "sha256").digest()[:16]
            frame = ethernet(make(ends, 51, head + icv + PLAIN), GW_A)
            self.assertEqual(self.judged([sa], pcap([frame]))["sas"][0]["min"], 0x1_0000_0008)


class Inference(unittest.TestCase):
    """The high halves that are tried, against a receiver of RFC 4303, appendix A."""

    BORDER, HALF = 1 << 32, 1 << 31
    LAST = BORDER * BORDER

    def judged(self, top):
        judged = judge.Judged(judge.check_sa(gcm_sa(1), "test"), set())
        judged.top = top
        judged.highs = {top // self.BORDER}
        return judged

    def edges(self, window=4096):
        """Highest numbers and numbers that follow, around every border, and at random."""
        near = (-window - 1, -window, -2, -1, 0, 1, window - 2, window - 1, window)
        bases = [high * self.BORDER for high in (0, 1, 2, 77, 1 << 31, (1 << 32) - 1)]
        tops = [b + n for b in bases for n in (*near, self.HALF - 1, self.HALF, self.BORDER - 1)]
        rng = random.Random(int(os.environ.get("XFRMSYNC_SEED", "1")))
        for top in tops + [rng.randrange(self.LAST) for _ in range(50)]:
            steps = [*near, self.HALF - 1, 1 - self.HALF, rng.randrange(self.HALF)]
            for number in (top + step for step in steps):
                if 0 <= top < self.LAST and 0 <= number < self.LAST:
                    yield top, number

    def test_what_a_receiver_infers_is_tried_first(self):
        for window in (32, 64, 1024, 4096):
            for top, number in self.edges(window):
                left = top - window + 1
                inferred = left + (number - left) % self.BORDER
                if abs(inferred - top) < self.HALF and inferred >= 0:
                    first = next(iter(self.judged(top).candidates(inferred % self.BORDER, 16)))
                    self.assertEqual(first, inferred // self.BORDER, (top, inferred))

    def test_nothing_is_tried_twice_and_the_number_is_found(self):
        for top, number in self.edges():
            tried = list(self.judged(top).candidates(number % self.BORDER, 16))
            self.assertIn(number // self.BORDER, tried)
            self.assertEqual(len(tried), len(set(tried)))
            self.assertGreaterEqual(min(tried), 0)
            self.assertLess(max(tried), self.BORDER)

    def test_what_is_tried_does_not_grow_with_the_numbers(self):
        for top, number in self.edges():
            tried = self.judged(top).candidates(number % self.BORDER, 16)
            self.assertLessEqual(len(tried), 17 + 6)

    def test_every_number_that_came_before_is_found(self):
        rng = random.Random(int(os.environ.get("XFRMSYNC_SEED", "1")))
        sa = judge.check_sa(gcm_sa(1), "test")
        for _ in range(20):
            judged = judge.Judged(sa, set())
            sent = [rng.randrange(self.LAST) >> rng.randrange(33) for _ in range(20)]
            for number in sent:
                judged.add(types.SimpleNamespace(time=0), number, "a")
            for number in sent:
                self.assertIn(number // self.BORDER, judged.candidates(number % self.BORDER, 0))


class Wire(Case):
    def test_ipv6_and_udp(self):
        for sa in (gcm_sa(1, V6), gcm_sa(1, V4, encap="udp"), gcm_sa(1, V6, encap="udp")):
            self.assertEqual(self.one(sa, [1, 2])["packets"], 2)

    def test_keepalive_and_ike_are_not_esp(self):
        udp = struct.pack(">HHHH", 4500, 4500, 9, 0) + b"\xff"
        ike = struct.pack(">HHHH", 4500, 4500, 8 + 40, 0) + bytes(40)
        frames = [ethernet(ip4(V4, 17, d), GW_A) for d in (udp, ike)]
        self.assertEqual(self.judged([gcm_sa(1)], pcap(frames))["packets"], 0)

    def test_formats(self):
        sa = gcm_sa(1)
        ips = [packet(sa, n) for n in (1, 2, 2)]
        for link, wrap in ((1, ethernet), (113, cooked), (276, cooked2)):
            for order in "<>":
                for nano in (False, True):
                    got = self.judged([sa], pcap([wrap(ip, GW_A) for ip in ips], link,
                                                 order, nano), rc=1)["sas"][0]
                    self.assertEqual((got["packets"], got["duplicates"]), (3, 1))
                    self.assertEqual(got["last"], 1000_002_000_000)
                    self.assertEqual(list(got["senders"]), [GW_A])

    def test_vlan(self):
        sa = gcm_sa(1)
        got = self.judged([sa], pcap([ethernet(packet(sa, 1), GW_A, vlan=True)]))
        self.assertEqual(got["sas"][0]["packets"], 1)

    def test_fragments(self):
        sa = gcm_sa(1)
        esp = esp_gcm(sa, 1, PLAIN * 8)
        parts = [ip4(V4, 50, esp[:64], 7, 0x2000), ip4(V4, 50, esp[64:128], 7, 0x2008),
                 ip4(V4, 50, esp[128:], 7, 16)]
        for order in (parts, parts[::-1]):
            got = self.judged([sa], pcap([ethernet(p, GW_A) for p in order]))["sas"][0]
            self.assertEqual(got["packets"], 1)

    def test_fragments_of_ah_over_ipv6(self):
        sa = {"name": "h", "spi": "9", "src": V6[0], "dst": V6[1], "proto": "ah", "esn": True,
              "auth": "hmac(sha1)", "auth_key": "22" * 20, "icv_bits": 96}
        text, head = PLAIN * 8, struct.pack(">BBHII", 17, 4, 0, 9, 3)
        ip = bytearray(ip6(V6, 51, head + bytes(12) + text))
        ip[1] = ip[2] = ip[3] = ip[7] = 0
        ip[0] = 0x60
        key, end = b"\x22" * 20, struct.pack(">I", 1)
        ah = head + hmac.new(key, bytes(ip) + end, "sha1").digest()[:12] + text
        frames = [ethernet(ip6(V6, 44, struct.pack(">BBHI", 51, 0, at | more, 5) + part), GW_A)
                  for at, more, part in ((0, 1, ah[:96]), (96, 0, ah[96:]))]
        got = self.judged([sa], pcap(frames))["sas"][0]
        self.assertEqual(got["min"], 0x1_0000_0003)

    def test_attacker_is_counted_apart(self):
        sa = gcm_sa(1)
        frames = [ethernet(packet(sa, 1), GW_A), ethernet(packet(sa, 1), EVE)]
        got = self.judged([sa], pcap(frames), "--attacker", EVE)
        self.assertEqual((got["duplicates"], got["attacker_packets"]), (0, 1))
        self.assertIn(",attack,", self.lines[1])

    def test_time_limits(self):
        sa = gcm_sa(1)
        frames = [ethernet(packet(sa, n), GW_A) for n in (1, 2, 3, 3)]
        got = self.judged([sa], pcap(frames), "--from", "1000.0005", "--to", "1000.0025")
        self.assertEqual((got["sas"][0]["min"], got["sas"][0]["max"]), (2, 3))

    def test_packet_lines(self):
        self.one(gcm_sa(1), [0x1_0000_0001])
        self.assertEqual(self.lines, [f"1000000000000,{GW_A},sa1,{0x1_0000_0001},ok,"
                                      + b"numbered".hex()])

    def test_malformed(self):
        got = self.judged([gcm_sa(1)], pcap([ethernet(ip4(V4, 50, b"abc"), GW_A)]), rc=1)
        self.assertEqual(got["malformed"], 1)


class Input(Case):
    def test_ip_xfrm_text(self):
        sa = gcm_sa(0xc0ffee)
        text = (f"src {V4[0]} dst {V4[1]}\n\tproto esp spi 0x00c0ffee reqid 1 mode tunnel\n"
                "\treplay-window 0 flag af-unspec esn\n"
                f"\taead rfc4106(gcm(aes)) 0x{sa['key']} 128\n"
                "\tanti-replay esn context:\n\t replay_window 128, bitmap-length 4\n"
                "src 10.0.0.1 dst 10.0.0.2\n\tproto ah spi 0x00000009(9) reqid 1 mode transport\n"
                "\tauth-trunc hmac(sha1) 0x1111 96\n")
        frames = [ethernet(packet(sa, 0x1_0000_0001), GW_A)]
        got = self.judged(None, pcap(frames), text=text)
        self.assertEqual(got["sas"][0]["min"], 0x1_0000_0001)
        self.assertEqual(len(got["sas"]), 2)

    def test_unreadable(self):
        good = pcap([])
        sa = gcm_sa(1)
        for keys, capture in (([sa], b"nonsense"), ([sa], good[:10]), ([{"spi": 1}], good),
                              ([dict(sa, key="xy")], good), ([dict(sa, aead="rot13")], good)):
            self.judged(keys, capture, rc=2)
            self.assertTrue(self.said.startswith("judge: "))

    def test_cut_packets_are_refused(self):
        self.judged([gcm_sa(1)], pcap([ethernet(packet(gcm_sa(1), 1), GW_A)], snap=60), rc=2)

    def test_capture_of_a_crash_ends_in_a_packet(self):
        sa = gcm_sa(1)
        whole = pcap([ethernet(packet(sa, n), GW_A) for n in (1, 2)])
        self.assertEqual(self.judged([sa], whole[:-3])["sas"][0]["packets"], 1)


MUTANTS = (
    ("duplicates are never seen", "again = number in self.seen", "again = False"),
    ("numbers are not remembered", "        self.seen.add(number)\n", ""),
    ("only the low half is remembered", "return high << 32 | p.low, plain",
     "return p.low, plain"),
    ("the high half is never tried", "return range(max_high + 1)", "return [0]"),
    ("the high half only grows", "order += [before, before + 1, before - 1]",
     "order = [high, high + 1]"),
    ("each high half up to the highest is tried", "order += range(max_high + 1)",
     "order += range(min(max(max_high, high) + 3, 1 << 12))"),
    ("only small high halves are remembered", "        self.highs.add(number >> 32)\n", ""),
    ("the half after a border is not tried first",
     "if low < top_low and top_low - low > 1 << 31:", "if False:"),
    ("the half before a border is not tried first",
     "elif low > top_low and low - top_low > 1 << 31:", "elif False:"),
    ("each SA has its own numbers", "seen.setdefault(who, set())", "set()"),
    ("numbers are unique over all keys", "seen.setdefault(who, set())",
     "seen.setdefault(0, set())"),
    ("each sender has its own numbers", "again = number in self.seen",
     "again = number in self.seen and sender in self.senders"),
    ("a bad ICV is let pass", "            sa.failures += 1\n", ""),
    ("the attacker counts as a sender", "if p.sender in self.attackers:", "if False:"),
    ("unknown SPIs are let pass", "            self.unknown += 1\n", ""),
    ("a finding does not fail the run",
     "return 1 if any(report[k] for k in bad) and not args.report_only else 0", "return 0"),
    ("the ICV covers no high half", 'high.to_bytes(4, "big") + body[4:8] if self.esn else '
     "body[:8]\n        iv", "body[4:8] if self.esn else body[:8]\n        iv"),
)


def mutants(first):
    """Runs all cases against each broken judge: each must be noticed."""
    global judge
    survived = 0
    for i, (what, *change) in enumerate(MUTANTS, first):
        judge = load_judge(change)
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]).run(result)
        caught = not result.wasSuccessful()
        survived += not caught
        print(f"{'ok' if caught else 'not ok'} {i} - judge: noticed when {what}")
    return survived == 0


class Tap(unittest.TestResult):
    """Prints a line for each case, as the kernel's selftests do."""

    def __init__(self):
        super().__init__()
        self.n = 0

    def line(self, ok, test):
        self.n += 1
        name = re.sub(r"^test_", "", test.id().rsplit(".", 1)[1]).replace("_", " ")
        print(f"{'ok' if ok else 'not ok'} {self.n} - judge: {name}")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line(True, test)

    def told(self, test, err):
        self.line(False, test)
        print("".join(f"# {s}\n" for s in self._exc_info_to_string(err, test).splitlines()),
              end="")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.told(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.told(test, err)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    print(f"TAP version 13\n1..{suite.countTestCases() + len(MUTANTS)}")
    result = Tap()
    suite.run(result)
    caught = mutants(result.n + 1)
    return 0 if result.wasSuccessful() and caught else 1


if __name__ == "__main__":
    sys.exit(main())
