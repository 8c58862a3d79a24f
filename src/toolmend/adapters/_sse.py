"""Server-sent events: a stream of bytes cut into events, each kept byte for byte, and events written."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["DONE", "EventSplitter", "data_of", "event_of", "json_of"]

DONE = b"[DONE]"
"""The data of the last event of a stream."""

_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONGEST_END = 3


class EventSplitter:
    """Cuts a stream into events. What `feed` and `close` return, joined, is the stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished event are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete now, each with the blank line behind it."""
        self._buffer += data
        events: list[bytes] = []
        start = 0
        position = self._searched
        while found := _BLANK_LINE.search(self._buffer, position):
            events.append(bytes(self._buffer[start : found.end()]))
            start = position = found.end()
        del self._buffer[:start]
        self._searched = max(0, len(self._buffer) - _LONGEST_END + 1)
        return events

    def close(self) -> bytes:
        """What came after the last complete event."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


def data_of(event: bytes) -> bytes | None:
    """The data of an event; `None` for comments and the like."""
    lines = [line for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines) if lines else None


def event_of(data: Any) -> bytes:
    """An event whose data is JSON."""
    return b"data: " + json_of(data) + b"\n\n"


def json_of(data: Any) -> bytes:
    """JSON in one line, all ASCII: UTF-8 has no bytes for the halves of characters that models write."""
    return json.dumps(data, separators=(",", ":")).encode()
