"""The language server: LSP requests -> requests to the daemon, answers -> inline completions.

Handlers only translate. What the model reads is decided in `context`, what is shown in `ghost`,
what was suggested already and needs no model in `suggestions`; the daemon is found and asked
through `client`. stdout is the protocol; the log goes to stderr.
"""

import asyncio
import itertools
import logging
import sys
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple

import msgspec
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException, PyglsError
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from dgemma_lsp import __version__, protocol, wire
from dgemma_lsp.client import Completion, Link, Links, complete
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.context import for_model, window
from dgemma_lsp.errors import (
    Busy,
    Cancelled,
    DaemonUnavailable,
    DgemmaError,
    ModelUnavailable,
    Superseded,
    UserError,
)
from dgemma_lsp.ghost import to_ghost_text
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Offer
from dgemma_lsp.protocol import (
    EditorProtocol,
    EditorWorkspace,
    InlineParams,
    make_converter,
    offset_at,
)
from dgemma_lsp.recorder import Recorder
from dgemma_lsp.suggestions import Suggestions

# The daemon keeps the deadline; this is for one that hangs and keeps nothing.
DEADLINE_GRACE_S = 1.0

log = logging.getLogger(__name__)

Items = list[t.InlineCompletionItem]


def run(config: Config, paths: Paths) -> None:
    """Serve one editor on stdin and stdout until it leaves."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    build(config, paths).start_io()


def build(config: Config, paths: Paths) -> "Server":
    """Return the server with its handlers, not yet listening."""
    server = Server(config, paths)
    server.feature(t.INITIALIZE)(initialize)
    server.feature(t.INITIALIZED)(initialized)
    server.feature(t.TEXT_DOCUMENT_DID_CHANGE)(did_change)
    server.feature(t.TEXT_DOCUMENT_DID_CLOSE)(did_close)
    # Without the options pygls would not advertise the feature.
    server.feature(t.TEXT_DOCUMENT_INLINE_COMPLETION, t.InlineCompletionOptions())(
        inline_completion
    )
    server.feature(t.SHUTDOWN)(shutdown)
    server.feature(protocol.DID_SHOW)(did_show)
    server.feature(protocol.DID_PARTIALLY_ACCEPT)(did_partially_accept)
    server.feature(protocol.DID_REJECT)(did_reject)
    server.command(protocol.ACCEPTED)(accepted)
    return server


class Server(LanguageServer):
    """What the handlers share; one editor, one link to the daemon."""

    def __init__(self, config: Config, paths: Paths) -> None:
        super().__init__(
            "dgemma", __version__, protocol_cls=EditorProtocol, converter_factory=make_converter
        )
        self.config = config
        self.paths = paths
        self.links = Links(config, paths, self.tell_failure)
        self.newest = Newest()
        self.suggestions = Suggestions()
        self.recorder = Recorder(OutcomeLog(paths.outcomes), config.editor)
        self.ids = map(str, itertools.count(1))
        self.refused_options: UserError | None = None
        self.first_contact: asyncio.Task[None] | None = None
        self._told: set[str] = set()

    def tell(self, message: str) -> None:
        """Show the user what to act on, once."""
        if message not in self._told:
            self._told.add(message)
            self.window_show_message(
                t.ShowMessageParams(type=t.MessageType.Error, message=f"dgemma: {message}")
            )

    def tell_failure(self, error: DgemmaError, in_a_row: int) -> None:
        """Tell that there is no daemon to ask, at the first of several attempts."""
        log.error("no link to the daemon: %s", error)
        if in_a_row == 1:
            self.tell(str(error))

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
    """Where text goes: `range` of the document is replaced by `typed` and what the model adds.

    The document has `begun` there.
    """

    range: t.Range
    typed: str
    begun: str
    before: str
    after: str


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
    try:
        ls.config = lay_over(ls.config, params.initialization_options, ls.paths)
    except UserError as exc:
        ls.refused_options = exc
    ls.links = Links(ls.config, ls.paths, ls.tell_failure)
    ls.recorder.options = ls.config.editor


async def initialized(ls: Server, params: t.InitializedParams) -> None:
    """Find the daemon, or start it, before the first key is typed."""
    if ls.refused_options is not None:
        ls.tell(str(ls.refused_options))
    # Not awaited here: pygls cannot take back a notification's handler when the editor leaves.
    ls.first_contact = asyncio.create_task(contact(ls))


async def did_change(ls: Server, params: t.DidChangeTextDocumentParams) -> None:
    """End the completion under way: it would be stale. See what became of the one shown."""
    uri = params.text_document.uri
    ls.newest.cancel(uri)
    ls.recorder.changed(uri, ls.workspace.get_text_document(uri).source)


async def did_close(ls: Server, params: t.DidCloseTextDocumentParams) -> None:
    """End the completion under way and forget what was suggested: nobody will see it."""
    ls.newest.cancel(params.text_document.uri)
    ls.suggestions.forget(params.text_document.uri)
    ls.recorder.closed(params.text_document.uri)


async def shutdown(ls: Server, params: None) -> None:
    """Record what is open still."""
    ls.recorder.close()


async def inline_completion(ls: Server, params: InlineParams) -> Items:
    """Answer with what may be shown at the cursor; an empty list where there is nothing."""
    uri = params.text_document.uri
    return await ls.newest.run(uri, suggest(ls, params))


async def did_show(ls: Server, params: Any) -> None:
    """Hear which item the editor shows."""
    ls.recorder.shown(protocol.read(params, protocol.OfItem).item.id)


async def did_partially_accept(ls: Server, params: Any) -> None:
    """Hear how much of an item was accepted so far."""
    part = protocol.read(params, protocol.OfPart)
    ls.recorder.partly_accepted(part.item.id, part.item.insert_text, part.accepted_length)


async def did_reject(ls: Server, params: Any) -> None:
    """Hear which item was dismissed on purpose."""
    ls.recorder.rejected(protocol.read(params, protocol.OfItem).item.id)


async def accepted(ls: Server, id: str) -> None:
    """Hear which item was accepted as a whole."""
    ls.recorder.accepted(id)


# -- what the handlers do -------------------------------------------------------------------------


async def contact(ls: Server) -> None:
    """Make the first link and tell the user where it leads elsewhere than configured."""
    try:
        link = await ls.links.get()
    except DgemmaError:
        return  # told by `tell_failure`
    if link.welcome.model != ls.config.model.name:
        ls.tell(
            f"the running daemon serves the model {link.welcome.model}, not "
            f"{ls.config.model.name}; run `dgemma stop` to have it started anew"
        )


async def suggest(ls: Server, params: InlineParams) -> Items:
    """Return the rest of what is being typed through, or what the daemon answers.

    No items if the document changes meanwhile or the daemon has no answer. Who asks for more than
    what is suggested by itself always gets the model's answer.
    """
    began = time.monotonic()
    document = ls.workspace.get_text_document(params.text_document.uri)
    version = document.version
    # A document that the editor never opened has no version; a request that overtook the change it
    # belongs to names another one.
    if version is None or params.version not in (None, version):
        return []
    cursor = locate(document, params)
    if cursor is None:
        return []
    known = ls.suggestions.find(document.uri, cursor.before, cursor.after)
    if known.rests and not is_invoked(params):
        return offer(ls, document, cursor, known.rests, began, steps=0)
    message = make_request(
        next(ls.ids), document, cursor, params, ls.config, previous=known.previous
    )
    completion = await ask(ls, message)
    if completion is None or document.version != version:
        return []
    texts = worth_showing(completion, cursor, ls.config)
    ls.suggestions.keep(document.uri, cursor.before, cursor.after, texts)
    return offer(ls, document, cursor, texts, began, steps=completion.steps)


def offer(
    ls: Server,
    document: TextDocument,
    cursor: Cursor,
    texts: list[str],
    began: float,
    *,
    steps: int,
) -> Items:
    """Return the items that offer these texts, and remember that they were offered."""
    if not texts:
        return []
    inserts = [cursor.typed + text for text in texts]
    ids = ls.recorder.offered(
        Offer(
            uri=document.uri,
            language=document.language_id or "",
            before=cursor.before.removesuffix(cursor.typed),
            begun=cursor.begun,
            after=cursor.after,
            texts=tuple(inserts),
            latency_ms=1000 * (time.monotonic() - began),
            steps=steps,
        )
    )
    return [to_item(text, cursor.range, id) for text, id in zip(inserts, ids, strict=True)]


async def ask(ls: Server, message: wire.Complete) -> Completion | None:
    """Return the daemon's answer, or None without one; tells the user what only they can mend."""
    deadline_s = ls.config.completion.deadline_ms / 1000
    try:
        async with asyncio.timeout(deadline_s):
            link: Link = await ls.links.get()
        async with asyncio.timeout(deadline_s + DEADLINE_GRACE_S):
            return await complete(link, message)
    except (Superseded, Cancelled, Busy, TimeoutError) as exc:
        log.info("completion %s: %r", message.id, exc)
    except ModelUnavailable as exc:
        ls.tell(f"{exc}; `dgemma doctor` tells more")
    except DaemonUnavailable as exc:
        log.warning("completion %s: %s", message.id, exc)
    except DgemmaError as exc:
        log.error("completion %s failed (%s): %s", message.id, exc.code, exc)
    return None


