"""Agents and graphs on a model that only writes text, beside the same agents on a model that calls natively."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.types import Command, interrupt
from pydantic import BaseModel

import toolmend.adapters.langchain
from tests.adapters.langchain_scripts import (
    PARIS,
    ROME,
    USAGE,
    BindingScript,
    OllamaServer,
    Script,
    call,
    get_time,
    get_weather,
    named,
    turns_so_far,
    wrapped,
)
from toolmend import ToolmendError
from toolmend.adapters.langchain import FallbackToolChatModel, FallbackToolMiddleware

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.LangChainBetaWarning", "ignore:create_react_agent has been moved"
)


@tool
def divide(a: int, b: int) -> str:
    """Divide a by b."""
    if b == 0:
        raise ValueError("b must not be 0")
    return str(a / b)


@tool(return_direct=True)
def stop(reason: str) -> str:
    """Stop and show the reason."""
    return f"stopped: {reason}"


class City(BaseModel):
    """A city."""

    name: str


TOOLS = [get_weather, get_time, divide, stop]
Step = tuple[str, list[tuple[str, dict[str, Any]]]]


class NativeScript(BaseChatModel):
    """Says its steps in turn, with calls as a native model has them."""

    steps: list[Step]

    @property
    def _llm_type(self) -> str:
        return "native"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _step(self, messages: list[BaseMessage]) -> AIMessage:
        text, calls = self.steps[min(turns_so_far(messages), len(self.steps) - 1)]
        native = [{"name": name, "args": args, "id": str(uuid.uuid4()), "type": "tool_call"} for name, args in calls]
        return AIMessage(text, tool_calls=native, usage_metadata=USAGE)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._step(messages))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        step = self._step(messages)
        for i in range(0, len(step.text), 7):
            yield ChatGenerationChunk(message=AIMessageChunk(step.text[i : i + 7]))
        whole = AIMessageChunk("", tool_calls=step.tool_calls, usage_metadata=USAGE)
        yield ChatGenerationChunk(message=whole)


def as_script(steps: list[Step]) -> list[str]:
    return ["\n".join(filter(None, [text, *(call(name, **args) for name, args in calls)])) for text, calls in steps]


def history(messages: list[BaseMessage]) -> list[tuple[Any, ...]]:
    """A conversation without ids; calls and results are matched by their place."""
    places: dict[str, int] = {}
    told: list[tuple[Any, ...]] = []
    for message in messages:
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        places.update({one["id"]: len(places) for one in calls})
        told.append(
            (
                message.type,
                message.text,
                [(one["name"], one["args"], places[one["id"]]) for one in calls],
                places.get(getattr(message, "tool_call_id", "")),
                getattr(message, "status", None),
                message.name,
                getattr(message, "usage_metadata", None),
            )
        )
    return told


SCENES: dict[str, list[Step]] = {
    "no tool": [("It is sunny.", [])],
    "one call": [("Let me look.", [("get_weather", {"city": "Paris"})]), ("Sunny.", [])],
    "a call and no text": [("", [("get_weather", {"city": "Paris"})]), ("Sunny.", [])],
    "parallel calls": [
        ("", [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Rome"}), ("get_weather", {"city": "Oslo"})]),
        ("Sunny.", []),
    ],
    "the same call twice": [("", [("get_weather", {"city": "Paris"})] * 2), ("Sunny.", [])],
    "one call after another": [
        ("First this.", [("get_weather", {"city": "Paris"})]),
        ("Then that.", [("get_weather", {"city": "Rome"})]),
        ("Both sunny.", []),
    ],
    "an error and another try": [
        ("", [("divide", {"a": 1, "b": 0})]),
        ("Again.", [("divide", {"a": 1, "b": 2})]),
        ("0.5", []),
    ],
    "arguments that do not fit": [("", [("divide", {"a": "x", "b": 2})]), ("I cannot.", [])],
    "a tool that answers itself": [("", [("stop", {"reason": 'a `b` "c"\n```\nd'})]), ("Stopped.", [])],
}
BUILDS: dict[str, Callable[..., Any]] = {}


def build(function: Callable[..., Any]) -> Callable[..., Any]:
    BUILDS[function.__name__] = function
    return function


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


@build
def graph(model: Any, **settings: Any) -> Any:
    bound = model.bind_tools(TOOLS)

    def thinker(state: State) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    builder = StateGraph(State)
    builder.add_node("thinker", thinker)
    builder.add_node("tools", ToolNode(TOOLS, handle_tool_errors=True))
    builder.add_edge(START, "thinker")
    builder.add_conditional_edges("thinker", tools_condition)
    builder.add_edge("tools", "thinker")
    return builder.compile(**settings)


@build
def agent(model: Any, **settings: Any) -> Any:
    return create_agent(model, TOOLS, **settings)


@build
def react_agent(model: Any, **settings: Any) -> Any:
    return create_react_agent(model, ToolNode(TOOLS, handle_tool_errors=True), **settings)


@build
def middleware(model: Any, **settings: Any) -> Any:
    inner, fields = model, {}
    if isinstance(model, FallbackToolChatModel):
        inner, fields = model.inner, {"mode": model.mode}
    return create_agent(inner, TOOLS, middleware=[FallbackToolMiddleware(reask=1, **fields)], **settings)


QUESTION = {"messages": [{"role": "user", "content": "Weather in Paris and Rome?"}]}
LIMIT = {"recursion_limit": 25}
MODES = {"native": {"mode": "native"}, "prompt": {"mode": "prompt"}, "refused": {"refuses": True}}


def run(agent: Any, way: str) -> Any:
    if way == "invoke":
        return agent.invoke(QUESTION, LIMIT)
    state: Any = None
    for kind, value in agent.stream(QUESTION, LIMIT, stream_mode=["messages", "values"]):
        state = value if kind == "values" else state
    return state


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", BUILDS)
@pytest.mark.parametrize("scene", SCENES)
def test_the_history_is_that_of_a_native_model(scene: str, make: str, mode: str) -> None:
    steps = SCENES[scene]
    fails = scene.startswith("an error") and make in ("agent", "middleware")  # there, tool errors end the run
    for way in ("invoke", "stream"):
        _, model = wrapped(*as_script(steps), **MODES[mode])
        if fails:
            with pytest.raises(ValueError, match="b must not"):
                run(BUILDS[make](model), way)
            continue
        expected = history(run(BUILDS[make](NativeScript(steps=steps)), way)["messages"])
        assert history(run(BUILDS[make](model), way)["messages"]) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", BUILDS)
async def test_the_history_of_an_asynchronous_run_is_the_same(make: str, mode: str) -> None:
    steps = SCENES["parallel calls"]
    _, model = wrapped(*as_script(steps), **MODES[mode])
    expected = history(BUILDS[make](NativeScript(steps=steps)).invoke(QUESTION)["messages"])
    assert history((await BUILDS[make](model).ainvoke(QUESTION))["messages"]) == expected
    state: Any = None
    async for kind, value in BUILDS[make](model).astream(QUESTION, stream_mode=["messages", "values"]):
        state = value if kind == "values" else state
    assert history(state["messages"]) == expected


# ---- answers in a schema


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_answers_by_a_tool(way: str, mode: str) -> None:
    steps: list[Step] = [
        ("Look.", [("get_weather", {"city": "Paris"})]),
        ("", [("City", {"title": "Paris"})]),  # does not fit: the framework asks again
        ("", [("City", {"name": "Paris"})]),
    ]
    _, model = wrapped(*as_script(steps), **MODES[mode])
    agents = [
        create_agent(one, TOOLS, response_format=ToolStrategy(City)) for one in (NativeScript(steps=steps), model)
    ]
    states = [run(agent, way) for agent in agents]
    assert [state["structured_response"] for state in states] == [City(name="Paris")] * 2
    assert history(states[1]["messages"]) == history(states[0]["messages"])


# ---- checkpoints


THREAD = {"configurable": {"thread_id": "1"}}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", BUILDS)
def test_a_conversation_goes_on_from_a_checkpoint(make: str, mode: str) -> None:
    steps: list[Step] = [*SCENES["one call"], ("Now Rome.", [("get_weather", {"city": "Rome"})]), ("Both sunny.", [])]
    _, model = wrapped(*as_script(steps), **MODES[mode])
    states = []
    for one in (NativeScript(steps=steps), model):
        agent = BUILDS[make](one, checkpointer=InMemorySaver())
        agent.invoke(QUESTION, THREAD)
        states.append(agent.invoke({"messages": [("user", "And Rome?")]}, THREAD))
        assert len(agent.get_state(THREAD).values["messages"]) == 8
    assert history(states[1]["messages"]) == history(states[0]["messages"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", ["graph", "agent", "react_agent"])
def test_a_run_that_was_interrupted_before_its_tools_goes_on(make: str, mode: str) -> None:
    _, model = wrapped(*as_script(SCENES["parallel calls"]), **MODES[mode])
    agent = BUILDS[make](model, checkpointer=InMemorySaver(), interrupt_before=["tools"])
    agent.invoke(QUESTION, THREAD)
    waiting = agent.get_state(THREAD).values["messages"][-1]
    assert len(waiting.tool_calls) == 3
    done = agent.invoke(None, THREAD)["messages"]
    assert {one.tool_call_id for one in done if one.type == "tool"} == {one["id"] for one in waiting.tool_calls}
    assert done[-1].text == "Sunny."


@pytest.mark.parametrize("mode", MODES)
def test_a_person_in_the_loop_may_edit_a_call(mode: str) -> None:
    _, model = wrapped(PARIS, "Done.", **MODES[mode])
    person = HumanInTheLoopMiddleware(interrupt_on={"get_weather": True})
    agent = create_agent(model, TOOLS, middleware=[person], checkpointer=InMemorySaver())
    [asked] = agent.invoke(QUESTION, THREAD)["__interrupt__"]
    assert asked.value["action_requests"][0]["args"] == {"city": "Paris"}
    edited = {"type": "edit", "edited_action": {"name": "get_weather", "args": {"city": "Oslo"}}}
    done = agent.invoke(Command(resume={"decisions": [edited]}), THREAD)["messages"]
    assert [one.text.endswith("sunny in Oslo") for one in done if one.type == "tool"] == [True]


@pytest.mark.parametrize("mode", MODES)
def test_a_tool_may_interrupt_the_run(mode: str) -> None:
    @tool
    def ask(question: str) -> str:
        """Ask a person."""
        return interrupt(question)

    _, model = wrapped(call("ask", question="May I?"), "Done.", **MODES[mode])
    agent = create_agent(model, [ask], checkpointer=InMemorySaver())
    [asked] = agent.invoke(QUESTION, THREAD)["__interrupt__"]
    assert asked.value == "May I?"
    done = agent.invoke(Command(resume="Yes."), THREAD)["messages"]
    assert [one.text for one in done[-2:]] == ["Yes.", "Done."]


@pytest.mark.parametrize("mode", MODES)
def test_a_run_may_go_back_and_take_another_way(mode: str) -> None:
    _, model = wrapped(PARIS, "Done.", **MODES[mode])
    agent = create_agent(model, TOOLS, checkpointer=InMemorySaver())
    agent.invoke(QUESTION, THREAD)
    [before] = [state for state in agent.get_state_history(THREAD) if state.next == ("tools",)]
    said = before.values["messages"][-1]
    other = said.model_copy(update={"tool_calls": [{**said.tool_calls[0], "args": {"city": "Oslo"}}]})
    done = agent.invoke(None, agent.update_state(before.config, {"messages": [other]}))["messages"]
    assert [one.text for one in done[-2:]] == ["sunny in Oslo", "Done."]


async def test_a_graph_in_a_graph_shows_what_its_agent_writes() -> None:
    _, model = wrapped(f"Look.\n{PARIS}", "Sunny.")
    outer = StateGraph(State).add_node("sub", create_agent(model, TOOLS)).add_edge(START, "sub").compile()
    told = [one async for one in outer.astream(QUESTION, stream_mode=["messages", "updates"], subgraphs=True)]
    chunks = [value[0] for _, mode, value in told if mode == "messages" and isinstance(value[0], AIMessageChunk)]
    assert "".join(one.text for one in chunks) == "Look.Sunny."
    assert [piece["name"] for one in chunks for piece in one.tool_call_chunks] == ["get_weather"]
    assert [list(value) for _, mode, value in told if mode == "updates"] == [["model"], ["tools"], ["model"], ["sub"]]


# ---- deepagents


@pytest.mark.parametrize("mode", MODES)
async def test_a_deep_agent(mode: str) -> None:
    content = 'a `b` "c"\n```json\n{"name": "get_weather", "arguments": {}}\n```\n'
    replies = [
        f"Let me note it.\n{call('write_file', file_path='/notes.txt', content=content)}",
        call("read_file", file_path="/notes.txt"),
        call("task", description="Weather in Paris?", subagent_type="general-purpose"),
        "All done.",
    ]
    _, model = wrapped(*replies, **MODES[mode])
    agent = create_deep_agent(model, tools=[get_weather], subagents=[helper(model.mode)])
    for state in (agent.invoke(QUESTION), await agent.ainvoke(QUESTION)):
        called = [name for message in state["messages"] if message.type == "ai" for name, _ in named(message)]
        assert called == ["write_file", "read_file", "task"]
        assert state["files"]["/notes.txt"]["content"] == content
        results = [message.text for message in state["messages"] if message.type == "tool"]
        assert results[-1] == "It is sunny in Paris."
        assert state["messages"][-1].text == "All done."


def helper(mode: str) -> Any:
    """A subagent with a model of its own."""
    return {
        "name": "general-purpose",
        "description": "does it",
        "system_prompt": "Do it.",
        "model": wrapped(PARIS, "It is sunny in Paris.", mode=mode)[1],
        "tools": [get_weather],
    }


# ---- the middleware


TALK = [
    ("human", "Weather in Paris and Rome?"),
    ("ai", "Let me look."),
    ("tool", "sunny in Paris"),
    ("tool", "sunny in Rome"),
    ("ai", "Sunny in both."),
]
ANSWERS = (f"Let me look.\n{PARIS}\n{ROME}", "Sunny in both.")


def talk(state: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message.type, message.text) for message in state["messages"]]


async def test_the_middleware_puts_the_wrapper_in_the_model_s_place() -> None:
    server = OllamaServer(list(ANSWERS))
    agent = create_agent(server.model(), TOOLS, middleware=[FallbackToolMiddleware()])
    assert talk(agent.invoke(QUESTION)) == TALK
    assert talk(await agent.ainvoke(QUESTION)) == TALK
    shown = [piece.text for piece, _ in agent.stream(QUESTION, stream_mode="messages") if piece.type != "tool"]
    assert "".join(shown) == "Let me look.Sunny in both."
    # What the server refused is known from the first request on.
    assert [bool(request.get("tools")) for request in server.requests] == [True] + [False] * 6


def test_the_middleware_hands_its_settings_on() -> None:
    server = OllamaServer(list(ANSWERS))
    agent = create_agent(server.model(), TOOLS, middleware=[FallbackToolMiddleware(mode="prompt")])
    assert talk(agent.invoke(QUESTION)) == TALK
    assert not any(request.get("tools") for request in server.requests)
    with pytest.raises(ValueError, match="mode"):
        create_agent(server.model(), middleware=[FallbackToolMiddleware(mode="never")]).invoke(QUESTION)


class Choosing(AgentMiddleware):
    """Takes another model for every request."""

    def __init__(self, *models: BaseChatModel) -> None:
        super().__init__()
        self.models = list(models)

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self.models.append(self.models.pop(0))
        return handler(request.override(model=self.models[0]))


def test_models_that_another_middleware_chooses_are_wrapped_too() -> None:
    servers = [OllamaServer(list(ANSWERS)) for _ in range(3)]
    mine = FallbackToolChatModel(servers[2].model(), mode="prompt")
    choosing = Choosing(servers[0].model("a"), servers[1].model("b"), mine)
    agent = create_agent(Script(replies=["?"]), TOOLS, middleware=[choosing, FallbackToolMiddleware()])
    for _ in range(3):
        assert talk(agent.invoke(QUESTION)) == TALK
    told = [[bool(request.get("tools")) for request in server.requests] for server in servers]
    assert told == [[True, False, False], [True, False, False], [False, False]]


def test_a_model_that_is_wrapped_already_keeps_its_settings() -> None:
    server = OllamaServer(list(ANSWERS))
    model = FallbackToolChatModel(server.model(), mode="prompt")
    agent = create_agent(model, TOOLS, middleware=[FallbackToolMiddleware(mode="native")])
    assert talk(agent.invoke(QUESTION)) == TALK


def test_few_wrappers_are_kept() -> None:
    middleware = FallbackToolMiddleware()
    first = BindingScript(replies=["?"])
    kept = middleware._wrapped(first)
    assert middleware._wrapped(first) is kept
    for _ in range(20):
        middleware._wrapped(BindingScript(replies=["?"]))
    assert len(middleware._wrappers) == 8
    assert middleware._wrapped(first) is not kept


# ---- a second chance


BROKEN = '<tool_call>\n{"name": "get_weather", "arguments": {]]]\n</tool_call>'
UNKNOWN = f"I ask.\n{call('ask_weather', city='Paris')}"
EXAMPLE = f"It is like this:\n{call('ask_weather', city='Paris')}\nSee?"


class Turns(BindingScript):
    """Says its replies one after another, whatever it is asked."""

    def _says(self, messages: list[BaseMessage], arguments: dict[str, Any]) -> str:
        self.seen.append((messages, arguments))
        return self.replies[min(len(self.seen), len(self.replies)) - 1]


def reasking(*replies: str, reask: int = 1, **settings: Any) -> tuple[Turns, Any]:
    script = Turns(replies=list(replies))
    return script, create_agent(script, TOOLS, middleware=[FallbackToolMiddleware(reask=reask)], **settings)


@pytest.mark.parametrize("bad", [BROKEN, UNKNOWN], ids=["broken", "unknown"])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_call_that_cannot_run_is_asked_for_again(way: str, bad: str) -> None:
    script, agent = reasking(bad, ANSWERS[0], "Sunny in both.")
    state = await agent.ainvoke(QUESTION) if way == "ainvoke" else agent.invoke(QUESTION)
    assert talk(state) == TALK
    *before, said, complaint = script.seen[1][0]
    assert before == script.seen[0][0]
    assert said.text == bad
    assert isinstance(complaint, HumanMessage)
    reason = "no tool 'ask_weather' is offered" if bad == UNKNOWN else "not readable as JSON"
    assert complaint.text.startswith(f"Your tool call could not be run: {reason}")
    assert complaint.text.endswith("The tools are: get_weather, get_time, divide, stop.")
    assert len(script.seen) == 3


@pytest.mark.parametrize("reask", [0, 1, 2])
def test_the_model_is_asked_again_a_few_times_only(reask: int) -> None:
    script, agent = reasking(BROKEN, f"Sorry. {BROKEN}", f"Really. {BROKEN}", "?", reask=reask)
    state = agent.invoke(QUESTION)
    assert len(script.seen) == 1 + reask
    assert talk(state) == [TALK[0], ("ai", script.replies[reask])]


def test_each_step_has_its_own_second_chance() -> None:
    script, agent = reasking(BROKEN, ANSWERS[0], BROKEN, PARIS, "Sunny in both.")
    assert talk(agent.invoke(QUESTION))[-2:] == [("tool", "sunny in Paris"), TALK[-1]]
    assert len(script.seen) == 5


@pytest.mark.parametrize("text", ["Sunny.", EXAMPLE, f"{BROKEN}\n{PARIS}", '{"name": "Ann"}'])
def test_what_is_no_call_or_has_one_that_runs_is_not_asked_for_again(text: str) -> None:
    script, agent = reasking(text, "Sunny.", "Never.")
    assert talk(agent.invoke(QUESTION))[-1][1] in (text, "Sunny.")
    assert all(len(messages) != 3 or messages[-1].type == "tool" for messages, _ in script.seen)
    assert script.seen[-1][0][-1].type != "human" or len(script.seen) == 1


def test_a_call_copied_out_of_a_result_is_not_asked_for_again() -> None:
    @tool
    def read_page() -> str:
        """Reads a page."""
        return PARIS

    script = Turns(replies=[call("read_page"), PARIS, "Never."])
    agent = create_agent(script, [*TOOLS, read_page], middleware=[FallbackToolMiddleware(reask=1)])
    reply = agent.invoke(QUESTION)["messages"][-1]
    assert (reply.type, reply.text) == ("ai", PARIS)
    assert reply.response_metadata["toolmend"]["failures"] == ["copied from a tool result"]


def test_without_tools_nothing_is_asked_for_again() -> None:
    script = Turns(replies=[UNKNOWN, "Never."])
    agent = create_agent(script, [], middleware=[FallbackToolMiddleware(reask=1)])
    assert talk(agent.invoke(QUESTION))[-1] == ("ai", UNKNOWN)


def test_an_answer_by_a_tool_is_one_of_the_tools() -> None:
    script, agent = reasking(call("Town", name="Paris"), call("City", name="Paris"), response_format=ToolStrategy(City))
    assert agent.invoke(QUESTION)["structured_response"] == City(name="Paris")
    assert script.seen[1][0][-1].text.endswith("The tools are: get_weather, get_time, divide, stop, City.")


def test_the_number_of_second_chances_is_checked() -> None:
    with pytest.raises(ToolmendError, match="reask is -1"):
        FallbackToolMiddleware(reask=-1)


def test_the_adapter_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="FallbackToolMidleware"):
        toolmend.adapters.langchain.FallbackToolMidleware  # noqa: B018


def test_the_middleware_tells_what_is_missing() -> None:
    code = "import sys; sys.modules['langchain'] = None; from toolmend.adapters.langchain import FallbackToolMiddleware"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: the middleware needs langchain; install it with: pip install langchain" in run.stderr
