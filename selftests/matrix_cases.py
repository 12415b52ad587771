# SPDX-License-Identifier: GPL-2.0
"""The kinds of SA that Linux can hold: a line for each, and what iproute2 is told for it.

In: nothing but the table below and the seed.
Out: Case objects: their SAs and policies as words of `ip xfrm`, for the gateways and the peer.

Each case has lanes, of its own addresses each (N is the lane's number): outside 10.1.N.1 and
fd00:1::N at the gateways, 10.2.N.1 and fd00:2::N at the peer; inside 10.3.N.1, fd00:3::N and
10.4.N.1, fd00:4::N. So no case sees another one's packets.
"""

import struct

from campaign_judge import IN, OUT
from kt import key

ESP, AH, COMP = "esp", "ah", "comp"
SA_DIR, NAT_KEEPALIVE = 33, 34          # XFRMA_*, newer than iproute2 6.1


def address(net, lane, family):
    return f"10.{net}.{lane}.1" if family == 4 else f"fd00:{net}::{lane:x}"


def aead(name, size, icv):
    return lambda label: f"aead {name} {key(size, label)} {icv}"


def auth(name, size, bits):
    return lambda label: f"auth-trunc {name} {key(size, 'a' + label)} {bits}"


def enc(name, size, integrity):
    secret = (lambda label: key(size, "e" + label)) if size else (lambda label: '""')
    return lambda label: f"enc {name} {secret(label)} {integrity(label)}"


GCM = aead("rfc4106(gcm(aes))", 20, 128)
HMAC = auth("hmac(sha256)", 32, 128)


class Sa:
    """One SA; its numbers are those that the sender's end has to begin with."""

    def __init__(self, case, lane, way, step):
        self.case, self.lane, self.way, self.step = case, lane, way, step
        self.proto = case.chain[step]
        # A lane beside the first one has its SPIs, too: its mark tells them apart.
        self.spi = 0x1000 + 16 * case.lanes[0] + 2 * step + way
        # What another policy has no tunnel for is between the packet's own addresses.
        inside = case.sub and step and case.mode == "tunnel"
        self.src, self.dst = case.inside(lane, way) if inside else case.ends(lane, way)

    def label(self):
        return f"{self.spi:x}/{self.lane}"

    def mode(self):
        return self.case.mode if self.step == 0 or self.case.mode == "transport" else "transport"

    def id(self):
        return f"dst {self.dst} proto {self.proto} spi {self.spi:#x}"

    def algorithms(self):
        if self.proto == COMP:
            return "comp deflate"
        return (HMAC if self.proto == AH and self.case.algo is GCM else self.case.algo)(self.label())

    def replay(self, sends):
        case = self.case
        if self.proto == COMP:
            return "flag " + case.flags if case.flags else ""
        flags = " ".join(filter(None, ["esn" if case.esn else "", case.flags]))
        words = f"{'flag ' + flags if flags else ''} replay-window {case.window} "
        first = case.start[self.way]
        which = "oseq" if sends else "seq"
        if first:
            words += f"replay-{which} {first & 0xffffffff:#x} "
            if case.esn:
                words += f"replay-{which}-hi {first >> 32:#x} "
        return words

    def words(self, gateway, verb="add", port=None):
        case = self.case
        words = (f"xfrm state {verb} src {self.src} {self.id()} reqid {case.lanes[0]} "
                 f"mode {self.mode()} {self.algorithms()} {self.replay((self.way == OUT) == gateway)} "
                 f"{case.mark_words(self.lane, gateway)} {case.sa_words}")
        if case.sel and self.step == 0:
            src, dst = case.inside(self.lane, self.way)
            words += f" sel src {src} dst {dst}"
        if case.encap:
            ports = (case.encap[0], port or case.encap[1])[::1 if self.way == OUT else -1]
            any_address = "::" if case.outer == 6 else "0.0.0.0"
            words += f" encap {case.encap_kind} {ports[0]} {ports[1]} {any_address}"
        return words + (" " + case.gateway_sa(self.lane) if gateway else "")


