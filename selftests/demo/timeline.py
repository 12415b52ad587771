# SPDX-License-Identifier: GPL-2.0
"""
In: the times of all packets of the demo, as report.py has them.
Out: the timeline, as SVG and PNG.
Runs on the host, without a display.
"""

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402  pylint: disable=wrong-import-position
from matplotlib.lines import Line2D  # noqa: E402  pylint: disable=wrong-import-position
from matplotlib.patches import Patch  # noqa: E402  pylint: disable=wrong-import-position

# Okabe and Ito's colours, told apart by everyone.
IN, OUT, PEERS, EVIL, LOST = "#0072B2", "#D55E00", "#7f7f7f", "#AA3377", "#f6cfc6"
GW_A, GW_B = "#56B4E9", "#009E73"
BEFORE, BIN = 4.0, 0.2  # seconds
GAP = 0.16              # a flow of 20 packets a second that pauses longer has lost some


def bars(times):
    """Joins times (s, sorted) to (start, length) of unbroken runs."""
    out = []
    for t in times:
        if out and t - out[-1][1] <= GAP:
            out[-1][1] = t
        else:
            out.append([t, t])
    return [(a, max(b - a, 0.02)) for a, b in out]


def draw_rates(ax, p, end):
    """Packets a second on the outside wire, by sender."""
    edges = [-BEFORE + i * BIN for i in range(int((end + BEFORE) / BIN) + 1)]
    kinds = {"gw-a sends": [], "gw-b sends": [], "peers send": []}
    for time, sender, _, _, verdict in p["packets"]:
        if verdict not in ("attack", "forged"):
            kind = f"{sender} sends" if sender.startswith("gw-") else "peers send"
            kinds[kind].append((time - p["crash"]) / 1e9)
    for (kind, times), colour in zip(kinds.items(), (GW_A, GW_B, PEERS)):
        counts = [0] * len(edges)
        for t in times:
            i = int((t + BEFORE) / BIN)
            if 0 <= i < len(edges):
                counts[i] += 1
        ax.step(edges, [n / BIN for n in counts], where="post", color=colour, label=kind,
                linewidth=1.6 if kind != "peers send" else 1.0)
    ax.set_ylabel("ESP packets/s\non the outside wire")
    ax.set_ylim(0, 1.35 * ax.get_ylim()[1])
    ax.legend(loc="upper right", ncol=3, fontsize=8, frameon=False)


def draw_tunnels(ax, p):
    """A line for each tunnel and direction: solid where packets come through."""
    traffic, crash = p["traffic"], p["crash"]

    paused = False

    def rel(times):
        return sorted((t - crash) / 1e9 for t in times if t > crash - BEFORE * 1e9)

    for (tunnel, way), sent in traffic.sent.items():
        y = tunnel - 0.38 if way == "in" else tunnel + 0.02
        runs = bars(rel(sent.values()))
        paused = paused or len(runs) > 1
        ax.broken_barh(runs, (y, 0.34), facecolors=LOST, linewidth=0)
        came = (a for _, s, a in traffic.arrived[tunnel, way] if not (s <= crash < a - 10**9))
        ax.broken_barh(bars(rel(came)), (y, 0.34), linewidth=0,
                       facecolors=IN if way == "in" else OUT)
    ax.plot([(a - crash) / 1e9 for _, a in p["replays"]], [t - 0.2 for t, _ in p["replays"]],
            "x", color=EVIL, markersize=5, markeredgewidth=1.4, zorder=5)
    ages = {}
    for t in p["result"]["tunnels"]:
        ages.setdefault(t["age"], []).append(t["tunnel"])
    ax.set_yticks([n for ns in ages.values() for n in ns])
    ax.tick_params(axis="y", labelsize=7)
    for age, ns in ages.items():
        ax.text(1.008, (ns[0] + ns[-1]) / 2, f"counters: {age}", rotation=270, fontsize=8,
                va="center", ha="left", transform=ax.get_yaxis_transform())
        ax.axhline(ns[-1] + 0.5, color="black", linewidth=0.4)
    ax.set_ylim(20.5, 0.5)
    ax.set_ylabel("tunnel")
    handles = [Patch(color=IN, label="delivered inside"),
               Patch(color=OUT, label="delivered to the clients outside"),
               Patch(color=LOST, label="sent, not delivered"),
               Line2D([], [], color=EVIL, marker="x", linestyle="",
                      label="replay delivered inside")]
    if paused:
        handles.append(Patch(facecolor="white", edgecolor="#888888", linewidth=0.5,
                             label="nothing sent: the emulated senders paused"))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02),
              ncol=len(handles), fontsize=8, frameon=False)


