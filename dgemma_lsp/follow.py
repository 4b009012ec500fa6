"""What follows from an edit: the same word replaced at the next places in its reach. Pure.

It reads no language: blocks are told by their indentation, declarations by how they look. Whether
a place reads better with the new word is for the model to say.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from dgemma_lsp.edits import Span, between

LINES = 60  # as far above and below the edit as a person still has it in mind
PLACES = 8  # the nearest, for the model to judge

_WORD = re.compile(r"[^\W\d]\w*")
_DECLARES = re.compile(r"\b(?:def|class|function|func|fn|fun|struct|enum|interface|trait|type)\s+$")
_KEYWORD = re.compile(r"\b(?:let|const|var|val|auto|as|for)\s+(?:[(\[{]?[\w\s,*]*,\s*)?$")
_ASSIGNED = re.compile(r"(?:\s*,\s*[\w.*]+)*\s*(?::[^=\n]+?|:)?=(?!=)")
_HEADER = re.compile(
    r"\s*(?:async\s+)?(?:def|class|function|func|fn|fun)\b"
    r"|(?!\s*(?:\}\s*)?(?:if|elif|else|for|while|with|async|switch|match|catch|except|do|return)\b)"
    r".*\)\s*(?:->.*)?[:{]\s*$"
)
_TRIPLE = ('"""', "'''")
_REMARKS = ("#", "//", "--")


class Replaced(NamedTuple):
    """The word `old` gave way to `new`, which stands at `start` now, at `times` places in all."""

    start: int
    old: str
    new: str
    times: int = 1


class Change(NamedTuple):
    """A line of the document, from `start` up to `end`, and what it might be instead."""

    start: int
    end: int
    text: str


def words(text: str, span: Span, old: str) -> Replaced | None:
    """Return which word was replaced where `span` of `text` stands for `old`; None if no word was.

    What of the word was left as it is on both sides belongs to both.
    """
    start, end = span
    while start and is_word(text[start - 1]):
        start -= 1
    while end < len(text) and is_word(text[end]):
        end += 1
    before, after = text[start : span.start], text[span.end : end]
    was, new = before + old + after, text[start:end]
    if was == new or not (_WORD.fullmatch(was) and _WORD.fullmatch(new)):
        return None
    return Replaced(start, was, new)


def changes(text: str, edit: Replaced, cursor: int) -> list[Change]:
    """Return the lines that may follow from the edit, the nearest below the cursor first.

    Where a word was replaced once, it must be the place that gives the thing its name, and the
    name a new one. Otherwise another thing is named there, and nothing follows.
    """
    reach = _reach(text, edit)
    places = [at for at in _occurrences(text, edit.old, reach) if _is_code(text, at)]
    if edit.times == 1 and not _renames(text, edit, reach, places):
        return []
    return _changed(text, [at for at in places if _is_alike(text, at, edit)], edit, cursor)


def exports(text: str, edit: Replaced) -> bool:
    """Tell whether the edit gives another name to what other documents may take from this one."""
    start, end = _line(text, edit.start)
    return _indent(text[start:end]) == 0 and _declares(text, edit.start)


def elsewhere(text: str, edit: Replaced, module: str, cursor: int) -> list[Change]:
    """Return the lines of another document that may follow, which takes the name from `module`.

    These are its imports, and near the cursor the uses of what they bring.
    """
    near = _near(text, cursor)
    named = re.compile(rf"(?<!\w){re.escape(module)}(?!\w)")
    imported = any(
        _imports(text, at) and named.search(text, *_line(text, at))
        for word in (edit.old, edit.new)
        for at in _occurrences(text, word, Span(0, len(text)))
    )

    def is_meant(at: int) -> bool:
        if _imports(text, at):
            return named.search(text, *_line(text, at)) is not None
        if not near.start <= at < near.end or not _is_code(text, at) or _is_keyword(text, at, edit):
            return False
        if _is_attribute(text, at):
            return (
                re.search(rf"(?<![\w.]){re.escape(module)}\.$", text[_line(text, at)[0] : at])
                is not None
            )
        return imported

    places = _occurrences(text, edit.old, Span(0, len(text)))
    return _changed(text, [at for at in places if is_meant(at)], edit, cursor)


def _changed(text: str, places: Sequence[int], edit: Replaced, cursor: int) -> list[Change]:
    """Return the lines of these places with the new word, the nearest below the cursor first."""
    lines: dict[tuple[int, int], list[int]] = {}
    for at in places:
        lines.setdefault(_line(text, at), []).append(at)
    found = [
        Change(start, end, _replace(text[start:end], [at - start for at in inside], edit))
        for (start, end), inside in lines.items()
    ]
    return nearest(found, cursor)


def nearest(found: Sequence[Change], cursor: int) -> list[Change]:
    """Return the changes that a person would make next, the nearest below the cursor first."""
    by_place = sorted(found, key=lambda one: (one.end < cursor, abs(one.start - cursor)))
    return by_place[:PLACES]


def smallest(text: str, change: Change) -> Change:
    """Return the change without the words at both ends of the line that stay as they are."""
    present = text[change.start : change.end]
    edit = between(present, change.text)
    start, end = edit.start, edit.start + edit.removed
    while start and is_word(present[start - 1]):
        start -= 1
    while end < len(present) and is_word(present[end]):
        end += 1
    new = change.text[start : len(change.text) - (len(present) - end)]
    return Change(change.start + start, change.start + end, new)


def is_word(character: str) -> bool:
    """Tell whether a character belongs to a word."""
    return character.isalnum() or character == "_"


