"""The page in a real browser, and what a person does there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from home import PATIENCE_S, Home
from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, sync_playwright
from real_vscode import BROWSER_FLAGS
from real_vscode import browser as browser_command
from websockets.sync.client import connect

from dgemma_lsp.runtime import Endpoint

# What a page must never do, told in a way that a test sees it; and all that a screen reader says.
WATCHED = """
addEventListener('securitypolicyviolation', (event) =>
  console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI}`));
window.said = [];
window.provisional = 0;
addEventListener('DOMContentLoaded', () => {
  const live = document.querySelector('[aria-live]');
  new MutationObserver(() => live.textContent && window.said.push(live.textContent))
    .observe(live, { childList: true, characterData: true, subtree: true });
  new MutationObserver(() => {
    window.provisional += document.querySelectorAll('.provisional').length;
  }).observe(document.body, { childList: true, subtree: true });
});
"""


class Visit:
    """One page of a browser, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_S * 1000 / 3)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def ask(self, text: str) -> None:
        """Type a message and send it."""
        self.page.locator("#message").click()
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Enter")

    def written(self, blocks: int) -> None:
        """Wait until an answer is at this block, or a later one."""
        self.page.wait_for_function(
            """(blocks) => {
              const said = document.querySelector('.writing')?.textContent ?? '';
              return Number(/block (\\d+)/.exec(said)?.[1] ?? 0) >= blocks;
            }""",
            arg=blocks,
            polling=20,
        )

    def answered(self, count: int = 1) -> None:
        """Wait until so many answers have ended and none is being written."""
        ended = self.page.locator(".turn.assistant:not([aria-busy])")
        try:
            ended.nth(count - 1).wait_for()
            self.page.locator("#send").wait_for()
        except TimeoutError as exc:
            shown = self.page.locator("body").inner_text()
            raise AssertionError(f"not answered\n{self.errors}\n{shown}") from exc

    def press(self, name: str) -> None:
        """Press the button of this name; of several, the last."""
        self.page.get_by_role("button", name=name, exact=True).last.click()

    def copied(self, what: str) -> str:
        """What a button of this name puts on the clipboard: the page's own text of it."""
        self.press(what)
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def said(self) -> list[str]:
        """What a screen reader has said."""
        said: list[str] = self.page.evaluate("window.said")
        return said


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of this machine."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser_command(), args=BROWSER_FLAGS) as run,
    ):
        yield run


@contextmanager
def context(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A person's browser without cookies, in which every page is watched."""
    options = {
        "locale": "en-US",
        "viewport": {"width": 1280, "height": 800},
        "permissions": ["clipboard-read", "clipboard-write"],
        **options,
    }
    made = browser.new_context(**options)
    made.add_init_script(WATCHED)
    try:
        yield made
    finally:
        made.close()


def link(home: Home) -> str:
    """A new link to the page of this user's daemon."""
    return home.dgemma("open", "--link").strip()


def kept_answer(endpoint: Endpoint, conversation: str) -> str:
    """The text of the last answer of a conversation, as the daemon keeps it."""
    address = f"ws://127.0.0.1:{endpoint.port}/?token={endpoint.token}"
    with connect(address, compression=None) as socket:
        for message in (
            {"type": "hello", "protocol": 1},
            {
                "type": "watch_conversation",
                "id": "1",
                "conversation": conversation,
                "follow": False,
            },
        ):
            socket.send(json.dumps(message))
        turns = []
        while (told := json.loads(socket.recv()))["type"] != "done":
            if told["type"] == "turn":
                turns.append(told["turn"])
    assert turns[-1]["state"] == "done"
    return str(turns[-1]["text"])
