#!/usr/bin/env python3
"""Holds what build.sh has made for OSS-Fuzz against each rule of the contract.

The rules are those of OSS-Fuzz's own gate (bad_build_check, test_all.py, compile) and of what its runners do with a fuzz
binary, some of them sharper: there a binary with too few edges gets a warning. ci/oss-fuzz/check.sh builds, and runs this
for each engine and sanitizer, in the environment that it has built in.

Exit status: 0 all hold, as far as they can be checked here; 1 one is broken; 2 wrong use.
"""

import argparse
import dataclasses
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
TARGET_FUNCTION = b"LLVMFuzzerTestOneInput"
OTHER_USER = 54321  # owns nothing on any machine
SECONDS = 60  # of one run: an input may take 25

# base-runner's Dockerfile. Colours and the path of the symbolizer left out.
ASAN_OPTIONS = (
    "alloc_dealloc_mismatch=0:allocator_may_return_null=1:allocator_release_to_os_interval_ms=500:"
    "check_malloc_usable_size=0:detect_container_overflow=1:detect_odr_violation=0:detect_leaks=1:"
    "detect_stack_use_after_return=1:fast_unwind_on_fatal=0:handle_abort=1:handle_segv=1:handle_sigill=1:"
    "max_uar_stack_size_log=16:print_scariness=1:quarantine_size_mb=10:strict_memcmp=1:symbolize=1:use_sigaltstack=1:"
    "dedup_token_length=3"
)
UBSAN_OPTIONS = "print_stacktrace=1:print_summary=1:silence_unsigned_overflow=1"
# The C library's own.
LIBC = re.compile(r"^(lib(c|m|dl|rt|pthread|resolv|util)\.so\.\d+|ld-linux-x86-64\.so\.2)$")

MIN_EDGES = 100
MIN_ASAN_CALLS = 1000
MAX_MSAN_CALLS = 3
MIN_UBSAN_CALLS = 168
MAX_OTHER_UBSAN_CALLS = 200
MAX_OUT_BYTES = 10 * 2**30
MAX_RSS_BYTES = 3 * 2**29  # 1.5 GB
MIN_RATE = 1000
PROTECTED = "CC CXX CCC CFLAGS CXXFLAGS LIB_FUZZING_ENGINE SANITIZER FUZZING_ENGINE ARCHITECTURE FUZZING_LANGUAGE SRC OUT WORK BUILD_UID".split()
OPTION_SECTIONS = {"libfuzzer", "asan", "msan", "ubsan", "hwasan", "afl", "env"}
PROJECT_KEYS = set(
    "architectures auto_ccs blackbox builds_per_day coverage_extra_args disabled disable_remediation "
    "disable_remediation_pre_review fuzzing_engines help_url homepage language labels main_repo primary_contact run_tests "
    "sanitizers selective_unpack vendor_ccs view_restrictions file_github_issue indexer base_os_version".split()
)


class NotChecked(Exception):
    """The rule cannot be checked here; the text says why."""


class Broken(Exception):
    """The rule is broken; the text says how."""


