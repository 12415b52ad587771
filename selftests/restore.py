# SPDX-License-Identifier: GPL-2.0
"""Restore, bind, park, roles and epochs; merged windows are judged by traffic.

In: two namespaces joined by setup_veth; the module with park_max=2.
Out: results.
"""

import errno

import nl
from kt import Udp, check, equal, ip, kernel_sas, main, refused, sa_add, sa_id, until

A_END, B_END = "192.0.2.1", "192.0.2.2"
MODES = [("legacy", False, 0), ("legacy", False, 32), ("large", False, 128), ("large", False, 4096),
         ("ESN", True, 32), ("ESN", True, 128), ("ESN", True, 1024), ("ESN", True, 4096)]


def flags_of(mode):
    return {"legacy": [], "large": ["bmp"], "ESN": ["esn", "bmp"]}[mode]


def words_of(mode, window):
    return 1 if mode == "legacy" else window // 32


def reason(answer):
    return answer["result"][0]["reason"] if "result" in answer else "ok"


def every_mode(a_ns, a):
    """Values come back as they were given, for each kind of state."""
    for i, (mode, esn, window) in enumerate(MODES):
        spi = 0x100 + i
        sa_add(a_ns, B_END, A_END, spi, esn=esn, window=window)
        high = 3 << 32 if esn else 0
        bitmap = [0x80000001 + w for w in range(words_of(mode, window))]
        record = dict(sa_id(A_END, spi), flags=flags_of(mode), oseq=high + 70000, seq=high + 80000,
                      window=window, bitmap=bitmap, bytes=12345, packets=67)
        record["restore-flags"] = ["window-exact"]
        record["replay-errors"], record["replay-window-errors"] = 3, 4
        record["integrity-errors"], record["last-used"], record["use-time"] = 5, 1700000002, 1700000001
        equal(f"{mode} {window}: applied", 1, a.restore(record)["applied"])
        kernel, have = kernel_sas(a_ns)[(A_END, spi)], a.get(**sa_id(A_END, spi))
        wrong = [n for n, v in record.items() if n not in ("flags", "restore-flags", "bitmap") and
                 (kernel[n] != v or have[n] != v)]
        wrong += ["bitmap"] if window and kernel["bitmap"] != bitmap else []
        check(f"{mode} {window}: written", not wrong, f"{wrong}: {kernel}")
        check(f"{mode} {window}: told as restored", "restored" in have["flags"], have["flags"])


def kept(a_ns, a):
    """Only use unmarks what a restore wrote, not a reader that comes."""
    reader = nl.Client(a_ns)
    reader.subscribe()
    reader.pull()
    unmarked = [r["spi"] for r in a.dump() if "restored" not in r["flags"]]
    equal("a reader unmarks nothing", [], unmarked)


