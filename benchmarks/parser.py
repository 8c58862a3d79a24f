"""What the parser costs: against a bare loop, against itself at other sizes, and side by side with other libraries.

usage: python benchmarks/parser.py [TABLE ...]    (the group `bench` has the other libraries)
"""

from __future__ import annotations

import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence

import json_repair
import regex
from _table import ratio, write
from langchain_core.utils.json import parse_partial_json
from openai_harmony import HarmonyEncodingName, Role, StreamableParser, load_harmony_encoding

import toolmend
from toolmend import DIALECTS, Dialect, RenderError, StreamParser, ToolCall, ToolSpec, parse
from toolmend._openers import openers_of
from toolmend._toolbox import Toolbox

TOOLS = [
    ToolSpec(name=name, parameters={"type": "object", "properties": {"text": {"type": "string"}}})
    for name in ("write_note", "find_book", "get_weather", "ping")
]
PROSE = (
    "The library holds about two million books (most of them in the cellar), and nobody knows why. A reader asked for "
    'one called "The Trial"; it took a week.\nThen the reader called again: 3 < 4, f(x) = [1, 2], and so on.\n\n'
)
NOTE = (
    'The library holds about two million books, most of them in the "cellar", and nobody knows why.\n'
    "Then a reader called again; the cat\\dog was asleep.\n"
)
CODE = "for (const x of [1, 2]) {\n    call(x, {'a': \"b\"});\n}\n"
WORDS = (PROSE + CODE + "- item 1. def return if call tool function action {} () => <b> `x` write find get").split()
SIZE = 64 << 10
DELTA = 4


