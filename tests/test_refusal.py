"""What servers answer to a request with tools, in the exact shapes of their bodies, and what it means."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

import pytest

from toolmend._refusal import Refusals, message_of, refuses_choice, refuses_tools

OLLAMA = "registry.ollama.ai/library/gemma:latest does not support tools"
VLLM_AUTO = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
LLAMA_ROLES = (
    "Unable to generate parser for this template. Automatic parser generation failed: \n------------\n"
    "While executing CallExpression at line 3, column 12\n"
    "Error: Jinja Exception: Only user and assistant roles are supported!"
)
LM_STUDIO_ROLES = 'Error rendering prompt with jinja template: "Only user and assistant roles are supported!".'


def openai(message: str, kind: str = "invalid_request_error", code: object = None) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def llamacpp(code: int, message: str, kind: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "type": kind}}


def flat(message: str) -> dict[str, object]:
    return {"object": "error", "message": message, "type": "BadRequestError", "param": None, "code": 400}


REFUSED = {
    "calls without content, llama-cpp-python": (
        500,
        openai("7 validation errors: 'ChatCompletionRequestAssistantMessage', 'content'", "internal_server_error"),
    ),
    "Ollama, its own endpoint": (400, {"error": OLLAMA}),
    "Ollama, OpenAI's endpoint": (400, openai(OLLAMA)),
    "Ollama, older": (400, openai("gemma does not support tools", "api_error")),
    "Ollama, tools and thinking": (400, {"error": f"{OLLAMA}\nthinking"}),
    "Ollama, llama-server's body as text inside": (
        400,
        {"error": json.dumps(llamacpp(400, LLAMA_ROLES, "invalid_request_error"))},
    ),
    "Ollama, the same behind OpenAI's endpoint": (
        400,
        openai(json.dumps(llamacpp(400, LLAMA_ROLES, "invalid_request_error"))),
    ),
    "vLLM without a parser": (400, openai(VLLM_AUTO, "BadRequestError", 400)),
    "vLLM without a parser, older": (400, flat(VLLM_AUTO)),
    "vLLM without a parser, required": (400, openai('tool_choice="required" requires --tool-call-parser to be set')),
    "vLLM without a parser, named": (400, openai('tool_choice=function "x" requires --tool-call-parser to be set')),
    "vLLM, the template wants strict turns": (
        400,
        openai("Conversation roles must alternate user/assistant/user/assistant/...", "BadRequestError", 400),
    ),
    "vLLM, older wording of the template": (400, flat("After the optional system message, roles must alternate")),
    "llama-server --no-jinja": (500, llamacpp(500, "tools param requires --jinja flag", "server_error")),
    "llama-server --no-jinja, choice": (500, llamacpp(500, "tool_choice param requires --jinja flag", "server_error")),
    "llama-server before 2025": (500, llamacpp(500, "Unsupported param: tools", "server_error")),
    "llama-server, the template raises": (400, llamacpp(400, LLAMA_ROLES, "invalid_request_error")),
    "mlx-lm, the template raises": (404, {"error": "Only user, assistant and system roles are supported!"}),
    "LM Studio, the template raises": (400, {"error": LM_STUDIO_ROLES}),
    "LM Studio, the template fails": (
        400,
        {"error": "Error rendering prompt with jinja template: Cannot call something that is not a function"},
    ),
    "llama-server, the template fails": (
        400,
        llamacpp(400, "Unable to generate parser for this template. Parser generation failed", "invalid_request_error"),
    ),
    "llama-server, the template raises something": (
        500,
        llamacpp(500, "Jinja Exception: tool calls are not supported", "server_error"),
    ),
    "a gateway in front": (422, {"detail": VLLM_AUTO}),
    "not implemented": (501, "This model does not support tools"),
}

OTHERS = {
    "no key": (401, openai("Incorrect API key provided")),
    "forbidden": (403, openai("This model does not support tools for your plan")),
    "too many requests": (429, {"error": OLLAMA}),
    "overloaded": (503, {"error": "server busy, please try again. maximum pending requests exceeded"}),
    "time-out": (504, "does not support tools"),
    "cancelled": (499, {"error": "request canceled"}),
    "no status": (None, {"error": OLLAMA}),
    "unknown model, Ollama": (404, {"error": 'model "nope" not found, try pulling it first'}),
    "unknown model, Ollama, OpenAI's endpoint": (404, openai("model 'nope' not found", "not_found_error")),
    "unknown model, vLLM": (404, openai("The model `nope` does not exist.", "NotFoundError", 404)),
    "unknown model, mlx-lm": (404, {"error": "Cannot find an appropriate cached snapshot folder"}),
    "unknown model, transformers serve": (400, {"detail": "Server is pinned to one model"}),
    "context, llama-server": (
        400,
        llamacpp(400, "the request exceeds the available context size, try increasing it", "exceed_context_size_error"),
    ),
    "context, vLLM": (400, openai("This model's maximum context length is 4096 tokens.", "BadRequestError", 400)),
    "thinking, Ollama": (400, {"error": '"gemma:latest" does not support thinking'}),
    "chat, Ollama": (400, {"error": '"gemma:latest" does not support chat'}),
    "the choice has a wrong form, llama-server": (
        400,
        llamacpp(400, "Invalid tool_choice: sometimes", "invalid_request_error"),
    ),
    "the choice has a wrong form, vLLM": (400, openai("Invalid value for `tool_choice`: `maybe`!", "Bad Request", 400)),
    "the definition of a tool, llama-server": (
        500,
        llamacpp(500, 'Failed to parse tools: Missing tool type: {"function":{}}', "server_error"),
    ),
    "the definition of a tool, SGLang": (
        400,
        flat("Tool 0 function has invalid 'parameters' schema: 5 is not of type 'object'"),
    ),
    "arguments in the history, llama-server": (
        500,
        llamacpp(500, "Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]", "server_error"),
    ),
    "arguments in the history, mlx-lm": (404, {"error": "Unterminated string starting at: line 1 column 10 (char 9)"}),
    "arguments in the history, Ollama": (400, openai("invalid tool call arguments")),
    "content null, Ollama": (400, openai("invalid message content type: <nil>")),
    "the server's parser, llama-server": (
        500,
        llamacpp(500, "The model produced output that does not match the expected Hermes 2 Pro format", "server_error"),
    ),
    "the server's parser, llama-server before": (
        500,
        llamacpp(500, "Failed to parse input at pos 5: <tool_call>", "server_error"),
    ),
    "the server's parser, Ollama": (500, {"error": "error parsing tool call: raw='{\"a\":', err=unexpected end"}),
    "the server's parser, transformers serve": (500, "Internal Server Error"),
    "an unknown field, transformers serve": (422, {"detail": "Unexpected fields in the request: {'grammar'}"}),
    "an unknown field, a list of details": (422, {"detail": [{"loc": ["body", "tools"], "msg": "Field required"}]}),
    "success": (200, {"message": "this model does not support tools"}),
    "nothing said": (400, ""),
    "no body": (400, None),
    "an empty body": (400, {}),
}

CHOICES = {
    "LM Studio": (
        400,
        {"error": "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"},
    ),
    "Qwen's service": (
        400,
        openai(
            "<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being set to "
            "required or object in thinking mode"
        ),
    ),
    "DeepSeek's service": (400, openai("Thinking mode does not support this tool_choice")),
    "a service in between": (400, openai("Only a tool_choice of 'auto' is supported for this model.")),
    "mlx-openai-server": (
        500,
        openai("Failed to process request: 400: {'message': \"Tool choice must be 'auto' when tools are provided.\"}"),
    ),
}


def shapes(body: object) -> list[object]:
    """One body as the client libraries show it: parsed, as text, only its inner part, in an exception's message."""
    inner = [body["error"]] if isinstance(body, Mapping) and body.get("error") else []
    return [body, json.dumps(body), *inner, f"Error code: 400 - {body}"]


