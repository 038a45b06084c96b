"""Breaks the rules for the project's files and the build."""

import json
import shutil
import subprocess
from pathlib import Path

import rules_testing
from contract import ROOT


class BuildRules(rules_testing.Rules):
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
        self.context.project.write_text("language: rust\nmain_repo: x\n")
        self.assert_broken("project-yaml", "language: c++")
        self.context.project.write_text("language: c++\nmain_repo: x\nsanitizers:\n  - address  # the first\n# and\n  - undefined\n")
        self.assert_good("project-yaml")
        self.context.project.write_text("language: c++\nmain_repo: x\nsanitizers:\n  - address\n  - memory  undefined\n")
        self.assert_broken("project-yaml", "project.yaml:5: expected key: value")
        self.context.project.write_bytes(b"language: c++\nmain_repo: \xff\n")
        self.assert_broken_in_a_line("project-yaml", "project.yaml: not UTF-8")
        for key, value in (("sanitizers", "adress"), ("fuzzing_engines", "libFuzzer"), ("architectures", "amd64")):
            self.context.project.write_text(f"language: c++\nmain_repo: x\n{key}:\n  - {value}\n")
            self.assert_broken("project-yaml", f"{key}: unknown: {value}")

    def test_main_repo(self) -> None:
        self.context.project = self.folder / "project.yaml"
        for value, expected in (
            ("https://framefold.example/framefold.git", "note"),
            ("https://host.org/framefold.git", "ok"),
            ("https://host.example.org/framefold.git", "ok"),
            ("", "BROKEN"),
            ("framefold", "BROKEN"),
            ("git@host.org:framefold.git", "BROKEN"),  # the builders have no key
        ):
            self.context.project.write_text(f"language: c++\nmain_repo: {value}\n")
            self.assertEqual(expected, self.apply("main-repo")[0], value)
        self.assert_broken("main-repo", "expected an address")
        self.context.project.write_text("language: c++\nmain_repo: https://host.org/framefold.git\n")
        self.assert_good("main-repo")

    def test_main_repo_is_left_to_a_person(self) -> None:
        """Of the tree's own project.yaml: said in one line, and no failure."""
        status, text = self.apply("main-repo")
        self.assertEqual("note", status)
        self.assertRegex(text, r"\A[^\n]*set main_repo[^\n]*README.md[^\n]*\Z")

    def copy_project(self) -> Path:
        project = self.folder / "project"
        project.mkdir()
        for name in ("Dockerfile", "build.sh", "project.yaml"):
            shutil.copy(ROOT / "ci/oss-fuzz" / name, project / name)
        self.context.project = project / "project.yaml"
        return project

    def change(self, path: Path, old: str, new: str) -> str:
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))
        return text

    def test_dockerfile(self) -> None:
        self.assert_good("dockerfile")
        project = self.copy_project()
        self.assert_good("dockerfile")
        for old, new, expected in (
            ("FROM gcr.io/oss-fuzz-base/base-builder", "FROM docker.io/debian", "expected FROM gcr.io/oss-fuzz-base/base-builder:ubuntu-24-04"),
            (":ubuntu-24-04", "", "expected FROM"),
            ("COPY build.sh project.yaml $SRC/", "COPY project.yaml $SRC/", "not copied"),
            ("COPY build.sh", "# COPY build.sh", "not copied"),
        ):
            whole = self.change(project / "Dockerfile", old, new)
            self.assert_broken_in_a_line("dockerfile", expected)
            (project / "Dockerfile").write_text(whole)
        self.change(project / "project.yaml", "base_os_version: ubuntu-24-04", "base_os_version: ubuntu-22-04")
        self.assert_broken_in_a_line("dockerfile", "expected FROM gcr.io/oss-fuzz-base/base-builder:ubuntu-22-04")
        (project / "Dockerfile").unlink()
        self.assert_broken_in_a_line("dockerfile", "Dockerfile: No such file")

    def test_licence(self) -> None:
        project = self.copy_project()
        status, text = self.apply("licence")  # of the tree's own
        self.assertEqual("note", status)
        self.assertRegex(text, r"\A[^\n]*README.md[^\n]*\Z")
        for name in ("build.sh", "Dockerfile", "project.yaml"):
            whole = self.change(project / name, "# SPDX-License-Identifier: MIT\n", "")
            self.assert_broken_in_a_line("licence", f"in {name}")
            (project / name).write_text(whole)
        for name in ("build.sh", "Dockerfile", "project.yaml"):
            self.assertEqual("note", self.apply("licence")[0])
            self.change(project / name, "# SPDX", "#      http://www.apache.org/licenses/LICENSE-2.0\n# SPDX")
        self.assert_good("licence")

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
            ("clang -O1 -fsanitize=address -c a.c", None),
            ("clang -O1 -c a.c", "a.c: compiled without -fsanitize=address"),
            ("gcc -O1 -fsanitize=address -c a.c", "not by clang"),
            ("gcc -c a.S", None),
            ("gcc -march=native -c a.S", "a.S: -march=native"),
        ):
            good = {"file": "b.cpp", "command": "clang++ -O1 -fsanitize=address -c b.cpp"}
            commands.write_text(json.dumps([good, {"file": command.split()[-1], "command": command}]))
            if expected:
                self.assert_broken("flags", expected)
            else:
                self.assert_good("flags")
        commands.write_text(json.dumps([{"file": "a.S", "command": "gcc -c a.S"}]))
        self.assert_broken("flags", "no C++ is compiled")
        commands.unlink()
        self.assert_broken_in_a_line("flags", "FileNotFoundError: ")

    def test_link(self) -> None:
        fuzzer = self.fake()
        build = self.context.work / "framefold/build.ninja"

        def link(command: str) -> None:
            build.write_text(f"rule link\n  command = {command}\nbuild entry/small_fuzzer: link\n")

        link("clang++ -O1 -fsanitize=address a.o -o entry/small_fuzzer -fsanitize=fuzzer")
        self.assert_good("link", fuzzer)
        link("clang++ -O1 -fsanitize=address a.o -o entry/small_fuzzer")
        self.assert_broken("link", "without -fsanitize=fuzzer", fuzzer)
        link("clang++ -O1 a.o -o entry/small_fuzzer -fsanitize=fuzzer")
        self.assert_broken("link", "without -fsanitize=address", fuzzer)
        link("g++ -O1 -fsanitize=address a.o -o entry/small_fuzzer -fsanitize=fuzzer")
        self.assert_broken("link", "by g++, not by clang++", fuzzer)
        link("touch entry/small_fuzzer")
        self.assert_broken("link", "does not link it", fuzzer)
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
        for name, flags, expected in (
            ("uc_init_x86_64", "", None),
            ("uc_init_engine", "", None),
            ("uc_init_aarch64", "", "other guests than x86: aarch64"),
            ("uc_init_sparc64", "", "other guests than x86: sparc64"),
            ("uc_init_x86_64", "-fsanitize=address", "built with asan"),
            ("uc_init_x86_64", "-fsanitize=undefined", "built with ubsan"),
            ("uc_init_x86_64", "-fsanitize=memory", "built with msan"),
        ):
            source.write_text(f"int {name}(int *at, int n);\nint {name}(int *at, int n) {{ return at[n] * n; }}\n")
            subprocess.run(["clang", *flags.split(), "-c", source, "-o", self.folder / "a.o"], check=True)
            (library / "libunicorn.a").unlink(missing_ok=True)
            subprocess.run(["ar", "qc", library / "libunicorn.a", self.folder / "a.o"], check=True)
            if expected:
                self.assert_broken("unicorn", expected)
            else:
                self.assert_good("unicorn")
