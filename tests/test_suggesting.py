import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from pytest_lsp import client_capabilities
from scripted_daemon import ScriptedDaemon, Send, answering, silent
from scripted_editor import (
    ALONE,
    CONFIG,
    URI,
    Editor,
    completes,
    editor,
    folder,
    recorded,
    run,
    speaking,
    texts,
)

from dgemma_lsp import protocol, server, suggesting, wire
from dgemma_lsp.config import Completion, Config, Paths
from dgemma_lsp.config import Editor as EditorOptions
from dgemma_lsp.verdict import SPARES

__all__ = ["folder"]


# -- positions -----------------------------------------------------------------------------------


LINE = 'x = f("日本 😋é", )'

COLUMN = LINE.index(")")  # in characters

UNITS = {
    "utf-8": len(LINE[:COLUMN].encode()),
    "utf-16": len(LINE[:COLUMN].encode("utf-16-le")) // 2,
    "utf-32": COLUMN,
}


@pytest.mark.parametrize(
    ("capabilities", "encoding"),
    [
        pytest.param(speaking("utf-8", "utf-16"), "utf-8", id="utf-8"),
        pytest.param(speaking("utf-16"), "utf-16", id="utf-16"),
        pytest.param(speaking("utf-32"), "utf-32", id="utf-32"),
        pytest.param(t.ClientCapabilities(), "utf-16", id="an old editor"),
        pytest.param(client_capabilities("neovim@v0.11.0"), "utf-8", id="Neovim 0.11"),
        pytest.param(client_capabilities("visual-studio-code"), "utf-16", id="VS Code"),
        pytest.param(client_capabilities("emacs"), "utf-32", id="Emacs"),
    ],
)
async def test_positions_are_read_and_written_in_the_units_of_the_editor(
    folder: Path, capabilities: t.ClientCapabilities, encoding: str
) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y=1")) as daemon,
        editor(folder, capabilities=capabilities) as one,
    ):
        agreed = one.result.capabilities.position_encoding
        assert agreed == encoding
        one.open(f"a\n{LINE}\nb\n")
        column = UNITS[encoding]
        answer = await one.ask(1, column)
        asked = await completes(daemon)
        assert (asked.prefix, asked.suffix) == (f"a\n{LINE[:COLUMN]}", f"{LINE[COLUMN:]}\nb\n")
        [item] = answer
        here = t.Position(1, column)
        assert (item.insert_text, item.range) == ("y=1", t.Range(here, here))
        # ... and the same after an edit behind those characters
        one.change("z, ", t.Range(here, here))
        await one.ask(1, column + 3)
        assert (await completes(daemon, 2)).prefix == f"a\n{LINE[:COLUMN]}z, "


# -- what is asked and what is answered ----------------------------------------------------------


async def test_a_request_says_what_the_daemon_must_know(folder: Path) -> None:
    config = Config(
        model=CONFIG.model,
        completion=Completion(
            prefetch=False,
            steps=5,
            candidates=4,
            deadline_ms=777,
            prefix_chars=64,
            suffix_chars=4,
            max_lines=7,
        ),
    )
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder, config) as one,
    ):
        one.version = 41
        one.open("p" * 30 + "\n" + "q" * 40 + "\nr = \r\n\r\ns\r\nt", language="elvish")
        await one.ask(2, 4, trigger=1)
        asked = await completes(daemon)
        assert asked == wire.Complete(
            id=asked.id,
            document=URI,
            version=41,
            prefix="q" * 40 + "\nr = ",
            suffix="\n\n",
            language="elvish",
            trigger="invoked",
            candidates=4,
            spares=SPARES,
            max_lines=7,
            deadline_ms=777,
            drafts=True,
            sampling=wire.Sampling(max_steps=5),
        )


@pytest.mark.parametrize(
    ("trigger", "kind", "candidates", "expected"),
    [
        pytest.param(2, "automatic", 1, ["a"], id="automatic"),
        pytest.param(1, "invoked", 5, ["a", "b"], id="invoked"),
        pytest.param(0, "invoked", 5, ["a", "b"], id="invoked as drafts of the protocol counted"),
    ],
)
async def test_one_candidate_comes_by_itself_and_several_distinct_ones_when_invoked(
    folder: Path, trigger: int, kind: str, candidates: int, expected: list[str]
) -> None:
    config = Config(model=CONFIG.model, completion=Completion(prefetch=False, candidates=5))
    script = answering("a", "b", "a\n", " ", "b")
    async with (
        ScriptedDaemon(folder / "daemon.sock", script) as daemon,
        editor(folder, config) as one,
    ):
        one.open("x = ")
        assert texts(await one.ask(0, 4, trigger=trigger)) == expected
        asked = await completes(daemon)
        assert (asked.trigger, asked.candidates) == (kind, candidates)


