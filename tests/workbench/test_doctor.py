"""The doctor on real servers: each kind of loss gets its verdict."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from tests.servers import MlxServer
from toolmend import ToolCall
from toolmend.cli import app
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.workbench.doctor import Findings, Server, examine, steps
from toolmend.workbench.doctor_report import doctor_page
from toolmend.workbench.questions import EMBEDDED, QUESTIONS, Question

invoke = CliRunner().invoke
ASKED = EMBEDDED[:2]


def of(base_url: str, model: str = "tiny", questions: tuple[Question, ...] = EMBEDDED, **options: Any) -> Findings:
    return examine(Server(base_url=base_url, model=model), questions, **options)


def scripted(answer: Callable[[dict[str, Any]], httpx2.Response], questions: tuple[Question, ...] = ASKED) -> Findings:
    """What the doctor finds at a server that answers chats so, and knows no other path."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path != "/v1/chat/completions":
            return httpx2.Response(404, text="nothing here")
        return answer(json.loads(request.content))

    return of("http://server/v1", questions=questions, transport=httpx2.MockTransport(handle))


def said(content: str | None, finish: str = "stop", *, tokens: int = 5, **message: Any) -> httpx2.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return httpx2.Response(200, json={"choices": [choice], "usage": {"completion_tokens": tokens}})


def test_a_template_that_leaves_the_calls_in_the_text(llama: LlamaServer) -> None:
    findings = of(llama.base_url, times=2)
    assert findings.verdict.kind == "text"
    assert findings.identity.startswith("llama.cpp")
    assert "does not show" in findings.identity
    assert [findings.total(column) for column in ("native", "recovered", "prompted")] == [1 / 6, 1, 1]
    assert set(findings.dialects) == {"hermes", "fenced_json", "pythonic", "prose"}
    assert findings.rate(EMBEDDED[0], "native") == (0, 2)


def test_a_template_that_parses_some(llama_hermes: LlamaServer) -> None:
    findings = of(llama_hermes.base_url)
    assert findings.verdict.kind == "text"
    assert findings.rate(EMBEDDED[0], "native") == (1, 1)
    assert of(llama_hermes.base_url, questions=EMBEDDED[:1]).verdict.kind == "native"


def test_a_server_that_refuses_tools(ollama_rejecting: OllamaStandin, llama_nojinja: LlamaServer) -> None:
    findings = of(ollama_rejecting.base_url)
    assert findings.verdict.kind == "refused"
    assert "does not support tools" in findings.verdict.words
    assert findings.identity.startswith("Ollama")
    assert findings.total("prompted") == 1
    assert of(llama_nojinja.base_url, questions=ASKED).verdict.kind == "refused"


def test_a_parser_that_eats_what_it_cannot_read(mlx_hermes: MlxServer) -> None:
    broken = Question(
        title="broken", messages=[{"role": "user", "content": "weather in Oslo"}], wanted=[("get_weather", {})]
    )
    assert of(mlx_hermes.base_url, mlx_hermes.model, (broken,)).verdict.kind == "swallowed"


def test_what_only_a_script_shows() -> None:
    def only_prompted(body: dict[str, Any]) -> httpx2.Response:
        asked = body["messages"][-1]["content"]
        return said(
            f'{{"name": "get_weather", "arguments": {{"city": "{asked.split()[-1]}"}}}}' if "tools" not in body else "?"
        )

    question = Question(
        title="x", messages=[{"role": "user", "content": "in Rome"}], wanted=[("get_weather", {"city": "Rome"})]
    )
    assert scripted(only_prompted, (question,)).verdict.kind == "template"
    assert scripted(lambda _: said("No.")).verdict.kind == "silent"
    assert scripted(lambda _: said(None, "tool_calls")).verdict.kind == "swallowed"
    assert scripted(lambda _: said("", reasoning="hm")).verdict.kind == "silent"
    assert scripted(lambda _: said("", tokens=0)).verdict.kind == "silent"
    broken = [{"function": {"name": "get_weather", "arguments": text}} for text in ('{"city', "[]")]
    assert scripted(lambda _: said("", tool_calls=broken, tokens=0)).verdict.kind == "silent"
    down = scripted(lambda _: httpx2.Response(503, text="loading"))
    assert (down.verdict.kind, down.to_json()["errors"]) == ("unreachable", ["loading (HTTP 503)"])
    for none in ("no JSON", "[]", "{}", '{"choices": []}'):
        assert scripted(lambda _, none=none: httpx2.Response(200, text=none)).verdict.kind == "unreachable"


def test_an_address_without_its_end() -> None:
    no_chat = httpx2.MockTransport(lambda _: httpx2.Response(404, text="404 page not found"))
    verdict = of("http://server", questions=ASKED, transport=no_chat).verdict
    assert "404 page not found" in verdict.words
    assert "/v1" in verdict.remedy


