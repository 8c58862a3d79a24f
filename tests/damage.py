"""Calls as models really break them: rendered in a dialect, then damaged in the ways that were counted in the wild."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

import toolmend
from tests.test_laws import TOOLS, joined, some_calls
from toolmend import DIALECTS, Event, RenderError, Reply

Draw = Callable[[st.SearchStrategy], object]
NAMES = {tool.name for tool in TOOLS}
TOKENS = [
    "<|im_end|>",
    "<|im_start|>assistant\n",
    "</s>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|end_header_id|>",
    "<|endoftext|>",
]
BEFORE = [
    "Sure! ",
    "I will look.\n",
    "Tool call: ",
    "For example: ",
    "> ",
    "`",
    '"',
    "<think>hm</think>\n",
    "```json\n",
    "1. ",
]
AFTER = [
    "\nDone.",
    " and then",
    "\n```",
    "`",
    "\nThis finds the book.",
    "\n\nObservation: none",
    "</answer>",
    "}",
    "\n</tool_call>",
]
ALIASES = ["parameters", "args", "params", "input"]
COMMENTS = [" // here", " # here", "/* here */"]
AGAIN = ["", "\n", " and ", "\nAs I said above, at length and without need, the call was:\n"]
PAIR = re.compile(r'"\w+": (?:[^,{}\[\]"]+|"[^"]*")')
MARKER = re.compile(r"<[^<>\s]{1,40}>|\[/?[A-Z_]{4,}\]|`{3}[a-z]*")


def everywhere(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


def once(draw: Draw, text: str, pattern: str | re.Pattern[str], change: Callable[[str], str]) -> str:
    """Change one place, any of those that a pattern matches."""
    places = list(re.finditer(pattern, text))
    if not places:
        return text
    place = draw(st.sampled_from(places))
    return text[: place.start()] + change(place.group()) + text[place.end() :]


def inserted(draw: Draw, text: str, piece: str) -> str:
    at = draw(st.integers(0, len(text)))
    return text[:at] + piece + text[at:]


def cut_off(draw: Draw, text: str) -> str:
    return text[: draw(st.integers(0, len(text)))]


def pick(draw: Draw, options: Sequence[str]) -> str:
    return draw(st.sampled_from(options))


DAMAGES: dict[str, Callable[[Draw, str], str]] = {
    "cut anywhere": cut_off,
    "without its last marker": lambda _, text: re.sub(r"(?:<[^<>]*>|\[/?\w+\]|[`)\]}\s])+\Z", "", text),
    "without a marker": lambda draw, text: once(draw, text, MARKER, lambda _: ""),
    "a marker twice": lambda draw, text: once(draw, text, MARKER, lambda marker: marker * 2),
    "half a marker": lambda draw, text: once(draw, text, MARKER, lambda marker: marker[: len(marker) // 2]),
    "single quotes": lambda _, text: everywhere(text, '"', "'"),
    "one quote changed": lambda draw, text: once(draw, text, '"', lambda _: pick(draw, ["'", "“", "”", "", '\\"'])),
    "typographic quotes": lambda _, text: re.sub('"([^"]*)"', "“\\1”", text),
    "Python's literals": lambda _, text: re.sub(
        r"\b(?:true|false|null)\b", lambda m: {"true": "True", "false": "False", "null": "None"}[m.group()], text
    ),
    "JSON's literals": lambda _, text: text.replace("True", "true").replace("False", "false").replace("None", "null"),
    "a trailing comma": lambda draw, text: once(draw, text, r"[}\])]", lambda bracket: "," + bracket),
    "a bracket too many": lambda draw, text: once(draw, text, r"[}\])]", lambda bracket: bracket * 2),
    "a bracket too few": lambda draw, text: once(draw, text, r"[}\])]", lambda _: ""),
    "a comma too few": lambda draw, text: once(draw, text, ",", lambda _: ""),
    "a comment": lambda draw, text: once(draw, text, r"[,{]", lambda sign: sign + pick(draw, COMMENTS)),
    "escaped underscores": lambda _, text: everywhere(text, "_", "\\_"),
    "another key": lambda draw, text: everywhere(text, '"arguments"', f'"{pick(draw, ALIASES)}"'),
    "a key twice": lambda draw, text: once(draw, text, PAIR, lambda pair: f"{pair}, {pair}"),
    "keys without quotes": lambda _, text: re.sub(r'"(\w+)":', r"\1:", text),
    "escapes undone": lambda _, text: text.replace("\\n", "\n").replace('\\"', '"'),
    "a wrong escape": lambda draw, text: once(draw, text, r"(?<=\w)\w", lambda letter: "\\" + letter),
    "an undeclared name": lambda _, text: everywhere(text, "find_book", "find_books"),
    "a chat token": lambda draw, text: inserted(draw, text, pick(draw, TOKENS)),
    "a token behind": lambda draw, text: text + pick(draw, TOKENS) * draw(st.integers(1, 3)),
    "text before": lambda draw, text: pick(draw, BEFORE) + text,
    "text behind": lambda draw, text: text + pick(draw, AFTER),
    "said twice": lambda draw, text: text + pick(draw, AGAIN) + text,
    "fenced": lambda draw, text: pick(draw, ["```\n", "```json\n", "~~~\n"]) + text + pick(draw, ["\n```", ""]),
    "thought": lambda draw, text: "<think>" + text + pick(draw, ["</think>", "", "</think>ok"]),
    "without line breaks": lambda _, text: everywhere(text, "\n", ""),
    "Windows' line breaks": lambda _, text: everywhere(text, "\n", "\r\n"),
    "a character too few": lambda draw, text: once(draw, text, r"[\s\S]", lambda _: ""),
    "a character too many": lambda draw, text: inserted(draw, text, draw(st.characters())),
}  # fmt: skip


@st.composite
def damaged(draw: Draw, dialects: Sequence[toolmend.Dialect] = DIALECTS) -> str:
    """A reply with calls of one dialect or two, each with up to three kinds of damage."""
    parts: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        dialect = draw(st.sampled_from(dialects))
        try:
            text = dialect.render_calls(draw(some_calls))
        except RenderError:
            text = dialect.sample
        for kind in draw(st.lists(st.sampled_from(sorted(DAMAGES)), max_size=3)):
            text = DAMAGES[kind](draw, text)
        parts.append(text)
    return draw(st.sampled_from(["\n", "", " ", "\n\n"])).join(parts)


def read(pieces: Sequence[str], *, truncated: bool = False) -> list[Event]:
    parser = toolmend.StreamParser(TOOLS)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return joined([*events, *parser.close(truncated=truncated)])


def cut(text: str, edges: Sequence[int]) -> list[str]:
    """Text in pieces."""
    inner = sorted({edge % (len(text) + 1) for edge in edges} - {0, len(text)})
    return [text[a:b] for a, b in zip([0, *inner], [*inner, len(text)], strict=True)]


def check_laws(text: str, edges: Sequence[int]) -> None:
    """Lossless, total, the same in every chunking, only declared names, nothing new in a reply that was cut."""
    whole = read([text])
    assert "".join(event.raw for event in whole) == text
    assert read(cut(text, edges)) == whole
    assert read(list(text)) == whole
    calls = Reply.of(whole).calls
    assert all(call.name in NAMES for call in calls)
    short = read([text], truncated=True)
    assert "".join(event.raw for event in short) == text
    assert read(cut(text, edges), truncated=True) == short
    before = Reply.of(short).calls
    assert before == calls[: len(before)]
