"""LangChain's own conformance suites for chat models, on the wrapper around a model that only writes text."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from tests.adapters.langchain_scripts import BindingScript, call
from toolmend.adapters.langchain import FallbackToolChatModel

JOKE = {"setup": "Why do cats purr?", "punchline": "Because they can."}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "magic_function": {"input": 3},
    "magic_function_no_args": {},
    "greeting_generator": {"answer_style": "pirate"},
    "get_weather": {"location": "San Francisco"},
    "my_adder_tool": {"a": 3, "b": 4},
    "Joke": JOKE,
    "JokeDict": JOKE,
}


class Answers(BindingScript):
    """Says what the suites ask for: a call of the first tool it hears of, and after a result a plain answer."""

    replies: list[str] = []  # noqa: RUF012 - a pydantic field

    def _says(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> str:
        self.finish = {"finish_reason": "stop", "model_name": arguments.get("model", self.model)}
        last = messages[-1]
        if last.type == "tool" or "tool_result" in last.text:
            return "It is sunny."
        customer = re.search("customer named '(.+?)'", last.text)
        if customer:
            return call("unicode_customer", customer_name=customer[1], description="a company")
        if "joke" in last.text:
            name = "JokeDict" if "JokeDict" in self._heard(messages, arguments) else "Joke"
            return call(name, **JOKE)
        names = [name for name in self._heard(messages, arguments) if name in ARGUMENTS]
        return call(names[0], **ARGUMENTS[names[0]]) if names else "Hello there."

    def _heard(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> list[str]:
        """The tools it was told of: natively, or one a line in the system message."""
        if "tools" in arguments:
            return [tool["function"]["name"] for tool in arguments["tools"]]
        lines = "\n".join(message.text for message in messages if message.type == "system").splitlines()
        return [json.loads(line)["name"] for line in lines if line.startswith('{"name"')]


class Native:
    """Sends tools the native way; the model answers with text all the same."""

    mode = "native"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return FallbackToolChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"inner": Answers(), "mode": self.mode}

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "other-model"


class Prompt(Native):
    """Writes tools into the prompt."""

    mode = "prompt"


class TestNativeUnit(Native, ChatModelUnitTests):
    pass


class TestPromptUnit(Prompt, ChatModelUnitTests):
    pass


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestNativeIntegration(Native, ChatModelIntegrationTests):
    pass


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestPromptIntegration(Prompt, ChatModelIntegrationTests):
    pass
