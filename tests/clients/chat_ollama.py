"""LangChain's ChatOllama."""

from asking import MODEL, TOOLS, URL, run
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama

tools = {name: tool(function) for name, function in TOOLS.items()}
model = ChatOllama(base_url=URL, model=MODEL).bind_tools([*tools.values()])


def ask(question: str, stream: bool) -> str:
    messages = [HumanMessage(question)]
    while True:
        if stream:
            first, *rest = model.stream(messages)
            reply = sum(rest, first)
        else:
            reply = model.invoke(messages)
        if not reply.tool_calls:
            return reply.text
        messages.append(reply)
        messages += [
            ToolMessage(tools[call["name"]].invoke(call["args"]), tool_call_id=call["id"]) for call in reply.tool_calls
        ]


run(ask)
