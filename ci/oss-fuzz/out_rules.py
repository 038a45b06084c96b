"""The rules of OSS-Fuzz's contract for what lies in $OUT, and for what is in a fuzz binary."""

import os
import re
import stat
import subprocess
import zipfile
from pathlib import Path, PurePosixPath

from contract import Broken, Context, build_trees, fuzzers, number_of, options_of, output_of, parse_options, rule, run, seed_archive, text_of

# The C library's own.
LIBC = re.compile(r"^(lib(c|m|dl|rt|pthread|resolv|util)\.so\.\d+|ld-linux-x86-64\.so\.2)$")

MAX_INPUT = 2**20  # libFuzzer and AFL++ read no more of a file
MAX_WORD = 64  # libFuzzer drops longer entries of a dictionary, AFL++ those of more than 128
# By run-time: a symbol that is in each program with it.
RUN_TIMES = {"asan": "__asan_init", "msan": "__msan_init", "tsan": "__tsan_init", "hwasan": "__hwasan_init"}
MIN_ASAN_CALLS = 1000
MAX_MSAN_CALLS = 3
MIN_UBSAN_CALLS = 168
MAX_OTHER_UBSAN_CALLS = 200
OPTION_SECTIONS = {"libfuzzer", "asan", "msan", "ubsan", "hwasan", "afl", "env"}
# What ClusterFuzz lets through of an [env] section (bot/fuzzers/options.py).
OPTION_VARIABLES = {"AFL_DRIVER_DONT_DEFER", "GODEBUG"}
# The C library's functions that reach another machine.
NETWORK_FUNCTIONS = {"socket", "connect", "bind", "listen", "accept", "getaddrinfo", "gethostbyname"}


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


@rule("seed-corpus", "<fuzzer>_seed_corpus.zip is there and holds inputs, each of which stays in the folder and is no longer than max_len",
      per_fuzzer=True)  # fmt: skip
def check_seed_corpus(context: Context, fuzzer: Path) -> None:
    limit = longest_input(fuzzer)
    with seed_archive(fuzzer) as archive:
        name = Path(archive.filename).name
        if bad := archive.testzip():
            raise Broken(f"{name}: {bad} is damaged")
        if not any(info.file_size for info in archive.infolist() if not info.is_dir()):
            raise Broken(f"{name}: no inputs in it")
        seen = set()
        for info in archive.infolist():
            fault = "twice in it" if info.filename in seen else fault_of_member(info, limit)
            if fault:
                raise Broken(f"{name}: {info.filename!r}: {fault}")
            seen.add(info.filename)


def longest_input(fuzzer: Path) -> int:
    try:
        return number_of(options_of(fuzzer, "libfuzzer").get("max_len", "0")) or MAX_INPUT
    except Broken:  # the rule for options tells of it
        return MAX_INPUT


