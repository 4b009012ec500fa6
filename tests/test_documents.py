import asyncio
from pathlib import Path

import pytest
from lsprotocol import types as t
from scripted_daemon import ScriptedDaemon, Send, answering, silent
from scripted_editor import (
    CONFIG,
    URI,
    completes,
    editor,
    folder,
    recorded,
    texts,
)

from dgemma_lsp import documents, protocol, server, wire
from dgemma_lsp.config import Paths

__all__ = ["folder"]


async def test_edits_behind_a_form_feed_reach_their_line(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder) as one,
    ):
        one.open("import a\n\x0c\ndef f():\n    pass\n")
        one.change("return ", t.Range(t.Position(3, 4), t.Position(3, 8)))
        await one.ask(3, 11)
        assert (await completes(daemon)).prefix == "import a\n\x0c\ndef f():\n    return "


# -- notebooks -----------------------------------------------------------------------------------


NOTEBOOK = "file:///a.ipynb"


async def test_a_cell_is_completed_with_the_cells_above_it_as_they_are_now(folder: Path) -> None:
    cells = [
        t.TextDocumentItem(f"vscode-notebook-cell:/a.ipynb#{name}", "python", 1, text)
        for name, text in (("1", "one = 1"), ("2", "x = "))
    ]
    notebook = t.NotebookDocument(
        NOTEBOOK,
        "jupyter-notebook",
        1,
        [t.NotebookCell(t.NotebookCellKind.Code, cell.uri) for cell in cells],
    )
    capabilities = t.ClientCapabilities(
        notebook_document=t.NotebookDocumentClientCapabilities(
            t.NotebookDocumentSyncClientCapabilities()
        )
    )
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("one + 1")) as daemon,
        editor(folder, capabilities=capabilities) as one,
    ):
        assert one.result.capabilities.notebook_document_sync
        one.client.notebook_document_did_open(t.DidOpenNotebookDocumentParams(notebook, cells))
        [item] = await one.ask(0, 4, uri=cells[1].uri)
        assert item.insert_text == "one + 1"
        assert (await completes(daemon)).prefix == "one = 1\n\nx = "
        whole = t.TextDocumentContentChangeWholeDocument
        edits = [
            t.NotebookDocumentCellContentChanges(
                t.VersionedTextDocumentIdentifier(2, cell.uri), [whole(text)]
            )
            for cell, text in zip(cells, ("two = 2", "x = one + 1"), strict=True)
        ]
        change = t.NotebookDocumentChangeEvent(
            cells=t.NotebookDocumentCellChanges(text_content=edits)
        )
        document = t.VersionedNotebookDocumentIdentifier(2, NOTEBOOK)
        one.client.notebook_document_did_change(t.DidChangeNotebookDocumentParams(document, change))
        await one.ask(0, 4, uri=cells[1].uri, trigger=1)
        assert (await completes(daemon, 2)).prefix == "two = 2\n\nx = "
        assert [end.outcome for end in recorded(folder)] == ["accepted"]
        one.client.notebook_document_did_close(
            t.DidCloseNotebookDocumentParams(
                t.NotebookDocumentIdentifier(NOTEBOOK),
                [t.TextDocumentIdentifier(cell.uri) for cell in cells],
            )
        )
        assert texts(await one.ask(0, 4, uri=cells[1].uri)) == []


async def test_a_closed_document_is_forgotten(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("1")) as daemon,
        editor(folder) as one,
    ):
        for count in (1, 2):
            one.open("x = ")
            assert texts(await one.ask(0, 4)) == ["1"]
            assert len(daemon._of(wire.Complete)) == count
            one.client.text_document_did_close(
                t.DidCloseTextDocumentParams(t.TextDocumentIdentifier(URI))
            )


@pytest.mark.parametrize("event", ["change", "close"])
async def test_an_edit_ends_the_request_that_it_makes_stale(folder: Path, event: str) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", silent) as daemon, editor(folder) as one:
        one.open("x = ")
        stale = one.ask(0, 4)
        asked = await completes(daemon)
        if event == "change":
            one.change("y = ")
        else:
            one.client.text_document_did_close(
                t.DidCloseTextDocumentParams(t.TextDocumentIdentifier(URI))
            )
        assert texts(await stale) == []
        assert await daemon.heard_of(wire.Cancel) == [wire.Cancel(id=asked.id)]


async def test_a_hundred_rapid_edits_are_all_answered_and_the_last_is_right(folder: Path) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await answering(f"({len(message.prefix)})")(message, send)

    async with ScriptedDaemon(folder / "daemon.sock", script), editor(folder) as one:
        one.open("")
        answers = []
        for column in range(100):
            place = t.Position(0, column)
            one.change("é", t.Range(place, place))
            answers.append(one.ask(0, column + 1, id=f"key-{column}"))
        got = [texts(answer) for answer in await asyncio.gather(*answers)]
        assert got[-1] == ["(100)"]
        assert all(shown in ([], [f"({n + 1})"]) for n, shown in enumerate(got))


# -- what other servers find wrong ---------------------------------------------------------------


def said(line: int, message: str, **more: object) -> dict[str, object]:
    return {"line": line, "message": message, **more}


async def test_what_other_servers_find_wrong_near_the_cursor_is_read_if_it_is_to(
    folder: Path,
) -> None:
    options = {"completion": {"diagnostics_chars": 200}}
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("1")) as daemon,
        editor(folder, options=options) as one,
    ):
        one.open("a = f(1)\nb = \nc = d\n")
        diagnostics = [
            said(0, "no f", severity=1, source="mypy"),
            said(2, "no d"),
            said(2, "say it otherwise", severity=3),
            said(0, "a word", severity=1, source="dgemma"),
            said(9, "outside"),
        ]
        told = {"textDocument": {"uri": URI}, "diagnostics": diagnostics}
        one.client.protocol.notify(protocol.DIAGNOSTICS, told)
        await one.ask(1, 4)
        assert (await completes(daemon)).prefix == (
            "# wrong near here\n# no f: a = f(1)\n# no d: c = d\n\n# wörld.py\na = f(1)\nb = "
        )


async def test_problems_of_a_document_that_is_not_open_are_not_kept(folder: Path) -> None:
    ls = server.build(CONFIG, Paths(config_file=folder / "c", runtime=folder, state=folder))
    ls.protocol._workspace = protocol.EditorWorkspace(None)
    (folder / "a.py").write_text("x\n")
    uri = (folder / "a.py").as_uri()
    told = {"textDocument": {"uri": uri}, "diagnostics": [said(0, "wrong")]}
    await documents.diagnosed(ls, told)
    assert ls.completer.problems.near(uri, "x\n", "", 100) == ""
