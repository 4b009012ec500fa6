"""Every option once: frozen structs with defaults and ranges, and where files lie. No argv here.

The command line reads argv and the environment, builds `Paths`, loads the TOML file and lays the
options of the command over it. Unknown keys are refused, with their path.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from dgemma_lsp.errors import UserError


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model, where it runs, and how much it holds at once.

    `rows` texts are denoised together at most; `cache_mb` MiB hold what was read of documents.
    `quantize` loads the weights in 4 or 8 bits. A text of at most `short_tokens` tokens is written
    one token after another, which is faster there than denoising a canvas.
    """

    name: str = "nano"
    device: str = "auto"
    dtype: str = "auto"
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    quantize: Literal["", "4bit", "8bit"] = ""
    rows: Annotated[int, Meta(ge=1, le=4096)] = 32
    cache_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 512
    short_tokens: Annotated[int, Meta(ge=0, le=65536)] = 16


class Completion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Code completion in the editor; `steps` 0 takes the model's own default.

    At least `drawn` texts are drawn at once and the most probable shown, if their mean log
    probability for each token, in nats, is at least `min_confidence`. Besides, up to
    `causal_tokens` tokens are written one after another and take part in the choice (without the
    option as many as the model itself proposes, 0: none), and `copied` texts that stand at like
    places elsewhere: in the document, and in `copied_files` files of its kind in the workspace.
    Where one of these is worth `denoise_below` nats a token at least (without the option what the
    model proposes), nothing is denoised, unless somebody asks: `sampler.infill.worths` tells what a
    text is worth.

    `context_chars` of other files, opened or edited last, are read before the prefix, and
    `imports_chars` of the heads of what a Python file imports from its workspace; behind them, as
    comments, `diagnostics_chars` of what other language servers find wrong near the cursor, where
    the editor tells of it.

    With `next_edit` the line is suggested that follows from a word that was just replaced, if with
    it the text is at least `next_edit_gain` nats more probable than without (below 0: less).

    Fast typing is waited for, at most `debounce_ms` after a key; with `prefetch` the model goes on
    behind a suggestion while it is shown. The completion menu of an editor without ghost text is
    answered within `menu_ms`, with nothing where the model needs longer.
    """

    steps: Annotated[int, Meta(ge=0, le=1024)] = 0
    candidates: Annotated[int, Meta(ge=1, le=16)] = 3
    drawn: Annotated[int, Meta(ge=1, le=64)] = 3
    causal_tokens: Annotated[int, Meta(ge=0, le=4096)] | None = None
    denoise_below: Annotated[float, Meta(ge=-1e9, le=1e9)] | None = None
    copied: Annotated[int, Meta(ge=0, le=64)] = 8
    copied_files: Annotated[int, Meta(ge=0, le=10_000)] = 400
    deadline_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 2000
    prefix_chars: Annotated[int, Meta(ge=64, le=1_000_000)] = 6000
    suffix_chars: Annotated[int, Meta(ge=0, le=1_000_000)] = 2000
    context_chars: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    imports_chars: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    diagnostics_chars: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    max_lines: Annotated[int, Meta(ge=1, le=1000)] = 12
    min_confidence: Annotated[float, Meta(ge=-1e9, le=0)] = -2.0
    debounce_ms: Annotated[int, Meta(ge=0, le=10_000)] = 75
    menu_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 300
    prefetch: bool = True
    next_edit: bool = True
    next_edit_gain: Annotated[float, Meta(ge=-1e9, le=1e9)] = -30.0


class Editor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the language server is quiet, what it tells the editor, and what it records.

    Unless somebody asks, nothing is completed in `languages_off`, in `files_off` (gitignore
    patterns) and in longer texts than `max_file_chars`. `status` and `drafts` are sent to editors
    that ask for them. `record` keeps what became of each suggestion in a local log, "code" with the
    texts that were shown, "off" nothing.
    """

    languages_off: list[str] = []
    files_off: list[str] = []
    max_file_chars: Annotated[int, Meta(ge=0, le=100_000_000)] = 2_000_000
    status: bool = False
    drafts: bool = False
    record: Literal["off", "outcomes", "code"] = "outcomes"


