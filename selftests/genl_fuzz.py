# SPDX-License-Identifier: GPL-2.0
"""Messages to the xfrmsync family, made from its specification: good, mutated, and hostile ones.

In: namespaces with SAs that come and go; MESSAGES, how many; the seed.
Out: results. What the kernel says beside them (splats) is judged by who runs the tests.

Nothing here names an operation: whoever adds one to the YAML has it fuzzed. What is known of
values is what the specification says of their types, and what answers brought.
"""

import contextlib
import errno
import os
import socket
import struct
import subprocess
import time

import nl
from kt import Udp, check, equal, main, rng, sa_text

MESSAGES = int(os.environ.get("XFRMSYNC_MESSAGES", "1000"))
SOCKETS = 3                 # in each namespace
LONGEST = 60000             # bytes
GENL_HEADER = 4             # bytes
WAITS = {"drain-ms": 3, "watchdog-ms": 4000}     # ms: a fuzzer has no time for more
# What a refusal may be. All but those that netlink gives without a word have to say why.
REFUSED = {"EINVAL", "ESRCH", "ENOENT", "ESTALE", "EBUSY", "ERANGE", "E2BIG", "EMSGSIZE", "EEXIST",
           "ENODEV", "EPERM", "ENOTSUP", "ENOBUFS", "ENOMEM", "EAGAIN"}
SILENT = {"ENOTSUP", "ENOMEM", "ENOBUFS", "EPERM"}     # ENOTSUP: python's word for EOPNOTSUPP
TRAFFIC = 7                 # messages between two packets of each flow
FLOWS = ((0, "10.2.0.1"), (1, "10.1.0.1"), (0, "fd00:2::1"), (1, "fd00:1::1"), (0, "192.0.2.2"),
         (0, "10.9.0.1"))       # from which namespace; the last one finds no SA
HEADROOM = 1 << 16          # of a lease: numbers beyond what may be used
EDGES = (0, 1, 2, 31, 32, 33, 127, 255, 256, 4095, 4096, 4097, 65535, 65536, 2 ** 31 - 1, 2 ** 31,
         2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 2 ** 33, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1)


class Known:
    """Values that were seen in answers, by the names of their attributes."""

    def __init__(self):
        self.values, self.records = {}, []

    def learn(self, answer):
        if "spi" in answer:
            self.records.append(answer)
            del self.records[:-200]
        for name, value in answer.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                for one in value:
                    self.learn(one)
            elif isinstance(value, dict):
                self.learn(value)
            else:
                seen = self.values.setdefault(name, [])
                seen.append(value)
                del seen[:-50]


