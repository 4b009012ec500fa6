"""The line prompt over a pipe that stands for the keyboard."""

import stat
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from dgemma_lsp.chat_prompt import LinePrompt


def typed(history: Path, keys: str, *, text: str = "", times: int = 1) -> list[str]:
    with (
        create_pipe_input() as keyboard,
        create_app_session(input=keyboard, output=DummyOutput()),
    ):
        keyboard.send_text(keys)
        prompt = LinePrompt(history)
        return [prompt("> ", text) for _ in range(times)]


@pytest.mark.parametrize(
    ("keys", "text", "line"),
    [
        ("why?\r", "", "why?"),
        ("one\x1b\rtwo\r", "", "one\ntwo"),
        (" more\r", "some", "some more"),
        ("שלום 🦊\r", "", "שלום 🦊"),
    ],
)
def test_a_line_is_typed(tmp_path: Path, keys: str, text: str, line: str) -> None:
    assert typed(tmp_path / "history", keys, text=text) == [line]


def test_what_was_typed_comes_back_in_another_session(tmp_path: Path) -> None:
    typed(tmp_path / "history", "first\r")
    assert typed(tmp_path / "history", "\x1b[A\r") == ["first"]
    assert stat.S_IMODE((tmp_path / "history").stat().st_mode) == 0o600


@pytest.mark.parametrize(("key", "error"), [("\x03", KeyboardInterrupt), ("\x04", EOFError)])
def test_ctrl_c_and_ctrl_d_come_to_the_caller(
    tmp_path: Path, key: str, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        typed(tmp_path / "history", key)
