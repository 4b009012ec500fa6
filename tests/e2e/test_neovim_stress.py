"""Two real Neovims on one daemon with nano, a long file, and a daemon that is killed."""

from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest
from home import CONFIG, Home, until
from real_neovim import VERSIONS, Editor, neovim, users_lines

pytestmark = pytest.mark.e2e

FILE = """\
class Box:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height
"""
LINE = FILE.count("\n")
# A line is opened below the last one; more than one beginning is tried.
TYPED = ["self.width = self.wid", "return self.wid", "return "]

BEFORE = "".join(f"value_{number} = {number}\n" for number in range(20_000))


@pytest.fixture(scope="module")
def editors(daemon_home: Home) -> Iterator[list[Editor]]:
    # What is written ahead of a person would take steps that are not of their keys.
    daemon_home.paths.config_file.write_text(CONFIG + "prefetch = false\n")
    with ExitStack() as stack:
        yield [
            stack.enter_context(neovim(daemon_home, users_lines(), version))
            for version in VERSIONS[:2]
        ]


def attempts(line: int, typed: list[str] = TYPED) -> list[str]:
    return [f"{line}Go{one}" for one in typed]


def accept(editor: Editor, ghost: str) -> None:
    """Take the ghost text and see that nothing else changed."""
    before, (row, _) = editor.lines(), editor.cursor()
    editor.keys("<Tab>")
    taken = (before[row] + ghost).split("\n")
    editor.await_lines([*before[:row], *taken, *before[row + 1 :]])


def test_two_editors_type_on_one_daemon(editors: list[Editor], daemon_home: Home) -> None:
    for number, editor in enumerate(editors):
        editor.open(daemon_home.folder / f"box{number}.py", FILE)
        accept(editor, editor.type_for_ghost(attempts(LINE)))
    assert len(daemon_home.running("lsp")) == 2
    assert len(daemon_home.running("daemon")) == 1


@pytest.mark.parametrize("number", [0, 1], ids=VERSIONS[:2])
def test_what_is_typed_through_takes_no_step_of_the_model(
    editors: list[Editor], daemon_home: Home, number: int
) -> None:
    editor = editors[number]
    editor.open(daemon_home.folder / f"through{number}.py", FILE)
    ghost = editor.type_for_ghost(attempts(LINE))
    before = daemon_home.at_rest()
    for count in range(1, len(ghost.split("\n")[0])):
        editor.keys(ghost[count - 1].replace("<", "<lt>"))
        editor.await_ghost(ghost[count:])
    editor.settle()
    assert daemon_home.at_rest() == before


@pytest.mark.parametrize("number", [0, 1], ids=VERSIONS[:2])
def test_a_file_of_twenty_thousand_lines_is_completed_in(
    editors: list[Editor], daemon_home: Home, number: int
) -> None:
    editor = editors[number]
    editor.open(daemon_home.folder / f"long{number}.py", BEFORE + FILE + BEFORE)
    accept(editor, editor.type_for_ghost(attempts(20_000 + LINE)))


def test_both_editors_go_on_after_the_daemon_was_killed_while_they_were_typed_in(
    editors: list[Editor], daemon_home: Home
) -> None:
    for number, editor in enumerate(editors):
        editor.open(daemon_home.folder / f"killed{number}.py", FILE)
        editor.keys("ggO#")
    (daemon,) = daemon_home.running("daemon")
    daemon.kill()
    for editor in editors:
        editor.keys(" typed on")
    psutil.wait_procs([daemon])
    for editor in editors:
        until(lambda editor=editor: editor.lines()[0] == "# typed on", "what was typed")
        editor.keys("<Esc>")
        assert editor.type_for_ghost(attempts(LINE + 1))
        assert "Error" not in editor.nvim.command_output("messages")
    (again,) = daemon_home.running("daemon")
    assert again.pid != daemon.pid