def locate(document: TextDocument, params: InlineParams) -> Cursor | None:
    """Return where to complete; None for a selected completion that no item could replace."""
    here = t.Range(params.position, params.position)
    chosen = params.context.selected_completion_info
    place, typed = (chosen.range, chosen.text) if chosen else (here, "")
    start, end = (offset_at(document, edge) for edge in (place.start, place.end))
    if place.start.line != place.end.line or start > end:
        return None
    text = document.source
    return Cursor(
        range=place,
        typed=typed,
        begun=text[start:end],
        before=text[:start] + typed,
        after=text[end:],
    )


def is_invoked(params: InlineParams) -> bool:
    """Tell whether a person asked, not the editor by itself."""
    return params.context.trigger_kind == t.InlineCompletionTriggerKind.Invoked


def make_request(
    id: str,
    document: TextDocument,
    cursor: Cursor,
    params: InlineParams,
    config: Config,
    *,
    previous: str,
) -> wire.Complete:
    """Return what to ask the daemon; automatic requests ask for one candidate."""
    options = config.completion
    invoked = is_invoked(params)
    prefix, suffix = window(
        cursor.before + cursor.after,
        len(cursor.before),
        prefix_chars=options.prefix_chars,
        suffix_chars=options.suffix_chars,
    )
    return wire.Complete(
        id=id,
        document=document.uri,
        version=document.version or 0,
        prefix=for_model(prefix),
        suffix=for_model(suffix),
        language=document.language_id or "",
        trigger="invoked" if invoked else "automatic",
        candidates=options.candidates if invoked else 1,
        previous=for_model(previous),
        max_lines=options.max_lines,
        deadline_ms=options.deadline_ms,
        sampling=wire.Sampling(max_steps=options.steps or None),
    )


