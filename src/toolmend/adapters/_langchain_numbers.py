"""The calls of a streamed LangChain reply, told apart.

LangChain puts the pieces of a call together by an index, and some integrations leave it out or give it twice. So every
call gets an index of its own, native ones too.

LangChain also closes by itself what stands open in arguments, so that half a call looks whole. A native call that ends
half way gets an end that does not match: it is then an invalid call, as it is where the reply comes whole.

The arguments of a call may be sent on while they are written, and then the call may turn out to be none. LangChain
takes what it has of a call for a whole one, so such a call is taken back: out of the chunks that were sent, which are
joined when the reply is over, and for those who join them as they come, by an end that makes the arguments unreadable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from toolmend._turn import ArgumentsDelta
from toolmend._types import ToolCall

__all__ = ["CallNumbers", "CallsInPieces"]

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?P<end>"|\\?\Z)', re.DOTALL)


class CallNumbers:
    """Gives every call of a reply an index of its own."""

    def __init__(self, first: int = 0) -> None:
        self._next = first
        self._ids: dict[int, str | None] = {}
        self._given: dict[int | None, int] = {}  # the index of the native call > the index sent on
        self._native: dict[Any, list[str]] = {}  # the arguments of native calls by the index sent on
        self._latest: Any = None

    def skip_to(self, index: int) -> None:
        """Give no index below this one."""
        self._next = max(self._next, index)

    def fresh(self, call_id: str | None) -> int:
        """The index for a new call."""
        index, self._next = self._next, self._next + 1
        self._ids[index] = call_id
        return index

    def of(self, chunks: Iterable[ToolCallChunk]) -> list[ToolCallChunk]:
        """Native pieces of calls, each under the index of its call."""
        numbered: list[ToolCallChunk] = []
        for chunk in chunks:
            index = chunk["index"] if isinstance(chunk["index"], str) else self._of(chunk)
            numbered.append({**chunk, "index": index})
            self._native.setdefault(index, []).append(chunk["args"] or "")
            self._latest = index
        return numbered

    @property
    def native(self) -> list[Any]:
        """The indices of the native calls whose end was not asked for."""
        return list(self._native)

    def end_of(self, index: Any, *, cut: bool) -> str:
        """What makes the arguments of a native call unreadable if they are no JSON, mostly half of it; else nothing.

        Args:
            index: which call it is.
            cut: the reply was cut, so that its latest call is half a call without arguments, too.
        """
        arguments = "".join(self._native.pop(index, ()))
        is_half = not _is_json(arguments) if arguments else cut and index == self._latest
        return _unreadable_end(arguments) if is_half else ""

    def _of(self, chunk: ToolCallChunk) -> int:
        native, call_id = chunk["index"], chunk["id"]
        known = self._given.get(native)
        begins = native is None and bool(call_id or chunk["name"])
        if known is None or begins or (call_id and self._ids[known] not in (None, call_id)):
            if native is None or native in self._ids:
                known = self.fresh(call_id)
            else:
                known = native
                self.skip_to(native + 1)
            self._given[native] = known
        self._ids[known] = self._ids.get(known) or call_id
        return known


@dataclass(slots=True)
class _InPieces:
    """A call of which pieces were sent."""

    name: str
    index: int
    shown: str = ""
    chunks: list[ChatGenerationChunk] = field(default_factory=list[ChatGenerationChunk])


class CallsInPieces:
    """The calls that are being written."""

    def __init__(self, numbers: CallNumbers) -> None:
        self._numbers = numbers
        self._open: dict[str | None, _InPieces] = {}

    def piece(self, delta: ArgumentsDelta) -> ToolCallChunk:
        """The next piece of a call; the first of them names it."""
        known = self._open.get(delta.id)
        if known is None:
            known = self._open[delta.id] = _InPieces(delta.name, self._numbers.fresh(delta.id))
            first = {"name": delta.name, "id": delta.id}
        else:
            first = {}
        known.shown += delta.arguments or ""
        return tool_call_chunk(args=delta.arguments, index=known.index, **first)

    def keep(self, call_id: str, chunk: ChatGenerationChunk) -> None:
        """Remember a chunk that holds a piece of the call."""
        self._open[call_id].chunks.append(chunk)

    def ends(self, call: ToolCall) -> bool:
        """Whether all of this call was sent in pieces."""
        return self._open.pop(call.id, None) is not None

    def unfinished(self) -> list[ArgumentsDelta]:
        """The word, for each call that is being written, that it is none."""
        return [ArgumentsDelta(str(call_id), call.name, None) for call_id, call in self._open.items()]

    def unreadable_end(self, call_id: str) -> ToolCallChunk:
        """A last piece with which LangChain takes the arguments for no arguments at all."""
        known = self._open[call_id]
        return tool_call_chunk(args=_unreadable_end(known.shown), index=known.index)

    def take_back(self, call_id: str) -> None:
        """Empty the chunks that hold pieces of the call."""
        for chunk in self._open.pop(call_id).chunks:
            message = chunk.message
            changes: dict[str, list[Any]] = {"tool_call_chunks": [], "tool_calls": [], "invalid_tool_calls": []}
            if isinstance(message.content, list):
                changes["content"] = []
            for name, value in changes.items():
                setattr(message, name, value)


def _unreadable_end(arguments: str) -> str:
    """What makes arguments unreadable: of what is closed for them only a bracket that does not match is left over."""
    open_strings = (found["end"] for found in _STRING.finditer(arguments) if found["end"] != '"')
    quotes = {None: "", "": '"', "\\": '""'}[next(open_strings, None)]
    return quotes + "]" * (arguments.count("[") + 1)


def _is_json(arguments: str) -> bool:
    try:
        json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return False
    return True
