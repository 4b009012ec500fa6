"""What an editor has besides the completions themselves, with the shipped server and the model."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from home import PATIENCE_S, Home
from language_client import (
    PLACES,
    TEXT,
    ask,
    assert_joins,
    editor,
    first_items,
    offset_of,
    open_document,
    position,
)
from lsprotocol import types
from pytest_lsp import LanguageClient

pytestmark = pytest.mark.e2e

INVOKED = types.InlineCompletionTriggerKind.Invoked
URI = "file:///services.py"
LANGUAGE = "of-this"  # so that its figures are this test's


async def run(client: LanguageClient, command: str, *arguments: Any) -> Any:
    params = types.ExecuteCommandParams(command, arguments=list(arguments))
    return await client.workspace_execute_command_async(params)


def put_in(client: LanguageClient, item: types.InlineCompletionItem, version: int) -> str:
    """Do what an editor does when an item is accepted; return the new text."""
    assert item.range and isinstance(item.insert_text, str)
    change = types.TextDocumentContentChangePartial(item.range, item.insert_text)
    document = types.VersionedTextDocumentIdentifier(version, URI)
    client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
    start, end = (offset_of(TEXT, p, "utf-16") for p in (item.range.start, item.range.end))
    return TEXT[:start] + item.insert_text + TEXT[end:]


async def test_an_accepted_suggestion_is_counted_by_dgemma_stats(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT, LANGUAGE)
        _, [item, *_] = await first_items(client, URI, trigger=INVOKED)  # then it is denoised
        put_in(client, item, version=2)
        assert item.command
        await run(client, item.command.command, *(item.command.arguments or []))
    rows = {row["language"]: row for row in json.loads(daemon_home.dgemma("stats", "--json"))}
    assert (rows[LANGUAGE]["shown"], rows[LANGUAGE]["accepted"]) == (1, 1)
    assert rows[LANGUAGE]["ms_p50"] > 0 and rows[LANGUAGE]["steps"] > 0
    shown = daemon_home.dgemma("stats")
    assert LANGUAGE in shown and "1, 100 %" in shown
    written = daemon_home.paths.outcomes.read_text()
    assert str(item.insert_text) not in written, "the log holds code that nobody asked it to hold"


async def explain(client: LanguageClient, offset: int) -> dict[str, str]:
    place = position(TEXT, offset, "utf-16")
    where = {"line": place.line, "character": place.character}
    answer = await run(client, "dgemma.explain", URI, where)
    assert isinstance(answer, dict)
    return answer


async def test_why_nothing_is_shown_is_explained(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT)
        cursor, _ = await first_items(client, URI)
        assert (await explain(client, cursor))["reason"] == "shown"
        inside_word = await explain(client, TEXT.index("width") + 2)
        assert inside_word["reason"] == "mid-word" and inside_word["text"]


async def test_a_pause_lasts_until_it_is_ended(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT)
        cursor, _ = await first_items(client, URI)
        place = position(TEXT, cursor, "utf-16")
        await run(client, "dgemma.pause")
        assert await ask(client, URI, place) == []
        assert (await explain(client, cursor))["reason"] == "paused"
        await run(client, "dgemma.resume")
        assert await ask(client, URI, place) != []


async def test_the_next_use_of_a_new_name_is_offered(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT)
        await first_items(client, URI)  # then the model is there
        start = TEXT.index("width")
        edges = (position(TEXT, at, "utf-16") for at in (start, start + len("width")))
        change = types.TextDocumentContentChangePartial(types.Range(*edges), "breadth")
        document = types.VersionedTextDocumentIdentifier(2, URI)
        client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))
        here = {"line": 3, "character": 0}
        params = {"textDocument": {"uri": URI, "version": 2}, "position": here}
        async with asyncio.timeout(PATIENCE_S):
            answer = await client.protocol.send_request_async(
                "textDocument/copilotInlineEdit", params
            )
    [edit] = answer.edits
    line = TEXT.split("\n")[4]
    column = len(line[: line.rindex("width")].encode("utf-16-le")) // 2
    assert (edit.text, edit.range.start.line, edit.range.start.character) == ("breadth", 4, column)


async def test_a_restart_brings_a_new_model_process(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT)
        await first_items(client, URI)
        before = json.loads(daemon_home.dgemma("status", "--json"))
        await run(client, "dgemma.restart")
        cursor, items = await first_items(client, URI, trigger=INVOKED)
        assert_joins(TEXT, cursor, items[0], "utf-16")
        after = json.loads(daemon_home.dgemma("status", "--json"))
        assert before["pid"] != after["pid"] and before["model_pid"] != after["model_pid"]


async def test_while_a_suggestion_is_shown_the_next_is_prepared(daemon_home: Home) -> None:
    def completed() -> int:
        report = json.loads(daemon_home.dgemma("status", "--json"))
        return int(report["requests"]["completed"]) if report["running"] else 0

    before, asked = completed(), 0
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT)
        for place in itertools.cycle(PLACES[1:]):  # inside a word nothing is asked
            asked += 1
            if await ask(client, URI, position(TEXT, place, "utf-16")):
                break
        async with asyncio.timeout(PATIENCE_S):
            while completed() <= before + asked:
                await asyncio.sleep(0.02)
