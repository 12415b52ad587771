#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Plots of what growth.sh measured.

In: what report.py wrote.
Out: DIR/growth-KERNEL.svg and .png: by the number of SAs, and by their window.

usage: plot.py IN.json DIR
"""

import json
import pathlib
import sys

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    sys.exit("plot.py: no python3-matplotlib (selftests/install-deps.sh bench): no plots")

# by; title; its lines, each with its legend
PANELS = [
    ("SAs", "a record", {
        "pull, 1 %": "dirty to reader, 1 % active", "pull, 100 %": "dirty to reader, all active",
        "dump": "snapshot", "restore": "applied on the standby"}),
    ("SAs", "a record, all that each node's daemon does", {
        "active, 1 %": "the active's, 1 %", "active, 100 %": "the active's, all",
        "standby, 1 %": "the standby's, 1 %", "standby, 100 %": "the standby's, all"}),
    ("SAs", "a full sync, an SA", {"gives": "the active's", "takes": "the standby's"}),
    ("SAs", "an idle second, all SAs", {"idles": "the active's", "waits": "the standby's"}),
    ("window", "a record of 1,000 SAs, by the window", {
        "pull, 100 %": "dirty to reader", "dump": "snapshot", "restore": "applied on the standby"}),
    ("window", "the same, all that each node's daemon does", {
        "active, 100 %": "the active's", "standby, 100 %": "the standby's"}),
]


def panel(ax, rows, by, title, lines):
    """One plot; from 0 on, so that what does not grow looks so, but where figures are far apart."""
    most, at = 0, set()
    for name, legend in lines.items():
        points = sorted((r["at"], r["value"]) for r in rows if (r["by"], r["name"]) == (by, name))
        if not points:
            continue
        ax.plot(*zip(*points), "o-", label=legend, markersize=3)
        most = max(most, *(y for _, y in points))
        at |= {x for x, _ in points}
    ax.set_xscale("log", base=2 if by == "window" else 10)
    if any("1 %" in name for name in lines):
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, most * 1.15 or 1)
    ax.set_xticks(sorted(at), [f"{x:,}" for x in sorted(at)])
    ax.minorticks_off()
    ax.set_title(title, loc="left", fontsize=9)
    ax.set_xlabel(by)
    ax.set_ylabel("instructions")
    if most:
        ax.legend(fontsize=7)


def main():
    """See above."""
    rows = [r for r in json.loads(pathlib.Path(sys.argv[1]).read_text()) if "by" in r]
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "xfrmsync", "font.size": 8,
                                "axes.spines.top": False, "axes.spines.right": False})
    for kernel in sorted({r["kernel"] for r in rows}):
        fig, axes = pyplot.subplots(3, 2, figsize=(9, 8), layout="constrained")
        for ax, (by, title, lines) in zip(axes.flat, PANELS):
            panel(ax, [r for r in rows if r["kernel"] == kernel], by, title, lines)
        fig.suptitle(f"Linux {kernel}", fontsize=9)
        for kind in ("svg", "png"):
            path = pathlib.Path(sys.argv[2]) / f"growth-{kernel}.{kind}"
            fig.savefig(path, metadata={"Date": None} if kind == "svg" else None)
            print(f"plot: {path}")
        pyplot.close(fig)


if __name__ == "__main__":
    main()
