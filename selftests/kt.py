# SPDX-License-Identifier: GPL-2.0
"""What the python halves of the kselftests share: results, waiting, SAs, packets.

In: checks and commands.
Out: a line for each result, which lib.sh's `results` turns into TAP.
"""

import errno
import hashlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import time

import nl
from nl import SLOW

SEED = int(os.environ.get("XFRMSYNC_SEED", "1"))
rng = random.Random(SEED)
ESP, AH = 50, 51


def say(kind, name, why=""):
    why = str(why).replace("\t", " ").replace("\n", " | ")
    print("\t".join([kind, name, why[:800]]), flush=True)


def check(name, good, why=""):
    say("ok" if good else "not ok", name, why)
    return bool(good)


def equal(name, want, have):
    return check(name, want == have, f"want {want!r}, have {have!r}")


def skip(name, why):
    say("skip", name, why)


def refused(name, code, func, *args, says=None, attr=None, **kwargs):
    """func is refused with that errno, a message (containing `says`), naming `attr`."""
    try:
        have = func(*args, **kwargs)
    except nl.NlError as error:
        good = (code is None or error.errno == code) and error.msg is not None
        good = good and (says is None or says in error.msg)
        good = good and (attr is None or error.attr == attr)
        return check(name, good, error)
    return check(name, False, f"not refused: {have}")


def until(func, seconds=20):
    """Polls, more rarely the longer it takes; the last value of func."""
    began = time.monotonic()
    while not (value := func()) and (waited := time.monotonic() - began) < seconds * SLOW:
        time.sleep(min(max(waited / 8, 0.01), 0.1))
    return value


