#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the benches measured, as a table and as JSON, and whether it is more than it was.

In: DIR/KVER/*.figures, "NAME<tab>MIN<tab>MEDIAN<tab>MAX", of each kernel that was run.
Out: the table, with limits and with the kernel's own; OUT.json; an exit code.

usage: report.py [-g BASELINE | -r BASELINE] [-o OUT.json] DIR
  -g  gate: fails where a figure is more than 2 % above the one of that kernel in BASELINE
  -r  record: BASELINE is written anew for the kernels that were run; the others stay
"""

import argparse
import json
import pathlib
import re
import sys

TOLERANCE = 0.02
RECORDS = "make bench BENCH=records"
PACKETS = "make bench BENCH=packets"
TAKEOVER = "make bench BENCH=takeover"
GROWTH = "make bench BENCH=growth"
LAG = "make bench BENCH=lag"

# name; its figure, a function of f, which has the least, the median or the most of each that
# was measured; at most, aim, unit; the kernel's own, likewise; command; for the gate or not.
ROWS = [
    ("capture, a packet pair", lambda f: f["capture"] - f["nothing captured"], 130, 100,
     "instructions",
     {"aevents, each 32 packets": lambda f: f["aevents 32"] - f["without the module"]},
     PACKETS, False),
    ("lease and fence of an active, a packet pair",
     lambda f: f["nothing captured"] - f["without the module"] + f["active, with a lease"]
     - f["capture"], 60, 30, "instructions", {}, PACKETS, False),
    ("a record, from dirty to the reader's buffer", lambda f: f["pull"], 900, 650,
     "instructions", {"an aevent": lambda f: f["aevent"]}, RECORDS, True),
    ("a record applied on the standby", lambda f: f["restore"], 900, 600, "instructions",
     {"NEWAE, each acknowledged": lambda f: f["NEWAE"], "NEWAE, 64 at once": lambda f: f["NEWAE 64"]},
     RECORDS, True),
    # An SA may be told more than once of a packet; its kernel tells it once. Not for the gate:
    # from one repeat to the next these vary by more than it allows.
    ("a record through both daemons",
     lambda f: f["active"] + f["standby"] - f["pull"] / f["applied"] - f["restore"], 3000, 1500,
     "instructions", {}, RECORDS, False),
    ("... all that the active's does for it", lambda f: f["active"], None, None,
     "instructions", {}, RECORDS, False),
    ("... all that the standby's does for it", lambda f: f["standby"], None, None,
     "instructions", {}, RECORDS, False),
    ("a snapshot, an SA", lambda f: f["dump"], 900, 700, "instructions",
     {"GETSA": lambda f: f["GETSA"]}, RECORDS, True),
    ("a full sync with keys and policies, an SA", lambda f: f["sync"], None, None,
     "instructions", {"copied by XFRM netlink": lambda f: f["copy"]}, RECORDS, False),
    ("bytes on the link, a record, window 128", lambda f: f["bytes"], 64, 48, "bytes", {},
     RECORDS, True),
    ("module memory, an SA", lambda f: f["module memory, an SA"], 256, 192, "bytes", {},
     RECORDS, True),
    ("takeover after a crash, an SA more", lambda f: f["takeover, an SA"], 100, 0,
     "instructions", {}, TAKEOVER, False),
]
RATIOS = {"a full sync with keys and policies, an SA": (1.15, 1.05)}


def read(folder):
    """NAME to (min, median, max); of one that was measured again the one that is least."""
    figures = {}
    for path in sorted(folder.glob("*.figures")):
        for line in path.read_text().splitlines():
            name, *values = line.split("\t")
            values = tuple(float(v) for v in values)
            figures[name] = min(figures.get(name, values), values)
    return figures


def total(of, figures):
    """(min, median, max) of it, or None where a part was not measured."""
    try:
        return tuple(of({name: v[i] for name, v in figures.items()}) for i in range(3))
    except KeyError:
        return None


def kernel_rows(kernel, figures):
    """An entry for each figure that was measured on that kernel."""
    for name, of, limit, aim, unit, own, command, gated in ROWS:
        value = total(of, figures)
        if value is None:
            continue
        entry = {"name": name, "kernel": kernel, "value": round(value[0], 1),
                 "min": round(value[0], 1), "median": round(value[1], 1),
                 "max": round(value[2], 1), "limit": limit, "aim": aim, "unit": unit,
                 "command": command, "gated": gated}
        others = [(what, total(t, figures)) for what, t in own.items()]
        entry["own"] = {what: round(v[0], 1) for what, v in others if v}
        if name in RATIOS and entry["own"]:
            base = next(iter(entry["own"].values()))
            entry["limit"], entry["aim"] = (round(r * base, 1) for r in RATIOS[name])
        yield entry


def growth_rows(kernel, figures):
    """An entry for each figure of growth.sh: by the number of SAs, or by their window."""
    for name, values in figures.items():
        found = re.fullmatch(r"(.*), (?:(\d+) SAs|window (\d+))", name)
        if not found:
            continue
        least, median, most = (round(v, 2) for v in values)
        yield {"name": found[1], "kernel": kernel, "by": "SAs" if found[2] else "window",
               "at": int(found[2] or found[3]), "value": least, "min": least, "median": median,
               "max": most, "command": GROWTH}


def lag_rows(kernel, figures):
    """An entry for each figure of lag.sh."""
    for name, values in figures.items():
        found = re.fullmatch(r"(lag, interval \d+ ms), (\d+) active", name)
        if found:
            yield dict(zip(("p50", "p99", "max"), values), name=found[1], kernel=kernel,
                       by="active", at=int(found[2]), value=values[0], unit="us", command=LAG)


def show_growth(rows):
    """A table for each kernel, by the number of SAs, by the window, and by how many send."""
    for kernel, by in sorted({(r["kernel"], r["by"]) for r in rows}):
        of = [r for r in rows if (r["kernel"], r["by"]) == (kernel, by)]
        at = sorted({r["at"] for r in of})
        title = f"{kernel.split('-')[0]}, by {by}"
        print(f"\n{title:32}" + "".join(f"{n:>10}" for n in at))
        for name in dict.fromkeys(r["name"] for r in of):
            for which in ("p50", "p99", "max") if by == "active" else ("value",):
                value = {r["at"]: r[which] for r in of if r["name"] == name}
                label = f"{name}, {which}, us" if by == "active" else name
                print(f"{label:32}" + "".join(f"{value.get(n, ''):>10}" for n in at))


def show(entries):
    """The table."""
    print(f"{'kernel':8} {'figure':46} {'value':>9} {'max':>9} {'at most':>9} {'aim':>8}  the kernel's own")
    for e in entries:
        beside = ", ".join(f"{what} {v:g} ({v / e['value'] if e['value'] > 0 else 0:.2f} of it)"
                           for what, v in e["own"].items())
        over = "!" if e["limit"] is not None and e["value"] > e["limit"] else " "
        print(f"{e['kernel'].split('-')[0]:8} {e['name']:46} {e['value']:9g} {e['max']:9g}"
              f" {'' if e['limit'] is None else e['limit']:>9}{over}"
              f"{'' if e['aim'] is None else e['aim']:>8}  {beside}")


def gate(entries, baseline):
    """How many are more than they were, or were not measured; each is a result of TAP."""
    have = {(e["kernel"], e["name"]) for e in entries}
    lost = [(k, name) for k in {e["kernel"] for e in entries} for name in baseline.get(k, {})
            if (k, name) not in have]
    entries = [e for e in entries if e["gated"]]
    print(f"1..{len(entries) + len(lost)}")
    for kernel, name in lost:
        print(f"not ok - {kernel}: {name}: not measured")
    worse = len(lost)
    for e in entries:
        was = baseline.get(e["kernel"], {}).get(e["name"])
        if e["kernel"] not in baseline:
            print(f"ok - {e['kernel']}: {e['name']}: {e['value']:g} # SKIP nothing is recorded of"
                  " this kernel: make bench-record")
            continue
        if was is None:
            print(f"not ok - {e['kernel']}: {e['name']}: not in the baseline (make bench-record)")
        elif e["value"] > was * (1 + TOLERANCE):
            print(f"not ok - {e['kernel']}: {e['name']}: {e['value']:g}, was {was:g}"
                  f" (+{100 * (e['value'] / was - 1):.1f} %)")
        else:
            print(f"ok - {e['kernel']}: {e['name']}: {e['value']:g}, was {was:g}")
            continue
        worse += 1
    return worse


def main():
    """See above."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-g", dest="gate")
    parser.add_argument("-r", dest="record")
    parser.add_argument("-o", dest="out")
    parser.add_argument("dir", type=pathlib.Path)
    args = parser.parse_args()

    entries, growth = [], []
    for folder in sorted(p for p in args.dir.iterdir() if p.is_dir()):
        figures = read(folder)
        entries += kernel_rows(folder.name, figures)
        growth += growth_rows(folder.name, figures)
        growth += lag_rows(folder.name, figures)
    if not entries and not growth:
        sys.exit(f"report.py: no figures in {args.dir}")
    if entries:
        show(entries)
    show_growth(growth)
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(entries + growth, indent=1) + "\n")
    path = pathlib.Path(args.record or args.gate or "/nonexistent")
    baseline = json.loads(path.read_text()) if path.exists() else {}
    if args.record:
        for e in entries:
            if e["gated"]:
                baseline.setdefault(e["kernel"], {})[e["name"]] = e["value"]
        path.write_text(json.dumps(baseline, indent=1, sort_keys=True) + "\n")
    elif args.gate and gate(entries, baseline):
        sys.exit(1)


if __name__ == "__main__":
    main()