@dataclasses.dataclass
class Context:
    engine: str
    sanitizer: str
    out: Path
    work: Path
    src: Path
    scratch: Path
    environment: dict[str, str]  # that build.sh had
    build_script: Path = ROOT / "ci/oss-fuzz/build.sh"
    project: Path = ROOT / "ci/oss-fuzz/project.yaml"
    max_out_bytes: int = MAX_OUT_BYTES

    def folder(self) -> Path:
        """A new folder that another user may enter."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        folder.chmod(0o755)
        return folder


@dataclasses.dataclass
class Rule:
    name: str
    text: str
    check: Callable
    per_fuzzer: bool
    engine: str | None


RULES: list[Rule] = []


def rule(name: str, text: str, *, per_fuzzer: bool = False, engine: str | None = None):
    def register(check: Callable) -> Callable:
        RULES.append(Rule(name, text, check, per_fuzzer, engine))
        return check

    return register


# ---- what the rules share --------------------------------------------------------------------------------------------


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def fuzzers(context: Context) -> list[Path]:
    """As test_all.py finds them."""
    found = []
    for path in sorted(context.out.iterdir()):
        if path.is_file() and not path.name.startswith(("afl-", "llvm-")) and os.access(path, os.X_OK) and is_elf(path):
            if TARGET_FUNCTION in path.read_bytes():
                found.append(path)
    return found


def output_of(*command: str | Path) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, errors="replace").stdout


@dataclasses.dataclass
class Run:
    status: int
    output: str
    seconds: float
    max_rss: int


def run(command: list, folder: Path, environment: dict[str, str] | None = None, *, other_user: bool = False) -> Run:
    """Standard input closed, no environment but the runner's."""
    options = {"ASAN_OPTIONS": ASAN_OPTIONS, "UBSAN_OPTIONS": UBSAN_OPTIONS, "PATH": "/usr/bin:/bin"}
    user = {"user": OTHER_USER, "group": OTHER_USER, "extra_groups": []} if other_user else {}
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(c) for c in command], cwd=folder, env=options if environment is None else environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, **user,
        )  # fmt: skip
        usage = wait_for(process, started + SECONDS)
        log.seek(0)
        output = log.read().decode(errors="replace")
    return Run(process.returncode, output, time.monotonic() - started, usage.ru_maxrss * 1024)


def wait_for(process: subprocess.Popen, deadline: float) -> resource.struct_rusage:
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.02)


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-15:])


def seeds_of(context: Context, fuzzer: Path) -> Path:
    folder = context.folder() / "seeds"
    with zipfile.ZipFile(f"{fuzzer}_seed_corpus.zip") as archive:
        archive.extractall(folder)
    return folder


def parse_options(path: Path) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    section = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = sections.setdefault(match[1], {})
        elif (match := re.fullmatch(r"(\w+)\s*=\s*(.+)", line)) and section is not None:
            section[match[1]] = match[2]
        elif line:
            raise Broken(f"{path.name}:{number}: expected [section] or key = value")
    return sections


def arguments_of(fuzzer: Path) -> list[str]:
    """What run_fuzzer makes of the options and the dictionary."""
    options = parse_options(Path(f"{fuzzer}.options")).get("libfuzzer", {})
    return [f"-{key}={value}" for key, value in options.items()] + [f"-dict={fuzzer}.dict", "-rss_limit_mb=2560", "-timeout=25"]


# ---- the build -------------------------------------------------------------------------------------------------------


@rule("build-script", "build.sh runs under `bash -eux`, changes none of the contract's variables, hard-codes no engine")
def check_build_script(context: Context) -> None:
    text = context.build_script.read_text()
    subprocess.run(["bash", "-n", context.build_script], check=True)
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("#")[0] if line.lstrip().startswith("#") else line
        if match := re.match(r"\s*(?:export\s+|readonly\s+|unset\s+)*(\w+)(\+?=|\s*$)", code):
            if match[1] in PROTECTED and (match[2] or "unset" in code):
                raise Broken(f"{context.build_script.name}:{number}: changes {match[1]}")
        for forbidden in ("-fsanitize=fuzzer", "-lFuzzingEngine", "-march=native"):
            if forbidden in code:
                raise Broken(f"{context.build_script.name}:{number}: {forbidden}")


@rule("project-yaml", "project.yaml has the keys that it must have and none that presubmit does not know")
def check_project(context: Context) -> None:
    lines = context.project.read_text().splitlines()
    keys = {match[1] for line in lines if (match := re.match(r"([A-Za-z_]+):", line))}
    if unknown := keys - PROJECT_KEYS:
        raise Broken(f"unknown keys: {', '.join(sorted(unknown))}")
    if lacking := {"language", "main_repo"} - keys:
        raise Broken(f"lacks {', '.join(sorted(lacking))}")


@rule("flags", "everything is compiled with $CXX $CXXFLAGS, and without -march=native")
def check_flags(context: Context) -> None:
    commands = json.loads((context.work / "framefold/compile_commands.json").read_text())
    compiler = Path(context.environment["CXX"]).name
    wanted = context.environment["CXXFLAGS"].split()
    for entry in commands:
        if not entry["file"].endswith(".cpp"):
            continue
        words = entry["command"].split()
        if compiler not in [Path(word).name for word in words[:2]]:
            raise Broken(f"{entry['file']}: compiled by {words[0]}, not by {compiler}")
        if lacking := [flag for flag in wanted if flag not in words]:
            raise Broken(f"{entry['file']}: compiled without {' '.join(lacking)}")
        if "-march=native" in words:
            raise Broken(f"{entry['file']}: -march=native")