class Case:
    """One line of the matrix."""

    def __init__(self, name, chain=(ESP,), mode="tunnel", outer=4, inner=None, algo=GCM, esn=True,
                 window=64, **more):
        self.name, self.chain, self.mode, self.outer = name, chain, mode, outer
        self.inner = outer if inner is None else inner
        self.algo, self.esn, self.window = algo, esn, window
        self.start = more.pop("start", {IN: 0, OUT: 0})
        self.flags = more.pop("flags", "")              # of XFRM, beside esn
        self.sa_words = more.pop("sa", "")              # of all SAs, at both ends
        self.at_gateway = more.pop("at_gateway", "")    # of the gateway's SAs; {lane}
        self.policy = more.pop("policy", {})            # the gateway's; direction, or None for all -> words
        self.sub = more.pop("sub", False)               # each template in a policy of its own
        self.prefix = more.pop("prefix", "")            # of its selectors
        self.narrow = more.pop("narrow", {})            # the same for the rest of a selector
        self.sel = more.pop("sel", False)
        self.marks = more.pop("marks", None)            # (value, mask) for each lane
        self.open = more.pop("open", False)             # the gateway's policies in have no mark
        self.if_id = more.pop("if_id", False)
        self.device = more.pop("device", None)          # what packets go in through: xfrm, vti
        self.encap = more.pop("encap", None)            # ports here and there
        self.encap_kind = more.pop("encap_kind", "espinudp")
        self.new_port = more.pop("new_port", None)      # of the peer, while the SAs live
        self.raw = more.pop("raw", {})                  # way -> {attribute: bytes} that ip cannot say
        self.context = more.pop("context", False)       # a security context
        self.fenced = more.pop("fenced", False)         # outbound cannot be taken over
        self.optional = more.pop("optional", None)      # why the kernel may not take it
        self.lanes = ()
        if more:
            raise TypeError(f"{name}: what is {more}?")

    def place(self, first):
        """Gives it its lanes; the number of the next free one."""
        self.lanes = tuple(range(first, first + len(self.marks or (1,))))
        self.sas = [Sa(self, lane, way, step) for lane in self.lanes for way in (IN, OUT)
                    for step in range(len(self.chain))]
        return self.lanes[-1] + 1

    # ---- addresses ----

    def ends(self, lane, way):
        """Outside: who sends from its lane's address, and all go to the first lane's."""
        here, there = (1, 2) if way == OUT else (2, 1)
        return address(here, lane, self.outer), address(there, self.lanes[0], self.outer)

    def inside(self, lane, way):
        """Between whom the packets are."""
        if self.mode == "transport":
            here, there = (1, 2) if way == OUT else (2, 1)
            return address(here, lane, self.outer), address(there, lane, self.outer)
        here, there = (3, 4) if way == OUT else (4, 3)
        return address(here, lane, self.inner), address(there, lane, self.inner)

    # ---- words ----

    def mark_of(self, lane):
        return self.marks[lane - self.lanes[0]] if self.marks else None

    def mark_words(self, lane, gateway):
        """The peer tells apart by marks only what nothing else tells apart."""
        if not self.marks or (not gateway and len(self.lanes) == 1):
            return ""
        return "mark {:#x} mask {:#x}".format(*self.mark_of(lane))

    def gateway_sa(self, lane):
        if_id = f"if_id {lane:#x} " if self.if_id else ""
        return if_id + self.at_gateway.format(lane=lane)

    def context_words(self, context):
        return f" ctx {context}" if self.context and context else ""

    def sa_lines(self, gateway, context=None, verb="add"):
        for sa in self.sas:
            yield sa.words(gateway, verb, self.new_port if verb == "update" else None) + \
                (self.context_words(context) if gateway else "")

    def templates(self, lane, way, direction):
        src, dst = self.ends(lane, way)
        for step, proto in enumerate(self.chain):
            mode = self.mode if step == 0 else "transport"
            ends = f"src {src} dst {dst} " if mode != "transport" else ""
            level = "level use" if proto == COMP and direction != "out" else ""
            yield f"tmpl {ends}proto {proto} reqid {self.lanes[0]} mode {mode} {level}"

    def selector(self, lane, way, direction, gateway):
        src, dst = self.inside(lane, way)
        more = self.narrow.get(direction, self.narrow.get(None, "")) if gateway else ""
        return f"src {src}{self.prefix} dst {dst}{self.prefix} {more}"

    def policy_lines(self, gateway, context=None):
        for lane in self.lanes:
            for direction in ("out", "in", "fwd"):
                way = OUT if gateway == (direction == "out") else IN
                words = f"xfrm policy add {self.selector(lane, way, direction, gateway)} dir {direction} "
                more = self.mark_words(lane, gateway) + " "
                if gateway and self.open and direction != "out":
                    more = ""
                if gateway:
                    more += f"if_id {lane:#x} " if self.if_id else ""
                    more += self.policy.get(direction, self.policy.get(None, ""))
                    more += self.context_words(context)
                templates = list(self.templates(lane, way, direction))
                if self.sub:
                    yield f"{words} ptype sub {more} {templates[0]}"
                    yield f"{words} ptype main {more} {' '.join(templates[1:])}"
                else:
                    yield f"{words} {more} {' '.join(templates)}"

    # ---- whose is what stands in a kernel ----

    def names(self):
        return sorted({(sa.dst, sa.spi) for sa in self.sas})

    def inner_addresses(self):
        return {end for lane in self.lanes for end in self.inside(lane, OUT)}


