"""Completions as editors ask for them, and what they tell of the items: handlers that translate.

What a completion goes through is in `completer`, what becomes of suggestions in `recorder`.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any

from lsprotocol import types as t
from pygls.workspace import TextDocument

from dgemma_lsp import menu, protocol
from dgemma_lsp.completer import Answer
from dgemma_lsp.language_server import Cursor, Items, Server
from dgemma_lsp.outcomes import Offer
from dgemma_lsp.protocol import InlineParams, cells_above, offset_at, offsets_of, path_of
from dgemma_lsp.quiet import Place, Reason, text_of


def register(server: Server) -> None:
    """Add the handlers to a server that is not listening yet."""
    # Without the options pygls would not advertise the feature.
    server.feature(t.TEXT_DOCUMENT_INLINE_COMPLETION, t.InlineCompletionOptions())(
        inline_completion
    )
    server.feature(protocol.DID_SHOW)(did_show)
    server.feature(protocol.DID_PARTIALLY_ACCEPT)(did_partially_accept)
    server.feature(protocol.DID_REJECT)(did_reject)
    server.feature(protocol.EXPLAIN)(explain)
    server.command(protocol.ACCEPTED)(accepted)
    server.command("dgemma.explain")(explain_here)


def register_menu(server: Server) -> None:
    """Offer the completion menu to an editor that has just told that it draws no ghost text."""
    options = t.CompletionOptions(trigger_characters=menu.TRIGGERS)
    server.feature(t.TEXT_DOCUMENT_COMPLETION, options)(completion)


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


async def accepted(ls: Server, id: str) -> None:
    """Hear which item was accepted as a whole."""
    ls.recorder.accepted(id)


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


async def explain_here(ls: Server, uri: Any, position: Any) -> dict[str, str]:
    """Answer as `explain` does."""
    return await explain(ls, {"textDocument": {"uri": uri}, "position": position})


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
