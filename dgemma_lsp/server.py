"""The language server: what an editor says -> what others do, and their answers back.

Handlers only translate. What a completion goes through is in `completer`, how the daemon is found
and asked in `contact`, what becomes of suggestions in `recorder`. stdout is the protocol; the log
goes to stderr.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException, PyglsError
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from dgemma_lsp import __version__, inline_edit, menu, protocol, rewrite_handlers
from dgemma_lsp.accepted import Accepted
from dgemma_lsp.completer import Answer, Completer
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.contact import Contact
from dgemma_lsp.diagnostics import Diagnostics
from dgemma_lsp.drafts import Drafted
from dgemma_lsp.errors import DgemmaError
from dgemma_lsp.next_edit import NextEdit
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Offer
from dgemma_lsp.overlay import known_sections, lay_editor_over
from dgemma_lsp.protocol import (
    EditorProtocol,
    EditorWorkspace,
    InlineParams,
    cells_above,
    line_of,
    make_converter,
    offset_at,
    offsets_of,
    path_of,
)
from dgemma_lsp.quiet import Place, Reason, resuming, text_of
from dgemma_lsp.recorder import Recorder
from dgemma_lsp.status import Status

SETTINGS_S = 2.0  # how long an editor may take to tell its settings

log = logging.getLogger(__name__)

Items = list[t.InlineCompletionItem]


def run(config: Config, paths: Paths, problems: Sequence[str] = ()) -> None:
    """Serve one editor on stdin and stdout until it leaves.

    `problems` are those of the configuration file, for the person to see.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    build(config, paths, problems).start_io()


def build(config: Config, paths: Paths, problems: Sequence[str] = ()) -> "Server":
    """Return the server with its handlers, not yet listening."""
    server = Server(config, paths, problems)
    handlers: dict[str, Any] = {
        t.INITIALIZE: initialize,
        t.INITIALIZED: initialized,
        t.SHUTDOWN: shutdown,
        t.WORKSPACE_DID_CHANGE_CONFIGURATION: did_change_configuration,
        t.TEXT_DOCUMENT_DID_OPEN: did_open,
        t.TEXT_DOCUMENT_DID_CHANGE: did_change,
        t.TEXT_DOCUMENT_DID_CLOSE: did_close,
        t.NOTEBOOK_DOCUMENT_DID_CHANGE: cells_did_change,
        t.NOTEBOOK_DOCUMENT_DID_CLOSE: cells_did_close,
        protocol.DID_SHOW: did_show,
        protocol.DID_PARTIALLY_ACCEPT: did_partially_accept,
        protocol.DID_REJECT: did_reject,
        protocol.EXPLAIN: explain,
    }
    for method, handler in handlers.items():
        server.feature(method)(handler)
    # Without the options pygls would not advertise the feature.
    server.feature(t.TEXT_DOCUMENT_INLINE_COMPLETION, t.InlineCompletionOptions())(
        inline_completion
    )
    server.diagnostics.register()
    commands: dict[str, Any] = {
        protocol.ACCEPTED: accepted,
        "dgemma.pause": pause,
        "dgemma.resume": resume,
        "dgemma.restart": restart,
        "dgemma.explain": explain_here,
    }
    for name, command in commands.items():
        server.command(name)(command)
    inline_edit.register(server, server.next_edit)
    rewritings = rewrite_handlers.register(server, server.contact, roots=server.roots)
    kinds = [t.CodeActionKind.QuickFix, t.CodeActionKind.RefactorRewrite]

    @server.feature(t.TEXT_DOCUMENT_CODE_ACTION, t.CodeActionOptions(code_action_kinds=kinds))
    async def code_actions(params: t.CodeActionParams) -> list[t.CodeAction]:
        return [*server.diagnostics.fixes(params), *rewritings(params)]

    return server


