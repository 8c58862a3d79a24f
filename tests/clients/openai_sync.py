"""The openai package."""

from asking import MODEL, SCHEMAS, URL, Said, joined, loop, whole
from openai import OpenAI

client = OpenAI(base_url=f"{URL}/v1", api_key="none")


def say(messages: list, stream: bool) -> Said:
    reply = client.chat.completions.create(model=MODEL, messages=messages, tools=SCHEMAS, stream=stream)
    return joined(reply) if stream else whole(reply.choices[0].message)


loop(say)
