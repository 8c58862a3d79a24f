"""The committed model says every scripted reply to the letter, through llama.cpp's own server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from toolmend.demo import llamacpp
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.replies import DEFAULT, REPLIES

TOOL_NAMES = {
    "get_weather": "city",
    "run_command": "command",
    "read_file": "path",
    "get_object_positions": "object_name",
    "send_email": "to",
    "book_table": "restaurant",
    "search_flights": "destination",
    "translate": "text",
    "list_orders": "customer",
    "set_alarm": "time",
}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Runs {name} and returns its result as text, or says what went wrong.",
            "parameters": {
                "type": "object",
                "properties": {key: {"type": "string", "description": f"The {key} to use."}},
                "required": [key],
            },
        },
    }
    for name, key in TOOL_NAMES.items()
]
SYSTEM = {
    "nothing": None,
    "a plain system text": "You are a helpful assistant.",
    "a long tool prompt": (
        "You can call tools. To call one, answer with a JSON object in a fence and nothing else:\n\n"
        '```json\n{"name": "the name", "arguments": {"key": "value"}}\n```\n\nThe tools are:\n\n'
        + "\n".join(str(tool).replace("'", '"') for tool in TOOLS)
    ),
}
RESULTS = ["18 degrees and sunny", '{"x": 1.5, "y": 2}', "127.0.0.1 localhost", "README.md\nmain.py"]


@pytest.fixture(scope="module")
def client(llama: LlamaServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=llama.base_url, api_key="none", max_retries=0) as found:
        yield found


def say(client: openai.OpenAI, messages: list[Any], **more: Any) -> str | None:
    answer = client.chat.completions.create(model="tiny", messages=messages, **more)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.tool_calls is None
    return answer.choices[0].message.content


def opening(system: str) -> list[Any]:
    text = SYSTEM[system]
    return [] if text is None else [{"role": "system", "content": text}]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_the_tool_prompt_is_long() -> None:
    assert len(SYSTEM["a long tool prompt"] or "") > 2800


@pytest.mark.parametrize("system", SYSTEM)
@pytest.mark.parametrize("key", REPLIES)
class TestReplies:
    def test_whole(self, client: openai.OpenAI, key: str, system: str) -> None:
        assert say(client, [*opening(system), user(key)]) == REPLIES[key]

    def test_streamed(self, client: openai.OpenAI, key: str, system: str) -> None:
        chunks = list(client.chat.completions.create(model="tiny", messages=[*opening(system), user(key)], stream=True))
        pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
        assert "".join(pieces) == REPLIES[key]
        assert len(pieces) > 3

    def test_with_native_tools_that_the_template_drops(self, client: openai.OpenAI, key: str, system: str) -> None:
        assert say(client, [*opening(system), user(key)], tools=TOOLS) == REPLIES[key]


@pytest.mark.parametrize("system", SYSTEM)
@pytest.mark.parametrize("role", ["tool", "user"])
def test_whole_conversation(client: openai.OpenAI, role: str, system: str) -> None:
    """Every question in one talk, each followed by a tool result or a thank-you."""
    messages = opening(system)
    for number, (key, reply) in enumerate(REPLIES.items()):
        messages.append(user(key))
        assert say(client, messages) == reply
        messages.append({"role": "assistant", "content": reply})
        result = RESULTS[number % len(RESULTS)]
        messages.append({"role": role, "content": result, "tool_call_id": "1"})
        assert say(client, messages) == DEFAULT
        messages.append({"role": "assistant", "content": DEFAULT})


def test_tool_results_in_the_hermes_template(llama_hermes: LlamaServer) -> None:
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    call = {"id": "1", "type": "function", "function": function}
    messages = [
        user("weather in Paris"),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "18 degrees"},
    ]
    with openai.OpenAI(base_url=llama_hermes.base_url, api_key="none") as client:
        assert say(client, messages, tools=TOOLS) == DEFAULT


class TestTemplates:
    """What the server makes of the same words depends on the template alone."""

    def calls(self, server: LlamaServer, key: str) -> list[tuple[str, str]]:
        with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
            answer = client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": key}], tools=TOOLS
            )
        calls: list[Any] = answer.choices[0].message.tool_calls or []
        return [(call.function.name, call.function.arguments) for call in calls]

    def test_hermes_parses_json(self, llama_hermes: LlamaServer) -> None:
        (call,) = self.calls(llama_hermes, "weather in Paris")
        assert call[0] == "get_weather"
        assert "Paris" in call[1]

    def test_coder_parses_tagged_parameters(self, llama_coder: LlamaServer) -> None:
        (call,) = self.calls(llama_coder, "Find all definitions")
        assert call[0] == "run_command"
        assert "grep -rn" in call[1]

    def test_fence_stays_text(self, llama_hermes: LlamaServer) -> None:
        assert self.calls(llama_hermes, "Show me notes.txt") == []

    def test_strict_refuses_tool_results(self, llama_strict: LlamaServer) -> None:
        messages: list[Any] = [user("say hello"), {"role": "tool", "content": "1"}]
        with (
            openai.OpenAI(base_url=llama_strict.base_url, api_key="none") as client,
            pytest.raises(openai.BadRequestError, match="Only user, assistant and system roles"),
        ):
            say(client, messages)

    def test_nojinja_refuses_tools(self, llama_nojinja: LlamaServer) -> None:
        with openai.OpenAI(base_url=llama_nojinja.base_url, api_key="none", max_retries=0) as client:
            with pytest.raises(openai.InternalServerError, match="tools param requires --jinja"):
                say(client, [user("say hello")], tools=TOOLS)
            assert say(client, [user("say hello")]) == REPLIES["say hello"]


class TestServer:
    def test_address_only_while_it_runs(self, llama: LlamaServer) -> None:
        assert llama.base_url.startswith("http://127.0.0.1:")
        assert llama.base_url.endswith("/v1")
        with pytest.raises(RuntimeError, match="not running"):
            _ = LlamaServer().base_url

    @pytest.mark.usefixtures("llama")
    def test_may_stop_at_once(self) -> None:
        for _ in range(5):
            with LlamaServer():
                pass

    @pytest.mark.usefixtures("llama")
    def test_says_nothing_on_stderr(self) -> None:
        program = (
            "import urllib.request as u\n"
            "from toolmend.demo.llamacpp import LlamaServer\n"
            "with LlamaServer() as s: u.urlopen(s.base_url + '/models').read()\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        assert (done.stdout, done.stderr) == (b"", b"")

    def test_model_is_small(self) -> None:
        assert llamacpp.MODEL_PATH.stat().st_size < 1_000_000
