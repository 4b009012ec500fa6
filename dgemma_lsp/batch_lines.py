"""The lines of a batch: input line -> request or what is wrong with it, answer -> output line.

Pure: no file is opened and nothing is sent.
"""

import codecs
from collections.abc import Collection
from pathlib import PurePath
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from dgemma_lsp import languages, wire
from dgemma_lsp.client import Completion
from dgemma_lsp.errors import InvalidRequest

_SEED_STEP = 2**16  # between two lines: a request draws its candidates with the seeds that follow
_SEEDS = 2**63


class Asked(Struct, frozen=True, kw_only=True):
    """A line that can be asked; `id` is the line's own, in JSON as it stands there."""

    line: int
    id: Raw | UnsetType = UNSET
    request: wire.Job


class Result(Struct, frozen=True, kw_only=True):
    """What the output holds for a line; `ms` is milliseconds in the model, not in the queue."""

    line: int
    id: Raw | UnsetType = UNSET
    text: str
    reason: wire.Reason
    tokens: int
    steps: int
    ms: float


class Failure(Struct, frozen=True, kw_only=True):
    """What the side file holds for a line that has no result."""

    line: int
    id: Raw | UnsetType = UNSET
    error: str


class _Sampling(wire.Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On the wire unknown fields are ignored; here a person may have mistyped one."""


class _Turn(wire.Turn, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See `_Sampling`."""


class _Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every line may hold."""

    id: Raw | UnsetType = UNSET
    sampling: _Sampling = _Sampling()

    def request(self, id: str, document: str, sampling: wire.Sampling) -> wire.Job:
        """Return what the daemon is asked."""
        raise NotImplementedError


class _Continuation(_Line, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prompt: Annotated[str, Meta(min_length=1)]

    def request(self, id: str, document: str, sampling: wire.Sampling) -> wire.Job:
        return wire.Generate(id=id, prompt=self.prompt, priority="bulk", sampling=sampling)


class _Conversation(_Line, frozen=True, kw_only=True, forbid_unknown_fields=True):
    messages: Annotated[list[_Turn], Meta(min_length=1)]

    def request(self, id: str, document: str, sampling: wire.Sampling) -> wire.Job:
        turns = [wire.Turn(role=turn.role, content=turn.content) for turn in self.messages]
        return wire.Chat(id=id, messages=turns, priority="bulk", drafts=False, sampling=sampling)


class _Hole(_Line, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prefix: str
    suffix: str = ""
    path: str = ""
    language: str = ""

    def request(self, id: str, document: str, sampling: wire.Sampling) -> wire.Job:
        return wire.Complete(
            id=id,
            document=f"{document}/{self.path}",
            version=0,
            prefix=self.prefix,
            suffix=self.suffix,
            language=self.language or languages.language(PurePath(self.path)),
            trigger="invoked",
            priority="bulk",
            sampling=sampling,
        )


# The key that tells what a line asks for.
_KINDS: dict[str, type[_Line]] = {
    "prompt": _Continuation,
    "messages": _Conversation,
    "prefix": _Hole,
}


def read(data: bytes, defaults: wire.Sampling, run: str) -> list[Asked | Failure]:
    """Return what each line asks, in their order; blank lines count but ask nothing.

    `defaults` hold for what a line leaves open, and each line has a seed of its own, made from
    their seed and its number. `run` keeps the documents of two batches apart.
    """
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return [
        _read_line(number, raw, defaults, run)
        for number, raw in enumerate(lines, start=1)
        if raw.strip()
    ]


def _read_line(number: int, raw: bytes, defaults: wire.Sampling, run: str) -> Asked | Failure:
    try:
        line = _decode(raw)
    except UnicodeDecodeError as exc:
        return Failure(line=number, error=f"not UTF-8: byte 0x{raw[exc.start]:02x} at {exc.start}")
    except RecursionError:
        return Failure(line=number, error="nested too deeply")
    except (msgspec.DecodeError, InvalidRequest) as exc:
        return Failure(line=number, error=str(exc))
    sampling = _sampling(line.sampling, defaults, number)
    request = line.request(str(number), f"batch:{run}:{number}", sampling)
    return Asked(line=number, id=line.id, request=request)


def _decode(raw: bytes) -> _Line:
    text = raw.decode()
    keys = msgspec.json.decode(text, type=dict[str, Raw])
    kinds = [name for name in _KINDS if name in keys]
    if len(kinds) != 1:
        found = " and ".join(kinds) or (f"only {', '.join(keys)}" if keys else "nothing")
        raise InvalidRequest(f"a line holds one of {', '.join(_KINDS)}; this one holds {found}")
    line = msgspec.json.decode(text, type=_KINDS[kinds[0]])
    if not isinstance(line.id, Raw):
        return line
    id = bytes(line.id)
    if id[:1] not in b'"-0123456789':
        raise InvalidRequest(f"id is a string or a number, not {id.decode()}")
    return msgspec.structs.replace(line, id=Raw(id))  # a copy: the other keeps the whole line alive


def _sampling(own: wire.Sampling, defaults: wire.Sampling, number: int) -> wire.Sampling:
    derived = {"seed": ((defaults.seed or 0) + number * _SEED_STEP) % _SEEDS}
    given = {k: v for k, v in msgspec.structs.asdict(own).items() if v is not None}
    return wire.Sampling(**msgspec.structs.asdict(defaults) | derived | given)


def result(asked: Asked, answer: Completion) -> Result:
    """Return the line that tells an answer."""
    timings = answer.timings
    return Result(
        line=asked.line,
        id=asked.id,
        text=answer.texts[0],
        reason=answer.reason,
        tokens=timings.tokens,
        steps=timings.steps,
        ms=round(timings.total_ms - timings.queue_ms, 1),
    )


def failure(asked: Asked, error: Exception) -> Failure:
    """Return the line that tells why there is no answer."""
    return Failure(line=asked.line, id=asked.id, error=str(error))


def told(done: int, failed: Collection[int], out: str, errors: str) -> str:
    """Return in one line what became of a whole batch; `failed` are the numbers of its lines."""
    if not failed:
        return f"{done} done: {out}"
    numbers = ", ".join(map(str, sorted(failed)[:5])) + (", ..." if len(failed) > 5 else "")
    lines = "line" if len(failed) == 1 else "lines"
    return f"{done} done, {len(failed)} failed ({lines} {numbers}): see {errors}"