@pytest.mark.parametrize(
    ("start", "end", "typed", "expected"),
    [
        pytest.param((0, 2), (0, 4), "append", [("append(1)", "x.append")], id="a longer word"),
        pytest.param((0, 2), (0, 4), "ap", [("ap(1)", "x.ap")], id="the same word"),
        pytest.param((0, 2), (1, 0), "append", [], id="across two lines no item may go"),
        pytest.param((0, 4), (0, 2), "append", [], id="backwards"),
    ],
)
async def test_an_item_uses_the_range_and_begins_with_the_text_of_the_selected_completion(
    folder: Path,
    start: tuple[int, int],
    end: tuple[int, int],
    typed: str,
    expected: list[tuple[str, str]],
) -> None:
    place = t.Range(t.Position(*start), t.Position(*end))
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("(1)")) as daemon,
        editor(folder) as one,
    ):
        one.open("x.ap\ny\n")
        answer = await one.ask(0, 4, chosen=t.SelectedCompletionInfo(place, typed))
        assert [(item.insert_text, item.range) for item in answer] == [
            (text, place) for text, _ in expected
        ]
        asked = [message for message in daemon.heard if isinstance(message, wire.Complete)]
        assert [message.prefix for message in asked] == [prefix for _, prefix in expected]


async def test_line_ends_are_plain_for_the_model_and_the_document_s_for_the_editor(
    folder: Path,
) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("1\n    b")) as daemon,
        editor(folder) as one,
    ):
        one.open("if x:\r\n    a = \r\n")
        assert texts(await one.ask(1, 8)) == ["1\r\n    b"]
        asked = await completes(daemon)
        assert (asked.prefix, asked.suffix) == ("if x:\n    a = ", "\n")


async def test_half_a_surrogate_pair_does_not_stop_completion(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("1")) as daemon,
        editor(folder) as one,
    ):
        one.open("s = '\ud83d'\nx = ")
        assert texts(await one.ask(1, 4)) == ["1"]
        assert (await completes(daemon)).prefix == "s = '\ufffd'\nx = "


async def test_what_would_not_be_worth_showing_is_no_item(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering(" \n")), editor(folder) as one:
        one.open("x = ")
        assert texts(await one.ask(0, 4)) == []


async def test_a_document_that_was_never_opened_has_no_completions(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder) as one,
    ):
        assert texts(await one.ask(0, 0, uri="file:///nowhere.py")) == []
        assert not daemon.heard or not isinstance(daemon.heard[-1], wire.Complete)


# -- editors without inline completion -----------------------------------------------------------


DRAWS = t.ClientCapabilities(
    text_document=t.TextDocumentClientCapabilities(
        inline_completion=t.InlineCompletionClientCapabilities()
    )
)


@pytest.mark.parametrize(
    ("capabilities", "offered"),
    [
        pytest.param(DRAWS, False, id="an editor with ghost text"),
        pytest.param(t.ClientCapabilities(), True, id="an editor without"),
    ],
)
async def test_a_menu_is_offered_to_an_editor_that_shows_no_ghost_text(
    folder: Path, capabilities: t.ClientCapabilities, offered: bool
) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", silent),
        editor(folder, capabilities=capabilities) as one,
    ):
        provider = one.result.capabilities.completion_provider
        assert (provider is not None) == offered


def menu_of(one: Editor, line: int, character: int, uri: str = URI) -> asyncio.Future[Any]:
    params = {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": 1},
    }
    return one.send(t.TEXT_DOCUMENT_COMPLETION, params)


WORD = 'f("日本 😋"); grö'


@pytest.mark.parametrize(
    ("encoding", "start", "end"), [("utf-8", 18, 22), ("utf-16", 12, 15), ("utf-32", 11, 14)]
)
async def test_an_item_of_a_menu_replaces_the_word_in_the_units_of_the_editor(
    folder: Path, encoding: str, start: int, end: int
) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("ße = 1")) as daemon,
        editor(folder, capabilities=speaking(encoding)) as one,
    ):
        one.open(f"a\n{WORD}\nb\n")
        answer = await menu_of(one, 1, end)
        asked = await completes(daemon)
        assert (asked.prefix, asked.trigger) == (f"a\n{WORD}", "automatic")
        [item] = answer.items
        here = t.Range(t.Position(1, start), t.Position(1, end))
        assert item.text_edit == t.TextEdit(here, "größe = 1")
        assert item.label == item.filter_text == "größe = 1"
        # Typed on, it is filtered by the editor and the model is not asked again.
        one.change("ß", t.Range(here.end, here.end))
        width = {"utf-8": 2}.get(encoding, 1)
        [item] = (await menu_of(one, 1, end + width)).items
        assert item.text_edit.new_text == "größe = 1"
        assert len([m for m in daemon.heard if isinstance(m, wire.Complete)]) == 1


