"""OpenAI's Chat Completions: replies in which calls are text, rewritten to hold them as ``tool_calls``.

Whole replies are JSON, streamed ones server-sent events. A reply that holds native calls, fields that are not known,
usage, log probabilities, comments, errors and ``[DONE]`` pass through; an event in which nothing changes passes byte
for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from toolmend._turn import Item
from toolmend._types import ToolCall
from toolmend.adapters._exchange import Exchange, ReplyStream, is_cut
from toolmend.adapters._sse import DONE, EventSplitter, data_of, event_of
from toolmend.adapters._wire_lost import Watched

__all__ = ["ChatExchange"]

_Fields = dict[str, Any]

# The same in every event of a reply.
_FRAME = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class ChatExchange(Exchange):
    """A request to ``/v1/chat/completions`` and its reply."""

    media_type = "text/event-stream"

    def reply(self, body: Any) -> Any:
        """Rewrite a whole reply, parsed; what is no reply comes back as it is."""
        choices: Any = cast("_Fields", body).get("choices") if isinstance(body, dict) else None
        if not self.turn.active or not isinstance(choices, list):
            return cast("Any", body)
        watched = self.watch()
        watched.end(tokens=_tokens(cast("_Fields", body)))
        for choice in cast("list[Any]", choices):
            _note(choice, "message", watched)
        rewritten = [self._choice(choice) for choice in cast("list[Any]", choices)]
        return {**cast("_Fields", body), "choices": rewritten}

    def stream(self) -> ReplyStream:
        """Rewrites the reply while it is streamed."""
        return ChatStream(self)

    def _choice(self, choice: Any) -> Any:
        message: Any = cast("_Fields", choice).get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            return cast("Any", choice)
        return self._message(cast("_Fields", choice), cast("_Fields", message))

    def _message(self, choice: _Fields, message: _Fields) -> _Fields:
        text, finish = message.get("content"), choice.get("finish_reason")
        choice = self.turn.mended(choice)
        if message.get("tool_calls") or not isinstance(text, str) or not text:
            return choice
        said, calls = self.read(text, finish)
        message = {**choice["message"], "content": said}
        if not calls:
            return {**choice, "message": message}
        message |= {"content": said or None, "tool_calls": [_wire_call(call) for call in calls]}
        return {**choice, "message": message, "finish_reason": _finish(finish)}


class ChatStream:
    """Rewrites the events of one reply.

    Args:
        exchange: the request that is answered.
    """

    def __init__(self, exchange: ChatExchange) -> None:
        self._exchange = exchange
        self._splitter = EventSplitter()
        self._choices: dict[int, _Choice] = {}
        self._frame: _Fields = {}
        self._watched = exchange.watch()
        self._withheld: list[bytes] = []

    @property
    def pending(self) -> int:
        return self._splitter.pending

    def feed(self, data: bytes) -> bytes:
        """See `ReplyStream.feed`."""
        if not self._exchange.turn.active:
            return data
        return b"".join(map(self._passed, self._splitter.feed(data)))

    def close(self) -> bytes:
        """See `ReplyStream.close`."""
        rest = self._splitter.close()
        written = self._event(rest) if rest else b""
        held = self._give_up()
        ending = held + written if written == rest else written + held  # nothing can be read behind half an event
        return b"".join(self._withheld) + ending

    def _passed(self, raw: bytes) -> bytes:
        """An event rewritten; nothing if it belongs to an end that may not be the last."""
        written = self._event(raw)
        if not self._watched.withheld:
            return written
        self._withheld.append(written)
        return b""

    def _event(self, raw: bytes) -> bytes:
        data = data_of(raw)
        if data is None:
            return raw
        if data.strip() == DONE:
            self._watched.end()
            return self._end() + raw
        try:
            chunk: Any = json.loads(data)
            return self._chunk(cast("_Fields", chunk), raw) if isinstance(chunk, dict) else raw
        except (ValueError, RecursionError):
            return raw

    def _chunk(self, chunk: _Fields, raw: bytes) -> bytes:
        given = chunk.get("choices")
        choices = cast("list[Any]", given) if isinstance(given, list) else []
        if not choices and (chunk.get("error") or chunk.get("object") == "error"):
            self._watched.fail(json.dumps(chunk))
            return self._give_up() + raw  # some say that they are done all the same
        for choice in choices:
            _note(choice, "delta", self._watched)
        if self._watched.withheld:
            self._watched.end(tokens=_tokens(chunk))
        if not choices:
            return raw
        self._frame = {key: chunk[key] for key in _FRAME if key in chunk}
        pieces: list[Any] = []
        for choice in choices:
            pieces += self._read(cast("_Fields", choice)) if isinstance(choice, dict) else [choice]
        if pieces == choices:
            return raw
        besides = {key: value for key, value in chunk.items() if key not in (*_FRAME, "choices")}
        if not pieces and any(value is not None for value in besides.values()):
            pieces = [{"index": choices[0].get("index", 0), "delta": {}, "finish_reason": None}]
        events = [{**self._frame, "choices": [piece]} for piece in pieces]
        if events:
            events[-1] |= besides
        return b"".join(map(event_of, events))

    def _read(self, choice: _Fields) -> list[_Fields]:
        index: Any = choice.get("index", 0)
        if not isinstance(index, int):
            return [choice]
        if index not in self._choices:
            self._choices[index] = _Choice(self._exchange, index)
        return self._choices[index].read(choice)

    def _end(self) -> bytes:
        """The reply is over, although no reason was given for some of its choices."""
        return self._all(piece for choice in self._choices.values() for piece in choice.end("stop"))

    def _give_up(self) -> bytes:
        return self._all(piece for choice in self._choices.values() for piece in choice.stop())

    def _all(self, pieces: Iterable[_Fields]) -> bytes:
        return b"".join(event_of({**self._frame, "choices": [piece]}) for piece in pieces)


class _Choice:
    """One choice of a streamed reply."""

    def __init__(self, exchange: ChatExchange, index: int) -> None:
        self._exchange = exchange
        self._index = index
        self._reader = exchange.turn.reader()
        self._calls = 0
        self._began = False  # some servers tell the role with every piece; once is enough where pieces are held back
        self._over = False

    def read(self, choice: _Fields) -> list[_Fields]:
        """What becomes of one delta: itself if nothing changes, else any number of others."""
        given: Any = choice.get("delta")
        delta = cast("_Fields", given) if isinstance(given, dict) else {}
        text, finish = delta.get("content"), choice.get("finish_reason")
        choice = self._exchange.turn.mended(choice)
        delta = cast("_Fields", choice["delta"]) if delta else {}
        if delta.get("tool_calls"):
            return self._native(choice, delta)
        if self._over:
            return [{**choice, "finish_reason": _finish(finish)} if finish and self._calls else choice]
        if not ((isinstance(text, str) and text) or finish):
            return [choice]
        items = self._reader.feed(text) if isinstance(text, str) and text else []
        if not finish and items == [text]:
            self._began = True
            return [choice]
        others = {key: value for key, value in delta.items() if key != "content" and (key != "role" or not self._began)}
        pieces = self._pieces(items)
        if finish:
            pieces += self.end(finish)
        if others and pieces and "content" in pieces[0]["delta"]:
            pieces[0]["delta"] = {**others, **pieces[0]["delta"]}
        elif others:
            pieces.insert(0, self._piece(others))
        self._began = self._began or bool(pieces)
        besides = {key: value for key, value in choice.items() if key not in ("delta", "finish_reason", "index")}
        if finish:
            pieces.append({**self._piece({}), **besides, "finish_reason": _finish(finish) if self._calls else finish})
        elif any(value is not None for value in besides.values()):
            pieces = pieces or [self._piece({})]
            pieces[0] = {**pieces[0], **besides}
        return pieces

    def end(self, reason: object) -> list[_Fields]:
        """What was still held back at the end of the reply."""
        if self._over:
            return []
        self._over = True
        pieces = self._pieces(self._reader.close(truncated=is_cut(reason)))
        self._exchange.done(self._reader)
        return pieces

    def stop(self) -> list[_Fields]:
        """What was still held back, as text: the reply was cut off, or goes on with native calls."""
        if self._over:
            return []
        self._over = True
        held = self._reader.held
        self._exchange.done(self._reader)
        return [self._piece({"content": held})] if held.strip() else []

    def _native(self, choice: _Fields, delta: _Fields) -> list[_Fields]:
        pieces = self.stop()
        calls = delta["tool_calls"]
        if self._calls and isinstance(calls, list):
            numbered = [_renumbered(call, self._calls) for call in cast("list[Any]", calls)]
            choice = {**choice, "delta": {**delta, "tool_calls": numbered}}
        return [*pieces, choice]

    def _pieces(self, items: Iterable[Item]) -> list[_Fields]:
        pieces: list[_Fields] = []
        for item in items:
            if isinstance(item, ToolCall):
                pieces.append(self._piece({"tool_calls": [{"index": self._calls, **_wire_call(item)}]}))
                self._calls += 1
            elif isinstance(item, str):
                pieces.append(self._piece({"content": item}))
        return pieces

    def _piece(self, delta: _Fields) -> _Fields:
        return {"index": self._index, "delta": delta, "finish_reason": None}


def _note(choice: Any, key: str, watched: Watched) -> None:
    """What a choice holds. Several are never asked for again, since one of them may be good."""
    if not isinstance(choice, dict):
        return
    fields = cast("_Fields", choice)
    said = fields.get(key)
    if isinstance(said, dict):
        watched.take(cast("_Fields", said))
    if fields.get("index"):
        watched.take({"content": True})
    if fields.get("finish_reason"):
        watched.end(fields["finish_reason"])


def _tokens(body: _Fields) -> object:
    usage = body.get("usage")
    return cast("_Fields", usage).get("completion_tokens") if isinstance(usage, dict) else None


def _wire_call(call: ToolCall) -> _Fields:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _renumbered(call: Any, first: int) -> Any:
    """A native call behind recovered ones, which have taken the first numbers."""
    index: Any = cast("_Fields", call).get("index", 0) if isinstance(call, dict) else None
    return {**cast("_Fields", call), "index": index + first} if isinstance(index, int) else cast("Any", call)


def _finish(reason: object) -> object:
    """Why a reply with calls ended: a limit stays one."""
    return reason if is_cut(reason) else "tool_calls"
