"""Streams of bytes cut into server-sent events or into lines of JSON, each kept byte for byte, and events written."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["DONE", "EventSplitter", "LineSplitter", "data_of", "event_of", "json_of"]

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


class LineSplitter:
    """Cuts a stream into lines, as `EventSplitter` does into events."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished line are kept."""
        return self._size

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, each with its end."""
        end = data.rfind(b"\n") + 1
        whole = self.close() + data[:end] if end else b""
        if rest := data[end:]:
            self._pieces.append(rest)
            self._size += len(rest)
        return whole.splitlines(keepends=True)

    def close(self) -> bytes:
        """What came after the last complete line."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
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
