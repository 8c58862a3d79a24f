"""A stand-in for Ollama: its HTTP endpoints and errors, without Ollama.

Ollama is in no package index, so tests and the demo cannot start a real one. This server checks
requests and answers them as Ollama's source does; the words come from a real llama.cpp server or
from the table of replies. It is for tests and demos alone.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any, Final, Self, cast

from toolmend.demo._ollama_bodies import (
    ChatRequest,
    Json,
    NativeChat,
    OpenAIChat,
    RefusalError,
    error_body,
    full_name,
    now,
)
from toolmend.demo._voices import (
    Piece,
    Question,
    RecordedVoice,
    UpstreamVoice,
    Voice,
    VoiceError,
)

_CHATS: Final = {"/api/chat": NativeChat, "/v1/chat/completions": OpenAIChat}
_ROLES_WITHOUT_TOOLS: Final = ("system", "user", "assistant")
_JSON: Final = "application/json; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_POLL: Final = 0.02  # how long `stop` waits for the listening thread, in seconds


@dataclass(frozen=True, slots=True)
class _Answer:
    """What goes back: one body, or frames that are sent as they come."""

    status: int
    content_type: str
    body: bytes | Iterator[bytes]

    @classmethod
    def of_json(cls, body: Json, status: int = HTTPStatus.OK) -> Self:
        return cls(status, _JSON, json.dumps(body, separators=(",", ":")).encode())


class OllamaStandin:
    """Listens on a free port of the loopback address while the `with` block runs.

    Args:
        tools: Whether the model "supports tools". False: a request with tools gets Ollama's 400,
            and tool messages in the history vanish, as they do with a Go template that knows only
            system, user and assistant. True: tools are accepted and the template ignores them, so
            calls stay in the text.
        upstream: Address (ending in `/v1`) of a server that speaks for the model; without it the
            recorded replies are played.
        models: The models that exist; None means that every name does.
    """

    def __init__(
        self,
        *,
        tools: bool = False,
        upstream: str | None = None,
        models: Sequence[str] | None = None,
    ) -> None:
        self.tools = tools
        self.models = models
        self.requests: list[dict[str, Any]] = []
        """Every request so far: its method, path and body, and the status it got."""
        self._voice: Voice = RecordedVoice() if upstream is None else UpstreamVoice(upstream)
        self._listener: _Listener | None = None

    @property
    def url(self) -> str:
        """Where Ollama's own client should send its requests."""
        if self._listener is None:
            raise RuntimeError("the stand-in is not running: use it in a `with` block")
        return f"http://127.0.0.1:{self._listener.server_port}"

    @property
    def base_url(self) -> str:
        """Where an OpenAI client should send its requests; ends in `/v1`."""
        return f"{self.url}/v1"

    def start(self) -> Self:
        """Starts to listen. `with` does this."""
        self._listener = _Listener(self)
        threading.Thread(target=self._listener.serve_forever, args=(_POLL,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stops listening and hangs up on whoever is still connected."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def answer(self, method: str, path: str, raw: bytes) -> _Answer:
        """The answer to one request, which is also written down."""
        body: Any = None
        try:
            body = _read_json(raw) if method == "POST" else None
            answer = self._dispatch(method, path, body)
        except (RefusalError, VoiceError) as error:
            answer = _Answer.of_json(error_body(path, error.status, str(error)), error.status)
        self.requests.append({"method": method, "path": path, "body": body, "status": int(answer.status)})
        return answer

    def _dispatch(self, method: str, path: str, body: Json) -> _Answer:
        match "GET" if method == "HEAD" else method, path:
            case "GET", "/":
                return _Answer(HTTPStatus.OK, _TEXT, b"Ollama is running")
            case "GET", "/api/version":
                return _Answer.of_json({"version": "0.0.0"})
            case "GET", "/api/tags":
                return _Answer.of_json({"models": [self._listed(name) for name in self._names()]})
            case "GET", "/v1/models":
                data = [{"id": name, "object": "model", "created": 0, "owned_by": "library"} for name in self._names()]
                return _Answer.of_json({"object": "list", "data": data})
            case "POST", "/api/show":
                return self._show(body.get("model") or body.get("name") or "")
            case "POST", "/api/chat" | "/v1/chat/completions":
                return self._chat(_CHATS[path], body)
            case _:
                return _Answer(HTTPStatus.NOT_FOUND, _TEXT, b"404 page not found")

    def _chat(self, chat: type[NativeChat | OpenAIChat], body: Json) -> _Answer:
        request = chat.read(body)
        self._check(request)
        if not request.messages:
            loaded = chat.whole(request, "", Piece(reason="load"))
            return _Answer.of_json(loaded)
        pieces = self._voice.speak(Question(messages=self._prompt(request.messages), settings=request.settings))
        if request.stream:
            # An error that comes before the first piece still has a status of its own.
            first = next(pieces)
            frames = chat.frames(request, chain([first], pieces))
            return _Answer(HTTPStatus.OK, chat.content_type, frames)
        said = list(pieces)
        text = "".join(piece.text for piece in said)
        return _Answer.of_json(chat.whole(request, text, said[-1]))

    def _check(self, request: ChatRequest) -> None:
        """The gate that Ollama has before a model is even loaded."""
        self._check_model(request.model)
        if request.wants_thinking:
            raise RefusalError(400, f'"{request.model}" does not support thinking')
        if request.wants_tools and not self.tools:
            raise RefusalError(400, f"{full_name(request.model)} does not support tools")

    def _check_model(self, model: str) -> None:
        if not model:
            raise RefusalError(400, "model is required")
        if self.models is not None and full_name(model) not in map(full_name, self.models):
            raise RefusalError(404, f"model '{model}' not found")

    def _prompt(self, messages: Iterable[dict[str, str]]) -> list[dict[str, str]]:
        if self.tools:
            return list(messages)
        return [m for m in messages if m["role"] in _ROLES_WITHOUT_TOOLS and m["content"]]

    def _names(self) -> list[str]:
        names = ["tiny"] if self.models is None else self.models
        return [name if ":" in name else f"{name}:latest" for name in names]

    def _capabilities(self) -> list[str]:
        return ["completion", "tools"] if self.tools else ["completion"]

    def _listed(self, name: str) -> Json:
        return {
            "name": name,
            "model": name,
            "modified_at": now(),
            "size": 742_080,
            "digest": "0" * 64,
            "details": _DETAILS,
            "capabilities": self._capabilities(),
        }

    def _show(self, model: str) -> _Answer:
        self._check_model(model)
        return _Answer.of_json(
            {
                "modelfile": f"FROM {model}\nTEMPLATE {{{{ .Prompt }}}}",
                "template": "{{ .Prompt }}",
                "details": _DETAILS,
                "model_info": {"general.architecture": "qwen2", "qwen2.context_length": 8192},
                "capabilities": self._capabilities(),
                "modified_at": now(),
            }
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


_DETAILS: Final = {
    "parent_model": "",
    "format": "gguf",
    "family": "qwen2",
    "families": ["qwen2"],
    "parameter_size": "361K",
    "quantization_level": "F16",
}


def _read_json(raw: bytes) -> Json:
    if not raw.strip():
        raise RefusalError(400, "missing request body")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise RefusalError(400, f"invalid character in the request body: {error}") from error
    if not isinstance(body, dict):
        raise RefusalError(400, "json: cannot unmarshal the body into Go value of type api.ChatRequest")
    return cast("Json", body)


class _Exchange(BaseHTTPRequestHandler):
    """One connection: reads requests, writes what the stand-in answers."""

    protocol_version = "HTTP/1.1"
    # Frames are small; without this each would wait for the client's acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._exchange()

    def do_HEAD(self) -> None:
        self._exchange()

    def do_POST(self) -> None:
        self._exchange()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Says nothing: a server in a test or a demo has no business on stderr."""

    def _exchange(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        standin = cast("_Listener", self.server).standin
        answer = standin.answer(self.command, self.path.partition("?")[0], raw)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if isinstance(answer.body, bytes):
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
        else:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for frame in answer.body:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            self.wfile.write(b"0\r\n\r\n")


class _Listener(ThreadingHTTPServer):
    """Hands connections to `_Exchange` and remembers them, so that it can hang up."""

    daemon_threads = True
    request_queue_size = 128  # agents come in crowds

    def __init__(self, standin: OllamaStandin) -> None:
        self.standin = standin
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Exchange)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it closed by itself just now

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients hang up in the middle of a stream, and may.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
