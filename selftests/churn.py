# SPDX-License-Identifier: GPL-2.0
"""Thousands of SAs created and deleted by `ip -batch`, traffic, readers, dumps.

In: stream A B | forever A B C | unload A. C is made and deleted, again and again.
Out: results | "turn N" whenever each thing was done once more, and when A and B have gone how often
each was; exit code 1 if one of those that do it gave up, or something was never done | the module
is gone while they are at it, or exit code 1.
"""

import collections
import contextlib
import ctypes
import errno
import os
import re
import struct
import subprocess
import tempfile
import threading
import time
import traceback

import nl
from kt import SLOW, Udp, check, equal, ip, main, parse_sa, rng, sa_id, sa_text, until

# Of the debug kernel it is the time that counts, of the others too: a minute for 5000.
COUNT = 5000 // max(SLOW, 2)
A_END, B_END = "192.0.2.1", "192.0.2.2"
TUNNEL_SPI, REKEYED = 0x1000, 0x500000
# What a client meets where the module goes, or is not there.
NO_MODULE = (OSError, ValueError, TypeError, KeyError, struct.error)
GONE = "No such process"    # of an SA that a flush has taken


def lines(first, count):
    add = ["xfrm state add " + sa_text(A_END, B_END, first + i, esn=True, window=64, label="churn")
           for i in range(count)]
    delete = [f"xfrm state delete src {A_END} dst {B_END} proto esp spi {first + i:#x}"
              for i in range(count)]
    return add, delete


class Batch:
    """A process that runs commands of ip."""

    def __init__(self, ns, commands):
        self.said = tempfile.TemporaryFile("w+", encoding="utf-8")      # pylint: disable=consider-using-with
        self.child = subprocess.Popen(["ip", "-n", ns, "-force", "-batch", "-"], stdin=subprocess.PIPE,
                                      stdout=self.said, stderr=self.said, text=True)
        self.text = "\n".join(commands) + "\n"
        threading.Thread(target=self.feed, daemon=True).start()

    def feed(self):
        with contextlib.suppress(OSError):
            self.child.stdin.write(self.text)
            self.child.stdin.close()

    def runs(self):
        return self.child.poll() is None

    def wait(self):
        """How many failed, by what was said of them."""
        self.child.wait()
        self.said.seek(0)
        said = collections.Counter(line.strip().removeprefix("RTNETLINK answers: ") for line in self.said
                                   if line.strip() and not line.startswith("Command failed"))
        self.said.close()
        return said


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

    def drain(batches):
        while any(one.runs() for one in batches):
            for mirror in mirrors:
                mirror.step(0.01)
        return [dict(one.wait()) for one in batches]

    began = time.monotonic()
    refused = drain([Batch(ns, plan[0]) for ns, plan in zip((a_ns, b_ns), plans)])
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
    refused += drain([Batch(ns, commands) for ns, commands in zip((a_ns, b_ns), dying)])
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
    equal("XFRM refused none of it", 4 * [{}], refused)
    check("there was traffic", sent[0] > 100, sent)
    stats = [mirror.client.stats() for mirror in mirrors]
    check("nobody was left out", all(s["track-failed"] == 0 for s in stats), stats)


# --- beside each other ------------------------------------------------------------------------

