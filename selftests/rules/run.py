#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Takes one safety rule after another out of the tree: the kselftest named in the table has to fail.

In: rules.ini beside this file (its head says what an entry is), the tracked files of the tree.
Out: TAP, a result for each rule. Its sources, module and tool stay in the output folder.

usage: run.py check              the table fits the tree; a result for each rule, nothing is built
       run.py build [RULE...]    a tree, a module and a tool without the rule, for each
       run.py run [RULE...]      the tests, in as few VMs as possible; `build` comes before it
       run.py all [RULE...]      both
  -k KERNEL (6.12)  -o DIR (results/rules)
  -w            with `run`: all rules in force, and the same results have to pass
"""

import argparse
import configparser
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "rules.ini")
KEYS = {"rule", "file", "text", "with", "test", "parts", "fails"}
GRACE = 30              # seconds that a test has to clean up
RESULT = re.compile(r"(not ok|ok) \d+ - (.*)")
HEADING = re.compile(r"# --- (.*?) -+\n")


class Wrong(Exception):
    """An entry that does not fit the tree."""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Rule:
    """One entry: what is taken out, and who has to notice."""

    def __init__(self, name, entry):
        self.name, self.says = name, entry["rule"]
        self.test, self.fails = entry["test"], entry["fails"]
        self.unit = self.test.endswith("_test")
        self.parts = [part.strip() for part in entry.get("parts", "").split("|") if part.strip()]
        self.edits = [(entry["file" + n], entry["text" + n], entry["with" + n])
                      for n in ("", ".2", ".3") if "file" + n in entry]
        known = {key + n for key in ("file", "text", "with") for n in ("", ".2", ".3")} | KEYS
        if set(entry) - known:
            raise Wrong(f"what is {', '.join(set(entry) - known)}?")

    def in_module(self):
        return any(path.startswith(("kmod/", "uapi/")) for path, _, _ in self.edits)

    def replaced(self, tree):
        """Path -> text without the rule. Blanks are as they please, in the table and in the file."""
        files = {}
        for path, text, other in self.edits:
            if path not in files:
                files[path] = read(os.path.join(tree, path))
            pattern = r"\s+".join(re.escape(word) for word in text.split())
            found = len(re.findall(pattern, files[path]))
            if found != 1:
                raise Wrong(f"{path} has its text {found} times: {text}")
            files[path] = re.sub(pattern, lambda _, o=other: o, files[path])
        return files

    def narrowed(self, tree):
        """The test's own text, with no more than the parts that are asked for."""
        if self.unit:
            return read(os.path.join(tree, "tools/tests", self.test + ".c"))
        text = read(os.path.join(tree, "selftests", self.test + ".sh"))
        pieces = HEADING.split(text)
        headings = pieces[1::2]
        for part in self.parts:
            if headings.count(part) != 1:
                raise Wrong(f"{self.test}.sh has the part {headings.count(part)} times: {part}")
        if not self.parts:
            return text
        return pieces[0] + "".join(body for heading, body in zip(headings, pieces[2::2]) if heading in self.parts)

    def check(self, tree):
        self.replaced(tree)
        self.narrowed(tree)
        re.compile(self.fails)


def table(names):
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.read(TABLE, encoding="utf-8")
    unknown = set(names) - set(parser.sections())
    if unknown:
        sys.exit(f"no such rule: {', '.join(sorted(unknown))}")
    return [Rule(name, parser[name]) for name in names or parser.sections()]


class Tap:
    """Results as they come; how many failed."""

    def __init__(self, count):
        self.done, self.failed = 0, 0
        print(f"TAP version 13\n1..{count}", flush=True)

    def result(self, rule, wrong, note=""):
        self.done += 1
        self.failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {self.done} - {rule.name}: {rule.says}", flush=True)
        for line in (wrong or note).splitlines():
            print(f"# {line}", flush=True)


def check(rules):
    tap = Tap(len(rules))
    for rule in rules:
        try:
            rule.check(TREE)
        except (Wrong, OSError) as error:
            tap.result(rule, str(error))
        else:
            tap.result(rule, "")
    units = sum(rule.unit for rule in rules)
    print(f"# {len(rules)} entries: {len(rules) - units} told by a kselftest, {units} by a unit test")
    return tap.failed


# ---- build ---------------------------------------------------------------------------------------

