"""What an editor tells of its documents and notebooks, passed to all that follow them."""

from collections.abc import Sequence
from typing import Any

from lsprotocol import types as t

from dgemma_lsp import protocol
from dgemma_lsp.diagnostics import SOURCE
from dgemma_lsp.language_server import Server
from dgemma_lsp.problems import problem
from dgemma_lsp.protocol import line_of, path_of

WARNING = 2  # what is less than one, such as a hint, is left to the person


def register(server: Server) -> None:
    """Add the handlers to a server that is not listening yet."""
    server.feature(t.TEXT_DOCUMENT_DID_OPEN)(did_open)
    server.feature(t.TEXT_DOCUMENT_DID_CHANGE)(did_change)
    server.feature(t.TEXT_DOCUMENT_DID_CLOSE)(did_close)
    server.feature(t.NOTEBOOK_DOCUMENT_DID_CHANGE)(cells_did_change)
    server.feature(t.NOTEBOOK_DOCUMENT_DID_CLOSE)(cells_did_close)
    server.feature(protocol.DIAGNOSTICS)(diagnosed)


async def did_open(ls: Server, params: t.DidOpenTextDocumentParams) -> None:
    """Let other documents' completions know of this one."""
    document = params.text_document
    ls.completer.opened(document.uri, path_of(document.uri), document.text)
    ls.next_edit.history.opened(document.uri, document.text)
    ls.diagnostics.changed(document.uri)


async def did_change(ls: Server, params: t.DidChangeTextDocumentParams) -> None:
    """Look what the change means for what is asked and what is shown."""
    changed(ls, params.text_document.uri, params.content_changes)


async def did_close(ls: Server, params: t.DidCloseTextDocumentParams) -> None:
    """End what is asked and forget what was suggested: nobody will see it."""
    closed(ls, params.text_document.uri)


async def cells_did_change(ls: Server, params: t.DidChangeNotebookDocumentParams) -> None:
    """Do the same for each cell of a notebook that was changed or removed."""
    cells = params.change.cells
    for cell in (cells and cells.text_content) or []:
        changed(ls, cell.document.uri, cell.changes)
    for removed in (cells and cells.structure and cells.structure.did_close) or []:
        closed(ls, removed.uri)


async def cells_did_close(ls: Server, params: t.DidCloseNotebookDocumentParams) -> None:
    """Do the same for all cells of a notebook."""
    for cell in params.cell_text_documents:
        closed(ls, cell.uri)


async def diagnosed(ls: Server, params: Any) -> None:
    """Take note of what other servers find wrong in a document."""
    told = protocol.read(params, protocol.DiagnosticsParams)
    document = ls.workspace.get_text_document(told.text_document.uri)
    if document.version is None:
        return
    lines = document.lines
    found = [
        problem(lines[one.line], one.message)
        for one in told.diagnostics
        if (one.severity or WARNING) <= WARNING and one.source != SOURCE and one.line < len(lines)
    ]
    ls.completer.problems.told(document.uri, [one for one in found if one])


def changed(ls: Server, uri: str, changes: Sequence[t.TextDocumentContentChangeEvent]) -> None:
    """End the question under way: its answer would be stale. See what became of the one shown."""
    text = ls.workspace.get_text_document(uri).source
    ls.completer.changed(uri, path_of(uri), text, line_of(changes))
    ls.next_edit.history.changed(uri, text)
    ls.newest.cancel(uri)
    ls.recorder.changed(uri, text)
    ls.diagnostics.changed(uri, line_of(changes))


def closed(ls: Server, uri: str) -> None:
    """Forget a document."""
    ls.newest.cancel(uri)
    ls.completer.closed(uri)
    ls.next_edit.history.closed(uri)
    ls.cursors.pop(uri, None)
    ls.recorder.closed(uri)
    ls.diagnostics.closed(uri)
