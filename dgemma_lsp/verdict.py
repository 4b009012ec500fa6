"""What of the model's answer may be shown at a place, or why nothing of it. Pure.

The language server and the command line judge alike: both ask here.
"""

from dgemma_lsp.client import Completion
from dgemma_lsp.config import Completion as Options
from dgemma_lsp.ghost import to_ghost_text
from dgemma_lsp.quiet import Reason


def worth_showing(completion: Completion, before: str, after: str, options: Options) -> list[str]:
    """Return the candidates that may be shown between two texts, each once, the best first."""
    shown = (
        to_ghost_text(text, before, after, max_lines=options.max_lines)
        for text in completion.sure(options.min_confidence)
    )
    return list(dict.fromkeys(text for text in shown if text is not None))


def why_nothing(completion: Completion, options: Options) -> Reason:
    """Return why no text of the answer is shown."""
    if not completion.sure(options.min_confidence):
        return "not-confident"
    if any(text.strip() for text in completion.texts):
        return "repeats"
    return "deadline" if completion.reason == "deadline" else "empty"