PROSE = ("markdown", "plaintext", "restructuredtext", "rst", "text", "gitcommit", "latex", "tex")


class Proofread(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Proofreading of English in `languages` ("*" means all): in source files, of their comments.

    `rules_off` are not applied. Without `model` the rules judge alone, and find less.
    """

    enabled: bool = True
    languages: tuple[str, ...] = PROSE
    rules_off: list[str] = []
    model: bool = True


class Chat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The chat endpoint; `steps` 0 takes the model's own default.

    A conversation over `history_chars` characters loses its oldest turns.
    """

    steps: Annotated[int, Meta(ge=0, le=1024)] = 0
    max_tokens: Annotated[int, Meta(ge=1, le=65536)] = 512
    system: str = ""
    history_chars: Annotated[int, Meta(ge=64, le=4_000_000)] = 24_000


class Daemon(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The daemon's life and its listeners; `port` 0 lets the system choose one.

    `parallel` requests are in the model at a time; `queue` more of each kind may wait.
    """

    idle_minutes: Annotated[float, Meta(gt=0, le=100_000)] = 30.0
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    parallel: Annotated[int, Meta(ge=1, le=1000)] = 8
    queue: Annotated[int, Meta(ge=1, le=10_000)] = 32
    origins: list[str] = []


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration file."""

    model: Model = Model()
    completion: Completion = Completion()
    editor: Editor = Editor()
    proofread: Proofread = Proofread()
    chat: Chat = Chat()
    daemon: Daemon = Daemon()


class Paths(Struct, frozen=True, kw_only=True):
    """Where this user's files lie: `runtime` is 0700 and dies with the login, `state` stays."""

    config_file: Path
    runtime: Path
    state: Path

    @property
    def socket(self) -> Path:
        """The daemon's Unix socket, 0600."""
        return self.runtime / "daemon.sock"

    @property
    def lock(self) -> Path:
        """Held by the one daemon of this user."""
        return self.runtime / "daemon.lock"

    @property
    def endpoint(self) -> Path:
        """JSON with the loopback port and the bearer token of the running daemon, 0600."""
        return self.runtime / "endpoint.json"

    @property
    def page(self) -> Path:
        """JSON with the port of the page and the hashes of its sessions, 0600."""
        return self.runtime / "page.json"

    @property
    def log(self) -> Path:
        """The daemon's and the model process's log."""
        return self.state / "daemon.log"

    @property
    def conversations(self) -> Path:
        """The kept conversations, SQLite, 0600."""
        return self.state / "conversations.db"

    @property
    def chat_history(self) -> Path:
        """The lines that were typed in `dgemma chat`, 0600."""
        return self.state / "chat_history"

    @property
    def outcomes(self) -> Path:
        """What became of the suggestions, JSON lines."""
        return self.state / "outcomes.jsonl"

    @property
    def accepted(self) -> Path:
        """What proofreading leaves alone: words, places and rules, JSON."""
        return self.state / "accepted.json"


def load(path: Path) -> Config:
    """Read the TOML file; a missing file gives the defaults.

    Raises UserError, naming the file and the key, for anything that cannot be taken.
    """
    try:
        return msgspec.convert(read(path), Config)
    except msgspec.ValidationError as exc:
        raise UserError(f"{path}: {exc}; see the options in the README") from exc


def read(path: Path) -> dict[str, Any]:
    """Return what the TOML file says, unchecked; nothing if it is missing.

    Raises UserError where it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as exc:
        raise UserError(f"{path}: not valid TOML: {exc}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise UserError(f"{path}: cannot be read: {exc}") from exc
