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
STAND_IN_ENGINE = ROOT / "ci/oss-fuzz/stand_in_engine.cpp"
TARGET_FUNCTION = b"LLVMFuzzerTestOneInput"
OTHER_USER = 10_000_000 + os.getpid()  # owns nothing on any machine, and is not that of another check beside this one
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


# What project.yaml may ask for (infra/constants.py).
PROJECT_VALUES = {
    "sanitizers": set("address none memory undefined thread coverage introspector hwaddress".split()),
    "fuzzing_engines": set("libfuzzer afl honggfuzz centipede none wycheproof".split()),
    "architectures": set("i386 x86_64 aarch64".split()),
}
# What ClusterFuzz lets through of an [env] section (bot/fuzzers/options.py).
OPTION_VARIABLES = {"AFL_DRIVER_DONT_DEFER", "GODEBUG"}
# The C library's functions that reach another machine.
NETWORK_FUNCTIONS = {"socket", "connect", "bind", "listen", "accept", "getaddrinfo", "gethostbyname"}


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
    tree: Path = ROOT
    max_out_bytes: int = MAX_OUT_BYTES
    entries: tuple[str, ...] = ()  # whose fuzz binaries were to be made

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
    timed: bool  # not beside others


RULES: list[Rule] = []


def rule(name: str, text: str, *, per_fuzzer: bool = False, engine: str | None = None, timed: bool = False):
    def register(check: Callable) -> Callable:
        RULES.append(Rule(name, text, check, per_fuzzer, engine, timed))
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


# What changes a variable for all that comes behind it. (`env CC=clang command` and `CC=clang command` do so for the command.)
ASSIGNMENT = re.compile(r"""(?:^|[;&|({]|\bthen|\bdo|\belse)\s*(\w+)\+?=(?:"[^"]*"|'[^']*'|\$\([^)]*\)|[^\s;&|])*\s*(?:$|[;&|)}#])""")
DEFAULT = re.compile(r"\$\{(\w+):?=")
LOOP = re.compile(r"\bfor\s+(\w+)")
BUILTIN = re.compile(r"\b(?:export|readonly|declare|typeset|local|unset|read|mapfile|readarray)\b([^;&|]*)")


def changed_variables(code: str) -> set[str]:
    names = {match[1] for pattern in (ASSIGNMENT, DEFAULT, LOOP) for match in pattern.finditer(code)}
    for match in BUILTIN.finditer(code):
        names.update(re.findall(r"\s(\w+)(?=\+?=|\s|$)", match[1]))
    return names


@rule("build-script", "build.sh can be run by `bash -eux`, changes none of the contract's variables, hard-codes no engine")
def check_build_script(context: Context) -> None:
    name = context.build_script.name
    if subprocess.run(["bash", "-n", context.build_script], capture_output=True).returncode != 0:
        raise Broken(f"{name}: not in bash's grammar")
    for number, line in enumerate(context.build_script.read_text().splitlines(), 1):
        code = "" if line.lstrip().startswith("#") else line
        if changed := changed_variables(code) & set(PROTECTED):
            raise Broken(f"{name}:{number}: changes {', '.join(sorted(changed))}")
        for forbidden in ("-fsanitize=fuzzer", "-lFuzzingEngine", "-march=native"):
            if forbidden in code:
                raise Broken(f"{name}:{number}: {forbidden}")


def yaml_values(path: Path) -> dict[str, list[str]]:
    """Of a file of scalars and of lists, one item a line: all that a project.yaml needs."""
    values: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z_]+):\s*(.*)", line):
            values[match[1]] = [match[2]] if match[2] else []
        elif (match := re.fullmatch(r"\s+-\s*(\S+)", line)) and values:
            values[list(values)[-1]].append(match[1])
    return values


@rule("project-yaml", "project.yaml has the keys that it must have, none that presubmit does not know, and values that the builders know")
def check_project(context: Context) -> None:
    values = yaml_values(context.project)
    if unknown := values.keys() - PROJECT_KEYS:
        raise Broken(f"unknown keys: {', '.join(sorted(unknown))}")
    if lacking := {"language", "main_repo"} - values.keys():
        raise Broken(f"lacks {', '.join(sorted(lacking))}")
    for key, known in PROJECT_VALUES.items():
        if unknown := set(values.get(key, [])) - known:
            raise Broken(f"{key}: unknown: {', '.join(sorted(unknown))}")


