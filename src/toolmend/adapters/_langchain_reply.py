"""The text of a LangChain reply, searched for calls.

Text, and only text, goes to the turn's reader; all else a message carries stays as it is. Whole
messages are read here; streams are read in `_langchain_chunks` with the same `SearchedText`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from toolmend._turn import Item, Reader, Turn
from toolmend._types import ToolCall
from toolmend.adapters._langchain_content import Block, content_of, parts_of, text_in

__all__ = ["FINISH", "SearchedText", "Tell", "says_why_it_ended", "searched", "was_cut"]

Tell = Callable[[Reader], dict[str, Any]]
"""Tells what was done for a reply to whoever wants to know; gives what is to stand in its metadata."""

FINISH = ("finish_reason", "done_reason", "stop_reason")
_LIMITS = ("length", "max_tokens")


def searched(result: ChatResult, turn: Turn, tell: Tell | None = None) -> ChatResult:
    """Take the calls out of the text of a result's messages.

    Args:
        result: what the inner model generated; it is not changed.
        turn: the turn of the request; if it is not active, the result comes back as it is.
        tell: called with each reader when it is through.

    Returns:
        The result with the calls in ``tool_calls`` and a note on what was done in ``response_metadata``. What has not
        changed, messages as well as the result, is the same object as before.
    """
    if not turn.active:
        return result
    generations, changed = list(result.generations), False
    for i, generation in enumerate(generations):
        message, info = generation.message, generation.generation_info
        if not isinstance(message, AIMessage):
            continue
        if message.tool_calls or message.invalid_tool_calls:
            changes = _mended(message, turn)
        else:
            truncated = was_cut(info, message.response_metadata)
            changes, reader = _recovered(message, turn, truncated=truncated)
            note = tell(reader) if tell else {}
            if note:
                changes["response_metadata"] = {**message.response_metadata, **note}
        if changes:
            generations[i] = ChatGeneration(message=message.model_copy(update=changes), generation_info=info)
            changed = True
    return ChatResult(generations=generations, llm_output=result.llm_output) if changed else result


def says_why_it_ended(*metadata: Mapping[str, Any] | None) -> bool:
    """Whether metadata says why a reply ended."""
    return any(data.get(key) for data in filter(None, metadata) for key in FINISH)


def was_cut(*metadata: Mapping[str, Any] | None) -> bool:
    """Whether the length limit has ended a reply, so that what stands open in it is unfinished."""
    return any(data and any(data.get(key) in _LIMITS for key in FINISH) for data in metadata)


class SearchedText:
    """The text of one reply on its way through the reader.

    The reader drops the white space around calls. Since a message has only one text, a line break
    keeps apart what stood before a call and what stood behind it.
    """

    def __init__(self, turn: Turn, *, stream_arguments: bool = False) -> None:
        self._turn = turn
        self.reader = turn.reader(stream_arguments=stream_arguments)
        self._reader: Reader | None = self.reader  # until the end
        self._shown = self._divided = False

    def feed(self, text: str) -> list[Item]:
        """Take the next piece; give out what is certain."""
        return [self._turn.mended(text)] if self._reader is None else self._apart(self._reader.feed(text))

    def close(self, *, truncated: bool) -> list[Item]:
        """Take the end of the text; later text passes as it is."""
        if self._reader is None:
            return []
        reader, self._reader = self._reader, None
        return self._apart(reader.close(truncated=truncated))

    def stop(self) -> list[Item]:
        """Search no further; what is held comes out as text."""
        held, self._reader = self.held, None
        return self._apart([held] if held else [])

    @property
    def held(self) -> str:
        """What was fed and is not yet out."""
        return self._reader.held if self._reader else ""

    def _apart(self, items: list[Item]) -> list[Item]:
        for i, item in enumerate(items):
            if isinstance(item, str):
                if self._divided and self._shown:
                    items[i] = "\n" + item
                self._shown, self._divided = True, False
            elif isinstance(item, ToolCall):
                self._divided = True
        return items


def _recovered(message: AIMessage, turn: Turn, *, truncated: bool) -> tuple[dict[str, Any], Reader]:
    """What changes in a message, and who has read it."""
    content = content_of(message)
    if not isinstance(content, str):
        return _recovered_from_parts(message, turn, truncated=truncated)
    reader = turn.reader()
    items = reader.read(content, truncated=truncated)
    if not reader.calls:
        return _mended(message, turn), reader
    texts = [item for item in items if isinstance(item, str)]
    return {"content": "\n".join(texts), "tool_calls": _as_dicts(reader.calls)}, reader


def _recovered_from_parts(message: AIMessage, turn: Turn, *, truncated: bool) -> tuple[dict[str, Any], Reader]:
    parts = parts_of(message)
    texts = [i for i, part in enumerate(parts) if text_in(part)]
    text = SearchedText(turn)
    kept: list[Block] = []
    calls: list[ToolCall] = []
    for i, part in enumerate(parts):
        if i not in texts:
            kept.append(part)
            continue
        items = text.feed(text_in(part) or "")
        if i == texts[-1]:
            items += text.close(truncated=truncated)
        calls.extend(item for item in items if isinstance(item, ToolCall))
        shown = "".join(item for item in items if isinstance(item, str))
        if shown:
            kept.append(shown if isinstance(part, str) else {**part, "text": shown})
    return _with_calls(message, kept, calls) if calls else _mended(message, turn), text.reader


def _mended(message: AIMessage, turn: Turn) -> dict[str, Any]:
    """What changes where the markers were broken in what tools have answered."""
    if not turn.mark:
        return {}
    content, calls = turn.mended(content_of(message)), turn.mended(message.tool_calls)
    if content == content_of(message) and calls == message.tool_calls:
        return {}
    return {"content": content, "tool_calls": calls}


def _with_calls(message: AIMessage, kept: list[Block], calls: list[ToolCall]) -> dict[str, Any]:
    found = _as_dicts(calls)
    # Blocks marked as v1 are all that LangChain will look at.
    is_v1 = message.response_metadata.get("output_version") == "v1"
    return {"content": [*kept, *found] if is_v1 else kept, "tool_calls": found}


def _as_dicts(calls: list[ToolCall]) -> list[Block]:
    return [{"type": "tool_call", "name": call.name, "args": call.arguments, "id": call.id} for call in calls]
