#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Numbered packets, both ways between gateways and peers, all the time (answer.py's flows).

  start TICK_MS NODES FLOW...  NODES: the gateways' namespaces, comma between them; a FLOW is
                               NAMESPACE,PEER,GATEWAY: two addresses inside
  from NODE...                 which gateways send, by their places in NODES: 0 at first
  pause, go                    nothing is sent, until go
  passing                      each way of each flow, what was sent last has come
  mark                         what follows is judged
  sent N                       since the mark, each way of each flow
  judge whole|one|gap [PEER]   since the mark nothing was lost; or, of each way, one packet at
                               most; or what lies between two numbers; never was anything
                               delivered twice

Each gateway has a number of its own beside that of the packet: what one sends is told from
what another one does.
"""

import collections
import errno
import select
import socket
import struct
import threading
import time

from nl import netns

PORT = 7000
LATEST = 3          # of the numbers sent that many have to have come, but for the very last
QUIET = 0.5         # seconds without a packet: nothing is on its way any more
PATIENCE = 20


def endpoint(namespace, address):
    with netns(namespace):
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, PORT))
    s.setblocking(False)
    return s


def gateway_end(namespace, address):
    """None where it has no such address: it is of another group."""
    try:
        return endpoint(namespace, address)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
        return None


class Way:
    """One direction of a flow."""

    def __init__(self, name):
        self.name = name
        self.seen = collections.Counter()   # (sender, number)
        self.have = set()
        self.begin = 0

    def take(self, sender, number):
        self.seen[sender, number] += 1
        self.have.add(number)

    def lost(self, sent):
        """Runs of numbers that are missing since the mark."""
        runs = []
        for number in range(self.begin, sent):
            if number in self.have:
                continue
            if runs and runs[-1][1] == number - 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        return runs

    def twice(self):
        return sum(n > 1 for n in self.seen.values())


class Flows:
    def __init__(self, tick, nodes, flows):
        self.tick = tick / 1000
        self.lock = threading.Lock()
        self.on, self.sent, self.last, self.senders = True, 0, time.monotonic(), {0}
        inside = {}
        self.out, self.into, self.peers, self.ways = [], [], [], {}
        for i, flow in enumerate(flows):
            namespace, peer, gateway = flow.split(",")
            at_peer = endpoint(namespace, peer)
            self.peers.append((at_peer, gateway))
            self.ways[i, "in"], self.ways[i, "out"] = Way(f"from {peer}"), Way(f"to {peer}")
            for node, name in enumerate(nodes.split(",")):
                if (node, gateway) not in inside:
                    inside[node, gateway] = gateway_end(name, gateway)
                if inside[node, gateway]:
                    self.out.append((inside[node, gateway], peer, i, node))
        self.readers = {s.fileno(): (s, "out") for s, _ in self.peers}
        self.readers.update({s.fileno(): (s, "in") for s in inside.values() if s})
        self.poll = select.poll()
        for fd in self.readers:
            self.poll.register(fd, select.POLLIN)
        threading.Thread(target=self.run, daemon=True).start()

    def send(self):
        for i, (s, gateway) in enumerate(self.peers):
            self.send_one(s, gateway, i, 0)
        for s, peer, i, node in self.out:
            if node in self.senders:
                self.send_one(s, peer, i, node)
        self.sent += 1

    def send_one(self, s, to, i, sender):
        try:
            s.sendto(struct.pack(">HHI", i, sender, self.sent), (to, PORT))
        except OSError:     # no route, or a fence: it is lost
            pass

    def read(self, fd):
        s, way = self.readers[fd]
        while True:
            try:
                data = s.recv(64)
            except BlockingIOError:
                return
            except OSError:     # of what was sent
                continue
            i, sender, number = struct.unpack(">HHI", data)
            self.ways[i, way].take(sender, number)
            self.last = time.monotonic()

    def run(self):
        due = time.monotonic()
        while True:
            left = due - time.monotonic()
            if left <= 0:
                with self.lock:
                    if self.on:
                        self.send()
                due = time.monotonic() + self.tick
                continue
            for fd, _ in self.poll.poll(1000 * left):
                with self.lock:
                    self.read(fd)

    def settled(self):
        """Sends nothing, and waits until nothing comes any more."""
        end = time.monotonic() + PATIENCE
        with self.lock:
            on, self.on, self.last = self.on, False, time.monotonic()
        while time.monotonic() < end and time.monotonic() - self.last < QUIET:
            time.sleep(self.tick)
        return on

    def passing(self):
        with self.lock:
            want = range(self.sent - 1 - LATEST, self.sent - 1)
            bad = [w.name for w in self.ways.values() if not w.have.issuperset(want)]
        return not bad, "nothing passes " + ", ".join(bad) if bad else ""

    def mark(self):
        with self.lock:
            for way in self.ways.values():
                way.begin = self.sent
        return True, ""

    def since(self, want):
        with self.lock:
            count = self.sent - max(way.begin for way in self.ways.values())
        return count >= int(want), f"{count} sent"

    def judge(self, what, peer=""):
        on = self.settled()
        with self.lock:
            ways = [w for w in self.ways.values() if peer in ("", w.name.split()[1])]
            lost = {w.name: w.lost(self.sent) for w in ways}
            said = [f"{name}: lost {runs}" for name, runs in lost.items()
                    if len(runs) > (what != "whole") or runs and runs[-1][1] == self.sent - 1 or
                    what == "one" and runs and runs[0][0] != runs[0][1]]
            said += [f"{w.name}: twice {w.twice()}" for w in ways if w.twice()]
            count = self.sent - min(w.begin for w in ways)
            if what == "gap" and any(not runs for runs in lost.values()):
                said.append("nothing was lost: nothing was sent meanwhile")
            self.on = on
        if said:
            return False, "\n".join(said)
        longest = max((r[1] - r[0] + 1 for runs in lost.values() for r in runs), default=0)
        return True, f"{count} sent each way of {len(ways) // 2}, of one at most {longest} lost"


RUNNING = []


def main(verb, *args):
    """Whether it is so, and what there is to say."""
    if verb == "start":
        RUNNING.append(Flows(int(args[0]), args[1], args[2:]))
        return True, ""
    flows = RUNNING[0]
    if verb == "from":
        with flows.lock:
            flows.senders = {int(node) for node in args}
        return True, ""
    if verb in ("pause", "go"):
        with flows.lock:
            flows.on = verb == "go"
        return True, ""
    return {"passing": flows.passing, "mark": flows.mark, "sent": flows.since,
            "judge": flows.judge}[verb](*args)