@rule("main-repo", "main_repo of project.yaml is where the builders can clone the repository from")
def check_main_repo(context: Context) -> None:
    value = "".join(yaml_values(context.project).get("main_repo", []))
    match = re.fullmatch(r"(?:https|git)://([A-Za-z0-9.-]+)/\S+", value)
    if not match:
        raise Broken(f"expected an address for git, got {value!r}")
    if match[1].endswith(".example"):
        raise NotChecked("it is to be set when the repository is published; a name under .example is nowhere")


@rule("project-files", "the project's folder holds its three files and no seed corpus")
def check_project_files(context: Context) -> None:
    folder = context.project.parent
    if lacking := [name for name in ("Dockerfile", "build.sh", "project.yaml") if not (folder / name).is_file()]:
        raise Broken(f"lacks {', '.join(lacking)}")
    if archives := sorted(path.name for path in folder.rglob("*.zip")):
        raise Broken(f"holds {', '.join(archives)}")


@rule("clusterfuzzlite", "ClusterFuzzLite finds its files, builds on its base, and its workflow has each mode")
def check_clusterfuzzlite(context: Context) -> None:
    folder = context.tree / ".clusterfuzzlite"
    if lacking := [name for name in ("Dockerfile", "build.sh", "project.yaml") if not (folder / name).is_file()]:
        raise Broken(f"lacks {', '.join(lacking)}")
    dockerfile = (folder / "Dockerfile").read_text()
    if not re.search(r"^FROM gcr\.io/oss-fuzz-base/base-builder:v1$", dockerfile, re.MULTILINE):
        raise Broken("Dockerfile: expected FROM gcr.io/oss-fuzz-base/base-builder:v1")
    if not re.search(r"^COPY \S*build\.sh \$SRC/(build\.sh)?$", dockerfile, re.MULTILINE):
        raise Broken("Dockerfile: build.sh is not copied to $SRC")
    if yaml_values(folder / "project.yaml").get("language") != ["c++"]:
        raise Broken("project.yaml: expected language: c++")
    workflows = "\n".join(path.read_text() for path in (context.tree / ".github/workflows").glob("*.yml"))
    modes = set(re.findall(r"^\s+mode: (\S+)$", workflows, re.MULTILINE))
    if lacking := {"code-change", "batch", "prune", "coverage"} - modes:
        raise Broken(f"no workflow runs {', '.join(sorted(lacking))}")


@rule("flags", "everything is compiled with $CXX $CXXFLAGS, and without -march=native")
def check_flags(context: Context) -> None:
    commands = json.loads((context.work / "framefold/compile_commands.json").read_text())
    compiler = Path(context.environment["CXX"]).name
    wanted = context.environment["CXXFLAGS"].split()
    for entry in commands:
        if not entry["file"].endswith((".cpp", ".cxx")):
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
    words = link_command(context, fuzzer)
    engine = context.environment["LIB_FUZZING_ENGINE"]
    if lacking := [word for word in [*context.environment["CXXFLAGS"].split(), engine] if word not in words]:
        raise Broken(f"linked without {' '.join(lacking)}")
    if "-lFuzzingEngine" in words or (engine != "-fsanitize=fuzzer" and "-fsanitize=fuzzer" in words):
        raise Broken("linked with an engine that $LIB_FUZZING_ENGINE does not name")


def link_command(context: Context, fuzzer: Path) -> list[str]:
    output = f"entry/{fuzzer.name}"
    commands = output_of("ninja", "-C", context.work / "framefold", "-t", "commands", "-s", output).splitlines()
    command = [c for c in commands if f"-o {output}" in c][-1]
    return command.removeprefix(": && ").removesuffix(" && :").split()


