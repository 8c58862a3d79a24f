"""A server over real HTTP that answers as it is told, to the byte: parsers that fail, connections that close."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer: a body, or a connection that closes without any."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    hangs_up: bool = False
    short: bool = False  # the connection closes before the end that was announced


def error(status: int, message: str, **more: Any) -> Answer:
    return Answer(json.dumps({"error": {"message": message, "code": status, **more}}).encode(), status)


def events(*choices: dict[str, Any] | bytes, tokens: int | None = None, done: bool = True) -> Answer:
    """A stream of server-sent events: choices, or bytes to be sent as they are."""
    lines = [choice if isinstance(choice, bytes) else _event([{"index": 0, **choice}]) for choice in choices]
    if tokens is not None:
        lines.append(_event([], tokens))
    return Answer(b"".join([*lines, b"data: [DONE]\n\n" if done else b""]), kind="text/event-stream")


def _event(choices: list[Any], tokens: int | None = None) -> bytes:
    body: dict[str, Any] = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
    }
    if tokens is not None:
        body["usage"] = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"delta": fields, "finish_reason": finish_reason}


def whole(finish_reason: str, tokens: int = 7, **message: Any) -> Answer:
    body = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens},
    }
    return Answer(json.dumps(body).encode())


def says(text: str, *, stream: bool) -> Answer:
    """What a server says when nothing is wrong."""
    if not stream:
        return whole("stop", content=text)
    pieces = [delta(role="assistant", content=text[i : i + 5]) for i in range(0, len(text), 5)]
    return events(*pieces, delta("stop"), tokens=7)


class BrokenServer:
    """Gives its answers in turn; a text is said as it should be."""

    def __init__(self, *answers: Answer | str) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.base_url = ""

    def answer(self, body: dict[str, Any]) -> Answer:
        self.bodies.append(body)
        answer = self.answers.pop(0)
        return says(answer, stream=bool(body.get("stream"))) if isinstance(answer, str) else answer

    @property
    def sent_tools(self) -> list[bool]:
        """For each request, whether there were tools beside it."""
        return ["tools" in body for body in self.bodies]

    @property
    def sent_calls(self) -> list[bool]:
        """For each request, whether there were native calls in its history."""
        return [any("tool_calls" in message for message in body["messages"]) for body in self.bodies]


@contextmanager
def serving(*answers: Answer | str) -> Iterator[BrokenServer]:
    server = BrokenServer(*answers)

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            answer = server.answer(json.loads(self.rfile.read(length)))
            self.close_connection = True
            if answer.hangs_up:
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body) + answer.short))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
    Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
    server.base_url = f"http://127.0.0.1:{listener.server_port}/v1"
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
