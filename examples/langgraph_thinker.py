"""A LangGraph graph whose thinker node calls tools, on an Ollama that says "does not support tools".

Run it as it stands: python examples/langgraph_thinker.py        (a tiny model is served inside this process)
With your own Ollama: python examples/langgraph_thinker.py http://localhost:11434 gemma2 "Where is the cube?"
"""

import sys
from contextlib import ExitStack

from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from toolmend.adapters.langchain import FallbackToolChatModel


@tool
def get_object_positions(object_name: str) -> list[list[float]]:
    """Get the positions of all objects of a kind that the camera sees."""
    print(f"[get_object_positions was called for {object_name!r}]")
    return [[0.3, 0.1, 0.05]]


with ExitStack() as stack:
    if sys.argv[1:]:
        url, name, question = sys.argv[1:]
    else:
        from toolmend.demo.llamacpp import LlamaServer
        from toolmend.demo.ollama_standin import OllamaStandin

        llama = stack.enter_context(LlamaServer())
        url = stack.enter_context(OllamaStandin(upstream=llama.base_url)).url
        name, question = "qwen-finetuned", "Where is the cube?"

    llm = FallbackToolChatModel(ChatOllama(model=name, base_url=url)).bind_tools([get_object_positions])

    def thinker(state: MessagesState):
        return {"messages": [llm.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("thinker", thinker)
    graph.add_node("tools", ToolNode([get_object_positions]))
    graph.add_edge(START, "thinker")
    graph.add_conditional_edges("thinker", tools_condition)
    graph.add_edge("tools", "thinker")
    for message in graph.compile().invoke({"messages": [("user", question)]})["messages"]:
        message.pretty_print()