def _renames(text: str, edit: Replaced, reach: Span, places: Sequence[int]) -> bool:
    """Tell whether the edit gives a thing another name, by how its place and the others look."""
    if len(_occurrences(text, edit.new, reach)) > 1 or _defined(text, edit.new, but=edit.start):
        return False
    if _declares(text, edit.start):
        return not _defined(text, edit.old, but=edit.start)
    if any(at < edit.start for at in places):
        return False
    return _binds(text, edit, reach)


def _defined(text: str, word: str, *, but: int) -> bool:
    """Tell whether a function or class of this name is declared or imported, but for one place."""
    places = _occurrences(text, word, Span(0, len(text)))
    return any(at != but and (_declares(text, at) or _imports(text, at)) for at in places)


def _imports(text: str, at: int) -> bool:
    start, _ = _line(text, at)
    return text.startswith(("import ", "from ", "use ", "#include "), start)


def _binds(text: str, edit: Replaced, reach: Span) -> bool:
    """Tell whether a thing gets its name at the edit: it is assigned, or a parameter."""
    start, end = _line(text, edit.start)
    before, behind = text[start : edit.start], text[edit.start + len(edit.new) : end]
    open_brackets = before.count("(") - before.count(")")
    if _KEYWORD.search(before) or (open_brackets == 0 and _ASSIGNED.match(behind)):
        return True
    return _is_parameter(text, edit.start, reach)


def _is_parameter(text: str, at: int, reach: Span) -> bool:
    """Tell whether a place lies in the brackets of the header that its reach begins with."""
    start, end = _line(text, reach.start)
    if not _HEADER.match(text[start:end]):
        return False
    depth, before = 0, text[start:at]
    for bracket in re.findall(r"[()]", before):
        depth += 1 if bracket == "(" else -1
        if depth == 0:
            return False
    return depth > 0


def _reach(text: str, edit: Replaced) -> Span:
    """Return where the word may mean the same: its function, or all that is near."""
    near = _near(text, edit.start)
    if _is_attribute(text, edit.start) or _declares(text, edit.start):
        return near
    header = _header(text, edit.start)
    if header is None:
        return near
    return Span(max(near.start, header.start), min(near.end, _block_end(text, header)))


def _near(text: str, at: int) -> Span:
    start = end = at
    for _ in range(LINES):
        start = max(text.rfind("\n", 0, start), 0)
        end = text.find("\n", end + 1) if end >= 0 else end
    return Span(start, len(text) if end < 0 else end)


def _header(text: str, at: int) -> Span | None:
    """Return the line that begins the function around a place, which may be in that line itself."""
    start, end = _line(text, at)
    deepest = _indent(text[start:end]) + 1
    while True:
        line = text[start:end]
        if line.strip() and _indent(line) < deepest:
            if _HEADER.match(line) and "(" in line:
                return Span(start, end)
            deepest = _indent(line)
        if start == 0 or deepest == 0:
            return None
        start, end = _line(text, start - 1)


def _block_end(text: str, header: Span) -> int:
    """Return where the lines end that are indented deeper than this one, which may span several."""
    least = _indent(text[header.start : header.end])
    at = header.end
    while at < len(text):
        start, end = at + 1, _line(text, at + 1)[1]
        line = text[start:end].strip()
        if line and _indent(text[start:end]) <= least and not line.startswith((")", "}", "]", "{")):
            return at
        at = end
    return len(text)


def _occurrences(text: str, word: str, span: Span) -> list[int]:
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    return [found.start() for found in pattern.finditer(text, span.start, span.end)]


def _is_code(text: str, at: int) -> bool:
    """Tell whether a place is neither in a string nor in a remark, by the marks before it."""
    if any(text.count(quotes, 0, at) % 2 for quotes in _TRIPLE):
        return False
    before = text[text.rfind("\n", 0, at) + 1 : at]
    if before.count('"') % 2 or before.count("'") % 2:
        return False
    bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", before)
    return not any(mark in bare for mark in _REMARKS)


def _is_alike(text: str, at: int, edit: Replaced) -> bool:
    """Tell whether the word can mean the same there: attributes and keywords are named apart."""
    if _is_keyword(text, at, edit):
        return False
    if not _declares(text, edit.start):
        return _is_attribute(text, at) == _is_attribute(text, edit.start)
    return _is_attribute(text, at) or not _is_method(text, edit.start)


def _is_keyword(text: str, at: int, edit: Replaced) -> bool:
    """Tell whether a place names an argument that is handed over."""
    behind = text[at + len(edit.old) : at + len(edit.old) + 2]
    return behind.startswith("=") and behind != "=="


def _is_method(text: str, at: int) -> bool:
    """Tell whether what is declared at a place belongs to a class."""
    start, end = _line(text, at)
    depth = _indent(text[start:end])
    while depth and start:
        start, end = _line(text, start - 1)
        line = text[start:end]
        if line.strip() and _indent(line) < depth:
            return line.lstrip().startswith(("class ", "impl ", "trait ", "interface ", "struct "))
    return False


def _is_attribute(text: str, at: int) -> bool:
    return at > 0 and text[at - 1] == "."


def _declares(text: str, at: int) -> bool:
    return _DECLARES.search(text, text.rfind("\n", 0, at) + 1, at) is not None


def _line(text: str, at: int) -> tuple[int, int]:
    end = text.find("\n", at)
    return text.rfind("\n", 0, at) + 1, len(text) if end < 0 else end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _replace(line: str, places: Sequence[int], edit: Replaced) -> str:
    for at in reversed(places):
        line = line[:at] + edit.new + line[at + len(edit.old) :]
    return line
