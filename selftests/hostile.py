# SPDX-License-Identifier: GPL-2.0
"""A peer with a valid certificate that means harm: to a standby, then to an active.

usage: hostile.py NETNS ADDRESS CA CERT KEY B_NETNS B_CONF B_LOG B_PID PHASE
In: the namespace and the credentials of peer d; the daemon b, which has d and a as its peers.
Out: results. PHASE standby: b follows a. PHASE active: b is the active, and a follows.
"""

import json
import os
import socket
import ssl
import struct
import sys
import time

from kt import check, equal, main, run, until
from nl import SLOW, netns
from stranger import (ACTIVE, HELLO, MAGIC, NEVER, PING, PORT, RECORDS, SNAPSHOT_BEGIN, SNAPSHOT_END,
                      STANDBY, VERSION, context)

ERROR, PONG, CONTEXT, ACK, RESYNC, LEASE_ACK, USED, GIVEN, REFUSED = 2, 4, 18, 23, 24, 25, 27, 28, 30
FAR = 1 << 33           # epochs at once: no number of takeovers
PLACES = 32             # for those who have not said who they are
DEAD = 3                # seconds: dead_ms of daemon.sh


class Ended(Exception):
    """The daemon ended the connection."""


class Link:
    """One connection of d's, of which TLS stands."""

    def __init__(self, hostile, rcvbuf=None):
        with netns(hostile.ns):
            plain = socket.socket()
        if rcvbuf:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        plain.settimeout(20 * SLOW)
        plain.connect((hostile.address, PORT))
        self.sock = hostile.tls.wrap_socket(plain)
        self.data = b""
        self.epoch = self.node = 0
        self.contexts = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, kind, payload=b"", epoch=None, length=None):
        size = len(payload) if length is None else length
        self.put(struct.pack("!HBBIQI", MAGIC, VERSION, kind, size,
                             self.epoch if epoch is None else epoch, self.node) + payload)

    def put(self, data):
        try:
            self.sock.sendall(data)
        except (ssl.SSLError, ConnectionError) as error:
            raise Ended(str(error)) from error

    def frame(self):
        """The next one: type, payload. It keeps the epoch, and contexts."""
        while len(self.data) < 20 or len(self.data) < 20 + struct.unpack_from("!I", self.data, 4)[0]:
            try:
                piece = self.sock.recv(65536)
            except (ssl.SSLError, ConnectionError) as error:
                raise Ended(str(error)) from error
            if not piece:
                raise Ended("closed")
            self.data += piece
        _, _, kind, size, self.epoch, self.node = struct.unpack_from("!HBBIQI", self.data)
        payload, self.data = self.data[20:20 + size], self.data[20 + size:]
        if kind == CONTEXT:
            self.contexts.append(payload)
        return kind, payload

    def until(self, kind):
        while True:
            have, payload = self.frame()
            if have == kind:
                return payload

    def hello(self, role=STANDBY, epoch=None, node=9):
        name = b"d"
        self.send(HELLO, struct.pack("!IBBQB", node, role, 0, 77, len(name)) + name + NEVER, epoch)

    def join(self, role=STANDBY, epoch=None):
        """As a node does: its HELLO, and once more what is so now."""
        self.until(HELLO)
        self.hello(role, epoch)
        self.hello(role, epoch)
        return self

    def lives(self):
        """The daemon has read all that was sent."""
        self.send(PING)
        self.until(PONG)
        return True

    def ends(self):
        """How; None where it does not."""
        try:
            while True:
                self.frame()
        except Ended as end:
            return str(end)
        except TimeoutError:
            return None


