# SPDX-License-Identifier: GPL-2.0
"""Changes a file of contexts, for tests: usage FILE flip | "unknown-field SPI".

flip             one bit in the middle
unknown-field    of a plain file: the SA's context gets a mandatory field that nobody knows
"""

import hashlib
import struct
import sys

HEAD, SUM = 16, 32


def flip(raw):
    raw[len(raw) // 2] ^= 1
    return raw


def entries(raw):
    """(offset, length of the value) of each entry of a plain file."""
    at = HEAD + 9 + raw[HEAD + 8] + 8
    while at < len(raw) - SUM:
        length, = struct.unpack_from(">I", raw, at + 4)
        yield at, length
        at += 8 + length


def unknown_field(raw, spi):
    for at, length in entries(raw):
        value = raw[at + 8:at + 8 + length]
        # SA_ID, the first field: family, protocol, mode, SPI.
        start = value.find(struct.pack(">HcBI", 1, b"M", 0, 44)) + 12
        if raw[at] == 1 and struct.pack(">I", spi) == value[start:start + 4]:
            value += struct.pack(">HcBIH", 0x100, b"M", 0, 2, 7)
            raw[at + 4:at + 8 + length] = struct.pack(">I", len(value)) + value
            break
    else:
        sys.exit("there is no such SA")
    raw[-SUM:] = hashlib.blake2b(raw[:-SUM], digest_size=SUM).digest()
    return raw


def main():
    path, what = sys.argv[1], sys.argv[2].split()
    with open(path, "rb") as file:
        raw = bytearray(file.read())
    raw = flip(raw) if what[0] == "flip" else unknown_field(raw, int(what[1], 0))
    with open(path, "wb") as file:
        file.write(raw)


main()
