"""Nemotron Nano: a list of objects in ``<TOOLCALL>`` tags; Nemotron Nano v2.

Source: the chat template of nvidia/NVIDIA-Nemotron-Nano-9B-v2.
"""

from __future__ import annotations

from toolmend.parsers._tagged_json import TaggedJson

__all__ = ["NemotronJson"]


class NemotronJson(TaggedJson):
    """``<TOOLCALL>[{"name": …, "arguments": {…}}]</TOOLCALL>``."""

    name = "nemotron_json"
    models = ("*nemotron-nano*",)
    sample = '<TOOLCALL>[{"name": "find_book", "arguments": {"title": "Dune", "max_hits": 3}}]</TOOLCALL>'
    opener = r"<TOOLCALL>"
    closers = ("</TOOLCALL>",)
    head = "<TOOLCALL>"
    tail = "</TOOLCALL>"
    listed = True
