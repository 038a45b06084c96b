#!/usr/bin/env python3
"""The table at the end of ci/fuzz.sh, from what the workers printed.

A worker's log holds any number of runs of a fuzz binary. Each run ends with a line `framefold-exit: <status>` of
ci/fuzz.sh; one that came to its end by itself has printed `framefold-stats: {...}` before it, one that found something a
line with `FuzzerHash=<bucket>`, one that was stopped neither: then libFuzzer's own count of executions is all there is.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import shared

EXIT_VIOLATION = 1
EXIT_OWN_ERROR = 3

STATS = re.compile(r"^framefold-stats: (\{.*\})$")
EXIT = re.compile(r"^framefold-exit: (\d+)$")
BUCKET = re.compile(r"\bFuzzerHash=(\S+)")
EXECUTIONS = re.compile(r"^stat::number_of_executed_units: +(\d+)$")
MEMORY = re.compile(r"^#(\d+)\s.*\brss: (\d+)Mb\b")
RATE = re.compile(r"^stat::average_exec_per_sec: +(\d+)$")

# libFuzzer's exit status when it was interrupted (FuzzerOptions.h), and the shell's for a process that SIGTERM ended.
INTERRUPTED = (72, 143)
# The kind in the bucket of an error of framefold's own: `<entry>:<kind>:<symbol>`.
OWN_ERROR_KIND = "internal-error"


@dataclass
class Boundary:
    """What arrived at one boundary, and what became of it."""

    in_region: bool
    arrived: Counter = field(default_factory=Counter)  # by kind of arrival
    events: int = 0  # delivered
    folds: int = 0

    def add(self, stats: dict) -> None:
        self.arrived.update(stats["arrived"])
        self.events += stats["delivered"]["event"]
        self.folds += sum(stats["folded"].values())


@dataclass
class Summary:
    """What the workers of one entry saw, added up."""

    entry: str
    executions: int = 0
    rate: float = 0.0
    edges: int | None = None
    edges_total: int | None = None
    nests: bool = False
    boundaries: dict[str, Boundary] = field(default_factory=dict)  # by place, in order
    corpus: int = 0
    memory: int = 0  # megabytes, at the end, ...
    growth: int = 0  # ... and how many more than after a tenth of a run: of the worker with most
    known: Counter = field(default_factory=Counter)
    violations: Counter = field(default_factory=Counter)
    own_errors: list[str] = field(default_factory=list)

    @property
    def region(self) -> dict[str, Boundary]:
        return {place: boundary for place, boundary in self.boundaries.items() if boundary.in_region}

    @property
    def failed(self) -> bool:
        return bool(self.violations or self.own_errors)

    def add_stats(self, stats: dict) -> None:
        self.executions += stats["executions"]
        self.edges = max(self.edges or 0, stats["guest_edges"])
        self.edges_total = stats["guest_edges_total"]
        self.nests = stats["nests"]
        for boundary in stats["boundaries"]:
            self.boundaries.setdefault(boundary["place"], Boundary(boundary["in_region"])).add(boundary)
        self.known.update(stats["known"])

    def add_run(self, lines: list[str], status: int) -> tuple[int, int]:
        """Adds one run of a fuzz binary; its executions and its rate, to weigh the rates of a worker's runs."""
        stats = executions = rate = bucket = None
        memory: list[tuple[int, int]] = []  # at which execution, megabytes
        for line in lines:
            if match := STATS.match(line):
                stats = json.loads(match[1])
            elif match := EXECUTIONS.match(line):
                executions = int(match[1])
            elif match := RATE.match(line):
                rate = int(match[1])
            elif match := MEMORY.match(line):
                memory.append((int(match[1]), int(match[2])))
            elif match := BUCKET.search(line):
                bucket = bucket or match[1]
        if memory:
            executed, last = memory[-1]
            self.memory = max(self.memory, last)
            self.growth = max(self.growth, last - next(size for at, size in memory if at * 10 >= executed))
        if stats:
            self.add_stats(stats)
            executions = stats["executions"]
        else:
            self.executions += executions or 0
        if bucket and OWN_ERROR_KIND not in bucket:
            self.violations[bucket] += 1
        elif bucket or (status != 0 and status not in INTERRUPTED):
            self.own_errors.append(bucket or f"ended with status {status}")
        return executions or 0, rate or 0


def read_worker(summary: Summary, log: Path) -> None:
    lines: list[str] = []
    seconds = executions = 0.0
    for line in log.read_text(errors="replace").splitlines():
        if match := EXIT.match(line):
            run_executions, rate = summary.add_run(lines, int(match[1]))
            executions += run_executions
            seconds += run_executions / rate if rate else 0
            lines = []
        else:
            lines.append(line)
    summary.rate += executions / seconds if seconds else 0  # workers run side by side