class Build:
    """A copy of the tree, in which a rule is taken out, and put back; out/whole is what has them all."""

    def __init__(self, out, kernel):
        self.out, self.kernel, self.tree = out, kernel, os.path.join(out, "tree")
        self.copy()
        self.kver = subprocess.run([os.path.join(TREE, "selftests/vm/kernels.sh"), "get", kernel], check=True,
                                   stdout=subprocess.PIPE, text=True).stdout.split()[1]

    def copy(self):
        """What differs, so that objects of before stay good."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=TREE, check=True, stdout=subprocess.PIPE, text=True).stdout
        for path in filter(None, listed.split("\0")):
            here, there = os.path.join(TREE, path), os.path.join(self.tree, path)
            if not os.path.isfile(here):
                continue
            os.makedirs(os.path.dirname(there), exist_ok=True)
            if not os.path.exists(there) or open(here, "rb").read() != open(there, "rb").read():
                shutil.copy(here, there)

    def make(self, module, *more):
        targets = [["tool", "EXTRA_CFLAGS=-Wno-error"]] + ([["module-" + self.kernel]] if module else [])
        targets += [[target] for target in more]
        for target in targets:
            done = subprocess.run(["make", "--no-print-directory", "-s", *target], cwd=self.tree, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                raise Wrong(f"does not build\n{done.stdout[-2000:]}")

    def keep(self, folder, module=None):
        os.makedirs(folder, exist_ok=True)
        shutil.copy(module or os.path.join(self.tree, "build", self.kver, "xfrmsync.ko"), folder)
        shutil.copy(os.path.join(self.tree, "build/tools/xfrmsync"), folder)

    def run_unit(self, test, folder):
        program = f"../build/tools/{test}"
        with open(os.path.join(folder, "tap"), "w", encoding="utf-8") as tap:
            subprocess.run(["make", "--no-print-directory", "-s", program, "EXTRA_CFLAGS=-Wno-error"],
                           cwd=os.path.join(self.tree, "tools"), check=False)
            subprocess.run([program], cwd=os.path.join(self.tree, "tools"), stdout=tap, check=False,
                           env=dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP"))

    def without(self, rule):
        folder = os.path.join(self.out, "without", rule.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        files = rule.replaced(self.tree)
        before = {path: read(os.path.join(self.tree, path)) for path in files}
        try:
            for path, text in files.items():
                write(os.path.join(self.tree, path), text)
            self.make(rule.in_module())
            if rule.unit:
                self.run_unit(rule.test, folder)
            self.keep(folder, None if rule.in_module() else os.path.join(self.out, "whole/xfrmsync.ko"))
        finally:
            for path, text in before.items():
                write(os.path.join(self.tree, path), text)


def build(rules, out, kernel):
    """Rule -> why it could not be built."""
    work, wrong = Build(out, kernel), {}
    work.make(True, "offload-" + kernel)       # the tests' own modules
    work.keep(os.path.join(out, "whole"))
    for rule in rules:
        try:
            work.without(rule)
        except Wrong as error:
            wrong[rule.name] = str(error)
        print(f"# built without {rule.name}", flush=True)
    return wrong


# ---- in the VM -----------------------------------------------------------------------------------

def end(test):
    """In order, as it cleans up; those that it has stopped, too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(test.pid, signal.SIGTERM)
        os.killpg(test.pid, signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            test.wait(GRACE)
        os.killpg(test.pid, signal.SIGKILL)
    test.wait()


def is_loaded():
    return os.path.isdir("/sys/module/xfrmsync")


def clean_up():
    """What a test that was ended in the middle has left."""
    for ns in subprocess.run(["ip", "netns"], stdout=subprocess.PIPE, text=True, check=False).stdout.splitlines():
        subprocess.run(["ip", "netns", "delete", ns.split()[0]], check=False)
    nl = os.path.join(TREE, "selftests/nl.py")
    until = time.monotonic() + GRACE
    while is_loaded() and time.monotonic() < until:
        subprocess.run([nl, "role-set", "none"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["rmmod", "xfrmsync"], stderr=subprocess.DEVNULL, check=False)
    for what in ("state", "policy"):
        subprocess.run(["ip", "xfrm", what, "flush"], check=False)


def kept(lines, log):
    for line in lines:
        log.write(line)
        yield line


def first_of(rule, lines, whole=False):
    """The first result that may fail, and does; else the last one: (why not, which one)."""
    before, wrong, which = [], f"there was no such result: {rule.fails}", ""
    says = "it fails with all rules in force" if whole else "it passes without the rule"
    for line in lines:
        result = RESULT.match(line)
        if not result:
            continue
        verdict, name = result.groups()
        if re.fullmatch(rule.fails, name):
            which = f"{rule.test}: {name}"
            wrong = f"{says}: {which}" if (verdict == "ok") != whole else ""
            if verdict == "not ok" or not re.search(r"[|*\[]", rule.fails):
                break
        elif verdict == "not ok":
            before.append(f"\nbefore it failed: {name}")
    return wrong and wrong + "".join(before), which + "".join(before)


def judge(rule, tree, out, whole):
    """Runs the test up to the result that counts."""
    built = os.path.join(out, "whole" if whole else f"without/{rule.name}")
    script = os.path.join(tree, "selftests", f".{rule.name}.sh")
    write(script, rule.narrowed(tree))
    os.chmod(script, 0o755)
    kver = os.uname().release
    env = dict(os.environ, KVER=kver, BUILD=os.path.join(tree, "build", kver), 
               MODULE=os.path.join(built, "xfrmsync.ko"),
               XFRMSYNC=os.path.join(built, "xfrmsync"))
    limit = re.search(r"^# timeout: (\d+)$", read(script), re.M)
    test = subprocess.Popen(["timeout", limit.group(1) if limit else "120", script], env=env, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True, errors="replace")
    with open(f"/run/vm/{rule.name}.log", "w", buffering=1, encoding="utf-8") as log:
        verdict = first_of(rule, kept(test.stdout, log), whole)
    end(test)
    clean_up()
    return verdict


def guest(names, out, whole):
    for rule in table(names):
        start = time.monotonic()
        wrong, note = judge(rule, TREE, out, whole)
        lines = (wrong or note).replace("\n", "\t")
        print(f"rule\t{rule.name}\t{'no' if wrong else 'yes'}\t{time.monotonic() - start:.0f}\t{lines}", flush=True)
        if is_loaded():     # none is tried with the module of another one
            print("boot again", flush=True)
            return


# ---- on the host ---------------------------------------------------------------------------------

def boot(rules, out, kernel, whole):
    """One VM; what became of the rules, as far as it got."""
    tree = os.path.join(out, "tree")
    limit = 120 + sum(60 + int((re.search(r"^# timeout: (\d+)$", rule.narrowed(tree), re.M) or [0, 120])[1])
                      for rule in rules)
    command = [os.path.join(tree, "selftests/vm/run.sh"), "-k", kernel, "-o", os.path.join(out, "vm"),
               "-t", str(limit), "-a", "slab_nomerge", "--",
               os.path.join(tree, "selftests/rules/run.py"), "guest", "-o", out,
               *(["-w"] if whole else []), *(rule.name for rule in rules)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as vm:
        for line in vm.stdout:
            if line.startswith("rule\t"):
                _, name, failed, seconds, text = line.rstrip("\n").split("\t", 4)
                yield name, failed == "yes", seconds, text.replace("\t", "\n")
            elif line == "boot again\n":
                yield None, False, "", ""


def run(rules, out, kernel, broken, whole):
    tap, left = Tap(len(rules)), []
    for rule in rules:
        if rule.name in broken:
            tap.result(rule, broken[rule.name])
        elif rule.unit and whole:
            tap.result(rule, "", "make -C tools check has it")
        elif rule.unit:
            with open(os.path.join(out, "without", rule.name, "tap"), encoding="utf-8") as lines:
                tap.result(rule, *first_of(rule, lines))
        else:
            left.append(rule)
    while left:
        again = False
        for name, failed, seconds, text in boot(left, out, kernel, whole):
            if name:
                tap.result(left.pop(0), "" if failed else text, f"{text} ({seconds} s)")
            again = not name
        if left and not again:  # it dies with the rule out: the next boot goes on behind it
            tap.result(left.pop(0), "the VM ended, or did not begin")
    return tap.failed


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("what", choices=("check", "build", "run", "all", "guest"))
    parser.add_argument("rule", nargs="*")
    parser.add_argument("-k", default="6.12", dest="kernel")
    parser.add_argument("-o", default=os.path.join(TREE, "results/rules"), dest="out")
    parser.add_argument("-w", action="store_true", dest="whole")
    args = parser.parse_intermixed_args()
    out = os.path.abspath(args.out)
    if args.what == "guest":
        return guest(args.rule, out, args.whole)
    rules, broken = table(args.rule), {}
    if args.what == "check":
        return check(rules)
    if args.what in ("build", "all"):
        broken = build(rules, out, args.kernel)
        if args.what == "build":
            for name, why in broken.items():
                print(f"not ok - {name}: {why}")
            return len(broken)
    return run(rules, out, args.kernel, broken, args.whole)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