@pytest.mark.parametrize(
    ("path", "body", "identity"),
    [
        ("/v1/models", {"data": [{"owned_by": "vllm"}]}, "vLLM"),
        ("/v1/models", {"data": [{"owned_by": "someone"}]}, "unknown"),
        ("/v1/models", {"data": []}, "unknown"),
        ("/server_info", {"model_path": "m", "tool_call_parser": None}, "SGLang, tool parser None"),
        ("/server_info", {}, "unknown"),
        ("/props", {"chat_template_caps": []}, "unknown"),
        ("/api/version", [], "unknown"),
        ("/api/version", {"version": "1.2"}, "Ollama 1.2"),
    ],
)
def test_who_it_is(path: str, body: object, identity: str) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=body) if request.url.path == path else httpx2.Response(404, json={})

    assert of("http://server/v1", questions=ASKED, transport=httpx2.MockTransport(handle)).identity == identity


def test_a_server_that_hangs_is_not_asked_all_the_rest() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        findings = examine(Server(base_url=address, model="x", timeout=0.2), QUESTIONS, patience=0.2)
    assert findings.verdict.kind == "unreachable"
    assert len(findings.answers) == 2
    assert "Timeout" in findings.verdict.words


class TestGrades:
    def test_calls_must_be_the_wanted_ones_and_no_others(self) -> None:
        right = [ToolCall(name=name, arguments=dict(arguments)) for name, arguments in QUESTIONS[1].wanted]
        assert QUESTIONS[1].is_met(right, "")
        assert not QUESTIONS[1].is_met([*right, *right], "")
        assert not QUESTIONS[1].is_met([], "")
        for key, wrong in (("people", "4"), ("people", 4.0), ("outside", 0), ("restaurant", 5)):
            call = ToolCall(name=right[0].name, arguments={**right[0].arguments, key: wrong})
            assert not QUESTIONS[1].is_met([call], "")

    def test_nested_values(self) -> None:
        name, arguments = QUESTIONS[3].wanted[0]
        assert QUESTIONS[3].is_met([ToolCall(name=name, arguments=dict(arguments))], "")
        assert not QUESTIONS[3].is_met([ToolCall(name=name, arguments={**arguments, "items": []})], "")
        assert not QUESTIONS[3].is_met([ToolCall(name=name, arguments={**arguments, "customer": "Ann"})], "")

    def test_a_plain_answer_says_what_is_wanted_and_calls_nothing(self) -> None:
        assert QUESTIONS[4].is_met([], "Hello ANN!")
        assert not QUESTIONS[4].is_met([], "Hello!")
        assert not QUESTIONS[4].is_met([ToolCall(name="get_weather", arguments={})], "Ann")

    def test_every_question_can_be_asked(self, llama: LlamaServer) -> None:
        findings = of(llama.base_url, questions=QUESTIONS)
        assert not findings.to_json()["errors"]
        assert len(findings.answers) == steps(QUESTIONS, 1)


class TestTheCommand:
    def test_without_options_the_embedded_model_is_examined(self, llama: LlamaServer, tmp_path: Path) -> None:
        written = tmp_path / "out.html"
        result = invoke(app, ["doctor", "--html", str(written)])
        assert result.exit_code == 1, result.output
        assert "writes its calls as text" in result.output
        assert "FallbackToolModel" in written.read_text(encoding="utf-8")

    def test_ollama_by_its_address(self, ollama_rejecting: OllamaStandin) -> None:
        arguments = ["doctor", "--ollama", "gemma2", "--base-url", ollama_rejecting.base_url, "--json"]
        result = invoke(app, arguments)
        assert result.exit_code == 1
        assert json.loads(result.stdout)["verdict"]["kind"] == "refused"

    def test_a_server_that_is_not_there(self) -> None:
        result = invoke(app, ["doctor", "--base-url", "http://127.0.0.1:9/v1", "--model", "x"])
        assert result.exit_code == 2
        assert "does not answer" in result.output
        assert "0 of" not in result.output

    @pytest.mark.parametrize("address", ["", "localhost:8080/v1", "http://", "ftp://server/v1"])
    @pytest.mark.parametrize("command", ["doctor", "demo"])
    def test_what_is_no_address(self, command: str, address: str) -> None:
        result = invoke(app, [command, "--model", "x", "--base-url", address])
        assert result.exit_code == 2
        assert ("http://localhost:8080/v1" if address else "give both") in result.output

    def test_where_the_page_cannot_be_written_nothing_is_asked(self) -> None:
        result = invoke(app, ["doctor", "--html", "none/out.html"])
        assert result.exit_code == 2
        assert "cannot be written" in result.output

    def test_no_embedded_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("toolmend.demo.llamacpp.available", lambda: False)
        assert invoke(app, ["doctor"]).exit_code == 2

    def test_the_page_takes_nothing_for_markup(self) -> None:
        findings = scripted(lambda _: httpx2.Response(500, text="<script>"))
        assert "<script" not in doctor_page(findings)
