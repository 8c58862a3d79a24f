"""PydanticAI: what differs between its versions."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_ai import capabilities

import toolmend.adapters.pydantic_ai as adapter
from toolmend import ToolmendError

WRAPS = hasattr(capabilities.AbstractCapability, "get_wrapper_model")


def test_all_of_the_module_can_be_imported_in_any_version() -> None:
    names: dict[str, Any] = {}
    exec("from toolmend.adapters.pydantic_ai import *", names)  # a function cannot do so otherwise
    assert ("FallbackTools" in names) == WRAPS
    assert "FallbackToolModel" in names


@pytest.mark.skipif(WRAPS, reason="capabilities of this version wrap models")
def test_an_old_version_says_what_is_needed() -> None:
    with pytest.raises(ToolmendError, match=r"needs pydantic-ai 2\.62 or newer; wrap the model in"):
        adapter.FallbackTools  # noqa: B018 - asking for it is what is tested
    with pytest.raises(AttributeError):
        adapter.FallbackNonsense  # noqa: B018 - asking for it is what is tested
