"""Next edits as an editor asks for them, between a real server and a scripted daemon."""

from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as t
from scripted_daemon import ScriptedDaemon, Send
from scripted_editor import URI, Editor, editor, folder, plain

from dgemma_lsp import protocol, wire

__all__ = ["folder"]

OLD = 'def f(old):\n    a("😋é", old)\n    return old\n'


async def agreeing(message: wire.Request, send: Send) -> None:
    """Find each text as probable as the present one."""
    assert isinstance(message, wire.Score)
    await send(wire.Scores(id=message.id, log_probs=[0.0] * len(message.texts)))
    await send(wire.Done(id=message.id, reason="eos"))


async def edits(one: Editor, version: int | None = None, character: int = 9) -> list[Any]:
    params = {
        "textDocument": {"uri": URI} | ({} if version is None else {"version": version}),
        "position": {"line": 0, "character": character},
        "context": {"triggerKind": 2},
    }
    answer = await one.send(protocol.INLINE_EDIT, params)
    return [plain(edit) for edit in plain(answer)["edits"]]


async def renamed(one: Editor) -> None:
    """Rename the parameter, when the daemon is there."""
    one.open(OLD)
    await one.until_ready()
    one.change("new", t.Range(t.Position(0, 6), t.Position(0, 9)))


@pytest.mark.parametrize(
    ("encoding", "start"),
    [("utf-16", 13), ("utf-8", 16), ("utf-32", 12)],
)
async def test_an_edit_is_the_least_of_a_line_in_the_units_of_the_editor(
    folder: Path, encoding: str, start: int
) -> None:
    capabilities = t.ClientCapabilities(
        general=t.GeneralClientCapabilities(position_encodings=[t.PositionEncodingKind(encoding)])
    )
    async with (
        ScriptedDaemon(folder / "daemon.sock", agreeing),
        editor(folder, capabilities=capabilities, options={"editor": {"status": True}}) as one,
    ):
        await renamed(one)
        [edit] = await edits(one, version=1)
        assert edit["text"] == "new"
        assert edit["range"] == {
            "start": {"line": 1, "character": start},
            "end": {"line": 1, "character": start + 3},
        }
        assert edit["textDocument"] == {"uri": URI, "version": 1}


async def test_one_edit_follows_the_other_and_the_command_of_each_is_taken(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", agreeing),
        editor(folder, options={"editor": {"status": True}}) as one,
    ):
        await renamed(one)
        texts = []
        while found := await edits(one):
            [edit] = found
            edges = (t.Position(**edit["range"][edge]) for edge in ("start", "end"))
            one.change(edit["text"], t.Range(*edges))
            command = edit["command"]
            params = t.ExecuteCommandParams(command["command"], command["arguments"])
            await one.client.workspace_execute_command_async(params)
            texts.append(edit["range"]["start"]["line"])
        assert texts == [1, 2]


async def test_a_request_for_another_version_than_the_document_has_gets_none(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", agreeing) as daemon,
        editor(folder, options={"editor": {"status": True}}) as one,
    ):
        await renamed(one)
        assert await edits(one, version=0) == []
        assert not [m for m in daemon.heard if isinstance(m, wire.Score)]


async def test_what_other_servers_count_is_taken_without_a_word(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", agreeing),
        editor(folder, options={"editor": {"status": True}}) as one,
    ):
        await renamed(one)
        item = {"item": {"command": {"arguments": ["x"]}}}
        one.client.protocol.notify(protocol.DID_SHOW_EDIT, item)
        one.client.protocol.notify(protocol.DID_FOCUS, {"textDocument": {"uri": URI}})
        one.client.protocol.notify(protocol.DID_FOCUS, {})
        assert len(await edits(one)) == 1


async def test_a_call_follows_the_signature_that_was_edited(folder: Path) -> None:
    text = 'def f(a, b):\n    pass\n\n\nx = "😋", f(1, 2)\n'
    async with (
        ScriptedDaemon(folder / "daemon.sock", agreeing),
        editor(folder, options={"editor": {"status": True}}) as one,
    ):
        one.open(text)
        await one.until_ready()
        one.change("", t.Range(t.Position(0, 7), t.Position(0, 10)))
        [edit] = await edits(one)
        assert edit["text"] == "1"
        assert edit["range"] == {
            "start": {"line": 4, "character": 12},
            "end": {"line": 4, "character": 16},
        }
        place = t.Range(t.Position(4, 12), t.Position(4, 16))
        one.change("1", place)
        assert await edits(one) == []
