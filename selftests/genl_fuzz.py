# SPDX-License-Identifier: GPL-2.0
"""Messages to the xfrmsync family, made from its specification: good, mutated, and hostile ones.

In: namespaces with SAs, and packets between two of them; MESSAGES, how many; the seed; the
program that makes them, genl_fuzz.c: in Python they would be a tenth as many.
Out: results. What the kernel says beside them (splats) is judged by who runs the tests.

The program knows of the family what a table says that is made here, of the YAML. Nothing names
an operation: whoever adds one there has it fuzzed. What is known of values is what the
specification says of their types, what answers brought, and NEAR; of plain records their struct
there, and nl.py's list of what stands behind it.
"""

import contextlib
import errno
import os
import socket
import struct
import subprocess
import time

import nl
from kt import SEED, SLOW, check, equal, ip, main, sa_text

MESSAGES = int(os.environ.get("XFRMSYNC_MESSAGES", "3000"))
PROCESSES = 3               # each has a socket in each namespace
WAITS = {"drain-ms": 3, "watchdog-ms": 4000}     # ms: a fuzzer has no time for more
# What a refusal may be. All but those that netlink gives without a word have to say why.
REFUSED = (errno.EINVAL, errno.ESRCH, errno.ENOENT, errno.ESTALE, errno.EBUSY, errno.ERANGE,
           errno.E2BIG, errno.EMSGSIZE, errno.EEXIST, errno.ENODEV)
SILENT = (errno.EOPNOTSUPP, errno.ENOMEM, errno.ENOBUFS, errno.EPERM)
# What a record is of; 2: where it is not zero.
NAMES = {"family": 1, "dst": 1, "spi": 1, "proto": 1, "mark": 2, "mark-mask": 2}
HEADROOM = 1 << 16          # of a lease: numbers beyond what may be used
# Values that are good, as a rule, are near to others of the same record, so far off.
NEAR = {"expect-oseq": ("oseq", 0), "sent": ("oseq", 0), "lease-end": ("oseq", HEADROOM),
        "given-end": ("oseq", HEADROOM), "guard-end": ("seq", 0), "oseq": ("oseq", 0),
        "seq": ("seq", 0), "bytes": ("bytes", 0), "packets": ("packets", 0),
        "add-time": ("add-time", 0), "use-time": ("add-time", 0), "last-used": ("add-time", 0)}
LIKELY = {*NEAR, "tag", "flags", "restore-flags"}
NOT_PLAIN = {"restore-flags": "merge"}      # from that entry on: a plain record may not have it
# ip's words: ESN or not, each kind of window, one that does not divide 2^32, a soft limit, a mark.
SAS = ({"esn": True, "window": 100}, {"esn": True, "window": 4096}, {"window": 32}, {}, {"window": 64},
       {"proto": "ah", "esn": True, "window": 128}, {"esn": True, "window": 64, "mode": "tunnel"},
       {"esn": True, "window": 100, "more": "mark 1 mask 3"}, {"window": 32, "more": "limit packet-soft 1"},
       {"esn": True, "window": 2048}, {"esn": True, "window": 33}, {"esn": True, "window": 4096})
FLOWS = ((0, "10.2.0.1"), (1, "10.1.0.1"), (0, "fd00:2::1"), (1, "fd00:1::1"), (0, "192.0.2.2"),
         (0, "10.9.0.1"))       # from which namespace; the last one finds no SA
NEWSA, DELSA, GETSA, ALLOCSPI, EXPIRE, UPDSA, FLUSHSA, NEWAE = 0x10, 0x11, 0x12, 0x16, 0x18, 0x1a, 0x1c, 0x1e
XFRMA_LTIME_VAL, XFRMA_MARK = 9, 21
LARVAL = range(0x5000, 0x5004)


# --- the family -----------------------------------------------------------------------------

def attr_line(spec, sets, attr_set, attr, names):
    name, kind = attr["name"], attr["type"]
    width = struct.calcsize(spec.FORMATS[kind]) if kind in spec.FORMATS else 0
    short = "i" if width else {"nest": "n", "flag": "f", "pad": "p"}.get(kind, "b")
    if kind == "binary" and spec.defs.get(name, {}).get("type") == "struct":
        short = "r"
    near, plus = NEAR.get(name, (None, 0))
    return " ".join(map(str, (
        "attr", sets.index(attr_set), attr["id"], short, width,
        sets.index(attr["nested-attributes"]) if kind == "nest" else 0, int("multi-attr" in attr),
        len(spec.entries(attr["enum"])) if "enum" in attr else 0, int("enum-as-flags" in attr),
        WAITS.get(name, 0), spec.sets[attr_set].get(near, {}).get("id", 0), plus, int(name in LIKELY),
        NAMES.get(name, 0) if "spi" in spec.sets[attr_set] else 0, names.index(name))))