def in_child(func):
    """What func returns, or the errno of its failure, in a process of its own."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            text = str(func())
        except OSError as error:
            text = errno.errorcode.get(error.errno, str(error.errno))
        except BaseException as error:      # pylint: disable=broad-except
            text = repr(error)
        os.write(theirs, text.encode()[:4000])
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return text


def nobody():
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def run(*words, stdin=None, ok=True):
    done = subprocess.run(words, input=stdin, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ok and done.returncode:
        print(f"# {' '.join(words)[:300]}: {done.stdout.strip()[-300:]}", flush=True)
        raise RuntimeError("a command failed")
    return done.stdout


def ip(ns, text, ok=True):
    """ip -n NS with the words of a line; or a batch, where the text has several."""
    if "\n" in text.strip():
        return run("ip", "-n", ns, "-force", "-batch", "-", stdin=text, ok=ok)
    return run("ip", "-n", ns, *text.split(), ok=ok)


def key(size, label):
    return "0x" + hashlib.sha512(f"{SEED}/{label}".encode()).hexdigest()[:2 * size]


def sa_text(src, dst, spi, proto="esp", esn=False, window=0, mode="transport", more="", label=None):
    """The words that `ip xfrm state add` takes."""
    algo = (f"aead rfc4106(gcm(aes)) {key(20, label or spi)} 128" if proto == "esp" else
            f"auth-trunc hmac(sha256) {key(32, label or spi)} 128")
    return (f"src {src} dst {dst} proto {proto} spi {spi:#x} reqid 1 mode {mode} "
            f"{'flag esn ' if esn else ''}replay-window {window} {algo} {more}")


def sa_add(ns, *args, verb="add", **kwargs):
    ip(ns, f"xfrm state {verb} " + sa_text(*args, **kwargs))


def sa_id(dst, spi, proto=ESP, **more):
    family = socket.AF_INET6 if ":" in dst else socket.AF_INET
    return dict(family=int(family), dst=dst, spi=spi, proto=proto, **more)


def find(records, spi, **want):
    """The records with that SPI and those values."""
    return [r for r in records if r["spi"] == spi and all(r.get(k) == v for k, v in want.items())]


def spis(records):
    return sorted(r["spi"] for r in records)


class Udp:
    """A UDP socket in a namespace."""

    def __init__(self, ns, family=4):
        with nl.netns(ns):
            self.sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET,
                                      socket.SOCK_DGRAM)

    def bind(self, address, port=9):
        self.sock.bind((address, port))
        return self

    def send(self, address, count=1, size=1, port=9):
        """Sends; what ICMP says of it is of no interest."""
        for _ in range(count):
            for _ in range(3):
                try:
                    self.sock.sendto(bytes(size), (address, port))
                    break
                except ConnectionError:
                    pass


def parse_sa(block):
    """One SA of `ip -s -d xfrm state` as a dictionary, with the names of the records."""
    def one(pattern, base=10, default=0):
        found = re.search(pattern, block)
        return int(found[1], base) if found else default

    def when(pattern):
        found = re.search(pattern + r" (\d+-\d+-\d+ \d+:\d+:\d+)", block)
        return int(time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S"))) if found else 0

    src, dst = re.search(r"^src (\S+) dst (\S+)", block).groups()
    out = {
        "family": int(socket.AF_INET6 if ":" in dst else socket.AF_INET), "src": src, "dst": dst,
        "proto": {"esp": ESP, "ah": AH}[re.search(r"proto (\w+)", block)[1]],
        "spi": one(r"spi 0x(\w+)", 16), "reqid": one(r"reqid (\d+)"),
        "mode": {"transport": 0, "tunnel": 1}[re.search(r" mode (\w+)", block)[1]],
        "mark": one(r"mark 0x(\w+)/", 16), "mark-mask": one(r"mark 0x\w+/0x(\w+)", 16),
        "if-id": one(r"if_id 0x(\w+)", 16),
        "bytes": one(r"lifetime current:\s+(\d+)\(bytes\)"),
        "packets": one(r"lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)"),
        "add-time": when(r"\badd"), "use-time": when(r"\buse"), "last-used": when("lastused"),
        "replay-window-errors": one(r"stats:\s+replay-window (\d+)"),
        "replay-errors": one(r"replay-window \d+ replay (\d+)"),
        "integrity-errors": one(r"replay \d+ failed (\d+)"),
        "flags": ["esn"] if re.search(r"flag [^(]*\besn\b", block) else [],
    }
    if "anti-replay esn context" in block:
        out["flags"].append("bmp")
        out["seq"] = one(r"seq-hi 0x(\w+)", 16) << 32 | one(r"[ ,]seq 0x(\w+), oseq-hi", 16)
        out["oseq"] = one(r"oseq-hi 0x(\w+)", 16) << 32 | one(r" oseq 0x(\w+)", 16)
        out["window"] = one(r"replay_window (\d+)")
        words = re.search(r"bitmap-length \d+\n([ \t0-9a-f\n]*?)\n\s*(?:[g-z]|dir|sel|coaddr)",
                          block + "\nsel")[1]
        out["bitmap"] = [int(w, 16) for w in reversed(words.split())]   # ip: last word first
    else:
        out["seq"] = one(r"context: seq 0x(\w+)", 16)
        out["oseq"] = one(r"oseq 0x(\w+)", 16)
        out["window"] = one(r"replay-window (\d+) seq")
        out["bitmap"] = [one(r"bitmap 0x(\w+)", 16)]
    return out


def kernel_sas(ns):
    """What `ip -s -d xfrm state` says, by (dst, spi)."""
    text = ip(ns, "-s -d xfrm state")
    blocks = re.split(r"\n(?=src )", text.strip()) if text.strip() else []
    return {(sa["dst"], sa["spi"]): sa for sa in map(parse_sa, blocks)}


NUMBERS = {"inet": int(socket.AF_INET), "inet6": int(socket.AF_INET6), "esp": ESP, "ah": AH,
           "transport": 0, "tunnel": 1}


def from_tool(sa):
    """An SA of the tool's JSON with the names and values of the records."""
    out = {name.replace("_", "-"): value for name, value in sa.items()}
    for name in ("family", "proto", "mode"):
        out[name] = NUMBERS[sa[name]]
    out["spi"] = int(sa["spi"], 16)
    out["bitmap"] = [int(sa["bitmap"][i:i + 8], 16) for i in range(0, len(sa["bitmap"]), 8)]
    return out


def tool_sas(ns, *options):
    """What `xfrmsync show --json` says."""
    words = ("ip", "netns", "exec", ns, os.environ["XFRMSYNC"], "show", "--json", *options)
    return [from_tool(sa) for sa in json.loads(run(*words))]


def differences(kernel, record):
    """Fields in which a record and the kernel's word disagree."""
    out = []
    for name, want in kernel.items():
        have = record.get(name, 0)
        if name == "flags":
            have = [f for f in have if f in ("esn", "bmp")]
        if want != have:
            out.append(f"{name}: ip {want!r}, record {have!r}")
    return out


def main(func):
    func(*sys.argv[1:])
