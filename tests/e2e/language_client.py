"""A language client that starts the shipped `dgemma lsp`, and position arithmetic of its own."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from home import PATIENCE_S, Home
from lsprotocol import types
from pytest_lsp import LanguageClient, client_capabilities
from pytest_lsp.client import make_test_lsp_client

# codec, and bytes per unit of a position
UNITS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}

CURSOR = "¦"
# Characters of one, two and four UTF-8 bytes stand before each cursor: a column that is counted in
# the wrong unit then misses its place.
MARKED = '''\
class Box:
    """A box: größe, 宽度, 🙂."""

    def __init__(self, width, height):
        "größe 🙂"; self.width = ¦width
        "größe 🙂"; self.height = ¦

    def area(self):
        "größe 🙂"; return self.width * ¦

    def empty(self):
        "größe 🙂"; return self.width == 0 or self.¦
'''
TEXT = MARKED.replace(CURSOR, "")
# Offsets in TEXT: what the model proposes is its own affair, so more than one place is tried.
PLACES = [
    offset - count for count, offset in enumerate(i for i, c in enumerate(MARKED) if c == CURSOR)
]


@asynccontextmanager
async def editor(home: Home, encoding: str = "utf-16") -> AsyncIterator[LanguageClient]:
    """Start the language server in the environment of `home` and open a session with it."""
    client = make_test_lsp_client()
    await client.start_io(home.command, "lsp", env=home.env, cwd=home.folder)
    try:
        capabilities = client_capabilities("neovim")
        assert capabilities.general is not None
        capabilities.general.position_encodings = [types.PositionEncodingKind(encoding)]
        async with asyncio.timeout(PATIENCE_S):
            answer = await client.initialize_session(
                types.InitializeParams(capabilities=capabilities)
            )
        assert answer.capabilities.position_encoding == encoding
        assert answer.capabilities.inline_completion_provider
        yield client
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await client.shutdown_session()
            await client.stop()  # waits for the server's end, so it comes after the shutdown


def open_document(client: LanguageClient, uri: str, text: str, language: str = "python") -> None:
    """Tell the server of version 1 of a document."""
    document = types.TextDocumentItem(uri=uri, language_id=language, version=1, text=text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))


async def ask(
    client: LanguageClient,
    uri: str,
    position: types.Position,
    trigger: types.InlineCompletionTriggerKind = types.InlineCompletionTriggerKind.Automatic,
) -> list[types.InlineCompletionItem]:
    """Ask once; an answer without items is an empty list."""
    params = types.InlineCompletionParams(
        context=types.InlineCompletionContext(trigger_kind=trigger),
        text_document=types.TextDocumentIdentifier(uri=uri),
        position=position,
    )
    async with asyncio.timeout(PATIENCE_S):
        answer = await client.text_document_inline_completion_async(params)
    if isinstance(answer, types.InlineCompletionList):
        return list(answer.items)
    return list(answer or [])


async def first_items(
    client: LanguageClient,
    uri: str,
    text: str = TEXT,
    encoding: str = "utf-16",
    trigger: types.InlineCompletionTriggerKind = types.InlineCompletionTriggerKind.Automatic,
) -> tuple[int, list[types.InlineCompletionItem]]:
    """Ask at one of PLACES after the other until items come; return the offset and the items.

    A server whose model is still being loaded answers with nothing: it is asked again.
    """
    async with asyncio.timeout(PATIENCE_S):
        for place in itertools.cycle(PLACES):
            items = await ask(client, uri, position(text, place, encoding), trigger)
            if items:
                return place, items
            await asyncio.sleep(0.02)
    raise AssertionError("cycle never ends")


async def first_in_menu(
    client: LanguageClient, uri: str, text: str, encoding: str
) -> tuple[int, list[types.CompletionItem]]:
    """Do the same with the completion menu."""
    async with asyncio.timeout(PATIENCE_S):
        for place in itertools.cycle(PLACES):
            params = types.CompletionParams(
                types.TextDocumentIdentifier(uri), position(text, place, encoding)
            )
            answer = await client.text_document_completion_async(params)
            assert isinstance(answer, types.CompletionList)
            if answer.items:
                return place, list(answer.items)
            await asyncio.sleep(0.02)
    raise AssertionError("cycle never ends")


def position(text: str, offset: int, encoding: str) -> types.Position:
    """The position of a character, in the units of an encoding."""
    codec, width = UNITS[encoding]
    before = text[:offset].split("\n")
    return types.Position(len(before) - 1, len(before[-1].encode(codec)) // width)


def offset_of(text: str, position: types.Position, encoding: str) -> int:
    """The inverse of `position`; a position inside a character raises UnicodeDecodeError."""
    codec, width = UNITS[encoding]
    lines = text.split("\n")
    before = lines[position.line].encode(codec)[: position.character * width].decode(codec)
    return sum(len(line) + 1 for line in lines[: position.line]) + len(before)


def assert_joins(text: str, cursor: int, item: types.InlineCompletionItem, encoding: str) -> None:
    """Accepting the item adds text at the cursor and changes nothing before or after it."""
    assert isinstance(item.insert_text, str)
    assert item.range is not None
    assert item.range.start.line == item.range.end.line
    start = offset_of(text, item.range.start, encoding)
    end = offset_of(text, item.range.end, encoding)
    after_accept = text[:start] + item.insert_text + text[end:]
    assert start <= cursor <= end
    assert len(after_accept) > len(text)
    assert after_accept.startswith(text[:cursor])
    assert after_accept.endswith(text[cursor:])
