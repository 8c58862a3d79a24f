"""The tiny model behind llama.cpp's own server, inside this process.

`xllamacpp` carries the server in a wheel, so nothing has to be compiled, downloaded or started
elsewhere; a server is up in about 20 ms.
"""

from __future__ import annotations

import http.client
import importlib
import importlib.util
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

from toolmend.demo.templates import TEMPLATES

MODEL_PATH: Final = Path(__file__).with_name("model") / "tiny.gguf"
"""The weights, the tokenizer and a plain chat template in one file."""

_SILENT: Final = -1  # below every level llama.cpp prints at, errors included
_PARALLEL: Final = 4  # conversations served at the same time
_START_SECONDS: Final = 30.0


class _Server(Protocol):
    """What is used of `xllamacpp.Server`; dropping the last reference stops it."""

    listening_address: str


class _Llama(Protocol):
    """What is used of the module `xllamacpp`, which has no type stubs."""

    def CommonParams(self) -> Any: ...  # noqa: N802 - its name
    def Server(self, params: Any) -> _Server: ...  # noqa: N802 - its name


def available() -> bool:
    """Whether `xllamacpp` is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


class LlamaServer:
    """Serves the tiny model on a free port of the loopback address while the `with` block runs.

    Args:
        template: Name of a chat template in `toolmend.demo.templates`. It decides what the server
            does with tools: `plain` drops them without a word, `strict` refuses tool results,
            `hermes` and `coder` show them to the model and parse its calls.
        jinja: False answers every request that has tools with an error, as `--no-jinja` does.
        model: Another GGUF file.
        context: Tokens one conversation may have.
        threads: Threads that compute. The model is so small that more than one costs time.
    """

    def __init__(
        self,
        *,
        template: str = "plain",
        jinja: bool = True,
        model: Path = MODEL_PATH,
        context: int = 8192,
        threads: int = 1,
    ) -> None:
        self.template = template
        self.jinja = jinja
        self._model = model
        self._context = context
        self._threads = threads
        self._server: _Server | None = None

    @property
    def base_url(self) -> str:
        """Where an OpenAI client should send its requests; ends in `/v1`."""
        if self._server is None:
            raise RuntimeError("the server is not running: use it in a `with` block")
        return f"{self._server.listening_address}/v1"

    def start(self) -> Self:
        """Starts to serve. `with` does this."""
        # The module is a dynamic library of 100 MB: it is loaded when a server is wanted.
        llama = cast("_Llama", importlib.import_module("xllamacpp"))
        self._server = llama.Server(self._params(llama))
        self._wait_until_it_works()
        return self

    def stop(self) -> None:
        """Stops serving and frees the model."""
        self._server = None

    def _wait_until_it_works(self) -> None:
        """Waits for an answer of the thread that runs the model.

        The constructor returns when the port is open, which is earlier; to stop before that thread
        is in its loop would wait for ever.
        """
        address = self.base_url.removeprefix("http://").removesuffix("/v1")
        connection = http.client.HTTPConnection(address, timeout=_START_SECONDS)
        try:
            connection.request("GET", "/slots")
            connection.getresponse().read()
        finally:
            connection.close()

    def _params(self, llama: _Llama) -> Any:
        params = llama.CommonParams()
        params.model.path = str(self._model)
        params.n_ctx = self._context * _PARALLEL
        params.n_parallel = _PARALLEL
        params.cpuparams.n_threads = self._threads
        params.cpuparams_batch.n_threads = self._threads
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.warmup = False
        params.verbosity = _SILENT
        params.sampling.temp = 0.0
        params.chat_template = TEMPLATES[self.template]
        params.use_jinja = self.jinja
        return params

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