@rule("link", "each fuzz binary is linked with $CXX $CXXFLAGS and $LIB_FUZZING_ENGINE, and no other engine", per_fuzzer=True)
def check_link(context: Context, fuzzer: Path) -> None:
    commands = output_of("ninja", "-C", context.work / "framefold", "-t", "commands", "-s", f"entry/{fuzzer.name}").splitlines()
    words = [c for c in commands if f"-o entry/{fuzzer.name}" in c][-1].split()
    engine = context.environment["LIB_FUZZING_ENGINE"]
    if lacking := [word for word in [*context.environment["CXXFLAGS"].split(), engine] if word not in words]:
        raise Broken(f"linked without {' '.join(lacking)}")
    if "-lFuzzingEngine" in words or (engine != "-fsanitize=fuzzer" and "-fsanitize=fuzzer" in words):
        raise Broken("linked with an engine that $LIB_FUZZING_ENGINE does not name")


@rule("unicorn", "Unicorn is built from its pinned source, for x86 alone, without the sanitizer")
def check_unicorn(context: Context) -> None:
    archive = context.work / "unicorn/lib/libunicorn.a"
    if not (context.src / "unicorn").is_dir():
        raise NotChecked("Unicorn's source is not here: linked with the static library that the machine has")
    symbols = output_of("nm", archive)
    if "aarch64_cpu_register_types" in symbols or "__asan_init" in symbols:
        raise Broken(f"{archive}: holds other guests than x86, or a sanitizer")


# ---- the layout of $OUT ----------------------------------------------------------------------------------------------


@rule("fuzzers", "there is a fuzz binary for each bundled entry")
def check_fuzzers(context: Context) -> None:
    wanted = {f"{path.parent.name}_fuzzer" for path in (ROOT / "entry").glob("*/entry.toml")}
    if lacking := wanted - {path.name for path in fuzzers(context)}:
        raise Broken(f"no {', '.join(sorted(lacking))}")


@rule("names", "names have no extension and are of [a-zA-Z0-9@_.-]", per_fuzzer=True)
def check_name(context: Context, fuzzer: Path) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9@_-]+", fuzzer.name):
        raise Broken(f"{fuzzer.name!r}")


@rule("seed-corpus", "<fuzzer>_seed_corpus.zip is there and holds inputs", per_fuzzer=True)
def check_seed_corpus(context: Context, fuzzer: Path) -> None:
    try:
        with zipfile.ZipFile(f"{fuzzer}_seed_corpus.zip") as archive:
            if bad := archive.testzip():
                raise Broken(f"{bad} in the zip is damaged")
            if not [info for info in archive.infolist() if not info.is_dir() and info.file_size]:
                raise Broken("no inputs in it")
    except (OSError, zipfile.BadZipFile) as error:
        raise Broken(str(error)) from error


@rule("dictionary", "<fuzzer>.dict is there and in the format of libFuzzer and AFL++", per_fuzzer=True)
def check_dictionary(context: Context, fuzzer: Path) -> None:
    path = Path(f"{fuzzer}.dict")
    if not path.is_file():
        raise Broken("none")
    entries = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if re.fullmatch(r'\w*="(\\x[0-9a-fA-F]{2}|\\[\\"]|[^\\"])+"', line):
            entries += 1
        elif line.strip() and not line.startswith("#"):
            raise Broken(f"{path.name}:{number}: expected name=\"value\"")
    if entries == 0:
        raise Broken("no entries")


@rule("options", "<fuzzer>.options is there, of sections that runners know", per_fuzzer=True)
def check_options(context: Context, fuzzer: Path) -> None:
    path = Path(f"{fuzzer}.options")
    if not path.is_file():
        raise Broken("none")
    if unknown := parse_options(path).keys() - OPTION_SECTIONS:
        raise Broken(f"unknown sections: {', '.join(sorted(unknown))}")


