"""Ollama's ``/api/chat`` before a server that only knows OpenAI's protocol: requests and replies translated.

What Ollama alone knows (how long a model stays loaded, the size of its context) is left out; what both know keeps its
meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from toolmend.adapters._exchange import NotReadable
from toolmend.adapters._sse import DONE, EventSplitter, data_of

__all__ = ["OllamaReply", "as_openai", "listed_with_tools", "shown_model", "tags", "with_tools"]

_Fields = dict[str, Any]

_OPTIONS = {
    "num_predict": "max_tokens", "temperature": "temperature", "top_p": "top_p", "seed": "seed", "stop": "stop",
    "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
}  # fmt: skip


def as_openai(body: object) -> _Fields:
    """A request to ``/api/chat`` as one to ``/v1/chat/completions``.

    Raises:
        NotReadable: it is no chat request.
    """
    if not isinstance(body, Mapping) or not isinstance(cast("_Fields", body).get("messages"), list):
        raise NotReadable("`messages` is not a list of objects")
    fields = cast("_Fields", body)
    messages: list[Any] = fields["messages"]
    if not all(isinstance(message, Mapping) for message in messages):
        raise NotReadable("`messages` is not a list of objects")
    stream = bool(fields.get("stream", True))
    request: _Fields = {"model": fields.get("model") or "", "messages": _messages(messages), "stream": stream}
    if stream:
        request["stream_options"] = {"include_usage": True}
    request |= {key: fields[key] for key in ("tools", "tool_choice") if fields.get(key)}
    options: Any = fields.get("options")
    for key, value in cast("_Fields", options).items() if isinstance(options, Mapping) else ():
        if key in _OPTIONS:
            request[_OPTIONS[key]] = value
    form = fields.get("format")
    if isinstance(form, Mapping):
        request["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": form}}
    elif form:
        request["response_format"] = {"type": "json_object"}
    return request


def _messages(messages: Sequence[_Fields]) -> list[_Fields]:
    """Messages with ids: Ollama's results follow their calls in order, OpenAI's name them."""
    translated: list[_Fields] = []
    waiting: list[str] = []
    for number, message in enumerate(messages):
        kept = {key: message[key] for key in ("role", "content") if key in message}
        calls: Any = message.get("tool_calls")
        if message.get("role") == "tool":
            waiting_id = waiting.pop(0) if waiting else f"call_{number}"
            kept["tool_call_id"] = message.get("tool_call_id") or waiting_id
            kept["name"] = message.get("tool_name") or message.get("name") or "tool"
        elif isinstance(calls, list) and calls:
            kept["tool_calls"] = [_call(call, f"call_{number}_{n}") for n, call in enumerate(cast("list[Any]", calls))]
            waiting = [call["id"] for call in kept["tool_calls"]]
        images: Any = message.get("images")
        if isinstance(images, list) and images:
            urls = [f"data:image/png;base64,{image}" for image in cast("list[Any]", images)]
            pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
            kept["content"] = [{"type": "text", "text": kept.get("content") or ""}, *pictures]
        translated.append(kept)
    return translated


def _call(call: Any, fallback: str) -> _Fields:
    function: Any = cast("_Fields", call).get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise NotReadable("a call among `messages` has no `function`")
    fields = cast("_Fields", function)
    written = fields.get("arguments")
    arguments = written if isinstance(written, str) else json.dumps(written or {}, ensure_ascii=False)
    call_id = cast("_Fields", call).get("id") or fallback
    return {"id": call_id, "type": "function", "function": {"name": fields.get("name"), "arguments": arguments}}


class OllamaReply:
    """Translates a reply to ``/v1/chat/completions``.

    Args:
        model: the model the client asked for.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._splitter = EventSplitter()
        self._calls: dict[int, _Fields] = {}
        self._finish: Any = None
        self._usage: _Fields = {}
        self._over = False

    @property
    def pending(self) -> int:
        return self._splitter.pending

    def whole(self, raw: bytes) -> bytes:
        """Translate a whole reply; what is none comes back as it is."""
        try:
            reply = json.loads(raw)
            choice = reply["choices"][0]
            said = _said(choice["message"])
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return raw
        calls: Any = choice["message"].get("tool_calls") or ()
        if calls:
            said |= _called(said, calls)
        self._finish, self._usage = choice.get("finish_reason"), reply.get("usage") or {}
        return json.dumps(self._line(said, done=True), ensure_ascii=False).encode()

    def feed(self, data: bytes) -> bytes:
        """Translate a piece of a streamed reply."""
        return b"".join(map(self._event, self._splitter.feed(data)))

    def close(self) -> bytes:
        """The stream has ended; if no reason was given for that the reply is cut off and gets no last line."""
        rest = self._splitter.close()
        said = self._event(rest) if rest else b""
        return said + self._end() if self._finish and not self._over else said

    def _event(self, raw: bytes) -> bytes:
        data = data_of(raw)
        if data is None or self._over:
            return b""
        if data.strip() == DONE:
            return self._end()
        try:
            chunk: Any = json.loads(data)
        except (ValueError, RecursionError):
            return b""
        if not isinstance(chunk, dict):
            return b""
        return self._chunk(cast("_Fields", chunk))

    def _chunk(self, chunk: _Fields) -> bytes:
        if chunk.get("error"):
            self._over = True
            error: Any = chunk["error"]
            message = cast("_Fields", error).get("message") if isinstance(error, dict) else error
            return _written({"error": str(message)})
        self._usage = chunk.get("usage") or self._usage
        choices: Any = chunk.get("choices")
        choice: Any = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return b""
        fields = cast("_Fields", choice)
        self._finish = fields.get("finish_reason") or self._finish
        delta: Any = fields.get("delta")
        if not isinstance(delta, dict):
            return b""
        said = _said(cast("_Fields", delta))
        for piece in cast("_Fields", delta).get("tool_calls") or ():
            self._gather(piece)
        return _written(self._line(said)) if said.get("content") or said.get("thinking") else b""

    def _gather(self, piece: _Fields) -> None:
        """Ollama sends calls whole: the pieces of native ones are put together first."""
        call = self._calls.setdefault(piece.get("index", 0), {"id": None, "function": {"name": "", "arguments": ""}})
        call["id"] = piece.get("id") or call["id"]
        function: _Fields = piece.get("function") or {}
        for key in ("name", "arguments"):
            call["function"][key] += function.get(key) or ""

    def _end(self) -> bytes:
        self._over = True
        said: _Fields = {"content": ""}
        if self._calls and self._finish != "length":
            said = _called(said, [call for _, call in sorted(self._calls.items())])
        lines = [self._line(said), self._line({"content": ""}, done=True)] if "tool_calls" in said else []
        return b"".join(map(_written, lines or [self._line(said, done=True)]))

    def _line(self, said: _Fields, *, done: bool = False) -> _Fields:
        line: _Fields = {
            "model": self._model,
            "created_at": datetime.now(UTC).isoformat(),
            "message": {"role": "assistant", **said},
            "done": done,
        }
        if done:
            line["done_reason"] = "length" if self._finish == "length" else "stop"
            line["total_duration"] = line["load_duration"] = 0
            line["prompt_eval_count"] = self._usage.get("prompt_tokens", 0)
            line["eval_count"] = self._usage.get("completion_tokens", 0)
            line["prompt_eval_duration"] = line["eval_duration"] = 0
        return line


