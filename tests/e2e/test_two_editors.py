"""Two editors at once: one daemon serves both, and neither takes the other's turn."""

import asyncio
import json

import pytest
from home import Home
from language_client import PLACES, TEXT, ask, assert_joins, editor, first_items, open_document
from language_client import position as to_position
from lsprotocol.types import InlineCompletionTriggerKind

pytestmark = pytest.mark.e2e

URI = "file:///one.py"
OTHER = "file:///other.py"
# What is asked for is asked of the model, also where something was suggested already.
INVOKED = InlineCompletionTriggerKind.Invoked


def daemon_pid(home: Home) -> int:
    report = json.loads(home.dgemma("status", "--json"))
    assert report["running"]
    return int(report["pid"])


async def test_editors_that_start_together_share_one_daemon(daemon_home: Home) -> None:
    async with editor(daemon_home) as first, editor(daemon_home) as second:
        open_document(first, URI, TEXT)
        open_document(second, OTHER, TEXT)
        answers = await asyncio.gather(first_items(first, URI), first_items(second, OTHER))
        for cursor, items in answers:
            assert_joins(TEXT, cursor, items[0], "utf-16")
        daemons = [
            process.pid for process in daemon_home.processes() if "daemon" in process.cmdline()
        ]
        assert daemons == [daemon_pid(daemon_home)]


async def test_a_newer_request_supersedes_the_older_of_its_document_only(
    daemon_home: Home,
) -> None:
    async with editor(daemon_home) as first, editor(daemon_home) as second:
        open_document(first, URI, TEXT)
        open_document(second, OTHER, TEXT)
        cursor, _ = await first_items(first, URI)  # a place where the model has something to say
        place = to_position(TEXT, cursor, "utf-16")
        elsewhere = to_position(TEXT, PLACES[0], "utf-16")
        older, newer, others = await asyncio.gather(
            ask(first, URI, elsewhere, INVOKED),
            ask(first, URI, place, INVOKED),
            ask(second, OTHER, place, INVOKED),
        )
        assert older == []
        assert_joins(TEXT, cursor, newer[0], "utf-16")
        assert_joins(TEXT, cursor, others[0], "utf-16")


async def test_an_editor_goes_on_after_the_daemon_was_stopped(daemon_home: Home) -> None:
    async with editor(daemon_home) as client:
        open_document(client, URI, TEXT)
        await first_items(client, URI)
        before = daemon_pid(daemon_home)
        daemon_home.dgemma("stop")
        cursor, items = await first_items(client, URI, trigger=INVOKED)
        assert_joins(TEXT, cursor, items[0], "utf-16")
        assert daemon_pid(daemon_home) != before
