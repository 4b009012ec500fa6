"""The page against the shipped daemon and nano, in a real browser."""

import http.server
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cable import cable
from home import PATIENCE_S, Home, until
from playwright.sync_api import Browser, BrowserContext, FilePayload, expect
from real_page import Visit, chromium, context, kept_answer, link

from dgemma_lsp.chat_link import read_endpoint
from dgemma_lsp.runtime import Endpoint

pytestmark = pytest.mark.e2e

PICTURES = Path(__file__).parent.parent.parent / ".pictures"
# Long enough to do something while it is written.
CONFIG = "[chat]\nmax_tokens = 600\nsteps = 32\n"
expect.set_options(timeout=PATIENCE_S * 1000 / 3)
QUESTION = "Sort a list of tuples."


@pytest.fixture(scope="module")
def home(daemon_home: Home) -> Home:
    daemon_home.paths.config_file.write_text(CONFIG)
    return daemon_home


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as run:
        yield run


@contextmanager
def visit(browser: Browser, home: Home, **options: Any) -> Iterator[Visit]:
    """The page, opened by a link; whatever goes wrong in it fails the test."""
    with context(browser, **options) as person:
        visit = opened(person, link(home))
        yield visit
        assert visit.errors == []


def opened(person: BrowserContext, address: str) -> Visit:
    visit = Visit(person.new_page())
    visit.page.goto(address)
    visit.page.locator("#list-empty:not([hidden]), #list li").first.wait_for(state="attached")
    return visit


def endpoint(home: Home) -> Endpoint:
    return read_endpoint(home.paths)


def conversation(visit: Visit) -> str:
    """The key of the conversation that is open, which stands in the address."""
    visit.page.wait_for_url(re.compile("#/c/"))
    return visit.page.url.rpartition("/")[2]


def test_an_answer_settles_before_the_eyes_and_is_said_once(browser: Browser, home: Home) -> None:
    with visit(browser, home) as one:
        one.ask(QUESTION)
        one.page.locator(".turn.assistant[aria-busy] .provisional").first.wait_for()
        one.answered()
        assert one.page.locator(".provisional, .settled").count() == 0
        text = kept_answer(endpoint(home), conversation(one))
        assert one.copied("Copy the answer") == text
        assert [said for said in one.said() if "Answer" in said] == [f"Answer: {text}"]
        # A long answer may bring a notice of its own: that old turns are left out.
        of_nano = one.page.locator(".turn .notice", has_text="nano is a small code model")
        assert of_nano.count() == 1

        one.ask("And once more.")
        one.answered(2)
        assert of_nano.count() == 1


