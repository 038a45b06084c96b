"""The rules of OSS-Fuzz's contract for the project's files, for build.sh and for how it compiles and links."""

import json
import re
import subprocess
from pathlib import Path

from contract import Broken, Context, Note, NotChecked, ROOT, files_in, output_of, rule, run, seeds_of, tail, text_of

CXX_SUFFIXES = {".cpp", ".cxx", ".cc"}
OSS_FUZZ_LICENCE = "http://www.apache.org/licenses/LICENSE-2.0"  # what infra/presubmit.py looks for
STAND_IN_ENGINE = ROOT / "ci/oss-fuzz/stand_in_engine.cpp"
PROTECTED = "CC CXX CCC CFLAGS CXXFLAGS LIB_FUZZING_ENGINE SANITIZER FUZZING_ENGINE ARCHITECTURE FUZZING_LANGUAGE SRC OUT WORK BUILD_UID".split()
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
    for number, line in enumerate(text_of(context.build_script).splitlines(), 1):
        code = "" if line.lstrip().startswith("#") else line
        if changed := changed_variables(code) & set(PROTECTED):
            raise Broken(f"{name}:{number}: changes {', '.join(sorted(changed))}")
        for forbidden in ("-fsanitize=fuzzer", "-lFuzzingEngine", "-march=native"):
            if forbidden in code:
                raise Broken(f"{name}:{number}: {forbidden}")


