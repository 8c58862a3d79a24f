"""The openai package's helpers, which parse calls into classes, whole and streamed."""

from asking import MODEL, URL, Said, loop
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel


class Weather(BaseModel):
    city: str


class Gateway(BaseModel):
    action: str


TOOLS = [pydantic_function_tool(Weather, name="get_weather"), pydantic_function_tool(Gateway, name="gateway")]
client = OpenAI(base_url=f"{URL}/v1", api_key="none")


def say(messages: list, stream: bool) -> Said:
    asked = {"model": MODEL, "messages": messages, "tools": TOOLS}
    if stream:
        with client.chat.completions.stream(**asked) as events:
            for _ in events:
                pass
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.parse(**asked).choices[0].message
    calls = [(call.id, call.function.name, call.function) for call in message.tool_calls or ()]
    return message.content or "", [(i, n, f.parsed_arguments.model_dump_json()) for i, n, f in calls]


loop(say)
