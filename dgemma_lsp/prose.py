"""Where the prose of a document is: Markdown, plain text, line comments. Pure; nothing written.

A run is one piece of prose, as a paragraph, a heading or a cell; its segments are what it has of
each line, without what marks a quotation, a list or a comment. All between runs is structure.
"""

import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import Struct

_MARKDOWN = {"markdown", "mdx", "quarto", "rmd"}
_PLAIN = {"", "plaintext", "text", "gitcommit", "git-commit", "mail"}
# What begins a comment that goes on to the end of its line.
_COMMENTS = {
    "#": ["python", "ruby", "shellscript", "sh", "bash", "yaml", "toml", "perl", "r", "make"],
    "//": [
        *["javascript", "typescript", "javascriptreact", "typescriptreact", "c", "cpp", "csharp"],
        *["java", "go", "rust", "swift", "kotlin", "scala", "dart", "php", "zig"],
    ],
    "--": ["lua", "sql", "haskell", "elm", "ada"],
    ";": ["lisp", "clojure", "scheme"],
    "%": ["matlab", "erlang"],
}
_MARKERS = {language: mark for mark, languages in _COMMENTS.items() for language in languages}

_FRONT_MATTER = re.compile(r"---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_ITEM = re.compile(r"\s*(?:[-*+•]|\d+[.)])\s+|\s*")
_TOOLS = re.compile(r"[!:]|\s*(?:type:|noqa|pylint|mypy|ruff|fmt:|pragma|eslint|TODO\b|FIXME\b)")
_HARD_BREAK = re.compile(r"(?:[ ]{2,}|\\)$")


class Run(Struct, frozen=True):
    """One piece of prose; `segments` are where it stands on each of its lines."""

    segments: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.segments[0][0]

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.segments[-1][1]

    def within(self, start: int, end: int) -> "Run | None":
        """Return what of it lies between two places; None where nothing does."""
        cut = [(max(a, start), min(b, end)) for a, b in self.segments]
        left = tuple((a, b) for a, b in cut if a < b)
        return Run(left) if left else None


def kind(language: str) -> str:
    """Tell by the editor's name of a language how its prose is found; "" where it is not known."""
    if language in _MARKDOWN:
        return "markdown"
    if language in _PLAIN:
        return "plain"
    return "comments" if language in _MARKERS else ""


def runs(text: str, language: str) -> list[Run]:
    """Return the runs of a document, in order; none where its language is not known."""
    match kind(language):
        case "markdown":
            return list(_markdown_runs(text))
        case "plain":
            return list(_plain_runs(text))
        case "comments":
            return list(_comment_runs(text, language))
    return []


def shape(text: str) -> list[Any]:
    """Return the structure of Markdown: its blocks, and the code and links in each, not the words.

    Two texts of the same shape have the same headings, lists, tables, fences and links.
    """
    head = _front_matter(text)
    found: list[Any] = [text[:head]]
    definitions: dict[str, Any] = {}
    for token in _parser().parse(text[head:], definitions):
        if token.type == "inline":
            found.append([_inside(child) for child in token.children or [] if _inside(child)])
        else:
            found.append(
                (
                    token.type,
                    token.tag,
                    token.nesting,
                    token.markup,
                    token.info,
                    token.content,
                    sorted(token.attrs.items()),
                )
            )
    references = definitions.get("references", {})
    return [*found, {name: (to["href"], to["title"]) for name, to in references.items()}]


def blocks(text: str) -> list[tuple[int, int]]:
    """Return where the outermost blocks of Markdown begin and end, in order and apart."""
    head = _front_matter(text)
    starts = [at + head for at, _ in _lines(text[head:])] + [len(text)]
    tokens = _parser().parse(text[head:])
    maps = [token.map for token in tokens if token.level == 0 and token.nesting >= 0 and token.map]
    return [(starts[first], starts[min(last, len(starts) - 1)]) for first, last in maps]


def _inside(token: Token) -> tuple[Any, ...]:
    if token.type in ("code_inline", "html_inline", "link_open", "image", "hardbreak"):
        return (token.type, token.content, sorted(token.attrs.items()))
    return ()


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _front_matter(text: str) -> int:
    """Return how long the metadata before a Markdown text are."""
    found = _FRONT_MATTER.match(text)
    return found.end() if found else 0


def _lines(text: str) -> list[tuple[int, str]]:
    """Return where each line begins, and the line without its end."""
    found, at = [], 0
    for line in text.split("\n"):
        found.append((at, line.removesuffix("\r")))
        at += len(line) + 1
    return found


def _markdown_runs(text: str) -> Iterator[Run]:
    head = _front_matter(text)
    lines = [(at + head, line) for at, line in _lines(text[head:])]
    cell = 0  # where the row of a table was read up to
    inside = ""
    for token in _parser().parse(text[head:]):
        if token.type != "inline" or token.map is None:
            cell = 0 if token.type == "tr_open" else cell
            inside = token.type
            continue
        first, until = token.map
        contents = token.content.split("\n")
        places = lines[first : max(until, first + 1)]
        in_cell = inside in ("th_open", "td_open")
        segments: list[tuple[int, int]] = []
        for (at, line), content in zip(places, contents, strict=False):
            words = _HARD_BREAK.sub("", content).strip()
            column = line.find(words, cell) if in_cell else line.rfind(words)
            if column < 0 or not words:
                segments = []
                break
            segments.append((at + column, at + column + len(words)))
            if in_cell:
                cell = column + len(words)
            if _HARD_BREAK.search(content):
                yield Run(tuple(segments))
                segments = []
        if segments:
            yield Run(tuple(segments))


def _plain_runs(text: str) -> Iterator[Run]:
    segments: list[tuple[int, int]] = []
    for at, line in _lines(text):
        marked = _ITEM.match(line)
        indent = marked.end() if marked else 0
        words = line[indent:].rstrip()
        begins_item = bool(line[:indent].strip())
        if segments and (not words or begins_item):
            yield Run(tuple(segments))
            segments = []
        if words:
            segments.append((at + indent, at + indent + len(words)))
    if segments:
        yield Run(tuple(segments))


def _comment_runs(text: str, language: str) -> Iterator[Run]:
    mark = _MARKERS[language]
    segments: list[tuple[int, int]] = []
    before = ""
    alone = _comment_lines(text) if language == "python" else None
    for number, (at, line) in enumerate(_lines(text)):
        indent = line[: len(line) - len(line.lstrip())]
        said = line[len(indent) :].removeprefix(mark)
        is_comment = line.startswith(mark, len(indent)) and (alone is None or number in alone)
        words = said.strip(f"{mark[0]} \t") if is_comment and not _TOOLS.match(said) else ""
        if segments and (not words or indent != before):
            yield Run(tuple(segments))
            segments = []
        if words:
            start = at + line.index(words, len(indent))
            segments.append((start, start + len(words)))
        before = indent
    if segments:
        yield Run(tuple(segments))


def _comment_lines(text: str) -> set[int]:
    """Return the lines of Python, from 0, that begin with a comment; none where it is broken."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return set()
    return {
        token.start[0] - 1
        for token in tokens
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }


def touched(found: Sequence[Run], start: int, end: int) -> list[Run]:
    """Return what of the runs is selected; with an empty selection the run that it lies in."""
    if start == end:
        return [run for run in found if run.start <= start <= run.end][:1]
    return [cut for run in found if (cut := run.within(start, end))]
