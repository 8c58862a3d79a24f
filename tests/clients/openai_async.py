"""The openai package, asynchronous."""

from asking import MODEL, SCHEMAS, URL, Said, joined, loop, whole
from openai import AsyncOpenAI


async def say(messages: list, stream: bool) -> Said:
    async with AsyncOpenAI(base_url=f"{URL}/v1", api_key="none") as client:
        reply = await client.chat.completions.create(model=MODEL, messages=messages, tools=SCHEMAS, stream=stream)
        return joined([chunk async for chunk in reply]) if stream else whole(reply.choices[0].message)


loop(say)