@rule("symbolizer", "llvm-symbolizer lies beside the fuzz binaries")
def check_symbolizer(context: Context) -> None:
    if not os.access(context.out / "llvm-symbolizer", os.X_OK):
        raise Broken("it does not")


@rule("size", "$OUT is smaller than 10 GB")
def check_size(context: Context) -> None:
    size = sum(path.stat().st_size for path in context.out.rglob("*") if path.is_file())
    if size >= context.max_out_bytes:
        raise Broken(f"{size:,} bytes")


# ---- what is in a binary ---------------------------------------------------------------------------------------------


@rule("self-contained", "a fuzz binary needs no shared library but the C library's own", per_fuzzer=True)
def check_libraries(context: Context, fuzzer: Path) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output_of("readelf", "-d", fuzzer))
    if foreign := [name for name in needed if not LIBC.match(name)]:
        raise Broken(f"needs {', '.join(foreign)}")
    if re.search(r"\((RPATH|RUNPATH)\)", output_of("readelf", "-d", fuzzer)):
        raise Broken("has a path for libraries")


@rule("build-paths", "no path of the build tree is in a fuzz binary, but for its debug information", per_fuzzer=True)
def check_paths(context: Context, fuzzer: Path) -> None:
    stripped = context.folder() / "stripped"
    subprocess.run(["objcopy", "--strip-debug", fuzzer, stripped], check=True)
    contents = stripped.read_bytes()
    stripped.unlink()
    for path in {context.src, context.work, context.src.resolve(), (context.src / "framefold").resolve()}:
        if f"{path}/".encode() in contents:
            raise Broken(f"{path}")


@rule("architecture", "a fuzz binary is for $ARCHITECTURE", per_fuzzer=True)
def check_architecture(context: Context, fuzzer: Path) -> None:
    # Not `file`, as bad_build_check has it: what it says names the loader, which is "...-x86-64.so.2" of each 64-bit binary.
    machine = re.search(r"Machine:\s+(.*)", output_of("readelf", "-h", fuzzer))
    if not machine or "X86-64" not in machine[1]:
        raise Broken(machine[1] if machine else "no ELF file")


