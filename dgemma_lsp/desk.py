"""The page's writing desk over HTTP: which modes there are, and one rewriting as lines of JSON.

How a text is rewritten is `rewriter`'s; the model is asked over the daemon's own socket, as by any
other client, so that a desk that is left takes its requests back.
"""

import asyncio
from contextlib import suppress
from string import Formatter
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from dgemma_lsp import client, http_errors, modes, rewriter, wire, writing
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.dispatcher import Dispatcher
from dgemma_lsp.errors import DgemmaError, InvalidRequest, UserError

_encoder = msgspec.json.Encoder()


class Wanted(Struct, frozen=True, kw_only=True):
    """What the desk sends; places count Unicode code points."""

    mode: str
    text: Annotated[str, Meta(max_length=1_000_000)]
    start: Annotated[int, Meta(ge=0)]
    end: Annotated[int, Meta(ge=0)]
    language: str = "markdown"
    instruction: str = ""
    to: str = ""
    problem: str = ""
    strength: Annotated[float, Meta(ge=0, le=1)] | None = None
    variants: Annotated[int, Meta(ge=1, le=4)] = 1
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Progress(Struct, frozen=True, tag="progress"):
    """So many parts are written."""

    done: int
    of: int


class Parts(Struct, frozen=True, tag="parts"):
    """The text in its parts, of which drafts replace those that are not kept; comes first."""

    parts: list[wire.Part]


class Variant(Struct, frozen=True):
    """The whole text as a variant would have it, or with `told` what is only said of it."""

    text: str
    told: bool
    left: int


class Variants(Struct, frozen=True, tag="variants"):
    """What came of it, the last line of a rewriting that went well."""

    variants: list[Variant]


class Failure(Struct, frozen=True, tag="failed"):
    """Why nothing came of it, the last line of one that did not."""

    message: str


Line = Parts | Progress | rewriter.Drafted | Variants | Failure


class Desk:
    """Serves the desk of one daemon, which is found as `config` and `paths` say."""

    def __init__(self, config: Config, paths: Paths, dispatcher: Dispatcher) -> None:
        self._config, self._paths, self._dispatcher = config, paths, dispatcher

    async def modes(self, request: web.Request) -> web.StreamResponse:
        """Tell what can be asked for, what must be said with it, and what this model cannot do."""
        model = self._dispatcher.model_name
        told = [_told(name, model) for name in modes.MODES]
        return http_errors.as_json({"model": model, "modes": told})

    async def write(self, request: web.Request) -> web.StreamResponse:
        """Answer with lines of what is being written and how far it is, and one for the end."""
        wanted, way = _planned(await request.read())
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        lines: asyncio.Queue[Line] = asyncio.Queue()
        writing_it = asyncio.create_task(self._write(wanted, way, lines))
        try:
            line: Line = Progress(0, 0)
            while not isinstance(line, Variants | Failure):
                line = await lines.get()
                await answer.write(_encoder.encode(line) + b"\n")
        finally:
            writing_it.cancel()
            with suppress(asyncio.CancelledError):
                await writing_it
        await answer.write_eof()
        return answer

    async def _write(self, wanted: Wanted, way: writing.Way, lines: "asyncio.Queue[Line]") -> None:
        """Put what happens into `lines`, the last of which is Variants or Failure."""
        try:
            lines.put_nowait(Parts(writing.parts(way)))
            link = await client.connect(self._config, self._paths, start=False)
            try:
                written = await rewriter.write(
                    link,
                    way,
                    variants=wanted.variants,
                    sampling=wire.Sampling(seed=wanted.seed),
                    hear=lambda done, of: lines.put_nowait(Progress(done, of)),
                    see=lines.put_nowait,
                )
            finally:
                await link.close()
        except DgemmaError as exc:
            lines.put_nowait(Failure(str(exc)))
        else:
            lines.put_nowait(Variants([_variant(one, wanted.text) for one in written]))


def _planned(body: bytes) -> tuple[Wanted, writing.Way]:
    """Read what is wanted; raises InvalidRequest, in one line, where that cannot be."""
    try:
        wanted = msgspec.json.decode(body, type=Wanted)
        if not wanted.start <= wanted.end <= len(wanted.text):
            raise UserError(
                f"start {wanted.start}, end {wanted.end}: "
                f"the text has {len(wanted.text)} characters"
            )
        return wanted, writing.plan(
            modes.Task(
                mode=wanted.mode,
                text=wanted.text,
                start=wanted.start,
                end=wanted.end,
                language=wanted.language,
                instruction=wanted.instruction,
                to=wanted.to,
                problem=wanted.problem,
                strength=wanted.strength,
            )
        )
    except (msgspec.DecodeError, UserError) as exc:
        raise InvalidRequest(str(exc)) from exc


def _told(name: str, model: str) -> dict[str, object]:
    mode = modes.MODES[name]
    return {
        "mode": name,
        "title": mode.title,
        "way": mode.way,
        "strength": mode.strength,
        "needs": [field for _, field, _, _ in Formatter().parse(mode.instruction) if field],
        "refusal": modes.refusal(name, model),
    }


def _variant(one: modes.Written, text: str) -> Variant:
    return Variant(one.told or one.applied(text), bool(one.told), one.left)
