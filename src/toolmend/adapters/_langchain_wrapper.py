"""A LangChain chat model that shows itself to the outside as another one.

`BaseChatModel` does a good deal around `_generate`: it waits for the rate limiter, looks into the
cache, opens a run with callbacks, tags and metadata, rewrites the content. A wrapper that calls the
inner model's `_generate` skips all that for the inner model, so it takes the settings over and does
it in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableBinding, RunnableParallel, RunnableSequence
from pydantic import model_validator

__all__ = ["ChatModelWrapper", "with_model"]

_TAKEN_OVER = (
    *("rate_limiter", "cache", "output_version", "disable_streaming"),
    *("callbacks", "tags", "verbose"),
)
_NAMES = ("model_name", "model", "model_id", "model_path")
_ADDRESSES = ("base_url", "openai_api_base", "azure_endpoint", "endpoint_url")


@lru_cache(maxsize=64)
def _known(kind: type[BaseChatModel], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the attributes that models of a kind have; to ask one for any other is slow."""
    free = kind.model_config.get("extra") == "allow"
    return tuple(name for name in names if free or name in kind.model_fields or hasattr(kind, name))


class ChatModelWrapper(BaseChatModel):
    """Settings, identity and token counts of an inner model; replies are left to subclasses."""

    # Never called "model": LangChain takes an attribute of that name for the model's name.
    inner: BaseChatModel
    streaming: bool = False
    """Whether ``invoke`` streams behind the scenes, for callbacks that expect tokens."""

    @model_validator(mode="after")
    def _take_over(self) -> ChatModelWrapper:
        for name in _TAKEN_OVER:
            if name not in self.model_fields_set:
                setattr(self, name, getattr(self.inner, name))
        # LangChain has already written its versions into ours, so it is never unset.
        own, inner = self.metadata or {}, self.inner.metadata or {}
        versions = {**inner.get("lc_versions", {}), **own.get("lc_versions", {})}
        self.metadata = {**inner, **own, **({"lc_versions": versions} if versions else {})} or None
        # LangChain heeds this one only where it was set, so it is taken over only then.
        if "streaming" in self.inner.model_fields_set - self.model_fields_set:
            self.streaming = bool(getattr(self.inner, "streaming", False))
        return self

    @property
    def model_name(self) -> str | None:
        """The name of the inner model, if it tells it."""
        for key in _known(type(self.inner), _NAMES):
            name = getattr(self.inner, key, None)
            if isinstance(name, str) and name:
                return name
        return None

    @property
    def server(self) -> str:
        """Where the inner model sends its requests, as far as it tells."""
        for key in _known(type(self.inner), _ADDRESSES):
            url = getattr(self.inner, key, None)
            if url:
                return str(url)
        return type(self.inner).__name__

    @property
    def _llm_type(self) -> str:
        return f"toolmend-{self.inner._llm_type}"

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        # The key of the cache. Some integrations leave the model's name out of theirs, so that two
        # models would share their replies; ours stands beside it.
        return f"{super()._get_llm_string(stop, **kwargs)} {self.inner._get_llm_string()}"

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        # Traces keep the repr of a model; the inner model's may hold headers with keys in them.
        return [("inner", type(self.inner).__name__), ("model_name", self.model_name)]

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        # What LangChain gathers itself, without its way around a deprecated method, which takes longer than a turn.
        return {**self._identifying_params, "_type": self._llm_type, "stop": stop, **kwargs}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = self.inner._get_ls_params(stop=stop, **kwargs)
        if isinstance(kwargs.get("model"), str):
            params["ls_model_name"] = kwargs["model"]
        return params

    def _resolve_model_profile(self) -> Any:
        return {**(self.inner.profile or {}), "tool_calling": True}

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return self.inner._combine_llm_outputs(llm_outputs)

    def get_num_tokens(self, text: str) -> int:
        """Count as the inner model does."""
        return self.inner.get_num_tokens(text)

    def get_token_ids(self, text: str) -> list[int]:
        """Split into tokens as the inner model does."""
        return self.inner.get_token_ids(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Count as the inner model does."""
        return self.inner.get_num_tokens_from_messages(messages, tools)


def with_model(chain: object, model: BaseChatModel, *, instead_of: BaseChatModel) -> Any:
    """A chain with another model in it, as far as it is built as integrations build theirs.

    Args:
        chain: a bound model, perhaps with a parser behind it or beside others.
        model: the model to put in.
        instead_of: the model to take out.
    """
    part = cast("Any", chain)
    if isinstance(chain, RunnableSequence):
        return part.model_copy(update={"first": with_model(part.first, model, instead_of=instead_of)})
    if isinstance(chain, RunnableParallel):
        steps = {key: with_model(step, model, instead_of=instead_of) for key, step in part.steps__.items()}
        return part.model_copy(update={"steps__": steps})
    if isinstance(chain, RunnableBinding) and part.bound is instead_of:
        return part.model_copy(update={"bound": model})
    return part
