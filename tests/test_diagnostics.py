import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Union

import msgspec
import pytest
from lsprotocol import types as t
from pytest_lsp import LanguageClient, make_test_lsp_client
from scripted_daemon import ScriptedDaemon, Send

from dgemma_lsp import wire
from dgemma_lsp.accepted import DICTIONARY
from dgemma_lsp.config import Config, Model, Proofread

URI = "file:///tmp/a%20b/wörld.md"
CONFIG = Config(model=Model(name="scripted"))
TEXT = "# A title\n\nIt is 🙂 one functoin of many here.\n\nNothing is wrong with this one.\n"
COLUMN = len("It is 🙂 one ") + 1  # the emoji has two UTF-16 units
WRONG = ("functoin", "teh", " the the")
SERVE = """
import sys
from pathlib import Path
import msgspec
from dgemma_lsp import diagnostics, server
from dgemma_lsp.config import Config, Paths
diagnostics.PAUSE_S = 0.0
diagnostics.TELL_S = 0.0
folder = Path(sys.argv[1])
paths = Paths(config_file=folder / "config.toml", runtime=folder, state=folder)
server.run(msgspec.json.decode(sys.argv[2], type=Config), paths)
"""
PULLS = t.ClientCapabilities(
    text_document=t.TextDocumentClientCapabilities(diagnostic=t.DiagnosticClientCapabilities()),
    workspace=t.WorkspaceClientCapabilities(
        diagnostics=t.DiagnosticWorkspaceClientCapabilities(refresh_support=True)
    ),
)
PULLS_ONLY = t.ClientCapabilities(text_document=PULLS.text_document)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir="/tmp"))  # short: a socket's path has at most 107 bytes
    yield path
    shutil.rmtree(path)


async def judge(message: wire.Request, send: Send) -> None:
    """Find a text the more probable the less is WRONG in it."""
    assert isinstance(message, wire.Score)
    found = [-50.0 * (sum(map(text.count, WRONG))) for text in message.texts]
    await send(wire.Scores(id=message.id, log_probs=found))
    await send(wire.Done(id=message.id, reason="settled"))


