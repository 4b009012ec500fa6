"""Which texts of the model's answer may be shown at a place, the best first. Pure; asks nobody."""

from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.ghost import to_ghost_text
from dgemma_lsp.syntax import fitting

# So many texts more than are shown are asked for: what was weighed anyway costs nothing, and one
# that breaks the code makes room for them.
SPARES = 12


def worth_showing(
    answer: Completion, before: str, after: str, options: Options, *, language: str, count: int
) -> list[str]:
    """Return at most `count` different texts that may stand between `before` and `after`."""
    shown = (
        to_ghost_text(text, before, after, max_lines=options.max_lines)
        for text in answer.sure(options.min_confidence)
    )
    texts = list(dict.fromkeys(text for text in shown if text is not None))
    return fitting(texts, before, after, language)[:count]
