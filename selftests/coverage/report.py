# SPDX-License-Identifier: GPL-2.0
"""What gcov says of the module: lines by file, error labels, and what was not reached.

In: OBJECTS, where the module was built with counters; COUNTERS, *.gcda; TREE.
Out: the report. Exit code 1 below 90 % of all lines, or where an error label was not reached.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

LEAST = 90
LABEL = re.compile(r"^(\w+):$")


def gcov(objects, counters, name):
    """{line: times} and [(function, times)] of a file."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(objects, "kmod", name + ".gcno"), folder)
        shutil.copy(os.path.join(counters, name + ".gcda"), folder)
        text = subprocess.run(["gcov", "--json-format", "--stdout", name + ".gcda"], cwd=folder,
                              check=True, stdout=subprocess.PIPE).stdout
    lines, functions = {}, []
    for file in json.loads(text)["files"]:
        if os.path.basename(file["file"]) != name + ".c":
            continue
        for line in file["lines"]:
            at = line["line_number"]
            lines[at] = lines.get(at, 0) + line["count"]
        functions += [(f["name"], f["execution_count"]) for f in file["functions"]]
    return lines, functions


def labels(source, lines):
    """(line, name, reached) of each; a label counts as the first code behind it."""
    for at, text in enumerate(source, 1):
        found = LABEL.match(text)
        if found and found[1] != "default":
            behind = min((n for n in lines if n > at), default=None)
            yield at, found[1], behind and lines[behind] > 0


def ranges(numbers):
    out = []
    for n in numbers:
        if out and n == out[-1][1] + 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ", ".join(f"{a}-{b}" if a != b else str(a) for a, b in out)


def main(objects, counters, tree):
    total = reached = 0
    bad_labels, unreached = [], []
    for name in sorted(f[:-5] for f in os.listdir(counters) if f.endswith(".gcda")):
        path = f"{tree}/kmod/{name}.c"
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            source = file.read().split("\n")
        lines, functions = gcov(objects, counters, name)
        hit = sum(1 for count in lines.values() if count)
        total, reached = total + len(lines), reached + hit
        if lines:
            print(f"{name + '.c':16} {hit:4} of {len(lines):4} lines  {100 * hit / len(lines):5.1f} %")
        bad_labels += [f"{name}.c:{at} {label}" for at, label, good in labels(source, lines) if not good]
        missed = sorted(at for at, count in lines.items() if not count)
        if missed:
            never = [f for f, count in functions if not count]
            unreached.append((name, missed, never, source))
    share = 100 * reached / max(total, 1)
    print(f"{'all':16} {reached:4} of {total:4} lines  {share:5.1f} %")
    for name, missed, never, source in unreached:
        print(f"\n{name}.c, not reached: {ranges(missed)}"
              + (f"\n  functions: {', '.join(never)}" if never else ""))
        for at in missed:
            print(f"  {at:4} {source[at - 1].strip()}")
    print(f"\nerror labels not reached: {', '.join(bad_labels) or 'none'}")
    return 1 if share < LEAST or bad_labels else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
