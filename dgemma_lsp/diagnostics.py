"""Proofreading in the editor: documents that change -> diagnostics, quick fixes, what is ignored.

Editors that pull diagnostics and can be told that there are more are answered; to others they are
pushed, for what the model finds later or what is ignored from now on would not reach them.
What is wrong is said by `proofreader`, what is left alone kept by `accepted`; here both are spoken
of in the protocol.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from lsprotocol import types as t
from msgspec import Struct
from pygls.lsp.server import LanguageServer

from dgemma_lsp import client, passages, wire
from dgemma_lsp.accepted import Accepted, add_to_project
from dgemma_lsp.config import Proofread
from dgemma_lsp.contact import Contact
from dgemma_lsp.errors import DgemmaError
from dgemma_lsp.ignores import Ignores
from dgemma_lsp.proofreader import Doubt, Finding, Proofreader
from dgemma_lsp.protocol import path_of

PAUSE_S = 0.4  # without a key, before a changed document is read again
TELL_S = 0.5  # between two times that an editor hears of more while the model is being asked
SOURCE = "dgemma"  # who says it, in the editor
MOST_ASKED = 400  # sentences of a document that the model is asked about at a time

IGNORE = "dgemma.proofread.ignore"
ACCEPT = "dgemma.proofread.accept"
LEARN = "dgemma.proofread.learn"
TURN_OFF = "dgemma.proofread.turnOff"

WORDS = {"spelling", "casing", "confused"}  # rules whose fault is a word that may be right

log = logging.getLogger(__name__)


class _Known(Struct):
    """What is known of one document's text."""

    text: str
    version: int | None
    doubts: list[Doubt]


