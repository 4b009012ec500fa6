"""The Neovim plugin around the ghost text: options, :DGemma, health, help, status, drafts."""

import json
import re
from collections.abc import Iterator

import psutil
import pytest
from home import Home, until
from real_neovim import PLUGIN, ROOT, VERSIONS, Editor, neovim, setup_lines
from scripted_server import COMMANDS, EXPLANATION, Script

pytestmark = pytest.mark.e2e

# The command is asked for its status too, so it is the real one in this test's own `home`.
NOTED = """
notes = {}
vim.notify = function(line) table.insert(notes, line) end
vim.o.statusline = "%{v:lua.require'dgemma'.statusline()}"
"""


@pytest.fixture(scope="module")
def script(daemon_home: Home) -> Script:
    return Script(daemon_home.folder)


@pytest.fixture(scope="module", params=VERSIONS)
def running(daemon_home: Home, script: Script, request: pytest.FixtureRequest) -> Iterator[Editor]:
    command = ", ".join(json.dumps(word) for word in script.command)
    options = f"{{ cmd = {{ {command} }}, server = {{ completion = {{ max_lines = 4 }} }} }}"
    with neovim(daemon_home, NOTED + setup_lines(options), request.param) as editor:
        yield editor


@pytest.fixture
def editor(running: Editor, script: Script) -> Editor:
    running.nvim.input("<C-\\><C-n>")
    running.open(script.folder / "file.txt", "one\ntwo\n")
    running.lua("notes = {}")
    script.forget()
    return running


def noted(editor: Editor) -> str:
    """Wait for the next lines to the person, and return all."""
    return str(until(lambda: "\n".join(editor.lua("return notes")), "a line", patience_s=20))


