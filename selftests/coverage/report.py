# SPDX-License-Identifier: GPL-2.0
"""What gcov says of the module: lines by file, error labels, and what was not reached.

In: OBJECTS, where the module was built with counters; COUNTERS, *.gcda; TREE.
Out: the report. Exit code 1 below 90 % of all lines, or where no goto went to a label.
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
GOTO = re.compile(r"\bgoto (\w+);")


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
    """(line, name, how many gotos of how many) of each. Who only falls through to a label has not
    reached it: it is a line with a goto to it that has to have run."""
    for at, text in enumerate(source, 1):
        found = LABEL.match(text)
        if not found or found[1] == "default":
            continue
        # Of its own function: what was inlined is not among gcov's.
        first = max((n for n in range(1, at) if source[n - 1] == "{"), default=1)
        last = next((n for n in range(at, len(source)) if source[n - 1] == "}"), len(source))
        gotos = [n for n in range(first, last) if found[1] in GOTO.findall(source[n - 1])]
        yield at, found[1], sum(1 for n in gotos if lines.get(n)), len(gotos)


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
    bad_labels, unreached, all_labels, all_gotos, ran = [], [], 0, 0, 0
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
        for at, label, good, of in labels(source, lines):
            bad_labels += [] if good else [f"{name}.c:{at} {label}"]
            all_labels, all_gotos, ran = all_labels + 1, all_gotos + of, ran + good
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
    print(f"\n{ran} of {all_gotos} gotos ran, to {all_labels - len(bad_labels)} of {all_labels} labels")
    print(f"error labels not reached: {', '.join(bad_labels) or 'none'}")
    return 1 if share < LEAST or bad_labels else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
