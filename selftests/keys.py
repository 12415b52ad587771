# SPDX-License-Identifier: GPL-2.0
"""SAs with known keys; where nothing may hold a key, none is found: raw, or as digits.

In: two namespaces joined by setup_veth; the module.
Out: results. What XFRM itself gives out shows that the search finds keys.
"""

import os
import subprocess

import nl
from kt import Udp, check, ip, key, main, sa_id, sa_text, until

A_END, B_END = "192.0.2.1", "192.0.2.2"
INSTANCE = f"/sys/kernel/tracing/instances/xfrmsync-keys-{os.getpid()}"
SLICE = 8       # bytes of a key that count as a leak


def needles(keys):
    """Each 8 bytes of each key: raw, hexadecimal of both cases, and word by word reversed."""
    out = set()
    for text in keys:
        raw = bytes.fromhex(text[2:])
        for at in range(0, len(raw) - SLICE + 1):
            part = raw[at:at + SLICE]
            out |= {part, part[::-1], part.hex().encode(), part.hex().upper().encode(),
                    part.hex(" ").encode()}
    return out


def leaks(data, wanted):
    return [n for n in wanted if n in data]


def files_below(*roots):
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and os.access(path, os.R_OK):
                    yield path


def read(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        out = b""
        while len(out) < 4 << 20 and (piece := os.read(fd, 1 << 16)):
            out += piece
        return out
    except OSError:
        return b""
    finally:
        os.close(fd)


def trace_on():
    os.mkdir(INSTANCE)
    with open(INSTANCE + "/events/xfrmsync/enable", "w", encoding="ascii") as file:
        file.write("1")


def trace_off():
    with open(INSTANCE + "/events/xfrmsync/enable", "w", encoding="ascii") as file:
        file.write("0")
    data = read(INSTANCE + "/trace")
    os.rmdir(INSTANCE)
    return data


def traffic(a_ns, client, reader):
    """All that makes the module speak."""
    udp = Udp(a_ns)
    for spi in (1, 2):
        ip(a_ns, f"xfrm policy add src {A_END} dst {B_END} proto udp dport {spi} dir out tmpl "
                 f"src {A_END} dst {B_END} proto {'esp' if spi == 1 else 'ah'} reqid {spi} mode transport")
        udp.send(B_END, 5, port=spi)
    until(lambda: len(reader.pull()))
    client.dump()
    for spi, proto in ((1, 50), (2, 51)):
        client.get(**sa_id(B_END, spi, proto))
        client.restore(dict(sa_id(B_END, spi, proto), oseq=1 << 20), dict(sa_id(B_END, 99), oseq=1))
        client.bind(sa_id(B_END, spi, proto, tag=9))
    client.role("standby", 1, 1)
    client.status()
    client.stats()
    client.role("none")
    ip(a_ns, "xfrm state flush")
    until(lambda: len(reader.pull()))


def test(a_ns, b_ns):
    keys = [key(20, "aead"), key(32, "auth"), key(32, "etm"), key(16, "crypt")]
    wanted = needles(keys)
    trace_on()
    client, reader = nl.Client(a_ns, keep_raw=True), nl.Client(a_ns, keep_raw=True)
    reader.subscribe()
    reader.join("events")
    for ns in (a_ns, b_ns):
        ip(ns, "xfrm state add " + sa_text(A_END, B_END, 1, label="aead"))
        ip(ns, "xfrm state add " + sa_text(A_END, B_END, 2, proto="ah", label="auth").replace(
            "reqid 1 ", "reqid 2 "))
        ip(ns, f"xfrm state add src {A_END} dst {B_END} proto esp spi 3 mode tunnel "
               f"auth-trunc hmac(sha256) {keys[2]} 128 enc cbc(aes) {keys[3]}")

    with nl.Xfrm(a_ns) as xfrm:
        dump = b"".join(xfrm.talk(0x12, nl.NLM_F_DUMP, bytes(4)))
    check("XFRM's own dump holds the keys: the search finds them raw", leaks(dump, wanted))
    check("and in ip's output, as digits", leaks(ip(a_ns, "xfrm state").encode(), wanted))

    traffic(a_ns, client, reader)
    raw = b"".join(client.raw + reader.raw)
    check("our messages were captured", len(raw) > 2000, len(raw))
    check("none holds a key", not leaks(raw, wanted))
    traced = trace_off()
    check("our traces were captured", traced.count(b"xfrmsync_") > 10, traced[-300:])
    check("none holds a key", not leaks(traced, wanted))
    log = subprocess.run(["dmesg"], check=True, stdout=subprocess.PIPE).stdout
    check("the log holds none", log and not leaks(log, wanted))
    mine = set(files_below("/proc/net", "/proc/sys/net", "/sys/module/xfrmsync",
                           "/sys/kernel/slab/xfrmsync_sa", "/sys/kernel/debug/tracing/events/xfrmsync"))
    mine |= {f"/proc/{n}" for n in os.listdir("/proc") if os.path.isfile(f"/proc/{n}")
             and n not in ("kcore", "kmsg", "kpagecount", "kpageflags", "kpagecgroup", "sysrq-trigger")}
    with nl.netns(a_ns):
        found = {path for path in mine if leaks(read(path), wanted)}
    check("nothing in /proc and /sys holds one", len(mine) > 100 and not found, found or len(mine))
    client.close()
    reader.close()


main(test)
