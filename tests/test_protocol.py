import random
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcInvalidParams

from dgemma_lsp.context import split_lines
from dgemma_lsp.protocol import (
    CELL_SCHEME,
    EditorDocument,
    EditorWorkspace,
    Item,
    OfItem,
    OfPart,
    cells_above,
    line_of,
    make_converter,
    offset_at,
    path_of,
    read,
)

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


PIECES = ["", "a", "😋é", "\n", "\r", "\r\n", "\n\n", "b\rc\nd", "\x0c", "end\n"]


@pytest.mark.parametrize("seed", range(40))
def test_a_document_after_many_changes_is_what_the_editor_has(seed: int) -> None:
    chooser = random.Random(seed)
    text = "".join(chooser.choices(PIECES, k=12))
    workspace = EditorWorkspace(None, t.TextDocumentSyncKind.Incremental)
    workspace.put_text_document(t.TextDocumentItem(URI, "python", 1, text))
    document = workspace.get_text_document(URI)
    for _ in range(60):
        lines = list(split_lines(text))
        if not lines or lines[-1].endswith(("\r", "\n")):
            lines.append("")
        edges = sorted(chooser.choices(range(len(lines)), k=2))
        ends = [len(lines[line].rstrip("\r\n")) for line in edges]
        columns = [chooser.randint(0, end) for end in ends]
        if edges[0] == edges[1]:
            columns.sort()
        offsets = [
            len("".join(lines[:line])) + column for line, column in zip(edges, columns, strict=True)
        ]
        units = [
            len(lines[line][:column].encode("utf-16-le")) // 2
            for line, column in zip(edges, columns, strict=True)
        ]
        first, last = (t.Position(*edge) for edge in zip(edges, units, strict=True))
        added = chooser.choice(PIECES)
        document.apply_change(t.TextDocumentContentChangePartial(t.Range(first, last), added))
        text = text[: offsets[0]] + added + text[offsets[1] :]
        assert document.source == text
        assert document.lines == split_lines(text)


def changed(line: int) -> t.TextDocumentContentChangePartial:
    return t.TextDocumentContentChangePartial(t.Range(t.Position(line, 1), t.Position(line, 2)), "")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([], 0),
        ([t.TextDocumentContentChangeWholeDocument("a\nb")], 0),
        ([changed(7)], 7),
        ([changed(7), changed(3)], 3),
    ],
)
def test_the_last_change_says_where_somebody_works(changes: list[Any], line: int) -> None:
    assert line_of(changes) == line


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a%20b/w%C3%B6rld.py", "/a b/wörld.py"),
        ("file:///a b/wörld.py", "/a b/wörld.py"),
        ("untitled:Untitled-1", None),
        ("vscode-notebook-cell:/a%20b.ipynb#W0s", "/a b.ipynb"),
        ("", None),
    ],
)
def test_only_a_file_has_a_path(uri: str, path: str | None) -> None:
    assert path_of(uri) == (Path(path) if path else None)


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


def cell(
    name: str, text: str, language: str = "python", scheme: str = CELL_SCHEME
) -> t.TextDocumentItem:
    return t.TextDocumentItem(f"{scheme}:/a.ipynb#{name}", language, 1, text)


CELLS = [cell("1", "a"), cell("2", "# b", "markdown"), cell("3", "c"), cell("4", "d")]


@pytest.mark.parametrize("synchronised", [True, False])
def test_above_a_cell_are_the_notebook_s_cells_in_its_language(synchronised: bool) -> None:
    workspace = EditorWorkspace(None)
    if synchronised:
        order = [CELLS[3], *CELLS[:3]]
        notebook = t.NotebookDocument(
            "file:///a.ipynb",
            "jupyter",
            1,
            [t.NotebookCell(t.NotebookCellKind.Code, item.uri) for item in order],
        )
        workspace.put_notebook_document(t.DidOpenNotebookDocumentParams(notebook, CELLS))
        expected = ["d", "a"]
    else:
        other = t.TextDocumentItem(f"{CELL_SCHEME}:/b.ipynb#1", "python", 1, "other")
        for item in [other, *CELLS]:
            workspace.put_text_document(item)
        expected = ["a"]
    third = workspace.get_text_document(CELLS[2].uri)
    assert [one.source for one in cells_above(workspace, third)] == expected


def test_nothing_is_above_what_is_no_cell() -> None:
    workspace = EditorWorkspace(None)
    workspace.put_text_document(t.TextDocumentItem("file:///a.py", "python", 1, "a"))
    assert cells_above(workspace, workspace.get_text_document("file:///a.py")) == []


@pytest.mark.parametrize(
    ("said", "draws"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"inlineCompletion": {"dynamicRegistration": True}}, True, id="an object"),
        pytest.param({"inlineCompletion": {}}, True, id="an empty object"),
        pytest.param({"inlineCompletion": None}, True, id="null, as lsp-mode says it"),
    ],
)
def test_an_editor_says_in_either_way_that_it_has_inline_completion(
    said: dict[str, Any], draws: bool
) -> None:
    params = {"processId": None, "rootUri": None, "capabilities": {"textDocument": said}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    read = make_converter().structure(message, t.InitializeRequest)
    assert read.params.capabilities.text_document is not None
    assert (read.params.capabilities.text_document.inline_completion is not None) == draws
