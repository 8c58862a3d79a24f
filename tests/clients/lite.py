"""litellm."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from asking import MODEL, SCHEMAS, URL, Said, joined, loop, whole
from litellm import completion


def say(messages: list, stream: bool) -> Said:
    reply = completion(
        model=f"openai/{MODEL}",
        api_base=f"{URL}/v1",
        api_key="none",
        messages=messages,
        tools=SCHEMAS,
        stream=stream,
    )
    return joined(reply) if stream else whole(reply.choices[0].message)


loop(say)
