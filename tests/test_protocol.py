from typing import Any

import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcInvalidParams

from dgemma_lsp.protocol import EditorDocument, Item, OfItem, OfPart, offset_at, read

URI = "file:///a.py"


@pytest.mark.parametrize(
    ("text", "line", "character", "prefix"),
    [
        pytest.param("a\n", 1, 0, "a\n", id="after the last line end"),
        pytest.param("", 0, 0, "", id="in an empty document"),
        pytest.param("ab", 0, 9, "ab", id="beyond the last line's end"),
        pytest.param("ab\ncd", 0, 9, "ab", id="beyond a line's end"),
        pytest.param("ab\ncd", 0, 3, "ab", id="on a line's end"),
        pytest.param("ab\r\ncd", 0, 3, "ab", id="between two characters of a line end"),
        pytest.param("ab\r\ncd", 1, 1, "ab\r\nc", id="behind a line end of two"),
        pytest.param("ab", 7, 0, "ab", id="beyond the document"),
        pytest.param("é", 7, 0, "é", id="beyond a document in other letters"),
        pytest.param("a\x0cb\nc\u2028d\ne", 2, 1, "a\x0cb\nc\u2028d\ne", id="form feeds"),
        pytest.param("😋", 0, 1, "😋", id="inside a pair of surrogates"),
    ],
)
def test_a_position_is_the_offset_that_editors_mean(
    text: str, line: int, character: int, prefix: str
) -> None:
    document = EditorDocument(URI, text, 1)
    assert offset_at(document, t.Position(line, character)) == len(prefix)


ITEM = {
    "insertText": "f",
    "command": {"title": "", "command": "dgemma.accepted", "arguments": ["7"]},
}


def test_an_item_names_its_suggestion_by_its_command() -> None:
    item = read({"item": ITEM | {"range": None}}, OfItem).item
    assert (item.id, item.insert_text) == ("7", "f")
    part = read({"item": ITEM, "acceptedLength": 3}, OfPart)
    assert (part.item, part.accepted_length) == (item, 3)
    assert isinstance(item, Item)


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"item": {"insertText": "f"}},
        {"item": {"command": {"arguments": []}}},
        {"item": {"command": {"arguments": [7]}}},
    ],
)
def test_an_item_without_a_suggestion_is_told_to_be_wrong(params: Any) -> None:
    with pytest.raises(JsonRpcInvalidParams):
        read(params, OfItem)
