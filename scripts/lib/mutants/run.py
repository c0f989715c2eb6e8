"""Breaks the core on purpose, one rule at a time, and looks whether the simulation finds it.

run.py ROOT COPY SCHEDULES [NAME...]: builds in the folder COPY, which it makes and keeps.
run.py ROOT: says only whether the list fits the code.
"""

import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDERS = [
    "Sources/Basics/ParleyJSON", "Sources/Basics/ParleyPrimitives", "Sources/Basics/CCrypto", "Sources/Basics/ParleyDigest",
    "Sources/Basics/ChatJobs", "Sources/Core/Routing", "Sources/Core/Answering", "Sources/Core/Pipeline",
    "Sources/Core/PipelineTestKit", "Sources/Commands/simulate",
]
# A schedule takes milliseconds: what has not ended by then never will.
LONGEST = 600


class Stale(Exception):
    """The list and the code do not fit together."""


class Mutant:
    def __init__(self, name, what):
        self.name, self.what = name, what
        self.changes = []  # (file, old lines, new lines)

    def apply(self, root):
        """The files that it changes, with their new text."""
        files = {}
        for file, old, new in self.changes:
            if file not in files:
                with open(os.path.join(root, file), encoding="utf-8") as source:
                    files[file] = source.read().split("\n")
            lines = files[file]
            stripped = [line.strip() for line in lines]
            found = [i for i in range(len(lines)) if stripped[i:i + len(old)] == old]
            if len(found) != 1:
                raise Stale(f"{self.name}: found {len(found)} times, not once, in {file}: {' / '.join(old)}")
            lines[found[0]:found[0] + len(old)] = new
        return {file: "\n".join(lines) for file, lines in files.items()}


def read(path):
    """The mutants of the file. A change is a run of lines to be replaced and those that follow it."""
    mutants, file, last = [], None, None
    with open(path, encoding="utf-8") as table:
        for number, line in enumerate(table, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                last = None
                continue
            if head := re.fullmatch(r"\[([a-z-]+)\] (.+)", line):
                mutants.append(Mutant(*head.groups()))
                file, last = None, None
            elif line.startswith("--- ") and mutants:
                file, last = line[4:], None
            elif line[0] in "-+" and file:
                if line[0] == "-" and last != "-":
                    mutants[-1].changes.append((file, [], []))
                if not mutants[-1].changes or mutants[-1].changes[-1][0] != file:
                    raise Stale(f"{path}:{number}: nothing is replaced by this line")
                mutants[-1].changes[-1][1 if line[0] == "-" else 2].append(line[1:].strip())
                last = line[0]
            else:
                raise Stale(f"{path}:{number}: neither a mutant nor a change: {line}")
    names = [mutant.name for mutant in mutants]
    for mutant in mutants:
        if names.count(mutant.name) > 1:
            raise Stale(f"{path}: two mutants are called {mutant.name}")
        if not mutant.changes:
            raise Stale(f"{path}: {mutant.name} changes nothing")
    return mutants


def contents(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def put(path, text):
    """Writes a file unless it is so already: what is untouched is not compiled again."""
    if contents(path) != text:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def sources(root):
    for folder in FOLDERS:
        for where, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                yield os.path.relpath(os.path.join(where, name), root)


def mirror(root, copy, changed):
    """Makes the copy what the checkout is, but for the files changed."""
    wanted = set(sources(root))
    for file in set(sources(copy)) - wanted:
        os.remove(os.path.join(copy, file))
    for file in wanted:
        put(os.path.join(copy, file), changed[file] if file in changed else contents(os.path.join(root, file)))
    put(os.path.join(copy, "Package.swift"), contents(os.path.join(HERE, "Package.swift")))
    resolved = os.path.join(root, "Package.resolved")
    if os.path.exists(resolved) and not os.path.exists(os.path.join(copy, "Package.resolved")):
        shutil.copy(resolved, copy)


def build(copy):
    """What the compiler said, when it did not succeed."""
    command = ["swift", "build", "--package-path", copy, "--product", "simulate"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    errors = [line for line in (done.stdout + done.stderr).splitlines() if "error:" in line]
    return "\n".join(errors or (done.stdout + done.stderr).splitlines()[-20:])


def simulate(copy, schedules):
    """How the mutant was found; None when it was not."""
    program = os.path.join(copy, ".build/debug/simulate")
    command = [program, str(schedules), "--seed", "0", "--most", "1"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return f"does not end in {LONGEST} s"
    if done.returncode == 0:
        return None
    if seed := re.search(r"^PARLEY_SEED=(\d+) replays it; (\w+)\n(.*)$", done.stdout, re.MULTILINE):
        number, outcome, violation = seed.groups()
        return f"at seed {number}: {violation.strip() or outcome}"
    return f"the simulation ended with {done.returncode}"


def main():
    root = sys.argv[1]
    mutants = read(os.path.join(HERE, "core.txt"))
    # All of them at first: a list that does not fit is found before an hour has been spent.
    changed = {mutant.name: mutant.apply(root) for mutant in mutants}
    if len(sys.argv) == 2:
        return
    copy, schedules, *names = sys.argv[2:]
    known = {mutant.name for mutant in mutants}
    for name in names:
        if name not in known:
            sys.exit(f"simulate: no mutant is called '{name}'; there are: {', '.join(sorted(known))}")
    chosen = [mutant for mutant in mutants if not names or mutant.name in names]
    os.makedirs(copy, exist_ok=True)
    terminal = sys.stderr.isatty()

    def progress(text):
        if terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    progress("building the simulation, and trying it as it is")
    mirror(root, copy, {})
    if errors := build(copy):
        sys.exit(f"simulate: the simulation cannot be built in {copy}\n{errors}")
    if found := simulate(copy, schedules):
        progress("")
        sys.exit(f"simulate: the code as it is breaks the contract {found}")

    survivors = []
    width = max(len(mutant.name) for mutant in chosen)
    for number, mutant in enumerate(chosen, 1):
        progress(f"{number} of {len(chosen)}: {mutant.name}")
        started = time.monotonic()
        mirror(root, copy, changed[mutant.name])
        errors = build(copy)
        if errors:
            progress("")
            sys.exit(f"simulate: {mutant.name} cannot be built\n{errors}")
        found = simulate(copy, schedules)
        progress("")
        result = f"killed {found}" if found else f"SURVIVED {schedules} schedules: it {mutant.what}"
        print(f"{mutant.name:{width}}  {result} ({time.monotonic() - started:.0f} s)", flush=True)
        if not found:
            survivors.append(mutant.name)
    print(f"{len(chosen)} mutants, {len(survivors)} survived" + "".join(f"\n  {name}" for name in survivors))
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    try:
        main()
    except Stale as problem:
        sys.exit(f"simulate: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
