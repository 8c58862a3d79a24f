"""Ollama's ``/api/chat``: replies in which calls are text, rewritten to hold them as ``tool_calls``.

Whole replies are one JSON object, streamed ones an object a line; the last one says ``done``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from toolmend._turn import Item
from toolmend._types import ToolCall
from toolmend.adapters._exchange import Exchange, ReplyStream

__all__ = ["OllamaExchange"]

_Fields = dict[str, Any]


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
        if message.get("tool_calls") or not isinstance(text, str) or not text:
            return self.turn.mended(body)
        said, calls = self.read(text, truncated=body.get("done_reason") == "length")
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
        self._frame: _Fields = {}  # what every line of the reply says, such as the model
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
        return b"".join(map(self._line, lines.splitlines(keepends=True)))

    def close(self) -> bytes:
        """See `ReplyStream.close`."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return (self._line(rest) if rest else b"") + b"".join(map(self._written, self._stop()))

    def _line(self, raw: bytes) -> bytes:
        if self._over:
            return raw
        try:
            chunk: Any = json.loads(raw)
        except (ValueError, RecursionError):
            return raw
        message: Any = cast("_Fields", chunk).get("message") if isinstance(chunk, dict) else None
        if not isinstance(message, dict):
            return raw
        return self._chunk(cast("_Fields", chunk), cast("_Fields", message), raw)

    def _chunk(self, chunk: _Fields, message: _Fields, raw: bytes) -> bytes:
        self._frame = {key: chunk[key] for key in ("model", "created_at") if key in chunk}
        if message.get("tool_calls"):
            mended = self._exchange.turn.mended(chunk)
            return b"".join(map(self._written, self._stop())) + (raw if mended == chunk else _json_line(mended))
        text, done = message.get("content") or "", bool(chunk.get("done"))
        items = self._reader.feed(text) if text else []
        if not done and items == [text]:
            return raw
        messages = self._messages(items)
        if done:
            self._over = True
            messages += self._messages(self._reader.close(truncated=chunk.get("done_reason") == "length"))
            self._exchange.done(self._reader)
        others = {key: value for key, value in message.items() if key not in ("role", "content")}
        if others or done:
            messages.append({"content": "", **others})
        lines = [{**self._frame, "message": {"role": "assistant", **said}, "done": False} for said in messages]
        if done:
            lines[-1] = {**chunk, "message": lines[-1]["message"]}
        return b"".join(map(_json_line, lines))

    def _stop(self) -> list[_Fields]:
        """What was still held back, as text: the reply was cut off, or goes on with native calls."""
        if self._over:
            return []
        self._over = True
        held = self._reader.held
        self._exchange.done(self._reader)
        return [{"content": held}] if held.strip() else []

    def _messages(self, items: Iterable[Item]) -> list[_Fields]:
        messages: list[_Fields] = []
        for item in items:
            if isinstance(item, ToolCall):
                messages.append({"content": "", "tool_calls": [_wire_call(item, self._calls)]})
                self._calls += 1
            elif isinstance(item, str):
                messages.append({"content": item})
        return messages

    def _written(self, message: _Fields) -> bytes:
        return _json_line({**self._frame, "message": {"role": "assistant", **message}, "done": False})


def _json_line(line: _Fields) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _wire_call(call: ToolCall, index: int) -> _Fields:
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}