# -- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("{ ghost = 1 }", "dgemma: unknown option ghost; there are cmd, "),
        ("{ cmd = 'dgemma lsp' }", "dgemma: cmd must be a list of words, such as "),
        ("{ filetypes = {} }", "dgemma: filetypes must be a list of file types, or false for all"),
        ("{ ghost_text = 'red' }", 'dgemma: ghost_text must be "own" or, from Neovim 0.12 on'),
        ("{ delay_ms = -1 }", "dgemma: delay_ms must be a whole number of milliseconds"),
        ("{ drafts = 'yes' }", 'dgemma: drafts must be true or false, not "yes"'),
        ("{ keys = true }", "dgemma: keys must be a table, or false for no keys, not true"),
        ("{ keys = { jump = 'x' } }", "dgemma: unknown option keys.jump; there are accept, "),
        ("{ keys = { ask = 7 } }", "dgemma: keys.ask must be a key such as <Tab>, or false, not 7"),
        ("{ server = { 1 } }", "dgemma: server must be a table, not { 1 }"),
        ("{ 'tab' }", "dgemma: setup() takes a table of options, not "),
        ("7", "dgemma: setup() takes a table of options, not 7"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line_and_changes_nothing(
    editor: Editor, options: str, line: str
) -> None:
    before = editor.lua("return require('dgemma.config').options")
    ok, said = editor.lua(f"return {{ pcall(require('dgemma').setup, {options}) }}")
    assert not ok
    assert said.startswith(line)
    assert "\n" not in said
    assert editor.lua("return require('dgemma.config').options") == before


def test_only_neovim_012_can_draw_and_only_where_it_is_asked_to(editor: Editor) -> None:
    is_new = editor.lua("return vim.fn.has('nvim-0.12') == 1")
    taken = editor.lua("return pcall(require('dgemma.config').set, { ghost_text = 'builtin' })")
    assert taken == is_new
    assert editor.lua("return require('dgemma.config').is_builtin()") == is_new
    editor.lua("require('dgemma.config').set({})")
    assert not editor.lua("return require('dgemma.config').is_builtin()")


def test_the_readme_tells_every_option_with_its_default(editor: Editor) -> None:
    text = (ROOT / "editors" / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```lua\nrequire\('dgemma'\)\.setup\((.*?)\)\n```", text, re.DOTALL)
    editor.lua("require('dgemma.config').set({})")
    assert editor.lua(f"return vim.deep_equal(require('dgemma.config').options, {shown})")


@pytest.mark.parametrize("name", ["accept", "accept_word", "accept_line", "next", "previous"])
def test_the_help_tells_every_key(editor: Editor, name: str) -> None:
    text = (PLUGIN / "doc" / "dgemma.txt").read_text(encoding="utf-8")
    editor.lua("require('dgemma.config').set({})")
    key = editor.lua("return require('dgemma.config').options.keys[...]", name)
    assert name in text
    assert key in text


def test_the_server_gets_the_options_at_its_start(running: Editor, script: Script) -> None:
    client = "vim.lsp.get_clients({ name = 'dgemma' })[1]"
    options = {"completion": {"max_lines": 4}, "editor": {"status": True}}
    assert running.lua(f"return {client}.config.init_options") == options
    assert running.lua(f"return {client}.config.settings") == {"dgemma": options}


def test_files_that_lie_in_no_project_share_one_server(editor: Editor, script: Script) -> None:
    editor.open(script.folder / "other.txt", "other\n")
    assert editor.lua("return #vim.lsp.get_clients({ name = 'dgemma' })") == 1


# -- :DGemma ---------------------------------------------------------------------------------------


def test_the_names_of_subcommands_are_completed(editor: Editor) -> None:
    complete = "return vim.fn.getcompletion(..., 'cmdline')"
    every = ["chat", "explain", "pause", "restart", "resume", "rewrite", "status"]
    assert editor.lua(complete, "DGemma ") == every
    assert editor.lua(complete, "DGemma re") == ["restart", "resume", "rewrite"]
    assert editor.lua(complete, "DGemma rewrite s") == ["shorten", "simplify", "summarise"]


def test_an_unknown_subcommand_is_refused_with_those_there_are(editor: Editor) -> None:
    editor.nvim.command("DGemma fly away")
    assert noted(editor) == (
        'dgemma: there is no ":DGemma fly away"; '
        "there are chat, explain, pause, restart, resume, rewrite, status"
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pause", "dgemma: paused; :DGemma resume goes on"),
        ("resume", "dgemma: suggestions come again"),
        ("restart", "dgemma: the model starts again"),
    ],
)
def test_a_command_of_the_server_is_run_and_confirmed(
    editor: Editor, script: Script, name: str, line: str
) -> None:
    assert f"dgemma.{name}" in COMMANDS
    editor.nvim.command(f"DGemma {name}")
    told = script.await_told("workspace/executeCommand")
    assert told == [{"command": f"dgemma.{name}", "arguments": []}]
    assert noted(editor) == line


def test_explain_asks_about_the_cursor(editor: Editor, script: Script) -> None:
    editor.keys("jl")
    editor.nvim.command("DGemma explain")
    assert noted(editor) == f"dgemma: {EXPLANATION['text']}"
    (told,) = script.told("dgemma/explain")
    assert told["position"] == {"line": 1, "character": 1}


def test_rewriting_that_the_server_does_not_offer_is_told(editor: Editor) -> None:
    editor.nvim.command("1,2DGemma rewrite")
    assert noted(editor).startswith("dgemma: this server offers no rewriting")


def test_a_buffer_without_a_server_gets_a_line_not_an_error(editor: Editor) -> None:
    editor.nvim.command("new")
    for name in ("explain", "pause", "resume", "rewrite"):
        editor.lua("notes = {}")
        editor.nvim.command(f"DGemma {name}")
        assert "no server looks after this buffer" in noted(editor)


def test_status_and_chat_run_the_shipped_command(editor: Editor, daemon_home: Home) -> None:
    editor.lua("require('dgemma.config').set({ cmd = { 'dgemma', 'lsp' } })")
    editor.nvim.command("DGemma status")
    assert "dgemma: daemon" in noted(editor) or "dgemma: no daemon" in noted(editor)
    editor.nvim.command("DGemma chat")
    chat = psutil.Process(editor.lua("return vim.fn.jobpid(vim.b.terminal_job_id)"))
    shipped = [daemon_home.command, "chat"]
    until(lambda: chat.cmdline()[-2:] == shipped, "the chat to start", patience_s=20)
    chat.kill()  # before it starts a daemon
    assert editor.lua("return vim.bo.buftype") == "terminal"
    assert until(lambda: editor.nvim.api.get_mode()["mode"] == "t", "the terminal's own mode")


def test_a_command_that_is_not_there_is_named(editor: Editor) -> None:
    editor.lua("require('dgemma.config').set({ cmd = { '/nowhere/dgemma' } })")
    for name in ("status", "chat"):
        editor.lua("notes = {}")
        editor.nvim.command(f"DGemma {name}")
        assert "/nowhere/dgemma is not on the PATH that Neovim sees" in noted(editor)


# -- status, health, help --------------------------------------------------------------------------


def test_the_statusline_follows_what_the_server_says(editor: Editor) -> None:
    loading = {"state": "loading", "text": "nano is loading", "progress": 40, "model": "nano"}
    for status, shown in [
        (loading, "dgemma: loading 40%"),
        ({"state": "error", "text": "run `dgemma doctor`"}, "dgemma: error"),
    ]:
        params = {"method": "dgemma/status", "params": status}
        editor.tell_server("test/send", params)
        until(lambda shown=shown: shown in editor.screen()[-2], shown, patience_s=20)
    editor.nvim.command("DGemma status")
    assert "dgemma: error: run `dgemma doctor`" in noted(editor)
    editor.nvim.command("enew")
    assert editor.lua("return require('dgemma').statusline()") == ""


def test_checkhealth_names_what_is_well_and_what_is_not(editor: Editor) -> None:
    editor.lua("require('dgemma.config').set({ cmd = { '/nowhere/dgemma', 'lsp' } })")
    editor.nvim.command("checkhealth dgemma")
    report = "\n".join(editor.lines())
    assert "/nowhere/dgemma is not on the PATH that Neovim sees" in report
    assert "looks after" in report
    assert "<Tab>: Accept the suggestion" in report
    editor.lua("require('dgemma.config').set({ cmd = { 'dgemma', 'lsp' } })")
    editor.nvim.command("checkhealth dgemma")
    report = "\n".join(editor.lines())
    assert "dgemma doctor says:" in report
    assert "Python" in report


def test_the_help_has_tags_that_neovim_takes(editor: Editor, daemon_home: Home) -> None:
    doc = daemon_home.folder / "help" / "doc"
    doc.mkdir(parents=True, exist_ok=True)
    (doc / "dgemma.txt").write_text((PLUGIN / "doc" / "dgemma.txt").read_text())
    editor.nvim.command(f"helptags {doc}")
    tags = {line.split("\t")[0] for line in (doc / "tags").read_text().splitlines()}
    assert {"dgemma", "dgemma-options", "dgemma-keys", ":DGemma"} <= tags
    text = (PLUGIN / "doc" / "dgemma.txt").read_text()
    linked = set(re.findall(r"\|(\S+?)\|", text))
    assert {link for link in linked if "gemma" in link.lower()} <= tags
    assert max(len(line) for line in text.splitlines()) <= 78
