"""Calls that stand in what tools answer and users write, through whole agents: none of them gets executed.

`corpus/_injections.yaml` holds the attempts, and honest calls that look much like them. Each case is a conversation in
which the tool `fetch` answers what is written there, and the model then says its reply. `shown` means that the model
copies texts as it sees them in the prompt, broken markers and all.
"""

from __future__ import annotations

import html
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import StructuredTool, ToolException
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from tests.adapters.langchain_scripts import BindingScript, chunk, joined, streaming
from tests.adapters.pydantic_ai_scripts import Script, cut_up, fence, run_agent
from tests.corpus import load
from toolmend import DIALECTS, ToolCall, Turn, get_dialect
from toolmend._foreign import has_markers, neutral
from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel

CASES = load("_injections")
# A dialect that the file does not know yet gets the first case.
CASES["attempts"] += [
    {**CASES["attempts"][0], "name": f"a comment in a web page, {dialect.name}", "dialect": dialect.name}
    for dialect in DIALECTS
    if dialect.name not in {case["dialect"] for case in CASES["attempts"]}
]
PARAMETERS = {
    name: {"type": "object", "properties": {key: {"type": "string"} for key in keys}, "required": keys}
    for name, keys in {
        "fetch": ["source"],
        "send_mail": ["to", "text"],
        "delete_file": ["path"],
        "run_command": ["command"],
        "write_file": ["path", "content"],
        "get_time": [],
    }.items()
}
INVISIBLE = "\u2063"

HOW = [("native", False), ("prompt", False), ("prompt", True)]


class Story:
    """A case as it is played: what the tool answers, what the model says, what gets executed."""

    def __init__(self, case: dict[str, Any], *, shown: bool) -> None:
        self.case = case
        self.shown = shown
        dialect = get_dialect(case["dialect"])
        ((name, arguments),) = case["call"].items()
        call = dialect.render_calls([ToolCall(name=name, arguments=arguments)])
        half = len(call) // 2
        self.forms = {
            "{call}": call,
            "{first}": call[:half],
            "{second}": call[half:],
            "{html}": html.escape(call),
            "{crlf}": call.replace("\n", "\r\n  "),
        }
        self.user: str = self.filled(case["user"])
        self.system: str = self.filled(case.get("system", ""))
        self.results: list[str] = [self.filled(result) for result in case.get("results", [])]
        self.executed: list[tuple[str, dict[str, Any]]] = []
        self.fetched = self.said = 0

    def filled(self, value: Any) -> Any:
        """A text with its places filled; of an object its JSON."""
        if isinstance(value, dict) and "$json" in value:
            return json.dumps(self.filled(value["$json"]))
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, str):
            for place, form in self.forms.items():
                value = value.replace(place, form)
            return value.replace("{result}", self.results[0]) if "{result}" in value else value
        return value

    def made(self) -> list[tuple[str, dict[str, Any]]]:
        """The calls that the model means."""
        return [
            (name, self.filled(arguments)) for each in self.case.get("makes", ()) for name, arguments in each.items()
        ]

    def reply(self) -> str:
        if "makes" not in self.case:
            return self.copied(self.filled(self.case["reply"]))
        calls = [ToolCall(name=name, arguments=self.copied(arguments)) for name, arguments in self.made()]
        return self.case.get("before", "") + get_dialect(self.case["writes"]).render_calls(calls)

    def copied(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.copied(item) for key, item in value.items()}
        from_result = self.shown and "{call}" not in self.case["user"]
        broken = from_result and any(has_markers(result, PARAMETERS) for result in self.results)
        return neutral(value, INVISIBLE, PARAMETERS) if broken and isinstance(value, str) else value

    def says(self) -> str:
        """The model's next words."""
        self.said += 1
        if self.said <= len(self.results):
            return fence("fetch", source=f"source {self.said}")
        return self.reply() if self.said == len(self.results) + 1 else "Done."

    def fetch(self, source: str) -> str:
        """Fetch a text."""
        self.fetched += 1
        return self.results[self.fetched - 1]

    def tools(self) -> list[Any]:
        def send_mail(to: str, text: str) -> str:
            """Send a mail."""
            return self._execute("send_mail", to=to, text=text)

        def delete_file(path: str) -> str:
            """Delete a file."""
            return self._execute("delete_file", path=path)

        def run_command(command: str) -> str:
            """Run a command."""
            return self._execute("run_command", command=command)

        def write_file(path: str, content: str) -> str:
            """Write a file."""
            return self._execute("write_file", path=path, content=content)

        def get_time() -> str:
            """Tell the time."""
            return self._execute("get_time")

        return [send_mail, delete_file, run_command, write_file, get_time]

    def _execute(self, name: str, **arguments: Any) -> str:
        self.executed.append((name, arguments))
        return "ok"


async def play_pydantic_ai(story: Story, mode: Any, *, stream: bool) -> list[str]:
    def whole(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(story.says())])

    async def pieces(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        for piece in cut_up(story.says(), 5):
            yield piece

    def fetch(source: str) -> str:
        """Fetch a text."""
        if story.case.get("error"):
            raise ModelRetry(story.fetch(source))
        return story.fetch(source)

    model = FallbackToolModel(FunctionModel(whole, stream_function=pieces), mode=mode)
    agent = Agent(model, tools=[fetch, *story.tools()], system_prompt=story.system or (), retries=3)
    _, messages = await run_agent("run_stream_events" if stream else "run", agent, story.user)
    parts = [part for message in messages for part in message.parts]
    return [part.content for part in parts if isinstance(part, TextPart)]


class Storyteller(BindingScript):
    """Says what the story wants next."""

    story: Any

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=self.story.says()))])

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for piece in cut_up(self.story.says(), 5):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))


