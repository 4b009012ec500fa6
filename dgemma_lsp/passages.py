"""Pure: a document -> the English sentences in it, and where every character of them stands.

Prose files are read whole, source files in their comments and docstrings. Code blocks, tables,
directives and what is not English fall out; inside a sentence, code, links, numbers, quoted words
and the like are told as `fixed`. It judges no sentence.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

LONGEST = 600  # characters of a sentence; longer ones are no sentences
MARKUPS = {
    "markdown": "markdown",
    "quarto": "markdown",
    "rst": "rst",
    "restructuredtext": "rst",
    "plaintext": "text",
    "text": "text",
    "gitcommit": "text",
    "git-commit": "text",
    "latex": "latex",
    "tex": "latex",
    "bibtex": "latex",
}

_C_LIKE = r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_HASH = r"\#[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_PYTHON = (
    r"\#[^\n]*|(?:\b[rRbBuUfF]{1,2})?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}"
    r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
)
_DASHES = r"--[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_ANGLES = r"<!--.*?-->"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


# What is a comment or a string, by the editor's name of the language.
_LEXICONS: dict[str, re.Pattern[str]] = {
    "python": _compiled(_PYTHON),
    **dict.fromkeys(
        (
            *("c", "cpp", "csharp", "css", "dart", "go", "groovy", "java", "javascript", "kotlin"),
            *("javascriptreact", "less", "objective-c", "php", "rust", "scala", "scss", "swift"),
            *("typescript", "typescriptreact", "zig"),
        ),
        _compiled(_C_LIKE),
    ),
    **dict.fromkeys(
        (
            *("coffeescript", "dockerfile", "elixir", "julia", "makefile", "perl", "powershell"),
            *("r", "ruby", "shellscript", "sh", "toml", "yaml", "cmake", "nix"),
        ),
        _compiled(_HASH),
    ),
    **dict.fromkeys(("haskell", "lua", "sql", "ada", "elm"), _compiled(_DASHES)),
    **dict.fromkeys(("html", "xml"), _compiled(_ANGLES)),
}

_MARKERS = re.compile(r"(?://[/!]?|/\*+!?|\#[!:]?|--+|<!--)\s?")
_ENDS = re.compile(r"\s*(?:\*+/|-->)$")
_OPENED = ("(", ",", "=", "[", "{", "\\", "+", "return", "%")  # what follows is an expression


class Sentence(Struct, frozen=True):
    """A sentence with its line breaks as spaces; `places` are its characters' in the document.

    `opens` where a capital letter must begin it. `fixed` are the spans that are nobody's English.
    """

    text: str
    places: tuple[int, ...]
    opens: bool
    fixed: tuple[tuple[int, int], ...]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where [start, end) of the sentence stands in the document."""
        first = self.places[start] if start < len(self.places) else self.places[-1] + 1
        return first, self.places[end - 1] + 1 if end > start else first

    def overlaps_fixed(self, start: int, end: int) -> bool:
        """Tell whether a span touches what must stay."""
        return any(start < stop and end > begin for begin, stop in self.fixed)


class _Line(Struct, frozen=True):
    """A line of prose without its comment marker, and where it begins."""

    text: str
    at: int


def covers(language: str) -> bool:
    """Tell whether there is prose to be found in this language."""
    return language in MARKUPS or language in _LEXICONS


def sentences(text: str, language: str) -> list[Sentence]:
    """Return the sentences of a document in their order."""
    return [one for block in blocks(text, language) for one in block]


def blocks(text: str, language: str) -> Iterator[list[Sentence]]:
    """Yield the sentences of one paragraph after the other."""
    if markup := MARKUPS.get(language):
        lines = list(_lines(text, 0))
        yield from _paragraphs(_uncommented(lines) if language == "gitcommit" else lines, markup)
    elif lexicon := _LEXICONS.get(language):
        for lines, markup in _remarks(text, language, lexicon):
            yield from _paragraphs(lines, markup)


# -- source files --------------------------------------------------------------------------------


def _remarks(
    text: str, language: str, lexicon: re.Pattern[str]
) -> Iterator[tuple[list[_Line], str]]:
    """Yield the lines of each run of comments and of each docstring, and how they are written."""
    run: list[_Line] = []
    column, end = -1, -1
    for match in lexicon.finditer(text):
        start = match.start()
        begin = text.rfind("\n", 0, start) + 1
        token = match[0]
        if run and (token[-1] in "\"'" or "\n" in token):
            yield run, "comment"
            run = []
        if token[-1] in "\"'":
            if language == "python" and _is_docstring(text, begin, match):
                yield _inside(match), "rst"
            continue
        if token.startswith("#!") and start == 0:
            continue
        if "\n" in token:
            yield _block_comment(match), "comment"
            continue
        alone = not text[begin:start].strip()
        if not (alone and start - begin == column and begin == end) and run:
            yield run, "comment"
            run = []
        run.append(_unmarked(token, start))
        column, end = (start - begin if alone else -1), match.end() + 1
    if run:
        yield run, "comment"


