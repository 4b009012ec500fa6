"""`/infill` as llama.cpp's server has it, so that llama.vim needs no change. It knows no model."""

from http import HTTPStatus

import msgspec
from aiohttp import web

from dgemma_lsp import http_errors, infill_types
from dgemma_lsp.asking import asking, read
from dgemma_lsp.client import gathered
from dgemma_lsp.config import Completion
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.infill_types import InfillRequest
from dgemma_lsp.wire import Block, Complete, Done


class InfillApi:
    """The handler, over the dispatcher of the daemon."""

    def __init__(self, dispatcher: Dispatcher, options: Completion) -> None:
        self._dispatcher = dispatcher
        self._options = options

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [web.post("/infill", self.infill)]

    async def infill(self, request: web.Request) -> web.Response:
        """Return what may be shown at the cursor."""
        asked = await read(request, InfillRequest)
        if asked.only_announces:
            if (job := asked.warming(self._options)) is not None:
                await self._ask(job)
            return http_errors.as_json({})
        job = asked.job(self._options)
        blocks, done = await self._ask(job)
        content = infill_types.shown(
            asked, gathered([*blocks, done], job.candidates), self._options
        )
        if done.reason == "deadline" and not content:
            # Clients keep an empty answer as what belongs here; an error they ask again.
            return http_errors.refusal(
                HTTPStatus.GATEWAY_TIMEOUT,
                "deadline",
                f"nothing was certain after {job.deadline_ms} ms: allow more by t_max_predict_ms",
            )
        body = infill_types.answer(asked, content, done, self._dispatcher.model_name)
        if not asked.stream:
            return http_errors.as_json(body)
        return web.Response(
            body=b"data: " + msgspec.json.encode(body) + b"\n\n", content_type="text/event-stream"
        )

    async def _ask(self, job: Complete) -> tuple[list[Block], Done]:
        blocks: list[Block] = []
        async with asking(self._dispatcher, [job]) as answers:
            async for message in answers:
                if isinstance(message, Done):
                    return blocks, message
                blocks.append(message)
        raise AssertionError("a job without an end")
