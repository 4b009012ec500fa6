"""An editor that says what a test tells it to, on a real server: `editor`."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lsprotocol import types as t
from pytest_lsp import LanguageClient, make_test_lsp_client
from scripted_daemon import ScriptedDaemon

from dgemma_lsp import protocol, wire
from dgemma_lsp.config import Completion, Config, Model
from dgemma_lsp.outcome_log import OutcomeLog
from dgemma_lsp.outcomes import Ended

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


def recorded(folder: Path) -> list[Ended]:
    lines = OutcomeLog(folder / "outcomes.jsonl").read()
    return [line for line in lines if isinstance(line, Ended)]


async def run(one: Editor, command: str, *arguments: object) -> Any:
    params = t.ExecuteCommandParams(command, arguments=list(arguments))
    return await one.client.workspace_execute_command_async(params)
