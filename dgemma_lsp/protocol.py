"""The protocol as editors speak it: what pygls leaves out, and this server's own messages.

No handler and no policy: `server` has the one, others the other.
"""

from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, TypeVar

import attrs
import msgspec
from cattrs import Converter
from lsprotocol import types as t
from msgspec import Meta, Struct
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.protocol import LanguageServerProtocol, default_converter
from pygls.uris import urlparse
from pygls.workspace import TextDocument, Workspace

from dgemma_lsp.context import split_lines

DID_SHOW = "textDocument/didShowCompletion"
DID_PARTIALLY_ACCEPT = "textDocument/didPartiallyAcceptCompletion"
DID_REJECT = "dgemma/didRejectCompletion"

INLINE_EDIT = "textDocument/copilotInlineEdit"
DID_SHOW_EDIT = "textDocument/didShowInlineEdit"
DID_FOCUS = "textDocument/didFocus"

EXPLAIN = "dgemma/explain"
STATUS = "dgemma/status"
DRAFT = "dgemma/draft"
REWRITE = "dgemma/rewrite"
DIAGNOSTICS = "dgemma/diagnostics"

CELL_SCHEME = "vscode-notebook-cell"

ACCEPTED = "dgemma.accepted"
EDIT_ACCEPTED = "dgemma.editAccepted"

Params = TypeVar("Params")


# -- this server's own messages ------------------------------------------------------------------


class Item(Struct, frozen=True, rename="camel"):
    """An item of an answer, as an editor sends it back; `command` names the suggestion."""

    command: "ItemCommand"
    insert_text: str = ""

    @property
    def id(self) -> str:
        """The suggestion's id."""
        return self.command.arguments[0]


class ItemCommand(Struct, frozen=True):
    """The command that an editor runs when it has inserted an item."""

    arguments: tuple[str]


class OfItem(Struct, frozen=True):
    """The parameters of `DID_SHOW` and `DID_REJECT`."""

    item: Item


class OfPart(Struct, frozen=True, rename="camel"):
    """The parameters of `DID_PARTIALLY_ACCEPT`; the length counts UTF-16 units from the start."""

    item: Item
    accepted_length: int


class Document(Struct, frozen=True):
    """A document by its name."""

    uri: str


class Position(Struct, frozen=True):
    """A position in the editor's units."""

    line: Annotated[int, Meta(ge=0)]
    character: Annotated[int, Meta(ge=0)]


class AtPosition(Struct, frozen=True, rename="camel"):
    """The parameters of `EXPLAIN`."""

    text_document: Document
    position: Position


class DocumentVersion(Struct, frozen=True):
    """A document by its name, and the version that is meant."""

    uri: str
    version: int | None = None


class InlineEdit(Struct, frozen=True, rename="camel"):
    """The parameters of `INLINE_EDIT`."""

    text_document: DocumentVersion
    position: Position


class Range(Struct, frozen=True):
    """A range in the editor's units."""

    start: Position
    end: Position


class Diagnosed(Struct, frozen=True):
    """What a server says of a line; of severities 1 is an error, 2 a warning, above is less."""

    line: Annotated[int, Meta(ge=0)]
    message: str
    severity: int | None = None
    source: str | None = None


class DiagnosticsParams(Struct, frozen=True, rename="camel"):
    """The parameters of `DIAGNOSTICS`: all that is said of a document now."""

    text_document: Document
    diagnostics: tuple[Diagnosed, ...]