def link_with_stand_in(context: Context, fuzzer: Path, *definitions: str) -> Path:
    """The fuzz binary with another engine: an archive where $LIB_FUZZING_ENGINE was, and nothing else changed."""
    folder = context.folder()
    subprocess.run(["clang++", "-std=c++20", "-O1", *definitions, "-c", STAND_IN_ENGINE, "-o", folder / "engine.o"], check=True)
    subprocess.run(["ar", "qc", folder / "engine.a", folder / "engine.o"], check=True)
    engine, output = context.environment["LIB_FUZZING_ENGINE"], f"entry/{fuzzer.name}"
    words = [str(folder / "engine.a") if word == engine else str(folder / fuzzer.name) if word == output else word
             for word in link_command(context, fuzzer)]  # fmt: skip
    linked = subprocess.run(words, cwd=context.work / "framefold", capture_output=True, text=True)
    if linked.returncode != 0:
        raise Broken(f"does not link with another engine: {tail(linked.stderr)}")
    return folder / fuzzer.name


@rule("another-engine", "another $LIB_FUZZING_ENGINE is all that another engine needs, and the target returns 0 for each seed",
      per_fuzzer=True)  # fmt: skip
def check_another_engine(context: Context, fuzzer: Path) -> None:
    if context.engine != "libfuzzer":
        raise NotChecked("the objects are instrumented for this engine")
    linked = link_with_stand_in(context, fuzzer)
    seeds = sorted(seeds_of(context, fuzzer).iterdir())
    result = run([linked, *seeds], context.folder())
    if result.status != 0 or result.output.count("returned 0,") != len(seeds):
        raise Broken(f"status {result.status}: {tail(result.output)}")


@rule("unicorn", "Unicorn is built from its pinned source, for x86 alone, without the sanitizer")
def check_unicorn(context: Context) -> None:
    archive = context.work / "unicorn/lib/libunicorn.a"
    if not (context.src / "unicorn").is_dir():
        raise NotChecked("Unicorn's source is not here: linked with the static library that the machine has")
    symbols = output_of("nm", archive)
    if "aarch64_cpu_register_types" in symbols or "__asan_init" in symbols:
        raise Broken(f"{archive}: holds other guests than x86, or a sanitizer")


# ---- the layout of $OUT ----------------------------------------------------------------------------------------------


@rule("fuzzers", "there is a fuzz binary for each entry that was asked for")
def check_fuzzers(context: Context) -> None:
    wanted = {f"{entry}_fuzzer" for entry in context.entries}
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
    sections = parse_options(path)
    if unknown := sections.keys() - OPTION_SECTIONS:
        raise Broken(f"unknown sections: {', '.join(sorted(unknown))}")
    if dropped := sections.get("env", {}).keys() - OPTION_VARIABLES:
        raise Broken(f"[env]: runners drop {', '.join(sorted(dropped))}")


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


@rule("network", "a fuzz binary calls nothing that reaches another machine", per_fuzzer=True)
def check_network(context: Context, fuzzer: Path) -> None:
    imported = {line.split()[-1].split("@")[0] for line in output_of("nm", "-D", "--undefined-only", fuzzer).splitlines()}
    if found := imported & NETWORK_FUNCTIONS:
        raise Broken(f"imports {', '.join(sorted(found))}")


@rule("build-paths", "no path of the build tree is in a fuzz binary, but names of source files, of sanitizers and debug information",
      per_fuzzer=True)  # fmt: skip
def check_paths(context: Context, fuzzer: Path) -> None:
    stripped = context.folder() / "stripped"
    subprocess.run(["objcopy", "--strip-debug", fuzzer, stripped], check=True)
    contents = stripped.read_bytes()
    stripped.unlink()
    for tree in build_trees(context):
        for match in re.finditer(re.escape(f"{tree}/".encode()) + rb"[^\0\s]*", contents):
            # (UBSan names the type of a lambda by its place.)
            if not re.search(rb"\.(cpp|cxx|hpp|h|c|S)(:\d+:\d+\)'?)?$", match[0]):
                raise Broken(match[0].decode(errors="replace"))


def build_trees(context: Context) -> set[Path]:
    return {context.src, context.work, context.src.resolve(), (context.src / "framefold").resolve()}


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


made_writable: set[Path] = set()  # rules run side by side: another's may be made while one looks around


@dataclasses.dataclass
class Alone:
    """A copy of a fuzz binary in a folder without anything else, and a command that uses it and writes into `writable`."""

    folder: Path
    writable: Path
    command: list