def yaml_values(path: Path) -> dict[str, list[str]]:
    """Of a file of scalars and of lists, one item a line: all that a project.yaml needs."""
    values: dict[str, list[str]] = {}
    for number, line in enumerate(text_of(path).splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if match := re.fullmatch(r"([A-Za-z_]+):\s*(.*)", line):
            values[match[1]] = [match[2]] if match[2] else []
        elif (match := re.fullmatch(r"\s+-\s*(\S+)", line)) and values:
            values[list(values)[-1]].append(match[1])
        elif line:
            raise Broken(f"{path.name}:{number}: expected key: value, or an item of a list")
    return values


@rule("project-yaml", "project.yaml has the keys that it must have, none that presubmit does not know, and values that the builders know")
def check_project(context: Context) -> None:
    values = yaml_values(context.project)
    if unknown := values.keys() - PROJECT_KEYS:
        raise Broken(f"unknown keys: {', '.join(sorted(unknown))}")
    if lacking := {"language", "main_repo"} - values.keys():
        raise Broken(f"lacks {', '.join(sorted(lacking))}")
    if values["language"] != ["c++"]:
        raise Broken("expected language: c++")
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
        raise Note("left to who publishes the repository: set main_repo, a name under .example is nowhere (ci/oss-fuzz/README.md)")


@rule("project-files", "the project's folder holds its three files and no seed corpus")
def check_project_files(context: Context) -> None:
    folder = context.project.parent
    if lacking := [name for name in ("Dockerfile", "build.sh", "project.yaml") if not (folder / name).is_file()]:
        raise Broken(f"lacks {', '.join(lacking)}")
    if archives := sorted(path.name for path in folder.rglob("*.zip")):
        raise Broken(f"holds {', '.join(archives)}")


@rule("dockerfile", "Dockerfile builds on OSS-Fuzz's base builder, of the system that project.yaml names, and puts build.sh into $SRC")
def check_dockerfile(context: Context) -> None:
    text = text_of(context.project.parent / "Dockerfile")
    system = "".join(f":{value}" for value in yaml_values(context.project).get("base_os_version", []))
    if not re.search(rf"^FROM gcr\.io/oss-fuzz-base/base-builder{re.escape(system)}$", text, re.MULTILINE):
        raise Broken(f"expected FROM gcr.io/oss-fuzz-base/base-builder{system}")
    if not re.search(r"^COPY (\S+ )*build\.sh (\S+ )*\$SRC/?$", text, re.MULTILINE):
        raise Broken("build.sh is not copied to $SRC")


@rule("licence", "build.sh, Dockerfile and project.yaml say what licence they are under")
def check_licence(context: Context) -> None:
    texts = {name: text_of(context.project.parent / name) for name in ("build.sh", "Dockerfile", "project.yaml")}
    unknown = [name for name, text in texts.items() if OSS_FUZZ_LICENCE not in text]
    if lacking := [name for name in unknown if not re.search(r"^# SPDX-License-Identifier: \S", texts[name], re.MULTILINE)]:
        raise Broken(f"no SPDX-License-Identifier in {', '.join(lacking)}")
    if unknown:
        raise Note("left to who submits them to OSS-Fuzz: its presubmit asks for its own header (ci/oss-fuzz/README.md)")


@rule("clusterfuzzlite", "ClusterFuzzLite finds its files, builds on its base, and its workflow has each mode")
def check_clusterfuzzlite(context: Context) -> None:
    folder = context.tree / ".clusterfuzzlite"
    if lacking := [name for name in ("Dockerfile", "build.sh", "project.yaml") if not (folder / name).is_file()]:
        raise Broken(f"lacks {', '.join(lacking)}")
    dockerfile = text_of(folder / "Dockerfile")
    if not re.search(r"^FROM gcr\.io/oss-fuzz-base/base-builder:v1$", dockerfile, re.MULTILINE):
        raise Broken("Dockerfile: expected FROM gcr.io/oss-fuzz-base/base-builder:v1")
    if not re.search(r"^COPY \S*build\.sh \$SRC/(build\.sh)?$", dockerfile, re.MULTILINE):
        raise Broken("Dockerfile: build.sh is not copied to $SRC")
    if yaml_values(folder / "project.yaml").get("language") != ["c++"]:
        raise Broken("project.yaml: expected language: c++")
    workflows = "\n".join(text_of(path) for path in (context.tree / ".github/workflows").glob("*.yml"))
    modes = set(re.findall(r"^\s+mode: (\S+)$", workflows, re.MULTILINE))
    if lacking := {"code-change", "batch", "prune", "coverage"} - modes:
        raise Broken(f"no workflow runs {', '.join(sorted(lacking))}")


@rule("flags", "all C++ is compiled with $CXX $CXXFLAGS, all C with $CC $CFLAGS, and nothing with -march=native")
def check_flags(context: Context) -> None:
    commands = json.loads((context.work / "framefold/compile_commands.json").read_text())
    if not any(Path(entry["file"]).suffix in CXX_SUFFIXES for entry in commands):
        raise Broken("no C++ is compiled")
    for entry in commands:
        words = entry["command"].split()
        if "-march=native" in words:
            raise Broken(f"{entry['file']}: -march=native")
        suffix = Path(entry["file"]).suffix
        if suffix == ".c" or suffix in CXX_SUFFIXES:
            check_command(context, "C" if suffix == ".c" else "CXX", words, f"{entry['file']}: compiled")


def check_command(context: Context, language: str, words: list[str], what: str) -> None:
    """`language` as the environment's variables name it: C or CXX."""
    compiler = Path(context.environment["CC" if language == "C" else "CXX"]).name
    if compiler not in [Path(word).name for word in words[:2]]:  # behind a launcher
        raise Broken(f"{what} by {words[0]}, not by {compiler}")
    if lacking := [flag for flag in context.environment[f"{language}FLAGS"].split() if flag not in words]:
        raise Broken(f"{what} without {' '.join(lacking)}")


@rule("link", "each fuzz binary is linked with $CXX $CXXFLAGS and $LIB_FUZZING_ENGINE, and no other engine", per_fuzzer=True)
def check_link(context: Context, fuzzer: Path) -> None:
    words = link_command(context, fuzzer)
    engine = context.environment["LIB_FUZZING_ENGINE"]
    check_command(context, "CXX", words, "linked")
    if engine not in words:
        raise Broken(f"linked without {engine}")
    if "-lFuzzingEngine" in words or (engine != "-fsanitize=fuzzer" and "-fsanitize=fuzzer" in words):
        raise Broken("linked with an engine that $LIB_FUZZING_ENGINE does not name")


def link_command(context: Context, fuzzer: Path) -> list[str]:
    output = f"entry/{fuzzer.name}"
    commands = output_of("ninja", "-C", context.work / "framefold", "-t", "commands", "-s", output).splitlines()
    command = next((c for c in reversed(commands) if f"-o {output}" in c), None)
    if command is None:
        raise Broken("the build does not link it")
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
    seeds = files_in(seeds_of(context, fuzzer))
    result = run([linked, *seeds], context.folder())
    if result.status != 0 or result.output.count("returned 0,") != len(seeds):
        raise Broken(f"status {result.status}: {tail(result.output)}")


@rule("unicorn", "Unicorn is built from its pinned source, for x86 alone, without the sanitizer")
def check_unicorn(context: Context) -> None:
    archive = context.work / "unicorn/lib/libunicorn.a"
    if not (context.src / "unicorn").is_dir():
        raise NotChecked("Unicorn's source is not here: linked with the static library that the machine has")
    symbols = {line.split()[-1] for line in output_of("nm", archive).splitlines() if line.split()}
    guests = {symbol.removeprefix("uc_init_") for symbol in symbols if symbol.startswith("uc_init_")} - {"engine", "x86_64"}
    if guests:
        raise Broken(f"{archive.name}: holds other guests than x86: {', '.join(sorted(guests))}")
    if sanitizers := {match[1] for symbol in symbols if (match := re.match(r"__([a-z]+san)_", symbol))}:
        raise Broken(f"{archive.name}: built with {', '.join(sorted(sanitizers))}")
