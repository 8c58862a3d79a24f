"""LFM2: a list of calls in Python's syntax between tokens, or a list of JSON objects; LFM2 and LFM2.5.

Some servers let the same list follow once more behind the closing token; it does not run twice.
Source: the chat template of LiquidAI/LFM2-1.2B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from toolmend._blocks import Block, Body
from toolmend._dialect import Region
from toolmend._toolbox import NotACall, Toolbox, Written
from toolmend.parsers._tagged_calls import TaggedCalls
from toolmend.parsers._tagged_json import unwrapped

__all__ = ["Lfm2"]

_OPEN, _CLOSE = "<|tool_call_start|>", "<|tool_call_end|>"


class Lfm2(TaggedCalls):
    """``<|tool_call_start|>[f(a="x"), g()]<|tool_call_end|>``."""

    name = "lfm2"
    models = ("*lfm2*",)
    sample = '<|tool_call_start|>[find_book(title="Dune", max_hits=3)]<|tool_call_end|>'
    opener = r"<\|tool_call_start\|>"
    closers = (_CLOSE,)
    head = f"{_OPEN}["
    tail = f"]{_CLOSE}"

    def blocks(self, tools: Toolbox) -> Sequence[Block]:
        """The marker with calls or JSON behind it, and perhaps their echo."""
        return [replace(block, body=_echoed(block.body)) for block in super().blocks(tools)]

    def parse(self, region: Region) -> Sequence[Written | NotACall]:
        """The calls between the markers, once."""
        pieces = region.text.removeprefix(_OPEN).split(_CLOSE)  # a value may hold the closer, and so may its echo
        half = len(pieces) // 2
        calls, echo = _CLOSE.join(pieces[:half]), _CLOSE.join(pieces[half:])
        return super().parse(replace(region, text=_OPEN + calls) if calls.strip() == echo.strip() else region)


def _echoed(body: Callable[[str, str], Body]) -> Callable[[str, str], Body]:
    return lambda opener, lead: _EchoedBody(body(opener, lead))


class _EchoedBody:
    """A body whose region goes on if the text between its markers follows once more."""

    value = None

    def __init__(self, body: Body) -> None:
        self.whole = False
        self._body = body
        self._pieces: list[str] = []
        self._end: int | None = None  # where the body inside ends
        self._echo = ""
        self._left = 0  # how much of the echo has still to follow
        self._echoed = 0  # how much has followed, white space before it included

    def feed(self, text: str) -> int | None:
        """See `Body.feed`."""
        if self._end is None:
            self._pieces.append(text)
            self._end = self._body.feed(text)
            if self._end is None:
                return None
            region = "".join(self._pieces)
            self._echo = unwrapped(region[: self._end], Lfm2.opener, Lfm2.closers)
            self._left = len(self._echo)
            text = region[self._end :]
        return self._follow(text, self._end)

    def _follow(self, text: str, end: int) -> int | None:
        """Compare what follows with the echo."""
        if self._left == len(self._echo):
            behind = text.lstrip()
            self._echoed += len(text) - len(behind)
            text = behind
        text = text[: self._left]
        if not self._echo.startswith(text, len(self._echo) - self._left):
            return end
        self._left -= len(text)
        self._echoed += len(text)
        return None if self._left else end + self._echoed

    def close(self) -> int:
        """See `Body.close`."""
        if self._end is not None:
            self.whole = True
            return self._end
        end = self._body.close()
        self.whole = self._body.whole
        return end