class Maker:
    """Requests by the specification."""

    def __init__(self, spec):
        self.spec, self.known = spec, Known()

    def bits(self, attr):
        return 8 * struct.calcsize(self.spec.FORMATS[attr["type"]])

    def value(self, attr):
        name, kind = attr["name"], attr["type"]
        if kind == "nest":
            return self.attrs(attr["nested-attributes"])
        if name in WAITS:
            return rng.randrange(WAITS[name])
        if name == "lease-end" and rng.random() < 0.4:      # one that traffic comes to the end of
            return rng.choice(self.known.values.get("oseq", [0])) % 2 ** 63 + HEADROOM + rng.randrange(1, 40)
        if rng.random() < 0.5 and self.known.values.get(name):
            return rng.choice(self.known.values[name])
        if kind == "flag":
            return True
        if kind not in self.spec.FORMATS:
            return rng.randbytes(rng.choice((0, 1, 4, 4, 8, 16, 16, 64, 512, 513)))
        if "enum" in attr and rng.random() < 0.8:
            count = len(self.spec.entries(attr["enum"]))
            return rng.randrange(1 << count) if attr.get("enum-as-flags") else rng.randrange(count + 1)
        edge = rng.choice(EDGES) if rng.random() < 0.6 else rng.getrandbits(64)
        if self.known.values.get(name) and rng.random() < 0.3:
            seen = rng.choice(self.known.values[name])
            edge = seen + rng.randrange(-70, 70) if isinstance(seen, int) else edge
        edge &= (1 << self.bits(attr)) - 1
        return edge - (1 << self.bits(attr)) // 2 if kind[0] == "s" else edge

    def attrs(self, attr_set, names=None):
        """Some of a set; of what names an SA mostly all, of one that there is."""
        every = self.spec.sets[attr_set]
        names = names or [n for n, a in every.items() if a["type"] != "pad"]
        out = {n: None for n in names if rng.random() < 0.7}
        for name in out:
            many = rng.choice((1, 1, 2, 5, 40)) if every[name].get("multi-attr") else 0
            out[name] = ([self.value(every[name]) for _ in range(many)] if many else
                         self.value(every[name]))
        if "spi" in every and self.known.records and rng.random() < 0.9:
            one = rng.choice(self.known.records)
            share = 1 if rng.random() < 0.6 else 0.3
            out.update({n: one[n] for n in names if n in one and
                        (n in ("family", "dst", "spi", "proto") or rng.random() < 1 - share)})
        return out

    def good(self, name):
        """(header and attributes, flags) of an operation."""
        op = self.spec.ops[name]
        dump = "dump" in op and ("do" not in op or rng.random() < 0.1)
        body = b""
        request = op.get("dump" if dump else "do", {}).get("request")
        if request:
            body = self.encode(op["attribute-set"], self.attrs(op["attribute-set"], request["attributes"]))
        head = struct.pack("BBH", op["id"], self.spec.const("version"), 0)
        return head + body, nl.NLM_F_DUMP if dump else nl.NLM_F_ACK

    def encode(self, attr_set, values):
        out = b""
        for name, value in values.items():
            attr = self.spec.sets[attr_set][name]
            kind = attr["id"] | (nl.NLA_F_NESTED if attr["type"] == "nest" else 0)
            for one in value if attr.get("multi-attr") else [value]:
                out += nl.nla(kind, self.encode(attr["nested-attributes"], one)
                              if attr["type"] == "nest" else self.spec.encode_one(attr, one))
                if len(out) > LONGEST:
                    return out
        return out

    def mutated(self, body):
        body = bytearray(body)
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(body) + 1)
            choice = rng.randrange(6)
            if choice == 0 and at < len(body):
                body[at] ^= 1 << rng.randrange(8)
            elif choice == 1:
                del body[at:at + rng.randrange(1, 12)]
            elif choice == 2:
                body[at:at] = rng.randbytes(rng.randrange(1, 40))
            elif choice == 3 and len(body) > 8:         # an attribute twice, or out of place
                end = at + rng.randrange(4, 64)
                body[at:at] = body[at & ~3:end]
            elif choice == 4 and len(body) > 8:
                struct.pack_into("H", body, 4 + (at - 4 & ~3) if 4 < at < len(body) - 4 else 4,
                                 rng.choice((0, 3, 4, 5, 8, 65535, rng.randrange(65536))))
            elif choice == 5:
                attr_set = rng.choice(list(self.spec.sets))
                body += self.encode(attr_set, self.attrs(attr_set))
        return self.without_waits(bytes(body))[:LONGEST]

    def hostile(self):
        """No message of ours; an unknown command, or any set's attributes for any."""
        choice = rng.randrange(4)
        if choice == 0:
            body = rng.randbytes(rng.randrange(0, 300))
        elif choice == 1:
            body = struct.pack("BBH", rng.randrange(256), rng.randrange(3), rng.getrandbits(16))
        elif choice == 2:
            attr_set = rng.choice(list(self.spec.sets))
            body = struct.pack("BBH", rng.randrange(1 + len(self.spec.ops)), 1, 0)
            body += self.encode(attr_set, self.attrs(attr_set))
        else:               # nests in nests, and as much as a message takes
            body = b""
            for _ in range(rng.randrange(1, 60)):
                body = nl.nla(rng.randrange(1, 8) | nl.NLA_F_NESTED, body + rng.randbytes(4))
            body = struct.pack("BBH", rng.randrange(1, 1 + len(self.spec.ops)), 1, 0) + body
            body *= rng.choice((1, 1, 30))
        return self.without_waits(body)[:LONGEST], rng.choice((nl.NLM_F_ACK, nl.NLM_F_DUMP))

    def without_waits(self, body):
        """What would only wait: shorter."""
        op = self.spec.ops.get(self.spec.op_names.get(body[0])) if body else None
        if not op:
            return body
        every = self.spec.by_id[op["attribute-set"]]
        try:
            for kind, payload, at in nl.nlas(body[4:]):
                most = WAITS.get(every.get(kind, {}).get("name"))
                if most and len(payload) >= 4:
                    at += 8
                    body = body[:at] + struct.pack("I", rng.randrange(most)) + body[at + 4:]
        except ValueError:
            pass            # the kernel stops there, too
        return body


