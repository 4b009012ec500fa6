import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from scripted_daemon import ScriptedDaemon, Send, answering, silent
from scripted_editor import (
    CONFIG,
    SERVE,
    URI,
    completes,
    editor,
    folder,
    run,
    texts,
)

from dgemma_lsp import wire
from dgemma_lsp.config import Completion, Config, Model

__all__ = ["folder"]


# -- what the server says of itself --------------------------------------------------------------


async def test_inline_completion_and_incremental_sync_are_advertised(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", silent), editor(folder) as one:
        capabilities = one.result.capabilities
        assert capabilities.inline_completion_provider == t.InlineCompletionOptions()
        sync = capabilities.text_document_sync
        assert isinstance(sync, t.TextDocumentSyncOptions)
        assert sync.change == t.TextDocumentSyncKind.Incremental and sync.open_close
        assert one.result.server_info and one.result.server_info.name == "dgemma"


def test_importing_the_server_loads_no_torch() -> None:
    code = "import sys, dgemma_lsp.server; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in out.stdout.split()}
    assert "pygls" in loaded
    assert not loaded & {"torch", "transformers", "numpy", "sampler"}


async def test_a_request_that_cannot_be_read_is_answered_and_the_next_one_too(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("y")), editor(folder) as one:
        one.open("x = ")
        for params in ({}, {"textDocument": {"uri": URI}, "context": {"triggerKind": 9}}):
            with pytest.raises(JsonRpcException):
                await one.send(t.TEXT_DOCUMENT_INLINE_COMPLETION, params)
        assert texts(await one.ask(0, 4)) == ["y"]
        assert not one.client.messages


# -- commands -------------------------------------------------------------------------------------


async def test_a_pause_ends_what_is_under_way_and_lasts_until_it_is_over(folder: Path) -> None:
    answers = [silent, answering("1")]

    async def script(message: wire.Request, send: Send) -> None:
        await answers.pop(0)(message, send)

    async with ScriptedDaemon(folder / "daemon.sock", script) as daemon, editor(folder) as one:
        one.open("x = ")
        under_way = one.ask(0, 4)
        await completes(daemon)
        await run(one, "dgemma.pause")
        assert texts(await under_way) == []
        assert texts(await one.ask(0, 4, trigger=1)) == []
        await run(one, "dgemma.resume")
        assert texts(await one.ask(0, 4)) == ["1"]
        assert len(daemon._of(wire.Complete)) == 2


# -- a daemon that is slow, lost or unwilling ----------------------------------------------------


async def test_a_lost_daemon_costs_one_answer_and_its_successor_gives_the_next(
    folder: Path,
) -> None:
    async with editor(folder, CONFIG) as one:
        one.open("x = ")
        async with ScriptedDaemon(folder / "daemon.sock", silent) as first:
            in_flight = one.ask(0, 4)
            await completes(first)
            await first.go_down()
            assert texts(await in_flight) == []
        async with ScriptedDaemon(folder / "daemon.sock", answering("y")):
            assert texts(await one.ask(0, 4)) == ["y"]


async def test_without_a_daemon_the_user_is_told_once_and_every_request_is_answered(
    folder: Path,
) -> None:
    config = Config(model=CONFIG.model, completion=Completion(prefetch=False, deadline_ms=1000))
    async with editor(folder, config) as one:
        told = await one.told()
        assert "no weights here" in told and "dgemma doctor" in told
        one.open("x = ")
        for _ in range(3):
            assert texts(await one.ask(0, 4)) == []
        assert len(one.client.messages) == 1
        async with ScriptedDaemon(folder / "daemon.sock", answering("y")):
            assert texts(await one.ask(0, 4)) == ["y"]


@pytest.mark.parametrize("welcome", [True, False])
async def test_a_daemon_that_hangs_keeps_nobody_waiting_for_ever(
    folder: Path, welcome: bool
) -> None:
    config = Config(model=CONFIG.model, completion=Completion(prefetch=False, deadline_ms=20))
    async with ScriptedDaemon(folder / "daemon.sock", silent) as daemon:
        if not welcome:
            daemon.greeting = None
        async with editor(folder, config) as one:
            one.open("x = ")
            await daemon.heard_of(wire.Hello)
            assert texts(await one.ask(0, 4)) == []
            assert bool(daemon._of(wire.Complete)) is welcome


async def test_another_model_than_the_configured_one_is_told(folder: Path) -> None:
    config = Config(model=Model(name="nano"))
    async with ScriptedDaemon(folder / "daemon.sock", silent), editor(folder, config) as one:
        told = await one.told()
        assert "scripted" in told and "nano" in told and "dgemma stop" in told


@pytest.mark.parametrize("politely", [True, False])
async def test_an_editor_that_leaves_while_the_daemon_starts_leaves_no_complaint_behind(
    folder: Path, politely: bool
) -> None:
    def frame(**message: object) -> bytes:
        body = msgspec.json.encode({"jsonrpc": "2.0", **message})
        return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)

    async with ScriptedDaemon(folder / "daemon.sock", silent) as daemon:
        daemon.greeting = None
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", "-c", SERVE, str(folder)),
            msgspec.json.encode(CONFIG).decode(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin
        process.stdin.write(frame(id=1, method="initialize", params={"capabilities": {}}))
        process.stdin.write(frame(method="initialized", params={}))
        await daemon.heard_of(wire.Hello)
        if politely:
            process.stdin.write(frame(id=2, method="shutdown") + frame(method="exit"))
        _, log = await process.communicate(b"")  # and the end of its input
        assert (process.returncode, log) == (0, b"")


async def test_what_is_wrong_in_the_configuration_file_is_told_too(folder: Path) -> None:
    problem = "config.toml: completion.steps = -1: too small"
    async with ScriptedDaemon(folder / "daemon.sock", silent), editor(folder, problem=problem) as o:
        assert await o.told() == f"dgemma: {problem}"


PULLING = t.ClientCapabilities(workspace=t.WorkspaceClientCapabilities(configuration=True))


async def test_an_editor_that_tells_its_settings_is_asked_for_them_and_again_when_they_change(
    folder: Path,
) -> None:
    settings = {"completion": {"steps": 5, "candidates": None}, "trace": {"server": "off"}}
    options = {"completion": {"steps": 8, "deadline_ms": 4321}}
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder, capabilities=PULLING, options=options, settings=settings) as one,
    ):
        await daemon.heard_of(wire.Hello)  # only after the settings came
        one.open("x = ")
        await one.ask(0, 4, trigger=1)
        first = await completes(daemon)
        assert (first.sampling.max_steps, first.deadline_ms, first.candidates) == (5, 4321, 3)
        changed = {"completion": {"steps": 6, "candidates": "x"}}
        one.client.set_configuration({"dgemma": changed})
        one.client.workspace_did_change_configuration(t.DidChangeConfigurationParams(None))
        assert "settings: completion.candidates = 'x'" in await one.told()
        await one.ask(0, 4, trigger=1)
        assert (await completes(daemon, 2)).sampling.max_steps == 6
        assert len(one.client.messages) == 1


