"""Rewriting: a task -> the way to it: what the model is asked, its answers -> edits. Pure.

Prose is rewritten in place (`in_place`), a hole is filled as a completion is, and anything else is
asked for as in a chat. Nobody is asked here.
"""

import ast
import re
from collections.abc import Sequence
from typing import TypeAlias

from msgspec.structs import replace

from dgemma_lsp import context, ghost, prose, wire
from dgemma_lsp.errors import UserError
from dgemma_lsp.in_place import InPlace
from dgemma_lsp.modes import ANSWERS, MODES, Edit, Task, Written, check, instruction
from dgemma_lsp.syntax import parses

Way: TypeAlias = "InPlace | Hole | Asked"

_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)(?:^\1|\Z)", re.DOTALL | re.MULTILINE)


# What editors call the file in which a commit message is written.
_COMMITS = ("gitcommit", "git-commit")


def plan(task: Task) -> "Way":
    """Return the way to what is wanted.

    Raises UserError, in one line, for a mode that is none or that this text gives nothing for.
    """
    check(task)
    way = MODES[task.mode].way
    if task.mode == "docstring":
        return _docstring(task)
    if way == "hole":
        return Hole(task, task.end, task.end, "", "")
    code = prose.kind(task.language) not in ("markdown", "plain")
    if way == "chat" or (task.mode == "custom" and code):
        if not task.selected.strip():
            raise UserError(f"{task.mode}: nothing is selected")
        return Asked(task)
    return InPlace(task)


def parts(way: Way) -> list[wire.Part]:
    """Return the text in the parts that are written one by one; none where it is written anew."""
    return way.parts() if isinstance(way, InPlace) else []


# -- a hole ----------------------------------------------------------------------------------------


class Hole:
    """A text that is written between what stands before and behind it."""

    def __init__(self, task: Task, start: int, end: int, opening: str, closing: str) -> None:
        """Fill the hole from `start` to `end`; what comes stands within `opening` and `closing`."""
        self.task, self.candidates = task, 16
        self._start, self._end, self._opening, self._closing = start, end, opening, closing

    def jobs(self, sampling: wire.Sampling) -> list[wire.Job]:
        """Return the request for all variants, without an id."""
        if self.task.length:
            # A word is a token and a half; a canvas has 8 positions at least.
            tokens = min(max(int(self.task.length * 1.5), 8), 4096)
            sampling = replace(sampling, canvas_length=tokens)
        return [
            wire.Complete(
                id="-",
                document=f"write:{self.task.mode}",
                version=0,
                prefix=context.for_model(self.task.text[: self._start]) + self._opening,
                suffix=self._closing + context.for_model(self.task.text[self._end :]),
                language=self.task.language,
                trigger="invoked",
                sampling=sampling,
            )
        ]

    def written(self, answers: Sequence[Sequence[str]]) -> Written:
        """Return what comes of the answer: the text of the one request."""
        before, behind = self.task.text[: self._start], self.task.text[self._end :]
        ((text,),) = answers
        if not self._closing:
            added = ghost.to_ghost_text(text, before, behind, max_lines=1000)
            return Written((Edit(self._start, self._end, added),) if added else ())
        text = " ".join(text.split(self._closing.strip())[0].split()).strip('"\\ ')
        whole = self._opening + text + self._closing
        if not text or not parses(before + whole + behind):
            return Written()
        return Written((Edit(self._start, self._end, whole),))


def _docstring(task: Task) -> Hole:
    """Return the hole for the docstring of what is defined around the selection's begin."""
    if task.language != "python":
        raise UserError(f"docstring: Python only, not {task.language or 'text'}; take custom")
    try:
        tree = ast.parse(task.text)
    except SyntaxError as exc:
        raise UserError(f"docstring: line {exc.lineno} is no Python yet: {exc.msg}") from exc
    line = task.text.count("\n", 0, task.start) + 1
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and _first_line(node) <= line <= (node.end_lineno or 0)
    ]
    if not around:
        raise UserError(f"docstring: line {line} is in no function and no class")
    node = max(around, key=lambda one: one.lineno)
    body = node.body[0]
    if ast.get_docstring(node) is not None:
        raise UserError(f"docstring: {node.name} has one already; select it and rewrite it")
    if body.lineno == node.lineno:
        raise UserError(f"docstring: {node.name} has its body on the line of its name")
    lines = task.text.split("\n")
    at = sum(len(line) + 1 for line in lines[: _first_line(body) - 1])
    return Hole(task, at, at, f'{" " * body.col_offset}"""', '"""\n')


def _first_line(node: ast.stmt) -> int:
    """Return the line, from 1, where a statement begins with its decorators."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


# -- as in a chat ----------------------------------------------------------------------------------


class Asked:
    """A text that is asked for; it takes the place of the selection, or is told."""

    def __init__(self, task: Task) -> None:
        self.task, self.candidates = task, 1

    def jobs(self, sampling: wire.Sampling) -> list[wire.Job]:
        """Return the request for one variant, without an id."""
        marks = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", self.task.selected))])
        said = instruction(self.task)
        if self.task.mode == "custom":
            said += "\nReply with all of the code below, changed so, in one fence."
        question = f"{said}\n{marks}{self.task.language}\n{self.task.selected}\n{marks}"
        return [
            wire.Chat(
                id="-",
                messages=[wire.Turn(role="user", content=question)],
                drafts=False,
                sampling=sampling,
            )
        ]

    def written(self, answers: Sequence[Sequence[str]]) -> Written:
        """Return what comes of the answer: the blocks of the one request."""
        task = self.task
        (blocks,) = answers
        text = "".join(blocks).strip()
        if task.mode in ANSWERS or not text:
            return Written(told=text)
        if (fenced := _FENCED.search(text)) is not None:
            text = fenced[2]
        if task.mode == "commit" and task.language in _COMMITS:
            # What git shows below is not replaced, and not committed.
            return Written((Edit(0, 0, text.rstrip("\n") + "\n"),))
        ending = task.selected[len(task.selected.rstrip("\n")) :]
        return Written((Edit(task.start, task.end, text.rstrip("\n") + ending),))