def plain(spec, sets, attr_set="record"):
    """The layout of struct plain, and of what stands behind it."""
    attrs, flags = spec.sets[attr_set], spec.entries("plain-flags")
    assert set(flags) == set(spec.PLAIN), "nl.py knows other parts of a plain record"
    at, head = 0, []
    for member in spec.defs["plain"]["members"]:
        width = struct.calcsize(spec.FORMATS[member["type"]])
        head.append(f"head {member['name']} {at} {width} {attrs.get(member['name'], {}).get('id', 0)}")
        at += width
    yield f"plain {sets.index(attr_set)} {at} {flags.index('ipv6')}"
    yield from head
    for bit, flag in enumerate(flags):
        for name in spec.PLAIN[flag]:
            attr, count = attrs.get(name, {}), 0
            if name in NOT_PLAIN:
                count = spec.entries(attr["enum"]).index(NOT_PLAIN[name])
            yield f"tail {bit} {struct.calcsize(spec.plain_format(name))} {attr.get('id', 0)} {count}"


def family(spec, number):
    sets = list(spec.sets)
    names = sorted({name for attrs in spec.sets.values() for name in attrs})
    yield f"family {number} {spec.const('version')}"
    for attr_set in sets:
        for attr in spec.sets[attr_set].values():
            yield attr_line(spec, sets, attr_set, attr, names)
    for op in spec.ops.values():
        attrs = spec.sets[op["attribute-set"]]
        asked = (op.get("do") or {}).get("request", {}).get("attributes", ())
        # What is done to SAs has the most to go wrong.
        weight = 5 if any(attrs[name]["type"] == "nest" for name in asked) else 1
        yield " ".join(map(str, ("op", op["id"], sets.index(op["attribute-set"]), int("do" in op), int("dump" in op),
                                 weight if "do" in op or "dump" in op else 0, *(attrs[name]["id"] for name in asked))))
        asked = (op.get("dump") or {}).get("request", {}).get("attributes", ())
        yield " ".join(map(str, ("asks", op["id"], *(attrs[name]["id"] for name in asked))))
    yield from plain(spec, sets)
    yield f"applied {sets.index('batch')} {spec.sets['batch']['applied']['id']}"
    for code in REFUSED + SILENT:
        yield f"errno {code} {int(code in SILENT)}"


# --- what is beside its messages ------------------------------------------------------------

def xfrm(kind, flags, payload):
    return struct.pack("IHHII", 16 + len(payload), kind, nl.NLM_F_REQUEST | flags, 1, 0) + payload


def with_spi(info, spi):
    return info[:72] + struct.pack(">I", spi) + info[76:]


def xfrm_messages(ns):
    """(weight, message): the SAs that there are come, are changed, expire, and go; larval ones too."""
    with contextlib.closing(nl.Xfrm(ns)) as sock:
        found = [(6, data[:224], data[224:]) for data in sock.talk(GETSA, nl.NLM_F_DUMP, b"")]
    _, larval, keys = found[0]
    for weight, info, attrs in found + [(1, with_spi(larval, spi), keys) for spi in LARVAL]:
        # struct xfrm_usersa_id: address, SPI, family, protocol
        name = info[56:76] + info[212:214] + info[76:77] + b"\0"
        mark = b"".join(nl.nla(kind, data) for kind, data, _ in nl.nlas(attrs) if kind == XFRMA_MARK)
        yield weight, xfrm(NEWSA, 0x600, info + attrs)
        yield 1, xfrm(UPDSA, 0x100, info + attrs)
        yield 2, xfrm(DELSA, 0, name + mark)
        yield 1, xfrm(EXPIRE, 0, info + bytes(8) + mark)
        yield 1, xfrm(EXPIRE, 0, info + b"\1" + bytes(7) + mark)
        yield 1, xfrm(NEWAE, 0x100, name + info[80:96] + bytes(8) + mark + nl.nla(XFRMA_LTIME_VAL, bytes(32)))
    yield 6, xfrm(ALLOCSPI, 0, with_spi(larval, 0) + struct.pack("II", LARVAL[0], LARVAL[-1]))
    yield 1, xfrm(FLUSHSA, 0, bytes(1))
    yield 2, xfrm(nl.Xfrm.MIGRATE, 0, nl.Xfrm.migration(("10.1.0.1", "10.2.0.1"), ("192.0.2.1", "192.0.2.2"),
                                                        ("192.0.2.1", "192.0.2.2"), 50, 1))


def sockaddr(text, port):
    kind, address = nl.address(text)
    return (struct.pack("=H", kind) + struct.pack(">H", port) +
            (address + bytes(8) if kind == socket.AF_INET else bytes(4) + address + bytes(4)))


