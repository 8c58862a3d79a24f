"""Every system of the demo, end to end over HTTP: streaming and not, on each server it can be had on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import MlxServer
from toolmend.demo.agents import Server
from toolmend.demo.llamacpp import LlamaServer
from toolmend.demo.ollama_standin import OllamaStandin
from toolmend.demo.systems import SYSTEMS, Question, Servers, System, servers

ASKED = [
    pytest.param(system, question, id=f"{system.title}: {question.text}")
    for system in SYSTEMS
    for question in system.questions
]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def own(llama: LlamaServer) -> Iterator[Servers]:
    """Llama.cpp and the stand-ins before it; skipped with `llama` where there is none."""
    with servers() as found:
        yield found


@STREAM
@pytest.mark.parametrize(("system", "question"), ASKED)
def test_wrapped_works(own: Servers, system: System, question: Question, stream: bool) -> None:
    outcome = own.ask(system, question, wrapped=True, stream=stream)
    assert outcome.error is None
    assert list(outcome.calls) == list(question.calls)
    assert outcome.output == question.expected


@pytest.mark.parametrize(("system", "question"), ASKED)
def test_bare_shows_the_defect(own: Servers, system: System, question: Question) -> None:
    """Without the wrapper no call is made: what the wrapper changes is the wrapper's doing."""
    outcome = own.ask(system, question, wrapped=False)
    if question.calls or question.output:
        assert not outcome.calls
        assert not outcome.worked(question)
    else:
        assert outcome.worked(question)


@STREAM
@pytest.mark.parametrize(("system", "question"), [p for p in ASKED if p.values[0].server == "llama.cpp"])
def test_wrapped_works_on_mlx(mlx_server: MlxServer, system: System, question: Question, stream: bool) -> None:
    found = Servers({"llama.cpp": Server(mlx_server.base_url, mlx_server.model)}, scripted=True, one_model=True)
    outcome = found.ask(system, question, wrapped=True, stream=stream)
    assert outcome.worked(question), outcome


@pytest.mark.parametrize(("system", "question"), ASKED)
def test_wrapped_works_on_recorded_replies(system: System, question: Question) -> None:
    """What the demo does where there is no wheel of llama.cpp."""
    with OllamaStandin(tools=True) as accepting, OllamaStandin() as refusing:
        found = Servers(
            {
                "llama.cpp": Server(accepting.base_url, "tiny"),
                "ollama": Server(accepting.base_url, "tiny", accepting.url),
                "ollama, no tools": Server(refusing.base_url, "tiny", refusing.url),
            }
        )
        assert found.ask(system, question, wrapped=True).worked(question)