def _said(message: _Fields) -> _Fields:
    thinking = message.get("reasoning_content") or message.get("reasoning")
    return {"content": message.get("content") or "", **({"thinking": thinking} if thinking else {})}


def _called(said: _Fields, calls: Sequence[_Fields]) -> _Fields:
    """A message with calls. What has no readable arguments is shown as text and is no call."""
    text, whole = str(said["content"]), list[_Fields]()
    for call in calls:
        function = call["function"]
        try:
            arguments = json.loads(function["arguments"] or "{}")
        except (ValueError, RecursionError):
            text += json.dumps(function, ensure_ascii=False)
            continue
        shown = {"index": len(whole), "name": function["name"], "arguments": arguments}
        whole.append({"id": call.get("id"), "function": shown})
    return {**said, "content": text, **({"tool_calls": whole} if whole else {})}


def _written(line: _Fields) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def shown_model(raw: bytes) -> _Fields:
    """What ``/api/show`` says of a model of a server that does not know the question.

    Raises:
        NotReadable: the question is none.
    """
    try:
        asked: Any = json.loads(raw)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise NotReadable("the request is not a JSON object")
    return {
        "modelfile": "", "parameters": "", "template": "", "details": _DETAILS, "model_info": {},
        "capabilities": ["completion", "tools"], "modified_at": _NEVER,
    }  # fmt: skip


def with_tools(shown: _Fields) -> _Fields:
    """What Ollama says of a model; with a gateway before it every model that chats takes tools."""
    able: Any = shown.get("capabilities")
    if not isinstance(able, list) or "completion" not in able or "tools" in able:
        return shown
    return {**shown, "capabilities": [*cast("list[Any]", able), "tools"]}


def listed_with_tools(found: _Fields) -> _Fields:
    """Ollama's answer to ``/api/tags``; see `with_tools`."""
    models: Any = found.get("models")
    if not isinstance(models, list):
        return found
    entries = cast("list[Any]", models)
    listed = [with_tools(cast("_Fields", entry)) if isinstance(entry, dict) else entry for entry in entries]
    return {**found, "models": listed}


def tags(models: object) -> _Fields:
    """The answer to ``/api/tags`` from that to ``/v1/models``."""
    entries: Any = cast("_Fields", models).get("data") if isinstance(models, dict) else None
    listed = cast("list[Any]", entries) if isinstance(entries, list) else []
    names = [str(cast("_Fields", entry)["id"]) for entry in listed if isinstance(entry, dict) and "id" in entry]
    return {
        "models": [
            {"name": name, "model": name, "modified_at": _NEVER, "size": 0, "digest": "", "details": _DETAILS}
            for name in names
        ]
    }


_NEVER = "1970-01-01T00:00:00Z"
_DETAILS: _Fields = {
    "parent_model": "", "format": "", "family": "", "families": [], "parameter_size": "", "quantization_level": "",
}  # fmt: skip
