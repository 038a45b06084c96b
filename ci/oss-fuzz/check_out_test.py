#!/usr/bin/env python3
"""Breaks each rule of check_out.py, and sees the check fail.

What is broken are small targets made here, some with clang, in folders made here; so nothing has to be built before. That
what is good passes, ci/oss-fuzz/check.sh shows on the real thing.
"""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import check_out  # noqa: E402
import rules_testing  # noqa: E402
import shared  # noqa: E402
from build_rules_test import BuildRules  # noqa: E402, F401
from contract import RULES  # noqa: E402
from out_rules_test import OutRules  # noqa: E402, F401
from run_rules_test import RunRules  # noqa: E402, F401


class WholeCheck(rules_testing.Rules):  # the last by name
    def test_every_rule_was_broken_and_held(self) -> None:
        skipped = set() if os.geteuid() == 0 else {"alone", "files"}
        if not shutil.which("strace"):
            skipped.add("files")
        if not shutil.which("afl-clang-fast"):
            skipped.add("afl")
        rules = {one.name for one in RULES}
        self.assertEqual(rules - skipped, self.broken_rules)
        self.assertEqual(rules - skipped, self.good_rules)

    def check(self, **environment: str) -> subprocess.CompletedProcess:
        command = [sys.executable, check_out.__file__, "--engine", "libfuzzer", "--sanitizer", "address", "--out", self.context.out,
                   "--work", self.context.work, "--src", self.context.src, "--entry", "small"]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.context.environment, **environment})

    def test_a_broken_rule_fails_the_check(self) -> None:
        (self.context.work / "framefold/compile_commands.json").write_text("[]")
        result = self.check()
        self.assertEqual(1, result.returncode, result.stderr)
        self.assertIn("BROKEN       fuzzers", result.stdout)
        self.assertIn("not checked  unicorn", result.stdout)
        self.assertIn("note         main-repo", result.stdout)

    def test_a_surprise_is_a_broken_rule(self) -> None:
        """Where nothing is as it should be."""
        fuzzer = self.fake()
        for name in ("_seed_corpus.zip", ".dict", ".options"):
            Path(f"{fuzzer}{name}").write_bytes(b"\xff\xfe")
        (self.context.out / "llvm-symbolizer").symlink_to("nowhere")
        (self.context.work / "framefold/compile_commands.json").write_bytes(b"{\xff")
        result = self.check()
        self.assertEqual((1, ""), (result.returncode, result.stderr))
        lines = result.stdout.splitlines()
        for rule, expected in (
            ("flags", "UnicodeDecodeError: "), ("link", "CalledProcessError: "), ("starts", "Exec format error"),
            ("seed-corpus", "small_fuzzer_seed_corpus.zip: File is not a zip file"), ("dictionary", "small_fuzzer.dict: not UTF-8"),
            ("options", "small_fuzzer.options: not UTF-8"), ("links", "llvm-symbolizer: leads to nowhere"),
        ):  # fmt: skip
            place = next(number for number, line in enumerate(lines) if line.split()[:2] == ["BROKEN", rule])
            self.assertIn(expected, lines[place + 1])
            self.assertRegex(lines[place + 2], r"^  \S")  # one line

    def test_the_environment_of_the_build_is_asked_for(self) -> None:
        del self.context.environment["CXXFLAGS"]
        with mock.patch.dict(os.environ):
            os.environ.pop("CXXFLAGS", None)
            result = self.check()
        self.assertEqual((2, ""), (result.returncode, result.stdout))
        self.assertRegex(result.stderr, r"\Acheck_out: no CXXFLAGS in the environment[^\n]*\n\Z")

    def test_interrupted_it_leaves_nothing(self) -> None:
        """By the fuzz binary, in the middle of a rule."""
        self.build(start="int kill(int, int); kill(getppid(), 15); kill(getppid(), 15);")
        temporary = self.folder / "temporary"
        temporary.mkdir(mode=0o755)
        result = self.check(TMPDIR=str(temporary))
        self.assertEqual((143, "", ""), (result.returncode, result.stdout, result.stderr))
        self.assertEqual([], list(temporary.iterdir()))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    shared.run_tests(shared.test_parser(__doc__).parse_args())
