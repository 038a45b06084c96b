"""The rules of OSS-Fuzz's contract for what lies in $OUT, and for what is in a fuzz binary."""

import os
import re
import subprocess
import zipfile
from pathlib import Path

from contract import Broken, Context, build_trees, fuzzers, output_of, parse_options, rule

# The C library's own.
LIBC = re.compile(r"^(lib(c|m|dl|rt|pthread|resolv|util)\.so\.\d+|ld-linux-x86-64\.so\.2)$")

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
