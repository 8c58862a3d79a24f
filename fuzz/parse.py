"""Feeds the parser what a coverage-guided fuzzer thinks up; any law that breaks is a crash.

usage: python fuzz/parse.py [libFuzzer options] [directory of found inputs]

An input is text in UTF-8; from its last bytes come the places where it is cut. It may hold the markers of all formats
as single private characters, so that the fuzzer does not have to spell them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["toolmend"]):
    import toolmend

from tests.damage import check_laws
from tests.test_laws import FRAGMENTS

CUTS = 4
SHORT = {chr(0xE000 + number): fragment for number, fragment in enumerate(FRAGMENTS)}
"""Private characters that stand for markers."""


def text_of(data: bytes) -> str:
    """The text that an input means."""
    written = data.decode("utf-8", "replace")
    return "".join(SHORT.get(character, character) for character in written)


def run(data: bytes) -> None:
    """One input."""
    body, edges = data[:-CUTS], data[-CUTS:]
    check_laws(text_of(body), [edge * 7 for edge in edges])


def seeds(directory: Path) -> None:
    """What the fuzzer begins with: a call of each format, short and spelled."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, dialect in enumerate(toolmend.DIALECTS):
        (directory / f"sample-{dialect.name}").write_bytes(dialect.sample.encode() + bytes(CUTS))
        short = "".join(list(SHORT)[(number * 3 + step) % len(SHORT)] for step in range(4))
        (directory / f"short-{number}").write_bytes(short.encode() + bytes(CUTS))


def main() -> None:
    """Fuzz until something breaks or the time is over."""
    directories = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    for directory in directories[:1]:
        seeds(directory)
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
