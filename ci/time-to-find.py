#!/usr/bin/env python3
"""How long do fuzzing and exploration take to find each known violation and each planted fault? See --help."""

import os
import re
import subprocess
import sys
from pathlib import Path

import shared

ROOT = Path(__file__).resolve().parent.parent
# A line of ci/find.sh: name, found as, seconds and executions (median, and the largest where there were several seeds).
FOUND = re.compile(r"^(\S+) +(\S+) +([\d.]+(?: [\d.]+)?) +(\d+(?: \d+)?)(  .*)?$")

DESCRIPTION = """Measures, for each known violation (reproducers/) and each planted fault (harness/test/planted_faults.cpp), the
time and executions that the fuzz binary takes from an empty corpus on one core (ci/find.sh), and the time and transitions
that exploration takes on one core, start-up included in both. Prints a Markdown table on standard output, progress on
standard error."""


def arguments():
    parser = shared.Parser(
        DESCRIPTION, epilog="Exit status: 0 measured, whatever was found; 2 wrong use; else that of the step that failed."
    )
    parser.add_argument("--seeds", type=shared.whole_number, default=1, metavar="N", help="fuzz that many times each (default 1)")
    parser.add_argument("--seconds", type=shared.whole_number, metavar="N", help="give up fuzzing after so many (default: ci/find.sh's)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only those whose name contains TEXT")
    parser.add_argument("--fuzz", type=Path, default=ROOT / "build/fuzz", metavar="FOLDER", help="build of the preset fuzz")
    parser.add_argument(
        "--release", type=Path, default=ROOT / "build/release", metavar="FOLDER", help="build of the preset release"
    )
    options = parser.parse_args()
    needed = [options.fuzz / "harness/test/variant_fuzzer", options.release / "harness/test/time_exploration"]
    for file in needed:
        if not file.exists():
            parser.error(f"no {file}: build the targets framefold_fuzzers, variant_fuzzer, list_planted and time_exploration")
    return options


def lines_of(command, accepted):
    """The command's lines as they come."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield from (line.rstrip("\n") for line in process.stdout)
    if process.returncode not in accepted:
        sys.exit(process.returncode or 3)


def progress(text):
    print(f"time-to-find: {text}", file=sys.stderr, flush=True)


def explored(options, known):
    """By name: what exploration found it as, in which time, with how many transitions."""
    tool = [str(options.release / "harness/test/time_exploration")] + (["--known"] if known else []) + [options.only]
    found = {}
    for line in lines_of(tool, [0]):
        name, kind, milliseconds, transitions, bounds = line.split("|")
        found[name] = (kind, int(milliseconds) / 1000, int(transitions), bounds)
        progress(f"explored {name}")
    return found


def fuzzed(options, known):
    folder = options.fuzz / ("entry" if known else "harness/test")
    command = ["ci/find.sh", "--binaries", str(folder), "--seeds", str(options.seeds)]
    command += ["--known"] if known else []
    command += ["--seconds", str(options.seconds)] if options.seconds else []
    command += ["--only", options.only] if options.only else []
    found = {}
    for line in lines_of(command, [0, 1]):
        if match := FOUND.match(line):
            name, kind, seconds, executions, _ = match.groups()
            found[name] = (kind, seconds, executions)
            progress(f"fuzzed {name}")
    return found


def cell_pair(text):
    return " to ".join(f"{int(part):,}" if part.isdigit() else part for part in text.split())


def rows(title, by_fuzz, by_exploration):
    print(f"\n| {title} | fuzzing | seconds | executions | exploration | seconds | transitions |")
    print("| --- | --- | ---: | ---: | --- | ---: | ---: |")
    for name in by_exploration:
        kind, seconds, transitions, bounds = by_exploration[name]
        fuzz_kind, fuzz_seconds, executions = by_fuzz.get(name, ("-", "-", "-"))
        if kind == "-":
            kind = "not within the bounds"
        elif bounds != "events":
            kind += f", with {bounds}"
        fuzz_kind = "not found" if fuzz_kind == "-" else fuzz_kind
        print(
            f"| `{name}` | {fuzz_kind} | {cell_pair(fuzz_seconds)} | {cell_pair(executions)} | {kind} | {seconds:.2f} |"
            f" {transitions:,} |"
        )


def processor():
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def main():
    options = arguments()
    seeds = f"{options.seeds} seed{'s: the median, and the largest' if options.seeds > 1 else ''}"
    print(f"Measured on one of {os.cpu_count()} cores ({processor()}), load {os.getloadavg()[0]:.1f} at the start; {seeds}.")
    any_left = False
    for title, known in (("known violation", True), ("planted fault", False)):
        by_exploration = explored(options, known)
        if by_exploration:  # find.sh refuses an --only that leaves nothing
            rows(title, fuzzed(options, known), by_exploration)
            any_left = True
    if not any_left:
        progress(f'--only: no name contains "{options.only}" (--help lists the options)')
        sys.exit(2)


if __name__ == "__main__":
    shared.run(main)
