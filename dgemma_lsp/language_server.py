"""What the handlers share: one editor, its documents, its options, and the parts that serve it.

No handler and no message is read here.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException, PyglsError
from pygls.lsp.server import LanguageServer

from dgemma_lsp import __version__, protocol
from dgemma_lsp.accepted import Accepted
from dgemma_lsp.completer import Completer
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.contact import Contact
from dgemma_lsp.diagnostics import Diagnostics
from dgemma_lsp.drafts import Drafted
from dgemma_lsp.next_edit import NextEdit
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.overlay import lay_editor_over
from dgemma_lsp.protocol import EditorProtocol, make_converter, path_of
from dgemma_lsp.quiet import Place, resuming
from dgemma_lsp.recorder import Recorder
from dgemma_lsp.status import Status

log = logging.getLogger(__name__)

Items = list[t.InlineCompletionItem]


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
