"""One completion at a place of a file: file -> request, the model's answer -> what is inserted.

No argv and no socket: the command line brings the one and sends over the other.
"""

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from dgemma_lsp import bindings, context, elsewhere, languages, quiet, verdict, wire
from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.elsewhere import Lines
from dgemma_lsp.errors import UserError


class Insertion(Struct, frozen=True, kw_only=True):
    """What `dgemma complete --json` prints; `ms` is milliseconds in the daemon."""

    text: str
    candidates: list[str]
    steps: int
    ms: float
    model: str
    stable: bool


def read(file: Path) -> str:
    """Return the text of the file, line ends as they are, without a byte order mark.

    Raises UserError where it cannot be read or is no UTF-8 text.
    """
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{file}: is a folder; name a file in it")
        if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
            raise UserError(f"{file}: is no regular file")
        data = file.read_bytes()
    except FileNotFoundError as exc:
        raise UserError(f"{file}: no such file") from exc
    except (OSError, ValueError) as exc:
        raise UserError(f"{file}: cannot be read: {exc}") from exc
    if (at := data.find(b"\0")) >= 0:
        raise UserError(f"{file}: is binary (a zero byte at {at}), not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise UserError(
            f"{file}: is not UTF-8 (byte 0x{data[exc.start]:02x} at {exc.start}); convert it first"
        ) from exc


def offset(file: Path, text: str, line: int, column: int) -> int:
    """Return the offset in characters of a line, from 1, and a column, from 0.

    Raises UserError for a place outside the text, naming the range.
    """
    lines = list(context.split_lines(text))
    if not lines or lines[-1].endswith(("\n", "\r")):
        lines.append("")
    if not 1 <= line <= len(lines):
        raise UserError(f"--line {line}: {file} has the lines 1 to {len(lines)}")
    width = len(lines[line - 1].rstrip("\r\n"))
    if not 0 <= column <= width:
        raise UserError(f"--column {column}: line {line} of {file} has the columns 0 to {width}")
    return sum(map(len, lines[: line - 1])) + column


def request(
    file: Path,
    text: str,
    cursor: int,
    options: Options,
    *,
    candidates: int,
    deadline_ms: int | None,
    sampling: wire.Sampling,
    others: Iterable[Lines] = (),
    trigger: wire.Trigger = "invoked",
) -> wire.Complete:
    """Return what the daemon is asked for the offset `cursor`; `others` are files beside this."""
    window = context.window(
        text, cursor, prefix_chars=options.prefix_chars, suffix_chars=options.suffix_chars
    )
    language = languages.language(file)
    before, after = context.for_model(text[:cursor]), context.for_model(text[cursor:])
    return wire.Complete(
        id="complete",
        # Not the file's own URI: an editor that has it open must not supersede this request.
        document=f"cli:{file.absolute().as_uri()}",
        version=0,
        prefix=context.for_model(window.prefix),
        suffix=context.for_model(window.suffix),
        language=language,
        trigger=trigger,
        candidates=candidates,
        spares=verdict.SPARES,
        copies=elsewhere.copies(
            others, before, after, count=options.copied, max_lines=options.max_lines
        ),
        bound=bindings.bound(before, after, language),
        max_lines=options.max_lines,
        deadline_ms=deadline_ms,
        sampling=sampling,
    )


def insertion(
    answer: Completion,
    request: wire.Complete,
    text: str,
    cursor: int,
    options: Options,
    model: str,
) -> Insertion:
    """Return the different texts that may be inserted at `cursor`, the best first."""
    candidates = verdict.worth_showing(
        answer,
        text[:cursor],
        text[cursor:],
        options,
        language=request.language,
        count=request.candidates,
    )
    return Insertion(
        text=candidates[0] if candidates else "",
        candidates=candidates,
        steps=answer.steps,
        ms=round(answer.timings.total_ms, 1),
        model=model,
        stable=answer.stable,
    )


def plain(candidates: Sequence[str]) -> str:
    """Return the candidates for a person to read: all but the first under a line of their own."""
    parts = list(candidates[:1])
    for number, text in enumerate(candidates[1:], start=2):
        parts.append(f"--- candidate {number} ---\n{text}")
    return "\n".join(parts)


def why_empty(
    answer: Completion, request: wire.Complete, text: str, cursor: int, options: Options
) -> str:
    """Tell in one line why nothing is inserted at `cursor`."""
    reason = verdict.why_nothing(
        answer, text[:cursor], text[cursor:], options, language=request.language
    )
    return f"nothing to insert: {quiet.TEXTS[reason]}"
