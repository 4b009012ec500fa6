"""Prose rewritten in place: what is kept of a text, what is asked of the model, the edits. Pure.

The text is cut at what must stay (`locks`) and at its structure (`prose`); only what lies between
is written anew. Nothing is left to hope: what is kept comes from the text and never from the model,
and a paragraph that would change the structure of its document stays as it was.
"""

import re
import textwrap
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise, zip_longest
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dgemma_lsp import locks, prose, wire
from dgemma_lsp.errors import UserError
from dgemma_lsp.modes import MODES, Edit, Task, Written, instruction

# So much text is rewritten in one request at most.
CHARS = 3000
# While a paragraph is put together these begin what is kept, and stand for its blanks.
_KEPT = "\ue002"
_UNBROKEN = {" ": "\ue000", "\t": "\ue001"}
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ue000-\ue002\ufffd\u2028\u2029]+")
_SPECIAL = re.compile(r"[\\`\[\]|]|<(?=[A-Za-z/!?])|&(?=#|\w+;)")
_BLOCK = re.compile(
    r"(#{1,6}(?=\s|$)|[-+*](?=\s|$)|>|=+\s*$|-{2,}|_{3,}|\*{3,}|~{3,}|:)|(\d+)([.)])"
)
_WORD = re.compile(r"\w[\w'’-]*")
_HAS_WORDS = re.compile(r"[^\W\d_]")


class Piece(Struct, frozen=True):
    """A piece of a run. The blanks `lead` stand before a new text as they did before the old."""

    text: str
    kept: bool
    lead: str = ""


class _Stretch(Struct, frozen=True):
    """What one request rewrites: runs, with all that stands between them."""

    runs: list[prose.Run]
    pieces: list[list[Piece]]


class InPlace:
    """The prose of a selection, rewritten around what is kept."""

    def __init__(self, task: Task) -> None:
        self.task, self.candidates = task, 1
        self._markdown = prose.kind(task.language) == "markdown"
        if not prose.kind(task.language):
            raise UserError(
                f"{task.mode}: prose is known in Markdown, plain text and line comments, not in "
                f"{task.language}"
            )
        names = locks.capitals_tell(task.text)
        selected = prose.touched(prose.runs(task.text, task.language), task.start, task.end)
        found = [(run, self._cut(run, names)) for run in selected]
        free = [(run, pieces) for run, pieces in found if any(not p.kept for p in pieces)]
        if not free:
            raise UserError(f"{task.mode}: there is no prose in the selection that may change")
        self._stretches = _stretches(free)

    def jobs(self, sampling: wire.Sampling) -> list[wire.Job]:
        """Return the requests for one variant, without ids."""
        mode, task = MODES[self.task.mode], self.task
        words = sum(
            len(_WORD.findall(piece.text))
            for stretch in self._stretches
            for pieces in stretch.pieces
            for piece in pieces
        )
        length = mode.length if task.length is None else task.length / words
        strength = mode.strength if task.strength is None else task.strength
        return [
            wire.Rewrite(
                id="-",
                instruction=instruction(task),
                parts=[wire.Part(piece.lead + piece.text, piece.kept) for piece in self._row(one)],
                strength=strength,
                length=min(max(length, 0.05), 16.0),
                sampling=sampling,
            )
            for one in self._stretches
        ]

    def parts(self) -> list[wire.Part]:
        """Return the parts of all requests, with what stands between two requests kept."""
        found: list[wire.Part] = []
        begins = [stretch.runs[0].start for stretch in self._stretches[1:]]
        for stretch, begin in zip_longest(self._stretches, begins):
            *row, last = self._row(stretch)
            between = self.task.text[stretch.runs[-1].end : begin] if begin is not None else ""
            found += [wire.Part(piece.lead + piece.text, piece.kept) for piece in row]
            found.append(wire.Part(last.text + between, kept=True))
        return found

    def written(self, answers: Sequence[Sequence[str]]) -> Written:
        """Return what comes of the answers: for each request the texts of its parts."""
        edits: list[Edit] = []
        for stretch, texts in zip(self._stretches, answers, strict=True):
            at = 0
            for run, pieces in zip(stretch.runs, stretch.pieces, strict=True):
                new = self._joined(run, pieces, texts[at : at + len(pieces)])
                at += len(pieces) + 1  # what stands behind the run is a part too
                if new != self.task.text[run.start : run.end]:
                    edits.append(Edit(run.start, run.end, new))
        return self._of_same_shape(edits)

    def _cut(self, run: prose.Run, names: bool) -> list[Piece]:
        """Return the pieces of a run; all of it is kept where it cannot be wrapped anew."""
        text = " ".join(self.task.text[a:b] for a, b in run.segments)
        spans = locks.kept(text, markdown=self._markdown, names=names, also=self.task.keep)
        broken = {
            sum(b - a + 1 for a, b in run.segments[: i + 1]) - 1
            for i in range(len(run.segments) - 1)
        }
        if any(start <= at < end for start, end in spans for at in broken) or _CONTROL.search(text):
            return [Piece(text, True)]
        return _pieces(text, spans)

    def _row(self, stretch: _Stretch) -> list[Piece]:
        """Return all pieces of a stretch, and what stands behind each of its runs."""
        row: list[Piece] = []
        ends = [run.start for run in stretch.runs[1:]] + [stretch.runs[-1].end]
        for run, pieces, end in zip(stretch.runs, stretch.pieces, ends, strict=True):
            row += [*pieces, Piece(self.task.text[run.end : end], True)]
        return row

    def _joined(self, run: prose.Run, pieces: Sequence[Piece], texts: Sequence[str]) -> str:
        """Return what takes a run's place: the new texts between what is kept, in its lines."""
        document = self.task.text
        fresh = [
            piece.text if piece.kept else self._clean(text)
            for piece, text in zip(pieces, texts, strict=True)
        ]
        written = [text for piece, text in zip(pieces, fresh, strict=True) if not piece.kept]
        if not any(written) or fresh == [piece.text for piece in pieces]:
            return document[run.start : run.end]
        whole = "".join(
            _unbroken(text) if piece.kept else text and piece.lead + text
            for piece, text in zip(pieces, fresh, strict=True)
        ).strip()
        if len(run.segments) == 1:
            return self._line(whole)
        width = max(b - a for a, b in run.segments)
        lines = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
        ends = [document[a[1] : b[0]] for a, b in pairwise(run.segments)]
        ends += [ends[-1]] * len(lines)
        first, *others = map(self._line, lines)
        return first + "".join(end + line for end, line in zip(ends, others, strict=False))

    def _clean(self, text: str) -> str:
        """Return a new text as words of one line, with nothing in it that Markdown would read."""
        text = " ".join(_CONTROL.sub(" ", text).split())
        return _SPECIAL.sub(r"\\\g<0>", text) if self._markdown else text

    def _line(self, line: str) -> str:
        """Return a line as it will stand, which begins no block of its own."""
        found = _BLOCK.match(line) if self._markdown else None
        line = _broken(line)
        if found is None:
            return line
        number = len(found[2] or "")
        return f"{line[:number]}\\{line[number:]}"

    def _of_same_shape(self, edits: list[Edit]) -> Written:
        """Return those of the edits that leave the document its structure."""
        text = self.task.text
        if not self._markdown or not edits:
            return Written(tuple(edits))
        shape = prose.shape(text)
        if prose.shape(Written(tuple(edits)).applied(text)) == shape:
            return Written(tuple(edits))
        # Nearly always a block shows by itself that its text would change the structure.
        sound = [
            edit for start, end in prose.blocks(text) for edit in _sound(text, start, end, edits)
        ]
        taken = _of_shape(text, shape, (), sound)
        return Written(taken, left=len(edits) - len(taken))


