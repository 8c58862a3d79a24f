"""InternLM: an object with ``parameters`` between action tokens; InternLM2, InternLM2.5 and Intern-S1.

Intern-S1 has white space between the two tokens and writes several of them.
Source: the prompt formats of internlm/internlm2_5-7b-chat and internlm/Intern-S1.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["Internlm"]


class Internlm(TaggedJson):
    """``<|action_start|><|plugin|>{"name": …, "parameters": {…}}<|action_end|>``."""

    name = "internlm"
    aliases = ("internlm2", "interns1")
    models = ("*internlm*", "*intern-s1*")
    sample = (
        '<|action_start|><|plugin|>{"name": "find_book", "parameters": {"title": "Dune", "max_hits": 3}}<|action_end|>'
    )
    opener = r"<\|action_start\|>\s{0,16}<\|plugin\|>"
    closers = ("<|action_end|>",)
    head = "<|action_start|><|plugin|>"
    tail = "<|action_end|>"
    keys = ("name", "parameters")
