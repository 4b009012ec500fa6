import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from pytest_lsp import LanguageClient, client_capabilities, make_test_lsp_client
from scripted_daemon import ScriptedDaemon, Send, answering, silent

from dgemma_lsp import protocol, server, wire
from dgemma_lsp.config import Completion, Config, Model, Paths
from dgemma_lsp.config import Editor as EditorOptions
from dgemma_lsp.ignores import NAME
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Ended
from dgemma_lsp.verdict import SPARES

URI = "file:///tmp/a%20b/wörld.py"
# What is prepared meanwhile is another request, for which a test must ask.
ALONE = Completion(prefetch=False)
CONFIG = Config(model=Model(name="scripted"), completion=ALONE)
SERVE = """
import sys
from pathlib import Path
import msgspec
from dgemma_lsp import client, server
from dgemma_lsp.config import Config, Paths
client.DAEMON_COMMAND = (sys.executable, "-c", "raise SystemExit('no weights here')")
client.EXIT_GRACE_S = 0.0
client.FIRST_PAUSE_S = 0.01
folder = Path(sys.argv[1])
paths = Paths(config_file=folder / "config.toml", runtime=folder, state=folder)
server.run(msgspec.json.decode(sys.argv[2], type=Config), paths, sys.argv[3:])
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir="/tmp"))  # short: a socket's path has at most 107 bytes
    yield path
    shutil.rmtree(path)


def speaking(*encodings: str) -> t.ClientCapabilities:
    return t.ClientCapabilities(
        general=t.GeneralClientCapabilities(
            position_encodings=[t.PositionEncodingKind(name) for name in encodings]
        )
    )


class Editor:
    """One document in an editor, and what the server answered to `initialize`."""

    def __init__(self, client: LanguageClient, result: t.InitializeResult) -> None:
        self.client = client
        self.result = result
        self.version = 0
        self.statuses: list[Any] = []
        self.drafts: list[Any] = []
        self.registered: asyncio.Queue[Any] = asyncio.Queue()

    def open(self, text: str, uri: str = URI, language: str = "python") -> None:
        self.client.text_document_did_open(
            t.DidOpenTextDocumentParams(t.TextDocumentItem(uri, language, self.version, text))
        )

    def change(self, text: str, place: t.Range | None = None, uri: str = URI) -> None:
        self.version += 1
        change = (
            t.TextDocumentContentChangePartial(place, text)
            if place
            else t.TextDocumentContentChangeWholeDocument(text)
        )
        self.client.text_document_did_change(
            t.DidChangeTextDocumentParams(
                t.VersionedTextDocumentIdentifier(self.version, uri), [change]
            )
        )

    def ask(
        self,
        line: int,
        character: int,
        *,
        uri: str = URI,
        trigger: int = 2,
        chosen: t.SelectedCompletionInfo | None = None,
        version: int | None = None,
        id: str | None = None,
    ) -> asyncio.Future[Any]:
        params = {
            "textDocument": {"uri": uri} | ({"version": version} if version is not None else {}),
            "position": {"line": line, "character": character},
            "context": {"triggerKind": trigger}
            | (
                {"selectedCompletionInfo": self.client.protocol._converter.unstructure(chosen)}
                if chosen
                else {}
            ),
        }
        return self.send(t.TEXT_DOCUMENT_INLINE_COMPLETION, params, id)

    def send(self, method: str, params: object, id: str | None = None) -> asyncio.Future[Any]:
        """Send a request as it is, past the client's own checks."""
        protocol = self.client.protocol
        id = id or f"test-{len(protocol._request_futures)}-{self.version}-{method}"
        future = protocol._request_futures[id] = asyncio.Future()  # type: ignore[assignment]
        protocol._result_types[id] = protocol.get_result_type(method)
        protocol._send_data({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        return future  # type: ignore[return-value]

    async def until_ready(self) -> None:
        """Wait until the server, whose status was asked for, has its daemon."""
        while not any(status.state == "ready" for status in self.statuses):
            await self.client.wait_for_notification(protocol.STATUS)

    async def told(self) -> str:
        """Wait until the user was told something; return the last of it."""
        while not self.client.messages:
            await self.client.wait_for_notification(t.WINDOW_SHOW_MESSAGE)
        return self.client.messages[-1].message


@asynccontextmanager
async def editor(
    folder: Path,
    config: Config = CONFIG,
    capabilities: t.ClientCapabilities | None = None,
    options: object = None,
    folders: list[t.WorkspaceFolder] | None = None,
    settings: object = None,
    problem: str | None = None,
) -> AsyncIterator[Editor]:
    client = make_test_lsp_client()
    client.set_configuration({"dgemma": settings})
    registered: asyncio.Queue[Any] = asyncio.Queue()
    client.feature(t.CLIENT_REGISTER_CAPABILITY)(lambda p: registered.put_nowait(p.registrations))
    statuses: list[Any] = []
    client.feature(protocol.STATUS)(lambda status: statuses.append(status))
    drafts: list[Any] = []
    client.feature(protocol.DRAFT)(lambda draft: drafts.append(plain(draft)))
    encoded = msgspec.json.encode(config).decode()
    problems = [problem] if problem else []
    await client.start_io(sys.executable, "-c", SERVE, str(folder), encoded, *problems)
    try:
        params = t.InitializeParams(
            capabilities=capabilities or t.ClientCapabilities(),
            initialization_options=options,  # type: ignore[arg-type]
            workspace_folders=folders,
        )
        one = Editor(client, await client.initialize_session(params))
        one.statuses, one.registered, one.drafts = statuses, registered, drafts
        yield one
    finally:
        await client.shutdown_session()
        await client.stop()


def plain(params: Any) -> Any:
    """Return what pygls makes of parameters that it does not know as what they were."""
    if not hasattr(params, "_asdict"):
        return params
    return {name: plain(value) for name, value in params._asdict().items()}


def texts(answer: Any) -> list[str]:
    return [item.insert_text for item in answer]


async def completes(daemon: ScriptedDaemon, count: int = 1) -> wire.Complete:
    return (await daemon.heard_of(wire.Complete, count))[-1]


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


async def test_edits_behind_a_form_feed_reach_their_line(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("y")) as daemon,
        editor(folder) as one,
    ):
        one.open("import a\n\x0c\ndef f():\n    pass\n")
        one.change("return ", t.Range(t.Position(3, 4), t.Position(3, 8)))
        await one.ask(3, 11)
        assert (await completes(daemon)).prefix == "import a\n\x0c\ndef f():\n    return "


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


async def test_a_request_that_cannot_be_read_is_answered_and_the_next_one_too(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("y")), editor(folder) as one:
        one.open("x = ")
        for params in ({}, {"textDocument": {"uri": URI}, "context": {"triggerKind": 9}}):
            with pytest.raises(JsonRpcException):
                await one.send(t.TEXT_DOCUMENT_INLINE_COMPLETION, params)
        assert texts(await one.ask(0, 4)) == ["y"]
        assert not one.client.messages


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


# -- notebooks -----------------------------------------------------------------------------------

NOTEBOOK = "file:///a.ipynb"


async def test_a_cell_is_completed_with_the_cells_above_it_as_they_are_now(folder: Path) -> None:
    cells = [
        t.TextDocumentItem(f"vscode-notebook-cell:/a.ipynb#{name}", "python", 1, text)
        for name, text in (("1", "one = 1"), ("2", "x = "))
    ]
    notebook = t.NotebookDocument(
        NOTEBOOK,
        "jupyter-notebook",
        1,
        [t.NotebookCell(t.NotebookCellKind.Code, cell.uri) for cell in cells],
    )
    capabilities = t.ClientCapabilities(
        notebook_document=t.NotebookDocumentClientCapabilities(
            t.NotebookDocumentSyncClientCapabilities()
        )
    )
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("one + 1")) as daemon,
        editor(folder, capabilities=capabilities) as one,
    ):
        assert one.result.capabilities.notebook_document_sync
        one.client.notebook_document_did_open(t.DidOpenNotebookDocumentParams(notebook, cells))
        [item] = await one.ask(0, 4, uri=cells[1].uri)
        assert item.insert_text == "one + 1"
        assert (await completes(daemon)).prefix == "one = 1\n\nx = "
        whole = t.TextDocumentContentChangeWholeDocument
        edits = [
            t.NotebookDocumentCellContentChanges(
                t.VersionedTextDocumentIdentifier(2, cell.uri), [whole(text)]
            )
            for cell, text in zip(cells, ("two = 2", "x = one + 1"), strict=True)
        ]
        change = t.NotebookDocumentChangeEvent(
            cells=t.NotebookDocumentCellChanges(text_content=edits)
        )
        document = t.VersionedNotebookDocumentIdentifier(2, NOTEBOOK)
        one.client.notebook_document_did_change(t.DidChangeNotebookDocumentParams(document, change))
        await one.ask(0, 4, uri=cells[1].uri, trigger=1)
        assert (await completes(daemon, 2)).prefix == "two = 2\n\nx = "
        assert [end.outcome for end in recorded(folder)] == ["accepted"]
        one.client.notebook_document_did_close(
            t.DidCloseNotebookDocumentParams(
                t.NotebookDocumentIdentifier(NOTEBOOK),
                [t.TextDocumentIdentifier(cell.uri) for cell in cells],
            )
        )
        assert texts(await one.ask(0, 4, uri=cells[1].uri)) == []


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


