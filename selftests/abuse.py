# SPDX-License-Identifier: GPL-2.0
"""Callers without the capability, malformed messages, and random ones.

In: two namespaces; the module with a small park_max.
Out: results. What the kernel says beside them (splats) is judged by who runs the tests.
"""

import ctypes
import errno
import struct

import nl
from kt import check, equal, in_child, ip, main, nobody, refused, rng, sa_add, sa_id

CLONE_NEWUSER = 0x10000000
A_END, B_END = "192.0.2.1", "192.0.2.2"
FUZZ = 4000


def new_user_ns(also=0):
    if nl.libc.unshare(CLONE_NEWUSER | also):
        raise OSError(ctypes.get_errno(), "unshare")


def commands(client):
    ident = sa_id(B_END, 1)
    return {
        "get": lambda: client.get(**ident),
        "a dump": client.dump,
        "subscribe": client.subscribe,
        "unsubscribe": lambda: client.do("unsubscribe"),
        "pull": client.pull,
        "restore": lambda: client.restore(dict(ident, oseq=9)),
        "bind": lambda: client.bind(dict(ident, tag=1)),
        "status-get": client.status,
        "stats-get": client.stats,
        "role-set": lambda: client.role("standby", 1, 1),
        "watchdog-set": lambda: client.watchdog(1000),
    }


def unprivileged(a_ns, b_ns, root):
    client = nl.Client(a_ns)

    def as_nobody(func):
        return in_child(lambda: (nobody(), func()))

    for name, func in commands(client).items():
        equal(f"without CAP_NET_ADMIN: {name} is refused", "EPERM", as_nobody(func))
    fresh = in_child(lambda: (nobody(), nl.Client().status()))
    equal("and on a socket of its own", "EPERM", fresh)
    equal("nor may it listen", "EPERM", in_child(lambda: (nobody(), nl.Client().join("events"))))

    def own():
        nobody()
        new_user_ns(nl.CLONE_NEWNET)
        mine = nl.Client()
        mine.subscribe()
        mine.pull()
        return mine.role("standby", 1, 1)["role"], mine.role("none")["role"], mine.status()["sas"]
    equal("root of a user namespace, in its own network namespace: allowed",
          str(("standby", "none", 0)), in_child(own))

    def drains(milliseconds):
        nobody()
        new_user_ns(nl.CLONE_NEWNET)
        mine = nl.Client()
        mine.role("active", 1, 1)
        return mine.role("standby", 1, 1, drain=milliseconds)["role"]
    equal("where it may drain for a second: others' generic netlink waits as long", "standby",
          in_child(lambda: drains(100)))
    equal("and not for more", "EPERM", in_child(lambda: drains(101)))
    equal("with a socket of another namespace: refused", "EPERM",
          in_child(lambda: (nobody(), new_user_ns(nl.CLONE_NEWNET), client.status())))
    equal("and in a namespace that is not its own: refused", "EPERM",
          in_child(lambda: (nobody(), new_user_ns(), nl.Client().status())))
    equal("none of it did anything", ("none", 0, 0),
          tuple(root.status()[n] for n in ("role", "reader", "parked")))
    equal("nor in the other namespace", 0, nl.Client(b_ns).status()["sas"])
    client.close()


def messages(client):
    """A good message of each command that takes attributes."""
    spec = client.spec
    ident = sa_id(B_END, 1)
    record = dict(ident, src=A_END, mode=0, dir="out", flags=["esn", "bmp"], oseq=5, seq=6, window=64,
                  bitmap=[1, 2], bytes=3, packets=1, tag=0)
    return {
        "get": spec.encode("record", ident),
        "restore": spec.encode("batch", {"epoch": 1, "node": 1, "record": [record, ident]}),
        "bind": spec.encode("batch", {"record": [dict(ident, tag=0)]}),
        "role-set": spec.encode("status", {"role": "none", "epoch": 1, "node": 1}),
        "watchdog-set": spec.encode("status", {"watchdog-ms": 1000}),
    }


