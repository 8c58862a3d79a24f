"""What a parser tells while it reads, and the whole reply at the end.

Every event carries `raw`, the exact characters it stands for: the raws of all events, joined, are the reply. New
kinds of event may come; a consumer ignores what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable

from toolmend._record import record
from toolmend._types import ToolCall

__all__ = ["Event", "ReasoningDelta", "Reply", "TextDelta", "ToolCallDelta", "ToolCallFailed", "ToolCallParsed"]


@record()
class TextDelta:
    """A piece of the answer.

    Attributes:
        text: what to show; differs from `raw` only where a leftover chat token was taken away.
        raw: the characters the model wrote.
    """

    text: str
    raw: str


@record()
class ReasoningDelta:
    """A piece of the model's reasoning (inside ``<think>`` and the like).

    Attributes:
        text: the reasoning without its tags.
        raw: the characters the model wrote, tags included.
    """

    text: str
    raw: str


@record()
class ToolCallDelta:
    """A piece of the arguments of a call that is still being written; only told with ``stream_arguments=True``.

    The pieces of one call, joined, are the JSON of its arguments in the `ToolCallParsed` that follows. If a
    `ToolCallFailed` follows instead, the call turned out broken: drop what was shown of it.

    Attributes:
        index: which call of the reply it is.
        name: the tool's name.
        arguments: the next piece of JSON text.
        raw: always empty; the whole call brings its text.
    """

    index: int
    name: str
    arguments: str
    raw: str = ""


@record()
class ToolCallParsed:
    """One region of the reply that holds one call or more.

    Attributes:
        calls: the calls, in the order written.
        dialect: the name of the format they were written in.
        raw: the whole region, markers included.
    """

    calls: tuple[ToolCall, ...]
    dialect: str
    raw: str


@record()
class ToolCallFailed:
    """A region that was meant as a call but must not run. Its `raw` belongs to the text.

    Attributes:
        dialect: the name of the format it looks like.
        raw: the whole region, markers included.
        reason: why it is no call, in a few words.
    """

    dialect: str
    raw: str
    reason: str


Event = TextDelta | ReasoningDelta | ToolCallDelta | ToolCallParsed | ToolCallFailed


@record()
class Reply:
    """A whole reply, taken apart.

    Attributes:
        text: the answer without calls and reasoning; calls that could not be read stay in it, whole.
        reasoning: what the model thought aloud.
        calls: the calls to run, in the order written.
        failed: what was meant as a call but is not one, with the reason.
        dialect: the format of the first call, or `None` without calls.
    """

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    failed: tuple[ToolCallFailed, ...]
    dialect: str | None

    @classmethod
    def of(cls, events: Iterable[Event]) -> Reply:
        """Gather the events of one reply."""
        text: list[str] = []
        reasoning: list[str] = []
        calls: list[ToolCall] = []
        failed: list[ToolCallFailed] = []
        dialect: str | None = None
        for event in events:
            if isinstance(event, TextDelta):
                text.append(event.text)
            elif isinstance(event, ToolCallParsed):
                calls.extend(event.calls)
                dialect = dialect or event.dialect
            elif isinstance(event, ReasoningDelta):
                reasoning.append(event.text)
            elif isinstance(event, ToolCallFailed):
                text.append(event.raw)
                failed.append(event)
        return cls("".join(text), "".join(reasoning), tuple(calls), tuple(failed), dialect)
