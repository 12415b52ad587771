# SPDX-License-Identifier: GPL-2.0
"""Changes a file of contexts, for tests: usage FILE flip | "unknown-field SPI" | "more-fields SPI" |
"policy-field DIR" | "policy-more DIR" | "policy-cut DIR" | "record SPI".

flip             one bit in the middle
unknown-field    of a plain file: the SA's context gets a mandatory field that nobody knows
more-fields      it gets an optional one, and a vendor's that no kernel has
policy-more      the same for the policy of direction in, out or fwd
policy-field     unknown-field for the policy of direction in, out or fwd
policy-cut       its context loses its end
record           the SA's record is malformed
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


def is_sa(kind, value, spi):
    # SA_ID, the first field: family, protocol, mode, SPI.
    start = value.find(struct.pack(">HcBI", 1, b"M", 0, 44)) + 12
    return kind == 1 and struct.pack(">I", int(spi, 0)) == value[start:start + 4]


def is_policy(kind, value, direction):
    # POLICY: priority, direction.
    start = value.find(struct.pack(">HcBI", 0x40, b"M", 0, 12)) + 12
    return kind == 2 and value[start] == ("in", "out", "fwd").index(direction)


def change(raw, which, name, how):
    for at, length in entries(raw):
        value = raw[at + 8:at + 8 + length]
        if which(raw[at], value, name):
            value = how(value)
            raw[at + 4:at + 8 + length] = struct.pack(">I", len(value)) + value
            break
    else:
        sys.exit("there is no such SA or policy")
    raw[-SUM:] = hashlib.blake2b(raw[:-SUM], digest_size=SUM).digest()
    return raw


def unknown_field(value):
    return value + struct.pack(">HcBIH", 0x100, b"M", 0, 2, 7)


def more_fields(value):
    order = b"\1" if sys.byteorder == "little" else b"\2"
    return value + struct.pack(">HcBIH", 0x100, b"O", 0, 2, 7) \
        + struct.pack(">HcBI", 0x8000 | 200, b"V", 0, 5) + order + bytes(4)


def cut(value):
    return value[:-3]


def other_handle(value):
    # In a file there is none.
    return struct.pack(">I", 9) + value[4:]


CHANGES = {
    "unknown-field": (is_sa, unknown_field),
    "more-fields": (is_sa, more_fields),
    "policy-more": (is_policy, more_fields),
    "policy-field": (is_policy, unknown_field),
    "policy-cut": (is_policy, cut),
    "record": (is_sa, other_handle),
}


def main():
    path, what = sys.argv[1], sys.argv[2].split()
    with open(path, "rb") as file:
        raw = bytearray(file.read())
    if what[0] == "flip":
        raw = flip(raw)
    else:
        which, how = CHANGES[what[0]]
        raw = change(raw, which, what[1], how)
    with open(path, "wb") as file:
        file.write(raw)


main()