class Server(LanguageServer):
    """What the handlers share; one editor, one contact with the daemon."""

    def __init__(self, config: Config, paths: Paths, problems: Sequence[str]) -> None:
        super().__init__(
            "dgemma",
            __version__,
            notebook_document_sync=t.NotebookDocumentSyncOptions(
                [t.NotebookDocumentFilterWithNotebook(notebook="*")]
            ),
            protocol_cls=EditorProtocol,
            converter_factory=make_converter,
        )
        self.config = config
        self.paths = paths
        self.contact = Contact(config, paths, tell=self.tell, on_status=self.show_status)
        self.completer = Completer(config, self.contact, roots=self.roots, on_draft=self.show_draft)
        self.next_edit = NextEdit(config, self.contact, why_off=self.completer.why_off)
        self.recorder = Recorder(OutcomeLog(paths.outcomes), config.editor)
        self.diagnostics = Diagnostics(
            self, self.contact, Accepted(paths.accepted), self.roots, self.tell, config.proofread
        )
        self.newest = Newest()
        self.starting: asyncio.Task[None] | None = None
        self.resume = resuming("")  # what the person resumes completion by
        self.cursors: dict[str, Cursor] = {}  # where it was asked last
        self._base = config
        self._problems = list(problems)
        self._layers: dict[str, object] = {}
        self.unheard = self._problems
        self._told: set[str] = set()

    def roots(self) -> list[Path]:
        """Return the workspace's folders."""
        uris = [*self.workspace.folders] or [self.workspace.root_uri or ""]
        return [path for uri in uris if (path := path_of(uri))]

    def set_options(self, source: str, tree: object) -> None:
        """Go by an editor's options; those of another source stay, the later one above."""
        self._layers[source] = tree
        config, problems = self._base, list(self._problems)
        for name, options in self._layers.items():
            config, more = lay_editor_over(config, options, name, str(self.paths.config_file))
            problems += more
        self.config = self.completer.config = self.next_edit.config = config
        self.recorder.options = config.editor
        self.contact.configure(config)
        self.diagnostics.configure(config.proofread)
        self.unheard = problems

    def tell_problems(self) -> None:
        """Show the user which options could not be taken."""
        for problem in self.unheard:
            self.tell(problem)

    def tell(self, message: str) -> None:
        """Show the user what to act on, once."""
        if message not in self._told:
            self._told.add(message)
            self.window_show_message(
                t.ShowMessageParams(type=t.MessageType.Error, message=f"dgemma: {message}")
            )

    def show_status(self, status: Status) -> None:
        """Show how things are to an editor that asked for it."""
        if self.config.editor.status:
            self.protocol.notify(protocol.STATUS, msgspec.to_builtins(status))

    def show_draft(self, place: Place, drafted: Drafted) -> None:
        """Show what is being written where the editor has asked last."""
        cursor = self.cursors.get(place.uri)
        if cursor is not None and cursor.place is place:
            ends = {
                name: {"line": edge.line, "character": edge.character}
                for name, edge in (("start", cursor.range.start), ("end", cursor.range.end))
            }
            params = {"uri": place.uri, "version": place.version, "range": ends}
            self.protocol.notify(protocol.DRAFT, params | msgspec.to_builtins(drafted))

    def report_server_error(
        self, error: Exception, source: type[PyglsError] | type[JsonRpcException]
    ) -> None:
        """Log what goes wrong in the protocol: the user could not act on it."""
        log.error("%s: %s", source.__name__, error)


class Newest:
    """The one completion under way of each document; a newer one ends it."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Items]] = {}

    async def run(self, uri: str, answer: Coroutine[Any, Any, Items]) -> Items:
        """Return the answer, or no items where `cancel` or a newer call of the document ended it.

        The editor's own cancelling goes through to the answer.
        """
        self.cancel(uri)
        task = self._tasks[uri] = asyncio.create_task(answer)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            if self._tasks.get(uri) is task:
                del self._tasks[uri]
        return [] if task.cancelled() else task.result()

    def cancel(self, uri: str) -> None:
        """End the completion of this document, if there is one."""
        if task := self._tasks.get(uri):
            task.cancel()


class Cursor(NamedTuple):
    """A place, and the range of the document that an item for it replaces."""

    place: Place
    range: t.Range


# -- handlers ------------------------------------------------------------------------------------


async def initialize(ls: Server, params: t.InitializeParams) -> None:
    """Take the editor's options; pygls answers."""
    base = ls.workspace
    ls.protocol._workspace = EditorWorkspace(
        base.root_uri,
        t.TextDocumentSyncKind.Incremental,
        list(base.folders.values()),
        base.position_encoding,
    )
    ls.resume = resuming(params.client_info.name if params.client_info else "")
    ls.contact.resumed_by(ls.resume)
    ls.set_options("initializationOptions", params.initialization_options)
    if not menu.draws_inline(params.capabilities):
        options = t.CompletionOptions(trigger_characters=menu.TRIGGERS)
        ls.feature(t.TEXT_DOCUMENT_COMPLETION, options)(completion)


