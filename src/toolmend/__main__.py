"""``python -m toolmend`` and the command ``toolmend``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Start the command line, or say which extra it needs."""
    try:
        from toolmend.cli import app  # noqa: PLC0415 - the core has no command-line library
    except ImportError as error:
        wanted = 'pip install "toolmend[demo]", or "toolmend[gateway]" for `toolmend serve`'
        sys.exit(f"{error}\nThe command line needs more packages: {wanted}")
    app()


if __name__ == "__main__":
    main()
