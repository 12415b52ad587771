# SPDX-License-Identifier: GPL-2.0
"""An active with a reader in each of many namespaces, for the kernel's own tests.

usage: follow.py SOCKET
In: "follow PATH" and "leave PATH" on a Unix socket, PATH of a namespace. "sum" and "end".
Out: "ok" when it is so; of "sum": namespaces, SAs that were told, and of these how many with
     numbers that were used. The namespaces are active, and all that is dirty is pulled.
"""

import contextlib
import ctypes
import os
import select
import socket
import sys

import nl


class Follower:
    """One namespace."""

    def __init__(self, path):
        with open("/proc/thread-self/ns/net", "rb") as here, open(path, "rb") as there:
            self.inode = os.fstat(there.fileno()).st_ino
            if nl.libc.setns(there.fileno(), nl.CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                self.reader, self.request = nl.Client(), nl.Client()
            finally:
                nl.libc.setns(here.fileno(), nl.CLONE_NEWNET)
        self.request.role("active", 1, 1)
        self.reader.subscribe()
        self.told, self.used = set(), set()

    def pull(self):
        with contextlib.suppress(OSError):      # ENOBUFS: wake-ups were lost
            while self.reader.receive(0):
                pass
        for record in self.reader.pull():
            name = record.get("cookie")
            self.told.add(name)
            if record.get("oseq") or record.get("seq"):
                self.used.add(name)

    def leave(self):
        self.pull()
        self.request.role("none")
        self.reader.close()
        self.request.close()


class Server:
    """All of them."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(64)
        self.followers, self.sums = {}, [0, 0, 0]

    def follow(self, path):
        one = Follower(path)
        self.followers[one.inode] = one
        self.sums[0] += 1

    def leave(self, inode):
        one = self.followers.pop(inode, None)
        if one:
            one.leave()
            self.sums[1] += len(one.told)
            self.sums[2] += len(one.used)

    def answer(self, text):
        verb, _, path = text.partition(" ")
        if verb == "follow":
            self.follow(path)
        elif verb == "leave":
            self.leave(os.stat(path).st_ino)
        else:
            for inode in list(self.followers):
                self.leave(inode)
            return " ".join(map(str, self.sums))
        return "ok"

    def serve(self):
        """Until it has told the sums."""
        while True:
            sockets = {one.reader.sock: one for one in self.followers.values()}
            for sock in select.select([self.listener, *sockets], [], [])[0]:
                if sock is not self.listener:
                    sockets[sock].pull()
                    continue
                with self.listener.accept()[0] as client:
                    text = client.recv(1000).decode()
                    try:
                        said = self.answer(text)
                    except OSError as error:
                        said = str(error)
                    print(f"{text}: {said}", flush=True)
                    client.send(said.encode())
                    if text == "sum":
                        return
                break


Server(sys.argv[1]).serve()
