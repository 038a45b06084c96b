#!/usr/bin/env python3
"""Holds what build.sh has made for OSS-Fuzz against each rule of the contract.

The rules are those of OSS-Fuzz's own gate (bad_build_check, test_all.py, compile) and of what its runners do with a fuzz
binary, some of them sharper: there a binary with too few edges gets a warning. ci/oss-fuzz/check.sh builds, and runs this
for each engine and sanitizer, in the environment that it has built in.

Exit status: 0 all hold, as far as they can be checked here; 1 one is broken; 2 wrong use.
"""

import os
import resource
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Each of them adds its rules, in this order.
import build_rules  # noqa: E402, F401
import out_rules  # noqa: E402, F401
import run_rules  # noqa: E402, F401
import shared  # noqa: E402
from contract import RULES, Context, apply, fuzzers, one_line  # noqa: E402

ENVIRONMENT = ("CC", "CFLAGS", "CXX", "CXXFLAGS", "LIB_FUZZING_ENGINE")  # of the build, that rules look at


def check(context: Context) -> dict[str, list[tuple[str, str, str]]]:
    """By rule: (status, fuzzer, text) of each application."""
    found = fuzzers(context)
    work = [(one, fuzzer) for one in RULES if one.engine in (None, context.engine) for fuzzer in (found if one.per_fuzzer else [None])]
    work.sort(key=lambda item: item[0].timed)
    timed = [item for item in work if item[0].timed]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda item: apply(item[0], context, item[1]), work[: len(work) - len(timed)]))
    results += [apply(one, context, fuzzer) for one, fuzzer in timed]
    by_rule: dict[str, list[tuple[str, str, str]]] = {}
    for (one, fuzzer), (status, text) in zip(work, results):
        by_rule.setdefault(one.name, []).append((status, fuzzer.name if fuzzer else "", text))
    return by_rule


def print_report(context: Context, by_rule: dict[str, list[tuple[str, str, str]]]) -> bool:
    print(f"check: {context.engine} with {context.sanitizer}: {context.out}")
    good = True
    for one in RULES:
        for results in [by_rule.get(one.name)]:
            if results is None:
                continue
            bad = [result for result in results if result[0] != "ok"]
            status = "BROKEN" if any(r[0] == "BROKEN" for r in bad) else bad[0][0] if bad else "ok"
            good = good and status != "BROKEN"
            print(f"  {status:<12} {one.name:<16} {one.text}")
            for _, fuzzer, text in bad:
                print("\n".join(f"      {line}" for line in f"{fuzzer}{': ' if fuzzer else ''}{text}".splitlines()))
    return good


def copy_or_leave(source: str, copy: str) -> None:
    """What cannot be read, nobody can read there either: the rules tell of it."""
    try:
        shutil.copy2(source, copy)
    except OSError:
        Path(copy).touch(mode=0)


def main() -> int:
    parser = shared.Parser(__doc__)
    parser.add_argument("--rules", action="store_true", help="print the rules, and do nothing")
    parser.add_argument("--engine", choices=("libfuzzer", "afl", "honggfuzz"))
    parser.add_argument("--sanitizer", choices=("address", "undefined"))
    parser.add_argument("--out", type=shared.folder)
    parser.add_argument("--work", type=shared.folder)
    parser.add_argument("--src", type=shared.folder)
    parser.add_argument("--entry", action="append", default=[], metavar="NAME", help="one whose fuzz binary was to be made")
    options = parser.parse_args()
    if options.rules:
        for one in RULES:
            print(f"{one.name:<16} {one.text}{f' ({one.engine})' if one.engine else ''}")
        return 0
    if None in (options.engine, options.sanitizer, options.out, options.work, options.src) or not options.entry:
        parser.error("--engine, --sanitizer, --out, --work, --src and --entry are needed")
    if lacking := [name for name in ENVIRONMENT if name not in os.environ]:
        parser.error(f"no {lacking[0]} in the environment: ci/oss-fuzz/check.sh runs this in that of the build")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="framefold-check-") as scratch:
        os.chmod(scratch, 0o755)
        # As test_all.py does: what has a path in it that was good at build time does not work here.
        moved = Path(scratch) / "moved"
        try:
            shutil.copytree(options.out, moved, symlinks=True, copy_function=copy_or_leave)
        except OSError as error:
            parser.error(f'cannot copy "{options.out}": {one_line(str(error))}')
        context = Context(options.engine, options.sanitizer, moved, options.work, options.src, Path(scratch), dict(os.environ),
                          entries=tuple(options.entry))  # fmt: skip
        by_rule = check(context)
        context.out = options.out
        return 0 if print_report(context, by_rule) else 1


if __name__ == "__main__":
    shared.run(main)