def fault_of_member(info: zipfile.ZipInfo, limit: int) -> str:
    """Of a seed corpus. It may have folders: runners unpack it."""
    path = PurePosixPath(info.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in info.filename:
        return "leads out of the folder that it is unpacked to"
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where no Unix made it
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        return "neither a file nor a folder"
    if info.file_size > limit:
        return f"{info.file_size:,} bytes, of which the fuzzer reads {limit:,}"
    return ""


@rule("dictionary", "<fuzzer>.dict is there and in the format of libFuzzer and AFL++, without an entry that they drop", per_fuzzer=True)
def check_dictionary(context: Context, fuzzer: Path) -> None:
    path = Path(f"{fuzzer}.dict")
    entries = 0
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if match := re.fullmatch(r'\w*="((?:\\x[0-9a-fA-F]{2}|\\[\\"]|[ !#-\[\]-~])+)"', line, re.ASCII):
            entries += 1
            length = len(re.sub(r"\\(x..|.)", ".", match[1]))
            if length > MAX_WORD:
                raise Broken(f"{path.name}:{number}: {length} bytes, expected at most {MAX_WORD}")
        elif line.strip() and not line.startswith("#"):
            raise Broken(f"{path.name}:{number}: expected name=\"value\"")
    if entries == 0:
        raise Broken(f"{path.name}: no entries")


@rule("options", "<fuzzer>.options is there, of sections that runners know, with values that they can use", per_fuzzer=True)
def check_options(context: Context, fuzzer: Path) -> None:
    path = Path(f"{fuzzer}.options")
    sections = parse_options(path)
    if not any(sections.values()):
        raise Broken(f"{path.name}: sets nothing")
    if unknown := sections.keys() - OPTION_SECTIONS:
        raise Broken(f"{path.name}: unknown sections: {', '.join(sorted(unknown))}")
    if dropped := sections.get("env", {}).keys() - OPTION_VARIABLES:
        raise Broken(f"{path.name}: [env]: runners drop {', '.join(sorted(dropped))}")
    for key, value in sections.get("libfuzzer", {}).items():
        if fault := fault_of_option(context, key, value):
            raise Broken(f"{path.name}: {key} = {value}: {fault}")


def fault_of_option(context: Context, key: str, value: str) -> str:
    """Of [libfuzzer], whose flags are numbers, but for those that name files. libFuzzer takes a word for 0 and says nothing."""
    if key == "dict":
        return "" if "/" not in value and (context.out / value).is_file() else "not beside the fuzz binary"
    number = number_of(value)
    if number is None:
        return "expected a whole number or random(a, b)"
    # 2: what the target itself prints of a finding is lost, among it the line with FuzzerHash that tells findings apart.
    if key == "close_fd_mask" and number > 1:
        return "closes standard error, where findings are told"
    return ""


@rule("symbolizer", "llvm-symbolizer lies beside the fuzz binaries, and runs")
def check_symbolizer(context: Context) -> None:
    path = context.out / "llvm-symbolizer"
    if not path.is_file() or not os.access(path, os.X_OK):
        raise Broken(f"{path.name}: no executable file")
    result = run([path, "--version"], context.folder())
    if result.status != 0 or "LLVM version" not in result.output:
        raise Broken(f"{path.name} --version: status {result.status}, and no version of LLVM")


@rule("links", "no symbolic link leads out of $OUT, or nowhere")
def check_links(context: Context) -> None:
    for path in sorted(context.out.rglob("*")):
        if path.is_symlink() and (not path.exists() or context.out.resolve() not in path.resolve().parents):
            raise Broken(f"{path.relative_to(context.out)}: leads to {os.readlink(path)}")


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
    output_of("objcopy", "--strip-debug", fuzzer, stripped)
    contents = stripped.read_bytes()
    stripped.unlink()
    for tree in build_trees(context):
        for match in re.finditer(re.escape(f"{tree}/".encode()) + rb"[^\0\s]*", contents):
            # (UBSan names the type of a lambda by its place.)
            if not re.search(rb"\.(cpp|cxx|hpp|h|c|S)(:\d+:\d+\)'?)?$", match[0]):
                raise Broken(match[0].decode(errors="replace"))


@rule("architecture", "a fuzz binary is for $ARCHITECTURE", per_fuzzer=True)
def check_architecture(context: Context, fuzzer: Path) -> None:
    # Not `file`, as bad_build_check has it: what it says names the loader, which is "...-x86-64.so.2" of each 64-bit binary.
    machine = re.search(r"Machine:\s+(.*)", output_of("readelf", "-h", fuzzer))
    if not machine or "X86-64" not in machine[1]:
        raise Broken(machine[1] if machine else "no ELF file")


@rule("sanitizer", "a fuzz binary has the run-time of $SANITIZER and of no other, and the calls that bad_build_check counts", per_fuzzer=True)
def check_sanitizer(context: Context, fuzzer: Path) -> None:
    # Not what is only asked for where it is there (w): AFL++'s driver asks so for AddressSanitizer.
    symbols = {words[-1] for line in output_of("nm", fuzzer).splitlines() if (words := line.split())[-2] not in ("w", "v")}
    run_times = sorted(name for name, symbol in RUN_TIMES.items() if symbol in symbols)
    if context.sanitizer == "undefined" and not any(symbol.startswith("__ubsan_handle_") for symbol in symbols):
        raise Broken("without the run-time of ubsan")
    if run_times != (["asan"] if context.sanitizer == "address" else []):  # asan's has that of ubsan in it
        raise Broken(f"built for {context.sanitizer}, with the run-time of {', '.join(run_times) or 'no sanitizer'}")
    calls = sanitizer_calls(fuzzer)
    good = calls["dfsan"] == 0 and calls["msan"] <= MAX_MSAN_CALLS
    if context.sanitizer == "address":
        good = good and calls["asan"] >= MIN_ASAN_CALLS and calls["ubsan"] <= MAX_OTHER_UBSAN_CALLS
    else:
        good = good and calls["ubsan"] >= MIN_UBSAN_CALLS
    if not good:
        raise Broken("calls: " + ", ".join(f"{name} {count}" for name, count in calls.items()))


def sanitizer_calls(fuzzer: Path) -> dict[str, int]:
    calls = dict.fromkeys(("asan", "msan", "dfsan", "ubsan"), 0)
    with subprocess.Popen(["objdump", "-d", fuzzer], stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout:
            if match := re.search(r"callq?\s+[0-9a-f]+\s+<__(asan|msan|dfsan|ubsan)", line):
                calls[match[1]] += 1
    return calls
