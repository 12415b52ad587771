# SPDX-License-Identifier: GPL-2.0
"""What a strict guard costs right after a planned takeover (safety.rst), told from a failure.

In: who gave its SAs to whom, in what epoch; what the new active's daemon says of each SA.
Out: SAs that need not carry after a crash, by the name of the case:
      held    inbound: delivers nothing new until the taker, which is dead, has acknowledged it
      fenced  what the taker delivered could be replayed here, so it waits for a rekey
    Story and daemon have to agree. And rounds that are made to have such a story.
"""

import re

from campaign_judge import IN

CASES = ("held", "fenced")
PATIENT = "answer_ms = 5000\n"          # of the node that takes, on a slow link


class Given:
    """A planned takeover, until its giver is seen to be filled."""

    def __init__(self, giver, taker, text):
        self.giver, self.taker = giver, taker
        self.epoch = int(re.search(r"epoch (\d+)", text)[1])

    def cases(self, new, dead):
        """What may be if that node takes over from that one now; asked before it does."""
        status = new.status()
        if (self.giver, self.taker) != (new, dead) or not status or status["ready"]:
            return ()
        return CASES if status["epoch"] < self.epoch else ("fenced",)


def named(cases, flows, new, dead):
    """(tunnel, way) -> case, of those flows that one of the cases excuses."""
    shown, out = {int(sa["spi"], 0): sa for sa in new.ask("show")}, {}
    for tunnel, way in flows:
        sa = shown.get(tunnel.sas[way].spi, {})
        if "fenced" in cases and "fenced" in sa.get("flags", ()):
            out[tunnel, way] = "fenced"
        elif "held" in cases and way == IN and sa.get("held") and dead.name in sa["waits_for"]:
            out[tunnel, way] = "held"
    return out


def make(campaign, case):
    """A planned takeover, and the crash of the new active in that moment."""
    giver, world = campaign.active, campaign.world
    port = ["s" + giver.name]
    world.impair("")
    # What says so to the giver is on its way when the link is cut.
    world.slow(giver, "delay 1000ms")
    campaign.disturb_switchover()
    world.switch.set(port, False)
    if case == "fenced":
        campaign.until(lambda: not connected(campaign.nodes), 20)
        # On a new link it hears who is active, first of all; to be filled takes seconds.
        world.slow(giver, "rate 32kbit")
        world.switch.set(port, True)
        campaign.until(lambda: hears(giver, campaign.given), 20)
    campaign.crash()
    world.impair("")                    # what was on its way is gone


def connected(nodes):
    states = [node.status() for node in nodes]
    return any(s and s["peers"][0]["state"] not in ("connecting", "disconnected") for s in states)


def hears(giver, given):
    status = giver.status()
    return not given or status and status["epoch"] >= given.epoch
