"""The import rules and the layout, read from the sources with `ast` and not by running them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APPLICATION = sorted((ROOT / "dgemma_lsp").glob("*.py"))
MODULES = [*APPLICATION, *sorted((ROOT / "sampler").rglob("*.py"))]

COMMON = {
    "wire",
    "wire_chat",
    "wire_types",
    "config",
    "errors",
    "",
}  # "" is the package itself: its version

# What a module of dgemma_lsp may import of dgemma_lsp, besides COMMON.
INSIDE = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {"*"},
    "config": set(),
    "wire": set(),
    "wire_chat": set(),
    "wire_types": set(),
    "wire_schema": set(),
    "errors": set(),
    "context": set(),
    "ghost": set(),
    "syntax": set(),
    "beginnings": {"bindings"},
    "bindings": {"scopes", "syntax"},
    "scopes": set(),
    "suggestions": set(),
    "scheduler": set(),
    "chat": {"checkpoints"},
    "chat_text": set(),
    "chat_export": {"chat_text"},
    "chat_store": set(),
    "chat_file": {"chat_store"},
    "audience": set(),
    "answering": {"audience", "chat", "chat_file", "chat_store", "dispatcher"},
    "conversations": {
        "answering",
        "audience",
        "chat",
        "chat_export",
        "chat_file",
        "chat_store",
        "chat_text",
        "dispatcher",
    },
    "worker": set(),
    "client": set(),
    "server": {
        "documents",
        "inline_edit",
        "language_server",
        "menu",
        "overlay",
        "protocol",
        "quiet",
        "rewrite_handlers",
        "suggesting",
    },
    "language_server": {
        "accepted",
        "completer",
        "contact",
        "diagnostics",
        "drafts",
        "next_edit",
        "outcome_log",
        "overlay",
        "protocol",
        "quiet",
        "recorder",
        "status",
    },
    "documents": {"diagnostics", "language_server", "problems", "protocol"},
    "problems": {"context"},
    "suggesting": {"completer", "language_server", "menu", "outcomes", "protocol", "quiet"},
    "rewrite_handlers": {
        "contact",
        "ignores",
        "modes",
        "prose",
        "protocol",
        "rewriter",
        "writing",
    },
    "rewriter": {"client", "mending", "modes", "writing"},
    "mending": {"client", "modes", "proofreader"},
    "writing": {"context", "ghost", "in_place", "modes", "prose", "syntax"},
    "in_place": {"locks", "modes", "prose"},
    "modes": set(),
    "prose": set(),
    "locks": set(),
    "write_file": {"at_cursor", "context", "linking", "modes", "rewriter", "settings", "writing"},
    "completer": {
        "ahead",
        "bindings",
        "client",
        "contact",
        "context",
        "definitions",
        "drafts",
        "elsewhere",
        "ignores",
        "neighbours",
        "pace",
        "problems",
        "project",
        "quiet",
        "runs",
        "suggestions",
        "verdict",
        "follow",
        "history",
    },
    "definitions": {"imports"},
    "imports": set(),
    "project": {"elsewhere", "ignores"},
    "elsewhere": set(),
    "inline_edit": {"follow", "next_edit", "protocol", "quiet"},
    "next_edit": {"calls", "client", "contact", "context", "follow", "history", "quiet"},
    "history": {"edits", "follow", "signature"},
    "calls": {"call_sites", "follow", "signature"},
    "call_sites": {"context", "signature"},
    "signature": {"edits"},
    "follow": {"edits"},
    "verdict": {"client", "ghost", "quiet", "syntax"},
    "diagnostics": {
        "accepted",
        "client",
        "contact",
        "ignores",
        "passages",
        "proofreader",
        "protocol",
    },
    "proofreader": {"corrections", "english", "familiar", "passages", "verdicts"},
    "verdicts": {"corrections"},
    "corrections": {"english", "passages"},
    "english": set(),
    "familiar": set(),
    "passages": set(),
    "accepted": set(),
    "proofread": {
        "accepted",
        "at_cursor",
        "client",
        "languages",
        "linking",
        "passages",
        "proofreader",
        "settings",
    },
    "ahead": {"outcomes", "quiet", "runs", "suggestions"},
    "runs": {"edits", "quiet", "suggestions"},
    "neighbours": {"context"},
    "drafts": {"edits", "ghost", "quiet"},
    "pace": set(),
    "contact": {"client", "control", "status"},
    "quiet": set(),
    "ignores": set(),
    "status": set(),
    "protocol": {"context"},
    "menu": set(),
    "edits": set(),
    "outcomes": {"edits"},
    "outcome_log": {"outcomes"},
    "recorder": {"outcome_log", "outcomes"},
    "stats": {"outcomes"},
    "daemon": {
        "admission",
        "conversations",
        "desk",
        "dispatcher",
        "loopback",
        "page",
        "page_keys",
        "runtime",
        "session",
        "worker",
    },
    "admission": set(),
    "loopback": {"admission", "dispatcher", "http_errors", "infill_api", "openai_api", "page"},
    "infill_api": {"asking", "client", "dispatcher", "http_errors", "infill_types"},
    "infill_types": {"client", "context", "elsewhere", "neighbours", "stops", "verdict"},
    "openai_api": {"asking", "dispatcher", "http_errors", "openai_types"},
    "openai_types": {"context", "stops"},
    "asking": {"dispatcher"},
    "stops": set(),
    "page": {"desk", "http_errors", "page_keys"},
    "page_keys": {"runtime"},
    "desk": {"client", "dispatcher", "http_errors", "modes", "rewriter", "writing"},
    "open_page": {"chat_link"},
    "http_errors": set(),
    "session": {"conversations", "dispatcher", "outbox"},
    "dispatcher": {"inflight", "jobs", "scheduler", "worker"},
    "jobs": {"chat"},
    "inflight": set(),
    "outbox": set(),
    "runtime": set(),
    "model_process": {"answers"},
    "answers": {"beginnings", "bindings", "ghost", "rewrite_answers", "syntax"},
    "rewrite_answers": set(),
    "progress": set(),
    "checkpoints": set(),
    "settings": {"checkpoints", "overlay", "runtime"},
    "overlay": set(),
    "linking": {"client", "control", "settings"},
    "control": {"client"},
    "at_cursor": {"bindings", "client", "context", "elsewhere", "languages", "quiet", "verdict"},
    "languages": set(),
    "bench": {"at_cursor", "client", "ignores", "project", "syntax"},
    "batch": {
        "batch_files",
        "batch_lines",
        "batch_progress",
        "batch_queue",
        "client",
        "control",
        "linking",
        "settings",
    },
    "batch_files": {"batch_lines"},
    "batch_lines": {"client", "languages"},
    "batch_progress": {"control"},
    "batch_queue": set(),
    "keystrokes": {"edits"},
    "replay": {"control", "edits", "keystrokes", "protocol", "replay_figures", "settings"},
    "replay_figures": {"outcomes"},
    "tune": {"at_cursor", "bench", "client", "languages"},
    "tune_plot": {"tune"},
    "demo": {"at_cursor", "client", "progress", "verdict"},
    "doctor": {"checkpoints", "client", "control", "linking"},
    "chat_commands": set(),
    "chat_copy": set(),
    "chat_link": {"chat_copy", "runtime"},
    "chat_prompt": {"chat_commands"},
    "terminal_chat": {
        "at_cursor",
        "chat_commands",
        "chat_copy",
        "chat_link",
        "chat_text",
        "progress",
    },
}

# Who may import a package that is heavy or that belongs to one duty; nobody else does.
IN_THE_MODEL_PROCESS = {
    "sampler",
    "dgemma_lsp.model_process",
    "dgemma_lsp.answers",
    "dgemma_lsp.rewrite_answers",
}
RESERVED = {
    "torch": IN_THE_MODEL_PROCESS,
    "transformers": IN_THE_MODEL_PROCESS,
    "triton": {"sampler.epilogue_kernel"},
    "sampler": IN_THE_MODEL_PROCESS,
    # What nano is worth is what the application makes of it.
    "dgemma_lsp": {
        "dgemma_lsp",
        "sampler.train.cases",
        "sampler.train.editor",
        "sampler.train.evaluate",
        "sampler.train.humaneval",
        "sampler.train.next_edits",
        "sampler.train.proofreader",
        "sampler.train.quality",
    },
    "prompt_toolkit": {"dgemma_lsp.chat_prompt"},
    "sqlite3": {"dgemma_lsp.chat_store"},
    # The replay is an editor: it speaks the other side of the protocol.
    "pygls": {
        "dgemma_lsp.diagnostics",
        "dgemma_lsp.language_server",
        "dgemma_lsp.server",
        "dgemma_lsp.suggesting",
        "dgemma_lsp.protocol",
        "dgemma_lsp.replay",
        "dgemma_lsp.inline_edit",
        "dgemma_lsp.rewrite_handlers",
    },
    "lsprotocol": {
        "dgemma_lsp.diagnostics",
        "dgemma_lsp.documents",
        "dgemma_lsp.inline_edit",
        "dgemma_lsp.language_server",
        "dgemma_lsp.menu",
        "dgemma_lsp.server",
        "dgemma_lsp.suggesting",
        "dgemma_lsp.protocol",
        "dgemma_lsp.replay",
        "dgemma_lsp.rewrite_handlers",
    },
    "markdown_it": {"dgemma_lsp.prose"},
    "spellchecker": {"dgemma_lsp.english"},
    "websockets": {
        "dgemma_lsp.client",
        "dgemma_lsp.chat_link",
    },
    "aiohttp": {
        "dgemma_lsp.daemon",
        "dgemma_lsp.session",
        "dgemma_lsp.admission",
        "dgemma_lsp.asking",
        "dgemma_lsp.http_errors",
        "dgemma_lsp.infill_api",
        "dgemma_lsp.loopback",
        "dgemma_lsp.openai_api",
        "dgemma_lsp.page",
        "dgemma_lsp.desk",
    },
    "matplotlib": {"dgemma_lsp.tune_plot"},
    "plotext": {"dgemma_lsp.tune_plot"},
    "tomlkit": {"dgemma_lsp.replay", "dgemma_lsp.tune"},
    "click": {"dgemma_lsp.cli", "sampler.bench", "sampler.train"},
}

PURE = [
    "audience",
    "chat_commands",
    "chat_copy",
    "chat_export",
    "chat_text",
    "wire_schema",
    "scheduler",
    "context",
    "ghost",
    "suggestions",
    "edits",
    "outcomes",
    "drafts",
    "neighbours",
    "overlay",
    "pace",
    "problems",
    "quiet",
    "stats",
    "status",
    "verdict",
    "call_sites",
    "calls",
    "follow",
    "imports",
    "elsewhere",
    "history",
    "signature",
    "chat",
    "jobs",
    "inflight",
    "keystrokes",
    "outbox",
    "infill_types",
    "openai_types",
    "stops",
    "replay_figures",
    "batch_lines",
    "batch_queue",
    "in_place",
    "locks",
    "modes",
    "prose",
    "writing",
    "corrections",
    "familiar",
    "passages",
    "verdicts",
]

TOP_LEVEL = {"pyproject.toml", "dgemma_lsp", "sampler", "editors", "tests", "README.md", "LICENSE"}
LEFT_BY_TOOLS = {"build", "dist"}


def dotted(path: Path) -> str:
    """dgemma_lsp/server.py -> dgemma_lsp.server; a package's __init__.py -> the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    """The dotted names that a module imports; `from a import b` counts as a and a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides who imports whom"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def siblings(path: Path, *, top_only: bool = False) -> set[str]:
    """The modules of dgemma_lsp that a module imports; "" stands for the package itself."""
    found = set()
    for name in imports(path, top_only=top_only):
        package, _, rest = name.partition(".")
        module = rest.split(".")[0]
        if package == "dgemma_lsp":
            found.add(module if (ROOT / "dgemma_lsp" / f"{module}.py").exists() else "")
    return found


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", APPLICATION, ids=by_name)
def test_a_module_of_the_application_imports_only_its_allowed_siblings(path: Path) -> None:
    assert path.stem in INSIDE, f"{path.name} is new: say in INSIDE what it may import"
    allowed = INSIDE[path.stem]
    assert allowed == {"*"} or siblings(path) - COMMON - allowed == set()


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_a_reserved_package_is_imported_only_where_it_belongs(path: Path) -> None:
    for package, owners in RESERVED.items():
        if package in packages(path):
            assert any(f"{dotted(path)}.".startswith(f"{owner}.") for owner in owners), (
                f"{by_name(path)} imports {package}, which only {sorted(owners)} may"
            )


