"""A text that ends before the first of some stop strings, as it comes in pieces. Pure."""

from collections.abc import Sequence


class Stops:
    """What of a text may be given out already.

    The beginning of a stop string is held back until it is known not to be one.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """Return what may be given out now that `piece` has come."""
        if self.found:
            return ""
        text = self._held + piece
        ends = [at for string in self._strings if (at := text.find(string)) >= 0]
        if ends:
            self.found, self._held = True, ""
            return text[: min(ends)]
        keep = max((_begun(text, string) for string in self._strings), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """Return what was held back of a text that is complete."""
        rest, self._held = self._held, ""
        return rest


def _begun(text: str, string: str) -> int:
    """Return how many characters at the end of the text may begin the string."""
    return next(
        (n for n in range(min(len(string) - 1, len(text)), 0, -1) if text.endswith(string[:n])), 0
    )
