# SPDX-License-Identifier: GPL-2.0
"""Replay windows: what the kernel accepts, against a receiver that knows RFC 4303 and sets.

In: two namespaces joined by setup_veth; A makes ESP packets byte by byte, B has the SAs.
Out: results.

States are written onto B's SAs by XFRM's netlink (the kernel alone), or by our restore:
as they are, merged with what is there, or as a guard: merged with a window ahead in which
all is marked. Then come packets at every border. What is delivered, the statistics and
the window at the end must be the model's. Of each packet that the kernel delivered, the
judge of captures (judge/judge.py) must infer the number that the kernel did.

Where XFRM itself falls short of RFC 4303 it is asked as well: that a window whose size does
not divide 2^32 forgets is what safety.rst says, and what `xfrmsync check` warns of.
"""

import hashlib
import hmac
import os
import socket
import struct
import sys

import nl
from kt import check, equal, key, main, rng, run, sa_id

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "judge"))
import judge

A_END, B_END = "192.0.2.1", "192.0.2.2"
BORDER, HALF = 1 << 32, 1 << 31
PORT = 9
GETSA, NEWAE, NLM_F_REPLACE = 0x12, 0x1E, 0x100
REPLAY_VAL, REPLAY_ESN_VAL = 10, 23
STATS, STATS_AT = ("window", "replay", "integrity"), 192     # in struct xfrm_usersa_info


class Receiver:
    """RFC 4303, 3.4.3 and appendix A: the highest number, and a set of those accepted."""

    def __init__(self, size, esn, top, seen=()):
        self.size, self.esn, self.top, self.seen = size, esn, top, set(seen)

    def left(self):
        return self.top - self.size + 1

    def infer(self, low):
        """The one number with this low half in the 2^32 from the window's left edge on."""
        return self.left() + (low - self.left()) % BORDER if self.esn else low

    def takes(self, number, forged=False):
        """A packet of that number arrives: what becomes of it."""
        guess = self.infer(number % BORDER)
        if guess == 0:
            return "zero"
        if guess < self.left():
            return "window"
        if guess in self.seen:
            return "replay"
        if forged or (self.esn and guess != number):
            return "integrity"
        self.seen.add(guess)
        self.top = max(self.top, guess)
        return "delivered"

    def merged(self, other):
        return Receiver(self.size, self.esn, max(self.top, other.top), self.seen | other.seen)


