"""llama.vim, unchanged, in a real Neovim against the shipped daemon with nano.

No package index has it: it is tried where DGEMMA_TEST_LLAMA_VIM names its folder. What it sends and
reads is tested everywhere, in test_infill_api.
"""

import os
import re
from collections.abc import Iterator

import pytest
from home import Home, until
from http_daemon import daemon, report
from real_neovim import ROOT, Editor, neovim

from dgemma_lsp.runtime import Endpoint

CLIENTS = ROOT / "dgemma_lsp" / "web" / "CLIENTS.md"

PLUGIN = os.environ.get("DGEMMA_TEST_LLAMA_VIM", "")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PLUGIN, reason="DGEMMA_TEST_LLAMA_VIM names no folder"),
]

TEXT = """import os


def join(first, second):
    return os.path.join(first, second)


def exists(path):

"""
# Places where nano has something to say, whatever its weights: one of them is enough.
PLACES = ["9GS    return os.pa<Esc>A", "1Goimport s<Esc>A", "5Gofor i in ra<Esc>A"]


@pytest.fixture(scope="module")
def there(daemon_home: Home) -> Iterator[Endpoint]:
    with daemon(daemon_home) as endpoint:
        yield endpoint


@pytest.fixture(params=["0.12", "0.11"])
def editor(request: pytest.FixtureRequest, daemon_home: Home, there: Endpoint) -> Iterator[Editor]:
    # A slow machine must not turn this into a test of how fast an answer comes.
    init = f"""
        vim.opt.runtimepath:append([[{PLUGIN}]])
        vim.cmd([==[{users_lines()}]==])
        vim.cmd('let g:llama_config.t_max_prompt_ms = 300000')
    """
    with neovim(daemon_home, init, request.param) as running:
        file = daemon_home.folder / "sample.py"
        file.write_text(TEXT)
        running.nvim.command(f"silent edit {file}")
        yield running


def users_lines() -> str:
    """The lines that CLIENTS.md tells a person to write."""
    blocks = re.findall(r"```vim\n(.*?)```", CLIENTS.read_text(), flags=re.DOTALL)
    return next(str(block) for block in blocks if "llama_config" in block)


def shown(editor: Editor) -> str:
    """The suggestion that llama.vim draws, without what it tells behind it; "" where none is."""
    namespace = editor.nvim.api.create_namespace("vt_fim")
    marks = editor.nvim.api.buf_get_extmarks(0, namespace, 0, -1, {"details": True})
    for _, _, _, details in marks:
        if first := details.get("virt_text"):
            return str(first[0][0])
    return ""


def told(editor: Editor) -> str:
    """What llama.vim tells of the last answer, in its own words."""
    namespace = editor.nvim.api.create_namespace("vt_fim")
    marks = editor.nvim.api.buf_get_extmarks(0, namespace, 0, -1, {"details": True})
    return "".join(chunk[0] for mark in marks for chunk in mark[3].get("virt_text", [])[1:])


def place_with_suggestion(editor: Editor) -> str:
    for place in PLACES:
        editor.keys(place)
        try:
            return until(lambda: shown(editor), f"a suggestion after {place!r}", patience_s=60)
        except TimeoutError:
            editor.keys("<Esc>u")
    raise AssertionError(f"no suggestion at any place\n{editor.nvim.command_output('messages')}")


def test_a_suggestion_is_shown_and_accepted(editor: Editor) -> None:
    suggestion = place_with_suggestion(editor)
    row, _ = editor.cursor()
    before = editor.lines()[row]
    assert "| g: " in told(editor)
    editor.keys("<Tab>")
    until(lambda: editor.lines()[row] != before, "the accepted text")
    assert editor.lines()[row] == before + suggestion


def test_typing_what_is_suggested_keeps_it_without_asking_again(editor: Editor) -> None:
    suggestion = place_with_suggestion(editor)
    editor.keys(suggestion[0])
    until(lambda: shown(editor) == suggestion[1:], "the rest of the suggestion")


def test_nothing_fails_while_somebody_types(editor: Editor, daemon_home: Home) -> None:
    before = report(daemon_home)["requests"]["failed"]
    editor.keys("9GS")
    for key in "    return os.path.exists(path)":
        editor.keys(key)
        editor.settle()
    assert report(daemon_home)["requests"]["failed"] == before
    assert "failed" not in editor.nvim.command_output("messages")


def test_an_instruction_is_answered_by_the_chat(editor: Editor) -> None:
    editor.keys("<Esc>4GVj:LlamaInstruct<CR>add a comment<CR>")
    namespace = editor.nvim.api.create_namespace("vt_inst")

    def answer() -> list[str]:
        marks = editor.nvim.api.buf_get_extmarks(0, namespace, 0, -1, {"details": True})
        rows = [row for mark in marks for row in mark[3].get("virt_lines", [])]
        lines = [str(chunk[0]) for row in rows for chunk in row]
        under_way = any(line.startswith(("Processing", "Generating")) for line in lines)
        return [] if under_way else [line for line in lines if not line.startswith("====")]

    assert until(answer, "the answer to the instruction", patience_s=100)
