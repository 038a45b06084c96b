"""The rules of OSS-Fuzz's contract for how a fuzz binary runs."""

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

from contract import Broken, Context, NotChecked, OTHER_USER, arguments_of, build_trees, environment_of, files_in, rule, run, seeds_of, tail, text_of

MIN_EDGES = 100
MAX_RSS_BYTES = 3 * 2**29  # 1.5 GB
MIN_RATE = 1000


# ---- libFuzzer -------------------------------------------------------------------------------------------------------


@rule("starts", "it starts after a literal `--`, with nothing on standard input and OUT unset, and does its runs",
      per_fuzzer=True, engine="libfuzzer")  # fmt: skip
def check_start(context: Context, fuzzer: Path) -> None:
    result = run([fuzzer, "--", "-seed=1337", "-runs=4"], context.folder())
    if result.status != 0 or "Done 4 runs" not in result.output:
        raise Broken(f"status {result.status}: {tail(result.output)}")


@rule("instrumented", f"the fuzzer finds interesting inputs, and {MIN_EDGES} edges or more are instrumented",
      per_fuzzer=True, engine="libfuzzer")  # fmt: skip
def check_instrumented(context: Context, fuzzer: Path) -> None:
    result = run([fuzzer, "-seed=1337", "-runs=4"], context.folder())
    if "ERROR: no interesting inputs were found" in result.output:
        raise Broken("no interesting inputs were found")
    edges = re.search(r"INFO: Loaded \d+ modules?\s+\((\d+) (?:inline 8-bit counters|guards)\)", result.output)
    if not edges or int(edges[1]) < MIN_EDGES:
        raise Broken(f"{edges[1] if edges else 'no'} edges")


made_writable: set[Path] = set()  # rules run side by side: another's may be made while one looks around


@dataclasses.dataclass
class Alone:
    """A copy of a fuzz binary, under another name, in a folder without anything else; a command that uses it and writes into
    `writable`."""

    folder: Path
    writable: Path
    command: list


def make_alone(context: Context, fuzzer: Path) -> Alone:
    folder = context.folder()
    copy = folder / "alone"
    shutil.copy(fuzzer, copy)
    copy.chmod(0o755)
    writable = context.folder() / "writable"
    made_writable.add(writable)
    (writable / "corpus").mkdir(parents=True)
    for path in (writable, writable / "corpus"):
        os.chown(path, OTHER_USER, OTHER_USER)
    if context.engine == "libfuzzer":
        return Alone(folder, writable, [copy, "-runs=50", f"-artifact_prefix={writable}/", writable / "corpus"])
    # Engines' drivers replay the files that they are given.
    shutil.copy(files_in(seeds_of(context, fuzzer))[0], writable / "input")
    (writable / "input").chmod(0o644)
    return Alone(folder, writable, [copy, writable / "input"])


@rule("alone", "copied alone and renamed into a folder where it may not write, with an empty environment, as another user: works, and "
      "writes nothing but its corpus and artifacts", per_fuzzer=True)  # fmt: skip
def check_alone(context: Context, fuzzer: Path) -> None:
    if os.geteuid() != 0:
        raise NotChecked("needs root, to become another user")
    alone = make_alone(context, fuzzer)
    before = owned_by_other_user(alone.folder)
    result = run(alone.command, alone.folder, {}, other_user=True)
    if result.status != 0:
        raise Broken(f"status {result.status}: {tail(result.output)}")
    if written := owned_by_other_user(alone.folder) - before:
        raise Broken(f"wrote {', '.join(sorted(map(str, written)))}")


@rule("files", "it opens nothing of the build tree, no device, and nothing for writing but in its corpus and artifacts", per_fuzzer=True)
def check_files(context: Context, fuzzer: Path) -> None:
    if not shutil.which("strace") or os.geteuid() != 0:
        raise NotChecked("needs strace and root")
    alone = make_alone(context, fuzzer)
    trace = context.folder() / "trace"
    # LeakSanitizer traces, too, and one process has one tracer.
    result = run(["strace", "-f", "-y", "-e", "trace=%file", "-o", trace, *alone.command], alone.folder, {"ASAN_OPTIONS": "detect_leaks=0"})
    if result.status != 0:
        raise Broken(f"status {result.status}: {tail(result.output)}")
    for line in trace.read_text(errors="replace").splitlines():
        match = re.search(r'"(/[^"]*)"', line)
        if not match or " = -1 " in line:
            continue
        path = Path(match[1])
        if path == Path("/dev/null"):
            continue
        if any(tree in path.parents for tree in {*build_trees(context), Path("/dev")}):
            raise Broken(f"uses {path}")
        if re.search(r"O_WRONLY|O_RDWR|O_CREAT|mkdir|unlink|rename", line) and alone.writable not in path.parents:
            raise Broken(f"writes {path}")