def draw_numbers(ax, p):
    """Each gateway's outbound numbers, against the last that gw-a has used."""
    last = {f"t{t['tunnel']:02d} out": t["gw_a_last_number"] for t in p["result"]["tunnels"]}
    for who, colour in (("gw-a", GW_A), ("gw-b", GW_B)):
        points = [((time - p["crash"]) / 1e9, number - last[sa])
                  for time, sender, sa, number, verdict in p["packets"]
                  if sender == who and verdict in ("ok", "duplicate") and number is not None
                  and last.get(sa) is not None and time > p["crash"] - BEFORE * 1e9]
        ax.plot([x for x, _ in points], [y for _, y in points], ".", color=colour,
                markersize=2, rasterized=True)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set_yscale("symlog", linthresh=100)
    ax.set_yticks([-2**32, -2**16, 0, 2**16, 2**30],
                  ["−2³²", "−2¹⁶", "0", "+2¹⁶", "+2³⁰"])
    ax.minorticks_off()
    ax.set_ylim(-2**36, 2**34)
    ax.set_ylabel("outbound number\n− last of gw-a")
    on = p["result"]["sync"] == "on"
    ax.text(0.995, 0.1 if on else 0.86,
            "above 0: numbers that were never used" if on else
            "at or below 0: used before, or too old for the peer", fontsize=8,
            ha="right", transform=ax.transAxes, color="#444444")
    ax.set_xlabel("seconds since gw-a's last frame on the wire (clock of the third VM)")


def mark_events(axes, events, waves):
    marks = [("crash", 0.0, "gw-a loses power", "black"),
             ("address", events["address_moved"], "address moves", "#666666"),
             ("in", events["first_delivered_in"], "first packet in", IN),
             ("out", events["first_delivered_out"], "first packet out", OUT)]
    marks += [("attack", w["from"], f"{w['sent']} replays", EVIL) for w in waves]
    for ax in axes:
        for w in waves:
            ax.axvspan(w["from"] / 1000, w["to"] / 1000, color=EVIL, alpha=0.15, linewidth=0)
    marks = sorted((m for m in marks if m[1] is not None), key=lambda m: m[1])
    level, last = 0, -10.0
    for _, at, text, colour in marks:
        x = at / 1000
        for ax in axes:
            ax.axvline(x, color=colour, linewidth=1.0, linestyle=(0, (4, 2)), zorder=4)
        level = level + 1 if x - last < 2.2 else 0
        last = x
        axes[0].annotate(f"{text}  +{x:.2f} s" if x else text, (x, 1.04 + 0.13 * level),
                         xycoords=("data", "axes fraction"), fontsize=8, color=colour,
                         ha="left", va="bottom")


def draw(p, path):
    """Writes PATH.svg and PATH.png."""
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9,
                                "axes.spines.top": False, "axes.spines.right": False})
    end = (p["traffic"].end - p["crash"]) / 1e9
    fig, axes = pyplot.subplots(3, 1, sharex=True, figsize=(12, 10.5),
                                gridspec_kw={"height_ratios": [1.5, 5, 1.7], "hspace": 0.17})
    draw_rates(axes[0], p, end)
    draw_tunnels(axes[1], p)
    draw_numbers(axes[2], p)
    axes[0].set_xlim(-BEFORE, end)
    mark_events(axes, p["result"]["events_ms"], p["waves"])
    r = p["result"]
    with_us = "with xfrmsync" if r["sync"] == "on" else "without xfrmsync"
    fig.suptitle(f"A gateway is killed, {with_us}: {r['tunnels_after']} of "
                 f"{len(r['tunnels'])} tunnels carry on; numbers sent twice: "
                 f"{r['duplicate_sequence_numbers']}; replays accepted: "
                 f"{r['replays_accepted']} of {r['replays_sent']}", fontsize=12, y=0.99)
    for kind in ("svg", "png"):
        fig.savefig(f"{path}.{kind}", dpi=110, bbox_inches="tight")
    pyplot.close(fig)