@rule("sanitizer", "a fuzz binary is built with $SANITIZER and no other (bad_build_check's counts)", per_fuzzer=True)
def check_sanitizer(context: Context, fuzzer: Path) -> None:
    calls = dict.fromkeys(("asan", "msan", "dfsan", "ubsan"), 0)
    with subprocess.Popen(["objdump", "-d", fuzzer], stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout:
            if match := re.search(r"callq?\s+[0-9a-f]+\s+<__(asan|msan|dfsan|ubsan)", line):
                calls[match[1]] += 1
    said = ", ".join(f"{name} {count}" for name, count in calls.items())
    if calls["dfsan"] or calls["msan"] > MAX_MSAN_CALLS:
        raise Broken(said)
    if context.sanitizer == "address" and (calls["asan"] < MIN_ASAN_CALLS or calls["ubsan"] > MAX_OTHER_UBSAN_CALLS):
        raise Broken(said)
    if context.sanitizer == "undefined" and context.engine == "libfuzzer" and (calls["ubsan"] < MIN_UBSAN_CALLS or calls["asan"]):
        raise Broken(said)


# ---- how it runs: libFuzzer ------------------------------------------------------------------------------------------


@rule("starts", "it starts after a literal `--`, with standard input closed and OUT unset, and does its runs",
      per_fuzzer=True, engine="libfuzzer")  # fmt: skip
def check_start(context: Context, fuzzer: Path) -> None:
    result = run([fuzzer, "--", "-seed=1337", "-runs=4"], context.folder())
    if result.status != 0 or "Done 4 runs" not in result.output:
        raise Broken(tail(result.output))


@rule("instrumented", f"the fuzzer finds interesting inputs, and {MIN_EDGES} edges or more are instrumented",
      per_fuzzer=True, engine="libfuzzer")  # fmt: skip
def check_instrumented(context: Context, fuzzer: Path) -> None:
    result = run([fuzzer, "-seed=1337", "-runs=4"], context.folder())
    if "ERROR: no interesting inputs were found" in result.output:
        raise Broken("no interesting inputs were found")
    edges = re.search(r"INFO: Loaded \d+ modules?\s+\((\d+) (?:inline 8-bit counters|guards)\)", result.output)
    if not edges or int(edges[1]) < MIN_EDGES:
        raise Broken(f"{edges[1] if edges else 'no'} edges")


@rule("alone", "copied alone into a folder where it may not write, moved, with an empty environment, as another user: works, and "
      "writes nothing but its corpus and artifacts", per_fuzzer=True)  # fmt: skip
def check_alone(context: Context, fuzzer: Path) -> None:
    if os.geteuid() != 0:
        raise NotChecked("needs root, to become another user")
    folder = context.folder()
    copy = folder / fuzzer.name
    shutil.copy(fuzzer, copy)
    copy.chmod(0o755)
    writable = context.folder() / "writable"
    (writable / "corpus").mkdir(parents=True)
    for path in (writable, writable / "corpus"):
        os.chown(path, OTHER_USER, OTHER_USER)
    before = owned_by_other_user(writable)
    if context.engine == "libfuzzer":
        command = [copy, "-runs=50", f"-artifact_prefix={writable}/", writable / "corpus"]
    else:  # engines' drivers replay the files that they are given
        seed = sorted(seeds_of(context, fuzzer).iterdir())[0]
        shutil.copy(seed, writable / "input")
        (writable / "input").chmod(0o644)
        command = [copy, writable / "input"]
    result = run(command, folder, {}, other_user=True)
    copy.unlink()
    if result.status != 0:
        raise Broken(f"status {result.status}: {tail(result.output)}")
    if written := owned_by_other_user(writable) - before:
        raise Broken(f"wrote {', '.join(sorted(map(str, written)))}")


def owned_by_other_user(allowed: Path) -> set[Path]:
    found = set()
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", str(allowed.parent.parent)):
        listing = subprocess.run(["find", place, "-xdev", "-maxdepth", "4", "-user", str(OTHER_USER)], capture_output=True, text=True).stdout
        found.update(Path(line) for line in listing.splitlines())
    return {path for path in found if path != allowed and allowed not in path.parents}


@rule("seeds-run", "no seed crashes, and the fuzzer keeps more than one", per_fuzzer=True, engine="libfuzzer")
def check_seeds(context: Context, fuzzer: Path) -> None:
    seeds = seeds_of(context, fuzzer)
    result = run([fuzzer, "-runs=0", *arguments_of(fuzzer), seeds], context.folder())
    kept = re.search(r"INITED.* corp: (\d+)/", result.output)
    if result.status != 0 or not kept:
        raise Broken(f"status {result.status}: {tail(result.output)}")
    # libFuzzer of LLVM 15 and newer keeps no input for which the target returns -1.
    if int(kept[1]) < 2:
        raise Broken(f"{kept[1]} of {len(list(seeds.iterdir()))} seeds were kept")


@rule("again", "an input does the same a hundred times in one process", per_fuzzer=True, engine="libfuzzer")
def check_again(context: Context, fuzzer: Path) -> None:
    seed = max(seeds_of(context, fuzzer).iterdir(), key=lambda path: (path.stat().st_size, path.name))
    result = run([fuzzer, "-runs=100", seed], context.folder())
    if result.status != 0:
        raise Broken(f"status {result.status}: {tail(result.output)}")


@rule("silent", "a run prints nothing", per_fuzzer=True, engine="libfuzzer")
def check_silent(context: Context, fuzzer: Path) -> None:
    lines = [len(run([fuzzer, "-verbosity=0", "-seed=1", f"-runs={runs}"], context.folder()).output.splitlines()) for runs in (10, 200)]
    if lines[0] != lines[1]:
        raise Broken(f"{lines[0]} lines at 10 runs, {lines[1]} lines at 200")


@rule("fast-and-small", f"at least {MIN_RATE} executions a second, less than 1.5 GB", per_fuzzer=True, engine="libfuzzer")
def check_fast(context: Context, fuzzer: Path) -> None:
    result = run([fuzzer, "-runs=10000", *arguments_of(fuzzer), seeds_of(context, fuzzer)], context.folder())
    if result.status != 0:
        raise Broken(f"status {result.status}: {tail(result.output)}")
    if result.max_rss >= MAX_RSS_BYTES:
        raise Broken(f"{result.max_rss:,} bytes")
    if 10000 / result.seconds < MIN_RATE:
        raise Broken(f"10,000 executions in {result.seconds:.1f} s")


# ---- how it runs: AFL++ ----------------------------------------------------------------------------------------------


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
    stability = re.search(r"^stability\s*:\s*(\S+)", (folder / "fuzzer_stats").read_text(), re.MULTILINE)
    if not stability or stability[1] != "100.00%":
        raise Broken(f"stability {stability[1] if stability else 'unknown'}")


# ---- main ------------------------------------------------------------------------------------------------------------


def apply(one: Rule, context: Context, fuzzer: Path | None) -> tuple[str, str]:
    try:
        if one.per_fuzzer:
            one.check(context, fuzzer)
        else:
            one.check(context)
    except NotChecked as why:
        return "not checked", str(why)
    except Broken as how:
        return "BROKEN", str(how)
    return "ok", ""


def check(context: Context, only: list[str]) -> dict[str, list[tuple[str, str, str]]]:
    """By rule: (status, fuzzer, text) of each application."""
    found = fuzzers(context)
    picked = [fuzzer for fuzzer in found if not only or fuzzer.name in only]
    work = []
    for one in RULES:
        if one.engine not in (None, context.engine):
            continue
        # Those that run nothing are for every binary.
        runs = one.engine is not None or one.name == "alone"
        for fuzzer in (picked if runs else found) if one.per_fuzzer else [None]:
            work.append((one, fuzzer))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda item: apply(item[0], context, item[1]), work))
    by_rule: dict[str, list[tuple[str, str, str]]] = {}
    for (one, fuzzer), (status, text) in zip(work, results):
        by_rule.setdefault(one.name, []).append((status, fuzzer.name if fuzzer else "", text))
    return by_rule