def worth_showing(completion: Completion, cursor: Cursor, config: Config) -> list[str]:
    """Return the candidates that may be shown, each once."""
    shown = (
        to_ghost_text(text, cursor.before, cursor.after, max_lines=config.completion.max_lines)
        for text in completion.sure(config.completion.min_confidence)
    )
    return list(dict.fromkeys(text for text in shown if text is not None))


def to_item(text: str, place: t.Range, id: str) -> t.InlineCompletionItem:
    """Return the item that puts a text in place; an item always says its range."""
    command = t.Command(title="", command=protocol.ACCEPTED, arguments=[id])
    return t.InlineCompletionItem(insert_text=text, range=place, command=command)


def lay_over(config: Config, options: object, paths: Paths) -> Config:
    """Lay the editor's initializationOptions over the configuration.

    They are an object with the keys of the configuration file. Raises UserError for anything else,
    and for what the daemon alone reads: it may serve other editors as well.
    """
    if options is None:
        return config
    if not isinstance(options, dict):
        raise UserError(f"initializationOptions must be an object, not {options!r}; it is ignored")
    tree = msgspec.to_builtins(config)
    for section, values in options.items():
        both = isinstance(values, dict) and isinstance(tree.get(section), dict)
        tree[section] = tree[section] | values if both else values
    try:
        laid = msgspec.convert(tree, Config)
    except msgspec.ValidationError as exc:
        raise UserError(f"initializationOptions: {exc}; all of them are ignored") from exc
    ours = msgspec.structs.replace(
        config,
        completion=laid.completion,
        editor=laid.editor,
        model=msgspec.structs.replace(config.model, name=laid.model.name),
    )
    if laid != ours:
        raise UserError(
            "initializationOptions: an editor sets completion, editor and model.name only; all of "
            f"them are ignored; put what is for the daemon into {paths.config_file}"
        )
    return laid
