# SPDX-License-Identifier: GPL-2.0
"""The one reader of a namespace: wake-ups, order, snapshots, stalls, deaths, resync.

In: two namespaces joined by setup_veth; the module.
Out: results. A reader stays attached at the end, for the unload that follows.
"""

import errno
import os
import signal
import subprocess
import sys
import time

import nl
from kt import (Udp, check, differences, equal, ip, kernel_sas, main, refused, rng, sa_add,
                sa_id, sa_text, skip, spis, until)

A_END, B_END = "192.0.2.1", "192.0.2.2"
COUNT = 40
BASE = 0x1000


def setup(a_ns):
    """COUNT outbound SAs in A, each chosen by the port."""
    lines = []
    for i in range(COUNT):
        text = sa_text(A_END, B_END, BASE + i, esn=bool(i % 2), window=32)
        lines.append("xfrm state add " + text.replace("reqid 1 ", f"reqid {BASE + i} "))
        lines.append(f"xfrm policy add src {A_END} dst {B_END} proto udp dport {BASE + i} dir out "
                     f"tmpl src {A_END} dst {B_END} proto esp reqid {BASE + i} mode transport")
    ip(a_ns, "\n".join(lines) + "\n")


def one_reader(a_ns):
    first, second = nl.Client(a_ns), nl.Client(a_ns)
    refused("pull without a subscription", errno.EPERM, second.pull, says="subscribe")
    equal("subscribe tells how many wait", COUNT, first.subscribe())
    equal("status names the reader", first.port, second.status()["reader"])
    refused("a second reader", errno.EBUSY, second.subscribe, says="reader")
    refused("which cannot pull", errno.EPERM, second.pull)
    refused("nor unsubscribe the first", errno.EPERM, second.do, "unsubscribe")
    records = first.pull()
    equal("the first pull is a full snapshot", list(range(BASE, BASE + COUNT)), spis(records))
    check("of new SAs", all("new" in r["flags"] for r in records))
    first.do("unsubscribe")
    equal("after unsubscribe there is none", 0, second.status()["reader"])
    equal("and the next one may", COUNT, second.subscribe())
    equal("repeating it starts a new snapshot", COUNT, second.subscribe())
    equal("of all SAs", COUNT, len(find_new(second.pull())))
    first.close()
    second.close()


def find_new(records):
    return [r for r in records if "new" in r["flags"]]


def wakeups(a_ns, udp):
    reader = nl.Client(a_ns)
    reader.subscribe()
    check("no wake-up before the first pull", reader.wakeup(0.3) is None)
    reader.pull()
    udp.send(B_END, 1, port=BASE)
    equal("a change wakes the reader", {"dirty": 1}, reader.wakeup(10))
    udp.send(B_END, 5, port=BASE)
    udp.send(B_END, 5, port=BASE + 1)
    check("once, until it has emptied the set", reader.wakeup(0.5) is None)
    records = reader.pull()
    equal("the pull has what changed, its last state", [(BASE, 6), (BASE + 1, 5)],
          [(r["spi"], r["oseq"] & 0xFFFF) for r in records])
    check("neither new nor without age", all(not find_new([r]) and r["age-ns"] for r in records), records)
    equal("an empty set gives nothing", [], reader.pull())
    udp.send(B_END, 1, port=BASE)
    check("then the next change wakes it again", reader.wakeup(10) is not None)
    reader.pull()

    order = list(range(BASE, BASE + COUNT))
    rng.shuffle(order)
    sent = [time.monotonic_ns()]
    for spi in order:
        udp.send(B_END, 1, port=spi)
        sent.append(time.monotonic_ns())
    for spi in order[:10]:
        udp.send(B_END, 1, port=spi)
    pulled = time.monotonic_ns()
    records = reader.pull()
    told = time.monotonic_ns()
    equal("oldest first", order, [r["spi"] for r in records])
    # Each message of a pull has its own now; so each age is between two that are known.
    ages = [r["age-ns"] for r in records]
    check("each has the age of its first change", len(ages) == len(order) and all(
        pulled - after <= age <= told - before
        for age, before, after in zip(ages, sent, sent[1:])), (ages, sent, pulled, told))
    reader.close()


def lost_wakeup(a_ns, udp):
    """The wake-up does not fit in a small, full receive buffer; the next one comes."""
    reader, other = nl.Client(a_ns, rcvbuf=2048), nl.Client(a_ns)
    reader.subscribe()
    reader.pull()
    reader.join("events")
    for _ in range(50):
        other.role("none")
    lost = other.stats()["wakeups-lost"]
    udp.send(B_END, 1, port=BASE)
    until(lambda: other.stats()["wakeups-lost"] > lost)
    equal("a wake-up that does not fit is counted", lost + 1, other.stats()["wakeups-lost"])
    overrun = False
    try:
        while reader.receive(0.2):
            pass
    except OSError as error:
        overrun = error.errno == errno.ENOBUFS
    check("the reader sees ENOBUFS", overrun)
    while reader.receive(0.2):
        pass
    udp.send(B_END, 1, port=BASE + 1)
    check("and is woken by the next SA", reader.wakeup(10) is not None)
    equal("nothing was lost", [BASE, BASE + 1], spis(reader.pull()))
    reader.close()
    other.close()