def make_alone(context: Context, fuzzer: Path) -> Alone:
    folder = context.folder()
    copy = folder / fuzzer.name
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
    shutil.copy(sorted(seeds_of(context, fuzzer).iterdir())[0], writable / "input")
    (writable / "input").chmod(0o644)
    return Alone(folder, writable, [copy, writable / "input"])


@rule("alone", "copied alone into a folder where it may not write, moved, with an empty environment, as another user: works, and "
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


@rule("files", "it opens nothing of the build tree, and nothing for writing but in its corpus and artifacts", per_fuzzer=True)
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
        if any(tree in path.parents for tree in build_trees(context)):
            raise Broken(f"uses {path}")
        if re.search(r"O_WRONLY|O_RDWR|O_CREAT|mkdir|unlink|rename", line) and alone.writable not in path.parents and path != Path("/dev/null"):
            raise Broken(f"writes {path}")


def owned_by_other_user(folder: Path) -> set[Path]:
    """Outside what was made for it to write into, around `folder` too."""
    found = set()
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", str(folder.parent)):
        listing = subprocess.run(["find", place, "-xdev", "-maxdepth", "4", "-user", str(OTHER_USER)], capture_output=True, text=True).stdout
        found.update(Path(line) for line in listing.splitlines())
    return {path for path in found if not made_writable & {path, *path.parents}}


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


@rule("again", "an input does the same a hundred times in one process, leaks nothing and ends nothing", per_fuzzer=True, engine="libfuzzer")
def check_again(context: Context, fuzzer: Path) -> None:
    seed = max(seeds_of(context, fuzzer).iterdir(), key=lambda path: (path.stat().st_size, path.name))
    result = run([fuzzer, "-runs=100", seed], context.folder())
    if result.status != 0:
        raise Broken(f"status {result.status}: {tail(result.output)}")


@rule("silent", "a run prints nothing", per_fuzzer=True, engine="libfuzzer")
def check_silent(context: Context, fuzzer: Path) -> None:
    seed = sorted(seeds_of(context, fuzzer).iterdir())[0]
    lines = [len(run([fuzzer, f"-runs={runs}", seed], context.folder()).output.splitlines()) for runs in (10, 200)]
    if lines[0] != lines[1]:
        raise Broken(f"{lines[0]} lines at 10 runs, {lines[1]} lines at 200")


@rule("fast-and-small", f"at least {MIN_RATE} executions a second, less than 1.5 GB", per_fuzzer=True, engine="libfuzzer", timed=True)
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


def check(context: Context) -> dict[str, list[tuple[str, str, str]]]:
    """By rule: (status, fuzzer, text) of each application."""
    found = fuzzers(context)
    work = [(one, fuzzer) for one in RULES if one.engine in (None, context.engine) for fuzzer in (found if one.per_fuzzer else [None])]
    work.sort(key=lambda item: item[0].timed)
    timed = [item for item in work if item[0].timed]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda item: apply(item[0], context, item[1]), work[: len(work) - len(timed)]))
    results += [apply(one, context, fuzzer) for one, fuzzer in timed]
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
    parser.add_argument("--entry", action="append", default=[], metavar="NAME", help="one whose fuzz binary was to be made")
    options = parser.parse_args()
    if options.rules:
        for one in RULES:
            print(f"{one.name:<16} {one.text}{f' ({one.engine})' if one.engine else ''}")
        return 0
    if None in (options.engine, options.sanitizer, options.out, options.work, options.src) or not options.entry:
        parser.error("--engine, --sanitizer, --out, --work, --src and --entry are needed")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="framefold-check-") as scratch:
        os.chmod(scratch, 0o755)
        # As test_all.py does: what has a path in it that was good at build time does not work here.
        moved = Path(scratch) / "moved"
        shutil.copytree(options.out, moved)
        context = Context(options.engine, options.sanitizer, moved, options.work, options.src, Path(scratch), dict(os.environ),
                          entries=tuple(options.entry))  # fmt: skip
        by_rule = check(context)
        context.out = options.out
        return 0 if print_report(context, by_rule) else 1


if __name__ == "__main__":
    sys.exit(main())
