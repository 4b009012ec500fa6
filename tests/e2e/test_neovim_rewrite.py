"""A person has text rewritten in the real Neovim: looks at it, takes it, takes it back.

The model is small and random, so what it writes is any text; that it is the shipped path is real.
"""

from collections.abc import Iterator

import pytest
from home import Home, until
from real_neovim import VERSIONS, Editor, neovim, setup_lines

pytestmark = pytest.mark.e2e

FILE = """\
# 😋 The `dgemma` tool

It fills 3 holes in `größe.py` and tells what it did, see [the guide](https://example.org).

- one thing
- another thing
"""
KEPT = ["`dgemma`", "3", "`größe.py`", "[the guide](https://example.org)"]
NOTED = "notes = {}\nvim.notify = function(line) table.insert(notes, line) end\n"


@pytest.fixture(scope="module", params=VERSIONS)
def running(instructed_home: Home, request: pytest.FixtureRequest) -> Iterator[Editor]:
    with neovim(instructed_home, NOTED + setup_lines("{}"), request.param) as editor:
        yield editor


@pytest.fixture
def editor(running: Editor, instructed_home: Home) -> Editor:
    running.open(instructed_home.folder / "text.md", FILE)
    running.lua("notes = {}")
    return running


def previewed(editor: Editor) -> str:
    """Wait for the window that shows what would change, and return its lines."""
    floating = "return vim.api.nvim_win_get_config(0).relative ~= ''"
    until(lambda: editor.lua(floating), "the preview", patience_s=100)
    return "\n".join(editor.lines())


def title(editor: Editor) -> str:
    return str(editor.lua("return vim.api.nvim_win_get_config(0).title[1][1]"))


def text(editor: Editor) -> str:
    return "\n".join(
        editor.lua("return vim.api.nvim_buf_get_lines(vim.fn.bufnr('text.md'), 0, -1, true)")
    )


def has_all(kept: list[str], new: str) -> bool:
    return all(span in new for span in kept)


def test_what_would_change_is_shown_and_nothing_changes_before_it_is_accepted(
    editor: Editor,
) -> None:
    editor.nvim.command("%DGemma rewrite shorten")
    shown = previewed(editor)
    assert "-# 😋 The `dgemma` tool" in shown
    assert text(editor) == FILE.rstrip("\n")
    editor.keys("<CR>")
    until(lambda: text(editor) != FILE.rstrip("\n"), "the new text")
    assert has_all(KEPT, text(editor))
    assert [line[:2] for line in text(editor).split("\n")[4:]] == ["- ", "- "]


def test_one_undo_takes_all_of_it_back(editor: Editor) -> None:
    editor.nvim.command("%DGemma rewrite shorten")
    previewed(editor)
    editor.keys("<CR>")
    until(lambda: text(editor) != FILE.rstrip("\n"), "the new text")
    editor.keys("u")
    until(lambda: text(editor) == FILE.rstrip("\n"), "the old text")


def test_what_is_rejected_changes_nothing(editor: Editor) -> None:
    editor.nvim.command("%DGemma rewrite shorten")
    previewed(editor)
    editor.keys("q")
    until(lambda: editor.lua("return vim.api.nvim_win_get_config(0).relative == ''"), "the end")
    assert text(editor) == FILE.rstrip("\n")


def test_another_variant_is_shown_and_taken(editor: Editor) -> None:
    editor.nvim.command("%DGemma rewrite simplify")
    first = previewed(editor)
    assert title(editor) == " simplify 1/3 "
    editor.keys("]v")
    until(lambda: title(editor) == " simplify 2/3 ", "the second variant")
    second = previewed(editor)
    assert second != first
    editor.keys("[v")
    until(lambda: title(editor) == " simplify 1/3 ", "the first variant")
    assert previewed(editor) == first
    editor.keys("<Tab><CR>")
    until(lambda: text(editor) != FILE.rstrip("\n"), "the new text")
    added = [line[1:] for line in second.split("\n") if line.startswith("+")]
    assert set(added) <= set(text(editor).split("\n"))


def test_only_the_lines_of_the_range_change(editor: Editor) -> None:
    editor.nvim.command("5DGemma rewrite custom make it rhyme")
    previewed(editor)
    editor.keys("<CR>")
    until(lambda: text(editor) != FILE.rstrip("\n"), "the new text")
    lines, before = text(editor).split("\n"), FILE.rstrip("\n").split("\n")
    assert [i for i, pair in enumerate(zip(lines, before, strict=True)) if pair[0] != pair[1]] == [
        4
    ]


def test_numbers_among_the_words_say_how_it_is_written(editor: Editor) -> None:
    written = []
    for _ in range(2):
        editor.nvim.command("%DGemma rewrite custom rhyme it strength=0.2 seed=9 variants=1")
        written.append(previewed(editor))
        assert title(editor) == " custom 1/1 "
        editor.keys("q")
    assert written[0] == written[1]


def test_what_cannot_be_done_is_told_in_one_line(editor: Editor) -> None:
    editor.nvim.command("2DGemma rewrite shorten")
    told = until(lambda: editor.lua("return notes"), "a line", patience_s=20)
    assert told == ["dgemma: shorten: there is no prose in the selection that may change"]


def test_a_code_action_is_looked_at_in_the_same_window(editor: Editor) -> None:
    editor.lua("""
        vim.lsp.buf.code_action({
          range = { start = { 1, 0 }, ['end'] = { 6, 3 } },
          filter = function(action) return action.title == 'DGemma: Expand' end,
          apply = true,
        })
    """)
    previewed(editor)
    assert title(editor) == " expand 1/3 "
    editor.keys("q")