@pytest.mark.parametrize("row", REFUSED)
def test_tools_are_refused(row: str) -> None:
    status, body = REFUSED[row]
    for shape in shapes(body):
        assert refuses_tools(status, shape), shape


@pytest.mark.parametrize("row", OTHERS)
def test_anything_else_is_no_refusal(row: str) -> None:
    status, body = OTHERS[row]
    for shape in shapes(body):
        assert not refuses_tools(status, shape), shape


@pytest.mark.parametrize("row", CHOICES)
def test_only_the_choice_is_refused(row: str) -> None:
    status, body = CHOICES[row]
    for shape in shapes(body):
        assert refuses_choice(status, shape), shape
        assert not refuses_tools(status, shape), shape
        assert not refuses_choice(200, shape)


@pytest.mark.parametrize("row", [*REFUSED, *OTHERS])
def test_other_refusals_are_not_of_the_choice(row: str) -> None:
    status, body = {**REFUSED, **OTHERS}[row]
    for shape in shapes(body):
        assert not refuses_choice(status, shape), shape


@pytest.mark.parametrize("status", [400, 404, 422, 500, 501])
def test_a_refusal_in_capitals(status: int) -> None:
    assert refuses_tools(status, {"error": OLLAMA.upper()})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("plain text", "plain text"),
        ('"quoted"', "quoted"),
        ("[1, 2]", "[1, 2]"),
        ("5", "5"),
        ({"error": "a"}, "a"),
        ({"error": {"message": "a"}}, "a"),
        ({"message": "a"}, "a"),
        ({"detail": "a"}, "a"),
        ({"error": None, "message": "a"}, "a"),
        ({"error": '{"error":{"code":400,"message":"a"}}'}, "a"),
        ({"error": {"message": '{"error":{"code":400,"message":"a"}}'}}, "a"),
        ({"detail": [{"msg": "a"}]}, "[{'msg': 'a'}]"),
        ({}, "{}"),
        (None, "None"),
        ("[" * 50_000, "[" * 50_000),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_message_is_dug_out(body: object, message: str) -> None:
    assert message_of(body) == message


def test_a_body_without_a_bottom_is_not_dug_for_ever() -> None:
    body: dict[str, object] = {}
    body["error"] = body
    assert not refuses_tools(400, body)


def test_refusals_are_remembered_by_server_and_model() -> None:
    refusals = Refusals()
    refusals.add("http://localhost:11434", "gemma")
    assert ("http://localhost:11434", "gemma") in refusals
    assert ("http://localhost:11434", "qwen") not in refusals
    assert ("http://localhost:8080", "gemma") not in refusals


def test_refusals_may_be_added_from_many_threads() -> None:
    refusals = Refusals()
    threads = [threading.Thread(target=refusals.add, args=("server", str(n))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(("server", str(n)) in refusals for n in range(20))