def _is_docstring(text: str, begin: int, match: re.Match[str]) -> bool:
    """Tell a string in three quotes that is a statement of its own from one in an expression."""
    if match[0][-3:] not in ('"""', "'''") or len(match[0]) < 7:
        return False
    if text[begin : match.start()].strip():
        return False
    if text[match.end() : text.find("\n", match.end()) % (len(text) + 1)].strip(" \t\r"):
        return False
    above = text[max(0, begin - 400) : begin].rstrip()
    return not above.endswith(_OPENED)


def _inside(match: re.Match[str]) -> list[_Line]:
    quotes = match[0].find(match[0][-1]) + 3
    return list(_lines(match[0][quotes:-3], match.start() + quotes))


def _block_comment(match: re.Match[str]) -> list[_Line]:
    found = []
    for line in _lines(match[0], match.start()):
        body = _ENDS.sub("", line.text)
        lead = re.match(r"\s*(?:/\*+!?|\*+(?!/)|<!--)?\s?", body)
        assert lead is not None
        found.append(_Line(body[lead.end() :], line.at + lead.end()))
    return found


def _unmarked(token: str, start: int) -> _Line:
    lead = _MARKERS.match(token)
    skipped = lead.end() if lead else 0
    return _Line(_ENDS.sub("", token[skipped:].rstrip("\r")), start + skipped)


