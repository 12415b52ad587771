# SPDX-License-Identifier: GPL-2.0
"""TCP runs into the end of a lease: packets of many segments draw none beyond it.

lease.py kernel A P SPI END     results; the end of the SA's lease is given
lease.py daemon A B P FAMILY DST SPI HOW PID
                                results; A active, B its standby, PID A's daemon, which is dead,
                                or is stopped once, or is slow: let go on when the SA stands

In: namespaces with a tunnel from A's 10.1.0.1 (fd00:1::1) to P's 10.2.0.1 (fd00:2::1), A's
    outbound SPI; esp4_offload (esp6_offload) loaded before the tunnel was made.
Out: results.
"""

import os
import signal
import socket
import sys

import nl
from kt import check, equal, kernel_sas, sa_id, until

SIZE = 4000000
INSIDE = {4: ("10.1.0.1", "10.2.0.1"), 6: ("fd00:1::1", "fd00:2::1")}


class Stream:
    """A TCP connection from A to P that always has something to send."""

    def __init__(self, a_ns, p_ns, version=4):
        src, dst = INSIDE[version]
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        with nl.netns(p_ns):
            server = socket.create_server((dst, 4001), family=family)
        with nl.netns(a_ns):
            self.client = socket.create_connection((dst, 4001), source_address=(src, 0))
        self.taker = server.accept()[0]
        server.close()
        self.taker.setblocking(False)
        self.client.setblocking(False)

    def pump(self, most=65536):
        """Sends and takes what can be without waiting; how much was sent."""
        sent = 0
        try:
            sent = self.client.send(bytes(most))
        except BlockingIOError:
            pass
        try:
            while self.taker.recv(65536):
                pass
        except BlockingIOError:
            pass
        return sent

    def close(self):
        self.client.close()
        self.taker.close()


def kernel(a_ns, p_ns, spi, end):
    spi, end = int(spi, 16), int(end)
    control = nl.Client(a_ns)
    stream, left = Stream(a_ns, p_ns), SIZE

    def sa():
        return next(s for (_, n), s in kernel_sas(a_ns).items() if n == spi)

    def pump():
        nonlocal left
        left -= stream.pump(min(left, 65536))
        return any("stopped" in r["flags"] for r in control.pick("get", ("spi", "flags"))
                   if r["spi"] == spi)

    check("segments: the SA stops", until(pump, 60), sa())
    now = sa()
    check("segments: packets drew many numbers", now["oseq"] > now["packets"] + 10,
          (now["oseq"], now["packets"]))
    check("segments: none past the lease's end", end - 65536 <= now["oseq"] <= end,
          (now["oseq"], end))
    equal("segments: nothing is drawn any more", now["oseq"], (pump(), sa()["oseq"])[1])
    stream.close()
    control.close()


def daemon(a_ns, b_ns, p_ns, version, dst, spi, how, pid):
    a, b, ident, pid = nl.Client(a_ns), nl.Client(b_ns), sa_id(dst, int(spi, 16)), int(pid)
    stream, name, wrong = Stream(a_ns, p_ns, int(version)), f"{how}, IPv{version}", []
    first = a.get(**ident)

    def look():
        """The active's record; in this order, as the standby's counter only grows."""
        stream.pump()
        now = a.get(**ident)
        raised = b.get(**ident)["oseq"]
        if not now["oseq"] <= min(raised, now["lease-end"]):
            wrong.append((now["oseq"], now["lease-end"], raised))
        return now

    def stands():
        return "stopped" in look()["flags"]

    stops = 0
    for _ in range(3 if how == "slow" else 1):
        if how != "dead":
            os.kill(pid, signal.SIGSTOP)
        stops += bool(until(stands, 60))
        if how != "dead":
            os.kill(pid, signal.SIGCONT)
            stops += bool(until(lambda: not stands(), 60))
    equal(f"{name}: it stops{'' if how == 'dead' else ' and goes on'}, each time",
          {"dead": 1, "stopped": 2, "slow": 6}[how], stops)
    now = a.get(**ident)
    drawn, packets = (now[what] - first[what] for what in ("oseq", "packets"))
    check(f"{name}: packets drew many numbers", drawn > packets + 10, (drawn, packets))
    check(f"{name}: none past the lease's end, nor where the standby would begin", not wrong, wrong[:5])
    stream.close()


if __name__ == "__main__":
    {"kernel": kernel, "daemon": daemon}[sys.argv[1]](*sys.argv[2:])
