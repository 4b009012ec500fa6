"""`/v1` as OpenAI's servers have it: completions, chat completions, models. It knows no model.

A stream brings what is final of a text, block after block; drafts may still change and stay here.
"""

import time
import uuid
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from aiohttp import web

from dgemma_lsp import http_errors
from dgemma_lsp.asking import asking, read
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import DgemmaError
from dgemma_lsp.openai_types import (
    Asked,
    ChatRequest,
    Choices,
    Finish,
    Piece,
    TextRequest,
    Usage,
)
from dgemma_lsp.wire import Block, Done, Job

Body = dict[str, Any]


class Shape(Protocol):
    """How the texts of an answer are laid out."""

    prefix: str
    whole: str
    chunk: str

    def text(self, index: int, text: str, finish: Finish | None) -> Body:
        """Return one text of an answer that comes as a whole."""

    def opening(self, index: int) -> list[Body]:
        """Return what a stream says of a text before it begins."""

    def pieces(self, piece: Piece) -> list[Body]:
        """Return what a stream says of something new."""


class TextShape:
    """As `/v1/completions` answers."""

    prefix, whole, chunk = "cmpl", "text_completion", "text_completion"

    def text(self, index: int, text: str, finish: Finish | None) -> Body:
        """Return one text, whole or in part: both look alike."""
        return {"index": index, "text": text, "finish_reason": finish, "logprobs": None}

    def opening(self, index: int) -> list[Body]:
        """Return nothing."""
        return []

    def pieces(self, piece: Piece) -> list[Body]:
        """Return the new text."""
        return [self.text(piece.index, piece.text, piece.finish)]


class ChatShape:
    """As `/v1/chat/completions` answers."""

    prefix, whole, chunk = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def text(self, index: int, text: str, finish: Finish | None) -> Body:
        """Return a whole reply."""
        message = {"role": "assistant", "content": text}
        return {"index": index, "message": message, "finish_reason": finish, "logprobs": None}

    def opening(self, index: int) -> list[Body]:
        """Return who speaks."""
        return [self._delta(index, {"role": "assistant", "content": ""}, None)]

    def pieces(self, piece: Piece) -> list[Body]:
        """Return the new text, and the end by itself as clients expect it."""
        told = [self._delta(piece.index, {"content": piece.text}, None)] if piece.text else []
        if piece.finish is not None:
            told.append(self._delta(piece.index, {}, piece.finish))
        return told

    def _delta(self, index: int, delta: Body, finish: Finish | None) -> Body:
        return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}


class OpenAiApi:
    """The handlers, over the dispatcher of the daemon."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._born = int(time.time())

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [
            web.get("/v1/models", self.models),
            web.post("/v1/completions", self.completions),
            web.post("/v1/chat/completions", self.chat),
        ]

    async def models(self, request: web.Request) -> web.Response:
        """Name the one model that is served."""
        model = {
            "id": self._dispatcher.model_name,
            "object": "model",
            "created": self._born,
            "owned_by": "dgemma-lsp",
        }
        return http_errors.as_json({"object": "list", "data": [model]})

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """Continue a text, or fill the hole between it and the suffix."""
        asked = await read(request, TextRequest)
        jobs = asked.jobs(uuid.uuid4().hex)
        return await self._answer(request, asked, jobs, asked.width, TextShape())

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a conversation."""
        asked = await read(request, ChatRequest)
        jobs = asked.jobs(uuid.uuid4().hex)
        if asked.n_predict == 0:  # llama.vim, while its user still types what is to be done
            return http_errors.as_json({})
        return await self._answer(request, asked, jobs, 1, ChatShape())

    async def _answer(
        self, request: web.Request, asked: Asked, jobs: list[Job], width: int, shape: Shape
    ) -> web.StreamResponse:
        choices = Choices(jobs, width, asked.stops)
        head = Head(shape, self._dispatcher)
        async with asking(self._dispatcher, jobs) as answers:
            if asked.stream:
                return await _stream(request, answers, choices, head, asked.wants_usage)
            texts: dict[int, str] = {}
            ends: dict[int, Finish | None] = {}
            async for piece in _pieces(answers, choices):
                texts[piece.index] = texts.get(piece.index, "") + piece.text
                ends[piece.index] = piece.finish
        told = [shape.text(at, texts[at], ends[at]) for at in sorted(texts)]
        return http_errors.as_json(head.whole(told, choices.usage))


class Head:
    """What every body of one answer says beside its texts."""

    def __init__(self, shape: Shape, dispatcher: Dispatcher) -> None:
        self.shape = shape
        self._dispatcher = dispatcher
        self._id = f"{shape.prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def whole(self, choices: list[Body], usage: Usage | None) -> Body:
        """Return an answer that comes as a whole."""
        return self._body(self.shape.whole, choices, usage)

    def chunk(self, choices: list[Body], usage: Usage | None = None) -> Body:
        """Return one event of a stream."""
        return self._body(self.shape.chunk, choices, usage)

    def _body(self, kind: str, choices: list[Body], usage: Usage | None) -> Body:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._dispatcher.model_name,
            "choices": choices,
            "usage": usage,
        }


async def _pieces(answers: AsyncIterator[Block | Done], choices: Choices) -> AsyncIterator[Piece]:
    """Yield what is new until every text has its end, which may be before the model's."""
    async for message in answers:
        for piece in choices.take(message):
            yield piece
        if choices.finished:
            return


async def _stream(
    request: web.Request,
    answers: AsyncIterator[Block | Done],
    choices: Choices,
    head: Head,
    wants_usage: bool,
) -> web.StreamResponse:
    """Send the pieces as server-sent events.

    The stream opens with the first of them: an error before it can still have a status.
    """
    stream = web.StreamResponse(headers={"Cache-Control": "no-store"})
    stream.content_type = "text/event-stream"
    opened: set[int] = set()
    try:
        async for piece in _pieces(answers, choices):
            if not stream.prepared:
                await stream.prepare(request)
            events = [] if piece.index in opened else head.shape.opening(piece.index)
            opened.add(piece.index)
            for event in events + head.shape.pieces(piece):
                await _send(stream, head.chunk([event]))
    except DgemmaError as exc:
        if not stream.prepared:
            raise
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        await _send(stream, http_errors.body(status, exc.code, str(exc)))
        return stream
    if wants_usage:
        await _send(stream, head.chunk([], choices.usage))
    await stream.write(b"data: [DONE]\n\n")
    return stream


async def _send(stream: web.StreamResponse, body: Body) -> None:
    await stream.write(b"data: " + msgspec.json.encode(body) + b"\n\n")