class Kind:
    """One SA of B: how its window is kept, and how big it is."""

    def __init__(self, ns, spi, mode, size):
        self.spi, self.mode, self.size = spi, mode, size
        self.esn = mode == "ESN"
        # XFRM's ring has position (low half of T - 1) mod size: where the size does not
        # divide 2^32 that jumps at 0 and at each border, and XFRM itself forgets there.
        self.stays = mode != "legacy" and BORDER % size > 0
        self.words = 1 if mode == "legacy" else (size + 31) // 32
        self.ident = sa_id(B_END, spi)
        text = key(32, spi)
        self.mac = hmac.new(bytes.fromhex(text[2:]), None, hashlib.sha256)
        self.judged = judge.Judged(judge.check_sa(
            {"spi": spi, "src": A_END, "dst": B_END, "esn": self.esn, "auth": "hmac(sha256)",
             "auth_key": text, "enc": "ecb(cipher_null)"}, mode), set())
        self.id = socket.inet_aton(B_END).ljust(16, b"\0") + struct.pack(">I", spi)
        self.id += struct.pack("HBx", socket.AF_INET, socket.IPPROTO_ESP)
        run("ip", "-n", ns, *f"xfrm state add src {A_END} dst {B_END} proto esp spi {spi:#x} reqid 1 "
            f"mode transport {'flag esn ' if self.esn else ''}replay-window {size} auth-trunc "
            f"hmac(sha256) {text} 128 enc cipher_null".split(), "")

    def __str__(self):
        return f"{self.mode} {self.size}"

    # -- states ------------------------------------------------------------------------

    def place(self, top, number):
        """Which bit of the bitmap is a number's, as uapi/linux/xfrmsync.h says."""
        if self.mode == "legacy":
            return top - number
        return ((top - 1) % BORDER % self.size - (top - number)) % self.size

    def bitmap(self, r):
        bits = 0
        if len(r.seen) > self.size // 2:
            bits = (1 << self.size) - 1
            for n in set(range(max(1, r.left()), r.top + 1)) - r.seen:
                bits ^= 1 << self.place(r.top, n)
        else:
            for n in r.seen:
                bits |= 1 << self.place(r.top, n)
        return [bits >> 32 * w & 0xFFFFFFFF for w in range(self.words)]

    def limit(self, top):
        """The last number that may follow."""
        last = BORDER * BORDER - 1 if self.esn else BORDER - 1
        if not self.stays:
            return last
        return top if top % BORDER == 0 else min(last, (top // BORDER + 1) * BORDER)

    def state(self, top):
        """A receiver with that highest number, and any window."""
        inside = range(max(1, top - self.size + 1), top + 1)
        odd = {top, *rng.sample(inside, min(len(inside), rng.randrange(40)))} if inside else set()
        odd |= {n for n in (top - self.size + 1, top // BORDER * BORDER) if n in inside and rng.random() < .5}
        full = rng.random() < .4
        return Receiver(self.size, self.esn, top, set(inside) - odd | {top} - {0} if full else odd)

    def edges(self):
        """Highest numbers at which something changes."""
        size, out = self.size, [0, 1, self.size - 1, self.size, self.size + 1]
        if self.esn:
            high = rng.choice((1, 2, 5, 0x7FFFFFFF, 0xFFFFFFFF)) * BORDER
            near = (-size - 1, -size, -2, -1, 0, 1, size - 2, size - 1, size, size + 1, HALF)
            out += [high + n for n in near] + [BORDER - 1, BORDER, BORDER + size - 2]
        else:
            out += [HALF - 1, HALF, BORDER - size - 1, BORDER - 2, BORDER - 1]
        return out + [rng.randrange(self.limit(1)) for _ in range(2)]

    # -- the kernel ---------------------------------------------------------------------

    def write(self, xfrm, r):
        """The state as XFRM's own netlink sets it."""
        low, high, bitmap = r.top % BORDER, r.top // BORDER, self.bitmap(r)
        if self.mode == "legacy":
            blob, kind = struct.pack("III", 0, low, *bitmap), REPLAY_VAL
        else:
            blob = struct.pack("IIIIII", self.words, 0, low, 0, high, self.size)
            blob, kind = blob + struct.pack(f"{self.words}I", *bitmap), REPLAY_ESN_VAL
        head = self.id + socket.inet_aton(A_END).ljust(16, b"\0") + struct.pack("II", 0, 1)
        xfrm.ask(NEWAE, head + nl.nla(kind, blob), NLM_F_REPLACE)

    def read(self, xfrm):
        """Highest number, bitmap as a number, and the statistics."""
        data, = xfrm.ask(GETSA, self.id)
        stats = dict(zip(STATS, struct.unpack_from("III", data, STATS_AT)))
        attrs = {kind: payload for kind, payload, _ in nl.nlas(data[224:])}
        if self.mode == "legacy":
            _, top, bits = struct.unpack("III", attrs[REPLAY_VAL])
        else:
            _, _, low, _, high, _ = struct.unpack_from("IIIIII", attrs[REPLAY_ESN_VAL])
            top, bits = high * BORDER + low, int.from_bytes(attrs[REPLAY_ESN_VAL][24:], "little")
        return top, bits, stats

    def record(self, r, *restore_flags):
        flags = {"legacy": [], "large": ["bmp"], "ESN": ["esn", "bmp"]}[self.mode]
        return dict(self.ident, flags=flags, seq=r.top, window=self.size, bitmap=self.bitmap(r),
                    **{"restore-flags": list(restore_flags)})

    def packet(self, number, label, forged=False):
        """ESP (RFC 4303, 2) without encryption, around a UDP packet that holds the label."""
        text = struct.pack(">IIHHHHQ", self.spi, number % BORDER, PORT, PORT, 16, 0, label)
        text += bytes((1, 2, 2, socket.IPPROTO_UDP))
        mac = self.mac.copy()
        mac.update(text)
        if self.esn:
            mac.update(struct.pack(">I", number // BORDER % BORDER))
        return text + bytes(b ^ forged for b in mac.digest()[:16])

    def infer(self, top, data):
        """What the judge says of a packet, after it saw that highest number."""
        p = judge.ipsec_of(0, "", (socket.inet_aton(A_END), socket.inet_aton(B_END),
                                   socket.IPPROTO_ESP, b"", data))
        self.judged.top, self.judged.highs = top, set()
        return self.judged.number(p, 0)[0]


class Wire:
    """A sends, B says what was delivered."""

    def __init__(self, a_ns, b_ns):
        # One CPU, and so one queue: what was sent before deliver()'s packet is through by then.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        with nl.netns(a_ns):
            self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP)
        with nl.netns(b_ns):
            self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink.bind((B_END, PORT))
        self.sink.settimeout(20 * nl.SLOW)
        self.label, self.xfrm, self.packets, self.misjudged = 0, nl.Xfrm(b_ns), 0, []
        # Its packets are never refused, and overtake none of the others.
        self.last = Kind(b_ns, 0xFFF, "legacy", 0)

    def next(self):
        self.label += 1
        return self.label

    def deliver(self):
        """Labels that came since the last time."""
        end, out = self.next(), []
        self.raw.sendto(self.last.packet(end, end), (B_END, 0))
        while (label := struct.unpack(">Q", self.sink.recv(64))[0]) != end:
            out.append(label)
        return out


def numbers(kind, r):
    """What to send: around every border, again, far ahead, 2^32 off, and forged."""
    top, size, limit = r.top, r.size, kind.limit(r.top)
    border = top // BORDER * BORDER
    reach = BORDER - size
    near = [
        lambda: top, lambda: top + 1, lambda: top + rng.randrange(1, 4),
        lambda: top - rng.randrange(size), lambda: top - rng.randrange(size),
        lambda: r.left() + rng.randrange(-2, 3), lambda: border + rng.randrange(-2, 3),
        lambda: rng.choice((0, 1, 2)), lambda: top - size - rng.randrange(BORDER),
        lambda: rng.choice(sorted(r.seen)[-5:] or [top]),
        lambda: top + BORDER * rng.choice((-1, 1)) + rng.randrange(-3, 4),
    ]
    # These move the window: what stood in it can be asked for no more.
    far = [
        lambda: border + BORDER + rng.randrange(-2, 3), lambda: top + size + rng.randrange(-2, 3),
        lambda: top + rng.randrange(1, 2 * size), lambda: top + reach + rng.randrange(-2, 3),
        lambda: top + HALF + rng.randrange(-1, 2), lambda: top - rng.randrange(size),
    ]
    out = []
    for pick in rng.sample(near, 9) + rng.sample(far, 4):
        number = pick()
        if 0 <= number <= limit and (kind.esn or number < BORDER):
            out.append((number, rng.random() < .08))
            if rng.random() < .3:
                out.append((number, False))
    return out


def own_ways(r, number):
    """What XFRM does that RFC 4303 does not say, with numbers that no sender has: it counts
    on after 2^64 - 1, takes 0 once, while T is size - 1, and refuses one below 0 as a replay
    or by its ICV, as the bit there happens to be."""
    guess = r.infer(number % BORDER)
    return r.esn and (guess < 0 or guess != number and (guess - number) % BORDER**2 == 0 or
                      guess == 0 and r.top == r.size - 1)


def trial(wire, kind, r):
    """Packets onto a state that is set; what is wrong, as a text."""
    start, before = r.top, kind.read(wire.xfrm)
    if before[0] != r.top:
        return f"top {before[0]:#x}, should be {r.top:#x}"
    if wrong := window_differs(kind, r, before[1]):
        return f"before any packet: {wrong}"
    want, sent = [], []
    counts = dict.fromkeys(("zero", "delivered") + STATS, 0)
    for number, forged in numbers(kind, r):
        if own_ways(r, number):
            continue
        top, label = r.top, wire.next()
        fate = r.takes(number, forged)
        counts[fate] += 1
        sent.append(f"{number:#x} {fate}{' forged' if forged else ''}")
        if fate == "delivered":
            want.append(label)
            if top and kind.infer(top, kind.packet(number, label)) != number:
                wire.misjudged.append(f"{kind}: {number:#x} after {top:#x}")
        wire.raw.sendto(kind.packet(number, label, forged), (B_END, 0))
    wire.packets += len(sent)
    have = wire.deliver()
    if have != want:
        first = wire.label - len(sent)
        odd = [sent[n - first] for n in sorted(set(have) ^ set(want))]
        return f"from {start:#x}: {sent}: wrong: {odd or 'order'}"
    after = kind.read(wire.xfrm)
    moved = {name: after[2][name] - before[2][name] for name in STATS}
    if any(moved[name] != counts[name] for name in STATS):
        return f"from {start:#x}: {sent}: statistics {moved}"
    if after[0] != r.top:
        return f"from {start:#x}: {sent}: top {after[0]:#x}, should be {r.top:#x}"
    return window_differs(kind, r, after[1])


def window_differs(kind, r, bits):
    """Each bit of the window, or of a big one some."""
    inside = range(max(1, r.left()), r.top + 1)
    if len(inside) > 128:
        inside = rng.sample(inside, 64) + list(inside[:8]) + list(inside[-8:])
    for n in inside:
        if bool(bits >> kind.place(r.top, n) & 1) != (n in r.seen):
            return f"top {r.top:#x}: the bit of {n:#x}"
    return ""


def tell(kind, what, wrong, trials):
    check(f"{kind}: {what}", not wrong, f"{len(wrong)} of {trials} trials differ: " + "; ".join(wrong[:3]))


def kernel_alone(wire, kind):
    """The model is right: XFRM does the same."""
    wrong, tops = [], kind.edges()
    for top in tops:
        r = kind.state(top)
        kind.write(wire.xfrm, r)
        wrong.append(trial(wire, kind, r))
    tell(kind, "XFRM accepts what the model accepts", [w for w in wrong if w], len(tops))


def other_top(kind, top):
    """Where another node's window may stand, that has to be merged with this one."""
    size, border = kind.size, BORDER - top % BORDER
    steps = [0, 1, size - 1, size, size + 1, HALF, border]
    steps += [BORDER, BORDER + rng.randrange(size), border + rng.randrange(size)]
    steps += [rng.randrange(1, size + 1) for _ in range(3)] + [rng.randrange(2 * size)]
    tops = [top + step * sign for step in steps for sign in (1, 1, -1)]
    return rng.choice([other for other in tops if 0 <= other <= kind.limit(top) and
                       kind.limit(other) == kind.limit(top)])


def restored(wire, kind, client):
    """Ours: as it is, merged, and as a guard."""
    for what in ("written", "merged", "guarded"):
        wrong, tops = [], rng.sample(kind.edges(), 8)
        for top in tops:
            r = kind.state(top)
            if what == "written":
                kind.write(wire.xfrm, Receiver(kind.size, kind.esn, 0))
                record = kind.record(r, "window-exact")
            else:
                kind.write(wire.xfrm, r)
                other = kind.state(other_top(kind, top))
                if what == "guarded":
                    # All up to there counts as seen, so also what the record did not have.
                    ahead = max(other.top, top)
                    other = Receiver(kind.size, kind.esn, ahead,
                                     range(max(1, ahead - kind.size + 1), ahead + 1))
                record = kind.record(other)
                r = r.merged(other)
            answer = client.restore(record)
            wrong.append(f"{top:#x}: {answer}" if answer["applied"] != 1 else trial(wire, kind, r))
        tell(kind, f"{what} by a restore: the same", [w for w in wrong if w], len(tops))


def times(wire, kind, top, *numbers):
    """How often the first of these numbers is delivered, after that highest one."""
    kind.write(wire.xfrm, Receiver(kind.size, kind.esn, top, {top} - {0}))
    labels = set()
    for number in numbers:
        label = wire.next()
        if number == numbers[0]:
            labels.add(label)
        wire.raw.sendto(kind.packet(number, label), (B_END, 0))
    return len(labels & set(wire.deliver()))


def jump(wire, kind):
    """Numbers sent three times at XFRM's own jump: behind 0, whatever comes first; at a
    border, what stood before it when the next one came."""
    fresh = [times(wire, kind, 0, n, n, n) for n in (1, 7, 2 * kind.size)]
    over = [times(wire, kind, top - 1, top, top + 1, top, top)
            for top in (BORDER, 5 * BORDER) if kind.esn]
    return fresh, over


def forget(wire, kinds):
    """Whoever sees this fail, as a kernel does better: safety.rst (What is not guaranteed),
    operation.rst and the check `windows` can be told so."""
    once = {}
    for kind in kinds:
        fresh, over = jump(wire, kind)
        if not kind.stays:
            once[str(kind)] = fresh + over
            continue
        equal(f"{kind}, fresh: XFRM delivers the first number twice", [2] * 3, fresh)
        if kind.esn:
            equal(f"{kind}: XFRM delivers a number twice at 2^32", [2] * 2, over)
    wrong = {kind: counts for kind, counts in once.items() if set(counts) != {1}}
    check("windows that divide 2^32, or are small: once each", once and not wrong, wrong)


def test(a_ns, b_ns):
    wire, client = Wire(a_ns, b_ns), nl.Client(b_ns)
    kinds = [Kind(b_ns, 0x100 + i, mode, size) for i, (mode, size) in enumerate(
        [("legacy", n) for n in (1, 31, 32)] + [("large", n) for n in (33, 64, 4064, 4096)] +
        [("ESN", n) for n in (32, 33, 64, 128, 1024, 4064, 4096)])]
    for kind in kinds:
        kernel_alone(wire, kind)
    for kind in kinds:
        restored(wire, kind, client)
    forget(wire, kinds)
    check(f"{len(kinds)} kinds of windows, and hundreds of packets", wire.packets > 2000, wire.packets)
    check("the judge infers what the kernel infers", not wire.misjudged, wire.misjudged[:5])
    print(f"{wire.packets} packets", flush=True)


main(test)