class Editor:
    """An editor, and what it was told of its documents."""

    def __init__(self, client: LanguageClient) -> None:
        self.client = client
        self.version = 0
        self.refreshed = asyncio.Semaphore(0)

    def open(self, text: str = TEXT, uri: str = URI, language: str = "markdown") -> None:
        item = t.TextDocumentItem(uri, language, self.version, text)
        self.client.text_document_did_open(t.DidOpenTextDocumentParams(item))

    def change(self, text: str) -> None:
        self.version += 1
        self.client.text_document_did_change(
            t.DidChangeTextDocumentParams(
                t.VersionedTextDocumentIdentifier(self.version, URI),
                [t.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    async def shows(self, wanted: Callable[[list[str]], bool], uri: str = URI) -> list[Any]:
        """Wait until the texts of the rules that were pushed are as wanted."""
        told = self.client.diagnostics
        while uri not in told or not wanted([str(one.code) for one in told[uri]]):
            await self.client.wait_for_notification(t.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        return list(self.client.diagnostics[uri])

    async def pull(self) -> list[t.Diagnostic]:
        params = t.DocumentDiagnosticParams(t.TextDocumentIdentifier(URI))
        answer = await self.client.text_document_diagnostic_async(params)
        assert isinstance(answer, t.RelatedFullDocumentDiagnosticReport)
        return list(answer.items)

    async def actions(self, place: t.Range) -> dict[str, t.CodeAction]:
        params = t.CodeActionParams(
            t.TextDocumentIdentifier(URI), place, t.CodeActionContext(diagnostics=[])
        )
        answer = await self.client.text_document_code_action_async(params)
        return {action.title: action for action in answer or [] if isinstance(action, t.CodeAction)}

    async def choose(self, title: str, place: t.Range) -> None:
        found = await self.actions(place)
        assert title in found, found
        command = found[title].command
        assert command is not None
        params = t.ExecuteCommandParams(command.command, arguments=command.arguments)
        await self.client.workspace_execute_command_async(params)


@asynccontextmanager
async def editor(
    folder: Path, capabilities: t.ClientCapabilities | None = None, config: Config = CONFIG
) -> AsyncIterator[Editor]:
    client = make_test_lsp_client()
    one = Editor(client)
    features = client.protocol.fm.features  # where pytest-lsp has one of its own already
    features[t.WORKSPACE_DIAGNOSTIC_REFRESH] = lambda params: one.refreshed.release()
    # lsprotocol takes an action with a command for a command.
    converter = client.protocol._converter
    converter.register_structure_hook(
        Union[t.Command, t.CodeAction],  # noqa: UP007  the very type that lsprotocol asks for
        lambda raw, _: converter.structure(raw, t.CodeAction),
    )
    encoded = msgspec.json.encode(config).decode()
    await client.start_io(sys.executable, "-c", SERVE, str(folder), encoded)
    try:
        async with asyncio.timeout(120):
            await client.initialize_session(
                t.InitializeParams(
                    capabilities=capabilities or t.ClientCapabilities(),
                    workspace_folders=[t.WorkspaceFolder(folder.as_uri(), "f")],
                )
            )
            yield one
    finally:
        await client.shutdown_session()
        await client.stop()


HERE = t.Range(t.Position(2, COLUMN), t.Position(2, COLUMN + 8))


async def test_a_mistake_is_pushed_with_its_exact_range_and_goes_when_it_is_mended(
    folder: Path,
) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", judge), editor(folder) as one:
        one.open()
        (told,) = await one.shows(lambda rules: rules == ["spelling"])
        assert told.range == HERE
        assert told.source == "dgemma"
        assert told.severity == t.DiagnosticSeverity.Information
        one.change(TEXT.replace("functoin", "function"))
        await one.shows(lambda rules: rules == [])


async def test_an_editor_that_pulls_is_told_to_when_more_is_known(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", judge), editor(folder, PULLS) as one:
        one.open()
        while not (found := await one.pull()):
            await one.refreshed.acquire()
        assert [item.range for item in found] == [HERE]
        assert URI not in one.client.diagnostics


async def test_an_editor_that_pulls_but_cannot_be_told_is_not_told_twice(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", judge), editor(folder, PULLS_ONLY) as one:
        one.open()
        await one.shows(lambda rules: rules == ["spelling"])
        assert await one.pull() == []


async def test_the_first_quick_fix_puts_it_right(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", judge), editor(folder) as one:
        one.open()
        await one.shows(lambda rules: rules == ["spelling"])
        actions = await one.actions(t.Range(HERE.start, HERE.start))
        first = actions["Change to “function”"]
        assert first.is_preferred and first.edit and first.edit.changes
        assert list(first.edit.changes[URI]) == [t.TextEdit(HERE, "function")]
        assert await one.actions(t.Range(t.Position(4, 0), t.Position(4, 3))) == {}


@pytest.mark.parametrize(
    "choice",
    [
        "Ignore this here",
        "Accept “functoin” in this file",
        "Add “functoin” to the project's dictionary",
        "Never tell of spelling",
    ],
)
async def test_what_is_ignored_stays_ignored_after_a_restart(folder: Path, choice: str) -> None:
    two = TEXT + "\nAnd here are teh others of them.\n"
    async with ScriptedDaemon(folder / "daemon.sock", judge):
        async with editor(folder) as one:
            one.open(two)
            await one.shows(lambda rules: len(rules) == 2)
            await one.choose(choice, HERE)
            await one.shows(lambda rules: len(rules) < 2)
        assert (folder / DICTIONARY).exists() == choice.startswith("Add")
        async with editor(folder) as one:
            one.open(two)
            one.open("It is one functoin of the the many.\n", uri="file:///tmp/last.md")
            if "Never" not in choice:
                (left,) = await one.shows(lambda rules: len(rules) == 1)
                assert left.message == "Misspelt: “the”?"
            here_alone = choice.startswith(("Ignore", "Accept"))
            elsewhere = ["spelling", "repeated"] if here_alone else ["repeated"]
            await one.shows(lambda rules: rules == elsewhere, "file:///tmp/last.md")


@pytest.mark.parametrize(
    "options",
    [Proofread(enabled=False), Proofread(languages=("latex",)), Proofread(rules_off=["spelling"])],
)
async def test_what_is_turned_off_is_not_told(folder: Path, options: Proofread) -> None:
    config = msgspec.structs.replace(CONFIG, proofread=options)
    async with (
        ScriptedDaemon(folder / "daemon.sock", judge),
        editor(folder, PULLS, config) as one,
    ):
        one.open()
        one.open("This is the the end.\n", uri="file:///tmp/last.tex", language="latex")
        assert await one.pull() == []


async def test_a_file_that_the_workspace_leaves_out_is_not_read(folder: Path) -> None:
    (folder / ".dgemmaignore").write_text("secret.md\n")
    async with ScriptedDaemon(folder / "daemon.sock", judge), editor(folder) as one:
        secret, open_to_all = ((folder / name).as_uri() for name in ("secret.md", "other.md"))
        one.open(uri=secret)
        one.open(uri=open_to_all)
        await one.shows(lambda rules: rules == ["spelling"], open_to_all)
        assert secret not in one.client.diagnostics


async def test_a_source_file_is_read_in_its_comments_where_it_is_asked_for(folder: Path) -> None:
    config = msgspec.structs.replace(CONFIG, proofread=Proofread(languages=("*",)))
    async with (
        ScriptedDaemon(folder / "daemon.sock", judge),
        editor(folder, config=config) as one,
    ):
        one.open("functoins = 1  # It is one functoin of many here.\n", language="python")
        (found,) = await one.shows(lambda rules: rules == ["spelling"])
        assert found.range.start == t.Position(0, 27)


async def test_a_setting_holds_for_documents_that_are_open_already(folder: Path) -> None:
    async with ScriptedDaemon(folder / "daemon.sock", judge), editor(folder) as one:
        one.open("# It is one functoin of many here.\n", language="python")
        settings = {"dgemma": {"proofread": {"languages": ["*"]}}}
        one.client.workspace_did_change_configuration(t.DidChangeConfigurationParams(settings))
        await one.shows(lambda rules: rules == ["spelling"])
        off = {"dgemma": {"proofread": {"enabled": False}}}
        one.client.workspace_did_change_configuration(t.DidChangeConfigurationParams(off))
        await one.shows(lambda rules: rules == [])


async def test_only_a_changed_sentence_is_asked_about_again(folder: Path) -> None:
    # A finding in each sentence tells that all of them have been judged.
    text = TEXT.replace("with this one", "with teh one")
    async with ScriptedDaemon(folder / "daemon.sock", judge) as daemon, editor(folder) as one:
        one.open(text)
        await one.shows(lambda rules: rules == ["spelling"] * 2)
        one.change(text.replace("many", "teh several"))
        await one.shows(lambda rules: rules == ["spelling"] * 3)
        asked = [m.texts[0] for m in daemon.heard if isinstance(m, wire.Score)]
        assert len(asked) == len(set(asked))


async def test_without_a_daemon_nothing_is_told_and_completion_goes_on(folder: Path) -> None:
    config = msgspec.structs.replace(CONFIG, proofread=Proofread(model=False))
    async with ScriptedDaemon(folder / "daemon.sock", judge), editor(folder, config=config) as one:
        one.open("This is the the end of it.\n")
        (told,) = await one.shows(lambda rules: rules == ["repeated"])
        assert told.range == t.Range(t.Position(0, 11), t.Position(0, 15))


async def test_a_long_document_keeps_no_completion_waiting(folder: Path) -> None:
    heard = asyncio.Event()

    async def script(message: wire.Request, send: Send) -> None:
        if isinstance(message, wire.Complete):
            heard.set()
            await send(wire.Block(id=message.id, block=0, text="x"))
            await send(wire.Done(id=message.id, reason="settled"))
        else:
            await judge(message, send)

    async with ScriptedDaemon(folder / "daemon.sock", script), editor(folder) as one:
        long = TEXT.replace("functoin", "function") * 11_000 + TEXT  # of 1 MB
        one.open(long)
        one.open("It is ", uri="file:///tmp/short.md")
        params = t.InlineCompletionParams(
            t.InlineCompletionContext(t.InlineCompletionTriggerKind.Invoked),
            t.TextDocumentIdentifier("file:///tmp/short.md"),
            t.Position(0, 6),
        )
        await one.client.text_document_inline_completion_async(params)
        assert heard.is_set()
        # The long one has not been read by then.
        assert URI not in one.client.diagnostics
        await one.shows(lambda rules: "spelling" in rules)
