# SPDX-License-Identifier: GPL-2.0
"""What a local user gets of a daemon: nothing. Each question is asked with and without rights.

In: the daemon's pid, its socket, and files that it reads or writes; all folders above them are
open to everybody, so that what is refused is refused by the file itself.
Without socket and files: what of a process, its helper, anybody gets by /proc and ptrace.
Out: results.
"""

import ctypes
import os
import socket
import struct

import nl
from kt import check, equal, in_child, main, nobody

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
SYS_PTRACE, SYS_PROCESS_VM_READV, SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 101, 310, 434, 438
DENIED = ("EACCES", "EPERM")


def weak_root():
    """uid 0 in a container, say: the owner of the files, and no capability."""
    header = struct.pack("II", 0x20080522, 0)
    if nl.libc.syscall(126, header, bytes(24)):         # capset
        raise OSError(ctypes.get_errno(), "capset")


def call(number, *args):
    nl.libc.syscall.restype = ctypes.c_long
    ret = nl.libc.syscall(number, *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    if ret < 0:
        raise OSError(ctypes.get_errno(), "syscall")
    return ret


def read(path, at=0):
    with open(path, "rb", buffering=0) as file:
        file.seek(at)
        file.read(8)
    return "read"


def link(path):
    os.readlink(path)
    return "read"


def connect(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(path)
        sock.sendall(b'{"cmd":"status"}\n')
        return "answered" if sock.recv(1) else "closed"


def attach(pid):
    call(SYS_PTRACE, PTRACE_ATTACH, pid, 0, 0)
    os.waitpid(pid, 0x40000000)
    call(SYS_PTRACE, PTRACE_DETACH, pid, 0, 0)
    return "read"


def peek(pid, address):
    """One byte of its memory."""
    data = ctypes.create_string_buffer(1)
    here = struct.pack("QQ", ctypes.addressof(data), 1)
    there = struct.pack("QQ", address, 1)
    call(SYS_PROCESS_VM_READV, pid, here, 1, there, 1, 0)
    return "read"


def take_fd(pid):
    fd = call(SYS_PIDFD_OPEN, pid, 0)
    try:
        os.close(call(SYS_PIDFD_GETFD, fd, 0, 0))
    finally:
        os.close(fd)
    return "read"


def signal(pid):
    os.kill(pid, 0)
    return "read"


def dump_sas():
    """What `ip xfrm state` does: keys and all."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, nl.NETLINK_XFRM) as sock:
        sock.settimeout(20)
        body = bytes(4)
        sock.send(struct.pack("IHHII", 16 + len(body), 18, 0x301, 1, 0) + body)
        _, kind, _, _, _, code = struct.unpack_from("IHHIIi", sock.recv(65536))
    if kind == 2 and code:
        raise OSError(-code, "dump")
    return "read"


def first_mapping(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return int(file.readline().split("-")[0], 16)


def of_process(pid):
    address = first_mapping(pid)
    proc = f"/proc/{pid}"
    questions = [(f"/proc/PID/{name}", read, f"{proc}/{name}")
                 for name in ("environ", "maps", "pagemap", "auxv", "stack", "syscall")]
    return questions + [
        ("/proc/PID/mem", lambda path: read(path, address), f"{proc}/mem"),
        ("its open files", link, f"{proc}/fd/0"), ("where it is", link, f"{proc}/cwd"),
        ("ptrace", attach, pid), ("process_vm_readv", lambda p: peek(p, address), pid),
        ("pidfd_getfd", take_fd, pid), ("a signal", signal, pid)]


def test(pid, sock=None, *files):
    questions = [(os.path.basename(path), read, path) for path in files]
    questions += of_process(int(pid))
    if sock:
        questions += [("the kernel's SAs", lambda _: dump_sas(), None)]
    for name, func, arg in questions:
        equal(f"root gets it: {name}", "read", in_child(lambda: func(arg)))
        have = in_child(lambda: (nobody(), func(arg))[1])
        check(f"a user does not: {name}", have in DENIED, have)

    # Who has its uid, and no capability: the owner of its files, but not of its memory.
    for name, func, arg in questions:
        if arg in files or func is signal:
            continue
        have = in_child(lambda: (weak_root(), func(arg))[1])
        check(f"nor does uid 0 without capabilities: {name}", have in DENIED, have)

    if not sock:
        return
    equal("root is heard on the socket", "answered", in_child(lambda: connect(sock)))
    have = in_child(lambda: (nobody(), connect(sock))[1])
    equal("a user does not get as far as the daemon", "EACCES", have)
    os.chmod(sock, 0o666)
    have = in_child(lambda: (nobody(), connect(sock))[1])
    check("and where the socket is open to all, it is not heard",
          have in ("closed", "ECONNRESET", "EPIPE"), have)
    os.chmod(sock, 0o600)


main(test)