async def initialized(ls: Server, params: t.InitializedParams) -> None:
    """Ask for the editor's settings and find the daemon, before the first key is typed."""
    # Not awaited here: pygls cannot take back a notification's handler when the editor leaves.
    ls.starting = asyncio.create_task(start(ls))


async def did_change_configuration(ls: Server, params: t.DidChangeConfigurationParams) -> None:
    """Go by the editor's settings as they are now."""
    if tells_settings(ls.client_capabilities):
        await pull_settings(ls)
    else:
        settings = params.settings
        ours = settings.get("dgemma", settings) if isinstance(settings, dict) else settings
        ls.set_options("settings", known_sections(ours))
    ls.tell_problems()


async def shutdown(ls: Server, params: None) -> None:
    """Record what is open still."""
    ls.recorder.close()


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


async def inline_completion(ls: Server, params: InlineParams) -> Items:
    """Answer with what may be shown at the cursor; an empty list where there is nothing."""
    return await ls.newest.run(params.text_document.uri, suggest(ls, params))


async def completion(ls: Server, params: t.CompletionParams) -> t.CompletionList:
    """Answer an editor without inline completion, in time for what else its menu shows."""
    document = ls.workspace.get_text_document(params.text_document.uri)
    items: Items = []
    with suppress(TimeoutError):
        async with asyncio.timeout(ls.config.completion.menu_ms / 1000):
            items = await ls.newest.run(document.uri, suggest(ls, as_inline(document, params)))
    return menu.to_menu(items, document.language_id or "")


async def did_show(ls: Server, params: Any) -> None:
    """Hear which item the editor shows."""
    ls.recorder.shown(protocol.read(params, protocol.OfItem).item.id)


async def did_partially_accept(ls: Server, params: Any) -> None:
    """Hear how much of an item was accepted so far."""
    part = protocol.read(params, protocol.OfPart)
    ls.recorder.partly_accepted(part.item.id, part.item.insert_text, part.accepted_length)


async def did_reject(ls: Server, params: Any) -> None:
    """Hear which item was dismissed on purpose."""
    uri = ls.recorder.rejected(protocol.read(params, protocol.OfItem).item.id)
    if uri is not None:
        ls.completer.rejected(uri)


async def explain(ls: Server, params: Any) -> dict[str, str]:
    """Answer why nothing is shown at a place."""
    here = protocol.read(params, protocol.AtPosition)
    document = ls.workspace.get_text_document(here.text_document.uri)
    reason: Reason = "not-open"
    if document.version is not None:
        position = t.Position(here.position.line, here.position.character)
        cursor = locate(ls, document, t.Range(position, position))
        reason = await ls.completer.explain(cursor.place)
    return {"reason": reason, "text": text_of(reason, ls.resume)}


# -- commands ------------------------------------------------------------------------------------


async def accepted(ls: Server, id: str) -> None:
    """Hear which item was accepted as a whole."""
    ls.recorder.accepted(id)


async def pause(ls: Server) -> None:
    """Give no completions until `resume`."""
    ls.completer.pause()
    ls.contact.pause(True)


async def resume(ls: Server) -> None:
    """Give completions again."""
    ls.contact.pause(False)


async def restart(ls: Server) -> None:
    """Start the daemon, and with it the model, anew; other editors wait for it too."""
    try:
        await ls.contact.restart()
    except DgemmaError as exc:
        ls.tell(str(exc))


async def explain_here(ls: Server, uri: Any, position: Any) -> dict[str, str]:
    """Answer as `explain` does."""
    return await explain(ls, {"textDocument": {"uri": uri}, "position": position})


# -- settings ------------------------------------------------------------------------------------


async def start(ls: Server) -> None:
    """Go by the editor's settings, then make contact with the daemon that they name."""
    if tells_settings(ls.client_capabilities):
        await pull_settings(ls)
    ls.tell_problems()
    ls.contact.begin()
    if registers_settings(ls.client_capabilities):
        registration = t.Registration(
            "dgemma", t.WORKSPACE_DID_CHANGE_CONFIGURATION, {"section": "dgemma"}
        )
        await ls.client_register_capability_async(t.RegistrationParams([registration]))


