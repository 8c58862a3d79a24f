"""The Ollama stand-in answers as Ollama does, as seen by the real clients."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import ollama
import openai
import pytest

from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.demo.replies import DEFAULT, REPLIES

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
REFUSED = "registry.ollama.ai/library/gemma:latest does not support tools"
PARIS = [{"role": "user", "content": "weather in Paris"}]
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
}


@pytest.fixture(params=["recorded", "llama"])
def upstream(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "recorded" else request.getfixturevalue("llama").base_url


@pytest.fixture
def rejecting(upstream: str | None) -> Iterator[OllamaStandin]:
    with OllamaStandin(upstream=upstream) as standin:
        yield standin


@pytest.fixture
def accepting(upstream: str | None) -> Iterator[OllamaStandin]:
    with OllamaStandin(tools=True, upstream=upstream) as standin:
        yield standin


@pytest.fixture
def recorded() -> Iterator[OllamaStandin]:
    with OllamaStandin() as standin:
        yield standin


class _Dying(BaseHTTPRequestHandler):
    """A server that fails after the first words."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'data: {"choices":[{"delta":{"content":"Let me "}}]}\n\n')
        self.wfile.write(b'data: {"error":{"code":500,"message":"out of memory"}}\n\n')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def dying() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Dying) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def native(standin: OllamaStandin) -> ollama.Client:
    return ollama.Client(host=standin.url)


def sdk(standin: OllamaStandin) -> openai.OpenAI:
    return openai.OpenAI(base_url=standin.base_url, api_key="none", max_retries=0)


def post(standin: OllamaStandin, path: str, body: object) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(standin.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
        with connection.getresponse() as response:
            return response.status, response.headers["Content-Type"], response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("key", REPLIES)
def test_both_endpoints_say_every_reply(rejecting: OllamaStandin, key: str) -> None:
    messages = [{"role": "user", "content": key}]
    with native(rejecting) as client:
        answer = client.chat("gemma", messages)
        pieces = list(client.chat("gemma", messages, stream=True))
    assert answer.message.content == REPLIES[key]
    assert "".join(piece.message.content or "" for piece in pieces) == REPLIES[key]
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (pieces[-1].done, pieces[-1].done_reason) == (True, "stop")
    assert answer.eval_count == pieces[-1].eval_count
    assert answer.eval_count is not None
    assert answer.eval_count > 0
    with sdk(rejecting) as client:
        whole = client.chat.completions.create(model="gemma", messages=messages)
        chunks = list(client.chat.completions.create(model="gemma", messages=messages, stream=True))
    assert whole.choices[0].message.content == REPLIES[key]
    assert whole.choices[0].finish_reason == "stop"
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == REPLIES[key]
    assert len(chunks) > 3
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]


class TestRefusal:
    @pytest.mark.parametrize("stream", [False, True])
    def test_native_body(self, rejecting: OllamaStandin, stream: bool) -> None:
        body = {"model": "gemma", "messages": PARIS, "tools": [TOOL], "stream": stream}
        status, kind, raw = post(rejecting, "/api/chat", body)
        assert (status, kind) == (400, "application/json; charset=utf-8")
        assert raw == b'{"error":"%s"}' % REFUSED.encode()
        assert rejecting.requests == [{"method": "POST", "path": "/api/chat", "body": body, "status": 400}]

    @pytest.mark.parametrize("stream", [False, True])
    def test_openai_body(self, rejecting: OllamaStandin, stream: bool) -> None:
        body = {"model": "gemma", "messages": PARIS, "tools": [TOOL], "stream": stream}
        status, _, raw = post(rejecting, "/v1/chat/completions", body)
        assert status == 400
        assert raw == (
            b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":null}}' % REFUSED.encode()
        )

    @pytest.mark.parametrize("stream", [False, True])
    def test_native_client(self, rejecting: OllamaStandin, stream: bool) -> None:
        with native(rejecting) as client, pytest.raises(ollama.ResponseError) as caught:
            list(client.chat("gemma", PARIS, tools=[TOOL], stream=stream))
        assert (caught.value.status_code, caught.value.error) == (400, REFUSED)

    @pytest.mark.parametrize("stream", [False, True])
    def test_openai_client(self, rejecting: OllamaStandin, stream: bool) -> None:
        with sdk(rejecting) as client, pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="gemma", messages=PARIS, tools=[TOOL], stream=stream)
        assert caught.value.body == {
            "message": REFUSED,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }

    def test_no_tools_in_the_list(self, recorded: OllamaStandin) -> None:
        body = {"model": "gemma", "messages": PARIS, "tools": [], "stream": False}
        assert post(recorded, "/api/chat", body)[0] == 200

    @pytest.mark.parametrize(
        ("model", "full"),
        [
            ("gemma", "registry.ollama.ai/library/gemma:latest"),
            ("gemma:2b", "registry.ollama.ai/library/gemma:2b"),
            ("ann/gemma", "registry.ollama.ai/ann/gemma:latest"),
            ("hf.co/ann/gemma:Q4", "hf.co/ann/gemma:Q4"),
        ],
    )
    def test_full_name(self, recorded: OllamaStandin, model: str, full: str) -> None:
        body = {"model": model, "messages": PARIS, "tools": [TOOL]}
        _, _, raw = post(recorded, "/api/chat", body)
        assert json.loads(raw) == {"error": f"{full} does not support tools"}

    def test_thinking(self, recorded: OllamaStandin) -> None:
        body: dict[str, Any] = {"model": "gemma", "messages": PARIS}
        refused = '"gemma" does not support thinking'
        _, _, raw = post(recorded, "/api/chat", body | {"think": True})
        assert json.loads(raw) == {"error": refused}
        _, _, raw = post(recorded, "/v1/chat/completions", body | {"reasoning_effort": "low"})
        assert json.loads(raw)["error"]["message"] == refused


