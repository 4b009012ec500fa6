"""Ghost text in real Neovims, whoever draws it, with a server that suggests what a test says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home import Home, until
from real_neovim import VERSIONS, Editor, neovim, setup_lines
from scripted_server import Script

pytestmark = pytest.mark.e2e

ASK = "textDocument/inlineCompletion"
SHOWN = "textDocument/didShowCompletion"
PARTLY = "textDocument/didPartiallyAcceptCompletion"
REJECTED = "dgemma/didRejectCompletion"
EXECUTE = "workspace/executeCommand"
DIAGNOSTICS = "dgemma/diagnostics"

# Who draws: the plugin, or Neovim 0.12 itself.
DRAWERS = {version: (version, "ghost_text = 'own'") for version in VERSIONS}
DRAWERS["0.12-builtin"] = ("0.12", "ghost_text = 'builtin'")

# A person's own lines from before: <Tab> walks through a menu, an open bracket closes itself, and
# Neovim shows the suggestions of all servers.
OWN_LINES = """
vim.keymap.set('i', '<Tab>', function()
  return vim.fn.pumvisible() == 1 and '<C-n>' or '<Tab>'
end, { expr = true })
vim.keymap.set('i', '(', '()<Left>')
vim.o.completeopt = 'menu,menuone,noinsert,noselect'
vim.o.expandtab = false
vim.o.autoindent = false
if vim.lsp.inline_completion then
  vim.lsp.inline_completion.enable()