async def test_a_menu_does_not_wait_for_a_slow_model_and_shows_its_answer_at_the_next_key(
    folder: Path,
) -> None:
    released = asyncio.Event()

    async def script(message: wire.Request, send: Send) -> None:
        await released.wait()
        await answering("y + 1")(message, send)

    config = Config(model=CONFIG.model, completion=Completion(prefetch=False, menu_ms=200))
    async with (
        ScriptedDaemon(folder / "daemon.sock", script) as daemon,
        editor(folder, config) as one,
    ):
        one.open("x = ")
        in_time = await menu_of(one, 0, 4)
        assert in_time.is_incomplete and not in_time.items
        one.change("y", t.Range(t.Position(0, 4), t.Position(0, 4)))
        released.set()
        while not (items := (await menu_of(one, 0, 5)).items):
            pass
        assert [item.text_edit.new_text for item in items] == ["y + 1"]
        assert len(await daemon.heard_of(wire.Complete)) == 1


async def test_an_item_taken_from_a_menu_is_counted(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("th * 2")), editor(folder) as one:
        one.open("x = wid")
        [item] = (await menu_of(one, 0, 7)).items
        one.change(item.text_edit.new_text, item.text_edit.range)
        params = t.ExecuteCommandParams(item.command.command, arguments=item.command.arguments)
        await one.client.workspace_execute_command_async(params)
        [end] = recorded(folder)
        assert (end.outcome, end.chars) == ("accepted", 9)


# -- what was suggested already ------------------------------------------------------------------


async def test_typing_what_was_suggested_asks_nobody(folder: Path) -> None:
    async with editor(folder) as one:
        async with ScriptedDaemon(folder / "daemon.sock", answering("日本(😋)")) as daemon:
            one.open("é = \r\ny\r\n")
            assert texts(await one.ask(0, 4)) == ["日本(😋)"]
            assert len(daemon._of(wire.Complete)) == 1
        # No daemon is left, and asking one would be told to the user.
        rests = {"日": "本(😋)", "本": "(😋)", "(": "😋)", "😋": ")"}
        column = 4
        for key, rest in rests.items():
            one.change(key, t.Range(t.Position(0, column), t.Position(0, column)))
            column += len(key.encode("utf-16-le")) // 2
            [item] = await one.ask(0, column)
            here = t.Position(0, column)
            assert (item.insert_text, item.range) == (rest, t.Range(here, here))
        # ... nor for a character that is taken back, nor for the one that the editor adds
        one.change("", t.Range(t.Position(0, column - 2), t.Position(0, column)))
        assert texts(await one.ask(0, column - 2)) == ["😋)"]
        one.change(")", t.Range(t.Position(0, column - 2), t.Position(0, column - 2)))
        assert texts(await one.ask(0, column - 2)) == ["😋"]
        assert not one.client.messages


