"""Where the Ollama stand-in gets its words: the table of replies, or a real llama.cpp server."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from toolmend.demo.replies import reply_to

_PIECE: Final = re.compile(r"\s*\S{1,4}|\s+")  # about the size of a token
_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A conversation to continue; `settings` are sampling fields in OpenAI's words."""

    messages: list[dict[str, str]]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A bit of the reply. The last one has no text, but says why the reply ended."""

    text: str = ""
    reason: str = ""
    prompt_tokens: int = 0
    reply_tokens: int = 0


class VoiceError(Exception):
    """The model could not speak; `status` and the text are what llama.cpp answered."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Voice(Protocol):
    """Says the reply, piece by piece."""

    def speak(self, question: Question) -> Iterator[Piece]:
        """Yields the text in pieces, then one piece with a reason."""
        ...


class RecordedVoice:
    """Plays `toolmend.demo.replies`, without a model."""

    def speak(self, question: Question) -> Iterator[Piece]:
        """Looks the last message up, whoever wrote it."""
        messages = question.messages
        pieces = _PIECE.findall(reply_to(messages[-1]["content"] if messages else ""))
        limit = question.settings.get("max_tokens")
        cut = isinstance(limit, int) and 0 <= limit < len(pieces)
        said = pieces[:limit] if cut else pieces
        for text in said:
            yield Piece(text=text)
        yield Piece(
            reason="length" if cut else "stop",
            prompt_tokens=sum(len(_PIECE.findall(m["content"])) for m in messages),
            reply_tokens=len(said),
        )


class UpstreamVoice:
    """Asks a server that speaks OpenAI's chat completions.

    Args:
        base_url: The server's address, ending in `/v1`.
    """

    def __init__(self, base_url: str) -> None:
        self._url = urlsplit(base_url)

    def speak(self, question: Question) -> Iterator[Piece]:
        """Passes the reply on as it streams in."""
        connection = http.client.HTTPConnection(self._url.netloc, timeout=_TIMEOUT)
        try:
            body = json.dumps(
                {
                    **question.settings,
                    "messages": question.messages,
                    "stream": True,
                    "stream_options": {"include_usage": True},
                }
            )
            path = f"{self._url.path}/chat/completions"
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            with connection.getresponse() as response:
                if response.status != http.client.OK:
                    raise VoiceError(response.status, response.read().decode())
                yield from _pieces(response)
        except (OSError, http.client.HTTPException) as error:
            status = http.client.INTERNAL_SERVER_ERROR
            raise VoiceError(status, f"the model's server does not answer: {error}") from error
        finally:
            connection.close()


def _pieces(lines: http.client.HTTPResponse) -> Iterator[Piece]:
    reason, usage = "", dict[str, int]()
    for line in lines:
        if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
            continue
        event: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
        if "error" in event:
            raise VoiceError(http.client.INTERNAL_SERVER_ERROR, json.dumps(event))
        usage = event.get("usage") or usage
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                yield Piece(text=text)
            reason = choice.get("finish_reason") or reason
    yield Piece(
        reason=reason,
        prompt_tokens=usage.get("prompt_tokens", 0),
        reply_tokens=usage.get("completion_tokens", 0),
    )
