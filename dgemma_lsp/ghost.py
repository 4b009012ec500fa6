"""What may be shown at the cursor: model text -> ghost text. Pure; knows no editor and no language.

The text goes through the functions below in the order of `to_ghost_text`. Each of them only takes
something away, so what is left joins the prefix and the suffix as the model wrote it.

Words: `before` is the cursor's line up to the cursor, `rest` is what follows the cursor on it.
"""

import re
from collections.abc import Iterable

_FENCE = re.compile(r"^[ \t]*```.*$", re.MULTILINE)
_CLOSES = {")": "(", "]": "[", "}": "{"}
_OPENS = frozenset(_CLOSES.values())
_OPENS_BLOCK = (":", "{", "(", "[")
_QUOTES = "\"'`"


def to_ghost_text(text: str, prefix: str, suffix: str, *, max_lines: int) -> str | None:
    r"""Return what may be shown between `prefix` and `suffix`; None where nothing is worth it.

    At most `max_lines` lines. Line ends are `\r\n` where the document's are.
    """
    crlf = "\r\n" in prefix or "\r\n" in suffix
    text, prefix, suffix = (part.replace("\r\n", "\n") for part in (text, prefix, suffix))
    if not _FENCE.search(prefix) and not _FENCE.search(suffix):
        text = strip_fence(text)
    text = trim_indent(text, prefix)
    text = cut_block(text, _before(prefix), max_lines)
    text = join_suffix(text, _before(prefix), suffix)
    if not text.strip() or repeats(text, prefix):
        return None
    return text.replace("\n", "\r\n") if crlf else text


def to_ghost_texts(
    texts: Iterable[str], prefix: str, suffix: str, *, max_lines: int
) -> dict[str, int]:
    """Return the different texts that may be shown, and the number of the first that says each."""
    found: dict[str, int] = {}
    for number, text in enumerate(texts):
        shown = to_ghost_text(text, prefix, suffix, max_lines=max_lines)
        if shown is not None:
            found.setdefault(shown, number)
    return found


def strip_fence(text: str) -> str:
    """Return what stands inside a Markdown fence that the model put around its code."""
    if not (fence := _FENCE.search(text)):
        return text
    if text[: fence.start()].strip():
        return text[: fence.start()]
    inside = text[fence.end() + 1 :]
    closing = _FENCE.search(inside)
    return inside[: closing.start()] if closing else inside


def trim_indent(text: str, prefix: str) -> str:
    """Take away the cursor's own indentation where the text repeats it.

    Below a line that opens a block at the cursor's depth, deeper is what was meant.
    """
    before = _before(prefix)
    if not before or before.strip() or not text.startswith(before):
        return text
    above = _last_line_with_text(prefix)
    if above.endswith(_OPENS_BLOCK) and _width(above) >= _width(before):
        return text
    return text.removeprefix(before)


def cut_block(text: str, before: str, max_lines: int) -> str:
    """Cut before the first line that is indented less than the cursor's line, or after `max_lines`.

    The first line always stays. A cut text keeps its last line end: it must not seem to join the
    suffix there.
    """
    lines = text.split("\n")
    depth = _width(before)
    end = next(
        (
            number
            for number, line in enumerate(lines)
            if number and line.strip() and _width(line) < depth
        ),
        len(lines),
    )
    end = min(end, max_lines)
    return text if end == len(lines) else "\n".join(lines[:end]) + "\n"


def join_suffix(text: str, before: str, suffix: str) -> str:
    """Take away what the suffix says again; with text right of the cursor, keep only what joins it.

    Several lines join the rest of the cursor's line if they end with it, or if they are whole
    lines above it. Otherwise only the first line stays.
    """
    rest = suffix.partition("\n")[0].rstrip()
    if not rest:
        return drop_last_line(drop_overlap(text, before, suffix), before, suffix).rstrip()
    if ends_with_rest := _ends_with(text.rstrip(), rest.lstrip()):
        text = text.rstrip()
    joined = drop_overlap(text, before, suffix)
    if ends_with_rest or "\n" not in joined:
        return joined
    if before.strip():
        return drop_overlap(text.partition("\n")[0].rstrip(), before, suffix)
    whole, _, tail = joined.rpartition("\n")
    return "" if tail.strip() else f"{whole}\n{before}"


