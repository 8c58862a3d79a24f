"""The bodies of Ollama's two chat endpoints: what is read from a request, what an answer holds.

`/api/chat` is Ollama's own protocol and `/v1/chat/completions` its form of OpenAI's. Both ask the
same thing of the model (`ChatRequest`) and differ only in how the request and the answer look.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from toolmend.demo._voices import Piece, VoiceError

Json = dict[str, Any]

_ERROR_TYPES: Final = {400: "invalid_request_error", 404: "not_found_error"}
_V1_SETTINGS: Final = ("max_tokens", "temperature", "top_p", "seed", "stop", "response_format")
_OPTIONS: Final = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
}


class RefusalError(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A chat request, whichever endpoint it came to."""

    model: str
    messages: list[dict[str, str]]
    wants_tools: bool
    wants_thinking: bool
    stream: bool
    wants_usage: bool = True
    settings: Json = field(default_factory=dict[str, Any])


def full_name(model: str) -> str:
    """The name Ollama uses in its errors: registry, owner, model and tag."""
    registry = "" if model.count("/") > 1 else "registry.ollama.ai/"
    owner = "" if "/" in model else "library/"
    tag = "" if ":" in model.rpartition("/")[2] else ":latest"
    return f"{registry}{owner}{model}{tag}"


def error_body(path: str, status: int, message: str) -> Json:
    """The error as the endpoint at this path writes it."""
    if not path.startswith("/v1/"):
        return {"error": message}
    kind = _ERROR_TYPES.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


class NativeChat:
    """`/api/chat`: newline-delimited JSON, streaming unless told otherwise."""

    content_type = "application/x-ndjson"

    @staticmethod
    def read(body: Json) -> ChatRequest:
        """Reads the request; a `RefusalError` for what Ollama would not read."""
        options: Json = body.get("options") or {}
        messages: list[Json] = body.get("messages") or []
        settings = {ours: options[name] for name, ours in _OPTIONS.items() if name in options}
        if form := body.get("format"):
            settings["response_format"] = _response_format(form)
        return ChatRequest(
            model=body.get("model") or "",
            messages=[_native_message(message) for message in messages],
            wants_tools=bool(body.get("tools")),
            wants_thinking=bool(body.get("think")),
            stream=body.get("stream") is not False,
            settings=settings,
        )

    @staticmethod
    def whole(request: ChatRequest, text: str, end: Piece) -> Json:
        """The answer in one object."""
        return _native(request, text) | _native_end(end)

    @staticmethod
    def frames(request: ChatRequest, pieces: Iterable[Piece]) -> Iterator[bytes]:
        """The answer line by line; an error in the middle becomes the last line."""
        try:
            for piece in pieces:
                end = _native_end(piece) if piece.reason else {"done": False}
                yield _line(_native(request, piece.text) | end)
        except VoiceError as error:
            yield _line({"error": str(error)})


