"""Next edits as editors ask for them: `textDocument/copilotInlineEdit`, handlers that translate.

The method is the one that Copilot's language server has; plugins that draw its edits, such as
sidekick.nvim, draw these too.
"""

from typing import Any

from lsprotocol import types as t
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from dgemma_lsp import protocol
from dgemma_lsp.follow import Change, smallest
from dgemma_lsp.next_edit import NextEdit
from dgemma_lsp.protocol import offset_at, path_of, position_at
from dgemma_lsp.quiet import Place


def register(server: LanguageServer, next_edit: NextEdit) -> None:
    """Add the handlers to a server that is not listening yet."""

    async def inline_edit(ls: LanguageServer, params: Any) -> dict[str, Any]:
        asked = protocol.read(params, protocol.InlineEdit)
        document = ls.workspace.get_text_document(asked.text_document.uri)
        version = document.version
        if version is None or asked.text_document.version not in (None, version):
            return {"edits": []}
        change = await next_edit.propose(place_of(document, asked.position))
        if change is None or document.version != version:
            return {"edits": []}
        return {"edits": [to_edit(document, change)]}

    async def heard(ls: LanguageServer, params: Any) -> None:
        """Hear what other servers count; here a document's changes tell what became of an edit."""

    async def accepted(ls: LanguageServer, *arguments: Any) -> None:
        """Hear the same of an edit that was made."""

    server.feature(protocol.INLINE_EDIT)(inline_edit)
    server.feature(protocol.DID_SHOW_EDIT)(heard)
    server.feature(protocol.DID_FOCUS)(heard)
    server.command(protocol.EDIT_ACCEPTED)(accepted)


def place_of(document: TextDocument, position: protocol.Position) -> Place:
    """Return the place of a cursor in an open document."""
    text = document.source
    at = offset_at(document, t.Position(position.line, position.character))
    return Place(
        uri=document.uri,
        version=document.version or 0,
        language=document.language_id or "",
        path=path_of(document.uri),
        before=text[:at],
        after=text[at:],
    )


def to_edit(document: TextDocument, change: Change) -> dict[str, Any]:
    """Return the least of a line that makes the change, in the shape that plugins expect."""
    least = smallest(document.source, change)
    edges = {
        name: {"line": edge.line, "character": edge.character}
        for name, edge in (
            ("start", position_at(document, least.start)),
            ("end", position_at(document, least.end)),
        )
    }
    return {
        "text": least.text,
        "textDocument": {"uri": document.uri, "version": document.version},
        "range": edges,
        "command": {"title": "", "command": protocol.EDIT_ACCEPTED, "arguments": [document.uri]},
    }
