"""The line that a person types in `dgemma chat`: editing, history, completion of commands.

What the line means is `chat_commands`'.
"""

import os
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from dgemma_lsp.chat_commands import COMMANDS

_keys = KeyBindings()


@_keys.add("escape", "enter")
def _new_line(event: KeyPressEvent) -> None:
    """Alt-Enter: a further line of the same question."""
    event.current_buffer.insert_text("\n")


class LinePrompt:
    """Call it with a prompt, and a text to begin with; what was typed before is in `history`.

    It raises KeyboardInterrupt for Ctrl-C and EOFError for Ctrl-D.
    """

    def __init__(self, history: Path) -> None:
        # Made here, as what people ask is for them alone.
        os.close(os.open(history, os.O_WRONLY | os.O_CREAT, 0o600))
        words = [f"/{name}" for name in COMMANDS]
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(history),
            completer=WordCompleter(words, sentence=True),
            complete_while_typing=False,
            key_bindings=_keys,
        )

    def __call__(self, prompt: str, text: str) -> str:
        """Return what was typed."""
        return self._session.prompt(prompt, default=text)
