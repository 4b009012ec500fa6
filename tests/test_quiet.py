from pathlib import Path
from typing import Any, get_args

import pytest

from dgemma_lsp.config import Editor
from dgemma_lsp.quiet import (
    REMEMBERED,
    TEXTS,
    Facts,
    Place,
    Reason,
    Rejections,
    inside_word,
    resuming,
    text_of,
    why_quiet,
)

OPTIONS = Editor(languages_off=["markdown"], max_file_chars=10)


def place(marked: str, **values: Any) -> Place:
    before, after = marked.split("¦")
    base: dict[str, Any] = {"language": "python", "path": Path("/a.py")}
    return Place(uri="file:///a.py", version=1, before=before, after=after, **(base | values))


@pytest.mark.parametrize(
    ("marked", "facts", "values", "automatic", "invoked"),
    [
        pytest.param("x = ¦", Facts(), {}, None, None, id="nothing against it"),
        pytest.param("x = ¦", Facts(paused=True), {}, "paused", "paused", id="paused"),
        pytest.param("x = ¦", Facts(ignored=True), {}, "ignored", "ignored", id="ignored"),
        pytest.param("x = ¦", Facts(off=True), {}, "file-off", None, id="a glob"),
        pytest.param(
            "x = ¦", Facts(), {"language": "markdown"}, "language-off", None, id="a language"
        ),
        pytest.param("01234¦56789", Facts(), {}, "mid-word", None, id="as large as may be"),
        pytest.param("01234¦56789\n", Facts(), {}, "too-large", None, id="too large"),
        pytest.param("pri¦nt", Facts(), {}, "mid-word", None, id="inside a word"),
        pytest.param("print¦(", Facts(), {}, None, None, id="at the end of a word"),
        pytest.param("x = ¦", Facts(rejected=True), {}, "rejected-here", None, id="dismissed"),
        pytest.param(
            "x¦y", Facts(paused=True, ignored=True, rejected=True), {}, "paused", "paused", id="all"
        ),
    ],
)
def test_the_first_rule_that_holds_is_the_reason(
    marked: str, facts: Facts, values: dict[str, Any], automatic: str | None, invoked: str | None
) -> None:
    assert why_quiet(place(marked, **values), facts, OPTIONS) == automatic
    assert why_quiet(place(marked, invoked=True, **values), facts, OPTIONS) == invoked


@pytest.mark.parametrize(
    ("after", "expected"),
    [("", False), ("a", True), ("_", True), ("1", True), ("é", True), ("日", True)]
    + [(text, False) for text in (" a", "\na", ")", '"', ".a", "😋")],
)
def test_a_word_goes_on_where_a_letter_a_digit_or_an_underscore_follows(
    after: str, expected: bool
) -> None:
    assert inside_word(after) is expected


def test_every_reason_has_a_line_for_a_person() -> None:
    assert set(TEXTS) == set(get_args(Reason))
    assert all(text and "\n" not in text for text in TEXTS.values())


@pytest.mark.parametrize(
    ("editor", "what"),
    [
        ("Neovim", "`:DGemma resume`"),
        ("Visual Studio Code", "`DGemma: Resume Completions`"),
        ("code-server", "`DGemma: Resume Completions`"),
        ("emacs", "the command dgemma.resume"),
        ("", "the command dgemma.resume"),
    ],
)
def test_a_person_is_told_what_resumes_completion_in_their_editor(editor: str, what: str) -> None:
    assert resuming(editor) == what
    assert what in text_of("paused", what)


def test_a_dismissal_is_remembered_by_document_and_text_before_it() -> None:
    rejections = Rejections()
    rejections.add("file:///a", "x = ")
    assert rejections.hold("file:///a", "x = ")
    assert not rejections.hold("file:///a", "x = f")
    assert not rejections.hold("file:///b", "x = ")


def test_an_edit_far_above_does_not_bring_a_dismissed_suggestion_back() -> None:
    rejections = Rejections()
    rejections.add("file:///a", "import a\n" + 300 * "y" + "x = ")
    assert rejections.hold("file:///a", "import a, b\n" + 300 * "y" + "x = ")


def test_so_many_dismissals_are_remembered_and_no_more() -> None:
    rejections = Rejections()
    for number in range(REMEMBERED + 1):
        rejections.add("file:///a", f"{number}")
    assert not rejections.hold("file:///a", "0")
    assert rejections.hold("file:///a", "1")
