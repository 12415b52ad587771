# SPDX-License-Identifier: GPL-2.0
"""Segments: a packet of the stack's that draws many numbers, before and behind the fence.

In: two namespaces with a tunnel from A's 10.1.0.1 to B's 10.2.0.1, A's outbound SPI, the
    next epoch; esp4_offload loaded.
Out: results. A is active at the end.
"""

import socket
import threading

import nl
from kt import check, equal, kernel_sas, main, until

INSIDE, PORT = "10.2.0.1", 4000
SIZE = 200000


def connect(a_ns, b_ns):
    with nl.netns(b_ns):
        server = socket.create_server((INSIDE, PORT))
    with nl.netns(a_ns):
        client = socket.create_connection((INSIDE, PORT), source_address=("10.1.0.1", 0))
    return client, server.accept()[0]


def take(sock, size):
    left = size
    while left:
        left -= len(sock.recv(min(left, 65536)))
    return True


def test(a_ns, b_ns, spi, epoch):
    spi, epoch = int(spi, 16), int(epoch)
    control = nl.Client(a_ns)

    def sa():
        return kernel_sas(a_ns)["192.0.2.2", spi]

    control.role("active", epoch, 1)
    client, server = connect(a_ns, b_ns)
    reader = threading.Thread(target=take, args=(server, SIZE))
    reader.start()
    client.sendall(bytes(SIZE))
    reader.join()
    now = sa()
    check("segments: some packets draw many numbers", now["oseq"] > now["packets"] + 10,
          (now["oseq"], now["packets"]))

    control.role("standby", epoch + 1, 1)
    before, out = sa(), control.stats()["fenced-out"]
    client.setblocking(False)
    client.send(bytes(60000))
    dropped = until(lambda: control.stats()["fenced-out"] > out)
    check("segments: fenced", dropped, control.stats())
    equal("segments: no number is drawn", before["oseq"], sa()["oseq"])

    control.role("active", epoch + 2, 1)
    server.settimeout(60)
    client.setblocking(True)
    check("segments: what was held back arrives, sent again by TCP", take(server, 60000))
    client.close()
    server.close()
    control.close()


main(test)