def answer(client, op, body, flags=nl.NLM_F_ACK):
    """None where it was taken, or the refusal."""
    try:
        client.raw_request(client.header(op) + body, flags)
    except nl.NlError as error:
        return error
    return None


def truncated(client):
    for op, body in messages(client).items():
        whole = {at for _, _, at in nl.nlas(body)} | {len(body)}
        bad = []
        for size in range(len(body)):
            error = answer(client, op, body[:size])
            if size not in whole and not (error and error.errno in (errno.EINVAL, errno.ERANGE) and
                                          error.msg) and not padding(body, size):
                bad.append((size, error))
        check(f"truncated at every length: {op}", not bad, bad[:5])
    short = []
    for size in range(4):
        try:
            client.raw_request(client.header("status-get")[:size])
            short.append(size)
        except nl.NlError:
            pass
    equal("without a whole generic header", [], short)


def padding(body, size):
    """Only the last attribute's padding is missing: netlink does not mind."""
    for _, payload, at in nl.nlas(body):
        if at + 4 + len(payload) <= size < at + 4 + (len(payload) + 3 & ~3):
            return True
    return False


def lengths(client):
    """Each attribute of a fixed size, shorter and longer."""
    spec = client.spec
    for op, attr_set, names in (("get", "record", spec.ops["get"]["do"]["request"]["attributes"]),
                                ("restore", "batch", ["epoch", "node"]),
                                ("role-set", "status", ["role", "epoch", "node"]),
                                ("watchdog-set", "status", ["watchdog-ms"])):
        bad = []
        for name in names:
            attr = spec.sets[attr_set][name]
            if attr["type"] not in spec.FORMATS:
                continue
            good = len(spec.encode_one(attr, 0))
            for size in (0, good - 1, good + 1, good + 8):
                error = answer(client, op, nl.nla(attr["id"], bytes(size)))
                if not (error and error.msg and error.attr == name):
                    bad.append((name, size, error))
        check(f"attributes of a wrong length: {op}", not bad, bad[:5])
    bad = []
    for name, attr in spec.sets["record"].items():
        if attr["type"] == "pad":
            continue
        good = len(spec.encode_one(attr, 0)) if attr["type"] in spec.FORMATS else 3
        for size in {0, good - 1} if attr["type"] in spec.FORMATS else {0, 3, 513}:
            record = spec.encode("record", sa_id(B_END, 1)) + nl.nla(attr["id"], bytes(size))
            error = answer(client, "restore", nl.nla(3 | nl.NLA_F_NESTED, record))
            if not (error and error.msg and error.attr == f"record.{name}"):
                bad.append((name, size, error))
    check("attributes of a wrong length inside a record", not bad, bad[:5])