class OpenAIChat:
    """`/v1/chat/completions`: server-sent events if asked for."""

    content_type = "text/event-stream"

    @staticmethod
    def read(body: Json) -> ChatRequest:
        """Reads the request as Ollama does: fields it does not know count for nothing."""
        messages: list[Json] = body.get("messages") or []
        stream_options: Json = body.get("stream_options") or {}
        if not messages:
            raise RefusalError(400, "[] is too short - 'messages'")
        return ChatRequest(
            model=body.get("model") or "",
            messages=[_v1_message(message) for message in messages],
            wants_tools=bool(body.get("tools")),
            wants_thinking=body.get("reasoning_effort") not in (None, "none"),
            stream=body.get("stream") is True,
            wants_usage=bool(stream_options.get("include_usage")),
            settings={name: body[name] for name in _V1_SETTINGS if body.get(name) is not None},
        )

    @staticmethod
    def whole(request: ChatRequest, text: str, end: Piece) -> Json:
        """The answer in one object."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": end.reason}
        return _v1(request, "chat.completion", [choice]) | {"usage": _usage(end)}

    @staticmethod
    def frames(request: ChatRequest, pieces: Iterable[Piece]) -> Iterator[bytes]:
        """The answer event by event.

        After an error in the middle Ollama sends an empty piece and hangs up: no finish reason, no
        `[DONE]`.
        """
        kind = "chat.completion.chunk"
        try:
            for piece in pieces:
                delta = {"role": "assistant", "content": piece.text}
                choice = {"index": 0, "delta": delta, "finish_reason": piece.reason or None}
                yield _event(_v1(request, kind, [choice]))
                if piece.reason and request.wants_usage:
                    yield _event(_v1(request, kind, []) | {"usage": _usage(piece)})
        except VoiceError:
            delta = {"role": "assistant", "content": ""}
            yield _event(_v1(request, kind, [{"index": 0, "delta": delta, "finish_reason": None}]))
        else:
            yield b"data: [DONE]\n\n"


def _native_message(message: Json) -> dict[str, str]:
    content = message.get("content") or ""
    if not isinstance(content, str):
        where = "Go struct field ChatRequest.messages.content of type string"
        raise RefusalError(400, f"json: cannot unmarshal array into {where}")
    if any(not isinstance(arguments, dict) for arguments in _arguments(message)):
        # The status is Ollama's; the words after "into" differ from version to version.
        where = "Go struct field ChatRequest.messages.tool_calls.function.arguments"
        raise RefusalError(400, f"json: cannot unmarshal string into {where}")
    return {"role": str(message.get("role", "")), "content": content}


def _v1_message(message: Json) -> dict[str, str]:
    if not all(map(_is_object, _arguments(message))):
        raise RefusalError(400, "invalid tool call arguments")
    content: Any = message.get("content")
    if isinstance(content, list):
        content = "\n\n".join(_part(part) for part in cast("list[Json]", content))
    if content is None and message.get("tool_calls"):
        content = ""
    if not isinstance(content, str):
        kind = "<nil>" if content is None else type(content).__name__
        raise RefusalError(400, f"invalid message content type: {kind}")
    return {"role": str(message.get("role", "")), "content": content}


def _arguments(message: Json) -> list[object]:
    calls: list[Json] = message.get("tool_calls") or []
    return [call.get("function", {}).get("arguments", {}) for call in calls]


def _part(part: Json) -> str:
    if part.get("type") not in ("text", "image_url", "input_audio"):
        raise RefusalError(400, "invalid message format")
    return part.get("text", "")


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _response_format(form: object) -> Json:
    if form == "json":
        return {"type": "json_object"}
    if isinstance(form, dict):
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": form}}
    expected = 'expected "json" or a valid JSON Schema object'
    raise RefusalError(500, f"invalid format: {json.dumps(form)}; {expected}")


def now() -> str:
    """The time in the form Ollama writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _native(request: ChatRequest, text: str) -> Json:
    message = {"role": "assistant", "content": text}
    return {"model": request.model, "created_at": now(), "message": message}


def _native_end(end: Piece) -> Json:
    return {
        "done": True,
        "done_reason": end.reason,
        "total_duration": 1_000_000,
        "load_duration": 1_000,
        "prompt_eval_count": end.prompt_tokens,
        "prompt_eval_duration": 1_000,
        "eval_count": end.reply_tokens,
        "eval_duration": 1_000,
    }


def _v1(request: ChatRequest, kind: str, choices: list[Json]) -> Json:
    return {
        "id": f"chatcmpl-{id(request) % 1000}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": "fp_ollama",
        "choices": choices,
    }


def _usage(end: Piece) -> Json:
    return {
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.reply_tokens,
        "total_tokens": end.prompt_tokens + end.reply_tokens,
    }


def _line(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def _event(body: Json) -> bytes:
    return b"data: " + _line(body) + b"\n"
