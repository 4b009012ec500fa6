"""The shipped `dgemma lsp` with the embedded model, spoken to as an editor speaks."""

import pytest
from home import Home
from language_client import (
    PLACES,
    TEXT,
    UNITS,
    ask,
    assert_joins,
    editor,
    first_in_menu,
    first_items,
    offset_of,
    open_document,
    position,
)
from lsprotocol import types

pytestmark = pytest.mark.e2e

INVOKED = types.InlineCompletionTriggerKind.Invoked
URI = "file:///box.py"


@pytest.mark.parametrize("encoding", UNITS)
async def test_a_completion_joins_the_text_around_it_in_every_position_encoding(
    daemon_home: Home, encoding: str
) -> None:
    async with editor(daemon_home, encoding) as client:
        open_document(client, URI, TEXT)
        cursor, items = await first_items(client, URI, TEXT, encoding)
        assert len(items) == 1
        assert_joins(TEXT, cursor, items[0], encoding)


@pytest.mark.parametrize("encoding", UNITS)
async def test_an_editor_without_ghost_text_finds_a_completion_in_its_menu(
    daemon_home: Home, encoding: str
) -> None:
    async with editor(daemon_home, encoding) as client:
        open_document(client, URI, TEXT)
        cursor, [item] = await first_in_menu(client, URI, TEXT, encoding)
        assert isinstance(item.text_edit, types.TextEdit)
        start = offset_of(TEXT, item.text_edit.range.start, encoding)
        assert offset_of(TEXT, item.text_edit.range.end, encoding) == cursor
        word = TEXT[start:cursor]
        assert item.text_edit.new_text.startswith(word) and item.text_edit.new_text != word
        assert str(item.filter_text).startswith(word)


@pytest.mark.parametrize("language", ["rust", "markdown", "klingon", ""])
async def test_any_language_id_gets_completions(daemon_home: Home, language: str) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT, language)
        cursor, items = await first_items(client, URI)
        assert_joins(TEXT, cursor, items[0], "utf-16")


async def test_a_request_sees_the_changes_that_were_sent_before_it(daemon_home: Home) -> None:
    missing = "class Box:\n"
    assert TEXT.startswith(missing)
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT.removeprefix(missing))
        start = types.Position(0, 0)
        client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                text_document=types.VersionedTextDocumentIdentifier(uri=URI, version=2),
                content_changes=[
                    types.TextDocumentContentChangePartial(types.Range(start, start), missing)
                ],
            )
        )
        cursor, items = await first_items(client, URI)
        assert_joins(TEXT, cursor, items[0], "utf-16")


async def test_candidates_on_request_are_different_and_each_joins(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT)
        cursor, items = await first_items(client, URI, trigger=INVOKED)
        assert len({str(item.insert_text) for item in items}) == len(items)
        for item in items:
            assert_joins(TEXT, cursor, item, "utf-16")


async def test_a_document_that_was_never_opened_gets_no_completion(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        assert await ask(client, "file:///never.py", position(TEXT, PLACES[0], "utf-16")) == []
