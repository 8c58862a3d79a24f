"""smolagents' OpenAIModel, asked as its ToolCallingAgent asks."""

import json
from types import SimpleNamespace

from asking import MODEL, TOOLS, URL, Said, joined, loop, whole
from smolagents import ChatMessage, MessageRole, OpenAIModel, tool

model = OpenAIModel(MODEL, api_base=f"{URL}/v1", api_key="none")
tools = [tool(each) for each in TOOLS.values()]


def as_smol(message: dict) -> ChatMessage:
    """Its agents write calls and results as text."""
    if message["role"] == "tool":
        return ChatMessage(MessageRole.TOOL_RESPONSE, text(f"Observation:\n{message['content']}"))
    if message["role"] == "assistant":
        return ChatMessage(MessageRole.TOOL_CALL, text(f"Calling tools:\n{json.dumps(message['tool_calls'])}"))
    return ChatMessage(MessageRole.USER, text(message["content"]))


def text(content: str) -> list:
    return [{"type": "text", "text": content}]


def say(messages: list, stream: bool) -> Said:
    asked = {"tools_to_call_from": tools, "tool_choice": "auto"}
    written = [as_smol(message) for message in messages]
    if not stream:
        return whole(model.generate(written, **asked))
    deltas = list(model.generate_stream(written, **asked))
    return joined(SimpleNamespace(choices=[SimpleNamespace(delta=delta)]) for delta in deltas)


loop(say)
