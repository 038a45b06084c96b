"""What the tests of the rules share: a small fuzz binary to break, and the rules that were broken."""

import os
import re
import subprocess
import tempfile
import unittest
import zipfile
from pathlib import Path

from contract import RULES, Context, apply

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
    good_rules: set[str] = set()

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
        flags = "-O1 -fsanitize=address"
        environment = {"CC": "clang", "CFLAGS": flags, "CXX": "clang++", "CXXFLAGS": flags, "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer"}
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
        Rules.good_rules.add(name)

    def assert_broken(self, name: str, expected: str, fuzzer: Path | None = None) -> None:
        status, text = self.apply(name, fuzzer)
        self.assertEqual("BROKEN", status, text)
        self.assertTrue(expected)
        self.assertIn(expected, text)
        surprise = r"\w+(Error|Exception): "  # no judgement of the rule's: something that it did not expect
        self.assertEqual(bool(re.match(surprise, expected)), bool(re.match(surprise, text)), text)
        Rules.broken_rules.add(name)

    def assert_broken_in_a_line(self, name: str, expected: str, fuzzer: Path | None = None) -> None:
        self.assert_broken(name, expected, fuzzer)
        self.assertEqual(1, len(self.apply(name, fuzzer)[1].splitlines()))

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
