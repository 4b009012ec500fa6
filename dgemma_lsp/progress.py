"""What is known of one answer while it is being written. Nothing is sent or drawn here."""

import re
from dataclasses import dataclass

from dgemma_lsp import wire

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass
class Progress:
    """The first candidate of an answer: `final` stays as it is, `draft` may still change.

    The first `stable` characters of the draft have stopped changing; `step` counts the denoising
    steps of the block that is being written.
    """

    final: str = ""
    draft: str = ""
    stable: int = 0
    step: int = 0

    def take(self, message: wire.Draft | wire.Block) -> None:
        """Replace the draft, or append a finished block; other candidates are left out."""
        if message.candidate:
            return
        if isinstance(message, wire.Draft):
            self.draft, self.stable, self.step = message.text, message.stable, message.step
        else:
            self.final, self.draft, self.stable = self.final + message.text, "", 0
            self.step = message.steps

    @property
    def text(self) -> str:
        """The whole answer so far."""
        return self.final + self.draft

    @property
    def sure(self) -> int:
        """How many leading characters of `text` will not change any more."""
        return len(self.final) + self.stable


def printable(text: str) -> str:
    """Return the text with what a terminal would obey replaced, character for character.

    A model may write any character; line feeds and tabs stay.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
