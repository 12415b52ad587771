# SPDX-License-Identifier: GPL-2.0
"""An attacker, in a namespace, who hears and repeats; with little to import, as it is often run.

hear.py listen DEV FILE     a line in hex for each ESP packet that leaves by DEV
hear.py replay FILE [FROM]  sends those again, from line FROM (0) on
"""

import socket
import sys


def listen(dev, path):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # ETH_P_ALL
    sock.bind((dev, 3))
    with open(path, "a", buffering=1, encoding="ascii") as out:
        out.write("")
        print("listening", flush=True)
        while True:
            packet, (_, _, kind, _, _) = sock.recvfrom(65536)
            if kind == 4 and packet[0] >> 4 == 4 and packet[9] == 50:      # PACKET_OUTGOING
                out.write(packet.hex() + "\n")


def replay(path, first="0"):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with open(path, encoding="ascii") as lines:
        for line in list(lines)[int(first):]:
            packet = bytes.fromhex(line)
            sock.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))


{"listen": listen, "replay": replay}[sys.argv[1]](*sys.argv[2:])
