# SPDX-License-Identifier: GPL-2.0
"""What a shell cannot send through the fence, or beside it.

fence.py segments A B FAMILY SPI EPOCH   packets of the stack's that draw many numbers. Two namespaces
                                         with lib.sh's tunnel, A's outbound SPI, the next epoch;
                                         esp4_offload and esp6_offload loaded. Results; A is active
                                         at the end
fence.py ike A B FAMILY FILE             both nodes' sockets of IKE, which pass every policy. At SIGUSR1
                                         each one sends to its like; a byte goes to FILE for each
                                         message that comes
"""

import ipaddress
import select
import signal
import socket
import struct
import sys
import threading

import nl
from kt import check, equal, kernel_sas, main, until

PORT = 4000
SIZE = 200000
FAMILIES = {
    "4": (socket.AF_INET, "10.1.0.1", "10.2.0.1", "192.0.2.1", "192.0.2.2"),
    "6": (socket.AF_INET6, "fd00:1::1", "fd00:2::1", "2001:db8:0::1", "2001:db8:0::2"),
}


def connect(a_ns, b_ns, family):
    kind, a_in, b_in, _, _ = FAMILIES[family]
    with nl.netns(b_ns):
        server = socket.create_server((b_in, PORT), family=kind)
    with nl.netns(a_ns):
        client = socket.socket(kind)
        client.bind((a_in, 0))
        client.connect((b_in, PORT))
    return client, server.accept()[0]


def take(sock, size):
    left = size
    while left:
        left -= len(sock.recv(min(left, 65536)))
    return True


def segments(a_ns, b_ns, family, spi, epoch):
    spi, epoch = int(spi, 16), int(epoch)
    control = nl.Client(a_ns)

    def sa():
        return kernel_sas(a_ns)[str(ipaddress.ip_address(FAMILIES[family][4])), spi]

    control.role("active", epoch, 1)
    client, server = connect(a_ns, b_ns, family)
    reader = threading.Thread(target=take, args=(server, SIZE))
    reader.start()
    client.sendall(bytes(SIZE))
    reader.join()
    now = sa()
    check(f"segments, IPv{family}: some packets draw many numbers", now["oseq"] > now["packets"] + 10,
          (now["oseq"], now["packets"]))

    control.role("standby", epoch + 1, 1)
    before, out = sa(), control.stats()["fenced-out"]
    client.setblocking(False)
    client.send(bytes(60000))
    dropped = until(lambda: control.stats()["fenced-out"] > out)
    check(f"segments, IPv{family}: fenced", dropped, control.stats())
    equal(f"segments, IPv{family}: no number is drawn", before["oseq"], sa()["oseq"])

    control.role("active", epoch + 2, 1)
    server.settimeout(60)
    client.setblocking(True)
    check(f"segments, IPv{family}: what was held back arrives, sent again by TCP", take(server, 60000))
    client.close()
    server.close()
    control.close()


IP_XFRM_POLICY, IPV6_XFRM_POLICY = 17, 35
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
HEADER = bytes(range(1, 29))            # of IKE: the SPIs are not zero


def ike_socket(ns, family, address, port):
    """As charon has them (struct xfrm_userpolicy_info: allowed in clear, both ways)."""
    kind = FAMILIES[family][0]
    with nl.netns(ns):
        sock = socket.socket(kind, socket.SOCK_DGRAM)
    for direction in (0, 1):
        policy = bytearray(168)
        struct.pack_into("H", policy, 40, kind)         # sel.family
        policy[160] = direction
        if kind == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, IP_XFRM_POLICY, bytes(policy))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_XFRM_POLICY, bytes(policy))
    if port == 4500:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    sock.bind((address, port))
    return sock


def ike(a_ns, b_ns, family, path):
    _, _, _, a_out, b_out = FAMILIES[family]
    socks = {}
    for port in (500, 4500):
        text = (bytes(4) if port == 4500 else b"") + HEADER     # RFC 3948 section 2.2
        socks[ike_socket(a_ns, family, a_out, port)] = ((b_out, port), text)
        socks[ike_socket(b_ns, family, b_out, port)] = ((a_out, port), text)

    def send(*_):
        for sock, (to, text) in socks.items():
            sock.sendto(text, to)

    signal.signal(signal.SIGUSR1, send)
    print("ready", flush=True)
    with open(path, "ab", buffering=0) as file:
        while True:
            for sock in select.select(list(socks), [], [])[0]:
                if sock.recv(100) == socks[sock][1]:
                    file.write(b"x")


if sys.argv[1] == "ike":
    ike(*sys.argv[2:])
else:
    sys.argv.pop(1)
    main(segments)
