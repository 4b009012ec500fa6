"""What of the model's answer may be shown at a place, or why nothing of it. Pure.

The language server and the command line judge alike: both ask here.
"""

from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.ghost import to_ghost_texts
from dgemma_lsp.quiet import Reason
from dgemma_lsp.syntax import fitting

# So many texts more than are shown are asked for: what was weighed anyway costs nothing, and one
# that breaks the code makes room for them.
SPARES = 12


def worth_showing(
    answer: Completion, before: str, after: str, options: Options, *, language: str, count: int
) -> list[str]:
    """Return at most `count` different texts that may stand between two texts, the best first.

    The best that fit are shown if the model is sure of them; what it is sure of only because it
    says little is no substitute.
    """
    joining = _joining(answer, before, after, options)
    best = fitting(list(joining), before, after, language, count=count)
    return [text for text in best if joining[text]]


def why_nothing(
    answer: Completion, before: str, after: str, options: Options, *, language: str
) -> Reason:
    """Return why no text of the answer is shown."""
    joining = _joining(answer, before, after, options)
    if fitting(list(joining), before, after, language, count=1):
        return "not-confident"
    if joining:
        return "breaks"
    if any(text.strip() for text in answer.texts):
        return "repeats"
    return "deadline" if answer.reason == "deadline" else "empty"


def _joining(answer: Completion, before: str, after: str, options: Options) -> dict[str, bool]:
    """Return the different texts that join what stands around, and if the model is sure of each."""
    shown = to_ghost_texts(answer.texts, before, after, max_lines=options.max_lines)
    return {
        text: answer.is_sure(candidate, options.min_confidence) for text, candidate in shown.items()
    }