end
"""


@pytest.fixture(scope="module")
def script(daemon_home: Home) -> Script:
    return Script(daemon_home.folder)


@pytest.fixture(scope="module", params=DRAWERS)
def running(daemon_home: Home, script: Script, request: pytest.FixtureRequest) -> Iterator[Editor]:
    version, drawer = DRAWERS[request.param]
    command = ", ".join(json.dumps(word) for word in script.command)
    options = f"{{ cmd = {{ {command} }}, {drawer}, drafts = true, delay_ms = 0 }}"
    with neovim(daemon_home, OWN_LINES + setup_lines(options), version) as editor:
        yield editor


@pytest.fixture
def editor(running: Editor, script: Script) -> Editor:
    running.nvim.input("<C-\\><C-n>")
    # An answer says that all that was sent before it was written down.
    running.lua("vim.lsp.buf_request_sync(0, 'dgemma/explain', vim.empty_dict(), 20000)")
    script.forget()
    return running


def start(editor: Editor, script: Script, keys: str, *texts: str, text: str = "one\n") -> None:
    """Open a file, press keys, and wait for the first of the suggested texts."""
    editor.open(script.folder / "file.txt", text)
    script.answer(*texts)
    editor.keys(keys)
    editor.await_ghost(texts[0])


def is_drawn_by_neovim(editor: Editor) -> bool:
    return bool(editor.lua("return require('dgemma.config').is_builtin()"))


def ids(told: list[Any]) -> list[str]:
    return [params["item"]["command"]["arguments"][0] for params in told]


def test_ghost_text_appears_behind_what_is_typed_and_the_server_learns_that(
    editor: Editor, script: Script
) -> None:
    start(editor, script, "A two", " three")
    assert editor.lines() == ["one two"]
    assert editor.screen()[0] == "one two three"
    assert ids(script.await_told(SHOWN)) == ["0"]


def test_what_is_taken_back_before_a_suggestion_takes_it_away(
    editor: Editor, script: Script
) -> None:
    start(editor, script, "A two", " three")
    script.answer("o three")
    editor.keys("<BS>")
    editor.await_ghost("o three")
    editor.keys("<Tab>")
    editor.await_lines(["one two three"])


def test_tab_takes_all_of_it_and_tells_the_server(editor: Editor, script: Script) -> None:
    start(editor, script, "A two", " three\n  four", text="one\nend\n")
    editor.keys("<Tab>!")
    editor.await_lines(["one two three", "  four!", "end"])
    assert editor.cursor() == (1, len("  four!"))
    assert script.await_told(EXECUTE) == [{"command": "dgemma.accepted", "arguments": ["0"]}]


def test_one_undo_takes_back_what_was_accepted_and_nothing_else(
    editor: Editor, script: Script
) -> None:
    start(editor, script, "A two", " three\n  four")
    editor.keys("<Tab> five<Esc>")
    editor.await_lines(["one two three", "  four five"])
    editor.keys("u")
    editor.await_lines(["one two three", "  four"])
    editor.keys("u")
    editor.await_lines(["one two"])
    editor.keys("u")
    editor.await_lines(["one"])


@pytest.mark.parametrize(
    ("key", "text", "first", "left", "units"),
    [
        ("<M-Right>", " größe🙂 = 宽度", " größe🙂", " = 宽度", 8),
        ("<M-Right>", "🙂 = 宽度", "🙂", " = 宽度", 2),
        ("<M-Right>", ".area()", ".", "area()", 1),
        ("<M-Right>", "\n  b\nc", "\n  b", "\nc", 4),
        ("<M-Down>", " a🙂 b\n  c\nd", " a🙂 b", "\n  c\nd", 6),
        ("<M-Down>", "\n  b\nc", "\n  b", "\nc", 4),
    ],
)
def test_a_word_or_a_line_is_taken_and_the_rest_stays(
    editor: Editor, script: Script, key: str, text: str, first: str, left: str, units: int
) -> None:
    start(editor, script, "A", text)
    editor.keys(key)
    editor.await_lines(("one" + first).split("\n"))
    editor.await_ghost(left)
    (told,) = script.await_told(PARTLY)
    assert told["acceptedLength"] == units
    assert told["item"]["insertText"] == text
    editor.keys("<Tab>")
    editor.await_lines(("one" + text).split("\n"))
    assert len(script.await_told(EXECUTE)) == 1


def test_words_one_after_the_other_end_in_an_accept(editor: Editor, script: Script) -> None:
    start(editor, script, "A", " two three")
    editor.keys("<M-Right><M-Right>")
    editor.await_lines(["one two three"])
    script.await_told(EXECUTE)
    assert [told["acceptedLength"] for told in script.told(PARTLY)] == [4]


def test_what_is_typed_through_is_not_asked_again(editor: Editor, script: Script) -> None:
    start(editor, script, "A", " two\nthree")
    editor.keys(" tw")
    editor.await_ghost("o\nthree")
    editor.keys("<BS>o<BS>w")
    editor.await_ghost("o\nthree")
    editor.settle()
    assert len(script.told(ASK)) == 1
    editor.keys("<Tab>")
    editor.await_lines(["one two", "three"])


def test_what_is_typed_otherwise_is_asked_anew(editor: Editor, script: Script) -> None:
    start(editor, script, "A", " two")
    script.answer(" other")
    editor.keys(" x")
    editor.await_ghost(" other")
    assert len(script.told(ASK)) == 2
    editor.keys("<Tab>")
    editor.await_lines(["one x other"])


def test_a_bracket_that_closes_itself_is_not_closed_twice(editor: Editor, script: Script) -> None:
    start(editor, script, "A", "(two)")
    editor.keys("(")
    editor.await_ghost("two")
    assert editor.lines() == ["one()"]
    editor.keys("<Tab>")
    editor.await_lines(["one(two)"])


def test_what_was_dismissed_goes_and_is_not_asked_again(editor: Editor, script: Script) -> None:
    start(editor, script, "A", " two")
    editor.keys("<C-]>")
    editor.await_ghost("")
    assert ids(script.await_told(REJECTED)) == ["0"]
    editor.settle()
    assert editor.ghost() == ""
    assert len(script.told(ASK)) == 1
    editor.keys("<Tab>")
    editor.await_lines(["one\t"])


def test_leaving_insert_mode_takes_it_away_without_a_rejection(
    editor: Editor, script: Script
) -> None:
    start(editor, script, "A", " two")
    editor.keys("<Esc>")
    editor.await_ghost("")
    editor.settle()
    assert script.told(REJECTED) == []
    assert editor.lines() == ["one"]


def test_tab_without_ghost_text_does_what_it_did_before(editor: Editor, script: Script) -> None:
    editor.open(script.folder / "file.txt", "one\n")
    editor.keys("A<Tab>x")
    editor.await_lines(["one\tx"])


def test_a_popup_menu_gets_the_tab(editor: Editor, script: Script) -> None:
    editor.open(script.folder / "file.txt", "alpha\nalpine\n\n")
    script.answer("-suggested")
    editor.keys("Gial<C-n>")
    until(lambda: editor.lua("return vim.fn.pumvisible()"), "the menu", patience_s=20)
    editor.await_ghost("-suggested")
    editor.keys("<Tab>")
    editor.await_lines(["alpha", "alpine", "alpha"])
    editor.keys("<C-y>")
    editor.await_ghost("-suggested")
    editor.keys("<Tab>")
    editor.await_lines(["alpha", "alpine", "alpha-suggested"])


def test_the_next_and_the_previous_candidate_are_shown(editor: Editor, script: Script) -> None:
    start(editor, script, "A", " two")
    script.answer(" two", " zwei", " deux")
    for key, expected, count in [
        ("<M-]>", " zwei", " (2/3)"),
        ("<M-]>", " deux", " (3/3)"),
        ("<M-]>", " two", " (1/3)"),
        ("<M-[>", " deux", " (3/3)"),
    ]:
        editor.keys(key)
        editor.await_ghost(expected if is_drawn_by_neovim(editor) else expected + count)
    kinds = [asked["context"]["triggerKind"] for asked in script.told(ASK)]
    assert kinds == [2, 1], "one request by itself, and one on demand"
    assert ids(script.await_told(SHOWN, 4)) == ["0", "1", "2", "0"]
    editor.keys("<Tab>")
    editor.await_lines(["one deux"])
    assert script.await_told(EXECUTE)[0]["arguments"] == ["2"]


def test_suggestions_come_on_demand_where_none_came_by_itself(
    editor: Editor, script: Script
) -> None:
    editor.open(script.folder / "file.txt", "one\n")
    editor.keys("A")
    script.await_told(ASK)
    script.answer(" two")
    editor.keys("<M-Bslash>")
    editor.await_ghost(" two")
    assert script.told(ASK)[-1]["context"]["triggerKind"] == 1


def test_a_newer_request_takes_the_older_one_back(editor: Editor, script: Script) -> None:
    editor.open(script.folder / "file.txt", "one\n")
    script.answer(" late", hold=True)
    editor.keys("A")
    script.await_told(ASK)
    editor.keys("x")
    script.await_told(ASK, 2)
    assert len(script.await_told("$/cancelRequest")) == 1


def test_an_answer_that_comes_too_late_is_not_shown(editor: Editor, script: Script) -> None:
    editor.open(script.folder / "file.txt", "one\n")
    script.answer(" late", hold=True)
    editor.keys("A")
    script.await_told(ASK)
    script.answer()
    editor.keys("x")
    script.await_told(ASK, 2)
    editor.tell_server("test/release", {})
    editor.settle()
    assert editor.ghost() == ""
    assert editor.lines() == ["onex"]


def test_a_request_says_where_and_in_which_version(editor: Editor, script: Script) -> None:
    """The server counts UTF-16 units, the buffer bytes."""
    start(editor, script, 'A"é宽🙂"', " größe 🙂", text="ü🙂 \nend\n")
    asked = script.told(ASK)[-1]
    assert asked["position"] == {
        "line": 0,
        "character": len('ü🙂 "é宽🙂"'.encode("utf-16-le")) // 2,
    }
    newest = script.told("textDocument/didChange")[-1]["textDocument"]["version"]
    assert asked["textDocument"]["version"] == newest
    editor.keys("<M-Right><Tab>")
    editor.await_lines(['ü🙂 "é宽🙂" größe 🙂', "end"])


def test_two_windows_keep_their_texts_apart(editor: Editor, script: Script, tmp_path: Path) -> None:
    start(editor, script, "A", " two")
    (tmp_path / "other.txt").write_text("other\n")
    editor.keys(f"<Esc>:vsplit {tmp_path / 'other.txt'}<CR>")
    until(lambda: editor.lines() == ["other"] and editor.ready(), "the other file", patience_s=20)
    script.answer(" zwei")
    editor.keys("A")
    editor.await_ghost(" zwei")
    editor.keys("<Cmd>wincmd w<CR>")
    until(lambda: editor.lines() == ["one"], "the first window", patience_s=20)
    everywhere = """
        local found = 0
        for _, name in ipairs({ 'nvim.lsp.inline_completion', 'dgemma.ghost' }) do
          for _, buf in ipairs(vim.api.nvim_list_bufs()) do
            local space = vim.api.nvim_create_namespace(name)
            found = found + #vim.api.nvim_buf_get_extmarks(buf, space, 0, -1, {})
          end
        end
        return found
    """
    until(lambda: editor.lua(everywhere) <= 1, "the other window's ghost text to go", patience_s=20)
    editor.await_ghost(" zwei")  # asked for here, at another cursor
    editor.keys("<Tab>")
    editor.await_lines(["on zweie"])
    editor.keys("<Cmd>wincmd w<CR>")
    until(lambda: editor.lines() == ["other"], "the second window, untouched", patience_s=20)


def test_one_buffer_in_two_windows_takes_it_where_the_cursor_is(
    editor: Editor, script: Script
) -> None:
    editor.open(script.folder / "file.txt", "one\ntwo\n")
    editor.keys("<Cmd>split<CR>G")
    script.answer(" drei")
    editor.keys("A")
    editor.await_ghost(" drei")
    editor.keys("<Tab>")
    editor.await_lines(["one", "two drei"])


def test_a_file_of_twenty_thousand_lines_is_typed_in(editor: Editor, script: Script) -> None:
    lines = [f"line {number}" for number in range(20_000)]
    start(editor, script, "12345GA two", " three", text="\n".join(lines) + "\n")
    editor.keys(" th")
    editor.await_ghost("ree")
    editor.keys("<Tab>")
    lines[12344] += " two three"
    editor.await_lines(lines)
    sent = [change["contentChanges"] for change in script.told("textDocument/didChange")]
    assert sum(len(change["text"]) for changes in sent for change in changes) < 1000


def test_in_the_middle_of_a_line_what_is_behind_the_cursor_stays_there(
    editor: Editor, script: Script
) -> None:
    start(editor, script, "0f(ax", "y", text="one()\n")
    assert editor.lines() == ["one(x)"]
    if not is_drawn_by_neovim(editor):  # which lays it over the bracket in some versions
        assert editor.screen()[0] == "one(xy)"
    editor.keys("<Tab>")
    editor.await_lines(["one(xy)"])


def test_several_lines_in_the_middle_of_a_line_look_as_they_will_be(
    editor: Editor, script: Script
) -> None:
    editor.open(script.folder / "file.txt", "one(arg) + end\nlast\n")
    script.answer("y,\n\tz宽,\n\tw(")
    editor.keys("0f(ax")
    accepted = ["one(xy,", "        z宽,", "        w(arg) + end", "last"]
    if is_drawn_by_neovim(editor):  # which lays it over the arguments in some versions
        editor.await_ghost("y,\n\tz宽,\n\tw(")
    else:
        until(lambda: editor.screen()[:4] == accepted, "the ghost text", patience_s=20)
    script.answer()
    editor.keys("<Tab>")
    editor.await_lines(["one(xy,", "\tz宽,", "\tw(arg) + end", "last"])
    assert editor.screen()[:4] == accepted


DRAFT = {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 3}}}


def test_a_draft_is_drawn_until_the_answer_comes(editor: Editor, script: Script) -> None:
    editor.open(script.folder / "file.txt", "one\n")
    script.answer(" done", hold=True)
    editor.keys("A")
    asked = script.await_told(ASK)[0]["textDocument"]
    draft = DRAFT | {**asked, "text": "one dr??", "stable": 6, "final": False}
    stale = draft | {"version": asked["version"] - 1, "text": "one stale"}
    for params in (draft, stale):
        editor.tell_server("test/send", {"method": "dgemma/draft", "params": params})
    editor.await_ghost(" dr??")
    editor.settle()
    assert editor.ghost() == " dr??", "a draft of another version is not drawn"
    editor.tell_server("test/release", {})
    editor.await_ghost(" done")
    assert len(script.await_told(SHOWN)) == 1


def test_the_server_learns_what_others_find_wrong(editor: Editor, script: Script) -> None:
    editor.open(script.folder / "file.txt", "one\ntwo\nthree\n")
    script.forget()
    found = [
        {"lnum": 1, "col": 0, "message": "wrong", "severity": 1, "source": "other"},
        {"lnum": 2, "col": 0, "message": "doubtful", "severity": 2},
        {"lnum": 0, "col": 0, "message": "might be shorter", "severity": 4},
    ]
    other = editor.nvim.api.create_namespace("another server")
    editor.lua("vim.diagnostic.set(...)", other, 0, found)
    [told] = script.await_told(DIAGNOSTICS)
    assert told == {
        "textDocument": {"uri": (script.folder / "file.txt").as_uri()},
        "diagnostics": [
            {"line": 1, "message": "wrong", "severity": 1, "source": "other"},
            {"line": 2, "message": "doubtful", "severity": 2},
        ],
    }
    editor.lua("vim.diagnostic.reset(...)", other, 0)
    assert script.await_told(DIAGNOSTICS, 2)[1]["diagnostics"] == []