def direction(value):
    return {SA_DIR: bytes([value])}


NEAR = (1 << 32) - 6        # crossed on the way
LIMITS = ("limit byte-soft 1000000 limit byte-hard 2000000 limit packet-soft 50000 "
          "limit packet-hard 60000 limit time-soft 50000 limit time-hard 60000 "
          "limit time-use-soft 40000 limit time-use-hard 45000")
CBC = "cbc(aes)"


def table():
    """The matrix."""
    yield Case("ESP, tunnel, IPv4 in IPv4")
    yield Case("ESP, tunnel, IPv6 in IPv6", outer=6)
    yield Case("ESP, tunnel, IPv4 in IPv6", outer=6, inner=4, sel=True)
    yield Case("ESP, tunnel, IPv6 in IPv4", outer=4, inner=6, flags="af-unspec")
    yield Case("ESP, transport, IPv4", mode="transport")
    yield Case("ESP, transport, IPv6", mode="transport", outer=6)
    yield Case("ESP, BEET, IPv4", mode="beet", sel=True)
    yield Case("ESP, BEET, IPv6", mode="beet", outer=6, sel=True)
    yield Case("ESP, BEET, IPv6 in IPv4", mode="beet", inner=6, sel=True)
    for outer, inner in ((4, 4), (6, 6), (6, 4), (4, 6)):
        yield Case(f"AH, tunnel, IPv{inner} in IPv{outer}", (AH,), outer=outer, inner=inner,
                   sel=inner != outer)
    yield Case("AH, transport, IPv4", (AH,), mode="transport")
    yield Case("AH, transport, IPv6, no ESN", (AH,), mode="transport", outer=6, esn=False, window=32)
    yield Case("AH, SHA-1", (AH,), algo=auth("hmac(sha1)", 20, 96))

    for outer in (4, 6):
        yield Case(f"IPComp, transport, IPv{outer}", (COMP,), mode="transport", outer=outer)
        yield Case(f"IPComp, tunnel, IPv{outer}", (COMP,), outer=outer)
        yield Case(f"IPComp and ESP, tunnel, IPv{outer}", (COMP, ESP), outer=outer)
        yield Case(f"IPComp and ESP, transport, IPv{outer}", (COMP, ESP), mode="transport", outer=outer)

    for bits in (128, 192, 256):
        for icv in (8, 12, 16):
            yield Case(f"rfc4106 GCM {bits}, ICV {icv}",
                       algo=aead("rfc4106(gcm(aes))", bits // 8 + 4, icv * 8))
    for bits in (128, 192, 256):
        yield Case(f"rfc4543 GMAC {bits}", algo=aead("rfc4543(gcm(aes))", bits // 8 + 4, 128))
    for bits, icv in ((128, 8), (192, 12), (256, 16)):
        yield Case(f"rfc4309 CCM {bits}, ICV {icv}",
                   algo=aead("rfc4309(ccm(aes))", bits // 8 + 3, icv * 8))
    yield Case("rfc7539 ChaCha20-Poly1305", algo=aead("rfc7539esp(chacha20,poly1305)", 36, 128))
    for esn in (True, False):
        more = {"esn": esn, "window": 128 if esn else 32}
        text = "ESN" if esn else "no ESN"
        yield Case(f"CBC, SHA-1, {text}", algo=enc(CBC, 16, auth("hmac(sha1)", 20, 96)), **more)
        yield Case(f"CBC, SHA-256/96, {text}", algo=enc(CBC, 16, auth("hmac(sha256)", 32, 96)), **more)
        yield Case(f"CBC, SHA-256/128, {text}", algo=enc(CBC, 32, auth("hmac(sha256)", 32, 128)), **more)
        yield Case(f"CBC, SHA-384, {text}", algo=enc(CBC, 24, auth("hmac(sha384)", 48, 192)), **more)
        yield Case(f"CBC, SHA-512, {text}", algo=enc(CBC, 32, auth("hmac(sha512)", 64, 256)), **more)
        yield Case(f"CTR, rfc3686, {text}", algo=enc("rfc3686(ctr(aes))", 20, HMAC), **more)
        yield Case(f"NULL, SHA-256, {text}", algo=enc("ecb(cipher_null)", 0, HMAC), **more)
    yield Case("authentication named without its length",
               algo=enc(CBC, 16, lambda label: f"auth hmac(sha256) {key(32, 'a' + label)}"))

    for window in (0, 32, 64, 128, 1024, 4096):
        yield Case(f"no ESN, window {window}", esn=False, window=window)
        yield Case(f"ESN, window {window}", window=window, optional=None if window else
                   "XFRM wants a window with ESN, but for SAs with a direction out (SA directions)")
    yield Case("ESN, counters cross 2^32", start={IN: NEAR, OUT: NEAR})
    yield Case("ESN, AH, counters cross 2^32", (AH,), start={IN: NEAR, OUT: NEAR})
    yield Case("ESN, counters past 2^32", start={IN: (7 << 32) + 9, OUT: (5 << 32) + 3}, window=1024)
    yield Case("no ESN, counters with room for one lease", esn=False, window=32,
               start={IN: (1 << 32) - (1 << 25), OUT: (1 << 32) - (1 << 25)})
    yield Case("no ESN, counters just below 2^32: outbound is fenced", esn=False, window=32,
               start={IN: (1 << 32) - 1000, OUT: (1 << 32) - 1000}, fenced=True)
    yield Case("no ESN, a large window, counters just below 2^32: outbound is fenced", esn=False,
               window=128, start={IN: (1 << 32) - 1000, OUT: (1 << 32) - 1000}, fenced=True)

    yield Case("ESP in UDP, IPv4", encap=(4500, 4500))
    yield Case("ESP in UDP, IPv6", outer=6, encap=(4500, 4500))
    yield Case("ESP in UDP, transport", mode="transport", encap=(4500, 4500))
    yield Case("ESP in UDP, the peer's port changes", encap=(4500, 4500), new_port=4501)
    yield Case("ESP in TCP", encap=(4500, 4500), encap_kind="espintcp",
               optional="this kernel does not take it (CONFIG_INET_ESPINTCP)")

    yield Case("a mark", marks=[(0x11, 0xffffffff)])
    yield Case("a mark and a mask", marks=[(0x20, 0xf0)])
    yield Case("a mark and a mask, policies in without", marks=[(0x51, 0xff)], open=True)
    yield Case("a mark and a mask, policies in without, IPv6", outer=6, marks=[(0x52, 0xff)], open=True)
    yield Case("set-mark", at_gateway="output-mark 0x77")
    yield Case("set-mark and its mask", at_gateway="output-mark 0x70 mask 0xf0")
    yield Case("two SAs of one SPI, with different marks", marks=[(0x31, 0xff), (0x32, 0xff)])
    yield Case("two SAs of one SPI, with different marks, IPv6", outer=6, marks=[(0x33, 0xff), (0x34, 0xff)])
    yield Case("if_id and an xfrm interface", if_id=True, device="xfrm")
    yield Case("if_id and an xfrm interface, IPv6", outer=6, if_id=True, device="xfrm")
    yield Case("vti", marks=[(0x41, 0xffffffff)], device="vti")
    yield Case("vti6", outer=6, marks=[(0x42, 0xffffffff)], device="vti6")

    yield Case("tfcpad", sa="tfcpad 900")
    yield Case("dont-encap-dscp", sa="extra-flag dont-encap-dscp")
    yield Case("oseq-may-wrap", esn=False, window=32, sa="extra-flag oseq-may-wrap")
    yield Case("both extra flags", esn=False, window=32, sa="extra-flag dont-encap-dscp oseq-may-wrap")
    yield Case("flags noecn, decap-dscp, nopmtudisc, icmp", flags="noecn decap-dscp nopmtudisc icmp")
    yield Case("flag align4", (AH,), flags="align4")
    yield Case("soft and hard limits", at_gateway=LIMITS)
    yield Case("an SA's own selector", sel=True)
    yield Case("SA directions", raw={IN: direction(1), OUT: direction(2)})
    yield Case("SA directions, no ESN", esn=False, window=32, raw={IN: direction(1), OUT: direction(2)})
    yield Case("SA directions, no ESN, a large window", esn=False, window=256,
               raw={IN: direction(1), OUT: direction(2)})
    yield Case("NAT keepalives", encap=(4500, 4500),
               raw={IN: direction(1), OUT: direction(2) | {NAT_KEEPALIVE: struct.pack("I", 3600)}})
    yield Case("a security context", context=True)

    yield Case("two templates, ESP in AH, transport", (ESP, AH), mode="transport")
    yield Case("two templates, ESP in AH, transport, IPv6", (ESP, AH), mode="transport", outer=6)
    yield Case("two templates, ESP tunnel in AH", (ESP, AH))
    yield Case("three templates, IPComp in ESP in AH", (COMP, ESP, AH))
    yield Case("sub policies", (ESP, AH), mode="transport", sub=True)
    yield Case("sub policies, IPv6", (ESP, AH), mode="transport", outer=6, sub=True)
    # XFRM sorts transport before tunnel for IPv6 alone.
    yield Case("sub policies, tunnel, AH between the hosts", (ESP, AH), outer=6, sub=True)
    yield Case("a policy with priority, ports and flags", narrow={None: "proto udp dport 9"},
               policy={None: "priority 7 flag localok icmp"})
    yield Case("a policy of prefixes", prefix="/24", policy={None: "priority 99"})
    yield Case("a policy with limits", policy={None: "limit byte-soft 100000000 limit packet-hard 90000000"})
    yield Case("a policy of a device", narrow={"out": "dev out"})


def cases():
    """All, each in its place."""
    out, lane = [], 1
    for case in table():
        lane = case.place(lane)
        out.append(case)
    return out