def _lines(text: str, at: int) -> Iterator[_Line]:
    for line in text.splitlines(keepends=True):
        yield _Line(line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"), at)
        at += len(line)


def _uncommented(lines: Sequence[_Line]) -> list[_Line]:
    return [line if not line.text.startswith("#") else _Line("", line.at) for line in lines]


# -- markup --------------------------------------------------------------------------------------

_FENCE = re.compile(r"\s*(```|~~~)")
_BULLET = re.compile(r"\s*(?:[-*+•]|\d+[.)]|\(\w\))\s+(?:\[[ xX]\]\s+)?")
_FIELD = re.compile(
    r"\s*(?::(?:param|parameter|arg|argument|key|keyword|type|returns?|rtype|raises?|yields?|var|"
    r"ivar|cvar|meta)\b[^:]*:|[*`\w, ]{1,30}(?:\([^)]*\))?\s+--?\s|"
    r"@\w+(?:\s+\{[^}]*\})?(?:\s+\w+)?)\s*"
)
_GOOGLE = re.compile(r"\s*\*{0,2}[A-Za-z_][\w.]*(?: \([^)]*\))?:\s+(?=\S)")
_NOT_PROSE = re.compile(
    r"\s*(?:>>>|\.\.\.(?:\s|$)|\.\. |\||\+[-=]|[-=~^*#\"'`._:+]{3,}\s*$|:\w[\w -]*:|@|\$ |%|!|<|"
    r"\{|\[[\w^ -]+\]:|https?:|\\(?:begin|end|documentclass|usepackage|label|input)\b|---|type: |"
    r"noqa|pylint|fmt:|mypy|eslint|prettier|pragma|-\*-|vim:|TODO|FIXME|XXX|SPDX|Copyright)"
)
_HEADING = re.compile(r"\s*#{1,6}\s+")
_UNDERLINE = re.compile(r"\s*([=\-~^\"'`#*+.:_])\1{2,}\s*$")


def _paragraphs(lines: Sequence[_Line], markup: str) -> Iterator[list[Sentence]]:
    """Yield the sentences of each paragraph; blocks of code are none."""
    skipped: int | None = None  # deeper lines than this are a block of code
    fence = ""
    paragraph: list[_Line] = []
    hangs = False  # whether the paragraph stands behind a bullet or a name
    base = min(
        (len(line.text) - len(line.text.lstrip()) for line in lines[1:] if line.text.strip()),
        default=0,
    )

    def done() -> Iterator[list[Sentence]]:
        if paragraph:
            if found := _split(paragraph, markup, hangs):
                yield found
            paragraph.clear()

    for number, line in enumerate(lines):
        bare = line.text.strip()
        indent = len(line.text) - len(line.text.lstrip()) if number else base
        if (mark := _FENCE.match(line.text)) and (not fence or mark[1] == fence):
            yield from done()
            fence = "" if fence else mark[1]
            continue
        if fence:
            continue
        if not bare:
            yield from done()
            continue
        if skipped is not None:
            if indent > skipped:
                continue
            skipped = None
        # Behind an empty line and far inside stands code, or what hangs below a field.
        if not paragraph and indent >= base + (8 if markup == "rst" else 4):
            continue
        if bare.startswith(".. ") or bare.startswith(".. _"):
            yield from done()
            skipped = indent
            continue
        if _UNDERLINE.match(line.text):
            paragraph.clear()  # what stands above is a heading
            continue
        if _HEADING.match(line.text) and markup == "markdown":
            yield from done()
            continue
        if _NOT_PROSE.match(line.text) and not _FIELD.match(line.text):
            yield from done()
            continue
        lead = _BULLET.match(line.text) or _FIELD.match(line.text)
        if lead is None and markup == "rst" and indent > base:
            lead = _GOOGLE.match(line.text)
        if lead is not None:
            yield from done()
            hangs = True
            paragraph.append(_Line(line.text[lead.end() :], line.at + lead.end()))
        elif paragraph and indent < base and markup == "rst":
            yield from done()
        else:
            hangs = hangs and bool(paragraph)
            paragraph.append(line)
        if bare.endswith("::"):
            yield from done()
            skipped = indent
    yield from done()


# -- sentences -----------------------------------------------------------------------------------

_SHORT = "".join(rf"(?<!\b{short}\.)" for short in (r"e\.g", r"i\.e", "vs", "cf", "No", "Mr", "Dr"))
_BREAK = re.compile(_SHORT + r"(?<=[.!?])[\"')\]*`]{0,2}(\s+)(?=[\"'(`*A-Z\u00c0-\u00de])")
_FIXED = re.compile(
    "|".join(
        (
            r":[\w:+-]+:`[^`]*`",
            r"`{1,2}[^`]+`{1,2}_{0,2}",
            r"!?\[[^\]]*\]\([^)\s]*[^)]*\)",
            r"<[^<>]{1,200}>",
            r"\$[^$]{1,80}\$",
            r"\\[A-Za-z]+(?:\{[^{}]*\})*",
            r"\{[^{}]{0,80}\}",
            r"\|[^|\n]{1,40}\|",
            r"\"[^\"]{1,60}\"|“[^”]{1,60}”|‘[^’]{1,60}’|(?<!\w)'[^' ][^']{0,38}'(?!\w)",
            r"(?<!\*)\*{1,2}[^*\s][^*]{0,60}\*{1,2}",
            r"\S*(?:://|[@/\\=<>|_~^$&\[\]{}])\S*",
            r"\S*\w\(\S*\)?",
            r"(?<!\w)-{1,2}\w[\w-]*",
            r"\w+(?:\.\w+)+",
            r"\w*\d\w*(?:[.,:-]\d+)*",
            r"\b[A-Z]+s?\b(?<!\bI)(?<!\bA)",
            r"\b\w+[a-z][A-Z]\w*\b",
            r"\b[A-Z]{2,}\w*\b",
            r"\b(?:e\.g|i\.e|etc|vs|cf)\.",
        )
    )
)
_WORDS = re.compile(r"[A-Za-z]{2,}")


def _split(lines: Sequence[_Line], markup: str, hangs: bool) -> list[Sentence]:
    """Cut a paragraph into sentences."""
    text, places = _joined(lines)
    cuts = [0, *(match.end() for match in _BREAK.finditer(text)), len(text)]
    found = []
    for begin, end in pairwise(cuts):
        while end > begin and text[end - 1].isspace():
            end -= 1
        if end <= begin or end - begin > LONGEST or len(_WORDS.findall(text, begin, end)) < 3:
            continue
        opens = (begin > 0 or not (hangs or markup == "comment")) and text[end - 1] in ".!?"
        body = text[begin:end]
        found.append(Sentence(body, tuple(places[begin:end]), opens, fixed(body)))
    return found


def fixed(text: str) -> tuple[tuple[int, int], ...]:
    """Return the spans of a sentence that are code, links, numbers, quoted words and the like."""
    return tuple(match.span() for match in _FIXED.finditer(text))


def _joined(lines: Sequence[_Line]) -> tuple[str, list[int]]:
    """Return the lines as one, a line break and what stands around it as one space."""
    parts: list[str] = []
    places: list[int] = []
    for line in lines:
        body = line.text.strip()
        first = line.at + len(line.text) - len(line.text.lstrip())
        if places and body:
            parts.append(" ")
            places.append(places[-1] + 1)
        parts.append(body)
        places += range(first, first + len(body))
    return "".join(parts), places


def without(text: str, found: Sequence[Sentence], language: str) -> str:
    """Return a source file without its prose, as far as its words matter; "" for a prose file."""
    if language in MARKUPS:
        return ""
    kept, at = [], 0
    for one in found:
        kept.append(text[at : one.places[0]])
        at = one.places[-1] + 1
    return " ".join([*kept, text[at:]])


def line_starts(text: str) -> list[int]:
    """Return where each line begins, as editors count lines."""
    return [0, *(match.end() for match in re.finditer(r"\r\n|\n|\r", text))]


def line_of(starts: Sequence[int], place: int) -> tuple[int, int]:
    """Return the line and the column in characters of a place."""
    line = bisect_right(starts, place) - 1
    return line, place - starts[line]
