"""Two windows of the real VS Code on one daemon, a long file, and a daemon that is killed."""

import signal
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from home import CONFIG, Home, until
from real_vscode import Window, inserted, vscode

pytestmark = pytest.mark.e2e

FILE = f"""\
class Box:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height

    def scale(self, factor):
{" " * 8}
"""
# At the end of the last line, indented already; more than one place is tried.
ATTEMPTS = [(10, "self.width = self.wid"), (10, "return self.wid"), (10, "return ")]

# Far down, and longer than anything a person has open.
BEFORE = "".join(f"value_{number} = {number}\n" for number in range(20_000))


@pytest.fixture(scope="module")
def windows(daemon_home: Home) -> Iterator[tuple[Window, Window]]:
    # What is written ahead of a person would take steps that are not of their keys.
    daemon_home.paths.config_file.write_text(CONFIG + "prefetch = false\n")
    folders = [daemon_home.folder / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with vscode(daemon_home, folders[0], commands=Path(sysconfig.get_path("scripts"))) as first:
        yield first, first.another(folders[1])


def open_in(window: Window, folder: str, name: str, text: str = FILE) -> None:
    window.page.bring_to_front()
    window.open(window.home.folder / folder / name, text)


def test_two_windows_type_on_one_daemon(windows: tuple[Window, Window]) -> None:
    home = windows[0].home
    for window, folder in zip(windows, ("one", "two"), strict=True):
        open_in(window, folder, "box.py")
        window.type_for_ghost(ATTEMPTS)
        typed = window.text()
        ghost = window.drawn_ghost()
        window.keys("Tab")
        window.becomes(inserted(typed, 10, ghost))
    assert len(home.running("lsp")) == 2
    assert len(home.running("daemon")) == 1


def test_what_is_typed_through_takes_no_step_of_the_model(
    windows: tuple[Window, Window],
) -> None:
    window = windows[0]
    open_in(window, "one", "through.py")
    ghost = window.type_for_ghost(ATTEMPTS)
    before = window.home.at_rest()
    for count in range(1, len(ghost.split("\n")[0])):
        window.type(ghost[count - 1])
        until(lambda count=count: window.ghost() == ghost[count:], "the rest of the ghost text")
    assert window.home.at_rest() == before


def test_a_file_of_twenty_thousand_lines_is_typed_in(windows: tuple[Window, Window]) -> None:
    window = windows[0]
    text = BEFORE + FILE + BEFORE
    open_in(window, "one", "long.py", text)
    down = [(20_000 + line, typed) for line, typed in ATTEMPTS]
    window.type_for_ghost(down)
    typed = window.text()
    ghost = window.drawn_ghost()
    window.keys("Tab")
    window.becomes(inserted(typed, 20_010, ghost))


def test_both_windows_go_on_after_the_daemon_was_killed_while_they_were_typed_in(
    windows: tuple[Window, Window],
) -> None:
    home = windows[0].home
    for window, folder in zip(windows, ("one", "two"), strict=True):
        open_in(window, folder, "killed.py")
        window.go_to(1)
        window.type("#")
    (daemon,) = home.running("daemon")
    daemon.send_signal(signal.SIGKILL)
    for window in windows:
        window.page.bring_to_front()
        window.type(" typed on")
    psutil.wait_procs([daemon])
    for window in windows:
        window.page.bring_to_front()
        assert window.line(1) == "class Box:# typed on"
        assert window.type_for_ghost(ATTEMPTS)
    (again,) = home.running("daemon")
    assert again.pid != daemon.pid
