"""What shows that a server's own parser has lost a call, in the words of the servers."""

from __future__ import annotations

import json

import pytest

from toolmend._swallowed import Swallowed, comes_to_nothing, swallowed

LOST = Swallowed()
HUNG_UP = Swallowed(in_words=False)
HISTORY = Swallowed(lasting=False)


class ServerError(Exception):
    """As client libraries raise it."""

    def __init__(self, status: int | None, body: object, *, text: str = "") -> None:
        super().__init__(text)
        self.body = body
        if status is not None:
            self.status_code = status


class Response:
    status_code = 500


def openai(message: str) -> dict[str, object]:
    return {"error": {"message": message, "type": "api_error", "param": None, "code": None}}


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (500, openai("failed to parse JSON: unexpected end of JSON input"), LOST),
        (500, {"error": "failed to parse XML: EOF"}, LOST),
        (500, {"error": "empty function name"}, LOST),
        (-1, {"error": "tool 'find' not found"}, LOST),
        (None, {"error": 'tool "find" is not declared'}, LOST),
        (500, {"error": "invalid function call format"}, LOST),
        (500, {"error": "model returned invalid tool call arguments"}, LOST),
        (500, openai("The model produced output that does not match the expected peg-native format"), LOST),
        (500, {"error": json.dumps(openai("Failed to parse input at pos 12"))}, LOST),
        (500, "Internal Server Error", LOST),
        (200, '{"error": "json parser could not parse region as JSON.', LOST),
        (500, openai("error parsing tool call: raw='{\"a\": 'b'', err=EOF"), Swallowed(text="{\"a\": 'b'")),
        (
            500,
            {"error": "json parser could not parse region as JSON.\nContent: '\n{\"a\"'\nError: char 1"},
            Swallowed(text='\n{"a"'),
        ),
        (500, openai("Failed to parse tool call arguments as JSON: [json.exception.parse_error.101]"), HISTORY),
        (400, openai("invalid tool call arguments"), HISTORY),
        (404, {"error": "Unterminated string starting at: line 1 column 10 (char 9)"}, HISTORY),
        (404, {"error": "Expecting value: line 1 column 1 (char 0)"}, HISTORY),
        (404, {"error": "Can only get item pairs from a mapping."}, HISTORY),
        (None, "Server disconnected without sending a response.", HUNG_UP),
        (None, "peer closed connection without sending complete message body (incomplete chunked read)", HUNG_UP),
        (None, "Streamed response ended without content or tool calls", HUNG_UP),
        # these must reach the caller
        (None, "Failed to decode response as JSON: Expecting value: line 1 column 1 (char 0)", None),
        (401, {"error": "failed to parse JSON: your key"}, None),
        (503, "Internal Server Error", None),
        (500, {"error": "Internal server error: out of memory"}, None),
        (404, {"error": "model 'find' not found"}, None),
        (500, openai("Tool choice 'nope' not found in tools."), None),
        (400, openai("the request exceeds the available context size"), None),
        (500, openai("Failed to parse tools: Missing tool type"), None),
        (None, "Connection refused", None),
        (None, "", None),
    ],
)
def test_errors(status: int | None, body: object, verdict: Swallowed | None) -> None:
    assert swallowed(ServerError(status, body)) == verdict
    assert (
        swallowed(ServerError(status, None, text=str(body) if isinstance(body, str) else json.dumps(body))) == verdict
    )


def test_the_error_behind_the_error() -> None:
    outer = ServerError(None, None, text="Connection error.")
    outer.__cause__ = ServerError(None, None, text="Server disconnected without sending a response.")
    assert swallowed(outer) == HUNG_UP
    outer.__cause__ = ServerError(429, None, text="Server disconnected without sending a response.")
    assert swallowed(outer) is None


def test_errors_that_turn_in_circles() -> None:
    outer, inner = ServerError(None, None, text="a"), ServerError(None, None, text="b")
    outer.__cause__, inner.__cause__ = inner, outer
    assert swallowed(outer) is None


def test_the_status_may_be_in_the_response_alone() -> None:
    error = ServerError(None, "Internal Server Error")
    error.response = Response()  # type: ignore[attr-defined]
    assert swallowed(error) == LOST


def test_a_line_that_is_no_json_is_read_where_the_decoder_has_kept_it() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads('{"error": "json parser could not parse region as JSON.')
    assert swallowed(caught.value) == LOST


@pytest.mark.parametrize(
    ("reason", "text", "more", "nothing"),
    [
        ("tool_calls", "", {}, True),
        ("tool_call", "\n", {}, True),
        ("tool_calls", "I will look.", {}, True),
        ("tool_calls", "", {"reasons": True}, True),
        ("stop", "", {"tokens": 9}, True),
        ("stop", " ", {"tokens": 9}, True),
        (None, "", {"ended": False}, True),
        ("stop", "", {"tokens": 2}, False),
        ("stop", "", {}, False),
        ("stop", "Done.", {"tokens": 9}, False),
        ("stop", "", {"tokens": 9, "reasons": True}, False),
        ("length", "", {"tokens": 9}, False),
        (None, "Done", {"ended": False}, False),
    ],
)
def test_replies(reason: str | None, text: str, more: dict[str, int], nothing: bool) -> None:
    assert comes_to_nothing(reason, text, **more) is nothing
