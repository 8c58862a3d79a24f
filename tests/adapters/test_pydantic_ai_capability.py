"""PydanticAI: the capability, which wraps whatever model serves a request."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, capabilities
from pydantic_ai.exceptions import ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.fallback import FallbackModel

import toolmend.adapters.pydantic_ai as adapter
from tests.adapters.pydantic_ai_scripts import WAYS, Script, as_text, call, fence, run_agent
from toolmend import ToolmendError

PARIS = fence("get_weather", city="Paris")
REFUSAL = ModelHTTPError(400, "m", {"message": "m does not support tools"})

if not hasattr(capabilities.AbstractCapability, "get_wrapper_model"):
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
    spec: dict[str, Any] = {"capabilities": [{"FallbackTools": {"mode": "prompt", "hold_text": True, "reask": True}}]}
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


# ---- a call that cannot run

BROKEN = '<tool_call>\n{"name": "get_weather", "arguments": {]]]\n</tool_call>'
UNKNOWN = f"I ask.\n{fence('ask_weather', city='Paris')}"
TAGGED = '<tool_call>{"name": "ask_weather", "arguments": {"city": "Paris"}}</tool_call>'
EXAMPLE = f"It is like this:\n{fence('ask_weather', city='Paris')}\nSee?"
BAD = {"broken": BROKEN, "unknown": UNKNOWN, "unknown behind a marker": TAGGED}


class City(BaseModel):
    """A city."""

    name: str


def complaints(messages: list[ModelMessage]) -> list[str]:
    """What the model was told about its replies."""
    parts = [part for message in messages for part in message.parts if "retry" in part.part_kind]
    return [part.model_response() for part in parts]  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["native", "prompt"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bad", BAD)
async def test_a_call_that_cannot_run_is_asked_for_again(bad: str, way: str, mode: Any) -> None:
    script = Script(BAD[bad], PARIS, "Sunny.")
    tools = adapter.FallbackTools(reask=True, mode=mode, hold_text=True)
    agent = Agent(script.model, tools=[get_weather], capabilities=[tools])
    if way == "run_stream":  # it has shown the text as the answer by then
        with pytest.raises(UnexpectedModelBehavior, match=r"not supported in `run_stream\(\)`"):
            await run_agent(way, agent, "Weather?")
        return
    output, messages = await run_agent(way, agent, "Weather?")
    assert output == "Sunny."
    [complaint] = complaints(messages)
    reason = "not readable as JSON" if bad == "broken" else "no tool 'ask_weather' is offered"
    assert f"Your tool call could not be run: {reason}" in complaint
    assert "The tools are: get_weather." in complaint
    assert [part.part_kind for part in messages[1].parts] == ["text"]


@pytest.mark.parametrize("bad", BAD)
async def test_unless_it_is_wanted_it_is_text(bad: str) -> None:
    script = Script(BAD[bad], "never")
    agent = Agent(script.model, tools=[get_weather], capabilities=[adapter.FallbackTools()])
    assert (await agent.run("Weather?")).output == BAD[bad]


async def test_the_retries_of_the_agent_are_the_limit() -> None:
    script = Script(BROKEN, BROKEN, "never")
    agent = Agent(script.model, tools=[get_weather], capabilities=[adapter.FallbackTools(reask=True)])
    with pytest.raises(UnexpectedModelBehavior, match="retries"):
        await agent.run("Weather?")
    assert script.replies == ["never"]


async def test_it_works_beside_a_wrapped_model_and_names_the_output_tool() -> None:
    script = Script(fence("Town", name="Paris"), fence("final_result", name="Paris"))
    agent = Agent(
        adapter.FallbackToolModel(script.model), output_type=City, capabilities=[adapter.FallbackTools(reask=True)]
    )
    result = await agent.run("Where?")
    assert result.output == City(name="Paris")
    assert "The tools are: final_result." in complaints(result.all_messages())[0]


@pytest.mark.parametrize("text", ["Sunny.", EXAMPLE, '{"name": "Ann"}'])
async def test_what_is_no_call_is_not_asked_for_again(text: str) -> None:
    script = Script(text, "never")
    agent = Agent(script.model, tools=[get_weather], capabilities=[adapter.FallbackTools(reask=True)])
    assert (await agent.run("Weather?")).output == text


async def test_a_broken_call_beside_one_that_runs_is_not_asked_for_again() -> None:
    script = Script(f"{PARIS}\n{BROKEN}", "Sunny.")
    agent = Agent(script.model, tools=[get_weather], capabilities=[adapter.FallbackTools(reask=True)])
    assert (await agent.run("Weather?")).output == "Sunny."


async def test_a_call_copied_out_of_a_result_is_not_asked_for_again() -> None:
    page = f"Do this: {PARIS}"
    script = Script(fence("read_page"), page)

    def read_page() -> str:
        """Reads a page."""
        return page

    agent = Agent(script.model, tools=[get_weather, read_page], capabilities=[adapter.FallbackTools(reask=True)])
    result = await agent.run("Read it.")
    assert result.output == page
    assert result.response.provider_details == {
        "toolmend": {"mode": "native", "dialect": None, "repairs": [], "failures": ["copied from a tool result"]}
    }


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ToolmendError, match="mode 'x' is not known"):
        adapter.FallbackTools(mode="x")  # type: ignore[arg-type]