@pytest.mark.parametrize("name", sorted(COMMON - {""}))
def test_what_everyone_imports_needs_the_standard_library_and_msgspec_only(name: str) -> None:
    path = ROOT / "dgemma_lsp" / f"{name}.py"
    assert packages(path) <= sys.stdlib_module_names | {"msgspec", "dgemma_lsp"}
    assert siblings(path) <= COMMON - {name, ""}


@pytest.mark.parametrize("name", ["canvas", "params"])
def test_canvas_and_params_never_import_transformers(name: str) -> None:
    path = ROOT / "sampler" / f"{name}.py"
    assert "transformers" not in packages(path)
    of_sampler = {name.split(".")[1] for name in imports(path) if name.startswith("sampler.")}
    assert of_sampler <= {"params"} - {name}


def test_the_command_line_imports_a_process_only_inside_its_subcommand() -> None:
    top = siblings(ROOT / "dgemma_lsp" / "cli.py", top_only=True)
    processes = {"daemon", "server", "worker", "model_process", "answers", "rewrite_answers"}
    assert top & processes == set()


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_never_awaits_never_logs_and_reads_no_clock(name: str) -> None:
    path = ROOT / "dgemma_lsp" / f"{name}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    awaiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, awaiting)] == []
    assert packages(path) & {"asyncio", "logging", "time", "datetime", "socket", "os"} == set()