def refusals(a_ns, a):
    """Each reason, and that nothing of a refused record is written."""
    sa_add(a_ns, B_END, A_END, 0x200, esn=True, window=128)
    ident, mode = sa_id(A_END, 0x200), ["esn", "bmp"]
    base = dict(ident, flags=mode, oseq=1000, seq=1000, window=128, bitmap=[0] * 4, tag=77)
    base["restore-flags"] = ["bind", "window-exact"]
    equal("a record binds its tag", "ok", reason(a.restore(base)))
    before = a.get(**ident)
    equal("the tag stands in the record", 77, before["tag"])

    def no(want, code, /, **change):
        answer = a.restore(dict(base, **{n.replace("_", "-"): v for n, v in change.items()}))
        have = (reason(answer), answer["refused"], answer.get("result", [{}])[0].get("errno"))
        equal(f"refused: {want} ({', '.join(change)})", (want, 1, -code), have)

    no("backwards-oseq", errno.ERANGE, oseq=999, seq=2000)
    no("mode", errno.EINVAL, flags=["bmp"], oseq=2000)
    no("mode", errno.EINVAL, flags=[], oseq=2000)
    no("window", errno.EINVAL, window=64, bitmap=[0] * 2, oseq=2000)
    no("window", errno.EINVAL, bitmap=[0] * 5, oseq=2000)
    no("tag", errno.ESTALE, tag=78, oseq=2000)
    no("tag", errno.ESTALE, tag=0, oseq=2000)
    no("no-sa", errno.ESRCH, spi=0x201, restore_flags=["no-park"])
    no("attribute", errno.EINVAL, bitmap=bytes(13))
    no("attribute", errno.EINVAL, bitmap=[0] * 3)
    no("attribute", errno.EINVAL, family=10)
    no("attribute", errno.EINVAL, family=3)
    after = a.get(**ident)
    same = all(before[n] == after[n] for n in ("oseq", "seq", "bitmap", "tag", "bytes"))
    check("a refused record leaves nothing", same, after)
    equal("a window that a restore wrote may go back (guard.sh: no other)", ("ok", 999),
          (reason(a.restore(dict(base, seq=999))), a.get(**ident)["seq"]))

    sa_add(a_ns, B_END, A_END, 0x202, window=32)
    legacy = dict(sa_id(A_END, 0x202), oseq=1 << 32)
    equal("refused: range", "range", reason(a.restore(legacy)))
    legacy = dict(sa_id(A_END, 0x202), seq=1 << 32, window=32, bitmap=[0])
    equal("refused: range of seq", "range", reason(a.restore(legacy)))
    answer = a.restore(dict(ident, oseq=1), dict(base, oseq=1500), dict(ident, spi=0x203))
    equal("a refused record does not stop the next", (1, 1, 1, 0),
          tuple(answer[n] for n in ("applied", "parked", "refused")) + (answer["result"][0]["index"],))
    refused("max-batch is kept", errno.E2BIG, a.restore, *[ident] * 513, attr="record")


def plain(a_ns, a):
    """The same by plain records, which are bytes: one that is malformed, and all are refused."""
    for i, (mode, esn, window) in enumerate(MODES):
        spi = 0x180 + i
        sa_add(a_ns, B_END, A_END, spi, esn=esn, window=window)
        high = 3 << 32 if esn else 0
        record = dict(sa_id(A_END, spi), flags=flags_of(mode), oseq=high + 7, seq=high + 8, window=window,
                      bitmap=[0x80000001 + w for w in range(words_of(mode, window))], bytes=1234, packets=56)
        record["restore-flags"], record["tag"] = ["bind", "window-exact"], 99
        record["replay-errors"], record["replay-window-errors"], record["integrity-errors"] = 3, 4, 5
        equal(f"plain, {mode} {window}: applied", 1, a.restore_plain(record)["applied"])
        have = a.get(**sa_id(A_END, spi))
        wrong = [n for n, v in record.items() if n not in ("flags", "restore-flags") and have[n] != v
                 and (n != "bitmap" or window)]
        check(f"plain, {mode} {window}: written", not wrong, f"{wrong}: {have}")
    sa_add(a_ns, B_END, A_END, 0x190, esn=True, window=128)
    ident = sa_id(A_END, 0x190)
    base = dict(ident, flags=["esn", "bmp"], oseq=1000, seq=1000, window=128, bitmap=[0] * 4, tag=77)
    base["restore-flags"] = ["bind", "window-exact"]
    good = a.spec.plain(base)
    gone = dict(ident, spi=0x191, oseq=1)
    gone["restore-flags"] = ["no-park"]
    answer = a.restore_plain(gone, dict(base, window=64, bitmap=[0] * 2), dict(base, bitmap=[0] * 3), base)
    equal("plain: a refused record does not stop the next", (1, ["no-sa", "window", "attribute"], [0, 1, 2]),
          (answer["applied"], [r["reason"] for r in answer["result"]], [r["index"] for r in answer["result"]]))

    def no(name, data, code=errno.EINVAL, attr="plain", **more):
        refused(f"plain, refused: {name}", code, a.do, "restore", dict(more, plain=data), attr=attr)

    for n in (1, 31, len(good) - 8, len(good) - 1):
        no(f"{n} bytes of {len(good)}", good[:n])
    no("none", b"")
    no("a byte behind it", good + b"\0")
    no("half of one behind it", good + good[:40])
    no("shorter than its parts", good[:2] + bytes([good[2] - 1]) + good[3:])
    no("longer than its parts", good[:2] + bytes([good[2] + 1]) + good[3:] + bytes(8))
    no("of no length", bytes(len(good)))
    no("more words than a window has", good[:3] + b"\x81" + good[4:])
    no("the byte that is 0", good[:31] + b"\1" + good[32:])
    no("a window of 4097", a.spec.plain(dict(base, window=4097)))
    no("a merge", a.spec.plain(dict(base, **{"restore-flags": ["merge"]})))
    no("flags that there are not", a.spec.plain(dict(base, **{"restore-flags": 64})))
    no("others by attributes", good, record=[base])
    no("513 of them", a.spec.plain(ident) * 513, errno.E2BIG)
    equal("plain: what is refused leaves nothing", (1000, 77), tuple(a.get(**ident)[n] for n in ("oseq", "tag")))
    refused("plain: of one SA there is none", errno.EINVAL, a.get, **ident, plain=b"", attr="plain")


