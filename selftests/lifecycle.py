# SPDX-License-Identifier: GPL-2.0
"""What happens to SAs reaches the reader; what IKE daemons see is as without the module.

In: observe NS | before NS | lives A B (see lifecycle.sh).
Out: a JSON line | 20 SAs | results.
"""

import errno
import json
import subprocess

import nl
from kt import (Udp, check, equal, find, ip, kernel_sas, main, sa_add, sa_id, sa_text, skip, spis,
                until)

A_END, B_END = "192.0.2.1", "192.0.2.2"


def acquire(ns, listen):
    """A packet for which there is a policy and no SA: (errno, larval SAs, acquires heard)."""
    monitor = None
    if listen:
        monitor = subprocess.Popen(["ip", "-n", ns, "xfrm", "monitor", "acquire"],
                                   stdout=subprocess.PIPE, text=True)
        until(lambda: listening(ns))
    code = 0
    try:
        Udp(ns).sock.sendto(b"x", ("198.51.100.2", 9))
    except OSError as error:
        code = error.errno
    larval = ip(ns, "xfrm state list").count("spi 0x00000000")
    heard = 0
    if monitor:
        heard = int("acquire" in monitor.stdout.readline())
        monitor.kill()
        monitor.wait()
    ip(ns, "xfrm state flush")
    return errno.errorcode.get(code, code), larval, heard


def listening(ns):
    """Somebody has joined a group of NETLINK_XFRM (the sixth field of /proc/net/netlink)."""
    text = subprocess.run(["ip", "netns", "exec", ns, "cat", "/proc/net/netlink"], text=True,
                          check=True, stdout=subprocess.PIPE).stdout
    return any(line.split()[1] == "6" and int(line.split()[3], 16) & 1
               for line in text.splitlines()[1:])


def observe(ns):
    ip(ns, "address add 198.51.100.1/24 dev lo")
    ip(ns, "link add d0 type dummy")
    ip(ns, "link set d0 up")
    ip(ns, "route add 198.51.100.2/32 dev d0 src 198.51.100.1")
    ip(ns, "xfrm policy add src 198.51.100.1 dst 198.51.100.2 dir out tmpl src 198.51.100.1 "
           "dst 198.51.100.2 proto esp reqid 5 mode transport")
    alone = acquire(ns, False)
    heard = acquire(ns, True)
    ip(ns, "xfrm policy add src 203.0.113.1 dst 203.0.113.2 dir out action block limit time-hard 1")
    monitor = subprocess.Popen(["ip", "-n", ns, "xfrm", "monitor", "expire", "policy"],
                               stdout=subprocess.PIPE, text=True)
    gone = until(lambda: "203.0.113.1" not in ip(ns, "xfrm policy list"))
    monitor.kill()
    monitor.wait()
    print(json.dumps({"alone": alone, "heard": heard, "acquires": heard[2], "policy expired": gone}))


def before(ns):
    ip(ns, "\n".join("xfrm state add " + sa_text(A_END, B_END, 0x9000 + i, esn=True, window=64)
                     for i in range(20)) + "\n")


class Watch:
    """A reader that keeps what it was told."""

    def __init__(self, ns):
        self.client, self.told = nl.Client(ns), []
        self.client.subscribe()
        self.first = self.client.pull()

    def told_of(self, spi, want, seconds=10, **fields):
        """Whether a record of that SPI with that flag (None: any) comes."""
        def found():
            self.told += self.client.pull()
            return any(want is None or want in r["flags"] for r in find(self.told, spi, **fields))
        return until(found, seconds)

    def flags(self, spi):
        return sorted({f for r in find(self.told, spi) for f in r["flags"]})


def created(ns, watch):
    equal("SAs that were there before the load", list(range(0x9000, 0x9014)), spis(watch.first))
    sa_add(ns, A_END, B_END, 1, esn=True, window=64)
    check("created: told, as new", watch.told_of(1, "new"))
    sa_add(ns, A_END, B_END, 1, esn=True, window=64, more="limit byte-soft 1000000", verb="update")
    check("updated: told, as changed", watch.told_of(1, "changed"))
    equal("updated: one SA, the same life", 1, len({r["cookie"] for r in find(watch.told, 1)}))
    ip(ns, f"xfrm state delete dst {B_END} proto esp spi 1")
    check("deleted: told", watch.told_of(1, "deleted"))
    check("deleted: not as expired", "expired" not in watch.flags(1), watch.flags(1))
    check("deleted: not in the dump", not find(watch.client.dump(), 1))


