"""The ollama package."""

import json

from asking import MODEL, TOOLS, URL, Said, loop
from ollama import Client

client = Client(host=URL)


def say(messages: list, stream: bool) -> Said:
    for message in messages:
        for call in message.get("tool_calls", ()):  # Ollama's arguments are no string
            if isinstance(call["function"]["arguments"], str):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    reply = client.chat(model=MODEL, messages=messages, tools=[*TOOLS.values()], stream=stream)
    parts = list(reply) if stream else [reply]
    found = [call.function for part in parts for call in part.message.tool_calls or ()]
    calls = [(f"call_{n}", call.name, json.dumps(dict(call.arguments))) for n, call in enumerate(found)]
    return "".join(part.message.content or "" for part in parts), calls


loop(say)
