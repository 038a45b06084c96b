#!/usr/bin/env python3
"""Makes the page of ci/coverage.sh: guest coverage on the disassembly with its source, and host coverage by file."""

import html
import json
import os
import re
from pathlib import Path

import shared

KINDS = ("event", "tick", "nmi", "exception")
FOLDS = ("event", "exception", "nmi")  # a tick delivers events
STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #222; --faint: #666; --missed: #fbe3e0; --never: #b3261e; --bar: #b8a13a;
  --link: #1a56b0 }
@media (prefers-color-scheme: dark) { :root { --back: #181818; --text: #ddd; --faint: #999; --missed: #4a211e; --never: #ff8a80;
  --link: #8ab4f8 } }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em; color: var(--text); background: var(--back) }
a { color: var(--link) } table { border-collapse: collapse }
td, th { padding: .1em .6em; text-align: left; vertical-align: top; white-space: nowrap }
td.n, th.n { text-align: right; white-space: pre; font-variant-numeric: tabular-nums } .code { font-family: ui-monospace, monospace; white-space: pre }
.source, .unreachable { color: var(--faint) } .missed { background: var(--missed) }
.region td:first-child { box-shadow: inset .3em 0 var(--bar) } .never { color: var(--never); font-weight: bold }
thead th { border-bottom: 1px solid var(--faint); position: sticky; top: 0; background: var(--back) }
@media (max-width: 60em) { .wide { overflow-x: auto } }
"""


def source_lines(listing: Path, root: Path) -> dict[int, tuple[str, int, str]]:
    """By address: file, line and text of the source, out of `objdump --line-numbers`."""
    files: dict[Path, list[str]] = {}
    found = {}
    place = None
    for line in listing.read_text(errors="replace").splitlines():
        if match := re.fullmatch(r"(\S.*):(\d+)(?: \(discriminator \d+\))?", line):
            place = (match[1], int(match[2]))
        elif (match := re.match(r"\s*([0-9a-f]+):\t", line)) and place:
            path = root / place[0]
            if path not in files:
                files[path] = path.read_text(errors="replace").splitlines() if path.is_file() else []
            text = files[path][place[1] - 1] if 0 < place[1] <= len(files[path]) else ""
            found[int(match[1], 16)] = (Path(place[0]).name, place[1], " ".join(text.split()))
    return found


def count(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


class Guest:
    def __init__(self, folder: Path, entry: str, root: Path):
        self.entry = entry
        self.boundaries = json.loads((folder / f"{entry}.json").read_text())["boundaries"]
        self.sources = source_lines(folder / f"{entry}.lines", root)
        self.executed = sum(b["executed"] and b["reachable"] for b in self.boundaries)
        self.reachable = sum(b["reachable"] for b in self.boundaries)
        self.delivered = sum(1 for b in self.boundaries for k in KINDS if b[k]["possible"] and b[k]["delivered"])
        self.deliverable = sum(1 for b in self.boundaries for k in KINDS if b[k]["possible"])
        self.folded = sum(1 for b in self.boundaries for k in FOLDS if b["foldable"][k] and b["folded"][k])
        self.foldable = sum(b["foldable"][k] for b in self.boundaries for k in FOLDS)

    def summary(self) -> tuple[str, ...]:
        return (self.entry, count(self.executed, self.reachable), count(self.delivered, self.deliverable),
                count(self.folded, self.foldable) if self.foldable else "none")  # fmt: skip

    def rows(self) -> str:
        text = []
        shown = None
        for b in self.boundaries:
            source = self.sources.get(b["address"])
            if source and source[:2] != shown:
                shown = source[:2]
                where = html.escape(f"{source[0]}:{source[1]}")
                text.append(f'<tr class="source"><td></td><td>{where}</td><td class="code" colspan="6">{html.escape(source[2])}</td></tr>')
            classes = " ".join(name for name, on in (("missed", b["reachable"] and not b["executed"]),
                                                            ("unreachable", not b["reachable"]), ("region", b["region"])) if on)
            cells = "".join(f'<td class="n">{cell(b[kind])}</td>' for kind in KINDS)
            text.append(f'<tr class="{classes}"><td class="code">{b["address"]:#x}</td><td class="code">{html.escape(b["place"])}</td>'
                        f'<td class="code">{html.escape(b["text"])}</td>{cells}<td class="n">{folds(b)}</td></tr>')  # fmt: skip
        return "\n".join(text)

    def section(self) -> str:
        head = "".join(f'<th class="n">{kind}</th>' for kind in KINDS)
        return (f'<h2 id="{self.entry}">{self.entry}</h2>\n<div class="wide"><table><thead><tr><th>address</th><th>place</th><th>instruction</th>{head}'
                f'<th class="n">folded</th></tr></thead>\n{self.rows()}\n</table></div>')  # fmt: skip


def cell(kind: dict) -> str:
    """Delivered, of those that came; what could be delivered and never is."""
    if kind["possible"] and not kind["delivered"]:
        return '<span class="never">never</span>'
    return f'{kind["delivered"]:,}/{kind["arrived"]:,}' if kind["arrived"] else ""


def folds(boundary: dict) -> str:
    """Of the frames of what was delivered there: those that were folded, and what could be and never is; events are not named."""
    parts = []
    for kind in FOLDS:
        name = "" if kind == "event" else f"{kind} "
        if boundary["folded"][kind]:
            parts.append(f'{name}{boundary["folded"][kind]:,}')
        elif boundary["foldable"][kind]:
            parts.append(f'<span class="never">{name}never</span>')
    return ", ".join(parts)


def host_rows(path: Path, root: Path) -> list[tuple[str, str, str]]:
    data = json.loads(path.read_text())["data"][0]
    rows = [("all", *shares(data["totals"]))]
    for file in sorted(data["files"], key=lambda f: f["filename"]):
        name = Path(os.path.normpath(file["filename"]))  # as ninja hands it to the compiler: build/coverage/../../harness/...
        if root in name.parents:
            rows.append((str(name.relative_to(root)), *shares(file["summary"])))
    return rows


def shares(summary: dict) -> tuple[str, ...]:
    """Of lines and of branches: how many are reached, and per cent."""
    cells = []
    for part in (summary[kind] for kind in ("lines", "branches")):
        cells.append(count(part["covered"], part["count"]) + (f' {100 * part["covered"] // part["count"]:>4} %' if part["count"] else " " * 7))
    return tuple(cells)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], link: bool) -> str:
    def first(name: str) -> str:
        return f'<a href="#{name}">{name}</a>' if link else html.escape(name)

    body = "\n".join(f"<tr><td>{first(row[0])}</td>" + "".join(f'<td class="n">{c}</td>' for c in row[1:]) + "</tr>" for row in rows)
    titles = f"<th>{head[0]}</th>" + "".join(f'<th class="n">{name}</th>' for name in head[1:])
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead>\n{body}\n</table></div>'


def print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]))


def main() -> None:
    parser = shared.Parser(__doc__)
    parser.add_argument("--root", type=shared.folder, required=True, help="the tree, for the source")
    parser.add_argument("--guest", type=shared.folder, required=True, help="folder with <entry>.json and <entry>.lines")
    parser.add_argument("--host", type=shared.file, help="what llvm-cov exports")
    parser.add_argument("--output", type=Path, required=True, help="the page")
    parser.add_argument("entries", nargs="+", metavar="ENTRY")
    options = parser.parse_args()
    for entry in options.entries:
        if lacking := [name for name in (f"{entry}.json", f"{entry}.lines") if not (options.guest / name).is_file()]:
            parser.error(f'no {lacking[0]} in "{options.guest}"')

    guests = [Guest(options.guest, entry, options.root) for entry in options.entries]
    head = ("entry", "instructions", "boundaries × kinds", "folds")
    rows = [guest.summary() for guest in guests]
    parts = ["<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content='width=device-width, initial-scale=1'>",
             f"<title>framefold: coverage</title>\n<style>{STYLE}</style>\n<h1>Coverage</h1>",
             "<h2>Guest</h2>\n<p>What the corpora reach of the entry code, of what exploration reaches. Instructions that none of their "
             "inputs executes are marked, faint ones cannot be executed. By kind of arrival: how many were delivered of those that "
             "came at the boundary; <span class=never>never</span>: something of that kind can be delivered there, and none of them "
             "does it. Folded: how many of the events delivered there had their frame folded, and the same of other kinds, by name; or that "
             "it can be, and never is. The bar marks the critical region.</p>", table(head, rows, True)]  # fmt: skip
    if options.host:
        host_head = ("file", "lines", "branches")
        host = host_rows(options.host, options.root)
        parts += ["<h2>Host</h2>\n<p>What the tests and the replay of the corpora reach of the harness.</p>", table(host_head, host, False)]
    parts += [guest.section() for guest in guests]
    with shared.whole_file(options.output) as page:
        page.write("\n".join(parts) + "\n")
    print_table([head, *rows])
    if options.host:
        print()
        print_table([host_head, *host])


if __name__ == "__main__":
    shared.run(main)
