from typing import Any

import pytest

from dgemma_lsp import wire
from dgemma_lsp.drafts import Drafted, to_drafted, to_final, units
from dgemma_lsp.quiet import Place


def place(marked: str, **values: Any) -> Place:
    before, after = marked.split("¦")
    return Place(
        uri="file:///a", version=1, language="", path=None, before=before, after=after, **values
    )


@pytest.mark.parametrize(
    ("marked", "text", "stable", "expected"),
    [
        pytest.param("x = ¦\n", "foo(1)", 3, Drafted("foo(1)", 3), id="as it is"),
        pytest.param("x = ¦)\n", "foo)", 4, Drafted("foo", 3), id="what follows is left out"),
        pytest.param("x = ¦\n", " \n", 2, Drafted("", 0), id="nothing to see yet"),
        pytest.param("x = ¦\n", "😋é()", 2, Drafted("😋é()", 3), id="in UTF-16 units"),
        pytest.param("x = ¦\r\n", "a\nb", 1, Drafted("a\r\nb", 1), id="the document's line ends"),
        pytest.param("  ¦\n", "  a", 3, Drafted("a", 0), id="changed at its beginning"),
    ],
)
def test_of_a_draft_is_shown_what_a_suggestion_would_show(
    marked: str, text: str, stable: int, expected: Drafted
) -> None:
    draft = wire.Draft(id="1", block=0, step=1, text=text, stable=stable)
    assert to_drafted(draft, place(marked), 12) == expected


def test_what_is_selected_in_a_menu_is_the_beginning_of_a_draft() -> None:
    here = place("x.append¦\n", selected="append", begun="ap")
    draft = wire.Draft(id="1", block=0, step=1, text="(1)", stable=1)
    assert to_drafted(draft, here, 12) == Drafted("append(1)", 7)
    assert to_final(["(2)"], here) == Drafted("append(2)", 9, final=True)
    assert to_final([], here) == Drafted("", 0, final=True)


def test_units_are_those_of_utf_16() -> None:
    assert [units(text) for text in ("", "a", "é", "日", "😋", "\ud83d")] == [0, 1, 1, 1, 2, 1]