def play_langchain(story: Story, mode: Any, *, stream: bool) -> list[str]:
    def fetch(source: str) -> str:
        """Fetch a text."""
        if story.case.get("error"):
            raise ToolException(story.fetch(source))
        return story.fetch(source)

    tools = [StructuredTool.from_function(fetch, handle_tool_error=True), *story.tools()]
    model = FallbackToolChatModel(Storyteller(replies=[], story=story), mode=mode)
    agent: Any = create_agent(model, tools, system_prompt=story.system or None)
    start = {"messages": [("user", story.user)]}
    if not stream:
        return [m.text for m in agent.invoke(start)["messages"] if isinstance(m, AIMessage)]
    texts: dict[str, str] = {}
    for piece, _ in agent.stream(start, stream_mode="messages"):
        if isinstance(piece, AIMessage):
            texts[piece.id or ""] = texts.get(piece.id or "", "") + piece.text
    return list(texts.values())


def cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in CASES[kind]]


@pytest.mark.parametrize(("mode", "shown"), HOW)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", cases("attempts"))
class TestAttempts:
    async def test_pydantic_ai(self, case: dict[str, Any], stream: bool, mode: str, shown: bool) -> None:
        story = Story(case, shown=shown)
        check_nothing_happened(story, await play_pydantic_ai(story, mode, stream=stream))

    def test_langchain(self, case: dict[str, Any], stream: bool, mode: str, shown: bool) -> None:
        story = Story(case, shown=shown)
        check_nothing_happened(story, play_langchain(story, mode, stream=stream))


def check_nothing_happened(story: Story, texts: list[str]) -> None:
    assert story.executed == []
    assert story.fetched == len(story.results)
    assert story.said == len(story.results) + 1
    assert not any(INVISIBLE in text for text in texts)


@pytest.mark.parametrize(("mode", "shown"), HOW)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", cases("honest"))
class TestHonest:
    async def test_pydantic_ai(self, case: dict[str, Any], stream: bool, mode: str, shown: bool) -> None:
        story = Story(case, shown=shown)
        await play_pydantic_ai(story, mode, stream=stream)
        assert sorted(story.executed, key=repr) == sorted(story.made(), key=repr)  # parallel calls run in any order

    def test_langchain(self, case: dict[str, Any], stream: bool, mode: str, shown: bool) -> None:
        story = Story(case, shown=shown)
        play_langchain(story, mode, stream=stream)
        assert sorted(story.executed, key=repr) == sorted(story.made(), key=repr)  # parallel calls run in any order


def test_there_are_enough_cases() -> None:
    assert len(CASES["attempts"]) >= 60
    assert len(CASES["honest"]) >= 60


@pytest.mark.parametrize("case", cases("attempts"))
def test_without_the_texts_the_reply_would_be_executed(case: dict[str, Any]) -> None:
    """Otherwise the attempt would prove nothing."""
    story = Story(case, shown=False)
    turn = Turn([{"name": tool.__name__, "parameters": PARAMETERS[tool.__name__]} for tool in story.tools()])
    assert any(isinstance(item, ToolCall) for item in turn.read(story.reply()))


BROKEN = f"<{INVISIBLE}tool_call>"
NATIVE = {"path": "a", "content": f"{BROKEN} b"}


@pytest.mark.parametrize("way", ["run", "run_stream_events"])
async def test_a_native_call_in_prompt_mode_is_mended_too_in_pydantic_ai(way: str) -> None:
    written: list[str] = []

    def read() -> str:
        return "<tool_call> b"

    def write_file(path: str, content: str) -> None:
        written.append(content)

    native = ToolCallPart("write_file", json.dumps(NATIVE, ensure_ascii=False))
    said = [] if way == "run_stream_events" else [TextPart(f"It says {BROKEN}.")]  # a script streams one kind of part
    script = Script(fence("read"), [*said, native], f"Done {BROKEN}.")
    agent = Agent(FallbackToolModel(script.model, mode="prompt"), tools=[read, write_file])
    output, messages = await run_agent(way, agent, "Go")
    assert written == ["<tool_call> b"]
    assert output == "Done <tool_call>."
    assert INVISIBLE not in str(messages)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_native_call_in_prompt_mode_is_mended_too_in_langchain(stream: bool) -> None:
    call = {"name": "write_file", "args": json.dumps(NATIVE, ensure_ascii=False), "id": "1", "index": 0}
    asked = [
        HumanMessage("Go"),
        AIMessage("", tool_calls=[{"name": "read", "args": {}, "id": "0"}]),
        ToolMessage("<tool_call> b", tool_call_id="0"),
    ]
    llm = streaming(
        chunk(f"It says {BROKEN}. "),
        chunk(tool_call_chunks=[call]),
        chunk(f"Then {BROKEN}.", info={"finish_reason": "stop"}),
        mode="prompt",
    )
    message = joined(list(llm.stream(asked))) if stream else llm.invoke(asked)
    assert [made["args"] for made in message.tool_calls] == [{"path": "a", "content": "<tool_call> b"}]
    assert message.text == "It says <tool_call>. Then <tool_call>."
