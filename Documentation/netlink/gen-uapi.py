#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Write uapi/linux/xfrmsync.h from the netlink specification.

The kernel's own generator (6.12) cannot digest dump-only operations, so this
one makes the enums, and nothing else. --check compares and fails on drift.
"""
import argparse
import difflib
import pathlib
import sys
import textwrap

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
SPEC = TOP / "Documentation/netlink/specs/xfrmsync.yaml"
HEADER = TOP / "uapi/linux/xfrmsync.h"


def upper(name):
    return name.replace("-", "_").upper()


def comment(text, indent="\t"):
    """A kernel-style comment, one line where it fits."""
    text = " ".join(text.split())
    if len(text) < 70:
        return [f"{indent}/* {text} */"]
    lines = textwrap.wrap(text, 70)
    return [f"{indent}/*"] + [f"{indent} * {l}" for l in lines] + [f"{indent} */"]


def definition(d):
    out = []
    name = "XFRMSYNC_" + upper(d["name"])
    if d["type"] == "const":
        if d.get("doc"):
            out += comment(d["doc"], "")
        return out + [f"#define {name}\t{d['value']}", ""]
    if d.get("doc"):
        out += comment(d["doc"], "")
    if d["type"] == "struct":
        return out + structure(d)
    flags = d["type"] == "flags"
    stem = name[:-6] if flags else name
    out.append(f"enum xfrmsync_{d['name'].replace('-', '_')} {{")
    for i, e in enumerate(d["entries"]):
        if e.get("doc"):
            out += comment(e["doc"])
        if flags:
            out.append(f"\t{stem}_F_{upper(e['name'])} = {1 << i},")
        else:
            out.append(f"\t{name}_{upper(e['name'])},")
    return out + ["};", ""]


def structure(d):
    out = [f"struct xfrmsync_{d['name'].replace('-', '_')} {{"]
    for m in d["members"]:
        if m.get("doc"):
            out += comment(m["doc"])
        big = m.get("byte-order") == "big-endian"
        kind = m["type"].replace("u", "be") if big else m["type"]
        out.append(f"\t__{kind} {m['name'].replace('-', '_')};")
    return out + ["};", ""]


def attributes(s):
    stem = "XFRMSYNC_A_" + upper(s["name"])
    out = comment(s["doc"], "") if s.get("doc") else []
    out.append("enum {")
    for i, a in enumerate(s["attributes"]):
        if a.get("doc"):
            out += comment(f"{a['type']}: {a['doc']}")
        else:
            out += comment(a["type"])
        out.append(f"\t{stem}_{upper(a['name'])}" + (" = 1," if i == 0 else ","))
    out += ["", f"\t__{stem}_MAX,", f"\t{stem}_MAX = (__{stem}_MAX - 1)", "};", ""]
    return out


def commands(spec):
    out = ["enum {"]
    for i, op in enumerate(spec["operations"]["list"]):
        if op.get("doc"):
            out += comment(op["doc"])
        out.append(f"\tXFRMSYNC_CMD_{upper(op['name'])}" + (" = 1," if i == 0 else ","))
    return out + ["", "\t__XFRMSYNC_CMD_MAX,",
                  "\tXFRMSYNC_CMD_MAX = (__XFRMSYNC_CMD_MAX - 1)", "};", ""]


def header(spec):
    out = [
        "/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */",
        "/* Do not edit: made from Documentation/netlink/specs/xfrmsync.yaml by `make spec` */",
        "",
        "#ifndef _UAPI_LINUX_XFRMSYNC_H",
        "#define _UAPI_LINUX_XFRMSYNC_H",
        "",
        "#include <linux/types.h>",
        "",
        '#define XFRMSYNC_FAMILY_NAME\t"xfrmsync"',
        "",
    ]
    for d in spec["definitions"]:
        out += definition(d)
    for s in spec["attribute-sets"]:
        out += attributes(s)
    out += commands(spec)
    for g in spec["mcast-groups"]["list"]:
        out.append(f'#define XFRMSYNC_MCGRP_{upper(g["name"])}\t"{g["name"]}"')
    return "\n".join(out + ["", "#endif /* _UAPI_LINUX_XFRMSYNC_H */", ""])


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--check", action="store_true", help="compare, change nothing, exit 1 on drift")
    args = ap.parse_args()
    new = header(yaml.safe_load(SPEC.read_text()))
    if not args.check:
        HEADER.parent.mkdir(parents=True, exist_ok=True)
        HEADER.write_text(new)
        return 0
    old = HEADER.read_text() if HEADER.exists() else ""
    diff = list(difflib.unified_diff(old.splitlines(True), new.splitlines(True),
                                     str(HEADER.relative_to(TOP)), "made from the specification"))
    sys.stdout.writelines(diff)
    return 1 if diff else 0


if __name__ == "__main__":
    sys.exit(main())