def stalled(a_ns, udp):
    """A reader that sleeps through traffic finds each SA once, in its final state."""
    reader, other = nl.Client(a_ns), nl.Client(a_ns)
    reader.subscribe()
    reader.pull()
    for _ in range(20):
        for i in range(COUNT):
            udp.send(B_END, rng.randrange(1, 4), port=BASE + i)
    equal("dirty is bounded by the SAs", COUNT, other.status()["dirty"])
    records, kernel = reader.pull(), kernel_sas(a_ns)
    equal("after a stall each SA once", list(range(BASE, BASE + COUNT)), spis(records))
    wrong = [d for r in records for d in differences(kernel[B_END, r["spi"]], r)]
    check("with its final state", not wrong, wrong[:5])

    # A pull that is not read to its end, packets meanwhile, and the rest.
    for i in range(COUNT):
        udp.send(B_END, 1, port=BASE + i)
    last = {}
    reader.send(reader.family, nl.NLM_F_DUMP, reader.header("pull"))
    for i in range(COUNT):
        udp.send(B_END, 1, port=BASE + i)
    while True:
        kind, _, _, data = reader.receive(10)
        if kind == nl.NLMSG_DONE:
            break
        if reader.spec.op_names[data[0]] == "pull":     # else the wake-up that came before
            record = reader.spec.decode("record", data[4:])
            last[record["spi"]] = record
    if reader.wakeup(5):
        for record in reader.pull():
            last[record["spi"]] = record
    kernel = kernel_sas(a_ns)
    wrong = [d for r in last.values() for d in differences(kernel[B_END, r["spi"]], r)]
    check("packets during a pull come with the next", len(last) == COUNT and not wrong, wrong[:5])
    other.close()
    reader.close()


def killed(a_ns, udp):
    """SIGKILL in the middle; the next reader begins with a snapshot."""
    other = nl.Client(a_ns)
    with subprocess.Popen([sys.executable, nl.__file__, "-n", a_ns, "pull"],
                          stdout=subprocess.DEVNULL) as child:
        until(lambda: other.status()["reader"])
        check("another process reads", other.status()["reader"] != 0)
        udp.send(B_END, 3, port=BASE + 2)
        os.kill(child.pid, signal.SIGKILL)
    check("killed, it is the reader no more", until(lambda: other.status()["reader"] == 0))
    equal("and nothing is kept for it", 0, other.status()["dirty"])
    udp.send(B_END, 3, port=BASE + 3)
    reader = nl.Client(a_ns)
    equal("the next one is told of all", COUNT, reader.subscribe())
    records, kernel = reader.pull(), kernel_sas(a_ns)
    wrong = [d for r in records for d in differences(kernel[B_END, r["spi"]], r)]
    check("in their final state", len(find_new(records)) == COUNT and not wrong, wrong[:5])
    reader.close()
    other.close()


def deletions(a_ns):
    """Deletions are told; too many for a stalled reader make it start again."""
    reader, other = nl.Client(a_ns), nl.Client(a_ns)
    reader.subscribe()
    reader.pull()
    cookie = other.get(**sa_id(B_END, BASE))["cookie"]
    ip(a_ns, f"xfrm state delete dst {B_END} proto esp spi {BASE:#x}")
    records = reader.pull()
    equal("a deletion is told, with the life that ended", [(BASE, ["deleted"], cookie)],
          [(r["spi"], r["flags"], r["cookie"]) for r in records])
    sa_add(a_ns, A_END, B_END, BASE)
    ip(a_ns, f"xfrm state delete dst {B_END} proto esp spi {BASE:#x}")
    sa_add(a_ns, A_END, B_END, BASE)
    told = [("deleted" in r["flags"], r["cookie"]) for r in reader.pull()]
    equal("a short life ends, the next one begins", [True, False], [t[0] for t in told])
    check("each life has its own number", cookie < told[0][1] < told[1][1], told)

    slab = "/sys/kernel/slab/xfrmsync_sa"
    before = other.stats()
    lines = [text for i in range(4000) for text in (
        "xfrm state add " + sa_text(A_END, B_END, 0x100000 + i, label="many"),
        f"xfrm state delete dst {B_END} proto esp spi {0x100000 + i:#x}")]
    ip(a_ns, "\n".join(lines) + "\n")
    event = reader.wakeup(10)
    while event and not event.get("resync"):
        event = reader.wakeup(10)
    check("a stalled reader is told to start again", bool(event), event)
    dropped = other.stats()["tombstones-dropped"] - before["tombstones-dropped"]
    check("deletions were dropped, and are counted", dropped >= 1024, dropped)
    check("what waits is bounded", other.status()["dirty"] <= 1024 + COUNT + 256, other.status())
    if os.path.exists(slab) and not os.path.islink(slab):
        # KASAN keeps what is freed in quarantine, until the cache is shrunk.
        with open(f"{slab}/shrink", "w", encoding="ascii") as file:
            file.write("1")
        with open(f"{slab}/objects", encoding="ascii") as file:
            objects = int(file.read().split()[0])
        check("and so is the memory", objects < 2500, objects)
    else:
        skip("and so is the memory", "no cache of its own: boot with slab_nomerge")
    equal("it starts again", COUNT, reader.subscribe())
    equal("with all that lives", COUNT, len(find_new(reader.pull())))
    ip(a_ns, f"xfrm state delete dst {B_END} proto esp spi {BASE:#x}")
    event = reader.wakeup(10)
    check("and the flag is gone", event is not None and "resync" not in event, event)
    other.close()
    return reader


def test(a_ns, _b_ns):
    setup(a_ns)
    udp = Udp(a_ns)
    one_reader(a_ns)
    wakeups(a_ns, udp)
    lost_wakeup(a_ns, udp)
    stalled(a_ns, udp)
    killed(a_ns, udp)
    reader = deletions(a_ns)
    # The reader outlives this program: the module is unloaded under it.
    if os.fork() == 0:
        os.setsid()
        sys.stdout.close()
        os.close(1)
        os.close(2)
        time.sleep(60)
        reader.close()
        os._exit(0)


main(test)