class Judge:
    def __init__(self):
        self.taken, self.refused, self.wrong, self.operations = 0, 0, [], {}

    def answer(self, maker, client, body, flags):
        name = maker.spec.op_names.get(body[0]) if body else None
        attr_set = maker.spec.ops.get(name, {}).get("attribute-set")
        try:
            for data in client.talk(client.family, flags, body):
                maker.known.learn(maker.spec.decode(attr_set, data[4:]))
            self.taken += 1
            self.operations[name] = self.operations.get(name, 0) + 1
        except nl.NlError as error:
            self.refused += 1
            code = errno.errorcode.get(error.errno, error.errno)
            ours = len(body) >= GENL_HEADER     # else netlink has refused it
            if code not in REFUSED or (ours and code not in SILENT and not error.msg):
                self.note(body, flags, error)
        except (TimeoutError, ValueError, KeyError, IndexError, struct.error) as error:
            self.note(body, flags, repr(error))
            client.pending.clear()

    def note(self, body, flags, error):
        if len(self.wrong) < 5:
            self.wrong.append((body[:200].hex(), len(body), flags, str(error)))


class Churn:
    """One ip for each namespace, which reads commands as long as there are any: to start one
    takes longer than a hundred messages. What it says is of no interest."""

    def __init__(self, spaces):
        self.ips = {ns: self.start(ns) for ns in spaces}

    @staticmethod
    def start(ns):
        return subprocess.Popen(["ip", "-n", ns, "-force", "-batch", "-"], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def do(self, ns, commands):
        # -force or not: of some words that it does not like it dies.
        if self.ips[ns].poll() is not None:
            self.ips[ns] = self.start(ns)
        with contextlib.suppress(BrokenPipeError):
            self.ips[ns].stdin.write(("\n".join(commands) + "\n").encode())
            self.ips[ns].stdin.flush()

    def end(self):
        for one in self.ips.values():
            with contextlib.suppress(BrokenPipeError):
                one.stdin.close()
            one.wait()


class Traffic:
    """Packets that SAs protect, or would; ESP of no SA's; what ICMP says of ESP."""

    def __init__(self, spaces):
        self.flows = [(Udp(spaces[at], 6 if ":" in dst else 4), dst) for at, dst in FLOWS]
        with nl.netns(spaces[1]):
            self.raw = [(socket.socket(family, socket.SOCK_RAW, proto), proto, dst) for family, proto, dst in
                        ((socket.AF_INET, socket.IPPROTO_ICMP, "192.0.2.1"),
                         (socket.AF_INET6, socket.IPPROTO_ICMPV6, "2001:db8:0::1"))]

    def some(self):
        for udp, dst in self.flows:
            with contextlib.suppress(OSError):
                udp.send(dst, rng.randrange(3))
        if rng.random() < 0.05:
            for raw, proto, dst in self.raw:
                with contextlib.suppress(OSError):
                    raw.sendto(too_big(proto, dst), (dst, 0))


def too_big(proto, of):
    """What a router says of ESP that came from `of`."""
    esp = struct.pack(">II", rng.choice((0x1000, 0x2000)), 1) + bytes(32)
    if proto == socket.IPPROTO_ICMP:
        inner = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 60, 0, 0, 64, 50, 0, nl.address(of)[1],
                            nl.address("192.0.2.2")[1]) + esp
        out = struct.pack(">BBHHH", 3, 4, 0, 0, 1400) + inner
        words = struct.unpack(f">{len(out) // 2}H", out)
        total = sum(words)
        total = (total & 0xffff) + (total >> 16)
        return out[:2] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + out[4:]
    inner = struct.pack(">IHBB16s16s", 6 << 28, len(esp), 50, 64, nl.address(of)[1],
                        nl.address("2001:db8::2")[1]) + esp
    return struct.pack(">BBHI", 2, 0, 0, 1400) + inner      # the kernel sums it up


