# SPDX-License-Identifier: GPL-2.0
"""TCP runs into the end of a lease: packets of many segments draw none beyond it.

In: the namespaces of A, active, and P with a tunnel from A's 10.1.0.1 to P's 10.2.0.1, A's
    outbound SPI, the end of its lease; esp4_offload loaded.
Out: results.
"""

import socket

import nl
from kt import check, equal, kernel_sas, main, until

SIZE = 4000000


def test(a_ns, p_ns, spi, end):
    spi, end = int(spi, 16), int(end)
    control = nl.Client(a_ns)

    def sa():
        return next(s for (_, n), s in kernel_sas(a_ns).items() if n == spi)

    def stopped():
        return any("stopped" in r["flags"] for r in control.pick("get", ("spi", "flags"))
                   if r["spi"] == spi)

    with nl.netns(p_ns):
        server = socket.create_server(("10.2.0.1", 4001))
    with nl.netns(a_ns):
        client = socket.create_connection(("10.2.0.1", 4001), source_address=("10.1.0.1", 0))
    taker = server.accept()[0]
    taker.setblocking(False)
    client.setblocking(False)
    left = SIZE

    def pump():
        nonlocal left
        try:
            left -= client.send(bytes(min(left, 65536)))
        except BlockingIOError:
            pass
        try:
            while taker.recv(65536):
                pass
        except BlockingIOError:
            pass
        return stopped()

    check("segments: the SA stops", until(pump, 60), sa())
    now = sa()
    check("segments: packets drew many numbers", now["oseq"] > now["packets"] + 10,
          (now["oseq"], now["packets"]))
    check("segments: none past the lease's end", end - 65536 <= now["oseq"] <= end,
          (now["oseq"], end))
    equal("segments: nothing is drawn any more", now["oseq"], (pump(), sa()["oseq"])[1])
    client.close()
    taker.close()
    control.close()


main(test)
