"""OpenAI's Chat Completions: replies in which calls are text, rewritten to hold them as ``tool_calls``.

Whole replies are JSON, streamed ones server-sent events. A reply that holds native calls, fields that are not known,
usage, log probabilities, comments, errors and ``[DONE]`` pass through; an event in which nothing changes passes byte
for byte.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, cast

from toolmend._forced import response_format
from toolmend._turn import Item
from toolmend._types import ToolCall
from toolmend.adapters._exchange import Exchange, ReplyStream, is_cut
from toolmend.adapters._sse import DONE, EventSplitter, data_of, event_of, json_of
from toolmend.adapters._wire_history import text_of
from toolmend.adapters._wire_lost import Watched, lost_in

__all__ = ["ChatExchange"]

_Fields = dict[str, Any]

# The same in every event of a reply.
_FRAME = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class ChatExchange(Exchange):
    """A request to ``/v1/chat/completions`` and its reply."""

    streamed_type = "text/event-stream"

    def reply(self, body: Any) -> Any:
        """Rewrite a whole reply, parsed; what is no reply comes back as it is."""
        choices: Any = cast("_Fields", body).get("choices") if isinstance(body, dict) else None
        if not self.turn.active or not isinstance(choices, list):
            return cast("Any", body)
        watched = self.watch()
        watched.end(tokens=_tokens(cast("_Fields", body)))
        rewritten = [self._choice(choice) for choice in cast("list[Any]", choices)]
        for choice in rewritten:
            _note(choice, "message", watched)
        return {**cast("_Fields", body), "choices": rewritten}

    def stream(self) -> ReplyStream:
        """Rewrites the reply while it is streamed."""
        return ChatStream(self)

    def spoken(self, text: str) -> bytes:
        """A reply that says a text, as the server would have sent it: streamed, if the client wants that."""
        choice = {"index": 0, "finish_reason": "stop"}
        said = {"role": "assistant", "content": text}
        reply = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": self.model}
        if self.streams:
            reply |= {"object": "chat.completion.chunk", "choices": [{**choice, "delta": said}]}
            return event_of(reply) + b"data: " + DONE + b"\n\n"
        return json_of({**reply, "object": "chat.completion", "choices": [{**choice, "message": said}]})

    def held_to(self, schema: Mapping[str, Any]) -> _Fields:
        """The fields of a request that hold the reply to a JSON Schema."""
        return {"response_format": response_format(schema)}

    def _choice(self, choice: Any) -> Any:
        message: Any = cast("_Fields", choice).get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            return cast("Any", choice)
        return self._message(cast("_Fields", choice), cast("_Fields", message))

    def _message(self, choice: _Fields, message: _Fields) -> _Fields:
        text, finish = text_of(message), choice.get("finish_reason")
        choice = self.turn.mended(choice)
        if message.get("tool_calls") or not text:
            return choice
        said, calls = self.read(text, finish)
        parts = _no_text(choice["message"])
        if not calls:
            return choice if parts is not None else {**choice, "message": {**choice["message"], "content": said}}
        content = [*parts, {"type": "text", "text": said}] if parts else said or None
        message = {**choice["message"], "content": content, "tool_calls": [_wire_call(call) for call in calls]}
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
        self._over = False

    @property
    def pending(self) -> int:
        return self._splitter.pending

    def feed(self, data: bytes) -> bytes:
        """See `ReplyStream.feed`."""
        if not self._exchange.turn.active:
            return data
        return b"".join([self._watched.passed(self._event(raw)) for raw in self._splitter.feed(data)])

    def close(self) -> bytes:
        """See `ReplyStream.close`."""
        rest = self._splitter.close()
        written = self._event(rest) if rest else b""
        held = self._give_up()
        ending = held + written if written == rest else written + held  # nothing can be read behind half an event
        return self._watched.rest() + ending

    def _event(self, raw: bytes) -> bytes:
        data = data_of(raw)
        if self._over:
            return b""
        if data is None:
            return raw
        if data.strip() == DONE:
            self._watched.end()
            return self._end() + raw
        try:
            chunk: Any = json.loads(data)
            return self._chunk(cast("_Fields", chunk), raw) if isinstance(chunk, dict) else raw
        except (ValueError, RecursionError):
            error = raw.decode(errors="replace")  # transformers writes the lines of its errors as they are
            return self._failed(raw, error) if lost_in(200, error) else raw

    def _failed(self, raw: bytes, error: str) -> bytes:
        """An error instead of the rest, or the reply that it quotes."""
        held = self._give_up()  # some say that they are done all the same
        quoted = self._exchange.quoted(200, error)
        if not quoted:
            self._watched.fail(error)
            return held + raw
        for choice in self._choices.values():
            choice.begin_again()
        spoken = b"".join(map(self._event, EventSplitter().feed(self._exchange.spoken(quoted))))
        self._over = True
        return held + spoken

    def _chunk(self, chunk: _Fields, raw: bytes) -> bytes:
        given = chunk.get("choices")
        choices = cast("list[Any]", given) if isinstance(given, list) else []
        if not choices and (chunk.get("error") or chunk.get("object") == "error"):
            return self._failed(raw, json.dumps(chunk))
        for choice in choices:
            _note(choice, "delta", self._watched)
        if self._watched.ended:
            self._watched.end(tokens=_tokens(chunk))
        if not choices:
            return raw
        self._frame = {key: chunk[key] for key in _FRAME if key in chunk}
        pieces: list[Any] = []
        for choice in choices:
            pieces += self._read(cast("_Fields", choice)) if isinstance(choice, dict) else [choice]
        if pieces == choices:
            return raw
        for piece in pieces:
            _note(piece, "delta", self._watched)
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
        events: list[bytes] = []
        for piece in pieces:
            _note(piece, "delta", self._watched)
            events.append(event_of({**self._frame, "choices": [piece]}))
        return b"".join(events)


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
        text, finish = text_of(delta), choice.get("finish_reason")
        choice = self._exchange.turn.mended(choice)
        delta = cast("_Fields", choice["delta"]) if delta else {}
        if delta.get("tool_calls"):
            return self._native(choice, delta)
        if self._over:
            return [{**choice, "finish_reason": _finish(finish)} if finish and self._calls else choice]
        if not (text or finish):
            return [choice]
        items = self._reader.feed(text) if text else []
        if not finish and items == [text]:
            self._began = True
            return [choice]
        others = {key: value for key, value in delta.items() if key != "content" and (key != "role" or not self._began)}
        pieces = self._pieces(items)
        if finish:
            pieces += self.end(finish)
        if parts := _no_text(delta):
            pieces.insert(0, self._piece({"content": parts}))
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

    def begin_again(self) -> None:
        """The reply is told once more, from its beginning."""
        self._reader = self._exchange.turn.reader()
        self._over = False

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


def _no_text(message: _Fields) -> list[Any] | None:
    """Of content in parts, those that are no text; `None` if it is not in parts."""
    content: Any = message.get("content")
    if not isinstance(content, list):
        return None
    parts = cast("list[Any]", content)
    return [part for part in parts if not (isinstance(part, dict) and cast("_Fields", part).get("type") == "text")]


def _note(choice: Any, key: str, watched: Watched) -> None:
    """What a choice holds. Several are never asked for again."""
    if not isinstance(choice, dict):
        return
    fields = cast("_Fields", choice)
    said = fields.get(key)
    if isinstance(said, dict):
        watched.take(cast("_Fields", said))
    if fields.get("index"):
        watched.take_several()
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
