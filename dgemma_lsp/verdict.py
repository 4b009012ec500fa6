"""What of the model's answer may be shown at a place, or why nothing of it. Pure.

The language server and the command line judge alike: both ask here.
"""

from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.ghost import to_ghost_text
from dgemma_lsp.quiet import Reason
from dgemma_lsp.syntax import fitting

# So many texts more than are shown are asked for: what was weighed anyway costs nothing, and one
# that breaks the code makes room for them.
SPARES = 12


def worth_showing(
    answer: Completion, before: str, after: str, options: Options, *, language: str, count: int
) -> list[str]:
    """Return at most `count` different texts that may stand between two texts, the best first."""
    texts = _joining(answer, before, after, options)
    return fitting(texts, before, after, language)[:count]


def why_nothing(answer: Completion, before: str, after: str, options: Options) -> Reason:
    """Return why no text of the answer is shown."""
    if not answer.sure(options.min_confidence):
        return "not-confident"
    if _joining(answer, before, after, options):
        return "breaks"
    if any(text.strip() for text in answer.texts):
        return "repeats"
    return "deadline" if answer.reason == "deadline" else "empty"


def _joining(answer: Completion, before: str, after: str, options: Options) -> list[str]:
    """Return the texts that are sure enough and join what stands around, each once."""
    shown = (
        to_ghost_text(text, before, after, max_lines=options.max_lines)
        for text in answer.sure(options.min_confidence)
    )
    return list(dict.fromkeys(text for text in shown if text is not None))