def summarise(entry: str, folder: Path) -> Summary:
    summary = Summary(entry)
    logs = sorted(folder.glob("log.*"))
    for log in logs:
        read_worker(summary, log)
    if not logs:
        summary.own_errors.append("no worker has left a log")
    corpus = folder / "corpus"
    summary.corpus = sum(1 for file in corpus.rglob("*") if file.is_file()) if corpus.is_dir() else 0
    return summary


def ratio(part: int | None, whole: int | None) -> str:
    return f"{part}/{whole}" if whole else "-"


def hits_of(summary: Summary) -> str:
    """At how many of the region's boundaries something arrived."""
    return ratio(sum(1 for boundary in summary.region.values() if boundary.arrived.total()), len(summary.region))


def folds_of(summary: Summary) -> str:
    """From how many of the region's boundaries a frame was folded; and from how many elsewhere, where there are any."""
    if not summary.region:
        return "no region" if summary.edges_total else "-"
    folded = sum(1 for boundary in summary.region.values() if boundary.folds)
    elsewhere = len(summary.boundaries) - len(summary.region)
    return f"{folded}/{len(summary.region)}" + (f" + {elsewhere}" if elsewhere else "")


COLUMNS = (
    ("entry", lambda s: s.entry),
    ("executions", lambda s: f"{s.executions:,}"),
    ("exec/s", lambda s: f"{s.rate:,.0f}" if s.rate else "-"),
    ("guest edges", lambda s: ratio(s.edges, s.edges_total)),
    ("region hit", hits_of),
    ("folded from", folds_of),
    ("corpus", lambda s: f"{s.corpus:,}"),
    ("MB", lambda s: f"{s.memory} (+{s.growth})" if s.memory else "-"),
    ("violations", lambda s: str(len(s.violations))),
    ("known", lambda s: str(sum(1 for count in s.known.values() if count))),
)


def print_table(summaries: list[Summary]) -> None:
    rows = [[name for name, _ in COLUMNS]] + [[cell(summary) for _, cell in COLUMNS] for summary in summaries]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        # Names to the left, numbers to the right.
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def print_buckets(title: str, buckets: list[tuple[str, str]]) -> None:
    if not buckets:
        return
    print(f"\n{title}")
    width = max(len(bucket) for bucket, _ in buckets)
    for bucket, remark in buckets:
        print(f"  {bucket.ljust(width)}  {remark}")


def print_missing(summaries: list[Summary]) -> None:
    """Boundaries of a region that were not hit, or hit by events that were never folded."""
    for summary in summaries:
        silent = [place for place, boundary in summary.region.items() if not boundary.arrived.total()]
        unfolded = [place for place, boundary in summary.region.items() if boundary.events and not boundary.folds]
        if silent:
            print(f"\n{summary.entry}: nothing arrived at {', '.join(silent)}")
        if unfolded and not summary.nests:
            print(f"\n{summary.entry}: events at {', '.join(unfolded)}, and none was folded")


def times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def print_findings(summaries: list[Summary], artifacts: Path) -> None:
    known = [(bucket, times(count)) for s in summaries for bucket, count in sorted(s.known.items()) if count]
    found = [(bucket, f"{times(count)}, {artifacts / s.entry}/") for s in summaries for bucket, count in sorted(s.violations.items())]
    errors = [(s.entry, error) for s in summaries for error in s.own_errors]
    print_buckets("known violations, skipped:", known)
    print_buckets("violations that are not known:", found)
    print_buckets("errors of framefold's own (see the log of the worker):", errors)


def main() -> int:
    parser = shared.Parser(__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="folder with a folder an entry: log.* and corpus/")
    parser.add_argument("--artifacts", type=Path, required=True, help="folder with a folder an entry: what the fuzz binaries wrote")
    parser.add_argument("entries", nargs="*", metavar="ENTRY")
    options = parser.parse_args()

    if not options.entries:
        print("fuzz: nothing was fuzzed")
        return 0
    if not options.runs.is_dir():
        parser.error(f'no folder "{options.runs}"')
    summaries = [summarise(entry, options.runs / entry) for entry in options.entries]
    print_table(summaries)
    print_missing(summaries)
    print_findings(summaries, options.artifacts)
    print(f"\nlogs and corpora: {options.runs}/<entry>/   artifacts: {options.artifacts}/<entry>/")
    if any(summary.own_errors for summary in summaries):
        return EXIT_OWN_ERROR
    return EXIT_VIOLATION if any(summary.failed for summary in summaries) else 0


if __name__ == "__main__":
    shared.run(main)
