"""LlamaIndex's OpenAILike."""

from asking import MODEL, TOOLS, URL, run
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(model=MODEL, api_base=f"{URL}/v1", api_key="none", is_chat_model=True, is_function_calling_model=True)
tools = [FunctionTool.from_defaults(each) for each in TOOLS.values()]


async def ask(question: str, stream: bool) -> str:
    agent = FunctionAgent(tools=tools, llm=llm, streaming=stream)
    return str(await agent.run(question))


run(ask)
