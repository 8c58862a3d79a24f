"""Ollama's ``/api/chat``: replies in which calls are text, rewritten to hold them as ``tool_calls``.

Whole replies are one JSON object, streamed ones an object a line; the last one says ``done``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from toolmend._turn import Item
from toolmend._types import ToolCall
from toolmend.adapters._exchange import Exchange, ReplyStream, is_cut
from toolmend.adapters._sse import json_of
from toolmend.adapters._wire_lost import Watched

__all__ = ["OllamaExchange"]

_Fields = dict[str, Any]

_FRAME = ("model", "created_at")  # what every line of a reply says


class OllamaExchange(Exchange):
    """A request to ``/api/chat`` and its reply."""

    streams_by_default = True
    media_type = "application/x-ndjson"

    def reply(self, body: Any) -> Any:
        """Rewrite a whole reply, parsed; what is no reply comes back as it is."""
        message: Any = cast("_Fields", body).get("message") if isinstance(body, dict) else None
        if not self.turn.active or not isinstance(message, dict):
            return cast("Any", body)
        body, message = cast("_Fields", body), cast("_Fields", message)
        text = message.get("content")
        _note(cast("_Fields", body), cast("_Fields", message), self.watch())
        body = cast("_Fields", self.turn.mended(body))
        message = cast("_Fields", body["message"])
        if message.get("tool_calls") or not isinstance(text, str) or not text:
            return body
        said, calls = self.read(text, body.get("done_reason"))
        if calls:
            message = {**message, "tool_calls": [_wire_call(call, n) for n, call in enumerate(calls)]}
        return {**body, "message": {**message, "content": said}}

    def stream(self) -> ReplyStream:
        """Rewrites the reply while it is streamed."""
        return OllamaStream(self)


class OllamaStream:
    """Rewrites the lines of one reply.

    Args:
        exchange: the request that is answered.
    """

    def __init__(self, exchange: OllamaExchange) -> None:
        self._exchange = exchange
        self._reader = exchange.turn.reader()
        self._buffer = bytearray()
        self._searched = 0
        self._frame: _Fields = {}
        self._watched = exchange.watch()
        self._withheld: list[bytes] = []
        self._calls = 0
        self._over = not exchange.turn.active

    @property
    def pending(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> bytes:
        """See `ReplyStream.feed`."""
        self._buffer += data
        end = self._buffer.rfind(b"\n", self._searched) + 1
        lines = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._searched = len(self._buffer)
        return b"".join(map(self._passed, lines.splitlines(keepends=True)))

    def close(self) -> bytes:
        """See `ReplyStream.close`."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        written = self._line(rest) if rest else b""
        held = self._stop()
        ending = held + written if written == rest else written + held  # nothing can be read behind half a line
        return b"".join(self._withheld) + ending

    def _passed(self, raw: bytes) -> bytes:
        """A line rewritten; nothing if it belongs to an end that may not be the last."""
        written = self._line(raw)
        if not self._watched.withheld:
            return written
        self._withheld.append(written)
        return b""

    def _line(self, raw: bytes) -> bytes:
        if not self._exchange.turn.active:
            return raw
        try:
            chunk: Any = json.loads(raw)
            return self._chunk(cast("_Fields", chunk), raw) if isinstance(chunk, dict) else raw
        except (ValueError, RecursionError):
            return raw

    def _chunk(self, chunk: _Fields, raw: bytes) -> bytes:
        mended = cast("_Fields", self._exchange.turn.mended(chunk))
        given, message = chunk.get("message"), mended.get("message")
        if chunk.get("error"):
            self._watched.fail(json.dumps(chunk))
            return self._stop() + raw
        if not isinstance(given, dict) or not isinstance(message, dict):
            return raw
        _note(chunk, cast("_Fields", given), self._watched)
        self._frame = {key: chunk[key] for key in _FRAME if key in chunk}
        message = cast("_Fields", message)
        if message.get("tool_calls"):
            return self._native(mended, message, raw if mended == chunk else _json_line(mended))
        content, done = cast("_Fields", given).get("content"), bool(chunk.get("done"))
        text = content if isinstance(content, str) else ""
        if self._over or not (text or done):
            return raw if mended == chunk else _json_line(mended)
        items = self._reader.feed(text) if text else []
        if not done and items == [text]:
            return raw
        messages = self._messages(items)
        if done:
            messages += self._messages(self._reader.close(truncated=is_cut(mended.get("done_reason"))))
            self._over = True
            self._exchange.done(self._reader)
        return b"".join(map(_json_line, self._lines(mended, message, messages)))

    def _lines(self, chunk: _Fields, message: _Fields, messages: list[_Fields]) -> list[_Fields]:
        """Messages, each a line of its own, and behind them whatever else the server's line has said."""
        others = {key: value for key, value in message.items() if key not in ("role", "content")}
        besides = {key: value for key, value in chunk.items() if key not in (*_FRAME, "message", "done")}
        if others or besides or chunk.get("done"):
            messages = [*messages, {"content": "", **others}]
        lines = [self._framed(said) for said in messages]
        if lines:
            lines[-1] |= {**besides, "done": chunk.get("done", False)}
        return lines

    def _native(self, chunk: _Fields, message: _Fields, written: bytes) -> bytes:
        held, calls = self._stop(), message["tool_calls"]
        if self._calls and isinstance(calls, list):
            numbered = [_renumbered(call, self._calls) for call in cast("list[Any]", calls)]
            written = _json_line({**chunk, "message": {**message, "tool_calls": numbered}})
        return held + written

    def _stop(self) -> bytes:
        """What was still held back, as text: the reply was cut off, or goes on with native calls."""
        if self._over:
            return b""
        self._over = True
        held = self._reader.held
        self._exchange.done(self._reader)
        return _json_line(self._framed({"content": held})) if held.strip() else b""

    def _messages(self, items: Iterable[Item]) -> list[_Fields]:
        messages: list[_Fields] = []
        for item in items:
            if isinstance(item, ToolCall):
                messages.append({"content": "", "tool_calls": [_wire_call(item, self._calls)]})
                self._calls += 1
            elif isinstance(item, str):
                messages.append({"content": item})
        return messages

    def _framed(self, message: _Fields) -> _Fields:
        return {**self._frame, "message": {"role": "assistant", **message}, "done": False}


def _note(line: _Fields, message: _Fields, watched: Watched) -> None:
    watched.take(message)
    if line.get("done"):
        watched.end(line.get("done_reason"), line.get("eval_count"))


def _json_line(line: _Fields) -> bytes:
    return json_of(line) + b"\n"


def _renumbered(call: Any, first: int) -> Any:
    """A native call behind recovered ones, which have taken the first numbers."""
    function: Any = cast("_Fields", call).get("function") if isinstance(call, dict) else None
    index: Any = cast("_Fields", function).get("index", 0) if isinstance(function, dict) else None
    if not isinstance(index, int):
        return cast("Any", call)
    return {**cast("_Fields", call), "function": {**cast("_Fields", function), "index": index + first}}


def _wire_call(call: ToolCall, index: int) -> _Fields:
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}