class TestToolsAccepted:
    @pytest.mark.parametrize("choice", ["auto", "required", {"type": "function"}])
    def test_the_call_stays_in_the_text(self, accepting: OllamaStandin, choice: object) -> None:
        body = {"model": "gemma", "messages": PARIS, "tools": [TOOL], "tool_choice": choice}
        status, _, raw = post(accepting, "/v1/chat/completions", body)
        choice = json.loads(raw)["choices"][0]
        assert status == 200
        assert choice == {
            "index": 0,
            "message": {"role": "assistant", "content": REPLIES["weather in Paris"]},
            "finish_reason": "stop",
        }

    def test_tool_results_reach_the_model(self, accepting: OllamaStandin) -> None:
        result = {"role": "tool", "tool_call_id": "1", "content": "18 degrees"}
        with sdk(accepting) as client:
            answer = client.chat.completions.create(model="gemma", messages=[*PARIS, CALL, result], tools=[TOOL])
        assert answer.choices[0].message.content == DEFAULT


class TestHistory:
    def test_tool_messages_vanish_without_tool_support(self, rejecting: OllamaStandin) -> None:
        result = {"role": "tool", "tool_call_id": "1", "content": "18 degrees"}
        with sdk(rejecting) as client:
            answer = client.chat.completions.create(model="gemma", messages=[*PARIS, CALL, result])
        assert answer.choices[0].message.content == REPLIES["weather in Paris"]

    @pytest.mark.parametrize(
        ("message", "error"),
        [
            ({"role": "user", "content": None}, "invalid message content type: <nil>"),
            ({"role": "assistant"}, "invalid message content type: <nil>"),
            ({"role": "user", "content": 3}, "invalid message content type: int"),
            ({"role": "user", "content": [{"type": "video"}]}, "invalid message format"),
            (
                {**CALL, "tool_calls": [{"function": {"name": "f", "arguments": '{"city'}}]},
                "invalid tool call arguments",
            ),
            (
                {**CALL, "tool_calls": [{"function": {"name": "f", "arguments": ""}}]},
                "invalid tool call arguments",
            ),
        ],
    )
    def test_openai_rules(self, recorded: OllamaStandin, message: dict[str, Any], error: str) -> None:
        body = {"model": "gemma", "messages": [message]}
        status, _, raw = post(recorded, "/v1/chat/completions", body)
        assert (status, json.loads(raw)["error"]["message"]) == (400, error)

    @pytest.mark.parametrize("content", [None, "", "Let me see."])
    def test_content_may_be_null_beside_calls(self, recorded: OllamaStandin, content: str | None) -> None:
        messages = [*PARIS, {**CALL, "content": content}, *PARIS]
        body = {"model": "gemma", "messages": messages}
        assert post(recorded, "/v1/chat/completions", body)[0] == 200

    def test_no_messages(self, recorded: OllamaStandin) -> None:
        status, _, raw = post(recorded, "/v1/chat/completions", {"model": "gemma", "messages": []})
        assert status == 400
        assert json.loads(raw)["error"]["message"] == "[] is too short - 'messages'"
        _, _, raw = post(recorded, "/api/chat", {"model": "gemma"})
        assert json.loads(raw)["done_reason"] == "load"

    def test_parts_are_joined(self, recorded: OllamaStandin) -> None:
        content = [{"type": "text", "text": "say hello"}]
        body = {"model": "gemma", "messages": [{"role": "user", "content": content}]}
        _, _, raw = post(recorded, "/v1/chat/completions", body)
        assert json.loads(raw)["choices"][0]["message"]["content"] == REPLIES["say hello"]

    @pytest.mark.parametrize(
        "message",
        [
            {"role": "user", "content": [{"type": "text", "text": "say hello"}]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        ],
    )
    def test_native_types_are_strict(self, recorded: OllamaStandin, message: dict[str, Any]) -> None:
        status, _, raw = post(recorded, "/api/chat", {"model": "gemma", "messages": [message]})
        assert status == 400
        assert json.loads(raw)["error"].startswith("json: cannot unmarshal")


class TestModels:
    def test_unknown_model(self) -> None:
        with OllamaStandin(models=["gemma"]) as standin:
            body = {"model": "gemma3", "messages": PARIS}
            expected = "model 'gemma3' not found"
            status, _, raw = post(standin, "/api/chat", body)
            assert (status, json.loads(raw)) == (404, {"error": expected})
            status, _, raw = post(standin, "/v1/chat/completions", body)
            assert status == 404
            assert json.loads(raw)["error"] == {
                "message": expected,
                "type": "not_found_error",
                "param": None,
                "code": None,
            }
            assert post(standin, "/api/show", {"model": "gemma3"})[0] == 404
            assert post(standin, "/api/chat", body | {"model": "gemma:latest"})[0] == 200

    @pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
    def test_no_model(self, recorded: OllamaStandin, path: str) -> None:
        status, _, raw = post(recorded, path, {"messages": PARIS})
        assert status == 400
        assert b"model is required" in raw

    def test_capabilities(self, rejecting: OllamaStandin, accepting: OllamaStandin) -> None:
        with native(rejecting) as client:
            assert client.show("gemma").capabilities == ["completion"]
        with native(accepting) as client:
            assert client.show("gemma").capabilities == ["completion", "tools"]
            assert [model.model for model in client.list().models] == ["tiny:latest"]
        with sdk(accepting) as client:
            assert [model.id for model in client.models.list()] == ["tiny:latest"]

    @pytest.mark.parametrize(
        ("method", "path", "status", "body"),
        [
            ("GET", "/", 200, b"Ollama is running"),
            ("HEAD", "/", 200, b""),
            ("GET", "/api/version", 200, b'{"version":"0.0.0"}'),
            ("GET", "/nothing", 404, b"404 page not found"),
        ],
    )
    def test_other_paths(self, recorded: OllamaStandin, method: str, path: str, status: int, body: bytes) -> None:
        connection = http.client.HTTPConnection(recorded.url.removeprefix("http://"), timeout=10)
        connection.request(method, path)
        with connection.getresponse() as response:
            assert (response.status, response.read()) == (status, body)
        connection.close()


class TestSettings:
    def test_limits(self, rejecting: OllamaStandin) -> None:
        body: dict[str, Any] = {"model": "gemma", "messages": PARIS, "stream": False}
        _, _, raw = post(rejecting, "/api/chat", body | {"options": {"num_predict": 3}})
        native_answer = json.loads(raw)
        assert (native_answer["done_reason"], native_answer["eval_count"]) == ("length", 3)
        _, _, raw = post(rejecting, "/v1/chat/completions", body | {"max_tokens": 3})
        answer = json.loads(raw)
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 3
        # Ollama has no such field: clients that send it have no limit.
        _, _, raw = post(rejecting, "/v1/chat/completions", body | {"max_completion_tokens": 3})
        assert json.loads(raw)["choices"][0]["finish_reason"] == "stop"

    def test_usage_in_a_stream(self, rejecting: OllamaStandin) -> None:
        with sdk(rejecting) as client:
            chunks = list(
                client.chat.completions.create(
                    model="gemma",
                    messages=PARIS,
                    stream=True,
                    stream_options={"include_usage": True},
                )
            )
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens > 0
        assert all(chunk.usage is None for chunk in chunks[:-1])

    def test_wrong_format(self, recorded: OllamaStandin) -> None:
        body = {"model": "gemma", "messages": PARIS, "format": "xml"}
        status, _, raw = post(recorded, "/api/chat", body)
        assert status == 500
        assert json.loads(raw) == {"error": 'invalid format: "xml"; expected "json" or a valid JSON Schema object'}

    @pytest.mark.usefixtures("llama")
    def test_schema_is_enforced(self, ollama_rejecting: OllamaStandin) -> None:
        schema = {
            "type": "object",
            "properties": {"total": {"type": "integer"}},
            "required": ["total"],
        }
        form = {"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}
        message = {"role": "user", "content": "Sum up the orders as JSON"}
        body: dict[str, Any] = {"model": "gemma", "messages": [message], "stream": False}
        body["options"] = {"num_predict": 60}
        _, _, raw = post(ollama_rejecting, "/api/chat", body | {"format": schema})
        assert json.loads(raw)["message"]["content"].lstrip().startswith("{")
        body["max_tokens"] = 60
        _, _, raw = post(ollama_rejecting, "/v1/chat/completions", body | {"response_format": form})
        assert json.loads(raw)["choices"][0]["message"]["content"].lstrip().startswith("{")


class TestBadConnections:
    @pytest.mark.parametrize(
        ("raw", "message"),
        [(b"", "missing request body"), (b"{", "invalid character"), (b"[]", "cannot unmarshal")],
    )
    def test_body_that_is_no_json(self, recorded: OllamaStandin, raw: bytes, message: str) -> None:
        status, _, answer = post(recorded, "/api/chat", raw)
        assert status == 400
        assert message in json.loads(answer)["error"]

    @pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
    def test_client_that_hangs_up(self, rejecting: OllamaStandin, path: str, capfd: pytest.CaptureFixture[str]) -> None:
        body = json.dumps({"model": "gemma", "messages": PARIS, "stream": True}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        address = ("127.0.0.1", int(rejecting.url.rpartition(":")[2]))
        for _ in range(5):
            with socket.create_connection(address) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                connection.sendall(head + body)
                connection.recv(40)
        assert post(rejecting, path, body)[0] == 200
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
    @pytest.mark.parametrize("stream", [False, True])
    def test_model_that_refuses(self, llama: Any, path: str, stream: bool) -> None:
        """Ollama hands the error of its llama-server on as text within its own error."""
        with OllamaStandin(tools=True, upstream=llama.base_url) as standin:
            messages = [{"role": "user", "content": "word " * 20_000}]
            body = {"model": "gemma", "messages": messages, "stream": stream}
            status, _, raw = post(standin, path, body)
        assert status == 400
        error = json.loads(raw)["error"]
        inner = json.loads(error if isinstance(error, str) else error["message"])
        assert inner["error"]["type"] == "exceed_context_size_error"

    def test_model_that_is_away(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with OllamaStandin(upstream=address) as standin:
            status, _, raw = post(standin, "/api/chat", {"model": "gemma", "messages": PARIS})
        assert status == 500
        assert b"error" in raw

    def test_error_in_the_middle(self, dying: str) -> None:
        """One protocol says what went wrong; the other only stops, which clients must notice."""
        body = {"model": "gemma", "messages": PARIS, "stream": True}
        with OllamaStandin(upstream=dying) as standin:
            status, _, raw = post(standin, "/api/chat", body)
            lines = [json.loads(line) for line in raw.splitlines()]
            assert status == 200
            assert lines[0]["message"]["content"] == "Let me "
            assert "out of memory" in lines[1]["error"]
            status, _, raw = post(standin, "/v1/chat/completions", body)
            events = [json.loads(line[6:]) for line in raw.splitlines() if line]
            assert status == 200
            assert [event["choices"][0]["delta"]["content"] for event in events] == ["Let me ", ""]
            assert all(event["choices"][0]["finish_reason"] is None for event in events)

    def test_keeps_connections_and_hangs_up_at_the_end(self, recorded: OllamaStandin) -> None:
        connection = http.client.HTTPConnection(recorded.url.removeprefix("http://"), timeout=10)
        for _ in range(3):
            connection.request("POST", "/api/chat", json.dumps({"model": "a", "messages": PARIS}))
            with connection.getresponse() as response:
                assert response.read().endswith(b"}\n")
        recorded.stop()
        connection.close()
        with pytest.raises(RuntimeError, match="not running"):
            _ = recorded.url