def text_of(unit: str, size: int) -> str:
    return (unit * (size // len(unit) + 1))[:size]


def lines(size: int) -> str:
    """Lines of words in any order, half of them indented: nothing comes twice."""
    chance = random.Random(1)
    text: list[str] = []
    while sum(map(len, text)) < size:
        indent = " " * chance.choice((0, 0, 0, 2, 4, 8))
        text.append(indent + " ".join(chance.choices(WORDS, k=chance.randint(2, 12))) + "\n")
    return "".join(text)[:size]


def pieces(text: str, size: int = DELTA) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def stream(deltas: Sequence[str], **options: bool) -> None:
    """What a consumer does that shows what comes: to keep all events would cost the garbage collector more."""
    parser = StreamParser(TOOLS, **options)
    for delta in deltas:
        parser.feed(delta)
    parser.close()


def call_in(dialect: Dialect, size: int, unit: str = NOTE) -> str | None:
    """A call with one long argument; `None` where the dialect cannot write it."""
    try:
        text = dialect.render_calls([ToolCall(name="write_note", arguments={"text": text_of(unit, size)})])
    except RenderError:
        return None
    [call] = parse(text, TOOLS).calls
    assert len(call.arguments["text"]) == size
    return text


def times(value: float) -> str:
    return f"{value:.2f}"


def milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"


def prose() -> None:
    """Prose in small deltas against a loop that does no more than search each delta for all openers at once."""
    openers = regex.compile("|".join(f"(?:{e})" for _, e in openers_of(DIALECTS, Toolbox(TOOLS)).outside.expressions))
    rows = []
    texts = {
        "prose": text_of(PROSE, SIZE),
        "code": text_of(CODE, SIZE),
        "Chinese": text_of("他说：你好。", SIZE),
        "lines of words in any order": lines(SIZE),
    }
    for name, text in texts.items():
        deltas = pieces(text)

        def bare(deltas: list[str] = deltas) -> None:
            for delta in deltas:
                openers.search(delta, partial=True)

        ours, base, factor = ratio(lambda deltas=deltas: stream(deltas), bare, rounds=5)
        per_delta = f"{ours / len(deltas) * 1e6:.1f} µs"
        rows.append((name, milliseconds(ours), per_delta, milliseconds(base), times(factor)))
    write("parser-prose", ("64 KB of", "toolmend", "a delta", "one search a delta", "ratio"), rows)


def argument() -> None:
    """A long argument against as many deltas of prose, and twice the argument against it."""
    rows = []
    for dialect in DIALECTS:
        text, double = call_in(dialect, SIZE), call_in(dialect, 2 * SIZE)
        if text is None or double is None:
            rows.append((f"`{dialect.name}`", "cannot write it", "", ""))
            continue
        deltas, twice = pieces(text), pieces(double)
        plain = pieces(text_of(PROSE, len(text)))
        ours, _, factor = ratio(lambda d=deltas: stream(d), lambda d=plain: stream(d), rounds=5)
        _, _, growth = ratio(lambda d=twice: stream(d), lambda d=deltas: stream(d), rounds=7)
        rows.append((f"`{dialect.name}`", milliseconds(ours), times(factor), times(growth)))
    write("parser-argument", ("dialect", "64 KB argument", "ratio to prose", "twice as long"), rows)


def hostile() -> None:
    """A megabyte of what might open something, against half of it; whole, and in deltas of 4."""
    rows = []
    for unit in ("<tool_call>", '<tool_call>{"', "{", "[", '"', "'", "\\", "```json\n", "\nwrite_note(", "<"):
        whole, half = text_of(unit, 1 << 20), text_of(unit, 1 << 19)
        work, _, growth = ratio(lambda t=whole: stream([t]), lambda t=half: stream([t]), rounds=3)
        deltas, fewer = pieces(whole[: 1 << 18]), pieces(whole[: 1 << 17])
        small, _, also = ratio(lambda d=deltas: stream(d), lambda d=fewer: stream(d), rounds=3)
        rows.append(
            (f"`` {json.dumps(unit)[1:-1]} ``", milliseconds(work), times(growth), milliseconds(small), times(also))
        )
    header = ("repeated", "1 MB, whole", "twice as long", "256 KB in deltas of 4", "twice as long")
    write("parser-hostile", header, rows)


def reply() -> None:
    """A typical reply of 300 characters against finding its marker and loading its JSON."""
    body = json.dumps({"name": "write_note", "arguments": {"text": text_of(NOTE, 165)}})
    text = f"I will write that down for you, so that it is not lost.\n<tool_call>\n{body}\n</tool_call>"
    assert 290 < len(text) < 310, len(text)

    def bare() -> object:
        start = text.find("<tool_call>") + len("<tool_call>")
        return json.loads(text[start : text.find("</tool_call>", start)])

    def again(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: [work() for _ in range(300)]

    rows = []
    for name, dialects in (("all", DIALECTS), ("only `hermes`", (toolmend.get_dialect("hermes"),))):
        ours, base, factor = ratio(again(lambda d=dialects: parse(text, TOOLS, dialects=d)), again(bare))
        rows.append((name, f"{ours / 300 * 1e6:.0f} µs", f"{base / 300 * 1e6:.1f} µs", times(factor)))
    specs = [ToolSpec(name=f"tool_{time.time_ns()}_{number}") for number in range(4)]
    start = time.perf_counter()
    parse(text, specs)
    rows.append(("all, the first time with new tools", milliseconds(time.perf_counter() - start), "", ""))
    write("parser-reply", ("dialects", "`parse`", "`find` and `json.loads`", "ratio"), rows)


def others() -> None:
    """The same inputs through other libraries, where they can read them at all."""
    rows = []
    broken = "{'text': 'a note', \"count\": 3, tags: ['a', 'b',], ok: True"
    whole = f'<tool_call>{{"name": "ping", "arguments": {broken}}}</tool_call>'
    ours, base, factor = ratio(
        lambda: [parse(whole, TOOLS) for _ in range(100)], lambda: [json_repair.loads(broken) for _ in range(100)]
    )
    rows.append(("broken JSON, 60 characters", "`json_repair.loads`", ours / 100, base / 100, factor))
    for size in (2 << 10, 16 << 10):
        inside = json.dumps({"text": text_of(NOTE, size)})
        deltas = pieces(f'<tool_call>{{"name": "write_note", "arguments": {inside}}}</tool_call>')

        def again(inside: str = inside) -> None:
            for end in range(DELTA, len(inside), DELTA):
                parse_partial_json(inside[:end])

        ours, base, factor = ratio(lambda d=deltas: stream(d, stream_arguments=True), again, rounds=3)
        rows.append((f"{size >> 10} KB argument, streamed", "`parse_partial_json`, per delta", ours, base, factor))
    try:
        encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    except Exception as error:  # its vocabulary is downloaded
        print(f"openai-harmony cannot load its vocabulary here: {error}", file=sys.stderr)
    else:
        text = call_in(toolmend.get_dialect("openai"), 16 << 10) or ""
        tokens = encoding.encode(text.removeprefix("<|start|>assistant"), allowed_special="all")

        def official() -> None:
            parser = StreamableParser(encoding, role=Role.ASSISTANT)
            for token in tokens:
                parser.process(token)

        ours, base, factor = ratio(lambda: stream(pieces(text)), official, rounds=3)
        rows.append(("16 KB harmony, streamed", "`openai-harmony`, from tokens", ours, base, factor))
    table = [(name, other, milliseconds(a), milliseconds(b), times(c)) for name, other, a, b, c in rows]
    write("parser-others", ("input", "against", "toolmend", "the other", "ratio"), table)


def memory() -> None:
    """Peak memory for a long argument; with small deltas a shorter one, since tracing is slow."""
    rows = []
    for size, delta in ((10 << 20, 20 << 20), (10 << 20, 4096), (2 << 20, DELTA)):
        text = call_in(toolmend.get_dialect("hermes"), size) or ""
        for show in (False, True):
            tracemalloc.start()
            parser = StreamParser(TOOLS, stream_arguments=show)
            for at in range(0, len(text), delta):
                parser.feed(text[at : at + delta])
            parser.close()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            fed = "whole" if delta > size else f"deltas of {delta} characters"
            told = "while written" if show else "whole"
            rows.append((f"{size >> 20} MB", fed, told, f"{peak / (1 << 20):.0f} MB", times(peak / len(text))))
    write("parser-memory", ("argument", "fed", "told", "peak", "times the text"), rows)


TABLES = (prose, argument, hostile, reply, others, memory)


def main() -> None:
    for table in TABLES:
        if len(sys.argv) < 2 or table.__name__ in sys.argv[1:]:
            table()


if __name__ == "__main__":
    main()
