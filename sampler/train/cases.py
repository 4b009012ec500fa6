"""Holes in files that nano never read: lines of code, and lines of docstrings and comments.

Those of code are the holes of `dgemma bench holes`.
"""

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dgemma_lsp.bench import Hole, cut, drawn, python_files
from sampler.benchmarks import holes as judging
from sampler.train import corpus

ONE, SEVERAL, PROSE = "one line", "2 to 6 lines", "a line of prose"
SEVERAL_LINES = range(2, 7)
LEAST_WORDS = 5


def held_out_files(packages: Path | None) -> list[Path]:
    """Return the Python files of the held-out packages, in the folder `packages` or installed.

    Raises FileNotFoundError, with the way to mend it, where one is missing.
    """
    return python_files([corpus.package_folder(name, packages) for name in corpus.HELD_OUT])


def code(files: Sequence[Path], count: int, seed: int) -> Mapping[str, list[Hole]]:
    """Draw `count` holes of one line, and as many of two to six; raises UserError for too few."""
    one = cut(files, count=count, lines=1, seed=seed)
    shares = [len(range(i, count, len(SEVERAL_LINES))) for i in range(len(SEVERAL_LINES))]
    several = [
        hole
        for lines, part in zip(SEVERAL_LINES, shares, strict=True)
        for hole in cut(files, count=part, lines=lines, seed=seed)
    ]
    return {ONE: one, SEVERAL: several}


def prose(files: Sequence[Path], count: int, seed: int) -> Mapping[str, list[Hole]]:
    """Draw `count` lines of English from docstrings and comments; raises UserError for too few."""
    return {PROSE: drawn((prose_holes(file) for file in files), count, "in prose", seed)}


def prose_holes(file: Path) -> Iterator[Hole]:
    """Yield the lines of a file's docstrings and comments that read like a sentence."""
    text = file.read_text(encoding="utf-8-sig")
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for number, column in sorted({*_docstring_lines(text), *_comments(text)}):
        line = text[starts[number] : starts[number + 1]].rstrip()
        first = column + len(line[column:]) - len(line[column:].lstrip())
        if _reads_like_a_sentence(line[first:]):
            yield Hole(file, text, starts[number] + first, starts[number] + len(line))


def _docstring_lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield number, from 0, and first column of the lines inside docstrings, without the quotes."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            string = node.body[0]
            yield from ((n, 0) for n in range(string.lineno, (string.end_lineno or 0) - 1))


def _comments(text: str) -> Iterator[tuple[int, int]]:
    """Yield number, from 0, and column behind the mark of comments with a line of their own."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            yield token.start[0] - 1, token.start[1] + 1


def _reads_like_a_sentence(line: str) -> bool:
    words = line.split()
    plain = sum(word.strip(".,;:!?()'\"`").isalpha() for word in words)
    return len(words) >= LEAST_WORDS and plain >= 0.8 * len(words) and line[0].isalpha()


def line_above(hole: Hole) -> str:
    """Return the nearest line with text above a hole: what costs nothing to write there."""
    above = hole.text[: hole.start].rpartition("\n")[0]
    return above.rstrip().rpartition("\n")[2].strip()


def judge(hole: Hole, text: str) -> judging.Judged:
    """Compare what fills a hole with what was cut out."""
    before, after = hole.text[: hole.start], hole.text[hole.end :]
    return judging.judge(judging.Hole(before, hole.middle, after), text)
