"""mlx-lm says the same words with the same weights, and loses what it cannot parse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.servers import MlxServer
from toolmend.demo.replies import DEFAULT, REPLIES

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def connect(server: MlxServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def plain(mlx_server: MlxServer) -> Iterator[openai.OpenAI]:
    with connect(mlx_server) as client:
        yield client


@pytest.fixture(scope="module")
def hermes(mlx_hermes: MlxServer) -> Iterator[openai.OpenAI]:
    with connect(mlx_hermes) as client:
        yield client


def ask(client: openai.OpenAI, *messages: Any, **more: Any) -> Any:
    answer = client.chat.completions.create(
        model="default_model", messages=list(messages), max_tokens=200, temperature=0, **more
    )
    return answer.choices[0]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("key", REPLIES)
class TestWords:
    def test_whole(self, plain: openai.OpenAI, key: str) -> None:
        assert joined([ask(plain, user(key)).message]) == REPLIES[key]

    def test_streamed_with_tools(self, plain: openai.OpenAI, key: str) -> None:
        chunks = plain.chat.completions.create(
            model="default_model",
            messages=[{"role": "user", "content": key}],
            max_tokens=200,
            temperature=0,
            tools=[TOOL],
            stream=True,
        )
        assert joined([c.choices[0].delta for c in chunks if c.choices]) == REPLIES[key]


def joined(messages: list[Any]) -> str:
    """The text, with the reasoning that mlx-lm always takes out put back."""
    reasoning = "".join(getattr(message, "reasoning", None) or "" for message in messages)
    text = "".join(message.content or "" for message in messages)
    return f"<think>{reasoning}</think>{text}" if reasoning else text


class TestLosses:
    """Why mlx-lm has its place here: with a template that knows tools it swallows calls."""

    def test_good_call_is_parsed(self, hermes: openai.OpenAI) -> None:
        choice = ask(hermes, user("weather in Paris"), tools=[TOOL])
        (call,) = choice.message.tool_calls
        assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
        assert choice.finish_reason == "tool_calls"

    @pytest.mark.parametrize("key", ["weather in Oslo", "Find all definitions"])
    def test_call_it_cannot_parse_is_gone(self, hermes: openai.OpenAI, key: str) -> None:
        choice = ask(hermes, user(key), tools=[TOOL])
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls is None
        assert not choice.message.content

    def test_it_parses_without_tools_too(self, hermes: openai.OpenAI) -> None:
        choice = ask(hermes, user("weather in Oslo"))
        assert choice.finish_reason == "tool_calls"
        assert not choice.message.content

    def test_call_without_arguments_ends_the_connection(self, hermes: openai.OpenAI) -> None:
        with pytest.raises(openai.APIConnectionError):
            ask(hermes, user("what time is it"), tools=[TOOL])
        chunks = hermes.chat.completions.create(
            model="default_model", messages=[user("what time is it")], tools=[TOOL], stream=True
        )
        assert list(chunks) == []

    @pytest.mark.parametrize("key", ["Show me notes.txt", "Grep for definitions again"])
    def test_other_formats_stay_text(self, hermes: openai.OpenAI, key: str) -> None:
        assert ask(hermes, user(key), tools=[TOOL]).message.content == REPLIES[key]

    def test_tool_result(self, hermes: openai.OpenAI) -> None:
        function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
        call = {"id": "1", "type": "function", "function": function}
        choice = ask(
            hermes,
            user("weather in Paris"),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "18 degrees"},
            tools=[TOOL],
        )
        assert choice.message.content == DEFAULT