async def test_a_suggestion_that_is_typed_to_its_end_is_followed_by_the_model_s_next(
    folder: Path,
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await answering({"x = ": "f", "x = f": "(1)"}[message.prefix])(message, send)

    async with ScriptedDaemon(folder / "daemon.sock", script), editor(folder) as one:
        one.open("x = ")
        assert texts(await one.ask(0, 4)) == ["f"]
        one.change("x = f")
        assert texts(await one.ask(0, 5)) == ["(1)"]


async def test_who_asks_for_more_gets_it_from_the_model_and_may_type_any_of_it(
    folder: Path,
) -> None:
    script = answering("fa", "fb", "g")
    async with ScriptedDaemon(folder / "daemon.sock", script) as daemon, editor(folder) as one:
        one.open("x = ")
        assert texts(await one.ask(0, 4)) == ["fa"]
        assert texts(await one.ask(0, 4, trigger=1)) == ["fa", "fb", "g"]
        assert [asked.previous for asked in daemon._of(wire.Complete)] == ["", ""]
        one.change("x = f")
        assert texts(await one.ask(0, 5)) == ["a", "b"]
        assert len(daemon._of(wire.Complete)) == 2


async def test_the_model_starts_from_what_may_still_come_of_the_suggestion(folder: Path) -> None:
    script = answering("foo(\n    1)")
    async with ScriptedDaemon(folder / "daemon.sock", script) as daemon, editor(folder) as one:
        one.open("y\r\nx = \r\n")
        assert texts(await one.ask(1, 4)) == ["foo(\r\n    1)"]
        one.change("y\r\nx = bar\r\n")
        await one.ask(1, 7)
        asked = await completes(daemon, 2)
        assert (asked.prefix, asked.previous) == ("y\nx = bar", "(\n    1)")


async def test_what_was_typed_of_a_selected_completion_is_known(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("append(1)")) as daemon,
        editor(folder) as one,
    ):
        one.open("x.\ny\n")
        assert texts(await one.ask(0, 2)) == ["append(1)"]
        one.change("x.ap\ny\n")
        place = t.Range(t.Position(0, 2), t.Position(0, 4))
        [item] = await one.ask(0, 4, chosen=t.SelectedCompletionInfo(place, "append"))
        assert (item.insert_text, item.range) == ("append(1)", place)
        assert len(daemon._of(wire.Complete)) == 1


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(wire.Failed(id="", code="superseded", message="newer"), id="superseded"),
        pytest.param(wire.Failed(id="", code="model_crashed", message="gone"), id="failed"),
        pytest.param(wire.Done(id="", reason="settled"), id="too unlikely"),
    ],
)
async def test_an_answer_that_was_not_shown_is_asked_for_again(
    folder: Path, last: wire.Failed | wire.Done
) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await send(wire.Block(id=message.id, block=0, text="f(1)", confidence=-99.0))
        await send(msgspec.structs.replace(last, id=message.id))

    async with ScriptedDaemon(folder / "daemon.sock", script) as daemon, editor(folder) as one:
        one.open("x = ")
        for count in (1, 2):
            assert texts(await one.ask(0, 4)) == []
            assert (await completes(daemon, count)).previous == ""


# -- what becomes of it ---------------------------------------------------------------------------


def told(item: t.InlineCompletionItem) -> dict[str, Any]:
    assert item.command
    return {"insertText": item.insert_text, "command": {"arguments": item.command.arguments}}


async def test_an_item_brings_the_command_that_tells_of_its_accept(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("foo(1)")), editor(folder) as one:
        commands = one.result.capabilities.execute_command_provider
        assert commands and "dgemma.accepted" in commands.commands
        one.open("x = ")
        [item] = await one.ask(0, 4)
        assert item.command and item.command.command == "dgemma.accepted"
        one.change("x = foo(1)")
        params = t.ExecuteCommandParams(item.command.command, arguments=item.command.arguments)
        assert await one.client.workspace_execute_command_async(params) is None
        [end] = recorded(folder)
        assert list(item.command.arguments or []) == [f"{end.id}.0"]
        assert (end.outcome, end.language, end.steps, end.chars) == ("accepted", "python", 3, 6)
        assert end.latency_ms > 0 and end.text == ""


@pytest.mark.parametrize(
    ("method", "extra", "expected"),
    [
        pytest.param(protocol.DID_REJECT, {}, ("rejected", 0), id="dismissed"),
        pytest.param(protocol.DID_SHOW, {}, ("ignored", 0), id="shown and nothing more"),
        pytest.param(
            protocol.DID_PARTIALLY_ACCEPT, {"acceptedLength": 3}, ("partly", 2), id="in part"
        ),
    ],
)
async def test_what_the_editor_tells_of_an_item_is_recorded(
    folder: Path, method: str, extra: dict[str, int], expected: tuple[str, int]
) -> None:
    config = Config(model=CONFIG.model, completion=ALONE, editor=EditorOptions(record="code"))
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("😋é + 1")),
        editor(folder, config) as one,
    ):
        one.open("x = ")
        [item] = await one.ask(0, 4)
        one.client.protocol.notify(method, {"item": told(item)} | extra)
        one.client.text_document_did_close(
            t.DidCloseTextDocumentParams(t.TextDocumentIdentifier(URI))
        )
        assert texts(await one.ask(0, 0, uri="file:///other")) == []  # all before it is done
        [end] = recorded(folder)
        assert (end.outcome, end.taken) == expected
        assert end.text == "😋é + 1"


async def test_typing_through_is_recorded_from_the_document_and_at_the_end_too(
    folder: Path,
) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("ab")), editor(folder) as one:
        one.open("x = ")
        [first] = await one.ask(0, 4)
        one.change("x = a")
        [rest] = await one.ask(0, 5)
        assert rest.command.arguments == first.command.arguments
        one.change("x = ab")
        one.change("x = ab\ny = ")
        assert texts(await one.ask(1, 4)) == ["ab"]
        assert [(end.outcome, end.way) for end in recorded(folder)] == [("accepted", "typed")]
    assert [end.outcome for end in recorded(folder)] == ["accepted", "ignored"]