async def test_a_closed_document_is_forgotten(folder: Path) -> None:
    async with (
        ScriptedDaemon(folder / "daemon.sock", answering("1")) as daemon,
        editor(folder) as one,
    ):
        for count in (1, 2):
            one.open("x = ")
            assert texts(await one.ask(0, 4)) == ["1"]
            assert len(daemon._of(wire.Complete)) == count
            one.client.text_document_did_close(
                t.DidCloseTextDocumentParams(t.TextDocumentIdentifier(URI))
            )


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


# -- what becomes of it --------------------------------------------------------------------------


def recorded(folder: Path) -> list[Ended]:
    lines = OutcomeLog(folder / "outcomes.jsonl").read()
    return [line for line in lines if isinstance(line, Ended)]


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


# -- why nothing, pause, how it is ---------------------------------------------------------------


async def run(one: Editor, command: str, *arguments: object) -> Any:
    params = t.ExecuteCommandParams(command, arguments=list(arguments))
    return await one.client.workspace_execute_command_async(params)


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


async def test_a_dismissed_item_is_not_shown_again_by_itself(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", answering("1")), editor(folder) as one:
        one.open("x = ")
        [item] = await one.ask(0, 4)
        one.client.protocol.notify(protocol.DID_REJECT, {"item": told(item)})
        assert texts(await one.ask(0, 4)) == []
        assert texts(await one.ask(0, 4, trigger=1)) == ["1"]


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


@pytest.mark.parametrize("event", ["change", "close"])
async def test_an_edit_ends_the_request_that_it_makes_stale(folder: Path, event: str) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", silent) as daemon, editor(folder) as one:
        one.open("x = ")
        stale = one.ask(0, 4)
        asked = await completes(daemon)
        if event == "change":
            one.change("y = ")
        else:
            one.client.text_document_did_close(
                t.DidCloseTextDocumentParams(t.TextDocumentIdentifier(URI))
            )
        assert texts(await stale) == []
        assert await daemon.heard_of(wire.Cancel) == [wire.Cancel(id=asked.id)]


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
        assert [item.insert_text for item in await server.suggest(ls, params)] == ["1"]
        assert await server.suggest(ls, params) == []
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


async def test_a_hundred_rapid_edits_are_all_answered_and_the_last_is_right(folder: Path) -> None:
    async def script(message: wire.Request, send: Send) -> None:
        assert isinstance(message, wire.Complete)
        await answering(f"({len(message.prefix)})")(message, send)

    async with ScriptedDaemon(folder / "daemon.sock", script), editor(folder) as one:
        one.open("")
        answers = []
        for column in range(100):
            place = t.Position(0, column)
            one.change("é", t.Range(place, place))
            answers.append(one.ask(0, column + 1, id=f"key-{column}"))
        got = [texts(answer) for answer in await asyncio.gather(*answers)]
        assert got[-1] == ["(100)"]
        assert all(shown in ([], [f"({n + 1})"]) for n, shown in enumerate(got))


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