def exact(a_ns, a):
    """A number goes back only where nobody has drawn it since a restore wrote it."""
    sa_add(a_ns, A_END, B_END, 0x210, esn=True, window=128)
    room = 65536
    base = dict(sa_id(B_END, 0x210), flags=["esn", "bmp"], tag=78, oseq=9000)
    base["restore-flags"] = ["bind"]

    def say(**change):
        return reason(a.restore(dict(base, **{n.replace("_", "-"): v for n, v in change.items()})))

    def have():
        record = a.get(**sa_id(B_END, 0x210))
        return record["oseq"], record.get("lease-end", 0)

    equal("raised, with a lease", "ok", say(expect_oseq=0, lease_end=room + 20000))
    equal("another number than it has", "moved", say(expect_oseq=8999, oseq=9500))
    equal("without an expectation it stays", "backwards-oseq", say(oseq=8000))
    equal("nothing was written", (9000, room + 20000), have())
    equal("a lease that is used up", "lease", say(expect_oseq=9000, oseq=8000, lease_end=room + 8000))
    equal("lower, with a shorter lease", "ok", say(expect_oseq=9000, oseq=8000, lease_end=room + 8100))
    equal("is written", (8000, room + 8100), have())
    ip(a_ns, f"xfrm policy add src {A_END} dst {B_END} dir out tmpl src {A_END} dst {B_END} "
             "proto esp spi 0x210 reqid 1 mode transport")
    Udp(a_ns).send(B_END, 1)
    ip(a_ns, f"xfrm policy delete src {A_END} dst {B_END} dir out")
    equal("a packet was sent", 8001, have()[0])
    equal("after that, never", "backwards-oseq", say(expect_oseq=8001, oseq=7000, lease_end=room + 8100))
    equal("nor with the number before", "moved", say(expect_oseq=8000, oseq=7000, lease_end=room + 8100))
    equal("only up", "ok", say(expect_oseq=8001, oseq=8050, lease_end=room + 9000))
    equal("and back, but not below what was drawn", "backwards-oseq",
          say(expect_oseq=8050, oseq=8000, lease_end=room + 9000))
    equal("to that, it is", "ok", say(expect_oseq=8050, oseq=8001, lease_end=room + 9000))


# As the daemon sends them: the module reads these without its policy (kmod/plain.c).
ORDER = ("family", "dst", "spi", "proto", "mark", "mark-mask", "flags", "tag", "cookie", "oseq", "seq",
         "window", "bitmap", "bytes", "packets", "add-time", "use-time", "last-used",
         "replay-window-errors", "replay-errors", "integrity-errors", "lease-end", "sent",
         "restore-flags", "expect-oseq", "guard-end", "given-end")


