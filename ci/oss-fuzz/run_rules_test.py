"""Breaks the rules for how a fuzz binary runs."""

import os
import shutil
import subprocess
import unittest
from pathlib import Path
from unittest import mock

import rules_testing
import run_rules


class RunRules(rules_testing.Rules):
    def test_starts(self) -> None:
        self.assert_good("starts", self.build())
        for start, fault in (
            ("exit(1);", "status 1:"),
            ("exit(0);", "status 0:"),
            ('if (strcmp((*argv)[1], "--") == 0) exit(31);', "status 31:"),
            ('if (getenv("OUT") == NULL) exit(32);', "status 32:"),
            ("if (getchar() == EOF) exit(33);", "status 33:"),
        ):
            self.assert_broken("starts", fault, self.build(start=start))
        # The opposite of each.
        for start in ('if (strcmp((*argv)[1], "--") != 0) exit(1);', 'if (getenv("OUT") != NULL) exit(1);', "if (getchar() != EOF) exit(1);"):
            self.assert_good("starts", self.build(start=start))

    def test_instrumented(self) -> None:
        many = "static volatile int n; " + "".join(f"if (size > {i} && data[{i}] == {i}) n += {i};" for i in range(100))
        self.assert_good("instrumented", self.build(run=many))
        self.assert_broken("instrumented", " edges", self.build(run="if (size > 3) putenv(0);"))
        bare = "-fno-sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp,indirect-calls"
        self.assert_broken("instrumented", "no interesting inputs", self.build(run=many, flags=("-fsanitize=address,fuzzer", bare)))

    @unittest.skipIf(os.geteuid() != 0, "needs root, to become another user")
    def test_alone(self) -> None:
        flags = ("-fsanitize=address,fuzzer", "-static-libstdc++", "-static-libgcc")
        self.assert_good("alone", self.build(flags=flags))
        for start in (
            'char name[4096]; snprintf(name, sizeof name, "%s.dict", (*argv)[0]); if (access(name, R_OK) != 0) abort();',
            'if (strstr((*argv)[0], "small") == NULL) abort();',
            'if (getenv("HOME") == NULL) abort();',
            'FILE *file = fopen("log", "w"); if (file == NULL) abort();',
        ):
            self.assert_broken("alone", "status", self.build(start=start, flags=flags))
        place = Path(f"/var/tmp/framefold-check-test-{os.getpid()}")
        self.addCleanup(place.unlink, missing_ok=True)
        self.assert_broken("alone", f"wrote {place}", self.build(start=f'fclose(fopen("{place}", "w"));', flags=flags))

    @unittest.skipUnless(shutil.which("strace") and os.geteuid() == 0, "needs strace and root")
    def test_files(self) -> None:
        self.assert_good("files", self.build())
        self.assert_broken("files", "status 9:", self.build(start="exit(9);"))
        (self.context.src / "data").touch()
        self.assert_broken("files", f"uses {self.context.src}/data", self.build(start=f'fopen("{self.context.src}/data", "r");'))
        self.assert_broken("files", "uses /dev/zero", self.build(start='fopen("/dev/zero", "r");'))
        self.assert_good("files", self.build(start='fopen("/dev/null", "w");'))
        (self.folder / "log").touch()
        self.assert_broken("files", f"writes {self.folder}/log", self.build(start=f'fopen("{self.folder}/log", "w");'))

    def test_seeds_run(self) -> None:
        keep = "static volatile int n; if (data[0] == 1) n = 1; else if (data[0] == 2) n = 2;"
        guard = "if (size == 0) return 0; "
        self.assert_good("seeds-run", self.build(run=guard + keep))
        self.assert_broken("seeds-run", "status", self.build(run="if (size == 2) abort();"))
        self.assert_broken("seeds-run", "1 of 2 seeds", self.build(run=""))

    def test_seeds_run_as_the_options_have_it(self) -> None:
        run = "if (size == 0) return 0; static volatile int n; if (data[0] == 1) n = 1; else if (data[0] == 2) n = 2;"
        fuzzer = self.build(run=run)
        options = Path(f"{fuzzer}.options")
        options.write_text("[libfuzzer]\nmax_len = random(4, 8)\n[asan]\nmax_redzone = 2048\n")
        self.assert_good("seeds-run", fuzzer)
        options.write_text("[libfuzzer]\nmaximal_len = 8\n")
        self.assert_broken_in_a_line("seeds-run", "small_fuzzer.options: libFuzzer knows no maximal_len", fuzzer)
        options.write_text("[asan]\ndetect_leaks = banana\n")
        self.assert_broken("seeds-run", "banana", fuzzer)
        options.unlink()
        self.assert_broken_in_a_line("seeds-run", "small_fuzzer.options: No such file", fuzzer)

    def test_what_needs_seeds_says_which_are_missing(self) -> None:
        fuzzer = self.build()
        archive = Path(f"{fuzzer}_seed_corpus.zip")
        for contents, expected in ((b"no zip", "small_fuzzer_seed_corpus.zip: File is not a zip file"), (None, "small_fuzzer_seed_corpus.zip: No such file")):
            archive.write_bytes(contents) if contents else archive.unlink()
            for name in ("seeds-run", "again", "silent", "fast-and-small"):
                self.assert_broken_in_a_line(name, expected, fuzzer)
        self.context.engine = "afl"
        for name in ("alone", "files", "afl") if os.geteuid() == 0 and shutil.which("strace") else ("afl",):
            self.assert_broken_in_a_line(name, expected, fuzzer)

    def test_again(self) -> None:
        self.assert_good("again", self.build())
        once = self.build(run="static int runs; if (++runs == 90) abort();")
        self.assert_broken("again", "a hundred times: status", once)
        self.assert_broken("again", "ABRT", once)
        self.assert_broken("again", "as a hundred files: status 9:", self.build(start='if (strcmp((*argv)[1], "-runs=0") == 0) exit(9);'))
        self.assert_broken("again", "2 of 100 runs", self.build(run="static volatile int runs, n; if (++runs == 90) n = 1;"))
        self.assert_broken("again", "fuzz target exited", self.build(run="exit(0);"))
        self.assert_broken("again", "leaked", self.build(run="static char *volatile p; p = malloc(10); p = NULL;"))

    def test_silent(self) -> None:
        self.assert_good("silent", self.build(start='puts("hello");'))
        self.assert_broken("silent", "lines at 200", self.build(run='puts("hello");'))

    def test_fast_and_small(self) -> None:
        self.assert_good("fast-and-small", self.build())
        self.assert_broken("fast-and-small", "executions in", self.build(run="static int runs; if (runs++ == 100) sleep(11);"))
        self.assert_broken("fast-and-small", "status", self.build(run="static int runs; if (++runs == 5000) abort();"))
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
        self.assert_broken("afl", "Fork server crashed", build(start="abort();"))
        self.assert_broken("afl", "results in a crash", build(run="abort();"))
        flaky = branches + " static int runs; if (++runs % 2) n = 3; else if (runs % 3) n = 4;"
        self.assert_broken("afl", "stability", build(run=flaky))
        # One process a run: no persistent loop and no deferred start.
        source = self.folder / "plain.c"
        source.write_text('#include <unistd.h>\nchar LLVMFuzzerTestOneInput[2];\nint main(void) { return read(0, LLVMFuzzerTestOneInput, 2) > 1 ? 0 : 1; }\n')
        fuzzer = self.context.out / "small_fuzzer"
        subprocess.run(["afl-clang-fast", str(source), "-o", str(fuzzer)], check=True, env=dict(os.environ, AFL_QUIET="1"))
        self.assert_broken("afl", "Persistent mode", fuzzer)
