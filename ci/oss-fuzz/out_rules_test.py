"""Breaks the rules for what lies in $OUT, and for what is in a fuzz binary."""

import contextlib
import os
import shutil
import stat
import subprocess
import unittest
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import rules_testing
from contract import OTHER_USER

# To the run-time of a sanitizer. (A small target has few but for those in the run-time.)
MANY_CALLS = "static volatile int at[2000]; " + "".join(f"at[data[{i}] + {i}] = data[{i}];" for i in range(300))


@contextlib.contextmanager
def other_user() -> Iterator[None]:
    """Root may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(OTHER_USER)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


class OutRules(rules_testing.Rules):
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

    def add_seeds(self, fuzzer: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> None:
        with warnings.catch_warnings(), zipfile.ZipFile(f"{fuzzer}_seed_corpus.zip", "w") as archive:
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, data in members:
                archive.writestr(name, data)

    def test_seed_corpus(self) -> None:
        fuzzer = self.fake()
        name = f"{fuzzer.name}_seed_corpus.zip"
        self.assert_good("seed-corpus", fuzzer)
        self.add_seeds(fuzzer, ("a", b"\x01"), ("folder/", b""), ("folder/b", b"\x02"), ("..c", b""))
        self.assert_good("seed-corpus", fuzzer)
        for members in ((), (("folder/", b""),), (("a", b""),)):
            self.add_seeds(fuzzer, *members)
            self.assert_broken_in_a_line("seed-corpus", f"{name}: no inputs", fuzzer)
        archive = Path(f"{fuzzer}_seed_corpus.zip")
        archive.write_bytes(b"PK\x03\x04 no more")
        self.assert_broken_in_a_line("seed-corpus", f"{name}: File is not a zip file", fuzzer)
        archive.unlink()
        self.assert_broken_in_a_line("seed-corpus", f"{name}: No such file", fuzzer)
        archive.mkdir()
        self.assert_broken_in_a_line("seed-corpus", f"{name}: Is a directory", fuzzer)

    def test_seed_corpus_damaged_or_encrypted(self) -> None:
        fuzzer = self.fake()
        archive = Path(f"{fuzzer}_seed_corpus.zip")
        whole = archive.read_bytes()
        data = whole.index(b"\x02\x02\x03")
        archive.write_bytes(whole[:data] + b"\x02\x02\x04" + whole[data + 3 :])
        self.assert_broken_in_a_line("seed-corpus", "b is damaged", fuzzer)
        encrypted = bytearray(whole)
        for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            encrypted[encrypted.index(header) + flags] |= 1
        archive.write_bytes(encrypted)
        self.assert_broken_in_a_line("seed-corpus", "encrypted", fuzzer)

    def test_seed_corpus_members(self) -> None:
        fuzzer = self.fake()
        link, device, folder = zipfile.ZipInfo("link"), zipfile.ZipInfo("device"), zipfile.ZipInfo("folder")
        for info, kind in ((link, stat.S_IFLNK), (device, stat.S_IFIFO), (folder, stat.S_IFDIR)):
            info.external_attr = (kind | 0o644) << 16
        for member, expected in (
            (("../../x", b"\x01"), "'../../x': leads out"),
            (("a/../../x", b"\x01"), "leads out"),
            (("/x", b"\x01"), "'/x': leads out"),
            (("..\\x", b"\x01"), "leads out"),
            ((link, b"/etc/passwd"), "'link': neither a file nor a folder"),
            ((device, b""), "'device': neither a file nor a folder"),
            ((folder, b"\x01"), "'folder': neither a file nor a folder"),
            (("a", b"\x02"), "'a': twice in it"),
            (("long", bytes(65)), "'long': 65 bytes, of which the fuzzer reads 64"),
        ):
            self.add_seeds(fuzzer, ("a", b"\x01"), member)
            self.assert_broken_in_a_line("seed-corpus", f"{fuzzer.name}_seed_corpus.zip: ", fuzzer)
            self.assert_broken_in_a_line("seed-corpus", expected, fuzzer)

    def test_seed_corpus_of_long_inputs(self) -> None:
        fuzzer = self.fake()
        options = Path(f"{fuzzer}.options")
        for text, longest in (("max_len = 64", 64), ("max_len = random(1, 80)", 80), ("max_len = 0", 1 << 20), ("timeout = 9", 1 << 20)):
            options.write_text(f"[libfuzzer]\n{text}\n")
            self.add_seeds(fuzzer, ("a", bytes(longest)))
            self.assert_good("seed-corpus", fuzzer)
            self.add_seeds(fuzzer, ("a", bytes(longest + 1)))
            self.assert_broken_in_a_line("seed-corpus", f"of which the fuzzer reads {longest:,}", fuzzer)
        options.unlink()  # another rule's
        self.add_seeds(fuzzer, ("a", bytes(1 << 20)))
        self.assert_good("seed-corpus", fuzzer)

    def test_dictionary(self) -> None:
        fuzzer = self.fake()
        self.assert_good("dictionary", fuzzer)
        dictionary = Path(f"{fuzzer}.dict")
        dictionary.write_text(f'a="{"x" * 61}\\x00\\\\\\""\n')
        self.assert_good("dictionary", fuzzer)
        for text, expected in (
            ('a="\\x0g"\n', ":1: expected name"),
            ('# one\na="b\n', ":2: expected name"),
            ("a=b\n", ":1: expected name"),
            ('a=""\n', ":1: expected name"),
            ('a="\t"\n', ":1: expected name"),
            ('a="\u00e9"\n', ":1: expected name"),
            (f'a="{"x" * 62}\\x00\\\\\\""\n', ":1: 65 bytes"),
            ("# nothing\n", ": no entries"),
            ("", ": no entries"),
        ):
            dictionary.write_text(text, encoding="utf-8")
            self.assert_broken_in_a_line("dictionary", f"{dictionary.name}{expected}", fuzzer)
        self.assert_unreadable_is_told("dictionary", dictionary, fuzzer)

    def assert_unreadable_is_told(self, name: str, path: Path, fuzzer: Path) -> None:
        path.write_bytes(b"# \xff\n")
        self.assert_broken_in_a_line(name, f"{path.name}: not UTF-8 at byte 2", fuzzer)
        path.chmod(0)
        with other_user():
            self.assert_broken_in_a_line(name, f"{path.name}: Permission denied", fuzzer)
        path.unlink()
        self.assert_broken_in_a_line(name, f"{path.name}: No such file", fuzzer)
        path.mkdir()
        self.assert_broken_in_a_line(name, f"{path.name}: Is a directory", fuzzer)

    def test_options(self) -> None:
        fuzzer = self.fake()
        self.assert_good("options", fuzzer)
        options = Path(f"{fuzzer}.options")
        for text in (
            "[libfuzzer]\nmax_len = random(16, 512)\nclose_fd_mask = 1\ndict = small_fuzzer.dict\n",
            "[asan]\ndetect_leaks = 0\n[env]\nAFL_DRIVER_DONT_DEFER = 1\n",
        ):
            options.write_text(text)
            self.assert_good("options", fuzzer)
        for text, expected in (
            ("", "sets nothing"),
            ("# max_len = 1\n", "sets nothing"),
            ("[libfuzzer]\n", "sets nothing"),
            ("[libFuzzer]\nmax_len = 1\n", "unknown sections: libFuzzer"),
            ("[DEFAULT]\nmax_len = 1\n", "unknown sections: DEFAULT"),
            ("[env]\nLD_PRELOAD = x\n", "[env]: runners drop LD_PRELOAD"),
            ("max_len = 1\n", "no section headers"),
            ("[libfuzzer]\nmax_len\n", "parsing errors"),
            ("[libfuzzer]\nmax_len = 1\nmax_len = 2\n", "already exists"),
            ("[libfuzzer]\nmax_len = 1\n[libfuzzer]\n", "already exists"),
            ("[libfuzzer]\nmax_len = 1%\n", "'%' must be followed"),
            ("[libfuzzer]\nmax_len = banana\n", "max_len = banana: expected a whole number"),
            ("[libfuzzer]\nmax_len =\n", "max_len = : expected a whole number"),
            ("[libfuzzer]\nmax_len = -1\n", "max_len = -1: expected a whole number"),
            ("[libfuzzer]\nmax_len = 512 # bytes\n", "max_len = 512 # bytes: expected a whole number"),
            ("[libfuzzer]\nmax_len = random(1,2\n", "expected a whole number"),
            ("[libfuzzer]\nmax_len = 12)\n", "expected a whole number"),
            ("[libfuzzer]\nclose_fd_mask = 2\n", "close_fd_mask = 2: closes standard error"),
            ("[libfuzzer]\nclose_fd_mask = 3\n", "close_fd_mask = 3: closes standard error"),
            ("[libfuzzer]\ndict = other.dict\n", "dict = other.dict: not beside"),
            (f"[libfuzzer]\ndict = {fuzzer}.dict\n", "not beside"),
        ):
            options.write_text(text)
            self.assert_broken_in_a_line("options", expected, fuzzer)
            self.assert_broken_in_a_line("options", options.name, fuzzer)
        self.assert_unreadable_is_told("options", options, fuzzer)

    def test_symbolizer(self) -> None:
        symbolizer = self.context.out / "llvm-symbolizer"
        self.assert_broken_in_a_line("symbolizer", "llvm-symbolizer: no executable file")
        symbolizer.mkdir()
        self.assert_broken_in_a_line("symbolizer", "llvm-symbolizer: no executable file")
        symbolizer.rmdir()
        shutil.copy(shutil.which("llvm-symbolizer"), symbolizer)
        self.assert_good("symbolizer")
        symbolizer.chmod(0o644)
        self.assert_broken_in_a_line("symbolizer", "llvm-symbolizer: no executable file")
        shutil.copy(shutil.which("true"), symbolizer)
        self.assert_broken_in_a_line("symbolizer", "no version of LLVM")
        symbolizer.write_text("#!/bin/sh\necho LLVM version 1\nexit 1\n")
        symbolizer.chmod(0o755)
        self.assert_broken_in_a_line("symbolizer", "status 1")
        symbolizer.write_text("")
        self.assert_broken_in_a_line("symbolizer", "OSError: ")
        symbolizer.unlink()
        symbolizer.symlink_to("nowhere")
        self.assert_broken_in_a_line("symbolizer", "llvm-symbolizer: no executable file")

    def test_links(self) -> None:
        fuzzer = self.fake()
        self.assert_good("links")
        link = self.context.out / "folder/link"
        link.parent.mkdir()
        for target, good in ((f"../{fuzzer.name}", True), ("../../src", False), ("/etc/passwd", False), ("nowhere", False)):
            link.symlink_to(target)
            if good:
                self.assert_good("links")
            else:
                self.assert_broken_in_a_line("links", f"folder/link: leads to {target}")
            link.unlink()

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
        source.write_text(rules_testing.TARGET % {"start": "static int at[4]; at[*argc] = 1;", "run": "", "result": "0"})
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
        other = {"address": "undefined", "undefined": "address"}
        for sanitizer in other:
            self.context.sanitizer = sanitizer
            self.assert_good("sanitizer", self.build(run=MANY_CALLS, flags=("-O0", f"-fsanitize={sanitizer},fuzzer")))
            for built_with, expected in (
                (("-fsanitize=fuzzer",), "calls: asan 0" if sanitizer == "undefined" else "with the run-time of no sanitizer"),
                ((f"-fsanitize={other[sanitizer]},fuzzer",), "with the run-time of"),
                (("-fsanitize=address,undefined,fuzzer",), "calls: asan" if sanitizer == "address" else "with the run-time of asan"),
                (("-fsanitize=memory,fuzzer",), "with the run-time of msan"),
                (("-fsanitize=thread,fuzzer",), "with the run-time of tsan"),
            ):
                self.assert_broken("sanitizer", expected, self.build(run=MANY_CALLS, flags=("-O0", *built_with)))
        self.context.sanitizer = "address"
        self.assert_broken("sanitizer", "calls: asan", self.build())
        self.context.sanitizer = "undefined"
        self.assert_broken("sanitizer", "calls: asan 0", self.build(flags=("-fsanitize=undefined,fuzzer",)))
        fuzzer = self.build(run=MANY_CALLS, flags=("-O0", "-fsanitize=undefined,fuzzer"))
        subprocess.run(["strip", fuzzer], check=True)
        self.assert_broken("sanitizer", "without the run-time", fuzzer)

    @unittest.skipUnless(shutil.which("afl-clang-fast"), "no AFL++ here")
    def test_sanitizer_of_afl(self) -> None:
        self.context.engine = "afl"

        def build(sanitizer: str) -> Path:
            flags = ("-O0", f"-fsanitize={sanitizer}", "/usr/lib/afl/libAFLDriver.a", "-lstdc++")
            return self.build(run=MANY_CALLS, compiler="afl-clang-fast", flags=flags)

        for sanitizer, wrong, expected in (
            ("address", "undefined", "with the run-time of no sanitizer"),
            ("undefined", "address", "with the run-time of asan"),
        ):
            self.context.sanitizer = sanitizer
            self.assert_good("sanitizer", build(sanitizer))
            self.assert_broken("sanitizer", expected, build(wrong))