def wrong(client):
    ident, spec = sa_id(B_END, 1), client.spec
    whole = spec.encode("record", ident)
    nest = 3 | nl.NLA_F_NESTED

    def no(name, op, body, code=None, **want):
        refused(name, code, client.raw_request, client.header(op) + body, **want)

    no("an unknown attribute", "get", whole + nl.nla(200, b"1234"))
    no("an unknown attribute in a record", "restore", nl.nla(nest, whole + nl.nla(200, b"1234")))
    no("an attribute where none is known", "status-get", nl.nla(1, b"1234"))
    no("an attribute that only answers have", "restore", nl.nla(5, bytes(4)) + nl.nla(nest, whole))
    no("a record that is garbage", "restore", nl.nla(nest, b"\x07\0\1\0garbage of no use"))
    no("a record that is no nest", "restore", nl.nla(3, whole))
    no("no record", "restore", b"", errno.EINVAL, says="record is missing")
    no("no record to bind", "bind", b"", errno.EINVAL, says="record is missing")
    no("no address", "get", spec.encode("record", dict(family=2, spi=1, proto=50)), errno.EINVAL,
       says="dst is missing")
    no("an address of another family", "get", spec.encode("record", dict(ident, family=10)),
       errno.EINVAL, attr="dst")
    no("no such SA", "get", spec.encode("record", dict(ident, spi=0x1234)), errno.ESRCH)
    flags = nl.nla(spec.sets["record"]["restore-flags"]["id"], bytes(4))
    no("an attribute twice in a record", "restore", nl.nla(nest, whole + flags + flags), errno.EINVAL,
       attr="record.restore-flags", says="twice")
    too_many = nl.nla(nest, whole) * 513
    no("too many records", "restore", too_many, errno.E2BIG, attr="record")
    no("a window beyond the largest", "restore",
       spec.encode("batch", {"record": [dict(ident, window=4097)]}), errno.ERANGE, attr="record.window")
    no("an unknown restore flag", "restore",
       spec.encode("batch", {"record": [dict(ident, **{"restore-flags": 1 << 31})]}), errno.EINVAL,
       attr="record.restore-flags")
    no("a role that is none", "role-set", spec.encode("status", {"role": 3}), errno.ERANGE, attr="role")
    no("no time for the watchdog", "watchdog-set", b"", errno.EINVAL, says="watchdog-ms is missing")
    no("one that is too long", "watchdog-set",
       spec.encode("status", {"watchdog-ms": spec.const("max-watchdog") + 1}), errno.ERANGE,
       attr="watchdog-ms")
    odd = client.restore(dict(ident, seq=1, window=32, bitmap=bytes(5)))
    equal("a bitmap that is not whole words", "attribute", odd["result"][0]["reason"])

    for name, code, flags in (("an unknown command", 200, nl.NLM_F_ACK), ("command 0", 0, nl.NLM_F_ACK),
                              ("a notification as a command", spec.ops["dirty-ntf"]["id"], nl.NLM_F_ACK),
                              ("pull, not as a dump", spec.ops["pull"]["id"], nl.NLM_F_ACK),
                              ("restore, as a dump", spec.ops["restore"]["id"], nl.NLM_F_DUMP)):
        try:
            client.raw_request(struct.pack("BBH", code, 1, 0), flags)
            check(f"{name}: refused", False)
        except nl.NlError as error:
            equal(f"{name}: refused", errno.EOPNOTSUPP, error.errno)


def mutate(body):
    body = bytearray(body)
    for _ in range(rng.randrange(1, 6)):
        choice = rng.randrange(5)
        at = rng.randrange(len(body))
        if choice == 0:
            body[at] = rng.randrange(256)
        elif choice == 1:
            body[at] ^= 1 << rng.randrange(8)
        elif choice == 2 and len(body) > 8:
            del body[at:at + rng.randrange(1, 9)]
        elif choice == 3:
            body[at:at] = rng.randbytes(rng.randrange(1, 40))
        elif len(body) > 1:     # a length or a type of an attribute
            struct.pack_into("H", body, min(at & ~3, len(body) - 2), rng.choice((0, 3, 4, 5, 65535, at)))
        if not body:
            body += b"\0"
    return bytes(body)


def fuzz(client):
    good = messages(client)
    seeds = [client.header(op) + body for op, body in good.items()]
    seeds += [client.header(op) for op in ("subscribe", "unsubscribe", "pull", "status-get", "stats-get")]
    taken = 0
    silent = []
    for _ in range(FUZZ):
        body = mutate(rng.choice(seeds))
        flags = rng.choice((nl.NLM_F_ACK, nl.NLM_F_ACK, nl.NLM_F_DUMP))
        try:
            client.raw_request(body, flags)
            taken += 1
        except nl.NlError:
            pass
        except (TimeoutError, ValueError, OSError) as error:
            silent.append((body.hex(), error))
    check(f"{FUZZ} random messages: each has an answer", not silent, silent[:2])
    check("some were taken, most refused", 0 < taken < FUZZ, taken)
    client.role("none")


def test(a_ns, b_ns):
    root = nl.Client(a_ns)
    ip(a_ns, f"address add {A_END}/24 dev lo")
    sa_add(a_ns, A_END, B_END, 1, esn=True, window=64)
    unprivileged(a_ns, b_ns, root)
    truncated(root)
    lengths(root)
    wrong(root)
    with nl.Client(a_ns) as fuzzer:
        fuzz(fuzzer)
    root.role("none")
    equal("the module answers as before", ("none", 1), tuple(root.status()[n] for n in ("role", "sas")))


main(test)
