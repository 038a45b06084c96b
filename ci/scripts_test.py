#!/usr/bin/env python3
"""What each script of ci/ owes to who runs it: help, one clear line about wrong use, and whole corpora when interrupted.

usage: ci/scripts_test.py --framefold FILE [--help] [unittest's options]
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENTRY = "minios-x86_64-table"
SCRIPTS = sorted(path for path in ROOT.glob("ci/**/*") if path.suffix in (".sh", ".py") and os.access(path, os.X_OK))
SHELL_SCRIPTS = [path for path in SCRIPTS if path.suffix == ".sh"]
# Uses that are wrong beside an unknown option: the script, and its arguments.
WRONG_USES = [
    ("compare-unicorn.sh", "--count"), ("compare-unicorn.sh", "--count", "many"),
    ("corpus.sh",), ("corpus.sh", "merge", "prune"), ("corpus.sh", "prune", "--entry"), ("corpus.sh", "prune", "--entry", "no-such"),
    ("corpus.sh", "merge", "--from", "/no/such"), ("corpus.sh", "prune", "--command", "/no/such"),
    ("coverage.sh", "--entry"), ("coverage.sh", "--entry", "no-such"), ("coverage.sh", "--corpora", "/no/such"),
    ("find.sh", "--seconds"), ("find.sh", "--seeds", "0"), ("find.sh", "--binaries", "/no/such"),
    ("fuzz.sh", "--seconds"), ("fuzz.sh", "--seconds", "0"), ("fuzz.sh", "--entry", "no-such"), ("fuzz.sh", "--entry", "no/such.toml"),
    ("fuzz.sh", "--jobs=few"), ("minimize.sh", "--inputs"), ("minimize.sh", "--inputs", "0"), ("minimize.sh", "--test", "/no/such"),
    ("oss-fuzz/check.sh", "--engine"), ("oss-fuzz/check.sh", "--engine", "no-such"), ("oss-fuzz/check.sh", "--sanitizer", "thread"),
    ("oss-fuzz/check.sh", "--entry", "no-such"), ("oss-fuzz/check.sh", "--command", "/no/such"),
    ("report-browser-test.sh", "--framefold"), ("reproducers.sh", "--framefold"), ("test.sh", "more"),
]  # fmt: skip
FRAMEFOLD = Path()  # the command line's


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([script, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, cwd="/")


def wait_for_group(group: int) -> None:
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


class Scripts(unittest.TestCase):
    def test_are_found(self) -> None:
        self.assertGreater(len(SHELL_SCRIPTS), 10)
        self.assertGreater(len(SCRIPTS), len(SHELL_SCRIPTS))

    def test_have_help(self) -> None:
        for script in SCRIPTS:
            with self.subTest(script=script.name):
                result = run(script, "--help")
                self.assertEqual(0, result.returncode, result.stderr)
                self.assertIn("usage:" if script.name != "build.sh" else "contract", result.stdout)

    def test_refuse_unknown_options(self) -> None:
        for script in SCRIPTS:
            with self.subTest(script=script.name):
                result = run(script, "--no-such-option")
                self.assertEqual(2, result.returncode, result.stderr)
                self.assertEqual("", result.stdout)
                self.assertNotEqual("", result.stderr.splitlines()[-1].strip())

    def test_say_in_one_line_what_is_wrong(self) -> None:
        uses = [(str(script.relative_to(ROOT / "ci")), "--no-such-option") for script in SHELL_SCRIPTS if script.name != "build.sh"]
        for name, *arguments in uses + WRONG_USES:
            with self.subTest(script=name, arguments=arguments):
                result = run(ROOT / "ci" / name, *arguments)
                self.assertEqual(2, result.returncode, result.stderr)
                self.assertEqual("", result.stdout)
                self.assertRegex(result.stderr, rf"\A{Path(name).stem}: [^\n]+\n\Z")

    def test_stop_at_the_first_error(self) -> None:
        for script in SHELL_SCRIPTS:
            with self.subTest(script=script.name):
                lines = script.read_text().splitlines()
                self.assertTrue(lines[0] == "#!/bin/bash -eux" or "set -euo pipefail" in lines)


class Corpus(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="framefold-scripts-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.corpus = self.folder / "corpora" / ENTRY
        fresh = self.folder / "fresh" / ENTRY
        shutil.copytree(ROOT / "corpus" / ENTRY, fresh)
        self.corpus.mkdir(parents=True)
        for path in sorted(fresh.iterdir())[::3]:
            shutil.copy(path, self.corpus)

    def arguments(self, action: str) -> list[str]:
        arguments = [str(ROOT / "ci/corpus.sh"), action, "--entry", ENTRY, "--command", str(FRAMEFOLD), "--corpora", str(self.corpus.parent)]
        return arguments + (["--from", str(self.folder / "fresh")] if action == "merge" else [])

    def contents(self) -> dict[str, bytes]:
        self.assertEqual([self.corpus], list(self.corpus.parent.iterdir()))
        return {path.name: path.read_bytes() for path in self.corpus.iterdir()}

    def test_is_whole_when_interrupted(self) -> None:
        old = self.contents()
        subprocess.run(self.arguments("merge"), check=True, capture_output=True)
        new = self.contents()
        self.assertGreater(len(new), len(old))
        for step in range(16):
            shutil.rmtree(self.corpus)
            self.corpus.mkdir()
            for name, data in old.items():
                (self.corpus / name).write_bytes(data)
            process = subprocess.Popen(self.arguments("merge"), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.03 * step)
            os.killpg(process.pid, signal.SIGINT if step % 2 else signal.SIGTERM)
            process.wait()
            wait_for_group(process.pid)  # the command may end behind the shell
            self.assertIn(self.contents(), (old, new))

    def test_is_left_alone_where_the_command_fails(self) -> None:
        old = self.contents()
        result = subprocess.run([*self.arguments("prune"), "--command", "/bin/false"], capture_output=True, text=True)
        self.assertEqual(1, result.returncode)
        (self.corpus / "newer").write_bytes(b"\xff")  # of a format that nobody knows yet
        result = subprocess.run(self.arguments("prune"), capture_output=True, text=True)
        self.assertEqual(2, result.returncode)
        self.assertRegex(result.stderr, r"\A[^\n]*format version 255[^\n]*\n\Z")
        (self.corpus / "newer").unlink()
        self.assertEqual(old, self.contents())


def main() -> None:
    global FRAMEFOLD
    parser = argparse.ArgumentParser(prog="ci/scripts_test.py", description=__doc__.split("\n")[0])
    parser.add_argument("--framefold", type=Path, required=True, metavar="FILE", help="the command")
    options, rest = parser.parse_known_args()
    unknown = [argument for argument in rest if argument.startswith("--")]
    if unknown:
        parser.error(f"unknown argument {unknown[0]}")
    FRAMEFOLD = options.framefold.resolve()
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
