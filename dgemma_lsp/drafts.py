"""What of a draft may be shown while it is being written: model text -> ghost text. Pure."""

from msgspec import Struct

from dgemma_lsp import wire
from dgemma_lsp.edits import common_start
from dgemma_lsp.ghost import to_ghost_text
from dgemma_lsp.quiet import Place


class Drafted(Struct, frozen=True):
    """A text that replaces the one before it; the first `stable` UTF-16 units have settled.

    After the `final` one no more comes; with an empty text nothing is to be seen there any more.
    """

    text: str
    stable: int
    final: bool = False


def to_drafted(draft: wire.Draft, place: Place, max_lines: int) -> Drafted:
    """Return what of a draft may be shown at a place, beginning with what is selected there."""
    shown = to_ghost_text(draft.text, place.before, place.after, max_lines=max_lines)
    if shown is None:
        return Drafted("", 0)
    settled = shown[: common_start(shown.replace("\r\n", "\n"), draft.text[: draft.stable])]
    return Drafted(place.selected + shown, units(place.selected + settled))


def to_final(texts: list[str], place: Place) -> Drafted:
    """Return the last word: the first of the texts, or nothing."""
    text = place.selected + texts[0] if texts else ""
    return Drafted(text, units(text), final=True)


def units(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
