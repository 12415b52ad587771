# SPDX-License-Identifier: GPL-2.0
"""Thousands of SAs created and deleted by `ip -batch`, traffic, readers, dumps.

In: stream A B | forever A B [C] | unload A. C is made and deleted, again and again.
Out: results | nothing: goes on until it is killed or its namespaces have gone | the module
is gone while they are at it, or exit code 1.
"""

import contextlib
import ctypes
import errno
import os
import re
import struct
import subprocess
import threading
import time

import nl
from kt import SLOW, Udp, check, equal, ip, main, parse_sa, rng, sa_text

# Of the debug kernel it is the time that counts, of the others too: a minute for 5000.
COUNT = 5000 // max(SLOW, 2)
A_END, B_END = "192.0.2.1", "192.0.2.2"
# What a client meets where the module goes, or is not there.
NO_MODULE = (OSError, ValueError, TimeoutError, TypeError, KeyError, struct.error)


def lines(first, count):
    add = ["xfrm state add " + sa_text(A_END, B_END, first + i, esn=True, window=64, label="churn")
           for i in range(count)]
    delete = [f"xfrm state delete src {A_END} dst {B_END} proto esp spi {first + i:#x}"
              for i in range(count)]
    return add, delete


def batch(ns, commands):
    """A process that runs them."""
    child = subprocess.Popen(["ip", "-n", ns, "-force", "-batch", "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)

    def feed():
        with contextlib.suppress(OSError):
            child.stdin.write("\n".join(commands) + "\n")
            child.stdin.close()
    threading.Thread(target=feed, daemon=True).start()
    return child


class Mirror:
    """A reader that keeps a table of what it was told, as the tool does."""

    def __init__(self, ns):
        self.client = nl.Client(ns)
        self.sas, self.pulls, self.resyncs = {}, 0, 0
        self.begin()

    def begin(self):
        self.client.subscribe()
        self.sas = {}
        self.pull()

    def pull(self):
        for record in self.client.pick("pull", ("dst", "spi", "flags", "cookie", "oseq", "seq")):
            key = record["dst"], record["spi"]
            if "deleted" not in record["flags"]:
                self.sas[key] = record
            elif self.sas.get(key, record)["cookie"] <= record["cookie"]:
                self.sas.pop(key, None)
        self.pulls += 1

    def step(self, timeout=0.05):
        try:
            event = self.client.wakeup(timeout)
        except OSError:         # ENOBUFS wakes as well
            event = {}
        if event is None:
            return False
        if event.get("resync"):
            self.resyncs += 1
            self.begin()
        else:
            self.pull()
        return True


def traffic(udp, stop, sent):
    while not stop.is_set():
        udp.send("10.2.0.1", 5)
        sent[0] += 5
        time.sleep(0.002)


def stream(a_ns, b_ns):
    mirrors = [Mirror(ns) for ns in (a_ns, b_ns)]
    stop, sent = threading.Event(), [0]
    sender = threading.Thread(target=traffic, args=(Udp(a_ns), stop, sent))
    sender.start()
    plans = [lines(0x100000, COUNT) for _ in mirrors]

    def drain(children):
        while any(child.poll() is None for child in children):
            for mirror in mirrors:
                mirror.step(0.01)

    began = time.monotonic()
    drain([batch(ns, plan[0]) for ns, plan in zip((a_ns, b_ns), plans)])
    deadline = time.monotonic() + 30 * SLOW
    while any(len(m.sas) < COUNT + 2 for m in mirrors) and time.monotonic() < deadline:
        for mirror in mirrors:
            mirror.step(0.01)
    for name, ns, mirror in zip("AB", (a_ns, b_ns), mirrors):
        equal(f"{COUNT} created under traffic: the reader of {name} knows all", COUNT + 2, len(mirror.sas))
        print(f"# {name}: {mirror.pulls} pulls, {mirror.resyncs} resyncs, "
              f"{time.monotonic() - began:.0f} s", flush=True)
    dying = []
    for plan in plans:
        keep = rng.sample(range(COUNT), COUNT // 2)
        dying.append([plan[1][i] for i in keep] + [plan[0][i] for i in keep[:100]])
    drain([batch(ns, commands) for ns, commands in zip((a_ns, b_ns), dying)])
    stop.set()
    sender.join()
    while any([mirror.step(0.5) for mirror in mirrors]):
        pass
    for name, ns, mirror in zip("AB", (a_ns, b_ns), mirrors):
        text = ip(ns, "-s -d xfrm state")
        kernel = sorted(int(spi, 16) for spi in re.findall(r"spi 0x(\w+)", text))
        equal(f"half deleted, some again: the reader of {name} has what the kernel has",
              kernel, sorted(spi for _, spi in mirror.sas))
        blocks = [b for b in re.split(r"\n(?=src )", text) if re.search("spi 0x0000100[01]", b)]
        for sa in map(parse_sa, blocks):
            have = mirror.sas[sa["dst"], sa["spi"]]
            equal(f"with the kernel's numbers in {name}, {sa['spi']:#x}", (sa["oseq"], sa["seq"]),
                  (have["oseq"], have["seq"]))
    check("there was traffic", sent[0] > 100, sent)
    stats = [mirror.client.stats() for mirror in mirrors]
    check("nobody was left out", all(s["track-failed"] == 0 for s in stats), stats)


def reading(ns):
    """A reader that comes back whenever the module does, and one that dumps."""
    while os.path.exists(f"/run/netns/{ns}"):
        try:
            mirror = Mirror(ns)
            other = nl.Client(ns)
            try:
                while os.path.exists(f"/run/netns/{ns}"):
                    mirror.step(0.02)
                    list(other.pick("get", ("spi",)))
            finally:
                mirror.client.close()
                other.close()
        except NO_MODULE:
            time.sleep(0.01)


def churning(ns):
    while os.path.exists(f"/run/netns/{ns}"):
        add, delete = lines(0x200000, 500)
        batch(ns, add + delete).wait()


def visiting(ns, while_ns):
    """A namespace that comes with a reader, SAs, and policies, has them rekeyed, replaced and
    flushed, and goes with what is left: SAs and the reader."""
    add, delete = lines(0x300000, 100)
    rekeyed, _ = lines(0x400000, 100)
    policies = [f"xfrm policy {{}} src 10.{i}.0.0/16 dst 10.2.0.0/16 dir out tmpl src {A_END} dst {B_END}"
                f" proto esp reqid {i + 1} mode tunnel" for i in range(100)]
    work = [policy.format("add") for policy in policies] + add
    work += [line for pair in zip(rekeyed, delete) for line in pair]
    work += [policy.format("update") for policy in policies]
    work += ["xfrm policy flush", "xfrm state flush"] + add
    while os.path.exists(f"/run/netns/{while_ns}"):
        subprocess.run(["ip", "netns", "add", ns], check=True)
        with contextlib.ExitStack() as reader:
            with contextlib.suppress(*NO_MODULE):
                reader.callback(Mirror(ns).client.close)
            batch(ns, work).wait()
            subprocess.run(["ip", "netns", "delete", ns], check=True)


def forever(a_ns, b_ns, c_ns=None):
    udp = Udp(a_ns)
    threads = [threading.Thread(target=target, args=(ns,)) for ns in (a_ns, b_ns)
               for target in (reading, churning)]
    if c_ns:
        threads.append(threading.Thread(target=visiting, args=(c_ns, a_ns)))
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with contextlib.suppress(OSError):
            udp.send("10.2.0.1", 2)
        time.sleep(0.005)


def unload(ns):
    """delete_module(2) over and over: a dump that is under way holds the module, and the
    moments in which none is are short. A process for each try would miss them."""
    deadline = time.monotonic() + 90 * SLOW
    while True:
        with contextlib.suppress(OSError), contextlib.closing(nl.Client(ns)) as client:
            if client.status()["reader"]:
                break
        if time.monotonic() > deadline:
            raise SystemExit("no reader came back")
    libc = ctypes.CDLL(None, use_errno=True)
    tries = 1
    while libc.delete_module(b"xfrmsync", os.O_NONBLOCK):
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY):
            raise SystemExit(os.strerror(ctypes.get_errno()))
        if time.monotonic() > deadline:
            raise SystemExit(f"in use, {tries} times")
        tries += 1
    print(f"# gone at try {tries}")


main(lambda verb, *args: {"stream": stream, "forever": forever, "unload": unload}[verb](*args))
