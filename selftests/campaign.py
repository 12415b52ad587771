# SPDX-License-Identifier: GPL-2.0
"""Rounds of crash takeovers, and what the wires say of them.

In: the folder with the nodes' configurations; the namespaces of wires.sh; from the environment
    XFRMSYNC_SEED and XFRMSYNC_CAMPAIGN, words of
      n=N        rounds (3)
      from=N     the first one (0): round N of a seed draws the same each time
      guard=S    written to the configurations; strict: then no replay at all may be delivered
      out=FILE   a JSON line of totals for each round, and findings with the daemons' words
      story=1    the daemons' words of all rounds
      segments=1 bursts are packets of many segments (UDP GSO), each of which draws a number
      case=C,... rounds with that story, in turn (campaign_given.py); any other word: as drawn
      again=P    the new active crashes, too, in that share of the rounds (0.15)
Out: results.

What a strict guard costs right after a planned takeover is counted by name (campaign_given.py).
What is lost by definition: what changed on the active (an SA made, a policy moved to it) after
the standby was last seen in step, and is not on the standby at the crash. It is counted (`lost`),
and mended as an IKE daemon would, by a rekey. All else has to carry traffic again.
"""

import collections
import json
import os
import random
import re
import signal
import sys
import time

import campaign_given
from campaign_judge import COUNTED, IN, OUT, Ledger
from campaign_world import MAX_TUNNELS, Sa, Tunnel, World
from kt import SEED, check, equal, main
from nl import SLOW

WINDOWS = (32, 32, 64, 128, 256, 1024)
STARTS = (0, 0, 0, 1000, (1 << 32) - 40)
REBUILD = 12            # one round of so many begins with nothing
FEW = 5                 # packets of a flow after a takeover: the least lease has 16
GUARDED = 40            # so many at once where a guard costs the first ones: guard_min is 32
GUARDS = 25             # and so often, ever more: one grows with what came before, to 4096
UNREAD = 1000           # packets sent before the captures are emptied: they hold some thousands


class Failed(Exception):
    """A round cannot go on."""


