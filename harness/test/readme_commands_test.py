#!/usr/bin/env python3
"""Runs the framefold commands that the READMEs show, from the project's folder, and holds their exit status against what
README.md says of it: 1 where known violations are reported, 0 elsewhere.

Of the entries' READMEs these are all commands; of the top one, those in its blocks of code that name no placeholder and take no
minutes: with the scenario that it shows, and with a bundled entry as the reader's own.

usage: readme_commands_test.py FRAMEFOLD BUILT_ENTRIES
"""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(framefold [^`]+)`")
OWN_ENTRY = "minios-x86_64-table"
SLOW = ("framefold explore", "framefold explore --thorough", "framefold mutants minios-x86_64-fixed")


def commands_in_blocks(text):
    found = []
    for block in BLOCK.finditer(text):
        for line in block.group(2).splitlines():
            command = line.removeprefix("$ ").split(" #")[0].rstrip()
            if command.startswith("framefold "):
                found.append(command)
    return found


def has_placeholder(command):
    return any(re.fullmatch(r"[A-Z]+", word) for word in shlex.split(command))


def expected_status(command):
    return 1 if "--known=report" in command else 0


def wrong(framefold, readme, commands, folder):
    """A line for each command that does not end as it should."""
    lines = []
    for command in commands:
        words = [str(framefold), *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != expected_status(command):
            lines.append(f"{readme}: {command}: exit status {done.returncode}, expected {expected_status(command)}; "
                         f"{done.stderr.strip()}")
    return lines


def entry_commands():
    """[(README, its commands)]"""
    shown = []
    for readme in sorted(ROOT.glob("entry/*/README.md")):
        text = readme.read_text()
        spans = [span for span in SPAN.findall(BLOCK.sub("", text)) if not has_placeholder(span)]
        shown.append((readme, commands_in_blocks(text) + spans))
    return shown


def check_entries(framefold):
    failures = []
    for readme, commands in entry_commands():
        if not commands:
            failures.append(f"{readme}: no command")
        failures += wrong(framefold, readme, commands, ROOT)
    return failures


def check_top(framefold, entries):
    readme = ROOT / "README.md"
    text = readme.read_text()
    commands = [command for command in commands_in_blocks(text) if command not in SLOW and not has_placeholder(command)]
    scenarios = [block.group(2) for block in BLOCK.finditer(text) if block.group(1) == "toml" and "[context]" in block.group(2)]
    if not commands or len(scenarios) != 1:
        return [f"{readme}: expected commands, and one scenario"]
    with tempfile.TemporaryDirectory(prefix="framefold-readme-") as folder:
        (Path(folder) / "bug.toml").write_text(scenarios[0])
        (Path(folder) / "my").symlink_to(entries / OWN_ENTRY)
        return wrong(framefold, readme, commands, folder)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    framefold, entries = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    failures = check_entries(framefold) + check_top(framefold, entries)
    # What it is there to notice: a folder of inputs that names no entry.
    if not wrong(framefold, "itself", ["framefold run corpus/minios-x86_64-fixed"], ROOT):
        failures.append("a command that is wrong is not noticed")
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
