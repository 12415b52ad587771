#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Netlink for the tests: the xfrmsync family, driven by its YAML, and some of XFRM.

In: Documentation/netlink/specs/xfrmsync.yaml, requests as dictionaries.
Out: answers as dictionaries; NlError with the extack message and the attribute it names.
As a module: Client (xfrmsync) and Xfrm. As a program: see USAGE.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import struct
import sys
import time

USAGE = """nl.py [-n NETNS] COMMAND
  dump | status | stats          answers, a JSON line each
  get KEY=VALUE...               family=2 dst=192.0.2.1 spi=0x1000 proto=50
  role-set ROLE [EPOCH NODE [MS]]  none, active or standby; drain-ms
  watchdog-set MS                a sign of life
  restore [KEY=VALUE...] [-- KEY=VALUE... [-- ...]]   epoch=, node=; then records
  bind -- KEY=VALUE... [-- ...]
  pull [SECONDS]                 subscribes, then prints records as they come
  wait SECONDS                   subscribes, empties the set, waits for one wake-up"""

SLOW = int(os.environ.get("XFRMSYNC_SLOW", "1"))     # kselftest.sh -s
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLM_F_DUMP, NLM_F_ACK_TLVS = 0x300, 0x200
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3FFF
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
NETLINK_XFRM, NETLINK_GENERIC = 6, 16
SO_RCVBUFFORCE = 33
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
CLONE_NEWNET = 0x40000000