class Campaign:
    """The world as the rounds find and leave it."""

    def __init__(self, world, options):
        self.world, self.options = world, options
        self.nodes, (self.active, self.standby) = world.nodes, world.nodes[:2]
        self.tunnels = {}
        self.totals, self.findings = collections.Counter(), collections.Counter()
        self.ledger = Ledger(self.find)
        # Of the round.
        self.rng, self.noise, self.number, self.broken = None, None, 0, False
        self.story, self.began = [], 0
        self.up, self.split, self.stuck, self.claimed = {"a", "b"}, False, 0, True
        self.handed = False             # by the one that crashed, which was back
        self.unread = 0
        # A planned takeover whose giver was not filled since; what may be of it after a crash.
        self.given, self.cases, self.crashed_again = None, (), False
        # Who crashed, and what of it is not back; how many frames to gateways there were then.
        self.dead, self.left, self.crashed = None, [], 0
        # The standby at the crash: its SAs, where its policies pointed; its windows after it.
        self.had, self.points, self.windows = {}, {}, {}
        self.heard = collections.Counter()      # (tunnel, way, how) -> packets

    # ---- telling -------------------------------------------------------------------

    def note(self, text):
        self.story.append(f"{time.monotonic() - self.began:7.3f} {text}")

    def find(self, kind, text):
        self.findings[kind] += 1
        self.note(f"FOUND {kind}: {text}")
        if not self.broken and kind not in COUNTED and self.findings[kind] <= 20:
            print(f"found in round {self.number}: {kind}: {text[:400]}", flush=True)

    def write(self, text):
        if self.options.get("out"):
            with open(self.options["out"], "a", encoding="utf-8") as file:
                file.write(text + "\n")

    # ---- packets -------------------------------------------------------------------

    def drain(self):
        for wire in self.world.wires.values():
            for frame in wire.drain():
                self.ledger.take(wire.sender, frame)

    def listen(self, timeout=0):
        for way, data, by in self.world.hosts.received(timeout):
            known = self.ledger.deliver(way, data, by)
            if known and known[1]:
                self.heard[known[1]] += 1

    def send(self, tunnel, way, node):
        """One packet; through that node if H sends it."""
        self.unread += 1
        if self.unread >= UNREAD:
            self.unread = 0
            self.listen()
            self.drain()
        device = "h" + node.name if way == OUT else None
        payload = self.ledger.payload(tunnel.number, way, device)
        if not self.world.hosts.send(tunnel, way, device, payload):
            self.totals["not_sent"] += 1

    def send_segments(self, tunnel, node, count):
        """In packets of the stack's that have up to 60 of them."""
        device = "h" + node.name
        while count > 0:
            payloads = [self.ledger.payload(tunnel.number, OUT, device) for _ in range(min(count, 60))]
            if not self.world.hosts.send(tunnel, OUT, device, b"".join(payloads), len(payloads[0])):
                self.totals["not_sent"] += len(payloads)
            count -= len(payloads)

    def pump(self, rounds=1, through=None, share=1.0):
        """Traffic both ways in a share of the tunnels."""
        through = [self.active] if through is None else through
        for _ in range(rounds):
            for tunnel in list(self.tunnels.values()):
                if not tunnel.sas or self.noise.random() > share:
                    continue
                self.send(tunnel, IN, None)
                for node in through:
                    self.send(tunnel, OUT, node)
            self.listen()

    def until(self, func, seconds, step=0.02):
        """Polls; meanwhile what arrives is noted."""
        deadline = time.monotonic() + seconds * SLOW
        while not (value := func()) and time.monotonic() < deadline:
            self.listen(step)
        return value

    # ---- what an IKE daemon does -----------------------------------------------------

    def shape(self, _tunnel):
        esn = self.rng.random() < 0.6
        start = self.rng.choice(STARTS) if esn else self.rng.choice(STARTS[:4])
        return esn, self.rng.choice(WINDOWS), self.rng.choice(("gcm", "gcm", "cbc")), start

    def install(self, tunnels):
        """New SAs for each, at the peer first as its answer is; then the policies."""
        ends = {True: [], False: []}
        for tunnel in tunnels:
            tunnel.old += tunnel.sas.values()
            tunnel.fresh = True
            tunnel.sas = {way: Sa(way, tunnel.family, self.shape(tunnel)) for way in (IN, OUT)}
            for way, sa in tunnel.sas.items():
                self.ledger.bench.add(sa.judged())
                ends[True].append(sa.add(way == OUT))
                ends[False].append(sa.add(way == IN))
        for gateway, lines in ends.items():
            for tunnel in tunnels:
                lines += tunnel.policies(gateway)
        self.world.peer_ip("\n".join(ends[False]))
        self.active.ip("\n".join(ends[True]))
        self.totals["sas_made"] += 2 * len(tunnels)

    def remove(self, sas):
        for kernel in (self.active.kernel, self.world.peer):
            kernel.remove((sa.spi, sa.dst) for sa in sas)

    def drop_old(self, tunnels):
        sas = [sa for tunnel in tunnels for sa in tunnel.old]
        for tunnel in tunnels:
            tunnel.old = []
        self.remove(sas)

    def wanted(self):
        return {sa.spi for t in self.tunnels.values() for sa in (*t.sas.values(), *t.old)}

    # ---- in step ---------------------------------------------------------------------

    def revive(self):
        """As its service would: a daemon that started beside a takeover without it gives up."""
        for node in self.nodes:
            if node.proc and node.proc.poll() and "or a command, uses it" in node.words():
                self.note(f"{node.name}'s daemon is started again")
                self.totals["revived"] += 1
                node.start()

    def why_not(self):
        """What the standby lacks, or ''."""
        self.revive()
        one, other = self.active.status(), self.standby.status()
        if not one or not other:
            return f"no answer: {bool(one)} {bool(other)}"
        peer = one["peers"][0]
        if one["role"] != "active" or other["role"] != "standby":
            return f"roles {one['role']}, {other['role']}"
        if peer["state"] != "synced" or peer["lag_packets"] or not other["ready"]:
            return (f"{peer['state']}, lag {peer['lag_packets']}, leases waiting "
                    f"{peer['leases_waiting']}, {other['reasons']}")
        if self.active.control.status()["dirty"]:
            return "records wait"
        mine, theirs = self.active.kernel.sas().keys(), self.standby.kernel.sas().keys()
        if mine ^ theirs:
            return f"SAs only on one: {[hex(s) for s in mine - theirs]} {[hex(s) for s in theirs - mine]}"
        if self.active.kernel.policy_spis() != self.standby.kernel.policy_spis():
            return "policies differ"
        return ""

    def who_won(self):
        """After a split the higher epoch decides who is the active."""
        def roles():
            states = [node.status() for node in (self.active, self.standby)]
            return [state and state["role"] for state in states]

        self.until(lambda: self.revive() or sorted(map(str, roles())) == ["active", "standby"], 20, 0.1)
        if roles() == ["standby", "active"]:
            self.note(f"{self.standby.name} won")
            self.active, self.standby = self.standby, self.active
            self.world.move(self.active)

    def in_step_or_stuck(self):
        """Stuck: for some looks the same, and of a kind that a standby leaves alone."""
        why = self.why_not()
        looks = ("differ", "only on one", "not safe")
        self.stuck = self.stuck + 1 if any(look in why for look in looks) else 0
        return not why or self.stuck > 5

    def settle(self, what):
        """The standby has all; from here on what changes is fresh."""
        self.listen(0.02)
        self.stuck = 0
        self.until(self.in_step_or_stuck, 30, 0.1)
        if self.why_not():
            self.help_out()
            # Traffic that is still on its way makes a later look another one.
            if not self.until(lambda: not self.why_not(), 30, 0.1):
                self.find("not in step", f"{what}: {self.why_not()}")
                raise Failed(what)
        self.listen()
        self.given = None
        # What was delivered between the two looks may not have been told.
        if self.why_not():
            return
        self.ledger.settle(self.active.name)
        # After a split both may have lost what only the one that lost it had.
        there = self.active.kernel.sas().keys()
        for tunnel in self.tunnels.values():
            tunnel.fresh = any(sa.spi not in there for sa in tunnel.sas.values())
            tunnel.pointed = False
        self.note(f"in step: {what}")

    # ---- a round's parts ---------------------------------------------------------------

    def build(self):
        """From nothing: no SA, no role."""
        self.note("from nothing")
        for node in self.nodes:
            if bad := node.end(self.rng.choice((signal.SIGTERM, signal.SIGKILL))):
                self.find("daemon", bad)
        for ip in (*(node.ip for node in self.nodes), self.world.peer_ip):
            ip("xfrm state flush\nxfrm policy flush")
        self.tunnels, self.given = {}, None
        self.leases()
        for node in self.nodes:
            node.reset()
            node.start()
        if not self.until(lambda: self.connected(self.active) and self.connected(self.standby), 30, 0.1):
            self.find("not in step", "two new daemons do not find each other")
            raise Failed("build")
        if self.told_to_take_over(self.active) is None:
            raise Failed("build")
        self.world.move(self.active)

    @staticmethod
    def connected(node):
        status = node.status()
        return status and status["peers"][0]["role"] in ("standby", "active")

    def leases(self):
        sizes = self.rng.randint(4, 8), self.rng.randint(4, 8)
        self.note(f"leases of 2^{sizes[0]} and 2^{sizes[1]}")
        for node in self.nodes:
            node.configure(sizes, campaign_given.PATIENT if self.options.get("case") else "")
            node.reload()

    def command(self, node, verb):
        """The verb's words; traffic goes on meanwhile, through all that are up."""
        proc = node.tool(verb, "--timeout", str(10 * SLOW))
        for _ in range(6):
            self.pump(1, [n for n in self.nodes if n.name in self.up], share=0.1)
            if self.until(lambda: proc.poll() is not None, 0.05, 0.01):
                break
        self.until(lambda: proc.poll() is not None, 30, 0.01)
        if proc.poll() is None:
            proc.kill()
            proc.wait()
        text = proc.stdout.read().strip()
        self.note(f"{verb} on {node.name}: {proc.returncode} {text}")
        return proc.returncode, text

    def told_to_take_over(self, node):
        """What it says; or None, which is a finding: a takeover always works (safety.rst). A daemon
        that just starts, or is dead, is no reason: the tool waits for the one, and does without the
        other. What the daemon refuses by its code is not in any round: it was told to be standby, or
        to read its configuration (a round begins with that, and is in step behind it), while it asks
        the active to hand over; a third node became active meanwhile; its disk, or the module, fails."""
        code, text = self.command(node, "takeover")
        if not code:
            return text
        self.totals["refused"] += 1
        self.find("refused", f"takeover on {node.name}: {code} {text}")
        return None

    def ports(self, node):
        return ["o" + node.name, "s" + node.name, "i" + node.name]

    def set_up(self, node, on):
        self.world.switch.set(self.ports(node), on)
        (self.up.add if on else self.up.discard)(node.name)
        self.note(f"{node.name}'s interfaces {'up' if on else 'down'}")

    def impair(self):
        words = ""
        if self.rng.random() < 0.7:
            delay = self.rng.choice((1, 2, 5, 20))
            words = (f"delay {delay}ms {delay * self.rng.choice((0, 1)) / 2}ms "
                     f"loss {self.rng.choice((0, 0, 1, 5))}% reorder {self.rng.choice((0, 25))}%")
        self.note(f"sync link: {words or 'as it is'}")
        self.world.impair(words)

    def tunnels_for_round(self):
        count = self.rng.randint(4, MAX_TUNNELS)
        for n in range(1, count + 1):
            if n not in self.tunnels:
                self.tunnels[n] = Tunnel(n, self.rng.choice((4, 4, 6)))
        some = [t for t in self.tunnels.values() if not t.sas or self.rng.random() < 0.4]
        if some:
            self.install(some)
            self.pump(1)
            self.drop_old(some)

    # ---- disturbances ------------------------------------------------------------------

    def disturb_rekey(self):
        some = self.some(3)
        self.note(f"rekey of {[t.number for t in some]}")
        self.install(some)
        self.pump(self.rng.randint(0, 2))
        if self.rng.random() < 0.6:
            self.drop_old(some)
        self.totals["rekeys"] += len(some)

    def disturb_delete(self):
        for tunnel in self.some(1):
            self.note(f"delete of {tunnel.number}")
            sas, tunnel.sas, tunnel.fresh = list(tunnel.sas.values()), {}, True
            self.remove(sas + tunnel.old)
            tunnel.old = []
            self.totals["deletes"] += 1

    def disturb_daemon(self):
        self.revive()
        node = self.rng.choice(self.nodes)
        how = self.rng.choice((signal.SIGTERM, signal.SIGKILL))
        self.note(f"{node.name}'s daemon: {how.name}")
        if bad := node.end(how):
            self.find("daemon", bad)
        self.pump(self.rng.randint(0, 3))
        node.start()
        self.totals["restarts"] += 1

    def disturb_link(self):
        self.note("sync link cut")
        self.world.switch.set(["sa"], False)
        self.pump(self.rng.randint(1, 4))
        if self.rng.random() < 0.3:
            self.disturb_rekey()
        if self.rng.random() < 0.8:
            self.world.switch.set(["sa"], True)
            self.note("sync link mended")
        self.totals["cuts"] += 1

    def disturb_burst(self, node=None):
        """More than most leases have; more than a guard covers that knows an idle SA."""
        size, way = self.rng.choice((20, 40, 80)), self.rng.choice((OUT, OUT, IN))
        self.note(f"bursts of {size} {way}")
        segments = way == OUT and self.options.get("segments")
        for tunnel in self.some(3):
            if segments:
                self.send_segments(tunnel, node or self.active, size)
                continue
            for _ in range(size):
                self.send(tunnel, way, node or self.active)
        self.totals["bursts"] += 1

    def disturb_switchover(self):
        """Planned, where it is possible."""
        text = self.told_to_take_over(self.standby)
        if text is None:
            return
        planned = "handed over" in text
        self.totals["switchovers" if planned else "splits"] += 1
        self.split |= not planned
        self.listen()
        self.given = None
        if planned:
            self.ledger.settle(self.active.name)
            self.given = campaign_given.Given(self.active, self.standby, text)
        self.world.move(self.standby)
        self.active, self.standby = self.standby, self.active

    def some(self, most):
        have = [t for t in self.tunnels.values() if t.sas]
        return self.rng.sample(have, min(len(have), self.rng.randint(1, most)))

    def disturb(self):
        kinds = (self.disturb_rekey, self.disturb_rekey, self.disturb_delete, self.disturb_daemon,
                 self.disturb_link, self.disturb_burst, self.disturb_switchover)
        for _ in range(self.rng.choice((0, 1, 1, 2, 2, 3))):
            self.rng.choice(kinds)()
            self.pump(self.rng.randint(0, 3), share=0.7)
        if self.rng.random() < 0.5:
            self.world.switch.set(["sa"], True)
            if self.split:
                self.who_won()
            self.settle("after what disturbed")
        self.pump(self.rng.randint(0, 6), share=0.8)
        if self.rng.random() < 0.3:
            self.disturb_rekey()
        if self.rng.random() < 0.3:
            self.disturb_burst()

    # ---- the crash and what follows ------------------------------------------------------

    def crash(self):
        self.note(f"crash of {self.active.name}")
        dead = self.dead = self.active
        if self.rng.random() < 0.5:
            dead.end(signal.SIGKILL)
            self.set_up(dead, False)
        else:
            self.set_up(dead, False)
            dead.end(signal.SIGKILL)
        self.listen()
        self.drain()
        self.ledger.crash()
        self.crashed = len(self.ledger.to_gateways)
        self.had = self.standby.kernel.sas()
        self.points = self.standby.kernel.policy_spis()

    def comes_back(self, dead, what):
        if what == "up":
            self.set_up(dead, True)
            self.two_actives(dead)
            if self.rng.random() < 0.2:
                self.set_up(dead, False)
                self.pump(1, through=[dead], share=0.4)
                self.set_up(dead, True)
            if self.rng.random() < 0.2:
                self.both_have_the_address(dead)
            if self.rng.random() < 0.3:
                self.disturb_burst(dead)
        else:
            self.note(f"{dead.name}'s daemon starts")
            dead.start()

    def both_have_the_address(self, dead):
        """The peer believes the old active for a moment."""
        owner = self.world.owner
        self.note(f"the address is {dead.name}'s for a moment")
        self.world.move(dead)
        self.pump(self.rng.randint(1, 2), through=[dead], share=0.5)
        self.world.move(owner)

    def two_actives(self, dead):
        """Until its daemon hears of the other one, the old active delivers what only the new one
        has seen. Nothing but fencing the node would help; counted."""
        self.listen()
        self.drain()
        frames, before = self.ledger.attack(self.crashed)
        if frames and dead.control.status()["role"] == "active":
            for _ in self.world.inject(dead, frames[-60:]):
                self.listen()
            self.until(lambda: False, 0.03, 0.01)
        self.ledger.totals["replays_to_the_old_one"] += self.ledger.delivered_again(before)

    def take_over(self):
        """Takeover, move, up, daemon: in an order that is drawn. The first two come first in
        half of the rounds. False where the takeover was refused."""
        dead, new = self.active, self.standby
        order = ["takeover", "move"]
        self.rng.shuffle(order)
        self.left = ["up", "daemon"]
        self.rng.shuffle(self.left)
        # The windows of who was active, too, are merged into the new one's: that mends what is broken.
        if self.rng.random() < 0.5 and not self.broken:
            while self.left and self.rng.random() < 0.7:
                order.insert(self.rng.randint(0, len(order)), self.left.pop(0))
        self.note(f"order: {order}")
        for i, what in enumerate(order):
            if what == "takeover" and not self.takeover(new):
                self.left += [w for w in order[i + 1:] if w in ("up", "daemon")]
                return False
            if what == "move":
                self.world.move(new)
            if what in ("up", "daemon"):
                self.comes_back(dead, what)
            through = [dead, new] if dead.name in self.up else [new]
            self.pump(self.rng.randint(0, 2), through=through, share=0.4)
        self.active, self.standby = new, dead
        return True

    def takeover(self, node):
        given, self.given = self.given, None
        strict = given and self.options["guard"] == "strict"
        self.cases = given.cases(node, self.dead) if strict else self.not_filled(node)
        text = self.told_to_take_over(node)
        if text is None:
            return False
        self.windows = node.kernel.sas()
        # It never heard of the one that took over from it, which has the higher epoch: this is
        # no takeover, and its numbers are behind those that the peer has seen.
        self.claimed = "already active" not in text
        self.split |= not self.claimed
        self.totals["takeovers" if self.claimed else "already_active"] += 1
        self.handed = "handed over" in text
        self.totals["handed_over"] += self.handed
        return True

    @staticmethod
    def is_back(node, when="filled"):
        """It was active, and follows the new one."""
        status = node.status()
        return status and status["role"] == "standby" and (when == "heard" or status["ready"])

    def not_filled(self, new):
        """Who heard of another active, and was not filled by it before that one died, fences; what
        it does not say to be fenced, has to carry. Where it was active itself: after a split, or a
        crash."""
        if self.crashed_again:      # what is on its way is heard after the crash, too
            return () if self.is_back(new) else ("fenced",)
        status = new.status() if self.split else None
        return ("fenced",) if status and not status["ready"] else ()

    def expected(self):
        """(tunnel, way) of the SAs that were on the standby, and are in use. What should have been
        is counted here: as expected, and it does not carry."""
        for tunnel in self.tunnels.values() if self.claimed else ():
            for way, sa in tunnel.sas.items():
                there = sa.spi in self.had
                used = way == IN or self.points.get(tunnel.inside) == sa.spi
                if there and used:
                    yield tunnel, way
                elif tunnel.fresh or (there and tunnel.pointed):
                    self.totals["lost"] += 1
                    self.note(f"lost: {tunnel.number} {'out' if way == OUT else 'in'} {sa.spi:#x}")
                else:
                    self.totals["expected"] += 1
                    self.find("not carried", f"tunnel {tunnel.number}: {sa.spi:#x} was "
                              f"{'' if there else 'not '}on the standby, its policy pointed "
                              f"at {self.points.get(tunnel.inside, 0):#x}")

    def excused(self, silent):
        """Those that need not carry, by what is documented: (tunnel, way) -> its case."""
        # `held` is over when the dead one is back, and can be reached.
        away = self.left or self.world.switch.down & {"sa", "sb"}
        cases = [case for case in self.cases if case != "held" or away]
        return campaign_given.named(cases, silent, self.active, self.dead) if cases and silent else {}

    def carried(self, wanted, what):
        """Counts them."""
        silent = self.flows(wanted)
        excused = self.excused(silent)
        for (tunnel, way), case in excused.items():
            self.note(f"{case}: {tunnel.number} {'out' if way == OUT else 'in'}")
            self.totals[case] += 1
            tunnel.fresh |= case == "fenced"    # IKE was asked for a rekey
        self.tell_silent([flow for flow in silent if flow not in excused], what)
        self.totals["expected"] += len(wanted) - len(excused)
        self.totals["carried"] += len(wanted) - len(silent)

    def flows(self, wanted, most=FEW):
        """Traffic again on each; those on which there is none."""
        new = self.active
        before = self.heard.copy()

        def silent():
            return [(t, way) for t, way in wanted
                    if self.heard[who(t, way)] == before[who(t, way)]]

        def who(tunnel, way):
            return tunnel.number, way, "h" + new.name if way == OUT else None

        for turn in range(max(most, GUARDS)):
            left = silent()
            if turn:
                excused = self.excused(left)    # a flood would change nothing
                left = [flow for flow in left if flow not in excused]
            for tunnel, way in left:
                if way == IN:
                    for _ in range(GUARDED << turn // 5 if self.options["guard"] else 1):
                        self.send(tunnel, way, new)
                elif turn < most:
                    self.send(tunnel, way, new)
            # A guard is passed by more packets, not by time.
            patience = 0.05 if turn < GUARDS - 5 and any(way == IN for _, way in left) else 0.4
            if self.until(lambda: not silent(), patience, 0.01) or not left:
                break
        return silent()

    def tell_silent(self, silent, what):
        for tunnel, way in silent:
            sa = tunnel.sas[way]
            record = [r for r in self.active.control.dump() if r["spi"] == sa.spi]
            self.find("not carried", f"{what}: tunnel {tunnel.number} {'out' if way == OUT else 'in'} "
                      f"{sa.spi:#x} {sa.shape}: {record}")

    def attack(self):
        frames, before = self.ledger.attack()
        for _ in self.world.inject(self.active, frames):
            self.listen()
        # What comes after them on each SA says that they are through.
        self.until(lambda: False, 0.05, 0.01)
        self.listen()
        self.ledger.attacked(before, self.windows, not self.handed)

    def carry_on(self):
        """The new active carries on, and an attacker tries."""
        wanted = list(self.expected())
        first = self.rng.random() < 0.5 and not self.broken
        if first:
            self.drain()
            self.attack()
        self.carried(wanted, "after the takeover")
        if self.broken:
            self.break_it(wanted)
        elif self.claimed:
            self.old_ones()
        if not first:
            self.drain()
            self.attack()

    def old_ones(self):
        """What a rekey left is on the standby, too, and carries as long as it lives."""
        tunnels = [t for t in self.tunnels.values() if len(t.old) == 2 and t.sas and
                   all(sa.spi in self.had for sa in t.old)]
        if not tunnels:
            return
        new = {t: t.sas for t in tunnels}
        for tunnel in tunnels:
            tunnel.sas = {sa.way: sa for sa in tunnel.old}
        self.point(tunnels)
        self.carried([(t, way) for t in tunnels for way in (IN, OUT)], "an SA that a rekey left")
        for tunnel in tunnels:
            tunnel.sas = new[tunnel]
            tunnel.pointed = True       # in step with the standby, or not
        # What came too late stays where it was: the policies of before.
        self.point([t for t in tunnels if all(sa.spi in self.had for sa in t.sas.values())])

    def point(self, tunnels):
        """Policies at both ends point at a tunnel's SAs."""
        for gateway, ip in ((True, self.active.ip), (False, self.world.peer_ip)):
            ip("\n".join(line for tunnel in tunnels for line in tunnel.policies(gateway)))

    def fence(self):
        """A standby delivers nothing, whatever is sent to it."""
        if self.rng.random() < 0.5:
            return
        frames, before = self.ledger.attack()
        fenced = self.standby.control.stats()["fenced-in"]
        for _ in self.world.inject(self.standby, frames[-200:]):
            self.listen()
        self.until(lambda: False, 0.05, 0.01)
        self.ledger.fenced(before)
        self.totals["fenced_in"] += self.standby.control.stats()["fenced-in"] - fenced

    def return_all(self):
        """Who crashed comes back for good, and the standby is filled."""
        for what in self.left:
            self.comes_back(self.dead, what)
            through = self.nodes if self.dead.name in self.up else [self.active]
            self.pump(self.rng.randint(0, 2), through=through, share=0.4)
        self.left = []
        self.world.switch.set(["sa", "sb"], True)

    def crash_again(self):
        """The new active crashes as soon as the old one is back, has heard of it, or is filled. If
        that one is filled, all that is there has to carry. If it is not, but has heard of the new
        active, it fences, and says so of each; what it does not name has to carry. If it has not even
        heard of it, it is active all along, with numbers that the peers may have seen the other one
        pass: nothing has to carry then. No number is repeated, ever."""
        if self.rng.random() > float(self.options.get("again", 0.15)):
            return
        self.totals["second_crashes"] += 1
        # A draw of its own: the rounds of a seed stay what they were.
        when = random.Random(f"{SEED}/{self.number}/again").choice(("back", "heard", "filled"))
        slow = when == "heard" and "daemon" in self.left
        if slow:
            # Who is active is the first that it hears; to be filled takes seconds.
            self.world.slow(self.standby, "rate 32kbit")
        self.return_all()
        if when != "back" and self.claimed:
            self.note(f"not before the old one has {'heard of it' if when == 'heard' else 'all'}")
            self.until(lambda: self.is_back(self.standby, when), 10, 0.02)
        self.crash()
        if slow:
            self.world.impair("")       # what was on its way is gone
        self.left, self.crashed_again = ["up", "daemon"], True
        if self.takeover(self.standby):
            self.active, self.standby = self.standby, self.active
            self.world.move(self.active)
            self.revive()
            before = self.totals["expected"]
            wanted = list(self.expected())
            self.totals["second_expected"] += self.totals["expected"] - before + len(wanted)
            self.carried(wanted, "after the second crash")
            self.pump(2)
            self.drain()
            self.attack()
        self.cases, self.crashed_again = (), False
        for tunnel in self.tunnels.values():
            tunnel.fresh = True

    def mend(self):
        """What an IKE daemon does about what was lost; what it does not know, goes."""
        lost = [t for t in self.tunnels.values() if t.sas and t.fresh]
        if lost:
            self.install(lost)
        self.drop_old(self.tunnels.values())
        self.forget_unknown(self.active)

    def forget_unknown(self, node):
        """SAs that the peer does not have any more: their deletion was not told in time."""
        extra = node.kernel.sas().keys() - self.wanted()
        if not extra:
            return
        self.note(f"stale on {node.name}: {[hex(spi) for spi in extra]}")
        self.totals["stale"] += len(extra)
        node.kernel.remove([name for name in node.kernel.names() if name[0] in extra])

    def help_out(self):
        """What a standby's log asks the operator for: it leaves alone what it believes to be its
        own, but that is what it had when it was the active itself. Counted."""
        words = self.standby.words()
        if "another policy of this name" in words:
            mine, theirs = self.active.kernel.policy_spis(), self.standby.kernel.policy_spis()
            bad = [t for t in self.tunnels.values()
                   if t.inside in theirs and mine.get(t.inside) != theirs[t.inside]]
            self.note(f"by hand on {self.standby.name}: policies of {[t.number for t in bad]}")
            self.standby.ip("\n".join(f"xfrm policy delete src {t.inside} dst {t.outside} dir out"
                                      for t in bad))
            self.totals["stuck_policies"] += len(bad)
        if "had alone: left alone" in words:
            alone = self.standby.kernel.sas().keys() - self.active.kernel.sas().keys()
            self.note(f"by hand on {self.standby.name}: SAs {[hex(spi) for spi in alone]}")
            self.standby.kernel.remove([name for name in self.standby.kernel.names() if name[0] in alone])
            self.totals["left_alone"] += len(alone)
        if "gone, with what this node drew on it" in words:
            self.fill_holes()

    def fill_holes(self):
        """An SA was deleted on a node that was active unheard, and took its numbers with it: the other
        one has all rekeyed that this one may have used (safety.rst). IKE would."""
        bad = {int(re.search(r"spi (0x\w+)", sa["sa"])[1], 0) for sa in self.active.status()["unsafe"]
               if "has lost the numbers" in sa["why"]}
        some = [t for t in self.tunnels.values() if any(sa.spi in bad for sa in (*t.sas.values(), *t.old))]
        if some:
            self.note(f"{self.active.name} asks for a rekey of {[t.number for t in some]}")
            self.totals["holes"] += len(bad)
            self.install(some)
            self.drop_old(some)

    # ---- breaking it, to see that the judge notices ----------------------------------------

    def break_it(self, wanted):
        """A number twice, a window forgotten, a policy gone: on the new active."""
        outs = [t for t, way in wanted if way == OUT]
        ins = [t for t, way in wanted if way == IN]
        twice, plain, window = outs[0], outs[1], ins[2]
        out, inn = twice.sas[OUT], window.sas[IN]
        self.active.ip("\n".join((
            out.delete(), out.add(True), inn.delete(), inn.add(False),
            f"xfrm policy delete src {plain.inside} dst {plain.outside} dir out")))
        for _ in range(5):
            self.send(twice, OUT, self.active)
            self.send(plain, OUT, self.active)
            self.listen(0.02)

    # ---- rounds ------------------------------------------------------------------------------

    def round(self, number, broken=False):
        # How much traffic there is, is a matter of time: it must not change what is drawn.
        self.rng, self.noise = random.Random(f"{SEED}/{number}"), random.Random(f"{SEED}/{number}/noise")
        self.number, self.broken = number, broken
        self.began, self.story, self.left, self.split = time.monotonic(), [], [], False
        self.cases, self.crashed_again = (), False
        if self.active.proc is None or broken or self.rng.random() < 1 / REBUILD:
            self.build()
        if self.rng.random() < 0.5:
            self.leases()
        self.impair()
        self.tunnels_for_round()
        self.settle("before the round")
        self.pump(2)
        case = self.case()
        if case:
            campaign_given.make(self, case)
        elif broken:
            self.settle("before the break")
            self.crash()
        else:
            self.disturb()
            self.crash()
        if self.take_over():
            self.carry_on()
        if broken:
            self.end_round()
            raise Failed("as it should")
        self.cases = ()
        self.crash_again()
        self.world.move(self.active)
        self.return_all()
        if self.split:
            self.who_won()
        self.mend()
        self.settle("after the round")
        self.fence()
        self.tell_silent(self.flows([(t, way) for t in self.tunnels.values() for way in t.sas],
                                    20), "after the round")
        self.end_round()

    def case(self):
        """The story that this round is to have, or None."""
        words = [] if self.broken else self.options.get("case", "").split(",")
        word = words and words[self.number % len(words)]
        return word if word in campaign_given.CASES else None

    def end_round(self):
        self.listen()
        self.drain()
        self.drain()
        alive = self.wanted()
        for kernel in (*(node.kernel for node in self.nodes), self.world.peer):
            alive |= kernel.sas().keys()
        self.ledger.forget(alive)
        if drops := self.world.drops():
            self.find("capture", f"{drops} frames were not captured")

    def sum(self):
        return dict(self.totals + self.ledger.totals)

    def tell(self, before):
        """A round's line; with what it did, where something was found."""
        now = self.sum()
        line = {"round": self.number, "seconds": round(time.monotonic() - self.began, 2),
                **{k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}}
        self.write(json.dumps(line))


def options():
    words = os.environ.get("XFRMSYNC_CAMPAIGN", "").split()
    return dict(n="3", guard="available", **{"from": "0"}) | dict(w.split("=", 1) for w in words)


def one_round(campaign, number, broken=False):
    """False where it did not come to its end."""
    found, before = campaign.findings.copy(), campaign.sum()
    good = True
    try:
        campaign.round(number, broken)
    except (Failed, OSError, RuntimeError, ValueError, KeyError, TimeoutError) as error:
        if not isinstance(error, Failed):
            campaign.find("trouble", f"{type(error).__name__}: {error}")
        good = False
        start_over(campaign)
    campaign.tell(before)
    fresh = campaign.findings - found
    if campaign.options.get("guard") != "strict":
        for kind in COUNTED:
            fresh.pop(kind, None)
    if (fresh and not broken) or campaign.options.get("story"):
        excerpt(campaign)
    for node in campaign.nodes:
        node.log.truncate(0)
    return good


def start_over(campaign):
    """The next round builds anew."""
    for node in campaign.nodes:
        campaign.set_up(node, True)
        node.end(signal.SIGKILL)


def excerpt(campaign):
    """What a round with a finding did, and what the daemons said."""
    campaign.write("\n".join(f"# {line}" for line in campaign.story))
    for node in campaign.nodes:
        node.log.seek(0)
        campaign.write("".join(f"# {node.name}: {line}" for line in node.log.readlines()[-200:]).rstrip())


def self_test(campaign):
    """A round that is broken on purpose, judged by itself."""
    keep = campaign.ledger, campaign.totals, campaign.findings
    campaign.ledger, campaign.totals = Ledger(campaign.find), collections.Counter()
    campaign.findings = collections.Counter()
    one_round(campaign, -1, broken=True)
    have = campaign.ledger.totals
    story = " | ".join(campaign.story[-25:])
    check("a broken round: the judge sees numbers twice", have["repeats"] > 0, story)
    check("a broken round: the judge sees replays delivered", have["replays_covered_delivered"] > 0, story)
    check("a broken round: the judge sees plaintext", have["plaintext"] > 0, story)
    campaign.ledger, campaign.totals, campaign.findings = keep
    start_over(campaign)


def test(folder, *namespaces):
    opts = options()
    extra = f"guard = {opts['guard']}\n" if opts["guard"] else ""
    campaign = Campaign(World(folder, *namespaces, extra=extra), opts)
    if opts.get("out"):
        with open(opts["out"], "w", encoding="utf-8"):
            pass
    first, n, began = int(opts["from"]), int(opts["n"]), time.monotonic()
    self_test(campaign)
    ended = 0
    for number in range(first, first + n):
        ended += one_round(campaign, number)
        if (number + 1 - first) % 50 == 0:
            print(f"{number + 1 - first} rounds, {time.monotonic() - began:.0f} s, "
                  f"{campaign.totals['takeovers']} takeovers, found: {dict(campaign.findings)}", flush=True)
    results(campaign, ended, n)
    for node in campaign.nodes:
        if bad := node.end(signal.SIGTERM):
            campaign.find("daemon", bad)
        node.reset()
    equal("every daemon lived, and ended cleanly", 0, campaign.findings["daemon"])
    totals = dict(seed=SEED, rounds=n, seconds=round(time.monotonic() - began),
                  **{"refused": 0, "replays_of_split_delivered": 0, **campaign.sum()},
                  found=dict(campaign.findings))
    campaign.write(json.dumps(totals))
    print(json.dumps(totals), flush=True)


def results(campaign, ended, n):
    have, found = campaign.sum(), campaign.findings
    equal("every round came to its end", n, ended)
    check("there was something to judge", have.get("takeovers", 0) > 0 and
          have.get("judged_gateways", 0) > 20 * n and have.get("replays_of_delivered", 0) > 10 * n, have)
    equal("no takeover is refused", 0, found["refused"])
    equal("no number twice from the gateways", 0, found["repeat"])
    if campaign.options["guard"] == "strict":
        equal("nothing delivered again", 0, sum(found[kind] for kind in ("replay", *COUNTED)))
    else:
        equal("nothing delivered again that the standby had been told of", 0, found["replay"])
    equal("nothing delivered by a standby", 0, found["fence"])
    equal("no plaintext on any wire", 0, found["plaintext"])
    equal("traffic again on each SA that was on the standby", 0, found["not carried"])
    for case in campaign_given.CASES if "case" in campaign.options else ():
        check(f"a case that is documented: {case}", have.get(case, 0) > 0, have)
    equal("the standby is filled each time", 0, found["not in step"])
    equal("the judge knows every packet, and nothing strange arrived", 0,
          found["wire"] + found["strange"] + found["trouble"] + found["capture"])


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main(test)
