#!/usr/bin/env python3
"""Minimises the scenarios of reproducers/ and writes each entry's README.md from what framefold says of them."""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import shared

FOLDER = Path("reproducers")
# What happens in a timeline, beside plain instructions.
EVENT = re.compile(r"[*>=<!] |handler gets|window opens|context resumes|^-- |differs|hypercall \d+|^step")
MOST_LINES = 40  # of a timeline's excerpt
PARTS = ["Boundary", "Mechanism", "Effect", "Cure"]  # of an explanation

WORDS = """\
Some words. To deliver an *event* (an interrupt), an *exception* or an *NMI*, Xen pushes a frame on the guest's stack, sets the
event *mask* (for events and NMIs), and enters the guest at its callback, where *handlers* in C are called. On its way out
the guest clears the mask and returns; between the two, another event can arrive, with the first frame still on the stack.
The code there is the *critical region*, and an event in it has to be *folded*: its frame is merged into the one that it
interrupted, as if it had come before. *Marked* is a frame whose {flags} have bit 31 set, by the guest's NMI handler: it has to
return by Xen's *iret hypercall*, by way of the *hypercall page*, since only that ends an NMI for Xen. An *arrival* is
something that comes at a *boundary*, the point before an instruction. What a finding *rests on*, besides the code, is a line of
the entry's description that no code shows."""


def run(framefold, *arguments):
    return subprocess.run([framefold, *map(str, arguments)], capture_output=True, text=True, check=False)


def minimised(framefold, file, folder):
    """The text of the smallest scenario that shows the same, where it shows now."""
    output = Path(folder) / "small.toml"
    output.unlink(missing_ok=True)
    result = run(framefold, "minimize", "--moved", file, "-o", output)
    if result.returncode != 0:
        sys.exit(f"reproducers: {result.stderr.strip()}")
    return output.read_text()


def report_of(framefold, file):
    result = run(framefold, "run", "--json", "--trace", "--known=report", file)
    if result.returncode not in (0, 1):
        sys.exit(f"reproducers: {result.stderr.strip()}")
    return json.loads(result.stdout)["results"][0]


def excerpt(timeline):
    """Without the plain instructions."""
    lines = [line.rstrip() for line in timeline.splitlines()]
    kept = [line for line in lines[1:] if EVENT.search(line)]
    return lines[:1] + kept[:MOST_LINES]


def status_of(report):
    return {"yes": "reproduces, with this signature",
            "moved": f"moved: {report['moved']}",
            "no": "gone: it does not show any more"}[report["reproduced"]]


def parts_of(explanation):
    """The four parts of an explanation, each a paragraph that begins with its name."""
    parts = {}
    for paragraph in re.split(r"\n\s*\n", explanation.strip()):
        name, colon, text = " ".join(paragraph.split()).partition(": ")
        parts[name if colon else ""] = text
    if list(parts) != PARTS:
        sys.exit(f"reproducers: expected an explanation of the paragraphs {', '.join(PARTS)}; found {', '.join(parts)}")
    return parts


def difference(finding):
    if not finding["what"]:
        return ""
    if finding["expected"] is None:
        return f" Seen at: {finding['what']}" + (f" {finding['address']}." if finding["address"] else ".")
    return f" Seen as: {finding['what']}: expected {finding['expected']}, found {finding['found']}."


def section(file, report):
    notes = tomllib.loads(file.read_text())
    signature = notes["signature"]
    finding = next((f for f in report["findings"] if f["signature"] == signature), None)
    lines = [f"## {signature}", "", f"Scenario: [{file.name}]({file.name}). Status: {status_of(report)}.", ""]
    parts = parts_of(notes["explanation"])
    where = ""
    if finding is not None:
        where = f"`{finding['cause']}`" + (f", before `{finding['instruction']}`" if finding["instruction"] else "")
        need = "no arrival needed" if finding["arrivals"] == 0 else f"arrivals needed: {finding['arrivals']}"
        where = f" {where}; {need}."
    seen = "" if finding is None else f" framefold calls it `{finding['kind']}`: {finding['text']}.{difference(finding)}"
    rests_on = "" if finding is None or not finding["rests_on"] else f" It rests on `{finding['rests_on']}`."
    lines += [f"**Boundary.**{where} {parts['Boundary']}", "", f"**Mechanism.** {parts['Mechanism']}", "",
              f"**Effect.** {parts['Effect']}{seen}{rests_on}", "", f"**Cure.** {parts['Cure']}", ""]
    return lines + ["```", *excerpt(report["timeline"]), "```", ""]


def readme(framefold, folder, files):
    lines = [f"# What is known to be wrong with {folder.name}", "",
             "Made by `ci/reproducers.sh` from the scenarios beside it. Each one replays by",
             f"`framefold run --trace --known=report reproducers/{folder.name}/FILE`; `framefold report` makes a page of it.", "",
             WORDS.format(flags="EFLAGS" if "x86_32" in folder.name else "RFLAGS"), ""]
    good = True
    for file in files:
        report = report_of(framefold, file)
        good = good and report["reproduced"] == "yes"
        if report["reproduced"] != "yes":
            print(f"reproducers: {file}: {status_of(report)}", file=sys.stderr)
        lines += section(file, report)
    return "\n".join(lines).rstrip() + "\n", good


def put(file, text, check):
    """True where it stands so."""
    if file.exists() and file.read_text() == text:
        return True
    if check:
        print(f"reproducers: {file} is not what ci/reproducers.sh makes of it", file=sys.stderr)
        return False
    with shared.whole_file(file) as stream:
        stream.write(text)
    print(f"reproducers: {file} written")
    return True


def main():
    parser = shared.Parser(__doc__)
    parser.add_argument("--framefold", type=shared.program, required=True)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
            files = sorted(folder.glob("*.toml"))
            for file in files:
                if report_of(options.framefold, file)["reproduced"] == "no":
                    continue  # what it once showed is all that there is to know of it: it stays, and the README says so
                good = put(file, minimised(options.framefold, file, scratch), options.check) and good
            text, reproduced = readme(options.framefold, folder, files)
            good = put(folder / "README.md", text, options.check) and reproduced and good
    return 0 if good else 1


if __name__ == "__main__":
    shared.run(main)