def owned_by_other_user(folder: Path) -> set[Path]:
    """Outside what was made for it to write into, around `folder` too."""
    found = set()
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", str(folder.parent)):
        listing = subprocess.run(["find", place, "-xdev", "-maxdepth", "4", "-user", str(OTHER_USER)], capture_output=True, text=True).stdout
        found.update(Path(line) for line in listing.splitlines())
    return {path for path in found if not made_writable & {path, *path.parents}}


@rule("seeds-run", "with its options and its dictionary it runs each seed, crashes on none, and keeps more than one", per_fuzzer=True, engine="libfuzzer")
def check_seeds(context: Context, fuzzer: Path) -> None:
    seeds = seeds_of(context, fuzzer)
    result = run([fuzzer, "-runs=0", *arguments_of(fuzzer), seeds], context.folder(), environment_of(fuzzer))
    if unknown := re.search(r"unrecognized flag '-*(\w+)", result.output):
        raise Broken(f"{fuzzer.name}.options: libFuzzer knows no {unknown[1]}")
    kept = re.search(r"INITED.* corp: (\d+)/", result.output)
    if result.status != 0 or not kept:
        raise Broken(f"status {result.status}: {tail(result.output)}")
    # libFuzzer of LLVM 15 and newer keeps no input for which the target returns -1.
    if int(kept[1]) < 2:
        raise Broken(f"{kept[1]} of {len(files_in(seeds))} seeds were kept")


@rule("again", "an input does the same a hundred times in one process, leaks nothing and ends nothing", per_fuzzer=True, engine="libfuzzer")
def check_again(context: Context, fuzzer: Path) -> None:
    seed = max(files_in(seeds_of(context, fuzzer)), key=lambda path: (path.stat().st_size, path.name))
    result = run([fuzzer, "-runs=100", seed], context.folder())
    if result.status != 0:
        raise Broken(f"a hundred times: status {result.status}: {tail(result.output)}")
    # As a hundred files of one corpus: the fuzzer keeps what did something new.
    copies = context.folder()
    for number in range(100):
        shutil.copy(seed, copies / f"{number}")
    result = run([fuzzer, "-runs=0", copies], context.folder())
    kept = re.search(r"INITED.* corp: (\d+)/", result.output)
    if result.status != 0 or not kept:
        raise Broken(f"as a hundred files: status {result.status}: {tail(result.output)}")
    if int(kept[1]) > 1:
        raise Broken(f"{kept[1]} of 100 runs of one input did something that those before had not done")


@rule("silent", "a run prints nothing", per_fuzzer=True, engine="libfuzzer")
def check_silent(context: Context, fuzzer: Path) -> None:
    seed = files_in(seeds_of(context, fuzzer))[0]
    lines = [len(run([fuzzer, f"-runs={runs}", seed], context.folder()).output.splitlines()) for runs in (10, 200)]
    if lines[0] != lines[1]:
        raise Broken(f"{lines[0]} lines at 10 runs, {lines[1]} lines at 200")


@rule("fast-and-small", f"at least {MIN_RATE} executions a second, less than 1.5 GB", per_fuzzer=True, engine="libfuzzer", timed=True)
def check_fast(context: Context, fuzzer: Path) -> None:
    result = run([fuzzer, "-runs=10000", *arguments_of(fuzzer), seeds_of(context, fuzzer)], context.folder(), environment_of(fuzzer))
    if result.status != 0:
        raise Broken(f"status {result.status}: {tail(result.output)}")
    if result.max_rss >= MAX_RSS_BYTES:
        raise Broken(f"{result.max_rss:,} bytes")
    if 10000 / result.seconds < MIN_RATE:
        raise Broken(f"10,000 executions in {result.seconds:.1f} s")


# ---- AFL++ -----------------------------------------------------------------------------------------------------------


def afl_run(context: Context, fuzzer: Path, seconds: int) -> tuple[str, Path]:
    folder = context.folder()
    environment = {
        "PATH": os.environ["PATH"], "AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1", "AFL_NO_AFFINITY": "1", "NO_COLOR": "1",
        "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_FORKSRV_INIT_TMOUT": "30000",
    }  # fmt: skip
    result = run(["afl-fuzz", "-V", str(seconds), "-i", seeds_of(context, fuzzer), "-o", folder / "out", "-x", f"{fuzzer}.dict", "--", fuzzer],
                 folder, environment)  # fmt: skip
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.output), folder / "out/default"


@rule("afl", "afl-fuzz starts it: persistent, deferred, no crash at start, and each input does the same again", per_fuzzer=True, engine="afl")
def check_afl(context: Context, fuzzer: Path) -> None:
    output, folder = afl_run(context, fuzzer, 3)
    if "All set and ready to roll" not in output or re.search(r"target binary (crashed|terminated)", output):
        raise Broken(tail(output))
    for mode in ("Persistent mode binary detected", "Deferred forkserver binary detected"):
        if mode not in output:
            raise Broken(f"not said by afl-fuzz: {mode}")
    stability = re.search(r"^stability\s*:\s*(\S+)", text_of(folder / "fuzzer_stats"), re.MULTILINE)
    if not stability or stability[1] != "100.00%":
        raise Broken(f"stability {stability[1] if stability else 'unknown'}")
