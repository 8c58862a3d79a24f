"""Constant arithmetic where a number is wanted: ``5*11``, ``1/6``, ``2 * math.pi``.

Only what has one reading is calculated. Plus and minus alone do not count without blanks around them, for dates and
telephone numbers look like that; neither do powers that would take long.
"""

from __future__ import annotations

import math
import re

__all__ = ["calculate"]

_NUMBER = r"(?:\d[\d_]*+(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?(?![\w.])"
_OPERAND = rf"[+-]?(?:{_NUMBER}|(?:math\.)?pi\b(?!\.))"
_OPERATOR = r"(?:\*\*|[*/]|(?<=\s)[+-](?=\s))"
_CHAIN = re.compile(rf"({_OPERAND})((?:\s*+{_OPERATOR}\s*+{_OPERAND}){{1,20}})(?=\s*+[,\]}})]|\s*+\Z)")
_LINK = re.compile(rf"\s*+(\*\*|[*/+-])\s*+({_OPERAND})")
_LARGEST = 1e15
_LARGEST_POWER = 64


def calculate(text: str, at: int) -> tuple[int | float, int] | None:
    """The value of an expression of two or more constants, and where it ends; `None` if there is none here."""
    chain = _CHAIN.match(text, at)
    if not chain:
        return None
    terms: list[int | float] = [_constant(chain[1])]
    links: list[tuple[str, str]] = _LINK.findall(chain[2])
    if len(links) > 1 and any(operator == "**" for operator, _ in links):
        return None
    try:
        for operator, operand in links:
            _apply(terms, operator, _constant(operand))
        value = sum(terms)
    except (ArithmeticError, ValueError):
        return None
    return (value, chain.end()) if abs(value) <= _LARGEST else None


def _apply(terms: list[int | float], operator: str, operand: int | float) -> None:
    """Add a term, or change the last one: products bind closer than sums."""
    if operator in "+-":
        terms.append(operand if operator == "+" else -operand)
    elif operator == "*":
        terms[-1] *= operand
    elif operator == "/":
        terms[-1] /= operand
    elif abs(operand) > _LARGEST_POWER:
        raise ValueError("a large power")
    else:
        terms[-1] **= operand


def _constant(text: str) -> int | float:
    if text.endswith("pi"):
        return -math.pi if text.startswith("-") else math.pi
    digits = text.replace("_", "")
    return int(digits) if digits.lstrip("+-").isdigit() else float(digits)