def too_big(proto, of, spi):
    """What a router says of ESP that came from `of`."""
    esp = struct.pack(">II", spi, 1) + bytes(32)
    if proto == socket.IPPROTO_ICMP:
        inner = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 60, 0, 0, 64, 50, 0, nl.address(of)[1],
                            nl.address("192.0.2.2")[1]) + esp
        out = struct.pack(">BBHHH", 3, 4, 0, 0, 1400) + inner
        total = sum(struct.unpack(f">{len(out) // 2}H", out))
        total = (total & 0xffff) + (total >> 16)
        return out[:2] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + out[4:]
    inner = struct.pack(">IHBB16s16s", 6 << 28, len(esp), 50, 64, nl.address(of)[1],
                        nl.address("2001:db8::2")[1]) + esp
    return struct.pack(">BBHI", 2, 0, 0, 1400) + inner      # the kernel sums it up


def beside(spaces):
    """Sockets, each with what is sent by it."""
    for at, ns in enumerate(spaces):
        yield (at, socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_XFRM), [
            (weight, b"", message) for weight, message in xfrm_messages(ns)]
    for at, dst in FLOWS:
        yield (at, int(nl.address(dst)[0]), socket.SOCK_DGRAM, 0), [(50, sockaddr(dst, 9), bytes(1))]
    for kind, proto, dst in ((socket.AF_INET, socket.IPPROTO_ICMP, "192.0.2.1"),
                             (socket.AF_INET6, socket.IPPROTO_ICMPV6, "2001:db8:0::1")):
        yield (1, int(kind), socket.SOCK_RAW, int(proto)), [
            (3, sockaddr(dst, 0), too_big(proto, dst, spi)) for spi in (0x1000, 0x2000)]


def table(spec, number, spaces):
    for ns in spaces:
        yield f"namespace /run/netns/{ns}"
    yield from family(spec, number)
    for at, (sock, items) in enumerate(beside(spaces)):
        yield "socket " + " ".join(str(int(word)) for word in sock)
        for weight, address, data in items:
            yield f"item {at} {weight} {address.hex() or '-'} {data.hex()}"


def prepare(spaces):
    for ns in spaces:
        add = []
        for number, words in enumerate(SAS):
            net = "2001:db8::" if number % 3 == 2 else "192.0.2."
            add.append("xfrm state add " + sa_text(f"{net}99", f"{net}{number + 10}", number + 1, label=number, **words))
        # For traffic that asks for an SA: a larval one.
        add.append("xfrm policy update dst 10.9.0.1 dir out tmpl src 192.0.2.99 dst 192.0.2.50 proto esp mode tunnel")
        ip(ns, "\n".join(add) + "\n")
    with nl.netns(spaces[0]), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with contextlib.suppress(OSError):      # a policy of a socket: each manager is asked
            sock.setsockopt(socket.IPPROTO_IP, 17, bytes(200))


# --- what came of it --------------------------------------------------------------------------

def fuzz(program, *spaces):
    prepare(spaces)
    with nl.Client(spaces[0]) as client:
        spec = client.spec
        lines = list(table(spec, client.family, spaces))
    started = time.monotonic()
    done = subprocess.run((program, str(MESSAGES), str(PROCESSES), str(SEED), str(20 * SLOW)), text=True, check=False,
                          input="\n".join(lines) + "\n", stdout=subprocess.PIPE)
    wrong, taken, plains, sums = [], {}, {}, [0] * 4
    for kind, *words in (line.split(maxsplit=1) for line in done.stdout.splitlines()):
        if kind == "wrong":
            wrong += words
        elif kind == "taken":
            number, times = map(int, words[0].split())
            name = spec.op_names.get(number, number)
            taken[name] = taken.get(name, 0) + times
        elif kind == "plain":
            number, *counts = map(int, words[0].split())
            name = spec.op_names[number]
            plains[name] = [a + b for a, b in zip(plains.get(name, (0, 0)), counts)]
        else:
            sums = [a + int(b) for a, b in zip(sums, words[0].split())]
    seconds = time.monotonic() - started
    print(f"{sums[3]} messages in {seconds:.0f} s, {60 * sums[3] / seconds:.0f} a minute: {sums[0]} taken, "
          f"{sums[1]} refused, {sums[2]} not known; taken of {taken}", flush=True)
    print("plain, taken: " + ", ".join(f"{name} {times} times, {records} records told or applied"
                                       for name, (times, records) in sorted(plains.items())), flush=True)
    equal("all were sent", (0, MESSAGES), (done.returncode, sums[3]))
    check("each message has an answer, as the specification says, or a refusal that says why",
          not wrong, wrong)
    ops = {name for name, op in spec.ops.items() if "do" in op or "dump" in op}
    equal("of each operation some were taken, and of none that there is not", sorted(ops), sorted(map(str, taken)))
    check("and some were refused", sums[1])
    takes = {name for name, op in spec.ops.items() for how in ("do", "dump")
             if "plain" in (op.get(how) or {}).get("request", {}).get("attributes", ())}
    check("plain records, too: each operation that has them took and applied, or told, some",
          takes and all(all(plains.get(name, (0, 0))) for name in takes), plains)
    for at, ns in enumerate(spaces):
        with nl.Client(ns) as client:
            client.role("none")
            equal(f"it answers as before, {at}", "none", client.status()["role"])


main(fuzz)
