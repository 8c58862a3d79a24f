"""The errors toolmend raises: only for mistakes of the caller.

    ToolmendError
    ├── UnknownDialect    a dialect name nobody registered
    └── RenderError       a tool, call or result that a dialect cannot write

What a model writes never raises, and what a server or a framework raises passes through untouched.
"""

from __future__ import annotations

__all__ = ["RenderError", "ToolmendError", "UnknownDialect"]


class ToolmendError(Exception):
    """A mistake of the calling program; the message says what to change."""


class UnknownDialect(ToolmendError, LookupError):
    """A dialect name that is not in the table; the message names the nearest ones."""


class RenderError(ToolmendError, ValueError):
    """A value that the chosen dialect cannot write."""
