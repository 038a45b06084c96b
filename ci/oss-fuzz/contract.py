"""What the rules of OSS-Fuzz's contract share: what a rule is, and how one looks at a fuzz binary and what lies beside it."""

import configparser
import contextlib
import dataclasses
import os
import re
import resource
import subprocess
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

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
RUNNER = {"ASAN_OPTIONS": ASAN_OPTIONS, "UBSAN_OPTIONS": UBSAN_OPTIONS, "PATH": "/usr/bin:/bin"}


class NotChecked(Exception):
    """The rule cannot be checked here; the text says why."""


class Broken(Exception):
    """The rule is broken; the text says how."""


class Note(Exception):
    """The rule holds, and something is left to a person to do; the text says what."""


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
    except Note as what:
        return "note", str(what)
    except Broken as how:
        return "BROKEN", str(how)
    except Exception as error:  # a build may be wrong in ways that nobody has thought of
        return "BROKEN", one_line(f"{type(error).__name__}: {error}")
    return "ok", ""


# ---- what the rules share --------------------------------------------------------------------------------------------


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def fuzzers(context: Context) -> list[Path]:
    """As test_all.py finds them."""
    found = []
    for path in sorted(context.out.iterdir()):
        if path.is_file() and not path.name.startswith(("afl-", "llvm-")) and os.access(path, os.R_OK | os.X_OK) and is_elf(path):
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
    user = {"user": OTHER_USER, "group": OTHER_USER, "extra_groups": []} if other_user else {}
    with tempfile.TemporaryFile() as log:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(c) for c in command], cwd=folder, env=RUNNER if environment is None else environment,
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


def one_line(text: str) -> str:
    return " ".join(text.split())


def tail(text: str) -> str:
    return "\n".join(text.splitlines()[-15:])


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Broken(f"{path.name}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise Broken(f"{path.name}: {error.strerror}") from error


@contextlib.contextmanager
def seed_archive(fuzzer: Path) -> Iterator[zipfile.ZipFile]:
    """Whatever is wrong with it says which it is."""
    path = Path(f"{fuzzer}_seed_corpus.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise Broken(f"{path.name}: {error.strerror}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # the last: encrypted, an unknown method
        raise Broken(f"{path.name}: {one_line(str(error))}") from error


def seeds_of(context: Context, fuzzer: Path) -> Path:
    folder = context.folder() / "seeds"
    with seed_archive(fuzzer) as archive:
        archive.extractall(folder)
    if not any(path.stat().st_size for path in files_in(folder)):
        raise Broken(f"{fuzzer.name}_seed_corpus.zip: no inputs in it")
    return folder


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def parse_options(path: Path) -> dict[str, dict[str, str]]:
    """As runners do (base-runner's parse_options.py), but for the case of names."""
    parser = configparser.ConfigParser(default_section="")
    parser.optionxform = str
    try:
        parser.read_string(text_of(path), path.name)
        return {name: dict(parser[name]) for name in parser.sections()}
    except configparser.Error as error:
        raise Broken(f"{path.name}: {one_line(str(error))}") from error


def number_of(value: str) -> int | None:
    """The largest that it may be: ClusterFuzz picks one of `random(a, b)`."""
    match = re.fullmatch(r"(?:random\(\s*\d+\s*,\s*)?(\d+)(\s*\))?", value)
    return int(match[1]) if match and value.startswith("random") == bool(match[2]) else None


def options_of(fuzzer: Path, section: str) -> dict[str, str]:
    return parse_options(Path(f"{fuzzer}.options")).get(section, {})


def arguments_of(fuzzer: Path) -> list[str]:
    """What run_fuzzer makes of the options and the dictionary."""
    options = {key: number_of(value) if number_of(value) is not None else value for key, value in options_of(fuzzer, "libfuzzer").items()}
    return [f"-{key}={value}" for key, value in options.items()] + [f"-dict={fuzzer}.dict", "-rss_limit_mb=2560", "-timeout=25"]


def environment_of(fuzzer: Path) -> dict[str, str]:
    """The runner's, with what the options add to it."""
    added = {name: [f"{key}={value}" for key, value in options_of(fuzzer, name.removesuffix("_OPTIONS").lower()).items()]
             for name in RUNNER}  # fmt: skip
    return RUNNER | {name: ":".join([RUNNER[name], *values]) for name, values in added.items() if values}


def build_trees(context: Context) -> set[Path]:
    return {context.src, context.work, context.src.resolve(), (context.src / "framefold").resolve()}