@pytest.mark.parametrize("wrapped", [True, False])
async def test_settings_that_an_editor_sends_by_itself_are_taken(
    folder: Path, wrapped: bool
) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder) as one,
    ):
        one.open("x = ")
        settings: dict[str, Any] = {"completion": {"steps": 7}}
        one.client.workspace_did_change_configuration(
            t.DidChangeConfigurationParams({"dgemma": settings} if wrapped else settings)
        )
        await one.ask(0, 4)
        assert (await completes(daemon)).sampling.max_steps == 7
        one.client.workspace_did_change_configuration(t.DidChangeConfigurationParams(None))
        await one.ask(0, 4, trigger=1)
        assert (await completes(daemon, 2)).sampling.max_steps is None
        assert not one.client.messages


async def test_an_editor_that_wants_to_be_asked_for_changes_is_asked(folder: Path) -> None:
    change = t.DidChangeConfigurationClientCapabilities(dynamic_registration=True)
    capabilities = t.ClientCapabilities(
        workspace=t.WorkspaceClientCapabilities(did_change_configuration=change)
    )
    async with (
        ScriptedDaemon(folder / "daemon.sock", silent),
        editor(folder, capabilities=capabilities) as one,
    ):
        [registration] = await one.registered.get()
        assert registration.method == t.WORKSPACE_DID_CHANGE_CONFIGURATION
