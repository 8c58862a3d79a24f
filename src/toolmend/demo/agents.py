"""The two frameworks, each as people use it: a PydanticAI `Agent` and a LangGraph graph with a thinker node.

Both are run bare or with the model wrapped; nothing else differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import httpx2
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import SecretStr
from pydantic_ai import Agent, AgentRunResultEvent
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider

from toolmend.adapters.langchain import FallbackToolChatModel
from toolmend.adapters.pydantic_ai import FallbackToolModel

__all__ = ["Server", "ask_langgraph", "ask_pydantic_ai"]

Tool = Callable[..., str]

_TIMEOUT = 600.0  # seconds; a model on somebody's own machine may be slow


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is served.

    Attributes:
        base_url: address for OpenAI clients; ends in ``/v1``.
        model: the model's name there.
        ollama: address for Ollama's own client, if the server speaks its protocol.
        api_key: sent as the bearer token.
    """

    base_url: str
    model: str
    ollama: str | None = None
    api_key: str = "none"


def ask_pydantic_ai(
    server: Server,
    question: str,
    tools: Sequence[Tool],
    *,
    wrapped: bool,
    stream: bool = False,
    output_type: Any = str,
) -> Any:
    """Run an agent on one question.

    Returns:
        The run's output: text, or an object of `output_type`.
    """
    return asyncio.run(_ask(server, question, tools, output_type, wrapped=wrapped, stream=stream))


async def _ask(
    server: Server, question: str, tools: Sequence[Tool], output_type: Any, *, wrapped: bool, stream: bool
) -> Any:
    async with httpx2.AsyncClient(timeout=_TIMEOUT) as http:
        model = _model(server, http)
        agent: Agent[None, Any] = Agent(
            FallbackToolModel(model) if wrapped else model, tools=list(tools), output_type=output_type
        )
        if not stream:
            return (await agent.run(question)).output
        async with agent.run_stream_events(question) as events:
            return [event.result.output async for event in events if isinstance(event, AgentRunResultEvent)][-1]


def _model(server: Server, http: httpx2.AsyncClient) -> Model:
    if server.ollama:
        ollama = OllamaProvider(base_url=server.base_url, api_key=server.api_key, http_client=http)
        return OllamaModel(server.model, provider=ollama)
    openai = OpenAIProvider(base_url=server.base_url, api_key=server.api_key, http_client=http)
    return OpenAIChatModel(server.model, provider=openai)


def ask_langgraph(server: Server, question: str, tools: Sequence[Tool], *, wrapped: bool, stream: bool = False) -> str:
    """Run a graph of a thinker and its tools on one question.

    Returns:
        The text of the last message.
    """
    with ExitStack() as clients:  # LangChain leaves its HTTP clients open
        if server.ollama:
            transport = clients.enter_context(httpx.HTTPTransport())
            model = ChatOllama(model=server.model, base_url=server.ollama, sync_client_kwargs={"transport": transport})
        else:
            http = clients.enter_context(httpx2.Client(timeout=_TIMEOUT))
            model = ChatOpenAI(
                model=server.model, base_url=server.base_url, api_key=SecretStr(server.api_key), http_client=http
            )
        app = _graph(FallbackToolChatModel(model) if wrapped else model, list(tools))
        start: Any = {"messages": [HumanMessage(question)]}
        if not stream:
            return app.invoke(start)["messages"][-1].text
        answers: dict[str, str] = {}  # the texts as they stream, by message
        for chunk, _ in app.stream(start, stream_mode="messages"):
            answers[chunk.id] = answers.get(chunk.id, "") + chunk.text
        return list(answers.values())[-1]


def _graph(model: BaseChatModel, tools: list[Tool]) -> Any:
    chat: Any = model
    llm = chat.bind_tools(tools)

    def thinker(state: MessagesState) -> dict[str, Any]:
        return {"messages": [llm.invoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("thinker", thinker)
    graph.add_node("tools", ToolNode(tools))
    graph.add_edge(START, "thinker")
    graph.add_conditional_edges("thinker", tools_condition)
    graph.add_edge("tools", "thinker")
    return graph.compile()