def orders(a_ns, a):
    """In whatever order its attributes come, a record means the same, and is refused alike."""
    sa_add(a_ns, B_END, A_END, 0x230, esn=True, window=128)
    full = dict(sa_id(A_END, 0x230), mark=0, flags=["esn", "bmp"], tag=79, oseq=500, seq=400,
                window=128, bitmap=[1, 2, 3, 4], bytes=6, packets=7, sent=450)
    full["mark-mask"], full["restore-flags"] = 0, ["bind", "window-exact"]
    full["add-time"], full["use-time"], full["last-used"] = 1700000000, 1700000001, 1700000002
    full["replay-window-errors"], full["replay-errors"], full["integrity-errors"] = 8, 9, 10
    full["lease-end"], full["given-end"] = 1 << 40, 1 << 41

    def outcome(names, record):
        try:
            answer = a.restore({n: record[n] for n in names if n in record})
            have = a.get(**sa_id(A_END, 0x230))
            return reason(answer), [have.get(n) for n in full if n not in ("flags", "restore-flags")]
        except nl.NlError as e:
            return e.errno, e.msg, e.attr

    equal("the daemon's names are those of the record", set(), set(full) - set(ORDER))
    for what, change in (("all of it", {}), ("a bit that there is not", {"restore-flags": 1 << 6}),
                         ("a merge", {"restore-flags": ["merge"]}), ("a window too large", {"window": 4097}),
                         ("half a word", {"bitmap": bytes(14)}), ("too many words", {"bitmap": [0] * 129}),
                         ("too few words", {"bitmap": [0] * 3}), ("no words", {"bitmap": []}),
                         ("another family", {"family": 10}), ("none", {"family": 3}),
                         ("half an address", {"dst": bytes(2)}), ("a window without its number", {"seq": 0})):
        record = dict(full, **change)
        if what == "a window without its number":
            del record["seq"]
        equal(f"in any order: {what}", outcome(ORDER, record), outcome(ORDER[::-1], record))
    equal("what all of it was", "ok", outcome(ORDER, full)[0])


def cookies(a):
    ident, cookie = sa_id(A_END, 0x200), a.get(**sa_id(A_END, 0x200))["cookie"]
    equal("bind: another life's cookie", "cookie", reason(a.bind(dict(ident, cookie=cookie + 1, tag=77))))
    equal("bind: another tag", "tag", reason(a.bind(dict(ident, cookie=cookie, tag=78))))
    lease = dict(ident, cookie=cookie, tag=77) | {"lease-end": 1 << 30}
    equal("bind: the same tag, and a lease", "ok", reason(a.bind(lease)))
    equal("the lease stands in the record", 1 << 30, a.get(**ident)["lease-end"])
    equal("bind: no such SA", "no-sa", reason(a.bind(sa_id(A_END, 0x2FF, tag=1))))


