#!/usr/bin/env python3
"""How fast do engines run the fuzz binaries of ci/oss-fuzz/check.sh, against the best that they could, and against what is asked for?

  rate     executions a second of libFuzzer's, with AddressSanitizer: one run of --runs executions on the seeds
  afl      executions a second under afl-fuzz, of those that the same afl-fuzz makes with an empty target: one that does
           nothing, built by the same compiler with the same flags, persistent as well
  workers  executions a second of two libFuzzer processes on a core each, of those of one

The last two are ratios, of several turns each; those that are compared take turns, so that what else the machine does is the
same for both. All is given by time, and by CPU time, start-up included. That by time counts, unless other work has kept the
processes from their CPUs: then that by CPU time does, which says something as well if turns are long. (afl-fuzz and its target
wait for each other, and are never on their CPUs all of the time.)

Exit status: 0 all are as they should be (rate 100,000 or more, afl 0.60, workers 1.80); 1 one is not; 2 wrong use or not built.
"""

import argparse
import ctypes
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import shared  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
RATE_LEAST, AFL_LEAST, WORKERS_LEAST = 100_000, 0.60, 1.80
LEAST_RUNS = 500_000  # of which a rate says something
UNDISTURBED = 0.95  # of the time on a CPU
AFL_ENVIRONMENT = {name: "1" for name in ("AFL_NO_UI", "AFL_SKIP_CPUFREQ", "AFL_NO_AFFINITY", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES")}
EMPTY_TARGET = "#include <stddef.h>\n#include <stdint.h>\nint LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d && n ? 0 : 0; }\n"


@dataclass
class Work:
    executions: int = 0
    seconds: float = 0
    cpu_seconds: float = 0

    def add(self, other: "Work") -> None:
        self.executions += other.executions
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds

    @property
    def rate(self) -> float:
        return self.executions / self.seconds

    @property
    def cpu_rate(self) -> float:
        return self.executions / self.cpu_seconds


class Others:
    """What else the machine does from now on."""

    def __init__(self) -> None:
        self.started, self.before = time.monotonic(), self.cpu_seconds()

    @staticmethod
    def cpu_seconds() -> float:
        """Of all processes but this one's children that have ended."""
        with open("/proc/stat") as stat:
            user, nice, system, _, _, *others = (int(field) for field in stat.readline().split()[1:9])
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK") - children.ru_utime - children.ru_stime

    def share(self) -> float:
        """Of the machine's CPUs."""
        return (self.cpu_seconds() - self.before) / (time.monotonic() - self.started) / (os.cpu_count() or 1)


def measure(command: list, **environment: str) -> tuple[str, Work]:
    """What it printed, and the time that it and the processes that it has waited for took."""
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen([str(c) for c in command], env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT)  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        log.seek(0)
        output = log.read().decode(errors="replace")
    if process.returncode != 0:
        sys.exit(f"speed: {command[0]}: status {process.returncode}\n{output[-2000:]}")
    return output, Work(0, seconds, usage.ru_utime + usage.ru_stime)


def take_in_orphans() -> None:
    """afl-fuzz does not wait for the target's processes: they become this one's, which then learns of their time."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        sys.exit("speed: this system has no subreapers")


def cpu_seconds_of_children() -> float:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime


def build_empty_target(folder: Path, build: Path) -> Path:
    """As build.sh would."""
    (folder / "empty.c").write_text(EMPTY_TARGET)
    script = (f'source "{ROOT}/ci/oss-fuzz/environment.sh"; enter_environment afl address "{build}"; '
              f'$CC $CFLAGS -c {folder}/empty.c -o {folder}/empty.o; $CXX $CXXFLAGS {folder}/empty.o "$LIB_FUZZING_ENGINE" -o {folder}/empty')  # fmt: skip
    subprocess.run(["bash", "-euc", script], check=True, env={**os.environ, "AFL_QUIET": "1"})
    return folder / "empty"


def afl_turn(fuzzer: Path, seeds: Path, out: Path, seconds: int) -> Work:
    before = cpu_seconds_of_children()
    measure(["afl-fuzz", "-s", "1", "-V", seconds, "-i", seeds, "-o", out, "--", fuzzer], **AFL_ENVIRONMENT)
    stats = dict(re.findall(r"^(\w+)\s*: (\S+)", (out / "default/fuzzer_stats").read_text(), re.MULTILINE))
    # afl-fuzz counts from when it has tried the seeds.
    return Work(int(stats["execs_done"]), float(stats["run_time"]), cpu_seconds_of_children() - before)


def libfuzzer_run(fuzzer: Path, folder: Path, *arguments: str | Path) -> Work:
    output, work = measure([fuzzer, "-seed=1", "-print_final_stats=1", f"-artifact_prefix={folder}/", *arguments], ASAN_OPTIONS="detect_leaks=0")
    executions = re.search(r"stat::number_of_executed_units: (\d+)", output)
    return Work(int(executions[1]), work.seconds, work.cpu_seconds)


def libfuzzer_turn(fuzzer: Path, folder: Path, seeds: Path, seconds: int, workers: int) -> Work:
    works: list[Work] = []

    def worker(number: int) -> None:
        corpus = folder / f"corpus-{number}"
        corpus.mkdir()
        works.append(libfuzzer_run(fuzzer, folder, f"-max_total_time={seconds}", corpus, seeds))

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Side by side: their time is that of one.
    return Work(sum(w.executions for w in works), sum(w.seconds for w in works) / workers, sum(w.cpu_seconds for w in works))


def unpack_seeds(fuzzer: Path, folder: Path) -> Path:
    with zipfile.ZipFile(f"{fuzzer}_seed_corpus.zip") as archive:
        archive.extractall(folder)
    return folder


def show(name: str, work: Work) -> None:
    print(f"  {name:<22}{work.rate:>10,.0f} a second{work.cpu_rate:>12,.0f} a CPU second")


def judge(what: str, by_time: float, by_cpu_time: float, on_cpu: float, others: float, least: float) -> bool:
    """Of a measurement in which the processes were on their CPUs for that share of the time, and others for that of the machine's."""
    undisturbed = on_cpu >= UNDISTURBED or others <= 1 - UNDISTURBED
    ratio = by_time if undisturbed else by_cpu_time
    how = "by time" if undisturbed else f"by CPU time: the processes had {on_cpu:.0%} of their CPUs, others {others:.0%} of the machine"
    form = ",.0f" if least > 100 else ".2f"
    print(f"  {what} {by_time:{form}} by time, {by_cpu_time:{form}} by CPU time; {least:{form}} asked for: "
          f"{'ok' if ratio >= least else 'LESS'} {how}")  # fmt: skip
    return ratio >= least


def compare_afl(fuzzer: Path, scratch: Path, turns: int, seconds: int) -> bool:
    empty = build_empty_target(scratch, ROOT / "build/oss-fuzz/afl-address")
    seeds = unpack_seeds(fuzzer, scratch / "afl-seeds")
    works = {"empty target": Work(), fuzzer.name: Work()}
    others = Others()
    for turn in range(turns):
        for number, (name, binary) in enumerate(zip(works, (empty, fuzzer))):
            works[name].add(afl_turn(binary, seeds, scratch / f"afl-{turn}-{number}", seconds))
    print("afl:")
    for name, work in works.items():
        show(name, work)
    nothing, ours = works.values()
    on_cpu = (ours.cpu_seconds + nothing.cpu_seconds) / (ours.seconds + nothing.seconds)
    return judge("ratio", ours.rate / nothing.rate, ours.cpu_rate / nothing.cpu_rate, on_cpu, others.share(), AFL_LEAST)


def compare_workers(fuzzer: Path, scratch: Path, turns: int, seconds: int) -> bool:
    seeds = unpack_seeds(fuzzer, scratch / "libfuzzer-seeds")
    one, two = Work(), Work()
    others = Others()
    for turn in range(turns):
        for count, total in ((1, one), (2, two)):
            folder = scratch / f"libfuzzer-{turn}-{count}"
            folder.mkdir()
            total.add(libfuzzer_turn(fuzzer, folder, seeds, seconds, count))
    print("workers:")
    show("one", one)
    show("two", two)
    # By CPU time: were there a core for each, two would make twice what each makes of its time.
    on_cpu = (one.cpu_seconds + two.cpu_seconds) / (one.seconds + 2 * two.seconds)
    return judge("ratio", two.rate / one.rate, 2 * two.cpu_rate / one.cpu_rate, on_cpu, others.share(), WORKERS_LEAST)


def measure_rate(fuzzer: Path, scratch: Path, runs: int) -> bool:
    seeds, corpus = unpack_seeds(fuzzer, scratch / "rate-seeds"), scratch / "rate-corpus"
    corpus.mkdir()
    others = Others()
    work = libfuzzer_run(fuzzer, scratch, f"-runs={runs}", corpus, seeds)
    print(f"rate: {work.executions:,} executions")
    show(fuzzer.name, work)
    return judge("a second", work.rate, work.cpu_rate, work.cpu_seconds / work.seconds, others.share(), RATE_LEAST)


def number_of_runs(text: str) -> int:
    if shared.whole_number(text) < LEAST_RUNS:
        raise argparse.ArgumentTypeError(f"expected {LEAST_RUNS} or more, got {text}")
    return int(text)


def main() -> int:
    parser = shared.Parser(__doc__)
    parser.add_argument("--runs", type=number_of_runs, default=1_000_000, metavar="N",
                        help="executions of which the rate is taken, 500000 or more (default 1000000)")  # fmt: skip
    parser.add_argument("--turns", type=shared.whole_number, default=3, metavar="N", help="of each that is compared (default 3)")
    parser.add_argument("--seconds", type=shared.whole_number, default=5, metavar="N", help="of each turn (default 5)")
    parser.add_argument("--entry", default="minios-x86_64-table", metavar="NAME", help="whose fuzz binaries (default minios-x86_64-table)")
    parser.add_argument("--only", choices=("rate", "afl", "workers"), help="one of the three")
    parser.add_argument("--afl", type=shared.program, metavar="FILE", help="AFL++'s fuzz binary (default of build/oss-fuzz/afl-address/out/)")
    parser.add_argument("--libfuzzer", type=shared.program, metavar="FILE", help="libFuzzer's (default of build/oss-fuzz/libfuzzer-address/out/)")
    options = parser.parse_args()
    builds = ROOT / "build/oss-fuzz"
    afl = options.afl or builds / f"afl-address/out/{options.entry}_fuzzer"
    libfuzzer = options.libfuzzer or builds / f"libfuzzer-address/out/{options.entry}_fuzzer"
    wanted = {"rate": libfuzzer, "afl": afl, "workers": libfuzzer}
    if options.only:
        wanted = {options.only: wanted[options.only]}
    for fuzzer in wanted.values():
        if not fuzzer.is_file() or not Path(f"{fuzzer}_seed_corpus.zip").is_file():
            parser.error(f"no {fuzzer} with its seeds: ci/oss-fuzz/check.sh --sanitizer address --entry {options.entry} --build-only")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    take_in_orphans()
    good = True
    with tempfile.TemporaryDirectory(prefix="framefold-speed-") as scratch:
        if "rate" in wanted:
            good = measure_rate(libfuzzer.resolve(), Path(scratch), options.runs) and good
        if "afl" in wanted:
            good = compare_afl(afl.resolve(), Path(scratch), options.turns, options.seconds) and good
        if "workers" in wanted:
            good = compare_workers(libfuzzer.resolve(), Path(scratch), options.turns, options.seconds) and good
    return 0 if good else 1


if __name__ == "__main__":
    shared.run(main)
