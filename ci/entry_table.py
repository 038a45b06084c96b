#!/usr/bin/env python3
"""Keeps the comparison table in entry/README.md what framefold prints.

Runs `framefold entries --compare --markdown` with the corpora and the reproducers, and holds the lines between the two
markers of entry/README.md against it. With --write they are replaced; without, a difference is printed, and is an error.

Exit status: 0 the same, or written; 1 different; 2 wrong use; else that of framefold.
"""

import difflib
import subprocess
import sys
from pathlib import Path

import shared

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "entry" / "README.md"
BEGIN = "<!-- framefold entries --compare --replay corpus --replay reproducers --markdown -->\n"
END = "<!-- end -->\n"


def measured(framefold: Path) -> str:
    command = [str(framefold), "entries", "--compare", "--markdown", "--replay", str(ROOT / "corpus"), "--replay",
               str(ROOT / "reproducers")]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.returncode)
    return result.stdout


def main() -> int:
    parser = shared.Parser(__doc__)
    parser.add_argument("framefold", type=shared.program, help="the command, as it was built")
    parser.add_argument("--write", action="store_true", help="replace the table instead of comparing it")
    options = parser.parse_args()

    text = README.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"entry_table: {README}: expected the markers {BEGIN.strip()} and {END.strip()}, once each", file=sys.stderr)
        return 2
    before, rest = text.split(BEGIN)
    written, after = rest.split(END)
    table = measured(options.framefold)
    if options.write:
        with shared.whole_file(README) as readme:
            readme.write(before + BEGIN + table + END + after)
        return 0
    difference = difflib.unified_diff(written.splitlines(True), table.splitlines(True), str(README), "framefold")
    sys.stdout.writelines(difference)
    if written != table:
        print("entry_table: `cmake --build --preset release --target entry_table` writes what framefold prints")
        return 1
    return 0


if __name__ == "__main__":
    shared.run(main)
