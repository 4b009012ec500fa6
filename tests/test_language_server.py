from pathlib import Path

import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from scripted_daemon import ScriptedDaemon, Send, answering, silent
from scripted_editor import URI, completes, editor, folder, run, texts

from dgemma_lsp import wire
from dgemma_lsp.config import Completion, Config
from dgemma_lsp.ignores import NAME

__all__ = ["folder"]


async def test_how_it_is_is_told_to_an_editor_that_asks_for_it(folder: Path) -> None:
    options = {"editor": {"status": True}}
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("1")),
        editor(folder, options=options) as one,
    ):
        one.open("x = ")
        assert texts(await one.ask(0, 4)) == ["1"]
        await run(one, "dgemma.pause")
        await run(one, "dgemma.resume")
        states = [status.state for status in one.statuses]
        assert states[:1] + states[-4:] == ["starting", "busy", "ready", "paused", "ready"]
        assert {status.model for status in one.statuses} == {"scripted"}
        assert one.statuses[-1].text == "scripted is ready"
    async with ScriptedDaemon(folder / "daemon.sock", answering("1")), editor(folder) as other:
        other.open("x = ")
        assert texts(await other.ask(0, 4)) == ["1"]
        assert other.statuses == []


async def test_drafts_are_sent_to_an_editor_that_asks_for_them(folder: Path) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await send(wire.Draft(id=message.id, block=0, step=1, text="é日", stable=1))
        await answering("é日😋")(message, send)

    options = {"editor": {"drafts": True}}
    async with ScriptedDaemon(folder / "daemon.sock", script), editor(folder, options=options) as o:
        o.version = 7
        o.open("x = ")
        assert texts(await o.ask(0, 4)) == ["é日😋"]
        here = {"line": 0, "character": 4}
        same = {"uri": URI, "version": 7, "range": {"start": here, "end": here}}
        first, last = o.drafts
        assert first == same | {"text": "é日", "stable": 1, "final": False}
        assert last == same | {"text": "é日😋", "stable": 4, "final": True}


async def test_every_folder_of_the_workspace_may_leave_files_out(folder: Path) -> None:
    roots = [folder / "one", folder / "zwei ü"]
    for root in roots:
        root.mkdir()
        (root / NAME).write_text(f"{root.name}.py\n")
    folders = [t.WorkspaceFolder(root.as_uri(), root.name) for root in roots]
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("1")),
        editor(folder, folders=folders) as one,
    ):
        for root in roots:
            for name, expected in ((root.name, []), ("other", ["1"])):
                uri = (root / f"{name}.py").as_uri()
                one.open("x = ", uri)
                assert texts(await one.ask(0, 4, uri=uri, trigger=1)) == expected


# -- cancelling, newest wins, stale --------------------------------------------------------------


async def test_the_editor_s_cancel_reaches_the_daemon(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", silent) as daemon, editor(folder) as one:
        one.open("x = ")
        answer = one.ask(0, 4, id="mine")
        asked = await completes(daemon)
        one.client.cancel_request(t.CancelParams("mine"))
        assert await daemon.heard_of(wire.Cancel) == [wire.Cancel(id=asked.id)]
        # pygls has forgotten the future of a cancelled request on its side; this is its answer
        with pytest.raises(JsonRpcException, match="mine"):
            await answer


async def test_a_newer_request_of_the_document_ends_the_older_one(folder: Path) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        if isinstance(message, wire.Complete) and message.prefix == "x = (":
            await answering("3")(message, send)

    other = "file:///other.py"
    async with ScriptedDaemon(folder / "daemon.sock", script) as daemon, editor(folder) as one:
        one.open("x = ((")
        one.open("z", uri=other)
        elsewhere = one.ask(0, 1, uri=other, id="elsewhere")
        older = one.ask(0, 4, id="older")
        first = await completes(daemon, 2)
        newer = one.ask(0, 5, id="newer")
        assert texts(await newer) == ["3"]
        assert texts(await older) == []
        assert await daemon.heard_of(wire.Cancel) == [wire.Cancel(id=first.id)]
        assert not elsewhere.done()
        one.client.cancel_request(t.CancelParams("elsewhere"))
        with pytest.raises(JsonRpcException):
            await elsewhere


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("superseded", False),
        ("cancelled", False),
        ("busy", False),
        ("model_crashed", False),
        ("model_failed", False),
        ("stopping", False),
        ("from_the_future", False),
        ("model_unavailable", True),
    ],
)
async def test_the_user_is_told_once_and_only_what_they_can_act_on(
    folder: Path, code: str, shown: bool
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await send(wire.Failed(id=message.id, code=code, message="model x: no weights"))

    async with ScriptedDaemon(folder / "daemon.sock", script), editor(folder) as one:
        one.open("x = ")
        for _ in range(2):
            assert texts(await one.ask(0, 4)) == []
        assert [message.message for message in one.client.messages] == [
            "dgemma: model x: no weights; `dgemma doctor` tells more"
        ] * shown


# -- the editor's settings -----------------------------------------------------------------------


async def test_the_editor_s_options_are_laid_over_the_configuration(folder: Path) -> None:
    options = {"completion": {"steps": 8}, "model": {"name": "scripted"}}
    config = Config(completion=Completion(prefetch=False, deadline_ms=1234))
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder, config, options=options) as one,
    ):
        one.open("x = ")
        assert texts(await one.ask(0, 4)) == ["y"]
        asked = await completes(daemon)
        assert (asked.sampling.max_steps, asked.deadline_ms) == (8, 1234)
        assert not one.client.messages


async def test_a_bad_option_is_told_once_and_the_others_hold(folder: Path) -> None:
    options = {"completion": {"steps": 8, "candidates": 99}}
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder, options=options) as one,
    ):
        assert "initializationOptions: completion.candidates = 99" in await one.told()
        one.open("x = ")
        assert texts(await one.ask(0, 4)) == ["y"]
        assert (await completes(daemon)).sampling.max_steps == 8
        assert len(one.client.messages) == 1
