import pytest
from lsprotocol import types as t

from dgemma_lsp import menu

HERE = t.Range(t.Position(3, 4), t.Position(3, 6))
ACCEPTED = t.Command("", "dgemma.accepted", arguments=["1"])


def item(text: str, language: str = "python") -> t.CompletionItem:
    inline = t.InlineCompletionItem(insert_text=text, range=HERE, command=ACCEPTED)
    [only] = menu.to_menu([inline], language).items
    return only


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", ""),
        ("x", "x"),
        ("a.self_1", "self_1"),
        ("return ", ""),
        ("a\nb", "b"),
        ("x = größe", "größe"),
        ("日本", "日本"),
        ("🙂", ""),
    ],
)
def test_the_word_begun_is_what_a_menu_filters_by(text: str, word: str) -> None:
    assert menu.word_before(text) == word


def test_an_item_replaces_the_word_by_the_whole_text_and_tells_of_it_when_accepted() -> None:
    one = item("width * 2\n    return")
    assert one.text_edit == t.TextEdit(HERE, "width * 2\n    return")
    assert one.command == ACCEPTED
    assert one.insert_text_format == t.InsertTextFormat.PlainText
    assert one.insert_text_mode == t.InsertTextMode.AsIs, "its indentation is right already"
    assert one.preselect


@pytest.mark.parametrize(
    ("text", "label", "filtered"),
    [
        pytest.param("width", "width", "width", id="a word"),
        pytest.param("width * 2", "width * 2", "width * 2", id="a line"),
        pytest.param("width\n    b", "width …", "width", id="two lines"),
        pytest.param("\n    return 1", "return 1", "return 1", id="from the next line on"),
        pytest.param("\n    a\n    b", "a …", "a …", id="two lines from the next on"),
        pytest.param(" = 1", "= 1", " = 1", id="behind a word"),
        pytest.param("x" * 70, "x" * 60 + " …", "x" * 70, id="a long line"),
    ],
)
def test_a_label_is_one_line_and_the_filter_begins_with_the_word_begun(
    text: str, label: str, filtered: str
) -> None:
    one = item(text)
    assert (one.label, one.filter_text) == (label, filtered)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("\n    a\n", "```python\n    a\n```", id="code"),
        pytest.param("```\na\n```", "````python\n```\na\n```\n````", id="a fence"),
    ],
)
def test_the_whole_text_is_shown_beside_the_menu(text: str, shown: str) -> None:
    assert item(text).documentation == t.MarkupContent(t.MarkupKind.Markdown, shown)


def test_an_editor_is_to_ask_again_at_the_next_key() -> None:
    assert menu.to_menu([], "") == t.CompletionList(is_incomplete=True, items=[])
