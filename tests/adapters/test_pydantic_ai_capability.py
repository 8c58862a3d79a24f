"""PydanticAI: the capability, which wraps whatever model serves a request."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai import Agent, capabilities
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.fallback import FallbackModel

import toolmend.adapters.pydantic_ai as adapter
from tests.adapters.pydantic_ai_scripts import WAYS, Script, as_text, call, fence, run_agent
from toolmend import ToolmendError

PARIS = fence("get_weather", city="Paris")
REFUSAL = ModelHTTPError(400, "m", {"message": "m does not support tools"})

if not hasattr(capabilities.AbstractCapability, "get_wrapper_model"):

    def test_an_old_version_says_what_is_needed() -> None:
        with pytest.raises(ToolmendError, match=r"needs pydantic-ai 2\.62 or newer; wrap the model in"):
            adapter.FallbackTools  # noqa: B018
        with pytest.raises(AttributeError):
            adapter.FallbackNonsense  # noqa: B018

    pytest.skip("capabilities of this version wrap no models", allow_module_level=True)


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.mark.parametrize("way", WAYS)
async def test_it_wraps_every_request_and_remembers_refusals(way: str) -> None:
    # The framework wants a new wrapper each time: without a memory of its own each would be refused once.
    script = Script(REFUSAL, PARIS, "Sunny.", PARIS, "Hello.")
    agent = Agent(script.model, tools=[get_weather], capabilities=[adapter.FallbackTools()])
    assert (await run_agent(way, agent, "Weather?"))[0] == "Sunny."
    assert (await run_agent(way, agent, "Weather?"))[0] == "Hello."
    assert [bool(asked.info.function_tools) for asked in script.asked] == [True, *[False] * 4]


async def test_it_passes_its_options_on() -> None:
    heard: list[Any] = []
    script = Script(as_text([call("get_weather", city="Paris")]), "Sunny.")
    tools = adapter.FallbackTools(mode="prompt", hold_text=True, stream_arguments=True, on_recovery=heard.append)
    wrapper: Any = tools.get_wrapper_model(script.model)
    assert (wrapper.mode, wrapper.hold_text, wrapper.stream_arguments) == ("prompt", True, True)
    assert wrapper.refusals is tools.refusals
    assert (await Agent(script.model, tools=[get_weather], capabilities=[tools]).run("Go")).output == "Sunny."
    assert len(heard) == 1


def test_what_is_wrapped_already_stays() -> None:
    assert adapter.FallbackTools().get_wrapper_model(adapter.FallbackToolModel(Script().model)) is None


async def test_it_works_from_an_agent_spec() -> None:
    script = Script(PARIS, "Sunny.")
    spec: dict[str, Any] = {"capabilities": [{"FallbackTools": {"mode": "prompt", "hold_text": True}}]}
    agent = Agent.from_spec(
        spec, custom_capability_types=[adapter.FallbackTools], model=script.model, tools=[get_weather]
    )
    assert (await agent.run("Weather?")).output == "Sunny."
    assert not any(asked.info.function_tools for asked in script.asked)
    agent = Agent.from_spec(
        {"capabilities": ["FallbackTools"]}, custom_capability_types=[adapter.FallbackTools], model=script.model
    )
    script.replies = ["Hi."]
    assert (await agent.run("Hi")).output == "Hi."


async def test_around_a_fallback_model() -> None:
    scripts = Script(REFUSAL, PARIS, "Sunny."), Script(REFUSAL, "no")
    model = FallbackModel(*(script.model for script in scripts))
    agent = Agent(model, tools=[get_weather], capabilities=[adapter.FallbackTools()])
    assert (await agent.run("Weather?")).output == "Sunny."


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ToolmendError, match="mode 'x' is not known"):
        adapter.FallbackTools(mode="x")  # type: ignore[arg-type]