def test_the_steps_of_an_answer_can_be_gone_through_afterwards(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        one.ask(QUESTION)
        one.answered()
        body = one.page.locator(".turn.assistant .body")
        whole = body.inner_text()
        slider = one.page.get_by_role("slider", name="Denoising steps of this answer")
        slider.focus()
        one.page.keyboard.press("Home")
        colour = "(e) => getComputedStyle(e).color"
        assert one.page.locator(".provisional").first.evaluate(colour) != body.evaluate(colour)
        assert "block 1, step 1" in (slider.get_attribute("aria-valuetext") or "")
        assert body.inner_text() != whole
        one.page.keyboard.press("End")
        assert body.inner_text() == whole
        unkept = one.page.get_by_text("its drafts were not kept")
        expect(unkept).to_have_count(0)
        one.page.reload()
        expect(unkept).to_be_visible()
        expect(slider).to_have_count(0)


def test_stopping_keeps_what_is_final_and_frees_the_model(browser: Browser, home: Home) -> None:
    with visit(browser, home) as one:
        one.ask(QUESTION)
        one.written(2)
        one.page.get_by_role("button", name="Stop", exact=True).click()
        one.answered()
        expect(one.page.locator(".turn.assistant")).to_contain_text("Stopped.")
        assert one.copied("Copy the answer") != ""
        home.at_rest()


def test_another_answer_another_wording_and_the_way_back(browser: Browser, home: Home) -> None:
    with visit(browser, home) as one:
        one.ask(QUESTION)
        one.answered()
        one.press("Answer once more")
        expect(one.page.get_by_label("answer 2 of 2")).to_be_visible()
        one.answered()
        one.press("The answer before")
        expect(one.page.get_by_label("answer 1 of 2")).to_be_visible()

        one.press("Edit your message")
        field = one.page.get_by_label("Your message, anew")
        assert field.input_value() == QUESTION
        field.fill("Reverse a list.")
        one.press("Send the edited message")
        expect(one.page.get_by_label("wording 2 of 2")).to_be_visible()
        one.answered()
        expect(one.page.locator(".turn.user .body")).to_have_text("Reverse a list.")
        one.press("The wording before")
        expect(one.page.locator(".turn.user .body")).to_have_text(QUESTION)


def test_the_list_is_searched_renamed_branched_exported_and_shortened(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        one.ask("Zebras, please.")
        one.answered()
        one.press("Rename this conversation")
        one.page.get_by_label("Rename this conversation", exact=True).last.fill("Stripes")
        one.press("Save")
        expect(one.page.locator("#title")).to_have_text("Stripes")

        first = conversation(one)
        one.press("A new conversation from here on")
        one.page.wait_for_url(lambda address: not address.endswith(first))
        branch = conversation(one)
        expect(one.page.locator("#list li", has_text="Stripes")).to_have_count(2)
        one.page.get_by_label("Search in the list").fill("no such words")
        expect(one.page.locator("#list-empty")).to_have_text("No title has these words.")
        one.page.get_by_label("Search in the list").fill("stri")
        expect(one.page.locator("#list li")).to_have_count(2)

        with one.page.expect_download() as download:
            one.press("Export .md, as it is shown")
        assert download.value.suggested_filename == "Stripes.md"
        assert "Zebras, please." in download.value.path().read_text()

        one.press("Delete this conversation")
        one.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(one.page.locator("#list li")).to_have_count(1)
        expect(one.page.locator("#list a")).to_have_attribute("href", f"#/c/{first}")
        assert branch not in one.page.url


def files_in(*files: tuple[str, bytes]) -> list[FilePayload]:
    return [{"name": name, "mimeType": "", "buffer": data} for name, data in files]


# What a browser does when files are dropped or pasted, which no driver can do by itself.
HANDED_IN = """(element, [kind, files]) => {
  const handed = new DataTransfer();
  for (const [name, text] of files) handed.items.add(new File([text], name));
  const carries = kind === 'paste' ? 'clipboardData' : 'dataTransfer';
  const made = kind === 'paste' ? ClipboardEvent : DragEvent;
  const options = { bubbles: true, cancelable: true, [carries]: handed };
  return !element.dispatchEvent(new made(kind, options));
}"""


def test_files_are_attached_shown_taken_away_and_kept_with_an_edited_message(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        chips = one.page.get_by_role("list", name="Attached files")
        with one.page.expect_file_chooser() as chooser:
            one.press("Attach files")
        code = b"def area(width, height):\n    return width * height\n"
        chooser.value.set_files(files_in(("area.py", code), ("gone.md", "Käse 😀".encode())))
        expect(chips.get_by_role("listitem")).to_have_count(2)
        expect(one.page.get_by_label("Your message", exact=True)).to_be_focused()
        one.press("Remove gone.md")
        expect(chips.get_by_role("listitem")).to_have_count(1)
        assert one.said()[-1] == "gone.md is not attached any more"
        one.ask("What does it do?")
        one.answered()
        expect(chips).to_be_hidden()
        attached = one.page.locator(".turn.user details")
        attached.locator("summary").click()
        expect(attached.locator("pre")).to_have_text(code.decode())

        one.press("Edit your message")
        expect(one.page.locator(".turn.user .chips")).to_contain_text("area.py")
        one.page.get_by_label("Your message, anew").fill("And the perimeter?")
        one.press("Send the edited message")
        one.answered()
        expect(attached.locator("summary")).to_contain_text("area.py")
        expect(one.page.get_by_label("wording 2 of 2")).to_be_visible()
        one.press("Edit your message")
        one.press("Remove area.py")
        one.press("Send the edited message")
        expect(one.page.get_by_label("wording 3 of 3")).to_be_visible()
        one.answered()
        expect(attached).to_have_count(0)


def test_what_is_dropped_or_pasted_is_attached_and_what_is_no_text_is_refused(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        chips = one.page.get_by_role("list", name="Attached files").get_by_role("listitem")
        turns = one.page.locator("#turns")
        assert turns.evaluate(HANDED_IN, ["drop", [["a.py", "x = 1\n"]]])
        expect(chips).to_have_text(["a.py6 bytes✕"])
        field = one.page.get_by_label("Your message", exact=True)
        assert field.evaluate(HANDED_IN, ["paste", [["b.py", "y"], ["a.py", "x = 22\n"]]])
        expect(chips).to_have_text(["b.py1 byte✕", "a.py7 bytes✕"])
        for name, data, why in [
            ("photo.png", b"\x89PNG\r\n\x1a\n\x00", "photo.png is no text in UTF-8"),
            ("zero.bin", b"a\0b", "zero.bin is no text"),
            ("big.log", b"x" * 1_600_000, "big.log has 1.6 MB; a message takes 1.5 MB at most"),
        ]:
            one.page.locator("#files").set_input_files(files_in((name, data)))
            expect(one.page.locator("#chat-error")).to_have_text(f"Not attached: {why}.")
        expect(chips).to_have_count(2)
        one.ask("And now?")
        one.answered()
        expect(one.page.locator("#chat-error")).to_be_hidden()
        expect(one.page.locator(".turn.user summary")).to_have_count(2)

        one.page.get_by_role("link", name="Writing desk").click()
        text = one.page.get_by_label("Your text")
        assert text.evaluate(HANDED_IN, ["drop", [["area.py", "def area():\n"]]])
        expect(text).to_have_value("def area():\n")
        expect(one.page.get_by_label("Kind of text")).to_have_value("python")
        tabs = one.page.locator(".tabs")
        assert tabs.evaluate(HANDED_IN, ["drop", [["lost.py", ""]]]), "the browser would leave"


def test_the_model_is_instructed_before_and_within_a_conversation(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        told = one.page.locator("#system")
        for instructions in ("Answer in French.", "Answer in Latin."):
            one.press("Instructions for the model")
            one.page.get_by_role("dialog").get_by_role("textbox").fill(instructions)
            one.press("Save")
            expect(told).to_have_text(f"Instructions: {instructions}")
            one.ask(QUESTION)
            one.answered()
        one.page.reload()
        expect(told).to_have_text("Instructions: Answer in Latin.")
        one.press("Instructions for the model")
        one.page.get_by_role("dialog").get_by_role("textbox").fill("")
        one.press("Save")
        expect(told).to_be_hidden()
        one.page.keyboard.press("Alt+n")
        expect(told).to_be_hidden()


def test_a_reload_finds_the_conversation_even_while_it_is_written(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        one.ask(QUESTION)
        one.written(2)
        one.page.reload()
        one.answered()
        expect(one.page.locator(".turn.user .body")).to_have_text(QUESTION)
        assert one.copied("Copy the answer") == kept_answer(endpoint(home), conversation(one))


def test_an_answer_whose_connection_is_cut_comes_whole(browser: Browser, home: Home) -> None:
    address = link(home)
    port = endpoint(home).port
    with cable(port) as line, context(browser) as person:
        one = opened(person, address.replace(f":{port}/", f":{line.port}/"))
        one.ask(QUESTION)
        one.written(3)
        line.pull()
        expect(one.page.locator("#trouble")).to_be_visible()
        expect(one.page.locator("#trouble")).to_contain_text("does not answer")
        line.plug()
        one.answered()
        expect(one.page.locator("#trouble")).to_be_hidden()
        assert one.copied("Copy the answer") == kept_answer(endpoint(home), conversation(one))
        line.pull()
        expect(one.page.locator("#trouble")).to_be_visible()
        line.plug()
        expect(one.page.locator("#trouble")).to_be_hidden()
        assert len([said for said in one.said() if said.startswith("Answer")]) == 1
        assert not [error for error in one.errors if "policy" in error or "uncaught" in error]


def test_a_question_that_is_sent_while_the_connection_is_cut_is_asked_once(
    browser: Browser, home: Home
) -> None:
    address = link(home)
    port = endpoint(home).port
    with cable(port) as line, context(browser) as person:
        one = opened(person, address.replace(f":{port}/", f":{line.port}/"))
        one.ask(QUESTION)
        one.answered()
        line.pull()
        expect(one.page.locator("#trouble")).to_be_visible()
        one.ask("Are you there?")
        line.plug()
        one.answered(2)
        expect(one.page.locator(".turn.user .body")).to_have_text([QUESTION, "Are you there?"])


def test_a_daemon_that_was_killed_is_found_again_when_it_is_back(
    browser: Browser, home: Home
) -> None:
    with context(browser) as person:
        one = opened(person, link(home))
        one.ask(QUESTION)
        one.written(3)
        before = endpoint(home)
        os.kill(before.pid, signal.SIGKILL)
        expect(one.page.locator("#trouble")).to_be_visible()
        until(lambda: not home.running("daemon"), "the daemon to be gone")
        home.dgemma("doctor")
        assert (endpoint(home).port, endpoint(home).pid) == (before.port, endpoint(home).pid)
        assert endpoint(home).pid != before.pid
        one.answered()
        expect(one.page.locator("#trouble")).to_be_hidden()
        expect(one.page.locator(".turn.assistant")).to_contain_text("what was final is kept")
        assert one.copied("Copy the answer") != ""
        one.press("Answer once more")
        expect(one.page.get_by_label("answer 2 of 2")).to_be_visible()
        one.answered()


def test_without_a_link_or_with_a_used_one_the_page_stays_shut(
    browser: Browser, home: Home
) -> None:
    address = link(home)
    with context(browser) as person, context(browser) as other:
        opened(person, address)
        for where, why in [
            (address, "used already"),
            (address.partition("#")[0], "not opened by a link"),
            (f"{address.partition('#')[0]}#open=guessed", "used already"),
        ]:
            page = other.new_page()
            page.goto(where)
            expect(page.locator("#locked")).to_contain_text(why)
            expect(page.locator("#locked")).to_contain_text("dgemma open")
            expect(page.locator("#chat")).to_be_hidden()
            assert "open=" not in page.url


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """A site of somebody else on this machine, which a browser takes for the same site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *told: Any) -> None:
        """Log nothing."""


def test_a_page_from_elsewhere_gets_nothing_even_with_the_session(
    browser: Browser, home: Home
) -> None:
    with (
        context(browser) as person,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server,
    ):
        opened(person, link(home))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = person.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        told = page.evaluate(
            """async (port) => {
              const socket = await new Promise((resolve) => {
                const socket = new WebSocket(`ws://127.0.0.1:${port}/page/socket`);
                socket.onopen = () => resolve('open');
                socket.onerror = () => resolve('refused');
              });
              const read = await fetch(`http://127.0.0.1:${port}/page/modes`,
                { credentials: 'include' }).then(() => 'read', () => 'refused');
              return [socket, read];
            }""",
            endpoint(home).port,
        )
        server.shutdown()
        assert told == ["refused", "refused"]


def test_who_wants_no_motion_sees_only_what_is_final(browser: Browser, home: Home) -> None:
    with visit(browser, home, reduced_motion="reduce") as one:
        one.ask(QUESTION)
        dot = one.page.locator(".writing")
        dot.wait_for()
        moving = dot.evaluate("(e) => getComputedStyle(e, '::before').animationName")
        one.answered()
        assert moving == "none"
        assert one.page.evaluate("window.provisional") == 0
        expect(one.page.get_by_role("slider", name="Denoising steps")).to_be_visible()


def test_everything_is_done_by_keys_and_what_has_the_keyboard_is_seen(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        keys = one.page.keyboard
        keys.press("Alt+h")
        expect(one.page.get_by_role("dialog")).to_contain_text("search in the list")
        keys.press("Escape")
        keys.press("Alt+n")
        keys.type(QUESTION)
        keys.press("Enter")
        one.written(2)
        keys.press("Escape")
        one.answered()
        expect(one.page.locator(".turn.assistant")).to_contain_text("Stopped.")
        keys.press("Alt+r")
        expect(one.page.get_by_label("answer 2 of 2")).to_be_visible()
        one.answered()
        keys.press("Alt+q")
        expect(one.page.get_by_label("Your message, anew")).to_be_focused()
        keys.press("Escape")
        expect(one.page.get_by_label("Your message", exact=True)).to_be_focused()
        keys.press("Shift+Tab")
        outline = one.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        keys.press("Alt+w")
        expect(one.page.get_by_role("heading", name="Writing desk")).to_be_visible()


def write_at_desk(visit: Visit, text: str, mode: str) -> None:
    """Open the desk, and have a text written anew there."""
    visit.page.get_by_role("link", name="Writing desk").click()
    visit.page.get_by_label("Your text").fill(text)
    visit.page.get_by_label("What to do").select_option(mode)
    visit.press("Write")


def test_the_desk_shows_variants_with_what_differs_and_takes_one(
    browser: Browser, home: Home
) -> None:
    text = "def area(width, height):\n    "
    with visit(browser, home) as one:
        one.page.get_by_role("link", name="Writing desk").click()
        one.page.get_by_label("Your text").fill(text)
        # The first that the model can.
        expect(one.page.get_by_label("What to do")).to_have_value("grammar")
        one.page.get_by_label("What to do").select_option("continue")
        one.page.get_by_label("Variants").select_option("3")
        one.press("Write")
        cards = one.page.locator(".variant:not([aria-busy])")
        cards.first.wait_for()
        assert cards.locator("ins").count() >= cards.count() >= 1
        assert cards.locator("del").count() == 0
        wanted = cards.first.locator(".diff").text_content()
        one.page.get_by_role("button", name="Take variant 1").click()
        assert one.page.get_by_label("Your text").input_value() == wanted
        one.press("Undo")
        assert one.page.get_by_label("Your text").input_value() == text

        one.page.get_by_label("What to do").select_option("shorten")
        expect(one.page.locator("#desk-refusal")).to_contain_text("nano is a small code model")
        expect(one.page.get_by_role("button", name="Write", exact=True)).to_be_disabled()


def test_the_desk_shows_variants_settle_and_goes_through_it_again(
    browser: Browser, instructed_home: Home
) -> None:
    text = "Some words `kept` and more of them."
    with visit(browser, instructed_home) as one:
        write_at_desk(one, text, "shorten")
        one.page.locator(".variant:not([aria-busy])").first.wait_for()
        assert one.page.evaluate("window.provisional") > 0
        slider = one.page.get_by_role("slider", name="Denoising steps of these variants")
        whole = one.page.locator(".variants").inner_text()
        slider.focus()
        one.page.keyboard.press("Home")
        assert "part " in (slider.get_attribute("aria-valuetext") or "")
        cards = one.page.locator(".variant[aria-busy]")
        expect(cards.first).to_contain_text("`kept`")
        assert cards.locator(".provisional").count() > 0
        one.page.keyboard.press("End")
        expect(cards).to_have_count(0)
        assert one.page.locator(".variants").inner_text() == whole


def test_the_desk_shows_who_wants_no_motion_only_what_is_final(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home, reduced_motion="reduce") as one:
        write_at_desk(one, "def area(width, height):\n    ", "continue")
        one.page.locator(".variant:not([aria-busy])").first.wait_for()
        assert one.page.evaluate("window.provisional") == 0


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, home: Home) -> None:
    with visit(browser, home, viewport={"width": 360, "height": 640}) as one:
        one.ask(f"x = {'wide' * 40}")
        one.answered()
        wide = "document.documentElement.scrollWidth"
        assert one.page.evaluate(wide) == 360
        one.press("Open the list")
        expect(one.page.get_by_label("Search in the list")).to_be_focused()
        assert one.page.evaluate(wide) == 360
        one.page.locator("#list a").first.click()
        expect(one.page.locator("#title")).to_be_visible()
        one.page.get_by_role("link", name="Writing desk").click()
        expect(one.page.get_by_role("heading", name="Writing desk")).to_be_visible()
        assert one.page.evaluate(wide) == 360


MARKDOWN = """# Title <script>document.title = 'run'</script>

<img src=x onerror="document.title = 'run'">

A [link](https://example.com/a), a [bad one](javascript:alert(1)) and `code`.

- one **bold**
- two

```python
print("<b>")
```
"""


def test_what_a_model_writes_is_never_taken_for_the_pages_own_markup(
    browser: Browser, home: Home
) -> None:
    with visit(browser, home) as one:
        one.page.evaluate(
            """async (text) => {
              const { draw } = await import('/page/answer_view.js');
              const end = text.length;
              const frame = { text, final: end, settled: end, block: 0, step: 0 };
              // Not among the turns: those the page draws again when it likes.
              const drawn = document.createElement('dialog');
              drawn.replaceChildren(...draw(frame, true));
              document.body.append(drawn);
              drawn.showModal();
            }""",
            MARKDOWN,
        )
        drawn = one.page.get_by_role("dialog")
        assert drawn.locator("script, img, b").count() == 0
        assert drawn.locator("a").evaluate_all("(all) => all.map((a) => [a.href, a.rel])") == [
            ["https://example.com/a", "noopener noreferrer"]
        ]
        assert "(https://example.com/a)" in drawn.inner_text()
        assert "[bad one](javascript:alert(1))" in drawn.inner_text()
        assert drawn.locator("li").all_inner_texts() == ["one bold", "two"]
        assert one.copied("Copy this code") == 'print("<b>")'
        assert one.page.title() != "run"


@pytest.mark.skipif(not os.environ.get("DGEMMA_PICTURES"), reason="draws README's pictures")
def test_the_pictures_in_the_readme(browser: Browser, home: Home) -> None:
    sizes = {"viewport": {"width": 960, "height": 660}}
    with visit(browser, home, **sizes, color_scheme="light") as one:
        one.ask("def fibonacci(n):")
        one.page.locator(".provisional").first.wait_for()
        one.answered()
        slider = one.page.get_by_role("slider", name="Denoising steps of this answer")
        slider.focus()
        one.page.keyboard.press("Home")
        one.page.keyboard.press("ArrowRight")
        one.page.screenshot(path=PICTURES / "page.png")
    with visit(browser, home, **sizes, color_scheme="dark") as one:
        write_at_desk(one, "def area(width, height):\n    ", "continue")
        one.page.locator(".variant:not([aria-busy])").first.wait_for()
        one.page.screenshot(path=PICTURES / "desk.png")
