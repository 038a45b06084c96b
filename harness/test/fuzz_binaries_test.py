#!/usr/bin/env python3
"""Runs each bundled entry's fuzz binary on its corpus, with a fixed seed and a limit in executions, and holds what it says at its
end against two promises: executions take two arrivals and fold one frame on average where the entry folds, and the same seed is
the same run.

usage: fuzz_binaries_test.py FOLDER_OF_THE_BINARIES
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = 40000
# The means of a run of 2,000,000 executions, which have to be 2 and 1, are up to 0.2 lower: with time the corpus fills with what
# is rare.
LEAST_ARRIVALS = 2.1
LEAST_FOLDS = 1.15
# Their frames nest, or return by the hypercall with events masked: nothing is folded.
NO_FOLDS = {"linux-x86_64-hypercall", "minios-x86_64-nesting", "xenlinux-x86_64-nesting"}
TWICE = ("minios-x86_64-table", "minios-x86_64-single")
STATISTICS = "framefold-stats: "


def run(folder, entry):
    """What the binary says of its executions, and the names of what it has kept of them: hashes of their content."""
    with tempfile.TemporaryDirectory() as kept:
        # Without -use_cmp=0, libFuzzer mutates by what comparisons saw, host addresses among it.
        command = [folder / f"{entry}_fuzzer", "-seed=1", f"-runs={RUNS}", "-use_cmp=0", kept, ROOT / "corpus" / entry]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, errors="replace", check=False)
        lines = [line for line in done.stderr.splitlines() if line.startswith(STATISTICS)]
        if done.returncode != 0 or not lines:
            sys.exit(f"{entry}: exit status {done.returncode}\n{done.stderr[-2000:]}")
        return json.loads(lines[-1].removeprefix(STATISTICS)), sorted(os.listdir(kept))


def wrong(entry, statistics):
    """A line for each promise that the means break."""
    folds, arrivals = statistics["folds_mean"], statistics["arrivals_mean"]
    if statistics["executions"] < RUNS:
        yield f"{entry}: {statistics['executions']} executions, expected {RUNS}"
    if arrivals < LEAST_ARRIVALS:
        yield f"{entry}: {arrivals} arrivals an execution, expected {LEAST_ARRIVALS}"
    if entry in NO_FOLDS and folds != 0:
        yield f"{entry}: {folds} folds an execution, expected none"
    if entry not in NO_FOLDS and folds < LEAST_FOLDS:
        yield f"{entry}: {folds} folds an execution, expected {LEAST_FOLDS}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    entries = sorted(path.name for path in (ROOT / "corpus").iterdir() if path.is_dir())
    lines = [] if entries else ["no corpora"]
    for entry in entries:
        first = run(folder, entry)
        lines += wrong(entry, first[0])
        if entry in TWICE and run(folder, entry) != first:
            lines.append(f"{entry}: two runs with one seed differ")
    print("\n".join(lines) or f"{len(entries)} fuzz binaries, {RUNS} executions each")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
