"""Emacs and Vim, set up as editors/README.md says: menus where there is no ghost text."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, until
from real_terminal import Terminal, terminal
from scripted_answers import every_completion_is

pytestmark = pytest.mark.e2e

README = Path(__file__).parent.parent.parent / "editors" / "README.md"

FILE = '''\
class Box:
    """A box: größe, 宽度."""

    def is_empty(self):
        return False
'''
TYPED = '        größe = "宽度"; x = self.wi'


def block(language: str, containing: str) -> str:
    """The code of this language in editors/README.md that contains this."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    [found] = [block for block in blocks if containing in block]
    return str(found)


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"no {name}: .ci/run says what to install"
    return found


@pytest.fixture
def file(daemon_home: Home) -> Iterator[Path]:
    path = daemon_home.folder / "box.py"
    path.write_text(FILE, encoding="utf-8")
    yield path
    path.unlink()


def await_lines(editor: Terminal, file: Path, lines: str) -> None:
    """Wait until exactly this was saved behind the third line."""
    expected = FILE.replace("        return False\n", f"{lines}\n        return False\n")
    try:
        until(lambda: file.read_text(encoding="utf-8") == expected, "the file", patience_s=20)
    except TimeoutError as error:
        raise AssertionError(f"{file.read_text()}\n{editor.screen()}") from error


EMACS = """
(setq inhibit-startup-screen t make-backup-files nil auto-save-default nil
      native-comp-deferred-compilation nil company-idle-delay 0.1 company-minimum-prefix-length 1)
"""


def test_emacs_with_eglot_and_company_puts_several_lines_in_and_takes_them_back_at_once(
    daemon_home: Home, file: Path
) -> None:
    init = daemon_home.folder / "init.el"
    init.write_text(f"(require 'company){EMACS}{block('elisp', 'eglot')}", encoding="utf-8")
    emacs = [program("emacs"), "-nw", "-q", "-l", str(init), str(file)]
    with (
        every_completion_is("dth\n        return größe", daemon_home),
        terminal(daemon_home, emacs) as editor,
    ):
        editor.await_text("[eglot:")
        editor.keys("\x1bxgoto-line\r4\r\x05\r")
        editor.keys(TYPED.strip())
        editor.await_text("self.width …")
        editor.keys("\r")
        editor.await_text("return größe")
        editor.keys("\x18\x13")
        await_lines(editor, file, f"{TYPED}dth\n        return größe")
        editor.keys("\x1f")
        editor.keys("\x18\x13")
        await_lines(editor, file, TYPED)


# No package index that every machine reaches has lsp-mode 10: it is tested where this names a
# folder that holds it and what it needs, each package in a folder of its own.
LSP_MODE = os.environ.get("DGEMMA_TEST_LSP_MODE")
LOAD_PACKAGES = """
(dolist (folder (directory-files "{}" t "^[a-z]"))
  (add-to-list 'load-path folder)
  (dolist (file (directory-files folder t "-autoloads.el$")) (load file)))
(setq lsp-auto-guess-root t lsp-enable-snippet nil lsp-disabled-clients '(ruff))
"""

if LSP_MODE:

    @pytest.mark.parametrize("company", [False, True], ids=["company off", "company on"])
    def test_emacs_with_lsp_mode_draws_ghost_text_and_its_keys_take_it_or_not(
        daemon_home: Home, file: Path, company: bool
    ) -> None:
        init = daemon_home.folder / "init.el"
        menu = "(require 'company) (add-hook 'prog-mode-hook #'company-mode)" if company else ""
        packages = LOAD_PACKAGES.format(LSP_MODE)
        init.write_text(f"{packages}{menu}{EMACS}{block('elisp', 'lsp-mode')}", encoding="utf-8")
        emacs = [program("emacs"), "-nw", "-q", "-l", str(init), str(file)]
        with (
            every_completion_is("dth\n        return größe", daemon_home),
            terminal(daemon_home, emacs) as editor,
        ):
            editor.await_text("initialized successfully")
            editor.keys("\x1bxgoto-line\r4\r\x05\r")
            editor.keys(TYPED.strip())
            editor.await_text("self.width\n        return größe")
            editor.keys("\x07")
            until(lambda: "return größe" not in editor.screen(), "it to go", patience_s=20)
            editor.keys("\x1bxlsp-inline-completion-display\r")
            editor.await_text("self.width\n        return größe")
            editor.keys("\t\x18\x13")
            await_lines(editor, file, f"{TYPED}dth\n        return größe")
            editor.keys("\x1f\x18\x13")
            await_lines(editor, file, TYPED)


def test_vim_with_ale_puts_a_line_in(daemon_home: Home, file: Path) -> None:
    vimrc = daemon_home.folder / "vimrc"
    plain = "set nocompatible noswapfile viminfo= encoding=utf-8\n"
    vimrc.write_text(plain + block("vim", "ale#linter"), encoding="utf-8")
    with (
        every_completion_is("dth * 2", daemon_home),
        terminal(daemon_home, [program("vim"), "-u", str(vimrc), str(file)]) as editor,
    ):
        editor.await_text("class Box")
        editor.keys("4Go")
        editor.keys(TYPED.strip())
        editor.await_text("width * 2 ")
        editor.keys("\x0e\x19")
        editor.await_text("self.width * 2")
        editor.keys("\x1b:w\r")
        await_lines(editor, file, f"{TYPED}dth * 2")