def _sound(text: str, start: int, end: int, edits: Sequence[Edit]) -> list[Edit]:
    """Return those of the edits of a block that leave it its shape where it stands alone."""
    first, last = (bisect_left(edits, at, key=lambda edit: edit.start) for at in (start, end))
    inside = [Edit(one.start - start, one.end - start, one.text) for one in edits[first:last]]
    block = text[start:end]
    taken = _of_shape(block, prose.shape(block), (), inside) if inside else ()
    return [Edit(one.start + start, one.end + start, one.text) for one in taken]


def _of_shape(
    text: str, shape: list[Any], taken: tuple[Edit, ...], edits: Sequence[Edit]
) -> tuple[Edit, ...]:
    """Return `taken` with those of the edits behind it that leave a text its shape.

    They are tried all at once and then by halves: most of them do, and each try reads the text.
    """
    if prose.shape(Written((*taken, *edits)).applied(text)) == shape:
        return (*taken, *edits)
    if len(edits) <= 1:
        return taken
    half = len(edits) // 2
    taken = _of_shape(text, shape, taken, edits[:half])
    return _of_shape(text, shape, taken, edits[half:])


def _stretches(found: Sequence[tuple[prose.Run, list[Piece]]]) -> list[_Stretch]:
    stretches: list[_Stretch] = []
    for run, pieces in found:
        if stretches and run.end - stretches[-1].runs[0].start <= CHARS:
            stretches[-1].runs.append(run)
            stretches[-1].pieces.append(pieces)
        else:
            stretches.append(_Stretch([run], [pieces]))
    return stretches


def _pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[Piece]:
    """Cut a text at the spans that are kept; blanks before a kept span are kept with it."""
    pieces: list[Piece] = []
    at = 0
    for start, end in [*spans, (len(text), len(text))]:
        free = text[at:start]
        lead = free[: len(free) - len(free.lstrip())]
        words = free.strip()
        if _HAS_WORDS.search(words):
            pieces.append(Piece(words, False, lead))
            kept = free[len(lead) + len(words) :] + text[start:end]
        else:
            kept = free + text[start:end]
        if kept and pieces and pieces[-1].kept:
            pieces[-1] = replace(pieces[-1], text=pieces[-1].text + kept)
        elif kept:
            pieces.append(Piece(kept, True))
        at = end
    return pieces


def _unbroken(text: str) -> str:
    """Return a kept text marked as such, with inner blanks that no wrapping breaks."""
    core = text.strip()
    if not core:
        return text
    at = text.index(core)
    marked = core
    for blank, stand_in in _UNBROKEN.items():
        marked = marked.replace(blank, stand_in)
    return text[:at] + _KEPT + marked + text[at + len(core) :]


def _broken(text: str) -> str:
    """Return a text without the marks of `_unbroken`."""
    for blank, stand_in in _UNBROKEN.items():
        text = text.replace(stand_in, blank)
    return text.replace(_KEPT, "")
