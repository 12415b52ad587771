#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: the path of a charon's vici socket (or some, comma between them), a command and its words.
Out: what charon says, a line for each that a test can compare.
strongSwan's src/libcharon/plugins/vici/README.md describes the protocol. A test asks as
answer.py's vici: swanctl takes a second to start in an emulated machine.

  version               it answers
  ike                   CONN STATE SPIi SPIr of each IKE SA
  child                 CHILD IN OUT of each Child SA that is installed
  remote                CONN HOST PORT [VIP] of each IKE SA: where its peer is
  initiate CHILD        and waits until it is there
  rekey ike|child NAME  begins it
  terminate NAME        an IKE SA, in order
"""

import socket
import struct
import sys

REQUEST, RESPONSE, REGISTER, CONFIRM, EVENT = 0, 1, 3, 5, 7
SECTION, SECTION_END, VALUE, LIST, ITEM, LIST_END = range(1, 7)
PATIENCE = 300      # seconds


def named(kind, name):
    return bytes([kind, len(name)]) + name.encode()


def sized(value):
    return struct.pack(">H", len(value)) + value.encode()


def encode(message):
    return b"".join(named(VALUE, k) + sized(v) for k, v in message.items())


class Reader:
    """Goes through the elements of a message."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def name(self):
        return self.take(self.take(1)[0]).decode()

    def value(self):
        return self.take(struct.unpack(">H", self.take(2))[0]).decode(errors="replace")

    def items(self):
        found = []
        while self.take(1)[0] == ITEM:
            found.append(self.value())
        return found

    def section(self):
        """Until its end, or the message's."""
        found = {}
        while self.at < len(self.data):
            kind = self.take(1)[0]
            if kind == SECTION_END:
                break
            name = self.name()
            found[name] = {SECTION: self.section, VALUE: self.value, LIST: self.items}[kind]()
        return found


class Charon:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(path)
        self.stream = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.sock.close()

    def send(self, packet):
        self.sock.sendall(struct.pack(">I", len(packet)) + packet)

    def receive(self):
        head = self.stream.read(4)
        if len(head) < 4:
            raise OSError("charon has hung up")
        packet = self.stream.read(struct.unpack(">I", head)[0])
        return packet[0], packet[1:]

    def ask(self, command, message=None):
        self.send(named(REQUEST, command) + encode(message or {}))
        kind, data = self.receive()
        if kind != RESPONSE:
            raise ValueError(f"{command}: charon does not know it")
        said = Reader(data).section()
        if said.get("success", "yes") != "yes":
            raise ValueError(f"{command}: {said.get('errmsg')}")
        return said

    def stream_of(self, command, event):
        """What comes as events before the answer."""
        self.send(named(REGISTER, event))
        if self.receive()[0] != CONFIRM:
            raise ValueError(f"{event}: charon does not know it")
        self.send(named(REQUEST, command))
        while True:
            kind, data = self.receive()
            if kind == RESPONSE:
                return
            if kind == EVENT:
                reader = Reader(data)
                reader.name()
                yield reader.section()

    def sas(self):
        """(connection, IKE SA) of each."""
        for event in self.stream_of("list-sas", "list-sa"):
            yield from event.items()


def ike(charon):
    return [f"{name} {sa['state']} {sa['initiator-spi']} {sa['responder-spi']}"
            for name, sa in charon.sas()]


def child(charon):
    return [f"{c['name']} {c['spi-in']} {c['spi-out']}" for _, sa in charon.sas()
            for c in sa["child-sas"].values() if c["state"] == "INSTALLED"]


def remote(charon):
    return [" ".join([name, sa["remote-host"], sa["remote-port"], *sa.get("remote-vips", [])])
            for name, sa in charon.sas()]


def version(charon):
    return [charon.ask("version")["version"]]


def initiate(charon, name):
    charon.ask("initiate", {"child": name, "timeout": str(1000 * PATIENCE)})
    return []


def rekey(charon, what, name):
    charon.ask("rekey", {what: name})
    return []


def terminate(charon, name):
    charon.ask("terminate", {"ike": name, "timeout": str(1000 * PATIENCE)})
    return []


VERBS = {f.__name__: f for f in (version, ike, child, remote, initiate, rekey, terminate)}


def main(paths, verb, *rest):
    """The lines that it says, or they all do, sorted."""
    said = []
    for path in paths.split(","):
        with Charon(path) as charon:
            said += VERBS[verb](charon, *rest)
    return sorted(said)


if __name__ == "__main__":
    print(*main(*sys.argv[1:]), sep="\n")
