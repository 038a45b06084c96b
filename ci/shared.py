"""What the Python scripts of ci/ share: a command line that says in one line what is wrong, an end that cleans up, files that are
written as a whole."""

import argparse
import contextlib
import os
import re
import signal
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TextIO

ROOT = Path(__file__).resolve().parent.parent


class Parser(argparse.ArgumentParser):
    """Wrong use is one line and status 2, as in the shell scripts."""

    def __init__(self, description: str, **options):
        super().__init__(prog=os.path.relpath(os.path.abspath(sys.argv[0]), ROOT), description=description, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter, **options)  # fmt: skip

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{Path(self.prog).stem}: {message} (--help lists the options)\n")


def whole_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f'expected a whole number of 1 or more, got "{text}"')
    return int(text)


def folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f'no folder "{text}"')
    return Path(text)


def file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f'no file "{text}"')
    return Path(text)


def program(text: str) -> Path:
    """Absolute, so that it is this file that is run, and from any folder."""
    if not Path(text).is_file() or not os.access(text, os.X_OK):
        raise argparse.ArgumentTypeError(f'no program "{text}"')
    return Path(text).resolve()


def test_parser(description: str) -> Parser:
    parser = Parser(description)
    parser.add_argument("-k", action="append", default=[], metavar="TEXT", help="only tests whose name contains TEXT; may be repeated")
    parser.add_argument("-v", action="store_true", help="name each test")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="a class, or a test as class.name (default all)")
    return parser


def run_tests(options: argparse.Namespace) -> NoReturn:
    chosen = [word for text in options.k for word in ("-k", text)]
    unittest.main(argv=[sys.argv[0], *(["-v"] if options.v else []), *chosen, *options.tests])


def end(signum: int, _) -> NoReturn:
    for other in (signal.SIGINT, signal.SIGTERM):  # it is on its way
        signal.signal(other, lambda *_: None)
    sys.exit(128 + signum)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Interrupted, or with nobody who reads what it prints, it leaves no scratch folder and no half-written file, and prints no
    traceback."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, end)
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to print, Python prints at its end
        status = 128 + signal.SIGPIPE
    sys.exit(status)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """To write it: as long as that is not done, it is what it was."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with new.open("w", encoding="utf-8") as stream:
            yield stream
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
