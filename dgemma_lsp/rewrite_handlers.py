"""Rewriting in an editor: code actions, a command and a request -> edits to look at first.

Handlers only translate; the way to a text is in `rewriter`. No edit is ever applied unseen: each
carries an annotation that asks for confirmation, and an editor that knows of no such annotations is
offered no actions; a plugin that shows the edits itself asks for them by the request.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from dgemma_lsp import prose, rewriter, wire, writing
from dgemma_lsp.contact import Contact
from dgemma_lsp.errors import DgemmaError, UserError
from dgemma_lsp.ignores import NAME, Ignores
from dgemma_lsp.modes import MODES, Task, Written, refusal
from dgemma_lsp.protocol import (
    REWRITE,
    Document,
    Position,
    Range,
    RewriteParams,
    offset_at,
    path_of,
    position_at,
    read,
)

COMMAND = "dgemma.rewrite"
# The proofreading names itself so, and has corrections of its own.
OWN_SOURCE = "dgemma"
# What needs no more to be said, in the order of the menu.
OFFERED = [
    *["shorten", "expand", "simplify", "formal", "friendly", "grammar", "summarise"],
    *["docstring", "continue"],
]

# A menu must open at once: in longer documents nobody looks for prose in the selection.
LOOKED_AT_CHARS = 100_000

Told = Callable[[int, int], None]


def register(
    ls: LanguageServer, contact: Contact, *, roots: Callable[[], Sequence[Path]]
) -> Callable[[t.CodeActionParams], Iterator[t.CodeAction]]:
    """Add the handlers to a server; returns what yields the code actions."""
    rewriting = _Rewriting(ls, contact, roots)

    @ls.feature(REWRITE)
    async def rewrite(params: Any) -> dict[str, Any]:
        return await rewriting.answer(read(params, RewriteParams))

    @ls.command(COMMAND)
    async def apply(params: Any) -> None:
        await rewriting.apply(read(params, RewriteParams))

    return rewriting.actions


class _Rewriting:
    """One editor's rewriting."""

    def __init__(
        self, ls: LanguageServer, contact: Contact, roots: Callable[[], Sequence[Path]]
    ) -> None:
        self._ls, self._contact, self._roots = ls, contact, roots
        self._ignores = Ignores()

    async def answer(self, params: RewriteParams) -> dict[str, Any]:
        """Return the variants, each as an edit, or what is told instead of one."""
        document = self._ls.workspace.get_text_document(params.text_document.uri)
        with self._progress(params.work_done_token, params.mode) as tell:
            written = await self._write(document, params, tell)
        return {
            "mode": params.mode,
            "told": next((one.told for one in written if one.told), ""),
            "variants": [
                {"edit": self._edit(document, params.mode, one), "left": one.left}
                for one in written
                if one.edits
            ],
        }

    def actions(self, params: t.CodeActionParams) -> Iterator[t.CodeAction]:
        """Yield what may be done with a selection, and with what others say is wrong there."""
        document = self._ls.workspace.get_text_document(params.text_document.uri)
        if not self._previews() or document.version is None or self._left_out(document):
            return
        if _wanted(params.context, t.CodeActionKind.RefactorRewrite):
            yield from self._rewritings(document, params.range)
        if _wanted(params.context, t.CodeActionKind.QuickFix) and not self._refused("fix"):
            for diagnostic in params.context.diagnostics:
                if diagnostic.source != OWN_SOURCE:
                    yield self._fix(document, diagnostic)

    async def apply(self, params: RewriteParams) -> None:
        """Rewrite, and ask the editor to show the edit; the person is told where there is none."""
        document = self._ls.workspace.get_text_document(params.text_document.uri)
        token = await self._new_progress()
        with self._progress(token, params.mode) as tell:
            written = await self._write(document, params, tell)
        best = written[0]
        if not best.edits:
            text = best.told or "the text stays as it is"
            self._ls.window_show_message(
                t.ShowMessageParams(t.MessageType.Info, f"dgemma: {params.mode}: {text}")
            )
            return
        await self._ls.workspace_apply_edit_async(
            t.ApplyWorkspaceEditParams(
                self._edit(document, params.mode, best), label=f"DGemma: {_title(params.mode)}"
            )
        )

    async def _write(
        self, document: TextDocument, params: RewriteParams, tell: Told
    ) -> list[Written]:
        """Return the variants; raises JsonRpcException with the one line that says why not."""
        version = document.version
        try:
            if self._left_out(document):
                raise UserError(f"a {NAME} leaves this file out")
            # In a thread: a long document takes its time to be read, and others wait for an answer.
            way = await asyncio.to_thread(writing.plan, self._task(document, params))
            link = await self._contact.link()
            with self._contact.asking():
                written = await rewriter.write(
                    link,
                    way,
                    variants=params.variants,
                    sampling=wire.Sampling(seed=params.seed),
                    hear=tell,
                )
        except DgemmaError as exc:
            raise JsonRpcException(str(exc), t.LSPErrorCodes.RequestFailed) from exc
        if document.version != version:
            raise JsonRpcException(
                "the document has changed meanwhile; ask again", t.LSPErrorCodes.ContentModified
            )
        return written

    def _task(self, document: TextDocument, params: RewriteParams) -> Task:
        ends = (params.range.start, params.range.end)
        start, end = sorted(offset_at(document, t.Position(p.line, p.character)) for p in ends)
        return Task(
            mode=params.mode,
            text=document.source,
            start=start,
            end=end,
            language=document.language_id or "",
            instruction=params.instruction,
            to=params.to,
            problem=params.problem,
            strength=params.strength,
            length=params.length,
            keep=params.keep,
        )

    def _edit(self, document: TextDocument, mode: str, written: Written) -> t.WorkspaceEdit:
        annotation = t.ChangeAnnotation(
            f"DGemma: {_title(mode)}", needs_confirmation=True, description="by the model"
        )
        edits = [
            t.AnnotatedTextEdit(
                annotation_id="dgemma",
                range=t.Range(position_at(document, one.start), position_at(document, one.end)),
                new_text=one.text,
            )
            for one in written.edits
        ]
        identifier = t.OptionalVersionedTextDocumentIdentifier(document.uri, document.version)
        return t.WorkspaceEdit(
            document_changes=[t.TextDocumentEdit(identifier, edits)],
            change_annotations={"dgemma": annotation},
        )

    # What is offered

    def _previews(self) -> bool:
        """Tell whether the editor asks before it applies an annotated edit."""
        workspace = self._ls.client_capabilities.workspace
        edit = workspace and workspace.workspace_edit
        return bool(edit and edit.document_changes and edit.change_annotation_support)

    def _left_out(self, document: TextDocument) -> bool:
        return self._ignores.leave_out(path_of(document.uri), self._roots())

    def _refused(self, mode: str) -> bool:
        return bool(refusal(mode, self._contact.model))

    def _rewritings(self, document: TextDocument, range: t.Range) -> Iterator[t.CodeAction]:
        """Yield what may be done with a range, which is the same for all that is done in place."""
        possible: dict[str, bool] = {}
        for mode in OFFERED:
            if self._refused(mode) or (range.start == range.end and mode != "docstring"):
                continue
            way = "in_place" if MODES[mode].way == "in_place" else mode
            if way not in possible:
                possible[way] = self._possible(document, range, mode)
            if possible[way]:
                yield self._action(document, range, mode)

    def _possible(self, document: TextDocument, range: t.Range, mode: str) -> bool:
        if MODES[mode].way == "in_place" and len(document.source) > LOOKED_AT_CHARS:
            return bool(prose.kind(document.language_id or ""))
        try:
            writing.plan(self._task(document, _params(document, range, mode)))
        except UserError:
            return False
        return True

    def _action(self, document: TextDocument, range: t.Range, mode: str) -> t.CodeAction:
        arguments = [msgspec.to_builtins(_params(document, range, mode))]
        title = f"DGemma: {_title(mode)}"
        return t.CodeAction(
            title,
            kind=t.CodeActionKind.RefactorRewrite,
            command=t.Command(title, COMMAND, arguments=arguments),
        )

    def _fix(self, document: TextDocument, diagnostic: t.Diagnostic) -> t.CodeAction:
        first, last = diagnostic.range.start.line, diagnostic.range.end.line
        line = document.lines[last].rstrip("\r\n") if last < len(document.lines) else ""
        units = document.position_codec.client_num_units(line)
        params = msgspec.structs.replace(
            _params(document, t.Range(t.Position(first, 0), t.Position(last, units)), "fix"),
            problem=diagnostic.message,
        )
        title = f"DGemma: {_title('fix')}"
        return t.CodeAction(
            title,
            kind=t.CodeActionKind.QuickFix,
            diagnostics=[diagnostic],
            command=t.Command(title, COMMAND, arguments=[msgspec.to_builtins(params)]),
        )

    # How far it is

    async def _new_progress(self) -> str | None:
        """Return the token of a progress that the editor shows; None where it shows none."""
        window = self._ls.client_capabilities.window
        if not (window and window.work_done_progress):
            return None
        token = str(uuid.uuid4())
        await self._ls.work_done_progress.create_async(token)
        return token

    @contextmanager
    def _progress(self, token: int | str | None, mode: str) -> Iterator[Told]:
        """Show how far it is under a token; a person who cancels it there ends the work."""
        if token is None:
            yield lambda done, of: None
            return
        progress, task = self._ls.work_done_progress, asyncio.current_task()
        title = f"DGemma: {_title(mode)}"
        progress.begin(token, t.WorkDoneProgressBegin(title, cancellable=True, percentage=0))
        progress.tokens[token].add_done_callback(
            lambda cancelled: task.cancel() if task and cancelled.cancelled() else None
        )
        try:
            yield lambda done, of: progress.report(
                token, t.WorkDoneProgressReport(percentage=100 * done // of)
            )
        finally:
            progress.end(token, t.WorkDoneProgressEnd())
            progress.tokens.pop(token, None)


def _title(mode: str) -> str:
    return MODES[mode].title if mode in MODES else mode


def _params(document: TextDocument, range: t.Range, mode: str) -> RewriteParams:
    ends = (Position(edge.line, edge.character) for edge in (range.start, range.end))
    return RewriteParams(Document(document.uri), Range(*ends), mode)


def _wanted(context: t.CodeActionContext, kind: str) -> bool:
    """Tell whether an editor that wants only some kinds of actions wants this one."""
    return context.only is None or any(
        kind == one or kind.startswith(f"{one}.") for one in context.only
    )
