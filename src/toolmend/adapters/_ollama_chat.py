"""Ollama's ``/api/chat``: replies in which calls are text, rewritten to hold them as ``tool_calls``.

Whole replies are one JSON object, streamed ones an object a line; the last one says ``done``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from toolmend._turn import Item
from toolmend._types import ToolCall
from toolmend.adapters._exchange import Exchange, ReplyStream, is_cut
from toolmend.adapters._sse import LineSplitter, json_of
from toolmend.adapters._wire_lost import Watched

__all__ = ["OllamaExchange"]

_Fields = dict[str, Any]

_FRAME = ("model", "created_at")  # what every line of a reply says


class OllamaExchange(Exchange):
    """A request to ``/api/chat`` and its reply."""

    streams_by_default = True
    streamed_type = "application/x-ndjson"

    def reply(self, body: Any) -> Any:
        """Rewrite a whole reply, parsed; what is no reply comes back as it is."""
        message: Any = cast("_Fields", body).get("message") if isinstance(body, dict) else None
        if not self.turn.active or not isinstance(message, dict):
            return cast("Any", body)
        body, message = cast("_Fields", body), cast("_Fields", message)
        text = message.get("content")
        body = cast("_Fields", self.turn.mended(body))
        message = cast("_Fields", body["message"])
        if isinstance(text, str) and text and not message.get("tool_calls"):
            said, calls = self.read(text, body.get("done_reason"))
            found = {"tool_calls": [_wire_call(call, n) for n, call in enumerate(calls)]} if calls else {}
            message = {**message, **found, "content": said}
        _note(body, message, self.watch())
        return {**body, "message": message}

    def stream(self) -> ReplyStream:
        """Rewrites the reply while it is streamed."""
        return OllamaStream(self)

    def spoken(self, text: str) -> bytes:
        """A reply that says a text, as the server would have sent it; whole or streamed it is one line."""
        frame = {"model": self.model, "created_at": datetime.now(UTC).isoformat()}
        return _json_line(
            {**frame, "message": {"role": "assistant", "content": text}, "done": True, "done_reason": "stop"}
        )

    def held_to(self, schema: Mapping[str, Any]) -> _Fields:
        """The field of a request that holds the reply to a JSON Schema."""
        return {"format": schema}


class OllamaStream:
    """Rewrites the lines of one reply.

    Args:
        exchange: the request that is answered.
    """

    def __init__(self, exchange: OllamaExchange) -> None:
        self._exchange = exchange
        self._reader = exchange.turn.reader()
        self._splitter = LineSplitter()
        self._frame: _Fields = {}
        self._watched = exchange.watch()
        self._calls = 0
        self._over = not exchange.turn.active

    @property
    def pending(self) -> int:
        return self._splitter.pending

    def feed(self, data: bytes) -> bytes:
        """See `ReplyStream.feed`."""
        return b"".join([self._watched.passed(self._line(raw)) for raw in self._splitter.feed(data)])

    def close(self) -> bytes:
        """See `ReplyStream.close`."""
        rest = self._splitter.close()
        written = self._line(rest) if rest else b""
        held = self._stop()
        ending = held + written if written == rest else written + held  # nothing can be read behind half a line
        return self._watched.rest() + ending

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
            return self._failed(raw, json.dumps(chunk))
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

    def _failed(self, raw: bytes, error: str) -> bytes:
        """An error instead of the rest, or the reply that it quotes."""
        held, quoted = self._stop(), self._exchange.quoted(200, error)
        if not quoted:
            self._watched.fail(error)
            return held + raw
        self._reader, self._over = self._exchange.turn.reader(), False
        return held + self._line(self._exchange.spoken(quoted))

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
                self._watched.take({"tool_calls": [{"function": {"name": item.name}}]})
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