class _Watched:
    """One document: the reading of it that is under way, and the last that is there."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.known: _Known | None = None
        self.read = asyncio.Event()  # the newest text has been read
        self.near = 0
        self.told: list[Finding] | None = None


class Diagnostics:
    """The proofreading of one editor's documents."""

    def __init__(
        self,
        ls: LanguageServer,
        contact: Contact,
        accepted: Accepted,
        roots: Callable[[], list[Path]],
        tell: Callable[[str], None],
        options: Proofread,
    ) -> None:
        self._ls = ls
        self._contact = contact
        self._accepted = accepted
        self._roots = roots
        self._ignores = Ignores()
        self._tell = tell
        self._open: set[str] = set()  # by the names that the editor gives them
        self._watched: dict[str, _Watched] = {}
        self._options = options
        self._proofreader = Proofreader(self._score if options.model else None)

    def register(self) -> None:
        """Offer it to the editor; the code actions of all are offered by `server`."""
        ls = self._ls
        pull = t.DiagnosticOptions(
            inter_file_dependencies=False, workspace_diagnostics=False, identifier="dgemma"
        )

        # Functions, for pygls marks what it is given, and a method bears no mark.
        @ls.feature(t.TEXT_DOCUMENT_DIAGNOSTIC, pull)
        async def _(params: t.DocumentDiagnosticParams) -> t.DocumentDiagnosticReport:
            return await self.pull(params)

        @ls.command(IGNORE)
        async def _(uri: str, sentence: str, fault: str) -> None:
            self._keep(lambda: self._accepted.ignore(uri, sentence, fault))

        @ls.command(ACCEPT)
        async def _(uri: str, word: str) -> None:
            self._keep(lambda: self._accepted.accept(uri, word))

        @ls.command(LEARN)
        async def _(uri: str, word: str) -> None:
            self._keep(lambda: self._learn(uri, word))

        @ls.command(TURN_OFF)
        async def _(rule: str) -> None:
            self._keep(lambda: self._accepted.turn_off(rule))

    def configure(self, options: Proofread) -> None:
        """Go by other options."""
        if options != self._options:
            self._options = options
            self._proofreader = Proofreader(self._score if options.model else None)
            self._again()
            for uri in self._open - self._watched.keys():
                self.changed(uri)

    # -- documents -------------------------------------------------------------------------------

    def changed(self, uri: str, line: int = 0) -> None:
        """Read a document that was opened, or changed at `line`, as soon as no key comes."""
        self._open.add(uri)
        if not self._covers(uri):
            return
        watched = self._watched.setdefault(uri, _Watched())
        watched.near = line
        self._begin(uri, watched, PAUSE_S if watched.known else 0.0)

    def closed(self, uri: str) -> None:
        """Forget a document; nothing is shown in it any more."""
        self._open.discard(uri)
        watched = self._watched.pop(uri, None)
        if watched and watched.task:
            watched.task.cancel()
        if watched and watched.told and not self._refreshes:
            self._publish(uri, None, [])

    def _covers(self, uri: str) -> bool:
        language = self._ls.workspace.get_text_document(uri).language_id or ""
        chosen = language in self._options.languages or "*" in self._options.languages
        wanted = self._options.enabled and chosen and passages.covers(language)
        return wanted and not self._ignores.leave_out(path_of(uri), self._roots())

    def _own_roots(self, uri: str) -> list[Path]:
        """Return the folders of the workspace that hold a document; all of them if none does."""
        path, roots = path_of(uri), self._roots()
        return [root for root in roots if path and path.is_relative_to(root)] or roots

    def _begin(self, uri: str, watched: _Watched, pause_s: float) -> None:
        if watched.task:
            watched.task.cancel()
        watched.read.clear()
        watched.task = asyncio.create_task(self._check(uri, watched, pause_s))

    def _again(self) -> None:
        """Read every document anew: what is accepted has changed."""
        for uri, watched in self._watched.items():
            self._begin(uri, watched, 0.0)

    async def _check(self, uri: str, watched: _Watched, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        document = self._ls.workspace.get_text_document(uri)
        text, version = document.source, document.version
        doubts: list[Doubt] = []
        if self._covers(uri):
            # In a thread: a long document takes a second, and a key must not wait for that.
            own = self._accepted.words(uri, self._own_roots(uri))
            language = document.language_id or ""
            doubts = await asyncio.to_thread(self._proofreader.doubts, text, language, own)
        watched.known = _Known(text, version, doubts)
        watched.read.set()
        self._show(uri, watched)
        starts = passages.line_starts(text)
        near = starts[min(watched.near, len(starts) - 1)]
        last = monotonic()
        try:
            for doubt in self._proofreader.unknown(doubts, near)[:MOST_ASKED]:
                await self._proofreader.ask(doubt)
                if monotonic() - last > TELL_S:
                    self._show(uri, watched)
                    last = monotonic()
        except DgemmaError as exc:
            log.warning("%s is not proofread: %s", uri, exc)
        self._show(uri, watched)

    async def _score(self, message: wire.Score) -> list[float]:
        link = await self._contact.link()
        told = await client.score(link, message)
        self._contact.answered()
        return told

    # -- to the editor ---------------------------------------------------------------------------

    def _findings(self, uri: str, watched: _Watched) -> list[Finding]:
        if watched.known is None:
            return []
        off = {*self._options.rules_off, *self._accepted.rules}
        return [
            one
            for one in self._proofreader.findings(watched.known.doubts, off)
            if not self._accepted.ignores(uri, one.sentence, one.fault)
        ]

    def _show(self, uri: str, watched: _Watched) -> None:
        found = self._findings(uri, watched)
        if found == watched.told or watched.known is None:
            return
        watched.told = found
        if self._refreshes:
            self._ls.workspace_diagnostic_refresh(None)
        else:
            self._publish(uri, watched.known, found)

    def _publish(self, uri: str, known: _Known | None, found: Sequence[Finding]) -> None:
        items = self._diagnostics(known.text, found) if known else []
        version = known.version if known else None
        self._ls.text_document_publish_diagnostics(
            t.PublishDiagnosticsParams(uri=uri, diagnostics=items, version=version)
        )

    @property
    def _refreshes(self) -> bool:
        """Whether the editor pulls, and does so again when it is told to."""
        capabilities = self._ls.client_capabilities
        pulls = capabilities.text_document and capabilities.text_document.diagnostic
        again = capabilities.workspace and capabilities.workspace.diagnostics
        return bool(pulls and again and again.refresh_support)

    async def pull(self, params: t.DocumentDiagnosticParams) -> t.DocumentDiagnosticReport:
        """Answer what is known to be wrong by now; nothing to an editor to which it is pushed."""
        uri = params.text_document.uri
        watched = self._watched.get(uri)
        items: list[t.Diagnostic] = []
        if watched and self._refreshes:
            await watched.read.wait()
            if watched.known:
                found = watched.told = self._findings(uri, watched)
                items = self._diagnostics(watched.known.text, found)
        return t.RelatedFullDocumentDiagnosticReport(items=items)

    def _diagnostics(self, text: str, found: Sequence[Finding]) -> list[t.Diagnostic]:
        starts = passages.line_starts(text)
        return [
            t.Diagnostic(
                range=self._range(text, starts, one),
                message=one.message,
                severity=t.DiagnosticSeverity.Information,
                source=SOURCE,
                code=one.rule,
            )
            for one in found
        ]

    def _range(self, text: str, starts: Sequence[int], one: Finding) -> t.Range:
        return t.Range(*(self._position(text, starts, at) for at in (one.start, one.end)))

    def _position(self, text: str, starts: Sequence[int], place: int) -> t.Position:
        line, column = passages.line_of(starts, place)
        codec = self._ls.workspace.position_codec
        before = text[starts[line] : place]
        return t.Position(line, codec.client_num_units(before) if column else 0)

    # -- quick fixes -----------------------------------------------------------------------------

    def fixes(self, params: t.CodeActionParams) -> list[t.CodeAction]:
        """Answer what can be done about the findings in a range."""
        uri = params.text_document.uri
        watched = self._watched.get(uri)
        document = self._ls.workspace.get_text_document(uri)
        if not watched or not watched.known or watched.known.text != document.source:
            return []
        text = watched.known.text
        starts = passages.line_starts(text)
        actions = []
        for one in self._findings(uri, watched):
            place = self._range(text, starts, one)
            if _meet(place, params.range):
                (diagnostic,) = self._diagnostics(text, [one])
                actions += self._actions(uri, one, diagnostic)
        return actions

    def _actions(self, uri: str, one: Finding, about: t.Diagnostic) -> list[t.CodeAction]:
        edit = t.WorkspaceEdit(changes={uri: [t.TextEdit(about.range, one.text)]})
        change = t.CodeAction(
            title=_change(one),
            kind=t.CodeActionKind.QuickFix,
            diagnostics=[about],
            is_preferred=True,
            edit=edit,
        )
        choices: list[tuple[str, str, list[Any]]] = []
        if one.rule in WORDS:
            choices += [
                (f"Add “{one.fault}” to the project's dictionary", LEARN, [uri, one.fault]),
                (f"Accept “{one.fault}” in this file", ACCEPT, [uri, one.fault]),
            ]
        choices += [
            ("Ignore this here", IGNORE, [uri, one.sentence, one.fault]),
            (f"Never tell of {one.rule}", TURN_OFF, [one.rule]),
        ]
        return [change] + [
            t.CodeAction(
                title=title,
                kind=t.CodeActionKind.QuickFix,
                diagnostics=[about],
                command=t.Command(title=title, command=command, arguments=arguments),
            )
            for title, command, arguments in choices
        ]

    # -- commands --------------------------------------------------------------------------------

    def _learn(self, uri: str, word: str) -> None:
        """Take a word for right in the whole project; without one, in the document."""
        roots = self._own_roots(uri)
        if roots:
            add_to_project(roots[0], word)
        else:
            self._accepted.accept(uri, word)

    def _keep(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as exc:
            self._tell(f"what you accept cannot be kept: {exc}")
        self._again()


def _change(one: Finding) -> str:
    if one.rule == "repeated":
        return "Take the second one away"
    return "Put the space right" if one.rule == "spacing" else f"Change to “{one.text}”"


def _meet(one: t.Range, other: t.Range) -> bool:
    def place(position: t.Position) -> tuple[int, int]:
        return position.line, position.character

    return place(one.start) <= place(other.end) and place(other.start) <= place(one.end)