def churn_otherwise(ns, churning, sock):
    """What XFRM does beside adding and deleting: larval SAs, events, expiry, migration."""
    end, spi = rng.randrange(1, 30), rng.randrange(1, 40)
    text = f"src 192.0.2.99 dst 192.0.2.{end} proto esp"
    churning.do(ns, (f"xfrm state allocspi {text} mode tunnel min {spi} max {spi}",
                     f"xfrm policy update dst 10.9.0.1 dir out tmpl {text} mode tunnel",
                     f"xfrm state add {sa_text('192.0.2.99', f'192.0.2.{end}', spi + 40)} limit packet-soft 1",
                     f"xfrm state add {sa_text('192.0.2.99', f'192.0.2.{end}', spi)} mark {spi % 3} mask 3"))
    with contextlib.suppress(OSError), contextlib.closing(nl.Xfrm(ns)) as xfrm:
        xfrm.migrate(("10.1.0.1", "10.2.0.1"), ("192.0.2.1", "192.0.2.2"),
                     ("192.0.2.1", "192.0.2.2"), 50, 1)
    with contextlib.suppress(OSError), contextlib.closing(nl.Xfrm(ns)) as xfrm:
        xfrm.expire(f"192.0.2.{end}", spi, hard=rng.random() < 0.5)
    with contextlib.suppress(OSError):      # a policy of a socket: each manager is asked
        sock.setsockopt(socket.IPPROTO_IP, 17, bytes(200))


def churn(ns, churning, number):
    """A few SAs come, are changed, and go."""
    end = rng.randrange(1, 30)
    spi = rng.randrange(1, 40)
    dst, src = (f"192.0.2.{end}", "192.0.2.99") if rng.random() < 0.6 else (f"2001:db8::{end}", "2001:db8::99")
    text = sa_text(src, dst, spi, esn=rng.random() < 0.5, window=rng.choice((0, 32, 64, 4096)),
                   proto=rng.choice(("esp", "ah")), label=number,
                   mode=rng.choice(("tunnel", "transport")))
    verbs = [f"xfrm state add {text}", f"xfrm state update {text}",
             f"xfrm state delete dst {dst} proto esp spi {spi}"]
    if rng.random() < 0.02:
        verbs = ["xfrm state flush"]
    churning.do(ns, [rng.choice(verbs) for _ in range(4)])


def message(maker, ops, at):
    kind = rng.random()
    if kind < 0.55:
        return maker.good(ops[at % len(ops)])
    if kind < 0.85:
        body, flags = maker.good(rng.choice(ops))
        return maker.mutated(body), rng.choice((flags, flags, nl.NLM_F_ACK, nl.NLM_F_DUMP))
    return maker.hostile()


def fuzz(*spaces):
    clients = [(ns, nl.Client(ns)) for ns in spaces for _ in range(SOCKETS)]
    maker, judge = Maker(clients[0][1].spec), Judge()
    traffic, churning = Traffic(spaces), Churn(spaces)
    ops = [name for name, op in maker.spec.ops.items() if "do" in op or "dump" in op]
    for ns in spaces:
        for number in range(40):
            churn(ns, churning, number)
    started = time.monotonic()
    for at in range(MESSAGES):
        if at % 50 == 0:
            churn(rng.choice(spaces), churning, at)
        if at % 100 == 0:
            churn_otherwise(rng.choice(spaces), churning, traffic.flows[0][0].sock)
        if at % TRAFFIC == 0:
            traffic.some()
        which = rng.randrange(len(clients))
        ns, client = clients[which]
        if rng.random() < 0.002:            # a reader goes, say, with all that it was told
            client.close()
            clients[which] = ns, nl.Client(ns)
            client = clients[which][1]
        client.late.clear()
        body, flags = message(maker, ops, at)
        judge.answer(maker, client, body, flags)
    churning.end()
    print(f"# {MESSAGES} messages in {time.monotonic() - started:.0f} s: {judge.taken} taken, "
          f"{judge.refused} refused; taken of {judge.operations}", flush=True)
    check("each message has an answer, as the specification says, or a refusal that says why",
          not judge.wrong, judge.wrong)
    equal("of each operation some were taken", [], [n for n in ops if not judge.operations.get(n)])
    check("and some were refused", judge.refused)
    for _, client in clients:
        client.close()
    for ns in spaces:
        with nl.Client(ns) as client:
            client.role("none")
            equal(f"it answers as before, {spaces.index(ns)}", "none", client.status()["role"])


main(fuzz)