def given(a_ns, a):
    """What was given out is never forgotten: bind refuses less, restore keeps the more."""
    sa_add(a_ns, A_END, B_END, 0x220, esn=True, window=128)
    ident = sa_id(B_END, 0x220)
    base = dict(ident, flags=["esn", "bmp"], tag=79, oseq=1000)
    base["restore-flags"] = ["bind"]

    def have():
        return a.get(**ident).get("given-end", 0)

    def bind(end, **more):
        answer = a.bind(dict(ident, tag=79, **{"given-end": end}, **more))
        return reason(answer), answer.get("result", [{}])[0].get("errno", 0), have()

    def restore(end, **more):
        return reason(a.restore(dict(base, **{"given-end": end}, **more))), have()

    lower = ("backwards-given", -errno.ERANGE)
    check("given-end: a new SA has none", "given-end" not in a.get(**ident), a.get(**ident))
    equal("given-end: bind sets it", ("ok", 0, 7 << 32), bind(7 << 32))
    equal("given-end: the same once more", ("ok", 0, 7 << 32), bind(7 << 32))
    equal("given-end: a lower one is refused", (*lower, 7 << 32), bind((7 << 32) - 1))
    equal("given-end: so is none", (*lower, 7 << 32), bind(0))
    equal("given-end: the lease that came with it, too", (*lower, 7 << 32), bind(1, **{"lease-end": 1 << 30}))
    equal("given-end: it is not there", 0, a.get(**ident).get("lease-end", 0))
    equal("given-end: with a lease that is refused it is not written", ("lease", -errno.EINVAL, 7 << 32),
          bind(8 << 32, **{"lease-end": 5}))
    equal("given-end: bind without it leaves it", ("ok", 7 << 32), (reason(a.bind(dict(ident, tag=79))), have()))
    equal("given-end: restore raises it", ("ok", 9 << 32), restore(9 << 32))
    equal("given-end: a lower one changes nothing", ("ok", 9 << 32), restore(5))
    a.role("standby", 1, 1)
    a.role("none")
    equal("given-end: no role takes it", 9 << 32, have())
    dump = [r.get("given-end") for r in a.dump() if r["spi"] == 0x220]
    reader = nl.Client(a_ns)
    reader.subscribe()
    pulled = [r.get("given-end") for r in reader.pull() if r["spi"] == 0x220]
    equal("given-end: dump and stream tell it", ([9 << 32], [9 << 32]), (dump, pulled))
    sa_add(a_ns, A_END, B_END, 0x221, window=128)
    ident = sa_id(B_END, 0x221)
    equal("given-end: without ESN an SA cannot count that far", ("range", -errno.ERANGE, 0), bind(1 << 32))
    equal("given-end: but to the end", ("ok", 0, (1 << 32) - 1), bind((1 << 32) - 1))
    equal("given-end: nor by a restore", "range",
          reason(a.restore(dict(ident, flags=["bmp"], tag=79, **{"given-end": 1 << 32}))))
    ip(a_ns, f"xfrm state delete dst {B_END} proto esp spi 0x221")
    sa_add(a_ns, A_END, B_END, 0x221, window=128)
    equal("given-end: another life has none", 0, have())


def parking(a_ns, b_ns, a, b):
    """park_max is 2; one record waits there already (0x203)."""
    stats = a.stats()
    flags = ["esn", "bmp"]
    seq = dict(seq=500, window=128, bitmap=[0xFFFFFFFF] * 4)
    wait = dict(sa_id(B_END, 0x300), flags=flags, oseq=70000, tag=5, **seq)
    wait["restore-flags"] = ["bind"]
    equal("parked", "parked", reason(a.restore(wait)))
    equal("refused: park-full", "park-full", reason(a.restore(dict(wait, spi=0x301))))
    equal("replaced in a full park", "parked", reason(a.restore(dict(wait, oseq=70001))))
    equal("two wait", 2, a.status()["parked"])

    # The policy and the packets are there first: the first packet that the SA can take is sent
    # at once, and B sees its number.
    sa_add(b_ns, A_END, B_END, 0x300, esn=True, window=128)
    ip(a_ns, f"xfrm policy add src {A_END} dst {B_END} proto udp dport 300 dir out "
             f"tmpl src {A_END} dst {B_END} proto esp mode transport reqid 1")
    udp = Udp(a_ns)
    sa_add(a_ns, A_END, B_END, 0x300, esn=True, window=128)
    udp.send(B_END, 1, port=300)
    came = until(lambda: b.get(**sa_id(B_END, 0x300))["seq"])
    equal("the first packet of an SA is past the parked number", 70002, came)
    equal("its window waits for its tag", 0, a.get(**sa_id(B_END, 0x300))["seq"])
    check("it still waits", a.status()["parked"] == 2, a.status())
    equal("bind", "ok", reason(a.bind(sa_id(B_END, 0x300, tag=5))))
    have = a.get(**sa_id(B_END, 0x300))
    equal("after bind the window is there, the number stays", (500, [0xFFFFFFFF] * 4, 70002),
          (have["seq"], have["bitmap"], have["oseq"]))
    equal("one waits no more", 1, a.status()["parked"])

    equal("parked for another incarnation", "parked", reason(a.restore(dict(wait, spi=0x302, tag=6))))
    sa_add(a_ns, A_END, B_END, 0x302, esn=True, window=128)
    a.bind(sa_id(B_END, 0x302, tag=7))
    have = a.get(**sa_id(B_END, 0x302))
    equal("is dropped when the SA is another", (0, 7, 1), (have["seq"], have["tag"], a.status()["parked"]))
    sa_add(a_ns, B_END, A_END, 0x203, esn=True, window=128)
    equal("a record that comes later takes the parked one's place", ("ok", 0),
          (reason(a.restore(dict(sa_id(A_END, 0x203), flags=flags, oseq=5))), a.status()["parked"]))
    change = {n: v - stats[n] for n, v in a.stats().items() if n.startswith("park") or n == "refused"}
    equal("statistics tell it", {"parked": 3, "parked-applied": 1, "parked-dropped": 4, "refused": 1},
          change)
    equal("parked: a number that the SA cannot count", "parked",
          reason(a.restore(dict(sa_id(A_END, 0x303), oseq=(1 << 32) + 9))))
    sa_add(a_ns, B_END, A_END, 0x303, window=32)
    equal("does not reach it", 0, a.get(**sa_id(A_END, 0x303))["oseq"])
    a.bind(sa_id(A_END, 0x303, tag=1))


