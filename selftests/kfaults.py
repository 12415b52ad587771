# SPDX-License-Identifier: GPL-2.0
"""Allocations of the kernel fail, one by one, in each thing that the module does.

In: steps A B | works A B | storm A B, namespaces with a tunnel; load MODULE; the seed. A kernel
with fault injection (CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC, its stacktrace filter).
Out: results. What the kernel says beside them, and what leaks, is judged by who runs the tests.

`steps` is what a task asks for: the first allocation of it fails, then the second one, until
none is left (/proc/thread-self/fail-nth). By default those count that have the module on the
stack; XFRMSYNC_FAULTS=all has netlink's own fail as well. `works` is what happens in workers.
Either is done, wholly, or refused, and then nothing was done; what nobody can be told of (an
SA that comes) is made good by the module itself.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import signal
import struct
import threading
import time

import nl
from kt import ESP, SLOW, Udp, check, ip, key, main, rng, sa_id, until

FAULTS = os.environ.get("XFRMSYNC_FAULTS") or "12"
EVERY = FAULTS == "all"
DEBUGFS = "/sys/kernel/debug/"
ATTRS = ("failslab", "fail_page_alloc")
MODULES = (0xffffffffa0000000, 0xffffffffff000000)      # where x86_64 puts modules
SANE = {errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN}
# Of what takes long, spread evenly, unless every one shall fail.
MOST = 0 if EVERY else int(FAULTS)
A_END, B_END = "192.0.2.1", "192.0.2.2"
FIXED, COMING = 0x5000, 0x5001      # SPIs: an SA that is there, and one that is not
BMP = 128
libc = ctypes.CDLL(None, use_errno=True)
NEWSA, DELSA, GETSA, ALLOCSPI, EXPIRE, UPDSA, FLUSHSA = 0x10, 0x11, 0x12, 0x16, 0x18, 0x1a, 0x1c


# --- the kernel's knobs -----------------------------------------------------------------

def knob(attr, name, value):
    with open(f"{DEBUGFS}{attr}/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


def knob_is(attr, name):
    with open(f"{DEBUGFS}{attr}/{name}", encoding="ascii") as file:
        return int(file.read(), 0)


def symbols(wanted):
    """Where code begins and ends, by the kernel's own list."""
    found = []
    with open("/proc/kallsyms", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[1] in "tTwW" and wanted(words):
                found.append(int(words[0], 16))
    return (min(found), max(found) + 4096) if found else None


def ours():
    return symbols(lambda words: words[-1] == "[xfrmsync]")


def function(name, *module):
    """Where one of the kernel, or of a module, begins and, at most, ends."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        places = {}
        for line in file:
            words = line.split()
            if tuple(words[3:]) == module and words[1] in "tTwW":
                places[words[2]] = int(words[0], 16)
    # Whose rule is about one that is not there has no rule.
    assert name in places, f"no function {name} in this kernel"
    begin = places[name]
    return begin, min((place for place in places.values() if place > begin), default=begin + 4096)


def settings(where, spared="__alloc_object", pages=True):
    """Any allocation may fail that has `where` on the stack, but those of one function: of
    kmemleak's own notes, as a rule, which switches itself off when it has none left. When slab
    takes pages differs from run to run: without them the nth is the same one again."""
    spared = function(spared)
    for attr in ATTRS:
        knob(attr, "probability", 0)
        knob(attr, "verbose", 0)
        knob(attr, "interval", 1)
        knob(attr, "times", -1)
        knob(attr, "space", 0)
        knob(attr, "task-filter", "N")
        knob(attr, "ignore-gfp-wait", "N")
        knob(attr, "stacktrace-depth", 32)
        knob(attr, "require-start", where[0])
        knob(attr, "require-end", where[1])
        knob(attr, "reject-start", spared[0])
        knob(attr, "reject-end", spared[1])
    if not pages:
        knob("fail_page_alloc", "stacktrace-depth", 0)
    knob("failslab", "cache-filter", "N")
    knob("fail_page_alloc", "min-order", 0)
    knob("fail_page_alloc", "ignore-gfp-highmem", "N" if where[0] else "Y")


ANYWHERE = (0, 2 ** 64 - 1)


class Nth:
    """The nth allocation of this thread, from here on, fails; that of NONE only counts them."""

    NONE = 1000000

    def __init__(self):
        self.file = os.open("/proc/thread-self/fail-nth", os.O_RDWR)

    def close(self):
        os.close(self.file)

    def run(self, number, func):
        """(how many allocations were left, what func said or the OSError)."""
        os.pwrite(self.file, b"%d" % number, 0)
        try:
            said = func()
        except (OSError, MemoryError) as error:
            said = error
        left = int(os.pread(self.file, 20, 0).strip(b"\0\n") or b"0")
        os.pwrite(self.file, b"0", 0)
        return left, said


@contextlib.contextmanager
def any_of(space, times=1, probability=100):
    """Of all tasks and interrupts: as many allocations, after those of `space` bytes."""
    for attr in ATTRS:
        knob(attr, "times", times)
        knob(attr, "space", space)
        knob(attr, "probability", probability)
    try:
        yield
    finally:
        for attr in ATTRS:
            knob(attr, "probability", 0)
            knob(attr, "space", 0)


def failed(times):
    return sum(times - knob_is(attr, "times") for attr in ATTRS)


# --- XFRM, by one thread and without a process -------------------------------------------

def sa_info(spi, dst=B_END, proto=ESP, src=A_END):
    family, daddr = nl.address(dst)
    never = struct.pack("QQQQQQQQ", *(4 * [2 ** 64 - 1] + 4 * [0]))
    return (bytes(56) + daddr.ljust(16, b"\0") + struct.pack(">IBxxx", spi, proto) +
            nl.address(src)[1].ljust(16, b"\0") + never + bytes(32 + 12) +
            struct.pack("=IIHBBBxxxxxxx", 0, 7, family, 0, 0, 0x80))


def sa_new(spi, **where):
    """ESN, a window of 128, AES-GCM."""
    name = b"rfc4106(gcm(aes))".ljust(64, b"\0")
    algo = name + struct.pack("II", 160, 128) + bytes.fromhex(key(20, spi)[2:])
    esn = struct.pack("IIIIII", BMP // 32, 0, 0, 0, 0, BMP) + bytes(BMP // 8)
    return sa_info(spi, **where) + nl.nla(18, algo) + nl.nla(23, esn)


def sa_del(spi, dst=B_END, proto=ESP):
    family, daddr = nl.address(dst)
    return daddr.ljust(16, b"\0") + struct.pack(">I", spi) + struct.pack("HBx", family, proto)


def spis_of_xfrm(xfrm):
    return sorted(struct.unpack_from(">I", data, 72)[0]
                  for data in xfrm.talk(GETSA, nl.NLM_F_DUMP, b""))


# --- what there is ------------------------------------------------------------------------

class Place:
    """A namespace, asked by sockets of its own that no allocation fails for."""

    def __init__(self, ns=None):
        self.ns = ns
        self.client, self.xfrm = nl.Client(ns), nl.Xfrm(ns)
        self.used = []

    def close(self):
        for one in [self.client, self.xfrm, *self.used]:
            one.close()
        self.used = []

    def other(self):
        """A socket that fails, and does not matter any more."""
        with nl.netns(self.ns):
            self.used.append(nl.Client())
        return self.used[-1]

    def forget(self):
        for one in self.used:
            one.close()
        self.used = []

    def add(self, *spis, **where):
        for spi in spis:
            self.xfrm.ask(NEWSA, sa_new(spi, **where), 0x600)

    def remove(self, *spis):
        for spi in spis:
            with contextlib.suppress(OSError):
                self.xfrm.ask(DELSA, sa_del(spi))

    def state(self):
        """All that a request can change, but for what packets do."""
        status = self.client.status()
        out = {name: status[name] for name in ("role", "epoch", "node", "parked", "watchdog-ms",
                                               "untold", "fence", "capture")}
        out["reader"] = bool(status["reader"])
        out["xfrm"] = spis_of_xfrm(self.xfrm)
        out["sas"] = {}
        for record in self.client.dump():
            spi = record["spi"]
            quiet = spi >= FIXED
            out["sas"][spi] = {
                n: record.get(n) for n in ("tag", "oseq", "seq", "bitmap", "lease-end", "guard-end", "given-end")
                if quiet or n not in ("oseq", "seq", "bitmap")}
            out["sas"][spi]["flags"] = sorted(set(record["flags"]) - {"restored"})
        return out


class Fresh(Place):
    """A namespace that was never used: it goes with its sockets."""

    def __init__(self):
        with home():
            assert not libc.unshare(nl.CLONE_NEWNET), os.strerror(ctypes.get_errno())
            super().__init__()
            self.made = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def other(self):
        with home():
            assert not libc.setns(self.made, nl.CLONE_NEWNET)
            self.used.append(nl.Client())
        return self.used[-1]

    def close(self):
        super().close()
        os.close(self.made)


@contextlib.contextmanager
def home():
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        assert not libc.setns(here, nl.CLONE_NEWNET)
        os.close(here)


def not_refused(answer):
    """Of a batch each record is refused for itself."""
    for result in answer.get("result", ()):
        if result["errno"]:
            raise OSError(-result["errno"], result["reason"])


def of_fixed(spi=FIXED, **more):
    return dict(sa_id(B_END, spi), **{n.replace("_", "-"): v for n, v in more.items()})


def record_of(oseq, spi=FIXED, **more):
    more.setdefault("restore_flags", ["bind"])
    return of_fixed(spi, flags=["esn", "bmp"], oseq=oseq, seq=oseq, window=BMP,
                    bitmap=[0] * (BMP // 32), tag=9, **more)


# --- steps --------------------------------------------------------------------------------

class Step:
    """Something that a task asks for. `module`: the module allocates in it."""

    name, module, fresh = "", True, False
    alone = False           # with netlink's own allocations too it would be XFRM's test

    def __init__(self, place):
        self.place = place

    def before(self):
        """What has to be; the old state."""

    def do(self, client):
        """The step; what it says, or an OSError."""

    def after(self):
        """Back to where `before` can begin again."""

    def state(self):
        return self.place.state()

    def look(self, said):
        """What is wrong beyond the state, or None."""


def step(name, module=True, fresh=False, alone=False):
    def wrap(cls):
        cls.name, cls.module, cls.fresh, cls.alone = name, module, fresh, alone
        STEPS.append(cls)
        return cls
    return wrap


STEPS = []


@step("get")
class Get(Step):
    def do(self, client):
        return client.get(**of_fixed())

    def look(self, said):
        return None if isinstance(said, OSError) or said["spi"] == FIXED else said


@step("get, all", module=False)
class Dump(Step):
    def do(self, client):
        return client.dump()

    def look(self, said):
        want = sorted(self.place.state()["sas"])
        if isinstance(said, OSError) or sorted(r["spi"] for r in said) == want:
            return None
        return f"a dump that lacks some, and says nothing: {said}"


@step("status-get")
class Status(Step):
    def do(self, client):
        return client.status()


@step("stats-get")
class Stats(Step):
    def do(self, client):
        return client.stats()


@step("subscribe")
class Subscribe(Step):
    def do(self, client):
        return client.subscribe()

    def after(self):
        self.place.forget()
        until(lambda: not self.place.client.status()["reader"])


@step("unsubscribe", module=False)
class Unsubscribe(Subscribe):
    def before(self):
        self.place.other().subscribe()

    def do(self, client):
        return self.place.used[0].do("unsubscribe")


@step("pull", module=False)
class Pull(Subscribe):
    """What a pull that failed did not bring, the next one does."""

    def before(self):
        self.place.other().subscribe()
        self.got = []

    def do(self, client):
        for record in self.place.used[0].answers("pull", flags=nl.NLM_F_DUMP):
            self.got.append(record["spi"])

    def look(self, said):
        reader, want = self.place.used[0], set(self.place.state()["sas"])
        if isinstance(said, OSError):       # the rest of that one, if any
            with contextlib.suppress(OSError):
                while message := reader.receive(0.3):
                    if message[0] == reader.family and message[3][0] == reader.spec.ops["pull"]["id"]:
                        self.got.append(reader.spec.decode("record", message[3][4:])["spi"])

        def all_told():
            with contextlib.suppress(OSError):
                self.got += [r["spi"] for r in reader.pull()]
            return want <= set(self.got)
        return None if until(all_told) else f"never told: {want - set(self.got)}"


class Role(Step):
    def after(self):
        self.place.forget()
        self.place.client.role("none")
        self.place.remove(COMING)


@step("role-set standby, the fence's hooks", fresh=True)
class Standby(Role):
    """It is fenced in any case: by hooks, or SA by SA until there are some."""

    def do(self, client):
        return client.role("standby", 5, 1)

    def look(self, said):
        if isinstance(said, OSError) or said["fence"] in ("hooks", "sas"):
            return None
        return f"standby, and not fenced: {said}"


@step("role-set standby by steps", fresh=True)
class Drain(Role):
    def before(self):
        self.place.client.role("active", 4, 1)

    def do(self, client):
        return client.role("standby", 5, 1, drain=1)


@step("role-set active, somebody listens")
class Active(Role):
    """Who listens hears of it, or that something was lost."""

    def before(self):
        self.place.client.role("standby", 4, 1)
        self.place.other().join("events")

    def do(self, client):
        return client.role("active", 5, 1)

    def look(self, said):
        if isinstance(said, OSError):
            return None
        try:
            event = self.place.used[0].event(5 * SLOW)
        except OSError as error:
            return None if error.errno == errno.ENOBUFS else error
        return None if event and event[0] == "role-ntf" else f"heard of nothing: {event}"


@step("role-set none")
class Nobody(Role):
    def before(self):
        self.place.client.role("active", 4, 1)

    def do(self, client):
        return client.role("none")


@step("watchdog-set")
class Watchdog(Role):
    def before(self):
        self.place.client.role("active", 4, 1)

    def do(self, client):
        return client.watchdog(3000000)


class Restoring(Role):
    def before(self):
        self.place.client.role("standby", 5, 1)

    def after(self):
        super().after()
        self.place.remove(FIXED)
        self.place.add(FIXED)


@step("restore, of a newer epoch")
class Restore(Restoring):
    def do(self, client):
        not_refused(client.restore(record_of(1000), epoch=6, node=1))


@step("restore, merged")
class Merge(Restoring):
    def before(self):
        super().before()
        self.place.client.restore(record_of(1000), epoch=5, node=1)

    def do(self, client):
        not_refused(client.restore(record_of(3000, restore_flags=["merge"]), epoch=5, node=1))


@step("restore, parked")
class Park(Restoring):
    def do(self, client):
        not_refused(client.restore(record_of(1000, COMING), epoch=5, node=1))


@step("restore, parked in place of another")
class ParkAgain(Restoring):
    """Which one is parked its SA shows, when it comes."""

    def before(self):
        super().before()
        self.place.client.restore(record_of(1000, COMING), epoch=5, node=1)

    def do(self, client):
        not_refused(client.restore(record_of(2000, COMING), epoch=5, node=1))

    def state(self):
        self.place.add(COMING)
        out = self.place.state()
        self.place.remove(COMING)
        return out


@step("bind")
class Bind(Role):
    def do(self, client):
        not_refused(client.bind(of_fixed(tag=7)))

    def after(self):
        super().after()
        self.place.remove(FIXED)
        self.place.add(FIXED)


@step("bind, the guard's hooks", fresh=True)
class Guard(Bind):
    def do(self, client):
        not_refused(client.bind(of_fixed(tag=7, guard_end=1000)))


@step("bind, a parked record")
class BindParked(Restoring):
    def before(self):
        super().before()
        self.place.client.restore(record_of(1000, COMING), epoch=5, node=1)
        self.place.add(COMING)

    def do(self, client):
        not_refused(client.bind(of_fixed(COMING, tag=9)))


class Xfrm(Step):
    """What XFRM tells, the module takes up, now or a moment later."""

    def ask(self, kind, payload, flags=0):
        return self.place.xfrm.ask(kind, payload, flags)

    def after(self):
        self.place.remove(COMING)


@step("an SA comes", alone=True)
class New(Xfrm):
    def do(self, client):
        self.ask(NEWSA, sa_new(COMING), 0x600)


@step("an SA comes to a standby", alone=True)
class NewToStandby(New):
    def before(self):
        self.place.client.role("standby", 5, 1)
        self.place.client.restore(record_of(1000, COMING), epoch=5, node=1)

    def after(self):
        super().after()
        self.place.client.role("none")


@step("an SA in place of a larval one", alone=True)
class Update(Xfrm):
    def before(self):
        self.ask(ALLOCSPI, sa_info(0) + struct.pack("II", COMING, COMING))

    def do(self, client):
        self.ask(UPDSA, sa_new(COMING))


@step("an SA goes", module=False, alone=True)
class Gone(Xfrm):
    def before(self):
        self.place.add(COMING)

    def do(self, client):
        self.ask(DELSA, sa_del(COMING))


@step("an SA expires", module=False, alone=True)
class Expired(Gone):
    def do(self, client):
        self.ask(EXPIRE, sa_info(COMING) + struct.pack("=Bxxxxxxx", 1))


@step("a flush", module=False, alone=True, fresh=True)
class Flush(Xfrm):
    def do(self, client):
        self.place.xfrm.ask(FLUSHSA, struct.pack("Bxxx", 0))



def diff(want, have):
    return {n: (want.get(n), have.get(n)) for n in {**want, **have} if want.get(n) != have.get(n)}


def spread(count, every=EVERY):
    """Which of so many shall fail."""
    if every or count <= MOST:
        return range(1, count + 1)
    return sorted({1, count, *(1 + int((i + rng.random()) * count / MOST) for i in range(MOST))})


class Run:
    """A step: as it is, then with each of its allocations."""

    def __init__(self, nth, cls, place, every):
        self.nth, self.cls, self.place, self.every = nth, cls, place, every
        self.wrong, self.old, self.new = [], None, None
        self.failed = self.refused = 0

    @contextlib.contextmanager
    def begun(self):
        place = Fresh() if self.cls.fresh else self.place
        if self.cls.fresh:
            place.add(FIXED)
        one = self.cls(place)
        try:
            one.before()
            yield one
            one.after()
            place.forget()
        finally:
            if self.cls.fresh:
                place.close()

    def once(self, number):
        """How many allocations were left."""
        with self.begun() as one:
            client = one.place.other()
            old = one.state()
            if self.old not in (None, old):
                self.wrong.append(f"{number}: not as before it: {diff(self.old, old)}")
            self.old = self.old or old
            left, said = self.nth.run(number, lambda: one.do(client))
            looked = one.look(said)
            if looked:
                self.wrong.append(f"{number}: {looked}")
            self.judge(one, number, said)
        return left

    def judge(self, one, number, said):
        refused = isinstance(said, (OSError, MemoryError))
        if refused and getattr(said, "errno", None) not in SANE:
            self.wrong.append(f"{number}: {said!r}")
        if self.new is None:
            self.new = one.state()
            return
        good = [self.old] if refused else [self.new]
        if refused and self.every:      # maybe it was but the answer that was lost
            good.append(self.new)
        if not until(lambda: one.state() in good, 10):
            self.wrong.append(f"{number}: {said!r}: {diff(good[-1], one.state())}")
        self.refused += refused

    def all(self):
        count = Nth.NONE - self.once(Nth.NONE)
        for number in spread(count):
            if len(self.wrong) < 3:
                self.failed += self.once(number) == 0
        name = self.cls.name + (", netlink's allocations too" if self.every else "")
        print(f"{name}: {count} allocations, {self.failed} failed, {self.refused} refused", flush=True)
        check(name, not self.wrong and (self.failed or not (self.cls.module or self.every)),
              self.wrong or "no allocation of it failed")


class Traffic:
    """Packets by the tunnel, all the time, by a process that nothing fails for."""

    def __init__(self, a_ns, b_ns):
        self.sink = Udp(b_ns).bind("10.2.0.1").sock
        self.sink.settimeout(0.2)
        source = Udp(a_ns)
        self.pid = os.fork()
        if self.pid:
            return
        while True:
            with contextlib.suppress(OSError):
                source.send("10.2.0.1")
            time.sleep(0.005)

    def come(self):
        try:
            return self.sink.recv(100)
        except TimeoutError:
            return b""

    def flows(self, seconds=20):
        """One that was sent from here on."""
        self.sink.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sink.recv(100)
        self.sink.settimeout(0.2)
        return until(self.come, seconds)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@contextlib.contextmanager
def all_of(a_ns, b_ns):
    where = ours()
    settings(where)
    traffic, place, nth = Traffic(a_ns, b_ns), Place(a_ns), Nth()
    place.add(FIXED)
    try:
        yield traffic, place, nth
        check("traffic goes on", traffic.flows())
    finally:
        traffic.end()
        for attr in ATTRS:
            knob(attr, "probability", 0)
        place.remove(FIXED)
        place.close()
        nth.close()


def steps(a_ns, b_ns):
    with all_of(a_ns, b_ns) as (traffic, place, nth):
        for cls in STEPS:
            Run(nth, cls, place, False).all()
        if not EVERY:
            return
        settings(ANYWHERE)
        for cls in STEPS:
            if not cls.alone:
                Run(nth, cls, place, True).all()
        check("traffic went on", traffic.flows())


# --- works --------------------------------------------------------------------------------

def woken(place, space):
    """A change that is the last one for now: its reader hears of it all the same."""
    reader = place.other()
    reader.subscribe()
    reader.pull()
    with any_of(space):
        place.add(COMING)
        told = set()

        def all_told():
            with contextlib.suppress(OSError):
                if reader.wakeup(0.5):
                    told.update(r["spi"] for r in reader.pull())
            return COMING in told
        good = until(all_told, 10)
        hit = failed(1)
    place.remove(COMING)
    place.forget()
    return hit, None if good else "the reader never heard of it"


def asked(func):
    with contextlib.suppress(OSError):
        func()
        return True
    return False


def untold(place, space):
    """An SA that XFRM tells nobody of is found, by a walk, or by the next one."""
    place.xfrm.ask(ALLOCSPI, sa_info(0) + struct.pack("II", COMING, COMING))
    with any_of(space):
        until(lambda: asked(place.other().subscribe))
        # Slab and pages have one each: this may get the other.
        good = until(lambda: asked(lambda: place.client.get(**of_fixed(COMING))), 10)
        hit = failed(1)
    place.remove(COMING)
    place.forget()
    return hit, None if good else "never followed"


def rekeyed(place, space):
    """A soft expiry that XFRM has no memory to tell of: no harm here."""
    place.client.role("standby", 5, 1)
    place.client.restore(record_of(1000, restore_flags=["bind", "fenced"]), epoch=5, node=1)
    with any_of(space):
        until(lambda: asked(lambda: place.other().role("active", 6, 1)))
        until(lambda: failed(1), 1)
        hit = failed(1)
    good = place.client.role("active", 7, 1)["role"] == "active"
    place.client.role("none")
    place.remove(FIXED)
    place.add(FIXED)
    place.forget()
    return hit, None if good else "not active"


# At most so many bytes are allocated before the last of them.
WORKS = [("a wake-up", woken, 4096), ("a walk", untold, 4096), ("a soft expiry", rekeyed, 4096)]


def larger_table(place, most=10000):
    """No room for it, neither in one piece nor in pages: what there is goes on, without a word."""
    spis = range(0x7000, 0x7000 + 300)      # more than the first one is for
    settings(function("table_grow", "[xfrmsync]"))
    with any_of(0, most):
        place.add(*spis)
        until(lambda: failed(most) > 1, 10)
        count = failed(most)
        said = place.state()
    settings(ours())
    place.remove(*spis)
    check("a larger table", count > 1 and len(said["sas"]) >= len(spis) and said["xfrm"] == sorted(said["sas"]),
          (count, len(said["sas"])))


def hooks_again(nth):
    """No room for hooks, and none when it is tried again: SAs are stopped until there is."""
    number, again, good = 1, False, False
    for _ in range(100):
        fresh = Fresh()
        fresh.add(FIXED)
        client = fresh.other()
        left, said = nth.run(number, lambda: client.role("standby", 5, 1))
        without = not isinstance(said, OSError) and said["fence"] == "sas"
        if without:
            with any_of(0):
                again = until(lambda: failed(1), 1)
            good = until(lambda: fresh.client.status()["fence"] == "hooks", 20)
            fresh.client.role("none")
        fresh.close()
        # On a busy machine they may be there before any_of() is: then once more.
        if left or (without and (again or not good)):
            break
        number += not without
    check("the fence's hooks, again", again and good, (number, again, good))


def works(a_ns, b_ns):
    with all_of(a_ns, b_ns) as (_, place, nth):
        for name, func, most in WORKS:
            hits, wrong = 0, []
            # The smallest that there are: none of them is jumped over.
            for space in range(0, most, 64 if EVERY else 256):
                hit, what = func(place, space)
                hits += hit
                wrong += [f"after {space} bytes: {what}"] if what else []
                if not hit or len(wrong) > 2:
                    break
            print(f"{name}: {hits} failed", flush=True)
            check(name, hits and not wrong, wrong or "no allocation of it failed")
        larger_table(place)
        hooks_again(nth)


# --- storm --------------------------------------------------------------------------------

def requests(stop, ns, came):
    """What a task may ask for, again and again, whatever is said; `came`: how often, and of what
    it died, if it did."""
    place = Place(ns)
    try:
        while not stop.is_set():
            one = rng.choice([cls for cls in STEPS if cls is not Flush])(place)
            for act in (one.before, lambda one=one: one.do(place.other()), one.after, place.forget):
                with contextlib.suppress(OSError, IndexError, KeyError, TypeError):
                    act()
            came[0] += 1
    except BaseException as error:      # pylint: disable=broad-except
        came[1] = f"{one.name}: {error!r}"
    with contextlib.suppress(OSError):
        place.client.role("none")
    place.close()


def storm(a_ns, b_ns):
    """Of all contexts at once, a fifth of all allocations, while SAs and requests churn."""
    seconds, most = (60 if EVERY else 10) * max(1, SLOW // 4), 1000000
    stop = threading.Event()
    with all_of(a_ns, b_ns) as (traffic, place, _):
        asked_for = [0, None]
        thread = threading.Thread(target=requests, args=(stop, b_ns, asked_for))
        thread.start()
        came, deadline = 0, time.monotonic() + seconds
        with any_of(0, most, 20):
            while time.monotonic() < deadline:
                spis = range(0x6000, 0x6000 + rng.randrange(1, 400))
                ip(a_ns, "\n".join(f"xfrm state add src {A_END} dst {B_END} proto esp spi {spi} reqid 7 "
                                   f"mode transport aead rfc4106(gcm(aes)) {key(20, spi)} 128"
                                   for spi in spis) + "\n", ok=False)
                came += len(traffic.come())
                ip(a_ns, "\n".join(f"xfrm state delete dst {B_END} proto esp spi {spi}"
                                   for spi in rng.sample(spis, len(spis) // 2)) + "\n", ok=False)
            count = failed(most)
        stop.set()
        thread.join()
        print(f"{count} failed in {seconds} s, {place.client.stats()}", flush=True)
        check("of all contexts: many failed", count > 50, count)
        check("traffic went on meanwhile", came)
        check("requests, too, to the end", asked_for[0] > 1 and not asked_for[1], asked_for)
        check("each SA that there is is followed, and none else",
              until(lambda: (s := place.state())["xfrm"] == sorted(s["sas"]), 30))


# --- load ---------------------------------------------------------------------------------

PARAMETERS = [("capture=ftrace", "ftrace"), ("capture=kprobe", "kprobe"), ("capture=scan", "scan"),
              ("role=standby epoch=3 node=1", "ftrace")]


def load_once(nth, number, module, parameters):
    with open(module, "rb") as file:
        left, _ = nth.run(number, lambda: libc.syscall(313, file.fileno(), parameters.encode(), 0))
    return left


def loaded():
    return os.path.exists("/sys/module/xfrmsync/sections/.text")


def unload():
    if loaded():
        with contextlib.suppress(OSError), contextlib.closing(nl.Client()) as client:
            client.role("none")
    return until(lambda: not loaded() or not libc.delete_module(b"xfrmsync", os.O_NONBLOCK))


def enabled():
    """Functions that somebody traces."""
    with open("/sys/kernel/tracing/enabled_functions", encoding="ascii") as file:
        return sorted(line.split()[0] for line in file)


def load(module):
    nth = Nth()
    for parameters, capture in PARAMETERS:
        # 6.12 leaks the name of a cache that finds no place in /sys, whosever it is.
        settings(MODULES, "sysfs_slab_add", capture != "scan")
        before, hits, refused, wrong = enabled(), 0, 0, []
        count = Nth.NONE - load_once(nth, Nth.NONE, module, parameters)
        unload()
        every = EVERY or capture == "scan"
        for number in spread(count, every):
            hits += load_once(nth, number, module, parameters) == 0
            if loaded():
                with contextlib.closing(nl.Client()) as client:
                    status = client.status()
                if status["capture"] != capture or (status["role"] == "standby") != ("role" in parameters):
                    wrong.append(f"{number}: {status}")
            else:
                refused += 1
            if not unload():
                wrong.append(f"{number}: cannot be unloaded")
                break
            if enabled() != before:
                wrong.append(f"{number}: still traced: {set(enabled()) - set(before)}")
        print(f"{parameters}: {count} allocations, {hits} failed, {refused} refused", flush=True)
        # Many are the kernel's notes of what it does: a few of them may hit no other.
        check(f"loaded with {parameters}", hits and (refused or not every) and not wrong,
              wrong or (hits, refused))
    namespaces(nth, module)
    nth.close()


def namespaces(nth, module):
    """A namespace is made, with all that the module has of it, or not at all."""
    load_once(nth, Nth.NONE, module, "")
    settings(ours())
    hits, wrong = 0, []

    def make():
        if libc.unshare(nl.CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
    for number in itertools.count(1):
        with home():
            left, said = nth.run(number, make)
            if not isinstance(said, OSError):
                with contextlib.closing(nl.Client()) as client:
                    if client.status()["role"] != "none":
                        wrong.append(f"{number}: {client.status()}")
            elif said.errno not in SANE:
                wrong.append(f"{number}: {said}")
        if left:
            break
        hits += 1
    print(f"namespaces: {hits} failed", flush=True)
    check("a namespace comes", hits and not wrong, wrong or "no allocation of it failed")
    check("the module goes", unload())


main(lambda verb, *args: {"steps": steps, "works": works, "storm": storm, "load": load,
                          }[verb](*args))
