"""What the rules of OSS-Fuzz's contract share: what a rule is, and how one looks at a fuzz binary and what lies beside it."""

import dataclasses
import os
import re
import resource
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
TARGET_FUNCTION = b"LLVMFuzzerTestOneInput"
OTHER_USER = 10_000_000 + os.getpid()  # owns nothing on any machine, and is not that of another check beside this one
SECONDS = 60  # of one run: an input may take 25
MAX_OUT_BYTES = 10 * 2**30

# base-runner's Dockerfile. Colours and the path of the symbolizer left out.
ASAN_OPTIONS = (
    "alloc_dealloc_mismatch=0:allocator_may_return_null=1:allocator_release_to_os_interval_ms=500:"
    "check_malloc_usable_size=0:detect_container_overflow=1:detect_odr_violation=0:detect_leaks=1:"
    "detect_stack_use_after_return=1:fast_unwind_on_fatal=0:handle_abort=1:handle_segv=1:handle_sigill=1:"
    "max_uar_stack_size_log=16:print_scariness=1:quarantine_size_mb=10:strict_memcmp=1:symbolize=1:use_sigaltstack=1:"
    "dedup_token_length=3"
)
UBSAN_OPTIONS = "print_stacktrace=1:print_summary=1:silence_unsigned_overflow=1"


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


def build_trees(context: Context) -> set[Path]:
    return {context.src, context.work, context.src.resolve(), (context.src / "framefold").resolve()}
