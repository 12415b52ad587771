#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Migrates the SA of an outbound policy to another address of its own (RFC 4555, XFRM_MSG_MIGRATE).

usage: migrate.py NETNS POLICY-SRC POLICY-DST DST OLD-SRC NEW-SRC   (IPv4, ESP, tunnel, reqid 1)
"""
import socket
import struct
import sys

from nl import NETLINK_XFRM, Socket, nla

XFRM_MSG_MIGRATE, XFRMA_MIGRATE, NLM_F_ACK = 0x21, 17, 4
POLICY_OUT, MODE_TUNNEL, REQID = 1, 1, 1


def address(text):
    return socket.inet_aton(text) + bytes(12)


def main(ns, src, dst, to, old, new):
    selector = struct.pack("16s16s8xHBBB3xiI", address(dst), address(src), socket.AF_INET, 32, 32, 0, 0, 0)
    policy = struct.pack("56sIB3x", selector, 0, POLICY_OUT)
    one = struct.pack("16s16s16s16sBBHIHH", address(to), address(old), address(to), address(new),
                      socket.IPPROTO_ESP, MODE_TUNNEL, 0, REQID, socket.AF_INET, socket.AF_INET)
    with Socket(NETLINK_XFRM, ns) as sock:
        list(sock.talk(XFRM_MSG_MIGRATE, NLM_F_ACK, policy + nla(XFRMA_MIGRATE, one)))


if __name__ == "__main__":
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    main(*sys.argv[1:])
