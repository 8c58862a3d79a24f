"""The formats. Order is meaning: where two openers match at the same place, the one that stands first here wins."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from toolmend._dialect import Dialect
from toolmend._errors import UnknownDialect
from toolmend.parsers.anthropic import Anthropic
from toolmend.parsers.apertus import Apertus
from toolmend.parsers.cohere_command3 import CohereCommand3
from toolmend.parsers.command_r import CommandR
from toolmend.parsers.deepseek_v3 import DeepSeekV3
from toolmend.parsers.deepseek_v31 import DeepSeekV31
from toolmend.parsers.deepseek_v32 import DeepSeekV32
from toolmend.parsers.dots import Dots
from toolmend.parsers.fenced_json import FencedJson
from toolmend.parsers.functionary_v31 import FunctionaryV31
from toolmend.parsers.functionary_v32 import FunctionaryV32
from toolmend.parsers.functiongemma import FunctionGemma
from toolmend.parsers.gemma4 import Gemma4
from toolmend.parsers.gigachat3 import Gigachat3
from toolmend.parsers.glaive import Glaive
from toolmend.parsers.glm45 import Glm45
from toolmend.parsers.granite import Granite
from toolmend.parsers.granite_20b_fc import Granite20bFc
from toolmend.parsers.hermes import Hermes
from toolmend.parsers.hermes_pythonic import HermesPythonic
from toolmend.parsers.hermes_yaml import HermesYaml
from toolmend.parsers.hy_v3 import HyV3
from toolmend.parsers.inkling import Inkling
from toolmend.parsers.internlm import Internlm
from toolmend.parsers.jamba import Jamba
from toolmend.parsers.json import Json
from toolmend.parsers.k2_horizon import K2Horizon
from toolmend.parsers.k2_horizon_xml import K2HorizonXml
from toolmend.parsers.kimi_k2 import KimiK2
from toolmend.parsers.kimi_k3 import KimiK3
from toolmend.parsers.lfm2 import Lfm2
from toolmend.parsers.llama3_json import Llama3Json
from toolmend.parsers.llama4_pythonic import Llama4Pythonic
from toolmend.parsers.lm_studio import LmStudio
from toolmend.parsers.longcat import Longcat
from toolmend.parsers.longcat_xml import LongcatXml
from toolmend.parsers.minicpm5 import MiniCPM5
from toolmend.parsers.minimax_m2 import MiniMaxM2
from toolmend.parsers.minimax_m3 import MiniMaxM3
from toolmend.parsers.mistral import Mistral
from toolmend.parsers.mistral_v3 import MistralV3
from toolmend.parsers.morph_xml import MorphXml
from toolmend.parsers.muse import Muse
from toolmend.parsers.named_element import NamedElement
from toolmend.parsers.named_json import BareNamedJson
from toolmend.parsers.nemotron_json import NemotronJson
from toolmend.parsers.olmo3 import Olmo3
from toolmend.parsers.openai import OpenAI
from toolmend.parsers.phi4_mini_json import Phi4MiniJson
from toolmend.parsers.plamo3 import Plamo3
from toolmend.parsers.prose import Prose
from toolmend.parsers.pythonic import Pythonic
from toolmend.parsers.qwen3_coder import Qwen3Coder
from toolmend.parsers.react import React
from toolmend.parsers.seed_oss import SeedOss
from toolmend.parsers.solar_open import SolarOpen
from toolmend.parsers.step3 import Step3
from toolmend.parsers.tool_code import ToolCode
from toolmend.parsers.tools_tag import ToolsTag
from toolmend.parsers.ui_tars import UiTars
from toolmend.parsers.yaml_xml import YamlXml

__all__ = ["DIALECTS", "get_dialect"]

DIALECTS: tuple[Dialect, ...] = (
    Hermes(),
    Qwen3Coder(),
    Anthropic(),
    DeepSeekV32(),
    Dots(),
    Glm45(),
    HyV3(),
    K2HorizonXml(),
    KimiK3(),
    LongcatXml(),
    MiniCPM5(),
    MiniMaxM2(),
    MiniMaxM3(),
    MorphXml(),
    Muse(),
    SeedOss(),
    Step3(),
    UiTars(),
    YamlXml(),
    Apertus(),
    CohereCommand3(),
    CommandR(),
    Gigachat3(),
    Granite(),
    Granite20bFc(),
    HermesPythonic(),
    HermesYaml(),
    Inkling(),
    Internlm(),
    Jamba(),
    K2Horizon(),
    Lfm2(),
    Llama3Json(),
    Llama4Pythonic(),
    Glaive(),
    LmStudio(),
    Longcat(),
    NemotronJson(),
    Olmo3(),
    Phi4MiniJson(),
    React(),
    ToolsTag(),
    DeepSeekV3(),
    DeepSeekV31(),
    FunctionaryV31(),
    FunctionaryV32(),
    FunctionGemma(),
    Gemma4(),
    KimiK2(),
    Mistral(),
    MistralV3(),
    OpenAI(),
    Plamo3(),
    SolarOpen(),
    FencedJson(),
    Json(),
    Pythonic(),
    BareNamedJson(),
    NamedElement(),
    ToolCode(),
    Prose(),
)


def get_dialect(name: str, dialects: Iterable[Dialect] = DIALECTS) -> Dialect:
    """The dialect of that name, or that a server calls by it.

    Raises:
        UnknownDialect: there is none; the message names the nearest.
    """
    dialects = tuple(dialects)
    for dialect in dialects:
        if dialect.name == name:
            return dialect
    table = {dialect.name: dialect for dialect in dialects}
    for known in (name, name.replace("-", "_")):
        found = table.get(known) or next((dialect for dialect in dialects if known in dialect.aliases), None)
        if found:
            return found
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise UnknownDialect(f"no dialect {name!r}{hint} Known: {', '.join(sorted(table))}")
