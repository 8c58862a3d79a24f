"""OpenAI's chat as it was before tools: ``functions``, ``function_call`` and messages of the role ``function``.

    functions -> tools -> what `_openai_chat` makes of the reply -> function_call

Servers have forgotten it, so requests are sent in today's form. An answer can hold one call only: one more call than
that is told as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from toolmend._turn import Options
from toolmend.adapters._exchange import NotReadable, ReplyStream
from toolmend.adapters._openai_chat import ChatExchange
from toolmend.adapters._sse import EventSplitter, data_of, event_of

__all__ = ["FunctionsExchange", "has_functions"]

_Fields = dict[str, Any]


def has_functions(body: object) -> bool:
    """Whether a request offers functions, and no tools."""
    fields = cast("_Fields", body) if isinstance(body, dict) else {}
    return bool(fields.get("functions")) and not fields.get("tools")


class FunctionsExchange(ChatExchange):
    """A request that offers functions, and its reply.

    Raises:
        NotReadable: it is no chat request.
        ToolmendError: a function's schema is broken, or the choice names none of the functions.
    """

    def __init__(self, body: object, *, options: Options | None = None) -> None:
        super().__init__(_with_tools(cast("_Fields", body)), options=options)

    def reply(self, body: Any) -> Any:
        """Rewrite a whole reply, parsed; what is no reply comes back as it is."""
        written: Any = super().reply(body)
        choices: Any = cast("_Fields", written).get("choices") if isinstance(written, dict) else None
        if not isinstance(choices, list):
            return cast("Any", written)
        return {**cast("_Fields", written), "choices": [_told(choice) for choice in cast("list[Any]", choices)]}

    def stream(self) -> ReplyStream:
        """Rewrites the reply while it is streamed."""
        return _FunctionsStream(super().stream())


class _FunctionsStream:
    """Tells the calls of a stream as those of functions."""

    def __init__(self, inner: ReplyStream) -> None:
        self._inner = inner
        self._splitter = EventSplitter()
        self._further: dict[object, dict[int, _Fields]] = {}  # calls behind the first, by choice and number

    @property
    def pending(self) -> int:
        return self._inner.pending + self._splitter.pending

    def feed(self, data: bytes) -> bytes:
        """See `ReplyStream.feed`."""
        return b"".join(map(self._event, self._splitter.feed(self._inner.feed(data))))

    def close(self) -> bytes:
        """See `ReplyStream.close`."""
        rest = b"".join(map(self._event, self._splitter.feed(self._inner.close())))
        return rest + self._splitter.close()

    def _event(self, raw: bytes) -> bytes:
        if b'"tool_calls"' not in raw:
            return raw
        try:
            chunk = json.loads(data_of(raw) or b"")
            return event_of({**chunk, "choices": [self._choice(choice) for choice in chunk["choices"]]})
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return raw

    def _choice(self, choice: _Fields) -> _Fields:
        delta = dict(choice["delta"])
        further = self._further.setdefault(choice.get("index"), {})
        for piece in delta.pop("tool_calls", None) or ():
            function: _Fields = piece["function"]
            if not piece.get("index"):
                delta["function_call"] = {key: function[key] for key in ("name", "arguments") if key in function}
                continue
            call = further.setdefault(piece["index"], {"name": "", "arguments": ""})
            for key in call:
                call[key] += function.get(key) or ""
        if choice.get("finish_reason") != "tool_calls":
            return {**choice, "delta": delta}
        if further:
            delta["content"] = (delta.get("content") or "") + _as_text([*further.values()])
        return {**choice, "delta": delta, "finish_reason": "function_call"}


def _with_tools(body: _Fields) -> _Fields:
    """A request in today's form."""
    functions, choice = body["functions"], body.get("function_call")
    if not isinstance(functions, list):
        raise NotReadable("`functions` is not a list of objects")
    kept = {key: value for key, value in body.items() if key not in ("functions", "function_call")}
    kept["tools"] = [{"type": "function", "function": function} for function in cast("list[Any]", functions)]
    kept["parallel_tool_calls"] = False
    if choice:
        kept["tool_choice"] = {"type": "function", "function": choice} if isinstance(choice, Mapping) else choice
    messages: Any = body.get("messages")
    if isinstance(messages, list):
        kept["messages"] = _messages(cast("list[Any]", messages))
    return kept


def _messages(messages: Sequence[Any]) -> list[Any]:
    """Messages with ids: a result belongs to the last call."""
    written: list[Any] = []
    call_id = "call_0"
    for number, message in enumerate(messages):
        fields = cast("_Fields", message) if isinstance(message, dict) else {}
        if fields.get("function_call"):
            call_id = f"call_{number}"
            kept = {key: value for key, value in fields.items() if key != "function_call"}
            call = {"id": call_id, "type": "function", "function": fields["function_call"]}
            written.append({**kept, "content": fields.get("content") or "", "tool_calls": [call]})
        elif fields.get("role") == "function":
            written.append({**fields, "role": "tool", "tool_call_id": call_id})
        else:
            written.append(message)
    return written


def _told(choice: Any) -> Any:
    """A choice of a whole reply."""
    try:
        told = dict(choice["message"])
        first, *further = [call["function"] for call in told.pop("tool_calls")]
    except (LookupError, TypeError, ValueError):
        return choice
    if further:
        told["content"] = (told.get("content") or "") + _as_text(further)
    finish = choice.get("finish_reason")
    finish = "function_call" if finish == "tool_calls" else finish
    return {**choice, "message": {**told, "function_call": first}, "finish_reason": finish}


def _as_text(functions: Sequence[Any]) -> str:
    return "".join(f"\n{json.dumps(function, ensure_ascii=False)}" for function in functions)