def expired(ns, watch):
    """Soft and hard limits by time, bytes and packets."""
    udp = Udp(ns)
    limits = {"time": "limit time-hard 1",
              "byte": "limit byte-soft 100 limit byte-hard 400",
              "packet": "limit packet-soft 2 limit packet-hard 5"}
    for i, (name, more) in enumerate(limits.items()):
        spi = 0x10 + i
        ip(ns, f"xfrm policy add src {A_END} dst {B_END} proto udp dport {spi} dir out "
               f"tmpl src {A_END} dst {B_END} proto esp reqid {spi} mode transport")
        soft = spi
        if name == "time":
            # One of its own: where the machine is slow, nobody looks between two seconds.
            soft = 0x30
            sa_add(ns, A_END, B_END, soft, more="limit time-soft 1 limit time-hard 600")
        ip(ns, "xfrm state add " + sa_text(A_END, B_END, spi, more=more).replace(
            "reqid 1 ", f"reqid {spi} "))
        if name != "time":
            udp.send(B_END, 4, size=30, port=spi)
        check(f"soft expiry by {name}: told as dying", watch.told_of(soft, "dying"), watch.flags(soft))
        if soft != spi:
            ip(ns, f"xfrm state delete dst {B_END} proto esp spi {soft}")
        if name != "time":
            check(f"soft expiry by {name}: still there", find(watch.client.dump(), spi))
            for _ in range(40):
                try:
                    udp.send(B_END, 1, size=30, port=spi)
                except OSError:
                    break
        check(f"hard expiry by {name}: told as deleted, expired",
              watch.told_of(spi, "expired") and "deleted" in watch.flags(spi), watch.flags(spi))
        check(f"hard expiry by {name}: not in the dump", not find(watch.client.dump(), spi))


def larval(ns, watch):
    """ALLOCSPI, then the keys: one SA is left."""
    ip(ns, f"xfrm state allocspi src {B_END} dst {A_END} proto esp mode transport min 32 max 32 reqid 1")
    check("larval: it has no event, a new snapshot finds it",
          watch.client.subscribe() and watch.told_of(32, "larval"))
    sa_add(ns, B_END, A_END, 32, verb="update")
    check("larval, then keys: told as new", watch.told_of(32, "new", mode=0))

    def only():
        return [r["flags"] for r in find(watch.client.dump(), 32)] == [[]]
    check("larval, then keys: one SA is left", until(only), find(watch.client.dump(), 32))
    ip(ns, f"xfrm state allocspi src {B_END} dst {A_END} proto esp mode transport min 33 max 33 reqid 1")
    ip(ns, f"xfrm state delete dst {A_END} proto esp spi 33")
    watch.client.subscribe()
    watch.told_of(32, None)
    check("larval, deleted: not followed", not find(watch.client.dump(), 33))


def flushed(ns, watch):
    for proto, spi in (("ah", 40), ("esp", 41)):
        sa_add(ns, A_END, B_END, spi, proto=proto)
    watch.told_of(41, "new")
    ip(ns, "xfrm state flush proto ah")
    check("flushed: told as deleted", watch.told_of(40, "deleted"))
    check("of another protocol: not", "deleted" not in watch.flags(41), watch.flags(41))
    equal("the dump is what the SAD holds", sorted(spi for _, spi in kernel_sas(ns)),
          spis(watch.client.dump()))


def migrated(ns, watch):
    """XFRM_MSG_MIGRATE: the SA lives on under another address."""
    policy = "src 10.1.0.0/32 dst 10.2.0.0/32"
    ip(ns, f"xfrm policy add {policy} dir out tmpl src {A_END} dst {B_END} proto esp reqid 77 mode tunnel")
    ip(ns, "xfrm state add " + sa_text(A_END, B_END, 50, esn=True, window=64, mode="tunnel").replace(
        "reqid 1 ", "reqid 77 "))
    watch.told_of(50, "new")
    oseq = watch.client.restore(dict(sa_id(B_END, 50), flags=["esn", "bmp"], oseq=4711))
    equal("before the migration its number is raised", 1, oseq["applied"])
    try:
        nl.Xfrm(ns).migrate(("10.1.0.0", "10.2.0.0"), (A_END, B_END), ("192.0.2.101", "192.0.2.102"),
                            50, 77)
    except nl.NlError as error:
        for name in ("old", "new", "counter"):
            skip(f"migrated: {name}", f"this kernel does not migrate: {error}")
        return
    check("migrated: the old SA is told as deleted", watch.told_of(50, "deleted", dst=B_END))
    check("migrated: the new one as new", watch.told_of(50, "new", dst="192.0.2.102"))
    equal("migrated: with its counter", [4711],
          [r["oseq"] for r in find(watch.client.dump(), 50, dst="192.0.2.102")])


def lives(a_ns, _b_ns):
    watch = Watch(a_ns)
    created(a_ns, watch)
    expired(a_ns, watch)
    larval(a_ns, watch)
    flushed(a_ns, watch)
    migrated(a_ns, watch)
    stats = watch.client.stats()
    equal("taken up and let go are what is there", len(watch.client.dump()),
          stats["tracked"] - stats["untracked"])
    watch.client.close()


main(lambda verb, *args: {"observe": observe, "before": before, "lives": lives}[verb](*args))
