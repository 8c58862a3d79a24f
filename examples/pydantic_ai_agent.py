"""A PydanticAI agent on a model that writes its tool calls as text.

Run it as it stands: python examples/pydantic_ai_agent.py        (a tiny model is served inside this process)
With your own server: python examples/pydantic_ai_agent.py http://localhost:11434/v1 qwen2.5-coder:14b "Read notes.txt"
"""

import sys
from contextlib import ExitStack
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from toolmend.adapters.pydantic_ai import FallbackToolModel


def read_file(path: str) -> str:
    """Read a text file and return what is in it."""
    text = Path(path).read_text()
    print(f"[read_file was called and read {len(text)} characters from {path}]")
    return text


with ExitStack() as stack:
    if sys.argv[1:]:
        base_url, name, question = sys.argv[1:]
    else:
        from toolmend.demo.llamacpp import LlamaServer

        base_url = stack.enter_context(LlamaServer()).base_url
        name, question = "tiny", "Read /etc/hosts"

    model = OpenAIChatModel(name, provider=OpenAIProvider(base_url=base_url, api_key="none"))
    agent = Agent(FallbackToolModel(model), tools=[read_file])
    print(agent.run_sync(question).output)
