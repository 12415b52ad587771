# SPDX-License-Identifier: GPL-2.0
"""A client that speaks to a daemon what no good peer does.

usage: stranger.py NETNS ADDRESS CA CERT|- KEY|- CASE
Out: exit code 0 if the daemon ended the connection, after TLS stood or with an alert, as the
     case has it; else 1, and what happened.
"""

import os
import socket
import ssl
import struct
import sys

from nl import SLOW, netns

PORT, MAGIC, VERSION = 4797, 0x5853, 1
HELLO, PING, SNAPSHOT_BEGIN, SNAPSHOT_END, RECORDS, HANDOVER = 1, 3, 16, 17, 20, 33
ACTIVE, STANDBY = 1, 2
NEVER = bytes(9)        # active, and nothing is accounted for


def frame(kind, payload, version=VERSION, length=None, epoch=1):
    size = len(payload) if length is None else length
    return struct.pack("!HBBIQI", MAGIC, version, kind, size, epoch, 1) + payload


def hello(name, node=9, role=STANDBY):
    return struct.pack("!IBBQB", node, role, 0, 0x1122334455667788, len(name)) + name.encode() + NEVER


# What is sent once TLS stands, as soon as the daemon's own HELLO is there.
WORDS = {
    "version": frame(HELLO, hello("a", 1), version=VERSION + 1),
    "garbage": os.urandom(400).replace(b"XS", b"  "),
    "http": b"GET / HTTP/1.1\r\nHost: xfrmsync\r\n\r\n",
    "oversized": frame(HELLO, b"", length=131073),
    "cut-hello": frame(HELLO, hello("a", 1)[:10]),
    "no-hello": frame(PING, b""),
    "state-first": frame(RECORDS, bytes(64)),
    "unknown-name": frame(HELLO, hello("nobody")),
    "other-name": frame(HELLO, hello("a", 1)),
    "own-id": frame(HELLO, hello("d", 2)),
    "silent": b"",
    "older-epoch": frame(HELLO, hello("d", role=ACTIVE), epoch=0) +
                   frame(SNAPSHOT_BEGIN, bytes(8), epoch=0) + frame(SNAPSHOT_END, b"", epoch=0),
    "cut-handover": frame(HELLO, hello("d"), epoch=0) + frame(HANDOVER, b"", epoch=0),
}
# Refused within the handshake; TLS 1.3 tells a client only when it reads.
HANDSHAKES = ("tls12", "anonymous", "stranger")


def context(ca, cert, key, case):
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out.check_hostname = False
    out.load_verify_locations(ca)
    if cert != "-":
        out.load_cert_chain(cert, key)
    if case == "tls12":
        out.maximum_version = ssl.TLSVersion.TLSv1_2
    return out


def read_all(sock):
    """What comes until the daemon ends the connection: bytes, and how it ended."""
    data = b""
    while True:
        try:
            piece = sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError) as error:
            return data, str(error)
        if not piece:
            return data, "closed"
        data += piece


def talk(ns, address, tls, case):
    """None if all went as it has to; else what did not."""
    with netns(ns):
        plain = socket.socket()
    with plain:
        plain.settimeout(20 * SLOW)
        plain.connect((address, PORT))
        try:
            sock = tls.wrap_socket(plain)
        except ssl.SSLError as error:
            told = case in HANDSHAKES and "alert" in str(error).lower()
            return None if told else f"no handshake: {error}"
        if case == "tls12":
            return f"{sock.version()} was taken"
        with sock:
            if case not in HANDSHAKES:
                first = sock.recv(65536)
                if struct.unpack_from("!HBB", first) != (MAGIC, VERSION, HELLO):
                    return f"it does not begin with HELLO: {first!r}"
                sock.sendall(WORDS[case])
            if case == "older-epoch":       # it has done no wrong
                sock.shutdown(socket.SHUT_WR)
            data, end = read_all(sock)
    if case in HANDSHAKES and data:
        return f"it said {data!r} before it refused"
    print(end)
    return None


def main(ns, address, ca, cert, key, case):
    try:
        wrong = talk(ns, address, context(ca, cert, key, case), case)
    except TimeoutError:
        wrong = "the daemon does not end the connection"
    if wrong:
        print(wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
