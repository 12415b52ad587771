#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What tests ask of Python again and again, answered by one process (lib.sh's py).

In: requests on standard input: how many words, and the words, each with a NUL behind it.
Out: of each one its exit code and what it printed, each with a NUL behind it.

  is EXPR JSON      EXPR, of s, is true
  value EXPR JSON   what it is
  status PATH EXPR  EXPR, of s, is true, where s is what the daemon of that socket says of
                    itself; code 9 where it does not say, or there is none
  told PATH EXPR    what EXPR is, of the same
  stranger ARG...   what stranger.py does with these
  nl ARG...         what nl.py does with these
  vici PATH WORD... what a charon says: see vici.py
  wire FILE GATEWAY...  counts of a capture: see ike_pcap.py
  again FILE NS DEV MAC GATEWAY...  sends that capture's ESP once more, likewise
  flows WORD...     numbered packets between namespaces: see flows.py
  key SEED/LABEL N  0x and N bytes in hex, the same for the same label
  size FILE         in bytes
  lines FILE        how many
  grown FILE N MS   waits until it has N bytes, at most MS; it has no more then
  send NS ADDRESS N PORT    N packets of UDP, one byte each, have been handed to the kernel
  try NS ADDRESS N PORT     or refused by it
  sa NS DST PROTO SPI MARK EXPR   EXPR, of an SA's oseq, seq, packets, refused (nl.py)
"""

import contextlib
import hashlib
import io
import json
import os
import socket
import sys
import time


def is_true(expr, said):
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except ValueError:
            return 1, f"no JSON: {said}"
    s = said
    return (0, "") if eval("(" + expr + ")", {"s": s}) else (1, str(s))


def value(expr, text):
    return 0, str(eval("(" + expr + ")", {"s": json.loads(text)}))


def ask_status(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, sock.makefile() as lines:
        sock.settimeout(20)
        sock.connect(path)
        sock.sendall(b'{"cmd":"status"}\n')
        return json.loads(lines.readline())


def status(path, expr):
    try:
        return is_true(expr, ask_status(path))
    except (OSError, ValueError, KeyError) as error:
        return 9, repr(error)


def told(path, expr):
    return 0, str(eval("(" + expr + ")", {"s": ask_status(path)}))


def as_program(name, main, *args):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(*args)
        except (OSError, KeyError, ValueError) as error:
            code = 1
            print(f"{name}: {error}")
    return code, said.getvalue().rstrip("\n")


def nl(*args):
    import nl as netlink  # and its YAML: not every test asks for them

    return as_program("nl.py", netlink.main, list(args))


def stranger(*args):
    import stranger as peer

    return as_program("stranger.py", peer.main, *args)


def vici(*args):
    import vici as client

    try:
        return 0, "\n".join(client.main(*args))
    except (OSError, ValueError, KeyError) as error:
        return 1, f"vici: {error!r}"


def wire(*args):
    import ike_pcap

    return 0, ike_pcap.counts(*args)


def again(*args):
    import ike_pcap

    return 0, str(ike_pcap.again(*args))


def flows(*args):
    import flows as running

    so, text = running.main(*args)
    return 0 if so else 1, text


def key(label, size):
    return 0, "0x" + hashlib.sha512(label.encode()).hexdigest()[:2 * int(size)]


def size_of(path):
    return 0, str(os.stat(path).st_size)


def lines_of(path):
    with open(path, "rb") as file:
        return 0, str(file.read().count(b"\n"))


def grown(path, want, limit):
    began = time.monotonic()
    while (have := os.stat(path).st_size) < int(want):
        waited = time.monotonic() - began
        if waited > int(limit) / 1000:
            break
        time.sleep(min(max(waited / 8, 0.01), 0.1))
    return int(have != int(want)), "" if have == int(want) else f"{have} bytes, not {want}"


def send(ns, address, count, port, refused=()):
    import nl as netlink

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netlink.netns(ns), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((address, int(port)))
        for _ in range(int(count)):
            with contextlib.suppress(*refused):
                sock.send(b"x")
    return 0, ""


def try_send(*words):
    return send(*words, refused=(OSError,))


def sa(ns, dst, proto, spi, mark, expr):
    import nl as netlink

    with netlink.Xfrm(ns) as xfrm:
        s = xfrm.state(dst, int(spi, 0), {"esp": 50, "ah": 51}[proto], int(mark, 0) if mark else None)
    return 0, str(eval(expr, s))


KINDS = {"is": is_true, "status": status, "told": told, "value": value, "nl": nl,
         "stranger": stranger, "vici": vici, "wire": wire, "again": again, "flows": flows, "key": key,
         "size": size_of, "lines": lines_of, "grown": grown, "send": send, "try": try_send, "sa": sa}


def words():
    """The next one, as long as there are any."""
    held = b""
    while True:
        word, found, held = held.partition(b"\0")
        while not found:
            more = sys.stdin.buffer.raw.read(65536)
            if not more:
                return
            word, found, held = (word + more).partition(b"\0")
        yield word.decode()


def main():
    coming = words()
    for count in coming:
        kind, *rest = [next(coming) for _ in range(int(count))]
        try:
            code, text = KINDS[kind](*rest)
        except Exception as error:  # the expression is the test's own
            code, text = 1, f"{type(error).__name__}: {error}"
        sys.stdout.buffer.write(f"{code}\0{text}\0".encode())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
