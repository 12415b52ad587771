#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: deliveries, windows and nodes that this test makes up.
Out: TAP; exit 1 if the campaign's judge passes what it has to find, or finds what it has to count.
Runs on the host, without privileges: no round is played, only judged.
"""

import collections
import os
import sys
import types
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import campaign
from campaign_judge import IN, OUT, Capture, Ledger
from campaign_world import Sa, Tunnel, Window
from judge_test import Tap

SPI, NUMBER = 0x1001, 70
HAS_IT = Window(NUMBER, 32, (1,), False)
BEFORE_IT = Window(NUMBER - 1, 32, (1,), False)


class Again(unittest.TestCase):
    """A packet that is first delivered after the crash, and that the attacker repeats."""

    def attacked(self, first, again, split, window=BEFORE_IT, at_crash=()):
        """The kinds of what is found."""
        self.kinds = collections.Counter()
        self.ledger = Ledger(lambda kind, _: self.kinds.update([kind]))
        data = self.ledger.payload(1, IN, None)
        self.ledger.to_gateways.append(Capture(b"", SPI, NUMBER, 1))
        for by in at_crash:
            self.ledger.deliver(IN, data, by)
        self.ledger.crash()
        for by in first:
            self.ledger.deliver(IN, data, by)
        _, before = self.ledger.attack()
        for by in again:
            self.ledger.deliver(IN, data, by)
        self.ledger.attacked(before, {SPI: window} if window else {}, split)
        return dict(self.kinds)

    def total(self):
        return self.ledger.totals["replays_of_split_delivered"]

    def test_the_same_gateway_delivers_it_again(self):
        for split in (True, False):
            self.assertEqual(self.attacked("b", "b", split), {"replay": 1})
            self.assertEqual(self.total(), 1)

    def test_no_two_were_active(self):
        self.assertEqual(self.attacked("a", "b", False), {"replay": 1})
        self.assertEqual(self.total(), 1)

    def test_two_actives_explain_it(self):
        self.assertEqual(self.attacked("a", "b", True), {"split": 1})
        self.assertEqual(self.total(), 1)
        self.assertEqual(self.attacked("a", "b", True, window=None), {"split": 1})

    def test_the_new_active_had_been_told(self):
        self.assertEqual(self.attacked("a", "b", True, window=HAS_IT), {"replay": 1})

    def test_both_had_delivered_it(self):
        # That it came twice before the attack, with nobody who repeated it, is found, too.
        self.assertEqual(self.attacked("ba", "b", True), {"replay": 1, "strange": 1})

    def test_what_is_not_delivered_again_is_nothing(self):
        for split in (True, False):
            for first in ("a", "b", ""):
                self.assertEqual(self.attacked(first, "", split), {})
                self.assertEqual(self.total(), 0)

    def test_what_comes_late_is_no_replay(self):
        self.assertEqual(self.attacked("", "b", False), {})
        self.assertEqual(self.ledger.totals["late"], 1)

    def test_of_before_the_crash_the_window_decides(self):
        self.assertEqual(self.attacked("", "b", True, HAS_IT, at_crash="a"), {"replay": 1})
        self.assertEqual(self.attacked("", "b", True, BEFORE_IT, at_crash="a"), {"exposed": 1})
        self.assertEqual(self.total(), 0)


class Results(unittest.TestCase):
    """What of it fails a campaign."""

    def failed(self, guard, kind):
        had = []
        have = {"takeovers": 1, "judged_gateways": 100, "replays_of_delivered": 100}
        made = types.SimpleNamespace(sum=lambda: have, options={"guard": guard},
                                     findings=collections.Counter({kind: 1}))
        with mock.patch.object(campaign, "check", lambda name, good, why="": good or had.append(name)), \
                mock.patch.object(campaign, "equal", lambda name, a, b: a == b or had.append(name)):
            campaign.results(made, 1, 1)
        return had

    def test_a_replay_fails_with_any_guard(self):
        for guard in ("strict", "available", ""):
            self.assertEqual(len(self.failed(guard, "replay")), 1, guard)

    def test_strict_has_no_excuse(self):
        for kind in ("exposed", "split"):
            self.assertEqual(self.failed("strict", kind), ["nothing delivered again"])
            self.assertEqual(self.failed("available", kind), [])


class Made(unittest.TestCase):
    """A campaign of two nodes that are not there."""

    def setUp(self):
        nodes = [types.SimpleNamespace(name=name) for name in "ab"]
        self.campaign = campaign.Campaign(types.SimpleNamespace(nodes=nodes), {"guard": ""})
        self.campaign.broken = True     # prints nothing
        self.campaign.left = ["up"]     # who crashed is away
        self.tunnel = Tunnel(1, 4)
        self.tunnel.sas = {way: Sa(way, 4, (True, 32, "gcm", 0)) for way in (IN, OUT)}
        self.campaign.tunnels = {1: self.tunnel}
        self.campaign.had = {sa.spi: None for sa in self.tunnel.sas.values()}
        self.campaign.points = {self.tunnel.inside: self.tunnel.sas[OUT].spi}


class Split(Made):
    """Whether two were active is what the takeover says."""

    def split(self, text):
        """What the judge of the attack behind it is told."""
        node = types.SimpleNamespace(kernel=types.SimpleNamespace(sas=lambda: {}))
        made, told = self.campaign, mock.Mock()
        made.world.inject = lambda *_: ()
        with mock.patch.multiple(made, told_to_take_over=lambda _: text, until=mock.Mock(),
                                 listen=mock.Mock()), \
                mock.patch.object(made.ledger, "attacked", told):
            self.assertTrue(made.takeover(node))
            made.attack()
        return told.call_args.args[2]

    def test_a_hand_over_is_no_split(self):
        self.assertIs(self.split("epoch 2: handed over by a"), False)
        # Nor does one of before excuse the next one.
        self.assertIs(self.split("epoch 3: the active died"), True)
        self.assertIs(self.split("already active"), True)


class Carried(Made):
    """An SA that should have been on the standby."""

    def judged(self):
        """Traffic on all that it asks for: (expected, carried, lost, found)."""
        with mock.patch.object(self.campaign, "flows", lambda wanted: []):
            self.campaign.carried(list(self.campaign.expected()), "test")
        have = self.campaign.totals
        return have["expected"], have["carried"], have["lost"], self.campaign.findings["not carried"]

    def absent(self, way):
        del self.campaign.had[self.tunnel.sas[way].spi]

    def elsewhere(self):
        self.campaign.points[self.tunnel.inside] = 0x99

    def test_all_is_there(self):
        self.assertEqual(self.judged(), (2, 2, 0, 0))

    def test_one_that_is_absent_is_expected_and_not_carried(self):
        for way in (IN, OUT):
            self.setUp()
            self.absent(way)
            self.assertEqual(self.judged(), (2, 1, 0, 1))

    def test_a_policy_elsewhere_is_expected_and_not_carried(self):
        self.elsewhere()
        self.assertEqual(self.judged(), (2, 1, 0, 1))

    def test_what_changed_since_they_were_in_step_is_lost(self):
        self.tunnel.fresh = True
        self.absent(IN)
        self.elsewhere()
        self.assertEqual(self.judged(), (0, 0, 2, 0))

    def test_pointing_excuses_where_the_policy_points(self):
        self.tunnel.pointed = True
        self.elsewhere()
        self.assertEqual(self.judged(), (1, 1, 1, 0))

    def test_pointing_excuses_no_absent_sa(self):
        for way in (IN, OUT):
            self.setUp()
            self.tunnel.pointed = True
            self.absent(way)
            self.assertEqual(self.judged(), (2, 1, 0, 1))

    def test_nothing_is_expected_of_who_was_active_all_along(self):
        self.campaign.claimed = False
        self.absent(IN)
        self.assertEqual(self.judged(), (0, 0, 0, 0))


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    print(f"TAP version 13\n1..{suite.countTestCases()}")
    result = Tap()
    suite.run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
