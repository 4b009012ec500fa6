"""Types a trace again with the shipped language server, as an editor and its person would.

The editor asks after every key and takes the older question back, and shows what it is answered as
long as the typed text agrees with it. The person takes what is exactly what they were about to
type, once they had the time to see it. Daemon and server are real processes in folders of their
own. What was seen is counted in `replay_figures`; here is the clock and the protocol.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
from lsprotocol import types as t
from msgspec import Struct
from pygls.exceptions import JsonRpcRequestCancelled
from pygls.lsp.client import LanguageClient
from rich.console import Console
from rich.progress import Progress

from dgemma_lsp import control, keystrokes, settings, wire
from dgemma_lsp.config import Config, Paths
from dgemma_lsp.edits import between
from dgemma_lsp.errors import UserError
from dgemma_lsp.keystrokes import JUMP_S, Piece
from dgemma_lsp.protocol import ACCEPTED, DID_SHOW
from dgemma_lsp.replay_figures import Figures, Played, Shown, figures

# From the moment at which a text is drawn until a person has read it and may press the key for it.
READ_S = 0.3

ENOUGH_S = 600.0  # for a model to be loaded

# What is measured, and the options that make it so.
WAYS: dict[str, dict[str, dict[str, object]]] = {
    "cache and prefetch": {},
    "no prefetch": {"completion": {"prefetch": False}},
    "no cache": {"model": {"cache_mb": 0}},
    "neither": {"completion": {"prefetch": False}, "model": {"cache_mb": 0}},
}


def run(
    states: tuple[str, str],
    config: Config,
    environment: Mapping[str, str],
    *,
    characters: int,
    ways: Sequence[str],
    seed: int,
) -> Iterator[Figures]:
    """Type so many characters of what changed between two states, in each way; raises UserError."""
    if unknown := set(ways) - set(WAYS):
        raise UserError(f"--way {unknown.pop()}: there are {', '.join(WAYS)}")
    with tempfile.TemporaryDirectory() as folder:
        before, after = trees(*states, Path(folder))
        pieces = keystrokes.drawn(history(before, after), characters, seed)
        if not pieces:
            raise UserError(f"{' and '.join(states)}: nothing in their Python files was typed anew")
        screen = Console(stderr=True)
        for way in ways or WAYS:
            chosen = with_options(config, WAYS[way])
            with Progress(
                console=screen, transient=True, disable=not screen.is_terminal
            ) as progress:
                task = progress.add_task(way, total=len(pieces))
                tell = partial(progress.advance, task)
                played = asyncio.run(play(before, pieces, chosen, environment, tell, seed))
            yield figures(way, played)


def trees(old: str, new: str, folder: Path) -> tuple[Path, Path]:
    """Return the folders of two states of a project, each a folder or pinned.

    What is pinned, such as structlog==26.1.0, is fetched by pip into `folder`. Raises UserError.
    """
    return _tree(old, folder / "old"), _tree(new, folder / "new")


def history(before: Path, after: Path) -> list[list[Piece]]:
    """Return what was typed in each file between two states of a project."""
    both = [
        (name, before / name, after / name)
        for name in sorted(path.relative_to(after) for path in after.rglob("*.py"))
        if (before / name).exists()
    ]
    return [
        list(keystrokes.pieces(str(name), was.read_text("utf-8"), now.read_text("utf-8")))
        for name, was, now in both
    ]


def _tree(place: str, target: Path) -> Path:
    if Path(place).is_dir():
        return Path(place).absolute()
    if "==" not in place:
        raise UserError(f"{place}: neither a folder nor a pinned package such as click==8.1.7")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    only = ["--only-binary", ":all:", "--target", str(target)]
    run = subprocess.run([*command, *only, place], check=False, capture_output=True, text=True)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["pip gives no reason"])[-1]
        raise UserError(f"{place}: cannot be fetched: {reason}")
    return target


async def play(
    root: Path,
    pieces: Sequence[Piece],
    config: Config,
    environment: Mapping[str, str],
    tell: Callable[[], None],
    seed: int,
) -> Played:
    """Type all pieces with this configuration; `tell` hears of each that is done.

    The workspace is `root`, the older state of the project.
    """
    with tempfile.TemporaryDirectory(prefix="dgemma-") as name:
        home = Home(Path(name), config, environment)
        try:
            async with home.editor(root) as client:
                before = await home.ready()
                typist = _Typist(client, root, seed)
                for number, piece in enumerate(pieces):
                    await typist.write(number, piece)
                    tell()
                await typist.rest()
                return typist.played(before, await home.report())
        finally:
            await control.stop(config, home.paths)


class Home:
    """A user of their own, with a configuration, in an empty folder."""

    def __init__(self, folder: Path, config: Config, environment: Mapping[str, str]) -> None:
        self._config = config
        self.paths = Paths(
            runtime=folder / "run" / "dgemma",
            state=folder / "state" / "dgemma",
            config_file=folder / "config.toml",
        )
        (folder / "run").mkdir(mode=0o700)
        settings.prepare_folders(self.paths)
        self.paths.config_file.write_text(to_toml(config), encoding="utf-8")
        self._environment = {
            **environment,
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    @asynccontextmanager
    async def editor(self, root: Path) -> AsyncIterator[LanguageClient]:
        """Run the language server and open a folder in a session that counts in characters."""
        client = LanguageClient("replay", "1")
        command = [sys.executable, "-m", "dgemma_lsp", "lsp"]
        config_file = ["--config", str(self.paths.config_file)]
        # pygls reads nothing of the server's log, and a full pipe would stop the server.
        quietly = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh"]
        await client.start_io(*quietly, *command, *config_file, env=self._environment)
        encodings = t.GeneralClientCapabilities(position_encodings=[t.PositionEncodingKind.Utf32])
        await client.initialize_async(
            t.InitializeParams(
                capabilities=t.ClientCapabilities(general=encodings),
                workspace_folders=[t.WorkspaceFolder(root.as_uri(), root.name)],
            )
        )
        client.initialized(t.InitializedParams())
        try:
            yield client
        finally:
            await client.shutdown_async(None)
            client.exit(None)
            await client.stop()  # type: ignore[no-untyped-call]

    async def ready(self) -> wire.Report:
        """Wait for the model; return how the daemon is then."""
        async with asyncio.timeout(ENOUGH_S):
            while True:
                report = await control.report(self._config, self.paths)
                if report is not None and report.state == "failed":
                    raise UserError(f"the model cannot be used: {report.detail}")
                if report is not None and report.state == "ready":
                    return report
                await asyncio.sleep(0.1)

    async def report(self) -> wire.Report:
        """Return how the daemon is."""
        report = await control.report(self._config, self.paths)
        if report is None:
            raise UserError(f"the daemon ended before the trace did; see {self.paths.log}")
        return report


def to_toml(config: Config) -> str:
    """Return the configuration as its file is written, options without a value left out."""
    tree = {
        section: {name: value for name, value in options.items() if value is not None}
        for section, options in msgspec.to_builtins(config).items()
    }
    return tomlkit.dumps(tree)


def with_options(base: Config, options: Mapping[str, Mapping[str, object]]) -> Config:
    """Return the configuration with some options of some sections replaced."""
    for section, values in options.items():
        base = settings.with_values(base, section, **values)
    return base


class _Ghost(Struct):
    """What is left of a text on screen, and since when it stands there."""

    text: str
    since: float
    id: str


class _Typist:
    """The editor with one person at it."""

    def __init__(self, client: LanguageClient, root: Path, seed: int) -> None:
        self._client = client
        self._root = root
        self._seed = seed
        self._loop = asyncio.get_running_loop()
        self._documents: dict[str, str] = {}
        self._version = 0
        self._uri = ""
        self._cursor = 0
        self._keys = 0
        self._taken: list[str] = []
        self._through_ms: list[float] = []
        self._shown: list[Shown] = []
        self._ghost: _Ghost | None = None
        self._questions: list[asyncio.Task[None]] = []
        self._id = ""  # of the question that stands
        self._to_come = ""  # what will be typed from here on

    async def write(self, number: int, piece: Piece) -> None:
        """Go to the piece's place, take out what it replaces, and type it."""
        self._go_to(piece)
        self._to_come = piece.text
        due = self._loop.time() + JUMP_S
        if piece.removed:
            await self._until(due)
            due = self._loop.time()
            self._edit(len(piece.removed), "")
        at = 0
        while at < len(piece.text):
            key = keystrokes.key(self._seed, number, piece.text, at)
            due += key.gap_s
            await self._until(due)
            if wanted := self._wanted():
                self._accept(wanted)
                at += len(wanted.text)
            elif key.wrong:
                self._to_come = ""
                self._edit(0, key.wrong, behind=True)
                due += key.gap_s
                await self._until(due)
                self._to_come = piece.text[at:]
                self._edit(1, "", behind=True)
                due += key.gap_s
                await self._until(due)
                at += self._type(key.text)
            else:
                at += self._type(key.text)

    async def rest(self) -> None:
        """Look at what came last for a while, as a person would, and leave nothing asked.

        Raises what a question failed with.
        """
        await asyncio.sleep(JUMP_S)
        self._take_back()
        await asyncio.gather(*self._questions)

    def played(self, before: wire.Report, after: wire.Report) -> Played:
        """Return what was seen between two reports of the daemon."""
        return Played(
            keys=self._keys,
            shown=self._shown,
            taken=self._taken,
            through_ms=self._through_ms,
            completed=after.completed - before.completed,
            withdrawn=after.withdrawn - before.withdrawn,
            steps=after.steps - before.steps,
            withdrawn_steps=after.withdrawn_steps - before.withdrawn_steps,
        )

    def _go_to(self, piece: Piece) -> None:
        """Show the piece's file as it was then; the cursor stands where the piece begins."""
        self._leave()
        self._uri = (self._root / piece.file).as_uri()
        text = piece.before + piece.removed + piece.after
        if (known := self._documents.get(self._uri)) is None:
            document = t.TextDocumentItem(self._uri, "python", self._version, text)
            self._client.text_document_did_open(t.DidOpenTextDocumentParams(document))
        elif known != text:
            edit = between(known, text)
            self._send_change(known, edit.start, edit.removed, text[edit.start :][: edit.added])
        self._documents[self._uri] = text
        self._cursor = len(piece.before)

    def _leave(self) -> None:
        self._ghost = None
        self._take_back()

    def _type(self, text: str) -> int:
        self._to_come = self._to_come[len(text) :]
        self._edit(0, text)
        return len(text)

    def _edit(self, removed: int, added: str, *, behind: bool = False) -> None:
        """Change the text at the cursor by one key, and ask what may follow.

        What is removed stands behind the cursor, or before it with `behind`.
        """
        began = self._loop.time()
        self._keys += 1
        text = self._documents[self._uri]
        start = self._cursor - removed if behind else self._cursor
        self._send_change(text, start, removed, added)
        self._documents[self._uri] = text[:start] + added + text[start + removed :]
        self._cursor = start + len(added)
        rest = self._ghost.text.removeprefix(added) if self._ghost and added else ""
        if self._ghost and rest and self._ghost.text.startswith(added):
            self._ghost.text = rest
        else:
            self._ghost = None
        self._ask(began)

    def _send_change(self, text: str, start: int, removed: int, added: str) -> None:
        self._version += 1
        place = t.Range(_position(text, start), _position(text, start + removed))
        document = t.VersionedTextDocumentIdentifier(self._version, self._uri)
        change = t.TextDocumentContentChangePartial(place, added)
        self._client.text_document_did_change(t.DidChangeTextDocumentParams(document, [change]))

    def _ask(self, began: float) -> None:
        self._take_back()
        self._id = str(self._version)
        question = self._answered(began, self._id, self._to_come)
        self._questions.append(self._loop.create_task(question))

    def _take_back(self) -> None:
        """Take back what was asked and is not answered."""
        if self._id:
            self._client.protocol.notify("$/cancelRequest", t.CancelParams(self._id))
        self._id = ""

    async def _answered(self, began: float, id: str, to_come: str) -> None:
        """Ask, and show what is answered while the question still stands."""
        params = t.InlineCompletionParams(
            context=t.InlineCompletionContext(t.InlineCompletionTriggerKind.Automatic),
            text_document=t.TextDocumentIdentifier(self._uri),
            position=_position(self._documents[self._uri], self._cursor),
        )
        try:
            answer: Any = await self._client.protocol.send_request_async(
                "textDocument/inlineCompletion", params, msg_id=id
            )
        except JsonRpcRequestCancelled:  # it was taken back
            return
        now = self._loop.time()
        if id != self._id:
            return
        self._id = ""
        items = getattr(answer, "items", answer) or []
        text = str(items[0].insert_text) if items else ""
        if not text:
            self._ghost = None
        elif self._ghost is not None and self._ghost.text == text:
            self._through_ms.append(1000 * (now - began))
        else:
            self._ghost = _Ghost(text, now, items[0].command.arguments[0])
            self._shown.append(Shown(text=text, to_come=to_come, ms=1000 * (now - began)))
            self._client.protocol.notify(DID_SHOW, {"item": _as_told(items[0])})

    def _wanted(self) -> _Ghost | None:
        """Return the text on screen where it is what would be typed, and was read by now."""
        ghost = self._ghost
        if ghost is None or self._loop.time() - ghost.since < READ_S:
            return None
        worth = len(ghost.text) > 1 and self._to_come.startswith(ghost.text)
        return ghost if worth else None

    def _accept(self, ghost: _Ghost) -> None:
        self._taken.append(ghost.text)
        self._type(ghost.text)
        command = t.ExecuteCommandParams(ACCEPTED, arguments=[ghost.id])
        self._client.protocol.send_request("workspace/executeCommand", command)

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._loop.time()))


def _position(text: str, offset: int) -> t.Position:
    line_start = text.rfind("\n", 0, offset) + 1
    return t.Position(text.count("\n", 0, offset), offset - line_start)


def _as_told(item: t.InlineCompletionItem) -> dict[str, object]:
    arguments = item.command.arguments if item.command else []
    return {
        "insertText": item.insert_text,
        "command": {"title": "", "command": ACCEPTED, "arguments": arguments},
    }