SPEC = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                    "../Documentation/netlink/specs/xfrmsync.yaml")
libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def netns(name):
    """Sockets made inside belong to that namespace; None stays here."""
    if not name:
        yield
        return
    with open("/proc/thread-self/ns/net", "rb") as here, open(f"/run/netns/{name}", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


def nla(kind, payload):
    """One attribute, padded."""
    return struct.pack("HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def nlas(data):
    """Yields (type, payload, offset) of each attribute."""
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("HH", data, at)
        if size < 4 or at + size > len(data):
            raise ValueError(f"attribute of {size} bytes at {at} of {len(data)}")
        yield kind & NLA_TYPE_MASK, data[at + 4:at + size], at
        at += (size + 3) & ~3


class NlError(OSError):
    """A refusal: errno, extack message (msg), attribute at fault (attr), missing type (miss)."""

    def __init__(self, code, msg=None, attr=None, miss=None):
        super().__init__(code, f"{errno.errorcode.get(code, code)}: {msg or os.strerror(code)}"
                         + (f" [{attr}]" if attr else "") + (f" [missing: {miss}]" if miss else ""))
        self.msg, self.attr, self.miss = msg, attr, miss


class Spec:
    """The contract, as the YAML says it."""

    FORMATS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "s32": "i", "s64": "q"}

    def __init__(self, path=SPEC):
        import yaml     # not all who talk to XFRM ask for it, and it takes long

        with open(path, encoding="utf-8") as file:
            raw = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.name, self.defs = raw["name"], {d["name"]: d for d in raw["definitions"]}
        self.sets, self.ops, self.op_names = {}, {}, {}
        for one in raw["attribute-sets"]:
            self.sets[one["name"]] = {a["name"]: dict(a, id=i)
                                      for i, a in enumerate(one["attributes"], 1)}
        self.by_id = {name: {a["id"]: a for a in attrs.values()} for name, attrs in self.sets.items()}
        for i, op in enumerate(raw["operations"]["list"], 1):
            self.ops[op["name"]] = dict(op, id=i)
            self.op_names[i] = op["name"]
        for op in self.ops.values():
            if "notify" in op:
                op["attribute-set"] = self.ops[op["notify"]]["attribute-set"]

    def const(self, name):
        return self.defs[name]["value"]

    def entries(self, name):
        return [e if isinstance(e, str) else e["name"] for e in self.defs[name]["entries"]]

    def number(self, attr, value):
        """Names of enum entries and flags to numbers."""
        if isinstance(value, str):
            value = value.split(",") if attr.get("enum-as-flags") else value
        if isinstance(value, str) and "enum" in attr and value in self.entries(attr["enum"]):
            return self.entries(attr["enum"]).index(value)
        if isinstance(value, (list, tuple, set, frozenset)):
            if len(value) == 1 and next(iter(value))[:1].isdigit():
                return int(next(iter(value)), 0)
            return sum(1 << self.entries(attr["enum"]).index(v) for v in value if v)
        return int(value, 0) if isinstance(value, str) else int(value)

    def encode_one(self, attr, value):
        kind = attr["type"]
        if kind in self.FORMATS:
            order = ">" if attr.get("byte-order") == "big-endian" else "="
            return struct.pack(order + self.FORMATS[kind], self.number(attr, value))
        if kind == "nest":
            return self.encode(attr["nested-attributes"], value)
        if kind == "flag":
            return b""
        if isinstance(value, str) and attr.get("display-hint"):
            return socket.inet_pton(socket.AF_INET6 if ":" in value else socket.AF_INET, value)
        if isinstance(value, str):
            value = [int(v, 16) for v in value.split(":")]
        if isinstance(value, (list, tuple)):
            return struct.pack(f"{len(value)}I", *value)
        return bytes(value)

    def encode(self, attr_set, values):
        out = b""
        for name, value in values.items():
            attr = self.sets[attr_set][name]
            kind = attr["id"] | (NLA_F_NESTED if attr["type"] == "nest" else 0)
            for one in value if attr.get("multi-attr") else [value]:
                out += nla(kind, self.encode_one(attr, one))
        return out

    def decode_one(self, attr, data):
        kind = attr["type"]
        if kind in self.FORMATS:
            order = ">" if attr.get("byte-order") == "big-endian" else "="
            value, = struct.unpack(order + self.FORMATS[kind], data)
            if "enum" not in attr:
                return value
            names = self.entries(attr["enum"])
            if attr.get("enum-as-flags"):
                return [n for i, n in enumerate(names) if value >> i & 1]
            return names[value]
        if kind == "nest":
            return self.decode(attr["nested-attributes"], data)
        if kind == "flag":
            return True
        if attr.get("display-hint"):
            return socket.inet_ntop(socket.AF_INET6 if len(data) == 16 else socket.AF_INET, data)
        if attr.get("sub-type") == "u32":
            return list(struct.unpack(f"{len(data) // 4}I", data))
        return data

    def decode(self, attr_set, data):
        by_id = self.by_id[attr_set]
        out = {}
        for kind, payload, _ in nlas(data):
            attr = by_id[kind]
            if attr["type"] == "pad":
                continue
            value = self.decode_one(attr, payload)
            if attr.get("multi-attr"):
                out.setdefault(attr["name"], []).append(value)
            else:
                out[attr["name"]] = value
        return out

    # What a plain record has for each of plain-flags; None is 0.
    PLAIN = {"ipv6": (), "oseq": ("oseq",), "seq": ("seq",), "counted": ("bytes", "packets"),
             "times": ("add-time", "use-time", "last-used"), "tag": ("tag",),
             "lease-end": ("lease-end",), "given-end": ("given-end",), "guard-end": ("guard-end",),
             "sent": ("sent",), "name": ("mark", "mark-mask", "if-id", None),
             "errors": ("replay-window-errors", "replay-errors", "integrity-errors", None),
             "age-ns": ("age-ns",), "restore": ("restore-flags", None),
             "expect-oseq": ("expect-oseq",), "flags": ()}

    def plain_format(self, name):
        return "I" if name is None else self.FORMATS[self.sets["record"][name]["type"]]

    def plain(self, record):
        """One record as bytes; what it does not have is left out, or 0 in the head."""
        attrs = self.sets["record"]
        size, kind = (16, socket.AF_INET6) if record["family"] == 10 else (4, socket.AF_INET)
        number = {n: self.number(attrs[n], v) for n, v in record.items()
                  if attrs[n]["type"] in self.FORMATS}
        has = [n for n in self.entries("plain-flags") if any(part in record for part in self.PLAIN[n])]
        has += ["ipv6"] * (size == 16) + ["flags"] * ("flags" in record)
        words = record.get("bitmap", [])
        body = b"".join(socket.inet_pton(kind, record[n]) if n in record else bytes(size)
                        for n in ("dst", "src"))
        body += struct.pack(f"={len(words)}I", *words) + bytes(4 * (len(words) % 2))
        for one in has[:]:
            for name in self.PLAIN[one]:
                body += struct.pack("=" + self.plain_format(name), number.get(name, 0))
        bits = sum(1 << self.entries("plain-flags").index(n) for n in has)
        head = struct.pack("=HBBIQ", bits, (32 + len(body)) // 8, len(words), number.get("flags", 0),
                           number.get("cookie", 0)) + struct.pack(">I", number["spi"])
        return head + struct.pack("=IIBBBB", *(number.get(n, 0) for n in (
            "window", "reqid", "proto", "mode", "dir")), 0) + body

    def unplain(self, data):
        """Yields what the attributes of each record would say."""
        attrs = self.sets["record"]
        while data:
            bits, units, words, flags, cookie = struct.unpack_from("=HBBIQ", data)
            spi, = struct.unpack_from(">I", data, 16)
            head = dict(zip(("window", "reqid", "proto", "mode", "dir"),
                            struct.unpack_from("=IIBBB", data, 20)))
            size, kind = (16, socket.AF_INET6) if bits & 1 else (4, socket.AF_INET)
            at = 32 + 2 * size
            out = dict(head, family=int(kind), spi=spi, cookie=cookie,
                       dst=socket.inet_ntop(kind, data[32:32 + size]),
                       src=socket.inet_ntop(kind, data[32 + size:at]),
                       bitmap=list(struct.unpack_from(f"={words}I", data, at)))
            for name in ("dir", "flags"):
                out[name] = self.decode_one(attrs[name], struct.pack(
                    "=" + self.plain_format(name), {"dir": head["dir"], "flags": flags}[name]))
            at += (words + 1) // 2 * 8
            for i, one in enumerate(self.entries("plain-flags")):
                for name in self.PLAIN[one] if bits >> i & 1 else ():
                    size = struct.calcsize("=" + self.plain_format(name))
                    if name:
                        out[name] = self.decode_one(attrs[name], data[at:at + size])
                    at += size
            if at != units * 8:
                raise ValueError(f"a plain record of {at} bytes says {units * 8}")
            yield out
            data = data[at:]

    def path(self, attr_set, data, offset):
        """Name of the attribute that begins at an offset."""
        for kind, payload, at in nlas(data):
            name = next((n for n, a in self.sets[attr_set].items() if a["id"] == kind), str(kind))
            if at == offset:
                return name
            if at + 4 <= offset < at + 4 + len(payload):
                attr = self.sets[attr_set].get(name, {})
                if attr.get("type") == "nest":
                    return f"{name}.{self.path(attr['nested-attributes'], payload, offset - at - 4)}"
                return name
        return f"offset {offset}"


class Socket:
    """A netlink socket; every message that arrives is kept in `raw`, if asked to."""

    def __init__(self, protocol, ns=None, keep_raw=False, rcvbuf=None):
        with netns(ns):
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        if rcvbuf is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        else:
            with contextlib.suppress(PermissionError):
                self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        self.sock.bind((0, 0))
        self.port = self.sock.getsockname()[0]
        self.seq = 0
        self.raw = [] if keep_raw else None
        self.pending = []
        self.late = []          # messages that answer nothing: notifications

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def send(self, kind, flags, payload):
        self.seq += 1
        message = struct.pack("IHHII", 16 + len(payload), kind, flags | NLM_F_REQUEST, self.seq, 0)
        self.sock.send(message + payload)
        return self.seq

    def receive(self, timeout):
        """The next message as (type, flags, seq, payload), or None at the time-out."""
        if not self.pending:
            if not select.select([self.sock], [], [], timeout)[0]:
                return None
            data = self.sock.recv(1 << 20)
            if self.raw is not None:
                self.raw.append(data)
            at = 0
            while at + 16 <= len(data):
                size, kind, flags, seq, _ = struct.unpack_from("IHHII", data, at)
                self.pending.append((kind, flags, seq, data[at + 16:at + size]))
                at += (size + 3) & ~3
        return self.pending.pop(0)

    def refusal(self, code, tlvs, sent):
        found = {kind: payload for kind, payload, _ in nlas(tlvs)}
        offset = struct.unpack("I", found[2])[0] - 16 if 2 in found else None
        return NlError(-code, found.get(1, b"").rstrip(b"\0").decode() or None,
                       self.name_offset(sent, offset) if offset is not None else None,
                       struct.unpack("I", found[5])[0] if 5 in found else None)

    def name_offset(self, sent, offset):
        return f"offset {offset} of {len(sent)}"

    def talk(self, kind, flags, payload, timeout=20 * SLOW):
        """Sends, and yields the payload of each answer until the end."""
        seq = self.send(kind, flags, payload)
        deadline = time.monotonic() + timeout
        while True:
            message = self.receive(max(0, deadline - time.monotonic()))
            if message is None:
                raise TimeoutError("no answer")
            kind, mflags, mseq, data = message
            if mseq != seq:
                self.late.append((kind, data))
                continue
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                code, = struct.unpack_from("i", data)
                if code:
                    tlvs = data[20 if kind == NLMSG_ERROR else 4:]
                    raise self.refusal(code, tlvs if mflags & NLM_F_ACK_TLVS else b"", payload)
                return
            yield data


class Client(Socket):
    """The xfrmsync family in one namespace."""

    spec = None

    def __init__(self, ns=None, **kwargs):
        super().__init__(NETLINK_GENERIC, ns, **kwargs)
        Client.spec = Client.spec or Spec()
        self.family, self.groups = self.resolve()

    def resolve(self):
        name = nla(2, self.spec.name.encode() + b"\0")
        request = struct.pack("BBH", CTRL_CMD_GETFAMILY, 1, 0) + name
        family, groups = None, {}
        for data in self.talk(GENL_ID_CTRL, NLM_F_ACK, request):
            for kind, payload, _ in nlas(data[4:]):
                if kind == 1:
                    family, = struct.unpack("H", payload)
                elif kind == 7:
                    for _, group, _ in nlas(payload):
                        attrs = {k: p for k, p, _ in nlas(group)}
                        groups[attrs[1].rstrip(b"\0").decode()] = struct.unpack("I", attrs[2])[0]
        return family, groups

    def join(self, group):
        self.sock.setsockopt(SOL_NETLINK, 1, self.groups[group])

    def name_offset(self, sent, offset):
        op = self.spec.ops.get(self.spec.op_names.get(sent[0]))
        return self.spec.path(op["attribute-set"], sent[4:], offset - 4) if op else None

    def header(self, op):
        return struct.pack("BBH", self.spec.ops[op]["id"], self.spec.const("version"), 0)

    def raw_request(self, payload, flags=NLM_F_ACK):
        """A request as bytes; the answers' payloads."""
        return list(self.talk(self.family, flags, payload))

    def answers(self, op, attrs=None, flags=NLM_F_ACK):
        attr_set = self.spec.ops[op]["attribute-set"]
        payload = self.header(op) + self.spec.encode(attr_set, attrs or {})
        for data in self.talk(self.family, flags, payload):
            yield self.spec.decode(attr_set, data[4:])

    def pick(self, op, names):
        """A dump of which only some attributes are decoded: for thousands of records."""
        attrs = self.spec.sets[self.spec.ops[op]["attribute-set"]]
        wanted = {attrs[name]["id"]: attrs[name] for name in names}
        for data in self.talk(self.family, NLM_F_DUMP, self.header(op)):
            yield {wanted[kind]["name"]: self.spec.decode_one(wanted[kind], payload)
                   for kind, payload, _ in nlas(data[4:]) if kind in wanted}

    def do(self, op, attrs=None):
        answer = list(self.answers(op, attrs))
        return answer[0] if answer else None

    def dump(self, op="get"):
        return list(self.answers(op, flags=NLM_F_DUMP))

    def dump_plain(self, op="get"):
        return [record for answer in self.answers(op, {"plain": b""}, NLM_F_DUMP)
                for record in self.spec.unplain(answer["plain"])]

    def get(self, **sa_id):
        return self.do("get", sa_id)

    def status(self):
        return self.do("status-get")

    def stats(self):
        return self.do("stats-get")

    def subscribe(self):
        dirty = self.do("subscribe")["dirty"]
        self.late.clear()       # told before it: of no interest any more
        return dirty

    def pull(self):
        return self.dump("pull")

    def role(self, role, epoch=None, node=None, drain=None):
        attrs = {"role": role}
        if epoch is not None:
            attrs.update(epoch=epoch, node=node or 0)
        if drain is not None:
            attrs["drain-ms"] = drain
        return self.do("role-set", attrs)

    def watchdog(self, milliseconds):
        return self.do("watchdog-set", {"watchdog-ms": milliseconds})

    def restore(self, *records, **attrs):
        return self.do("restore", dict(attrs, record=records))

    def restore_plain(self, *records, **attrs):
        return self.do("restore", dict(attrs, plain=b"".join(self.spec.plain(r) for r in records)))

    def bind(self, *records):
        return self.do("bind", {"record": records})

    def event(self, timeout):
        """The next notification as (operation, attributes), or None."""
        if self.late:
            _, data = self.late.pop(0)
        else:
            message = self.receive(timeout)
            if message is None:
                return None
            data = message[3]
        op = self.spec.op_names[data[0]]
        return op, self.spec.decode(self.spec.ops[op]["attribute-set"], data[4:])

    def wakeup(self, timeout):
        """Waits for dirty-ntf; its attributes, or None."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            event = self.event(left)
            if event and event[0] == "dirty-ntf":
                return event[1]
        return None


def address(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text)


class Xfrm(Socket):
    """What iproute2 cannot say to XFRM, and its messages as they are."""

    GETSA, EXPIRE, MIGRATE = 0x12, 0x18, 0x21

    def __init__(self, ns=None):
        super().__init__(NETLINK_XFRM, ns)

    def ask(self, kind, payload, flags=0):
        return list(self.talk(kind, flags | NLM_F_ACK, payload))

    def state(self, dst, spi, proto=50, mark=None):
        """The numbers of one SA: oseq and seq of 64 bits; how many packets it took and refused."""
        family, daddr = address(dst)
        name = daddr.ljust(16, b"\0") + struct.pack(">I", spi) + struct.pack("=HBx", family, proto)
        if mark is not None:
            name += nla(21, struct.pack("=II", mark, 0xffffffff))
        # struct xfrm_usersa_info
        info, = self.talk(self.GETSA, NLM_F_ACK, name)
        packets, = struct.unpack_from("=Q", info, 168)
        refused = sum(struct.unpack_from("=III", info, 192))
        more = {kind: payload for kind, payload, _ in nlas(info[224:])}
        if 23 in more:
            _, olo, lo, ohi, hi = struct.unpack_from("=IIIII", more[23])
        else:
            olo, lo, ohi, hi = *struct.unpack_from("=II", more[10]), 0, 0
        return {"oseq": ohi << 32 | olo, "seq": hi << 32 | lo, "packets": packets,
                "refused": refused}

    def expire(self, dst, spi, proto=50, hard=False):
        """As if its limit were reached: soft, or hard."""
        family, daddr = address(dst)
        info = bytes(56) + daddr.ljust(16, b"\0") + struct.pack(">IBxxx", spi, proto)
        info = info.ljust(212, b"\0") + struct.pack("=H", family)
        return self.ask(self.EXPIRE, info.ljust(224, b"\0") + struct.pack("=Bxxxxxxx", hard))

    @staticmethod
    def migration(selector, old, new, proto, reqid):
        family, src = address(selector[0])
        sel = address(selector[1])[1].ljust(16, b"\0") + src.ljust(16, b"\0")
        bits = 8 * len(src)
        sel += struct.pack("HHHHHBBBxxxiI", 0, 0, 0, 0, family, bits, bits, 0, 0, 0)
        ends = [address(a)[1].ljust(16, b"\0") for a in (old[1], old[0], new[1], new[0])]
        # struct xfrm_user_migrate: old daddr, saddr, new daddr, saddr; mode 1 is a tunnel
        migrate = b"".join(ends) + struct.pack("BBHIHH", proto, 1, 0, reqid,
                                               address(old[0])[0], address(new[0])[0])
        return sel + struct.pack("IBxxx", 0, 1) + nla(17, migrate)

    def migrate(self, *args):
        """Moves the SAs of an outbound policy: selector, old and new are (src, dst)."""
        return self.ask(self.MIGRATE, self.migration(*args))


def parse_args(words):
    return dict(w.split("=", 1) for w in words)


def groups_of(words):
    out = [[]]
    for word in words:
        out[-1:] = [out[-1], []] if word == "--" else [out[-1] + [word]]
    return [parse_args(g) for g in out]


def show(answer):
    print(json.dumps(answer), flush=True)


def pull_loop(client, seconds):
    client.subscribe()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for record in client.pull():
            show(record)
        client.wakeup(deadline - time.monotonic())


def command(client, verb, words):
    if verb == "dump":
        for record in client.dump():
            show(record)
    elif verb == "get":
        show(client.get(**parse_args(words)))
    elif verb == "status":
        show(client.status())
    elif verb == "stats":
        show(client.stats())
    elif verb == "role-set":
        show(client.role(words[0], *(int(w, 0) for w in words[1:4])))
    elif verb == "watchdog-set":
        show(client.watchdog(int(words[0], 0)))
    elif verb in ("restore", "bind"):
        head, *records = groups_of(words)
        show(client.do(verb, dict(head, record=records)))
    elif verb == "pull":
        pull_loop(client, float(words[0]) if words else 1e9)
    elif verb == "wait":
        client.subscribe()
        client.pull()
        event = client.wakeup(float(words[0]))
        show(event)
        return 0 if event else 1
    else:
        print(USAGE, file=sys.stderr)
        return 2
    return 0


def main(args):
    ns = None
    if args[:1] == ["-n"]:
        ns, args = args[1], args[2:]
    if not args:
        print(USAGE, file=sys.stderr)
        return 2
    with Client(ns) as client:
        return command(client, args[0], args[1:])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"nl.py: {error}")
