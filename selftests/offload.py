#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""offload.py NETNS SPI DEVICE FLAGS: makes an SA anew, as one that this device offloads.

In: an SA that is there; 4 in FLAGS is packet offload, which iproute2 6.1 cannot say.
Out: the same SA with XFRMA_OFFLOAD_DEV.
"""

import socket
import struct
import sys

import nl

NEWSA, DELSA, GETSA, OFFLOAD_DEV = 0x10, 0x11, 0x12, 28
DUMP = 0x300


def main(ns, spi, device, flags):
    xfrm = nl.Xfrm(ns)
    with nl.netns(ns):
        index = socket.if_nametoindex(device)
    sas = [data for data in xfrm.talk(GETSA, DUMP, b"") if data[72:76] == struct.pack(">I", int(spi, 0))]
    if len(sas) != 1:
        sys.exit(f"{len(sas)} SAs of SPI {spi}")
    sa, = sas
    # struct xfrm_usersa_info: selector, id (daddr at 56, spi, proto), saddr ... family at 212
    xfrm.ask(DELSA, sa[56:76] + sa[212:214] + sa[76:77] + b"\0")
    xfrm.ask(NEWSA, sa + nl.nla(OFFLOAD_DEV, struct.pack("iBxxx", index, int(flags))))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"offload.py: {error}")