def print_report(context: Context, by_rule: dict[str, list[tuple[str, str, str]]]) -> bool:
    print(f"check: {context.engine} with {context.sanitizer}: {context.out}")
    good = True
    for one in RULES:
        for results in [by_rule.get(one.name)]:
            if results is None:
                continue
            bad = [result for result in results if result[0] != "ok"]
            status = "BROKEN" if any(r[0] == "BROKEN" for r in bad) else bad[0][0] if bad else "ok"
            good = good and status != "BROKEN"
            print(f"  {status:<12} {one.name:<16} {one.text}")
            for _, fuzzer, text in bad:
                print("\n".join(f"      {line}" for line in f"{fuzzer}{': ' if fuzzer else ''}{text}".splitlines()))
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", action="store_true", help="print the rules, and do nothing")
    parser.add_argument("--engine", choices=("libfuzzer", "afl", "honggfuzz"))
    parser.add_argument("--sanitizer", choices=("address", "undefined"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--src", type=Path)
    parser.add_argument("--fuzzer", action="append", default=[], metavar="NAME", help="rules that run a binary only for this one")
    options = parser.parse_args()
    if options.rules:
        for one in RULES:
            print(f"{one.name:<16} {one.text}{f' ({one.engine})' if one.engine else ''}")
        return 0
    if None in (options.engine, options.sanitizer, options.out, options.work, options.src):
        parser.error("--engine, --sanitizer, --out, --work and --src are needed")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="framefold-check-") as scratch:
        os.chmod(scratch, 0o755)
        # As test_all.py does: what has a path in it that was good at build time does not work here.
        moved = Path(scratch) / "moved"
        shutil.copytree(options.out, moved)
        context = Context(options.engine, options.sanitizer, moved, options.work, options.src, Path(scratch), dict(os.environ))
        by_rule = check(context, options.fuzzer)
        context.out = options.out
        return 0 if print_report(context, by_rule) else 1


if __name__ == "__main__":
    sys.exit(main())
