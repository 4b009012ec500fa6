"""One rewriting of a file: file -> task, what comes of it -> what is printed or put in its place.

No argv: the command line brings it. The way to the text is in `rewriter`.
"""

import difflib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from dgemma_lsp import at_cursor, linking, rewriter, wire, writing
from dgemma_lsp.context import split_lines
from dgemma_lsp.errors import UserError
from dgemma_lsp.modes import ANSWERS, Task, Written
from dgemma_lsp.settings import Settings

STDIN = Path("-")


def read(file: Path, stdin: BinaryIO) -> str:
    """Return the text of the file, or of stdin for `-`; raises UserError where it is none."""
    if file != STDIN:
        return at_cursor.read(file)
    data = stdin.read()
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise UserError(f"stdin is not UTF-8: byte 0x{data[exc.start]:02x}") from exc


def selection(text: str, lines: str | None) -> tuple[int, int]:
    """Return where the lines `A:B`, or the one line `A`, begin and end; without any, all of it.

    Raises UserError for what names no lines of the text.
    """
    if lines is None:
        return 0, len(text)
    ends = [0]
    for line in split_lines(text):
        ends.append(ends[-1] + len(line))
    try:
        first, last = (
            int(part) for part in (lines if ":" in lines else f"{lines}:{lines}").split(":")
        )
    except ValueError as exc:
        raise UserError(f"--lines {lines}: give A:B, the first and the last line, from 1") from exc
    if not 1 <= first <= last < len(ends):
        raise UserError(f"--lines {lines}: the text has the lines 1 to {len(ends) - 1}")
    end = ends[last]
    return ends[first - 1], end - len(text[:end]) + len(text[:end].rstrip("\r\n"))


async def write(
    settings: Settings, task: Task, variants: int, sampling: wire.Sampling
) -> list[Written]:
    """Return the variants; a terminal is told how far it is where that takes long."""
    way = writing.plan(task)
    async with linking.daemon_link(settings) as link:
        model = link.welcome.model
        doing = "writing" if link.welcome.state == "ready" else "loading the model"
        async with linking.waiting(f"{model}: {doing}") as tell:

            def hear(done: int, of: int) -> None:
                tell(f"{model}: {done} of {of} parts are written")

            return await rewriter.write(link, way, variants=variants, sampling=sampling, hear=hear)


def result(task: Task, one: Written) -> str:
    """Return what a variant makes of the text, or what it tells."""
    return one.told if task.mode in ANSWERS else one.applied(task.text)


def diff(file: Path, text: str, new: str) -> str:
    """Return the unified diff of two states of a file; "" where they are the same."""
    name = "stdin" if file == STDIN else str(file)
    found = difflib.unified_diff(
        text.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found
    )


def printed(texts: Sequence[str]) -> str:
    """Return the variants for a person to read, all but the first under a line of their own."""
    parts = list(texts[:1])
    parts += [f"--- variant {number} ---\n{text}" for number, text in enumerate(texts[1:], 2)]
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def replace_file(file: Path, text: str) -> None:
    """Put the text in the file's place at once, so that no half of it is ever there.

    Raises UserError where that cannot be done; the file is then as it was.
    """
    target = file.resolve()
    try:
        mode = target.stat().st_mode
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
                out.write(text)
            os.chmod(name, mode & 0o7777)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as exc:
        raise UserError(f"{file}: cannot be written: {exc}") from exc


def why_unchanged(task: Task, written: Sequence[Written]) -> str:
    """Tell in one line why nothing changes."""
    if any(one.left for one in written):
        return f"{task.mode}: the text stays as it is; the new one would change its structure"
    return f"{task.mode}: the text stays as it is; the model wrote nothing else"