async def test_nothing_is_recorded_where_nobody_wants_it(folder: Path) -> None:
    options = {"editor": {"record": "off"}}
    script = answering("ab")
    async with ScriptedDaemon(folder / "daemon.sock", script), editor(folder, options=options) as o:
        o.open("x = ")
        assert texts(await o.ask(0, 4)) == ["ab"]
    assert recorded(folder) == []


async def test_what_cannot_be_read_of_an_item_stops_nothing(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("ab")), editor(folder) as one:
        one.open("x = ")
        for params in ({}, {"item": {}}, {"item": {"command": {"arguments": []}}}, None):
            one.client.protocol.notify(protocol.DID_REJECT, params)
        assert texts(await one.ask(0, 4)) == ["ab"]


# -- why nothing ----------------------------------------------------------------------------------


def answered(answer: Any) -> tuple[str, str]:
    return tuple(answer.values()) if isinstance(answer, dict) else (answer.reason, answer.text)


async def test_why_nothing_is_shown_is_answered_as_request_and_as_command(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("1")), editor(folder) as one:
        one.open("x = y\nzé = \n")
        inside, end = {"line": 0, "character": 4}, {"line": 1, "character": 5}
        at = {"textDocument": {"uri": URI}}
        reason, text = answered(await one.send(protocol.EXPLAIN, at | {"position": inside}))
        assert (reason, "inside a word" in text) == ("mid-word", True)
        assert answered(await run(one, "dgemma.explain", URI, inside)) == (reason, text)
        assert answered(await one.send(protocol.EXPLAIN, at | {"position": end}))[0] == "shown"
        nowhere = {"textDocument": {"uri": "file:///never.py"}, "position": end}
        assert answered(await one.send(protocol.EXPLAIN, nowhere))[0] == "not-open"
        with pytest.raises(JsonRpcException, match="position"):
            await one.send(protocol.EXPLAIN, at)


async def test_a_dismissed_item_is_not_shown_again_by_itself(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("1")), editor(folder) as one:
        one.open("x = ")
        [item] = await one.ask(0, 4)
        one.client.protocol.notify(protocol.DID_REJECT, {"item": told(item)})
        assert texts(await one.ask(0, 4)) == []
        assert texts(await one.ask(0, 4, trigger=1)) == ["1"]


async def test_an_answer_to_an_older_version_is_dropped(folder: Path) -> None:
    ls = server.build(CONFIG, Paths(config_file=folder / "c", runtime=folder, state=folder))
    ls.protocol._workspace = protocol.EditorWorkspace(None)
    ls.workspace.put_text_document(t.TextDocumentItem(URI, "python", 1, "x = "))

    async def script(message: wire.Request, send: Send) -> None:
        if len(daemon.heard) > 2:
            ls.workspace.get_text_document(URI).version = 2
        await answering("1")(message, send)

    params = protocol.InlineParams(
        t.InlineCompletionContext(t.InlineCompletionTriggerKind.Invoked),
        t.TextDocumentIdentifier(URI),
        t.Position(0, 4),
    )
    async with ScriptedDaemon(folder / "daemon.sock", script) as daemon:
        assert [item.insert_text for item in await suggesting.suggest(ls, params)] == ["1"]
        assert await suggesting.suggest(ls, params) == []
        await ls.contact.close()


async def test_a_key_that_the_model_is_about_to_write_does_not_end_its_request(
    folder: Path,
) -> None:
    go = asyncio.Event()

    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await send(wire.Draft(id=message.id, block=0, step=1, text="foo(1)", stable=6))
        await go.wait()
        await answering("foo(1)")(message, send)

    async with ScriptedDaemon(folder / "daemon.sock", script) as daemon, editor(folder) as one:
        one.open("x = \n")
        first = one.ask(0, 4)
        await completes(daemon)
        here = t.Position(0, 4)
        one.change("f", t.Range(here, here))
        assert texts(await first) == []
        second = one.ask(0, 5)
        go.set()
        assert texts(await second) == ["oo(1)"]
        assert len(daemon._of(wire.Complete)) == 1
        assert daemon._of(wire.Cancel) == []


async def test_a_request_that_names_another_version_than_the_document_s_is_stale(
    folder: Path,
) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder) as one,
    ):
        one.version = 3
        one.open("x = ")
        assert texts(await one.ask(0, 4, version=4)) == []
        assert texts(await one.ask(0, 4, version=2)) == []
        assert not any(isinstance(message, wire.Complete) for message in daemon.heard)
        assert texts(await one.ask(0, 4, version=3)) == ["y"]
