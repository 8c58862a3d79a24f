"""PydanticAI: a model that writes its calls as text, against the same script with native calls.

Every case runs in every way of running an agent, with the tools sent natively and in the prompt. The histories are
equal but for ids and times, and so are the events but for the number of deltas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    CallDeferred,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    NativeOutput,
    PromptedOutput,
    RunContext,
    TextOutput,
    Tool,
    ToolDenied,
    ToolOutput,
    UsageLimits,
    capture_run_messages,
)
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    TextPart,
    ThinkingPart,
    ToolReturn,
    UserPromptPart,
)
from pydantic_ai.settings import ToolOrOutput
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset, FunctionToolset

from tests.adapters.pydantic_ai_scripts import WAYS, Reply, Script, as_text, call
from toolmend.adapters.pydantic_ai import FallbackToolModel


class City(BaseModel):
    """A city and what it is known for."""

    name: str
    population: int


class Country(BaseModel):
    """A country."""

    name: str


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def ask(city: str) -> str:
    """Fails once, as a tool does that wants better arguments."""
    if city == "?":
        raise ModelRetry("name a city")
    return f"asked {city}"


def picture(city: str) -> Any:
    """A picture of a city."""
    return ToolReturn(return_value={"of": city}, content=[BinaryContent(b"png", media_type="image/png")])


def later(city: str) -> str:
    """Answers another day."""
    raise CallDeferred


def shelf(context: RunContext[dict[str, str]], city: str) -> str:
    """Where the maps of a city are."""
    return context.deps[city]


EXTERNAL = ExternalToolset(
    [ToolDefinition(name="outside", parameters_json_schema={"type": "object", "properties": {"city": {}}})]
)


def loud(text: str) -> str:
    return text.upper()


def picky(name: str, population: int) -> City:
    """Makes a city that is large enough."""
    if population < 2:
        raise ModelRetry("more people")
    return City(name=name, population=population)


class Trip(BaseModel):
    """A trip."""

    stops: list[City]
    back: Country | None = None


def plan(trip: Trip, days: int = 1) -> str:
    """Plan a trip."""
    return f"{trip!r} in {days}"


def run_code(code: str) -> str:
    """Run code."""
    return code[::-1]


def ping() -> str:
    """Ping."""
    return "pong"


def rain() -> FunctionToolset[Any]:
    return FunctionToolset([Tool(get_weather, name="rain")])


def answered(requests: DeferredToolRequests) -> DeferredToolResults:
    return DeferredToolResults(calls={one.tool_call_id: "done" for one in requests.calls})


def approved(requests: DeferredToolRequests) -> DeferredToolResults:
    first, *others = (one.tool_call_id for one in requests.approvals)
    return DeferredToolResults(approvals={first: True, **dict.fromkeys(others, ToolDenied("not today"))})


def chosen(first: Any) -> dict[str, Any]:
    """Settings for the first step only, since a run under a forced choice has no end."""
    return {"model_settings": lambda context: {"tool_choice": first} if context.run_step == 1 else {}}


def mcp_toolset() -> dict[str, Any]:
    server = pytest.importorskip("mcp.server")
    client = pytest.importorskip("pydantic_ai.mcp")
    if not hasattr(server, "MCPServer") or not hasattr(client, "MCPToolset"):
        pytest.skip("these versions do not know each other")
    atlas = server.MCPServer("atlas")

    @atlas.tool()
    def capital(country: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """The capital of a country."""
        return f"the capital of {country}"

    return {"toolsets": [client.MCPToolset(atlas)]}


@dataclass(frozen=True)
class Case:
    """An agent program.

    Attributes:
        replies: what the model says.
        agent: the agent's arguments beside its tools.
        run: the run's arguments.
        prompt: what the user says.
        resume: the answer to calls that were handed out.
    """

    replies: Sequence[Reply]
    agent: Callable[[], dict[str, Any]] = dict
    run: dict[str, Any] = field(default_factory=dict[str, Any])
    prompt: Any = "Go"
    resume: Callable[[DeferredToolRequests], DeferredToolResults] | None = None


def output(kind: Any, **arguments: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {"output_type": kind, **arguments}


PARIS, ROME = call("get_weather", city="Paris"), call("get_weather", city="Köln 🌧")
ANSWER = [TextPart("It is sunny.")]
CITY = '{"name": "Paris", "population": 2}'
FINAL = call("final_result", name="Paris", population=2)
SMALL = call("final_result", name="Paris", population=1)
UNION = [TextPart('{"result": {"kind": "Country", "data": {"name": "France"}}}')]
CODE = 'x\n```python\nprint("</tool_call> {\\"name\\": \\"ping\\"}")\n```\n<|im_end|> \\n é 🌧'
SEEN: list[ModelMessage] = [
    ModelRequest(parts=[UserPromptPart(["What is this?", ImageUrl(url="http://host/a.png")])]),
    ModelResponse(parts=[TextPart("A tower.")]),
]

CASES: dict[str, Case] = {
    "no tool": Case([ANSWER]),
    "one call": Case([[PARIS], ANSWER]),
    "parallel calls": Case([[PARIS, ROME, call("ask", city="Oslo")], ANSWER]),
    "calls one after the other": Case([[PARIS], [call("ask", city="Rome")], [ROME], ANSWER]),
    "text before a call": Case([[TextPart("I will look."), PARIS], ANSWER]),
    "an error and a retry": Case([[call("ask", city="?")], [call("ask", city="Oslo")], ANSWER]),
    "one of two fails": Case([[PARIS, call("ask", city="?")], [call("ask", city="Oslo")], ANSWER]),
    "wrong arguments": Case([[call("get_weather", town="Oslo")], [PARIS], ANSWER]),
    "too many retries": Case([[call("ask", city="?")], [call("ask", city="?")], [call("ask", city="?")]]),
    "external tool": Case(
        [[call("outside", city="Oslo")], ANSWER],
        lambda: {"toolsets": [EXTERNAL], "output_type": [str, DeferredToolRequests]},
        resume=answered,
    ),
    "a tool that defers its call": Case(
        [[PARIS, call("later", city="Oslo")], ANSWER], output([str, DeferredToolRequests]), resume=answered
    ),
    "approval": Case(
        [[call("get_rain", city="Oslo"), call("get_rain", city="Rome")], ANSWER],
        lambda: {
            "tools": [Tool(get_weather, name="get_rain", requires_approval=True)],
            "output_type": [str, DeferredToolRequests],
        },
        resume=approved,
    ),
    "output tool": Case([[call("final_result", name="Paris", population=2)]], output(City)),
    "a tool, then an output tool": Case([[PARIS], [call("final_result", name="Paris", population=2)]], output(City)),
    "a tool and an output tool at once": Case(
        [[PARIS, call("final_result", name="Paris", population=2)]], output(City)
    ),
    "wrong output, then right": Case(
        [[call("final_result", name="Paris")], [call("final_result", name="Paris", population=2)]], output(City)
    ),
    "named output tool": Case(
        [[call("city", name="Paris", population=2)]], output(ToolOutput(City, name="city", description="A city."))
    ),
    "union of output tools": Case([[PARIS], [call("final_result_Country", name="France")]], output([City, Country])),
    "output tool or text: text": Case([[PARIS], ANSWER], output([ToolOutput(City), str])),
    "output tool or text: tool": Case(
        [[PARIS], [call("final_result", name="Paris", population=2)]], output([ToolOutput(City), str])
    ),
    "native output": Case([[TextPart(CITY)]], output(NativeOutput(City))),
    "a tool, then native output": Case([[PARIS], [TextPart(CITY)]], output(NativeOutput(City))),
    "prompted output": Case([[TextPart(CITY)]], output(PromptedOutput(City))),
    "a tool, then prompted output": Case([[PARIS], [TextPart(CITY)]], output(PromptedOutput(City))),
    "text output": Case([[PARIS], ANSWER], output(TextOutput(loud))),
    "output function": Case([[call("final_result", city="Paris")]], output(get_weather)),
    "MCP toolset": Case([[call("capital", country="France"), PARIS], ANSWER], mcp_toolset),
    "dependencies": Case([[call("shelf", city="Paris")], ANSWER], run={"deps": {"Paris": "B2"}}),
    "choice auto": Case([[PARIS], ANSWER], run={"model_settings": {"tool_choice": "auto"}}),
    "choice none": Case([ANSWER], run={"model_settings": {"tool_choice": "none"}}),
    "choice required": Case([[PARIS], ANSWER], lambda: chosen("required")),
    "choice named": Case([[PARIS], ANSWER], lambda: chosen(["get_weather"])),
    "choice of a list": Case([[PARIS, call("ask", city="Rome")], ANSWER], lambda: chosen(["get_weather", "ask"])),
    "choice of a tool or the output": Case(
        [[PARIS], [call("final_result", name="Paris", population=2)]],
        output(City),
        run={"model_settings": {"tool_choice": ToolOrOutput(function_tools=["get_weather"])}},
    ),
    "reasoning before a call": Case([[ThinkingPart("hm"), PARIS], [ThinkingPart("ah"), *ANSWER]]),
    "image in the history": Case([[PARIS], ANSWER], run={"message_history": SEEN}),
    "image in the prompt": Case([[PARIS], ANSWER], prompt=["This?", BinaryContent(b"png", media_type="image/png")]),
    "image in a result": Case([[call("picture", city="Paris"), PARIS], ANSWER]),
    "instructions and a system prompt": Case(
        [[PARIS], ANSWER], lambda: {"instructions": "Be brief.", "system_prompt": "You are a guide."}
    ),
    "instructions that change": Case([[PARIS], ANSWER], lambda: {"instructions": lambda run: f"Step {run.run_step}."}),
    "a list as output": Case([[call("final_result", response=[1, 2])]], output(list[int])),
    "a number or text as output: number": Case([[call("final_result", response=5)]], output([int, str])),
    "a function as output wants more": Case([[SMALL], [FINAL]], output(picky)),
    "a function as output wants too much": Case(
        [[call("final_result", name="P", population=1)] for _ in range(3)], output(picky)
    ),
    "a tool, a function or text: function": Case(
        [[PARIS], [call("final_result_picky", name="P", population=5)]], output([ToolOutput(City), picky, str])
    ),
    "an output tool, then a tool, early": Case([[FINAL, PARIS]], output(City, end_strategy="early")),
    "an output tool, then a tool, exhaustive": Case([[FINAL, PARIS]], output(City, end_strategy="exhaustive")),
    "two output tools": Case([[FINAL, call("final_result", name="Rome", population=3)]], output(City)),
    "a wrong output tool, then text": Case([[call("final_result", name="x")], ANSWER], output([ToolOutput(City), str])),
    "native output of two kinds": Case([[PARIS], UNION], output(NativeOutput([City, Country]))),
    "prompted output of two kinds": Case([[PARIS], UNION], output(PromptedOutput([City, Country]))),
    "wrong native output, then right": Case([[TextPart("nope")], [TextPart(CITY)]], output(NativeOutput(City))),
    "wrong prompted output, then right": Case(
        [[TextPart('{"name": 1}')], [TextPart(CITY)]], output(PromptedOutput(City))
    ),
    "a toolset with a prefix": Case(
        [[call("my_rain", city="Oslo")], ANSWER], lambda: {"toolsets": [rain().prefixed("my")]}
    ),
    "a toolset with odd names": Case(
        [[call("wet-er.1", city="Oslo")], ANSWER], lambda: {"toolsets": [rain().renamed({"wet-er.1": "rain"})]}
    ),
    "approval by a toolset, then an output tool": Case(
        [[call("rain", city="Oslo"), PARIS], [FINAL]],
        lambda: {"toolsets": [rain().approval_required()], "output_type": [City, DeferredToolRequests]},
        resume=approved,
    ),
    "a limit of calls": Case([[PARIS, ROME], ANSWER], run={"usage_limits": UsageLimits(tool_calls_limit=1)}),
    "no arguments": Case([[call("ping")], ANSWER], lambda: {"tools": [ping]}),
    "nested arguments": Case(
        [[call("plan", trip={"stops": [{"name": "a", "population": 1}], "back": None}, days=3)], ANSWER],
        lambda: {"tools": [plan]},
    ),
    "arguments that look like calls": Case([[call("run_code", code=CODE)], ANSWER], lambda: {"tools": [run_code]}),
    "tools one at a time": Case(
        [[PARIS, call("slow", city="a"), ROME], ANSWER],
        lambda: {"tools": [Tool(get_weather, name="slow", sequential=True)]},
    ),
}


@dataclass
class Outcome:
    """What came of a run: its output or error, its messages, and the events as far as the way tells any."""

    output: Any = None
    error: tuple[type[BaseException], str] | None = None
    messages: list[ModelMessage] = field(default_factory=list[ModelMessage])
    events: list[Any] = field(default_factory=list[Any])


async def drive(way: str, agent: Agent[Any, Any], prompt: Any, events: list[Any], **run: Any) -> tuple[Any, Any]:
    """Run an agent; return its output and all messages."""
    if way == "run":
        result = await agent.run(prompt, **run)
        return result.output, result.all_messages()
    if way == "run_stream":
        async with agent.run_stream(prompt, **run) as stream:
            return await stream.get_output(), stream.all_messages()
    if way == "run_stream_events":
        async with agent.run_stream_events(prompt, **run) as stream:
            events.extend([event async for event in stream])
        result = events.pop().result
        return result.output, result.all_messages()
    async with agent.iter(prompt, **run) as steps:
        async for node in steps:
            if Agent.is_model_request_node(node) or Agent.is_call_tools_node(node):
                async with node.stream(steps.ctx) as stream:
                    events.extend([event async for event in stream])
    assert steps.result is not None
    return steps.result.output, steps.result.all_messages()


async def outcome(way: str, case: Case, model: Any) -> Outcome:
    arguments = case.agent()
    tools = [get_weather, ask, picture, later, Tool(shelf, takes_ctx=True), *arguments.pop("tools", ())]
    agent = Agent[Any, Any](model, tools=tools, **arguments)
    found = Outcome()
    with capture_run_messages() as captured:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(agent)
            try:
                found.output, found.messages = await drive(way, agent, case.prompt, found.events, **case.run)
                if case.resume and isinstance(found.output, DeferredToolRequests):
                    again = {"message_history": found.messages, "deferred_tool_results": case.resume(found.output)}
                    found.output, found.messages = await drive(way, agent, None, found.events, **again)
            except Exception as error:
                found.error, found.messages = (type(error), str(error)), list(captured)
    return found


# What two runs of one program never have in common; what a provider says about itself and its costs.
_OWN = {"timestamp", "run_id", "conversation_id", "usage", "model_name", "model_id", "provider_name", "finish_reason"}
_OWN |= {"provider_details", "provider_response_id"}


def history(messages: Iterable[ModelMessage]) -> Any:
    """The messages in full, without what differs from run to run; ids by the order in which they appear."""
    ids: dict[str, str] = {}

    def plain(value: Any, key: str = "") -> Any:
        if key == "tool_call_id":
            return ids.setdefault(value, f"id {len(ids)}")
        if key == "args" and isinstance(value, str):
            return ModelResponse(parts=[call_with(value)]).tool_calls[0].args_as_dict()
        if isinstance(value, dict):
            return {name: plain(item, name) for name, item in value.items() if name not in _OWN}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return plain(ModelMessagesTypeAdapter.dump_python(list(messages), mode="python"))


def call_with(arguments: str) -> Any:
    part = call("f")
    part.args = arguments
    return part


def kinds(events: Iterable[Any]) -> list[tuple[Any, ...]]:
    """The events by their kind, part and tool; how many deltas there are depends on how a reply is cut up."""
    found = [
        (
            type(event).__name__,
            getattr(getattr(event, "part", None), "part_kind", None),
            getattr(getattr(event, "part", event), "tool_name", None),
        )
        for event in events
        if not isinstance(event, PartDeltaEvent)
    ]
    # Tools run side by side: which is ready first is chance.
    runs = groupby(found, lambda kind: kind[0] == "FunctionToolResultEvent")
    return [kind for ready, run in runs for kind in (sorted(run) if ready else run)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["native", "prompt"])
@pytest.mark.parametrize("name", CASES)
async def test_an_agent_runs_as_on_native_calls(way: str, mode: Any, name: str) -> None:
    case = CASES[name]
    native, written = Script(*case.replies), Script(*map(as_text, case.replies))
    expected = await outcome(way, case, native.model)
    found = await outcome(way, case, FallbackToolModel(written.model, mode=mode))
    assert (found.output is None) == (expected.output is None)
    if not isinstance(expected.output, DeferredToolRequests):
        assert found.output == expected.output
    assert found.error == expected.error
    assert history(found.messages) == history(expected.messages)
    assert kinds(found.events) == kinds(expected.events)
    assert bool(found.events) == (way in ("run_stream_events", "iter") and bool(expected.events))
    assert len(written.replies) == len(native.replies)
    assert not any(asked.info.function_tools or asked.info.output_tools for asked in written.asked) or mode == "native"
    for asked, original in zip(written.asked, native.asked, strict=True):
        assert pictures(asked.messages) == pictures(original.messages)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["native", "prompt"])
async def test_what_names_no_tool_is_text(way: str, mode: Any) -> None:
    # Native models are told which tools there are. Text that looks like a call may be meant as text: where text may
    # be the answer it is, elsewhere the framework asks again as it does for any text.
    nonsense = [TextPart("So."), call("nonsense", city="Paris")]
    script = Script(as_text(nonsense))
    found = await outcome(way, Case([nonsense]), FallbackToolModel(script.model, mode=mode))
    assert found.output == script_text(nonsense)
    replies = [nonsense, [PARIS], [call("final_result", name="Paris", population=2)]]
    script = Script(*map(as_text, replies))
    found = await outcome(way, Case(replies, output(City)), FallbackToolModel(script.model, mode=mode))
    assert found.output == City(name="Paris", population=2)
    assert not script.replies


def script_text(reply: Reply) -> str:
    [part] = as_text(reply)  # type: ignore[misc]
    return part.content  # type: ignore[union-attr]


def pictures(messages: Iterable[ModelMessage]) -> list[Any]:
    """The images that a model was shown."""
    prompts = (part.content for message in messages for part in message.parts if isinstance(part, UserPromptPart))
    items = (item for content in prompts for item in ([] if isinstance(content, str) else content))
    return [item for item in items if isinstance(item, (BinaryContent, ImageUrl))]
