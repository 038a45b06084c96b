#!/usr/bin/env python3
"""Each fuzzing engine that this machine has follows the guest, and finds a planted fault.

Of the fuzz binaries that `ci/oss-fuzz/check.sh` has built. "Follows the guest": an input that reaches an edge of the guest's
that no other input does, and no edge of the harness's own that the other does not, is kept; one that reaches nothing new is
not. For honggfuzz and Centipede stands an engine that says what it is given (stand_in_engine.cpp). The planted fault is an
entry of the preset release's build, where the command is as well.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import build_rules  # noqa: E402
import shared  # noqa: E402
from contract import Context  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BUILDS = ROOT / "build/oss-fuzz"
RELEASE = ROOT / "build/release"
ENTRY = "minios-x86_64-fixed"
FAULT = RELEASE / "entry/minios-x86_64-fixed.fixed_distance/entry.toml"
FAULT_KIND = "handler-frame"  # shows where an event is folded, and only there
RUNS = 200_000  # to find the fault; ci/find.sh holds libFuzzer to as many
SECONDS = 240
PLAIN_EVENT = b"\1"
HEADER, ARRIVAL, REGISTERS = 32, 8, 15 * 8  # bytes of an input (harness/scenario/codec.hpp)


def same_meaning(data: bytes) -> bytes:
    """Other bytes, the same scenario: what lies behind the registers does not count."""
    whole = HEADER + 16 * ARRIVAL + REGISTERS
    return data.ljust(whole, b"\0") + b"\1"


class Engine(unittest.TestCase):
    engine = ""

    def setUp(self) -> None:
        builds = [BUILDS / f"{self.engine}-{sanitizer}" for sanitizer in ("address", "undefined")]
        fuzzers = [build for build in builds if (build / f"out/{ENTRY}_fuzzer").exists()]
        self.assertTrue(fuzzers, f"not built: ci/oss-fuzz/check.sh --engine {self.engine} --entry {ENTRY}")
        self.assertTrue(FAULT.exists(), f"not built: cmake --build --preset release --target entry_{FAULT.parent.name}")
        self.build = fuzzers[0]
        self.fuzzer = self.build / f"out/{ENTRY}_fuzzer"
        folder = tempfile.TemporaryDirectory(prefix="framefold-engines-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        with zipfile.ZipFile(f"{self.fuzzer}_seed_corpus.zip") as archive:
            self.seeds = sorted(archive.read(info) for info in archive.infolist() if not info.is_dir())

    def corpus(self, name: str, *inputs: bytes) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / f"{name}-{number}").write_bytes(data)
        return folder

    def run_command(self, *command: str | Path, **environment: str) -> str:
        usual = {name: "1" for name in ("AFL_NO_UI", "AFL_SKIP_CPUFREQ", "AFL_NO_AFFINITY", "NO_COLOR", "AFL_ALLOW_TMP",
                                               "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES")}  # fmt: skip
        environment = {**os.environ, **usual, **environment}
        result = subprocess.run([str(c) for c in command], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=SECONDS + 60)  # fmt: skip
        return result.stdout


class LibFuzzerBuild(Engine):
    engine = "libfuzzer"

    def replay(self, *inputs: bytes) -> tuple[int, int]:
        """Edges of the harness and features of all kinds that the inputs reach together, without a mutation."""
        corpus = self.corpus(f"replay-{len(inputs)}", *inputs)
        output = self.run_command(self.fuzzer, "-runs=0", corpus)
        line = re.search(r"INITED(?: cov: (\d+))? ft: (\d+)", output)
        self.assertTrue(line, output)
        return int(line[1] or 0), int(line[2])

    def pair(self) -> tuple[bytes, bytes]:
        first = self.seeds[0]
        host, features = self.replay(first)
        for second in self.seeds[1:]:
            shutil.rmtree(self.folder / "replay-2", ignore_errors=True)
            both_host, both_features = self.replay(first, second)
            if both_host == host and both_features > features:
                return first, second
        self.fail("no seed reaches what the first one does not")


class LibFuzzer(LibFuzzerBuild):
    def test_keeps_what_reaches_a_new_guest_edge(self) -> None:
        first, second = self.pair()
        kept = self.corpus("kept", first)
        self.run_command(self.fuzzer, "-merge=1", kept, self.corpus("new", second))
        self.assertEqual({first, second}, {path.read_bytes() for path in kept.iterdir()})

    def test_drops_what_reaches_nothing_new(self) -> None:
        first, _ = self.pair()
        kept = self.corpus("kept", first)
        self.run_command(self.fuzzer, "-merge=1", kept, self.corpus("new", same_meaning(first)))
        self.assertEqual({first}, {path.read_bytes() for path in kept.iterdir()})

    def test_finds_a_planted_fault(self) -> None:
        output = self.run_command(self.fuzzer, "-seed=1", f"-runs={RUNS}", f"-max_total_time={SECONDS}", self.corpus("start"),
                                  FRAMEFOLD_ENTRY=str(FAULT))  # fmt: skip
        self.assertRegex(output, rf"FuzzerHash=\S*:{FAULT_KIND}:")

    def test_minimising_keeps_the_bucket(self) -> None:
        """Of an entry with several bugs: whatever input shows another one is smaller as well."""
        entry = "linux-x86_32-2007"
        environment = {"FRAMEFOLD_ENTRY": str(RELEASE / f"entry/{entry}/entry.toml"), "FRAMEFOLD_KNOWN": "report"}
        reproducers = sorted((ROOT / "reproducers" / entry).glob("*.toml"))
        self.assertGreater(len(reproducers), 1)
        for reproducer in reproducers:
            crash = self.folder / f"{reproducer.stem}.crash"
            self.run_command(RELEASE / "framefold", "encode", reproducer, "-o", crash)
            crash.write_bytes(same_meaning(crash.read_bytes()))
            before = self.bucket_of(crash, environment)
            smaller = self.folder / f"{reproducer.stem}.smaller"
            self.run_command(self.fuzzer, "-minimize_crash=1", "-runs=20000", f"-exact_artifact_path={smaller}", crash, **environment)
            self.assertLess(smaller.stat().st_size, crash.stat().st_size)
            self.assertEqual(before, self.bucket_of(smaller, environment))

    def bucket_of(self, file: Path, environment: dict[str, str]) -> str:
        output = self.run_command(self.fuzzer, file, **environment)
        found = re.search(r"FuzzerHash=(.*)", output)
        self.assertTrue(found, output[-2000:])
        return found[1]


class StandIns(LibFuzzerBuild):
    """What honggfuzz and Centipede would be given, with nothing but another $LIB_FUZZING_ENGINE."""

    def link(self, definition: str) -> Path:
        scratch = self.folder / definition
        scratch.mkdir()
        context = Context("libfuzzer", "", self.build / "out", self.build / "work", self.build / "src", scratch,
                                    {"LIB_FUZZING_ENGINE": "-fsanitize=fuzzer"})  # fmt: skip
        return build_rules.link_with_stand_in(context, self.fuzzer, f"-D{definition}")

    def seen(self, fuzzer: Path, *inputs: bytes) -> list[set[str]]:
        corpus = self.corpus("seen", *inputs)
        output = self.run_command(fuzzer, *(corpus / f"seen-{number}" for number in range(len(inputs))))
        found = re.findall(r"seen-\d+: returned 0, seen:(.*)", output)
        self.assertEqual(len(inputs), len(found), output[-2000:])
        return [set(line.split()) for line in found]

    def test_are_given_the_guests_edges_and_the_fault(self) -> None:
        first, second = self.pair()
        for definition in ("HONGGFUZZ", "CENTIPEDE"):
            with self.subTest(definition):
                fuzzer = self.link(definition)
                seen = self.seen(fuzzer, first, second, same_meaning(first), first)
                self.assertTrue(seen[0])
                self.assertTrue(seen[1] - seen[0])
                self.assertEqual(seen[0], seen[2])
                self.assertEqual(seen[0], seen[3])
                output = self.run_command(fuzzer, *sorted(self.corpus("seeds", *self.seeds).iterdir()), FRAMEFOLD_ENTRY=str(FAULT))
                self.assertRegex(output, rf"FuzzerHash=\S*:{FAULT_KIND}:")


@unittest.skipUnless(shutil.which("afl-fuzz"), "no AFL++ here")
class AflPlusPlus(Engine):
    engine = "afl"

    def guest_guards(self) -> range:
        """The numbers that AFL++ has given our guards: ours are as many as there are counters."""
        counters = (ROOT / "harness/fuzz/guest_counters.hpp").read_text()
        ours = re.search(r"kGuestCounters = (\d+)", counters)[1]
        output = self.run_command("afl-showmap", "-o", self.folder / "map", "--", self.fuzzer, self.write("one", self.seeds[0]),
                                  AFL_DEBUG="1")  # fmt: skip
        last = re.search(rf"\({ours} edges\).*\n.*__afl_final_loc = (\d+)", output)
        self.assertTrue(last, output[:2000])
        return range(int(last[1]) - int(ours) + 1, int(last[1]) + 1)

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def maps(self, *inputs: bytes) -> list[set[int]]:
        """Of each input, as the persistent process sees it."""
        corpus = self.corpus("maps-in", *inputs)
        self.run_command("afl-showmap", "-q", "-i", corpus, "-o", self.folder / "maps", "--", self.fuzzer)
        return [
            {int(line.split(":")[0]) for line in (self.folder / f"maps/maps-in-{number}").read_text().split()}
            for number in range(len(inputs))
        ]

    def pair(self) -> tuple[bytes, bytes]:
        guards = self.guest_guards()
        maps = self.maps(*self.seeds)
        guest = [{edge for edge in one if edge in guards} for one in maps]
        for second in range(1, len(maps)):
            if maps[second] - guest[second] <= maps[0] - guest[0] and guest[second] - guest[0] and guest[0] - guest[second]:
                return self.seeds[0], self.seeds[second]
        self.fail("no seed reaches what the first one does not")

    def test_keeps_what_reaches_a_new_guest_edge_and_drops_the_rest(self) -> None:
        first, second = self.pair()
        corpus = self.corpus("in", first, second, same_meaning(first), same_meaning(second))
        output = self.run_command("afl-cmin", "-i", corpus, "-o", self.folder / "kept", "--", self.fuzzer)
        self.assertTrue((self.folder / "kept").is_dir(), output)
        kept = {path.read_bytes() for path in (self.folder / "kept").iterdir() if path.is_file()}
        self.assertEqual({first, second}, kept)

    def test_finds_a_planted_fault(self) -> None:
        out = self.folder / "out"
        output = self.run_command("afl-fuzz", "-s", "1", "-V", str(SECONDS), "-i", self.corpus("start", PLAIN_EVENT), "-o", out,
                                  "--", self.fuzzer, FRAMEFOLD_ENTRY=str(FAULT), AFL_BENCH_UNTIL_CRASH="1")  # fmt: skip
        crashes = sorted((out / "default/crashes").glob("id:*"))
        self.assertTrue(crashes, output[-2000:])
        replayed = self.run_command(self.fuzzer, crashes[0], FRAMEFOLD_ENTRY=str(FAULT))
        self.assertRegex(replayed, rf"FuzzerHash=\S*:{FAULT_KIND}:")


del Engine, LibFuzzerBuild  # have no tests of their own

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    shared.run_tests(shared.test_parser(__doc__).parse_args())
