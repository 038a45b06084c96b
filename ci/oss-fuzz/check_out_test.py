#!/usr/bin/env python3
"""Breaks each rule of check_out.py, and sees the check fail.

What is broken are small targets made here, some with clang, in folders made here; so nothing has to be built before. That
what is good passes, ci/oss-fuzz/check.sh shows on the real thing.
"""

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import check_out  # noqa: E402
import run_rules  # noqa: E402
import shared  # noqa: E402
from contract import ROOT, RULES, Context, apply  # noqa: E402

TARGET = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) { (void)argc; (void)argv; %(start)s return 0; }
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { (void)data; (void)size; %(run)s return %(result)s; }
"""


class Rules(unittest.TestCase):
    """A rule of check_out.py a test, by its name."""

    broken_rules: set[str] = set()

    @classmethod
    def setUpClass(cls) -> None:
        cls.shared = tempfile.TemporaryDirectory(prefix="framefold-check-test-")
        os.chmod(cls.shared.name, 0o755)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.shared.cleanup()

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=self.shared.name))
        self.folder.chmod(0o755)
        for name in ("out", "work/framefold", "src", "scratch"):
            (self.folder / name).mkdir(parents=True, mode=0o755)
        environment = {"CXX": "clang++", "CXXFLAGS": "-O1 -fsanitize=address", "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer"}
        self.context = Context(
            "libfuzzer", "address", self.folder / "out", self.folder / "work", self.folder / "src", self.folder / "scratch",
            environment,
        )  # fmt: skip

    # -- what the tests share --

    def apply(self, name: str, fuzzer: Path | None = None) -> tuple[str, str]:
        one = next(one for one in RULES if one.name == name)
        return apply(one, self.context, fuzzer)

    def assert_good(self, name: str, fuzzer: Path | None = None) -> None:
        self.assertEqual(("ok", ""), self.apply(name, fuzzer))

    def assert_broken(self, name: str, expected: str, fuzzer: Path | None = None) -> None:
        status, text = self.apply(name, fuzzer)
        self.assertEqual("BROKEN", status, text)
        self.assertIn(expected, text)
        Rules.broken_rules.add(name)

    def build(self, *, start: str = "", run: str = "", result: str = "0", flags: tuple[str, ...] = ("-fsanitize=address,fuzzer",),
              compiler: str = "clang") -> Path:  # fmt: skip
        """A fuzz binary with all that lies beside one."""
        source = self.folder / "target.c"
        source.write_text(TARGET % {"start": start, "run": run, "result": result})
        fuzzer = self.context.out / "small_fuzzer"
        environment = dict(os.environ, AFL_QUIET="1")
        subprocess.run([compiler, "-O1", *flags, str(source), "-o", str(fuzzer)], check=True, env=environment)
        self.add_extras(fuzzer)
        return fuzzer

    def add_extras(self, fuzzer: Path) -> None:
        with zipfile.ZipFile(f"{fuzzer}_seed_corpus.zip", "w") as archive:
            archive.writestr("a", b"\x01\x02")
            archive.writestr("b", b"\x02\x02\x03")
        Path(f"{fuzzer}.dict").write_text('# a comment\n\nname="\\x01a\\\\"\n')
        Path(f"{fuzzer}.options").write_text("[libfuzzer]\nmax_len = 64\n")

    def fake(self, contents: bytes = b"\x7fELF LLVMFuzzerTestOneInput", name: str = "small_fuzzer") -> Path:
        fuzzer = self.context.out / name
        fuzzer.write_bytes(contents)
        fuzzer.chmod(0o755)
        self.add_extras(fuzzer)
        return fuzzer

    # -- the build --

    def test_build_script(self) -> None:
        self.assert_good("build-script")
        script = self.folder / "build.sh"
        self.context.build_script = script
        for line, expected in (
            ("export CXXFLAGS=-O3", "changes CXXFLAGS"),
            ('  CFLAGS+=" -O3"', "changes CFLAGS"),
            ("true && OUT=$(pwd)", "changes OUT"),
            ("unset SANITIZER", "changes SANITIZER"),
            ("export A=1 CC=gcc", "changes CC"),
            ("declare -x CXX=g++", "changes CXX"),
            (': "${ARCHITECTURE:=i386}"', "changes ARCHITECTURE"),
            ("read -r WORK SRC <places", "changes SRC, WORK"),
            ("for FUZZING_ENGINE in afl; do true; done", "changes FUZZING_ENGINE"),
            ("if true; then", "grammar"),
            ("$CXX a.o -fsanitize=fuzzer", "-fsanitize=fuzzer"),
            ("$CXX a.o -lFuzzingEngine", "-lFuzzingEngine"),
            ("$CXX -march=native a.cpp", "-march=native"),
        ):
            script.write_text(f"#!/bin/bash -eux\n# CC=gcc\n{line}\n")
            self.assert_broken("build-script", expected)
        for line in ("env -u CFLAGS CC=clang make", "CC=clang make", 'FOO=$OUT/x; [[ $SANITIZER == x ]]', "export FOO=$CC"):
            script.write_text(f"#!/bin/bash -eux\n{line}\n")
            self.assert_good("build-script")

    def test_project_yaml(self) -> None:
        self.assert_good("project-yaml")
        self.context.project = self.folder / "project.yaml"
        self.context.project.write_text("language: c++\nmain_repo: x\nfuzzing_engine:\n  - afl\n")
        self.assert_broken("project-yaml", "fuzzing_engine")
        self.context.project.write_text("language: c++\n")
        self.assert_broken("project-yaml", "main_repo")
        for key, value in (("sanitizers", "adress"), ("fuzzing_engines", "libFuzzer"), ("architectures", "amd64")):
            self.context.project.write_text(f"language: c++\nmain_repo: x\n{key}:\n  - {value}\n")
            self.assert_broken("project-yaml", f"{key}: unknown: {value}")

    def test_main_repo(self) -> None:
        self.context.project = self.folder / "project.yaml"
        for value, expected in (
            ("https://framefold.example/framefold.git", "not checked"),
            ("https://host.org/framefold.git", "ok"),
            ("", "BROKEN"),
            ("framefold", "BROKEN"),
            ("git@host.org:framefold.git", "BROKEN"),  # the builders have no key
        ):
            self.context.project.write_text(f"language: c++\nmain_repo: {value}\n")
            self.assertEqual(expected, self.apply("main-repo")[0], value)
        self.assert_broken("main-repo", "expected an address")

    def test_project_files(self) -> None:
        self.assert_good("project-files")
        project = self.folder / "project"
        project.mkdir()
        self.context.project = project / "project.yaml"
        for name in ("build.sh", "project.yaml"):
            (project / name).touch()
        self.assert_broken("project-files", "lacks Dockerfile")
        (project / "Dockerfile").touch()
        self.assert_good("project-files")
        (project / "a_seed_corpus.zip").touch()
        self.assert_broken("project-files", "a_seed_corpus.zip")

    def test_clusterfuzzlite(self) -> None:
        self.assert_good("clusterfuzzlite")
        tree = self.folder / "tree"
        files = (".clusterfuzzlite/Dockerfile", ".clusterfuzzlite/build.sh", ".clusterfuzzlite/project.yaml", ".github/workflows/clusterfuzzlite.yml")
        self.context.tree = tree
        for broken, old, new, expected in (
            (0, "FROM gcr.io", "FROM docker.io", "expected FROM"),
            (0, "COPY .clusterfuzzlite/build.sh", "# COPY .clusterfuzzlite/build.sh", "not copied"),
            (1, None, None, "lacks build.sh"),
            (2, "c++", "rust", "language"),
            (3, "mode: prune", "mode: batch", "no workflow runs prune"),
        ):
            for number, name in enumerate(files):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, tree / name)
                if number == broken and old is None:
                    (tree / name).unlink()
                elif number == broken:
                    text = (tree / name).read_text()
                    self.assertIn(old, text)
                    (tree / name).write_text(text.replace(old, new))
            self.assert_broken("clusterfuzzlite", expected)

    def test_flags(self) -> None:
        commands = self.context.work / "framefold/compile_commands.json"
        for command, expected in (
            ("clang++ -O1 -fsanitize=address -c a.cpp", None),
            ("ccache clang++ -O1 -fsanitize=address -c a.cpp", None),
            ("clang++ -O1 -c a.cpp", "-fsanitize=address"),
            ("g++ -O1 -fsanitize=address -c a.cpp", "not by clang++"),
            ("clang++ -O1 -fsanitize=address -march=native -c a.cpp", "-march=native"),
        ):
            commands.write_text(json.dumps([{"file": "a.cpp", "command": command}]))
            if expected:
                self.assert_broken("flags", expected)
            else:
                self.assert_good("flags")

    def test_link(self) -> None:
        fuzzer = self.fake()
        build = self.context.work / "framefold/build.ninja"

        def link(command: str) -> None:
            build.write_text(f"rule link\n  command = {command}\nbuild entry/small_fuzzer: link\n")

        link("clang++ -O1 -fsanitize=address a.o -o entry/small_fuzzer -fsanitize=fuzzer")
        self.assert_good("link", fuzzer)
        link("clang++ -O1 -fsanitize=address a.o -o entry/small_fuzzer")
        self.assert_broken("link", "without -fsanitize=fuzzer", fuzzer)
        link("clang++ -O1 -fsanitize=address a.o -o entry/small_fuzzer -fsanitize=fuzzer -lFuzzingEngine")
        self.assert_broken("link", "does not name", fuzzer)
        self.context.environment["LIB_FUZZING_ENGINE"] = "/usr/lib/libFuzzingEngine.a"
        link("clang++ -O1 -fsanitize=address a.o -o entry/small_fuzzer /usr/lib/libFuzzingEngine.a -fsanitize=fuzzer")
        self.assert_broken("link", "does not name", fuzzer)

    def test_another_engine(self) -> None:
        def link(result: str, flags: str = "") -> Path:
            fuzzer = self.build(result=result)
            source = self.folder / "target.c"
            subprocess.run(["clang", "-O1", "-fsanitize=address,fuzzer-no-link", "-c", source, "-o", self.folder / "target.o"], check=True)
            (self.context.work / "framefold/build.ninja").write_text(
                f"rule link\n  command = : && clang++ -fsanitize=address {self.folder}/target.o -o entry/small_fuzzer "
                f"-fsanitize=fuzzer {flags} && :\nbuild entry/small_fuzzer: link\n"
            )
            return fuzzer

        self.assert_good("another-engine", link("0"))
        self.assert_broken("another-engine", "returned -1", link("-1"))
        self.assert_broken("another-engine", "does not link", link("0", "-lFuzzingEngine"))
        self.context.engine = "afl"
        self.assertEqual("not checked", self.apply("another-engine", link("0"))[0])

    def test_unicorn(self) -> None:
        self.assertEqual("not checked", self.apply("unicorn")[0])
        (self.context.src / "unicorn").mkdir()
        library = self.context.work / "unicorn/lib"
        library.mkdir(parents=True)
        source = self.folder / "a.c"
        for symbol, broken in (("uc_open", False), ("aarch64_cpu_register_types", True), ("__asan_init", True)):
            source.write_text(f"int {symbol}(void) {{ return 0; }}\n")
            subprocess.run(["clang", "-c", source, "-o", self.folder / "a.o"], check=True)
            (library / "libunicorn.a").unlink(missing_ok=True)
            subprocess.run(["ar", "qc", library / "libunicorn.a", self.folder / "a.o"], check=True)
            if broken:
                self.assert_broken("unicorn", "other guests than x86, or a sanitizer")
            else:
                self.assert_good("unicorn")

    # -- the layout --

    def test_fuzzers(self) -> None:
        self.fake()
        self.context.entries = ("small",)
        self.assert_good("fuzzers")
        self.context.entries = ("small", "large")
        self.assert_broken("fuzzers", "large_fuzzer")

    def test_names(self) -> None:
        self.assert_good("names", self.fake())
        for name in ("small_fuzzer.exe", "small fuzzer"):
            self.assert_broken("names", name, self.fake(name=name))

    def test_seed_corpus(self) -> None:
        fuzzer = self.fake()
        self.assert_good("seed-corpus", fuzzer)
        archive = Path(f"{fuzzer}_seed_corpus.zip")
        with zipfile.ZipFile(archive, "w"):
            pass
        self.assert_broken("seed-corpus", "no inputs", fuzzer)
        archive.write_bytes(b"PK\x03\x04 no more")
        self.assert_broken("seed-corpus", "zip", fuzzer)
        archive.unlink()
        self.assert_broken("seed-corpus", "No such file", fuzzer)

    def test_dictionary(self) -> None:
        fuzzer = self.fake()
        self.assert_good("dictionary", fuzzer)
        dictionary = Path(f"{fuzzer}.dict")
        dictionary.write_text('a="\\x0g"\n')
        self.assert_broken("dictionary", ":1:", fuzzer)
        dictionary.write_text("# nothing\n")
        self.assert_broken("dictionary", "no entries", fuzzer)
        dictionary.unlink()
        self.assert_broken("dictionary", "none", fuzzer)

    def test_options(self) -> None:
        fuzzer = self.fake()
        self.assert_good("options", fuzzer)
        options = Path(f"{fuzzer}.options")
        options.write_text("[libFuzzer]\nmax_len = 1\n")
        self.assert_broken("options", "libFuzzer", fuzzer)
        options.write_text("[env]\nLD_PRELOAD = x\n")
        self.assert_broken("options", "LD_PRELOAD", fuzzer)
        options.write_text("max_len = 1\n")
        self.assert_broken("options", "expected [section]", fuzzer)
        options.unlink()
        self.assert_broken("options", "none", fuzzer)

    def test_symbolizer(self) -> None:
        self.assert_broken("symbolizer", "does not")
        symbolizer = self.context.out / "llvm-symbolizer"
        symbolizer.touch(stat.S_IRWXU)
        self.assert_good("symbolizer")

    def test_size(self) -> None:
        self.fake()
        self.assert_good("size")
        self.context.max_out_bytes = 10
        self.assert_broken("size", "bytes")

    # -- what is in a binary --

    def test_self_contained(self) -> None:
        self.assert_good("self-contained", self.build(flags=("-fsanitize=address,fuzzer", "-static-libstdc++", "-static-libgcc")))
        self.assert_broken("self-contained", "libstdc++", self.build())
        flags = ("-fsanitize=address,fuzzer", "-static-libstdc++", "-static-libgcc", "-Wl,-rpath,/usr/local/lib")
        self.assert_broken("self-contained", "path for libraries", self.build(flags=flags))

    def test_network(self) -> None:
        self.assert_good("network", self.build())
        self.assert_broken("network", "imports socket", self.build(run="int socket(int, int, int); socket(1, 1, 0);"))

    def test_build_paths(self) -> None:
        self.assert_good("build-paths", self.build(flags=("-fsanitize=address,fuzzer", "-g")))
        path = f'puts("{self.context.src}/data");'
        self.assert_broken("build-paths", f"{self.context.src}/data", self.build(start=path))
        # AddressSanitizer knows in which file a global is.
        source = self.context.src / "global.c"
        source.write_text(TARGET % {"start": "static int at[4]; at[*argc] = 1;", "run": "", "result": "0"})
        fuzzer = self.fake()
        subprocess.run(["clang", "-O0", "-fsanitize=address,fuzzer", str(source), "-o", str(fuzzer)], check=True)
        self.assertIn(f"{source}".encode(), fuzzer.read_bytes())
        self.assert_good("build-paths", fuzzer)

    def test_architecture(self) -> None:
        fuzzer = self.build()
        self.assert_good("architecture", fuzzer)
        contents = bytearray(fuzzer.read_bytes())
        contents[18:20] = b"\xb7\x00"  # e_machine: AArch64
        fuzzer.write_bytes(contents)
        self.assert_broken("architecture", "AArch64", fuzzer)

    def test_sanitizer(self) -> None:
        # Small targets have few calls but for those in the runtime.
        many = "static volatile int at[2000]; " + "".join(f"at[data[{i}] + {i}] = data[{i}];" for i in range(600))
        self.assert_good("sanitizer", self.build(run=many))
        self.assert_broken("sanitizer", "asan 0", self.build(flags=("-fsanitize=fuzzer",)))
        self.assert_broken("sanitizer", "ubsan", self.build(run=many, flags=("-fsanitize=address,undefined,fuzzer",)))
        self.assert_broken("sanitizer", "msan", self.build(flags=("-fsanitize=memory,fuzzer",)))
        self.context.sanitizer = "undefined"
        self.assert_broken("sanitizer", "asan 0", self.build(flags=("-fsanitize=fuzzer",)))

    # -- libFuzzer --

    def test_starts(self) -> None:
        self.assert_good("starts", self.build())
        self.assert_broken("starts", "", self.build(start="exit(1);"))
        self.assert_broken("starts", "", self.build(start='if (strcmp((*argv)[1], "--") == 0) abort();'))
        self.assert_broken("starts", "", self.build(start='if (getenv("OUT") == NULL) abort();'))
        self.assert_broken("starts", "", self.build(start="if (getchar() == EOF) abort();"))

    def test_instrumented(self) -> None:
        many = "static volatile int n; " + "".join(f"if (size > {i} && data[{i}] == {i}) n += {i};" for i in range(100))
        self.assert_good("instrumented", self.build(run=many))
        self.assert_broken("instrumented", "edges", self.build(run="if (size > 3) putenv(0);"))
        self.assert_broken("instrumented", "no", self.build(run=many, flags=("-fsanitize=address,fuzzer", "-fno-sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp,indirect-calls")))

    @unittest.skipIf(os.geteuid() != 0, "needs root, to become another user")
    def test_alone(self) -> None:
        flags = ("-fsanitize=address,fuzzer", "-static-libstdc++", "-static-libgcc")
        self.assert_good("alone", self.build(flags=flags))
        for start in (
            'char name[4096]; snprintf(name, sizeof name, "%s.dict", (*argv)[0]); if (access(name, R_OK) != 0) abort();',
            'if (getenv("HOME") == NULL) abort();',
            'FILE *file = fopen("log", "w"); if (file == NULL) abort();',
        ):
            self.assert_broken("alone", "status", self.build(start=start, flags=flags))
        self.assert_broken("alone", "wrote", self.build(start='fclose(fopen("/var/tmp/framefold-check-test", "w"));', flags=flags))
        Path("/var/tmp/framefold-check-test").unlink()

    @unittest.skipUnless(shutil.which("strace") and os.geteuid() == 0, "needs strace and root")
    def test_files(self) -> None:
        self.assert_good("files", self.build())
        (self.context.src / "data").touch()
        self.assert_broken("files", f"uses {self.context.src}/data", self.build(start=f'fopen("{self.context.src}/data", "r");'))
        (self.folder / "log").touch()
        self.assert_broken("files", f"writes {self.folder}/log", self.build(start=f'fopen("{self.folder}/log", "w");'))

    def test_seeds_run(self) -> None:
        keep = "static volatile int n; if (data[0] == 1) n = 1; else if (data[0] == 2) n = 2;"
        guard = "if (size == 0) return 0; "
        self.assert_good("seeds-run", self.build(run=guard + keep))
        self.assert_broken("seeds-run", "status", self.build(run="if (size == 2) abort();"))
        self.assert_broken("seeds-run", "1 of 2 seeds", self.build(run=""))

    def test_again(self) -> None:
        self.assert_good("again", self.build())
        self.assert_broken("again", "status", self.build(run="static int runs; if (++runs == 90) abort();"))
        self.assert_broken("again", "fuzz target exited", self.build(run="exit(0);"))
        self.assert_broken("again", "leaked", self.build(run="static char *volatile p; p = malloc(10); p = NULL;"))

    def test_silent(self) -> None:
        self.assert_good("silent", self.build(start='puts("hello");'))
        self.assert_broken("silent", "lines at 200", self.build(run='puts("hello");'))

    def test_fast_and_small(self) -> None:
        self.assert_good("fast-and-small", self.build())
        self.assert_broken("fast-and-small", "executions in", self.build(run="static int runs; if (runs++ == 100) sleep(11);"))
        # With a lower limit: a machine may take a minute to find more than that.
        large = "size_t n = (size_t)400 << 20; char *p = malloc(n); for (size_t i = 0; i < n; i += 4096) p[i] = 1; static char *volatile keep; keep = p;"
        with mock.patch.object(run_rules, "MAX_RSS_BYTES", 300 << 20):
            self.assert_broken("fast-and-small", "bytes", self.build(start=large, flags=("-fsanitize=fuzzer",)))
            self.assert_good("fast-and-small", self.build(flags=("-fsanitize=fuzzer",)))

    # -- AFL++ --

    @unittest.skipUnless(shutil.which("afl-clang-fast"), "no AFL++ here")
    def test_afl(self) -> None:
        self.context.engine = "afl"

        def build(**parts: str) -> Path:
            return self.build(compiler="afl-clang-fast", flags=("/usr/lib/afl/libAFLDriver.a", "-lstdc++"), **parts)

        branches = "static volatile int n; if (size > 1 && data[0] == 1) n = 1; else n = 2;"
        self.assert_good("afl", build(run=branches))
        self.assert_broken("afl", "", build(start="abort();"))
        self.assert_broken("afl", "", build(run="abort();"))
        flaky = branches + " static int runs; if (++runs % 2) n = 3; else if (runs % 3) n = 4;"
        self.assert_broken("afl", "stability", build(run=flaky))
        # One process a run: no persistent loop and no deferred start.
        source = self.folder / "plain.c"
        source.write_text('#include <unistd.h>\nchar LLVMFuzzerTestOneInput[2];\nint main(void) { return read(0, LLVMFuzzerTestOneInput, 2) > 1 ? 0 : 1; }\n')
        fuzzer = self.context.out / "small_fuzzer"
        subprocess.run(["afl-clang-fast", str(source), "-o", str(fuzzer)], check=True, env=dict(os.environ, AFL_QUIET="1"))
        self.assert_broken("afl", "Persistent mode", fuzzer)

    # -- of the check itself --

    def test_zz_every_rule_was_broken(self) -> None:
        skipped = set() if os.geteuid() == 0 else {"alone", "files"}
        if not shutil.which("strace"):
            skipped.add("files")
        if not shutil.which("afl-clang-fast"):
            skipped.add("afl")
        self.assertEqual({one.name for one in RULES} - skipped, Rules.broken_rules)

    def test_a_broken_rule_fails_the_check(self) -> None:
        command = [sys.executable, check_out.__file__, "--engine", "libfuzzer", "--sanitizer", "address", "--out", self.context.out,
                   "--work", self.context.work, "--src", self.context.src, "--entry", "small"]  # fmt: skip
        (self.context.work / "framefold/compile_commands.json").write_text("[]")
        environment = dict(os.environ, **self.context.environment)
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertIn("BROKEN       fuzzers", result.stdout)
        self.assertIn("not checked  unicorn", result.stdout)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    shared.run_tests(shared.test_parser(__doc__).parse_args())