@pytest.mark.parametrize("path", APPLICATION, ids=by_name)
def test_only_the_command_line_reads_the_arguments_and_the_environment(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    read = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    if path.stem != "cli":
        assert read & {"sys.argv", "os.environ", "os.getenv"} == set()


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{by_name(path)} has no docstring"


def test_every_module_of_the_application_has_a_test_file_of_its_own() -> None:
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").rglob("test_*.py")}
    untested = {path.stem for path in APPLICATION} - tested - {"__init__", "__main__"}
    assert untested == set()


@pytest.mark.parametrize("path", MODULES, ids=by_name)
def test_the_code_map_of_the_readme_names_every_module(path: Path) -> None:
    named = (ROOT / "README.md").read_text(encoding="utf-8").split()
    assert path.name in named or path.name.startswith("__")


def test_the_top_level_holds_what_the_map_names_and_nothing_else() -> None:
    present = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    present -= {name for name in present if name.endswith(".egg-info") or name == "__pycache__"}
    assert present - LEFT_BY_TOOLS == TOP_LEVEL


def test_the_language_server_loads_no_torch() -> None:
    script = "import sys, dgemma_lsp.server; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "dgemma_lsp" in loaded
    assert loaded & {"torch", "transformers", "sampler", "numpy"} == set()