class Crew:
    """Threads, each until the namespaces that it works in have gone; what they did."""

    # Of each at least one; the others are told only.
    WANTED = ("SAs made", "SAs deleted", "snapshots", "pulls", "dumps", "C came", "C came with a reader",
              "SAs rekeyed in C", "policies replaced in C", "flushes in C", "roles in C", "rekeys under traffic",
              "flushes under traffic", "leases under traffic", "fences under traffic")

    def __init__(self):
        self.did, self.gave_up, self.threads = collections.Counter(), [], []
        self.before = self.did.copy()

    def start(self, work, *lasting, more=()):
        """Until one of the namespaces that last has gone."""
        def guarded():
            try:
                while self.are_there(*lasting):
                    work(self, *lasting, *more)
            except Exception:       # pylint: disable=broad-except
                if self.are_there(*lasting):
                    self.gave_up.append(f"{work.__name__}{lasting}: {traceback.format_exc(limit=-3)}")
        self.threads.append(threading.Thread(target=guarded))
        self.threads[-1].start()

    @staticmethod
    def are_there(*namespaces):
        return all(os.path.exists(f"/run/netns/{ns}") for ns in namespaces)

    def run(self, ns, commands, *allowed):
        """A batch; what else fails than what is allowed ends the thread."""
        said = Batch(ns, commands).wait()
        wrong = set(said) - set(allowed)
        if wrong and self.are_there(ns):
            raise RuntimeError(f"{ns}: {dict(said)}")
        return sum(said.values())

    def turns(self):
        """Everything was done since it last was."""
        enough = all(self.did[what] > self.before[what] for what in self.WANTED)
        if enough:
            self.before = self.did.copy()
        return enough

    def judge(self):
        missing = [what for what in self.WANTED if not self.did[what]]
        print(", ".join(f"{self.did[what]} {what}" for what in [*self.WANTED, *sorted(set(self.did) - set(self.WANTED))]))
        for text in self.gave_up:
            print("gave up: " + text.replace("\n", " | "))
        if missing:
            print(f"never done: {', '.join(missing)}")
        return not (missing or self.gave_up)


def reading(crew, ns):
    """A reader that comes back whenever the module does, and one that dumps."""
    try:
        with contextlib.closing(nl.Client(ns)) as other:
            mirror = Mirror(ns)
            crew.did["snapshots"] += 1
            try:
                while crew.are_there(ns):
                    crew.did["pulls"] += mirror.step(0.02)
                    list(other.pick("get", ("spi",)))
                    crew.did["dumps"] += 1
            finally:
                mirror.client.close()
    except NO_MODULE:
        time.sleep(0.01)


def churning(crew, ns):
    add, delete = lines(0x200000, 500)
    crew.run(ns, add)
    crew.did["SAs made"] += len(add)
    crew.did["SAs deleted"] += len(delete) - crew.run(ns, delete, GONE)


def ruled(crew, ns, spi):
    """The SA has a lease, and its namespace each role."""
    with contextlib.suppress(*NO_MODULE), contextlib.closing(nl.Client(ns)) as client:
        try:
            client.role("standby", 5, 1)
            client.restore(sa_id(B_END, spi, tag=9, oseq=1000, **{"restore-flags": ["bind"]}), epoch=5, node=1)
            client.role("active", 6, 1)
            client.bind(sa_id(B_END, spi, tag=9, **{"lease-end": 1 << 20}))
            crew.did["roles in C"] += 1
        finally:
            client.role("none")


def visiting(crew, while_ns, ns):
    """A namespace that comes with a reader, SAs, and policies, has them rekeyed, replaced and
    flushed, has roles, and goes with what is left: SAs and the reader."""
    add, delete = lines(0x300000, 100)
    rekeyed, _ = lines(0x400000, 100)
    policies = [f"xfrm policy {{}} src 10.{i}.0.0/16 dst 10.2.0.0/16 dir out tmpl src {A_END} dst {B_END}"
                f" proto esp reqid {i + 1} mode tunnel" for i in range(100)]
    subprocess.run(["ip", "netns", "add", ns], check=True)
    crew.did["C came"] += 1
    with contextlib.ExitStack() as reader:
        with contextlib.suppress(*NO_MODULE):
            reader.callback(Mirror(ns).client.close)
            crew.did["C came with a reader"] += 1
        crew.run(ns, [policy.format("add") for policy in policies] + add)
        crew.run(ns, [line for pair in zip(rekeyed, delete) for line in pair])
        ruled(crew, ns, 0x400000)
        crew.run(ns, [policy.format("update") for policy in policies] +
                 ["xfrm policy flush", "xfrm state flush"] + add)
        subprocess.run(["ip", "netns", "delete", ns], check=True)
    crew.did["SAs made"] += 3 * len(add)
    crew.did["SAs rekeyed in C"] += len(rekeyed)
    crew.did["policies replaced in C"] += len(policies)
    crew.did["flushes in C"] += 1