def drop_overlap(text: str, before: str, suffix: str) -> str:
    """Cut where the text goes on with the suffix: quotes, closing brackets, then anything."""
    rest = suffix.partition("\n")[0].lstrip()
    met = _drop_closers(_drop_quote(text, before, rest), rest)
    if met != text:
        return met
    for length in range(min(len(text), len(suffix)), 0, -1):
        head, tail = text[:-length], text[-length:]
        if (
            suffix.startswith(tail)
            and not _inside_word(head, tail)
            and not _inside_word(tail, suffix[length:])
            and not _closes_own(head, text)
        ):
            return head
    return text


def drop_last_line(text: str, before: str, suffix: str) -> str:
    """Take away a last line that stands below already, as the next line that is not empty."""
    below = next((line for line in suffix.split("\n")[1:] if line.strip()), "")
    lines = (before + text).rstrip().split("\n")
    if not below or lines[-1] != below.rstrip():
        return text
    head = "" if len(lines) == 1 else "\n".join(lines[:-1]).removeprefix(before)
    return text if _closes_own(head, text) else head


def repeats(text: str, prefix: str) -> bool:
    """Tell whether the text says the line above again, or as a whole what stands before it."""
    before, said, again = _before(prefix), prefix.rstrip(), text.strip()
    if not before.strip() or text.startswith("\n"):
        lines = text.split("\n") if before.strip() else (before + text).split("\n")
        first = next(line for line in lines if line.strip())
        if first.rstrip() == _last_line_with_text(prefix):
            return True
    return any(_is_word(char) for char in again) and _ends_with(said, again)


def _drop_quote(text: str, before: str, rest: str) -> str:
    """Cut at the quote that ends the string around the cursor, if it stands after the cursor."""
    quote = rest[:1]
    if quote and quote in _QUOTES and before.count(quote) % 2:
        return text.partition(quote)[0]
    return text


def _drop_closers(text: str, rest: str) -> str:
    """Cut at the closing brackets, opened before the text, that stand after the cursor already."""
    unmatched = _unmatched_closers(text)
    have = rest[: len(rest) - len(rest.lstrip(")]}"))]
    for count in range(min(len(unmatched), len(have)), 0, -1):
        if have.startswith("".join(text[at] for at in unmatched[-count:])):
            return text[: unmatched[-count]]
    return text


def _unmatched_closers(text: str) -> list[int]:
    opened: list[str] = []
    unmatched = []
    for at, char in enumerate(text):
        if char in _OPENS:
            opened.append(char)
        elif char in _CLOSES:
            if opened and opened[-1] == _CLOSES[char]:
                opened.pop()
            else:
                unmatched.append(at)
    return unmatched


def _closes_own(head: str, text: str) -> bool:
    """Tell whether cutting `text` to `head` would leave open a bracket that the text closes."""
    return _unclosed(head) > _unclosed(text)


def _unclosed(text: str) -> int:
    opened = sum(char in _OPENS for char in text)
    closed = sum(char in _CLOSES for char in text)
    return opened - (closed - len(_unmatched_closers(text)))


def _ends_with(text: str, end: str) -> bool:
    return text.endswith(end) and not _inside_word(text.removesuffix(end), end)


def _inside_word(left: str, right: str) -> bool:
    return bool(left and right) and _is_word(left[-1]) and _is_word(right[0])


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _before(prefix: str) -> str:
    return prefix.rpartition("\n")[2]


def _last_line_with_text(prefix: str) -> str:
    return prefix.rstrip().rpartition("\n")[2]


def _width(line: str) -> int:
    return len(line[: len(line) - len(line.lstrip())].expandtabs())
