"""The gateway, really served: before real servers, and before scripted ones for the faults."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.adapters.gateway_scripts import CALL, Call, chat, completion, event, gateway_before, scripted
from tests.servers import MlxServer
from toolmend import ToolmendError
from toolmend.adapters.gateway import Limits, gateway
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin

CHATS = "/v1/chat/completions"


async def answers(call: Call) -> None:
    await call.whole(completion(CALL))


async def nothing(call: Call) -> None:
    await call.gone.wait()


def eventually(condition: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def events(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(each) if each != "[DONE]" else each for each in data]


def said(text: str) -> tuple[str, list[dict[str, Any]], list[Any]]:
    """The text of a streamed reply, its calls, and what is neither."""
    words, calls, others = "", [], []
    for each in events(text):
        if isinstance(each, str) or "choices" not in each:
            others.append(each)
            continue
        for choice in each["choices"]:
            words += choice["delta"].get("content") or ""
            calls += choice["delta"].get("tool_calls") or []
    return words, calls, others


# Before real servers.


@pytest.fixture
def before_llama(llama: LlamaServer) -> Iterator[httpx2.Client]:
    with gateway_before(llama.base_url) as client:
        yield client


@pytest.fixture
def before_mlx(mlx_server: MlxServer) -> Iterator[httpx2.Client]:
    with gateway_before(mlx_server.base_url) as client:
        yield client


@pytest.mark.parametrize("server", ["before_llama", "before_mlx"])
def test_a_call_arrives_native_and_its_result_is_answered(server: str, request: pytest.FixtureRequest) -> None:
    client: httpx2.Client = request.getfixturevalue(server)
    body = chat(model="default_model")
    reply = client.post(CHATS, json=body).raise_for_status().json()["choices"][0]
    assert reply["finish_reason"] == "tool_calls"
    [call] = reply["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    body["messages"] += [reply["message"] | {"content": ""}, result]
    last = client.post(CHATS, json=body).raise_for_status().json()["choices"][0]
    assert last["message"]["content"] == "Done. The task is finished."
    assert last["finish_reason"] == "stop"


@pytest.mark.parametrize("server", ["before_llama", "before_mlx"])
def test_parallel_calls_arrive_in_a_stream(server: str, request: pytest.FixtureRequest) -> None:
    client: httpx2.Client = request.getfixturevalue(server)
    reply = client.post(CHATS, json=chat("compare Paris and Rome", model="default_model", stream=True))
    text, calls, others = said(reply.text)
    assert not text.strip()
    assert [json.loads(call["function"]["arguments"])["city"] for call in calls] == ["Paris", "Rome"]
    assert [call["index"] for call in calls] == [0, 1]
    assert others == ["[DONE]"]


@pytest.mark.parametrize("mode", ["native", "prompt"])
def test_the_modes(llama: LlamaServer, mode: str) -> None:
    with gateway_before(llama.base_url, mode=mode) as client:
        reply = client.post(CHATS, json=chat("say hello")).json()["choices"][0]
    assert reply["message"]["content"] == "Hello! No tool is needed for that."
    assert "tool_calls" not in reply["message"]


def test_a_server_that_refuses_tools_is_asked_again_once(ollama_rejecting: OllamaStandin) -> None:
    with gateway_before(ollama_rejecting.base_url) as client:
        for _ in range(2):
            message = client.post(CHATS, json=chat()).raise_for_status().json()["choices"][0]["message"]
            assert message["tool_calls"][0]["function"]["name"] == "get_weather"
        assert "toolmend_fallbacks_total 1.0" in client.get("/metrics").text
    chats = [request for request in ollama_rejecting.requests if request["path"] == CHATS]
    assert [request["status"] for request in chats] == [400, 200, 200]


def test_ollamas_own_protocol_before_ollama(ollama_rejecting: OllamaStandin) -> None:
    with gateway_before(ollama_rejecting.url) as client:
        reply = client.post("/api/chat", json=chat())
        last = json.loads(reply.text.splitlines()[-1])
        calls = [call for line in reply.text.splitlines() for call in json.loads(line)["message"].get("tool_calls", ())]
        shown = client.post("/api/show", json={"model": "tiny"}).json()
        assert client.get("/api/version").json() == {"version": "0.0.0"}
        assert client.get("/api/tags").json()["models"]
    assert [call["function"]["arguments"] for call in calls] == [{"city": "Paris"}]
    assert last["done"] is True
    assert "tools" in shown["capabilities"]


@pytest.mark.parametrize("stream", [True, False])
def test_ollamas_own_protocol_before_another_server(before_llama: httpx2.Client, stream: bool) -> None:
    body = chat("compare Paris and Rome", stream=stream)
    reply = before_llama.post("/api/chat", json=body)
    lines = [json.loads(line) for line in reply.text.splitlines()]
    calls = [call for line in lines for call in line["message"].get("tool_calls", ())]
    assert [call["function"]["arguments"] for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert lines[-1]["done"] is True
    assert lines[-1]["eval_count"] > 0
    body["messages"] += [
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_name": "get_weather", "content": "sunny"},
        {"role": "tool", "tool_name": "get_weather", "content": "rain"},
    ]
    last = before_llama.post("/api/chat", json={**body, "stream": False}).json()
    assert last["message"]["content"] == "Done. The task is finished."
    assert last["done_reason"] == "stop"


def test_what_ollamas_clients_ask_of_another_server(before_llama: httpx2.Client) -> None:
    assert before_llama.get("/api/version").json()["version"]
    [model] = before_llama.get("/api/tags").json()["models"]
    assert model["name"] == before_llama.get("/v1/models").json()["data"][0]["id"]
    shown = before_llama.post("/api/show", json={"model": model["name"]}).json()
    assert shown["capabilities"] == ["completion", "tools"]
    assert before_llama.post("/api/show", content=b"[").status_code == 400


def test_a_length_limit_never_yields_half_a_call(before_llama: httpx2.Client) -> None:
    for path, limit in ((CHATS, {"max_tokens": 12}), ("/api/chat", {"options": {"num_predict": 12}})):
        for stream in (False, True):
            reply = before_llama.post(path, json=chat(stream=stream, **limit)).text
            assert "tool_calls" not in reply, path
            assert "length" in reply


# Faults of the upstream.


def test_a_dead_upstream_is_502() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with gateway_before(f"http://127.0.0.1:{taken.getsockname()[1]}") as client:
            reply = client.post(CHATS, json=chat())
            assert reply.status_code == 502
            assert reply.json()["error"]["type"] == "upstream_error"
            assert "is the server running?" in reply.json()["error"]["message"]
            assert client.post("/api/chat", json=chat()).status_code == 502
            assert isinstance(client.get("/api/tags").json()["error"], str)
            assert client.get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize("path", [CHATS, "/v1/models"])
def test_a_silent_upstream_is_504(path: str) -> None:
    with scripted(nothing) as upstream, gateway_before(upstream.url, limits=Limits(silence=0.2)) as client:
        reply = client.post(path, json=chat())
        assert reply.status_code == 504
        assert "0.2 s" in reply.json()["error"]["message"]
        assert eventually(lambda: upstream.gone == 1)


def cut_chunked(call: Call, *said: str) -> Any:
    return call.chunks(*said)


def cut_closed(call: Call, *said: str) -> Any:
    return call.stream(*said)


@pytest.mark.parametrize("cut", [cut_chunked, cut_closed])
@pytest.mark.parametrize("path", [CHATS, "/api/chat"])
@pytest.mark.parametrize("half", ['data: {"id": "x", "cho', ""])
def test_a_stream_that_breaks_off_ends_with_an_error(cut: Any, path: str, half: str) -> None:
    async def script(call: Call) -> None:
        if "/api/version" in call.head:
            await call.whole({}, status=404)
        else:
            await cut(call, event("Well.\n"), event(CALL[:-16]), event(CALL[-16:-3]), *([half] if half else ()))

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        reply = client.post(path, json=chat(stream=True))
    assert reply.status_code == 200
    assert "tool_calls" not in reply.text
    assert "[DONE]" not in reply.text
    if path == CHATS:
        text, calls, [error] = said(reply.text)
        assert "Well.\n" in text
        assert not calls
        assert error["error"]["type"] == "upstream_error"
    else:
        *lines, error = [json.loads(line) for line in reply.text.splitlines()]
        assert not any(line["done"] for line in lines)
        assert isinstance(error["error"], str)


def loses(how: str, stream: bool) -> Callable[[Call], Any]:
    """An upstream whose own parser loses the call, unless the tools are in the prompt."""

    async def script(call: Call) -> None:
        if "/api/version" in call.head:
            await call.whole({}, status=404)
        elif "tools" not in json.loads(call.body):
            if stream:
                await call.stream(event(CALL), event("", "stop"), "data: [DONE]\n\n")
            else:
                await call.whole(completion(CALL))
        elif how == "error":
            await call.whole({"error": {"message": "failed to parse JSON: unexpected end"}}, status=500)
        elif how == "nothing":
            await comes_to_nothing(call)
        # else it hangs up without a word

    return script


@pytest.mark.parametrize("how", ["error", "nothing", "hangs up"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHATS, "/api/chat"])
def test_a_call_that_the_upstream_has_lost_is_asked_for_once_more(how: str, stream: bool, path: str) -> None:
    with scripted(loses(how, stream)) as upstream, gateway_before(upstream.url) as client:
        for _ in range(2):
            reply = client.post(path, json=chat(stream=stream))
            assert reply.status_code == 200
            assert reply.text.count("get_weather") == 1
            assert "tool_calls" in reply.text
        asked = [call for call in upstream.calls if "/chat/completions" in call.head]
        assert ["tools" in json.loads(call.body) for call in asked] == [True, False, False]  # remembered
        assert "toolmend_fallbacks_total 1.0" in client.get("/metrics").text


async def comes_to_nothing(call: Call) -> None:
    if json.loads(call.body)["stream"]:
        await call.stream(event("", "tool_calls"), "data: [DONE]\n\n")
    else:
        await call.whole(completion("", "tool_calls"))


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_loses_the_call_again_is_not_asked_for_ever(stream: bool) -> None:

    with scripted(comes_to_nothing) as upstream, gateway_before(upstream.url) as client:
        reply = client.post(CHATS, json=chat(stream=stream))
        assert reply.status_code == 200
        assert len(upstream.calls) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_fails_when_asked_once_more(stream: bool) -> None:
    async def script(call: Call) -> None:
        if "tools" not in json.loads(call.body):
            await call.whole({"error": "busy"}, status=503)
        else:
            await comes_to_nothing(call)

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        reply = client.post(CHATS, json=chat(stream=stream))
        assert reply.status_code == 200
        assert '"tool_calls"' in reply.text  # the end as the upstream gave it, and nothing made up
        assert "get_weather" not in reply.text


def test_a_whole_reply_that_breaks_off_is_502() -> None:
    async def script(call: Call) -> None:
        await call.send("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n", "{")

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        assert client.post(CHATS, json=chat()).status_code == 502


def test_without_tools_what_breaks_off_breaks_off() -> None:
    async def script(call: Call) -> None:
        await call.chunks(event("Well"))

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            client.post(CHATS, json=chat(tools=[]))
        assert client.get("/healthz").status_code == 200


def test_a_reply_without_its_last_event_is_whole_if_it_says_why_it_ended() -> None:
    async def script(call: Call) -> None:
        if "/api/version" in call.head:
            await call.whole({}, status=404)
        else:
            await call.stream(event(CALL), event("", "stop").rstrip("\n"))

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        text, calls, others = said(client.post(CHATS, json=chat(stream=True)).text)
        assert (text, len(calls), others) == ("", 1, [])
        lines = client.post("/api/chat", json=chat(stream=True)).text.splitlines()
        assert json.loads(lines[-1])["done"] is True


@pytest.mark.parametrize(
    ("limits", "text", "complaint"),
    [
        (Limits(event=1000), event("x" * 2000)[:-2], "an event of the reply is longer than 1000"),
        (Limits(reply=1000), event("x" * 200) * 10, "the reply is longer than 1000"),
    ],
)
def test_a_streamed_reply_has_limits(limits: Limits, text: str, complaint: str) -> None:
    async def script(call: Call) -> None:
        await call.stream(text)
        await call.gone.wait()

    with scripted(script) as upstream, gateway_before(upstream.url, limits=limits) as client:
        assert complaint in client.post(CHATS, json=chat(stream=True)).text
        assert eventually(lambda: upstream.gone)


def test_a_whole_reply_has_a_limit() -> None:
    with scripted(answers) as upstream, gateway_before(upstream.url, limits=Limits(reply=100)) as client:
        reply = client.post(CHATS, json=chat())
        assert reply.status_code == 502
        assert "longer than 100 bytes" in reply.json()["error"]["message"]


def test_lines_are_looked_after_too() -> None:
    line = {"model": "tiny", "message": {"role": "assistant", "content": CALL}, "done": False}
    raw = json.dumps(line) + "\n"

    async def script(call: Call) -> None:
        if "/api/version" in call.head:
            await call.whole({"version": "1"})
            return
        kind = "application/x-ndjson"
        await call.stream(raw[:20], kind=kind)
        await asyncio.sleep(0.05)
        await call.send(raw[20:], *([] if b'"cut"' in call.body else [json.dumps({**line, "done": True})]))

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        whole = client.post("/api/chat", json=chat()).text
        assert "get_weather" in whole
        assert json.loads(whole.splitlines()[-1])["done"] is True
        lines = client.post("/api/chat", json=chat(model="cut")).text.splitlines()
        assert "ended before" in json.loads(lines[-1])["error"]


def test_an_error_of_the_upstream_passes() -> None:
    error = {"error": {"message": "no such model", "type": "not_found", "param": None, "code": 404}}

    async def script(call: Call) -> None:
        await call.whole(error, status=404)

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        reply = client.post(CHATS, json=chat())
        assert (reply.status_code, reply.json()) == (404, error)
        reply = client.post("/api/chat", json=chat())
        assert (reply.status_code, reply.json()) == (404, {"error": "no such model"})


def test_a_server_that_is_only_starting_is_asked_again_what_it_is() -> None:
    starting = [True]

    async def script(call: Call) -> None:
        if "/api/version" in call.head:
            await call.whole({"version": "1"}, status=503 if starting.pop() else 200)
            starting.append(False)
        else:
            await call.whole({"models": [{"name": "tiny", "capabilities": ["completion"]}, "?"]})

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        assert client.get("/api/tags").json() == {"models": []}
        [model, other] = client.get("/api/tags").json()["models"]
        assert model["capabilities"] == ["completion", "tools"]
        assert other == "?"


@pytest.mark.parametrize("raw", [b"<html>", b"[1]", b"{}", b'{"models": 1}', b'{"data": 1}'])
def test_nonsense_from_the_upstream_is_no_crash(raw: bytes) -> None:
    async def script(call: Call) -> None:
        await call.whole(raw)

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        for reply in (client.get("/api/tags"), client.post("/api/chat", json=chat()), client.get("/v1/models")):
            assert reply.status_code in (200, 502)
        assert client.post(CHATS, json=chat()).content == raw


# Clients that leave.


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHATS, "/v1/other"])
def test_when_the_client_goes_the_upstream_is_told(stream: bool, path: str) -> None:
    async def script(call: Call) -> None:
        if stream:
            await call.chunks(event("One"))
        await call.gone.wait()

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        body = json.dumps(chat(stream=stream))
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall((head + body).encode())
            assert eventually(lambda: upstream.open == 1)
            if stream:
                assert raw.recv(1)
        assert eventually(lambda: upstream.gone == 1 and upstream.open == 0)
        assert client.get("/healthz").status_code == 200


def test_a_client_that_leaves_before_its_request_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "toolmend.gateway")
    with scripted(answers) as upstream, gateway_before(upstream.url) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{")
        assert eventually(lambda: "gone" in caplog.text)
        assert not upstream.calls


# What is refused.


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "localhost.evil.example:80"}, 403),
        ({"host": "[x"}, 403),
        ({"host": "my.box:8811"}, 200),
        ({"host": "192.168.1.7:8811"}, 200),
        ({"host": "[::1]:8811"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://192.168.1.7"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "http://127.0.0.1:3000"}, 200),
        ({"origin": "https://MY.box"}, 200),
    ],
)
def test_only_callers_who_mean_this_host(headers: dict[str, str], status: int) -> None:
    with scripted(answers) as upstream, gateway_before(upstream.url, hosts=["my.box"]) as client:
        reply = client.post(CHATS, json=chat(), headers=headers)
        assert reply.status_code == status
        assert len(upstream.calls) == (status == 200)
        if status == 403:
            assert f"--allow-{next(iter(headers))}" in reply.json()["error"]["message"]


PAGE = "http://localhost:3000"


def asks_leave(client: httpx2.Client, origin: str, method: str = "POST", **more: str) -> httpx2.Response:
    headers = {"access-control-request-method": method, "access-control-request-headers": "authorization,content-type"}
    return client.options(CHATS, headers={"origin": origin, **headers, **more})


async def allows_all(call: Call) -> None:
    await call.whole(completion(CALL), headers="access-control-allow-origin: *\r\naccess-control-max-age: 9\r\n")


@pytest.mark.parametrize("stream", [False, True])
def test_web_pages_that_were_asked_in(stream: bool) -> None:
    async def script(call: Call) -> None:
        await (call.stream(event(CALL), event("", "stop"), "data: [DONE]\n\n") if stream else allows_all(call))

    origins = [PAGE, "https://Chat.example.org"]
    with scripted(script) as upstream, gateway_before(upstream.url, origins=origins) as client:
        for origin in (PAGE, "https://chat.example.org"):
            leave = asks_leave(client, origin, **{"access-control-request-private-network": "true"})
            assert leave.status_code == 200
            assert leave.headers["access-control-allow-origin"] == origin
            assert leave.headers["access-control-allow-headers"] == "authorization,content-type"
            assert {"GET", "POST"} <= {*leave.headers["access-control-allow-methods"].split(", ")}
            assert "access-control-allow-credentials" not in leave.headers
            reply = client.post(CHATS, json=chat(stream=stream), headers={"origin": origin})
            assert "tool_calls" in reply.text
            assert reply.headers.get_list("access-control-allow-origin") == [origin]
            assert "Origin" in reply.headers["vary"]
            assert "access-control-max-age" not in reply.headers
        refused = client.post(CHATS, json=[], headers={"origin": PAGE})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, PAGE)
        asked = len(upstream.calls)
        for origin in ("http://localhost:3001", "https://chat.example.org.evil.example", "null"):
            assert asks_leave(client, origin).status_code == 400
            assert "access-control-allow-origin" not in asks_leave(client, origin).headers
        assert client.post(CHATS, json=chat(), headers={"origin": "https://evil.example"}).status_code == 403
        assert client.post(CHATS, json=chat(), headers={"host": "evil.example", "origin": PAGE}).status_code == 403
        assert len(upstream.calls) == asked


def test_by_default_no_web_page_is_given_leave() -> None:
    with scripted(allows_all) as upstream, gateway_before(upstream.url, hosts=["*"]) as client:
        reply = client.post(CHATS, json=chat(), headers={"origin": PAGE})
        assert "access-control-allow-origin" not in reply.headers
        assert "access-control-allow-origin" not in asks_leave(client, PAGE).headers
        assert client.post(CHATS, json=chat(), headers={"origin": "https://evil.example"}).status_code == 403


def test_all_web_pages_may_be_asked_in() -> None:
    with scripted(answers) as upstream, gateway_before(upstream.url, origins=["*"]) as client:
        assert asks_leave(client, "https://any.example").headers["access-control-allow-origin"] == "*"
        assert client.post(CHATS, json=chat(), headers={"origin": "https://any.example"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["chat.example.org", "https://x/", "https://x/y", "https://", "null", "", "https://[ x"]
)
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(ToolmendError, match=r"https://chat\.example\.org"):
        gateway("http://localhost:1", origins=[origin])


@pytest.mark.parametrize(
    "target",
    [b"/%2e%2e/secret", b"/v1/../../secret", b"/..%5csecret", b"http://evil.example/x", b"@evil.example/", b"*"],
)
def test_no_client_chooses_where_its_request_goes(target: bytes) -> None:
    with scripted(answers) as upstream, gateway_before(upstream.url + "/base") as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall(b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            reply = raw.makefile("rb").read()
        assert reply.split()[1] in (b"400", b"404")
        assert not upstream.calls


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"messages": 1}', "`messages`"),
        (b'{"messages": [1]}', "`messages`"),
        (b'{"messages": [], "tools": 1}', "`tools`"),
        (b'{"messages": [], "tools": [1]}', "`tools`"),
    ],
)
@pytest.mark.parametrize("path", [CHATS, "/chat/completions", "/api/chat"])
def test_a_damaged_request_is_400(body: bytes, complaint: str, path: str) -> None:
    async def script(call: Call) -> None:
        await call.whole({"version": "1"})

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        reply = client.post(path, content=body)
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert complaint in (error if path == "/api/chat" else error["message"])
        assert not [call for call in upstream.calls if call.head.startswith("POST")]


def test_a_damaged_request_is_not_translated() -> None:
    async def script(call: Call) -> None:
        await call.whole({}, status=404)

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        assert client.post("/api/chat", content=b"{").status_code == 400
    assert [call.head.split()[1] for call in upstream.calls] == ["/api/version"]


def test_a_request_has_limits() -> None:
    limits = Limits(request=1000, arrival=0.2)
    with scripted(answers) as upstream, gateway_before(upstream.url, limits=limits) as client:
        assert client.post(CHATS, content=b"x" * 1001).status_code == 413
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall(b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{")
            assert b" 408 " in raw.recv(100)
        with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
            raw.sendall(b"GET /v1/x HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * (1 << 17) + b"\r\n")
            assert b" 400 " in raw.recv(100)
        assert not upstream.calls


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "http://x:y:z", "http://x/?a=b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ToolmendError, match="write for example"):
        gateway(url)


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(ToolmendError, match="mode 'often'"):
        gateway("http://localhost", mode="often")  # type: ignore[arg-type]


def test_a_fault_of_the_gateway_is_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: httpx2.Request) -> httpx2.Response:
        raise RuntimeError("a defect")

    with gateway_before("http://localhost", transport=httpx2.MockTransport(broken)) as client:
        reply = client.post(CHATS, json=chat())
    assert reply.status_code == 500
    assert "defect" not in reply.text
    assert "a defect" in caplog.text


# What passes.


def test_headers_are_those_of_the_end_to_end() -> None:
    async def script(call: Call) -> None:
        more = "connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\nx-end: 2\r\ndate: then\r\n"
        more += "set-cookie: a\r\nset-cookie: b\r\n"
        await call.whole(b"ok", "text/plain", headers=more)

    sent = {
        "connection": "x-mine, close", "x-mine": "1", "x-theirs": "2", "te": "trailers", "proxy-authorization": "p",
        "cookie": "c", "origin": "http://localhost", "authorization": "Bearer key", "expect": "100-continue",
    }  # fmt: skip
    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        reply = client.get("/v1/x", headers=sent)
    [call] = upstream.calls
    names = {line.partition(":")[0].lower() for line in call.head.split("\r\n")[1:-2]}
    assert names == {"host", "x-theirs", "authorization", "accept", "accept-encoding", "user-agent"}
    assert "Bearer key" in call.head
    assert reply.headers.get_list("set-cookie") == ["a", "b"]
    assert reply.headers["x-end"] == "2"
    assert reply.headers["date"] != "then"
    assert not {"x-hop", "keep-alive"} & {*reply.headers}


@pytest.mark.parametrize("path", ["/v1/embeddings", CHATS])
def test_what_is_not_looked_after_passes_byte_for_byte(path: str) -> None:
    packed = gzip.compress(json.dumps(completion(CALL)).encode())

    async def script(call: Call) -> None:
        await call.whole(packed, headers="content-encoding: gzip\r\n")

    body = b'{ "messages":[ ] ,"input": "\\u00e4"}'
    with (
        scripted(script) as upstream,
        gateway_before(upstream.url) as client,
        client.stream("POST", f"{path}?a=%20b", content=body, headers={"accept-encoding": "gzip"}) as reply,
    ):
        assert b"".join(reply.iter_raw()) == packed
        assert reply.headers["content-encoding"] == "gzip"
    [call] = upstream.calls
    assert call.head.startswith(f"POST {path}?a=%20b HTTP/1.1\r\n")
    assert call.body == body


def test_a_path_keeps_its_escapes() -> None:
    with scripted(answers) as upstream, gateway_before(upstream.url + "/base/v1") as client:
        client.get("/v1/models/org%2Fname%20x//y?b=%2F&c")
    assert upstream.calls[0].head.startswith("GET /base/v1/models/org%2Fname%20x//y?b=%2F&c HTTP/1.1\r\n")


def test_headers_may_hold_any_bytes() -> None:
    async def script(call: Call) -> None:
        await call.whole(b"ok", "text/plain", headers="x-name: Zo\u00eb \u20ac\r\n")

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        for path in ("/v1/x", CHATS):
            reply = client.post(path, json=chat(), headers=[(b"x-name", "Zo\u00eb \u20ac".encode())])
            assert dict(reply.headers.raw)[b"x-name"] == "Zo\u00eb \u20ac".encode()
    assert all("x-name: Zo\u00eb \u20ac" in call.head for call in upstream.calls)


def test_what_is_rewritten_is_never_compressed() -> None:
    async def script(call: Call) -> None:
        assert "accept-encoding: identity" in call.head.lower()
        await call.whole(gzip.compress(json.dumps(completion(CALL)).encode()), headers="content-encoding: gzip\r\n")

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        reply = client.post(CHATS, json=chat())
    assert reply.json()["choices"][0]["message"]["tool_calls"]
    assert "content-encoding" not in reply.headers


def test_a_body_that_lies_about_its_compression_is_502() -> None:
    async def script(call: Call) -> None:
        await call.whole(b"plain", headers="content-encoding: gzip\r\n")

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        assert client.post(CHATS, json=chat()).status_code == 502


@pytest.mark.parametrize("path", ["/v1/models", CHATS, "/healthz"])
def test_head_and_options(path: str) -> None:
    async def script(call: Call) -> None:
        await call.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nallow: POST\r\n\r\n")

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        assert client.head(path).status_code == 200
        assert client.options(path).headers["allow"] == "POST"
    assert upstream.calls[-1].head.startswith(f"OPTIONS {path} ")


def test_a_redirect_is_not_followed() -> None:
    async def script(call: Call) -> None:
        await call.whole(b"", status=307, headers="location: http://evil.example/\r\n")

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        for body in (chat(), {"messages": []}):
            reply = client.post(CHATS, json=body, headers={"authorization": "Bearer key"})
            assert reply.status_code == 307
    assert len(upstream.calls) == 2


def test_tokens_arrive_one_by_one() -> None:
    async def script(call: Call) -> None:
        await call.chunks(event("The sun, "))
        while not first:
            await asyncio.sleep(0.01)
        await call.send(
            *(f"{len(e):x}\r\n{e}\r\n" for e in (event("and the moon."), event("", "stop"), "data: [DONE]\n\n")),
            "0\r\n\r\n",
        )

    first: list[str] = []
    with ExitStack() as stack, scripted(script) as upstream, gateway_before(upstream.url) as client:
        reply = stack.enter_context(client.stream("POST", CHATS, json=chat(stream=True)))
        pieces = reply.iter_text()
        first.append(next(pieces))  # the second is not even sent yet
        rest = "".join(pieces)
    assert said(first[0])[0] == "The sun,"
    assert said(rest)[0] == " and the moon."


# What is counted and logged.


def test_metrics_can_be_read_by_prometheus() -> None:
    with scripted(answers) as upstream, gateway_before(upstream.url) as client:
        client.post(CHATS, json=chat())
        client.get("/somewhere/else")
        page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }
    assert samples["toolmend_requests_total", ("path", CHATS), ("status", "200")] == 1
    assert samples["toolmend_requests_total", ("path", "other"), ("status", "200")] == 1
    assert samples["toolmend_recovered_calls_total", ("dialect", "hermes")] == 1
    assert samples["toolmend_added_seconds_count",] == 1
    assert samples["toolmend_fallbacks_total",] == 0


def test_what_was_meant_as_a_call_and_is_none_is_counted() -> None:
    async def script(call: Call) -> None:
        await call.whole(completion('<tool_call>\n{"name": "get_weather", "arguments": oops}\n</tool_call>'))

    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        client.post(CHATS, json=chat())
        assert 'toolmend_failed_calls_total{dialect="hermes"} 1.0' in client.get("/metrics").text


def test_one_line_a_request_and_nothing_secret_in_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "toolmend")
    secret = {"authorization": "Bearer hush", "cookie": "hush", "x-api-key": "hush"}
    with scripted(answers) as upstream:
        url = upstream.url.replace("http://", "http://user:hush@")
        with gateway_before(url) as client:
            client.post(CHATS + "?key=hush", json=chat("weather in Paris, hush"), headers=secret)
            client.post(CHATS, content=b'{"hush')
            client.get("/healthz")
            assert "hush" not in client.get("/healthz").text
    lines = [record.getMessage() for record in caplog.records if record.name == "toolmend.gateway"]
    assert len(lines) == 4
    assert lines[0].startswith(f"POST '{CHATS}' 200 ")
    assert lines[0].endswith("s model='tiny' tools='native' recovered={'hermes': 1}")
    assert " 400 " in lines[1]
    assert "error='the request is not JSON" in lines[1]
    assert "hush" not in caplog.text
    assert "authorization: basic" in upstream.calls[0].head.lower()


def test_a_log_line_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "toolmend")
    with scripted(answers) as upstream, gateway_before(upstream.url) as client:
        client.get("/v1/x%0aGET%20y")
        client.post(CHATS, json=chat(model="a\nb"))
    assert all("\n" not in record.getMessage() for record in caplog.records if record.name == "toolmend.gateway")


# Many faults, few of what benchmarks/gateway.py sends.


def test_it_survives_what_is_cut_dropped_and_damaged(caplog: pytest.LogCaptureFixture) -> None:
    async def script(call: Call) -> None:
        await call.chunks(event("Well.\n"), event(CALL[:-3]))
        if b'"wait"' in call.body:
            await call.gone.wait()

    dice = random.Random(1)
    good = json.dumps(chat(stream=True)).encode()
    with scripted(script) as upstream, gateway_before(upstream.url) as client:
        for _ in range(20):
            assert [said(client.post(CHATS, content=good).text)[1]] == [[]]
            with client.stream("POST", CHATS, json=chat(stream=True, model="wait")) as reply:
                next(reply.iter_raw())
        for _ in range(200):
            damaged = bytearray(good)
            for _ in range(dice.randrange(1, 9)):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            assert client.post(CHATS, content=bytes(damaged)).status_code in (200, 400)
        assert eventually(lambda: upstream.open == 0)
        assert client.get("/healthz").status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
