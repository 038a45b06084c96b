#!/usr/bin/env python3
"""Runs the commands of a guide, in order, in a folder of their own, and holds what they print against the guide.

A block of code whose first line starts with `$ ` is a session: commands, each with what it prints. A line `...` in what is
printed stands for any lines. Commands see the project's `harness` folder, and framefold on their path."""
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import shared

ROOT = pathlib.Path(__file__).resolve().parent.parent
SESSION = re.compile(r"^```\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)


def run(command, folder, environment):
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.stdout


def fits(expected, printed):
    """Whether `printed` is `expected`, in which a line `...` stands for any lines."""
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in expected.splitlines())
    return re.fullmatch(pattern, printed) is not None


def steps_of(session):
    """[(command, what it prints)]"""
    steps = []
    for line in session.splitlines():
        if line.startswith("$ "):
            steps.append([line[2:], ""])
        else:
            steps[-1][1] += line + "\n"
    return steps


def main():
    parser = shared.Parser(__doc__)
    parser.add_argument("framefold", type=shared.program, help="the command")
    parser.add_argument("--guide", type=shared.file, default=ROOT / "entry" / "BRING-YOUR-OWN.md")
    parser.add_argument("--write", action="store_true", help="put what the commands print into the guide")
    options = parser.parse_args()
    guide = options.guide
    text = guide.read_text()
    environment = dict(os.environ, LC_ALL="C", ASAN_OPTIONS="detect_leaks=0")
    environment["PATH"] = str(options.framefold.parent) + os.pathsep + environment["PATH"]
    failures = 0
    with tempfile.TemporaryDirectory(prefix="framefold-guide-") as folder:
        (pathlib.Path(folder) / "harness").symlink_to(ROOT / "harness")

        def replay(match):
            nonlocal failures
            session = ""
            for command, expected in steps_of(match.group(1)):
                printed = run(command, folder, environment)
                if printed and not printed.endswith("\n"):
                    printed += "\n"
                same = fits(expected, printed)
                if not same and not options.write:
                    failures += 1
                    print(f"{guide}: $ {command}")
                    sys.stdout.writelines(difflib.unified_diff(expected.splitlines(True), printed.splitlines(True),
                                                               "guide", "printed"))
                session += f"$ {command}\n" + (expected if same else printed)
            return f"```\n{session}```"

        written = SESSION.sub(replay, text)
    if options.write:
        with shared.whole_file(guide) as stream:
            stream.write(written)
    if failures:
        print(f"{guide}: {failures} commands print something else; {sys.argv[0]} --write puts it there")
    return 1 if failures else 0


if __name__ == "__main__":
    shared.run(main)
