"""One request to the model that is wrapped for PydanticAI: asked, searched, and if need be asked once more as text.

What is decided in between, `_pydantic_ai_again` decides. A refusal comes before the first event, so a stream is then
asked for anew; a call that was lost shows only at the end, and the second stream goes on behind the first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.tools import RunContext

from toolmend.adapters._pydantic_ai_again import FAILURES, SecondTry
from toolmend.adapters._pydantic_ai_reply import recovered
from toolmend.adapters._pydantic_ai_report import Report
from toolmend.adapters._pydantic_ai_request import Outgoing, RequestArguments
from toolmend.adapters._pydantic_ai_stream import RecoveredStream

__all__ = ["Asking"]


class Asking:
    """Asks a model.

    Args:
        model: the model.
        outgoing: the request.
        second: decides about a second try.
        report: of what is done for the reply.
        as_text: whether the request goes out as text at once.
    """

    def __init__(self, model: Model, outgoing: Outgoing, second: SecondTry, report: Report, *, as_text: bool) -> None:
        self._model = model
        self._outgoing = outgoing
        self._second = second
        self._report = report
        self._as_text = as_text

    async def response(self) -> ModelResponse:
        """The whole response with the calls in it recovered."""
        outgoing, second, report, first = self._outgoing, self._second, self._report, None
        try:
            said = await (self._request_as_text() if self._as_text else self._model.request(*outgoing.native))
            first = recovered(said, outgoing.turn, report)
        except FAILURES as error:
            if not second.solves(error):
                raise
            if second.quoted:
                return report.told(recovered(second.quoted, outgoing.turn, report), outgoing.turn)
        if first and not second.is_lost(first):
            return report.told(first, outgoing.turn)
        report.begin_again()
        response = recovered(await self._request_as_text(), outgoing.turn, report)
        return report.told(second.settled(first, response), outgoing.turn)

    async def _request_as_text(self) -> ModelResponse:
        while True:
            try:
                return await self._model.request(*self._outgoing.as_text())
            except ModelHTTPError as error:
                if not self._second.adapts(error):
                    raise

    @asynccontextmanager
    async def stream(
        self, run_context: RunContext[Any] | None, *, hold_text: bool, stream_arguments: bool
    ) -> AsyncGenerator[StreamedResponse]:
        """The response as a stream; the arguments are those of `RecoveredStream`."""
        outgoing, second = self._outgoing, self._second
        async with AsyncExitStack() as stack:

            async def opened(arguments: RequestArguments) -> StreamedResponse:
                return await stack.enter_async_context(self._model.request_stream(*arguments, run_context))

            async def as_text() -> StreamedResponse:
                while True:
                    try:
                        return await opened(outgoing.as_text())
                    except ModelHTTPError as error:
                        if not second.adapts(error):
                            raise

            async def ask_again() -> StreamedResponse:
                second.asked = True
                self._report.begin_again()
                return await as_text()

            params = outgoing.params
            try:
                inner = await (as_text() if self._as_text else opened(outgoing.native))
                params = params if self._as_text else inner.model_request_parameters
            except FAILURES as error:
                if not second.solves(error):
                    raise
                inner = second.quoted_stream(params) or await ask_again()
                second.helped(called=False)
            if not outgoing.turn.active:
                yield inner
                return
            stream = RecoveredStream(params, inner, outgoing.turn, self._report, hold_text, stream_arguments)
            stream.second, stream.ask_again = second, ask_again
            try:
                yield stream
            finally:
                stream.give_up()
