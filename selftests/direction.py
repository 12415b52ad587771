# SPDX-License-Identifier: GPL-2.0
"""Copies an inbound SA from one namespace to another, where it gets that direction: this iproute2 cannot say it.

usage: direction.py FROM TO DST SPI
Exit code: 4 where this kernel has no directions of SAs.
"""

import sys

import nl
from campaign_judge import IN
from matrix import CREATE, NEWSA, State, one_way
from matrix_cases import SA_DIR, direction


class Name:
    def __init__(self, dst, spi):
        self.dst, self.spi = dst, int(spi, 0)


def main(source, to, dst, spi):
    sa = Name(dst, spi)
    data = one_way(State(source).one(sa), IN)
    state = State(to)
    state.kernel.ask(NEWSA, data + b"".join(nl.nla(k, v) for k, v in direction(1).items()), CREATE)
    have = {kind for kind, _, _ in nl.nlas(state.one(sa)[224:])}
    return 0 if SA_DIR in have else 4


sys.exit(main(*sys.argv[1:]))
