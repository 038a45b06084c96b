#!/usr/bin/env python3
"""What each script of ci/ owes to who runs it: help, one clear line about wrong use, and whole files when interrupted."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import shared
from shared import ROOT

ENTRY = "minios-x86_64-table"
SCRIPTS = sorted(path for path in ROOT.glob("ci/**/*") if path.suffix in (".sh", ".py") and os.access(path, os.X_OK))
SHELL_SCRIPTS = [path for path in SCRIPTS if path.suffix == ".sh"]
# Uses that are wrong beside an unknown option: the script, and its arguments.
WRONG_USES = [
    ("compare-unicorn.sh", "--count"), ("compare-unicorn.sh", "--count", "many"),
    ("corpus.sh",), ("corpus.sh", "merge", "prune"), ("corpus.sh", "prune", "--entry"), ("corpus.sh", "prune", "--entry", "no-such"),
    ("corpus.sh", "merge", "--from", "/no/such"), ("corpus.sh", "prune", "--from", "/"), ("corpus.sh", "merge", "--corpora", "/no/such"),
    ("corpus.sh", "prune", "--corpora", "/"), ("corpus.sh", "prune", "--command", "/no/such"), ("corpus.sh", "prune", "--command", "/"),
    ("corpus.sh", "prune", "--command", "no-such"),
    ("coverage.sh", "--entry"), ("coverage.sh", "--entry", "no-such"), ("coverage.sh", "--corpora", "/no/such"),
    ("coverage.sh", "--corpora", "/"), ("coverage.sh", "--output", "/"), ("coverage.sh", "--output", "/dev/null/page"),
    ("coverage_page.py",), ("coverage_page.py", "--root", "/", "--guest", "/no/such", "--output", "page", "entry"),
    ("coverage_page.py", "--root", "/", "--guest", "/", "--output", "page", "no-such"),
    ("deps.sh", "--unicorn"), ("deps.sh", "--unicorn=no-such"),
    ("entry_table.py",), ("entry_table.py", "/no/such"), ("guide.py",), ("guide.py", "/"), ("guide.py", "--guide", "/no/such", "/bin/true"),
    ("find.sh", "--seconds"), ("find.sh", "--seeds", "0"), ("find.sh", "--binaries", "/no/such"), ("find.sh", "--known", "--only", "no-such"),
    ("fuzz.sh", "--seconds"), ("fuzz.sh", "--seconds", "0"), ("fuzz.sh", "--entry", "no-such"), ("fuzz.sh", "--entry", "no/such.toml"),
    ("fuzz.sh", "--jobs=few"), ("fuzz.sh", "--runs", "-1"),
    ("fuzz_summary.py",), ("fuzz_summary.py", "--runs", "/no/such", "--artifacts", "/no/such", "entry"),
    ("minimize.sh", "--inputs"), ("minimize.sh", "--inputs", "0"), ("minimize.sh", "--test", "/no/such"), ("minimize.sh", "--test", "/"),
    ("oss-fuzz/check.sh", "--engine"), ("oss-fuzz/check.sh", "--engine", "no-such"), ("oss-fuzz/check.sh", "--sanitizer", "thread"),
    ("oss-fuzz/check.sh", "--entry", "no-such"), ("oss-fuzz/check.sh", "--command", "/no/such"), ("oss-fuzz/check.sh", "--command", "/"),
    ("oss-fuzz/check_out.py", "--engine"), ("oss-fuzz/check_out.py", "--engine", "afl"), ("oss-fuzz/check_out.py", "--sanitizer", "thread"),
    ("oss-fuzz/check_out.py", "--out", "/no/such"), ("oss-fuzz/check_out_test.py", "-k"), ("oss-fuzz/engines_test.py", "-k"),
    ("oss-fuzz/dependencies.sh", "more"),
    ("oss-fuzz/speed.py", "--turns", "0"), ("oss-fuzz/speed.py", "--runs", "1000"), ("oss-fuzz/speed.py", "--only", "all"), ("oss-fuzz/speed.py", "--entry", "no-such"), ("oss-fuzz/speed.py", "--afl", "/no/such"),
    ("report-browser-test.sh", "--framefold"), ("report-browser-test.sh", "--framefold", "/no/such"),
    ("report-browser-test.sh", "--screenshots", "/dev/null"),
    ("reproducers.sh", "--framefold"), ("reproducers.sh", "--framefold", "/no/such"),
    ("scripts_test.py",), ("scripts_test.py", "--framefold", "/no/such"), ("test.sh", "more"),
    ("time-to-find.py", "--seeds", "0"), ("time-to-find.py", "--seconds", "soon"), ("time-to-find.py", "--fuzz", "/no/such"),
]  # fmt: skip
FRAMEFOLD = Path()  # the command line's


def run(script: Path, *arguments: str, folder: Path = Path("/"), **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([script, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, cwd=folder,
                          env={**os.environ, **environment}, start_new_session=True)  # fmt: skip


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

    def test_say_in_one_line_what_is_wrong(self) -> None:
        # (build.sh is run by `bash -eux`, which says more.)
        uses = [(str(script.relative_to(ROOT / "ci")), "--no-such-option") for script in SCRIPTS if script.name != "build.sh"]
        for name, *arguments in uses + WRONG_USES:
            with self.subTest(script=name, arguments=arguments):
                self.assert_wrong_use(run(ROOT / "ci" / name, *arguments), name)

    def assert_wrong_use(self, result: subprocess.CompletedProcess, name: str) -> None:
        self.assertEqual(2, result.returncode, result.stderr)
        self.assertEqual("", result.stdout)
        self.assertRegex(result.stderr, rf"\A{Path(name).stem}: [^\n]+\n\Z")

    def test_wrong_environments_are_wrong_use(self) -> None:
        self.assert_wrong_use(run(ROOT / "ci/deps.sh", FRAMEFOLD_UNICORN="no-such"), "deps")
        for source in ("", "/no/such"):
            self.assert_wrong_use(run(ROOT / "ci/oss-fuzz/dependencies.sh", SRC=source), "dependencies")
        with tempfile.TemporaryDirectory() as tools:
            for tool in ("bash", "cat", "dirname", "nproc", "sed", "tr"):
                Path(tools, tool).symlink_to(shutil.which(tool))
            result = run(ROOT / "ci/oss-fuzz/check.sh", PATH=tools)
        self.assert_wrong_use(result, "check")
        self.assertIn("no engine", result.stderr)

    def test_build_script_refuses_arguments(self) -> None:
        result = run(ROOT / "ci/oss-fuzz/build.sh", "--no-such-option")
        self.assertEqual(2, result.returncode, result.stderr)
        self.assertRegex(result.stderr.splitlines()[-1], "^build.sh: unknown argument")

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

    def test_command_is_a_file_not_a_name_on_the_path(self) -> None:
        (self.folder / "no-such-on-the-path").symlink_to(FRAMEFOLD)
        result = run(*self.arguments("stats"), "--command", "no-such-on-the-path", folder=self.folder)
        self.assertEqual(0, result.returncode, result.stderr)

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


class Interrupted(unittest.TestCase):
    """Scripts in a tree of their own, with stand-ins for what they run, which interrupt them at a known moment."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="framefold-scripts-")
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name).resolve()
        shutil.copytree(ROOT / "ci", self.tree / "ci")
        for name in ("entry", "corpus"):
            shutil.copytree(ROOT / name / ENTRY, self.tree / name / ENTRY)
        self.stand_in("ci/deps.sh", "")
        self.stand_in("tools/cmake", "")
        self.stand_in("tools/objdump", "")

    def stand_in(self, name: str, script: str) -> None:
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run_script(self, name: str, *arguments: str) -> subprocess.CompletedProcess:
        return run(self.tree / "ci" / name, *arguments, PATH=f"{self.tree}/tools:{os.environ['PATH']}", TMPDIR=str(self.tree))

    def assert_ended_by(self, signal_name: str, result: subprocess.CompletedProcess) -> None:
        number = getattr(signal, f"SIG{signal_name}")
        self.assertIn(result.returncode, (-number, 128 + number), result.stderr)

    def test_check_leaves_no_build_that_is_not_whole(self) -> None:
        out = self.tree / "build/oss-fuzz/libfuzzer-address/out"
        arguments = ("oss-fuzz/check.sh", "--engine", "libfuzzer", "--sanitizer", "address", "--build-only")
        for signal_name in ("INT", "TERM"):
            self.stand_in("ci/oss-fuzz/build.sh", 'touch "$OUT/first" "$OUT/second"')
            self.assertEqual(0, self.run_script(*arguments).returncode)
            self.assertEqual({"first", "second", "llvm-symbolizer"}, {path.name for path in out.iterdir()})
            self.stand_in("ci/oss-fuzz/build.sh", f'touch "$OUT/first"; kill -{signal_name} 0; sleep 1; touch "$OUT/second"')
            self.assert_ended_by(signal_name, self.run_script(*arguments))
            self.assertFalse(out.exists())
        self.stand_in("ci/oss-fuzz/build.sh", 'touch "$OUT/first"; exit 7')
        self.assertEqual(7, self.run_script(*arguments).returncode)
        self.assertFalse(out.exists())

    def test_coverage_leaves_the_page_that_there_was(self) -> None:
        self.stand_in("build/release/framefold", """echo '{"boundaries": []}'""")
        (self.tree / f"build/release/entry/{ENTRY}").mkdir(parents=True)
        (self.tree / f"build/release/entry/{ENTRY}/{ENTRY}.elf").touch()
        page = self.tree / "pages/page.html"
        arguments = ("coverage.sh", "--guest-only", "--entry", ENTRY, "--output", str(page))
        result = self.run_script(*arguments)
        self.assertEqual(0, result.returncode, result.stderr)
        whole = page.read_text()
        self.assertIn("</table>", whole)
        for signal_name in ("INT", "TERM"):
            half = 'for last; do case $before in --output) page=$last ;; esac; before=$last; done; echo "<!doctype" >"$page"'
            self.stand_in("tools/python3", f"{half}; kill -{signal_name} 0; sleep 1; echo more >>\"$page\"")
            self.assert_ended_by(signal_name, self.run_script(*arguments))
            self.assertEqual(whole, page.read_text())
            self.assertEqual([page], list(page.parent.iterdir()))
            self.assertEqual([], list(self.tree.glob("tmp.*")))

    def test_fuzz_ends_in_order(self) -> None:
        seeds = {path.name for path in (self.tree / "corpus" / ENTRY).iterdir()}
        # The script leads its session; a worker has a process group of its own.
        self.stand_in(f"build/fuzz/entry/{ENTRY}_fuzzer", """
            trap 'kill $!; exit 0' TERM
            for corpus; do :; done
            echo new >"$corpus/new"
            kill -INT "$(cut -d ' ' -f 6 /proc/$$/stat)"
            sleep 60 & wait""")  # fmt: skip
        self.stand_in("build/fuzz/framefold", 'cp -R "$6" "$5"')
        result = self.run_script("fuzz.sh", "--entry", ENTRY, "--jobs", "1", "--seconds", "60")
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertIn("fuzz: interrupted; ending", result.stdout)
        run_folder = self.tree / "build/fuzz/runs" / ENTRY
        self.assertEqual({"corpus", "log.0", "prune.log"}, {path.name for path in run_folder.iterdir()})
        self.assertEqual({"new", *seeds}, {path.name for path in (run_folder / "corpus").iterdir()})
        self.assertEqual(seeds, {path.name for path in (self.tree / "corpus" / ENTRY).iterdir()})

    def test_python_scripts_clean_up(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            script = self.tree / "ci/small.py"
            script.write_text(f"""
import os, tempfile, shared, time
from pathlib import Path
def main():
    with tempfile.TemporaryDirectory(), shared.whole_file(Path("{self.tree}/page")) as page:
        page.write("half")
        page.flush()
        assert len(list(Path("{self.tree}").glob("tmp*"))) == 1 and len(list(Path("{self.tree}").glob("page.*"))) == 1
        os.kill(os.getpid(), {int(number)})
        time.sleep(60)
shared.run(main)
""")
            (self.tree / "page").write_text("whole")
            result = run(Path(sys.executable), str(script), TMPDIR=str(self.tree))
            self.assertEqual((128 + number, "", ""), (result.returncode, result.stdout, result.stderr))
            self.assertEqual("whole", (self.tree / "page").read_text())
            self.assertEqual([], [*self.tree.glob("tmp*"), *self.tree.glob("page.*")])

    def test_python_scripts_end_quietly_where_nobody_reads(self) -> None:
        script = self.tree / "ci/small.py"
        script.write_text("import shared\nshared.run(lambda: print('line\\n' * 100000))\n")
        result = subprocess.run(["bash", "-c", f'"{sys.executable}" "{script}" | head -n 1; echo "${{PIPESTATUS[0]}}"'],
                                capture_output=True, text=True, timeout=60)  # fmt: skip
        self.assertEqual((f"line\n{128 + signal.SIGPIPE}\n", ""), (result.stdout, result.stderr))

    def test_the_coverage_page_says_what_is_never_reached(self) -> None:
        nothing = {"event": 0, "exception": 0, "nmi": 0}
        kinds = {kind: {"arrived": 0, "delivered": 0, "possible": False} for kind in ("event", "tick", "nmi", "exception")}
        first = {"address": 1, "place": "first", "text": "nop", "region": True, "executed": True, "reachable": True,
                 "folded": {**nothing, "event": 3}, "foldable": {**dict.fromkeys(nothing, False), "event": True}, **kinds}  # fmt: skip
        second = {**first, "folded": nothing, "foldable": {**first["foldable"], "nmi": True}, "executed": False,
                  "nmi": {"arrived": 0, "delivered": 0, "possible": True}}  # fmt: skip
        (self.tree / "entry.json").write_text(json.dumps({"boundaries": [first, second]}))
        (self.tree / "entry.lines").touch()
        lines = {"lines": {"count": 4, "covered": 3}, "branches": {"count": 0, "covered": 0}}
        host = {"data": [{"files": [{"filename": f"{self.tree}/build/coverage/../../harness/a.cpp", "summary": lines}], "totals": lines}]}
        (self.tree / "host.json").write_text(json.dumps(host))
        page = self.tree / "page.html"
        result = run(ROOT / "ci/coverage_page.py", "--root", str(self.tree), "--guest", str(self.tree), "--host", str(self.tree / "host.json"),
                     "--output", str(page), "entry")  # fmt: skip
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertRegex(result.stdout, r"\nentry +1 of 2 +0 of 1 +1 of 3\n")
        self.assertRegex(result.stdout, r"\nall +3 of 4 +75 % +0 of 0 *\nharness/a.cpp +3 of 4 +75 % +0 of 0 *\n")
        cells = re.findall(r'<tr class="(.*?)">.*<td class="n">(.*?)</td></tr>', page.read_text())
        never = '<span class="never">never</span>, <span class="never">nmi never</span>'
        self.assertEqual([("region", "3"), ("missed region", never)], cells)

    def test_a_file_is_replaced_when_it_is_whole(self) -> None:
        page = self.tree / "page"
        page.write_text("old")
        with shared.whole_file(page) as stream:
            stream.write("new")
            self.assertEqual("old", page.read_text())
        self.assertEqual("new", page.read_text())


def main() -> None:
    global FRAMEFOLD
    parser = shared.test_parser(__doc__)
    parser.add_argument("--framefold", type=shared.program, required=True, metavar="FILE", help="the command")
    options = parser.parse_args()
    FRAMEFOLD = options.framefold
    shared.run_tests(options)


if __name__ == "__main__":
    main()