def leased(crew, ns, spi):
    """A is active for a moment, and the new SA has a lease."""
    with contextlib.suppress(*NO_MODULE), contextlib.closing(nl.Client(ns)) as client:
        try:
            client.role("active", 5, 1)
            answer = client.bind(sa_id(B_END, spi, tag=9, **{"lease-end": 1 << 30}))
            crew.did["leases under traffic"] += answer.get("applied", 0)
        finally:
            client.role("none")


def fenced(crew, ns):
    """B is standby for a moment."""
    with contextlib.suppress(*NO_MODULE), contextlib.closing(nl.Client(ns)) as client:
        try:
            crew.did["fences under traffic"] += client.role("standby", 5, 1)["fence"] != "down"
        finally:
            client.role("none")


class Tunnel:
    """Its way out of A, which is rekeyed, or flushed at both ends and made again."""

    def __init__(self, a_ns, b_ns):
        self.a_ns, self.b_ns, self.spi, self.times = a_ns, b_ns, TUNNEL_SPI, 0
        self.source, self.sink = Udp(a_ns), Udp(b_ns).bind("10.2.0.1", 10).sock
        self.sink.settimeout(0.1)

    def arrives(self, number):
        """A packet that is sent from here on: none of before has that size."""
        self.source.send("10.2.0.1", size=number, port=10)
        with contextlib.suppress(TimeoutError):
            while True:
                if len(self.sink.recv(2000)) == number:
                    return True
        return False

    def rekey(self, crew):
        old, self.times = self.spi, self.times + 1
        self.spi = REKEYED + self.times
        add = "xfrm state add " + sa_text(A_END, B_END, self.spi, esn=True, window=128, mode="tunnel")
        delete = f"xfrm state delete src {A_END} dst {B_END} proto esp spi {old:#x}"
        flush = self.times % 3 == 0
        if flush:
            add, delete = f"xfrm state flush\n{add}", None
        # Who receives by it has it first.
        for ns in (self.b_ns, self.a_ns):
            crew.run(ns, add.split("\n"))
        leased(crew, self.a_ns, self.spi)
        fenced(crew, self.b_ns)
        for ns in (self.a_ns, self.b_ns) if delete else ():
            crew.run(ns, [delete])
        if until(lambda: not crew.are_there(self.a_ns, self.b_ns) or self.arrives(1 + self.times % 1000), 20):
            crew.did["flushes under traffic" if flush else "rekeys under traffic"] += 1
        else:
            raise RuntimeError(f"no packet by {self.spi:#x}, rekeyed {self.times} times")


def rekeying(crew, a_ns, b_ns):
    tunnel = Tunnel(a_ns, b_ns)
    while crew.are_there(a_ns, b_ns):
        tunnel.rekey(crew)


def forever(a_ns, b_ns, c_ns):
    udp, crew = Udp(a_ns), Crew()
    for ns in (a_ns, b_ns):
        crew.start(reading, ns)
        crew.start(churning, ns)
    crew.start(visiting, a_ns, more=(c_ns,))
    crew.start(rekeying, a_ns, b_ns)
    turns = 0
    while any(thread.is_alive() for thread in crew.threads):
        if crew.turns():
            turns += 1
            print("turn", turns, flush=True)
        with contextlib.suppress(OSError):
            udp.send("10.2.0.1", 2)
            crew.did["packets"] += 2
        time.sleep(0.005)
    if not crew.judge():
        raise SystemExit(1)


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