class RewriteParams(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The parameters of `REWRITE`; of what a mode does not need nothing has to be said."""

    text_document: Document
    range: Range
    mode: str
    instruction: str = ""
    to: str = ""
    problem: str = ""
    keep: tuple[str, ...] = ()
    strength: Annotated[float, Meta(ge=0, le=1)] | None = None
    length: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    variants: Annotated[int, Meta(ge=1, le=16)] = 1
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    work_done_token: int | str | None = None


@attrs.define
class _Notification:
    """A message of our own: its parameters are read by its handler, with `read`."""

    method: str
    params: Any
    jsonrpc: str


@attrs.define
class _Request:
    """The same with an answer."""

    id: int | str
    method: str
    params: Any
    jsonrpc: str


_OWN: dict[str, type] = {
    DID_SHOW: _Notification,
    DID_PARTIALLY_ACCEPT: _Notification,
    DID_REJECT: _Notification,
    DID_SHOW_EDIT: _Notification,
    DID_FOCUS: _Notification,
    DIAGNOSTICS: _Notification,
    EXPLAIN: _Request,
    INLINE_EDIT: _Request,
    REWRITE: _Request,
}


def read(params: Any, kind: type[Params]) -> Params:
    """Return the parameters of a message in their type; raises JsonRpcInvalidParams."""
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError as exc:
        raise JsonRpcInvalidParams(str(exc)) from exc


# -- what pygls leaves out -----------------------------------------------------------------------


class EditorDocument(TextDocument):
    """A document whose lines end where the editor ends them, not where `str.splitlines` does.

    They are kept between keys: to read all of a long file again takes longer than an answer may.
    """

    _lines: tuple[str, ...] = ()
    _lines_of = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines with their ends."""
        if (text := self.source) is not self._lines_of:
            self._lines, self._lines_of = split_lines(text), text
        return self._lines

    def _apply_incremental_change(self, change: t.TextDocumentContentChangePartial) -> None:
        """Take a change in; only the lines around it are read again.

        A line more on both sides, because what comes may join with half of a line end there.
        """
        lines, text = self.lines, self.source
        start, end = offsets_of(self, change.range)
        first = max(0, min(change.range.start.line, len(lines)) - 1)
        last = min(change.range.end.line + 2, len(lines))
        region_start = sum(map(len, lines[:first]))
        region_end = region_start + sum(map(len, lines[first:last]))
        changed = text[region_start:start] + change.text + text[end:region_end]
        self._source = self._lines_of = text[:start] + change.text + text[end:]
        self._lines = lines[:first] + split_lines(changed) + lines[last:]


class EditorWorkspace(Workspace):
    """The editor's open documents."""

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> TextDocument:
        return EditorDocument(
            doc_uri,
            source=source,
            version=version,
            language_id=language_id,
            position_codec=self.position_codec,
        )


class EditorProtocol(LanguageServerProtocol):
    """The protocol, in which a request that cannot be read is answered too."""

    @cache  # noqa: B019  a process has one protocol
    def get_message_type(self, method: str) -> Any:
        """Return the type of a message by its method."""
        return _OWN.get(method) or super().get_message_type(method)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Return the message in its type; raises JsonRpcException once the editor was told."""
        try:
            return super().structure_message(data)
        except JsonRpcException as exc:
            if "id" in data and "method" in data:
                self._send_response(data["id"], error=exc.to_response_error())
            raise


@attrs.define
class InlineParams(t.InlineCompletionParams):
    """With the document's version, which some editors send although the protocol has none."""

    version: int | None = attrs.field(default=None, kw_only=True)


def make_converter() -> Converter:
    """Return pygls' converter that also keeps the version, and takes the trigger kind of drafts.

    Drafts of the protocol counted Invoked as 0.
    """
    converter: Converter = default_converter()  # type: ignore[no-untyped-call]
    plain = converter.get_structure_hook(t.InlineCompletionParams)

    def structure(raw: dict[str, Any], _: type) -> InlineParams:
        context = raw["context"]
        if context.get("triggerKind") == 0:
            context = context | {"triggerKind": t.InlineCompletionTriggerKind.Invoked.value}
        params = plain(raw | {"context": context}, t.InlineCompletionParams)
        return InlineParams(
            params.context,
            params.text_document,
            params.position,
            params.work_done_token,
            version=raw["textDocument"].get("version"),
        )

    converter.register_structure_hook(t.InlineCompletionParams, structure)
    _take_null_for_a_capability(converter)
    return converter


def _take_null_for_a_capability(converter: Converter) -> None:
    """Let an editor say that it has inline completion by null, as lsp-mode does."""
    plain = converter.get_structure_hook(t.TextDocumentClientCapabilities)

    def structure(raw: dict[str, Any], _: type) -> t.TextDocumentClientCapabilities:
        if "inlineCompletion" in raw and raw["inlineCompletion"] is None:
            raw = raw | {"inlineCompletion": {}}
        capabilities: t.TextDocumentClientCapabilities = plain(raw, None)
        return capabilities

    converter.register_structure_hook(t.TextDocumentClientCapabilities, structure)


def offset_at(document: TextDocument, position: t.Position) -> int:
    """Return the position as an index into the document's text.

    A position outside the document counts as the end of its line or of the document. The codec is
    given the one line with a line end, without which it would take the last character away.
    """
    lines = document.lines
    if position.line >= len(lines):
        return len(document.source)
    line = lines[position.line].rstrip("\r\n")
    column = document.position_codec.position_from_client_units(
        [line + "\n"], t.Position(0, position.character)
    ).character
    return sum(map(len, lines[: position.line])) + min(column, len(line))


def offsets_of(document: TextDocument, range: t.Range) -> tuple[int, int]:
    """Return start and end of the range as indices into the document's text."""
    start = offset_at(document, range.start)
    # A cursor is looked for once.
    return start, start if range.end == range.start else offset_at(document, range.end)


def position_at(document: TextDocument, offset: int) -> t.Position:
    """Return an index into the document's text as a position; the inverse of `offset_at`."""
    before = 0
    lines = document.lines
    for number, line in enumerate(lines):
        is_last = number + 1 == len(lines)
        if offset < before + len(line) or (is_last and not line.endswith(("\n", "\r"))):
            units = document.position_codec.client_num_units(line[: offset - before])
            return t.Position(number, units)
        before += len(line)
    return t.Position(len(lines), 0)


def path_of(uri: str) -> Path | None:
    """Return the file that a uri names or that its cell is of; None for what lies in no file."""
    scheme, _, name, *_ = urlparse(uri)
    return Path(name) if scheme in ("file", CELL_SCHEME) and name else None


def cells_above(workspace: Workspace, cell: TextDocument) -> list[TextDocument]:
    """Return the cells in the same language above this one; none where it is no notebook's."""
    if (notebook := workspace.get_notebook_document(cell_uri=cell.uri)) is not None:
        cells = [workspace.get_text_document(one.document) for one in notebook.cells]
    elif cell.uri.startswith(f"{CELL_SCHEME}:"):
        # Told one by one, cells come in their order at first.
        cells = [
            one
            for one in workspace.text_documents.values()
            if one.uri.partition("#")[0] == cell.uri.partition("#")[0]
        ]
    else:
        return []
    above = takewhile(lambda one: one.uri != cell.uri, cells)
    return [one for one in above if one.language_id == cell.language_id]


def line_of(changes: Sequence[t.TextDocumentContentChangeEvent]) -> int:
    """Return the line of the last change; 0 where that is the whole document."""
    last = changes[-1] if changes else None
    return last.range.start.line if isinstance(last, t.TextDocumentContentChangePartial) else 0