class Hostile:
    """What d does, and what becomes of b."""

    def __init__(self, ns, address, ca, cert, key, b_ns, conf, log, pid):
        self.ns, self.address = ns, address
        self.tls = context(ca, cert, key, "d")
        self.b_ns, self.conf, self.log, self.pid = b_ns, conf, log, int(pid)

    def status(self):
        return json.loads(run("ip", "netns", "exec", self.b_ns, os.environ["XFRMSYNC"], "status",
                              "--json", "-c", self.conf))

    def told(self):
        """What no lie changes of b."""
        said = self.status()
        return ({name: said[name] for name in ("role", "epoch", "epoch_node", "sas", "managed", "policies",
                                               "conflicts", "ready")},
                [(p["name"], p["role"], p["state"]) for p in said["peers"] if p["name"] == "a"],
                run("ip", "-n", self.b_ns, "xfrm", "policy"))

    def lines(self, text=""):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return sum(text in line for line in file)

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        """KiB."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def steady(self, name, before):
        """What was told before is so, or comes to be."""
        until(lambda: self.told() == before, 20)
        equal(f"{name}: without any effect", before, self.told())

    def refused(self, name, says, func, join=True):
        """The daemon ends the connection, and its log says why; it is as before."""
        before, lines = self.told(), self.lines(says)
        with Link(self) as link:
            try:
                if join:
                    link.join()
                    link.lives()
                else:
                    link.until(HELLO)
                func(link)
                end = link.ends()
            except Ended as ended:
                end = str(ended)
        check(f"{name}: the connection ends", end is not None, "it does not")
        check(f"{name}: that is why", until(lambda: self.lines(says) > lines), says)
        self.steady(name, before)

    # ---- to either ----

    def words(self):
        self.refused("garbage", "does not speak our protocol", lambda link: link.put(b"\xa5" * 400))
        self.refused("a record that is cut", "malformed frame", lambda link: link.send(REFUSED, bytes(3)))
        self.refused("an ACK of what was never sent", "malformed frame",
                     lambda link: link.send(ACK, struct.pack("!QII", 1 << 40, 1, 0)))
        self.refused("an epoch that cannot be, in HELLO", "such a one cannot be",
                     lambda link: link.hello(ACTIVE, link.epoch + FAR))
        self.refused("an epoch that cannot be, in PING", "such a one cannot be",
                     lambda link: link.send(PING, epoch=link.epoch + FAR))

    def stalls(self):
        self.refused("half a frame, and no more", "silent for too long",
                     lambda link: link.send(RECORDS, bytes(100), length=200))
        start = time.monotonic()
        self.refused("a HELLO that comes byte by byte", "silent for too long", self.drip, join=False)
        check("a HELLO that comes byte by byte: in time", time.monotonic() - start < 10 * DEAD * SLOW,
              time.monotonic() - start)

    @staticmethod
    def drip(link):
        """Until the daemon has enough of it."""
        data = struct.pack("!HBBIQI", MAGIC, VERSION, HELLO, 1000, 0, 0) + bytes(900)
        link.sock.settimeout(0.1)
        for byte in data:
            link.put(bytes([byte]))
            try:
                link.frame()
            except TimeoutError:
                pass

    def floods(self):
        before, memory, lines = self.told(), self.memory(), self.lines()
        with Link(self) as link:
            link.join()
            # Each of 400 records that are of nobody, or none: 20 bytes.
            for _ in range(2000):
                link.send(RECORDS, struct.pack("!IH", 0x7fffffff, 0) * 400)
            check("records without end: the link stands", link.lives())
            for _ in range(2000):
                link.send(ERROR, struct.pack("!H", 3) + b"it is all your fault")
                link.send(RESYNC)
            check("complaints without end: the link stands", link.lives())
        said = self.lines() - lines
        check("complaints without end: its log is not as long", said < 500, said)
        grown = self.memory() - memory
        check("its memory is as it was, nearly", grown < 16 << 10, grown)
        self.steady("floods", before)

    def connects(self):
        """A thousand times; and with more at once than there are places."""
        before, fds, memory = self.told(), self.fds(), self.memory()
        for _ in range(1000):
            with Link(self) as link:
                link.until(HELLO)
        check("a thousand connections: none is left open", until(lambda: self.fds() <= fds), (fds, self.fds()))
        grown = self.memory() - memory
        check("a thousand connections: its memory is as it was, nearly", grown < 16 << 10, grown)
        self.steady("a thousand connections", before)
        held = []
        for _ in range(2 * PLACES):
            with netns(self.ns):
                held.append(socket.create_connection((self.address, PORT), 20 * SLOW))
        check("connections that say nothing: no more than there are places",
              until(lambda: self.fds() > fds) and self.fds() <= fds + PLACES + 1, (fds, self.fds()))
        self.steady("connections that say nothing", before)
        check("connections that say nothing: they end", until(lambda: self.fds() <= fds), (fds, self.fds()))
        for sock in held:
            sock.close()
        with Link(self) as link:
            check("a peer is heard again", link.join().lives())

    # ---- to an active ----

    def oseqs(self):
        """What stands in b's kernel, by (dst, spi), from iproute2."""
        out, name = {}, None
        for line in run("ip", "-n", self.b_ns, "-s", "xfrm", "state").splitlines():
            words = line.replace(",", " ").split()
            if line.startswith("src "):
                name = words[3]
            elif "spi" in words:
                name = (name, words[words.index("spi") + 1])
            elif "oseq" in words:
                high = int(words[words.index("oseq-hi") + 1], 16) if "oseq-hi" in words else 0
                out[name] = high << 32 | int(words[words.index("oseq") + 1], 16)
        return out

    def ends_of_leases(self):
        show = json.loads(run("ip", "netns", "exec", self.b_ns, os.environ["XFRMSYNC"], "show", "--json"))
        return {sa["spi"]: (sa.get("lease_end", 0), sa["oseq"]) for sa in show}

    def lies(self):
        """Counters that it says it has raised, numbers that it says it drew: by a standby."""
        before = self.told()
        with Link(self) as link:
            link.join()
            link.until(SNAPSHOT_END)
            check("an active tells it all", len(link.contexts) > 0)
            handles = [struct.unpack_from("!I", c, 36)[0] for c in link.contexts]
            for handle in handles + [0, 0xffffffff]:
                link.send(LEASE_ACK, struct.pack("!IQ", handle, (1 << 64) - 1))
            check("an ACK of more than was offered: the link stands", link.lives())
            leases = self.ends_of_leases()
            check("an ACK of more than was offered: no lease is longer than one can be",
                  leases and all(end - oseq < 1 << 31 for end, oseq in leases.values()), leases)
            for handle in handles:
                link.send(USED, struct.pack("!IQQ", handle, 1, (1 << 64) - 1))
                link.send(GIVEN, struct.pack("!IQQ", handle, 1, (1 << 64) - 1))
            check("numbers of another life: the link stands", link.lives())
            equal("numbers of another life: no lease is another", leases, self.ends_of_leases())
            contexts = link.contexts
        self.steady("lies", before)
        return contexts

    def reads_nothing(self):
        """All that it asks for goes nowhere; it is not silent."""
        before, memory = self.told(), self.memory()
        with Link(self, rcvbuf=2048) as link:
            link.join()
            for _ in range(20):
                for _ in range(500):
                    link.send(RESYNC)
                link.send(PING)
            # Who has read them all has also answered.
            grown = self.memory() - memory
            check("one that does not read: memory is bounded", grown < 32 << 10, grown)
            self.steady("one that does not read", before)

    def backwards(self, contexts):
        """An active of the next epoch that offers what is over: it is one's own doing to follow it."""
        have = self.oseqs()
        check("counters stand where the leases end", have and max(have.values()) > 1000, have)
        with Link(self) as link:
            link.until(HELLO)
            link.epoch, link.node = link.epoch + 1, 9
            epoch = link.epoch
            link.hello(ACTIVE)
            link.hello(ACTIVE)
            link.send(SNAPSHOT_BEGIN, struct.pack("!II", len(contexts), 0))
            for one in contexts:
                # flags, tag, and then where it starts, how far it may go, how far others may
                link.send(CONTEXT, one[:12] + struct.pack("!QQQ", 1, 2, 3) + one[36:])
            link.send(SNAPSHOT_END)
            check("a lease that ends below what was granted: the link stands", link.lives())
            equal("a lease that ends below what was granted: it is followed", epoch, self.status()["epoch"])
            now = self.oseqs()
            lower = {name: (have[name], now.get(name)) for name in have if now.get(name, -1) < have[name]}
            equal("a lease that ends below what was granted: no counter goes back", {}, lower)


def test(*args):
    hostile, phase = Hostile(*args[:-1]), args[-1]
    if phase == "standby":
        hostile.words()
        hostile.stalls()
        hostile.floods()
        hostile.connects()
    elif phase == "active":
        hostile.words()
        hostile.floods()
        contexts = hostile.lies()
        hostile.reads_nothing()
        with open(args[6] + ".contexts", "w", encoding="ascii") as file:
            json.dump([c.hex() for c in contexts], file)
    else:
        with open(args[6] + ".contexts", encoding="ascii") as file:
            hostile.backwards([bytes.fromhex(c) for c in json.load(file)])


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main(test)