def merge(a_ns, b_ns, a, b):
    """B's window takes over what another node saw: those numbers are replays, the others not."""
    for spi, esn, window, high in ((0x400, True, 128, 5 << 32), (0x401, False, 32, 0),
                                   (0x402, False, 128, 0)):
        name = f"merge, window {window}{', ESN' if esn else ''}"
        flags = (["esn"] if esn else []) + (["bmp"] if window > 32 or esn else [])
        port = spi
        for ns in (a_ns, b_ns):
            sa_add(ns, A_END, B_END, spi, esn=esn, window=window, more=f"sel sport {port}")
        ip(a_ns, f"xfrm policy add src {A_END} dst {B_END} proto udp dport {port} dir out "
                 f"tmpl src {A_END} dst {B_END} proto esp spi {spi:#x} reqid 1 mode transport")
        ident = sa_id(B_END, spi)
        udp = Udp(a_ns)

        def send_from(number, count=1):
            """A draws number, number + 1 ...; A's counter goes back only by a new SA."""
            ip(a_ns, f"xfrm state delete dst {B_END} proto esp spi {spi:#x}")
            sa_add(a_ns, A_END, B_END, spi, esn=esn, window=window)
            a.restore(dict(ident, flags=flags, oseq=number - 1))
            udp.send(B_END, count, port=port)

        def packets():
            return b.get(**ident)["packets"]

        words = max(1, window // 32)
        b.restore(dict(ident, flags=flags, seq=high + 1000, window=window, bitmap=[0] * words,
                       **{"restore-flags": ["window-exact"]}))
        send_from(high + 1001)
        until(lambda: packets() == 1)
        # The other node has authenticated 1003 and, before it, 999; not 1000, 1002.
        bits = ([1 << 0 | 1 << 4] if window == 32 and not esn else [0] * words)
        if "bmp" in flags:
            for number in (999, 1003):
                position = ((high + number) % (1 << 32) - 1) % window
                bits[position // 32] |= 1 << position % 32
        b.restore(dict(ident, flags=flags, seq=high + 1003, window=window, bitmap=bits))
        equal(f"{name}: the larger number", high + 1003, b.get(**ident)["seq"])
        before, errors = packets(), b.get(**ident).get("replay-errors", 0)
        for number in (999, 1001, 1003):
            send_from(high + number)
        until(lambda: b.get(**ident).get("replay-errors", 0) == errors + 3)
        equal(f"{name}: what either node saw is refused", (before, errors + 3),
              (packets(), b.get(**ident).get("replay-errors", 0)))
        for number in (1000, 1002, 1004):
            send_from(high + number)
        until(lambda: packets() == before + 3)
        equal(f"{name}: what neither saw is accepted", before + 3, packets())
        check(f"{name}: used inbound: what it sends is as restored", "restored" in b.get(**ident)["flags"])


def epochs(a_ns, a, b):
    ident = sa_id(A_END, 0x203)
    record = dict(ident, flags=["esn", "bmp"], oseq=6)
    sa_add(a_ns, B_END, A_END, 0x500)
    a.role("standby", 5, 1)
    equal("an older epoch is refused", (errno.ESTALE, 1), stale(a, lambda: a.restore(record, epoch=4, node=9)))
    equal("an equal epoch of a lower node too", (errno.ESTALE, 1),
          stale(a, lambda: a.restore(record, epoch=5, node=0)))
    equal("the epoch in force is taken", 1, a.restore(record, epoch=5, node=1)["applied"])
    equal("and a newer one", 1, a.restore(record, epoch=6, node=0)["applied"])
    equal("which is in force from then on", (6, 0), tuple(a.status()[n] for n in ("epoch", "node")))
    refused("a role of an older epoch", errno.ESTALE, a.role, "standby", 5, 1)
    refused("active takes a higher epoch", errno.ESTALE, a.role, "active", 6, 0)
    watch = nl.Client(a_ns)
    watch.join("events")
    equal("a higher one", "active", a.role("active", 7, 1)["role"])
    event = watch.event(10)
    equal("is told to who listens", ("role-ntf", "active", 7),
          event and (event[0], event[1]["role"], event[1]["epoch"]))
    refused("an active node restores nothing", errno.EBUSY, a.restore, record, epoch=9, node=9)
    equal("the other namespace is its own", ("none", 0), (b.status()["role"], b.status()["epoch"]))
    equal("none forgets the epoch", ("none", 0), (a.role("none")["role"], a.status()["epoch"]))
    refused("a role needs an epoch", errno.EINVAL, a.role, "standby")
    a.restore(dict(sa_id(A_END, 0x5FF), oseq=1))
    a.role("standby", 1, 1)
    equal("a new role forgets what was parked", 0, a.status()["parked"])
    a.role("none")


def stale(client, func):
    before = client.stats()["stale-epoch"]
    try:
        func()
    except nl.NlError as error:
        return error.errno, client.stats()["stale-epoch"] - before
    return None


def larval(a_ns, a):
    """An SPI without keys is no SA yet."""
    acq = ip(a_ns, f"xfrm state allocspi src {B_END} dst {A_END} proto esp mode transport "
                   "min 0x700 max 0x700 reqid 1")
    record = dict(sa_id(A_END, 0x700), oseq=1, **{"restore-flags": ["no-park"]})
    equal("a larval SA is none yet", "no-sa", reason(a.restore(record)))
    check("allocspi", "0x00000700" in acq, acq)
    # It has no event: who begins to read has it looked for.
    with nl.Client(a_ns) as reader:
        reader.subscribe()
        reader.do("unsubscribe")
    for flags, name in ((["fenced"], "a larval SA is not stopped"),
                        ([], "a larval SA that was not stopped does not go on")):
        a.bind(dict(sa_id(A_END, 0x700), flags=flags))
        have = a.get(**sa_id(A_END, 0x700))["flags"]
        check(name, "larval" in have and "fenced" not in have, have)


def test(a_ns, b_ns):
    a, b = nl.Client(a_ns), nl.Client(b_ns)
    every_mode(a_ns, a)
    kept(a_ns, a)
    refusals(a_ns, a)
    plain(a_ns, a)
    exact(a_ns, a)
    orders(a_ns, a)
    cookies(a)
    parking(a_ns, b_ns, a, b)
    merge(a_ns, b_ns, a, b)
    larval(a_ns, a)
    given(a_ns, a)
    epochs(a_ns, a, b)
    equal("in the other namespace nothing happened", [], [r for r in b.dump() if r["spi"] < 0x300])


main(test)
