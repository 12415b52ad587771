# SPDX-License-Identifier: GPL-2.0
"""Packets of many tunnels, for many.sh.

usage: many.py NAMESPACE TUNNELS ROUNDS
In: who sends, how many of its tunnels, how often each.
Out: so many UDP packets to the inside of each, and exit code 1 if the kernel refused one.
"""

import socket
import sys

import nl


def main(ns, tunnels, rounds):
    refused = 0
    with nl.netns(ns):
        four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    ends = []
    for i in range(tunnels):
        hi, lo = divmod(i, 256)
        ends.append((six, (f"fd00:2::{hi:x}:{lo:x}", 9)) if i % 2 else (four, (f"10.2.{hi}.{lo}", 9)))
    for _ in range(rounds):
        for sock, end in ends:
            try:
                sock.sendto(b"x", end)
            except OSError as e:
                refused += 1
                if refused == 1:
                    print(f"{end[0]}: {e}")
    return refused


if __name__ == "__main__":
    failed = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    if failed:
        print(f"{failed} were refused")
    sys.exit(failed > 0)
