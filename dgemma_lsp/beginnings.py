"""How the cursor's line may begin so that the code around it works. Pure; writes no line's end.

What a text to the right needs a model that reads from left to right cannot know; so its line is
begun for it.
"""

from dgemma_lsp.bindings import Surroundings

# What most often opens a block, where nothing tells which.
OPENERS = ("if", "for", "while")
# Of the names that are wanted, so many are thought of.
NAMES = 2


def beginnings(around: Surroundings) -> list[str]:
    """Return what may follow the cursor, each the beginning of a line that the code needs."""
    lines = _opening(around.wanted[:NAMES]) if around.opens else _binding(around.wanted[:NAMES])
    behind = (line.removeprefix(around.typed) for line in lines if line.startswith(around.typed))
    return [text for text in behind if text]


def _opening(names: tuple[str, ...]) -> list[str]:
    return [f"for {name} in" for name in _together(names)] if names else list(OPENERS)


def _binding(names: tuple[str, ...]) -> list[str]:
    return [f"{name} =" for name in _together(names)]


def _together(names: tuple[str, ...]) -> list[str]:
    """Return two names one behind the other, in both orders, and each by itself."""
    pairs = [", ".join(names), ", ".join(names[::-1])] if len(names) == 2 else []
    return [*pairs, *names]
