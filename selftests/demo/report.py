#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
In: what the demo's machines left: the capture, the traffic log, counters, the keys.
Out: a story with a table, demo.json, and the timeline (timeline.py draws it).
Runs on the host, after the machines are gone. What xfrmsync says of itself is not asked.

usage: report.py --sync on|off --kernel KVER --gateway MAC=NAME ... --attacker MAC
                 [--plan WORDS] DIR OUT
  --plan  what happened to gw-a, of make campaign-vm: no story but its result, and stricter
  DIR  what the machines shared    OUT  a folder; OUT.json, OUT.svg and OUT.png go beside

All times are those of the third VM, which sent, received and captured every packet.
Exit: 0; 1 with --sync on when something required was not seen.
"""

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict

HERE = os.path.dirname(os.path.abspath(__file__))
JUDGE = os.path.join(HERE, "..", "judge")
sys.path.insert(0, JUDGE)
sys.dont_write_bytecode = True

import judge  # noqa: E402  pylint: disable=wrong-import-position,import-error
import timeline  # noqa: E402  pylint: disable=wrong-import-position

GATEWAY = bytes((198, 51, 100, 1))
WAYS = ("in", "out")
MAGIC = b"xfrs"  # a packet of traffic.c that nobody encrypted
REPLAYS = 1000  # packets of before the crash that the attacker repeats
END_NS = 2 * 10**9  # a tunnel carries on if it does so in the last two seconds


def load_json(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return json.load(f)


class Wire:
    """What the frames say without any key: who spoke when, and when the address moved."""

    def __init__(self, path, old, new):
        self.crash = self.move = self.first_out = self.first_in = None
        old, new = bytes.fromhex(old.replace(":", "")), bytes.fromhex(new.replace(":", ""))
        frames = [(t, f) for t, _, f in judge.read_pcap(path)]
        for time, f in frames:
            if f[6:12] == old:
                self.crash = time
        if self.crash is None:
            raise judge.InputError("the first gateway was never heard")
        self.plaintext = sum(MAGIC in f for _, f in frames if not self.is_esp(f))
        for time, f in frames:
            if time <= self.crash:
                continue
            if f[6:12] == new and f[12:14] == b"\x08\x06" and f[28:32] == GATEWAY:
                self.move = self.move or time
            if self.is_esp(f) and f[6:12] == new and f[26:30] == GATEWAY:
                self.first_out = self.first_out or time
            if self.is_esp(f) and f[0:6] == new and f[30:34] == GATEWAY:
                self.first_in = self.first_in or time

    @staticmethod
    def is_esp(f):
        return f[12:14] == b"\x08\x00" and (f[23] == 50 or
                                            f[23] == 17 and f[36:38] == b"\x11\x94")


class Traffic:
    """What was sent and what was delivered, by tunnel and direction."""

    def __init__(self, path):
        self.sent = defaultdict(dict)       # (tunnel, way): {number: time}
        self.arrived = defaultdict(list)    # (tunnel, way): [(number, sent, arrived)]
        self.strange = 0
        with open(path, encoding="ascii") as f:
            for what, way, tunnel, *rest in csv.reader(f):
                if what == "sent":
                    self.sent[int(tunnel), way][int(rest[0])] = int(rest[1])
                elif what == "arrived":
                    self.arrived[int(tunnel), way].append(tuple(map(int, rest)))
                else:
                    self.strange += 1
        self.end = max(max(s.values()) for s in self.sent.values())

    def lost(self, flow):
        got = {number for number, _, _ in self.arrived[flow]}
        return [t for number, t in self.sent[flow].items() if number not in got]

    def flow(self, flow, crash):
        """One tunnel, one way: what the crash did to it."""
        before = [a for _, s, a in self.arrived[flow] if a <= crash]
        # What was sent after the crash can only have come through the new gateway.
        after = sorted(a for _, s, a in self.arrived[flow] if s > crash)
        lost = self.lost(flow)
        return {"sent": len(self.sent[flow]), "lost": len(lost),
                "lost_before_crash": sum(t <= crash for t in lost),
                "before": bool(before),
                "after": any(a > self.end - END_NS for a in after),
                "first_after_ms": ms(after[0] - crash) if after else None,
                "outage_ms": ms(after[0] - max(before)) if after and before else None}


def ms(ns):
    return None if ns is None else round(ns / 1e6, 1)


def xfrm_stat(path):
    with open(path, encoding="ascii") as f:
        return Counter({k: int(v) for k, v in (line.split() for line in f)})


def drops(folder, who):
    """Counters of /proc/net/xfrm_stat that grew after the traffic had warmed up."""
    grown = xfrm_stat(os.path.join(folder, f"{who}.after"))
    grown.subtract(xfrm_stat(os.path.join(folder, f"{who}.before")))
    return {k: v for k, v in sorted(grown.items()) if v}


def spis(path):
    with open(path, encoding="utf-8") as f:
        return set(re.findall(r"spi (0x[0-9a-f]{8})", f.read()))


def run_judge(args, keys):
    packets = os.path.join(args.out, "packets.csv")
    command = ["/usr/bin/python3", os.path.join(JUDGE, "judge.py"), "--report-only",
               "--keys", os.path.join(args.dir, "keys.json"), "--packets", packets,
               "--attacker", args.attacker]
    for pair in args.gateway:
        command += ["--name", pair]
    for t in keys["tunnels"]:
        command += ["--name", f"{t['mac']}=peer{t['tunnel']:02d}"]
    done = subprocess.run(command + [os.path.join(args.dir, "outside.pcap")], check=True,
                          stdout=subprocess.PIPE)
    with open(packets, encoding="ascii") as f:
        return json.loads(done.stdout), [
            (int(time), sender, sa, int(number) if number else None, verdict)
            for time, sender, sa, number, verdict, _ in csv.reader(f)]


def replays(traffic, crash, attack):
    """Packets of before the crash that were delivered after the attacker had begun."""
    begin = attack["waves"][0]["start_ns"]
    late, again = [], 0
    for (tunnel, way), arrivals in traffic.arrived.items():
        seen = set()
        for number, sent, arrived in arrivals:
            if way == "in" and sent <= crash and arrived >= begin:
                late.append((tunnel, arrived))
                again += number in seen
            seen.add(number)
    return late, again


def duplicates_delivered(traffic):
    return sum(len(a) - len({number for number, _, _ in a}) for a in traffic.arrived.values())


def takeover_ms(folder):
    """How long the command took, as the notify script timed it."""
    with open(os.path.join(folder, "gw-b.events"), encoding="utf-8") as f:
        took = [int(m[1]) for m in re.finditer(r" MASTER rc=0 us=(\d+)", f.read())]
    return round(took[-1] / 1000, 1) if took else None


def capture_drops(folder):
    """Frames that tcpdump says it missed; None where it does not say."""
    with open(os.path.join(folder, "tcpdump.log"), encoding="utf-8") as f:
        said = re.search(r"(\d+) packets? dropped by kernel", f.read())
    return int(said[1]) if said else None


def worst(values):
    return None if None in values else max(values)


def analyse(args):
    keys = load_json(args.dir, "keys.json")
    macs = {name: mac for mac, name in (g.split("=", 1) for g in args.gateway)}
    wire = Wire(os.path.join(args.dir, "outside.pcap"), macs["gw-a"], macs["gw-b"])
    traffic = Traffic(os.path.join(args.dir, "traffic.csv"))
    judged, packets = run_judge(args, keys)
    attack = load_json(args.dir, "attack.json")
    sas = {s["name"]: s for s in judged["sas"]}

    tunnels = []
    for t in keys["tunnels"]:
        row = {k: t[k] for k in ("tunnel", "age", "inside", "outside")}
        for way in WAYS:
            row[way] = traffic.flow((t["tunnel"], way), wire.crash)
        sa = sas[f"t{t['tunnel']:02d} out"]
        row["duplicates"] = sum(sas[f"t{t['tunnel']:02d} {w}"]["duplicates"] for w in WAYS)
        row["gw_a_last_number"] = sa["senders"].get("gw-a", {}).get("max")
        row["gw_b_first_number"] = sa["senders"].get("gw-b", {}).get("min")
        tunnels.append(row)

    late, again = replays(traffic, wire.crash, attack)
    peers, gateway = drops(args.dir, "peers"), drops(args.dir, "gw-b.stat")
    outage = {w: [t[w]["outage_ms"] for t in tunnels] for w in WAYS}
    back = {w: [o for o in outage[w] if o is not None] for w in WAYS}
    used_after = {sa for time, sender, sa, _, verdict in packets
                  if verdict in ("ok", "duplicate") and time > wire.crash and
                  (sender == "gw-b" or sa.endswith(" in"))}
    result = {
        "outage_ms_in": worst(outage["in"]), "outage_ms_out": worst(outage["out"]),
        "lost_in": sum(t["in"]["lost"] for t in tunnels),
        "lost_out": sum(t["out"]["lost"] for t in tunnels),
        "duplicate_sequence_numbers": judged["duplicates"],
        "peer_replay_drops": peers.get("XfrmInStateSeqError", 0),
        "replays_accepted": len(late),
        "tunnels_before": sum(all(t[w]["before"] for w in WAYS) for t in tunnels),
        "tunnels_after": sum(all(t[w]["after"] for w in WAYS) for t in tunnels),
        "spis_unchanged": not judged["unknown_spi"] and used_after == set(sas) and
        spis(os.path.join(args.dir, "gw-a.state.before")) ==
        spis(os.path.join(args.dir, "gw-b.state.after")),
        "takeover_command_ms": takeover_ms(args.dir) if args.sync == "on" else None,

        "sync": args.sync, "kernel": args.kernel,
        "outage_ms_in_median": round(statistics.median(back["in"]), 1) if back["in"] else None,
        "outage_ms_out_median":
            round(statistics.median(back["out"]), 1) if back["out"] else None,
        "tunnels_after_in": sum(t["in"]["after"] for t in tunnels),
        "tunnels_after_out": sum(t["out"]["after"] for t in tunnels),
        "sent_in": sum(t["in"]["sent"] for t in tunnels),
        "sent_out": sum(t["out"]["sent"] for t in tunnels),
        "lost_before_crash": sum(t[w]["lost_before_crash"] for t in tunnels for w in WAYS),
        "replays_sent": sum(w["sent"] for w in attack["waves"]),
        "replays_delivered_twice": again,
        "duplicates_delivered": duplicates_delivered(traffic),
        "strange_packets": traffic.strange,
        "icv_failures_on_wire": judged["icv_failures"],
        "esp_packets_judged": judged["packets"],
        "capture_drops": capture_drops(args.dir), "plaintext": wire.plaintext,
        "unknown_spi": judged["unknown_spi"],
        "peer_drops": peers, "gw_b_drops": gateway,
        "events_ms": {"crash": 0.0, "address_moved": since(wire.move, wire.crash),
                      "first_esp_to_gw_b": since(wire.first_in, wire.crash),
                      "first_esp_from_gw_b": since(wire.first_out, wire.crash),
                      "first_delivered_in": first(tunnels, "in"),
                      "first_delivered_out": first(tunnels, "out"),
                      "attack": [since(w["start_ns"], wire.crash) for w in attack["waves"]]},
        "tunnels": tunnels,
    }
    picture = {"crash": wire.crash, "traffic": traffic, "packets": packets,
               "used": {name for name, sa in sas.items() if sa["senders"]},
               "replays": late, "result": result,
               "waves": [{"sent": w["sent"], "from": since(w["start_ns"], wire.crash),
                          "to": since(w["end_ns"], wire.crash)} for w in attack["waves"]]}
    return result, picture


def since(time, crash):
    return None if time is None else ms(time - crash)


def first(tunnels, way):
    return min((t[way]["first_after_ms"] for t in tunnels
                if t[way]["first_after_ms"] is not None), default=None)


def required(r):
    """Yields what a failover with xfrmsync owes and this one did not give."""
    n = len(r["tunnels"])
    for what, good in (
            (f"tunnels_before is {r['tunnels_before']}, not {n}", r["tunnels_before"] == n),
            (f"tunnels_after is {r['tunnels_after']}, not {n}", r["tunnels_after"] == n),
            ("a sequence number was sent twice", r["duplicate_sequence_numbers"] == 0),
            ("a peer dropped packets as replays", r["peer_replay_drops"] == 0),
            (f"peers dropped packets: {r['peer_drops']}", not r["peer_drops"]),
            ("an ICV fits no sequence number", r["icv_failures_on_wire"] == 0),
            ("the capture is not complete", r["capture_drops"] == 0),
            ("SPIs changed", r["spis_unchanged"]),
            (f"the attacker sent {r['replays_sent']} packets, not {REPLAYS}",
             r["replays_sent"] == REPLAYS),
            ("no takeover command succeeded", r["takeover_command_ms"] is not None)):
        if not good:
            yield what


# ---- a round of campaign-vm ---------------------------------------------------------

def killed(args, r, used):
    """What make campaign-vm tells of a round: the counts of campaign.rst. Lost is what a rekey made
    that had not reached gw-b: a peer that uses it does so all the same."""
    keys = load_json(args.dir, "keys.json")
    have = spis(os.path.join(args.dir, "gw-b.state.after"))
    new = {sa["tunnel"]: sa["spi"] for sa in keys["sas"]
           if sa["name"].endswith("in new") and sa["name"] in used}
    lost = {t for t, spi in new.items() if spi not in have}
    flows = [(t["tunnel"], w, t[w]["after"]) for t in r["tunnels"] for w in WAYS
             if w == "out" or t["tunnel"] not in lost]
    return {"plan": args.plan, "judged": r["esp_packets_judged"],
            "repeats": r["duplicate_sequence_numbers"], "bad_icv": r["icv_failures_on_wire"],
            "unknown_spi": r["unknown_spi"], "plaintext": r["plaintext"],
            "replays": r["replays_sent"], "replays_delivered": r["replays_delivered_twice"],
            "late": r["replays_accepted"] - r["replays_delivered_twice"],
            "expected": len(flows), "carried": sum(on for _, _, on in flows),
            "rekeyed": len(new), "lost": len(lost),
            "peer_replay_drops": r["peer_replay_drops"], "capture_drops": r["capture_drops"],
            "outage_ms": max(filter(None, (r["outage_ms_in"], r["outage_ms_out"])), default=None),
            "silent": [f"{t} {w}" for t, w, on in flows if not on]}


def required_of(k):
    """Yields what a round owes and this one did not give."""
    for what in ("repeats", "bad_icv", "unknown_spi", "plaintext", "peer_replay_drops", "capture_drops"):
        if k[what] != 0:
            yield f"{what} is {k[what]}"
    if "guard=strict" in k["plan"] and k["replays_delivered"]:
        yield f"{k['replays_delivered']} replays were delivered, the guard is strict"
    if k["replays"] != REPLAYS:
        yield f"the attacker sent {k['replays']} packets, not {REPLAYS}"
    if k["carried"] != k["expected"]:
        yield f"no traffic again: {k['silent']}"


# ---- the story ---------------------------------------------------------------------

def seconds(milliseconds):
    return "never" if milliseconds is None else f"{milliseconds / 1000:.2f} s"


def shown(number):
    """A 64-bit number as high half and low half, which is how a wire splits it."""
    return "-" if number is None else f"{number >> 32}:{number & 0xffffffff:,}"


def table(tunnels):
    yield ("tunnel  inside  outside  counters       outage in  lost   outage out  lost"
           "   last number of gw-a   first of gw-b   twice  carries on")
    for t in tunnels:
        ways = "".join(f"{seconds(t[w]['outage_ms']):>{n}}  {t[w]['lost']:>4}"
                       for w, n in (("in", 9), ("out", 13)))
        on = [w for w in WAYS if t[w]["after"]]
        yield (f"{t['tunnel']:>6}  {t['inside']:<6}  {t['outside']:<7}  {t['age']:<13}  {ways}"
               f"{shown(t['gw_a_last_number']):>22}{shown(t['gw_b_first_number']):>16}"
               f"{t['duplicates']:>8}  "
               f"{'both ways' if len(on) == 2 else 'only ' + on[0] if on else 'dead'}")


def story(r):
    e = r["events_ms"]
    yield ""
    yield (f"Two gateways, {len(r['tunnels'])} tunnels, traffic both ways in all of them "
           f"(Linux {r['kernel']}).")
    yield ("gw-b is kept up to date by xfrmsync." if r["sync"] == "on" else
           "No xfrmsync: gw-b has the same SAs and keys, installed beforehand; nobody tells "
           "it the numbers.")
    yield ""
    events = [(0.0, "gw-a loses its power: its last frame on the outside wire"),
              (e["address_moved"], "keepalived has moved the address to gw-b"),
              (e["first_esp_to_gw_b"], "the peers' packets go to gw-b"),
              (e["first_delivered_in"], "first packet delivered inside"),
              (e["first_esp_from_gw_b"], "gw-b's first ESP packet on the wire"),
              (e["first_delivered_out"], "first packet delivered to a client outside"),
              (e["attack"][0], "an attacker repeats the newest packets of before the crash"),
              (e["attack"][1], "and once more, older ones")]
    events = sorted(x for x in events if x[0] is not None)
    if e["first_delivered_out"] is None:
        events.append((None, "a packet delivered to a client outside"))
    if e["first_delivered_in"] is None:
        events.append((None, "a packet delivered inside"))
    for at, what in events:
        yield f"{'never' if at is None else f'+{at / 1000:.3f} s':>10}  {what}"
    yield ""
    yield from table(r["tunnels"])
    yield ""
    n = len(r["tunnels"])
    for label, text in (
            ("tunnels that carry both ways", f"{r['tunnels_before']} before, "
             f"{r['tunnels_after']} after (of {n}; inbound {r['tunnels_after_in']}, "
             f"outbound {r['tunnels_after_out']})"),
            ("SPIs", "unchanged" if r["spis_unchanged"] else "changed, or not in use"),
            ("longest outage", f"in {seconds(r['outage_ms_in'])}, "
             f"out {seconds(r['outage_ms_out'])}"),
            ("lost packets", f"in {r['lost_in']} of {r['sent_in']}, "
             f"out {r['lost_out']} of {r['sent_out']}"),
            ("sequence numbers sent twice", f"{r['duplicate_sequence_numbers']} "
             f"(in {r['esp_packets_judged']} ESP packets, each opened by the judge)"),
            ("dropped by the peers", ", ".join(f"{k} {v}" for k, v in r["peer_drops"].items())
             or "nothing"),
            ("replays accepted", f"{r['replays_accepted']} of {r['replays_sent']}"),
            ("takeover command", "none" if r["takeover_command_ms"] is None else
             f"{r['takeover_command_ms']:.0f} ms")):
        yield f"  {label:<30}{text}"
    yield ""
    if r["sync"] == "off":
        yield from WHY_OFF
        yield ""


WHY_OFF = (
    "Why: gw-b numbers its packets from 1 again. Where the peer has seen more, they are replays",
    "or too old, and it drops them; 'sent twice' counts them on the wire. Where the counter has",
    "passed 2^32 (about to wrap, old), gw-b also guesses the high half wrong that the integrity",
    "check covers: nothing it gets is authentic to it, nothing it sends is to the peer. And where",
    "it does receive, its replay window is empty: what an attacker has captured is delivered again.")


def main():
    ap = argparse.ArgumentParser(usage=__doc__.split("usage: ", 1)[1].split("\n", 1)[0])
    ap.add_argument("--sync", choices=("on", "off"), required=True)
    ap.add_argument("--kernel", required=True)
    ap.add_argument("--gateway", action="append", required=True)
    ap.add_argument("--attacker", required=True)
    ap.add_argument("--plan")
    ap.add_argument("dir")
    ap.add_argument("out")
    args = ap.parse_args()

    result, picture = analyse(args)
    if args.plan:
        result["killed"] = killed(args, result, picture["used"])
    with open(args.out + ".json", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    if args.plan:
        return tell(required_of(result["killed"]))
    timeline.draw(picture, args.out)
    print("\n".join(story(result)))
    return tell(required(result) if args.sync == "on" else ())


def tell(failures):
    failures = list(failures)
    for why in failures:
        print(f"FAILED: {why}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