async def pull_settings(ls: Server) -> None:
    """Ask for the settings; an editor that does not answer keeps nobody waiting."""
    items = [t.ConfigurationItem(section="dgemma")]
    try:
        async with asyncio.timeout(SETTINGS_S):
            answer = await ls.workspace_configuration_async(t.ConfigurationParams(items))
    except (TimeoutError, JsonRpcException) as exc:
        log.warning("the editor tells no settings: %s", exc or "no answer")
        return
    ls.set_options("settings", known_sections(next(iter(answer or []), None)))


def tells_settings(capabilities: t.ClientCapabilities) -> bool:
    """Tell whether the editor can be asked for its settings."""
    return bool(capabilities.workspace and capabilities.workspace.configuration)


def registers_settings(capabilities: t.ClientCapabilities) -> bool:
    """Tell whether the editor wants to be asked to tell of changed settings."""
    change = capabilities.workspace and capabilities.workspace.did_change_configuration
    return bool(change and change.dynamic_registration)


# -- documents -----------------------------------------------------------------------------------


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


# -- what the handlers do ------------------------------------------------------------------------


async def suggest(ls: Server, params: InlineParams) -> Items:
    """Return the items of the completer's answer; none if the document changes meanwhile."""
    began = time.monotonic()
    document = ls.workspace.get_text_document(params.text_document.uri)
    version = document.version
    # A document that the editor never opened has no version; a request that overtook the change it
    # belongs to names another one.
    if version is None or params.version not in (None, version):
        return []
    cursor = where(ls, document, params)
    if cursor is None:
        return []
    ls.cursors[document.uri] = cursor
    answer = await ls.completer.complete(cursor.place)
    if not answer.texts or document.version != version:
        return []
    texts = [cursor.place.selected + text for text in answer.texts]
    ids = ls.recorder.offered(to_offer(cursor.place, texts, answer, began))
    return [to_item(text, cursor.range, id) for text, id in zip(texts, ids, strict=True)]


def as_inline(document: TextDocument, params: t.CompletionParams) -> InlineParams:
    """Return the question of a menu as that for an item in place of the word before the cursor."""
    at = params.position
    word = menu.word_before(document.source[: offset_at(document, at)])
    start = t.Position(at.line, at.character - document.position_codec.client_num_units(word))
    context = t.InlineCompletionContext(
        t.InlineCompletionTriggerKind.Automatic,
        t.SelectedCompletionInfo(t.Range(start, at), word),
    )
    return InlineParams(context, params.text_document, at)


def where(ls: Server, document: TextDocument, params: InlineParams) -> Cursor | None:
    """Return where to complete; None for a selected completion that no item could replace."""
    invoked = params.context.trigger_kind == t.InlineCompletionTriggerKind.Invoked
    chosen = params.context.selected_completion_info
    if chosen is None:
        return locate(ls, document, t.Range(params.position, params.position), invoked=invoked)
    one_line = chosen.range.start.line == chosen.range.end.line
    if not one_line or chosen.range.start.character > chosen.range.end.character:
        return None
    return locate(ls, document, chosen.range, selected=chosen.text, invoked=invoked)


def locate(
    ls: Server,
    document: TextDocument,
    range: t.Range,
    *,
    selected: str = "",
    invoked: bool = False,
) -> Cursor:
    """Return the place where a range of a document would be replaced by what is selected."""
    text = document.source
    start, end = offsets_of(document, range)
    place = Place(
        uri=document.uri,
        version=document.version or 0,
        language=document.language_id or "",
        path=path_of(document.uri),
        before=text[:start] + selected,
        after=text[end:],
        selected=selected,
        begun=text[start:end],
        above="".join(f"{cell.source}\n\n" for cell in cells_above(ls.workspace, document)),
        invoked=invoked,
    )
    return Cursor(place, range)


def to_offer(place: Place, texts: list[str], answer: Answer, began: float) -> Offer:
    """Return what is offered, as it is recorded."""
    return Offer(
        uri=place.uri,
        language=place.language,
        before=place.before.removesuffix(place.selected),
        begun=place.begun,
        after=place.after,
        texts=tuple(texts),
        latency_ms=1000 * (time.monotonic() - began),
        steps=answer.steps,
    )


def to_item(text: str, place: t.Range, id: str) -> t.InlineCompletionItem:
    """Return the item that puts a text in place; an item always says its range."""
    command = t.Command(title="", command=protocol.ACCEPTED, arguments=[id])
    return t.InlineCompletionItem(insert_text=text, range=place, command=command)
