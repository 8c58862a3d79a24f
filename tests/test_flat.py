"""A conversation as every chat template takes it, and the templates that have no place for a system message."""

from __future__ import annotations

import pytest

from toolmend._flat import in_turns, refuses_system


def joined(*spoken: str) -> list[str]:
    """Messages that begin with who speaks: `u`, `a` or another letter."""
    roles = {"u": "user", "a": "assistant"}
    return in_turns(spoken, lambda said: roles.get(said[0], ""), lambda before, said: f"{before}+{said[1:]}")


def test_users_and_assistants_take_turns() -> None:
    assert joined("u1", "u2", "a3", "a4", "a5", "u6") == ["u1+2", "a3+4+5", "u6"]


def test_others_stay_by_themselves() -> None:
    assert joined("s1", "s2", "u3", "x4", "u5") == ["s1", "s2", "u3", "x4", "u5"]
    assert joined() == []


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (400, {"error": {"message": "Jinja Exception: System role not supported"}}, True),
        (404, {"error": "System role not supported"}, True),
        (
            400,
            {"error": 'Error rendering prompt with jinja template: "Only user and assistant roles are supported!".'},
            True,
        ),
        (500, "Conversation roles must alternate user/assistant/user/assistant/...", True),
        (404, {"error": "Only user, assistant and system roles are supported!"}, False),
        (401, "System role not supported", False),
        (500, "out of memory", False),
    ],
)
def test_refusals(status: int, body: object, refused: bool) -> None:
    assert refuses_system(status, body) is refused
    assert refuses_system(status, body, surely=True) is (refused and "System role" in str(body))
